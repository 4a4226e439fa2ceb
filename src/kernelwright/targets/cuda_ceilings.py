"""Measures a GPU's ceilings in a process of its own, with torch, which the trusted side does without."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import get_args

from kernelwright.errors import MachineError
from kernelwright.targets.base import Ceilings, Traffic

PROBE = Path(__file__).with_name("cuda_probe.py")
_TIMEOUT_S = 180


def measure() -> Ceilings:
    """Runs `cuda_probe.py`.

    Raises:
        MachineError: it fails, or this torch was built without CUDA.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE.read_text()], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        raise MachineError(f"cannot measure the GPU's ceilings: {reason}", remedy="run `nvidia-smi`") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"cannot measure the GPU's ceilings: {error}") from error
    return parse(done.stdout)


def parse(output: str) -> Ceilings:
    """Ceilings from the probe's lines, `KIND WHAT RATE`, the best of each; whoever only reads or only writes is no
    slower than a copy that moves as much."""
    best: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in output.splitlines():
        kind, what, rate = line.split()
        best[kind][what] = max(best[kind][what], float(rate))
    bandwidth = {
        kind: tuple(sorted((int(size), max(rate, best["copy"][size])) for size, rate in best[kind].items()))
        for kind in get_args(Traffic)
    }
    return Ceilings(bandwidth=bandwidth, flops=dict(best["flops"]))


def highest(first: Ceilings, second: Ceilings) -> Ceilings:
    """The higher of each rate; both were measured at the same sizes."""
    bandwidth = {
        kind: tuple(
            (size, max(rate, other)) for (size, rate), (_, other) in zip(curve, second.bandwidth[kind], strict=True)
        )
        for kind, curve in first.bandwidth.items()
    }
    return Ceilings(
        bandwidth=bandwidth, flops={name: max(rate, second.flops[name]) for name, rate in first.flops.items()}
    )
