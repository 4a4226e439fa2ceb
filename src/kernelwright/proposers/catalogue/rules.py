"""What each rewrite asks of a kernel's loops, and what it makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from kernelwright.proposers.catalogue.fusing import fusible
from kernelwright.proposers.catalogue.ir import Axis, Reduce, Scan
from kernelwright.proposers.catalogue.moments import in_one_sweep
from kernelwright.proposers.catalogue.nesting import Loops
from kernelwright.proposers.catalogue.online import exponentials
from kernelwright.proposers.catalogue.rewrites import SHARINGS, IllegalRewriteError, Rewrite

_UNIT = 64
"""Blocks are this many positions or a multiple: whole cache lines and vectors, whatever the dtype."""
_TILE = [("tile", "row"), ("tile", "column")]
_BLOCKS = [*_TILE, ("split", "step"), ("split", "row"), ("split", "column")]
_FIRST = frozenset({"fuse", "interchange", "online_reduce"})
"""Rewrites of what is computed and of the loops' order, which come before what is made of the loops."""
_PRODUCT: dict[str, tuple[int, int]] = {
    "TILE_ROW": (2, 14), "TILE_COLUMN": (1, 4), "SPLIT_STEP": (16, 4096), "SPLIT_ROW": (16, 8192),
    "SPLIT_COLUMN": (16, 8192),
}  # fmt: skip
"""The blocks of a product, from least to most: rows and vectors of columns in registers; steps, rows and columns in the
caches."""
_LIMITS: dict[str, tuple[int, int]] = _PRODUCT | {
    "SPLIT": (_UNIT, 1 << 20), "TILE": (_UNIT, 4096), "UNROLL": (1, 8), "UNROLL_SCORES": (1, 8), "STAGE_STORES": (0, 1),
    "STAGE_NEXT_ROW": (0, 1), "STAGE_READS": (0, 1 << 16), "WINOGRAD_WINDOWS": (16, 4096),
}  # fmt: skip
CHOICES: dict[str, tuple[int | str, ...]] = {
    "STAGE_STORES": (0, 1),
    "STAGE_NEXT_ROW": (0, 1),
    "STAGE_READS": (0, 4096),
    "UNROLL": (1, 2, 4, 8),
    "UNROLL_SCORES": (1, 2, 4, 8),
    "SPLIT": (4096, 16384, 65536),
    "TILE": (64, 128, 256, 512, 1024, 2048),
    "SPLIT_STEP": (128, 192, 256, 384, 512),
    "SPLIT_COLUMN": (128, 256, 512, 1024),
    "SPLIT_ROW": (128, 256, 512, 1024),
    "WINOGRAD_WINDOWS": (64, 128, 256, 512),
    "TILE_ROW": (4, 6, 7, 8, 9, 10, 11, 12, 13, 14),
    "TILE_COLUMN": (1, 2, 3, 4),
    "PARALLELISE": SHARINGS,
}
"""What is worth trying for a rewrite's argument, by the name it has as a parameter (`Rewrite.parameter`)."""


