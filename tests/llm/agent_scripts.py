"""Searches with the coding agent, and what a scripted model says to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llm_runs
from llm_runs import module
from model_server import ModelServer, Request, Say

from kernelwright.search import SearchResult, Settings
from kernelwright.store import Store

DONE = Say("I am done.")
AGENT = {"proposers": ("agent",)}


def settings(server: ModelServer, **options: Any) -> Settings:
    return llm_runs.settings(server, **AGENT, **options)


def run(store: Store, server: ModelServer, **options: Any) -> SearchResult:
    return llm_runs.run(store, server, **{**AGENT, **options})


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
