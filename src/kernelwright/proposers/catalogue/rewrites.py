"""Rewrites of loops as data: what a policy, the tuner or a language model picks by name.

| rewrite | does |
| --- | --- |
| `fuse(i0, i1)` | makes one loop of two whose positions follow each other in every tensor |
| `interchange(i0, j)` | swaps two loops |
| `split(j, 4096)` | goes along the innermost loop in blocks |
| `tile(j, 512)` | takes a block of the innermost loop's positions through all loops that combine |
| `vectorise(j)` | takes as many positions at a time as the machine has lanes |
| `unroll(j, 4)` | combines into so many results side by side, which are combined at the end |
| `parallelise(i0, i1, dynamic)` | shares out the outermost loops among threads, `static` unless it says otherwise |
| `pipeline(i0)` | has the last sweep of a row and the first one of the next row go together |
| `stage(values)` | keeps what is dear to compute from one sweep of a row to the next |
| `stage(columns)` | finds what follows the innermost loop alone once, before all loops |
| `stage(stores, 1)` | writes results past the caches |
| `stage(next_row, 1)` | has the next row come into the cache while one is worked on |
| `stage(reads, 4096)` | asks for what is read so many bytes ahead |
| `stage(right)` | copies a product's right side into panels, which tiles read, instead of reading it as it lies |
| `tensorise(tile)` | multiplies by the processor's matrix unit, float32 in three parts of 16 bits |
| `winograd(windows, 256)` | sums over 3 x 3 windows, 2 x 2 at a time, by fewer multiplications; so many tiles a block |
| `split_reduce(i0)` | has tasks combine a share each, which are combined at the end; `step` in a product |
| `online_reduce(variance)` | a mean and a variance, or a maximum and a sum of exponentials, in one sweep |

Loops are named by place, as in the code that is made of them: `i0`, `i1`, … from outside in, those that keep a result
for each position before those that combine them; the innermost is `j`. A rewrite means the loops as the rewrites before
it have left them. The names follow TVM's schedules (T. Chen et al., "TVM", OSDI 2018; `split_reduce` is its `rfactor`)
and M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018; for `winograd` see A. Lavin, S. Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from kernelwright.errors import UsageError

Name = Literal[
    "fuse", "interchange", "split", "tile", "vectorise", "unroll", "parallelise", "pipeline", "stage", "tensorise",
    "winograd", "split_reduce", "online_reduce",
]  # fmt: skip
NAMES: tuple[str, ...] = get_args(Name)
SHARINGS = ("static", "dynamic")
"""How loops are shared out: an equal part for each thread, or a bit at a time to whoever is free."""
_CALL = re.compile(r"\s*([a-z_]+)\s*\(([^()]*)\)\s*")
_LOOP = re.compile(r"i\d+|j|task")
_LONGEST = 4000


class IllegalRewriteError(UsageError):
    """A rewrite that is not one, or that may not be made here; `where` names the kernel and the rewrite."""


class Rewrite(BaseModel):
    """One change of a kernel's loops: its name, the loops or values that it is about, and a number or a word."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    on: tuple[str, ...]
    argument: int | str | None = None

    @classmethod
    def of(cls, name: str, *on: str, argument: int | str | None = None) -> Rewrite:
        """From its parts; the name must be one of `NAMES`."""
        return cls.model_validate({"name": name, "on": on, "argument": argument})

    def __str__(self) -> str:
        return self.text(self.argument)

    def text(self, argument: int | str | None) -> str:
        """As it is written, with this argument."""
        return f"{self.name}({', '.join([*self.on, *([] if argument is None else [str(argument)])])})"

    @property
    def parameter(self) -> str:
        """What its argument is called among a candidate's parameters: `UNROLL`, `STAGE_READS`, `TILE_ROW`."""
        values = [each for each in self.on if not _LOOP.fullmatch(each)]
        return "_".join([self.name, *values]).upper()


_LIST = TypeAdapter(tuple[Rewrite, ...])


def spoken(rewrites: Iterable[Rewrite]) -> str:
    """Rewrites as text that `parse` reads."""
    return "; ".join(str(rewrite) for rewrite in rewrites)


def parse(text: str) -> tuple[Rewrite, ...]:
    """Reads rewrites such as `split(j, 4096); vectorise(j)`, one after the other or one a line.

    Raises:
        IllegalRewriteError: it is none.
    """
    if len(text) > _LONGEST:
        raise IllegalRewriteError(f"rewrites are longer than {_LONGEST} characters")
    parts = [part.strip() for part in re.split(r"[;\n]", text)]
    return tuple(_one(part) for part in parts if part)


def to_json(rewrites: Sequence[Rewrite]) -> str:
    """Rewrites as a JSON list."""
    return _LIST.dump_json(tuple(rewrites)).decode()


def from_json(text: str) -> tuple[Rewrite, ...]:
    """Reads what `to_json` wrote.

    Raises:
        IllegalRewriteError: it is not a list of rewrites.
    """
    try:
        return _LIST.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise IllegalRewriteError(f"no list of rewrites ({first['msg']})", where=where) from error


def _one(text: str) -> Rewrite:
    found = _CALL.fullmatch(text)
    if found is None:
        raise IllegalRewriteError("not a rewrite", where=text[:60], remedy="write one as in `split(j, 4096)`")
    name, inside = found.groups()
    if name not in NAMES:
        raise IllegalRewriteError("no such rewrite", where=text[:60], remedy=f"there are {', '.join(NAMES)}")
    words = [word.strip() for word in inside.split(",")]
    argument: int | str | None = None
    if words[-1].isdecimal() and len(words[-1]) < 10:
        argument = int(words.pop())
    elif words[-1] in SHARINGS:
        argument = words.pop()
    elif name == "parallelise":
        argument = SHARINGS[0]
    if not words or not all(word.isidentifier() for word in words):
        raise IllegalRewriteError("it names no loop", where=text[:60], remedy="write one as in `split(j, 4096)`")
    return Rewrite.of(name, *words, argument=argument)
