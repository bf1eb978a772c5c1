"""Held-out rows, validation data, early stopping and scoring."""

import contextlib
import math
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from estimator_cases import (
    FACTORS,
    OFFSETS,
    TARGETS,
    X_VAL,
    Y_VAL,
    RecordingScorer,
    X,
    Y,
    assert_untouched,
    members,
    net,
    targets,
    with_entry,
)
from reference import assert_same
from sklearn.metrics import accuracy_score, get_scorer, log_loss, make_scorer, precision_score
from sklearn.model_selection import GridSearchCV

from sklearn_deepnn.callbacks import EarlyStopping

# The best epoch and early stopping.


def test_without_validation_there_are_no_validation_curves():
    model = net().fit(X, Y)
    assert not hasattr(model, "validation_loss_curve_")
    assert not hasattr(model, "validation_scores_")
    assert model.best_loss_ == min(model.loss_curve_) == model.loss_curve_[model.best_iter_ - 1]


def test_a_refit_without_validation_has_no_validation_curves():
    model = net().fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert not hasattr(model.fit(X, Y), "validation_loss_curve_")


def test_training_stops_when_patience_runs_out():
    assert net(max_iter=50, n_iter_no_change=3, tol=1e9).fit(X, Y).n_iter_ == 4


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_best_epoch_s_weights_are_kept(kind, weighted):
    y, weight_val = targets(kind), np.linspace(1, 3, 90) if weighted else None
    y_noisy = np.roll(y, 1, axis=0)  # the validation cost rises after the first epochs
    model = net(max_iter=30, learning_rate=0.02, early_stopping=True)
    model.fit(X, y, X_val=X_VAL, y_val=y_noisy, sample_weight_val=weight_val)
    proba = model.predict_proba(X_VAL)
    if kind == "multilabel":
        costs = -(np.log(proba) * y_noisy + np.log(1 - proba) * (1 - y_noisy)).sum(axis=1)
        cost = np.average(costs, weights=weight_val)
    else:
        cost = log_loss(y_noisy, proba, sample_weight=weight_val)
    assert model.best_loss_ == pytest.approx(cost, abs=1e-10)
    assert model.best_loss_ == min(model.validation_loss_curve_)
    assert model.best_iter_ == 1 + np.argmin(model.validation_loss_curve_)
    assert model.best_iter_ < model.n_iter_


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_the_best_epoch_is_that_of_validation_even_if_the_last_weights_are_kept(scoring):
    model = net(max_iter=30, learning_rate=0.02, scoring=scoring)
    model.set_callbacks(EarlyStopping(patience=30, restore_best=False))
    model.fit(X, Y, X_val=X_VAL, y_val=np.roll(Y_VAL, 1))
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_) < model.n_iter_ == 30
    assert model.best_loss_ == model.validation_loss_curve_[model.best_iter_ - 1]
    assert np.argmin(model.loss_curve_) + 1 != model.best_iter_
    last_cost = log_loss(np.roll(Y_VAL, 1), model.predict_proba(X_VAL))
    assert last_cost == pytest.approx(model.validation_loss_curve_[-1], abs=1e-10)


def test_early_stopping_monitors_the_validation_cost():
    model = net(max_iter=50, n_iter_no_change=3, learning_rate=0.02, early_stopping=True)
    model.fit(X, Y, X_val=X_VAL, y_val=np.roll(Y_VAL, 1))
    assert model.n_iter_ < 50
    assert model.n_iter_ - model.best_iter_ <= 3


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_validation_data_do_not_stop_training_without_early_stopping(scoring):
    parameters = {"max_iter": 60, "early_stopping": False, "n_iter_no_change": 3, "tol": 0.05}
    model = net(scoring=scoring, **parameters).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    alone = net(**parameters).fit(X, Y)
    assert 3 < model.n_iter_ == alone.n_iter_ < 60
    assert_same(model.parameters_, alone.parameters_)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_)


# Validation data.


def test_validation_labels_may_lack_a_class():
    model = net(early_stopping=True).fit(X, Y, X_val=X_VAL[Y_VAL < 2], y_val=Y_VAL[Y_VAL < 2])
    assert model.best_loss_ == pytest.approx(
        log_loss(Y_VAL[Y_VAL < 2], model.predict_proba(X_VAL[Y_VAL < 2]), labels=[0, 1, 2]), abs=1e-10
    )


