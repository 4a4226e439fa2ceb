"""What this machine has and lacks, each with a remedy."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from kernelwright import format as fmt
from kernelwright import registry, toolchain
from kernelwright.errors import KernelwrightError, MachineError
from kernelwright.home import home
from kernelwright.targets.base import Target
from kernelwright.targets.cuda import Cuda


@dataclass(frozen=True)
class Check:
    """One thing examined: `fine`, `weak` (works, but could be better) or `broken` (something will fail)."""

    name: str
    status: Literal["fine", "weak", "broken"]
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """What `doctor --json` prints."""
        return asdict(self)


def examine() -> Sequence[Check]:
    """All checks. Measures the ceilings if this machine has none yet, which takes some seconds."""
    return [_python(), _torch(), _compiler(), _ninja(), *_cpu(), *_gpu(), _sandbox(), _home(), _store()]


def _python() -> Check:
    return Check("Python", "fine", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _torch() -> Check:
    # The version alone, since importing torch takes seconds.
    try:
        return Check("torch", "fine", version("torch"))
    except PackageNotFoundError:
        return Check("torch", "broken", "not installed", "pip install -c constraints.txt torch")


def _compiler() -> Check:
    try:
        command = toolchain.compiler()
    except MachineError as error:
        return Check("C++ compiler", "broken", error.what, error.remedy)
    asked = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=30, check=False)
    if asked.returncode != 0:
        return Check(
            "C++ compiler", "broken", f"{command[0]} does not run", "install g++, or set CXX to one that works"
        )
    return Check("C++ compiler", "fine", asked.stdout.splitlines()[0])


def _ninja() -> Check:
    try:
        return Check("ninja", "fine", toolchain.ninja())
    except MachineError as error:
        return Check("ninja", "broken", error.what, error.remedy)


def _cpu() -> Iterator[Check]:
    target = registry.load("targets", "cpu")()
    try:
        info, ceilings = target.info(), _ceilings("ceilings", target)
    except KernelwrightError as error:
        yield Check("CPU", "broken", str(error))
        return
    caches = f"L1 {fmt.size(info.l1_bytes)}, L2 {fmt.size(info.l2_bytes)}, L3 {fmt.size(info.l3_bytes)}"
    units = ", ".join(filter(None, (info.simd, info.matrix_unit)))
    memory = fmt.size(info.memory_bytes)
    yield Check("CPU", "fine", f"{info.model}, {info.cores} cores, {units}, {caches}, memory {memory}")
    yield ceilings


def _gpu() -> Iterator[Check]:
    """Nothing where there is none: it need not be there."""
    target = Cuda()
    try:
        info = target.info()
    except MachineError:
        return
    memory = f"L2 {fmt.size(info.l2_bytes)}, memory {fmt.size(info.memory_bytes)}"
    yield Check("GPU", "fine", f"{info.model}, {info.multiprocessors} multiprocessors, {info.simd}, {memory}")
    try:
        yield _ceilings("GPU ceilings", target)
    except KernelwrightError as error:
        yield Check("GPU ceilings", "broken", str(error))
    yield _nvcc()


def _nvcc() -> Check:
    """Weak where there is none: only CUDA C++ needs it."""
    try:
        home = toolchain.cuda_home()
    except MachineError as error:
        return Check("CUDA compiler", "weak", error.what, error.remedy)
    return Check("CUDA compiler", "fine", f"nvcc in {home}")


def _ceilings(name: str, target: Target) -> Check:
    """Raises `MachineError`."""
    ceilings = target.ceilings()
    largest = ceilings.bandwidth["read"][-1][0]
    rates = [f"{kind} {fmt.rate(curve[-1][1], 'B/s')}" for kind, curve in ceilings.bandwidth.items()]
    rates[-1] += f" at {fmt.size(largest)}"
    rates += [f"{fmt.rate(flops, 'FLOP/s')} {dtype}" for dtype, flops in ceilings.flops.items()]
    return Check(name, "fine", ", ".join(rates))


def _sandbox() -> Check:
    from kernelwright.judge.sandbox import level

    found = level()
    return Check("sandbox", "weak" if found.missing else "fine", found.name, found.remedy)


def _home() -> Check:
    try:
        folder = home()
        free = shutil.disk_usage(folder).free
    except KernelwrightError as error:
        return Check("home", "broken", error.what, error.remedy)
    if free < 1 << 30:
        return Check("home", "weak", f"{folder}, {fmt.size(free)} free", "free some space or set KERNELWRIGHT_HOME")
    return Check("home", "fine", f"{folder}, {fmt.size(free)} free")


def _store() -> Check:
    from kernelwright.store import Store

    try:
        with closing(Store()) as store:
            return Check("store", "fine", store.name)
    except KernelwrightError as error:
        return Check("store", "broken", f"{error.where}: {error.what}", error.remedy)
