"""Is it right? Every element of every output against float64, on the task's own inputs and on others, on every case it
may know of."""

from __future__ import annotations

from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.rejection import Rejection


def compare(evaluation: Evaluation) -> None:
    """Checks the tune and check cases, each on its own inputs twice over, the first tune case on further distributions
    as well."""
    reference = evaluation.reference
    for case in reference.info.cases:
        if case.role == "held_out":
            continue
        names = [""]
        if case.name == reference.info.tune_case.name:
            names += reference.distributions(case)
        for name in names:
            answer = reference.answer(case, name)
            if answer is not None:
                evaluation.check(answer)
                if name and name not in evaluation.distributions:
                    evaluation.distributions.append(name)
        evaluation.cases.append(case.name)
    _again(evaluation)


def _again(evaluation: Evaluation) -> None:
    """The first inputs once more: a candidate that was right and is not any longer keeps something it should not."""
    answer = evaluation.reference.answer(evaluation.reference.info.tune_case)
    assert answer is not None
    try:
        evaluation.check(answer)
    except Rejection as rejection:
        if rejection.reason not in ("wrong_values", "non_finite"):
            raise
        message = f"right at first, wrong on the same inputs later: {rejection}"
        raise Rejection("not_repeatable", message, **rejection.evidence) from rejection
