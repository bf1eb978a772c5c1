"""Threads: how many there may be, and work spread over them.

Large batches and large sets to predict are cut into parts that threads work on side by side, each with a BLAS of one
thread. That spreads the element-wise work as well, where BLAS's own threads spread nothing but products. And a thread
that waits here sleeps, where those of BLAS spin: with another process on each core, training with them took two and a
half to seven times as long as on an idle machine; with these it takes about twice as long, which is its share.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from typing import Any, Self, TypeVar

from threadpoolctl import ThreadpoolController

from .typing import Maybe

T = TypeVar("T")


@cache
def blas_controller() -> ThreadpoolController:
    """Return what controls the BLAS libraries of this process; looking for them takes a millisecond."""
    return ThreadpoolController().select(user_api="blas")


def take_control() -> None:
    """Let this thread set BLAS's number of threads.

    threadpoolctl 3.8 heeds but the first thread to set that of an OpenBLAS with threads of its own, until it gives
    control up; calls of other threads do nothing.
    """
    for library in blas_controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def bind_this_thread() -> None:
    """Keep BLAS to one thread where each thread has a number of its own, as with OpenMP; others heed `BlasBound`."""
    for library in blas_controller().lib_controllers:
        if getattr(library, "threading_layer", None) == "openmp":
            library.set_num_threads(1)


class BlasBound:
    """Keep BLAS, which has one number of threads for the whole process, to one thread while anyone asks for it.

    Several threads of a program may train at once: the first to come sets the bound, and the last to go lifts it.
    """

    _n_before: Maybe[int]
    _limiter: Any

    def __init__(self) -> None:
        self._lock, self._n_users, self._limiter, self._n_before = threading.Lock(), 0, None, None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_anew)

    def _start_anew(self) -> None:
        """Lift the bound in a process that was forked while it held: its holders' threads are not there."""
        held, self._lock, self._n_users = self._n_users, threading.Lock(), 0
        if held:
            self._lift()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the bound during a with block."""
        with self._lock:
            if not self._n_users:
                self._n_before = self._number()
                take_control()
                self._limiter = blas_controller().limit(limits=1)
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if not self._n_users:
                    self._lift()

    def allowed(self) -> int:
        """Return the number of threads that BLAS had before it was bound."""
        with self._lock:
            return self._n_before if self._n_users else self._number()

    def _lift(self) -> None:
        take_control()
        self._limiter.restore_original_limits()
        take_control()  # and leave it to whoever comes next

    def _number(self) -> int:
        return max((library.num_threads for library in blas_controller().lib_controllers), default=1)


BLAS_BOUND = BlasBound()  # one for the process, as what it bounds


def allowed_threads() -> int:
    """Return how many threads may be used: as many as BLAS may.

    That number heeds the environment (``OMP_NUM_THREADS`` and the like), the share that joblib leaves each of its
    workers, and ``threadpoolctl.threadpool_limits``, unless that is called while another thread holds the bound. It is
    1 where BLAS is of a kind that threadpoolctl does not know.
    """
    return BLAS_BOUND.allowed()


class Crew:
    """Threads that work on parts side by side, this one among them; a context manager.

    Parameters
    ----------
    n_threads : int
        1 makes `map` a plain loop.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads - 1, initializer=bind_this_thread) if n_threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def dismiss(self) -> None:
        """Let the threads finish what they work on, and end them."""
        if self._pool is not None:
            self._pool.shutdown()

    def map(self, function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
        """Call a function with each part's arguments, as the builtin `map`; return the list of what it returns.

        Parameters
        ----------
        function : callable
        *arguments : iterables
            The shortest says how many parts there are.

        Returns
        -------
        list

        Raises
        ------
        Exception
            What the function raised, when no part is being worked on any more.
        """
        if self._pool is None:
            return [function(*of_part) for of_part in zip(*arguments)]
        tasks, helpers = deque(enumerate(zip(*arguments))), []
        results: list[Any] = [None] * len(tasks)

        def work() -> None:
            while tasks:
                try:
                    index, of_part = tasks.popleft()
                except IndexError:  # another thread was faster
                    return
                try:
                    results[index] = function(*of_part)
                except BaseException:
                    tasks.clear()  # the others need not go on
                    raise

        try:
            for _ in range(min(self.n_threads, len(tasks)) - 1):
                helpers.append(self._pool.submit(copy_context().run, work))  # np.errstate is in the context
        except RuntimeError:
            pass  # no more threads are to be had, or Python is about to end: those that there are do it all
        try:
            work()
        finally:
            tasks.clear()
            wait(helpers)
        for helper in helpers:
            helper.result()
        return results
