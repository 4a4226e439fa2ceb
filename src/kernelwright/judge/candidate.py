"""The candidate's side of the judge: its workers, from loading to results. Everything that goes wrong here is a
`Rejection`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernelwright.judge import memory, numerics, tensors
from kernelwright.judge.comparing import compare_output
from kernelwright.judge.process import Worker
from kernelwright.judge.reference import Answer, Expected, Inputs, ReferenceSide
from kernelwright.judge.rejection import Rejection, WorkerFailure, rejection
from kernelwright.judge.tensors import BadTensor, Claim
from kernelwright.tasks import CaseInfo

LOAD_TIMEOUT = 60.0
POISON = 0xAD
"""Byte that results are overwritten with once they have been read, so that memory that is handed out again holds no
answer."""


@dataclass(frozen=True)
class Build:
    """Where a candidate's build is, the language's module that loads it, and what builds of this machine share."""

    worker_module: str
    folder: Path
    shared: Path | None


@dataclass(frozen=True)
class Slots:
    """Room for inputs in a worker: what each argument is, and where each tensor of each set lies."""

    arguments: tuple[dict[str, Any], ...]
    pointers: tuple[tuple[int | None, ...], ...]


@dataclass
class CandidateSide:
    """One candidate's worker. Life cycle: made with a fresh worker, `load`, `ready` for a case, then `bind`, `reveal`
    and `run`."""

    worker: Worker
    reference: ReferenceSide
    call_timeout: float = 60.0
    loading: bool = field(default=True, init=False)
    slots: Slots | None = field(default=None, init=False)

    def call(self, op: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Asks the worker. Raises `Rejection`."""
        return self.timed_call(op, timeout, **arguments)[0]

    def timed_call(self, op: str, timeout: float, **arguments: Any) -> tuple[dict[str, Any], float]:
        """As `call`, with the seconds it took. Raises `Rejection`."""
        output = ""
        try:
            return self.worker.timed_call(op, timeout, **arguments)
        except WorkerFailure as error:
            output = self.worker.output()
            raise rejection(error, output, loading=self.loading) from error

    def load(self, source: str, build: Build, *, readonly: bool, timeout: float = LOAD_TIMEOUT) -> None:
        """Executes the candidate's module in the worker."""
        arguments = {
            "worker_module": build.worker_module,
            "build_dir": str(build.folder),
            "shared": str(build.shared or ""),
        }
        self.call("load", timeout, source=source, readonly=readonly, **arguments)

    def construct(self, case: CaseInfo, timeout: float = LOAD_TIMEOUT) -> list[dict[str, Any]]:
        """Makes ModelNew and returns where its parameters and buffers are."""
        info = self.reference.info
        reply = self.call("construct", timeout, seed=0, init_inputs=info.init_inputs, dtype=case.dtype)
        state = reply.get("state")
        if not isinstance(state, list):
            raise Rejection("tampering", "its process broke the protocol: no list of parameters")
        return state

    def ready(self, case: CaseInfo) -> list[str]:
        """Makes the model for a case with the reference's parameters; returns the names of those that found no
        place."""
        return self.give_state(case, self.construct(case))

    def restore(self, case: CaseInfo) -> None:
        """Puts the reference's parameters and buffers back after forward has changed some."""
        self.give_state(case, self.call("state", LOAD_TIMEOUT).get("state", []))

    def give_state(self, case: CaseInfo, entries: list[dict[str, Any]]) -> list[str]:
        """Writes the reference's parameters and buffers into the candidate's: by name, else by order and shape.

        Returns:
            The names of reference parameters that found no place (the candidate may have folded them into others).
        """
        theirs = self.reference.construct(case)
        try:
            return self._match(theirs, entries)
        except (BadTensor, KeyError, TypeError) as error:
            raise Rejection("tampering", f"its parameters are not what it says: {error}") from error

    def _match(self, theirs: list[dict[str, Any]], entries: list[dict[str, Any]]) -> list[str]:
        claims = [(str(entry["name"]), str(entry["kind"]), Claim.parse(entry)) for entry in entries]
        open_entries = {name: (kind, claim) for name, kind, claim in claims}
        unplaced: list[tuple[str, str, Claim]] = []
        for entry in theirs:
            name, kind, source = str(entry["name"]), str(entry["kind"]), Claim.parse(entry)
            if name in open_entries and open_entries[name][1].shape == source.shape:
                self._copy(source, open_entries.pop(name)[1])
            else:
                unplaced.append((name, kind, source))
        left = []
        for name, kind, source in unplaced:
            match = next(
                (key for key, (k, c) in open_entries.items() if k == kind != "attribute" and c.shape == source.shape),
                None,
            )
            if match is None:
                left.append(name)
            else:
                self._copy(source, open_entries.pop(match)[1])
        return left

    def _copy(self, source: Claim, target: Claim) -> None:
        if source.elements == 0:
            return
        if source.dtype != target.dtype or not target.contiguous:
            raise BadTensor(f"{target.dtype} with strides {target.strides} where the reference has {source.dtype}")
        data = np.ascontiguousarray(tensors.read(self.reference.worker, [source])[0])
        tensors.fill(self.worker, [target.pointer], data.reshape(1, -1).view(np.uint8))

    def bind(self, like: Inputs, count: int = 1) -> Slots:
        """Makes room in the worker for `count` sets of inputs like these."""
        if self.slots is None or self.slots.arguments != like.arguments or len(self.slots.pointers) != count:
            reply = self.call("slots", self.call_timeout, arguments=list(like.arguments), count=count)
            self.slots = Slots(like.arguments, self._pointers(reply, like, count))
        return self.slots

    def reveal(self, inputs: list[Inputs]) -> None:
        """Writes sets of inputs into the slots of the stopped worker, the last moment before it may use them."""
        assert self.slots is not None
        try:
            for index, item in enumerate(inputs[0].data):
                if item is not None and item.size:
                    rows = item[None] if len(inputs) == 1 else np.stack([_bytes(one, index) for one in inputs])
                    tensors.fill(self.worker, [slot[index] or 0 for slot in self.slots.pointers[: len(inputs)]], rows)
        except BadTensor as error:
            raise Rejection("tampering", str(error)) from error

    def run(self, count: int) -> tuple[list[list[dict[str, Any]]], float]:
        """Runs forward on the first slots; the outputs as the worker describes them, a list a call, and the judge's
        seconds."""
        self.loading = False
        reply, seconds = self.timed_call("go", self.call_timeout, count=count)
        outputs = reply.get("outputs")
        if not isinstance(outputs, list) or len(outputs) != count or not all(isinstance(one, list) for one in outputs):
            raise Rejection("tampering", "its process broke the protocol: not one list of outputs a call")
        return outputs, seconds

    def compare(
        self, outputs: list[list[dict[str, Any]]], expected: tuple[Expected, ...]
    ) -> list[numerics.Errors | None]:
        """Checks what the outputs of a batch of calls are, reads them out of the stopped worker and compares every
        element.

        Args:
            outputs: what the worker says they are, a list a call.
            expected: what they must be; arrays are stacked over the calls when there are several.

        Returns:
            The errors of each floating output. Raises `Rejection`: what is not there yet when the call has returned is
            wrong.
        """
        claims = [check_form(call, expected) for call in outputs]
        found: list[numerics.Errors | None] = []
        for index, want in enumerate(expected):
            column = [call[index] for call in claims]
            held = [claim for claim in column if claim is not None]
            if not held:
                found.append(None)
                continue
            try:
                found.append(compare_output(tensors.fetcher(self.worker, held), want, f"output {index}"))
            except BadTensor as error:
                raise Rejection("tampering", f"output {index}: {error}") from error
        return found

    def poison(self, outputs: list[list[dict[str, Any]]]) -> None:
        """Overwrites results that have been read."""
        for call in outputs:
            for leaf in call:
                if "pointer" in leaf:
                    claim = Claim.parse(leaf)
                    memory.fill(self.worker.pid, claim.pointer, claim.span_bytes, POISON)

    def unchanged(self, answer: Answer) -> None:
        """Rejects a candidate that wrote into its inputs (slot 0) where the reference does not."""
        assert self.slots is not None
        for position, (item, pointer) in enumerate(zip(answer.inputs.data, self.slots.pointers[0], strict=True)):
            if item is None or not item.size or position in answer.mutated_inputs:
                continue
            if not memory.equal(self.worker.pid, pointer or 0, item):
                raise Rejection(
                    "mutates_inputs",
                    f"it writes into argument {position} of forward, which the reference leaves alone",
                    case=answer.case.name,
                    argument=position,
                )

    @staticmethod
    def _pointers(reply: dict[str, Any], like: Inputs, count: int) -> tuple[tuple[int | None, ...], ...]:
        pointers = reply.get("pointers")
        try:
            if (
                isinstance(pointers, list)
                and len(pointers) == count
                and all(len(slot) == len(like.data) for slot in pointers)
            ):
                return tuple(tuple(None if item is None else int(item) for item in slot) for slot in pointers)
        except (TypeError, ValueError):
            pass
        raise Rejection("tampering", "its process broke the protocol: not one address an input")


