"""A look at a batch of calls in its middle: each call must do its own work, no sooner and no later.

The worker is stopped at a moment that it cannot foresee. What the calls before that moment have returned is read: it
must be all there and stay as it is. What the calls after it are to work on is replaced by other inputs: whoever has
looked ahead has worked on the wrong ones. So is what the calls before it have worked on: whoever has put off some of
their work will do it on the wrong ones. So calls cannot be merged, overlapped or put off, whoever keeps the batch's
inputs in sight.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernelwright.judge import memory, tensors, wire
from kernelwright.judge.answer import Answer, Inputs
from kernelwright.judge.candidate import CandidateSide
from kernelwright.judge.memory import Bytes
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.tensors import BadTensor, Claim

_Seen = tuple[int, "Bytes | None"]
"""Where an output lies, and what it holds; None where that cannot be read as if it were contiguous."""
LOOKS = 5
"""How many looks late in a batch are enough to judge the pace by."""
CROWDED = 0.25
"""What a look counts for where others want the cores that it is about."""


def late(calls: int) -> float:
    """The share of a batch's time after which at least one of several calls should be done."""
    return max(0.5, 1 / calls + 0.25)


@dataclass
class Pace:
    """Whether a candidate gets on with a batch as time goes by, by the looks of one measurement.

    Whoever merges the calls of a batch into one must say, whenever one looks, that it is at the first ones. An honest
    candidate may be held up by the machine, once or twice, and again and again where others want its cores: looks at
    such moments weigh little. Only looks count that come when nobody can know.
    """

    asked: int = 0
    short: int = 0
    late: int = 0
    behind: int = 0
    weight: float = 0.0
    """Of the looks that speak against it, a look on a quiet machine being 1."""

    def note(self, look: Look, total: float) -> None:
        """Adds a look into a batch that takes `total` seconds."""
        self.asked += 1
        share = min(1.0, look.ran / total)
        if look.begun >= 0 and share >= late(len(look.inputs)):
            self.late += 1
            self.behind += look.begun < share * len(look.inputs) / 4
            self.weight += CROWDED if look.crowded else 1.0

    def passed_over(self) -> None:
        """Counts a batch that is too short for a look to tell anything."""
        self.short += 1

    @property
    def doubtful(self) -> bool:
        """Whether all looks so far speak against it, and more would tell."""
        return 0 < self.late == self.behind and self.asked < LOOKS / CROWDED and self.short < LOOKS

    def check(self) -> None:
        """Raises `Rejection` where enough looks do."""
        if self.late == self.behind and self.weight >= LOOKS:
            raise Rejection("tampering", "whenever one looks, it says that it has hardly begun with the batch's calls")


@dataclass
class Look:
    """Life cycle: made for one batch, `clear` before it is run; `take` while its worker is
    stopped in the middle; `check` after the batch.

    Attributes:
        inputs: what the batch's calls work on; after `take`, with those that were replaced before their call.
        spare: other inputs, as many.
        answer: what one call returns, for sizes.
        slots: what the worker's slots hold afterwards.
    """

    side: CandidateSide
    inputs: list[Inputs]
    spare: list[Inputs]
    answer: Answer
    slots: list[Inputs] = field(init=False)
    begun: int = -1
    """The call that it was at; -1 where it was done before it was looked at."""
    ran: float = 0.0
    """Seconds after which it was stopped."""
    crowded: bool = False
    """Whether, at that moment, there were fewer cores than it and others want."""
    _seen: list[list[_Seen | None]] = field(default_factory=list)
    """Of each call that has returned, its outputs; None where one is no tensor."""

    def __post_init__(self) -> None:
        self.slots = self.inputs

    def clear(self) -> None:
        """Forgets what the batch before said: the worker may be stopped before it has begun this one."""
        assert self.side.slots is not None
        size = 8 * (1 + wire.PLACES * len(self.inputs))
        with self.side.trusting("its progress"):
            memory.fill(self.side.worker.pid, self.side.slots.progress, size, 0)

    def take(self, ran: float, passed: int | None = None) -> None:
        """Reads what is done after so many seconds, replaces what has not begun and what has been worked on. Raises
        `Rejection`.

        Args:
            ran: the seconds.
            passed: the calls that were let through, where the judge decides that; else the worker says which one it is
                at.
        """
        assert self.side.slots is not None
        with self.side.trusting("its signals"):
            warned = memory.catches(self.side.worker.pid, signal.SIGCONT)
        if warned:
            raise Rejection("tampering", "it wants to be told when it goes on after it has been stopped")
        progress = self._progress()
        begun, places = int(progress[0]), progress[1:].reshape(len(self.inputs), wire.PLACES)
        untouched = begun + 1
        if passed is not None:
            begun = untouched = passed
        if not 0 <= begun <= len(self.inputs):
            raise Rejection("tampering", f"in the middle of {len(self.inputs)} calls it says that it is at {begun}")
        self._seen = [self._results(row) for row in places[:begun]]
        self.slots = self.inputs = self.inputs[:untouched] + self.spare[untouched:]
        self.side.reveal(self.inputs, start=untouched)
        # Results that are allowed to lie in the arguments would be replaced as well.
        if not (self.answer.aliases or self.answer.mutated_inputs):
            self.slots = self.spare[:begun] + self.inputs[begun:]
            self.side.reveal(self.slots[:begun])
        self.begun, self.ran, self.crowded = begun, ran, memory.crowded(self.side.worker.pid)

    def check(self, outputs: list[list[dict[str, Any]]]) -> None:
        """Compares what was there in the middle with the outputs after all. Raises `Rejection`."""
        for index, results in enumerate(self._seen):
            for place, seen in enumerate(results):
                if seen is None:
                    continue
                pointer, data = seen
                with self.side.trusting(f"output {place} of call {index}"):
                    claim = _claim(outputs[index], place)
                    if claim is None or not claim.elements:
                        continue
                    # Gaps between the elements of a strided output are anybody's, and one that is expanded has fewer.
                    same = not claim.contiguous or (data is not None and self.side.worker.space.equal(pointer, data))
                if claim.pointer != pointer:
                    raise Rejection("tampering", f"call {index} had returned something else while the batch was run")
                if not same:
                    raise Rejection(
                        "tampering", f"output {place} of call {index} was written after the call had returned"
                    )

    def _progress(self) -> Any:
        assert self.side.slots is not None
        count = 1 + wire.PLACES * len(self.inputs)
        with self.side.trusting("its progress"):
            row = np.empty((1, 8 * count), np.uint8)
            memory.read(self.side.worker.pid, [self.side.slots.progress], row.nbytes, row)
        return row[0].view(np.int64)

    def _results(self, row: Any) -> list[_Seen | None]:
        """The outputs of a call that has returned."""
        found: list[_Seen | None] = []
        returned = [want for want in self.answer.outputs if want.argument is None]
        for pointer, want in zip(row, returned[: wire.PLACES], strict=False):
            if not want.dtype:
                found.append(None)
                continue
            like = Claim(want.shape, _contiguous(want.shape), want.dtype, int(pointer) & (1 << 64) - 1)
            data = None
            with self.side.trusting("the output of a call that has returned"), suppress(BadTensor):
                data = tensors.raw(self.side.worker, like)
            found.append((like.pointer, data))
        return found


def _claim(call: list[dict[str, Any]], place: int) -> Claim | None:
    return Claim.parse(call[place]) if place < len(call) and "pointer" in call[place] else None


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
