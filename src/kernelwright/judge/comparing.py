"""Outputs against what they must be: errors where they are right, a `Rejection` with evidence where they are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernelwright.judge import numerics
from kernelwright.judge.answer import Expected
from kernelwright.judge.picture import LEGEND, picture
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.tensors import Array, BadTensor, Claim, UnknownDtype, widen
from kernelwright.judge.verdict import WRONG_MAP, Reason

QUANTILES = (0.5, 0.9, 0.99)
"""Shares of the elements whose errors are no larger than what the evidence of wrong values says beside them."""
_PART = 1 << 18


def check_form(call: list[Any], expected: tuple[Expected, ...]) -> list[Claim | None]:
    """One call's outputs as claims, after checking their number, kinds, shapes and dtypes. Raises `Rejection`."""
    expected = tuple(want for want in expected if want.argument is None)
    if len(call) != len(expected):
        raise Rejection(
            "wrong_shape",
            f"it returns {len(call)} outputs where the reference returns {len(expected)}",
            got=len(call),
            expected=len(expected),
        )
    claims: list[Claim | None] = []
    for index, (leaf, want) in enumerate(zip(call, expected, strict=True)):
        if not want.dtype:
            if not isinstance(leaf, dict) or leaf.get("value") != want.value:
                raise Rejection("wrong_values", f"output {index} is {leaf}, not the value {want.value}", output=index)
            claims.append(None)
            continue
        if not isinstance(leaf, dict) or "pointer" not in leaf:
            what = leaf.get("other", "no tensor") if isinstance(leaf, dict) else "no tensor"
            raise Rejection("wrong_shape", f"output {index} is no plain tensor but {what}", output=index)
        try:
            claim = Claim.parse(leaf)
        except UnknownDtype as error:
            raise Rejection("wrong_dtype", f"output {index}: {error}", output=index) from error
        except BadTensor as error:
            raise Rejection("tampering", f"output {index}: {error}", output=index) from error
        if claim.shape != want.shape:
            raise Rejection(
                "wrong_shape",
                f"output {index} has shape {list(claim.shape)}, the reference's {list(want.shape)}",
                output=index,
                got=list(claim.shape),
                expected=list(want.shape),
            )
        if claim.dtype != want.dtype:
            raise Rejection(
                "wrong_dtype",
                f"output {index} is {claim.dtype}, the reference's {want.dtype}",
                output=index,
                got=claim.dtype,
                expected=want.dtype,
            )
        claims.append(claim)
    return claims


def compare_output(
    fetch: numerics.Fetch, want: Expected, what: str, *, explained: bool = True
) -> numerics.Errors | None:
    """Compares every element that `fetch` gives with what is expected; None for outputs that are not floating and
    right.

    Raises:
        Rejection: `wrong_values` or `non_finite`; if `explained`, which takes longer than comparing, with the worst
            element, what it is and what it must be.
    """
    assert want.exact is not None
    if want.bound is None or want.magnitude is None:
        _equal(fetch, want, want.exact, what, explained=explained)
        return None
    found = numerics.errors(fetch, want.dtype, want.exact, want.magnitude, alternative=want.alternative)
    if want.bound.admits(found):
        return found
    if not explained:
        raise Rejection("wrong_values", f"{what}: error {found.max:.2e}, allowed {want.bound.max:.2e}")
    found = numerics.errors(fetch, want.dtype, want.exact, want.magnitude, alternative=want.alternative, locate=True)
    each = numerics.each(fetch, want.dtype, want.exact, want.magnitude, want.alternative)
    where = _where(each > want.bound.max)
    if found.non_finite >= 0:
        raise _wrong(
            fetch,
            want,
            found.non_finite,
            "non_finite",
            f"{what}: NaN or infinity where the reference is finite",
            **where,
        )
    message = (
        f"{what}: error {found.max:.2e} (mean {found.mean:.2e}) relative to float64, allowed {want.bound.max:.2e} "
        f"(mean {want.bound.mean:.2e}), the reference's own {want.bound.reference_max:.2e} "
        f"(mean {want.bound.reference_mean:.2e})"
    )
    raise _wrong(
        fetch,
        want,
        found.worst,
        "wrong_values",
        message,
        max_error=found.max,
        mean_error=found.mean,
        allowed_max=want.bound.max,
        allowed_mean=want.bound.mean,
        quantiles=_quantiles(each),
        **where,
    )


def _quantiles(each: numerics.Float32) -> dict[str, float]:
    """Errors that so many of the elements do not exceed, by a sample where there are millions."""
    sample = each.reshape(-1)[:: max(1, each.size >> 20)]
    found = np.quantile(sample, QUANTILES, method="higher")
    return {str(share): float(error) for share, error in zip(QUANTILES, found, strict=True)}


def _where(wrong: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """How many elements are wrong, and a picture of where; nothing where only the mean is."""
    count = int(np.count_nonzero(wrong))
    return {"wrong": count, "elements": wrong.size, WRONG_MAP: picture(wrong), "map_legend": LEGEND} if count else {}


def _equal(fetch: numerics.Fetch, want: Expected, exact: Array, what: str, *, explained: bool) -> None:
    """Exact comparison, for integers and booleans; other right answers count too."""
    flat, wrong = exact.reshape(-1), np.zeros(exact.size, np.bool_)
    others = [other.reshape(-1) for other in (want.alternative, *want.ties) if other is not None]
    for start in range(0, flat.size, _PART):
        stop = min(start + _PART, flat.size)
        got = fetch(start, stop)
        right = got == flat[start:stop]
        for other in others:
            right |= got == other[start:stop]
        wrong[start:stop] = ~right
    if wrong.any():
        message = f"{what}: {np.count_nonzero(wrong)} of {flat.size} elements differ"
        if not explained:
            raise Rejection("wrong_values", message)
        first = int(np.argmax(wrong))
        raise _wrong(fetch, want, first, "wrong_values", message, **_where(wrong.reshape(exact.shape)))


def _wrong(fetch: numerics.Fetch, want: Expected, flat: int, reason: Reason, message: str, **more: Any) -> Rejection:
    assert want.exact is not None
    index = [int(i) for i in np.unravel_index(flat, want.exact.shape)] if want.exact.ndim else []
    got, right = fetch(flat, flat + 1), want.exact.reshape(-1)[flat : flat + 1]
    values = _number(widen(got, want.dtype) if want.dtype == "bfloat16" else got), _number(right)
    return Rejection(
        reason,
        f"{message}; at {index} it gives {values[0]}, expected {values[1]}",
        element=index,
        got=values[0],
        expected=values[1],
        **more,
    )


def _number(array: Array) -> float | int | str:
    """The only element, as JSON can say it: NaN, infinities and complex numbers as text."""
    number = array.reshape(-1)[0].item()
    finite = isinstance(number, (int, float)) and np.isfinite(number)
    return number if finite else str(number)


def spelt_out(calls: Any) -> list[list[dict[str, Any]]] | None:
    """What each call returned, from what a worker says: of a call that returned a tensor like the first one's, only
    where that lies. None where it does not say that."""
    if not isinstance(calls, list):
        return None
    first = calls[0] if calls else []
    outputs = [[{**first[0], "pointer": call}] if type(call) is int and _is_one(first) else call for call in calls]
    return outputs if all(map(is_list_of_objects, outputs)) else None


def _is_one(call: Any) -> bool:
    return is_list_of_objects(call) and len(call) == 1 and "pointer" in call[0]


def is_list_of_objects(value: Any) -> bool:
    """Whether it is one, as a worker's list of outputs or state must be."""
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
