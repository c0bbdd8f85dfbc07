"""``map``: a function on items, in order."""

from __future__ import annotations

import numpy as np

from . import _answers, _crew, _worker
from ._here import here

#: More slices than that are not worth their bookkeeping: each has several items then.
_MOST = 4096


class Map:
    """What a worker does with a run of items."""

    def __init__(self, function, several: bool):
        self.function, self.several = function, several

    def __call__(self, job, cells):
        first, last, _, _ = cells
        results = []
        for number in range(first, last):
            item = job.item(number)
            try:
                results.append(self.function(*item) if self.several else self.function(item))
            except BaseException as error:
                if last - first > 1:
                    error.add_note(f"on item {number}")
                raise
        return _worker.hand_back(results)


def map_items(crew, function, iterables, settings: dict) -> list:
    """``[function(item) for item in items]``, by workers."""
    if not callable(function):
        raise TypeError(f"map calls a function on each item, and {function!r} cannot be called")
    if not iterables:
        raise TypeError("map needs items: parfork.map(function, items)")
    options = _crew.Options.of(settings)
    several = len(iterables) > 1
    items = list(zip(*iterables, strict=True)) if several else _items(iterables[0])
    if not items:
        return []
    if crew.is_serial():
        return _serial(crew, function, items, several)
    each = -(-len(items) // _MOST)
    job = _crew.Job("items", Map(function, several), items=items, length=len(items), each=each)
    answers = crew.run(job, options)
    return [result for answer in answers if answer is not None for result in _answers.value(answer)]


def _items(iterable) -> list:
    # Rows of an array are views of it.
    return list(iterable) if not isinstance(iterable, np.ndarray) else [iterable[row] for row in range(len(iterable))]


def _serial(crew, function, items, several) -> list:
    results, was = [], here._state()
    try:
        for number, item in enumerate(items):
            here._enter(0, 1, number, range(number, number + 1), crew._seed)
            results.append(function(*item) if several else function(item))
    finally:
        here._restore(was)
    return results
