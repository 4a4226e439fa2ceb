"""The first CUDA device that this process may see: what it is, and its measured ceilings, cached under `home()`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kernelwright.targets.base import Ceilings, TargetInfo
from kernelwright.targets.conditions import Conditions
from kernelwright.targets.cpu_facts import available_cores
from kernelwright.targets.cuda_ceilings import PROBE, highest, measure
from kernelwright.targets.cuda_examiners import SANITIZERS, Sanitizer
from kernelwright.targets.cuda_facts import CudaFacts, device_files, read_facts, read_uuid
from kernelwright.targets.cuda_watch import watching
from kernelwright.targets.examiner import Examiner
from kernelwright.targets.measured import MeasuredTarget

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo

CONNECTIONS = "CUDA_DEVICE_MAX_CONNECTIONS"
"""Queues that the driver makes for a process's streams. Each takes time when a process starts and when it ends, while
no other can start; the driver's default is eight."""
_VECTOR_BYTES = 16
"""What one thread moves at a time at most."""


class Cuda(MeasuredTarget):
    """An NVIDIA GPU. Its settings (clocks, power, modes) are read and never changed."""

    name = "cuda"
    default_language = "triton"

    @property
    def device_files(self) -> tuple[str, ...]:
        """See `Target.device_files`."""
        return device_files()

    @property
    def environment(self) -> dict[str, str]:
        """See `Target.environment`; what the user has set stands."""
        return {CONNECTIONS: os.environ.get(CONNECTIONS, "2")}

    @cached_property
    def unit(self) -> str:
        """See `Target.unit`."""
        return f"cuda-{self._uuid}"

    def watching(self) -> AbstractContextManager[Callable[[], Conditions]]:
        """See `Target.watching`: through NVML."""
        return watching(self._uuid)

    def sanitizers(self) -> tuple[Examiner, ...]:
        """See `Target.sanitizers`: compute-sanitizer's."""
        return tuple(Sanitizer(tool) for tool in SANITIZERS)

    def info(self) -> TargetInfo:
        """What the GPU is.

        Raises:
            MachineError: there is no driver or no device.
        """
        return self._info

    @contextmanager
    def floor_meter(self, case: CaseInfo, calls: int) -> Iterator[Callable[[], float]]:  # noqa: ARG002 - no neighbours
        """As described in `Target`: the roofline's floor, since a GPU that is used alone does not change."""
        floor = 1e-6 * self.floor_us(case)
        yield lambda: floor

    @cached_property
    def _uuid(self) -> str:
        return read_uuid()

    @cached_property
    def _facts(self) -> CudaFacts:
        return read_facts()

    @cached_property
    def _info(self) -> TargetInfo:
        facts = self._facts
        fingerprint = (facts, PROBE.read_bytes())
        return TargetInfo(
            name=self.name,
            model=facts.model,
            cores=available_cores(Path("/")),
            simd=facts.arch,
            vector_bytes=_VECTOR_BYTES,
            l1_bytes=facts.shared_bytes,
            l2_bytes=facts.l2_bytes,
            l3_bytes=0,
            memory_bytes=facts.memory_bytes,
            multiprocessors=facts.multiprocessors,
            key=hashlib.sha256(repr(fingerprint).encode()).hexdigest()[:16],
        )

    def _measured(self) -> tuple[Ceilings, bool]:
        """See `MeasuredTarget`: some ten seconds, in a process of its own."""
        return measure(), True

    def _highest(self, first: Ceilings, second: Ceilings) -> Ceilings:
        """See `MeasuredTarget`."""
        return highest(first, second)
