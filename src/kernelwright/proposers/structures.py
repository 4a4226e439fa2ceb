"""The schedules that a task's kernels may have, by name, and which to try next."""

from __future__ import annotations

import math
from dataclasses import replace

from kernelwright.proposers import params
from kernelwright.proposers.base import Attempt, Candidate, Context
from kernelwright.proposers.catalogue import candidate, program_of
from kernelwright.proposers.catalogue.program import Program
from kernelwright.proposers.catalogue.renderer import Alternative
from kernelwright.proposers.params import Parameters, Value
from kernelwright.proposers.study import Study

_GUESS = "the first guess"


class Structures:
    """Life cycle: made once a run, with the task's graph; `learn` is told every result, any number of times; `ask`
    gives a candidate whose kernels have other schedules than all before, or None while the first guess has no result
    and when there is nothing (more) to try.

    Each kernel that has alternatives (`Renderer.alternatives`) is a parameter of a study, whose values are their
    names. Each is tried by itself first, the most promising one first of all, then the fastest ones together. A point's
    result is that of the first candidate with these schedules: its other parameters are guesses too.
    """

    def __init__(self, context: Context) -> None:
        self._info = context.info
        self._program: Program | None = program_of(context)
        self._others: dict[str, dict[str, Alternative]] = {}
        for each in self._program.renderer.alternatives(self._program) if self._program else []:
            self._others.setdefault(each.schedule.name, {})[each.name] = each
        space: dict[str, tuple[Value, ...]] = {kernel: (_GUESS, *names) for kernel, names in self._others.items()}
        self._parameters = Parameters(dict.fromkeys(space, _GUESS), space)
        self._points: dict[str, dict[str, Value]] = {}
        """What is known by its family."""
        self._guess: Attempt | None = None
        self._wins: dict[str, tuple[float, Value]] = {}
        """For each kernel, of the schedules that were tried in it alone: the fastest one, with the program's time."""
        if space:
            self._study = Study(self._parameters, context.random.getrandbits(32), exploring=1)
            alone = [{**self._parameters.values, kernel: name} for kernel, names in space.items() for name in names[1:]]
            for point in (dict(self._parameters.values), *alone):  # a run that is resumed has had some of them
                self._made(point)
            for point in alone:
                self._study.hint(point)

    def learn(self, family: str, attempt: Attempt) -> None:
        """Takes in a result of this run."""
        point = self._points.pop(family, None)
        if point is None:
            return
        turned = [kernel for kernel, name in point.items() if name != _GUESS]
        time = attempt.verdict.time_us if attempt.verdict.accepted else None
        if not turned:
            self._guess = attempt
        for kernel in self._others if not turned else turned[: len(turned) == 1]:
            if time is not None and time < self._wins.get(kernel, (math.inf, ""))[0]:
                self._wins[kernel] = time, point[kernel]
        self._study.learn(replace(self._parameters, values=point), attempt)

    def ask(self) -> Candidate | None:
        """The program with other schedules."""
        if self._guess is None or not self._guess.verdict.accepted:
            return None
        self._study.hint({kernel: name for kernel, (_, name) in self._wins.items()})
        point = self._study.ask()
        return None if point is None else self._made(point)

    def _made(self, point: dict[str, Value]) -> Candidate:
        assert self._program is not None
        chosen = [self._others[kernel][str(name)] for kernel, name in point.items() if name != _GUESS]
        program = self._program.rescheduled({each.schedule.name: each.schedule.rewrites for each in chosen})
        made = candidate(program, self._info, note="; ".join(f"{each.schedule.name} {each.name}" for each in chosen))
        declared = params.read(made.source)
        assert declared is not None  # the catalogue's candidates all do
        self._points[params.kin(made.language, made.source, declared)] = point
        parents = () if self._guess is None else (self._guess.id,)
        return made.model_copy(update={"parents": parents})
