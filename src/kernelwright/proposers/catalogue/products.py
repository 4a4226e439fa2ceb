"""Sums of products that are worth blocking for registers and caches: which they are, and what is what in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from kernelwright.proposers.catalogue.affine import stride
from kernelwright.proposers.catalogue.build import apply
from kernelwright.proposers.catalogue.ir import (
    Apply,
    Axis,
    Buffer,
    Const,
    Expr,
    Load,
    Reduce,
    Scan,
    Store,
    Term,
    walk,
)
from kernelwright.proposers.catalogue.masks import unmasked
from kernelwright.proposers.catalogue.resolve import buffers

_LEAST = 1 << 14
"""Multiplications below which plain loops are as good."""
_ROW_OPS = frozenset({"sum", "max", "min"})
_ENOUGH = 96
"""Columns that are enough for a product of its own."""


@dataclass(frozen=True, eq=False)
class Product:
    """total[batch, m, n] = sum over k of left[batch, m, k] * right[batch, k, n]; each letter stands for any number of
    axes, outermost first. Results lie in memory along n."""

    total: Reduce
    left: Expr
    right: Expr
    batch: tuple[Axis, ...]
    m: tuple[Axis, ...]
    n: tuple[Axis, ...]
    k: tuple[Axis, ...]
    counts: Expr | None = None
    """Which steps of a batch count, where not all of them do; of scores, which may have a weight."""
    scores: Product | None = None
    """In an attention, the product that the left side is made of: its columns are k."""
    beside: tuple[Product, ...] = ()
    """Products of the same left side, or of the same right side, with others, over the same axes, that are made with
    it."""
    added: tuple[Product, ...] = ()
    """Products of other sides whose totals are only ever added to this one's: one total for all of them."""
    met: tuple[Expr, Expr] | None = None
    """The sum that those go into, and the same without them."""

    @property
    def steps(self) -> tuple[Axis, ...]:
        """The axes that it and those added to it sum over."""
        return tuple(dict.fromkeys(axis for each in (self, *self.added) for axis in each.k))

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Positions along batch, m, n and k in the exported case."""
        return _size(self.batch), _size(self.m), _size(self.n), _size(self.k)

    @property
    def left_along_k(self) -> bool:
        """Whether the left side lies in memory along k rather than along m."""
        return _lies_along(self.left, self.k, self.m)

    @property
    def right_along_k(self) -> bool:
        """Whether the right side lies in memory along k rather than along n."""
        return _lies_along(self.right, self.k, self.n)

    @cached_property
    def windows(self) -> bool:
        """Whether the right side is read by windows, as in a convolution."""
        return isinstance(self.right, Load) and _has_windows(self.right.terms)

    @cached_property
    def pitch(self) -> tuple[Axis, ...] | None:
        """For each axis of n, the dimension of the right side that it moves along, where columns of windows are counted
        as they lie there: what is between rows of an image included."""
        last = self._rows_as_they_lie
        return tuple(term.axis for term in last) if last and _has_windows(last) else None

    @property
    def alone(self) -> bool:
        """Whether it is one product of all steps, and no attention."""
        return not (self.scores or self.counts or self.beside or self.added)

    @property
    def tiles(self) -> int:
        """How many 2 x 2 results there are along the last two axes of n."""
        *planes, down, across = self.n
        return _size(self.batch) * _size(planes) * -(-down.size // 2) * -(-across.size // 2)

    @cached_property
    def winograd(self) -> bool:
        """Whether it adds up windows of 3 x 3 that move by one place, with weights that are the same for a whole
        batch, so that results can be made 2 x 2 at a time."""
        last = self._rows_as_they_lie[-2:] if self.pitch else ()
        if len(last) < 2 or len(self.n) > 3 or len(self.k) < 3 or [axis.size for axis in self.k[-2:]] != [3, 3]:
            return False
        terms = self.right.terms if isinstance(self.right, Load) else ()
        moves = all(
            _moves([other for other in terms if other is not term], term, axis)
            for term, axis in zip(last, self.k[-2:], strict=True)
        )
        return moves and self.alone and self.left_along_k and not self.left.free & {*self.batch}

    @property
    def readable(self) -> bool:
        """Whether tiles can read the right side as it lies in memory."""
        return bool(self._rows_as_they_lie)

    @cached_property
    def _rows_as_they_lie(self) -> tuple[Term, ...]:
        """The last coordinates of the right side, where each grows by one with an axis of n and with no other."""
        if self.scores is not None:
            return ()
        match self.right:
            case Load(buffer=Buffer(dtype="float32"), terms=terms, otherwise=None):
                last = terms[-len(self.n) :]
                moves = all(
                    _moves(terms[: -len(self.n)] + last[:i] + last[i + 1 :], term, axis)
                    for i, (term, axis) in enumerate(zip(last, self.n, strict=True))
                )
                return last if moves else ()
        return ()


def _has_windows(terms: Sequence[Term]) -> bool:
    return any(term.at is not None for term in terms)


def _moves(others: Sequence[Term], term: Term, axis: Axis) -> bool:
    """Whether a coordinate grows by one with an axis, and no other does."""
    grows = term.axis is axis if term.at is None else stride(term.at, axis) == 1
    return grows and not any(axis in (other.at.free if other.at else {other.axis}) for other in others)


def _lies_along(side: Expr, these: Iterable[Axis], those: Iterable[Axis]) -> bool:
    """Which of two groups of axes the largest tensor of a side lies along in memory."""
    loads = [node for node in walk([side]) if isinstance(node, Load)]
    largest = max(loads, key=lambda load: load.buffer.size, default=None)
    for term in reversed(largest.terms if largest else ()):
        axes = term.at.free if term.at else {term.axis}
        if axes & set(those):
            return False
        if axes & set(these):
            return True
    return True


def is_product(node: Expr) -> bool:
    """Whether an expression is a product that is worth blocking."""
    return isinstance(node, Reduce) and _sides(node) is not None


def is_attention(node: Expr) -> bool:
    """Whether an expression is a product as `attention` has it."""
    return attention(node) is not None


def attention(node: Expr) -> tuple[Expr, Reduce] | None:
    """The weights and the scores of a product whose one side is made, row by row, of another product's results: a
    softmax, say. None where it is no such product."""
    if not isinstance(node, Reduce) or (sides := _sides(node)) is None or (found := _scores(node, sides)) is None:
        return None
    return sides[found[0]].value, found[1]


def _scores(node: Reduce, sides: Sequence[_Side]) -> tuple[int, Reduce] | None:
    """Which side of a product is made of another's results, and this other one."""
    over = frozenset(node.axes)
    if _counted(node)[0] is not None:
        return None
    for index, side in enumerate(sides):
        inner = [part for part in walk([side.value]) if isinstance(part, Reduce)]
        scores = [part for part in inner if is_product(part) and _counted(part)[0] is None]
        if len(scores) != 1 or any(isinstance(part, Reduce) for part in walk([scores[0].operand])):
            continue
        rows = [part for part in inner if part is not scores[0]]
        in_rows = all(frozenset(part.axes) == over and part.op in _ROW_OPS for part in rows)
        other = sides[1 - index].value
        plain = not any(isinstance(part, (Reduce, Scan)) for part in walk([other]))
        plain &= not any(isinstance(part, Scan) for part in walk([node.operand]))
        batch = side.axes & sides[1 - index].axes
        if rows and in_rows and plain and scores[0].free == side.axes | over and _one_a_key(scores[0], over, batch):
            return index, scores[0]
    return None


