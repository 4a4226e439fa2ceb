from __future__ import annotations

import ast
import math
import string
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernelwright.proposers import params
from kernelwright.proposers.params import Parameters, ParametersError, Value

KERNEL = '''\
"""A kernel with a ünïcode docstring, and PARAMS = {"no": 1} in it."""
import torch  # PARAMS = {"UNROLL": 9}

PARAMS = {"UNROLL": 4, "STREAM": 1}  # the values in force
SPACE = {"UNROLL": [1, 2, 4, 8], "STREAM": [0, 1]}
CONSTRAINTS = ["UNROLL * 8 <= 64"]

SOURCE = "".join(f"#define {k} {v}\\n" for k, v in PARAMS.items()) + r"""int x = '{"UNROLL": 4}';"""


class ModelNew(torch.nn.Module):
    PARAMS = {"inner": 1}
'''

texts = st.text("ab'\"\\{}\n\r☃é\ud800 #", max_size=6)
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.integers(-(2**63), 2**63) | floats | texts | st.booleans()
names = st.text(string.ascii_letters + "_é", min_size=1, max_size=8).filter(str.isidentifier)
dicts = st.dictionaries(names, values, max_size=5)
filler = st.sampled_from(
    ["", "import torch\n", "# ünï ☃ {}\n", 'X = """\nPARAMS = {}\n"""\n', "if True:\n    pass\n", "\f\n", "y = 1; "]
)


def declare(point: dict[str, Value], before: str = "", after: str = "") -> str:
    space = {name: [value] for name, value in point.items()}
    return f"{before}PARAMS = {point!r}; SPACE = {space!r}\n{after}"


def exact(point: Any) -> list[tuple[str, str, Value]]:
    return [(name, type(value).__name__, value) for name, value in point.items()]


def test_what_a_kernel_declares() -> None:
    found = params.read(KERNEL)
    assert found == Parameters(
        {"UNROLL": 4, "STREAM": 1}, {"UNROLL": (1, 2, 4, 8), "STREAM": (0, 1)}, ("UNROLL * 8 <= 64",)
    )
    assert found is not None
    assert found.size == 8
    assert len(list(found.points())) == 8


def test_rewriting_touches_the_one_literal() -> None:
    rewritten = params.rewrite(KERNEL, {"UNROLL": 8, "STREAM": 0})
    assert rewritten == KERNEL.replace('{"UNROLL": 4, "STREAM": 1}  #', '{"UNROLL": 8, "STREAM": 0}  #')


@given(dicts, st.data(), filler, filler)
def test_rewritten_values_are_read_back_and_nothing_else_changes(
    point: dict[str, Value], data: st.DataObject, before: str, after: str
) -> None:
    new = {name: data.draw(values) for name in point}
    source = declare(point, before, after)
    assert exact(params.read(source).values) == exact(point)  # type: ignore[union-attr]
    rewritten = params.rewrite(source, new)
    literal = next(
        s.value for s in ast.parse(rewritten).body if isinstance(s, ast.Assign) and s.targets[0].id == "PARAMS"
    )
    assert exact(ast.literal_eval(literal)) == exact(new)
    assert params.rewrite(rewritten, point) == params.rewrite(source, point)
    head, tail = f"{before}PARAMS = ", source[source.index("; SPACE") :]
    assert rewritten.startswith(head)
    assert rewritten.endswith(tail)
    assert params.family(rewritten) == params.family(source) == f"{head}{{}}{tail}"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_newlines_and_wide_characters_before_the_literal_do_not_shift_it(newline: str) -> None:
    lines = ["# ☃ é", "x = 'é☃'; PARAMS = {'A': 1,", "  'B': 2}; y = '☃'", "SPACE = {'A': [1, 2]}", ""]
    source = newline.join(lines)
    expected = newline.join(["# ☃ é", "x = 'é☃'; PARAMS = {\"A\": 2, \"B\": 2}; y = '☃'", *lines[3:]])
    assert params.rewrite(source, {"A": 2, "B": 2}) == expected


