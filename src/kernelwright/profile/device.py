"""The depths that a GPU has: what launching takes, what kernels take of a multiprocessor, what the hardware counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kernelwright import format as fmt
from kernelwright.judge.verdict import COUNTERS, DEVICE_COUNTERS
from kernelwright.profile.base import Bound, Depth, Fact, Subject

_SHOWN = 3
_PLAIN, _LONGEST_NAME = re.compile(r"[^\w.:<>, ]", re.ASCII), 60
_NOT_READ = "the hardware's counters: `kernelwright profile` has them read where Nsight Compute is installed"


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
        kernels = subject.verdict.evidence.get("resources") or {}
        for name, taken in list(kernels.items())[:_SHOWN]:
            told = f"kernel {_known(name)}: {taken.get('registers', '?')} registers a thread"
            told += f", {fmt.size(taken.get('shared_bytes', 0))} of shared memory"
            if "warps" in taken:
                told += f", {fmt.plural(taken['warps'], 'warp')}"
            if spilled := taken.get("spilled_bytes", 0):
                told += f", {fmt.size(spilled)} of them spilled to memory"
            yield Fact(
                name=f"taken {_known(name)}", value=taken.get("registers", 0), text=told, by="candidate",
                about=("latency", "memory") if spilled else ("latency",),
            )  # fmt: skip


class DeviceCounters(Depth):
    """The hardware's counters for its kernels, each weighted by its time (Nsight Compute; Williams, Waterman, Patterson
    2009 for what a share of a roof says)."""

    def facts(self, subject: Subject) -> Iterator[Fact]:
        """See `Depth`. Shares are of the most that the hardware can do."""
        kernels = _kernels(subject)
        if not kernels:
            return
        said: tuple[tuple[str, str, tuple[Bound, ...]], ...] = (
            ("dram_share", "memory is busy for {} of what it can move", ("memory",)),
            ("sm_share", "the busiest part of the multiprocessors is busy for {}", ("compute",)),
            ("tensor_share", "the tensor cores are busy for {}", ("compute",)),
            ("issue_share", "a scheduler issues an instruction in {} of the cycles", ("latency", "compute")),
            ("occupancy", "{} of the warps that there can be are resident", ("latency",)),
            ("l2_hit_share", "{} of what is asked of the second cache is in it", ("memory",)),
        )
        for name, text, about in said:
            if (share := _weighted(kernels, name)) is not None:
                yield Fact(name=name, value=share, text=text.format(fmt.percent(share)), by="system", about=about)
        fetched = sum(float(one.get("dram_bytes", 0.0)) * one["calls"] for one in kernels.values())
        if fetched and subject.case.bytes:
            times = fetched / subject.case.bytes
            told = f"{fmt.size(fetched)} from and to memory a call, {times:.1f} times the least traffic"
            yield Fact(name="device_traffic", value=fetched, text=told, by="system", about=("memory",))

    def missing(self, subject: Subject) -> str:
        """See `Depth`."""
        if not subject.target.multiprocessors or _kernels(subject):
            return ""
        read: Mapping[str, Any] | None = subject.verdict.evidence.get(DEVICE_COUNTERS)
        return f"the hardware's counters: {read.get('problem')}" if read else _NOT_READ


def _kernels(subject: Subject) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = (subject.verdict.evidence.get(DEVICE_COUNTERS) or {}).get("kernels", {})
    return found


def _weighted(kernels: Mapping[str, Mapping[str, Any]], name: str) -> float | None:
    known = [(float(one[name]), float(one["seconds"])) for one in kernels.values() if name in one]
    total = sum(seconds for _, seconds in known)
    return sum(value * seconds for value, seconds in known) / total if total else None


def _known(name: str) -> str:
    return _PLAIN.sub("?", name)[:_LONGEST_NAME]
