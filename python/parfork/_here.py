"""What a function that a job calls can know of where it is called."""

from __future__ import annotations

import numpy as np

from . import _native


class Here:
    """In the function of a job: the ``rank`` of the worker, of ``workers``; the number of the ``slice``, and its ``rows`` (or items) as a
    ``range``; random numbers of the slice's own; a barrier. Elsewhere ``rank`` is None."""

    rank: int | None = None
    workers: int = 0
    slice: int = 0
    rows: range = range(0)

    def __init__(self):
        self._seed = 0
        self._rng = None

    @property
    def rng(self) -> np.random.Generator:
        """Random numbers that depend on the slice and the crew's ``seed`` alone: the same for any number of workers, and when a slice
        is tried again."""
        if self._rng is None:
            self._rng = np.random.Generator(np.random.Philox(key=self._seed, counter=[0, 0, 0, self.slice]))
        return self._rng

    def barrier(self) -> None:
        """Waits until every worker of the job has come here: for jobs with ``schedule="static"`` and a slice for each worker."""
        _native.barrier()

    def _enter(self, rank: int | None, workers: int, slice: int, rows: range, seed: int) -> None:
        self.rank, self.workers, self.slice, self.rows, self._seed, self._rng = rank, workers, slice, rows, seed, None

    def _state(self):
        return dict(self.__dict__)

    def _restore(self, state) -> None:
        self.__dict__.clear()
        self.__dict__.update(state)


here = Here()
