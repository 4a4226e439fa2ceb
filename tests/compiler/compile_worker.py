"""Tasks for the capture, and a process like the judge's workers to run it in."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch", "torch._inductor.compile_fx", "torch._inductor.select_algorithm"])


def in_process(function: Callable[..., Any], *args: Any) -> Any:
    """The function's result, or `(exception's name, text)`, from a process forked from one that imported torch."""
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
        sender.send(function(*args))
    except Exception as error:  # noqa: BLE001 - it is the result
        sender.send((type(error).__name__, str(error)))


def captured(build: Callable[[], Any], cache: str, headers: str, shapes: list[Any]) -> dict[str, Any]:
    """Captures a task on the first shapes and runs the candidate on all of them beside the reference.

    `headers` is a folder of precompiled ones, or empty. Each of `shapes` is `(captured, arguments)`. The answer holds
    the text and, for each shape, the largest error of outputs and state after one call, or the exception's name and
    text.
    """
    import torch

    from kernelwright.languages import inductor
    from kernelwright.tasks import host_compile

    inductor.configure(cache, headers)
    model = build()
    before = copy.deepcopy(model.state_dict())
    drawn = [(known, [_draw(argument) for argument in arguments]) for known, arguments in shapes]
    cases = [(model, inputs) for known, inputs in drawn if known]
    text = host_compile.compiled_source(*cases[0], cases[1:])
    unchanged = all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    namespace: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(text, "candidate.py", "exec"), namespace)
    results = []
    for _, inputs in drawn:
        candidate, reference = namespace["ModelNew"](), copy.deepcopy(model)
        candidate.load_state_dict(model.state_dict())
        with torch.no_grad():
            right = reference(*copy.deepcopy(inputs))
            try:
                answer = candidate(*inputs)
            except (ValueError, AssertionError) as error:
                results.append((type(error).__name__, str(error)))
                continue
        pairs = zip(
            [*_tensors(right), *reference.state_dict().values()], [*_tensors(answer), *candidate.state_dict().values()],
            strict=True,
        )  # fmt: skip
        results.append(max((a.double() - b.double()).abs().max().item() for a, b in pairs))
    return {"text": text, "results": results, "unchanged": unchanged}


def _draw(argument: Any) -> Any:
    import torch

    if isinstance(argument, tuple):
        return torch.randn(argument)
    if isinstance(argument, list):
        return [_draw(entry) for entry in argument]
    return argument


def _tensors(value: Any) -> list[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []
    return [tensor for entry in entries for tensor in _tensors(entry)]
