"""What a worker does with a slice: find out what the job is, call the function, hand back what it returns or raises."""

from __future__ import annotations

import os
import sys
import traceback

import numpy as np

from . import _native, _payload, _stacks
from ._here import here

#: Whether this process is a worker: what it asks of parfork is done in it then.
is_worker = False
_initialized = None
_job: _Job | None = None
_number: int | None = None


class _Job:
    """A job as a worker has it: its first pickle is what the verb calls, the second the initializer, the third what is set, and then come
    items."""

    ITEMS = 3

    def __init__(self, lent, rank):
        global _initialized
        views = [_native.view(address, size, False) for address, size in lent]
        self.read = _payload.Read(views)
        self.verb, self.seed, cwd, path, initializer, output, birth, self.task_timeout = self.read.load(2)
        if not is_worker:
            _become_worker(rank, *birth)
        if path is not None:
            sys.path[:] = path
        if cwd is not None and cwd != os.getcwd():
            os.chdir(cwd)
        self.out = None
        if output is not None:
            # The last that is lent, and the address of its first cell: the segment that it is a part of may also be read.
            slot, at, size, shape, dtype, order = output
            address, length = lent[-1]
            self.out = np.ndarray(shape, dtype, buffer=_native.view(address, length, True), order=order)
            if slot is not None:
                views[slot] = _native.view(address - at, size, True)
        if initializer is not None and initializer != _initialized:
            _, function, arguments = self.read.load(1)
            function(*arguments)
            _initialized = initializer
        self.work = self.read.load(0)

    def item(self, number: int):
        """The object that the job has as its ``number``th item."""
        return self.read.load(self.ITEMS + number)


def _become_worker(rank: int, stacks: str, environment: dict | None) -> None:
    """What a worker does once: ``environment`` is what has changed since its server was started."""
    global is_worker
    is_worker = True
    # For the server alone, and not for what workers start.
    for name, value in {"PARFORK_SERVE": None, **(environment or {})}.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _stacks.write(rank, stacks)


def run(number, rank, workers, slice, cells, lent):
    """Called for each slice: runs of bytes, or None."""
    global _job, _number
    first, last, _, _ = cells
    try:
        if _number != number or _job is None:
            _job = None
            _job = _Job(lent, rank)
            _number = number
        here._enter(rank, workers, slice, range(first, last), _job.seed)
        if _job.task_timeout is None:
            return _job.work(_job, cells)
        with _stacks.before(_job.task_timeout):
            return _job.work(_job, cells)
    except BaseException as error:  # noqa: BLE001 - SystemExit too is for whoever has asked for the job
        where = "" if _job is None else f", {_job.verb} {first} to {last}"
        return failed(error, f"in worker {rank} (pid {os.getpid()}), slice {slice}{where}")
    finally:
        here._enter(None, 0, 0, range(0), 0)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()


def failed(error: BaseException, where: str, tag: bytes = b"E") -> list:
    """An exception as it is handed back: E ends the job, X does not."""
    if isinstance(error, ValueError) and "read-only" in str(error):
        error.add_note("arrays are read-only in workers: return the result, or let the function take out= and write to that")
    text = "".join(traceback.format_exception(error))
    while error.__traceback__ is not None and error.__traceback__.tb_frame.f_globals.get("__name__") == __name__:
        error.__traceback__ = error.__traceback__.tb_next
    try:
        _, same = _payload.unpack(b"".join(_payload.pack(b"E", error)))
        if type(same).__name__ != type(error).__name__:
            raise TypeError("another exception comes out of its pickle")
        sent = error
    except Exception:  # noqa: BLE001 - whatever it is that it has against it
        sent = None
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    return _payload.pack(tag, (sent, name, str(error), text, where, getattr(error, "__notes__", [])))


def hand_back(result) -> list:
    """A result as it is handed back."""
    try:
        return _payload.pack(b"R", result)
    except Exception as error:
        kind = type(next(filter(_is_stuck, result if isinstance(result, list) else [result]), result))
        raise TypeError(f"the result, a {kind.__module__}.{kind.__qualname__}, cannot be sent back: {error}") from error


def _is_stuck(value) -> bool:
    try:
        _payload.pack(b"R", value)
    except Exception:  # noqa: BLE001 - whatever it is that it has against it
        return True
    return False
