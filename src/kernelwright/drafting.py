"""From words to a task: a language model writes the file, the sandbox says what is wrong with it, the model mends it.

The model's text runs nowhere but where all tasks run, in the sandbox.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelwright.description import Description, describe
from kernelwright.errors import MachineError, TaskError
from kernelwright.home import home
from kernelwright.proposers.llm import prompts, reply
from kernelwright.proposers.llm.call import Answerer, BudgetSpent, CallFailed, Prompt
from kernelwright.proposers.llm.models import make
from kernelwright.proposers.llm.outage import passes
from kernelwright.proposers.llm.record import RecordFile
from kernelwright.proposers.llm.reply import ReplyProblem
from kernelwright.proposers.llm.templates import shipped
from kernelwright.tasks import Task

if TYPE_CHECKING:
    from kernelwright.proposers.llm.config import Configuration
    from kernelwright.proposers.llm.limits import Spent

REPLIES = 4
"""Drafts that are asked for at most."""
_LONGEST_NAME = 40
_LONGEST_ERROR = 1000
"""Characters of what a draft raised: the model that wrote it chose them."""
_PLACE = re.compile(r":(\d+)$")

Teller = Callable[[str], None]


@dataclass(frozen=True)
class Draft:
    """A task file that a model wrote, as it was checked: it loads and runs, but may be no fair test.

    `spent` is what its calls took, `record` the file that has them, with all prompts and replies.
    """

    text: str
    description: Description
    spent: Spent
    record: Path

    def to_json(self) -> dict[str, Any]:
        """Part of what `task new --json` prints."""
        return {
            "text": self.text,
            "description": self.description.to_json(),
            "models": asdict(self.spent),
            "record": str(self.record),
        }


def file_name(words: str) -> str:
    """Letters, digits and underscores from what the user wrote, for the task's file."""
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:_LONGEST_NAME].strip("_") or "task"


async def draft(words: str, configuration: Configuration, target: str, tell: Teller) -> Draft:
    """Has models write a task, until it is a fair test or `REPLIES` drafts have been seen: the last one that can be
    used.

    Every call is recorded below `home()`, whatever comes of it.

    Args:
        words: what is to be computed.
        configuration: the models, and what their calls may take.
        target: the device's name; it measures the floors.
        tell: hears in a line what is wrong with a draft.

    Raises:
        UsageError: the models cannot be asked as configured.
        TaskError: no draft can be used, or the limits leave no room for one.
        MachineError: the models do not reply, or the machine lacks something.
    """
    name = file_name(words)
    record = home() / "drafts" / f"{name}-{secrets.token_hex(3)}.json"
    models = make(configuration, RecordFile(record, words, name))
    async with models:
        drafting = _Drafting(models, name, target, tell)
        try:
            await drafting.go(prompts.draft(words))
        except asyncio.CancelledError:  # Ctrl-C
            tell(f"interrupted, and no task was written; `kernelwright calls {record}` shows what was asked")
            raise
        except (BudgetSpent, CallFailed) as stopped:
            if drafting.usable is None:
                raise _nothing(drafting, stopped, record) from stopped
        if drafting.usable is None:
            raise _nothing(drafting, None, record)
        return Draft(*drafting.usable, models.spent, record)


def _nothing(drafting: _Drafting, stopped: Exception | None, record: Path) -> TaskError | MachineError:
    """Why there is no draft."""
    said = [str(stopped)] if stopped else []
    said += [f"the last draft: {drafting.problem}"] if drafting.problem else []
    remedy = f"say more precisely what you want; `kernelwright calls {record} --full` shows what was written"
    if isinstance(stopped, CallFailed):
        other = "check the model's name, address and key, or name another model"
        remedy = "try again later" if passes(stopped) else other
        return MachineError(f"no task was written: {'; '.join(said)}", where="language model", remedy=remedy)
    return TaskError(f"no task was written that can be used: {'; '.join(said)}", remedy=remedy)


class _Drafting:
    """Life cycle: `go`, once. Then `usable` is the last draft that can be used, `problem` what was wrong last."""

    def __init__(self, models: Answerer, name: str, target: str, tell: Teller) -> None:
        self._models, self._name, self._target, self._tell = models, name, target, tell
        self.usable: tuple[str, Description] | None = None
        self.problem = ""

    async def go(self, prompt: Prompt) -> None:
        """Asks until a draft is fair."""
        for number in range(1, REPLIES + 1):
            answer = await self._models.ask(prompt)
            self.problem = await self._wrong(answer.text)
            self._models.used(answer)
            self._models.reward([answer], 0.0 if self.problem else 1.0)
            if not self.problem:
                return
            self._tell(f"draft {number}: {self.problem}")
            prompt = prompts.again(prompt, answer, self.problem, shipped())

    async def _wrong(self, text: str) -> str:
        """What is wrong with the draft in a reply; empty where nothing is."""
        try:
            draft = reply.task(text)
        except ReplyProblem as problem:
            return str(problem)
        try:
            description = await self._described(draft)
        except TaskError as error:
            return _with_its_line(error, draft)
        self.usable = draft, description
        if description.fairness.fair:
            return ""
        reasons = (f"{each.name.replace('_', ' ')}: {each.reason}" for each in description.fairness.problems)
        return f"it is no fair test: {'; '.join(reasons)}"

    async def _described(self, text: str) -> Description:
        """The draft loaded in the sandbox, from a folder where nothing of the user's lies beside it."""
        with tempfile.TemporaryDirectory(prefix="kernelwright-") as folder:
            path = Path(folder) / f"{self._name}.py"
            path.write_text(text, encoding="utf-8")
            task = Task.load(path)
        source = task.source.model_copy(update={"filename": path.name})
        return await describe(task.model_copy(update={"source": source}), self._target)


def _with_its_line(error: TaskError, text: str) -> str:
    """The error with the line of the file that it names: models cannot count."""
    place = _PLACE.search(error.where)
    lines = text.splitlines()
    number = int(place[1]) if place else 0
    quoted = f"\nline {number}: `{lines[number - 1].strip()[:_LONGEST_ERROR]}`" if 0 < number <= len(lines) else ""
    return f"{error.what[:_LONGEST_ERROR]}{f'; {error.remedy}' if error.remedy else ''}{quoted}"
