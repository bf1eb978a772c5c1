"""`DeepNNRegressor` as users meet it."""

import pickle
from inspect import signature

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from reference import assert_same
from scipy.sparse import csr_array
from sklearn.datasets import load_diabetes
from sklearn.linear_model import GammaRegressor, LinearRegression, PoissonRegressor, QuantileRegressor
from sklearn.metrics import mean_pinball_loss, r2_score

from sklearn_deepnn import DeepNNClassifier, DeepNNRegressor, check_gradient
from sklearn_deepnn.callbacks import EarlyStopping, ModelCheckpoint
from sklearn_deepnn.network.losses import NUMBER_LOSSES
from sklearn_deepnn.plotting import NetworkDisplay, TrainingCurveDisplay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
MEAN = np.exp(0.5 + 0.4 * X[:, 0] - 0.3 * X[:, 1])
Y = RNG.gamma(5, MEAN / 5)
TWO = np.c_[Y, 100 - 10 * X[:, 2]]
X_VAL, Y_VAL = X[::3] + 0.1, Y[::3]
ONE = {
    "hidden_layer_dims": (6,), "activation": "tanh", "ensemble_size": 1, "numeric_encoding": None, "max_iter": 5,
    "early_stopping": False, "random_state": 0,
}  # fmt: skip


def one(**parameters):
    """Return a small regressor of one network."""
    return DeepNNRegressor(**{**ONE, **parameters})


def linear(**parameters):
    """Return a linear model that is trained until it has converged."""
    settings = {"hidden_layer_dims": (), "optimizer": "lbfgs", "weight_decay": 0.0, "max_iter": 500, "dtype": "float64"}
    return one(**{**settings, **parameters})


def fitted(model):
    """Return the attributes that fitting has set."""
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


# Against scikit-learn.


def test_the_parameters_are_those_of_the_classifier_but_for_classes_and_losses():
    ours, of_classifier = (set(signature(cls).parameters) for cls in (DeepNNRegressor, DeepNNClassifier))
    assert of_classifier - ours == {"class_weight", "label_smoothing"}
    assert ours - of_classifier == {"loss", "quantile"}


@pytest.mark.parametrize("weight", [None, RNG.integers(0, 4, 120)], ids=["unweighted", "weighted"])
@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        ("squared_error", LinearRegression()),
        ("poisson", PoissonRegressor(alpha=0, tol=1e-10)),
        ("gamma", GammaRegressor(alpha=0, tol=1e-10)),
    ],
)
def test_without_hidden_layers_it_is_the_linear_model_of_scikit_learn(loss, reference, weight):
    ours = linear(loss=loss).fit(X, Y, sample_weight=weight)
    wanted = reference.fit(X, Y, sample_weight=weight).predict(X)
    np.testing.assert_allclose(ours.predict(X), wanted, rtol=1e-3)
    assert ours.score(X, Y) == pytest.approx(r2_score(Y, wanted), abs=1e-3)


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.9])
def test_without_hidden_layers_it_loses_as_little_as_the_linear_quantiles_of_scikit_learn(quantile):
    settings = {"optimizer": "adam", "learning_rate": 0.02, "weight_averaging": 5.0, "max_iter": 300}
    ours = linear(loss="quantile", quantile=quantile, **settings).fit(X, Y)
    reference = QuantileRegressor(quantile=quantile, alpha=0).fit(X, Y)
    losses = [mean_pinball_loss(Y, model.predict(X), alpha=quantile) for model in (ours, reference)]
    assert losses[0] < 1.02 * losses[1]


def test_the_absolute_error_is_the_median():
    settings = {"max_iter": 30, "random_state": 0, "early_stopping": False}
    median = DeepNNRegressor((8,), loss="quantile", **settings).fit(X, Y).predict(X)
    absolute = DeepNNRegressor((8,), loss="absolute_error", **settings).fit(X, Y).predict(X)
    assert np.corrcoef(median, absolute)[0, 1] > 0.99


