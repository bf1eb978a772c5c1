"""Callbacks that add values to the history: durations and scores."""

import math
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from recording import X_VAL, Y_VAL, Calling, X, Y, net
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sklearn_deepnn.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    HistoryLogger,
    ModelCheckpoint,
    load_checkpoint,
)
from sklearn_deepnn.checks import InvalidParameterError

SEVERAL = {"accuracy": "accuracy", "f1": make_scorer(f1_score, average="macro")}


def test_the_duration_of_each_epoch_is_recorded(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    assert net().set_callbacks(EpochTimer()).fit(X, Y).history_["duration"] == [1.0] * 4


def test_without_a_timer_equal_fits_are_equal_bytes():
    models = [net().set_callbacks(EpochScoring(SEVERAL, X_VAL, Y_VAL)).fit(X, Y) for _ in range(2)]
    assert pickle.dumps(models[0].history_) == pickle.dumps(models[1].history_)
    assert "duration" not in models[0].history_


@pytest.mark.parametrize(
    "parameters", [{}, {"ensemble_size": 2}, {"early_stopping": True}, {"weight_averaging": 2.0}], ids=str
)
def test_each_epoch_is_scored_by_its_own_weights(parameters):
    scoring = EpochScoring(SEVERAL, X_VAL, Y_VAL)
    model = net(learning_rate=0.05, max_iter=6, **parameters).set_callbacks(scoring).fit(X, Y)
    for epoch in range(1, 7):
        alone = net(learning_rate=0.05, max_iter=epoch, **parameters)
        alone.set_callbacks(EarlyStopping(patience=99, restore_best=False)).fit(X, Y)
        predicted = alone.predict(X_VAL)
        assert model.history_["accuracy"][epoch - 1] == accuracy_score(Y_VAL, predicted)
        assert model.history_["f1"][epoch - 1] == pytest.approx(f1_score(Y_VAL, predicted, average="macro"), rel=1e-12)


def test_scoring_does_not_change_a_fit():
    scored = net(early_stopping=True).set_callbacks(EpochScoring("accuracy", X_VAL, Y_VAL), EpochTimer()).fit(X, Y)
    plain = net(early_stopping=True).fit(X, Y)
    np.testing.assert_array_equal(scored.predict_proba(X), plain.predict_proba(X))
    assert scored.loss_curve_ == plain.loss_curve_


def accuracy(estimator, X, y):
    return estimator.score(X, y)


@pytest.mark.parametrize(
    ("scoring", "names"),
    [
        ("accuracy", ["accuracy"]),
        (["accuracy", "neg_log_loss"], ["accuracy", "neg_log_loss"]),
        (accuracy, ["accuracy"]),
    ],
    ids=["name", "list", "callable"],
)
def test_scorers_are_names_or_callables(scoring, names):
    model = net().set_callbacks(EpochScoring(scoring, X_VAL, Y_VAL)).fit(X, Y)
    assert list(model.history_)[2:] == names
    assert model.history_["accuracy"][-1] == model.score(X_VAL, Y_VAL)


@pytest.mark.parametrize(
    "scoring",
    ["acuracy", 3, None, [], {}, ["accuracy", 3], {3: "accuracy"}, {"a": "b"}, {"a": 3}],
    ids=str,
)
def test_other_scorers_are_an_error(scoring):
    with pytest.raises(InvalidParameterError, match=f"scoring must be .*, got {re.escape(repr(scoring))}"):
        EpochScoring(scoring, X_VAL, Y_VAL)


def test_a_misspelt_scorer_is_corrected():
    with pytest.raises(InvalidParameterError, match=r"got \['acuracy'\]\. Did you mean 'accuracy'\?"):
        EpochScoring(["acuracy"], X_VAL, Y_VAL)


@pytest.mark.parametrize("scoring", ["average_precision", "roc_auc", "neg_log_loss"])
def test_undefined_scores_are_nan_and_one_warning_says_so(scoring):
    alone = EpochScoring(["accuracy", scoring], X_VAL[Y_VAL == 0], Y_VAL[Y_VAL == 0])
    with pytest.warns(RuntimeWarning, match=f"undefined scores are recorded as nan: {{'{scoring}'") as caught:
        model = net().set_callbacks(alone).fit(X[Y < 2], Y[Y < 2])
    assert len([warning for warning in caught if warning.category is not ConvergenceWarning]) == 1
    assert np.isnan(model.history_[scoring]).tolist() == [True] * 4
    assert np.isfinite(model.history_["accuracy"]).all()


@pytest.mark.parametrize("scoring", ["accuracy", lambda *_: {"a": 1.0}], ids=["data", "scorer"])
def test_a_scorer_that_fails_is_one_warning(scoring):
    n_features = 2 if scoring == "accuracy" else 4
    model = net().set_callbacks(EpochScoring(scoring, X_VAL[:, :n_features], Y_VAL))
    with pytest.warns(RuntimeWarning, match="EpochScoring failed after epoch 1, and training continues") as caught:
        model.fit(X, Y)
    assert len(caught) == 1
    assert np.isnan(model.history_.get("accuracy", math.nan)).all()
    pickle.loads(pickle.dumps(model.set_callbacks()))


def test_the_values_are_in_lines_and_logs_of_their_epoch(tmp_path, capsys):
    logs = [HistoryLogger(tmp_path / name) for name in ("log.csv", "log.jsonl")]
    callbacks = [*logs, EpochScoring(SEVERAL, X_VAL, Y_VAL), EpochTimer()]
    model = net(verbose=2).set_callbacks(*callbacks).fit(X, Y)
    printed = re.findall(r" accuracy (\S+) +f1 (\S+) +duration (\S+) ", capsys.readouterr().out)
    for frame in (pd.read_csv(tmp_path / "log.csv"), pd.read_json(tmp_path / "log.jsonl", lines=True)):
        for name in ("accuracy", "f1", "duration"):
            np.testing.assert_allclose(frame[name], model.history_[name])
    np.testing.assert_allclose(np.array(printed, float)[:, 0], model.history_["accuracy"], rtol=1e-3)


def test_a_csv_keeps_its_fields_and_a_warning_names_those_that_it_leaves_out(tmp_path):
    logger = HistoryLogger(tmp_path / "log.csv")
    net().set_callbacks(logger).fit(X, Y)
    with pytest.warns(UserWarning, match=r"log\.csv' was begun without the columns \['duration'\]") as caught:
        net().set_callbacks(logger, EpochTimer()).fit(X, Y)
    assert [w.filename for w in caught if "columns" in str(w.message)] == [__file__]
    frame = pd.read_csv(tmp_path / "log.csv")
    assert "duration" not in frame
    assert list(frame["epoch"]) == [1, 2, 3, 4] * 2


def test_a_history_has_nan_for_epochs_without_a_value():
    model, scoring = net(max_iter=2, warm_start=True), EpochScoring("accuracy", X_VAL, Y_VAL)
    for callbacks in ([], [scoring], []):
        model.set_callbacks(*callbacks).fit(X, Y)
    frame = pd.DataFrame(model.history_)
    assert frame["accuracy"].isna().tolist() == [True, True, False, False, True, True]
    assert frame["cost"].tolist() == model.loss_curve_
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_equal(loaded.history_, model.history_)
    with pytest.raises(AttributeError, match="not fitted"):
        _ = net().history_


class Costing(Callback):
    measures = ("cost",)


SCORING = EpochScoring("accuracy", X_VAL, Y_VAL)


@pytest.mark.parametrize(
    ("callbacks", "named"),
    [
        ([SCORING, EpochScoring(["f1_macro", "accuracy"], X, Y)], r"EpochScoring .*got \('f1_macro', 'accuracy'\)"),
        ([EpochTimer(), EpochScoring({"duration": "accuracy"}, X, Y)], r"EpochScoring .*got \('duration',\)"),
        ([Costing()], r"Costing .*got \('cost',\)"),
        ([EpochScoring({"epoch": "accuracy"}, X, Y)], r"EpochScoring .*got \('epoch',\)"),
    ],
    ids=["of two scorings", "of a timer", "of training", "of logs"],
)
def test_a_value_by_the_name_of_another_is_an_error_before_training(callbacks, named):
    model = net().set_callbacks(*callbacks)
    with pytest.raises(InvalidParameterError, match=f"^The measures of {named}"):
        model.fit(X, Y)
    assert not hasattr(model, "n_iter_")


def test_a_resumed_fit_has_all_scores(tmp_path):
    scoring = EpochScoring("accuracy", X_VAL, Y_VAL)
    whole = net().set_callbacks(scoring, ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    second = sorted(tmp_path.glob("*.joblib"))[1]
    assert load_checkpoint(second).history_["accuracy"] == whole.history_["accuracy"][:2]
    resumed = net().set_callbacks(scoring).fit(X, Y, resume_from=second)
    assert resumed.history_ == whole.history_


def test_parts_are_scored():
    model = net().set_callbacks(EpochScoring("accuracy", X_VAL, Y_VAL), EpochTimer())
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert len(model.history_["accuracy"]) == len(model.history_["duration"]) == 3


def test_callbacks_see_the_values_of_the_epoch():
    seen = []
    follower = Calling(lambda run: seen.append((run.state.newest["accuracy"], run.measured)))
    model = net().set_callbacks(follower, EpochScoring("accuracy", X_VAL, Y_VAL)).fit(X, Y)
    assert seen == [(score, ("accuracy",)) for score in model.history_["accuracy"]]


def test_a_search_varies_a_parameter_of_a_callback():
    networks = [net(max_iter=30).set_callbacks(EarlyStopping("cost", patience=p, min_delta=10.0)) for p in (3, 7)]
    search = GridSearchCV(Pipeline([("network", net())]), {"network": networks}, scoring=lambda p, X, y: p[-1].n_iter_)
    search.fit(X, Y)
    assert search.cv_results_["mean_test_score"].tolist() == [4, 8]
    assert search.best_estimator_[-1].n_iter_ == 8
