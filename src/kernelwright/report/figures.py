"""The page's plots as plotly's plain JSON; colours are names that the page's script looks up in its theme."""

from __future__ import annotations

import html
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from kernelwright import format as fmt
from kernelwright.report.layout import places
from kernelwright.report.view import Node, RunView
from kernelwright.targets.roofline import bandwidth_at, bandwidth_of, written_share

Figure = dict[str, Any]
_NO_LEGEND = {"showlegend": False}
_SCALE = [[0, "#a9b6c6"], [0.5, "#4a8be0"], [1, "#dd4f94"]]


def hover(node: Node) -> str:
    """What the mouse shows over a candidate. Escaped, since plotly reads a subset of HTML in labels."""
    candidate, verdict = node.candidate, node.verdict
    result = (
        f"{fmt.speedup(verdict.speedup)} ({fmt.time(verdict.time_us)})"
        if verdict.accepted
        else f"rejected: {(verdict.reason or '').replace('_', ' ')}"
    )
    note = candidate.note if len(candidate.note) <= 120 else candidate.note[:119] + "…"
    lines = [f"<b>#{node.number} {html.escape(candidate.proposer)}</b>", result]
    lines += [html.escape(note)] if note else []
    return "<br>".join([*lines, html.escape(candidate.id)])


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "automargin": True, **more}


def search(view: RunView) -> Figure:
    """Speedup over eager of every candidate in turn, and the best so far; rejected ones lie at the bottom."""
    accepted = [node for node in view.nodes if node.verdict.accepted and node.verdict.speedup]
    speedups = [node.verdict.speedup or 1.0 for node in accepted]
    bottom = min([1.0, *speedups]) * 0.8
    by_proposer: dict[str, list[Node]] = defaultdict(list)
    for node in accepted:
        by_proposer[node.candidate.proposer].append(node)
    traces = [
        _search_points(name, nodes, [node.verdict.speedup or 1.0 for node in nodes])
        for name, nodes in sorted(by_proposer.items())
    ]
    rejected = [node for node in view.nodes if not node.verdict.accepted]
    if rejected:
        points = _search_points("rejected", rejected, [bottom] * len(rejected))
        traces.append({**points, "marker": {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": "bad"}}})
    if accepted:
        traces.append(_best_so_far(view.nodes))
    yaxis = _axis("speedup over eager", type="log", dtick="D2", ticksuffix="×")
    shapes = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": {"color": "line", "dash": "dot"}}
    ]
    return {"data": traces, "layout": {"xaxis": _axis("candidates evaluated"), "yaxis": yaxis, "shapes": shapes}}


def _search_points(name: str, nodes: Sequence[Node], heights: list[float]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": html.escape(name),
        "x": [node.number for node in nodes],
        "customdata": [round(node.at, 2) for node in nodes],
        "y": heights,
        "text": [hover(node) for node in nodes],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": 8, "opacity": 0.85},
    }


def _best_so_far(nodes: Sequence[Node]) -> Figure:
    best, steps = 0.0, []
    for node in nodes:
        if node.verdict.accepted and (node.verdict.speedup or 0.0) > best:
            best = node.verdict.speedup or 0.0
            steps.append((node.number, node.at, best))
    steps.append((nodes[-1].number, nodes[-1].at, best))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [number for number, _, _ in steps],
        "customdata": [round(at, 2) for _, at, _ in steps],
        "y": [value for _, _, value in steps],
        "line": {"shape": "hv", "width": 2, "color": "accent"},
        "hoverinfo": "skip",
    }


def roofline(view: RunView) -> Figure:
    """Rate against the ceilings. A task with matrix products or convolutions is drawn on the classic roofline (FLOP/s
    over FLOPs per byte; Williams, Waterman and Patterson 2009), one without as bytes/s over the size of its data."""
    times = _times(view)
    return _compute_roofline(view, times) if view.case.flops else _memory_roofline(view, times)


def _times(view: RunView) -> list[tuple[str, float, str]]:
    """(name, µs, marker symbol) of what is drawn under the roof."""
    if view.comparison:
        symbols = {"eager": "circle", "torch.compile": "square"}
        return [
            (row.name if row.name in symbols else "best kernel", row.time_us, symbols.get(row.name, "star"))
            for row in view.comparison.rows
            if row.name in symbols or row.name == view.best
        ]
    best = view.best_node
    if best is None or not best.verdict.time_us or not best.verdict.reference_us:
        return []
    return [("eager", best.verdict.reference_us, "circle"), ("best kernel", best.verdict.time_us, "star")]


def _roof(x: list[float], y: list[float], name: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": "faint", "width": 2},
        "hovertemplate": "%{y:.3s}<extra>" + name + "</extra>",
    }


def _point(name: str, symbol: str, x: float, y: float, label: str) -> Figure:
    marker = {"symbol": symbol, "size": 16 if symbol == "star" else 12, "line": {"width": 1, "color": "paper"}}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x],
        "y": [y],
        "marker": marker,
        "hovertemplate": f"{label}<extra>{name}</extra>",
    }


