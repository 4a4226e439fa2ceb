"""What a device was like while something was timed, and what that does to a verdict."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kernelwright.judge.verdict import CaseTiming
from kernelwright.targets.conditions import Conditions
from kernelwright.targets.cuda_watch import stranger, watching

TIMING = CaseTiming(
    case="default", time_us=10, reference_us=20, floor_us=5, speedup=2, speedup_ci=(1.9, 2.1), pairs=9, calls=8
)


@contextmanager
def another(*words: str) -> Iterator[int]:
    """A process that is no descendant of this one: its parent has ended."""
    code = (
        "import subprocess, sys; quiet = subprocess.DEVNULL\n"
        "print(subprocess.Popen(sys.argv[1:], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True).pid)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True).stdout)
    try:
        yield pid
    finally:
        os.kill(pid, 9)


def test_a_process_of_somebody_else_is_a_stranger_and_our_own_and_other_judges_are_not() -> None:
    with subprocess.Popen(["sleep", "60"]) as own, another("sleep", "60") as theirs:
        assert stranger(theirs) == "sleep"
        assert stranger(own.pid) == ""
        own.kill()
    assert stranger(os.getpid()) == ""
    assert stranger(2**22 + 1) == "", "no such process"
    with another("sh", "-c", "sleep 60; true kernelwright") as judge:
        assert stranger(judge) == ""


def test_heat_and_others_disturb_a_timing_and_a_limit_on_power_does_not() -> None:
    assert Conditions(clock_mhz=(1500, 1980), capped=True).disturbance == ""
    hot = Conditions(slowed=("heat",), others=("python", "blender")).disturbance
    assert hot == "the device was slowed down (heat) and other programs used the device (python, blender)"
    assert not TIMING.vague
    assert TIMING.model_copy(update={"disturbed": hot}).vague


def test_without_a_device_nothing_is_seen_and_that_is_said() -> None:
    with watching("00" * 16) as seen:
        pass
    assert seen().missing
    assert seen().disturbance == ""


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """NVML as it answers on a device that is hot and at its limit of power, and that nobody is known to use."""
    found = types.ModuleType("pynvml")
    found.NVMLError = type("NVMLError", (Exception,), {})
    found.NVMLError_NotFound = type("NVMLError_NotFound", (found.NVMLError,), {})
    found.NVML_CLOCK_SM, found.open, found.asked, clocks = 1, 0, 0, itertools.cycle((1980, 1500))

    def count(by: int) -> None:
        found.open += by

    def clock(*_: Any) -> int:
        found.asked += 1
        return next(clocks)

    def nobody(*_: Any) -> list[Any]:
        raise found.NVMLError_NotFound

    found.nvmlInit, found.nvmlShutdown = lambda: count(1), lambda: count(-1)
    found.nvmlDeviceGetHandleByUUID = lambda uuid: uuid
    found.nvmlDeviceGetClockInfo = clock
    found.nvmlDeviceGetCurrentClocksEventReasons = lambda _: 0x40 | 0x4
    found.nvmlDeviceGetProcessUtilization = nobody
    monkeypatch.setitem(sys.modules, "pynvml", found)
    return found


def test_clocks_and_reasons_are_seen_while_it_is_open(nvml: Any) -> None:
    with watching("4e99fbed0d07b31a62ee87e8ae8c8654") as seen:
        while nvml.asked < 2:
            time.sleep(0.01)
    assert seen() == Conditions(clock_mhz=(1500, 1980), slowed=("heat",), capped=True)
    assert nvml.open == 0


def test_who_works_there_is_named_and_who_only_holds_memory_is_not(nvml: Any) -> None:
    with another("sleep", "60") as theirs, another("sleep", "61") as idle:
        samples = [types.SimpleNamespace(pid=theirs, smUtil=7), types.SimpleNamespace(pid=idle, smUtil=0)]
        nvml.nvmlDeviceGetProcessUtilization = lambda *_: samples
        with watching("4e99fbed0d07b31a62ee87e8ae8c8654") as seen:
            pass
        assert seen().others == ("sleep",)
