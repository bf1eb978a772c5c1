"""`train`: its history, resuming, stopping, callbacks that fail, validation, divergence, and the calls beneath it."""

import pickle
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from one_network import one_network
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from training_cases import (
    ALL_OPTIONS,
    CountEpochs,
    M,
    draw_examples,
    fit,
    initial_state,
    recipe_of,
    restored,
    unscale,
    validate_by,
)

from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.layers import dense
from sklearn_deepnn.training.costs import mean_cost
from sklearn_deepnn.training.examples import Examples
from sklearn_deepnn.training.loop import train
from sklearn_deepnn.training.optimizers import OPTIMIZERS, SGD
from sklearn_deepnn.training.recipe import Recipe
from sklearn_deepnn.training.state import monitored_value


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_seed_gives_the_same_parameters(examples, name):
    network, recipe = Network((4, 5, 3), dropout_rate=0.3, batch_norm=True), recipe_of(name, batch_size=10)
    first, second, other = (fit(examples, network, recipe, seed=seed).parameters.vector for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


# Resuming and stopping.


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
    resumed = restored(pickle.loads(pickle.dumps(state.to_dict())), network)
    train(resumed, examples, network, recipe, n_epochs=5, **options)
    np.testing.assert_array_equal(resumed.parameters.vector, whole.parameters.vector)
    assert resumed.history == whole.history
    assert resumed.rng.bit_generator.state == whole.rng.bit_generator.state
    np.testing.assert_equal(resumed.optimizer_state, whole.optimizer_state)
    if validated:
        assert resumed.best_epoch == whole.best_epoch
        np.testing.assert_array_equal(resumed.best.vector, whole.best.vector)


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("earlier", [0, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_interrupted_call_is_completed_when_it_is_resumed(stochastic_case, name, earlier, validated):
    class Save(Callback):
        def on_epoch_end(self, run):
            saved.append(pickle.dumps(run.state.to_dict()))

    network, examples, validate = stochastic_case
    recipe, saved, options = recipe_of(name, **ALL_OPTIONS), [], {"validate": validate if validated else None}
    state = initial_state(network)
    if earlier:
        train(state, examples, network, recipe, n_epochs=earlier, callbacks=[Save()], **options)
        saved.clear()
    train(state, examples, network, recipe, n_epochs=5, callbacks=[Save()], **options)
    assert (state.call.first_epoch, state.epoch, len(saved)) == (earlier, earlier + 5, 5)
    for saved_state in saved:
        resumed = restored(pickle.loads(saved_state), network)
        train(resumed, examples, network, recipe, n_epochs=5, callbacks=[Callback()], resume=True, **options)
        np.testing.assert_equal(resumed.to_dict() | {"memories": {}}, state.to_dict() | {"memories": {}})


def test_a_call_that_a_callback_stopped_trains_no_more_when_it_is_resumed(examples, network):
    class StopAt(Callback):
        def on_epoch_end(self, run):
            return run.state.epoch == 3

    recipe = recipe_of("adam")
    state = fit(examples, network, recipe, n_epochs=9, callbacks=[StopAt()])
    assert (state.epoch, state.call.stopped_by) == (3, "StopAt")
    resumed = restored(state.to_dict(), network)
    train(resumed, examples, network, recipe, n_epochs=9, resume=True)
    assert resumed.epoch == 3
    train(resumed, examples, network, recipe, n_epochs=2)
    assert (resumed.epoch, resumed.call.stopped_by) == (5, "")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_after_an_error_callbacks_and_state_are_at_the_last_complete_epoch(examples, network, error):
    class Fail(CountEpochs):
        def on_epoch_end(self, run):
            super().on_epoch_end(run)
            if run.state.epoch == 4:
                raise error

        def on_train_end(self, run):
            seen.append((run.state.epoch, run.memory["n_epochs"], run.failed))

    state, recipe, seen = initial_state(network), recipe_of("adam", batch_size=10), []
    with pytest.raises(error):
        train(state, examples, network, recipe, n_epochs=6, callbacks=[Fail()])
    wanted = fit(examples, network, recipe, n_epochs=3)
    np.testing.assert_array_equal(state.parameters.vector, wanted.parameters.vector)
    assert state.history == wanted.history
    assert state.rng.bit_generator.state == wanted.rng.bit_generator.state
    assert state.memories == {"Fail 1": {"n_epochs": 3}}
    assert seen == [(3, 3, error is RuntimeError)]


# Validation.


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"cost": 3.0}, 3.0),
        ({"cost": 3.0, "validation_cost": 2.0}, 2.0),
        ({"cost": 3.0, "validation_cost": 2.0, "validation_score": 0.75}, -0.75),
    ],
)
def test_the_monitored_value_is_the_score_or_the_validation_cost_or_the_cost(values, wanted):
    assert monitored_value(values) == wanted


@pytest.mark.parametrize(
    ("monitor", "best_epoch"), [("auto", 2), ("validation_score", 2), ("validation_cost", 3), ("cost", 5)]
)
def test_the_monitor_chooses_the_epoch_that_is_kept(examples, network, monitor, best_epoch):
    curves = {"validation_cost": [3.0, 2.0, 1.0, 4.0, 5.0], "validation_score": [0.1, 0.9, 0.2, 0.3, 0.4]}
    epochs = zip(*curves.values())
    options = {"validate": lambda parameters: dict(zip(curves, next(epochs))), "monitor": monitor}
    state = fit(examples, network, Recipe(SGD(), 0.1), **options)
    assert state.best_epoch == best_epoch


