from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers import params
from kernelwright.proposers.base import Attempt, Candidate, Context, History
from kernelwright.proposers.tuner import Tuner
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.tasks import Task, TaskInfo, TaskSource

TASK = Task(name="t", source=TaskSource(kind="kernelbench", text="t", filename="t.py"))
CEILINGS = Ceilings(bandwidth={}, flops={})
TARGET = TargetInfo(
    name="cpu",
    model="m",
    cores=4,
    simd="avx2",
    vector_bytes=32,
    l1_bytes=1,
    l2_bytes=1,
    l3_bytes=1,
    memory_bytes=1,
    key="k",
)
Values = dict[str, Any]


def kernel(values: Values, space: Values, constraints: Sequence[str] = (), body: str = "body") -> Candidate:
    source = f"PARAMS = {values!r}\nSPACE = {space!r}\nCONSTRAINTS = {list(constraints)!r}\n{body}\n"
    return Candidate(source=source, language="cpp", proposer="catalogue")


def values(candidate: Candidate) -> Values:
    declared = params.read(candidate.source)
    assert declared is not None
    return dict(declared.values)


def judged(
    candidate: Candidate,
    time_us: float | None,
    *,
    task: str = TASK.id,
    target: str = "k",
    floor_us: float = 1.0,
    spread: float = 0.0,
) -> Attempt:
    """`spread` is how far the speedup's confidence interval reaches to both sides."""
    facts: Values = {"candidate": candidate.id, "task": task, "target": target, "language": "cpp"}
    if time_us is None:
        return Attempt(candidate, Verdict(**facts, outcome="rejected", reason="wrong_values"))
    speedup = 1000 / time_us
    facts |= {"floor_us": floor_us, "speedup_ci": (speedup * (1 - spread), speedup * (1 + spread))}
    return Attempt(candidate, Verdict(**facts, outcome="accepted", time_us=time_us, speedup=speedup))


async def nothing() -> None:
    return None


class Tuning:
    """A run in which only the tuner proposes; `time` is what the judge measures, None for a rejection."""

    def __init__(
        self,
        start: Candidate | Sequence[Candidate],
        time: Callable[[Values], float | None],
        *,
        seed: int = 0,
        past: Sequence[Attempt] = (),
        spread: float = 0.0,
    ) -> None:
        self.tuner, self.time, self.past, self.seed, self.spread = Tuner(), time, past, seed, spread
        starts = [start] if isinstance(start, Candidate) else list(start)
        self.history = [judged(each, time(values(each)), spread=spread) for each in starts]
        self.parents = list(self.history)
        self.proposed: list[Candidate] = []

    def ask(self) -> Candidate | None:
        async def first() -> list[Candidate]:
            context = Context(
                task_id=TASK.id, reference="",
                info=TaskInfo(init_inputs=[], cases=(), state=()), graph=None, target=TARGET, ceilings=CEILINGS,
                language="cpp",
                compiled=nothing, parents=self.parents, history=History(self.history), past=lambda: self.past,
                random=random.Random(f"{self.seed} {len(self.proposed)}"),
            )  # fmt: skip
            return [candidate async for candidate in self.tuner.propose(context)]

        candidates = asyncio.run(first())
        assert len(candidates) <= 1
        self.proposed += candidates
        return candidates[0] if candidates else None

    def tell(self, candidate: Candidate) -> None:
        self.history.append(judged(candidate, self.time(values(candidate)), spread=self.spread))

    def run(self, limit: int = 1000) -> list[Values]:
        while len(self.proposed) < limit and (candidate := self.ask()) is not None:
            self.tell(candidate)
        return [values(candidate) for candidate in self.proposed]


SPACE = {"U": [1, 2, 4, 8, 16], "B": [32, 64, 128, 256, 512, 1024], "S": [0, 1], "N": ["a", "b", "c"]}
START = {"U": 1, "B": 32, "S": 0, "N": "a"}


def hill(point: Values) -> float:
    """Fastest, 10 µs, at U = 8, B = 256, S = 1, N = b."""
    far = abs(math.log2(point["U"] / 8)) + abs(math.log2(point["B"] / 256)) + (point["S"] != 1) + (point["N"] != "b")
    return 10.0 * 1.3**far


def test_every_candidate_is_a_new_point_of_the_space_and_names_its_parent() -> None:
    start = kernel(START, SPACE, ["U * B <= 4096"])
    tuning = Tuning(start, hill)
    points = tuning.run()
    declared = params.read(start.source)
    assert declared is not None
    assert all(declared.indices(point) is not None and declared.allows(point) for point in points)
    assert all(candidate.parents == (start.id,) and candidate.proposer == "tuner" for candidate in tuning.proposed)
    sources = [candidate.source for candidate in tuning.proposed]
    assert len(set(sources)) == len(sources)
    assert START not in points
    assert all(params.family(source) == params.family(start.source) for source in sources)