def check_form(call: list[Any], expected: tuple[Expected, ...]) -> list[Claim | None]:
    """One call's outputs as claims, after checking their number, kinds, shapes and dtypes. Raises `Rejection`."""
    if len(call) != len(expected):
        raise Rejection(
            "wrong_shape",
            f"it returns {len(call)} outputs where the reference returns {len(expected)}",
            got=len(call),
            expected=len(expected),
        )
    claims: list[Claim | None] = []
    for index, (leaf, want) in enumerate(zip(call, expected, strict=True)):
        if not want.dtype:
            if not isinstance(leaf, dict) or leaf.get("value") != want.value:
                raise Rejection("wrong_values", f"output {index} is {leaf}, not the value {want.value}", output=index)
            claims.append(None)
            continue
        if not isinstance(leaf, dict) or "pointer" not in leaf:
            what = leaf.get("other", "no tensor") if isinstance(leaf, dict) else "no tensor"
            raise Rejection("wrong_shape", f"output {index} is no plain tensor but {what}", output=index)
        try:
            claim = Claim.parse(leaf)
        except BadTensor as error:
            raise Rejection("wrong_dtype", f"output {index}: {error}", output=index) from error
        if claim.shape != want.shape:
            raise Rejection(
                "wrong_shape",
                f"output {index} has shape {list(claim.shape)}, the reference's {list(want.shape)}",
                output=index,
                got=list(claim.shape),
                expected=list(want.shape),
            )
        if claim.dtype != want.dtype:
            raise Rejection(
                "wrong_dtype",
                f"output {index} is {claim.dtype}, the reference's {want.dtype}",
                output=index,
                got=claim.dtype,
                expected=want.dtype,
            )
        claims.append(claim)
    return claims


def _bytes(inputs: Inputs, index: int) -> Any:
    return inputs.data[index]
