"""A worker of `parfork exec`, written in Python. One file, which needs NumPy alone: put it beside your program.

    import parfork

    a, c = parfork.inputs["a"], parfork.outputs["c"]
    for part in parfork.slices():
        c[part] = a[part] * 2

    $ parfork exec --in a.npy --out c.npy -n 4 -- python3 double.py

or, for programs that do steps, each of which reads what the one before has left:

    for old, new in parfork.steps():
        new[:] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])

    $ parfork exec --planes plate=hot.npy --out plate=after.npy --steps 100 -n 4 -- python3 heat.py

The arrays are shared memory, nothing is copied. Going on to the next slice says that the last is done: so slices are looped over and not
collected, and outputs cannot be written once there are no more. Processes that the program starts (multiprocessing) have the arrays too;
slices are given to the program itself. What is printed goes to standard error, for standard output belongs to the protocol. An exception that nobody catches becomes `failed TYPE: message (file:line)`, which ends the job with that text.
docs/protocol.md of parfork has what happens beneath.
"""

import bisect
import json
import mmap
import os
import re
import sys
import threading
import traceback

import numpy

__all__ = ["inputs", "outputs", "slices", "steps", "step", "part", "random", "rank", "size", "manifest"]

_SCHEMA = "parfork-manifest/2"

# Who has been started by parfork, said to those that this process starts: they have its environment, and not its descriptors.
_job = os.environ.get("PARFORK_COORDINATOR", "") + ":" + os.environ.get("PARFORK_RANK", "")
_told = os.environ.get("PARFORK_PROGRAM", "").rpartition(":")
_program = int(_told[2]) if _told[0] == _job and _told[2].isdigit() else os.getpid()
os.environ["PARFORK_PROGRAM"] = f"{_job}:{_program}"


def _path(descriptor):
    """The file behind a descriptor of the process that parfork has started."""
    return f"/proc/{_program}/fd/{descriptor}"


def _read_manifest():
    descriptor = os.environ.get("PARFORK_MANIFEST_FD")
    if descriptor is None:
        raise SystemExit(
            "parfork.py: this program is a worker and was started by itself. "
            "Run it with: parfork exec --in FILE --out FILE -- python3 " + (sys.argv[0] or "PROGRAM")
        )
    with open(_path(descriptor), "rb") as file:
        told = json.load(file)
    if told.get("schema") != _SCHEMA:
        raise SystemExit(
            f"parfork.py: the manifest is of version {told.get('schema')!r}, and {_SCHEMA!r} is known here. "
            "Get the client of that parfork: parfork exec --client python > parfork.py"
        )
    return told


def _attach(entry):
    """The array behind a descriptor; one that was lent for reading cannot be written."""
    writable = entry["access"] == "write"
    shape, dtype = tuple(entry["shape"]), numpy.dtype(entry["dtype"])
    if entry["bytes"] == 0:
        return numpy.empty(shape, dtype)
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    descriptor = os.open(_path(entry["fd"]), os.O_RDWR if writable else os.O_RDONLY)
    # A mapping begins with a page; an array in a file need not.
    skip = entry["offset"] % mmap.ALLOCATIONGRANULARITY
    memory = mmap.mmap(descriptor, skip + entry["bytes"], flags=mmap.MAP_SHARED, prot=protection, offset=entry["offset"] - skip)
    os.close(descriptor)
    return numpy.ndarray(shape, dtype, memory, skip, tuple(entry["strides"]))


#: What this worker was told, as a dictionary.
manifest = _read_manifest()
#: Which worker this is, from 0.
rank = manifest["rank"]
#: How many there are.
size = manifest["size"]
#: The arrays to read and those to write, by name.
inputs = {entry["name"]: _attach(entry) for entry in manifest["arrays"] if entry["access"] == "read"}
outputs = {entry["name"]: _attach(entry) for entry in manifest["arrays"] if entry["access"] == "write"}

