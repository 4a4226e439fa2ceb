"""Refuses an operation whose result would not fit into memory, before it runs and the machine starts to swap."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import torch
from torch._functorch import config
from torch._guards import active_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kernelwright.tasks.host_json import HostError

SHARE = 0.9
"""The share of the available memory that one result may take; the rest is for everything else that lives."""
UNCHECKED_BYTES = 16 << 20
"""Results up to this size are not compared with the available memory, which costs a few file reads."""
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def available_bytes() -> int:
    """What may still be allocated without swapping: the least of the machine's, the cgroup's and the process's."""
    limits = [1 << 62]
    status = _fields(Path("/proc/meminfo"))
    if "MemAvailable" in status:
        limits.append(status["MemAvailable"] * 1024)
    for limit, usage in _CGROUPS:
        most, used = _number(limit), _number(usage)
        if most is not None and used is not None:
            limits.append(most - used)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    mapped = _fields(Path("/proc/self/status")).get("VmSize")
    if soft != resource.RLIM_INFINITY and mapped is not None:
        limits.append(soft - mapped * 1024)
    return max(0, min(limits))


def _fields(path: Path) -> dict[str, int]:
    """The `Name: 123 kB` lines of a file under /proc; empty where there is no such file (a sandbox, another system)."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {name.rstrip(":"): int(value) for name, value, *_ in (w for w in words if len(w) > 1) if value.isdigit()}


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def fake_mode() -> FakeTensorMode:
    """A mode whose tensors have no data, and raise where compiled code asks for their address, which would be null."""
    with config.patch(fake_tensor_allow_unsafe_data_ptr_access=False):
        return FakeTensorMode(allow_non_fake_inputs=True)


class MemoryGuard(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Works out each result's size with fake tensors first, and raises `HostError("memory")` where it cannot fit.

    Args:
        limit: most bytes for one result; by default what the machine has available.
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._limit = limit
        self._fake = fake_mode()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Checks, then runs the operation."""
        # Under a caller's fake mode nothing is allocated.
        need = self._result_bytes(func, args, kwargs or {}) if active_fake_mode() is None else 0
        if need > UNCHECKED_BYTES or (self._limit is not None and need > self._limit):
            most = int(available_bytes() * SHARE) if self._limit is None else self._limit
            if need > most:
                raise HostError(
                    "memory",
                    f"a tensor of {gigabytes(need)} does not fit into the {gigabytes(most)} of memory to be had",
                    remedy="make the task's shapes smaller, or use a machine with more memory",
                )
        return func(*args, **(kwargs or {}))

    def _result_bytes(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        # In-place operations and views allocate nothing; torch offers no public way to ask which they are.
        schema = func._schema  # noqa: SLF001
        if schema.is_mutable or any(result.alias_info is not None for result in schema.returns):
            return 0
        try:
            with self._fake:
                results = tree_leaves(func(*args, **kwargs))
        except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError, AssertionError, OverflowError):
            # Wrong arguments raise again, with their own message, when the operation runs; a result whose size
            # depends on values is no larger than a small multiple of its operands, which already fit.
            return 0
        return sum(item.numel() * item.element_size() for item in results if isinstance(item, torch.Tensor))


def gigabytes(size: float) -> str:
    """A size for people: `12.9 GB`, or `37 MB` below one."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