def test_validation_data_may_be_sparse_where_x_is_dense():
    dense, sparse = (net().fit(X, Y, X_val=X_val, y_val=Y_VAL) for X_val in (X_VAL, sp.csr_array(X_VAL)))
    np.testing.assert_allclose(sparse.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-12)


def test_validation_data_are_weighted_as_the_training_data_are():
    rare = np.flatnonzero((Y_VAL == 0) | (np.arange(90) % 9 == 1))
    given = {"X_val": X_VAL[rare], "y_val": Y_VAL[rare]}
    balanced = net(class_weight="balanced").fit(X, Y, **given)
    np.testing.assert_allclose(balanced.class_weight_, [1, 1, 1])
    assert balanced.validation_loss_curve_ == net().fit(X, Y, **given).validation_loss_curve_


def test_scores_on_validation_data_are_weighted():
    weight_val = np.where(Y_VAL == 0, 5.0, 1.0)
    model = net(scoring="accuracy", early_stopping=True)
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight_val)
    expected = accuracy_score(Y_VAL, model.predict(X_VAL), sample_weight=weight_val)
    assert model.validation_scores_[model.best_iter_ - 1] == pytest.approx(expected)


BAD_VALIDATION = {
    "X_val alone": ({"X_val": X_VAL}, "X_val and y_val must be given together, got y_val=None"),
    "y_val alone": ({"y_val": Y_VAL}, "X_val and y_val must be given together, got X_val=None"),
    "weights alone": ({"sample_weight_val": np.ones(90)}, "X_val"),
    "X_val of another width": ({"X_val": X_VAL[:, :3], "y_val": Y_VAL}, "X_val must .*3 features.*4 features"),
    "X_val with infinity": ({"X_val": with_entry(X_VAL, np.inf), "y_val": Y_VAL}, "X_val.*contains infinity"),
    "empty X_val": ({"X_val": X_VAL[:0], "y_val": Y_VAL[:0]}, "X_val"),
    "unknown labels": ({"X_val": X_VAL, "y_val": Y_VAL + 1}, r"y_val must have labels among \[0, 1, 2\], got \[3\]"),
    "labels of another kind": (
        {"X_val": X_VAL, "y_val": list("abc") * 30},
        r"y_val must have labels among .*got \['a'",
    ),
    "indicators": (
        {"X_val": X_VAL, "y_val": np.eye(3)[Y_VAL]},
        "y_val must be one label per sample, like y, got an indicator",
    ),
    "continuous y_val": ({"X_val": X_VAL, "y_val": X_VAL[:, 0]}, "y_val"),
    "short y_val": ({"X_val": X_VAL, "y_val": Y_VAL[:80]}, "X_val|y_val"),
    "short weights": (
        {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": [1.0]},
        "sample_weight_val must have shape",
    ),
    "negative weights": (
        {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": -Y_VAL},
        "sample_weight_val must not be neg",
    ),
    "weights all zero": (
        {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": 0 * Y_VAL},
        "sample_weight_val must not be z",
    ),
}


@pytest.mark.parametrize("case", BAD_VALIDATION)
def test_bad_validation_data_are_named(earlier, no_training, case):
    validation, named = BAD_VALIDATION[case]
    no_training()
    with pytest.raises(ValueError, match=f"(?s){named}"):
        earlier[0].fit(X, Y, **validation)
    assert_untouched(earlier)


# Held-out rows.


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_held_out_rows_are_stratified_and_the_same_every_epoch(kind):
    scorer, y = RecordingScorer(), targets(kind)
    rare = np.r_[np.flatnonzero(y == 1)[:10], np.flatnonzero(y != 1)]
    net(early_stopping=True, validation_fraction=0.25, scoring=scorer).fit(X[rare], y[rare])
    X_held, y_held, _, _ = scorer.calls[0]
    assert len(y_held) == np.ceil(0.25 * len(rare))
    assert abs((y_held == 1).sum() - 2.5) < 1
    assert all(np.array_equal(each[0], X_held) for each in scorer.calls)
    assert all((row == X).all(axis=1).any() for row in X_held)


def test_a_class_of_one_sample_stays_in_the_training_set():
    y = Y.copy()
    y[0] = 99
    model = net(early_stopping=True).fit(X, y)
    assert 99 in model.classes_
    assert len(model.validation_loss_curve_) == 5


def test_too_few_samples_to_hold_some_out_are_an_error(earlier):
    with pytest.raises(ValueError, match=r"early_stopping=True needs samples to hold out.*got n_samples = 1 and"):
        earlier[0].set_params(early_stopping=True).fit(X[:1], Y[:1])
    assert_untouched(earlier)


def test_a_validation_fraction_that_leaves_no_samples_to_train_on_is_named(earlier):
    with pytest.raises(
        ValueError, match=r"^early_stopping='auto' needs .* n_samples = 45 and validation_fraction=0.99"
    ):
        earlier[0].set_params(early_stopping="auto", validation_fraction=0.99).fit(X[::2], Y[::2])
    assert_untouched(earlier)


@pytest.mark.parametrize(("ensemble_size", "n_disjoint"), [(3, 3), (10, 10), (12, 10)])
def test_each_member_holds_out_rows_of_its_own(columns_trained_on, ensemble_size, n_disjoint):
    net(ensemble_size=ensemble_size, early_stopping=True, max_iter=1).fit(X, Y)
    (columns,) = columns_trained_on
    held_out = [np.setdiff1d(np.arange(90), of_member) for of_member in columns]
    assert [len(rows) for rows in held_out] == [9] * ensemble_size
    assert len(np.unique(np.concatenate(held_out[:n_disjoint]))) == 9 * n_disjoint
    assert all(np.bincount(Y[rows]).tolist() == [3, 3, 3] for rows in held_out)


def test_members_use_no_row_of_weight_0(columns_trained_on):
    weight = (np.arange(90) % 5 > 0) * 1.0
    net(ensemble_size=3, early_stopping=True, max_iter=1).fit(X, Y, weight)
    (columns,) = columns_trained_on
    assert columns.shape == (3, 64)  # of 72 rows, without an eighth part that is held out
    assert weight[columns].all()


def test_each_member_is_validated_on_the_rows_that_it_holds_out(columns_trained_on):
    model = net(ensemble_size=3, early_stopping=True, max_iter=1).fit(X, Y)
    (columns,) = columns_trained_on
    held_out = [np.setdiff1d(np.arange(90), of_member) for of_member in columns]
    costs = [log_loss(Y[rows], member.predict_proba(X[rows])) for rows, member in zip(held_out, members(model))]
    assert model.best_loss_ == pytest.approx(np.mean(costs), rel=1e-9)


# Scorers.


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc_ovr", "neg_log_loss", "f1_macro"])
def test_scorers_by_name_score_epochs(scoring):
    model = net(scoring=scoring, early_stopping=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert len(model.validation_scores_) == 5
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_)
    if scoring == "neg_log_loss":
        np.testing.assert_allclose(model.validation_scores_, np.negative(model.validation_loss_curve_), rtol=1e-10)


def test_multilabel_targets_can_be_scored():
    model = net(scoring="f1_micro", early_stopping=True).fit(X, sp.csr_array(targets("multilabel")))
    assert len(model.validation_scores_) == 5


@pytest.mark.parametrize("kind", TARGETS)
def test_a_callable_scorer_sees_each_epoch_s_model(kind):
    scorer = RecordingScorer()
    model = net(scoring=scorer, early_stopping=True).fit(X, targets(kind), X_val=X, y_val=targets(kind))
    assert len(scorer.calls) - 1 == len(model.validation_scores_) == 5  # the first call tries it out
    np.testing.assert_array_equal(scorer.calls[model.best_iter_][3], model.predict_proba(X))
    assert all(call[2] is None for call in scorer.calls)


def test_a_callable_scorer_gets_labels_and_weights():
    scorer, names = RecordingScorer(), np.array(["x", "y", "z"])
    net(scoring=scorer, early_stopping=True).fit(X, names[Y], np.linspace(1, 2, 90))
    _, y_held, weight_held, _ = scorer.calls[0]
    assert set(y_held) <= {"x", "y", "z"}
    assert weight_held.shape == y_held.shape


@pytest.mark.parametrize("given", ["held out", "of its own"])
@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_a_scorer_gets_raw_rows_and_a_model_for_raw_rows(ensemble_size, container, given):
    scorer, moved = RecordingScorer(), X * FACTORS + OFFSETS
    model = net(scoring=scorer, ensemble_size=ensemble_size, early_stopping=True)
    of_its_own = {"X_val": container(moved), "y_val": Y} if given == "of its own" else {}
    model.fit(container(moved), Y, **of_its_own)
    for rows, labels, _, _ in scorer.calls:
        rows = rows if isinstance(rows, np.ndarray) else rows.toarray()
        positions = [int(np.flatnonzero((row == moved).all(axis=1))[0]) for row in rows]
        np.testing.assert_array_equal(Y[positions], labels)
    kept = [model, *(members(model) if ensemble_size > 1 else [])]
    assert any(
        np.allclose(proba, each.predict_proba(rows), rtol=1e-9) for rows, _, _, proba in scorer.calls for each in kept
    )


@pytest.mark.parametrize(
    "scoring", ["accuracy", "neg_log_loss", RecordingScorer()], ids=["accuracy", "log loss", "callable"]
)
def test_ensembles_that_hold_out_rows_can_be_scored(scoring):
    model = net(ensemble_size=3, early_stopping=True, scoring=scoring).fit(X, Y)
    assert len(model.validation_scores_) == 5


@pytest.mark.parametrize("weights", [{"class_weight": "balanced"}, {}], ids=str)
def test_a_scorer_that_takes_no_weights_is_not_given_any(weights):
    scorer = make_scorer(lambda y_true, y_pred: float((y_true == y_pred).mean()))
    model = net(scoring=scorer, early_stopping=True, **weights).fit(X, Y, np.linspace(1, 2, 90))
    assert 0 <= model.validation_scores_[-1] <= 1


def test_a_scorer_that_fails_is_named_before_training(earlier, no_training):
    no_training()
    with pytest.raises(ValueError, match="scoring must be a scorer that the validation data suit, got 'f1'"):
        earlier[0].set_params(scoring="f1", early_stopping=True).fit(X, Y)
    assert_untouched(earlier)


# Scorers that are undefined where a class is missing. Versions of scikit-learn raise, return nan or warn.

NEEDS_ALL_CLASSES = {
    "binary": ["roc_auc", "average_precision", "neg_log_loss", "roc_auc_ovr"],
    "multiclass": ["roc_auc_ovr", "roc_auc_ovr_weighted", "neg_log_loss", "top_k_accuracy"],
    "multilabel": ["roc_auc", "average_precision"],
}
CASES = [(kind, name) for kind, names in NEEDS_ALL_CLASSES.items() for name in names]


def without_a_class(kind):
    """Return targets for `X` that lack a class, or one of several labels."""
    y = targets(kind).copy()
    y[(slice(None), 1) if kind == "multilabel" else y == 1] = 0
    return y


def one_against_all(y_true, y_score):
    """Return a score that fails for lack of a class as code of users does."""
    return float(y_score.shape[1] / (1 - np.sign(3 - len(set(y_true)))))


@pytest.mark.parametrize(("kind", "scoring"), CASES)
def test_where_a_scorer_is_undefined_the_loss_decides_and_one_warning_says_so(kind, scoring):
    y, given = targets(kind), {"X_val": X, "y_val": without_a_class(kind)}
    settings = {"max_iter": 30, "learning_rate": 0.1, "tol": 0.01, "n_iter_no_change": 3, "early_stopping": True}
    model = net(scoring=scoring, **settings)
    with pytest.warns(UserWarning, match="is undefined on") as caught:
        model.fit(X, y, **given)
    assert len(caught) == 1
    assert re.match(f"scoring='{scoring}' is undefined on .*lack a class.* The loss", str(caught[0].message))
    assert caught[0].filename == __file__
    by_loss = net(**settings).fit(X, y, **given)
    assert_same(model.parameters_, by_loss.parameters_)
    assert (model.n_iter_, model.best_iter_) == (by_loss.n_iter_, by_loss.best_iter_)
    assert model.validation_scores_ == by_loss.validation_scores_


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "scoring"), CASES)
def test_held_out_rows_that_lack_a_class_are_left_out_of_the_mean(kind, scoring, weighted, columns_trained_on):
    y = without_a_class(kind)
    y[::18] = targets(kind)[1]  # a class that is rare
    rows, weight = X, np.linspace(1, 2, 90) if weighted else None
    model = net(scoring=scoring, ensemble_size=8, early_stopping=True, max_iter=1).fit(rows, y, weight)
    (columns,) = columns_trained_on
    scores = []
    for of_member, member in zip(columns, members(model)):
        held_out = np.setdiff1d(np.arange(len(rows)), of_member)
        weights = {} if weight is None else {"sample_weight": weight[held_out]}
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("error")
            scores.append(get_scorer(scoring)(member, rows[held_out], y[held_out], **weights))
    scores = [score for score in scores if np.isfinite(score)]
    assert 0 < len(scores) < 8
    assert model.validation_scores_ == [pytest.approx(np.mean(scores))]


@pytest.mark.parametrize("scoring", [make_scorer(one_against_all, response_method="predict_proba"), "neg_log_loss"])
def test_a_rare_class_does_not_lose_the_fits_of_a_cross_validation(scoring):
    y = np.where(np.arange(90) % 15 == 0, 2, Y % 2)
    search = GridSearchCV(net(ensemble_size=4, early_stopping=True, scoring=scoring), {"max_iter": [1, 2]}, cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


def test_a_single_class_leaves_the_loss():
    with pytest.warns(UserWarning, match="The loss compares epochs"):
        assert net(scoring="roc_auc", early_stopping=True).fit(X, np.zeros(90)).n_iter_ == 5


@pytest.mark.parametrize("monitor", ["auto", "validation_score"])
def test_early_stopping_by_an_undefined_score_goes_by_the_loss(monitor):
    model = net(scoring="roc_auc", max_iter=40).set_callbacks(EarlyStopping(monitor, patience=2, min_delta=0.1))
    with pytest.warns(UserWarning, match="The loss compares epochs"):
        model.fit(X, targets("binary"), X_val=X, y_val=without_a_class("binary"))
    assert model.best_iter_ == 1 + np.argmin(model.validation_loss_curve_)


def test_a_scorer_that_is_nan_on_data_with_all_classes_is_an_error_before_training(earlier, no_training):
    no_training()
    scorer = make_scorer(lambda y_true, y_pred: math.nan)
    for y_val in (Y, without_a_class("multiclass")):
        with pytest.raises(ValueError, match=r"scoring must be a number in .*, got nan"):
            earlier[0].set_params(scoring=scorer).fit(X, Y, X_val=X, y_val=y_val)
    assert_untouched(earlier)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "recall_macro"])
