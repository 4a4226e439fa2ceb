"""Describes a task without its data: shapes, FLOPs, least traffic, state. Fake tensors where they will do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensor, FakeTensorMode

from kernelwright.tasks.host_json import HostError, argument, encode, flatten_outputs, tensor_info
from kernelwright.tasks.host_memory import MemoryGuard, fake_mode
from kernelwright.tasks.host_recurrent import Whole
from kernelwright.tasks.host_sums import Sums, flop_counter, storage
from kernelwright.tasks.host_trace import Trace

if TYPE_CHECKING:
    from kernelwright.tasks.host import Reference

SMALL_BYTES = 256 << 20
"""Where fake tensors will not do, real ones are used as long as no result is larger than this."""
SEED = 0

Made = TypeVar("Made")
State = list[tuple[str, str, Tensor]]
World = tuple[Callable[[], nn.Module], Callable[[], list[Any]]]
"""What makes a model, and what draws inputs for it."""


@dataclass(frozen=True)
class CaseTrace:
    """A forward that was watched: its inputs, outputs, the model's state before it, what it did, and the sums behind
    what it leaves in arguments and state."""

    inputs: list[Any]
    outputs: list[Tensor]
    state: State
    mutated: frozenset[str]
    trace: Trace
    left: Sums
    flops: int


def describe(reference: Reference) -> dict[str, Any]:
    """`TaskInfo` as JSON.

    Raises:
        HostError: some part of the task raises, or holds what cannot be handed to another process.
    """
    init_inputs = encode(reference.init_inputs())
    cases, traces = [], []
    for name, role, dtype in reference.cases():
        traces.append(traced := trace_case(reference, name))
        gradients = reference.gradients(name)
        facts = {**_case_facts(traced), "gradients": gradients.to_json() if gradients else None}
        cases.append({"name": name, "role": role, "dtype": dtype, **facts})
    mutated = frozenset().union(*(traced.mutated for traced in traces))
    state = [
        {"name": name, "kind": kind, "tensor": tensor_info(tensor), "mutated": name in mutated}
        for name, kind, tensor in traces[0].state
    ]
    return {"init_inputs": init_inputs, "cases": cases, "state": state}


def trace_case(reference: Reference, case: str) -> CaseTrace:
    """Watches the forward of one case under fake tensors; on real ones, if small, where it needs values."""
    whole = reference.gradients(case) is None  # a layer that is kept whole cannot be gone back through
    return on_fakes(*world(reference, case), partial(_watch, reference), whole=whole)


def world(reference: Reference, case: str) -> World:
    """How the model and a draw of a case are made."""
    return partial(reference.model, SEED, case), partial(reference.draw, case, SEED)


def on_fakes(
    construct: Callable[[], nn.Module],
    draw: Callable[[], list[Any]],
    use: Callable[[nn.Module, list[Any]], Made],
    *,
    whole: bool = False,
) -> Made:
    """What `use` makes of a model and inputs of fake tensors; of real ones, if small, where it needs values.

    Args:
        whole: recurrent layers are one operation each.
    """
    mode = fake_mode()
    try:
        model, inputs = fake_world(construct, draw, mode)
        with mode, Whole() if whole else nullcontext():
            return use(model, inputs)
    except HostError as problem:
        fake_problem = problem
    return _if_small(lambda: use(construct(), draw()), fake_problem)


def fake_world(
    construct: Callable[[], nn.Module], draw: Callable[[], list[Any]], mode: FakeTensorMode
) -> tuple[nn.Module, list[Any]]:
    """The model and a draw of a case as fake tensors of `mode`; from real ones, if small, where that needs values."""
    inputs = _fake(mode, draw)
    return _fake(mode, construct), inputs


def _fake(mode: FakeTensorMode, make: Callable[[], Made]) -> Made:
    try:
        with mode:
            made = make()
    except HostError as problem:
        made = _if_small(make, problem)
    with FakeCopyMode(mode):
        return made if _is_fake(made) else copy.deepcopy(made)


def _if_small(make: Callable[[], Made], fake_problem: HostError) -> Made:
    """What `make` gives on real tensors, whose errors are the true ones; `fake_problem` where they would be large."""
    try:
        with MemoryGuard(SMALL_BYTES):
            return make()
    except HostError as problem:
        if problem.kind == "memory":
            raise fake_problem from problem
        raise


def _is_fake(made: Any) -> bool:
    """Whether everything in it is fake already. Module-level tensors, and live modules, are not."""
    tensors = [tensor for _, _, tensor in state(made)] if isinstance(made, nn.Module) else made
    return all(isinstance(tensor, FakeTensor) for tensor in tensors if isinstance(tensor, Tensor))


def _watch(reference: Reference, model: nn.Module, inputs: list[Any]) -> CaseTrace:
    before = state(model)
    trace, flops = Trace(), flop_counter()
    with torch.no_grad(), flops, trace:
        outputs = flatten_outputs(reference.forward(model, inputs))
    after = {name: tensor for name, _, tensor in state(model)}
    mutated = {name for name, _, tensor in before if after.get(name) is not tensor or storage(tensor) in trace.written}
    left = trace.sums.of([*(each for each in inputs if isinstance(each, Tensor)), *after.values()])
    return CaseTrace(inputs, outputs, before, frozenset(mutated), trace, left, int(flops.get_total_flops()))


def _case_facts(traced: CaseTrace) -> dict[str, Any]:
    tensors = [value for value in traced.inputs if isinstance(value, Tensor)]
    held = [tensor for _, _, tensor in traced.state]
    sources = [*tensors, *held]
    given = {storage(source) for source in sources}
    made = {storage(output): output for output in traced.outputs if storage(output) not in given}
    return {
        "inputs": [argument(value, index) for index, value in enumerate(traced.inputs)],
        "outputs": [tensor_info(output) for output in traced.outputs],
        "flops": traced.flops,
        "sums": [asdict(traced.trace.sums.of([output])) for output in traced.outputs],
        "left": asdict(traced.left),
        "arbitrary": traced.trace.arbitrary,
        "read_bytes": traced.trace.read_bytes(sources, traced.outputs),
        "state_bytes": traced.trace.read_bytes(held, traced.outputs),
        "written_bytes": sum(output.numel() * output.element_size() for output in made.values()),
    }


def state(model: nn.Module) -> State:
    """What a model remembers as (name, kind, tensor): parameters, then buffers, then attributes.

    Buffers are those of `state_dict` and the others too. An attribute is a tensor that a module holds without having
    registered it. Each tensor is listed once.
    """
    found: State = [(name, "parameter", parameter) for name, parameter in model.named_parameters()]
    found += [(name, "buffer", buffer) for name, buffer in model.named_buffers()]
    seen = {id(tensor) for _, _, tensor in found}
    for prefix, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and id(value) not in seen:
                seen.add(id(value))
                found.append((f"{prefix}.{name}" if prefix else name, "attribute", value))
    return found