# Gradients.


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("weight", [None, RNG.integers(1, 4, 120)], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("y", [Y, TWO], ids=["one target", "two targets"])
@pytest.mark.parametrize("loss", NUMBER_LOSSES)
def test_gradients_are_right(loss, y, weight, ensemble_size):
    model = one(loss=loss, quantile=0.8, ensemble_size=ensemble_size)
    assert check_gradient(model, X, y, sample_weight=weight) < 1e-7


def test_gradients_of_encoded_inputs_are_right():
    model = DeepNNRegressor((6,), loss="poisson", dropout_rate=0.2, random_state=0)
    assert check_gradient(model, X, TWO, max_entries=20) < 1e-7


# Units.


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
@pytest.mark.parametrize(("factor", "shift"), [(1e6, 1e6), (1e-6, 0.0), (1e9, -3.0)])
def test_predictions_scale_and_shift_with_y(loss, factor, shift):
    plain, changed = (one(loss=loss).fit(X, y).predict(X) for y in (Y, factor * Y + shift))
    np.testing.assert_allclose((changed - shift) / factor, plain, atol=1e-3 * Y.std())


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_predictions_of_deviances_scale_with_y(loss, factor):
    plain, changed = (one(loss=loss).fit(X, y).predict(X) for y in (Y, factor * Y))
    np.testing.assert_allclose(changed / factor, plain, rtol=1e-6)


def test_the_units_of_x_do_not_matter():
    other = X * [1e6, 1e-6, 1] + [0, 0, 1e3]
    np.testing.assert_allclose(one().fit(other, Y).predict(other), one().fit(X, Y).predict(X), rtol=1e-6)


def test_a_constant_target_is_predicted_beside_others():
    model = DeepNNRegressor(max_iter=3, random_state=0).fit(X, np.c_[np.full(120, 5.0), Y])
    np.testing.assert_array_equal(model.predict(X)[:, 0], 5)
    np.testing.assert_array_equal(DeepNNRegressor(random_state=0).fit(X, np.full(120, 7.0)).predict(X), 7)


def test_each_of_several_targets_is_scaled_by_itself():
    model = DeepNNRegressor(random_state=0).fit(X, TWO * [1, 1e9])
    assert model.score(X, TWO * [1, 1e9]) > 0.7
    assert model.predict(X).shape == (120, 2)
    np.testing.assert_allclose(model.target_center_, TWO.mean(axis=0) * [1, 1e9])
    np.testing.assert_allclose(model.target_scale_, TWO.std(axis=0) * [1, 1e9])


@pytest.mark.parametrize("loss", NUMBER_LOSSES)
def test_weight_two_equals_a_repeated_row_and_weight_zero_a_row_left_out(loss):
    weight = RNG.integers(0, 3, 120)
    settings = {"loss": loss, "batch_size": None, "shuffle": False}
    weighted = one(**settings).fit(X, Y, sample_weight=weight).predict(X)
    repeated = one(**settings).fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight)).predict(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9)


# The ensemble.


@pytest.mark.parametrize("y", [Y, TWO], ids=["one target", "two targets"])
@pytest.mark.parametrize("loss", NUMBER_LOSSES)
def test_an_ensemble_predicts_the_mean_of_its_networks_and_tells_their_spread(loss, y):
    model = one(loss=loss, ensemble_size=4, max_iter=30).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    members = []
    for k in range(4):
        member = pickle.loads(pickle.dumps(model))
        member.parameters_ = {name: array[k] for name, array in model.parameters_.items()}
        member.network_["ensemble_size"] = 1
        members.append(member.predict(X))
    np.testing.assert_allclose(mean, np.mean(members, axis=0), rtol=1e-9)
    np.testing.assert_allclose(std, np.std(members, axis=0), rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), mean)


def test_a_single_network_has_no_spread():
    with pytest.raises(ValueError, match=r"^return_std must be False for a single network, got True\."):
        one().fit(X, Y).predict(X, return_std=True)


# Training.


@pytest.mark.parametrize("scoring", ["loss", "r2", "neg_mean_absolute_error", "neg_mean_poisson_deviance"])
def test_epochs_are_compared_by_the_loss_or_by_scorers(scoring):
    model = DeepNNRegressor((6,), loss="poisson", scoring=scoring, early_stopping=True, max_iter=5, random_state=0)
    model.fit(X, Y)
    assert len(model.validation_scores_) == model.n_iter_
    assert (np.array(model.validation_scores_) == -np.array(model.validation_loss_curve_)).all() == (scoring == "loss")
    given = model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    if scoring == "r2":
        assert given.validation_scores_[given.best_iter_ - 1] == pytest.approx(given.score(X_VAL, Y_VAL))


