"""What the untrusted side may touch. Standard library only: the worker calls it in itself, before it loads anything.

Layers, each used where the machine allows it:

1. *bubblewrap* around the zygote: no network, read-only file system, private /tmp.
2. *namespaces* around each worker (user, mount, PID, network, IPC, UTS): its own /tmp, HOME and /proc, everything else
   read-only, the store hidden, no other process in sight; capabilities dropped.
3. *Landlock* instead of namespaces, where those are forbidden: a folder of its own in /tmp, everything else read-only,
   the store and other files in /tmp hidden, no access to other processes' memory.
4. *limits* on each worker, always: memory, processes, file size, descriptors; and, on Linux with seccomp, no new
   programs or processes while it is judged, no sockets, no tracing; without namespaces, no signals to others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kernelwright.home import home
from kernelwright.judge import landlock, seccomp

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 32, 4096
_MS_REC, _MS_PRIVATE = 16384, 1 << 18
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_PROCESSES = 512


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
        niceness: by how much it gives way to others.
        devices: device files it may use beside those that every program may.
    """

    writable: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    memory: int = 8 << 30
    file_size: int = 64 << 20
    programs: bool = False
    niceness: int = 0
    devices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain data for the wire."""
        return asdict(self)


@dataclass(frozen=True)
class Level:
    """How strong the sandbox is on this machine: one of `LEVELS`, and what is missing for the strongest."""

    name: str
    missing: tuple[str, ...] = field(default=())
    remedy: str = ""


LEVELS = ("limits", "landlock", "namespaces", "bubblewrap")
"""Weakest first; what each gives is said in docs/judge.md."""


def level() -> Level:
    """The level that workers get on this machine, found by trying it in a child process as they are started."""
    prefix = bubblewrap_prefix(())
    return in_force(bwrap=bool(prefix), namespaces=_try_namespaces(prefix), files=landlock.protects_files())


def in_force(*, bwrap: bool, namespaces: bool, files: bool) -> Level:
    """The level that these layers make; bubblewrap alone keeps workers neither from each other nor from builds."""
    install = "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)"
    allow = "allow unprivileged user namespaces"
    if namespaces:
        return Level("bubblewrap") if bwrap else Level("namespaces", ("bubblewrap",), install)
    missing, remedy = (("namespaces",), allow) if bwrap else (("bubblewrap", "namespaces"), f"{install}, or {allow}")
    if files:
        return Level("landlock", missing, remedy)
    return Level("limits", (*missing, "Landlock"), f"{remedy}, or use a kernel with Landlock (Linux 6.2)")


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


def bubblewrap_prefix(writable: tuple[str, ...], devices: tuple[str, ...] = ()) -> list[str]:
    """The command line to put before the zygote's; empty where bubblewrap is missing or does not work."""
    path = bubblewrap()
    if path is None:
        return []
    binds = [argument for folder in writable for argument in ("--bind", folder, folder)]
    binds += [argument for device in devices for argument in ("--dev-bind", device, device)]
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


def enter_processes() -> None:
    """Has a process that `isolate` put into namespaces of its own see itself, and those it starts, in /proc."""
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    # Before everything is read-only: the kernel refuses a /proc that allows more than the one it hides.
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV, required=False)


def furnish(confinement: Confinement) -> None:
    """Lays out the file system of a process that has gone through `enter_processes`.

    Raises:
        OSError: the kernel refuses a step that must not be left out.
    """
    # Parents first, so that no folder is mounted over one that lies in it.
    paths = sorted((*confinement.writable, *confinement.visible), key=len)
    handles = {path: os.open(path, os.O_PATH) for path in paths}
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


