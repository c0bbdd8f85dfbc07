"""Arrays on shared memory: ordinary ``numpy.ndarray`` objects, and where each of them lies."""

from __future__ import annotations

import bisect
import math
import operator
import os
import threading
import weakref

import numpy as np

from . import _native

_lock = threading.Lock()
# The segments of this process that are alive: where they begin, ascending, and which they are.
_addresses: list[int] = []
_segments: dict[int, weakref.ref] = {}
_owner = os.getpid()


def _forget(address: int, reference) -> None:
    with _lock:
        if _segments.get(address) is reference:
            del _segments[address]
            _addresses.remove(address)


def segment(size: int, zeros: bool = False) -> _native.Segment:
    """Shared memory, which is found by the addresses in it as long as it lives."""
    global _owner
    made = _native.Segment(size, zeros)
    address = made.address
    reference = weakref.ref(made, lambda reference: _forget(address, reference))
    with _lock:
        if _owner != os.getpid():
            # What the process had that this one is a fork of can be read here, and not lent.
            _addresses.clear()
            _segments.clear()
            _owner = os.getpid()
        if address not in _segments:
            bisect.insort(_addresses, address)
        _segments[address] = reference
    return made


def bounds(array: np.ndarray) -> tuple[int, int]:
    """The address of the first byte of an array, and of the first one after it."""
    low = high = array.__array_interface__["data"][0]
    for length, stride in zip(array.shape, array.strides):
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    return low, high + array.itemsize


def home(array: np.ndarray):
    """The segment that an array lies on, and at which byte of it its first element is; None if it is elsewhere."""
    if array.size == 0 or _owner != os.getpid():
        return None
    low, high = bounds(array)
    with _lock:
        at = bisect.bisect_right(_addresses, low) - 1
        if at < 0:
            return None
        found = _segments[_addresses[at]]()
    if found is None or high > found.address + found.size:
        return None
    return found, array.__array_interface__["data"][0] - found.address


def plain(dtype) -> np.dtype:
    """The dtype, if its elements have a fixed size and point nowhere."""
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(
            f"elements of dtype {dtype} are pointers to Python objects, which mean nothing in another process: "
            "use numbers or strings of a fixed length (dtype='U20'), or pass the objects as items of pf.map"
        )
    return dtype


def is_columns_first(order: str) -> bool:
    """Whether an order is Fortran's."""
    if order not in ("C", "F"):
        raise ValueError(f"order is 'C' (row by row) or 'F' (column by column), and not {order!r}")
    return order == "F"


def lengths(shape) -> tuple[int, ...]:
    """A shape, as NumPy takes them, as a tuple."""
    shape = (shape,) if hasattr(shape, "__index__") and not np.ndim(shape) else shape
    shape = tuple(operator.index(length) for length in shape)
    if any(length < 0 for length in shape):
        raise ValueError(f"an axis cannot have a negative length, as in {shape}")
    return shape


def _make(shape, dtype, order: str, zeros: bool) -> np.ndarray:
    dtype = plain(dtype)
    if dtype.itemsize == 0:
        raise TypeError(f"elements of dtype {dtype} have no length: say which, as in 'U20'")
    is_columns_first(order)
    shape = lengths(shape)
    size = math.prod(shape) * dtype.itemsize
    try:
        memory = segment(size, zeros)
    except MemoryError as error:
        if not hasattr(error, "need"):
            raise
        raise MemoryError(
            f"an array of shape {shape} of {dtype} needs {error.need} bytes, but {error.by} leaves {error.room}: "
            "take a smaller one, or free memory"
        ) from None
    except OverflowError:
        raise MemoryError(f"an array of shape {shape} of {dtype} needs {size} bytes, which no machine has") from None
    return np.ndarray(shape, dtype, buffer=memory, order=order)


def empty(shape, dtype=np.float64, order: str = "C") -> np.ndarray:
    """An array on shared memory whose elements are to be written before they are read."""
    return _make(shape, dtype, order, zeros=False)


def zeros(shape, dtype=np.float64, order: str = "C") -> np.ndarray:
    """An array of zeros on shared memory."""
    return _make(shape, dtype, order, zeros=True)


def full(shape, value, dtype=None, order: str = "C") -> np.ndarray:
    """An array on shared memory, each element of which is ``value``."""
    made = _make(shape, np.asarray(value).dtype if dtype is None else dtype, order, zeros=False)
    made[...] = value
    return made


def ones(shape, dtype=np.float64, order: str = "C") -> np.ndarray:
    """An array of ones on shared memory."""
    return full(shape, 1, dtype, order)


def _like(other, dtype, shape):
    other = np.asarray(other)
    order = "F" if other.flags.f_contiguous and not other.flags.c_contiguous else "C"
    return other.shape if shape is None else shape, other.dtype if dtype is None else dtype, order


def empty_like(other, dtype=None, shape=None) -> np.ndarray:
    """As :func:`empty`, with the shape, dtype and order of another array unless told."""
    return empty(*_like(other, dtype, shape))


def zeros_like(other, dtype=None, shape=None) -> np.ndarray:
    """As :func:`zeros`, with the shape, dtype and order of another array unless told."""
    return zeros(*_like(other, dtype, shape))


def ones_like(other, dtype=None, shape=None) -> np.ndarray:
    """As :func:`ones`, with the shape, dtype and order of another array unless told."""
    return ones(*_like(other, dtype, shape))


def full_like(other, value, dtype=None, shape=None) -> np.ndarray:
    """As :func:`full`, with the shape, dtype and order of another array unless told."""
    shape, dtype, order = _like(other, dtype, shape)
    return full(shape, value, dtype, order)


def array(values, dtype=None) -> np.ndarray:
    """A copy on shared memory of what ``numpy.asarray`` makes of ``values``, in the order that it has."""
    values = np.asarray(values, dtype)
    made = empty_like(values)
    made[...] = values
    return made


def load(path) -> np.ndarray:
    """The array in a .npy file, on shared memory."""
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(values, np.ndarray):
        values.close()
        raise ValueError(f"{os.fspath(path)} is an archive of arrays: parfork.array(numpy.load(path)['name']) loads one of them")
    return array(values)


def is_shared(array) -> bool:
    """Whether an array lies on this process's shared memory, so that it is lent to workers and not copied."""
    return isinstance(array, np.ndarray) and home(array) is not None
