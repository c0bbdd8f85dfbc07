"""A contestant of the bench `kernels`: does its case in NumPy once for each line that comes, and says the milliseconds.

kernels.py product f32 M N K | kernels.py reduce sum|min|max|norm | kernels.py sort
"""

import sys
import time

import numpy as np


def prepare(section, case):
    if section == "product" and case[1] != "0":
        kind = np.dtype(case[0].replace("f32", "float32").replace("f64", "float64"))
        m, n, k = (int(size) for size in case[1:])
        rng = np.random.default_rng(1)
        a, b = (rng.uniform(-1, 1, shape).astype(kind) for shape in ((m, k), (k, n)))
        c = np.empty((m, n), kind)
        return lambda: np.matmul(a, b, out=c)
    if section == "reduce":
        numbers = np.random.default_rng(1).uniform(-1, 1, 1 << 27)
        return {"sum": numbers.sum, "min": numbers.min, "max": numbers.max, "norm": lambda: np.linalg.norm(numbers)}[case[0]]
    if section == "sort":
        numbers = np.random.default_rng(1).random(100_000_000)
        return lambda: np.sort(numbers)
    return None


run = prepare(sys.argv[1], sys.argv[2:])
for _ in sys.stdin if run else ():
    began = time.perf_counter()
    run()
    print((time.perf_counter() - began) * 1e3, flush=True)
