"""One candidate on its way through the stages: what they share, and the check that all of them repeat."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernelwright.judge import numerics
from kernelwright.judge.candidate import CandidateSide, Slots
from kernelwright.judge.reference import Answer, Expected, ReferenceSide
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.tensors import Array, widen
from kernelwright.judge.timing import Stopwatch
from kernelwright.judge.verdict import CaseTiming, ErrorReport, Verdict
from kernelwright.languages.base import Language
from kernelwright.targets.base import Target
from kernelwright.tasks import CaseInfo


@dataclass
class Evaluation:
    """Life cycle: made by the judge for one candidate, handed to each stage in order; a stage raises `Rejection` or adds to what is
    known. `side_done` ends the candidate's worker.

    Attributes:
        start_side: makes a fresh worker for the candidate, not yet loaded; its argument says whether it is to build.
        alone: pauses everything else that uses the cores.
        best: the verdict to beat, so that timing may stop early.
    """

    source: str
    language: Language
    reference: ReferenceSide
    stopwatch: Stopwatch
    target: Target
    build_dir: Path
    start_side: Callable[[bool], CandidateSide]
    alone: Callable[[], AbstractContextManager[None]]
    best: Verdict | None = None
    side: CandidateSide | None = field(default=None, init=False)
    coverage: float | None = field(default=None, init=False)
    library_calls: tuple[str, ...] = field(default=(), init=False)
    error: ErrorReport | None = field(default=None, init=False)
    timings: list[CaseTiming] = field(default_factory=list, init=False)
    cases: list[str] = field(default_factory=list, init=False)
    distributions: list[str] = field(default_factory=list, init=False)
    checked: int = field(default=0, init=False)
    stopped_early: bool = field(default=False, init=False)
    evidence: dict[str, Any] = field(default_factory=dict, init=False)
    _case: CaseInfo | None = field(default=None, init=False)

    @property
    def subject(self) -> CandidateSide:
        """The candidate's worker, loaded by the run stage."""
        assert self.side is not None
        return self.side

    def fresh_side(self) -> CandidateSide:
        """A new worker with the candidate loaded from its build."""
        side = self.start_side(False)
        side.load(self.source, self.language.worker_module, self.build_dir, readonly=True)
        return side

    def enter(self, case: CaseInfo) -> None:
        """Makes the candidate's model ready for a case, with the reference's parameters."""
        changes = any(state.mutated for state in self.reference.info.state)
        if self._case is not None and self._case.dtype == case.dtype and not changes:
            return
        unplaced = self.subject.ready(case)
        if unplaced:
            self.evidence["unplaced_parameters"] = unplaced
        self._case = case

    def check(self, answer: Answer) -> None:
        """Runs the candidate on one set of inputs and compares every element of every output. Raises `Rejection`."""
        self.enter(answer.case)
        side = self.subject
        slots = side.bind([answer.inputs])
        side.reveal(slots, 0, 1)
        outputs, _ = side.run(0, 1)
        self.compare(answer, outputs, slots)

    def compare(self, answer: Answer, outputs: list[list[dict[str, Any]]], slots: Slots) -> None:
        """Compares the outputs of one call with the answer, and the inputs with what they were. Raises `Rejection`."""
        side = self.subject
        stacks = side.collect(outputs, answer.outputs)
        for index, (stack, want) in enumerate(zip(stacks, answer.outputs, strict=True)):
            if stack is not None:
                self._judge(stack[0], want, f"output {index}", answer)
        side.unchanged(slots, 0, answer)
        if answer.state:
            self._compare_state(answer)
        side.poison(outputs)
        self.checked += len(answer.outputs)

    def _judge(self, got: Array, want: Expected, what: str, answer: Answer) -> None:
        found = judge_output(got, want)
        if isinstance(found, Rejection):
            where = f"case {answer.case.name}" + (f", {answer.name} inputs" if answer.name else "")
            raise Rejection(found.reason, f"{what} ({where}): {found}", case=answer.case.name, distribution=answer.name or "own",
                            **found.evidence)  # fmt: skip
        if found is not None and want.bound is not None and not answer.name:
            report = ErrorReport(max=found.max, mean=found.mean, reference_max=want.bound.reference_max,
                                 reference_mean=want.bound.reference_mean, allowed_max=want.bound.max,
                                 allowed_mean=want.bound.mean)  # fmt: skip
            if self.error is None or report.max > self.error.max:
                self.error = report

    def _compare_state(self, answer: Answer) -> None:
        from kernelwright.judge import tensors

        entries = {entry.get("name"): entry for entry in self.subject.call("state", 60.0).get("state", [])}
        for name, want in answer.state.items():
            if name not in entries:
                raise Rejection("wrong_values", f"the reference's forward changes {name}, and the candidate has no such buffer", buffer=name)
            try:
                claim = tensors.Claim.parse(entries[name])
                got = tensors.read(self.subject.worker, [claim])[0]
            except tensors.BadTensor as error:
                raise Rejection("tampering", f"buffer {name}: {error}") from error
            if claim.shape != want.shape or claim.dtype != want.dtype:
                raise Rejection("wrong_shape", f"buffer {name} is {claim.dtype}{list(claim.shape)}, the reference's {want.dtype}{list(want.shape)}")
            self._judge(got, want, f"buffer {name} after forward", answer)

    def side_done(self) -> None:
        """Ends the worker of the stages before timing, which uses fresh ones."""
        if self.side is not None:
            self.side.worker.close()
            self.side = None
            self._case = None


