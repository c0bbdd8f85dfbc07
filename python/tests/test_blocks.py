"""`map_blocks`: against NumPy on the whole array."""

import numpy as np
import pytest

import parfork as pf

EDGES = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap"}


@pytest.fixture
def a():
    return pf.array(np.random.default_rng(3).random((103, 17)).astype("f4"))


def test_results_are_numpys(crew, a):
    for function in (np.sqrt, np.signbit, lambda x: x * 2, lambda x: x > 0.5, lambda x: x.astype("f8"), lambda x: x.sum(axis=1),
                     lambda x: np.concatenate([x, x], axis=1), lambda x: x[:, None], lambda x: x.astype("U9")):  # fmt: skip
        for _ in range(2):
            found = crew.map_blocks(function, a)
            np.testing.assert_array_equal(found, function(a), strict=True)
            assert pf.is_shared(found)
    np.testing.assert_array_equal(crew.map_blocks(np.add, a, a[:, :1]), a + a[:, :1])
    np.testing.assert_array_equal(crew.map_blocks(lambda x, k: x * k, a, np.float32(3)), a * np.float32(3))
    np.testing.assert_array_equal(crew.map_blocks(lambda x: x + 1, np.arange(10)), np.arange(1, 11))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("block", [1, 3, 1000])
def test_axes_orders_and_blocks(crew, a, axis, order, block):
    source = pf.empty(a.shape, a.dtype, order)
    source[:] = a
    out = pf.empty(a.shape, "f8", order)
    for view in (source, source[::-1], source[5:, 2:]):
        np.testing.assert_array_equal(crew.map_blocks(np.exp, view, axis=axis, block=block), np.exp(view))
    assert crew.map_blocks(lambda x: np.exp(x), source, axis=axis, block=block, out=out) is out
    np.testing.assert_array_equal(out, np.exp(source))


@pytest.mark.parametrize("edge", [*EDGES, 7, None])
@pytest.mark.parametrize("halo", [1, 4])
def test_halo(crew, a, edge, halo):
    def padded(x):
        if edge is None:
            return x
        pad = [(halo, halo), (0, 0)]
        return np.pad(x, pad, "constant", constant_values=7) if edge == 7 else np.pad(x, pad, EDGES[edge])

    def means(block):
        return sum(block[n : len(block) - 2 * halo + n] for n in range(2 * halo + 1))

    def whole(block):
        return np.concatenate([block[:halo], means(block), block[-halo:]])

    for rows in (a, a[:2], a[: halo + 1]):
        if edge is not None:
            expected = means(padded(rows))
            np.testing.assert_array_equal(crew.map_blocks(means, rows, halo=halo, edge=edge, block=2), expected)
            np.testing.assert_array_equal(crew.map_blocks(whole, rows, halo=halo, edge=edge, block=2), expected)
        else:
            np.testing.assert_array_equal(crew.map_blocks(lambda x: x + 1, rows, halo=halo, block=3), rows + 1)


def test_out_is_written_in_place(crew, a):
    def double(x, out):
        assert not x.flags.writeable
        np.multiply(x, 2, out=out)

    out = pf.zeros((110, 17), "f4")
    assert crew.map_blocks(double, a, out=out[3:106]) is not None
    np.testing.assert_array_equal(out[3:106], a * 2)
    assert not out[:3].any() and not out[106:].any()
    expected = np.sqrt(a)
    assert crew.map_blocks(np.sqrt, a, out=a) is a
    np.testing.assert_array_equal(a, expected)
    # NumPy sees that both lie on the same memory.
    crew.map_blocks(lambda x, out: np.copyto(out, x[::-1]), a, out=a, block=103)
    np.testing.assert_array_equal(a, expected[::-1])


def test_the_same_bits_for_any_number_of_workers(a):
    found = []
    for workers in (0, 1, 2, 3):
        with pf.Crew(workers, seed=5) as crew:
            found.append(crew.map_blocks(lambda x: x + pf.here.rng.random(x.shape), a).tobytes())
    assert len(set(found)) == 1


