"""The device that a kernel must be fast on: what it is, its measured ceilings, the roofline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo


class Ceilings(BaseModel):
    """Best rates measured on this device.

    `bandwidth` holds (working-set bytes, bytes/s), sorted: the best over kinds of traffic (copy, read) at that working
    set. `flops` is FLOP/s by dtype.
    """

    model_config = ConfigDict(frozen=True)

    bandwidth: tuple[tuple[int, float], ...]
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


class Target(ABC):
    """A device. Life cycle: made once per command, asked for `info` and `ceilings` (measured at most once a machine,
    then cached under `home()`), then asked for floors."""

    name: str
    shares_cores: bool
    """Whether builds run on the device's own cores, so that they must be paused while something is timed."""

    @abstractmethod
    def info(self) -> TargetInfo:
        """What the device is. Raises `MachineError` where there is none."""

    @abstractmethod
    def ceilings(self) -> Ceilings:
        """The measured ceilings, from the cache when this machine has been measured."""

    def floor_us(self, case: CaseInfo, working_set: int = 0) -> float:
        """The time in µs that no kernel for this case can beat: max(bytes / bandwidth, FLOPs / rate).

        `working_set` is how many bytes the timed calls go through before they meet the same ones again, which decides
        what the caches can hold; at least the case's own.
        """
        from kernelwright.targets.roofline import floor_us

        return floor_us(case, self.ceilings(), working_set)
