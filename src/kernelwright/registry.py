"""Extension points: implementations are found through Python entry points, so other packages can add some."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Literal

from kernelwright.errors import UsageError

Group = Literal["languages", "targets", "proposers", "policies", "knowledge"]


def names(group: Group) -> list[str]:
    """The names registered in a group, sorted."""
    return sorted(point.name for point in entry_points(group=f"kernelwright.{group}"))


def load(group: Group, name: str) -> Any:
    """The class (in `knowledge`: the package of documents) registered under `name`.

    Raises:
        UsageError: nothing is registered under that name.
    """
    for point in entry_points(group=f"kernelwright.{group}", name=name):
        return point.load()
    raise UsageError(f"there is no {name!r} among the {group}", remedy=f"choose one of: {', '.join(names(group))}")
