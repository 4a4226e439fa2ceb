from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from kernelwright.errors import StoreError, UsageError
from kernelwright.judge.verdict import ErrorReport
from kernelwright.proposers.base import Candidate
from kernelwright.store import Store, signature
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Graph, GraphNode, Task, TensorInfo

from .conftest import verdict

MakeTask = Callable[..., Task]
Fill = Callable[..., str]


def test_a_run_is_kept_with_all_that_describes_it(store: Store, make_task: MakeTask, target: TargetInfo) -> None:
    task = make_task()
    before = datetime.now(timezone.utc)
    run = store.create(task, target, {"policy": "evolve"}, 7)
    assert re.fullmatch(r"rms_norm-[0-9a-f]{4}", run)
    store.describe(run, "sig", {"floor_us": 3.5})
    record = store.run(run)
    assert (record.task, record.target, record.seed) == (task, target.model_dump(mode="json"), 7)
    assert (record.settings, record.report, record.target_key) == ({"policy": "evolve"}, {"floor_us": 3.5}, "cpu-1")
    assert before <= record.started <= datetime.now(timezone.utc)
    assert (record.status, record.outcome, record.finished, record.evaluated) == ("interrupted", None, None, 0)


@pytest.mark.parametrize("name", ["", "Ünïcode ☃", "a" * 300, "../../etc/passwd", "level1/19_ReLU"])
def test_names_of_runs_are_fit_for_a_shell_and_a_file(
    store: Store, make_task: MakeTask, target: TargetInfo, name: str
) -> None:
    assert re.fullmatch(r"[a-z0-9_]{1,40}-[0-9a-f]{4,}", store.create(make_task(name), target, {}, 0))


def test_names_of_runs_never_repeat(
    store: Store, make_task: MakeTask, target: TargetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda digits: "ab" * digits)
    name = f"same{make_task().id}"
    runs = [store.create(make_task(name), target, {}, 0) for _ in range(3)]
    assert runs == [f"{name}-abab", f"{name}-ababab", f"{name}-abababab"]


def test_an_unknown_run_is_a_usage_error(store: Store) -> None:
    for ask in (store.run, store.nodes):
        with pytest.raises(UsageError, match="there is no run 'x-0000'; `kernelwright runs` lists them"):
            ask("x-0000")


def test_nodes_come_in_the_order_of_their_verdicts(store: Store, make_task: MakeTask, target: TargetInfo) -> None:
    task = make_task()
    run = store.create(task, target, {}, 0)
    candidates = [Candidate(source=str(i), language="cpp", proposer="p", parents=("a",), note="n") for i in range(4)]
    numbers = [store.propose(run, candidate, {"U": i}) for i, candidate in enumerate(candidates)]
    assert numbers == [1, 2, 3, 4]
    for at, index in enumerate((2, 0)):
        store.evaluated(run, numbers[index], verdict(candidates[index], task, 2.0), "j", at + 0.5)
    nodes = store.nodes(run)
    assert [node.number for node in nodes] == [3, 1, 2, 4]
    assert [node.state for node in nodes] == ["evaluated", "evaluated", "proposed", "proposed"]
    assert [node.at for node in nodes] == [0.5, 1.5, None, None]
    assert [node.candidate for node in nodes] == [candidates[i] for i in (2, 0, 1, 3)]
    assert nodes[0].params == {"U": 2}
    assert nodes[0].attempt.verdict == verdict(candidates[2], task, 2.0)


def test_a_verdict_comes_back_as_it_was_given(store: Store, make_task: MakeTask, target: TargetInfo) -> None:
    """Errors can be infinite or undefined, messages hold any text."""
    task, candidate = make_task(), Candidate(source=f"ü{make_task().id}", language="cpp")
    error = ErrorReport(max=math.inf, mean=math.nan, reference_max=0, reference_mean=0, allowed_max=1, allowed_mean=1)
    given = verdict(candidate, task, None, error=error, message="λ 'quoted' \"text\"\n", evidence={"at": [1, 2]})
    run = store.create(task, target, {}, 0)
    store.evaluated(run, store.propose(run, candidate), given, "j", 0.0)
    found = store.verdict(candidate.id, task.id, "cpu-1", "j")
    assert found is not None
    assert found.error is not None
    assert math.isnan(found.error.mean)
    assert found.error.max == math.inf
    assert found.model_copy(update={"error": None}) == given.model_copy(update={"error": None})


def test_a_verdict_is_reused_only_for_the_same_candidate_task_target_and_judge(
    store: Store, make_task: MakeTask, fill: Fill
) -> None:
    task = make_task()
    fill(task, {"a": 2.0})
    candidate = Candidate(source="a", language="cpp")
    assert store.verdict(candidate.id, task.id, "cpu-1", "judge-1") == verdict(candidate, task, 2.0)
    assert store.verdict(candidate.id, make_task().id, "cpu-1", "judge-1") is None
    assert store.verdict(candidate.id, task.id, "cpu-2", "judge-1") is None
    assert store.verdict(candidate.id, task.id, "cpu-1", "judge-2") is None
    assert store.verdict(Candidate(source="a", language="cuda").id, task.id, "cpu-1", "judge-1") is None


