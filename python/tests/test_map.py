"""`map`: any function, any items, results in order, exceptions as they are."""

import functools
import os
import threading
import traceback

import numpy as np
import pytest

import parfork as pf


def test_results_come_in_order_with_any_number_of_items(crew):
    for count in (0, 1, 2, 7, 100, 5000, 10_000):
        assert crew.map(lambda x: x * x, range(count)) == [x * x for x in range(count)]


def test_many_items(crew):
    assert sum(crew.map(lambda x: x % 3, range(200_000))) == sum(x % 3 for x in range(200_000))


def test_several_iterables(crew):
    assert crew.map(lambda x, y: x - y, [5, 6, 7], (1, 2, 3)) == [4, 4, 4]
    with pytest.raises(ValueError, match="shorter"):
        crew.map(max, [1, 2], [1])


class Doubler:
    factor = 2

    def __call__(self, x):
        return self.factor * x

    def method(self, x):
        return self.factor + x


def test_any_function(crew):
    factor = 3

    def closure(x):
        return factor * x

    def recursive(x):
        return 1 if x == 0 else x * recursive(x - 1)

    local = type("Local", (Doubler,), {"factor": 5})
    for function in (closure, Doubler(), Doubler().method, functools.partial(pow, 2), local(), abs, np.negative):
        assert crew.map(function, [1, 2, 3]) == [function(x) for x in [1, 2, 3]]
    assert crew.map(recursive, [5]) == [120]


def test_results_of_any_kind_and_size(crew):
    makers = [
        lambda: np.arange(1_000_000), lambda: {"a": np.ones((300, 300), order="F"), "b": [None, "text"]}, lambda: b"x" * 200_000,
        lambda: np.array(["a", None], object), lambda: np.float32(2), lambda: np.ma.masked_less(np.arange(9.0), 3),
    ]  # fmt: skip
    for maker in makers:
        found, expected = crew.map(lambda _, maker=maker: maker(), [0])[0], maker()
        assert type(found) is type(expected)
        np.testing.assert_equal(found, expected)
    array = crew.map(lambda n: np.full(100_000, n), [7])[0]
    array += 1
    assert array[-1] == 8


class Peculiar(Exception):
    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


def test_exceptions_have_their_type_cause_and_place(crew):
    def fails(x):
        if x == 3:
            return {}[f"no {x}"]
        return x

    for _ in range(3):
        with pytest.raises(KeyError, match="no 3") as caught:
            crew.map(fails, range(8))
        assert isinstance(caught.value.__cause__, pf.WorkerTraceback)
        assert "in fails" in str(caught.value.__cause__) and "test_map.py" in str(caught.value.__cause__)
        assert "slice 3, items 3 to 4" in caught.value.__notes__[-1]
        assert "in worker" in "".join(traceback.format_exception(caught.value))
        assert crew.map(fails, [1, 2]) == [1, 2]


def test_exceptions_that_cannot_be_sent_are_told(crew):
    def fails(_):
        raise Peculiar("this", threading.Lock())

    with pytest.raises(pf.ParforkError, match="Peculiar: this"):
        crew.map(fails, [0])
    for leave in (lambda _: exit(3), lambda _: (_ for _ in ()).throw(KeyboardInterrupt)):
        with pytest.raises(pf.ParforkError, match="SystemExit|KeyboardInterrupt"):
            crew.map(leave, [0])


def test_what_cannot_be_sent_is_named(crew):
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"`lock` \(lock\), which the function uses, cannot be sent"):
        crew.map(lambda x: lock, [1])
    with pytest.raises(TypeError, match="cannot be sent to workers"):
        crew.map(abs, [lock])
    with pytest.raises(TypeError, match="the result, a .*lock, cannot be sent back"):
        crew.map(lambda x: threading.Lock(), [1])
    with pytest.raises(TypeError, match="cannot be called"):
        crew.map(3, [1])
    assert crew.map(abs, [-1]) == [1]


