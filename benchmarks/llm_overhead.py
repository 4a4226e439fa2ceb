"""What our side of a model's call costs in a long run: choosing what to build on, looking up, writing the prompt,
reading the reply, storing. The model itself, and the request to it, are not in it.

    python benchmarks/llm_overhead.py
    python benchmarks/llm_overhead.py --nodes 1000 --json

The run is made up, `--nodes` candidates long, and kept in a database on the disk; task, device, guide, documents and
templates are real. The candidates are the catalogue's first kernel for the task with another line each, two in five of
them rejected.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from first_kernel import TASKS
from kernelwright import registry
from kernelwright.judge.verdict import STAGES, CaseTiming, StageReport, Verdict
from kernelwright.knowledge.library import Library, open_library
from kernelwright.proposers.base import Attempt, Candidate, Context, History
from kernelwright.proposers.catalogue.cpp.renderer import Cpp
from kernelwright.proposers.catalogue.module import write
from kernelwright.proposers.catalogue.program import plan
from kernelwright.proposers.llm import memory, prompts, reply
from kernelwright.proposers.llm.call import Reply
from kernelwright.proposers.llm.role import OPERATOR, Work
from kernelwright.proposers.llm.templates import shipped
from kernelwright.search.judge_key import judge_key
from kernelwright.search.settings import Settings
from kernelwright.search.sitting import Sitting
from kernelwright.store import Store
from kernelwright.targets.base import Target
from kernelwright.tasks import Graph, Task, TaskInfo
from kernelwright.tasks.host import Reference

PARTS = ("choose", "look up", "prompt", "record the call", "read the reply", "store the candidate", "store the verdict")
MODEL = "made:up"
REJECTED, FRESH = 0.4, 0.15
"""Shares of the candidates that are rejected, and that build on nothing."""
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


class Taken(NamedTuple):
    """Milliseconds that passed, and those spent computing."""

    passed: float
    computing: float

    def __add__(self, other: tuple[float, ...]) -> Taken:  # type: ignore[override]
        return Taken(self[0] + other[0], self[1] + other[1])

    def __sub__(self, other: Taken) -> Taken:
        return Taken(self[0] - other[0], self[1] - other[1])


@dataclass
class Stopwatch:
    """Milliseconds of each part, one value a step: what passed, and what this process spent computing."""

    found: dict[str, list[Taken]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times the block, without other parts in it."""
        before, start = self._sum(), self._now()
        yield
        self.found[name].append(self._now() - start - (self._sum() - before))

    def _now(self) -> Taken:
        return Taken(1e3 * time.perf_counter(), 1e3 * time.process_time())

    def _sum(self) -> Taken:
        return sum((each for values in self.found.values() for each in values), Taken(0.0, 0.0))


class Timed(Library):
    """A library whose questions are timed."""

    def __init__(self, library: Library, watch: Stopwatch) -> None:
        self._library, self._watch = library, watch

    def always(self, *where: str) -> Any:
        """See `Library`."""
        with self._watch.part("look up"):
            return self._library.always(*where)

    def search(self, *query: Any, **where: Any) -> Any:
        """See `Library`."""
        with self._watch.part("look up"):
            return self._library.search(*query, **where)


class Made:
    """Candidates of a made-up run with their verdicts, in the order in which they came."""

    def __init__(self, task: Task, target: Target, source: str) -> None:
        self._task, self._key, self._source = task.id, target.info().key, source
        self._chance = random.Random(0)
        self._accepted: list[str] = []

    def candidate(self, number: int) -> Candidate:
        """The so-many-th; most build on one that was accepted before."""
        fresh = not self._accepted or self._chance.random() < FRESH
        parents = () if fresh else (self._chance.choice(self._accepted[-50:]),)
        return Candidate(
            source=f"{self._source}\n# {number}\n", language="cpp", proposer="operator", parents=parents,
            note=f"the inner loop in blocks of {number} elements",
        )  # fmt: skip

    def verdict(self, candidate: Candidate) -> Verdict:
        """What a judge might have said."""
        facts: dict[str, Any] = {
            "candidate": candidate.id, "task": self._task, "target": self._key, "language": "cpp",
            "stages": tuple(StageReport(name=name, status="passed", seconds=0.1) for name in STAGES),
        }  # fmt: skip
        if self._chance.random() < REJECTED:
            evidence = {
                "case": "default",
                "element": [0, 1],
                "got": 1.5,
                "expected": 1.25,
                "wrong": 300,
                "elements": 512,
            }
            return Verdict(
                **facts, outcome="rejected", reason="wrong_values", message="output 0: error 0.2 where 1e-6 is allowed",
                evidence={**evidence, "line": 20},
            )  # fmt: skip
        self._accepted.append(candidate.id)
        gain = self._chance.lognormvariate(0.5, 0.4)
        times: dict[str, Any] = {"time_us": 900 / gain, "reference_us": 900.0, "floor_us": 100.0, "speedup": gain}
        times["speedup_ci"] = (0.99 * gain, 1.01 * gain)
        timing = CaseTiming(case="default", pairs=20, calls=8, **times)
        return Verdict(**facts, outcome="accepted", coverage=0.98, timings=(timing,), **times)


