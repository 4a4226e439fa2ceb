"""Memory of the judge's own on the device: copies of results, and inputs that one worker after another is given."""

from __future__ import annotations

import ctypes
import functools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from kernelwright.judge.device.driver import Driver, driver
from kernelwright.judge.memory import Bytes

KEPT_BYTES = 8 << 30
"""Inputs that are kept on the device."""
SMALL_BYTES = 64 << 10
"""Inputs up to this size are copied from the host each time."""


class Staging:
    """The judge's own copy of results: memory on the device, and the same on the host, which is filled when asked for.

    Life cycle: `Staging.take`, then `reserve` and `host` as often as needed; `put_back`, for the next who needs one,
    since memory that the device copies to at full speed is slow to get.
    """

    _idle: ClassVar[list[Staging]] = []

    def __init__(self) -> None:
        self._driver = driver()
        self._size, self.device, self._host = 0, 0, 0
        self._filled, self._filling = False, threading.Lock()

    @classmethod
    def take(cls) -> Staging:
        """One that nobody uses."""
        try:
            return cls._idle.pop()
        except IndexError:
            return cls()

    def put_back(self) -> None:
        """It is used no longer; nothing that `host` gave may be read any more."""
        self._idle.append(self)

    def reserve(self, size: int) -> None:
        """Makes room; what was there is gone."""
        if size > self._size:
            self._free()
            self.device, self._host = self._driver.allocate(size), self._driver.allocate_host(size)
            self._size = size
        self._filled = False

    def host(self, size: int) -> Bytes:
        """The first `size` bytes; any thread may ask."""
        with self._filling:
            if not self._filled:
                self._driver.to_host(self._host, self.device, size)
                self._filled = True
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._host))

    def _free(self) -> None:
        if self._size:
            self._size = 0
            self._driver.free(self.device)
            self._driver.free_host(self._host)


class Uploads:
    """Inputs on the device: each set is revealed to every candidate, and to the reference beside it, and copying within
    the device is a hundred times as fast as from the host. They are taken to be constant as long as they live.

    Life cycle: one a process; every thread may use it.
    """

    def __init__(self, device: Driver) -> None:
        self._driver, self._lock = device, threading.RLock()
        self._held: OrderedDict[int, tuple[weakref.ref[Bytes], int, int]] = OrderedDict()
        self._bytes = 0

    def write(self, pointer: int, row: Bytes) -> None:
        """Copies a row to an address on the device. Raises as `Driver` does."""
        if row.nbytes <= SMALL_BYTES:
            self._driver.to_device(pointer, row.ctypes.data, row.nbytes)
            return
        with self._lock:
            self._driver.copy([(pointer, self._uploaded(row), row.nbytes)])

    def _uploaded(self, row: Bytes) -> int:
        """Where the row is on the device."""
        found = self._held.get(id(row))
        if found is not None and found[0]() is row:
            self._held.move_to_end(id(row))
            return found[1]
        self._drop(lambda key: self._held[key][0]() is None)
        self._drop(lambda _: self._bytes + row.nbytes > KEPT_BYTES)
        here = self._driver.allocate(row.nbytes)
        self._driver.to_device(here, row.ctypes.data, row.nbytes)
        self._held[id(row)] = weakref.ref(row), here, row.nbytes
        self._bytes += row.nbytes
        return here

    def _drop(self, unwanted: Callable[[int], bool]) -> None:
        """Lets go of those, the ones that were used longest ago first."""
        for key in list(self._held):
            if unwanted(key):
                _, here, size = self._held.pop(key)
                self._bytes -= size
                self._driver.free(here)


@functools.cache
def uploads() -> Uploads:
    """Those of this process. Raises `MachineError` where there is no device."""
    return Uploads(driver())
