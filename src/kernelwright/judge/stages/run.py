"""Does it run? One call on the task's own inputs, in the worker that the next stages use."""

from __future__ import annotations

from kernelwright.judge.comparing import check_form
from kernelwright.judge.evaluation import Evaluation


def run(evaluation: Evaluation) -> None:
    """Loads the finished build, gives it the reference's parameters, calls forward once: right number, shapes and
    dtypes. What it returned is for the next stage to compare."""
    case = evaluation.reference.info.tune_case
    answer = evaluation.reference.own_answer(case)
    evaluation.side = evaluation.fresh_side()
    with evaluation.on(case):
        evaluation.outputs = evaluation.run(answer)
        check_form(evaluation.outputs[0], answer.outputs)