async def _none() -> None:
    """Nothing here is compiled."""


def described(task: Task, target: Target) -> Context:
    """What a proposer knows of the task. It is one of this repository's, so it is loaded here."""
    reference = Reference(task.source.model_dump())
    info = TaskInfo.model_validate(reference.describe())
    graph = Graph.model_validate(reference.export(info.tune_case.name))
    guide = registry.load("languages", "cpp")().guide()
    return Context(
        task.id, task.reference, info.shown, graph, target.info(), target.ceilings(), "cpp", _none, guide=guide
    )  # fmt: skip


def fill(path: Path, task: Task, target: Target, made: Made, nodes: int) -> str:
    """Stores a run of so many candidates; returns its name. In memory first, where storing is not durable and fast."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        store = Store(f"sqlite:///{folder}/{path.name}")
        run = store.create(task, target.info(), {}, seed=0)
        for number in range(nodes):
            candidate = made.candidate(number)
            store.evaluated(run, store.propose(run, candidate), made.verdict(candidate), judge_key(), at=float(number))
        store.close()
        shutil.copy(f"{folder}/{path.name}", path)
    return run


def _sitting(store: Store, run: str) -> Sitting:
    policy = registry.load("policies", "evolve")(random.Random(0))
    return Sitting(store.run(run), Settings(budget_s=None), policy, store, None)


def measure(context: Context, sitting: Sitting, made: Made, steps: int) -> Stopwatch:
    """Goes through the steps of the universal operator, as if a model replied at once."""
    watch, log, templates = Stopwatch(), sitting.store.call_log(sitting.run), shipped()
    history = History(node.attempt for node in sitting.graph)
    context.library, context.history = Timed(open_library(), watch), history
    for number in range(-1, steps):
        if number == 0:
            watch.found.clear()  # the first step reads the documents and builds their index
        with watch.part("choose"):
            context.parents = [node.attempt for node in sitting.policy.select(sitting.graph)]
            chosen = memory.choose(context, "operator")
        with watch.part("prompt"):
            prompt = prompts.build(OPERATOR, context, Work(chosen), templates)
        written = made.candidate(len(history)).model_copy(update={"parents": chosen.base})
        text = f"Idea: blocks\n```python\n{written.source}```\n"
        with watch.part("record the call"):
            call = log.begin(prompt, MODEL)
            answer = Reply(call, MODEL, text, 8000, 2000, 0.01, 20.0, "stop", None)
            log.arrived(answer)
        with watch.part("read the reply"):
            source = reply.read(answer.text, chosen.parent.candidate.source if chosen.parent else "").source
        candidate = written.model_copy(update={"source": source, "replies": (call,)})
        with watch.part("store the candidate"):
            assert sitting.is_new(candidate)
            place = sitting.propose(candidate)
            sitting.known(candidate)
        verdict = made.verdict(candidate)
        with watch.part("store the verdict"):
            sitting.evaluated(place, candidate, verdict, reused=False)
            log.rewarded([call], 0.0)
            history.add(Attempt(candidate, verdict))
    # A step looks up twice.
    both = watch.found["look up"]
    watch.found["look up"] = [first + second for first, second in zip(both[::2], both[1::2], strict=True)]
    return watch


def show(result: dict[str, Any]) -> None:
    """As people read it."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"medians at {result['nodes']:,} candidates", header_style="dim")
    for kind in Taken._fields:
        table.add_column(kind, justify="right", header_style="dim")
    for name, taken in {**result["parts_ms"], "sum": result["sum_ms"]}.items():
        table.add_row(name, *(f"{milliseconds:.1f} ms" for milliseconds in taken.values()))
    Console().print(table)


@app.command()
def main(
    nodes: Annotated[int, typer.Option(min=1, help="Candidates in the run.")] = 10_000,
    steps: Annotated[int, typer.Option(min=1, help="Calls to measure.")] = 100,
    task: Annotated[str, typer.Option(metavar="NAME", help="One of benchmarks/tasks.")] = "rms_norm",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """What our side of a model's call costs in a long run."""
    loaded, target = Task.load(TASKS / f"{task}.py"), registry.load("targets", "cpu")()
    context = described(loaded, target)
    assert context.graph is not None
    made = Made(loaded, target, write(plan(context.graph, context.target, Cpp()), context.info))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "kernelwright.db"
        run = fill(path, loaded, target, made, nodes)
        store = Store(f"sqlite:///{path}")
        found = measure(context, _sitting(store, run), made, steps).found
        store.close()
    parts = {name: Taken(*map(statistics.median, zip(*found[name], strict=True)))._asdict() for name in PARTS}
    whole = {kind: sum(part[kind] for part in parts.values()) for kind in Taken._fields}
    result = {"nodes": nodes, "steps": steps, "parts_ms": parts, "sum_ms": whole}
    print(json.dumps(result, indent=2)) if as_json else show(result)


if __name__ == "__main__":
    app()
