"""What a search shows on stderr while it works: a line for each step forward and, on a terminal, a live panel below."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from kernelwright import format as fmt
from kernelwright.cli.output import plain, stdout_reserved
from kernelwright.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from kernelwright.proposers.base import Candidate
    from kernelwright.search.events import Event, Listener, Progress

_LONGEST_NOTE = 90


@contextmanager
def watch(*, quiet: bool) -> Iterator[Listener]:
    """Shows the events that its listener is given. Ctrl-C ends the program with a line that says how to go on."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False, quiet=quiet)
    watcher = _Watcher(console.print)
    live = Live(get_renderable=watcher.panel, console=console, refresh_per_second=5, transient=True)
    try:
        with stdout_reserved():
            if quiet or not console.is_terminal:
                yield watcher
            else:
                with live:
                    yield watcher
    except KeyboardInterrupt:
        go_on = "nothing was evaluated yet"
        if run := watcher.run:
            go_on = f"`kernelwright resume {run}` goes on, `kernelwright export {run}` writes the best kernel so far"
        print(f"interrupted; {go_on}", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None


class _Watcher:
    """The listener: remembers where the search stands, and prints what is worth a line."""

    def __init__(self, print_line: Callable[[Text], None]) -> None:
        self.run = ""
        self._print = print_line
        self._phase = "loading the task"
        self._progress: Progress | None = None
        self._heard = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        from kernelwright.search import events

        self._progress, self._heard = event.progress, time.monotonic()
        if isinstance(event, events.Started):
            self.run, self._phase = event.run, "proposing"
            self._say(
                f"run {event.run}"
                + (f", going on after {fmt.plural(event.resumed, 'candidate')}" if event.resumed else "")
            )
        elif isinstance(event, events.Best):
            candidate, verdict = event.node.candidate, event.node.verdict
            self._say(f"{fmt.speedup(verdict.speedup)}  {_what(candidate)}", "green")
        elif isinstance(event, events.Unfair):
            reasons = "; ".join(problem.reason for problem in event.problems)
            self._say(f"the task is not a fair test: {reasons}", "yellow")
        elif isinstance(event, events.ProposerFailed):
            self._say(f"the {event.proposer} proposer cannot work here: {event.message}", "yellow")
        elif isinstance(event, events.Comparing):
            self._phase = "measuring the finalists, eager and torch.compile side by side"
            self._say(self._phase)
        elif isinstance(event, events.Stopped):
            self._say(f"stopped after {fmt.plural(event.progress.evaluated, 'candidate')}: {event.reason}")

    def _say(self, message: str, style: str = "") -> None:
        from rich.text import Text

        seconds = self._progress.seconds if self._progress else 0.0
        self._print(Text.assemble((f"{seconds:6.1f} s  ", "dim"), (plain(message), style)))

    def panel(self) -> RenderableType:
        """Two lines: where the search stands, and what is being tried."""
        from rich.console import Group
        from rich.text import Text

        progress = self._progress
        if progress is None:
            return Text(f"{self._phase} …", "dim")
        facts = [f"best {fmt.speedup(progress.best_speedup)}", fmt.plural(progress.evaluated, "candidate")]
        if progress.seconds_left is not None:
            facts.append(f"{max(0.0, progress.seconds_left - (time.monotonic() - self._heard)):.0f} s left")
        if progress.evaluations_left is not None:
            facts.append(f"{fmt.plural(progress.evaluations_left, 'evaluation')} left")
        trying = ", ".join(_what(candidate) for candidate in progress.trying[:3]) or self._phase
        return Group(Text(" · ".join(facts), "bold"), Text(plain(trying), "dim", no_wrap=True, overflow="ellipsis"))


def _what(candidate: Candidate) -> str:
    """Who proposed it and what it tries, on one line."""
    note = " ".join(candidate.note.split())
    shortened = note if len(note) <= _LONGEST_NOTE else note[: _LONGEST_NOTE - 1] + "…"
    return f"{candidate.proposer}: {shortened}" if note else candidate.proposer
