"""Forward and backward as one graph of core ATen operations: what autograd does is traced below it."""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._decomp import get_decompositions
from torch.export import default_decompositions
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from kernelwright.tasks.host_backward import Gradients, alone_of
from kernelwright.tasks.host_json import tensor_info
from kernelwright.tasks.host_nodes import ExportProblem, NodeWriter, reference_to

aten = torch.ops.aten

_SAME = {aten.detach.default, aten.alias.default}
"""Operations that return what they are given."""


def traced(model: nn.Module, inputs: list[Any], gradients: Gradients) -> tuple[fx.Graph, list[str], dict[str, fx.Node]]:
    """The graph of a call that goes both ways; the names of parameters and buffers, which come first among what it
    takes; and the new values of those that it changes.

    Raises:
        ExportProblem: it changes something otherwise than by adding to it or by copying to it, or something else.
    """
    named: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    asked = set(gradients.of_parameters)

    def call(*flat: Tensor) -> Any:
        state = {
            name: value.detach().requires_grad_() if name in asked else value
            for name, value in zip(named, flat, strict=False)
        }
        given = iter(flat[len(named) :])
        arguments = tuple(next(given) if isinstance(value, Tensor) else value for value in inputs)
        return functional_call(model, state, arguments)

    tensors = [value for value in inputs if isinstance(value, Tensor)]
    table: Any = default_decompositions()
    table.update(get_decompositions([aten.native_batch_norm]))  # what it does to running statistics shows then
    graph = make_fx(call, decomposition_table=table)(*named.values(), *tensors).graph
    places = dict(zip(graph.find_nodes(op="placeholder"), named, strict=False))
    changed: dict[str, fx.Node] = {}
    for node in graph.nodes:
        if node.op == "call_function" and node.target in _SAME:
            node.replace_all_uses_with(node.args[0])
        elif isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:  # noqa: SLF001
            state = places.get(node.args[0])
            if state is None:
                raise ExportProblem(f"{node.target} changes what is neither a parameter nor a buffer")
            changed[state] = _made_apart(node)
    ending = graph.output_node()
    ending.args = ((*cast("tuple[fx.Node, ...]", ending.args[0]), *changed.values()),)  # or they would be dead code
    graph.eliminate_dead_code()
    names = [*(f"p_{name.replace('.', '_')}" for name in named), *_argument_names(model, inputs, gradients)]
    for node, name in zip(graph.find_nodes(op="placeholder"), names, strict=True):
        node._rename(name)  # noqa: SLF001 - people read the kernels that are made of it
    return graph, list(named), changed


def _made_apart(node: fx.Node) -> fx.Node:
    """The new value of a state that a node changes, computed and not written."""
    if node.target is aten.copy_.default:
        value: Any = node.args[1]
    elif node.target is aten.add_.Tensor:
        with node.graph.inserting_before(node):
            value = node.graph.call_function(aten.add.Tensor, node.args)
        value.meta["val"] = node.meta["val"]
    else:
        raise ExportProblem(f"{node.target} changes a parameter or buffer")
    node.replace_all_uses_with(value)
    node.graph.erase_node(node)
    return cast("fx.Node", value)


def _argument_names(model: nn.Module, inputs: list[Any], gradients: Gradients) -> list[str]:
    """As forward calls them, for those that are tensors, then of the gradients that come in."""
    own = list(inspect.signature(alone_of(model)).parameters)
    named = own if len(own) == gradients.inputs else [f"x_{index}" for index in range(gradients.inputs)]
    kept = [name for name, value in zip(named, inputs, strict=False) if isinstance(value, Tensor)]
    return [*kept, *(f"gradient_{index}" for index in gradients.outputs)]


class Writer(NodeWriter):
    """Writes a traced graph's nodes; see `traced`."""

    def __init__(self, graph: fx.Graph, names: list[str], changed: dict[str, fx.Node]) -> None:
        super().__init__(graph)
        self._names, self._changed = iter(names), changed

    def placeholder(self, node: fx.Node) -> dict[str, Any]:  # noqa: ARG002 - they come in order
        """See `NodeWriter`."""
        name = next(self._names, None)
        return {"op": "input"} if name is None else {"op": "state", "target": name}

    def output(self, node: fx.Node) -> dict[str, Any]:
        """See `NodeWriter`."""
        returned: Any = node.args[0]
        own = returned[: len(returned) - len(self._changed)]
        mutations = {name: reference_to(value) for name, value in self._changed.items()}
        return {
            "args": [reference_to(value) for value in own],
            "kwargs": {"mutations": mutations} if mutations else {},
            "outputs": [tensor_info(value.meta["val"]) for value in own],
        }
