"""The moving average of the parameters."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from training_cases import backpropagate, draw_examples, fit, initial_state, recipe_of, restored

from sklearn_deepnn.network.model import running_statistics
from sklearn_deepnn.training.costs import mean_cost
from sklearn_deepnn.training.loop import train
from sklearn_deepnn.training.optimizers import SGD
from sklearn_deepnn.training.recipe import Recipe
from sklearn_deepnn.training.updates import move_average


def test_move_average_moves_by_a_fraction_of_the_distance():
    average, vector = np.array([1.0, 2.0]), np.array([3.0, -2.0])
    move_average(average, vector, 0.25)
    np.testing.assert_array_equal(average, [1.5, 1])
    np.testing.assert_array_equal(vector, [3, -2])
    move_average(average, vector, 1.0)
    np.testing.assert_array_equal(average, vector)


def averaged_descent(examples, network, recipe, n_epochs):
    """Return parameters of gradient descent through batches in order, and their average, one step at a time."""
    parameters = {name: array.copy() for name, array in initial_state(network).parameters.items()}
    average, step = dict(parameters), 0
    starts = range(0, examples.n, recipe.batch_size)
    for _ in range(n_epochs):
        for first in starts:
            columns = np.arange(first, min(first + recipe.batch_size, examples.n))
            grads, caches = backpropagate(examples, columns, parameters, network)
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
def test_the_kept_parameters_are_the_average_of_all_steps(examples, network, averaging_epochs, options):
    network = replace(network, **options)
    recipe = Recipe(SGD(), 0.1, batch_size=5, shuffle=False, averaging_epochs=averaging_epochs)
    state = fit(examples, network, recipe, n_epochs=10)
    parameters, average = averaged_descent(examples, network, recipe, n_epochs=10)
    kept = state.kept_parameters()
    for name, array in parameters.items():
        np.testing.assert_allclose(state.parameters[name], array, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(kept[name], average[name], rtol=1e-9, atol=1e-12)
        assert not np.allclose(kept[name], array, rtol=1e-4)


def test_averaging_does_not_change_the_trained_parameters(examples, network):
    averaged, plain = (
        fit(examples, network, recipe_of("adam", batch_size=5, averaging_epochs=epochs)) for epochs in (2.0, 0.0)
    )
    np.testing.assert_array_equal(averaged.parameters.vector, plain.parameters.vector)
    assert plain.average is None
    assert plain.kept_parameters() is plain.parameters


def test_validation_sees_the_averaged_parameters(examples, network):
    seen, recipe = [], recipe_of("adam", batch_size=5, averaging_epochs=2.0)

    def validate(parameters):
        seen.append(parameters.vector.copy())
        return {"validation_cost": [3.0, 1.0, 2.0][len(seen) - 1]}

    state = fit(examples, network, recipe, n_epochs=3, validate=validate)
    for n_epochs, vector in enumerate(seen, start=1):
        np.testing.assert_array_equal(vector, fit(examples, network, recipe, n_epochs=n_epochs).average.vector)
    np.testing.assert_array_equal(state.kept_parameters().vector, seen[1])


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_resumed_averaged_training_equals_an_uninterrupted_one(examples, network, batch_norm):
    network, validation = replace(network, batch_norm=batch_norm, ensemble_size=3), draw_examples(seed=5)
    recipe = recipe_of("adam", schedule="cosine", batch_size=10, averaging_epochs=2.0)
    options = {"horizon": 8, "validate": lambda given: {"validation_cost": mean_cost(validation, given, network)}}
    whole = fit(examples, network, recipe, n_epochs=8, **options)
    state = fit(examples, network, recipe, n_epochs=3, **options)
    resumed = restored(pickle.loads(pickle.dumps(state.to_dict())), network)
    train(resumed, examples, network, recipe, n_epochs=5, **options)
    np.testing.assert_array_equal(resumed.average.vector, whole.average.vector)
    np.testing.assert_array_equal(resumed.parameters.vector, whole.parameters.vector)
    assert resumed.history == whole.history


def test_the_average_is_dropped_when_averaging_epochs_becomes_0(examples, network):
    plain, averaged = (recipe_of("adam", batch_size=5, averaging_epochs=epochs) for epochs in (0.0, 2.0))
    state = fit(examples, network, plain)
    train(state, examples, network, averaged, n_epochs=1)
    assert state.average is not None
    train(state, examples, network, plain, n_epochs=1)
    assert state.average is None


def test_full_batch_optimizers_are_not_averaged(examples, network):
    state = fit(examples, network, recipe_of("lbfgs", averaging_epochs=2.0))
    assert state.kept_parameters() is state.parameters
