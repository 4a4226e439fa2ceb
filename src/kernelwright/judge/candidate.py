"""The candidate's side of the judge: its workers, from loading to results. Everything that goes wrong here is a
`Rejection`."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kernelwright.judge import numerics, tensors
from kernelwright.judge.answer import Answer, Expected, Inputs
from kernelwright.judge.comparing import check_form, compare_output
from kernelwright.judge.rejection import Rejection
from kernelwright.judge.runner import Runner, address, state_in
from kernelwright.judge.tensors import BadTensor, Claim
from kernelwright.tasks import CaseInfo

LOAD_TIMEOUT, BUILD_TIMEOUT = 60.0, 180.0
SAMPLE = 0.125
"""Share of large inputs that is looked at for changes after all calls but a few, which are looked at whole."""
POISON = 0xAD
"""Byte that results are overwritten with once they have been read, so that memory that is handed out again holds no
answer."""


@dataclass(frozen=True)
class Build:
    """Where a candidate's build is, the language's module that loads it, and what builds of this machine share."""

    worker_module: str
    folder: Path
    shared: Path | None
    timeout: float
    """Seconds that it may take."""


@dataclass
class CandidateSide(Runner):
    """One candidate's worker. Life cycle: made with a fresh worker, `load`, `ready` for a case, then `bind` and
    `run`."""

    spoilt: bool = field(default=False, init=False)
    """A result that was overwritten after it had been read was one of its parameters or buffers."""
    state: tuple[Claim, ...] = field(default=(), init=False)
    hooked: bool = field(default=False, init=False)
    """Its model says that loading a state dict does more than copying."""
    _read: list[Claim] = field(default_factory=list, init=False)

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
        gradients = case.gradients.model_dump() if case.gradients else None
        reply = self.call(
            "construct", timeout, seed=0, init_inputs=info.init_inputs, dtype=case.dtype, gradients=gradients
        )
        self.hooked = reply.get("hooks") is True
        return state_in(reply)

    def ready(self, case: CaseInfo) -> list[str]:
        """Makes the model for a case with the reference's parameters; returns the names of those that found no
        place."""
        return self.give_state(case, self.construct(case))

    def restore(self, case: CaseInfo) -> None:
        """Puts the reference's parameters and buffers back after forward has changed some: what the reference's changes
        as well, and all where the judge has written over some."""
        only = None if self.spoilt or self.hooked else self.reference.changed
        self.give_state(case, state_in(self.call("state", LOAD_TIMEOUT)), only)

    def give_state(
        self, case: CaseInfo, entries: list[dict[str, Any]], only: frozenset[str] | None = None
    ) -> list[str]:
        """Writes the reference's parameters and buffers, or only those of some names, into the candidate's: by name,
        else by order and shape.

        Returns:
            The names of reference parameters that found no place (the candidate may have folded them into others).
        """
        theirs = self.reference.construct(case)
        with self.trusting("its parameters"):
            self.state, self.spoilt = tuple(Claim.parse(entry) for entry in entries), False
        left = self._match(theirs, entries, only)
        if self.hooked:
            self._load_state([entry for entry in theirs if entry["kind"] != "attribute"])
        return left

    def _load_state(self, theirs: list[dict[str, Any]]) -> None:
        """Has its model load the reference's state dict, since hooks pack or rename what they are given."""
        shapes = [{key: entry[key] for key in ("name", "shape", "dtype")} for entry in theirs]
        pointers: Any = self.call("stage", LOAD_TIMEOUT, state=shapes).get("pointers")
        if not isinstance(pointers, list) or len(pointers) != len(theirs):
            raise Rejection("tampering", "its process broke the protocol: not one address a parameter")
        for entry, pointer in zip(theirs, pointers, strict=True):
            source = Claim.parse(entry)
            if source.elements:
                data = np.ascontiguousarray(self.reference.read(source))
                with self.trusting("its copies of parameters"):
                    tensors.fill(self.worker, [address(pointer)], [data.reshape(-1).view(np.uint8)])
        self.call("load_state", LOAD_TIMEOUT)

    def _match(
        self, theirs: list[dict[str, Any]], entries: list[dict[str, Any]], only: frozenset[str] | None
    ) -> list[str]:
        with self.trusting("its parameters"):
            claims = [(str(entry.get("name")), str(entry.get("kind")), Claim.parse(entry)) for entry in entries]
        open_entries = {name: (kind, claim) for name, kind, claim in claims}
        unplaced: list[tuple[str, str, Claim]] = []
        pairs: list[tuple[str, Claim, Claim]] = []
        for entry in theirs:
            name, kind, source = str(entry["name"]), str(entry["kind"]), Claim.parse(entry)
            if name in open_entries and open_entries[name][1].shape == source.shape:
                pairs.append((name, source, open_entries.pop(name)[1]))
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
                pairs.append((name, source, open_entries.pop(match)[1]))
        for name, source, target in pairs:
            if only is None or name in only:
                self._copy(source, target)
        return left

    def _copy(self, source: Claim, target: Claim) -> None:
        if source.elements == 0:
            return
        data = self.reference.read(source)
        try:
            row = tensors.laid_out(data, source.dtype, target)
        except BadTensor as error:
            raise Rejection("wrong_dtype", f"its parameters cannot hold the reference's: {error}") from error
        with self.trusting("a parameter"):
            tensors.fill(self.worker, [target.pointer], [row])

    def compare(
        self, outputs: list[list[dict[str, Any]]], expected: tuple[Expected, ...], *, explained: bool = True
    ) -> list[numerics.Errors | None]:
        """Checks what the outputs of a batch of calls are, reads them out of the stopped worker and compares every
        element.

        Args:
            outputs: what the worker says they are, a list a call.
            expected: what they must be, and what must be in the slots afterwards; arrays are stacked over the calls
                when there are several.
            explained: see `compare_output`.

        Returns:
            The errors of what is floating in `expected`. Raises `Rejection`: what is not there yet when the call has
            returned is wrong.
        """
        claims = [check_form(call, expected) for call in outputs]
        self._read = [claim for call in claims for claim in call if claim is not None]
        found: list[numerics.Errors | None] = []
        for index, want in enumerate(expected):
            column = [call[index] for call in claims] if want.argument is None else self.arguments(want, len(claims))
            held = [claim for claim in column if claim is not None]
            what = want.name.format(index)
            if not held:
                found.append(None)
                continue
            try:
                with self.trusting(what):
                    found.append(compare_output(tensors.fetcher(self.worker, held), want, what, explained=explained))
            except Rejection as rejected:
                if rejected.reason != "tampering" and want.argument is None and same_memory(held):
                    message = f"{what} is the same memory in several calls: forward must return fresh tensors"
                    raise Rejection("reuses_outputs", message, **rejected.evidence) from rejected
                raise
        return found

    def arguments(self, want: Expected, count: int) -> list[Claim]:
        """Where the first slots hold the argument that `want` describes."""
        assert self.slots is not None
        position = want.argument or 0
        described = self.slots.arguments[position]["tensor"]
        return [Claim.parse({**described, "pointer": slot[position] or 0}) for slot in self.slots.pointers[:count]]

    def poison(self) -> None:
        """Overwrites the results that `compare` has read, and nothing else that the worker may call a result."""
        for claim in self._read:
            with self.trusting("an output"):
                self.worker.space.fill(claim.pointer, claim.span_bytes, POISON)
            self.spoilt |= any(_overlap(claim, held) for held in self.state)
        self._read = []

    def unchanged(self, answer: Answer, inputs: Inputs, slot: int = 0, share: float = 1.0) -> None:
        """Rejects a candidate that wrote into the inputs in a slot where the reference, giving `answer`, does not; of
        large inputs it looks at a `share`."""
        assert self.slots is not None
        for position, (item, pointer) in enumerate(zip(inputs.data, self.slots.pointers[slot], strict=True)):
            if item is None or not item.size or position in answer.mutated_inputs:
                continue
            with self.trusting(f"argument {position}"):
                same = self.worker.space.equal(pointer or 0, item, share)
            if not same:
                raise Rejection(
                    "mutates_inputs",
                    f"it writes into argument {position} of forward, which the reference leaves alone",
                    argument=position,
                )

    def apart(self, answer: Answer, inputs: Inputs) -> None:
        """Rejects outputs, as `compare` has read them, in the memory of inputs, where the reference returns new ones:
        whoever changes one changes the other."""
        assert self.slots is not None
        if answer.aliases or answer.mutated_inputs:
            return
        taken = sorted(
            (pointer, pointer + item.nbytes, position)
            for slot in self.slots.pointers
            for position, (item, pointer) in enumerate(zip(inputs.data, slot, strict=True))
            if item is not None and pointer
        )
        for claim in self._read:
            before = bisect.bisect_left(taken, (claim.pointer + claim.span_bytes, 0, 0))
            if before and claim.span_bytes and taken[before - 1][1] > claim.pointer:
                argument = taken[before - 1][2]
                raise Rejection(
                    "mutates_inputs",
                    f"it returns the memory of argument {argument} of forward; the reference returns new memory",
                    argument=argument,
                )

    def compare_state(self, expected: dict[str, Expected]) -> None:
        """Compares what the last run left in the buffers that the reference's forward changes. Raises `Rejection`."""
        entries = {entry["name"]: entry for entry in self.left}
        for name, want in expected.items():
            if name not in entries:
                raise Rejection(
                    "wrong_values",
                    f"the reference's forward changes {name}, and the candidate has no such buffer",
                    buffer=name,
                )
            with self.trusting(f"buffer {name}"):
                claim = Claim.parse(entries[name])
                if (claim.shape, claim.dtype) != (want.shape, want.dtype):
                    raise Rejection(
                        "wrong_shape" if claim.shape != want.shape else "wrong_dtype",
                        f"buffer {name} is {claim.dtype}{list(claim.shape)}, not {want.dtype}{list(want.shape)}",
                        buffer=name,
                    )
                compare_output(tensors.fetcher(self.worker, [claim]), want, f"buffer {name} after forward")


def same_memory(claims: list[Claim]) -> bool:
    """Whether two of these tensors overlap."""
    spans = sorted((claim.pointer, claim.pointer + claim.span_bytes) for claim in claims if claim.elements)
    return any(end > start for (_, end), (start, _) in pairwise(spans))


def _overlap(one: Claim, other: Claim) -> bool:
    return one.pointer < other.pointer + other.span_bytes and other.pointer < one.pointer + one.span_bytes
