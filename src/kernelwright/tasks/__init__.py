"""What has to be computed: tasks, their cases, and the formats they are read from.

Names are looked up on first use, so that the sandboxed side can import `kernelwright.tasks.host` without pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernelwright.tasks.info import (
        Argument,
        CaseInfo,
        Fairness,
        GradientsInfo,
        Graph,
        GraphNode,
        Problem,
        StateInfo,
        SumsInfo,
        TaskInfo,
        TensorInfo,
    )
    from kernelwright.tasks.task import Case, Task, TaskSource, Tolerance

__all__ = [
    "Argument", "Case", "CaseInfo", "Fairness", "GradientsInfo", "Graph", "GraphNode", "Problem", "StateInfo",
    "SumsInfo", "Task", "TaskInfo", "TaskSource", "TensorInfo", "Tolerance",
]  # fmt: skip

_IN_TASK = ("Case", "Task", "TaskSource", "Tolerance")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'task' if name in _IN_TASK else 'info'}"), name)
