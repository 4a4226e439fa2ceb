"""One piece of work at a time, in turn among clients."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kernelwright.errors import UsageError


class Turns:
    """Round-robin over clients, first come first served within one. Life cycle: made once;
    `async with turns.of(client)` around each piece of work, as concurrently as clients like, in one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._busy = False
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self._under_way: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, client: str) -> AsyncIterator[None]:
        """Waits for the client's turn and holds it.

        Raises:
            UsageError: the client has `limit` pieces of work waiting or under way already.
        """
        if self._under_way[client] >= self._limit:
            raise UsageError(f"{self._limit} of your calls are under way", remedy="wait for one of them to end")
        self._under_way[client] += 1
        try:
            await self._wait(client)
            try:
                yield
            finally:
                self._pass_on()
        finally:
            self._under_way -= Counter([client])

    async def _wait(self, client: str) -> None:
        if not self._busy:
            self._busy = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had come just before the client gave up
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """The first of the next client; who was served goes to the end. Those who gave up are skipped."""
        while self._queues:
            client = next(iter(self._queues))
            queue = self._queues.pop(client)
            turn = queue.popleft()
            if queue:
                self._queues[client] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
