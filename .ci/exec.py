"""Workers in Python and C against NumPy, and a NumPy program that is killed in the middle of a gigabyte.

Usage: exec.py PARFORK FOLDER, in which exec.c and the examples are
"""

import glob
import os
import signal
import subprocess
import sys
import time

import numpy as np

parfork, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
os.chdir(folder)


def run(*words, fails=None, **options):
    done = subprocess.run([parfork, "exec", *words], capture_output=True, text=True, timeout=300, **options)
    text = done.stderr
    assert (done.returncode != 0) == bool(fails), (words, done.returncode, text)
    for word in fails or ():
        assert word in text, (word, text)
    return done.stdout + text


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


for language, name in (("python", "parfork.py"), ("c", "parfork.h")):
    write(name, run("--client", language))

SPLITS = ("rows=7", "cols=9", "tiles=8x16", "axis1/3", "rows")


def python_against_numpy():
    write("double.py", "import parfork\na, c = parfork.inputs['a'], parfork.outputs['c']\nprint('not an answer')\nfor part in parfork.slices():\n    c[part] = a[part] * 2\n")
    count = 0
    for dtype in "u1 u2 <u4 >u8 i1 >i2 i4 i8 f2 f4 >f8 c8 >c16".split():
        for order in "CF":
            a = np.asarray(np.arange(50 * 60).reshape(50, 60) % 100, dtype=dtype, order=order)
            np.save("a.npy", a)
            split = SPLITS[count % len(SPLITS)]
            extra = (["--guard"], ["--each"], [])[count % 3]
            if extra == ["--each"]:
                split = "rows=25"
            told = run("--in", "a.npy", "--out", "c.npy", "-n", str(1 + count % 3), "--split", split, *extra, "--", "python", "double.py")
            assert "not an answer" in told
            c = np.load("c.npy")
            assert c.dtype == a.dtype.newbyteorder("=") and (c == a * 2).all(), (dtype, order, split)
            count += 1
    for shape in ((), (0, 3), (5,), (4, 3, 2, 2)):
        np.save("a.npy", np.ones(shape))
        if shape:
            run("--in", "a.npy", "--out", "c.npy", "--", "python", "double.py")
            assert (np.load("c.npy") == 2 * np.ones(shape)).all() and np.load("c.npy").shape == shape
    print(f"ok    parfork.py: {count} types, orders of bytes and memory, and splits")


def python_random_numbers():
    write("dice.py", "import parfork\nc = parfork.outputs['c']\nfor part in parfork.slices():\n    c[part] = parfork.random(part, 42).random(c[part].shape)\n")
    # The slices, row by row, as pairs of starts and ends.
    pieces = {
        "rows=7": ([7 * k for k in range(8)] + [50], [0, 60]),
        "rows/8": ([0, 7, 14, 20, 26, 32, 38, 44, 50], [0, 60]),
        "cols=9": ([0, 50], [9 * k for k in range(7)] + [60]),
        "axis1/7": ([0, 50], [0, 9, 18, 27, 36, 44, 52, 60]),
        "tiles=8x16": ([8 * k for k in range(7)] + [50], [16 * k for k in range(4)] + [60]),
        "rows": (list(range(51)), [0, 60]),
        "blocks=0x16": ([0, 50], [16 * k for k in range(4)] + [60]),
        "cols --bounds 5,6,60": ([0, 50], [0, 5, 6, 60]),
    }
    for split, (rows, cols) in pieces.items():
        expected, number = np.empty((50, 60)), 0
        for top, bottom in zip(rows, rows[1:]):
            for left, right in zip(cols, cols[1:]):
                random = np.random.Generator(np.random.Philox(key=42, counter=[0, 0, 0, number]))
                expected[top:bottom, left:right] = random.random((bottom - top, right - left))
                number += 1
        for workers in "1", "3":
            run("--out", "c=c.npy:f64:50x60", "-n", workers, "--split", *split.split(), "--", "python", "dice.py")
            assert (np.load("c.npy") == expected).all(), (split, workers)
    # Of each step of each slice others: of the last one they are left. What is kept is no slice's.
    write("dice.py", "import parfork\nfor old, new in parfork.steps():\n    new[:] = parfork.random(parfork.part, 42).random(new.shape)\n")
    np.save("a.npy", np.zeros((50, 60)))
    for split, rows, cols in (("rows=7", [1 + 7 * k for k in range(7)] + [49], [1, 59]), ("cols/8", [1, 49], [1, 9, 17, 24, 31, 38, 45, 52, 59]), ("tiles=20x30", [1, 21, 41, 49], [1, 31, 59]), ("rows --bounds 2,49", [1, 2, 49], [1, 59])):
        expected, number = np.zeros((50, 60)), 0
        for top, bottom in zip(rows, rows[1:]):
            for left, right in zip(cols, cols[1:]):
                random = np.random.Generator(np.random.Philox(key=42, counter=[0, 0, 2, number]))
                expected[top:bottom, left:right] = random.random((bottom - top, right - left))
                number += 1
        run("--planes", "a.npy", "--out", "a=c.npy", "--steps", "3", "-n", "2", "--split", *split.split(), "--", "python", "dice.py")
        assert (np.load("c.npy") == expected).all(), split
    print(f"ok    parfork.py: random numbers of {len(pieces)} splits, and of steps of 4")


