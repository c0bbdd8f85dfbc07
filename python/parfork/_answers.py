"""What workers hand back, as the caller gets it."""

from __future__ import annotations

from . import _errors, _payload


def value(answer):
    """The result that an answer holds.

    Raises the exception that it is, if it is one: of its own type, with the worker's traceback as its cause and a note that says where.
    """
    tag, found = _payload.unpack(answer)
    if tag == b"R":
        return found
    error, name, text, traceback, where, notes = found
    if isinstance(error, (SystemExit, KeyboardInterrupt)) or error is None:
        error = _errors.ParforkError(f"{name}: {text}")
        for note in notes:
            error.add_note(note)
    error.add_note(where)
    raise error from _errors.WorkerTraceback(traceback)
