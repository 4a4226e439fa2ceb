"""Whether a candidate gets on with a batch: told by looks into it, on a machine that may give it little time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kernelwright.judge.halfway import LOOKS, MOST_HELD_UP, Pace
from kernelwright.judge.rejection import Rejection

TOTAL = 1.0


def look(begun: int, ran: float = 0.9, worked: float = 0.9) -> Any:
    return SimpleNamespace(begun=begun, ran=ran, worked=worked, inputs=[None] * 16)


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


def test_time_without_a_processor_is_not_held_against_it() -> None:
    pace = Pace()
    for _ in range(10 * LOOKS):
        pace.note(look(0, ran=0.9, worked=0.05), TOTAL)
    assert pace.late == 0
    assert pace.held_up == MOST_HELD_UP, "the next look comes later"
    assert not pace.doubtful, "it does not go on for ever"
    pace.check()


def test_batches_that_ended_before_the_look_say_nothing() -> None:
    pace = Pace()
    pace.note(look(-1), TOTAL)
    assert (pace.late, pace.held_up) == (0, 1.0)
