"""Runs a task inside the sandbox: the only code that executes a task file. Torch and the standard library only.

The judge's worker hands it a `TaskSource` as a dict and gets plain data back; whatever a task does wrong ends as a
`HostError`.
"""

from __future__ import annotations

import copy
import random
import sys
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import torch
import torch._dynamo
import torch.export._trace
from torch import Tensor, nn
from torch._guards import active_fake_mode
from torch._subclasses.fake_tensor import unset_fake_temporarily

from kernelwright.tasks import host_backward, host_source
from kernelwright.tasks.host_backward import Gradients
from kernelwright.tasks.host_blame import blame, is_missing, missing_device
from kernelwright.tasks.host_convolution import ConvolutionsInParts
from kernelwright.tasks.host_describe import SEED, State, describe, on_fakes, state
from kernelwright.tasks.host_export import export
from kernelwright.tasks.host_fairness import fairness
from kernelwright.tasks.host_inputs import distributions, randomise_state
from kernelwright.tasks.host_json import HostError, Kind, argument, decode, encode, flatten_outputs
from kernelwright.tasks.host_memory import MemoryGuard
from kernelwright.tasks.host_nodes import ExportProblem
from kernelwright.tasks.host_rounding import NearTies
from kernelwright.tasks.host_sums import storage

__all__ = [
    "HostError", "MemoryGuard", "Reference", "decode", "distributions", "encode", "flatten_outputs", "on_device",
    "randomise_state", "state",
]  # fmt: skip

FORWARD_ALONE = ", forward"
"""What follows a case's name where a task whose calls go both ways is asked for one of them."""
PRELOADED = (torch._dynamo, torch.export._trace)  # noqa: SLF001 - no public name imports them
"""What the first fake tensor and the first export import: two seconds that a zygote spends once for all its workers."""


