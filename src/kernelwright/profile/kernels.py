"""The second depth: which kernels the time goes to, and what it goes to beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kernelwright import format as fmt
from kernelwright.judge.verdict import KERNELS
from kernelwright.profile.base import Bound, Depth, Fact, Subject

_SHOWN = 4
_SHORTEST = 0.02
"""Kernels with less than this share of all kernels' time are not shown."""
_INSIDE: tuple[Bound, ...] = ("memory", "compute", "latency", "launch")
_PLAIN, _LONGEST_NAME = re.compile(r"[^\w.:]", re.ASCII), 60
"""Names are the candidate's words too, and models read them."""


def plain_name(kernel: str) -> str:
    """A kernel's name as models and people may see it."""
    return _PLAIN.sub("?", kernel)[:_LONGEST_NAME]


class Kernels(Depth):
    """The candidate's own kernels as its process counts and times them in one forward: a claim, which decides nothing
    but this advice."""

    def facts(self, subject: Subject) -> Iterator[Fact]:
        """See `Depth`. `inside_us` is the time in all of its kernels, at most that of a timed call."""
        kernels = subject.verdict.evidence.get(KERNELS)
        if not isinstance(kernels, Mapping) or not kernels:
            return
        seconds = {name: entry["seconds"] for name, entry in kernels.items()}
        calls, spent = sum(entry["calls"] for entry in kernels.values()), sum(seconds.values())
        inside, time_us = min(1e6 * spent, subject.timing.time_us), subject.timing.time_us
        told = f"{fmt.percent(inside / time_us)} of a call's time is inside its own kernels"
        yield Fact(name="inside_us", value=inside, text=told, by="candidate", about=("launch", "library"))
        told = f"{fmt.plural(calls, 'call')} of its own kernels in one forward"
        yield Fact(name="kernel_calls", value=calls, text=told, by="candidate", about=("launch",))
        if len(kernels) > 1 and spent:
            yield from self._shares(kernels, spent)

    def _shares(self, kernels: Mapping[str, Any], spent: float) -> Iterator[Fact]:
        longest = sorted(kernels.items(), key=lambda item: item[1]["seconds"], reverse=True)[:_SHOWN]
        for name, entry in longest:
            share = entry["seconds"] / spent
            if share >= _SHORTEST:
                known = plain_name(name)
                told = f"kernel {known}: {fmt.percent(share)} of its kernels' time"
                told += f", {fmt.plural(entry['calls'], 'call')}"
                yield Fact(name=f"kernel {known}", value=share, text=told, by="candidate", about=_INSIDE)


class Library(Depth):
    """Torch's operations that work on tensors beside the candidate's kernels, as its source has them."""

    def facts(self, subject: Subject) -> Iterator[Fact]:
        """See `Depth`."""
        calls = subject.verdict.library_calls
        if calls:
            told = f"library calls in its source: {', '.join(calls)}"
            yield Fact(name="library_calls", value=len(calls), text=told, by="judge", about=("library",))
