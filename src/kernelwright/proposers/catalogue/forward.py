"""The Python around the kernels: sizes, outputs, library calls, checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kernelwright.proposers.catalogue.ir import Buffer, Call, resolved
from kernelwright.proposers.catalogue.loops import Nest
from kernelwright.proposers.catalogue.lower import operation
from kernelwright.proposers.catalogue.program import Program
from kernelwright.proposers.catalogue.renderer import Kernels
from kernelwright.proposers.catalogue.sizes import NAME, Sizes
from kernelwright.tasks import Argument, CaseInfo, GraphNode

_IGNORED = frozenset({"device", "layout", "pin_memory", "memory_format", "non_blocking"})
_SIZES_AT = {"view": 1, "reshape": 1, "_unsafe_view": 1, "expand": 1, "full": 0, "zeros": 0, "ones": 0}
"""Operations that are told a shape, and which argument it is."""
_NO_WORK = frozenset({"_assert_tensor_metadata"})


class ForwardText:
    """Statements of `forward`, and of the fallback in plain torch.

    Args:
        program: what to execute.
        case: the case that was exported.
    """

    def __init__(self, program: Program, case: CaseInfo) -> None:
        self.program, self.case = program, case
        self.nodes: dict[str, GraphNode] = program.lowering.nodes
        self.buffers = program.lowering.buffers
        upstream = program.lowering.graph.upstream
        self.inputs = [node for node in self.nodes.values() if node.op == "input" and node.name not in upstream]
        self.upstream = [self.nodes[name] for name in upstream]
        self.kept = [node for node in self.nodes.values() if node.op in ("state", "constant")]
        # Where the graph goes both ways, it holds numbers that follow from the sizes of inputs.
        bound = [axis for node in self.inputs for axis in self.buffers[node.name].axes] if upstream else []
        self.sizes = Sizes([*program.lowering.axes.pinned, *bound])
        self.kernels: Kernels = program.renderer.kernels(program)
        like = next((node.name for node in (*self.inputs, *self.kept)), "")
        self._device = f"{like}.device" if program.renderer.on_devices and like else ""
        """Where new tensors are made; empty where there is but one place."""
        self._defined: dict[str, list[str]] = {}
        for node in self.inputs:
            self._define(node.name)
        self.body = [line for step in program.steps[: program.backward] for line in self._step(step)]
        self.body_back: list[str] = []
        if program.backward is not None:
            self._device = f"{upstream[0]}.device" if self._device else ""
            self.body_back = [line for node in self.upstream for line in self._define(node.name)]
            self.body_back += [line for step in program.steps[program.backward :] for line in self._step(step)]

    def parameters(self) -> list[str]:
        """The reference's arguments: its tensors by the graph's names, other values as they come."""
        names = iter(node.name for node in self.inputs)
        return [
            f"{next(names)}: torch.Tensor" if argument.tensor is not None else f"_value{index}: object"
            for index, argument in enumerate(own_inputs(self.case))
        ]

    @property
    def names(self) -> str:
        """The arguments of forward by name."""
        return ", ".join(parameter.split(":")[0] for parameter in self.parameters())

    def forward(self, fallback: bool) -> list[str]:
        """Statements of forward; other dtypes and shapes go to `self.plain` or are refused."""
        checks, body = self.checks(), self.sizes.with_derived(self.body)
        lines = self.opening([*checks, *body, *self.endings()]) + self.guard(checks, fallback)
        return [*lines, *split(body), *self.endings()]

    def opening(self, lines: Sequence[str]) -> list[str]:
        """What the lines that follow need: arguments in order, sizes, state."""
        entry = [line for node in self.inputs for line in self._defined[node.name]]
        contiguous = [f"{node.name} = {node.name}.contiguous()" for node in self.inputs]
        return [*contiguous, *self.constants([*entry, *lines]), *entry, *self._attributes()]

    def plain(self) -> list[str]:
        """Statements of the fallback: the graph as it was exported."""
        lines: list[str] = [line for node in self.inputs for line in self._defined[node.name]]
        for node in self.nodes.values():
            if node.op == "call" and operation(node.target) not in _NO_WORK:
                call = Call(node.name, node.target, node.args, node.kwargs)
                lines += [f"{node.name} = {self._call(call)}", *self._defined.get(node.name, ())]
        lines = self.sizes.with_derived(lines)
        return [*self.constants([*lines, *self.endings()]), *self._attributes(), *lines, *self.endings()]

    def accepts(self, case: CaseInfo) -> bool:
        """Whether the kernels serve a case of the task: by its dtypes and the shapes of its inputs."""
        tensors = [argument.tensor for argument in case.inputs if argument.tensor is not None]
        if len(tensors) != len(self.inputs):
            return False
        values = {axis: self.sizes.constants[self.sizes.name(axis)] for axis in self.sizes.fixed}
        for tensor, node in zip(tensors, self.inputs, strict=True):
            dims = self.buffers[node.name].dims
            if tensor.dtype != node.outputs[0].dtype or len(tensor.shape) != len(dims):
                return False
            for size, dim in zip(tensor.shape, dims, strict=True):
                rest = size
                unknown = [axis for axis in resolved(dim) if axis not in values]
                for axis in resolved(dim):
                    rest = rest // values[axis] if axis in values else rest
                values |= {unknown[0]: rest} if unknown else {}
                product = 1
                for axis in resolved(dim):
                    product *= values[axis]
                if product != size:
                    return False
        return True

    def checks(self) -> list[str]:
        """What must hold of arguments and state for the kernels to be right."""
        checks = []
        for node in [*self.inputs, *(node for node in self.kept if node.op == "state")]:
            shape = self.sizes.shape(self.buffers[node.name].dims)
            checks.append(f"{node.name}.dtype == torch.{node.outputs[0].dtype}")
            if node.op == "input":
                checks.append(f"{node.name}.shape == {shape}")
        return checks

    def guard(self, checks: Sequence[str], fallback: bool) -> list[str]:
        """Statements that keep away what the kernels were not made for."""
        if not checks:
            return []
        otherwise = (
            f"return self.plain({self.names})"
            if fallback
            else 'raise ValueError("the kernels were made for other shapes or dtypes")'
        )
        return [
            "if not (",
            *(f"    {'and ' if index else ''}{check}" for index, check in enumerate(checks)),
            "):",
            f"    {otherwise}",
        ]

    def _attributes(self) -> list[str]:
        lines = []
        for node in self.kept:
            source = f"{attribute(node.target)}.detach().contiguous()" if node.op == "state" else f"self.{node.name}"
            if node.op == "constant" and self._device and not self._device.startswith(f"{node.name}."):
                lines.append(f"self.{node.name} = self.{node.name}.to({self._device})")
            lines.append(f"{node.name} = {source}")
        return lines

    def constants(self, lines: Iterable[str]) -> list[str]:
        """The sizes among those used that are the same in every case."""
        used = set(NAME.findall("\n".join(lines)))
        return [f"{name} = {value}" for name, value in self.sizes.constants.items() if name in used]

    def mutations(self) -> list[str]:
        """Statements that change state."""
        changed = self.program.lowering.mutations.items()
        return [f"{attribute(target)}.copy_({value['node']})" for target, value in changed]

    def endings(self) -> list[str]:
        """Statements that change state and return the results."""
        lines, outputs = self.mutations(), self.program.lowering.outputs
        outputs = [value["node"] if isinstance(value, dict) else repr(value) for value in outputs]
        return [*lines, f"return {', '.join(outputs)}"]

    def _define(self, name: str) -> list[str]:
        self._defined[name] = self.sizes.define(self.buffers[name], name)
        return self._defined[name]

    def _step(self, step: Nest | Call) -> list[str]:
        if isinstance(step, Call):
            contiguous = [f"{step.name} = {step.name}.contiguous()"] if self.buffers[step.name].dims else []
            return [f"{step.name} = {self._call(step)}", *contiguous, *self._define(step.name)]
        written = {store.buffer.name: store.buffer for store in step.stores}
        launch = self.kernels.launch(step, self.sizes.name, self.sizes.constant)
        return [*(self._empty(buffer) for buffer in written.values()), *launch]

    def _empty(self, buffer: Buffer) -> str:
        whole = self.program.buffers[buffer.name]
        device = f", device={self._device}" if self._device else ""
        return f"{buffer.name} = torch.empty({self.sizes.shape(whole.dims)}, dtype=torch.{buffer.dtype}{device})"

    def _call(self, call: Call) -> str:
        name = operation(call.target)
        if name == "getitem":
            return f"{call.args[0]['node']}[{call.args[1]}]"
        arguments = [_python(argument) for argument in call.args]
        tensor = self.program.lowering.tensors.get(call.name)
        if name in _SIZES_AT and tensor is not None and not isinstance(tensor, tuple):
            at = _SIZES_AT[name]
            arguments[at] = arguments[at] if -1 in call.args[at] else self.sizes.shape(tensor.dims)
        arguments += [f"{key}={_python(value)}" for key, value in call.kwargs.items() if key not in _IGNORED]
        arguments += [f"device={self._device}"] if "device" in call.kwargs and self._device else []
        return f"torch.ops.{call.target}({', '.join(arguments)})"


def own_inputs(case: CaseInfo) -> tuple[Argument, ...]:
    """What forward takes, without gradients that come in."""
    return case.inputs[: case.gradients.inputs] if case.gradients else case.inputs


def split(statements: Iterable[str]) -> list[str]:
    """Statements line by line."""
    return [line for statement in statements for line in statement.splitlines()]


def _python(value: Any) -> str:
    """Python text for an argument as `GraphNode` has it."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_python(item) for item in value) + "]"
    if not isinstance(value, dict):
        return repr(value)
    ((kind, item),) = value.items()
    texts = {
        "node": str(item),
        "dtype": f"torch.{item}",
        "float": f"float({item!r})",
        "device": f"torch.device({item!r})",
    }
    return texts[kind] if kind in texts else _python(item)


def attribute(name: str) -> str:
    """Python text for a parameter or buffer of the model by its dotted name."""
    *path, leaf = name.split(".")
    if all(part.isidentifier() for part in path):
        return f"self.{name}"
    return f'self.get_submodule("{".".join(path)}").{leaf}'
