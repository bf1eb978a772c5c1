import inspect
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from one_network import one_network
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.inspection.diagnosis import find_wild_sizes, flat_units
from sklearn_deepnn.network.activations import ACTIVATIONS

CANCER, DIGITS, WINE = (load(return_X_y=True) for load in (load_breast_cancer, load_digits, load_wine))
RECTIFIERS = [name for name, activation in ACTIVATIONS.items() if len(activation.flat_at) == 1]
BOUNDED = [name for name, activation in ACTIVATIONS.items() if len(activation.flat_at) == 2]


def noise(n_samples=400, n_features=5):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_samples, n_features)), rng.integers(2, size=n_samples)


def report_of(model, X, y, *, warns, **validation):
    """Fit; check that there was one ConvergenceWarning, which is reported too, or none; return the report.

    Warnings that the epochs were used up do not count: they have tests of their own, and most tests train briefly.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, **validation)
    assert all(warning.filename == __file__ for warning in caught)
    caught = [warning for warning in caught if not re.match("X_val|max_iter=.* ended", str(warning.message))]
    assert [warning.category for warning in caught] == [ConvergenceWarning] * warns
    assert all(str(warning.message) in model.report_ for warning in caught)
    return model.report_


def one(findings, pattern):
    """Check that just one of the findings matches; return the match."""
    matches = [match for match in (re.search(pattern, finding) for finding in findings) if match]
    assert len(matches) == 1, findings
    return matches[0]


# Dead and saturated units.


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_where_an_activation_is_said_to_be_flat_its_slope_vanishes(name):
    activation = ACTIVATIONS[name]
    forward, backward, flat_at = activation.forward, activation.backward, activation.flat_at
    Z = np.array([[-50.0, 50.0]])
    A, cache = forward(Z)
    slope = backward(np.ones_like(Z), cache)
    flat = np.abs(slope) < 1e-12
    np.testing.assert_allclose(A[flat], flat_at, atol=1e-12)


@pytest.mark.parametrize("name", RECTIFIERS)
def test_units_at_the_lower_end_on_all_examples_are_dead(name):
    Z = np.full((3, 10), -40.0)
    Z[1, 4] = 1.0
    Z[2] = np.linspace(-3, -1, 10)
    assert flat_units(ACTIVATIONS[name].forward(Z)[0], name).tolist() == [True, False, name == "relu"]


@pytest.mark.parametrize("name", BOUNDED)
def test_units_at_a_bound_on_19_of_20_examples_are_saturated(name):
    Z = np.full((4, 20), 30.0)
    Z[1, ::2] = -30  # at both bounds
    Z[2, 0] = 0.0
    Z[3, :2] = 0.0
    assert flat_units(ACTIVATIONS[name].forward(Z)[0], name).tolist() == [True, True, True, False]


@pytest.mark.parametrize(("name", "low", "high"), [("tanh", -1, 1), ("sigmoid", 0, 1)])
def test_saturation_begins_1_percent_of_the_range_from_a_bound(name, low, high):
    step = 0.01 * (high - low)
    ends = np.array([low + 0.9 * step, low + 1.1 * step, high - 1.1 * step, high - 0.9 * step])
    A = np.repeat(ends[:, np.newaxis], 5, axis=1)
    assert flat_units(A, name).tolist() == [True, False, False, True]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_units_of_an_ensemble_are_judged_one_by_one(name):
    A = ACTIVATIONS[name].forward(np.random.default_rng(0).normal(-20, 20, size=(3, 4, 6)))[0]
    found = flat_units(A, name)
    assert (found.shape, found.dtype) == ((3, 4), bool)
    np.testing.assert_array_equal(found, [flat_units(A_k, name) for A_k in A])
    assert name in RECTIFIERS + BOUNDED or not found.any()


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match=r"activation must be one of .*, got 'step'"):
        flat_units(np.zeros((2, 3)), "step")


# Findings of which it also warns.


@pytest.mark.parametrize("model", [DeepNNClassifier(), one_network((32,)), one_network((8, 8), "tanh")], ids=str)
def test_weights_that_are_all_zero_predict_the_same_for_every_sample(model):
    report = report_of(clone(model).set_params(weight_init="zeros", random_state=0), *WINE, warns=1)
    assert one(report, r"It predicts the same for every sample\. Try .* or another weight_init\.$")


@pytest.mark.parametrize(
    "model", [DeepNNClassifier(), one_network((32,)), one_network((), early_stopping=True)], ids=str
)
def test_a_learning_rate_that_changes_nothing_is_reported(model):
    model = clone(model).set_params(learning_rate=1e-9, random_state=0)
    report = report_of(model, *CANCER, warns=1)
    found = one(report, r"changed nothing: the cost was (\S+) .* in epoch (\d+)\. .* a higher learning_rate \(it")
    assert float(found[1]) == pytest.approx(model.loss_curve_[0], rel=0.01)
    assert int(found[2]) == model.n_iter_


def test_one_wild_row_that_squeezes_all_features_is_reported():
    X, y = CANCER[0].copy(), CANCER[1]
    X[17] = 1e9
    report = report_of(one_network((32,), random_state=0), X, y, warns=1)
    assert one(report, r"Outliers, such as 1e\+09, .* of feature 0 \(and 29 more\): .*scale_inputs='robust'")
    assert report_of(one_network((32,), scale_inputs="robust", max_iter=600, random_state=0), X, y, warns=0) == []


def test_a_blow_up_that_kills_all_units_is_reported_with_its_layers():
    report = report_of(one_network((64, 32), learning_rate=0.5, random_state=0), *DIGITS, warns=1)
    assert one(report, r"predicts the same for every sample\. Try a lower learning_rate \(it was 0.5\)")
    assert one(
        report, r"^32 of 32 units of hidden layer 2 are dead: relu gives 0 for all of 1797 sampled training samples\."
    )


def test_a_training_cost_that_ends_above_the_baseline_loss_is_reported():
    report = report_of(one_network((16,), optimizer="sgd", learning_rate=1e-6, random_state=0), *DIGITS, warns=1)
    found = one(report, r"loss on the training set is (\S+), the baseline loss (\S+)\. Try another learning_rate")
    assert float(found[1]) > float(found[2]) == 2.3


def test_divergence_is_in_the_report_too():
    X, y = WINE
    model = one_network((8,), optimizer="sgd", learning_rate_schedule=lambda step: 0.1 if step < 9 else 1e4)
    model.set_params(max_iter=15, random_state=0)
    assert one(report_of(model, X, y, warns=1), r"diverged: .* The weights of epoch 2 are kept\. Try .* lower rates or")


def test_a_warning_of_a_useless_fit_points_at_the_line_that_called_fit():
    with pytest.warns(ConvergenceWarning) as caught:
        one_network((8,), weight_init="zeros", random_state=0).fit(*WINE)
    assert caught[0].filename == __file__


def test_a_warning_made_an_error_leaves_the_earlier_fit():
    model = one_network((8,), max_iter=30, random_state=0).fit(*WINE)
    before = model.predict_proba(WINE[0]), model.report_
    with pytest.raises(ConvergenceWarning, match="predicts the same for every sample"):
        model.set_params(weight_init="zeros").fit(*WINE)
    np.testing.assert_array_equal(model.predict_proba(WINE[0]), before[0])
    assert model.report_ is before[1]


# Findings of which it does not warn.


@pytest.mark.parametrize("model", [DeepNNClassifier(), one_network((32,), early_stopping=True)], ids=str)
def test_labels_that_X_does_not_predict_are_reported_as_a_doubt(model):
    report = report_of(clone(model).set_params(random_state=0), *noise(2000), warns=0)
    found = one(report, r"validation data is (\S+), the baseline loss (\S+)\..* Either X does not predict y, or")
    assert float(found[1]) > 0.99 * float(found[2])
    assert float(found[2]) == pytest.approx(np.log(2), abs=0.01)


def test_an_X_that_does_not_vary_is_reported():
    X, y = np.ones((60, 3)), noise(60)[1]
    assert len(report_of(one_network((10,), random_state=0), X, y, warns=0)) == 1
    assert one(report_of(DeepNNClassifier(random_state=0), X, y, warns=0), "No feature of X varies")


def test_many_classes_that_are_learned_a_little_are_not_compared_with_the_few_that_are_held_out():
    rng = np.random.default_rng(0)
    y = np.arange(180) % 60
    X = rng.normal(size=(60, 8))[y] + rng.normal(size=(180, 8))
    model = DeepNNClassifier(random_state=0).fit(X, y)
    assert model.best_loss_ < np.log(60)
    assert model.report_ == []


def test_validation_data_that_were_not_transformed_are_reported():
    X, y = CANCER
    model = one_network((32,), early_stopping=True, random_state=0)
    report = report_of(model, StandardScaler().fit_transform(X), y, X_val=X, y_val=y, warns=0)
    assert one(report, "no better than .* on the validation data.* an X_val was not transformed like X")


@pytest.mark.parametrize("names", [None, list("abcdefghijklmnopqrstuvwxyzABCD")], ids=["array", "frame"])
def test_one_squeezed_feature_is_reported_by_its_name(names):
    X, y = CANCER[0].copy(), CANCER[1]
    X[17, 3] = 1e9
    X = X if names is None else pd.DataFrame(X, columns=names)
    report = report_of(one_network((16,), max_iter=50, random_state=0), X, y, warns=0)
    name = 3 if names is None else "'d'"
    assert one(report, f"Outliers, such as 1e\\+09, determine the scale of feature {name}:")


@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_unscaled_inputs_of_wildly_different_ranges_are_reported(container):
    rng = np.random.default_rng(0)
    X = rng.random((300, 3)) * [1.0, 0.01, 50.0]
    y = (X[:, 0] > 0.5) * 1
    report = report_of(one_network((16,), scale_inputs=None, max_iter=30, random_state=0), container(X), y, warns=0)
    found = one(
        report,
        r"sizes: up to (\S+) in feature 1 but up to (\S+) in feature 2\. .* Try scale_inputs='standard'",
    )
    assert float(found[1]) == pytest.approx(0.01, rel=0.05)
    assert float(found[2]) == pytest.approx(50, rel=0.05)


@pytest.mark.parametrize(("shift", "size", "largest"), [(2000, 1, "2e\\+03"), (0, 1e-6, "4e-06")])
def test_unscaled_inputs_far_from_1_are_reported(shift, size, largest):
    X, y = noise()
    X = X.clip(-4, 4)
    X[:, 3] += shift
    X[0, 3] = 4 + shift
    model = one_network((8,), scale_inputs=None, random_state=0).partial_fit(X * size, y, classes=[0, 1])
    assert one(model.report_, f"far from 1: up to {largest} in feature 3\\.")


@pytest.mark.parametrize("value", [-1e6, np.uint8(255), True])
def test_the_size_of_a_feature_is_that_of_its_largest_number_without_the_sign(value):
    A0 = np.array([[value] * 3, [0, 0, value]])
    finding = find_wild_sizes(A0, "ab")
    assert (finding is None) == (abs(float(value)) < 1000)
    assert finding is None or "up to 1e+06 in feature 'a'" in finding


@pytest.mark.parametrize(("activation", "other"), [("tanh", "relu"), ("sigmoid", "relu")])
def test_saturation_in_bulk_is_reported(activation, other):
    X, y = CANCER
    report = report_of(
        one_network((32, 8), activation, scale_inputs=None, max_iter=40, random_state=0), 1000 * X, y, warns=0
    )
    found = one(
        report, r"^(\d+) of 32 units of hidden layer 1 are saturated: (\w+) is within 1 % .* activation='(\w+)'"
    )
    assert int(found[1]) > 16
    assert (found[2], found[3]) == (activation, other)


def signal_in_noise(n):
    """Return samples of 20 features, of which the first tells the class in part."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 20)), rng.integers(2, size=n)
    X[:, 0] += 1.5 * y
    return X, y


