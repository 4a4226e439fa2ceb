"""What was paid for is not asked for again: after a kill."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from llm_helpers import KEY, finish, new_run
from model_server import Disconnect, ModelServer, Request, Say, Script, Stall

from kernelwright.proposers.llm.call import BudgetSpent, CallFailed, Prompt
from kernelwright.proposers.llm.config import Configuration
from kernelwright.proposers.llm.models import Models, make
from kernelwright.store import Store

Serve = Callable[[Script], ModelServer]
Connect = Callable[..., Models]

A, B = (Prompt("system", (text,), "operator") for text in "ab")

CHILD = """
import asyncio, sys
from kernelwright.proposers.llm.call import Prompt
from kernelwright.proposers.llm.config import Configuration
from kernelwright.proposers.llm.models import make
from kernelwright.store import Store

async def work():
    log = Store().call_log(sys.argv[1])
    configuration = {"models": [{"spec": "openai:m", "base_url": sys.argv[2]}], "call": {"tries": 1}}
    async with make(Configuration.model_validate(configuration), log) as models:
        texts = "aabc"   # the reply to the first is used, the others arrive; that to "c" never does
        for number, text in enumerate(texts):
            print("asking", flush=True)
            reply = await models.ask(Prompt("system", (text,), "operator"))
            if number == 0:
                models.used(reply)
                models.reward([reply], 0.5)

asyncio.run(work())
"""


def test_a_killed_run_does_not_pay_twice(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: Stall() if request.turns == ("c",) else Say(f"re {request.turns[0]}"))
    store = Store()
    run = new_run(store)
    child = subprocess.Popen([sys.executable, "-c", CHILD, run, server.url], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(server.requests) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.communicate()
    assert len(server.requests) == 4
    before = [record.failure for record in store.calls(run)]
    assert before == [None, None, None, "cancelled"]

    again = serve(lambda request: Say(f"new {request.turns[0]}"))
    configuration = {"models": [{"spec": "openai:m", "base_url": again.url}]}
    models = make(Configuration.model_validate(configuration), store.call_log(run))
    assert (models.spent.calls, models.spent.input_tokens, models.spent.unreported) == (4, 33, 1)

    async def work(models: Models) -> list[tuple[str, str]]:
        left = [(prompt.turns[0], reply.text) for prompt, reply in models.unused()]
        models.used(models.unused()[0][1])
        return left

    # The reply to "a" that was used is not handed out again, the one that was not is, and so is "b"'s.
    assert finish(models, work) == [("a", "re a"), ("b", "re b")]
    assert not again.requests
    assert [prompt.turns[0] for prompt, _ in store.call_log(run).unused()] == ["b"]
    store.close()
    assert all(KEY.encode() not in path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())


def test_limits_go_on_where_they_were(serve: Serve, connect: Connect) -> None:
    server = serve([Say("x")])

    async def ask(models: Models) -> int:
        return (await models.ask(A)).call

    assert finish(connect(server, limits={"calls": 2}), ask) == 1
    models = connect(server, limits={"calls": 2})
    assert finish(models, ask) == 2
    assert (models.spent.calls, models.spent.input_tokens) == (2, 22)
    with pytest.raises(BudgetSpent):
        finish(connect(server, limits={"calls": 2}), ask)


def test_what_a_call_may_have_cost_still_counts_after_a_kill(serve: Serve, connect: Connect) -> None:
    """Three calls that the endpoint may have charged fill the limit, whoever asks."""
    server = serve([Disconnect()])

    async def ask(models: Models) -> list[str]:
        ends = []
        for _ in range(3):
            try:
                await models.ask(A)
            except (BudgetSpent, CallFailed) as end:
                ends.append(type(end).__name__)
        return ends

    limits = {"limits": {"tokens": 500}, "call": {"tries": 1}}
    assert finish(connect(server, **limits), ask) == ["CallFailed"] * 3
    models = connect(server, **limits)
    assert models.left.tokens is not None
    assert models.left.tokens < 150
    assert finish(models, ask) == ["BudgetSpent"] * 3
    assert (len(server.requests), models.spent.input_tokens, models.spent.unreported) == (3, 0, 3)


def test_the_bandit_remembers_what_earlier_sittings_taught(serve: Serve, connect: Connect) -> None:
    def script(request: Request) -> Say:
        return Say("x")

    servers = serve(script), serve(script)

    async def learn(models: Models) -> None:
        for number in range(40):
            reply = await models.ask(Prompt("", (str(number),), "operator"))
            models.used(reply)
            models.reward([reply], 1.0 if reply.model == "openai:model-1" else 0.0)

    finish(connect(*servers), learn)
    assert len(servers[1].requests) > 25
    before = len(servers[1].requests)
    finish(connect(*servers), lambda models: models.ask(A))
    assert len(servers[1].requests) == before + 1
