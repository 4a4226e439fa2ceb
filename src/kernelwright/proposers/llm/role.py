"""Roles: who is asked in a step, with which templates, and how their replies are read.

The universal operator is KernelEvolve's (arXiv 2512.23236). Designer, Coder and Conductor are those of AKG (arXiv
2512.23424); what it calls verifier is the judge here, whose verdicts the Judge-reader reads as CudaForge's does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from kernelwright.proposers.llm import reply, sketch
from kernelwright.proposers.llm.memory import Memory
from kernelwright.proposers.llm.reply import ReplyProblem
from kernelwright.targets.base import TargetInfo

_MOST_SAID = 3000
"""Characters of a finding's part or of a hint."""


@dataclass(frozen=True)
class Notes:
    """What the roles of a step have said so far: the Judge-reader's `finding`, whom the Conductor named and with which
    `hint`, the Designer's `sketch`, and the `source` of the candidate with its `idea`."""

    finding: str = ""
    next: str = ""
    hint: str = ""
    sketch: str = ""
    source: str = ""
    idea: str = ""


@dataclass(frozen=True)
class Work:
    """What a step is about: the versions that it builds on and what its roles have said. `alike` counts the steps that
    build on the same and are under way, or brought nothing new; `sample` numbers steps that are to know of no other,
    and is 0 for all others; `left` is how many calls there is room for, None where they are not limited."""

    memory: Memory
    notes: Notes = Notes()
    alike: int = 0
    sample: int = 0
    left: int | None = None

    @property
    def base(self) -> str:
        """The text that changes apply to; empty where there is none."""
        return self.memory.parent.candidate.source if self.memory.parent else ""


Reading = Callable[[str, Notes, str, TargetInfo], Notes]
"""The notes after a reply: from its text, the notes before, the text that changes apply to, and the device. Raises
`ReplyProblem`."""


@dataclass(frozen=True)
class Role:
    """Who is asked. `name` is the purpose of its calls and the beginning of its templates' names, `NAME.system.md.j2`
    and `NAME.md.j2`; `read` takes its replies, and `writes` says that those are candidates."""

    name: str
    read: Reading
    writes: bool = False


def _candidate(text: str, notes: Notes, base: str, _: TargetInfo) -> Notes:
    written = reply.read(text, base)
    return replace(notes, source=written.source, idea=written.idea)


def _sketch(text: str, notes: Notes, _: str, device: TargetInfo) -> Notes:
    """The last block that is a sketch, with its comments, which tell the Coder why."""
    blocks = [block for block in reply.fenced(text) if block.lstrip().startswith("sketch")]
    if not blocks:
        raise ReplyProblem("there is no block of code that begins with `sketch NAME`")
    try:
        made = sketch.parse(blocks[-1])
    except sketch.SketchError as error:
        raise ReplyProblem(f"the sketch cannot be read:\n{error}") from error
    if problems := sketch.check(made, sketch.memories(device)):
        raise ReplyProblem("the sketch does not hold:\n" + "\n".join(map(str, problems)))
    return replace(notes, sketch=blocks[-1].strip("\n"), idea=reply.idea(text))


def _finding(text: str, notes: Notes, _: str, __: TargetInfo) -> Notes:
    parts = _parts(text, ("Bottleneck", "Method", "Plan"))
    return replace(notes, finding="\n".join(f"{name}: {said}" for name, said in parts.items()))


def _decision(text: str, notes: Notes, _: str, __: TargetInfo) -> Notes:
    parts = _parts(text, ("Next", "Hint"))
    named = [role.name for role in (DESIGNER, CODER) if role.name in parts["Next"].lower()]
    if len(named) != 1:
        raise ReplyProblem(f"`Next:` must name one of {DESIGNER.name} and {CODER.name}")
    return replace(notes, next=named[0], hint=parts["Hint"])


def _parts(text: str, names: tuple[str, ...]) -> Mapping[str, str]:
    """What follows each of some names and a colon, up to the next of them."""
    either = "|".join(names)
    begin = re.compile(rf"^[ \t*_#>\-]*({either})[*_ \t]*:[*_ \t]*", re.MULTILINE | re.IGNORECASE)
    _, *pieces = begin.split(text)
    said = {
        name.capitalize(): words.strip()[:_MOST_SAID] for name, words in zip(pieces[::2], pieces[1::2], strict=True)
    }
    for name in names:
        if not said.get(name):
            raise ReplyProblem(f"there is no line `{name}: ...` in it")
    return {name: said[name] for name in names}


OPERATOR = Role("operator", _candidate, writes=True)
DESIGNER = Role("designer", _sketch)
CODER = Role("coder", _candidate, writes=True)
JUDGE_READER = Role("judge_reader", _finding)
CONDUCTOR = Role("conductor", _decision)
ALL = (OPERATOR, DESIGNER, CODER, JUDGE_READER, CONDUCTOR)
