"""Does it run? One call on the task's own inputs, in the worker that the next stages use."""

from __future__ import annotations

from kernelwright.judge.comparing import check_form
from kernelwright.judge.evaluation import Evaluation


def run(evaluation: Evaluation) -> None:
    """Loads the finished build, gives it the reference's parameters, calls forward once: right number, shapes and
    dtypes. What it returned is for the next stage to compare."""
    case = evaluation.reference.info.tune_case
    answer = evaluation.reference.answer(case)
    assert answer is not None
    evaluation.side = evaluation.fresh_side()
    evaluation.enter(case)
    side = evaluation.subject
    side.bind(answer.inputs)
    evaluation.outputs, _ = side.run([answer.inputs])
    check_form(evaluation.outputs[0], answer.outputs)
