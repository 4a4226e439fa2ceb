"""Prompts: a role's templates filled with what is known of task, device, search and step."""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from functools import partial
from typing import Any

from kernelwright import format as fmt
from kernelwright.proposers.base import Attempt, Context, History
from kernelwright.proposers.llm import feedback, lookup
from kernelwright.proposers.llm.call import Prompt, Reply
from kernelwright.proposers.llm.memory import Memory
from kernelwright.proposers.llm.role import Role, Work
from kernelwright.proposers.llm.sketch import memories
from kernelwright.proposers.llm.sketch.check import DTYPE_BYTES, HINTS
from kernelwright.proposers.llm.templates import Templates, shipped
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.targets.roofline import arithmetic_us, bandwidth_of, floor_us
from kernelwright.tasks import CaseInfo, TaskInfo, TensorInfo

_TRIED = 12
"""Earlier attempts that are told in a line each: the best ones and the last ones."""
_PASSAGES = 4
_SOURCE_CHARACTERS, _DIFFERENCE_CHARACTERS = 60_000, 6_000
_CUT_OFF = "length"
_NAMES = {"cpp": "C++", "cuda": "CUDA C++", "triton": "Triton"}


def build(role: Role, context: Context, work: Work, templates: Templates, earlier_sketch: str = "") -> Prompt:
    """The prompt for a role's turn. `earlier_sketch` is the one that the parent was written from, if there was one.

    Templates, which may be somebody else's, are given plain data only: methods of objects could do anything.

    Raises:
        UsageError: a template asks for something that there is not.
    """
    values = {
        **_of_the_task(context),
        **_of_the_device(context),
        **_of_the_search(context, work, templates),
        **vars(work.notes),
        "language": language(context),
        "guide": context.guide,
        "documents": [{"title": each.title, "text": each.text} for each in lookup.documents(context)],
        "passages": _passages(context, work.memory),
        "earlier_sketch": earlier_sketch,
        "kind": work.memory.kind,
        "alike": work.alike,
        "sample": work.sample,
        "left": work.left,
    }
    system, text = (templates.render(f"{role.name}.{part}", values).strip() for part in ("system.md.j2", "md.j2"))
    return Prompt(system=system, turns=(text,), purpose=role.name, template=templates.version, base=work.memory.base)


def draft(words: str) -> Prompt:
    """The prompt that has a task's file written from a description in words."""
    templates = shipped()
    system = templates.render("draft.md.j2", {}).strip()
    return Prompt(system=system, turns=(words,), purpose="draft", template=templates.version)


def task(context: Context, templates: Templates) -> str:
    """The task, its cases with their floors, and the device."""
    values = {**_of_the_task(context), **_of_the_device(context)}
    return "\n\n".join(templates.render(f"parts/{part}.md.j2", values).strip() for part in ("task", "device"))


def language(context: Context) -> str:
    """What candidates are written in, as people call it."""
    return _NAMES.get(context.language, context.language)


def again(prompt: Prompt, answer: Reply, problem: str, templates: Templates, *, writes: bool = False) -> Prompt:
    """The same prompt with a reply that could not be used, and why; `writes` says that it was to be a candidate."""
    values = {
        "purpose": prompt.purpose,
        "writes": writes,
        "changes": bool(prompt.base),
        "problem": problem,
        "cut_off": answer.finish == _CUT_OFF,
    }
    text = templates.render("again.md.j2", values).strip()
    return replace(prompt, turns=(*prompt.turns, answer.text.strip()[-_SOURCE_CHARACTERS:], text))


def _of_the_task(context: Context) -> dict[str, Any]:
    info = context.info
    return {
        "reference": context.reference.strip(),
        "graph": "" if context.reference else _graph(context),
        "init_inputs": json.dumps(info.init_inputs),
        "cases": [_case(case, context.ceilings) for case in info.cases],
        "hides": info.hides,
        "state": [{"name": each.name, "text": _tensor(each.tensor), "mutated": each.mutated} for each in info.state],
        "tolerance": context.tolerance.relative,
        "allow_tf32": context.tolerance.allow_tf32,
        "strict": context.strict,
        "gradients": _gradients(info),
    }


def _gradients(info: TaskInfo) -> str:
    """What gradients are asked of, in words; empty where calls go forward only."""
    gradients = info.tune_case.gradients
    if gradients is None:
        return ""
    asked = [
        *(f"argument {index}" for index in gradients.of_inputs),
        *(f"`{name}`" for name in gradients.of_parameters),
    ]
    return ", ".join(asked)


def _case(case: CaseInfo, ceilings: Ceilings) -> dict[str, Any]:
    traffic = 1e6 * case.bytes / bandwidth_of(case, ceilings)
    return {
        "name": case.name,
        "timed": case.role == "tune",
        "inputs": ", ".join(_tensor(each.tensor) if each.tensor else repr(each.value) for each in case.inputs)
        or "none",
        "outputs": ", ".join(map(_tensor, case.outputs)),
        "read": fmt.size(case.read_bytes),
        "written": fmt.size(case.written_bytes),
        "flops": fmt.count(case.flops),
        "floor": fmt.time(floor_us(case, ceilings)),
        "bound_by_arithmetic": arithmetic_us(case, ceilings) > traffic,
    }


