"""What a forward reads, writes and computes, found by watching its operations; under fake tensors this costs no memory.

Least traffic is worked out backwards from the outputs: an operation counts when something that is returned depends on
it, and an input counts by the elements that such operations read of it (a slice, or a gather, reads less than all).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kernelwright.tasks.host_sums import GATHERS, PICKS, SumsBehind, storage

aten = torch.ops.aten

_OVERWRITES = {aten.copy_, aten.fill_, aten.zero_, aten.uniform_, aten.normal_, aten.bernoulli_, aten.random_}
"""In-place operations that do not read what they write to."""
_ARBITRARY = {aten.topk, aten.kthvalue, aten.median, aten.nanmedian, aten.mode}
"""Operations that may choose any of several equal values."""
_BATCH_NORMS = {aten.native_batch_norm, aten.cudnn_batch_norm, aten.miopen_batch_norm}
"""Operations that write to their running statistics (arguments 3 and 4) in training without their schema saying so."""


@dataclass(frozen=True)
class _Step:
    reads: tuple[tuple[int, int, object], ...]
    """Storage, elements read at most, and which elements (a key equal for equal views)."""
    writes: frozenset[int]


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records each operation's reads and writes by storage; keeps tensors alive, so that no address is used twice."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[_Step] = []
        self.written: set[int] = set()
        """Storages that in-place operations changed."""
        self.sums = SumsBehind()
        self.arbitrary = False
        """Whether an operation may choose any of several equal values."""
        self._alive: list[Any] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs the operation and records it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        results = _tensors(result)
        if results or func._schema.is_mutable:  # noqa: SLF001 - torch offers no public way to ask
            self._alive.append((args, kwargs, result))
            self._record(func, args, kwargs, result)
        return result

    def _record(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        results = _tensors(result)
        changed = _changed_arguments(func, args, kwargs)
        operands = _tensors((args, kwargs))
        known = {storage(operand) for operand in operands}
        if not changed and results and all(storage(result) in known for result in results):
            return  # a view
        self.written |= {storage(tensor) for tensor in changed}
        self.arbitrary |= func.overloadpacket in _ARBITRARY
        unread = {id(tensor) for tensor in changed} if func.overloadpacket in _OVERWRITES else set()
        read = [operand for operand in operands if id(operand) not in unread]
        self.sums.note(func, args, kwargs, result, read, [*results, *changed])
        most = {id(operands[0]): _most_read(func, operands, results)} if operands else {}
        reads = tuple(
            (storage(operand), int(min(_elements(operand), most.get(id(operand), math.inf))), _view(operand))
            for operand in read
        )
        self.steps.append(_Step(reads, frozenset(storage(tensor) for tensor in (*results, *changed))))

    def read_bytes(self, sources: Iterable[Tensor], goals: Iterable[Tensor]) -> int:
        """Bytes of `sources` that what is in `goals` depends on, each read once."""
        roots = {storage(source): source for source in sources}
        needed = {storage(goal) for goal in goals}
        read: dict[int, dict[object, int]] = {}
        for step in reversed(self.steps):
            if not step.writes & needed:
                continue
            for key, elements, view in step.reads:
                needed.add(key)
                if key in roots:
                    views = read.setdefault(key, {})
                    views[view] = max(elements, views.get(view, 0))
        return sum(
            min(sum(views.values()), _elements(roots[key])) * roots[key].element_size() for key, views in read.items()
        )


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _changed_arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    if func.overloadpacket in _BATCH_NORMS:
        return _tensors(args[3:5]) if len(args) > 5 and args[5] else []
    if not func._schema.is_mutable:  # noqa: SLF001
        return []
    changed = []
    for index, argument in enumerate(func._schema.arguments):  # noqa: SLF001
        if argument.alias_info is not None and argument.alias_info.is_write:
            changed += _tensors(args[index] if index < len(args) else kwargs.get(argument.name))
    return changed


def _most_read(func: Any, operands: list[Tensor], results: list[Tensor]) -> float:
    """The most elements of its first operand that an operation reads, however large that is."""
    if func.overloadpacket in GATHERS:
        return results[0].numel()
    return operands[1].numel() if func.overloadpacket in PICKS else math.inf


def _elements(tensor: Tensor) -> int:
    """Distinct elements of a view: broadcast dimensions count once."""
    return math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)


def _view(tensor: Tensor) -> object:
    """Equal for views that read the same elements, whatever order their dimensions come in."""
    axes = zip(tensor.stride(), tensor.shape, strict=True)
    merged: list[tuple[int, int]] = []
    for stride, size in sorted((stride, size) for stride, size in axes if stride and size > 1):
        if merged and merged[-1][0] * merged[-1][1] == stride:
            merged[-1] = (merged[-1][0], merged[-1][1] * size)
        else:
            merged.append((stride, size))
    return tensor.storage_offset(), tuple(merged)
