"""Whole searches in which a scripted model writes for a scripted judge."""

from __future__ import annotations

import asyncio
from typing import Any

from kw_scripted import ScriptedJudge, make_task
from model_server import ModelServer, Say

from kernelwright.proposers.llm.config import CallSettings, Configuration, ModelConfig
from kernelwright.proposers.llm.limits import Limits
from kernelwright.search import SearchResult, Settings, search
from kernelwright.store import Store

QUICK = CallSettings(timeout_s=10, tries=3, backoff_s=0.01, longest_wait_s=0.05)


def module(speedup: float, more: str = "") -> str:
    return f"SPEEDUP = {speedup}\n{more}\nclass ModelNew:\n    pass\n"


def whole(speedup: float, more: str = "") -> Say:
    return Say(f"Idea: {speedup} times\n```python\n{module(speedup, more)}```")


def run(store: Store, server: ModelServer, *, calls: int = 20, **options: Any) -> SearchResult:
    models = Configuration(
        models=(ModelConfig(spec="openai:scripted", base_url=server.url),), limits=Limits(calls=calls), call=QUICK
    )
    values: dict[str, Any] = {"target": "scripted", "proposers": ("operator",), "seed": 1, "budget_s": 30.0, **options}
    given = {name: values.pop(name, None) for name in ("listener", "resume")}
    judge = values.pop("judge_factory", ScriptedJudge)
    settings = Settings(models=models, **values)
    return asyncio.run(search(make_task(), settings, store, judge_factory=judge, **given))
