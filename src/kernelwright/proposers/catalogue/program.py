"""A graph turned into kernels and library calls, ready to be written in some language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.ir import Buffer, Call, Kernel
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.lower import Lowering, lower, references
from kernelwright.proposers.catalogue.nesting import begin
from kernelwright.proposers.catalogue.regions import Partition
from kernelwright.proposers.catalogue.renderer import Renderer
from kernelwright.proposers.catalogue.resolve import buffers
from kernelwright.proposers.catalogue.rewrites import IllegalRewriteError, Rewrite
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Graph


@dataclass(frozen=True)
class Program:
    """What to execute, in order: scheduled kernels and torch calls."""

    lowering: Lowering
    target: TargetInfo
    renderer: Renderer
    order: tuple[Schedule | Call, ...]
    parts: dict[str, Buffer]
    """Intermediate results that kernels hand each other, by name."""
    backward: int | None = None
    """The place in `order` where the way back begins, if the graph has one."""

    @cached_property
    def steps(self) -> tuple[Nest | Call, ...]:
        """Nests (own kernels) and torch calls."""
        return tuple(self.renderer.nest(step) if isinstance(step, Schedule) else step for step in self.order)

    @property
    def schedules(self) -> list[Schedule]:
        """The kernels' schedules."""
        return [step for step in self.order if isinstance(step, Schedule)]

    @property
    def nests(self) -> list[Nest]:
        """The kernels."""
        return [step for step in self.steps if isinstance(step, Nest)]

    @property
    def buffers(self) -> dict[str, Buffer]:
        """The buffers that kernels write, by name, with the graph's axes."""
        return {**self.parts, **self.lowering.buffers}

    @property
    def calls(self) -> list[Call]:
        """The library calls."""
        return [step for step in self.order if isinstance(step, Call)]

    @property
    def traffic(self) -> int:
        """The least bytes that forward reads and writes."""
        return _traffic(self.lowering.graph)

    def rescheduled(self, rewrites: Mapping[str, Sequence[Rewrite]]) -> Program:
        """The same with some kernels' loops arranged anew, by the kernels' names.

        Raises:
            IllegalRewriteError: there is no such kernel; a rewrite may not be made, or one that is needed is missing.
        """
        names = [schedule.name for schedule in self.schedules]
        for name in rewrites:
            if name not in names:
                raise IllegalRewriteError("no such kernel", where=name, remedy=f"there are {', '.join(names)}")
        order = tuple(
            Schedule.of(step.region).then(*rewrites[step.name])
            if isinstance(step, Schedule) and step.name in rewrites
            else step
            for step in self.order
        )
        made = replace(self, order=order)
        self.renderer.check(made.nests)
        return made


def plan(graph: Graph, target: TargetInfo, renderer: Renderer) -> Program:
    """Lowers a graph for a target, each kernel with the schedule that is the best guess.

    Args:
        graph: the task's forward on one case.
        target: whose caches and cores loops are arranged for.
        renderer: the language that kernels are written in.
    """
    lowering = lower(graph, renderer.leaves, on_device=renderer.on_devices)
    partition = Partition(
        lowering,
        combines_rows=renderer.combines_rows,
        sums_columns=renderer.sums_columns,
        shares_left=renderer.shares_left,
        attends=renderer.attends,
    ).run()
    steps, backward = _both_ways(partition.order, lowering) if graph.gradients else (partition.order, None)
    regions = [begin(step, partition.interner) for step in steps if isinstance(step, Kernel)]
    schedules = iter(renderer.arranged(regions, target, _traffic(graph)))
    order = tuple(step if isinstance(step, Call) else next(schedules) for step in steps)
    return Program(lowering, target, renderer, order, {buffer.name: buffer for buffer in partition.parts}, backward)


def _both_ways(order: Sequence[Kernel | Call], lowering: Lowering) -> tuple[list[Kernel | Call], int]:
    """First what the outputs of forward need, then the rest; and where that begins."""
    reads: dict[Kernel | Call, list[str]] = {}
    makers: dict[str, Kernel | Call] = {}
    for step in order:
        if isinstance(step, Call):
            reads[step], makers[step.name] = references((step.args, step.kwargs)), step
        else:
            reads[step] = [buffer.name for buffer in buffers(store.expr for store in step.stores)]
            makers |= {store.buffer.name: step for store in step.stores}
    needed: set[Kernel | Call] = set()
    waiting = list(lowering.results)
    while waiting:
        step_ = makers.get(waiting.pop())
        if step_ is not None and step_ not in needed:
            needed.add(step_)
            waiting += reads[step_]
    forward = [step for step in order if step in needed]
    return [*forward, *(step for step in order if step not in needed)], len(forward)


def _traffic(graph: Graph) -> int:
    """The least bytes that forward reads and writes."""
    used = set(references([(node.args, node.kwargs) for node in graph.nodes if node.op == "call"]))
    written = set(references([(node.args, node.kwargs) for node in graph.nodes if node.op == "output"]))
    moved = [node for node in graph.nodes if node.name in written or (node.op != "call" and node.name in used)]
    tensors = [tensor for node in moved for tensor in node.outputs]
    return sum(prod(tensor.shape) * dtypes.width(tensor.dtype) for tensor in tensors if tensor.dtype in dtypes.KNOWN)
