"""Running results along a dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.axes import Axes
from kernelwright.proposers.catalogue.build import InMemoryError, UnsupportedError, cast
from kernelwright.proposers.catalogue.ir import Scan, Tensor, Window, resolved, walk
from kernelwright.tasks import GraphNode


def _running(op: str) -> Callable[..., Tensor]:
    def rule(_: Axes, node: GraphNode, x: Tensor, dim: int, **__: Any) -> Tensor:
        out = node.outputs[0].dtype
        if out in dtypes.NARROW or dtypes.compute(out) == "bool":
            raise UnsupportedError
        if any(isinstance(part, Window) for part in walk([x.expr])):
            raise InMemoryError
        operand = cast(x.expr, dtypes.compute(out))
        over = resolved(x.dims[dim]) if x.dims else ()
        return Tensor(Scan(operand.dtype, op, operand, over) if over else operand, x.dims, out)

    return rule


RULES: dict[str, Callable[..., Any]] = {"cumsum": _running("sum"), "cumprod": _running("prod")}
