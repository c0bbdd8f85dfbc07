"""Faults by seeds: whoever fails, in whatever verb, in whichever way, the job is right or says what happened, and the next one is right.

As many as ``PARFORK_FAULTS`` says, or a sample.
"""

import contextlib
import ctypes
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import parfork as pf
from conftest import alive, children, end, segments

RUNS = int(os.environ.get("PARFORK_FAULTS") or 24)
ITEMS = 12

#: What a worker does to itself, and how that is told: the signal or status of a death, or the exception.
OWN = {
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), signal.SIGKILL),
    "SIGSEGV": (lambda: ctypes.string_at(0), signal.SIGSEGV),
    "SIGSTOP": (lambda: os.kill(os.getpid(), signal.SIGSTOP), signal.SIGKILL),
    "_exit": (lambda: os._exit(3), None),
    "loop": (lambda: [None for _ in iter(int, 1)], signal.SIGKILL),
    "MemoryError": (lambda: np.ones(1 << 56), MemoryError),
    "sys.exit": (lambda: sys.exit(3), pf.ParforkError),
}
#: What it does to others.
SIGNALS = [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV]
VERBS = ["map", "map_blocks", "Executor", "joblib"]


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


class Fault:
    """Does something the first time that it is called, in whichever process."""

    def __init__(self, path, who, what):
        self.path, self.who, self.what = str(path), who, what

    def __call__(self):
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if self.who == "worker":
            OWN[self.what][0]()
            return
        pid = os.getppid() if self.who == "fork server" else parent(os.getppid())
        os.kill(pid, self.what)
        if self.what != signal.SIGSTOP:
            # One that an earlier run has stopped dies when it goes on, and not before.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            # This worker dies with it.
            time.sleep(100)


class Run:
    """One job, and what is to come of it."""

    def __init__(self, seed, path):
        dice = random.Random(seed)
        self.verb = VERBS[seed % len(VERBS)]
        self.who = dice.choice(["worker"] * 4 + ["fork server", "program"])
        # joblib has no time for a task.
        own = [way for way in OWN if self.verb != "joblib" or way not in ("SIGSTOP", "loop")]
        self.what = dice.choice(own if self.who == "worker" else SIGNALS)
        self.victim = dice.randrange(ITEMS)
        self.retries = dice.randrange(2)
        self.fault = Fault(path, self.who, self.what)
        self.told = OWN[self.what][1] if self.who == "worker" else signal.SIGKILL

    def __str__(self):
        return f"{self.verb}: {self.who} {self.what!s} at {self.victim}, retries={self.retries}"

    def is_fatal(self) -> bool:
        """Whether somebody dies."""
        return (self.who, self.what) not in {("fork server", signal.SIGSTOP), ("program", signal.SIGSTOP)}

    def is_exception(self) -> bool:
        return isinstance(self.told, type)

    def settings(self) -> dict:
        settings = {"retries": self.retries} if self.retries else {}
        return settings | ({"task_timeout": 2} if self.what in ("SIGSTOP", "loop") else {})

    def function(self):
        fault, victim = self.fault, self.victim

        def function(x):
            if x == victim:
                fault()
            return x + 100

        return function

    def rows(self):
        fault, victim = self.fault, self.victim

        def function(block, out):
            out += 100
            if pf.here.slice == victim:
                fault()

        return function

    def check(self, error) -> None:
        """Whether what was raised is what happened."""
        if self.is_exception():
            assert isinstance(error, self.told)
        else:
            assert isinstance(error, pf.WorkerDied)
            if self.who == "worker":
                assert (error.signal, error.status) == ((None, 3) if self.told is None else (self.told, None))

    def succeeds(self) -> bool:
        """Whether the job is done nevertheless."""
        return not self.is_exception() and (self.retries > 0 or not self.is_fatal())


@pytest.fixture(scope="module")
def shared():
    """What the runs share, which none of them breaks."""
    with pf.Crew(1) as crew:
        crew.map(abs, [0])
    gc.collect()
    before = children(), segments()
    with pf.Crew(2) as crew, pf.Executor(2) as pool, pf.Executor(2, retries=1) as retrying:
        yield crew, pool, retrying
    with contextlib.suppress(ImportError):
        import parfork.joblib

        parfork.joblib._end()
    gc.collect()
    now = children(), segments()
    # The program may be another one by now.
    assert (len(now[0]), now[1]) == (len(before[0]), before[1])


def by_map(run, crew):
    found = crew.map(run.function(), range(ITEMS), **run.settings())
    assert found == list(range(100, 100 + ITEMS))


def by_blocks(run, crew):
    a = pf.array(np.arange(ITEMS * 64.0).reshape(ITEMS, 64))
    expected = a + 100
    crew.map_blocks(run.rows(), a, out=a, block=1, **run.settings())
    assert (a == expected).all()


