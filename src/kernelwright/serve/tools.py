"""What a coding agent may do over MCP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from mcp.server.auth.middleware.auth_context import get_access_token
from pydantic import Field

from kernelwright import api
from kernelwright.errors import UsageError
from kernelwright.knowledge import open_library
from kernelwright.knowledge.learning import LONGEST_LESSON
from kernelwright.proposers.base import Candidate
from kernelwright.report.view import Node, as_json
from kernelwright.serve import lessons
from kernelwright.serve.bench import Bench
from kernelwright.serve.folder import TaskFolder
from kernelwright.serve.turns import Turns
from kernelwright.tasks import Task

_T = TypeVar("_T")

LARGEST_SOURCE = 256 << 10
CALLS_A_CLIENT = 4
_LONGEST_MESSAGE = 300

TaskName = Annotated[str, Field(description="A task file's path relative to the folder that is served, e.g. relu.py.")]
RunName = Annotated[str, Field(description="A run's name as `runs` lists it, or the beginning of it.")]
Source = Annotated[str, Field(description="The whole text of a Python module that defines ModelNew.")]
Language = Annotated[
    str | None, Field(description="What candidates are written in; by default what is usual for the device.")
]


class Tools:
    """The tools: every method that `offered` names, under its own name; its docstring is what the agent reads.

    Raises `KernelwrightError`s, whose text the agent gets. What needs a judge takes turns among clients.
    """

    def __init__(self, folder: TaskFolder, bench: Bench) -> None:
        self._folder, self._bench, self._turns = folder, bench, Turns(CALLS_A_CLIENT)
        self._library = open_library()

    @property
    def offered(self) -> tuple[Callable[..., Any | Awaitable[Any]], ...]:
        """What is offered: to add a tool, write a method and name it here."""
        return (
            self.task,
            self.guide,
            self.evaluate,
            self.profile,
            self.runs,
            self.nodes,
            self.node,
            self.best,
            self.search_knowledge,
            self.documents,
            self.document,
            self.note_lesson,
        )

    async def task(self, task: TaskName, language: Language = None) -> dict[str, Any]:
        """Read a task: the reference's source, its cases (shapes, dtypes, FLOPs, bytes), the floor of each case in µs
        (the time that its data and the reference's arithmetic take on this machine), and whether it is a fair test.
        There may be held-out cases, which are not shown."""
        made = self._load(task)
        async with self._turns.of(_client()):
            description = await self._bench.describe(made, self._of(language))
        return {"reference": made.reference, **description.to_json()}

    def guide(self, language: Language = None) -> str:
        """Read how to write a candidate: its contract, a complete example, the tensor API, what makes kernels fast,
        pitfalls. Read it before you write the first candidate."""
        return api.guide(self._of(language))

    async def evaluate(self, task: TaskName, source: Source, language: Language = None) -> dict[str, Any]:
        """Judge a candidate: is it right, is it its own work, how fast is it. The first call for a task takes some ten
        seconds, later ones less. In the verdict: `outcome` (accepted or rejected), `reason`, `message` and `evidence`
        of a rejection, `speedup` over eager PyTorch with its 95 % interval `speedup_ci`, `time_us`, `floor_us`."""
        verdict = await self._judged(task, source, language, self._bench.evaluate)
        evaluated: dict[str, Any] = as_json(verdict.shown)
        return evaluated

    async def profile(self, task: TaskName, source: Source, language: Language = None) -> dict[str, Any]:
        """Judge a candidate, as `evaluate` does, and read why it takes as long as it does. In `diagnosis` (null where
        it is rejected): `bound`, which is memory, compute, latency, launch (what is around its kernels) or library;
        `why`, and in `doubt` what could not be told apart; `share`, 1 being as fast as the hardware allows; `facts`
        with who says so in `by`, since what the candidate's own process says is a claim; in `missing` what cannot be
        seen on this machine."""
        found = await self._judged(task, source, language, self._bench.profile)
        return {"verdict": as_json(found.verdict.shown), "diagnosis": as_json(found.diagnosis)}

    async def _judged(
        self, task: str, source: str, language: str | None, how: Callable[[Task, Candidate], Awaitable[_T]]
    ) -> _T:
        if len(source.encode()) > LARGEST_SOURCE:
            raise UsageError(
                f"the source is larger than {LARGEST_SOURCE} bytes", remedy="send one self-contained module"
            )
        made = self._load(task)
        candidate = Candidate(source=source, language=self._of(language), proposer="agent")
        async with self._turns.of(_client()):
            return await how(made, candidate)

    def runs(self) -> dict[str, Any]:
        """List the searches in the store, newest first: run, task, outcome, speedup."""
        return {"runs": [api.summary(run) for run in api.runs()]}

    def nodes(
        self,
        run: RunName,
        first: Annotated[int, Field(ge=1, description="Number of the first node to list.")] = 1,
        count: Annotated[int, Field(ge=1, le=500, description="How many to list.")] = 100,
    ) -> dict[str, Any]:
        """List the candidates of a run in the order of their verdicts: number, who proposed it, what it tries, its
        parents, its speedup or why it was rejected."""
        view = api.view(run)
        listed = [_line(node) for node in view.nodes[first - 1 : first - 1 + count]]
        return {"run": view.run, "best": view.best, "total": len(view.nodes), "nodes": listed}

    def node(
        self, run: RunName, number: Annotated[int, Field(ge=1, description="As `nodes` gives it.")]
    ) -> dict[str, Any]:
        """Read one candidate of a run: its source and its whole verdict."""
        return _shown(api.node(run, number)).in_full()

    def best(self, run: RunName) -> dict[str, Any]:
        """Read the best candidate of a run: its source and its whole verdict."""
        view = api.view(run)
        if view.best_node is None:
            raise UsageError("no candidate was accepted", where=view.run, remedy="`nodes` says why each was rejected")
        return _shown(view.best_node).in_full()

    def search_knowledge(
        self,
        query: Annotated[str, Field(max_length=1000, description="Words; names of operations help, e.g. softmax.")],
        count: Annotated[int, Field(ge=1, le=20, description="How many sections at most.")] = 5,
        language: Language = None,
    ) -> dict[str, Any]:
        """Search what is known about writing kernels: constraints, guidance, hardware, and what past runs found to
        work. The sections that fit the words best, best first."""
        found = self._library.search(query, language=self._of(language), target=self._bench.target, k=count)
        return {"sections": [passage.to_json() for passage in found]}

    def documents(self, language: Language = None) -> dict[str, Any]:
        """List all documents of what is known: name, kind, title, and the operations that each is about."""
        found = self._library.documents(language=self._of(language), target=self._bench.target)
        return {"documents": [{"name": name, **document.to_json()} for name, document in found.items()]}

    def document(
        self, name: Annotated[str, Field(max_length=300, description="As `documents` or `search_knowledge` gives it.")]
    ) -> dict[str, Any]:
        """Read a whole document."""
        found = self._library.document(name)
        return {"name": name, **found.to_json(), "text": found.text}

    async def note_lesson(
        self,
        title: Annotated[str, Field(min_length=1, max_length=100, description="What it is about, in a line.")],
        text: Annotated[str, Field(min_length=1, max_length=LONGEST_LESSON, description="What, why, with numbers.")],
        task: Annotated[str, Field(description="The task file that it is about; or name a run.")] = "",
        run: Annotated[str, Field(description="The run that it is about; or name a task.")] = "",
        language: Language = None,
    ) -> dict[str, Any]:
        """Keep one thing that you found out, for later work on like tasks: what helped or did not, by how much, and
        why. Name the task or the run that taught it. Others are told whose note it is and that nobody has checked it.
        Only few are kept, so note what would have saved you time."""
        # There is nothing to wait for in it, so that two calls at once cannot both be the last one.
        return lessons.note(
            title,
            text,
            noted_by=_client() or "stdio",
            task=self._load(task) if task else None,
            run=run,
            language=language or (None if run else self._bench.language),
            target=self._bench.target,
        )

    def _of(self, language: str | None) -> str:
        return language or self._bench.language

    def _load(self, name: str) -> Task:
        return api.load_task(self._folder.file(name))


def _client() -> str:
    """Who calls: the one whose token it was; over stdio there is only one."""
    token = get_access_token()
    return token.client_id if token else ""


def _line(node: Node) -> dict[str, Any]:
    return {**node.to_json(), "message": node.verdict.shown.message[:_LONGEST_MESSAGE]}


def _shown(node: Node) -> Node:
    return replace(node, verdict=node.verdict.shown)
