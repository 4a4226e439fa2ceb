"""What runs beside the thing that is timed, and is held up while it is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kernelwright.judge.background import Background


class Worker:
    """Stands for one that is asked to pause and to go on."""

    closed = False

    def __init__(self) -> None:
        self.paused = self.gone = False

    def pause(self) -> None:
        if self.gone:
            raise ProcessLookupError
        self.paused = True

    def resume(self) -> None:
        self.paused = False


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Background:
    monkeypatch.setattr("kernelwright.judge.background.Worker", Worker)
    return Background()


def started(background: Background) -> Any:
    return background.start(Worker)  # type: ignore[arg-type]


def test_nothing_starts_while_something_is_timed_and_nothing_is_timed_while_something_starts(
    background: Background,
) -> None:
    forked, slow, timed = threading.Event(), threading.Event(), threading.Event()

    def fork() -> Any:
        forked.set()
        assert slow.wait(10)
        return Worker()

    def time_something() -> None:
        with background.held_up():
            timed.set()

    starter = threading.Thread(target=background.start, args=(fork,))
    timer = threading.Thread(target=time_something)
    with background.held_up():
        starter.start()
        assert not forked.wait(0.2)
    assert forked.wait(10)
    timer.start()
    assert not timed.wait(0.2)
    slow.set()
    assert timed.wait(10)
    starter.join()
    timer.join()


def test_all_are_held_up_but_the_one_that_is_taken(background: Background) -> None:
    one, other = started(background), started(background)
    with background.held_up():
        assert one.paused
        assert other.paused
        background.forget(one)
        assert not one.paused
        with background.held_up():
            assert not one.paused
        assert other.paused, "whoever is inside is not done"
    assert not other.paused


def test_a_start_that_fails_holds_nobody_up(background: Background) -> None:
    def fails() -> Any:
        raise OSError("no process")

    with pytest.raises(OSError, match="no process"):
        background.start(fails)
    with background.held_up():
        pass


def test_a_worker_that_cannot_be_paused_leaves_others_free_to_start(background: Background) -> None:
    worker = started(background)
    worker.gone = True
    with pytest.raises(ProcessLookupError), background.held_up():
        pass
    assert started(background) is not worker
