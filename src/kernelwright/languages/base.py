"""A language that candidates are written in. Two halves: this trusted one, and one that runs beside the candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["cpu", "gpu"]
"""A kind of device: what a kernel's tensors are on."""


@dataclass(frozen=True)
class SourceReport:
    """What can be said about a candidate without running it.

    `problem` is empty, or one sentence that names the line at which the source cannot be a candidate (syntax error, no
    `ModelNew`). `kernels` are the kernels it declares, `library_calls` the torch operations that do work on tensors.
    `builds_late` where a kernel may be built after the module has been loaded: by the constructor or by forward.
    """

    problem: str = ""
    line: int = 0
    kernels: tuple[str, ...] = ()
    library_calls: tuple[str, ...] = ()
    builds_late: bool = False


@dataclass(frozen=True)
class BuildProblem:
    """A failed build: the first error's message, the line in the candidate's own file (0 if unknown), that line's text,
    and the compiler's output, cut to what helps."""

    message: str
    line: int = 0
    text: str = ""
    output: str = ""
    notes: tuple[str, ...] = field(default=())


class Language(ABC):
    """Life cycle: `shared` once; `inspect` a candidate before anything runs; `worker_module`
    is imported by the worker before it loads the candidate; `explain` turns a failed build's output into something to
    act on."""

    name: str
    worker_module: str
    """Dotted name of a module with `install(build_dir, readonly, shared)`, `prepare(folder)`, `resources() -> dict`
    (what each kernel that was built takes of the device, as far as its compiler says), `static(source) -> dict` (the
    same by architecture, where they can be compiled for devices that are not here), `census_start(mark, between)`,
    `census() -> dict` and `ablate(on)`; torch and the standard library only, beside the language's own runtime,
    imported lazily."""

    imports: tuple[str, ...] = ()
    """Modules that workers need beside torch, imported once for all of them; they must not touch a device, or no worker
    could use it any more."""
    runs_on: tuple[Kind, ...] = ("cpu",)
    """The kinds of device whose tensors its kernels take."""

    def environment(self, *, on_gpu: bool) -> dict[str, str]:  # noqa: ARG002 - for those that differ
        """Variables that must be set for all workers before torch is imported."""
        return {}

    def interpreted(self, *, on_gpu: bool) -> bool:  # noqa: ARG002 - for those that are
        """Whether candidates are interpreted: they take a thousand times as long, so they are timed call by call."""
        return False

    def shared(self) -> Path | None:
        """The folder for what all builds of this machine share, such as precompiled headers; None where nothing is.

        The worker module's `prepare` fills it, once a machine, in a sandboxed worker; builds that start meanwhile go
        without and only take longer.
        """
        return None

    @abstractmethod
    def inspect(self, source: str) -> SourceReport:
        """Reads the source without running it."""

    @abstractmethod
    def explain(self, source: str, output: str) -> BuildProblem:
        """Turns a compiler's output into a message with a line of the candidate's own file; an empty message where the
        output is not a compiler's."""

    @abstractmethod
    def compiler_key(self) -> str:
        """Changes when a cached build would no longer be valid (compiler and runtime versions, CPU).

        Raises:
            MachineError: there is no compiler, with the command that installs one.
        """

    @abstractmethod
    def guide(self) -> str:
        """How to write a candidate in this language: text for people and models."""
