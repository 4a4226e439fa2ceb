"""What can be tuned in a rendered candidate, and the best guess to start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from kernelwright.proposers.catalogue.cpp.nests import Function
from kernelwright.proposers.catalogue.dtypes import width
from kernelwright.targets.base import TargetInfo
from kernelwright.tasks import CaseInfo

CACHE_A_CORE = 16 << 20
"""A virtual machine's last-level cache is as large as the whole chip's, and others use it too: more is not ours."""


@dataclass(frozen=True)
class Parameters:
    """The values in force, those each may take, and what must hold between them."""

    values: dict[str, Any]
    space: dict[str, list[Any]]
    constraints: tuple[str, ...] = ()


def parameters(functions: Sequence[Function], case: CaseInfo, target: TargetInfo) -> Parameters:
    """Parameters for these functions on a target. Those that matter most come first in the space.

    Results larger than half of the last-level cache are written past it: nobody could read them from there, and a store
    that
    goes through the cache first reads the line it overwrites, half as much traffic again.
    """
    kinds = {function.nest.kind for function in functions}
    values: dict[str, Any] = {"THREADS": target.cores, "SCHEDULE": "static", "SERIAL_BELOW": 16384}
    space: dict[str, list[Any]] = {}
    if any(function.streams for function in functions):
        values["STREAM"] = int(case.bytes > min(target.l3_bytes, target.cores * CACHE_A_CORE) // 2)
        space["STREAM"] = [0, 1]
    if any(function.fetches for function in functions):
        row = max(_row_bytes(function) for function in functions if function.fetches)
        values["AHEAD"] = int(row <= target.l2_bytes // 3)
        space["AHEAD"] = [0, 1]
    if any("BEYOND" in function.text for function in functions):
        values["BEYOND"] = 4096
        space["BEYOND"] = [0, 4096]
    if kinds & {"rows", "whole"}:
        values["UNROLL"] = 4
        space["UNROLL"] = [1, 2, 4, 8]
    if any("BLOCK" in function.text for function in functions):
        values["BLOCK"] = 16384
        space["BLOCK"] = [4096, 16384, 65536]
    if kinds & {"tiles", "columns"}:
        values["TILE"] = 512 if "tiles" in kinds else 2048
        space["TILE"] = [64, 128, 256, 512, 1024, 2048]
    if "product" in kinds:
        values |= {"MR": 14, "NV": 2, "KC": 256, "MC": 512, "NC": 512} if target.vector_bytes == 64 else {"MR": 6, "NV": 2, "KC": 256, "MC": 512, "NC": 256}
        space |= {"KC": [128, 192, 256, 384, 512], "NC": [128, 256, 512, 1024], "MC": [128, 256, 512, 1024]}
        space |= {"MR": [4, 6, 8, 10, 12, 14], "NV": [1, 2, 3, 4]}
    space["SCHEDULE"] = ["static", "dynamic"]
    if target.cores > 2:  # a core may be two half ones, or others may need some
        space["THREADS"] = [target.cores // 2, target.cores]
    return Parameters(values, space)


def _row_bytes(function: Function) -> int:
    """Bytes that one row of the first sweep reads."""
    nest = function.nest
    elements: int = prod(axis.size for axis in (*nest.inner, *((nest.vector,) if nest.vector else ())))
    return elements * sum(width(buffer.dtype) for buffer in nest.reads if buffer.size >= elements)
