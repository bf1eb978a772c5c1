"""What one update does to the parameters."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from training_cases import FIRST_ORDER, PENALISED, M, backpropagate, fit, initial_state, recipe_of

from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.model import model_forward, running_statistics
from sklearn_deepnn.network.parameters import Parameters
from sklearn_deepnn.training.examples import Examples
from sklearn_deepnn.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam
from sklearn_deepnn.training.recipe import Recipe
from sklearn_deepnn.training.schedules import SCHEDULES

# Gradient steps.


def first_gradient(examples, network, **options):
    """Return the initial parameters and their gradient over all examples."""
    parameters = initial_state(network).parameters
    return parameters, backpropagate(examples, slice(None), parameters, network, **options)[0].vector


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
    grads, _ = backpropagate(examples, slice(None), state.parameters, network)
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


# Parameters that a callback replaces.


class ChangeParameters(Callback):
    """Shrink the parameters between two epochs: in place, or in a copy that replaces them."""

    def __init__(self, hook, replaces):
        setattr(self, hook, self.change)
        self.replaces, self.replaced = replaces, []

    def change(self, run):
        if self.replaces:
            self.replaced.append((run.state.parameters, run.state.parameters.vector.copy()))
            run.state.parameters = run.state.parameters.copy()
        run.state.parameters.vector *= 0.9


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end"])
@pytest.mark.parametrize("n_chunks", [1, 4])
@pytest.mark.parametrize("n_bytes", [2**20, 56], ids=["one block", "several blocks"])
@pytest.mark.parametrize("options", [{}, {"averaging_epochs": 1.5, **PENALISED}], ids=["plain", "averaged"])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_continues_with_parameters_that_a_callback_assigns(
    examples, network, split_into, block_bytes, name, batch_norm, options, n_bytes, n_chunks, hook
):
    network, recipe = replace(network, batch_norm=batch_norm), recipe_of(name, batch_size=10, **options)
    split_into(n_chunks)
    block_bytes(n_bytes)
    in_place, assigned = ChangeParameters(hook, replaces=False), ChangeParameters(hook, replaces=True)
    wanted, found = (fit(examples, network, recipe, callbacks=[callback]) for callback in (in_place, assigned))
    np.testing.assert_equal(found.to_dict(), wanted.to_dict() | {"memories": found.memories})
    assert not np.array_equal(found.parameters.vector, fit(examples, network, recipe).parameters.vector)
    assert len(assigned.replaced) == 5
    for parameters, before in assigned.replaced:  # nobody writes to parameters that have been replaced
        np.testing.assert_array_equal(parameters.vector, before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_continues_with_new_values_that_a_callback_assigns(examples, network, name):
    class Restart(Callback):
        def on_epoch_end(self, run):
            if run.state.epoch == 2:
                run.state.parameters = Parameters(dict(initial_state(network, seed=3).parameters))
                run.state.optimizer_state = recipe.optimizer.init(run.state.parameters.trainable)

    recipe = recipe_of(name, shuffle=False)
    restarted = fit(examples, network, recipe, n_epochs=3, callbacks=[Restart()])
    alone = fit(examples, network, recipe, n_epochs=1, seed=3)
    np.testing.assert_array_equal(restarted.parameters.vector, alone.parameters.vector)


# The whole vector, or blocks.


@pytest.fixture
def sizes_of_updates(monkeypatch):
    """Register an elementwise optimizer and another one. Return the lengths of the vectors that each updates."""
    sizes = {"elementwise": [], "whole": []}

    @dataclass(frozen=True)
    class Elementwise(SGD):
        def update(self, parameters, grads, state, learning_rate):
            sizes["elementwise"].append(parameters.size)
            super().update(parameters, grads, state, learning_rate)

    @dataclass(frozen=True)
    class Whole(SGD):
        """Step by a fixed distance, for which it needs the norm of the whole gradient."""

        elementwise: ClassVar[bool] = False

        def update(self, parameters, grads, state, learning_rate):
            sizes["whole"].append(parameters.size)
            super().update(parameters, grads / np.linalg.norm(grads), state, learning_rate)

    for name, optimizer in (("elementwise", Elementwise), ("whole", Whole)):
        monkeypatch.setitem(OPTIMIZERS, name, optimizer)
    return sizes


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_an_optimizer_that_is_not_elementwise_gets_the_whole_vector(
    examples, network, split_into, block_bytes, sizes_of_updates, n_chunks
):
    split_into(n_chunks)
    whole = fit(examples, network, recipe_of("whole", **PENALISED))
    block_bytes(56)
    found = fit(examples, network, recipe_of("whole", **PENALISED))
    n_parameters = whole.parameters.trainable.size
    assert sizes_of_updates == {"elementwise": [], "whole": [n_parameters] * 10}
    np.testing.assert_array_equal(found.parameters.vector, whole.parameters.vector)


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_an_elementwise_optimizer_gets_blocks(examples, network, split_into, block_bytes, sizes_of_updates, n_chunks):
    split_into(n_chunks)
    block_bytes(56)
    state = fit(examples, network, recipe_of("elementwise"), n_epochs=2)
    sizes = sizes_of_updates["elementwise"]
    assert sum(sizes) == 2 * state.parameters.trainable.size
    assert max(sizes) <= 56 // 8
    assert len(sizes) % (2 * n_chunks) == 0  # as many blocks for each thread
