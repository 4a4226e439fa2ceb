"""The gap on whole graphs: whatever operations follow each other, honest float32 arithmetic in any order is admitted,
and fewer bits are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernelwright.judge import numerics
from kernelwright.tasks import Tolerance
from kernelwright.tasks.host_trace import Trace

Tensor = torch.Tensor
VISIBLE = 100.0
"""Times the reference's own mean error: a shortcut that leaves less is hidden by what follows it, such as a product
whose softmax is small beside the bias that is added."""


class Arithmetic:
    """How sums are carried out, and what a result is rounded to; plain torch."""

    def total(self, x: Tensor) -> Tensor:
        return x.sum(-1, keepdim=True)

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b

    def rounded(self, x: Tensor) -> Tensor:
        return x


class InOrder(Arithmetic):
    """One chain of additions an element."""

    def total(self, x: Tensor) -> Tensor:
        return x.cumsum(-1)[..., -1:] if x.dtype == torch.float64 else _chain(x.unbind(-1))[..., None]

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        return _chain([a[:, k : k + 1] * b[k : k + 1] for k in range(a.shape[1])])


class Lanes(Arithmetic):
    """Sixteen running sums, added up at the end, as a vectorised loop leaves them."""

    def total(self, x: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(x, (0, -x.shape[-1] % 16))
        return _chain(_chain(padded.split(16, -1)).split(1, -1))


class Blocked(Arithmetic):
    """Partial sums of 37 terms, added up."""

    def total(self, x: Tensor) -> Tensor:
        return _chain([part.sum(-1, keepdim=True) for part in x.split(37, -1)])

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        return _chain([left @ right for left, right in zip(a.split(37, 1), b.split(37, 0), strict=True)])


class Pairwise(Arithmetic):
    """Halves, added up."""

    def total(self, x: Tensor) -> Tensor:
        return _pairs(list(x.split(1, -1)))

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        return _pairs([a[:, k : k + 1] * b[k : k + 1] for k in range(a.shape[1])])


class Compensated(Arithmetic):
    """Sums as exact as float32 can say them."""

    def total(self, x: Tensor) -> Tensor:
        return x.double().sum(-1, keepdim=True).to(x.dtype)

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.double() @ b.double()).to(a.dtype)


@dataclass
class Fewer(Arithmetic):
    """Operands of products in fewer bits, and what is handed on too if it is `stored` in them."""

    narrow: Callable[[Tensor], Tensor]
    stored: bool

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        return self.narrow(a) @ self.narrow(b)

    def rounded(self, x: Tensor) -> Tensor:
        return self.narrow(x) if self.stored else x


def tf32(x: Tensor) -> Tensor:
    """Ten bits of mantissa."""
    return ((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


HONEST = [Lanes(), Blocked(), Pairwise(), Compensated()]
CENTRES = "layer_norm"
"""What follows takes a row's mean off: one long chain, wrong by as much as it is long, may be magnified without end."""
FEWER = {
    "tf32": Fewer(tf32, stored=False),
    "fp16": Fewer(lambda x: x.half().float(), stored=True),
    "bf16": Fewer(lambda x: x.bfloat16().float(), stored=True),
}


