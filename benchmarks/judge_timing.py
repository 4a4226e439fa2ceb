"""How well the judge measures: kernels with a known ratio to their reference, from 20 µs to 200 ms.

    python benchmarks/judge_timing.py                      five durations, five ratios, ten verdicts each; half an hour
    python benchmarks/judge_timing.py --repeats 3 --load 1 with one busy loop beside it

Reference and candidate call the same C++ function; the candidate has it do 1, 1.05, 1.25, 2 and 10 times the work, so
that its speedup is known: 1, 0.952, 0.8, 0.5, 0.1, corrected for the microseconds that a forward takes that does
nothing, at the median, on inputs that another core has just written. `off` is how far the measured speedup is from
that, `held` how often the 95 % interval holds it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kernelwright import registry
from kernelwright.judge.judge import Judge
from kernelwright.proposers.base import Candidate
from kernelwright.tasks import Task
from load import busy

DURATIONS_US = (20.0, 200.0, 2e3, 2e4, 2e5)
RATIOS = (1.0, 1.05, 1.25, 2.0, 10.0)
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)

SOURCE = r"""
#include <tvm/ffi/container/tensor.h>
// y = 2 x + 1, and `rounds` rounds of arithmetic that lead nowhere on each of `threads` threads.
void work(tvm::ffi::TensorView x, tvm::ffi::TensorView y, int64_t rounds, int64_t threads) {
  const float* from = static_cast<const float*>(x.data_ptr());
  float* to = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    float a = 1.0f, b = 2.0f, c = 3.0f, d = 4.0f;
    for (int64_t i = 0; i < rounds; ++i) {
      a = a * 0.5f + 1.0f; b = b * 0.5f + 1.0f; c = c * 0.5f + 1.0f; d = d * 0.5f + 1.0f;
#if defined(__x86_64__)
      asm volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d));
#else
      asm volatile("" : "+w"(a), "+w"(b), "+w"(c), "+w"(d));
