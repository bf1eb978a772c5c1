"""`DeepNNClassifier` itself: labels, weights, precision, validation, going on with training, predictions, bad input."""

import copy
import pickle
import re
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from reference import assert_same
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, log_loss, make_scorer, recall_score
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import EarlyStopping
from sklearn_deepnn.estimators import classifier
from sklearn_deepnn.estimators.classifier import draw_folds, draw_shares
from sklearn_deepnn.network import model as network
from sklearn_deepnn.network.losses import LOSSES
from sklearn_deepnn.training import loop as training
from sklearn_deepnn.training.optimizers import LBFGS, OPTIMIZERS, SGD, Adam
from sklearn_deepnn.training.schedules import SCHEDULES

PREDICTORS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
ARCHITECTURES = [{}, {"batch_norm": True}, {"dropout_rate": 0.3}, {"batch_norm": True, "dropout_rate": 0.3}]
TARGETS = ["binary", "multiclass", "multilabel"]


def net(**parameters):
    """Return a small classifier that takes mini-batches and never stops by itself."""
    defaults = {"hidden_layer_dims": (6,), "max_iter": 5, "batch_size": 16, "n_iter_no_change": 1000, "random_state": 0}
    return DeepNNClassifier(**{**defaults, **parameters})


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


def fitted(model):
    """Return what fitting has set."""
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


def learned(model):
    """Return what fitting has set, but for what it says of the last call."""
    return {name: value for name, value in fitted(model).items() if name != "report_"}


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def expit(Z):
    return 1 / (1 + np.exp(-Z))


def forward(model, X):
    """Return the logits of a ReLU network from coefs_ and intercepts_, as a user of MLPClassifier would."""
    A = X
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1]):
        A = np.maximum(A @ W + b, 0)
    return A @ model.coefs_[-1] + model.intercepts_[-1]


def probabilities(kind, ZL):
    if kind == "multiclass":
        return np.exp(ZL) / np.exp(ZL).sum(axis=1, keepdims=True)
    return np.hstack([1 - expit(ZL), expit(ZL)]) if kind == "binary" else expit(ZL)


# Fitted attributes.


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("parameters", ARCHITECTURES, ids=str)
def test_coefs_and_intercepts_reproduce_the_probabilities(kind, parameters):
    model = net(hidden_layer_dims=(6, 5), learning_rate=0.02, **parameters).fit(X, targets(kind))
    np.testing.assert_allclose(model.predict_proba(X), probabilities(kind, forward(model, X)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("hidden_layer_dims", [(), 6, (6,), [6, 5], (6, 5, 4), np.array([6, 5])], ids=str)
@pytest.mark.parametrize(("kind", "n_outputs"), [("binary", 1), ("multiclass", 3), ("multilabel", 3)])
def test_attributes_have_the_shapes_of_the_layers(hidden_layer_dims, kind, n_outputs):
    model = net(hidden_layer_dims=hidden_layer_dims).fit(X, targets(kind))
    dims = [4, *np.atleast_1d(hidden_layer_dims).astype(int), n_outputs]
    assert [W.shape for W in model.coefs_] == list(pairwise(dims))
    assert [b.shape for b in model.intercepts_] == [(n,) for n in dims[1:]]
    for l, (n_prev, n) in enumerate(pairwise(dims), start=1):
        assert model.parameters_[f"W{l}"].shape == (n, n_prev)
        assert model.parameters_[f"b{l}"].shape == (n, 1)
    assert (model.n_layers_, model.n_outputs_, model.n_features_in_) == (len(dims), n_outputs, 4)


@pytest.mark.parametrize(
    ("kind", "link"), [("binary", "sigmoid"), ("multiclass", "softmax"), ("multilabel", "sigmoid")]
)
def test_the_output_s_activation_goes_by_the_targets(kind, link):
    assert net().fit(X, targets(kind)).out_activation_ == link


def test_curves_have_one_entry_for_each_epoch():
    model = net(max_iter=7).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.n_iter_ == 7
    curves = ["loss_curve_", "validation_loss_curve_", "validation_scores_", "learning_rate_curve_"]
    assert [len(getattr(model, name)) for name in curves] == [7, 7, 7, 7]
    assert model.loss_ == model.loss_curve_[-1]
    assert model.validation_scores_ == [-cost for cost in model.validation_loss_curve_]


def test_without_validation_there_are_no_validation_curves():
    model = net().fit(X, Y)
    assert not hasattr(model, "validation_loss_curve_")
    assert not hasattr(model, "validation_scores_")
    assert model.best_loss_ == min(model.loss_curve_) == model.loss_curve_[model.best_iter_ - 1]


def test_a_refit_without_validation_forgets_the_validation_curves():
    model = net().fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert not hasattr(model.fit(X, Y), "validation_loss_curve_")


def test_training_stops_when_patience_runs_out():
    assert net(max_iter=50, n_iter_no_change=3, tol=1e9).fit(X, Y).n_iter_ == 4


def test_training_lowers_the_cost_and_learns():
    model = net(max_iter=40, learning_rate=0.01).fit(X, Y)
    assert model.loss_ < 0.2 * model.loss_curve_[0]
    assert model.score(X_VAL, Y_VAL) > 0.95


def test_tags_say_what_holds():
    tags = get_tags(net())
    assert tags.input_tags.sparse
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label
    assert not tags.non_deterministic


# Precision.


@pytest.mark.parametrize("X_dtype", [np.float32, np.float64, np.int64, np.int8, bool])
@pytest.mark.parametrize("n_samples", [10_000, 10_001])
def test_auto_dtype_is_single_for_single_inputs_or_many_rows(X_dtype, n_samples):
    X, y = blobs(n_samples, n_features=3)
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000).fit(X.astype(X_dtype), y)
    single = X_dtype == np.float32 or n_samples > 10_000
    assert model.coefs_[0].dtype == (np.float32 if single else np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, np.dtype("float64"), float])
def test_a_given_dtype_is_that_of_the_weights(dtype):
    model = net(dtype=dtype, batch_norm=True).fit(X, Y)
    assert {array.dtype for array in model.parameters_.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("X_dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-15)])
def test_probabilities_have_the_type_of_x_and_sum_to_1_in_it(kind, dtype, X_dtype, tolerance):
    model = net(dtype=dtype, max_iter=20, learning_rate=0.01).fit(X, targets(kind))
    for name in PREDICTORS[1:]:
        assert getattr(model, name)(X.astype(X_dtype)).dtype == X_dtype
    for scale in (1, 1e3):
        proba = model.predict_proba((scale * X).astype(X_dtype))
        assert ((proba >= 0) & (proba <= 1)).all()
        if kind != "multilabel":
            assert np.abs(proba.sum(axis=1) - 1).max() <= tolerance


def test_integers_give_double_probabilities():
    model = net().fit(X.astype(int), Y)
    assert model.predict_proba(X.astype(int)).dtype == np.float64


def test_single_and_double_precision_agree():
    single, double = (net(dtype=dtype, max_iter=20).fit(X, Y).predict_proba(X) for dtype in ("float32", "float64"))
    np.testing.assert_allclose(single, double, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_too_large_to_compute_with_are_an_error_not_nan(dtype):
    model = net(dtype=dtype).fit(X, Y)
    with pytest.raises(ValueError, match="X has values too large"):
        model.predict_proba(np.full((3, 4), 1e308))


@pytest.mark.parametrize("layout", ["float64", "float64, columns together", "int64", "float32 to float64"])
def test_x_is_never_copied_whole(layout):
    X = np.random.default_rng(0).integers(-3, 4, (100_000, 100), dtype=np.int64)
    X = X if layout == "int64" else X.astype("float32" if layout.startswith("float32") else "float64")
    X = np.asfortranarray(X) if "columns" in layout else X
    y = np.arange(len(X)) % 2
    dtype = "float64" if layout.startswith("float32") else "float32"
    model = net(hidden_layer_dims=(4,), max_iter=1, batch_size=2000, dtype=dtype, early_stopping=True)
    tracemalloc.start()
    model.fit(X, y)
    fit_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    model.predict_proba(X)
    predict_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fit_peak < 20e6  # a copy of X would be 40e6 bytes or more; labels and orders of rows are about 10e6
    assert predict_peak < 20e6


@pytest.mark.parametrize("mode", ["r", "c"])
def test_a_memory_map_is_trained_on_and_predicted_without_being_copied(tmp_path, monkeypatch, peak_bytes, mode):
    for module in (network, training):
        monkeypatch.setattr(module, "keep_freed_memory", lambda: None)
    n_samples = 50_000
    on_disk = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=(n_samples, 100))
    on_disk[:] = np.random.default_rng(0).standard_normal(on_disk.shape, dtype=np.float32)
    on_disk.flush()
    mapped = np.memmap(tmp_path / "X", dtype=np.float32, mode=mode, shape=on_disk.shape)
    y = np.arange(n_samples) % 2
    model = net(hidden_layer_dims=(4,), max_iter=1, batch_size=1000, early_stopping=True)
    assert peak_bytes(model.fit, mapped, y) < 0.2 * mapped.nbytes
    for name in PREDICTORS:
        predict = getattr(model, name)
        assert peak_bytes(predict, mapped) < 0.3 * mapped.nbytes
        np.testing.assert_array_equal(predict(mapped), predict(np.array(mapped)))


# Labels.

LABELS = {
    "strings": np.array(["pear", "apple", "fig"]),
    "objects": np.array(["pear", "apple", "fig"], dtype=object),
    "negative": np.array([7, -5, 0]),
    "unordered": np.array([300, 20, 1000]),
    "unsigned": np.array([2, 1, 0], dtype=np.uint8),
    "floats": np.array([2.0, 1.0, 0.0]),
    "bools": np.array([True, False]),
    "two strings": np.array(["yes", "no"]),
    "two numbers": np.array([4, -4]),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("container", [np.asarray, list, pd.Series, lambda y: pd.Series(y, dtype="category")])
def test_labels_of_every_kind_come_back(kind, container):
    names = LABELS[kind]
    X, codes = blobs(n_classes=len(names))
    y = names[codes]
    model = net(max_iter=40, learning_rate=0.02).fit(X, container(y), X_val=X, y_val=container(y))
    np.testing.assert_array_equal(model.classes_, np.sort(names))
    assert model.score(X, y) > 0.95
    assert set(model.predict(X).tolist()) == set(names.tolist())
    assert model.predict_proba(X).shape == (90, len(names))


@pytest.mark.parametrize("label", ["only", 7, False])
def test_one_class_is_certain(label):
    model = net().fit(X, [label] * 90)
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((90, 1)))
    np.testing.assert_array_equal(model.predict_log_proba(X), np.zeros((90, 1)))
    np.testing.assert_array_equal(model.predict(X), [label] * 90)
    assert model.loss_ == 0


def test_thousands_of_classes_are_learned():
    X, codes = blobs(3600, n_classes=1200, n_features=1200)
    X = X @ np.random.default_rng(0).standard_normal((1200, 40))
    model = net(hidden_layer_dims=(), max_iter=15, batch_size=200, learning_rate=0.05).fit(X, codes * 10)
    np.testing.assert_array_equal(model.classes_, np.arange(1200) * 10)
    proba = model.predict_proba(X[:100])
    assert proba.shape == (100, 1200)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=0, atol=1e-14)
    assert model.score(X, codes * 10) > 0.3


@pytest.mark.parametrize("as_sparse", [sp.csr_array, sp.csc_matrix, sp.coo_array])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sparse_indicators_train_as_dense_ones_do(as_sparse, early_stopping):
    y = targets("multilabel")
    dense, sparse = (net(early_stopping=early_stopping).fit(X, labels) for labels in (y, as_sparse(y)))
    np.testing.assert_array_equal(sparse.predict_proba(X), dense.predict_proba(X))
    np.testing.assert_array_equal(sparse.predict(X), dense.predict(X))


def test_every_label_of_many_is_learned():
    y = targets("multilabel")
    model = net(max_iter=60, learning_rate=0.02).fit(X, y, X_val=X, y_val=y)
    assert model.multilabel_
    assert (model.predict(X) == y).mean() > 0.95
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    np.testing.assert_array_equal(net().fit(X, y.tolist()).predict(X), net().fit(X, y).predict(X))


def test_scoring_judges_several_labels():
    model = net(scoring="f1_micro", early_stopping=True).fit(X, sp.csr_array(targets("multilabel")))
    assert len(model.validation_scores_) == 5


# Predictions.


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("parameters", [{}, {"dtype": "float32"}, {"batch_norm": True}], ids=str)
def test_predictions_probabilities_and_logits_agree(kind, parameters):
    model = net(**parameters).fit(X, targets(kind))
    proba, logits, labels = model.predict_proba(X), model.decision_function(X), model.predict(X)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(proba), atol=1e-12)
    if kind == "multilabel":
        np.testing.assert_array_equal(labels, proba > 0.5)
        np.testing.assert_array_equal(labels, logits > 0)
        return
    np.testing.assert_array_equal(labels, model.classes_[proba.argmax(axis=1)])
    positions = (logits > 0) * 1 if kind == "binary" else logits.argmax(axis=1)
    np.testing.assert_array_equal(labels, model.classes_[positions])
    np.testing.assert_allclose(
        proba, probabilities(kind, logits[:, np.newaxis] if kind == "binary" else logits), atol=1e-12
    )


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("X_dtype", [np.float32, np.float64])
def test_log_probabilities_are_finite_where_probabilities_underflow(kind, X_dtype):
    model = net(max_iter=20).fit(X, targets(kind))
    far = (X * 1e5).astype(X_dtype)
    log_proba = model.predict_log_proba(far)
    assert log_proba.min() < np.log(np.finfo(X_dtype).tiny) < -80
    assert np.isfinite(log_proba).all()
    assert np.isfinite(model.predict_proba(far)).all()


