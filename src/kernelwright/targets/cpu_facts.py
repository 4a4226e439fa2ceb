"""Reads what the CPU is from /proc and /sys, on x86-64 and aarch64. What the system does not say is guessed low."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from kernelwright.errors import MachineError

_SIMD = (("avx512f", "avx512", 64), ("avx2", "avx2", 32), ("asimd", "neon", 16))
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class CpuFacts:
    """Cores are those available to this process; l1 and l2 are one core's, l3 is shared. `flags` is sorted."""

    model: str
    cores: int
    flags: tuple[str, ...]
    simd: str
    vector_bytes: int
    matrix_unit: str
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    memory_bytes: int


def read_facts(root: Path) -> CpuFacts:
    """Reads the files below `root`, which is `/` except in tests.

    Raises:
        MachineError: the system is not Linux, or the processor is neither x86-64 nor aarch64.
    """
    cpuinfo = _text(root / "proc/cpuinfo")
    fields = _fields(cpuinfo)
    flags = tuple(sorted(set((fields.get("flags") or fields.get("Features") or "").split())))
    if not flags:
        raise MachineError(
            f"{platform.system()} on {platform.machine()} is not supported as a CPU target",
            where=str(root / "proc/cpuinfo"),
            remedy="use Linux on x86-64 or aarch64",
        )
    simd, vector_bytes = next(((name, width) for flag, name, width in _SIMD if flag in flags), ("scalar", 8))
    caches = _caches(root / "sys/devices/system/cpu/cpu0/cache")
    return CpuFacts(
        model=fields.get("model name") or _arm_model(fields),
        cores=available_cores(root),
        flags=flags,
        simd=simd,
        vector_bytes=vector_bytes,
        matrix_unit="amx" if simd == "avx512" and {"amx_tile", "amx_bf16"} <= {*flags} else "",
        l1_bytes=caches.get(1, 32 << 10),
        l2_bytes=caches.get(2, 256 << 10),
        l3_bytes=caches.get(3, 0),
        memory_bytes=_memory(root),
    )


def available_cores(root: Path) -> int:
    """Cores that this process may keep busy: its affinity, cut by the quotas of the control groups it is in."""
    cores = float(len(os.sched_getaffinity(0)))
    for folder in _groups(root, "cpu"):
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        quota = quota or _text(folder / "cpu.cfs_quota_us").strip()
        period = period or _text(folder / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, int(quota) / int(period))
    return max(1, int(cores))


def _memory(root: Path) -> int:
    """Bytes of memory, cut by the limits of the control groups."""
    total = _fields(_text(root / "proc/meminfo")).get("MemTotal", "").split()
    limits = [int(total[0]) << 10] if total else [_NO_LIMIT]
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _text(folder / name).strip()
            if limit.isdigit():
                limits.append(int(limit))
    return min(limits)


def _groups(root: Path, controller: str) -> list[Path]:
    """The folders of this process's control groups for a controller, version 1 or 2, from its own up to the top."""
    folders: list[Path] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # In version 1 a controller's folder has the name of the mount, or only its own.
        for mount in dict.fromkeys((controllers, controllers and controller)):
            top = root / "sys/fs/cgroup" / mount
            # In a container the path is often the host's, and the group itself is mounted at the top.
            own = top / path.lstrip("/")
            folders += [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]
    return folders


def _caches(folder: Path) -> dict[int, int]:
    """Bytes by level, of data and unified caches."""
    sizes: dict[int, int] = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = (_text(index / name).strip() for name in ("level", "type", "size"))
        if kind != "Instruction" and level.isdigit() and size[:-1].isdigit():
            sizes[int(level)] = int(size[:-1]) << {"K": 10, "M": 20, "G": 30}.get(size[-1], 0)
    return sizes


def _arm_model(fields: dict[str, str]) -> str:
    implementer, part = fields.get("CPU implementer"), fields.get("CPU part")
    return f"ARM implementer {implementer} part {part}" if implementer and part else platform.machine()


def _fields(text: str) -> dict[str, str]:
    """`key: value` lines as a dictionary; the first of each key."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
