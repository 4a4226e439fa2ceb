"""How the catalogue's products, convolutions and attention stand beside torch's own (oneDNN and MKL) and torch.compile.

    python benchmarks/products.py                     every case: the catalogue's first kernel, a few minutes
    python benchmarks/products.py product_1024 conv   some of them
    python benchmarks/products.py --budget 30s        the best that a run of this length found
    python benchmarks/products.py --json              the same as JSON on stdout

Each case is judged, then timed in turn with eager and torch.compile (A B C A B C): `speedup` is the median of paired
ratios over eager with its 95 % interval, `floor` the share of the speed that the measured peak FLOP/s would allow.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import kernelwright
import suites
from first_kernel import first_kernel, judging

CASES = {
    "product_1024": ("", "x @ y", "torch.randn(1024, 1024), torch.randn(1024, 1024)"),
    "product_2048": ("", "x @ y", "torch.randn(2048, 2048), torch.randn(2048, 2048)"),
    "linear_gelu": ("self.linear = nn.Linear(1024, 1024)", "F.gelu(self.linear(x))", "torch.randn(1024, 1024),"),
    "conv": ("self.conv = nn.Conv2d(64, 64, 3, padding=1)", "self.conv(x)", "torch.randn(8, 64, 56, 56),"),
    "conv_bn_relu": (
        "self.conv, self.norm = nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64); self.eval()",
        "F.relu(self.norm(self.conv(x)))",
        "torch.randn(8, 64, 56, 56),",
    ),
    "conv_strided": (
        "self.conv = nn.Conv2d(64, 128, 3, stride=2, padding=1)",
        "self.conv(x)",
        "torch.randn(8, 64, 56, 56),",
    ),
    "conv_stem": (
        "self.conv = nn.Conv2d(3, 64, 7, stride=2, padding=3)",
        "self.conv(x)",
        "torch.randn(8, 3, 224, 224),",
    ),
    "conv_transposed": (
        "self.conv = nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1)",
        "self.conv(x)",
        "torch.randn(8, 64, 28, 28),",
    ),
    "conv_depthwise": (
        "self.conv = nn.Conv2d(64, 64, 3, padding=1, groups=64)",
        "self.conv(x)",
        "torch.randn(8, 64, 112, 112),",
    ),
    "attention": (
        "",
        "F.scaled_dot_product_attention(x, y, z)",
        "torch.randn(4, 8, 1024, 64), torch.randn(4, 8, 1024, 64), torch.randn(4, 8, 1024, 64)",
    ),
}
TASK = """
import torch
import torch.nn.functional as F
from torch import nn
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        {init}
    def forward(self, x{more}):
        return {forward}
def get_inputs(): return [{inputs}]
"""
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def task(folder: Path, name: str) -> Path:
    """The case as a task file."""
    init, forward, inputs = CASES[name]
    more = "".join(f", {letter}" for letter in "yz"[: inputs.count("randn") - 1])
    path = folder / f"{name}.py"
    path.write_text(TASK.format(init=init or "pass", forward=forward, inputs=inputs, more=more))
    return path


async def first(path: Path) -> suites.Row:
    """What became of the catalogue's first kernel for a task, and how fast it is."""
    async with judging(path) as judge:
        candidate = await first_kernel(judge)
        if candidate is None:
            return suites.Row(path.stem, "the catalogue has none")
        verdict = await judge.evaluate(candidate)
        row = suites.Row(path.stem, verdict.reason or verdict.outcome, problem=verdict.message)
        return suites.timed(row, await judge.compare([candidate]), candidate.id) if verdict.accepted else row


def best(path: Path, budget: str) -> suites.Row:
    """The same of the best kernel that a run finds."""
    result = kernelwright.optimize(path, budget=budget, out=path.parent / "out")
    return suites.filled(suites.Row(path.stem, ""), result)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="cases; all of them by default")] = None,
    budget: Annotated[str, typer.Option(help="length of a run for each case, such as 30s")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Measures the cases, a row for each."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names or CASES:
            path = task(Path(folder), name)
            rows.append(best(path, budget) if budget else asyncio.run(first(path)))
            typer.echo(f"{name}: {rows[-1].outcome} {rows[-1].problem}", err=True)
    if as_json:
        command = " ".join(["python benchmarks/products.py", *(["--budget", budget] if budget else []), *(names or [])])
        print(json.dumps({**suites.facts(command), "rows": [asdict(row) for row in rows]}, indent=2))
        return
    output = Console() if sys.stdout.isatty() else Console(width=160)
    output.print(suites.table(suites.HEADINGS, [suites.cells(row) for row in rows]))


if __name__ == "__main__":
    app()
