"""The judge's handle on an untrusted process, which is stopped whenever it is not asked something."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelwright.errors import MachineError
from kernelwright.judge import cores, memory, wire
from kernelwright.judge.device.lane import Lane
from kernelwright.judge.device.space import DeviceSpace
from kernelwright.judge.endings import Ending, WorkerBroken, WorkerGone, WorkerTimeout, accepted
from kernelwright.judge.exchange import Exchange, exchange
from kernelwright.judge.space import HostSpace, Space

if TYPE_CHECKING:
    from kernelwright.judge.nursery import Zygote

_START_TIMEOUT = 120.0
STOP_TIMEOUT = 10.0
_FITS = 1 << 16
"""Bytes of a request that a socket takes while its reader is stopped."""
_LEAVING = 20e-3
"""Processor time that a worker may take after it was stopped: a thread's last time slice may be counted late."""
_GO = b"!"
"""What a worker that is ready waits for."""
_CREDENTIALS = struct.Struct("iII")


class Worker:
    """One sandboxed process. Life cycle: made by `Zygote.fork`, asked with `call`, ended with `close`; it runs only
    during a call.

    Not safe for use from two threads at once.
    """

    def __init__(self, zygote: Zygote, token: str, sock: socket.socket, output: int) -> None:
        self._zygote, self._token, self._sock, self._output = zygote, token, sock, output
        self._pidfd = -1
        self._ending: WorkerGone | WorkerTimeout | WorkerBroken | None = None
        self._alone = True
        self._running = False
        self._why = ""
        self._spent = 0.0
        self.reply_limit = wire.LIMIT
        self.space: Space
        self.lane: Lane | None = None
        """Its queue on a device, where it computes on one."""
        self._free = threading.Event()
        self._free.set()
        self._turn = threading.RLock()
        self._use = threading.RLock()
        try:
            self.pid, greeting = self._greeting()
            self._pidfd = os.pidfd_open(self.pid)
            self.space = HostSpace(self.pid)
            self.stop()
            self._probe(int(greeting["probe"]))
            self._alone = greeting["layers"]["namespaces"] is True
            zygote.note(greeting["layers"])
            if facts := greeting["device"]:
                self.space, self.lane = DeviceSpace(), Lane(self.pid, facts["opened"], facts["passed"])
        except (wire.WireError, memory.Gone, OSError) as error:
            words = self.output().strip()
            self.close()
            raise MachineError(
                f"a sandboxed process does not start: {words or error}", remedy="run `kernelwright doctor`"
            ) from error

    def call(self, op: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Asks one thing: lets the worker run, waits for the answer, stops it again.

        Raises:
            WorkerRefused: the answer is an error.
            WorkerGone, WorkerTimeout, WorkerBroken: it has ended, now or in an earlier call.
        """
        return self.timed_call(op, timeout, **arguments)[0]

    def timed_call(
        self,
        op: str,
        timeout: float,
        *,
        halfway: tuple[float, Callable[[float], None]] | None = None,
        apart: bool = False,
        ready: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> tuple[dict[str, Any], float]:
        """As `call`, with the seconds on the judge's clock from letting it run until its whole answer was there: what
        it does while it talks is on its own time. What it computes after that, until the last of its threads has
        stopped, counts as well; that it waits for a core to stop on does not. Its answer is read after that.

        `halfway` are seconds after which it is stopped in the middle of its work, if it is still at it, and what is
        called then, with the seconds for which it ran. With `apart` its threads start on cores of their own (see
        `cores.apart`). `ready` is called once it has understood the request and is stopped again; time starts after
        that, so reading it is on nobody's time.
        """
        with self._use:
            if self.closed:
                raise self._ending or WorkerGone(None, "", self._why)
            try:
                self._sock.settimeout(timeout)
                request = wire.pack({"op": op, **arguments})
                if ready is not None:
                    if accepted(self._exchanged(request, timeout, None, apart=False)[0]) != {"ready": True}:
                        raise wire.WireError("it did not wait to be told to go")
                    try:
                        ready()
                    except BaseException:  # it waits for a byte that no other request may be taken for
                        self.close()
                        raise
                    request = _GO
                reply, seconds = self._exchanged(request, timeout, halfway, apart=apart)
            except TimeoutError as error:
                raise self._ended(WorkerTimeout(f"no answer within {timeout:.0f} s")) from error
            except (wire.Closed, ProcessLookupError, ConnectionError) as error:
                gone = WorkerGone(self._zygote.status(self._token, 5.0), self.output(), self._why)
                raise self._ended(gone) from error
            except wire.WireError as error:
                raise self._ended(WorkerBroken(str(error))) from error
        return accepted(reply), seconds

    def _exchanged(
        self, request: bytes, timeout: float, halfway: tuple[float, Callable[[float], None]] | None, *, apart: bool
    ) -> tuple[dict[str, Any], float]:
        """One request and its answer, and the seconds between."""
        at_once = len(request) <= _FITS
        if at_once:
            self._sock.sendall(request)
        with contextlib.ExitStack() as stack:
            threads, free = stack.enter_context(cores.apart(self.pid)) if apart else ([], set())
            timed = stack.enter_context(exchange(self.pid, self._pidfd, self._sock.fileno(), threads, free))
            ran = self.rested()
            if halfway is None:
                self._go_on(timed)
            elif (worked := timed.run_for(halfway[0], timeout, partial(self._go_on, timed))) is not None:
                self.stop()
                if not select.select([self._sock], [], [], 0)[0]:
                    halfway[1](worked)
                self._go_on(timed)
            if not at_once:  # it must read for the rest to be sent
                self._sock.sendall(request)
            body = timed.answer(timeout, self.reply_limit)
            self.stop()
            seconds = timed.seconds() + ran
        reply = wire.parse(body)
        self.space.learn(reply.pop("memory", None))
        return reply, seconds

    def stop(self) -> None:
        """Stops every thread of the worker, and returns when they have stopped."""
        with self._turn:
            self._running = False
            self._signal(signal.SIGSTOP)
            deadline = time.monotonic() + STOP_TIMEOUT
            while not memory.all_stopped(self.pid):
                if time.monotonic() > deadline:
                    raise wire.WireError("the worker could not be stopped")
                time.sleep(1e-5)  # one of its threads may need our core to stop on
            self._spent = memory.cpu_seconds(self.pid)

    def rested(self) -> float:
        """The processor time it has taken since it was stopped: next to nothing.

        Raises:
            WireError: it has found a way to go on by itself.
        """
        ran = memory.cpu_seconds(self.pid) - self._spent
        if ran > _LEAVING:
            raise wire.WireError(f"it ran for {1e6 * ran:.0f} µs while it was stopped")
        return ran

    def _go_on(self, timed: Exchange) -> None:
        """Lets it run, once it is not held up."""
        while True:
            self._free.wait()
            with self._turn:
                if self._free.is_set():
                    self._running = True
                    timed.go()
                    return

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

    def hang_up(self) -> None:
        """Lets it go on without another request, upon which it ends by itself. Raises `ProcessLookupError`."""
        with self._use:
            self._sock.shutdown(socket.SHUT_RDWR)
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends the process, while another thread waits for its answer too (which then gets `WorkerGone`)."""
        with contextlib.suppress(ProcessLookupError, OSError):
            self._signal(signal.SIGKILL)

    def end(self, why: str) -> None:
        """As `kill`; whoever waits is told why."""
        self._why = why
        self.kill()

    @property
    def running(self) -> bool:
        """Whether it is asked something now."""
        return self._running and not self.closed

    @property
    def closed(self) -> bool:
        """Whether it has been ended."""
        return self._pidfd < 0

    def close(self) -> None:
        """Kills the worker and everything it started; may be called again, from another thread than waits for its
        answer too, which has it by then: what it waits on must not be closed, and perhaps be somebody else's next."""
        self.kill()
        self._free.set()
        in_time = self._use.acquire(timeout=STOP_TIMEOUT)
        try:
            self._close()
        finally:
            if in_time:
                self._use.release()

    def _close(self) -> None:
        if self._pidfd >= 0:
            closing, self._pidfd = self._pidfd, -1
            os.close(closing)
            if not self._alone:
                self._zygote.status(self._token, STOP_TIMEOUT)  # by then its keeper has ended what it left behind
            self.space.close()
        self._sock.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def _greeting(self) -> tuple[int, dict[str, Any]]:
        """Waits for the worker's first message, from before it has run any untrusted code; its PID is the kernel's
        word, in our own namespace."""
        self._sock.settimeout(_START_TIMEOUT)
        data, ancillary, _, _ = self._sock.recvmsg(wire.HEADER.size, socket.CMSG_SPACE(_CREDENTIALS.size))
        pid = next((_CREDENTIALS.unpack(item)[0] for _, kind, item in ancillary if kind == socket.SCM_CREDENTIALS), 0)
        if len(data) < wire.HEADER.size or pid <= 0:
            raise wire.Closed("no greeting")
        self._sock.setsockopt(socket.SOL_SOCKET, 16, 0)
        (length,) = wire.HEADER.unpack(data)
        if length > 1000:
            raise wire.WireError("no greeting")
        return int(pid), wire.parse(self._sock.recv(length, socket.MSG_WAITALL))

    def _probe(self, address: int) -> None:
        """Reads the worker's memory as long as it is our own code's: who forbids it later is not the machine."""
        data = np.zeros((1, len(wire.PROBE)), np.uint8)
        try:
            memory.read(self.pid, [address], len(wire.PROBE), data)
        except (memory.Forbidden, memory.BadAddress) as error:
            self.close()
            raise MachineError(
                f"one process cannot read another's memory: {error}",
                remedy="allow process_vm_readv (in a container: --cap-add SYS_PTRACE, or a kernel of 4.8 or newer)",
            ) from error

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd < 0:
            raise ProcessLookupError
        signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self, ending: Ending) -> Ending:
        """Closes it and remembers why, for whoever asks it next."""
        self.close()
        self._ending = ending
        return ending
