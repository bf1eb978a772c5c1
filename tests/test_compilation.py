"""Compilation: what loops declare, when numba is imported, and what happens where numba does not work."""

import inspect
import os
import subprocess
import sys
import warnings
from functools import partial
from importlib.util import find_spec
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_iris

from sklearn_deepnn import DeepNNClassifier, compilation
from sklearn_deepnn.training import loop as training_loop
from sklearn_deepnn.training.updates import adam_step
from sklearn_deepnn.typing import Array

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")


def test_every_loop_says_what_it_computes_and_what_its_arguments_are():
    for loop, kinds in compilation.ARGUMENTS.items():
        assert len(inspect.signature(loop).parameters) == len(kinds)
        assert "Sets: " in loop.__doc__
        for (name, parameter), kind in zip(inspect.signature(loop).parameters.items(), kinds):
            assert (parameter.annotation is Array) == (kind in "rw")
            assert (f" {name}" in loop.__doc__.partition("Sets:")[2]) == (kind == "w")


# Where numba is missing or does not work.


def fitted():
    return DeepNNClassifier(max_iter=3, early_stopping=False, random_state=0).fit(*load_iris(return_X_y=True))


def assert_numpy_does_the_work(wanted, message=None):
    """Fit twice, and expect one warning or none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            np.testing.assert_array_equal(fitted().parameters_["W1"], wanted)
    found = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
    assert len(found) == (message is not None)
    assert message is None or message in found[0]
    assert compilation.compiled(adam_step, np.dtype(float), 1) is None


@pytest.fixture
def wanted(fresh_compiler):
    """Return weights that were trained with numba, where it is installed. Forget the compiler."""
    weights = fitted().parameters_["W1"]
    for function in (compilation.find_compiler, compilation.compiled, compilation.warn_of):
        function.cache_clear()
    return weights


def test_fit_is_the_same_and_silent_without_numba(wanted, monkeypatch):
    monkeypatch.setattr(compilation, "find_spec", lambda name: None)
    assert_numpy_does_the_work(wanted)


@needs_numba
def test_fit_is_the_same_and_silent_where_numba_is_switched_off(wanted, monkeypatch):
    import numba

    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert_numpy_does_the_work(wanted)


def test_a_variable_of_numba_saves_its_import(fresh_compiler, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setattr(compilation, "import_numba", None)
    assert compilation.find_compiler() is None


def test_a_numba_that_cannot_be_imported_is_warned_of_once(wanted, monkeypatch):
    monkeypatch.setattr(compilation, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert_numpy_does_the_work(wanted, "numba is installed but does not work here (ModuleNotFoundError")


@needs_numba
def test_a_numba_without_a_folder_for_its_cache_is_warned_of_once(wanted, monkeypatch):
    import numba

    def no_folder(*arguments, **options):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba, "njit", no_folder)
    assert_numpy_does_the_work(wanted, "numba is installed but does not work here (RuntimeError: cannot cache function")


@needs_numba
def test_a_second_process_compiles_nothing():
    fitted()
    program = f"""
import numba
from sklearn.datasets import load_iris
from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.compilation import compiled, count_compiled
{inspect.getsource(fitted)}
fitted()
print(count_compiled(), compiled.cache_info().misses > 2)
"""
    assert output_of(program) == ["0", "True"]


def output_of(program):
    """Return the words that a program prints in a new process."""
    command = [sys.executable, "-W", "ignore", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


# When numba is imported.


@needs_numba
def test_only_trainings_that_take_long_import_numba():
    program = """
import sys
from sklearn.datasets import load_iris
from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.compilation import IMPORT_AFTER, WAIT

class Slow(Callback):
    def on_epoch_end(self, run):
        WAIT.seconds = run.state.epoch * IMPORT_AFTER / 2

class Look(Callback):
    def on_epoch_end(self, run):
        print("numba" in sys.modules)

model = DeepNNClassifier(max_iter=3, early_stopping=False, random_state=0)
X, y = load_iris(return_X_y=True)
W = model.fit(X, y).parameters_["W1"]
print(0 < WAIT.seconds < IMPORT_AFTER, "numba" in sys.modules)
print((model.set_callbacks(Look(), Slow()).fit(X, y).parameters_["W1"] == W).all())
"""
    assert output_of(program) == ["True", "False", "False", "False", "True", "True"]


def test_trainings_with_loops_do_not_wait(monkeypatch):
    monkeypatch.setattr(training_loop, "time", SimpleNamespace(monotonic=partial(next, count())))
    for is_over in (False, True):
        monkeypatch.setattr(compilation.WAIT, "is_over", lambda is_over=is_over: is_over)
        before = compilation.WAIT.seconds
        fitted()
        assert (compilation.WAIT.seconds > before) != is_over


@needs_numba
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("n_modules", [1, 40, 100])
def test_ctrl_c_during_the_import_leaves_numba_whole(n_modules):
    program = f"""
import os, signal, sys, threading, time
from sklearn_deepnn.compilation import find_compiler

def interrupt():
    while sum(name.startswith(("numba", "llvmlite")) for name in list(sys.modules)) < {n_modules}:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
try:
    find_compiler()
except KeyboardInterrupt:
    print("interrupted")
import numba
print(numba.njit(lambda x: x + 1)(2), find_compiler() is not None)
"""
    assert output_of(program) == ["interrupted", "3", "True"]
