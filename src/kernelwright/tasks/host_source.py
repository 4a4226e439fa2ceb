"""Turns a `TaskSource` into a program: how to construct the model, and the named ways to draw inputs."""

from __future__ import annotations

import base64
import copy
import hashlib
import importlib
import linecache
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from kernelwright.tasks import host_sketch, host_specs
from kernelwright.tasks.host_blame import blame
from kernelwright.tasks.host_json import DTYPES, HostError, Kind, describe_type

ROLES = ("tune", "check", "held_out")
DEFAULT_CASE = "default"
MODULE_SEED = 0
"""Seeds module-level code, so that every process that loads the task holds the same module-level tensors."""


@dataclass(frozen=True)
class Drawer:
    """One case: its name, role, the dtype that inputs and model are cast to, and what draws its inputs."""

    name: str
    role: str
    dtype: torch.dtype | None
    inputs: Callable[[], Any]


@dataclass(frozen=True)
class Program:
    """A loaded task. `filename` is the file that errors point into."""

    filename: str
    construct: Callable[..., Any]
    init_inputs: Callable[[], Any]
    drawers: tuple[Drawer, ...]


class FunctionModel(nn.Module):
    """A plain function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """Calls the function."""
        return self.function(*inputs)


def load(source: dict[str, Any]) -> Program:
    """Runs the task's module and finds what it defines.

    Args:
        source: a `TaskSource` as JSON.

    Raises:
        HostError: `load`; the module raises, or lacks something.
    """
    for path in reversed(source["search_path"]):
        if path not in sys.path:
            sys.path.insert(0, path)
    torch.manual_seed(MODULE_SEED)
    return _LOADERS[source["kind"]](source)


def _load_file(source: dict[str, Any]) -> Program:
    module = _execute(source["text"], source["filename"])
    entry = _attribute(module, source["entry"])
    return _program(source, module, entry)


def _load_import(source: dict[str, Any]) -> Program:
    module_name, _, path = source["entry"].partition(":")
    with blame("load", f"the module {module_name}", source["filename"]):
        module = importlib.import_module(module_name)
    entry: Any = module
    for name in path.split("."):
        entry = _attribute(entry, name)
    return _program(source, module, entry)


def _load_pickle(source: dict[str, Any]) -> Program:
    import cloudpickle

    with blame("load", "the pickled module", source["filename"]):
        module, sketches = cloudpickle.loads(base64.b64decode(source["text"]))
    drawer = Drawer(DEFAULT_CASE, "tune", None, lambda: [host_sketch.draw(item) for item in sketches])
    return Program(source["filename"], lambda: copy.deepcopy(module), list, (drawer,))


_LOADERS: dict[str, Callable[[dict[str, Any]], Program]] = {
    "kernelbench": _load_file,
    "import": _load_import,
    "pickle": _load_pickle,
}


def _execute(text: str, filename: str) -> ModuleType:
    """Runs a module's text under a private name, known to `linecache`, `inspect` and dataclasses as if imported."""
    name = f"_kernelwright_task_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = filename
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    sys.modules[name] = module
    with blame("load", "the task file", filename):
        exec(compile(text, filename, "exec"), module.__dict__)  # noqa: S102 - this process is the sandbox
    return module


def _attribute(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        remedy = f"define {name}, or name what it does define"
        raise HostError("load", f"it defines no {name}", remedy=remedy) from error


def _program(source: dict[str, Any], module: ModuleType, entry: Any) -> Program:
    construct, init_inputs = _constructor(module, entry, source["entry"])
    return Program(source["filename"], construct, init_inputs, tuple(_drawers(source, module)))


def _constructor(module: ModuleType, entry: Any, name: str) -> tuple[Callable[..., Any], Callable[[], Any]]:
    if isinstance(entry, type) and issubclass(entry, nn.Module):
        return entry, getattr(module, "get_init_inputs", list)
    if isinstance(entry, nn.Module):
        return lambda: copy.deepcopy(entry), list
    if callable(entry) and not isinstance(entry, type):
        return lambda: FunctionModel(entry), list
    remedy = "name an nn.Module class, an nn.Module, or a function of tensors"
    raise HostError("load", f"{name} is a {describe_type(entry)}", remedy=remedy)


def _drawers(source: dict[str, Any], module: ModuleType) -> Iterable[Drawer]:
    if source["inputs"]:
        specs = [host_specs.parse(text) for text in source["inputs"]]
        yield Drawer(DEFAULT_CASE, "tune", None, lambda: [host_specs.draw(spec) for spec in specs])
        return
    get_inputs = getattr(module, "get_inputs", None)
    if not callable(get_inputs):
        remedy = "define it, or say --input, e.g. --input float32[4096,4096]"
        raise HostError("load", "it defines no get_inputs()", remedy=remedy)
    yield Drawer(DEFAULT_CASE, "tune", None, get_inputs)
    get_cases = getattr(module, "get_cases", None)
    if get_cases is None:
        return
    with blame("inputs", "get_cases()", source["filename"]):
        entries = get_cases()
    names = {DEFAULT_CASE}
    for entry in arguments(entries, "get_cases()"):
        drawer = _drawer(entry)
        if drawer.name in names:
            raise HostError("inputs", f"get_cases() names two cases {drawer.name!r}", remedy="give each its own name")
        names.add(drawer.name)
        yield drawer


def _drawer(entry: Any) -> Drawer:
    """One entry of `get_cases()`, checked."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not callable(entry.get("inputs")):
        remedy = 'write {"name": "odd", "inputs": lambda: [...]}'
        raise HostError("inputs", "get_cases() returns an entry that is no case", remedy=remedy)
    role, dtype, case = entry.get("role", "check"), entry.get("dtype"), f"the case {entry['name']!r}"
    if unknown := sorted(set(map(str, entry)) - {"name", "role", "inputs", "dtype"}):
        raise HostError("inputs", f"{case} has the unknown key {unknown[0]!r}", remedy="remove it")
    if role not in ROLES:
        raise HostError("inputs", f"{case} has the role {role!r}", remedy=f"choose one of {', '.join(ROLES)}")
    if dtype is not None and not (isinstance(dtype, str) and dtype in DTYPES and DTYPES[dtype].is_floating_point):
        raise HostError("inputs", f"{case} has the dtype {dtype!r}", remedy="write e.g. 'float16'")
    return Drawer(entry["name"], role, DTYPES[dtype] if dtype else None, entry["inputs"])


def arguments(value: Any, what: str, kind: Kind = "inputs") -> list[Any]:
    """What `get_inputs()`, `get_init_inputs()` or `get_cases()` returned, as a list.

    Raises:
        HostError: it is no list or tuple.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    raise HostError(kind, f"{what} returns a {describe_type(value)}", remedy="return a list, e.g. `return [x]`")
