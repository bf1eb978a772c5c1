import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from recording import X_VAL, Y_VAL, Calling, Noting, X, Y, net
from sklearn.base import clone

from sklearn_deepnn.callbacks import EarlyStopping, ReduceLROnPlateau, Run, TimeBudget, steering
from sklearn_deepnn.callbacks.steering import MONITORS, patience_runs_out
from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.training.state import TrainingState

CURVES = {"cost": "loss_curve_", "validation_cost": "validation_loss_curve_", "validation_score": "validation_scores_"}
VALIDATION = {"X_val": X_VAL, "y_val": Y_VAL}


def answers(values, patience=2, min_delta=0.1):
    """Return what `patience_runs_out` says of one value after the other."""
    memory = {}
    return [patience_runs_out(memory, value, patience=patience, min_delta=min_delta) for value in values]


def new_run(memory):
    """Return a run of a training that has come to epoch 10, and is resumed with what a callback remembers."""
    state = TrainingState(None, None, memories={"steering": memory})
    for _ in range(10):
        state.begin_epoch_entry(cost=9.0, learning_rate=1.0)
    return Run(state, last_epoch=20, validates=True, callback="steering")


def watch(callback, costs, run=None):
    """Return what a callback says of each cost, and the factor of the rate that it leaves behind each."""
    run = run or new_run({})
    callback.on_train_begin(run)
    said = []
    for cost in costs:
        run.state.begin_epoch_entry(cost=cost, learning_rate=1.0)
        said.append((bool(callback.on_epoch_end(run)), run.state.rate_factor))
    return map(list, zip(*said))


# Patience.


def test_patience_runs_out_after_epochs_without_improvement():
    assert answers([1.0, 0.95, 0.8, 0.75, 0.71]) == [False, False, False, False, True]


def test_patience_goes_by_the_lowest_value_so_far():
    assert answers([1.0, 3.0, 2.0], min_delta=0.0) == [False, False, True]


def test_small_improvements_add_up():
    assert not any(answers([1 - 0.06 * epoch for epoch in range(12)], patience=3))


def test_patience_takes_negative_values():
    assert answers([-0.5, -0.6, -0.605], patience=1, min_delta=0.01) == [False, False, True]


def test_a_value_that_is_not_a_number_is_no_improvement():
    assert answers([math.nan], patience=1) == [True]


BAD = {
    (EarlyStopping, "monitor"): ["loss", None, 1],
    (EarlyStopping, "patience"): [0, 1.5, True, None, -math.inf],
    (EarlyStopping, "min_delta"): [-0.1, math.nan, "small"],
    (EarlyStopping, "restore_best"): [1, None, "yes"],
    (ReduceLROnPlateau, "monitor"): ["loss"],
    (ReduceLROnPlateau, "factor"): [0, 1, 2.0, "half"],
    (ReduceLROnPlateau, "patience"): [0],
    (ReduceLROnPlateau, "min_delta"): [-1],
    (TimeBudget, "seconds"): [0, -1, math.inf, "1 h"],
}


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for (kind, name), values in BAD.items() for value in values]
)
def test_a_bad_parameter_is_rejected(kind, name, value):
    with pytest.raises(InvalidParameterError, match=rf"^{name} must be .*, got "):
        kind(**{name: value})


# Early stopping.


def test_early_stopping_stops_when_patience_patience_runs_out():
    stops, _ = watch(EarlyStopping(patience=2, min_delta=0.0), [3, 2, 2, 1, 1, 1])
    assert stops == [False, False, False, False, False, True]


def test_a_resumed_training_has_waited_as_long_as_it_had():
    waited = {"lowest": 1, "n_waited": 2}
    stops, _ = watch(EarlyStopping(patience=3), [2], new_run(dict(waited)))
    _, factors = watch(ReduceLROnPlateau(factor=0.5, patience=3), [2], new_run(dict(waited)))
    assert (stops, factors) == ([True], [0.5])


def test_patience_begins_anew_in_a_warm_start():
    callbacks = EarlyStopping(patience=3, min_delta=1e9), ReduceLROnPlateau(factor=0.5, patience=2, min_delta=1e9)
    model = net(max_iter=10, warm_start=True).set_callbacks(*callbacks)
    assert model.fit(X, Y).n_iter_ == 4
    assert model.fit(X, Y).n_iter_ == 8
    np.testing.assert_allclose(np.divide(model.learning_rate_curve_, 0.001), [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25])


