"""Accounts add up, limits hold however many calls run at once, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_helpers import finish
from model_server import Disconnect, Fault, ModelServer, Say, Script

from kernelwright.proposers.llm.call import BudgetSpent, CallFailed, Prompt, Usage
from kernelwright.proposers.llm.limits import Amount, Budget, Limits
from kernelwright.proposers.llm.models import Models

Serve = Callable[[Script], ModelServer]
Connect = Callable[..., Models]


def prompt(number: int) -> Prompt:
    return Prompt("system", (f"task {number}",), "operator")


async def ask_all(models: Models, count: int, at_once: int = 8) -> Counter[str]:
    """How asks ended, by the name of what came."""
    gate, ends = asyncio.Semaphore(at_once), Counter[str]()

    async def ask(number: int) -> None:
        async with gate:
            try:
                models.used(await models.ask(prompt(number)))
                ends["reply"] += 1
            except CallFailed as failure:
                ends[failure.reason] += 1
            except BudgetSpent:
                ends["spent"] += 1

    await asyncio.gather(*map(ask, range(count)))
    return ends


def test_parallel_calls_never_go_beyond_a_number_of_calls(serve: Serve, connect: Connect) -> None:
    server = serve([Say("x"), Fault(500)])
    models = connect(server, limits={"calls": 10})
    ends = finish(models, lambda models: ask_all(models, 30, at_once=30))
    assert len(server.requests) == models.spent.calls == 10
    assert ends["spent"] >= 20


def test_parallel_calls_never_go_beyond_tokens(serve: Serve, connect: Connect) -> None:
    server = serve([Say("x", input_tokens=50, output_tokens=100, after_s=0.01)])
    models = connect(server, limits={"tokens": 1000})
    ends = finish(models, lambda models: ask_all(models, 30, at_once=30))
    assert models.spent.input_tokens + models.spent.output_tokens == 150 * ends["reply"]
    assert 5 <= ends["reply"] <= 6
    assert ends["spent"] == 30 - ends["reply"]


def test_money_is_counted_by_the_configured_price(serve: Serve, connect: Connect) -> None:
    server = serve([Say("x", input_tokens=50_000, output_tokens=10)])
    model = {"price": {"input": 2.0, "output": 1000.0}}  # 0.11 USD a call; one may take at most 0.1 and a bit
    models = connect(server, limits={"usd": 0.5}, model=model)
    ends = finish(models, lambda models: ask_all(models, 30, at_once=1))
    assert models.spent.usd == pytest.approx(0.11 * ends["reply"])
    assert ends["reply"] == 4
    assert models.spent.unpriced == 0


def test_a_call_that_may_have_been_charged_counts_as_the_most(serve: Serve, connect: Connect) -> None:
    server = serve([Disconnect()])
    models = connect(server, limits={"tokens": 500}, call={"tries": 1})
    ends = finish(models, lambda models: ask_all(models, 10, at_once=10))
    assert (ends["disconnected"], models.spent.input_tokens, models.spent.unreported) == (3, 0, 3)


def test_a_limit_too_small_for_any_call_says_so(serve: Serve, connect: Connect) -> None:
    server = serve([Say("x")])

    async def ask(models: Models) -> None:
        with pytest.raises(BudgetSpent, match="one more call could go beyond the limit of 50 tokens"):
            await models.ask(prompt(0))

    finish(connect(server, limits={"tokens": 50}), ask)
    assert not server.requests


def test_a_limit_reached_while_calls_fail_says_why_they_did(serve: Serve, connect: Connect) -> None:
    async def ask(models: Models) -> None:
        with pytest.raises(BudgetSpent, match=r"all 1 calls are made; the last one brought no reply: server: .*no GPU"):
            await models.ask(prompt(0))

    finish(connect(serve([Fault(503, "no GPU")]), limits={"calls": 1}), ask)


def test_no_call_begins_when_the_time_for_waiting_is_over(serve: Serve, connect: Connect) -> None:
    models = connect(serve([Say("x", after_s=0.06)]), limits={"seconds": 0.1})
    ends = finish(models, lambda models: ask_all(models, 10, at_once=1))
    assert ends["reply"] in (1, 2)
    assert ends["spent"] == 10 - ends["reply"]


def test_many_calls_run_at_once(serve: Serve, connect: Connect) -> None:
    server = serve([Say("x", after_s=0.3)])

    async def ask(models: Models) -> Counter[str]:
        work = asyncio.create_task(ask_all(models, 20, at_once=20))
        while len(server.requests) < 20:
            await asyncio.sleep(0.01)
        return await work

    assert finish(connect(server), ask) == {"reply": 20}


@settings(max_examples=60, deadline=None)
@given(
    limits=st.builds(Limits, calls=st.none() | st.integers(1, 12), tokens=st.none() | st.integers(1, 60)),
    calls=st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1), st.booleans()), max_size=15),
)
def test_no_order_of_calls_breaks_a_limit(limits: Limits, calls: list[tuple[int, float, bool]]) -> None:
    """Each call: the most tokens, the share of them that it takes, and whether it says so."""

    async def law() -> None:
        budget = Budget(limits)
        done = 0

        async def call(most: int, share: float, reported: bool) -> None:
            nonlocal done
            try:
                async with budget.room(Amount(tokens=most)) as room:
                    await asyncio.sleep(0)
                    if reported:
                        room.ended(Usage(int(most * share), 0, None), 0.0, failed=False)
            except BudgetSpent:
                pass
            done += 1

        await asyncio.gather(*(call(*each) for each in calls))
        assert done == len(calls)
        assert limits.calls is None or budget.spent.calls <= limits.calls
        assert limits.tokens is None or budget.spent.input_tokens <= limits.tokens

    asyncio.run(law())
