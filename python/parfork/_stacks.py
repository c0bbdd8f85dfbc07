"""Where in Python a worker was when a fault, or its time, ended it: written by ``faulthandler`` to memory that outlives it."""

from __future__ import annotations

import contextlib
import faulthandler
import os

_SIZE = 1 << 16


class Stacks:
    """For a crew: a file in memory with a place for each worker."""

    def __init__(self):
        self._fd = os.memfd_create("parfork-stacks")

    def close(self) -> None:
        """Gives the memory back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self):
        self.close()

    def place(self) -> str:
        """Where workers find it."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def explain(self, died) -> None:
        """Adds to an error where its worker was."""
        text = os.pread(self._fd, _SIZE, died.rank * _SIZE).replace(b"\0", b"").decode(errors="replace").strip()
        os.ftruncate(self._fd, 0)
        if text:
            died.stack = text
            died.add_note(f"Python, in that worker:\n{text}")


_place: tuple[int, int] | None = None


def write(rank: int, place: str) -> None:
    """In a worker: from now on a fault is written to its place."""
    global _place
    try:
        fd = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    _place = fd, rank * _SIZE
    os.lseek(*_place, os.SEEK_SET)
    faulthandler.enable(fd, all_threads=False)


@contextlib.contextmanager
def before(deadline: float | None):
    """In a worker: shortly before so many seconds have passed, it is written where it stands, for it will be killed then."""
    if deadline is None or _place is None:
        yield
        return
    fd, at = _place
    faulthandler.dump_traceback_later(max(deadline - min(deadline / 10, 0.1), 1e-3), file=fd)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        if written := os.lseek(fd, 0, os.SEEK_CUR) - at:
            # It came to its end after all.
            os.pwrite(fd, bytes(written), at)
            os.lseek(fd, at, os.SEEK_SET)
