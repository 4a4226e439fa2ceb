"""What the numbers of a candidate's rewrites are called in it, and which may be tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kernelwright.proposers.catalogue.cpp.priors import REGISTERS, Machine
from kernelwright.proposers.catalogue.cpp.trials import Trial, trials
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.rewrites import Rewrite


@dataclass(frozen=True)
class Parameters:
    """The values in force, those each may take, and what must hold between them."""

    values: dict[str, Any]
    space: dict[str, list[Any]]
    constraints: tuple[str, ...] = ()


class Numbers:
    """Names for the arguments of rewrites. Kernels in which one begins with the same value share its name, so that
    there is less to try; the first value met has the plain name (`UNROLL`), others their kernel's number (`UNROLL_2`).
    """

    def __init__(self, nests: Sequence[Nest]) -> None:
        self.values: dict[str, int | str] = {}
        self._names: dict[tuple[str, int | str], str] = {}
        self._nests = nests
        for nest in nests:
            for rewrite in nest.rewrites:
                if rewrite.argument is not None:
                    self.values[self._name(nest, rewrite)] = rewrite.argument

    def _name(self, nest: Nest, rewrite: Rewrite) -> str:
        assert rewrite.argument is not None  # it has a name because it has one
        plain = rewrite.parameter
        name = plain if plain not in self.values else f"{plain}_{nest.name.rpartition('_')[2]}"
        return self._names.setdefault((plain, rewrite.argument), name)

    def of(self, nest: Nest) -> Callable[[Rewrite], str]:
        """What a kernel calls its numbers."""
        return lambda rewrite: self._name(nest, rewrite)

    def trials(self, machine: Machine) -> dict[str, Trial]:
        """What to try for each name, and how much that may matter: as much as in the kernel where it matters most."""
        found: dict[str, Trial] = {}
        for nest in self._nests:
            for rewrite, trial in trials(nest, machine):
                name = self._name(nest, rewrite)
                if name not in found or trial.weight > found[name].weight:
                    found[name] = trial
        return found


def parameters(numbers: Numbers, machine: Machine) -> Parameters:
    """A program's parameters. Those that matter most come first in the space."""
    target = machine.target
    values: dict[str, Any] = {"THREADS": target.cores, **numbers.values, "SERIAL_BELOW": 16384}
    found = numbers.trials(machine)
    space = {name: list(found[name].values) for name in sorted(found, key=lambda name: -found[name].weight)}
    if target.cores > 2:  # a core may be two half ones, or others may need some
        space["THREADS"] = [target.cores // 2, target.cores]
    constraints = (f"(TILE_ROW + 1) * TILE_COLUMN < {REGISTERS[target.vector_bytes == 64]}",)
    return Parameters(values, space, constraints if "TILE_ROW" in values else ())
