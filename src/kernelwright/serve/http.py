"""Serving HTTP to this machine alone."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from kernelwright.errors import UsageError

HOST = "127.0.0.1"
_LAST_WORDS_S = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listen(port: int, *, option: str) -> socket.socket:
    """A socket on the loopback address; any free port for 0.

    Raises:
        UsageError: the port is taken, or only root may have it; names the command line's `option`.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(
            f"cannot listen on port {port}: {error.strerror}", where=option, remedy="choose another port"
        ) from error


async def serve(app: Any, listener: socket.socket, *, stopping: Callable[[], None] = lambda: None) -> None:
    """Serves an ASGI application until Ctrl-C or SIGTERM.

    `stopping` is then called to end what still waits; connections that last are cut after a few seconds.
    """

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none", timeout_graceful_shutdown=_LAST_WORDS_S
    )
    await _Server(config, stopping).serve(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own raises the signal again at the end, before what is around the server could end too."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
