"""The page of a run: one HTML file that needs no network and trusts nothing that a candidate or a task wrote."""

from __future__ import annotations

import secrets
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from kernelwright import format as fmt
from kernelwright.judge.verdict import COUNTERS, KERNELS
from kernelwright.profile import Diagnosis, diagnose
from kernelwright.report import figures, source
from kernelwright.report.view import Node, RunView
from kernelwright.targets.roofline import bandwidth_of


def render(view: RunView) -> str:
    """The page as text. Scripts carry a nonce and the page's policy allows no others and no network at all, so that
    text from a candidate that slipped through escaping still could not run or call home."""
    environment = Environment(
        loader=PackageLoader("kernelwright.report", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("run.html.j2").render(
        view=view,
        best=view.best_node,
        diagnosis=_diagnosis(view),
        measured=(KERNELS, COUNTERS),
        fmt=fmt,
        bandwidth=bandwidth_of(view.case, view.ceilings),
        nonce=secrets.token_hex(16),
        plotly=Markup(get_plotlyjs()),
        plots=_plots(view),
        highlighted=source.highlighted,
        highlight_css=source.styles(),
        parent=_parent(view),
        difference=source.difference,
    )


def _diagnosis(view: RunView) -> Diagnosis | None:
    best = view.best_node
    return diagnose(best.verdict, view.info, view.target, view.ceilings) if best else None


def _plots(view: RunView) -> dict[str, Any]:
    if not view.nodes:
        return {}
    return {"search": figures.search(view), "roofline": figures.roofline(view), "graph": figures.graph(view)}


def _parent(view: RunView) -> Node | None:
    """The first parent of the best node that this run has evaluated."""
    best = view.best_node
    if best is None:
        return None
    by_id = {node.candidate.id: node for node in view.nodes}
    return next((by_id[parent] for parent in best.candidate.parents if parent in by_id), None)
