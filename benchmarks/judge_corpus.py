"""Does the judge hold? Every cheat in tests/adversarial, and every honest candidate in tests/honest, if there are any.

    python benchmarks/judge_corpus.py                       once
    python benchmarks/judge_corpus.py --rounds 10 --load 3  ten times, with three cores kept busy by others
    python benchmarks/judge_corpus.py --only 'batching/*'
    python benchmarks/judge_corpus.py --rounds 10 --resume rounds.jsonl  goes on where it was interrupted

With `--resume`, each result is written to the file as it comes, with a key of the judge that gave it and of the
corpus; what the same judge has said before is not asked again. Rounds under different loads may share a file.

A hole is a cheat that is accepted and faster than its honest part by more than 15 %, or, where docs/judge.md names it
as a limit, by more than is known. Exits with 1 when there is a hole, or an honest candidate that is rejected.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kernelwright.search.judge_key import judge_key
from load import busy

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "adversarial"), str(TESTS / "honest")]

import corpus  # noqa: E402 - found in the folders above
import honest_corpus  # noqa: E402
from arena import Arena, Traces, settled  # noqa: E402

HONEST = "honest"
OUTCOMES = ("right reason", "other reason", "no advantage", "known limit", "HOLE", "died")
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Result:
    """What became of one candidate in one round; `outcome` is one of `OUTCOMES`; of honest ones, `accepted` or
    `rejected`."""

    name: str
    family: str
    outcome: str
    reason: str
    message: str
    seconds: float
    speedup: float | None = None
    load: int = 0


@dataclass
class Report:
    """All results, and what the judge left behind."""

    cheats: list[Result] = field(default_factory=list)
    honest: list[Result] = field(default_factory=list)
    rounds: dict[int, int] = field(default_factory=dict)
    """Rounds that were finished, by how many cores others kept busy."""
    left: dict[str, Any] = field(default_factory=dict)
    rss_mb: tuple[float, float] = (0.0, 0.0)

    @property
    def holes(self) -> list[Result]:
        """Cheats that won, and evaluations that did not end in a verdict."""
        return [one for one in self.cheats if one.outcome in ("HOLE", "died")]

    @property
    def refused(self) -> list[Result]:
        """Honest candidates that were rejected."""
        return [one for one in self.honest if one.outcome != "accepted"]

    def add(self, result: Result) -> None:
        """One more."""
        (self.honest if result.family == HONEST else self.cheats).append(result)


class Kept:
    """Results on disk, a line each, with a digest of all that they depend on: the judge, the corpus. Life cycle: made
    with the file, which may be there already; `results`; `add`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        digest = hashlib.sha256(judge_key().encode())
        for part in sorted([*TESTS.glob("adversarial/**/*.py"), *TESTS.glob("honest/**/*.py")]):
            digest.update(part.read_bytes())
        self._key = digest.hexdigest()[:16]

    def results(self) -> list[Result]:
        """What this judge has said before; a line that was cut off in the middle is left out."""
        found = []
        for line in self._path.read_text().splitlines() if self._path and self._path.exists() else []:
            with suppress(ValueError, KeyError, TypeError):
                held = json.loads(line)
                if held.pop("key") == self._key:
                    found.append(Result(**held))
        return found

    def add(self, result: Result) -> None:
        """Writes one more, on a line of its own."""
        if self._path:
            with self._path.open("a") as file:
                file.write("\n" + json.dumps({"key": self._key, **asdict(result)}))


def judge_cheat(arena: Arena, cheat: corpus.Cheat, task: corpus.Task) -> Result:
    """One cheat beside its honest part."""
    start = time.monotonic()
    try:
        arena.honest(task)
        start = time.monotonic()
        verdict, honest = arena.duel(task, cheat)
    except Exception as error:  # noqa: BLE001 - whatever it is, the judge must not raise it
        arena.rest()
        return Result(cheat.id, cheat.family, "died", type(error).__name__, str(error)[:300], time.monotonic() - start)
    seconds = time.monotonic() - start
    if corpus.is_hole(cheat, verdict, honest):
        outcome = "HOLE"
    elif corpus.has_advantage(verdict, honest):
        outcome = "known limit"
    elif verdict.accepted:
        outcome = "no advantage" if corpus.right(cheat, verdict, honest) else "other reason"
    else:
        outcome = "right reason" if verdict.reason in cheat.expect else "other reason"
    reason = verdict.reason or verdict.outcome
    return Result(cheat.id, cheat.family, outcome, reason, verdict.message[:300], seconds, verdict.speedup)