def test_predictions_come_from_what_was_fitted():
    model = net(activation="tanh", dropout_rate=0.2).fit(X, Y)
    before = [getattr(model, name)(X) for name in PREDICTORS]
    model.set_params(activation="relu", hidden_layer_dims=(3, 2), batch_norm=True, dropout_rate=0.9, dtype="float32")
    model.set_params(class_weight="balanced", optimizer="nonsense", batch_size=-1, random_state=5)
    assert_same([getattr(model, name)(X) for name in PREDICTORS], before)


@pytest.mark.parametrize("parameters", ARCHITECTURES, ids=str)
def test_predicting_writes_nothing(parameters):
    model = net(early_stopping=True, warm_start=True, **parameters).fit(X, Y)
    before, X_before = copy.deepcopy(vars(model)), X.copy()
    for name in PREDICTORS:
        getattr(model, name)(X)
    assert model.score(X, Y) >= 0
    assert len(model.coefs_) == len(model.intercepts_) == 2
    assert_same(vars(model), before)
    np.testing.assert_array_equal(X, X_before)


def test_fitting_does_not_write_into_its_inputs():
    weight = np.linspace(0, 2, 90)
    given = [X.copy(), Y.copy(), weight.copy()]
    net(early_stopping=True, class_weight="balanced").fit(*given)
    assert_same(given, [X, Y, weight])


def test_eight_threads_predict_what_one_predicts():
    model = net(batch_norm=True).fit(X, Y)
    inputs = [X * scale for scale in np.linspace(0.5, 2, 32)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(model.predict_proba, inputs))
    assert_same(results, [model.predict_proba(each) for each in inputs])


def test_many_rows_are_predicted_as_one_by_one():
    model = net().fit(X, Y)
    many = np.tile(X, (120, 1))
    np.testing.assert_allclose(model.predict_proba(many), np.tile(model.predict_proba(X), (120, 1)), rtol=1e-12)


@pytest.fixture
def small_chunks(monkeypatch):
    """Predict 64 rows at a time, in 3 threads."""
    monkeypatch.setattr(network, "CHUNK_COLUMNS", 64)
    monkeypatch.setattr(network, "allowed_threads", lambda: 3)


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("kind", TARGETS)
def test_chunks_are_predicted_as_the_whole_and_as_single_rows(small_chunks, monkeypatch, kind, name):
    predict, rows = getattr(net().fit(X, targets(kind)), name), blobs(n_samples=300, seed=2)[0]
    in_chunks = predict(rows)
    np.testing.assert_allclose(in_chunks, np.concatenate([predict(row[np.newaxis]) for row in rows]), rtol=1e-12)
    monkeypatch.setattr(network, "CHUNK_COLUMNS", 1000)
    np.testing.assert_allclose(in_chunks, predict(rows), rtol=1e-12)


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("position", [0, 63, 64, 150, 299])
@pytest.mark.parametrize(
    ("bad", "named"), [(np.nan, "Input X contains NaN"), (np.inf, "contains infinity"), (-np.inf, "contains infinity")]
)
def test_a_bad_number_in_any_chunk_is_an_error(small_chunks, name, position, bad, named):
    rows = blobs(n_samples=300, seed=2)[0].astype(np.float32)
    rows[position, 1] = bad
    model = net(max_iter=1).fit(X, Y)
    with pytest.raises(ValueError, match=named):
        getattr(model, name)(rows)


@pytest.mark.parametrize("name", PREDICTORS)
def test_infinities_of_both_signs_in_one_chunk_are_an_error(small_chunks, name):
    rows = blobs(n_samples=300, seed=2)[0].astype(np.float32)
    rows[150, :2] = np.inf, -np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        getattr(net(max_iter=1).fit(X, Y), name)(rows)


@pytest.mark.parametrize("name", PREDICTORS)
def test_finite_numbers_whose_sum_is_not_are_predicted(small_chunks, name):
    rows = blobs(n_samples=300, seed=2)[0].astype(np.float32)
    rows[100:110] = 3e38
    assert np.isfinite(getattr(net(max_iter=1, dtype="float64", activation="tanh").fit(X, Y), name)(rows)).all()


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize(
    "parameters", [{}, {"batch_norm": True}, {"optimizer": "lbfgs"}, {"ensemble_size": 3}], ids=str
)
def test_sparse_inputs_equal_dense_ones(format, kind, parameters):
    zeroed = np.where(np.abs(X) < 1, 0, X)
    sparse = getattr(sp, f"{format}_{kind}")(zeroed)
    dense_model = net(early_stopping=True, **parameters).fit(zeroed, Y)
    sparse_model = net(early_stopping=True, **parameters).fit(sparse, Y)
    for one, other in zip(sparse_model.coefs_, dense_model.coefs_):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)
    for name in PREDICTORS:
        np.testing.assert_allclose(getattr(sparse_model, name)(sparse), getattr(dense_model, name)(zeroed), atol=1e-10)


# Weights.


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(
    "parameters",
    [
        *({"optimizer": name} for name in OPTIMIZERS),
        *({"batch_norm": True}, {"label_smoothing": 0.1}, {"scale_inputs": "robust"}, {"weight_averaging": 3.0}),
        {"ensemble_size": 3, "early_stopping": False},
    ],
    ids=str,
)
def test_a_weight_of_2_equals_a_second_copy_of_the_row(kind, parameters):
    y = targets(kind)
    weight = np.where(np.arange(90) % 4 == 0, 2, 1)
    weighted = net(batch_size=None, max_iter=20, **parameters).fit(X, y, weight)
    repeated = net(batch_size=None, max_iter=20, **parameters).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight, axis=0)
    )
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=0, atol=1e-7)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1e6])
def test_the_scale_of_weights_does_not_matter(factor):
    weight = np.linspace(0.5, 1.5, 90)
    one, other = (net().fit(X, Y, w).predict_proba(X) for w in (weight, factor * weight))
    np.testing.assert_allclose(one, other, atol=1e-10)


def test_weights_of_1_equal_none():
    np.testing.assert_allclose(
        net().fit(X, Y, np.ones(90)).predict_proba(X), net().fit(X, Y).predict_proba(X), atol=1e-12
    )


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(
    "parameters",
    [
        *({}, {"early_stopping": True}, {"batch_norm": True}, {"dropout_rate": 0.2}),
        *({"scale_inputs": "robust"}, {"ensemble_size": 3}, {"ensemble_size": 3, "early_stopping": True}),
    ],
    ids=str,
)
def test_rows_without_weight_are_as_if_absent(kind, parameters):
    y, weight = targets(kind), (np.arange(90) % 5 > 0) * 1.0
    weighted, without = net(**parameters).fit(X, y, weight), net(**parameters).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(weighted.predict_proba(X), without.predict_proba(X), atol=1e-12)


def test_a_class_without_weight_is_as_if_absent():
    weight = (Y != 1) * 1.0
    weighted, without = net().fit(X, Y, weight), net().fit(X[Y != 1], Y[Y != 1])
    np.testing.assert_array_equal(weighted.classes_, [0, 2])
    np.testing.assert_allclose(weighted.predict_proba(X), without.predict_proba(X), atol=1e-12)


def test_rows_without_weight_do_not_count_as_many():
    X, y = blobs(10_020, n_features=3)
    weight = np.ones(10_020)
    weight[10_000:] = 0
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000).fit(X, y, weight)
    assert not hasattr(model, "validation_loss_curve_")
    assert model.coefs_[0].dtype == np.float64


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 3, 2: 0.5}, {0: 5, 1: 1, 2: 1}], ids=str)
def test_class_weights_equal_sample_weights(class_weight):
    rows = np.r_[:90, :90:3]  # class 0 twice
    by_class = net(class_weight=class_weight).fit(X[rows], Y[rows])
    by_sample = net().fit(X[rows], Y[rows], compute_sample_weight(class_weight, Y[rows]))
    np.testing.assert_allclose(by_class.predict_proba(X), by_sample.predict_proba(X), atol=1e-12)


def test_class_weights_multiply_sample_weights():
    weight = np.linspace(1, 2, 90)
    both = net(class_weight={0: 1, 1: 3, 2: 2}).fit(X, Y, weight)
    np.testing.assert_allclose(
        both.predict_proba(X), net().fit(X, Y, weight * np.array([1, 3, 2])[Y]).predict_proba(X), atol=1e-12
    )


def test_balanced_makes_classes_weigh_the_same_in_sum():
    weight = np.linspace(1, 2, 90) * np.array([1, 10, 2])[Y]
    totals = np.bincount(Y, weight)
    balanced = net(class_weight="balanced").fit(X, Y, weight)
    np.testing.assert_allclose(
        balanced.predict_proba(X), net().fit(X, Y, weight / totals[Y]).predict_proba(X), atol=1e-10
    )


def test_class_weights_go_by_label():
    names = np.array(["x", "y", "z"])
    by_name = net(class_weight={"x": 1, "y": 3, "z": 2}).fit(X, names[Y])
    by_number = net(class_weight={0: 1, 1: 3, 2: 2}).fit(X, Y)
    np.testing.assert_array_equal(by_name.predict_proba(X), by_number.predict_proba(X))


def test_a_class_of_weight_0_stays_among_the_classes():
    model = net(class_weight={0: 1, 1: 0, 2: 1}, max_iter=40, learning_rate=0.02).fit(X, Y)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert 1 not in model.predict(X)


def test_scores_on_held_out_rows_are_weighted():
    weight_val = np.where(Y_VAL == 0, 5.0, 1.0)
    model = net(scoring="accuracy").fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight_val)
    expected = accuracy_score(Y_VAL, model.predict(X_VAL), sample_weight=weight_val)
    assert model.validation_scores_[model.best_iter_ - 1] == pytest.approx(expected)


# Validation and early stopping.


