"""Errors a user meets: each names what was wrong, where, and what to do, and carries the exit code of the command
line."""

from __future__ import annotations

EXIT_OK = 0
"""The command did what it was asked: accepted, faster, listed."""
EXIT_NEGATIVE = 1
"""It ran to its end and the answer is no: rejected, not faster, no kernel."""
EXIT_USAGE = 2
"""The command line or the task is at fault."""
EXIT_ENVIRONMENT = 3
"""The machine is at fault: disk full, folder not writable, no compiler, no sandbox, store locked."""
EXIT_INTERRUPTED = 130
"""Ctrl-C. What was evaluated is kept; `kernelwright resume` goes on."""


class KernelwrightError(Exception):
    """An error shown to the user as one line: `where: what; remedy`.

    Args:
        what: what was wrong, in one sentence without a full stop.
        where: file and line, option, run or device; empty where the sentence says it.
        remedy: what to do about it.
    """

    exit_code = EXIT_ENVIRONMENT

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__((f"{where}: " if where else "") + what + (f"; {remedy}" if remedy else ""))


class UsageError(KernelwrightError):
    """A wrong option, argument or name."""

    exit_code = EXIT_USAGE


class TaskError(KernelwrightError):
    """The task cannot be used as it is: it does not load, its forward raises, its inputs do not fit in memory."""

    exit_code = EXIT_USAGE


class StoreError(KernelwrightError):
    """The store cannot be read or written (disk full, locked by another process, damaged)."""


class MachineError(KernelwrightError):
    """The machine lacks something needed: a compiler, a permission, memory, disk space."""