@pytest.mark.parametrize("restore_best", [False, True])
@pytest.mark.parametrize("monitor", CURVES)
def test_early_stopping_goes_by_its_monitor_to_the_epoch(monitor, restore_best):
    parameters = {"learning_rate": 0.1, "scoring": "accuracy", "weight_averaging": 0}
    whole = net(max_iter=40, **parameters).fit(X, Y, **VALIDATION)
    curve = np.array(getattr(whole, CURVES[monitor])) * (-1 if monitor == "validation_score" else 1)
    stop = next(k for k in range(4, 40) if curve[k - 3 : k + 1].min() >= curve[: k - 3].min() - 0.001) + 1
    best = int(curve[:stop].argmin()) + 1
    assert best < stop < 40

    callback = EarlyStopping(monitor, patience=4, min_delta=0.001, restore_best=restore_best)
    model = net(max_iter=40, **parameters).set_callbacks(callback).fit(X, Y, **VALIDATION)
    assert model.n_iter_ == stop
    keep_last = EarlyStopping(patience=1000, restore_best=False)
    kept = net(max_iter=best if restore_best else stop, **parameters).set_callbacks(keep_last).fit(X, Y, **VALIDATION)
    np.testing.assert_array_equal(model.predict_proba(X), kept.predict_proba(X))
    if restore_best:
        assert model.best_iter_ == best


def test_the_monitors_disagree_where_the_test_above_tells_them_apart():
    model = net(max_iter=40, learning_rate=0.1, scoring="accuracy", early_stopping=True).fit(X, Y, **VALIDATION)
    cost, validation_cost, score = (np.array(getattr(model, name)) for name in CURVES.values())
    assert len({int(cost.argmin()), int(validation_cost.argmin()), int(score.argmax())}) == 3


@pytest.mark.parametrize(
    ("scoring", "validation", "same"),
    [("accuracy", VALIDATION, "validation_score"), ("loss", VALIDATION, "validation_cost"), ("loss", {}, "cost")],
)
def test_auto_is_what_scoring_says_or_the_cost_where_nothing_is_validated(scoring, validation, same):
    auto, named = (
        net(max_iter=40, learning_rate=0.1, scoring=scoring)
        .set_callbacks(EarlyStopping(monitor, patience=3))
        .fit(X, Y, **validation)
        for monitor in ("auto", same)
    )
    assert auto.n_iter_ == named.n_iter_ < 40
    np.testing.assert_array_equal(auto.predict_proba(X), named.predict_proba(X))


def test_early_stopping_takes_the_place_of_the_parameters():
    impatient = {"n_iter_no_change": 1, "tol": 1e9, "max_iter": 8}
    assert net(**impatient).fit(X, Y).n_iter_ == 2
    assert net(**impatient).set_callbacks(EarlyStopping(patience=5, min_delta=1e9)).fit(X, Y).n_iter_ == 6


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
@pytest.mark.parametrize("monitor", [name for name in MONITORS if name.startswith("validation")])
def test_a_monitor_that_is_not_recorded_is_an_error_before_training(kind, monitor):
    notes, before = [], net().fit(X, Y)
    proba = before.predict_proba(X)
    before.set_callbacks(Noting(notes), kind(monitor))
    with pytest.raises(InvalidParameterError, match=f"monitor must be 'auto' or 'cost' .*, got '{monitor}'"):
        before.fit(X, Y)
    assert [hook for _, hook, _ in notes] == ["on_train_begin", "on_train_end"]
    np.testing.assert_array_equal(before.predict_proba(X), proba)


@pytest.mark.parametrize("infinity", [math.inf, np.inf, np.float32("inf")])
def test_an_infinite_patience_never_runs_out(infinity):
    assert not any(answers([1.0] * 50, patience=infinity))
    settings = {"max_iter": 30, "tol": 1e9}
    by_parameter = net(n_iter_no_change=infinity, learning_rate_schedule="reduce_on_plateau", **settings).fit(X, Y)
    callbacks = EarlyStopping(patience=infinity), ReduceLROnPlateau(patience=infinity, min_delta=1e9)
    by_callbacks = net(**settings).set_callbacks(*callbacks).fit(X, Y)
    for model in (by_parameter, by_callbacks, pickle.loads(pickle.dumps(clone(by_parameter))).fit(X, Y)):
        assert model.n_iter_ == 30
        assert len(set(model.learning_rate_curve_)) == 1