class Reference:
    """A task that has been loaded. Life cycle: made once a process; asked for draws, models and facts in any order.

    Args:
        source: a `TaskSource` as JSON.

    Raises:
        HostError: `load`; the module raises, or lacks something. Every method may raise it, of the kind of what failed.
    """

    def __init__(self, source: dict[str, Any]) -> None:
        self._program, self._backward = host_source.load(source), bool(source["backward"])
        self._drawers = {drawer.name: drawer for drawer in self._program.drawers}
        self._init_inputs: list[Any] | None = None
        self._drawn_here: set[str] = set()
        """Cases whose code draws on the CPU and nowhere else."""
        self._fitting: set[str] = set()
        """Cases of which a draw has fitted into memory."""
        self._gradients: dict[str, tuple[Gradients, list[tuple[torch.Size, torch.dtype]]]] = {}
        """For each case what has gradients, and the form of those that come in."""
        self.export_problem = ""
        """Why the last `export` returned None."""
        self.ties = NearTies(0.0)
        """What the last `forward` in float64 met."""

    def cases(self) -> list[tuple[str, str, str | None]]:
        """Name, role and dtype of each case; the one from `get_inputs()` comes first and is called `default`. Where a
        call goes both ways, each that is timed is followed by its forward alone."""
        found = []
        for drawer in self._program.drawers:
            dtype = str(drawer.dtype).removeprefix("torch.") if drawer.dtype else None
            found.append((drawer.name, drawer.role, dtype))
            if self._backward and drawer.role == "tune":
                found.append((drawer.name + FORWARD_ALONE, drawer.role, dtype))
        return found

    def init_inputs(self) -> list[Any]:
        """The constructor's arguments, drawn once under a fixed seed."""
        if self._init_inputs is None:
            seed_everything(host_source.MODULE_SEED)
            with self._blame("init", "get_init_inputs()"), MemoryGuard():
                drawn = self._program.init_inputs()
            self._init_inputs = host_source.arguments(drawn, "get_init_inputs()", "init")
        return copy.deepcopy(self._init_inputs)

    def draw(self, case: str, seed: int, device: str = "cpu") -> list[Any]:
        """The arguments of a call for one case, on a device. They are drawn there, since that is much faster, unless
        the task's code will not have it.

        Raises:
            HostError: `memory` before a tensor that does not fit is made; `inputs` for whatever else is wrong.
        """
        coming_in = self._both_ways(case)[1] if self._goes_back(case) else []
        drawn = self._drawn(case, seed, device)
        return [*drawn, *(torch.randn(shape, dtype=dtype, device=device) for shape, dtype in coming_in)]

    def _drawn(self, case: str, seed: int, device: str = "cpu") -> list[Any]:
        """The arguments that forward has of its own."""
        drawer = self._drawer(case)
        doing = "get_inputs()" if case == host_source.DEFAULT_CASE else f"the case {case!r}"
        if device != "cpu" and case not in self._drawn_here:
            try:
                with torch.device(device):
                    return [on_device(value, device) for value in self._drawn(case, seed)]
            except HostError:
                self._drawn_here.add(case)
        seed_everything(seed)
        # Draws of a case are alike, and the guard takes longer than a small draw.
        guard = nullcontext() if case in self._fitting else MemoryGuard()
        with self._blame("inputs", doing), guard, torch.no_grad():
            drawn = host_source.arguments(drawer.inputs(), doing)
            _check_devices([value for value in drawn if isinstance(value, Tensor)], "inputs", doing)
            for index, value in enumerate(drawn):
                argument(value, index)
            if active_fake_mode() is None:
                self._fitting.add(case)
            return [_cast(value, drawer.dtype) for value in drawn]

    def model(self, seed: int, case: str) -> nn.Module:
        """A new model, constructed under `seed`, left in its mode, and cast to the case's dtype if it has one."""
        gradients = self.gradients(case)
        model = self._constructed(seed, case)
        return model if gradients is None else host_backward.differentiated(model, gradients)

    def gradients(self, case: str) -> Gradients | None:
        """What has gradients in a case; None where calls go forward only."""
        return self._both_ways(case)[0] if self._goes_back(case) else None

    def _goes_back(self, case: str) -> bool:
        return self._backward and not case.endswith(FORWARD_ALONE)

    def _both_ways(self, case: str) -> tuple[Gradients, list[tuple[torch.Size, torch.dtype]]]:
        if case not in self._gradients:

            def use(model: nn.Module, inputs: list[Any]) -> tuple[Gradients, list[Tensor]]:
                with self._blame("forward", "forward()"):
                    return host_backward.found(model, inputs)

            with unset_fake_temporarily():
                world = partial(self._constructed, SEED, case), partial(self._drawn, case, SEED)
                gradients, heads = on_fakes(*world, use)
            self._gradients[case] = gradients, [(head.shape, head.dtype) for head in heads]
        return self._gradients[case]

    def _constructed(self, seed: int, case: str) -> nn.Module:
        drawer = self._drawer(case)
        init_inputs = self.init_inputs()
        seed_everything(seed)
        with self._blame("init", "the constructor"), MemoryGuard():
            model = self._program.construct(*init_inputs)
            if not isinstance(model, nn.Module):
                remedy = "derive the class from torch.nn.Module"
                raise HostError("init", f"it makes a {type(model).__name__}", remedy=remedy)
            _check_devices([tensor for _, _, tensor in state(model)], "init", "the constructor")
            return model.to(drawer.dtype) if drawer.dtype else model

    def forward(self, model: nn.Module, inputs: list[Any], *, exact: bool = False, by: float = 0.0) -> Any:
        """What the model returns, with errors that name the line of the task file; with `exact` in float64, in which
        they both are, and with numbers moved `by` a share of them before they are rounded (see `NearTies`)."""
        with ExitStack() as stack:
            stack.enter_context(self._blame("forward", "forward()"))
            if exact:
                given = [*inputs, *(tensor for _, _, tensor in state(model))]
                self.ties = NearTies(by, {storage(each) for each in given if isinstance(each, Tensor)})
                stack.enter_context(ConvolutionsInParts())
                stack.enter_context(self.ties)
            return model(*inputs)

    def state(self, model: nn.Module) -> State:
        """What a model remembers as (name, kind, tensor); see `host_describe.state`."""
        return state(model)

    def describe(self) -> dict[str, Any]:
        """`TaskInfo` as JSON, found without allocating the task's data."""
        return describe(self)

    def export(self, case: str) -> dict[str, Any] | None:
        """`Graph` as JSON; None where torch cannot export the model, with the reason in `export_problem`."""
        self.export_problem = ""
        try:
            return export(self, case)
        except ExportProblem as problem:
            self.export_problem = str(problem)
            return None

    def fairness(self, budget_s: float) -> dict[str, Any]:
        """`Fairness` as JSON, found on real data within about `budget_s` seconds."""
        return fairness(self, budget_s)

    def _drawer(self, case: str) -> host_source.Drawer:
        name = case.removesuffix(FORWARD_ALONE) if self._backward else case
        if name not in self._drawers:
            raise HostError("inputs", f"there is no case {case!r}", remedy=f"choose one of {', '.join(self._drawers)}")
        return self._drawers[name]

    def _blame(self, kind: Kind, doing: str) -> Any:
        return blame(kind, doing, self._program.filename)


def seed_everything(seed: int) -> None:
    """Seeds torch, `random`, and numpy where something has imported it."""
    torch.manual_seed(seed)
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed % (1 << 32))


def _check_devices(tensors: list[Tensor], kind: Kind, doing: str) -> None:
    for tensor in tensors:
        if is_missing(tensor.device):
            raise missing_device(kind, doing, str(tensor.device))


def on_device(value: Any, device: str) -> Any:
    """A value, on a device if it is a tensor."""
    return value.to(device) if isinstance(value, Tensor) else value


def _cast(value: Any, dtype: torch.dtype | None) -> Any:
    return value.to(dtype) if dtype and isinstance(value, Tensor) and value.dtype.is_floating_point else value
