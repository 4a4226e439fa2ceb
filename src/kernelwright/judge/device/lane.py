"""The queue of a timed batch on a device: the judge's half.

The worker queues all calls of a batch on the device, each behind a turnstile: a wait for a number in its own memory,
and after the call the writing of another. Then it is stopped. Only now are the inputs revealed, and the number is set:
from there to the last call's own number nothing of the candidate's runs but what it has queued, so the time is the
device's alone, and it is the judge that takes it. Setting a smaller number lets the first calls through, for a look
between two calls.
"""

from __future__ import annotations

import ctypes
import functools

from kernelwright.judge import native, wire
from kernelwright.judge.memory import BadAddress

PATIENCE = 5.0
"""Seconds for queueing a batch; whatever takes longer waits for the device, or is more than its queue holds."""
OPEN = (1 << 31) - 1
"""At least every call's number, as devices compare: by the sign of the difference in 32 bits."""


@functools.cache
def _native() -> ctypes.CDLL:
    library = ctypes.CDLL(str(native.library("lane", folder="device")))
    library.pass_through.restype = ctypes.c_double
    addresses, numbers = [ctypes.c_uint64] * 2, [ctypes.c_uint32] * 2
    library.pass_through.argtypes = [ctypes.c_int, *addresses, *numbers, ctypes.c_double]
    return library


class Lane:
    """Life cycle: made once a worker, with the addresses of the two numbers in its memory; `let` as far as wanted."""

    def __init__(self, pid: int, opened: int, passed: int) -> None:
        self._pid, self._opened, self._passed, self._library = pid, opened, passed, _native()

    def let(self, calls: int, timeout: float) -> float | None:
        """Lets the first `calls` calls of the batch run; the seconds until they had, None where they had not in time.

        The device has turned to the worker's process before that, so this takes the calls' own time.

        Raises:
            BadAddress: the numbers are not where the worker says.
        """
        before, last = wire.FIRST_CALL - 1, wire.FIRST_CALL - 1 + calls
        return None if self._set(before, before, timeout) is None else self._set(last, last, timeout)

    def open(self) -> None:
        """Lets everything run, without waiting. Raises as `let`."""
        self._set(OPEN, 0, 0.0)

    def _set(self, opened: int, passed: int, timeout: float) -> float | None:
        seconds = self._library.pass_through(self._pid, self._opened, self._passed, opened, passed, timeout)
        if seconds == -2:
            raise BadAddress("its turnstiles are not in its memory")
        return None if seconds < 0 else float(seconds)
