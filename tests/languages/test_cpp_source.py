from __future__ import annotations

import textwrap

import pytest

from kernelwright.languages.cpp import Cpp

HONEST = '''
import torch
import tvm_ffi.cpp
from torch import nn
kernels = tvm_ffi.cpp.load_inline("k", cpp_sources=r"""void scale(...) {}""", functions=["scale", "shift"])

class ModelNew(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.linear = nn.Linear(n, n)

    def forward(self, x):
        rows, n = x.shape[0], x.size(1)
        y = torch.empty_like(x.contiguous().view(rows * n))
        kernels.scale(x, self.linear.weight, y, rows * 2 + n)
        return y.view(rows, n)
'''


def test_an_honest_candidate_has_kernels_and_no_library_calls():
    report = Cpp().inspect(HONEST)
    assert report.problem == ""
    assert report.kernels == ("scale", "shift")
    assert report.library_calls == ()


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("import torch\ndef f(:\n", 2, "syntax error"),
        ("import torch\n", 1, "no class ModelNew"),
        ("import torch\nModelNew = 3\n", 2, "must be a class"),
        ("import torch\ndef ModelNew():\n    pass\n", 2, "must be a class"),
        ("\nclass ModelNew:\n    def forward(self): ...\n", 2, "torch.nn.Module"),
        ("from torch import nn\nclass ModelNew(nn.Module):\n    pass\n", 2, "no forward"),
        ("x = '\0'\n", 1, "null"),
    ],
)
def test_what_cannot_be_a_candidate_is_named_with_its_line(source, line, words):
    report = Cpp().inspect(source)
    assert report.line == line
    assert words in report.problem
    assert f"line {line}" in report.problem


@pytest.mark.parametrize(
    "text", ["x = " + "(" * 5000 + ")" * 5000, "x = " + "-" * 100_000 + "1", "y = a" + ".b" * 50_000]
)
def test_absurd_nesting_is_a_problem_and_not_a_crash(text):
    assert Cpp().inspect(text + "\n").problem


def test_a_model_that_inherits_its_forward_is_accepted():
    source = "class Base(nn.Module):\n    def forward(self, x): ...\nclass ModelNew(Base):\n    pass\n"
    assert Cpp().inspect(source).problem == ""


@pytest.mark.parametrize("line", ["ModelNew = Fused", "ModelNew = functools.partial(Fused, 3)", "ModelNew = lib.Fused"])
def test_another_name_for_a_class_is_left_to_the_run(line):
    assert Cpp().inspect(f"{line}\n").problem == ""


@pytest.mark.parametrize(
    ("build", "late"),
    [
        ("k = tvm_ffi.cpp.load_inline('k')", False),
        ("def build():\n    return load_inline('k')", True),
        ("build = lambda: tvm_ffi.cpp.load('k')", True),
        ("def build():\n    return 3", False),
    ],
)
def test_a_build_inside_a_function_may_come_late(build, late):
    source = f"{build}\nclass ModelNew(nn.Module):\n    def forward(self, x): ...\n"
    assert Cpp().inspect(source).builds_late is late


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("return torch.softmax(x, -1)", ("torch.softmax",)),
        ("return F.relu(x)", ("torch.nn.functional.relu",)),
        ("return relu6(x)", ("torch.nn.functional.relu6",)),
        ("return x @ self.w", ("@",)),
        ("return x.matmul(self.w).softmax(-1)", ("Tensor.matmul", "Tensor.softmax")),
        ("return x * 2 + 1", ("*", "+")),
        ("y = x.contiguous()\n        y += 1\n        return y", ("+",)),
        ("return aten.mm(x, self.w)", ("torch.ops.aten.mm",)),
        ("return self.layer(x)", ("torch.nn.LayerNorm",)),
        ("return extern_kernels.mm(x, x)", ("extern_kernels.mm",)),
        ("return helper(x)", ("torch.exp",)),
        ("n = x.shape[0] * 2 + x.numel() // 3\n        return torch.empty(n)", ()),
        ("return x.to(torch.float32).transpose(0, 1).contiguous()", ()),
        ("return torch.empty(x.shape, dtype=torch.float32)", ()),
    ],
)
def test_library_calls_are_what_computes_on_tensors(body, calls):
    source = f"""
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import relu6
from torch._inductor.select_algorithm import extern_kernels
aten = torch.ops.aten

def helper(x):
    {"return torch.exp(x)" if "helper" in body else "return x"}

class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 3) * 2)
        self.layer = nn.LayerNorm(3)

    def forward(self, x, scale: float = 1.0):
        {body}
"""
    assert Cpp().inspect(textwrap.dedent(source)).library_calls == calls


def test_names_of_functions_may_stand_in_a_constant_or_a_mapping():
    source = 'NAMES = ("a", "b")\nm = load_inline("m", functions=NAMES)\nn = load_inline("n", functions={"c": "doc"})\n'
    assert Cpp().inspect(source).kernels == ("a", "b", "c")


BOTH_WAYS = '''
import torch
import tvm_ffi.cpp
from torch import nn
kernels = tvm_ffi.cpp.load_inline("k", cpp_sources=r"""void scale(...) {}""", functions=["scale"])

class Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        y = torch.empty_like(x)
        kernels.scale(x, y)
        return y

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return RESULT

class ModelNew(nn.Module):
    def forward(self, x):
        return Both.apply(x)
'''


@pytest.mark.parametrize(
    ("result", "calls"), [("gradient", ()), ("gradient * 2", ("*",)), ("gradient.exp()", ("exp",))]
)
def test_an_autograd_functions_context_is_no_tensor_and_what_comes_in_is_one(
    result: str, calls: tuple[str, ...]
) -> None:
    found = Cpp().inspect(BOTH_WAYS.replace("RESULT", result)).library_calls

    assert len(found) == len(calls)
    assert all(call in name for call, name in zip(calls, found, strict=True))
