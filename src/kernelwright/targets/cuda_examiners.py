"""NVIDIA's programs that look into a process: compute-sanitizer and Nsight Compute, where they are installed."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Mapping
from typing import Any

from kernelwright import toolchain
from kernelwright.errors import MachineError
from kernelwright.targets.examiner import Examiner

_MARK = "========="
_HEAD = re.compile(
    r"^========= (?!(?:COMPUTE-SANITIZER|ERROR SUMMARY|RACECHECK SUMMARY|Target application|LEAK)\b)(\S.*)$"
)
_SUMMARY = re.compile(r"^========= (?:ERROR|RACECHECK) SUMMARY: (\d+)", re.MULTILINE)
_MOST_FINDINGS, _MOST_LINES = 20, 4
_ALL_OF_IT = "PYTORCH_NO_CUDA_MEMORY_CACHING"


class Sanitizer(Examiner):
    """One of compute-sanitizer's tools. `initcheck` is none of them: inputs are written by the judge's process, which
    it does not see, so that all of them would count as never written."""

    def __init__(self, tool: str) -> None:
        self.name = tool

    def command(self) -> list[str]:
        """See `Examiner.command`."""
        options = ["--tool", self.name, "--print-limit", "100", "--target-processes", "application-only"]
        return [_program("compute-sanitizer"), *options]

    @property
    def variables(self) -> Mapping[str, str]:
        """Each tensor is an allocation of its own, so that what goes beyond it is not another tensor's."""
        return {_ALL_OF_IT: "1"}

    def read(self, said: str) -> dict[str, Any]:
        """`errors` is how many it counted (null where it did not come to an end), `findings` the first of them, each
        with `what` and, in `where`, its first lines."""
        found: list[dict[str, Any]] = []
        for line in said.splitlines():
            if head := _HEAD.match(line):
                found.append({"what": head[1].strip(), "where": []})
            elif found and line.startswith(_MARK + "  ") and len(found[-1]["where"]) < _MOST_LINES:
                found[-1]["where"].append(line.removeprefix(_MARK).strip())
        counted = _SUMMARY.search(said)
        errors = int(counted[1]) if counted else None
        return {"errors": errors, "findings": found[:_MOST_FINDINGS] if errors != 0 else []}


SANITIZERS = ("memcheck", "racecheck", "synccheck")

METRICS = {
    "gpu__time_duration.sum": "seconds",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": "dram_share",
    "dram__bytes.sum": "dram_bytes",
    "lts__t_sector_hit_rate.pct": "l2_hit_share",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "sm_share",
    "sm__inst_executed_pipe_tensor.avg.pct_of_peak_sustained_active": "tensor_share",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy",
    "smsp__issue_active.avg.pct_of_peak_sustained_active": "issue_share",
    "launch__waves_per_multiprocessor": "waves",
}
"""Nsight Compute's counters by what we call them; shares are of the most that there can be."""
_LIBRARY = re.compile(r"\bat::|cublas|cudnn|cutlass::Kernel2|elementwise_kernel|vectorized_")


class NsightCompute(Examiner):
    """Counters of the hardware for each kernel of one call. Clocks are left as they are, caches are emptied before each
    kernel."""

    name, cases = "Nsight Compute", 1

    def command(self) -> list[str]:
        """See `Examiner.command`."""
        options = ["--clock-control", "none", "--print-units", "base", "--csv", "--page", "details"]
        return [_program("ncu"), *options, "--metrics", ",".join(METRICS), "--target-processes", "application-only"]

    def read(self, said: str) -> dict[str, Any]:
        """`kernels`: for each of the candidate's own by name, how often it ran (`calls`), its `seconds` in all, and the
        other counters of the longest run; `problem` where there are none, with its last word."""
        runs: dict[str, dict[str, Any]] = {}
        lines = [line for line in said.splitlines() if line.startswith('"')]
        for row in csv.DictReader(lines):
            metric = METRICS.get(str(row.get("Metric Name")))
            value = _number(row.get("Metric Value"))
            if metric is not None and value is not None:
                run = runs.setdefault(str(row.get("ID")), {"kernel": _plain(str(row.get("Kernel Name")))})
                run[metric] = value * 1e-9 if metric == "seconds" else value / 100 if _is_share(metric) else value
        kernels: dict[str, dict[str, Any]] = {}
        for run in runs.values():
            name = run.pop("kernel")
            if _LIBRARY.search(name):
                continue
            held = kernels.get(name, {"calls": 0, "seconds": 0.0, "longest": -1.0})
            longest = max(held["longest"], run.get("seconds", 0.0))
            facts = run if longest > held["longest"] else held
            total = held["seconds"] + run.get("seconds", 0.0)
            kernels[name] = {**facts, "calls": held["calls"] + 1, "seconds": total, "longest": longest}
        if kernels:
            return {"kernels": kernels}
        errors = [line for line in said.splitlines() if line.startswith(("==ERROR==", "==WARNING=="))]
        return {"kernels": {}, "problem": errors[0].partition("== ")[2] if errors else "it saw no kernel"}


def _is_share(metric: str) -> bool:
    return metric.endswith("_share") or metric == "occupancy"


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").replace(",", ""))
    except ValueError:
        return None


def _plain(kernel: str) -> str:
    """A kernel's name without its arguments."""
    return kernel.partition("(")[0].removeprefix("void ").strip() or kernel


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        try:
            beside = toolchain.cuda_home() / "bin" / name
            found = str(beside) if beside.exists() else None
        except MachineError:
            found = None
    if found is None:
        remedy = "install NVIDIA's CUDA toolkit, which it comes with, or put its folder on PATH"
        raise MachineError(f"there is no {name}", remedy=remedy)
    return found
