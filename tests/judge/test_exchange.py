"""One exchange with a stopped process: what its seconds are, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernelwright.judge import memory, wire
from kernelwright.judge.exchange import Exchange, exchange

ANSWERS = """
import os, socket, struct, sys, threading, time
sock = socket.socket(fileno=int(sys.argv[1]))
def late():
    while True:
        pass
{before}
print("ready", flush=True)
sock.recv(1)
{work}
"""
REPLY = 'sock.sendall(struct.pack("!Q", 2) + b"{}")'


@contextmanager
def stopped(work: str, before: str = "") -> Iterator[Exchange]:
    """A process that does `work` once it is sent a byte."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", ANSWERS.format(work=work, before=before), str(theirs.fileno())]
    with (
        ours,
        subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[theirs.fileno()]) as running,
    ):
        theirs.close()
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED)
        pidfd = os.pidfd_open(running.pid)
        threads = sorted(int(folder.name) for folder in Path(f"/proc/{running.pid}/task").iterdir())
        ours.sendall(b"!")
        try:
            with exchange(running.pid, pidfd, ours.fileno(), threads, os.sched_getaffinity(0)) as made:
                yield made
        finally:
            os.close(pidfd)
            running.kill()


def settle(pid: int) -> None:
    while not memory.all_stopped(pid):  # the test's time limit is the end of waiting
        time.sleep(1e-3)


def test_the_answer_comes_with_its_seconds_and_the_process_is_stopped() -> None:
    with stopped(f"time.sleep(0.2)\n{REPLY}") as timed:
        timed.go()
        assert timed.answer(20.0, 100) == b"{}"
        settle(timed.pid)
        assert 0.2 <= timed.seconds() < 20.0


def test_what_is_computed_after_the_answer_counts() -> None:
    with stopped(f"{REPLY}\nlate()", before="threading.Thread(target=late, daemon=True).start()") as timed:
        timed.go()
        before = time.perf_counter()
        timed.answer(20.0, 100)
        settle(timed.pid)
        assert 0 < timed.seconds() <= time.perf_counter() - before + 1.0


def test_no_answer_is_a_time_out() -> None:
    with stopped("time.sleep(60)") as timed:
        timed.go()
        with pytest.raises(TimeoutError):
            timed.answer(0.2, 100)


def test_half_an_answer_is_a_time_out() -> None:
    with stopped('sock.sendall(struct.pack("!Q", 50) + b"{}")\ntime.sleep(60)') as timed:
        timed.go()
        with pytest.raises(TimeoutError):
            timed.answer(0.5, 100)


def test_a_process_that_ends_has_no_answer() -> None:
    with stopped("sys.exit()") as timed:
        timed.go()
        with pytest.raises(wire.Closed):
            timed.answer(20.0, 100)


@pytest.mark.parametrize("length", [101, 2**63, 2**64 - 1])
def test_an_answer_over_the_limit_is_not_read(length: int) -> None:
    with stopped(f'sock.sendall(struct.pack("!Q", {length}))\ntime.sleep(60)') as timed:
        timed.go()
        with pytest.raises(wire.WireError, match="limit"):
            timed.answer(20.0, 100)


def test_a_process_that_is_gone_cannot_go_on() -> None:
    with stopped("") as timed:
        os.kill(timed.pid, signal.SIGKILL)
        os.waitid(os.P_PID, timed.pid, os.WEXITED)
        with pytest.raises(ProcessLookupError):
            timed.go()
