"""Tables for the terminal. Text that comes from tasks and candidates is never read as markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kernelwright import format as fmt
from kernelwright.judge.verdict import SANITIZER
from kernelwright.proposers.llm.replay import PROVIDER

if TYPE_CHECKING:
    from kernelwright.judge.verdict import Comparison, StageReport, Verdict
    from kernelwright.knowledge import Document, Passage
    from kernelwright.profile import Diagnosis, Profile
    from kernelwright.proposers.llm.call import CallRecord
    from kernelwright.proposers.llm.record import Record
    from kernelwright.report.doctor import Check
    from kernelwright.report.prompt_sets import SetTally
    from kernelwright.report.view import RunView
    from kernelwright.store import RunRecord
    from kernelwright.tasks import CaseInfo, Fairness, TaskInfo, TensorInfo

BASELINES = ("eager", "torch.compile")
_SHOWN = 15
_OUTPUT_LINES = 30
_WITNESSES = {"judge": "measured", "system": "counted", "candidate": "its claim"}
_MARKS = {
    "fine": Text("fine", "green"),
    "weak": Text("weak", "yellow"),
    "broken": Text("broken", "bold red"),
}


def table(*headings: str, title: str = "") -> Table:
    """A table whose first column is left-aligned and whose other columns hold numbers."""
    made = Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for rank, heading in enumerate(headings):
        made.add_column(heading, header_style="dim", justify="left" if rank == 0 else "right")
    return made


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(name), Text(value))
    return made


def comparison(measured: Comparison, best: Verdict) -> RenderableType:
    """Eager, torch.compile and the best kernel side by side; other finalists are left out."""
    made = table("", "time", "speedup", "95 % interval", "over torch.compile", "of the floor's speed", "largest error")
    for row in measured.rows:
        is_best, is_eager = row.name == best.candidate, row.name == "eager"
        if not (is_best or row.name in BASELINES):
            continue
        if best.error is None or not (is_best or is_eager):
            error = None
        else:
            error = best.error.max if is_best else best.error.reference_max
        made.add_row(
            "best kernel" if is_best else Text(row.name),
            fmt.time(row.time_us),
            fmt.speedup(row.speedup),
            "–" if is_eager else fmt.interval(row.speedup_ci),
            fmt.speedup(row.speedup_over_compile),
            fmt.percent(row.floor_share),
            fmt.error(error),
            style="bold green" if is_best and row.speedup_ci[0] > 1 else "bold" if is_best else "",
        )
    if not measured.compile_problem:
        return made
    return Group(made, Text(f"no torch.compile: {measured.compile_problem}", "yellow"))


def verdict(judged: Verdict) -> RenderableType:
    """One verdict: accepted or not, why, how fast, how exact, and the stages it went through."""
    if judged.accepted:
        head = Text.assemble(
            ("accepted", "bold green"), f"  {fmt.speedup(judged.speedup)} ({fmt.interval(judged.speedup_ci)})"
        )
    else:
        reason = (judged.reason or "").replace("_", " ")
        head = Text.assemble(
            ("rejected", "bold red"), f"  {reason}: {judged.message}" if judged.message else f"  {reason}"
        )
    rows = [("stages", ", ".join(map(_stage, judged.stages)))]
    if judged.time_us is not None:
        share = f", {fmt.percent(judged.floor_share)} of the floor's speed" if judged.floor_share else ""
        rows.append(("time", f"{fmt.time(judged.time_us)}, eager {fmt.time(judged.reference_us)}{share}"))
    rows += [("unstable", f"case {each.case}: {each.disturbed}") for each in judged.timings if each.disturbed]
    if judged.error is not None:
        found = judged.error
        limits = f"eager {fmt.error(found.reference_max)}, allowed {fmt.error(found.allowed_max)}"
        rows.append(("largest error", f"{fmt.error(found.max)}, {limits}"))
    if judged.coverage is not None:
        rows.append(("own kernels", f"{fmt.percent(judged.coverage)} of the time"))
    if judged.library_calls:
        rows.append(("library calls", ", ".join(judged.library_calls)))
    if judged.proof is not None:
        proof = judged.proof
        rows.append(("proven for", f"{', '.join(proof.cases)} · {', '.join(proof.dtypes)} · {proof.device}"))
    rows += [("sanitizer", f"{name}: {_findings(found)}") for name, found in judged.evidence.get(SANITIZER, {}).items()]
    rows.append(("sandbox", judged.sandbox))
    said = [Text(_shortened(judged.evidence[name]), "dim") for name in ("output", "trace") if judged.evidence.get(name)]
    return Group(head, pairs((name, value) for name, value in rows if value), *said)


def _findings(found: dict[str, Any]) -> str:
    """What one sanitizer found."""
    wrong = f"; the candidate {found['candidate']}" if "candidate" in found else ""
    if not found["findings"]:
        return f"{'nothing' if found['errors'] == 0 else 'it did not come to its end'}{wrong}"
    said = (f"{each['what']} ({'; '.join(each['where'][:2])})" for each in found["findings"][:3])
    return f"{fmt.plural(found['errors'] or len(found['findings']), 'error')}: {', '.join(said)}{wrong}"


def profile(found: Profile) -> RenderableType:
    """A verdict, and what bounds the candidate, where that is known."""
    if found.diagnosis is None:
        return Group(verdict(found.verdict), Text("nothing was timed, so there is no profile", "yellow"))
    return Group(verdict(found.verdict), Text(""), diagnosis(found.diagnosis))


def diagnosis(found: Diagnosis) -> RenderableType:
    """What bounds a candidate and how that is known; facts about other bottlenecks are dim."""
    head = Text.assemble("bound by ", (found.words, "bold"), f": {found.why}")
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(style="dim")
    rows.add_column(overflow="fold")
    for fact in found.facts:
        said = _WITNESSES[fact.by]
        rows.add_row(said, Text(fact.text, "" if fact in found.telling else "dim"))
    for each in found.missing:
        rows.add_row("not known", Text(each, "yellow"))
    doubt = [Text(f"but {found.doubt}", "yellow")] if found.doubt else []
    return Group(head, *doubt, rows)


def _stage(stage: StageReport) -> str:
    name = stage.name.replace("_", " ")
    return f"{name} skipped" if stage.status == "skipped" else f"{name} {stage.status} ({fmt.seconds(stage.seconds)})"


def _shortened(output: object) -> str:
    """The beginning of what a compiler or interpreter said, where the first error is."""
    lines = str(output).strip().splitlines()
    return "\n".join(lines[:_OUTPUT_LINES] + (["…"] if len(lines) > _OUTPUT_LINES else []))


def shape(tensor: TensorInfo) -> str:
    """A tensor as people write it, e.g. `float32[4096,4096]`."""
    return f"{tensor.dtype}[{','.join(map(str, tensor.shape))}]"


def task(name: str, info: TaskInfo, fairness: Fairness, floors_us: Sequence[float]) -> RenderableType:
    """What a task computes: shapes, FLOPs, bytes and floor of each case, its state, and whether it is a fair test."""
    cases = table("case", "role", "inputs", "outputs", "FLOPs", "bytes", "floor")
    for case, floor in zip(info.cases, floors_us, strict=True):
        cases.add_row(
            Text(case.name),
            case.role.replace("_", " "),
            Text(_inputs(case)),
            Text(", ".join(map(shape, case.outputs))),
            fmt.count(case.flops),
            fmt.size(case.bytes),
            fmt.time(floor),
        )
    state = ", ".join(
        f"{item.name} {shape(item.tensor)}{' (changed by forward)' if item.mutated else ''}" for item in info.state
    )
    parts: list[RenderableType] = [Text(name, "bold"), cases]
    parts += [pairs([("state", state)])] if state else []
    return Group(*parts, *_fair(fairness))


def _fair(fairness: Fairness) -> list[Text]:
    head = Text("a fair test", "green") if fairness.fair else Text("not a fair test", "yellow")
    return [head, *(Text(f"  {problem.name.replace('_', ' ')}: {problem.reason}") for problem in fairness.problems)]


def _inputs(case: CaseInfo) -> str:
    return ", ".join(shape(argument.tensor) if argument.tensor else str(argument.value) for argument in case.inputs)


def result(view: RunView) -> RenderableType:
    """How a search ended: the comparison, or why there is none."""
    best = view.best_node
    summary = f"{fmt.plural(len(view.nodes), 'candidate')} in {fmt.seconds(view.seconds)}, run {view.run}{_spent(view)}"
    if best is None:
        return Group(Text("no kernel", "bold red"), *_reasons(view), Text(summary, "dim"))
    parts: list[RenderableType] = []
    if view.comparison is not None:
        parts.append(comparison(view.comparison, best.verdict))
    else:
        parts.append(verdict(best.verdict))
    if view.outcome == "not_faster":
        parts.append(Text("no kernel was found that is certainly faster than PyTorch", "yellow"))
    if not view.fairness.fair:
        parts += _fair(view.fairness)
    return Group(*parts, Text(summary, "dim"))


def _spent(view: RunView) -> str:
    """What language models were asked, and for how much; empty where none was."""
    spent = view.spent
    if not spent.calls:
        return ""
    by_provider = [(*model.partition(":"), calls) for model, calls in view.asked.items()]
    if replayed := [f"{calls} {how}" for provider, _, how, calls in by_provider if provider == PROVIDER]:
        found = ", ".join(replayed)
        return f"; {fmt.plural(spent.calls, 'call')} replayed ({found})"
    failed = f" ({spent.failed} failed: `kernelwright calls {view.run}` says why)" if spent.failed else ""
    price = "" if spent.unpriced else f", {spent.usd:.2f} USD"
    tokens = fmt.count(spent.input_tokens + spent.output_tokens)
    return f"; {fmt.plural(spent.calls, 'call')} of language models{failed}, {tokens} tokens{price}"


def _reasons(view: RunView) -> list[Text]:
    """How often candidates were rejected for which reason, most frequent first, each with the last one's message."""
    messages = {node.verdict.reason: node.verdict.message for node in view.nodes}
    counted = Counter(node.verdict.reason for node in view.nodes)
    return [
        Text(f"  {count} × {(reason or '').replace('_', ' ')}: {messages[reason]}")
        for reason, count in counted.most_common()
    ]


