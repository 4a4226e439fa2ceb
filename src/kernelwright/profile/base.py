"""What a diagnosis is, and what a depth that it is made from must say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kernelwright.judge.verdict import CaseTiming, Verdict
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.tasks import CaseInfo

Bound = Literal["memory", "compute", "latency", "launch", "library"]
BOUNDS: dict[Bound, str] = {
    "memory": "memory traffic",
    "compute": "arithmetic",
    "latency": "latency (its cores wait)",
    "launch": "what is around its kernels (calls, Python, allocation)",
    "library": "library calls beside its kernels",
}
"""The classes of bottlenecks, and what a kernel of each waits for."""
Witness = Literal["judge", "system", "candidate"]
_TELLING = 3


class Fact(BaseModel):
    """One thing that is known about a candidate in the first timed case.

    `value` is what `text` says, without its words; `by` says who says so, since what a candidate's process says of
    itself is a claim; `about` are the bottlenecks for or against which it speaks.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    text: str
    by: Witness
    about: tuple[Bound, ...]


class Diagnosis(BaseModel):
    """What bounds a candidate in its first timed case, and how it is known.

    `share` is the floor's time over the candidate's: 1 is as fast as the hardware allows. `why` is a sentence; `doubt`
    one that says what could not be told apart, empty where the facts decide. `missing` says what no depth could see.
    """

    model_config = ConfigDict(frozen=True)

    candidate: str
    case: str
    bound: Bound
    why: str
    doubt: str = ""
    time_us: float
    floor_us: float
    share: float
    facts: tuple[Fact, ...]
    missing: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What it waits for, for people and models."""
        return BOUNDS[self.bound]

    @property
    def telling(self) -> tuple[Fact, ...]:
        """The few facts that say why: those about this bottleneck, the ones about fewest others first."""
        about = [fact for fact in self.facts if self.bound in fact.about]
        chosen = sorted(about, key=lambda fact: len(fact.about))[:_TELLING]
        return tuple(fact for fact in about if fact in chosen)


class Profile(BaseModel):
    """A verdict, and a diagnosis where it was accepted and timed to the end."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    diagnosis: Diagnosis | None


@dataclass(frozen=True)
class Subject:
    """What is diagnosed: an accepted verdict, its first timed case with the timing, and the device."""

    verdict: Verdict
    timing: CaseTiming
    case: CaseInfo
    target: TargetInfo
    ceilings: Ceilings


class Depth(ABC):
    """One way to look at a candidate. Life cycle: made once, asked about any number of subjects; it measures nothing,
    and has nothing to say where what it reads was not measured."""

    @abstractmethod
    def facts(self, subject: Subject) -> Iterator[Fact]:
        """What it sees."""

    def missing(self, subject: Subject) -> str:  # noqa: ARG002 - for those that may miss something
        """A sentence about what it cannot see on this machine, empty where it sees all."""
        return ""
