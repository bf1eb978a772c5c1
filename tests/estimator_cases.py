"""A small classification problem, and builders of classifiers for the tests of the estimators."""

import copy
import pickle

import numpy as np
from one_network import one_network
from reference import assert_same
from sklearn.metrics import accuracy_score

PREDICTORS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
ARCHITECTURES = [{}, {"batch_norm": True}, {"dropout_rate": 0.3}, {"batch_norm": True, "dropout_rate": 0.3}]
TARGETS = ["binary", "multiclass", "multilabel"]
FACTORS, OFFSETS = np.array([1000.0, 1e-4, 30.0, 1e6]), np.array([5.0, 0.3, -2000.0, 1e7])


def net(**parameters):
    """Return a small classifier that takes mini-batches and never stops by itself."""
    defaults = {"hidden_layer_dims": (6,), "max_iter": 5, "batch_size": 16, "n_iter_no_change": 1000, "random_state": 0}
    return one_network(**{**defaults, **parameters})


def blobs(n_samples=90, n_classes=3, n_features=4, seed=0):
    """Return clouds around the corners of a simplex, class by class in turn."""
    y = np.arange(n_samples) % n_classes
    centers = 3 * np.eye(max(n_classes, n_features))[:n_classes, :n_features]
    return centers[y] + 0.5 * np.random.default_rng(seed).standard_normal((n_samples, n_features)), y


X, Y = blobs()
X_VAL, Y_VAL = blobs(seed=1)


def targets(kind):
    """Return targets of a kind for `X`."""
    return {"binary": (Y == 1) * 1, "multiclass": Y, "multilabel": np.stack([Y == 0, Y > 0, X[:, 0] > 1], axis=1) * 1}[
        kind
    ]


def with_entry(array, value):
    """Return a copy of an array whose fourth entry is a given value."""
    array = np.array(array, dtype=float)
    array.flat[3] = value
    return array


def fitted(model):
    """Return the attributes that fitting has set."""
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


def learned(model):
    """Return the attributes that fitting has set, except what tells of the last call alone."""
    attributes = {name: value for name, value in fitted(model).items() if name != "report_"}
    attributes["training_state_"] = {**attributes["training_state_"], "call": None, "memories": None}
    return attributes


def pickled(model):
    """Return a model as another process would load it."""
    return pickle.loads(pickle.dumps(model))


def members(model):
    """Return the members of a fitted ensemble as separate classifiers."""
    alone = []
    for k in range(model.network_["ensemble_size"]):
        member = copy.deepcopy(model)
        member.parameters_ = {name: array[k] for name, array in model.parameters_.items()}
        member.network_["ensemble_size"] = 1
        alone.append(member)
    return alone


def forward(model, X):
    """Return the logits of a ReLU network from coefs_ and intercepts_, as a user of MLPClassifier would."""
    A = X
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1]):
        A = np.maximum(A @ W + b, 0)
    return A @ model.coefs_[-1] + model.intercepts_[-1]


def probabilities(kind, ZL):
    """Return the probabilities of logits."""
    if kind == "multiclass":
        return np.exp(ZL) / np.exp(ZL).sum(axis=1, keepdims=True)
    positive = 1 / (1 + np.exp(-ZL))
    return np.hstack([1 - positive, positive]) if kind == "binary" else positive


class RecordingScorer:
    """The accuracy, as a scorer that records its arguments and the predicted probabilities."""

    def __init__(self):
        self.calls = []

    def __call__(self, estimator, X, y, sample_weight=None):
        self.calls.append((X.copy(), y.copy(), sample_weight, estimator.predict_proba(X)))
        return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)


def assert_untouched(earlier):
    """Check that the model of the fixture `earlier` has the fitted attributes and predictions that it had."""
    model, before, proba = earlier
    assert_same(fitted(model), before)
    np.testing.assert_array_equal(model.predict_proba(X), proba)
