"""Schedules offered by name: what a program's kernels are, how their loops are arranged, and what may be asked for."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence

from kernelwright.proposers.catalogue.program import Program
from kernelwright.proposers.catalogue.rewrites import IllegalRewriteError, Rewrite, parse, spoken
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.proposers.catalogue.spoken import spoken as formula

_LINE = re.compile(r"(kernel_\d+)\s*:(.*)")


def described(program: Program) -> str:
    """Each kernel with its loops, the rewrites in force, and those that may be made first and next, as text."""
    known = program.renderer.rewrites
    kernels = ("\n".join(_described(schedule, known)) for schedule in program.schedules)
    return "\n\n".join(kernels) or "There is no kernel."


def read(text: str) -> dict[str, tuple[Rewrite, ...]]:
    """Schedules by kernel from lines such as `kernel_0: split(j, 4096); vectorise(j)`.

    Raises:
        IllegalRewriteError: a line is none, or names a kernel again.
    """
    found: dict[str, tuple[Rewrite, ...]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        parts = _LINE.fullmatch(line)
        if parts is None or parts[1] in found:
            what = "names a kernel again" if parts else "is no schedule"
            remedy = "write a line a kernel as in `kernel_0: split(j, 4096); vectorise(j)`"
            raise IllegalRewriteError(f"the line {what}", where=line[:60], remedy=remedy)
        found[parts[1]] = parse(parts[2])
    return found


def written(schedules: Mapping[str, Sequence[Rewrite]]) -> str:
    """What `read` reads."""
    return "\n".join(f"{name}: {spoken(rewrites)}" for name, rewrites in schedules.items())


def _described(schedule: Schedule, known: Container[str]) -> list[str]:
    plain = Schedule.of(schedule.region)
    loops = [
        f"{name} ({axis.size} {'keeps' if axis in plain.loops.kept else 'combines'})"
        for name, axis in zip(plain.loops.names, plain.loops.order, strict=True)
    ]
    results = (f"{store.buffer.name} = {formula(store.expr)}" for store in schedule.region.stores)
    return [
        f"{schedule.name}: {'; '.join(results)}",
        f"  loops, from outside in: {', '.join(loops) or 'none'}",
        f"  schedule: {spoken(schedule.rewrites)}",
        f"  may be made first: {_grouped(plain.choices(), known)}",
        f"  may be added: {_grouped(schedule.choices(), known) or 'nothing'}",
    ]


def _grouped(choices: Iterable[Rewrite], known: Container[str]) -> str:
    """Choices that can be written, with the arguments of each in one place: `unroll(j, 1|2|4|8)`."""
    groups: dict[str, list[Rewrite]] = {}
    for rewrite in (each for each in choices if each.name in known):
        groups.setdefault(rewrite.text(None), []).append(rewrite)
    return "; ".join(
        group[0].text(None if group[0].argument is None else "|".join(str(each.argument) for each in group))
        for group in groups.values()
    )
