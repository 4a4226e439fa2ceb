"""What judges of a program share, and what ends with each."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelwright.errors import MachineError
from kernelwright.judge import zygote_part
from kernelwright.judge.endings import WorkerGone
from kernelwright.judge.process import Worker
from kernelwright.judge.sandbox import Confinement
from kernelwright.judge.zygote_part import ZygotePart

CONFINED = Confinement(memory=8 << 30)


@pytest.fixture
def started(shared_home: Path) -> Iterator[Callable[[], ZygotePart]]:
    """Makes parts, and closes them."""
    parts = []

    def start() -> ZygotePart:
        parts.append(part := ZygotePart())
        part.start()
        return part

    yield start
    for part in parts:
        end(part)


def end(part: ZygotePart) -> None:
    part.close()
    part.release()


def process(part: ZygotePart) -> int:
    assert part._shared is not None and part._shared.zygote._process is not None
    return part._shared.zygote._process.pid


def answers(worker: Worker) -> bool:
    return worker.call("trim", 60.0) == {}


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_parts_of_a_program_are_of_one_zygote_and_their_workers_end_with_them(started) -> None:
    first, second = started(), started()
    ends, stays = first.fork(CONFINED), second.fork(CONFINED)
    assert process(first) == process(second)

    first.close()

    with pytest.raises(WorkerGone):
        ends.call("trim", 60.0)
    with pytest.raises(MachineError, match="the judge was closed"):
        first.fork(CONFINED)
    assert answers(stays)
    end(second)
    third = started()
    assert process(third) == process(first), "it has waited"
    assert answers(third.fork(CONFINED))


def test_one_that_nobody_wants_ends(started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygote_part, "IDLE_SECONDS", 0.05)
    part = started()
    pid = process(part)
    end(part)
    assert eventually(lambda: gone(pid))


def test_one_that_has_died_is_replaced(started) -> None:
    first = started()
    os.kill(process(first), signal.SIGKILL)
    assert eventually(lambda: not first._shared.zygote.alive)
    second = started()
    assert process(second) != process(first)
    assert answers(second.fork(CONFINED))


def test_another_home_has_another_one_and_only_one_waits(
    started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started()
    pid = process(first)
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    second = started()
    assert process(second) != pid
    assert answers(first.fork(CONFINED)), "it is in use"
    end(first)
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "another"))
    started()
    assert gone(pid)


def test_a_forked_process_leaves_its_parents_alone(started) -> None:
    part = started()
    child = os.fork()
    if child == 0:
        zygote_part._end_all()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert answers(part.fork(CONFINED))


@pytest.mark.parametrize("before", [True, False])
def test_one_may_be_closed_before_it_starts_and_while_it_does(shared_home: Path, before: bool) -> None:
    zygote_part.end_idle()
    part, errors = ZygotePart(), []

    def start() -> None:
        try:
            part.start()
        except MachineError as error:
            errors.append(error)

    if before:
        part.close()
    thread = threading.Thread(target=start)
    thread.start()
    assert before or eventually(lambda: bool(zygote_part._kept))
    end(part)
    thread.join(60)
    assert len(errors) == 1
    assert not zygote_part._kept, "it has not been left behind"
