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
    """Life cycle: within `lent`, as often as one likes, each judge of this process has a part of it, those with another
    home apart; the first of them starts it; `close` ends it. Tests of what a judge leaves behind do without."""

    def __init__(self) -> None:
        self._home = home()
        self._started: Zygote | None = None

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Has judges share it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(judge, "Zygote", lambda: _Part(self) if home() == self._home else Zygote())
            yield

    def zygote(self) -> Zygote:
        """The one."""
        if self._started is None:
            self._started = Zygote()
            self._started.start()
        return self._started

    def close(self) -> None:
        """Ends it."""
        if self._started is not None:
            self._started.close()
            self._started.release()


class _Part:
    """A judge's part: the workers that are its own, and end with it."""

    def __init__(self, shared: SharedZygote) -> None:
        self._shared, self._closed = shared, False
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared.zygote(), name)

    def start(self, devices: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        assert not devices
        assert not variables
        self._shared.zygote()

    def fork(self, *arguments: Any, **more: Any) -> Worker:
        if self._closed:
            raise MachineError("the judge was closed")
        worker = self._shared.zygote().fork(*arguments, **more)
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
