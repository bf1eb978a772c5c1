import copy
import pickle
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import reference
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_deepnn import threads
from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.losses import LOSSES, compute_cost
from sklearn_deepnn.network.model import Network, initialize_parameters, model_forward, running_statistics
from sklearn_deepnn.network.parameters import Parameters
from sklearn_deepnn.network.scaling import Scaling
from sklearn_deepnn.threads import ThreadPool, allowed_threads
from sklearn_deepnn.training import loop as training
from sklearn_deepnn.training.loop import (
    Batches,
    CostMeter,
    Examples,
    GradientStep,
    Outputs,
    Recipe,
    TrainingState,
    cut,
    draw_batch,
    evaluate,
    judged,
    mean_cost,
    move_average,
    train,
    train_deep_network,
)
from sklearn_deepnn.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, NAdam, RMSprop
from sklearn_deepnn.training.schedules import SCHEDULES

FIRST_ORDER = [name for name, optimizer in OPTIMIZERS.items() if not optimizer.full_batch]
OUTPUT_OF = {name: loss.out_activation for name, loss in LOSSES.items()}
M = 23


@pytest.fixture
def network():
    return Network((4, 5, 4, 3), activation="tanh")


@pytest.fixture
def examples():
    return draw_examples()


def draw_examples(m=M, n_outputs=3, seed=0):
    """Return examples whose class depends on X, with class numbers for targets."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 4)).T
    return Examples(X, np.argmax(X[:n_outputs] + rng.normal(0, 0.5, (n_outputs, m)), axis=0)[np.newaxis])


def start(network, recipe, seed=0, dtype=None):
    """Return the state before the first epoch."""
    rng = np.random.default_rng(seed)
    parameters = initialize_parameters(
        network.layer_dims,
        activation=network.activation,
        batch_norm=network.batch_norm,
        ensemble_size=network.ensemble_size,
        rng=rng,
        dtype=dtype,
    )
    return TrainingState(parameters, rng)


def fit(examples, network, recipe, n_epochs=5, seed=0, dtype=None, **options):
    return train(start(network, recipe, seed, dtype), examples, network, recipe, n_epochs=n_epochs, **options)


def recipe_of(name, **options):
    return Recipe(OPTIMIZERS[name](), learning_rate=0.01, **options)


def validate_by(values):
    """Return a validation that gives these costs, one after the other, whatever the parameters."""
    values = iter(values)
    return lambda parameters: {"validation_cost": next(values)}


# The course's training.


@pytest.mark.parametrize(("output", "n_outputs"), [("sigmoid", 1), ("softmax", 3)])
@pytest.mark.parametrize("hidden_dims", [(), (5,), (5, 4, 3)])
def test_twenty_steps_on_the_whole_set_equal_the_reference(hidden_dims, output, n_outputs):
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(4, 8)), rng.integers(max(n_outputs, 2), size=8)
    Y = np.eye(n_outputs)[:, codes] if n_outputs > 1 else codes[np.newaxis]
    layer_dims = (4, *hidden_dims, n_outputs)
    parameters, costs = train_deep_network(X, Y, layer_dims, learning_rate=0.3, num_iterations=20, rng=7)
    before = initialize_parameters(layer_dims, rng=7)
    wanted, wanted_costs = reference.descend(X, Y, before, 0.3, 20, "relu", output)
    np.testing.assert_allclose(costs, wanted_costs, rtol=1e-10)
    assert costs[-1] < costs[0]
    for name, array in parameters.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("architecture", [{}, {"activation": "tanh"}, {"batch_norm": True}], ids=str)
def test_train_deep_network_learns_xor(architecture):
    X, Y = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]), np.array([[0, 1, 1, 0]])
    parameters, costs = train_deep_network(
        X, Y, [2, 8, 1], learning_rate=0.5, num_iterations=1000, rng=0, **architecture
    )
    AL, _ = model_forward(X, parameters, Network((2, 8, 1), **architecture))
    np.testing.assert_array_equal(AL > 0.5, Y)
    assert costs[-1] < 0.1 < costs[0]
    assert len(costs) == 1000


def test_train_deep_network_prints_every_hundredth_cost(capsys):
    X, Y = np.ones((2, 3)), np.array([[0, 1, 1]])
    _, costs = train_deep_network(X, Y, [2, 1], num_iterations=250, print_cost=True, rng=0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["100", "200", "250"]
    assert f"{costs[99]:.4g}" in lines[0]


def test_train_deep_network_rejects_a_bad_rate():
    with pytest.raises(ValueError, match=r"learning_rate must be a number in \(0, inf\), got 0"):
        train_deep_network(np.ones((2, 3)), np.array([[0, 1, 1]]), [2, 1], learning_rate=0)


@pytest.mark.parametrize("num_iterations", [0, -1, 2.5])
def test_train_deep_network_rejects_a_bad_number_of_iterations(num_iterations):
    with pytest.raises(ValueError, match=r"num_iterations must be an integer of at least 1, got "):
        train_deep_network(np.ones((2, 3)), np.array([[0, 1, 1]]), [2, 1], num_iterations=num_iterations)


def test_class_numbers_and_one_hot_targets_train_alike(examples, network):
    one_hot = examples._replace(Y=np.eye(3)[:, examples.Y[0]])
    found, wanted = (fit(given, network, recipe_of("adam")) for given in (one_hot, examples))
    np.testing.assert_array_equal(found.parameters.vector, wanted.parameters.vector)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sparse_input_trains_as_dense_input_does(examples, network, name, container):
    examples = examples._replace(X=examples.X * (examples.X > 0))
    recipe = recipe_of(name, batch_size=10)
    found = fit(examples._replace(X=container(examples.X)), network, recipe)
    np.testing.assert_allclose(found.parameters.vector, fit(examples, network, recipe).parameters.vector, atol=1e-9)


# Mini-batches.


@pytest.mark.parametrize("columns", [None, np.array([20, 3, 5, 8, 1, 13, 2])])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 10, M, 1000, None])
def test_batches_visit_every_example_once_per_epoch(network, batch_size, shuffle, columns):
    numbered = Examples(np.arange(M)[np.newaxis], np.zeros((1, M), int), np.arange(M), columns)
    recipe = recipe_of("sgd", batch_size=batch_size, shuffle=shuffle)
    batches, rng = Batches(numbered, network, recipe, np.float64), np.random.default_rng(0)
    wanted = np.arange(M) if columns is None else columns
    for _ in range(3):
        epoch = [batches.draw(positions) for positions in batches.epoch(rng)]
        assert len(epoch) == len(batches) == -(-len(wanted) // min(batch_size or M, len(wanted)))
        visited = np.concatenate([batch.A0[0] for batch in epoch])
        np.testing.assert_array_equal(np.sort(visited), np.sort(wanted))
        np.testing.assert_array_equal(np.concatenate([batch.sample_weight for batch in epoch]), visited)
        if not shuffle:
            np.testing.assert_array_equal(visited, wanted)


def test_shuffling_draws_a_new_order_for_each_epoch(network):
    numbered = Examples(np.arange(M)[np.newaxis], np.zeros((1, M), int))
    batches, rng = Batches(numbered, network, recipe_of("sgd", batch_size=5), np.float64), np.random.default_rng(0)
    orders = [[x for piece in batches.epoch(rng) for x in batches.draw(piece).A0[0]] for _ in range(3)]
    assert orders[0] != orders[1] != orders[2] != sorted(orders[2])


def test_targets_go_with_their_examples(network):
    X = np.arange(M)[np.newaxis] * 1.0
    batches = Batches(Examples(X, X.astype(int) % 3), network, recipe_of("sgd", batch_size=5), np.float64)
    for positions in batches.epoch(np.random.default_rng(0)):
        batch = batches.draw(positions)
        np.testing.assert_array_equal(batch.Y.argmax(axis=0), batch.A0[0] % 3)


def test_batch_normalisation_is_not_left_with_one_example_over(network):
    recipe, examples = recipe_of("sgd", batch_size=11), draw_examples(m=23)
    assert [p.stop - p.start for p in Batches(examples, network, recipe, np.float64).pieces] == [11, 11, 1]
    network = replace(network, batch_norm=True)
    assert [p.stop - p.start for p in Batches(examples, network, recipe, np.float64).pieces] == [11, 12]


@pytest.mark.parametrize("batch_size", [1, 1000])
def test_one_example_can_be_trained_on_with_batch_normalisation(network, batch_size):
    network = replace(network, batch_norm=True)
    state = fit(draw_examples(m=1), network, recipe_of("adam", batch_size=batch_size))
    assert state.finite


def test_optimizers_of_the_whole_set_ignore_the_batch_size(network, examples):
    assert len(Batches(examples, network, recipe_of("lbfgs", batch_size=2), np.float64)) == 1


def test_the_cost_of_an_epoch_weighs_batches_by_their_size(network, examples):
    recipe = Recipe(SGD(), learning_rate=1e-300, batch_size=10)
    state = fit(examples, network, recipe, n_epochs=1)
    assert state.history["cost"] == pytest.approx([mean_cost(examples, state.parameters, network)], rel=1e-12)


def test_the_input_is_neither_changed_nor_kept(network, examples):
    X_before = examples.X.copy()
    fit(examples, network, recipe_of("adam", batch_size=5))
    np.testing.assert_array_equal(examples.X, X_before)


# What a step does.


def first_gradient(examples, network, **options):
    """Return the start values and the gradient of the whole set there."""
    parameters = start(network, recipe_of("sgd")).parameters
    batch = draw_batch(examples, slice(None), network, np.float64, **options)
    return parameters, evaluate(batch, parameters, network, out=parameters.gradients())[1].vector


def test_a_step_of_gradient_descent_goes_down_the_gradient(network, examples):
    parameters, gradient = first_gradient(examples, network)
    state = fit(examples, network, Recipe(SGD(), 0.1), n_epochs=1)
    np.testing.assert_allclose(state.parameters.vector, parameters.vector - 0.1 * gradient, rtol=1e-13)


def test_label_smoothing_goes_into_the_gradient(network, examples):
    parameters, gradient = first_gradient(examples, network, label_smoothing=0.3)
    state = fit(examples, network, Recipe(SGD(), 0.1, label_smoothing=0.3), n_epochs=1)
    np.testing.assert_allclose(state.parameters.vector, parameters.vector - 0.1 * gradient, rtol=1e-13)
    assert np.abs(gradient - first_gradient(examples, network)[1]).max() > 0.01


def test_weight_decay_shrinks_weights_and_no_biases(network, examples):
    plain = fit(examples, network, Recipe(SGD(), 0.1), n_epochs=1).parameters
    decayed = fit(examples, network, Recipe(SGD(), 0.1, weight_decay=0.5), n_epochs=1).parameters
    before = start(network, recipe_of("sgd")).parameters
    np.testing.assert_allclose(decayed.weights, plain.weights - 0.05 * before.weights, rtol=1e-12)
    for name in ("b1", "b2", "b3"):
        np.testing.assert_array_equal(decayed[name], plain[name])


def test_weight_decay_is_decoupled_from_adaptive_rules(network, examples):
    plain = fit(examples, network, Recipe(Adam(), 0.1), n_epochs=1).parameters
    decayed = fit(examples, network, Recipe(Adam(), 0.1, weight_decay=0.5), n_epochs=1).parameters
    before = start(network, recipe_of("sgd")).parameters
    np.testing.assert_allclose(decayed.weights, plain.weights - 0.05 * before.weights, rtol=1e-12)


def test_clipping_shortens_the_step_and_keeps_its_direction(network, examples):
    parameters, gradient = first_gradient(examples, network)
    state = fit(examples, network, Recipe(SGD(), 1.0, max_grad_norm=1e-3), n_epochs=1)
    step = state.parameters.vector - parameters.vector
    np.testing.assert_allclose(step, -1e-3 * gradient / np.linalg.norm(gradient), rtol=1e-9, atol=1e-15)


def test_clipping_leaves_short_gradients_alone(network, examples):
    clipped = fit(examples, network, Recipe(SGD(), 0.1, max_grad_norm=1e6))
    np.testing.assert_array_equal(
        clipped.parameters.vector, fit(examples, network, Recipe(SGD(), 0.1)).parameters.vector
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedule_is_asked_for_the_rate_of_every_step(network, examples, name):
    state = fit(examples, network, Recipe(SGD(), 0.1, schedule=name, batch_size=10), n_epochs=4)
    wanted = [SCHEDULES[name](step, learning_rate=0.1, n_steps=12) for step in (2, 5, 8, 11)]
    assert state.history["learning_rate"] == pytest.approx(wanted)


def test_a_callable_is_a_schedule(network, examples):
    state = fit(examples, network, Recipe(SGD(), 0.1, schedule=lambda step: 0.5 / (1 + step)), n_epochs=3)
    assert state.history["learning_rate"] == [0.5, 0.25, 0.5 / 3]


def test_a_schedule_of_numpy_numbers_trains_as_one_of_plain_floats(network, examples):
    plain, numpy_s = (
        fit(examples, network, Recipe(Adam(), 0.1, schedule=lambda step, kind=kind: kind(0.1)), dtype=np.float32)
        for kind in (float, np.float64)
    )
    np.testing.assert_array_equal(numpy_s.parameters.vector, plain.parameters.vector)
    assert {type(rate) for rate in numpy_s.history["learning_rate"]} == {float}


@pytest.mark.parametrize("rate", [-1.0, float("nan"), "fast"])
def test_a_schedule_that_gives_no_rate_is_rejected(network, examples, rate):
    with pytest.raises(ValueError, match=r"learning_rate_schedule\(step\) must be a number in \[0, inf\), got "):
        fit(examples, network, Recipe(SGD(), 0.1, schedule=lambda step: rate))


@pytest.mark.parametrize("schedule", [*SCHEDULES, lambda step: np.float64(0.01)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_single_precision_stays_through_training(examples, name, schedule):
    network = Network((4, 5, 4, 3), dropout_rate=0.2, batch_norm=True)
    weighted = examples._replace(sample_weight=np.linspace(0.5, 1.5, M))
    recipe = recipe_of(
        name, schedule=schedule, batch_size=10, weight_decay=1e-3, label_smoothing=0.1, max_grad_norm=1.0
    )
    state = fit(weighted, network, recipe, n_epochs=2, dtype=np.float32)
    assert state.parameters.vector.dtype == np.float32
    if name in FIRST_ORDER:
        moments = [value for value in state.optimizer_state.values() if isinstance(value, np.ndarray)]
        assert {value.dtype for value in moments} <= {np.dtype(np.float32)}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_single_precision_trains_like_double(examples, network, name):
    recipe = recipe_of(name, batch_size=10)
    single = fit(examples, network, recipe, dtype=np.float32)
    np.testing.assert_allclose(single.history["cost"], fit(examples, network, recipe).history["cost"], rtol=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_brings_the_cost_down(examples, network, name):
    state = fit(examples, network, recipe_of(name, batch_size=10), n_epochs=30)
    assert state.history["cost"][-1] < state.history["cost"][0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_seed_gives_the_same_parameters(examples, name):
    network, recipe = Network((4, 5, 3), dropout_rate=0.3, batch_norm=True), recipe_of(name, batch_size=10)
    first, second, other = (fit(examples, network, recipe, seed=seed).parameters.vector for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


FORGETFUL = [SGD(momentum=0.6), RMSprop(rho=0.6), Adam(beta_1=0.6, beta_2=0.6), NAdam(beta_1=0.6, beta_2=0.6)]


def train_on_without_a_feature(examples, network, recipe):
    """Return the state of a training whose first feature is 0 from step 5 to 401, whose last look is at step 400."""
    state, without = start(network, recipe, dtype=np.float32), examples.X.copy()
    without[0] = 0  # the weights to it have no gradient any more
    train(state, examples, network, recipe, n_epochs=5)
    return train(state, examples._replace(X=without), network, recipe, n_epochs=396)


def is_subnormal(array):
    return (array != 0) & (np.abs(array) < np.finfo(np.float32).tiny)


@pytest.mark.parametrize("block_bytes", [16, 2**18], ids=["in blocks", "at once"])
@pytest.mark.parametrize("optimizer", FORGETFUL, ids=lambda optimizer: type(optimizer).__name__)
def test_moments_of_what_has_died_become_0_and_not_subnormal(examples, network, monkeypatch, optimizer, block_bytes):
    monkeypatch.setattr(training, "BLOCK_BYTES", block_bytes)
    recipe = Recipe(optimizer, learning_rate=1e-3)
    flushed = train_on_without_a_feature(examples, network, recipe)
    monkeypatch.setattr(training, "FLUSH_STEPS", 10**9)
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
    monkeypatch.setattr(training, "FLUSH_STEPS", 10**9)
    unflushed = train_on_without_a_feature(examples, network, recipe)
    assert is_subnormal(unflushed.current["W1"][:, 0]).any()


# L-BFGS.


def test_lbfgs_minimises_the_cost_with_its_penalty(examples):
    network, recipe = Network((4, 3)), Recipe(LBFGS(gradient_tolerance=1e-8), 1.0, weight_decay=0.1)
    state = fit(examples, network, recipe, n_epochs=100)
    batch = draw_batch(examples, slice(None), network, np.float64)
    grads = evaluate(batch, state.parameters, network, out=state.parameters.gradients())[1]
    np.testing.assert_allclose(grads["dW1"] + 0.1 * state.parameters["W1"], 0, atol=1e-7)
    np.testing.assert_allclose(grads["db1"], 0, atol=1e-7)
    assert state.optimizer_state["converged"]
    assert state.epoch < 100


@pytest.mark.parametrize("schedule", ["cosine", lambda step: 0.5 / (1 + step)])
def test_the_rate_of_lbfgs_which_takes_none_is_recorded_as_constant(examples, schedule):
    state = fit(examples, Network((4, 3)), Recipe(LBFGS(), 0.1, schedule), n_epochs=3)
    assert state.history["learning_rate"] == [0.1, 0.1, 0.1]


@pytest.mark.parametrize("n_epochs", [1, 4, 200])
def test_lbfgs_leaves_the_running_statistics_of_the_whole_set_at_the_final_weights(examples, n_epochs):
    network = Network((4, 5, 4, 3), activation="tanh", batch_norm=True)
    recipe = Recipe(LBFGS(), 1.0, weight_decay=0.1)
    parameters = fit(examples, network, recipe, n_epochs=n_epochs).parameters
    _, caches = model_forward(examples.X, parameters, network, training=True)
    wanted = running_statistics(parameters, caches, momentum=0.0)
    assert len(wanted) == 4
    for name, array in wanted.items():
        np.testing.assert_allclose(parameters[name], array, rtol=1e-12)


def test_running_statistics_start_as_the_mean_of_the_batches_so_far(examples):
    network, recipe = Network((4, 5, 3), batch_norm=True), Recipe(SGD(), 1e-300, batch_size=10, shuffle=False)
    parameters = fit(examples, network, recipe, n_epochs=1).parameters
    Z = parameters["W1"] @ examples.X
    means = [Z[:, piece].mean(axis=1) for piece in (slice(0, 10), slice(10, 20), slice(20, M))]
    np.testing.assert_allclose(parameters["running_mean1"][:, 0], np.mean(means, axis=0), rtol=1e-12)


# Weights.


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_equal_repetition_on_the_whole_set(examples, network, name, batch_norm):
    network = replace(network, batch_norm=batch_norm)
    copies = np.random.default_rng(1).integers(1, 4, M)
    recipe = recipe_of(name, weight_decay=1e-3, label_smoothing=0.1, max_grad_norm=0.5)
    weighted = fit(examples._replace(sample_weight=copies / copies.mean()), network, recipe, n_epochs=10)
    repeated = Examples(np.repeat(examples.X, copies, axis=1), np.repeat(examples.Y, copies, axis=1))
    wanted = fit(repeated, network, recipe, n_epochs=10)
    np.testing.assert_allclose(weighted.parameters.vector, wanted.parameters.vector, atol=1e-7)
    np.testing.assert_allclose(weighted.history["cost"], wanted.history["cost"], atol=1e-7)


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_columns_leave_out_the_examples_without_weight(examples, network, name, batch_size):
    weight = np.random.default_rng(1).integers(0, 3, M) * 1.0
    columns, recipe = np.flatnonzero(weight), recipe_of(name, batch_size=batch_size)
    spoilt = examples.X.copy()
    spoilt[:, weight == 0] = np.nan
    found = fit(Examples(spoilt, examples.Y, weight, columns), network, recipe)
    kept = Examples(examples.X[:, columns], examples.Y[:, columns], weight[columns])
    np.testing.assert_allclose(found.parameters.vector, fit(kept, network, recipe).parameters.vector, rtol=1e-9)


def test_weights_of_one_change_nothing(examples, network):
    weighted = fit(examples._replace(sample_weight=np.ones(M)), network, recipe_of("adam", batch_size=5))
    np.testing.assert_allclose(
        weighted.parameters.vector,
        fit(examples, network, recipe_of("adam", batch_size=5)).parameters.vector,
        rtol=1e-12,
    )


def test_the_mean_weight_is_that_of_the_examples_in_the_set(examples):
    assert examples.mean_weight() == 1
    assert examples.scaled_by(3.0) is examples
    weighted = examples._replace(sample_weight=np.arange(M), columns=np.array([2, 4]))
    assert weighted.mean_weight() == 3
    assert weighted.scaled_by(3.0).mean_weight() == 1
    assert weighted.n == 2


@pytest.mark.parametrize("loss", LOSSES)
def test_mean_cost_equals_the_reference(loss):
    network, rng = Network((4, 5, 3), activation="tanh", loss=loss, dropout_rate=0.5), np.random.default_rng(0)
    parameters, X, Y = (
        initialize_parameters((4, 5, 3), rng=0),
        rng.normal(size=(4, M)),
        np.eye(3)[:, rng.integers(3, size=M)],
    )
    columns, weight = np.array([1, 2, 3, 5, 8]), np.array([0, 1, 2, 1, 0, 3, 0, 0, 1] + [0] * (M - 9))
    repeated = np.repeat(columns, weight[columns])
    AL = reference.forward(X[:, repeated], parameters, "tanh", OUTPUT_OF[loss])[1][-1]
    wanted = reference.cost(AL, Y[:, repeated], OUTPUT_OF[loss])
    assert mean_cost(Examples(X, Y, weight, columns), parameters, network) == pytest.approx(wanted, rel=1e-12)


# Stopping and going on.


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_training_equals_an_uninterrupted_one(examples, name, validated):
    network = Network((4, 5, 4, 3), activation="tanh", dropout_rate=0.3, batch_norm=True)
    recipe = recipe_of(name, schedule="cosine", batch_size=10, weight_decay=1e-3, max_grad_norm=1.0)
    validation = draw_examples(seed=5)
    validate = (
        (lambda parameters: {"validation_cost": mean_cost(validation, parameters, network)}) if validated else None
    )
    options = {"horizon": 8, "validate": validate}
    whole = fit(examples, network, recipe, n_epochs=8, **options)
    state = fit(examples, network, recipe, n_epochs=3, **options)
    kept = Parameters(state.parameters)
    if validated:
        kept.vector[...] = state.best_vector
    saved, kept = pickle.loads(pickle.dumps((state.to_dict(), dict(kept))))
    resumed = train(TrainingState.from_dict(saved, kept), examples, network, recipe, n_epochs=5, **options)
    np.testing.assert_array_equal(resumed.parameters.vector, whole.parameters.vector)
    assert resumed.history == whole.history
    assert resumed.rng.bit_generator.state == whole.rng.bit_generator.state
    np.testing.assert_equal(resumed.optimizer_state, whole.optimizer_state)
    if validated:
        assert resumed.best_epoch == whole.best_epoch
        np.testing.assert_array_equal(resumed.best_vector, whole.best_vector)


def test_a_restored_state_has_the_best_parameters_and_the_last(examples, network):
    state = fit(examples, network, recipe_of("adam"), n_epochs=3, validate=validate_by([3.0, 1.0, 2.0]))
    kept = Parameters(state.parameters)
    kept.vector[...] = state.best_vector
    restored = TrainingState.from_dict(state.to_dict(), kept)
    assert not np.array_equal(state.best_vector, state.parameters.vector)
    np.testing.assert_array_equal(restored.best_vector, state.best_vector)
    np.testing.assert_array_equal(restored.parameters.vector, state.parameters.vector)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_from_its_own_state_and_from_no_other_s(network, name):
    state = start(network, recipe_of(name))
    state.optimizer_state = None
    state.adopt_optimizer(OPTIMIZERS[name]())
    adopted = state.optimizer_state
    state.adopt_optimizer(OPTIMIZERS[name]())
    assert state.optimizer_state is adopted
    for other in OPTIMIZERS:
        if other != name:
            state.optimizer_state, state.optimizer_name = adopted, OPTIMIZERS[name].__name__
            state.adopt_optimizer(OPTIMIZERS[other]())
            assert state.optimizer_state is not adopted


def test_what_was_saved_stays_when_training_goes_on(examples, network):
    recipe = recipe_of("adam", batch_size=10)
    state = fit(examples, network, recipe)
    saved, kept = state.to_dict(), dict(state.parameters)
    before = pickle.dumps((saved, kept))
    train(TrainingState.from_dict(saved, kept), examples, network, recipe, n_epochs=2)
    np.testing.assert_equal((saved, kept), pickle.loads(before))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_saved_state_is_arrays_dicts_lists_strings_and_numbers(examples, network, name):
    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return type(value) in (np.ndarray, int, float, str, bool, type(None))

    state = fit(examples, network, recipe_of(name, batch_size=10), validate=validate_by([3, 1, 2, 4, 5]))
    assert plain(state.to_dict())
    assert plain(state.to_dict(resumable=False))


def test_a_state_that_cannot_be_resumed_is_small(examples, network):
    saved = fit(examples, network, recipe_of("adam"), validate=validate_by(range(5))).to_dict(resumable=False)
    assert saved["optimizer_state"] is None
    assert saved["vectors"] == {}


# Going back to the last whole epoch, and carrying a call to its end.

WITH_ALL = {"batch_size": 10, "schedule": "cosine", "weight_decay": 1e-3, "averaging_epochs": 1.5}


class Remember(Callback):
    """Remember how many epochs there were."""

    def on_epoch_end(self, run):
        run.memory["n_epochs"] = run.memory.get("n_epochs", 0) + 1


def everything(state):
    """Return all that a state has, copied, with what callbacks remember."""
    whole = copy.deepcopy(state.to_dict(cut_off=True))
    assert whole["memories"].keys() == {name for name, memory in state.memories.items() if memory}
    return whole


@pytest.fixture
def with_all():
    """Return a network, examples and a validation that let training change all that it can."""
    network, others = Network((4, 5, 4, 3), dropout_rate=0.3, batch_norm=True), draw_examples(seed=5)
    return network, draw_examples(), lambda parameters: {"validation_cost": mean_cost(others, parameters, network)}


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_returns_to_its_mark_to_the_bit_and_goes_on_from_there(with_all, name, validated):
    network, examples, validate = with_all
    recipe, options = recipe_of(name, **WITH_ALL), {"validate": validate if validated else None, "horizon": 8}
    state = fit(examples, network, recipe, n_epochs=3, callbacks=[Remember()], **options)
    mark, before = state.mark(whole=True), everything(state)
    train(state, examples, network, recipe, n_epochs=5, callbacks=[Remember()], **options)
    after = everything(state)
    assert not np.array_equal(after["vectors"]["last"], before["vectors"]["last"])
    assert after["memories"]["Remember 1"]["n_epochs"] == 5
    state.return_to(mark)
    np.testing.assert_equal(everything(state), before)
    train(state, examples, network, recipe, n_epochs=5, callbacks=[Remember()], **options)
    np.testing.assert_equal(everything(state), after)


@pytest.mark.parametrize("averaging_epochs", [0.0, 1.5])
@pytest.mark.parametrize("validated", [False, True])
def test_a_small_mark_keeps_the_parameters_that_count(with_all, validated, averaging_epochs):
    network, examples, validate = with_all
    recipe = recipe_of("adam", batch_size=10, averaging_epochs=averaging_epochs)
    options = {"validate": validate if validated else None}
    state = fit(examples, network, recipe, n_epochs=3, **options)
    kept, before, mark = Parameters(state.kept_parameters()), state.to_dict(resumable=False), state.mark(whole=False)
    before, n_vectors = copy.deepcopy(before), sum(isinstance(part, np.ndarray) for part in mark.values())
    assert n_vectors == 1  # that of the best epoch, which is not copied, or of the current one
    assert mark["best_vector"] is state.best_vector
    train(state, examples, network, recipe, n_epochs=5, **options)
    state.return_to(mark)
    np.testing.assert_array_equal(state.kept_parameters().vector, kept.vector)
    np.testing.assert_equal(state.to_dict(resumable=False), before)


def test_a_mark_does_not_change_with_the_state(examples, network):
    state = fit(examples, network, recipe_of("adam", averaging_epochs=2.0), validate=validate_by(range(5)))
    mark = state.mark(whole=True)
    before = copy.deepcopy(mark)
    train(state, examples, network, recipe_of("adam", averaging_epochs=2.0), n_epochs=3, validate=validate_by([-9] * 9))
    np.testing.assert_equal(mark, before)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_after_an_error_callbacks_and_state_are_at_the_last_whole_epoch(examples, network, error, whole):
    class Fail(Remember):
        def on_epoch_end(self, run):
            super().on_epoch_end(run)
            if run.state.epoch == 4:
                raise error

        def on_train_end(self, run):
            seen.append((run.state.epoch, run.memory["n_epochs"], run.state.memories["Fail 1"] is run.memory))

    state, recipe, seen = start(network, recipe_of("adam")), recipe_of("adam", batch_size=10), []
    with pytest.raises(error):
        train(state, examples, network, recipe, n_epochs=6, callbacks=[Fail()], resumable=whole)
    wanted = fit(examples, network, recipe, n_epochs=3)
    np.testing.assert_array_equal(state.parameters.vector, wanted.parameters.vector)
    assert state.history == wanted.history
    assert state.rng.bit_generator.state == wanted.rng.bit_generator.state
    assert seen == [(3, 3 if whole else 4, True)]  # what is not to be resumed is not copied


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("earlier", [0, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_call_that_was_cut_off_is_carried_to_its_end(with_all, name, earlier, validated):
    class Save(Callback):
        def on_epoch_end(self, run):
            saved.append(pickle.dumps((run.state.to_dict(cut_off=True), dict(run.state.kept_parameters()))))

    network, examples, validate = with_all
    recipe, saved, options = recipe_of(name, **WITH_ALL), [], {"validate": validate if validated else None}
    state = start(network, recipe)
    if earlier:
        train(state, examples, network, recipe, n_epochs=earlier, callbacks=[Save()], **options)
        saved.clear()
    train(state, examples, network, recipe, n_epochs=5, callbacks=[Save()], **options)
    assert (state.first_epoch, state.epoch, len(saved)) == (earlier, earlier + 5, 5)
    for part in saved:
        resumed = TrainingState.from_dict(*pickle.loads(part))
        train(resumed, examples, network, recipe, n_epochs=5, callbacks=[Callback()], resume=True, **options)
        np.testing.assert_equal(everything(resumed) | {"memories": {}}, everything(state) | {"memories": {}})


def test_a_call_that_had_been_stopped_trains_no_more_when_it_is_resumed(examples, network):
    class StopAt(Callback):
        def on_epoch_end(self, run):
            return run.state.epoch == 3

    recipe = recipe_of("adam")
    state = fit(examples, network, recipe, n_epochs=9, callbacks=[StopAt()])
    assert (state.epoch, state.stopped_by) == (3, "StopAt")
    resumed = TrainingState.from_dict(state.to_dict(cut_off=True), dict(state.parameters))
    train(resumed, examples, network, recipe, n_epochs=9, resume=True)
    assert resumed.epoch == 3
    train(resumed, examples, network, recipe, n_epochs=2)
    assert (resumed.epoch, resumed.stopped_by) == (5, "")


# Validation.


def test_the_parameters_of_the_best_epoch_are_kept(examples, network):
    recipe = recipe_of("adam", batch_size=10)
    state = fit(examples, network, recipe, n_epochs=5, validate=validate_by([3.0, 1.0, 2.0, 1.0, 5.0]))
    assert (state.best_epoch, judged(state.best_values)) == (2, 1.0)
    assert state.best_values["validation_cost"] == 1.0
    np.testing.assert_array_equal(state.best_vector, fit(examples, network, recipe, n_epochs=2).parameters.vector)
    assert state.history["validation_cost"] == [3.0, 1.0, 2.0, 1.0, 5.0]


def test_without_validation_nothing_is_kept_aside(examples, network):
    state = fit(examples, network, recipe_of("adam"))
    assert state.best_vector is None
    assert set(state.history) == {"cost", "learning_rate"}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"cost": 3.0}, 3.0),
        ({"cost": 3.0, "validation_cost": 2.0}, 2.0),
        ({"cost": 3.0, "validation_cost": 2.0, "validation_score": 0.75}, -0.75),
    ],
)
def test_an_epoch_is_judged_by_score_then_validation_cost_then_cost(values, wanted):
    assert judged(values) == wanted


def test_epochs_that_were_not_validated_leave_gaps_in_the_history(examples, network):
    recipe = recipe_of("adam")
    state = fit(examples, network, recipe, n_epochs=2)
    train(state, examples, network, recipe, n_epochs=1, validate=validate_by([0.5]))
    np.testing.assert_array_equal(state.history["validation_cost"], [np.nan, np.nan, 0.5])


# When it goes wrong.


def far_too_fast(**options):
    return Recipe(SGD(), learning_rate=1e200, **options)


def test_divergence_is_an_error_that_names_the_learning_rate(examples, network):
    network = replace(network, activation="relu")
    with pytest.raises(ValueError, match=r"diverged.*scale_inputs.*learning_rate \(it was 1e\+200\) or max_grad"):
        fit(examples, network, far_too_fast(batch_size=5))


def test_divergence_after_a_good_epoch_keeps_that_one_and_warns(examples, network):
    network = replace(network, activation="relu")
    recipe = far_too_fast(schedule=lambda step: 0.1 if step < 2 else 1e200)
    with pytest.warns(ConvergenceWarning, match=r"diverged.*epoch 2 are kept.*learning_rate_schedule"):
        state = fit(examples, network, recipe, n_epochs=9, validate=validate_by([2.0, 1.0, 3.0]))
    assert state.best_epoch == 2
    assert state.finite
    assert np.array_equal(state.parameters.vector, state.best_vector)
    assert state.optimizer_state is None


def test_a_cost_that_blew_up_and_stays_finite_warns(examples):
    with pytest.warns(ConvergenceWarning, match=r"diverged: the cost began at .*; guessing costs .*learning_rate"):
        state = fit(examples, Network((4, 3)), Recipe(SGD(), learning_rate=1e4, batch_size=5))
    assert state.finite


def test_clipping_prevents_the_divergence(examples, network):
    network, recipe = replace(network, activation="relu"), Recipe(SGD(), learning_rate=1e200, max_grad_norm=1e-201)
    assert fit(examples, network, recipe).finite


def test_noise_that_cannot_be_learnt_is_no_divergence():
    rng = np.random.default_rng(0)
    noise = Examples(rng.normal(size=(4, M)), rng.integers(3, size=(1, M)))
    assert fit(noise, Network((4, 3)), recipe_of("sgd", batch_size=5), n_epochs=50).finite


@pytest.mark.parametrize(
    ("X", "Y", "named"),
    [
        (np.ones((5, 3)), np.ones((1, 5)), r"X must have shape \(3, m\), one column per example, got \(5, 3\)"),
        (np.ones((3, 5)), np.ones(5), r"Y must have shape \(1, 5\), one column per example, got \(5,\)"),
        (np.ones((3, 5)), np.ones((5, 1)), r"Y must have shape \(1, 5\).*got \(5, 1\)"),
        (np.ones((3, 5)), np.full((1, 5), 2), "Y must have targets from 0 to 1, got values from 2 to 2"),
    ],
)
def test_train_deep_network_names_what_does_not_fit(X, Y, named):
    with pytest.raises(ValueError, match=named):
        train_deep_network(X, Y, [3, 2, 1], num_iterations=1)


def test_train_deep_network_names_class_numbers_out_of_range():
    with pytest.raises(ValueError, match="Y must have class numbers from 0 to 2, got values from 1 to 3"):
        train_deep_network(np.ones((3, 3)), np.array([[1, 2, 3]]), [3, 2, 3], num_iterations=1)


# Batches cut into parts, for threads.


@pytest.fixture
def cut_into(monkeypatch):
    """Return a function that cuts every batch into n parts, where possible, and returns the sizes of the pools made."""

    def cut_into(n_parts):
        sizes = []

        class RecordedPool(ThreadPool):
            def __init__(self, n_threads):
                sizes.append(n_threads)
                super().__init__(n_threads)

        monkeypatch.setattr(training, "ThreadPool", RecordedPool)
        monkeypatch.setattr(training, "WORK_OF_PART", 1)
        monkeypatch.setattr(training, "PART_COLUMNS", 1)
        monkeypatch.setattr(training, "allowed_threads", lambda: n_parts)
        return sizes

    return cut_into


WEIGHT = np.linspace(0.5, 1.5, M)
PENALISED = {"weight_decay": 0.1, "max_grad_norm": 0.1, "label_smoothing": 0.1}
SMALL_LAST = 11  # the last batch of 23 examples has one, fewer than there are parts


@pytest.mark.parametrize("n_parts", [2, 3])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("options", [{}, PENALISED, {"shuffle": False}], ids=["plain", "penalised", "unshuffled"])
@pytest.mark.parametrize("batch_size", [None, SMALL_LAST])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parts_of_a_batch_train_as_the_whole(
    examples, network, cut_into, name, batch_size, options, sample_weight, n_parts
):
    examples, recipe = examples._replace(sample_weight=sample_weight), recipe_of(name, batch_size=batch_size, **options)
    whole = fit(examples, network, recipe)
    sizes = cut_into(n_parts)
    parts = fit(examples, network, recipe)
    assert sizes == [n_parts]
    np.testing.assert_allclose(parts.parameters.vector, whole.parameters.vector, rtol=0, atol=1e-12)
    np.testing.assert_allclose(parts.history["cost"], whole.history["cost"], rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parts_are_drawn_from_the_columns_of_the_set(examples, network, cut_into, name):
    columns, recipe = np.array([20, 3, 5, 8, 1, 13, 2]), recipe_of(name, batch_size=5)
    spoilt = examples.X.copy()
    spoilt[:, np.setdiff1d(np.arange(M), columns)] = np.nan
    whole = fit(Examples(spoilt, examples.Y, WEIGHT, columns), network, recipe)
    cut_into(3)
    parts = fit(Examples(spoilt, examples.Y, WEIGHT, columns), network, recipe)
    np.testing.assert_allclose(parts.parameters.vector, whole.parameters.vector, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", [None, SMALL_LAST])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_dropout_in_parts_is_the_same_for_a_seed_and_a_number_of_threads(examples, cut_into, name, batch_size):
    network, recipe = Network((4, 5, 3), dropout_rate=0.3), recipe_of(name, batch_size=batch_size)
    sizes = cut_into(3)
    first, second, other = (fit(examples, network, recipe, seed=seed) for seed in (0, 0, 1))
    assert sizes == [3, 3, 3]
    np.testing.assert_array_equal(first.parameters.vector, second.parameters.vector)
    assert first.history == second.history
    assert first.rng.bit_generator.state == second.rng.bit_generator.state
    assert not np.array_equal(first.parameters.vector, other.parameters.vector)


def test_different_units_drop_out_in_every_part_and_every_step(cut_into, monkeypatch):
    masks = []

    def recorded(*arguments, **options):
        outputs, grads, caches = evaluate(*arguments, **options)
        masks.append(caches[0].dropout)
        return outputs, grads, caches

    cut_into(3)
    monkeypatch.setattr(training, "evaluate", recorded)
    network, recipe = Network((4, 8, 3), dropout_rate=0.5), recipe_of("sgd", batch_size=12)
    fit(draw_examples(m=24), network, recipe, n_epochs=2)
    assert [mask.shape for mask in masks] == [(8, 4)] * 12
    assert len({mask.tobytes() for mask in masks}) == 12


@pytest.mark.parametrize("kind", ["batch_norm", "sparse"])
def test_what_needs_the_whole_batch_is_not_cut(examples, network, cut_into, kind):
    if kind == "sparse":
        examples = examples._replace(X=sparse.csc_array(examples.X))
    network, recipe = replace(network, batch_norm=kind == "batch_norm"), recipe_of("adam", batch_size=10)
    whole = fit(examples, network, recipe)
    sizes = cut_into(3)
    np.testing.assert_array_equal(fit(examples, network, recipe).parameters.vector, whole.parameters.vector)
    assert sizes == [1]


def test_there_is_a_part_for_each_thread_worth_waking(examples, network, cut_into, monkeypatch):
    sizes, n_bytes = cut_into(4), start(network, recipe_of("sgd")).parameters.weights.nbytes
    for work, columns, batch_size in [(1, 1, None), (3 * 10 * n_bytes // 2, 1, 10), (1, 10, None), (1, 12, None)]:
        monkeypatch.setattr(training, "WORK_OF_PART", work)
        monkeypatch.setattr(training, "PART_COLUMNS", columns)
        fit(examples, network, recipe_of("sgd", batch_size=batch_size), n_epochs=1)
    assert sizes == [4, 2, 2, 1]


@pytest.mark.parametrize("n_parts", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
def test_cutting_covers_every_position_once(n, n_parts):
    pieces = [range(50)[part] for part in cut(slice(5, 5 + n), n_parts)]
    assert [position for piece in pieces for position in piece] == [*range(5, 5 + n)]
    assert len(pieces) == min(n, n_parts)
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


@pytest.mark.parametrize("validated", [False, True])
def test_threads_at_work_write_nothing_after_ctrl_c(examples, network, cut_into, monkeypatch, validated):
    recipe, validate = recipe_of("sgd"), {"validate": validate_by(range(9))} if validated else {}
    cut_into(2)
    wanted = fit(examples, network, recipe, n_epochs=3, **validate)
    update, wait, main = SGD.update, threads.wait, threading.main_thread()
    helping, updates, interrupted = threading.Event(), [], []

    def slow_update(self, *arguments):
        updates.append(arguments)
        if len(updates) > 3 * 2:
            if threading.current_thread() is main:
                assert helping.wait(10)
            else:
                helping.set()
                while not interrupted:
                    time.sleep(0.001)
                time.sleep(0.05)  # so that the state would have gone back before
        update(self, *arguments)

    def wait_interrupted(helpers):
        if helping.is_set() and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return wait(helpers)

    monkeypatch.setattr(SGD, "update", slow_update)
    monkeypatch.setattr(threads, "wait", wait_interrupted)
    state = start(network, recipe)
    validate = {"validate": validate_by(range(9))} if validated else {}
    with pytest.raises(KeyboardInterrupt):
        train(state, examples, network, recipe, n_epochs=9, resumable=True, **validate)
    np.testing.assert_array_equal(state.parameters.vector, wanted.parameters.vector)
    assert state.history == wanted.history


# Updates in blocks.

RULES = [
    *(OPTIMIZERS[name]() for name in FIRST_ORDER),
    SGD(momentum=0.9),
    SGD(momentum=0.9, nesterov=True),
]


@pytest.fixture
def block_bytes(monkeypatch):
    """Return what sets the size of the blocks that parameters are updated in."""

    def block_bytes(n_bytes):
        monkeypatch.setattr(training, "BLOCK_BYTES", n_bytes)
        monkeypatch.setattr(training, "SHARED_BLOCK_BYTES", n_bytes)

    return block_bytes


@pytest.mark.parametrize("n_parts", [1, 3])
@pytest.mark.parametrize("options", [{}, PENALISED], ids=["plain", "penalised"])
@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_blocks_of_any_size_update_alike(examples, network, cut_into, block_bytes, optimizer, options, n_parts):
    recipe, states = Recipe(optimizer, 0.01, batch_size=10, **options), []
    cut_into(n_parts)
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


@pytest.mark.parametrize("n_parts", [1, 3])
@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_training_goes_on_from_a_state_that_was_updated_in_blocks(
    examples, network, cut_into, block_bytes, optimizer, n_parts
):
    recipe = Recipe(optimizer, 0.01, batch_size=10, **PENALISED)
    cut_into(n_parts)
    whole = fit(examples, network, recipe, n_epochs=5)
    block_bytes(56)
    state = fit(examples, network, recipe, n_epochs=2, horizon=5)
    saved, kept = pickle.loads(pickle.dumps((state.to_dict(), dict(state.parameters))))
    for resumed in (state, TrainingState.from_dict(saved, kept)):
        train(resumed, examples, network, recipe, n_epochs=3)
        np.testing.assert_array_equal(resumed.parameters.vector, whole.parameters.vector)
        np.testing.assert_equal(resumed.optimizer_state, whole.optimizer_state)
        assert resumed.history == whole.history


@pytest.mark.parametrize("n_parts", [1, 3])
def test_blocks_of_any_size_average_alike(examples, network, cut_into, block_bytes, n_parts):
    recipe, averages = Recipe(Adam(), 0.01, batch_size=10, averaging_epochs=1.5, **PENALISED), []
    cut_into(n_parts)
    for n_bytes in (2**20, 1, 56):
        block_bytes(n_bytes)
        averages.append(fit(examples, network, recipe).average.vector)
    np.testing.assert_array_equal(averages[1], averages[0])
    np.testing.assert_array_equal(averages[2], averages[0])


# Scaled inputs.

SCALING = Scaling(np.array([[30.0], [-4.0], [0.5], [2.0]]), np.array([[0.1], [100.0], [2.0], [1.0]]))


def to_scale(examples):
    """Return examples whose inputs are as before once they have been scaled."""
    return examples._replace(X=examples.X * SCALING.scale + SCALING.center, scaling=SCALING)


@pytest.mark.parametrize("ready_bytes", [0, 2**20])
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"ensemble_size": 3}], ids=str)
@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_examples_that_are_to_be_scaled_train_as_scaled_ones(
    examples, network, monkeypatch, name, options, container, ready_bytes
):
    monkeypatch.setattr(training, "READY_BYTES", ready_bytes)
    network, recipe = replace(network, **options), recipe_of(name, batch_size=10)
    raw = to_scale(examples)
    raw = raw._replace(X=container(raw.X)).ready_for(np.float64)
    assert (raw.scaling is None) == (isinstance(raw.X, np.ndarray) and ready_bytes > 0)
    found, wanted = fit(raw, network, recipe), fit(examples, network, recipe)
    np.testing.assert_allclose(found.parameters.vector, wanted.parameters.vector, atol=1e-8)
    costs = (mean_cost(given, wanted.parameters, network) for given in (raw, examples))
    assert next(costs) == pytest.approx(next(costs), rel=1e-10)


def test_inputs_that_wait_to_be_scaled_stay_as_they_were(examples, network, monkeypatch):
    for ready_bytes in (0, 2**20):
        monkeypatch.setattr(training, "READY_BYTES", ready_bytes)
        raw = to_scale(examples)
        before = raw.X.copy()
        fit(raw.ready_for(np.float64), network, recipe_of("adam", batch_size=5))
        np.testing.assert_array_equal(raw.X, before)


@pytest.mark.parametrize("gathered_bytes", [300, 2**20], ids=["some", "all"])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"batch_size": None}], ids=str)
@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_batches_gathered_together_are_those_gathered_one_by_one(
    examples, network, monkeypatch, cut_into, gathered_bytes, options, ensemble_size, batch_norm, n_parts
):
    network = replace(network, ensemble_size=ensemble_size, batch_norm=batch_norm)
    examples = to_scale(examples)._replace(sample_weight=WEIGHT, columns=None if ensemble_size == 1 else OF_EACH)
    recipe = recipe_of("adam", **{"batch_size": 2, "label_smoothing": 0.1} | options)
    cut_into(n_parts)
    monkeypatch.setattr(training, "GATHERED_BYTES", 0)
    wanted = fit(examples, network, recipe)
    monkeypatch.setattr(training, "GATHERED_BYTES", gathered_bytes)
    np.testing.assert_array_equal(fit(examples, network, recipe).parameters.vector, wanted.parameters.vector)


@pytest.mark.parametrize("n_parts", [1, 2])
@pytest.mark.parametrize(("batch_size", "n_wanted"), [(1, 3), (2, 3), (4, 3), (M, 1), (None, 1)])
def test_few_gatherings_bring_all_batches(examples, network, monkeypatch, cut_into, batch_size, n_wanted, n_parts):
    drawn = []
    cut_into(n_parts)

    def recorded(examples, columns, **options):
        drawn.append(columns)
        return draw_batch(examples, columns, **options)

    monkeypatch.setattr(training, "draw_batch", recorded)
    monkeypatch.setattr(training, "GATHERED_BYTES", 8 * (4 + 3) * 8)  # eight examples of four inputs and three outputs
    fit(examples, network, recipe_of("sgd", batch_size=batch_size), n_epochs=1)
    assert len(drawn) == n_wanted
    assert max(map(np.size, drawn)) <= 8 or n_wanted == 1


def test_gathering_takes_little_memory_where_there_are_many_classes(peak_bytes):
    network, m = Network((2, 500)), 20_000
    examples = Examples(np.zeros((m, 2), np.float32).T, np.arange(m)[np.newaxis] % 500)
    recipe = recipe_of("sgd", batch_size=32)
    batches = Batches(examples, network, recipe, np.dtype(np.float32))
    (first, *_) = batches.epoch(np.random.default_rng(0))
    assert peak_bytes(batches.draw, first) < 3 * training.GATHERED_BYTES < m * 500


# Ensembles: members that train side by side.

OF_EACH = np.stack([np.random.default_rng(seed).permutation(M)[:17] for seed in range(3)])


def fit_members(examples, network, recipe, n_epochs=5):
    """Return the states of single networks that start from the members of an ensemble, each with its examples."""
    together, states = start(replace(network, ensemble_size=3), recipe).parameters, []
    for k in range(3):
        parameters = Parameters({name: array[k] for name, array in together.items()})
        columns = examples.columns if np.ndim(examples.columns) < 2 else examples.columns[k]
        state = TrainingState(parameters, np.random.default_rng(0))
        states.append(train(state, examples._replace(columns=columns), network, recipe, n_epochs=n_epochs))
    return states


@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("columns", [None, OF_EACH[0], OF_EACH], ids=["all", "some", "of each"])
@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"loss": "binary_cross_entropy"}], ids=str)
@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_an_ensemble_trains_as_its_members_alone(examples, network, name, batch_size, options, columns, container):
    network = replace(network, **options)
    recipe = recipe_of(
        name, batch_size=batch_size, shuffle=False, weight_decay=0.1, label_smoothing=0.1, averaging_epochs=1.0
    )
    examples = examples._replace(
        X=container(examples.X), Y=np.eye(3)[:, examples.Y[0]], sample_weight=WEIGHT, columns=columns, scaling=SCALING
    )
    together = fit(examples, replace(network, ensemble_size=3), recipe)
    alone = fit_members(examples, network, recipe)
    for k, state in enumerate(alone):
        for name, array in state.current.items():
            np.testing.assert_allclose(together.current[name][k], array, rtol=1e-8, atol=1e-10)
    sizes = WEIGHT[OF_EACH].sum(axis=1) if columns is OF_EACH else None
    wanted = np.average([state.history["cost"] for state in alone], axis=0, weights=sizes)
    np.testing.assert_allclose(together.history["cost"], wanted, rtol=1e-8)


def test_members_are_clipped_as_one_network_of_the_mean_norm(examples, network):
    ensemble, most = replace(network, ensemble_size=3), 1e-3
    state, before = fit(examples, ensemble, Recipe(SGD(), 1.0, max_grad_norm=most), n_epochs=1), start(ensemble, None)
    step = state.parameters.vector - before.parameters.vector
    assert np.linalg.norm(step) == pytest.approx(most * np.sqrt(3), rel=1e-9)


def test_each_member_takes_the_examples_in_an_order_of_its_own(network):
    numbered = Examples(np.arange(M)[np.newaxis], np.zeros((1, M), int), np.arange(M), OF_EACH)
    recipe = recipe_of("sgd", batch_size=5)
    batches = Batches(numbered, replace(network, ensemble_size=3), recipe, np.float64)
    epoch = [batches.draw(positions) for positions in batches.epoch(np.random.default_rng(0))]
    visited = np.concatenate([batch.A0[:, 0] for batch in epoch], axis=1)
    np.testing.assert_array_equal(np.concatenate([batch.sample_weight for batch in epoch], axis=1), visited)
    np.testing.assert_array_equal(np.sort(visited), np.sort(OF_EACH))
    orders = [[of_member.tolist().index(n) for n in seen] for of_member, seen in zip(OF_EACH, visited)]
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("n_parts", [2, 3])
@pytest.mark.parametrize("batch_size", [None, SMALL_LAST])
@pytest.mark.parametrize("columns", [None, OF_EACH], ids=["all", "of each"])
def test_parts_of_an_ensemble_s_batches_train_as_the_whole(examples, network, cut_into, columns, batch_size, n_parts):
    network, recipe = replace(network, ensemble_size=3), recipe_of("adam", batch_size=batch_size)
    examples = examples._replace(columns=columns, sample_weight=WEIGHT)
    whole = fit(examples, network, recipe)
    sizes = cut_into(n_parts)
    np.testing.assert_allclose(
        fit(examples, network, recipe).parameters.vector, whole.parameters.vector, rtol=1e-9, atol=1e-12
    )
    assert n_parts in sizes


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("loss", LOSSES)
def test_an_ensemble_costs_what_its_mean_probability_does(examples, network, loss, weight):
    network = replace(network, loss=loss, ensemble_size=3)
    parameters = start(network, None).parameters
    Y = np.eye(3)[:, examples.Y[0]]
    AL = model_forward(examples.X, parameters, network)[0].mean(axis=0)
    share = None if weight is None else weight / weight.mean()
    wanted = compute_cost(AL, Y, loss=loss, sample_weight=share)
    found = mean_cost(examples._replace(Y=Y, sample_weight=weight), parameters, network)
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("container", [np.array, sparse.csc_array])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_an_ensemble_whose_members_have_examples_of_their_own_costs_what_they_do(examples, network, weight, container):
    ensemble = replace(network, ensemble_size=3)
    parameters, total, total_weight = start(ensemble, None).parameters, 0.0, 0.0
    examples = examples._replace(X=container(examples.X), sample_weight=weight)
    for k, columns in enumerate(OF_EACH):
        alone = {name: array[k] for name, array in parameters.items()}
        size = len(columns) if weight is None else weight[columns].sum()
        total += mean_cost(examples._replace(columns=columns), alone, network) * size
        total_weight += size
    found = mean_cost(examples._replace(columns=OF_EACH), parameters, ensemble)
    assert found == pytest.approx(total / total_weight, rel=1e-12)


# The moving average of the parameters.


def test_an_average_is_moved_by_a_share_of_the_way():
    average, vector = np.array([1.0, 2.0]), np.array([3.0, -2.0])
    move_average(average, vector, 0.25)
    np.testing.assert_array_equal(average, [1.5, 1])
    np.testing.assert_array_equal(vector, [3, -2])
    move_average(average, vector, 1.0)
    np.testing.assert_array_equal(average, vector)


def averaged_descent(examples, network, recipe, n_epochs):
    """Return parameters of gradient descent through batches in order, and their average, one step at a time."""
    parameters = {name: array.copy() for name, array in start(network, recipe).parameters.items()}
    average, step = dict(parameters), 0
    starts = range(0, examples.n, recipe.batch_size)
    for _ in range(n_epochs):
        for first in starts:
            columns = np.arange(first, min(first + recipe.batch_size, examples.n))
            batch = draw_batch(examples, columns, network, np.float64)
            _, grads, caches = evaluate(batch, parameters, network)
            momentum = min(0.9, step / (step + 1))
            parameters = parameters | running_statistics(parameters, caches, momentum)
            parameters |= {name: parameters[name] - recipe.learning_rate * grads["d" + name] for name in trained(grads)}
            rate = max(1 - np.exp(-1 / (recipe.averaging_epochs * len(starts))), 5 / (5 + step))
            average = {name: (1 - rate) * average[name] + rate * array for name, array in parameters.items()}
            step += 1
    return parameters, average


def trained(grads):
    return [name.removeprefix("d") for name in grads]


@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"ensemble_size": 3, "batch_norm": True}], ids=str)
@pytest.mark.parametrize("averaging_epochs", [0.5, 3.0])
def test_the_average_of_all_steps_is_what_is_kept(examples, network, averaging_epochs, options):
    network = replace(network, **options)
    recipe = Recipe(SGD(), 0.1, batch_size=5, shuffle=False, averaging_epochs=averaging_epochs)
    state = fit(examples, network, recipe, n_epochs=10)
    parameters, average = averaged_descent(examples, network, recipe, n_epochs=10)
    kept = state.kept_parameters()
    for name, array in parameters.items():
        np.testing.assert_allclose(state.parameters[name], array, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(kept[name], average[name], rtol=1e-9, atol=1e-12)
        assert not np.allclose(kept[name], array, rtol=1e-4)


def test_averaging_does_not_change_what_is_averaged(examples, network):
    averaged, plain = (
        fit(examples, network, recipe_of("adam", batch_size=5, averaging_epochs=epochs)) for epochs in (2.0, 0.0)
    )
    np.testing.assert_array_equal(averaged.parameters.vector, plain.parameters.vector)
    assert plain.average is None
    assert plain.kept_parameters() is plain.parameters


def test_averages_are_what_is_validated(examples, network):
    seen, recipe = [], recipe_of("adam", batch_size=5, averaging_epochs=2.0)

    def validate(parameters):
        seen.append(parameters.vector.copy())
        return {"validation_cost": [3.0, 1.0, 2.0][len(seen) - 1]}

    state = fit(examples, network, recipe, n_epochs=3, validate=validate)
    for n_epochs, vector in enumerate(seen, start=1):
        np.testing.assert_array_equal(vector, fit(examples, network, recipe, n_epochs=n_epochs).average.vector)
    np.testing.assert_array_equal(state.kept_parameters().vector, seen[1])


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_averaged_training_goes_on_as_if_uninterrupted(examples, network, batch_norm):
    network, validation = replace(network, batch_norm=batch_norm, ensemble_size=3), draw_examples(seed=5)
    recipe = recipe_of("adam", schedule="cosine", batch_size=10, averaging_epochs=2.0)
    options = {"horizon": 8, "validate": lambda given: {"validation_cost": mean_cost(validation, given, network)}}
    whole = fit(examples, network, recipe, n_epochs=8, **options)
    state = fit(examples, network, recipe, n_epochs=3, **options)
    saved, kept = pickle.loads(pickle.dumps((state.to_dict(), dict(state.kept_parameters()))))
    resumed = train(TrainingState.from_dict(saved, kept), examples, network, recipe, n_epochs=5, **options)
    np.testing.assert_array_equal(resumed.average.vector, whole.average.vector)
    np.testing.assert_array_equal(resumed.parameters.vector, whole.parameters.vector)
    assert resumed.history == whole.history


def test_an_average_begins_and_ends_with_its_parameter(examples, network):
    plain, averaged = (recipe_of("adam", batch_size=5, averaging_epochs=epochs) for epochs in (0.0, 2.0))
    state = fit(examples, network, plain)
    assert train(state, examples, network, averaged, n_epochs=1).average is not None
    assert train(state, examples, network, plain, n_epochs=1).average is None


def test_optimizers_of_the_whole_set_are_not_averaged(examples, network):
    state = fit(examples, network, recipe_of("lbfgs", averaging_epochs=2.0))
    assert state.kept_parameters() is state.parameters


# BLAS while training.


class Watcher(Callback):
    """A callback that notes what it sees at each hook, and may raise."""

    def __init__(self, look, error=None):
        self.look, self.error, self.seen = look, error, []

    def on_train_begin(self, state):
        self.seen.append(self.look())

    def on_epoch_end(self, state):
        self.seen.append(self.look())
        if self.error is not None:
            raise self.error

    on_train_end = on_train_begin


@pytest.mark.parametrize("n_parts", [1, 3])
def test_blas_has_one_thread_while_training_and_its_own_afterwards(examples, network, cut_into, blas_threads, n_parts):
    cut_into(n_parts)
    numbers, allowed = Watcher(blas_threads), Watcher(allowed_threads)
    fit(examples, network, recipe_of("adam", batch_size=10), n_epochs=2, callbacks=[numbers, allowed])
    assert numbers.seen == [{1}, {1}, {1}, {3}]
    assert allowed.seen == [3] * 4
    assert blas_threads() == {3}


@pytest.mark.parametrize("n_parts", [1, 3])
def test_blas_has_its_own_threads_after_a_training_that_failed(examples, network, cut_into, blas_threads, n_parts):
    sizes, watcher = cut_into(n_parts), Watcher(blas_threads, LookupError())
    with pytest.raises(LookupError):
        fit(examples, network, recipe_of("adam"), callbacks=[watcher])
    assert sizes == [n_parts]
    assert watcher.seen == [{1}, {1}, {3}]
    assert blas_threads() == {3}


def test_large_batches_that_cannot_be_cut_are_left_to_blas_s_threads(examples, network, cut_into, blas_threads):
    cut_into(3)
    watcher = Watcher(blas_threads)
    fit(examples, replace(network, batch_norm=True), recipe_of("adam"), n_epochs=1, callbacks=[watcher])
    assert watcher.seen == [{3}] * 3


# The cost of an epoch.


@pytest.mark.parametrize("cost_numbers", [1, 21, 10**9])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_meter_gives_the_cost_of_everything(monkeypatch, loss, weighted, cost_numbers):
    monkeypatch.setattr(training, "COST_NUMBERS", cost_numbers)
    rng, meter = np.random.default_rng(0), CostMeter(loss)
    ZL, Y, weight = rng.normal(size=(3, M)), np.eye(3)[:, rng.integers(3, size=M)], rng.uniform(0, 2, M)
    outputs = Outputs(LOSSES[loss].link(ZL), ZL, Y, weight if weighted else None)
    for piece in (slice(0, 3), slice(3, 11), slice(11, 12), slice(12, M)):
        meter.add(Outputs(*(None if array is None else array[..., piece] for array in outputs)))
    wanted = compute_cost(outputs.AL, Y, ZL=ZL, loss=loss, sample_weight=weight / weight.mean() if weighted else None)
    assert meter.mean() == pytest.approx(wanted, rel=1e-12)
    assert meter.mean() == pytest.approx(wanted, rel=1e-12)


def test_the_meter_waits_for_numbers_and_not_for_examples(monkeypatch):
    monkeypatch.setattr(training, "COST_NUMBERS", 60)
    calls, meter = [], CostMeter("categorical_cross_entropy")
    monkeypatch.setattr(training, "compute_cost", lambda AL, *_, **__: calls.append(AL.shape) or 0.0)
    for m in (4, 4, 25, 4):
        meter.add(Outputs(*np.full((3, 3, m), 1 / 3), None))
    assert calls == [(3, 33)]
    meter.add(Outputs(*np.full((3, 3, 20), 1 / 3), None))
    assert calls == [(3, 33), (3, 24)]


def test_outputs_that_need_no_joining_are_not_copied():
    outputs = Outputs(*np.full((3, 3, 4), 1 / 3), None)
    assert Outputs.joined([outputs]) is outputs


def test_the_meter_gives_0_for_examples_that_weigh_nothing():
    meter = CostMeter("categorical_cross_entropy")
    assert meter.mean() == 0
    meter.add(Outputs(*np.full((2, 3, 2), 1 / 3), np.eye(3)[:, :2], np.zeros(2)))
    assert meter.mean() == 0


# What a step costs, in numbers that no clock has a part in.


def prepare_step(network, batch_size, n_batches, optimizer="adam", sample_weight=None, **options):
    """Return a `GradientStep` in single precision, or `SearchStep`, and the positions of its batches."""
    rng, m = np.random.default_rng(0), batch_size * n_batches
    n_0, n_L = network.layer_dims[0], network.layer_dims[-1]
    X, Y = rng.normal(size=(m, n_0)).astype(np.float32).T, rng.integers(n_L, size=(1, m))
    if network.loss == "binary_cross_entropy":
        Y = np.eye(n_L, dtype=np.intp)[:, Y[0]]
    recipe = recipe_of(optimizer, batch_size=batch_size, **options)
    state = start(network, recipe, dtype=np.float32)
    state.adopt_optimizer(recipe.optimizer)
    batches = Batches(Examples(X, Y, sample_weight), network, recipe, np.dtype(np.float32))
    kind = training.SearchStep if recipe.optimizer.full_batch else GradientStep
    return kind(state, batches, network, recipe, ThreadPool(1)), list(batches.epoch(rng))


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
    """Return where functions of the package hold or return arrays of double precision, but those that were given."""
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
    step, pieces = prepare_step(network, 12, 2, optimizer, sample_weight=weight, **PENALISED)
    for positions in pieces:
        found = double_arrays_of(lambda positions=positions: step(positions, 0.01), [weight])
        assert not found
    state, backpropagate = step.state, step.backpropagate
    everything = [backpropagate.caches, backpropagate.vectors, dict(state.parameters), state.parameters.vector]
    if optimizer != "lbfgs":  # which reckons in double precision for itself
        everything.append(state.optimizer_state)
    assert {array.dtype for array in arrays_in(everything)} == {np.dtype(np.float32)}


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


@pytest.mark.parametrize("name", FIRST_ORDER)
@pytest.mark.parametrize(
    ("architecture", "options", "most"),
    [  # a quarter more than Python 3.11 counted for "adam": 119, 148 and 135
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

    step(first, 0.01)
    step(second, 0.01)
    with profile(count):
        step(third, 0.01)
    assert 50 < n_calls <= most


@pytest.mark.parametrize(("activation", "n_kept"), [("relu", 1), ("tanh", 1), ("gelu", 3)])
def test_a_step_holds_little_more_than_its_caches(peak_bytes, activation, n_kept):
    step, pieces = prepare_step(Network((64, 128, 128, 10), activation=activation), 512, 4)
    layer = 128 * 512 * 4  # bytes of a hidden layer's activations
    # two are the inputs of all four batches, gathered at once with their targets. On the way back through the last
    # hidden layer: dA, dZ, and what g' is made of
    caches, working = (2 * n_kept + 2.25) * layer, 5 * layer
    assert peak_bytes(step, pieces[0], 0.01) < caches + working

    def take_steps():
        for positions in pieces:
            step(positions, 0.01)

    assert peak_bytes(take_steps) < caches + working
