from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from kw_scripted import ScriptedJudge, make_task, source

from kernelwright import registry
from kernelwright.errors import StoreError, TaskError, UsageError
from kernelwright.judge.verdict import Comparison, Verdict
from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.search import SearchResult, Settings, events, search
from kernelwright.store import Store
from kernelwright.tasks import Fairness, Graph, Problem


def settings(**values: Any) -> Settings:
    return Settings(
        **{"target": "scripted", "proposers": ("numbers", "offspring"), "seed": 1, "evaluations": 30, **values}
    )


def run(store: Store, chosen: Settings, **options: Any) -> SearchResult:
    options.setdefault("judge_factory", ScriptedJudge)
    return asyncio.run(search(make_task(), chosen, store, **options))


def sources(store: Store, run_id: str) -> list[str]:
    return [node.candidate.source for node in sorted(store.nodes(run_id), key=lambda node: node.number)]


@pytest.mark.parametrize("policy", ["greedy", "best_of_n", "evolve"])
def test_a_search_ends_with_the_best_kernel_stored(store: Store, policy: str) -> None:
    result = run(store, settings(policy=policy))
    assert result.outcome == "faster"
    assert result.best is not None
    assert result.comparison is not None
    assert result.evaluated == len(result.graph) == (6 if policy == "best_of_n" else 30)
    record = store.run(result.run)
    assert (record.status, record.outcome, record.best_id) == ("finished", "faster", result.best.candidate.id)
    assert record.speedup == result.best.verdict.speedup
    assert record.stopped == result.stopped
    assert [node.attempt for node in store.nodes(result.run) if node.verdict] == [n.attempt for n in result.graph]


def test_offspring_improves_on_what_starts_from_the_task_alone(store: Store) -> None:
    result = run(store, settings(policy="greedy", evaluations=60, patience=60))
    assert result.best is not None
    assert result.best.verdict.speedup is not None
    assert result.best.verdict.speedup > 5
    assert result.best.candidate.parents[0] in result.graph


@pytest.mark.parametrize("policy", ["greedy", "best_of_n", "evolve"])
def test_a_seed_makes_a_search_repeatable(policy: str) -> None:
    def candidates(seed: int) -> list[str]:
        store = Store("sqlite://")
        return sources(store, run(store, settings(policy=policy, seed=seed)).run)

    assert candidates(7) == candidates(7)
    if policy != "best_of_n":
        assert candidates(7) != candidates(8)


def test_a_search_without_a_seed_notes_the_one_it_drew(store: Store) -> None:
    first = run(store, settings(seed=None))
    again = run(Store("sqlite://"), settings(seed=store.run(first.run).seed))
    assert [node.id for node in first.graph] == [node.id for node in again.graph]


def test_what_an_earlier_run_evaluated_is_not_evaluated_again(store: Store) -> None:
    run(store, settings(proposers=("numbers",)))
    heard: list[events.Event] = []
    judges: list[ScriptedJudge] = []

    def factory(*args: Any, **kwargs: Any) -> ScriptedJudge:
        judges.append(ScriptedJudge(*args, **kwargs))
        return judges[-1]

    result = run(store, settings(proposers=("numbers",)), judge_factory=factory, listener=heard.append)
    assert result.evaluated == 6
    assert judges[0].evaluated == []
    assert all(event.reused for event in heard if isinstance(event, events.Evaluated))


def test_another_device_judges_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, settings(proposers=("numbers",)))
    monkeypatch.setenv("KW_SCRIPTED_KEY", "scripted-2")
    heard: list[events.Event] = []
    run(store, settings(proposers=("numbers",)), listener=heard.append)
    assert not any(event.reused for event in heard if isinstance(event, events.Evaluated))