class _Planes:
    """An array that steps are done on: two copies, each to read and to write."""

    def __init__(self, entry):
        self.margin, self.padding = entry["margin"], entry["padding"]
        planes = [dict(entry, fd=fd, offset=0) for fd in entry["fds"]]
        self.read = [_attach(dict(plane, access="read")) for plane in planes]
        self.write = [_attach(dict(plane, access="write")) for plane in planes]

    def of(self, number, ranges):
        """What a step reads, the slice and its margin, and the slice to write."""
        axes, old, new = dict(zip(manifest["slices"]["axes"], ranges)), [], []
        for axis, length in enumerate(self.read[0].shape):
            margin, padding = self.margin[axis], self.padding[axis]
            start, end = axes.get(axis, (margin - padding, length - margin - padding))
            old.append(slice(start + padding - margin, end + padding + margin))
            new.append(slice(start + padding, end + padding))
        return self.read[number % 2][tuple(old)], self.write[1 - number % 2][tuple(new)]


_planes = [_Planes(entry) for entry in manifest.get("planes", [])]
#: In a program that does steps: which it does now, from 0, and of which slice (to index arrays with).
step, part = None, None

_stays = manifest["protocol"] in ("lines/1", "steps/1")
_is_program = _program == os.getpid()
#: Whether an answer is owed. From the start, for the first order comes with the program.
_owed = _stays and _is_program

if _stays and _is_program:
    # The pipes are ours alone: what this program and others that it starts print or read has nothing to do with them.
    _orders, _answers = os.fdopen(os.dup(0), "r", encoding="ascii"), os.dup(1)
    os.dup2(2, 1)
    _nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(_nothing, 0)
    os.close(_nothing)


def _say(text):
    data = text.encode("utf-8", "replace") + b"\n"
    while data:
        data = data[os.write(_answers, data) :]


def _part(ranges):
    """What to index an array with: a slice if rows are cut, else a tuple of slices."""
    axes = manifest["slices"]["axes"]
    parts = [slice(None)] * (max(axes) + 1)
    for axis, (start, end) in zip(axes, ranges):
        parts[axis] = slice(start, end)
    return parts[0] if len(parts) == 1 else tuple(parts)


class _Slices:
    """The slices, one after the other. Each is done when the next is asked for."""

    _begun, _word = False, "slice"

    def __init__(self):
        if _program != os.getpid():
            raise RuntimeError("parfork.py: slices are given to the program that parfork has started, and not to processes that it starts")
        if _Slices._begun:
            raise RuntimeError("parfork.py: all slices were given by the first slices(); loop over them once")
        _Slices._begun = True
        self._thread, self._order, self._ended = threading.get_ident(), None, False

    def __iter__(self):
        return self

    def __length_hint__(self):
        # What collects things asks how many there will be.
        raise RuntimeError("parfork.py: a slice is done when the next is asked for, so they cannot be collected; write: for part in parfork.slices()")

    def __next__(self):
        global _owed
        asker = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        if threading.get_ident() != self._thread or os.getpid() != _program or asker in ("concurrent", "multiprocessing"):
            raise RuntimeError("parfork.py: a slice is done when the next is asked for, so no pool can ask; loop over slices() and give the pool parts of each")
        if self._ended:
            raise StopIteration
        order = self._next()
        if order is None:
            # Whatever is written from here on would be lost.
            self._ended, _owed = True, False
            for array in outputs.values():
                array.flags.writeable = False
            raise StopIteration
        return order

    def _next(self):
        global _owed
        if not _stays:
            if self._order:
                self._close()
                return None
            # One slice, or one step of it: this program is started anew for each.
            ends = [(f"PARFORK_START{axis}", f"PARFORK_END{axis}") for axis in ("", 1, 2, 3)]
            self._order = [(int(os.environ[start]), int(os.environ[end])) for start, end in ends if start in os.environ]
            return self._given([int(os.environ["PARFORK_STEP"])] if self._word == "step" else [], self._order)
        if self._order:
            _owed = False
            self._close()
            _say("done " + self._order)
            self._order = None
        line = _orders.readline()
        if not line:
            return None
        words = line.split()
        word, more = words[:1], len(words) - 1 - 2 * len(manifest["slices"]["axes"])
        if word != [self._word] or more != (self._word == "step"):
            raise ValueError(f"parfork.py: the order {line!r} where `{self._word} ...` was expected")
        self._order, _owed = " ".join(words[1 + more :]), True
        numbers = [int(word) for word in words[1:]]
        return self._given(numbers[:more], list(zip(numbers[more::2], numbers[more + 1 :: 2])))

    def _given(self, _step, ranges):
        return _part(ranges)

    def _close(self):
        """Before the slice is said to be done."""


