"""Real judges over real processes, one for each task, shared by the tests of this folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from kernelwright.judge import memory
from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.targets.base import Target
from kernelwright.tasks import Task

T = TypeVar("T")


class Bench:
    """Runs judges on an event loop of its own, so that several tests can share one."""

    def __init__(self, folder: Path, target: Target) -> None:
        self._folder, self._target = folder, target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._judges: dict[str, Judge] = {}
        self._known: dict[tuple[str, str], Verdict] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(240)

    def judge(self, task: str, *, strict: bool = False, backward: bool = False) -> Judge:
        key = f"{strict} {backward} {task}"
        if key not in self._judges:
            path = self._folder / f"task{len(self._judges)}.py"
            path.write_text(task)
            loaded = Task.load(path).model_copy(update={"strict": strict})
            judge = Judge(loaded.there_and_back if backward else loaded, self._target)
            self.run(judge.__aenter__())
            self._judges[key] = judge
        return self._judges[key]

    def evaluate(
        self, task: str, source: str, *, strict: bool = False, backward: bool = False, brief: bool = False
    ) -> Verdict:
        judge = self.judge(task, strict=strict, backward=backward)
        return self.run(judge.evaluate(Candidate(source=source, language="cpp"), brief=brief))

    def known(self, task: str, source: str) -> Verdict:
        """The verdict of an earlier test on the same text, where there is one."""
        if (task, source) not in self._known:
            self._known[task, source] = self.evaluate(task, source)
        return self._known[task, source]

    def close(self) -> None:
        self.run(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _leave(self) -> None:
        await asyncio.gather(*(judge.__aexit__() for judge in self._judges.values()))


def processes(judge: Judge) -> set[int]:
    shared = judge._zygote._shared
    assert shared is not None and shared.zygote._process is not None
    return set(memory.descendants(shared.zygote._process.pid))


async def settled(judge: Judge, before: set[int]) -> None:
    """Returns when there are no processes but those; ends take a moment."""
    while not processes(judge) <= before:
        await asyncio.sleep(0.01)
