"""A program of a device's maker that looks into a process: for errors that no answer shows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Examiner(ABC):
    """Life cycle: made for one candidate; `command` is started in front of the candidate's worker, which then calls
    forward once a case; what the program has said by the end is `read`."""

    name: str
    slower = 200.0
    """How many times as long a call may take under it."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments, up to what it starts. Raises `MachineError` where it is missing."""

    @property
    def variables(self) -> Mapping[str, str]:
        """For the environment of what it starts."""
        return {}

    @abstractmethod
    def read(self, said: str) -> dict[str, Any]:
        """What it found, as JSON can say it."""
