"""joblib on parfork's workers: ``import parfork.joblib``, then ``with joblib.parallel_config(backend="parfork"): ...``."""

from __future__ import annotations

import atexit
import os
import threading

import joblib
from joblib.parallel import AutoBatchingMixin, ParallelBackendBase

from . import _native, _worker
from ._executor import Executor

_lock = threading.Lock()
_kept: tuple[int, int, Executor] | None = None


def _executor(workers: int) -> Executor:
    """The workers, which stay for the next call that wants as many."""
    global _kept
    with _lock:
        if _kept is None or _kept[:2] != (os.getpid(), workers):
            if _kept is not None and _kept[0] == os.getpid():
                _kept[2].shutdown(wait=False)
            _kept = os.getpid(), workers, Executor(workers)
        return _kept[2]


@atexit.register
def _end() -> None:
    if _kept is not None and _kept[0] == os.getpid():
        _kept[2].shutdown(wait=True, cancel_futures=True)


class ParforkBackend(AutoBatchingMixin, ParallelBackendBase):
    """Tasks in worker processes that share memory."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = False
    uses_threads = False

    def effective_n_jobs(self, n_jobs):
        """How many workers that is: -1 for all CPUs; one in a worker."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None or _worker.is_worker:
            return 1
        return max(_native.cpus() + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs

    def configure(self, n_jobs=1, parallel=None, **_):
        """Takes the workers."""
        self.parallel = parallel
        n_jobs = self.effective_n_jobs(n_jobs)
        self._executor = _executor(n_jobs)
        return n_jobs

    def submit(self, func, callback=None):
        """Gives a batch of tasks to a worker."""
        future = self._executor.submit(func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out):
        """What a batch has come to."""
        return out.result()

    def abort_everything(self, ensure_ready=True):
        """Takes back what has not begun."""
        global _kept
        with _lock:
            if _kept is not None and _kept[2] is self._executor:
                _kept = None
        self._executor.shutdown(wait=False, cancel_futures=True)
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)


joblib.register_parallel_backend("parfork", ParforkBackend)
