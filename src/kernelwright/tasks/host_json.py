"""How the sandboxed side and the judge speak of values: JSON both ways, and errors with a line and a remedy."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

Kind = Literal["load", "init", "inputs", "forward", "export", "unsupported", "memory"]

MAX_DEPTH = 32
MAX_TENSOR_BYTES = 1 << 20
DTYPES: dict[str, torch.dtype] = {
    str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, torch.dtype)
}
_MEMORY_FORMATS = {"contiguous_format": torch.contiguous_format, "preserve_format": torch.preserve_format}


class HostError(Exception):
    """A task that cannot be used as it is.

    Args:
        kind: which part of the task is at fault, or `memory`, `unsupported`.
        message: what was wrong, in one sentence without a full stop.
        line: the innermost line of the task file that was running, 0 if none.
        remedy: what to do about it.
    """

    def __init__(self, kind: Kind, message: str, *, line: int = 0, remedy: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.line, self.remedy = kind, message, line, remedy

    def report(self) -> dict[str, Any]:
        """The error as JSON: `kind`, `message`, `line`, `remedy`."""
        return {"kind": self.kind, "message": self.message, "line": self.line, "remedy": self.remedy}


def encode(value: Any) -> Any:
    """JSON for a plain value: what JSON has stays itself, the rest becomes an object with one key that names its type.

    Handles None, bool, int, float, str, list, tuple, dict with str keys, `torch.dtype`, `torch.Size`, `slice`,
    the CPU device, memory formats, and dense CPU tensors of at most 1 MiB.

    Raises:
        HostError: `unsupported`, naming what the value is.
    """
    return _encode(value, 0)


def decode(value: Any) -> Any:
    """The value that `encode` wrote. Safe on JSON from anywhere: it builds nothing but the types listed there.

    Raises:
        HostError: `unsupported` where `encode` cannot have written it.
    """
    return _decode(value, 0)


def _encode(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise HostError("unsupported", f"a value is nested more than {MAX_DEPTH} deep")
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if kind is list:
        return [_encode(item, depth + 1) for item in value]
    if kind is tuple:
        return {"tuple": [_encode(item, depth + 1) for item in value]}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": {key: _encode(item, depth + 1) for key, item in value.items()}}
    if kind is slice:
        return {"slice": [_encode(item, depth + 1) for item in (value.start, value.stop, value.step)]}
    return _encode_torch(value)


def _encode_torch(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.Size):
        return {"size": list(value)}
    if isinstance(value, torch.device) and value.type == "cpu":
        return {"device": "cpu"}
    if isinstance(value, torch.memory_format) and str(value).removeprefix("torch.") in _MEMORY_FORMATS:
        return {"memory_format": str(value).removeprefix("torch.")}
    if isinstance(value, Tensor):
        return {"tensor": _encode_tensor(value)}
    raise HostError(
        "unsupported",
        f"a value of type {describe_type(value)} cannot be handed to another process",
        remedy="use numbers, strings, lists, dicts, dtypes and small tensors",
    )


def _encode_tensor(tensor: Tensor) -> dict[str, Any]:
    size = tensor.numel() * tensor.element_size()
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.is_quantized:
        raise HostError("unsupported", f"a tensor on {tensor.device} with layout {tensor.layout} is no plain value")
    if size > MAX_TENSOR_BYTES:
        raise HostError("unsupported", f"a tensor of {size} bytes is too large for a constructor argument")
    # A view as bytes needs one dimension and a stride of 1; `bytes(list)` needs no numpy.
    data = bytes(tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).tolist())
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "data": base64.b64encode(data).decode(),
    }


def _decode(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise HostError("unsupported", f"a value is nested more than {MAX_DEPTH} deep")
    if isinstance(value, list):
        return [_decode(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise HostError("unsupported", "an encoded value must have exactly one key")
    (kind, content), *_ = value.items()
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise HostError("unsupported", f"there is no encoded value of kind {kind!r:.40}")
    try:
        return decoder(content, depth + 1)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RuntimeError, binascii.Error) as error:
        raise HostError("unsupported", f"an encoded {kind} is damaged: {error}") from error


def _decode_float(content: Any, _depth: int) -> float:
    return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content]


def _decode_slice(content: Any, depth: int) -> slice:
    start, stop, step = (_decode(item, depth) for item in content)
    return slice(start, stop, step)


def _decode_size(content: Any, _depth: int) -> torch.Size:
    if not isinstance(content, list) or any(type(size) is not int or not 0 <= size < 1 << 62 for size in content):
        raise ValueError("its sizes must be integers >= 0")
    return torch.Size(content)


def _decode_tensor(content: Any, depth: int) -> Tensor:
    dtype, shape = DTYPES[content["dtype"]], _decode_size(content["shape"], depth)
    data = base64.b64decode(content["data"], validate=True)
    if len(data) > MAX_TENSOR_BYTES or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError("its data do not match its shape")
    if not data:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


_DECODERS: dict[str, Callable[[Any, int], Any]] = {
    "float": _decode_float,
    "tuple": lambda content, depth: tuple(_decode(item, depth) for item in content),
    "dict": lambda content, depth: {str(key): _decode(item, depth) for key, item in content.items()},
    "slice": _decode_slice,
    "dtype": lambda content, _: DTYPES[content],
    "size": _decode_size,
    "device": lambda content, _: {"cpu": torch.device("cpu")}[content],
    "memory_format": lambda content, _: _MEMORY_FORMATS[content],
    "tensor": _decode_tensor,
}


def describe_type(value: Any) -> str:
    """The type's name with its module where that is not obvious, e.g. `numpy.float64`."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def tensor_info(tensor: Tensor) -> dict[str, Any]:
    """`TensorInfo` as JSON."""
    return {
        "shape": [int(size) for size in tensor.shape],
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "strides": [int(stride) for stride in tensor.stride()] if tensor.layout == torch.strided else [],
    }


def argument(value: Any, index: int) -> dict[str, Any]:
    """`Argument` as JSON for one argument of forward.

    Args:
        value: a tensor or a plain value.
        index: its place, for the error.

    Raises:
        HostError: `unsupported`; it is neither, e.g. a list of tensors.
    """
    if isinstance(value, Tensor):
        return {"tensor": tensor_info(value), "value": None}
    if any(isinstance(leaf, Tensor) for leaf in tree_leaves(value)):
        what = f"input {index} of forward() is a {describe_type(value)} that holds tensors"
        raise HostError("unsupported", what, remedy="pass each tensor as an argument of its own")
    try:
        return {"tensor": None, "value": encode(value)}
    except HostError as error:
        raise HostError("unsupported", f"input {index} of forward(): {error.message}", remedy=error.remedy) from error


def flatten_outputs(value: Any) -> list[Tensor]:
    """The tensors that a forward returned, in order; tuples, lists and dicts may be nested, None is skipped.

    Raises:
        HostError: `unsupported`, when something else is among them.
    """
    return list(_flatten(value, 0))


def _flatten(value: Any, depth: int) -> Iterator[Tensor]:
    if depth > MAX_DEPTH:
        raise HostError("unsupported", f"forward() returns a value nested more than {MAX_DEPTH} deep")
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise HostError("unsupported", f"forward() returns a tensor of layout {value.layout}")
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _flatten(item, depth + 1)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flatten(item, depth + 1)
    elif value is not None:
        remedy = "return tensors, or tuples, lists or dicts of them"
        raise HostError("unsupported", f"forward() returns a {describe_type(value)}", remedy=remedy)
