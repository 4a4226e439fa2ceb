"""Is it right? Every element of every output against float64, on the task's own inputs and on others, on every case it
may know of."""

from __future__ import annotations

from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.rejection import Rejection


def compare(evaluation: Evaluation) -> None:
    """Checks the tune and check cases on their own inputs, the first tune case on further distributions as well, and at
    the end on its own once more."""
    reference = evaluation.reference
    first = reference.own_answer(reference.info.tune_case)
    evaluation.compare(first, evaluation.outputs)  # of the call that the run stage has made
    for case in reference.info.shown.cases:
        for name in reference.distributions(case) if case.name == first.case.name else [""]:
            answer = reference.answer(case, name)
            if answer is not None:
                evaluation.check(answer)
                if name and name not in evaluation.distributions:
                    evaluation.distributions.append(name)
        evaluation.cases.append(case.name)
    _again(evaluation)


def _again(evaluation: Evaluation) -> None:
    """The first inputs once more: a candidate that was right and is not any longer keeps something it should not."""
    reference = evaluation.reference
    try:
        evaluation.check(reference.own_answer(reference.info.tune_case))
    except Rejection as rejection:
        if rejection.reason not in ("wrong_values", "non_finite"):
            raise
        message = f"right at first, wrong on the same inputs later: {rejection}"
        raise Rejection("not_repeatable", message, **rejection.evidence) from rejection
