"""`kernelwright task new`: from words to a task, with a model over HTTP that is not to be trusted."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from model_server import Fault, ModelServer, Say, Script, Stall
from typer.testing import CliRunner, Result

from kernelwright.cli import app
from kernelwright.drafting import draft
from kernelwright.errors import EXIT_ENVIRONMENT, EXIT_NEGATIVE, EXIT_OK, EXIT_USAGE
from kernelwright.proposers.llm.config import configure

Serve = Callable[[Script], ModelServer]
PLUGIN = Path(__file__).parents[1] / "search" / "plugin"
"""Has a target whose ceilings are known without measuring."""
TASK = '''\
"""Doubles and adds one: 512 x 1024 (4 MB)."""

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return x * 2 + 1


def get_inputs():
    return [torch.randn(512, 1024)]


def get_init_inputs():
    return []
'''
CONSTANT = TASK.replace("x * 2 + 1", "x * 0 + 1")


def block(text: str) -> Say:
    return Say(f"Here it is.\n\n```python\n{text}```\n")


def new(server: ModelServer, *more: str) -> Result:
    asked = ("double", "and", "add one,", "bf16", "--model", "openai:scripted", "--base-url", server.url)
    return CliRunner().invoke(app, ["task", "new", *asked, *more])


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("I would rather not.", "the reply has no block of code with `class Model`"),
        ("```python\nclass Model:\n", "the last block of code does not end"),
        (block(TASK.replace("x * 2", "x * * 2")).text, "syntax error"),
        (f"{'flood ' * 100_000}.", "the reply has 600,001 characters"),
        (block(TASK.replace("get_inputs", "get")).text, "it defines no get_inputs()"),
        (block(TASK.replace("(4 MB)", "(4 MB)\u202e")).text, "line 1 holds the character U+202E"),
    ],
)
def test_what_cannot_be_used_goes_back_and_then_nothing_is_written(serve: Serve, said: str, problem: str) -> None:
    server = serve([Say(said)])
    done = new(server, "--yes", "--json")
    assert (done.exit_code, done.stdout) == (EXIT_USAGE, "")
    assert len(server.requests) == 4
    assert server.requests[0].turns == ("double and add one, bf16",)
    assert "get_cases" in server.requests[0].system
    assert said.strip().endswith(server.requests[1].turns[1].strip()[-60_000:])
    assert len(server.requests[3].system + "".join(server.requests[3].turns)) < 250_000
    assert problem in server.requests[1].turns[2]
    assert problem in done.stderr.splitlines()[-1]
    assert len(done.stderr) < 20_000
    assert not list(Path().iterdir())
    record = done.stderr.partition("`kernelwright calls ")[2].split()[0]
    kept = json.loads(CliRunner().invoke(app, ["calls", record, "--json"]).stdout)
    assert [call["purpose"] for call in (call["prompt"] for call in kept["calls"])] == ["draft"] * 4
    assert sum(call["usage"]["input_tokens"] for call in kept["calls"]) == server.input_tokens


@pytest.mark.slow
def test_what_a_draft_raises_goes_back_in_few_words(serve: Serve) -> None:
    server = serve([block(f"raise RuntimeError('so it is ' * 10_000)\n{TASK}")])
    done = new(server, "--yes", "--json", "--max-calls", "2", "--target", "scripted")
    assert (done.exit_code, done.stdout) == (EXIT_USAGE, "")
    assert "so it is" in server.requests[1].turns[2]
    assert len(server.requests[1].turns[2]) < 20_000
    assert "so it is" in done.stderr.splitlines()[-1]
    assert len(done.stderr) < 20_000
    assert not list(Path().iterdir())


def test_the_line_at_fault_is_quoted_to_the_model(serve: Serve) -> None:
    server = serve([block(TASK.replace("x * 2", "x * * 2"))])
    new(server, "--yes")
    assert "line 9: `return x * * 2 + 1`" in server.requests[1].turns[2]


def test_limits_hold(serve: Serve) -> None:
    server = serve([Say("no")])
    done = new(server, "--yes", "--max-calls", "2")
    assert done.exit_code == EXIT_USAGE
    assert len(server.requests) == 2
    assert "all 2 calls are made; the last draft: the reply has no block" in done.stderr


def test_a_model_that_does_not_reply_is_no_fault_of_the_words(serve: Serve) -> None:
    for status, failure, remedy in ((401, "auth", "name, address and key"), (503, "server", "try again later")):
        Path("kernelwright.toml").write_text("[call]\ntries = 1\n")
        done = new(serve([Fault(status)]), "--yes")
        assert done.exit_code == EXIT_ENVIRONMENT
        assert failure in done.stderr
        assert remedy in done.stderr


def test_nothing_is_asked_in_vain(serve: Serve) -> None:
    server = serve([block(TASK)])
    Path("there.py").write_text("mine")
    for options, said in (
        ((), "add --yes"),
        (("--yes", "--out", "there.py"), "the file exists"),
        (("--yes", "--out", "missing/task.py"), "there is no such folder"),
        (("--yes", "--out", f"{'long' * 100}.py"), "File name too long"),
    ):
        done = new(server, *options)
        assert done.exit_code == EXIT_USAGE
        assert said in done.stderr
    unnamed = CliRunner().invoke(app, ["task", "new", "words", "--yes"])
    assert (unnamed.exit_code, "no language model is named" in unnamed.stderr) == (EXIT_USAGE, True)
    assert not server.requests
    assert Path("there.py").read_text() == "mine"


@pytest.mark.slow
def test_a_fair_draft_is_shown_and_written_when_the_user_agrees(serve: Serve) -> None:
    server = serve([block(TASK)])
    master, slave = os.openpty()
    os.write(master, b"y\n")
    paths = os.pathsep.join(filter(None, [str(PLUGIN), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "kernelwright.cli", "task", "new", "double and add one", "--model", "openai:scripted",
         "--base-url", server.url, "-o", "task.py", "--target", "scripted"],
        env={**os.environ, "PYTHONPATH": paths}, stdin=slave, capture_output=True, text=True, check=False,
        timeout=240,
    )  # fmt: skip
    os.close(master)
    os.close(slave)
    assert done.returncode == EXIT_OK, done.stderr
    assert len(server.requests) == 1
    for shown in (TASK.strip(), "float32[512,1024]", "a fair test", "write it to task.py?", "task   task.py"):
        assert shown in done.stdout
    assert Path("task.py").read_text() == TASK


@pytest.mark.slow
def test_an_unfair_one_goes_back_runs_in_the_sandbox_alone_and_is_not_written_unseen(
    serve: Serve, tmp_path: Path
) -> None:
    owned = tmp_path / "owned"
    hostile = f"{CONSTANT}\n\ntry:\n    open({str(owned)!r}, 'w').write('x')\nexcept OSError:\n    pass\n"
    server = serve([block(hostile), Fault(400)])
    done = new(server, "--yes", "--json", "--target", "scripted")
    assert done.exit_code == EXIT_NEGATIVE
    found = json.loads(done.stdout)
    assert (found["file"], found["description"]["fair"], found["text"]) == (None, False, hostile)
    assert found["models"]["calls"] == 2
    assert "it is no fair test: constant" in server.requests[1].turns[2]
    assert not owned.exists()
    assert not list(Path().glob("*.py"))


def test_an_interrupted_draft_says_where_its_calls_are(serve: Serve) -> None:
    server = serve([Stall()])

    async def interrupted() -> list[str]:
        lines: list[str] = []
        models = configure(["openai:scripted"], base_url=server.url)
        drafting = asyncio.create_task(draft("double it", models, "cpu", lines.append))
        while not server.requests:
            await asyncio.sleep(0.01)
        drafting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drafting
        return lines

    (line,) = asyncio.run(interrupted())
    assert line.startswith("interrupted, and no task was written; `kernelwright calls ")
    assert Path(line.split("`")[1].split()[-1]).exists()
