"""The candidate's side of the judge: its workers, from loading to results. Everything that goes wrong here is a `Rejection`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernelwright.judge import tensors
from kernelwright.judge.process import Worker
from kernelwright.judge.reference import Answer, Expected, Inputs, ReferenceSide
from kernelwright.judge.rejection import Rejection, WorkerFailure, rejection
from kernelwright.judge.tensors import Array, BadTensor, Claim
from kernelwright.tasks import CaseInfo

LOAD_TIMEOUT = 60.0
POISON = 0xAD
"""Byte that results are overwritten with once they have been read, so that memory that is handed out again holds no answer."""


@dataclass
class Slots:
    """Inputs laid out in a candidate's worker: where each tensor of each set is."""

    inputs: list[Inputs]
    pointers: list[list[int | None]]


@dataclass
class CandidateSide:
    """One candidate's worker. Life cycle: made with a fresh worker, `load`, `construct` for a case, then `bind` and `run`."""

    worker: Worker
    reference: ReferenceSide
    call_timeout: float = 60.0
    loading: bool = field(default=True, init=False)

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

    def load(self, source: str, worker_module: str, build_dir: Path, *, readonly: bool, timeout: float = LOAD_TIMEOUT) -> None:
        """Executes the candidate's module in the worker."""
        self.call("load", timeout, source=source, worker_module=worker_module, build_dir=str(build_dir), readonly=readonly)

    def construct(self, case: CaseInfo, timeout: float = LOAD_TIMEOUT) -> list[dict[str, Any]]:
        """Makes ModelNew and returns where its parameters and buffers are."""
        info = self.reference.info
        reply = self.call("construct", timeout, seed=0, init_inputs=info.init_inputs, dtype=case.dtype)
        state = reply.get("state")
        if not isinstance(state, list):
            raise Rejection("tampering", "its process broke the protocol: no list of parameters")
        return state

    def ready(self, case: CaseInfo) -> list[str]:
        """Makes the model for a case with the reference's parameters; returns the names of those that found no place."""
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
            match = next((key for key, (k, c) in open_entries.items() if k == kind and c.shape == source.shape), None)
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

    def bind(self, inputs: list[Inputs]) -> Slots:
        """Makes room in the worker for several sets of inputs. Nothing is written yet: see `reveal`."""
        reply = self.call("slots", self.call_timeout, arguments=list(inputs[0].arguments), count=len(inputs))
        return Slots(inputs, self._pointers(reply, inputs))

    def reveal(self, slots: Slots, first: int, count: int) -> None:
        """Writes the inputs of some slots into the stopped worker, the last moment before it may use them."""
        chosen = range(first, first + count)
        try:
            for index, item in enumerate(slots.inputs[first].data):
                if item is not None and item.size:
                    rows = item[None] if count == 1 else np.stack([_bytes(slots.inputs[i], index) for i in chosen])
                    tensors.fill(self.worker, [slots.pointers[i][index] or 0 for i in chosen], rows)
        except BadTensor as error:
            raise Rejection("tampering", str(error)) from error

    def run(self, first: int, count: int) -> tuple[list[list[dict[str, Any]]], float]:
        """Runs forward on some slots; the outputs as the worker describes them, a list a call, and the judge's seconds."""
        self.loading = False
        reply, seconds = self.timed_call("go", self.call_timeout, first=first, count=count)
        outputs = reply.get("outputs")
        if not isinstance(outputs, list) or len(outputs) != count or not all(isinstance(one, list) for one in outputs):
            raise Rejection("tampering", "its process broke the protocol: not one list of outputs a call")
        return outputs, seconds

    def collect(self, outputs: list[list[dict[str, Any]]], expected: tuple[Expected, ...]) -> list[Array | None]:
        """Checks what the outputs are and reads them out of the stopped worker, stacked over calls: what is not there yet is wrong."""
        claims = [check_form(call, expected) for call in outputs]
        stacks: list[Array | None] = []
        for index, want in enumerate(expected):
            column = [call[index] for call in claims]
            if not want.dtype or column[0] is None:
                stacks.append(None)
                continue
            try:
                stacks.append(tensors.read(self.worker, [claim for claim in column if claim is not None]))
            except BadTensor as error:
                raise Rejection("tampering", f"output {index}: {error}") from error
        return stacks

    def poison(self, outputs: list[list[dict[str, Any]]]) -> None:
        """Overwrites results that have been read."""
        for call in outputs:
            for leaf in call:
                if "pointer" in leaf:
                    claim = Claim.parse(leaf)
                    if claim.span_bytes:
                        rows = np.full((1, claim.span_bytes), POISON, np.uint8)
                        tensors.fill(self.worker, [claim.pointer], rows)

    def unchanged(self, slots: Slots, index: int, answer: Answer) -> None:
        """Rejects a candidate that wrote into its inputs where the reference does not."""
        for position, (item, pointer) in enumerate(zip(slots.inputs[index].data, slots.pointers[index], strict=True)):
            if item is None or not item.size or position in answer.mutated_inputs:
                continue
            now = np.empty((1, item.size), np.uint8)
            tensors.memory.read(self.worker.pid, [pointer or 0], item.size, now)
            if not np.array_equal(now[0], item):
                raise Rejection("mutates_inputs", f"it writes into argument {position} of forward, which the reference leaves alone",
                                case=answer.case.name, argument=position)  # fmt: skip

    @staticmethod
    def _pointers(reply: dict[str, Any], inputs: list[Inputs]) -> list[list[int | None]]:
        pointers = reply.get("pointers")
        try:
            if isinstance(pointers, list) and len(pointers) == len(inputs) and all(len(p) == len(inputs[0].data) for p in pointers):
                return [[None if item is None else int(item) for item in slot] for slot in pointers]
        except (TypeError, ValueError):
            pass
        raise Rejection("tampering", "its process broke the protocol: not one address an input")


def check_form(call: list[Any], expected: tuple[Expected, ...]) -> list[Claim | None]:
    """One call's outputs as claims, after checking their number, kinds, shapes and dtypes. Raises `Rejection`."""
    if len(call) != len(expected):
        raise Rejection("wrong_shape", f"it returns {len(call)} outputs where the reference returns {len(expected)}",
                        got=len(call), expected=len(expected))  # fmt: skip
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
            raise Rejection("wrong_shape", f"output {index} has shape {list(claim.shape)}, the reference's {list(want.shape)}",
                            output=index, got=list(claim.shape), expected=list(want.shape))  # fmt: skip
        if claim.dtype != want.dtype:
            raise Rejection("wrong_dtype", f"output {index} is {claim.dtype}, the reference's {want.dtype}",
                            output=index, got=claim.dtype, expected=want.dtype)  # fmt: skip
        claims.append(claim)
    return claims


def _bytes(inputs: Inputs, index: int) -> Any:
    return inputs.data[index]
