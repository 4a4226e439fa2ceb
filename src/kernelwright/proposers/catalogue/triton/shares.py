"""Reductions of few results over much: programs combine a share each, and what comes next combines the shares.

A sweep becomes a kernel of its own, which leaves a partial result for each share; the next one begins by combining
those of the sweeps before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelwright.proposers.catalogue.ir import Reduce
from kernelwright.proposers.catalogue.loops import Nest, Sweep
from kernelwright.proposers.catalogue.triton.expressions import Emitter
from kernelwright.proposers.catalogue.triton.functions import Function, described
from kernelwright.proposers.catalogue.triton.nests import KernelText


@dataclass(frozen=True)
class Part:
    """Memory for one number of each share of each result."""

    name: str
    dtype: str


class ShareText(KernelText):
    """The kernel of one sweep, or of what is known once all sweeps are done.

    Args:
        nest: what is computed.
        index: which sweep; their number for what comes after them.
        cache: the size of the last cache in bytes.
    """

    def __init__(self, nest: Nest, index: int, cache: int) -> None:
        super().__init__(nest, None, cache)
        self.index = index
        done = [node for sweep in nest.sweeps[: index + 1] for node in sweep.reductions]
        self.parts = {node: f"{nest.name}_parts_{place}" for place, node in enumerate(done)}
        self.scope.names.update(
            {"share", "shares", "span", "begin", "end", *(f"{name}_ptr" for name in self.parts.values())}
        )

    @property
    def memory(self) -> list[Part]:
        """What it reads and writes of partial results."""
        found = []
        for node, name in self.parts.items():
            dtype = "int32" if node.operand.dtype == "bool" else node.operand.dtype
            found.append(Part(name, dtype))
            if node.op.startswith("arg"):
                found.append(Part(f"{name}_at", "int32"))
        return found

    def function(self) -> Function:
        """The finished kernel."""
        nest = self.nest
        body = Emitter(self.space, {}, self.scope)
        if self.index == 0:
            body.put(*described(nest))
        self._place(body)
        shares = "tl.arange(0, SHARES)" + self.inner.shape
        if self.index:
            body.put("# What all shares have found so far.", f"shares = {shares}")
        for sweep in nest.sweeps[: self.index]:
            self._merge(body, sweep)
        if self.index < len(nest.sweeps):
            self._own_share(body)
        else:
            self._write(body, nest.row_stores, scalars=True)
        parts = [f"{part.name}_ptr" for part in self.memory]
        return self.finished(body, (*self.numbers, "SHARES"), f"_{self.index}", parts)

    def _own_share(self, body: Emitter) -> None:
        """The sweep along this program's share, and what it leaves."""
        sweep = self.nest.sweeps[self.index]
        count = self.space.size(self.combined)
        body.put(
            "# This program's share, in whole blocks.",
            "share = SHARES - 1 - tl.program_id(1)" if self.turns(sweep) else "share = tl.program_id(1)",
            f"span = tl.cdiv(tl.cdiv({count}, SHARES), BLOCK) * BLOCK",
            "begin = share * span",
            f"end = max(begin, min(begin + span, {count}))",
        )
        names = self._sweep(body, sweep, "begin", "end")
        at = self._result_place()
        mask = self._result_mask()
        for node in sweep.reductions:
            part = self.parts[node]
            value = body.known[node]
            if node.op.startswith("arg"):
                body.put(f"tl.store({part}_at_ptr + {at} * SHARES + share, {value}{mask})")
                value = f"{names[node]}_best"
            elif node.dtype == "bool":
                value = f"{value}.to(tl.int32)"
            body.put(f"tl.store({part}_ptr + {at} * SHARES + share, {value}{mask})")

    def _result_place(self) -> str:
        return self.outer.flat if self.kept else "at"

    def _result_mask(self) -> str:
        return f", mask={self.outer.mask}" if self.outer.mask and self.kept else ""

    def _merge(self, body: Emitter, sweep: Sweep) -> None:
        """Combines what the shares of an earlier sweep have left."""
        mask = self._result_mask()
        at = f"{self._result_place()} * SHARES + shares"
        names: dict[Reduce, str] = {}
        for node in sweep.reductions:
            names[node] = body.fresh_name(self.result_name(node))
            body.put(f"{names[node]} = tl.load({self.parts[node]}_ptr + {at}{mask})")
            if node.op.startswith("arg"):
                body.put(f"{names[node]}_at = tl.load({self.parts[node]}_at_ptr + {at}{mask})")
        for node, most in sweep.online.items():
            self._end_online(body, node, most, names)
        for node in sweep.plain:
            body.known[node] = self._ended(body, node, names[node])
