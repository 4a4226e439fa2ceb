"""From a PyTorch computation to the fastest kernel that provably computes the same thing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernelwright.api import evaluate, optimize, resume
    from kernelwright.errors import KernelwrightError, MachineError, StoreError, TaskError, UsageError
    from kernelwright.judge.verdict import Verdict
    from kernelwright.result import Result
    from kernelwright.tasks import Case, Task, Tolerance

_HOMES = {
    "Case": "kernelwright.tasks",
    "KernelwrightError": "kernelwright.errors",
    "MachineError": "kernelwright.errors",
    "Result": "kernelwright.result",
    "StoreError": "kernelwright.errors",
    "Task": "kernelwright.tasks",
    "TaskError": "kernelwright.errors",
    "Tolerance": "kernelwright.tasks",
    "UsageError": "kernelwright.errors",
    "Verdict": "kernelwright.judge.verdict",
    "evaluate": "kernelwright.api",
    "optimize": "kernelwright.api",
    "resume": "kernelwright.api",
}

__all__ = [
    "Case",
    "KernelwrightError",
    "MachineError",
    "Result",
    "StoreError",
    "Task",
    "TaskError",
    "Tolerance",
    "UsageError",
    "Verdict",
    "evaluate",
    "optimize",
    "resume",
]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import kernelwright` and `kernelwright --help` stay fast.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