def by_executor(run, pool, retrying):
    """Each task has an end of its own: one has failed at most, if a worker did; those of both workers if it was the program."""
    with contextlib.ExitStack() as stack:
        if "task_timeout" in run.settings():
            pool = stack.enter_context(pf.Executor(2, **run.settings()))
        elif run.retries:
            pool = retrying
        tasks = [pool.submit(run.function(), x) for x in range(ITEMS)]
        errors = {x: task.exception(timeout=100) for x, task in enumerate(tasks)}
        failed = {x: error for x, error in errors.items() if error is not None}
        assert all(tasks[x].result() == x + 100 for x in errors.keys() - failed.keys())
        if failed:
            assert len(failed) <= (2 if run.who == "program" else 1)
            raise failed[run.victim]


def by_joblib(run):
    joblib = pytest.importorskip("joblib")
    import parfork.joblib  # noqa: F401

    run.retries = 0
    with joblib.parallel_config(backend="parfork", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(run.function())(x) for x in range(ITEMS))
    assert found == list(range(100, 100 + ITEMS))


@pytest.mark.parametrize("seed", range(RUNS))
def test_whoever_fails(seed, shared, tmp_path):
    crew, pool, retrying = shared
    run = Run(seed, tmp_path / "done")
    verbs = {
        "map": lambda: by_map(run, crew),
        "map_blocks": lambda: by_blocks(run, crew),
        "Executor": lambda: by_executor(run, pool, retrying),
        "joblib": lambda: by_joblib(run),
    }
    try:
        verbs[run.verb]()
        assert os.path.exists(run.fault.path) and run.succeeds(), f"{run}: nothing was told"
    except (pf.ParforkError, MemoryError) as error:
        assert not run.succeeds(), f"{run}: {error}"
        run.check(error)
    # Now all is well; or, while those who die with the program are about to, that is told.
    until = time.monotonic() + 60
    while True:
        try:
            assert crew.map(abs, range(-3, 0)) == [3, 2, 1]
            assert [task.result() for task in [pool.submit(abs, -x) for x in range(4)]] == [0, 1, 2, 3]
            break
        except pf.WorkerDied:
            assert run.who != "worker" and time.monotonic() < until, run


SCRIPT = """
    import os, signal, sys, threading, time
    import numpy as np, parfork as pf
    seed, what, verb = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    a, me = pf.zeros((16, 64)), os.getpid()
    def parent(pid):
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    def family(_):
        time.sleep(0.01)
        return os.getpid(), os.getppid(), parent(os.getppid())
    def fault(x=None, out=None):
        if what.startswith("SIG"):
            os.kill(me, getattr(signal, what))
        time.sleep(1000)
    crew, pool = pf.Crew(2), pf.Executor(2)
    pids = {pid for each in crew.map(family, range(8)) + list(pool.map(family, range(8))) for pid in each}
    print(*pids, flush=True)
    def end():
        time.sleep(0.05)
        os._exit(3)
    if what == "_exit":
        threading.Thread(target=end).start()
    if what == "sys.exit" or what == "MemoryError":
        pool.submit(abs, 1)
        # Not beside work: it would wait for that.
        sys.exit(3) if what == "sys.exit" else np.ones(1 << 56)
    if verb == "map":
        crew.map(fault, range(4))
    elif verb == "map_blocks":
        crew.map_blocks(fault, a, out=a)
    elif verb == "Executor":
        [task.result() for task in [pool.submit(fault) for _ in range(4)]]
    else:
        import joblib, parfork.joblib
        with joblib.parallel_config(backend="parfork", n_jobs=2):
            joblib.Parallel()(joblib.delayed(fault)(x) for x in range(4))
"""


@pytest.mark.parametrize("seed", range(max(RUNS // 10, 4)))
def test_the_users_process_ends(seed, tmp_path):
    dice = random.Random(seed)
    what = dice.choice(["SIGKILL", "SIGSTOP", "SIGSEGV", "_exit", "MemoryError", "sys.exit"])
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    before = set(os.listdir("/dev/shm"))
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(seed), what, VERBS[seed % len(VERBS)]],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) >= 5
    if what == "SIGSTOP":
        with open(f"/proc/{process.pid}/stat") as file:
            while file.read().rpartition(")")[2].split()[0] != "T":
                file.seek(0)
                time.sleep(0.001)
        end(process.pid)
    process.wait(timeout=100)
    process.stdout.close()
    until = time.monotonic() + 60
    while any(map(alive, pids)):
        assert time.monotonic() < until, f"{what}: they outlive their process"
        time.sleep(0.001)
    # Others may leave something meanwhile.
    left = [name for name in os.listdir("/dev/shm") if name not in before and str(process.pid) in name]
    assert (left, os.listdir(tmp_path)) == ([], [])


def test_a_thousand_jobs_on_a_thousand_arrays_keep_memory_flat():
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    with pf.Crew(2) as crew:
        for job in range(1000):
            a = pf.full(20_000, float(job))
            assert crew.map(lambda part: part.sum(), [a[:10_000], a[10_000:]]) == [job * 10_000.0] * 2
            if job == 200:
                first, held = resident(), segments()
        assert segments() <= held + 2 and resident() < first + (32 << 20)
