"""What a task computes, as the judge sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kernelwright import registry
from kernelwright.report.view import as_json
from kernelwright.targets.base import Target
from kernelwright.tasks import Fairness, Task, TaskInfo


@dataclass(frozen=True)
class Description:
    """A task as the judge sees it; `floors_us` has a floor for each case of `info`."""

    task: Task
    info: TaskInfo
    fairness: Fairness
    floors_us: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """What `task show --json` prints."""
        return {
            "task": self.task.name,
            "id": self.task.id,
            "fair": self.fairness.verdict,
            "problems": as_json(self.fairness)["problems"],
            "cases": [
                {**as_json(case), "bytes": case.bytes, "floor_us": floor}
                for case, floor in zip(self.info.cases, self.floors_us, strict=True)
            ],
            "state": as_json(self.info)["state"],
            "init_inputs": self.info.init_inputs,
        }


async def describe(task: Task, target: str) -> Description:
    """Loads a task in the sandbox and says what it computes, what its floor is, and whether it is a fair test.

    Raises:
        UsageError: there is no such target.
        TaskError: the task cannot be used.
        MachineError: the machine lacks something.
    """
    from kernelwright.judge.judge import Judge

    device: Target = registry.load("targets", target)()
    async with Judge(task, device) as judge:
        info, fairness = judge.info, await judge.fairness()
    return Description(task, info, fairness, tuple(device.floor_us(case) for case in info.cases))
