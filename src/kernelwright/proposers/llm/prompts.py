"""Prompts: template files with their parts visible, filled with what is known of task, device and search."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kernelwright import format as fmt
from kernelwright.knowledge.document import Kind
from kernelwright.knowledge.learning import plain_names
from kernelwright.knowledge.passages import Passage
from kernelwright.proposers.base import Attempt, Context
from kernelwright.proposers.llm import feedback
from kernelwright.proposers.llm import memory as memories
from kernelwright.proposers.llm.call import Prompt
from kernelwright.proposers.llm.memory import Memory
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.targets.roofline import arithmetic_us, bandwidth_of, floor_us
from kernelwright.tasks import CaseInfo, TensorInfo

_TRIED = 12
"""Earlier attempts that are told in a line each: the best ones and the last ones."""
_PASSAGES = 4
_LOOKED_UP: tuple[Kind, ...] = ("guidance", "win", "lesson")
"""The other kinds are in every prompt."""
_SOURCE_CHARACTERS, _DIFFERENCE_CHARACTERS = 60_000, 6_000
_AGAIN = (
    "Nothing of it was taken over. Send the whole module, or all blocks again, against the version that you were shown."
)
_INSTRUCTIONS: dict[memories.Kind, str] = {
    "repair": "Mend that version: say what is wrong with it, and change as little as it takes.",
    "inherit": "Make that version faster. Name what bounds it now, pick the one change that should help most, and make "
    "it.",
    "siblings": "Make that version faster. The other attempts changed the same one: take what helped, leave what did "
    "not, and go further.",
    "combine": "Write one version that joins what is good in both.",
    "clean_slate": "Write a new version from the task alone, by another way than what has been tried: another "
    "algorithm, order of loops, layout or division of work.",
}


def operator(context: Context, memory: Memory, before: int = 0) -> Prompt:
    """The universal operator's prompt, for one step; `before` says how many were built on the same memory just now."""
    values = {
        **_task(context),
        "passages": _passages(context, memory),
        "tried": _tried(context.history),
        "parent": _version(memory.parent) if memory.parent else None,
        "others": [_other(one, memory) for one in memory.others],
        "instruction": _INSTRUCTIONS[memory.kind],
        "before": before,
    }
    system = _template("system.md.j2").render(
        language=language(context),
        guide=context.guide,
        documents=context.library.always(context.language, context.target.name) if context.library else [],
    )
    text = _template("operator.md.j2").render(values)
    joined = (memory.parent, *memory.others) if memory.kind == "combine" else (memory.parent,)
    base = tuple(one.candidate.id for one in joined if one is not None)
    return Prompt(system=system, turns=(text,), purpose="operator", template=version(), base=base)


def draft(words: str) -> Prompt:
    """The prompt that has a task's file written from a description in words."""
    return Prompt(system=_template("draft.md.j2").render(), turns=(words,), purpose="draft", template=version())


def task(context: Context) -> str:
    """The task, its cases with their floors, and the device."""
    return str(_template("task.md.j2").render(_task(context)))


def _task(context: Context) -> dict[str, Any]:
    return {
        "reference": context.reference.strip(),
        "graph": _graph(context),
        "init_inputs": json.dumps(context.info.init_inputs),
        "cases": [_case(case, context.ceilings) for case in context.info.cases],
        "hides": context.info.hides,
        "state": [
            {"name": each.name, "text": _tensor(each.tensor), "mutated": each.mutated} for each in context.info.state
        ],
        "device": _device(context.target, context.ceilings),
    }


_NAMES = {"cpp": "C++"}


def language(context: Context) -> str:
    """What candidates are written in, as people call it."""
    return _NAMES.get(context.language, context.language)


def again(prompt: Prompt, reply: str, problem: str) -> Prompt:
    """The same prompt with a reply that could not be used, and why."""
    turns = (*prompt.turns, reply[-_SOURCE_CHARACTERS:], f"That cannot be used: {problem}\n\n{_AGAIN}")
    return replace(prompt, turns=turns)


@cache
def version() -> str:
    """12 hex digits that change when any template does."""
    files = sorted(resources.files(__package__).joinpath("prompts").iterdir(), key=lambda file: file.name)
    return hashlib.sha256("".join(file.read_text() for file in files).encode()).hexdigest()[:12]


