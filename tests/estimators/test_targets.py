"""Labels, classes and class weights."""

import datetime as dt
import enum
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from estimator_cases import TARGETS, X_VAL, Y_VAL, X, Y, assert_untouched, blobs, fitted, net, pickled, targets
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_deepnn.callbacks import Callback

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
def test_labels_of_every_kind_are_predicted_as_given(kind, container):
    names = LABELS[kind]
    X, codes = blobs(n_classes=len(names))
    y = names[codes]
    model = net(max_iter=40, learning_rate=0.02, early_stopping=True).fit(X, container(y), X_val=X, y_val=container(y))
    np.testing.assert_array_equal(model.classes_, np.sort(names))
    assert model.score(X, y) > 0.95
    assert set(model.predict(X).tolist()) == set(names.tolist())
    assert model.predict_proba(X).shape == (90, len(names))


def pyarrow_array(values):
    return pytest.importorskip("pyarrow").array(values)


TYPES = {  # y, and the dtype of the labels
    "objects of ints": (lambda: Y.astype(object), np.int64),
    "objects of floats": (lambda: Y.astype(float).astype(object), np.float64),
    "objects of bools": (lambda: (Y > 0).astype(object), np.bool_),
    "objects of NumPy's ints": (lambda: np.array([np.int64(y) for y in Y], dtype=object), np.int64),
    "ints and floats": (lambda: [0, *(Y[1:] * 1.0)], np.float64),
    "objects of ints and floats": (lambda: np.array([0, *(Y[1:] * 1.0)], dtype=object), np.float64),
    "bools of Python and NumPy": (lambda: [False, *(Y[1:] > 0)], np.bool_),
    "a column of objects": (lambda: pd.DataFrame({"y": Y.astype(object)})["y"], np.int64),
    "StringDType": (lambda: np.array(list("abc"))[Y].astype(np.dtypes.StringDType()), object),
    "Int64": (lambda: pd.Series(Y, dtype="Int64"), np.int64),
    "Int8": (lambda: pd.Series(Y, dtype="Int8"), np.int8),
    "boolean": (lambda: pd.Series(Y > 0, dtype="boolean"), np.bool_),
    "string": (lambda: pd.Series(np.array(list("abc"))[Y], dtype="string"), object),
    "categories of ints": (lambda: pd.Categorical(Y), np.int64),
    "polars ints": (lambda: pl.Series(Y), np.int64),
    "polars bools": (lambda: pl.Series(Y > 0), np.bool_),
    "pyarrow ints": (lambda: pyarrow_array(Y), np.int64),
    "pyarrow text": (lambda: pyarrow_array(np.array(list("abc"))[Y].tolist()), object),
    "masked, with nothing masked": (lambda: np.ma.array(Y), np.int64),
}


@pytest.mark.parametrize("kind", TYPES)
def test_labels_keep_the_type_of_their_values(kind):
    make, dtype = TYPES[kind]
    y = make()
    model = net(class_weight=dict.fromkeys(np.asarray(y).tolist(), 2)).fit(X, y, X_val=X, y_val=y)
    assert model.classes_.dtype == dtype
    assert model.predict(X).dtype == dtype
    assert model.score(X, y) == np.mean(model.predict(X) == np.asarray(y).astype(dtype))
    assert net().partial_fit(X, y, classes=y).classes_.dtype == dtype


def with_gap(gap, labels=("a", "b", "c")):
    return [gap if i == 3 else labels[y] for i, y in enumerate(Y)]


def sparse_with(value):
    """Return sparse indicators, two of which have another value."""
    indicators = sp.lil_array(targets("multilabel") * (1 if value == 7 else 1.0))
    indicators[[2, 5], 1] = value
    return indicators.tocsc()


