"""What can go wrong. Errors of the library arrive here with their kind, their text and their fields."""

from __future__ import annotations


class ParforkError(RuntimeError):
    """What a job or a crew could not do, and the remedy."""


class WorkerDied(ParforkError):
    """A worker process ended before its work was done.

    ``rank``, ``pid``, ``signal`` or ``status``, ``cause`` in words, the ``slice`` and its ``rows`` (first, last + 1), ``tries``: how many
    workers died on it, ``done`` of ``slices``; ``stack``: where in Python a fault was, if it was one.
    """

    rank: int
    pid: int
    signal: int | None
    status: int | None
    cause: str
    slice: int | None
    rows: tuple[int, int] | None
    tries: int
    done: int
    slices: int
    stack: str | None = None


class JobTimeout(ParforkError, TimeoutError):
    """The job took longer than its ``timeout``."""


class WorkerTraceback(Exception):
    """How a worker came to its exception: the cause of the one that is raised here."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


def of_native(kind: str, text: str, fields: dict) -> BaseException:
    """The exception for an error of the library."""
    match kind:
        case "died":
            error = WorkerDied(text)
            for name, value in fields.items():
                setattr(error, name, value)
            if error.slice is not None:
                error.add_note(f"only_slice={error.slice} runs that slice alone; workers=0 runs all of it here, for a debugger")
            return error
        case "memory":
            error = MemoryError(text)
            vars(error).update(fields)
            return error
        case "timeout":
            return JobTimeout(text)
        case "absent":
            return FileNotFoundError(text)
        case "exists":
            error = FileExistsError(text)
            error.add_note("parfork.attach(name).remove() takes it away")
            return error
        case "unfinished":
            return ParforkError(
                f"segment {text}: whoever wrote it last died or gave up in the middle, so that a part of it may be old and a part new. "
                "Write all of it anew, or take it as it is: both with unfinished=True"
            )
        case "read-only":
            return PermissionError(f"segment {text} was attached to be read: parfork.attach({text!r}) without readonly=True")
        case "value":
            return ValueError(text)
        case _:
            return ParforkError(text)
