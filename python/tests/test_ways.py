"""The ways in which Python is started."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import threading, time, os
import numpy as np, parfork as pf
np.ones((300, 300)) @ np.ones((300, 300))            # with the threads of its own that BLAS has
threading.Thread(target=time.sleep, args=(0.5,)).start()
offset = 5
class Thing:
    def __init__(self, x): self.x = x
def f(x): return Thing(x + offset)
found = pf.map(f, range(3))
assert [thing.x for thing in found] == [5, 6, 7] and type(found[0]) is Thing
assert pf.map_blocks(lambda x: x + offset, pf.zeros(10)).sum() == 50
print("done")
"""


@pytest.mark.parametrize("way", ["file", "-c", "stdin", "module", "isolated"])
def test_ways(way, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    arguments = {
        "file": ["program.py"], "-c": ["-c", PROGRAM], "stdin": ["-"], "module": ["-m", "program"], "isolated": ["-I", "program.py"],
    }[way]  # fmt: skip
    done = subprocess.run(
        [sys.executable, *arguments], input=PROGRAM if way == "stdin" else "", text=True, capture_output=True, cwd=tmp_path,
        timeout=100,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_in_a_thread_and_beside_asyncio():
    program = """
import asyncio, threading
import parfork as pf
found = []
thread = threading.Thread(target=lambda: found.append(pf.map(abs, range(-3, 0))))
thread.start()
thread.join()
async def main():
    ticks = 0
    job = asyncio.get_running_loop().run_in_executor(None, pf.map, abs, [-1])
    while not job.done():
        ticks += 1
        await asyncio.sleep(0)
    return await job
assert asyncio.run(main()) == [1] and found == [[3, 2, 1]]
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_beside_threads_that_compute():
    program = """
import threading, time
import numpy as np, parfork as pf
stop = threading.Event()
a = np.ones((400, 400))
def compute():
    while not stop.is_set():
        a @ a
threads = [threading.Thread(target=compute, daemon=True) for _ in range(2)]
try:
    import tqdm
    bar = tqdm.tqdm(total=1, mininterval=1e-3, disable=False)      # with a thread that watches it
except ImportError:
    pass
for thread in threads:
    thread.start()
shared = pf.ones((64, 1000))
with pf.Crew(2) as crew:
    for _ in range(5):
        assert crew.map(lambda row: (row @ row, (a @ a)[0, 0]), list(shared[:4])) == [(1000.0, 400.0)] * 4
        assert crew.map_blocks(lambda x: x + 1, shared).sum() == 128_000
# OpenBLAS, without this package as well, hangs at the end of a process whose threads still multiply.
stop.set()
for thread in threads:
    thread.join()
print("done")
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=100, env=environment)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_under_pytest_xdist(tmp_path):
    pytest.importorskip("xdist")
    (tmp_path / "test_inner.py").write_text("""
import numpy as np, parfork as pf, pytest
offset = 5
@pytest.mark.parametrize("n", range(8))
def test(n):
    assert pf.map(lambda x: x + offset, range(n)) == [x + 5 for x in range(n)]
    assert (pf.map_blocks(np.sqrt, pf.ones((n + 1, 10))) == 1).all()
""")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", str(tmp_path)], text=True, capture_output=True,
        timeout=100, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and "8 passed" in done.stdout, done.stdout


def test_a_fork_has_a_crew_of_its_own():
    program = """
import os
import parfork as pf
assert pf.map(abs, [-1]) == [1]
shared = pf.ones(100_000)
child = os.fork()
if child == 0:
    os._exit(0 if pf.map(lambda n: shared[n], [5]) == [1.0] and pf.report().copied else 1)
assert os.waitpid(child, 0)[1] == 0
assert pf.map(abs, [-2]) == [2]
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_a_server_that_cannot_start_is_told():
    program = """
import sys
import parfork as pf
import parfork._serve
parfork._serve._command = lambda: [sys.executable, "-c", "raise SystemExit('no luck')"]
for _ in range(2):
    try:
        pf.map(abs, [1])
    except pf.ParforkError as error:
        assert "exited with status 1 before it did" in str(error), error
    else:
        raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=100)
    assert done.returncode == 0 and "no luck" in done.stderr, done.stderr
    program = "import sys\nimport parfork as pf\nsys.executable = ''\npf.map(abs, [1])"
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=100)
    assert "sys.executable is empty" in done.stderr
    # What Python says of it is in the error, not on stderr alone.
    program = """
import os, sys
import parfork as pf
sys.path[:] = [folder for folder in sys.path if not os.path.isdir(os.path.join(folder, "parfork"))]
try:
    pf.map(abs, [1])
except pf.ParforkError as error:
    assert "ModuleNotFoundError" in error.__notes__[0], error.__notes__
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_a_server_that_is_not_alone_is_told(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()")
    program = """
import parfork as pf
try:
    pf.map(abs, [1])
except pf.ParforkError as error:
    assert "has 2 threads" in error.__notes__[0] and "sitecustomize" in error.__notes__[0], error.__notes__
else:
    raise AssertionError
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr


def test_one_server_forks_the_workers_of_all_crews():
    program = """
import os
import parfork as pf

def parents(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])

servers = set()
crews = [pf.Crew(workers) for workers in (1, 2, 1)]
for crew in crews:
    servers |= {parents(pid) for pid in crew.map(lambda _: os.getppid(), range(4))}
with pf.Executor(2) as pool:
    servers |= {parents(pid) for pid in pool.map(lambda _: os.getppid(), range(4))}
assert len(servers) == 1 and parents(*servers) == os.getpid()
# It stays, and knows of what was set since.
for crew in crews:
    crew.close()
os.environ["SET_LATER"] = "1"
with pf.Crew(1) as crew:
    assert crew.map(lambda _: (os.environ.get("SET_LATER"), "PARFORK_SERVE" in os.environ), [0]) == [("1", False)]
    assert {parents(pid) for pid in crew.map(lambda _: os.getppid(), [0])} == servers
    del os.environ["SET_LATER"]
    # What was set when the crew was started, as in every process.
    assert crew.map(lambda _: os.environ.get("SET_LATER"), [0]) == ["1"]
with pf.Crew(1) as crew:
    assert crew.map(lambda _: os.environ.get("SET_LATER"), [0]) == [None]
# Its output goes elsewhere by now: another one is started.
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
with pf.Crew(1) as crew:
    assert {parents(pid) for pid in crew.map(lambda _: os.getppid(), [0])} != servers
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_runs_as_printed(tmp_path):
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(os.path.join(folder, "README.md")) as file:
        blocks = [block.split("```")[0] for block in file.read().split("```python\n")[1:]]
    assert len(blocks) >= 2
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], text=True, capture_output=True, timeout=100, cwd=tmp_path)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
