"""What of a search's past a model is shown: KernelEvolve's four kinds of memory, chosen anew at each step.

Source: KernelEvolve (Meta, arXiv 2512.23236), where a memory operator per node inherits from the parent, compares
siblings, combines, or starts from a clean slate. Which one is not said there; here it is drawn, with a version that
failed coming first, since its repair is the cheapest gain.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from kernelwright.proposers.base import Attempt, Context, History

Kind = Literal["repair", "inherit", "siblings", "combine", "clean_slate"]

_REPAIR = 0.6
"""How often a version that failed is mended where there is one that nobody has taken up."""
_REPAIRS = 3
"""Failures in a row after which a line is given up."""
_WEIGHTS: dict[Kind, float] = {"inherit": 0.4, "siblings": 0.25, "combine": 0.2, "clean_slate": 0.15}
_HOPELESS = ("tampering", "implausible", "unstable_timing")
_SIBLINGS = 3


@dataclass(frozen=True)
class Memory:
    """What one step builds on: the version to change (None: the task alone), and others to learn from."""

    kind: Kind
    parent: Attempt | None = None
    others: tuple[Attempt, ...] = ()

    @property
    def base(self) -> tuple[str, ...]:
        """The ids of the versions that this step's candidate comes from; what it changes, it changes in the first."""
        joined = (self.parent, *self.others) if self.kind == "combine" else (self.parent,)
        return tuple(one.id for one in joined if one is not None)


def choose(context: Context, proposer: str, taken: Collection[str] = ()) -> Memory:
    """The memory for the next step of this proposer, from the parents that the policy has chosen and the history. The
    versions in `taken` are being mended already, or it was of no use."""
    if context.independent:
        return Memory("clean_slate")
    failed, started = _broken(context.history, proposer, taken), bool(context.history.best(1))
    if failed and (context.random.random() < _REPAIR if context.parents else not started):
        return Memory("repair", failed)
    if not context.parents:
        return Memory("clean_slate")
    parent = context.parents[0]
    siblings = _siblings(context.history, parent)
    mates = [one for one in context.parents[1:] if one.id != parent.id]
    possible: dict[Kind, tuple[Attempt, ...]] = {"inherit": (), "clean_slate": ()}
    possible |= {"siblings": siblings} if siblings else {}
    possible |= {"combine": (mates[0],)} if mates else {}
    kinds = list(possible)
    kind = context.random.choices(kinds, [_WEIGHTS[each] for each in kinds])[0]
    return Memory(kind, None if kind == "clean_slate" else parent, possible[kind])


def recalled(history: History, base: Sequence[str]) -> Memory:
    """The memory of a step of an earlier sitting, as far as its `base` tells."""
    found = [attempt for attempt in map(history.find, base) if attempt is not None]
    if not found:
        return Memory("clean_slate")
    kind: Kind = "combine" if found[1:] else "inherit" if found[0].verdict.accepted else "repair"
    return Memory(kind, found[0], tuple(found[1:]))


def _broken(history: History, proposer: str, taken: Collection[str]) -> Attempt | None:
    """The latest rejected version of this proposer that nobody has taken up and that is worth mending."""
    for attempt in reversed(history):
        verdict = attempt.verdict
        if (
            not verdict.accepted
            and attempt.candidate.proposer == proposer
            and verdict.reason not in _HOPELESS
            and attempt.id not in taken
            and not history.children(attempt.id)
            and _failures(attempt, history) < _REPAIRS
        ):
            return attempt
    return None


def _failures(attempt: Attempt, history: History) -> int:
    """How many rejected versions end in this one, itself included."""
    count = 0
    here: Attempt | None = attempt
    while here is not None and not here.verdict.accepted:
        count += 1
        parents = here.candidate.parents
        here = history.find(parents[0]) if parents else None
    return count


def _siblings(history: History, parent: Attempt) -> tuple[Attempt, ...]:
    """Other attempts on the same parent, or the parent's own siblings: the best and the worst tell most."""
    found = [
        attempt
        for family in (parent.id, *parent.candidate.parents[:1])
        for attempt in history.children(family)
        if attempt.id != parent.id and attempt.candidate.parents[0] == family
    ]
    found.sort(key=lambda attempt: attempt.verdict.speedup or 0.0, reverse=True)
    return tuple(found if len(found) <= _SIBLINGS else [*found[: _SIBLINGS - 1], found[-1]])