def _chain(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total


def _pairs(parts: list[Tensor]) -> Tensor:
    while len(parts) > 1:
        parts = [_chain(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    return parts[0]


def softmax(how: Arithmetic, x: Tensor, _: Tensor) -> Tensor:
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / how.total(e)


def layer_norm(how: Arithmetic, x: Tensor, w: Tensor) -> Tensor:
    centred = x - how.total(x) / x.shape[-1]
    return centred * (how.total(centred * centred) / x.shape[-1] + 1e-5).rsqrt() * w


def rms_norm(how: Arithmetic, x: Tensor, w: Tensor) -> Tensor:
    return x / (how.total(x * x) / x.shape[-1] + 1e-5).sqrt() * w


OPS: dict[str, Callable[[Arithmetic, Tensor, Tensor], Tensor]] = {
    "softmax": softmax,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "silu": lambda how, x, _: x * torch.sigmoid(x),
    "tanh": lambda how, x, _: torch.tanh(x),
    "relu": lambda how, x, _: torch.relu(x),
    "scale": lambda how, x, w: x * w,
    "bias": lambda how, x, w: x + w,
    "log_sum_exp": lambda how, x, _: x + how.total((x - x.amax(-1, keepdim=True)).exp()).log(),
}


@dataclass(frozen=True)
class Graph:
    """Operations by name, one after the other, `dot N` being a product with N columns; `ends` says whether rows are
    added up at the end."""

    rows: int
    width: int
    steps: tuple[str, ...]
    ends: bool
    seed: int

    def inputs(self) -> list[Tensor]:
        """The first operand, then one for each step."""
        torch.manual_seed(self.seed)
        drawn, width = [torch.randn(self.rows, self.width)], self.width
        for step in self.steps:
            if step.startswith("dot"):
                columns = int(step.split()[1])
                drawn.append(torch.randn(width, columns) / width**0.5)
                width = columns
            else:
                drawn.append(torch.rand(width) + 0.5)
        return drawn

    def run(self, how: Arithmetic, inputs: Sequence[Tensor]) -> Tensor:
        """Its output."""
        x = how.rounded(inputs[0])
        for step, w in zip(self.steps, inputs[1:], strict=True):
            x = how.rounded(how.dot(x, w) if step.startswith("dot") else OPS[step](how, x, w))
        return how.total(x) if self.ends else x


DOTS = st.integers(17, 96).map(lambda columns: f"dot {columns}")
GRAPHS = st.builds(
    Graph,
    rows=st.integers(33, 60),
    width=st.sampled_from([64, 100, 256]),
    steps=st.lists(st.one_of(DOTS, st.sampled_from(sorted(OPS))), min_size=1, max_size=5).map(tuple),
    ends=st.booleans(),
    seed=st.integers(0, 1 << 30),
)


class Measured:
    """A graph's answer as the judge keeps it, in float64 and in float32, and what is allowed."""

    def __init__(self, graph: Graph) -> None:
        self.inputs = graph.inputs()
        with Trace() as trace:
            own = graph.run(Arithmetic(), self.inputs)
        sums = trace.sums.of([own])
        self.exact = graph.run(Arithmetic(), [x.double() for x in self.inputs]).numpy()
        self.magnitude = numerics.scale(self.exact, "float32")
        self.own = self.errors(own)
        self.bound = numerics.bound(self.own, "float32", sums.terms, Tolerance(), sums.chain)

    def errors(self, got: Tensor, exact: np.ndarray | None = None) -> numerics.Errors:
        """Those of a float32 result."""
        flat = np.ascontiguousarray(got.numpy()).reshape(-1)
        want = self.exact if exact is None else exact
        return numerics.errors(lambda start, stop: flat[start:stop], "float32", want, self.magnitude)

    def admitted(self, got: Tensor) -> list[bool]:
        """Whether a result is right, by the float64 answer and by the one rounded to float32."""
        kept = [(self.exact, self.bound), numerics.narrowed(self.exact, "float32", self.bound)]
        return [bound.admits(self.errors(got, exact)) for exact, bound in kept]


@settings(max_examples=60, deadline=None)
@given(graph=GRAPHS)
def test_any_order_of_float32_arithmetic_is_admitted(graph: Graph) -> None:
    measured = Measured(graph)

    for how in HONEST if CENTRES in graph.steps else [InOrder(), *HONEST]:
        got = graph.run(how, measured.inputs)
        assert all(measured.admitted(got)), f"{type(how).__name__}: {measured.errors(got)}, allowed {measured.bound}"


@settings(max_examples=60, deadline=None)
@given(graph=GRAPHS, bits=st.sampled_from(sorted(FEWER)))
def test_fewer_bits_are_not_whatever_the_graph(graph: Graph, bits: str) -> None:
    measured = Measured(graph)
    got = graph.run(FEWER[bits], measured.inputs)
    found = measured.errors(got)
    assume(found.mean > VISIBLE * max(measured.own.mean, 2.0**-26))

    assert not any(measured.admitted(got)), f"{bits}: {found}, allowed {measured.bound}"
