"""Float64 answers that are not floating, where a rounding decides: numbers a little off become another whole number."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kernelwright.tasks.host_sums import storage

_ATEN = torch.ops.aten
_ROUND = frozenset({_ATEN.round, _ATEN.round_})
_DOWN_OR_UP = frozenset({
    _ATEN.floor, _ATEN.ceil, _ATEN.trunc, _ATEN.floor_, _ATEN.ceil_, _ATEN.trunc_, _ATEN._to_copy,  # noqa: SLF001
})  # fmt: skip
_SIDES = frozenset({_ATEN.gt, _ATEN.ge, _ATEN.lt, _ATEN.le})
_PLACES = {_ATEN.argmax: True, _ATEN.argmin: False, _ATEN.max: True, _ATEN.min: False}
"""What says where the largest number is, or the smallest."""


class NearTies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, floating numbers are moved by a share `by` of their size, down if that is negative, before
    they are rounded, converted to integers or compared: a run up and one down show where earlier roundings decide.

    Where the place of the largest or smallest is asked for, one run has the next one's and the other the one's after
    that, as far as they are as near.

    What no rounding can have made is not moved: numbers as they were `given` (storages of arguments and state), whole
    ones where the next one or the one before is looked for, equal ones where they are compared, infinities. `met` says
    whether there were such operations, also where `by` is 0.
    """

    def __init__(self, by: float, given: Container[int] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by, self.given, self.met = by, given, False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls the operator on what it is given, or on numbers beside that."""
        kwargs = kwargs or {}
        operation = func.overloadpacket
        if _decides(operation, args, kwargs) and storage(args[0]) not in self.given:
            self.met = True
            if self.by and operation in _PLACES:
                return self._beside(func, args, kwargs)
            if self.by:
                args = (self._moved(operation, *args[:2]), *args[1:])
        return func(*args, **kwargs)

    def _beside(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The place of another number than the largest or smallest, where one that is not equal is near; of both where
        the operator tells both."""
        operation = func.overloadpacket
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs  # noqa: SLF001
        x, dim = given["self"], given.get("dim")
        x, dim = (x.reshape(-1), 0) if dim is None else (x, dim)
        best, places = x.topk(min(3, x.shape[dim]), dim, largest=_PLACES[operation])
        first, other = best.narrow(dim, 0, 1), min(1 if self.by > 0 else 2, best.shape[dim] - 1)
        value, place = best.narrow(dim, other, 1), places.narrow(dim, other, 1)
        told = func(*args, **kwargs)
        was = told if isinstance(told, Tensor) else told[1]
        apart = (value - first).abs()
        near = (apart > 0) & apart.isfinite() & (apart <= abs(self.by) * (value.abs() + first.abs()))
        near &= first == x.gather(dim, was.reshape(place.shape))  # else that is NaN
        found = torch.where(near, place, was.reshape(place.shape)).reshape(was.shape)
        return (
            found if isinstance(told, Tensor) else (x.gather(dim, found.reshape(place.shape)).reshape(was.shape), found)
        )

    def _moved(self, operation: Any, x: Tensor, other: Any = None) -> Tensor:
        size = x.abs() + abs(other) if operation in _SIDES else x.abs()
        moved = x.add(size, alpha=self.by)
        stays = moved.isfinite().logical_not_()
        if operation in _SIDES:
            stays |= x == other
        elif operation not in _ROUND:
            stays |= x == x.round()
        moved = torch.where(stays, x, moved)
        return x.copy_(moved) if operation.__name__.endswith("_") else moved


def _decides(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the operation makes whole numbers of a floating first argument, or compares it, or its elements."""
    if operation in _PLACES:
        named = operation.__name__.startswith("arg") or isinstance(kwargs.get("dim", args[1:2] and args[1]), int)
        return named and isinstance(args[0], Tensor) and args[0].is_floating_point() and args[0].numel() > 1
    if operation not in _ROUND and operation not in _DOWN_OR_UP and operation not in _SIDES:
        return False
    if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
        return False
    dtype = kwargs.get("dtype")
    converts = dtype is not None and not dtype.is_floating_point and not dtype.is_complex
    return converts or operation is not _ATEN._to_copy  # noqa: SLF001 - the operator's name