MISSING, KIND, DISCRETE = "no missing values", "labels of one kind", "text, integers or bools as labels"
DAYS = [dt.date(2024, 1, day) for day in (1, 2, 3)]
UNUSABLE = {  # y, the rule and the value that an error names
    "None among text": (lambda: with_gap(None), MISSING, "None at position 3"),
    "None among numbers": (lambda: with_gap(None, (0, 1, 2)), MISSING, "None at position 3"),
    "NaN among text": (lambda: with_gap(np.nan), MISSING, "nan at position 3"),
    "NaN among objects": (lambda: np.array(with_gap(np.nan), dtype=object), MISSING, "nan at position 3"),
    "NaN among numbers": (lambda: with_gap(np.nan, (0, 1, 2)), MISSING, "nan at position 3"),
    "NA among text": (lambda: pd.Series(with_gap(pd.NA), dtype=object), MISSING, "<NA> at position 3"),
    "NA of string": (lambda: pd.Series(with_gap(pd.NA), dtype="string"), MISSING, "at position 3"),
    "NA of Int64": (lambda: pd.Series(with_gap(pd.NA, (0, 1, 2)), dtype="Int64"), MISSING, "at position 3"),
    "NA of boolean": (lambda: pd.Series(with_gap(pd.NA, (True, False, True)), dtype="boolean"), MISSING, "position 3"),
    "NA of categories": (lambda: pd.Categorical(with_gap(None)), MISSING, "nan at position 3"),
    "NA of StringDType": (
        lambda: np.array(with_gap(None), dtype=np.dtypes.StringDType(na_object=None)),
        MISSING,
        "None at position 3",
    ),
    "polars null": (lambda: pl.Series(with_gap(None)), MISSING, "None at position 3"),
    "pyarrow null": (lambda: pyarrow_array(with_gap(None)), MISSING, "None at position 3"),
    "masked": (lambda: np.ma.array(Y, mask=np.arange(90) == 3), MISSING, "masked at position 3"),
    "NaT": (lambda: np.array(with_gap("NaT", DAYS), dtype="datetime64[D]"), MISSING, "at position 3"),
    "an int among text": (lambda: with_gap(7), KIND, "7 at position 3 after 'a'"),
    "text among ints": (lambda: np.array(with_gap("x", (0, 1, 2)), dtype=object), KIND, "'x' at position 3 after 0"),
    "text among bools": (lambda: with_gap("x", (True, False, True)), KIND, "'x' at position 3 after True"),
    "a bool among ints": (lambda: with_gap(True, (0, 1, 2)), KIND, "True at position 3 after 0"),
    "NumPy's bool among ints": (lambda: with_gap(np.True_, (0, 1, 2)), KIND, "True at position 3 after 0"),
    "an int among bools": (lambda: with_gap(2, (True, False, True)), KIND, "2 at position 3 after True"),
    "a float among bools": (lambda: with_gap(2.0, (True, False, True)), KIND, "2.0 at position 3 after True"),
    "a bool among objects": (lambda: np.array(with_gap(True, (0, 1, 2)), object), KIND, "True at position 3 after 0"),
    "a bool in a column": (
        lambda: pd.DataFrame({"y": with_gap(True, (0, 1, 2))}, dtype=object),
        KIND,
        r"True at position \(3, 0\) after 0",
    ),
    "intervals": (lambda: pd.Series(pd.cut(X[:, 0], 3)), KIND, r"Interval\(.*\) at position 0"),
    "dates in objects": (lambda: with_gap(DAYS[0], DAYS), KIND, r"datetime\.date\(2024, 1, 1\) at position 0"),
    "decimals": (lambda: with_gap(Decimal(1), (Decimal(0), Decimal(1), Decimal(2))), KIND, "Decimal.* at position 0"),
    "enumerations": (lambda: with_gap(enum.Enum("E", "a").a, tuple(enum.Enum("E", "a b c"))), KIND, "E.a.* position 0"),
    "dictionaries": (lambda: [{}] * 90, KIND, "{} at position 0"),
    "bytes": (lambda: np.array([b"a", b"b", b"c"])[Y], DISCRETE, "b'a' at position 0"),
    "complex numbers": (lambda: Y + 1j, DISCRETE, r"1j at position 0"),
    "fractions": (lambda: Y + 0.5, DISCRETE, "0.5 at position 0"),
    "fractions in objects": (lambda: (Y + 0.5).astype(object), DISCRETE, "0.5 at position 0"),
    "infinity": (lambda: with_gap(np.inf, (0, 1, 2)), DISCRETE, "inf at position 3"),
    "integers too large": (lambda: with_gap(2**70, (0, 1, 2)), "numbers that NumPy can hold", str(2**70)),
    "lists of different lengths": (lambda: [[0]] * 89 + [[0, 1]], "one label per sample", "inhomogeneous"),
    "several columns": (lambda: np.column_stack([Y, Y]), "one label per sample or", r"2 at position \(2, 0\)"),
    "signs for several labels": (
        lambda: 2 * targets("multilabel") - 1,
        "one label per sample or, for several labels at once, zeros and ones",
        r"-1 at position \(0, 1\)",
    ),
    "a sparse 7": (lambda: sparse_with(7), "one label per sample or, for several", r"7 at position \(2, 1\)"),
    "a sparse NaN": (lambda: sparse_with(np.nan), MISSING, r"nan at position \(2, 1\)"),
    "NaN for several labels": (lambda: np.where(X[:, :3] > 3, np.nan, 1), MISSING, r"nan at position \("),
    "a scalar": (lambda: 3, "an array or a list of labels", "3"),
    "a word": (lambda: "red", "an array or a list of labels", "'red'"),
    "a set": (lambda: {"red"}, "an array or a list of labels", "{'red'}"),
}
CALLS = {
    "fit": ("y", lambda y: net().fit(X, y)),
    "partial_fit": ("y", lambda y: net().partial_fit(X, y, classes=[0, 1, 2])),
    "classes": ("classes", lambda y: net().partial_fit(X, Y, classes=y)),
    "y_val": ("y_val", lambda y: net().fit(X, Y, X_val=X, y_val=y)),
    "score": ("y", lambda y: net(max_iter=1).fit(X, Y).score(X, y)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", UNUSABLE)
def test_one_error_names_y_the_rule_and_the_first_wrong_label(kind, call):
    make, rule, value = UNUSABLE[kind]
    name, run = CALLS[call]
    with pytest.raises(ValueError, match=rf"(^|\. ){name} must (have|be) {rule}.*{value}"):
        run(make())


def test_text_that_reads_like_a_missing_value_is_a_label():
    names = np.array(["nan", "None", "<NA>"], dtype=object)
    assert net().fit(X, names[Y]).classes_.tolist() == ["<NA>", "None", "nan"]


# What is taken, with a warning.


@pytest.mark.parametrize(
    "container", [np.asarray, sp.csr_array, sp.coo_matrix, pd.DataFrame, pl.DataFrame, np.ndarray.tolist]
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_one_hot_labels_are_learned_as_several_labels_with_a_warning(container, method):
    with pytest.warns(UserWarning, match=r"exactly one label.*pass y\.argmax\(axis=1\)") as caught:
        model = getattr(net(), method)(X, container(np.eye(3, dtype=int)[Y]))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert model.multilabel_


def test_indicators_may_have_columns_of_bools_beside_columns_of_numbers():
    y = pd.DataFrame({"a": Y == 0, "b": Y % 2, "c": 1.0 * (Y > 0)})
    assert np.asarray(y).dtype == object
    np.testing.assert_array_equal(net().fit(X, y).predict(X), net().fit(X, y.to_numpy(int)).predict(X))
    assert net().fit(X[:2], [[True, 0], [1, True]]).multilabel_


@pytest.mark.parametrize("y", [[[1, 0, 1], [0, 1, 0]], [[1, 0, 0], [0, 0, 0]], [[0, 1, 0]]], ids=str)
def test_indicators_that_are_not_one_hot_need_no_warning(y):
    assert net().fit(X[: len(y)], y).multilabel_


class Watching(Callback):
    """A callback of its own kind, with which `fit` takes a fingerprint of its data."""


@pytest.mark.parametrize("callbacks", [[], [Watching()]], ids=["alone", "with a callback"])
def test_nearly_as_many_classes_as_samples_are_a_cause_for_one_warning(callbacks):
    y = np.arange(90) // 2 * 2
    y[:10] = np.arange(101, 111)
    model = net(ensemble_size=3).set_callbacks(*callbacks)
    with pytest.warns(UserWarning, match="number of unique classes is greater than 50% of the number") as caught:
        model.fit(X, y, X_val=X, y_val=y)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.score(X, y)


def test_few_samples_and_parts_may_have_a_class_each():
    net().fit(X[:20], np.arange(20))
    net().partial_fit(X[:30], np.arange(30), classes=np.arange(100))


def test_a_first_part_with_nearly_as_many_classes_as_samples_is_a_cause_for_a_warning():
    with pytest.warns(UserWarning, match="number of unique classes"):
        net().partial_fit(X[:30], np.arange(30), classes=np.arange(30))


@pytest.mark.parametrize("label", ["only", 7, False])
def test_a_single_class_has_probability_1(label):
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


@pytest.mark.parametrize("early_stopping", [True, False])
def test_an_ensemble_learns_sparse_indicators_as_dense_ones(early_stopping):
    indicators = targets("multilabel")
    models = (
        net(ensemble_size=3, early_stopping=early_stopping, batch_size=32).fit(X, container(indicators))
        for container in (np.array, sp.csr_array)
    )
    dense, sparse = (model.predict_proba(X) for model in models)
    np.testing.assert_array_equal(dense, sparse)


def test_every_label_of_many_is_learned():
    y = targets("multilabel")
    model = net(max_iter=60, learning_rate=0.02, early_stopping=True).fit(X, y, X_val=X, y_val=y)
    assert model.multilabel_
    assert (model.predict(X) == y).mean() > 0.95
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    np.testing.assert_array_equal(net().fit(X, y.tolist()).predict(X), net().fit(X, y).predict(X))


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


# Classes of partial_fit.


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_partial_fit_takes_weights_and_all_kinds_of_targets(kind):
    y, weight, model = targets(kind), np.linspace(0, 3, 90), net(max_iter=4)
    for _ in range(4):
        model.partial_fit(X, y, classes=None if kind == "multilabel" else [0, 1], sample_weight=weight)
    np.testing.assert_array_equal(model.predict_proba(X), net(max_iter=4).fit(X, y, weight).predict_proba(X))


def test_a_call_of_partial_fit_may_lack_some_of_the_classes():
    model = net(hidden_layer_dims=(), learning_rate=0.05)
    for _ in range(15):
        for label in "zxy":
            rows = np.array(list("xyz"))[Y] == label
            model.partial_fit(X[rows], [label] * rows.sum(), classes=["z", "y", "x"])
    np.testing.assert_array_equal(model.classes_, ["x", "y", "z"])
    assert model.score(X, np.array(list("xyz"))[Y]) > 0.9


@pytest.mark.parametrize(
    ("classes", "y", "named"),
    [
        (None, Y, "classes must be given to the first call of partial_fit.* got None"),
        ([0, 1], Y, r"y must have labels among \[0, 1\], got \[2\]"),
        ([], Y, "classes"),
        (3, Y, "classes"),
        ([0, 1, 2, np.nan], Y, "classes"),
        ([0, "a", None], Y, "classes"),
        ({0, 1, 2}, Y, r"^classes must be an array or a list of labels, got \{0, 1, 2\}\.$"),
        ({0: 1}, Y, r"^classes must be an array or a list of labels, got \{0: 1\}\.$"),
        ("abc", Y, r"^classes must be an array or a list of labels, got 'abc'\.$"),
        (np.eye(3), Y, r"^classes must have one dimension and at least one label, got the shape \(3, 3\)\.$"),
        ([0, 1.5], Y, "classes must have text, integers or bools as labels, got 1.5 at position 1"),
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
        ({"y": Y, "classes": [0, 1, 2, 3]}, r"classes must stay \[0, 1, 2\], got \[0, 1, 2, 3\]"),
        ({"y": Y + 1}, r"y must have labels among \[0, 1, 2\], got \[3\]"),
        (
            {"y": np.eye(3, dtype=int)[Y]},
            "y must be one label per sample, as at the beginning of training, got an indicator",
        ),
    ],
)
def test_bad_labels_at_a_later_partial_fit_are_named(earlier, no_training, arguments, named):
    no_training()
    with pytest.raises(ValueError, match=named):
        earlier[0].partial_fit(X, **arguments)
    assert_untouched(earlier)


# Class weights.


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_dates_are_the_same_labels_in_every_unit(unit):
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], dtype="datetime64[D]")
    plain = net(class_weight={0: 5, 1: 1, 2: 2}).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    labels, weights = days.astype(f"datetime64[{unit}]"), dict(zip(days, [5, 1, 2]))
    model = net(class_weight=weights).fit(X, labels[Y], X_val=X_VAL, y_val=days[Y_VAL])
    np.testing.assert_array_equal(model.class_weight_, plain.class_weight_)
    np.testing.assert_array_equal(model.predict(X), labels[plain.predict(X)])
    assert model.score(X, days[Y]) == plain.score(X, Y)
    with pytest.raises(ValueError, match="class_weight must be a dict whose keys are dates"):
        net(class_weight={"first": 2}).fit(X, labels[Y])


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


def test_balanced_gives_all_classes_the_same_total_weight():
    weight = np.linspace(1, 2, 90) * np.array([1, 10, 2])[Y]
    totals = np.bincount(Y, weight)
    balanced = net(class_weight="balanced").fit(X, Y, weight)
    np.testing.assert_allclose(
        balanced.predict_proba(X), net().fit(X, Y, weight / totals[Y]).predict_proba(X), atol=1e-10
    )


def test_class_weights_are_looked_up_by_label():
    names = np.array(["x", "y", "z"])
    by_name = net(class_weight={"x": 1, "y": 3, "z": 2}).fit(X, names[Y])
    by_number = net(class_weight={0: 1, 1: 3, 2: 2}).fit(X, Y)
    np.testing.assert_array_equal(by_name.predict_proba(X), by_number.predict_proba(X))


def test_a_class_of_weight_0_stays_among_the_classes():
    model = net(class_weight={0: 1, 1: 0, 2: 1}, max_iter=40, learning_rate=0.02).fit(X, Y)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert 1 not in model.predict(X)


def test_class_weight_is_not_an_attribute_after_the_parameter_is_removed():
    model = net(class_weight={0: 2.0}).partial_fit(X, Y, classes=[0, 1, 2])
    assert model.class_weight_.tolist() == [2, 1, 1]
    assert not hasattr(model.set_params(class_weight=None).partial_fit(X, Y), "class_weight_")


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 1, 7: 2}, {0: 1, 1: 1, 2: 1, 7: 2}, {"0": 1}], ids=str)
def test_a_class_weight_of_an_unknown_class_is_named(earlier, no_training, class_weight):
    no_training()
    with pytest.raises(ValueError, match=r"class_weight.*('0'|7)"):
        earlier[0].set_params(class_weight=class_weight).fit(X, Y)
    assert_untouched(earlier)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 2, 2: 3}], ids=str)
