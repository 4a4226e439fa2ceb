"""Who notices that the agent goes round in circles."""

from __future__ import annotations

from collections import Counter

from kernelwright.proposers.agent.workspace import speed
from kernelwright.proposers.base import Attempt

STEPS, EVALUATIONS, WRONG, ALIKE = 80, 8, 5, 3
"""AVO's figures (arXiv 2603.24517): replies without a commit, evaluations without a gain, rejections in a row, and the
same call with the same result."""


class Supervisor:
    """Counts what happens in a conversation since it last went forward.

    Life cycle: made for one conversation, with the speedup that it begins at; told of everything; `stalled` says why
    the agent needs another direction, and `redirected` that it got one, so that counting begins anew. `directions` are
    those since the last commit.
    """

    def __init__(self, best: float) -> None:
        self.directions = 0
        self._best = best
        self._steps = self._flat = self._wrong = 0
        self._calls: Counter[tuple[str, ...]] = Counter()

    def replied(self) -> None:
        """The model has said something."""
        self._steps += 1

    def returned(self, *what: str) -> None:
        """A tool was called: name, arguments and result; or nothing was."""
        self._calls[what] += 1

    def judged(self, attempt: Attempt) -> None:
        """A version got its verdict."""
        gained = speed(attempt) > self._best
        self._best = max(self._best, speed(attempt))
        self._flat = 0 if gained else self._flat + 1
        self._wrong = 0 if attempt.verdict.accepted else self._wrong + 1

    def committed(self) -> None:
        """The lineage went on."""
        self.redirected()
        self.directions = 0

    def redirected(self) -> None:
        """The agent was given another direction."""
        self.directions += 1
        self._steps = self._flat = self._wrong = 0
        self._calls.clear()

    def stalled(self) -> str:
        """Why it should turn to something else; empty where it goes well."""
        if self._wrong >= WRONG:
            return f"{self._wrong} versions in a row were rejected."
        if self._flat >= EVALUATIONS:
            return f"{self._flat} versions in a row were not faster than what you had."
        if max(self._calls.values(), default=0) >= ALIKE:
            repeated = next(what[0] for what, times in self._calls.items() if times >= ALIKE)
            what = f"You called `{repeated}` in the same way" if repeated else "You replied without calling a tool"
            return f"{what} {ALIKE} times."
        if self._steps >= STEPS:
            return f"{self._steps} replies have passed without a commit."
        return ""
