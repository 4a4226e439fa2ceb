"""The little language of `--input`: one specification for each argument of forward.

    spec    = tensor | value
    tensor  = dtype "[" [size {"," size}] "]" [bound]  |  size "x" size {"x" size} [bound]
    bound   = "<" number
    value   = None, True, False, a number, a 'quoted string', or a tuple or list of them, as Python writes them

A dtype is torch's name (`float32`, `bfloat16`, `int64`, `bool`). Sizes joined by `x` mean float32. Without a bound,
floats are drawn from the normal distribution and booleans by a fair coin; with one, floats are uniform in [0, bound)
and integers are 0 to bound - 1. Integers need a bound, since only the task knows which are valid.

    float32[4096,4096]    4096x4096    float32[]    float16[8,128]<1    int64[32]<1000    bool[64,64]    -1    (2, 3)
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

import torch

from kernelwright.tasks.host_json import DTYPES, HostError

_TENSOR = re.compile(r"(?P<dtype>[a-z]\w*)\[(?P<sizes>[\d,\s]*)\](?:<(?P<bound>[\d.eE+-]+))?")
_SHORT = re.compile(r"(?P<sizes>\d+(?:x\d+)+)(?:<(?P<bound>[\d.eE+-]+))?")
_REMEDY = "write e.g. float32[4096,4096], 4096x4096, float32[64]<1, int64[32]<1000, bool[8,8] or a value such as -1"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to draw: `dtype` by torch's name, `shape` in elements, `bound` exclusive or None."""

    dtype: str
    shape: tuple[int, ...]
    bound: float | None = None

    def draw(self) -> torch.Tensor:
        """A tensor from torch's global generator."""
        dtype = DTYPES[self.dtype]
        if dtype == torch.bool:
            return torch.randint(0, 2, self.shape).bool()
        if dtype.is_floating_point or dtype.is_complex:
            if self.bound is None:
                return torch.randn(self.shape, dtype=dtype)
            return torch.rand(self.shape, dtype=dtype) * self.bound
        return torch.randint(0, int(self.bound or 1), self.shape, dtype=dtype)


def parse(text: str) -> TensorSpec | Any:
    """A specification as a `TensorSpec` or a plain value.

    Raises:
        HostError: `inputs`; it is neither, or an integer tensor lacks its bound.
    """
    text = text.strip()
    if match := _SHORT.fullmatch(text):
        return _tensor("float32", match["sizes"].split("x"), match["bound"], text)
    if match := _TENSOR.fullmatch(text):
        sizes = [size for size in match["sizes"].split(",") if size.strip()]
        return _tensor(match["dtype"], sizes, match["bound"], text)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise HostError("inputs", f"{text!r} is no input specification", remedy=_REMEDY) from error


def _tensor(dtype: str, sizes: list[str], bound: str | None, text: str) -> TensorSpec:
    if dtype not in DTYPES:
        raise HostError("inputs", f"{text!r}: torch has no dtype {dtype!r}", remedy=_REMEDY)
    try:
        shape, limit = tuple(int(size) for size in sizes), None if bound is None else float(bound)
    except ValueError as error:
        raise HostError("inputs", f"{text!r}: a size or the bound is no number", remedy=_REMEDY) from error
    kind = DTYPES[dtype]
    is_integer = not (kind.is_floating_point or kind.is_complex or kind == torch.bool)
    if is_integer and (limit is None or not 1 <= limit < 1 << 62):
        remedy = f"write e.g. {text.partition('<')[0]}<1000"
        raise HostError("inputs", f"{text!r}: integers need a bound of at least 1", remedy=remedy)
    return TensorSpec(dtype, shape, limit)


def draw(spec: TensorSpec | Any) -> Any:
    """The argument of forward for a parsed specification."""
    return spec.draw() if isinstance(spec, TensorSpec) else spec
