"""One proposer of a search, and whether it is worth asking again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from kernelwright.proposers.base import Proposer
from kernelwright.search.graph import SearchGraph


@dataclass
class Feed:
    """A proposer with what its answers so far mean for asking it again."""

    name: str
    proposer: Proposer
    calls: int = 0
    barren: int = 0
    """Answers without a new candidate, in a row."""
    best: str | None = None
    """The best candidate when it was last asked."""
    closed: bool = False
    """It will not say anything any more."""
    resting: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def worth_asking(self, graph: SearchGraph) -> bool:
        """Not without the parents it needs, and not after as many barren answers as its patience until there is a new
        best."""
        best, fruitful = graph.best(), self.barren < self.proposer.patience
        if best is None:
            return not self.proposer.needs_parents and fruitful
        return fruitful or best.id != self.best

    def idle(self, graph: SearchGraph) -> bool:
        """Whether nothing will come from it while the graph stays as it is."""
        return self.closed or (self.resting and not self.worth_asking(graph))

    async def rest(self) -> None:
        """Waits until woken."""
        self.resting = True
        self.wake.clear()
        await self.wake.wait()
        self.resting = False

    def ask(self, graph: SearchGraph) -> None:
        """Notes that it is asked, and when: what becomes the best while it answers, it has not seen."""
        best = graph.best()
        self.calls += 1
        self.best = best.id if best else None

    def heard(self, made: int) -> None:
        """Notes an answer with `made` new candidates."""
        self.barren = 0 if made else self.barren + 1
