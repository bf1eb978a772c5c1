"""What tables are encoded by, and networks of frames: gaps, bins, categories and trained vectors together."""

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from checkpoint_cases import Interrupt, assert_same_fit, interrupted
from estimator_cases import pickled, with_entry
from one_network import one_network
from reference import assert_same, relative_error
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_deepnn import DeepNNClassifier, check_gradient
from sklearn_deepnn.callbacks import ModelCheckpoint
from sklearn_deepnn.estimators.categories import Categories
from sklearn_deepnn.estimators.encoding import (
    LEAST_BIN_DEVIATION,
    LEAST_DEVIATION,
    NumericEncoding,
    find_gaps,
    learn_encoding,
    quantiles_of,
    several_valued,
    widened,
)
from sklearn_deepnn.network import prediction as network_prediction
from sklearn_deepnn.network.encoding import Encoding, Numbers
from sklearn_deepnn.network.prediction import take_columns
from sklearn_deepnn.training.examples import Examples

# What is learned from a table.


def examples_of(X, weight=None, columns=None):
    """Return a table (n_samples, n_features) as examples."""
    X = np.asarray(X, dtype=float).T
    return Examples(X, np.zeros((1, X.shape[1])), weight, columns)


def encoding_of(X, weight=None, n_codes=(), n_bins=4, **numeric):
    """Return the encoding of a table; columns of categories come last, and have the codes 0, 1, ..."""
    n_numbers = np.shape(X)[1] - len(n_codes)
    categories = [None] * n_numbers + [Categories(list(range(n))) for n in n_codes]
    return learn_encoding(NumericEncoding(n_bins, **numeric), examples_of(X, weight), categories)


def rows_of(encoding, X):
    """Return A0 (n_rows, n_samples) of a table (n_samples, n_features)."""
    return encoding.apply(np.asarray(X, dtype=float).T, np.float64)


def test_only_numbers_with_more_than_two_values_are_several_valued():
    X = np.array([[0.0, 1.0, 2.0, 3.0], [0, 1, 0, 1], [1, 2, 3, 3], [5, 6, 7, 8], [np.nan, 1, np.nan, 2]])
    categories = [None, None, Categories(["a", "b", "c"]), None, None]
    found = several_valued(Examples(X, np.zeros((1, 4))), categories)
    np.testing.assert_array_equal(found, X[[0, 3]])


