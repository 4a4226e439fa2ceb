"""Whatever an endpoint does costs a call, never the run."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llm_helpers import KEY, finish
from model_server import (
    Answer,
    Disconnect,
    Fault,
    Flood,
    ModelServer,
    Raw,
    Request,
    Say,
    Script,
    Stall,
    reply_body,
)

from kernelwright.proposers.llm.call import BudgetSpent, CallFailed, Prompt, Results, Tool
from kernelwright.proposers.llm.models import Models
from kernelwright.store import Store

Serve = Callable[[Script], ModelServer]
Connect = Callable[..., Models]

PROMPT = Prompt("You write kernels.", ("first", "answer", "second"), "operator", "t1")
TOOLS = Prompt("You write kernels.", ("first",), "agent", tools=(Tool("run", "Run it.", {"type": "object"}),))
ONCE = {"tries": 1}
NESTED = b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "google"])
def test_prompt_and_reply_travel_whole(serve: Serve, connect: Connect, store: Store, run: str, protocol: str) -> None:
    server = serve([Say("a λ kernel\n", input_tokens=123, output_tokens=45)])
    reply = finish(connect(server, protocol=protocol), lambda models: models.ask(PROMPT))
    assert (reply.text, reply.finish, reply.call) == ("a λ kernel\n", "stop", 1)
    assert (reply.input_tokens, reply.output_tokens, reply.cost_usd) == (123, 45, None)
    assert reply.model == f"{protocol}:model-0"
    request = server.requests[0]
    assert (request.system, request.turns) == ("You write kernels.", ("first", "answer", "second"))
    assert (request.key, request.headers["accept-encoding"]) == (KEY, "identity")
    limit = {"openai": "max_tokens", "anthropic": "max_tokens"}.get(protocol)
    assert (request.body[limit] if limit else request.body["generationConfig"]["maxOutputTokens"]) == 100
    record = store.calls(run)[0]
    assert (record.prompt, record.reply, record.failure, record.used) == (PROMPT, reply, None, False)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Fault(401, f"Incorrect API key provided: {KEY}"), "auth"),
        (Fault(403, "no access"), "auth"),
        (Fault(404, "no such model"), "bad_request"),
        (Fault(400, "temperature is out of range"), "bad_request"),
        (Fault(302, "elsewhere", headers={"Location": "http://127.0.0.1:1/"}), "garbled"),
        (Fault(429, "slow down"), "rate_limited"),
        (Fault(500), "server"),
        (Fault(503, "overloaded"), "server"),
        (Raw(b"<html>502 bad gateway</html>", "text/html"), "garbled"),
        (Raw(b"{not json"), "garbled"),
        (Raw(b'"text"'), "garbled"),
        (Raw(b"[]"), "garbled"),
        (Raw(b"{}"), "garbled"),
        (Raw(b""), "garbled"),
        (Raw(b"\xff\xfe\x00"), "garbled"),
        (Raw(b'{"choices": 5, "content": 5, "candidates": 5}'), "garbled"),
        (Raw(NESTED), "garbled"),
        (Raw(gzip.compress(b'{"choices": []}'), headers={"Content-Encoding": "gzip"}), "garbled"),
        (Raw(b'{"id": "x"', length=4096), "disconnected"),
        (Disconnect(), "disconnected"),
        (Disconnect(in_body=False), "disconnected"),
        (Flood(), "flood"),
        (Stall(), "timeout"),
        (Stall(drip=True), "timeout"),
        (Say("I must not.", finish="refusal"), "refused"),
        (Say(finish="tool"), "empty"),
        (Say("  \n"), "empty"),
        (Say("", finish="length"), "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_each_fault_is_a_failed_call_with_a_reason(
    serve: Serve, connect: Connect, store: Store, run: str, protocol: str, answer: object, reason: str
) -> None:
    server = serve([answer])  # type: ignore[list-item]
    call = {**ONCE, "timeout_s": 0.3 if reason == "timeout" else 20, "reply_bytes": 1 << 20}
    models = connect(server, protocol=protocol, call=call)
    with pytest.raises(CallFailed) as caught:
        finish(models, lambda models: models.ask(PROMPT))
    assert caught.value.reason == reason
    record = store.calls(run)[0]
    assert (record.failure, record.reply, record.detail) == (reason, None, caught.value.detail)
    assert KEY not in record.detail
    assert "\n" not in record.detail
    assert len(server.requests) == 1
    assert (models.spent.calls, models.spent.failed) == (1, 1)
    assert models.spent.unreported == (reason in ("garbled", "flood", "timeout", "disconnected"))
    assert (models.spent.input_tokens, models.spent.output_tokens) == (server.input_tokens, server.output_tokens)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "google"])
@pytest.mark.filterwarnings("ignore")
def test_no_form_of_reply_ends_a_run(serve: Serve, connect: Connect, store: Store, run: str, protocol: str) -> None:
    """Any JSON in the place of any part of a reply: text or calls arrive, and can be answered, or the call fails."""
    script: list[Answer] = [Say()]
    server = serve(lambda _: script[0])
    models = connect(server, protocol=protocol, call=ONCE)

    async def ask(body: bytes) -> None:
        script[0] = Raw(body)
        try:
            reply = await models.ask(TOOLS)
            assert reply.text or reply.calls
            if reply.calls:
                script[0] = Say()
                await models.ask(replace(TOOLS, turns=("x", reply.turn, Results(("y",) * len(reply.calls)))))
        except CallFailed as failure:
            assert failure.reason in ("garbled", "empty", "refused", "server", "bad_request")

    with asyncio.Runner() as runner:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.data())
        def law(data: st.DataObject) -> None:
            reply = reply_of(protocol, data.draw(st.sampled_from(["stop", "length", "tool", "refusal"])))
            places = list(leaves(reply))
            *way, last = data.draw(st.sampled_from(places))
            inner = reply
            for step in way:
                inner = inner[step]
            inner[last] = data.draw(JSON)
            runner.run(ask(json.dumps(reply).encode()))

        law()
        runner.run(models.close())
    assert len(store.calls(run)) == len(server.requests)


def reply_of(protocol: str, finish: str) -> Any:
    path = {"openai": "/chat/completions", "anthropic": "/messages", "google": ":generateContent"}[protocol]
    request = Request(path, "", {}, {"model": "m"}, "", ("x",))
    return reply_body(request, Say("text", finish=finish, logprobs=[-1.0]))


def leaves(value: Any, *way: Any) -> Iterator[tuple[Any, ...]]:
    """The ways to all parts of a reply."""
    for step in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*way, step)
        yield from leaves(value[step], *way, step)


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("protocol", ["openai", "anthropic", "google"])
def test_nobody_is_sent_elsewhere_with_the_key(serve: Serve, connect: Connect, protocol: str, status: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        place = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/v1/chat/completions"
        models = connect(serve([Fault(status, headers={"Location": place})]), protocol=protocol, call=ONCE)
        with pytest.raises(CallFailed):
            finish(models, lambda models: models.ask(PROMPT))
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_the_google_protocol_fails_by_the_same_reasons(serve: Serve, connect: Connect) -> None:
    faults = {"rate_limited": Fault(429), "garbled": Raw(b"{not json"), "disconnected": Disconnect(), "flood": Flood()}
    faults |= {"server": Fault(503), "auth": Fault(403), "refused": Say("no", finish="refusal"), "timeout": Stall()}
    for reason, fault in faults.items():
        limits = {"timeout_s": 0.3 if reason == "timeout" else 20, "reply_bytes": 1 << 16}
        models = connect(serve([fault]), protocol="google", call={**ONCE, **limits})
        with pytest.raises(CallFailed) as caught:
            finish(models, lambda models: models.ask(PROMPT))
        assert caught.value.reason == reason


def test_nobody_listens(serve: Serve, connect: Connect) -> None:
    server = ModelServer([Say()])
    server._server.server_close()
    models = connect(server, call=ONCE)
    with pytest.raises(CallFailed, match=r"disconnected: .*: .*[Cc]onnect"):
        finish(models, lambda models: models.ask(PROMPT))
    assert models.spent.unreported == 0


def test_a_prompt_that_is_too_long_says_so(serve: Serve, connect: Connect) -> None:
    models = connect(serve([Fault(400, "maximum context length is 10 tokens", code="context_length_exceeded")]))
    with pytest.raises(CallFailed, match="too_long: HTTP 400: maximum context length"):
        finish(models, lambda models: models.ask(PROMPT))


def test_a_truncated_reply_arrives_and_says_so(serve: Serve, connect: Connect) -> None:
    reply = finish(connect(serve([Say("half a ker", finish="length")])), lambda models: models.ask(PROMPT))
    assert (reply.text, reply.finish) == ("half a ker", "length")


@pytest.mark.parametrize("fault", [Fault(429), Fault(500), Fault(503), Disconnect(), Disconnect(in_body=False)])
def test_what_is_worth_repeating_is_repeated(
    serve: Serve, connect: Connect, store: Store, run: str, fault: object
) -> None:
    server = serve([fault, fault, Say("at last")])  # type: ignore[list-item]
    models = connect(server)
    assert finish(models, lambda models: models.ask(PROMPT)).text == "at last"
    assert [record.failure is None for record in store.calls(run)] == [False, False, True]
    assert (models.spent.calls, models.spent.failed) == (3, 2)


@pytest.mark.parametrize("fault", [Fault(400), Fault(401), Raw(b"{"), Say("no", finish="refusal")])
def test_what_is_not_worth_repeating_is_not(serve: Serve, connect: Connect, fault: object) -> None:
    server = serve([fault, Say("never asked")])  # type: ignore[list-item]
    with pytest.raises(CallFailed):
        finish(connect(server), lambda models: models.ask(PROMPT))
    assert len(server.requests) == 1


def test_repeating_ends(serve: Serve, connect: Connect) -> None:
    server = serve([Fault(500, "still broken")])
    with pytest.raises(CallFailed, match="server: HTTP 500: still broken"):
        finish(connect(server, call={"tries": 3}), lambda models: models.ask(PROMPT))
    assert len(server.requests) == 3


def test_a_model_waits_as_long_as_it_is_told(serve: Serve, connect: Connect) -> None:
    arrivals: list[float] = []

    def script(_: object) -> object:
        arrivals.append(time.monotonic())
        return Fault(429, retry_after="1") if len(arrivals) == 1 else Say("now")

    finish(connect(serve(script), call={"longest_wait_s": 5}), lambda models: models.ask(PROMPT))  # type: ignore[arg-type]
    assert arrivals[1] - arrivals[0] >= 1.0


def test_nobody_is_made_to_wait_for_an_hour(serve: Serve, connect: Connect) -> None:
    server = serve([Fault(429, retry_after="3600"), Say("now")])
    assert finish(connect(server), lambda models: models.ask(PROMPT)).text == "now"


def test_a_model_that_refuses_the_key_is_not_asked_again(serve: Serve, connect: Connect) -> None:
    server = serve([Fault(401, "who are you?")])

    async def twice(models: Models) -> None:
        for _ in range(2):
            with pytest.raises(CallFailed, match="auth: HTTP 401: who are you"):
                await models.ask(PROMPT)

    models = connect(server)
    finish(models, twice)
    assert (len(server.requests), models.spent.calls) == (1, 1)


def test_the_other_model_is_asked_while_one_has_to_wait(serve: Serve, connect: Connect) -> None:
    busy, free = serve([Fault(429, retry_after="3600")]), serve([Say("here")])
    models = connect(busy, free, call={"longest_wait_s": 3600})
    assert finish(models, lambda models: models.ask(PROMPT)).model == "openai:model-1"


def test_cancelling_is_prompt_and_on_record(serve: Serve, connect: Connect, store: Store, run: str) -> None:
    server = serve([Stall()])

    async def cancelled(models: Models) -> float:
        task = asyncio.create_task(models.ask(PROMPT))
        while not server.requests:
            await asyncio.sleep(0.01)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    assert finish(connect(server), cancelled) < 5
    assert [record.failure for record in store.calls(run)] == ["cancelled"]


def test_keys_are_in_no_record_and_no_reply(serve: Serve, connect: Connect, store: Store, run: str) -> None:
    server = serve([Say(f"your key is {KEY}"), Fault(400, f"bad {KEY}"), Raw(f"{{{KEY}".encode(), "text/plain")])

    async def ask(models: Models) -> list[str]:
        said = [(await models.ask(PROMPT)).text]
        for _ in range(2):
            try:
                await models.ask(PROMPT)
            except CallFailed as failure:
                said.append(str(failure) + repr(failure))
        return said

    said = finish(connect(server), ask)
    assert KEY not in json.dumps([said, [repr(record) for record in store.calls(run)]])
    assert all("***" in each for each in said[:2])


def test_texts_that_no_database_takes_are_mended(serve: Serve, connect: Connect, store: Store, run: str) -> None:
    prompt = Prompt("s\udc80", ("u\0",), "operator")
    reply = finish(connect(serve([Say("a\ud800b\0c")])), lambda models: models.ask(prompt))
    assert reply.text == "a?b�c"
    assert store.calls(run)[0].prompt == prompt


@pytest.mark.parametrize(
    "said", [Say("x" * 400, usage=False), Say("x" * 400, input_tokens=-5), Say("x" * 400, output_tokens=10**400)]
)
@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.filterwarnings("ignore:Failed to extract usage")
def test_tokens_that_nobody_reports_are_guessed(serve: Serve, connect: Connect, protocol: str, said: Say) -> None:
    reply = finish(connect(serve([said]), protocol=protocol), lambda models: models.ask(PROMPT))
    assert (reply.input_tokens, reply.output_tokens) == (len("You write kernels.firstanswersecond") // 4, 100)


def test_surprisal_is_the_mean_of_what_the_endpoint_gives(serve: Serve, connect: Connect) -> None:
    server = serve([Say("x", logprobs=[-1.0, -2.0, -6.0])])
    models = connect(server, model={"settings": {"openai_logprobs": True, "temperature": 0.3}})
    assert finish(models, lambda models: models.ask(PROMPT)).surprisal == 3.0
    assert (server.requests[0].body["logprobs"], server.requests[0].body["temperature"]) == (True, 0.3)


def test_limits_end_with_a_sentence(serve: Serve, connect: Connect) -> None:
    async def ask(models: Models) -> None:
        await models.ask(PROMPT)
        with pytest.raises(BudgetSpent, match="all 1 calls are made"):
            await models.ask(PROMPT)

    finish(connect(serve([Say("x")]), limits={"calls": 1}), ask)
