"""The untrusted side where it computes on the CPU: what `worker.py` asks of the device that tensors are on."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import torch

KEPT_BYTES = 1 << 30
"""Free memory that a process keeps."""


class Host:
    """Life cycle: made once in a worker; the first thing that a worker on a device does is to exchange it."""

    name = "cpu"

    def facts(self) -> dict[str, Any]:
        """What the judge must know of it."""
        return {}

    def told(self, reply: dict[str, Any]) -> dict[str, Any]:
        """A reply with what the judge must know to find the memory that it speaks of."""
        return reply

    def settle(self) -> None:
        """Waits until everything that was started has been done."""

    def mark(self) -> Any:
        """A moment, for the census."""
        return time.perf_counter()

    def between(self, begin: Any, end: Any) -> float:
        """Seconds between two moments."""
        return float(end - begin)

    def keep_busy(self) -> None:
        """Has a device wait for some milliseconds, so that calls queue up behind and run without gaps."""

    def trim(self) -> None:
        """Gives memory that is free back to the system, but for what the next answer takes again: the first touch of a
        page costs as much as most of what is done with it, in a virtual machine much more."""
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(KEPT_BYTES))

    def close_turnstiles(self) -> None:
        """Before a batch is queued: nothing of it runs until the judge says so."""
        raise NotImplementedError("the host has no queue")

    def enter(self, number: int) -> None:
        """Queues the wait for a turnstile."""

    def leave(self, number: int) -> None:
        """Queues the note that everything up to the end of a turnstile's call has run."""

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """A model with everything that it holds on the device."""
        return model
