"""Is the work its own, call after call? The candidate's kernels are counted and timed; with them switched off the
answer must be wrong.

What is counted may be kept and shown; so it is counted before the candidate sees anything that is timed.
"""

from __future__ import annotations

import math
from typing import Any

from kernelwright.errors import TaskError
from kernelwright.judge.answer import Answer, Expected, Inputs
from kernelwright.judge.candidate import CandidateSide
from kernelwright.judge.evaluation import Evaluation
from kernelwright.judge.reference import ReferenceSide
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.verdict import COUNTERS, KERNELS, MOST_KERNELS

_FAR = 3.0
"""How many times what is allowed an answer must be off to be wrong without doubt: what a kernel has left is off itself.
"""


def audit(evaluation: Evaluation) -> None:
    """Census, then calls in a row, then ablation. The census is the candidate's word; all else is checked on inputs
    that it has not seen."""
    case = evaluation.reference.info.tune_case
    with evaluation.on(case):
        _count(evaluation)
    with evaluation.on(case, "timed"), evaluation.stopwatch.pools.secret(case):
        _outlasts(evaluation)
        if _right_without_kernels(evaluation):
            raise Rejection(
                "no_kernel",
                "with its own kernels switched off it still gives the right answer",
                coverage=evaluation.coverage,
            )


def _count(evaluation: Evaluation) -> None:
    """Which of its own kernels it calls, how long they take, and what the system counts."""
    side, case = evaluation.subject, evaluation.reference.info.tune_case
    evaluation.enter(case)
    answer = evaluation.reference.own_answer(case)
    side.bind(answer.inputs)
    if side.holds is not answer.inputs or answer.mutated_inputs or answer.aliases:
        side.reveal([answer.inputs])
    reply, seconds = side.timed_call("census", side.call_timeout, slot=0)
    kernels = _census(reply)
    calls = sum(count for count, _ in kernels.values())
    if not calls:
        raise Rejection("no_kernel", "forward calls no kernel of its own", library_calls=list(evaluation.library_calls))
    # On a device neither begins nor ends with the request: the share of the device's time is the worker's word.
    seconds = seconds if side.worker.lane is None else _in_all(reply)
    evaluation.coverage = round(min(1.0, sum(spent for _, spent in kernels.values()) / max(seconds, 1e-9)), 4)
    longest = sorted(kernels.items(), key=lambda item: item[1][1], reverse=True)[:MOST_KERNELS]
    evaluation.evidence[KERNELS] = {name: {"calls": count, "seconds": spent} for name, (count, spent) in longest}
    evaluation.evidence[COUNTERS] = _counted(evaluation, answer)


def _census(reply: dict[str, Any]) -> dict[str, tuple[int, float]]:
    """Calls and seconds by kernel, from a reply that may say anything."""
    try:
        kernels = reply["census"]["kernels"]
        found = {str(name)[:200]: (int(entry["calls"]), float(entry["seconds"])) for name, entry in kernels.items()}
        if not all(0 <= count < 1 << 63 and 0 <= spent < math.inf for count, spent in found.values()):
            raise ValueError
        return {name: facts for name, facts in found.items() if facts[0]}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Rejection("tampering", "its process broke the protocol: no census of kernels") from error


def _in_all(reply: dict[str, Any]) -> float:
    """Seconds of the whole call, as the worker has them. Raises `Rejection`."""
    spent = reply["census"].get("all")
    if not isinstance(spent, float) or not 0 <= spent < math.inf:
        raise Rejection("tampering", "its process broke the protocol: no time of the whole call")
    return spent


def _counted(evaluation: Evaluation, answer: Answer) -> dict[str, Any]:
    """What the system counts in a batch like the timed ones, after one that makes room for its results: values for all
    of its calls, how many they are, and the judge's seconds."""
    side, calls = evaluation.subject, len(evaluation.stopwatch.pool(answer.case).batches[0])
    inputs = [answer.inputs] * calls
    evaluation.enter(answer.case)
    side.bind(answer.inputs, calls)
    side.run(inputs)
    evaluation.enter(answer.case)
    with evaluation.alone(), evaluation.target.counting(side.worker.pid) as read:
        _, seconds = side.run(inputs)
        counts = read()
    return {**counts.values, "missing": counts.missing, "calls": calls, "seconds": seconds}


def _outlasts(evaluation: Evaluation) -> None:
    """Several calls before any result is read: each must outlast the next call, where the reference's does."""
    case, side = evaluation.reference.info.tune_case, evaluation.subject
    pool = evaluation.stopwatch.pools.couple(case)
    if pool is None:
        return
    evaluation.enter(case)
    inputs = pool.batches[0]
    side.bind(inputs[0], len(inputs))
    outputs, _ = side.run(inputs)
    side.compare(outputs, pool.expected[0])
    side.poison()
    evaluation.checked += len(inputs) * len(outputs[0])


def _right_without_kernels(evaluation: Evaluation) -> bool:
    """Runs the candidate with its kernels doing nothing, on inputs it has not seen, and compares. They stay switched
    off: timing uses fresh workers.

    Where an answer is hardly another than before (the mean of a million numbers), what an earlier call has left in
    memory is right as well. Then the kernels work once more, on inputs whose answer is another, and what they leave is
    wrong for those that are asked about.
    """
    side, case = evaluation.subject, evaluation.reference.info.tune_case
    pool, base = evaluation.stopwatch.pool(case), evaluation.stopwatch.pools.base(case)
    inputs, expected = pool.batches[-1], pool.expected[-1]
    side.call("ablate", 60.0, on=True)
    if not _right(side, inputs, expected):
        return False
    alike = {place for place, (want, known) in enumerate(zip(expected, base, strict=True)) if want.admits(known)}
    other = _another(evaluation.reference, expected, alike) if alike else None
    if other is None:
        return True
    side.call("ablate", 60.0, on=False)
    side.bind(other, len(inputs))
    side.run([other] * len(inputs))
    side.call("ablate", 60.0, on=True)
    return _right(side, inputs, expected)


def _another(reference: ReferenceSide, expected: tuple[Expected, ...], alike: set[int]) -> Inputs | None:
    """Inputs whose answer would be wrong without doubt in one of these outputs; None where none are known."""
    case = reference.info.tune_case
    for name in dict.fromkeys((*reference.distributions(case), *reference.offered(case))):
        try:
            answer = reference.answer(case, name)
        except TaskError:  # it was not asked about these before
            return None
        if answer is None or len(answer.outputs) != len(expected):
            continue
        if not all(expected[place].admits(answer.outputs[place], _FAR) for place in alike):
            return answer.inputs
    return None


def _right(side: CandidateSide, inputs: list[Inputs], expected: tuple[Expected, ...]) -> bool:
    """Whether a batch's outputs are right. Raises `Rejection` for what nobody is to do, however right it is."""
    if side.spoilt or side.reference.changed:
        side.restore(side.reference.info.tune_case)
    side.bind(inputs[0], len(inputs))
    try:
        side.compare(side.run(inputs)[0], expected, explained=False)
    except Rejection as rejection:
        if rejection.reason in ("tampering", "timed_out", "over_limit"):
            raise
        return False
    return True
