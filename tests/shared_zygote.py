"""One zygote for the judges of many tests, since importing torch takes longer than judging. Workers are forked from it
as ever."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.judge import judge
from kernelwright.judge.nursery import Zygote
from kernelwright.judge.process import Worker


class SharedZygote:
    """Life cycle: started when it is made, and ended by `close`, or with the thread that made it. Within `lent`, as
    often as one likes, each judge of this process has a part of it, except those with another home. Tests of what a
    judge leaves behind do without."""

    def __init__(self) -> None:
        self._home = home()
        self._zygote = Zygote()
        self._zygote.start()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Has judges share it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judge, "Zygote", lambda: _Part(self._zygote) if home() == self._home else Zygote())
            yield

    def close(self) -> None:
        """Ends it."""
        self._zygote.close()
        self._zygote.release()


class _Part:
    """A judge's part: the workers that are its own, and end with it."""

    def __init__(self, zygote: Zygote) -> None:
        self._zygote, self._closed = zygote, False
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._zygote, name)

    def start(self, devices: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        assert not devices
        assert not variables

    def fork(self, *arguments: Any, **more: Any) -> Worker:
        if self._closed:
            raise MachineError("the judge was closed")
        worker = self._zygote.fork(*arguments, **more)
        self._workers.add(worker)
        if self._closed:
            worker.kill()
        return worker

    def close(self) -> None:
        self._closed = True
        for worker in list(self._workers):
            worker.kill()

    def release(self) -> None:
        for worker in list(self._workers):
            worker.close()
