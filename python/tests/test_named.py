"""Named segments: arrays that other programs find by name."""

import gc
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import parfork as pf

ELEMENTS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A place of its own, in which nothing is left."""
    place = tmp_path / "segments"
    place.mkdir()
    monkeypatch.setenv("PARFORK_SHM", str(place))
    yield place
    gc.collect()
    assert [file.name for file in place.rglob("*") if file.is_file()] == []


def python(program, *arguments, **settings):
    """Another program, told what it is to do."""
    head = "import os, signal, sys, numpy as np, parfork as pf\n"
    return subprocess.Popen([sys.executable, "-c", head + program, *arguments], text=True, stdout=subprocess.PIPE, **settings)


def said(program, *arguments):
    process = python(program, *arguments)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out.strip()


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ELEMENTS)
def test_what_one_program_writes_another_reads(dtype, order):
    expected = np.arange(12, dtype=dtype).reshape(3, 4)
    with pf.create("photo", (3, 4), dtype, order=order) as segment:
        assert (segment.shape, segment.dtype, segment.order, segment.generation) == ((3, 4), np.dtype(dtype), order, 0)
        with segment.read() as array:
            assert not array.any() and not array.flags.writeable
        with segment.write() as array:
            array[...] = expected
        assert segment.generation == 1
        again = pf.attach("photo", readonly=True)
        assert (again.shape, again.dtype, again.order) == ((3, 4), np.dtype(dtype), order)
        with again.read() as array:
            np.testing.assert_array_equal(array, expected)
            assert array.flags.f_contiguous == (order == "F")


def test_another_process_changes_it():
    segment = pf.create("grid", 1000)
    code, out = said(
        "segment = pf.attach('grid')\nwith segment.write() as a: a[:] = np.arange(1000)\nprint(segment.generation, a.flags.writeable)"
    )
    assert (code, out, segment.generation) == (0, "1 False", 1)
    with segment.read() as array:
        assert array.sum() == 499500


def test_shapes_without_elements_or_axes():
    for name, shape in (("none", (0, 3)), ("point", ())):
        segment = pf.create(name, shape, "i4")
        with segment.write() as array:
            array[...] = 7
            assert array.shape == shape
        segment.close()


def test_it_goes_with_whoever_made_it_or_stays(folder):
    assert said("a = pf.create('short', 3); b = pf.create('long', 3, keep=True); c = [a]; c.append(c)")[0] == 0
    with pytest.raises(FileNotFoundError, match="short"):
        pf.attach("short")
    segment = pf.attach("long")
    segment.close()
    with pytest.raises(ValueError, match="closed"):
        with segment.read():
            pass
    pf.attach("long").remove()
    with pytest.raises(FileNotFoundError):
        pf.attach("long")


def test_views_outlive_the_segment():
    segment = pf.create("view", 4)
    with segment.write() as array:
        array[:] = 3
        part = array[1:]
    del segment, array
    gc.collect()
    with pytest.raises(FileNotFoundError):
        pf.attach("view")
    assert part.tolist() == [3, 3, 3]


def test_readers_share_and_a_writer_is_alone():
    segment = pf.create("lock", 3)
    one, two = pf.attach("lock", readonly=True), pf.attach("lock", readonly=True)
    with one.read(), two.read():
        with pytest.raises(TimeoutError, match="had it locked"):
            with segment.write(timeout=0.12):
                pass
    with segment.write():
        with pytest.raises(TimeoutError):
            with one.read(timeout=0):
                pass
        with pytest.raises(RuntimeError, match="this handle has it locked already"):
            with segment.read():
                pass
    with one.read(timeout=10):
        pass


def test_a_wait_ends_when_the_lock_is_given_back():
    segment, other = pf.create("turn", 1, "i8"), pf.attach("turn")
    begun = threading.Event()

    def add():
        begun.set()
        with other.write(timeout=60) as array:
            array += 1

    thread = threading.Thread(target=add)
    with segment.write() as array:
        thread.start()
        assert begun.wait(60)
        array[0] = 5
    thread.join(60)
    with segment.read() as array:
        assert array[0] == 6


def test_ctrl_c_ends_a_wait():
    segment = pf.create("wait", 3)
    with segment.write():
        process = python(
            "signal.signal(signal.SIGINT, signal.default_int_handler)\nsegment = pf.attach('wait')\n"
            "try:\n    print('ready', flush=True)\n    with segment.read(): pass\nexcept KeyboardInterrupt: print('stopped')"
        )
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0].strip() == "stopped" and process.returncode == 0


def test_an_exception_or_a_death_while_it_is_written_leaves_it_marked():
    segment = pf.create("torn", 4)
    with pytest.raises(ZeroDivisionError):
        with segment.write() as array:
            array[0] = 1 / 0
    for lock in (segment.read, segment.write):
        with pytest.raises(pf.ParforkError, match="unfinished=True"):
            with lock():
                pass
    with segment.write(unfinished=True) as array:
        array[:] = 1
    code, _ = said("with pf.attach('torn').write() as a:\n    a[0] = 2\n    os.kill(os.getpid(), signal.SIGKILL)")
    assert code == -signal.SIGKILL
    with pytest.raises(pf.ParforkError, match="died or gave up in the middle"):
        with segment.read(timeout=60):
            pass
    with segment.read(unfinished=True) as array:
        assert array.tolist() == [2, 1, 1, 1]


def test_what_is_wrong_is_said():
    segment = pf.create("taken", 3)
    with pytest.raises(FileExistsError, match="already") as caught:
        pf.create("taken", 3)
    assert "remove()" in caught.value.__notes__[0]
    for dtype in ("?", "f2", "c16", "U3", object, "M8[s]", ">i4", [("a", "i4")], np.longdouble):
        with pytest.raises(TypeError, match="segments do not have elements"):
            pf.create("other", 3, dtype)
    for name in ("", "../x", "a b", ".x", "x" * 129):
        with pytest.raises(ValueError, match="segment"):
            pf.create(name, 3)
    with pytest.raises(ValueError, match="negative"):
        pf.create("other", (2, -1))
    with pytest.raises(ValueError, match="32 axes"):
        pf.create("other", (1,) * 33)
    with pytest.raises(ValueError, match="order"):
        pf.create("other", 3, order="A")
    with pytest.raises(MemoryError):
        pf.create("other", 1 << 50)
    with pytest.raises(ValueError, match="seconds"):
        with segment.read(timeout=-1):
            pass
    reader = pf.attach("taken", readonly=True)
    with pytest.raises(PermissionError, match="without readonly=True"):
        with reader.write():
            pass
    with reader.read() as array, pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_job_reads_it(crew):
    segment = pf.create("input", (64, 1024))
    with segment.write() as array:
        array[...] = np.arange(64.0)[:, None]
        doubled = crew.map_blocks(lambda block: 2 * block, array)
    with segment.read() as array:
        np.testing.assert_array_equal(doubled, 2 * array)
        assert crew.map(lambda row: row.sum(), array) == [1024.0 * row for row in range(64)]
        with pytest.raises(ValueError, match="shared memory"):
            crew.map_blocks(np.sqrt, doubled, out=array)


def test_workers_attach_it_by_name(crew, folder):
    segment = pf.create("count", 1, "i8")

    def add(_):
        os.environ["PARFORK_SHM"] = str(folder)
        with pf.attach("count").write() as array:
            array += 1

    crew.map(add, range(50))
    with segment.read() as array:
        assert array[0] == 50 and segment.generation == 50


def test_a_fork_leaves_it_alone():
    segment = pf.create("forked", 3)
    process = multiprocessing.get_context("fork").Process(target=segment.close)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    with pf.attach("forked").read() as array:
        assert array.tolist() == [0, 0, 0]


@pytest.mark.skipif(shutil.which("parfork") is None, reason="the command is not there")
def test_the_command_has_the_same_segments(tmp_path):
    def run(*arguments):
        return subprocess.run(["parfork", *arguments], check=True, text=True, stdout=subprocess.PIPE, timeout=60).stdout

    with pf.create("ours", (3, 4), "f4", order="F") as segment:
        with segment.write() as array:
            array[...] = np.arange(12).reshape(3, 4)
        run("shm", "get", "ours", "-o", str(tmp_path / "ours.npy"))
        np.testing.assert_array_equal(np.load(tmp_path / "ours.npy"), np.arange(12).reshape(3, 4))
        np.save(tmp_path / "ones.npy", np.ones((3, 4), "f4"))
        run("shm", "put", "ours", str(tmp_path / "ones.npy"))
        with segment.read() as array:
            assert array.sum() == 12 and segment.generation == 2
    run("shm", "create", "theirs", "--shape", "2x3", "--dtype", "i16", "--keep")
    segment = pf.attach("theirs")
    with segment.write() as array:
        assert (array.shape, array.dtype) == ((2, 3), np.int16)
        array[...] = 5
    assert run("sum", "shm:theirs").strip() == "30"
    segment.remove()
