"""The CPU that this process may use: what it is, and its measured ceilings, cached under `home()`."""

from __future__ import annotations

import hashlib
import tempfile
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.targets.base import Ceilings, Target, TargetInfo
from kernelwright.targets.cpu_ceilings import PROGRAM, measure
from kernelwright.targets.cpu_facts import CpuFacts, read_facts


class Cpu(Target):
    """The machine's own processor. Builds run on the cores that kernels are timed on."""

    name = "cpu"
    shares_cores = True

    def info(self) -> TargetInfo:
        """What the CPU is.

        Raises:
            MachineError: this is no Linux on x86-64 or aarch64.
        """
        return self._info

    def ceilings(self) -> Ceilings:
        """The measured ceilings: read from the cache, or measured now (4 s, all cores; nothing else should run).

        What is measured while other programs hold the cores is used but not kept.

        Raises:
            MachineError: there is no C++ compiler, or the cache cannot be written.
        """
        return self._ceilings

    @cached_property
    def _facts(self) -> CpuFacts:
        return read_facts(Path("/"))

    @cached_property
    def _info(self) -> TargetInfo:
        facts = self._facts
        caches = (facts.l1_bytes, facts.l2_bytes, facts.l3_bytes)
        fingerprint = (facts.model, facts.cores, facts.flags, caches, PROGRAM.read_bytes())
        return TargetInfo(
            name=self.name,
            model=facts.model,
            cores=facts.cores,
            simd=facts.simd,
            vector_bytes=facts.vector_bytes,
            l1_bytes=facts.l1_bytes,
            l2_bytes=facts.l2_bytes,
            l3_bytes=facts.l3_bytes,
            memory_bytes=facts.memory_bytes,
            key=hashlib.sha256(repr(fingerprint).encode()).hexdigest()[:16],
        )

    @cached_property
    def _ceilings(self) -> Ceilings:
        path = home() / f"ceilings-{self._info.key}.json"
        cached = _read(path)
        if cached is None:
            cached, calm = measure(self._info, self._facts.flags)
            if calm:
                _write(path, cached)
        return cached


def _read(path: Path) -> Ceilings | None:
    """The cached ceilings; None where there are none or the file is damaged."""
    try:
        ceilings = Ceilings.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    rates = [rate for _, rate in ceilings.bandwidth] + list(ceilings.flops.values())
    plausible = bool(ceilings.bandwidth) and bool(ceilings.flops) and all(1e6 < rate < 1e18 for rate in rates)
    sizes = [size for size, _ in ceilings.bandwidth]
    return ceilings if plausible and sizes == sorted(set(sizes)) and sizes[0] > 0 else None


def _write(path: Path, ceilings: Ceilings) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as draft:
            draft.write(ceilings.model_dump_json(indent=2) + "\n")
        Path(draft.name).replace(path)
    except OSError as error:
        raise MachineError(
            f"cannot keep the measured ceilings: {error.strerror}",
            where=str(path),
            remedy="free some space, or set KERNELWRIGHT_HOME",
        ) from error