def python_errors():
    np.save("a.npy", np.ones((4, 4)))
    for body, words in (
        ("for part in parfork.slices():\n    a[part] = 1", ["ValueError: assignment destination is read-only (bad.py:4)", "Traceback"]),
        ("for part in parfork.slices():\n    raise KeyError('one\\ntwo')", ["KeyError: 'one", "(bad.py:4)"]),
        ("raise RuntimeError('at once')", ["RuntimeError: at once (bad.py:3)"]),
        ("import sys\nfor part in parfork.slices(): sys.exit(5)", ["lost its program `python`", "exited with status 5"]),
        ("import os\nfor part in parfork.slices(): os._exit(0)", ["exited with status 0"]),
        ("for part in parfork.slices(): break", ["exited with status 0"]),
        ("import numpy\nfor part in parfork.slices(): numpy.ones(1 << 28)", ["MemoryError"]),
    ):
        write("bad.py", "import parfork\na, c = parfork.inputs['a'], parfork.outputs['c']\n" + body + "\n")
        run("--in", "a.npy", "--out", "c=bad.npy", "-n", "2", "--mem-limit", "512M", "--", "python", "bad.py", fails=words)
        assert not os.path.exists("bad.npy")
    alone = subprocess.run(["python", "double.py"], capture_output=True, text=True)
    assert alone.returncode == 1 and "parfork exec" in alone.stderr, alone
    print("ok    parfork.py: exceptions are told with type, message and place")


def python_slices_that_are_collected():
    a = np.arange(40.0).reshape(20, 2)
    np.save("a.npy", a)
    head = "import multiprocessing as m, concurrent.futures as c\nimport parfork\na, o = parfork.inputs['a'], parfork.outputs['o']\n"
    head += "def f(part): o[part] = a[part] * 2\ndef g(row): return row * 2\n"

    def job(body, **how):
        write("slices.py", head + "if __name__ == '__main__':\n    " + body + "\n")
        run("--in", "a.npy", "--out", "o.npy", "-n", "2", "--split", "rows=5", "--guard", "--", "python", "slices.py", **how)

    right = [f"for p in parfork.slices():\n        with m.get_context('{start}').Pool(2) as q: o[p] = q.map(g, list(a[p]))" for start in ("fork", "spawn", "forkserver")]
    right += ["[f(p) for p in parfork.slices()]", "list(map(f, parfork.slices()))", "for _, p in enumerate(parfork.slices()): f(p)"]
    for body in right:
        job(body)
        assert (np.load("o.npy") == 2 * a).all(), body
        os.remove("o.npy")
    pool = [f"with m.get_context('{start}').Pool(2) as q: list(q.{call}(f, parfork.slices()))" for start in ("fork", "spawn") for call in ("map", "imap", "imap_unordered")]
    threads = ["with c.ThreadPoolExecutor(2) as q: list(q.map(f, parfork.slices()))"]
    collected = [f"for p in {call}(parfork.slices()): f(p)" for call in ("list", "tuple", "sorted")] + ["for p in [*parfork.slices()]: f(p)"]
    for body in pool + threads + collected:
        job(body, fails=["a slice is done when the next is asked for"])
        assert not os.path.exists("o.npy"), body
    job("for p in parfork.slices(): f(p)\n    for p in parfork.slices(): f(p)", fails=["loop over them once", "exited with status 1"])
    job("for p in parfork.slices(): f(p)\n    o[0] = 1", fails=["read-only", "exited with status 1"])
    print(f"ok    parfork.py: {len(right)} loops over slices and pools, {len(pool + threads + collected)} that collect them are errors")


