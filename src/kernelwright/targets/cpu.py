"""The CPU that this process may use: what it is, and its measured ceilings, cached under `home()`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kernelwright.targets import cpu_counters
from kernelwright.targets.base import Ceilings, Counts, TargetInfo
from kernelwright.targets.cpu_ceilings import PROGRAM, highest, measure, meter
from kernelwright.targets.cpu_facts import CpuFacts, read_facts
from kernelwright.targets.measured import MeasuredTarget
from kernelwright.targets.roofline import arithmetic_us, floor_us

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo


class Cpu(MeasuredTarget):
    """The machine's own processor. Builds run on the cores that kernels are timed on."""

    name = "cpu"
    default_language = "cpp"

    def info(self) -> TargetInfo:
        """What the CPU is.

        Raises:
            MachineError: this is no Linux on x86-64 or aarch64.
        """
        return self._info

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
            matrix_unit=facts.matrix_unit,
            l1_bytes=facts.l1_bytes,
            l2_bytes=facts.l2_bytes,
            l3_bytes=facts.l3_bytes,
            memory_bytes=facts.memory_bytes,
            key=hashlib.sha256(repr(fingerprint).encode()).hexdigest()[:16],
        )

    def _highest(self, first: Ceilings, second: Ceilings) -> Ceilings:
        """See `MeasuredTarget`."""
        return highest(first, second)

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

    def _measured(self) -> tuple[Ceilings, bool]:
        """As described in `MeasuredTarget`: 4 s on all cores, with nothing else that should run. Raises `MachineError`
        where there is no C++ compiler."""
        return measure(self._info, self._facts.flags)
