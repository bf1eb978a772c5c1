"""`DeepNNClassifier`: fitted attributes, predictions, probabilities, precision, ensembles."""

import copy
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from estimator_cases import (
    ARCHITECTURES,
    PREDICTORS,
    TARGETS,
    X_VAL,
    Y_VAL,
    X,
    Y,
    assert_untouched,
    blobs,
    forward,
    members,
    net,
    probabilities,
    targets,
    with_entry,
)
from reference import assert_same
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.utils import get_tags

from sklearn_deepnn.network import prediction

# Fitted attributes.


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("parameters", ARCHITECTURES, ids=str)
def test_coefs_and_intercepts_reproduce_the_probabilities(kind, parameters):
    model = net(hidden_layer_dims=(6, 5), learning_rate=0.02, **parameters).fit(X, targets(kind))
    np.testing.assert_allclose(model.predict_proba(X), probabilities(kind, forward(model, X)), rtol=0, atol=1e-12)


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
def test_the_output_activation_depends_on_the_targets(kind, link):
    assert net().fit(X, targets(kind)).out_activation_ == link


def test_curves_have_one_entry_for_each_epoch():
    model = net(max_iter=7, early_stopping=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.n_iter_ == 7
    curves = ["loss_curve_", "validation_loss_curve_", "validation_scores_", "learning_rate_curve_"]
    assert [len(getattr(model, name)) for name in curves] == [7, 7, 7, 7]
    assert model.loss_ == model.loss_curve_[-1]
    assert model.validation_scores_ == [-cost for cost in model.validation_loss_curve_]


def test_tags_state_the_supported_inputs_and_targets():
    tags = get_tags(net())
    assert tags.input_tags.sparse
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label
    assert not tags.non_deterministic


# Precision.


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, np.dtype("float64"), float])
def test_a_given_dtype_is_that_of_the_weights(dtype):
    model = net(dtype=dtype, batch_norm=True).fit(X, Y)
    assert {array.dtype for array in model.parameters_.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("X_dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-15)])
def test_probabilities_have_the_dtype_of_x_and_sum_to_1(kind, dtype, X_dtype, tolerance):
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


def test_the_byte_order_of_x_does_not_matter():
    model = net().fit(X.astype(">f4"), Y)
    assert model.parameters_["W1"].dtype == np.float32
    assert model.predict_proba(X.astype(">f4")).dtype == np.float32


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


def test_predictions_do_not_depend_on_parameters_set_after_fit():
    model = net(activation="tanh", dropout_rate=0.2).fit(X, Y)
    before = [getattr(model, name)(X) for name in PREDICTORS]
    model.set_params(activation="relu", hidden_layer_dims=(3, 2), batch_norm=True, dropout_rate=0.9, dtype="float32")
    model.set_params(class_weight="balanced", optimizer="nonsense", batch_size=-1, random_state=5)
    assert_same([getattr(model, name)(X) for name in PREDICTORS], before)


@pytest.mark.parametrize("parameters", ARCHITECTURES, ids=str)
def test_predicting_changes_neither_the_model_nor_x(parameters):
    model = net(early_stopping=True, warm_start=True, **parameters).fit(X, Y)
    before, X_before = copy.deepcopy(vars(model)), X.copy()
    for name in PREDICTORS:
        getattr(model, name)(X)
    assert model.score(X, Y) >= 0
    assert len(model.coefs_) == len(model.intercepts_) == 2
    assert_same(vars(model), before)
    np.testing.assert_array_equal(X, X_before)


def test_eight_threads_predict_what_one_predicts():
    model = net(batch_norm=True).fit(X, Y)
    inputs = [X * scale for scale in np.linspace(0.5, 2, 32)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(model.predict_proba, inputs))
    assert_same(results, [model.predict_proba(each) for each in inputs])


def test_many_rows_are_predicted_as_few_rows():
    model = net().fit(X, Y)
    many = np.tile(X, (120, 1))
    np.testing.assert_allclose(model.predict_proba(many), np.tile(model.predict_proba(X), (120, 1)), rtol=1e-12)


@pytest.fixture
def small_chunks(monkeypatch):
    """Predict 64 rows at a time, in 3 threads."""
    monkeypatch.setattr(prediction, "CHUNK_COLUMNS", 64)
    monkeypatch.setattr(prediction, "allowed_threads", lambda: 3)


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("kind", TARGETS)
def test_chunks_are_predicted_as_the_whole_and_as_single_rows(small_chunks, monkeypatch, kind, name):
    predict, rows = getattr(net().fit(X, targets(kind)), name), blobs(n_samples=300, seed=2)[0]
    in_chunks = predict(rows)
    np.testing.assert_allclose(in_chunks, np.concatenate([predict(row[np.newaxis]) for row in rows]), rtol=1e-12)
    monkeypatch.setattr(prediction, "CHUNK_COLUMNS", 1000)
    np.testing.assert_allclose(in_chunks, predict(rows), rtol=1e-12)


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("position", [0, 63, 64, 150, 299])
@pytest.mark.parametrize(("bad", "named"), [(np.inf, "contains infinity"), (-np.inf, "contains infinity")])
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
def test_finite_numbers_whose_sum_is_infinite_are_predicted(small_chunks, name):
    rows = blobs(n_samples=300, seed=2)[0].astype(np.float32)
    rows[100:110] = 3e38
    assert np.isfinite(getattr(net(max_iter=1, dtype="float64", activation="tanh").fit(X, Y), name)(rows)).all()


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize(
    "parameters", [{}, {"batch_norm": True}, {"optimizer": "lbfgs"}, {"ensemble_size": 3}], ids=str
)
def test_sparse_inputs_train_and_predict_as_dense_inputs(format, kind, parameters):
    zeroed = np.where(np.abs(X) < 1, 0, X)
    sparse = getattr(sp, f"{format}_{kind}")(zeroed)
    dense_model = net(early_stopping=True, **parameters).fit(zeroed, Y)
    sparse_model = net(early_stopping=True, **parameters).fit(sparse, Y)
    for one, other in zip(sparse_model.coefs_, dense_model.coefs_):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)
    for name in PREDICTORS:
        np.testing.assert_allclose(getattr(sparse_model, name)(sparse), getattr(dense_model, name)(zeroed), atol=1e-10)


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
        (with_entry(X, np.inf), "Input X contains infinity"),
        (X[0], "Expected 2D array"),
    ],
)
def test_predicting_bad_data_is_an_error(earlier, name, bad, named):
    with pytest.raises(ValueError, match=named):
        getattr(earlier[0], name)(bad)
    assert_untouched(earlier)


# Ensembles.


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


def test_an_ensemble_takes_strings_sparse_rows_and_validation_data():
    names = np.array(["pear", "apple", "fig"])
    model = net(ensemble_size=3, max_iter=40, learning_rate=0.02, early_stopping=True)
    model.fit(sp.csr_array(X), names[Y], X_val=sp.csr_array(X_VAL), y_val=names[Y_VAL])
    assert model.score(X_VAL, names[Y_VAL]) > 0.95
    assert set(model.predict(X)) == set(names)
    labels = np.searchsorted(model.classes_, names[Y_VAL])
    assert model.best_loss_ == pytest.approx(log_loss(labels, model.predict_proba(X_VAL)), abs=1e-10)