@pytest.mark.parametrize("reason", ["unstable_timing", "timed_out", "over_limit", "implausible"])
def test_what_the_machine_may_be_to_blame_for_says_nothing_about_the_candidate(
    store: Store, make_task: MakeTask, target: TargetInfo, reason: str
) -> None:
    task, candidate = make_task(), Candidate(source="noisy", language="cpp")
    run = store.create(task, target, {}, 0)
    store.evaluated(run, store.propose(run, candidate), verdict(candidate, task, None, reason=reason), "judge-1", 0.0)
    assert store.verdict(candidate.id, task.id, "cpu-1", "judge-1") is None


def test_a_later_verdict_does_not_change_an_earlier_run(store: Store, make_task: MakeTask, fill: Fill) -> None:
    task = make_task()
    first, second = fill(task, {"a": 2.0}), fill(task, {"a": 3.0})
    assert [store.nodes(run)[0].attempt.verdict.speedup for run in (first, second)] == [2.0, 3.0]


def test_a_finished_run_keeps_its_result(store: Store, make_task: MakeTask, fill: Fill) -> None:
    run = fill(make_task(), {"a": 2.0, "b": 3.0, "c": None})
    assert store.run(run).speedup == 3.0
    best = Candidate(source="a", language="cpp").id
    comparison = {"rows": [{"name": "eager", "speedup": 1.0}, {"name": best, "speedup": 2.5}]}
    store.finish(run, "faster", stopped="60 s are over", seconds=59.0, best=best, comparison=comparison)
    record = store.run(run)
    assert (record.status, record.outcome, record.stopped) == ("finished", "faster", "60 s are over")
    assert (record.best_id, record.seconds, record.speedup) == (best, 59.0, 2.5)
    assert (record.comparison, record.evaluated) == (comparison, 3)
    assert record.finished is not None
    assert record.finished >= record.started


def test_runs_come_newest_first(store: Store, make_task: MakeTask, fill: Fill) -> None:
    runs = [fill(make_task(), {}) for _ in range(3)]
    assert [record.id for record in store.runs(limit=2)] == [runs[2], runs[1]]


def test_a_locked_run_is_running_and_refuses_others(store: Store, make_task: MakeTask, target: TargetInfo) -> None:
    run, other = (store.create(make_task(), target, {}, 0) for _ in range(2))
    with store.locked(run):
        assert [store.run(each).status for each in (run, other)] == ["running", "interrupted"]
        with (
            pytest.raises(StoreError, match=f"{run}: the run is being searched by process \\d+ on .*; wait"),
            store.locked(run),
        ):
            pass
        with store.locked(other):
            pass
    assert store.run(run).status == "interrupted"
    with store.locked(run):
        pass


def test_past_finds_the_best_on_the_task_then_on_like_tasks(store: Store, make_task: MakeTask, fill: Fill) -> None:
    task, like, unlike = make_task(), make_task(), make_task()
    sign, other = make_task().id, make_task().id
    fill(task, {"a": 2.0, "b": 5.0, "wrong": None}, signature=sign)
    fill(task, {"a": 3.0, "c": 4.0}, signature=sign)
    fill(like, {"d": 9.0, "e": 8.0}, signature=sign)
    fill(unlike, {"f": 99.0}, signature=other)
    fill(task, {"g": 7.0}, signature=sign, language="cuda")
    current = fill(task, {"h": 50.0}, signature=sign)
    found = store.past(task.id, sign, "cpp", besides=current)
    assert [attempt.candidate.source for attempt in found] == ["b", "c", "a", "d", "e"]
    assert [attempt.verdict.speedup for attempt in found] == [5.0, 4.0, 3.0, 9.0, 8.0]
    assert [a.candidate.source for a in store.past(task.id, sign, "cpp", besides=current, limit=4)] == [
        "b",
        "c",
        "a",
        "d",
    ]
    assert [a.candidate.source for a in store.past(task.id, None, "cpp", besides=current)] == ["b", "c", "a"]


def test_like_tasks_do_the_same_operations_whatever_their_shapes_and_order() -> None:
    def graph(*calls: str, size: int = 4) -> Graph:
        output = TensorInfo(shape=(size,), dtype="float32", strides=(1,))
        nodes = [GraphNode(name=f"n{i}", op="call", target=call, outputs=(output,)) for i, call in enumerate(calls)]
        return Graph(case="c", nodes=(GraphNode(name="x", op="input", outputs=(output,)), *nodes))

    base = signature(graph("aten.mul.Tensor", "aten.add.Tensor", "aten.add.Tensor"))
    assert base == signature(graph("aten.add.Tensor", "aten.mul.Tensor", "aten.add.Tensor", size=64))
    assert base != signature(graph("aten.add.Tensor", "aten.mul.Tensor"))
    assert signature(None) is None
