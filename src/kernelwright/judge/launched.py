"""The judge's handle on the process of a program that looks into a worker: compute-sanitizer."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.judge import sandbox, wire
from kernelwright.judge.nursery import PASSED_ON, Zygote, started
from kernelwright.judge.process import Worker

if TYPE_CHECKING:
    from kernelwright.judge.sandbox import Confinement

_ENDING_S = 60.0
_MOST_SAID = 8 << 20


class Launched:
    """Life cycle: `start`, which gives the worker; `finish`, once, which ends both and gives what the program said.

    Stands for the zygote of its one worker.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._worker: Worker | None = None
        self._said = os.memfd_create("said", os.MFD_CLOEXEC)

    def start(
        self, command: Sequence[str], confinement: Confinement, modules: Sequence[str], variables: Mapping[str, str]
    ) -> Worker:
        """Starts the program, and through it a worker that imports these modules.

        Raises:
            MachineError: one of them does not start.
        """
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, 16, 1)  # SO_PASSCRED: as for a zygote's worker
        output = os.memfd_create("worker-output", 0)
        program = f"""if True:
            import sys
            sys.path[:] = {sys.path!r}
            from kernelwright.judge.alone import main
            main({theirs.fileno()}, {output})"""
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **variables}
        prefix = sandbox.bubblewrap_prefix((str(home() / "builds"),), confinement.devices)
        whole = [*prefix, *command, sys.executable, "-I", "-c", program]
        try:
            try:
                self._process = started(whole, environment, (theirs.fileno(), output), self._said)
            finally:
                theirs.close()  # or nobody would be told that the other side is gone
            order = {"confinement": confinement.to_json(), "environment": {}, "modules": list(modules), "folder": "/"}
            wire.send(ours, order)
            self._worker = Worker(cast("Zygote", self), "", ours, output)
        except (MachineError, wire.Closed, OSError) as error:
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
        """What is in force around this worker says nothing of others."""

    def finish(self) -> str:
        """Has the worker end by itself, so that the program can say all it knows; both are killed where they do not."""
        if self._worker is not None and not self._worker.closed:
            with contextlib.suppress(ProcessLookupError, OSError):
                self._worker.hang_up()
        if self._process is not None:
            if self.status("", _ENDING_S) is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._worker is not None:
            self._worker.close()
        if self._said < 0:
            return ""
        said = os.pread(self._said, _MOST_SAID, 0).decode(errors="replace")
        os.close(self._said)
        self._said = -1
        return said
