"""Laws of the choice between models."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kernelwright.proposers.llm.bandit import Bandit

MODELS = ["a", "b", "c"]
CHANCES = st.floats(0, 1)


def play(bandit: Bandit, rounds: int, chances: dict[str, float], seed: int, prices: dict[str, float] | None = None):
    """Who was asked, where each model gains 1 with its chance."""
    dice, asked = random.Random(seed), []
    for _ in range(rounds):
        model = bandit.choose(chances)
        asked.append(model)
        if prices:
            bandit.paid(model, prices[model])
        bandit.reward(model, float(dice.random() < chances[model]))
    return asked


@settings(max_examples=50, deadline=None)
@given(chances=st.tuples(CHANCES, CHANCES, CHANCES), seed=st.integers(0, 99), priced=st.booleans())
def test_every_model_gets_its_chances(chances: tuple[float, ...], seed: int, priced: bool) -> None:
    prices = {"a": 0.01, "b": 1.0, "c": 30.0} if priced else None
    asked = play(Bandit(MODELS), 500, dict(zip(MODELS, chances, strict=True)), seed, prices)
    assert all(asked.count(model) >= 3 for model in MODELS)


def test_no_model_starves_for_ever() -> None:
    asked = play(Bandit(MODELS), 10_000, {"a": 1.0, "b": 0.0, "c": 0.0}, 1, {"a": 0.0, "b": 9.0, "c": 1.0})
    assert all(asked[1000:].count(model) for model in MODELS)


@settings(max_examples=50, deadline=None)
@given(good=st.floats(0.01, 9), share=st.floats(0, 0.5), best=st.sampled_from(MODELS))
def test_the_better_model_gets_most_calls(good: float, share: float, best: str) -> None:
    bandit, asked = Bandit(MODELS), []
    for _ in range(150):
        asked.append(bandit.choose(MODELS))
        bandit.reward(asked[-1], good if asked[-1] == best else good * share)
    assert asked.count(best) > 75


def test_the_better_model_gets_most_calls_where_chance_rules() -> None:
    chances = {"a": 0.1, "b": 0.4, "c": 0.1}
    counts = [play(Bandit(MODELS), 200, chances, seed).count("b") for seed in range(30)]
    assert sum(counts) / len(counts) > 100


@settings(max_examples=50, deadline=None)
@given(gain=st.floats(0, 9), cheap=st.sampled_from(MODELS), price=st.floats(0, 0.1))
def test_of_equally_good_models_the_cheapest_gets_most_calls(gain: float, cheap: str, price: float) -> None:
    bandit, asked = Bandit(MODELS), []
    for _ in range(150):
        asked.append(bandit.choose(MODELS))
        bandit.paid(asked[-1], price if asked[-1] == cheap else 1.0)
        bandit.reward(asked[-1], gain)
    assert all(asked.count(cheap) > 1.3 * asked.count(model) for model in MODELS if model != cheap)


def test_a_much_better_model_may_be_dearer() -> None:
    prices = {"a": 1.0, "b": 0.01}
    counts = [play(Bandit(["a", "b"]), 200, {"a": 0.8, "b": 0.1}, seed, prices).count("a") for seed in range(20)]
    assert sum(counts) / len(counts) > 100


@given(chances=st.tuples(CHANCES, CHANCES, CHANCES), seed=st.integers(0, 99))
def test_the_same_gains_give_the_same_choices(chances: tuple[float, ...], seed: int) -> None:
    by_model = dict(zip(MODELS, chances, strict=True))
    assert play(Bandit(MODELS), 50, by_model, seed) == play(Bandit(MODELS), 50, by_model, seed)


def test_calls_under_way_count_so_that_parallel_ones_spread() -> None:
    bandit = Bandit(MODELS)
    assert sorted(bandit.choose(MODELS) for _ in range(9)) == sorted(MODELS * 3)


def test_losses_are_no_worse_than_nothing_and_strangers_are_passed_over() -> None:
    bandit, other = Bandit(MODELS), Bandit(MODELS)
    for each, gain in ((bandit, -5.0), (other, 0.0)):
        for model in MODELS:
            assert each.choose([model]) == model
        each.reward("a", gain)
        each.reward("b", 1.0)
        each.reward("stranger", 9.0)
        each.paid("stranger", 9.0)
    assert [bandit.choose(MODELS) for _ in range(20)] == [other.choose(MODELS) for _ in range(20)]
