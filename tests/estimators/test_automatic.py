"""The default estimator on data: which facts of the data "auto" depends on, and how well the defaults learn."""

import numpy as np
import pytest
import scipy.sparse as sp
from estimator_cases import X_VAL, Y_VAL, X, Y, blobs, fitted
from reference import assert_same
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.metrics import recall_score

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.estimators import base, defaults
from sklearn_deepnn.training.optimizers import LBFGS


def automatic(**parameters):
    """Return a classifier that trains for a few epochs, with all else automatic."""
    return DeepNNClassifier(**{"max_iter": 3, "random_state": 0, **parameters})


@pytest.fixture
def plans(monkeypatch):
    """Return a list of the plans that training follows, one entry for each call."""
    seen, plan_for = [], base.plan_for

    def spy(*arguments, **options):
        seen.append(plan_for(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(base, "plan_for", spy)
    return seen


# A value that is given, and the same value that is chosen.


def chosen_by(plan):
    """Return the values of a plan by the names of the parameters."""
    network, recipe = plan.network, plan.recipe
    return {
        "scale_inputs": plan.scale_inputs,
        "hidden_layer_dims": network.layer_dims[1:-1],
        "activation": network.activation,
        "ensemble_size": network.ensemble_size,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "label_smoothing": recipe.label_smoothing,
        "early_stopping": plan.stops_by_validation,
        "validation_fraction": plan.validation_fraction,
        "n_iter_no_change": plan.patience,
        "batch_size": recipe.batch_size,
        "weight_averaging": recipe.averaging_epochs,
        "dtype": plan.dtype,
    }


FITS = {
    "a small table": ({}, X, Y, {}),
    "a table with validation data": ({}, X, Y, {"X_val": X_VAL, "y_val": Y_VAL}),
    "few samples": ({}, X[:30], Y[:30], {}),
    "enough samples for float32": ({"max_iter": 1}, *blobs(defaults.MANY_SAMPLES // 10), {}),
    "wide sparse X": ({"max_iter": 2}, sp.random(60, 300, 0.05, "csr", random_state=0), Y[:60], {}),
    "pixels": ({"max_iter": 1}, *(each[:200] for each in load_digits(return_X_y=True)), {}),
    "L-BFGS": ({"optimizer": "lbfgs"}, X, Y, {}),
}


@pytest.mark.parametrize("kind", FITS)
def test_a_value_that_is_given_equals_the_same_value_that_is_chosen(kind, plans):
    parameters, rows, labels, validation = FITS[kind]
    expected = automatic(**parameters).fit(rows, labels, **validation)
    chosen = chosen_by(plans[-1])
    assert chosen.keys() == defaults.RULES.keys()
    for given in [chosen, *({name: value} for name, value in chosen.items())]:
        found = automatic(**parameters, **given).fit(rows, labels, **validation)
        assert_same(fitted(found), fitted(expected))


def test_the_automatic_dims_that_are_given_predict_the_same_to_the_bit():
    rows, labels = load_breast_cancer(return_X_y=True)
    default = DeepNNClassifier(random_state=0).fit(rows, labels)
    dims = default.network_["layer_dims"][1:-1]
    given = DeepNNClassifier(dims, random_state=0).fit(rows, labels)
    np.testing.assert_array_equal(given.predict_proba(rows), default.predict_proba(rows))


@pytest.mark.parametrize(
    ("rows", "numeric_encoding"),
    [(X, "piecewise_linear"), (np.hstack([X] * defaults.MOST_BINNED), None)],
    ids=["few features", "many features"],
)
def test_the_automatic_encoding_of_numbers_may_be_given(rows, numeric_encoding):
    default, given = automatic().fit(rows, Y), automatic(numeric_encoding=numeric_encoding).fit(rows, Y)
    assert hasattr(default, "encoding_") == (numeric_encoding is not None)
    assert_same(fitted(given), fitted(default))


# Precision.


ALONE = {"ensemble_size": 1, "hidden_layer_dims": (), "max_iter": 1, "batch_size": 5000}


@pytest.mark.parametrize("X_dtype", [np.float32, np.float64, np.int64, np.int8, bool])
@pytest.mark.parametrize("more", [0, 1])
def test_auto_dtype_is_single_for_single_inputs_or_many_rows(X_dtype, more):
    X, y = blobs(defaults.MANY_SAMPLES + more, n_features=3)
    model = automatic(**ALONE).fit(X.astype(X_dtype), y)
    single = X_dtype == np.float32 or more
    assert model.coefs_[0].dtype == (np.float32 if single else np.float64)


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize(("deviations", "dtype"), [(100, np.float32), (3000, np.float64), (-3000, np.float64)])
def test_auto_dtype_is_double_where_a_feature_is_far_from_zero(deviations, dtype, ensemble_size):
    rows, y = blobs(defaults.MANY_SAMPLES + 1, n_features=3)
    rows[:, 1] += deviations * rows[:, 1].std()
    settings = {**ALONE, "numeric_encoding": None, "ensemble_size": ensemble_size}  # bins resolve every feature
    model = automatic(**settings).fit(rows, y)
    assert model.coefs_[0].dtype == dtype
    assert automatic(**settings).fit(rows.astype(np.float32), y).coefs_[0].dtype == np.float32


def test_bins_resolve_a_feature_far_from_zero_in_single_precision():
    rows, y = blobs(defaults.MANY_SAMPLES // 10, n_classes=2, n_features=3)
    rows[:, 1] += 1e9
    model = automatic(max_iter=10).fit(rows[:, 1:], y)
    assert model.coefs_[0].dtype == np.float32
    assert model.score(rows[:, 1:], y) > 0.95


@pytest.mark.parametrize("unit", [1e-40, 1e-120])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_feature_of_a_tiny_unit_is_learned_and_predicted_in_single_precision(dtype, unit):
    rows, y = blobs(200, n_classes=2, n_features=2)
    model = automatic(max_iter=20, dtype=dtype).fit(rows * [unit, 0.0], y)
    assert model.score(rows * [unit, 0.0], y) > 0.95
    zeros = np.zeros((1, 2), np.float32)
    np.testing.assert_allclose(model.predict_proba(zeros), model.predict_proba(zeros.astype(float)), rtol=1e-4)


# Facts that depend on the data.


@pytest.fixture
def _small_samples_are_60(monkeypatch):
    monkeypatch.setattr(defaults, "SMALL_SAMPLES", 60)


@pytest.mark.usefixtures("_small_samples_are_60")
def test_rows_of_weight_0_do_not_count_as_samples(plans):
    weight = np.ones(len(X))
    automatic().fit(X, Y, weight)
    weight[60:] = 0
    automatic().fit(X, Y, weight)
    automatic().fit(X[:60], Y[:60])
    many, few_by_weight, few = plans
    assert few_by_weight.network == few.network != many.network
    assert few_by_weight.n_held_out == few.n_held_out


@pytest.mark.parametrize("parameters", [{}, {"hidden_layer_dims": (5,)}, {"ensemble_size": 1}], ids=str)
@pytest.mark.parametrize("more", [-1, 0])
def test_automatic_early_stopping_depends_on_the_number_of_samples(parameters, more):
    model = automatic(**parameters).fit(*blobs(defaults.FEW_SAMPLES + more))
    assert hasattr(model, "validation_loss_curve_") == (more == 0)


def test_validation_data_stop_training_however_few_the_samples(plans):
    model = automatic(max_iter=50, tol=1e9, n_iter_no_change=2).fit(X[:9], Y[:9], X_val=X_VAL, y_val=Y_VAL)
    assert model.n_iter_ == 3
    assert (plans[0].stops_by_validation, plans[0].n_held_out) == (True, 0)


def test_weights_are_averaged_by_default_where_epochs_are_validated():
    for settings in ({}, {"early_stopping": False}):
        found = automatic(**settings).fit(X, Y).parameters_
        plain, averaged = (
            automatic(weight_averaging=epochs, **settings).fit(X, Y).parameters_
            for epochs in (0, defaults.AVERAGING_EPOCHS)
        )
        assert_same(found, plain if settings else averaged)
        assert not np.array_equal(plain["W1"], averaged["W1"])


@pytest.mark.parametrize(
    ("n_positive", "smoothing"),
    [(500, None), (200, None), (50, 0.1), (10, 0.02)],  # None: the smoothing of balanced classes
)
def test_automatic_smoothing_is_smaller_with_rare_classes(plans, n_positive, smoothing):
    rows, y = np.random.default_rng(0).normal(size=(1000, 2)), (np.arange(1000) < n_positive).astype(int)
    model = automatic(max_iter=1)
    model.fit(rows, y)
    model.fit(rows, y, sample_weight=np.where(y, 1000 - n_positive, n_positive))
    rare, balanced = (plan.recipe.label_smoothing for plan in plans)
    assert balanced == defaults.SMOOTHING  # classes of the same total weight are not rare
    assert rare == pytest.approx(balanced if smoothing is None else smoothing * defaults.LIFT_OF_RARE_CLASS)


# Network and ensemble.


@pytest.mark.parametrize(
    ("parameters", "ensemble_size"),
    [
        ({}, defaults.LARGEST_ENSEMBLE),
        ({"ensemble_size": 2}, 2),
        ({"hidden_layer_dims": (5,)}, defaults.LARGEST_ENSEMBLE),
        ({"hidden_layer_dims": (5,), "ensemble_size": 2}, 2),
        ({"activation": "tanh"}, defaults.LARGEST_ENSEMBLE),
        ({"early_stopping": False}, defaults.LARGEST_ENSEMBLE),
        ({"optimizer": "lbfgs"}, 1),
        ({"optimizer": LBFGS()}, 1),
        ({"optimizer": "lbfgs", "ensemble_size": 2}, 2),
    ],
    ids=str,
)
def test_small_sets_train_ensembles_and_l_bfgs_trains_one_network(parameters, ensemble_size):
    model = automatic(**parameters).fit(X, Y)
    assert model.network_["ensemble_size"] == ensemble_size
    assert model.coefs_[0].shape[:-2] == (() if ensemble_size == 1 else (ensemble_size,))


def test_ensembles_are_smaller_where_an_epoch_takes_more_work(monkeypatch):
    def size(n_samples, *dims):
        return automatic(hidden_layer_dims=dims, max_iter=1).fit(*blobs(n_samples)).network_["ensemble_size"]

    monkeypatch.setattr(defaults, "ENSEMBLE_WORK", 1e7)
    assert size(90, 8) > size(900, 8) > size(9000, 8) == 1
    assert size(90, 8) > size(90, 64) > size(90, 64, 64) >= 1


def test_partial_fit_trains_one_network_and_keeps_its_size():
    model = automatic().partial_fit(X[:30], Y[:30], classes=[0, 1, 2])
    assert model.network_["ensemble_size"] == 1
    assert model.partial_fit(X, Y).network_["ensemble_size"] == 1
    assert model.set_params(warm_start=True).fit(X, Y).network_["ensemble_size"] == 1


def test_partial_fit_continues_the_ensemble_of_fit():
    model = automatic().fit(X, Y)
    assert model.partial_fit(X, Y).network_["ensemble_size"] == defaults.LARGEST_ENSEMBLE


@pytest.mark.usefixtures("_small_samples_are_60")
def test_a_warm_start_on_more_samples_keeps_the_network():
    model = automatic(warm_start=True).fit(X[:60], Y[:60])
    network = model.network_
    assert model.fit(X, Y).network_ == network
    assert automatic().fit(X, Y).network_["layer_dims"] != network["layer_dims"]


# What the defaults learn.


@pytest.mark.parametrize("factors", [np.ones(30), np.logspace(-3, 6, 30)], ids=["raw", "spread"])
def test_the_defaults_learn_a_raw_table(factors):
    rows, labels = load_breast_cancer(return_X_y=True)
    model = DeepNNClassifier(random_state=0).fit(rows[::2] * factors, labels[::2])
    assert model.score(rows[1::2] * factors, labels[1::2]) > 0.9


ENCODINGS = ["auto", "piecewise_linear", None]


@pytest.mark.parametrize("numeric_encoding", ENCODINGS)
def test_the_defaults_learn_a_table_with_a_row_of_outliers(numeric_encoding):
    rows, labels = load_breast_cancer(return_X_y=True)
    training, training_labels = rows[::2].copy(), labels[::2]
    training[17] = 1e9
    model = DeepNNClassifier(numeric_encoding=numeric_encoding, random_state=0).fit(training, training_labels)
    assert model.score(rows[1::2], labels[1::2]) > 0.9


@pytest.mark.parametrize("numeric_encoding", ENCODINGS)
@pytest.mark.parametrize("wild", [1e9, -1e9])
def test_a_feature_with_one_wild_value_stays_useful(wild, numeric_encoding):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(600, 4)), np.arange(600) % 2
    rows[:, 2] += 4 * labels  # alone tells the classes apart
    training = rows[:300].copy()
    training[7, 2] = wild
    model = DeepNNClassifier(numeric_encoding=numeric_encoding, random_state=0).fit(training, labels[:300])
    assert model.score(rows[300:], labels[300:]) > 0.93


def rare_positives():
    """Return rows and labels, of which one in a hundred is 1, to train on and to test on."""
    settings = {"n_features": 10, "n_informative": 6, "class_sep": 1.5, "flip_y": 0}
    rows, labels = make_classification(6000, weights=[0.99], random_state=1, **settings)
    return rows[::2], labels[::2], rows[1::2], labels[1::2]


def test_balanced_weights_find_rare_positives():
    rows, labels, later, expected = rare_positives()
    model = DeepNNClassifier(class_weight="balanced", random_state=0).fit(rows, labels)
    assert recall_score(expected, model.predict(later)) > 0.9


def test_probabilities_of_rare_positives_are_as_low_as_their_fraction():
    rows, labels, later, expected = rare_positives()
    model = DeepNNClassifier(random_state=0).fit(rows, labels)
    assert model.predict_proba(later)[:, 1].mean() == pytest.approx(expected.mean(), rel=0.2)