@cache
def _environment() -> Environment:
    # What is written here is read by a model, not by a browser: nothing is escaped.
    return Environment(
        loader=PackageLoader(str(__package__), "prompts"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=False,
    )


def _template(name: str) -> Any:
    return _environment().get_template(name)


def _case(case: CaseInfo, ceilings: Ceilings) -> dict[str, Any]:
    traffic = 1e6 * case.bytes / bandwidth_of(case, ceilings)
    arithmetic = arithmetic_us(case, ceilings)
    return {
        "name": case.name,
        "role": case.role,
        "inputs": ", ".join(_tensor(each.tensor) if each.tensor else repr(each.value) for each in case.inputs)
        or "none",
        "outputs": ", ".join(map(_tensor, case.outputs)),
        "read": fmt.size(case.read_bytes),
        "written": fmt.size(case.written_bytes),
        "flops": f"{fmt.count(case.flops)} FLOP",
        "floor": fmt.time(floor_us(case, ceilings)),
        "bound": "bound by arithmetic" if arithmetic > traffic else "bound by memory traffic",
    }


def _tensor(tensor: TensorInfo) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"


def _device(info: TargetInfo, ceilings: Ceilings) -> str:
    """What the device is and can do, in facts that a kernel depends on."""
    caches = zip(("L1", "L2", "L3"), (info.l1_bytes, info.l2_bytes, info.l3_bytes), strict=True)
    rates = ", ".join(f"{kind} {fmt.rate(curve[-1][1], 'B/s')}" for kind, curve in ceilings.bandwidth.items())
    flops = ", ".join(f"{dtype} {fmt.rate(rate, 'FLOP/s')}" for dtype, rate in ceilings.flops.items())
    return "\n".join(
        (
            f"{info.model}: {info.cores} cores, {info.simd} ({info.vector_bytes} bytes a vector), "
            + ", ".join(f"{name} {fmt.size(size)}" for name, size in caches)
            + f", memory {fmt.size(info.memory_bytes)}.",
            f"Measured with all cores, on data far larger than the caches: {rates}; multiply-adds: {flops}.",
        )
    )


def _graph(context: Context) -> str:
    """The graph as lines of assignments, for tasks that have no text."""
    lines = []
    for node in context.graph.nodes if context.graph else ():
        given = [*map(_named_nodes, node.args), *(f"{key}={_named_nodes(each)}" for key, each in node.kwargs.items())]
        made = f"{node.op} {node.target}".strip() if node.op != "call" else node.target
        shapes = ", ".join(map(_tensor, node.outputs))
        lines.append(f"{node.name} = {made}({', '.join(given)}){f'  # {shapes}' if shapes else ''}")
    return "\n".join(lines)[:_SOURCE_CHARACTERS]


def _named_nodes(value: Any) -> str:
    """An argument of a node, other nodes by their names."""
    if isinstance(value, dict):
        return str(value["node"] if "node" in value else next(iter(value.values()), value))
    return f"[{', '.join(map(_named_nodes, value))}]" if isinstance(value, list | tuple) else repr(value)


def _passages(context: Context, memory: Memory) -> Sequence[Passage]:
    if context.library is None:
        return ()
    question = _question(context, memory)
    return context.library.search(
        question, language=context.language, target=context.target.name, kinds=_LOOKED_UP, k=_PASSAGES
    )


def _question(context: Context, memory: Memory) -> str:
    """What to look up: the task's operations, and what is wrong or slow."""
    operations = plain_names(context.graph.operations if context.graph else [])
    verdict = memory.parent.verdict if memory.parent else None
    trouble = f"{verdict.reason} {verdict.message[:200]}" if verdict and not verdict.accepted else "faster"
    return f"{' '.join(operations)} {trouble}"


def _tried(history: Sequence[Attempt]) -> list[str]:
    """A line for each of the best and the latest attempts."""
    ranked = sorted(history, key=lambda attempt: attempt.verdict.speedup or 0.0, reverse=True)
    chosen = {id(attempt) for attempt in (*ranked[: _TRIED // 2], *history[-_TRIED // 2 :])}
    shown = [attempt for attempt in history if id(attempt) in chosen]
    left_out = [f"({len(history) - len(shown)} more)"] if len(shown) < len(history) else []
    return [f"{_named(attempt)}: {feedback.summary(attempt)}" for attempt in shown] + left_out


def _named(attempt: Attempt) -> str:
    candidate = attempt.candidate
    return f"`{candidate.id[:6]}` by {candidate.proposer}{f', {candidate.note}' if candidate.note else ''}"


def _version(attempt: Attempt) -> dict[str, str]:
    return {
        "note": _named(attempt),
        "source": attempt.candidate.source.strip("\n"),
        "told": feedback.told(attempt),
    }


def _other(attempt: Attempt, memory: Memory) -> dict[str, str]:
    """Another version: whole where two are to be joined, else as the difference from the parent."""
    whole = memory.kind == "combine" or memory.parent is None
    if whole:
        text = f"```python\n{attempt.candidate.source.strip()}\n```"
    else:
        assert memory.parent is not None
        text = f"```diff\n{_difference(memory.parent.candidate.source, attempt.candidate.source)}\n```"
    return {
        "heading": "The other version" if whole else "Another attempt, as the difference from that version",
        "note": _named(attempt),
        "text": text,
        "told": feedback.told(attempt),
    }


def _difference(old: str, new: str) -> str:
    if len(old) + len(new) > 2 * _SOURCE_CHARACTERS:
        return "(too long to compare)"
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
    text = "\n".join(lines)
    return text if len(text) <= _DIFFERENCE_CHARACTERS else f"{text[:_DIFFERENCE_CHARACTERS]}\n... (cut)"
