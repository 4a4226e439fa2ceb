from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.store import Store
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Task, TaskSource

POSTGRESQL = "KERNELWRIGHT_TEST_POSTGRESQL"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERNELWRIGHT_STORE", raising=False)


@pytest.fixture(params=["file", "memory", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Every kind of database; PostgreSQL where KERNELWRIGHT_TEST_POSTGRESQL holds the URL of an empty one."""
    url = {"file": None, "memory": "sqlite://", "postgresql": os.environ.get(POSTGRESQL)}[request.param]
    if request.param == "postgresql" and url is None:
        pytest.skip(f"{POSTGRESQL} is not set")
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def make_task() -> Callable[..., Task]:
    def make(name: str = "RMS Norm", text: str | None = None) -> Task:
        text = os.urandom(8).hex() if text is None else text
        return Task(name=name, source=TaskSource(kind="kernelbench", text=text, filename="rmsnorm.py"))

    return make


@pytest.fixture
def target() -> TargetInfo:
    return TargetInfo(
        name="cpu", model="Test 1", cores=4, simd="avx2", vector_bytes=32, l1_bytes=1, l2_bytes=2, l3_bytes=3,
        memory_bytes=4, key="cpu-1",
    )  # fmt: skip


@pytest.fixture
def fill(store: Store, target: TargetInfo) -> Callable[..., str]:
    """A run with a candidate for each speedup; None is a rejected one."""

    def fill(
        task: Task, speedups: dict[str, float | None], *, signature: str | None = None, language: str = "cpp"
    ) -> str:
        run = store.create(task, target, {}, 0)
        store.describe(run, signature, {})
        for at, (source, speedup) in enumerate(speedups.items()):
            candidate = Candidate(source=source, language=language, proposer="catalogue", note=f"n {source}")
            number = store.propose(run, candidate, {"A": 1})
            store.evaluated(run, number, verdict(candidate, task, speedup), "judge-1", float(at))
        return run

    return fill


def verdict(candidate: Candidate, task: Task, speedup: float | None, **more: object) -> Verdict:
    facts = {"candidate": candidate.id, "task": task.id, "target": "cpu-1", "language": candidate.language}
    if speedup is None:
        return Verdict(**facts, outcome="rejected", **{"reason": "wrong_values", "message": "wrong", **more})
    return Verdict(**facts, outcome="accepted", speedup=speedup, time_us=100 / speedup, **more)
