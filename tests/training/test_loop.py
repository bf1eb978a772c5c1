"""`train`: its history, resuming, stopping, callbacks that fail, validation and divergence."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from training_cases import (
    ALL_OPTIONS,
    CountEpochs,
    M,
    draw_examples,
    fit,
    initial_state,
    recipe_of,
    saved_copy,
    validate_by,
)

from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.network.model import Network
from sklearn_deepnn.network.parameters import Parameters
from sklearn_deepnn.training.loop import Examples, Recipe, TrainingState, judged, mean_cost, train
from sklearn_deepnn.training.optimizers import OPTIMIZERS, SGD


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


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("earlier", [0, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_interrupted_call_is_completed_when_it_is_resumed(stochastic_case, name, earlier, validated):
    class Save(Callback):
        def on_epoch_end(self, run):
            saved.append(pickle.dumps((run.state.to_dict(cut_off=True), dict(run.state.kept_parameters()))))

    network, examples, validate = stochastic_case
    recipe, saved, options = recipe_of(name, **ALL_OPTIONS), [], {"validate": validate if validated else None}
    state = initial_state(network)
    if earlier:
        train(state, examples, network, recipe, n_epochs=earlier, callbacks=[Save()], **options)
        saved.clear()
    train(state, examples, network, recipe, n_epochs=5, callbacks=[Save()], **options)
    assert (state.first_epoch, state.epoch, len(saved)) == (earlier, earlier + 5, 5)
    for saved_state in saved:
        resumed = TrainingState.from_dict(*pickle.loads(saved_state))
        train(resumed, examples, network, recipe, n_epochs=5, callbacks=[Callback()], resume=True, **options)
        np.testing.assert_equal(saved_copy(resumed) | {"memories": {}}, saved_copy(state) | {"memories": {}})


def test_a_call_that_a_callback_stopped_trains_no_more_when_it_is_resumed(examples, network):
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


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_after_an_error_callbacks_and_state_are_at_the_last_complete_epoch(examples, network, error, whole):
    class Fail(CountEpochs):
        def on_epoch_end(self, run):
            super().on_epoch_end(run)
            if run.state.epoch == 4:
                raise error

        def on_train_end(self, run):
            seen.append((run.state.epoch, run.memory["n_epochs"], run.state.memories["Fail 1"] is run.memory))

    state, recipe, seen = initial_state(network), recipe_of("adam", batch_size=10), []
    with pytest.raises(error):
        train(state, examples, network, recipe, n_epochs=6, callbacks=[Fail()], resumable=whole)
    wanted = fit(examples, network, recipe, n_epochs=3)
    np.testing.assert_array_equal(state.parameters.vector, wanted.parameters.vector)
    assert state.history == wanted.history
    assert state.rng.bit_generator.state == wanted.rng.bit_generator.state
    assert seen == [(3, 3 if whole else 4, True)]  # memories are restored only in a training that can be resumed


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
    assert judged(values) == wanted


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
    with pytest.raises(ValueError, match=r"diverged.*scale_inputs.*learning_rate \(it was 1e\+200\) or max_grad"):
        fit(examples, network, far_too_fast(batch_size=5))


def test_divergence_after_a_good_epoch_restores_that_epoch_and_warns(examples, network):
    network = replace(network, activation="relu")
    recipe = far_too_fast(schedule=lambda step: 0.1 if step < 2 else 1e200)
    with pytest.warns(ConvergenceWarning, match=r"diverged.*epoch 2 are kept.*learning_rate_schedule"):
        state = fit(examples, network, recipe, n_epochs=9, validate=validate_by([2.0, 1.0, 3.0]))
    assert state.best_epoch == 2
    assert state.finite
    assert np.array_equal(state.parameters.vector, state.best_vector)
    assert state.optimizer_state is None


def test_a_cost_that_explodes_but_stays_finite_warns(examples):
    with pytest.warns(ConvergenceWarning, match=r"diverged: the cost began at .*; guessing costs .*learning_rate"):
        state = fit(examples, Network((4, 3)), Recipe(SGD(), learning_rate=1e4, batch_size=5))
    assert state.finite


def test_clipping_prevents_the_divergence(examples, network):
    network, recipe = replace(network, activation="relu"), Recipe(SGD(), learning_rate=1e200, max_grad_norm=1e-201)
    assert fit(examples, network, recipe).finite


def test_noise_that_cannot_be_learned_is_not_called_divergence():
    rng = np.random.default_rng(0)
    noise = Examples(rng.normal(size=(4, M)), rng.integers(3, size=(1, M)))
    assert fit(noise, Network((4, 3)), recipe_of("sgd", batch_size=5), n_epochs=50).finite
