"""What Landlock (Linux 5.13 and newer) forbids a process for good, without privileges: files, other processes' memory,
signals. Standard library only."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterator, Sequence

_libc = ctypes.CDLL(None, use_errno=True)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_TRUNCATE_SINCE = 3
_FILE_RIGHTS = ((5, (1 << 16) - 1), (_TRUNCATE_SINCE, (1 << 15) - 1), (2, (1 << 14) - 1), (1, (1 << 13) - 1))
"""All rights over files by the version that knows them, newest first."""
_NETWORK_SINCE, _NETWORK = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract sockets and signals reach nobody outside."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def version() -> int:
    """The version of Landlock that the kernel offers; 0 for none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION)))


def scopes_signals() -> bool:
    """Whether it keeps a process from sending signals to others."""
    return version() >= _SCOPES_SINCE


def protects_files() -> bool:
    """Whether it keeps files from being changed; old versions let them be cut off."""
    return version() >= _TRUNCATE_SINCE


def confine(
    writable: Sequence[str], visible: Sequence[str], hidden: Sequence[str], devices: Sequence[str] = ()
) -> bool:
    """Confines this thread and everything it starts; it must have no new privileges by then.

    Args:
        writable: folders it may write.
        visible: what it may read although it lies in something hidden.
        hidden: what it may not read; everything else it may.
        devices: further device files that it may read and write.

    Returns:
        Whether it is in force and `protects_files`.
    """
    offered = version()
    if not offered:
        return False
    rights = next(rights for since, rights in _FILE_RIGHTS if offered >= since)
    attributes = [rights, _NETWORK if offered >= _NETWORK_SINCE else 0, _SCOPES if offered >= _SCOPES_SINCE else 0]
    known = attributes[: 3 if offered >= _SCOPES_SINCE else 2 if offered >= _NETWORK_SINCE else 1]
    packed = struct.pack(f"{len(known)}Q", *known)
    ruleset = int(_libc.syscall(_CREATE_RULESET, packed, len(packed), 0))
    if ruleset < 0:
        return False
    try:
        for path in (*_readable(frozenset(map(os.path.realpath, hidden))), *visible):
            _allow(ruleset, path, _READ)
        for path in (*DEVICES, *devices):
            _allow(ruleset, path, (_READ | _WRITE_FILE) & rights)
        for path in writable:
            _allow(ruleset, path, rights)
        return int(_libc.syscall(_RESTRICT_SELF, ruleset, 0)) == 0 and offered >= _TRUNCATE_SINCE
    finally:
        os.close(ruleset)


def _readable(hidden: frozenset[str], folder: str = "/") -> Iterator[str]:
    """The largest folders and files that hold nothing hidden; links lead to what is allowed or not by itself."""
    for entry in os.scandir(folder):
        if entry.path in hidden or entry.is_symlink():
            continue
        if any(one.startswith(entry.path + "/") for one in hidden):
            try:
                yield from _readable(hidden, entry.path)
            except OSError:
                continue
        else:
            yield entry.path


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Adds a rule; what cannot be opened stays forbidden."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)
