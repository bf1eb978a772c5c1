"""Graphs predict what the estimator predicts, whatever its kind, its labels, its inputs and what it is part of."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from one_network import one_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, make_classification, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_deepnn import DeepNNClassifier, DeepNNRegressor
from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.encoding import PARTS
from sklearn_deepnn.network.losses import LOSSES, NUMBER_LOSSES
from sklearn_deepnn.onnx import (
    EXPRESSIONS,
    JOINT_LOGITS,
    LINKS,
    OLDEST_OPSET,
    PART_EXPRESSIONS,
    expression_of,
    register_converter,
    to_onnx,
)

onnx = pytest.importorskip("onnx")
skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def table(n_classes=3, n_samples=120):
    """Return float64 samples whose features have different means and sizes; one is constant."""
    X, y = make_classification(n_samples, 6, n_informative=4, n_classes=n_classes, random_state=0)
    return np.c_[X * [1, 10, 0.1, 1, 3, 1] + [0, 50, 1, -2, 0, 5], np.full(n_samples, 7.0)], y


def several_labels():
    X, Y = make_multilabel_classification(120, 6, n_classes=4, random_state=0)
    return X, Y


def deepnn(*dims, **parameters):
    dims = {"hidden_layer_dims": dims} if dims else {}
    return one_network(**{"max_iter": 15, "learning_rate": 0.02, "random_state": 0, **dims, **parameters})


def with_gaps(X, fraction=0.1, seed=0):
    """Return a copy of X in which a fraction of the numbers is missing."""
    return np.where(np.random.default_rng(seed).random(X.shape) < fraction, np.nan, X)


def run(graph, X, **inputs):
    """Return all outputs of a graph for X."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs or {"X": X})


def check_same(model, X, graph=None):
    """Check that a graph, by default the model's, gives the model's labels, and its probabilities to 1e-5."""
    graph = graph or to_onnx(model, X[:1])
    onnx.checker.check_model(graph, full_check=True)
    labels, probabilities = run(graph, X)
    expected = model.predict(X)
    assert labels.shape == expected.shape
    assert (labels == expected).all()
    assert len(np.unique(labels)) > 1
    assert probabilities.dtype == (np.float64 if X.dtype == np.float64 else np.float32)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-5)
    assert np.ptp(probabilities) > 0.1


# Kinds of networks.


KINDS = {
    "automatic": deepnn(),
    "one network": deepnn(8, 5),
    "no hidden layer": deepnn(hidden_layer_dims=()),
    "batch normalisation": deepnn(8, 5, batch_norm=True),
    "ensemble with batch normalisation": deepnn(8, batch_norm=True, ensemble_size=3),
    "mixed activations and dropout": deepnn(8, 5, activation=("tanh", "gelu"), dropout_rate=0.1),
    "robust scaling": deepnn(8, scale_inputs="robust"),
    "no scaling": deepnn(8, scale_inputs=None, max_iter=40),
    "float32": deepnn(8, ensemble_size=2, dtype="float32"),
}
TARGETS = {"two classes": lambda: table(2), "three classes": table, "several labels": several_labels}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KINDS)
def test_graph_predicts_what_the_estimator_predicts(kind, target):
    X, y = TARGETS[target]()
    model = clone(KINDS[kind]).fit(X, y)
    for dtype in (np.float32, np.float64):
        check_same(model, X.astype(dtype))


def test_graph_predicts_what_the_estimator_predicts_on_the_digits():
    X, y = load_digits(return_X_y=True)
    model = deepnn(max_iter=5).fit(X, y)
    for dtype in (np.float32, np.float64, np.int64):
        check_same(model, X.astype(dtype))


def test_one_class_is_certain():
    X, _ = table()
    X = X.astype(np.float32)
    model = deepnn(4, max_iter=1).fit(X, np.full(len(X), "only"))
    labels, probabilities = run(to_onnx(model, X[:1]), X)
    assert set(labels) == {"only"}
    assert (probabilities == 1).all()
    assert probabilities.shape == (len(X), 1)


def test_the_graph_of_an_ensemble_is_no_larger_for_more_members():
    X, y = table()
    few, many = (to_onnx(deepnn(4, ensemble_size=n, max_iter=1).fit(X, y), X[:1]) for n in (2, 5))
    assert [node.op_type for node in few.graph.node] == [node.op_type for node in many.graph.node]


