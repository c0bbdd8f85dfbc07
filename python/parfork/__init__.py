"""Split work on NumPy arrays across processes that share memory.

>>> import numpy as np, parfork as pf
>>> a = pf.array(np.arange(10.0).reshape(5, 2))
>>> pf.map_blocks(np.sqrt, a)[4, 1]
np.float64(3.0)
>>> pf.map(lambda x: x.sum(), [a[:2], a[2:]])
[np.float64(6.0), np.float64(39.0)]

``empty``, ``zeros``, ``ones``, ``full``, their ``_like``, ``array`` and ``load`` make arrays on shared memory; ``map_blocks`` and ``map``
give work to processes that stay; a ``Crew`` is some of them with settings of their own; ``report()`` says who did what. ``create`` and ``attach`` are for arrays that
other programs find by name.
"""

from __future__ import annotations

import sys as _sys

if not _sys.platform.startswith("linux"):
    raise ImportError(
        f"parfork needs Linux, for memory and processes that {_sys.platform} has no counterpart for: joblib or multiprocessing run here"
    )

from ._arrays import (  # noqa: E402 - nothing of it can be imported elsewhere
    array,
    empty,
    empty_like,
    full,
    full_like,
    is_shared,
    load,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from ._crew import Crew  # noqa: E402
from ._default import map, map_blocks  # noqa: E402
from ._errors import JobTimeout, ParforkError, WorkerDied, WorkerTraceback  # noqa: E402
from ._executor import Executor  # noqa: E402
from ._here import here  # noqa: E402
from ._named import NamedArray, attach, create  # noqa: E402
from ._native import cpus  # noqa: E402
from ._report import Report, report  # noqa: E402

__all__ = [
    "Crew",
    "Executor",
    "JobTimeout",
    "NamedArray",
    "ParforkError",
    "Report",
    "WorkerDied",
    "WorkerTraceback",
    "array",
    "attach",
    "cpus",
    "create",
    "empty",
    "empty_like",
    "full",
    "full_like",
    "here",
    "is_shared",
    "load",
    "map",
    "map_blocks",
    "ones",
    "ones_like",
    "report",
    "zeros",
    "zeros_like",
]
