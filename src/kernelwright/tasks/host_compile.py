"""torch.compile beside the task: as a baseline, and captured as a candidate that needs nothing but torch.

Runs in the sandboxed task worker; torch and the standard library only. Inductor writes a Python module for each graph,
and specialises it to shapes. So each case is compiled and run once while `capture` watches which tensors the graph's
entry point receives and returns; `host_compile_text.py` then writes one module whose forward dispatches between them.
"""

from __future__ import annotations

import copy
import inspect
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast
from unittest import mock

import torch
from torch import nn

from kernelwright.tasks.host_backward import differentiated, taken_off
from kernelwright.tasks.host_compile_text import CapturedGraph, Leaf, NotCaptured, render

_RANDOM = re.compile(r"\b(aten|prims)\.\w*(rand|bernoulli|normal_|dropout|multinomial)|(rand|randn|randint64)_cpu\(")
"""How random numbers look in inductor's text: as operations, and in C++."""
_MAX_EMBEDDED = 1024
"""Elements of a constant tensor that may be written into the text."""

T = TypeVar("T")
Case = tuple[nn.Module, Sequence[Any]]
"""A model and forward's arguments."""


def compile_model(model: nn.Module, device: str) -> nn.Module:
    """The torch.compile baseline, specialised to each shape, which is its fastest form: in default mode on the CPU; on
    a GPU it measures which kernels are best, and makes no graph of launches, since the device's time is what counts."""
    mode = None if device == "cpu" else "max-autotune-no-cudagraphs"
    gradients = taken_off(model)  # what goes back through a compiled forward is compiled as well
    compiled = cast("nn.Module", torch.compile(model, dynamic=False, mode=mode))
    return compiled if gradients is None else differentiated(compiled, gradients)


def compiled_ahead(model: nn.Module, inputs: Sequence[Any], device: str, niceness: int) -> None:
    """Compiles and runs the baseline once, for what inductor then finds in its cache; `niceness` as for `written`."""

    def run() -> None:
        with torch.no_grad():
            compile_model(model, device)(*inputs)

    _patiently(run, niceness)


def written(model: nn.Module, inputs: Sequence[Any], others: Sequence[Case], niceness: int) -> tuple[str | None, str]:
    """What `compiled_source` returns, or None, and why it is None.

    Only the thread that compiles gives way to others, by `niceness`: this process is going to be timed.
    """
    try:
        return _patiently(partial(compiled_source, model, inputs, others), niceness), ""
    except NotCaptured as problem:
        return None, str(problem)


def _patiently(work: Callable[[], T], niceness: int) -> T:
    with ThreadPoolExecutor(1, initializer=os.nice, initargs=(niceness,)) as patient:
        return patient.submit(work).result()


def compiled_source(model: nn.Module, inputs: Sequence[Any], others: Sequence[Case] = ()) -> str:
    """What torch.compile makes of the task on one case and its others, as one candidate.

    Where cases differ in shape, a graph for any shape is added. The candidate raises `ValueError` where no graph fits.

    Args:
        model: the reference; it is not changed.
        inputs: forward's arguments in the first timed case.
        others: model and arguments of further cases that a proposer may see. Their models differ in dtype at most.

    Raises:
        NotCaptured: several graphs or none, randomness, large constants, or arguments or results of unusual types.
    """
    cases = [(model, inputs), *others]
    graphs: dict[tuple[Any, ...], CapturedGraph] = {}
    for case in cases:
        graph = capture(*case, any_shape=False)
        graphs.setdefault(graph.key, graph)
    fallback = _capture_any_shape(cases) if len(graphs) > 1 else None
    return render(list(graphs.values()), fallback, _state(model), _parameter_names(model, len(inputs)))


def capture(model: nn.Module, inputs: Sequence[Any], *, any_shape: bool) -> CapturedGraph:
    """Compiles the model, runs it once on copies and describes the one graph that ran.

    With `any_shape` the sizes of tensors stay symbols, except where the model's code or its state determines them.

    Raises:
        NotCaptured: see `compiled_source`.
    """
    from torch._dynamo.decorators import maybe_mark_dynamic
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.output_code import CompiledFxGraph
    from torch._inductor.utils import run_and_get_code

    model, inputs = copy.deepcopy(model), copy.deepcopy(inputs)
    runs: list[_Run] = []
    original = CompiledFxGraph.__call__

    def watched(self: CompiledFxGraph, arguments: Sequence[Any]) -> Any:
        run = _Run(list(arguments), constants=dict(self.constants or {}))
        run.outputs = original(self, arguments)
        runs.append(run)
        return run.outputs

    names = _parameter_names(model, len(inputs))
    known = _Known(model, dict(zip(names, inputs, strict=True)))
    if any_shape:
        for leaf in known.tensor_leaves():
            maybe_mark_dynamic(leaf.value, [dim for dim, size in enumerate(leaf.value.shape) if size > 1])
    with torch.no_grad(), mock.patch.object(CompiledFxGraph, "__call__", watched):
        compiled = torch.compile(model, dynamic=None if any_shape else False, fullgraph=True)
        try:
            result, codes = run_and_get_code(compiled, *inputs)
        except TorchDynamoException as error:
            raise NotCaptured(
                f"torch.compile makes no single graph of it: {str(error).strip().splitlines()[0]}"
            ) from error
    if len(codes) != 1 or len(runs) != 1:
        raise NotCaptured(f"torch.compile makes {len(runs)} graphs of it")
    if _RANDOM.search(codes[0]):
        raise NotCaptured("it draws random numbers")
    return _describe(codes[0], runs[0], known, result)


