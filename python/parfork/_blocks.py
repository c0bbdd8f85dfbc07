"""``map_blocks``: a function on blocks of rows, whose results are one array."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np

from . import _answers, _arrays, _crew, _edges, _worker
from ._here import here

#: How an array is cut does not depend on the number of workers: into blocks of so many bytes, but at least and at most so many of them.
_BYTES, _FEWEST, _MOST = 1 << 16, 8, 64

#: What a function returned the last time, by what it was given: a guess, which costs a copy if it is wrong.
_guesses: dict = {}


class Blocks:
    """What a worker does with a block: ``cut`` says which arrays are cut, and ``out`` whether the function is handed that."""

    def __init__(self, function, arrays, cut, axis, halo, edge, out, exact):
        self.function, self.arrays, self.cut, self.axis, self.halo, self.edge = function, arrays, cut, axis, halo, edge
        self.out, self.exact = out, exact

    def __call__(self, job, cells):
        first, last, before, after = cells
        blocks = [
            _edges.around(array, self.axis, (first, last), self.halo, self.edge) if cut else array
            for array, cut in zip(self.arrays, self.cut)
        ]
        target = None if job.out is None else _edges.rows(job.out, self.axis, first, last)
        if self.out:
            result = self.function(*blocks, out=target)
            if result is None or result is target:
                return None
        else:
            result = self.function(*blocks)
        result = self._trimmed(np.asanyarray(result), first, last, first - (before if self.edge is None else first - self.halo))
        if target is None or not (self.exact or (result.dtype == target.dtype and result.shape == target.shape)):
            return _worker.hand_back(result)
        if result.shape != target.shape:
            raise ValueError(f"the function returned shape {result.shape} for a block of out= that has {target.shape}")
        np.copyto(target, result, casting="same_kind")
        return None

    def _trimmed(self, result, first, last, offset):
        """The rows that are the block's own."""
        rows = last - first
        length = result.shape[self.axis] if result.ndim > self.axis else None
        if length == rows:
            return result
        if self.halo and length is not None and length > rows:
            return _edges.rows(result, self.axis, offset, offset + rows)
        raise ValueError(
            f"the function returned shape {result.shape} for a block with {rows} on axis {self.axis}: map_blocks puts blocks together that "
            "are as long as what they were made of. For anything else: parfork.map(function, numpy.array_split(a, 64))"
        )


def map_blocks(crew, function, arrays, settings: dict):
    """An array made of what ``function`` returns for blocks of arrays."""
    own = {name: settings.pop(name, default) for name, default in _OWN.items()}
    options = _crew.Options.of(settings)
    plan = _Plan(function, arrays, **own)
    if plan.is_empty or crew.is_serial():
        return plan.serial(crew)
    return plan.gather(crew.run(plan.job, options), options.only_slice)


_OWN = {"out": None, "axis": 0, "block": None, "halo": 0, "edge": None, "dtype": None}


