"""`Executor` and the backend of joblib."""

import asyncio
import os
import signal
import sys
import time

import numpy as np
import pytest

import parfork as pf


@pytest.fixture
def pool():
    with pf.Executor(2) as pool:
        yield pool


def test_tasks(pool):
    assert pool.submit(pow, 2, 5).result() == 32
    assert pool.submit(dict, a=1).result() == {"a": 1}
    assert list(pool.map(lambda x: x + 1, range(20))) == list(range(1, 21))
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result()
    shared = pf.ones((100, 100))
    assert pool.submit(lambda: shared.sum()).result() == 10_000


def test_a_death_is_one_tasks(pool):
    tasks = [pool.submit(lambda x: os._exit(4) if x == 3 else x, x) for x in range(8)]
    for x, task in enumerate(tasks):
        if x == 3:
            with pytest.raises(pf.WorkerDied):
                task.result()
        else:
            assert task.result() == x


def test_of_many_that_are_sent_together_each_has_its_own_end(pool, tmp_path):
    def task(x):
        if x % 50 == 17:
            raise KeyError(x)
        if x % 50 == 31:
            sys.exit(x)
        if x in (203, 777):
            os.kill(os.getpid(), signal.SIGKILL)
        return pf.here.slice, x, float(pf.here.rng.random())

    class Unsendable:
        def __reduce__(self):
            raise TypeError("no way")

    tasks = [pool.submit(task, x) for x in range(1000)]
    stuck = [pool.submit(task, Unsendable()), pool.submit(task, x=1)]
    first = None
    for x, future in enumerate(tasks):
        if x in (203, 777):
            with pytest.raises(pf.WorkerDied, match="SIGKILL"):
                future.result()
        elif x % 50 == 17:
            with pytest.raises(KeyError) as caught:
                future.result()
            assert caught.value.args == (x,) and isinstance(caught.value.__cause__, pf.WorkerTraceback)
        elif x % 50 == 31:
            with pytest.raises(pf.ParforkError, match=f"SystemExit: {x}"):
                future.result()
        else:
            first = first or future.result()
            assert future.result() == (0, x, first[2])
    with pytest.raises(TypeError, match="no way"):
        stuck[0].result()
    assert stuck[1].result() == (0, 1, first[2])


def test_tasks_share_nothing_that_is_theirs(pool):
    state = []

    def remember(x):
        state.append(x)
        return state

    for task in [pool.submit(remember, x) for x in range(300)]:
        assert len(task.result()) == 1
    argument = []
    found = [task.result() for task in [pool.submit(lambda seen: seen.append(0) or seen, argument) for _ in range(300)]]
    assert found == [[0]] * 300 and argument == []


def test_retries_and_times_are_each_tasks(tmp_path):
    def fragile(x):
        path = tmp_path / str(x)
        if x % 100 == 50 and not path.exists():
            path.touch()
            os._exit(1)
        return x

    with pf.Executor(2, retries=1, task_timeout=60) as pool:
        assert list(pool.map(fragile, range(400))) == list(range(400))


def test_two_at_a_time_and_no_more():
    with pf.Executor(2) as pool:
        pids = {pool.submit(lambda: (time.sleep(0.05), os.getpid())[1]) for _ in range(12)}
        assert len({task.result() for task in pids}) == 2
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(abs, 1)
    with pytest.raises(ValueError, match="1 worker or more"):
        pf.Executor(0)


def test_what_has_not_begun_is_cancelled(nothing_left):
    pool = pf.Executor(1)
    first = pool.submit(abs, -1)
    assert first.result() == 1
    tasks = [pool.submit(time.sleep, 0.01) for _ in range(50)]
    pool.shutdown(cancel_futures=True)
    assert tasks[-1].cancelled()


def test_asyncio(pool):
    async def main():
        return await asyncio.get_running_loop().run_in_executor(pool, abs, -3)

    assert asyncio.run(main()) == 3


def test_joblib():
    joblib = pytest.importorskip("joblib")
    import parfork.joblib  # noqa: F401

    large = np.arange(100_000.0)
    with joblib.parallel_config(backend="parfork", n_jobs=2):
        for _ in range(2):
            found = joblib.Parallel()(joblib.delayed(lambda n: large[n] + 1)(n) for n in range(100))
            assert found == [n + 1 for n in range(100)]
        with pytest.raises(ZeroDivisionError):
            joblib.Parallel()(joblib.delayed(lambda n: 1 / n)(n) for n in range(3))
        assert joblib.Parallel()(joblib.delayed(abs)(n) for n in [-1, -2]) == [1, 2]

        def nested(n):
            return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-k) for k in range(n)))

        assert joblib.Parallel()(joblib.delayed(nested)(n) for n in range(4)) == [0, 0, 1, 3]


def test_scikit_learn():
    pytest.importorskip("sklearn")
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.svm import SVC

    import parfork.joblib  # noqa: F401

    data, labels = load_iris(return_X_y=True)

    def results():
        search = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}, cv=3).fit(data, labels)
        scores = cross_val_score(SVC(), data, labels)
        forest = RandomForestClassifier(10, random_state=0).fit(data, labels)
        return search.best_params_, search.cv_results_["mean_test_score"].tolist(), scores.tolist(), forest.predict(data).tolist()

    expected = results()
    for backend in ("loky", "parfork"):
        with joblib.parallel_config(backend=backend, n_jobs=2):
            assert results() == expected
