import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import sklearn_deepnn
from sklearn_deepnn.threads import SINGLE_THREADED_BLAS, SingleThreadedBlas, ThreadPool, allowed_threads

SECONDS = 20  # a test fails when it waits for longer


def meet(barrier):
    """Wait for the other threads; fail unless as many items are processed in parallel."""
    barrier.wait(SECONDS)


# Thread pools.


@pytest.mark.parametrize("n_items", [0, 1, 3, 4, 5, 100])
@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_map_equals_the_builtin_map(n_threads, n_items):
    with ThreadPool(n_threads) as pool:
        for _ in range(2):
            assert pool.map(pow, range(n_items), range(1, 1 + n_items)) == [k ** (k + 1) for k in range(n_items)]


def test_results_have_the_order_of_the_items_whichever_ends_first():
    second_done = threading.Event()

    def work(item):
        if item == 0:
            assert second_done.wait(SECONDS)
        if item == 1:
            second_done.set()
        return item

    with ThreadPool(2) as pool:
        assert pool.map(work, range(5)) == list(range(5))


@pytest.mark.parametrize("n_threads", [2, 4])
def test_items_are_processed_in_parallel(n_threads):
    barrier = threading.Barrier(n_threads)

    def work(item):
        meet(barrier)
        return threading.get_ident()

    with ThreadPool(n_threads) as pool:
        workers = pool.map(work, range(n_threads))
    assert len(set(workers)) == n_threads
    assert threading.get_ident() in workers


def test_a_pool_of_one_thread_works_in_the_calling_thread():
    with ThreadPool(1) as pool:
        assert pool.map(lambda item: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


def test_a_pool_of_one_thread_stops_at_the_item_that_fails():
    started = []

    def work(item):
        started.append(item)
        return 1 // (2 - item)

    with ThreadPool(1) as pool, pytest.raises(ZeroDivisionError):
        pool.map(work, range(5))
    assert started == [0, 1, 2]


@pytest.mark.parametrize("failing", ["the calling thread", "another thread"])
def test_an_exception_is_raised_after_all_threads_have_finished_their_items(failing):
    barrier, never, caller, finished = threading.Barrier(3), threading.Event(), threading.current_thread(), []

    def work(item):
        is_caller = threading.current_thread() is caller
        meet(barrier)
        if is_caller == (failing == "the calling thread"):
            raise LookupError(item)
        never.wait(0.05)  # the other threads have started, and take longer
        finished.append(item)

    with ThreadPool(3) as pool:
        with pytest.raises(LookupError):
            pool.map(work, range(3))
        assert len(finished) == (2 if failing == "the calling thread" else 1)
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]


def test_items_not_started_are_skipped_when_the_calling_thread_fails():
    barrier, failed, caller, started = threading.Barrier(2), threading.Event(), threading.current_thread(), []

    def work(item):
        started.append(item)
        if item < 2:
            meet(barrier)
            if threading.current_thread() is caller:
                failed.set()
                raise LookupError
        assert failed.wait(SECONDS)
        threading.Event().wait(0.05)

    with ThreadPool(2) as pool, pytest.raises(LookupError):
        pool.map(work, range(100))
    assert len(started) < 10


def test_no_thread_is_left_after_the_with_block():
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError), ThreadPool(3) as pool:
        pool.map(divmod, range(9), [1, 1, 1, 1, 0, 1, 1, 1, 1])
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("divide", ["raise", "ignore"])
def test_the_errstate_of_the_calling_thread_applies_in_every_thread(divide):
    barrier = threading.Barrier(3)

    def work(item):
        meet(barrier)
        return np.geterr()["divide"]

    with ThreadPool(3) as pool:
        pool.map(abs, range(9))  # starts the threads before the errstate is set
        with np.errstate(divide=divide):
            assert pool.map(work, range(3)) == [divide] * 3
        assert pool.map(work, range(3)) == [np.geterr()["divide"]] * 3


# Single-threaded BLAS.


def test_blas_has_one_thread_during_a_hold(blas_threads):
    blas = SingleThreadedBlas()
    for _ in range(2):
        with blas.hold():
            assert blas_threads() == {1}
            with blas.hold():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {3}


