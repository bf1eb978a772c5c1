"""A program may make every floating-point error an exception: np.seterr(all="raise"). Underflow is none here."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest
from estimator_cases import TARGETS, X_VAL, X, Y, net, targets
from one_network import one_network
from reference import assert_same
from scipy import sparse
from sklearn.datasets import load_breast_cancer

from sklearn_deepnn import DeepNNClassifier, check_gradient, train_deep_network
from sklearn_deepnn.network import batchnorm_forward
from sklearn_deepnn.training import OPTIMIZERS

PREDICTORS = ["predict", "predict_proba", "predict_log_proba", "decision_function", "input_gradients"]


@pytest.fixture(autouse=True)
def _all_errors_raise():
    with np.errstate(all="raise"):
        yield


SETTINGS = {
    "default": {"max_iter": 40},
    "single precision": {"hidden_layer_dims": (16,), "learning_rate": 0.05, "dtype": "float32"},
    "many options": {
        "hidden_layer_dims": (16, 8), "activation": "gelu", "batch_norm": True, "dropout_rate": 0.2,
        "weight_averaging": 2.0, "max_grad_norm": 1.0, "early_stopping": True, "max_iter": 20, "scoring": "accuracy",
    },
    "robust": {"hidden_layer_dims": (8,), "scale_inputs": "robust", "max_iter": 20},
    **{name: {"hidden_layer_dims": (8,), "optimizer": name, "max_iter": 30} for name in OPTIMIZERS},
}  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_classifier_fits_and_predicts_the_same_as_without(settings):
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = np.column_stack([rows, rows[:, 0] * 1e-200, np.ones(len(rows))])
    single = np.maximum(rows, 1e-30).astype(np.float32)
    model = DeepNNClassifier(**SETTINGS[settings], random_state=0).fit(rows, labels)
    with np.errstate(all="warn", under="ignore"):
        plain = DeepNNClassifier(**SETTINGS[settings], random_state=0).fit(rows, labels)
    assert_same(model.parameters_, plain.parameters_)
    for predict in PREDICTORS:
        for inputs in (rows, 1e3 * rows, single):
            assert len(getattr(model, predict)(inputs)) == len(rows)
    assert np.isfinite(model.coefs_[0]).all()


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("kind", TARGETS)
def test_every_kind_of_input_and_target_is_learned(kind, container):
    model = net(hidden_layer_dims=(8,), max_iter=30, learning_rate=0.1)
    model.fit(container(X), targets(kind), X_val=container(X_VAL), y_val=targets(kind))
    assert model.predict_proba(container(1e3 * X)).shape[0] == len(X)
    model.integrated_gradients(X, label=model.classes_[0])
    model.hidden_activations(X)


def test_partial_fit_and_the_other_tools_underflow_in_silence():
    model = one_network((8,), activation="silu", random_state=0)
    for scale in (1e-150, 1e-3, 1.0):
        model.partial_fit(scale * X, Y, classes=[0, 1, 2])
    assert check_gradient(model, X, Y) < 1e-6
    train_deep_network(30 * X.T, Y[np.newaxis], [4, 6, 3], 0.1, 50, rng=0, activation="sigmoid")


def test_threads_that_predict_have_the_state_of_the_caller():
    model = one_network((8,), max_iter=5, random_state=0).fit(X, Y)
    many = np.tile(100 * X, (1000, 1))  # more than 8 chunks, which are predicted in a thread pool
    assert model.predict_proba(many).shape == (90_000, 3)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(copy_context().run, model.predict_proba, X).result().shape == (90, 3)


def test_overflow_is_an_error_as_before():
    with pytest.raises(FloatingPointError, match="overflow"):
        batchnorm_forward(np.array([[1e300, -1e300]]), np.ones((1, 1)), np.zeros((1, 1)))
