"""A worker that no zygote has forked: a program that looks into processes has started it, and looks into this one.

The same as any other, but for namespaces, which would cut it off from that program: Landlock and limits hold it. Where
a zygote closes what its workers need not have, this one must keep what the program has opened.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import socket
from pathlib import Path
from typing import NoReturn

from kernelwright.judge import first_calls, sandbox, wire
from kernelwright.judge.zygote import become_worker, confinement_of


def main(sock_fd: int, output_fd: int) -> NoReturn:
    """Takes one order, as a zygote would, from the socket; then serves it. What it prints goes to the output."""
    sock = socket.socket(fileno=sock_fd)
    order = wire.receive(sock)
    sock.detach()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output_fd, 1)
    os.dup2(output_fd, 2)
    first_calls.make()
    for module in order["modules"]:
        importlib.import_module(module)
    code = become_worker(sock_fd, confinement_of(order), Path(order["private"]), sandbox.count_threads(), order)
    # So that the program's own library has the last word; Python's end would be that of untrusted objects.
    ctypes.CDLL(None).exit(code)
    raise SystemExit(code)  # not reached
