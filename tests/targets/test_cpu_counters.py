"""What the system counts of another process: threads that are there, threads that it starts, nothing it did before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kernelwright.targets.cpu import Cpu

BUSY_S, PAGES = 0.2, 1000
CHILD = f"""
import mmap, os, signal, threading, time

def work():
    end = time.thread_time() + {BUSY_S}
    while time.thread_time() < end:
        pass

work()
begin = threading.Event()
def waiting():
    begin.wait()
    work()
early = threading.Thread(target=waiting)
early.start()
os.kill(os.getpid(), signal.SIGSTOP)
pages = mmap.mmap(-1, {PAGES} * mmap.PAGESIZE)
for at in range(0, len(pages), mmap.PAGESIZE):
    pages[at] = 1
begin.set()
late = threading.Thread(target=work)
late.start()
early.join()
late.join()
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture
def stopped() -> Iterator[int]:
    child = subprocess.Popen([sys.executable, "-c", CHILD])
    try:
        os.waitpid(child.pid, os.WUNTRACED)
        yield child.pid
    finally:
        child.kill()
        child.wait()


def test_a_process_is_counted_with_all_its_threads(stopped: int) -> None:
    with Cpu().counting(stopped) as read:
        before = read()
        os.kill(stopped, signal.SIGCONT)
        os.waitpid(stopped, os.WUNTRACED)
        counts = read()
    if "busy_s" not in counts.values:
        assert "counters are read" in counts.missing
        pytest.skip(counts.missing)
    assert before.values["busy_s"] < BUSY_S / 10
    assert counts.values["busy_s"] >= 1.9 * BUSY_S  # two clocks of the system's
    assert counts.values["page_faults"] >= PAGES
    hardware = {"cycles", "instructions", "cache_misses"}
    assert hardware <= counts.values.keys() or "hardware counters are read" in counts.missing
    assert counts.values.get("instructions", 1.0) > 0


def test_a_process_that_has_ended_counts_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with Cpu().counting(child.pid) as read:
        assert not any(read().values.values())
