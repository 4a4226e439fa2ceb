"""Programs as C++ that is compiled when the module is loaded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

from kernelwright.proposers.catalogue.cpp.alternatives import alternatives
from kernelwright.proposers.catalogue.cpp.nests import Function, pattern, render, sizes_of
from kernelwright.proposers.catalogue.cpp.params import Numbers, parameters
from kernelwright.proposers.catalogue.cpp.priors import Machine, default
from kernelwright.proposers.catalogue.cpp.support import support
from kernelwright.proposers.catalogue.ir import Axis, Expr
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.nesting import Loops
from kernelwright.proposers.catalogue.products import is_attention
from kernelwright.proposers.catalogue.program import Program
from kernelwright.proposers.catalogue.renderer import Alternative, Kernels, Renderer
from kernelwright.proposers.catalogue.rewrites import NAMES, IllegalRewriteError
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.targets.base import TargetInfo

# No errno and no floating-point traps, so that GCC can vectorise; sums keep the order in which they are written.
CFLAGS = [
    "-O3",
    "-march=native",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-psabi",
    "-Wno-ignored-attributes",
]

MANY = 12
"""From so many kernels on, those of one form take their sizes as arguments, so that they can be one function: a model
of a hundred layers compiles in seconds."""
_WINDOW = 16
"""Sizes up to this one are of windows and the like, which positions are divided by: they stay in the code."""

_IMPORTS = """\
from __future__ import annotations

import torch
from torch import nn
from tvm_ffi.cpp import load_inline
"""

_LOADER = """\
kernels = load_inline(
    name="catalogue",
    cpp_sources=SOURCE,
    functions={names!r},
    extra_cflags={cflags!r},
    extra_ldflags=["-fopenmp"],
)
"""


class Cpp(Renderer):
    """C++ with OpenMP."""

    language = "cpp"
    combines_rows = True
    sums_columns = False
    shares_left = False
    on_devices = False
    rewrites = frozenset(NAMES)

    def attends(self, node: Expr) -> bool:
        """See `Renderer.attends`."""
        return is_attention(node)

    def arranged(self, regions: Sequence[Loops], target: TargetInfo, traffic: int) -> list[Schedule]:
        """See `Renderer.arranged`."""
        machine = Machine.of(target, traffic, regions)
        return [default(region, machine) for region in regions]

    def nest(self, schedule: Schedule) -> Nest:
        """See `Renderer.nest`."""
        return schedule.nest()

    def check(self, nests: Sequence[Nest]) -> None:
        """All products of a candidate share one tile and one size of blocks, which are constants of its code."""
        known: dict[str, tuple[str, str]] = {}
        products = (nest for nest in nests if nest.product is not None)
        blocks = ((nest.name, each) for nest in products for each in nest.rewrites if each.name in ("tile", "split"))
        for where, each in blocks:
            text, name = known.setdefault(each.text(None), (str(each), where))
            if text != str(each):
                raise IllegalRewriteError(
                    "its blocks differ from those of another product",
                    where=where,
                    remedy=f"make them as in {name}: {text}",
                )

    def alternatives(self, program: Program) -> list[Alternative]:
        """See `Renderer.alternatives`."""
        return alternatives(program)

    def kernels(self, program: Program) -> CppKernels:
        """See `Renderer.kernels`."""
        return CppKernels(program)


class CppKernels(Kernels):
    """Functions of one library; kernels that differ in names only are one function."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.numbers = Numbers(program.nests)
        self.functions: list[Function] = []
        self._known: dict[str, str] = {}
        self._takes_sizes = self._of_one_form() if len(program.nests) >= MANY else frozenset()

    def _of_one_form(self) -> frozenset[str]:
        """The kernels that would be one function, if large sizes were its arguments, and are not else."""
        alike: dict[Hashable, dict[str, Hashable]] = {}
        for nest in self._program.nests:
            macro = self.numbers.of(nest)
            text, sizes = pattern(nest, _unknown, macro), sizes_of(nest, macro)
            if "scatter(" not in text:  # where it needs a size to store whole vectors
                small = tuple(size if size <= _WINDOW else 0 for size in sizes)
                alike.setdefault((text, small), {})[nest.name] = sizes
        return frozenset(name for group in alike.values() if len(set(group.values())) > 1 for name in group)

    def launch(self, nest: Nest, size: Callable[[Axis], str], fixed: Callable[[Axis], int | None]) -> list[str]:
        """See `Kernels.launch`."""
        macro = self.numbers.of(nest)
        if nest.name in self._takes_sizes:
            fixed = partial(_small, fixed)
        function = render(nest, size, fixed, macro)
        name = self._known.setdefault(pattern(nest, fixed, macro), nest.name)
        if name == nest.name:
            self.functions.append(function)
        arguments = [buffer.name for buffer in function.arguments] + [size(axis) for axis in function.axes]
        return [f"kernels.{name}({', '.join(arguments)})"]

    def described(self) -> str:
        """See `Kernels.described`."""
        return "; ".join(f"{function.nest.name}: {_fused(function.nest)}" for function in self.functions)

    def source(self) -> tuple[str, str]:
        """See `Kernels.source`."""
        names = [function.nest.name for function in self.functions]
        loader = _LOADER.format(names=names, cflags=CFLAGS)
        return _IMPORTS, f"{self._parameters()}\n{self._code()}\n{loader}"

    def _parameters(self) -> str:
        program = self._program
        regions = [schedule.region for schedule in program.schedules]
        tuned = parameters(self.numbers, Machine.of(program.target, program.traffic, regions))
        text = f"PARAMS = {tuned.values!r}\nSPACE = {tuned.space!r}\n"
        return text + (f"CONSTRAINTS = {list(tuned.constraints)!r}\n" if tuned.constraints else "")

    def _code(self) -> str:
        code = support({snippet for function in self.functions for snippet in function.snippets})
        code += "\n" + "\n".join(function.text for function in self.functions)
        defined = 'SOURCE = "".join(f"#define {name} {value}\\n" for name, value in PARAMS.items())'
        return f'{defined} + r"""\n{code}"""\n'


def _unknown(_: Axis) -> None:
    """No size is known."""


def _small(fixed: Callable[[Axis], int | None], axis: Axis) -> int | None:
    """The length of an axis, where it is the same in all cases and that of a window."""
    size = fixed(axis)
    return None if size is None or size > _WINDOW else size


def _fused(nest: Nest) -> str:
    results = " and ".join(dict.fromkeys(store.buffer.name for store in nest.stores))
    reads = " and ".join(buffer.name for buffer in nest.reads) or "nothing"
    if nest.kind == "product":
        return f"{results} from {reads} (blocked product)"
    sweeps = len(nest.sweeps)
    return f"{results} from {reads} in {sweeps} sweep{'s' * (sweeps > 1)} ({nest.kind})"
