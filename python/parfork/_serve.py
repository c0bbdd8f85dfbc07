"""The program that forks workers: ``main`` is called in a Python that was started for it."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Serves; does not come back."""
    sys.path[:] = json.loads(sys.argv[1])
    sys.argv[:] = [""]
    # What any job may need is loaded once, and not by each worker.
    from . import _answers, _blocks, _map, _native, _worker  # noqa: F401

    if sys.stdout is not None:
        # Whole lines, so that workers do not talk into each other's, also where Python was told not to wait for them (-u).
        sys.stdout = open(1, "w", buffering=1, encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)
    _native.serve(_worker.run)


def command() -> list[str]:
    """The program's name and arguments."""
    if not sys.executable:
        raise RuntimeError("sys.executable is empty: set it to the Python that workers are to run in")
    import subprocess

    flags = subprocess._args_from_interpreter_flags()  # noqa: SLF001 - as multiprocessing does
    code = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from parfork._serve import main; main()"
    return [sys.executable, *flags, "-c", code, json.dumps(sys.path)]
