"""The kernel as a module in the user's own process.

The only place that runs a candidate outside the sandbox: the user asked for it, and only candidates that the judge has
accepted come here.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from kernelwright.tasks import TaskInfo

if TYPE_CHECKING:
    from torch import nn


def build(source: str, info: TaskInfo, reference: nn.Module | None) -> nn.Module:
    """A `ModelNew` made from the reference's constructor arguments.

    Args:
        source: the candidate's.
        info: the task's, for the constructor arguments.
        reference: a module whose weights (copied) and training mode the kernel gets; None leaves the kernel's own.
    """
    from kernelwright.tasks.host import decode

    kernel: nn.Module = _execute(source).ModelNew(*decode(info.init_inputs))
    if reference is not None:
        _load_state(kernel, reference)
        kernel.train(reference.training)
    return kernel


def _execute(source: str) -> ModuleType:
    """Runs the source as a module of its own, with its lines known to tracebacks and `inspect`."""
    name = f"kernelwright_kernel_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    filename = f"<{name}>"
    made = ModuleType(name)
    made.__file__ = filename
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    sys.modules[name] = made
    exec(compile(source, filename, "exec", dont_inherit=True), made.__dict__)  # noqa: S102 - see the top of this file
    return made


def _load_state(kernel: nn.Module, reference: nn.Module) -> None:
    """As the judge does it: by name and shape, what is left by order among those of the same kind and shape."""
    import torch

    from kernelwright.tasks.host import state

    free = {name: (kind, tensor) for name, kind, tensor in state(kernel)}
    unplaced = []
    with torch.no_grad():
        for name, kind, tensor in state(reference):
            if name in free and free[name][1].shape == tensor.shape:
                free.pop(name)[1].copy_(tensor)
            else:
                unplaced.append((kind, tensor))
        for kind, tensor in unplaced:
            place = next((name for name, (k, t) in free.items() if k == kind and t.shape == tensor.shape), None)
            if place is not None:
                free.pop(place)[1].copy_(tensor)
