"""One family's study: what is known about its points, and which to try next, with Optuna's sampler behind it.

The sampler is the tree-structured Parzen estimator with a joint model of all parameters: J. Bergstra et al.,
"Algorithms for Hyper-Parameter Optimization", NIPS 2011; S. Falkner et al., "BOHB", ICML 2018 for the joint model.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import Trial, TrialState, create_trial

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Attempt
from kernelwright.proposers.params import Parameters, Value

_LISTED = 4096
"""Spaces up to this size are listed, so that it is known when they are exhausted."""
_TINY = 12
"""Spaces up to this size are simply tried out: a model would need as many points to learn anything."""
_STARTUP = 8
"""Results before the model is believed."""
_ASKS = 8
"""How often the model may answer with a point that is known or not allowed, before one is chosen without it."""
_HINTS = 3
"""The best points of earlier runs that are tried first: one a task."""
_EXPLORING, _MOST_PATIENCE = 3, 12
"""A family is left alone when, since a result that was faster by more than the noise, as many came as there were values
one step away that no point had had, and `_EXPLORING` more, or when `_MOST_PATIENCE` were rejected."""
_NOISE = 0.01
"""Times that differ by less than this share are equal, however narrow their confidence intervals are."""

Point = tuple[int, ...]
"""For each parameter of the space, in order, the index of its value."""


@dataclass(frozen=True)
class _Result:
    """A point of this run: the logarithm of its time (infinite where it was rejected), and how far two of these are
    apart by chance."""

    time: float
    noise: float
    point: Point


class Study:
    """What is known about one family, and what to try next; `exploring` tries more than it has untried neighbours."""

    def __init__(self, parameters: Parameters, seed: int, exploring: int = _EXPLORING) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study and trial
        self._parameters, self._exploring = parameters, exploring
        self._random = random.Random(seed)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=_STARTUP, multivariate=True, constant_liar=True, seed=seed
        )
        self._optuna = optuna.create_study(sampler=sampler)
        self._distributions = {name: _distribution(values) for name, values in parameters.space.items()}
        self._taken: set[Point] = set()
        self._asked: dict[Point, Trial] = {}
        self._learnt: set[str] = set()
        self._hints: list[Point] = []
        self._results: list[_Result] = []
        self._reference: _Result | None = None
        """The latest result that was faster by more than the noise."""
        self._patience = _MOST_PATIENCE
        self._barren = 0.0
        """Results since that were not, of points that were chosen when it was known; rejected ones count less."""
        self._points = [self._point(point) for point in parameters.points()] if parameters.size <= _LISTED else None

    def learn(self, parameters: Parameters, attempt: Attempt) -> None:
        """Takes in a result of this run, once."""
        if attempt.id in self._learnt:
            return
        self._learnt.add(attempt.id)
        point, verdict = self._point(parameters.values), attempt.verdict
        value = _objective(verdict)
        if point in self._asked:
            self._optuna.tell(self._asked.pop(point), value, state=None if value is not None else TrialState.PRUNED)
        elif point not in self._taken:
            self._add(point, verdict)
        self._taken.add(point)
        self._note(_Result(math.inf if value is None else value, _noise(verdict), point))

    def recall(self, values: Mapping[str, Value], verdict: Verdict) -> None:
        """Takes in a result of an earlier run that counts here."""
        point = self._parameters.indices(values)
        if point is not None and self._parameters.allows(self._values(point)):
            self._add(point, verdict)

    def hint(self, values: Mapping[str, Value]) -> None:
        """Takes in a point that won elsewhere, the most promising first: to be tried early, as far as its values are
        among those here."""
        own = self._parameters.values
        near = {name: self._parameters.nearest(name, values.get(name), own[name]) for name in self._parameters.space}
        point = self._point(near)
        if len(self._hints) < _HINTS and point not in self._hints and self._parameters.allows(near):
            self._hints.append(point)

    def ask(self) -> dict[str, Value] | None:
        """A point that was not tried in this run; None when there is none or more of them would not help."""
        exhausted = self._points is not None and self._taken.issuperset(self._points)
        if exhausted or self._barren >= self._patience:
            return None
        point = self._hint() or self._neighbour() or self._modelled() or self._unmodelled()
        if point is None:
            return None
        self._taken.add(point)
        return self._values(point)

    def _hint(self) -> Point | None:
        while self._hints:
            point = self._hints.pop(0)
            if point not in self._taken:
                self._fix(point)
                return point
        return None

    def _neighbour(self) -> Point | None:
        """A point one step from the best one."""
        best = min(self._results, key=lambda result: result.time, default=None)
        if best is None or best.time == math.inf:
            return None
        steps = self._steps(best.point)
        # A value that was tried beside another point needs no second try as much as others need their first.
        for place, at in [*filter(self._is_fresh, steps), *steps]:
            point = (*best.point[:place], at, *best.point[place + 1 :])
            if self._is_new(point):
                self._fix(point)
                return point
        return None

    def _steps(self, point: Point) -> list[tuple[int, int]]:
        """Places in the space, in its order, each with the values that are one step from a point's."""
        found = []
        for place, values in enumerate(self._parameters.space.values()):
            here, ordered = point[place], _is_ordered(values)
            there = [at for at in range(len(values)) if (abs(at - here) == 1 if ordered else at != here)]
            found += [(place, at) for at in self._random.sample(there, len(there))]
        return found

    def _is_fresh(self, step: tuple[int, int]) -> bool:
        """Whether no point has had that value at that place."""
        place, at = step
        return all(point[place] != at for point in self._taken)

    def _modelled(self) -> Point | None:
        """A point that the model chooses."""
        if len(self._results) < _STARTUP or (self._points is not None and len(self._points) <= _TINY):
            return None
        for _ in range(_ASKS):
            trial = self._optuna.ask(self._distributions)
            point = tuple(trial.params[name] for name in self._parameters.space)
            if self._is_new(point):
                self._asked[point] = trial
                return point
            self._optuna.tell(trial, state=TrialState.FAIL)  # no result, and none to learn from
        return None

    def _unmodelled(self) -> Point | None:
        """Any point; None where chance finds none in a space too large to list."""
        if self._points is not None:
            point = self._random.choice([each for each in self._points if each not in self._taken])
        else:
            sizes = [len(values) for values in self._parameters.space.values()]
            drawn = (tuple(self._random.randrange(size) for size in sizes) for _ in range(_LISTED))
            found = next(filter(self._is_new, drawn), None)
            if found is None:
                return None
            point = found
        self._fix(point)
        return point

    def _is_new(self, point: Point) -> bool:
        return point not in self._taken and self._parameters.allows(self._values(point))

    def _fix(self, point: Point) -> None:
        """Tells the model that this point is being tried."""
        self._optuna.enqueue_trial(dict(zip(self._parameters.space, point, strict=True)))
        self._asked[point] = self._optuna.ask(self._distributions)

    def _add(self, point: Point, verdict: Verdict) -> None:
        value = _objective(verdict)
        # A pruned trial ranks behind every completed one: a rejected point counts as bad without a made-up time.
        self._optuna.add_trial(
            create_trial(
                state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
                params=dict(zip(self._parameters.space, point, strict=True)),
                distributions=self._distributions,
                value=value,
            )
        )

    def _note(self, result: _Result) -> None:
        """Keeps a result, and whether it gained more than the noise of the two times that the gain is between."""
        self._results.append(result)
        before = self._reference
        if result.time == math.inf:
            self._barren += self._patience / _MOST_PATIENCE
        elif before is not None and before.time - result.time < math.hypot(before.noise, result.noise):
            self._barren += 1
        else:
            self._reference, self._barren = result, -len(self._asked)
            fresh = sum(map(self._is_fresh, self._steps(result.point)))
            self._patience = min(fresh + self._exploring, _MOST_PATIENCE)

    def _point(self, values: Mapping[str, Value]) -> Point:
        point = self._parameters.indices(values)
        assert point is not None  # a family shares its space, and `read` checked that the values are in it
        return point

    def _values(self, point: Point) -> dict[str, Value]:
        space = self._parameters.space
        return {name: values[index] for (name, values), index in zip(space.items(), point, strict=True)}


def _is_ordered(values: Sequence[Value]) -> bool:
    """Whether values are numbers in order, so that a value's neighbours are like it."""
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return len(values) > 2 and len(numbers) == len(values) and all(a < b for a, b in pairwise(numbers))


def _objective(verdict: Verdict) -> float | None:
    """The logarithm of the time in µs, so that equal gains count equally; None for a rejected candidate."""
    return math.log(verdict.time_us) if verdict.accepted and verdict.time_us else None


def _noise(verdict: Verdict) -> float:
    """How far apart two logarithms of times must be to differ."""
    low, high = verdict.speedup_ci or (1.0, 1.0)
    return max(_NOISE, math.log(high / low) / 2) if low > 0 else _NOISE


def _distribution(values: Sequence[Value]) -> BaseDistribution:
    """Over indices: ordered where the values are, so that the model knows neighbours."""
    if _is_ordered(values):
        return IntDistribution(0, len(values) - 1)
    return CategoricalDistribution(tuple(range(len(values))))
