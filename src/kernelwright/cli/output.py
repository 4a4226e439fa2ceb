"""What goes to stdout and what to stderr."""

from __future__ import annotations

import io
import json as json_module
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelwright.errors import EXIT_NEGATIVE, EXIT_OK

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from kernelwright.result import Result


class _Stream(io.FileIO):
    """What is written after its reader has gone is lost, and nobody is told: nobody is there to be."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def outlive_readers() -> None:
    """From now on stdout and stderr may lose their reader, as in `| head -1`: the command goes on to its end and to the
    exit code that it would have had."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:  # as it is where the shell has closed it
            unheard = io.BufferedWriter(_Stream(stream.fileno(), "w", closefd=False))
            by_line = stream.line_buffering or stream.write_through
            made = io.TextIOWrapper(unheard, stream.encoding, stream.errors, line_buffering=by_line)
            setattr(sys, name, made)


@contextmanager
def stdout_reserved() -> Iterator[None]:
    """While open, whatever this process or its children print goes to stderr: stdout is for the result alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def print_json(value: Any) -> None:
    """One JSON value on stdout, in which what a terminal would obey is escaped: JSON itself asks for that only below
    U+0020. Infinite and undefined numbers do not exist in JSON: they are an error here."""
    from kernelwright.knowledge.document import CONTROL

    text = json_module.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    print(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def plain(text: str) -> str:
    """The text with a mark in the place of each character that a terminal would obey: models may have written it."""
    from kernelwright.knowledge.document import CONTROL

    return CONTROL.sub("�", text.replace("\r\n", "\n"))


@dataclass(frozen=True)
class _Plain:
    """What rich shows, every text of it plain."""

    what: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for text, style, control in console.render(self.what, options):
            yield Segment(text if control else plain(text), style, control)


def show(what: RenderableType, *, stderr: bool = False) -> None:
    """A table on stdout or stderr, as wide as the terminal; where there is none, wide enough not to break lines."""
    from rich.console import Console

    console = Console(stderr=stderr)
    if not console.is_terminal:
        console = Console(width=160, stderr=stderr)
    console.print(_Plain(what))


def present(result: Result, *, json: bool) -> int:
    """The outcome of a search on stdout; returns the exit code."""
    from kernelwright.report import tables

    if json:
        print_json(result.to_json())
    else:
        show(tables.result(result.view))
        for name, path in (("kernel", result.source_path), ("report", result.report_path)):
            if path is not None:
                print(f"{name}  {path}")
    return EXIT_OK if result.outcome == "faster" else EXIT_NEGATIVE
