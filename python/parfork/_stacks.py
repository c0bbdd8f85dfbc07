"""Where in Python a worker was when a fault ended it: written by ``faulthandler`` to memory that outlives it."""

from __future__ import annotations

import faulthandler
import os

_VARIABLE = "PARFORK_STACKS"
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

    def variable(self) -> tuple[str, str]:
        """What workers find in their environment."""
        return _VARIABLE, f"/proc/{os.getpid()}/fd/{self._fd}"

    def explain(self, died) -> None:
        """Adds to an error where its worker was."""
        text = os.pread(self._fd, _SIZE, died.rank * _SIZE).replace(b"\0", b"").decode(errors="replace").strip()
        os.ftruncate(self._fd, 0)
        if text:
            died.stack = text
            died.add_note(f"Python, in that worker:\n{text}")


def write(rank: int) -> None:
    """In a worker: from now on a fault is written to its place."""
    path = os.environ.get(_VARIABLE)
    if path is None:
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    os.lseek(fd, rank * _SIZE, os.SEEK_SET)
    faulthandler.enable(fd, all_threads=False)