WIDE = {"hidden_layer_dims": (100, 100), "weight_decay": 0, "random_state": 0}


def test_overfitting_is_reported_with_the_epoch_that_is_kept():
    model = one_network(**WIDE, early_stopping=True, n_iter_no_change=60)
    report = report_of(model, *signal_in_noise(400), warns=0)
    found = one(report, r"^Overfitting: .* rose from (\S+) to (\S+) and .* The weights of epoch (\d+) are kept")
    assert float(found[1]) == pytest.approx(min(model.validation_loss_curve_), rel=0.01)
    assert float(found[2]) == pytest.approx(model.validation_loss_curve_[-1], rel=0.01)
    assert int(found[3]) == model.best_iter_


def test_overfitting_that_early_stopping_did_not_stop_is_no_lack_of_signal():
    X, y = signal_in_noise(600)
    model = one_network(**WIDE, max_iter=80, early_stopping=False, n_iter_no_change=80)
    model.fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert model.validation_loss_curve_[-1] > np.log(2) > min(model.validation_loss_curve_)
    assert model.report_ == [one(model.report_, r"^Overfitting: .*\. Try early_stopping=True, .*$")[0]]


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_budget_used_up_too_soon_is_reported(early_stopping):
    model = one_network((16,), max_iter=10, early_stopping=early_stopping, random_state=0)
    with pytest.warns(ConvergenceWarning, match="^max_iter=10 ended training while the") as caught:
        model.fit(*DIGITS)
    assert [str(warning.message) for warning in caught] == model.report_
    assert caught[0].filename == __file__
    curve = model.validation_loss_curve_ if early_stopping else model.loss_curve_
    falling = r"while the (\w+) cost was still falling: (\S+) in the last, (\S+) in the one before"
    found = one(model.report_, rf"{falling}\. Try a larger max_iter, or a higher lear")
    assert found[1] == ("validation" if early_stopping else "training")
    np.testing.assert_allclose([float(found[3]), float(found[2])], curve[-2:], rtol=0.01)