def test_bad_input_is_refused_with_the_remedy(crew, a):
    plain = np.empty_like(a)
    for arguments, settings, match in [
        ((np.sqrt, np.array([None])), {}, "pointers to Python objects"),
        ((np.sqrt,), {}, "no array with an axis 0"),
        ((np.sqrt, a), {"axis": 2}, "no array with an axis 2"),
        ((np.add, a, a[1:]), {}, "differ on axis 0"),
        ((np.sqrt, a), {"out": plain}, "empty_like"),
        ((np.sqrt, a), {"out": pf.empty((103, 34), "f4")[:, ::2]}, "has gaps"),
        ((np.sqrt, a), {"out": pf.empty((50, 17), "f4")}, "103 are to be written"),
        ((np.sqrt, a[1:]), {"out": a[:-1]}, "overlaps an input"),
        ((lambda x: x[1:-1], a), {"out": a, "halo": 1}, "overlaps an input"),
        ((lambda x: x[:1], a), {}, r"returned shape \(1, 17\) for a block with"),
        ((lambda x: 3, a), {}, "array_split"),
        ((lambda x: x.T, a), {"out": pf.empty((103, 17), "f4"), "block": 17}, "returned shape"),
        ((lambda x: x * 1j, a), {"out": pf.empty((103, 17), "f4")}, "same_kind"),
        ((np.sqrt, a), {"halo": -1}, "number of rows"),
        ((np.sqrt, a), {"halo": 1, "edge": "periodic"}, "'wrap'"),
        ((np.sqrt, a), {"block": 0}, "1 row or more"),
        ((lambda x: x.fill(0), a), {}, "read-only"),
    ]:  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=match) as caught:
            crew.map_blocks(*arguments, **settings)
        if "read-only" in match:
            assert "out=" in "".join(caught.value.__notes__)
    out = pf.empty_like(a)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        crew.map_blocks(np.sqrt, a, out=out)
    np.testing.assert_array_equal(crew.map_blocks(np.sqrt, a), np.sqrt(a))


def test_one_slice_alone(crew, a):
    np.testing.assert_array_equal(crew.map_blocks(np.sqrt, a, block=10, only_slice=2), np.sqrt(a[20:30]))
    np.testing.assert_array_equal(crew.map_blocks(lambda x: x > 0.5, a, block=10, only_slice=10), a[100:] > 0.5)
    out = pf.zeros(a.shape, a.dtype)
    assert crew.map_blocks(np.sqrt, a, block=10, only_slice=2, out=out) is out and not out[30:].any() and out[20:30].all()


def test_empty_arrays(crew):
    for shape in ((0, 3), (3, 0), (0,)):
        found = crew.map_blocks(np.sqrt, pf.zeros(shape))
        assert found.shape == shape


def test_many_arrays_keep_memory_flat(nothing_left, crew):
    for step in range(200):
        a = pf.full((100, 100), float(step))
        assert crew.map_blocks(np.sqrt, a)[0, 0] == np.sqrt(step)
    del a


@pytest.mark.parametrize("edge", [*EDGES, 7])
def test_filters_are_scipys(crew, a, edge):
    ndimage = pytest.importorskip("scipy.ndimage")
    mode = {"mode": "constant", "cval": edge} if edge == 7 else {"mode": edge}
    weights = np.random.default_rng(1).random((5, 3))
    functions = [
        lambda x: ndimage.median_filter(x, 5, **mode), lambda x: ndimage.grey_erosion(x, 3, **mode),
        lambda x: ndimage.correlate(x, weights, **mode),
    ]  # fmt: skip
    if edge != 7:
        # In two passes: a number would stand beyond the ends of what comes out of the first one too.
        functions += [lambda x: ndimage.sobel(x, 0, **mode), lambda x: ndimage.prewitt(x, 1, **mode)]
    for function in functions:
        for block in (1, 10, 200):
            np.testing.assert_array_equal(crew.map_blocks(function, a, halo=2, edge=edge, block=block), function(a))
