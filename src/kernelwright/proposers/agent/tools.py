"""The agent's tools. Their arguments come from a model: they are typed and bounded, and what is wrong with them goes
back to it as text."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from kernelwright import format as fmt
from kernelwright.errors import KernelwrightError, UsageError
from kernelwright.knowledge.library import Library
from kernelwright.proposers import catalogue
from kernelwright.proposers.agent.workspace import Workspace, speed
from kernelwright.proposers.base import Attempt, Candidate
from kernelwright.proposers.catalogue import offers
from kernelwright.proposers.llm import feedback, lookup, prompts
from kernelwright.proposers.llm.call import Tool, ToolCall, clean
from kernelwright.proposers.llm.reply import ReplyProblem, note
from kernelwright.proposers.llm.templates import fenced

_MOST_SHOWN = 60_000
"""Characters of one result."""
_MOST_WRITTEN = 100_000
_MOST_PROBLEMS = 3
_FENCE = "~" * 40

Text = Annotated[str, AfterValidator(clean)]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{4,16}$", description="A version's id as `nodes` lists it.")]


class Arguments(BaseModel):
    """The arguments of one tool. Life cycle: read from what the model sent, then `apply`, once. The docstring of each
    class is what the model reads about the tool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @abstractmethod
    def apply(self, workspace: Workspace) -> str | Candidate:
        """The result, or a candidate, whose verdict is the result.

        Raises:
            KernelwrightError: it cannot be done; the text goes to the model.
            ReplyProblem: what the model wrote cannot be used.
        """


class ReadTask(Arguments):
    """Read the task: the reference's source, its cases with the floor of each, and the device."""

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        return prompts.task(workspace.context, workspace.templates)


class ReadGuide(Arguments):
    """Read how a version is written: its contract, a complete example, what the judge accepts, what the device is good
    at. Read it before you write the first version."""

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        known = lookup.documents(workspace.context)
        texts = (f"# {document.title}\n\n{document.text}" for document in known)
        return "\n\n".join([workspace.context.guide, *texts])


class ListNodes(Arguments):
    """List versions of this run with their verdicts, one a line: id, who proposed it, what it tries, its parents, its
    speedup or why it was rejected. The head of your lineage is marked."""

    order: Literal["best", "latest"] = Field("best", description="The fastest ones first, or the latest ones.")
    count: int = Field(20, ge=1, le=100)

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        attempts = list(workspace.attempts())
        if self.order == "best":
            attempts.sort(key=speed, reverse=True)
        lines = [_line(attempt, workspace) for attempt in attempts[: self.count]]
        return "\n".join([f"{fmt.plural(len(attempts), 'version')} with a verdict.", *lines])


class ReadNode(Arguments):
    """Read one version of this run: its source and its verdict."""

    version: Version

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        attempt = workspace.find(self.version)
        source = fenced(attempt.candidate.source, "python")
        return f"{_line(attempt, workspace)}\n\n{workspace.told(attempt)}\n\n{source}"


class Profile(Arguments):
    """Read all that is known of why an accepted version takes as long as it does: what bounds it, how far it is from
    the roof, where its time goes by kernel, what was counted, and what cannot be seen here."""

    version: Version

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        attempt = workspace.find(self.version)
        found = feedback.diagnosis(attempt, workspace.context)
        if found is None:
            raise UsageError(
                f"there is no profile of it: {workspace.summary(attempt)}",
                remedy="" if attempt.verdict.accepted else "name an accepted one",
            )
        return feedback.profile(found, workspace.templates)


class SearchKnowledge(Arguments):
    """Search what is known about fast kernels: guidance, and what past searches found to work. Gives the sections that
    fit the words best."""

    query: Text = Field(min_length=1, max_length=1000, description="Words; names of operations help, e.g. softmax.")
    count: int = Field(4, ge=1, le=10)

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        context = workspace.context
        library = _library(workspace)
        found = library.search(self.query, language=context.language, target=context.target.name, k=self.count)
        shown = [f"# {passage.title}: {passage.heading} (`{passage.name}`)\n\n{passage.text}" for passage in found]
        return "\n\n".join(shown) or "Nothing fits these words."


class ListDocuments(Arguments):
    """List all documents of what is known, one a line: name, kind, title, and the operations that each is about."""

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        context = workspace.context
        found = _library(workspace).documents(language=context.language, target=context.target.name)
        return "\n".join(f"`{name}`, {document.line}" for name, document in found.items()) or "There are none."


class ReadDocument(Arguments):
    """Read a whole document."""

    name: Text = Field(max_length=300, description="As `documents` or `search_knowledge` gives it.")

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        found = _library(workspace).document(self.name)
        return f"# {found.title}\n\n{found.text}"


class Write(Arguments):
    """Write the working version anew: the whole text of a Python module that defines ModelNew."""

    source: Text = Field(max_length=_MOST_WRITTEN)

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        is_block = self.source.lstrip().startswith("```")
        workspace.change(self.source if is_block else f"{_FENCE}\n{self.source.rstrip()}\n{_FENCE}")
        return f"The working version has {len(workspace.source.splitlines())} lines now."


