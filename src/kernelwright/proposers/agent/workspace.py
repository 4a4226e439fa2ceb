"""What the agent works on: the version in its hands, and the lineage that it commits to."""

from __future__ import annotations

from collections.abc import Iterator

from kernelwright.errors import UsageError
from kernelwright.proposers.base import Attempt, Candidate, Context
from kernelwright.proposers.llm import feedback, reply
from kernelwright.proposers.llm.templates import Templates

NAME = "agent"


class Workspace:
    """Begins with a version of the run, or with nothing.

    Life cycle: made for one conversation; `change` and `check_out` alter the working version, `candidate` gives it to
    the judge, `judged` takes the verdict, `commit` makes it the lineage's head. The same calls in the same order lead
    to the same state, which is how an interrupted conversation is taken up again.
    """

    def __init__(self, context: Context, start: Attempt | None, templates: Templates) -> None:
        self.context, self.head, self.templates = context, start, templates
        self.source = start.candidate.source if start else ""
        self.commits = 0
        self._origin = start
        """The last judged version that the working version comes from; both are the same where it has no change."""

    def attempts(self) -> Iterator[Attempt]:
        """All versions of the run that have a verdict, the latest first."""
        return reversed(self.context.history)

    def find(self, version: str) -> Attempt:
        """The version whose id begins so.

        Raises:
            UsageError: there is none, or several.
        """
        found = [attempt for attempt in self.attempts() if attempt.id.startswith(version)]
        if len(found) != 1:
            what = f"{len(found)} versions begin with" if found else "there is no version"
            raise UsageError(f"{what} {version!r}", remedy="`nodes` lists them")
        return found[0]

    def is_head(self, attempt: Attempt) -> bool:
        """Whether it is the head of the lineage."""
        return self.head is not None and self.head.id == attempt.id

    def change(self, text: str) -> None:
        """Makes the working version from a whole module, or from search and replace blocks.

        Raises:
            ReplyProblem: it cannot be used; nothing was changed.
        """
        self.source = reply.read(text, self.source).source

    def check_out(self, attempt: Attempt) -> None:
        """Makes a judged version the working version."""
        self.source, self._origin = attempt.candidate.source, attempt

    def candidate(self, idea: str) -> Candidate:
        """The working version as a candidate.

        Raises:
            UsageError: there is none yet.
        """
        if not self.source:
            raise UsageError("there is no working version yet", remedy="`write` one")
        parents = (self._origin.id,) if self._origin else ()
        language = self.context.language
        return Candidate(source=self.source, language=language, proposer=NAME, parents=parents, note=idea)

    def known(self, candidate: Candidate) -> Attempt | None:
        """The verdict that the run has on it already."""
        return self.context.history.find(candidate.id)

    def judged(self, attempt: Attempt) -> str:
        """Takes the verdict on the working version; says it in words."""
        self._origin = attempt
        return f"Version `{attempt.id}`. {self.told(attempt)}\n\n{self._standing(attempt)}".strip()

    def told(self, attempt: Attempt) -> str:
        """The verdict on a version in a few lines."""
        return feedback.told(attempt, self.context, self.templates)

    def summary(self, attempt: Attempt) -> str:
        """The verdict on a version in one line."""
        return feedback.summary(attempt, self.templates)

    def commit(self) -> str:
        """Makes the working version the head of the lineage.

        Raises:
            UsageError: it is not judged as it is, not accepted, or slower than the head.
        """
        attempt = self._origin
        if attempt is None or attempt.candidate.source != self.source:
            raise UsageError("the working version has no verdict", remedy="`evaluate` it first")
        if self.is_head(attempt):
            raise UsageError("it is the lineage's head already")
        if not attempt.verdict.accepted:
            raise UsageError("it was rejected", remedy="mend it, or `check_out` another version")
        if speed(attempt) < speed(self.head):
            raise UsageError(
                f"it is slower than the lineage's head ({speed(self.head):.2f}x)", remedy="go on from either"
            )
        self.head = attempt
        self.commits += 1
        return f"Committed: the lineage's head is `{attempt.id}`, {speed(attempt):.2f}x."

    def _standing(self, attempt: Attempt) -> str:
        if not attempt.verdict.accepted:
            return ""
        if self.head is None:
            return "It is the first accepted version of your lineage: commit it."
        than = f"the lineage's head, which has {speed(self.head):.2f}x"
        if speed(attempt) < speed(self.head):
            return f"It is slower than {than}: it cannot be committed."
        return f"It is not slower than {than}: commit it."


def speed(attempt: Attempt | None) -> float:
    """The speedup over the reference, 0 where there is none."""
    return attempt.verdict.speedup or 0.0 if attempt and attempt.verdict.accepted else 0.0