def judge_output(got: Array, want: Expected) -> numerics.Errors | Rejection | None:
    """The errors of one output where it is right; a `Rejection` with evidence where it is wrong; None where there is nothing to say."""
    assert want.exact is not None
    if want.bound is None or want.magnitude is None:
        right = got == want.exact
        if want.alternative is not None:
            right |= got == want.alternative
        if right.all():
            return None
        wrong = np.flatnonzero(~right.reshape(-1))
        return _wrong(got, want, int(wrong[0]), "wrong_values", f"{wrong.size} of {got.size} elements differ")
    found = numerics.errors(got, want.dtype, want.exact, want.magnitude)
    if found.non_finite >= 0:
        return _wrong(got, want, found.non_finite, "non_finite", "NaN or infinity where the reference is finite")
    if want.bound.admits(found):
        return found
    message = (
        f"error {found.max:.2e} (mean {found.mean:.2e}) relative to float64, allowed {want.bound.max:.2e} (mean {want.bound.mean:.2e}), "
        f"the reference's own {want.bound.reference_max:.2e} (mean {want.bound.reference_mean:.2e})"
    )
    return _wrong(got, want, found.worst, "wrong_values", message, max_error=found.max, mean_error=found.mean,
                  allowed_max=want.bound.max, allowed_mean=want.bound.mean)  # fmt: skip


def _wrong(got: Array, want: Expected, flat: int, reason: Any, message: str, **more: float) -> Rejection:
    assert want.exact is not None
    index = tuple(int(i) for i in np.unravel_index(flat, want.shape)) if want.shape else ()
    value, right = _number(got, index, want.dtype), _number(want.exact, index, "float64" if want.bound else want.dtype)
    where = f" at {list(index)}: got {value}, expected {right}"
    return Rejection(reason, message + where, element=list(index), got=value, expected=right, **more)


def _number(array: Array, index: tuple[int, ...], dtype: str) -> float | int | str:
    value = array[index]
    if dtype == "bfloat16":
        value = widen(np.asarray([value]), dtype)[0]
    number = value.item()
    if isinstance(number, complex) or number != number or number in (float("inf"), float("-inf")):
        return str(number)
    return number if isinstance(number, (int, float)) else str(number)


class Clock:
    """Seconds a stage took."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._start
