"""What the judge found out about a candidate, as a model needs it: what is wrong, where, and what to look at next."""

from __future__ import annotations

import json
from typing import Any

from kernelwright.judge.verdict import COUNTERS, KERNELS, WRONG_MAP, CaseTiming, Verdict
from kernelwright.profile import Diagnosis, diagnose
from kernelwright.proposers.base import Attempt, Context
from kernelwright.proposers.llm.templates import Templates

_AROUND = 3
"""Lines of the source before and after the one that a compiler complains about."""
_BUSY = 1.5
"""Ends of an interval further apart than this factor are the machine's doing."""
_MOST = 1500
"""Characters of any one thing that is quoted."""
_TAKEN = ("registers", "spilled_bytes", "shared_bytes", "warps", "instructions")
_MOST_KERNELS, _NAME = 8, 80


def told(attempt: Attempt, context: Context, templates: Templates) -> str:
    """The verdict in a few lines: what bounds it and the facts that say so, or the lines of the source that it is
    about."""
    verdict = attempt.verdict
    facts = _accepted(verdict, diagnosis(attempt, context)) if verdict.accepted else _rejected(attempt)
    return templates.render("parts/verdict.md.j2", facts).strip()


def diagnosis(attempt: Attempt, context: Context) -> Diagnosis | None:
    """What bounds an accepted version; None where that is not known, as on GPUs: what is known is about cores."""
    if context.target.multiprocessors:
        return None
    return diagnose(attempt.verdict, context.info, context.target, context.ceilings)


def profile(found: Diagnosis, templates: Templates) -> str:
    """All that is known of why a version takes as long as it does."""
    return templates.render("parts/diagnosis.md.j2", {"diagnosis": _said(found, whole=True)}).strip()


def _said(found: Diagnosis, *, whole: bool) -> dict[str, Any]:
    """A diagnosis as templates get it: all facts, or those about its bottleneck."""
    facts = found.facts if whole else found.telling
    return {
        "bound": found.bound,
        "words": found.words,
        "why": found.why,
        "doubt": found.doubt,
        "facts": [{"text": fact.text, "by": fact.by} for fact in facts],
        "missing": list(found.missing) if whole else [],
    }


def summary(attempt: Attempt, templates: Templates) -> str:
    """The verdict in one line."""
    verdict = attempt.verdict
    facts = {
        "accepted": verdict.accepted,
        "speedup": verdict.speedup,
        "floor_share": verdict.floor_share,
        "reason": verdict.reason,
        "message": " ".join(verdict.message.split())[:160],
    }
    return templates.render("parts/summary.md.j2", facts).strip()


def _rejected(attempt: Attempt) -> dict[str, Any]:
    verdict, evidence = attempt.verdict, dict(attempt.verdict.evidence)
    number, output, trace = evidence.pop("line", None), evidence.pop("output", ""), evidence.pop("trace", "")
    where, legend = evidence.pop(WRONG_MAP, None), evidence.pop("map_legend", "")
    for measured in (KERNELS, COUNTERS):  # numbers for whoever reads a profile
        evidence.pop(measured, None)
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


def _accepted(verdict: Verdict, found: Diagnosis | None) -> dict[str, Any]:
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
        "diagnosis": _said(found, whole=False) if found else None,
        "resources": _resources(verdict.evidence.get("resources")),
        "library_calls": verdict.library_calls,
        "error": {"max": error.max, "used": used} if error else None,
        "stopped_early": verdict.stopped_early,
    }


def _resources(said: Any) -> list[dict[str, Any]]:
    """What kernels take of a GPU, as their own process says."""
    kernels = list(said.items())[:_MOST_KERNELS] if isinstance(said, dict) else []
    return [
        {"name": " ".join(name.split())[:_NAME], "facts": [(what, facts[what]) for what in _TAKEN if what in facts]}
        for name, facts in kernels
    ]


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
