"""The verbs of the module: those of a crew that is started when it is needed and kept."""

from __future__ import annotations

import os
import threading

from ._crew import Crew

_lock = threading.Lock()
_crew: Crew | None = None


def _kept(settings: dict) -> Crew:
    """The crew, with as many workers as there are CPUs or as are asked for; one that does all here if none are."""
    global _crew
    workers = settings.get("workers")
    if workers == 0:
        del settings["workers"]
        return Crew(0)
    with _lock:
        if _crew is not None and (_crew._owner != os.getpid() or (isinstance(workers, int) and workers > _crew.workers)):
            _crew.close()
            _crew = None
        if _crew is None:
            crew = Crew()
            _crew = crew if not isinstance(workers, int) or workers <= crew.workers else Crew(workers)
        return _crew


def map(function, *iterables, **settings) -> list:
    """``[function(item) for item in items]``, by worker processes: any function, any items, a list in order.

    Arrays on shared memory, and views of them, travel as references; others of 64 KiB or more are copied into it once a call. With several
    iterables the function gets an item of each. ``help(parfork.Crew)`` has the settings.

    >>> import parfork as pf
    >>> pf.map(lambda x: x * x, range(5))
    [0, 1, 4, 9, 16]
    """
    return _kept(settings).map(function, *iterables, **settings)


def map_blocks(function, *arrays, **settings):
    """An array made of what ``function`` returns for blocks of rows of arrays; worker processes call it.

    ``out``: an array on shared memory for the results; a function that takes ``out=`` is handed the block of it to write to. ``halo``: so many
    rows of the neighbours are around each block, which the function may return too; ``edge``: what stands for them beyond the ends of the
    array: ``"reflect"``, ``"mirror"``, ``"nearest"``, ``"wrap"`` as in SciPy, a number, or None for nothing. ``axis``: which is cut. ``block``:
    how many rows one has; the default does not depend on the number of workers. ``dtype``: of the result, which spares a copy where it is
    not that of the first array. ``help(parfork.Crew)`` has the other settings.

    >>> import numpy as np, parfork as pf
    >>> a = pf.array(np.arange(6.0).reshape(3, 2))
    >>> pf.map_blocks(lambda rows: rows[1:-1] + rows[:-2], a, halo=1, edge="nearest")
    array([[0., 2.],
           [2., 4.],
           [6., 8.]])
    """
    return _kept(settings).map_blocks(function, *arrays, **settings)
