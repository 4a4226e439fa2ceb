"""Input and state values beyond what a task draws itself, so that a kernel cannot live off the values it was shown.

Structure that an honest kernel may rely on is kept: exact zeros stay zero (masks, triangular and diagonal matrices),
symmetric matrices stay symmetric, the diagonal of a structured matrix is not touched, and neither are integers,
booleans, and floats that are codes rather than measurements (signs, one-hot rows, probabilities).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

Transform = Callable[[list[Any]], list[Any]]
_Change = Callable[[Tensor, Generator], Tensor]

SCALE, SHIFT, KEPT = 8.0, 3.0, 0.1
CLUSTERS, SPREAD = 8, 0.02
_SETS = 512
_SAMPLE = 1 << 16
_PART = 1 << 16
"""Elements that are changed at a time, since what is in between takes several times their memory."""
_FEW = 16
"""Floats in [0, 1] with at most this many distinct values among many elements are codes."""


def distributions(inputs: list[Any], seed: int) -> dict[str, Transform]:
    """Further ways to draw inputs, by name, each a function from a draw to a new list of inputs.

    `scaled` multiplies floats by 8, `signed` gives them random signs, `shifted` adds 3, `sparse` zeroes 90 % of them,
    `clustered` moves each close to one of eight values: range, mean and spread stay, but errors of an approximation
    that was fitted to the density no longer cancel.
    Empty where no tensor among `inputs` may be changed.

    Args:
        inputs: a draw, used only to see whether there is anything to change.
        seed: of the random signs and zeros.
    """
    if not any(_changeable(value) for value in inputs):
        return {}
    return {name: _transform(change, seed) for name, change in _CHANGES.items()}


def _transform(change: _Change, seed: int) -> Transform:
    def transform(inputs: list[Any]) -> list[Any]:
        generator = Generator().manual_seed(seed)
        return [_changed(value, change, generator) if _changeable(value) else value for value in inputs]

    return transform


def _changeable(value: Any) -> bool:
    if not isinstance(value, Tensor) or not value.dtype.is_floating_point or not value.numel():
        return False
    return not looks_like_code(value)


def _changed(value: Tensor, change: _Change, generator: Generator) -> Tensor:
    value = value.detach()
    structured, symmetric = _structure(value)
    changed = change(value, generator)
    if symmetric:
        changed = changed.tril() + changed.tril(-1).mT
    if structured:
        changed.diagonal(dim1=-2, dim2=-1).copy_(value.diagonal(dim1=-2, dim2=-1))
    # `empty_like` keeps the strides of a transposed input, which the kernel was promised; zeros stay what they were.
    return torch.empty_like(value).copy_(torch.where(value == 0, value, changed))


def _scaled(value: Tensor, _generator: Generator) -> Tensor:
    return value * SCALE


def _shifted(value: Tensor, _generator: Generator) -> Tensor:
    return value + SHIFT


def _signed(value: Tensor, generator: Generator) -> Tensor:
    return torch.where(torch.rand(value.shape, generator=generator) < 0.5, -value, value)


def _sparse(value: Tensor, generator: Generator) -> Tensor:
    return torch.where(torch.rand(value.shape, generator=generator) < KEPT, value, torch.zeros_like(value))


def _centres(value: Tensor, generator: Generator) -> Tensor:
    """Values of the tensor, moved to have its mean and spread; of several sets the one whose skewness is furthest from
    its own."""
    sample = value.reshape(-1)[:_SAMPLE].double()
    sample = sample[sample.isfinite()] if bool(sample.isfinite().any()) else torch.zeros(1, dtype=torch.float64)
    mean, spread = sample.mean(), sample.std(correction=0)
    sets = sample[torch.randint(sample.numel(), (_SETS, CLUSTERS), generator=generator)]
    around = sets - sets.mean(1, keepdim=True)
    unit = around / around.std(1, correction=0, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    skewness = (((sample - mean) / spread.clamp_min(torch.finfo(torch.float64).tiny)) ** 3).mean()
    moved = mean + spread * unit
    inside = ((moved >= sample.min()) & (moved <= sample.max())).all(1)
    furthest = int((((unit**3).mean(1) - skewness).abs() + 100 * inside).argmax())
    return moved[furthest].clamp(sample.min(), sample.max())


def _clustered(value: Tensor, generator: Generator) -> Tensor:
    # A little of each value stays, since many equal ones would be ties; types of few digits would hold next to none.
    if value.element_size() < 4:
        return value
    centres, flat = _centres(value, generator).to(value.dtype), value.reshape(-1)
    clustered = torch.empty_like(flat)
    for start in range(0, flat.numel(), _PART):
        part, into = flat[start : start + _PART], clustered[start : start + _PART]
        near = centres[torch.randint(CLUSTERS, part.shape, generator=generator)]
        moved = near + SPREAD * (part - near)
        torch.where(moved.isfinite() & part.isfinite(), moved, part, out=into)
    return clustered.view(value.shape)


_CHANGES: dict[str, _Change] = {
    "clustered": _clustered,
    "scaled": _scaled,
    "signed": _signed,
    "shifted": _shifted,
    "sparse": _sparse,
}


def looks_like_code(value: Tensor) -> bool:
    """Whether floats are codes: signs and masks (-1, 0, 1), rows of probabilities, few distinct values in [0, 1]."""
    sample = value.detach().reshape(-1)[:_SAMPLE]
    if bool(((sample == 0) | (sample.abs() == 1)).all()):
        return True
    if not bool((sample >= 0).all()) or not bool((sample <= 1).all()):
        return False
    if sample.numel() >= 4 * _FEW and len(set(sample.tolist())) <= _FEW:
        return True
    dims = {dim for dim in (1, value.ndim - 1) if 0 <= dim < value.ndim and value.shape[dim] > 1}
    return any(_sums_to_one(value, dim) for dim in dims)


def _sums_to_one(value: Tensor, dim: int) -> bool:
    sums = value.sum(dim, dtype=torch.float64)
    return bool(((sums - 1).abs() < 1e-2).all())


def _structure(value: Tensor) -> tuple[bool, bool]:
    """Whether a tensor holds symmetric or triangular square matrices, and whether they are symmetric."""
    if value.ndim < 2 or value.shape[-1] != value.shape[-2] or value.shape[-1] < 2:
        return False, False
    symmetric = torch.equal(value, value.mT)
    return symmetric or torch.equal(value, value.tril()) or torch.equal(value, value.triu()), symmetric


def randomise_state(state: list[tuple[str, str, Tensor]], seed: int) -> None:
    """Moves affine parameters and running statistics away from 0 and 1, in place and repeatably.

    Every floating parameter, and every buffer whose name starts with `running_`, is redrawn where its elements are all
    equal: ones, and whatever has `var` in its name, uniform in [0.5, 1.5); zeros in [-0.5, 0.5); other values times
    [0.5, 1.5). All else, masks and tables above all, stays.

    Args:
        state: as `Reference.state` lists it.
        seed: of the new values.
    """
    for index, (name, kind, tensor) in enumerate(state):
        leaf = name.rpartition(".")[2]
        if not tensor.dtype.is_floating_point or not (kind == "parameter" or leaf.startswith("running_")):
            continue
        with torch.no_grad():
            if not tensor.numel() or not bool((tensor == tensor.reshape(-1)[0]).all()):
                continue
            uniform = torch.rand(tensor.shape, generator=Generator().manual_seed((seed + index) % (1 << 63)))
            value = float(tensor.reshape(-1)[0])
            if value == 1.0 or "var" in leaf:
                tensor.copy_(uniform + 0.5)
            elif value == 0.0:
                tensor.copy_(uniform - 0.5)
            else:
                tensor.copy_((uniform + 0.5) * value)
