"""Is it right where it could not look? The task's held-out cases, which no proposer is shown.

They have a worker of their own, and a build of their own where some is built in forward: what a candidate says in the
other stages is shown to whoever writes the next.
"""

from __future__ import annotations

from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.verdict import HELD_OUT_REASON


def hold_out(evaluation: Evaluation) -> None:
    """Checks the held-out cases, after the one that everybody knows: what it keeps of that must not stand in the way.
    The reason is `fails_held_out` whatever went wrong, and the evidence says what."""
    reference = evaluation.reference
    cases = evaluation.held_out
    if not cases:
        return
    with evaluation.apart():
        for case in cases:
            try:
                evaluation.check(reference.own_answer(case))
            except Rejection as rejection:
                evidence = {**rejection.evidence, HELD_OUT_REASON: rejection.reason}
                raise Rejection("fails_held_out", f"{rejection.reason}: {rejection}", **evidence) from rejection
            evaluation.cases.append(case.name)
