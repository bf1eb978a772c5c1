"""How the scaling of the inputs is learned, and what it changes."""

import re

import numpy as np
import pytest
import scipy.sparse as sp
from estimator_cases import (
    FACTORS,
    OFFSETS,
    TARGETS,
    X_VAL,
    Y_VAL,
    RecordingScorer,
    X,
    Y,
    forward,
    net,
    pickled,
    probabilities,
    targets,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.estimators import validation
from sklearn_deepnn.estimators.scaling import SCALINGS

SCALED = [{}, {"batch_norm": True}, {"ensemble_size": 3}, {"scale_inputs": "robust"}, {"optimizer": "lbfgs"}]


# Center and scale.


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
    scorer = RecordingScorer()
    model = net(early_stopping=True, scale_inputs=scale_inputs, scoring=scorer).fit(X, Y)
    held_out = (X[:, np.newaxis] == scorer.calls[0][0]).all(axis=2).any(axis=1)
    assert held_out.sum() == 9
    far = np.where(held_out[:, np.newaxis], X + 100, X)
    moved = net(early_stopping=True, scale_inputs=scale_inputs).fit(far, Y)
    np.testing.assert_array_equal(moved.input_center_, model.input_center_)
    np.testing.assert_array_equal(moved.input_scale_, model.input_scale_)
    assert moved.loss_curve_ == model.loss_curve_
    assert moved.validation_loss_curve_ != model.validation_loss_curve_


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_validation_data_do_not_enter_center_and_scale(ensemble_size):
    model = net(ensemble_size=ensemble_size).fit(X, Y, X_val=X_VAL + 1, y_val=Y_VAL)
    np.testing.assert_allclose(model.input_center_, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.input_scale_, X.std(axis=0), rtol=1e-12)


def test_center_and_scale_are_missing_where_nothing_is_scaled():
    for model in (net(), net(scale_inputs=None).fit(X, Y), net(scale_inputs=None).partial_fit(X, Y, [0, 1, 2])):
        for name in ("input_center_", "input_scale_"):
            assert not hasattr(model, name)
            with pytest.raises(AttributeError, match="is not fitted, or does not scale its inputs"):
                getattr(model, name)


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
def test_partial_fit_accumulates_center_and_scale(container):
    model = net(ensemble_size=2)
    for new in np.split(np.arange(90), [10, 30]):
        model = pickled(model).partial_fit(container(X[new]), Y[new], classes=[0, 1, 2])
        so_far = X[: new[-1] + 1]
        np.testing.assert_allclose(model.input_center_, so_far.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(model.input_scale_, so_far.std(axis=0), rtol=1e-12)


def test_a_warm_start_keeps_its_first_scaling():
    model = net(warm_start=True).fit(X, Y)
    center = model.input_center_.copy()
    np.testing.assert_array_equal(model.fit(X + 3, Y).input_center_, center)


@pytest.mark.parametrize(("before", "now"), [("standard", None), (None, "standard"), ("robust", "standard")])
def test_a_warm_start_with_another_scaling_is_an_error(before, now):
    model = net(scale_inputs=before, warm_start=True).fit(X, Y).set_params(scale_inputs=now)
    with pytest.raises(ValueError, match=f"scale_inputs must stay {before!r}, got {now!r}"):
        model.fit(X, Y)


# What scaling does to training.


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


def test_a_feature_that_float32_cannot_resolve_is_warned_about():
    advice = "which float32 cannot resolve. Use dtype='float64', or subtract its mean."
    message = re.escape(f"Feature 2 has a mean of more than 1000 standard deviations, {advice}")
    with pytest.warns(UserWarning, match=message):
        net(dtype="float32", max_iter=1).fit(X + 1e6 * (np.arange(4) == 2), Y)


def test_the_scale_of_weights_does_not_matter_to_the_scaling():
    weight = np.random.default_rng(0).random(len(X)) + 0.1
    for container in (np.array, sp.csr_array):
        small, large = (net().fit(container(X), Y, weight * factor).predict_proba(X) for factor in (1, 1e300))
        np.testing.assert_allclose(small, large, rtol=1e-10)


# Sparse features on a common scale.


N_WORDS, RARE, UNSEEN, DENSE, LARGE, SMALL = 300, 290, 295, 296, 297, 298  # the last are numbers of features


def words(n=120, seed=0):
    """Return counts of words in texts of 3 classes, in columns before UNSEEN, beside features on other scales."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    frequency = np.where(np.arange(N_WORDS) % 3 == y[:, np.newaxis], 4.0, 1.0) / (3 + np.arange(N_WORDS))
    X = 0.1 * rng.poisson(4 * frequency)
    X[:, RARE:] = 0
    X[3, RARE] = 0.2
    X[:, DENSE] = 2000 + 5 * rng.standard_normal(n)
    X[::4, LARGE] = 1e5
    X[::4, SMALL] = -1e-5
    return sp.csr_array(X), y


def common_scale(rows):
    """Return the scale of a word of typical size, worked out column by column."""
    sizes = [np.sqrt(np.mean(column[column != 0] ** 2)) for column in rows.T if 0 < np.mean(column != 0) <= 0.9]
    return np.median(sizes)


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
def test_words_share_a_scale_and_keep_their_zeros(container):
    texts, y = words()
    model = net(scale_inputs="common").fit(container(texts.toarray()), y)
    is_word = np.arange(N_WORDS) < RARE + 1
    is_word &= np.any(texts.toarray(), axis=0)
    np.testing.assert_array_equal(model.input_center_[is_word], 0)
    np.testing.assert_allclose(model.input_scale_[is_word], common_scale(texts.toarray()), rtol=1e-12)


def test_features_of_other_sizes_than_words_are_scaled_by_their_own():
    texts, y = words()
    model = net(scale_inputs="common").fit(texts, y)
    dense = texts.toarray()[:, DENSE]
    np.testing.assert_allclose(model.input_center_[DENSE], dense.mean(), rtol=1e-12)
    np.testing.assert_allclose(model.input_scale_[DENSE], dense.std(), rtol=1e-9)
    np.testing.assert_allclose(model.input_scale_[[LARGE, SMALL]], [1e5 / 10, 1e-5 * 10], rtol=1e-9)
    assert model.input_scale_[UNSEEN] == np.inf


@pytest.mark.parametrize("factor", [1e-200, 1e-310])
def test_a_feature_whose_squares_underflow_counts_as_0(factor):
    texts, y = words()
    tiny, empty = texts.toarray(), texts.toarray()
    tiny[:, [SMALL, 0]] *= factor
    empty[:, [SMALL, 0]] = 0
    of_tiny, of_empty = (net(scale_inputs="common").fit(sp.csr_array(rows), y) for rows in (tiny, empty))
    np.testing.assert_array_equal(of_tiny.input_scale_, of_empty.input_scale_)
    np.testing.assert_array_equal(of_tiny.predict_proba(texts), of_empty.predict_proba(texts))


def test_auto_gives_wide_sparse_x_a_common_scale():
    texts, y = words()
    automatic, same, other = (
        DeepNNClassifier(random_state=0, max_iter=2, scale_inputs=scaling).fit(texts, y)
        for scaling in ("auto", "common", "standard")
    )
    np.testing.assert_array_equal(automatic.coefs_[0], same.coefs_[0])
    assert not np.array_equal(automatic.coefs_[0], other.coefs_[0])
    assert automatic.coefs_[0].dtype == np.float32


@pytest.mark.filterwarnings("ignore:The network is no better than predicting the class frequencies")
@pytest.mark.parametrize("dims", ["auto", ()], ids=str)
def test_sparse_x_without_any_number_but_0_predicts_the_class_frequencies(dims):
    model = DeepNNClassifier(dims, max_iter=100, random_state=0).fit(sp.csr_array((90, 300)), Y)
    np.testing.assert_allclose(model.predict_proba(sp.csr_array((1, 300))), [[1 / 3] * 3], atol=0.02)


def test_texts_of_weight_0_do_not_decide_whether_x_is_sparse():
    texts, y = words()
    full = sp.vstack([texts, sp.csr_array(np.ones((60, N_WORDS)))], format="csr")
    weight = np.repeat([1.0, 0.0], [120, 60])
    model = DeepNNClassifier(random_state=0, max_iter=2).fit(full, np.tile([0, 1, 2], 60), weight)
    np.testing.assert_array_equal(model.coefs_[0], DeepNNClassifier(random_state=0, max_iter=2).fit(texts, y).coefs_[0])


def test_wide_sparse_x_may_be_in_any_unit():
    texts, y = words()
    one, other = (DeepNNClassifier(random_state=0, max_iter=8).fit(texts * unit, y) for unit in (1, 1000))
    np.testing.assert_allclose(other.predict_proba(texts * 1000), one.predict_proba(texts), atol=1e-3)


def test_zeros_of_sparse_x_may_be_stored():
    texts, y = words()
    stored = texts.copy()
    stored.data[::7] = 0
    lean = stored.copy()
    lean.eliminate_zeros()
    with_zeros, without = (DeepNNClassifier(random_state=0, max_iter=2).fit(rows, y) for rows in (stored, lean))
    np.testing.assert_allclose(with_zeros.input_scale_, without.input_scale_, rtol=1e-12)
    np.testing.assert_allclose(with_zeros.predict_proba(texts), without.predict_proba(texts), atol=1e-5)


def test_weight_2_equals_two_rows_for_the_common_scale():
    texts, y = words()
    weight = 1.0 + (np.arange(120) % 5 == 0)
    repeated = np.repeat(np.arange(120), weight.astype(int))
    by_weight = net(scale_inputs="common").fit(texts, y, weight)
    by_rows = net(scale_inputs="common").fit(texts[repeated], y[repeated])
    np.testing.assert_allclose(by_weight.input_scale_, by_rows.input_scale_, rtol=1e-9)
    np.testing.assert_allclose(by_weight.input_center_, by_rows.input_center_, rtol=1e-9)


def test_partial_fit_accumulates_the_common_scale():
    texts, y = words()
    model = net(scale_inputs="auto")
    for part in np.split(np.arange(120), [30, 70]):
        model = pickled(model).partial_fit(texts[part], y[part], classes=[0, 1, 2])
    at_once = net(scale_inputs="common").fit(texts, y)
    np.testing.assert_allclose(model.input_scale_, at_once.input_scale_, rtol=1e-9)
    np.testing.assert_allclose(model.input_center_, at_once.input_center_, rtol=1e-9)


@pytest.mark.parametrize("first", [*SCALINGS, None])
def test_auto_keeps_the_scaling_of_an_earlier_fit(first):
    texts, y = words()
    texts = texts[:, :DENSE]
    model = net(scale_inputs=first, warm_start=True).fit(texts, y).set_params(scale_inputs="auto")
    scale = None if first is None else model.input_scale_
    model.fit(texts, y)
    if first is None:
        assert not hasattr(model, "input_scale_")
    else:
        np.testing.assert_array_equal(model.input_scale_, scale)


def test_a_word_that_no_text_of_the_training_has_changes_nothing():
    texts, y = words()
    model = DeepNNClassifier(random_state=0, max_iter=5).fit(texts, y)
    new = texts.tolil()
    new[:, UNSEEN] = 1.0
    np.testing.assert_array_equal(model.predict_proba(new.tocsr()), model.predict_proba(texts))


def test_the_defaults_learn_texts_at_least_as_well_as_the_network_of_scikit_learn():
    (texts, y), (later, wanted) = words(150), words(600, seed=1)
    texts, later = texts[:, :DENSE], later[:, :DENSE]
    theirs = MLPClassifier(random_state=0, max_iter=100)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        theirs.fit(texts, y)
    assert DeepNNClassifier(random_state=0).fit(texts, y).score(later, wanted) >= theirs.score(later, wanted)


# Validation data on another scale.


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("container", [np.array, sp.csr_array])
def test_validation_data_on_another_scale_cause_a_warning(container, weighted):
    far = 50 * X_VAL + 7  # as if a pipeline had transformed X alone
    weights = {"sample_weight": 3 * np.ones(90), "sample_weight_val": 0.2 * np.ones(90)} if weighted else {}
    distance = np.median(np.sqrt(((far - X.mean(axis=0)) ** 2).mean(axis=0)) / X.std(axis=0))
    told = re.escape(
        f"X_val is on another scale than X: a typical feature of X_val is {distance:.2g} standard deviations"
    )
    with pytest.warns(UserWarning, match=told + r'.* where 1 is usual\. .*transform_input=\["X_val"\]') as caught:
        net().fit(container(X), Y, X_val=container(far), y_val=Y_VAL, **weights)
    assert [warning.filename for warning in caught if warning.category is UserWarning] == [__file__]


def test_validation_rows_of_weight_0_cause_no_warning():
    far, weight = np.vstack([X_VAL, 1e6 * X_VAL]), np.repeat([1.0, 0.0], 90)
    net().fit(X, Y, X_val=far, y_val=np.tile(Y_VAL, 2), sample_weight_val=weight)
    with pytest.warns(UserWarning, match="X_val is on another scale than X"):
        net().fit(X, Y, X_val=far, y_val=np.tile(Y_VAL, 2))


def test_the_scales_of_large_sets_are_compared_on_a_sample(monkeypatch):
    sizes, given = [], validation.on_another_scale
    monkeypatch.setattr(validation, "N_COMPARED", 20)

    def seen(*sets):
        sizes.extend(each.shape for each in sets)
        return given(*sets)

    monkeypatch.setattr(validation, "on_another_scale", seen)
    with pytest.warns(UserWarning, match="X_val is on another scale than X"):
        net().fit(X, Y, X_val=50 * X_VAL + 7, y_val=Y_VAL)
    assert sizes == [(X.shape[1], 20), (X.shape[1], 20)]
