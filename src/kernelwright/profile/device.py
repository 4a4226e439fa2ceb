"""The depths that a GPU has beside others: what launching takes, what kernels take of a multiprocessor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kernelwright import format as fmt
from kernelwright.judge.verdict import COUNTERS
from kernelwright.profile.base import Bound, Depth, Fact, Subject
from kernelwright.profile.kernels import plain_name
from kernelwright.targets.occupancy import occupancy

_SHOWN = 3


class Launching(Depth):
    """What a call takes when each is launched as it comes: the judge's clock over a batch like the timed ones, host and
    all, against the device's own time of a call, which is what a CUDA graph would leave."""

    def facts(self, subject: Subject) -> Iterator[Fact]:
        """See `Depth`. `launched_us` is that of one call."""
        counted = subject.verdict.evidence.get(COUNTERS) or {}
        if not subject.target.multiprocessors or not counted.get("calls"):
            return
        launched = 1e6 * counted["seconds"] / counted["calls"]
        told = f"launched one by one a call takes {fmt.time(launched)}, host and all; the device's time is "
        told += fmt.time(subject.timing.time_us)
        yield Fact(name="launched_us", value=launched, text=told, by="judge", about=("launch",))


class Resources(Depth):
    """What its kernels take of a multiprocessor, as their compiler says."""

    def facts(self, subject: Subject) -> Iterator[Fact]:
        """See `Depth`."""
        yield from self._of(subject.target.simd, "", subject.verdict.evidence.get("resources") or {})
        for arch, kernels in (subject.verdict.evidence.get("static") or {}).items():
            yield from self._of(arch, f"on {arch}, which is not here, ", kernels)

    def _of(self, arch: str, where: str, kernels: Mapping[str, Any]) -> Iterator[Fact]:
        for name, taken in list(kernels.items())[:_SHOWN]:
            told = f"{where}kernel {plain_name(name)}: {taken.get('registers', '?')} registers a thread"
            told += f", {fmt.size(taken.get('shared_bytes', 0))} of shared memory"
            if "warps" in taken:
                told += f", {fmt.plural(taken['warps'], 'warp')}"
                told += _resident(arch, taken)
            if count := taken.get("instructions"):
                told += f", {count} instructions"
            if spilled := taken.get("spilled_bytes", 0):
                told += f", {fmt.size(spilled)} spilled to memory"
            if problem := taken.get("problem"):
                told = f"{where}kernel {plain_name(name)}: {problem.splitlines()[0]}"
            about: tuple[Bound, ...] = ("latency", "memory") if spilled else ("latency",)
            called = f"taken {where and arch + ' '}{plain_name(name)}"
            yield Fact(name=called, value=taken.get("registers", 0), text=told, by="candidate", about=about)


def _resident(arch: str, taken: Mapping[str, int]) -> str:
    """How much of a multiprocessor such blocks fill, as the end of a sentence; empty where that is not known."""
    if "registers" not in taken:
        return ""
    share = occupancy(arch, taken["registers"], taken.get("shared_bytes", 0), taken["warps"])
    return "" if share is None else f", so that {fmt.percent(share)} of the warps that there can be are resident"
