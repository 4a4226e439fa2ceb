"""A recorded run in the place of models: which reply a prompt gets, and that it says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kw_scripted import ScriptedJudge, make_task
from llm_helpers import finish, new_run
from model_server import Fault, ModelServer, Say, Script
from typer.testing import CliRunner

from kernelwright import api
from kernelwright.cli import app
from kernelwright.errors import EXIT_OK, EXIT_USAGE, UsageError
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm.call import BudgetSpent, CallFailed, Prompt
from kernelwright.proposers.llm.config import Configuration
from kernelwright.proposers.llm.models import Models
from kernelwright.proposers.llm.replay import Replay
from kernelwright.search import SearchResult, Settings, search
from kernelwright.store import Store

A, B = (Prompt("system", (text,), "operator") for text in "ab")
ESCAPE = "\x1b]0;owned\x07"


def test_a_replay_answers_as_the_run_did(
    serve: Callable[[Script], ModelServer], connect: Callable[..., Models], store: Store, run: str
) -> None:
    server = serve([Say("a1"), Fault(500), Say("a2"), Fault(400, "bad"), Say("b1")])

    async def asked(models: Any) -> list[str]:
        texts = [(await models.ask(A)).text, (await models.ask(A)).text]
        with pytest.raises(CallFailed):
            await models.ask(A)
        return [*texts, (await models.ask(B)).text]

    assert finish(connect(server), asked) == ["a1", "a2", "b1"]
    replay, before = new_run(store), len(server.requests)
    assert finish(Replay(store.calls(run), store.call_log(replay)), asked) == ["a1", "a2", "b1"]
    assert len(server.requests) == before
    assert store.asked(replay) == {"replay:same prompt": 4}
    assert (store.spent(replay).usd, store.spent(replay).failed) == (0.0, 1)


def test_prompts_that_differ_get_the_reply_on_the_same_parents_then_the_next_of_the_same_purpose(
    serve: Callable[[Script], ModelServer], connect: Callable[..., Models], store: Store, run: str
) -> None:
    def about(text: str, *base: str, purpose: str = "operator") -> Prompt:
        return Prompt("system", (text,), purpose, base=base)

    recorded = [about("9.1 us", "p"), about("9.2 us", "q"), about("9.3 us"), about("else", purpose="designer")]

    async def record(models: Models) -> None:
        for prompt in recorded:
            await models.ask(prompt)

    finish(connect(serve([Say("p"), Say("q"), Say("none"), Say("sketch")])), record)
    log = store.call_log(new_run(store))

    async def replayed(replay: Replay) -> list[tuple[str, str]]:
        asked = [about("8.8 us", "q"), about("8.7 us", "unknown"), recorded[3], about("8.6 us", "unknown")]
        replies = [await replay.ask(prompt) for prompt in asked]
        with pytest.raises(BudgetSpent, match="no more replies for the operator"):
            await replay.ask(A)
        return [(reply.text, reply.model) for reply in replies]

    assert finish(Replay(store.calls(run), log), replayed) == [
        ("q", "replay:same parents"), ("p", "replay:in order"), ("sketch", "replay:same prompt"),
        ("none", "replay:in order"),
    ]  # fmt: skip


def test_a_resumed_replay_goes_on_where_it_was(
    serve: Callable[[Script], ModelServer], connect: Callable[..., Models], store: Store, run: str
) -> None:
    async def three(models: Any) -> list[str]:
        return [(await models.ask(A)).text for _ in range(3)]

    finish(connect(serve([Say("1"), Say("2"), Say("3")])), three)
    again = new_run(store)
    assert finish(Replay(store.calls(run), store.call_log(again)), lambda replay: replay.ask(A)).text == "1"
    resumed = Replay(store.calls(run), store.call_log(again), store.calls(again))
    assert [reply.text for _, reply in resumed.unused()] == ["1"]
    assert finish(resumed, lambda replay: replay.ask(B)).text == "2"


class ScriptedSlower(ScriptedJudge):
    """Another day, another speed."""

    def verdict(self, candidate: Candidate) -> Verdict:
        verdict = super().verdict(candidate)
        return verdict.model_copy(update={"speedup": 0.9 * verdict.speedup}) if verdict.speedup else verdict


def searched(judge: Any, resume: str | None = None, **more: Any) -> SearchResult:
    settings = Settings(target="scripted", proposers=("operator",), seed=1, budget_s=30.0, **more)
    store = Store()
    found = asyncio.run(search(make_task("Numbers", str(more)), settings, store, judge_factory=judge, resume=resume))
    store.close()
    return found


@pytest.fixture
def recorded() -> SearchResult:
    """A run of twelve calls, from a model that is gone."""
    numbers = iter(range(2, 1000))
    with ModelServer(
        lambda _: Say(f"Idea: x{ESCAPE}\n```python\nSPEEDUP = {next(numbers)}\nclass ModelNew: ...\n```")
    ) as server:
        models = {"models": [{"spec": "openai:gone", "base_url": server.url}], "limits": {"calls": 12}}
        return searched(ScriptedJudge, models=Configuration.model_validate(models))


def test_a_whole_run_is_replayed_without_its_model_though_times_differ(recorded: SearchResult, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["calls", recorded.run, "--json"])
    assert shown.exit_code == EXIT_OK
    record = json.loads(shown.stdout)
    assert (record["name"], record["scaffold"], record["seed"]) == (recorded.run, "operator", 1)
    assert len(record["calls"]) == 12
    file = tmp_path / "record.json"
    file.write_text(shown.stdout)
    assert api.record(file) == api.record(recorded.run)

    for source in (recorded.run, str(file)):
        found = searched(ScriptedSlower, replay=source)
        assert sorted(node.id for node in found.graph) == sorted(node.id for node in recorded.graph)
        view = api.view(found.run)
        assert view.models["calls"] == sum(view.asked.values()) == 12
        assert view.models["usd"] == 0
        assert view.asked["replay:same parents"] >= 4, "the first prompts differ in what the library has learned since"
        assert f"12 calls replayed ({', '.join(f'{n} {how[7:]}' for how, n in view.asked.items())})" in " ".join(
            CliRunner().invoke(app, ["show", found.run]).stdout.split()
        )


def test_calls_are_listed_and_their_texts_do_not_reach_the_terminal_as_commands(recorded: SearchResult) -> None:
    listed = CliRunner().invoke(app, ["calls", recorded.run]).stdout
    assert [line.split()[:3] for line in listed.splitlines()[1:3]] == [
        ["1", "operator", "openai:gone"], ["2", "operator", "openai:gone"],
    ]  # fmt: skip
    assert "used" in listed
    assert "SPEEDUP" not in listed
    full = CliRunner().invoke(app, ["calls", recorded.run, "--full"]).stdout
    assert "===== call 12: reply" in full
    assert "SPEEDUP = 13" in full
    assert "\x1b" not in full
    assert "\x1b" not in CliRunner().invoke(app, ["show", recorded.run]).stdout
    assert "\x07" not in CliRunner().invoke(app, ["node", recorded.run, "1"]).stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "it is no record of calls: Invalid JSON"),
        ("[]", "it is no record of calls"),
        ('{"name": "n", "task": "t", "calls": [{"number": 1}]}', "calls.0.prompt: Field required"),
        (
            '{"name": "n", "task": "t", "calls": [{"number": 1, "model": "m", "reply": null, "failure": "timeout", '
            '"prompt": {"system": "", "turns": ["a"], "purpose": "p"}, "detail": "", "usage": null, "seconds": 1e999, '
            '"used": false, "gain": null}]}',
            "calls.0.seconds: Input should be a finite number",
        ),
        ('{"name": "n", "task": "t", "calls": []}', "n: no language model was asked there"),
    ],
)
def test_what_cannot_be_replayed_is_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "record.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=said):
        api.optimize(make_task(), replay=file, out=None)


@pytest.mark.parametrize(
    ("options", "seed", "prompts"), [((), 1, ()), (("--seed", "5", "--prompts", "shipped"), 5, ("shipped",))]
)
def test_a_replay_searches_as_the_recorded_run_did_unless_told(
    recorded: SearchResult,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    seed: int,
    prompts: tuple[str, ...],
) -> None:
    asked: list[Settings] = []

    async def begun(_task: Any, settings: Settings, *_: Any, **__: Any) -> SearchResult:
        asked.append(settings)
        raise UsageError("that is all")

    monkeypatch.setattr(api, "search", begun)
    Path("task.py").write_text("class Model: ...\ndef get_inputs(): ...\n")
    done = CliRunner().invoke(app, ["optimize", "task.py", "--replay", recorded.run[:-1], *options])
    assert "that is all" in done.stderr
    (settings,) = asked
    assert (settings.replay, settings.seed, settings.models) == (recorded.run, seed, None)
    assert settings.proposers[-1] == "operator"
    assert settings.prompts == prompts


def test_a_replay_asks_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text("class Model: ...\ndef get_inputs(): ...\n")
    done = CliRunner().invoke(
        app, ["optimize", str(tmp_path / "task.py"), "--replay", "some-run", "--model", "openai:x", "--max-calls", "3"]
    )
    assert done.exit_code == EXIT_USAGE
    assert "a replay asks no models" in done.stderr
    assert "there is no run 'some-run'" in CliRunner().invoke(app, ["calls", "some-run"]).stderr