#endif
    }
  }
  for (int64_t i = 0; i < n; ++i) to[i] = 2.0f * from[i] + 1.0f;
}
"""
TASK = """
import base64, pathlib, tempfile
import torch
from torch import nn
import tvm_ffi
library = pathlib.Path(tempfile.mkdtemp(), "work.so")  # workers see no /tmp but their own
library.write_bytes(base64.b64decode({library!r}))
KERNELS = tvm_ffi.load_module(str(library))
class Model(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        KERNELS.work(x, y, {rounds}, {threads})
        return y
def get_inputs(): return [torch.randn(1024)]
"""
CANDIDATE = """
import torch
from torch import nn
from tvm_ffi.cpp import load_inline
KERNELS = load_inline(name="work", cpp_sources={source!r}, functions=["work"],
                      extra_cflags=["-O2", "-march=native", "-fopenmp"], extra_ldflags=["-fopenmp"])
class ModelNew(nn.Module):  # {label}
    def forward(self, x):
        y = torch.empty_like(x)
        KERNELS.work(x, y, {rounds}, {threads})
        return y
"""
CALIBRATE = """
import os, statistics, sys, threading, time, torch, tvm_ffi
from torch import nn
kernels = tvm_ffi.load_module(sys.argv[1])
class Model(nn.Module):
    def __init__(self, rounds, threads):
        super().__init__()
        self.rounds, self.threads = rounds, threads
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.work(x, y, self.rounds, self.threads)
        return y
CALLS = 500
inputs = [torch.empty(1024) for _ in range(CALLS)]
results = []
def write():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for x in inputs:
        x.normal_()
def seconds(rounds):
    writer = threading.Thread(target=write)  # as when the judge has written them, another core's caches hold inputs
    writer.start()
    writer.join()
    model = Model(rounds, int(sys.argv[2]))
    results.clear()
    with torch.no_grad():
        begin = time.perf_counter()
        for x in inputs:
            results.append(model(x))
        return (time.perf_counter() - begin) / CALLS
fixed = statistics.median(seconds(0) for _ in range(15))
print(fixed, (min(seconds(20_000) for _ in range(10)) - min(seconds(0) for _ in range(10))) / 20_000)
"""


@dataclass(frozen=True)
class Row:
    """One duration and ratio. `truth` is the speedup that must come out, `off` the median over the verdicts of how far
    it is from that, relative, `held` the share of intervals that hold it."""

    duration_us: float
    work: float
    truth: float
    measured: float
    off: float
    held: float
    width: float
    verdicts: int


async def measure(folder: Path, duration_us: float, repeats: int, threads: int) -> list[Row]:
    """All ratios at one duration, in turn, so that a noisy minute does not hit one of them alone."""
    library = build(folder)
    done = subprocess.run(
        [sys.executable, "-c", CALIBRATE, str(library), str(threads)], capture_output=True, text=True, check=True
    )
    fixed, each = (1e6 * float(value) for value in done.stdout.split())
    rounds = max(1, round((duration_us - fixed) / each))
    path = folder / f"task_{duration_us:g}.py"
    code = base64.b64encode(library.read_bytes()).decode()
    path.write_text(TASK.format(library=code, rounds=rounds, threads=threads))
    found: dict[float, list[Any]] = {work: [] for work in RATIOS}
    async with Judge(Task.load(path), registry.load("targets", "cpu")()) as judge:
        for repeat in range(repeats):
            for work in RATIOS:
                text = CANDIDATE.format(
                    source=SOURCE, rounds=round(rounds * work), threads=threads, label=f"{work} {repeat}"
                )
                verdict = await judge.evaluate(Candidate(source=text, language="cpp"))
                if verdict.accepted:
                    found[work].append(verdict)
                else:
                    typer.echo(f"{duration_us:g} us, {work} x: {verdict.reason}: {verdict.message}", err=True)
    truths = {work: (fixed + rounds * each) / (fixed + round(rounds * work) * each) for work in RATIOS}
    return [row(duration_us, work, truths[work], verdicts) for work, verdicts in found.items() if verdicts]


def build(folder: Path) -> Path:
    """The library that the reference loads, beside the task."""
    script = (
        "import sys; from tvm_ffi import cpp; print(cpp.build_inline(name='work', cpp_sources=sys.argv[1], "
        "functions=['work'], extra_cflags=['-O2', '-march=native', '-fopenmp'], extra_ldflags=['-fopenmp'], "
        "build_directory=sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, SOURCE, str(folder)], capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip().splitlines()[-1])


def row(duration_us: float, work: float, truth: float, verdicts: Sequence[Any]) -> Row:
    """The medians over the verdicts."""
    held = [verdict.speedup_ci[0] <= truth <= verdict.speedup_ci[1] for verdict in verdicts]
    return Row(
        duration_us=duration_us,
        work=work,
        truth=truth,
        measured=statistics.median(verdict.speedup for verdict in verdicts),
        off=statistics.median(abs(verdict.speedup / truth - 1) for verdict in verdicts),
        held=sum(held) / len(held),
        width=statistics.median((v.speedup_ci[1] - v.speedup_ci[0]) / v.speedup for v in verdicts),
        verdicts=len(verdicts),
    )


@app.command()
def main(
    repeats: Annotated[int, typer.Option(min=1, help="Verdicts for each duration and ratio.")] = 10,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the kernel; 0: all cores.")] = 0,
    load: Annotated[int, typer.Option(min=0, help="Busy loops beside it.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """How well the judge measures kernels with a known ratio."""
    cores = registry.load("targets", "cpu")().info().cores
    rows: list[Row] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, busy(load):
        for duration in DURATIONS_US:
            found = asyncio.run(measure(Path(folder), duration, repeats, threads or cores))
            rows += found
            for each in found:
                typer.echo(f"{duration:g} us, {each.work:g} x: off {each.off:.2%}, held {each.held:.0%}", err=True)
            typer.echo(f"{duration:g} us measured, {time.monotonic() - begin:.0f} s", err=True)
    if not rows:
        typer.echo("error: no verdict was accepted", err=True)
        raise typer.Exit(1)
    summary = {
        "off_median": statistics.median(each.off for each in rows),
        "off_worst": max(each.off for each in rows),
        "held": sum(each.held * each.verdicts for each in rows) / sum(each.verdicts for each in rows),
        "verdicts": sum(each.verdicts for each in rows),
        "load": load,
    }
    if as_json:
        print(json.dumps({**summary, "rows": [asdict(each) for each in rows]}, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("reference", "work", "true speedup", "measured", "off", "held", "width"):
        table.add_column(heading, justify="right", header_style="dim")
    for each in rows:
        table.add_row(
            f"{each.duration_us / 1e3:g} ms", f"{each.work:g} x", f"{each.truth:.4f}", f"{each.measured:.4f}",
            f"{each.off:.2%}", f"{each.held:.0%}", f"{each.width:.1%}",
        )  # fmt: skip
    Console().print(table)
    print(
        f"off by {summary['off_median']:.2%} at the median of {len(rows)} rows, {summary['off_worst']:.2%} at most; "
        f"{summary['held']:.0%} of {summary['verdicts']} intervals hold the truth; {load} busy loops"
    )


if __name__ == "__main__":
    app()
