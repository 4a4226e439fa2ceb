"""Reductions, and the normalisations and losses made of them, as expressions.

Variances take two sweeps (mean, then squared differences), softmax two (maximum, then exponentials): the textbook forms
that lose nothing to cancellation or overflow; while a row is in cache a second sweep costs little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from kernelwright.proposers.catalogue import dtypes
from kernelwright.proposers.catalogue.axes import Axes, Dims
from kernelwright.proposers.catalogue.build import UnsupportedError, apply, cast, const, count, reduce
from kernelwright.proposers.catalogue.ir import Axis, Expr, Tensor, resolved
from kernelwright.tasks import GraphNode


def _wanted(x: Tensor, dims: Any) -> list[int]:
    rank = len(x.dims)
    if dims is None or dims == []:
        return list(range(rank))
    return sorted({dim % rank for dim in (dims if isinstance(dims, list) else [dims])}) if rank else []


def _over(x: Tensor, wanted: Sequence[int]) -> tuple[Axis, ...]:
    return resolved(axis for dim in wanted for axis in x.dims[dim])


def _left(x: Tensor, wanted: Sequence[int], keepdim: bool) -> Dims:
    if keepdim:
        return tuple(() if i in wanted else dim for i, dim in enumerate(x.dims))
    return tuple(dim for i, dim in enumerate(x.dims) if i not in wanted)


def _plain(op: str) -> Callable[..., Tensor]:
    """Sums, products and extrema: `op(x, dims, keepdim)`."""

    def rule(_: Axes, node: GraphNode, x: Tensor, dims: Any = None, keepdim: bool = False, **__: Any) -> Tensor:
        out = node.outputs[0].dtype
        wanted = _wanted(x, dims)
        operand = cast(x.expr, dtypes.compute(out))
        if out == "bool":
            result = apply("ne", reduce(op, cast(operand, "int32"), _over(x, wanted)), const(0, "int32"))
        else:
            result = reduce(op, operand, _over(x, wanted))
        return Tensor(result, _left(x, wanted, keepdim), out)

    return rule


def _mean(_: Axes, node: GraphNode, x: Tensor, dims: Any = None, keepdim: bool = False) -> Tensor:
    out = node.outputs[0].dtype
    wanted = _wanted(x, dims)
    return Tensor(_average(cast(x.expr, dtypes.compute(out)), _over(x, wanted)), _left(x, wanted, keepdim), out)


def _average(operand: Expr, axes: tuple[Axis, ...]) -> Expr:
    return apply("div", reduce("sum", operand, axes), count(axes, operand.dtype))


def _moments(x: Expr, axes: tuple[Axis, ...], correction: float = 0) -> tuple[Expr, Expr]:
    """Mean and variance over `axes`; the variance with `correction` fewer degrees of freedom."""
    mean = _average(x, axes)
    centred = apply("sub", x, mean)
    squares = reduce("sum", apply("mul", centred, centred), axes)
    freedom = count(axes, x.dtype)
    if correction:
        freedom = apply("max", apply("sub", freedom, const(correction, x.dtype)), const(0, x.dtype))
    return mean, apply("div", squares, freedom)


def _var(_: Axes, node: GraphNode, x: Tensor, dims: Any = None) -> Tensor:
    out = node.outputs[0].dtype
    wanted = _wanted(x, dims)
    correction = node.kwargs.get("correction")
    operand = cast(x.expr, dtypes.compute(out))
    variance = _moments(operand, _over(x, wanted), 1 if correction is None else correction)[1]
    return Tensor(variance, _left(x, wanted, bool(node.kwargs.get("keepdim"))), out)


def _var_mean(axes: Axes, node: GraphNode, x: Tensor, dims: Any = None) -> tuple[Tensor, Tensor]:
    average = _mean(axes, node, x, dims, bool(node.kwargs.get("keepdim")))
    return _var(axes, node, x, dims), average


def _arg(op: str) -> Callable[..., Tensor]:
    def rule(_: Axes, __: GraphNode, x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        wanted = _wanted(x, dim)
        return Tensor(reduce(op, x.expr, _over(x, wanted)), _left(x, wanted, keepdim), "int64")

    return rule


def _with_index(op: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """`max(x, dim)`: the extremum and where it is."""

    def rule(_: Axes, __: GraphNode, x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
        wanted = _wanted(x, dim)
        over, left = _over(x, wanted), _left(x, wanted, keepdim)
        return Tensor(reduce(op, x.expr, over), left, x.dtype), Tensor(reduce(f"arg{op}", x.expr, over), left, "int64")

    return rule


def _norm(
    _: Axes, node: GraphNode, x: Tensor, order: Any = 2, dims: Any = None, keepdim: bool = False, *__: Any
) -> Tensor:
    out = node.outputs[0].dtype
    wanted = _wanted(x, dims)
    over = _over(x, wanted)
    value = cast(x.expr, dtypes.compute(out))
    size = apply("abs", value)
    if order == 2:
        result = apply("sqrt", reduce("sum", apply("mul", value, value), over))
    elif order == 1:
        result = reduce("sum", size, over)
    elif order in (math.inf, -math.inf):
        result = reduce("max" if order > 0 else "min", size, over)
    elif order == 0:
        result = reduce("sum", cast(apply("ne", value, const(0, value.dtype)), value.dtype), over)
    else:
        powers = reduce("sum", apply("pow", size, const(order, value.dtype)), over)
        result = apply("pow", powers, const(1 / order, value.dtype))
    return Tensor(result, _left(x, wanted, keepdim), out)


def _softmax(_: Axes, node: GraphNode, x: Tensor, dim: int, *__: Any) -> Tensor:
    shifted, total = _exponentials(node, x, dim)
    # One division a row, then products: torch divides every element, at most half a unit in the last place better.
    inverse = apply("div", const(1, total.dtype), total)
    return Tensor(apply("mul", apply("exp_nonpos", shifted), inverse), x.dims, node.outputs[0].dtype)


def _log_softmax(_: Axes, node: GraphNode, x: Tensor, dim: int, *__: Any) -> Tensor:
    shifted, total = _exponentials(node, x, dim)
    return Tensor(apply("sub", shifted, apply("log", total)), x.dims, node.outputs[0].dtype)


def _exponentials(node: GraphNode, x: Tensor, dim: int) -> tuple[Expr, Expr]:
    over = _over(x, _wanted(x, dim))
    value = cast(x.expr, dtypes.compute(node.outputs[0].dtype))
    shifted = apply("sub", value, reduce("max", value, over))
    return shifted, reduce("sum", apply("exp_nonpos", shifted), over)


def _affine(normal: Expr, weight: Expr | None, bias: Expr | None) -> Expr:
    if weight is not None:
        normal = apply("mul", normal, weight)
    return normal if bias is None else apply("add", normal, bias)


def _aligned(axes: Axes, dims: Dims, tensor: Tensor | None, dtype: str) -> Expr | None:
    if tensor is None:
        return None
    axes.broadcast(dims, tensor.dims)
    return cast(tensor.expr, dtype)


def _layer_norm(
    axes: Axes, node: GraphNode, x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, ...]:
    kind = dtypes.compute(x.dtype)
    wanted = list(range(len(x.dims) - len(shape), len(x.dims)))
    weight_expr, bias_expr = _aligned(axes, x.dims, weight, kind), _aligned(axes, x.dims, bias, kind)
    value = cast(x.expr, kind)
    mean, variance = _moments(value, _over(x, wanted))
    scale = apply("rsqrt", apply("add", variance, const(eps, kind)))
    normal = _affine(apply("mul", apply("sub", value, mean), scale), weight_expr, bias_expr)
    left = _left(x, wanted, keepdim=True)
    outputs = [output.dtype for output in node.outputs]
    statistics = (Tensor(mean, left, outputs[1]), Tensor(scale, left, outputs[2])) if len(outputs) > 2 else ()
    return Tensor(normal, x.dims, x.dtype), *statistics


def _group_norm(
    axes: Axes,
    node: GraphNode,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    n: int,
    c: int,
    hw: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, ...]:
    kind = dtypes.compute(x.dtype)
    grouped = axes.regroup(x.dims, (n, groups, c // groups, hw))
    axes.pinned += grouped[1]
    channels = axes.regroup(x.dims, (n, c, hw))[1]
    for tensor in (weight, bias):
        if tensor is not None:
            axes.unify(channels, tensor.dims[0])
    value = cast(x.expr, kind)
    mean, variance = _moments(value, resolved(grouped[2] + grouped[3]))
    scale = apply("rsqrt", apply("add", variance, const(eps, kind)))
    weight_expr, bias_expr = (None if tensor is None else cast(tensor.expr, kind) for tensor in (weight, bias))
    normal = _affine(apply("mul", apply("sub", value, mean), scale), weight_expr, bias_expr)
    outputs = [output.dtype for output in node.outputs]
    statistics = (
        (Tensor(mean, grouped[:2], outputs[1]), Tensor(scale, grouped[:2], outputs[2])) if len(outputs) > 2 else ()
    )
    return Tensor(normal, x.dims, x.dtype), *statistics


def _channelwise(axes: Axes, x: Tensor, *tensors: Tensor | None) -> list[Expr | None]:
    """Per-channel tensors over the axes of dimension 1."""
    for tensor in tensors:
        if tensor is not None and tensor.dims[0]:
            axes.unify(x.dims[1], tensor.dims[0])
    return [None if tensor is None else cast(tensor.expr, dtypes.compute(x.dtype)) for tensor in tensors]


def _batch_norm_inference(
    axes: Axes,
    node: GraphNode,
    x: Tensor,
    weight: Any,
    bias: Any,
    mean: Tensor,
    variance: Tensor,
    _momentum: float,
    eps: float,
) -> tuple[Tensor, ...]:
    kind = dtypes.compute(x.dtype)
    scale, shift, centre, spread = _channelwise(axes, x, weight, bias, mean, variance)
    assert centre is not None and spread is not None  # the operation always has them
    inverse = apply("rsqrt", apply("add", spread, const(eps, kind)))
    centred = apply("sub", cast(x.expr, kind), centre)
    empty = Tensor(const(0, kind), ((),), x.dtype)
    return (
        Tensor(_affine(apply("mul", centred, inverse), scale, shift), x.dims, x.dtype),
        *([empty] * (len(node.outputs) - 1)),
    )


def _batch_norm_training(
    axes: Axes,
    node: GraphNode,
    x: Tensor,
    weight: Any,
    bias: Any,
    mean: Tensor | None,
    variance: Tensor | None,
    momentum: float,
    eps: float,
) -> tuple[Tensor, ...]:
    kind = dtypes.compute(x.dtype)
    scale, shift, old_mean, old_variance = _channelwise(axes, x, weight, bias, mean, variance)
    wanted = [i for i in range(len(x.dims)) if i != 1]
    over = _over(x, wanted)
    value = cast(x.expr, kind)
    batch_mean, batch_variance = _moments(value, over)
    inverse = apply("rsqrt", apply("add", batch_variance, const(eps, kind)))
    normal = _affine(apply("mul", apply("sub", value, batch_mean), inverse), scale, shift)
    channels: Dims = (x.dims[1],)
    results = [
        Tensor(normal, x.dims, x.dtype),
        Tensor(batch_mean, channels, "float32"),
        Tensor(inverse, channels, "float32"),
    ]
    if old_mean is not None and old_variance is not None:
        size = count(over, kind)
        unbiased = apply("mul", batch_variance, apply("div", size, apply("sub", size, const(1, kind))))
        for old, new, like in ((old_mean, batch_mean, mean), (old_variance, unbiased, variance)):
            kept = apply("mul", old, const(1 - momentum, kind))
            assert like is not None
            results.append(Tensor(apply("add", kept, apply("mul", new, const(momentum, kind))), channels, like.dtype))
    return tuple(results)


def _batch_norm_no_stats(axes: Axes, node: GraphNode, x: Tensor, *args: Any) -> tuple[Tensor, ...]:
    """`_native_batch_norm_legit.no_stats(x, weight, bias, training, momentum, eps)`."""
    if len(args) != 5:
        raise UnsupportedError
    weight, bias, _, momentum, eps = args
    return _batch_norm_training(axes, node, x, weight, bias, None, None, momentum, eps)


def _batch_norm_functional(axes: Axes, node: GraphNode, x: Tensor, *args: Any) -> tuple[Tensor, ...]:
    weight, bias, mean, variance, training, momentum, eps = args
    if not training:
        raise UnsupportedError
    return _batch_norm_training(axes, node, x, weight, bias, mean, variance, momentum, eps)


RULES: dict[str, Callable[..., Any]] = {
    "sum": _plain("sum"),
    "prod": _plain("prod"),
    "amax": _plain("max"),
    "amin": _plain("min"),
    "any": _plain("max"),
    "all": _plain("min"),
    "mean": _mean,
    "var": _var,
    "var_mean": _var_mean,
    "argmax": _arg("argmax"),
    "argmin": _arg("argmin"),
    "linalg_vector_norm": _norm,
    "_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_native_batch_norm_legit_no_training": _batch_norm_inference,
    "_native_batch_norm_legit": _batch_norm_no_stats,
    "_native_batch_norm_legit_functional": _batch_norm_functional,
}


def _max_or_min(op: str) -> Callable[..., Any]:
    def rule(axes: Axes, node: GraphNode, x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        return (_plain(op) if dim is None else _with_index(op))(axes, node, x, dim, keepdim)

    return rule


RULES |= {"max": _max_or_min("max"), "min": _max_or_min("min")}
