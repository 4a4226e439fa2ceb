"""A judge's part of a zygote that the judges of a program share: importing torch takes longer than many a judge lives.

Workers are forked as ever, each confined by itself. A zygote runs nobody's code but ours, so that judges of different
tasks may share it.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Hashable, Mapping, Sequence

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.judge import sandbox
from kernelwright.judge.nursery import PASSED_ON, Zygote
from kernelwright.judge.process import Worker
from kernelwright.judge.warden import Allowance

IDLE_SECONDS = 60.0
"""How long a zygote that nobody has a part of waits for the next judge."""


class ZygotePart:
    """Life cycle: as a `Zygote`'s: `start` once, `fork` many times from any thread, `close` at the end, which ends its
    own workers, then `release`; it may be closed whether or not it started, and while it does. The zygote stays for
    IDLE_SECONDS, one a program, for a judge that wants one like it.
    """

    def __init__(self) -> None:
        self._shared: _Shared | None = None
        self._closed = False
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()

    @property
    def level(self) -> sandbox.Level:
        """The level of the sandbox in force."""
        return self._shared.zygote.level if self._shared else sandbox.Level("limits")

    def start(self, devices: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        """See `Zygote.start`."""
        key = _key(devices, dict(variables or {}))
        end_idle(wanted=key)  # with this one's they would be too many
        shared = _reserved(key)
        with _lock:
            if not self._closed:
                self._shared = shared
        if self._shared is None:
            _give_back(shared)
        with shared.starting:
            self._check()
            if not shared.started:
                shared.zygote.start(devices, variables)
                shared.started = True

    def import_rest(self, modules: Sequence[str]) -> None:
        """See `Zygote.import_rest`."""
        self._check().import_rest(modules)

    def fork(
        self,
        confinement: sandbox.Confinement,
        environment: dict[str, str] | None = None,
        allowance: Allowance | None = None,
    ) -> Worker:
        """See `Zygote.fork`."""
        worker = self._check().fork(confinement, environment, allowance)
        self._workers.add(worker)
        if self._closed:
            worker.kill()
        return worker

    def close(self) -> None:
        """Ends its workers; may be called again."""
        with _lock:
            held = None if self._closed else self._shared
            self._closed = True
        for worker in list(self._workers):
            worker.kill()
        if held is not None:
            _give_back(held)

    def release(self) -> None:
        """Closes what is open for its workers; after `close`, when nobody waits for one of them any more."""
        for worker in list(self._workers):
            worker.close()

    def _check(self) -> Zygote:
        if self._closed or self._shared is None:
            raise MachineError("the judge was closed")
        return self._shared.zygote


class _Shared:
    """A zygote, and how many have a part of it."""

    def __init__(self, key: Hashable) -> None:
        self.key, self.zygote, self.users, self.pid = key, Zygote(), 1, os.getpid()
        self.starting = threading.Lock()
        self.started = False
        self.timer: threading.Timer | None = None

    def end(self) -> None:
        """Ends it; a process that was forked from this one leaves it alone, and its locks, which threads that are no
        more may hold for ever."""
        if self.pid != os.getpid():
            return
        if self.timer is not None:
            self.timer.cancel()
        self.zygote.close()
        self.zygote.release()


_lock = threading.Lock()
_kept: dict[Hashable, _Shared] = {}
"""By what differs from judge to judge."""


def _key(devices: tuple[str, ...], variables: dict[str, str]) -> Hashable:
    passed_on = tuple(os.environ.get(name) for name in PASSED_ON)
    affinity = frozenset(os.sched_getaffinity(0))
    return os.getpid(), home(), tuple(sys.path), affinity, passed_on, devices, tuple(sorted(variables.items()))


def _reserved(key: Hashable) -> _Shared:
    """A part of one that there is, or of one that is yet to be started."""
    with _lock:
        shared = _kept.get(key)
        if shared is None or (shared.started and not shared.zygote.alive):
            shared = _kept[key] = _Shared(key)
        else:
            shared.users += 1
        if shared.timer is not None:
            shared.timer.cancel()
    return shared


def _give_back(shared: _Shared) -> None:
    with _lock:
        shared.users -= 1
        if shared.users:
            return
        useful = shared.started and shared.zygote.alive and _kept.get(shared.key) is shared
        if useful:
            shared.timer = threading.Timer(IDLE_SECONDS, end_idle)
            shared.timer.daemon = True
            shared.timer.start()
        elif _kept.get(shared.key) is shared:
            del _kept[shared.key]
    if not useful:
        shared.end()


def end_idle(wanted: Hashable = None) -> None:
    """Ends zygotes that nobody has a part of, but for one that is wanted and has not died."""
    with _lock:
        unused = [shared for shared in _kept.values() if shared.users == 0]
        idle = [shared for shared in unused if shared.key != wanted or not shared.zygote.alive]
        for shared in idle:
            del _kept[shared.key]
    for shared in idle:
        shared.end()


@atexit.register
def _end_all() -> None:
    for shared in list(_kept.values()):
        shared.end()
