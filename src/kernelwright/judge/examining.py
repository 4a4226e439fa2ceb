"""Has a candidate's worker looked into by a program of the device's maker, beside the verdict and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kernelwright.errors import UsageError
from kernelwright.judge import stages
from kernelwright.judge.launched import Launched
from kernelwright.judge.process import Worker
from kernelwright.judge.rejection import Rejection, plain
from kernelwright.judge.sandbox import Confinement
from kernelwright.judge.verdict import SANITIZER, Verdict

if TYPE_CHECKING:
    from kernelwright.judge.evaluation import Evaluation
    from kernelwright.judge.judge import Judge
    from kernelwright.proposers.base import Candidate
    from kernelwright.targets.examiner import Examiner

_NOT_WORTH_IT = ("does_not_load", "build_failed", "timed_out", "over_limit", "tampering")
"""Reasons of candidates that did not run, or that are not to be run again."""
_WORDS = 200


async def sanitized(judge: Judge, candidate: Candidate) -> Verdict:
    """Has a candidate judged, with what the target's sanitizers find in one call a case as evidence.

    Raises:
        UsageError: the target has none.
        MachineError: they are not installed, or do not start.
    """
    sanitizers = judge.target.sanitizers()
    if not sanitizers:
        raise UsageError(f"nothing sanitizes kernels on {judge.target.name}", remedy="leave --sanitize out")
    for each in sanitizers:
        each.command()  # before anybody waits
    verdict = await judge.evaluate(candidate)
    if verdict.reason in _NOT_WORTH_IT:
        return verdict
    found = {each.name: await judge.examine(candidate, each) for each in sanitizers}
    return verdict.model_copy(update={"evidence": {**verdict.evidence, SANITIZER: found}})


def examine(
    evaluation: Evaluation,
    examiner: Examiner,
    launched: Launched,
    confinement: Confinement,
    modules: Sequence[str],
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """What the examiner finds in one call of forward for each case that is shown.

    Args:
        evaluation: the candidate's.
        examiner: what looks into its worker.
        launched: what starts the examiner.
        confinement: what that worker may do.
        modules: what it imports before it is asked anything.
        variables: of its environment.

    `sandbox` is the level in force there; what goes wrong in the candidate meanwhile is in `candidate`, and no error.
    Raises `MachineError`.
    """

    def start(*_: object) -> Worker:
        return launched.start(examiner.command(), confinement, modules, {**variables, **examiner.variables})

    looked_into, problem = replace(evaluation, start_worker=start), ""
    try:
        stages.build(evaluation)  # as a rule it is there
        looked_into.side = side = looked_into.fresh_side()
        side.call_timeout *= examiner.slower
        for case in looked_into.reference.info.shown.cases:
            looked_into.check(looked_into.reference.own_answer(case))
    except Rejection as rejection:
        problem = f"{rejection.reason}: {str(rejection)[:_WORDS]}"
    finally:
        said = launched.finish()
        looked_into.close()
    found: dict[str, Any] = _harmless(examiner.read(said))
    return {**found, "sandbox": launched.level, **({"candidate": problem} if problem else {})}


def _harmless(said: Any) -> Any:
    """The same with every text short and plain: names in it are the candidate's to choose."""
    if isinstance(said, dict):
        return {key: _harmless(value) for key, value in said.items()}
    if isinstance(said, list):
        return [_harmless(value) for value in said]
    return plain(said[:_WORDS]) if isinstance(said, str) else said
