"""Keeps recurrent layers in one piece under fake tensors.

On the CPU torch runs GRU and plain RNN layers as a loop of small products, and export does so for LSTM too: 150,000
operations for six layers over 512 steps, which takes a minute to watch and six to export. While `Whole` is entered such
a layer is one operation, which exists only for fake tensors; its arguments are those of `aten.gru.input` and its like.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NAMESPACE = "kernelwright"
_ARGUMENTS = (
    "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first"
)
_SCHEMA = f"(Tensor input, Tensor hx, {_ARGUMENTS}) -> (Tensor, Tensor)"
_SCHEMAS = dict.fromkeys(("gru", "rnn_tanh", "rnn_relu"), _SCHEMA)
_SCHEMAS["lstm"] = f"(Tensor input, Tensor[] hx, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor)"


def _fake(input: Tensor, hx: Tensor | list[Tensor], *arguments: Any) -> tuple[Tensor, ...]:  # noqa: A002 - the schema's
    """What the layer returns, by shape and strides: (steps, batch, directions * features), and states like `hx`."""
    states = [hx] if isinstance(hx, Tensor) else hx
    bidirectional, batch_first = arguments[-2:]
    steps, batch = (input.shape[1], input.shape[0]) if batch_first else (input.shape[0], input.shape[1])
    output = input.new_empty(steps, batch, states[0].shape[-1] * (2 if bidirectional else 1))
    if batch_first:
        output = output.transpose(0, 1).clone(memory_format=torch.preserve_format)
    return output, *(state.new_empty(state.shape) for state in states)


_library = torch.library.Library(NAMESPACE, "DEF")  # type: ignore[no-untyped-call]
for _name, _schema in _SCHEMAS.items():
    _library.define(_name + _schema)  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"{NAMESPACE}::{_name}", _fake, lib=_library)
_WHOLE = {getattr(torch._VF, name): getattr(getattr(torch.ops, NAMESPACE), name) for name in _SCHEMAS}  # noqa: SLF001


class Whole(TorchFunctionMode):
    """While entered, recurrent layers over plain (unpacked, batched) sequences are single operations."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls the single operation instead of the loop."""
        whole = _WHOLE.get(func)
        if whole is None or kwargs or not _is_plain(*args[:3]):
            return func(*args, **(kwargs or {}))
        hidden = args[1] if isinstance(args[1], Tensor) else list(args[1])
        return whole(args[0], hidden, list(args[2]), *args[3:])


def _is_plain(inputs: Tensor, hidden: Any, params: Any) -> bool:
    """Whether these are the arguments for one batched sequence; packed ones have the batch's sizes in second place."""
    packed = not isinstance(params, (list, tuple)) or (isinstance(hidden, Tensor) and hidden.dim() == 1)
    return not packed and inputs.dim() == 3


def flops(inputs: Any, _hidden: Any, params: Any, *_: Any, **__: Any) -> int:
    """Two a weight, time step and sequence; `inputs` (steps, batch, features) and `params` are shapes."""
    return int(2 * inputs[0] * inputs[1] * sum(math.prod(shape) for shape in params if len(shape) == 2))


FLOPS = dict.fromkeys(_WHOLE.values(), flops)