@pytest.mark.parametrize(
    "source",
    ["", "PARAMS = {'A': 1}", "SPACE = {'A': [1]}", "def f(:", "\0", "(" * 5000, "PARAMS: dict\nSPACE: dict", "\ud800",
     "class A:\n    PARAMS = {}\n    SPACE = {}", "def f():\n    PARAMS = {'A': 1}\n    SPACE = {'A': [1]}"],
)  # fmt: skip
def test_what_declares_nothing_has_no_parameters(source: str) -> None:
    assert params.read(source) is None


def test_an_annotated_declaration_counts() -> None:
    source = "PARAMS: dict[str, int] = {'A': 1}\nSPACE: dict[str, list[int]] = {'A': [1, 2]}\n"
    assert params.read(source) is not None
    assert 'PARAMS: dict[str, int] = {"A": 2}\n' in params.rewrite(source, {"A": 2})


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("PARAMS = dict(A=1)\nSPACE = {}", 1, "must be a literal dict"),
        ("PARAMS = {'A': f()}\nSPACE = {}", 1, "must be a literal dict"),
        ("PARAMS = {'A': 1}\nSPACE = {n: [1] for n in 'A'}", 2, "must be a literal dict"),
        ("PARAMS = {'A': 1}\n\nPARAMS = {'A': 2}\nSPACE = {'A': [1]}", 3, "assigned twice"),
        ("PARAMS = {1: 1}\nSPACE = {}", 1, "1 is not a name"),
        ("PARAMS = {'a b': 1}\nSPACE = {}", 1, "'a b' is not a name"),
        ("PARAMS = {'A': None}\nSPACE = {'A': [None]}", 1, "is no whole number"),
        ("PARAMS = {'A': [1]}\nSPACE = {}", 1, "is no whole number"),
        ("PARAMS = {'A': 1e999}\nSPACE = {}", 1, "is no whole number"),
        (f"PARAMS = {{'A': {10**30}}}\nSPACE = {{}}", 1, "is no whole number"),
        ("PARAMS = {'A': 1}\nSPACE = {'B': [1]}", 2, "which PARAMS has not"),
        ("PARAMS = {'A': 1}\nSPACE = {'A': []}", 2, "not empty"),
        ("PARAMS = {'A': 1}\nSPACE = {'A': 'abc'}", 2, "must be a list"),
        ("PARAMS = {'A': 1}\nSPACE = {'A': [1, 2, 1]}", 2, "holds a value twice"),
        ("PARAMS = {'A': 1}\nSPACE = {'A': [2, 4]}", 2, "is 1, which is not among"),
        ("PARAMS = {'A': 1}\nSPACE = {'A': [True, 1.0]}", 2, "is 1, which is not among"),
        ("PARAMS = {'A': 1}\nSPACE = {'A': [1]}\nCONSTRAINTS = 'A < 2'", 3, "must be a literal list"),
        ("PARAMS = {'A': 1}\nSPACE = {'A': [1]}\nCONSTRAINTS = [1]", 3, "must be a string"),
    ],
)
def test_a_wrong_declaration_names_its_line(source: str, line: int, what: str) -> None:
    with pytest.raises(ParametersError, match=f"^<candidate>:{line}: .*{what}"):
        params.read(source)