def _tensor(tensor: TensorInfo) -> str:
    """Dtype and shape, and the strides (in elements) where they are not those of contiguous memory."""
    count, dense = 1, True
    for extent, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        dense = dense and (extent == 1 or stride == count)
        count *= extent
    strides = "" if dense or not count else f" with strides {list(tensor.strides)}"
    return f"{tensor.dtype}{list(tensor.shape)}{strides}"


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


def _of_the_device(context: Context) -> dict[str, Any]:
    """What the device is and can do, in facts that a kernel depends on."""
    info: TargetInfo = context.target
    first = "shared memory of a block" if info.multiprocessors else "L1"
    caches = zip((first, "L2", "L3"), (info.l1_bytes, info.l2_bytes, info.l3_bytes), strict=True)
    bandwidth, flops = context.ceilings.bandwidth.items(), context.ceilings.flops.items()
    device = {
        **info.model_dump(include={"model", "cores", "multiprocessors", "simd", "vector_bytes", "matrix_unit"}),
        "caches": ", ".join(f"{name} {fmt.size(size)}" for name, size in caches if size),
        "memory": fmt.size(info.memory_bytes),
        "bandwidth": ", ".join(f"{kind} {fmt.rate(curve[-1][1], 'B/s')}" for kind, curve in bandwidth),
        "flops": ", ".join(f"{dtype} {fmt.rate(rate, 'FLOP/s')}" for dtype, rate in flops),
    }
    return {
        "device": device,
        "sketch_near": "shared" if info.multiprocessors else "l1",
        "sketch_memories": ", ".join(f"{name} {fmt.size(size)}" for name, size in memories(info).items()),
        "sketch_hints": ", ".join(f"`@{name}`" for name in HINTS),
        "sketch_dtypes": ", ".join(DTYPE_BYTES),
    }


def _passages(context: Context, memory: Memory) -> list[dict[str, str]]:
    """What fits the task and what is wrong or slow."""
    verdict = memory.parent.verdict if memory.parent else None
    trouble = {"trouble": f"{verdict.reason} {verdict.message[:200]}"} if verdict and not verdict.accepted else {}
    found = lookup.passages(context, _PASSAGES, **trouble)
    return [{"title": each.title, "heading": each.heading, "text": each.text} for each in found]


def _of_the_search(context: Context, work: Work, templates: Templates) -> dict[str, Any]:
    parent, history = work.memory.parent, History() if work.sample else context.history
    tried = _tried(history)
    version = partial(_version, context=context, templates=templates)
    return {
        "tried": [{**_named(each), "summary": feedback.summary(each, templates)} for each in tried],
        "left_out": len(history) - len(tried),
        "parent": _start(parent, context, templates) if parent else None,
        "others": [{**version(each), **_shown(each, work.memory)} for each in work.memory.others],
    }


def _tried(history: History) -> list[Attempt]:
    """The best and the latest attempts, in their order; all of them where they are few."""
    if len(history) <= _TRIED:
        return history[:]
    latest = history[-_TRIED // 2 :]
    known = {attempt.id for attempt in latest}
    return [*(attempt for attempt in history.best(_TRIED // 2) if attempt.id not in known), *latest]


def _named(attempt: Attempt) -> dict[str, str]:
    candidate = attempt.candidate
    return {"id": attempt.id[:6], "proposer": candidate.proposer, "note": candidate.note}


def _version(attempt: Attempt, context: Context, templates: Templates) -> dict[str, str]:
    return {**_named(attempt), "verdict": feedback.told(attempt, context, templates)}


def _start(attempt: Attempt, context: Context, templates: Templates) -> dict[str, str]:
    """The version to start from, with all that is known of why it takes as long as it does."""
    found = feedback.diagnosis(attempt, context)
    profile = feedback.profile(found, templates) if found else ""
    return {**_version(attempt, context, templates), "source": attempt.candidate.source, "profile": profile}


def _shown(attempt: Attempt, memory: Memory) -> dict[str, Any]:
    """Another version: whole where two are to be joined, else as the difference from the parent."""
    if memory.kind == "combine" or memory.parent is None:
        return {"whole": True, "text": attempt.candidate.source}
    return {"whole": False, "text": _difference(memory.parent.candidate.source, attempt.candidate.source)}


def _difference(old: str, new: str) -> str:
    if len(old) + len(new) > 2 * _SOURCE_CHARACTERS:
        return "(too long to compare)"
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
    text = "\n".join(lines)
    return text if len(text) <= _DIFFERENCE_CHARACTERS else f"{text[:_DIFFERENCE_CHARACTERS]}\n... (cut)"