@pytest.mark.parametrize(("n_samples", "validates"), [(10_000, False), (10_001, True)])
def test_automatic_early_stopping_begins_beyond_10_000_samples(n_samples, validates):
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000).fit(*blobs(n_samples))
    assert hasattr(model, "validation_loss_curve_") == validates


def test_early_stopping_can_be_switched_off():
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000, early_stopping=False).fit(*blobs(10_001))
    assert not hasattr(model, "validation_loss_curve_")


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_best_epoch_s_weights_are_kept(kind, weighted):
    y, weight_val = targets(kind), np.linspace(1, 3, 90) if weighted else None
    y_noisy = np.roll(y, 1, axis=0)  # what is learned is wrong on the validation data, soon or at once
    model = net(max_iter=30, learning_rate=0.02).fit(X, y, X_val=X_VAL, y_val=y_noisy, sample_weight_val=weight_val)
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
def test_the_best_epoch_is_told_by_validation_data_where_the_last_weights_are_kept(scoring):
    model = net(max_iter=30, learning_rate=0.02, scoring=scoring)
    model.set_callbacks(EarlyStopping(patience=30, restore_best=False))
    model.fit(X, Y, X_val=X_VAL, y_val=np.roll(Y_VAL, 1))
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_) < model.n_iter_ == 30
    assert model.best_loss_ == model.validation_loss_curve_[model.best_iter_ - 1]
    assert np.argmin(model.loss_curve_) + 1 != model.best_iter_
    last_cost = log_loss(np.roll(Y_VAL, 1), model.predict_proba(X_VAL))
    assert last_cost == pytest.approx(model.validation_loss_curve_[-1], abs=1e-10)


def test_early_stopping_waits_for_the_validation_cost():
    model = net(max_iter=50, n_iter_no_change=3, learning_rate=0.02).fit(X, Y, X_val=X_VAL, y_val=np.roll(Y_VAL, 1))
    assert model.n_iter_ < 50
    assert model.n_iter_ - model.best_iter_ <= 3


class Watcher:
    """A scorer that remembers what it was given."""

    def __init__(self):
        self.calls = []

    def __call__(self, estimator, X, y, sample_weight=None):
        self.calls.append((X.copy(), y.copy(), sample_weight, estimator.predict_proba(X)))
        return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_held_out_rows_are_stratified_and_the_same_every_epoch(kind):
    watcher, y = Watcher(), targets(kind)
    rare = np.r_[np.flatnonzero(y == 1)[:10], np.flatnonzero(y != 1)]
    net(early_stopping=True, validation_fraction=0.25, scoring=watcher).fit(X[rare], y[rare])
    X_held, y_held, _, _ = watcher.calls[0]
    assert len(y_held) == np.ceil(0.25 * len(rare))
    assert abs((y_held == 1).sum() - 2.5) < 1
    assert all(np.array_equal(each[0], X_held) for each in watcher.calls)
    assert all((row == X).all(axis=1).any() for row in X_held)


def test_a_class_too_rare_to_be_split_is_no_obstacle():
    y = Y.copy()
    y[0] = 99
    model = net(early_stopping=True).fit(X, y)
    assert 99 in model.classes_
    assert len(model.validation_loss_curve_) == 5


@pytest.mark.parametrize("n_drawn", [0, 1, 7, 50, 99, 100])
@pytest.mark.parametrize("counts", [(100,), (60, 30, 10), (94, 2, 2, 2), (33, 0, 67), (1,) * 100], ids=str)
def test_each_stratum_is_drawn_from_by_its_share(counts, n_drawn):
    rng = np.random.default_rng(0)
    strata = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    before = strata.copy()
    drawn = draw_shares(strata, n_drawn, np.random.default_rng(1))
    assert drawn.dtype == bool
    assert drawn.shape == strata.shape
    assert drawn.sum() == n_drawn
    from_each = np.bincount(strata[drawn], minlength=len(counts))
    assert np.abs(from_each - np.array(counts) * n_drawn / 100).max() < 1
    assert (from_each <= counts).all()
    np.testing.assert_array_equal(strata, before)


