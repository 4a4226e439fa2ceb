"""Threads of a stopped process start on cores of their own, and are free afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernelwright.judge import cores

EVERYWHERE = os.sched_getaffinity(0)
THREADS = """
import os, threading
for _ in range(2):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
{more}
print(os.getpid(), flush=True)
input()
"""


@contextmanager
def process(more: str = "") -> Iterator[int]:
    """A stopped process with three threads."""
    with subprocess.Popen(
        [sys.executable, "-c", THREADS.format(more=more)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        try:
            yield pid
        finally:
            running.kill()


def masks(pid: int) -> list[set[int]]:
    threads = sorted(int(folder.name) for folder in Path(f"/proc/{pid}/task").iterdir())
    return [os.sched_getaffinity(thread) for thread in threads]


@pytest.mark.skipif(len(EVERYWHERE) < 2, reason="one core")
def test_threads_are_apart() -> None:
    with process() as pid, cores.apart(pid) as (threads, _):
        assert threads[0] == pid
        assert len(threads) == 3
        placed = [mask for mask in masks(pid) if len(mask) == 1]
        assert masks(pid)[0] in placed
        assert len({min(mask) for mask in placed}) == len(placed) == min(3, len(EVERYWHERE))
    assert os.sched_getaffinity(0) == EVERYWHERE


@pytest.mark.skipif(len(EVERYWHERE) < 2, reason="one core")
def test_all_threads_are_free_afterwards() -> None:
    with process() as pid:
        with cores.apart(pid):
            pass
        assert masks(pid) == [EVERYWHERE] * 3


@pytest.mark.skipif(len(EVERYWHERE) < 2, reason="one core")
def test_a_process_that_chose_its_cores_keeps_them() -> None:
    chosen = {min(EVERYWHERE)}
    with process(f"for t in os.listdir('/proc/self/task'): os.sched_setaffinity(int(t), {chosen})") as pid:
        with cores.apart(pid):
            assert masks(pid) == [chosen] * 3
        assert masks(pid) == [chosen] * 3


def test_a_process_that_has_ended_is_no_error() -> None:
    with process() as pid:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with cores.apart(pid):
            pass
    assert os.sched_getaffinity(0) == EVERYWHERE
