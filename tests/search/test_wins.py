from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from kw_scripted import ScriptedJudge, make_task, source

from kernelwright import registry
from kernelwright.home import home
from kernelwright.knowledge.library import open_library
from kernelwright.proposers.base import Candidate, Context, Proposer
from kernelwright.search import Settings, search
from kernelwright.store import Store


def test_a_winner_joins_the_documents_once(store: Store) -> None:
    settings = Settings(target="scripted", proposers=("numbers",), seed=1)
    results = [
        asyncio.run(search(make_task(), settings, Store("sqlite://"), judge_factory=ScriptedJudge)) for _ in range(2)
    ]
    (win,) = open_library().documents(kind="win").values()
    assert win.source is not None
    assert win.source.run == results[0].run
    assert win.source.speedup == 5.0
    assert set(win.operations) == {"mul", "add"}
    assert "number 5" in win.text


class Thinks(Proposer):
    """Changes the best version, for better and worse, and says what it tries."""

    name = "operator"  # as a scaffold that ships
    needs_parents = True

    async def propose(self, context: Context) -> AsyncIterator[Candidate]:
        if context.parents[0].verdict.speedup != 5:
            return
        for number, idea in ((9, "tiles of 9"), (1.5, "one\n# Now\nby one"), (0.0, "no tail"), (5.2, "as good")):
            yield Candidate(
                source=source(number), language="cpp", proposer=self.name, parents=(context.parents[0].id,), note=idea
            )


def test_what_models_tried_is_a_lesson_with_where_it_comes_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda group, name: Thinks if name == "thinks" else load(group, name))
    settings = Settings(target="scripted", proposers=("numbers", "thinks"), seed=1, policy="greedy")
    result = asyncio.run(search(make_task(), settings, store, judge_factory=ScriptedJudge))
    (lesson,) = open_library().documents(kind="lesson").values()
    assert (lesson.source.run, lesson.source.task, lesson.source.noted_by) == (result.run, "Numbers", "operator")
    assert set(lesson.operations) == {"mul", "add"}
    assert "Nobody has checked it" in lesson.text
    for line in ("times the speed of the version it changed: tiles of 9", "rejected (wrong_values): no tail"):
        assert line in lesson.text
    assert "one # Now by one" in lesson.text
    assert "as good" not in lesson.text


def test_a_damaged_document_is_no_obstacle(store: Store) -> None:
    folder = home() / "knowledge"
    folder.mkdir(parents=True)
    (folder / "mine.md").write_text("no front matter")
    settings = Settings(target="scripted", proposers=("numbers",), seed=1)
    assert asyncio.run(search(make_task(), settings, store, judge_factory=ScriptedJudge)).outcome == "faster"


def test_what_is_not_faster_teaches_nothing(store: Store) -> None:
    class Slow(ScriptedJudge):
        def final(self, candidate: object) -> float:
            return 0.5

    settings = Settings(target="scripted", proposers=("numbers",), seed=1)
    asyncio.run(search(make_task(), settings, store, judge_factory=Slow))
    assert not open_library().documents(kind="win")
