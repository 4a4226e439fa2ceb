"""A forward as a graph of core ATen operations, through `torch.export` under fake tensors."""

from __future__ import annotations

import operator
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument

from kernelwright.tasks.host_blame import blame
from kernelwright.tasks.host_describe import fake_world, state
from kernelwright.tasks.host_json import HostError, encode, tensor_info
from kernelwright.tasks.host_memory import fake_mode
from kernelwright.tasks.host_recurrent import NAMESPACE, Whole

if TYPE_CHECKING:
    from kernelwright.tasks.host import Reference

MAX_VALUES = 64
"""Constants of up to this many elements carry their values."""


class ExportProblem(Exception):
    """Why a forward has no graph."""


def export(reference: Reference, case: str) -> dict[str, Any]:
    """`Graph` as JSON.

    Raises:
        ExportProblem: torch cannot export the forward, or the graph cannot be written down.
        HostError: the task's inputs or constructor raise.
    """
    mode = fake_mode()
    model, inputs = fake_world(reference, case, mode)
    attributes = {name for name, kind, _ in state(model) if kind == "attribute"}
    try:
        with mode, Whole(), torch.no_grad(), warnings.catch_warnings(), blame("export", "torch.export", ""):
            warnings.simplefilter("ignore")
            # The model stays in its own mode: what is exported is what forward computes, batch statistics and all.
            program = torch.export.export(model, tuple(inputs), strict=False).run_decompositions()
        return {"case": case, "nodes": _Writer(program, attributes).nodes()}
    except HostError as problem:
        raise ExportProblem(problem.message) from problem


class _Writer:
    """Writes an exported program's nodes as `GraphNode` JSON."""

    def __init__(self, program: ExportedProgram, attributes: set[str]) -> None:
        self._program = program
        self._attributes = attributes
        specs = program.graph_signature.input_specs
        self._inputs = {spec.arg.name: spec for spec in specs if not isinstance(spec.arg, ConstantArgument)}

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes in execution order."""
        return [written for node in self._program.graph.nodes if (written := self._node(node)) is not None]

    def _node(self, node: fx.Node) -> dict[str, Any] | None:
        if node.op == "placeholder":
            return self._placeholder(node)
        if node.op == "output":
            return self._output(node)
        if node.op != "call_function":
            raise ExportProblem(f"the graph has a node of kind {node.op}")
        return {
            "name": node.name,
            "op": "call",
            "target": _target(node.target),
            "args": [_reference(argument) for argument in node.args],
            "kwargs": {name: _reference(argument) for name, argument in node.kwargs.items()},
            "outputs": _outputs(node),
        }

    def _placeholder(self, node: fx.Node) -> dict[str, Any] | None:
        spec = self._inputs.get(node.name)
        if spec is None:
            return None  # an argument that is no tensor: its value is part of the graph
        found: dict[str, Any] = {"name": node.name, "op": "input", "outputs": _outputs(node)}
        if spec.kind == InputKind.USER_INPUT:
            return found
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) or spec.target in self._attributes:
            return {**found, "op": "state", "target": spec.target}
        if spec.kind == InputKind.CONSTANT_TENSOR:
            return {**found, "op": "constant", "values": _values(self._program.constants.get(str(spec.target)))}
        raise ExportProblem(f"the graph takes an input of kind {spec.kind.name}")

    def _output(self, node: fx.Node) -> dict[str, Any]:
        results: list[Any] = []
        mutations: dict[str, Any] = {}
        returned: Any = node.args[0]
        for spec, value in zip(self._program.graph_signature.output_specs, returned, strict=True):
            if spec.kind == OutputKind.BUFFER_MUTATION:
                mutations[str(spec.target)] = _reference(value)
            elif spec.kind != OutputKind.USER_OUTPUT:
                raise ExportProblem(f"forward has an effect of kind {spec.kind.name}")
            elif isinstance(spec.arg, TensorArgument):
                results.append(_reference(value))
        outputs = [tensor_info(value.meta["val"]) for value in returned if isinstance(value, fx.Node)][len(mutations) :]
        kwargs = {"mutations": mutations} if mutations else {}
        return {"name": node.name, "op": "output", "args": results, "kwargs": kwargs, "outputs": outputs}


def _target(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):  # noqa: SLF001 - the type of every ATen operation
        namespace, _, name = str(target).partition(".")
        return f"aten.{name.removesuffix('.default')}.input" if namespace == NAMESPACE else str(target)
    if target is operator.getitem:
        return "getitem"
    raise ExportProblem(f"the graph calls {target}, which is no ATen operation")


def _reference(argument: Any) -> Any:
    """JSON for an argument: other nodes by name, containers as lists."""
    if isinstance(argument, fx.Node):
        return {"node": argument.name}
    if isinstance(argument, (list, tuple)):
        return [_reference(item) for item in argument]
    if isinstance(argument, torch.layout):
        return None  # always strided; None is that argument's default
    return encode(argument)


def _outputs(node: fx.Node) -> list[dict[str, Any]]:
    value = node.meta.get("val")
    values = value if isinstance(value, (list, tuple)) else [value]
    return [tensor_info(item) for item in values if isinstance(item, Tensor)]


def _values(tensor: Any) -> Any:
    """A small constant's values; None where it is large or its values were never computed."""
    if isinstance(tensor, FakeTensor):
        tensor = tensor.constant
    if not isinstance(tensor, Tensor) or tensor.numel() > MAX_VALUES:
        return None
    return encode(tensor.tolist())
