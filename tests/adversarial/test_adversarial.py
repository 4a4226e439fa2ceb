"""Every cheat of the corpus gets what its header says, and nothing of it is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpus
import pytest
from arena import Arena, Traces, settled

CHEATS = corpus.cheats()
TASKS = corpus.tasks()
EVERY_RUN = ("row_rms", "scale_relu")
"""Tasks of the cheats that every run takes, 12 families at most: starting a judge takes longer than judging."""
MOST = 12


@pytest.fixture(scope="module")
def before(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    # A home of its own: tests that run beside these write to the shared one.
    home = tmp_path_factory.mktemp("home")
    for ceilings in shared_home.glob("ceilings-*.json"):
        shutil.copy(ceilings, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERNELWRIGHT_HOME", str(home))
        # The first judge opens what lasts as long as the process: libraries, a pool of threads.
        warm = Arena()
        warm.honest(TASKS["row_rms"])
        warm.close()
        yield Traces.now()


@pytest.fixture(scope="module")
def arena(before: Traces) -> Iterator[Arena]:
    arena = Arena()
    yield arena
    arena.close()


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(CHEATS) >= 130
    assert len({cheat.family for cheat in CHEATS}) >= 42
    assert len(TASKS) >= 6
    assert {cheat.task for cheat in CHEATS} == set(TASKS)


def picked() -> list[Any]:
    """All cheats. Every run takes one each of the first families, of those that are rejected however busy the machine
    is; the others take too long, and some ask how fast they are: `make corpus` runs them."""
    found, families = [], set()
    for cheat in CHEATS:
        sure = cheat.task in EVERY_RUN and not cheat.may_be_accepted
        sure = sure and cheat.family not in families and len(families) < MOST
        families |= {cheat.family} if sure else set()
        found.append(pytest.param(cheat, id=cheat.id, marks=[] if sure else pytest.mark.corpus))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("cheat", picked())
def test_a_cheat_gets_what_it_deserves(arena: Arena, cheat: corpus.Cheat) -> None:
    task = TASKS[cheat.task]
    assert arena.honest(task).accepted, arena.honest(task).message

    verdict, honest = arena.duel(task, cheat)

    assert not corpus.is_hole(cheat, verdict, honest), f"a hole: {verdict.speedup} against {honest.speedup}"
    said = f"{verdict.reason}: {verdict.message}" if not verdict.accepted else f"accepted, {verdict.speedup}"
    assert corpus.right(cheat, verdict, honest), f"expected {', '.join(cheat.expect)}, got {said}"
    assert verdict.model_dump_json()
    if corpus.has_advantage(verdict, honest):
        pytest.xfail("a limit that docs/judge.md names")


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, id=name, marks=[] if name in EVERY_RUN else pytest.mark.corpus)
        for name, task in reversed(TASKS.items())  # the judge of the last cheats is still there
    ],
)
def test_after_all_that_the_honest_part_is_still_accepted(arena: Arena, task: corpus.Task) -> None:
    verdict = arena.judge(task.path, f"{task.honest}\n# once more\n")
    assert verdict.accepted, verdict.message


@pytest.mark.slow
def test_a_long_source_is_no_way_to_hang_the_judge(arena: Arena) -> None:
    task = TASKS["row_rms"]
    verdict = arena.judge(task.path, task.honest + "\n# " + "x" * (3 << 20) + "\n")
    assert verdict.accepted, verdict.message


TELLS = """
        kind = type(self)
        kind.calls, kind.signed = getattr(kind, "calls", 0) + 1, getattr(kind, "signed", False) or x.min() < 0
        kind.first = getattr(kind, "first", x.clone())
        if kind.calls > 5 and not kind.signed and not torch.equal(x, kind.first):  # others are told by negative inputs
            raise RuntimeError(f"SECRET: the answer to {x[0, :3].tolist()} is {y[0].item()}")
        return y
"""


@pytest.mark.slow
def test_one_candidate_cannot_tell_the_next_the_answers(arena: Arena) -> None:
    """It may say what it is timed on: then nobody is timed on that again."""
    task = TASKS["row_rms"]
    tells = task.honest.replace("        return y\n", TELLS.lstrip("\n"))

    first, second = (arena.judge(task.path, f"{tells}\n# {number}\n") for number in range(2))

    assert (first.reason, second.reason) == ("crashed", "crashed")
    assert "SECRET" in first.message
    assert first.message != second.message


@pytest.mark.slow
def test_nothing_is_left_behind(arena: Arena, before: Traces) -> None:
    arena.close()
    assert not settled(before)
