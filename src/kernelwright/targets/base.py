"""The device that a kernel must be fast on: what it is, its measured ceilings, the roofline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from kernelwright import registry
from kernelwright.targets.conditions import Conditions
from kernelwright.targets.examiner import Examiner

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo


Traffic = Literal["read", "write", "copy"]


class Ceilings(BaseModel):
    """Best rates measured on this device.

    `bandwidth` holds (working-set bytes, bytes/s), sorted, for each kind of traffic; a copy of n bytes moves 2 n.
    `flops` is FLOP/s by dtype.
    """

    model_config = ConfigDict(frozen=True)

    bandwidth: dict[Traffic, tuple[tuple[int, float], ...]]
    flops: dict[str, float]


class TargetInfo(BaseModel):
    """What a device is, in facts that candidates depend on. `key` changes when a measured ceiling would."""

    model_config = ConfigDict(frozen=True)

    name: str
    model: str
    cores: int
    simd: str
    """Widest vector extension: `avx512`, `avx2`, `neon`, `scalar`."""
    vector_bytes: int
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    memory_bytes: int
    key: str
    matrix_unit: str = ""
    """`amx` where the CPU has instructions that multiply tiles of 16-bit numbers; empty where it has none."""
    multiprocessors: int = 0
    """A GPU's; then `cores` are those of the host, where builds run, `simd` is the architecture to compile for
    (`sm_90`), and the first cache is the shared memory that one block may take."""


class Counts(BaseModel):
    """What the system counted while a process worked, over all its threads; `missing` is a sentence about what it
    cannot count here, empty where it counts all that it might.

    `values` has some of: `busy_s` (seconds that threads spent on cores), `waited_s` (that they waited for a core which
    others had), `page_faults`, and of the hardware, outside the system's own code, `cycles`, `instructions`,
    `cache_misses` (lines that were not in the last cache).
    """

    model_config = ConfigDict(frozen=True)

    values: dict[str, float] = {}
    missing: str = ""


class Target(ABC):
    """A device. Life cycle: made once per command, asked for `info` and `ceilings` (measured at most once a machine,
    then cached under `home()`), then asked for floors; asked to measure `again` where a floor does not hold."""

    name: str
    default_language: str
    """What candidates for it are written in where nobody says; see `default_language`."""

    @property
    def device_files(self) -> tuple[str, ...]:
        """The files through which the device is reached; tensors then lie in its own memory. None for the CPU."""
        return ()

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every process that uses it."""
        return {}

    @property
    def unit(self) -> str:
        """The name of this one device among all of its kind, where only one judge at a time may use it; empty for the
        CPU."""
        return ""

    @property
    def spares_host(self) -> bool:
        """Whether what is timed runs on the device alone, so that the host may build and start processes meanwhile."""
        return bool(self.device_files)

    @abstractmethod
    def info(self) -> TargetInfo:
        """What the device is. Raises `MachineError` where there is none."""

    @abstractmethod
    def ceilings(self) -> Ceilings:
        """The measured ceilings, from the cache when this machine has been measured."""

    @abstractmethod
    def measure_again(self) -> None:
        """Measures the ceilings anew and keeps the higher of each: they may have been measured at a bad moment. Does
        nothing where that was done within the last minute. Nothing else should run on the device."""

    @abstractmethod
    def floor_meter(self, case: CaseInfo, calls: int) -> AbstractContextManager[Callable[[], float]]:
        """A function that says what the floor is at this moment, in seconds, for calls in batches of `calls`:
        neighbours, clocks and what is left in caches change it, and a kernel timed beside it is compared with this.
        Nothing else should run on the device."""

    def watching(self) -> AbstractContextManager[Callable[[], Conditions]]:
        """Watches the device while something is timed; the function says afterwards what it was like."""
        return nullcontext(Conditions)

    def sanitizers(self) -> tuple[Examiner, ...]:
        """What finds errors in a kernel that its answers need not show; none where there is nothing of the kind."""
        return ()

    def counting(self, pid: int) -> AbstractContextManager[Callable[[], Counts]]:  # noqa: ARG002 - for those that can
        """Counts what a process does while this is open; it must not run when it is opened, nor when the function is
        called that says what was counted so far. What cannot be counted is no error."""
        return nullcontext(lambda: Counts(missing=f"nothing is counted on {self.name}"))

    def floor_us(self, case: CaseInfo) -> float:
        """See `roofline.floor_us`."""
        from kernelwright.targets.roofline import floor_us

        return floor_us(case, self.ceilings())

    def traffic_us(self, case: CaseInfo) -> float:
        """See `roofline.traffic_us`."""
        from kernelwright.targets.roofline import traffic_us

        return traffic_us(case, self.ceilings())


def default_language(target: str) -> str:
    """What candidates for the target of this name are written in where nobody says: the one place of that default.

    Raises:
        UsageError: there is no such target.
    """
    language: str = registry.load("targets", target).default_language
    return language
