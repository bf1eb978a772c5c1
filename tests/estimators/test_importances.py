"""`feature_importances_`: what they are, that they cost no randomness, and scikit-learn's selections by them."""

import pickle

import numpy as np
import pytest
from estimator_cases import TARGETS, X, Y, blobs, fitted, net, pickled, targets
from one_network import one_network
from scipy.sparse import csr_array
from sklearn.feature_selection import RFE, RFECV, SelectFromModel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import ModelCheckpoint, load_checkpoint

KINDS = [
    {}, {"ensemble_size": 3}, {"batch_norm": True}, {"scale_inputs": "robust"}, {"scale_inputs": None},
    {"dtype": "float32"}, {"hidden_layer_dims": ()}, {"optimizer": "lbfgs"},
    {"ensemble_size": 3, "early_stopping": True},
]  # fmt: skip
SIGNAL = np.random.default_rng(0).normal(size=(200, 6))  # the class depends on columns 1 and 4 alone
CLASSES = (SIGNAL[:, 1] + SIGNAL[:, 4] > 0).astype(int)


def by_the_definition(model, X, labels=(None,), weight=None):
    """Return the importances from the public gradients of a model."""
    gradients = sum(np.abs(model.input_gradients(X, label)) for label in labels)
    mean = np.average(X, axis=0, weights=weight)
    deviation = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
    importances = np.average(gradients, axis=0, weights=weight) * deviation
    return importances / importances.sum()


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("parameters", KINDS, ids=str)
def test_importances_are_mean_gradients_of_probabilities_per_standard_deviation(parameters, kind):
    model = net(**parameters).fit(X, targets(kind))
    labels = model.classes_ if kind == "multilabel" else [None]
    np.testing.assert_allclose(model.feature_importances_, by_the_definition(model, X, labels), rtol=1e-4)
    assert model.feature_importances_.sum() == pytest.approx(1)


def test_importances_do_not_depend_on_the_units_of_the_features():
    units = np.array([1e-3, 1.0, 1e4, 2.0])
    one, other = (net().fit(X * factor, Y).feature_importances_ for factor in (1.0, units))
    np.testing.assert_allclose(other, one, rtol=1e-6)


def test_importances_of_sparse_inputs_equal_those_of_dense_ones():
    sparse, dense = (net(scale_inputs=None).fit(each, Y).feature_importances_ for each in (csr_array(X), X))
    np.testing.assert_allclose(sparse, dense, rtol=1e-6)


def test_a_sample_of_weight_two_counts_as_two_samples():
    weight = 1 + np.arange(90) % 2
    model = net().fit(X, Y, weight)
    np.testing.assert_allclose(model.feature_importances_, by_the_definition(model, X, weight=weight), rtol=1e-6)


@pytest.mark.parametrize("scale_inputs", ["standard", "robust", None])
def test_a_constant_feature_has_no_importance(scale_inputs):
    importances = net(scale_inputs=scale_inputs).fit(np.insert(X, 2, 7.0, axis=1), Y).feature_importances_
    assert importances[2] == 0
    assert (np.delete(importances, 2) > 0).all()


@pytest.mark.parametrize("inputs", [X, np.zeros_like(X)], ids=["one class", "constant features"])
def test_importances_are_zero_where_no_feature_matters(inputs):
    y = Y if not inputs.any() else np.zeros(len(Y), int)
    np.testing.assert_array_equal(net().fit(inputs, y).feature_importances_, np.zeros(4))


def test_importances_of_many_samples_are_those_of_a_thousand():
    many, labels = blobs(2500)
    model = net(max_iter=2).fit(many, labels)
    sample = many[np.linspace(0, 2499, 1000).astype(int)]
    np.testing.assert_allclose(model.feature_importances_, by_the_definition(model, sample), rtol=0.05)


def test_importances_of_a_wide_network_are_those_of_fewer_samples(monkeypatch):
    X_many, y_many = blobs(400, 3)
    model = net().fit(X_many, y_many)
    n_weights = sum(W.size for name, W in model.parameters_.items() if name.startswith("W"))
    monkeypatch.setattr("sklearn_deepnn.estimators.keeping.SAMPLED_PRODUCTS", 300 * n_weights)
    model = net().fit(X_many, y_many)
    sample = X_many[np.linspace(0, 399, 300).astype(int)]
    importances = np.abs(model.input_gradients(sample)).mean(axis=0) * X_many.std(axis=0)
    np.testing.assert_allclose(model.feature_importances_, importances / importances.sum(), rtol=1e-4)


def test_an_estimator_that_is_not_fitted_has_no_importances():
    assert not hasattr(net(), "feature_importances_")
    assert not hasattr(DeepNNClassifier, "feature_importances_")


def test_importances_change_with_every_way_of_training(tmp_path):
    model = net(warm_start=True).fit(X, Y)
    first = model.feature_importances_
    again = model.fit(X, Y).feature_importances_
    in_parts = model.partial_fit(X, Y).feature_importances_
    assert len({importances.tobytes() for importances in (first, again, in_parts)}) == 3
    np.testing.assert_allclose(in_parts, by_the_definition(model, X), rtol=1e-6)
    net().set_callbacks(ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    checkpoint = load_checkpoint(min(tmp_path.iterdir()))
    np.testing.assert_allclose(checkpoint.feature_importances_, by_the_definition(checkpoint, X), rtol=1e-6)
    resumed = net().fit(X, Y, resume_from=tmp_path)
    np.testing.assert_array_equal(resumed.feature_importances_, first)


def test_reading_the_importances_leaves_no_trace():
    model, before = net().fit(X, Y), pickle.dumps(net().fit(X, Y))
    importances = model.feature_importances_
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(pickled(model).feature_importances_, importances)
    assert fitted(model)["feature_importances_"] is importances


@pytest.mark.parametrize("selection", [RFE, SelectFromModel])
def test_a_selection_keeps_the_features_that_matter(selection):
    network = one_network((16,), learning_rate=0.01, max_iter=30, random_state=0)
    limits = {"n_features_to_select": 2} if selection is RFE else {"max_features": 2, "threshold": -np.inf}
    assert selection(network, **limits).fit(SIGNAL, CLASSES).get_support(indices=True).tolist() == [1, 4]


def test_a_selection_is_a_step_of_a_pipeline_and_of_a_search():
    network = one_network((8,), learning_rate=0.01, max_iter=20, random_state=0)
    chosen = RFECV(network, cv=2, step=2, min_features_to_select=2).fit(SIGNAL, CLASSES)
    assert chosen.get_support()[[1, 4]].all()
    search = GridSearchCV(
        make_pipeline(SelectFromModel(network), network), {"selectfrommodel__max_features": [2]}, cv=2
    )
    assert search.fit(SIGNAL, CLASSES).score(SIGNAL, CLASSES) > 0.9


def test_importances_are_those_of_all_features_after_training_continues_on_gaps():
    X = np.random.default_rng(0).normal(size=(90, 3))
    y = (X[:, 0] > 0).astype(int)
    model = one_network((8,), max_iter=30, learning_rate=0.01, warm_start=True, random_state=0).fit(X, y)
    X[::7, 1] = np.nan
    assert model.fit(X, y).feature_importances_.argmax() == 0
