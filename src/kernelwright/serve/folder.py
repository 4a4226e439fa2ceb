"""The folder whose tasks a server may read."""

from __future__ import annotations

from pathlib import Path

from kernelwright import paths
from kernelwright.errors import UsageError

_LONGEST_NAME, _LARGEST_FILE = 500, 1 << 20


class TaskFolder:
    """Task files by their names relative to one folder; what lies elsewhere does not exist.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not paths.is_folder(root):
            raise UsageError("there is no such folder", where=str(root), remedy="name the folder that holds the tasks")
        self.root = root.resolve()

    def file(self, name: str) -> Path:
        """A task file.

        Raises:
            UsageError: it is no `.py` file in the folder (links are followed first), or it is too large. Nothing is
                said about files outside.
        """
        path = self._inside(name)
        if path is None:
            raise UsageError(
                f"there is no task {name[:80]!r}", remedy="name a .py file by its path relative to the served folder"
            )
        if path.stat().st_size > _LARGEST_FILE:
            raise UsageError(f"the task is larger than {_LARGEST_FILE} bytes", where=name)
        return path

    def _inside(self, name: str) -> Path | None:
        plain = len(name) <= _LONGEST_NAME and name.isprintable()  # neither NUL nor half a character
        if not plain or Path(name).is_absolute() or ".." in Path(name).parts:
            return None
        try:
            path = (self.root / name).resolve(strict=True)
        except (OSError, RuntimeError):  # missing, too long for the file system, or links in a circle
            return None
        return path if path.is_relative_to(self.root) and path.suffix == ".py" and path.is_file() else None