class _Steps(_Slices):
    """The steps of slices, one after the other."""

    _word = "step"

    def _given(self, number, ranges):
        global step, part
        step, part = number[0], _part(ranges)
        self._pairs = tuple(planes.of(step, ranges) for planes in _planes)
        return self._pairs[0] if len(self._pairs) == 1 else self._pairs

    def _close(self):
        for _, new in self._pairs:
            new.flags.writeable = False


def slices():
    """Slice after slice, each to index arrays with, until there are no more. Asking for the next says that the last is done."""
    if _planes:
        raise RuntimeError("parfork.py: this program was started to do steps; write: for old, new in parfork.steps()")
    return _Slices()


def steps():
    """Step after step of slice after slice, each as (old, new): what the step before left, of the slice and its margin, to read, and the slice to
    write, all of it. With several --planes a tuple of such pairs, in their order. Asking for the next says that the last is done."""
    if not _planes:
        raise RuntimeError("parfork.py: there are no planes to do steps on; give --planes NAME=START.npy --steps N")
    return _Steps()


def _number(part):
    """The number of a slice, counted row by row."""
    told, number = manifest["slices"], 0
    word = re.match("([a-z]*)([0-9]*)[=/]?(.*)", told["split"])
    lengths = [int(length) for length in word[3].split("x")] if "=" in told["split"] else []
    axis = {"rows": 0, "cols": 1, "axis": int(word[2] or 0)}.get(word[1])
    # Of each axis that is cut how long the pieces are; 0 where they are nearly equal. Steps may name others that are whole.
    cut = dict(enumerate(lengths)) if axis is None else {axis: lengths[0] if lengths else 0}
    cut = {axis: length for axis, length in cut.items() if length or not lengths}
    parts = part if isinstance(part, tuple) else (part,)
    for axis in told["axes"]:
        if axis not in cut:
            continue
        start, length, bounds = parts[axis].start, told["shape"][axis], told.get("bounds", [])
        if bounds:
            number = bisect.bisect_right(bounds, start)
            continue
        if _planes:
            # What is computed of it.
            first = _planes[0]
            start -= first.margin[axis] - first.padding[axis]
            length = first.read[0].shape[axis] - 2 * first.margin[axis]
        if cut[axis]:
            piece, pieces = start // cut[axis], -(-length // cut[axis])
        else:
            # The first `more` pieces are one longer than the others.
            pieces = told["count"]
            each, more = divmod(length, pieces)
            edge = more * (each + 1)
            piece = start // (each + 1) if start < edge else more + (start - edge) // each
        number = number * pieces + piece
    return number


def random(part, seed):
    """A numpy.random.Generator for one slice, and for each step of it: the same numbers whoever works on it, for any number of workers; no two share any."""
    return numpy.random.Generator(numpy.random.Philox(key=seed, counter=[0, 0, step or 0, _number(part)]))


def _failed(kind, error, trace):
    """Tells of an exception that nobody caught: first here on standard error, then to the coordinator."""
    global _owed
    _usual(kind, error, trace)
    if _owed:
        _owed = False
        frames = traceback.extract_tb(trace)
        place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
        why = f"{kind.__name__}: {error}".replace("\n", " ").replace("\r", " ")
        _say("failed " + why[:900] + place)


_usual = sys.excepthook
sys.excepthook = _failed
