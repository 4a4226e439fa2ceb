"""A maximum and a sum of exponentials relative to it, found in one sweep: the sum so far shrinks when a larger value
comes (M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018)."""

from __future__ import annotations

from collections.abc import Sequence

from kernelwright.proposers.catalogue.ir import Apply, Reduce, Store, walk


def exponentials(stores: Sequence[Store]) -> dict[Reduce, Reduce]:
    """Sums of exp(x - m), with the m that is the maximum of x over the same axes."""
    found: dict[Reduce, Reduce] = {}
    for node in walk(store.expr for store in stores):
        match node:
            case Reduce(
                dtype="float32",
                op="sum",
                operand=Apply(
                    op="exp" | "exp_nonpos", operands=(Apply(op="sub", operands=(x, Reduce(op="max") as most)),)
                ),
            ) if most.operand is x and frozenset(most.axes) == frozenset(node.axes):
                found[node] = most
    return found
