"""NVIDIA's compute-sanitizer, where it is installed."""

from __future__ import annotations

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
