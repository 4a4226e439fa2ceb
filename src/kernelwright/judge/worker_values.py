"""A worker's arguments and state: room for them, copies, what was done to them. Torch and the standard library only."""

from __future__ import annotations

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
    """What some of a model's tensors hold, to be put back once forward has changed them.

    Args:
        model: whose tensors.
        names: which of them.
    """

    def __init__(self, model: torch.nn.Module, names: Sequence[str]) -> None:
        self._model, self._names = model, frozenset(names)
        self._held = [(tensor, tensor.detach().clone()) for tensor in self._tensors()]

    def put_back(self) -> bool:
        """Whether they are as they were; not so where forward has put other tensors in their places."""
        now, then = self._tensors(), [tensor for tensor, _ in self._held]
        if len(now) != len(then) or any(one is not other for one, other in zip(now, then, strict=True)):
            return False
        if any(tensor.shape != kept.shape for tensor, kept in self._held):
            return False
        with torch.no_grad():
            for tensor, kept in self._held:
                tensor.copy_(kept)
        return True

    def _tensors(self) -> list[torch.Tensor]:
        return [tensor for name, _, tensor in host.state(self._model) if name in self._names]


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
