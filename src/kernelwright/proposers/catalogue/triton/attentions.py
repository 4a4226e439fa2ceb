"""Attention as a Triton kernel: a program goes along the keys with a block of queries, keeps the largest score and the
sum of weights so far, and corrects what it has summed up when a larger score comes.

As FlashAttention-2 (Dao, 2023), for any elementwise work on the scores. Where a mask leaves a row the keys up to its
own place, keys beyond the block's last row are not read, and only blocks at the edge look at the mask.
"""

from __future__ import annotations

import math
from dataclasses import replace

from kernelwright.proposers.catalogue.ir import Apply, Const, Expr, Reduce
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.products import Product, attention
from kernelwright.proposers.catalogue.triton.expressions import Emitter, literal
from kernelwright.proposers.catalogue.triton.functions import Function, described
from kernelwright.proposers.catalogue.triton.softmaxes import Softmax, in_twos, reach, softmax, unmasked
from kernelwright.proposers.catalogue.triton.tiles import Side, Tiles

NUMBERS = ("BLOCK_M", "BLOCK_N", "HEAD_K", "HEAD_N")
"""Blocks of queries and of keys; the numbers of a query and of a value, rounded up to a power of two."""
_NAMES = (
    "tile_m", "blocks", "batch", "row", "column", "query", "keys", "values", "score", "largest", "total", "result",
    "whole", "last", "key", "key_down", "step", "step_down", "value", "above", "weight", "shrink", "taken", *NUMBERS,
)  # fmt: skip
_WIDEST = 256
"""Numbers of a query or a value that a block can be wide."""


def render(nest: Nest) -> Function:
    """An attention with what is made of its results, as a kernel."""
    found = nest.product
    assert found is not None and found.scores is not None  # the caller has checked
    weights = softmax(found.left, found.k)
    assert weights is not None
    return _Attention(nest, found, found.scores, weights).function()


