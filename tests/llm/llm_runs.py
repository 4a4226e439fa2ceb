"""Whole searches in which a scripted model writes for a scripted judge."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from kw_scripted import ScriptedJudge, make_task
from model_server import ModelServer, Say

from kernelwright.proposers.llm.config import CallSettings, Configuration, ModelConfig
from kernelwright.proposers.llm.limits import Limits
from kernelwright.search import SearchResult, Settings, search
from kernelwright.store import Store

QUICK = CallSettings(timeout_s=10, tries=3, backoff_s=0.01, longest_wait_s=0.05)
_CHILD = """
import asyncio, sys
sys.path[:0] = sys.argv[2:]
from kw_scripted import ScriptedJudge, make_task
from kernelwright.search import Settings, search
from kernelwright.store import Store

settings = Settings.model_validate_json(sys.argv[1])
result = asyncio.run(search(make_task(), settings, Store(), judge_factory=ScriptedJudge))
print(f"{result.outcome}, {result.stopped}, {result.evaluated}")
"""


def module(speedup: float, more: str = "") -> str:
    return f"SPEEDUP = {speedup}\n{more}\nclass ModelNew:\n    pass\n"


def whole(speedup: float, more: str = "") -> Say:
    return Say(f"Idea: {speedup} times\n```python\n{module(speedup, more)}```")


def settings(server: ModelServer, *, calls: int = 20, protocol: str = "openai", **options: Any) -> Settings:
    url = server.url if protocol == "openai" else server.root
    models = Configuration(
        models=(ModelConfig(spec=f"{protocol}:scripted", base_url=url),), limits=Limits(calls=calls), call=QUICK
    )
    values: dict[str, Any] = {"target": "scripted", "proposers": ("operator",), "seed": 1, "budget_s": 30.0, **options}
    return Settings(models=models, **values)


def run(store: Store, server: ModelServer, **options: Any) -> SearchResult:
    given = {name: options.pop(name, None) for name in ("listener", "resume")}
    judge = options.pop("judge_factory", ScriptedJudge)
    return asyncio.run(search(make_task(), settings(server, **options), store, judge_factory=judge, **given))


def child(settings: Settings, **options: Any) -> subprocess.Popen[Any]:
    """Such a search in a process of its own, which prints how it ended."""
    plugin = str(Path(__file__).parents[1] / "search" / "plugin")
    return subprocess.Popen([sys.executable, "-c", _CHILD, settings.model_dump_json(), plugin], **options)