def judge_honest(arena: Arena, name: str, task: Path, source: str) -> Result:
    """One honest candidate."""
    start = time.monotonic()
    try:
        verdict = arena.judge(task, source, brief=True)
    except Exception as error:  # noqa: BLE001
        arena.rest()
        return Result(name, HONEST, "died", type(error).__name__, str(error)[:300], time.monotonic() - start)
    seconds = time.monotonic() - start
    return Result(name, HONEST, verdict.outcome, verdict.reason or "", verdict.message[:300], seconds, verdict.speedup)


def measure(rounds: int, load: int, only: str, kept: Kept, console: Console) -> Report:
    """Runs the corpus until every candidate was judged `rounds` times under this load."""
    report, tasks = Report(), corpus.tasks()
    work: list[tuple[str, Callable[[Arena], Result]]] = [
        (cheat.id, partial(judge_cheat, cheat=cheat, task=tasks[cheat.task])) for cheat in corpus.cheats()
    ]
    work += [
        (one.name, partial(judge_honest, name=one.name, task=one.task_path, source=one.source))
        for one in honest_corpus.corpus()
    ]
    work = [(name, judge) for name, judge in work if fnmatch.fnmatch(name, only)]
    for result in kept.results():
        if fnmatch.fnmatch(result.name, only):
            report.add(result)
    count = Counter((result.name, result.load) for result in (*report.cheats, *report.honest))
    warm = Arena()  # what lasts as long as the process is there before anything is counted
    warm.honest(next(iter(tasks.values())))
    warm.close()
    with busy(load):
        before = Traces.now()
        arena = Arena()
        with suppress(KeyboardInterrupt):  # what was judged until then is told
            for number in range(rounds):
                for name, judge in work:
                    if count[name, load] > number:
                        continue
                    result = replace(judge(arena), load=load)
                    count[name, load] += 1
                    kept.add(result)
                    report.add(result)
                    _progress(console, sum(count[other, load] for other, _ in work), rounds * len(work), result)
        arena.close()
        report.left = settled(before)
        report.rss_mb = before.rss_mb, Traces.now().rss_mb
    loads = {seen for _, seen in count}
    report.rounds = {seen: min(count[name, seen] for name, _ in work) for seen in sorted(loads)}
    return report


def _progress(console: Console, count: int, total: int, last: Result) -> None:
    worth = f" {last.message.splitlines()[0][:100]}" if last.message and last.outcome == "other reason" else ""
    console.print(
        f"{count}/{total} {last.name}: {last.outcome} {last.reason}{worth} {last.seconds:.1f} s", markup=False
    )


def show(report: Report, console: Console) -> None:
    """The table by family, what was refused, and what is left."""
    table = Table(box=None, pad_edge=False)
    for rank, heading in enumerate(("family", "cheats", *OUTCOMES, "s each")):
        table.add_column(heading, justify="right" if rank else "left", header_style="dim", no_wrap=not rank)
    families = sorted({one.family for one in report.cheats})
    for family in [*families, ""]:
        rows = [one for one in report.cheats if one.family == (family or one.family)]
        if rows:
            counts = [sum(one.outcome == outcome for one in rows) for outcome in OUTCOMES]
            each = sum(one.seconds for one in rows) / len(rows)
            cells = [str(count or "") for count in counts]
            table.add_row(family or "all", str(len({one.name for one in rows})), *cells, f"{each:.1f}")
    console.print(table)
    for one in [*report.holes, *report.refused]:
        console.print(f"{one.outcome}: {one.name} {one.reason} {one.message} {one.speedup or ''}", markup=False)
    if report.honest:
        console.print(f"honest: {len(report.honest) - len(report.refused)} of {len(report.honest)} accepted")
    for load, rounds in report.rounds.items():
        console.print(f"{rounds} whole rounds with {load} busy loops")
    console.print(
        f"left behind: {report.left or 'nothing'}; {report.rss_mb[0]:.0f} MB before, {report.rss_mb[1]:.0f} after"
    )


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=1, help="Times to run everything.")] = 1,
    load: Annotated[int, typer.Option(min=0, help="Cores that others keep busy meanwhile.")] = 0,
    only: Annotated[str, typer.Option(metavar="GLOB", help="Names (family/name) of candidates to run.")] = "*",
    resume: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep results there, and go on from it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Does the judge hold? Every cheat, and every honest candidate."""
    report = measure(rounds, load, only, Kept(resume), Console(stderr=True, highlight=False))
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show(report, Console(highlight=False))
    if report.holes or report.refused:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
