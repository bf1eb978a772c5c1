"""What one update does to the parameters."""

from dataclasses import replace

import numpy as np
import pytest
from training_cases import FIRST_ORDER, M, fit, initial_state, recipe_of

from sklearn_deepnn.network.model import Network, model_forward, running_statistics
from sklearn_deepnn.training.loop import Examples, Recipe, draw_batch, evaluate
from sklearn_deepnn.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam
from sklearn_deepnn.training.schedules import SCHEDULES

# Gradient steps.


def first_gradient(examples, network, **options):
    """Return the initial parameters and their gradient over all examples."""
    parameters = initial_state(network).parameters
    batch = draw_batch(examples, slice(None), network, np.float64, **options)
    return parameters, evaluate(batch, parameters, network, out=parameters.gradients())[1].vector


def test_a_step_of_gradient_descent_follows_the_negative_gradient(network, examples):
    parameters, gradient = first_gradient(examples, network)
    state = fit(examples, network, Recipe(SGD(), 0.1), n_epochs=1)
    np.testing.assert_allclose(state.parameters.vector, parameters.vector - 0.1 * gradient, rtol=1e-13)


def test_label_smoothing_changes_the_gradient(network, examples):
    parameters, gradient = first_gradient(examples, network, label_smoothing=0.3)
    state = fit(examples, network, Recipe(SGD(), 0.1, label_smoothing=0.3), n_epochs=1)
    np.testing.assert_allclose(state.parameters.vector, parameters.vector - 0.1 * gradient, rtol=1e-13)
    assert np.abs(gradient - first_gradient(examples, network)[1]).max() > 0.01


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
def test_weight_decay_shrinks_weights_and_no_biases_whatever_the_gradient(network, examples, optimizer):
    plain = fit(examples, network, Recipe(optimizer, 0.1), n_epochs=1).parameters
    decayed = fit(examples, network, Recipe(optimizer, 0.1, weight_decay=0.5), n_epochs=1).parameters
    before = initial_state(network).parameters
    np.testing.assert_allclose(decayed.weights, plain.weights - 0.05 * before.weights, rtol=1e-12)
    for name in ("b1", "b2", "b3"):
        np.testing.assert_array_equal(decayed[name], plain[name])


def test_clipping_shortens_the_step_and_keeps_its_direction(network, examples):
    parameters, gradient = first_gradient(examples, network)
    state = fit(examples, network, Recipe(SGD(), 1.0, max_grad_norm=1e-3), n_epochs=1)
    step = state.parameters.vector - parameters.vector
    np.testing.assert_allclose(step, -1e-3 * gradient / np.linalg.norm(gradient), rtol=1e-9, atol=1e-15)


def test_clipping_does_not_change_short_gradients(network, examples):
    clipped = fit(examples, network, Recipe(SGD(), 0.1, max_grad_norm=1e6))
    np.testing.assert_array_equal(
        clipped.parameters.vector, fit(examples, network, Recipe(SGD(), 0.1)).parameters.vector
    )


def test_an_ensemble_is_clipped_by_the_mean_norm_of_its_members(examples, network):
    ensemble, most = replace(network, ensemble_size=3), 1e-3
    state, before = fit(examples, ensemble, Recipe(SGD(), 1.0, max_grad_norm=most), n_epochs=1), initial_state(ensemble)
    step = state.parameters.vector - before.parameters.vector
    assert np.linalg.norm(step) == pytest.approx(most * np.sqrt(3), rel=1e-9)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_weighted_example_equals_a_repeated_example(examples, network, name, batch_norm):
    network = replace(network, batch_norm=batch_norm)
    copies = np.random.default_rng(1).integers(1, 4, M)
    recipe = recipe_of(name, weight_decay=1e-3, label_smoothing=0.1, max_grad_norm=0.5)
    weighted = fit(examples._replace(sample_weight=copies / copies.mean()), network, recipe, n_epochs=10)
    repeated = Examples(np.repeat(examples.X, copies, axis=1), np.repeat(examples.Y, copies, axis=1))
    wanted = fit(repeated, network, recipe, n_epochs=10)
    np.testing.assert_allclose(weighted.parameters.vector, wanted.parameters.vector, atol=1e-7)
    np.testing.assert_allclose(weighted.history["cost"], wanted.history["cost"], atol=1e-7)


def test_running_statistics_start_as_the_mean_of_the_batches_so_far(examples):
    network, recipe = Network((4, 5, 3), batch_norm=True), Recipe(SGD(), 1e-300, batch_size=10, shuffle=False)
    parameters = fit(examples, network, recipe, n_epochs=1).parameters
    Z = parameters["W1"] @ examples.X
    means = [Z[:, batch].mean(axis=1) for batch in (slice(0, 10), slice(10, 20), slice(20, M))]
    np.testing.assert_allclose(parameters["running_mean1"][:, 0], np.mean(means, axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_the_cost(examples, network, name):
    state = fit(examples, network, recipe_of(name, batch_size=10), n_epochs=30)
    assert state.history["cost"][-1] < state.history["cost"][0]


# The learning rate.


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedule_gives_the_rate_of_every_step(network, examples, name):
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


# Precision.


@pytest.mark.parametrize("schedule", [*SCHEDULES, lambda step: np.float64(0.01)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_in_single_precision_stays_in_single_precision(examples, name, schedule):
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
def test_single_precision_trains_as_double_precision(examples, network, name):
    recipe = recipe_of(name, batch_size=10)
    single = fit(examples, network, recipe, dtype=np.float32)
    np.testing.assert_allclose(single.history["cost"], fit(examples, network, recipe).history["cost"], rtol=1e-3)


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
def test_lbfgs_ignores_the_schedule_and_records_a_constant_rate(examples, schedule):
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
