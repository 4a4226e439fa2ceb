"""One process searches a run at a time.

The operating system or the database server holds the lock, so it ends with its process and there is nothing to expire:
what a killed process held is free at once, and a process that was only stopped keeps its run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from kernelwright.errors import StoreError
from kernelwright.store.database import Database

_TRIES, _PAUSE_S = 5, 0.05


class Locks(ABC):
    """Locks by run id. Life cycle: `acquire` before a search and the function it returns after; `held` at any time."""

    @abstractmethod
    def try_acquire(self, run: str) -> Callable[[], None] | None:
        """The function that frees the lock; None when another holds it."""

    def acquire(self, run: str) -> Callable[[], None] | None:
        """Like `try_acquire`, but not fooled by somebody who only looks whether the lock is held."""
        for _ in range(_TRIES):
            release = self.try_acquire(run)
            if release is not None:
                return release
            time.sleep(_PAUSE_S)
        return None

    def held(self, run: str) -> bool:
        """Whether somebody holds the lock of this run."""
        release = self.try_acquire(run)
        if release is not None:
            release()
        return release is None


class FileLocks(Locks):
    """A file a run, locked by `flock`. The descriptor is closed in programs that this process starts (PEP 446)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def try_acquire(self, run: str) -> Callable[[], None] | None:
        """See `Locks`."""
        path = self.folder / f"{run}.lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return _lock_file(path)
        except OSError as error:
            raise StoreError(
                f"cannot lock the run: {error.strerror}",
                where=str(path),
                remedy="make the folder writable or set KERNELWRIGHT_HOME",
            ) from error

    def held(self, run: str) -> bool:
        """See `Locks`. A finished search leaves no file, so most runs are told without touching a lock."""
        return (self.folder / f"{run}.lock").exists() and super().held(run)


def _lock_file(path: Path) -> Callable[[], None] | None:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is(path, descriptor):
            break
        os.close(descriptor)  # its last holder removed the file between our open and our lock

    def release() -> None:
        path.unlink(missing_ok=True)  # still locked: nobody else can have it open and locked
        os.close(descriptor)

    return release


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class PostgresLocks(Locks):
    """An advisory lock of a connection kept open for it; the server frees it when the connection ends."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")

    def try_acquire(self, run: str) -> Callable[[], None] | None:
        """See `Locks`."""
        key = int.from_bytes(hashlib.sha256(run.encode()).digest()[:8], "big", signed=True)
        with self.database.explained():
            connection = self.engine.connect()
            connection.detach()  # closing it then ends the server's session, and that is what frees the lock
            if connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
                return connection.close
            connection.close()
            return None
