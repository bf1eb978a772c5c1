"""Updates by compiled loops beside the updates by NumPy."""

from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from training_cases import FIRST_ORDER, Signs, fit, recipe_of

from sklearn_deepnn import compilation
from sklearn_deepnn.network.kernels import compiled_network
from sklearn_deepnn.training import loop, steps, updates
from sklearn_deepnn.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, NAdam, RMSprop
from sklearn_deepnn.training.recipe import Recipe
from sklearn_deepnn.training.updates import RULES, Vectors, find_rule, take_compiled_step, take_numpy_step

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
VARIANTS = [
    *(OPTIMIZERS[name]() for name in FIRST_ORDER),
    SGD(momentum=0.9),
    SGD(momentum=0.9, nesterov=True),
    RMSprop(rho=0.0),
    Adam(beta_1=0.0, beta_2=0.5, epsilon=1e-3),
    NAdam(beta_1=0.5),
]


@pytest.fixture(params=["plain", pytest.param("compiled", marks=needs_numba)])
def mode(request, monkeypatch):
    """Let loops run as plain Python, or compiled."""
    if request.param == "plain":
        monkeypatch.setattr(updates, "compiled", lambda loop, dtype, n_axes: loop)
    return request.param


def draw_vectors(optimizer, dtype, averages):
    """Return vectors whose last elements are subnormal or nearly so, and a state of the optimizer."""
    rng, tiny = np.random.default_rng(0), np.finfo(dtype).tiny
    trainable, average = rng.normal(size=(2, 37)).astype(dtype)
    trainable[-6:] = average[-6:] = [tiny / 3, -tiny / 3, tiny, -tiny, 0.0, -0.0]
    state = optimizer.init(trainable)
    for value in state.values():
        if isinstance(value, np.ndarray):
            value[-6:] = tiny * np.array([0.5, 0.25, 2.0, 1.0, 0.0, 0.5])
    return Vectors(trainable, trainable[:20], np.zeros(37, dtype), average if averages else None), state


def take_step_by_rule(recipe, vectors, state, learning_rate, averaging_rate, *, flushes):
    """Take a compiled step, with the arguments of `take_numpy_step`."""
    rule = find_rule(recipe.optimizer)(recipe.optimizer, state, learning_rate)
    take_compiled_step(rule, recipe, vectors, learning_rate, averaging_rate, flushes=flushes)


@pytest.mark.parametrize("flushes", [False, True])
@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", VARIANTS, ids=repr)
def test_a_compiled_step_computes_the_same_bits(optimizer, dtype, weight_decay, averages, flushes, mode):
    recipe, results = Recipe(optimizer, 0.01, weight_decay=weight_decay), []
    for take_step in (take_numpy_step, take_step_by_rule):
        vectors, state = draw_vectors(optimizer, dtype, averages)
        rng = np.random.default_rng(1)
        for k in range(4):
            vectors.gradient[:-6] = rng.normal(0, 10.0 ** (3 * k - 6), 31)
            take_step(recipe, vectors, state, 0.01, 0.2, flushes=flushes)
        results.append([vectors.trainable, vectors.average if averages else 0, state])
    np.testing.assert_equal(results[1], results[0])
    assert results[1][0].dtype == dtype


@pytest.mark.parametrize("optimizer", VARIANTS[:4], ids=repr)
def test_a_compiled_step_passes_nan_on(optimizer, mode):
    vectors, state = draw_vectors(optimizer, np.float32, averages=True)
    vectors.gradient[3] = np.nan
    take_step_by_rule(Recipe(optimizer, 0.01), vectors, state, 0.01, 0.2, flushes=True)
    for vector in (vectors.trainable, vectors.average):
        assert np.flatnonzero(np.isnan(vector)).tolist() == [3]


def test_these_optimizers_have_a_rule_and_others_need_none():
    assert {*RULES} == {SGD.update, RMSprop.update, Adam.update, NAdam.update}
    assert find_rule(LBFGS()) is None


def test_optimizers_of_your_own_run_in_numpy(examples, network):
    class Clipped(Adam):
        def move_averages(self, grads, state):
            return super().move_averages(np.clip(grads, -1e-3, 1e-3), state)

    for optimizer in (Signs(), Clipped()):
        assert find_rule(optimizer) is None
    clipped, plain = (fit(examples, network, Recipe(optimizer, 0.01)) for optimizer in (Clipped(), Adam()))
    assert not np.array_equal(clipped.parameters.vector, plain.parameters.vector)


@needs_numba
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_training_is_the_same_without_numba(examples, network, monkeypatch, fresh_compiler, name):
    recipe = recipe_of(name, batch_size=10, weight_decay=0.1, averaging_epochs=1.5)
    fast = fit(examples, network, recipe)
    compilation.find_compiler.cache_clear()
    compilation.compiled.cache_clear()
    monkeypatch.setattr(compilation, "find_spec", lambda name: None)
    slow = fit(examples, network, recipe)
    np.testing.assert_array_equal(fast.parameters.vector, slow.parameters.vector)
    assert fast.history == slow.history


def test_the_time_of_loading_includes_the_import(monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def count_compiled():  # the first call imports numba
        clock.now += 5.0 if clock.now == 0 else 0.0
        return 0

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(loop, "count_compiled", count_compiled)
    monkeypatch.setattr(loop, "is_loaded", lambda: clock.now > 0)
    step = SimpleNamespace(use_loops=lambda: None)
    assert [loop.seconds_of_loading(step), loop.seconds_of_loading(step)] == [5.0, 0.0]


@pytest.mark.parametrize(
    "architecture", [{}, {"ensemble_size": 3, "activation": "silu"}, {"batch_norm": True, "dropout_rate": 0.2}], ids=str
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loops_that_begin_in_the_middle_of_a_training_change_no_bit(
    examples, network, monkeypatch, block_bytes, name, architecture
):
    block_bytes(64)
    network, recipe, found = replace(network, **architecture), recipe_of(name, batch_size=10), []
    for begins_at in (0, 2, 9):
        began = []

        def begin(network, dtype, began=began):
            began.append(dtype)
            return compiled_network(network, dtype)

        monkeypatch.setattr(compilation.WAIT, "is_over", partial(next, iter([False] * begins_at + [True])))
        monkeypatch.setattr(steps, "compiled_network", begin)
        found.append(fit(examples, network, recipe, n_epochs=4))
        assert len(began) == (begins_at < 4)
    for state in found[:2]:
        np.testing.assert_array_equal(state.parameters.vector, found[2].parameters.vector)
        assert state.history == found[2].history
