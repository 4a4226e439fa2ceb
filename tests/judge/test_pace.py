"""Whether a candidate gets on with a batch: told by looks into it, on a machine that may give it little time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kernelwright.judge.halfway import LOOKS, Pace
from kernelwright.judge.rejection import Rejection

TOTAL = 1.0


def look(begun: int, *, crowded: bool = False) -> Any:
    return SimpleNamespace(begun=begun, ran=0.9, crowded=crowded, inputs=[None] * 16)


def test_who_has_hardly_begun_whenever_one_looks_is_found_out() -> None:
    pace = Pace()
    for _ in range(LOOKS):
        assert not pace.late or pace.doubtful
        pace.note(look(0), TOTAL)
    with pytest.raises(Rejection, match="hardly begun"):
        pace.check()


def test_one_look_in_which_it_got_on_is_enough() -> None:
    pace = Pace()
    for begun in (0, 0, 12, 0, 0, 0, 0):
        pace.note(look(begun), TOTAL)
    assert not pace.doubtful
    pace.check()


def test_looks_on_a_crowded_machine_weigh_little() -> None:
    pace = Pace()
    for _ in range(3 * LOOKS):
        pace.note(look(0, crowded=True), TOTAL)
    assert pace.doubtful
    pace.check()
    for _ in range(LOOKS):
        pace.note(look(0, crowded=True), TOTAL)
    assert not pace.doubtful, "it does not go on for ever"
    with pytest.raises(Rejection, match="hardly begun"):
        pace.check()


def test_batches_that_ended_before_the_look_say_nothing() -> None:
    pace = Pace()
    pace.note(look(-1), TOTAL)
    assert (pace.late, pace.weight) == (0, 0.0)


def test_doubt_ends_where_batches_became_too_short_to_tell() -> None:
    pace = Pace()
    pace.note(look(0), TOTAL)
    assert pace.doubtful
    for _ in range(100):
        pace.passed_over()
    assert not pace.doubtful
    pace.check()
