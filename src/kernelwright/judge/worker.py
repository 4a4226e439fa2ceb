"""The untrusted side: the only module that ever imports a candidate or a task. Torch and the standard library only.

A worker answers requests from the judge one at a time, and is stopped by it (SIGSTOP) between them. Nothing it says is
believed: the judge draws inputs, reads results out of this process's memory, keeps the time and decides.

Requests (`op`) are the methods `do_...` of `Subject`: some for the task, some for a candidate, some for both. A reply
holds what was asked, or `error`.
"""

from __future__ import annotations

import ctypes
import importlib
import linecache
import os
import socket
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from kernelwright.judge import wire
from kernelwright.judge.described import describe_calls, describe_error, describe_output, describe_tensor, leaves
from kernelwright.judge.wire import PROBE
from kernelwright.judge.worker_host import Host
from kernelwright.judge.worker_values import (
    Kept,
    copied,
    described_argument,
    described_state,
    hooks_loading,
    pointer,
    room,
    storage,
    versions,
)
from kernelwright.languages import inductor
from kernelwright.tasks import host, host_backward, host_memory

CANDIDATE_MODULE = "candidate"
CANDIDATE_FILE = "candidate.py"


class Refused(Exception):
    """The request cannot be served for a reason that is the candidate's or the task's fault; `kind` is its name."""

    def __init__(self, kind: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.kind, self.details = kind, details


def open_device(files: tuple[str, ...]) -> Host:
    """The device that is reached through these files, the CPU where there are none."""
    if not files:
        return Host()
    from kernelwright.judge.worker_cuda import Cuda

    return Cuda()


def serve(sock: socket.socket, layers: dict[str, bool], device: Host) -> int:
    """Answers requests until the judge hangs up; returns the exit code. `layers` of the sandbox and the device are told
    to the judge, before any code is run that could lie about them."""

    def ready() -> None:
        wire.send(sock, {"ready": True})
        if not sock.recv(1):
            raise wire.Closed("the judge has hung up")

    subject = Subject(ready, device)
    probe = ctypes.create_string_buffer(PROBE)
    wire.send(sock, {"layers": layers, "probe": ctypes.addressof(probe), "device": device.facts()})
    while True:
        try:
            request = wire.receive(sock, limit=None)
        except wire.Closed:
            return 0
        wire.send(sock, subject.device.told(_answer(subject, request)))


def _answer(subject: Subject, request: dict[str, Any]) -> dict[str, Any]:
    arguments = dict(request)
    operation = getattr(subject, "do_" + arguments.pop("op"))
    try:
        reply: dict[str, Any] = operation(**arguments)
    except Refused as refused:
        return {"error": {"kind": refused.kind, "message": str(refused), **refused.details}}
    except host.HostError as error:
        return {"error": {"kind": error.kind, "message": str(error), "line": error.line, "remedy": error.remedy}}
    except BaseException as error:  # noqa: BLE001 - whatever untrusted code raises, SystemExit included, is an answer
        return {"error": describe_error(error, CANDIDATE_FILE)}
    return reply


class Subject:
    """The module under judgement in this worker, task or candidate, with its inputs and last outputs, on a device.
    `ready` waits for the judge's go."""

    def __init__(self, ready: Callable[[], None], device: Host) -> None:
        self.ready = ready
        self.reference: host.Reference | None = None
        self.language: types.ModuleType | None = None
        self.namespace: dict[str, Any] = {}
        self.model: torch.nn.Module | None = None
        self.exact: torch.nn.Module | None = None
        self.slots: list[list[Any]] = []
        self.progress: Any = (ctypes.c_int64 * 1)()
        self.outputs: list[Any] = []
        self.kept: list[Any] = []
        self.staged: dict[str, torch.Tensor] = {}
        self.made: tuple[int, str, Kept] | None = None
        self.base: tuple[str, list[Any]] | None = None
        self.device = device

    # --- the task ---

    def do_load_task(self, source: dict[str, Any]) -> dict[str, Any]:
        """Executes the task's module."""
        self.reference = host.Reference(source)
        return {"cases": self.reference.cases()}

    def do_describe(self) -> dict[str, Any]:
        """What `TaskInfo` holds."""
        return {"info": self._task().describe(), "available": host_memory.available_bytes()}

    def do_fairness(self, budget_s: float) -> dict[str, Any]:
        """What `Fairness` holds."""
        return {"fairness": self._task().fairness(budget_s)}

    def do_export(self, case: str) -> dict[str, Any]:
        """What `Graph` holds, or None."""
        return {"graph": self._task().export(case)}

    def do_compiled(self, cases: list[str], seed: int, cache_dir: str, shared: str, niceness: int) -> dict[str, Any]:
        """The module that torch.compile wrote, as a candidate's source, or None with the problem; on a device None
        without one: what it writes there starts compilers of its own."""
        from kernelwright.tasks import host_compile

        task, device = self._task(), self.device.name
        inductor.configure(cache_dir, shared, device)
        if device != Host.name or task.gradients(cases[0]):
            model = self.device.place(task.model(seed, cases[0]))
            host_compile.compiled_ahead(model, task.draw(cases[0], seed, device), device, niceness)
            return {"source": None, "problem": ""}
        (model, inputs), *others = [(task.model(seed, case), task.draw(case, seed)) for case in cases]
        source, problem = host_compile.written(model, inputs, others, niceness)
        return {"source": source, "problem": problem}

    def do_draw(self, case: str, seeds: list[int], distribution: str = "") -> dict[str, Any]:
        """Draws inputs, once a seed, and says where they lie; they are kept until the next draw.

        A distribution is made from the case's first draw: drawing takes longer than most forwards.
        """
        if not distribution:
            self.kept = [self._task().draw(case, seed, self.device.name) for seed in seeds]
        else:
            if self.base is None or self.base[0] != case:
                self.base = case, self._task().draw(case, seeds[0])
            base = self.base[1]
            made = [host.distributions(base, seed)[distribution](base) for seed in seeds]
            self.kept = [[host.on_device(value, self.device.name) for value in values] for values in made]
        self.device.settle()
        return {"draws": [[described_argument(value) for value in values] for values in self.kept]}

    def do_distributions(self, case: str, seed: int) -> dict[str, Any]:
        """The names of further distributions that a case can be drawn from."""
        self.base = case, self._task().draw(case, seed)
        return {"distributions": list(host.distributions(self.base[1], seed))}

    def do_answer(self, slot: int, exact: bool) -> dict[str, Any]:
        """The reference's outputs for a slot, in float64 if `exact`, and the inputs that forward changed."""
        model = self._model()
        if exact:
            model = self.exact = self._exact_model()
        self.kept = []
        self.do_trim()
        return self._answer(model, slot, exact=exact)

    def do_exact(self, count: int, by: float) -> dict[str, Any]:
        """As `do_answer` in float64, for each of the first slots in turn, with numbers moved `by` a share of them
        before they are rounded (see `NearTies`)."""
        model = self._exact_model()
        self.kept = []
        return {"answers": [self._answer(model, slot, exact=True, by=by) for slot in range(count)]}

    def _answer(self, model: torch.nn.Module, slot: int, *, exact: bool, by: float = 0.0) -> dict[str, Any]:
        inputs = [copied(value, exact=exact) for value in self.slots[slot]]
        before = versions(inputs)
        with torch.no_grad():
            output = self._task().forward(model, inputs, exact=exact, by=by)
        self.kept.append([output, inputs])
        changed = [i for i, (then, now) in enumerate(zip(before, versions(inputs), strict=True)) if then != now]
        mutated = [{"argument": index, **describe_tensor(inputs[index])} for index in changed]
        self.device.settle()
        results = leaves(output)
        given = {storage(value) for value in (*inputs, *(tensor for _, _, tensor in host.state(model)))} - {0}
        aliases = any(storage(leaf) in given for leaf in results)
        outputs = [describe_output(leaf, self.device.name) for leaf in results]
        ties = exact and self._task().ties.met
        return {"outputs": outputs, "mutated": mutated, "aliases": aliases, "ties": ties}

    def do_forget(self, drawn: bool) -> dict[str, Any]:
        """Gives back what was answered, which the judge has read; if `drawn`, also what distributions are made from."""
        self.slots, self.outputs, self.kept, self.exact = [], [], [], None
        if drawn:
            self.base = None
        return self.do_trim()

    def do_trim(self) -> dict[str, Any]:
        """Gives back what is free: in this process freed memory is kept, for results of calls that are timed."""
        self.device.trim()
        return {}

    def do_state_of_exact(self) -> dict[str, Any]:
        """The float64 model's state after its last answer."""
        return {"state": described_state(self.exact)} if self.exact is not None else {"state": []}

    # --- the candidate ---

    def do_prepare(self, worker_module: str, folder: str) -> dict[str, Any]:
        """Makes what builds share (precompiled headers)."""
        importlib.import_module(worker_module).prepare(folder)
        return {}

    def do_load(self, source: str, worker_module: str, build_dir: str, readonly: bool, shared: str) -> dict[str, Any]:
        """Executes a candidate's module; its builds go to, or come from, `build_dir`."""
        self.language = importlib.import_module(worker_module)
        self.language.install(build_dir, readonly, shared)
        os.chdir(os.environ.get("HOME", "/"))  # a folder that it may write to
        module = types.ModuleType(CANDIDATE_MODULE)
        module.__file__ = f"{build_dir}/{CANDIDATE_FILE}"  # there, since it may read its own file
        if not readonly:
            Path(module.__file__).write_text(source, encoding="utf-8")
        sys.modules[CANDIDATE_MODULE] = module
        linecache.cache[CANDIDATE_FILE] = (len(source), None, source.splitlines(keepends=True), CANDIDATE_FILE)
        exec(compile(source, CANDIDATE_FILE, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what a sandbox is for
        self.namespace = module.__dict__
        if not isinstance(self.namespace.get("ModelNew"), type):
            raise Refused("no_model", "the module defines no class ModelNew")
        return {"loaded": True}

    def do_construct(
        self,
        seed: int,
        case: str = "",
        init_inputs: Any = None,
        dtype: str | None = None,
        compiled: bool = False,
        gradients: dict[str, Any] | None = None,
        changed: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Makes the model: the reference's own (its state drawn from `seed`), or a candidate's from `init_inputs`,
        which goes back as well where there are `gradients`. The reference's last one is taken again where all that
        forward has changed is what `changed` names, which is put back."""
        self.outputs, self.kept, self.exact = [], [], None
        if self.made is not None and not compiled and self.made[:2] == (seed, case) and self.made[2].put_back():
            self.device.settle()
            return {"state": described_state(self.model)}
        self.made = None
        if self.reference is not None:
            self.model = self.reference.model(seed, case)
            host.randomise_state(host.state(self.model), seed)
        else:
            torch.manual_seed(seed)
            self.model = self.namespace["ModelNew"](*host.decode(init_inputs))
            if not isinstance(self.model, torch.nn.Module):
                raise Refused("no_model", f"ModelNew is no nn.Module but {type(self.model).__name__}")
            if dtype:
                self.model.to(getattr(torch, dtype))
            if gradients:
                host_backward.differentiated(self.model, host_backward.Gradients.of_json(gradients))
        self.model = self.device.place(self.model)
        if compiled:
            from kernelwright.tasks import host_compile

            self.model = host_compile.compile_model(self.model, self.device.name)
        if self.reference is not None and not compiled:
            self.made = seed, case, Kept(self.model, changed)
        return {"state": described_state(self.model), "hooks": hooks_loading(self.model)}

    # --- both ---

    def do_state(self) -> dict[str, Any]:
        """Names, kinds, shapes and places of parameters and buffers."""
        return {"state": described_state(self._model())}

    def do_stage(self, state: list[dict[str, Any]]) -> dict[str, Any]:
        """Makes room for a state dict of the reference's, which the judge fills."""
        self.staged = {
            one["name"]: torch.empty(one["shape"], dtype=getattr(torch, one["dtype"]), device=self.device.name)
            for one in state
        }
        return {"pointers": [tensor.data_ptr() for tensor in self.staged.values()]}

    def do_load_state(self) -> dict[str, Any]:
        """Has the model load what was staged, the way that runs its own hooks."""
        staged, self.staged = self.staged, {}
        self._model().load_state_dict(staged, strict=False)
        return {}

    def do_slots(self, arguments: list[dict[str, Any]], count: int) -> dict[str, Any]:
        """Makes room for `count` sets of inputs, which the judge fills; replies with their addresses."""
        self.slots, self.outputs, self.kept = [], [], []
        for _ in range(count):
            self.slots.append([room(argument, self.device.name) for argument in arguments])
        self.progress = (ctypes.c_int64 * (1 + wire.PLACES * count))()
        pointers = [[pointer(value) for value in slot] for slot in self.slots]
        return {"pointers": pointers, "progress": ctypes.addressof(self.progress)}

    def do_go(self, count: int, state: bool = False) -> dict[str, Any]:
        """Runs forward once on each of the first `count` slots; replies with where the outputs lie, and the state.

        `progress` says which call it is at, and where the outputs of those before it are, for a judge that looks in the
        middle.
        """
        self.outputs = []
        outputs, model, slots = self.outputs, self.model, self.slots[:count]
        progress = memoryview(self.progress).cast("B").cast("q")  # quicker to write to
        with torch.no_grad():
            self.ready()
            for index, slot in enumerate(slots):
                progress[0] = index
                outputs.append(output := model(*slot))  # type: ignore[misc]
                _note(progress, index, output)
            self.device.settle()
        reply = {"outputs": describe_calls(outputs, self.device.name)}
        return {**reply, "state": described_state(model)} if state else reply

    def do_queue(self, count: int, idle: bool, state: bool = False) -> dict[str, Any]:
        """Queues forward on each of the first `count` slots on the device, each behind a turnstile that the judge
        opens; with `idle` the turnstiles alone. Replies as `do_go`."""
        self.outputs = []
        self.device.close_turnstiles()
        with torch.no_grad():
            for index, slot in enumerate(self.slots[:count]):
                self.device.enter(wire.FIRST_CALL + index)
                if not idle:
                    self.outputs.append(output := self._model()(*slot))
                    _note(self.progress, index, output)
                self.device.leave(wire.FIRST_CALL + index)
        reply = {"outputs": describe_calls(self.outputs, self.device.name)}
        return {**reply, "state": described_state(self.model)} if state else reply

    def do_settle(self) -> dict[str, Any]:
        """Waits for the device; what went wrong there is raised here."""
        self.device.settle()
        return {}

    def do_resources(self, source: str) -> dict[str, Any]:
        """What the candidate's kernels take of the device, and would take of others, as far as their compiler says."""
        assert self.language is not None
        return {"resources": self.language.resources(), "static": self.language.static(source)}

    def do_census(self, slot: int) -> dict[str, Any]:
        """Runs forward once and counts the candidate's own kernels, with the time spent in them and in all."""
        assert self.language is not None
        self.outputs = []
        device = self.device
        device.settle()
        self.language.census_start(device.mark, device.between)
        with torch.no_grad():
            device.keep_busy()
            begin = device.mark()
            self.outputs.append(self._model()(*self.slots[slot]))
            end = device.mark()
        device.settle()
        return {"census": {**self.language.census(), "all": device.between(begin, end)}}

    def do_ablate(self, on: bool) -> dict[str, Any]:
        """Switches the candidate's own kernels off or on again."""
        assert self.language is not None
        self.language.ablate(on)
        return {}

    def _task(self) -> host.Reference:
        assert self.reference is not None
        return self.reference

    def _model(self) -> torch.nn.Module:
        assert self.model is not None
        return self.model

    def _exact_model(self) -> torch.nn.Module:
        import copy

        return copy.deepcopy(self._model()).double()


def _note(progress: Any, call: int, output: Any) -> None:
    """Notes where the outputs of a call are."""
    if type(output) is torch.Tensor:
        progress[1 + wire.PLACES * call] = output.data_ptr()
    else:
        for place, leaf in enumerate(leaves(output)[: wire.PLACES]):
            progress[1 + wire.PLACES * call + place] = pointer(leaf) or 0
