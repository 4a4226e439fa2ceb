from __future__ import annotations

import asyncio

from kw_scripted import ScriptedJudge, make_task

from kernelwright.home import home
from kernelwright.knowledge.library import open_library
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
