"""How many numbers are added up for an element of each result: what rounding in float32 may leave grows with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from kernelwright.tasks import host_recurrent

aten = torch.ops.aten

GATHERS = {
    aten.embedding, aten.index, aten.gather, aten.index_select, aten.take, aten.upsample_nearest1d,
    aten.upsample_nearest2d, aten.upsample_nearest3d,
}  # fmt: skip
"""Operations that read at most one element of their first operand for each element of their result."""
PICKS = {aten.nll_loss_forward, aten.nll_loss2d_forward}
"""Operations that read one element of their first operand for each element of their second."""
_SELECTIONS = {
    aten.any, aten.all, aten.amax, aten.amin, aten.aminmax, aten.max, aten.min, aten.topk, aten.sort, aten.kthvalue,
    aten.median, aten.nanmedian, aten.mode, aten.cummax, aten.cummin, aten.max_pool2d_with_indices,
    aten.max_pool3d_with_indices, aten.adaptive_max_pool2d, aten.adaptive_max_pool3d, aten.new_empty, aten.new_zeros,
    aten.new_ones, aten.new_full, aten.new_empty_strided,
}  # fmt: skip
"""Operations whose results are fewer than their operands' elements, and no sums of them."""
_ALONG_A_DIMENSION = {aten._softmax, aten._log_softmax, aten.cumsum, aten.logcumsumexp}  # noqa: SLF001
"""Operations whose results are as large as their operand, and sums along the dimension that comes second."""
_PRODUCTS: dict[Any, Callable[..., float]] = {
    aten.mv: lambda a, _: a.shape[1],
    aten.dot: lambda a, _: a.numel(),
    aten.vdot: lambda a, _: a.numel(),
    aten.addmv: lambda _, a, __: a.shape[1],
    aten.addbmm: lambda _, a, __: a.shape[0] * a.shape[2],
    aten._trilinear: lambda a, b, c, *_: a.numel() * b.numel() / max(c.numel(), 1),  # noqa: SLF001
    aten._cdist_forward: lambda a, *_: a.shape[-1],  # noqa: SLF001
    **dict.fromkeys(
        (aten._embedding_bag, aten._embedding_bag_forward_only),  # noqa: SLF001
        lambda _, indices, offsets, *__: indices.numel() / max(offsets.numel(), 1),
    ),
}
"""Terms of operations that torch counts no FLOPs of, from their positional arguments."""
_FLASH = aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001


def _flash(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


class _NoModules(nullcontext[None]):
    """In place of what tells a counter in which module it is: its hooks do not go with gradients of inputs."""

    parents = ("Global",)


def flop_counter() -> FlopCounterMode:
    """Torch's counter, which lacks recurrent layers and the CPU's attention."""
    counter = FlopCounterMode(display=False, custom_mapping={**host_recurrent.FLOPS, _FLASH: _flash})
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    return counter


_FLOPS = flop_counter().flop_registry


@dataclass(frozen=True)
class Sums:
    """`terms` numbers were added up on the way to an element, one operation after another; `chain` is the most that one
    of them adds up, products apart."""

    terms: float = 0.0
    chain: float = 1.0


class SumsBehind:
    """What lies behind each storage. Life cycle: `note` each operation, in order; `of` whatever is of interest."""

    def __init__(self) -> None:
        self._behind: dict[int, Sums] = {}
        self._summed: dict[int, float] = {}
        """For what a sum has just made: numbers that one loop would add up for it. A sum of sums is one sum."""

    def note(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        operands: list[Tensor],
        results: list[Tensor],
    ) -> None:
        """One operation that is no view: `result` as it returned it, `results` with what it changed in place."""
        operands = [each for each in operands if _rounds(each)]
        whole, results = results, [each for each in results if _rounds(each)]
        if not results:
            for key in map(storage, whole):  # decided by what lies behind its operands
                self._behind[key] = self.of(operands)
            return
        packet = _out_of_place(func)
        product = _product(packet, args, kwargs, result, results)
        added = max(1.0, _added(packet, args, operands, results) if product is None else product)
        if product is None and added > 1 and operands:
            added *= self._summed.get(storage(operands[0]), 1.0)
        before = [self._behind.get(storage(operand), Sums()) for operand in operands]
        terms = added + max((each.terms for each in before), default=0.0)
        chain = max([added if product is None else 1.0, *(each.chain for each in before)])
        for key in map(storage, results):
            held = self._behind.get(key, Sums())
            self._behind[key] = Sums(max(terms, held.terms), max(chain, held.chain))
            self._summed[key] = added if product is None else 1.0

    def of(self, goals: Iterable[Tensor]) -> Sums:
        """The most behind an element of `goals`."""
        found = [self._behind.get(storage(goal), Sums()) for goal in goals]
        terms, chain = ((each.terms for each in found), (each.chain for each in found))
        return Sums(max(terms, default=0.0), max(chain, default=1.0))


def storage(tensor: Tensor) -> int:
    """What tells storages apart while they are alive."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - fake tensors have no address


def _rounds(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _out_of_place(func: Any) -> Any:
    """`aten.addmm` for `aten.addmm_`."""
    packet = func.overloadpacket
    name = str(packet).rpartition(".")[2]
    plain = name.endswith("_") and not name.endswith("__") and str(packet).startswith("aten.")
    return getattr(aten, name[:-1], packet) if plain else packet


def _product(
    packet: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, results: list[Tensor]
) -> float | None:
    """Terms of a product for an element of its result, of the smallest one of several gradients; None for whatever
    else."""
    if packet is aten.convolution and args[6]:
        return _transposed(*args)
    if packet in _FLOPS:
        made = results if packet is aten.convolution_backward else results[:1]  # beside attention's are its statistics
        elements = max(min(each.numel() for each in made), 1)
        return float(_FLOPS[packet](*args, **kwargs, out_val=result)) / 2 / elements
    return float(_PRODUCTS[packet](*args)) if packet in _PRODUCTS and not kwargs else None


def _transposed(_: Any, weight: Tensor, __: Any, stride: list[int], ___: Any, dilation: list[int], *more: Any) -> float:
    """Terms of a transposed convolution where most of its elements of the window meet: with strides the mean is less,
    since a result meets those alone that are a multiple of the stride away."""
    groups, spans = int(more[-1]), weight.shape[2:]
    strides, dilations = (list(each) * (len(spans) // len(each)) for each in (stride, dilation))
    apart = [s // math.gcd(s, d) for s, d in zip(strides, dilations, strict=True)]
    met = math.prod(-(-span // each) for span, each in zip(spans, apart, strict=True))
    return float(weight.shape[0] // groups * met)


def _added(packet: Any, args: tuple[Any, ...], operands: list[Tensor], results: list[Tensor]) -> float:
    """How many numbers an operation adds up for one result; norms tell by the statistics that they return beside it."""
    if not operands or packet in GATHERS or packet in _SELECTIONS:
        return 1.0
    if packet in PICKS:
        return float(args[1].numel() / max(results[0].numel(), 1))
    if packet in _ALONG_A_DIMENSION:
        return float(operands[0].shape[args[1]]) if operands[0].ndim else 1.0
    smallest = min((each.numel() for each in results if each.numel()), default=math.inf)
    return operands[0].numel() / smallest
