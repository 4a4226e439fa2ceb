"""Forward and backward as one call, for tasks whose gradients count too.

After its own arguments a call takes a gradient for each output that has one; after its outputs it returns the gradients
of its inputs and parameters. So everything that draws, describes, judges and times a forward does so with both, the
reference's and a candidate's alike: a candidate is a module that autograd can go back through.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from kernelwright.tasks.host_json import HostError, flatten_outputs

_GRADIENTS, _ALONE = "_kernelwright_gradients", "_kernelwright_alone"
_COMPILED = "_orig_mod."
"""What torch.compile puts before the names of parameters."""


@dataclass(frozen=True)
class Gradients:
    """What of a case has gradients.

    `inputs` and `results` are how many arguments and outputs forward has of its own, `outputs` the places of outputs
    that gradients come in for, `of_inputs` and `of_parameters` the places and names of what gradients are asked of.
    """

    inputs: int
    results: int
    outputs: tuple[int, ...]
    of_inputs: tuple[int, ...]
    of_parameters: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """`GradientsInfo` as JSON."""
        return asdict(self)

    @staticmethod
    def of_json(given: dict[str, Any]) -> Gradients:
        """What `to_json` wrote."""
        places, parameters = given["of_inputs"], given["of_parameters"]
        return Gradients(given["inputs"], given["results"], tuple(given["outputs"]), tuple(places), tuple(parameters))


def found(model: nn.Module, inputs: list[Any]) -> tuple[Gradients, list[Tensor]]:
    """What has gradients where `model` is called with `inputs`, and the outputs that gradients come in for.

    Every float that an output depends on is asked for its gradient, unless the model says that a parameter needs none.

    Raises:
        HostError: `forward`; no output has a gradient.
    """
    with torch.enable_grad():
        leaves = [_leaf(value) if _is_real(value) else value for value in inputs]
        results = flatten_outputs(model(*leaves))
        outputs = tuple(index for index, result in enumerate(results) if result.requires_grad)
        named = {name: each for name, each in model.named_parameters() if each.requires_grad}
        places = [index for index, value in enumerate(leaves) if _is_real(value)]
        if not outputs or not (named or places):
            remedy = "judge its forward alone"
            raise HostError("forward", "none of its outputs has a gradient", remedy=remedy)
        heads = [results[index] for index in outputs]
        asked = [*(leaves[index] for index in places), *named.values()]
        given = torch.autograd.grad(heads, asked, [torch.ones_like(head) for head in heads], allow_unused=True)
    known = [gradient is not None for gradient in given]
    of_inputs = tuple(place for place, has in zip(places, known, strict=False) if has)
    of_parameters = tuple(name for name, has in zip(named, known[len(places) :], strict=True) if has)
    return Gradients(len(inputs), len(results), outputs, of_inputs, of_parameters), [head.detach() for head in heads]


def differentiated(model: nn.Module, gradients: Gradients) -> nn.Module:
    """Has calls of the model go both ways. Its class, state and names stay as they are."""
    vars(model)[_GRADIENTS], vars(model)[_ALONE] = gradients, model.forward
    vars(model)["forward"] = MethodType(_both_ways, model)
    return model


def taken_off(model: nn.Module) -> Gradients | None:
    """Has calls of the model go forward only, as before `differentiated`; None where they do."""
    gradients: Gradients | None = vars(model).pop(_GRADIENTS, None)
    if gradients is not None:
        alone = vars(model).pop(_ALONE)
        del vars(model)["forward"]
        if getattr(model.forward, "__func__", None) is not getattr(alone, "__func__", alone):
            vars(model)["forward"] = alone  # the model's own, which an instance may have as well
    return gradients


def alone_of(model: nn.Module) -> Any:
    """The forward that a call which goes both ways begins with."""
    return vars(model)[_ALONE]


def _both_ways(model: nn.Module, *arguments: Any) -> tuple[Tensor, ...]:
    """The outputs, then the gradients of inputs and parameters."""
    gradients: Gradients = vars(model)[_GRADIENTS]
    inputs, upstream = list(arguments[: gradients.inputs]), arguments[gradients.inputs :]
    with torch.enable_grad():
        for index in gradients.of_inputs:
            inputs[index] = _leaf(inputs[index])
        results = flatten_outputs(alone_of(model)(*inputs))
        named = {name.removeprefix(_COMPILED): each for name, each in model.named_parameters()}
        missing = [name for name in gradients.of_parameters if name not in named]
        if missing:
            raise AttributeError(f"the model has no parameter {missing[0]!r}, whose gradient is asked for")
        asked = [*(inputs[index] for index in gradients.of_inputs), *(named[name] for name in gradients.of_parameters)]
        heads = [results[index] for index in gradients.outputs]
        given = torch.autograd.grad(heads, asked, upstream)
    return *(result.detach() for result in results), *given


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _leaf(value: Tensor) -> Tensor:
    return value.detach().requires_grad_()
