"""Training that diverges or learns nothing is reported, and healthy training is not."""

import re
import warnings

import numpy as np
import pytest
from estimator_cases import TARGETS, X_VAL, Y_VAL, X, Y, assert_untouched, fitted, net, targets
from one_network import one_network
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

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
def test_a_cost_that_stays_far_above_the_first_is_an_error(seed, early_stopping):
    model = net(optimizer="sgd", learning_rate=1e4, max_iter=15, batch_size=None, random_state=seed)
    (report,) = reports_of(model.set_params(early_stopping=early_stopping), 100 * X, Y)
    assert isinstance(report, ValueError)
    began, ended = (float(re.search(rf"{what} at ([\d.e+]+\d)", str(report))[1]) for what in ("began", "ended"))
    assert ended > 1e6 * began


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("validation", [{}, {"X_val": X_VAL, "y_val": Y_VAL}], ids=["none", "recorded"])
@pytest.mark.parametrize("batch_size", [16, None])
def test_after_an_explosion_the_last_good_epoch_is_kept(batch_size, validation, warm_start):
    n_steps = 6 if batch_size else 1
    model = net(optimizer="sgd", learning_rate_schedule=lambda step: 0.1 if step < 7 * n_steps else 1e4, max_iter=12)
    model.set_params(batch_size=batch_size, early_stopping=False, warm_start=warm_start)
    with pytest.warns(ConvergenceWarning, match=r"diverged.*The weights of epoch (6|7) are kept\. Try") as caught:
        model.fit(X, Y, **validation)
    assert len(caught) == 1
    assert model.n_iter_ == 12
    alone = net(optimizer="sgd", learning_rate=0.1, max_iter=model.best_iter_, batch_size=batch_size).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), alone.predict_proba(X))
    if warm_start:
        model.set_params(learning_rate_schedule="constant", learning_rate=0.1).fit(X, Y, **validation)
        assert log_loss(Y, model.predict_proba(X)) < log_loss(Y, alone.predict_proba(X))


def test_a_search_over_wild_rates_reports_such_fits_as_failed():
    grid = {"learning_rate": [0.1, 1e4]}
    search = GridSearchCV(net(optimizer="sgd", max_iter=30), grid, cv=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, Y)
    assert any(issubclass(each.category, FitFailedWarning) for each in caught)
    assert search.best_params_ == {"learning_rate": 0.1}
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_divergence_keeps_the_earlier_fit(earlier):
    model = earlier[0].set_params(optimizer="sgd", learning_rate=1e300)
    with pytest.raises(ValueError, match=r"Training diverged.*Try a lower learning_rate \(it was 1e\+300\)"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match="Training diverged"):
        model.partial_fit(X, Y)
    assert_untouched(earlier)


def test_divergence_keeps_the_best_validated_epoch():
    model = net(optimizer="sgd", learning_rate_schedule=lambda step: 0.1 if step < 60 else 1e200, max_iter=20)
    model.set_params(early_stopping=True)
    with pytest.warns(
        ConvergenceWarning, match=r"diverged: in epoch 11 .* no longer finite\. The weights of epoch 10 are kept"
    ):
        model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.best_iter_ == 10
    assert model.score(X, Y) > 0.5


def test_after_divergence_training_continues_from_the_kept_weights():
    model = net(optimizer="sgd", warm_start=True, learning_rate_schedule=lambda step: 0.01 if step < 30 else 1e200)
    with pytest.warns(ConvergenceWarning, match="The weights of epoch 5 are kept"):
        model.set_params(max_iter=10, early_stopping=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    model.set_params(learning_rate_schedule="constant").fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert np.isfinite(model.loss_)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("sgd", 1.0), ("sgd", 0.1), ("adam", 1.0)])
def test_divergence_that_leaves_all_units_dead_is_an_error(optimizer, learning_rate):
    rows, labels = load_breast_cancer(return_X_y=True)
    settings = {"optimizer": optimizer, "learning_rate": learning_rate, "scale_inputs": None, "max_iter": 30}
    with pytest.raises(ValueError, match=r"Training diverged: .* ended at 0\.66"):
        one_network((32, 16), random_state=0, **settings).fit(rows, labels)


def test_a_divergence_without_an_epoch_better_than_the_class_frequencies_is_an_error():
    def rate(step):
        return 1e-4 if step < 10 else 1e9

    settings = {"optimizer": "sgd", "learning_rate_schedule": rate, "early_stopping": False, "max_iter": 20}
    with pytest.raises(ValueError, match="Training diverged"):
        one_network((4,), random_state=2, **settings).fit(*load_iris(return_X_y=True))


@pytest.mark.parametrize("ensemble_size", [1, 12])
@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_a_divergence_is_named_whatever_X_is(container, ensemble_size):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(300, 500)) * (rng.random((300, 500)) < 0.02), rng.integers(2, size=300)
    model = DeepNNClassifier(max_iter=5, optimizer="sgd", learning_rate=1e6, ensemble_size=ensemble_size)
    with pytest.raises(ValueError, match="Training diverged"):
        model.set_params(random_state=0).fit(container(rows), labels)


def test_raw_data_that_are_not_learned_are_reported():
    rows = np.column_stack([X, 1e6 * X[:, 0] + 5e6])
    with pytest.warns(ConvergenceWarning, match="a very high cost.*scale_inputs"):
        net(max_iter=30, scale_inputs=None).fit(rows, Y)


def test_a_warning_points_at_the_line_that_called_fit():
    rows = np.column_stack([X, 1e6 * X[:, 0] + 5e6])
    with pytest.warns(ConvergenceWarning) as caught:
        net(max_iter=30, scale_inputs=None).fit(rows, Y)
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


def test_an_explosion_in_one_part_of_a_stream_leaves_the_earlier_parts():
    model = net(optimizer="sgd", learning_rate=0.1)
    for _ in range(20):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="Training diverged"):
        model.set_params(learning_rate=1e5).partial_fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("settings", [{"max_iter": 1}, {"learning_rate": 1e-6}, {"max_iter": 3}], ids=str)
def test_a_training_that_has_only_begun_is_not_called_divergence(settings):
    rare = (np.arange(90) == 0) * 1  # the baseline loss is 0.06
    for seed in range(5):
        net(**settings, random_state=seed).fit(X, rare)
        model = net(**settings, random_state=seed, warm_start=True)
        for _ in range(4):
            model.fit(X, rare)


def test_a_drift_in_late_calls_of_partial_fit_is_not_called_divergence():
    model = net(max_iter=3, learning_rate=0.05)
    for sign in [1] * 100 + [-1] * 5:
        model.partial_fit(sign * 3 * X, Y, classes=[0, 1, 2])


def test_other_labels_under_warm_start_are_not_called_divergence():
    model = net(max_iter=100, warm_start=True).fit(X, Y)
    model.set_params(max_iter=1).fit(X, 2 - Y)