def naive(start, steps, border):
    """Heat as heat.py has it, on the whole plate at once; of `keep` the outermost cells stay."""
    now = start.copy()
    for _ in range(steps):
        old = now if border == "keep" else np.pad(now, 1, mode={"wrap": "wrap", "replicate": "edge", "reflect101": "reflect"}[border])
        new = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])
        if border == "keep":
            now[1:-1, 1:-1] = new
        else:
            now = new
    return now


def python_steps():
    plate = np.random.default_rng(3).random((60, 41))
    np.save("hot.npy", np.asfortranarray(plate))
    write("dies.py", """
import os, parfork
for old, new in parfork.steps():
    new[:] = 7
    rows = parfork.part[0] if isinstance(parfork.part, tuple) else parfork.part
    if parfork.step == 11 and rows.start <= 20 < rows.stop:
        try:
            os.mkdir("died")
            os.kill(os.getpid(), 9)
        except FileExistsError:
            pass
    new[:] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])
""")
    count = 0
    for border in ("keep", "wrap", "replicate", "reflect101"):
        right = naive(plate, 30, border)
        for program, how in (("heat.py", "-n 1"), ("heat.py", "-n 3 --split rows=7"), ("heat.py", "-n 2 --split tiles=20x11"), ("dies.py", "-n 2 --split rows=5 --depth 4 --retries 1")):
            if os.path.isdir("died"):
                os.rmdir("died")
            run("--planes", "plate=hot.npy", "--out", "plate=after.npy", "--steps", "30", "--border", border, *how.split(), "--", "python", program)
            assert (np.load("after.npy") == right).all(), (border, program, how)
            assert os.path.isdir("died") == (program == "dies.py")
            count += 1
    # Once for each step of each slice: a start of Python each.
    for border in ("keep", "wrap"):
        run("--planes", "plate=hot.npy", "--out", "plate=after.npy", "--steps", "3", "--border", border, "-n", "2", "--split", "rows=20", "--each", "--", "python", "heat.py")
        assert (np.load("after.npy") == naive(plate, 3, border)).all(), border
    # Waves: two planes and an input; a step reads both.
    speed, high = 0.1 + 0.01 * np.arange(50.0), np.zeros(50)
    high[7] = 1
    np.save("speed.npy", speed), np.save("u.npy", high), np.save("v.npy", np.zeros(50))
    write("waves.py", """
import parfork
speed = parfork.inputs["speed"]
for (u, new_u), (v, new_v) in parfork.steps():
    new_v[:] = v[1:-1] + speed[parfork.part] * (u[:-2] - 2 * u[1:-1] + u[2:])
    new_u[:] = u[1:-1] + v[1:-1]
""")
    run("--planes", "u.npy", "--planes", "v.npy", "--in", "speed.npy", "--out", "v=v2.npy", "--out", "u=u2.npy", "--steps", "25", "--border", "wrap", "-n", "3", "--verify", "--", "python", "waves.py")
    u, v = high, np.zeros(50)
    for _ in range(25):
        u, v = u + v, v + speed * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
    assert (np.load("u2.npy") == u).all() and (np.load("v2.npy") == v).all()
    for body, words in (
        ("for part in parfork.slices(): pass", ["RuntimeError: parfork.py: this program was started to do steps"]),
        ("for old, new in parfork.steps(): old[:] = 1", ["ValueError: assignment destination is read-only", "step 0 of slice"]),
        ("for old, new in list(parfork.steps()): pass", ["a slice is done when the next is asked for"]),
        ("for old, new in parfork.steps(): new[:] = 1\nnew[:] = 2", ["read-only", "exited with status 1"]),
    ):
        write("bad.py", "import parfork\n" + body + "\n")
        run("--planes", "plate=hot.npy", "--out", "plate=bad.npy", "--steps", "3", "-n", "2", "--", "python", "bad.py", fails=words)
        assert not os.path.exists("bad.npy"), body
    write("bad.py", "import parfork\nfor old, new in parfork.steps(): pass\n")
    run("--in", "hot.npy", "--out", "bad.npy", "--", "python", "bad.py", fails=["there are no planes to do steps on"])
    print(f"ok    parfork.py: {count} plates of 30 steps as NumPy has them, a program killed in every fourth; waves on two planes")


