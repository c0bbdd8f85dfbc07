"""Microseconds of an empty Pool.map: busy.py WORKERS JOBS."""

import multiprocessing
import sys
import time


def nothing(_):
    pass


if __name__ == "__main__":
    workers, jobs = map(int, sys.argv[1:])
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for _ in range(10):
            pool.map(nothing, range(workers), chunksize=1)
        began = time.perf_counter()
        for _ in range(jobs):
            pool.map(nothing, range(workers), chunksize=1)
        print((time.perf_counter() - began) / jobs * 1e6)
