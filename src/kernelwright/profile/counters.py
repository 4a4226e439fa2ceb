"""The third depth: what the system counted while the candidate's process ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kernelwright import format as fmt
from kernelwright.judge.verdict import COUNTERS
from kernelwright.profile.base import Depth, Fact, Subject

_LINE, _PAGE = 64, 4096
_CROWDED = 0.1
"""Cores that others have while a candidate wants them that are worth a word."""
_FEW_FAULTS = 16
"""Page faults a call that are not worth a word."""


class Counters(Depth):
    """Counters of the system and, where there are any, of the hardware, over one batch of calls that the judge made."""

    def facts(self, subject: Subject) -> Iterator[Fact]:
        """See `Depth`."""
        counted = _counted(subject)
        if not counted:
            return
        calls, seconds, cores = counted["calls"], counted["seconds"], subject.target.cores
        if "busy_s" in counted and seconds > 0:
            waited = counted.get("waited_s", 0.0) / seconds
            busy = min(float(cores), counted["busy_s"] / seconds + waited)
            told = f"{busy:.1f} of {fmt.plural(cores, 'core')} busy (threads that wait for work spin, and count)"
            yield Fact(name="cores_busy", value=busy, text=told, by="system", about=("latency",))
            if waited >= _CROWDED:
                told = f"other programs had {waited:.1f} of them"
                yield Fact(name="cores_of_others", value=waited, text=told, by="system", about=("latency",))
        if (faults := counted.get("page_faults", 0.0) / calls) >= _FEW_FAULTS:
            told = f"{faults:,.0f} page faults a call: {fmt.size(faults * _PAGE)} of memory that is new to it"
            yield Fact(name="page_faults", value=faults, text=told, by="system", about=("memory", "launch"))
        if counted.get("cycles"):
            each = counted.get("instructions", 0.0) / counted["cycles"]
            told = f"{each:.2f} instructions a cycle"
            yield Fact(name="instructions_a_cycle", value=each, text=told, by="system", about=("latency", "compute"))
        if "cache_misses" in counted and subject.case.bytes:
            yield _fetched(subject, _LINE * counted["cache_misses"] / calls)

    def missing(self, subject: Subject) -> str:
        """See `Depth`."""
        return str(_counted(subject).get("missing", ""))


def _counted(subject: Subject) -> Mapping[str, Any]:
    found: Mapping[str, Any] = subject.verdict.evidence.get(COUNTERS) or {}
    return found


def _fetched(subject: Subject, size: float) -> Fact:
    rate, times = size / (1e-6 * subject.timing.time_us), size / subject.case.bytes
    told = f"{fmt.size(size)} a call from beyond the last cache ({times:.1f} times the least traffic)"
    told += f", at {fmt.rate(rate, 'B/s')}"
    return Fact(name="fetched_rate", value=rate, text=told, by="system", about=("memory", "latency"))
