"""What a language must say for programs to be written in it; each has a folder of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernelwright.proposers.catalogue.ir import Axis, Expr
    from kernelwright.proposers.catalogue.loops import Nest
    from kernelwright.proposers.catalogue.nesting import Loops
    from kernelwright.proposers.catalogue.program import Program
    from kernelwright.proposers.catalogue.schedule import Schedule
    from kernelwright.targets.base import TargetInfo


class Kernels(ABC):
    """The kernels of one candidate as text. Life cycle: made for a program; `launch` once for each of its nests, in
    order; then `described` and `source`."""

    @abstractmethod
    def launch(self, nest: Nest, size: Callable[[Axis], str], fixed: Callable[[Axis], int | None]) -> list[str]:
        """Statements of forward that compute a nest's results, for which there is memory already.

        Args:
            size: Python text for the length of an axis of the graph.
            fixed: the length where it is the same in all cases.
        """

    @abstractmethod
    def described(self) -> str:
        """In a line: what each kernel computes."""

    @abstractmethod
    def source(self) -> tuple[str, str]:
        """The module's imports; what it declares before the model: parameters, kernels."""


@dataclass(frozen=True)
class Alternative:
    """A kernel with another schedule than the first guess; `name` says what it is made with or without. `weight` says
    how likely it is to win, times the kernel's share of the program's work."""

    schedule: Schedule
    name: str
    weight: float


class Renderer(ABC):
    """A language. Without state of its own."""

    language: str
    combines_rows: bool
    """Whether one kernel can combine results of all its rows once all are done, which takes threads that wait for each
    other."""
    sums_columns: bool
    """Whether a kernel that combines rows can add up what it finds in each column as well."""
    shares_left: bool
    """Whether one kernel can make several products: of the same left side, or added up."""
    on_devices: bool
    """Whether tensors may lie on another device than the CPU."""
    rewrites: frozenset[str]
    """The rewrites of loops that it can write, by name."""

    def leaves(self, name: str, operands: Sequence[Any]) -> bool:  # noqa: ARG002 - for those that leave some
        """Whether it leaves an operation of this name, on these tensors and numbers, to the library."""
        return False

    @abstractmethod
    def attends(self, node: Expr) -> bool:
        """Whether a kernel can compute this product of what is made of another product's results, row by row."""

    @abstractmethod
    def arranged(self, regions: Sequence[Loops], target: TargetInfo, traffic: int) -> list[Schedule]:
        """The schedules that are the best guesses for kernels that together move `traffic` bytes at least."""

    @abstractmethod
    def nest(self, schedule: Schedule) -> Nest:
        """The loops to be written.

        Raises:
            IllegalRewriteError: they are not finished.
        """

    @abstractmethod
    def check(self, nests: Sequence[Nest]) -> None:
        """Raises `IllegalRewriteError` where kernels cannot be in one candidate."""

    def alternatives(self, program: Program) -> list[Alternative]:  # noqa: ARG002 - for those that have some
        """Other schedules of a program's kernels that are worth a build and a measurement, the most promising first."""
        return []

    @abstractmethod
    def kernels(self, program: Program) -> Kernels:
        """The writer of a program's kernels."""
