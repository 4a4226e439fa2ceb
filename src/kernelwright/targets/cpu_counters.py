"""Counters of the processor and the system for another process, by Linux's perf_event_open.

Whoever is counted has no part in it: the kernel counts, and a sandboxed process may not open counters of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kernelwright.targets import threads
from kernelwright.targets.base import Counts

_libc = ctypes.CDLL(None, use_errno=True)
_SYSCALL = {"x86_64": 298, "aarch64": 241}
_HARDWARE, _SOFTWARE = 0, 1
_EVENTS = {
    "cycles": (_HARDWARE, 0),
    "instructions": (_HARDWARE, 1),
    "cache_misses": (_HARDWARE, 3),
    "busy_s": (_SOFTWARE, 1),
    "page_faults": (_SOFTWARE, 2),
}
"""Type and number of each event, as linux/perf_event.h has them."""
_SCALES = {"busy_s": 1e-9}
_ATTRIBUTES = 112
"""Bytes of `struct perf_event_attr` that kernels from 4.1 on know."""
_INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_ENABLED, _RUNNING = 1, 2
_CLOSE_ON_EXEC = 1 << 3
_KEPT_FROM_US = (errno.EPERM, errno.EACCES)


@contextmanager
def counting(pid: int) -> Iterator[Callable[[], Counts]]:
    """See `Target.counting`. The system's own code is left out of hardware counters, which any user may then open for
    processes of their own at the usual `kernel.perf_event_paranoid` of 2."""
    opened: defaultdict[str, list[int]] = defaultdict(list)
    failures: dict[str, int] = {}
    try:
        for thread in threads.of(pid):
            for name in _EVENTS.keys() - failures.keys():
                descriptor = _open(name, thread)
                if descriptor >= 0:
                    opened[name].append(descriptor)
                elif -descriptor != errno.ESRCH:  # that thread has ended
                    failures[name] = -descriptor
        waited = threads.waited(pid)
        yield lambda: Counts(
            values={
                **{name: sum(map(_read, opened[name])) * _SCALES.get(name, 1.0) for name in opened.keys() - failures},
                "waited_s": threads.waited(pid) - waited,
            },
            missing=_sentence(failures),
        )
    finally:
        for descriptor in (each for descriptors in opened.values() for each in descriptors):
            os.close(descriptor)


def _open(name: str, thread: int) -> int:
    """A descriptor of a counter for a thread and those that it will start, or an error's number below 0."""
    if platform.machine() not in _SYSCALL:
        return -errno.ENOSYS
    kind, number = _EVENTS[name]
    attributes = bytearray(_ATTRIBUTES)
    struct.pack_into("IIQ", attributes, 0, kind, _ATTRIBUTES, number)
    # type, size, config; sample_period, sample_type; read_format; flags
    struct.pack_into("QQ", attributes, 32, _ENABLED | _RUNNING, _INHERIT | _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR)
    passed = ctypes.create_string_buffer(bytes(attributes), _ATTRIBUTES)
    descriptor = int(_libc.syscall(_SYSCALL[platform.machine()], passed, thread, -1, -1, _CLOSE_ON_EXEC))
    return descriptor if descriptor >= 0 else -ctypes.get_errno()


def _read(descriptor: int) -> float:
    """What was counted; scaled up where the hardware had to share its counters among several events."""
    value, enabled, running = struct.unpack("QQQ", os.read(descriptor, 24))
    return value * enabled / running if running else 0.0


def _sentence(failures: dict[str, int]) -> str:
    """What is not counted, why, and what would help; empty where all is."""
    if not failures:
        return ""
    code = next(iter(failures.values()))
    if code in _KEPT_FROM_US:
        why = "the system keeps them from this user; a kernel.perf_event_paranoid of 2, or CAP_PERFMON, allows them"
    elif code == errno.EMFILE:
        why = "too many files are open: raise the limit (`ulimit -n`)"
    else:
        why = "the processor offers none here, as in most virtual machines"
    what = "hardware counters are" if all(_EVENTS[name][0] == _HARDWARE for name in failures) else "counters are"
    return f"no {what} read: {why} (perf_event_open: {os.strerror(code)})"
