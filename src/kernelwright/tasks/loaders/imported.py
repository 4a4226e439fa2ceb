"""Whatever can be imported: `package.module:name`, an nn.Module class, an nn.Module, or a plain function of tensors."""

from __future__ import annotations

import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from kernelwright.errors import TaskError
from kernelwright.tasks.loaders import neighbours
from kernelwright.tasks.task import Task, TaskSource, Tolerance

_SPEC = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*)")


def is_import(spec: str) -> bool:
    """Whether a user's text names something to import rather than a file."""
    return _SPEC.fullmatch(spec) is not None


def check_inputs(inputs: tuple[str, ...]) -> None:
    """Checks input specifications before anything is started.

    Raises:
        TaskError: naming the specification and how to write one.
    """
    if not inputs:
        return
    from kernelwright.tasks import host_specs
    from kernelwright.tasks.host_json import HostError

    for text in inputs:
        try:
            host_specs.parse(text)
        except HostError as error:
            raise TaskError(error.message, where="--input", remedy=error.remedy) from error


def load(spec: str, inputs: tuple[str, ...], tolerance: Tolerance) -> Task:
    """A task from `package.module:name`. The module is found but not imported: that is left to the sandbox.

    Raises:
        TaskError: the module's outermost package cannot be found.
    """
    module, _, name = spec.partition(":")
    search_path = (str(Path.cwd()), *(path for path in sys.path if path))
    top = module.partition(".")[0]
    found = PathFinder.find_spec(top, list(search_path))
    if found is None and top not in sys.builtin_module_names:
        raise TaskError(
            f"there is no module {top}", where=spec, remedy="install it, or run from the folder that holds it"
        )
    filename = _file(module, found.origin if found else None)
    code = Path(filename)
    root = Path(*code.parts[: -len(module.split(".")) - (code.name == "__init__.py")])
    source = TaskSource(
        kind="import",
        text="",
        filename=filename,
        entry=spec,
        search_path=search_path,
        inputs=inputs,
        imports=neighbours.digest(code, root) if code.is_file() else "",
    )
    return Task(name=name.rpartition(".")[2], source=source, tolerance=tolerance)


def _file(module: str, origin: str | None) -> str:
    """The file of a dotted module, found without importing its packages; the dotted name where it is no Python file."""
    if origin is None or not origin.endswith(".py"):
        return module
    rest = module.split(".")[1:]
    if not rest:
        return origin
    stem = Path(origin).parent.joinpath(*rest)
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return str(path)
    return module
