"""Does it build? The candidate is loaded and constructed once in a worker that may write its build folder and start
compilers."""

from __future__ import annotations

import json
import shutil
from typing import Any

from kernelwright.judge.candidate import CandidateSide
from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.rehearsal import rehearse
from kernelwright.judge.rejection import Rejection, plain
from kernelwright.judge.verdict import MOST_KERNELS

_NUMBERS, _MOST_ARCHS = ("registers", "spilled_bytes", "shared_bytes", "warps", "instructions"), 8
DONE = ".json"
"""Ending of the file that says that a build is complete. It lies beside the build folder, not in it: there a candidate
could have put a link or a pipe in its place."""


def build(evaluation: Evaluation) -> None:
    """Inspects the source, then builds it, unless its build folder holds a finished build of the same content."""
    report = evaluation.language.inspect(evaluation.source)
    if report.problem:
        raise Rejection("does_not_load", report.problem, line=report.line)
    evaluation.library_calls, evaluation.builds_late = report.library_calls, report.builds_late
    if evaluation.reference.task.strict and report.library_calls:
        calls = ", ".join(report.library_calls)
        raise Rejection("no_kernel", f"it calls the library beside its own kernels ({calls}), which is forbidden here")
    # What is built late may be built for the task's shapes, and those of another task are not there.
    late = f"-{evaluation.reference.task.id}" if report.builds_late else ""
    done = evaluation.build.folder.with_name(f"{evaluation.build.folder.name}{late}{DONE}")
    if done.exists():
        evaluation.evidence |= json.loads(done.read_text()).get("evidence", {})
        return
    try:
        _make(evaluation)
    except Rejection as rejection:
        if rejection.reason == "over_limit":
            shutil.rmtree(evaluation.build.folder, ignore_errors=True)
        raise _explained(evaluation, rejection) from rejection
    done.write_text(json.dumps({"language": evaluation.language.name, "evidence": evaluation.evidence}))


def _make(evaluation: Evaluation) -> None:
    side = evaluation.building_side(evaluation.build.folder)
    side.call_timeout = evaluation.build.timeout  # of which forward's calls are a part
    try:
        side.construct(evaluation.reference.info.tune_case, evaluation.build.timeout)
        if evaluation.builds_late:
            _rehearse(evaluation, side)
        evaluation.evidence |= _resources(evaluation, side)
    finally:
        side.worker.close()


def _rehearse(evaluation: Evaluation, side: CandidateSide) -> None:
    """Runs forward once on blank inputs of every case that it may know of, so that what is built by then, or for a
    shape, is built.

    Whatever else goes wrong is for the next stages to find, on inputs that mean something.
    """
    for case in evaluation.reference.info.shown.cases:
        try:
            rehearse(side, case, timeout=evaluation.build.timeout)
        except Rejection as rejection:
            explained = _explained(evaluation, rejection)
            if explained is not rejection or rejection.reason in ("timed_out", "over_limit"):
                raise explained from rejection
            if side.worker.closed:
                return


def _resources(evaluation: Evaluation, side: CandidateSide) -> dict[str, Any]:
    """What the compiler says that the kernels take of the device, and of others, as evidence; nothing where it says
    nothing, and no reason to reject anybody: it is the worker's word."""
    if side.worker.closed:
        return {}
    try:
        said = side.call("resources", side.call_timeout, source=evaluation.source)
        kernels = _facts(said["resources"])
        elsewhere = {plain(str(arch)[:20]): _facts(found) for arch, found in list(said["static"].items())[:_MOST_ARCHS]}
    except (Rejection, AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return {}
    return {name: found for name, found in (("resources", kernels), ("static", elsewhere)) if found}


def _facts(said: Any) -> dict[str, dict[str, Any]]:
    """Numbers, and what a compiler has against a kernel, by its name. Raises where that is not what was said."""
    return {
        plain(str(name)[:200]): {
            **{what: int(facts[what]) for what in _NUMBERS if 0 <= int(facts.get(what, -1)) < 1 << 63},
            **({"problem": plain(str(facts["problem"])[:300])} if facts.get("problem") else {}),
        }
        for name, facts in list(said.items())[:MOST_KERNELS]
    }


def _explained(evaluation: Evaluation, rejection: Rejection) -> Rejection:
    """A compiler's complaint as `build_failed`, with the line of the candidate's own file; anything else as it was."""
    if rejection.reason not in ("does_not_load", "crashed"):
        return rejection
    words = f"{rejection}\n{rejection.evidence.get('trace', '')}\n{rejection.evidence.get('output', '')}"
    problem = evaluation.language.explain(evaluation.source, words)
    if not problem.message:
        return rejection
    line = f"line {problem.line}: " if problem.line else ""
    return Rejection(
        "build_failed",
        f"{line}{problem.message}",
        line=problem.line,
        text=problem.text,
        output=problem.output,
        notes=list(problem.notes),
    )
