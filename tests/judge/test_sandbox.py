"""What a candidate may touch: nothing but its own memory and a private /tmp."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from judge_bench import Bench
from judge_sources import AFFINE, torch_only

from kernelwright.home import home
from kernelwright.judge import sandbox

ASKED = {
    "connect": "socket.create_connection(('127.0.0.1', 9), timeout=1)",
    "write beside the judge": "pathlib.Path({folder!r}, 'x').write_text('x')",
    "write /etc": "pathlib.Path('/etc/kernelwright-test').write_text('x')",
    "write the libraries": "pathlib.Path(torch.__file__).with_name('evil.py').write_text('x')",
    "write /tmp": "pathlib.Path('/tmp/left-behind').write_text('x')",
    "see the store": "os.path.exists({store!r})",
    "processes": "sorted(int(p) for p in os.listdir('/proc') if p.isdigit())",
    "fork": "os.fork()",
    "start a program": "subprocess.run(['true'])",
    "schedule": "os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))",
    "watch files": "__import__('ctypes').CDLL(None).inotify_init1(0)",
    "priority": "os.setpriority(os.PRIO_PROCESS, 0, -5)",
    "capabilities": "[line for line in open('/proc/self/status') if line.startswith('CapEff')]",
    "environment": "[name for name in os.environ if 'KERNELWRIGHT' in name]",
    "home": "os.environ['HOME']",
    "descriptors": "[os.path.realpath('/proc/self/fd/' + f).split(':')[0] for f in os.listdir('/proc/self/fd')]",
}
TRY = """
import os, pathlib, socket, subprocess

def attempt(work):
    try:
        return work()
    except OSError as error:
        return type(error).__name__
"""


def ask(bench: Bench, **expressions: str) -> dict[str, Any]:
    """What expressions are worth inside a candidate's forward."""
    table = "{" + ", ".join(f"{name!r}: attempt(lambda: {text})" for name, text in expressions.items()) + "}"
    verdict = bench.evaluate(AFFINE, torch_only(f"raise RuntimeError('RESULT ' + repr({table}))", before=TRY))
    assert verdict.reason == "crashed", verdict
    found: dict[str, Any] = ast.literal_eval(verdict.message.split("RESULT ", 1)[1])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def found(bench: Bench, folder: Path) -> dict[str, Any]:
    """Everything that is asked, in one candidate."""
    store = home() / "kernelwright-test"
    store.write_text("secret")
    return ask(bench, **{name: text.format(folder=str(folder), store=str(store)) for name, text in ASKED.items()})


def test_no_network(found: dict[str, Any]) -> None:
    assert "Error" in found["connect"]


def test_no_writing_outside_tmp(found: dict[str, Any], folder: Path) -> None:
    assert all("Error" in found[f"write {what}"] for what in ("beside the judge", "/etc", "the libraries"))
    assert found["write /tmp"] == 1
    assert not list(folder.iterdir())


def test_tmp_is_its_own(bench: Bench, found: dict[str, Any]) -> None:
    assert found["write /tmp"] == 1
    assert ask(bench, left="os.path.exists('/tmp/left-behind')") == {"left": False}
    assert not Path("/tmp/left-behind").exists()


def test_the_store_is_out_of_sight(found: dict[str, Any]) -> None:
    assert found["see the store"] is False


def test_no_other_process_in_sight(found: dict[str, Any]) -> None:
    assert found["processes"] == [1]


def test_no_new_processes(found: dict[str, Any]) -> None:
    assert "Error" in found["fork"]
    assert "Error" in found["start a program"]


def test_no_say_in_who_runs_first(found: dict[str, Any]) -> None:
    assert "Error" in found["schedule"]
    assert "Error" in found["priority"]


def test_nobody_is_told_what_others_open(found: dict[str, Any]) -> None:
    assert found["watch files"] == -1


def test_no_capabilities(found: dict[str, Any]) -> None:
    (line,) = found["capabilities"]
    assert int(line.split()[1], 16) == 0


def test_environment_is_an_allow_list(found: dict[str, Any]) -> None:
    assert found["environment"] == []
    assert found["home"] == "/tmp"


def test_level_is_one_that_doctor_can_explain() -> None:
    level = sandbox.level()

    assert level.name in sandbox.LEVELS
    assert bool(level.missing) == bool(level.remedy)


def test_it_inherits_its_own_line_to_the_judge_and_no_other(found: dict[str, Any]) -> None:
    names = " ".join(found["descriptors"])

    assert names.count("socket") == 1, names
    assert "pipe" not in names
    assert "eventpoll" not in names
