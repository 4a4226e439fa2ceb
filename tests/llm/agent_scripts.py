"""Searches with the coding agent, and what a scripted model says to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kw_scripted import ScriptedJudge, make_task
from model_server import ModelServer, Request, Say

from kernelwright.proposers.llm.config import CallSettings, Configuration, ModelConfig
from kernelwright.proposers.llm.limits import Limits
from kernelwright.search import SearchResult, Settings, search
from kernelwright.store import Store

QUICK = CallSettings(timeout_s=10, tries=3, backoff_s=0.01, longest_wait_s=0.05)
DONE = Say("I am done.")


def settings(server: ModelServer, *, calls: int = 20, protocol: str = "openai", **options: Any) -> Settings:
    url = server.url if protocol == "openai" else server.root
    models = Configuration(
        models=(ModelConfig(spec=f"{protocol}:scripted", base_url=url),), limits=Limits(calls=calls), call=QUICK
    )
    values = {"target": "scripted", "proposers": ("agent",), "seed": 1, "budget_s": 30.0, **options}
    return Settings(models=models, **values)


def run(store: Store, server: ModelServer, **options: Any) -> SearchResult:
    given = {name: options.pop(name, None) for name in ("listener", "resume")}
    judge = options.pop("judge_factory", ScriptedJudge)
    return asyncio.run(search(make_task(), settings(server, **options), store, judge_factory=judge, **given))


def module(speedup: float, more: str = "") -> str:
    return f"SPEEDUP = {speedup}\n{more}\nclass ModelNew:\n    pass\n"


def write(speedup: float, more: str = "") -> tuple[str, Any]:
    return "write", {"source": module(speedup, more)}


def edit(old: float, new: float) -> tuple[str, Any]:
    return "edit", {"blocks": f"<<<<<<< SEARCH\nSPEEDUP = {old}\n=======\nSPEEDUP = {new}\n>>>>>>> REPLACE\n"}


def evaluate(idea: str = "") -> tuple[str, Any]:
    return "evaluate", {"idea": idea}


def calling(*calls: tuple[str, Any]) -> Say:
    return Say("", calls=calls)


COMMIT = ("commit", {})
LOOP = (calling(("task", {})), calling(write(2), evaluate(), COMMIT), calling(edit(2, 5), evaluate("five")))


def said(request: Request) -> int:
    """How many replies of the model the conversation has."""
    return sum(message["role"] == "assistant" for message in request.body["messages"])


def steps(*answers: Any) -> Callable[[Request], Any]:
    """Each conversation goes by these replies; after them the model only says that it is done."""
    return lambda request: answers[said(request)] if said(request) < len(answers) else DONE
