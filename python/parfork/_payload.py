"""What travels to workers, and how: functions and items as pickles, arrays as references or copied once, all in shared memory.

A payload is words of 64 bits, then bytes: how many pickles, buffers and copied arrays there are; where each pickle is, how long it is, and
which of the buffers it uses; where each buffer, and then each array, is and how long.
"""

from __future__ import annotations

import io
import pickle
import struct
import types

import cloudpickle
import numpy as np

from . import _arrays

#: Arrays of so many bytes are copied into shared memory instead of being part of a pickle.
LARGE = 1 << 16
_ALIGNED = 64
_WORD = struct.Struct("=Q")
_SIMPLE = frozenset((bool, complex, float, int, str, type(None)))


def _aligned(at: int) -> int:
    return -(-at // _ALIGNED) * _ALIGNED


class _Pickler(cloudpickle.Pickler):
    def __init__(self, file, lent: Lent):
        super().__init__(file, protocol=5, buffer_callback=lent._buffer)
        self._lent = lent

    def reducer_override(self, obj):
        if type(obj) is np.ndarray:
            reduced = self._lent._array(obj)
            if reduced is not None:
                return reduced
        elif type(obj) is types.CodeType:
            make, arguments, *rest = self.dispatch_table[types.CodeType](obj)
            # So that tracebacks of workers tell files, and show lines.
            return make, tuple(obj.co_filename if each == "<dynamic-code>" else each for each in arguments), *rest
        return super().reducer_override(obj)


class Lent:
    """All that one job lends: pickles are added, then it is written."""

    def __init__(self):
        #: The segments after the payload itself, in the order in which workers have them.
        self.segments: list = []
        #: What was copied: name of the type, dtype and shape or bytes.
        self.copied: list[tuple[str, int]] = []
        self._slots: dict[int, int] = {}
        self._pickles: list[tuple[bytes, int, int]] = []
        self._buffers: list = []
        # Arrays that are copied, each once, by their identities.
        self._arrays: dict[int, tuple[int, np.ndarray, str]] = {}

    def slot(self, segment) -> int:
        """The number that workers know a segment by; 0 is the payload."""
        number = self._slots.get(segment.address)
        if number is None:
            self.segments.append(segment)
            number = self._slots[segment.address] = len(self.segments)
        return number

    def slot_of(self, segment) -> int | None:
        """That number, if the segment is read."""
        return self._slots.get(segment.address)

    def add(self, obj) -> None:
        """Pickles an object; functions and classes that cannot be imported go by value."""
        if type(obj) in _SIMPLE or (type(obj) is tuple and _SIMPLE.issuperset(map(type, obj))):
            self.add_simple(obj)
            return
        file, first = io.BytesIO(), len(self._buffers)
        try:
            _Pickler(file, self).dump(obj)
        except (TypeError, pickle.PicklingError, AttributeError, RuntimeError) as error:
            raise _unpicklable(obj, error) from error
        self._pickles.append((file.getvalue(), first, len(self._buffers) - first))

    def add_simple(self, obj) -> None:
        """Pickles an object in which there is nothing of the user's."""
        self._pickles.append((pickle.dumps(obj, protocol=5), 0, 0))

    def _array(self, array: np.ndarray):
        if array.dtype.hasobject:
            return None
        found = _arrays.home(array)
        if found is not None:
            segment, offset = found
            return _reference, (self.slot(segment), offset, array.shape, array.strides, array.dtype)
        if array.nbytes < LARGE:
            return None
        if id(array) not in self._arrays:
            order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
            self.copied.append((f"ndarray {array.dtype} {array.shape}", array.nbytes))
            self._arrays[id(array)] = len(self._arrays), array, order
        number, _, order = self._arrays[id(array)]
        return _copied, (number, array.shape, array.dtype, order)

    def _buffer(self, buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < LARGE:
            return True
        self.copied.append(("buffer", raw.nbytes))
        self._buffers.append(raw)
        return False

    def write(self, payload):
        """Writes all of it to the segment ``payload`` if it fits, else to a new one; the one that has it."""
        arrays = list(self._arrays.values())
        words = [len(self._pickles), len(self._buffers), len(arrays)]
        at = _WORD.size * (3 + 4 * len(self._pickles) + 2 * len(self._buffers) + 2 * len(arrays))
        places = []
        for data, first, count in self._pickles:
            words += [at, len(data), first, count]
            places.append(at)
            at += len(data)
        for size in [raw.nbytes for raw in self._buffers] + [array.nbytes for _, array, _ in arrays]:
            at = _aligned(at)
            words += [at, size]
            places.append(at)
            at += size
        if payload is None or payload.size < at:
            payload = _arrays.segment(max(2 * at if at < 1 << 20 else at, 1 << 16))
        view = memoryview(payload)
        head = struct.pack(f"={len(words)}Q", *words)
        view[: len(head)] = head
        places = iter(places)
        for data in [data for data, _, _ in self._pickles] + self._buffers:
            at = next(places)
            view[at : at + len(data)] = data
        for _, array, order in arrays:
            np.ndarray(array.shape, array.dtype, buffer=payload, offset=next(places), order=order)[...] = array
        return payload


class Read:
    """A payload in a worker: ``lent`` are the views of what is lent, the payload first."""

    current: Read

    def __init__(self, lent: list):
        self.lent = lent
        self._view = view = lent[0]
        pickles, buffers, arrays = struct.unpack_from("=3Q", view)
        table = view[3 * _WORD.size :][: _WORD.size * (4 * pickles + 2 * (buffers + arrays))].cast("Q")
        self._pickles, self._runs = table[: 4 * pickles], table[4 * pickles :]
        self._first_array = buffers

    def _run(self, number: int) -> memoryview:
        at, size = self._runs[2 * number : 2 * number + 2]
        return self._view[at : at + size]

    def array(self, number: int) -> memoryview:
        """The bytes of an array that was copied."""
        return self._run(self._first_array + number)

    def load(self, number: int):
        """The object that was added as the ``number``th."""
        at, size, first, count = self._pickles[4 * number : 4 * number + 4]
        Read.current = self
        buffers = [self._run(number) for number in range(first, first + count)]
        return pickle.loads(self._view[at : at + size], buffers=buffers)


def _reference(slot: int, offset: int, shape, strides, dtype) -> np.ndarray:
    array = np.ndarray(shape, dtype, buffer=Read.current.lent[slot], offset=offset, strides=strides)
    array.flags.writeable = False
    return array


def _copied(number: int, shape, dtype, order: str) -> np.ndarray:
    return np.ndarray(shape, dtype, buffer=Read.current.array(number), order=order)


def _unpicklable(obj, error: BaseException) -> TypeError:
    """An error that names what cannot be sent, down to the variable of a closure."""
    names, captured = [], {}
    function = next(filter(callable, obj), obj) if isinstance(obj, tuple) else getattr(obj, "function", obj)
    code = getattr(function, "__code__", None)
    if code is not None:
        cells = function.__closure__ or ()
        captured.update(zip(code.co_freevars, (cell.cell_contents for cell in cells)))
        captured.update((name, function.__globals__[name]) for name in code.co_names if name in function.__globals__)
    for name, value in captured.items():
        try:
            cloudpickle.dumps(value)
        except Exception:  # noqa: BLE001 - whatever it is that it has against it
            names.append(f"`{name}` ({type(value).__name__})")
    what = f"{', '.join(names)}, which the function uses," if names else "the function, or what it is called with,"
    return TypeError(f"{what} cannot be sent to workers: {error}. Make it inside of the function, or once a worker with initializer=")


# Results -----------------------------------------------------------------------------------------------------------------------------


def pack(tag: bytes, obj) -> list:
    """A result as runs of bytes: a tag, how long what follows is, a pickle, and buffers that it uses."""
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < LARGE:
            return True
        buffers.append(raw)
        return False

    try:
        data = pickle.dumps(obj, protocol=5, buffer_callback=keep)
    except Exception:  # noqa: BLE001 - of a class or a function of __main__, say
        buffers.clear()
        data = cloudpickle.dumps(obj, protocol=5, buffer_callback=keep)
    head = struct.pack(f"=c7xQQ{len(buffers)}Q", tag, len(data), len(buffers), *(raw.nbytes for raw in buffers))
    parts, at = [head, data], len(head) + len(data)
    for raw in buffers:
        parts += [bytes(_aligned(at) - at), raw]
        at = _aligned(at) + raw.nbytes
    return parts


def unpack(answer) -> tuple[bytes, object]:
    """The tag and the object of a result; arrays lie on its bytes."""
    view = memoryview(answer)
    tag, length, count = struct.unpack_from("=c7xQQ", view)
    sizes = struct.unpack_from(f"={count}Q", view, 24)
    start = 24 + 8 * count
    at, buffers = start + length, []
    for size in sizes:
        at = _aligned(at)
        buffers.append(view[at : at + size])
        at += size
    return tag, pickle.loads(view[start : start + length], buffers=buffers)