def test_a_seed_draws_the_same_shares():
    strata = np.arange(100) % 3
    first, second, other = (draw_shares(strata, 30, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_ties_between_strata_are_broken_at_random():
    strata = np.arange(500) % 100  # of 5 samples each, half of one is to be drawn
    drawn_from = {
        n for seed in range(20) for n in strata[draw_shares(strata, 50, np.random.default_rng(seed))].tolist()
    }
    assert len(drawn_from) == 100


def test_no_stratum_loses_its_last_sample():
    strata = np.r_[np.zeros(180, int), np.arange(1, 21)]
    for seed in range(20):
        kept = strata[~draw_shares(strata, 20, np.random.default_rng(seed))]
        assert set(kept.tolist()) == set(range(21))


def test_samples_are_drawn_from_strata_of_one_sample_if_there_are_no_others():
    assert draw_shares(np.arange(10), 3, np.random.default_rng(0)).sum() == 3


def test_every_sample_is_as_likely_drawn():
    rng, n_draws = np.random.default_rng(0), 2000
    strata = rng.permutation(np.repeat([0, 1, 2], [20, 12, 8]))
    n_times = sum(draw_shares(strata, 10, rng).astype(int) for _ in range(n_draws))
    deviation = (n_draws * 0.25 * 0.75) ** 0.5
    assert np.abs(n_times - n_draws / 4).max() < 4 * deviation  # of 40 samples, in 1 of 400 seeds
    assert 0.6 * deviation < n_times.std() < 1.4 * deviation  # and not by turns either


@pytest.mark.parametrize("n_classes", [1, 5, 1000])
def test_drawing_shares_takes_a_few_bytes_for_each_sample(peak_bytes, n_classes):
    n_samples = 1_000_000
    strata = np.random.default_rng(0).integers(n_classes, size=n_samples)
    # 8 for the order by stratum, 8 more to choose from the largest stratum, 3 for flags and small copies
    assert peak_bytes(draw_shares, strata, n_samples // 10, np.random.default_rng(0)) < 20 * n_samples


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc_ovr", "neg_log_loss", "f1_macro"])
def test_scorers_by_name_judge_epochs(scoring):
    model = net(scoring=scoring).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert len(model.validation_scores_) == 5
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_)
    if scoring == "neg_log_loss":
        np.testing.assert_allclose(model.validation_scores_, np.negative(model.validation_loss_curve_), rtol=1e-10)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_callable_scorer_sees_each_epoch_s_model(kind):
    watcher = Watcher()
    model = net(scoring=watcher).fit(X, targets(kind), X_val=X, y_val=targets(kind))
    assert len(watcher.calls) - 1 == len(model.validation_scores_) == 5  # the first call tries it out
    np.testing.assert_array_equal(watcher.calls[model.best_iter_][3], model.predict_proba(X))
    assert all(call[2] is None for call in watcher.calls)


def test_a_callable_scorer_gets_labels_and_weights():
    watcher, names = Watcher(), np.array(["x", "y", "z"])
    net(scoring=watcher, early_stopping=True).fit(X, names[Y], np.linspace(1, 2, 90))
    _, y_held, weight_held, _ = watcher.calls[0]
    assert set(y_held) <= {"x", "y", "z"}
    assert weight_held.shape == y_held.shape


def test_validation_labels_may_lack_a_class():
    model = net().fit(X, Y, X_val=X_VAL[Y_VAL < 2], y_val=Y_VAL[Y_VAL < 2])
    assert model.best_loss_ == pytest.approx(
        log_loss(Y_VAL[Y_VAL < 2], model.predict_proba(X_VAL[Y_VAL < 2]), labels=[0, 1, 2]), abs=1e-10
    )


def test_validation_data_may_be_sparse_where_x_is_dense():
    dense, sparse = (net().fit(X, Y, X_val=X_val, y_val=Y_VAL) for X_val in (X_VAL, sp.csr_array(X_VAL)))
    np.testing.assert_allclose(sparse.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-12)


# Inputs that scale themselves.

FACTORS, OFFSETS = np.array([1000.0, 1e-4, 30.0, 1e6]), np.array([5.0, 0.3, -2000.0, 1e7])
SCALED = [{}, {"batch_norm": True}, {"ensemble_size": 3}, {"scale_inputs": "robust"}, {"optimizer": "lbfgs"}]


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("held_out", [{}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("parameters", SCALED, ids=str)
def test_units_and_zeros_of_features_do_not_matter(parameters, held_out, container):
    parameters = {"learning_rate": 0.02, **parameters, **held_out}
    one = net(**parameters).fit(container(X), Y)
    moved = X * FACTORS + OFFSETS
    other = net(**parameters).fit(container(moved), Y)
    np.testing.assert_allclose(other.predict_proba(container(moved)), one.predict_proba(container(X)), rtol=1e-6)
    np.testing.assert_allclose(other.loss_curve_, one.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("kind", TARGETS)
def test_coefs_and_intercepts_are_those_for_raw_inputs(kind, container):
    moved = X * FACTORS + OFFSETS
    model = net(learning_rate=0.02).fit(container(moved), targets(kind))
    np.testing.assert_allclose(
        model.predict_proba(moved), probabilities(kind, forward(model, moved)), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, 90)], ids=["unweighted", "weighted"])
def test_center_and_scale_are_mean_and_deviation_of_the_weighted_rows(weight, container):
    model = net().fit(container(X), Y, weight)
    mean = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(model.input_center_, mean, rtol=1e-12)
    np.testing.assert_allclose(model.input_scale_, np.average((X - mean) ** 2, axis=0, weights=weight) ** 0.5)


def test_class_weights_enter_center_and_scale():
    by_class = net(class_weight={0: 1, 1: 3, 2: 0}).fit(X, Y)
    by_sample = net().fit(X, Y, np.array([1, 3, 0])[Y])
    np.testing.assert_allclose(by_class.input_center_, by_sample.input_center_, rtol=1e-12)


def test_robust_center_and_scale_are_median_and_interquartile_range():
    model = net(scale_inputs="robust").fit(X[:89], Y[:89])
    np.testing.assert_allclose(model.input_center_, np.median(X[:89], axis=0), rtol=1e-14)
    np.testing.assert_allclose(model.input_scale_, np.subtract(*np.quantile(X[:89], (0.75, 0.25), axis=0)), rtol=1e-14)


@pytest.mark.parametrize("scale_inputs", ["standard", "robust"])
def test_held_out_rows_do_not_enter_center_and_scale(scale_inputs):
    watcher = Watcher()
    model = net(early_stopping=True, scale_inputs=scale_inputs, scoring=watcher).fit(X, Y)
    held_out = (X[:, np.newaxis] == watcher.calls[0][0]).all(axis=2).any(axis=1)
    assert held_out.sum() == 9
    far = np.where(held_out[:, np.newaxis], X + 100, X)
    moved = net(early_stopping=True, scale_inputs=scale_inputs).fit(far, Y)
    np.testing.assert_array_equal(moved.input_center_, model.input_center_)
    np.testing.assert_array_equal(moved.input_scale_, model.input_scale_)
    assert moved.loss_curve_ == model.loss_curve_
    assert moved.validation_loss_curve_ != model.validation_loss_curve_


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_validation_data_are_only_watched_without_early_stopping(scoring):
    parameters = {"max_iter": 60, "early_stopping": False, "n_iter_no_change": 3, "tol": 0.05}
    model = net(scoring=scoring, **parameters).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    alone = net(**parameters).fit(X, Y)
    assert 3 < model.n_iter_ == alone.n_iter_ < 60
    assert_same(model.parameters_, alone.parameters_)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_)


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_validation_data_of_their_own_do_not_enter_center_and_scale(ensemble_size):
    model = net(ensemble_size=ensemble_size).fit(X, Y, X_val=X_VAL + 1, y_val=Y_VAL)
    np.testing.assert_allclose(model.input_center_, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.input_scale_, X.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("container", [np.array, sp.csr_array])
def test_validation_data_on_another_scale_are_warned_of(container, weighted):
    far = 50 * X_VAL + 7  # as if a pipeline had transformed X alone
    weights = {"sample_weight": 3 * np.ones(90), "sample_weight_val": 0.2 * np.ones(90)} if weighted else {}
    distance = np.median(np.sqrt(((far - X.mean(axis=0)) ** 2).mean(axis=0)) / X.std(axis=0))
    told = re.escape(f"X_val is on another scale than X: a typical feature of it is {distance:.2g} standard deviations")
    with pytest.warns(UserWarning, match=told + r'.* where 1 is usual\. .*transform_input=\["X_val"\]') as caught:
        net().fit(container(X), Y, X_val=container(far), y_val=Y_VAL, **weights)
    assert [warning.filename for warning in caught] == [__file__]


def test_only_samples_that_weigh_something_tell_the_scale():
    far, weight = np.vstack([X_VAL, 1e6 * X_VAL]), np.repeat([1.0, 0.0], 90)
    net().fit(X, Y, X_val=far, y_val=np.tile(Y_VAL, 2), sample_weight_val=weight)
    with pytest.warns(UserWarning, match="X_val is on another scale than X"):
        net().fit(X, Y, X_val=far, y_val=np.tile(Y_VAL, 2))


def test_the_scale_of_large_sets_is_told_by_a_sample_of_them(monkeypatch):
    sizes, given = [], classifier.on_another_scale
    monkeypatch.setattr(classifier, "N_SEEN", 20)

    def seen(*sets):
        sizes.extend(each.shape for each in sets)
        return given(*sets)

    monkeypatch.setattr(classifier, "on_another_scale", seen)
    with pytest.warns(UserWarning, match="X_val is on another scale than X"):
        net().fit(X, Y, X_val=50 * X_VAL + 7, y_val=Y_VAL)
    assert sizes == [(X.shape[1], 20), (X.shape[1], 20)]


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
def test_partial_fit_keeps_running_statistics(container):
    model = net(ensemble_size=2)
    for part in np.split(np.arange(90), [10, 30]):
        model = pickled(model).partial_fit(container(X[part]), Y[part], classes=[0, 1, 2])
        so_far = X[: part[-1] + 1]
        np.testing.assert_allclose(model.input_center_, so_far.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(model.input_scale_, so_far.std(axis=0), rtol=1e-12)


def test_a_warm_start_keeps_the_scaling_that_it_began_with():
    model = net(warm_start=True).fit(X, Y)
    center = model.input_center_.copy()
    np.testing.assert_array_equal(model.fit(X + 3, Y).input_center_, center)


def test_robust_scaling_is_refused_by_partial_fit():
    with pytest.raises(ValueError, match="scale_inputs must be 'standard' or None for partial_fit"):
        net(scale_inputs="robust").partial_fit(X, Y, classes=[0, 1, 2])


def test_center_and_scale_are_missing_where_nothing_is_scaled():
    for model in (net(), net(scale_inputs=None).fit(X, Y), net(scale_inputs=None).partial_fit(X, Y, [0, 1, 2])):
        for name in ("input_center_", "input_scale_"):
            assert not hasattr(model, name)
            with pytest.raises(AttributeError, match="is not fitted, or does not scale its inputs"):
                getattr(model, name)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("parameters", [*SCALED, {"early_stopping": True}], ids=str)
def test_scaling_does_not_write_into_x(parameters, order):
    for rows in (np.array(X, order=order), np.array(X, np.float32, order=order), sp.csr_array(X)):
        before = rows.copy()
        net(max_iter=2, **parameters).fit(rows, Y).predict_proba(rows)
        assert (rows == before).sum() == rows.size if isinstance(rows, np.ndarray) else (rows != before).nnz == 0


@pytest.mark.parametrize("value", [0.0, 7.0, 1e9])
@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("scale_inputs", ["standard", "robust"])
def test_a_feature_that_was_constant_in_training_is_harmless(scale_inputs, container, value):
    def with_feature(rows, value):
        return container(np.column_stack([rows, np.full(len(rows), value)]))

    model = net(max_iter=40, learning_rate=0.02, scale_inputs=scale_inputs).fit(with_feature(X, value), Y)
    assert model.input_scale_[-1] == np.inf
    for later in (value, 1e9 * value + 0.1):
        assert model.score(with_feature(X_VAL, later), Y_VAL) > 0.95


@pytest.mark.parametrize(
    "feature", [10.0**18, 1.7e18 + 1e6 * np.random.default_rng(0).random(len(X))], ids=["id", "time"]
)
@pytest.mark.parametrize("scale_inputs", ["standard", "robust"])
def test_a_feature_far_from_zero_does_not_spoil_the_others(scale_inputs, feature):
    rows = np.column_stack([X, np.broadcast_to(feature, len(X))])
    model = net(max_iter=40, learning_rate=0.02, scale_inputs=scale_inputs)
    assert model.fit(rows, Y).score(rows, Y) > 0.95


def test_single_precision_that_may_lose_a_feature_is_warned_about():
    with pytest.warns(UserWarning, match="float32.*may lose it"):
        net(dtype="float32", max_iter=1).fit(X + 1e6, Y)


def test_the_scale_of_weights_does_not_matter_to_the_scaling():
    weight = np.random.default_rng(0).random(len(X)) + 0.1
    for container in (np.array, sp.csr_array):
        small, large = (net().fit(container(X), Y, weight * factor).predict_proba(X) for factor in (1, 1e300))
        np.testing.assert_allclose(small, large, rtol=1e-10)


@pytest.mark.parametrize(("before", "now"), [("standard", None), (None, "standard"), ("robust", "standard")])
def test_training_does_not_go_on_with_another_scaling(before, now):
    model = net(scale_inputs=before, warm_start=True).fit(X, Y).set_params(scale_inputs=now)
    with pytest.raises(ValueError, match=f"scale_inputs must stay {before!r}, got {now!r}"):
        model.fit(X, Y)


def test_training_goes_on_with_the_activation_that_it_began_with():
    model = DeepNNClassifier(optimizer="lbfgs", warm_start=True, max_iter=5, random_state=0).fit(X, Y)
    assert model.set_params(optimizer="adam").fit(X, Y).network_["activation"] == ["relu"]


def test_a_moving_average_is_not_kept_by_an_optimizer_that_takes_none():
    model = net(early_stopping=True, warm_start=True, weight_averaging=3.0).fit(X, Y)
    before = model.validation_loss_curve_[-1]
    assert model.set_params(optimizer="lbfgs").fit(X, Y).validation_loss_curve_[-1] < before


@pytest.mark.parametrize("early_stopping", [True, False])
def test_an_ensemble_learns_sparse_indicators_as_dense_ones(early_stopping):
    indicators = targets("multilabel")
    models = (
        net(ensemble_size=3, early_stopping=early_stopping, batch_size=32).fit(X, container(indicators))
        for container in (np.array, sp.csr_array)
    )
    dense, sparse = (model.predict_proba(X) for model in models)
    np.testing.assert_array_equal(dense, sparse)


@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "weight_averaging", "n_iter_no_change", "ensemble_size"]
)
def test_errors_say_that_auto_is_allowed(name):
    with pytest.raises(ValueError, match=f"{name} must be .* or 'auto', got 'automatic'"):
        net(**{name: "automatic"}).fit(X, Y)


@pytest.mark.parametrize("given", ["held out", "of its own"])
@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_a_scorer_sees_raw_rows_and_a_model_that_wants_such(ensemble_size, container, given):
    watcher, moved = Watcher(), X * FACTORS + OFFSETS
    model = net(scoring=watcher, ensemble_size=ensemble_size, early_stopping=True)
    of_its_own = {"X_val": container(moved), "y_val": Y} if given == "of its own" else {}
    model.fit(container(moved), Y, **of_its_own)
    for rows, labels, _, _ in watcher.calls:
        rows = rows if isinstance(rows, np.ndarray) else rows.toarray()
        positions = [int(np.flatnonzero((row == moved).all(axis=1))[0]) for row in rows]
        np.testing.assert_array_equal(Y[positions], labels)
    kept = [model, *(members(model) if ensemble_size > 1 else [])]
    assert any(
        np.allclose(proba, each.predict_proba(rows), rtol=1e-9) for rows, _, _, proba in watcher.calls for each in kept
    )


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize(("deviations", "dtype"), [(100, np.float32), (3000, np.float64), (-3000, np.float64)])
def test_auto_dtype_is_double_where_a_feature_is_far_from_zero(deviations, dtype, ensemble_size):
    rows, y = blobs(10_001, n_features=3)
    rows[:, 1] += deviations * rows[:, 1].std()
    model = net(hidden_layer_dims=(), max_iter=1, batch_size=5000, ensemble_size=ensemble_size).fit(rows, y)
    assert model.coefs_[0].dtype == dtype
    single = net(hidden_layer_dims=(), max_iter=1, batch_size=5000).fit(rows.astype(np.float32), y)
    assert single.coefs_[0].dtype == np.float32


# Ensembles.


def members(model):
    """Return the members of a fitted ensemble as classifiers of their own."""
    alone = []
    for k in range(model.network_["ensemble_size"]):
        member = copy.deepcopy(model)
        member.parameters_ = {name: array[k] for name, array in model.parameters_.items()}
        member.network_["ensemble_size"] = 1
        alone.append(member)
    return alone


@pytest.fixture
def columns_trained_on(monkeypatch):
    """Return what `fit` gives its members to train on, call by call."""
    seen, train = [], classifier.train

    def spy(state, examples, *rest, **options):
        seen.append(examples.columns)
        return train(state, examples, *rest, **options)

    monkeypatch.setattr(classifier, "train", spy)
    return seen


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("parameters", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("kind", TARGETS)
def test_an_ensemble_predicts_the_mean_probability_of_its_members(kind, parameters, container):
    rows = container(X)
    model = net(ensemble_size=3, early_stopping=True, learning_rate=0.02, **parameters).fit(rows, targets(kind))
    of_members = [member.predict_proba(rows) for member in members(model)]
    assert not np.allclose(of_members[0], of_members[1])
    proba = model.predict_proba(rows)
    np.testing.assert_allclose(proba, np.mean(of_members, axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(rows), np.log(proba), rtol=1e-10)
    by_probability = (proba > 0.5) * 1 if kind == "multilabel" else proba.argmax(axis=1)
    np.testing.assert_array_equal(model.predict(rows), by_probability)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("parameters", [{}, {"batch_norm": True}], ids=str)
def test_coefs_and_intercepts_of_an_ensemble_are_its_members_stacked(kind, parameters):
    model = net(hidden_layer_dims=(6, 5), ensemble_size=3, **parameters).fit(X, targets(kind))
    n_outputs = 1 if kind == "binary" else 3
    assert [W.shape for W in model.coefs_] == [(3, 4, 6), (3, 6, 5), (3, 5, n_outputs)]
    assert [b.shape[0] for b in model.intercepts_] == [3, 3, 3]
    of_members = []
    for k in range(3):
        A = X
        for l, (W, b) in enumerate(zip(model.coefs_, model.intercepts_)):
            A = A @ W[k] + b[k].ravel()
            A = np.maximum(A, 0) if l < 2 else A
        of_members.append(probabilities(kind, A))
    np.testing.assert_allclose(model.predict_proba(X), np.mean(of_members, axis=0), atol=1e-12)


@pytest.mark.parametrize("scale_inputs", [None, "standard"])
@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", TARGETS)
def test_an_ensemble_equals_single_networks_that_start_as_its_members(kind, optimizer, batch_size, scale_inputs):
    settings = {"batch_size": batch_size, "shuffle": False, "scale_inputs": scale_inputs, "optimizer": optimizer}
    settings["early_stopping"] = False
    still = {**settings, "optimizer": "sgd", "learning_rate": 1e-300, "max_iter": 1}
    start = net(ensemble_size=3, **still).fit(X, targets(kind)).parameters_
    together = net(ensemble_size=3, weight_init=start, learning_rate=0.02, **settings).fit(X, targets(kind))
    for k in range(3):
        of_member = {name: array[k] for name, array in start.items()}
        alone = net(weight_init=of_member, learning_rate=0.02, **settings).fit(X, targets(kind))
        for name, array in alone.parameters_.items():
            np.testing.assert_allclose(together.parameters_[name][k], array, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("ensemble_size", "n_disjoint"), [(3, 3), (10, 10), (12, 10)])
def test_each_member_holds_out_rows_of_its_own(columns_trained_on, ensemble_size, n_disjoint):
    net(ensemble_size=ensemble_size, early_stopping=True, max_iter=1).fit(X, Y)
    (columns,) = columns_trained_on
    held_out = [np.setdiff1d(np.arange(90), of_member) for of_member in columns]
    assert [len(rows) for rows in held_out] == [9] * ensemble_size
    assert len(np.unique(np.concatenate(held_out[:n_disjoint]))) == 9 * n_disjoint
    assert all(np.bincount(Y[rows]).tolist() == [3, 3, 3] for rows in held_out)


def test_members_hold_out_and_train_on_no_row_without_weight(columns_trained_on):
    weight = (np.arange(90) % 5 > 0) * 1.0
    net(ensemble_size=3, early_stopping=True, max_iter=1).fit(X, Y, weight)
    (columns,) = columns_trained_on
    assert columns.shape == (3, 64)  # of 72 rows, without an eighth part that is held out
    assert weight[columns].all()


def test_what_members_hold_out_is_what_they_are_judged_by(columns_trained_on):
    model = net(ensemble_size=3, early_stopping=True, max_iter=1).fit(X, Y)
    (columns,) = columns_trained_on
    held_out = [np.setdiff1d(np.arange(90), of_member) for of_member in columns]
    costs = [log_loss(Y[rows], member.predict_proba(X[rows])) for rows, member in zip(held_out, members(model))]
    assert model.best_loss_ == pytest.approx(np.mean(costs), rel=1e-9)


@pytest.mark.parametrize(("n", "validates"), [(39, False), (40, True)])
def test_automatic_early_stopping_of_an_ensemble_begins_at_40_samples(n, validates):
    model = net(ensemble_size=2, max_iter=1).fit(*blobs(n))
    assert hasattr(model, "validation_loss_curve_") == validates


@pytest.mark.parametrize(("n_drawn", "n_disjoint"), [(10, 10), (30, 3), (33, 3), (60, 1), (1, 12)])
@pytest.mark.parametrize("counts", [(100,), (60, 30, 10), (94, 2, 2, 2), (33, 0, 67)], ids=str)
def test_folds_are_disjoint_as_long_as_there_are_rows_left(counts, n_drawn, n_disjoint):
    strata = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    before = strata.copy()
    folds = np.stack(list(draw_folds(strata, n_drawn, 12, np.random.default_rng(1))))
    assert folds.dtype == bool
    np.testing.assert_array_equal(folds.sum(axis=1), n_drawn)
    for first in range(0, 12, n_disjoint):  # then they begin anew
        assert folds[first : first + n_disjoint].sum(axis=0).max() == 1
    np.testing.assert_array_equal(strata, before)


@pytest.mark.parametrize("counts", [(60, 30, 10), (50, 50), (20, 30, 50)], ids=str)
def test_folds_are_stratified(counts):
    strata = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    for fold in draw_folds(strata, 10, 12, np.random.default_rng(1)):
        np.testing.assert_array_equal(np.bincount(strata[fold]), np.array(counts) // 10)


def test_a_seed_draws_the_same_folds():
    strata = np.arange(100) % 3
    first, second, other = (
        np.stack(list(draw_folds(strata, 30, 5, np.random.default_rng(seed)))) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("held_out", [{}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", TARGETS)
def test_ensembles_learn_targets_of_every_kind(kind, weighted, held_out):
    y, weight = targets(kind), np.linspace(0, 2, 90) if weighted else None
    class_weight = None if kind == "multilabel" else "balanced"
    model = net(ensemble_size=3, max_iter=40, learning_rate=0.02, class_weight=class_weight, **held_out)
    model.fit(X, y, weight)
    assert (model.predict(X) == y).mean() > 0.95
    np.testing.assert_array_equal(pickled(model).predict_proba(X), model.predict_proba(X))


def test_an_ensemble_takes_strings_sparse_rows_and_validation_data():
    names = np.array(["pear", "apple", "fig"])
    model = net(ensemble_size=3, max_iter=40, learning_rate=0.02)
    model.fit(sp.csr_array(X), names[Y], X_val=sp.csr_array(X_VAL), y_val=names[Y_VAL])
    assert model.score(X_VAL, names[Y_VAL]) > 0.95
    assert set(model.predict(X)) == set(names)
    labels = np.searchsorted(model.classes_, names[Y_VAL])
    assert model.best_loss_ == pytest.approx(log_loss(labels, model.predict_proba(X_VAL)), abs=1e-10)


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", Watcher()], ids=["accuracy", "log loss", "callable"])
def test_a_scorer_judges_ensembles_that_hold_out_rows(scoring):
    model = net(ensemble_size=3, early_stopping=True, scoring=scoring).fit(X, Y)
    assert len(model.validation_scores_) == 5


@pytest.mark.parametrize(
    ("n_samples", "ensemble_size"),
    [(1, 12), (30_000, 12), (30_001, 6), (200_000, 5), (300_000, 3), (500_000, 2), (500_001, 1), (10**7, 1)],
)
def test_automatic_ensembles_shrink_as_the_set_grows(n_samples, ensemble_size):
    assert DeepNNClassifier()._ensemble_size(n_samples) == ensemble_size


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
def test_automatic_ensembles_are_of_automatic_networks(parameters, ensemble_size):
    model = DeepNNClassifier(max_iter=1, random_state=0, **parameters).fit(X, Y)
    assert model.network_["ensemble_size"] == ensemble_size
    assert model.coefs_[0].shape[:-2] == (() if ensemble_size == 1 else (ensemble_size,))


def test_an_automatic_ensemble_keeps_its_size_as_parts_of_other_sizes_come(monkeypatch):
    monkeypatch.setattr(classifier, "ENSEMBLE_SAMPLES", 90)
    model = DeepNNClassifier(random_state=0).partial_fit(X[:30], Y[:30], classes=[0, 1, 2])
    assert model.network_["ensemble_size"] == 3
    assert model.partial_fit(X, Y).network_["ensemble_size"] == 3


AUTOMATIC = [({}, 0), ({"hidden_layer_dims": (48, 24)}, 1), ({"optimizer": "lbfgs"}, 1)]


@pytest.mark.parametrize("name", [name for name in classifier.AUTO if name != "hidden_layer_dims"])
@pytest.mark.parametrize(("parameters", "position"), AUTOMATIC, ids=str)
def test_automatic_values_go_by_whether_the_network_is_automatic(name, parameters, position):
    settings = {"ensemble_size": 1, "max_iter": 12, "tol": 1e9, "random_state": 0, **parameters}
    given = {name: classifier.AUTO[name][position], **settings}
    assert_same(fitted(DeepNNClassifier(**given).fit(X, Y)), fitted(DeepNNClassifier(**settings).fit(X, Y)))


@pytest.mark.parametrize(("optimizer", "hidden_dims"), [("adam", [48, 24]), ("sgd", [48, 24]), ("lbfgs", [100])])
def test_automatic_dims_are_those_of_one_wide_layer_for_lbfgs(optimizer, hidden_dims):
    model = DeepNNClassifier(optimizer=optimizer, max_iter=1, random_state=0).fit(X, Y)
    assert model.network_["layer_dims"] == [4, *hidden_dims, 3]


# Averages of weights.


def test_weights_are_averaged_where_epochs_are_validated_unless_told():
    for validation in ({}, {"X_val": X_VAL, "y_val": Y_VAL}):
        automatic = net().fit(X, Y, **validation).parameters_
        told = [net(weight_averaging=epochs).fit(X, Y, **validation).parameters_ for epochs in (0, 3)]
        assert_same(automatic, told[bool(validation)])
        assert not np.array_equal(automatic["W1"], told[not validation]["W1"])


# Going on with training.

CONTINUED = {
    **{name: {"optimizer": name} for name in OPTIMIZERS},
    "momentum": {"optimizer": SGD(momentum=0.9, nesterov=True)},
    "dropout": {"dropout_rate": 0.3},
    "batch_norm": {"batch_norm": True},
    "both": {"batch_norm": True, "dropout_rate": 0.3},
    "whole set": {"batch_size": None},
    "in order": {"shuffle": False},
    "float32": {"dtype": "float32"},
    "no hidden layer": {"hidden_layer_dims": ()},
    "clipping": {"max_grad_norm": 0.1},
    "class weights": {"class_weight": {0: 1, 1: 2, 2: 3}},
    "ensemble": {"ensemble_size": 3},
    "ensemble with all": {
        "ensemble_size": 3,
        "batch_norm": True,
        "dropout_rate": 0.3,
        "weight_averaging": 1.5,
    },
    "averaging": {"weight_averaging": 2.0},
    "single precision averaging": {"weight_averaging": 2.0, "dtype": "float32"},
}


@pytest.mark.parametrize("validation", [{}, {"X_val": X_VAL, "y_val": Y_VAL}], ids=["", "validation"])
@pytest.mark.parametrize("kind", CONTINUED)
def test_8_epochs_a_pickle_and_12_more_equal_20(kind, validation):
    parameters = {"warm_start": True, **CONTINUED[kind]}
    model = pickled(net(max_iter=8, **parameters).fit(X, Y, **validation))
    model.set_params(max_iter=12).fit(X, Y, **validation)
    at_once = net(max_iter=20, **parameters).fit(X, Y, **validation)
    assert_same(learned(model), learned(at_once))
    assert model.n_iter_ == 20


HOLDING_OUT = [
    {"scoring": "loss"},
    {"scoring": "accuracy"},
    {"scale_inputs": None},
    {"scale_inputs": "robust"},
    {"ensemble_size": 3, "weight_averaging": 2.0},
    {"ensemble_size": 3, "weight_averaging": 2.0, "batch_norm": True, "dtype": "float32"},
]


@pytest.mark.parametrize("parameters", HOLDING_OUT, ids=str)
def test_8_epochs_and_12_more_hold_out_the_same_rows(parameters):
    parameters = {"warm_start": True, "early_stopping": True, **parameters}
    model = pickled(net(max_iter=8, **parameters).fit(X, Y)).set_params(max_iter=12).fit(X, Y)
    assert_same(learned(model), learned(net(max_iter=20, **parameters).fit(X, Y)))


def test_the_best_epoch_of_an_earlier_call_is_kept():
    wrong = {"X_val": X_VAL, "y_val": np.roll(Y_VAL, 1)}
    model = net(warm_start=True, max_iter=8, learning_rate=0.05).fit(X, Y, **wrong)
    best = model.best_iter_, model.best_loss_, model.predict_proba(X)
    model.fit(X, Y, **wrong)
    assert_same((model.best_iter_, model.best_loss_, model.predict_proba(X)), best)
    assert model.n_iter_ == 16


@pytest.mark.parametrize("kind", CONTINUED)
def test_20_calls_of_partial_fit_equal_20_epochs(kind):
    model = net(max_iter=20, **CONTINUED[kind])
    for _ in range(20):
        model = pickled(model).partial_fit(X, Y, classes=[0, 1, 2])
    at_once = net(max_iter=20, warm_start=True, early_stopping=False, **CONTINUED[kind]).fit(X, Y)
    counted, once = (each.training_state_["moments"].pop("total_weight") for each in (model, at_once))
    assert counted == 20 * once
    assert_same(learned(model), learned(at_once))


@pytest.mark.parametrize("schedule", [*SCHEDULES, lambda step: 0.1 / (1 + step)])
def test_partial_fit_goes_on_with_the_schedule(schedule):
    model = net(max_iter=6, learning_rate_schedule=schedule)
    for _ in range(6):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    at_once = net(max_iter=6, learning_rate_schedule=schedule).fit(X, Y)
    assert model.learning_rate_curve_ == at_once.learning_rate_curve_
    np.testing.assert_array_equal(model.predict_proba(X), at_once.predict_proba(X))


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_partial_fit_takes_weights_and_all_kinds_of_targets(kind):
    y, weight, model = targets(kind), np.linspace(0, 3, 90), net(max_iter=4)
    for _ in range(4):
        model.partial_fit(X, y, classes=None if kind == "multilabel" else [0, 1], sample_weight=weight)
    np.testing.assert_array_equal(model.predict_proba(X), net(max_iter=4).fit(X, y, weight).predict_proba(X))


def test_partial_fit_may_lack_classes_and_see_them_later():
    model = net(hidden_layer_dims=(), learning_rate=0.05)
    for _ in range(15):
        for label in "zxy":
            rows = np.array(list("xyz"))[Y] == label
            model.partial_fit(X[rows], [label] * rows.sum(), classes=["z", "y", "x"])
    np.testing.assert_array_equal(model.classes_, ["x", "y", "z"])
    assert model.score(X, np.array(list("xyz"))[Y]) > 0.9


@pytest.mark.parametrize(
    "parameters", [{}, {"early_stopping": True}, {"warm_start": True}, {"optimizer": "lbfgs"}], ids=str
)
def test_partial_fit_goes_on_after_fit(parameters):
    model = net(max_iter=10, learning_rate=0.01, **parameters).fit(X, Y)
    cost = log_loss(Y, model.predict_proba(X))
    for _ in range(10):
        model.partial_fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.learning_rate_curve_) == 20
    assert log_loss(Y, model.predict_proba(X)) < cost


def test_a_warm_start_of_a_model_fitted_cold_begins_at_its_weights():
    model = net(max_iter=30, learning_rate=0.01).fit(X, Y)
    cost = model.loss_
    model.set_params(warm_start=True, max_iter=1).fit(X, Y)
    assert model.loss_ < cost
    assert model.n_iter_ == 31


def test_without_warm_start_fit_begins_anew():
    model = net().fit(X, Y)
    before = copy.deepcopy(fitted(model))
    assert_same(fitted(model.fit(X, Y)), before)


def test_patience_starts_anew_with_each_warm_start():
    model = net(max_iter=50, n_iter_no_change=3, tol=1e9, warm_start=True).fit(X, Y)
    assert model.n_iter_ == 4
    assert model.fit(X, Y).n_iter_ == 8


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"hidden_layer_dims": (7,)}, r"layer_dims must stay .*4, 6, 3.*got .*4, 7, 3"),
        ({"hidden_layer_dims": (6, 6)}, "layer_dims must stay"),
        ({"batch_norm": True}, "batch_norm must stay False, got True"),
        ({"ensemble_size": 2}, "ensemble_size must stay 1, got 2"),
    ],
    ids=str,
)
def test_a_warm_start_with_another_network_is_an_error(parameters, named):
    model = net(warm_start=True).fit(X, Y)
    before = copy.deepcopy(fitted(model))
    for train_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=named):
            model.set_params(**parameters) and train_on(X, Y)
    assert_same(fitted(model), before)


@pytest.mark.parametrize(
    ("X", "y", "named"),
    [
        (X[:, :3], Y, "X has 3 features, but DeepNNClassifier is expecting 4 features"),
        (X, Y + 1, r"y must have labels among \[0, 1, 2\], got \[3\]"),
        (X, np.eye(3, dtype=int)[Y], "y must be of the kind that training began with"),
    ],
)
def test_a_warm_start_with_other_data_is_an_error(X, y, named):
    model = net(warm_start=True).fit(*blobs())
    before = copy.deepcopy(fitted(model))
    with pytest.raises(ValueError, match=named):
        model.fit(X, y)
    assert_same(fitted(model), before)


def test_a_warm_start_may_change_the_optimizer():
    model = net(warm_start=True, optimizer="adam").fit(X, Y)
    for optimizer in [*OPTIMIZERS, SGD(momentum=0.9)]:
        model.set_params(optimizer=optimizer).fit(X, Y)
    assert model.n_iter_ == 5 * (2 + len(OPTIMIZERS))


# What parameters do.


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_may_be_a_name_a_class_or_an_instance(name):
    by_name, *others = (net(optimizer=each).fit(X, Y) for each in (name, OPTIMIZERS[name], OPTIMIZERS[name]()))
    for other in others:
        assert_same(fitted(other), fitted(by_name))


def test_an_optimizer_s_own_settings_are_taken():
    models = [net(optimizer=each).fit(X, Y) for each in (Adam(), Adam(beta_1=0.5), SGD(), SGD(momentum=0.9))]
    assert len({model.loss_ for model in models}) == 4


def test_lbfgs_takes_the_whole_set_whatever_the_batch_size():
    one, other = (net(optimizer=LBFGS(), batch_size=size).fit(X, Y).predict_proba(X) for size in (3, None))
    np.testing.assert_array_equal(one, other)


def test_a_callable_schedule_is_asked_for_every_step():
    model = net(learning_rate_schedule=lambda step: 0.001 * (step + 1)).fit(X, Y)
    n_steps = 6  # 90 rows in batches of 16
    assert model.learning_rate_curve_ == pytest.approx([0.001 * n_steps * epoch for epoch in range(1, 6)])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_s_horizon_is_all_epochs(name):
    model = net(learning_rate_schedule=name, max_iter=8, learning_rate=0.5).fit(X, Y)
    last_steps = np.arange(1, 9) * 6 - 1
    expected = [SCHEDULES[name](step, learning_rate=0.5, n_steps=48) for step in last_steps]
    assert model.learning_rate_curve_ == pytest.approx(expected)


def test_reduce_on_plateau_lowers_the_rate():
    model = net(learning_rate_schedule="reduce_on_plateau", max_iter=30, n_iter_no_change=10, tol=1e9).fit(X, Y)
    assert model.learning_rate_curve_[:6] == [0.001] * 6
    assert model.learning_rate_curve_[6:] == pytest.approx([0.0002] * len(model.learning_rate_curve_[6:]))
    assert model.n_iter_ == 11


@pytest.mark.parametrize("parameters", [{}, {"batch_norm": True}], ids=str)
def test_weight_init_gives_the_start(parameters):
    start = {name: array + 0.5 for name, array in net(**parameters).fit(X, Y).parameters_.items()}
    given = copy.deepcopy(start)
    still = {"optimizer": "sgd", "learning_rate": 1e-300, "max_iter": 1, **parameters}
    trained = net(weight_init=start, **still).fit(X, Y).parameters_
    for name in start:
        if not name.startswith("running"):
            np.testing.assert_allclose(trained[name], start[name], rtol=1e-13)  # scaled inputs have other weights
    assert_same(start, given)


@pytest.mark.parametrize("n_samples", [1, 3, 90])
@pytest.mark.parametrize("parameters", ARCHITECTURES, ids=str)
def test_too_large_a_batch_is_the_whole_set(n_samples, parameters):
    if n_samples == 1 and parameters.get("batch_norm"):
        n_samples = 2  # one is an error of its own
    parameters = {"hidden_layer_dims": (30,), "learning_rate": 0.02, **parameters}
    large, whole = (net(batch_size=size, **parameters).fit(X[:n_samples], Y[:n_samples]) for size in (10**6, None))
    assert_same(fitted(large), fitted(whole))


@pytest.mark.parametrize(("n_samples", "size"), [(39, None), (40, 64), (10_000, 64), (20_000, 128), (10**6, 512)])
def test_automatic_batches_grow_with_the_set(n_samples, size):
    model, examples = net(batch_size="auto", early_stopping=False), SimpleNamespace(n=n_samples)
    assert model._settled(model._recipe(), examples, validates=False).batch_size == size


@pytest.mark.parametrize(("n_positive", "smoothing"), [(500, 0.02), (200, 0.02), (50, 0.01), (10, 0.002)])
def test_automatic_smoothing_spares_rare_classes(n_positive, smoothing):
    rows, y = np.random.default_rng(0).normal(size=(1000, 2)), (np.arange(1000) < n_positive).astype(int)
    model = DeepNNClassifier(max_iter=1, random_state=0)
    used = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "train", lambda state, examples, network, recipe, **_: used.append(recipe) or stop())
        with pytest.raises(StopIteration):
            model.fit(rows, y)
        with pytest.raises(StopIteration):
            model.fit(rows, y, sample_weight=np.where(y, 1000 - n_positive, n_positive))
    assert used[0].label_smoothing == pytest.approx(smoothing, rel=0.12)  # held-out shares are whole samples
    assert used[1].label_smoothing == 0.02  # classes that weigh the same are not rare


def stop():
    raise StopIteration


@pytest.mark.parametrize("batch_size", [1, 7, 90, 89])
def test_batches_of_any_size_train_every_architecture(batch_size):
    for parameters in ARCHITECTURES:
        if batch_size == 1 and parameters.get("batch_norm"):
            continue  # an error of its own
        assert np.isfinite(net(batch_size=batch_size, max_iter=2, **parameters).fit(X, Y).loss_)


@pytest.mark.parametrize("loss", LOSSES)
def test_label_smoothing_keeps_probabilities_from_the_extremes(loss):
    y = targets("binary" if loss == "binary_cross_entropy" else "multiclass")
    plain, smooth = (net(max_iter=100, learning_rate=0.05, label_smoothing=s).fit(X, y) for s in (0, 0.3))
    assert smooth.predict_proba(X).max() < plain.predict_proba(X).max()


def test_weight_decay_pulls_weights_towards_zero():
    norms = [
        np.linalg.norm(np.concatenate([W.ravel() for W in net(weight_decay=decay, max_iter=30).fit(X, Y).coefs_]))
        for decay in (0, 1, 10)
    ]
    assert norms == sorted(norms, reverse=True)


def test_activation_and_dropout_may_differ_from_layer_to_layer():
    several = net(hidden_layer_dims=(6, 5), activation=("tanh", "relu"), dropout_rate=[0.5, 0]).fit(X, Y)
    for activation, dropout_rate in (("tanh", (0.5, 0)), (["tanh", "relu"], 0.5), (["relu", "tanh"], (0.5, 0))):
        other = net(hidden_layer_dims=(6, 5), activation=activation, dropout_rate=dropout_rate).fit(X, Y)
        assert other.loss_ != several.loss_


def test_a_seed_gives_the_same_model():
    for parameters in ({}, {"dropout_rate": 0.5}, {"early_stopping": True}, {"optimizer": "lbfgs"}):
        assert pickle.dumps(net(**parameters).fit(X, Y)) == pickle.dumps(net(**parameters).fit(X, Y))
    assert net(random_state=1).fit(X, Y).loss_ != net(random_state=2).fit(X, Y).loss_


def test_a_random_state_instance_is_drawn_from():
    drawn = np.random.RandomState(0)
    first, second = net(random_state=drawn).fit(X, Y), net(random_state=drawn).fit(X, Y)
    assert_same(fitted(first), fitted(net(random_state=0).fit(X, Y)))
    assert first.loss_ != second.loss_


def test_the_global_random_state_is_used_where_none_is_given():
    check_random_state(None).seed(5)  # NumPy's global one
    first = net(random_state=None).fit(X, Y)
    check_random_state(None).seed(5)  # NumPy's global one
    assert net(random_state=None).fit(X, Y).loss_ == first.loss_


@pytest.mark.parametrize(("verbose", "n_lines"), [(0, 0), (False, 0), (1, 13), (True, 13), (2, 21)])
def test_verbose_prints_lines(capsys, verbose, n_lines):
    net(max_iter=20, verbose=verbose).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == n_lines
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert all(line.startswith("epoch") and "validation" in line for line in lines[:-1])
    assert all(line.startswith("the weights of epoch") for line in lines[-1:])


# Bad input: one clear error, before any training, and what was fitted stays.

BAD_PARAMETERS = {
    "hidden_layer_dims": [
        *[0, -1, 2.5, None, True, (4, 0), (4, 1.5), (True,), np.nan, (4, (3,)), {4}],
        *["", "0", "4-0", "128-x", "128-", "-128", "128--64", "128 64", "4.5", ("4", "3"), ("4-3",)],
    ],
    "activation": ["rely", "logistic", 3, None, ("relu", "relu"), ("rely",), True, ()],
    "ensemble_size": [0, -1, 2.5, "many", None, True, np.nan],
    "scale_inputs": ["minmax", True, False, 1, np.nan],
    "weight_averaging": [-1, "on", None, True, np.nan, np.inf],
    "weight_init": ["he", None, 1, True, {"W1": np.zeros((2, 2))}, {}],
    "optimizer": ["adagrad", None, 3, object, [], {}, True],
    "learning_rate": [0, -0.1, "0.1", None, True, np.nan, np.inf, [0.1], 10**400],
    "learning_rate_schedule": ["linear", None, 3, True],
    "batch_size": [0, -1, 2.5, "all", True, np.nan, [16]],
    "max_iter": [0, -1, 2.5, "10", None, True, np.nan],
    "weight_decay": [-1, "0", None, True, np.nan, np.inf],
    "dropout_rate": [-0.1, 1, 1.5, "0.5", None, True, np.nan, (0.1, 0.1), (2,)],
    "batch_norm": [1, 0, "yes", None],
    "label_smoothing": [-0.1, 1, "0", None, True, np.nan],
    "max_grad_norm": [0, -1, "1", True, np.nan, np.inf],
    "class_weight": ["heavy", 3, True, [1, 2, 3], {0: -1, 1: 1, 2: 1}, {0: "a", 1: 1, 2: 1}, {0: np.nan, 1: 1, 2: 1}],
    "early_stopping": ["yes", None, 1, 0.5],
    "validation_fraction": [0, 1, -0.1, 1.5, "0.1", None, True, np.nan],
    "n_iter_no_change": [0, -1, 2.5, "10", None, True, np.nan],
    "tol": [-1, "0", None, True, np.nan],
    "scoring": ["correctness", 3, True, None],
    "shuffle": [1, "yes", None],
    "warm_start": [1, "yes", None],
    "dtype": ["float16", "single precision", int, None, 3, "auto32"],
    "verbose": [-1, "yes", None, 0.5, np.nan],
    "random_state": ["seed", -1, 1.5, (1, 2)],
}


@pytest.fixture
def no_training(monkeypatch):
    """Make it an error to come as far as training."""

    def train(*args, **kwargs):
        raise AssertionError("training began")

    def forbid():
        monkeypatch.setattr(classifier, "train", train)

    return forbid


@pytest.fixture
def earlier():
    """A fitted model, and what it predicts and remembers."""
    model = net().fit(X, Y)
    return model, copy.deepcopy(fitted(model)), model.predict_proba(X)


def assert_untouched(earlier):
    model, before, proba = earlier
    assert_same(fitted(model), before)
    np.testing.assert_array_equal(model.predict_proba(X), proba)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}={value!r}"[:60])
        for name in BAD_PARAMETERS
        for value in BAD_PARAMETERS[name]
    ],
)
def test_a_bad_parameter_is_named_with_its_value(earlier, no_training, name, value):
    no_training()
    model = earlier[0].set_params(**{name: value})
    entries = (
        list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, (tuple, set)) else []
    )
    for train_on in (model.fit, partial(net(**{name: value}).partial_fit, classes=[0, 1, 2])):
        with pytest.raises(ValueError, match=rf"(?s)^{name}.* must .*got ") as caught:
            train_on(X, Y)
        assert any(repr(culprit) in str(caught.value) for culprit in [value, *entries]) or name == "weight_init"
    assert_untouched(earlier)


