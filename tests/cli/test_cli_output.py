"""What goes to stdout and stderr while something works."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from cli_helpers import make_view

from kernelwright.cli.output import print_json
from kernelwright.cli.progress import watch
from kernelwright.search import Node, events


def test_reserved_stdout_holds_only_the_result():
    code = """
import os, sys
from kernelwright.cli.output import print_json, stdout_reserved
with stdout_reserved():
    print("a library prints")
    os.write(1, b"so does C\\n")
    os.system("echo and a child")
print_json({"time": "11.8 µs"})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"time": "11.8 µs"}
    for noise in ("a library prints", "so does C", "and a child"):
        assert noise in done.stderr


@pytest.mark.parametrize("character", ["\x07", "\x7f", "\x9b", "\ud800"])
def test_json_holds_nothing_that_a_terminal_obeys(character: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"note": f"11.8 µs {character}1m\n"}
    print_json(value)
    shown = capsys.readouterr().out
    assert character not in shown
    assert "µs" in shown
    assert json.loads(shown) == value


def play(listener) -> None:
    """What a search tells its listener; a model wrote some of it."""
    node = make_view(6).nodes[0]
    node = replace(node, candidate=node.candidate.model_copy(update={"note": "fast \x1b]0;owned\x07"}))
    progress = events.Progress(3, 2.5, (node.candidate,), seconds=1.5, seconds_left=58.5, evaluations_left=None)
    listener(events.Started(progress, run="rmsnorm-3f2a", resumed=2))
    listener(events.Building(progress, node.candidate))
    listener(events.Best(progress, Node(0, node.candidate, node.verdict)))
    listener(events.ProposerFailed(progress, "compiler", "no\ncompiler [bold]here[/bold] \x1b[2J"))
    listener(events.Comparing(progress, ()))
    listener(events.Stopped(progress, "60 s are over"))


def test_progress_is_plain_lines_where_there_is_no_terminal(capfd):
    with watch(quiet=False) as listener:
        play(listener)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "run rmsnorm-3f2a" in captured.err
    assert "60 s are over" in captured.err
    assert "[bold]here[/bold]" in captured.err, "never read as markup"
    assert "\x1b" not in captured.err


def test_the_live_panel_shows_no_escapes_of_models(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal to rich
    with watch(quiet=False) as listener:
        play(listener)
    shown = capfd.readouterr().err
    assert "fast �]0;owned" in shown
    assert "\x1b]0" not in shown
    assert "\x1b[2J" not in shown


def test_quiet_progress_says_nothing(capfd):
    with watch(quiet=True) as listener:
        play(listener)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
