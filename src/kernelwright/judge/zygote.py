"""The process that workers are forked from: it has imported torch, and never runs an operation that takes threads
(OpenMP pools do not survive a fork).

It takes orders from the judge over a socket. `{"op": "import", "modules": names}` has it import what builds and
torch.compile need beside torch, so that no worker has to, whenever there is nothing else to do. `{"op": "fork", ...}`
comes with two descriptors (the worker's socket, its output file): it forks a keeper, which enters new namespaces and
forks the worker as PID 1 of its own. When the worker ends, the kernel ends everything it started (the keeper, where
namespaces are forbidden), and the zygote tells the judge the exit status as `{"exited": token, "status": n}`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import selectors
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import torch

from kernelwright.judge import first_calls, sandbox, wire, worker


def main(fd: int) -> None:
    """Serves fork orders from the socket `fd` until the judge closes it."""
    os.environ.pop("LD_PRELOAD", None)  # it has done its work; compilers need not have it
    # As they wake up, workers must not take the core from the judge, who would then look at the clock too late.
    with contextlib.suppress(OSError):  # not allowed to leave SCHED_IDLE, say
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    control = socket.socket(fileno=fd)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the judge decides what ends when
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    tokens: dict[int, str] = {}
    missing: list[str] = []
    folders = Path(tempfile.gettempdir(), f"kernelwright-{secrets.token_hex(8)}")
    sandbox.adopt_orphans()
    first_calls.make()
    with contextlib.suppress(wire.Closed):
        wire.send(control, {"ready": torch.__version__})
        while True:
            events = selector.select(0 if missing else None)
            if missing and not events:
                with contextlib.suppress(ImportError, OSError, RuntimeError):  # who needs it will tell
                    importlib.import_module(missing.pop(0))
            for key, _ in events:
                if key.fileobj is control:
                    order, fds = wire.receive_fds(control, 2)
                    if order["op"] == "import":
                        missing += order["modules"]
                        continue
                    tokens[_fork(order, fds, control, folders)] = order["token"]
                    for descriptor in fds:
                        os.close(descriptor)
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake_read, 4096)
                    _report_exits(control, tokens)
    sandbox.end_children()
    shutil.rmtree(folders, ignore_errors=True)


def _report_exits(control: socket.socket, tokens: dict[int, str]) -> None:
    while tokens:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        if pid in tokens:  # and no orphan of a keeper's
            wire.send(control, {"exited": tokens.pop(pid), "status": os.waitstatus_to_exitcode(status)})


def _fork(order: dict[str, Any], fds: list[int], control: socket.socket, folders: Path) -> int:
    """Forks a keeper with its worker; returns the keeper's PID."""
    pid = os.fork()
    if pid == 0:
        _become_keeper(order, fds, control, folders)
    return pid


def _become_keeper(order: dict[str, Any], fds: list[int], control: socket.socket, folders: Path) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.close()
    os.setsid()
    sandbox.die_with_parent()
    sock_fd, output_fd = fds
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output_fd, 1)
    os.dup2(output_fd, 2)
    _close_all_but(sock_fd)
    confinement = confinement_of(order)
    threads = sandbox.count_threads()
    private = None if sandbox.isolate() else folders / str(order["token"])
    sandbox.adopt_orphans()
    child = os.fork()
    if child:
        os.close(sock_fd)
        _keep(child, private)
    sandbox.die_with_parent()
    code = 1
    try:
        code = become_worker(sock_fd, confinement, private, threads, order)
    finally:
        os._exit(code)


def _keep(child: int, private: Path | None) -> NoReturn:
    """Waits for the worker, ends what it left behind, and ends as it ended: a signal becomes 128 + its number."""
    sandbox.hide_memory()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if private is not None:
        sandbox.end_children()
        shutil.rmtree(private, ignore_errors=True)
    os._exit(status if status >= 0 else 128 - status)


def become_worker(
    sock_fd: int, confinement: sandbox.Confinement, private: Path | None, threads: int, order: dict[str, Any]
) -> int:
    """Confines this process and serves the judge until it hangs up; the exit code.

    Args:
        sock_fd: the worker's socket.
        confinement: what it is allowed.
        private: the folder that stands for its /tmp where it is in no namespaces of its own; None where it is.
        threads: how many the user has.
        order: the judge's, with `folder` and `environment`.
    """
    try:
        if private is None:
            sandbox.enter_processes()
        else:
            sandbox.private_folder(private)
        # Now, since a driver does what the sandbox forbids; a limit on memory would count what it maps.
        device = worker.open_device(confinement.devices)
        if private is None:
            sandbox.furnish(confinement)
        with contextlib.suppress(OSError):  # it is gone, or in a part of the disk that is hidden
            os.chdir(order["folder"])
        os.environ.update(order["environment"])
        landlocked = sandbox.restrict(confinement, threads, private)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - lives as long as the process
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        layers = {"namespaces": private is None, "files": landlocked}
        return worker.serve(socket.socket(fileno=sock_fd), layers, device)
    except (OSError, RuntimeError) as error:
        os.write(2, f"the sandbox could not be set up: {error}\n".encode())
        return 1


def confinement_of(order: dict[str, Any]) -> sandbox.Confinement:
    """What an order says that a worker is allowed."""
    return sandbox.Confinement(**{key: _tuple(value) for key, value in order["confinement"].items()})


def _close_all_but(kept: int) -> None:
    """Whatever else this process has inherited is the zygote's: its selector, its pipe, its socket."""
    top = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, kept)
    os.closerange(kept + 1, top)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    main(int(sys.argv[1]))