USED_UP = {
    "no hidden layer": (load_iris(return_X_y=True), {"hidden_layer_dims": ()}),
    "two epochs": (WINE, {"hidden_layer_dims": (16,), "max_iter": 2}),
    "a scorer": (WINE, {"max_iter": 4, "scoring": "accuracy", "early_stopping": True}),
    "L-BFGS": (DIGITS, {"optimizer": "lbfgs", "max_iter": 6}),
    "resting patience": (DIGITS, {"hidden_layer_dims": (16,), "max_iter": 30, "n_iter_no_change": np.inf}),
}


@pytest.mark.parametrize("case", USED_UP)
def test_a_cost_that_still_falls_when_the_epochs_are_used_up_is_warned_of(case):
    (X, y), settings = USED_UP[case]
    with pytest.warns(ConvergenceWarning) as caught:
        model = one_network(**settings, random_state=0).fit(X, y)
    (warning,) = caught
    falling = r"while the \w+ cost was still falling: (\S+) .* last.*, (\S+) .* before\. Try a larger max_iter"
    found = re.match(rf"max_iter=(\d+) ended training {falling}", str(warning.message))
    assert int(found[1]) == model.n_iter_
    assert float(found[2]) < 0.99 * float(found[3])
    assert str(warning.message) in model.report_