def private_folder(path: Path) -> None:
    """Makes the folder that stands in for the private /tmp of a process that `isolate` did not separate, and its
    HOME."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ |= {"HOME": str(path), "TMPDIR": str(path)}
    tempfile.tempdir = None  # where it was /tmp so far


def restrict(confinement: Confinement, threads: int, private: Path | None) -> bool:
    """Limits this process and everything it starts, for good: resources, capabilities, files, system calls.

    Args:
        confinement: what it is allowed.
        threads: how many the user has, as `count_threads` finds.
        private: its `private_folder`; None for a process that `isolate` separated from others.

    Returns:
        Whether Landlock is in force.
    """
    os.nice(confinement.niceness)
    caps = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: confinement.memory,
        resource.RLIMIT_FSIZE: confinement.file_size,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_NOFILE: 512,
        resource.RLIMIT_NPROC: threads + _PROCESSES,  # old kernels count all threads of the user, here or elsewhere
    }
    for limit, value in caps.items():
        hard = resource.getrlimit(limit)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header, data = struct.pack("II", 0x20080522, 0), bytes(24)
    _libc.capset(header, data)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # dropping capabilities cleared it, and the judge must read this memory
    if private is None:
        seccomp.install(programs=confinement.programs, alone=True, signals=True)
        return False
    hidden = ("/tmp", "/var/tmp", "/dev", *confinement.hidden)
    writable = (str(private), *confinement.writable)
    landlocked = landlock.confine(writable, confinement.visible, hidden, confinement.devices)
    # A compiler's parent may have to end it, so signals are left to Landlock where that knows them.
    signals = confinement.programs and landlocked and landlock.scopes_signals()
    seccomp.install(programs=confinement.programs, alone=False, signals=signals)
    return landlocked


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Makes this process the parent of whatever its descendants leave behind (daemons), so that it can end them."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def hide_memory() -> None:
    """Keeps other processes of the user out of this one's memory and descriptors."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def end_children() -> None:
    """Kills everything that this process has started, and, after `adopt_orphans`, what that has started in turn."""
    while pids := _children():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def count_threads() -> int:
    """How many threads the user has, which is what the kernel's limit on processes counts."""
    user, count = os.geteuid(), 0
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == user:
                count += Path(entry.path, "task").stat().st_nlink - 2
    return count


def needed_folders() -> tuple[str, ...]:
    """The folders that a worker must be able to read wherever they lie: the interpreter's and the packages'."""
    import kernelwright

    roots = {sys.prefix, sys.base_prefix, str(Path(kernelwright.__file__).parents[1]), *sys.path}
    return tuple(sorted(str(Path(root).resolve()) for root in roots if root and Path(root).is_dir()))


def _needed_under(parent: str) -> list[str]:
    return [folder for folder in needed_folders() if folder.startswith(parent + "/")]


def _try_namespaces(prefix: Sequence[str]) -> bool:
    program = f"import sys; sys.path[:] = {sys.path!r}; from kernelwright.judge import sandbox; "
    program += "sys.exit(0 if sandbox.isolate() else 1)"
    try:
        trial = subprocess.run(
            [*prefix, sys.executable, "-I", "-c", program], capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0


def _children() -> list[int]:
    """The process's children, by their numbers in its own namespace (in bubblewrap, /proc is that outside)."""
    depth, found = len(_numbers("self")), []
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in listing.read_text().split():
                found += _numbers(pid)[depth - 1 : depth]
    return found


def _numbers(pid: str) -> list[int]:
    """A process's numbers in the namespaces that it is in, outermost first; none when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return [int(number) for number in line.split()[1:]]
    return []


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


def visible_folders(extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The folders that must stay readable in a worker although they lie below one that the sandbox hides."""
    hiding = ("/tmp", "/var/tmp", "/dev/shm", str(home()))
    folders = dict.fromkeys((*needed_folders(), *extra))
    needed = [folder for folder in folders if any(_below(folder, parent) for parent in hiding)]
    return tuple(folder for folder in needed if not any(_below(folder, other) for other in needed))


def _below(folder: str, parent: str) -> bool:
    return Path(parent) in Path(folder).parents
