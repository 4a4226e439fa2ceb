"""Example inputs remembered as sketches, so that fresh inputs can be drawn like them without keeping their data.

A sketch is a plain dict: shape, dtype, strides, a table of at most 4,096 of the example's values, and the structure
that kernels may rely on (triangular, diagonal, symmetric). Fresh values are picked from the table, so the range, the
share of zeros, and codes such as masks, one-hot rows or token ids stay what they were.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kernelwright.tasks.host_json import DTYPES, HostError, describe_type

TABLE = 4096


def sketch(value: Any) -> Any:
    """A sketch of a tensor; other values stay as they are.

    Raises:
        HostError: `inputs`; a tensor that is not dense, or a container that holds tensors.
    """
    if isinstance(value, (list, tuple, dict)) and any(isinstance(item, Tensor) for item in _items(value)):
        what = f"an example input is a {describe_type(value)} of tensors"
        raise HostError("inputs", what, remedy="pass them as arguments")
    if not isinstance(value, Tensor):
        return value
    if value.layout != torch.strided or value.is_quantized:
        raise HostError("inputs", f"an example input has layout {value.layout}", remedy="pass dense tensors")
    data = value.detach().cpu()
    step = max(1, data.numel() // TABLE)
    table = data.reshape(-1)[::step][:TABLE].clone()
    if data.numel() and not data.dtype.is_complex:
        # The extremes matter: a token id that never occurs in the table would never be tried.
        table = torch.cat([table, data.min().reshape(1), data.max().reshape(1)])
    return {
        "shape": list(data.shape),
        "dtype": str(data.dtype).removeprefix("torch."),
        "strides": list(data.stride()),
        "structure": _structure(data),
        "table": table,
    }


def draw(sketched: Any) -> Any:
    """A fresh value like the sketched one, from torch's global generator; what is no sketch stays as it is."""
    if not (isinstance(sketched, dict) and "table" in sketched):
        return sketched
    table, shape, dtype = sketched["table"], sketched["shape"], DTYPES[sketched["dtype"]]
    if not table.numel():
        return torch.empty(shape, dtype=dtype)
    if dtype.is_floating_point and bool((table == table[0]).all()):
        table = _spread(table[0])
    values = table.to(dtype).index_select(0, torch.randint(0, table.numel(), (_numel(shape),), dtype=torch.int32))
    values = _impose(values.reshape(shape), sketched["structure"])
    if list(values.stride()) == sketched["strides"]:
        return values
    # Zero strides (an expanded example) cannot be written to; such inputs are drawn dense.
    if any(stride == 0 for stride in sketched["strides"]):
        return values
    return torch.empty_strided(shape, sketched["strides"], dtype=dtype).copy_(values)


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value)


def _numel(shape: list[int]) -> int:
    return torch.Size(shape).numel()


def _spread(value: Tensor) -> Tensor:
    """A table around a constant example, which stands for data that vary: all answers would be alike otherwise."""
    steps = torch.linspace(0.5, 1.5, TABLE, dtype=torch.float32)
    return steps - 1.0 if float(value) == 0.0 else steps * float(value)


def _structure(data: Tensor) -> list[str]:
    if data.ndim < 2 or data.shape[-1] != data.shape[-2] or data.shape[-1] < 2 or not data.dtype.is_floating_point:
        return []
    found = []
    if torch.equal(data.tril(), data):
        found.append("tril")
    if torch.equal(data.triu(), data):
        found.append("triu")
    if torch.equal(data.mT, data) and not found:
        found.append("symmetric")
    return [] if not bool(data.any()) else found


def _impose(values: Tensor, structure: list[str]) -> Tensor:
    if "tril" in structure:
        values = values.tril()
    if "triu" in structure:
        values = values.triu()
    if "symmetric" in structure:
        values = values.tril() + values.tril(-1).mT
    return values
