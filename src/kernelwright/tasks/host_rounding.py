"""Float64 answers that are not floating, where a rounding decides: numbers a little off become another whole number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN = torch.ops.aten
_WHOLE = frozenset({
    _ATEN.round, _ATEN.floor, _ATEN.ceil, _ATEN.trunc, _ATEN.round_, _ATEN.floor_, _ATEN.ceil_, _ATEN.trunc_,
    _ATEN.floor_divide, _ATEN.bucketize,
})  # fmt: skip
"""Operations that make whole numbers of their first argument."""
_SIDES = frozenset({_ATEN.gt, _ATEN.ge, _ATEN.lt, _ATEN.le})


class NearTies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, floating numbers are moved by a share `by` of their size, down if that is negative, before
    they become whole or are compared: a run up and one down show where roundings of earlier steps decide.

    What is whole already stays so when it is converted, and what is equal stays equal: neither comes from a rounding.
    `met` says whether there were such operations, also where `by` is 0.
    """

    def __init__(self, by: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by, self.met = by, False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls the operator on what it is given, or on numbers beside that."""
        kwargs = kwargs or {}
        if _decides(func.overloadpacket, args, kwargs):
            self.met = True
            if self.by:
                args = (self._moved(func.overloadpacket, *args[:2]), *args[1:])
        return func(*args, **kwargs)

    def _moved(self, operation: Any, x: Tensor, other: Any = None) -> Tensor:
        if operation in _SIDES:
            return torch.where(x == other, x, x.add(x.abs() + abs(other), alpha=self.by))
        if operation is _ATEN._to_copy:  # noqa: SLF001 - the operator's name
            return torch.where(x == x.round(), x, x.add(x.abs(), alpha=self.by))
        return (x.add_ if operation.__name__.endswith("_") else x.add)(x.abs(), alpha=self.by)


def _decides(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the operation makes another kind of number of a floating first argument."""
    if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
        return False
    if operation is _ATEN.div:
        return kwargs.get("rounding_mode") is not None
    if operation is _ATEN._to_copy:  # noqa: SLF001 - the operator's name
        dtype = kwargs.get("dtype")
        return dtype is not None and not dtype.is_floating_point and not dtype.is_complex
    return operation in _WHOLE or operation in _SIDES
