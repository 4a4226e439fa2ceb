"""How fast is it? Every tune case against the reference, in turn, with everything else on the device paused."""

from __future__ import annotations

from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.verdict import CONDITIONS
from kernelwright.tasks import CaseInfo

FLOOR_SLACK = 0.75
"""A ceiling is measured, so it may be off; faster than this share of the floor is fraud, or a floor that does not
hold."""


def time(evaluation: Evaluation) -> None:
    """Measures every tune case. A candidate that is behind in one is measured in the others, too: it may be ahead of
    the best one on the whole."""
    for case in evaluation.reference.info.cases:
        if case.role == "tune":
            with evaluation.on(case, "timed"), evaluation.stopwatch.pools.secret(case):
                _time(evaluation, case)


def _time(evaluation: Evaluation, case: CaseInfo) -> None:
    """One case; a time in which the data cannot have been moved is rejected as implausible."""
    floor = evaluation.target.floor_us(case)
    known = evaluation.best.timings if evaluation.best is not None else ()
    to_beat = next((each.speedup for each in known if each.case == case.name and not each.vague), None)
    with evaluation.alone(), evaluation.target.watching() as seen:
        duel = evaluation.stopwatch.duel(case, evaluation.fresh_side, floor, to_beat, brief=evaluation.brief)
    conditions = seen()
    if facts := conditions.model_dump(mode="json", exclude_defaults=True):
        evaluation.evidence.setdefault(CONDITIONS, {})[case.name] = facts
    timing = duel.timing.model_copy(update={"disturbed": conditions.disturbance})
    evaluation.checked += duel.checked
    evaluation.stopped_early |= duel.stopped
    if timing.time_us < FLOOR_SLACK * evaluation.target.traffic_us(case):
        with evaluation.alone():
            evaluation.target.measure_again()
        timing = timing.model_copy(update={"floor_us": evaluation.target.floor_us(case)})
    evaluation.timings.append(timing)
    if timing.time_us < FLOOR_SLACK * (traffic := evaluation.target.traffic_us(case)):
        raise Rejection(
            "implausible",
            f"{timing.time_us:.2f} us is less than the {traffic:.2f} us that moving the data takes",
            time_us=timing.time_us,
            floor_us=traffic,
        )
