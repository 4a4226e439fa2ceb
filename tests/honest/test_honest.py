"""The judge refuses nothing that is honest: every candidate of the corpus is accepted, whatever its speed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from honest_corpus import TASKS, HeaderError, HonestCandidate, corpus, read

from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.targets.base import Target
from kernelwright.targets.cpu import Cpu
from kernelwright.tasks import Task

T = TypeVar("T")
CORPUS = corpus()
SECONDS = 240.0
EVERY_RUN = ("layer_norm", "softmax")
"""Tasks whose candidates show most styles: starting a judge takes longer than judging."""


class OneJudge:
    """The judge of the task that is asked about, on an event loop of its own; another task ends it."""

    def __init__(self, target: Target) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._target, self._task, self._judge = target, "", None

    def evaluate(self, candidate: HonestCandidate) -> Verdict:
        if candidate.task != self._task or self._judge is None:
            self._leave()
            self._judge = self._run(Judge(Task.load(candidate.task_path), self._target).__aenter__())
            self._task = candidate.task
        return self._run(self._judge.evaluate(Candidate(source=candidate.source, language="cpp")))

    def close(self) -> None:
        self._leave()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _leave(self) -> None:
        if self._judge is not None:
            self._run(self._judge.__aexit__())
            self._judge = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)


@pytest.fixture(scope="module")
def judge(cpu: Cpu) -> Iterator[OneJudge]:
    judge = OneJudge(cpu)
    yield judge
    judge.close()


def picked() -> list[Any]:
    """All candidates; every run takes the first of each style that some tasks have, `make corpus` the others."""
    found, styles = [], {"torch_extension"}  # half a minute to build; tests/languages has one in every run
    for candidate in CORPUS:
        taken = candidate.task in EVERY_RUN and candidate.style not in styles
        styles |= {candidate.style} if taken else set()
        found.append(pytest.param(candidate, id=candidate.name, marks=[] if taken else pytest.mark.corpus))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("candidate", picked())
def test_it_is_accepted(judge: OneJudge, candidate: HonestCandidate) -> None:
    verdict = judge.evaluate(candidate)

    assert verdict.accepted, f"{verdict.reason}: {verdict.message}\n{_evidence(verdict)}"


def test_the_corpus_is_large_and_uses_every_task() -> None:
    assert len(CORPUS) >= 65
    assert len({candidate.style for candidate in CORPUS}) >= 20
    assert {candidate.task for candidate in CORPUS} == {path.stem for path in TASKS.glob("*.py")}


@pytest.mark.parametrize(
    "header",
    [
        "# style: {style}\n# task: softmax\n",
        "# style: {style}\n# task: softmax\n# note: one\n# speed: 2\n",
        "# style: {style}\n# task: softmax\n# note: one\n# note: two\n",
        "# style: another\n# task: softmax\n# note: one\n",
        "# style: {style}\n# task: no_such_task\n# note: one\n",
        "# style: {style}\n# task: softmax\n# note:\n",
    ],
)
def test_a_header_with_a_mistake_is_an_error(tmp_path: Path, header: str) -> None:
    path = tmp_path / "candidate.py"
    path.write_text(header.format(style=tmp_path.name) + "\nimport torch\n")

    with pytest.raises(HeaderError, match=r"candidate\.py"):
        read(path)


def _evidence(verdict: Verdict) -> str:
    stages = ", ".join(f"{stage.name} {stage.status} {stage.seconds:.1f} s" for stage in verdict.stages)
    return "\n".join([stages, *(f"{key}: {value}" for key, value in verdict.evidence.items())])