def test_the_note_says_what_changed() -> None:
    tuning = Tuning(kernel({"U": 1, "S": "x"}, {"U": [1, 2]}), lambda _: 1.0)
    candidate = tuning.ask()
    assert candidate is not None
    assert candidate.note == "U 1 → 2"
    assert values(candidate) == {"U": 2, "S": "x"}


def test_a_small_space_is_exhausted() -> None:
    faster = iter(range(100, 0, -1))
    space = {"A": [1, 2, 3], "B": [1, 2, 3]}
    tuning = Tuning(kernel({"A": 1, "B": 1}, space, ["A + B <= 5"]), lambda _: float(next(faster)))
    assert sorted((point["A"], point["B"]) for point in tuning.run()) == [
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (2, 3),
        (3, 1),
        (3, 2),
    ]
    assert tuning.ask() is None


def test_a_parent_that_breaks_its_own_constraints_is_no_obstacle() -> None:
    tuning = Tuning(kernel({"A": 4}, {"A": [1, 2, 4]}, ["A < 4"]), lambda _: 5.0)
    assert sorted(point["A"] for point in tuning.run()) == [1, 2]


def test_no_point_is_allowed() -> None:
    assert Tuning(kernel({"A": 4}, {"A": [1, 2, 4]}, ["A < 0"]), lambda _: 5.0).ask() is None


def test_finds_the_top_of_a_hill_sooner_than_chance() -> None:
    needed = []
    for seed in range(5):
        times = [hill(point) for point in Tuning(kernel(START, SPACE), hill, seed=seed).run(40)]
        needed.append(next((i for i, time in enumerate(times) if time <= 13.1), 40))
    # 9 of 180 points are that good: chance needs 18 tries in the mean.
    assert sorted(needed)[2] <= 18
    assert max(needed) < 40


def test_several_are_asked_before_any_result_comes_back() -> None:
    tuning = Tuning(kernel(START, SPACE), hill)
    asked = [tuning.ask() for _ in range(12)]
    assert None not in asked
    assert len({candidate.source for candidate in asked if candidate}) == 12
    for candidate in asked:
        assert candidate is not None
        tuning.tell(candidate)
    assert tuning.ask() is not None


def test_a_seed_makes_it_repeatable() -> None:
    runs = [Tuning(kernel(START, SPACE), hill, seed=seed).run(25) for seed in (3, 3, 4, 5, 6)]
    assert runs[0] == runs[1]
    assert any(other != runs[0] for other in runs[2:])


def test_stops_when_the_gain_is_below_the_noise() -> None:
    flat = Tuning(kernel(START, SPACE), lambda point: 100.0 + 0.1 * point["S"])
    assert 7 <= len(flat.run()) <= 12  # a point has seven neighbours
    assert flat.ask() is None


def test_a_gain_that_intervals_do_not_show_is_none() -> None:
    """5 % are a gain where times are sharp, and none where they are 10 % wide."""

    def step(point: Values) -> float:
        return 95.0 if point["A"] else 100.0

    start = kernel({"A": 0, "B": 0}, {"A": list(range(20)), "B": list(range(20))})
    sharp, blurred = (len(Tuning(start, step, spread=spread).run(60)) for spread in (0.0, 0.1))
    assert blurred < sharp


def test_the_first_parameters_of_the_space_are_varied_first_and_by_steps() -> None:
    space = {"A": [1, 2, 4, 8], "B": [0, 1], "C": [0, 1]}
    tuning = Tuning(kernel({"C": 0, "B": 0, "A": 2}, space), lambda _: 5.0)
    first = tuning.run(4)
    assert {point["A"] for point in first[:2]} == {1, 4}
    assert [(point["B"], point["C"]) for point in first] == [(0, 0), (0, 0), (1, 0), (0, 1)]


def test_goes_on_while_everything_is_rejected() -> None:
    assert (
        len(Tuning(kernel({"A": 0}, {"A": list(range(30))}), lambda point: 5.0 if point["A"] == 0 else None).run()) > 10
    )


def test_a_space_too_large_to_list_works_too() -> None:
    space = {f"P{i}": list(range(10)) for i in range(8)}
    tuning = Tuning(kernel(dict.fromkeys(space, 0), space, ["P0 + P1 <= 9"]), lambda p: 100.0 / (1 + sum(p.values())))
    points = tuning.run(40)
    assert len({tuple(point.values()) for point in points}) == 40
    assert all(point["P0"] + point["P1"] <= 9 for point in points)
    times = [attempt.verdict.time_us or math.inf for attempt in tuning.history[1:]]
    assert min(times[20:]) < min(times[:6])


