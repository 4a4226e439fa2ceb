"""Live modules: pickled, by value where a script or notebook defines them, with sketches of their example inputs."""

from __future__ import annotations

import base64
import inspect
import pickle
import sys
from pathlib import Path
from typing import Any

import cloudpickle
from torch import nn

from kernelwright.errors import TaskError
from kernelwright.tasks import host_sketch
from kernelwright.tasks.host_json import HostError
from kernelwright.tasks.loaders import neighbours
from kernelwright.tasks.task import Task, TaskSource, Tolerance


def load(live: nn.Module, inputs: tuple[Any, ...], name: str, tolerance: Tolerance) -> Task:
    """A task from a live module; it is used as it is now, in its own mode, with the weights it holds.

    Args:
        live: the module.
        inputs: forward's arguments; each tensor's data are replaced by a sketch (`tasks/host_sketch.py`).
        name: shown to the user; the class's name by default.
        tolerance: how far from float64 an output may be.

    Raises:
        TaskError: `live` is no module or cannot be pickled, or an example input cannot be sketched.
    """
    where = name or type(live).__name__
    if not isinstance(live, nn.Module):
        raise TaskError(f"a {type(live).__name__} is no nn.Module", where=where, remedy="wrap it in one")
    try:
        sketches = [host_sketch.sketch(value) for value in inputs]
    except HostError as error:
        raise TaskError(error.message, where=where, remedy=error.remedy) from error
    try:
        text = base64.b64encode(cloudpickle.dumps((live, sketches))).decode()
    except (pickle.PicklingError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise TaskError(
            f"the module cannot be pickled: {error}", where=where, remedy="keep locks, files and hooks out of it"
        ) from error
    code = Path(_file(type(live)))
    source = TaskSource(
        kind="pickle",
        text=text,
        filename=str(code),
        entry=type(live).__qualname__,
        search_path=tuple(filter(None, sys.path)),
        imports=neighbours.digest(code, code.parent) if code.is_file() else "",
    )
    return Task(name=where, source=source, tolerance=tolerance)


def _file(kind: type[nn.Module]) -> str:
    """The file that defines the class, which errors point into; its name where there is none (a notebook)."""
    try:
        return inspect.getsourcefile(kind) or kind.__qualname__
    except TypeError:
        return kind.__qualname__
