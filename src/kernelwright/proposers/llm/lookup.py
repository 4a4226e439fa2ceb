"""What the library knows that belongs into a prompt: what always holds, and what fits the task."""

from __future__ import annotations

from kernelwright.knowledge import Document, Passage
from kernelwright.knowledge.document import Kind
from kernelwright.knowledge.learning import plain_names
from kernelwright.proposers.base import Context

_LOOKED_UP: tuple[Kind, ...] = ("guidance", "win", "lesson")
"""The other kinds always hold."""
_PRODUCTS, _PRODUCTS_WEIGH = ("mm", "addmm", "bmm", "baddbmm", "convolution"), 3


def documents(context: Context) -> list[Document]:
    """Those that hold for everything in the run's language on its target."""
    return context.library.always(context.language, context.target.name) if context.library else []


def passages(context: Context, count: int, trouble: str = "faster") -> list[Passage]:
    """Up to so many sections about the task's operations and what is wrong or slow, best first."""
    if context.library is None:
        return []
    operations = plain_names(context.graph.operations if context.graph else [])
    # Where there are products, they are most of the work, and a page on one weighs more than on the sums around it.
    operations += tuple(name for name in operations if name in _PRODUCTS) * _PRODUCTS_WEIGH
    question = f"{' '.join(operations)} {trouble}"
    where = {"language": context.language, "target": context.target.name}
    return context.library.search(question, **where, kinds=_LOOKED_UP, k=count)
