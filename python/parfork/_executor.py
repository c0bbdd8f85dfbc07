"""``concurrent.futures`` on workers that share memory: a crew of one for each of some threads, so that a death is one task's."""

from __future__ import annotations

import concurrent.futures
import os
import queue
import threading
import weakref

from . import _native
from ._crew import Crew


class Executor(concurrent.futures.Executor):
    """As ``concurrent.futures.ProcessPoolExecutor``, with arrays and functions as in :func:`parfork.map`, and never broken: a task whose
    worker dies has :class:`parfork.WorkerDied` as its exception, and the others go on.

    Workers are started as they are needed. ``initializer``, ``seed`` and ``threads_per_worker`` are as for :class:`parfork.Crew`; what else
    is set (``retries``, ``task_timeout``, ``memory_limit``) is for each task.
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
                arguments = self._tasks, self._idle, self._crew, self._settings
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


def _call(task):
    function, args, kwargs = task
    return function(*args, **kwargs)


def _work(tasks, idle, crew_settings, settings) -> None:
    """What a thread does: one task after the other on a crew of its own."""
    crew = None
    try:
        while (task := tasks.get()) is not None:
            future, function, args, kwargs = task
            if future.set_running_or_notify_cancel():
                try:
                    crew = crew or Crew(1, **crew_settings)
                    result = crew.map(_call, [(function, args, kwargs)], **settings)[0]
                except BaseException as error:  # noqa: BLE001 - it is for whoever waits for the task
                    future.set_exception(error)
                    # With all that is in its traceback.
                    error = None
                else:
                    future.set_result(result)
            del task, future, function, args, kwargs
            idle.release()
        # For the next one.
        tasks.put(None)
    finally:
        if crew is not None:
            crew.close()
