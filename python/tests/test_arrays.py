"""Arrays on shared memory are NumPy's, and travel as they are."""

import os
import pickle

import numpy as np
import pytest

import parfork as pf

DTYPES = ["?", "i1", "u2", "f4", "f8", "c16", "M8[ns]", "m8[s]", "S7", "U5", "V3", [("a", "i4"), ("b", "f8", (2,))], ">i4"]


def some(shape, dtype):
    """An array with bytes that are not all the same."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    data = np.arange(size, dtype=np.int64).astype(np.uint8) % (2 if dtype == bool else 100)
    return data.tobytes(), np.frombuffer(data.tobytes(), dtype).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", "CF")
def test_every_dtype_and_order(dtype, order):
    data, expected = some((3, 4), dtype)
    shared = pf.empty((3, 4), dtype, order)
    shared[...] = expected
    assert type(shared) is np.ndarray and pf.is_shared(shared) and shared.flags.writeable
    assert shared.flags.f_contiguous == (order == "F")
    np.testing.assert_array_equal(shared, expected)
    again = pickle.loads(pickle.dumps(shared))
    np.testing.assert_array_equal(again, expected)
    assert not pf.is_shared(again)


def test_makers():
    assert not pf.zeros((2, 3)).any() and pf.zeros(3).dtype == np.float64
    assert (pf.ones((2, 3), "i4") == 1).all() and pf.ones(2, "i4").dtype == np.int32
    assert (pf.full((2,), 7) == 7).all() and pf.full(2, 7.5).dtype == np.float64
    base = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for like in (pf.empty_like, pf.zeros_like, pf.ones_like):
        assert like(base).shape == (2, 3) and like(base).flags.f_contiguous and like(base, "i2").dtype == np.int16
    assert pf.full_like(base, 3, shape=(4,)).tolist() == [3.0] * 4
    np.testing.assert_array_equal(pf.array(base), base)
    assert pf.array([1, 2]).tolist() == [1, 2] and pf.array(5).shape == ()
    assert pf.empty((0, 3)).shape == (0, 3) and pf.zeros(()).shape == ()
    for shape in (np.int32(3), [3], np.array([3]), (np.int64(3),), np.array(3)):
        assert pf.empty(shape).shape == np.empty(shape).shape == (3,)
    for shape in (3.5, (3.5,), "3", None, [[3]]):
        with pytest.raises(TypeError):
            pf.empty(shape)


def test_load(tmp_path):
    expected = np.arange(12, dtype="f4").reshape(3, 4)
    np.save(tmp_path / "x.npy", expected)
    np.testing.assert_array_equal(pf.load(tmp_path / "x.npy"), expected)
    np.savez(tmp_path / "x.npz", a=expected)
    with pytest.raises(ValueError, match="archive"):
        pf.load(tmp_path / "x.npz")


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(TypeError, match="pointers to Python objects"):
        pf.empty(3, object)
    with pytest.raises(TypeError, match="pointers to Python objects"):
        pf.array(["a", None])
    with pytest.raises(TypeError, match="no length"):
        pf.empty(3, "U")
    with pytest.raises(ValueError, match="negative"):
        pf.empty((3, -1))
    with pytest.raises(ValueError, match="order"):
        pf.empty(3, order="K")
    with pytest.raises(MemoryError, match=r"shape \(2, 562949953421312\) of uint8 needs 1125899906842624 bytes, but .* leaves \d+"):
        pf.empty((2, 1 << 49), "u1")
    with pytest.raises(MemoryError, match="which no machine has"):
        pf.empty((1 << 40, 1 << 40))


def views(array):
    """Views of every kind of a three-dimensional array."""
    return [
        array, array[1:], array[::-1], array[:, ::2], array.T, array[1, 2], array[..., 0], array[2, 1, 0:0], array[-1:, None],
        array.reshape(-1)[3::5], array.view("u1"), np.broadcast_to(array[0, 0], (3, 5)), array[1, 1, 1, ...],
    ]  # fmt: skip


def test_views_travel_as_they_are(crew):
    shared = pf.array(np.arange(60, dtype="i4").reshape(3, 4, 5))
    for view in views(shared):
        assert pf.is_shared(view) == bool(view.size)
        found = crew.map(lambda x: (x.shape, x.dtype, x.flags.writeable, x.tobytes(), x.strides), [view])[0]
        assert found[0] == view.shape and found[1] == view.dtype and found[3] == view.tobytes()
        assert not view.size or (not found[2] and found[4] == view.strides)
    assert pf.report().copied == []


def test_references_show_what_is_there_when_the_job_runs(crew):
    shared = pf.zeros(10)
    for step in range(5):
        shared[:] = step
        assert crew.map(lambda n: shared[n], range(10)) == [step] * 10


def test_large_arrays_are_copied_once_and_told(crew):
    plain = np.arange(100_000.0)
    assert crew.map(lambda n: plain[n], [3, 99_999]) == [3.0, 99_999.0]
    assert pf.report().copied == [("ndarray float64 (100000,)", 800_000)]
    assert crew.map(lambda x: x[0, 1], [plain.reshape(500, 200).T, plain.reshape(500, 200)[:, ::2]]) == [200.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        crew.map(lambda x: x.fill(0), [plain])


def test_memory_goes_with_the_last_view(nothing_left):
    a = pf.zeros((1000, 1000))
    view = a[3:]
    del a
    assert pf.is_shared(view)
    del view


def test_forks_of_ones_own_can_read():
    shared = pf.array(np.arange(10))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, bytes([shared.sum()]))
        os._exit(0)
    os.close(write)
    assert os.read(read, 9) == bytes([45])
    os.close(read)
    assert os.waitpid(child, 0)[1] == 0
