"""Products, convolutions and attention through the catalogue, against torch in float64."""

from __future__ import annotations

import catalogue_products
import pytest
import torch
import torch.nn.functional as F
from catalogue_harness import Made, check, load_all, make, written
from torch import nn

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
        "tensorised": _with(make(lambda x, y: x @ y, torch.randn(40, 50), torch.randn(50, 60)), "tensorise(tile)"),
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
    there = {name: one for name, one in made.items() if one is not None}
    assert there.keys() == made.keys()
    return dict(zip(there, zip(there.values(), load_all(list(there.values())), strict=True), strict=True))


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


def _with(made: Made, *texts: str) -> Made | None:
    """The candidate with rewrites that come first, in every kernel where they are legal; None where that is none."""
    program, changed = made.program, {}
    for schedule in program.schedules:
        blocks = [each for each in schedule.rewrites if each.name == "tile"]
        blocks += parse("split(step, 512); split(row, 1024); split(column, 512)")  # as in a first guess
        for text in texts:
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
    """The unit where this machine has one; what candidates do without it where there is none."""
    modules = [*catalogue_products.PRODUCTS, *catalogue_products.CONVOLUTIONS, *catalogue_products.WINDOWS]
    ways = [("tensorise(tile)",), ("winograd(windows, 64)",)]
    made = [(name, way, _with(make(model, *inputs), *way)) for name, model, inputs in modules for way in ways]
    there = [(f"{name} {way[0]}", one) for name, way, one in made if one is not None]
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


@pytest.mark.parametrize("name", ["product", "tensorised"])
def test_infinite_and_missing_numbers_stay_in_their_rows(loaded: Loaded, name: str) -> None:
    made, candidate = loaded[name]
    x, y = torch.randn(20, 50), torch.randn(50, 60)
    x[3, 7], x[5, 2], x[6, 1], y[2, 9] = float("nan"), float("inf"), 3.4e38, float("-inf")
    check(made.model, candidate, (x, y))


def test_tensorised_products_of_any_size(loaded: Loaded) -> None:
    """Less than a tile, halves of one, several blocks of everything, nothing at all."""
    made, candidate = loaded["tensorised"]
    for m, k, n in ((1, 1, 1), (2, 3, 5), (67, 131, 101), (13, 300, 7), (48, 32, 17), (33, 33, 129), (4, 0, 5)):
        check(made.model, candidate, (torch.randn(m, k), torch.randn(k, n)))
    check(made.model, candidate, (torch.randn(40, 90) * 1e-30, torch.randn(90, 40) * 1e30))


def test_infinite_and_missing_numbers_stay_in_their_windows(loaded: Loaded) -> None:
    made, candidate = loaded["windows"]
    for batch in (1, 3):
        x = torch.randn(batch, 8, 19, 37)
        x[0, 3, 4, 5], x[0, 1, 18, 36], x[batch - 1, 2, 9, 0] = float("inf"), float("nan"), 3.4e38
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
