"""How much of a GPU's multiprocessors a kernel can fill, by what one block of it takes: arithmetic, with no GPU."""

from __future__ import annotations

from dataclasses import dataclass

_PARTS, _WARP, _REGISTER_UNIT, _SHARED_UNIT, _RESERVED = 4, 32, 256, 128, 1024
"""Parts of a multiprocessor with registers of their own; threads of a warp; registers that a warp is given at a time;
bytes of shared memory that a block is given at a time, and those that the system takes of each block's."""


@dataclass(frozen=True)
class Multiprocessor:
    """What one of an architecture has: 32-bit registers, bytes of shared memory, warps and blocks that may be
    resident."""

    registers: int
    shared_bytes: int
    warps: int
    blocks: int


MULTIPROCESSORS = {
    "sm_80": Multiprocessor(65536, 164 << 10, 64, 32),
    "sm_86": Multiprocessor(65536, 100 << 10, 48, 16),
    "sm_89": Multiprocessor(65536, 100 << 10, 48, 24),
    "sm_90": Multiprocessor(65536, 228 << 10, 64, 32),
    "sm_100": Multiprocessor(65536, 228 << 10, 64, 32),
}
"""By architecture (CUDA C++ Programming Guide, table of technical specifications by compute capability)."""


def occupancy(arch: str, registers: int, shared_bytes: int, warps: int) -> float | None:
    """The share of the warps that a multiprocessor can hold which are resident when it is full of these blocks, as the
    programming guide counts: 0 where not one block fits, None where the architecture is not known.

    Args:
        arch: as in `MULTIPROCESSORS`.
        registers: of each thread.
        shared_bytes: of each block.
        warps: of each block.
    """
    has = MULTIPROCESSORS.get(arch)
    if has is None or warps <= 0:
        return None
    by_warps = has.warps // warps
    each = _rounded(registers * _WARP, _REGISTER_UNIT)
    by_registers = _PARTS * (has.registers // _PARTS // each) // warps if each else by_warps
    by_shared = has.shared_bytes // (_rounded(shared_bytes, _SHARED_UNIT) + _RESERVED)
    return min(has.blocks, by_warps, by_registers, by_shared) * warps / has.warps


def _rounded(count: int, unit: int) -> int:
    return -(-count // unit) * unit
