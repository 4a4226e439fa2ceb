"""Where candidates come from."""

from __future__ import annotations

import hashlib
import math
import random
from abc import ABC, abstractmethod
from bisect import insort
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from pydantic import BaseModel, ConfigDict

from kernelwright.judge.verdict import Verdict
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.tasks import Graph, TaskInfo, Tolerance

if TYPE_CHECKING:
    from kernelwright.knowledge.library import Library
    from kernelwright.proposers.llm.call import Answerer
    from kernelwright.proposers.llm.templates import Templates


class Candidate(BaseModel):
    """One Python source file with a `ModelNew`, its language, its parents, and who proposed it. `note` says what it
    tries; `replies` are the numbers of the run's calls of language models that it came of, `surprisal` is that of the
    reply that it is in, where the endpoint says (see `Reply`): it is not stored, since it only decides what waits."""

    model_config = ConfigDict(frozen=True)

    source: str
    language: str
    proposer: str = "user"
    parents: tuple[str, ...] = ()
    note: str = ""
    replies: tuple[int, ...] = ()
    surprisal: float | None = None

    @property
    def id(self) -> str:
        """16 hex digits of language and source: the same text is the same candidate, whoever proposes it."""
        return hashlib.sha256(f"{self.language}\n{self.source}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Attempt:
    """A candidate with its verdict: a node of the search graph as proposers see it."""

    candidate: Candidate
    verdict: Verdict

    @property
    def id(self) -> str:
        """The candidate's, which the verdict repeats: it need not be computed from the source."""
        return self.verdict.candidate


class History(Sequence[Attempt]):
    """All attempts of a run so far, oldest first. It only grows; what is asked of it takes no longer for that."""

    def __init__(self, attempts: Iterable[Attempt] = ()) -> None:
        self._attempts: list[Attempt] = []
        self._places: dict[str, int] = {}
        self._children: defaultdict[str, list[Attempt]] = defaultdict(list)
        self._ranked: list[tuple[float, int]] = []
        """The accepted ones, best first: the speedup below 0, and the place."""
        for attempt in attempts:
            self.add(attempt)

    @overload
    def __getitem__(self, index: int) -> Attempt: ...

    @overload
    def __getitem__(self, index: slice) -> list[Attempt]: ...

    def __getitem__(self, index: int | slice) -> Attempt | list[Attempt]:
        return self._attempts[index]

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts)

    def add(self, attempt: Attempt) -> None:
        """Adds the latest one."""
        place = self._places[attempt.id] = len(self._attempts)
        self._attempts.append(attempt)
        for parent in attempt.candidate.parents:
            self._children[parent].append(attempt)
        if attempt.verdict.accepted:
            insort(self._ranked, (-(attempt.verdict.speedup or 0.0), place))

    def find(self, candidate: str) -> Attempt | None:
        """The one with this id, if any."""
        place = self._places.get(candidate)
        return None if place is None else self._attempts[place]

    def children(self, candidate: str) -> Sequence[Attempt]:
        """Those that come from the candidate with this id."""
        return self._children.get(candidate, ())

    def gain(self, attempt: Attempt) -> float:
        """The logarithm of its speed over that of its fastest parent, or of the reference; 0 where it is no faster."""
        parents = filter(None, map(self.find, attempt.candidate.parents))
        before = max([1.0, *(parent.verdict.speedup or 0.0 for parent in parents)])
        return math.log(max(1.0, (attempt.verdict.speedup or 0.0) / before))

    def best(self, count: int) -> list[Attempt]:
        """Up to so many of those that were accepted, the fastest, oldest first."""
        return [self._attempts[place] for place in sorted(place for _, place in self._ranked[:count])]


async def _unjudged(candidate: Candidate) -> Attempt:
    raise LookupError(f"nobody judges {candidate.id} here")


def _unbounded() -> None:
    return None


@dataclass
class Context:
    """What a proposer may know. Held-out cases are in none of it.

    `task_id` is the task's and `reference` its source without the cases; `compiled` gives what torch.compile makes of
    it as a candidate's source, or None where it cannot be captured. `history` are all attempts of this run so far,
    oldest first, and grows while the proposer works; `parents` the ones the policy chose to build on; `verdict` waits
    for the verdict on a candidate that was yielded; `past` finds attempts of earlier runs on like tasks (best first),
    for warm starts. `evaluations_left` and `seconds_left` say what the search may still take, None where that is not
    bounded. `tolerance` and `strict` are the task's. `independent`: the policy wants samples that know nothing
    of each other, so candidates are made from the task alone. For language models, where the user has named some:
    `guide` says how candidates are written in the language, `library` what else is known, `models` answers prompts, and
    `prompts` names the sets of templates that they are made from, in turn (none: those that ship).
    """

    task_id: str
    reference: str
    info: TaskInfo
    graph: Graph | None
    target: TargetInfo
    ceilings: Ceilings
    language: str
    compiled: Callable[[], Awaitable[str | None]]
    parents: Sequence[Attempt] = ()
    history: History = field(default_factory=History)
    verdict: Callable[[Candidate], Awaitable[Attempt]] = _unjudged
    past: Callable[[], Sequence[Attempt]] = tuple
    evaluations_left: Callable[[], int | None] = _unbounded
    seconds_left: Callable[[], float | None] = _unbounded
    tolerance: Tolerance = field(default_factory=Tolerance)
    strict: bool = False
    independent: bool = False
    guide: str = ""
    library: Library | None = None
    models: Answerer | None = None
    prompts: Sequence[str] = ()
    random: random.Random = field(default_factory=lambda: random.Random(0))


class Proposer(ABC):
    """Life cycle: made once a run; `propose` is called whenever the search wants more; it yields candidates one by one
    and the search may stop listening after any of them. It ends its iteration when it has nothing (more) to say for
    these parents; a proposer that yields nothing `patience` times in a row is not asked again unless the best attempt
    has changed. `close` is called once, when it will not be asked any more."""

    name: str
    needs_parents: bool = False
    """Whether it improves on parents (a tuner) or makes candidates from the task alone (the catalogue)."""
    asks_models: bool = False
    """Whether it is a scaffold: it has language models write candidates, and takes part where there are any."""
    patience: int = 2

    @abstractmethod
    def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """Yields candidates. Raises nothing for a task it cannot serve: it yields none."""

    @classmethod
    def templates(cls, found: Templates) -> set[str]:  # noqa: ARG003 - for those that ask models
        """Of a set of templates, the names of those that its prompts are made from."""
        return set()

    async def close(self) -> None:  # noqa: B027 - most proposers have nothing under way
        """Ends what is under way between two calls of `propose`."""
