"""Products, convolutions and attention through the catalogue, against torch in float64."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import catalogue_products
import pytest
import torch
import torch.nn.functional as F
from catalogue_harness import Made, check, load_all, make, written
from torch import nn

from kernelwright.proposers.catalogue.cpp.priors import Machine
from kernelwright.proposers.catalogue.rewrites import parse
from kernelwright.proposers.catalogue.schedule import Schedule

Loaded = dict[str, tuple[Made, nn.Module]]
_VIEWS = ("view", "permute", "expand", "squeeze")


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    """What the tests of single modules need, built together."""
    made = {
        "linear": make(nn.Sequential(nn.Linear(24, 40), nn.GELU()), torch.randn(33, 24)),
        "product": make(lambda x, y: x @ y, torch.randn(40, 50), torch.randn(50, 60)),
        "windows": _with(make(nn.Conv2d(8, 9, 3, padding=1), torch.randn(2, 8, 19, 37)), "winograd(windows, 64)"),
        "product with itself": make(lambda x: x @ x.T, torch.randn(45, 50)),
        "attention": make(F.scaled_dot_product_attention, *(torch.randn(2, 3, 40, 16) for _ in range(3))),
        "causal attention": make(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            *(torch.randn(2, 40, 16) for _ in range(3)),
        ),
        "deep attention": make(
            lambda q, k, v: (q @ k.mT).softmax(-1) @ v, *(torch.randn(2, 37, 70) / 4 for _ in range(3))
        ),
        "cell": make(nn.GRUCell(20, 32), torch.randn(24, 20), torch.randn(24, 32)),
        "convolution": make(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 16, 3, padding=1)), torch.randn(2, 4, 34, 36)),
    }
    return _loaded(made)


def _loaded(made: dict[str, Made | None], **settings: Any) -> Loaded:
    there = {name: one for name, one in made.items() if one is not None}
    assert there.keys() == made.keys()
    return dict(zip(there, zip(there.values(), load_all(list(there.values()), **settings), strict=True), strict=True))


def _called(made: Made) -> list[str]:
    """Library calls of a candidate that do work."""
    return [call.target for call in made.program.calls if not any(view in call.target for view in _VIEWS)]


@pytest.mark.slow
def test_all_products() -> None:
    """Every module of the lists, in kernels of the catalogue's own."""
    modules = [*catalogue_products.PRODUCTS, *catalogue_products.CONVOLUTIONS]
    made = [make(model, *inputs) for _, model, inputs in modules]
    assert {name for (name, _, _), one in zip(modules, made, strict=True) if _called(one)} == {"product_double_stays"}
    wrong = {}
    for (name, _, _), one, candidate in zip(modules, made, load_all(made), strict=True):
        try:
            check(one.model, candidate, one.inputs)
        except (AssertionError, ValueError, RuntimeError) as error:
            wrong[name] = str(error)
    assert not wrong


def _with(made: Made, text: str) -> Made | None:
    """The candidate with a rewrite that comes first, in every kernel where it is legal; None where that is none."""
    program, changed = made.program, {}
    blocks = Machine.of(program.target, program.traffic, [each.region for each in program.schedules]).blocks
    for schedule in program.schedules:
        now = Schedule.of(schedule.region)
        first = now.then_if_legal(parse(text)[0])
        if first is now or first.loops.product is None:
            continue
        for each in blocks:
            first = first.then_if_legal(each)
        changed[schedule.name] = first.rewrites
    return written(made.model, made.inputs, made.info, program.rescheduled(changed)) if changed else None


@pytest.mark.slow
def test_all_products_by_a_matrix_unit_and_by_fewer_multiplications() -> None:
    """By the unit where this machine has one, else by vectors."""
    modules = [*catalogue_products.PRODUCTS, *catalogue_products.CONVOLUTIONS, *catalogue_products.WINDOWS]
    firsts = [(name, make(model, *inputs)) for name, model, inputs in modules]
    ways = ("tensorise(tile)", "winograd(windows, 64)")
    made = [(f"{name} {way}", _with(first, way)) for name, first in firsts for way in ways]
    there = [(name, one) for name, one in made if one is not None]
    assert sum("winograd" in name for name, _ in there) >= len(catalogue_products.WINDOWS)
    assert sum("tensorise" in name for name, _ in there) > 50
    wrong = {}
    for (name, one), candidate in zip(there, load_all([one for _, one in there]), strict=True):
        try:
            check(one.model, candidate, one.inputs)
        except (AssertionError, ValueError, RuntimeError) as error:
            wrong[name] = str(error)
    assert not wrong


