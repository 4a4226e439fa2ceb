"""The corpus of honest candidates: one file each, with a header that says what it shows and for which task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TASKS = FOLDER / "tasks"
KEYS = ("style", "task", "note")


class HeaderError(ValueError):
    """A candidate's header is not what it must be; the message names the file."""


@dataclass(frozen=True)
class HonestCandidate:
    """One candidate that the judge must accept: `style` is its folder, `task` a file in `tasks/`, `note` what is
    unusual about it."""

    name: str
    style: str
    task: str
    note: str
    source: str

    @property
    def task_path(self) -> Path:
        """The task's file."""
        return TASKS / f"{self.task}.py"


def read(path: Path) -> HonestCandidate:
    """One candidate. Raises `HeaderError` for a header with unknown, missing or doubled keys, or a wrong value."""
    source = path.read_text()
    header: dict[str, str] = {}
    for line in source.splitlines():
        if not line.startswith("# "):
            break
        key, colon, value = line.removeprefix("# ").partition(": ")
        if key not in KEYS or not colon or not value.strip():
            raise HeaderError(f"{path}: {line!r} is none of {', '.join(f'# {key}: ...' for key in KEYS)}")
        if key in header:
            raise HeaderError(f"{path}: two lines for {key}")
        header[key] = value.strip()
    missing = [key for key in KEYS if key not in header]
    if missing:
        raise HeaderError(f"{path}: no line for {', '.join(missing)}")
    if header["style"] != path.parent.name:
        raise HeaderError(f"{path}: style {header['style']} in the folder {path.parent.name}")
    candidate = HonestCandidate(f"{path.parent.name}/{path.stem}", **header, source=source)
    if not candidate.task_path.exists():
        raise HeaderError(f"{path}: there is no task {candidate.task}")
    return candidate


def corpus(folder: Path = FOLDER) -> list[HonestCandidate]:
    """Every candidate, those for one task together, so that one judge at a time is enough."""
    paths = (path for path in folder.glob("*/*.py") if path.parent.name not in ("tasks", "__pycache__"))
    return sorted(map(read, paths), key=lambda candidate: (candidate.task, candidate.name))
