"""A worker that runs forward on inputs in its slots: revealing them, running them at once or on a device's queue."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kernelwright.judge import tensors
from kernelwright.judge.answer import Inputs
from kernelwright.judge.comparing import is_list_of_objects, spelt_out
from kernelwright.judge.device.lane import PATIENCE, Lane
from kernelwright.judge.memory import BadAddress, Forbidden, Gone
from kernelwright.judge.process import Worker
from kernelwright.judge.reference import ReferenceSide
from kernelwright.judge.rejection import Rejection, WorkerFailure, rejection
from kernelwright.judge.space import Unfinished
from kernelwright.judge.tensors import BadTensor, Claim

CALL_TIMEOUT, SLOWER = 20.0, 100.0
"""Seconds for a request to a candidate, and how many times as slow as the reference it may be beyond them."""


@dataclass(frozen=True)
class Slots:
    """Room for inputs in a worker: what each argument is, where each tensor of each set lies, and where the worker
    notes how far it is."""

    arguments: tuple[dict[str, Any], ...]
    pointers: tuple[tuple[int | None, ...], ...]
    progress: int


@dataclass
class Runner:
    """Life cycle: made with a worker; `bind` inputs like those of a case, then `run` as often as wanted."""

    worker: Worker
    reference: ReferenceSide
    call_timeout: float = CALL_TIMEOUT
    loading: bool = field(default=True, init=False)
    slots: Slots | None = field(default=None, init=False)
    holds: Inputs | None = field(default=None, init=False)
    """The inputs in its only slot, as last revealed."""
    left: list[dict[str, Any]] = field(default_factory=list, init=False)
    """The state as the last run left it, where forward changes state."""
    waits: bool = field(default=False, init=False)
    """Its calls wait for the device, so they cannot be queued there before they run."""
    _warm: bool = field(default=False, init=False)
    """Has called forward on inputs like those in its slots: what a first call loads would wait for the device."""

    def call(self, op: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Asks the worker. Raises `Rejection`."""
        return self.timed_call(op, timeout, **arguments)[0]

    def timed_call(self, op: str, timeout: float, **arguments: Any) -> tuple[dict[str, Any], float]:
        """As `call`, with the seconds it took; `halfway` as for `Worker.timed_call`. Raises `Rejection`."""
        try:
            return self.worker.timed_call(op, timeout, **arguments)
        except WorkerFailure as error:
            raise rejection(error, self.worker.output(), loading=self.loading) from error

    @contextmanager
    def trusting(self, what: str) -> Iterator[None]:
        """Around everything that is done with an address or a description of the worker's: `what` they are of.

        Raises:
            Rejection: they are false, or nobody may read its memory; it has ended.
        """
        try:
            yield
        except (BadTensor, BadAddress) as error:
            raise Rejection("tampering", f"{what} cannot be where its process says: {error}") from error
        except Forbidden as error:
            raise Rejection("tampering", "its process keeps the judge from reading its memory") from error
        except Gone as error:
            raise Rejection("crashed", "its process ended between two calls") from error

    def bind(self, like: Inputs, count: int = 1) -> Slots:
        """Makes room in the worker for `count` sets of inputs like these."""
        if self.slots is None or self.slots.arguments != like.arguments or len(self.slots.pointers) != count:
            reply = self.call("slots", self.call_timeout, arguments=list(like.arguments), count=count)
            self.slots = Slots(like.arguments, self._pointers(reply, like, count), address(reply.get("progress")))
            self.holds, self._warm = None, False
        return self.slots

    def reveal(self, inputs: list[Inputs], start: int = 0) -> None:
        """Writes sets of inputs into the slots of the stopped worker, the last moment before it may use them; those
        before `start` are left alone."""
        assert self.slots is not None
        self.holds = inputs[0] if len(self.slots.pointers) == len(inputs) == 1 else None
        slots, sets = self.slots.pointers[start : len(inputs)], inputs[start:]
        for index, item in enumerate(sets[0].data if sets else ()):
            if item is not None and item.size:
                rows = [data for one in sets if (data := one.data[index]) is not None]
                with self.trusting(f"argument {index}"):
                    tensors.fill(self.worker, [slot[index] or 0 for slot in slots], rows)

    def run(
        self,
        inputs: list[Inputs],
        *,
        calls: int | None = None,
        halfway: tuple[float, Callable[..., None]] | None = None,
        timed: bool = False,
    ) -> tuple[list[list[dict[str, Any]]], float]:
        """Reveals sets of inputs and runs forward on each, or on the first `calls` slots; the outputs as the worker
        describes them, a list a call, and the judge's seconds.

        A batch that is `timed` is queued on the device, where the worker has one, and where its calls can be.
        `halfway`: see `Worker.timed_call`; in a queue one looks after a number of calls that nobody knows.
        """
        self.loading = False
        lane = self.worker.lane if timed and not self.waits and (self._warm or calls == 0) else None
        self.worker.space.aim(())
        if lane is not None:
            queued = self._queued(lane, inputs, calls, halfway)
            if queued is not None:
                return queued
            self.waits = True
        count = len(inputs) if calls is None else calls
        reply, seconds = self._go(inputs, count, halfway if self.worker.lane is None else None)
        self._warm |= calls != 0
        outputs = self._returned(reply, count)
        there = time.perf_counter()
        self.worker.space.aim(self._results(outputs))
        self._freeze()
        # Stopped or not, on a device it may still be at work until the results have been kept.
        return outputs, seconds + (time.perf_counter() - there if timed and self.worker.lane is not None else 0.0)

    def rehearse(self, inputs: list[Inputs]) -> None:
        """As `run`, beside whatever else goes on; nobody looks at the results. Raises `Rejection`."""
        self.loading = False
        self._go(inputs, len(inputs), None, apart=False)
        self.loading = True  # the model is made anew

    def _go(
        self,
        inputs: list[Inputs],
        count: int,
        halfway: tuple[float, Callable[..., None]] | None,
        *,
        apart: bool = True,
    ) -> tuple[dict[str, Any], float]:
        return self.timed_call(
            "go",
            self.call_timeout,
            ready=lambda: self.reveal(inputs),
            halfway=halfway,
            apart=apart,
            count=count,
            state=bool(self.reference.changed),
        )

    def _queued(
        self, lane: Lane, inputs: list[Inputs], calls: int | None, halfway: tuple[float, Callable[..., None]] | None
    ) -> tuple[list[list[dict[str, Any]]], float] | None:
        """As `run`, on the device's queue; None where its calls wait for the device."""
        count, waited = calls or len(inputs), False

        def give_way(_: float) -> None:
            nonlocal waited
            waited = True
            with self.trusting("its turnstiles"):
                lane.open()

        reply = self.timed_call(
            "queue",
            self.call_timeout,
            halfway=(PATIENCE, give_way),
            count=count,
            idle=calls == 0,
            state=bool(self.reference.changed),
        )[0]
        if waited:
            return None
        outputs = self._returned(reply, 0 if calls == 0 else count)
        self.reveal(inputs)
        if halfway is not None and count > 1:
            passed = 1 + secrets.randbelow(count - 1)
            halfway[1](self._let(lane, passed), passed)
        self.worker.space.aim(self._results(outputs))
        seconds = self._let(lane, count)
        self._freeze()
        return outputs, seconds

    def _let(self, lane: Lane, calls: int) -> float:
        """Lets calls through; the seconds they took. Raises `Rejection`."""
        with self.trusting("its turnstiles"):
            seconds = lane.let(calls, PATIENCE + SLOWER * self.reference.seconds)
        if seconds is None:
            self.call("settle", self.call_timeout)  # which says what is wrong
            raise Rejection("tampering", "what it has queued on the device does not come to its end")
        return seconds

    def _returned(self, reply: dict[str, Any], count: int) -> list[list[dict[str, Any]]]:
        """The outputs in a reply. Raises `Rejection`."""
        outputs = spelt_out(reply.get("outputs"))
        if outputs is None or len(outputs) != count:
            raise Rejection("tampering", "its process broke the protocol: not one list of outputs a call")
        self.left = state_in(reply) if self.reference.changed else []
        return outputs

    def _results(self, outputs: list[list[dict[str, Any]]]) -> Iterator[tuple[int, int]]:
        """Address and bytes of what a run has left, the last call's outputs last."""
        for leaf in (*self.left, *(leaf for call in outputs for leaf in call)):
            with suppress(BadTensor):  # whoever compares it will tell
                claim = Claim.parse(leaf)
                yield claim.pointer, claim.span_bytes

    def _freeze(self) -> None:
        """Keeps what is in results at this moment. Raises `Rejection`."""
        with self.trusting("its memory"):
            try:
                self.worker.space.freeze()
            except Unfinished as error:
                raise Rejection("tampering", "results were written after the calls had returned") from error

    @staticmethod
    def _pointers(reply: dict[str, Any], like: Inputs, count: int) -> tuple[tuple[int | None, ...], ...]:
        pointers = reply.get("pointers")
        try:
            if (
                isinstance(pointers, list)
                and len(pointers) == count
                and all(len(slot) == len(like.data) for slot in pointers)
            ):
                return tuple(tuple(None if item is None else address(item) for item in slot) for slot in pointers)
        except (TypeError, ValueError, OverflowError):
            pass
        raise Rejection("tampering", "its process broke the protocol: not one address an input")


def address(value: Any) -> int:
    """An address from a reply. Raises `Rejection`."""
    if not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise Rejection("tampering", f"its process broke the protocol: {str(value)[:40]!r} is no address")
    return value


def state_in(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters and buffers in a reply. Raises `Rejection`."""
    entries = reply.get("state")
    if not is_list_of_objects(entries) or not all(isinstance(entry.get("name"), str) for entry in entries or ()):
        raise Rejection("tampering", "its process broke the protocol: no list of parameters and buffers")
    return list(entries or ())