def test_a_score_that_is_defined_without_a_class_is_obeyed_whatever_the_initial_weights(scoring):
    given = {"X_val": X[Y < 2], "y_val": Y[Y < 2]}
    for random_state in range(6):
        model = net(scoring=scoring, max_iter=2, early_stopping=True, random_state=random_state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, Y, **given)
            assert model.validation_scores_[model.best_iter_ - 1] == get_scorer(scoring)(model, *given.values())


# Scorers that are undefined in some epochs.


class Undefined:
    """A scorer that returns 1, 2, 3 and so on, but returns or raises something else at some calls after the trial."""

    def __init__(self, outcome, at_calls):
        self.outcome, self.at_calls, self.n_calls = outcome, at_calls, -1

    def __call__(self, estimator, X, y):
        self.n_calls += 1
        if self.n_calls not in self.at_calls:
            return float(self.n_calls)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(math.nan, "returned nan"), (ZeroDivisionError("no positives"), "raised ZeroDivisionError: no positives")],
    ids=["nan", "error"],
)
def test_an_epoch_without_a_score_is_no_improvement_and_one_warning_says_so(outcome, reason):
    model = net(scoring=Undefined(outcome, at_calls=(1, 4, 5)), learning_rate=0.05, early_stopping=True)
    with pytest.warns(UserWarning, match=f"is undefined after an epoch: the scorer {reason}") as caught:
        model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    (filename,) = (warning.filename for warning in caught if str(warning.message).startswith("scoring="))
    assert filename == __file__
    np.testing.assert_equal(model.validation_scores_, [math.nan, 2.0, 3.0, math.nan, math.nan])
    assert model.best_iter_ == 3


