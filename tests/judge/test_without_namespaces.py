"""What a candidate may touch on a machine that forbids namespaces: Landlock stands in for them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from judge_sources import HONEST, OWN, torch_only, with_kernel

from kernelwright.home import home
from kernelwright.judge import landlock, sandbox
from kernelwright.targets.cpu import Cpu

pytestmark = pytest.mark.skipif(not landlock.protects_files(), reason="the kernel has no Landlock")

SECRET = home() / "kernelwright-test"
TRIED = {
    "write the store": f"pathlib.Path({str(SECRET)!r}).write_text('x')",
    "read the store": f"pathlib.Path({str(SECRET)!r}).read_text()",
    "write a file of the user's": "pathlib.Path({victim!r}).write_text('x')",
    "leave a file in /tmp": "pathlib.Path('/tmp/left-behind').write_text('x')",
    "read the judge's memory": "open('/proc/JUDGE/mem', 'rb')",
    "send the judge a signal": "os.kill(JUDGE, 0)",
    "slow the judge down": "os.setpriority(os.PRIO_PROCESS, JUDGE, 19)",
    "slow everybody down": "os.setpriority(os.PRIO_USER, 0, 19)",
    "move the judge to one core": "os.sched_setaffinity(JUDGE, {{0}})",
    "limit the judge": "resource.prlimit(JUDGE, resource.RLIMIT_NOFILE, (9, 9))",
}
ALLOWED = {
    "write its own folder": "pathlib.Path(os.environ['HOME'], 'x').write_text('x')",
    "use a temporary file": "tempfile.TemporaryFile().write(b'x')",
    "send itself a signal": "os.kill(os.getpid(), 0) or 1",
    "write /dev/null": "open('/dev/null', 'w').write('x')",
}
TRY = """
import os, pathlib, resource, tempfile
def attempt(work):
    try:
        return str(work())
    except OSError as error:
        return type(error).__name__
"""
NUMBER = f"31415.{os.getpid()}"
DAEMON = f"""
import subprocess
try:
    subprocess.run(["sh", "-c", "setsid sleep {NUMBER} & sleep 0.5"])
except OSError:
    pass
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory, cpu: Cpu) -> dict[str, Any]:
    """What the judge says of the candidates here, which share one, since it takes seconds to start."""
    folder = tmp_path_factory.mktemp("limited")
    SECRET.write_text("secret")
    asked = TRIED | ALLOWED | {"its folder": "os.environ['HOME']"}
    expressions = {name: text.format(victim=str(folder / "victim")) for name, text in asked.items()}
    table = "{" + ", ".join(f"{name!r}: attempt(lambda: {text})" for name, text in expressions.items()) + "}"
    sources = {
        "honest": HONEST,
        "curious": torch_only(f"raise RuntimeError('RESULT ' + repr({table}))", before=TRY),
        "daemon": DAEMON + with_kernel(*OWN, "return y"),
    }
    script = Path(__file__).with_name("limited_judge.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(folder)],
        input=json.dumps(list(sources.values())),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(zip(sources, json.loads(ran.stdout), strict=True))


@pytest.fixture(scope="module")
def found(verdicts: dict[str, Any]) -> dict[str, str]:
    """What the curious one found out."""
    answers: dict[str, str] = ast.literal_eval(verdicts["curious"]["message"].split("RESULT ", 1)[1])
    return answers


def test_an_honest_kernel_is_accepted_and_told_the_level_in_force(verdicts: dict[str, Any]) -> None:
    assert verdicts["honest"]["reason"] is None, verdicts["honest"]
    assert verdicts["honest"]["sandbox"] == "landlock"


def test_what_it_may_not_do(found: dict[str, str]) -> None:
    assert {name: found[name] for name in TRIED} == dict.fromkeys(TRIED, "PermissionError")
    assert {name: found[name] for name in ALLOWED} == dict.fromkeys(ALLOWED, "1")


def test_what_a_build_leaves_running_is_ended(verdicts: dict[str, Any]) -> None:
    assert verdicts["daemon"]["reason"] is None, verdicts["daemon"]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            assert NUMBER.encode() not in path.read_bytes()


def test_its_folders_are_removed(found: dict[str, str]) -> None:
    folders = Path(found["its folder"]).parent
    assert folders.name.startswith("kernelwright-")
    assert not folders.exists()


MANY_THREADS = """
import os, sys, threading, time
from kernelwright.judge import sandbox

if os.geteuid() == 0:
    os.setuid(65534)
for _ in range(520):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
pid = os.fork()
if pid == 0:
    sandbox.restrict(sandbox.Confinement(), sandbox.count_threads(), None)
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        os._exit(1)
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_threads_of_other_programs_are_not_counted_against_a_worker() -> None:
    assert subprocess.run([sys.executable, "-c", MANY_THREADS], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("bwrap", [True, False])
@pytest.mark.parametrize("namespaces", [True, False])
@pytest.mark.parametrize("files", [True, False])
def test_each_level_says_what_is_missing(bwrap: bool, namespaces: bool, files: bool) -> None:
    level = sandbox.in_force(bwrap=bwrap, namespaces=namespaces, files=files)

    assert level.name in sandbox.LEVELS
    assert bool(level.missing) == bool(level.remedy) == (level.name != "bubblewrap")
