"""Other judges beside this one, on the same machine and the same candidates.

    python benchmarks/judge_rivals.py --kernelbench PATH --akg PATH          the first of each family and of each style
    python benchmarks/judge_rivals.py --kernelbench PATH --everything

PATH are checkouts of github.com/ScalingIntelligence/KernelBench and github.com/mindspore-ai/akg. Their evaluators run
as `benchmarks/rivals/` says, each candidate in a bubblewrap of its own, since they run it in their own process.
`accepted` counts cheats that a judge calls correct, `won` those that it believes to be faster than their honest part by
more than 15 %; `refused` counts honest candidates. Cheats that attack the machine are left out: nothing would stop
them.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "adversarial"), str(ROOT / "tests" / "honest")]

import corpus  # noqa: E402 - found in the folders above
import honest_corpus  # noqa: E402
from arena import Arena  # noqa: E402

TIMEOUT_S = 180
NO_ARGUMENTS = "\n\ndef get_init_inputs():\n    return []\n"
"""What a task may leave out here, and must have for the others."""
LEFT_OUT = ("attacks_machine",)
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Opinion:
    """What a judge says of one candidate: whether it is right, and its time where one is believed, in any unit."""

    correct: bool
    time: float | None
    seconds: float


@dataclass
class Rival:
    """One judge and what it said."""

    name: str
    judge: Callable[[Path, str], Opinion]
    cheats: dict[str, bool] = field(default_factory=dict)
    """Those that were called correct; whether they won."""
    refused: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    honest: dict[Path, Opinion] = field(default_factory=dict)

    def ask(self, task: Path, source: str) -> Opinion:
        """Its opinion; how long it took is kept."""
        opinion = self.judge(task, source)
        self.seconds.append(opinion.seconds)
        return opinion

    def face(self, cheat: corpus.Cheat, task: corpus.Task) -> None:
        """One cheat beside its honest part."""
        if task.path not in self.honest:
            self.honest[task.path] = self.ask(task.path, task.honest)
        part, opinion = self.honest[task.path], self.ask(task.path, cheat.source)
        if opinion.correct:
            known = opinion.time is not None and part.time is not None
            self.cheats[cheat.id] = known and opinion.time * corpus.SLACK < part.time  # type: ignore[operator]


def sandboxed(script: str, checkout: Path) -> Callable[[Path, str], Opinion]:
    """A rival that runs in a process of its own for each candidate."""

    def judge(task: Path, source: str) -> Opinion:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            candidate, asked = Path(folder, "candidate.py"), Path(folder, "task.py")
            candidate.write_text(source)
            text = task.read_text()
            asked.write_text(text if "def get_init_inputs" in text else text + NO_ARGUMENTS)
            prefix = [
                "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs",
                "/dev/shm", "--bind", folder, folder, "--setenv", "HOME", folder, "--setenv", "TMPDIR", folder,
                "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--chdir", folder,
            ]  # fmt: skip
            for kept in (checkout, ROOT, Path(sys.prefix)):
                prefix += ["--ro-bind", str(kept), str(kept)]
            command = [*prefix, sys.executable, str(ROOT / "benchmarks/rivals" / script), *map(str, (checkout, asked))]
            try:
                done = subprocess.run([*command, str(candidate)], capture_output=True, timeout=TIMEOUT_S, check=False)
                said = json.loads(done.stdout.decode(errors="replace").strip().splitlines()[-1])
                ms = None if said["ms"] is None else float(said["ms"])
                return Opinion(bool(said["correct"]), ms, time.monotonic() - start)
            except (subprocess.TimeoutExpired, ValueError, IndexError, KeyError, TypeError):
                return Opinion(False, None, time.monotonic() - start)

    return judge


@dataclass
class Kernelwright(Rival):
    """This judge: what looks like an advantage is measured again, beside the honest part."""

    arena: Arena = field(default_factory=Arena)

    def face(self, cheat: corpus.Cheat, task: corpus.Task) -> None:
        """As `Rival.face`, by intervals of the speedups."""
        start = time.monotonic()
        verdict, part = self.arena.duel(task, cheat)
        self.seconds.append(time.monotonic() - start)
        if verdict.accepted:
            self.cheats[cheat.id] = corpus.has_advantage(verdict, part)


def ours() -> Kernelwright:
    """This judge; an evaluation that does not end in a verdict ends the comparison."""
    arena = Arena()

    def judge(task: Path, source: str) -> Opinion:
        start = time.monotonic()
        verdict = arena.judge(task, source)
        return Opinion(verdict.accepted, verdict.time_us, time.monotonic() - start)

    return Kernelwright("Kernelwright", judge, arena=arena)


def chosen(everything: bool) -> tuple[list[corpus.Cheat], list[honest_corpus.HonestCandidate]]:
    """All candidates, or the first of each family and style."""
    cheats = [cheat for cheat in corpus.cheats() if cheat.family not in LEFT_OUT]
    honest = honest_corpus.corpus()
    if everything:
        return cheats, honest
    families = {cheat.family: cheat for cheat in reversed(cheats)}
    styles = {candidate.style: candidate for candidate in reversed(honest)}
    by_task = sorted(families.values(), key=lambda cheat: cheat.task)
    return by_task, sorted(styles.values(), key=lambda candidate: candidate.task)


def measure(rivals: Sequence[Rival], everything: bool) -> tuple[int, int]:
    """Asks all of them; returns the numbers of cheats and of honest candidates."""
    tasks = corpus.tasks()
    cheats, honest = chosen(everything)
    for rival in rivals:
        for number, cheat in enumerate(cheats, 1):
            rival.face(cheat, tasks[cheat.task])
            typer.echo(f"{rival.name} {number}/{len(cheats)} {cheat.id}: {rival.cheats.get(cheat.id)}", err=True)
        for candidate in honest:
            if not rival.ask(candidate.task_path, candidate.source).correct:
                rival.refused.append(candidate.name)
                typer.echo(f"{rival.name} refuses {candidate.name}", err=True)
    return len(cheats), len(honest)


@app.command()
def main(
    kernelbench: Annotated[Path | None, typer.Option(metavar="PATH", help="A checkout of KernelBench.")] = None,
    akg: Annotated[Path | None, typer.Option(metavar="PATH", help="A checkout of AKG.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All candidates; hours.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Other judges beside this one."""
    if (kernelbench or akg) and not shutil.which("bwrap"):
        typer.echo("error: the others run in bubblewrap: apt-get install bubblewrap", err=True)
        raise typer.Exit(2)
    own = ours()
    rivals: list[Rival] = [own]
    for name, script, path in (("KernelBench", "with_kernelbench.py", kernelbench), ("AKG", "with_akg.py", akg)):
        if path is not None:
            rivals.append(Rival(name, sandboxed(script, path.resolve())))
    try:
        cheats, honest = measure(rivals, everything)
    finally:
        own.arena.close()
    rows = [
        {
            "judge": rival.name,
            "accepted": len(rival.cheats),
            "won": sum(rival.cheats.values()),
            "refused": len(rival.refused),
            "seconds": statistics.median(rival.seconds),
        }
        for rival in rivals
    ]
    if as_json:
        named = {rival.name: {"cheats": rival.cheats, "refused": rival.refused} for rival in rivals}
        print(json.dumps({"cheats": cheats, "honest": honest, "rows": rows, "named": named}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    headings = ("judge", f"of {cheats} cheats accepted", "won", f"of {honest} honest refused", "s a candidate")
    for rank, heading in enumerate(headings):
        table.add_column(heading, justify="right" if rank else "left", header_style="dim")
    for row in rows:
        table.add_row(*map(str, list(row.values())[:-1]), f"{row['seconds']:.1f}")
    Console().print(table)


if __name__ == "__main__":
    app()
