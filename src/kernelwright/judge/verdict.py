"""Everything the judge found out about one candidate on one task and target. The public contract: its JSON is
stable."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, computed_field

from kernelwright.judge.pairs import Interval

Reason = Literal[
    "does_not_load",
    "build_failed",
    "crashed",
    "timed_out",
    "over_limit",
    "wrong_shape",
    "wrong_dtype",
    "wrong_values",
    "non_finite",
    "mutates_inputs",
    "not_repeatable",
    "reuses_outputs",
    "no_kernel",
    "tampering",
    "implausible",
    "unstable_timing",
    "fails_held_out",
]
_OF_THE_MOMENT = ("timed_out", "over_limit", "implausible", "unstable_timing")
"""Reasons that may be the machine's fault: what else ran there, how much memory was free, a ceiling that was off."""
HELD_OUT_REASON = "inner_reason"
"""Where the evidence of `fails_held_out` says why."""
WRONG_MAP = "map"
"""Where the evidence of wrong results has a picture of where they are: lines of text."""
KERNELS = "kernels"
"""Where the evidence has the candidate's own kernels by name: `calls` and `seconds` in one forward, as its own process
counts them."""
MOST_KERNELS = 64
"""Of a candidate's kernels so many are kept in its evidence: their names and number are its own to choose."""
COUNTERS = "counters"
"""Where the evidence has what the system counted in one batch of timed calls of the first timed case (`Counts`): its
values, `missing`, how many `calls` they are of, and the judge's `seconds`."""
CONDITIONS = "conditions"
"""Where the evidence has what the device was like while each case was timed (`Conditions`), by the case's name; what
was as usual is left out."""
SANITIZER = "sanitizer"
"""Where the evidence has what sanitizers found, by the name of each: `errors`, null where it did not come to its end,
the first `findings`, the level of the `sandbox`, and `candidate`, what else went wrong meanwhile."""
STAGES = ("build", "run", "compare", "hold_out", "audit", "time")


class StageReport(BaseModel):
    """One stage: `passed`, `failed` or `skipped`, and the seconds it took."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: Literal["passed", "failed", "skipped"]
    seconds: float


class ErrorReport(BaseModel):
    """Error against float64 relative to the output's magnitude, beside the reference's own and what was allowed."""

    model_config = ConfigDict(frozen=True)

    max: float
    mean: float
    reference_max: float
    reference_mean: float
    allowed_max: float
    allowed_mean: float


class CaseTiming(BaseModel):
    """One timed case: times in µs, speedup as the median of paired ratios with its 95 % confidence interval.

    `pairs` paired batches were measured, of `calls` calls of the reference; a slower candidate may have made fewer.
    `disturbed` says what the device went through meanwhile that may have changed the times, where that is known.
    """

    model_config = ConfigDict(frozen=True)

    case: str
    time_us: float
    reference_us: float
    floor_us: float
    speedup: float
    speedup_ci: tuple[float, float]
    pairs: int
    calls: int
    disturbed: str = ""

    @property
    def vague(self) -> bool:
        """Whether it says nothing of the speedup that holds on another day."""
        return bool(self.disturbed) or Interval(self.speedup, *self.speedup_ci).vague


class Proof(BaseModel):
    """What an accepted verdict stands on."""

    model_config = ConfigDict(frozen=True)

    cases: tuple[str, ...]
    distributions: tuple[str, ...]
    dtypes: tuple[str, ...]
    device: str
    checked_outputs: int


class Verdict(BaseModel):
    """Accepted, or rejected with one typed reason and evidence. Times in µs; `speedup` is the reference's time over the
    candidate's on the first timed case, geometric mean where there are several."""

    model_config = ConfigDict(frozen=True)

    candidate: str
    task: str
    target: str
    language: str
    outcome: Literal["accepted", "rejected"]
    reason: Reason | None = None
    message: str = ""
    speedup: float | None = None
    speedup_ci: tuple[float, float] | None = None
    time_us: float | None = None
    reference_us: float | None = None
    floor_us: float | None = None
    traffic_us: float | None = None
    """The part of the floor that nothing can beat: that of moving the data."""
    coverage: float | None = None
    library_calls: tuple[str, ...] = ()
    error: ErrorReport | None = None
    timings: tuple[CaseTiming, ...] = ()
    evidence: dict[str, Any] = {}
    proof: Proof | None = None
    stages: tuple[StageReport, ...] = ()
    sandbox: str = ""
    stopped_early: bool = False
    """Timing ended early because the candidate was clearly slower than the best one known."""

    @property
    def accepted(self) -> bool:
        """Whether the judge believes that the candidate computes the task."""
        return self.outcome == "accepted"

    @property
    def clean(self) -> bool:
        """Whether all sanitizers that were asked came to their end and found nothing."""
        asked = self.evidence.get(SANITIZER, {}).values()
        return all(found["errors"] == 0 and "candidate" not in found for found in asked)

    @property
    def lasting(self) -> bool:
        """Whether the judge would say the same another day; of times, whether they say anything."""
        reason = self.evidence.get(HELD_OUT_REASON) if self.reason == "fails_held_out" else self.reason
        return reason not in _OF_THE_MOMENT and not any(timing.vague for timing in self.timings)

    @property
    def shown(self) -> Verdict:
        """The same as proposers may see it: that a held-out case failed, but nothing about the case, nor how long such
        cases took, which a candidate can choose."""
        stages = [
            stage.model_copy(update={"seconds": 0.0}) if stage.name == "hold_out" else stage for stage in self.stages
        ]
        shown: dict[str, Any] = {"stages": tuple(stages)}
        if self.reason == "fails_held_out":
            shown |= {"evidence": {}, "message": "it is wrong on a case that is not shown"}
        return self.model_copy(update=shown)

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorators on properties
    @property
    def floor_share(self) -> float | None:
        """The floor's time over the candidate's: 1 means as fast as the hardware allows, more that it does with less
        arithmetic than the reference."""
        return self.floor_us / self.time_us if self.floor_us and self.time_us else None


class ComparisonRow(BaseModel):
    """One contestant of the final side-by-side timing: `eager`, `torch.compile` or a candidate's id."""

    model_config = ConfigDict(frozen=True)

    name: str
    time_us: float
    speedup: float
    speedup_ci: tuple[float, float]
    speedup_over_compile: float | None = None
    floor_share: float | None = None
    """The floor's time over this one's, both measured in the same turn: 1 means as fast as the hardware allows."""


class Comparison(BaseModel):
    """Eager PyTorch, torch.compile and candidates timed in turn on one case; speedups are medians of paired ratios over
    eager."""

    model_config = ConfigDict(frozen=True)

    case: str
    floor_us: float
    rows: tuple[ComparisonRow, ...]
    compile_problem: str = ""
    """Why there is no row for torch.compile, where there is none."""

    def row(self, name: str) -> ComparisonRow | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)