def test_every_parameter_has_bad_values():
    assert set(BAD_PARAMETERS) == set(net().get_params())


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("activation", ["relu", "tanh"]),
        ("weight_init", ["auto", "he_normal"]),
        ("optimizer", list(OPTIMIZERS)),
        ("learning_rate_schedule", [*SCHEDULES, "reduce_on_plateau"]),
        ("scoring", ["loss", "accuracy"]),
        ("dtype", ["auto", "float32", "float64"]),
        ("early_stopping", ["auto"]),
        ("class_weight", ["balanced"]),
        ("batch_size", ["auto"]),
    ],
)
def test_the_message_on_an_unknown_name_lists_the_known_ones(name, known):
    with pytest.raises(ValueError, match=f"{name} must be") as caught:
        net(**{name: "unheard-of"}).fit(X, Y)
    assert all(each in str(caught.value) for each in [*known, "unheard-of"])


@pytest.mark.parametrize("value", [np.nan, np.inf, "text", -1])
def test_a_weight_init_that_is_no_number_is_named(earlier, no_training, value):
    start = net(max_iter=1).fit(X, Y).parameters_
    start["W1"] = np.full((6, 4), value) if value != -1 else np.zeros((4, 6))
    no_training()
    with pytest.raises(ValueError, match=r"^weight_init must"):
        earlier[0].set_params(weight_init=start).fit(X, Y)
    assert_untouched(earlier)


