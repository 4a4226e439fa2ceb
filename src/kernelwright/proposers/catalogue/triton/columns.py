"""Rows that are combined, with sums of each column beside that, as where a norm goes back: its input's gradient is made
row by row, those of its weight and bias are sums over all rows.

A program goes from row to row and adds up what it finds in each column (as Liger-Kernel's norms do on the way back);
a second kernel adds up what the programs have left.
"""

from __future__ import annotations

from kernelwright.proposers.catalogue.ir import Reduce
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.triton.expressions import Emitter
from kernelwright.proposers.catalogue.triton.functions import Function, described
from kernelwright.proposers.catalogue.triton.nests import KernelText

COLUMNS, TOGETHER = 32, 64
"""Columns of a program of the second kernel, and parts that it reads at once."""


class ColumnSums(KernelText):
    """The text of both kernels; rows are held whole.

    Args:
        nest: what is computed.
        cache: the size of the last cache in bytes.
    """

    def __init__(self, nest: Nest, cache: int) -> None:
        super().__init__(nest, None, cache)
        self.parts = {node: f"{nest.name}_columns_{place}" for place, node in enumerate(nest.finals)}
        self.scope.names.update({"row", "parts", *self._memory})

    def rows(self) -> Function:
        """The kernel that goes from row to row."""
        body = Emitter(self.space, {}, self.scope)
        body.put(*described(self.nest))
        self._along(body, "")
        every = [root for sweep in self.nest.sweeps for root in sweep.roots] + [node.operand for node in self.parts]
        body.hoist(every, frozenset(self.kept))
        sums = {node: body.fresh_name("sums") for node in self.parts}
        body.put(*(f"{name} = tl.zeros((ROWS, BLOCK), tl.float32)" for name in sums.values()))
        group = self.outer
        rows = f"tl.cdiv({self.space.size(group.axes)}, ROWS)"
        body.put(f"for row in tl.range(tl.program_id(0), {rows}, tl.num_programs(0), num_stages=STAGES):")
        loop = body.inner()
        row = "row.to(tl.int64)" if self.space.wide else "row"
        loop.put(*self._positions(group, row, "ROWS"))
        loop.count(node.operand for node in sums)
        self._of_rows(loop)
        self._run(loop, [node.operand for node in sums])
        for node, name in sums.items():
            exists = f"{group.mask} & {self.inner.mask}"
            loop.put(f"{name} += tl.where({exists}, {loop.value(node.operand)}, 0.0)")
        body.lines += loop.lines
        at = f"tl.program_id(0) * {self.space.size(self.combined)} + {self.inner.flat}"
        for node, name in sums.items():
            total = f"tl.sum({name}, 0, keep_dims=True)"
            body.put(f"tl.store({self.parts[node]}_ptr + {at}, {total}, mask={self.inner.mask})")
        return self.finished(body, ("ROWS", "BLOCK", "STAGES"), "_rows", self._memory)

    def sums(self) -> Function:
        """The kernel that adds up what programs have left."""
        body = Emitter(self.space, {}, self.scope)
        body.put(*self._positions(self.inner, "tl.program_id(0)", "BLOCK"))
        for node, part in self.parts.items():
            body.known[node] = self._added(body, node, part)
        self._write(body, self.nest.final_stores)
        return self.finished(body, ("BLOCK", "PARTS"), "_sums", self._memory)

    def _added(self, body: Emitter, node: Reduce, part: str) -> str:
        name, group = body.fresh_name(self.result_name(node)), self.inner
        at = f"parts * {self.space.size(group.axes)} + {group.flat}"
        body.put(
            f"{name} = tl.zeros(({TOGETHER}, BLOCK), tl.float32)",
            f"for start in range(0, PARTS, {TOGETHER}):",
            f"    parts = start + tl.arange(0, {TOGETHER})[:, None]",
            f"    {name} += tl.load({part}_ptr + {at}, mask=(parts < PARTS) & {group.mask}, other=0.0)",
            f"{name} = tl.sum({name}, 0, keep_dims=True)",
        )
        return name

    @property
    def _memory(self) -> list[str]:
        return [f"{name}_ptr" for name in self.parts.values()]
