"""What a candidate goes through, in order. Each stage is a function that takes an `Evaluation` and returns, or raises
`Rejection`."""

from kernelwright.judge.stages.audit import audit
from kernelwright.judge.stages.build import build
from kernelwright.judge.stages.compare import compare
from kernelwright.judge.stages.hold_out import hold_out
from kernelwright.judge.stages.run import run
from kernelwright.judge.stages.time import time

__all__ = ["audit", "build", "compare", "hold_out", "run", "time"]
