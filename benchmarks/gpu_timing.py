"""How well kernels with a known ratio of work are told apart on a GPU: 1.05 times the work against once.

    python benchmarks/gpu_timing.py

Kernels compute the same and do so many steps of arithmetic beside it; eager PyTorch, which they are timed against,
moves as much and takes half as long or less. One judge for each size, with every stage.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from kernelwright.judge.judge import Judge
from kernelwright.proposers.base import Candidate
from kernelwright.targets.cuda import Cuda
from kernelwright.tasks import Task

KINDS = ((1 << 20, 200), (1 << 23, 150), (1 << 25, 150))
"""Elements and steps for each: some 9, 48 and 200 µs on an H200."""
RATIO = 1.05
TASK = """
import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return 2 * x


def get_init_inputs():
    return []


def get_inputs():
    return [torch.rand({elements})]
"""
KERNEL = """
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def stepping_kernel(x_ptr, y_ptr, n, steps, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    t = x
    for _ in range(steps):
        t = t * 0.999 + 0.001
    tl.store(y_ptr + at, 2 * x + t * 0.0, mask=at < n)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        stepping_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), {steps}, BLOCK=1024)
        return y
"""


async def told_apart(elements: int, steps: int) -> None:
    """Prints a line for one size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "twice.py")
        path.write_text(TASK.format(elements=elements))
        async with Judge(Task.load(path), Cuda(), language="triton") as judge:
            begin = time.perf_counter()
            once, more = [
                await judge.evaluate(Candidate(source=KERNEL.format(steps=count), language="triton"))
                for count in (steps, round(RATIO * steps))
            ]
            seconds = (time.perf_counter() - begin) / 2
    if not (once.speedup and more.speedup and once.speedup_ci and more.speedup_ci):
        print(f"{elements:9} {steps:6}  rejected: {once.message or more.message}")
        return
    apart = "yes" if more.speedup_ci[1] < once.speedup_ci[0] else "no"
    print(
        f"{elements:9} {steps:6}  {once.time_us:8.2f}  {more.time_us:10.2f}  {once.speedup / more.speedup:15.3f}  "
        f"{apart:>15}  {seconds:19.1f}",
        flush=True,
    )


async def main() -> None:
    """All sizes."""
    print(" elements  steps   µs once  µs at 1.05   ratio of times  intervals apart  seconds a candidate")
    for elements, steps in KINDS:
        await told_apart(elements, steps)


if __name__ == "__main__":
    asyncio.run(main())