class _NotHereError(Exception):
    """Why a rewrite may not be made here, and what may."""

    def __init__(self, why: str, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(why)


def applied(loops: Loops, rewrite: Rewrite) -> Loops:
    """The loops as the rewrite leaves them.

    Raises:
        IllegalRewriteError: it may not be made there.
    """
    try:
        _check_argument(rewrite)
        found = _product(loops, rewrite) if loops.product else _RULES[rewrite.name](loops, rewrite)
    except _NotHereError as error:
        raise IllegalRewriteError(str(error), where=f"{loops.name}: {rewrite}", remedy=error.remedy) from None
    return replace(found, rewrites=(*loops.rewrites, rewrite))


def candidates(loops: Loops) -> Iterator[Rewrite]:
    """Rewrites that may be legal, each with every argument that is worth trying."""
    forms: list[tuple[str, ...]] = []
    if loops.product:
        forms += [*_BLOCKS, ("unroll", "scores"), ("stage", "values"), ("stage", "right"), ("stage", "stores"),
                  ("tensorise", "tile"), ("winograd", "windows"), ("split_reduce", "step")]  # fmt: skip
    if not loops.product or not loops.rewrites:
        names = loops.names
        forms += [("fuse", a, b) for a, b in itertools.permutations(names, 2)]
        forms += [("interchange", a, b) for a, b in itertools.combinations(names, 2)]
        forms += [("online_reduce", what) for what in ("variance", "exponentials")]
        forms += [(name, "j") for name in ("split", "tile", "vectorise", "unroll")]
        forms += [("split_reduce", name) for name in names]
        shared = shareable(loops)
        forms += [("pipeline", name) for name in names]
        forms += [("parallelise", *shared[:count]) for count in range(1, len(shared) + 1)]
        forms += [("stage", what) for what in _STAGED]
    for name, *on in forms:
        form = Rewrite.of(name, *on)
        for argument in CHOICES.get(form.parameter, (None,)):
            yield form.model_copy(update={"argument": argument})


def missing(loops: Loops) -> Rewrite | None:
    """What must still be made before the loops can be written, without its argument."""
    needed: list[tuple[str, str]] = []
    if loops.product:
        needed = _TILE if loops.made("winograd") else _BLOCKS
    elif loops.order:
        needed = [*([("tile", "j")] if loops.kind in ("tiles", "columns") else []), ("vectorise", "j")]
    form = next(((name, on) for name, on in needed if not loops.made(name, on)), None)
    return None if form is None else Rewrite.of(*form)


def shareable(loops: Loops) -> list[str]:
    """Loops whose rounds need not know of each other, from outside in: `task` are the shares of a split reduction. The
    only loop around rows in turn is shared out in blocks."""
    if loops.made("split_reduce"):
        return ["task"]
    outer = [name for name, axis in zip(loops.names, loops.order, strict=True) if axis in loops.parallel]
    if loops.made("pipeline") and len(outer) > 1:  # from one of its rounds to the next
        outer.pop()
    return [*outer, "j"] if loops.made("split") or loops.made("tile") else outer


def _check_argument(rewrite: Rewrite) -> None:
    argument, limits = rewrite.argument, _LIMITS.get(rewrite.parameter)
    if rewrite.name == "parallelise":
        if argument not in SHARINGS:
            raise _NotHereError("it does not say how", f"end with one of {', '.join(SHARINGS)}")
    elif limits is None:
        if argument is not None:
            raise _NotHereError("it takes no number", f"write {rewrite.text(None)}")
    elif not isinstance(argument, int) or not limits[0] <= argument <= limits[1]:
        raise _NotHereError("its number is missing or out of range", f"from {limits[0]} to {limits[1]}")
    elif rewrite.parameter in ("SPLIT", "TILE") and argument % _UNIT:
        raise _NotHereError(f"blocks are a multiple of {_UNIT} positions long")


def _product(loops: Loops, rewrite: Rewrite) -> Loops:
    """Its blocks, what is shared out and packed, and how an attention's rows of scores become weights; or, with a
    rewrite of loops as the first one, plain loops."""
    alone = loops.product and not (loops.product.scores or loops.product.added)
    if alone and not loops.rewrites and set(rewrite.on) & set(loops.names):
        return _RULES[rewrite.name](replace(loops, product=None), rewrite)
    if loops.made(rewrite.name, rewrite.on[0]):
        raise _NotHereError("it was made already")
    if loops.made("winograd") and rewrite.name != "tile":
        raise _NotHereError("its results are made 2 x 2 at a time", "tile (row, column), nothing else")
    if len(rewrite.on) == 1 and rewrite.parameter in _PRODUCT:
        return loops
    if (rewrite.name, rewrite.on) == ("winograd", ("windows",)):
        return _winograd(loops)
    weights = loops.weights()
    if rewrite.name == "stage":
        return _stage_product(loops, weights, rewrite)
    if weights is not None and rewrite.parameter == "UNROLL_SCORES":
        return loops
    if (rewrite.name, rewrite.on) in (("split_reduce", ("step",)), ("tensorise", ("tile",))):
        return _shared_or_tensorised(loops, rewrite.name)
    raise _not_of_products()


def _shared_or_tensorised(loops: Loops, name: str) -> Loops:
    product = loops.product
    if product is None or product.scores is not None or (name == "tensorise" and not product.alone):
        raise _NotHereError("it is an attention, several products in one, or not all of its steps count")
    if loops.made("split_reduce") or loops.made("tensorise"):
        raise _NotHereError("shares of the steps are not multiplied by the matrix unit", "make one of the two")
    return loops


def _winograd(loops: Loops) -> Loops:
    if loops.product is None or not loops.product.winograd:
        raise _NotHereError("it adds up no windows of 3 x 3 that move by one, or its weights differ in a batch")
    if any(each.name != "tile" for each in loops.rewrites):
        raise _NotHereError("it comes before split, stage, tensorise and split_reduce, which it does without")
    return loops


def _stage_product(loops: Loops, weights: Loops | None, rewrite: Rewrite) -> Loops:
    """Its right side, its results, and an attention's weights."""
    if weights is not None and rewrite.on == ("values",):
        _stage(weights, rewrite)
    elif rewrite.on == ("right",):
        if loops.product is None or not loops.product.readable:
            raise _NotHereError("tiles cannot read the right side as it lies: it is packed anyway")
    elif rewrite.on == ("stores",):
        if not loops.nest().streamed:
            raise _NotHereError("its results are not whole rows of columns in memory, or it is an attention")
    else:
        raise _not_of_products()
    return loops


def _not_of_products() -> _NotHereError:
    return _NotHereError(
        "a product's loops are tiled (row, column) and split (step, row, column), its steps are shared out "
        "(split_reduce), its right side and its stores are staged, it is multiplied by tensorise or winograd",
        "nothing else, or begin with its plain loops",
    )


def _of_products_only(_: Loops, __: Rewrite) -> Loops:
    raise _NotHereError("it is about a product in blocks")


def _axes(loops: Loops, rewrite: Rewrite, count: int) -> list[Axis]:
    """The axes of the loops that a rewrite names."""
    found = [axis for name in rewrite.on if (axis := loops.axis(name)) is not None]
    if len(found) < len(rewrite.on) or len(set(found)) < count or len(found) > count:
        loops_there = ", ".join(loops.names) or "none"
        raise _NotHereError(f"it is about {count} of the loops", f"these are {loops_there}")
    return found


def _once(loops: Loops, name: str, on: str | None = None) -> None:
    if loops.made(name, on):
        raise _NotHereError("it was made already")


def _innermost(loops: Loops, rewrite: Rewrite) -> Axis:
    _once(loops, rewrite.name)
    (axis,) = _axes(loops, rewrite, 1)
    if axis is not loops.vector:
        raise _NotHereError("only the innermost loop can be", "interchange it with j first")
    return axis


def _check_first(loops: Loops) -> None:
    later = next((each for each in loops.rewrites if each.name not in _FIRST), None)
    if later is not None:
        raise _NotHereError(f"it comes before {later}")


def _fuse(loops: Loops, rewrite: Rewrite) -> Loops:
    _check_first(loops)
    first, second = _axes(loops, rewrite, 2)
    pairs = fusible(loops.stores, loops.kept, loops.reduced)
    if (first, second) not in pairs:
        raise _NotHereError("the second does not follow the first in every tensor, or not both keep or combine")
    return loops.fused((first, second))


def _interchange(loops: Loops, rewrite: Rewrite) -> Loops:
    _check_first(loops)
    first, second = _axes(loops, rewrite, 2)
    swap = {first: second, second: first}
    found = loops.reordered([swap.get(axis, axis) for axis in loops.order])
    apart = loops.vector not in (first, second) and len({first, second} & loops.kept) == 1
    if apart or found.order == loops.order:
        raise _NotHereError("loops that combine stay inside of those that keep")
    if not found.keeps_order():
        raise _NotHereError("positions or running results are counted along these loops in their order")
    if found.kind == "tiles" and loops.made("online_reduce", "exponentials"):
        raise _NotHereError("maxima and their sums are found together along rows only")
    if found.kind == "tiles" and any(node.op.startswith("arg") for node in found.passes.finals):
        raise _NotHereError("positions along the loops that keep are found a row at a time")
    return found


def _online_reduce(loops: Loops, rewrite: Rewrite) -> Loops:
    _check_first(loops)
    what = rewrite.on[0]
    _once(loops, rewrite.name, what)
    if rewrite.on == ("variance",):
        stores = tuple(in_one_sweep(loops.stores, loops.interner))
        if all(new.expr is old.expr for new, old in zip(stores, loops.stores, strict=True)):
            raise _NotHereError("there is no mean with a variance about it")
        return replace(loops, stores=stores)
    if rewrite.on == ("exponentials",):
        if not exponentials(loops.stores) or loops.vector not in loops.reduced:
            raise _NotHereError("there is no maximum with a sum of exponentials relative to it along j")
        return loops
    raise _NotHereError("it is about variance or exponentials")


def _split(loops: Loops, rewrite: Rewrite) -> Loops:
    _innermost(loops, rewrite)
    if loops.reduced:
        raise _NotHereError("loops that combine are inside", "tile(j, …) it, or split_reduce")
    return loops


def _tile(loops: Loops, rewrite: Rewrite) -> Loops:
    axis = _innermost(loops, rewrite)
    if not loops.reduced or axis in loops.reduced:
        raise _NotHereError("a tile is of a loop that keeps, around loops that combine")
    return loops


def _vectorise(loops: Loops, rewrite: Rewrite) -> Loops:
    axis = _innermost(loops, rewrite)
    if loops.reduced and axis not in loops.reduced and not loops.made("tile"):
        raise _NotHereError("its running results need an end", "tile(j, …) first")
    return loops


def _unroll(loops: Loops, rewrite: Rewrite) -> Loops:
    axis = _innermost(loops, rewrite)
    if axis not in loops.reduced or not loops.made("vectorise"):
        raise _NotHereError("only a vectorised loop that combines has several results side by side")
    if not any(sweep.reductions and not sweep.scans for sweep in loops.nest().sweeps):
        raise _NotHereError("each result follows from the one before it")
    return loops


def _parallelise(loops: Loops, rewrite: Rewrite) -> Loops:
    _once(loops, "parallelise")
    there = shareable(loops)
    if list(rewrite.on) != there[: len(rewrite.on)]:
        said = f"outermost first: {', '.join(there)}" if there else ""
        raise _NotHereError("these loops cannot be shared out", said)
    return loops


def _pipeline(loops: Loops, rewrite: Rewrite) -> Loops:
    _once(loops, "pipeline")
    (axis,) = _axes(loops, rewrite, 1)
    if loops.kind != "rows" or loops.parallel[-1:] != (axis,):
        raise _NotHereError("only the loop that goes from row to row can be")
    if loops.made("stage", "next_row") or loops.made("parallelise"):
        raise _NotHereError("it comes before stage(next_row) and parallelise")
    sweeps = loops.nest().sweeps
    if len(sweeps) < 2 or sweeps[0].scans or sweeps[-1].scans:
        raise _NotHereError("a row has one sweep, or one whose results follow from each other")
    return loops


def _split_reduce(loops: Loops, rewrite: Rewrite) -> Loops:
    _once(loops, "split_reduce")
    (axis,) = _axes(loops, rewrite, 1)
    outermost = next((each for each in loops.order if each in loops.reduced), None)
    if axis is not outermost:
        raise _NotHereError("only the outermost loop that combines can be")
    if loops.parallel or loops.made("parallelise") or loops.made("stage"):
        raise _NotHereError("its tasks would not be the outermost loop")
    if loops.made("online_reduce", "exponentials") or any(isinstance(node, Scan) for node in loops.nodes):
        raise _NotHereError("its partial results cannot be combined")
    if loops.vector in loops.kept and any(isinstance(n, Reduce) and n.op.startswith("arg") for n in loops.nodes):
        raise _NotHereError("positions are found by one task")
    return loops


def _stage(loops: Loops, rewrite: Rewrite) -> Loops:
    what = rewrite.on[0]
    _once(loops, "stage", what)
    if len(rewrite.on) > 1 or what not in _STAGED:
        raise _NotHereError(f"it is about one of {', '.join(_STAGED)}")
    if not _STAGED[what](loops):
        raise _NotHereError("there is nothing of the kind")
    return loops


def _keeps(loops: Loops) -> bool:
    return loops.kind == "rows" and not loops.inner and bool(loops.passes.again(loops.order[-1]))


def _columns(loops: Loops) -> bool:
    return loops.kind == "map" and bool(loops.parallel) and bool(loops.passes.of_columns(loops.order[-1]))


def _reads(loops: Loops) -> bool:
    nest = loops.nest()
    return any(nest.streams(sweep) for sweep in nest.sweeps)


_STAGED: dict[str, Callable[[Loops], object]] = {
    "values": _keeps,
    "columns": _columns,
    "stores": lambda loops: loops.nest().streamed,
    "next_row": lambda loops: loops.nest().next_row(),
    "reads": _reads,
}
_RULES: dict[str, Callable[[Loops, Rewrite], Loops]] = {
    "fuse": _fuse, "interchange": _interchange, "split": _split, "tile": _tile, "vectorise": _vectorise,
    "unroll": _unroll, "parallelise": _parallelise, "pipeline": _pipeline, "stage": _stage,
    "split_reduce": _split_reduce, "online_reduce": _online_reduce, "tensorise": _of_products_only,
    "winograd": _of_products_only,
}  # fmt: skip
