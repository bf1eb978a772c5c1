"""The hooks, the run that they get, and callbacks on estimators that are cloned, searched and shared."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
from recording import HOOKS, X_VAL, Y_VAL, Calling, Noting, X, Y, net
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn.callbacks import Callback, EarlyStopping, HistoryLogger, ReduceLROnPlateau, TimeBudget
from sklearn_deepnn.callbacks.scikit_learn import callbacks_of
from sklearn_deepnn.checks import InvalidParameterError

BEGIN, EPOCH_BEGIN, EPOCH_END, END = HOOKS


class Saving(Noting):
    """A callback that needs snapshots: its hooks are called last."""

    needs_snapshot = True


def interrupted(callbacks, error, **parameters):
    """Fit until an error comes."""
    model = net(**parameters).set_callbacks(*callbacks)
    with pytest.raises(type(error)):
        model.fit(X, Y)
    return model


# Hooks.


def test_hooks_are_called_in_order_and_ends_in_reverse():
    notes = []
    net(max_iter=2).set_callbacks(Saving(notes, "last"), Noting(notes, "a"), Noting(notes, "b")).fit(X, Y)
    names = ["a", "b", "last"]
    wanted = [(name, BEGIN, 0) for name in names]
    for epoch in (1, 2):
        wanted += [(name, EPOCH_BEGIN, epoch - 1) for name in names] + [(name, EPOCH_END, epoch) for name in names]
    assert notes == wanted + [(name, END, 2) for name in reversed(names)]


def test_all_callbacks_see_the_epoch_in_which_one_of_them_stops():
    notes = []
    model = net().set_callbacks(Noting(notes, "a", stops_at=2), Noting(notes, "b")).fit(X, Y)
    assert model.n_iter_ == 2
    ends = [(name, epoch) for name, hook, epoch in notes if hook == EPOCH_END]
    assert ends == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_a_hook_that_returns_a_false_value_does_not_stop_training():
    class Returning(Callback):
        def on_epoch_end(self, run):
            return (None, 0, False, "")[run.state.epoch - 1]

    assert net().set_callbacks(Returning()).fit(X, Y).n_iter_ == 4


@pytest.mark.parametrize("error", [LookupError("in a callback"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
@pytest.mark.parametrize("hook", [EPOCH_BEGIN, EPOCH_END])
def test_on_train_end_is_called_after_a_failure_too(hook, error):
    notes, at = [], (hook, 2)
    interrupted([Noting(notes, "a"), Noting(notes, "b", at, error)], error)
    complete = 2 if hook == EPOCH_BEGIN else 1  # epochs
    assert notes[-2:] == [("b", END, complete), ("a", END, complete)]


def test_on_train_end_is_called_only_where_on_train_begin_succeeded():
    notes, error = [], LookupError()
    interrupted([Noting(notes, "a"), Noting(notes, "b", (BEGIN, 0), error), Noting(notes, "c")], error)
    assert notes == [("a", BEGIN, 0), ("b", BEGIN, 0), ("a", END, 0)]


def test_on_train_end_is_called_for_all_callbacks_if_one_of_them_fails():
    notes, error = [], LookupError()
    with pytest.warns(RuntimeWarning, match="Noting failed at the end of training: LookupError"):
        net(max_iter=4).set_callbacks(Noting(notes, "a"), Noting(notes, "b", (END, 4), error)).fit(X, Y)
    assert notes[-2:] == [("b", END, 4), ("a", END, 4)]


def test_a_failed_fit_leaves_the_estimator_as_it_was():
    model = net().fit(X, Y)
    before, callback = dict(vars(model)), Noting([], error_at=(EPOCH_END, 2), error=LookupError())
    with pytest.raises(LookupError):
        model.set_callbacks(callback).fit(X, Y)
    assert vars(model) == before | {"_skl_callbacks": [callback]}


# The run.


@pytest.mark.parametrize("validation", [{}, {"X_val": X_VAL, "y_val": Y_VAL}], ids=["", "validation"])
def test_a_run_has_the_epoch_the_settings_and_the_newest_values(validation):
    runs, names = [], {"cost", "learning_rate"} | ({"validation_cost"} if validation else set())
    model = net(max_iter=3, early_stopping=bool(validation)).set_callbacks(Calling(runs.append))
    model.fit(X, Y, **validation)
    run = runs[0]
    assert all(other is run for other in runs)
    assert (run.state.epoch, run.last_epoch, run.validates, run.resumed) == (3, 3, bool(validation), False)
    assert run.settings == model.get_params(deep=False)
    assert run.state.newest.keys() == names
    assert run.state.newest["cost"] == model.loss_


def test_the_history_is_complete_when_an_epoch_ends():
    seen, validation = [], {"X_val": X_VAL, "y_val": Y_VAL}
    model = net().set_callbacks(Calling(lambda run: seen.append(dict(run.state.newest)))).fit(X, Y, **validation)
    assert [entry["cost"] for entry in seen] == model.loss_curve_
    assert [entry["validation_cost"] for entry in seen] == model.validation_loss_curve_
    assert [entry["learning_rate"] for entry in seen] == model.learning_rate_curve_


def test_a_snapshot_equals_a_fit_of_as_many_epochs():
    probabilities = []
    net().set_callbacks(Calling(lambda run: probabilities.append(run.snapshot().predict_proba(X)))).fit(X, Y)
    for epoch, found in enumerate(probabilities, start=1):
        np.testing.assert_array_equal(found, net(max_iter=epoch).fit(X, Y).predict_proba(X))


def test_each_callback_has_its_own_memory_which_every_fit_empties():
    def count(run):
        run.memory["n"] = run.memory.get("n", 0) + run.state.epoch
        seen.append(run.memory["n"])

    seen = []
    model = net(max_iter=2).set_callbacks(Calling(count), Calling(count))
    model.fit(X, Y)
    model.fit(X, Y)
    assert seen == [1, 1, 3, 3] * 2


@pytest.mark.parametrize(("for_good", "counts"), [(False, [1, 2, 1, 2]), (True, [1, 2, 3, 4])])
def test_a_warm_start_continues_with_the_memory_of_callbacks_that_keep_it(for_good, counts):
    def count(run):
        run.memory["n"] = run.memory.get("n", 0) + 1
        seen.append((run.memory["n"], run.state.epoch, run.last_epoch))

    seen = []
    counting = Calling(count)
    counting.remembers_for_good = for_good
    model = net(max_iter=2, warm_start=True).set_callbacks(counting).fit(X, Y)
    pickle.loads(pickle.dumps(model.set_callbacks())).set_callbacks(counting).fit(X, Y)
    assert seen == list(zip(counts, [1, 2, 3, 4], [2, 2, 4, 4]))


def test_each_call_of_partial_fit_calls_the_hooks_once():
    notes = []
    model = net().set_callbacks(Noting(notes))
    for _ in range(2):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    of_a_call = [(BEGIN, 0), (EPOCH_BEGIN, 0), (EPOCH_END, 1), (END, 1)]
    assert notes == [("", hook, epoch + call) for call in range(2) for hook, epoch in of_a_call]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("at the end")], ids=["ctrl-c", "error"])
@pytest.mark.filterwarnings("ignore:.*failed at the end:RuntimeWarning")
def test_all_callbacks_are_ended_even_if_one_ends_with_an_error(error):
    class Failing(Callback):
        def on_train_end(self, run):
            raise error

    notes = []
    model = net(max_iter=1).set_callbacks(Noting(notes), Failing())
    with pytest.raises(KeyboardInterrupt) if isinstance(error, KeyboardInterrupt) else nullcontext():
        model.fit(X, Y)
    assert notes[-1] == ("", END, 1)


@pytest.mark.parametrize("partial", [False, True], ids=["fit", "partial_fit"])
def test_what_callbacks_remember_for_one_call_is_not_saved(partial):
    def fitted():
        if partial:
            return pickle.dumps(net(verbose=1).partial_fit(X, Y, classes=[0, 1, 2]))
        return pickle.dumps(net(verbose=1).set_callbacks(EarlyStopping("cost"), TimeBudget(60)).fit(X, Y))

    assert fitted() == fitted()


# On estimators.


def test_callbacks_are_set_and_removed():
    model, callbacks = net(), [EarlyStopping(), TimeBudget(3)]
    assert model.set_callbacks(*callbacks) is model
    assert callbacks_of(model) == callbacks
    assert callbacks_of(model.set_callbacks(TimeBudget(4))) == [TimeBudget(4)]
    assert vars(model.set_callbacks()).keys() == vars(net()).keys()


def test_clones_and_pickles_keep_their_callbacks():
    callbacks = [EarlyStopping(patience=3), ReduceLROnPlateau(factor=0.5)]
    model = net().set_callbacks(*callbacks)
    assert callbacks_of(clone(model)) == callbacks
    assert callbacks_of(pickle.loads(pickle.dumps(model.fit(X, Y)))) == callbacks
    copy = clone(model).set_callbacks()
    assert callbacks_of(copy) == []
    assert callbacks_of(model) == callbacks


@pytest.mark.parametrize("wrong", [EarlyStopping, "early stopping", None, 3], ids=str)
def test_a_value_that_is_not_a_callback_is_rejected(wrong):
    with pytest.raises(TypeError, match="callbacks must be instances"):
        net().set_callbacks(wrong)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_uses_its_callbacks_in_all_fits(n_jobs, tmp_path):
    network = net(max_iter=50).set_callbacks(
        EarlyStopping(patience=2, min_delta=1e9), HistoryLogger(tmp_path / "h.csv")
    )
    model = make_pipeline(StandardScaler(), network)
    grid = {"deepnnclassifier__hidden_layer_dims": [(), (4,)]}
    search = GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(X, Y)
    assert search.best_estimator_[-1].n_iter_ == 3
    lines = [line.split(",") for line in (tmp_path / "h.csv").read_text().splitlines()]
    epochs = {}
    for run, epoch, *_ in lines[1:]:
        epochs.setdefault(run, []).append(epoch)
    assert list(epochs.values()) == [["1", "2", "3"]] * 5


def test_one_callback_serves_fits_in_several_threads():
    callbacks = EarlyStopping(patience=2, min_delta=0.05), ReduceLROnPlateau(patience=1, min_delta=0.05)
    models = [net(max_iter=60, learning_rate=rate).set_callbacks(*callbacks) for rate in (0.003, 0.01, 0.03, 0.1)]
    alone = [clone(model).fit(X, Y) for model in models]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda model: clone(model).fit(X, Y), models))
    for one, other in zip(alone, together):
        assert one.learning_rate_curve_ == other.learning_rate_curve_
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert len({model.n_iter_ for model in alone}) > 1


@pytest.mark.parametrize("argument", [3, "EarlyStopping", None, EarlyStopping, [EarlyStopping()], {}, print], ids=str)
def test_what_is_no_callback_is_an_error_that_says_what_is_expected(argument):
    callback = EarlyStopping()
    model = net().set_callbacks(callback)
    with pytest.raises(InvalidParameterError, match=r"^callbacks must be instances of Callback.* got ") as error:
        model.set_callbacks(EarlyStopping(), argument)
    assert str(error.value).endswith(f"got {argument!r}.")
    assert callbacks_of(model) == [callback]
