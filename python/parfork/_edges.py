"""Blocks with a border of neighbours, and what stands beyond the ends of an array: SciPy's words for it."""

from __future__ import annotations

import numbers

import numpy as np

_WORDS = "'reflect' (d c b a | a b c d), 'mirror' (d c b | a b c d), 'nearest' (a a a | a b c d), 'wrap' (b c d | a b c d), or a number"


def check(halo: int, edge) -> None:
    """Refuses what is none."""
    if not isinstance(halo, int) or halo < 0:
        raise ValueError(f"halo is a number of rows, and not {halo!r}")
    if edge is not None and edge not in ("reflect", "mirror", "nearest", "wrap") and not isinstance(edge, numbers.Number):
        raise ValueError(f"edge is {_WORDS}, and not {edge!r}; None leaves off what is beyond the ends")


def rows(array: np.ndarray, axis: int, first: int, last: int) -> np.ndarray:
    """A view of some rows, or of what else an axis has."""
    return array[(slice(None),) * axis + (slice(first, last),)]


def around(array: np.ndarray, axis: int, cells: tuple[int, int], halo: int, edge) -> np.ndarray:
    """Rows with ``halo`` more on both sides: a view of the array where it has them."""
    first, last = cells[0] - halo, cells[1] + halo
    length = array.shape[axis]
    if edge is None or (first >= 0 and last <= length):
        return rows(array, axis, max(first, 0), min(last, length))
    wanted = np.arange(first, last)
    inside = (wanted >= 0) & (wanted < length)
    match edge:
        case "reflect":
            wanted %= 2 * length
            wanted = np.where(wanted < length, wanted, 2 * length - 1 - wanted)
        case "mirror":
            wanted %= max(2 * length - 2, 1)
            wanted = np.where(wanted < length, wanted, 2 * length - 2 - wanted)
        case "wrap":
            wanted %= length
        case _:
            wanted = wanted.clip(0, length - 1)
    block = np.take(array, wanted, axis)
    if edge not in ("reflect", "mirror", "wrap", "nearest"):
        block[(slice(None),) * axis + (~inside,)] = edge
    block.flags.writeable = False
    return block