def test_other_sizes_of_the_same_rank(loaded: Loaded) -> None:
    """Kernels made on one shape are right on others: less than a tile, primes, several blocks, none at all."""
    (linear, linear_kernel), (product, product_kernel) = loaded["linear"], loaded["product"]
    for m, k, n in ((1, 1, 1), (2, 3, 5), (67, 131, 101), (13, 300, 7), (4, 0, 5)):
        check(linear.model, linear_kernel, (torch.randn(m, 24),))
        check(product.model, product_kernel, (torch.randn(m, k), torch.randn(k, n)))
    assert linear_kernel(torch.randn(0, 24)).shape == (0, 40)
    itself, itself_kernel = loaded["product with itself"]
    check(itself.model, itself_kernel, (torch.randn(61, 33),))


def test_attention_of_other_lengths(loaded: Loaded) -> None:
    made, candidate = loaded["attention"]
    for batch, length, keys in ((1, 1, 1), (3, 65, 33), (2, 7, 130)):
        inputs = (torch.randn(batch, 3, length, 16), *(torch.randn(batch, 3, keys, 16) for _ in range(2)))
        check(made.model, candidate, inputs)
    assert candidate(*(torch.randn(0, 3, 5, 16) for _ in range(3))).shape == (0, 3, 5, 16)


def test_scores_that_sum_over_many(loaded: Loaded) -> None:
    """More steps than one block holds."""
    made, candidate = loaded["deep attention"]
    check(made.model, candidate, made.inputs)


def test_scores_that_a_mask_leaves_out_are_not_computed() -> None:
    """What follows from positions or from a mask tells where a row's scores begin and end."""
    heads = tuple(torch.randn(2, 3, 40, 16) for _ in range(3))
    masked = {
        "causal": make(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *heads),
        "given": make(F.scaled_dot_product_attention, *heads, torch.ones(40, 40, dtype=torch.bool).tril()),
        "added": make(F.scaled_dot_product_attention, *heads, torch.randn(40, 40)),
        "none": make(F.scaled_dot_product_attention, *heads),
    }
    told = {name for name, made in masked.items() if "Between which columns" in made.source}
    assert told == {"causal", "given"}


def test_causal_attention_of_other_lengths(loaded: Loaded) -> None:
    made, candidate = loaded["causal attention"]
    for length, keys in ((1, 1), (77, 77), (150, 33), (33, 150)):
        check(made.model, candidate, (torch.randn(2, length, 16), *(torch.randn(2, keys, 16) for _ in range(2))))


def test_scores_of_attention_are_never_in_memory(loaded: Loaded) -> None:
    made, _ = loaded["attention"]
    assert len(made.program.nests) == 1


def test_infinite_and_missing_numbers_stay_in_their_rows(loaded: Loaded) -> None:
    made, candidate = loaded["product"]
    x, y = torch.randn(20, 50), torch.randn(50, 60)
    x[3, 7], x[5, 2] = float("nan"), float("inf")
    check(made.model, candidate, (x, y))


@pytest.fixture(scope="module", params=[(), ("-DNO_MATRIX_UNIT",)], ids=["unit", "vectors"])
def tensorised(request: pytest.FixtureRequest) -> Loaded:
    """Products for the matrix unit, each side lying either way or computed; with vectors as where there is none."""
    return _tensorised(request.param)


@cache
def _tensorised(more: tuple[str, ...]) -> Loaded:
    x, y = torch.randn(40, 50), torch.randn(50, 60)
    made = {
        "plain": _with(make(lambda x, y: x @ y, x, y), "tensorise(tile)"),
        "left along rows": _with(make(lambda x, y: x.T @ y, x.T.contiguous(), y), "tensorise(tile)"),
        "right along steps": _with(make(lambda x, y: x @ y.T, x, y.T.contiguous()), "tensorise(tile)"),
        "computed": _with(make(lambda x, y: torch.relu((x * 2 + 1) @ (y - 1)), x, y), "tensorise(tile)"),
    }
    return _loaded(made, sizes={"SPLIT_STEP": 96, "SPLIT_ROW": 96, "SPLIT_COLUMN": 128}, more=more)


@pytest.mark.parametrize("name", ["plain", "left along rows", "right along steps", "computed"])
def test_tensorised_products_of_any_size(tensorised: Loaded, name: str) -> None:
    """Less than a tile, halves of one, several blocks of everything, nothing at all."""
    made, candidate = tensorised[name]
    sizes = [(1, 1, 1), (2, 3, 5), (16, 33, 129), (17, 95, 31), (33, 97, 64), (49, 200, 300), (97, 193, 260), (4, 0, 5)]
    for m, k, n in sizes:
        x, y = torch.randn(m, k), torch.randn(k, n)
        x = x.T.contiguous() if name == "left along rows" else x
        y = y.T.contiguous() if name == "right along steps" else y
        check(made.model, candidate, (x, y))


