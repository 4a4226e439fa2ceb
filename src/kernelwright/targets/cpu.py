"""The CPU that this process may use: what it is, and its measured ceilings, cached under `home()`."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError

from kernelwright.home import home, keep
from kernelwright.targets import cpu_counters
from kernelwright.targets.base import Ceilings, Counts, Target, TargetInfo, Traffic
from kernelwright.targets.cpu_ceilings import PROGRAM, highest, measure, meter
from kernelwright.targets.cpu_facts import CpuFacts, read_facts
from kernelwright.targets.roofline import arithmetic_us, floor_us

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo

_FRESH_S = 60
"""A measurement this recent is not repeated."""


class Cpu(Target):
    """The machine's own processor. Builds run on the cores that kernels are timed on."""

    name = "cpu"
    shares_cores = True

    def __init__(self) -> None:
        self._ceilings: Ceilings | None = None
        self._measured_at = -math.inf

    def info(self) -> TargetInfo:
        """What the CPU is.

        Raises:
            MachineError: this is no Linux on x86-64 or aarch64.
        """
        return self._info

    def ceilings(self) -> Ceilings:
        """The measured ceilings: read from the cache, or measured now (4 s, all cores; nothing else should run).

        What is measured while other programs hold the cores is used but not kept.

        Raises:
            MachineError: there is no C++ compiler, or the cache cannot be written.
        """
        if self._ceilings is None:
            self._ceilings = _read(self._kept)
        if self._ceilings is None:
            self._ceilings, calm = self._measured()
            if calm:
                _keep(self._kept, self._ceilings)
        return self._ceilings

    def measure_again(self) -> None:
        """As described in `Target`; raises what `ceilings` raises."""
        if time.monotonic() - self._measured_at > _FRESH_S:
            known = self.ceilings()
            self._ceilings = highest(known, self._measured()[0])
            if self._ceilings != known:
                _keep(self._kept, self._ceilings)

    @cached_property
    def _facts(self) -> CpuFacts:
        return read_facts(Path("/"))

    @cached_property
    def _info(self) -> TargetInfo:
        facts = self._facts
        caches = (facts.l1_bytes, facts.l2_bytes, facts.l3_bytes)
        fingerprint = (facts.model, facts.cores, facts.flags, caches, PROGRAM.read_bytes())
        return TargetInfo(
            name=self.name,
            model=facts.model,
            cores=facts.cores,
            simd=facts.simd,
            vector_bytes=facts.vector_bytes,
            l1_bytes=facts.l1_bytes,
            l2_bytes=facts.l2_bytes,
            l3_bytes=facts.l3_bytes,
            memory_bytes=facts.memory_bytes,
            key=hashlib.sha256(repr(fingerprint).encode()).hexdigest()[:16],
        )

    @contextmanager
    def floor_meter(self, case: CaseInfo, calls: int) -> Iterator[Callable[[], float]]:
        """As described in `Target`; the roofline's floor where there is not enough memory to measure. Raises what
        `ceilings` raises."""
        arithmetic, roofline = (1e-6 * bound(case, self.ceilings()) for bound in (arithmetic_us, floor_us))
        with meter(self._info, case, calls) as traffic:
            yield lambda: max(traffic() or roofline, arithmetic)

    def counting(self, pid: int) -> AbstractContextManager[Callable[[], Counts]]:
        """As described in `Target`."""
        return cpu_counters.counting(pid)

    @property
    def _kept(self) -> Path:
        return home() / f"ceilings-{self._info.key}.json"

    def _measured(self) -> tuple[Ceilings, bool]:
        """The ceilings now, and whether the machine was calm."""
        measured = measure(self._info, self._facts.flags)
        self._measured_at = time.monotonic()
        return measured


def _read(path: Path) -> Ceilings | None:
    """The cached ceilings; None where there are none or the file is damaged."""
    try:
        ceilings = Ceilings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    curves = list(ceilings.bandwidth.values())
    rates = [rate for curve in curves for _, rate in curve] + list(ceilings.flops.values())
    sizes = [tuple(size for size, _ in curve) for curve in curves]
    complete = set(ceilings.bandwidth) == set(get_args(Traffic)) and bool(ceilings.flops)
    plausible = all(1e6 < rate < 1e18 for rate in rates)
    increasing = all(each == sizes[0] == tuple(sorted(set(each))) and min(each, default=0) > 0 for each in sizes)
    return ceilings if complete and plausible and increasing else None


def _keep(path: Path, ceilings: Ceilings) -> None:
    keep(path, ceilings.model_dump_json(indent=2) + "\n", "the measured ceilings")