class _Attention(Tiles):
    """The text of one attention while it is written."""

    def __init__(self, nest: Nest, product: Product, scores: Product, weights: Softmax) -> None:
        super().__init__(nest, product, _NAMES)
        self.scores, self.weights, self.exponents = scores, weights, in_twos(weights.value)
        self.rows = Side(self.group(product.m, "row", "[:, None]"), "tile_m * BLOCK_M", "BLOCK_M")
        self.columns = Side(self.group(product.n, "column", "[None, :]"), "0", "HEAD_N")
        self.keys = Side(self.group(product.k, "key", "[None, :]"), "start", "BLOCK_N")
        self.keys_down = Side(self.group(product.k, "key_down", "[:, None]"), "start", "BLOCK_N")
        self.steps = Side(self.group(scores.k, "step", "[None, :]"), "0", "HEAD_K", summed=True)
        self.steps_down = Side(self.group(scores.k, "step_down", "[:, None]"), "0", "HEAD_K", summed=True)

    def function(self) -> Function:
        """The finished kernel."""
        product = self.product
        body = self.emitter(self.rows.group, self.columns.group)
        body.put(*described(self.nest))
        body.put(f"blocks = tl.cdiv({self.size(product.m)}, BLOCK_M)")
        place = self.place_batch(body, "tl.program_id(0)", "blocks")
        body.put(
            "# Blocks with most keys before them first: the others fill what is left at the end.",
            f"tile_m = blocks - 1 - {place}",
        )
        wide = ".to(tl.int64)" if self.wide else ""
        for side in (replace(self.rows, at=f"tile_m{wide} * BLOCK_M"), self.columns):
            body.put(side.placed, *body.space.positions(side.group))
        query = self.emitter(self.rows.group, self.steps.group)
        self.tile(query, "query", self.scores.left, self.rows, self.steps)
        self.placed(body, query, (self.steps,))
        body.put(
            'largest = tl.full((BLOCK_M, 1), float("-inf"), tl.float32)',
            "total = tl.zeros((BLOCK_M, 1), tl.float32)",
            "result = tl.zeros((BLOCK_M, HEAD_N), tl.float32)",
        )
        self._sweeps(body)
        body.known |= {
            self.weights.most: "largest" if self.exponents is None else f"(largest * {math.log(2)})",
            self.weights.total: "total",
        }
        body.count([self.weights.share])
        body.put(f"result = result * {body.text(self.weights.share)}")
        body.known[product.total] = "result"
        self.write(body)
        return self.finished(body, NUMBERS)

    def _sweeps(self, body: Emitter) -> None:
        """Along keys that all count, then along those at the edge."""
        keys, counts, value = self.size(self.product.k), self.scores.counts, self.exponents or self.weights.value
        if counts is None:
            body.put(f"whole = {keys} // BLOCK_N * BLOCK_N")
            self._sweep(body, "0, whole", value, edge=False)
            body.put(f"if {keys} % BLOCK_N:")
            inner = body.inner()
            self._sweep(inner, f"whole, {keys}", value, edge=True)
            body.lines += inner.lines
            return
        beyond, inside = reach(counts, self.product), unmasked(value, counts)
        if beyond is None or inside is None:
            self._sweep(body, f"0, {keys}", value, edge=True)
            return
        body.put(
            f"last = max(0, min({keys}, (tile_m + 1) * BLOCK_M + {beyond}))",
            f"whole = max(0, min(last, tile_m * BLOCK_M + {beyond + 1})) // BLOCK_N * BLOCK_N",
        )
        self._sweep(body, "0, whole", inside, edge=False)
        self._sweep(body, "whole, last", value, edge=True)

    def _sweep(self, body: Emitter, bounds: str, value: Expr, *, edge: bool) -> None:
        """Blocks of keys one after the other; those at the edge may have keys that do not count, or are none. `value`
        is the power that a weight is."""
        body.put(f"for start in tl.range({bounds}, BLOCK_N):")
        loop = self.emitter(self.rows.group, self.keys.group, depth=body.depth + 1)
        self.tile(loop, "keys", self.scores.right, self.steps_down, self.keys)
        loop.put(f"score = tl.dot(query, keys{self.precision})")
        loop.known[self.scores.total] = "score"
        highest, exponent = self._exponent(loop, value, edge=edge)
        power = self.scope.function("exp_nonpos", "float32") if self.exponents is None else "tl.exp2"
        loop.put(
            f"above = tl.maximum(largest, {highest})",
            'taken = tl.where(above == float("-inf"), 0.0, above)',
            f"weight = {power}({exponent} - taken)",
            f"shrink = {power}(largest - taken)",
            "total = total * shrink + tl.sum(weight, 1, keep_dims=True)",
            "largest = above",
        )
        self.tile(loop, "values", self.product.right, self.keys_down, self.columns)
        half = f".to(tl.{self.half})" if self.half else ""
        if edge:
            loop.put(
                f"if {self.size(self.product.k)} % BLOCK_N:  # a weight of 0 makes no number of what is none",
                f"    values = tl.where({self.keys_down.group.mask[1:-1]}, values, 0.0){half}",
            )
        loop.put(f"result = tl.dot(weight{half}, values, result * shrink{self.precision})")
        self.placed(body, loop, (self.keys, self.keys_down, self.steps_down))

    def _exponent(self, loop: Emitter, value: Expr, *, edge: bool) -> tuple[str, str]:
        """The largest exponent of each row, and all of them."""
        # A scale is left to the subtraction that follows, with which it is one instruction.
        match value:
            case Apply(op="mul", operands=(scores, Const(value=scale) as factor)) if scale > 0 and not edge:
                loop.count([scores])
                text = loop.text(scores)
                return f"tl.max({text}, 1, keep_dims=True) * {literal(factor)}", f"{text} * {literal(factor)}"
        loop.count([value])
        text = loop.value(value)
        loop.put(
            f'value = tl.where({self.keys.group.mask[1:-1]}, {text}, float("-inf"))' if edge else f"value = {text}"
        )
        return "tl.max(value, 1, keep_dims=True)", "value"


def attends(node: Expr) -> bool:
    """Whether a product is an attention that a kernel can compute."""
    if not isinstance(node, Reduce) or (found := attention(node)) is None:
        return False
    weights, scores = found
    widths = (math.prod(axis.size for axis in axes) for axes in (node.free - weights.free, scores.axes))
    return softmax(weights, node.axes) is not None and max(widths) <= _WIDEST