def test_settings_are_checked(crew):
    for settings, match in [
        ({"retry": 1}, "no setting retry: a job has workers"), ({"workers": -1}, "1 worker or more"),
        ({"schedule": "random"}, "is not a schedule"), ({"timeout": -1}, "number of seconds"), ({"only_slice": 9}, "slice 9 does not exist"),
    ]:  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=match):
            crew.map(abs, [1], **settings)
    with pytest.raises(ValueError, match="0 workers or more"):
        pf.Crew(-1)
    assert crew.map(abs, range(-4, 0), only_slice=1) == [3]
    assert crew.map(lambda _: os.getpid(), range(20), workers=1, schedule="static")[0] != os.getpid()


def test_no_workers_is_here():
    lines = []
    assert pf.map(lambda x: lines.append(x) or os.getpid(), [1, 2], workers=0) == [os.getpid()] * 2
    assert lines == [1, 2]
    with pf.Crew(0) as crew:
        assert crew.map(lambda x: pf.here.slice, "abc") == [0, 1, 2]
    assert pf.here.rank is None


def test_nested_calls_run_in_the_worker(crew):
    def nested(x):
        import parfork

        pids = set(parfork.map(lambda _: os.getpid(), range(3)))
        return pids == {os.getpid()} and parfork.here.slice == x

    assert crew.map(nested, range(4)) == [True] * 4


def test_here_is_the_same_for_any_number_of_workers():
    found = []
    for workers in (0, 1, 2, 3):
        with pf.Crew(workers, seed=11) as crew:
            found.append(crew.map(lambda x: (pf.here.slice, list(pf.here.rows), pf.here.rng.random()), range(10)))
    assert found[0] == found[1] == found[2] == found[3]
    assert [slice for slice, *_ in found[0]] == list(range(10)) and len({number for *_, number in found[0]}) == 10
    expected = np.random.Generator(np.random.Philox(key=11, counter=[0, 0, 0, 4])).random()
    assert found[0][4][2] == expected


def test_workers_meet(crew):
    def meet(x):
        pf.here.barrier()
        return pf.here.rank, pf.here.workers

    assert crew.map(meet, range(2), schedule="static") == [(0, 2), (1, 2)]
    with pytest.raises(RuntimeError, match="barrier"):
        crew.map(meet, range(5))
    with pytest.raises(RuntimeError, match="for the function"):
        pf.here.barrier()


def test_initializer_is_called_once_in_each_worker():
    def initialize(value):
        import builtins

        builtins.parfork_test = getattr(builtins, "parfork_test", 0) + value

    def read(_):
        import builtins

        return builtins.parfork_test

    with pf.Crew(2, initializer=initialize, initargs=(5,)) as crew:
        for _ in range(3):
            assert set(crew.map(read, range(20))) == {5}


def test_workers_follow_folder_and_path(crew, tmp_path, monkeypatch):
    (tmp_path / "parfork_test_module.py").write_text("def f(x):\n    return x + 40\n")
    monkeypatch.chdir(tmp_path)
    assert crew.map(lambda _: os.getcwd(), [0]) == [str(tmp_path)]
    monkeypatch.syspath_prepend(str(tmp_path))
    import parfork_test_module

    assert crew.map(parfork_test_module.f, [2]) == [42]


def test_print_appears(capfd):
    with pf.Crew(2) as crew:
        crew.map(lambda x: print("said", x), range(3))
    assert sorted(capfd.readouterr().out.split("\n")) == ["", "said 0", "said 1", "said 2"]


def test_progress_and_report(crew):
    told = []
    crew.map(abs, range(50), progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (50, 50) and told == sorted(told)
    report = pf.report()
    assert report.slices == 50 and sorted(n for worker in report.workers for n in worker.slices) == list(range(50))
    assert "50 slices" in str(report) and "<table>" in report._repr_html_()

    def refuse(done, of):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crew.map(abs, range(50), progress=refuse)
    assert crew.map(abs, [-1]) == [1]


def test_threads_take_turns(crew):
    results = {}

    def use(n):
        results[n] = [crew.map(lambda x: x + n, range(10)) for _ in range(5)]

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [[x + n for x in range(10)]] * 5 for n in range(4)}


def test_a_closed_crew_says_so(nothing_left):
    crew = pf.Crew(2)
    assert crew.map(abs, [-1]) == [1]
    crew.close()
    crew.close()
    with pytest.raises(pf.ParforkError, match="was closed"):
        crew.map(abs, [1])
    assert "closed" in repr(crew)
