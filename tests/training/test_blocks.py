"""Updates of the parameters block by block, and the flushing of subnormal numbers to 0."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from training_cases import FIRST_ORDER, PENALISED, fit, initial_state, restored

from sklearn_deepnn import compilation
from sklearn_deepnn.threads import ThreadPool
from sklearn_deepnn.training import steps
from sklearn_deepnn.training.examples import Batches
from sklearn_deepnn.training.loop import train
from sklearn_deepnn.training.optimizers import OPTIMIZERS, SGD, Adam, NAdam, RMSprop
from sklearn_deepnn.training.recipe import Recipe
from sklearn_deepnn.training.steps import GradientStep
from sklearn_deepnn.training.updates import find_rule

RULES = [
    *(OPTIMIZERS[name]() for name in FIRST_ORDER),
    SGD(momentum=0.9),
    SGD(momentum=0.9, nesterov=True),
]
FORGETFUL = [SGD(momentum=0.6), RMSprop(rho=0.6), Adam(beta_1=0.6, beta_2=0.6), NAdam(beta_1=0.6, beta_2=0.6)]


@pytest.fixture(autouse=True, params=["NumPy", "loops"])
def kind_of_update(request, monkeypatch):
    """Update in NumPy, or by compiled loops where numba is installed."""
    monkeypatch.setattr(compilation.WAIT, "is_over", lambda: request.param == "loops")


# Updates in blocks.


@pytest.mark.parametrize("n_chunks", [1, 4])
@pytest.mark.parametrize("options", [{}, PENALISED], ids=["plain", "penalised"])
@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_blocks_of_any_size_update_alike(examples, network, split_into, block_bytes, optimizer, options, n_chunks):
    recipe, states = Recipe(optimizer, 0.01, batch_size=10, **options), []
    split_into(n_chunks)
    for n_bytes in (2**20, 1, 56):
        block_bytes(n_bytes)
        states.append(fit(examples, network, recipe))
    for state in states[1:]:
        np.testing.assert_array_equal(state.parameters.vector, states[0].parameters.vector)
        np.testing.assert_equal(state.optimizer_state, states[0].optimizer_state)
        assert state.history == states[0].history
    if "t" in states[0].optimizer_state:
        assert [state.optimizer_state["t"] for state in states] == [state.step for state in states] == [15] * 3


@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_blocks_of_batch_normalised_parameters_update_alike(examples, network, block_bytes, optimizer):
    network, recipe = replace(network, batch_norm=True), Recipe(optimizer, 0.01, batch_size=10, **PENALISED)
    whole = fit(examples, network, recipe)
    block_bytes(56)
    np.testing.assert_array_equal(fit(examples, network, recipe).parameters.vector, whole.parameters.vector)


@pytest.mark.parametrize("n_chunks", [1, 4])
@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_training_continues_from_a_state_that_was_updated_in_blocks(
    examples, network, split_into, block_bytes, optimizer, n_chunks
):
    recipe = Recipe(optimizer, 0.01, batch_size=10, **PENALISED)
    split_into(n_chunks)
    whole = fit(examples, network, recipe, n_epochs=5)
    block_bytes(56)
    state = fit(examples, network, recipe, n_epochs=2, horizon=5)
    for resumed in (state, restored(pickle.loads(pickle.dumps(state.to_dict())), network)):
        train(resumed, examples, network, recipe, n_epochs=3)
        np.testing.assert_array_equal(resumed.parameters.vector, whole.parameters.vector)
        np.testing.assert_equal(resumed.optimizer_state, whole.optimizer_state)
        assert resumed.history == whole.history


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_blocks_of_any_size_average_alike(examples, network, split_into, block_bytes, n_chunks):
    recipe, averages = Recipe(Adam(), 0.01, batch_size=10, averaging_epochs=1.5, **PENALISED), []
    split_into(n_chunks)
    for n_bytes in (2**20, 1, 56):
        block_bytes(n_bytes)
        averages.append(fit(examples, network, recipe).average.vector)
    np.testing.assert_array_equal(averages[1], averages[0])
    np.testing.assert_array_equal(averages[2], averages[0])


@pytest.mark.parametrize(
    ("n_threads", "n_chunks", "n_blocks"), [(1, 1, 1), (1, 8, 1), (2, 1, 1), (2, 4, 2), (2, 8, 2), (16, 8, 4)]
)
def test_compiled_updates_have_at_most_a_block_for_each_thread(
    examples, network, monkeypatch, n_threads, n_chunks, n_blocks
):
    recipe, state = Recipe(Adam(), 0.01, batch_size=10), initial_state(network)
    step = GradientStep(state, Batches(examples, network, recipe, np.float64), network, recipe, ThreadPool(n_threads))
    monkeypatch.setattr(steps, "COMPILED_BLOCK_BYTES", 2 * state.parameters.trainable.nbytes)
    step.gradients, step.make_rule = step.gradients * n_chunks, find_rule(Adam())
    assert len(step._blocks()) == n_blocks


# Flushing to 0.


def train_on_without_a_feature(examples, network, recipe):
    """Return the state after 5 epochs with all features, and 396 epochs, up to step 401, in which feature 0 is 0.

    The last flush is at step 400.
    """
    state, without = initial_state(network, dtype=np.float32), examples.X.copy()
    without[0] = 0  # the weights of feature 0 have no gradient any more
    train(state, examples, network, recipe, n_epochs=5)
    train(state, examples._replace(X=without), network, recipe, n_epochs=396)
    return state


def is_subnormal(array):
    return (array != 0) & (np.abs(array) < np.finfo(np.float32).tiny)


@pytest.mark.parametrize("block_bytes", [16, 2**18], ids=["in blocks", "at once"])
@pytest.mark.parametrize("optimizer", FORGETFUL, ids=lambda optimizer: type(optimizer).__name__)
def test_moments_of_weights_without_gradient_become_0_and_not_subnormal(
    examples, network, monkeypatch, optimizer, block_bytes
):
    monkeypatch.setattr(steps, "BLOCK_BYTES", block_bytes)
    recipe = Recipe(optimizer, learning_rate=1e-3)
    flushed = train_on_without_a_feature(examples, network, recipe)
    monkeypatch.setattr(steps, "FLUSH_STEPS", 10**9)
    unflushed = train_on_without_a_feature(examples, network, recipe)
    for name in flushed.optimizer_state.keys() - {"t"}:
        of_feature = flushed.optimizer_state[name][:20].reshape(5, 4)[:, 0]  # laid out as the parameters, W1 first
        np.testing.assert_array_equal(of_feature, 0)
        assert is_subnormal(unflushed.optimizer_state[name][:20].reshape(5, 4)[:, 0]).all()
    np.testing.assert_array_equal(flushed.parameters.vector, unflushed.parameters.vector)


@pytest.mark.parametrize("averaging_epochs", [0.0, 1.0])
def test_weights_that_only_decay_become_0_and_not_subnormal(examples, network, monkeypatch, averaging_epochs):
    recipe = Recipe(SGD(), learning_rate=0.01, weight_decay=40.0, averaging_epochs=averaging_epochs)
    flushed = train_on_without_a_feature(examples, network, recipe)
    np.testing.assert_array_equal(flushed.current["W1"][:, 0], 0)
    monkeypatch.setattr(steps, "FLUSH_STEPS", 10**9)
    unflushed = train_on_without_a_feature(examples, network, recipe)
    assert is_subnormal(unflushed.current["W1"][:, 0]).any()
