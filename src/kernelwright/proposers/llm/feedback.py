"""What the judge found out about a candidate, as a model needs it: what is wrong, where, and what to look at next."""

from __future__ import annotations

import json
from typing import Any

from kernelwright.judge.verdict import WRONG_MAP, CaseTiming, Verdict
from kernelwright.proposers.base import Attempt

_AROUND = 3
"""Lines of the source before and after the one that a compiler complains about."""
_MOST = 1500
"""Characters of any one thing that is quoted."""
_MEANINGS = {
    "does_not_load": "The module cannot be imported.",
    "build_failed": "The compiler refuses it.",
    "crashed": "Its process died: look for accesses outside of arrays, wrong sizes, vectors that are not aligned.",
    "timed_out": "It takes far longer than the reference, or does not return.",
    "over_limit": "It uses more memory, processes or disk than is allowed.",
    "wrong_shape": "The outputs are not of the reference's number or shapes.",
    "wrong_dtype": "An output has another dtype than the reference's.",
    "wrong_values": "The results are wrong by more than any order of summation in this dtype can explain.",
    "non_finite": "It gives NaN or infinity where the reference is finite: overflow, a division by zero, or memory "
    "that was never written.",
    "mutates_inputs": "It writes into an input (or returns one), which the reference leaves alone.",
    "not_repeatable": "The same inputs give another result later: a race, or something kept between calls.",
    "reuses_outputs": "forward must return fresh tensors on each call; this one writes the same memory each time.",
    "no_kernel": "The work is not done by the module's own kernels: without them the answer is still right, or none is "
    "called.",
    "tampering": "It interferes with how it is judged.",
    "implausible": "It is faster than moving the data takes, which nobody believes.",
    "unstable_timing": "Its times are too far apart to say anything.",
    "fails_held_out": "It is wrong on a case that nobody is shown, with other sizes or strides than the shown ones. "
    "Read all sizes from the tensors, and handle sizes of 0 and 1, odd ones, and ones that are no multiple of a tile.",
}


def told(attempt: Attempt) -> str:
    """The verdict in a few lines, with the lines of the source that it is about."""
    verdict = attempt.verdict
    if verdict.accepted:
        return _accepted(verdict)
    lines = [f"Rejected: {verdict.reason}. {_MEANINGS.get(verdict.reason or '', '')}", _cut(verdict.message)]
    evidence = dict(verdict.evidence)
    number, output, trace = evidence.pop("line", None), evidence.pop("output", ""), evidence.pop("trace", "")
    where, legend = evidence.pop(WRONG_MAP, None), evidence.pop("map_legend", "")
    if isinstance(number, int) and number > 0:
        lines += ["", _around(attempt.candidate.source, number)]
    lines += [f"{name}: {_cut(_short(value))}" for name, value in evidence.items() if value not in (None, "", [], {})]
    lines += ["", f"Where it is wrong ({legend}):", "```", *map(str, where), "```"] if isinstance(where, list) else []
    # The end of a trace names the error, the beginning of a compiler's output does.
    lines += ["", "Traceback:", str(trace)[-_MOST:]] if trace else []
    lines += ["", "Output:", _cut(str(output))] if isinstance(output, str) and output else []
    return "\n".join(lines).strip()


def summary(attempt: Attempt) -> str:
    """The verdict in one line."""
    verdict = attempt.verdict
    if not verdict.accepted:
        return f"{verdict.reason}: {' '.join(verdict.message.split())[:160]}"
    share = f", {verdict.floor_share:.0%} of the floor's speed" if verdict.floor_share else ""
    return f"{verdict.speedup:.2f}x the reference's speed{share}"


def _accepted(verdict: Verdict) -> str:
    lines = [f"Accepted: every check passed. {_speed(verdict)}"]
    lines += [_case(timing) for timing in verdict.timings]
    if verdict.coverage is not None:
        lines.append(f"{verdict.coverage:.0%} of forward's time is in its own kernels.")
    if verdict.library_calls:
        lines.append(f"Library calls beside its kernels: {', '.join(verdict.library_calls)}.")
    if verdict.error is not None:
        used = verdict.error.max / verdict.error.allowed_max if verdict.error.allowed_max else 0.0
        lines.append(f"Largest error {verdict.error.max:.1e}, {used:.0%} of what is allowed.")
    if verdict.stopped_early:
        lines.append("It is clearly slower than the best one so far.")
    return "\n".join(lines)


def _speed(verdict: Verdict) -> str:
    low, high = verdict.speedup_ci or (0.0, 0.0)
    return f"{verdict.speedup:.2f}x the reference's speed (95 % interval {low:.2f} to {high:.2f})."


def _case(timing: CaseTiming) -> str:
    return (
        f"- case {timing.case}: {timing.time_us:,.1f} us, reference {timing.reference_us:,.1f} us, floor "
        f"{timing.floor_us:,.1f} us ({timing.floor_us / timing.time_us:.0%} of the floor's speed)"
    )


def _around(source: str, number: int) -> str:
    """The lines about a line, numbered, that one marked."""
    lines = source.splitlines()
    first, last = max(1, number - _AROUND), min(len(lines), number + _AROUND)
    return "\n".join(
        f"{'>' if here == number else ' '} {here:4d} | {lines[here - 1][:200]}" for here in range(first, last + 1)
    )


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[:_MOST]} ... ({len(text) - _MOST:,} characters more)"