def run(view: RunView) -> RenderableType:
    """A run: what it was about, its outcome, and its best candidates."""
    settings = ", ".join(f"{name} {words}" for name, words in view.chosen.items())
    facts = pairs(
        [
            ("task", view.task.name),
            ("outcome", view.outcome.replace("_", " ")),
            ("started", f"{view.started:%Y-%m-%d %H:%M} UTC"),
            ("device", f"{view.target.model}, {view.target.cores} cores"),
            ("settings", settings),
        ]
    )
    listing = table("#", "after", "speedup", "result", "proposer", "what it tries", title="best candidates")
    for column in listing.columns[3:]:
        column.justify = "left"
    for node in sorted(view.nodes, key=lambda node: -(node.verdict.speedup or 0.0))[:_SHOWN]:
        listing.add_row(
            str(node.number),
            fmt.seconds(node.at),
            fmt.speedup(node.verdict.speedup),
            "accepted" if node.verdict.accepted else (node.verdict.reason or "rejected").replace("_", " "),
            Text(node.candidate.proposer),
            Text(node.candidate.note),
            style="bold" if node.candidate.id == view.best else "",
        )
    parts: list[RenderableType] = [facts, Text(""), listing, Text("")]
    parts += [_prompt_sets(view.prompt_sets), Text("")] if view.prompt_sets else []
    return Group(*parts, result(view))


