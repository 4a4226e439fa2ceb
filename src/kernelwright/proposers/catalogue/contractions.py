"""Matrix products as sums of products over axes. How such a sum is computed is decided later (`products.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.axes import Axes, ConflictError, Dims
from kernelwright.proposers.catalogue.build import UnsupportedError, apply, cast, const, reduce, renamed
from kernelwright.proposers.catalogue.ir import (
    COSTLY,
    Apply,
    Axis,
    Expr,
    Iota,
    Load,
    Reduce,
    Scan,
    Tensor,
    Window,
    resolved,
    walk,
)
from kernelwright.tasks import GraphNode


def computing(node: GraphNode) -> str:
    """The type in which a product is computed.

    Raises:
        UnsupportedError: there are no tiles for it.
    """
    kind = dtypes.compute(node.outputs[0].dtype)
    if kind != "float32":
        raise UnsupportedError
    return kind


def _mm(axes: Axes, node: GraphNode, x: Tensor, y: Tensor) -> Tensor:
    """`mm` and `bmm`: sums over the last dimension of x and the last but one of y."""
    kind = computing(node)
    x, y, batch = _meeting(axes, x, y)
    product = apply("mul", cast(x.expr, kind), cast(y.expr, kind))
    dims = (*batch, x.dims[-2], y.dims[-1])
    axes.remember(Tensor(product, (*dims, x.dims[-1]), node.outputs[0].dtype))
    return Tensor(reduce("sum", product, resolved(x.dims[-1])), dims, node.outputs[0].dtype)


def _meeting(axes: Axes, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Dims]:
    """The operands over axes that agree where they are multiplied and nowhere else, and those of the batch; a second
    one that shares others with the first, as in `x @ x.T`, is computed over axes of its own."""
    for other in (y, renamed(y)):
        try:
            batch = axes.broadcast(x.dims[:-2], other.dims[:-2])
            axes.unify(x.dims[-1], other.dims[-2])
        except ConflictError:
            continue
        if not set(resolved(other.dims[-1])) & set(x.axes) and not set(resolved(x.dims[-2])) & set(other.axes):
            axes.keep_apart(other)
            return x, other, batch
    raise ConflictError


def _addmm(axes: Axes, node: GraphNode, bias: Tensor, x: Tensor, y: Tensor) -> Tensor:
    product = _mm(axes, node, x, y)
    kind = product.expr.dtype
    axes.broadcast(product.dims, bias.dims)
    alpha, beta = (const(node.kwargs.get(name, 1), kind) for name in ("alpha", "beta"))
    total = apply("add", apply("mul", product.expr, alpha), apply("mul", cast(bias.expr, kind), beta))
    return Tensor(total, product.dims, product.dtype)


RULES: dict[str, Callable[..., Any]] = {"mm": _mm, "bmm": _mm, "addmm": _addmm}


def worth_keeping(operation: str, operand: Tensor) -> bool:
    """Whether a product's operand is better written to memory: a product would compute it once for each block of
    results, a convolution once for each element of the window."""
    outermost, parts = _outermost(operand.expr), walk([operand.expr])
    if any(isinstance(node, (Window, Scan)) for node in parts):
        return True
    if operation == "convolution":
        return bool(outermost) or any(isinstance(node, Apply) and node.op in COSTLY for node in parts)
    return bool(outermost) and all(_free(node) == set(operand.axes) for node in outermost)


def products_summed(x: Tensor) -> int:
    """How many matrix products elements are made of, each of a result of its own."""
    return sum(
        node.op == "sum" and isinstance(node.operand, Apply) and node.operand.op == "mul" and _free(node) == set(x.axes)
        for node in _outermost(x.expr)
    )


def _outermost(root: Expr) -> list[Reduce]:
    """The reductions that a value depends on, but not those inside of them."""
    found: dict[Expr, None] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node not in found:
            found[node] = None
            stack += () if isinstance(node, Reduce) else node.args
    return [node for node in found if isinstance(node, Reduce)]


def _free(expr: Expr) -> set[Axis]:
    """`Expr.free` while axes may still split: nothing is remembered."""
    free: set[Axis] = set()
    bound: set[Axis] = set()
    for node in walk([expr]):
        if isinstance(node, Load):
            free |= set(resolved(term.axis for term in node.terms if term.at is None))
        elif isinstance(node, Iota):
            free |= set(node.axis.resolve())
        elif isinstance(node, Reduce):
            bound |= set(resolved(node.axes))
    return free - bound
