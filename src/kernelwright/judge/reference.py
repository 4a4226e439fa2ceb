"""The reference's side of the judge: a task worker that draws inputs and computes answers, and what the judge keeps of
them."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernelwright.errors import TaskError
from kernelwright.judge import numerics, tensors
from kernelwright.judge.memory import Bytes
from kernelwright.judge.process import Worker, WorkerGone, WorkerRefused, WorkerTimeout
from kernelwright.judge.tensors import Array, BadTensor, Claim
from kernelwright.tasks import CaseInfo, Task, TaskInfo

LOAD_TIMEOUT, FORWARD_TIMEOUT = 120.0, 300.0
GIB = 1 << 30
COPIES = 8
"""Memory that judging takes, in sizes of everything that one call reads and writes: the judge's own, the reference and
its float64 twin, the candidate."""
PRIORITY = ("signed", "sparse", "scaled", "shifted")
"""Distributions by what they give away, most first: where time is short, the first ones are used."""
ANSWERS_SECONDS = 2.0
"""Time for the answers on further distributions of one case; one is always used."""
ANSWERS_BYTES = 3 << 30
"""Memory for answers kept between candidates; the oldest are computed again when it is exceeded."""


@dataclass(frozen=True)
class Inputs:
    """One set of inputs: `arguments` as the wire describes them, and the bytes of each tensor among them."""

    arguments: tuple[dict[str, Any], ...]
    data: tuple[Bytes | None, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(item.nbytes for item in self.data if item is not None)


@dataclass(frozen=True)
class Expected:
    """One output leaf of the reference: what it must be, how exact, and how far off a candidate may be.

    `exact` is float64 (the answer computed in it) for floating outputs, else the reference's own value; `alternative`
    is another
    right answer for outputs that are not floating (the float64 run's choice between near ties). `value` is set for a
    plain value.
    """

    shape: tuple[int, ...] = ()
    dtype: str = ""
    exact: Array | None = None
    alternative: Array | None = None
    magnitude: Array | None = None
    bound: numerics.Bound | None = None
    value: Any = None


@dataclass(frozen=True)
class Answer:
    """The reference's answer to one set of inputs, and the float64 state after it (only what forward changes)."""

    case: CaseInfo
    name: str
    inputs: Inputs
    outputs: tuple[Expected, ...]
    state: dict[str, Expected] = field(default_factory=dict)
    mutated_inputs: frozenset[int] = frozenset()

    @property
    def nbytes(self) -> int:
        """Memory it holds."""
        held = [array for out in self.outputs for array in (out.exact, out.alternative) if array is not None]
        return self.inputs.nbytes + sum(array.nbytes for array in held)


class ReferenceSide:
    """Owns the task worker of a judge. Life cycle: made with a fresh worker; `load` once; then `inputs`, `answer` as
    needed.

    Seeds come from the judge's own secret generator and never reach a candidate.
    """

    def __init__(self, task: Task, worker: Worker, seeds: np.random.Generator) -> None:
        self.task, self.worker, self.seeds = task, worker, seeds
        self.state_seed = int(seeds.integers(1 << 62))
        self.info: TaskInfo
        self._answers: OrderedDict[tuple[str, str], Answer | None] = OrderedDict()
        self._distributions: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def call(self, op: str, timeout: float, *, worker: Worker | None = None, **arguments: Any) -> dict[str, Any]:
        """Asks the task worker (or another one of this task). Raises `TaskError` for whatever goes wrong: it is the
        task's fault."""
        try:
            return (worker or self.worker).call(op, timeout, **arguments)
        except WorkerRefused as refused:
            raise task_error(self.task, refused.details) from refused
        except WorkerTimeout as error:
            raise TaskError(
                f"the reference takes longer than {timeout:.0f} s",
                where=self.task.source.filename,
                remedy="make the inputs smaller",
            ) from error
        except WorkerGone as gone:
            how = gone.signal_name or f"exit status {gone.status}"
            raise TaskError(
                f"the reference's process ended ({how}) {gone.output[-300:].strip()}",
                where=self.task.source.filename,
                remedy="make the inputs smaller, or run the file by itself",
            ) from gone

    def load(self) -> TaskInfo:
        """Loads the task and describes it. Raises `TaskError`."""
        self.load_into(self.worker)
        reply = self.call("describe", LOAD_TIMEOUT)
        self.info = TaskInfo.model_validate(reply["info"])
        needed, available = COPIES * max(case.bytes for case in self.info.cases), int(reply["available"])
        if needed > available:
            raise TaskError(
                f"judging it takes about {needed / GIB:.1f} GiB of memory, and {available / GIB:.1f} GiB are free",
                where=self.task.source.filename,
                remedy="make the inputs smaller",
            )
        return self.info

    def load_into(self, worker: Worker) -> None:
        """Loads the task into another worker of the same kind. Raises `TaskError`."""
        self.call("load_task", LOAD_TIMEOUT, worker=worker, source=self.task.source.model_dump())

    def construct(
        self, case: CaseInfo, *, worker: Worker | None = None, compiled: bool = False
    ) -> list[dict[str, Any]]:
        """Makes the reference's model for a case; its state is the same each time. Returns the state's places."""
        arguments = {"seed": self.state_seed, "case": case.name, "compiled": compiled}
        return list(self.call("construct", LOAD_TIMEOUT, worker=worker, **arguments)["state"])

    def inputs(self, case: CaseInfo, distribution: str = "", worker: Worker | None = None) -> Inputs:
        """Draws one set of inputs under a seed that nobody else knows, in the task worker or another one of this
        task."""
        worker = worker or self.worker
        arguments: list[dict[str, Any]] = []
        data: list[Bytes | None] = []
        drawn = self.call(
            "draw", FORWARD_TIMEOUT, worker=worker, case=case.name, seed=self._seed(), distribution=distribution
        )
        for argument in drawn["arguments"]:
            if "tensor" in argument:
                claim = Claim.parse(argument["tensor"])
                data.append(tensors.raw(worker, claim))
                arguments.append({"tensor": {**claim.info.model_dump(mode="json")}})
            else:
                data.append(None)
                arguments.append({"value": argument["value"]})
        return Inputs(tuple(arguments), tuple(data))

    def distributions(self, case: CaseInfo) -> list[str]:
        """Further ways to draw inputs for a case, besides the task's own, with their answers known by then.

        As many as can be answered in a short time: all of them for small tasks.
        """
        if case.name not in self._distributions:
            reply = self.call("distributions", FORWARD_TIMEOUT, case=case.name, seed=self._seed())
            offered = sorted(map(str, reply["distributions"]), key=_priority)
            chosen: list[str] = []
            start = time.monotonic()
            for name in offered:
                if chosen and time.monotonic() - start > ANSWERS_SECONDS:
                    break
                if self.answer(case, name) is not None:
                    chosen.append(name)
            self._distributions[case.name] = chosen
        return self._distributions[case.name]

    def _seed(self) -> int:
        with self._lock:
            return int(self.seeds.integers(1 << 62))

    def answer(self, case: CaseInfo, distribution: str = "") -> Answer | None:
        """Inputs and the right answer to them, computed once; None where the reference itself overflows on them."""
        key = (case.name, distribution)
        if key not in self._answers:
            self._answers[key] = self._compute(case, distribution)
        self._answers.move_to_end(key)
        self._trim()
        return self._answers[key]

    def _bind(self, inputs: Inputs) -> None:
        """Lays one set of inputs out in the task worker's slot 0."""
        reply = self.call("slots", FORWARD_TIMEOUT, arguments=list(inputs.arguments), count=1)
        for pointer, item in zip(reply["pointers"][0], inputs.data, strict=True):
            if item is not None and item.size:
                tensors.fill(self.worker, [int(pointer)], item[None])

    def _trim(self) -> None:
        held = sum(answer.nbytes for answer in self._answers.values() if answer)
        while held > ANSWERS_BYTES and len(self._answers) > 1:
            _, oldest = self._answers.popitem(last=False)
            held -= oldest.nbytes if oldest else 0

    def _compute(self, case: CaseInfo, distribution: str) -> Answer | None:
        self.construct(case)
        inputs = self.inputs(case, distribution)
        self._bind(inputs)
        exact_leaves = self._exact()  # before the own run, which may change the model's state
        exact_state = self.call("state_of_exact", LOAD_TIMEOUT)["state"] if exact_leaves is not None else []
        exact = (
            None
            if exact_leaves is None
            else [self._read(leaf, wide=True) if "pointer" in leaf else None for leaf in exact_leaves]
        )
        state = {entry["name"]: self._read(entry, wide=True) for entry in exact_state if entry["name"] in self._changed}
        reply = self.call("answer", FORWARD_TIMEOUT, slot=0, exact=False)
        own = [self._read(leaf) if "pointer" in leaf else None for leaf in reply["outputs"]]
        if distribution and not all(_finite(array, leaf) for array, leaf in zip(own, reply["outputs"], strict=True)):
            return None
        if exact is None or [_shape(array) for array in exact] != [_shape(array) for array in own]:
            exact = [None] * len(own)
        terms = _terms(case)
        leaves = zip(reply["outputs"], own, exact, strict=True)
        outputs = tuple(self._expected(leaf, array, best, terms) for leaf, array, best in leaves)
        return Answer(
            case, distribution, inputs, outputs, self._expected_state(state, terms), frozenset(reply["mutated"])
        )

    @property
    def _changed(self) -> set[str]:
        return {state.name for state in self.info.state if state.mutated}

    def _exact(self) -> list[dict[str, Any]] | None:
        """The float64 answer's outputs, or None where the reference cannot be run in float64."""
        try:
            return list(self.worker.call("answer", FORWARD_TIMEOUT, slot=0, exact=True)["outputs"])
        except WorkerRefused:
            return None

    def _read(self, leaf: dict[str, Any], *, wide: bool = False) -> Array:
        claim = Claim.parse(leaf)
        array = tensors.read(self.worker, [claim])[0]
        return tensors.widen(array, claim.dtype) if wide and claim.dtype in tensors.UNIT_ROUNDOFF else array

    def _expected(self, leaf: dict[str, Any], array: Array | None, exact: Array | None, terms: float) -> Expected:
        if array is None:
            return Expected(value=leaf.get("value"))
        shape, dtype = tuple(leaf["shape"]), str(leaf["dtype"])
        if dtype not in tensors.UNIT_ROUNDOFF:
            other = exact if exact is not None and exact.dtype == array.dtype else None
            return Expected(shape, dtype, array, other)
        best = exact if exact is not None else tensors.widen(array, dtype)
        magnitude = numerics.scale(best, dtype)
        flat = np.ascontiguousarray(array).reshape(-1)
        own = numerics.errors(lambda start, stop: flat[start:stop], dtype, best, magnitude)
        bound = numerics.bound(own, dtype, terms, self.task.tolerance)
        return Expected(shape, dtype, np.ascontiguousarray(best), None, magnitude, bound)

    def _expected_state(self, exact: dict[str, Array], terms: float) -> dict[str, Expected]:
        """What forward leaves in the buffers that it changes (running statistics)."""
        if not self._changed:
            return {}
        own = {
            entry["name"]: entry
            for entry in self.call("state", LOAD_TIMEOUT)["state"]
            if entry["name"] in self._changed
        }
        return {name: self._expected(entry, self._read(entry), exact.get(name), terms) for name, entry in own.items()}


def task_error(task: Task, details: dict[str, Any]) -> TaskError:
    """A task worker's refusal as an error for the user."""
    line = details.get("line") or 0
    where = f"{task.source.filename}:{line}" if line else task.source.filename
    kind, message = details.get("kind", ""), str(details.get("message", "")).strip()
    what = f"{details['type']}: {message}" if details.get("type") else message
    if kind == "memory":
        return TaskError(what, where=where, remedy=str(details.get("remedy") or "make the inputs smaller"))
    return TaskError(
        what.splitlines()[0] if what else "it does not run",
        where=where,
        remedy=str(details.get("remedy") or "run the file by itself to see the whole error"),
    )


def new_seeds(seed: int | None) -> np.random.Generator:
    """The judge's own generator: from the operating system's entropy unless a run must be repeatable."""
    return np.random.default_rng(secrets.randbits(128) if seed is None else seed)


def _priority(distribution: str) -> int:
    return PRIORITY.index(distribution) if distribution in PRIORITY else len(PRIORITY)


def _terms(case: CaseInfo) -> float:
    """About how many terms an output element sums: by FLOPs (products) and by elements in over elements out
    (reductions)."""
    out = sum(int(np.prod(tensor.shape, dtype=np.int64)) for tensor in case.outputs)
    inward = sum(int(np.prod(arg.tensor.shape, dtype=np.int64)) for arg in case.inputs if arg.tensor)
    return max(1.0, case.flops / 2 / max(out, 1), inward / max(out, 1))


def _shape(array: Array | None) -> tuple[int, ...] | None:
    return None if array is None else array.shape


def _finite(array: Array | None, leaf: dict[str, Any]) -> bool:
    dtype = str(leaf.get("dtype"))
    return (
        array is None
        or dtype not in tensors.UNIT_ROUNDOFF
        or bool(np.isfinite(tensors.widen(array, dtype) if dtype == "bfloat16" else array).all())
    )


__all__ = ["Answer", "BadTensor", "Expected", "Inputs", "ReferenceSide", "new_seeds", "task_error"]