def curve_of(*costs):
    """Return callbacks that replace the costs of the epochs."""

    class Replace(Callback):
        def on_epoch_end(self, run):
            run.state.history["cost"][-1] = float(costs[run.state.epoch - run.state.call.first_epoch - 1])

    return [Replace()]


NOISE = np.random.default_rng(0).normal(size=(40, 100))
NOT_FALLING = {
    "flat": np.ones(100),
    "slow": 0.9992 ** np.arange(100),
    "rising": 1 + 0.01 * np.arange(100),
    "settled": 1 / (1 + np.arange(100.0)) + 0.5,
    "next to nothing": 0.9 ** np.arange(100.0),
    "constantly 0": np.zeros(100),
    **{f"noise {k}": 1 + 0.05 * noise for k, noise in enumerate(NOISE)},
    **{f"noise of few epochs {k}": 1 + 0.01 * noise[:10] for k, noise in enumerate(NOISE)},
}


@pytest.mark.parametrize("name", NOT_FALLING)
def test_a_cost_that_falls_no_longer_is_no_cause_for_a_warning(name):
    costs = NOT_FALLING[name]
    model = one_network((2,), max_iter=len(costs), n_iter_no_change=np.inf, learning_rate=0.1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_callbacks(*curve_of(*costs)).fit(*WINE)
    assert not [finding for finding in model.report_ if "max_iter" in finding]


@pytest.mark.parametrize("noise", NOISE[:10])
def test_a_fall_is_found_beneath_noise(noise):
    model = one_network((2,), max_iter=100, n_iter_no_change=np.inf, learning_rate=0.1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=100 ended training"):
        model.set_callbacks(*curve_of(*0.99 ** np.arange(100) * (1 + 0.01 * noise))).fit(*WINE)


@pytest.mark.filterwarnings("error")
def test_no_warning_where_more_calls_follow_or_something_else_ended_the_training():
    X, y = DIGITS
    model = one_network((16,), max_iter=10, random_state=0).partial_fit(X, y, classes=range(10))
    model.partial_fit(X, y)
    stopping = type("Stop", (Callback,), {"on_epoch_end": lambda self, run: run.state.epoch == run.last_epoch})
    model.set_callbacks(stopping()).fit(X, y)
    assert (model.n_iter_, model.report_) == (10, [])
    warm = one_network((16,), max_iter=1, warm_start=True, random_state=0)
    for _ in range(3):
        warm.fit(X, y)


# What is no finding.

HEALTHY = {
    "one layer": {"hidden_layer_dims": (32,)},
    "three layers": {"hidden_layer_dims": (16, 16, 16), "max_iter": 60},
    "no hidden layer": {"hidden_layer_dims": ()},
    "ensemble of three": {"hidden_layer_dims": (16,), "ensemble_size": 3},
    "early stopping": {"hidden_layer_dims": (32,), "early_stopping": True},
    "accuracy": {"hidden_layer_dims": (32,), "early_stopping": True, "scoring": "accuracy"},
    "batch norm": {"hidden_layer_dims": (16, 16), "batch_norm": True},
    "dropout": {"hidden_layer_dims": (64,), "dropout_rate": 0.3},
    "label smoothing": {"hidden_layer_dims": (32,), "label_smoothing": 0.1},
    "class weights": {"hidden_layer_dims": (32,), "class_weight": "balanced"},
    "robust scaling": {"hidden_layer_dims": (32,), "scale_inputs": "robust"},
    "cosine": {"hidden_layer_dims": (32,), "learning_rate_schedule": "cosine", "max_iter": 80},
    **{name: {"hidden_layer_dims": (32,), "activation": name} for name in ACTIVATIONS},
    **{name: {"hidden_layer_dims": (32,), "optimizer": name} for name in ("rmsprop", "nadam", "lbfgs")},
    "sgd": {"hidden_layer_dims": (32,), "optimizer": "sgd", "learning_rate": 0.1},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_reported_of_healthy_training(name):
    settings = {"learning_rate": 0.01, "random_state": 0} | HEALTHY[name]
    model = one_network(**settings)
    assert report_of(model, *WINE, warns=0) == []
    assert model.score(*WINE) > 0.95


def test_nothing_is_reported_of_the_defaults():
    model = DeepNNClassifier(random_state=0)
    assert report_of(model, *WINE, warns=0) == []
    assert model.score(*WINE) > 0.95


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_nothing_is_reported_of_unscaled_inputs_of_one_size(scale):
    X, y = StandardScaler().fit_transform(WINE[0]) * scale, WINE[1]
    model = one_network((32,), scale_inputs=None, learning_rate=0.01, max_iter=600, random_state=0)
    assert report_of(model, X, y, warns=0) == []


def test_nothing_is_reported_of_heavy_tails_rare_events_and_constants():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=500)
    features = [rng.normal(size=500) + 2 * y, rng.lognormal(sigma=2, size=500), rng.random(500) < 0.004, np.ones(500)]
    assert report_of(one_network((16,), random_state=0), np.column_stack(features), y, warns=0) == []


def test_nothing_is_reported_of_counts_of_words():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    rates = np.geomspace(5, 0.003, 300) * np.where(np.arange(300) % 2 == y[:, np.newaxis], 1.5, 0.5)
    model = one_network((16,), scale_inputs=None, learning_rate=0.01, random_state=0)
    assert report_of(model, csr_array(rng.poisson(rates).astype(float)), y, warns=0) == []


def test_nothing_is_reported_of_a_class_that_is_rare():
    X, _ = noise(1000)
    y = (X[:, 0] > 2) * 1
    assert 5 < y.sum() < 40
    assert report_of(DeepNNClassifier(random_state=0), X, y, warns=0) == []


def test_nothing_is_reported_of_a_single_class():
    assert report_of(one_network((8,), random_state=0), noise()[0], np.zeros(400), warns=0) == []


# What becomes of a report.


def test_an_earlier_report_does_not_survive():
    model = one_network((16,), weight_init="zeros", random_state=0)
    assert report_of(model, *WINE, warns=1)
    assert report_of(model.set_params(weight_init="auto", learning_rate=0.01), *WINE, warns=0) == []
    X, y = 10_000 * WINE[0], WINE[1]
    model = one_network((16,), scale_inputs=None, random_state=0).partial_fit(X, y, classes=[0, 1, 2])
    assert model.report_
    assert model.partial_fit(StandardScaler().fit_transform(X), y).report_ == []


def test_partial_fit_reports_units_and_inputs_but_no_ends():
    X, y = CANCER
    model = one_network((16,), "tanh", scale_inputs=None, random_state=0).partial_fit(1000 * X, y, classes=[0, 1])
    assert len(model.report_) == 2
    assert one(model.report_, "scale_inputs=None does not scale")
    assert one(model.report_, "of 16 units of hidden layer 1 are saturated")
    assert one_network((16,), random_state=0).partial_fit(*noise(), classes=[0, 1]).report_ == []


def test_continuing_when_all_is_learned_is_not_reported_as_training_that_changes_nothing():
    model = one_network((16,), learning_rate=0.01, warm_start=True, random_state=0)
    assert report_of(model, *WINE, warns=0) == []
    assert report_of(model.set_params(learning_rate=1e-7), *WINE, warns=0) == []


def test_a_report_is_a_list_of_short_sentences_and_pickles():
    model = one_network((32, 8), "tanh", scale_inputs=None, max_iter=40, random_state=0)
    report = report_of(model, 1000 * CANCER[0], CANCER[1], warns=0)
    assert type(report) is list
    assert all(type(finding) is str and len(finding) < 400 and finding.endswith(".") for finding in report)
    assert pickle.loads(pickle.dumps(model)).report_ == report
    assert "report_ : list of str" in inspect.getdoc(DeepNNClassifier)


def test_a_diagnosis_looks_at_a_bounded_sample(monkeypatch):
    import sklearn_deepnn.inspection.diagnosis as diagnosis

    sizes = []
    draw = diagnosis.draw_batch
    monkeypatch.setattr(
        diagnosis, "draw_batch", lambda examples, *args: sizes.append(examples.n) or draw(examples, *args)
    )
    X, y = noise(30_000, 3)
    one_network((4,), "tanh", max_iter=1, random_state=0).partial_fit(X, y, classes=[0, 1])
    assert sizes == [200]
    dead = {"W1": np.zeros((4, 3)), "b1": np.full((4, 1), -1.0), "W2": np.zeros((1, 4)), "b2": np.zeros((1, 1))}
    one_network((4,), "relu", weight_init=dead, random_state=0).partial_fit(X, y, classes=[0, 1])
    assert sizes == [200, 200, 2000]
    one_network((4,), max_iter=1, random_state=0).fit(X, y)  # no better than the baseline
    assert sizes == [200, 200, 2000, 200, 2000]
