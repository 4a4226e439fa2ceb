"""The judge's handle on the process of a program that looks into a worker: compute-sanitizer."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.judge import sandbox, wire
from kernelwright.judge.nursery import Zygote, calling, started, variables_of_workers
from kernelwright.judge.process import Worker
from kernelwright.judge.warden import Allowance, Warden

if TYPE_CHECKING:
    from kernelwright.judge.sandbox import Confinement

_ENDING_S, _LONGEST_S = 60.0, 300.0
_MOST_SAID = 8 << 20
_SHADOW, _RESIDENT = 1 << 38, 16 << 30
"""Bytes that such programs map and hold beside what a worker may: they keep a shadow of the device's memory."""


class Launched:
    """Life cycle: `start`, which gives the worker; `finish`, once, which ends both and gives what the program said.

    Stands for the zygote of its one worker.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._worker: Worker | None = None
        self._said = os.memfd_create("said", os.MFD_CLOEXEC)
        self._private = Path(tempfile.gettempdir(), f"kernelwright-{secrets.token_hex(8)}")
        self.level = "limits"
        """Of the sandbox: there are no namespaces here."""
        self._killed = threading.Event()
        self._timer = threading.Timer(_LONGEST_S, self.kill)
        self._warden = Warden()

    def start(
        self, command: Sequence[str], confinement: Confinement, modules: Sequence[str], variables: Mapping[str, str]
    ) -> Worker:
        """Starts the program, and through it a worker that imports these modules. Both have five minutes.

        Raises:
            MachineError: one of them does not start.
        """
        held = replace(confinement, memory=_SHADOW + confinement.memory)
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, 16, 1)  # SO_PASSCRED: as for a zygote's worker
        output = os.memfd_create("worker-output", 0)
        prefix = sandbox.bubblewrap_prefix((str(home() / "builds"),), confinement.devices)
        whole = [*prefix, *command, *calling("kernelwright.judge.alone", theirs.fileno(), output)]
        try:
            try:
                self._process = started(whole, variables_of_workers(variables), (theirs.fileno(), output), self._said)
            finally:
                theirs.close()  # or nobody would be told that the other side is gone
            self._timer.start()
            if self._killed.is_set():
                self.kill()
            order = {"confinement": held.to_json(), "environment": {}, "modules": list(modules), "folder": "/"}
            wire.send(ours, {**order, "private": str(self._private)})
            self._worker = Worker(cast("Zygote", self), "", ours, output)
            self._warden.watch(self._worker, Allowance(_RESIDENT + confinement.memory))
        except (MachineError, wire.Closed, OSError) as error:
            ours.close()
            raise MachineError(f"{command[0]} does not start: {self.finish().strip()[-500:] or error}") from error
        return self._worker

    def status(self, _token: str, timeout: float) -> int | None:
        """See `Zygote.status`."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def note(self, layers: dict[str, bool]) -> None:
        """Remembers what is in force around this worker, which says nothing of others."""
        self.level = "landlock" if layers["files"] else "limits"

    def kill(self) -> None:
        """Ends both at once, from another thread too, and whatever is started later."""
        self._killed.set()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def finish(self) -> str:
        """Has the worker end by itself, so that the program can say all it knows; both are killed where they do not.
        What it said, which is empty from the second time on."""
        if self._worker is not None and not self._worker.closed:
            with contextlib.suppress(ProcessLookupError, OSError):
                self._worker.hang_up()
        if self._process is not None:
            self.status("", _ENDING_S)
            self.kill()
            self._process.wait()
        self._timer.cancel()
        self._warden.close()
        shutil.rmtree(self._private, ignore_errors=True)
        if self._worker is not None:
            self._worker.close()
        if self._said < 0:
            return ""
        said = os.pread(self._said, _MOST_SAID, 0).decode(errors="replace")
        os.close(self._said)
        self._said = -1
        return said
