"""Forward and backward as one graph of core ATen operations: what autograd does is traced below it."""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._decomp import get_decompositions
from torch.export import default_decompositions
from torch.func import functional_call, functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

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
        ExportProblem: it puts another tensor in the place of a parameter or buffer, or changes an input.
    """
    named: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    asked = set(gradients.of_parameters)

    def call(*flat: Tensor) -> Any:
        state = {
            name: value.detach().requires_grad_() if name in asked else value
            for name, value in zip(named, flat, strict=False)
        }
        given, before = iter(flat[len(named) :]), dict(state)
        arguments = tuple(next(given) if isinstance(value, Tensor) else value for value in inputs)
        returned = functional_call(model, state, arguments)
        for name, value in state.items():
            if value is not before[name]:
                raise ExportProblem(f"forward puts another tensor in the place of {name}")
        return returned

    table: Any = default_decompositions()
    table.update(get_decompositions([aten.native_batch_norm]))  # what it does to running statistics shows then
    flat = [*named.values(), *(value for value in inputs if isinstance(value, Tensor))]
    # Operations that only a CPU has, or whose way back is no operation of core ATen, give way to what they are made of.
    with sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
        both = make_fx(call)(*flat)
    # What is changed in place comes as a new value; state that is changed, as a copy at the end.
    graph = make_fx(functionalize(both, remove="mutations"), decomposition_table=table)(*flat).graph
    places = dict(zip(graph.find_nodes(op="placeholder"), named, strict=False))
    changed: dict[str, fx.Node] = {}
    for node in graph.nodes:
        if node.op == "call_function" and node.target in _SAME:
            node.replace_all_uses_with(node.args[0])
        elif node.target is aten.copy_.default and node.args[0] in places:
            changed[places[node.args[0]]] = node.args[1]
            node.replace_all_uses_with(node.args[1])
            graph.erase_node(node)
        elif isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:  # noqa: SLF001
            raise ExportProblem(f"{node.target} changes a tensor in place")
    ending = graph.output_node()
    ending.args = ((*cast("tuple[fx.Node, ...]", ending.args[0]), *changed.values()),)  # or they would be dead code
    graph.eliminate_dead_code()
    names = [*(f"p_{name.replace('.', '_')}" for name in named), *_argument_names(model, inputs, gradients)]
    for node, name in zip(graph.find_nodes(op="placeholder"), names, strict=True):
        node._rename(name)  # noqa: SLF001 - people read the kernels that are made of it
    return graph, list(named), changed


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