def _one_a_key(scores: Reduce, keys: frozenset[Axis], batch: frozenset[Axis]) -> bool:
    """Whether the side of scores that goes along the keys is the same for all rows of one of the batch."""
    sides = _sides(scores)
    return sides is not None and all(side.axes <= keys | batch for side in sides if side.axes & keys)


def product(stores: Sequence[Store]) -> Product | None:
    """The product that all stores of a kernel depend on, with those beside it."""
    attentions = {node for node in walk(store.expr for store in stores) if is_attention(node)}
    totals = [node for node in walk((store.expr for store in stores), attentions) if isinstance(node, Reduce)]
    order = max((store.buffer.axes for store in stores), key=len)
    found = [made for total in totals if (made := _product(total, order)) is not None]
    if not found or len(found) < len(totals):
        return None
    first, *others = found
    if not all(_same_results(first, other) for other in others):
        return None
    same_steps = all(first.k == other.k for other in others)
    if same_steps and all(first.left is other.left for other in others):
        return replace(first, beside=tuple(others))
    met = _sum_of(stores, [each.total for each in found])
    if met is None or any(_dtypes(first) != _dtypes(other) for other in others):
        shared = same_steps and all(first.right is other.right for other in others)
        return replace(first, beside=tuple(others)) if shared else None
    return replace(first, added=tuple(others), met=(met, _without(met, {each.total for each in others}) or met))


def _same_results(one: Product, other: Product) -> bool:
    """Whether two products have a result for each of the same positions."""
    return one.alone and other.alone and (one.batch, one.m, one.n) == (other.batch, other.m, other.n)


def _dtypes(one: Product) -> set[str]:
    """What its sides are read in."""
    return {buffer.dtype for buffer in buffers([one.left, one.right])}


