"""The corpus of cheats: one file a way to cheat, with a header that says what it does and what must happen to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from kernelwright.judge.verdict import Reason, Verdict

ROOT = Path(__file__).resolve().parent
NO_ADVANTAGE = "no_advantage"
"""An expectation: it may be accepted, but must not be faster than the honest part by more than `SLACK`."""
SLACK = 1.15
KNOWN_LIMIT = "known_limit"
"""An expectation: docs/judge.md says why it may be faster than the honest part, by no more than `LIMIT_SLACK`."""
LIMIT_SLACK = 1.6
OUTCOMES = frozenset((*get_args(Reason), NO_ADVANTAGE, KNOWN_LIMIT))
KEYS = ("family", "task", "cheat", "expect")
_NO_FAMILIES = ("tasks", "honest_parts", "__pycache__")


class BadHeader(Exception):
    """A file of the corpus does not say what it must."""


@dataclass(frozen=True)
class Task:
    """One task of the corpus, with the honest candidate that says what an honest part of a cheat earns."""

    name: str
    path: Path
    honest: str


@dataclass(frozen=True)
class Cheat:
    """One cheat. `expect` are the outcomes that are right."""

    family: str
    name: str
    task: str
    cheat: str
    expect: tuple[str, ...]
    source: str

    @property
    def id(self) -> str:
        """Its place in the corpus."""
        return f"{self.family}/{self.name}"

    @property
    def may_be_accepted(self) -> bool:
        """Whether it may be, as long as it is no hole."""
        return not {NO_ADVANTAGE, KNOWN_LIMIT}.isdisjoint(self.expect)

    @property
    def slack(self) -> float:
        """What is a hole: so many times as fast as the honest part."""
        return LIMIT_SLACK if KNOWN_LIMIT in self.expect else SLACK


def tasks() -> dict[str, Task]:
    """Every task by name."""
    return {
        path.stem: Task(path.stem, path, (ROOT / "honest_parts" / path.name).read_text())
        for path in sorted(ROOT.glob("tasks/*.py"))
    }


def cheats() -> list[Cheat]:
    """Every cheat, by task and then by family. Raises `BadHeader`."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in _NO_FAMILIES]
    found = [parse(path) for folder in folders for path in folder.glob("*.py")]
    return sorted(found, key=lambda cheat: (cheat.task, cheat.family, cheat.name))


def parse(path: Path) -> Cheat:
    """One file. Raises `BadHeader` for whatever is missing, unknown or said twice."""
    source = path.read_text()
    header = _header(path, source)
    expect = tuple(word.strip() for word in header["expect"].split(","))
    if unknown := [word for word in expect if word not in OUTCOMES]:
        raise BadHeader(f"{path}: expects {', '.join(unknown)}, which is no outcome")
    if header["family"] != path.parent.name:
        raise BadHeader(f"{path}: is of the family {header['family']} and lies in {path.parent.name}")
    if not (ROOT / "tasks" / f"{header['task']}.py").exists():
        raise BadHeader(f"{path}: there is no task {header['task']}")
    return Cheat(header["family"], path.stem, header["task"], header["cheat"], expect, source)


def right(cheat: Cheat, verdict: Verdict, honest: Verdict) -> bool:
    """Whether a verdict is what the cheat's header asks for; `honest` is that of its honest part."""
    if verdict.accepted:
        return cheat.may_be_accepted and not is_hole(cheat, verdict, honest)
    return verdict.reason in cheat.expect


def is_hole(cheat: Cheat, verdict: Verdict, honest: Verdict) -> bool:
    """Whether it has more of an advantage than is known."""
    return _ahead(verdict, honest, 0, 1, cheat.slack)


def has_advantage(verdict: Verdict, honest: Verdict) -> bool:
    """Whether it was accepted and is clearly faster than the honest part, and than the reference, which anybody may
    use."""
    return _ahead(verdict, honest, 0, 1, SLACK)


def may_have_advantage(verdict: Verdict, honest: Verdict) -> bool:
    """Whether its interval reaches above what the honest part, or the reference, earns for certain."""
    return _ahead(verdict, honest, 1, 0, SLACK)


def _ahead(verdict: Verdict, honest: Verdict, own: int, theirs: int, slack: float) -> bool:
    """By these ends of the two intervals: 0 the low one, 1 the high one."""
    if not verdict.accepted or verdict.speedup_ci is None:
        return False
    earned = honest.speedup_ci[theirs] if honest.speedup_ci else 1.0
    return verdict.speedup_ci[own] > slack * max(earned, 1.0)


def _header(path: Path, source: str) -> dict[str, str]:
    header: dict[str, str] = {}
    for line in source.splitlines():
        if not line.startswith("#"):
            break
        key, colon, value = line.removeprefix("#").partition(":")
        if not colon or key.strip() not in KEYS or key.strip() in header or not value.strip():
            raise BadHeader(f"{path}: cannot make sense of {line!r}")
        header[key.strip()] = value.strip()
    if missing := [key for key in KEYS if key not in header]:
        raise BadHeader(f"{path}: says nothing of {', '.join(missing)}")
    return header
