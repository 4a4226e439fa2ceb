"""How the nodes of a traced graph are written down."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensor

from kernelwright.tasks.host_json import encode, tensor_info
from kernelwright.tasks.host_recurrent import NAMESPACE

MAX_VALUES = 64
"""Constants of up to this many elements carry their values."""


class ExportProblem(Exception):
    """Why a forward has no graph."""


class NodeWriter(ABC):
    """Writes the nodes of a graph as `GraphNode` JSON. Life cycle: made for a graph; `nodes`, once."""

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph

    @abstractmethod
    def placeholder(self, node: fx.Node) -> dict[str, Any] | None:
        """What a placeholder is: `op`, with `target` or `values`; None for one that is no tensor."""

    @abstractmethod
    def output(self, node: fx.Node) -> dict[str, Any]:
        """What is returned: `args`, `kwargs` and `outputs`."""

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes in execution order."""
        return [written for node in self._graph.nodes if (written := self._node(node)) is not None]

    def _node(self, node: fx.Node) -> dict[str, Any] | None:
        if node.op == "placeholder":
            kind = self.placeholder(node)
            return kind and {"name": node.name, "outputs": _outputs(node), **kind}
        if node.op == "output":
            return {"name": node.name, "op": "output", **self.output(node)}
        if node.op != "call_function":
            raise ExportProblem(f"the graph has a node of kind {node.op}")
        return {
            "name": node.name,
            "op": "call",
            "target": _target(node.target),
            "args": [reference_to(argument) for argument in node.args],
            "kwargs": {name: reference_to(argument) for name, argument in node.kwargs.items()},
            "outputs": _outputs(node),
        }


def _target(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):  # noqa: SLF001 - the type of every ATen operation
        namespace, _, name = str(target).partition(".")
        return f"aten.{name.removesuffix('.default')}.input" if namespace == NAMESPACE else str(target)
    if target is operator.getitem:
        return "getitem"
    raise ExportProblem(f"the graph calls {target}, which is no ATen operation")


def reference_to(argument: Any) -> Any:
    """JSON for an argument: other nodes by name, containers as lists."""
    if isinstance(argument, fx.Node):
        return {"node": argument.name}
    if isinstance(argument, (list, tuple)):
        return [reference_to(item) for item in argument]
    if isinstance(argument, torch.layout):
        return None  # always strided; None is that argument's default
    return encode(argument)


def _outputs(node: fx.Node) -> list[dict[str, Any]]:
    value = node.meta.get("val")
    values = value if isinstance(value, (list, tuple)) else [value]
    return [tensor_info(item) for item in values if isinstance(item, Tensor)]


def values_of(tensor: Any) -> Any:
    """A small constant's values; None where it is large or its values were never computed."""
    if isinstance(tensor, FakeTensor):
        tensor = tensor.constant
    if not isinstance(tensor, Tensor) or tensor.numel() > MAX_VALUES:
        return None
    return encode(tensor.tolist())