def test_partial_fit_of_all_data_continues_as_fit_does():
    parts = one(batch_size=None, shuffle=False)
    for _ in range(5):
        parts.partial_fit(X, TWO)
    np.testing.assert_allclose(parts.predict(X), one(batch_size=None, shuffle=False).fit(X, TWO).predict(X), rtol=1e-12)


def test_a_first_chunk_of_one_constant_does_not_fix_the_scale():
    model = one().partial_fit(X[:5], np.full(5, 3.0)).partial_fit(X, Y)
    assert model.target_scale_ == pytest.approx(Y.std())


def test_warm_start_continues_in_the_scale_of_the_first_call():
    model = one(warm_start=True).fit(X, Y)
    scale = model.target_scale_
    model.fit(X, 2 * Y)
    assert model.n_iter_ == 10
    assert model.target_scale_ == scale


def test_a_checkpoint_is_resumed_as_if_training_had_never_stopped(tmp_path):
    def model(max_iter):
        return DeepNNRegressor((6,), loss="huber", early_stopping=True, max_iter=max_iter, random_state=0)

    model(3).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, TWO)
    resumed = model(8).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, TWO, resume_from=tmp_path)
    np.testing.assert_array_equal(resumed.predict(X), model(8).fit(X, TWO).predict(X))


def test_callbacks_watch_it():
    model = DeepNNRegressor(random_state=0).set_callbacks(EarlyStopping(patience=1)).fit(X, Y)
    assert "stopped by EarlyStopping" in str(model.summary())


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "nadam", "lbfgs"])
def test_every_optimizer_learns(optimizer):
    rate = 0.1 if optimizer == "sgd" else 0.01
    model = one(optimizer=optimizer, learning_rate=rate, max_iter=60, batch_size=16)
    assert model.fit(X, Y).score(X, Y) > 0.35


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("loss", "baseline"), [("squared_error", "the mean"), ("absolute_error", "the median")])
def test_noise_is_reported_as_no_better_than_a_constant(loss, baseline):
    noise = np.random.default_rng(1).normal(size=120)
    report = DeepNNRegressor(loss=loss, random_state=0).fit(X, noise).report_
    assert any(f"The network is no better than predicting {baseline}" in finding for finding in report)


def test_heavy_tails_are_no_divergence():
    y = np.exp(3 * RNG.standard_t(2, size=120).clip(-4, 4))
    for loss in NUMBER_LOSSES:
        DeepNNRegressor(loss=loss, random_state=0).fit(X, y)


def test_a_training_that_diverges_is_an_error():
    with pytest.raises(ValueError, match=r"diverged.*constant predictions cost|diverged.*no longer finite"):
        one(optimizer="sgd", learning_rate=1e4).fit(X, Y)


# Bad input.


BAD = {
    "quantile": ({"quantile": 1.5}, {}, r"^quantile must be a number in \(0, 1\), got 1\.5\."),
    "loss": ({"loss": "mse"}, {}, r"^loss must be one of .*got 'mse'\. Did you mean 'squared_error'\?"),
    "scorer": ({"scoring": "mae"}, {}, r"^scoring must be one of .*'r2'.*Did you mean 'neg_mean_absolute_error'\?"),
    "nan": ({}, {"y": np.where(np.arange(120) == 3, np.nan, Y)}, r"^y must have no missing values .*position 3"),
    "infinite": ({}, {"y": np.where(np.arange(120) == 3, np.inf, Y)}, r"^y must have finite numbers, got inf at"),
    "text": ({}, {"y": ["a"] * 120}, r"^y must have numbers, got 'a' at position 0\."),
    "negative": ({"loss": "poisson"}, {"y": Y - 10}, r"^y must have no negative numbers for loss='poisson', got -"),
    "zero": ({"loss": "gamma"}, {"y": np.zeros(120)}, r"^y must have positive numbers for loss='gamma', got 0\.0 at"),
    "length": ({}, {"y": Y[:7]}, r"inconsistent numbers of samples: \[120, 7\]"),
    "width": ({"warm_start": True}, {"y": TWO}, r"^y must have 1 target per sample, as at the beginning of training"),
    "X_val alone": ({}, {"X_val": X}, r"^X_val and y_val must be given together, got y_val=None\."),
    "y_val of another width": ({}, {"X_val": X, "y_val": TWO}, r"^y_val must have 1 target per sample, like y"),
    "nothing": ({}, {"y": None}, "requires y to be passed, but the target y is None"),
}