@pytest.mark.parametrize(
    ("left", "right"),
    [(1e-35, 1e30), (1e38, 1e-38), (1e-17, 1e-18), (1e-40, 1e10), (1e25, 1e25), (3e38, 1.0), (1e-20, 1e20), (0.0, 1.0)],
    ids=str,
)
def test_tensorised_products_of_tiny_and_huge_numbers(tensorised: Loaded, left: float, right: float) -> None:
    """As exact as by vectors, where parts of the factors or their products would not be numbers of the unit."""
    made, candidate = tensorised["plain"]
    x, y = (1 + torch.rand(40, 70)) * left / 2, (1 + torch.rand(70, 50)) * right / 2
    check(made.model, candidate, (x, y))


def test_tensorised_products_with_infinite_and_missing_numbers(tensorised: Loaded) -> None:
    """Rows and columns that do not meet them are what they are without, also those that were finished before."""
    made, candidate = tensorised["plain"]
    x, y = torch.randn(300, 200), torch.randn(200, 300)
    clean = candidate(x, y)
    x[3, 7], x[150, 199], y[199, 299] = float("nan"), float("inf"), float("-inf")
    check(made.model, candidate, (x, y))
    others = [row for row in range(300) if row not in (3, 150)]
    torch.testing.assert_close(candidate(x, y)[others, :299], clean[others, :299], rtol=1e-5, atol=1e-4)
    assert candidate(torch.zeros(40, 50), torch.full((50, 60), float("nan"))).isnan().all()


def test_tensorised_products_of_nothing(tensorised: Loaded) -> None:
    _, candidate = tensorised["plain"]
    for m, k, n in ((0, 70, 50), (70, 50, 0), (70, 0, 50)):
        assert torch.equal(candidate(torch.randn(m, k), torch.randn(k, n)), torch.zeros(m, n))


@pytest.mark.skipif("amx_bf16" not in Path("/proc/cpuinfo").read_text(), reason="this processor has no matrix unit")
def test_the_matrix_unit_multiplies_what_it_can() -> None:
    """Its roundings are others than those of vectors, which multiply what it cannot."""
    unit, vectors = (_tensorised(more)["plain"][1] for more in ((), ("-DNO_MATRIX_UNIT",)))
    x, y = torch.randn(100, 300), torch.randn(300, 100)
    assert not torch.equal(unit(x, y), vectors(x, y))
    assert torch.equal(unit(x * 1e-34, y), vectors(x * 1e-34, y))


def test_infinite_and_missing_numbers_stay_in_their_windows(loaded: Loaded) -> None:
    made, candidate = loaded["windows"]
    for batch in (1, 3):
        x = torch.randn(batch, 8, 19, 37)
        clean = candidate(x)
        x[0, 3, 4, 5], x[0, 1, 18, 36], x[batch - 1, 2, 9, 0] = float("inf"), float("nan"), float("-inf")
        check(made.model, candidate, (x,))
        torch.testing.assert_close(candidate(x)[:, :, 12:16, 3:30], clean[:, :, 12:16, 3:30])
    assert candidate(torch.randn(0, 8, 19, 37)).shape == (0, 9, 19, 37)


def test_forms_of_windows_that_overflow(loaded: Loaded) -> None:
    made, candidate = loaded["windows"]
    x = torch.randn(2, 8, 19, 37) * 1e37
    x[:, :, 5, 6] = 3e38
    check(made.model, candidate, (x,))


def test_pictures_of_other_sizes_are_refused(loaded: Loaded) -> None:
    made, candidate = loaded["convolution"]
    check(made.model, candidate, (torch.randn(5, 4, 34, 36),))
    with pytest.raises(ValueError, match="other shapes"):
        candidate(torch.randn(2, 4, 36, 36))


def test_parts_of_a_product_that_are_all_taken_are_one_product(loaded: Loaded) -> None:
    """As the gates of a recurrent cell are; of a single part, only that is computed."""
    made, candidate = loaded["cell"]
    assert [nest.kind for nest in made.program.nests] == ["product", "product", "map"]
    check(made.model, candidate, (torch.randn(19, 20), torch.randn(19, 32)))
    part = make(lambda x, y: (x @ y)[:, :32] * 2, torch.randn(40, 40), torch.randn(40, 64))
    assert [nest.product.sizes[2] for nest in part.program.nests if nest.product] == [32]


def test_what_follows_a_product_is_stored_by_it(loaded: Loaded) -> None:
    """Bias and activation need no kernel of their own."""
    made, _ = loaded["linear"]
    assert len(made.program.nests) == 1
    residual = make(lambda x, y: F.relu(x @ y + x), torch.randn(40, 40), torch.randn(40, 40))
    assert [nest.kind for nest in residual.program.nests] == ["product"]
