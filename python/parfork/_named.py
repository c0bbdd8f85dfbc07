"""Arrays on shared memory that other programs find by name: ``create``, ``attach``, and a lock for many readers or one writer."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator

import numpy as np

from . import _arrays, _native

_ELEMENTS = frozenset(("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"))


def _remove(native: _native.NamedSegment, owner: int) -> None:
    if os.getpid() == owner:
        native.remove()


class NamedArray:
    """An array in a named segment, which this process has open; made by :func:`create` and :func:`attach`.

    Its elements are there inside of ``with segment.read() as array`` and ``with segment.write() as array``, where other programs
    do not change them (docs/segments.md of parfork has the rules, for all languages). One lock at a time: who wants more attaches it again.
    """

    def __init__(self, name: str, native: _native.NamedSegment, goes: bool):
        self.name, self._native = name, native
        self.shape, self.dtype = tuple(native.shape), np.dtype(native.dtype)
        self.order = "F" if native.columns_first else "C"
        self._closed = False
        # Also when the process ends.
        self._going = weakref.finalize(self, _remove, native, os.getpid()) if goes else None

    @property
    def generation(self) -> int:
        """How often it has been written whole."""
        return self._native.generation

    def read(self, timeout: float | None = None, unfinished: bool = False) -> contextlib.AbstractContextManager[np.ndarray]:
        """For a ``with``: the array, read-only, which nobody writes meanwhile. Many may read at once; a writer is waited for, a dead one
        is not.

        Raises TimeoutError after ``timeout`` seconds; ParforkError if the last writer died or gave up in the middle, unless
        ``unfinished=True``. The array is for the ``with`` alone: what is to be kept is copied. A job that is given it copies it into memory
        that its workers have, once a call, as it does with any array that is not of :func:`parfork.empty`; the report says so.
        """
        return self._held(False, timeout, unfinished)

    def write(self, timeout: float | None = None, unfinished: bool = False) -> contextlib.AbstractContextManager[np.ndarray]:
        """For a ``with``: the array, to be written, alone. At its end it counts as written whole; if it is left by an exception, or its
        process dies in it, the segment stays marked as unfinished.

        As :meth:`read` otherwise.
        """
        return self._held(True, timeout, unfinished)

    @contextlib.contextmanager
    def _held(self, write: bool, timeout: float | None, unfinished: bool) -> Iterator[np.ndarray]:
        if self._closed:
            raise ValueError(f"segment {self.name} was closed: attach it again")
        self._native.lock(write, timeout, unfinished)
        whole = False
        try:
            array = np.ndarray(self.shape, self.dtype, buffer=self._native, order=self.order)
            if self._native.is_foreign and not write:
                # What the library has copied goes with the lock.
                array = array.copy("A")
                array.flags.writeable = False
            yield array
            array.flags.writeable = False
            whole = True
        finally:
            # What is mapped stays so for as long as there are views of it.
            self._native.unlock(whole)

    def remove(self) -> None:
        """Takes the name away. Who has the segment attached keeps it so; its memory goes with the last of them."""
        self._native.remove()

    def close(self) -> None:
        """Ends the use of it here; one that was created without ``keep=True`` is removed."""
        self._closed = True
        if self._going is not None:
            self._going()

    def __enter__(self) -> NamedArray:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<parfork.NamedArray {self.name!r}, {self.dtype} of shape {self.shape}>"


def create(name: str, shape, dtype=np.float64, *, order: str = "C", keep: bool = False) -> NamedArray:
    """Makes a named segment of zeros, for this user alone; it is gone with this process, when it is closed or when nobody refers to it,
    unless it is to be kept (``keep=True``).

    Its elements are integers, or floats of 4 or 8 bytes. FileExistsError if there is one of this name; MemoryError with both numbers if
    there is too little room.
    """
    dtype = np.dtype(dtype)
    if dtype.str[1:] not in _ELEMENTS or not dtype.isnative:
        raise TypeError(
            f"segments do not have elements of dtype {dtype}: take integers, float32 or float64, of this machine's byte order "
            "(an array of others can be viewed as bytes: array.view(np.uint8))"
        )
    shape = _arrays.lengths(shape)
    native = _native.NamedSegment.create(name, list(shape), dtype.str, _arrays.is_columns_first(order), keep)
    return NamedArray(name, native, not keep)


def attach(name: str, *, readonly: bool = False) -> NamedArray:
    """Opens a named segment that some program has made: one's own by its name; ``group/name`` and ``user:group/name`` are those that are
    shared with a group.

    ``readonly=True`` for one that this user may only read. FileNotFoundError if there is none.
    """
    return NamedArray(name, _native.NamedSegment.attach(name, readonly), goes=False)
