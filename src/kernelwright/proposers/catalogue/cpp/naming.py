"""What tensors are called in C++: as in the graph, unless that name means something else there."""

from __future__ import annotations

import functools
import re
from importlib.resources import files

from kernelwright.proposers.catalogue.ir import Buffer

_KEYWORDS = """
    alignas and asm auto bool break case catch char class const continue default delete do double else enum explicit
    export
    extern false float for friend goto if inline int long mutable namespace new not operator or private protected public
    register return short signed sizeof static struct switch template this throw true try typedef typename union
    unsigned
    using virtual void volatile while xor main std span begin end first last next task tasks group columns
"""
_GENERATED = re.compile(
    r"([acdfhijkmnqrstuvw]|few|rows|next|from_end_i|parts|kept)_?\d*|past_\w+|\w+_[ahnqrufvw]\d+|w\d+_\d+|\w+_w\d+_\d+"
)
"""Names that the writer gives to its own values."""


@functools.cache
def _taken() -> frozenset[str]:
    folder = files("kernelwright.proposers.catalogue.cpp") / "text"
    text = "\n".join(entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".h"))
    code = re.sub(r"//.*", "", text)
    return frozenset(_KEYWORDS.split()) | {name for name in re.findall(r"[A-Za-z_]\w*", code) if len(name) > 1}


def pointer(buffer: Buffer) -> str:
    """The name of the pointer to a buffer's elements."""
    name = buffer.name
    return f"{name}_p" if name in _taken() or _GENERATED.fullmatch(name) else name
