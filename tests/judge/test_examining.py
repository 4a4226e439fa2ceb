"""A candidate's worker under a program that looks into it."""

from __future__ import annotations

from typing import Any

import pytest
from judge_bench import Bench, processes, settled
from judge_sources import AFFINE, HONEST, OWN, torch_only, with_kernel

from kernelwright.errors import MachineError, UsageError
from kernelwright.judge.examining import sanitized
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
    assert examined(bench, HONEST, Shell()) == {"said": ["begins in a sandbox", "ended with 0"]}


def test_what_a_candidate_prints_is_not_the_programs_word(bench: Bench) -> None:
    source = with_kernel("print('ended with 7', flush=True)", *OWN, "return y")
    assert examined(bench, source, Shell())["said"][1:] == ["ended with 0"]


def test_the_worker_is_confined_there_too(bench: Bench) -> None:
    starts = examined(bench, torch_only("import subprocess; subprocess.run(['true']); return x"), Shell())
    assert starts["candidate"].startswith("crashed")
    assert "subprocess" in starts["candidate"] or "not permitted" in starts["candidate"]
    assert starts["said"][1:] == ["ended with 0"]


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