def c_against_numpy():
    for compiler in ("gcc", "clang"):
        strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        subprocess.run([compiler, *strict, "-o", "double", "exec.c"], check=True)
        count = 0
        for order in "CF":
            a = np.asarray(np.random.default_rng(1).random((50, 60)), order=order)
            np.save("a.npy", a)
            for split in SPLITS:
                for extra in ([], ["--guard"]):
                    run("--in", "a.npy", "--out", "c.npy", "-n", "2", "--split", split, *extra, "--", "./double")
                    assert (np.load("c.npy") == 2 * a).all(), (compiler, order, split)
                    count += 1
        run("--in", "a.npy", "--out", "c.npy", "--split", "tiles=25x30", "--each", "--", "./double")
        assert (np.load("c.npy") == 2 * a).all()
        run("--in", "a.npy", "--out", "c=bad.npy", "--", "./double", "no\nreason", fails=["no reason"])
        run("--in", "b=a.npy", "--out", "c=bad.npy", "--", "./double", fails=["there is no array a"])
        run("--in", "a.npy", "--out", "c=bad.npy:f32", "--", "./double", fails=["the array c is of f32, and this program works with f64"])
        # Steps, as Python does them.
        subprocess.run([compiler, *strict, "-o", "heat", "heat.c"], check=True)
        plate = np.random.default_rng(3).random((60, 41))
        np.save("hot.npy", np.asfortranarray(plate))
        for border in ("keep", "wrap", "replicate", "reflect101"):
            right = naive(plate, 30, border)
            for how in ("-n 1", "-n 3 --split rows=7", "-n 2 --split tiles=20x11 --depth 4", "-n 2 --split rows=30 --each"):
                run("--planes", "plate=hot.npy", "--out", "plate=after.npy", "--steps", "30", "--border", border, *how.split(), "--", "./heat")
                assert (np.load("after.npy") == right).all(), (compiler, border, how)
        run("--in", "a.npy", "--out", "c=bad.npy", "--", "./heat", fails=["there are no planes to do steps on"])
        run("--planes", "p=a.npy", "--in", "a=a.npy", "--in", "c=a.npy", "--out", "p=bad.npy", "--steps", "2", "--", "./double", fails=["this program was started to do steps"])
        alone = subprocess.run(["./double"], capture_output=True, text=True)
        assert alone.returncode == 1 and "parfork exec" in alone.stderr, alone
        print(f"ok    parfork.h with {compiler}: {count} orders of memory and splits, under address and undefined behaviour sanitizers")
    subprocess.run(["g++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++", "parfork.h"], check=True, stderr=subprocess.DEVNULL)


