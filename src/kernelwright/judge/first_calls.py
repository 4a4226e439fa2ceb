"""The first calls of the vector library's functions.

MKL 2024 finds the kernel of a function (`exp`, `sqrt`, ...) at its first call. Where that call comes from several
threads at once, as one over a large tensor does, some may take a kernel of half the bits for their part of that one
call: errors of 1.5e-4 where 1e-7 was asked for, in 4 of 500 fresh processes with 8 threads on 2 cores
(https://github.com/pytorch/pytorch/issues/188792). An exact answer or a reference's own error would be wrong, once.
"""

from __future__ import annotations

import torch

_FUNCTIONS = (
    *("acos", "asin", "atan", "cos", "cosh", "sin", "sinh", "tan", "tanh"),
    *("ceil", "floor", "round", "trunc", "sqrt", "rsqrt"),
    *("exp", "exp2", "expm1", "log", "log10", "log1p", "log2"),
    *("erf", "erfc", "erfinv", "lgamma"),
)


def make() -> None:
    """Calls each function on one element, in the thread that asks: 10 ms. No pool of threads is started, so that the
    process may still be forked, and its children have made these calls too."""
    for dtype in (torch.float32, torch.float64):
        x = torch.full((1,), 0.5, dtype=dtype)
        for name in _FUNCTIONS:
            getattr(torch, name)(x)
