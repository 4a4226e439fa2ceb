"""Sketches: what is understood, what is found wrong, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sketch_text import write

from kernelwright.proposers.llm import sketch
from kernelwright.proposers.llm.reply import fenced
from kernelwright.proposers.llm.sketch import SketchError, nodes, parse
from kernelwright.proposers.llm.templates import shipped
from kernelwright.targets.base import TargetInfo

ROOM = {"register": 512, "l1": 32_768, "l2": 1 << 20}

HEAD = """\
sketch t
symbol M = 64
symbol N = 100
symbol K
input x: float32[M, N]
input z: float32[K]
output y: float32[M, N]
"""
GOOD = """\
for i in 0..M step 8 @parallel:
    alloc b: float32[8, N] in l1
    load b <- x[i:i+8, :]
    compute b from b: twice as much
    store b -> y[i:i+8, :]
"""


def problems(text: str) -> list[str]:
    return [str(each) for each in sketch.check(parse(text), ROOM)]


def test_a_sketch_that_holds_has_no_problems() -> None:
    assert problems(HEAD + GOOD) == []


@pytest.mark.parametrize("shown", ["prompt", "docs"])
def test_the_examples_hold(shown: str) -> None:
    values = {"sketch_dtypes": "", "sketch_hints": "", "sketch_memories": "", "sketch_near": "l1"}
    prompt = shipped().render("parts/sketch_language.md.j2", values)
    docs = Path(__file__).parents[2] / "docs" / "sketch.md"
    (example,) = fenced(prompt if shown == "prompt" else docs.read_text())
    assert sketch.check(parse(example), ROOM) == ()


WRONG = [
    ("@parallel", "@paralel", 8, "there is no hint @paralel; did you mean parallel?"),
    ("@parallel", "@unroll(0)", 8, "@unroll(0) does nothing"),
    ("step 8", "step 7", 8, "M is no multiple of the step 7; write `tail` after the step"),
    ("0..M", "0..K", 8, "K is not surely a multiple of the step 8"),
    ("0..M", "M..M", 8, "the range is empty"),
    ("0..M", "0..Q", 8, "Q is no symbol and no loop's variable here; there is one of K, M, N"),
    ("step 8", "step 0", 8, "the step is 0"),
    ("float32[8, N]", "float32[8, N, N]", 9, "b takes 320 kB; l1 has 32.8 kB"),
    ("float32[8, N] in l1", "float31[8, N] in l1", 9, "there is no dtype float31; did you mean float32?"),
    ("in l1", "in shared", 9, "this device has no memory shared; write one of l1, l2, register"),
    ("alloc b:", "alloc x:", 9, "x is there already"),
    ("load b <- x[i:i+8, :]", "load b <- x[i:i+4, :]", 10, "x[...] has [4, 100] here and b has [8, 100]"),
    ("load b <- x[i:i+8, :]", "load b <- x[i, :]", 10, "has [100] here and b has [8, 100]"),
    ("load b <- x[i:i+8, :]", "load b <- x[i:i+8]", 10, "x has 2 dimensions, not 1"),
    ("load b <- x[i:i+8, :]", "load b <- w[i:i+8, :]", 10, "there is no input or output w"),
    ("load b <- x[i:i+8, :]", "load b <- x[i+1:i+9, :]", 10, "beyond the M of x; keep within it, or write `clip`"),
    ("load b <- x[i:i+8, :]", "load b <- x[i-1:i+7, :]", 10, "begins before x does"),
    ("load b <- x[i:i+8, :]", "load b <- y[i:i+8, :]", 10, "y is loaded before anything is stored to it"),
    ("    load b <- x[i:i+8, :]\n", "", 10, "b is used before anything is in it; load it or compute it first"),
    ("compute b from b", "compute b from c", 11, "there is no buffer c here; there is one of b"),
    ("compute b from b", "compute y from b", 11, "y is no buffer"),
    ("store b -> y[i:i+8, :]", "store b -> y[i:i+8, 1:N+1]", 12, "reaches beyond the N of y; keep within it"),
    ("store b -> y[i:i+8, :]", "store b -> x[i:i+8, :]", 12, "x is an input"),
    ("    compute b", "    leave from c: c is 0\n    compute b", 11, "there is no buffer c here"),
    ("    compute b", "    leave from b: b is 0\n    compute b", 11, "over i is @parallel, so it cannot be left"),
    ("for i in", "leave: always\nfor i in", 8, "there is no loop here that could be left"),
    ("0..M", "0..min(M, K)", 8, "min(M, K) is not surely a multiple of the step 8"),
    ("0..M", "0..min(M, 44)", 8, "min(M, 44) is no multiple of the step 8"),
    ("load b <- x[i:i+8, :]", "load b <- x[0:min(4, N), :]", 10, "x[...] has [4, 100] here and b has [8, 100]"),
    ("    store b -> y[i:i+8, :]\n", "", 7, "nothing is stored to the output y; add `store BUFFER -> y[...]`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "said"), WRONG)
def test_what_does_not_hold_is_named_with_its_line_and_what_to_do(old: str, new: str, line: int, said: str) -> None:
    assert GOOD.count(old) == 1
    found = problems(HEAD + GOOD.replace(old, new))
    assert any(each.startswith(f"line {line}: ") and said in each for each in found), found


FINE = [
    ("0..M step 8", "0..60 step 8 tail"),
    ("0..M step 8 @parallel", "0..M step 8 tail @parallel @pipeline(2) @vectorize @unroll(4)"),
    ("load b <- x[i:i+8, :]", "load b <- x[i-1:i+7, :] clip"),
    ("load b <- x[i:i+8, :]", "load b <- x[i:i+2*(5-1), 0:N]"),
    ("alloc b: float32[8, N]", "alloc b: float32[8, 50 + N - 50]"),
    ("0..M step 8", "0..min(M, K) step 8 tail"),
    ("0..M step 8", "0..min(min(M, K), 2*(K + 1)) tail"),
    ("load b <- x[i:i+8, :]", "load b <- x[i:min(i+8, M), :]"),
    ("load b <- x[i:i+8, :]", "load b <- x[min(i, M-8):min(i+8, M), :]"),
    ("step 8 @parallel:", "step 8:\n    leave: nothing is left to do"),
    ("    load b", "    alloc min: float32[N] in l1\n    load min <- x[?, :]\n    load b"),
    ("    load b", "    alloc c: float32[N] in l1\n    load c <- x[?, :]\n    load b"),
    ("    load b", "    alloc c: float32[] in register\n    load c <- z[K - 1]\n    load b"),
]


@pytest.mark.parametrize(("old", "new"), FINE)
def test_what_may_hold_is_let_through(old: str, new: str) -> None:
    assert problems(HEAD + GOOD.replace(old, new)) == []


def test_buffers_that_live_together_share_their_memory() -> None:
    two = GOOD.replace("    load", "    alloc c: float64[64, 62] in l1\n    load", 1)
    (said,) = problems(HEAD + two)
    assert "c takes 31.7 kB beside the 3.20 kB that others take; l1 has 32.8 kB" in said
    apart = f"{HEAD}{GOOD}for j in 0..M:\n    alloc d: float64[64, 62] in l1\n"
    assert problems(apart) == []


MALFORMED = [
    ("", "line 1: the sketch is empty; begin with `sketch NAME`"),
    ("symbol N", "line 1: a sketch begins with `sketch NAME`"),
    ("sketch t\nfuse x", "line 2: no statement begins with `fuse`; there are symbol, input"),
    ("sketch t\nfor i to 8:\n    symbol N", "line 2: `to` stands where `in` should be; write `for NAME in START..STOP"),
    ("sketch t\nfor i in 0..8\n    symbol N", "line 2: the line ends where `:` should be"),
    ("sketch t\nfor i in 0..8:", "line 2: the loop is empty"),
    ("sketch t\nsymbol N\n    symbol M", "line 3: it is indented deeper than its block"),
    ("sketch t\ninput x: float32[8 / 2]", "line 2: `/` means nothing here"),
    ("sketch t\nsymbol for = 2", "line 2: `for` stands where a name of at most 60 letters"),
    ("sketch t\nsymbol N = 1234567890123", "line 2: `1234567890123` stands where a number of at most 12 digits"),
    ("sketch t\nalloc b: float32[8]", "line 2: the line ends where `in` should be"),
    ("sketch t\ncompute a from b:", "line 2: it does not say what is computed"),
    ("sketch t\nfor i in 0..8:\n    leave", "line 3: it does not say when; write `leave from SOURCE, ...: WHEN`"),
    ("sketch t\nfor i in 0..min(8):", "line 2: `)` stands where `,` should be"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), MALFORMED)
def test_what_is_no_sketch_is_named_with_its_line_and_form(text: str, said: str) -> None:
    with pytest.raises(SketchError) as error:
        parse(text)
    assert said in str(error.value)


def test_each_line_that_is_wrong_is_named() -> None:
    with pytest.raises(SketchError) as error:
        parse("sketch t\nsymbl N\nfor i:\n    load a < b\nstore c")
    assert [each.line for each in error.value.problems] == [2, 3, 4, 5]


HOSTILE = [
    "sketch t\n" + "".join(f"{' ' * depth}for v{depth} in 0..9:\n" for depth in range(30)),
    "sketch t\nalloc b: float32[" + "(" * 30_000 + ") in l1",
    "sketch t\nalloc b: float32[" + "min(1, " * 60 + "1" + ")" * 60 + "] in l1",
    "sketch t\nalloc b: float32[" + "1+" * 15_000 + "1] in l1",
    "sketch t\n" + "x" * 39_000,
    "sketch t\nsymbol " + "x" * 39_000,
    "sketch t\n" + " " * 50_000,
    "sketch " + "\n" * 39_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(SketchError):
        parse(text)


def test_sizes_that_explode_are_refused() -> None:
    names = [f"a{number}" for number in range(40)]
    product = "*".join(f"({left} + {right})" for left, right in zip(names[::2], names[1::2], strict=True))
    text = "sketch t\n" + "".join(f"symbol {name}\n" for name in names) + f"alloc b: float32[{product}] in l1\n"
    assert problems(text) == ["line 42: a size is too complicated; name it with `symbol NAME = NUMBER`"]


def test_sizes_beyond_all_memory_are_refused() -> None:
    huge = "*".join(["999999999999"] * 40)
    (said,) = problems(f"sketch t\nalloc b: float32[{huge}] in l1\n")
    assert "too complicated" in said


def test_memories_are_those_of_the_device() -> None:
    device = TargetInfo(
        name="cpu", model="m", cores=1, simd="avx512", vector_bytes=64, l1_bytes=1, l2_bytes=2, l3_bytes=0,
        memory_bytes=9, key="k",
    )  # fmt: skip
    assert sketch.memories(device) == {"register": 2048, "l1": 1, "l2": 2, "cache": 2, "stack": 1 << 20}
    gpu = device.model_copy(update={"multiprocessors": 3})
    assert sketch.memories(gpu) == {"register": 1 << 18, "shared": 1, "l2": 2}


names = st.sampled_from(["a", "b", "tile_0", "M", "N2"])
expressions = st.recursive(
    st.builds(nodes.Number, st.integers(0, 10**12 - 1)) | st.builds(nodes.Name, names),
    lambda inner: st.builds(nodes.Operation, st.sampled_from(["+", "-", "*", "min"]), inner, inner),
    max_leaves=6,
)
types = st.builds(nodes.Type, names, st.lists(expressions, max_size=3).map(tuple))
indices = st.one_of(
    st.just(nodes.Whole()),
    st.just(nodes.Somewhere()),
    st.builds(nodes.At, expressions),
    st.builds(nodes.Span, expressions, expressions),
)
regions = st.builds(nodes.Region, names, st.lists(indices, max_size=3).map(tuple))
hints = st.builds(nodes.Hint, names, st.none() | st.integers(0, 99))
some_names = st.lists(names, max_size=3).map(tuple)
texts = st.text("xyz+*[]#:, 0", min_size=1).map(str.strip).filter(bool)
leaves = st.one_of(
    st.builds(nodes.Symbol, names, st.none() | st.integers(0, 10**12 - 1)),
    st.builds(nodes.Tensor, st.sampled_from(["input", "output"]), names, types),
    st.builds(nodes.Alloc, names, types, names),
    st.builds(nodes.Load, names, regions, st.booleans()),
    st.builds(nodes.Store, names, regions),
    st.builds(nodes.Compute, some_names.filter(bool), some_names, texts),
    st.builds(nodes.Leave, some_names, texts),
)
statements = st.recursive(
    leaves,
    lambda inner: st.builds(
        nodes.Loop, names, expressions, expressions, expressions, st.booleans(), st.lists(hints, max_size=2).map(tuple),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.builds(nodes.Sketch, names, st.lists(statements, max_size=4).map(tuple)))
def test_what_is_written_is_read_as_the_same_and_can_be_checked(made: nodes.Sketch) -> None:
    assert parse(write(made)) == made
    sketch.check(made, ROOM)
