"""Judges one candidate with KernelBench's own evaluator, on the CPU: CHECKOUT TASK CANDIDATE; prints JSON at the end.

Its code is used as it is. It asks for CUDA throughout, so the calls of `torch.cuda` that it makes say yes and do
nothing, the device is the CPU, and its timing by the host's clock is used; packages that only its other parts need are
empty.
"""

from __future__ import annotations

import contextlib
import json
import sys
import types
from pathlib import Path

import torch

CORRECT_TRIALS, PERF_TRIALS = 5, 100
"""What its scripts use."""


class _Anything(types.ModuleType):
    """A package of which nothing is used."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def stand_ins() -> None:
    """Makes `torch.cuda` agree to everything, and lets imports of what is not needed pass."""
    for name in ("requests", "dotenv", "tqdm", "openai", "litellm", "datasets"):
        sys.modules.setdefault(name, _Anything(name))
    for name in ("synchronize", "set_device", "empty_cache", "reset_peak_memory_stats", "manual_seed"):
        setattr(torch.cuda, name, lambda *_, **__: None)
    torch.cuda.is_available = lambda: True
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_name = lambda *_, **__: "CPU"
    torch.cuda.device = lambda *_: contextlib.nullcontext()  # type: ignore[assignment, misc]


def main(checkout: str, task: str, candidate: str) -> None:
    """Prints whether it is called correct, and the milliseconds that are believed."""
    stand_ins()
    sys.path.insert(0, str(Path(checkout, "src")))
    from kernelbench import eval as evaluator  # type: ignore[import-not-found]
    from kernelbench import timing, utils

    utils.get_gpu_vendor = lambda *_: "nvidia"
    timing.clear_l2_cache = lambda *_, **__: None
    result = evaluator.eval_kernel_against_ref(
        Path(task).read_text(),
        Path(candidate).read_text(),
        num_correct_trials=CORRECT_TRIALS,
        num_perf_trials=PERF_TRIALS,
        measure_performance=True,
        timing_method="host_time",
        device=torch.device("cpu"),
        check_for_excessive_speedup=False,
    )
    correct = bool(result and result.correctness)
    print("\n" + json.dumps({"correct": correct, "ms": result.runtime if correct else None}))


if __name__ == "__main__":
    main(*sys.argv[1:])
