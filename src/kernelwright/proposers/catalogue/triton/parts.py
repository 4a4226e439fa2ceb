"""Rows that one block does not hold, but a few blocks do: each is read once, and stays in registers while it is gone
through again."""

from __future__ import annotations

from dataclasses import replace

from kernelwright.proposers.catalogue.ir import Reduce
from kernelwright.proposers.catalogue.loops import Nest, Sweep
from kernelwright.proposers.catalogue.triton.expressions import Emitter, bare
from kernelwright.proposers.catalogue.triton.functions import parts
from kernelwright.proposers.catalogue.triton.nests import KernelText
from kernelwright.proposers.catalogue.triton.space import Space


class PartsText(KernelText):
    """The text of such a kernel.

    Args:
        nest: what is computed.
        cache: the size of the last cache in bytes.
    """

    def __init__(self, nest: Nest, cache: int) -> None:
        super().__init__(nest, None, cache)
        self.count = parts(nest)
        names = {self.inner.flat, self.inner.mask, *(self.space.indices[axis] for axis in self.combined)}
        self.scope.names.update(f"{name}_{place}" for name in names for place in range(self.count))

    def _rows(self, body: Emitter) -> None:
        """All blocks of a row for one sweep, then for the next."""
        blocks = [Emitter(self._part(place), {}, self.scope) for place in range(self.count)]
        for place, block in enumerate(blocks):
            (group,) = (each for each in block.space.groups if each.axes == self.combined)
            block.put(
                f"{group.flat} = {f'{place} * BLOCK + ' if place else ''}tl.arange(0, BLOCK){group.shape}",
                f"{group.mask} = {group.flat} < {block.space.size(self.combined)}",
                *block.space.positions(group),
            )
        for sweep in self.nest.sweeps:
            self._all_of(body, blocks, sweep)
        self._write(body, self.nest.row_stores, scalars=True)

    def _part(self, place: int) -> Space:
        """The positions of one block, by names of its own."""
        names = dict(self.space.indices)
        names |= {axis: f"{names[axis]}_{place}" for axis in self.combined}
        inner = replace(self.inner, flat=f"{self.inner.flat}_{place}", mask=f"{self.inner.mask}_{place}")
        groups = [inner if group is self.inner else group for group in self.space.groups]
        return replace(self.space, groups=groups, indices=names)

    def _all_of(self, body: Emitter, blocks: list[Emitter], sweep: Sweep) -> None:
        """What a sweep does with every block, and what it finds of all of them."""
        body.hoist(sweep.roots, frozenset(self.combined))
        found: dict[Reduce, list[str]] = {node: [] for node in sweep.reductions}
        for block in blocks:
            block.known |= body.known
            block.count(sweep.roots)
            for node in sweep.reductions:
                found[node].append(self._counted(block, node.operand, node.op))
            self._write(block, sweep.stores)
            body.lines += block.lines
            block.lines.clear()
        for node, values in found.items():
            dtype = "int32" if node.operand.dtype == "bool" else node.operand.dtype
            value, *others = values
            for other in others:
                value = body.combined(node.op, bare(value), bare(other), dtype)
            body.known[node] = self._result(body, node, f"({value})")
