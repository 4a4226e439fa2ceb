"""The reference's side of the judge: a task worker that draws inputs and computes answers, and what is kept of them."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from typing import Any, cast

import numpy as np

from kernelwright.errors import TaskError
from kernelwright.judge import numerics, tensors
from kernelwright.judge.answer import Answer, Expected, Inputs, is_finite, leaves, shape_of, sums_of
from kernelwright.judge.endings import WorkerBroken, WorkerGone, WorkerRefused, WorkerTimeout
from kernelwright.judge.memory import BadAddress, Bytes, Forbidden, Gone
from kernelwright.judge.process import Worker
from kernelwright.judge.rejection import task_error
from kernelwright.judge.tensors import Array, BadTensor, Claim
from kernelwright.tasks import CaseInfo, SumsInfo, Task, TaskInfo

LOAD_TIMEOUT, FORWARD_TIMEOUT = 120.0, 300.0
GIB = 1 << 30
COPIES = 12
"""Memory that judging takes, in sizes of everything that one call reads and writes: the judge's inputs and answers, the
reference and its float64 twin, the candidate (`benchmarks/judge_memory.py`)."""
TIES = "sparse"
"""The distribution with many equal values."""
ALWAYS = ("signed", "clustered")
"""The distributions that give most away (a task's own signs; approximations fitted to its density): used wherever they
can be, however busy the machine is."""
DISTRIBUTIONS_BYTES, DISTRIBUTIONS_FLOPS = 3 << 28, 1 << 36
"""Bytes that calls on further distributions of one case move, and FLOPs of their answers: a second or two. A busy
machine must not get by with fewer."""
ANSWERS_SECONDS = 30.0
"""Time for those answers where bytes and FLOPs do not tell how long they take (loops in Python)."""
DRAWN_BYTES = 16 << 20
"""Inputs that are drawn at a time."""
ANSWERS_BYTES = 3 << 30
"""Memory for answers kept between candidates; the oldest are computed again when it is exceeded."""
KEPT_WIDE = 16 << 20
"""Bytes up to which an answer is kept in float64; larger ones are rounded to float32, and what that rounding
leaves is added to what is allowed: answers are most of what judging a large task holds."""

_Values = list[Array | None]
_Leaf = tuple[dict[str, Any], Array | None, Array | None, SumsInfo]
"""A leaf of an answer: as the worker describes it, its value, float64's, and what is added up for it."""


class ReferenceSide:
    """Owns the task worker of a judge. Life cycle: `load` once; then `inputs`, `answer` as needed.

    Seeds come from the judge's own secret generator and never reach a candidate. `start` makes a fresh task worker.
    """

    def __init__(self, task: Task, start: Callable[[], Worker], seeds: np.random.Generator) -> None:
        self.task, self._start, self.seeds = task, start, seeds
        self.worker = start()
        self.state_seed = int(seeds.integers(1 << 62))
        self.info: TaskInfo
        self._available = 0
        self._answers: OrderedDict[tuple[str, str], Answer | None] = OrderedDict()
        self._distributions: dict[str, list[str]] = {}
        self._offered: dict[str, list[str]] = {}
        self._inexact: set[str] = set()
        """Cases on which float64 is the end of a worker, or answers another question."""
        self._settled: set[str] = set()
        """Cases of which it is known whether it does."""
        self.seconds = 0.0
        """The longest that the reference has taken for one answer."""
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
        except WorkerBroken as error:
            raise TaskError(f"the reference's process: {error}", where=self.task.source.filename) from error

    @contextmanager
    def _touching(self) -> Iterator[None]:
        """Around every use of an address of a task worker's. Raises `TaskError`."""
        try:
            yield
        except (BadTensor, BadAddress, Forbidden) as error:
            raise TaskError(f"its tensors cannot be read: {error}", where=self.task.source.filename) from error
        except Gone as gone:
            where = self.task.source.filename
            raise TaskError("the reference's process ended between two calls", where=where) from gone

    def read(self, claim: Claim) -> Array:
        """One tensor of the task worker's. Raises `TaskError`."""
        with self._touching():
            array: Array = tensors.read(self.worker, [claim], kept=True)[0]
        return array

    def abort(self) -> None:
        """Ends what it is computing, from another thread."""
        self.worker.kill()

    def load(self) -> TaskInfo:
        """Loads the task and describes it. Raises `TaskError`."""
        self.load_into(self.worker)
        reply = self.call("describe", LOAD_TIMEOUT)
        self.info, self._available = TaskInfo.model_validate(reply["info"]), int(reply["available"])
        return self.info

    def admit(self) -> None:
        """Raises `TaskError` where judging would take more memory than is free."""
        needed, available = COPIES * max(case.bytes for case in self.info.cases), self._available
        if needed > available:
            raise TaskError(
                f"judging it takes about {needed / GIB:.1f} GiB of memory, and {available / GIB:.1f} GiB are free",
                where=self.task.source.filename,
                remedy="make the inputs smaller",
            )

    def load_into(self, worker: Worker) -> None:
        """Loads the task into another worker of the same kind. Raises `TaskError`."""
        self.call("load_task", LOAD_TIMEOUT, worker=worker, source=self.task.source.model_dump())

    def construct(
        self, case: CaseInfo, *, worker: Worker | None = None, compiled: bool = False
    ) -> list[dict[str, Any]]:
        """Makes the reference's model for a case; its state is the same each time. Returns the state's places."""
        arguments = {"seed": self.state_seed, "case": case.name, "compiled": compiled, "changed": sorted(self.changed)}
        return list(self.call("construct", LOAD_TIMEOUT, worker=worker, **arguments)["state"])

    def inputs(self, case: CaseInfo, distribution: str = "", worker: Worker | None = None) -> Inputs:
        """Draws one set of inputs under a seed that nobody else knows, in the task worker or another one of this
        task."""
        return next(self.draws(case, 1, distribution, worker))

    def draws(
        self, case: CaseInfo, count: int, distribution: str = "", worker: Worker | None = None
    ) -> Iterator[Inputs]:
        """As `inputs`, several sets, as many at a time as are no load on memory."""
        worker = worker or self.worker
        at_once = max(1, DRAWN_BYTES // (case.read_bytes + 1))
        while count > 0:
            seeds = [self._seed() for _ in range(min(count, at_once))]
            count -= len(seeds)
            drawn = self.call(
                "draw", FORWARD_TIMEOUT, worker=worker, case=case.name, seeds=seeds, distribution=distribution
            )
            for arguments in drawn["draws"]:
                yield self._taken(arguments, worker)

    def _taken(self, arguments: list[dict[str, Any]], worker: Worker) -> Inputs:
        """One set of inputs, out of the memory of the worker that drew it."""
        described: list[dict[str, Any]] = []
        data: list[Bytes | None] = []
        for argument in arguments:
            if "tensor" in argument:
                with self._touching():
                    claim = Claim.parse(argument["tensor"])
                    data.append(tensors.raw(worker, claim, kept=True))
                described.append({"tensor": {**claim.info.model_dump(mode="json")}})
            else:
                data.append(None)
                described.append({"value": argument["value"]})
        return Inputs(tuple(described), tuple(data))

    def distributions(self, case: CaseInfo) -> list[str]:
        """Further ways to draw inputs for a case, besides the task's own, with their answers known by then.

        Those of `ALWAYS`, and of the others as many as move few bytes and take few FLOPs: all of them for most tasks.
        """
        if case.name not in self._distributions:
            chosen: list[str] = []
            start = time.monotonic()
            for name in self.offered(case):
                count = len(chosen) + 1
                dear = count * case.bytes > DISTRIBUTIONS_BYTES or count * case.flops > DISTRIBUTIONS_FLOPS
                if name not in ALWAYS and (dear or time.monotonic() - start > ANSWERS_SECONDS):
                    break
                if self.answer(case, name) is not None:
                    chosen.append(name)
            self._distributions[case.name] = chosen
            self.call("forget", LOAD_TIMEOUT, drawn=True)
        return self._distributions[case.name]

    def offered(self, case: CaseInfo) -> list[str]:
        """All ways that there are for a case, those first that `distributions` takes first."""
        if case.name not in self._offered:
            reply = self.call("distributions", FORWARD_TIMEOUT, case=case.name, seed=self._seed())
            names = (name for name in reply["distributions"] if not (case.arbitrary and name == TIES))
            self._offered[case.name] = self._order(names)
        return self._offered[case.name]

    def _order(self, names: Iterable[str]) -> list[str]:
        """Where not all are used, nobody knows which will be, those of `ALWAYS` apart, which come first."""
        with self._lock:
            return sorted(self.seeds.permutation(sorted(names)).tolist(), key=lambda name: name not in ALWAYS)

    def _seed(self) -> int:
        with self._lock:
            return int(self.seeds.integers(1 << 62))

    def answer(self, case: CaseInfo, distribution: str = "") -> Answer | None:
        """Inputs and the right answer to them, computed once; None where the reference itself overflows on them."""
        key = (case.name, distribution)
        if key not in self._answers:
            self._answers[key] = self._compute(case, distribution)
            self.call("forget", LOAD_TIMEOUT, drawn=False)
        self._answers.move_to_end(key)
        self._trim()
        return self._answers[key]

    def own_answer(self, case: CaseInfo) -> Answer:
        """The answer to the case's own inputs."""
        return cast("Answer", self.answer(case))  # only other inputs may have none

    def bind(self, inputs: Inputs) -> None:
        """Lays one set of inputs out in the task worker's slot 0."""
        reply = self.call("slots", FORWARD_TIMEOUT, arguments=list(inputs.arguments), count=1)
        for pointer, item in zip(reply["pointers"][0], inputs.data, strict=True):
            if item is not None and item.size:
                with self._touching():
                    tensors.fill(self.worker, [int(pointer)], [item])

    def _trim(self) -> None:
        held = sum(answer.nbytes for answer in self._answers.values() if answer)
        while held > ANSWERS_BYTES and len(self._answers) > 1:
            _, oldest = self._answers.popitem(last=False)
            held -= oldest.nbytes if oldest else 0

    def _compute(self, case: CaseInfo, distribution: str) -> Answer | None:
        if case.name not in self._settled and distribution:
            self.answer(case)  # which settles whether float64 answers the same question
        self.construct(case)
        inputs = self.inputs(case, distribution)
        self.bind(inputs)
        reply = self._exact(case, inputs)  # before the own run, which may change the model's state
        exact_state = self.call("state_of_exact", LOAD_TIMEOUT)["state"] if reply is not None else []
        exact = [] if reply is None else [self._read(leaf, wide=True) for leaf in leaves(reply)]
        state = {entry["name"]: self._read(entry, wide=True) for entry in exact_state if entry["name"] in self.changed}
        by, choices = self._near_ties(case, inputs, reply)
        start = time.monotonic()
        answered = self.call("answer", FORWARD_TIMEOUT, slot=0, exact=False)
        self.seconds = max(self.seconds, time.monotonic() - start)
        found = leaves(answered)
        own = [self._read(leaf) for leaf in found]
        if distribution and not all(is_finite(array, leaf) for array, leaf in zip(own, found, strict=True)):
            return None
        if [shape_of(array) for array in exact] != [shape_of(array) for array in own]:
            exact, choices, state = [None] * len(own), [], {}
        columns = list(zip(found, own, exact, sums_of(case, found), strict=True))
        outputs = tuple(self._expected(*each).beside(by, [one[i] for one in choices]) for i, each in enumerate(columns))
        left = self._expected_state(state, case.left)
        if case.name not in self._settled:
            otherwise = self._answers_otherwise(case, inputs, columns, outputs)
            self._settled.add(case.name)
            if otherwise:
                self._inexact.add(case.name)
                return self._compute(case, distribution)
        return Answer(case, distribution, inputs, outputs, left, bool(answered["aliases"]))

    def _near_ties(self, case: CaseInfo, inputs: Inputs, reply: dict[str, Any] | None) -> tuple[float, list[_Values]]:
        """Where earlier roundings decide float64's answer: by what share what is rounded may be off, and the leaves
        that are not floating where it is smaller, and larger, by that."""
        found = [] if reply is None or not reply["ties"] else leaves(reply)
        whole = ["pointer" in leaf and leaf["dtype"] not in tensors.UNIT_ROUNDOFF for leaf in found]
        if not any(whole):
            return 0.0, []
        sums = compress(sums_of(case, found), whole)
        by = max(numerics.leeway(numerics.ACCUMULATOR, each.terms, each.chain) for each in sums)
        choices: list[_Values] = []
        try:
            for share in (-by, by):
                moved = self.exact("exact", case, count=1, by=share)
                told = leaves(moved["answers"][0]) if moved else []
                if len(told) == len(found):
                    choices.append([self._read(leaf) if one else None for leaf, one in zip(told, whole, strict=True)])
        except TaskError:  # it takes too long, or too much memory
            self._afresh(case, inputs)
            return 0.0, []
        return by, choices

    def _answers_otherwise(
        self, case: CaseInfo, inputs: Inputs, columns: Sequence[_Leaf], outputs: Sequence[Expected]
    ) -> bool:
        """Whether the reference answers another question in float64, as where its kernels take float64's bytes for
        float32: it is far off, and a little change of all inputs does not move its own answer as far."""
        gross = [
            (index, want.dtype, own, exact)
            for index, ((_, own, exact, _), want) in enumerate(zip(columns, outputs, strict=True))
            if own is not None and exact is not None and want.magnitude is not None
            if numerics.gross(own, want.dtype, exact, want.magnitude)
        ]
        if not gross:
            return False
        try:
            self.construct(case)
            self.bind(inputs.nudged())
            answered = self.call("answer", FORWARD_TIMEOUT, slot=0, exact=False)
        except TaskError:  # it minds what its inputs are
            self._afresh(case, inputs)
            return False
        moved = [self._read(leaf) for leaf in leaves(answered)]
        if [shape_of(array) for array in moved] != [shape_of(own) for _, own, *_ in columns]:
            return False
        return not all(
            numerics.sensitive(own, dtype, exact, other)
            for index, dtype, own, exact in gross
            if (other := moved[index]) is not None
        )

    @property
    def changed(self) -> frozenset[str]:
        """The buffers that forward changes."""
        return frozenset(state.name for state in self.info.state if state.mutated)

    def exact(self, op: str, case: CaseInfo, worker: Worker | None = None, **arguments: Any) -> dict[str, Any] | None:
        """As `call`; None where the reference cannot be run in float64."""
        if case.name in self._inexact:
            return None
        try:
            return self.call(op, FORWARD_TIMEOUT, worker=worker, **arguments)
        except TaskError as error:
            if isinstance(error.__cause__, WorkerRefused):
                return None
            raise

    def _exact(self, case: CaseInfo, inputs: Inputs) -> dict[str, Any] | None:
        """The answer in float64, or None: where that ends the worker, takes too long or too much memory, a fresh one
        goes on without."""
        try:
            return self.exact("answer", case, slot=0, exact=True)
        except TaskError:
            self._inexact.add(case.name)
            self._afresh(case, inputs)
            return None

    def _afresh(self, case: CaseInfo, inputs: Inputs) -> None:
        """A new worker in place of one that may have ended, with these inputs."""
        self.worker = self._start()
        self.load_into(self.worker)
        self.construct(case)
        self.bind(inputs)

    def _read(self, leaf: dict[str, Any], *, wide: bool = False) -> Array | None:
        """A leaf's contents, float64 if `wide`; None for a plain value. Raises `TaskError`."""
        if "pointer" not in leaf:
            return None
        with self._touching():
            claim = Claim.parse(leaf)
        array = self.read(claim)
        return tensors.widen(array, claim.dtype) if wide and claim.dtype in tensors.UNIT_ROUNDOFF else array

    def _expected(self, leaf: dict[str, Any], array: Array | None, exact: Array | None, sums: SumsInfo) -> Expected:
        if array is None:
            return Expected(value=leaf.get("value"))
        shape, dtype, argument = tuple(leaf["shape"]), str(leaf["dtype"]), leaf.get("argument")
        if dtype not in tensors.UNIT_ROUNDOFF:
            other = exact if exact is not None and exact.dtype == array.dtype else None
            return Expected(shape, dtype, array, other, argument=argument)
        best, other = (tensors.widen(array, dtype), None) if exact is None else numerics.settle(array, dtype, exact)
        magnitude = numerics.scale(best, dtype)
        flat = np.ascontiguousarray(array).reshape(-1)
        own = numerics.errors(lambda start, stop: flat[start:stop], dtype, best, magnitude)
        bound = numerics.bound(own, dtype, sums.terms, self.task.tolerance, sums.chain)
        if best.nbytes > KEPT_WIDE:
            best, bound = numerics.narrowed(best, dtype, bound)
        return Expected(shape, dtype, np.ascontiguousarray(best), other, magnitude, bound, argument=argument)

    def _expected_state(self, exact: dict[str, Array | None], sums: SumsInfo) -> dict[str, Expected]:
        """What forward leaves in the buffers that it changes (running statistics)."""
        if not self.changed:
            return {}
        own = {
            entry["name"]: entry for entry in self.call("state", LOAD_TIMEOUT)["state"] if entry["name"] in self.changed
        }
        return {name: self._expected(entry, self._read(entry), exact.get(name), sums) for name, entry in own.items()}


def new_seeds(seed: int | None) -> np.random.Generator:
    """The judge's own generator: from the operating system's entropy unless a run must be repeatable."""
    return np.random.default_rng(secrets.randbits(128) if seed is None else seed)
