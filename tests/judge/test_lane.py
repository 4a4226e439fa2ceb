"""The judge's half of a device's queue, with a process of our own in the worker's place."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator

import pytest

from kernelwright.judge import wire
from kernelwright.judge.device.lane import Lane
from kernelwright.judge.memory import BadAddress

LINE = 64


@pytest.fixture
def page() -> Iterator[int]:
    """Memory with the two numbers of a worker's turnstiles: opened, and LINE bytes on passed."""
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    yield ctypes.addressof(ctypes.c_char.from_buffer(memory))


def opened(page: int) -> int:
    return ctypes.c_uint32.from_address(page).value


def lets(page: int, number: int) -> bool:
    """Whether a device that waits for at least a number goes on (CU_STREAM_WAIT_VALUE_GEQ): it compares by the sign of
    the difference in 32 bits."""
    return ctypes.c_int32(opened(page) - number).value >= 0


def test_an_open_lane_lets_every_call_through(page: int):
    Lane(os.getpid(), page, page + LINE).open()
    assert all(lets(page, wire.FIRST_CALL - 1 + calls) for calls in (0, 1, 64, 1 << 20))


def test_so_many_calls_are_let_through_and_no_more(page: int):
    ctypes.c_uint32.from_address(page + LINE).value = wire.FIRST_CALL - 1 + 3  # the device has passed the third
    seconds = Lane(os.getpid(), page, page + LINE).let(3, timeout=5.0)
    assert seconds is not None and 0 <= seconds < 5
    assert lets(page, wire.FIRST_CALL + 2) and not lets(page, wire.FIRST_CALL + 3)


def test_calls_that_do_not_come_to_their_end_take_no_time(page: int):
    assert Lane(os.getpid(), page, page + LINE).let(1, timeout=0.01) is None


def test_numbers_that_are_not_in_its_memory_are_named():
    with pytest.raises(BadAddress, match="not in its memory"):
        Lane(os.getpid(), 8, 16).open()
