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


class NearTies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, floating numbers are moved by a share `by` of their size, down if that is negative, before
    they are rounded, converted to integers or compared: a run up and one down show where earlier roundings decide.

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
            if self.by:
                args = (self._moved(operation, *args[:2]), *args[1:])
        return func(*args, **kwargs)

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
    """Whether the operation makes whole numbers of a floating first argument, or compares it."""
    if operation not in _ROUND and operation not in _DOWN_OR_UP and operation not in _SIDES:
        return False
    if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
        return False
    dtype = kwargs.get("dtype")
    converts = dtype is not None and not dtype.is_floating_point and not dtype.is_complex
    return converts or operation is not _ATEN._to_copy  # noqa: SLF001 - the operator's name
