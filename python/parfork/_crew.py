"""Crews: worker processes that stay, and how a job is run by one."""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace

from . import _arrays, _errors, _native, _payload, _report, _serve, _stacks, _worker

_numbers = itertools.count(1)

#: Of a payload that is larger than that, the memory is given back after the job.
_KEPT = 1 << 24


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What can be set for a job; see ``help(parfork.Crew)``."""

    workers: int | None = None
    schedule: str = "dynamic"
    retries: int = 0
    timeout: float | None = None
    task_timeout: float | None = None
    memory_limit: int | None = None
    guard: bool = False
    only_slice: int | None = None
    progress: bool | Callable[[int, int], object] = False

    @classmethod
    def of(cls, settings: dict) -> Options:
        try:
            return cls(**settings)
        except TypeError:
            names = ", ".join(field.name for field in dataclasses.fields(cls))
            wrong = ", ".join(sorted(set(settings) - {field.name for field in dataclasses.fields(cls)}))
            raise TypeError(f"there is no setting {wrong}: a job has {names}") from None


@dataclasses.dataclass(slots=True)
class Job:
    """A job before it is sent: what the verbs make."""

    #: What an error calls what is counted: items or rows.
    verb: str
    #: What a worker calls with itself and the cells of a slice; may refer to arrays.
    work: object
    #: One by one, for the worker that has the slice.
    items: list = dataclasses.field(default_factory=list)
    length: int = 0
    each: int = 1
    out: object = None
    axis: int = 0
    halo: int = 0
    restore: bool = False
    #: Called with the number and the answer of each slice as it comes, instead of their being returned.
    hand_on: object = None


class Crew:
    """Worker processes that stay: the same verbs as the module's, at some hundred microseconds a job.

    ``workers``: how many, by default as many as there are CPUs; 0 runs everything in this process, for a debugger. ``seed`` is that of
    ``parfork.here.rng``. ``initializer(*initargs)`` is called once in each worker, before its first task. ``threads_per_worker``: to how
    many threads BLAS and OpenMP are held in each.

    What can be set for each job, by keywords of the verbs:

    ``workers``: use no more than so many. ``retries``: how often a slice is tried again after a worker died on it. ``task_timeout``: seconds
    for one slice, after which its worker is killed. ``timeout``: seconds for all. ``memory_limit``: bytes that a worker may have beyond what
    it began with. ``guard``: a stray write to the output outside of the slice ends its worker. ``schedule``: ``"dynamic"``, ``"static"``,
    ``"guided"``. ``only_slice``: run this slice alone. ``progress``: True for a line that shows it, or a function that is told how many
    slices are done, of how many.
    """

    def __init__(self, workers=None, *, seed=0, initializer=None, initargs=(), threads_per_worker=1):
        self._workers = _native.cpus() if workers is None else workers
        if not isinstance(self._workers, int) or self._workers < 0:
            raise ValueError(f"a crew has 0 workers or more, and not {self._workers!r}")
        self._seed, self._threads = seed, threads_per_worker
        self._initializer = None if initializer is None else (next(_numbers), initializer, tuple(initargs))
        self._lock = threading.RLock()
        self._native = self._payload = self._path = self._environment = None
        self._stacks = _stacks.Stacks()
        self._owner = os.getpid()
        self._closed = False

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return self._workers

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<parfork.Crew of {self._workers}{', closed' if self._closed else ''}>"

    def close(self) -> None:
        """Ends the workers."""
        if self._owner != os.getpid():
            return
        with self._lock:
            native, self._native, self._payload, self._closed = self._native, None, None, True
            if native is not None:
                native.close()
            self._stacks.close()

    def map(self, function, *iterables, **settings) -> list:
        """As :func:`parfork.map`."""
        from ._map import map_items

        return map_items(self, function, iterables, settings)

    def map_blocks(self, function, *arrays, **settings):
        """As :func:`parfork.map_blocks`."""
        from ._blocks import map_blocks

        return map_blocks(self, function, arrays, settings)

    def is_serial(self) -> bool:
        """Whether what it is asked is done in this process: it was asked for no workers, or is itself in one."""
        return self._workers == 0 or _worker.is_worker

    def run(self, job: Job, options: Options) -> list:
        """The answers of a job, one a slice: None where a worker had nothing to hand back."""
        if self._closed:
            raise _errors.ParforkError("this crew was closed: start another one")
        if self._owner != os.getpid():
            raise _errors.ParforkError("this crew is another process's, from which this one was forked: start one here")
        if sys.stdout is not None:
            sys.stdout.flush()
        with self._lock:
            return self._run(job, options)

    def _start(self) -> None:
        server = _serve.server()
        self._path, self._environment = server.path, server.changes()
        self._native = server.crew(self._workers, self._threads)

    def _run(self, job: Job, options: Options) -> list:
        if self._native is None:
            self._start()
        lent = _payload.Lent()
        path = list(sys.path) if sys.path != self._path else None
        initializer = self._initializer
        lent.add(job.work)
        lent.add(initializer)
        output, native_output = self._output(job, lent)
        number = initializer and initializer[0]
        birth = self._stacks.place(), self._environment
        lent.add_simple((job.verb, self._seed, _cwd(), path, number, output, birth, options.task_timeout))
        for item in job.items:
            lent.add(item)
        self._payload = lent.write(self._payload)
        with _report.Progress(options.progress) as progress:
            wanted = SimpleNamespace(
                number=next(_numbers), inputs=[self._payload, *lent.segments], output=native_output, items=job.length,
                axis=job.axis, each=job.each, halo=job.halo, workers=self._most(options.workers), schedule=options.schedule,
                retries=options.retries, restore=job.restore, timeout=options.timeout, task_timeout=options.task_timeout,
                memory_limit=options.memory_limit, guard=options.guard, only_slice=options.only_slice, progress=progress.told,
                hand_on=job.hand_on,
            )  # fmt: skip
            try:
                answers, fields = self._native.run(wanted)
            except _errors.WorkerDied as died:
                self._stacks.explain(died)
                raise
            finally:
                if self._payload.size > _KEPT:
                    self._payload = None
        _report.note(fields, lent.copied)
        return answers

    def _most(self, workers: int | None) -> int | None:
        if workers is None:
            return None
        if not isinstance(workers, int) or workers < 1:
            raise ValueError(f"a job has 1 worker or more, and not {workers!r}; a Crew(0) runs everything here")
        return min(workers, self._workers)

    def _output(self, job: Job, lent: _payload.Lent):
        """What is written, as workers are told and as the library is."""
        if job.out is None:
            return None, None
        out = job.out
        segment, at = _arrays.home(out)
        order = "C" if out.flags.c_contiguous else "F"
        slot = lent.slot_of(segment)
        told = (slot, at, segment.size, out.shape, out.dtype, order)
        shape = SimpleNamespace(
            segment=segment, at=at, element=out.itemsize, shape=list(out.shape), columns_first=order == "F"
        )
        return told, shape


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
