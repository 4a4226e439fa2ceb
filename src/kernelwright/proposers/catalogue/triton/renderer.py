"""Programs as Triton kernels, compiled when they are first launched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd, prod
from typing import Any

from kernelwright.proposers.catalogue import convolutions, scans
from kernelwright.proposers.catalogue.ir import Axis, Expr, Tensor, resolved
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.nesting import Loops
from kernelwright.proposers.catalogue.program import Program
from kernelwright.proposers.catalogue.renderer import Kernels, Renderer
from kernelwright.proposers.catalogue.rewrites import IllegalRewriteError, Rewrite
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.proposers.catalogue.triton import attentions, boxes, columns, launches, nests, pairs, planes, products
from kernelwright.proposers.catalogue.triton.functions import WHOLE, Function, by_rows, is_whole, padded, parts
from kernelwright.proposers.catalogue.triton.jams import Jam, JamText
from kernelwright.proposers.catalogue.triton.launches import Lengths
from kernelwright.proposers.catalogue.triton.parts import PartsText
from kernelwright.proposers.catalogue.triton.priors import choices
from kernelwright.proposers.catalogue.triton.shares import ShareText
from kernelwright.proposers.catalogue.triton.support import support
from kernelwright.targets.base import TargetInfo

_MULTIPROCESSORS = 132
"""Of an H100, for which kernels are arranged where there is no GPU."""
_IMPORTS = """\
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import nn
"""
_TILES = '''

def _tiles(tensor: torch.Tensor, shape: list[int], block: list[int]) -> TensorDescriptor:
    """A tensor of that shape, and a last dimension, of which the device copies tiles by itself; there, what lies along
    the last dimension begins at multiples of 16 bytes."""
    empty = [1 for _ in shape] + [16]  # which is never read
    whole = tensor.view(*shape, -1) if tensor.numel() else tensor.new_zeros(empty)
    shape = list(whole.shape)
    if whole.data_ptr() % 16 or shape[-1] * whole.itemsize % 16:
        whole = nn.functional.pad(whole, (0, -shape[-1] % 16))
    return TensorDescriptor(whole, shape, list(whole.stride()), block)
'''

_LEFT = frozenset({"erfc", "asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh"})
"""What has no function in Triton's language."""
_ROWS = 8
"""Rows for each multiprocessor that keep it busy."""
_LANES = 512
"""Running results side by side that keep a device busy."""
_CHANNELS = 8
"""Channels that a device reads at once (16 bytes)."""


class Triton(Renderer):
    """Kernels for GPUs; interpreted where there is none."""

    language = "triton"
    combines_rows = False
    sums_columns = True
    shares_left = True
    on_devices = True
    rewrites = frozenset({"fuse", "interchange", "online_reduce"})

    def leaves(self, name: str, operands: Sequence[Any]) -> bool:
        """See `Renderer.leaves`."""
        if name in scans.RULES:
            return not _runs(*operands)
        return name in _LEFT or (name == "convolution" and not _is_quick(*operands))

    def attends(self, node: Expr) -> bool:
        """See `Renderer.attends`."""
        return attentions.attends(node)

    def arranged(self, regions: Sequence[Loops], target: TargetInfo, traffic: int) -> list[Schedule]:  # noqa: ARG002
        """See `Renderer.arranged`."""
        return [_guess(region) for region in regions]

    def nest(self, schedule: Schedule) -> Nest:
        """See `Renderer.nest`. Blocks and who works on them are a kernel's numbers, not rewrites of its loops."""
        other = next((each for each in schedule.rewrites if each.name not in self.rewrites), None)
        if other is not None:
            remedy = f"Triton's kernels take {', '.join(sorted(self.rewrites))}"
            where = f"{schedule.name}: {other}"
            raise IllegalRewriteError("it makes nothing of the kernel", where=where, remedy=remedy)
        nest = schedule.loops.nest()
        if not is_whole(nest) and nest.finals:
            what = "sums of columns take whole rows"
            remedy = "have the innermost loop go along them"
            raise IllegalRewriteError(what, where=schedule.name, remedy=remedy)
        return nest

    def check(self, nests: Sequence[Nest]) -> None:
        """See `Renderer.check`: any kernels can be together."""

    def kernels(self, program: Program) -> TritonKernels:
        """See `Renderer.kernels`."""
        return TritonKernels(program)


def _is_quick(x: Tensor, weight: Tensor, *others: Any) -> bool:
    """Whether a convolution goes by channels, or by tiles of 16-bit numbers of which several channels are one read."""
    _, strides, _, dilations, transposed, _, groups = others
    if convolutions.is_depthwise(weight, groups, transposed=transposed):
        return True
    channels, filters = convolutions.group_size(weight, groups, transposed=transposed)
    whole = channels % _CHANNELS == 0 and filters >= _CHANNELS
    # Else some of its phases have no elements.
    full = not transposed or all(gcd(*each) == 1 for each in zip(strides, dilations, strict=True))
    return x.dtype in ("float16", "bfloat16") and whole and full


def _runs(x: Tensor, dim: int) -> bool:
    """Whether running results go along what is short enough for a block, also where paddings lengthen it, or along
    enough at once to keep the device busy."""
    if not x.dims:
        return True
    along = frozenset(resolved(x.dims[dim]))
    others = prod(axis.size for each in x.dims for axis in resolved(each) if axis not in along)
    return 2 * padded(tuple(along)) <= WHOLE or others >= _LANES