@pytest.mark.parametrize(("parameters", "data", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_error_and_an_earlier_fit_stays(parameters, data, message):
    model = one().fit(X, Y)
    before, predictions = fitted(model), model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).fit(**{"X": X, "y": Y, **data})
    assert_same(fitted(model), before)
    np.testing.assert_array_equal(model.predict(X), predictions)


# Inspection.


@pytest.mark.parametrize("settings", [{}, {"numeric_encoding": "piecewise_linear"}, {"ensemble_size": 3}])
@pytest.mark.parametrize("loss", ["squared_error", "gamma"])
def test_input_gradients_equal_central_differences(loss, settings):
    model = one(loss=loss, dtype="float64", **settings).fit(X, TWO)
    h = 1e-6
    for output in range(2):
        numeric = np.stack(
            [(model.predict(X + h * e)[:, output] - model.predict(X - h * e)[:, output]) / (2 * h) for e in np.eye(3)],
            1,
        )
        found = model.input_gradients(X, output)
        off = np.abs(found - numeric) / np.abs(numeric).max()
        assert np.mean(off < 1e-6) > 0.95  # numbers near the edge of a bin have two slopes


@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_integrated_gradients_sum_to_the_difference_of_predictions(ensemble_size):
    model = one(loss="poisson", ensemble_size=ensemble_size, dtype="float64").fit(X, TWO)
    difference = model.predict(X) - model.predict([model.input_center_])
    for output in range(2):
        np.testing.assert_allclose(model.integrated_gradients(X, output).sum(axis=1), difference[:, output], rtol=1e-6)


def test_an_output_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"^output must be an integer from 0 to 1, got 2\.$"):
        one().fit(X, TWO).input_gradients(X, 2)


def test_importances_find_the_features_that_matter():
    importances = DeepNNRegressor(random_state=0).fit(X, 3 * X[:, 1]).feature_importances_
    assert importances.sum() == pytest.approx(1)
    assert importances.argmax() == 1


def test_the_summary_and_the_plots_show_the_network():
    mpl.use("Agg")
    model = DeepNNRegressor(loss="poisson", random_state=0, max_iter=3).fit(X, Y)
    assert "output                        1  exp" in str(model.summary())
    assert TrainingCurveDisplay.from_estimator(model).ax_ is not None
    assert NetworkDisplay.from_estimator(model, X) is not None


# Data of all kinds, and files.


def test_tables_with_text_categories_and_gaps_are_learned():
    frame = pd.DataFrame({"number": X[:, 0], "text": np.where(X[:, 1] > 0, "high", "low")})
    frame.loc[::7, "number"] = np.nan
    model = DeepNNRegressor(random_state=0).fit(frame, Y)
    assert model.score(frame, Y) > 0.4
    assert model.predict(frame.iloc[:1]).shape == (1,)


def test_sparse_and_single_precision_inputs_are_taken_and_predictions_are_double():
    dense = one().fit(X, Y).predict(X)
    np.testing.assert_allclose(one(scale_inputs=None).fit(csr_array(X), Y).predict(X).shape, (120,))
    single = one().fit(X.astype(np.float32), Y).predict(X.astype(np.float32))
    assert single.dtype == dense.dtype == np.float64
    np.testing.assert_allclose(single, dense, rtol=1e-3)


@pytest.mark.parametrize("y", [Y, TWO], ids=["one target", "two targets"])
def test_saved_regressors_predict_the_same(tmp_path, y):
    model = DeepNNRegressor(loss="quantile", quantile=0.9, max_iter=3, random_state=0).fit(X, y)
    joblib.dump(model, tmp_path / "model")
    for loaded in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")):
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        loaded.partial_fit(X, y)
        assert loaded.network_["quantile"] == 0.9


