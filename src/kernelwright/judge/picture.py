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
    counts = np.add.reduceat(flat, _starts(flat.shape[0], _ROWS), axis=0, dtype=np.int64)
    counts = np.add.reduceat(counts, _starts(columns, _COLUMNS), axis=1)
    sizes = np.outer(_lengths(flat.shape[0], _ROWS), _lengths(columns, _COLUMNS))
    return ["".join(map(_mark, line)) for line in counts / sizes]


def _mark(share: float) -> str:
    return "." if share == 0 else "#" if share == 1 else str(min(9, max(1, round(10 * share))))


def _starts(size: int, parts: int) -> npt.NDArray[np.int64]:
    return np.arange(min(size, parts), dtype=np.int64) * size // min(size, parts)


def _lengths(size: int, parts: int) -> npt.NDArray[np.int64]:
    return np.diff(np.append(_starts(size, parts), size))
