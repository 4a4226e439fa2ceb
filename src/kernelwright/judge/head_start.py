"""The first candidate goes before what is only wanted later, which would take the cores from it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

COMING, FOR_ITS_VERDICT = 3.0, 10.0
"""Seconds for which others wait for the first candidate, and then for its verdict."""


class HeadStart:
    """Life cycle: made once a judge; told by every evaluation when it begins and ends; `over` as often as you like."""

    def __init__(self) -> None:
        self._begun, self._judged = asyncio.Event(), asyncio.Event()

    def begin(self) -> None:
        """There is a candidate."""
        self._begun.set()

    def end(self) -> None:
        """There is no first candidate to wait for any more."""
        self._begun.set()
        self._judged.set()

    async def over(self) -> None:
        """Returns when the first candidate has its verdict, or has taken too long."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._begun.wait(), COMING)
            await asyncio.wait_for(self._judged.wait(), FOR_ITS_VERDICT)
