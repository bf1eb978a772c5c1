"""Training that diverges or learns nothing is reported, and healthy training is not."""

import re
import warnings

import numpy as np
import pytest
from estimator_cases import TARGETS, X_VAL, Y_VAL, X, Y, assert_untouched, fitted, net, targets
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from sklearn_deepnn import DeepNNClassifier

# Divergence.

VALIDATION = {"none": {}, "given": {"X_val": 1000 * X_VAL}, "held out": {}}


def reports_of(model, X, y, **validation):
    """Fit, and return the error or the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(X, y, **validation)
        except ValueError as error:
            assert not fitted(model)
            return [error]
    return [warning.message for warning in caught]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("validation", VALIDATION)
def test_divergence_is_reported_and_never_predicts_nan(seed, kind, validation):
    model = net(hidden_layer_dims=(8, 8), optimizer="sgd", learning_rate=1e6, max_iter=15, random_state=seed)
    model.set_params(early_stopping=validation != "none")
    data = {**VALIDATION[validation], "y_val": targets(kind)} if validation == "given" else {}
    reports = reports_of(model, 1000 * X, targets(kind), **data)
    assert len(reports) == 1
    assert isinstance(reports[0], (ValueError, ConvergenceWarning))
    assert re.search(r"(?s)diverged.*learning_rate \(it was 1e\+06\)", str(reports[0]))
    if fitted(model):
        assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_cost_that_stays_far_above_the_first_is_reported(seed, early_stopping):
    model = net(optimizer="sgd", learning_rate=1e4, max_iter=15, batch_size=None, random_state=seed)
    reports = reports_of(model.set_params(early_stopping=early_stopping), 100 * X, Y)
    cost = -model.predict_log_proba(100 * X)[np.arange(90), Y].mean()
    assert cost > 1e6 * model.loss_curve_[0]
    assert [type(report) for report in reports] == [ConvergenceWarning]
    assert "diverged" in str(reports[0])


def test_divergence_keeps_the_earlier_fit(earlier):
    model = earlier[0].set_params(optimizer="sgd", learning_rate=1e300)
    with pytest.raises(ValueError, match=r"Training diverged.*Try a lower learning_rate \(it was 1e\+300\)"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match="Training diverged"):
        model.partial_fit(X, Y)
    assert_untouched(earlier)


def test_divergence_keeps_the_best_validated_epoch():
    model = net(optimizer="sgd", learning_rate_schedule=lambda step: 0.1 if step < 60 else 1e200, max_iter=20)
    with pytest.warns(
        ConvergenceWarning, match=r"diverged: in epoch 11 .* no longer finite\. The weights of epoch 10 are kept"
    ):
        model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.best_iter_ == 10
    assert model.score(X, Y) > 0.5


def test_after_divergence_training_continues_from_the_kept_weights():
    model = net(optimizer="sgd", warm_start=True, learning_rate_schedule=lambda step: 0.01 if step < 30 else 1e200)
    with pytest.warns(ConvergenceWarning, match="The weights of epoch 5 are kept"):
        model.set_params(max_iter=10).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    model.set_params(learning_rate_schedule="constant").fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert np.isfinite(model.loss_)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("sgd", 1.0), ("sgd", 0.1), ("adam", 1.0)])
def test_divergence_that_leaves_all_units_dead_is_reported(optimizer, learning_rate):
    rows, labels = load_breast_cancer(return_X_y=True)
    settings = {"optimizer": optimizer, "learning_rate": learning_rate, "scale_inputs": None, "max_iter": 30}
    model = DeepNNClassifier((32, 16), random_state=0, **settings)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        model.fit(rows, labels)
    assert np.ptp(model.predict_proba(rows), axis=0).max() < 1e-6


def test_raw_data_that_are_not_learned_are_reported():
    rows = np.column_stack([X, 1e6 * X[:, 0] + 5e6])
    with pytest.warns(ConvergenceWarning, match="a very high cost.*scale_inputs"):
        net(max_iter=30, scale_inputs=None).fit(rows, Y)


def test_a_warning_points_at_the_line_that_called_fit():
    with pytest.warns(ConvergenceWarning) as caught:
        net(optimizer="sgd", learning_rate=1e4, batch_size=None, max_iter=15).fit(100 * X, Y)
    assert caught[0].filename == __file__


# No divergence.


@pytest.mark.parametrize("dropout_rate", [0, 0.3, 0.5])
def test_healthy_training_is_not_called_divergence(dropout_rate):
    for seed in range(10):
        net(hidden_layer_dims=(6, 5), dropout_rate=dropout_rate, random_state=seed).fit(X, Y)


def test_a_first_epoch_costlier_than_its_first_batch_is_not_called_divergence():
    for seed in range(10):
        model = net(hidden_layer_dims=(), random_state=seed).partial_fit(X, Y, classes=[0, 1, 2])
        assert log_loss(Y, model.partial_fit(X, Y).predict_proba(X)) < model.loss_curve_[0]


def test_calls_of_partial_fit_sorted_by_class_are_not_called_divergence():
    order = np.argsort(Y, kind="stable")
    model = net(learning_rate=0.03)
    for rows in np.array_split(order, 30):
        model.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])


def test_calls_of_partial_fit_whose_weights_grow_are_not_called_divergence():
    model = net().partial_fit(X, Y, classes=[0, 1, 2], sample_weight=np.ones(90))
    model.partial_fit(X, Y, sample_weight=np.full(90, 50.0))
    assert model.loss_ < 2 * model.loss_curve_[0]


def test_a_drift_in_late_calls_of_partial_fit_is_not_called_divergence():
    model = net(max_iter=3, learning_rate=0.05)
    for sign in [1] * 100 + [-1] * 5:
        model.partial_fit(sign * 3 * X, Y, classes=[0, 1, 2])


def test_other_labels_under_warm_start_are_not_called_divergence():
    model = net(max_iter=100, warm_start=True).fit(X, Y)
    model.set_params(max_iter=1).fit(X, 2 - Y)
