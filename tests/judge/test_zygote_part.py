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
from kernelwright.home import home
from kernelwright.judge import zygote_part
from kernelwright.judge.endings import WorkerGone
from kernelwright.judge.process import Worker
from kernelwright.judge.sandbox import Confinement
from kernelwright.judge.zygote_part import ZygotePart
from kernelwright.tasks import Task

CONFINED = Confinement(memory=8 << 30)
HANGS = """
import time


class Model:
    pass


def get_inputs():
    return []


time.sleep(600)
"""


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of these tests: that of others has judges, whose zygote is no toy."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def alone(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(own_home))


@pytest.fixture
def started(alone: None) -> Iterator[Callable[[], ZygotePart]]:
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


def kept() -> bool:
    return any(home() in shared.key for shared in list(zygote_part._kept.values()))


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


def test_one_that_has_died_while_it_waited_leaves_nothing_open(started) -> None:
    first = started()
    zygote, control = first._shared.zygote, first._shared.zygote._control
    end(first)
    os.kill(zygote._process.pid, signal.SIGKILL)
    assert eventually(lambda: not zygote.alive)
    assert answers(started().fork(CONFINED))
    assert control.fileno() == -1


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


def test_a_worker_may_be_closed_while_another_thread_waits_for_it_and_by_several_at_once(
    started, tmp_path: Path
) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    source = Task.load(tmp_path / "hangs.py").source.model_dump()
    part, ended = started(), []

    def wait(worker: Worker) -> None:
        try:
            worker.call("load_task", 600.0, source=source)
        except WorkerGone as gone:
            ended.append(gone)

    for _ in range(5):
        worker = part.fork(CONFINED)
        waits = threading.Thread(target=wait, args=(worker,))
        waits.start()
        assert eventually(lambda worker=worker: worker.running)
        closing = [threading.Thread(target=worker.close) for _ in range(4)]
        for thread in closing:
            thread.start()
        for thread in (waits, *closing):
            thread.join(60)
            assert not thread.is_alive()
    assert len(ended) == 5


def test_a_forked_process_leaves_its_parents_alone(started) -> None:
    """Also where another thread holds a lock as it is forked: the timer's of a zygote that was idle."""
    end(started())
    part = started()
    assert part._shared is not None and part._shared.timer is not None
    with part._shared.timer.finished._cond:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            zygote_part._end_all()
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert answers(part.fork(CONFINED))


@pytest.mark.parametrize("before", [True, False])
def test_one_may_be_closed_before_it_starts_and_while_it_does(before: bool) -> None:
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
    assert before or eventually(kept)
    end(part)
    thread.join(60)
    assert len(errors) == 1
    assert not kept(), "it has not been left behind"


def test_a_zygote_outlives_the_thread_that_started_it(started: Callable[[], ZygotePart]) -> None:
    """As a judge does whose event loop has ended, while others share its zygote."""
    zygote_part.end_idle()
    parts: list[ZygotePart] = []
    starter = threading.Thread(target=lambda: parts.append(started()))
    starter.start()
    starter.join()

    worker = parts[0].fork(CONFINED)

    assert worker.call("trim", 10.0) == {}
    worker.close()
