"""Where to draw the candidates: a layered tree, leaves side by side, each parent above the middle of its children."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


def places(nodes: Sequence[tuple[str, Sequence[str]]]) -> dict[str, tuple[float, float]]:
    """Coordinates of each node.

    Args:
        nodes: (id, ids of parents), in the order of evaluation, so that a parent comes before its children. The first
            known parent is the one a node hangs from; a node without a known parent is a root.

    Returns:
        For each id, x (one unit a leaf) and y (minus the number of steps from the root).
    """
    children: dict[str, list[str]] = defaultdict(list)
    depth: dict[str, int] = {}
    roots: list[str] = []
    for name, parents in nodes:
        parent = next((parent for parent in parents if parent in depth), None)
        depth[name] = 0 if parent is None else depth[parent] + 1
        (roots if parent is None else children[parent]).append(name)

    across: dict[str, float] = {}
    leaves = 0
    for name in _children_first(roots, children):
        if below := children.get(name):
            across[name] = (across[below[0]] + across[below[-1]]) / 2
        else:
            across[name] = leaves
            leaves += 1
    return {name: (across[name], -float(depth[name])) for name, _ in nodes}


def _children_first(roots: Sequence[str], children: dict[str, list[str]]) -> list[str]:
    """Post-order without recursion: a long search makes chains deeper than Python's stack."""
    order: list[str] = []
    stack = list(roots)
    while stack:
        name = stack.pop()
        order.append(name)
        stack.extend(children.get(name, ()))
    return order[::-1]