def _sum_of(stores: Sequence[Store], totals: Sequence[Reduce]) -> Expr | None:
    """The sum that totals meet in, of which nothing else becomes; None where there is none."""
    users: dict[Expr, list[Expr]] = {}
    for node in walk(store.expr for store in stores):
        for operand in node.args:
            users.setdefault(operand, []).append(node)
    stored = {store.expr for store in stores}

    def sums(node: Expr) -> list[Expr]:
        """The sums that it goes into and nothing else does, innermost first."""
        found: list[Expr] = []
        while node not in stored:
            match users[node]:
                case [Apply(op="add") as node]:
                    found.append(node)
                case _:
                    break
        return found

    first, *others = map(sums, totals)
    return next((node for node in first if all(node in each for each in others)), None)


def _without(node: Expr, gone: set[Reduce]) -> Expr | None:
    """A sum without some of what it adds up; None if nothing is left."""
    match node:
        case Reduce() if node in gone:
            return None
        case Apply(op="add", operands=operands):
            left, right = (_without(operand, gone) for operand in operands)
            return apply("add", left, right) if left and right else left or right
    return node


def _product(total: Reduce, order: Sequence[Axis]) -> Product | None:
    """One product, its axes in the order of a result's."""
    if (sides := _sides(total)) is None:
        return None
    scores = _scores(total, sides)
    left, right = sides if scores is None else (sides[scores[0]], sides[1 - scores[0]])
    if scores is None and _last(order, left) > _last(order, right):
        left, right = right, left
    batch = tuple(axis for axis in order if axis in left.axes and axis in right.axes)
    m = tuple(axis for axis in order if axis in left.own)
    n = tuple(axis for axis in order if axis in right.own)
    # What only the right side has, but lies outside of everything: as good as a batch where enough is left.
    while scores is None and len(n) > 1 and order.index(n[0]) < order.index(m[0]) and _size(n[1:]) >= _ENOUGH:
        batch, n = tuple(sorted((*batch, n[0]), key=order.index)), n[1:]
    found = Product(total, left.value, right.value, batch, m, n, total.axes, _counted(total)[0])
    if scores is None:
        return found
    made = _of_scores(scores[1], found)
    return replace(found, scores=replace(made, counts=unmasked(found.left, scores[1])))


def _of_scores(node: Reduce, outer: Product) -> Product:
    """The product that makes the scores, its columns being what the outer one sums over."""
    sides = _sides(node)
    assert sides is not None  # it is a product
    left, right = sorted(sides, key=lambda side: bool(side.axes & set(outer.k)))
    return Product(node, left.value, right.value, outer.batch, outer.m, outer.k, node.axes)


def _counted(node: Reduce) -> tuple[Expr | None, Expr]:
    """Which of its steps a sum counts, if it does not count all, and what it sums."""
    conditions, value = None, node.operand
    while isinstance(value, Apply) and value.op == "where" and _is_zero(value.operands[2]):
        conditions = apply("and", value.operands[0], conditions) if conditions else value.operands[0]
        value = value.operands[1]
    return conditions, value


def _is_zero(node: Expr) -> bool:
    return isinstance(node, Const) and node.value == 0


def _last(order: Sequence[Axis], side: _Side) -> int:
    return max((order.index(axis) for axis in order if axis in side.own), default=-1)


@dataclass
class _Side:
    """Factors that belong together, and the kept axes that they depend on, of these their own."""

    factors: list[Expr]
    axes: frozenset[Axis]
    own: frozenset[Axis] = frozenset()

    @property
    def value(self) -> Expr:
        """The factors' product."""
        value = self.factors[0]
        for factor in self.factors[1:]:
            value = apply("mul", value, factor)
        return value


def _sides(node: Reduce) -> list[_Side] | None:
    """The two sides of a product; None where there are none, or too little work."""
    if node.op != "sum" or node.dtype != "float32":
        return None
    kept, reduced = node.free, frozenset(node.axes)
    condition, summed = _counted(node)
    factors = sorted(_factors(summed), key=lambda factor: -_size(factor.free))
    sides: list[_Side] = []
    for factor in factors:
        axes = factor.free & kept
        home = next((side for side in sides if axes <= side.axes), None)
        if home is not None and (len(sides) == 2 or not axes):
            home.factors.append(factor)
        elif len(sides) < 2:
            sides.append(_Side([factor], axes))
        else:
            return None
    if len(sides) != 2:
        return None
    first, second = sides
    if condition is not None and condition.free & kept - (first.axes & second.axes):
        return None  # it is not the same for a whole batch
    first.own, second.own = first.axes - second.axes, second.axes - first.axes
    short, long = sorted((_size(first.own), _size(second.own)))
    k = _size(reduced)
    enough = short >= 2 and long >= 8 and k >= 8 and _size(kept) * k >= _LEAST
    return sides if enough and all(side.value.free & reduced for side in sides) else None


def _size(axes: Iterable[Axis]) -> int:
    return prod(axis.size for axis in axes)


def _factors(node: Expr) -> list[Expr]:
    if isinstance(node, Apply) and node.op == "mul":
        return [factor for operand in node.operands for factor in _factors(operand)]
    return [node]