def examples():
    run("--out", "sums.npy:f64:1000", "-n", "2", "--split", "rows=50", "--", "python", "pi.py")
    assert abs(np.load("sums.npy").sum() - np.pi) < 1e-12
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "blur", "blur.c"], check=True)
    a = np.random.default_rng(2).random((100, 150))
    np.save("a.npy", a)
    run("--in", "a.npy", "--out", "soft.npy", "-n", "2", "--split", "tiles=64x64", "--", "./blur")
    wide = np.pad(a, ((0, 0), (1, 1)), constant_values=np.nan)
    assert np.allclose(np.load("soft.npy"), np.nanmean([wide[:, :-2], wide[:, 1:-1], wide[:, 2:]], axis=0), rtol=1e-12)
    text = np.frombuffer(b"".join(b"line %03d\n" % i for i in range(100)), dtype="u1").reshape(100, 9)
    np.save("text.npy", text)
    run("--in", "text.npy", "--out", "loud.npy", "-n", "2", "--split", "rows=9", "--", "sh", "upper.sh")
    assert np.load("loud.npy").tobytes() == text.tobytes().upper()
    print("ok    examples: pi.py, blur.c, upper.sh")


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [int(child) for child in children.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid):
    return [pid] + [below for child in children(pid) for below in tree(child)]


def proportional(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) * 1024
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0


def send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def a_gigabyte_without_a_copy_though_one_is_killed():
    """1 GiB in, 1 GiB out, by 2 NumPy programs; one is killed when it has done a part. The memory of all, sampled."""
    shape = (1 << 13, 1 << 14)
    a = np.arange(1 << 27, dtype="f8").reshape(shape)
    np.save("big.npy", a)
    expected = a.sum() * 3 + a.size
    # Row by row, so that temporary arrays stay small; a file for each slice says that it was begun.
    write("triple.py", """import os, parfork
a, c = parfork.inputs["big"], parfork.outputs["c"]
for part in parfork.slices():
    open(f"begun.{os.getpid()}.{part.start}", "w").close()
    for row in range(part.start, part.stop):
        c[row] = a[row] * 3 + 1
""")
    del a
    job = subprocess.Popen([parfork, "exec", "--in", "big.npy", "--out", "c.npy", "-n", "2", "--split", "rows=256", "--", "python", "triple.py"], stderr=subprocess.PIPE, text=True)
    peak, killed = 0, None
    while job.poll() is None:
        processes = tree(job.pid)
        for pid in processes:
            send(pid, signal.SIGSTOP)
        # Stopped while they are looked at: a page that another maps between two looks would count twice.
        peak = max(peak, sum(map(proportional, processes)))
        if killed is None and len(glob.glob("begun.*")) >= 8:
            victim = int(glob.glob("begun.*")[0].split(".")[1])
            if send(victim, signal.SIGKILL):
                killed = victim
        for pid in processes:
            send(pid, signal.SIGCONT)
        # A look takes as long as there are pages; in between they are to get on.
        time.sleep(0.1)
    told = job.stderr.read()
    assert job.returncode == 0 and killed is not None, (job.returncode, killed, told)
    assert f"lost its program `python` (pid {killed}), which was ended by signal 9" in told, told
    c = np.load("c.npy", mmap_mode="r")
    assert c.shape == shape and c.sum() == expected and c[0, 5] == 16 and c[-1, -1] == 3 * ((1 << 27) - 1) + 1
    assert all((c[row] == np.arange(row << 14, (row + 1) << 14) * 3.0 + 1).all() for row in range(shape[0]))
    data = 2 << 30
    print(f"{'ok    ' if peak <= 1.05 * data else 'FAILED'} 1 GiB to 1 GiB by 2 NumPy programs, one killed (pid {killed}): all right, together at most {peak / data:.4f} of the data in memory (PSS)")
    return peak <= 1.05 * data


python_against_numpy()
python_random_numbers()
python_errors()
python_steps()
python_slices_that_are_collected()
c_against_numpy()
examples()
sys.exit(not a_gigabyte_without_a_copy_though_one_is_killed())
