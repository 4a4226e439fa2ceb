"""Targets whose ceilings are measured, once a machine, and kept under `home()`."""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from kernelwright.home import home, keep
from kernelwright.targets.base import Ceilings, Target, Traffic

_FRESH_S = 60
"""A measurement this recent is not repeated."""


class MeasuredTarget(Target):
    """Life cycle: as `Target`'s. Subclasses say how to measure, and what the higher of two measurements is."""

    def __init__(self) -> None:
        self._ceilings: Ceilings | None = None
        self._measured_at = -math.inf
        self._turn = threading.RLock()  # two judges that start at once would disturb each other's measurement

    @abstractmethod
    def _measured(self) -> tuple[Ceilings, bool]:
        """The ceilings now, and whether the machine was calm: where it was not, they may be too low to be kept. Raises
        `MachineError`."""

    @abstractmethod
    def _highest(self, first: Ceilings, second: Ceilings) -> Ceilings:
        """The higher of each rate; both were measured at the same sizes."""

    def ceilings(self) -> Ceilings:
        """The measured ceilings: read from the cache, or measured now, with nothing else that should run.

        What is measured while other programs hold the cores is used but not kept.

        Raises:
            MachineError: they cannot be measured, or the cache cannot be written.
        """
        with self._turn:
            if self._ceilings is None:
                self._ceilings = _read(self._kept)
            if self._ceilings is None:
                self._ceilings, calm = self._measure()
                if calm:
                    _keep(self._kept, self._ceilings)
            return self._ceilings

    def measure_again(self) -> None:
        """As described in `Target`; raises what `ceilings` raises."""
        with self._turn:
            if time.monotonic() - self._measured_at > _FRESH_S:
                known = self.ceilings()
                self._ceilings = self._highest(known, self._measure()[0])
                if self._ceilings != known:
                    _keep(self._kept, self._ceilings)

    @property
    def _kept(self) -> Path:
        return home() / f"ceilings-{self.info().key}.json"

    def _measure(self) -> tuple[Ceilings, bool]:
        measured = self._measured()
        self._measured_at = time.monotonic()
        return measured


def _read(path: Path) -> Ceilings | None:
    """The cached ceilings; None where there are none or the file is damaged."""
    try:
        ceilings = Ceilings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    curves = list(ceilings.bandwidth.values())
    rates = [rate for curve in curves for _, rate in curve] + list(ceilings.flops.values())
    sizes = [tuple(size for size, _ in curve) for curve in curves]
    complete = set(ceilings.bandwidth) == set(get_args(Traffic)) and bool(ceilings.flops)
    plausible = all(1e6 < rate < 1e18 for rate in rates)
    increasing = all(each == sizes[0] == tuple(sorted(set(each))) and min(each, default=0) > 0 for each in sizes)
    return ceilings if complete and plausible and increasing else None


def _keep(path: Path, ceilings: Ceilings) -> None:
    keep(path, ceilings.model_dump_json(indent=2) + "\n", "the measured ceilings")
