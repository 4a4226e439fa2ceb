"""The memory that a worker's tensors lie in, as the judge reaches it: the host's, or a device's (`device/`).

Addresses are what the worker claims; a wrong one hurts nobody but the claimant. The judge reads and writes while the
worker is stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kernelwright.judge import memory
from kernelwright.judge.memory import Bytes


@dataclass(frozen=True)
class Batching:
    """What a timed batch of calls is like where it runs.

    Attributes:
        seconds: a batch lasts at least about this long for the reference: a hundred times what is left of handing over,
            and of beginning with cold caches, when that has been measured and left out.
        calls: the most calls of one.
        bytes: memory for the pools of all timed cases.
        many: calls of a batch from which on handing over is what one call takes beside many; of fewer, what none takes.
        handover: most of a batch's time that is put down to handing over, where a candidate may find a quicker way than
            the reference's.
    """

    seconds: float
    calls: int
    bytes: int
    many: int
    handover: float


class Unfinished(Exception):
    """Results are still being written when they are read."""


class Space(ABC):
    """Life cycle: made with its worker; told with `learn` what each answer says of memory; closed with the worker.

    All but `learn`, `aim` and `close` raise `BadAddress` where an address is not the worker's, `Gone` where it has
    ended, and `Forbidden` where the machine does not let us.
    """

    batching: Batching

    @abstractmethod
    def learn(self, news: Any) -> None:
        """What the worker says of where its memory is, whatever that may be."""

    @abstractmethod
    def read(self, pointers: Sequence[int], size: int, out: Bytes) -> None:
        """Copies `size` bytes from each address into the rows of `out`, a C-contiguous (len(pointers), size) array."""

    def frozen(self, pointer: int, size: int) -> Bytes | None:  # noqa: ARG002 - for those that keep a copy
        """What `freeze` has kept of these bytes, where it lies until the next time; None where they have to be read."""
        return None

    @abstractmethod
    def write(self, pointers: Sequence[int], rows: Sequence[Bytes]) -> None:
        """Copies rows of one length, C-contiguous each, to the addresses."""

    @abstractmethod
    def fill(self, pointer: int, size: int, byte: int) -> None:
        """Sets `size` bytes."""

    @abstractmethod
    def equal(self, pointer: int, data: Bytes, share: float = 1.0) -> bool:
        """Whether the bytes there are those of the one-dimensional `data`, now; where they are many, about a `share` of
        them is looked at, nobody knows which."""

    @abstractmethod
    def aim(self, results: Iterable[tuple[int, int]]) -> None:
        """Gets ready to `freeze` results, spans of memory (address, bytes); lets go of what was frozen before."""

    @abstractmethod
    def freeze(self) -> None:
        """From now on `read` says what the spans hold at this moment, whatever is written there by something that goes
        on although the worker is stopped.

        Raises:
            Unfinished: something is writing there at this moment.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of the worker's memory; may be called again."""


class HostSpace(Space):
    """A process's own memory: nothing goes on there while it is stopped."""

    batching = Batching(seconds=16e-3, calls=1024, bytes=1 << 29, many=8, handover=0.05)

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def learn(self, news: Any) -> None:
        """Nothing: the process's number is all it takes."""

    def read(self, pointers: Sequence[int], size: int, out: Bytes) -> None:
        """See `Space.read`."""
        memory.read(self._pid, pointers, size, out)

    def write(self, pointers: Sequence[int], rows: Sequence[Bytes]) -> None:
        """See `Space.write`."""
        memory.write(self._pid, pointers, rows)

    def fill(self, pointer: int, size: int, byte: int) -> None:
        """See `Space.fill`."""
        memory.fill(self._pid, pointer, size, byte)

    def equal(self, pointer: int, data: Bytes, share: float = 1.0) -> bool:
        """See `Space.equal`."""
        return memory.equal(self._pid, pointer, data, share)

    def aim(self, results: Iterable[tuple[int, int]]) -> None:
        """See `Space.aim`."""

    def freeze(self) -> None:
        """See `Space.freeze`."""

    def close(self) -> None:
        """See `Space.close`."""
