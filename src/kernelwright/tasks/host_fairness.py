"""Is it a fair task? Runs the reference on real data and names, with the numbers seen, what counts against it."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kernelwright.tasks.host_describe import CaseTrace, state, trace_case
from kernelwright.tasks.host_inputs import randomise_state
from kernelwright.tasks.host_json import HostError, flatten_outputs
from kernelwright.tasks.host_memory import MemoryGuard, available_bytes, gigabytes

if TYPE_CHECKING:
    from kernelwright.tasks.host import Reference

ALIKE = 1e-4
"""Outputs that differ by less than this share of their magnitude are no different."""
LARGEST = 1e12
"""Beyond this magnitude float32 sums carry no information about their smaller terms."""
GROSS = 0.1
"""A float32 reference that is off from float64 by this share of the output's magnitude is no reference."""
MODEL_SEED, FIRST_DRAW, SECOND_DRAW, THIRD_DRAW = 1, 2, 3, 4
FLOP_RATE, BYTE_RATE = 5e10, 1e9
"""A slow laptop's, to guess whether the check is worth starting."""
FORWARDS = 5

Problem = dict[str, str]
_REALS = (torch.float16, torch.bfloat16, torch.float32)


def fairness(reference: Reference, budget_s: float) -> dict[str, Any]:
    """`Fairness` as JSON for the first timed case.

    Args:
        reference: the task.
        budget_s: seconds to spend; no forward is started that is expected to end later.

    Raises:
        HostError: the task's forward raises.
    """
    case = next(name for name, role, _ in reference.cases() if role == "tune")
    traced = trace_case(reference, case)
    if reason := _too_much(traced, budget_s):
        return {"problems": [{"name": "not_checked", "reason": reason}]}
    check = _Check(reference, case, traced, budget_s)
    problems = list(check.problems())
    if check.left_out:
        left_out = f"no time within {budget_s:g} s for: {', '.join(check.left_out)}"
        reason = f"{left_out} (one forward takes {check.forward_s:.1f} s)"
        problems.append({"name": "not_checked", "reason": reason})
    return {"problems": problems}


def _too_much(traced: CaseTrace, budget_s: float) -> str:
    """Why the check is not worth starting; empty when it is."""
    tensors = [value for value in traced.inputs if isinstance(value, Tensor)]
    tensors += [tensor for _, _, tensor in traced.state]
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    made = sum(output.numel() * output.element_size() for output in traced.outputs)
    need, have = 3 * (held + made), available_bytes()
    if need > have:
        return f"it takes about {gigabytes(need)} of memory, of which {gigabytes(have)} are to be had"
    seconds = FORWARDS * (traced.flops / FLOP_RATE + (held + made) / BYTE_RATE)
    return f"it would take about {seconds:.0f} s, more than the {budget_s:g} s allowed" if seconds > budget_s else ""


