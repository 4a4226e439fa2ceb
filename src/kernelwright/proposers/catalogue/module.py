"""A program as a candidate: one Python module with its kernels inside."""

from __future__ import annotations

import textwrap

from kernelwright.proposers.catalogue.backward import BackwardText
from kernelwright.proposers.catalogue.forward import ForwardText
from kernelwright.proposers.catalogue.program import Program
from kernelwright.tasks import GraphNode, TaskInfo

_DECLARE = '''
# The reference's parameters and buffers: name, whether a parameter, shape, dtype.
STATE = [
{rows}
]


def declare(module: nn.Module, name: str, is_parameter: bool, value: torch.Tensor) -> None:
    """Registers a parameter or buffer under a dotted name, making the modules on the way."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in dict(module.named_children()):
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    if is_parameter:
        module.register_parameter(leaf, nn.Parameter(value, requires_grad=value.is_floating_point()))
    else:
        module.register_buffer(leaf, value)
'''

_MODEL = '''

class ModelNew(nn.Module):
    """The reference's state, and its forward by the kernels above."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        super().__init__()
{init}
    def forward(self, {parameters}) -> object:
{forward}
'''

_PASSES = '''

class Passes(torch.autograd.Function):
    """Forward, and back from what it kept."""

    @staticmethod
    def forward(_ctx, self, {parameters}) -> object:
{forward}

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(_ctx, {upstream}) -> object:
{backward}
'''

_PLAIN = '''
    def plain(self, {parameters}) -> object:
        """The same in torch, for shapes and dtypes that the kernels were not made for."""
{plain}
'''


def write(program: Program, info: TaskInfo) -> str:
    """The candidate's source.

    Args:
        program: what to execute, from the graph of the first timed case.
        info: the task, for the state that the model must have and the arguments of forward.
    """
    case = info.tune_case
    text = ForwardText(program, case)
    # Cases that are not shown may be of any shape.
    fallback = not case.gradients and (info.hides or not all(text.accepts(other) for other in info.cases))
    parts = [
        _docstring(text),
        *text.kernels.source(),
        _state(info),
        _model(text, info, fallback),
    ]
    return "\n".join(part for part in parts if part)


def _docstring(text: ForwardText) -> str:
    shapes = ", ".join(f"{node.name} {_spoken(node)}" for node in text.inputs)
    calls = sorted({call.target for call in text.program.calls})
    paragraphs = [
        f"Made for {shapes or 'no input'}{'' if text.case.gradients else '; other sizes of the same rank work too'}.",
        f"{text.kernels.described()}.",
        *([f"Library calls beside them: {', '.join(calls)}."] if calls else []),
    ]
    wrapped = ["\n".join(textwrap.wrap(paragraph, 116)) for paragraph in paragraphs]
    return '"""' + "\n\n".join(wrapped) + '\n"""\n'


def _spoken(node: GraphNode) -> str:
    return f"{node.outputs[0].dtype}{list(node.outputs[0].shape)}"


def _state(info: TaskInfo) -> str:
    rows = [
        f"    ({state.name!r}, {state.kind == 'parameter'}, {tuple(state.tensor.shape)}, torch.{state.tensor.dtype}),"
        for state in info.state
    ]
    return _DECLARE.format(rows="\n".join(rows)) if rows else ""


def _model(text: ForwardText, info: TaskInfo, fallback: bool) -> str:
    init = []
    if info.state:
        init = [
            "for name, is_parameter, shape, dtype in STATE:",
            "    declare(self, name, is_parameter, torch.zeros(shape, dtype=dtype))",
        ]
    for node in text.kept:
        if node.op == "constant":
            init.append(f"self.{node.name} = torch.tensor({node.values!r}, dtype=torch.{node.outputs[0].dtype})")
    names = ", ".join(text.parameters())
    both = BackwardText(text, text.case.gradients) if text.case.gradients else None
    model = _MODEL.format(
        init=_indented([*init, ""] if init else [""]),
        parameters=names,
        forward=_indented(both.model() if both else text.forward(fallback)),
    )
    plain = _PLAIN.format(parameters=names, plain=_indented(text.plain())) if fallback else ""
    return (_passes(both) if both else "") + model + plain


def _passes(both: BackwardText) -> str:
    given = [*both.text.parameters(), "*_parameters: torch.Tensor"]
    return _PASSES.format(
        parameters=", ".join(given),
        forward=_indented(both.forward()),
        upstream=", ".join(both.parameters()),
        backward=_indented(both.backward()),
    )


def _indented(lines: list[str]) -> str:
    return "\n".join(f"        {line}" if line else "" for line in lines)
