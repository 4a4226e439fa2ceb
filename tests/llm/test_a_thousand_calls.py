"""A whole run of a thousand calls, of which three in ten go wrong, in a process of its own."""

from __future__ import annotations

import random
import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from llm_runs import child, whole
from model_server import Answer, Disconnect, Fault, Flood, ModelServer, Raw, Request, Say, Stall

from kernelwright.proposers.llm.config import CallSettings, Configuration, ModelConfig
from kernelwright.proposers.llm.limits import Limits
from kernelwright.search import Settings
from kernelwright.store import Store

CALLS, RATE = 1000, 0.3
WARM = 300
"""Requests after which the process has all that it keeps however many more come."""
PADDING = 100_000
"""Characters around the code of a reply: were they kept, memory would grow by 50 MB."""
MOST_GROWN = 16 << 20
FAULTS: list[tuple[str, Answer]] = [
    ("server", Fault(500)),
    ("rate_limited", Fault(429, retry_after="0")),
    ("bad_request", Fault(400)),
    ("disconnected", Disconnect()),
    ("disconnected", Disconnect(in_body=False)),
    ("garbled", Raw(b"{")),
    ("flood", Flood(1)),
    ("timeout", Stall()),
    ("timeout", Stall(drip=True)),
    ("refused", Say("no", finish="refusal")),
    ("empty", Say(finish="tool")),
]
QUICK = CallSettings(timeout_s=1, tries=3, backoff_s=0.001, longest_wait_s=0.05, reply_bytes=1 << 18)


class Scripted:
    """Answers `RATE` of all requests with a fault; knows what it said and charged, and the size of who asks."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()
        self.charged: list[tuple[int, int]] = []
        self.resident: list[int] = []
        self.child: subprocess.Popen[str] | None = None
        self._dice = random.Random(7)

    def __call__(self, _: Request) -> Answer:
        if self.said.total() in (WARM, CALLS - 20):
            self.resident.append(self._resident())
        if self._dice.random() < RATE:
            reason, fault = self._dice.choice(FAULTS)
            self.said[reason] += 1
            return fault
        self.said["reply"] += 1
        number, charged = len(self.charged), (self._dice.randrange(1, 5000), self._dice.randrange(1, 900))
        self.charged.append(charged)
        code = whole(2 + number / CALLS)
        text = f"answer {number}\n{code.text}\n{PADDING * 'x'}"
        return replace(code, text=text, input_tokens=charged[0], output_tokens=charged[1])

    def _resident(self) -> int:
        """Bytes of memory of the process that asks."""
        assert self.child is not None
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_of_a_thousand_calls_adds_up_and_keeps_none_of_them_in_memory() -> None:
    """A stall holds up one of four steps for as long as the client waits. A machine that is slower than that turns
    other answers into timeouts too, which changes no account."""
    scripted = Scripted()
    with ModelServer(scripted) as server:
        model = ModelConfig(spec="openai:scripted", base_url=server.url)
        models = Configuration(models=(model,), limits=Limits(calls=CALLS), call=QUICK)
        settings = Settings(
            target="scripted", proposers=("operator",), seed=1, budget_s=None, patience=10**6, models=models
        )
        scripted.child = child(settings, stdout=subprocess.PIPE, text=True)
        ended, _ = scripted.child.communicate()
    store = Store()
    (run,) = store.runs()
    records, spent = store.calls(run.id), store.spent(run.id)
    found = Counter(record.failure or "reply" for record in records)
    replies = [record for record in records if record.reply]

    assert ended == f"faster, nothing left to try, {len(replies)}\n"
    assert len(records) == spent.calls == CALLS
    assert len(server.requests) <= CALLS
    assert set(found) == set(scripted.said)
    assert set(found - scripted.said) <= {"timeout"}

    # Each reply is that to one request, is paid once, and became one candidate that was judged.
    numbers = [int(record.reply.text.split()[1]) for record in replies if record.reply]
    assert len(set(numbers)) == len(numbers)
    paid = [(record.usage.input_tokens, record.usage.output_tokens) for record in replies if record.usage]
    assert paid == [scripted.charged[number] for number in numbers]
    assert all(record.used for record in replies)
    assert len({record.candidate for record in replies}) == len(replies) == len(store.nodes(run.id))
    assert all(node.verdict for node in store.nodes(run.id))

    fruitless = found["refused"] + found["empty"]  # which are charged for nevertheless
    assert spent.input_tokens == sum(tokens for tokens, _ in paid) + Say().input_tokens * fruitless
    assert spent.output_tokens == sum(tokens for _, tokens in paid) + Say().output_tokens * fruitless
    assert spent.failed == CALLS - len(replies)
    assert spent.unreported == sum(found[each] for each in ("disconnected", "garbled", "flood", "timeout"))

    before, after = scripted.resident
    assert after - before < MOST_GROWN
    store.close()
