from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kernelwright.judge.picture import picture


def test_a_tile_that_was_left_out_shows() -> None:
    wrong = np.zeros((64, 128), np.bool_)
    wrong[16:32, 64:] = True
    assert picture(wrong) == ["." * 64] * 4 + ["." * 32 + "#" * 32] * 4 + ["." * 64] * 8


def test_a_tail_shows_in_one_dimension_and_a_scalar_too() -> None:
    wrong = np.zeros(100, np.bool_)
    wrong[96:] = True
    assert picture(wrong) == ["." * 62 + "##"]
    assert picture(np.ones((), np.bool_)) == ["#"]


@given(arrays(np.bool_, array_shapes(max_dims=4, max_side=70)))
def test_what_is_right_and_what_is_wrong_throughout_is_told_from_the_rest(wrong: np.ndarray) -> None:
    text = "".join(picture(wrong))
    assert (set(text) == {"."}) == (not wrong.any())
    assert (set(text) == {"#"}) == bool(wrong.all())


@given(st.integers(1, 200), st.integers(1, 200))
def test_it_is_never_larger_than_a_screen(rows: int, columns: int) -> None:
    lines = picture(np.ones((rows, columns), np.bool_))
    assert len(lines) == min(rows, 16)
    assert {len(line) for line in lines} == {min(columns, 64)}
