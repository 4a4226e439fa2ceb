"""`kernelwright task TASK`."""

from __future__ import annotations

from kernelwright.cli.options import InputOption, JsonOption, TargetOption, TaskArgument
from kernelwright.cli.output import print_json, show, stdout_reserved


def command(
    task: TaskArgument, *, target: TargetOption = "cpu", inputs: InputOption = None, json: JsonOption = False
) -> None:
    """Show what a task computes: shapes, dtypes, FLOPs, bytes, floor; and whether it is a fair test."""
    from kernelwright import api
    from kernelwright.report import tables

    with stdout_reserved():
        description = api.describe(api.load_task(task, inputs=inputs or ()), target=target)
    if json:
        print_json(description.to_json())
    else:
        show(tables.task(description.task.name, description.info, description.fairness, description.floors_us))
