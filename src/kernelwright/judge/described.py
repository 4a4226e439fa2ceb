"""What a worker says of tensors, of what forward returned, and of errors. Torch and the standard library only."""

from __future__ import annotations

import traceback
from typing import Any

import torch

from kernelwright.tasks import host


def describe_tensor(tensor: torch.Tensor) -> dict[str, Any]:
    """Its form and where it lies."""
    return {
        "shape": list(tensor.shape),
        "strides": list(tensor.stride()),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "pointer": tensor.data_ptr(),
    }


def leaves(output: Any) -> list[Any]:
    """The tensors and plain values of an output, in the order of its tuples and lists; a dictionary's by key."""
    if isinstance(output, (tuple, list)):
        return [leaf for item in output for leaf in leaves(item)]
    if isinstance(output, dict):
        return [leaf for key in sorted(output, key=str) for leaf in leaves(output[key])]
    return [output]


def describe_output(leaf: Any, device: str = "cpu") -> dict[str, Any]:
    """What an output is and where it lies. A subclass of Tensor may compute when looked at, so only Tensor itself is
    one."""
    if type(leaf) is torch.Tensor or type(leaf) is torch.nn.Parameter:
        if leaf.layout is not torch.strided or leaf.device.type != device:
            return {"other": f"tensor on {leaf.device} with layout {leaf.layout}"}
        return describe_tensor(leaf)
    if leaf is None or isinstance(leaf, (bool, int, float, str)):
        return {"value": host.encode(leaf)}
    return {"other": type(leaf).__name__}


def describe_calls(outputs: list[Any], device: str = "cpu") -> list[list[dict[str, Any]] | int]:
    """What each call returned: a list of its leaves; the address alone of a tensor that is like the first call's, since
    saying more takes as long as a short kernel, and is on its time."""
    told = [describe_output(leaf, device) for leaf in leaves(outputs[0])] if outputs else []
    if not outputs or type(outputs[0]) is not torch.Tensor or "pointer" not in told[0]:
        return [[describe_output(leaf, device) for leaf in leaves(output)] for output in outputs]
    found: list[list[dict[str, Any]] | int] = [told]
    like, tensor, here = outputs[0], torch.Tensor, device == "cpu"
    dtype, shape, strides = like.dtype, like.shape, like.stride()
    for output in outputs[1:]:
        if (
            type(output) is tensor
            and output.dtype is dtype
            and output.shape == shape
            and output.layout is torch.strided
            and output.stride() == strides
            and (here or output.device == like.device)
        ):
            found.append(output.data_ptr())
        else:
            found.append([describe_output(leaf, device) for leaf in leaves(output)])
    return found


def describe_error(error: BaseException, filename: str) -> dict[str, Any]:
    """An exception as data: its kind, message, the last line of it in a file, and a short trace."""
    message = str(error)
    memory = isinstance(error, MemoryError) or "allocate memory" in message or "not enough memory" in message
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    else:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == filename), 0)
    trace = traceback.format_exception(type(error), error, error.__traceback__, limit=-6)
    return {
        "kind": "memory" if memory else "raised",
        "type": type(error).__name__,
        "message": message[-8000:],
        "line": line,
        "trace": "".join(trace)[-8000:],
    }
