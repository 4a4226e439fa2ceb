"""What the command line's tests share: a tiny task, checks of what was printed, a store with a made-up run."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from typer.testing import Result

from kernelwright.report.view import RunView, as_json
from kernelwright.store import Store

# The made-up run that the report's tests use too.
sys.path.insert(0, str(Path(__file__).parent.parent / "report"))
from made_up_run import make_view

__all__ = ["DEVICE", "TASK", "make_view", "one_line", "parsed", "store_run"]

DEVICE = {
    "model": "CPU",
    "cores": 4,
    "simd": "avx2",
    "l2_bytes": 1 << 19,
    "l3_bytes": 1 << 25,
    "huge_pages": "madvise",
}
"""A machine that pages of results tell of."""

TASK = """\
import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x) * 2 + 1


def get_inputs():
    return [torch.randn(512, 1024)]


def get_init_inputs():
    return []
"""


def one_line(text: str) -> str:
    """The text of an error, which must be a single line that is no traceback."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("error: ")
    return lines[0]


def store_run(view: RunView, *, finished: bool = True) -> str:
    """Puts a made-up run into the store as a search would; returns its name."""
    with closing(Store()) as store:
        run = store.create(view.task, view.target, dict(view.settings), seed=7)
        report = {"info": as_json(view.info), "floor_us": view.floor_us, "versions": dict(view.versions)}
        store.describe(run, None, {**report, "ceilings": as_json(view.ceilings)})
        for node in view.nodes:
            number = store.propose(run, node.candidate)
            store.evaluated(run, number, node.verdict, "judge", node.at)
        if finished:
            comparison = as_json(view.comparison)
            store.finish(run, view.outcome, stopped="made up", seconds=58.3, best=view.best, comparison=comparison)
    return run


def parsed(result: Result | subprocess.CompletedProcess[str]) -> object:
    """Standard output, which must be one JSON value and nothing else."""
    return json.loads(result.stdout)