def test_class_weights_for_several_labels_are_an_error(class_weight):
    with pytest.raises(ValueError, match=r"^class_weight must be None for multilabel targets"):
        net(class_weight=class_weight).fit(X, targets("multilabel"))


@pytest.mark.parametrize(("factor", "value"), [(1e200, "inf"), (1e-200, "0.0")])
@pytest.mark.parametrize("validated", [False, True])
def test_products_of_weights_beyond_the_range_of_floats_are_named(earlier, no_training, factor, value, validated):
    no_training()
    model, weight = earlier[0].set_params(class_weight={1: factor}), np.full(90, factor)
    arguments = (
        {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": weight} if validated else {"sample_weight": weight}
    )
    name = list(arguments)[-1]
    with pytest.raises(
        ValueError, match=rf"^class_weight times {name} must be in the range of float64, got {value} at"
    ):
        model.fit(X, Y, **arguments)
    assert_untouched(earlier)


def test_balanced_takes_weights_whose_sum_overflows():
    huge = net(class_weight="balanced").fit(X, Y, np.full(90, 2.0**1020))
    np.testing.assert_array_equal(huge.predict_proba(X), net(class_weight="balanced").fit(X, Y).predict_proba(X))


@pytest.mark.parametrize("class_weight", [{0: 0, 1: 0, 2: 0}], ids=str)
def test_class_weights_that_are_all_0_are_an_error(earlier, class_weight):
    with pytest.raises(ValueError, match="class_weight must leave some samples of y a weight above zero"):
        earlier[0].set_params(class_weight=class_weight).fit(X, Y)
    assert_untouched(earlier)
