"""The same budget of calls for each way of asking a model: the universal operator, best of n, and the four roles.

    python benchmarks/scaffolds.py benchmarks/tasks/mish.py --model openai:gpt-5 --calls 24
    python benchmarks/scaffolds.py TASK... --model openai:relay --base-url http://127.0.0.1:8450/v1 --calls 8

No other proposer takes part. Each search begins with what ships and nothing else: no knowledge of the user's, and none
of what the searches before it found. `best_of_n` is the operator under the policy of that name: samples that know
nothing of each other. Which way comes first is turned with the seed, since whoever answers by hand remembers. At the
end of a task the ways' winners are timed side by side, which is what the speedups are from. The runs are kept in
build/scaffolds/kernelwright.db; KERNELWRIGHT_STORE=sqlite:///PATH with `kernelwright show` shows them.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kernelwright import KernelwrightError, registry
from kernelwright import format as fmt
from kernelwright.home import home
from kernelwright.judge.judge import Judge
from kernelwright.judge.verdict import ComparisonRow
from kernelwright.proposers.base import Candidate
from kernelwright.proposers.llm.config import Configuration, configure
from kernelwright.proposers.llm.limits import Limits
from kernelwright.search import Settings, search
from kernelwright.store import Store
from kernelwright.tasks import Task

FOLDER = Path(__file__).resolve().parent.parent / "build" / "scaffolds"
WAYS = {"operator": ("operator", "evolve"), "best_of_n": ("operator", "best_of_n"), "roles": ("roles", "evolve")}
"""Scaffold and policy of each way."""
PATIENCE_S = 24 * 3600.0
"""For a reply: whoever answers by hand takes longer than a model."""
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Row:
    """One search. Speedups are from the comparison of all ways' winners; None where no candidate was accepted."""

    task: str
    way: str
    run: str
    calls: int
    failed: int
    evaluated: int
    accepted: int
    tokens: int
    over_eager: float | None = None
    interval: tuple[float, float] | None = None
    """Of `over_eager`, 95 %."""
    over_compile: float | None = None


@contextmanager
def fresh_home() -> Iterator[None]:
    """A home with the measured ceilings of the user's and nothing else."""
    user = home()
    with tempfile.TemporaryDirectory(prefix="kernelwright-scaffolds-") as folder:
        for path in user.glob("ceilings-*.json"):
            shutil.copy(path, folder)
        os.environ["KERNELWRIGHT_HOME"] = folder
        try:
            yield
        finally:
            os.environ["KERNELWRIGHT_HOME"] = str(user)


def measure(path: str, way: str, models: Configuration, seed: int, store: Store) -> tuple[Row, Candidate | None]:
    """Searches once; the row without speedups, and the winner."""
    scaffold, policy = WAYS[way]
    calls = models.limits.calls
    assert calls is not None
    settings = Settings(
        proposers=(scaffold,), policy=policy, models=models, budget_s=None, patience=calls + 1, seed=seed
    )
    task = Task.load(path)
    result = asyncio.run(search(task, settings, store))
    spent = store.spent(result.run)
    row = Row(
        task=task.name,
        way=way,
        run=result.run,
        calls=spent.calls,
        failed=spent.failed,
        evaluated=result.evaluated,
        accepted=sum(node.verdict.accepted for node in result.graph),
        tokens=spent.input_tokens + spent.output_tokens,
    )
    return row, result.best.candidate if result.best else None


async def race(path: str, found: Sequence[tuple[Row, Candidate | None]]) -> list[Row]:
    """The rows with the speedups of their winners, timed side by side."""
    winners = {winner.id: winner for _, winner in found if winner is not None}
    if not winners:
        return [row for row, _ in found]
    async with Judge(Task.load(path), registry.load("targets", "cpu")()) as judge:
        comparison = await judge.compare(list(winners.values()))
    return [_timed(row, comparison.row(winner.id) if winner is not None else None) for row, winner in found]


def _timed(row: Row, timed: ComparisonRow | None) -> Row:
    if timed is None:
        return row
    return replace(row, over_eager=timed.speedup, interval=timed.speedup_ci, over_compile=timed.speedup_over_compile)


def turned(seed: int) -> list[str]:
    """The ways, in the order of a search with this seed."""
    first = seed % len(WAYS)
    return [*list(WAYS)[first:], *list(WAYS)[:first]]


def table(rows: Sequence[Row]) -> Table:
    """As people read it."""
    made = Table(box=None, pad_edge=False)
    headings = ("task", "way", "calls", "candidates", "accepted", "over eager", "", "over torch.compile", "tokens")
    for rank, heading in enumerate(headings):
        made.add_column(heading, justify="right" if rank > 1 else "left", header_style="dim")
    for each in rows:
        counts = map(str, (each.calls, each.evaluated, each.accepted))
        eager, compiled = map(fmt.speedup, (each.over_eager, each.over_compile))
        between = "" if each.interval is None else "{} .. {}".format(*map(fmt.speedup, each.interval))
        made.add_row(each.task, each.way, *counts, eager, between, compiled, fmt.count(each.tokens))
    return made


@app.command()
def main(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Files, or package.module:name.")],
    model: Annotated[list[str], typer.Option(metavar="PROVIDER:NAME", help="May be repeated.")],
    calls: Annotated[int, typer.Option(min=1, help="Calls for each search.")],
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="The models' endpoint.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every search; also turns the order of the ways.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """The same budget of calls for each way of asking a model."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = []
    try:
        models = configure(model, base_url=base_url, limits=Limits(calls=calls))
        models = models.model_copy(update={"call": models.call.model_copy(update={"timeout_s": PATIENCE_S})})
        with closing(Store(f"sqlite:///{FOLDER / 'kernelwright.db'}")) as store:
            for path in tasks:
                found = []
                for way in turned(seed):
                    with fresh_home():
                        found.append(measure(path, way, models, seed, store))
                    typer.echo(json.dumps(asdict(found[-1][0])), err=True)
                rows += asyncio.run(race(path, found))
    except KernelwrightError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    print(json.dumps([asdict(each) for each in rows], indent=2)) if as_json else Console().print(table(rows))


if __name__ == "__main__":
    app()
