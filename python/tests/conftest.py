"""Each test ends in time, and leaves nothing behind."""

import gc
import os
import signal
import time

import pytest

import parfork

# What runs the tests may have told its children to ignore it, as shells do for what runs in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)


def children() -> set[int]:
    """The processes that this one has started and that are there."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(pid) for pid in file.read().split()}


def segments() -> int:
    """How many of parfork's files in memory this process has open."""
    names = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            pass
    return sum("memfd:parfork" in name for name in names)


@pytest.fixture
def nothing_left():
    """What is made in the test is gone after it, but the server of all crews."""
    with parfork.Crew(1) as crew:
        crew.map(abs, [0])
    gc.collect()
    before = children(), segments()
    yield
    gc.collect()
    assert (children(), segments()) == before


@pytest.fixture
def crew():
    """Two workers, both of which have done a job: what they do first is no part of the times that they are given."""
    with parfork.Crew(2) as crew:
        crew.map(lambda _: parfork.here.barrier(), range(2), schedule="static")
        yield crew


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    # It may go between opening and reading.
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(pid: int) -> None:
    """Kills a process that the test has made, and waits until it is gone."""
    os.kill(pid, signal.SIGKILL)
    while alive(pid):
        time.sleep(0.001)