class _Plan:
    def __init__(self, function, arrays, out, axis, block, halo, edge, dtype):
        if not callable(function):
            raise TypeError(f"map_blocks calls a function on blocks, and {function!r} cannot be called")
        self.arrays = [np.asanyarray(array) for array in arrays]
        self.axis = axis
        whole = max(self.arrays, key=lambda array: array.ndim, default=None)
        if whole is None or not -whole.ndim <= axis < whole.ndim:
            raise ValueError(f"there is no array with an axis {axis} to cut")
        self.axis = axis % whole.ndim
        self.length = whole.shape[self.axis]
        cut = [array.ndim > self.axis for array in self.arrays]
        lengths = {array.shape[self.axis] for array, is_cut in zip(self.arrays, cut) if is_cut}
        if len(lengths) > 1:
            shapes = ", ".join(str(array.shape) for array in self.arrays)
            raise ValueError(f"arrays are cut together, and differ on axis {self.axis}: {shapes}")
        for array in self.arrays:
            _arrays.plain(array.dtype)
        _edges.check(halo, edge)
        self.each = _each(whole, self.length) if block is None else block
        if not isinstance(self.each, int) or self.each < 1:
            raise ValueError(f"a block has 1 row or more, and not {block!r}")
        self.whole, self.function, self.given = whole, function, out is not None
        overlaps = self._check_out(out, halo) if self.given else False
        takes, needs = _takes_out(function)
        exact = self.given or dtype is not None
        if not self.given and isinstance(function, np.ufunc):
            dtype, exact = _of_ufunc(function, self.arrays, dtype)
            takes = exact
        self.out = out if self.given else self._guess(dtype)
        passes = takes and (exact or needs) and self.out is not None
        work = Blocks(function, tuple(self.arrays), cut, self.axis, halo, edge, passes, exact and self.given)
        self.is_empty = self.whole.size == 0 or (self.out is not None and self.out.size == 0)
        self.job = _crew.Job(
            "rows", work, length=self.length, each=self.each, out=self.out, axis=self.axis, halo=halo,
            restore=self.given and (overlaps or passes),
        )  # fmt: skip

    def _check_out(self, out, halo: int) -> bool:
        """Whether it overlaps an input."""
        if not isinstance(out, np.ndarray) or _arrays.home(out) is None and out.size:
            raise ValueError("out= is to be an array on shared memory, where workers write: make it with parfork.empty_like(...)")
        if not out.flags.writeable:
            raise ValueError("out= is read-only")
        if not (out.flags.c_contiguous or out.flags.f_contiguous):
            raise ValueError(f"out= has gaps between its elements (strides {out.strides}): take a whole array, or a run of its rows")
        if out.ndim <= self.axis or out.shape[self.axis] != self.length:
            raise ValueError(f"out= has shape {out.shape}, and {self.length} are to be written along axis {self.axis}")
        overlaps = False
        low, high = _arrays.bounds(out) if out.size else (0, 0)
        for array in self.arrays:
            if array.size == 0 or not (lambda a, b: a < high and low < b)(*_arrays.bounds(array)):
                continue
            overlaps = True
            same = array.__array_interface__["data"][0] == low and array.strides == out.strides and array.shape == out.shape
            if halo or not same:
                raise ValueError("out= overlaps an input in rows that other workers read: give another array as out=")
        return overlaps

    def _guess(self, dtype):
        """An array for the results, as they will probably be."""
        shape = list(self.whole.shape)
        guessed = _guesses.get(self._key())
        if guessed is not None and dtype is None:
            dtype, rest = guessed
            shape = [*rest[: self.axis], self.length, *rest[self.axis :]]
        dtype = _arrays.plain(self.whole.dtype if dtype is None else dtype)
        order = "F" if self.whole.flags.f_contiguous and not self.whole.flags.c_contiguous else "C"
        return _arrays.empty(tuple(shape), dtype, order)

    def _key(self):
        code = getattr(self.function, "__code__", self.function)
        try:
            hash(code)
        except TypeError:
            return None
        return code, tuple((array.dtype.str, array.shape[: self.axis], array.shape[self.axis + 1 :]) for array in self.arrays)

    def gather(self, answers, only_slice):
        """The array, of answers that are None where a worker has written its rows."""
        parts = {number: _answers.value(answer) for number, answer in enumerate(answers) if answer is not None}
        if not parts and (self.given or only_slice is None):
            return self.out
        if not parts:
            return _edges.rows(self.out, self.axis, *self._ends()[only_slice])
        shape = next(iter(parts.values())).shape
        if len(_guesses) > 1000:
            _guesses.clear()
        if (key := self._key()) is not None:
            first = next(iter(parts.values()))
            _guesses[key] = first.dtype, shape[: self.axis] + shape[self.axis + 1 :]
        if only_slice is not None:
            return parts[only_slice]
        ends = self._ends()
        pieces = [
            parts[number] if number in parts else _edges.rows(self.out, self.axis, *ends[number]) for number in range(len(ends))
        ]
        joined = np.concatenate(pieces, axis=self.axis)
        return joined if joined.dtype.hasobject else _arrays.array(joined)

    def _ends(self) -> list[tuple[int, int]]:
        return [(start, min(start + self.each, self.length)) for start in range(0, self.length, self.each)]

    def serial(self, crew):
        """The same in this process."""
        job, answers, was = SimpleNamespace(out=self.out), [], here._state()
        work = self.job.work
        work.arrays = tuple(_frozen(array) for array in work.arrays)
        halo = self.job.halo
        try:
            for number, first in enumerate(range(0, max(self.length, 1), self.each)):
                last = min(first + self.each, self.length)
                here._enter(0, 1, number, range(first, last), crew._seed)
                answers.append(work(job, (first, last, max(first - halo, 0), min(last + halo, self.length))))
        finally:
            here._restore(was)
        joined = [None if answer is None else b"".join(answer) for answer in answers]
        return self.gather(joined, None)


def _frozen(array):
    view = array.view()
    view.flags.writeable = False
    return view


def _each(array, length: int) -> int:
    blocks = min(max(array.nbytes // _BYTES, _FEWEST), _MOST)
    return max(-(-length // blocks), 1)


def _takes_out(function) -> tuple[bool, bool]:
    """Whether a function can be handed out=, and whether it has to be."""
    if isinstance(function, np.ufunc):
        return True, False
    try:
        parameter = inspect.signature(function).parameters.get("out")
    except (TypeError, ValueError):
        return False, False
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        return False, False
    return True, parameter.default is parameter.empty


def _of_ufunc(function, arrays, dtype):
    """The dtype that a ufunc makes of arrays, and whether that is known."""
    if dtype is not None:
        return dtype, True
    if function.nout != 1 or function.nin != len(arrays) or function.signature is not None:
        return None, False
    try:
        return function.resolve_dtypes((*(array.dtype for array in arrays), None))[-1], True
    except TypeError:
        return None, False