@pytest.mark.parametrize("rate", [-1, np.nan, "fast", None])
def test_a_callable_schedule_that_gives_no_rate_is_named(earlier, rate):
    with pytest.raises(ValueError, match=r"learning_rate_schedule.*must be a number .*got"):
        earlier[0].set_params(learning_rate_schedule=lambda step: rate).fit(X, Y)
    assert_untouched(earlier)


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 1, 7: 2}, {0: 1, 1: 1, 2: 1, 7: 2}, {"0": 1}], ids=str)
def test_a_class_weight_for_no_class_is_named(earlier, no_training, class_weight):
    no_training()
    with pytest.raises(ValueError, match=r"class_weight.*('0'|7)"):
        earlier[0].set_params(class_weight=class_weight).fit(X, Y)
    assert_untouched(earlier)


def with_entry(array, value):
    array = np.array(array, dtype=float)
    array.flat[3] = value
    return array


BAD_DATA = {
    "X with NaN": ({"X": with_entry(X, np.nan)}, "Input X contains NaN"),
    "X with inf": ({"X": with_entry(X, np.inf)}, "Input X contains infinity"),
    "sparse X with NaN": ({"X": sp.csr_array(with_entry(X, np.nan))}, "Input X contains NaN"),
    "empty X": ({"X": X[:0], "y": Y[:0]}, r"0 sample\(s\) .*minimum of 1 is required"),
    "X without columns": ({"X": X[:, :0]}, r"0 feature\(s\) .*minimum of 1 is required"),
    "one-dimensional X": ({"X": X[:, 0]}, "Expected 2D array, got 1D array"),
    "complex X": ({"X": X + 1j}, "Complex data not supported"),
    "X of strings": ({"X": np.full((90, 4), "a")}, "text or categories in columns 0, 1, 2, 3"),
    "no y": ({"y": None}, "requires y to be passed"),
    "short y": ({"y": Y[:80]}, r"inconsistent numbers of samples: \[90, 80\]"),
    "continuous y": ({"y": X[:, 0]}, "Unknown label type: continuous"),
    "y with NaN": ({"y": with_entry(Y, np.nan)}, "Input y contains NaN"),
    "several columns of classes": ({"y": np.stack([Y, Y], axis=1)}, "y must have one label per sample"),
    "labels of two kinds": ({"y": np.array([1, "a", 2] * 30, dtype=object)}, "(?i)y must|label"),
    "negative weights": ({"sample_weight": with_entry(np.ones(90), -2)}, "sample_weight must not be negative, got -2"),
    "weights with NaN": ({"sample_weight": with_entry(np.ones(90), np.nan)}, "sample_weight contains NaN"),
    "weights with inf": ({"sample_weight": with_entry(np.ones(90), np.inf)}, "sample_weight contains infinity"),
    "weights all zero": ({"sample_weight": np.zeros(90)}, "sample_weight must not be zero for all"),
    "short weights": ({"sample_weight": np.ones(80)}, r"sample_weight must have shape \(90,\).*got \(80,\)"),
    "weights in columns": ({"sample_weight": np.ones((90, 2))}, r"sample_weight must have shape .*got \(90, 2\)"),
    "one weight for all": ({"sample_weight": 2.0}, "sample_weight"),
    "weights of text": ({"sample_weight": ["heavy"] * 90}, "sample_weight"),
}
BAD_VALIDATION = {
    "X_val alone": ({"X_val": X_VAL}, "X_val and y_val must be given together, got y_val=None"),
    "y_val alone": ({"y_val": Y_VAL}, "X_val and y_val must be given together, got X_val=None"),
    "weights alone": ({"sample_weight_val": np.ones(90)}, "X_val"),
    "X_val of another width": ({"X_val": X_VAL[:, :3], "y_val": Y_VAL}, "X_val must .*3 features.*4 features"),
    "X_val with NaN": ({"X_val": with_entry(X_VAL, np.nan), "y_val": Y_VAL}, "X_val.*contains NaN"),
    "empty X_val": ({"X_val": X_VAL[:0], "y_val": Y_VAL[:0]}, "X_val"),
    "unknown labels": ({"X_val": X_VAL, "y_val": Y_VAL + 1}, r"y_val must have labels among \[0, 1, 2\], got \[3\]"),
    "labels of another kind": (
        {"X_val": X_VAL, "y_val": list("abc") * 30},
        r"y_val must have labels among .*got \['a'",
    ),
    "indicators": ({"X_val": X_VAL, "y_val": np.eye(3)[Y_VAL]}, "y_val must be like y"),
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


@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_data_are_named(earlier, no_training, case, method):
    changes, named = BAD_DATA[case]
    no_training()
    with pytest.raises(ValueError, match=f"(?s){named}"):
        getattr(earlier[0], method)(**{"X": X, "y": Y, **changes})
    assert_untouched(earlier)


@pytest.mark.parametrize("case", BAD_VALIDATION)
def test_bad_validation_data_are_named(earlier, no_training, case):
    validation, named = BAD_VALIDATION[case]
    no_training()
    with pytest.raises(ValueError, match=f"(?s){named}"):
        earlier[0].fit(X, Y, **validation)
    assert_untouched(earlier)


@pytest.mark.parametrize(
    ("classes", "y", "named"),
    [
        (None, Y, "classes must be given at the first call of partial_fit"),
        ([0, 1], Y, r"y must have labels among \[0, 1\], got \[2\]"),
        ([], Y, "classes"),
        (3, Y, "classes"),
        ([0, 1, 2, np.nan], Y, "classes"),
        ([0, "a", None], Y, "classes"),
    ],
)
def test_bad_classes_at_the_first_partial_fit_are_named(no_training, classes, y, named):
    model = net()
    no_training()
    with pytest.raises(ValueError, match=named):
        model.partial_fit(X, y, classes=classes)
    assert not fitted(model)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"y": Y, "classes": [0, 1, 2, 3]}, r"classes must stay what they were, \[0, 1, 2\], got \[0, 1, 2, 3\]"),
        ({"y": Y + 1}, r"y must have labels among \[0, 1, 2\], got \[3\]"),
        ({"y": np.eye(3, dtype=int)[Y]}, "y must be of the kind that training began with"),
    ],
)
def test_bad_labels_at_a_later_partial_fit_are_named(earlier, no_training, arguments, named):
    no_training()
    with pytest.raises(ValueError, match=named):
        earlier[0].partial_fit(X, **arguments)
    assert_untouched(earlier)


