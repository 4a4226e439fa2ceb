"""Is it right where it could not look? The task's held-out cases, which no proposer is shown."""

from __future__ import annotations

from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.verdict import HELD_OUT_REASON


def hold_out(evaluation: Evaluation) -> None:
    """Checks the held-out cases. The reason is `fails_held_out` whatever went wrong, and the evidence says what."""
    for case in evaluation.reference.info.cases:
        if case.role != "held_out":
            continue
        answer = evaluation.reference.answer(case)
        assert answer is not None
        try:
            evaluation.check(answer)
        except Rejection as rejection:
            evidence = {**rejection.evidence, HELD_OUT_REASON: rejection.reason}
            raise Rejection("fails_held_out", f"{rejection.reason}: {rejection}", **evidence) from rejection
        evaluation.cases.append(case.name)
