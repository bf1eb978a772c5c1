"""What `TrainingState` saves and restores, its snapshots, and the best epoch."""

import copy
import pickle

import numpy as np
import pytest
from training_cases import ALL_OPTIONS, CountEpochs, fit, initial_state, recipe_of, saved_copy, validate_by

from sklearn_deepnn.network.parameters import Parameters
from sklearn_deepnn.training.loop import TrainingState, judged, train
from sklearn_deepnn.training.optimizers import OPTIMIZERS

# Saving and restoring.


def test_a_restored_state_has_the_best_and_the_last_parameters(examples, network):
    state = fit(examples, network, recipe_of("adam"), n_epochs=3, validate=validate_by([3.0, 1.0, 2.0]))
    kept = Parameters(state.parameters)
    kept.vector[...] = state.best_vector
    restored = TrainingState.from_dict(state.to_dict(), kept)
    assert not np.array_equal(state.best_vector, state.parameters.vector)
    np.testing.assert_array_equal(restored.best_vector, state.best_vector)
    np.testing.assert_array_equal(restored.parameters.vector, state.parameters.vector)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_continues_from_its_own_state_and_not_from_another_s(network, name):
    state = initial_state(network)
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


def test_a_saved_state_does_not_change_when_training_continues(examples, network):
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


# Snapshots.


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_from_a_restored_snapshot_repeats_to_the_bit(stochastic_case, name, validated):
    network, examples, validate = stochastic_case
    recipe, options = recipe_of(name, **ALL_OPTIONS), {"validate": validate if validated else None, "horizon": 8}
    state = fit(examples, network, recipe, n_epochs=3, callbacks=[CountEpochs()], **options)
    snapshot, before = state.mark(whole=True), saved_copy(state)
    train(state, examples, network, recipe, n_epochs=5, callbacks=[CountEpochs()], **options)
    after = saved_copy(state)
    assert not np.array_equal(after["vectors"]["last"], before["vectors"]["last"])
    assert after["memories"]["CountEpochs 1"]["n_epochs"] == 5
    state.return_to(snapshot)
    np.testing.assert_equal(saved_copy(state), before)
    train(state, examples, network, recipe, n_epochs=5, callbacks=[CountEpochs()], **options)
    np.testing.assert_equal(saved_copy(state), after)


@pytest.mark.parametrize("averaging_epochs", [0.0, 1.5])
@pytest.mark.parametrize("validated", [False, True])
def test_a_small_snapshot_restores_the_kept_parameters(stochastic_case, validated, averaging_epochs):
    network, examples, validate = stochastic_case
    recipe = recipe_of("adam", batch_size=10, averaging_epochs=averaging_epochs)
    options = {"validate": validate if validated else None}
    state = fit(examples, network, recipe, n_epochs=3, **options)
    kept, before, snapshot = (
        Parameters(state.kept_parameters()),
        state.to_dict(resumable=False),
        state.mark(whole=False),
    )
    before, n_vectors = copy.deepcopy(before), sum(isinstance(entry, np.ndarray) for entry in snapshot.values())
    assert n_vectors == 1  # of the best epoch, which is not copied, or of the current epoch
    assert snapshot["best_vector"] is state.best_vector
    train(state, examples, network, recipe, n_epochs=5, **options)
    state.return_to(snapshot)
    np.testing.assert_array_equal(state.kept_parameters().vector, kept.vector)
    np.testing.assert_equal(state.to_dict(resumable=False), before)


def test_a_snapshot_does_not_change_with_the_state(examples, network):
    state = fit(examples, network, recipe_of("adam", averaging_epochs=2.0), validate=validate_by(range(5)))
    snapshot = state.mark(whole=True)
    before = copy.deepcopy(snapshot)
    train(state, examples, network, recipe_of("adam", averaging_epochs=2.0), n_epochs=3, validate=validate_by([-9] * 9))
    np.testing.assert_equal(snapshot, before)


# The best epoch.


def test_the_parameters_of_the_best_epoch_are_kept(examples, network):
    recipe = recipe_of("adam", batch_size=10)
    state = fit(examples, network, recipe, n_epochs=5, validate=validate_by([3.0, 1.0, 2.0, 1.0, 5.0]))
    assert (state.best_epoch, judged(state.best_values)) == (2, 1.0)
    assert state.best_values["validation_cost"] == 1.0
    np.testing.assert_array_equal(state.best_vector, fit(examples, network, recipe, n_epochs=2).parameters.vector)
    assert state.history["validation_cost"] == [3.0, 1.0, 2.0, 1.0, 5.0]


def test_without_validation_no_best_parameters_are_kept(examples, network):
    state = fit(examples, network, recipe_of("adam"))
    assert state.best_vector is None
    assert set(state.history) == {"cost", "learning_rate"}
