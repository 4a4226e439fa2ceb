"""Where a kernel must be fast: devices, their measured ceilings, the roofline."""

from kernelwright.targets.base import Ceilings, Target, TargetInfo
from kernelwright.targets.roofline import attainable_flops, bandwidth_at, floor_us

__all__ = ["Ceilings", "Target", "TargetInfo", "attainable_flops", "bandwidth_at", "floor_us"]
