"""A plate whose ends are kept hot: parfork exec --planes plate=hot.npy --out plate=after.npy --steps 1000 -n 4 -- python3 heat.py (with parfork.py beside it)."""

import parfork

for old, new in parfork.steps():
    new[:] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])
