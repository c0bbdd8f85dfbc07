"""Pi, added up by NumPy: parfork exec --out sums.npy:f64:1000 -n 4 --split rows=50 -- python3 pi.py (with parfork.py beside it)."""

import numpy
import parfork

sums, steps = parfork.outputs["sums"], 10_000
for part in parfork.slices():
    for row in range(part.start, part.stop):
        x = (numpy.arange(row * steps, (row + 1) * steps) + 0.5) / (1000 * steps)
        sums[row] = (4 / (1 + x * x)).sum() / (1000 * steps)
