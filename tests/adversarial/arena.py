"""Judges for the corpus, one at a time for each task, and a count of what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import corpus

from kernelwright.home import home
from kernelwright.judge import memory, storage, zygote_part
from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.targets.cpu import Cpu
from kernelwright.tasks import Task

T = TypeVar("T")
BUILD_TIMEOUT, SLOWER = 40.0, 5
"""Seconds a cheat's build may take, or how many times as long as its honest part's: those that hang are waited for."""
DEADLINE = 240.0
LOOKS = 3
"""Times that a cheat and its honest part are measured side by side before it is a hole."""


@dataclass(frozen=True)
class Traces:
    """What one process has open and has left lying about."""

    processes: frozenset[int]
    descriptors: int
    shared_memory: frozenset[str]
    files: frozenset[str]
    rss_mb: float

    @classmethod
    def now(cls) -> Traces:
        """Counts. Files are those in the judge's own folder, builds of candidates apart: others use /tmp as well."""
        gc.collect()
        storage.give_back()  # what is free but kept by the allocator is no leak
        own = [path for path in (*home().glob("*"), *home().glob("builds/*")) if len(path.stem.partition("-")[0]) != 24]
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            processes=frozenset(memory.descendants(os.getpid())),
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            shared_memory=frozenset(path.name for path in Path("/dev/shm").glob("*")),
            files=frozenset(str(path) for path in own),
            rss_mb=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        )

    def since(self, before: Traces) -> dict[str, Any]:
        """What is there now and was not before; what is nothing is left out."""
        found = {
            "processes": len(self.processes - before.processes),
            "descriptors": self.descriptors - before.descriptors,
            "shared memory": sorted(self.shared_memory - before.shared_memory),
            "files": sorted(self.files - before.files),
        }
        return {name: value for name, value in found.items() if value and not (isinstance(value, int) and value < 0)}


class Arena:
    """Runs judges on an event loop of its own. Life cycle: `judge` candidates, in the order of their tasks; `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._target = Cpu()
        self._target.ceilings()
        self._judge: tuple[Path, Judge] | None = None
        self._honest: dict[Path, Verdict] = {}

    def judge(self, task: Path, source: str, *, brief: bool = False) -> Verdict:
        """The verdict on one candidate, timed as briefly as in a search if `brief`. Starts a judge where the last one
        was for another task."""
        return self._run(self._on(task).evaluate(Candidate(source=source, language="cpp"), brief=brief))

    def honest(self, task: corpus.Task) -> Verdict:
        """The verdict on a task's honest part: what a cheat must not beat."""
        if task.path not in self._honest:
            self._honest[task.path] = self.judge(task.path, task.honest)
        return self._honest[task.path]

    def duel(self, task: corpus.Task, cheat: corpus.Cheat) -> tuple[Verdict, Verdict]:
        """The verdicts on a cheat and on its honest part. What a brief look does not show to be without an advantage is
        measured again, both sides in a row, and what has one then twice more: others on the machine may have come or
        gone between the two. A hole shows each time."""
        honest, verdict = self.honest(task), self._cheat(task, cheat.source, brief=True)
        if verdict.reason == "timed_out" and verdict.reason not in cheat.expect:
            # The machine may have stood still for as long; what hangs does so under the judge's own patience as well.
            verdict = self.judge(task.path, f"{cheat.source}\n# {time.monotonic_ns()}\n", brief=True)
        doubt = corpus.may_have_advantage
        for _ in range(LOOKS):
            if not doubt(verdict, honest):
                break
            honest = self.judge(task.path, f"{task.honest}\n# {time.monotonic_ns()}\n")
            verdict = self._cheat(task, f"{cheat.source}\n# {time.monotonic_ns()}\n")
            doubt = corpus.has_advantage
        return verdict, honest

    def _cheat(self, task: corpus.Task, source: str, *, brief: bool = False) -> Verdict:
        judge = self._on(task.path)
        built = next(stage.seconds for stage in self.honest(task).stages if stage.name == "build")
        patient, judge.build_timeout = judge.build_timeout, max(BUILD_TIMEOUT, SLOWER * built)
        try:
            return self.judge(task.path, source, brief=brief)
        finally:
            judge.build_timeout = patient

    def rest(self) -> None:
        """Ends the judge that runs."""
        if self._judge is not None:
            self._run(self._judge[1].__aexit__())
            self._judge = None

    def close(self) -> None:
        """Ends everything; may be called again."""
        if self._loop.is_closed():
            return
        self.rest()
        zygote_part.end_idle()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on(self, task: Path) -> Judge:
        if self._judge is None or self._judge[0] != task:
            self.rest()
            judge = Judge(Task.load(task), self._target)
            self._run(judge.__aenter__())
            self._judge = task, judge
        return self._judge[1]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)


def settled(before: Traces, seconds: float = 10.0) -> dict[str, Any]:
    """What is left once processes that were killed are gone."""
    until = time.monotonic() + seconds
    while (left := Traces.now().since(before)) and time.monotonic() < until:
        time.sleep(0.2)
    return left
