"""A graph turned into kernels and library calls, ready to be written in some language."""

from __future__ import annotations

from dataclasses import dataclass

from kernelwright.proposers.catalogue.ir import Buffer, Call, Kernel
from kernelwright.proposers.catalogue.loops import Nest, arrange
from kernelwright.proposers.catalogue.lower import Lowering, lower
from kernelwright.proposers.catalogue.regions import Partition
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Graph


@dataclass(frozen=True)
class Program:
    """What to execute, in order: nests (own kernels) and torch calls."""

    lowering: Lowering
    steps: tuple[Nest | Call, ...]
    parts: dict[str, Buffer]
    """Intermediate results that kernels hand each other, by name."""

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
        return [step for step in self.steps if isinstance(step, Call)]


def plan(graph: Graph, target: TargetInfo) -> Program:
    """Lowers a graph for a target.

    Args:
        graph: the task's forward on one case.
        target: whose caches and cores loops are arranged for.
    """
    lowering = lower(graph)
    partition = Partition(lowering).run()
    steps = tuple(
        arrange(step, partition.interner, cache_bytes=target.l2_bytes) if isinstance(step, Kernel) else step
        for step in partition.order
    )
    return Program(lowering, steps, {buffer.name: buffer for buffer in partition.parts})
