"""What came of each set of prompts in a run that used several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kernelwright.errors import UsageError
from kernelwright.judge.verdict import Verdict
from kernelwright.proposers.llm.call import CallRecord
from kernelwright.proposers.llm.reply import ReplyProblem
from kernelwright.proposers.llm.role import ALL, Notes
from kernelwright.proposers.llm.templates import open_templates
from kernelwright.store import NodeRecord
from kernelwright.targets.base import TargetInfo


@dataclass(frozen=True)
class SetTally:
    """One set of prompts: `template` is the hash of its templates, `name` the folder that has them now (empty where
    none has: it was changed since), `usable` the replies that a step could go on with, `accepted` the candidates that
    the judge accepted, `speedup` the best of these over the reference, None where there is none."""

    name: str
    template: str
    calls: int
    usable: int
    accepted: int
    speedup: float | None


def tally(
    calls: Iterable[CallRecord], nodes: Sequence[NodeRecord], folders: Iterable[str], device: TargetInfo
) -> list[SetTally]:
    """A line for each set that a call was made with, in the order of their first calls.

    Args:
        folders: the sets as the run's settings name them.
    """
    by_set: defaultdict[str, list[CallRecord]] = defaultdict(list)
    for call in calls:
        by_set[call.prompt.template].append(call)
    sources = {node.candidate.id: node.candidate.source for node in nodes}
    verdicts = {node.candidate.id: node.verdict for node in nodes}
    names = _names(folders)
    tallies = []
    for template, made in by_set.items():
        usable = sum(_usable(call, sources, device) for call in made)
        speedups = _accepted(verdicts, {call.candidate for call in made})
        best = max(speedups, default=None)
        tallies.append(SetTally(names.get(template, ""), template, len(made), usable, len(speedups), best))
    return tallies


def _names(folders: Iterable[str]) -> Mapping[str, str]:
    """By the hash of their templates, the folders that can be read."""
    found = {}
    for folder in folders:
        try:
            found[open_templates(folder).version] = folder
        except UsageError:
            continue
    return found


def _usable(call: CallRecord, sources: Mapping[str, str], device: TargetInfo) -> bool:
    """Whether the reply said something that the search could use: of an agent's, whether it calls a tool."""
    role = next((role for role in ALL if role.name == call.prompt.purpose), None)
    if call.reply is None or role is None:
        return bool(call.reply and call.reply.calls)
    base = sources.get(call.prompt.base[0], "") if call.prompt.base else ""
    try:
        role.read(call.reply.text, Notes(), base, device)
    except ReplyProblem:
        return False
    return True


def _accepted(verdicts: Mapping[str, Verdict | None], ids: Iterable[str]) -> list[float]:
    found = (verdicts.get(each) for each in ids)
    return [verdict.speedup or 0.0 for verdict in found if verdict is not None and verdict.accepted]
