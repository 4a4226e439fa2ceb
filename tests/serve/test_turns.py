from __future__ import annotations

import asyncio

import pytest

from kernelwright.errors import UsageError
from kernelwright.serve.turns import Turns


def test_clients_take_turns_and_nobody_waits_for_a_crowd() -> None:
    async def order() -> list[str]:
        turns, served = Turns(3), []

        async def work(client: str, name: str) -> None:
            async with turns.of(client):
                served.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(
            *(work(*each) for each in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("b", "b2")])
        )
        return served

    assert asyncio.run(order()) == ["a1", "a2", "b1", "a3", "b2"]


def test_one_at_a_time_also_when_some_give_up_or_fail() -> None:
    async def most_at_once() -> int:
        turns, inside, most = Turns(100), 0, 0

        async def work(number: int) -> None:
            nonlocal inside, most
            async with turns.of(str(number % 3)):
                inside += 1
                most = max(most, inside)
                try:
                    await asyncio.sleep(0.001)
                    if number % 5 == 0:
                        raise ValueError
                finally:
                    inside -= 1

        tasks = [asyncio.ensure_future(work(number)) for number in range(60)]
        for number, task in enumerate(tasks):
            await asyncio.sleep(0.0005)
            if number % 4 == 0:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with turns.of("0"):  # the turn is free again
            return most

    assert asyncio.run(asyncio.wait_for(most_at_once(), 20)) == 1


def test_a_client_that_asks_for_too_much_is_refused_and_others_are_not() -> None:
    async def scene() -> None:
        turns = Turns(2)

        async def hold() -> None:
            async with turns.of("greedy"):
                await asyncio.sleep(60)

        held = [asyncio.ensure_future(hold()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(UsageError, match="2 of your calls are under way; wait"):
            async with turns.of("greedy"):
                pass
        for each in held:
            each.cancel()
        async with turns.of("other"):
            pass
        async with turns.of("greedy"):
            pass

    asyncio.run(scene())
