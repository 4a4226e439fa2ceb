"""The judge's handle on the zygote, the process that workers are forked from."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.judge import native, sandbox, wire
from kernelwright.judge.process import STOP_TIMEOUT, Worker
from kernelwright.judge.warden import Allowance, Warden

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CXX", "CC", "LD_LIBRARY_PATH",
             "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CUDA_PATH", "NVCC_CCBIN")  # fmt: skip
_START_TIMEOUT = 120.0


class Zygote:
    """Life cycle: `start` once, `fork` many times from any thread, `close` at the end (which kills all its workers);
    it may be closed whether or not it started, and while it does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = self._bubblewrap = False
        self._listening = True
        self._statuses: dict[str, int] = {}
        self._changed = threading.Condition()
        self._builds = home() / "builds"
        self._warden = Warden()
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()
        self.level = sandbox.Level("limits")

    def start(self, devices: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        """Starts the process and waits until it has imported torch. Its workers may use these device files, if they
        are told so each, and have these variables in their environment.

        Raises:
            MachineError: it does not start, with its last words.
        """
        self._builds.mkdir(parents=True, exist_ok=True)
        allocator = native.library("steady_memory")
        prefix = sandbox.bubblewrap_prefix((str(self._builds),), devices)
        self._bubblewrap, self.level = bool(prefix), sandbox.level()
        ours, theirs = socket.socketpair()
        environment = variables_of_workers({"LD_PRELOAD": str(allocator), **(variables or {})})
        with self._lock:
            if self._closed:
                raise MachineError("the judge was closed while it started")
            self._control = ours
            command = [*prefix, *calling("kernelwright.judge.zygote", theirs.fileno())]
            self._process = process = started(command, environment, (theirs.fileno(),))
        theirs.close()
        try:
            wire.receive(ours, _START_TIMEOUT)
            ours.settimeout(None)
        except (wire.WireError, OSError) as error:
            process.kill()
            words = process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise MachineError(
                f"the sandbox does not start: {words[-1] if words else error}", remedy="run `kernelwright doctor`"
            ) from error
        threading.Thread(target=self._listen, args=(ours,), daemon=True, name="zygote").start()
        # It must never block on a full pipe.
        threading.Thread(target=deque, args=(process.stderr, 0), daemon=True, name="zygote-stderr").start()

    @property
    def alive(self) -> bool:
        """Whether it has started and not ended."""
        return self._listening and not self._closed and self._process is not None and self._process.poll() is None

    def import_rest(self, modules: Sequence[str]) -> None:
        """Has it import what workers besides the reference's need; forks that are asked for meanwhile may wait a
        second.

        Raises:
            MachineError: it has ended.
        """
        self._order({"op": "import", "modules": list(modules)})

    def fork(
        self,
        confinement: sandbox.Confinement,
        environment: dict[str, str] | None = None,
        allowance: Allowance | None = None,
    ) -> Worker:
        """Forks a worker and waits for its greeting; the worker is then stopped. With an allowance it is ended when it
        and all it has started take more.

        Raises:
            MachineError: the sandbox could not be set up.
        """
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, 16, 1)  # SO_PASSCRED: the kernel says who wrote, in our own PID namespace
        output = os.memfd_create("worker-output", os.MFD_CLOEXEC)
        token = secrets.token_hex(8)
        order = {
            "op": "fork",
            "token": token,
            "confinement": confinement.to_json(),
            "environment": environment or {},
            "folder": _here(),
        }
        try:
            self._order(order, theirs.fileno(), output)
        except MachineError:
            ours.close()
            os.close(output)
            raise
        finally:
            theirs.close()
        worker = Worker(self, token, ours, output)
        self._workers.add(worker)
        if allowance is not None:
            worker.reply_limit = allowance.reply
            self._warden.watch(worker, allowance)
        return worker

    def _order(self, order: dict[str, Any], *descriptors: int) -> None:
        try:
            with self._lock:
                if self._control is None or self._closed:
                    raise wire.Closed("it is not running")
                wire.send(self._control, order, descriptors)
        except wire.Closed as error:
            raise MachineError(f"the sandbox has ended: {error}", remedy="run `kernelwright doctor`") from error

    def note(self, layers: dict[str, bool]) -> None:
        """Lowers the level to what a worker says is in force around it."""
        held = sandbox.in_force(bwrap=self._bubblewrap, **layers)
        self.level = min(self.level, held, key=lambda one: sandbox.LEVELS.index(one.name))

    def status(self, token: str, timeout: float) -> int | None:
        """The exit status of a worker that has ended, waiting for it up to `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: token in self._statuses or not self._listening, timeout)
            return self._statuses.get(token)

    def close(self) -> None:
        """Ends the zygote and every worker."""
        self._warden.close()
        with self._lock:
            self._closed = True
            control, process = self._control, self._process
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)  # upon which the zygote ends what it has started, and itself
            control.close()
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def release(self) -> None:
        """Closes what is open for its workers; after `close`, when nobody waits for one of them any more."""
        for worker in list(self._workers):
            worker.close()

    def _listen(self, control: socket.socket) -> None:
        while True:
            try:
                message = wire.receive(control)
            except (wire.WireError, OSError):
                break
            with self._changed:
                self._statuses[str(message.get("exited"))] = int(message.get("status", -1))
                self._changed.notify_all()
        with self._changed:
            self._listening = False
            self._changed.notify_all()


def calling(module: str, *descriptors: int) -> list[str]:
    """The command that calls `main` of a module with these descriptors, in a process that finds modules where this one
    does."""
    program = f"""if True:
        import sys
        sys.path[:] = {sys.path!r}
        from {module} import main
        main({", ".join(map(str, descriptors))})"""
    return [sys.executable, "-I", "-c", program]


def variables_of_workers(others: Mapping[str, str]) -> dict[str, str]:
    """The environment of processes that run what nobody trusts: what is passed on of ours, and these."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**passed, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **others}


def started(
    command: Sequence[str], environment: Mapping[str, str], passed: tuple[int, ...], said: int | None = None
) -> subprocess.Popen[bytes]:
    """A process that a thread starts which lives as long: the system tells it of the death of its parent
    (`--die-with-parent`) when the thread that started it has ended, and judges come and go. These descriptors are
    passed on; what it says goes to `said`, without it the errors to a pipe and the rest nowhere."""
    made: Future[subprocess.Popen[bytes]] = Future()

    def mother() -> None:
        try:
            process = subprocess.Popen(
                command,
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if said is None else said,
                stderr=subprocess.PIPE if said is None else said,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            made.set_exception(error)
            return
        made.set_result(process)
        process.wait()

    threading.Thread(target=mother, daemon=True, name="zygote-mother").start()
    return made.result()


def _here() -> str:
    """Where a task's relative paths begin."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "/"
