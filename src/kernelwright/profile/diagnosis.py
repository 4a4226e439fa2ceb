"""From facts to one diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from kernelwright import format as fmt
from kernelwright.judge.verdict import Verdict
from kernelwright.profile.base import Bound, Depth, Diagnosis, Profile, Subject
from kernelwright.profile.counters import Counters
from kernelwright.profile.device import Launching, Resources
from kernelwright.profile.kernels import Kernels, Library
from kernelwright.profile.roofline import Roofline
from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.targets.roofline import bandwidth_of
from kernelwright.tasks import TaskInfo

if TYPE_CHECKING:
    from kernelwright.judge.judge import Judge
    from kernelwright.proposers.base import Candidate

DEPTHS: tuple[Depth, ...] = (Roofline(), Kernels(), Library(), Counters(), Launching(), Resources())
AT_THE_ROOF = 0.8
"""From this share of the roof on, only fewer bytes or less arithmetic would help."""
NEAR_MEMORY, NEAR_ARITHMETIC = 0.3, 0.5
"""From these shares on, the roof itself is taken for the bottleneck where counters cannot tell."""
_MOSTLY = 0.5
_REGION_US = 5.0
"""About what calling a kernel and waking its threads takes."""
_LAUNCHES = 2.0
"""From this many times the device's time on, launching is what a call waits for."""
_IDLE = 0.6
"""A candidate whose busy cores are a smaller share of all leaves the others idle."""
_STREAMING = 0.6
"""From this share of the measured bandwidth on, memory has no more to give to a kernel that also computes."""
_FLOWING = 1.0
"""Instructions a cycle from which on a core that computes in vectors does not wait."""
_WIDE = 1.5
"""Ends of an interval further apart than this factor are the machine's doing."""
_SHARED = 0.25
"""From this share of the cores on, what others had says more about a time than the candidate does."""
_NO_COUNTERS = "without hardware counters latency cannot be told from"


class _Found(NamedTuple):
    bound: Bound
    why: str
    doubt: str = ""


def diagnose(verdict: Verdict, info: TaskInfo, target: TargetInfo, ceilings: Ceilings) -> Diagnosis | None:
    """What bounds an accepted candidate; None where it was rejected or not timed.

    The first that holds, of: most of the time is outside its kernels; it is near the roof; its time is that of a few
    calls, or of launching them; cores are idle; what the hardware's counters say; what the share of the roof makes
    likely.

    Args:
        verdict: the judge's, with its evidence.
        info: the task's, for the bytes and FLOPs of the timed case.
        target, ceilings: the device that the verdict is from.
    """
    timing = verdict.timings[0] if verdict.accepted and verdict.timings else None
    case = next((each for each in info.cases if timing is not None and each.name == timing.case), None)
    if timing is None or case is None:
        return None
    subject = Subject(verdict, timing, case, target, ceilings)
    facts = tuple(fact for depth in DEPTHS for fact in depth.facts(subject))
    found = _bound(subject, {fact.name: fact.value for fact in facts})
    low, high = timing.speedup_ci
    busy = "the machine was busy meanwhile, so times are rough" if high > _WIDE * low else ""
    others = next((fact.value for fact in facts if fact.name == "cores_of_others"), 0.0)
    if others >= _SHARED * target.cores:
        busy = (
            f"other programs had {others:.1f} of {target.cores} cores meanwhile: much of its time and of its distance "
            "from the roof is theirs"
        )
    if timing.disturbed:
        busy = f"while it was timed {timing.disturbed}, so times are rough"
    return Diagnosis(
        candidate=verdict.candidate,
        case=timing.case,
        bound=found.bound,
        why=found.why,
        doubt="; ".join(filter(None, (found.doubt, busy))),
        time_us=timing.time_us,
        floor_us=timing.floor_us,
        share=timing.floor_us / timing.time_us,
        facts=facts,
        missing=tuple(filter(None, (depth.missing(subject) for depth in DEPTHS))),
    )


async def profile(judge: Judge, candidate: Candidate) -> Profile:
    """Has a candidate judged, and says what bounds it. Raises as `Judge.evaluate`."""
    verdict = await judge.evaluate(candidate)
    return Profile(
        verdict=verdict, diagnosis=diagnose(verdict, judge.info, judge.target.info(), judge.target.ceilings())
    )


def _bound(subject: Subject, values: Mapping[str, float]) -> _Found:
    time_us, share = subject.timing.time_us, values["roof_share"]
    outside = time_us - values.get("inside_us", time_us)
    calls = values.get("kernel_calls", 0.0)
    roof: Bound = "compute" if values.get("arithmetic_us", 0.0) > values.get("memory_us", 0.0) else "memory"
    if outside >= _MOSTLY * time_us:
        told = f"{fmt.percent(outside / time_us)} of the time is outside its own kernels, by its own count"
        if "library_calls" in values:
            return _Found("library", f"{told}, and it calls the library")
        return _Found("launch", told)
    if share >= AT_THE_ROOF:
        less = "moving fewer bytes" if roof == "memory" else "less arithmetic"
        return _Found(roof, f"it is at the roof: only {less} would help")
    if (launched := values.get("launched_us", 0.0)) >= _LAUNCHES * time_us:
        told = f"launched one by one a call takes {launched / time_us:.1f} times as long as its kernels"
        return _Found("launch", f"{told}: fewer launches, or a CUDA graph around them, would help most")
    if not subject.target.multiprocessors and _REGION_US * calls >= _MOSTLY * time_us:
        return _Found("launch", f"{fmt.time(time_us)} is about what {fmt.plural(int(calls), 'call')} of kernels take")
    cores = 0 if subject.target.multiprocessors else subject.target.cores
    if values.get("cores_busy", cores) < _IDLE * cores:
        return _Found("latency", "cores are idle: too little of the work is in parallel, or it is shared out unevenly")
    return _from_counters(subject, values) or _likely(roof, share)


def _from_counters(subject: Subject, values: Mapping[str, float]) -> _Found | None:
    """What the hardware's counters say; None where there are none."""
    rate, each = values.get("fetched_rate"), values.get("instructions_a_cycle")
    if rate is None or each is None:
        return None
    share = rate / bandwidth_of(subject.case, subject.ceilings)
    if share >= _STREAMING:
        told = f"memory is busy with more than it must move ({fmt.percent(share)} of the measured bandwidth)"
        return _Found("memory", told)
    if each >= _FLOWING:
        return _Found("compute", "its cores compute, and memory is not what they wait for")
    return _Found("latency", "neither memory nor arithmetic is busy: its cores wait for single results")


def _likely(roof: Bound, share: float) -> _Found:
    if roof == "compute":
        if share >= NEAR_ARITHMETIC:
            return _Found("compute", "arithmetic is the higher roof, and it is more than half-way there")
        doubt = f"{_NO_COUNTERS} loads and stores inside its tiles"
        return _Found("latency", "arithmetic is the higher roof, and most of it is not used", doubt)
    if share >= NEAR_MEMORY:
        doubt = "without hardware counters more passes over memory cannot be told from arithmetic beside them"
        return _Found("memory", "memory is the higher roof, and the distance is that of a few more passes", doubt)
    doubt = f"{_NO_COUNTERS} arithmetic of elementwise functions, or from many passes over memory"
    return _Found("latency", "memory is the higher roof, and it is far away", doubt)
