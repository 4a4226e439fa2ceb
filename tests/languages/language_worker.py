"""Runs a function in a process like the judge's workers: forked from one that imported torch and never ran it."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["torch", "tvm_ffi.cpp", "torch._inductor.async_compile", "torch._inductor.select_algorithm"]
)


def in_worker(function: Callable[..., Any], *args: Any) -> Any:
    """`("result", what the function returned)`, or `(name of the exception, its text)`."""
    receiver, sender = _context.Pipe(duplex=False)
    process = _context.Process(target=_answer, args=(sender, function, args))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def _answer(sender: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        sender.send(("result", function(*args)))
    except Exception as error:  # noqa: BLE001 - it is the result
        sender.send((type(error).__name__, str(error)))


def load(source: str, build_dir: str, readonly: bool, headers: str = "", *, language: str = "cpp") -> dict[str, Any]:
    """Loads a candidate as a worker does; its namespace."""
    worker = importlib.import_module(f"kernelwright.languages.{language}_worker")
    worker.install(build_dir, readonly, headers)
    namespace: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(source, "candidate.py", "exec"), namespace)
    return namespace
