"""The files a run leaves behind: the kernel and its report. Each appears whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from kernelwright import format as fmt
from kernelwright.errors import MachineError
from kernelwright.report.view import RunView

_WIDTH = 110


def check_writable(folder: Path) -> None:
    """Makes the folder and tries to write in it, so that a search does not end with nowhere to put its result.

    Raises:
        MachineError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_atomically(path: Path, text: str) -> None:
    """Writes a file that appears whole or not at all, even if the machine stops meanwhile.

    Raises:
        MachineError: the disk is full or the folder cannot be written; the old file, if any, is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"cannot write here: {error.strerror}",
        where=str(path),
        remedy="free some space or choose another folder with --out",
    )


def file_stem(task_name: str) -> str:
    """A file name for a task: letters, digits, `_` and `-` only, since the name may come from anyone."""
    return re.sub(r"[^\w-]+", "_", task_name, flags=re.ASCII).strip("_")[:80] or "kernel"


def write(view: RunView, folder: Path) -> tuple[Path | None, Path]:
    """Writes `<task>.py`, when there is a kernel, and `<task>.html`; returns their paths.

    Raises:
        MachineError: they cannot be written.
    """
    from kernelwright.report.page import render

    stem = file_stem(view.task.name)
    source_path = None
    if view.best_node is not None:
        source_path = folder / f"{stem}.py"
        write_atomically(source_path, kernel_file(view))
    report_path = folder / f"{stem}.html"
    write_atomically(report_path, render(view))
    return source_path, report_path


def kernel_file(view: RunView) -> str:
    """The best candidate's source under a header that says what it is and how to use it."""
    best, head = view.best_node, view.headline
    assert best is not None
    assert head is not None
    error = best.verdict.error
    facts = [
        # A task called `coding: ...` must not choose the file's encoding (PEP 263).
        "-*- coding: utf-8 -*-",
        f"A kernel for {view.task.name}, found and verified by Kernelwright.",
        f"Run:     {view.run}, candidate {best.candidate.id}",
        f"Device:  {view.target.model}, {view.target.cores} cores",
        f"Time:    {fmt.time(head.time_us)}, {fmt.percent(head.floor_share)} of the floor's speed",
        f"Speedup: {fmt.speedup(head.speedup)} over eager PyTorch (95 % interval {fmt.interval(head.speedup_ci)})",
    ]
    if error is not None:
        own = fmt.error(error.reference_max)
        facts.append(f"Error:   at most {fmt.error(error.max)} against float64; PyTorch's own is {own}")
    if best.verdict.proof is not None:
        proof = best.verdict.proof
        facts.append(f"Proven:  cases {', '.join(proof.cases)}; {', '.join(proof.dtypes)}; nothing else")
    arguments = "..." if view.info.init_inputs else ""
    facts += ["", f"    from {file_stem(view.task.name)} import ModelNew", f"    kernel = ModelNew({arguments})"]
    if view.info.state:
        facts.append("    kernel.load_state_dict(reference.state_dict())")
    facts += ["", f"Judge it again: kernelwright evaluate TASK THIS_FILE --language {best.candidate.language}"]
    header = "".join(f"# {_one_line(fact)}".rstrip() + "\n" for fact in facts)
    return f"{header}\n{best.candidate.source.rstrip()}\n"


def _one_line(text: str) -> str:
    """Without anything that could end the comment, since task and case names may come from anyone."""
    return "".join(character if character.isprintable() else " " for character in text)[: _WIDTH * 2]