class _Check:
    """One check: two draws, models of one seed, and forwards until the time is used up."""

    def __init__(self, reference: Reference, case: str, traced: CaseTrace, budget_s: float) -> None:
        self._reference, self._case = reference, case
        self._deadline = time.monotonic() + budget_s
        self._changes_state = bool(traced.mutated)
        self._model = self._fresh_model()
        self._first = reference.draw(case, FIRST_DRAW)
        self.forward_s = 0.0
        self.left_out: list[str] = []

    def problems(self) -> Iterator[Problem]:
        """Everything found, most telling first."""
        outputs = self._forward(self._first)
        yield from _overflow(outputs)
        if not any(output.numel() for output in outputs):
            yield {"name": "constant", "reason": "its outputs hold no elements"}
            return
        if self._has_time("whether it depends on its inputs"):
            yield from self._dependence(outputs)
        if self._has_time("whether it is repeatable"):
            yield from self._repeatability(outputs)
        if self._has_time("agreement with float64", forwards=3):
            yield from self._precision(outputs)

    def _fresh_model(self) -> torch.nn.Module:
        model = self._reference.model(MODEL_SEED, self._case)
        # The judge moves norm weights and biases away from 1 and 0: the task is checked as it is judged.
        randomise_state(state(model), MODEL_SEED)
        return model

    def _forward(
        self, inputs: list[Any], model: torch.nn.Module | None = None, seed: int = 0, *, exact: bool = False
    ) -> list[Tensor]:
        """Detached outputs; neither inputs nor, unless it is given, the model are changed."""
        if model is None:
            model = copy.deepcopy(self._model) if self._changes_state else self._model
        copies = [value.clone() if isinstance(value, Tensor) else copy.deepcopy(value) for value in inputs]
        torch.manual_seed(seed)
        start = time.monotonic()
        with torch.no_grad(), MemoryGuard():
            answer = self._reference.forward(model, copies, exact=exact)
            outputs = [output.detach().clone() for output in flatten_outputs(answer)]
        self.forward_s = max(self.forward_s, time.monotonic() - start)
        return outputs

    def _has_time(self, what: str, forwards: float = 1) -> bool:
        if time.monotonic() + forwards * self.forward_s <= self._deadline:
            return True
        self.left_out.append(what)
        return False

    def _dependence(self, outputs: list[Tensor]) -> Iterator[Problem]:
        second = self._reference.draw(self._case, SECOND_DRAW)
        found = difference(outputs, self._forward(second))
        if found == 0 and all(bool((output == output.reshape(-1)[0]).all()) for output in outputs if output.numel()):
            value = next(output.reshape(-1)[0].item() for output in outputs if output.numel())
            yield {"name": "constant", "reason": f"every element of its output is {value:.6g}, whatever the inputs"}
            return
        if found < ALIKE:
            # Two draws may agree by chance, as means over many elements do.
            found = max(found, difference(outputs, self._forward(self._reference.draw(self._case, THIRD_DRAW))))
        if found < ALIKE:
            reason = f"outputs for three draws of inputs differ by {found:.2g} of their magnitude (less than {ALIKE:g})"
            yield {"name": "ignores_inputs", "reason": reason}
            return
        tensors = [index for index, value in enumerate(self._first) if isinstance(value, Tensor) and value.numel()]
        for index in tensors if len(tensors) > 1 else []:
            if torch.equal(self._first[index], second[index]):
                continue
            if not self._has_time(f"whether it depends on input {index}"):
                return
            mixed = [*self._first[:index], second[index], *self._first[index + 1 :]]
            if difference(outputs, self._forward(mixed)) == 0:
                yield {"name": "ignores_inputs", "reason": f"its outputs do not depend on input {index}"}

    def _repeatability(self, outputs: list[Tensor]) -> Iterator[Problem]:
        again = self._forward(self._first, self._fresh_model(), seed=1)
        found, allowed = difference(outputs, again), 4 * max(_epsilon(output) for output in outputs) ** 0.5
        if found > allowed:
            reason = f"the same inputs and weights gave outputs that differ by {found:.2g} of their magnitude"
            yield {"name": "not_repeatable", "reason": reason}

    def _precision(self, outputs: list[Tensor]) -> Iterator[Problem]:
        if not any(output.dtype in _REALS for output in outputs):
            return
        wide = [value.double() if _is_real(value) else value for value in self._first]
        try:
            exact = self._forward(wide, self._fresh_model().double(), exact=True)
        except HostError:
            return  # the forward makes tensors of its own dtype, so that it only runs in that
        found = difference([output.double() for output in exact], [output.double() for output in outputs])
        if found > GROSS:
            name = str(outputs[0].dtype).removeprefix("torch.")
            reason = f"{name} and float64 disagree by {found:.2g} of the outputs' magnitude"
            yield {"name": "overflows", "reason": reason}


def difference(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference between two lists of outputs as a share of each one's magnitude; inf if shapes differ."""
    if [output.shape for output in one] != [output.shape for output in other]:
        return float("inf")
    return max((_difference(a, b) for a, b in zip(one, other, strict=True) if a.numel()), default=0.0)


def _difference(a: Tensor, b: Tensor) -> float:
    if torch.equal(a, b):
        return 0.0
    a, b = (torch.view_as_real(value) if value.is_complex() else value for value in (a, b))
    if not a.dtype.is_floating_point:
        return float((a != b).double().mean())
    wide = torch.float64 if a.dtype == torch.float64 else torch.float32
    finite = a.isfinite() & b.isfinite()
    if not bool((finite | (a == b) | (a.isnan() & b.isnan())).all()):
        return float("inf")
    gap = torch.where(finite, a.to(wide) - b.to(wide), 0).abs().max()
    magnitude = torch.where(finite, a.to(wide), 0).abs().max()
    return float(gap / magnitude) if float(magnitude) else float("inf") if float(gap) else 0.0


def _overflow(outputs: list[Tensor]) -> Iterator[Problem]:
    for index, output in enumerate(outputs):
        if not output.numel() or not output.dtype.is_floating_point:
            continue
        bad = int((~output.isfinite()).sum())
        if bad:
            share = f"{bad} of {output.numel()} elements of output {index} are infinite or not a number"
            yield {"name": "overflows", "reason": share}
            continue
        largest = float(output.abs().max())
        if largest > LARGEST:
            yield {"name": "overflows", "reason": f"output {index} reaches {largest:.2g}, beyond {LARGEST:g}"}


def _epsilon(output: Tensor) -> float:
    return torch.finfo(output.dtype).eps if output.dtype.is_floating_point else 0.0


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in _REALS
