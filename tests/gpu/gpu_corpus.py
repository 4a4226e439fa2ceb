"""Honest candidates and cheats for a GPU, and the judges that they go through, one at a time for each task."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.targets.cuda import Cuda
from kernelwright.tasks import Task

T = TypeVar("T")
HERE = Path(__file__).parent
DEFAULT = "triton"
"""The language of a candidate whose header names none."""
NO_ADVANTAGE = "no_advantage"
PATIENCE = 5.0
"""Seconds a cheat's call may take: none needs longer, and those that hang are waited for."""
DEADLINE = 240.0


@dataclass(frozen=True)
class Entry:
    """A candidate with what its header says: its task and language, and, of a cheat, what may come of it."""

    name: str
    task: Path
    language: str
    source: str
    expect: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Entry:
        """From a file."""
        source = path.read_text()
        header = dict(re.findall(r"^# (\w+): (.*)$", source, re.MULTILINE))
        expect = tuple(header.get("expect", "accepted").split(", "))
        task, language = HERE / "tasks" / f"{header['task']}.py", header.get("language", DEFAULT)
        return cls(path.stem, task, language, source, expect)

    @property
    def counterpart(self) -> str:
        """The source of the honest candidate for its task in its language."""
        prefix = "" if self.language == DEFAULT else f"{self.language}_"
        return (HERE / "honest" / f"{prefix}{self.task.name}").read_text()


def entries(folder: str, *languages: str) -> list[Entry]:
    """All of a folder, or those in some languages, by language and task: each pair of them needs another judge."""
    found = map(Entry.read, (HERE / folder).glob("*.py"))
    wanted = (entry for entry in found if not languages or entry.language in languages)
    return sorted(wanted, key=lambda entry: (entry.language, entry.task, entry.name))


class Arena:
    """Life cycle: `judge` candidates, in the order of their languages and tasks; `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.target = Cuda()
        self._judge: tuple[tuple[Path, str], Judge] | None = None
        self._honest: dict[tuple[Path, str], Verdict] = {}

    def judge(self, task: Path, source: str, *, language: str = DEFAULT, brief: bool = False) -> Verdict:
        """The verdict on one candidate."""
        judge = self._on(task, language)
        return self._run(judge.evaluate(Candidate(source=source, language=language), brief=brief))

    def honest(self, entry: Entry) -> Verdict:
        """The verdict on the honest candidate for an entry's task in its language."""
        key = entry.task, entry.language
        if key not in self._honest:
            self._honest[key] = self.judge(entry.task, entry.counterpart, language=entry.language)
        return self._honest[key]

    def cheat(self, entry: Entry) -> str:
        """What comes of a cheat: the reason of its rejection, `no_advantage`, or `accepted`."""
        honest = self.honest(entry)
        candidate: Any = sys.modules["kernelwright.judge.evaluation"]
        patient, candidate.CALL_TIMEOUT = candidate.CALL_TIMEOUT, PATIENCE
        try:
            verdict = self.judge(entry.task, entry.source, language=entry.language, brief=True)
        finally:
            candidate.CALL_TIMEOUT = patient
        self.last = verdict
        if not verdict.accepted:
            return str(verdict.reason)
        assert verdict.speedup is not None and honest.speedup is not None
        return NO_ADVANTAGE if verdict.speedup < 1.1 * honest.speedup else "accepted"

    def with_judge(self, task: Path, work: Callable[[Judge], Coroutine[Any, Any, T]], language: str = DEFAULT) -> T:
        """What some work gives with the task's judge."""
        return self._run(work(self._on(task, language)))

    def close(self) -> None:
        """Ends everything."""
        if self._judge is not None:
            self._run(self._judge[1].__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on(self, task: Path, language: str) -> Judge:
        if self._judge is None or self._judge[0] != (task, language):
            if self._judge is not None:
                self._run(self._judge[1].__aexit__())
            judge = Judge(Task.load(task), self.target, language=language)
            self._judge = None
            self._run(judge.__aenter__())
            self._judge = (task, language), judge
        return self._judge[1]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)
