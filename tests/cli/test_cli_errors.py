"""Whatever goes wrong is one line on stderr and a documented exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import one_line, store_run

from kernelwright import api
from kernelwright.cli.program import EXIT_CODES
from kernelwright.errors import EXIT_ENVIRONMENT, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE
from kernelwright.search import Settings

COMMANDS = (
    "optimize", "evaluate", "task", "guide", "runs", "show", "node", "calls", "resume", "export", "doctor",
    "relay", "mcp", "agent",
)  # fmt: skip


def test_no_command_shows_help(invoke):
    result = invoke()
    assert result.exit_code == EXIT_OK
    assert all(command in result.stdout for command in COMMANDS)


def test_output_that_finds_no_room_is_no_bug():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kernelwright.cli", "guide"], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == EXIT_ENVIRONMENT
    assert done.stderr == "error: No space left on device; free some space, or write elsewhere\n"


@pytest.mark.parametrize(
    ("arguments", "stream", "code"),
    [
        (["guide"], "stdout", EXIT_OK),
        (["knowledge", "list"], "stdout", EXIT_OK),
        (["knowledge", "list", "--json"], "stdout", EXIT_OK),
        (["--help"], "stdout", EXIT_OK),
        (["--version"], "stdout", EXIT_OK),
        (["show", "nothing"], "stderr", EXIT_USAGE),
    ],
)
def test_a_reader_that_has_gone_changes_nothing(home, arguments, stream, code):
    """`kernelwright ... | head -1` ends as it would have, and nothing is said."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer}
    done = subprocess.run([sys.executable, "-m", "kernelwright.cli", *arguments], text=True, check=False, **streams)
    os.close(writer)
    assert (done.returncode, done.stdout or "", done.stderr or "") == (code, "", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_names_the_exit_codes(invoke, command):
    result = invoke(command, "--help")
    assert result.exit_code == EXIT_OK
    assert "Exit codes" in result.stdout


def test_version(invoke):
    assert invoke("--version").stdout.startswith("kernelwright ")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["optimise"], "optimize"),
        (["optimize"], "TASK"),
        (["optimize", "missing.py"], "missing.py"),
        (["optimize", "task.py", "--budget", "soon"], "--budget: "),
        (["optimize", "task.py", "--budget", "0s"], "60s"),
        (["optimize", "task.py", "--budget", "5 parsecs"], "60s"),
        (["optimize", "task.py", "--policy", "greddy"], "greedy"),
        (["optimize", "task.py", "--language", "fortran"], "cpp"),
        (["optimize", "task.py", "--target", "tpu"], "cpu"),
        (["optimize", "task.py", "--evaluations", "0"], "evaluations"),
        (["optimize", "task.py", "--tolerance", "-1"], "tolerance"),
        (["optimize", "task.py", "--model", "ollama:any", "--max-usd", "0"], "--max-usd: "),
        (["optimize", "task.py", "--model", "ollama:any", "--max-usd", "nan"], "--max-usd: "),
        (["optimize", "task.py", "--model", "ollama:any", "--max-calls", "0"], "--max-calls"),
        (["optimize", "task.py", "--model", "ollama:any", "--max-tokens", "0"], "--max-tokens"),
        (["optimize", "task.py", "--model", "ollama:any", "--scaffold", "rolls"], "--scaffold: "),
        (["task", "new", "relu", "--yes", "--max-usd", "-1"], "--max-usd: "),
        (["optimize", "task.py", "--no-such-option"], "--no-such-option"),
        (["evaluate", "task.py", "missing.py"], "missing.py"),
        (["evaluate", "task.py", "kernel.py", "--language", "fortran"], "cpp"),
        (["show", "nothing"], "kernelwright runs"),
        (["resume", "nothing"], "kernelwright runs"),
        (["export", "nothing"], "kernelwright runs"),
        (["node", "nothing", "1"], "kernelwright runs"),
        (["guide", "--language", "fortran"], "cpp"),
        (["mcp", "--root", "missing"], "missing"),
        (["mcp", "--client", "one"], "--http"),
        (["mcp", "--http", "0", "--client", "../one"], "--client"),
        (["relay"], "DIR"),
        (["task", "show", "missing.py"], "missing.py"),
        (["task", "new"], "WORDS"),
        (["task", "new", " "], "words"),
        (["calls", "x" * 5000], "kernelwright runs"),
    ],
)
def test_wrong_usage_is_one_line(invoke, tmp_path, arguments, wanted):
    (tmp_path / "kernel.py").write_text("class ModelNew: ...\n")
    result = invoke(*arguments)
    assert result.exit_code == EXIT_USAGE
    assert wanted in one_line(result.stderr)
    assert result.stdout == ""


