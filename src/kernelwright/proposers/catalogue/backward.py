"""A candidate that goes both ways: an autograd function around the kernels, for the model to call."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kernelwright.proposers.catalogue.forward import ForwardText, attribute, split
from kernelwright.proposers.catalogue.ir import Call
from kernelwright.proposers.catalogue.schedule import Schedule
from kernelwright.proposers.catalogue.sizes import NAME
from kernelwright.tasks import GradientsInfo


class BackwardText:
    """Statements of the function's two halves, and of the model's forward.

    Args:
        text: the program, whose graph goes forward and back.
        gradients: what has gradients.
    """

    def __init__(self, text: ForwardText, gradients: GradientsInfo) -> None:
        self.text, self.gradients = text, gradients
        outputs = text.program.lowering.outputs
        self._results = [value["node"] for value in outputs[: gradients.results]]
        self._made = [value["node"] for value in outputs[gradients.results :]]
        self._body = text.sizes.with_derived(text.body)
        self._back = text.sizes.with_derived(text.body_back)
        words = set(re.findall(r"\w+", "\n".join([*self._back, *self._made])))
        kept = [name for name in self._known() if name in words]
        groups = [name for name in kept if name in text.buffers and not text.buffers[name].dtype]
        self._kept = [name for name in kept if name not in groups]
        defined = {line.split(" = ")[0] for line in self._back}
        sizes = dict.fromkeys(NAME.findall("\n".join(self._back)))
        self._others = [name for name in sizes if name not in defined and name not in text.sizes.constants]
        self._others += groups

    def _known(self) -> Iterable[str]:
        """What there is once forward is done, by name."""
        program = self.text.program
        yield from (node.name for node in (*self.text.inputs, *self.text.kept))
        for step in program.order[: program.backward]:
            if isinstance(step, Call):
                yield step.name
            elif isinstance(step, Schedule):
                yield from dict.fromkeys(store.buffer.name for store in step.region.stores)

    def parameters(self) -> list[str]:
        """What the way back is told: a gradient for each result."""
        names = iter(node.name for node in self.text.upstream)
        return [
            f"{next(names)}: torch.Tensor" if index in self.gradients.outputs else f"_gradient_{index}: object"
            for index in range(self.gradients.results)
        ]

    def model(self) -> list[str]:
        """Statements of the model's forward."""
        checks = self.text.checks()
        state = [attribute(name) for name in self.gradients.of_parameters]
        arguments = ", ".join(filter(None, ["self", self.text.names, *state]))
        opening = self.text.opening(checks) if checks else []
        return [*opening, *self.text.guard(checks, fallback=False), f"return Passes.apply({arguments})"]

    def forward(self) -> list[str]:
        """Statements of the function's forward, which keep what the way back needs."""
        text, results = self.text, list(self._results)
        apart = [index for index in range(len(results)) if index not in self.gradients.outputs]
        ending = [f"_ctx.save_for_backward({', '.join(self._kept)})"]
        ending += [f"_ctx.others = {_tuple(self._others)}"] if self._others else []
        for index in apart:  # a result that another one is as well must not take the gradient from it
            results[index] = f"apart_{index}"
            ending.append(f"apart_{index} = {self._results[index]}.detach()")
        if apart:
            ending.append(f"_ctx.mark_non_differentiable({', '.join(results[index] for index in apart)})")
        ending += [*text.mutations(), f"return {', '.join(results)}"]
        return [*text.opening([*self._body, *ending]), *split(self._body), *ending]

    def backward(self) -> list[str]:
        """Statements of the function's way back: a gradient, or None, for each of its arguments."""
        text, gradients = self.text, self.gradients
        made = iter(self._made)
        answers = [
            "None",
            *(next(made) if index in gradients.of_inputs else "None" for index in range(gradients.inputs)),
        ]
        answers += list(made)
        taken = [f"{_tuple(self._kept)} = _ctx.saved_tensors"] if self._kept else []
        taken += [f"{_tuple(self._others)} = _ctx.others"] if self._others else []
        taken += [f"{node.name} = {node.name}.contiguous()" for node in text.upstream]
        return [*taken, *text.constants(self._back), *split(self._back), f"return {', '.join(answers)}"]


def _tuple(names: list[str]) -> str:
    return f"({names[0]},)" if len(names) == 1 else ", ".join(names)
