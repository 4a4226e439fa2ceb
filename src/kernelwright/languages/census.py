"""Counts and times a candidate's own kernels, and switches them off.

Runs beside the candidate: torch and the standard library only.

What is counted here is a claim, since the candidate shares the process: the judge believes an ablation by the answer
that comes out of it, and a census only as far as it is against the candidate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.utils.dlpack

FindName = Callable[[Callable[..., Any]], str]
Hook = Callable[["Kernel", tuple[Any, ...], dict[str, Any]], Any]
Mark = Callable[[], Any]
Between = Callable[[Any, Any], float]


class Kernel:
    """One function that a candidate built. `returns_tensors` is learnt while a census runs."""

    __slots__ = ("find_name", "marks", "raw", "returns_tensors")

    def __init__(self, find_name: Callable[[], str], raw: Callable[..., Any]) -> None:
        self.find_name, self.raw = find_name, raw
        self.marks: list[tuple[Any, Any]] = []
        self.returns_tensors = False


_kernels: list[Kernel] = []
_hook: Hook | None = None
_mark: Mark = time.perf_counter
_between: Between = lambda begin, end: float(end - begin)  # noqa: E731 - one of two, chosen by `census_start`


def counted(find_name: FindName, raw: Callable[..., Any]) -> Callable[..., Any]:
    """A stand-in for `raw` that a census counts and an ablation switches off; else it only passes the call on (0.1 µs).

    `find_name` is given the stand-in when a census is read, since some kernels are named after they are built.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return raw(*args, **kwargs) if _hook is None else _hook(kernel, args, kwargs)

    kernel = Kernel(lambda: find_name(call), raw)
    _kernels.append(kernel)
    return call


def census_start(mark: Mark | None = None, between: Between | None = None) -> None:
    """Counts and times every call from now on, beginning at zero; ends an ablation.

    Args:
        mark: notes a moment; by default the host's clock does. On a device, calls return before they have run.
        between: the seconds between two such moments, asked when the census is read.
    """
    global _hook, _mark, _between
    if mark is not None and between is not None:
        _mark, _between = mark, between
    for kernel in _kernels:
        kernel.marks = []
    _hook = _count


def census() -> dict[str, Any]:
    """Ends the census. Returns `{"kernels": {name: {"calls": n, "seconds": s}}, "seconds": total}`.

    Kernels of one name are summed.
    """
    global _hook
    _hook = None
    kernels: dict[str, dict[str, float]] = {}
    for kernel in _kernels:
        entry = kernels.setdefault(kernel.find_name(), {"calls": 0, "seconds": 0.0})
        entry["calls"] += len(kernel.marks)
        entry["seconds"] += sum(_between(begin, end) for begin, end in kernel.marks)
    return {"kernels": kernels, "seconds": sum(entry["seconds"] for entry in kernels.values())}


def ablate(on: bool) -> None:
    """Switches all kernels off: they touch none of the caller's tensors. Run a census before it.

    A kernel that returned tensors in the census returns poisoned ones of the same shape (NaN, or the dtype's largest
    value), so that a candidate cannot pass by failing where its decoy's result is used for its shape alone.
    """
    global _hook
    _hook = _skip if on else None


def _count(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    begin = _mark()
    result = kernel.raw(*args, **kwargs)
    kernel.marks.append((begin, _mark()))
    if result is not None:
        kernel.returns_tensors = kernel.returns_tensors or any(True for _ in _tensors(result))
    return result


def _skip(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not kernel.returns_tensors:
        return None
    result = kernel.raw(*_cloned(args), **_cloned(kwargs))
    for tensor in _tensors(result):
        floating = tensor.dtype.is_floating_point or tensor.dtype.is_complex
        tensor.detach().fill_(float("nan") if floating else _largest(tensor.dtype))
    return result


def _largest(dtype: torch.dtype) -> int | bool:
    return True if dtype is torch.bool else torch.iinfo(dtype).max


def _cloned(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _cloned(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cloned(entry) for entry in value)
    return value


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in a kernel's result. tvm-ffi has a kind of its own, which shares memory through DLPack."""
    if isinstance(value, torch.Tensor):
        yield value
    elif hasattr(value, "__dlpack__"):
        yield torch.utils.dlpack.from_dlpack(value)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _tensors(entry)
