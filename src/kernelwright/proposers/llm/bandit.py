"""Which of several models to ask next."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_MEMORY = 0.95  # how much of what was learnt of a model is left after its next lesson
_CHEAPNESS = 0.25  # how much price matters beside gains


@dataclass
class _Arm:
    asked: int = 0
    gains: float = 0.0
    weight: float = 0.0
    paid: int = 0
    usd: float = 0.0

    @property
    def gain(self) -> float:
        """The mean gain, of late."""
        return self.gains / self.weight if self.weight else 0.0


class Bandit:
    """ShinkaEvolve's asymmetric UCB1 with cost (arXiv 2509.19349, `AsymmetricUCB`).

    A model i that was asked n_i times out of t scores (1 - k) (g_i + √(2 ln t / n_i)) + k s_i, and the best score is
    asked next; a model that was never asked comes first. g_i is its mean gain over the largest mean gain of all:
    losses count as 0 (the asymmetry: a model is valued for what it improves, not for how badly it fails), and each
    lesson about a model takes 5 % off the weight of earlier ones, as gains shrink in the course of a run. s_i is how
    much cheaper a call is than those of the dearest model, 1 for a free one; k is 0.25, or 0 where a price is unknown.

    Where it departs from ShinkaEvolve: gains are not exponentiated, which is up to their giver; they are scaled by the
    largest mean, towards which ShinkaEvolve's decaying maximum tends; a model forgets by its own lessons, not by
    others', so that one that is seldom asked is not judged by its last reply alone; the price enters linearly and
    without a bonus of its own; ties go to the model named first and there is no ε-greedy choice, since the bonus comes
    back to every model for ever. So the same gains in the same order give the same choices.

    Life cycle: `choose` before a call counts it, so that parallel calls spread; then `paid` where the price is known,
    and `reward` when it is known what came of it.
    """

    def __init__(self, models: Sequence[str]) -> None:
        self._arms = {model: _Arm() for model in models}

    def choose(self, among: Collection[str]) -> str:
        """The model to ask, out of some."""
        total = sum(arm.asked for arm in self._arms.values())
        best = max((model for model in self._arms if model in among), key=lambda model: self._score(model, total))
        self.asked(best)
        return best

    def asked(self, model: str) -> None:
        """Counts a call. Like the other methods, it passes over models that are not among those to choose from."""
        if arm := self._arms.get(model):
            arm.asked += 1

    def paid(self, model: str, usd: float) -> None:
        """What a call cost."""
        if arm := self._arms.get(model):
            arm.paid += 1
            arm.usd += usd

    def reward(self, model: str, gain: float) -> None:
        """What came of a call: above 0 for an improvement, on a scale on which sums make sense, such as log(speedup
        over the parent); 0 or less for none."""
        if arm := self._arms.get(model):
            arm.gains = _MEMORY * arm.gains + max(0.0, gain)
            arm.weight = _MEMORY * arm.weight + 1.0

    def _score(self, model: str, total: int) -> float:
        arm = self._arms[model]
        if not arm.asked:
            return math.inf
        largest = max(each.gain for each in self._arms.values())
        gain = arm.gain / largest if largest else 0.0
        bonus = math.sqrt(2 * math.log(total) / arm.asked)
        if not all(each.paid for each in self._arms.values()):
            return gain + bonus
        prices = [each.usd / each.paid for each in self._arms.values()]
        cheaper = 1 - (arm.usd / arm.paid) / max(prices) if max(prices) else 0.0
        return (1 - _CHEAPNESS) * (gain + bonus) + _CHEAPNESS * cheaper