def test_skops_needs_to_trust_the_class_alone(tmp_path):
    skops = pytest.importorskip("skops.io")
    model = DeepNNRegressor(max_iter=3, random_state=0).fit(X, Y)
    skops.dump(model, tmp_path / "model.skops")
    trusted = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert trusted == ["sklearn_deepnn.estimators.regressor.DeepNNRegressor"]
    np.testing.assert_array_equal(skops.load(tmp_path / "model.skops", trusted=trusted).predict(X), model.predict(X))


def test_quantiles_cover_held_out_rows():
    rows = np.random.default_rng(0).permutation(442)
    X_all, y_all = load_diabetes(return_X_y=True)
    low, high = (
        DeepNNRegressor(loss="quantile", quantile=q, random_state=0).fit(X_all[rows[:300]], y_all[rows[:300]])
        for q in (0.1, 0.9)
    )
    held_out = X_all[rows[300:]]
    inside = (low.predict(held_out) <= y_all[rows[300:]]) & (y_all[rows[300:]] <= high.predict(held_out))
    assert 0.7 < inside.mean() < 0.9


# What reviews found.


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_a_checkpoint_of_targets_in_other_units_is_not_resumed(tmp_path, loss):
    y = np.rint(4 * Y)
    one(loss=loss).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, y)
    for other in (4 * y, y + 1000):
        fresh = one(loss=loss).fit(X, other)
        resumed = one(loss=loss).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, other, resume_from=tmp_path)
        assert_same(resumed.parameters_, fresh.parameters_)


def test_deviances_of_targets_that_vary_by_little_are_not_taken_for_converged():
    X = np.random.default_rng(1).normal(size=(600, 2))
    y = 100 * (1 + 0.003 * np.tanh(X[:, 0] + X[:, 1]))
    for loss in ("poisson", "gamma"):
        assert DeepNNRegressor(loss=loss, ensemble_size=1, random_state=0).fit(X, y).score(X, y) > 0.9


def test_a_scorer_for_classes_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^scoring must be a scorer that the validation data suit, got 'roc_auc': "):
        one(scoring="roc_auc", early_stopping=True).fit(X, Y)


def test_constant_targets_cause_no_warning():
    model = one(early_stopping="auto", max_iter=200).fit(X, np.full(120, 7.0))
    assert not model.report_


def test_a_plot_names_the_loss():
    display = TrainingCurveDisplay.from_estimator(one().fit(X, Y))
    assert display.ax_.get_ylabel() == "squared error"


# Quantiles are corrected by validation data.


@pytest.mark.parametrize("parameters", [{}, {"ensemble_size": 3}], ids=["one", "ensemble"])
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_the_predicted_quantile_has_its_fraction_of_the_validation_data_below(quantile, parameters):
    rng = np.random.default_rng(0)
    X_val, y_val = rng.normal(size=(200, 3)), rng.normal(size=200)
    model = one(loss="quantile", quantile=quantile, early_stopping=True, **parameters)
    model.fit(X, Y, X_val=X_val, y_val=y_val)
    assert model.target_offset_ != 0
    assert np.mean(y_val <= model.predict(X_val) + 1e-9) == pytest.approx(quantile, abs=0.006)


def test_validation_weights_count_like_repeated_samples_in_the_correction():
    weight = np.resize([1, 2, 3], len(X))
    model = one(loss="quantile", quantile=0.3, early_stopping=True)
    weighted = model.fit(X, Y, X_val=X, y_val=Y, sample_weight_val=weight).target_offset_
    repeated = model.fit(X, Y, X_val=np.repeat(X, weight, axis=0), y_val=np.repeat(Y, weight)).target_offset_
    assert weighted == pytest.approx(repeated, rel=1e-6)


@pytest.mark.parametrize(
    "parameters",
    [{"loss": "absolute_error"}, {"early_stopping": False}, {"quantile": 0.01}],
    ids=["another loss", "recorded only", "too few beyond"],
)
def test_other_predictions_are_not_corrected(parameters):
    model = one(**{"loss": "quantile", "quantile": 0.5, "early_stopping": True, **parameters})
    assert model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL).target_offset_ == 0


def test_each_of_several_targets_is_corrected_by_itself():
    model = one(loss="quantile", quantile=0.8, early_stopping=True).fit(X, TWO, X_val=X, y_val=TWO)
    below = np.mean(model.predict(X) + 1e-9 >= TWO, axis=0)
    np.testing.assert_allclose(below, 0.8, atol=0.01)
