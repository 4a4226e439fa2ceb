"""A worker's arguments and state: room for them, copies, what was done to them. Torch and the standard library only."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

import torch

from kernelwright.judge.described import describe_tensor
from kernelwright.tasks import host


def hooks_loading(model: torch.nn.Module) -> bool:
    """Whether a module of it does something of its own when a state dict is loaded."""
    own = torch.nn.Module
    return any(
        module._load_state_dict_pre_hooks  # noqa: SLF001 - torch offers no public way to ask
        or module._load_state_dict_post_hooks  # noqa: SLF001
        or type(module)._load_from_state_dict not in _LOADERS  # noqa: SLF001
        or type(module).load_state_dict is not own.load_state_dict
        for module in model.modules()
    )


_LOADERS = {torch.nn.Module._load_from_state_dict, torch.nn.modules.batchnorm._NormBase._load_from_state_dict}  # noqa: SLF001
"""What torch's own modules load with."""


def described_state(model: torch.nn.Module | None) -> list[dict[str, Any]]:
    """Names, kinds and places of all that a model remembers."""
    entries = [] if model is None else host.state(model)
    return [{"name": name, "kind": kind, **describe_tensor(tensor)} for name, kind, tensor in entries]


class Kept:
    """A model as it was made, to be taken again once forward has run: what some of its tensors held is put back.

    Args:
        model: the model.
        names: the tensors that forward is known to change.
    """

    def __init__(self, model: torch.nn.Module, names: Sequence[str]) -> None:
        self._model = model
        entries = host.state(model)
        self._held = [(tensor, tensor.detach().clone()) for name, _, tensor in entries if name in names]
        self._others = [tensor for name, _, tensor in entries if name not in names]
        self._tensors, self._versions = self._state(), versions(self._others)
        self._attributes = _attributes(model)
        state = {id(tensor) for _, _, tensor in entries}
        self._is_plain = all(isinstance(each, _PLAIN) or id(each) in state for each in self._attributes)

    def put_back(self) -> bool:
        """Whether it is as it was; not so where forward has left anything else behind, tensors or other attributes, or
        may have, since there are objects that nobody can look into."""
        if not self._is_plain or self._state() != self._tensors or versions(self._others) != self._versions:
            return False
        now, then = _attributes(self._model), self._attributes
        if len(now) != len(then) or any(one is not other for one, other in zip(now, then, strict=True)):
            return False
        if any((tensor.shape, tensor.dtype) != (kept.shape, kept.dtype) for tensor, kept in self._held):
            return False
        try:
            with torch.no_grad():
                for tensor, kept in self._held:
                    tensor.copy_(kept)
        except RuntimeError:  # elements that lie at one place
            return False
        return True

    def _state(self) -> list[tuple[str, int]]:
        return [(name, id(tensor)) for name, _, tensor in host.state(self._model)]


def _attributes(model: torch.nn.Module) -> list[Any]:
    """The names and objects that its modules hold beside their parameters, and what is in collections of them."""
    return [each for module in model.modules() for pair in vars(module).items() if pair[0] not in _OWN
            for value in pair for each in _inside(value)]  # fmt: skip


_OWN = frozenset(vars(torch.nn.Module())) - {"training", "_forward_hooks", "_forward_pre_hooks"}
"""Torch's own attributes of a module: parameters and buffers, mostly."""


def _inside(value: Any) -> list[Any]:
    """A value, and what is in it."""
    if isinstance(value, dict):
        return [value, *(each for pair in value.items() for part in pair for each in _inside(part))]
    if isinstance(value, (list, tuple, set)):
        return [value, *(each for part in value for each in _inside(part))]
    return [value]


_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, type, torch.dtype, torch.device, torch.nn.Module,
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, dict, list, tuple, set,
)  # fmt: skip
"""What stays as it is while it is the same object, or has what is in it listed beside it."""


def described_argument(value: Any) -> dict[str, Any]:
    """An argument of forward: where a tensor is, or a plain value."""
    return {"tensor": describe_tensor(value)} if isinstance(value, torch.Tensor) else {"value": host.encode(value)}


def room(argument: dict[str, Any], device: str) -> Any:
    """A tensor like the one described, holding anything; or the plain value."""
    tensor = argument.get("tensor")
    if tensor is None:
        return host.decode(argument.get("value"))
    return torch.empty_strided(tensor["shape"], tensor["strides"], dtype=getattr(torch, tensor["dtype"]), device=device)


def pointer(value: Any) -> int | None:
    """Where a tensor lies; None for other values."""
    return value.data_ptr() if isinstance(value, torch.Tensor) else None


def versions(values: list[Any]) -> list[int]:
    """How often each tensor has been changed in place."""
    return [value._version if isinstance(value, torch.Tensor) else 0 for value in values]  # noqa: SLF001 - no public way


def storage(value: Any) -> int:
    """Where the memory begins that a tensor is a view of; 0 for other values."""
    return value.untyped_storage().data_ptr() if isinstance(value, torch.Tensor) else 0


def copied(value: Any, *, exact: bool) -> Any:
    """An argument that forward may change, in float64 if `exact`."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(torch.float64, copy=True) if exact and value.is_floating_point() else value.clone()