def _memory_roofline(view: RunView, times: list[tuple[str, float, str]]) -> Figure:
    moved, written = float(view.case.bytes), written_share(view.case)
    sizes = [float(size) for size, _ in view.ceilings.bandwidth["read"]]
    rates = [bandwidth_at(size, written, view.ceilings) for size in sizes]
    data = [_roof(sizes, rates, "measured bandwidth")]
    for name, us, symbol in times:
        reached = moved / us * 1e6
        data.append(_point(name, symbol, moved, reached, f"{fmt.time(us)}, {fmt.rate(reached, 'B/s')}"))
    layout = {
        "xaxis": _axis("least traffic of the task (bytes)", type="log", exponentformat="SI", dtick=1),
        "yaxis": _axis("bytes/s", type="log", exponentformat="SI", dtick=1),
    }
    return {"data": data, "layout": layout}


def _compute_roofline(view: RunView, times: list[tuple[str, float, str]]) -> Figure:
    flops, moved = float(view.case.flops), float(view.case.bytes)
    rates = [view.ceilings.flops.get(output.dtype, 0.0) for output in view.case.outputs]
    peak = max(rates, default=0.0) or max(view.ceilings.flops.values())
    bandwidth = bandwidth_of(view.case, view.ceilings)
    ridge, intensity = peak / bandwidth, flops / moved
    low, high = min(intensity, ridge) / 10, max(intensity, ridge) * 10
    data = [_roof([low, ridge, high], [low * bandwidth, peak, peak], "roof")]
    for name, us, symbol in times:
        reached = flops / us * 1e6
        data.append(_point(name, symbol, intensity, reached, f"{fmt.time(us)}, {fmt.rate(reached, 'FLOP/s')}"))
    layout = {
        "xaxis": _axis("FLOPs per byte", type="log", dtick=1),
        "yaxis": _axis("FLOP/s", type="log", exponentformat="SI", dtick=1),
    }
    return {"data": data, "layout": layout}


def graph(view: RunView) -> Figure:
    """Candidates as a tree: a child stands below its first parent; dotted lines lead to further parents."""
    spots = places([(node.candidate.id, node.candidate.parents) for node in view.nodes])
    solid: tuple[list[float | None], list[float | None]] = ([], [])
    dotted: tuple[list[float | None], list[float | None]] = ([], [])
    for node in view.nodes:
        x, y = spots[node.candidate.id]
        known = [parent for parent in node.candidate.parents if parent in spots]
        for rank, parent in enumerate(known):
            xs, ys = solid if rank == 0 else dotted
            xs += [spots[parent][0], x, None]
            ys += [spots[parent][1], y, None]
    edge = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", **_NO_LEGEND}
    data = [
        {**edge, "x": solid[0], "y": solid[1], "line": {"color": "faint", "width": 1}},
        {**edge, "x": dotted[0], "y": dotted[1], "line": {"color": "faint", "width": 1, "dash": "dot"}},
        *_graph_nodes(view, spots),
    ]
    hidden = {"visible": False, "fixedrange": False}
    depth = max((-y for _, y in spots.values()), default=0)
    return {"data": data, "layout": {"xaxis": hidden, "yaxis": hidden, "height": min(640, 64 * (int(depth) + 1) + 150)}}


def _graph_nodes(view: RunView, spots: dict[str, tuple[float, float]]) -> list[Figure]:
    accepted = [node for node in view.nodes if node.verdict.accepted]
    rejected = [node for node in view.nodes if not node.verdict.accepted]
    shades = [math.log2(node.verdict.speedup or 1.0) for node in accepted]
    ticks = [min(shades), max(shades)] if shades else []
    colourbar = {
        "title": {"text": "speedup", "side": "right"},
        "tickvals": ticks,
        "ticktext": [fmt.speedup(2.0**tick) for tick in ticks],
        "thickness": 10,
        "lenmode": "pixels",
        "len": 150,
        "y": 1,
        "yanchor": "top",
        "outlinewidth": 0,
    }
    marker = {
        "color": shades,
        "colorscale": _SCALE,
        "size": 12,
        "colorbar": colourbar,
        "line": {"width": 1, "color": "paper"},
    }
    crossed = {"symbol": "x-thin", "size": 8, "line": {"width": 1.5, "color": "bad"}}
    data = [_graph_points(rejected, spots, crossed), _graph_points(accepted, spots, marker)]
    best = view.best_node
    if best is not None:
        ring = {"symbol": "circle-open", "size": 22, "line": {"width": 2.5, "color": "accent"}, "color": "accent"}
        data.append(_graph_points([best], spots, ring))
    return data


def _graph_points(nodes: Sequence[Node], spots: dict[str, tuple[float, float]], marker: Figure) -> Figure:
    where = [spots[node.candidate.id] for node in nodes]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x for x, _ in where],
        "y": [y for _, y in where],
        "text": [hover(node) for node in nodes],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
        **_NO_LEGEND,
    }
