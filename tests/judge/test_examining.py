"""A candidate's worker under a program that looks into it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from judge_bench import Bench, processes, settled
from judge_sources import AFFINE, HONEST, OWN, torch_only, with_kernel

from kernelwright.errors import MachineError, UsageError
from kernelwright.home import home
from kernelwright.judge.examining import sanitized
from kernelwright.judge.verdict import SANITIZER, Verdict
from kernelwright.proposers.base import Candidate
from kernelwright.targets.examiner import Examiner


class Shell(Examiner):
    """Starts what it is given and says how it ended, as such programs do."""

    name = "shell"

    def __init__(self, script: str = 'echo "begins in $PLACE"; "$@"; echo "ended with $?"') -> None:
        self.script = script

    def command(self) -> list[str]:
        return ["sh", "-c", self.script, "sh"]

    @property
    def variables(self) -> dict[str, str]:
        return {"PLACE": "a sandbox"}

    def read(self, said: str) -> dict[str, Any]:
        return {"said": said.splitlines()}


def examined(bench: Bench, source: str, examiner: Examiner) -> Any:
    judge = bench.judge(AFFINE)
    assert bench.known(AFFINE, HONEST).accepted
    before = processes(judge)
    found = bench.run(judge.examine(Candidate(source=source, language="cpp"), examiner))
    bench.run(settled(judge, before))
    return found


def test_the_program_starts_the_worker_outlives_it_and_is_heard(bench: Bench) -> None:
    found = examined(bench, HONEST, Shell())
    assert found["said"] == ["begins in a sandbox", "ended with 0"]
    assert found["sandbox"] in ("landlock", "limits")
    assert "candidate" not in found


def test_what_a_candidate_prints_is_not_the_programs_word(bench: Bench) -> None:
    source = with_kernel("print('ended with 7', flush=True)", *OWN, "return y")
    assert examined(bench, source, Shell())["said"][1:] == ["ended with 0"]


def test_the_worker_is_confined_there_too(bench: Bench) -> None:
    starts = examined(bench, torch_only("import subprocess; subprocess.run(['true']); return x"), Shell())
    assert starts["candidate"].startswith("crashed")
    assert "subprocess" in starts["candidate"] or "not permitted" in starts["candidate"]
    assert starts["said"][1:] == ["ended with 0"]


def test_it_can_neither_write_nor_see_what_is_not_its_own(bench: Bench, tmp_path: Path) -> None:
    tries = f"""
import os
seen = []
try:
    open({str(tmp_path / "written")!r}, "w")
except OSError:
    seen.append("refused")
seen += [os.path.exists({str(home() / "kernelwright.db")!r}), os.listdir({str(home())!r})]
raise RuntimeError(f"seen {{seen}}")
"""
    (home() / "kernelwright.db").touch()
    found = examined(bench, torch_only("return x", before=tries), Shell())
    assert not (tmp_path / "written").exists() or found["sandbox"] == "limits"
    if found["sandbox"] == "landlock":
        assert "PermissionError" in found["candidate"] or "'refused'" in found["candidate"]


def test_who_hangs_is_ended_when_nobody_waits_any_longer(bench: Bench) -> None:
    judge = bench.judge(AFFINE)
    before = processes(judge)
    hangs = Candidate(source=torch_only("import time; time.sleep(600); return x"), language="cpp")

    async def leave() -> None:
        examining = asyncio.ensure_future(judge.examine(hangs, Shell()))
        await asyncio.sleep(0)
        while not any("begins" in line for line in _sessions()):
            await asyncio.sleep(0.05)
        examining.cancel()
        await asyncio.wait([examining])
        assert examining.cancelled()
        await settled(judge, before)

    bench.run(leave())
    assert not _sessions()


def _sessions() -> list[str]:
    """Command lines of the shells of this test that are there now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
            if words.startswith("sh -c echo"):
                found.append(words)
    return found


def test_what_sanitizers_find_is_in_the_verdict_and_decides_whether_it_is_clean(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = bench.judge(AFFINE)

    class Finds(Shell):
        name = "finds"

        def read(self, said: str) -> dict[str, Any]:
            return {"errors": 1, "findings": [{"what": "a \x1b[2J read beyond", "where": ["at kernel"]}]}

    class Silent(Shell):
        name = "silent"

        def read(self, said: str) -> dict[str, Any]:
            return {"errors": None, "findings": []}

    def evaluated(*sanitizers: Examiner) -> Verdict:
        monkeypatch.setattr(type(judge.target), "sanitizers", lambda _: sanitizers)
        return bench.run(sanitized(judge, Candidate(source=HONEST, language="cpp")))

    verdict = evaluated(Finds())
    assert verdict.accepted
    assert not verdict.clean
    assert "\x1b" not in verdict.evidence[SANITIZER]["finds"]["findings"][0]["what"]
    assert not evaluated(Silent()).clean, "it did not come to its end"


def test_a_worker_that_dies_is_told_of_and_so_is_how(bench: Bench) -> None:
    died = examined(bench, torch_only("import os; os._exit(9)"), Shell())
    assert died["candidate"].startswith("crashed")
    assert died["said"][1:] == ["ended with 9"]


def test_a_program_that_does_not_start_is_the_machines_error_with_its_last_words(bench: Bench) -> None:
    with pytest.raises(MachineError, match="no such device"):
        examined(bench, HONEST, Shell("echo no such device >&2; exit 1"))


def test_where_nothing_sanitizes_that_is_said_before_anything_is_judged(bench: Bench) -> None:
    with pytest.raises(UsageError, match="nothing sanitizes"):
        bench.run(sanitized(bench.judge(AFFINE), Candidate(source=HONEST, language="cpp")))