@dataclass
class _Run:
    """One call of a compiled graph."""

    arguments: list[Any]
    constants: dict[str, Any]
    outputs: Sequence[Any] = ()


@dataclass
class _Known:
    """The tensors that the candidate's forward will have, and the Python expression for each."""

    model: nn.Module
    inputs: dict[str, Any]
    leaves: list[Leaf] = field(init=False)
    tensors: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self.leaves = [leaf for name, value in self.inputs.items() for leaf in _leaves(name, value)]
        persistent = self.model.state_dict(keep_vars=True)
        self.tensors = {id(tensor): f"self.{name}" for name, tensor in reversed(persistent.items())}
        self.tensors |= {id(leaf.value): leaf.path for leaf in self.tensor_leaves()}

    def tensor_leaves(self) -> list[Leaf]:
        return [leaf for leaf in self.leaves if isinstance(leaf.value, torch.Tensor)]


def _describe(code: str, run: _Run, known: _Known, result: Any) -> CapturedGraph:
    constants: dict[str, str] = {name: _literal(value) for name, value in run.constants.items()}
    arguments = []
    for value in run.arguments:
        if not isinstance(value, torch.Tensor):
            arguments.append(_size_expression(value, known.tensor_leaves()))
        elif id(value) in known.tensors:
            arguments.append(known.tensors[id(value)])
        else:
            name = f"lifted_{len(constants)}"
            constants[name] = _literal(value)
            arguments.append(name)
    outputs = {id(value): f"outputs[{index}]" for index, value in enumerate(run.outputs)}
    expression = _result_expression(result, known.tensors | outputs)
    state = known.model.state_dict().items()
    precision = next(((f"self.{name}", value.dtype) for name, value in state if value.is_floating_point()), None)
    return CapturedGraph(code, tuple(arguments), expression, constants, tuple(known.leaves), precision)


def _leaves(path: str, value: Any) -> Iterator[Leaf]:
    if isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            yield from _leaves(f"{path}[{index}]", entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _leaves(f"{path}[{key!r}]", entry)
    elif value is None or isinstance(value, (torch.Tensor, bool, int, float, str)):
        yield Leaf(path, value)
    else:
        raise NotCaptured(f"its argument {path} is a {type(value).__name__}")


def _size_expression(value: Any, leaves: Sequence[Leaf]) -> str:
    """Which size of which argument a number is. Equal sizes are one symbol in the graph, which checks it."""
    for leaf in leaves:
        for dim, size in enumerate(leaf.value.shape):
            if size == value:
                return f"{leaf.path}.shape[{dim}]"
    raise NotCaptured(f"its graph takes the number {value}, which is no size of an argument")


def _result_expression(value: Any, tensors: dict[int, str]) -> str:
    if isinstance(value, torch.Tensor):
        if id(value) not in tensors:
            raise NotCaptured("it returns a tensor that its graph does not")
        return tensors[id(value)]
    if type(value) in (list, tuple):
        items = "".join(_result_expression(entry, tensors) + ", " for entry in value)
        return f"[{items}]" if isinstance(value, list) else f"({items})"
    if type(value) is dict:
        entries = (f"{key!r}: {_result_expression(entry, tensors)}" for key, entry in value.items())
        return "{" + ", ".join(entries) + "}"
    if value is None or type(value) in (bool, int, float, str):
        return repr(value)
    raise NotCaptured(f"it returns a {type(value).__name__}")


def _literal(value: Any) -> str:
    if not isinstance(value, torch.Tensor) or value.numel() > _MAX_EMBEDDED or not value.is_contiguous():
        raise NotCaptured("it holds a large tensor that is neither a parameter nor a buffer of its state_dict")
    flat = ", ".join(repr(entry) for entry in value.flatten().tolist())
    flat = re.sub(r"\b(inf|nan)\b", r"float('\1')", flat)
    return f"torch.tensor([{flat}], dtype={value.dtype}).reshape({tuple(value.shape)})"


def _capture_any_shape(cases: Sequence[Case]) -> CapturedGraph | None:
    """A graph for shapes that no case has, from the case with the fewest equal sizes: these are taken to stay equal."""

    def distinct_sizes(case: Case) -> int:
        values = (leaf.value for leaf in _leaves("inputs", case[1]))
        return len({size for value in values if isinstance(value, torch.Tensor) for size in value.shape})

    try:
        return capture(*max(cases, key=distinct_sizes), any_shape=True)
    except NotCaptured:
        return None


def _state(model: nn.Module) -> list[tuple[str, str, tuple[int, ...], str]]:
    """Name, kind, shape and dtype of each entry of the state_dict."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return [
        (name, "parameter" if name in parameters else "buffer", tuple(value.shape), str(value.dtype)[len("torch.") :])
        for name, value in model.state_dict().items()
    ]


def _parameter_names(model: nn.Module, count: int) -> list[str]:
    """The names of forward's first `count` arguments."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    named = [parameter.name for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_POSITIONAL]
    return [named[index] if index < len(named) else f"input_{index}" for index in range(count)]
