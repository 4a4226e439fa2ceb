"""Searches the schedules of the catalogue's kernels, and the parameters that candidates declare (see `params.py`)."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers import params
from kernelwright.proposers.base import Attempt, Candidate, Context, Proposer
from kernelwright.proposers.params import Parameters, ParametersError, Value
from kernelwright.proposers.structures import Structures
from kernelwright.proposers.study import Study


class Tuner(Proposer):
    """Improves on the catalogue's first guess and on parents that declare parameters. Candidates that differ only in
    the values of these are one family; a family has one study a run, shared by all parents of it. Schedules have a
    study of their own, whose points are families.

    `propose` yields one candidate a call, so that each is chosen with all that is known by then. Schedules that may be
    faster come first: parameters of one that loses need no tuning. Then comes the first parent whose family has
    something left to try: the neighbours of the best point, parameters varied in the order of the space, in which its
    author puts those first that matter most; then what the model makes of it all. The search asks again while earlier
    ones are in flight; the model takes these for bad ones (Optuna's constant liar), so that they spread.
    """

    name = "tuner"
    needs_parents = True

    def __init__(self) -> None:
        self._declared: dict[str, tuple[str, Parameters] | None] = {}
        self._studies: dict[str, Study] = {}
        self._structures: Structures | None = None

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        """At most one candidate."""
        if self._structures is None:
            self._structures = Structures(context)
        for attempt in context.history:
            family, parameters = self._read(attempt) or ("", None)
            if parameters is not None and family in self._studies:
                self._studies[family].learn(parameters, attempt)
            self._structures.learn(family, attempt)
        if (arranged := self._structures.ask()) is not None:
            yield arranged.model_copy(update={"proposer": self.name})
            return
        for parent in context.parents:
            family, parameters = self._read(parent) or ("", None)
            if parameters is None or parent.candidate.language != context.language:
                continue
            if family not in self._studies:
                self._studies[family] = self._begin(family, parameters, parent, context)
            point = self._studies[family].ask()
            if point is not None:
                yield _child(parent.candidate, parameters, point)
                return

    def _read(self, attempt: Attempt) -> tuple[str, Parameters] | None:
        """The candidate's family and parameters; None where it declares none that can be used."""
        if attempt.id not in self._declared:
            candidate = attempt.candidate
            try:
                parameters = params.read(candidate.source)
            except ParametersError:  # the judge's verdict on it stands, it just cannot be tuned
                parameters = None
            self._declared[attempt.id] = (
                (params.kin(candidate.language, candidate.source, parameters), parameters) if parameters else None
            )
        return self._declared[attempt.id]

    def _begin(self, family: str, parameters: Parameters, parent: Attempt, context: Context) -> Study:
        """A study that knows what this run and earlier ones found out about the family: the run's own results, those of
        the same family on the same task and target, and which points won on the tasks most like this one."""
        study = Study(parameters, context.random.getrandbits(32))
        for attempt in context.history:
            known = self._read(attempt)
            if known and known[0] == family:
                study.learn(known[1], attempt)
        past = sorted(context.past(), key=lambda attempt: _unlikeness(attempt.verdict, parent.verdict))
        for attempt in past:
            known = self._read(attempt)
            same = attempt.verdict.task == context.task_id and attempt.verdict.target == context.target.key
            if known and same and known[0] == family:
                study.recall(known[1].values, attempt.verdict)
        for attempt in _winners(past):
            known = self._read(attempt)
            if known and not parameters.space.keys().isdisjoint(known[1].space):
                study.hint(known[1].values)
        return study


def _unlikeness(verdict: Verdict, here: Verdict) -> tuple[bool, float]:
    """How far an earlier verdict's task is from this one: none where it is the same, else by size. Of tasks with the
    same operations the floor tells their sizes apart."""
    ratio = math.log(verdict.floor_us / here.floor_us) if verdict.floor_us and here.floor_us else math.inf
    return verdict.task != here.task, abs(ratio)


def _winners(past: Sequence[Attempt]) -> list[Attempt]:
    """The first, and so the best, attempt on each task, in order."""
    found: dict[str, Attempt] = {}
    for attempt in past:
        found.setdefault(attempt.verdict.task, attempt)
    return list(found.values())


def _child(parent: Candidate, parameters: Parameters, point: Mapping[str, Value]) -> Candidate:
    changed = [f"{name} {parameters.values[name]!r} → {value!r}" for name, value in point.items()
               if repr(parameters.values[name]) != repr(value)]  # fmt: skip
    return Candidate(
        source=params.rewrite(parent.source, {**parameters.values, **point}),
        language=parent.language,
        proposer=Tuner.name,
        parents=(parent.id,),
        note=", ".join(changed),
    )
