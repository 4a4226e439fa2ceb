"""The formats that tasks are read from, one a file. All run in the trusted process and never execute a task file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelwright.tasks.loaders import imported, kernelbench

if TYPE_CHECKING:
    from torch import nn

    from kernelwright.tasks.task import Task, Tolerance


def load(spec: str | Path, *, inputs: tuple[str, ...], tolerance: Tolerance) -> Task:
    """A task from what a user types: the path of a file, or `package.module:name`.

    Args:
        spec: a path, or a dotted name with a colon before the attribute.
        inputs: input specifications (`tasks/host_specs.py`); they take the place of the inputs that the source draws.
        tolerance: how far from float64 an output may be.

    Raises:
        TaskError: there is no such file, it is not Python, or it defines no task; an input specification is wrong.
    """
    imported.check_inputs(inputs)
    if isinstance(spec, str) and imported.is_import(spec) and not Path(spec).exists():
        return imported.load(spec, inputs, tolerance)
    return kernelbench.load(Path(spec), inputs, tolerance)


def from_module(live: nn.Module, inputs: tuple[Any, ...], *, name: str, tolerance: Tolerance) -> Task:
    """A task from a live module and example inputs.

    Raises:
        TaskError: the module cannot be pickled, or an example input cannot be drawn again.
    """
    from kernelwright.tasks.loaders import module  # imports torch, which takes a second

    return module.load(live, inputs, name, tolerance)
