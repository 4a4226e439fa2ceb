"""Ctrl-C and SIGTERM end a search in good order."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While open, the first SIGINT or SIGTERM cancels the task and is noted in `received`; the next one acts as ever.

    Signals reach only the main thread: in any other this does nothing.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.received = False
        self._task = task
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in _SIGNALS:
                self._before[number] = signal.getsignal(number)
                loop.add_signal_handler(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _interrupt(self) -> None:
        self.received = True
        self._restore()
        self._task.cancel()

    def _restore(self) -> None:
        loop = asyncio.get_running_loop()
        while self._before:
            number, handler = self._before.popitem()
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
