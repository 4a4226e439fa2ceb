"""A worker's memory on a device, with a driver whose device is this process's own memory: what leads where, and what is
kept of results that go on changing."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from kernelwright.judge import tensors
from kernelwright.judge.device import own_memory, space
from kernelwright.judge.device.driver import HANDLE_BYTES, Refused
from kernelwright.judge.memory import BadAddress
from kernelwright.judge.space import Unfinished

THERE = 0x7F00_0000_0000
"""Where the worker says that its memory begins."""


class OwnMemory:
    """Stands in for CUDA's driver: allocations are arrays, a handle is the number of one."""

    def __init__(self) -> None:
        self.arrays: dict[int, np.ndarray] = {}
        self.uploaded, self.open_handles, self.on_copy = 0, 0, lambda: None

    def allocate(self, size: int) -> int:
        array = np.zeros(max(size, 1), np.uint8)
        self.arrays[array.ctypes.data] = array
        return array.ctypes.data

    allocate_host = allocate

    def free(self, pointer: int) -> None:
        del self.arrays[pointer]

    free_host = free

    def to_host(self, address: int, pointer: int, size: int) -> None:
        ctypes.memmove(address, pointer, size)

    def to_device(self, pointer: int, address: int, size: int) -> None:
        self.uploaded += size
        ctypes.memmove(pointer, address, size)

    def copy(self, pairs: list[tuple[int, int, int]]) -> None:
        self.on_copy()
        for to, source, size in pairs:
            ctypes.memmove(to, source, size)

    def fill(self, pointer: int, byte: int, size: int) -> None:
        ctypes.memset(pointer, byte, size)

    def open(self, handle: bytes) -> int:
        pointer = int.from_bytes(handle[:8], "little")
        if pointer not in self.arrays:
            raise Refused("no such handle")
        self.open_handles += 1
        return pointer

    def close(self, pointer: int) -> None:
        self.open_handles -= 1


@pytest.fixture
def device(monkeypatch):
    driver = OwnMemory()
    monkeypatch.setattr(space, "driver", lambda: driver)
    monkeypatch.setattr(own_memory, "driver", lambda: driver)
    monkeypatch.setattr(own_memory.Staging, "_idle", [])
    uploads = own_memory.Uploads(driver)
    monkeypatch.setattr(space, "uploads", lambda: uploads)
    return driver


def worker_memory(driver: OwnMemory, size: int = 1 << 20) -> tuple[space.DeviceSpace, np.ndarray]:
    """A worker's memory of one allocation, and that as an array."""
    pointer = driver.allocate(size)
    made = space.DeviceSpace()
    made.learn([[THERE, size, pointer.to_bytes(8, "little").ljust(HANDLE_BYTES, b"\0").hex()]])
    return made, driver.arrays[pointer]


def read(made: space.DeviceSpace, pointer: int, size: int) -> np.ndarray:
    out = np.zeros((1, size), np.uint8)
    made.read([pointer], size, out)
    return out[0]


def test_what_is_written_to_a_workers_address_lies_in_its_memory_and_is_read_back(device):
    made, theirs = worker_memory(device)
    row = np.arange(100, dtype=np.uint8)
    made.write([THERE + 50], [row])
    assert (theirs[50:150] == row).all()
    assert (read(made, THERE + 50, 100) == row).all()
    made.fill(THERE + 60, 5, 0xAD)
    assert (theirs[60:65] == 0xAD).all() and made.equal(THERE + 65, row[15:])
    assert not made.equal(THERE + 50, row)


@pytest.mark.parametrize("pointer", [THERE - 1, THERE + (1 << 20) - 4, 0, 1 << 62])
def test_an_address_outside_the_workers_allocations_leads_nowhere(device, pointer):
    made, _ = worker_memory(device)
    for use in (
        lambda: read(made, pointer, 8),
        lambda: made.write([pointer], [np.zeros(8, np.uint8)]),
        lambda: made.fill(pointer, 8, 0),
        lambda: made.equal(pointer, np.zeros(8, np.uint8)),
    ):
        with pytest.raises(BadAddress):
            use()


