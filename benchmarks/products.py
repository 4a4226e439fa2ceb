"""How the catalogue's products, convolutions and attention stand beside torch's own (oneDNN and MKL) and torch.compile.

    python benchmarks/products.py                     every case: the catalogue's first kernel, a few minutes
    python benchmarks/products.py product_1024 conv   some of them
    python benchmarks/products.py --budget 30s        the best that a run of this length found

Each case is judged, then timed in turn with eager and torch.compile (A B C A B C): `speedup` is the median of paired
ratios over eager with its 95 % interval, `floor` the share of the speed that the measured peak FLOP/s would allow.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

import kernelwright
from first_kernel import first_kernel, judging
from kernelwright import format as fmt
from kernelwright.judge.verdict import Comparison

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
LINE = "{:14} {:>10} {:>14} {:>10} {:>11} {:>14} {:>19} {:>6}"
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


def task(folder: Path, name: str) -> Path:
    """The case as a task file."""
    init, forward, inputs = CASES[name]
    more = "".join(f", {letter}" for letter in "yz"[: inputs.count("randn") - 1])
    path = folder / f"{name}.py"
    path.write_text(TASK.format(init=init or "pass", forward=forward, inputs=inputs, more=more))
    return path


async def first(path: Path) -> tuple[str, Comparison | None]:
    """What became of the catalogue's first kernel for a task, and how fast it is."""
    async with judging(path) as judge:
        candidate = await first_kernel(judge)
        if candidate is None:
            return "the catalogue has none", None
        verdict = await judge.evaluate(candidate)
        if not verdict.accepted:
            return f"{verdict.reason}: {verdict.message}", None
        return candidate.id, await judge.compare([candidate])


def best(path: Path, budget: str) -> tuple[str, Comparison | None]:
    """The same of the best kernel that a run finds."""
    result = kernelwright.optimize(path, budget=budget, out=path.parent / "out")
    node = result.view.best_node
    return (node.candidate.id if node else result.outcome), result.comparison


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="cases; all of them by default")] = None,
    budget: Annotated[str, typer.Option(help="length of a run for each case, such as 30s")] = "",
) -> None:
    """Measures the cases and prints a line for each."""
    headings = ("eager", "torch.compile", "own", "over eager", "95 % interval", "over torch.compile", "floor")
    typer.echo(LINE.format("case", *headings))
    with tempfile.TemporaryDirectory() as folder:
        for name in names or CASES:
            path = task(Path(folder), name)
            own, measured = best(path, budget) if budget else asyncio.run(first(path))
            row = measured.row(own) if measured else None
            if measured is None or row is None:
                typer.echo(f"{name}: {own}")
                continue
            others = (measured.row(each) for each in ("eager", "torch.compile"))
            times = [fmt.time(each.time_us if each else None) for each in (*others, row)]
            ratios = (fmt.speedup(row.speedup), fmt.interval(row.speedup_ci), fmt.speedup(row.speedup_over_compile))
            typer.echo(LINE.format(name, *times, *ratios, fmt.percent(row.floor_share)))


if __name__ == "__main__":
    app()