def _prompt_sets(sets: Sequence[SetTally]) -> Table:
    made = table("prompts", "templates", "calls", "usable replies", "accepted", "best speedup")
    for each in sets:
        counts = map(str, (each.calls, each.usable, each.accepted))
        made.add_row(Text(each.name or "changed since"), each.template, *counts, fmt.speedup(each.speedup))
    return made


def runs(records: Sequence[RunRecord]) -> RenderableType:
    """The runs in the store."""
    if not records:
        return Text("no runs yet; `kernelwright optimize TASK` makes one")
    made = table("run", "task", "outcome", "speedup", "candidates", "started (UTC)")
    for record in records:
        outcome = (record.outcome or record.status).replace("_", " ")
        started = f"{record.started:%Y-%m-%d %H:%M}"
        made.add_row(
            Text(record.id),
            Text(record.task.name),
            outcome,
            fmt.speedup(record.speedup),
            str(record.evaluated),
            started,
        )
    return made


def calls(record: Record) -> RenderableType:
    """The calls of language models: what each took and what came of it."""
    if not record.calls:
        return Text(f"no language model was asked in {record.name}")
    made = table("#", "purpose", "model", "tokens in", "out", "USD", "time", "outcome", "gain")
    for column in (*made.columns[1:3], made.columns[7]):
        column.justify = "left"
    for call in record.calls:
        usage = call.usage
        made.add_row(
            str(call.number),
            Text(call.prompt.purpose),
            Text(call.model),
            f"{usage.input_tokens:,}" if usage else "–",
            f"{usage.output_tokens:,}" if usage else "–",
            f"{usage.cost_usd:.4f}" if usage and usage.cost_usd is not None else "–",
            fmt.seconds(call.seconds),
            Text(_outcome(call)),
            "–" if call.gain is None else f"{call.gain:.2f}",
        )
    return made


def _outcome(call: CallRecord) -> str:
    if call.failure is not None:
        return f"{call.failure.replace('_', ' ')}{f': {call.detail}' if call.detail else ''}"
    return "used" if call.used else "not used"


def documents(found: Mapping[str, Document]) -> RenderableType:
    """Documents by name: what each is about and where it comes from."""
    made = table("name", "kind", "languages", "targets", "title", "from")
    for column in made.columns:
        column.justify = "left"
    for name, each in found.items():
        source = each.source or ""
        about = (", ".join(each.languages) or "all", ", ".join(each.targets) or "all", each.title, str(source))
        made.add_row(Text(name), each.kind, *map(Text, about))
    return made


def passages(found: Sequence[Passage]) -> RenderableType:
    """Sections of documents, the best first."""
    if not found:
        return Text("nothing fits; `kernelwright knowledge list` shows all documents")
    parts: list[RenderableType] = []
    for each in found:
        head = " · ".join(filter(None, (each.title, each.heading)))
        parts += [Text.assemble((head, "bold"), (f"  {each.name}", "dim")), Text(each.text), Text("")]
    return Group(*parts[:-1])


def doctor(checks: Sequence[Check]) -> RenderableType:
    """What the machine has and lacks."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column()
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for check in checks:
        made.add_row(_MARKS[check.status], check.name, Text(check.found))
        if check.remedy:
            made.add_row("", "", Text(f"→ {check.remedy}"))
    return made
