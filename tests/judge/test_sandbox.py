"""What a candidate may touch: nothing but its own memory and a private /tmp."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge_bench import Bench
from judge_sources import AFFINE, torch_only

from kernelwright.home import home
from kernelwright.judge import sandbox

REPORT = "raise RuntimeError('RESULT ' + repr({expression}))"


def ask(bench: Bench, expression: str, before: str = "import os, socket, subprocess, pathlib") -> str:
    """What an expression is worth inside a candidate's forward."""
    body = ["try:", f"    value = ({expression})", "except OSError as error:", "    value = type(error).__name__"]
    verdict = bench.evaluate(AFFINE, torch_only(*body, REPORT.format(expression="value"), before=before))
    assert verdict.reason == "crashed", verdict
    return verdict.message.split("RESULT ", 1)[1]


def test_no_network(bench: Bench) -> None:
    assert "Error" in ask(bench, "socket.create_connection(('127.0.0.1', 9), timeout=1)")


def test_no_writing_outside_tmp(bench: Bench, tmp_path: Path) -> None:
    assert "Error" in ask(bench, f"pathlib.Path({str(tmp_path)!r}, 'x').write_text('x')")
    assert "Error" in ask(bench, "pathlib.Path('/etc/kernelwright-test').write_text('x')")
    assert "Error" in ask(bench, "pathlib.Path(torch.__file__).with_name('evil.py').write_text('x')")
    assert ask(bench, "pathlib.Path('/tmp/x').write_text('x')") == "1"


def test_tmp_is_its_own(bench: Bench) -> None:
    ask(bench, "pathlib.Path('/tmp/left-behind').write_text('x')")

    assert ask(bench, "os.path.exists('/tmp/left-behind')") == "False"
    assert not Path("/tmp/left-behind").exists()


def test_the_store_is_out_of_sight(bench: Bench) -> None:
    (home() / "kernelwright-test").write_text("secret")

    assert ask(bench, f"os.path.exists({str(home() / 'kernelwright-test')!r})") == "False"


def test_no_other_process_in_sight(bench: Bench) -> None:
    pids = ask(bench, "sorted(int(p) for p in os.listdir('/proc') if p.isdigit())")

    assert pids == "[1]"


def test_no_new_processes(bench: Bench) -> None:
    assert "Error" in ask(bench, "os.fork()")
    assert "Error" in ask(bench, "subprocess.run(['true'])")


def test_no_capabilities(bench: Bench) -> None:
    status = ask(bench, "[line for line in open('/proc/self/status') if line.startswith('CapEff')]")

    assert int(status.split("\\t")[1].split("\\n")[0], 16) == 0


def test_environment_is_an_allow_list(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "KERNELWRIGHT" not in ask(bench, "list(os.environ)")
    assert ask(bench, "os.environ['HOME']") == "'/tmp'"


def test_level_is_one_that_doctor_can_explain() -> None:
    level = sandbox.level()

    assert level.name in sandbox.LEVELS
    assert bool(level.missing) == bool(level.remedy)


def test_it_inherits_its_own_line_to_the_judge_and_no_other(bench: Bench) -> None:
    names = ask(bench, "[os.path.realpath('/proc/self/fd/' + fd).split(':')[0] for fd in os.listdir('/proc/self/fd')]")

    assert names.count("/proc/self/fd/socket") + names.count("socket") == 1, names
    assert "pipe" not in names
    assert "eventpoll" not in names