def test_parents_that_cannot_be_tuned_are_passed_over() -> None:
    plain = Candidate(source="class ModelNew: pass", language="cpp")
    wrong = Candidate(source="PARAMS = {'A': f()}\nSPACE = {'A': [1]}\n", language="cpp")
    tunable = kernel({"A": 1}, {"A": [1, 2]})
    tuning = Tuning([tunable], lambda _: 1.0)
    tuning.parents = [judged(plain, 1.0), judged(wrong, 1.0), *tuning.parents]
    candidate = tuning.ask()
    assert candidate is not None
    assert candidate.parents == (tunable.id,)
    tuning.parents = tuning.parents[:2]
    assert tuning.ask() is None


def test_families_are_tuned_apart_and_the_next_parent_is_taken_when_one_has_nothing_left() -> None:
    first, second = kernel({"A": 1}, {"A": [1, 2]}, body="one"), kernel({"A": 1}, {"A": [1, 2]}, body="two")
    tuning = Tuning([first, second], lambda _: 1.0)
    tuning.run()
    assert [candidate.parents for candidate in tuning.proposed] == [(first.id,), (second.id,)]


def test_children_and_parents_share_a_family() -> None:
    start = kernel({"A": 1}, {"A": [1, 2, 3]})
    tuning = Tuning(start, lambda _: 1.0)
    child = tuning.ask()
    assert child is not None
    tuning.tell(child)
    tuning.parents = [tuning.history[-1]]
    last = tuning.ask()
    assert last is not None
    assert last.parents == (child.id,)
    assert {values(each)["A"] for each in (start, child, last)} == {1, 2, 3}
    tuning.parents = tuning.history[:1]
    assert tuning.ask() is None


def test_a_resumed_run_proposes_nothing_again() -> None:
    first = Tuning(kernel({"A": 1}, {"A": [1, 2, 3, 4, 5]}), lambda _: 5.0)
    first.run(2)
    resumed = Tuning(kernel({"A": 1}, {"A": [1, 2, 3, 4, 5]}), lambda _: 5.0)
    resumed.history = list(first.history)
    resumed.run()
    assert sorted(values(each)["A"] for each in first.proposed + resumed.proposed) == [2, 3, 4, 5]


@pytest.mark.parametrize(("task", "target"), [(TASK.id, "k"), ("another", "k"), (TASK.id, "another")])
def test_starts_where_an_earlier_run_was_best(task: str, target: str) -> None:
    best = {"U": 8, "B": 256, "S": 1, "N": "b"}
    past = [
        judged(kernel({**best, "U": u}, SPACE, body="older"), 10.0 + u, task=task, target=target) for u in (8, 16, 4)
    ]
    assert Tuning(kernel(START, SPACE), hill, past=past).run(1) == [best]


def test_of_like_tasks_the_nearest_in_size_comes_first() -> None:
    """The start's floor is 1 µs."""
    past = [
        judged(kernel({**START, "B": b}, SPACE, body="older"), 10.0, task=f"floor {floor}", floor_us=floor)
        for b, floor in ((1024, 100.0), (64, 0.5), (512, 8.0), (256, 1.2))
    ]
    tuning = Tuning(kernel(START, SPACE), lambda _: 5.0, past=past)
    assert [point["B"] for point in tuning.run(3)] == [256, 64, 512]


def test_a_win_with_other_parameters_helps_as_far_as_they_are_the_same() -> None:
    past = [judged(kernel({"U": 8, "B": 300, "X": 1}, {"U": [8], "B": [300], "X": [1]}), 1.0, task="another")]
    assert Tuning(kernel(START, SPACE), hill, past=past).run(1) == [{**START, "U": 8}]


def test_results_of_the_same_family_on_the_same_task_and_target_teach_the_model() -> None:
    def past(body: str) -> list[Attempt]:
        points = [
            {"U": u, "B": b, "S": s, "N": n} for u in SPACE["U"] for b in SPACE["B"] for s in (0, 1) for n in "abc"
        ]
        random.Random(0).shuffle(points)
        known = [judged(kernel(point, SPACE, body=body), hill(point)) for point in points[:40] if hill(point) > 15]
        return sorted(known, key=lambda attempt: attempt.verdict.time_us or 0)

    def mean(body: str) -> float:
        runs = [Tuning(kernel(START, SPACE), hill, seed=seed, past=past(body)).run(12)[1:] for seed in range(4)]
        return sum(math.log(hill(point)) for points in runs for point in points)

    assert mean("body") < mean("another family")


def test_unusable_past_is_passed_over() -> None:
    past = [judged(kernel({"X": 1}, {"X": [1]}), 1.0), judged(Candidate(source="x", language="cpp"), 1.0)]
    assert Tuning(kernel(START, SPACE), hill, past=past).ask() is not None
