"""Where a kernel must be fast: devices, their measured ceilings, the roofline."""

from kernelwright.targets.base import Ceilings, Target, TargetInfo, Traffic, default_language
from kernelwright.targets.roofline import bandwidth_at, bandwidth_of, floor_us, written_share

__all__ = [
    "Ceilings", "Target", "TargetInfo", "Traffic", "bandwidth_at", "bandwidth_of", "default_language", "floor_us",
    "written_share",
]  # fmt: skip