def draw(n_samples=60, seed=0):
    """Return a table of two skewed numbers, the first with gaps, and codes of two columns of categories."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.gamma(2, size=(n_samples, 2)), rng.integers(3, size=n_samples), np.arange(n_samples) % 40])
    X[rng.random(n_samples) < 0.2, 0] = np.nan
    return X


def test_numbers_alone_need_no_encoding():
    X = draw()[:, 1:2]
    assert encoding_of(X, n_bins=0) is None
    assert encoding_of(X, n_bins=4) is not None


def test_bins_end_at_quantiles_in_units_of_the_interquartile_range():
    center, scale, edges = quantiles_of(np.arange(1.0, 102.0), None, 4)
    assert (center, scale) == (51, 50)
    np.testing.assert_allclose(edges * scale + center, [1, 26, 51, 76, 101])


def test_few_different_values_are_the_edges():
    center, scale, edges = quantiles_of(np.repeat([0.0, 1.0, 5.0], [10, 2, 1]), None, 4)
    assert (center, scale) == (0, 2.5)  # half the range, where the quartiles are equal
    np.testing.assert_allclose(edges * scale, [0, 1, 5])


@pytest.mark.parametrize(
    ("values", "center", "scale"),
    [([1.0, 1.0], 1, np.inf), ([0.0, 4.0], 0, 4), ([np.nan, 7.0], 7, np.inf), ([np.nan, np.nan], 0, np.inf)],
)
def test_fewer_than_three_values_have_no_bins(values, center, scale):
    assert quantiles_of(np.array(values), None, 4)[:2] == (center, scale)
    assert not quantiles_of(np.array(values), None, 4)[2].size


def test_features_that_have_gaps_are_found(monkeypatch):
    monkeypatch.setattr("sklearn_deepnn.estimators.encoding.CHUNK_ELEMENTS", 8)
    X = np.ones((30, 3))
    X[29, 1], X[:, 2] = np.nan, 1e308  # whose sum is infinite
    assert find_gaps(examples_of(X)).tolist() == [False, True, False]
    assert find_gaps(examples_of(X, columns=np.arange(29))).tolist() == [False] * 3


@pytest.mark.parametrize("scale_inputs", ["standard", "robust", None])
def test_the_rows_of_bins_gaps_and_categories_have_the_mean_zero(scale_inputs):
    X = draw()
    encoding = encoding_of(X, n_codes=(3, 40), scale_inputs=scale_inputs, bin_deviation=0.4)
    assert list(encoding.parts) == ["numbers", "bins", "gaps", "one_hot", "codes"]
    A0 = rows_of(encoding, X)
    np.testing.assert_allclose(A0[2:-1].mean(axis=1), 0, atol=1e-12)
    deviation = A0[2:-1].std(axis=1)
    np.testing.assert_allclose(deviation[:8], 0.4)
    np.testing.assert_allclose(deviation[8:], encoding.parts["numbers"].gain if scale_inputs else deviation[8])


def test_standard_scaling_makes_numbers_alike():
    X = draw()
    encoding = encoding_of(X, n_codes=(3, 40))
    rows = rows_of(encoding, X)[:2]
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(rows.std(axis=1), encoding.parts["numbers"].gain)


def test_robust_scaling_is_by_median_and_quartiles():
    X = draw()
    encoding = encoding_of(X, n_codes=(3, 40), scale_inputs="robust")
    low, center, high = np.nanquantile(X[:, :2], (0.25, 0.5, 0.75), axis=0, method="inverted_cdf")
    wanted = np.where(np.isnan(X[:, :2]), 0, (X[:, :2] - center) / (high - low))
    np.testing.assert_allclose(rows_of(encoding, X)[:2].T, encoding.parts["numbers"].gain * wanted, rtol=1e-12)


def test_unscaled_numbers_are_those_of_x_with_the_median_in_gaps():
    X = draw()
    wanted = np.where(np.isnan(X), np.nanquantile(X, 0.5, axis=0, method="inverted_cdf"), X)[:, :2]
    np.testing.assert_allclose(rows_of(encoding_of(X, n_codes=(3, 40), scale_inputs=None), X)[:2].T, wanted)


def test_a_rare_gap_or_category_has_no_very_large_row():
    X = np.zeros((10_000, 2))
    X[0, 0], X[1, 1] = np.nan, 1
    encoding = encoding_of(X, n_codes=(2,))
    largest = np.abs(rows_of(encoding, X)).max(axis=1)
    np.testing.assert_allclose(largest[1:], encoding.parts["numbers"].gain / LEAST_DEVIATION, rtol=0.01)


def test_a_bin_that_few_samples_reach_has_no_very_large_row():
    X = np.zeros((10_000, 1))
    X[:4000], X[0] = 1, 2
    encoding = encoding_of(X, bin_deviation=2.0)
    assert np.abs(rows_of(encoding, X)[2]).max() == pytest.approx(2.0 / LEAST_BIN_DEVIATION, rel=0.01)


@pytest.mark.parametrize("n_bins", [0, 4, 16])
def test_a_sample_of_weight_two_counts_as_two_and_one_of_weight_zero_as_none(n_bins):
    X, weight = draw(), np.arange(60) % 3
    one = learn_encoding(
        NumericEncoding(n_bins),
        examples_of(X, weight.astype(float), np.flatnonzero(weight)),
        [None, None, Categories([0, 1, 2]), Categories(list(range(40)))],
    )
    other = encoding_of(np.repeat(X, weight, axis=0), n_codes=(3, 40), n_bins=n_bins)
    np.testing.assert_allclose(rows_of(one, X), rows_of(other, X), rtol=1e-10, atol=1e-12)


def test_what_training_does_not_look_at_does_not_matter():
    X = draw()
    changed = X.copy()
    changed[50:, :2], changed[50:, 2] = np.nan, -1
    categories = [None, None, Categories([0, 1, 2]), Categories(list(range(40)))]
    first = np.arange(50)
    one, other = (
        learn_encoding(NumericEncoding(4), examples_of(each, None, first), categories) for each in (X, changed)
    )
    assert_same(one.to_dict(), other.to_dict())


@pytest.mark.parametrize("constant", [3.0, np.nan])
def test_a_column_that_does_not_vary_has_a_row_of_zeros(constant):
    X = draw()
    X[:, 1] = constant
    rows = rows_of(encoding_of(X, n_codes=(3, 40)), X)
    assert not rows[1].any()
    assert np.isfinite(rows).all()


def test_quantiles_are_those_of_a_sample_of_very_many_samples(monkeypatch):
    monkeypatch.setattr("sklearn_deepnn.estimators.encoding.MOST_SAMPLED", 50)
    X = np.arange(5000.0)[:, np.newaxis]
    bins = encoding_of(X).parts["bins"]
    np.testing.assert_allclose(bins.low.ravel(), [-1, -0.5, 0, 0.5], atol=0.05)


# Networks of frames.

N = 240
RNG = np.random.default_rng(0)
SIZE, AGE = RNG.normal(size=N), RNG.gamma(2, 10, size=N)
COLOUR, CITY = RNG.choice(["red", "green", "blue"], N), np.array([f"city {i:02}" for i in range(40)])[np.arange(N) % 40]
Y = np.array(["no", "yes"])[((SIZE > 0) ^ (COLOUR == "red") ^ (CITY > "city 19")) * 1]
FRAME = pd.DataFrame({
    "size": np.where(np.arange(N) % 7 == 0, np.nan, SIZE),
    "age": AGE,
    "colour": pd.Series(np.where(np.arange(N) % 11 == 0, None, COLOUR), dtype=object),
    "city": pd.Categorical(CITY),
    "flag": pd.array(np.where(np.arange(N) % 13 == 0, None, SIZE + AGE / 20 > 1), dtype="boolean"),
})  # fmt: skip
NEW = FRAME.iloc[:30].assign(size=np.linspace(-9, 9, 30), city=["city 00", "new", None] * 10)
KINDS = {
    "bins": {},
    "no bins": {"numeric_encoding": None},
    "ensemble": {"ensemble_size": 3},
    "batch norm": {"batch_norm": True},
    "robust": {"scale_inputs": "robust"},
    "unscaled": {"scale_inputs": None},
    "clipped": {"scale_inputs": "auto"},
    "no hidden layers": {"hidden_layer_dims": ()},
}


def net(**parameters):
    """Return a small classifier that encodes numbers by bins."""
    defaults = {"hidden_layer_dims": (6,), "activation": "tanh", "numeric_encoding": "piecewise_linear", "max_iter": 6}
    return one_network(**{**defaults, "learning_rate": 0.02, "batch_size": 32, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def models():
    """Fitted networks of all kinds, by their names."""
    return {name: net(dtype="float64", **parameters).fit(FRAME, Y) for name, parameters in KINDS.items()}


@pytest.fixture(params=KINDS)
def model(models, request):
    return models[request.param]


def test_a_frame_is_learned():
    fitted = net(max_iter=80).fit(FRAME, Y)
    assert fitted.score(FRAME, Y) > 0.97
    assert list(fitted.encoding_["parts"]) == ["numbers", "bins", "gaps", "one_hot", "codes"]


def test_predictions_do_not_depend_on_the_order_of_rows(model):
    proba = model.predict_proba(FRAME)
    np.testing.assert_allclose(model.predict_proba(FRAME.iloc[::-1])[::-1], proba, rtol=1e-10)
    for i in (0, 5, 7):
        np.testing.assert_allclose(model.predict_proba(FRAME.iloc[[i]]), proba[[i]], rtol=1e-10)


@pytest.mark.parametrize("of", ["predict_proba", "decision_function", "hidden_activations", "input_gradients"])
def test_results_do_not_depend_on_the_size_of_chunks(models, of, monkeypatch):
    found = {name: getattr(models[name], of)(FRAME) for name in ("bins", "ensemble")}
    monkeypatch.setattr(network_prediction, "CHUNK_ELEMENTS", 100)
    for name, whole in found.items():
        np.testing.assert_allclose(getattr(models[name], of)(FRAME), whole, rtol=1e-10, atol=1e-14)


def test_the_order_of_the_training_rows_does_not_change_the_encoding(models):
    fitted = net(dtype="float64").fit(FRAME.iloc[::-1], Y[::-1])
    one, other = models["bins"].encoding_, fitted.encoding_
    for name, part in one["parts"].items():
        for field, values in part.items():
            np.testing.assert_allclose(other["parts"][name][field], values, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaps_of_an_array_are_learned_in_its_precision(dtype):
    X = FRAME[["size", "age"]].to_numpy(dtype)
    fitted = net(dtype="auto").fit(X, Y)
    assert fitted.predict_proba(X).dtype == dtype
    assert fitted.input_gradients(X).dtype == dtype
    expected = net().fit(X.astype(float), Y).predict_proba(X)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-3 if dtype == np.float32 else 1e-10)


def test_frames_of_single_precision_are_learned():
    X = FRAME.astype({"size": np.float32, "age": np.float32})
    np.testing.assert_allclose(net().fit(X, Y).predict_proba(X), net().fit(FRAME, Y).predict_proba(FRAME), rtol=1e-3)


def test_a_network_in_single_precision_predicts_about_the_same(models):
    fitted = net(dtype="float32").fit(FRAME, Y)
    np.testing.assert_allclose(fitted.predict_proba(FRAME), models["bins"].predict_proba(FRAME), atol=1e-3)


def test_values_outside_of_all_bins_are_predicted(model):
    assert np.isfinite(model.predict_proba(NEW.assign(age=[1e6, -1e6] * 15))).all()


def test_numbers_beyond_the_training_set_count_like_its_extremes(models):
    far = FRAME.assign(age=np.where(np.arange(N) % 2, 1e6, -1e6))
    ends = FRAME.assign(age=np.where(np.arange(N) % 2, AGE.max(), AGE.min()))
    np.testing.assert_allclose(models["bins"].predict_proba(far), models["bins"].predict_proba(ends), rtol=1e-4)
    without = models["no bins"]
    assert np.abs(without.predict_proba(far) - without.predict_proba(ends)).max() > 0.1


@pytest.mark.parametrize("weight", [None, np.arange(N) % 2])
def test_all_training_rows_are_within_the_bounds(weight, monkeypatch):
    monkeypatch.setattr("sklearn_deepnn.estimators.encoding.MOST_SAMPLED", 20)
    X = np.random.default_rng(0).normal(size=(N, 2)) ** 3
    examples = examples_of(X, None if weight is None else weight + 0.0)
    learned = learn_encoding(NumericEncoding(4), examples, [None, None])
    rows = slice(None) if weight is None else weight > 0
    for end, extreme in ((learned.low, X[rows].min(axis=0)), (learned.high, X[rows].max(axis=0))):
        np.testing.assert_allclose(end[:, 0] * learned.scale[:, 0] + learned.center[:, 0], extreme, rtol=1e-4)


def test_numbers_with_two_values_have_bounds_and_categories_and_gaps_have_none():
    X = np.column_stack([np.arange(N) % 2, np.arange(N), np.arange(N) % 3, np.full(N, np.nan)]).astype(float)
    categories = [None, None, Categories([0, 1, 2]), None]
    learned = learn_encoding(NumericEncoding(4), examples_of(X, None), categories)
    assert (
        np.isfinite(learned.low[:, 0]).tolist()
        == np.isfinite(learned.high[:, 0]).tolist()
        == [True, True, False, False]
    )


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bounds_widen_where_training_continues(method):
    X = FRAME[["size", "age"]].fillna(0.5).to_numpy()
    fitted = net(warm_start=True, max_iter=2).fit(X, Y)
    for wider in (X * [1, 2], sp.csr_array(X * [3, 1])):
        before = fitted.encoding_["high"]
        getattr(fitted, method)(wider, Y)
        widens = (fitted.encoding_["high"] > before)[:, 0].tolist()
        assert widens == [sp.issparse(wider), not sp.issparse(wider)]


def test_a_table_without_numbers_and_a_range_that_overflows_have_no_bounds():
    text = pd.DataFrame({"a": list("xyz") * 20})
    assert net(max_iter=40).fit(text, np.arange(60) % 3).score(text, np.arange(60) % 3) == 1
    parts = {"numbers": Numbers(np.array([0]), *[np.ones((1, 1))] * 3)}
    tiny = Encoding(np.zeros((1, 1)), np.full((1, 1), 1e-140), parts, low=np.inf, high=-np.inf)
    found = widened(tiny, examples_of(np.array([[-1e200], [0.0], [1e200]]), None))
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_an_outlier_at_one_end_does_not_move_the_other_bound():
    X = np.r_[np.linspace(0.1, 1, 59), 1e9][:, np.newaxis]
    learned = learn_encoding(NumericEncoding(4), examples_of(X, None), [None])
    assert abs(learned.low * learned.scale + learned.center - 0.1) < 1e-5


def test_gaps_alone_leave_the_bounds_where_training_continues():
    X = FRAME[["size", "age"]].to_numpy()
    fitted = net(max_iter=2).fit(X, Y)
    before = fitted.encoding_["high"]
    fitted.partial_fit(np.where([True, False], np.nan, X), Y)
    np.testing.assert_array_equal(fitted.encoding_["high"], before)
    assert np.isfinite(before).all()


def test_bins_narrower_than_single_precision_can_tell_are_joined():
    X = np.r_[np.zeros(100), np.full(50, 1e-47), np.random.default_rng(0).uniform(0.5, 2, 150)][:, np.newaxis]
    fitted = net(dtype="float32", max_iter=2).fit(X, X[:, 0] > 1)
    assert np.isfinite(fitted.predict_proba(X)).all()
    assert fitted.encoding_["parts"]["bins"]["width"].min() > 1e-38


def test_later_parts_of_the_data_may_have_a_wider_range():
    X, y = FRAME[["size", "age"]].fillna(0.5), np.median(AGE) < AGE
    fitted = net(max_iter=100).partial_fit(X, y, classes=[False, True])
    proba = [fitted.predict_proba(X.assign(age=AGE.max() * factor)) for factor in (1, 1.5)]
    assert np.abs(proba[0] - proba[1]).max() > 1e-4


# What is seen inside.


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_cost_are_right(models, kind):
    assert check_gradient(models[kind], FRAME, Y, max_entries=30) < 1e-7
    fresh = net(**KINDS[kind])
    assert check_gradient(fresh, FRAME, Y, max_entries=30) < 1e-7


def test_input_gradients_are_those_of_numbers(model):
    # the edges of bins are values of the training set, where the slopes on both sides differ
    rows = FRAME.iloc[1:40].assign(size=FRAME["size"] + 1e-3, age=FRAME["age"] + 1e-2)
    found = model.input_gradients(rows, "yes")
    assert found.shape == (39, 5)
    assert not found[:, 2:4].any()  # categories
    for j, name in enumerate(["size", "age"]):
        above, below = (model.predict_proba(rows.assign(**{name: rows[name] + h}))[:, 1] for h in (1e-5, -1e-5))
        wanted = (above - below) / 2e-5
        assert np.abs(wanted).max() > 1e-4
        assert relative_error(found[:, j], wanted) < 1e-7
        assert not found[rows[name].isna(), j].any()


def test_contributions_sum_to_the_difference_to_the_mean(model):
    rows = FRAME.iloc[:20]
    contributions = model.integrated_gradients(rows, "yes")
    assert contributions.shape == (20, 5)
    at_baseline = model.predict_proba(rows)[:, 1] - contributions.sum(axis=1)
    np.testing.assert_allclose(at_baseline, at_baseline[0], atol=1e-6)


@pytest.mark.parametrize("baseline", [FRAME.iloc[[3]], FRAME.iloc[[7]]])
def test_contributions_sum_to_the_difference_to_a_given_row(model, baseline):
    rows = FRAME.iloc[:20]
    found = model.integrated_gradients(rows, "yes", baseline=baseline, n_steps=64)
    wanted = model.predict_proba(rows)[:, 1] - model.predict_proba(baseline)[:, 1]
    np.testing.assert_allclose(found.sum(axis=1), wanted, atol=1e-5)


@pytest.mark.parametrize("row", [3, 7])
def test_a_baseline_may_be_a_list_of_values(models, row):
    of_frame, of_list = (
        models["bins"].integrated_gradients(FRAME.iloc[:5], "yes", baseline=baseline)
        for baseline in (FRAME.iloc[[row]], FRAME.iloc[row].tolist())
    )
    np.testing.assert_array_equal(of_frame, of_list)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ([1.0, 2.0], "^baseline must be one value per feature: X has 2 features, but .* expecting 5"),
        (0.0, "^baseline must be one value per feature: Expected 2D array"),
        (FRAME.iloc[:2], r"^baseline must have one row, got 2\.$"),
        (["a", 1.0, "red", "city 00", True], "^baseline must have numbers .* in column 0, which had numbers in fit"),
    ],
    ids=["short", "scalar", "two rows", "text"],
)
def test_errors_about_a_baseline_name_it(models, baseline, message):
    with pytest.raises(ValueError, match=message):
        models["bins"].integrated_gradients(FRAME, baseline=baseline)


def test_each_column_has_one_importance(model):
    importances = model.feature_importances_
    assert importances.shape == (5,)
    assert importances.sum() == pytest.approx(1)
    assert (importances > 0).all()


def test_the_columns_that_tell_are_the_important_ones():
    X = FRAME.assign(noise=np.random.default_rng(1).choice(["a", "b", "c"], N))
    importances = net(max_iter=40).fit(X, COLOUR == "red").feature_importances_
    assert importances.argmax() == 2
    assert importances[2] > 0.5


def test_the_summary_counts_the_parameters_of_the_vectors(model):
    summary = model.summary()
    assert [row.name for row in summary.rows[:2]] == ["input", "embedding"]
    assert summary.rows[1].units == model.network_["layer_dims"][0]
    assert summary.n_parameters == sum(array.size for array in model.parameters_.values())
    assert summary.n_bytes == sum(array.nbytes for array in model.parameters_.values())


def test_hidden_activations_have_a_row_for_each_sample(models):
    assert models["bins"].hidden_activations(FRAME).shape == (N, 6)
    assert models["ensemble"].hidden_activations(FRAME).shape == (3, N, 6)


# Training that validates, is interrupted, or continues.


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", make_scorer(accuracy_score), "loss"])
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_scorers_read_the_held_out_rows_of_a_frame(scoring, ensemble_size):
    fitted = net(early_stopping=True, scoring=scoring, ensemble_size=ensemble_size, max_iter=4).fit(FRAME, Y)
    assert len(fitted.validation_loss_curve_ if scoring == "loss" else fitted.validation_scores_) == 4


def test_scores_of_validation_data_are_those_of_the_fitted_network():
    fitted = net(early_stopping=True, scoring="accuracy", max_iter=3, weight_averaging=0)
    fitted.fit(FRAME, Y, X_val=NEW, y_val=Y[:30])
    best = fitted.validation_scores_[fitted.best_iter_ - 1]
    assert best == pytest.approx(fitted.score(NEW, Y[:30]))


def test_training_continues_on_frames():
    warm = net(warm_start=True, max_iter=3, early_stopping=False, shuffle=False).fit(FRAME, Y)
    encoding, categories = warm.encoding_, warm.categories_
    warm.fit(FRAME.iloc[:100], Y[:100])
    assert_same(warm.encoding_, encoding)
    assert warm.categories_ == categories
    assert warm.n_iter_ == 6


def test_chunks_of_a_frame_have_the_encoding_of_the_first():
    first, later = FRAME.iloc[:120], FRAME.iloc[120:].assign(colour="new")
    fitted = net(scale_inputs="standard").partial_fit(first, Y[:120], classes=["no", "yes"])
    encoding, categories = fitted.encoding_, fitted.categories_
    fitted.partial_fit(later, Y[120:])
    assert_same(fitted.encoding_, encoding)
    assert fitted.categories_ == categories
    unknown, other = FRAME.assign(colour="new"), FRAME.assign(colour="another")
    np.testing.assert_array_equal(fitted.predict_proba(unknown), fitted.predict_proba(other))


def test_gaps_in_later_chunks_are_the_mean_if_the_first_had_none():
    X = FRAME[["size", "age"]].to_numpy()
    first = np.where(np.isnan(X), 0.5, X)
    one, other = (net(numeric_encoding=None).partial_fit(first, Y, classes=["no", "yes"]) for _ in range(2))
    other.partial_fit(np.where(np.isnan(X), other.input_center_, X), Y)
    assert_same(one.partial_fit(X, Y).parameters_, other.parameters_)


@pytest.mark.parametrize("scale_inputs", ["standard", "robust", None])
@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_gaps_of_validation_data_are_the_mean_if_training_data_had_none(scale_inputs, scoring):
    X, X_val = FRAME[["size", "age"]].fillna(0.5), FRAME[["size", "age"]]
    model = net(numeric_encoding=None, scale_inputs=scale_inputs, early_stopping=True, scoring=scoring)
    model.fit(X, Y, X_val=X_val, y_val=Y)
    filled = X_val.fillna(getattr(model, "input_center_", [0.0])[0])
    curves = [clone(model).fit(X, Y, X_val=each, y_val=Y).validation_loss_curve_ for each in (X_val, filled)]
    np.testing.assert_allclose(*curves, rtol=1e-12)


@pytest.mark.parametrize("parameters", [{}, {"ensemble_size": 2}, {"early_stopping": True, "scoring": "accuracy"}])
def test_an_interrupted_fit_of_a_frame_is_resumed_as_if_it_had_not_been(tmp_path, parameters):
    whole = net(**parameters).fit(FRAME, Y)
    cut = net(**parameters).set_callbacks(ModelCheckpoint(tmp_path), Interrupt("on_epoch_begin", 3))
    interrupted(cut, FRAME, Y)
    resumed = net(**parameters).fit(FRAME, Y, resume_from=tmp_path)
    assert_same_fit(resumed, whole, FRAME)


def test_a_checkpoint_of_other_categories_is_not_resumed(tmp_path):
    net().set_callbacks(ModelCheckpoint(tmp_path)).fit(FRAME, Y)
    renamed = FRAME.assign(colour=FRAME["colour"].replace("red", "rot"))
    path = max(tmp_path.iterdir())
    with pytest.raises(ValueError, match="other data"):
        net().fit(renamed, Y, resume_from=path)


# scikit-learn and saving.


@pytest.mark.parametrize("save", ["pickle", "joblib"])
def test_saved_networks_predict_frames_as_before(model, tmp_path, save):
    if save == "joblib":
        joblib.dump(model, tmp_path / "model.joblib")
    loaded = pickled(model) if save == "pickle" else joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(NEW), model.predict_proba(NEW))


def test_a_clone_is_fitted_alike(models):
    model = models["bins"].set_params(categorical_features="from_dtype")
    assert not hasattr(clone(model), "categories_")
    np.testing.assert_array_equal(clone(model).fit(FRAME, Y).predict_proba(NEW), model.predict_proba(NEW))


def test_a_refit_without_categories_forgets_them():
    model = net().fit(FRAME, Y)
    model.set_params(numeric_encoding=None).fit(FRAME[["age"]], Y)
    assert not hasattr(model, "categories_")
    assert not hasattr(model, "encoding_")


def test_pipelines_and_searches_take_frames():
    model = make_pipeline(FunctionTransformer(lambda X: X.drop(columns="age")), net(max_iter=60))
    assert model.fit(FRAME, Y).score(FRAME, Y) > 0.9
    assert cross_val_score(net(max_iter=60), FRAME, COLOUR == "red", cv=3).min() > 0.8
    search = GridSearchCV(net(max_iter=10), {"numeric_encoding": [None, "piecewise_linear"]}, cv=2, scoring="roc_auc")
    search.fit(FRAME, Y)
    assert search.best_estimator_.n_features_in_ == 5
    assert search.predict(NEW).shape == (30,)


@pytest.mark.parametrize("features", [["colour", "city"], [2, 3], [False, False, True, True, False]])
def test_columns_that_are_named_are_those_that_their_dtypes_tell(models, features):
    fitted = net(dtype="float64", categorical_features=features).fit(FRAME, Y)
    np.testing.assert_array_equal(fitted.predict_proba(NEW), models["bins"].predict_proba(NEW))


def test_encoded_inputs_are_what_the_network_takes(models):
    model = models["bins"]
    inputs = model._as_inputs(model._rows(FRAME))
    assert take_columns(inputs, slice(0, 3), np.float64).shape == (inputs.encoding.n_inputs - 8 + 1, 3)


# Data that are unlike those that the encoding was learned from.


def test_sparse_rows_are_predicted_and_explained_as_dense_ones():
    rows, labels = np.random.default_rng(0).normal(size=(80, 3)), np.arange(80) % 2
    model = DeepNNClassifier(random_state=0, max_iter=3).fit(rows, labels, X_val=sp.csr_array(rows), y_val=labels)
    for name in ("predict_proba", "input_gradients", "integrated_gradients", "hidden_activations"):
        explain = getattr(model, name)
        np.testing.assert_allclose(explain(sp.csr_array(rows)), explain(rows), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("first", [[0.0, np.nan], ["0", "a"]], ids=["a gap", "a category"])
@pytest.mark.filterwarnings("ignore:Column 'other' has")
def test_a_number_that_is_constant_in_the_first_chunk_is_learned_from_later_ones(first):
    rng = np.random.default_rng(0)
    numbers, labels = rng.normal(size=200), np.arange(200) % 2
    frame = pd.DataFrame({"x": numbers + 3 * labels, "other": "a" if isinstance(first[1], str) else 0.0})
    chunk = pd.DataFrame({"x": [0.0], "other": [first[1]]})
    model = DeepNNClassifier(random_state=0).partial_fit(chunk, [0], classes=[0, 1])
    for _ in range(30):
        model.partial_fit(frame, labels)
    assert model.score(frame, labels) > 0.9


def test_a_wild_number_in_a_later_chunk_does_not_end_the_training():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "c": ["a", "b"] * 100})
    labels = (frame["x"] > 0).to_numpy() * 1
    wild = frame.assign(x=np.where(np.arange(200) == 3, 1e9, frame["x"]))
    model = DeepNNClassifier(random_state=0).partial_fit(frame, labels, classes=[0, 1])
    for _ in range(30):
        model.partial_fit(wild, labels)
    assert model.score(frame, labels) > 0.9


def test_a_given_encoding_continues_where_no_number_has_bins():
    flags, labels = (np.random.default_rng(0).normal(size=(60, 2)) > 0) * 1.0, np.arange(60) % 2
    model = DeepNNClassifier(numeric_encoding="piecewise_linear", random_state=0)
    model.partial_fit(flags, labels, classes=[0, 1]).partial_fit(flags, labels)
    assert model.n_iter_ == 2


@pytest.mark.parametrize("dtype", ["string", "str"])
@pytest.mark.filterwarnings("ignore:Column 'c' has")
def test_a_text_column_without_any_text_in_training_is_one_of_categories(dtype):
    frame = pd.DataFrame({"x": np.arange(60.0), "c": pd.Series([None] * 60, dtype=dtype)})
    if frame["c"].dtype == object:
        pytest.skip("this version of pandas has no dtype for text of this name")
    model = DeepNNClassifier(random_state=0, max_iter=3).fit(frame, np.arange(60) % 2)
    np.testing.assert_array_equal(model.predict_proba(frame.assign(c="a")), model.predict_proba(frame))


def test_a_column_of_gaps_alone_is_ignored():
    X = np.column_stack([np.arange(80.0), np.full(80, np.nan)])
    model = DeepNNClassifier(random_state=0, max_iter=3).fit(X, np.arange(80) % 2)
    first, second = model.predict_proba([[5.0, np.nan], [5.0, 0.0]])
    np.testing.assert_array_equal(first, second)


def test_gaps_may_be_all_that_the_numbers_of_a_table_are():
    frame = pd.DataFrame({"number": np.full(80, np.nan), "text": ["a", "b"] * 40})
    y = np.arange(80) % 2
    assert DeepNNClassifier(random_state=0, max_iter=20).fit(frame, y).score(frame, y) == 1
    alone = DeepNNClassifier(random_state=0, max_iter=3).fit(frame[["number"]], y)
    np.testing.assert_allclose(alone.predict_proba(frame[["number"]]), 0.5, atol=0.2)


@pytest.mark.parametrize("parameters", [{}, {"numeric_encoding": None}], ids=str)
def test_an_outlier_of_a_number_that_is_mostly_zero_is_clipped(parameters):
    rng = np.random.default_rng(0)
    X = np.column_stack([(rng.random(1000) < 0.2) * rng.normal(3, 1, 1000), rng.normal(size=1000)])
    y = (X[:, 0] > 2.5).astype(int)
    X[5, 0] = 1e9
    assert DeepNNClassifier(random_state=0, **parameters).fit(X, y).score(X, y) > 0.98


@pytest.mark.parametrize("convert", [np.asarray, pd.DataFrame, lambda X: X.astype(object)])
def test_an_infinity_beside_a_gap_names_its_column(convert):
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[3, 1], X[4, 1] = np.inf, np.nan
    with pytest.raises(ValueError, match=r"infinite or too large numbers .* in column 1,"):
        DeepNNClassifier().fit(convert(X), np.arange(60) % 2)


def test_numbers_that_differ_by_less_than_they_can_resolve_have_no_bin_between_them():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=400), np.where(np.arange(400) < 150, 10.0 ** -rng.integers(18, 300, 400), 0)])
    X[250:, 1] = rng.random(150)
    encoding = encoding_of(X, n_bins=16)
    assert (encoding.parts["bins"].width > 0).all()
    assert np.isfinite(DeepNNClassifier(random_state=0, max_iter=3).fit(X, np.arange(400) % 2).loss_)


def test_vectors_of_categories_change_no_scale_of_numbers():
    X = np.column_stack([np.random.default_rng(0).normal(size=120), np.arange(120) % 40])
    encoding = encoding_of(X, n_codes=[40], n_bins=0, stresses_numbers=True)
    assert encoding.parts["numbers"].gain == 1


def test_pooled_features_keep_their_scale_where_one_has_a_gap():
    X = load_digits().data[:300]
    complete = DeepNNClassifier(random_state=0, max_iter=1).fit(X, np.arange(300) % 2)
    with_gap = DeepNNClassifier(random_state=0, max_iter=1).fit(with_entry(X, np.nan), np.arange(300) % 2)
    assert "bins" not in with_gap.encoding_["parts"]
    np.testing.assert_allclose(with_gap.input_scale_, complete.input_scale_, rtol=0.02)