def test_blas_has_its_threads_back_after_an_exception(blas_threads):
    with pytest.raises(LookupError), SINGLE_THREADED_BLAS.hold():
        raise LookupError
    assert blas_threads() == {3}
    assert allowed_threads() == 3


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the first ends first", "the first ends last"])
def test_the_hold_that_ends_last_restores_the_number(blas_threads, order):
    blas = SingleThreadedBlas()
    holds = [blas.hold(), blas.hold()]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        threads = [one, other]
        for thread, hold in zip(threads, holds):
            thread.submit(hold.__enter__).result(SECONDS)
            assert blas_threads() == {1}
        for number, expected in zip(order, [1, 3]):
            threads[number].submit(holds[number].__exit__, None, None, None).result(SECONDS)
            assert blas_threads() == {expected}
            assert blas.n_threads_outside() == 3


def test_many_threads_may_hold_at_the_same_time(blas_threads):
    blas = SingleThreadedBlas()

    def hold(_):
        with blas.hold():
            return blas_threads(), blas.n_threads_outside()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(hold, range(20))) == [({1}, 3)] * 20
    assert blas_threads() == {3}


def test_the_allowed_threads_are_the_same_during_a_hold(blas_threads):
    assert allowed_threads() == 3
    with SINGLE_THREADED_BLAS.hold():
        assert allowed_threads() == 3
        with ThreadPoolExecutor(1) as other:
            assert other.submit(allowed_threads).result(SECONDS) == 3
    assert allowed_threads() == 3


@pytest.mark.parametrize("user_api", ["blas", None])
def test_limits_of_threadpoolctl_are_followed_and_restored(blas_threads, user_api):
    with threadpool_limits(1, user_api=user_api):
        assert allowed_threads() == 1
        with SINGLE_THREADED_BLAS.hold():
            assert allowed_threads() == 1
        assert blas_threads() == {1}
    with threadpool_limits(2, user_api=user_api):
        with SINGLE_THREADED_BLAS.hold():
            assert allowed_threads() == 2
        assert blas_threads() == {2}
    assert blas_threads() == {3}


# Threads that cannot be started, and processes that end or fork.


def test_the_calling_thread_works_alone_if_no_thread_can_be_started(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    with ThreadPool(4) as pool:
        assert pool.map(abs, [-1, 2, -3]) == [1, 2, 3]


def test_a_failure_in_another_thread_stops_all_threads():
    started, failed = [], threading.Event()

    def work(item):
        started.append(item)
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise ZeroDivisionError
        assert failed.wait(SECONDS)

    with ThreadPool(2) as pool, pytest.raises(ZeroDivisionError):
        pool.map(work, range(1000))
    assert len(started) < 10


def output_of(program):
    environment = os.environ | {
        "OPENBLAS_NUM_THREADS": "2",
        "PYTHONPATH": str(Path(sklearn_deepnn.__file__).parents[1]),
    }
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=5 * SECONDS
    ).stdout


def test_a_thread_that_outlives_the_main_thread_predicts_many_chunks():
    program = """
import threading, time
import numpy as np
from sklearn_deepnn import DeepNNClassifier
X = np.random.default_rng(0).normal(size=(40_000, 3))
model = DeepNNClassifier((4,), max_iter=1, early_stopping=False).fit(X[:100], np.arange(100) % 2)

def late():
    threading.main_thread().join()
    time.sleep(0.2)
    print(len(model.predict_proba(X)))

threading.Thread(target=late).start()
"""
    assert output_of(program).strip() == "40000"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_has_the_threads_of_blas_back():
    program = """
import os, sys
from sklearn_deepnn.threads import SINGLE_THREADED_BLAS, allowed_threads
before = allowed_threads()
with SINGLE_THREADED_BLAS.hold():
    child = os.fork()
    if not child:
        os._exit(0 if (SINGLE_THREADED_BLAS._n_threads(), allowed_threads()) == (before, before) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert output_of(program).strip() == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_hold_that_a_forked_process_leaves_does_not_count_there():
    program = """
import os
from sklearn_deepnn.threads import SINGLE_THREADED_BLAS
with SINGLE_THREADED_BLAS.hold(), SINGLE_THREADED_BLAS.hold():
    child = os.fork()
with SINGLE_THREADED_BLAS.hold():
    n_threads = SINGLE_THREADED_BLAS._n_threads()
if not child:
    os._exit(0 if n_threads == 1 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), n_threads)
"""
    assert output_of(program).split() == ["0", "1"]
