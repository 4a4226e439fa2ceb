"""Does it build? The candidate is loaded and constructed once in a worker that may write its build folder and start
compilers."""

from __future__ import annotations

import json

from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.rejection import Rejection

TIMEOUT = 180.0
DONE = "built.json"


def build(evaluation: Evaluation) -> None:
    """Inspects the source, then builds it, unless its build folder holds a finished build of the same content."""
    report = evaluation.language.inspect(evaluation.source)
    if report.problem:
        raise Rejection("does_not_load", report.problem, line=report.line)
    evaluation.library_calls = report.library_calls
    done = evaluation.build.folder / DONE
    if done.exists():
        return
    side = evaluation.start_side(building=True)
    try:
        side.load(evaluation.source, evaluation.build, readonly=False, timeout=TIMEOUT)
        side.construct(evaluation.reference.info.tune_case, TIMEOUT)
    except Rejection as rejection:
        raise _explained(evaluation, rejection) from rejection
    finally:
        side.worker.close()
    done.write_text(json.dumps({"language": evaluation.language.name}))


def _explained(evaluation: Evaluation, rejection: Rejection) -> Rejection:
    """A compiler's complaint as `build_failed`, with the line of the candidate's own file; anything else as it was."""
    if rejection.reason != "does_not_load":
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
