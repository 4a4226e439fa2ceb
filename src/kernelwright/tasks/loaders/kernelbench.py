"""KernelBench's format: `Model`, `get_inputs()`, and optionally `get_init_inputs()` and our `get_cases()`."""

from __future__ import annotations

import ast
from pathlib import Path

from kernelwright import syntax
from kernelwright.errors import TaskError
from kernelwright.tasks.loaders import neighbours
from kernelwright.tasks.task import Task, TaskSource, Tolerance

ENTRY, DRAW = "Model", "get_inputs"


def load(path: Path, inputs: tuple[str, ...], tolerance: Tolerance) -> Task:
    """A task from a file, read and parsed but not run.

    Raises:
        TaskError: the file cannot be read, is not Python, or lacks `Model` or `get_inputs`.
    """
    text = _read(path)
    tree = _parse(text, path)
    defined = _defined(tree)
    if ENTRY not in defined:
        raise TaskError(f"it defines no {ENTRY}", where=f"{path}:1", remedy=f"name the nn.Module class {ENTRY}")
    if DRAW not in defined and not inputs:
        raise TaskError(
            f"it defines no {DRAW}()",
            where=f"{path}:{defined[ENTRY]}",
            remedy=f"add `def {DRAW}()` that returns a list of forward's arguments, or say --input",
        )
    folder = path.absolute().parent
    beside = neighbours.beside(tree, path, folder)
    source = TaskSource(
        kind="kernelbench",
        text=text,
        filename=str(path),
        entry=ENTRY,
        search_path=(str(folder),) if beside else (),
        inputs=inputs,
        imports=neighbours.digest(path, folder) if beside else "",
    )
    return Task(name=path.stem, source=source, tolerance=tolerance)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        remedy = "give a path, or package.module:name"
        raise TaskError("there is no such file", where=str(path), remedy=remedy) from error
    except IsADirectoryError as error:
        raise TaskError("it is a folder", where=str(path), remedy="name one Python file in it") from error
    except OSError as error:
        raise TaskError(
            f"it cannot be read: {error.strerror}", where=str(path), remedy="check its permissions"
        ) from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise TaskError("it is not UTF-8 text", where=f"{path}:{line}", remedy="save it as UTF-8") from error


def _parse(text: str, path: Path) -> ast.Module:
    try:
        return syntax.parse(text)
    except SyntaxError as error:
        raise TaskError(
            f"syntax error: {error.msg}", where=f"{path}:{error.lineno or 1}", remedy="correct it"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise TaskError(
            f"it cannot be parsed: {error}", where=f"{path}:1", remedy="make it a plain Python file"
        ) from error


def _defined(tree: ast.Module) -> dict[str, int]:
    """Names that the module's top level binds, also in `if`, `try` and `with`, with their lines."""
    found: dict[str, int] = {}
    queue: list[ast.AST] = [tree]
    while queue:
        for node in ast.iter_child_nodes(queue.pop()):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found[node.name] = node.lineno
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found |= {(alias.asname or alias.name).partition(".")[0]: node.lineno for alias in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found[node.id] = node.lineno
            elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.Tuple)):
                queue.append(node)
    return found
