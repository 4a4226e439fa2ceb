"""Run by itself: a judge on a machine that allows neither namespaces nor bubblewrap. Reads sources of candidates from
stdin, as JSON, and writes what the judge says of each; `JUDGE` in a source is the judge's process number."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from judge_bench import Bench
from judge_sources import AFFINE

from kernelwright.judge import sandbox, seccomp
from kernelwright.targets.cpu import Cpu


def main(folder: str) -> None:
    seccomp._NEVER = {"unshare": seccomp._NEVER["unshare"]}
    seccomp.install(programs=True, alone=True, signals=True)
    sandbox.bubblewrap = lambda: None
    sandbox._try_namespaces = lambda _: True  # wrongly: a worker knows better
    bench = Bench(Path(folder), Cpu())
    try:
        verdicts = [
            bench.evaluate(AFFINE, source.replace("JUDGE", str(os.getpid()))) for source in json.load(sys.stdin)
        ]
    finally:
        bench.close()
    json.dump([{"reason": one.reason, "message": one.message, "sandbox": one.sandbox} for one in verdicts], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
