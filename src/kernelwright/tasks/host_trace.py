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
from torch.utils.flop_counter import FlopCounterMode

from kernelwright.tasks import host_recurrent

aten = torch.ops.aten

_GATHERS = {
    aten.embedding, aten.index, aten.gather, aten.index_select, aten.take, aten.upsample_nearest1d,
    aten.upsample_nearest2d, aten.upsample_nearest3d,
}  # fmt: skip
"""Operations that read at most one element of their first operand for each element of their result."""
_PICKS = {aten.nll_loss_forward, aten.nll_loss2d_forward}
"""Operations that read one element of their first operand for each element of their second."""
_OVERWRITES = {aten.copy_, aten.fill_, aten.zero_, aten.uniform_, aten.normal_, aten.bernoulli_, aten.random_}
"""In-place operations that do not read what they write to."""
_ARBITRARY = {aten.topk, aten.kthvalue, aten.median, aten.nanmedian, aten.mode}
"""Operations that may choose any of several equal values."""
_BATCH_NORMS = {aten.native_batch_norm, aten.cudnn_batch_norm, aten.miopen_batch_norm}
"""Operations that write to their running statistics (arguments 3 and 4) in training without their schema saying so."""


_ALONG_A_DIMENSION = {aten._softmax, aten._log_softmax, aten.cumsum, aten.logcumsumexp}  # noqa: SLF001
"""Operations whose results are as large as their operand, and sums along the dimension that comes second."""


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
        self.chain = 1.0
        """The most numbers that one operation adds up for one of its results, matrix products apart."""
        self.arbitrary = False
        """Whether an operation may choose any of several equal values."""
        self._alive: list[Any] = []
        self._behind: dict[int, float] = {}
        """Numbers that were added up for an element of each storage, operation after operation."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs the operation and records it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        results = _tensors(result)
        if results or func._schema.is_mutable:  # noqa: SLF001 - torch offers no public way to ask
            self._alive.append((args, kwargs, result))
            self._record(func, args, kwargs, results)
        return result

    def _record(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], results: list[Tensor]) -> None:
        changed = _changed_arguments(func, args, kwargs)
        operands = _tensors((args, kwargs))
        known = {storage(operand) for operand in operands}
        if not changed and results and all(storage(result) in known for result in results):
            return  # a view
        self.written |= {storage(tensor) for tensor in changed}
        self.arbitrary |= func.overloadpacket in _ARBITRARY
        self._note_terms(func, args, kwargs, operands, [*results, *changed])
        unread = {id(tensor) for tensor in changed} if func.overloadpacket in _OVERWRITES else set()
        most = {id(operands[0]): _most_read(func, operands, results)} if operands else {}
        reads = tuple(
            (storage(operand), int(min(_elements(operand), most.get(id(operand), math.inf))), _view(operand))
            for operand in operands
            if id(operand) not in unread
        )
        self.steps.append(_Step(reads, frozenset(storage(tensor) for tensor in (*results, *changed))))

    def _note_terms(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], operands: list[Tensor], results: list[Tensor]
    ) -> None:
        """Adds what an operation adds up to what lies behind its operands: rounding errors of sums that follow each
        other add up."""
        count = _PRODUCTS.get(func.overloadpacket)
        if count is None:
            added = max(1.0, _terms(func, args, operands, results))
            self.chain = max(self.chain, added)
        else:
            made = results[0] if len(results) == 1 else results
            added = max(1.0, count(*args, **kwargs, out_val=made) / 2 / max(results[0].numel(), 1))
        before = max((self._behind.get(storage(operand), 0.0) for operand in operands), default=0.0)
        for result in results:
            self._behind[storage(result)] = max(before + added, self._behind.get(storage(result), 0.0))

    def terms(self, goals: Iterable[Tensor]) -> float:
        """The most numbers that were added up on the way to an element of `goals`, one operation after another."""
        return max((self._behind.get(storage(goal), 1.0) for goal in goals), default=1.0)

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


def storage(tensor: Tensor) -> int:
    """What tells storages apart while they are alive."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - fake tensors have no address


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
    if func.overloadpacket in _GATHERS:
        return results[0].numel()
    return operands[1].numel() if func.overloadpacket in _PICKS else math.inf


def _terms(func: Any, args: tuple[Any, ...], operands: list[Tensor], results: list[Tensor]) -> float:
    """How many numbers an operation adds up for one result; norms tell by the statistics that they return beside it."""
    if not operands or func.overloadpacket in _GATHERS:
        return 1.0
    if func.overloadpacket in _ALONG_A_DIMENSION:
        return float(operands[0].shape[args[1]]) if operands[0].ndim else 1.0
    if "scaled_dot_product" in str(func.overloadpacket):
        return float(operands[1].shape[-2])
    smallest = min((result.numel() for result in results if result.numel()), default=math.inf)
    return operands[0].numel() / smallest


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


def flop_counter() -> FlopCounterMode:
    """Torch's counter, which lacks recurrent layers."""
    return FlopCounterMode(display=False, custom_mapping=dict(host_recurrent.FLOPS))


_PRODUCTS = flop_counter().flop_registry
"""How torch counts the FLOPs of products and convolutions."""
