"""Runs the task's own code so that whatever it raises becomes one sentence with the line at fault and a remedy."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)

from kernelwright.tasks.host_json import HostError, Kind

NEEDS_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
    UnsupportedOperatorException,
)
"""What fake tensors raise where code asks for values (`.item()`, a mask as index), which only real tensors have."""

_MISSING_DEVICE = re.compile(
    r"Torch not compiled with (\w+)|NVIDIA driver|No (\w+) GPUs|not linked with support for (\w+)"
)
_NO_MEMORY = re.compile(
    r"not enough memory|can't allocate memory|Cannot allocate memory|Storage size calculation overflowed"
)


@contextmanager
def blame(kind: Kind, doing: str, filename: str) -> Iterator[None]:
    """Turns what the task's code raises into a `HostError`.

    Args:
        kind: the error's kind, unless the code ran out of memory.
        doing: what ran, as the subject of the sentence, e.g. `forward()`.
        filename: the task file, to find the innermost of its lines.
    """
    try:
        yield
    except HostError as error:
        error.line = error.line or line_in(error.__traceback__, filename)
        raise
    except (Exception, SystemExit) as error:  # the task may raise anything; nothing is swallowed
        raise explain(error, kind, doing, filename) from error


def line_in(trace: TracebackType | None, filename: str) -> int:
    """The innermost line of `filename` in a traceback, 0 if none."""
    lines = [line for frame, line in traceback.walk_tb(trace) if frame.f_code.co_filename == filename]
    return lines[-1] if lines else 0


def explain(error: BaseException, kind: Kind, doing: str, filename: str) -> HostError:
    """The `HostError` for what the task's code raised."""
    line = line_in(error.__traceback__, filename)
    text = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, SyntaxError):
        where = error.lineno or 0 if error.filename == filename else line
        return HostError(kind, f"{doing} has a syntax error: {error.msg}", line=where, remedy="correct it")
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return HostError(
            kind,
            f"{doing} imports {error.name}, which is not installed",
            line=line,
            remedy=f"install it beside kernelwright, e.g. `pip install {package}`",
        )
    if isinstance(error, SystemExit):
        return HostError(kind, f"{doing} calls sys.exit()", line=line, remedy="remove the call")
    if isinstance(error, MemoryError) or _NO_MEMORY.search(text):
        return HostError("memory", f"{doing} ran out of memory: {text}", line=line, remedy="make its tensors smaller")
    if missing := _MISSING_DEVICE.search(text):
        name = next((group.lower() for group in missing.groups() if group), "cuda")
        return missing_device(kind, doing, name, line)
    if isinstance(error, NEEDS_VALUES):
        return HostError(
            kind,
            f"{doing} asks for the values of a tensor ({text})",
            line=line,
            remedy="make the data smaller, or keep shapes and branches independent of values",
        )
    what = f"{doing} raised {type(error).__name__}" + (f": {text}" if text else "")
    return HostError(kind, what, line=line, remedy="correct the task")


def missing_device(kind: Kind, doing: str, device: str, line: int = 0) -> HostError:
    """The `HostError` for a task that asks for a device that this machine lacks."""
    return HostError(
        kind,
        f"{doing} asks for the device {device}, which is not here",
        line=line,
        remedy="leave the device out: Kernelwright puts the tensors where the kernel runs",
    )


def is_missing(device: torch.device) -> bool:
    """Whether tensors cannot be on this device on this machine (`meta`, which holds no data, is nowhere)."""
    if device.type == "cpu":
        return False
    backend = getattr(torch, device.type, None)
    return backend is None or not getattr(backend, "is_available", lambda: False)()
