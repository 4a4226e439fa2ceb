"""The judge's clock and its line to the workers: what a candidate or a task can do to them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import torch
from judge_bench import Bench
from judge_sources import AFFINE, HONEST, OWN, torch_only, with_kernel

from kernelwright.errors import MachineError, TaskError
from kernelwright.judge.judge import Judge
from kernelwright.judge.nursery import Zygote
from kernelwright.proposers.base import Candidate
from kernelwright.targets.cpu import Cpu
from kernelwright.tasks import Task

ANSWERS_EARLY = """
import sys, time
from kernelwright.judge import wire

early = []

def send(sock, message):
    data = wire.HEADER.pack(0)[:0]
    import json
    body = json.dumps(message).encode()
    sock.sendall((wire.HEADER.pack(len(body)) + body)[len(early):])
    early.clear()

def answer_early():
    frame = sys._getframe()
    while "sock" not in frame.f_locals:
        frame = frame.f_back
    if not early:
        frame.f_locals["sock"].sendall(bytes(1))
        early.append(1)

wire.send = send
"""


def test_the_clock_runs_until_the_whole_answer_is_there(bench: Bench) -> None:
    source = ANSWERS_EARLY + with_kernel("answer_early()", "time.sleep(1e-3)", *OWN, "return y")

    verdict = bench.evaluate(AFFINE, source)

    assert verdict.reason == "tampering" or (verdict.time_us or 0) > 900, verdict


def test_a_candidate_that_ends_with_its_kernels_switched_off_ends_nothing_else(bench: Bench) -> None:
    source = "import os\n" + with_kernel(
        "y = torch.zeros_like(x)", OWN[1], "if not y.any():", "    os._exit(3)", "return y"
    )

    verdict = bench.evaluate(AFFINE, source)

    # What is left after the audit is timing, and its two thread pools are at the mercy of whatever else runs.
    assert verdict.reason in (None, "unstable_timing"), verdict.message


def test_a_reference_that_ends_is_the_tasks_fault_however_often_it_is_asked(bench: Bench) -> None:
    ends = AFFINE.replace(
        "        return torch", "        if type(x) is torch.Tensor:\n            exit_(7)\n        return torch"
    )
    task = "from os import _exit as exit_\n" + ends
    for _ in range(2):
        with pytest.raises(TaskError, match="exit status 7"):
            bench.evaluate(task, HONEST)


def test_a_task_whose_inputs_change_shape_is_refused(bench: Bench) -> None:
    task = re.sub(r"torch\.randn?\((\d+)", r"torch.rand(int(torch.randint(1, 5, ())) * \1", AFFINE)
    assert "randint" in task
    with pytest.raises(TaskError, match="shape"):
        bench.evaluate(task, HONEST)


def test_a_long_source_is_read(bench: Bench) -> None:
    verdict = bench.evaluate(AFFINE, torch_only("return x", before="# a long comment\n" * 20_000))
    assert verdict.reason == "wrong_values", verdict.message


def test_a_live_module_may_be_large(cpu: Cpu) -> None:
    width = 4600
    module = torch.nn.Linear(width, width)

    async def load() -> int:
        async with Judge(Task.from_module(module, [torch.rand(2, width)]), cpu) as judge:
            return judge.info.state[0].tensor.shape[0]

    assert asyncio.run(load()) == width


def test_what_a_machine_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    path = tmp_path / "task.py"
    path.write_text(AFFINE)

    async def enter() -> None:
        async with Judge(Task.load(path), Cpu()) as judge:
            await judge.evaluate(Candidate(source=HONEST, language="cpp"))

    with pytest.raises(MachineError, match="no-such-compiler"):
        asyncio.run(enter())


def test_what_nobody_waits_for_yet_comes_after_the_first_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: Cpu
) -> None:
    monkeypatch.setattr("kernelwright.judge.head_start.FOR_ITS_VERDICT", 120.0)
    path = tmp_path / "task.py"
    path.write_text(AFFINE)

    async def first() -> bool:
        async with Judge(Task.load(path), cpu) as judge:
            await judge.graph("default")
            later = asyncio.ensure_future(judge.fairness())
            verdict = await judge.evaluate(Candidate(source=HONEST, language="cpp"))
            early = later.done()
            return verdict.accepted and not early and (await later).fair

    assert asyncio.run(first())


def test_a_judge_may_be_closed_while_it_starts(tmp_path: Path) -> None:
    zygote = Zygote()
    zygote.close()

    with pytest.raises(MachineError, match="closed"):
        zygote.start()