def test_as_many_evaluations_overlap_as_the_target_has_cores(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KW_SCRIPTED_CORES", "3")
    judges: list[ScriptedJudge] = []

    class Slow(ScriptedJudge):
        delay = 0.01

        async def __aenter__(self) -> ScriptedJudge:
            judges.append(self)
            return self

    run(store, settings(proposers=("endless",), evaluations=12), judge_factory=Slow)
    assert judges[0].most_running == 3
    assert len(judges[0].evaluated) == 12


def test_the_first_candidate_is_evaluated_while_its_proposer_still_works(store: Store) -> None:
    order: list[str] = []
    run(
        store,
        settings(proposers=("endless",), evaluations=8),
        listener=lambda event: order.append(type(event).__name__),
    )
    assert order.index("Evaluated") < len(order) - 1 - order[::-1].index("Proposed")


def test_events_show_only_what_is_stored_and_come_in_order(store: Store) -> None:
    kinds: list[str] = []

    def listener(event: events.Event) -> None:
        kinds.append(type(event).__name__)
        if isinstance(event, events.Evaluated):
            stored = {node.candidate.id: node.verdict for node in store.nodes(run_id())}
            assert stored[event.node.id] == event.node.verdict
        if isinstance(event, events.Proposed):
            assert event.candidate.id in {node.candidate.id for node in store.nodes(run_id())}
        if isinstance(event, events.Stopped):
            assert store.run(run_id()).status == "finished"

    def run_id() -> str:
        return store.runs()[0].id

    run(store, settings(), listener=listener)
    assert kinds[0] == "Started"
    assert kinds[-2:] == ["Comparing", "Stopped"]
    assert kinds.count("Proposed") == kinds.count("Building") == kinds.count("Evaluated") == 30


def test_a_proposer_that_cannot_work_here_does_not_end_the_search(store: Store) -> None:
    heard: list[events.Event] = []
    result = run(store, settings(proposers=("broken", "numbers")), listener=heard.append)
    assert result.outcome == "faster"
    failed = [event for event in heard if isinstance(event, events.ProposerFailed)]
    assert [(event.proposer, event.message) for event in failed] == [("broken", "there is no frobnicator; install one")]


def test_nothing_accepted_is_no_kernel(store: Store) -> None:
    class Strict(ScriptedJudge):
        def verdict(self, candidate: Candidate) -> Verdict:
            return super().verdict(candidate.model_copy(update={"source": source(0)}))

    result = run(store, settings(proposers=("numbers",)), judge_factory=Strict)
    assert (result.outcome, result.best, result.comparison) == ("no_kernel", None, None)
    assert result.stopped == "nothing left to try"
    assert store.run(result.run).outcome == "no_kernel"


def test_the_final_comparison_decides_not_the_luckiest_measurement(store: Store) -> None:
    class Unlucky(ScriptedJudge):
        def final(self, candidate: Candidate) -> float:
            return {source(5): 1.05, source(4): 3.0}[candidate.source]

    result = run(store, settings(proposers=("numbers",)), judge_factory=Unlucky)
    assert result.best is not None
    assert result.best.candidate.source == source(4)
    assert result.outcome == "faster"
    assert store.run(result.run).speedup == 3.0


def test_where_every_finalist_fails_the_best_one_is_what_the_search_measured(store: Store) -> None:
    class Broken(ScriptedJudge):
        async def compare(self, candidates: Sequence[Candidate], *, limit: float | None = None) -> Comparison:
            return await super().compare(candidates[:0], limit=limit)

    result = run(store, settings(proposers=("numbers",)), judge_factory=Broken)
    assert result.best is not None
    assert result.best.candidate.source == source(5)
    assert result.outcome == "faster"
    assert store.run(result.run).speedup == 5.0


def test_export_and_comparison_may_take_what_is_left_of_the_budget(store: Store) -> None:
    limits: list[float | None] = []

    class Limited(ScriptedJudge):
        async def graph(self, case: str, *, limit: float | None = None) -> Graph | None:
            limits.append(limit)
            return await super().graph(case, limit=limit)

        async def compare(self, candidates: Sequence[Candidate], *, limit: float | None = None) -> Comparison:
            limits.append(limit)
            return await super().compare(candidates, limit=limit)

    run(store, settings(budget_s=None), judge_factory=Limited)
    assert limits == [None, None]
    limits.clear()
    run(store, settings(budget_s=100.0, proposers=("numbers",)), judge_factory=Limited)
    exporting, comparing = (limit or 0.0 for limit in limits)
    assert 50 < exporting <= 85
    assert 50 < comparing <= 100
    limits.clear()
    run(Store("sqlite://"), settings(budget_s=1.0), judge_factory=Limited)
    assert limits == [5.0, 5.0]


def test_faster_only_where_the_whole_interval_is(store: Store) -> None:
    class Close(ScriptedJudge):
        def final(self, candidate: Candidate) -> float:
            return 1.05

    assert run(store, settings(proposers=("numbers",)), judge_factory=Close).outcome == "not_faster"


def test_an_unfair_task_is_told_and_kept(store: Store) -> None:
    class Constant(ScriptedJudge):
        async def fairness(self) -> Fairness:
            return Fairness(problems=(Problem(name="constant", reason="the output is always 0"),))

    heard: list[events.Event] = []
    result = run(store, settings(proposers=("numbers",)), judge_factory=Constant, listener=heard.append)
    told = [problem.reason for event in heard if isinstance(event, events.Unfair) for problem in event.problems]
    assert told == ["the output is always 0"]
    assert (store.run(result.run).report or {})["problems"] == [{"name": "constant", "reason": told[0]}]


def test_proposers_learn_nothing_of_held_out_cases(store: Store) -> None:
    class Hidden(ScriptedJudge):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            (case,) = self.info.cases
            secret = case.model_copy(update={"name": "secret", "role": "held_out"})
            self.info = self.info.model_copy(update={"cases": (case, secret)})

        def verdict(self, candidate: Candidate) -> Verdict:
            told = {
                "outcome": "rejected",
                "reason": "fails_held_out",
                "message": "secret",
                "evidence": {"case": "secret"},
            }
            return super().verdict(candidate).model_copy(update=told)

    seen: list[str] = []

    class Listening(Proposer):
        name = "listening"

        async def propose(self, context: Context) -> AsyncIterator[Candidate]:
            seen.append(f"{context.info} {list(context.history)} {context.parents} {context.reference}")
            if len(seen) < 4:
                yield Candidate(source=source(len(seen)), language="cpp")

    with pytest.MonkeyPatch.context() as patch:
        load = registry.load
        patch.setattr(registry, "load", lambda group, name: Listening if group == "proposers" else load(group, name))
        run(store, settings(proposers=("numbers",)), judge_factory=Hidden)
    assert "fails_held_out" in seen[-1]
    assert "secret" not in "".join(seen)


def test_a_full_store_is_not_a_proposers_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store, "propose", full)
    with pytest.raises(StoreError, match="disk is full"):
        run(store, settings(proposers=("numbers",)))