# The learning rate.


def test_the_rate_is_lowered_whenever_patience_patience_runs_out():
    stops, factors = watch(ReduceLROnPlateau(factor=0.5, patience=2, min_delta=0.0), [3, 3, 3, 3, 3, 3, 3])
    assert factors == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert not any(stops)


@pytest.mark.parametrize("schedule", ["constant", "exponential", "cosine", "reduce_on_plateau"])
def test_the_rate_is_lowered_on_top_of_the_schedule(schedule):
    plain = net(max_iter=5, learning_rate_schedule=schedule).fit(X, Y)
    callback = ReduceLROnPlateau(factor=0.5, patience=1, min_delta=1e9)
    model = net(max_iter=5, learning_rate_schedule=schedule).set_callbacks(callback).fit(X, Y)
    factors = np.divide(model.learning_rate_curve_, plain.learning_rate_curve_)
    np.testing.assert_allclose(factors, [1, 1, 0.5, 0.5, 0.25])


def test_reduce_on_plateau_is_this_callback():
    by_name = net(max_iter=10, n_iter_no_change=6, tol=1e9, learning_rate_schedule="reduce_on_plateau").fit(X, Y)
    by_callback = net(max_iter=10, n_iter_no_change=6, tol=1e9)
    by_callback.set_callbacks(ReduceLROnPlateau(patience=3, min_delta=1e9)).fit(X, Y)
    assert by_name.learning_rate_curve_ == by_callback.learning_rate_curve_
    assert by_name.learning_rate_curve_[-1] < by_name.learning_rate_curve_[0]


def test_what_compares_epochs_has_no_say_in_partial_fit():
    steered, plain = net(learning_rate=0.1), net(learning_rate=0.1)
    steered.set_callbacks(EarlyStopping("validation_cost"), ReduceLROnPlateau(patience=1, min_delta=1e9))
    for part in np.split(np.random.default_rng(0).permutation(100), 5):
        for model in (steered, plain):
            model.partial_fit(X[part], Y[part], classes=[0, 1, 2])
    assert np.argmin(plain.loss_curve_) < 4, "the last part must not be the best"
    np.testing.assert_array_equal(steered.predict_proba(X), plain.predict_proba(X))
    assert steered.learning_rate_curve_ == plain.learning_rate_curve_


# The clock.


@pytest.fixture
def clock(monkeypatch):
    """Let time stand still but for what is added to `now`."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(steering, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.mark.parametrize(("seconds", "n_iter"), [(0.1, 1), (2, 2), (2.9, 2), (3, 3), (5.9, 3), (6, 4), (100, 10)])
def test_training_stops_before_the_epoch_that_would_take_too_long(clock, seconds, n_iter):
    durations = [1, 1, 2, 1, 1, 1, 1, 1, 1, 1]  # another epoch ends after 2, 3, 6, 7, ... seconds at the latest

    def pass_time(run):
        clock.now += durations[run.state.epoch - 1]

    model = net(max_iter=10).set_callbacks(Calling(pass_time), TimeBudget(seconds)).fit(X, Y)
    assert model.n_iter_ == n_iter


def test_loading_compiled_loops_takes_time_once(clock):
    run, said = new_run({}), []
    TimeBudget(20).on_train_begin(run)
    for duration, loading in ((1, 0), (6, 5), (1, 5), (1, 5), (9, 5), (1, 5)):
        clock.now += duration
        run.loading_seconds = loading
        said.append(TimeBudget(20).on_epoch_end(run))
    assert said == [False, False, False, False, True, True]
    assert run.memory["longest"] == 9


def test_a_budget_is_whole_again_in_every_fit(clock):
    def pass_time(run):
        clock.now += 1

    model = net(max_iter=10, warm_start=True).set_callbacks(Calling(pass_time), TimeBudget(3))
    assert [model.fit(X, Y).n_iter_, model.fit(X, Y).n_iter_] == [3, 6]


def test_a_resumed_fit_has_what_is_left_of_its_time(clock):
    run = new_run({"spent": 5.0, "longest": 1.0, "at": 7.0})
    TimeBudget(10).on_train_begin(run)
    said = []
    for _ in range(5):
        clock.now += 1
        said.append(TimeBudget(10).on_epoch_end(run))
    assert said == [False, False, False, False, True]
