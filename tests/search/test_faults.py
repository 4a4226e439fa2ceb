"""Real faults: processes that are killed, interrupted, doubled, and disks that are full."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kernelwright.errors import EXIT_ENVIRONMENT
from kernelwright.store import Store

HERE = Path(__file__).parent
BEFORE_S = 60
QUOTA = ("sh", "-c", 'ulimit -f 300 && exec "$@"', "sh")


class Searching:
    """A search that runs in its own process and notes each evaluation in a file."""

    def __init__(self, tmp_path: Path, *arguments: str, delay: float = 0.02, wrap: tuple[str, ...] = ()):
        self.log = tmp_path / "evaluations.log"
        paths = [str(HERE / "plugin"), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "KW_SCRIPTED_LOG": str(self.log),
            "KW_SCRIPTED_DELAY": str(delay),
        }
        self.process = subprocess.Popen(
            [*wrap, sys.executable, str(HERE / "run_search.py"), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []

    def __enter__(self) -> Searching:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def until(self, shown: int) -> str:
        """Reads on until so many verdicts were shown; returns the run's name."""
        assert self.process.stdout is not None
        while not self.lines or sum(line.startswith("shown") for line in self.lines) < shown:
            line = self.process.stdout.readline()
            assert line, f"it ended after {self.lines}"
            self.lines.append(line.strip())
        return self.lines[0].removeprefix("run ")

    def wait(self) -> list[str]:
        out, err = self.process.communicate(timeout=BEFORE_S)
        assert err == ""
        self.lines += out.splitlines()
        return self.lines

    def noted(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def test_kill_9_loses_nothing_and_nothing_is_evaluated_twice(tmp_path: Path) -> None:
    with Searching(tmp_path, "endless", "40") as first:
        run = first.until(shown=9)
        first.process.kill()
        first.process.wait()
        noted_before = first.noted()
        shown = {line for line in first.lines if line.startswith("shown")}

    store = Store()
    record = store.run(run)
    assert record.status == "interrupted"
    stored = {node.candidate.id: node for node in store.nodes(run)}
    assert {line.removeprefix("shown ") for line in shown} <= {key for key, node in stored.items() if node.verdict}
    in_flight = {node.candidate.source.strip() for node in stored.values() if node.state == "proposed"}
    evaluated = {node.candidate.source.strip() for node in stored.values() if node.verdict}

    with Searching(tmp_path, "endless", "40", run) as second:
        lines = second.wait()
    assert lines[-1] == "stopped 40 evaluations done faster"
    noted_after = second.noted()[len(noted_before) :]
    begun_again = {line.removeprefix("begin ") for line in noted_after if line.startswith("begin")}
    assert not begun_again & evaluated
    assert in_flight <= begun_again
    ends = Counter(line for line in noted_before + noted_after if line.startswith("end"))
    # What ended just before the kill, and was neither stored nor shown, is done again.
    assert all(line.removeprefix("end ") in in_flight for line, count in ends.items() if count > 1)
    nodes = store.nodes(run)
    assert len(nodes) == 40
    assert all(node.verdict for node in nodes)
    assert store.run(run).status == "finished"


def test_a_second_process_is_refused_while_the_first_searches(tmp_path: Path) -> None:
    with Searching(tmp_path, "endless", "1000", delay=0.05) as first:
        run = first.until(shown=1)
        assert Store().run(run).status == "running"
        with Searching(tmp_path, "endless", "1000", run) as second:
            lines = second.wait()
        assert second.process.returncode == EXIT_ENVIRONMENT
        assert len(lines) == 1
        assert f"searched by process {first.process.pid} on " in lines[0]
        assert f"kill {first.process.pid}" in lines[0]
        first.until(shown=3)  # undisturbed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    with Searching(tmp_path, "endless", "1000") as first:
        run = first.until(shown=4)
        first.process.send_signal(number)
        lines = first.wait()
    assert first.process.returncode == 0
    assert lines[-1] == "stopped interrupted None"
    assert not any(line.startswith("compare") for line in first.noted())
    record = Store().run(run)
    assert record.status == "interrupted"
    assert record.evaluated == sum(line.startswith("shown") for line in lines)
    with Searching(tmp_path, "endless", str(record.evaluated + 5), run) as second:
        assert second.wait()[-1].endswith("evaluations done faster")


def test_kill_9_during_the_final_comparison_leaves_only_that_to_do(tmp_path: Path) -> None:
    with Searching(tmp_path, "numbers", "6") as first:
        run = first.until(shown=6)
        first.process.kill()
        first.process.wait()
    before = first.noted()
    if Store().run(run).status == "finished":
        pytest.skip("it was faster than the kill")
    with Searching(tmp_path, "numbers", "6", run) as second:
        second.wait()
    assert [line.split()[0] for line in second.noted()[len(before) :]] == ["compare"]


def test_a_disk_quota_is_one_line_and_the_run_goes_on_later(tmp_path: Path) -> None:
    with Searching(tmp_path, "endless", "400", delay=0, wrap=QUOTA) as first:
        lines = first.wait()
    assert first.process.returncode == EXIT_ENVIRONMENT
    assert lines[-1].startswith("error ")
    assert "kernelwright.db: the disk" in lines[-1]
    assert "resume" in lines[-1]
    run, shown = lines[0].removeprefix("run "), sum(line.startswith("shown") for line in lines)
    evaluated = Store().run(run).evaluated
    assert shown <= evaluated <= shown + 1
    with Searching(tmp_path, "endless", str(shown + 5), run, delay=0) as second:
        assert second.wait()[-1].startswith("stopped")


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small tmpfs of the process's own, where the machine allows one."""
    mount = tmp_path / "small"
    mount.mkdir()
    wrap = ("unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o size=300k none {mount} && exec "$@"', "sh")
    if shutil.which("unshare") is None or subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(mount))
    with Searching(tmp_path, "endless", "400", delay=0, wrap=wrap) as searching:
        lines = searching.wait()
    assert lines[-1].startswith(f"error {mount}/kernelwright.db: the disk ")
    assert searching.process.returncode == EXIT_ENVIRONMENT


@pytest.mark.slow
def test_killed_again_and_again_a_run_still_evaluates_everything_once(tmp_path: Path) -> None:
    chance, run, before, noted = random.Random(0), (), {}, 0
    for kills in range(11):
        with Searching(tmp_path, "endless", "40", *run, delay=0.01) as searching:
            run = (searching.until(shown=0),)
            try:
                searching.process.wait(timeout=chance.uniform(0, 0.25) if kills < 10 else BEFORE_S)
            except subprocess.TimeoutExpired:
                searching.process.kill()
        begun = {line.removeprefix("begin ") for line in searching.noted()[noted:] if line.startswith("begin")}
        noted = len(searching.noted())
        assert not begun & {node.candidate.source.strip() for node in before.values() if node.verdict}
        nodes = {node.candidate.id: node for node in Store().nodes(run[0])}
        assert all(node.verdict == nodes[key].verdict for key, node in before.items() if node.verdict)
        before = nodes
        if Store().run(run[0]).status == "finished":
            break
    assert Store().run(run[0]).status == "finished"
    assert len(nodes) == 40
    assert all(node.verdict for node in nodes.values())
    assert len({line for line in searching.noted() if line.startswith("end")}) == 40
