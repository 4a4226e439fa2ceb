"""Where an output is wrong, as a picture in text: a tile that was left out shows at a glance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ROWS, _COLUMNS = 16, 64
LEGEND = (
    "all leading dimensions from top to bottom, the last one from left to right; . right, # wrong, 1 to 9 tenths wrong"
)


def picture(wrong: npt.NDArray[np.bool_]) -> list[str]:
    """One character for each part of an output, at most 16 lines of 64.

    Args:
        wrong: for each element of the output, of its shape, whether it is wrong; at least one element.
    """
    columns = wrong.shape[-1] if wrong.ndim else 1
    flat = wrong.reshape(-1, columns)
    return [
        "".join(
            _mark(int(np.count_nonzero(part)), part.size) for part in np.split(line, _cuts(columns, _COLUMNS), axis=1)
        )
        for line in np.split(flat, _cuts(flat.shape[0], _ROWS))
    ]


def _mark(wrong: int, size: int) -> str:
    return "." if not wrong else "#" if wrong == size else str(min(9, max(1, round(10 * wrong / size))))


def _cuts(size: int, most: int) -> list[int]:
    parts = min(size, most)
    return [part * size // parts for part in range(1, parts)]