def _guess(region: Loops) -> Schedule:
    schedule = Schedule.of(region)
    if region.product is not None:
        return schedule
    if region.kind == "tiles" and region.passes.finals:
        along = [name for name, axis in zip(region.names, region.order, strict=True) if axis in region.reduced]
        schedule = schedule.then_if_legal(Rewrite.of("interchange", along[-1], "j"))
    schedule = schedule.fused()
    if schedule.loops.reduced and not is_whole(schedule.loops.nest()):
        for what in ("variance", "exponentials"):
            schedule = schedule.then_if_legal(Rewrite.of("online_reduce", what))
    return schedule


class TritonKernels(Kernels):
    """One function of the module for each kernel."""

    def __init__(self, program: Program) -> None:
        self._several = len(program.nests) > 1
        self._multiprocessors = program.target.multiprocessors or _MULTIPROCESSORS
        self._cache = program.target.l2_bytes
        self.functions: list[Function] = []
        self.values: dict[str, int] = {}
        self.space: dict[str, list[int]] = {}

    def launch(self, nest: Nest, size: Callable[[Axis], str], fixed: Callable[[Axis], int | None]) -> list[str]:
        """See `Kernels.launch`."""
        lengths = Lengths(nest, size)
        halves = pairs.pairs(nest, fixed)
        pair, box = products.halves(nest, fixed), boxes.box(nest, fixed)
        down = planes.rows(nest) if halves is None else ()
        if halves is None and not down:
            nest = by_rows(nest, _ROWS * self._multiprocessors)
        numbers = self._numbers(nest, at_once=halves.at_once if halves else 2 if pair else 1, down=down, box=box)
        if nest.product is not None and nest.product.scores is not None:
            return [launches.attention(self._add(attentions.render(nest)), lengths, numbers)]
        if nest.product is not None and "SHARES" in numbers:
            share, merged = map(self._add, products.render_shares(nest))
            return launches.shared_product(share, merged, lengths, numbers)
        if nest.product is not None:
            return launches.product(self._add(products.render(nest, pair, box)), lengths, numbers)
        if nest.finals:
            text = columns.ColumnSums(nest, self._cache)
            return launches.column_sums(text, self._add(text.rows()), self._add(text.sums()), lengths, numbers)
        if "SHARES" in numbers:
            count = len(nest.sweeps) + bool(nest.row_stores)
            kernels = [ShareText(nest, index, self._cache) for index in range(count)]
            functions = [self._add(kernel.function()) for kernel in kernels]
            return launches.shared(kernels, functions, lengths, numbers)
        if down:
            jam = Jam.of(nest, self._multiprocessors, fixed) if down == nest.parallel else None
            plane = JamText(nest, jam, self._cache) if jam else planes.PlaneText(nest, down, self._cache)
            return [launches.planes(self._add(plane.function()), down, lengths, numbers, jam.count if jam else 1)]
        if parts(nest) > 1:
            return [launches.blocks(self._add(PartsText(nest, self._cache).function()), lengths, numbers)]
        return [launches.blocks(self._add(nests.render(nest, halves, self._cache)), lengths, numbers)]

    def _add(self, function: Function) -> Function:
        self.functions.append(function)
        return function

    def _numbers(self, nest: Nest, *, at_once: int, down: tuple[Axis, ...], box: boxes.Box | None) -> dict[str, str]:
        """Declares a kernel's numbers; returns what each is called in the module."""
        suffix = f"_{nest.name.rpartition('_')[2]}" if self._several else ""
        numbers = {}
        for name, choice in choices(nest, self._multiprocessors, at_once=at_once, down=down, box=box).items():
            numbers[name] = f'PARAMS["{name}{suffix}"]'
            self.values[f"{name}{suffix}"] = choice.value
            if len(choice.values) > 1:
                self.space[f"{name}{suffix}"] = list(choice.values)
        return numbers

    def described(self) -> str:
        """See `Kernels.described`."""
        return "; ".join(dict.fromkeys(f"{each.nest.name}: {_spoken(each.nest)}" for each in self.functions))

    def source(self) -> tuple[str, str]:
        """See `Kernels.source`."""
        declared = f"PARAMS = {self.values!r}\nSPACE = {self.space!r}\n"
        helpers = support({snippet for function in self.functions for snippet in function.snippets})
        imports = _IMPORTS
        if any(function.matrices for function in self.functions):
            imports += "from triton.tools.tensor_descriptor import TensorDescriptor\n"
            helpers = f"{_TILES}\n{helpers}"
        return imports, "\n".join([declared, helpers, *(f"\n{function.text}" for function in self.functions)])


def _spoken(nest: Nest) -> str:
    results = " and ".join(dict.fromkeys(store.buffer.name for store in nest.stores))
    reads = " and ".join(buffer.name for buffer in nest.reads) or "nothing"
    if nest.kind == "product":
        return f"{results} from {reads}, tile by tile"
    if nest.kind == "map":
        return f"{results} from {reads}"
    return f"{results} from {reads}, {'a row at once' if is_whole(nest) else f'{len(nest.sweeps)} sweeps'}"