def test_folder_that_cannot_be_written_is_found_before_the_search(invoke, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(api, "search", lambda *_, **__: pytest.fail("the search began"))
    result = invoke("optimize", "task.py", "--out", tmp_path / "file" / "inside")
    assert result.exit_code == EXIT_ENVIRONMENT
    assert "--out" in one_line(result.stderr)


def test_home_that_cannot_be_made_says_so(invoke, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path / "file" / "home"))
    result = invoke("runs")
    assert result.exit_code == EXIT_ENVIRONMENT
    assert "KERNELWRIGHT_HOME" in one_line(result.stderr)


def test_names_that_come_close_are_suggested(invoke, made_up):
    run = store_run(made_up)
    result = invoke("show", run[:-1] + "zz")
    assert result.exit_code == EXIT_USAGE
    assert run in one_line(result.stderr)


def test_beginning_that_fits_several_runs_is_refused(invoke, made_up):
    runs = {store_run(made_up), store_run(made_up)}
    result = invoke("show", next(iter(runs))[:5])
    assert result.exit_code == EXIT_USAGE
    assert all(run in one_line(result.stderr) for run in runs)


def test_unexpected_error_is_one_line_and_a_traceback_only_for_debugging(invoke, monkeypatch):
    def broken():
        raise RuntimeError("two\nlines \x1b[2J")

    monkeypatch.setattr(api, "runs", broken)
    result = invoke("runs")
    assert result.exit_code == EXIT_ENVIRONMENT
    assert "KERNELWRIGHT_DEBUG=1" in one_line(result.stderr)
    assert "\x1b" not in result.stderr
    monkeypatch.setenv("KERNELWRIGHT_DEBUG", "1")
    assert isinstance(invoke("runs").exception, RuntimeError)


def test_interrupt_says_how_to_go_on(invoke, tmp_path, monkeypatch):

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "search", interrupted)
    result = invoke("optimize", "task.py", "--json")
    assert result.exit_code == EXIT_INTERRUPTED
    assert result.stderr.startswith("interrupted; ")
    assert result.stdout == ""


def test_defaults_on_the_command_line_are_those_of_the_search(invoke):
    shown = invoke("optimize", "--help").stdout
    settings = Settings()
    for default in (settings.target, "(the target's)", f"{settings.budget_s:g}s"):
        assert f"[default: {default}]" in shown


def test_exit_codes_in_help_match_the_errors():
    for code in (EXIT_OK, 1, EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED):
        assert f"{code} " in EXIT_CODES


@pytest.mark.parametrize("statement", ["import kernelwright", "import kernelwright.cli"])
def test_import_brings_in_nothing_heavy(statement):
    code = f"{statement}, sys; print([n for n in ('torch', 'numpy', 'sqlalchemy', 'pydantic') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_unknown_attribute_is_an_attribute_error():
    import kernelwright

    with pytest.raises(AttributeError, match="nothing_here"):
        kernelwright.nothing_here  # noqa: B018
    assert all(hasattr(kernelwright, name) for name in kernelwright.__all__)
