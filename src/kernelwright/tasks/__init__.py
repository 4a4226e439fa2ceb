"""What has to be computed: tasks, their cases, and the formats they are read from."""

from kernelwright.tasks.info import Argument, CaseInfo, Fairness, Graph, GraphNode, Problem, StateInfo, TaskInfo, TensorInfo
from kernelwright.tasks.task import Case, Task, TaskSource, Tolerance

__all__ = [
    "Argument", "Case", "CaseInfo", "Fairness", "Graph", "GraphNode", "Problem", "StateInfo", "Task", "TaskInfo", "TaskSource",
    "TensorInfo", "Tolerance",
]