@pytest.mark.filterwarnings("ignore:scoring=.* is undefined after an epoch")
def test_early_stopping_waits_through_epochs_without_a_score():
    scorer = Undefined(math.nan, at_calls=range(3, 99))
    model = net(scoring=scorer, max_iter=20, n_iter_no_change=4, learning_rate=0.05, early_stopping=True)
    assert model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL).n_iter_ == 6


@pytest.mark.filterwarnings("ignore:scoring=.* is undefined after an epoch")
def test_a_score_that_no_epoch_has_leaves_a_network():
    model = net(scoring=Undefined(math.nan, at_calls=range(1, 99)), early_stopping=True)
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert np.isnan(model.validation_scores_).all()
    assert model.best_loss_ == min(model.validation_loss_curve_)


@pytest.mark.filterwarnings("ignore:scoring=.* is undefined after an epoch")
def test_a_score_that_needs_predictions_of_a_rare_class_does_not_lose_a_training():
    scorer, y = make_scorer(precision_score, zero_division=np.nan), (np.arange(90) % 10 == 0).astype(int)
    for random_state in range(8):
        model = net(scoring=scorer, early_stopping=True, random_state=random_state).fit(X, y)
        assert len(model.validation_scores_) == model.n_iter_ == 5


@pytest.mark.filterwarnings("ignore:scoring=.* is undefined after an epoch")
def test_the_mean_over_members_is_undefined_where_one_of_them_is():
    values = iter([0.5, 0.5, 0.7, math.nan, 0.6, 0.8])
    settings = {"ensemble_size": 2, "early_stopping": True, "max_iter": 2}
    model = net(scoring=make_scorer(lambda y_true, y_pred: next(values)), **settings).fit(X, Y)
    np.testing.assert_allclose(model.validation_scores_, [math.nan, 0.7])


