"""Which system calls a worker may make. Standard library only."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_DUMPABLE, _PR_SET_SECCOMP = 4, 22

# System calls by number on (x86-64, aarch64); None where the architecture has none.
_STARTS = {"fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281)}
_NEVER = {
    "socket": (41, 198), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "mount": (165, 40), "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268), "keyctl": (250, 219),
    "add_key": (248, 217),     "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186),
    "pidfd_getfd": (438, 438), "mount_setattr": (442, 442), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430),     "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip
"""The last three: how the system schedules a worker is the same for the reference and all candidates. Before them:
which files another worker opens is none of its business."""
_PAGE_CACHE = {
    "fadvise64": (221, 223), "readahead": (187, 213), "mincore": (27, 232), "preadv2": (327, 286),
    "cachestat": (451, 451),
}  # fmt: skip
"""What changes and tells which pages of a file are in memory: bits that outlast a worker."""
_SHARED = {
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
    "tkill": (200, 130), "pidfd_open": (434, 434), "process_madvise": (440, 440), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "kcmp": (312, 272), "ioprio_set": (251, 30),
    "shmat": (30, 196), "shmctl": (31, 195), "msgctl": (71, 187), "semget": (64, 190),
    "semctl": (66, 191), "mq_open": (240, 180), "mq_unlink": (241, 181),
}  # fmt: skip
"""What reaches other processes of the same user, or lasts longer than a process, where namespaces do not stand
between."""
_OWN = {"sched_setaffinity": (203, 122), "prlimit64": (302, 261)}
"""What a process may do to itself: their first argument is a PID. The reference could be slowed down with them."""
_SIGNALS = {"kill": (62, 129), "tgkill": (234, 131)}
_SETPRIORITY = (141, 140)
_CLONE, _CLONE3, _PRCTL = (56, 220), (435, 435), (157, 167)
_CLONE_THREAD = 0x00010000
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_X32 = 0x40000000
Line = tuple[int, int, int, int]


def install(*, programs: bool, alone: bool, signals: bool) -> None:
    """Installs the filter; where the architecture is unknown or seccomp is missing, none (`level` does not promise it).

    Args:
        programs: whether programs and processes may be started.
        alone: whether it sees no process but its own, so that it may do to every process what the kernel lets it.
        signals: whether it may send signals: none but its own processes hear them.
    """
    if platform.machine() not in _ARCHITECTURES:
        return
    audit, column = _ARCHITECTURES[platform.machine()]
    code: list[Line] = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]  # x86-64's second numbering would get past the list
    forbidden = [
        *_NEVER.values(),
        *(() if programs else (*_STARTS.values(), *_PAGE_CACHE.values())),
        *(() if alone else _SHARED.values()),
    ]
    for numbers in forbidden:
        number = numbers[column]
        if number is not None:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    if not programs:
        # Threads are fine, processes are not: clone without CLONE_THREAD is refused, and clone3, whose flags a filter
        # cannot see, is said not to exist so that libc falls back to clone.
        code += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
        code += [(_EQUAL, 0, 4, _CLONE[column]), (_LOAD, 0, 0, 16), (_SET, 1, 0, _CLONE_THREAD)]
        code += [(_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    # A process that is not dumpable cannot be read, and what cannot be read cannot be judged.
    code += [(_EQUAL, 0, 4, _PRCTL[column]), (_LOAD, 0, 0, 16), (_EQUAL, 0, 1, _PR_SET_DUMPABLE)]
    code += [(_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    if not alone:
        for numbers in _OWN.values():
            code += _only(numbers[column], {0: (0, os.getpid())})
        code += _only(_SETPRIORITY[column], {0: (0,), 1: (0, os.getpid())})
    if not signals:
        for numbers in _SIGNALS.values():
            code += _only(numbers[column], {0: (os.getpid(),)})
    code.append((_RETURN, 0, 0, _ALLOW))
    program = b"".join(struct.pack("HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(program, len(program))
    descriptor = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
    _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(descriptor), 0, 0)


def _only(number: int, arguments: dict[int, tuple[int, ...]]) -> list[Line]:
    """Allows a system call with these values (of 32 bits) of these arguments, and no others."""
    block: list[Line] = []
    for index, values in arguments.items():
        block.append((_LOAD, 0, 0, 16 + 8 * index))
        block += [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
        block.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    block.append((_RETURN, 0, 0, _ALLOW))
    return [(_EQUAL, 0, len(block), number), *block]
