import math
from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_deepnn.callbacks import EarlyStopping, EpochPrinter, Patience, ReduceLROnPlateau
from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network import Network, initialize_parameters
from sklearn_deepnn.optimizers import SGD
from sklearn_deepnn.training import Examples, Recipe, TrainingState, train


def watch(callback, values):
    """Return what a callback says of each value, and the rate factor that it leaves behind each."""
    state = SimpleNamespace(monitored=None, rate_factor=1.0)
    callback.on_train_begin(state)
    answers = []
    for state.monitored in values:
        answers.append((bool(callback.on_epoch_end(state)), state.rate_factor))
    return zip(*answers)


def run(callbacks, n_epochs=20, learning_rate=0.1):
    """Train logistic regression on noise; return the state."""
    rng, network = np.random.default_rng(0), Network((2, 1))
    recipe = Recipe(SGD(), learning_rate)
    state = TrainingState(initialize_parameters(network.layer_dims, rng=rng), rng)
    examples = Examples(rng.normal(size=(2, 10)), rng.integers(2, size=(1, 10)))
    return train(state, examples, network, recipe, n_epochs=n_epochs, callbacks=callbacks)


def test_patience_runs_out_after_epochs_without_improvement():
    patience = Patience(patience=2, min_delta=0.1)
    assert [patience.runs_out(value) for value in (1.0, 0.95, 0.8, 0.75, 0.71)] == [False, False, False, False, True]


def test_patience_goes_by_the_lowest_value_so_far():
    patience = Patience(patience=2, min_delta=0.0)
    assert [patience.runs_out(value) for value in (1.0, 3.0, 2.0)] == [False, False, True]


def test_small_improvements_add_up():
    patience = Patience(patience=3, min_delta=0.1)
    assert not any(patience.runs_out(1 - 0.06 * epoch) for epoch in range(12))


def test_patience_takes_negative_values():
    patience = Patience(patience=1, min_delta=0.01)
    assert [patience.runs_out(value) for value in (-0.5, -0.6, -0.605)] == [False, False, True]


def test_a_value_that_is_not_a_number_is_no_improvement():
    assert Patience(patience=1, min_delta=0.0).runs_out(math.nan)


@pytest.mark.parametrize(("n_epochs", "min_delta"), [(0, 0.1), (1.5, 0.1), (1, -0.1), (1, math.nan)])
def test_bad_patience_is_rejected(n_epochs, min_delta):
    with pytest.raises(InvalidParameterError):
        Patience(n_epochs, min_delta)


@pytest.mark.parametrize("factor", [0, 1, 2.0, "half"])
def test_a_bad_factor_is_rejected(factor):
    with pytest.raises(InvalidParameterError, match=r"factor must be a number in \(0, 1\), got "):
        ReduceLROnPlateau(factor=factor)


def test_early_stopping_stops_when_patience_runs_out():
    stops, _ = watch(EarlyStopping(patience=2, min_delta=0.0), [3, 2, 2, 1, 1, 1])
    assert stops == (False, False, False, False, False, True)


def test_early_stopping_waits_anew_in_every_call():
    callback = EarlyStopping(patience=2, min_delta=0.0)
    watch(callback, [1, 2])
    stops, _ = watch(callback, [5, 5, 5])
    assert stops == (False, False, True)


def test_the_rate_is_lowered_whenever_patience_runs_out():
    stops, factors = watch(ReduceLROnPlateau(factor=0.5, patience=2, min_delta=0.0), [3, 3, 3, 3, 3, 3, 3])
    assert factors == (1, 1, 0.5, 0.5, 0.5, 0.25, 0.25)
    assert not any(stops)


def test_the_printer_prints_the_newest_entry_of_every_curve(capsys):
    state = SimpleNamespace(epoch=4, newest={"cost": 0.25, "validation_cost": 0.75}, best_epoch=None)
    EpochPrinter().on_train_begin(state)
    assert not EpochPrinter(every=2).on_epoch_end(state)
    assert not EpochPrinter(every=3).on_epoch_end(state)
    assert capsys.readouterr().out == "epoch    4  cost 0.25       validation cost 0.75\n"


def test_the_printer_ends_with_the_last_epoch_and_the_one_that_is_kept(capsys):
    state = SimpleNamespace(epoch=4, newest={"cost": 0.25}, best_epoch=3)
    EpochPrinter(every=3).on_train_end(state)
    assert capsys.readouterr().out == "epoch    4  cost 0.25\nthe weights of epoch 3 are kept\n"


def test_training_stops_when_a_callback_says_so():
    state = run([EarlyStopping(patience=3, min_delta=10.0)])
    assert state.epoch == 4
    assert len(state.history["cost"]) == 4


def test_every_callback_sees_every_epoch():
    class Counter:
        n = 0

        def on_train_begin(self, state):
            self.first = state.epoch

        def on_epoch_end(self, state):
            self.n += 1
            assert state.monitored == state.history["cost"][-1]

        def on_train_end(self, state):
            self.last = state.epoch

    first, last = Counter(), Counter()
    run([first, EarlyStopping(patience=3, min_delta=10.0), last])
    assert (first.first, first.n, last.n, last.last) == (0, 4, 4, 4)


def test_training_goes_on_at_the_lowered_rate():
    state = run([ReduceLROnPlateau(factor=0.5, patience=1, min_delta=10.0)], n_epochs=4)
    np.testing.assert_allclose(state.history["learning_rate"], [0.1, 0.1, 0.05, 0.05])


def test_the_printer_prints_while_training(capsys):
    run([EpochPrinter(every=5)], n_epochs=10)
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["epoch", "5", "cost"],
        ["epoch", "10", "cost"],
    ]
