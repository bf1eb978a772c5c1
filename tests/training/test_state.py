"""What `TrainingState` saves and restores, its snapshots, and the best epoch."""

import copy
import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
from training_cases import ALL_OPTIONS, CountEpochs, fit, initial_state, recipe_of, restored, validate_by

from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.training.loop import train
from sklearn_deepnn.training.optimizers import OPTIMIZERS
from sklearn_deepnn.training.state import TrainingState, monitored_value, to_continue

# Saving and restoring.


def test_a_restored_state_has_the_best_and_the_last_parameters(examples, network):
    state = fit(examples, network, recipe_of("adam"), n_epochs=3, validate=validate_by([3.0, 1.0, 2.0]))
    other = restored(state.to_dict(), network)
    assert not np.array_equal(state.best.vector, state.parameters.vector)
    np.testing.assert_array_equal(other.best.vector, state.best.vector)
    np.testing.assert_array_equal(other.parameters.vector, state.parameters.vector)
    assert (other.best_epoch, other.best.values) == (state.best_epoch, state.best.values)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_continues_from_its_own_state_and_not_from_another_s(network, name):
    state = initial_state(network)
    state.optimizer_state = None
    state.adopt(OPTIMIZERS[name](), averages=False)
    adopted = state.optimizer_state
    state.adopt(OPTIMIZERS[name](), averages=False)
    assert state.optimizer_state is adopted
    for other in OPTIMIZERS:
        if other != name:
            state.optimizer_state, state.call.optimizer = adopted, OPTIMIZERS[name].__name__
            state.adopt(OPTIMIZERS[other](), averages=False)
            assert state.optimizer_state is not adopted


def test_a_saved_state_does_not_change_when_training_continues(examples, network):
    recipe = recipe_of("adam", batch_size=10)
    state = fit(examples, network, recipe)
    saved = state.to_dict()
    before = pickle.dumps(saved)
    for continued in (state, restored(saved, network)):
        train(continued, examples, network, recipe, n_epochs=2)
        np.testing.assert_equal(saved, pickle.loads(before))


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
    assert plain(state.to_dict(continues=False))


def arrays_in(value):
    """Return the arrays in nested dicts and lists."""
    if isinstance(value, (dict, list)):
        return [array for entry in (value.values() if isinstance(value, dict) else value) for array in arrays_in(entry)]
    return [value] if isinstance(value, np.ndarray) else []


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_without_large_fields_is_small(examples, network, name):
    recipe = recipe_of(name, batch_size=10, averaging_epochs=2.0)
    state = fit(examples, network, recipe, validate=validate_by(range(5)))
    saved = state.to_dict(continues=False)
    assert saved.keys() == state.to_dict().keys()
    assert saved["parameters"] is saved["optimizer_state"] is saved["average"] is saved["best"]["vector"] is None
    assert arrays_in(saved) == []


# Snapshots.


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_from_a_restored_snapshot_repeats_to_the_bit(stochastic_case, name, validated):
    network, examples, validate = stochastic_case
    recipe, options = recipe_of(name, **ALL_OPTIONS), {"validate": validate if validated else None, "horizon": 8}
    state = fit(examples, network, recipe, n_epochs=3, callbacks=[CountEpochs()], **options)
    before = state.to_dict()
    train(state, examples, network, recipe, n_epochs=5, callbacks=[CountEpochs()], **options)
    after = state.to_dict()
    assert not np.array_equal(after["parameters"], before["parameters"])
    assert after["history"]["cost"][:3] == before["history"]["cost"]
    state.restore(before)
    np.testing.assert_equal(state.to_dict(), before)
    train(state, examples, network, recipe, n_epochs=5, callbacks=[CountEpochs()], **options)
    np.testing.assert_equal(state.to_dict(), after)


def test_a_snapshot_from_before_training_restores_the_beginning(examples, network):
    recipe, state = recipe_of("adam", batch_size=10, averaging_epochs=2.0), initial_state(network)
    before = state.to_dict()
    assert before["optimizer_state"] is before["average"] is None
    train(state, examples, network, recipe, n_epochs=3)
    after = state.to_dict()
    state.restore(before)
    np.testing.assert_equal(state.to_dict(), before)
    train(state, examples, network, recipe, n_epochs=3)
    np.testing.assert_equal(state.to_dict(), after)


@pytest.mark.parametrize("averaging_epochs", [0.0, 1.5])
@pytest.mark.parametrize("validated", [False, True])
def test_a_small_snapshot_and_the_kept_parameters_restore_what_is_kept(stochastic_case, validated, averaging_epochs):
    network, examples, validate = stochastic_case
    recipe = recipe_of("adam", batch_size=10, averaging_epochs=averaging_epochs)
    state = fit(examples, network, recipe, n_epochs=3, validate=validate if validated else None)
    small = pickle.loads(pickle.dumps(state.to_dict(continues=False)))
    other = TrainingState(state.kept_parameters().copy(), np.random.default_rng(9)).restore(small)
    np.testing.assert_array_equal(other.kept_parameters().vector, state.kept_parameters().vector)
    np.testing.assert_equal(other.to_dict(continues=False), small)
    train(other, examples, network, recipe, n_epochs=2)
    assert other.epoch == 5


def test_a_snapshot_does_not_change_with_the_state(examples, network):
    recipe = recipe_of("adam", averaging_epochs=2.0)
    state = fit(examples, network, recipe, validate=validate_by(range(5)))
    snapshot = state.to_dict()
    before = copy.deepcopy(snapshot)
    train(state, examples, network, recipe, n_epochs=3, validate=validate_by([-9] * 9))
    np.testing.assert_equal(snapshot, before)