@pytest.mark.parametrize(("validated", "keeps_best"), [(True, False), (False, True)])
def test_keeps_best_says_whether_the_best_epoch_is_kept(examples, network, validated, keeps_best):
    options = {"validate": validate_by(range(5)) if validated else None, "keeps_best": keeps_best}
    assert (fit(examples, network, Recipe(SGD(), 0.1), **options).best is not None) == keeps_best


def test_the_history_has_nan_for_epochs_without_validation(examples, network):
    recipe = recipe_of("adam")
    state = fit(examples, network, recipe, n_epochs=2)
    train(state, examples, network, recipe, n_epochs=1, validate=validate_by([0.5]))
    np.testing.assert_array_equal(state.history["validation_cost"], [np.nan, np.nan, 0.5])


# Divergence.


def far_too_fast(**options):
    return Recipe(SGD(), learning_rate=1e200, **options)


def test_divergence_is_an_error_that_names_the_learning_rate(examples, network):
    network = replace(network, activation="relu")
    with pytest.raises(ValueError, match=r"diverged.*Try a lower learning_rate \(it was 1e\+200\) or max_grad"):
        fit(examples, network, far_too_fast(batch_size=5))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_divergence_on_large_inputs_names_their_scaling_too(examples, network, container):
    network, large = replace(network, activation="relu"), examples._replace(X=container(100 * examples.X))
    with pytest.raises(ValueError, match=r"Try inputs scaled.*scale_inputs.*learning_rate \(it was 1e\+200\) or max"):
        fit(large, network, far_too_fast(batch_size=5))
    with pytest.raises(ValueError, match=r"Try a lower learning_rate"):
        fit(unscale(examples), network, far_too_fast(batch_size=5))


def test_divergence_after_a_good_epoch_restores_that_epoch_and_warns(examples, network):
    network = replace(network, activation="relu")
    recipe = far_too_fast(schedule=lambda step: 0.1 if step < 2 else 1e200)
    with pytest.warns(ConvergenceWarning, match=r"diverged.*epoch 2 are kept.*learning_rate_schedule"):
        state = fit(examples, network, recipe, n_epochs=9, validate=validate_by([2.0, 1.0, 3.0]))
    assert state.best_epoch == 2
    assert state.is_finite
    assert np.array_equal(state.parameters.vector, state.best.vector)
    assert state.optimizer_state is None


def test_a_cost_that_explodes_but_stays_finite_is_an_error(examples):
    with pytest.raises(ValueError, match=r"diverged: the cost began at .*; uniform probabilities cost .*learning_rate"):
        fit(examples, Network((4, 3)), Recipe(SGD(), learning_rate=1e4, batch_size=5))


@pytest.mark.parametrize("continues", [False, True])
@pytest.mark.parametrize("averaging_epochs", [0.0, 1.0])
def test_a_divergence_returns_to_the_parameters_before_it(examples, averaging_epochs, continues):
    rates = Recipe(SGD(), 1.0, schedule=lambda step: 1.0 if step < 4 else 1e6, averaging_epochs=averaging_epochs)
    network, wanted = Network((4, 3)), Recipe(SGD(), 1.0, averaging_epochs=averaging_epochs)
    with pytest.warns(ConvergenceWarning, match="The weights of epoch 4 are kept"):
        state = fit(examples, network, rates, n_epochs=9, continues=continues)
    np.testing.assert_array_equal(state.parameters.vector, fit(examples, network, wanted, n_epochs=4).current.vector)
    assert (state.epoch, state.best_epoch) == (9, 4)


def test_clipping_prevents_the_divergence(examples, network):
    network, recipe = replace(network, activation="relu"), Recipe(SGD(), learning_rate=1e200, max_grad_norm=1e-201)
    assert fit(examples, network, recipe).is_finite


def test_noise_that_cannot_be_learned_is_not_called_divergence():
    rng = np.random.default_rng(0)
    noise = Examples(rng.normal(size=(4, M)), rng.integers(3, size=(1, M)))
    assert fit(noise, Network((4, 3)), recipe_of("sgd", batch_size=5), n_epochs=50).is_finite


@pytest.mark.parametrize(("size", "n_warnings"), [(1e3, 1), (1.0, 0)])
def test_train_returns_the_warnings_that_it_issues(examples, size, n_warnings):
    state, recipe = initial_state(Network((4, 3))), Recipe(SGD(), 1e-9, batch_size=5)
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        returned = train(state, examples._replace(X=size * examples.X), Network((4, 3)), recipe, n_epochs=5)
    assert [finding.text for finding in returned] == [str(warning.message) for warning in issued]
    assert len(returned) == n_warnings


# The calls from `fit` to dW.


def names_up_to(outermost, frame):
    """Return the names of the package's functions on the stack, from a frame out to a function; the outermost first."""
    names = []
    while frame is not None and names[:1] != [outermost]:
        if frame.f_globals.get("__name__", "").startswith("sklearn_deepnn"):
            names.insert(0, frame.f_code.co_name)
        frame = frame.f_back
    return names


def test_six_functions_lead_from_fit_to_the_line_that_computes_dW(examples, monkeypatch):
    stacks, product = {}, dense.product

    def recorded(A, B, out=None):
        if out is not None:  # of dW and db
            stacks[out.shape] = names_up_to("fit", sys._getframe(1))
        return product(A, B, out=out)

    monkeypatch.setattr(dense, "product", recorded)
    one_network((5,), batch_size=None, max_iter=2, n_iter_no_change=9).fit(examples.X.T, examples.Y[0])
    down_to_model_backward = ["fit", "train", "backpropagate", "model_backward"]
    assert stacks[5, 4] == [*down_to_model_backward, "linear_activation_backward", "linear_backward"]  # dW1
    assert stacks[3, 5] == [*down_to_model_backward, "linear_backward"]  # dW2
