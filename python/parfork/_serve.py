"""The program that forks the workers of all crews: ``main`` is called in a Python that was started for it."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time

from . import _native


def main() -> None:
    """Serves; does not come back."""
    # What any job may need is loaded once, and not by each worker.
    from . import _answers, _blocks, _map, _worker  # noqa: F401

    _ensure_alone()
    if sys.stdout is not None:
        # Whole lines, so that workers do not talk into each other's, also where Python was told not to wait for them (-u).
        sys.stdout = open(1, "w", buffering=1, encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)
    # What is there now is there for ever: workers need not look at it, and so copy it, when they look for garbage.
    gc.collect()
    gc.freeze()
    _native.serve(_worker.run)


def _ensure_alone() -> None:
    """Refuses to fork beside threads, with a word to whoever has started them."""
    for _ in range(100):
        threads = len(os.listdir("/proc/self/task"))
        if threads == 1:
            return
        # One that has ended may be there for a moment.
        time.sleep(0.001)
    raise RuntimeError(
        f"the Python that forks workers has {threads} threads, beside which it must not: something that is imported when Python starts "
        "(sitecustomize, a .pth file) starts them"
    )


#: What the program runs: what keeps it from serving is written where its starter looks for it.
_PROGRAM = """
import sys, json
said, sys.path[:] = sys.argv[1], json.loads(sys.argv[2])
sys.argv[:] = [""]
try:
    from parfork._serve import main
    main()
except BaseException:
    import traceback
    with open(said, "w") as file:
        traceback.print_exc(file=file)
    raise
"""


def _command() -> list[str]:
    """The program's name and arguments, but for two."""
    if not sys.executable:
        raise RuntimeError("sys.executable is empty: set it to the Python that workers are to run in")
    import subprocess

    # As multiprocessing does.
    return [sys.executable, *subprocess._args_from_interpreter_flags(), "-c", _PROGRAM]  # noqa: SLF001


#: It has one thread, whatever libraries it loads, and whatever is set here. For workers there is ``threads_per_worker``.
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS",
    ),
    "1",
)  # fmt: skip


class Server:
    """The program, which is started by the first crew that is, with the ``sys.path`` and the environment of then."""

    def __init__(self):
        self.path = list(sys.path)
        self._said = os.memfd_create("parfork-said")
        said = f"/proc/{os.getpid()}/fd/{self._said}"
        self.environment = {**os.environ, **_ONE_THREAD}
        self.native = _native.Server([*_command(), said, json.dumps(self.path)], list(self.environment.items()))

    def __del__(self):
        os.close(self._said)

    def crew(self, workers: int, threads: int) -> _native.Crew:
        """Workers that it has forked."""
        try:
            return _native.Crew(workers, threads, self.native)
        except RuntimeError as error:
            said = os.pread(self._said, 1 << 16, 0).decode(errors="replace").strip()
            if said:
                error.add_note(f"It said:\n{said}")
            raise


    def changes(self) -> dict | None:
        """What of the environment has changed since: None is what is gone."""
        now = {**os.environ, **_ONE_THREAD}
        if now == self.environment:
            return None
        gone = dict.fromkeys(self.environment.keys() - now.keys())
        return gone | {name: value for name, value in now.items() if self.environment.get(name) != value}


def _surroundings():
    """What workers have from their server, and cannot be told: if it has changed, another one is started."""
    where = []
    for fd in (1, 2):
        try:
            status = os.fstat(fd)
            where.append((status.st_dev, status.st_ino))
        except OSError:
            where.append(None)
    return os.getpid(), sys.executable, where, os.sched_getaffinity(0)


_lock = threading.Lock()
_server: Server | None = None
_of = None


def server() -> Server:
    """The server of this process, which stays for the next crew."""
    global _server, _of
    with _lock:
        surroundings = _surroundings()
        if _server is None or _of != surroundings:
            _server, _of = Server(), surroundings
        return _server


def _forked() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)