def test_a_snapshot_does_not_copy_the_parameters_of_the_best_epoch(examples, network):
    state = fit(examples, network, recipe_of("adam"), validate=validate_by(range(5)))
    assert state.to_dict()["best"]["vector"] is state.best.vector
    with pytest.raises(ValueError, match="read-only"):
        state.best.vector[0] = 1


# Fields that a subclass adds.


@dataclass
class LongerState(TrainingState):
    """A state with fields that no other code knows."""

    counts: np.ndarray = field(default_factory=lambda: np.zeros(3))
    notes: dict = field(default_factory=dict)
    total: float = 0.0
    trace: np.ndarray = field(default_factory=lambda: np.zeros(99), metadata=to_continue())

    @property
    def added(self):
        """Copies of the values of the fields that this class adds."""
        return copy.deepcopy([self.counts, self.notes, self.total, self.trace])


def longer_state(network):
    """Return a `LongerState` before the first epoch."""
    start = initial_state(network)
    return LongerState(start.parameters, start.rng)


class ChangeFields(Callback):
    """Change all added fields at a hook, in place where possible; raise in a given epoch."""

    def __init__(self, hook, error_in=None):
        setattr(self, hook, self.change)
        self.error_in = error_in

    def change(self, run):
        state = run.state
        state.counts[0] += 1
        state.trace -= 1
        state.notes.setdefault("epochs", {})[str(state.epoch)] = state.counts.copy()
        state.total += 0.5
        if state.epoch == self.error_in:
            raise LookupError


@pytest.mark.parametrize("continues", [False, True])
def test_fields_that_a_subclass_adds_are_saved_and_restored(examples, network, continues):
    state = longer_state(network)
    train(state, examples, network, recipe_of("adam"), n_epochs=3, callbacks=[ChangeFields("on_epoch_end")])
    saved = state.to_dict(continues=continues)
    wanted = [*state.added[:3], state.trace.copy() if continues else np.zeros(99)]
    assert saved["total"] == 1.5
    assert (saved["trace"] is None) == (not continues)
    train(state, examples, network, recipe_of("adam"), n_epochs=1, callbacks=[ChangeFields("on_epoch_end")])
    other = longer_state(network).restore(pickle.loads(pickle.dumps(saved)))
    np.testing.assert_equal(other.added, wanted)
    other = longer_state(network).restore(saved)
    train(other, examples, network, recipe_of("adam"), n_epochs=1, callbacks=[ChangeFields("on_epoch_end")])
    np.testing.assert_equal(longer_state(network).restore(saved).added, wanted)  # what was saved has not changed
    np.testing.assert_equal(other.added[:3], state.added[:3])


@pytest.mark.parametrize(("hook", "error_in"), [("on_epoch_begin", 2), ("on_epoch_end", 3)])
def test_fields_that_a_subclass_adds_are_rolled_back_after_an_error(examples, network, hook, error_in):
    state, expected = longer_state(network), longer_state(network)
    train(expected, examples, network, recipe_of("adam"), n_epochs=2, callbacks=[ChangeFields(hook)])
    with pytest.raises(LookupError):
        train(state, examples, network, recipe_of("adam"), n_epochs=5, callbacks=[ChangeFields(hook, error_in)])
    np.testing.assert_equal(state.added, expected.added)
    np.testing.assert_equal(state.to_dict(), expected.to_dict())


def test_nested_memories_are_rolled_back_after_an_error(examples, network):
    class Collect(Callback):
        def on_epoch_end(self, run):
            run.memory.setdefault("rows", []).append({"epoch": run.state.epoch})
            run.memory["rows"][0]["seen"] = run.state.epoch
            if run.state.epoch == 3:
                raise LookupError

    state = initial_state(network)
    with pytest.raises(LookupError):
        train(state, examples, network, recipe_of("adam"), n_epochs=5, callbacks=[Collect()])
    assert state.memories["Collect 1"] == {"rows": [{"epoch": 1, "seen": 2}, {"epoch": 2}]}


# The best epoch.


def test_the_parameters_of_the_best_epoch_are_kept(examples, network):
    recipe = recipe_of("adam", batch_size=10)
    state = fit(examples, network, recipe, n_epochs=5, validate=validate_by([3.0, 1.0, 2.0, 1.0, 5.0]))
    assert (state.best_epoch, monitored_value(state.best.values)) == (2, 1.0)
    assert state.best.values["validation_cost"] == 1.0
    np.testing.assert_array_equal(state.best.vector, fit(examples, network, recipe, n_epochs=2).parameters.vector)
    assert state.history["validation_cost"] == [3.0, 1.0, 2.0, 1.0, 5.0]


def test_without_validation_no_best_parameters_are_kept(examples, network):
    state = fit(examples, network, recipe_of("adam"))
    assert state.best is None
    assert set(state.history) == {"cost", "learning_rate"}


@dataclass
class Longer(TrainingState):
    """A state of a later version, with one more field."""

    n_seen: int = 7


def test_a_file_without_a_field_restores_its_default(examples, network):
    state = fit(examples, network, recipe_of("adam"), n_epochs=2)
    saved = state.to_dict()
    longer = Longer(state.parameters.copy(), np.random.default_rng(0)).restore(saved)
    assert (longer.epoch, longer.n_seen) == (2, 7)
