"""Work on NumPy arrays from Python, on two workers: parfork's package beside what people use. All are run in turn, round by round; told are
the least and the median time of each, and the median of its ratio to parfork's in the same round.

Usage: python.py [ROUNDS [NAME]...]; benches/peers/run python -- ROUNDS NAME...
"""

import concurrent.futures
import functools
import multiprocessing
import os
import statistics
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

import parfork as pf  # noqa: E402

WORKERS = 2
ROWS = 64


def nothing(_):
    pass


def expression(x):
    return np.exp(np.sin(x) * np.cos(x))


def blur(x):
    return (x[:-2] + x[1:-1] + x[2:]) / 3


def several(count, function):
    def run():
        for _ in range(count):
            function()

    return run


def busy_loops(stop):
    while not stop.is_set():
        pass


class Peers:
    """What is compared, started before it is measured."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self.pool = context.Pool(WORKERS)
        self.processes = concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=context)
        self.threads = concurrent.futures.ThreadPoolExecutor(WORKERS)
        self.crew = pf.Crew(WORKERS)
        self.executor = pf.Executor(WORKERS)
        list(self.processes.map(nothing, range(4)))
        list(self.executor.map(nothing, range(4)))
        list(self.threads.map(nothing, range(4)))
        self.crew.map(nothing, range(4))
        try:
            import mpire

            self.mpire = mpire.WorkerPool(WORKERS, start_method="fork", keep_alive=True)
            self.mpire.map(nothing, range(4))
        except ImportError:
            self.mpire = None
        try:
            import joblib

            import parfork.joblib  # noqa: F401

            self.joblib = joblib
        except ImportError:
            self.joblib = None

    def loky(self, function, items, **settings):
        return self.joblib.Parallel(WORKERS, **settings)(self.joblib.delayed(function)(item) for item in items)


def rows(array):
    return np.array_split(array, ROWS)


def cases(peers):
    """Names, with how each is done by whom: parfork first."""
    items = list(range(1000))
    yield "empty job, back to back, 100 times", {
        "parfork": several(100, lambda: peers.crew.map(nothing, range(WORKERS))),
        "Pool.map": several(100, lambda: peers.pool.map(nothing, range(WORKERS))),
        "threads": several(100, lambda: list(peers.threads.map(nothing, range(WORKERS)))),
    }
    yield "1000 empty items", {
        "parfork": lambda: peers.crew.map(nothing, items),
        "Pool, chunksize 1": lambda: peers.pool.map(nothing, items, chunksize=1),
        "ProcessPoolExecutor": lambda: list(peers.processes.map(nothing, items)),
        "mpire": peers.mpire and (lambda: peers.mpire.map(nothing, items, chunk_size=1)),
        "joblib": peers.joblib and (lambda: peers.loky(nothing, items)),
    }
    yield "1000 empty tasks of an executor", {
        "parfork": lambda: [task.result() for task in [peers.executor.submit(nothing, n) for n in items]],
        "ProcessPoolExecutor": lambda: [task.result() for task in [peers.processes.submit(nothing, n) for n in items]],
    }
    shared = pf.empty((16_384, 2048), np.float64)
    shared[:] = np.random.default_rng(0).random(shared.shape)
    plain = np.array(shared)
    yield "sum of 256 MiB", {
        "parfork": lambda: sum(peers.crew.map(np.sum, rows(shared))),
        "threads": lambda: sum(peers.threads.map(np.sum, rows(plain))),
        "Pool": lambda: sum(peers.pool.map(np.sum, rows(plain))),
        "ProcessPoolExecutor": lambda: sum(peers.processes.map(np.sum, rows(plain))),
        "mpire": peers.mpire and (lambda: sum(peers.mpire.map(np.sum, rows(plain), chunk_size=1, concatenate_numpy_output=False))),
        "joblib": peers.joblib and (lambda: sum(peers.loky(np.sum, rows(plain)))),
    }
    yield "sum of a plain array of 256 MiB, copied each time", {
        "parfork": lambda: sum(peers.crew.map(np.sum, rows(plain))),
        "joblib": peers.joblib and (lambda: sum(peers.loky(np.sum, rows(plain)))),
    }
    out = pf.empty_like(shared)

    def by_threads(function, halo=0):
        each = len(plain) // ROWS

        def block(number):
            first, last = number * each, (number + 1) * each
            found = function(plain[max(first - halo, 0) : last + halo])
            start = halo if first == 0 else 0
            out[first + start : first + start + len(found)] = found

        return lambda: list(peers.threads.map(block, range(ROWS)))

    yield "exp(sin x cos x) of 256 MiB", {
        "parfork": lambda: peers.crew.map_blocks(expression, shared, out=out),
        "threads": by_threads(expression),
        "Pool": lambda: np.concatenate(peers.pool.map(expression, rows(plain))),
        "mpire": peers.mpire and (lambda: peers.mpire.map(expression, rows(plain), chunk_size=1)),
        "joblib": peers.joblib and (lambda: np.concatenate(peers.loky(expression, rows(plain)))),
    }
    yield "mean of three rows, 256 MiB", {
        "parfork": lambda: peers.crew.map_blocks(blur, shared, out=out, halo=1, edge="nearest"),
        "threads": by_threads(blur, 1),
    }
    yield "64 blocks of 256 MiB as tasks of an executor", {
        "parfork": lambda: [task.result() for task in [peers.executor.submit(np.sum, block) for block in rows(shared)]],
        "ProcessPoolExecutor": lambda: [task.result() for task in [peers.processes.submit(np.sum, block) for block in rows(plain)]],
    }
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import GridSearchCV
        from sklearn.svm import SVC
    except ImportError:
        return
    data, labels = load_digits(return_X_y=True)

    def search(backend):
        with peers.joblib.parallel_config(backend=backend, n_jobs=WORKERS):
            GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [1e-4, 1e-3, 1e-2]}, cv=3).fit(data, labels)

    yield "GridSearchCV", {"parfork": functools.partial(search, "parfork"), "loky": functools.partial(search, "loky")}


def start_one():
    with pf.Crew(4) as crew:
        crew.map(nothing, range(4))


def measure(name, ways, rounds):
    ways = {who: way for who, way in ways.items() if way}
    times = {who: [] for who in ways}
    for _ in range(rounds + 1):
        for who, way in ways.items():
            begun = time.perf_counter()
            way()
            times[who].append(time.perf_counter() - begun)
    # The first round is to get warm.
    times = {who: each[1:] for who, each in times.items()}
    print(f"\n{name}")
    for who, each in times.items():
        ratio = statistics.median(own / other for own, other in zip(times["parfork"], each))
        line = f"  {who:20} least {min(each) * 1e3:9.2f} ms  median {statistics.median(each) * 1e3:9.2f} ms"
        print(line + ("" if who == "parfork" else f"  parfork takes {ratio:.2f} of it"), flush=True)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    wanted = sys.argv[2:]
    print(f"{WORKERS} workers, {os.cpu_count()} CPUs, CPython {sys.version.split()[0]}, NumPy {np.__version__}, {rounds} rounds")
    peers = Peers()
    for name, ways in cases(peers):
        if not wanted or any(word in name for word in wanted):
            measure(name, ways, rounds)
    if not wanted or "busy" in wanted:
        stop = multiprocessing.Event()
        loops = [multiprocessing.Process(target=busy_loops, args=(stop,)) for _ in range(4)]
        for loop in loops:
            loop.start()
        name, ways = next(cases(peers))
        measure(f"{name}, beside 4 busy loops", ways, max(rounds // 2, 1))
        stop.set()
        for loop in loops:
            loop.join()
    if not wanted or "start" in wanted:
        measure("a crew of 4 started, one job, ended", {"parfork": start_one}, max(rounds // 2, 1))


if __name__ == "__main__":
    main()