def test_ctrl_c_passes_a_scorer_and_an_infinite_score_is_an_error():
    for outcome, error in ((KeyboardInterrupt(), KeyboardInterrupt), (math.inf, ValueError)):
        with pytest.raises(error):
            net(scoring=Undefined(outcome, at_calls=(3,))).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)


def broken(y_true, y_pred):
    raise KeyError("no such name")


@pytest.mark.parametrize("scoring", [make_scorer(broken), "f1", "roc_auc"], ids=["broken", "f1", "roc_auc"])
def test_a_scorer_that_fails_on_every_data_is_an_error_also_where_a_class_is_missing(earlier, no_training, scoring):
    rows = np.flatnonzero(Y < 1)
    no_training()
    with pytest.raises((ValueError, KeyError), match=r"scoring must be a scorer|no such name"):
        earlier[0].set_params(scoring=scoring).fit(X, Y, X_val=X[[*rows, 1, 4]], y_val=Y[[*rows, 1, 4]])
    assert_untouched(earlier)


def test_a_warm_start_with_another_scoring_compares_epochs_by_that_scoring():
    model = net(early_stopping=True, scoring="accuracy", warm_start=True, max_iter=5).fit(X, Y)
    model.set_params(scoring="loss").fit(X, Y).fit(X, Y)
    assert model.best_iter_ == 1 + int(np.argmin(model.validation_loss_curve_)) > 5
    assert model.best_loss_ == min(model.validation_loss_curve_)


def test_another_scale_is_warned_of_beside_gaps_and_categories():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=90), "z": rng.normal(size=90), "c": np.arange(90) % 30})
    frame["c"] = frame["c"].map("c{}".format)
    frame.loc[3, "z"] = np.nan
    with pytest.warns(UserWarning, match="X_val is on another scale than X"):
        net(max_iter=1).fit(frame, Y, X_val=frame.assign(x=1000 * frame["x"]), y_val=Y)
    net(max_iter=1).fit(frame, Y, X_val=frame[::-1], y_val=Y[::-1])
