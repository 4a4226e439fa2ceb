"""Models call tools: what they call arrives, and the conversation goes back to them as they need it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from llm_helpers import KEY, finish
from model_server import ModelServer, Request, Say, Script

from kernelwright.proposers.llm.call import CallFailed, Calling, Prompt, Reply, Results, Tool, ToolCall
from kernelwright.proposers.llm.models import Models
from kernelwright.store import Store

Serve = Callable[[Script], ModelServer]
Connect = Callable[..., Models]

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = (Tool("look", "Look at something.", SCHEMA), Tool("stop", "Stop.", {"type": "object", "properties": {}}))
PROMPT = Prompt("You use tools.", ("begin",), "agent", tools=TOOLS)


def then(prompt: Prompt, reply: Reply, *results: str, text: str = "") -> Prompt:
    return replace(prompt, turns=(*prompt.turns, reply.turn, Results(results, text)))


def in_messages(request: Request) -> tuple[list[str], list[str]]:
    """Ids of all calls of a conversation, and those that results name."""
    calls: list[str] = []
    results: list[str] = []
    for message in request.body["messages"]:
        calls += [call["id"] for call in message.get("tool_calls") or ()]
        results += [message["tool_call_id"]] if message["role"] == "tool" else []
        parts = message["content"] if isinstance(message["content"], list) else []
        calls += [part["id"] for part in parts if part["type"] == "tool_use"]
        results += [part["tool_use_id"] for part in parts if part["type"] == "tool_result"]
    return calls, results


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "google"])
def test_calls_and_results_travel(serve: Serve, connect: Connect, store: Store, run: str, protocol: str) -> None:
    server = serve(
        [Say("two", calls=[("look", {"n": 1}), ("look", {"n": 2})]), Say("", calls=[("stop", {})]), Say("x")]
    )

    async def converse(models: Models) -> list[Reply]:
        first = await models.ask(PROMPT)
        second = await models.ask(more := then(PROMPT, first, "one λ", "two", text="and now?"))
        return [first, second, await models.ask(then(more, second, "stopped"))]

    first, second, third = replies = finish(connect(server, protocol=protocol), converse)
    assert [(call.name, json.loads(call.arguments)) for call in first.calls] == [("look", {"n": 1}), ("look", {"n": 2})]
    assert (first.text, second.text, third.text, third.calls) == ("two", "", "x", ())
    assert [call.name for call in second.calls] == ["stop"]
    assert server.requests[0].tools == ("look", "stop")
    last = server.requests[2]
    assert last.results == ("one λ", "two", "stopped")
    assert "and now?" in last.turns
    if protocol == "google":
        assert json.dumps(last.body).count("c2lnbmVk") == 2
    else:
        calls, results = in_messages(last)
        assert calls == results
        assert len(set(calls)) == 3
    assert [record.reply for record in store.calls(run)] == replies
    assert store.calls(run)[2].prompt.turns[1] == Calling("two", first.calls, first.private)
    assert store.calls(run)[0].prompt == PROMPT


def test_what_an_endpoint_thought_goes_back_to_it(serve: Serve, connect: Connect, store: Store, run: str) -> None:
    server = serve([Say("", calls=[("stop", {})], thinking=f"hm {KEY}"), Say("done")])

    async def converse(models: Models) -> None:
        await models.ask(then(PROMPT, await models.ask(PROMPT), "ok"))

    finish(connect(server, protocol="anthropic"), converse)
    thought, called = server.requests[1].body["messages"][1]["content"]
    assert (thought["type"], thought["signature"], called["name"]) == ("thinking", "signed hm ***", "stop")
    assert KEY not in repr(store.calls(run))
    assert store.calls(run)[1].prompt.turns[1] == store.calls(run)[0].reply.turn  # type: ignore[union-attr]


@pytest.mark.parametrize("given", ["no JSON", "[1]", "3", '{"n": ', '{"n": "\\ud800"}', f'"{KEY}"', "[" * 100_000])
def test_arguments_are_an_object_whatever_was_written(serve: Serve, connect: Connect, given: str) -> None:
    server = serve([Say("", calls=[("look", given)]), Say("x")])

    async def converse(models: Models) -> Reply:
        reply = await models.ask(PROMPT)
        await models.ask(then(PROMPT, reply, "that is no object"))
        return reply

    (call,) = finish(connect(server), converse).calls
    assert isinstance(json.loads(call.arguments), dict)
    assert KEY not in call.arguments


def test_a_flood_of_calls_is_cut_and_names_are_made_harmless(serve: Serve, connect: Connect) -> None:
    server = serve([Say("", calls=[("../etc\n" + "x" * 1000, {})] * 1000), Say("x")])

    async def converse(models: Models) -> Reply:
        reply = await models.ask(PROMPT)
        await models.ask(then(PROMPT, reply, *("no" for _ in reply.calls)))
        return reply

    calls = finish(connect(server), converse).calls
    assert len(calls) == 16
    assert calls[0].name.startswith("___etc_xxx")
    assert len(calls[0].name) == 64


def test_calls_of_tools_that_were_not_offered_are_no_reply(serve: Serve, connect: Connect) -> None:
    with pytest.raises(CallFailed, match="empty"):
        finish(connect(serve([Say("", calls=[("stop", {})])])), lambda models: models.ask(replace(PROMPT, tools=())))


def test_a_call_without_its_result_is_no_prompt() -> None:
    called = Calling("", (ToolCall("1", "stop", "{}"),))
    bad: list[tuple[Any, ...]] = [("a", called, "b"), ("a", called, Results(())), ("a", "b", Results(("c",)))]
    for turns in bad:
        with pytest.raises(ValueError, match="each call of a tool has a result"):
            replace(PROMPT, turns=turns)
    with pytest.raises(ValueError, match="need tools"):
        replace(PROMPT, turns=("a", called, Results(("b",))), tools=())
