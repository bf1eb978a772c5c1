"""Labels, classes and class weights."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from estimator_cases import TARGETS, X, Y, assert_untouched, blobs, fitted, net, pickled, targets
from sklearn.utils.class_weight import compute_sample_weight

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
    model = net(max_iter=40, learning_rate=0.02).fit(X, container(y), X_val=X, y_val=container(y))
    np.testing.assert_array_equal(model.classes_, np.sort(names))
    assert model.score(X, y) > 0.95
    assert set(model.predict(X).tolist()) == set(names.tolist())
    assert model.predict_proba(X).shape == (90, len(names))


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
    model = net(max_iter=60, learning_rate=0.02).fit(X, y, X_val=X, y_val=y)
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


@pytest.mark.parametrize("class_weight", [{0: 0, 1: 0, 2: 0}], ids=str)
def test_class_weights_that_are_all_0_are_an_error(earlier, class_weight):
    with pytest.raises(ValueError, match="class_weight must leave some samples of y a weight above zero"):
        earlier[0].set_params(class_weight=class_weight).fit(X, Y)
    assert_untouched(earlier)
