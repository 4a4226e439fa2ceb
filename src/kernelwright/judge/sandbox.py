"""What the untrusted side may touch. Standard library only: the worker calls it in itself, before it loads anything.

Three layers, each on top of the next, and each used where the machine allows it:

1. *bubblewrap* around the zygote: no network, read-only file system, private /tmp.
2. *namespaces* around each worker (user, mount, PID, network, IPC, UTS): its own /tmp, HOME and /proc, everything else
read-only,
   the store hidden, no other process in sight; capabilities dropped.
3. *limits* on each worker, always: memory, processes, file size, descriptors; and, on Linux with seccomp, no new
programs or
   processes while it is judged, no sockets, no tracing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import shutil
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 32, 4096
_MS_REC, _MS_PRIVATE = 16384, 1 << 18
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 4, 38, 22
_SIGKILL = 9


@dataclass(frozen=True)
class Confinement:
    """What one worker is allowed.

    Attributes:
        writable: folders it may write (its build folder, while building); elsewhere only its private /tmp.
        visible: folders that must stay readable although they lie in a hidden one.
        hidden: folders replaced by empty ones.
        memory: bytes of private memory.
        file_size: bytes a file may have.
        programs: whether it may start programs and processes (compilers, while building).
    """

    writable: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    memory: int = 8 << 30
    file_size: int = 64 << 20
    programs: bool = False

    def to_json(self) -> dict[str, object]:
        """Plain data for the wire."""
        return asdict(self)


@dataclass(frozen=True)
class Level:
    """How strong the sandbox is on this machine: `bubblewrap`, `namespaces` or `limits`, and what is missing for the
    next."""

    name: str
    missing: tuple[str, ...] = field(default=())
    remedy: str = ""


def level() -> Level:
    """The level that workers get on this machine, found by trying it in a child process."""
    namespaces = _try_namespaces()
    bwrap = bubblewrap() is not None
    if bwrap and namespaces:
        return Level("bubblewrap")
    install = "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)"
    if namespaces:
        return Level("namespaces", ("bubblewrap",), install)
    if bwrap:
        return Level("bubblewrap", ("namespaces of each worker",), "allow unprivileged user namespaces")
    return Level("limits", ("bubblewrap", "namespaces"), f"{install}, or allow unprivileged user namespaces")


def bubblewrap() -> str | None:
    """The path of a bubblewrap that works here, or None."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    try:
        trial = subprocess.run(
            [path, "--unshare-all", "--dev-bind", "/", "/", "true"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if trial.returncode == 0 else None


def bubblewrap_prefix(writable: tuple[str, ...]) -> list[str]:
    """The command line to put before the zygote's; empty where bubblewrap is missing or does not work."""
    path = bubblewrap()
    if path is None:
        return []
    binds = [argument for folder in writable for argument in ("--bind", folder, folder)]
    keep = [argument for folder in _needed_under("/tmp") for argument in ("--ro-bind", folder, folder)]
    # The /proc outside, not a new one: workers mount their own, which the kernel allows only where /proc is whole.
    base = ["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp"]
    base += ["--dev-bind", "/proc", "/proc"]
    return [path, *base, *keep, *binds, "--"]


def isolate() -> bool:
    """Puts this process into new namespaces, its next child becoming PID 1 in one; False where the machine forbids
    it."""
    uid, gid = os.geteuid(), os.getegid()
    flags = _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
    if _libc.unshare(flags) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError:
        return False
    return True


def furnish(confinement: Confinement) -> None:
    """Lays out the file system of a process that `isolate` put into a mount namespace of its own.

    Raises:
        OSError: the kernel refuses a step that must not be left out.
    """
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    # Parents first, so that no folder is mounted over one that lies in it.
    paths = sorted((*confinement.writable, *confinement.visible), key=len)
    handles = {path: os.open(path, os.O_PATH) for path in paths}
    # Before everything is read-only: the kernel refuses a /proc that allows more than the one it hides.
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV, required=False)
    _read_only_everywhere()
    for path in ("/tmp", "/var/tmp", "/dev/shm", *confinement.hidden):
        if Path(path).is_dir():
            _mount("tmpfs", path, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1g,mode=1777")
    for path, fd in handles.items():
        flags = _MS_NOSUID | _MS_NODEV | (0 if path in confinement.writable else _MS_RDONLY)
        Path(path).mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{fd}", path, None, _MS_BIND | _MS_REC)
        _mount("none", path, None, _MS_BIND | _MS_REMOUNT | flags, required=path in confinement.writable)
        os.close(fd)


def restrict(confinement: Confinement) -> None:
    """Limits this process and everything it starts, for good: resources, capabilities, system calls."""
    if confinement.programs:
        os.nice(10)  # builds and compilations give way to what somebody waits for
    caps = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: confinement.memory,
        resource.RLIMIT_FSIZE: confinement.file_size,
        resource.RLIMIT_NOFILE: 512,
        resource.RLIMIT_NPROC: 512,
    }
    for limit, value in caps.items():
        hard = resource.getrlimit(limit)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header, data = struct.pack("II", 0x20080522, 0), bytes(24)
    _libc.capset(header, data)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # dropping capabilities cleared it, and the judge must read this memory
    _filter_system_calls(confinement.programs)


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def needed_folders() -> tuple[str, ...]:
    """The folders that a worker must be able to read wherever they lie: the interpreter's and the packages'."""
    import kernelwright

    roots = {sys.prefix, sys.base_prefix, str(Path(kernelwright.__file__).parents[1]), *sys.path}
    return tuple(sorted(str(Path(root).resolve()) for root in roots if root and Path(root).is_dir()))


def _needed_under(parent: str) -> list[str]:
    return [folder for folder in needed_folders() if folder.startswith(parent + "/")]


def _try_namespaces() -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if isolate() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "", *, required: bool = True) -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() if kind else None, flags, data.encode() or None
    )
    if result != 0 and required:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {target}: {os.strerror(code)}")


def _read_only_everywhere() -> None:
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, attributes, len(attributes))
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount_setattr: {os.strerror(code)}")


# System calls by number on (x86-64, aarch64); None where the architecture has none.
_STARTS = {"fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281)}
_NEVER = {
    "socket": (41, 198), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "mount": (165, 40), "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268), "keyctl": (250, 219),
    "add_key": (248, 217),     "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "pidfd_getfd": (438, 438), "mount_setattr": (442, 442), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430),     "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), (435, 435)
_CLONE_THREAD = 0x00010000
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_X32 = 0x40000000


def _filter_system_calls(programs: bool) -> None:
    """Installs a seccomp filter; where the architecture is unknown or seccomp is missing, none (`level` does not
    promise it)."""
    if platform.machine() not in _ARCHITECTURES:
        return
    audit, column = _ARCHITECTURES[platform.machine()]
    forbidden = list(_NEVER.values()) + ([] if programs else list(_STARTS.values()))
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]  # x86-64's second numbering would get past the list
    if not programs:
        # Threads are fine, processes are not: clone without CLONE_THREAD is refused, and clone3, whose flags a filter
        # cannot see, is said not to exist so that libc falls back to clone.
        code += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
        code += [(_EQUAL, 0, 4, _CLONE[column]), (_LOAD, 0, 0, 16), (_SET, 1, 0, _CLONE_THREAD)]
        code += [(_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    for numbers in forbidden:
        number = numbers[column]
        if number is not None:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    code.append((_RETURN, 0, 0, _ALLOW))
    program = b"".join(struct.pack("HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(program, len(program))
    descriptor = struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer))
    _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(descriptor), 0, 0)
