"""Programs as Triton kernels, compiled when they are first launched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kernelwright.proposers.catalogue import scans
from kernelwright.proposers.catalogue.fusing import fusible
from kernelwright.proposers.catalogue.ir import Axis, Buffer
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.nesting import Loops
from kernelwright.proposers.catalogue.program import Program
from kernelwright.proposers.catalogue.renderer import Kernels, Renderer
from kernelwright.proposers.catalogue.rewrites import Rewrite
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.proposers.catalogue.triton import nests, products
from kernelwright.proposers.catalogue.triton.nests import Function, is_whole
from kernelwright.proposers.catalogue.triton.priors import choices
from kernelwright.proposers.catalogue.triton.support import support
from kernelwright.targets.base import TargetInfo

_IMPORTS = """\
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import nn
"""


class Triton(Renderer):
    """Kernels for GPUs; interpreted where there is none."""

    language = "triton"
    combines_rows = False
    calls = frozenset({
        *scans.RULES, "convolution", "erfc", "asin", "acos", "atan", "atan2", "asinh", "acosh",
        "atanh",
    })  # fmt: skip

    def arranged(self, regions: Sequence[Loops], target: TargetInfo, traffic: int) -> list[Schedule]:  # noqa: ARG002
        """See `Renderer.arranged`."""
        return [_guess(region) for region in regions]

    def nest(self, schedule: Schedule) -> Nest:
        """See `Renderer.nest`."""
        return schedule.loops.nest()

    def check(self, nests: Sequence[Nest]) -> None:
        """See `Renderer.check`: any kernels can be together."""

    def kernels(self, program: Program) -> TritonKernels:
        """See `Renderer.kernels`."""
        return TritonKernels(program)


def _guess(region: Loops) -> Schedule:
    schedule = Schedule.of(region)
    while not region.product and (pairs := fusible(schedule.loops.stores, schedule.loops.kept, schedule.loops.reduced)):
        names = dict(zip(schedule.loops.order, schedule.loops.names, strict=True))
        on = tuple(names[axis] for axis in pairs[0])
        schedule = schedule.then(Rewrite.model_validate({"name": "fuse", "on": on}))
    if region.product is None and schedule.loops.kind == "rows" and not is_whole(schedule.loops.nest()):
        for what in ("variance", "exponentials"):
            rewrite = Rewrite.model_validate({"name": "online_reduce", "on": (what,)})
            schedule = schedule.then(rewrite) if schedule.legal(rewrite) else schedule
    return schedule


class TritonKernels(Kernels):
    """One function of the module for each kernel."""

    def __init__(self, program: Program) -> None:
        self._several = len(program.nests) > 1
        self.functions: list[Function] = []
        self.values: dict[str, int] = {}
        self.space: dict[str, list[int]] = {}

    def launch(self, nest: Nest, size: Callable[[Axis], str], fixed: Callable[[Axis], int | None]) -> list[str]:
        """See `Kernels.launch`."""
        if nest.product is not None:
            function = products.render(nest)
        else:
            innermost = fixed(nest.vector) if nest.vector and len(nest.leaves(nest.vector)) == 1 else None
            function = nests.render(nest, innermost)
        self.functions.append(function)
        suffix = f"_{nest.name.rpartition('_')[2]}" if self._several else ""
        numbers = {}
        for name, choice in choices(nest).items():
            numbers[name] = f'PARAMS["{name}{suffix}"]'
            self.values[f"{name}{suffix}"] = choice.value
            if len(choice.values) > 1:
                self.space[f"{name}{suffix}"] = list(choice.values)

        def length(axis: Axis) -> str:
            return " * ".join(size(leaf) for part in axis.resolve() for leaf in nest.leaves(part))

        def count(axes: Iterable[Axis]) -> str:
            return " * ".join(map(length, axes))

        arguments = [buffer.name for buffer in function.arguments]
        arguments += [f"{name}={length(axis)}" for name, axis in function.sizes.items()]
        if product := nest.product:
            tiles = (f"triton.cdiv({count(axes)}, {numbers[block]})" for axes, block in ((product.m, "BLOCK_M"), (product.n, "BLOCK_N")))
            grid = f"({' * '.join(tiles)}, {count(product.batch) or 1})"
            arguments += [f"{name}={numbers[name]}" for name in products.NUMBERS]
        else:
            positions, block = count(function.kept), numbers.get("ROWS" if function.combined else "BLOCK")
            grid = f"(triton.cdiv({positions}, {block}),)" if positions else "(1,)"
            if function.combined:
                arguments.append(f"ROWS={numbers['ROWS'] if positions else 1}")
            if is_whole(nest):
                arguments.append(f"BLOCK=triton.next_power_of_2({count(function.combined)})")
            elif function.combined or function.kept:
                arguments.append(f"BLOCK={numbers['BLOCK']}")
        arguments.append(f"num_warps={numbers['WARPS']}")
        arguments += [f"num_stages={numbers['STAGES']}"] if "STAGES" in numbers else []
        lines = [f"    {argument}," for argument in arguments]
        return ["\n".join([f"{nest.name}[{grid}](", *lines, ")"])]

    def empty(self, buffer: Buffer, shape: str, like: str) -> str:
        """See `Kernels.empty`."""
        device = f", device={like}.device" if like else ""
        return f"{buffer.name} = torch.empty({shape}, dtype=torch.{buffer.dtype}{device})"

    def described(self) -> str:
        """See `Kernels.described`."""
        return "; ".join(f"{function.nest.name}: {_spoken(function.nest)}" for function in self.functions)

    def source(self) -> tuple[str, str]:
        """See `Kernels.source`."""
        declared = f"PARAMS = {self.values!r}\nSPACE = {self.space!r}\n"
        helpers = support({snippet for function in self.functions for snippet in function.snippets})
        return _IMPORTS, "\n".join([declared, helpers, *(f"\n{function.text}" for function in self.functions)])


def _spoken(nest: Nest) -> str:
    results = " and ".join(dict.fromkeys(store.buffer.name for store in nest.stores))
    reads = " and ".join(buffer.name for buffer in nest.reads) or "nothing"
    if nest.kind == "product":
        return f"{results} from {reads}, tile by tile"
    if nest.kind == "map":
        return f"{results} from {reads}"
    return f"{results} from {reads}, {'a row at once' if is_whole(nest) else f'{len(nest.sweeps)} sweeps'}"
