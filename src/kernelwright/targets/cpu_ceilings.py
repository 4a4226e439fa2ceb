"""Measures a CPU's ceilings in a process of its own, since a thread pool here would not survive the judge's forks."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from kernelwright import toolchain
from kernelwright.errors import MachineError
from kernelwright.home import home
from kernelwright.targets.base import Ceilings, TargetInfo, Traffic

if TYPE_CHECKING:
    from kernelwright.tasks import CaseInfo

PROGRAM = Path(__file__).with_name("ceilings.cpp")
_MOST_BYTES = 256 << 20
_SECONDS = 2.0
_CALM = 0.6
"""Of the time of some pass over memory, the share that each thread had a core: 0.7 and more on two quiet cores, 0.3 and
less where one more thread runs."""
_ATTEMPTS = 3
_TIMEOUT_S = 120
# Where the CPU has no arithmetic for the half-precision formats they are as fast as float32; else a product tells. It
# may have it for one of them only, and torch then takes minutes for a large product of the other: sizes grow till slow.
_PRODUCT = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
def product(size, dtype):
    a = torch.full((size, size), 0.5, dtype=dtype)
    begin = time.perf_counter()
    a @ a
    return time.perf_counter() - begin
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    for size in (256, 512, 1024, 2048):
        seconds = min(product(size, dtype) for _ in range(4))
        print("flops", str(dtype).removeprefix("torch."), 2 * size**3 / seconds)
        if seconds > 0.1:
            break
"""
_HALF_PRECISION_UNITS = ("avx512_bf16", "avx512_fp16", "amx_bf16", "avx_ne_convert", "asimdhp", "bf16")


def measure(info: TargetInfo, flags: tuple[str, ...]) -> tuple[Ceilings, bool]:
    """Builds and runs `ceilings.cpp`, and where the CPU has half-precision arithmetic torch's matrix product beside it.

    Returns the ceilings, and whether the machine was calm: where it was not, they may be too low to be kept.

    Raises:
        MachineError: there is no C++ compiler, or the measurement fails.
    """
    output = ""
    for _ in range(_ATTEMPTS):
        output += _rounds(info, _SECONDS)
        if parse(output)[1]:
            break
    if any(flag in flags for flag in _HALF_PRECISION_UNITS):
        output += _run([sys.executable, "-c", _PRODUCT, str(info.cores)])
    return parse(output)


@contextmanager
def meter(info: TargetInfo, case: CaseInfo, calls: int) -> Iterator[Callable[[], float | None]]:
    """Yields a function that measures what moving the data of one of a batch of `calls` calls takes now, in seconds;
    None where there is not enough memory for that. Raises `MachineError` where its program cannot be built."""
    inputs = case.read_bytes - case.state_bytes
    sizes = map(str, (info.cores, inputs, case.state_bytes, case.written_bytes, calls))
    try:
        running = subprocess.Popen(
            [str(_program(info)), *sizes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise MachineError(f"cannot measure the floor: {error}") from error
    try:
        _line(running)
        _signal(running, signal.SIGSTOP)
        yield lambda: _asked(running)
    finally:
        _signal(running, signal.SIGKILL)
        running.wait()
        for pipe in (running.stdin, running.stdout):
            assert pipe is not None
            pipe.close()


def _asked(running: subprocess.Popen[bytes]) -> float | None:
    """One measurement; the program is stopped in between, or its threads would spin while something else is timed."""
    assert running.stdin is not None
    try:
        _signal(running, signal.SIGCONT)
        running.stdin.write(b"\n")
        return float(_line(running))
    except (BrokenPipeError, ValueError):
        return None
    finally:
        _signal(running, signal.SIGSTOP)


def _line(running: subprocess.Popen[bytes]) -> bytes:
    """What it prints next; nothing where it has ended or takes too long."""
    assert running.stdout is not None
    return running.stdout.readline() if select.select([running.stdout], [], [], _TIMEOUT_S)[0] else b""


def _signal(running: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if running.poll() is None:
        os.killpg(running.pid, number)


def _rounds(info: TargetInfo, seconds: float) -> str:
    """What `ceilings.cpp` prints in this time, one round at least."""
    most = min(_MOST_BYTES, info.memory_bytes // 8)
    return _run([str(_program(info)), str(info.cores), str(most), str(seconds)])


def _program(info: TargetInfo) -> Path:
    """`ceilings.cpp`, built."""
    program = home() / "builds" / f"ceilings-{info.key}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            _run([*_compiler(info), str(PROGRAM), "-o", f"{folder}/ceilings"])
            Path(folder, "ceilings").replace(program)
    return program


def parse(output: str) -> tuple[Ceilings, bool]:
    """Ceilings from the programs' lines, the best of each size and dtype, and whether some round was calm throughout.

    A smaller working set is never slower than a larger one, so a measurement that says so was disturbed, and is raised.
    """
    best: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in output.splitlines():
        kind, what, rate = line.split()
        best[kind][what] = max(best[kind][what], float(rate))
    flops = dict(best["flops"])
    for half in ("bfloat16", "float16"):
        flops[half] = max(flops.get(half, 0.0), flops["float32"])
    bandwidth = {kind: _curve({int(size): rate for size, rate in best[kind].items()}) for kind in get_args(Traffic)}
    return Ceilings(bandwidth=bandwidth, flops=flops), best["calm"]["all"] >= _CALM


def highest(first: Ceilings, second: Ceilings) -> Ceilings:
    """The higher of each rate; both were measured at the same sizes."""
    bandwidth = {
        kind: _curve(
            {size: max(rate, other) for (size, rate), (_, other) in zip(curve, second.bandwidth[kind], strict=True)}
        )
        for kind, curve in first.bandwidth.items()
    }
    return Ceilings(
        bandwidth=bandwidth, flops={name: max(rate, second.flops[name]) for name, rate in first.flops.items()}
    )


def _curve(rates: Mapping[int, float]) -> tuple[tuple[int, float], ...]:
    sizes = sorted(rates)
    falling = list(accumulate((rates[size] for size in reversed(sizes)), max))[::-1]
    return tuple(zip(sizes, falling, strict=True))


def _compiler(info: TargetInfo) -> list[str]:
    return [*toolchain.compiler(), "-O3", "-march=native", "-fopenmp", f"-DVECTOR_BYTES={max(16, info.vector_bytes)}"]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=_environment(), check=True
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[0]
        raise MachineError(f"cannot measure the CPU's ceilings: {reason}", where=command[0]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"cannot measure the CPU's ceilings: {error}", where=command[0]) from error
    return done.stdout
