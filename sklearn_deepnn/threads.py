"""Threads: how many there may be, and work spread over them.

Large batches and large sets to predict are cut into parts that threads work on side by side, each with a BLAS of one
thread. That spreads the element-wise work as well, where BLAS's own threads spread nothing but products. And a thread
that waits here sleeps, where those of BLAS spin: with another process on each core, training with them takes 3 to 70
times as long as on an idle machine; with these it takes twice as long, which is its share.
"""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def blas_controller():
    """Return what controls the BLAS libraries of this process; looking for them takes a millisecond."""
    return ThreadpoolController().select(user_api="blas")


class BlasBound:
    """Keep BLAS, which has one number of threads for the whole process, to one thread while anyone asks for it.

    Several threads of a program may train at once: the first to come sets the bound, and the last to go lifts it.
    """

    def __init__(self):
        self._lock, self._n_users, self._limiter, self._n_before = threading.Lock(), 0, None, None

    @contextmanager
    def hold(self):
        """Hold the bound during a with block."""
        with self._lock:
            if not self._n_users:
                self._n_before = self._number()
                self._limiter = blas_controller().limit(limits=1)
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if not self._n_users:
                    self._limiter.restore_original_limits()

    def allowed(self):
        """Return the number of threads that BLAS had before it was bound."""
        with self._lock:
            return self._n_before if self._n_users else self._number()

    def _number(self):
        return max((library.num_threads for library in blas_controller().lib_controllers), default=1)


BLAS_BOUND = BlasBound()  # one for the process, as what it bounds


def allowed_threads():
    """Return how many threads may be used: as many as BLAS may.

    That number heeds the environment (``OMP_NUM_THREADS`` and the like), ``threadpoolctl.threadpool_limits``, and the
    share that joblib leaves each of its workers. It is 1 where BLAS is of a kind that threadpoolctl does not know.
    """
    return BLAS_BOUND.allowed()


class Crew:
    """Threads that work on parts side by side, this one among them; a context manager.

    Parameters
    ----------
    n_threads : int
        1 makes `map` a plain loop.
    """

    def __init__(self, n_threads):
        self.n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads - 1) if n_threads > 1 else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._pool is not None:
            self._pool.shutdown()

    def map(self, function, *arguments):
        """Call a function with each part's arguments, as the builtin `map`; return the list of what it returns.

        Parameters
        ----------
        function : callable
        *arguments : iterables of one length

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
        tasks = deque(enumerate(zip(*arguments)))
        results = [None] * len(tasks)

        def work():
            while tasks:
                try:
                    index, of_part = tasks.popleft()
                except IndexError:  # another thread was faster
                    return
                results[index] = function(*of_part)

        n_helpers = min(self.n_threads, len(tasks)) - 1
        helpers = [self._pool.submit(copy_context().run, work) for _ in range(n_helpers)]  # np.errstate is in there
        try:
            work()
        finally:
            tasks.clear()
            wait(helpers)
        for helper in helpers:
            helper.result()
        return results
