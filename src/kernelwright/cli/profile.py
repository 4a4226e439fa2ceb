"""`kernelwright profile TASK KERNEL`."""

from __future__ import annotations

from kernelwright.cli.evaluate import judging

command = judging(
    "Judge a kernel and say what bounds it: memory, arithmetic, latency, or what is around its kernels.", bounds=True
)
