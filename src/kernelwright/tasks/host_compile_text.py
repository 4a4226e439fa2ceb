"""Writes captured inductor graphs as one candidate: a Python module that imports only torch.

Of what inductor wrote, the kernels and the entry point's body are kept word for word, and of the rest the statements
they need; its benchmark harness goes. Torch and the standard library only.
"""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


class NotCaptured(Exception):
    """torch.compile's work on this task cannot stand alone; the message says why, in one clause."""


@dataclass(frozen=True)
class Leaf:
    """A tensor or plain value inside forward's arguments, and the expression that reaches it."""

    path: str
    value: Any


@dataclass(frozen=True)
class CapturedGraph:
    """One graph as inductor wrote it, and how forward calls it.

    `arguments` and `result` are expressions over forward's arguments, `self`, `outputs` and the names in `constants`
    (name to literal). `precision` is the expression and dtype of a floating-point state tensor, where there is one.
    """

    code: str
    arguments: tuple[str, ...]
    result: str
    constants: dict[str, str]
    leaves: tuple[Leaf, ...]
    precision: tuple[str, torch.dtype] | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What an exact graph requires of the arguments: as `_key_expression` reads it at run time."""
        return (self.precision and self.precision[1], *(_traits(leaf.value) for leaf in self.leaves))

    @property
    def loose_key(self) -> tuple[Any, ...]:
        """What a graph for any shape requires: dtypes and plain values."""
        values = (leaf.value.dtype if isinstance(leaf.value, torch.Tensor) else leaf.value for leaf in self.leaves)
        return (self.precision and self.precision[1], *values)


def _traits(value: Any) -> Any:
    return (tuple(value.shape), value.stride(), value.dtype) if isinstance(value, torch.Tensor) else value


def render(
    graphs: Sequence[CapturedGraph],
    fallback: CapturedGraph | None,
    state: Sequence[tuple[str, str, tuple[int, ...], str]],
    parameter_names: Sequence[str],
) -> str:
    """The candidate's text.

    Args:
        graphs: one for each distinct key.
        fallback: a graph for any shape, tried when no key matches.
        state: name, kind, shape and dtype of each state_dict entry.
        parameter_names: names of forward's arguments.

    Raises:
        NotCaptured: inductor's module has a form that is not known here, or the cases' arguments differ in structure.
    """
    every = [*graphs, *([fallback] if fallback else [])]
    if len({tuple(leaf.path for leaf in graph.leaves) for graph in every}) > 1:
        raise NotCaptured("its cases take arguments of different structure")
    parts = [_Module(graph.code, index) for index, graph in enumerate(every)]
    header = list(dict.fromkeys(line for part in parts for line in part.header))
    kernels = [kernel for part in parts for kernel in part.kernels]
    constants = [
        f"{_numbered(name, index)} = {literal}"
        for index, graph in enumerate(every) for name, literal in graph.constants.items()
    ]  # fmt: skip
    return "\n\n".join(
        [
            f'"""What torch.compile of torch {torch.__version__} makes of the task on this CPU. For inference only."""',
            "\n".join(dict.fromkeys(["import torch", "from torch import nn", *header])),
            *(["async_compile = AsyncCompile()", *kernels, "async_compile.wait(globals())"] if kernels else []),
            *(["\n".join(constants)] if constants else []),
            *(part.function for part in parts),
            "STATE = (\n" + "".join(f"    {entry!r},\n" for entry in state) + ")",
            _MODEL + _forward(graphs, fallback, parameter_names),
        ]
    )


_MODEL = """
class ModelNew(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        for name, kind, shape, dtype in STATE:
            *parents, leaf = name.split(".")
            module = self
            for parent in parents:
                if parent not in module._modules:
                    module.add_module(parent, nn.Module())
                module = module._modules[parent]
            value = torch.empty(shape, dtype=getattr(torch, dtype))
            if kind == "parameter":
                module.register_parameter(leaf, nn.Parameter(value, requires_grad=False))
            else:
                module.register_buffer(leaf, value)
"""


def _forward(graphs: Sequence[CapturedGraph], fallback: CapturedGraph | None, parameter_names: Sequence[str]) -> str:
    exact_key = _key_expression(graphs[0], "({0}.shape, {0}.stride(), {0}.dtype)")
    lines = [f"def forward({', '.join(['self', *parameter_names])}):", f"    key = {exact_key}"]
    for index, graph in enumerate(graphs):
        lines += [f"    if key == {graph.key!r}:", *_call(index, graph)]
    if fallback:
        loose_key = _key_expression(fallback, "{0}.dtype")
        lines += [f"    if {loose_key} == {fallback.loose_key!r}:", *_call(len(graphs), fallback)]
    lines.append('    raise ValueError(f"not compiled for these shapes, strides, dtypes or values: {key}")')
    return "\n" + textwrap.indent("\n".join(lines), "    ") + "\n"


def _call(index: int, graph: CapturedGraph) -> list[str]:
    arguments = (_numbered(name, index) if name in graph.constants else _attribute(name) for name in graph.arguments)
    result = re.sub(r"\bself\.[\w.]+", lambda match: _attribute(match[0]), graph.result)
    return [f"        outputs = graph_{index}([{', '.join(arguments)}])", f"        return {result}"]


def _key_expression(graph: CapturedGraph, tensor: str) -> str:
    entries = [f"{_attribute(graph.precision[0])}.dtype" if graph.precision else "None"]
    for leaf in graph.leaves:
        entries += [tensor.format(leaf.path) if isinstance(leaf.value, torch.Tensor) else leaf.path]
    return "(" + "".join(f"{entry}, " for entry in entries) + ")"


def _attribute(expression: str) -> str:
    """`self.layers.0.weight` as Python: names that are no identifiers cannot follow a dot."""
    if not expression.startswith("self."):
        return expression
    text = "self"
    for name in expression.split(".")[1:]:
        plain = name.isidentifier() and not keyword.iskeyword(name)
        text = f"{text}.{name}" if plain else f"getattr({text}, {name!r})"
    return text


def _numbered(name: str, index: int) -> str:
    return f"{name}_graph_{index}"


class _Module:
    """Inductor's module taken apart: header lines, kernels, and the entry point as `graph_<index>`."""

    def __init__(self, code: str, index: int) -> None:
        self.code, self.tree = code, ast.parse(code)
        names = [self._target(node) for node in self.tree.body if self._builds_kernel(node)]
        names += re.findall(r"^(\w*constant\w*|_frozen_param\d+) = None", code, re.MULTILINE)
        self.renamed = {name: _numbered(name, index) for name in names}
        self.kernels = [self._rename(self._text(node)) for node in self.tree.body if self._builds_kernel(node)]
        self.function = self._rename(self._entry_point(index))
        self.header = self._needed("\n".join([*self.kernels, self.function, "async_compile = AsyncCompile()"]))

    def _entry_point(self, index: int) -> str:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == "call":
                lines = self.code.splitlines()[node.body[0].lineno - 1 : node.end_lineno]
                body = textwrap.dedent("\n".join(lines))
                if re.search(r"\bself\b|\bpartition", body):
                    raise NotCaptured("inductor partitioned its graph")
                return f"def graph_{index}(args):\n{textwrap.indent(body, '    ')}"
        raise NotCaptured("inductor's module has no entry point")

    def _needed(self, text: str) -> list[str]:
        """The module's imports and assignments that `text` needs, and those that these need, in order."""
        chosen: set[ast.stmt] = set()
        wanted = _words(text)
        for node in reversed(self.tree.body):
            bound = self._binds(node) - self.renamed.keys()
            if bound & wanted:
                chosen.add(node)
                wanted |= _words(self._text(node))
        return [self._text(node) for node in self.tree.body if node in chosen]

    @staticmethod
    def _binds(node: ast.stmt) -> set[str]:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        if isinstance(node, ast.Assign):
            return {target.id for target in node.targets if isinstance(target, ast.Name)} - {
                "runner",
                "call",
                "async_compile",
            }
        return set()

    @staticmethod
    def _builds_kernel(node: ast.stmt) -> bool:
        return (
            isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func).startswith("async_compile.")
        )  # fmt: skip

    @staticmethod
    def _target(node: ast.stmt) -> str:
        return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""

    def _text(self, node: ast.stmt) -> str:
        return ast.get_source_segment(self.code, node) or ""

    def _rename(self, text: str) -> str:
        for name, new in self.renamed.items():
            text = re.sub(rf"\b{name}\b", new, text)
        return text


def _words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))
