"""Threads: a thread pool, single-threaded BLAS, and the number of threads that may be used.

Large batches and large prediction inputs are cut into chunks. The threads of a pool process the chunks in parallel, and
each thread calls single-threaded BLAS. This has two advantages over the threads of BLAS:

* Elementwise work runs in parallel as well. The threads of BLAS speed up matrix products only.
* A waiting thread of the pool sleeps, whereas a waiting thread of BLAS spins. With another process on each core,
  training took 2.5 to 7 times as long as on an idle machine with BLAS threads, but only twice as long with a pool.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from typing import Any, Self, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")


@cache
def blas_controller() -> ThreadpoolController:
    """Return the controller of the BLAS libraries of this process. Finding the libraries takes a millisecond."""
    return ThreadpoolController().select(user_api="blas")


def release_blas_control() -> None:
    """Let any thread set the number of BLAS threads."""
    for library in blas_controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def limit_blas_of_this_thread() -> None:
    """Limit BLAS to one thread in the calling thread, for libraries that keep one number per thread, as with OpenMP."""
    for library in blas_controller().lib_controllers:
        if getattr(library, "threading_layer", None) == "openmp":
            library.set_num_threads(1)


class SingleThreadedBlas:
    """Limit BLAS to one thread while at least one `hold` is active.

    BLAS has one number of threads for the whole process, and several threads of a program may train at the same time.
    The first `hold` therefore sets the limit, and the end of the last one restores the earlier number.
    """

    def __init__(self) -> None:
        self._lock, self._n_holds, self._n_before = threading.Lock(), 0, 1
        self._limiter: Any = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset_after_fork)

    def _reset_after_fork(self) -> None:
        """Restore the number of threads in a forked process: the threads whose holds are active do not exist there."""
        was_limited, self._lock, self._n_holds = self._n_holds > 0, threading.Lock(), 0
        if was_limited:
            self._restore()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep BLAS single-threaded during a with block."""
        lock = self._lock
        with lock:
            if not self._n_holds:
                self._n_before = self._n_threads()
                release_blas_control()
                self._limiter = blas_controller().limit(limits=1)
            self._n_holds += 1
        try:
            yield
        finally:
            if lock is self._lock:  # otherwise this is a forked process, where the hold has ended already
                with lock:
                    self._n_holds -= 1
                    if not self._n_holds:
                        self._restore()

    def n_threads_outside(self) -> int:
        """Return the number of threads that BLAS has while no `hold` is active."""
        with self._lock:
            return self._n_before if self._n_holds else self._n_threads()

    def _restore(self) -> None:
        release_blas_control()
        self._limiter.restore_original_limits()
        release_blas_control()  # for the next thread that sets the number

    def _n_threads(self) -> int:
        return max((library.num_threads for library in blas_controller().lib_controllers), default=1)


SINGLE_THREADED_BLAS = SingleThreadedBlas()  # one instance, because BLAS has one number of threads per process
allowed_threads = SINGLE_THREADED_BLAS.n_threads_outside  # a program may use as many threads as BLAS may use


class ThreadPool:
    """Map functions over items with several threads, one of which is the calling thread. Use it in a with block."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._executor = ThreadPoolExecutor(max(n_threads - 1, 1), initializer=limit_blas_of_this_thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()

    def map(self, function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
        """Call a function once per item, as the builtin `map` does, and return the list of results."""
        if self.n_threads == 1:
            return [function(*item) for item in zip(*arguments)]
        items, futures = deque(enumerate(zip(*arguments))), []
        results: list[Any] = [None] * len(items)

        def work() -> None:
            while items:
                try:
                    index, item = items.popleft()
                except IndexError:  # another thread took the last item
                    return
                try:
                    results[index] = function(*item)
                except BaseException:
                    items.clear()  # the other threads stop after their current items
                    raise

        try:
            for _ in range(min(self.n_threads, len(items)) - 1):
                futures.append(self._executor.submit(copy_context().run, work))  # np.errstate is in the context
        except RuntimeError:
            pass  # no thread can be started, or Python is shutting down: the existing threads do all the work
        try:
            work()
        finally:
            items.clear()
            for future in futures:
                future.exception()  # waits; concurrent.futures.wait would take 0.02 to 0.07 ms more
        for future in futures:
            future.result()
        return results