def test_balanced_classes_cannot_be_known_part_by_part():
    with pytest.raises(ValueError, match=r"^class_weight must .*partial_fit.*got 'balanced'"):
        net(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 2, 2: 3}], ids=str)
def test_class_weights_for_several_labels_are_an_error(class_weight):
    with pytest.raises(ValueError, match=r"^class_weight must be None for multilabel targets"):
        net(class_weight=class_weight).fit(X, targets("multilabel"))


@pytest.mark.parametrize("class_weight", [{0: 0, 1: 0, 2: 0}], ids=str)
def test_class_weights_that_leave_nothing_are_an_error(earlier, class_weight):
    with pytest.raises(ValueError, match="class_weight must leave some samples of y a weight above zero"):
        earlier[0].set_params(class_weight=class_weight).fit(X, Y)
    assert_untouched(earlier)


def test_too_few_samples_to_hold_some_out_are_an_error(earlier):
    with pytest.raises(ValueError, match=r"early_stopping=True needs samples to hold out.*got n_samples = 1\."):
        earlier[0].set_params(early_stopping=True).fit(X[:1], Y[:1])
    assert_untouched(earlier)


@pytest.mark.parametrize("name", [*PREDICTORS, "score"])
def test_predicting_before_fitting_is_an_error(name):
    arguments = (X, Y) if name == "score" else (X,)
    with pytest.raises(NotFittedError, match="DeepNNClassifier instance is not fitted yet"):
        getattr(net(), name)(*arguments)
    assert not hasattr(net(), "coefs_")
    assert not hasattr(net(), "intercepts_")


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (X[:, :3], "X has 3 features, but DeepNNClassifier is expecting 4"),
        (X[:0], r"0 sample\(s\)"),
        (with_entry(X, np.nan), "Input X contains NaN"),
        (X[0], "Expected 2D array"),
    ],
)
def test_predicting_bad_data_is_an_error(earlier, name, bad, named):
    with pytest.raises(ValueError, match=named):
        getattr(earlier[0], name)(bad)
    assert_untouched(earlier)