def with_constraint(constraint: str, **point: Value) -> Parameters | None:
    space = {name: [value] for name, value in point.items()}
    return params.read(f"PARAMS = {point!r}\nSPACE = {space!r}\nCONSTRAINTS = [{constraint!r}]\n")


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ("A * 8 <= 64", True), ("A + B == 12", True), ("A - B < 0", True), ("B // 3 == 2 and B % 3 == 2", True),
        ("not A > B", True), ("A / 8 == 0.5", True), ("1 < A < B <= 8", True), ("A < B < 8", False),
        ("A == 4 or B / 0", True), ("A / (B - 8) > 0", False), ("A % (B - 8) == 0", False), ("-A < +B", True),
        ("S == 'dynamic'", True), ("S != 'static' and A", True), ("S < 1", False), ("S * 2 == 'x'", False),
        ("A and not B", False), ("1 == 1", True), ("0", False),
    ],
)  # fmt: skip
def test_constraints_are_arithmetic(constraint: str, holds: bool) -> None:
    found = with_constraint(constraint, A=4, B=8, S="dynamic")
    assert found is not None
    assert found.allows({}) is holds
    assert len(list(found.points())) == holds


@pytest.mark.parametrize(
    ("constraint", "what"),
    [
        ("A ** 99999", "Pow"), ("A << 99999", "LShift"), ("f(A)", "Call"), ("A.real", "Attribute"), ("[A]", "List"),
        ("A if A else 1", "IfExp"), ("__import__('os').system('true')", "Call"), ("(lambda: 1)()", "Call"),
        ("A[0]", "Subscript"), ("A in (1, 2)", "In|Tuple"), ("C > 1", "PARAMS has no 'C'"), ("f'{A}'", "JoinedStr"),
        ("1j < A", "not a number"), ("A := 3", "not an expression"), ("A <", "not an expression"), ("~A", "Invert"),
        ("", "not an expression"), ("A; A", "not an expression"), ("A is 1", "Is"), ("-" * 400 + "A", "at most 300"),
        ("None", "not a number"), ("(" * 250 + "A", "not an expression"), ("A @ A", "MatMult"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_anything_else_in_a_constraint_is_refused(constraint: str, what: str) -> None:
    with pytest.raises(ParametersError, match=f"(?s)^<candidate>:3: .*({what})"):
        with_constraint(constraint, A=1)


def test_huge_numbers_in_a_constraint_do_not_hold_and_cost_nothing() -> None:
    for constraint in (
        "A * A * A * A * A > 0",
        "'a' * A == 'b'",
        "A * 'a' == 'b'",
        "'%999999999d' % A == ''",
        "9e307 * A > 0",
    ):
        found = with_constraint(constraint, A=2**62)
        assert found is not None
        assert not found.allows({})


@given(dicts, st.text("AB +-*/%<>=()0123456789andort\"'", max_size=40))
def test_any_constraint_is_refused_or_answers(point: dict[str, Value], constraint: str) -> None:
    try:
        found = with_constraint(constraint, **{**point, "A": 3, "B": "x"})
    except ParametersError:
        return
    assert found is not None
    assert found.allows({}) in (True, False)


@given(st.dictionaries(names, st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), min_size=1, max_size=3))
def test_points_and_indices_agree(space: dict[str, list[int]]) -> None:
    first = {name: choices[0] for name, choices in space.items()}
    found = params.read(f"PARAMS = {first!r}\nSPACE = {space!r}\n")
    assert found is not None
    points = list(found.points())
    assert len(points) == found.size == len({found.indices(point) for point in points})
    assert all(
        point == {name: space[name][index] for name, index in zip(space, found.indices(point) or (), strict=True)}
        for point in points
    )
    assert found.indices({**first, next(iter(space)): 10}) is None


def test_rewriting_needs_the_same_names() -> None:
    with pytest.raises(ParametersError, match="the new values have"):
        params.rewrite(KERNEL, {"UNROLL": 8})
    with pytest.raises(ParametersError, match="is no whole number"):
        params.rewrite(KERNEL, {"UNROLL": 8, "STREAM": math.nan})
    with pytest.raises(ParametersError, match="declares no PARAMS"):
        params.rewrite("x = 1", {})
    with pytest.raises(ParametersError, match="declares no PARAMS"):
        params.family("x = 1")


@given(st.text(max_size=200))
def test_any_text_is_read_without_harm(text: str) -> None:
    assume("PARAMS" not in text)
    assert params.read(text) is None
