"""The judge's handles on the untrusted processes: the zygote, and workers that are stopped whenever they are not asked
something."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.judge import memory, native, sandbox, wire

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CXX", "CC", "LD_LIBRARY_PATH")
_START_TIMEOUT = 120.0
_STOP_TIMEOUT = 10.0
_CREDENTIALS = struct.Struct("iII")


class WorkerGone(Exception):
    """The worker's process ended while it was asked something. `status` is its exit status: 128 + n for signal n."""

    def __init__(self, status: int | None, output: str) -> None:
        super().__init__(f"ended with status {status}")
        self.status, self.output = status, output

    @property
    def signal_name(self) -> str:
        """The signal that ended it, or an empty string."""
        if self.status is None or self.status <= 128:
            return ""
        with contextlib.suppress(ValueError):
            return signal.Signals(self.status - 128).name
        return f"signal {self.status - 128}"


class WorkerTimeout(Exception):
    """The worker did not answer in time; it has been killed."""


class WorkerBroken(Exception):
    """The worker broke the protocol; it has been killed."""


class WorkerRefused(Exception):
    """The worker answered with an error of the task's or the candidate's making; `details` is what it said."""

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__(str(details.get("message", "")))
        self.details = details
        self.kind = str(details.get("kind", ""))


class Zygote:
    """Life cycle: `start` once, `fork` many times from any thread, `close` at the end (which kills all its workers)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[str, int] = {}
        self._changed = threading.Condition()
        self._builds = home() / "builds"
        self.level = sandbox.Level("limits")

    def start(self) -> None:
        """Starts the process and waits until it has imported torch.

        Raises:
            MachineError: it does not start, with its last words.
        """
        self._builds.mkdir(parents=True, exist_ok=True)
        self.level = sandbox.level()
        ours, theirs = socket.socketpair()
        program = f"""if True:
            import sys
            sys.path[:] = {sys.path!r}
            from kernelwright.judge.zygote import main
            main({theirs.fileno()})"""
        prefix = sandbox.bubblewrap_prefix((str(self._builds),))
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {
            "HOME": "/tmp",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LD_PRELOAD": str(native.library("steady_memory")),
        }
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-I", "-c", program],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        self._control = ours
        try:
            wire.receive(ours, _START_TIMEOUT)
        except (wire.WireError, TimeoutError) as error:
            self._process.kill()
            words = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise MachineError(
                f"the sandbox does not start: {words[-1] if words else error}", remedy="run `kernelwright doctor`"
            ) from error
        self._control.settimeout(None)
        threading.Thread(target=self._listen, daemon=True, name="zygote").start()
        threading.Thread(target=self._drain, daemon=True, name="zygote-stderr").start()

    def fork(self, confinement: sandbox.Confinement, environment: dict[str, str] | None = None) -> Worker:
        """Forks a worker and waits for its greeting; the worker is then stopped.

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
        }
        with self._lock:
            wire.send(self._control, order, (theirs.fileno(), output))
        theirs.close()
        return Worker(self, token, ours, output)

    def status(self, token: str, timeout: float) -> int | None:
        """The exit status of a worker that has ended, waiting for it up to `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: token in self._statuses, timeout)
            return self._statuses.pop(token, None)

    def close(self) -> None:
        """Ends the zygote and every worker."""
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _listen(self) -> None:
        while True:
            try:
                message = wire.receive(self._control)
            except (wire.WireError, OSError):
                return
            with self._changed:
                self._statuses[str(message.get("exited"))] = int(message.get("status", -1))
                self._changed.notify_all()

    def _drain(self) -> None:
        """Keeps the last words of the zygote and never lets it block on a full pipe."""
        assert self._process.stderr is not None
        self.last_words = deque(self._process.stderr, maxlen=20)


class Worker:
    """One sandboxed process. Life cycle: made by `Zygote.fork`, asked with `call`, ended with `close`; it runs only
    during a call.

    Not safe for use from two threads at once.
    """

    def __init__(self, zygote: Zygote, token: str, sock: socket.socket, output: int) -> None:
        self._zygote, self._token, self._sock, self._output = zygote, token, sock, output
        self._pidfd = -1
        self._running = False
        self._free = threading.Event()
        self._free.set()
        self._turn = threading.RLock()
        try:
            self.pid = self._greeting()
        except (wire.WireError, TimeoutError) as error:
            words = self.output().strip()
            self.close()
            raise MachineError(
                f"a sandboxed process does not start: {words or error}", remedy="run `kernelwright doctor`"
            ) from error
        self._pidfd = os.pidfd_open(self.pid)
        self.stop()

    def call(self, op: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Asks one thing: lets the worker run, waits for the answer, stops it again.

        Raises:
            WorkerRefused, WorkerGone, WorkerTimeout, WorkerBroken.
        """
        return self.timed_call(op, timeout, **arguments)[0]

    def timed_call(self, op: str, timeout: float, **arguments: Any) -> tuple[dict[str, Any], float]:
        """As `call`, with the seconds from letting it run until its answer was there, on the judge's clock."""
        try:
            wire.send(self._sock, {"op": op, **arguments})
            self._free.wait()
            with self._turn:
                self._running = True
                start = time.perf_counter()
                self._signal(signal.SIGCONT)
            ready, _, _ = select.select([self._sock], [], [], timeout)
            seconds = time.perf_counter() - start
            if not ready:
                raise TimeoutError
            reply = wire.receive(self._sock, max(1.0, timeout - seconds))
            self.stop()
        except TimeoutError as error:
            self.close()
            raise WorkerTimeout(f"no answer within {timeout:.0f} s") from error
        except (wire.Closed, ProcessLookupError) as error:
            raise self._gone() from error
        except wire.WireError as error:
            self.close()
            raise WorkerBroken(str(error)) from error
        if "error" in reply:
            raise WorkerRefused(
                reply["error"] if isinstance(reply["error"], dict) else {"message": str(reply["error"])}
            )
        return reply, seconds

    def stop(self) -> None:
        """Stops every thread of the worker, and returns when they have stopped."""
        with self._turn:
            self._running = False
            self._signal(signal.SIGSTOP)
            deadline = time.monotonic() + _STOP_TIMEOUT
            while not memory.all_stopped(self.pid):
                if time.monotonic() > deadline:
                    raise wire.WireError("the worker could not be stopped")

    def pause(self) -> None:
        """Holds the worker up, in the middle of a call too, with everything it has started (a compiler)."""
        self._free.clear()
        with self._turn:
            if self._running:
                self._signal_tree(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets the worker and everything it has started go on after `pause`."""
        with self._turn:
            if self._running:
                self._signal_tree(signal.SIGCONT)
        self._free.set()

    def _signal_tree(self, number: signal.Signals) -> None:
        for pid in memory.descendants(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def output(self, limit: int = 4000) -> str:
        """The end of what the worker printed."""
        if self._output < 0:
            return ""
        size = os.fstat(self._output).st_size
        return os.pread(self._output, limit, max(0, size - limit)).decode(errors="replace")

    def kill(self) -> None:
        """Ends the process, while another thread waits for its answer too (which then gets `WorkerGone`)."""
        with contextlib.suppress(ProcessLookupError, OSError):
            self._signal(signal.SIGKILL)

    @property
    def closed(self) -> bool:
        """Whether it has been ended."""
        return self._pidfd < 0

    def close(self) -> None:
        """Kills the worker and everything it started; may be called again."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                self._signal(signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1
        self._sock.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def _greeting(self) -> int:
        """Waits for the worker's first message; the PID is the kernel's word for who sent it, not the worker's."""
        self._sock.settimeout(_START_TIMEOUT)
        data, ancillary, _, _ = self._sock.recvmsg(wire.HEADER.size, socket.CMSG_SPACE(_CREDENTIALS.size))
        pid = next((_CREDENTIALS.unpack(item)[0] for _, kind, item in ancillary if kind == socket.SCM_CREDENTIALS), 0)
        if len(data) < wire.HEADER.size or pid <= 0:
            raise wire.Closed("no greeting")
        self._sock.setsockopt(socket.SOL_SOCKET, 16, 0)
        (length,) = wire.HEADER.unpack(data)
        if length > 1000:
            raise wire.WireError("no greeting")
        wire.parse(self._sock.recv(length, socket.MSG_WAITALL))
        return int(pid)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd < 0:
            raise ProcessLookupError
        signal.pidfd_send_signal(self._pidfd, number)

    def _gone(self) -> WorkerGone:
        output = self.output()
        status = self._zygote.status(self._token, 5.0)
        self.close()
        return WorkerGone(status, output)


def visible_folders(extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The folders that must stay readable in a worker although they lie below one that the sandbox hides."""
    hiding = ("/tmp", "/var/tmp", "/dev/shm", str(home()))
    folders = dict.fromkeys((*sandbox.needed_folders(), *extra))
    needed = [folder for folder in folders if any(_below(folder, parent) for parent in hiding)]
    return tuple(folder for folder in needed if not any(_below(folder, other) for other in needed))


def _below(folder: str, parent: str) -> bool:
    return Path(parent) in Path(folder).parents