class Edit(Arguments):
    """Change the working version by search and replace blocks, made one after the other. The text to search for must
    stand there exactly once: take whole lines and enough of them. The form of a block:

    <<<<<<< SEARCH
    lines as they are
    =======
    lines that take their place
    >>>>>>> REPLACE
    """

    blocks: Text = Field(max_length=_MOST_WRITTEN)

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        if "<<<<<" not in self.blocks:
            raise ReplyProblem("there is no block that begins with a line `<<<<<<< SEARCH`")
        workspace.change(self.blocks)
        return f"The working version has {len(workspace.source.splitlines())} lines now."


class Schedule(Arguments):
    """Write the working version from the catalogue's kernels for this task, their loops arranged as you say. An empty
    text lists the kernels: what each computes, its loops, its schedule, and the rewrites that may be made first and
    next. Else a line for each kernel that is to be arranged anew, e.g.
    `kernel_0: fuse(i0, j); split(j, 4096); vectorise(j); parallelise(j); stage(stores, 1)`; others stay as they are.
    Rewrites are made one after the other; loops are named by place (i0, i1, ... from outside in, the innermost is j) as
    the rewrites before have left them."""

    schedules: Text = Field(max_length=_MOST_WRITTEN)

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        program = catalogue.program_of(workspace.context)
        if program is None:
            raise UsageError("the catalogue has no kernels for this task", remedy="`write` a version")
        if not self.schedules.strip():
            return offers.described(program)
        arranged = program.rescheduled(offers.read(self.schedules))
        source = catalogue.candidate(arranged, workspace.context.info, note="").source
        workspace.change(f"{_FENCE}\n{source.rstrip()}\n{_FENCE}")
        return f"The working version has these loops now:\n\n{offers.described(arranged)}"


class CheckOut(Arguments):
    """Make a version of this run the working version, whoever wrote it."""

    version: Version

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        attempt = workspace.find(self.version)
        workspace.check_out(attempt)
        return f"The working version is `{attempt.id}` now: {workspace.summary(attempt)}."


class Evaluate(Arguments):
    """Have the working version judged: is it right, is it its own work, how fast is it. The verdict says what is wrong
    and where, or its speedup over the reference and how far it is from the floor."""

    idea: Text = Field(
        max_length=2000,
        description="In one line: what this version does that the others did not, and why it is faster.",
    )

    def apply(self, workspace: Workspace) -> Candidate:
        """See `Arguments`."""
        return workspace.candidate(note(self.idea))


class Commit(Arguments):
    """Make the working version the head of your lineage: only where it was evaluated as it is, accepted, and is not
    slower than the present head."""

    def apply(self, workspace: Workspace) -> str:
        """See `Arguments`."""
        return workspace.commit()


TOOLS: dict[str, type[Arguments]] = {
    "task": ReadTask,
    "guide": ReadGuide,
    "nodes": ListNodes,
    "node": ReadNode,
    "profile": Profile,
    "search_knowledge": SearchKnowledge,
    "documents": ListDocuments,
    "document": ReadDocument,
    "write": Write,
    "edit": Edit,
    "schedule": Schedule,
    "check_out": CheckOut,
    "evaluate": Evaluate,
    "commit": Commit,
}


@cache
def offered() -> tuple[Tool, ...]:
    """The tools as models are told of them."""
    return tuple(Tool(name, inspect.getdoc(kind) or "", _schema(kind)) for name, kind in TOOLS.items())


def apply(call: ToolCall, workspace: Workspace) -> str | Candidate:
    """The result of a call, or a candidate. Whatever is wrong is said in the result."""
    if call.name not in TOOLS:
        return f"There is no tool {call.name!r}; there are {', '.join(TOOLS)}."
    try:
        result = TOOLS[call.name].model_validate_json(call.arguments).apply(workspace)
    except ValidationError as error:
        return f"Wrong arguments: {_problems(error)}"
    except ReplyProblem as problem:
        return f"The working version is as before: {problem}"
    except KernelwrightError as error:
        return str(error)
    if isinstance(result, str) and len(result) > _MOST_SHOWN:
        return f"{result[:_MOST_SHOWN]}\n... ({len(result) - _MOST_SHOWN:,} characters more)"
    return result


def _library(workspace: Workspace) -> Library:
    library = workspace.context.library
    if library is None:
        raise UsageError("nothing is known here")
    return library


def _schema(kind: type[Arguments]) -> dict[str, object]:
    return {name: value for name, value in kind.model_json_schema().items() if name not in ("title", "description")}


def _problems(error: ValidationError) -> str:
    """What is wrong, without what was sent."""
    found = error.errors(include_input=False, include_url=False, include_context=False)[:_MOST_PROBLEMS]
    return "; ".join(f"{'.'.join(map(str, each['loc']))[:80] or 'all'}: {each['msg']}" for each in found)


def _line(attempt: Attempt, workspace: Workspace) -> str:
    candidate = attempt.candidate
    parents = f", from {', '.join(parent[:6] for parent in candidate.parents)}" if candidate.parents else ""
    note = f", {candidate.note}" if candidate.note else ""
    mark = " (your lineage's head)" if workspace.is_head(attempt) else ""
    return f"`{attempt.id}`{mark} by {candidate.proposer}{parents}{note}: {workspace.summary(attempt)}"
