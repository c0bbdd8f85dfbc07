"""What goes wrong in workers is told or made up for; nobody hangs, nothing is left."""

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import parfork as pf
from conftest import alive, end


def once(path, then):
    """A function that does something the first time that it is called, in whichever process."""

    def call():
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        then()

    return call


WAYS = {
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), signal.SIGKILL),
    "SIGSEGV": (lambda: ctypes.string_at(0), signal.SIGSEGV),
    "abort": (lambda: os.abort(), signal.SIGABRT),
    "_exit": (lambda: os._exit(3), None),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_death_is_told_and_the_crew_works_on(crew, way):
    act, number = WAYS[way]
    with pytest.raises(pf.WorkerDied) as caught:
        crew.map(lambda x: act() if x == 5 else x, range(20))
    died = caught.value
    assert died.slice == 5 and died.rows == (5, 6) and died.tries == 1 and died.rank in (0, 1) and died.slices == 20
    assert died.signal == number and died.status == (3 if number is None else None) and not alive(died.pid)
    assert str(died.pid) in str(died) and died.cause in str(died)
    if way in ("SIGSEGV", "abort"):
        assert "in <lambda>" in died.stack and "test_faults.py" in died.stack
    assert crew.map(abs, range(-3, 0)) == [3, 2, 1]


@pytest.mark.parametrize("way", WAYS)
def test_retries_do_what_the_dead_left(crew, way, tmp_path):
    die = once(str(tmp_path / "died"), WAYS[way][0])
    assert crew.map(lambda x: die() if x == 5 else x, range(20), retries=1)[:5] == [0, 1, 2, 3, 4]
    assert [death["slice"] for death in pf.report().deaths] == [5]
    assert "was done by another" in str(pf.report())


def test_what_was_half_written_is_put_back(crew, tmp_path):
    die = once(str(tmp_path / "died"), WAYS["SIGKILL"][0])

    def add(block, out):
        out += 1
        if pf.here.slice == 2:
            die()

    a = pf.zeros((64, 64))
    crew.map_blocks(add, a, out=a, retries=2)
    assert (a == 1).all()


def test_a_slice_that_kills_all_is_told_with_its_tries(crew):
    with pytest.raises(pf.WorkerDied) as caught:
        crew.map(lambda x: os._exit(1) if x == 1 else x, range(4), retries=2)
    assert caught.value.tries == 3 and caught.value.done == 3


def test_times(crew):
    with pytest.raises(pf.WorkerDied) as caught:
        crew.map(lambda x: time.sleep(1000) if x == 1 else x, range(4), task_timeout=3)
    assert caught.value.slice == 1 and "killed" in caught.value.cause
    assert "test_faults.py" in caught.value.stack and "in <lambda>" in caught.value.stack
    with pytest.raises(TimeoutError, match="deadline"):
        crew.map(lambda x: time.sleep(1000), range(4), timeout=3)
    assert crew.map(abs, [-1]) == [1]


def test_of_one_that_was_in_time_after_all_nothing_is_told(crew):
    def nearly(x):
        until = time.monotonic() + 0.95
        while time.monotonic() < until:
            pass

    # Late enough to be written down, and in time.
    crew.map(nearly, [0], task_timeout=1, retries=3)
    with pytest.raises(pf.WorkerDied) as caught:
        crew.map(lambda x: os._exit(3), [0], task_timeout=100)
    assert caught.value.stack is None


def test_stopped_workers_and_limits_of_memory(crew):
    with pytest.raises(pf.WorkerDied, match="stopped"):
        crew.map(lambda x: os.kill(os.getpid(), signal.SIGSTOP), [0], task_timeout=3)
    with pytest.raises(MemoryError):
        crew.map(lambda x: np.ones(1 << 28), [0], memory_limit=1 << 28)
    assert crew.map(lambda x: np.ones(1 << 10).sum(), [0]) == [1024]


def test_a_stray_write_is_caught_by_the_guard(crew):
    out = pf.zeros((16, 4096))

    def stray(block, out):
        ctypes.memset(out.ctypes.data - 4096 * 8, 1, 8)

    with pytest.raises(pf.WorkerDied):
        crew.map_blocks(stray, out.copy(), out=out, block=1, guard=True, only_slice=3)


def test_killed_servers_and_idle_workers_are_replaced(crew):
    server, *_ = set(crew.map(lambda _: os.getppid(), [0]))
    workers = set(crew.map(lambda _: os.getpid(), range(50)))
    for pid in workers:
        end(pid)
    assert crew.map(abs, [-1]) == [1]
    end(server)
    assert crew.map(abs, [-2]) == [2]
    # And the one that forks those of all crews.
    (program,) = crew.map(lambda _: int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1]), [0])
    (server,) = crew.map(lambda _: os.getppid(), [0])
    end(program)
    while alive(server):
        time.sleep(0.001)
    assert crew.map(abs, [-3]) == [3]


def test_interrupts_are_told_and_the_crew_works_on(crew):
    assert threading.current_thread() is threading.main_thread()
    crew.map(abs, [1])
    read, write = os.pipe()
    timer = threading.Thread(target=lambda: (os.read(read, 1), os.kill(os.getpid(), signal.SIGINT)))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fd, me = write, os.getpid()

        def wait(x):
            with open(f"/proc/{me}/fd/{fd}", "wb", 0) as line:
                line.write(b"x")
            time.sleep(1000)

        crew.map(wait, [0])
    timer.join()
    os.close(read)
    os.close(write)
    assert crew.map(abs, [-1]) == [1]


SCRIPT = """
    import os, sys, time
    import numpy as np, parfork as pf
    a = pf.zeros((1000, 1000))
    crew = pf.Crew(2)
    pids = set(crew.map(lambda _: (time.sleep(0.01), os.getpid())[1], range(8))) | set(crew.map(lambda _: os.getppid(), [0]))
    print(*pids, flush=True)
    {then}
"""


@pytest.mark.parametrize("then", ["crew.map(lambda _: time.sleep(1000), range(4))", "time.sleep(1000)", "os._exit(0)", "pass", "1 / 0"])
def test_all_go_with_the_process(then):
    script = textwrap.dedent(SCRIPT).format(then=then)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) >= 2
    if "1000)" in then:
        process.kill()
    process.wait()
    process.stdout.close()
    until = time.monotonic() + 60
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, "workers outlive their process"
        time.sleep(0.01)


def test_random_faults(tmp_path):
    rng = np.random.default_rng(17)
    acts = list(WAYS)
    with pf.Crew(2) as crew:
        for run in range(30):
            way, victim, retries = acts[rng.integers(len(acts))], int(rng.integers(12)), int(rng.integers(2))
            die = once(str(tmp_path / f"{run}"), WAYS[way][0])
            function = lambda x, die=die, victim=victim: (die() if x == victim else None, x)[1]  # noqa: E731
            if retries:
                assert crew.map(function, range(12), retries=1) == list(range(12))
            else:
                with pytest.raises(pf.WorkerDied) as caught:
                    crew.map(function, range(12))
                assert caught.value.slice == victim