def test_a_graph_of_single_precision_holds_no_double():
    X, y = table()
    graph = to_onnx(deepnn(4, dtype="float64").fit(X, y), X[:1].astype(np.float32))
    kinds = {array.data_type for array in graph.graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


# Activations and links.


def test_every_activation_and_every_link_has_an_expression():
    assert set(EXPRESSIONS) == set(ACTIVATIONS)
    assert set(LINKS) == {loss.link.name for loss in LOSSES.values()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_expression_is_the_activation_near_zero_and_far_away(name, dtype):
    Z = np.r_[np.linspace(-12, 12, 241), -1e4, -200, 200, 1e4].astype(dtype)
    model = deepnn(1, activation=name, scale_inputs=None, dtype=dtype, max_iter=1)
    model.fit(Z[:, np.newaxis] / 1e4, Z > 0)
    model.parameters_ = {key: np.ones_like(model.parameters_[key]) for key in ("W1", "b1", "W2", "b2")}
    model.parameters_["b1"][:] = model.parameters_["b2"][:] = 0  # the logit is A
    graph = to_onnx(model, Z[:1, np.newaxis], options={"raw_scores": True})
    scores = run(graph, Z[:, np.newaxis])[1]
    np.testing.assert_allclose(scores[:, 1], ACTIVATIONS[name].forward(Z)[0], rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("target", TARGETS)
def test_large_logits_give_finite_probabilities_and_scores(target, ensemble_size):
    X, y = TARGETS[target]()
    X = X.astype(np.float32)
    model = deepnn(8, ensemble_size=ensemble_size).fit(X, y)
    model.parameters_ = {**model.parameters_, "W2": 1e3 * model.parameters_["W2"], "b2": 1e3 * model.parameters_["b2"]}
    assert np.abs(model.decision_function(X)).max() > 500
    probabilities = run(to_onnx(model, X[:1]), X)[1]
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=5e-4)  # 1e-7 of the logits
    scores = run(to_onnx(model, X[:1], options={"raw_scores": True}), X)[1]
    expected = model.decision_function(X)
    expected = np.stack([-expected, expected], axis=1) if expected.ndim == 1 else expected
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-2)


# Labels.


@pytest.mark.parametrize(
    "names",
    [
        ["setosa", "versicolor", "virginica"],
        np.array(["a", "bb", "ccc"], dtype=object),
        ["Käse", "été", "猫"],
        [-7, 0, 12],
        [1, 2, 2**40],
        np.array([1, 2, 200], np.uint8),
        [1.0, 2.0, 3.0],
        [False, True],
    ],
    ids=["strings", "objects", "accents", "negative", "large", "bytes", "floats", "bools"],
)
@pytest.mark.parametrize("ensemble_size", [1, 2])
def test_labels_come_back_as_they_are(names, ensemble_size):
    X, y = table(len(names))
    check_same(deepnn(8, ensemble_size=ensemble_size).fit(X, np.asarray(names)[y]), X.astype(np.float32))


# Inputs.


@pytest.mark.parametrize("n", [1, 2, 7, 120])
def test_a_graph_takes_any_number_of_rows(n):
    X, y = table()
    X = X.astype(np.float32)
    model = deepnn().fit(X, y)
    labels, probabilities = run(to_onnx(model, X[:5]), X[:n])
    assert (labels == model.predict(X[:n])).all()
    np.testing.assert_allclose(probabilities, model.predict_proba(X[:n]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_whole_numbers_and_bools_are_inputs(dtype):
    X, y = table()
    large = np.array([0, 2**25, 0, 0, 0, 0, 0])  # float32 cannot represent every integer there
    X = np.greater(X, X.mean(axis=0)) if dtype is np.bool_ else np.rint(X + large).astype(dtype)
    check_same(deepnn(8, max_iter=40).fit(X, y), X)


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_features_far_from_zero_lose_nothing_in_single_precision(batch_norm, ensemble_size):
    X, y = table()
    X = (X + 1e4 * X.std(axis=0)).astype(np.float32)
    model = deepnn(8, ensemble_size=ensemble_size, batch_norm=batch_norm, dtype="float64").fit(X, y)
    assert np.abs(model.intercepts_[0]).max() > 1000  # float32 would round them by more than 1e-5
    check_same(model, X)


# Gaps and encoded inputs.


ENCODINGS = {
    "gaps": (deepnn(8), ["numbers", "gaps"]),
    "gaps and no scaling": (deepnn(8, scale_inputs=None, max_iter=40), ["numbers", "gaps"]),
    "gaps and robust scaling": (deepnn(8, scale_inputs="robust"), ["numbers", "gaps"]),
    "bins": (deepnn(8, 5, numeric_encoding="piecewise_linear", batch_norm=True), ["numbers", "bins", "gaps"]),
    "an ensemble": (deepnn(8, numeric_encoding="piecewise_linear", ensemble_size=3), ["numbers", "bins", "gaps"]),
    "float32": (deepnn(8, numeric_encoding="piecewise_linear", dtype="float32"), ["numbers", "bins", "gaps"]),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ENCODINGS)
def test_graph_encodes_its_inputs_as_the_estimator_does(kind, target):
    X, y = TARGETS[target]()
    model, parts = ENCODINGS[kind]
    model = clone(model).fit(with_gaps(X), y)
    assert list(model.encoding_["parts"]) == parts
    for dtype in (np.float32, np.float64):
        check_same(model, with_gaps(X, seed=1).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_outliers_are_clipped_as_by_the_estimator(dtype):
    X, y = table()
    X[:4, 2] = 1e5
    model = DeepNNClassifier((8,), ensemble_size=2, max_iter=15, random_state=0).fit(X, y)
    assert np.isfinite(model.encoding_["parts"]["numbers"]["clip"]).ravel().tolist() == [j == 2 for j in range(7)]
    check_same(model, X.astype(dtype))


def test_numbers_beyond_their_bins_count_like_the_ends_as_in_a_prediction():
    X, y = table()
    model = clone(ENCODINGS["bins"][0]).fit(X, y)
    check_same(model, np.where(np.arange(7) == 3, 3 * X, X + 2 * np.ptp(X, axis=0) * (y[:, np.newaxis] == 1)))


def test_the_default_network_is_exported():
    X, y = table()
    model = DeepNNClassifier(max_iter=5, random_state=0).fit(X, y)
    assert list(model.encoding_["parts"]) == ["numbers", "bins"]
    for dtype in (np.float32, np.float64):
        check_same(model, X.astype(dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_count_like_the_center_where_training_had_none(kind):
    X, y = table()
    model = clone(KINDS[kind]).fit(X, y)
    assert not hasattr(model, "encoding_")
    X = with_gaps(X)
    for dtype in (np.float32, np.float64):
        check_same(model, X.astype(dtype))
    filled = np.where(np.isnan(X), getattr(model, "input_center_", 0), X)
    probabilities = [run(to_onnx(model, X[:1]), A)[1] for A in (X, filled)]
    np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_numbers_may_be_categories(dtype):
    X, y = table()
    X[:, 0] = y * 10  # 0, 10, 20
    X[:, 3] = np.arange(len(X)) % 40
    X = np.rint(X)
    model = deepnn(8, categorical_features=[3, 0]).fit(X, y)
    assert list(model.encoding_["parts"]) == ["numbers", "one_hot", "codes"]
    X[:5, 0] = 7  # unknown
    X[5:9, 3] = 1000
    if dtype != np.int64:
        X[9:20, [0, 3]] = np.nan
    check_same(model, X.astype(dtype))


def test_numbers_are_the_same_category_only_if_all_their_digits_agree():
    X = np.repeat([[0.1], [0.2], [0.3]], 20, axis=0)
    model = deepnn(8, categorical_features=[0], max_iter=50).fit(X, np.repeat([0, 1, 2], 20))
    check_same(model, X)
    single = X.astype(np.float32)  # whose numbers are others: all are unknown
    probabilities = run(to_onnx(model, single[:1]), single)[1]
    np.testing.assert_allclose(probabilities, model.predict_proba(single), rtol=0, atol=1e-5)


def frame(n_classes=3):
    """Return a data frame with columns of numbers, text and numeric categories, which have gaps, and its labels."""
    X, y = table(n_classes)
    rng = np.random.default_rng(0)
    columns = {"width": with_gaps(X[:, 0]), "height": X[:, 1], "colour": np.array(["red", "été", "猫"])[y]}
    columns["town"] = np.char.add("town ", rng.integers(40, size=len(X)).astype(str))
    X = pd.DataFrame(columns).astype({"colour": object, "town": object, "height": np.float32})
    X.insert(1, "size", pd.Categorical(rng.integers(4, size=len(X))))
    X.loc[rng.random(len(X)) < 0.3, "colour"] = None
    return X, y


def fed(X):
    """Return a data frame as inputs of a graph: arrays by name."""
    return {
        name: X[[name]].astype(np.int64 if name == "size" else X[name].dtype).to_numpy(copy=True) for name in X.columns
    }


def check_same_of_frame(model, X, graph):
    """Check that a graph gives the model's labels and probabilities for a data frame."""
    onnx.checker.check_model(graph, full_check=True)
    labels, probabilities = run(graph, None, **fed(X))
    assert (labels == model.predict(X)).all()
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-5)
    assert np.ptp(probabilities) > 0.1


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_each_column_of_a_frame_is_an_input_and_text_is_a_category(ensemble_size, n_classes):
    X, y = frame(n_classes)
    model = deepnn(8, ensemble_size=ensemble_size).fit(X, y)
    assert list(model.encoding_["parts"]) == ["numbers", "gaps", "one_hot", "codes"]
    graph = to_onnx(model, X.fillna({"colour": "red"})[:1])
    assert [each.name for each in graph.graph.input] == list(X.columns)
    X.loc[:5, "colour"], X.loc[6:10, "town"] = "of no colour", "town 41"
    check_same_of_frame(model, X, graph)


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, ""])
def test_a_gap_in_text_may_be_given_in_several_ways(gap):
    X, y = frame()
    model = deepnn(8).fit(X, y)
    graph = to_onnx(model, X.fillna({"colour": "red"})[:1])
    expected = model.predict_proba(X.assign(colour=None))
    assert np.abs(expected - model.predict_proba(X.assign(colour="of no colour"))).max() > 1e-3
    probabilities = run(graph, None, **{**fed(X), "colour": np.full((len(X), 1), gap, object)})[1]
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


def test_columns_of_a_kind_may_be_one_input():
    X, y = frame()
    X = X[["colour", "width", "height", "town"]]
    model = deepnn(8).fit(X, y)
    types = skl2onnx.common.data_types
    text, numbers = types.StringTensorType([None, 1]), types.FloatTensorType([None, 2])
    graph = to_onnx(model, initial_types=[("colour", text), ("numbers", numbers), ("town", text)])
    inputs = {**fed(X[["colour", "town"]]), "numbers": X[["width", "height"]].to_numpy(np.float32)}
    np.testing.assert_allclose(run(graph, None, **inputs)[1], model.predict_proba(X), rtol=0, atol=1e-5)


def test_an_array_of_text_is_an_input():
    X, y = frame()
    X = X[["colour", "town"]].to_numpy()
    check_same(deepnn(8).fit(X, y), X)


def test_a_column_of_rare_categories_alone_is_learned_as_nothing():
    X, y = table()
    X[:, 0] = np.arange(len(X))
    with pytest.warns(UserWarning, match="all of them rare"):
        model = deepnn(8, categorical_features=[0]).fit(X, y)
    check_same(model, X)


@pytest.mark.parametrize("opset", [*range(OLDEST_OPSET, skl2onnx.get_latest_tested_opset_version() + 1), None])
def test_opsets_from_the_oldest_to_the_default_encode_the_same(opset):
    X, y = frame()
    model = deepnn(ensemble_size=2, numeric_encoding="piecewise_linear").fit(X, y)
    assert set(model.encoding_["parts"]) == set(PARTS)
    check_same_of_frame(model, X, to_onnx(model, X.fillna({"colour": "red"})[:1], target_opset=opset))


def test_every_part_of_an_encoding_has_an_expression():
    assert list(PART_EXPRESSIONS) == list(PARTS)


# Pipelines, searches and meta-estimators.


def test_a_pipeline_is_converted_by_skl2onnx_itself_once_the_converter_is_registered():
    X, y = table()
    X = X.astype(np.float32)
    register_converter()
    register_converter()
    model = make_pipeline(StandardScaler(), deepnn(8)).fit(X, y)
    graph = skl2onnx.to_onnx(model, X[:1], options={DeepNNClassifier: {"zipmap": False}})
    check_same(model, X, graph)
    check_same(model, X, to_onnx(model, X[:1]))


def test_a_search_is_converted():
    X, y = table()
    X = X.astype(np.float32)
    search = GridSearchCV(deepnn(8, max_iter=3), {"activation": ["silu", "tanh"]}, cv=2).fit(X, y)
    check_same(search, X)


def test_a_pipeline_that_encodes_categories_is_converted():
    X, y = table()
    colours = np.array([["red"], ["green"], ["blue"]], dtype=object)[(y + (X[:, 0] > 1)) % 3]
    numbers = X[:, :2].astype(np.float32)
    columns = make_column_transformer(
        (StandardScaler(), [0, 1]), (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), [2])
    )
    rows = np.concatenate([numbers.astype(object), colours], axis=1)
    model = make_pipeline(columns, deepnn(8)).fit(rows, y)
    types = skl2onnx.common.data_types
    inputs = [(name, types.FloatTensorType([None, 1])) for name in ("width", "height")]
    graph = to_onnx(model, initial_types=[*inputs, ("colour", types.StringTensorType([None, 1]))])
    labels, probabilities = run(graph, None, width=numbers[:, [0]], height=numbers[:, [1]], colour=colours)
    assert (labels == model.predict(rows)).all()
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_calibrated_probabilities_are_those_of_the_calibrated_logits(n_classes):
    X, y = table(n_classes)
    X = X.astype(np.float32)
    model = CalibratedClassifierCV(deepnn(8), cv=2).fit(X, y)
    check_same(model, X)


# Options.


def test_probabilities_may_come_as_dicts_and_labels_as_numbers():
    X, y = table()
    X = X.astype(np.float32)
    model = deepnn(8).fit(X, np.array(["a", "b", "c"])[y])
    probabilities = run(to_onnx(model, X[:1], options={"zipmap": True}), X)[1]
    assert set(probabilities[0]) == {"a", "b", "c"}
    assert abs(probabilities[0]["b"] - model.predict_proba(X)[0, 1]) < 1e-5
    labels = run(to_onnx(model, X[:1], options={"nocl": True}), X)[0]
    assert (model.classes_[labels] == model.predict(X)).all()
    names = run(to_onnx(model, X[:1], options={"output_class_labels": True}), X)[2]
    assert list(names) == ["a", "b", "c"]


@pytest.mark.parametrize("opset", [*range(OLDEST_OPSET, skl2onnx.get_latest_tested_opset_version() + 1), None])
@pytest.mark.parametrize("target", TARGETS)
def test_opsets_from_the_oldest_to_the_default_predict_the_same(target, opset):
    X, y = TARGETS[target]()
    X = X.astype(np.float32)
    model = deepnn(activation="gelu", ensemble_size=2).fit(X, y)
    graph = to_onnx(model, X[:1], target_opset=opset)
    assert graph.opset_import[0].version <= (opset or skl2onnx.get_latest_tested_opset_version())
    check_same(model, X, graph)


# What is refused.


def test_an_opset_that_is_too_old_is_refused():
    X, y = table()
    with pytest.raises(ValueError, match=r"target_opset must be at least 13, got 12\."):
        to_onnx(deepnn(4, max_iter=1).fit(X, y), X[:1], target_opset=12)


def test_numbers_where_fit_had_text_are_refused():
    X, y = frame()
    types = [(name, skl2onnx.common.data_types.FloatTensorType([None, 1])) for name in X.columns]
    with pytest.raises(ValueError, match=r"input of column 'colour' must be a StringTensorType, as fit had text"):
        to_onnx(deepnn(4, max_iter=1).fit(X, y), initial_types=types)


@pytest.mark.parametrize("n", [3, 8])
def test_inputs_with_another_number_of_columns_are_refused(n):
    X, y = table()
    with pytest.raises(ValueError, match=rf"inputs must have 7 columns in all, as X had in fit, got {n}\."):
        to_onnx(deepnn(4, max_iter=1).fit(X, y), np.zeros((1, n), np.float32))


def test_labels_that_are_neither_text_nor_numbers_are_refused():
    X, y = table()
    days = np.datetime64("2024-01-01") + y
    with pytest.raises(ValueError, match="y must be strings or numbers for export to ONNX"):
        to_onnx(deepnn(4, max_iter=1).fit(X, days), X[:1])


@pytest.mark.parametrize("activation", ["of_my_own", ACTIVATIONS["relu"], lambda Z: Z])
def test_an_activation_without_an_expression_is_refused(activation):
    with pytest.raises(ValueError, match=r"^activation must be one of \['relu', .*\] for export to ONNX, got .*\.$"):
        expression_of(activation)


def test_an_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        to_onnx(DeepNNClassifier(), np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("function", [register_converter, lambda: to_onnx(None)])
def test_without_skl2onnx_the_error_says_how_to_install_it(function, monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"needs skl2onnx: pip install 'sklearn-deepnn\[onnx\]'"):
        function()


FRAMES = {  # frames whose columns skl2onnx does not know, and the type of the second input
    "text that begins with a gap": (lambda: pd.DataFrame({"x": NUMBERS, "c": [None, *["a", "b"] * 29, "a"]}), "string"),
    "nullable bools": (
        lambda: pd.DataFrame({"x": NUMBERS, "c": pd.array([None, *[True, False] * 29, True])}),
        "double",
    ),
    "categories of floats": (lambda: pd.DataFrame({"x": NUMBERS, "c": pd.Categorical([0.1, 0.2] * 30)}), "double"),
    "polars text": (lambda: pl.DataFrame({"x": NUMBERS, "c": ["a", "b"] * 30}), "string"),
}
NUMBERS = np.random.default_rng(0).normal(size=60)


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_of_any_dtype_are_inputs_of_the_graph(kind):
    make, expected = FRAMES[kind]
    frame = make()
    model = DeepNNClassifier(random_state=0, max_iter=3).fit(frame, np.arange(60) % 2)
    session = onnxruntime.InferenceSession(to_onnx(model, frame).SerializeToString())
    assert session.get_inputs()[1].type == f"tensor({expected})"
    values = frame["c"].to_list()
    if expected == "string":
        column = np.array([value if isinstance(value, str) else "" for value in values], object)
    else:
        column = np.array([np.nan if value is None or value is pd.NA else value for value in values], float)
    found = session.run(None, {"x": NUMBERS[:, np.newaxis], "c": column[:, np.newaxis]})[1]
    np.testing.assert_allclose(found, model.predict_proba(frame), rtol=1e-5)


def test_numbers_far_beyond_the_clip_are_clipped_as_in_a_prediction():
    X = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    X[3, 0] = 1e9  # an outlier, so that the feature is clipped
    model = DeepNNClassifier(random_state=0, max_iter=3, dtype="float32").fit(X, np.arange(80) % 2)
    rows = np.array([[1e30, 0], [-1e30, 0], [1e9, 0]], np.float32)
    session = onnxruntime.InferenceSession(to_onnx(model, X).SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: rows})[1]
    np.testing.assert_allclose(found, model.predict_proba(rows), rtol=1e-4)


# Regressors.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("loss", NUMBER_LOSSES)
def test_a_regressor_predicts_the_same_in_its_graph(loss, n_outputs, ensemble_size, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype(dtype)
    y = rng.gamma(3, size=(60, 2)) * [1e3, 1e-3]
    y = y if n_outputs == 2 else y[:, 0]
    model = DeepNNRegressor((5,), loss=loss, ensemble_size=ensemble_size, max_iter=30, random_state=0)
    model.fit(X, y, X_val=X, y_val=y)
    assert np.any(model.target_offset_ != 0) == (loss == "quantile")
    graph = to_onnx(model, X[:1], target_opset=OLDEST_OPSET)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: X})
    assert found.shape == (60, n_outputs)
    assert found.dtype == dtype
    wanted = model.predict(X).reshape(found.shape)
    np.testing.assert_allclose((found - wanted) / wanted.std(axis=0), 0, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_every_link_has_a_joint_prediction():
    assert set(JOINT_LOGITS) == set(LINKS)


def test_a_regressor_at_the_end_of_a_pipeline_is_converted():
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = make_pipeline(StandardScaler(), DeepNNRegressor(max_iter=3, random_state=0)).fit(X, X[:, 0])
    session = onnxruntime.InferenceSession(to_onnx(model, X[:1]).SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_allclose(found[:, 0], model.predict(X), atol=1e-10)
