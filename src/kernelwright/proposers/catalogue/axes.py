"""How the dimensions of tensors are made of axes, and how shapes that must agree make axes equal or split them."""

from __future__ import annotations

from math import prod

from kernelwright.proposers.catalogue.build import apply, const
from kernelwright.proposers.catalogue.ir import Axis, Expr, Reduce, Scan, Size, Tensor, Window, resolved, walk

Dims = tuple[tuple[Axis, ...], ...]


class ConflictError(Exception):
    """Two shapes cannot be made of the same axes without a copy in between."""


class Axes:
    """All axes of one graph while it is lowered.

    Every tensor lowered so far is remembered: two axes of one tensor may never become the same axis (as `x + x.T` would
    make them), since its elements could then no longer be told apart.
    """

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self.pinned: list[Axis] = []
        """Axes whose size belongs to the computation (state, groups, halves) rather than to its inputs' shapes."""
        self.open: list[Axis] = []
        """Axes of counted positions that must be found to be an input's, or it is not known what their size follows."""
        self.following: list[tuple[Axis, tuple[Axis, ...]]] = []
        """Axes of counted positions that were taken to be as long as a dimension, with its axes: they may not be found
        to be another input's."""
        self.guessed = False
        """Whether a number in the graph was taken for a constant that may as well follow from the inputs' shapes."""

    def are_fixed(self, along: tuple[Axis, ...]) -> bool:
        """Whether axes have their size whatever the inputs' shapes."""
        return set(resolved(along)) <= set(resolved(self.pinned))

    def remember(self, tensor: Tensor) -> Tensor:
        """Keeps the tensor's axes apart from each other from now on.

        Raises:
            ConflictError: they are not.
        """
        _check_distinct(tensor.dims)
        self._tensors.append(tensor)
        return tensor

    def keep_apart(self, tensor: Tensor) -> None:
        """Keeps the tensor's axes apart from each other and from those that its elements combine others along.

        Raises:
            ConflictError: they are not.
        """
        combined = [node.axes for node in walk([tensor.expr]) if isinstance(node, (Reduce, Scan, Window))]
        along = dict.fromkeys(axis for axes in combined for axis in resolved(axes) if axis not in tensor.axes)
        self.remember(Tensor(tensor.expr, (*tensor.dims, tuple(along)), tensor.dtype))

    @staticmethod
    def fresh(shape: tuple[int, ...]) -> Dims:
        """New axes for a shape: one a dimension, none where its size is 1."""
        return tuple(() if size == 1 else (Axis(size),) for size in shape)

    def broadcast(self, left: Dims, right: Dims) -> Dims:
        """The dimensions of an elementwise result; makes the operands' axes equal.

        Raises:
            ConflictError: that takes a copy.
        """
        if len(left) < len(right):
            left, right = right, left
        padded = ((),) * (len(left) - len(right)) + right
        return _check_distinct(
            tuple(self.unify(a, b) if a and b else a or b for a, b in zip(left, padded, strict=True))
        )

    def unify(self, left: tuple[Axis, ...], right: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """Makes two dimensions of equal size the same axes, splitting where one is finer.

        Raises:
            ConflictError: sizes do not nest, or two axes of one tensor would become one.
        """
        ours, theirs = list(resolved(left)), list(resolved(right))
        while ours and theirs:
            a, b = ours.pop(), theirs.pop()
            if a is b:
                continue
            if a.size == b.size:
                self._merge(a, b)
            elif a.size % b.size == 0:
                outer, inner = self.split(a, b.size)
                ours += [outer]
                self._merge(inner, b)
            elif b.size % a.size == 0:
                outer, inner = self.split(b, a.size)
                theirs += [outer]
                self._merge(inner, a)
            else:
                raise ConflictError
        if ours or theirs:
            raise ConflictError
        return resolved(left)

    @staticmethod
    def split(axis: Axis, inner: int) -> tuple[Axis, Axis]:
        """Splits an axis in two, the inner one of the given size."""
        outer = None if axis.length is None else apply("div", axis.length, const(inner, "int64"))
        axis.parts = (Axis(axis.size // inner, outer), Axis(inner))
        return axis.parts

    def _merge(self, a: Axis, b: Axis) -> None:
        (a,), (b,) = a.resolve(), b.resolve()
        if a is b:
            return
        for tensor in self._tensors:
            axes = tensor.axes
            if a in axes and b in axes:
                raise ConflictError
        if a.length is not None and depends(a.length, b):
            a.length = None
        if a.length is None and b.length is not None and not depends(b.length, a):
            a.length = b.length
        b.parts = (a,)

    def regroup(self, dims: Dims, shape: tuple[int, ...]) -> Dims:
        """The same elements in row-major order under another shape, splitting axes where a new dimension ends inside
        one.

        Raises:
            ConflictError: a new dimension would end inside an axis that it does not divide.
        """
        if prod(shape) == 0:
            raise ConflictError
        pending = list(resolved(axis for dim in dims for axis in dim))
        result: list[tuple[Axis, ...]] = []
        for size in reversed(shape):
            taken: list[Axis] = []
            missing = size
            while missing > 1:
                axis = pending.pop()
                if missing % axis.size == 0:
                    taken.append(axis)
                    missing //= axis.size
                elif axis.size % missing == 0:
                    outer, inner = self.split(axis, missing)
                    pending.append(outer)
                    taken.append(inner)
                    missing = 1
                else:
                    raise ConflictError
            result.append(tuple(reversed(taken)))
        return tuple(reversed(result))


def depends(length: Expr, axis: Axis) -> bool:
    """Whether a length follows, at last, from that of an axis."""
    leaves = {leaf for node in walk([length]) if isinstance(node, Size) for leaf in resolved(node.axes)}
    return axis in leaves or any(leaf.length is not None and depends(leaf.length, axis) for leaf in leaves)


def _check_distinct(dims: Dims) -> Dims:
    axes = resolved(axis for dim in dims for axis in dim)
    if len(set(axes)) != len(axes):
        raise ConflictError
    return dims
