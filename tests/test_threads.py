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
from sklearn_deepnn.threads import BLAS_BOUND, BlasBound, Crew, allowed_threads

SECONDS = 20  # until what waits for something that never comes fails


def meet(barrier):
    """Wait for the other threads: fails unless as many parts are worked on side by side."""
    barrier.wait(SECONDS)


# Crews.


@pytest.mark.parametrize("n_parts", [0, 1, 3, 4, 5, 100])
@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_a_crew_maps_as_the_builtin_does(n_threads, n_parts):
    with Crew(n_threads) as crew:
        for _ in range(2):
            assert crew.map(pow, range(n_parts), range(1, 1 + n_parts)) == [k ** (k + 1) for k in range(n_parts)]


def test_results_come_in_the_order_of_the_parts_and_not_of_their_ends():
    second_done = threading.Event()

    def work(part):
        if part == 0:
            assert second_done.wait(SECONDS)
        if part == 1:
            second_done.set()
        return part

    with Crew(2) as crew:
        assert crew.map(work, range(5)) == list(range(5))


@pytest.mark.parametrize("n_threads", [2, 4])
def test_parts_are_worked_on_side_by_side(n_threads):
    barrier = threading.Barrier(n_threads)

    def work(part):
        meet(barrier)
        return threading.get_ident()

    with Crew(n_threads) as crew:
        workers = crew.map(work, range(n_threads))
    assert len(set(workers)) == n_threads
    assert threading.get_ident() in workers


def test_one_thread_works_where_it_was_asked():
    with Crew(1) as crew:
        assert crew.map(lambda part: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


def test_a_crew_of_one_raises_at_the_part_that_fails():
    begun = []

    def work(part):
        begun.append(part)
        return 1 // (2 - part)

    with Crew(1) as crew, pytest.raises(ZeroDivisionError):
        crew.map(work, range(5))
    assert begun == [0, 1, 2]


@pytest.mark.parametrize("failing", ["the caller", "a helper"])
def test_what_a_part_raised_is_raised_when_no_part_is_being_worked_on(failing):
    barrier, never, caller, ended = threading.Barrier(3), threading.Event(), threading.current_thread(), []

    def work(part):
        is_caller = threading.current_thread() is caller
        meet(barrier)
        if is_caller == (failing == "the caller"):
            raise LookupError(part)
        never.wait(0.05)  # the others have begun, and take longer
        ended.append(part)

    with Crew(3) as crew:
        with pytest.raises(LookupError):
            crew.map(work, range(3))
        assert len(ended) == (2 if failing == "the caller" else 1)
        assert crew.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]


def test_parts_not_begun_are_left_when_the_caller_fails():
    barrier, failed, caller, begun = threading.Barrier(2), threading.Event(), threading.current_thread(), []

    def work(part):
        begun.append(part)
        if part < 2:
            meet(barrier)
            if threading.current_thread() is caller:
                failed.set()
                raise LookupError
        assert failed.wait(SECONDS)
        threading.Event().wait(0.05)

    with Crew(2) as crew, pytest.raises(LookupError):
        crew.map(work, range(100))
    assert len(begun) < 10


def test_no_thread_stays_behind():
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError), Crew(3) as crew:
        crew.map(divmod, range(9), [1, 1, 1, 1, 0, 1, 1, 1, 1])
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("divide", ["raise", "ignore"])
def test_the_caller_s_errstate_holds_in_every_thread(divide):
    barrier = threading.Barrier(3)

    def work(part):
        meet(barrier)
        return np.geterr()["divide"]

    with Crew(3) as crew:
        crew.map(abs, range(9))  # the threads are there before the state is
        with np.errstate(divide=divide):
            assert crew.map(work, range(3)) == [divide] * 3
        assert crew.map(work, range(3)) == [np.geterr()["divide"]] * 3


# The bound on BLAS.


def test_blas_has_one_thread_while_the_bound_is_held(blas_threads):
    bound = BlasBound()
    for _ in range(2):
        with bound.hold():
            assert blas_threads() == {1}
            with bound.hold():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {3}


def test_the_bound_is_lifted_after_an_exception(blas_threads):
    with pytest.raises(LookupError), BLAS_BOUND.hold():
        raise LookupError
    assert blas_threads() == {3}
    assert allowed_threads() == 3


@pytest.mark.parametrize("leaving", [(0, 1), (1, 0)], ids=["the first goes first", "the first goes last"])
def test_the_last_thread_to_go_lifts_the_bound(blas_threads, leaving):
    bound = BlasBound()
    holds = [bound.hold(), bound.hold()]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        threads = [one, other]
        for thread, hold in zip(threads, holds):
            thread.submit(hold.__enter__).result(SECONDS)
            assert blas_threads() == {1}
        for number, wanted in zip(leaving, [1, 3]):
            threads[number].submit(holds[number].__exit__, None, None, None).result(SECONDS)
            assert blas_threads() == {wanted}
            assert bound.allowed() == 3


def test_many_threads_may_hold_the_bound(blas_threads):
    bound = BlasBound()

    def hold_it(_):
        with bound.hold():
            return blas_threads(), bound.allowed()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(hold_it, range(20))) == [({1}, 3)] * 20
    assert blas_threads() == {3}


def test_as_many_threads_are_allowed_within_the_bound_as_without(blas_threads):
    assert allowed_threads() == 3
    with BLAS_BOUND.hold():
        assert allowed_threads() == 3
        with ThreadPoolExecutor(1) as other:
            assert other.submit(allowed_threads).result(SECONDS) == 3
    assert allowed_threads() == 3


@pytest.mark.parametrize("user_api", ["blas", None])
def test_limits_of_threadpoolctl_are_heeded_and_restored(blas_threads, user_api):
    with threadpool_limits(1, user_api=user_api):
        assert allowed_threads() == 1
        with BLAS_BOUND.hold():
            assert allowed_threads() == 1
        assert blas_threads() == {1}
    with threadpool_limits(2, user_api=user_api):
        with BLAS_BOUND.hold():
            assert allowed_threads() == 2
        assert blas_threads() == {2}
    assert blas_threads() == {3}


# Where threads are not to be had.


def test_a_crew_does_without_threads_that_cannot_be_started(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    with Crew(4) as crew:
        assert crew.map(abs, [-1, 2, -3]) == [1, 2, 3]


def test_a_helper_that_fails_ends_the_work_of_all():
    started, failed = [], threading.Event()

    def work(part):
        started.append(part)
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise ZeroDivisionError
        assert failed.wait(SECONDS)

    with Crew(2) as crew, pytest.raises(ZeroDivisionError):
        crew.map(work, range(1000))
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


def test_a_thread_that_outlives_the_main_one_predicts_many_chunks():
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
def test_a_forked_process_is_not_bound_by_its_parent():
    program = """
import os, sys
from sklearn_deepnn.threads import BLAS_BOUND, allowed_threads
before = allowed_threads()
with BLAS_BOUND.hold():
    child = os.fork()
    if not child:
        os._exit(0 if (BLAS_BOUND._number(), allowed_threads()) == (before, before) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert output_of(program).strip() == "0"