def test_stops_near_the_floor(store: Store) -> None:
    class HighFloor(ScriptedJudge):
        def verdict(self, candidate: Candidate) -> Verdict:
            return super().verdict(candidate).model_copy(update={"floor_us": 400.0, "traffic_us": 400.0})

    result = run(store, settings(proposers=("endless",), evaluations=None, budget_s=None), judge_factory=HighFloor)
    assert "floor" in result.stopped
    assert result.best is not None
    assert result.best.verdict.speedup == pytest.approx(
        1000 / 400 * 0.97 / 0.99, abs=0.03
    )  # its interval begins 1 % lower


def test_the_wall_time_ends_a_search_with_evaluations_in_flight(store: Store) -> None:
    class Stuck(ScriptedJudge):
        async def evaluate(self, candidate: Candidate, **how: Any) -> Verdict:
            if "2.0\n" not in candidate.source:
                await asyncio.Event().wait()
            return await super().evaluate(candidate, **how)

    result = run(store, settings(proposers=("endless",), evaluations=None, budget_s=2), judge_factory=Stuck)
    assert result.stopped == "2 s are over"
    assert result.evaluated == 1
    assert result.best is not None


def test_a_search_without_a_kernel_waits_beyond_its_time_for_the_first_one(store: Store) -> None:
    class Late(ScriptedJudge):
        async def evaluate(self, candidate: Candidate, **how: Any) -> Verdict:
            await asyncio.sleep(1.2)
            return await super().evaluate(candidate, **how)

    result = run(store, settings(proposers=("endless",), evaluations=None, budget_s=1), judge_factory=Late)
    assert result.stopped == "1 s are over"
    assert result.best is not None


def test_a_failing_judge_ends_the_search_with_its_error_and_the_run_can_be_resumed(store: Store) -> None:
    class Failing(ScriptedJudge):
        async def evaluate(self, candidate: Candidate, **how: Any) -> Verdict:
            if candidate.source == source(5):
                raise StoreError("the disk is full")
            return await super().evaluate(candidate, **how)

    with pytest.raises(StoreError, match="the disk is full"):
        run(store, settings(proposers=("numbers",)), judge_factory=Failing)
    record = store.runs()[0]
    assert record.status == "interrupted"
    result = run(store, settings(proposers=("numbers",)), resume=record.id)
    assert result.run == record.id
    assert sorted(sources(store, record.id)) == sorted(source(number) for number in range(6))


def test_only_an_unfinished_run_of_the_same_task_and_device_is_resumed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(ScriptedJudge):
        async def evaluate(self, candidate: Candidate, **how: Any) -> Verdict:
            raise StoreError("no")

    with pytest.raises(StoreError):
        run(store, settings(), judge_factory=Failing)
    open_run = store.runs()[0].id
    finished = run(store, settings())
    with pytest.raises(UsageError, match="finished"):
        run(store, settings(), resume=finished.run)
    with pytest.raises(UsageError, match="no run 'nothing-0000'"):
        run(store, settings(), resume="nothing-0000")
    with pytest.raises(UsageError, match="another task"):
        asyncio.run(search(make_task(text="other"), settings(), store, judge_factory=ScriptedJudge, resume=open_run))
    monkeypatch.setenv("KW_SCRIPTED_KEY", "scripted-2")
    with pytest.raises(UsageError, match="another device"):
        run(store, settings(), resume=open_run)


def test_a_task_that_does_not_load_leaves_no_run(store: Store) -> None:
    class Unloadable(ScriptedJudge):
        async def __aenter__(self) -> ScriptedJudge:
            raise TaskError("no forward", where="f.py:3", remedy="define one")

    with pytest.raises(TaskError, match=r"f.py:3: no forward; define one"):
        run(store, settings(), judge_factory=Unloadable)
    assert store.runs() == []


@pytest.mark.parametrize("wrong", [{"policy": "none"}, {"proposers": ("none",)}, {"target": "none"}])
def test_unknown_names_are_usage_errors(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'none'"):
        run(store, settings(**wrong))
    assert store.runs() == []


def test_the_tuner_climbs_the_hill_of_a_tunable_candidate(store: Store) -> None:
    result = run(store, settings(proposers=("tunable", "tuner"), evaluations=None, patience=100))
    assert result.best is not None
    assert result.best.verdict.speedup == 20.0
    assert len({node.candidate.source for node in result.graph}) == result.evaluated <= 33
    children = [node for node in store.nodes(result.run) if node.candidate.proposer == "tuner"]
    assert all(node.params and node.candidate.parents for node in children)
