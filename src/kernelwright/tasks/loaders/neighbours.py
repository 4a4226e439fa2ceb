"""What a task imports from beside it: code that its own text does not hold, but that its verdicts depend on."""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kernelwright import syntax


def beside(tree: ast.Module, file: Path, root: Path) -> bool:
    """Whether a file imports a module under `root`, as it could if Python ran it there."""
    return next(_imported(tree, file, root), None) is not None


def digest(file: Path, root: Path) -> str:
    """16 hex digits of a file and of every Python file under `root` that it imports, directly or not.

    What is installed (under `sys.prefix`) is followed no further than the file itself: it changes by versions. Files
    that cannot be read or parsed count as they are; running them will say what is wrong.
    """
    found: dict[Path, bytes] = {}
    waiting = [file.resolve()]
    installed = file.resolve().is_relative_to(Path(sys.prefix).resolve())
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        try:
            found[path] = path.read_bytes()
        except OSError:
            continue
        if not installed:
            try:
                tree = syntax.parse(found[path])
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            waiting += _imported(tree, path, root.resolve())
    content = sorted((os.path.relpath(path, root.resolve()), text) for path, text in found.items())
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _imported(tree: ast.Module, path: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            above = path.parent
            for _ in range(node.level - 1):
                above = above.parent
            parts = node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _files(above if node.level else root, [*parts, alias.name])


def _files(folder: Path, parts: list[str]) -> Iterator[Path]:
    """The packages on the way to a dotted name, and the module itself; what is no file is a name inside one."""
    for part in parts:
        for path in (folder / f"{part}.py", folder / part / "__init__.py"):
            if path.is_file():
                yield path.resolve()
        folder = folder / part
