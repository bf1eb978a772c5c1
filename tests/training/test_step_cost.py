"""What a step costs: function calls, memory, and no array of double precision."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest
from training_cases import FIRST_ORDER, PENALISED, initial_state, recipe_of

from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.losses import LOSSES
from sklearn_deepnn.threads import ThreadPool
from sklearn_deepnn.training.examples import Batches, Examples
from sklearn_deepnn.training.optimizers import OPTIMIZERS
from sklearn_deepnn.training.steps import GradientStep, LineSearchStep

# Tools that measure a step.


def prepare_step(network, batch_size, n_batches, optimizer="adam", sample_weight=None, **options):
    """Return a `GradientStep` in single precision, or `LineSearchStep`, and the positions of its batches."""
    rng, m = np.random.default_rng(0), batch_size * n_batches
    n_0, n_L = network.layer_dims[0], network.layer_dims[-1]
    X, Y = rng.normal(size=(m, n_0)).astype(np.float32).T, rng.integers(n_L, size=(1, m))
    if network.loss != "categorical_cross_entropy":
        Y = np.eye(n_L, dtype=np.intp)[:, Y[0]]
    recipe = recipe_of(optimizer, batch_size=batch_size, **options)
    state = initial_state(network, dtype=np.float32)
    state.adopt(recipe.optimizer, averages=recipe.averages)
    batches = Batches(Examples(X, Y, sample_weight), network, recipe, np.dtype(np.float32))
    make_step = LineSearchStep if recipe.optimizer.full_batch else GradientStep
    return make_step(state, batches, network, recipe, ThreadPool(1)), list(batches.epoch(rng))


def take(step, positions):
    """Take one step as `train` does, which holds the outputs until the update has ended."""
    outputs = step.backpropagate(positions)
    step.update(0.01)
    return outputs


@contextmanager
def profile(look):
    """Call a function with every event that `sys.setprofile` tells of during a with block."""
    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)


def arrays_in(value):
    """Yield the arrays in nested tuples, lists and dicts."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from arrays_in(entry)


def double_arrays_of(call, given):
    """Return where functions of the package hold or return arrays of double precision, except those that were given."""
    given, found = {id(array) for array in given}, set()

    def look(frame, event, returned):
        module = frame.f_globals.get("__name__", "")
        if event == "return" and module.startswith("sklearn_deepnn") and module != "sklearn_deepnn.training.optimizers":
            for name, value in {**frame.f_locals, "return": returned}.items():
                for array in arrays_in(value):
                    if array.ndim and array.dtype == np.float64 and id(array) not in given:
                        found.add(f"{module}.{frame.f_code.co_name}: {name}")

    with profile(look):
        call()
    return found


def assert_a_step_stays_single(network, optimizer):
    weight = np.linspace(0.5, 1.5, 24)
    step, batches = prepare_step(network, 12, 2, optimizer, weight, averaging_epochs=2.0, **PENALISED)
    for positions in batches:
        found = double_arrays_of(lambda positions=positions: take(step, positions), [weight])
        assert not found
    state = step.state
    passes = step.at_trial if isinstance(step, LineSearchStep) else step
    everything = [passes.caches, passes.gradients, dict(state.parameters), state.parameters.vector]
    if optimizer != "lbfgs":  # which computes in double precision itself
        everything += [state.optimizer_state, state.average.vector]
    assert {array.dtype for array in arrays_in(everything)} == {np.dtype(np.float32)}


# Precision.


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_array_of_double_precision_appears_in_a_single_precision_step(activation, loss, batch_norm):
    network = Network((4, 6, 5, 3), activation=activation, loss=loss, dropout_rate=0.3, batch_norm=batch_norm)
    assert_a_step_stays_single(network, "adam")


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_optimizer_brings_double_precision_into_a_step(name, batch_norm):
    assert_a_step_stays_single(Network((4, 6, 5, 3), dropout_rate=0.3, batch_norm=batch_norm), name)


# Calls and memory.


@pytest.mark.parametrize("name", FIRST_ORDER)
@pytest.mark.parametrize(
    ("architecture", "options", "most"),
    [  # Python 3.11 counted at most 143, 171 and 159
        ({}, {}, 150),
        ({"dropout_rate": 0.1}, {**PENALISED, "sample_weight": np.ones(96)}, 185),
        ({"batch_norm": True}, {}, 170),
    ],
    ids=["plain", "everything but", "batch_norm"],
)
def test_a_step_of_a_small_network_makes_few_calls(name, architecture, options, most):
    network = Network((8, 16, 16, 3), **architecture)
    step, (first, second, third) = prepare_step(network, 32, 3, name, **options)
    n_calls = 0

    def count(frame, event, argument):
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    take(step, first)
    take(step, second)
    with profile(count):
        take(step, third)
    assert 50 < n_calls <= most


@pytest.mark.parametrize(("activation", "n_kept"), [("relu", 1), ("tanh", 1), ("gelu", 3)])
def test_a_step_holds_little_more_than_its_caches(peak_bytes, activation, n_kept):
    step, batches = prepare_step(Network((64, 128, 128, 10), activation=activation), 512, 4)
    layer = 128 * 512 * 4  # bytes of a hidden layer's activations
    # two are the inputs of all four batches, gathered at once with their targets. On the way back through the last
    # hidden layer: dA, dZ, and what g' is made of
    caches, working = (2 * n_kept + 2.25) * layer, 5 * layer
    assert peak_bytes(take, step, batches[0]) < caches + working

    def take_steps():
        for positions in batches:
            take(step, positions)

    assert peak_bytes(take_steps) < caches + working
