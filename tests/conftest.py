"""Fixtures that measure threads and memory, for the tests of all modules."""

import os
import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_deepnn import compilation

# ray reads them when it is imported: listen to this machine alone, and tell nobody
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}

pytest.register_assert_rewrite("reference", "training_cases", "estimator_cases", "checkpoint_cases", "saving_cases")


@pytest.fixture(scope="session", autouse=True)
def compiled_loops():
    """Compile all loops before the first test, so that what tests print and measure does not depend on a cache."""
    for loop in compilation.ARGUMENTS:
        for dtype in (np.float32, np.float64):
            for n_axes in [1] if loop.__name__.endswith("_step") else [2, 3]:
                compilation.compiled(loop, np.dtype(dtype), n_axes)


@pytest.fixture
def fresh_compiler():
    """Forget the compiler before and after a test."""
    functions = compilation.find_compiler, compilation.compiled, compilation.warn_of
    for function in functions:
        function.cache_clear()
    yield
    for function in functions:
        function.cache_clear()


@pytest.fixture
def blas_threads():
    """Give BLAS 3 threads, however many cores there are; return what tells the numbers that its libraries have."""

    def numbers():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(3, user_api="blas"):
        if numbers() != {3}:
            pytest.skip("this BLAS does not take a number of threads")
        yield numbers


@pytest.fixture
def peak_bytes():
    """Return what calls a function and tells the most bytes that Python and NumPy held meanwhile, beyond the start."""

    def measure(function, *arguments):
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            function(*arguments)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()

    return measure