@pytest.mark.parametrize(
    "changes", [{"learning_rate": -1}, {"random_state": "seed"}, {"learning_rate": 1e300}], ids=str
)
def test_a_first_fit_that_fails_leaves_nothing_fitted(changes):
    model = net(**{"optimizer": "sgd", **changes})
    with pytest.raises(ValueError, match=r"learning_rate|seed"):
        model.fit(X, Y)
    assert not fitted(model)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(("error", "n_calls"), [(RuntimeError, 2), (RuntimeError, 3), (KeyboardInterrupt, 2)])
def test_a_fit_that_fails_or_makes_no_whole_epoch_leaves_the_earlier_one(warm_start, error, n_calls):
    calls = []

    def scoring(estimator, X, y):
        calls.append(estimator)
        if len(calls) == n_calls:  # the first is made before the first epoch
            raise error("in an epoch")
        return 0.0

    model = net(warm_start=warm_start).fit(X, Y)
    before = model, copy.deepcopy(fitted(model)), model.predict_proba(X)
    with pytest.raises(error, match="in an epoch"):
        model.set_params(scoring=scoring).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert_untouched(before)


# Divergence.

VALIDATION = {"none": {}, "given": {"X_val": 1000 * X_VAL}, "held out": {}}


def reports_of(model, X, y, **validation):
    """Fit, and return what was said: the error, or the warnings."""
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
def test_a_cost_that_blew_up_and_never_came_back_is_reported(seed, early_stopping):
    model = net(optimizer="sgd", learning_rate=1e4, max_iter=15, batch_size=None, random_state=seed)
    reports = reports_of(model.set_params(early_stopping=early_stopping), 100 * X, Y)
    cost = -model.predict_log_proba(100 * X)[np.arange(90), Y].mean()
    assert cost > 1e6 * model.loss_curve_[0]
    assert [type(report) for report in reports] == [ConvergenceWarning]
    assert "diverged" in str(reports[0])


def test_divergence_leaves_the_earlier_fit(earlier):
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


@pytest.mark.parametrize("dropout_rate", [0, 0.3, 0.5])
def test_healthy_training_is_not_called_divergence(dropout_rate):
    for seed in range(10):
        net(hidden_layer_dims=(6, 5), dropout_rate=dropout_rate, random_state=seed).fit(X, Y)


def test_a_first_epoch_costlier_than_its_first_batch_is_not_called_divergence():
    for seed in range(10):
        model = net(hidden_layer_dims=(), random_state=seed).partial_fit(X, Y, classes=[0, 1, 2])
        assert log_loss(Y, model.partial_fit(X, Y).predict_proba(X)) < model.loss_curve_[0]


def test_after_divergence_training_goes_on_from_the_weights_that_were_kept():
    model = net(optimizer="sgd", warm_start=True, learning_rate_schedule=lambda step: 0.01 if step < 30 else 1e200)
    with pytest.warns(ConvergenceWarning, match="The weights of epoch 5 are kept"):
        model.set_params(max_iter=10).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    model.set_params(learning_rate_schedule="constant").fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert np.isfinite(model.loss_)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("sgd", 1.0), ("sgd", 0.1), ("adam", 1.0)])
def test_a_blow_up_that_kills_all_units_is_reported(optimizer, learning_rate):
    rows, labels = load_breast_cancer(return_X_y=True)
    settings = {"optimizer": optimizer, "learning_rate": learning_rate, "scale_inputs": None, "max_iter": 30}
    model = DeepNNClassifier((32, 16), random_state=0, **settings)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        model.fit(rows, labels)
    assert np.ptp(model.predict_proba(rows), axis=0).max() < 1e-6


def test_raw_data_that_are_not_learned_are_reported():
    rows = np.column_stack([X, 1e6 * X[:, 0] + 5e6])
    with pytest.warns(ConvergenceWarning, match="far worse than guessing.*scale_inputs"):
        net(max_iter=30, scale_inputs=None).fit(rows, Y)


def test_a_warning_points_at_the_line_that_called_fit():
    with pytest.warns(ConvergenceWarning) as caught:
        net(optimizer="sgd", learning_rate=1e4, batch_size=None, max_iter=15).fit(100 * X, Y)
    assert caught[0].filename == __file__


def test_a_stream_sorted_by_class_is_not_called_divergence():
    order = np.argsort(Y, kind="stable")
    model = net(learning_rate=0.03)
    for part in np.array_split(order, 30):
        model.partial_fit(X[part], Y[part], classes=[0, 1, 2])


def test_other_labels_under_warm_start_are_not_called_divergence():
    model = net(max_iter=100, warm_start=True).fit(X, Y)
    model.set_params(max_iter=1).fit(X, 2 - Y)


@pytest.mark.parametrize("weights", [{"class_weight": "balanced"}, {}], ids=str)
def test_a_scorer_that_takes_no_weights_is_not_given_any(weights):
    scorer = make_scorer(lambda y_true, y_pred: float((y_true == y_pred).mean()))
    model = net(scoring=scorer, early_stopping=True, **weights).fit(X, Y, np.linspace(1, 2, 90))
    assert 0 <= model.validation_scores_[-1] <= 1


def test_a_scorer_that_does_not_suit_is_named_before_training(earlier, no_training):
    no_training()
    with pytest.raises(ValueError, match="scoring must be a scorer that the validation data suit, got 'f1'"):
        earlier[0].set_params(scoring="f1", early_stopping=True).fit(X, Y)
    assert_untouched(earlier)


def test_lbfgs_goes_on_with_other_labels_after_it_has_converged():
    model = net(hidden_layer_dims=(), optimizer="lbfgs", weight_decay=0.1, warm_start=True, tol=0, max_iter=100)
    model.fit(X, Y)
    assert model.n_iter_ < 100
    flipped = clone(model).fit(X, 2 - Y)
    model.fit(X, 2 - Y)
    np.testing.assert_allclose(model.predict_proba(X), flipped.predict_proba(X), atol=1e-3)


def test_parts_of_different_sizes_move_along_the_schedule_alike():
    model = net(learning_rate_schedule="cosine", max_iter=20, batch_size=10)
    for size in [90, 10] * 10:
        model.partial_fit(X[:size], Y[:size], classes=[0, 1, 2])
    assert np.all(np.diff(model.learning_rate_curve_) < 0)


def test_reduce_on_plateau_is_refused_by_partial_fit():
    with pytest.raises(ValueError, match="learning_rate_schedule must be another for partial_fit"):
        net(learning_rate_schedule="reduce_on_plateau").partial_fit(X, Y, classes=[0, 1, 2])


def test_validation_data_are_weighted_as_the_training_data_are():
    rare = np.flatnonzero((Y_VAL == 0) | (np.arange(90) % 9 == 1))
    given = {"X_val": X_VAL[rare], "y_val": Y_VAL[rare]}
    balanced = net(class_weight="balanced").fit(X, Y, **given)
    np.testing.assert_allclose(balanced.class_weight_, [1, 1, 1])
    assert balanced.validation_loss_curve_ == net().fit(X, Y, **given).validation_loss_curve_


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_next_to_no_weight_are_normalised(dtype):
    weight = np.full(90, 1e-60)
    weight[::20] = 1
    model = net(batch_norm=True, dtype=dtype, batch_size=4).fit(X, Y, weight)
    assert np.isfinite(model.loss_)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_batch_norm_refuses_a_single_sample(method):
    model = net(batch_norm=True).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"batch_norm=True needs at least 2 samples .* n_samples = 1"):
        getattr(model, method)(X[:1], Y[:1])


def test_a_stream_whose_weights_grow_is_not_called_divergence():
    model = net().partial_fit(X, Y, classes=[0, 1, 2], sample_weight=np.ones(90))
    model.partial_fit(X, Y, sample_weight=np.full(90, 50.0))
    assert model.loss_ < 2 * model.loss_curve_[0]


def test_a_drift_beyond_the_horizon_of_a_stream_is_not_called_a_bad_end():
    model = net(max_iter=3, learning_rate=0.05)
    for sign in [1] * 100 + [-1] * 5:
        model.partial_fit(sign * 3 * X, Y, classes=[0, 1, 2])


def test_class_weights_are_forgotten_with_their_parameter():
    model = net(class_weight={0: 2.0}).partial_fit(X, Y, classes=[0, 1, 2])
    assert model.class_weight_.tolist() == [2, 1, 1]
    assert not hasattr(model.set_params(class_weight=None).partial_fit(X, Y), "class_weight_")


def test_the_byte_order_of_x_does_not_matter():
    model = net().fit(X.astype(">f4"), Y)
    assert model.parameters_["W1"].dtype == np.float32
    assert model.predict_proba(X.astype(">f4")).dtype == np.float32


def test_numpy_numbers_for_batch_sizes_leave_single_precision(monkeypatch):
    monkeypatch.setattr(training, "WORK_OF_PART", 1)
    monkeypatch.setattr(training, "PART_COLUMNS", 1)
    monkeypatch.setattr(training, "allowed_threads", lambda: 2)
    for shuffle in (True, False):
        given, plain = (
            net(batch_size=batch_size, shuffle=shuffle, dtype="float32").fit(X, Y) for batch_size in (np.int64(20), 20)
        )
        np.testing.assert_array_equal(given.coefs_[0], plain.coefs_[0])


# What the defaults do.


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


def test_probabilities_of_rare_positives_are_as_low_as_their_share():
    rows, labels, later, expected = rare_positives()
    model = DeepNNClassifier(random_state=0).fit(rows, labels)
    assert model.predict_proba(later)[:, 1].mean() == pytest.approx(expected.mean(), rel=0.2)
