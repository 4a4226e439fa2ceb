"""What a search gives to whoever called `optimize` or `resume`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelwright.errors import UsageError
from kernelwright.judge.verdict import Comparison, Verdict
from kernelwright.report import module
from kernelwright.report.view import RunView, as_json

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Result:
    """What a search found. `view` has everything the report shows; `model` is the live module, if the task was one."""

    view: RunView
    source_path: Path | None
    report_path: Path | None
    model: nn.Module | None = None

    @property
    def run(self) -> str:
        """The run's name in the store."""
        return self.view.run

    @property
    def outcome(self) -> str:
        """`faster` (the whole confidence interval lies above 1), `not_faster`, or `no_kernel`: nothing was accepted."""
        return self.view.outcome

    @property
    def verdict(self) -> Verdict | None:
        """The best candidate's verdict; None when no candidate was accepted."""
        return self.view.best_node.verdict if self.view.best_node else None

    @property
    def source(self) -> str | None:
        """The best candidate's source; None when no candidate was accepted."""
        return self.view.best_node.candidate.source if self.view.best_node else None

    @property
    def comparison(self) -> Comparison | None:
        """The final side-by-side measurement."""
        return self.view.comparison

    @cached_property
    def kernel(self) -> nn.Module:
        """The best candidate as a module in this process, built on first use.

        It takes the reference's inputs. When a live module was optimised it carries copies of its weights.

        Raises:
            UsageError: no candidate was accepted.
        """
        if self.source is None:
            raise UsageError("no candidate was accepted, so there is no kernel", where=self.run)
        return module.build(self.source, self.view.info, self.model)

    def to_json(self) -> dict[str, Any]:
        """What `optimize --json` prints."""
        return {
            "outcome": self.outcome,
            "best": as_json(self.verdict),
            "source_path": str(self.source_path) if self.source_path else None,
            "report_path": str(self.report_path) if self.report_path else None,
            "run": self.run,
            "evaluated": len(self.view.nodes),
            "seconds": round(self.view.seconds, 2),
            "fair": self.view.fairness.verdict,
            "comparison": as_json(self.comparison),
            "models": self.view.models,
        }
