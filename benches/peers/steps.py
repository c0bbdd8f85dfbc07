"""Heat on a plate in numba, on two threads: steps.py N STEPS; the microseconds of a step for each line that comes."""

import sys
import time

import numba
import numpy as np


@numba.njit(parallel=True, cache=False)
def step(old, new):
    rows, cols = old.shape
    for i in numba.prange(1, rows - 1):
        for j in range(1, cols - 1):
            new[i, j] = 0.25 * (old[i - 1, j] + old[i + 1, j] + old[i, j - 1] + old[i, j + 1])


n, steps = map(int, sys.argv[1:])
numba.set_num_threads(2)
i, j = np.indices((n, n))
old = (i * j % 17).astype(float)
new = old.copy()
step(old, new)
for _ in sys.stdin:
    began = time.perf_counter()
    for _ in range(steps):
        step(old, new)
        old, new = new, old
    print((time.perf_counter() - began) / steps * 1e6, flush=True)
