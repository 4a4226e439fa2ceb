"""Watches a GPU through NVML while something is timed on it: its clocks, why they are low, and who else works there.
Nothing is set."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kernelwright.targets.conditions import Conditions

_EVERY_S = 0.01
_POWER_CAP = 0x4
_SLOWED = {0x8: "hardware slowdown", 0x20: "heat", 0x40: "heat", 0x80: "power brake"}
"""NVML's reasons for low clocks that are no steady state: `nvmlClocksEventReasons`."""
_OWN_KIND = b"kernelwright"
"""In the command line of other judges, which take turns with this one."""


class _Samples:
    """Clocks and reasons, seen every few milliseconds by a thread of its own. Life cycle: `start`, `stop`."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="nvml")
        self.clocks: list[int] = []
        self.reasons = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        with suppress(self._nvml.NVMLError):  # what was seen until then stands
            while True:
                self.clocks.append(self._nvml.nvmlDeviceGetClockInfo(self._handle, self._nvml.NVML_CLOCK_SM))
                self.reasons |= self._nvml.nvmlDeviceGetCurrentClocksEventReasons(self._handle)
                if self._over.wait(_EVERY_S):
                    return


@contextmanager
def watching(uuid: str) -> Iterator[Callable[[], Conditions]]:
    """Watches the device with this identity (hexadecimal digits) while it is open; the function says, once it is
    closed, what was seen. Where NVML does not work, that nothing could be."""
    try:
        import pynvml as nvml

        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(_spelt(uuid).encode())
    except ImportError:
        yield lambda: Conditions(missing="clocks and other users of the device: nvidia-ml-py is not installed")
        return
    except nvml.NVMLError as error:
        reason = str(error)
        yield lambda: Conditions(missing=f"clocks and other users of the device: {reason}")
        return
    samples, begin = _Samples(nvml, handle), time.time_ns() // 1000
    samples.start()
    watched = Conditions()
    try:
        yield lambda: watched
    finally:
        samples.stop()
        watched = _conditions(nvml, handle, samples, begin)
        nvml.nvmlShutdown()


def _spelt(uuid: str) -> str:
    return f"GPU-{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}"


def _conditions(nvml: Any, handle: Any, samples: _Samples, begin: int) -> Conditions:
    others: tuple[str, ...] = ()
    missing = ""
    try:
        busy = {one.pid for one in nvml.nvmlDeviceGetProcessUtilization(handle, begin) if one.smUtil}
        others = tuple(sorted(filter(None, map(stranger, busy))))
    except nvml.NVMLError_NotFound:  # nobody, as far as it has looked
        pass
    except nvml.NVMLError as error:
        missing = f"other users of the device: {error}"
    if not samples.clocks:
        missing = "clocks and other users of the device: NVML does not say"
    return Conditions(
        clock_mhz=(min(samples.clocks), max(samples.clocks)) if samples.clocks else None,
        slowed=tuple(dict.fromkeys(name for bit, name in _SLOWED.items() if samples.reasons & bit)),
        capped=bool(samples.reasons & _POWER_CAP),
        others=others,
        missing=missing,
    )


def stranger(pid: int) -> str:
    """The name of a process that is neither this one nor one of its descendants, nor another judge or its; empty for
    those, and for what is not in sight: it has ended, or its number is one of another namespace's."""
    try:
        folder = Path("/proc", str(pid))
        name = folder.joinpath("comm").read_text().strip()
        while pid > 1:
            if pid == os.getpid() or _OWN_KIND in folder.joinpath("cmdline").read_bytes():
                return ""
            pid = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            folder = Path("/proc", str(pid))
    except (OSError, ValueError, IndexError):
        return ""
    return name
