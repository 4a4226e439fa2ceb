"""What `import kernelwright` offers, and all that the command line does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kernelwright import choices, description, registry
from kernelwright.description import Description
from kernelwright.errors import UsageError
from kernelwright.judge.verdict import Verdict
from kernelwright.profile import Profile
from kernelwright.proposers.base import Candidate
from kernelwright.report import files
from kernelwright.report import view as views
from kernelwright.report.view import Node, RunView
from kernelwright.result import Result
from kernelwright.search import INTERRUPTED, Settings, search
from kernelwright.store import RunRecord, Store
from kernelwright.targets import default_language
from kernelwright.tasks import Task, Tolerance

if TYPE_CHECKING:
    from torch import nn

    from kernelwright.drafting import Draft
    from kernelwright.judge.judge import Judge
    from kernelwright.proposers.llm.limits import Limits
    from kernelwright.proposers.llm.record import Record
    from kernelwright.search.events import Listener
    from kernelwright.targets.base import Target

_T = TypeVar("_T")

DEFAULT_OUT = Path("kernels")


def load_task(
    spec: str | Path,
    *,
    inputs: Sequence[str] = (),
    allow_tf32: bool = False,
    tolerance: float | None = None,
    strict: bool = False,
    backward: bool = False,
) -> Task:
    """A task from what a user types; see `Task.load`. `tolerance` is an error relative to the output's size; `strict`
    refuses candidates that call the library beside their own kernels; with `backward` gradients count too.

    Raises:
        UsageError: the tolerance is not above 0.
        TaskError: there is no such task.
    """
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise UsageError(
            f"{tolerance} is no tolerance", where="--tolerance", remedy="write a number above 0, e.g. 1e-3"
        )
    task = Task.load(spec, inputs=tuple(inputs), tolerance=Tolerance(allow_tf32=allow_tf32, relative=tolerance))
    task = task.model_copy(update={"strict": strict})
    return task.there_and_back if backward else task


def optimize(
    model_or_path: Task | nn.Module | str | Path,
    example_inputs: Any = None,
    *,
    target: str = "cpu",
    language: str | None = None,
    budget: str | float = "60s",
    out: str | Path | None = DEFAULT_OUT,
    policy: str | None = None,
    seed: int | None = None,
    evaluations: int | None = None,
    tolerance: Tolerance | None = None,
    models: Sequence[str] = (),
    scaffold: str | None = None,
    base_url: str | None = None,
    limits: Limits | None = None,
    replay: str | Path | None = None,
    prompts: Sequence[str] = (),
    listener: Listener | None = None,
) -> Result:
    """Searches for a kernel that computes the same as the task, and faster.

    Args:
        model_or_path: a live module, a file in KernelBench's format, `package.module:name`, or a `Task`.
        example_inputs: for a live module, the arguments of its forward: a tuple or list, or the only one.
        language: what candidates are written in, by default what the target's are (C++ on the CPU, Triton on a GPU).
        budget: seconds, or a text such as `60s`, `5m`, `1h`; up to 30 s more until there is a first kernel.
        out: the folder that gets the kernel and the report; None writes neither.
        tolerance: how far from float64 an output may be; None for the judge's own bound.
        models: language models to ask as well, `provider:name`; `all` for those that the configuration names. Keys come
            from the environment.
        scaffold: how models are asked, `operator` by default.
        base_url: the endpoint of `models`, where it is not their provider's.
        limits: what their calls may take together; these go before the configuration's.
        replay: a run, or a file that `calls --json` wrote, whose recorded replies take the place of `models`.
        prompts: folders with templates for prompts, or `shipped`; with several, steps take turns between them.
        listener: called with each event of the search, in this process.

    Raises:
        UsageError: an argument is wrong.
        TaskError: the task cannot be used.
        MachineError: the machine lacks something, or `out` cannot be written (found out before the search begins).
        StoreError: the store cannot be used.
        KeyboardInterrupt: Ctrl-C; what was evaluated is kept, and `resume` goes on.
    """
    made, model = _task(model_or_path, example_inputs, tolerance)
    asked = (
        choices.models(models, base_url, limits, scaffold, prompts)
        if replay is None
        else _replayed(replay, scaffold, prompts, asks=bool(models or base_url or limits))
    )
    settings = choices.settings(
        target=target,
        language=language,
        budget_s=choices.parse_budget(budget),
        policy=policy,
        evaluations=evaluations,
        **{**asked, "seed": asked.get("seed") if seed is None else seed},
    )
    return _search(made, settings, out, listener, resume=None, model=model)


def resume(run: str, *, out: str | Path | None = DEFAULT_OUT, listener: Listener | None = None) -> Result:
    """Goes on with a run that was interrupted; what was evaluated is not evaluated again. Raises as `optimize` does."""
    with closing(Store()) as store:
        record = views.find(store, run)
    settings = Settings.model_validate(record.settings)
    return _search(record.task, settings, out, listener, resume=record.id)


def evaluate(
    task: Task | str | Path,
    source: str | Path,
    *,
    target: str = "cpu",
    language: str | None = None,
    tolerance: Tolerance | None = None,
    sanitize: bool = False,
) -> Verdict:
    """Judges a candidate.

    Args:
        source: a path, or the source itself (a text of several lines).
        language: as for `optimize`.
        sanitize: has the target's sanitizers look at it as well; what they find is evidence (`verdict.SANITIZER`).

    Raises:
        UsageError: an argument is wrong or the file cannot be read.
        TaskError: the task cannot be used.
        MachineError: the machine lacks something.
    """
    from kernelwright.judge.examining import sanitized
    from kernelwright.judge.judge import Judge

    return _judged(task, source, target, language, tolerance, sanitized if sanitize else Judge.evaluate)


def profile(
    task: Task | str | Path,
    source: str | Path,
    *,
    target: str = "cpu",
    language: str | None = None,
    tolerance: Tolerance | None = None,
) -> Profile:
    """Judges a candidate and says what bounds it: memory, arithmetic, latency, or what is around its kernels. Arguments
    and errors as those of `evaluate`."""
    from kernelwright import profile as profiling

    return _judged(task, source, target, language, tolerance, profiling.profile)


def describe(task: Task, *, target: str = "cpu") -> Description:
    """What a task computes, what its floor is, and whether it is a fair test; see `description.describe`."""
    return _run(description.describe(task, target))


def draft(
    words: str,
    *,
    models: Sequence[str] = (),
    base_url: str | None = None,
    limits: Limits | None = None,
    target: str = "cpu",
    tell: Callable[[str], None] = print,
) -> Draft:
    """Has a language model write a task's file; see `drafting.draft`. Models and limits as `optimize` has them; without
    models those that the configuration names."""
    from kernelwright import drafting

    return _run(drafting.draft(words, choices.configuration(models, base_url, limits), target, tell))


def export(run: str, *, out: str | Path = DEFAULT_OUT) -> Result:
    """Writes the best kernel and the report of a run again, also of one that was interrupted.

    Raises:
        UsageError: there is no such run, or it has nothing to show.
        MachineError: `out` cannot be written.
    """
    return _result(view(run), out)


def record(source: str | Path) -> Record:
    """The calls of language models of a run, with all prompts and replies; or those in a file that `calls --json` or
    `task new` wrote. Where both exist the file is meant.

    Raises:
        UsageError: there is no such run or file, or the file is no record.
    """
    from kernelwright.proposers.llm.record import Record, find, read

    if file := find(source):
        return read(file)
    with closing(Store()) as store:
        run = views.find(store, str(source))
        scaffold = next((name for name in run.settings.get("proposers", ()) if name in choices.scaffolds()), None)
        return Record(
            name=run.id, task=run.task.name, scaffold=scaffold, seed=run.seed, calls=tuple(store.calls(run.id))
        )


def view(run: str) -> RunView:
    """All about a run. Raises `UsageError` when there is no such run, or it has nothing to show."""
    with closing(Store()) as store:
        return views.load(store, views.find(store, run).id)


def node(run: str, number: int) -> Node:
    """One evaluated candidate of a run, by its number in the order of verdicts, from 1.

    Raises:
        UsageError: there is no such run or node.
    """
    shown = view(run)
    if not 1 <= number <= len(shown.nodes):
        raise UsageError(f"there is no node {number}", where=shown.run, remedy=f"it has {len(shown.nodes)}, from 1")
    return shown.nodes[number - 1]


def guide(language: str | None = None, *, target: str = "cpu") -> str:
    """How to write a candidate in a language, by default the target's, for people and models. Raises `UsageError` where
    there is no such language or target."""
    text: str = registry.load("languages", language or default_language(target))().guide()
    return text


def runs() -> list[RunRecord]:
    """The newest runs in the store, newest first."""
    with closing(Store()) as store:
        return store.runs()


def summary(record: RunRecord) -> dict[str, Any]:
    """One entry of `runs --json`."""
    return {
        "run": record.id,
        "task": record.task.name,
        "outcome": record.outcome or record.status,
        "speedup": record.speedup,
        "started": record.started.isoformat(),
        "evaluated": record.evaluated,
        "seconds": record.seconds,
    }


def _replayed(source: str | Path, scaffold: str | None, prompts: Sequence[str], *, asks: bool) -> dict[str, Any]:
    from kernelwright.proposers.llm.record import find

    if asks:
        raise UsageError("a replay asks no models", where="--replay", remedy="leave out models and their limits")
    found = record(source)
    if not found.calls:
        raise UsageError("no language model was asked there, so there is nothing to replay", where=found.name)
    file = find(source)
    return choices.replay(str(file.absolute()) if file else found.name, found, scaffold, prompts)


def _search(
    task: Task,
    settings: Settings,
    out: str | Path | None,
    listener: Listener | None,
    *,
    resume: str | None,
    model: nn.Module | None = None,
) -> Result:
    if out is not None:
        files.check_writable(Path(out))
    with closing(Store()) as store:
        found = _run(search(task, settings, store, listener=listener, resume=resume))
        if found.stopped == INTERRUPTED:
            raise KeyboardInterrupt(found.run)
        return _result(views.load(store, found.run), out, model)


def _result(shown: RunView, out: str | Path | None, model: nn.Module | None = None) -> Result:
    source_path, report_path = files.write(shown, Path(out)) if out is not None else (None, None)
    return Result(shown, source_path, report_path, model)


def _task(
    task: Task | nn.Module | str | Path, example_inputs: Any, tolerance: Tolerance | None
) -> tuple[Task, nn.Module | None]:
    """The task, and the live module if it is one."""
    if isinstance(task, str | Path):
        return Task.load(task, tolerance=tolerance), None
    if isinstance(task, Task):
        return task.model_copy(update={"tolerance": tolerance}) if tolerance else task, None
    if example_inputs is None:
        raise UsageError("a live module needs example_inputs", remedy="pass the arguments of its forward as a tuple")
    inputs = tuple(example_inputs) if isinstance(example_inputs, tuple | list) else (example_inputs,)
    return Task.from_module(task, inputs, tolerance=tolerance), task


def _judged(
    task: Task | str | Path,
    source: str | Path,
    target: str,
    language: str | None,
    tolerance: Tolerance | None,
    how: Callable[[Judge, Candidate], Coroutine[Any, Any, _T]],
) -> _T:
    """What `how` gives for a candidate, by a judge of its own."""
    from kernelwright.judge.judge import Judge

    made, _ = _task(task, None, tolerance)
    language = language or default_language(target)
    registry.load("languages", language)
    candidate = Candidate(source=choices.read_source(source), language=language)

    async def judged() -> _T:
        async with Judge(made, _target(target), language=language) as judge:
            return await how(judge, candidate)

    return _run(judged())


def _target(name: str) -> Target:
    made: Target = registry.load("targets", name)()
    return made


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine to its end, in a thread of its own where this one already runs a loop, as notebooks do."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
