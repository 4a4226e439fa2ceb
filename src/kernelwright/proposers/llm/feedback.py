"""What the judge found out about a candidate, as a model needs it: what is wrong, where, and what to look at next."""

from __future__ import annotations

import json
from typing import Any

from kernelwright.judge.verdict import WRONG_MAP, CaseTiming, Verdict
from kernelwright.proposers.base import Attempt
from kernelwright.proposers.llm.templates import Templates, shipped

_AROUND = 3
"""Lines of the source before and after the one that a compiler complains about."""
_BUSY = 1.5
"""Ends of an interval further apart than this factor are the machine's doing."""
_MOST = 1500
"""Characters of any one thing that is quoted."""


def told(attempt: Attempt, templates: Templates | None = None) -> str:
    """The verdict in a few lines, with the lines of the source that it is about."""
    verdict = attempt.verdict
    facts = _accepted(verdict) if verdict.accepted else _rejected(attempt)
    return (templates or shipped()).render("parts/verdict.md.j2", facts).strip()


def summary(attempt: Attempt, templates: Templates | None = None) -> str:
    """The verdict in one line."""
    verdict = attempt.verdict
    facts = {
        "accepted": verdict.accepted,
        "speedup": verdict.speedup,
        "floor_share": verdict.floor_share,
        "reason": verdict.reason,
        "message": " ".join(verdict.message.split())[:160],
    }
    return (templates or shipped()).render("parts/summary.md.j2", facts).strip()


def _rejected(attempt: Attempt) -> dict[str, Any]:
    verdict, evidence = attempt.verdict, dict(attempt.verdict.evidence)
    number, output, trace = evidence.pop("line", None), evidence.pop("output", ""), evidence.pop("trace", "")
    where, legend = evidence.pop(WRONG_MAP, None), evidence.pop("map_legend", "")
    return {
        "accepted": False,
        "reason": verdict.reason,
        "message": _cut(verdict.message),
        "lines": _around(attempt.candidate.source, number) if isinstance(number, int) and number > 0 else "",
        "evidence": [
            (name, _cut(_short(value))) for name, value in evidence.items() if value not in (None, "", [], {})
        ],
        "map": "\n".join(map(str, where)) if isinstance(where, list) else "",
        "map_legend": legend,
        # The end of a trace names the error, the beginning of a compiler's output does.
        "trace": str(trace)[-_MOST:] if trace else "",
        "output": _cut(output) if isinstance(output, str) else "",
    }


def _accepted(verdict: Verdict) -> dict[str, Any]:
    low, high = verdict.speedup_ci or (0.0, 0.0)
    error = verdict.error
    used = error.max / error.allowed_max if error and error.allowed_max else 0.0
    return {
        "accepted": True,
        "speedup": verdict.speedup or 0.0,
        "low": low,
        "high": high,
        "busy": high > _BUSY * low,
        "timings": [_case(timing) for timing in verdict.timings],
        "coverage": verdict.coverage,
        "library_calls": verdict.library_calls,
        "error": {"max": error.max, "used": used} if error else None,
        "stopped_early": verdict.stopped_early,
    }


def _case(timing: CaseTiming) -> dict[str, Any]:
    times = {"time_us": timing.time_us, "reference_us": timing.reference_us, "floor_us": timing.floor_us}
    return {"name": timing.case, **times, "floor_share": timing.floor_us / timing.time_us}


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
