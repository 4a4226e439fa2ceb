"""A forward as a graph of core ATen operations, through `torch.export` under fake tensors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument

from kernelwright.tasks import host_joint
from kernelwright.tasks.host_blame import blame
from kernelwright.tasks.host_describe import fake_world, state, world
from kernelwright.tasks.host_json import HostError, tensor_info
from kernelwright.tasks.host_memory import fake_mode
from kernelwright.tasks.host_nodes import ExportProblem, NodeWriter, reference_to, values_of
from kernelwright.tasks.host_recurrent import Whole

if TYPE_CHECKING:
    from kernelwright.tasks.host import Reference


def export(reference: Reference, case: str) -> dict[str, Any]:
    """`Graph` as JSON.

    Raises:
        ExportProblem: torch cannot export the forward, or the graph cannot be written down.
        HostError: the task's inputs or constructor raise.
    """
    mode, gradients = fake_mode(), reference.gradients(case)
    model, inputs = fake_world(*world(reference, case), mode)
    writer: NodeWriter
    with _explained(), mode, torch.no_grad(), warnings.catch_warnings(), blame("export", "torch.export", ""):
        warnings.simplefilter("ignore")
        if gradients is not None:
            writer = host_joint.Writer(*host_joint.traced(model, inputs, gradients))
        else:
            attributes = {name for name, kind, _ in state(model) if kind == "attribute"}
            with Whole():
                # The model stays in its own mode: what is exported is what forward computes, batch statistics and all.
                program = torch.export.export(model, tuple(inputs), strict=False).run_decompositions()
            writer = _Writer(program, attributes)
    with _explained():
        nodes = writer.nodes()
    return {"case": case, "nodes": nodes, "gradients": gradients.to_json() if gradients else None}


@contextmanager
def _explained() -> Iterator[None]:
    """Whatever the task is to blame for is a reason why there is no graph."""
    try:
        yield
    except HostError as problem:
        cause = problem.__cause__
        raise (cause if isinstance(cause, ExportProblem) else ExportProblem(problem.message)) from problem


class _Writer(NodeWriter):
    """Writes an exported program's nodes."""

    def __init__(self, program: ExportedProgram, attributes: set[str]) -> None:
        super().__init__(program.graph)
        self._program = program
        self._attributes = attributes
        specs = program.graph_signature.input_specs
        self._inputs = {spec.arg.name: spec for spec in specs if not isinstance(spec.arg, ConstantArgument)}

    def placeholder(self, node: fx.Node) -> dict[str, Any] | None:
        """See `NodeWriter`."""
        spec = self._inputs.get(node.name)
        if spec is None:
            return None  # an argument that is no tensor: its value is part of the graph
        if spec.kind == InputKind.USER_INPUT:
            return {"op": "input"}
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) or spec.target in self._attributes:
            return {"op": "state", "target": spec.target}
        if spec.kind == InputKind.CONSTANT_TENSOR:
            return {"op": "constant", "values": values_of(self._program.constants.get(str(spec.target)))}
        raise ExportProblem(f"the graph takes an input of kind {spec.kind.name}")

    def output(self, node: fx.Node) -> dict[str, Any]:
        """See `NodeWriter`."""
        results: list[Any] = []
        mutations: dict[str, Any] = {}
        returned: Any = node.args[0]
        for spec, value in zip(self._program.graph_signature.output_specs, returned, strict=True):
            if spec.kind == OutputKind.BUFFER_MUTATION:
                mutations[str(spec.target)] = reference_to(value)
            elif spec.kind != OutputKind.USER_OUTPUT:
                raise ExportProblem(f"forward has an effect of kind {spec.kind.name}")
            elif isinstance(spec.arg, TensorArgument):
                results.append(reference_to(value))
        outputs = [tensor_info(value.meta["val"]) for value in returned if isinstance(value, fx.Node)][len(mutations) :]
        return {"args": results, "kwargs": {"mutations": mutations} if mutations else {}, "outputs": outputs}
