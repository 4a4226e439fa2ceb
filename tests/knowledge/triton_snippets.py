"""Runs the snippets of the Triton documents in Triton's interpreter and compares them with torch, as a program; prints
what is wrong, as JSON. `LAUNCHES` has one launch of each kernel, for who compiles them."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.nn import functional

from kernelwright.knowledge import open_library

_HEAD = "import torch\nimport triton\nimport triton.language as tl\n"
_FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def module(folder: Path) -> ModuleType:
    """All snippets as one module; Triton wants a file."""
    documents = open_library().documents(language="triton", kind="guidance")
    blocks = [
        block for name, each in documents.items() if name.startswith("triton/") for block in _FENCE.findall(each.text)
    ]
    path = folder / "snippets.py"
    path.write_text(_HEAD + "\n\n".join(blocks))
    spec = importlib.util.spec_from_file_location("snippets", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def launches(dtype: torch.dtype) -> Iterator[tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any], Any]]:
    """Of each kernel: its name, grid, arguments, constants, and what the output among the arguments must then hold."""
    torch.manual_seed(7)
    rows, wide = torch.randn(5, 100).to(dtype), torch.randn(5, 100).to(dtype)
    weight, bias = torch.randn(100).to(dtype), torch.randn(100).to(dtype)
    exact = rows.float()
    wide_range = (torch.randn(500) * 10 ** torch.empty(500).uniform_(-4, 1)).to(dtype)
    wide_range[3] = torch.nan
    yield "tanh_all", (4,), (wide_range, torch.empty_like(wide_range), 500), {"BLOCK": 128}, wide_range.float().tanh()
    yield "softmax_rows", (5,), (rows, wide.clone(), 100), {"BLOCK": 128}, exact.softmax(1)
    normed = functional.layer_norm(exact, (100,), weight.float(), bias.float())
    yield "layer_norm_rows", (5,), (rows, weight, bias, wide.clone(), 100, 1e-5), {"BLOCK": 128}, normed
    extreme = rows.clone()
    extreme[1], extreme[2, 3], extreme[3, 4] = -torch.inf, torch.inf, torch.nan
    known = extreme.float().logsumexp(1)
    yield "logsumexp_rows", (5,), (extreme, wide.new_empty(5), 100), {"BLOCK": 32}, known
    parts = torch.empty(2, 100)
    shares = torch.stack([exact[:3].sum(0), exact[3:].sum(0)])
    yield "column_shares", (2, 2), (rows, parts, 5, 100, 3), {"ROWS": 2, "BLOCK": 64}, shares
    yield "cumsum_rows", (5,), (rows, wide.clone(), 100), {"BLOCK": 32}, exact.cumsum(1)
    a, b = torch.randn(50, 40).to(dtype), torch.randn(40, 70).to(dtype)
    tiles = {"BLOCK_M": 16, "BLOCK_N": 32, "BLOCK_K": 16, "GROUP": 3}
    yield "product", (4 * 3,), (a, b, a.new_empty(50, 70), 50, 70, 40), tiles, a.float() @ b.float()
    q, k, v = (torch.randn(3, 50, 16).to(dtype) for _ in range(3))
    attended = functional.scaled_dot_product_attention(q.float(), k.float(), v.float())
    blocks = {"ROWS": 16, "KEYS": 32, "DIM": 16}
    yield "attention", (4, 3), (q, k, v, torch.empty_like(q), 0.25, 50), blocks, attended


OUTPUTS = {"column_shares": 1, "layer_norm_rows": 3, "product": 2, "attention": 3}
"""The place of the output among the arguments; 1 for the others."""


def wrong(folder: Path) -> dict[str, str]:
    """What does not compute what torch does."""
    snippets, found = module(folder), {}
    for dtype, allowed in ((torch.float32, 1e-5), (torch.float16, 4e-3)):
        for name, grid, arguments, constants, wanted in launches(dtype):
            kernel: Callable[..., Any] = getattr(snippets, name)[grid]
            kernel(*arguments, **constants)
            made = arguments[OUTPUTS.get(name, 1)].float()
            least = 0.0 if name == "tanh_all" and dtype == torch.float32 else allowed
            if not torch.allclose(made, wanted, rtol=allowed, atol=least, equal_nan=True):
                found[f"{name} {dtype}"] = str((made - wanted).abs().max())
    many = torch.randn(1100, 70)
    if not torch.allclose(snippets.column_sum(many), many.sum(0), atol=1e-4):
        found["column_sum"] = "another sum"
    return found


if __name__ == "__main__":
    print(json.dumps(wrong(Path(sys.argv[1]))))
