"""``concurrent.futures`` on workers that share memory: a crew of one for each of some threads, so that a death is one task's."""

from __future__ import annotations

import concurrent.futures
import os
import queue
import threading
import time
import weakref

from . import _answers, _crew, _native, _worker
from ._crew import Crew
from ._errors import WorkerDied
from ._here import here


class Executor(concurrent.futures.Executor):
    """As ``concurrent.futures.ProcessPoolExecutor``, with arrays and functions as in :func:`parfork.map`, and never broken: a task whose
    worker dies has :class:`parfork.WorkerDied` as its exception, and the others go on.

    Many tasks that wait and take less than a millisecond are sent some at a time. Workers are started as they are needed. ``initializer``,
    ``seed`` and ``threads_per_worker`` are as for :class:`parfork.Crew`; what else is set (``retries``, ``task_timeout``,
    ``memory_limit``) is for each task.
    """

    def __init__(self, max_workers=None, *, initializer=None, initargs=(), seed=0, threads_per_worker=1, **settings):
        self._most = _native.cpus() if max_workers is None else max_workers
        if not isinstance(self._most, int) or self._most < 1:
            raise ValueError(f"an executor has 1 worker or more, and not {max_workers!r}")
        self._crew = dict(initializer=initializer, initargs=initargs, seed=seed, threads_per_worker=threads_per_worker)
        self._settings = settings
        self._tasks: queue.SimpleQueue = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_shut = False
        self._owner = os.getpid()
        # One that is forgotten lets its threads go.
        self._end = weakref.finalize(self, self._tasks.put, None)

    def submit(self, fn, /, *args, **kwargs):
        """As ``concurrent.futures.Executor.submit``."""
        with self._lock:
            if self._is_shut:
                raise RuntimeError("this executor was shut down: make another one")
            if self._owner != os.getpid():
                raise RuntimeError("this executor is another process's, from which this one was forked: make one here")
            future = concurrent.futures.Future()
            self._tasks.put((future, fn, args, kwargs))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                arguments = self._tasks, self._idle, self._most, self._crew, self._settings
                thread = threading.Thread(target=_work, args=arguments, name="parfork-executor", daemon=True)
                thread.start()
                self._threads.append(thread)
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        """As ``concurrent.futures.Executor.shutdown``."""
        with self._lock:
            self._is_shut = True
            while cancel_futures:
                try:
                    task = self._tasks.get_nowait()
                except queue.Empty:
                    break
                if task is not None:
                    task[0].cancel()
            self._end()
            self._tasks.put(None)
        if wait and self._owner == os.getpid():
            for thread in self._threads:
                thread.join()


class Tasks:
    """What a worker does with one of some tasks that are sent together: what it raises is that task's alone."""

    def __init__(self, functions):
        self.functions = functions

    @property
    def function(self):
        """That of the first task, for an error that names what it has captured."""
        return next(iter(self.functions), None)

    def __call__(self, job, cells):
        number, kwargs, *args = job.item(cells[0])
        # Wherever it stands: each is a job of its own to whoever has submitted it.
        here._enter(0, 1, 0, range(1), job.seed)
        try:
            function = args.pop(0) if number is None else self.functions[number]
            return _worker.hand_back(function(*args, **(kwargs or {})))
        except BaseException as error:  # noqa: BLE001 - SystemExit too is for whoever has asked for the task
            return _worker.failed(error, f"in a task of an executor, worker pid {os.getpid()}", b"X")


#: Tasks that take less than this together are sent together, if many wait; but no more of them than that.
_TOGETHER, _MOST = 0.002, 64

#: With others set they are not, for these are for one task.
_FOR_EACH = {"retries", "task_timeout", "memory_limit"}


class _Worker:
    """A thread's crew of one."""

    def __init__(self, crew_settings, settings):
        self.crew_settings, self.settings, self.crew = crew_settings, settings, None
        self.together = _FOR_EACH.issuperset(settings)
        #: How long a task took, the last time.
        self.took = _TOGETHER

    def some(self, tasks, threads: int, first) -> list:
        """With the first task those that are sent with it: few if they take long, or if others could do them."""
        some = [first]
        most = min(int(_TOGETHER / self.took), tasks.qsize() // (2 * threads), _MOST) if self.together else 1
        while len(some) < most:
            try:
                task = tasks.get_nowait()
            except queue.Empty:
                break
            if task is None:
                tasks.put(None)
                break
            some.append(task)
        return some

    def work(self, some: list) -> None:
        """Does tasks; each future has its result or exception then."""
        some = [task for task in some if task[0].set_running_or_notify_cancel()]
        begun, count = time.perf_counter(), len(some)
        while some:
            some = self._send(some)
        if count:
            self.took = max((time.perf_counter() - begun) / count, 1e-6)

    def _send(self, some: list) -> list:
        """Those of some tasks that are still to be done: each by itself, so that what goes wrong is that one's."""
        try:
            self.crew = self.crew or Crew(1, **self.crew_settings)
            if self.crew.is_serial():
                for future, function, args, kwargs in some:
                    _here(future, function, args, kwargs)
                return []
            job = _crew.Job("tasks", *_sent(some), length=len(some), hand_on=lambda number, answer: _settle(some[number][0], answer))
            self.crew.run(job, _crew.Options.of(dict(self.settings)))
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits for the task
            number = getattr(error, "slice", None) or 0
            its = some[number][0]
            if not its.done() and (len(some) == 1 or (isinstance(error, WorkerDied) and error.slice is not None)):
                its.set_exception(error)
            # With all that is in its traceback.
            error = None
        left = [task for task in some if not task[0].done()]
        for task in left[1:]:
            self._send([task])
        return left[:1]


def _sent(some: list) -> tuple[Tasks, list]:
    """Tasks as they are sent: a function that has nothing of its own once, others each with its task."""
    functions, numbers, items = [], {}, []
    for _, function, args, kwargs in some:
        if getattr(function, "__closure__", 0) is not None:
            items.append((None, kwargs or None, function, *args))
            continue
        number = numbers.setdefault(id(function), len(functions))
        if number == len(functions):
            functions.append(function)
        items.append((number, kwargs or None, *args))
    return Tasks(functions), items


def _here(future, function, args, kwargs) -> None:
    """A task in this process, which is itself a worker."""
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - it is for whoever waits for the task
        future.set_exception(error)
    else:
        future.set_result(result)


def _settle(future, answer) -> None:
    try:
        result = _answers.value(answer)
    except BaseException as error:  # noqa: BLE001 - it is for whoever waits for the task
        future.set_exception(error)
    else:
        future.set_result(result)


def _work(tasks, idle, threads: int, crew_settings, settings) -> None:
    """What a thread does: one task after the other, or some at a time, on a crew of its own."""
    worker = _Worker(crew_settings, settings)
    try:
        while (task := tasks.get()) is not None:
            some = worker.some(tasks, threads, task)
            worker.work(some)
            idle.release(len(some))
            del task, some
        # For the next one.
        tasks.put(None)
    finally:
        if worker.crew is not None:
            worker.crew.close()
