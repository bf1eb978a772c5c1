import pickle
from dataclasses import replace

import numpy as np
import pytest
import reference
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_deepnn.losses import LOSSES
from sklearn_deepnn.network import Network, initialize_parameters, model_forward, running_statistics
from sklearn_deepnn.optimizers import LBFGS, OPTIMIZERS, SGD, Adam
from sklearn_deepnn.parameters import Parameters
from sklearn_deepnn.schedules import SCHEDULES
from sklearn_deepnn.training import (
    Batches,
    Examples,
    Recipe,
    TrainingState,
    draw_batch,
    evaluate,
    judged,
    mean_cost,
    train,
    train_deep_network,
)

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
        network.layer_dims, activation=network.activation, batch_norm=network.batch_norm, rng=rng, dtype=dtype
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
    orders = [np.concatenate(list(batches.epoch(rng))).tolist() for _ in range(3)]
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
    assert saved["last_vector"] is None


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
    with pytest.raises(ValueError, match=r"diverged.*learning_rate \(it was 1e\+200\).*StandardScaler.*max_grad_norm"):
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
