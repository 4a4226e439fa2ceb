"""What is known about a task once its code has run in the sandbox: plain data, so that nothing else has to run that
code.

Every class here mirrors JSON that `tasks/host.py` (the code that runs beside the untrusted task) sends to the judge.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["tune", "check", "held_out"]


class Data(BaseModel):
    """Immutable data that refuses unknown fields, since it may come from code that nobody trusts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorInfo(Data):
    """Shape, dtype and strides (in elements) of one tensor. `dtype` is torch's name without the prefix, e.g.
    `float32`."""

    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...]


class Argument(Data):
    """One argument of `forward`: a tensor, or a plain value (`value` is JSON as `tasks/host.py: encode` writes it)."""

    tensor: TensorInfo | None = None
    value: Any = None


class SumsInfo(Data):
    """`terms` numbers are added up on the way to an element, one operation after another; `chain` is the most that one
    of them adds up, products apart (a softmax or a norm does so inside, whatever the size of its output)."""

    terms: float = 1.0
    chain: float = 1.0


class GradientsInfo(Data):
    """What of a case has gradients: `tasks/host_backward.py: Gradients`."""

    inputs: int
    results: int
    outputs: tuple[int, ...]
    of_inputs: tuple[int, ...]
    of_parameters: tuple[str, ...]


class CaseInfo(Data):
    """One case, measured without running it on real data.

    `flops` counts matrix products and convolutions (torch's counter; elementwise work is not in it).
    `read_bytes` and `written_bytes` are the least traffic: every input, parameter and buffer that forward reads, and
    every output, moved once. `sums` tells of each output, `left` of what forward leaves in arguments and state, how
    many numbers are added up for an element.
    """

    name: str
    role: Role
    dtype: str | None
    inputs: tuple[Argument, ...]
    outputs: tuple[TensorInfo, ...]
    flops: int
    read_bytes: int
    state_bytes: int = 0
    """Of what is read, the part that every call finds in the same place: parameters and buffers."""
    written_bytes: int
    sums: tuple[SumsInfo, ...] = ()
    left: SumsInfo = SumsInfo()
    arbitrary: bool = False
    """Whether forward may choose any of several equal values (top-k): inputs with ties have several right answers."""
    gradients: GradientsInfo | None = None
    """Where a call goes forward and back: `inputs` end with gradients of outputs, `outputs` with those of inputs and
    parameters."""

    @property
    def bytes(self) -> int:
        """The least traffic in both directions."""
        return self.read_bytes + self.written_bytes


class StateInfo(Data):
    """A parameter or buffer of the reference, by its `state_dict` name. `mutated` when forward changes it.

    `attribute` is a tensor that a module holds without having registered it (`self.h0 = torch.randn(...)`), by its
    dotted name.
    """

    name: str
    kind: Literal["parameter", "buffer", "attribute"]
    tensor: TensorInfo
    mutated: bool = False


class TaskInfo(Data):
    """Everything about a task that does not need its code again. `init_inputs` is JSON as `tasks/host.py: encode`
    writes it."""

    init_inputs: Any
    cases: tuple[CaseInfo, ...]
    state: tuple[StateInfo, ...]
    hides: bool = False
    """Whether there are cases that this does not show."""

    @property
    def shown(self) -> TaskInfo:
        """The same without held-out cases; that there are some is no secret."""
        cases = tuple(case for case in self.cases if case.role != "held_out")
        return self.model_copy(update={"cases": cases, "hides": len(cases) < len(self.cases)})

    @property
    def tune_case(self) -> CaseInfo:
        """The first timed case: the one that headline numbers speak of."""
        return next(case for case in self.cases if case.role == "tune")


class GraphNode(Data):
    """One node of the exported graph (core ATen).

    `op` is `input` (a tensor argument of forward), `state` (a parameter, buffer or attribute; `target` its name),
    `constant` (a tensor that is none of them; its values, when small, in `values`), `call` (`target` e.g.
    `aten.add.Tensor`) or `output`.
    Inside `args` and `kwargs` a reference to another node is `{"node": name}`, a dtype `{"dtype": "float32"}`.
    `outputs` describes the node's result: one entry for a tensor, several for a tuple of tensors.
    The `output` node's `args` are the flattened outputs in order; `kwargs["mutations"]`, if any, says which node is the
    new value of each buffer that forward changes. Items of a tuple are taken by `getitem` calls; recurrent layers stay
    whole (`aten.lstm.input`, `aten.gru.input`).
    """

    name: str
    op: Literal["input", "state", "constant", "call", "output"]
    target: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    outputs: tuple[TensorInfo, ...] = ()
    values: Any = None


class Graph(Data):
    """A task's forward on one case as a list of nodes in execution order; `input` nodes come in the order of the tensor
    arguments."""

    case: str
    nodes: tuple[GraphNode, ...]
    gradients: GradientsInfo | None = None
    """Where the graph goes forward and back: its last inputs are the gradients of outputs, and what it returns after
    the first `results` outputs are those of inputs and parameters."""

    @property
    def upstream(self) -> list[str]:
        """The inputs that are gradients of outputs."""
        given = [node.name for node in self.nodes if node.op == "input"]
        return given[len(given) - len(self.gradients.outputs) :] if self.gradients else []

    @property
    def operations(self) -> list[str]:
        """The targets of all calls, in order."""
        return [node.target for node in self.nodes if node.op == "call"]


class Problem(Data):
    """One reason why a task is no fair test: `constant`, `ignores_inputs`, `not_repeatable`, `overflows`,
    `not_checked`."""

    name: str
    reason: str


class Fairness(Data):
    """What the fair-task check found on real data; empty means fair."""

    problems: tuple[Problem, ...] = ()

    @property
    def fair(self) -> bool:
        """Whether nothing that counts against the task was found (`not_checked` does not)."""
        return all(problem.name == "not_checked" for problem in self.problems)

    @property
    def verdict(self) -> bool | None:
        """As JSON has it: None where a check is missing and the others found nothing."""
        return None if self.fair and self.problems else self.fair
