"""Builds many candidates in one build, and compares what they compute with torch in float64."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import quick_export
import torch
import tvm_ffi.cpp
from torch import nn

from kernelwright.proposers.catalogue.cpp.renderer import CFLAGS, Cpp, CppKernels
from kernelwright.proposers.catalogue.cpp.support import support
from kernelwright.proposers.catalogue.forward import ForwardText
from kernelwright.proposers.catalogue.module import write
from kernelwright.proposers.catalogue.program import Program, plan
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import Graph, TaskInfo
from kernelwright.tasks.host import Reference

TARGET = TargetInfo(
    name="cpu",
    model="any",
    cores=4,
    simd="avx2",
    vector_bytes=32,
    l1_bytes=1 << 15,
    l2_bytes=1 << 19,
    l3_bytes=1 << 25,
    memory_bytes=1 << 33,
    key="any",
)
quick_export.install()
_SMALL = {
    "STAGE_STORES": 1, "SPLIT": 64, "TILE": 64, "UNROLL": 2, "SPLIT_STEP": 24, "SPLIT_ROW": 32, "SPLIT_COLUMN": 64,
}  # fmt: skip
"""Arguments of rewrites that small tensors need several of."""
# Compiles a third faster than -O1; without any optimisation GCC 12 fails on AVX-512.
_FLAGS = ["-Og", *(flag for flag in CFLAGS if flag != "-O3")]


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


@dataclass
class Made:
    """One module with its inputs, and the candidate that the catalogue made of it."""

    model: nn.Module
    inputs: tuple[Any, ...]
    info: TaskInfo
    program: Program
    source: str


def describe(model: nn.Module, inputs: Sequence[Any], *, reference: Reference | None = None) -> tuple[TaskInfo, Graph]:
    """The task's facts and its graph, as the judge hands them to proposers."""
    reference = reference or reference_of(model, inputs)
    info = TaskInfo.model_validate(reference.describe())
    graph = reference.export(info.tune_case.name)
    assert graph is not None, reference.export_problem
    return info, Graph.model_validate(graph)


def reference_of(model: nn.Module, inputs: Sequence[Any]) -> Reference:
    """A live module as the sandboxed side sees it."""
    from kernelwright.tasks import Task

    return Reference(Task.from_module(model, tuple(inputs)).source.model_dump())


def make(model: nn.Module | Callable[..., Any], *inputs: Any) -> Made:
    """The catalogue's first candidate for a module."""
    model = model if isinstance(model, nn.Module) else Lambda(model)
    info, graph = describe(model, inputs)
    return written(model, inputs, info, plan(graph, TARGET, Cpp()))


def written(model: nn.Module, inputs: Sequence[Any], info: TaskInfo, program: Program) -> Made:
    """The candidate of a program."""
    return Made(model, tuple(inputs), info, program, write(program, info))


def load_all(
    made: Sequence[Made], optimised: bool = False, *, sizes: Mapping[str, int] = _SMALL, more: Sequence[str] = ()
) -> list[nn.Module]:
    """Imports candidates whose kernels are compiled together: a build takes seconds however little there is to
    build. Optimised as they are for use, it takes several times as long, and products and sums are rounded at once.
    `sizes` are arguments of rewrites, `more` flags for the compiler."""
    built = _built(made, [*(CFLAGS if optimised else _FLAGS), *more], sizes)
    return [_imported(one, built, index) for index, one in enumerate(made)]


def _built(made: Sequence[Made], flags: Sequence[str], sizes: Mapping[str, int]) -> Any:
    texts = [_kernels(one) for one in made]
    functions = [function for text in texts for function in text.functions]
    values: dict[str, Any] = {"THREADS": TARGET.cores, "SERIAL_BELOW": 100}
    for text in texts:
        values |= text.numbers.values
    values |= {name: sizes[plain] for name in values if (plain := re.sub(r"_\d+$", "", name)) in sizes}
    code = "".join(f"#define {name} {value}\n" for name, value in values.items())
    code += support({snippet for function in functions for snippet in function.snippets})
    names: list[str] = []
    for index, text in enumerate(texts):
        for function in text.functions:
            code += re.sub(r"\bkernel_(\d+)\b", rf"m{index}_kernel_\1", function.text)
            names.append(f"m{index}_{function.nest.name}")
    return tvm_ffi.cpp.load_inline(
        name="catalogue_tests",
        cpp_sources=code,
        functions=names,
        extra_cflags=[*flags],
        extra_ldflags=["-fopenmp"],
    )


def _kernels(made: Made) -> CppKernels:
    kernels = ForwardText(made.program, made.info.tune_case).kernels
    assert isinstance(kernels, CppKernels)
    return kernels


def _imported(made: Made, built: Any, index: int) -> nn.Module:
    names = [function.nest.name for function in _kernels(made).functions]
    kernels = {name: getattr(built, f"m{index}_{name}") for name in names}
    scope: dict[str, Any] = {"__name__": f"candidate_{index}"}
    with mock.patch.object(tvm_ffi.cpp, "load_inline", lambda **_: SimpleNamespace(**kernels)):
        exec(compile(made.source, f"candidate_{index}", "exec"), scope)
    model: nn.Module = scope["ModelNew"]()
    model.load_state_dict(made.model.state_dict())
    return model.train(made.model.training)


def in_float64(model: nn.Module, inputs: Sequence[Any]) -> Any:
    """What the module computes in double precision."""
    wide = [
        value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value for value in inputs
    ]
    return copy.deepcopy(model).double()(*wide)


def check(model: nn.Module, candidate: nn.Module, inputs: Sequence[Any]) -> None:
    """The candidate agrees with the reference in shape, dtype and, to rounding errors, in value; state included."""
    wide = in_float64(model, inputs)
    expected = copy.deepcopy(model)
    with torch.no_grad():
        reference = expected(*inputs)
        result = candidate(*inputs)
    triples = zip(
        *(value if isinstance(value, (tuple, list)) else (value,) for value in (reference, result, wide)), strict=True
    )
    for want, got, exact in triples:
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        assert_close(got, want, exact)
    for name, value in candidate.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name])


def assert_close(got: torch.Tensor, want: torch.Tensor, exact: torch.Tensor) -> None:
    """Equal for integers; for floats within a few units in the last place, or four times the reference's own error."""
    if not got.is_floating_point():
        assert torch.equal(got, want)
        return
    exact = exact.double()
    assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(got.isinf(), want.isinf()) or not want.isinf().any()
    finite = want.isfinite()
    if not finite.any():
        return
    scale = exact[finite].abs().max().item() + exact[finite].abs()
    unit = torch.finfo(got.dtype).eps
    own = (want.double() - exact)[finite].abs().max().item()
    error = (got.double() - exact)[finite].abs()
    assert (error <= 16 * unit * scale + 4 * own + 1e-300).all(), f"error {error.max().item()} against {own}"
