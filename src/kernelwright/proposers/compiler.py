"""What torch.compile makes of the task, as a candidate: a search that ends below it has wasted its time."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kernelwright.proposers.base import Candidate, Context, Proposer


class Compiler(Proposer):
    """Proposes one candidate a run, or none where torch.compile's work cannot be captured."""

    name = "compiler"

    def __init__(self) -> None:
        self._asked = False

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """Yields the captured module the first time it is asked, if candidates are written in C++."""
        if self._asked or context.language != "cpp":
            return
        self._asked = True
        source = await context.compiled()
        if source is not None:
            yield Candidate(
                source=source,
                language="cpp",
                proposer=self.name,
                note="what torch.compile generates for the first timed case",
            )
