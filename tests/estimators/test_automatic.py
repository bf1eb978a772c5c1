"""The automatic network on data: which facts of the data "auto" depends on, and how well the defaults learn."""

import numpy as np
import pytest
from estimator_cases import X_VAL, Y_VAL, X, Y, blobs, fitted, net
from reference import assert_same
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.metrics import recall_score

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.estimators import base, defaults
from sklearn_deepnn.training.optimizers import LBFGS

# Precision.


@pytest.mark.parametrize("X_dtype", [np.float32, np.float64, np.int64, np.int8, bool])
@pytest.mark.parametrize("n_samples", [10_000, 10_001])
def test_auto_dtype_is_single_for_single_inputs_or_many_rows(X_dtype, n_samples):
    X, y = blobs(n_samples, n_features=3)
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000).fit(X.astype(X_dtype), y)
    single = X_dtype == np.float32 or n_samples > 10_000
    assert model.coefs_[0].dtype == (np.float32 if single else np.float64)


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize(("deviations", "dtype"), [(100, np.float32), (3000, np.float64), (-3000, np.float64)])
def test_auto_dtype_is_double_where_a_feature_is_far_from_zero(deviations, dtype, ensemble_size):
    rows, y = blobs(10_001, n_features=3)
    rows[:, 1] += deviations * rows[:, 1].std()
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000, ensemble_size=ensemble_size).fit(rows, y)
    assert model.coefs_[0].dtype == dtype
    single = net(hidden_layer_dims=(), max_iter=1, batch_size=5000).fit(rows.astype(np.float32), y)
    assert single.coefs_[0].dtype == np.float32


def test_rows_of_weight_0_do_not_count_as_many_rows():
    X, y = blobs(10_020, n_features=3)
    weight = np.ones(10_020)
    weight[10_000:] = 0
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000).fit(X, y, weight)
    assert not hasattr(model, "validation_loss_curve_")
    assert model.coefs_[0].dtype == np.float64


# Early stopping and averaging.


LINEAR = {"hidden_layer_dims": (), "batch_size": 5000}


@pytest.mark.parametrize(
    ("parameters", "n_samples", "validates"),
    [
        (LINEAR, 10_000, False),
        (LINEAR, 10_001, True),
        ({**LINEAR, "early_stopping": False}, 10_001, False),
        ({"ensemble_size": 2}, 39, False),
        ({"ensemble_size": 2}, 40, True),
    ],
    ids=str,
)
def test_automatic_early_stopping_depends_on_the_number_of_samples(parameters, n_samples, validates):
    model = net(max_iter=1, **parameters).fit(*blobs(n_samples))
    assert hasattr(model, "validation_loss_curve_") == validates


def test_weights_are_averaged_by_default_where_epochs_are_validated():
    for validation in ({}, {"X_val": X_VAL, "y_val": Y_VAL}):
        automatic = net().fit(X, Y, **validation).parameters_
        told = [net(weight_averaging=epochs).fit(X, Y, **validation).parameters_ for epochs in (0, 3)]
        assert_same(automatic, told[bool(validation)])
        assert not np.array_equal(automatic["W1"], told[not validation]["W1"])


# Network and ensemble.


@pytest.mark.parametrize(
    ("parameters", "ensemble_size"),
    [
        ({}, 12),
        ({"ensemble_size": 2}, 2),
        ({"hidden_layer_dims": (5,)}, 1),
        ({"hidden_layer_dims": (5,), "ensemble_size": 2}, 2),
        ({"optimizer": "lbfgs"}, 1),
        ({"optimizer": LBFGS()}, 1),
        ({"activation": "tanh"}, 12),
    ],
    ids=str,
)
def test_only_automatic_networks_are_automatic_ensembles(parameters, ensemble_size):
    model = DeepNNClassifier(max_iter=1, random_state=0, **parameters).fit(X, Y)
    assert model.network_["ensemble_size"] == ensemble_size
    assert model.coefs_[0].shape[:-2] == (() if ensemble_size == 1 else (ensemble_size,))


def test_an_automatic_ensemble_keeps_its_size_over_calls_of_partial_fit(monkeypatch):
    monkeypatch.setattr(defaults, "ENSEMBLE_SAMPLES", 90)
    model = DeepNNClassifier(random_state=0).partial_fit(X[:30], Y[:30], classes=[0, 1, 2])
    assert model.network_["ensemble_size"] == 3
    assert model.partial_fit(X, Y).network_["ensemble_size"] == 3


AUTOMATIC = [({}, 0), ({"hidden_layer_dims": (48, 24)}, 1), ({"optimizer": "lbfgs"}, 1)]


@pytest.mark.parametrize("name", [name for name in defaults.AUTO if name != "hidden_layer_dims"])
@pytest.mark.parametrize(("parameters", "position"), AUTOMATIC, ids=str)
def test_automatic_values_depend_on_whether_the_network_is_automatic(name, parameters, position):
    settings = {"ensemble_size": 1, "max_iter": 12, "tol": 1e9, "random_state": 0, **parameters}
    given = {name: defaults.AUTO[name][position], **settings}
    assert_same(fitted(DeepNNClassifier(**given).fit(X, Y)), fitted(DeepNNClassifier(**settings).fit(X, Y)))


@pytest.mark.parametrize(("optimizer", "hidden_dims"), [("adam", [48, 24]), ("sgd", [48, 24]), ("lbfgs", [100])])
def test_automatic_dims_are_one_wide_layer_for_lbfgs(optimizer, hidden_dims):
    model = DeepNNClassifier(optimizer=optimizer, max_iter=1, random_state=0).fit(X, Y)
    assert model.network_["layer_dims"] == [4, *hidden_dims, 3]


# Label smoothing.


@pytest.fixture
def recipes(monkeypatch):
    """Return a list of the recipes that `fit` passes to `train`, one entry for each call."""
    seen, train = [], base.train

    def spy(state, examples, network, recipe, **options):
        seen.append(recipe)
        return train(state, examples, network, recipe, **options)

    monkeypatch.setattr(base, "train", spy)
    return seen


@pytest.mark.parametrize(("n_positive", "smoothing"), [(500, 0.02), (200, 0.02), (50, 0.01), (10, 0.002)])
def test_automatic_smoothing_is_smaller_with_rare_classes(recipes, n_positive, smoothing):
    rows, y = np.random.default_rng(0).normal(size=(1000, 2)), (np.arange(1000) < n_positive).astype(int)
    model = DeepNNClassifier(max_iter=1, random_state=0)
    model.fit(rows, y)
    model.fit(rows, y, sample_weight=np.where(y, 1000 - n_positive, n_positive))
    rare, balanced = (recipe.label_smoothing for recipe in recipes)
    assert rare == pytest.approx(smoothing)
    assert balanced == 0.02  # classes of the same total weight are not rare


# What the defaults learn.


@pytest.mark.parametrize("factors", [np.ones(30), np.logspace(-3, 6, 30)], ids=["raw", "spread"])
def test_the_defaults_learn_a_raw_table(factors):
    rows, labels = load_breast_cancer(return_X_y=True)
    model = DeepNNClassifier(random_state=0).fit(rows[::2] * factors, labels[::2])
    assert model.score(rows[1::2] * factors, labels[1::2]) > 0.9


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