@pytest.mark.parametrize(
    "news",
    [None, "x", 7, [[]], [["a", "b", "c"]], [[THERE, -1, "00" * HANDLE_BYTES]], [[THERE, 8, "00" * HANDLE_BYTES]],
     [[THERE, 8, "00"]], [[THERE, 1 << 60, "00" * HANDLE_BYTES]]],
)  # fmt: skip
def test_nonsense_about_memory_is_not_believed(device, news):
    made = space.DeviceSpace()
    made.learn(news)
    with pytest.raises(BadAddress):
        read(made, THERE, 8)


def test_an_allocation_takes_the_place_of_those_that_it_overlaps(device):
    made, _ = worker_memory(device)
    other = device.allocate(1 << 19)
    device.arrays[other][:] = 7
    made.learn([[THERE, 1 << 19, other.to_bytes(8, "little").ljust(HANDLE_BYTES, b"\0").hex()]])
    assert (read(made, THERE, 4) == 7).all()
    with pytest.raises(BadAddress):
        read(made, THERE + (1 << 19), 4)


def test_frozen_results_stay_what_they_were_until_the_next_time(device):
    made, theirs = worker_memory(device)
    theirs[:300] = 1
    made.aim([(THERE, 100), (THERE + 50, 100), (THERE + 200, 100)])
    made.freeze()
    theirs[:300] = 2
    assert (read(made, THERE + 20, 120) == 1).all()
    assert (read(made, THERE + 200, 100) == 1).all()
    assert (read(made, THERE + 160, 10) == 2).all()  # was not asked for
    assert made.equal(THERE, np.full(100, 2, np.uint8))
    made.aim([])
    assert (read(made, THERE, 100) == 2).all()


def test_what_is_still_being_written_while_it_is_read_is_noticed(device):
    made, theirs = worker_memory(device)
    made.aim([(THERE, 1000)])

    def meanwhile() -> None:
        theirs[:] = 9

    device.on_copy = meanwhile
    with pytest.raises(Unfinished):
        made.freeze()


def test_spans_that_are_not_the_workers_are_no_error_until_they_are_read(device):
    made, _ = worker_memory(device)
    made.aim([(1, 8), (THERE, 8), (THERE + 8, 0)])
    made.freeze()
    with pytest.raises(BadAddress):
        read(made, 1, 8)


def test_a_span_that_is_not_the_workers_swallows_no_other(device):
    made, theirs = worker_memory(device)
    theirs[:100] = 1
    made.aim([(1, 1 << 62), (THERE, 100), (THERE - 50, 1 << 40)])
    made.freeze()
    theirs[:100] = 2
    assert (read(made, THERE, 100) == 1).all()


def test_inputs_are_brought_to_the_device_once(device):
    made, theirs = worker_memory(device)
    row = np.random.default_rng(0).integers(0, 255, 100_000).astype(np.uint8)
    made.write([THERE], [row])
    made.write([THERE + 500_000], [row])
    assert device.uploaded == row.size
    assert (theirs[500_000:600_000] == row).all()
    held = len(device.arrays)
    del row
    made.write([THERE], [np.ones(100_000, np.uint8)])
    assert len(device.arrays) == held  # what nobody holds any more has made room
    assert (theirs[:100_000] == 1).all()


def test_a_closed_memory_leads_nowhere_and_lets_go_of_handles(device):
    made, _ = worker_memory(device)
    made.close()
    made.close()
    assert device.open_handles == 0
    with pytest.raises(BadAddress):
        read(made, THERE, 8)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("offset", [0, 1, 512])
def test_elements_of_several_results_are_fetched_in_parts_wherever_they_lie(device, frozen: bool, offset: int):
    made, theirs = worker_memory(device, 8 << 20)
    count, gap = (1 << 18) + 3, (2 << 20) + 8
    values = np.arange(3 * count, dtype=np.float32).reshape(3, count)
    pointers = [THERE + offset + index * gap for index in range(3)]
    for pointer, row in zip(pointers, values, strict=True):
        made.write([pointer], [row.view(np.uint8)])
    if frozen:
        made.aim([(pointer, 4 * count) for pointer in pointers])
        made.freeze()
        theirs[:] = 0
    claims = [tensors.Claim((count,), (1,), "float32", pointer) for pointer in pointers]
    fetch = tensors.fetcher(SimpleNamespace(space=made), claims)
    for start, stop in ((0, 10), (count - 5, count), (count - 5, count + 5), (count, 3 * count), (5, 3 * count - 5)):
        got = fetch(start, stop)
        assert got.flags.aligned and np.array_equal(got, values.reshape(-1)[start:stop])
