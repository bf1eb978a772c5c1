"""What of scikit-learn's toolbox `test_sklearn.py` leaves: each tool once, and that it gets what it needs."""

import ast
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from one_network import one_network
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, make_blobs
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import (
    FixedThresholdClassifier,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import get_tags

import sklearn_deepnn

RNG = np.random.default_rng(0)
X, Y = load_iris(return_X_y=True)
NOISE = RNG.normal(size=(200, 3))  # whose column 1 alone tells the class
SIGNAL = (NOISE[:, 1] > 0).astype(int)


def net(**parameters):
    defaults = {"hidden_layer_dims": (8,), "max_iter": 30, "learning_rate": 0.02, "batch_size": 32, "random_state": 0}
    return one_network(**{**defaults, **parameters})


# Layer dims as strings.


@pytest.mark.parametrize(("dims", "same"), [("8", (8,)), ("8-4", (8, 4)), ("8-4", [8, 4]), ("8-4", np.array([8, 4]))])
def test_dims_in_a_string_are_those_of_a_sequence(dims, same):
    model, other = (net(hidden_layer_dims=given, max_iter=2).fit(X, Y) for given in (dims, same))
    assert [coef.shape[1] for coef in model.coefs_[:-1]] == list(same)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize("dims", ["8-4", [8, 4], (8, 4)])
def test_dims_stay_as_they_were_given(dims):
    model = net(hidden_layer_dims=dims, max_iter=1).fit(X, Y)
    for each in (model, clone(model)):
        assert each.get_params()["hidden_layer_dims"] == dims
        assert type(each.hidden_layer_dims) is type(dims)


def test_dims_that_are_no_numbers_are_named_with_the_rule():
    rule = "'auto', an integer of at least 1, a sequence of such or a string of such like '128-64'"
    with pytest.raises(ValueError, match=f"^hidden_layer_dims must be {rule}, got '128-x'.$"):
        net(hidden_layer_dims="128-x").fit(X, Y)


def test_training_goes_on_where_dims_are_written_in_another_way():
    model = net(hidden_layer_dims="8-4", max_iter=2, warm_start=True).fit(X, Y)
    assert model.set_params(hidden_layer_dims=(8, 4)).fit(X, Y).n_iter_ == 4


# Searches and curves.


def test_randomized_search_draws_dims_from_strings_and_rates_from_a_distribution():
    space = {"hidden_layer_dims": ["4", "8", "8-4"], "learning_rate": loguniform(1e-3, 1e-1)}
    search = RandomizedSearchCV(net(), space, n_iter=4, cv=3, random_state=0).fit(X, Y)
    best = search.best_params_
    by_hand = net(
        hidden_layer_dims=tuple(map(int, best["hidden_layer_dims"].split("-"))), learning_rate=best["learning_rate"]
    )
    assert search.best_score_ == cross_val_score(by_hand, X, Y, cv=3).mean()
    assert len(set(search.cv_results_["param_learning_rate"])) == 4


def test_halving_search_gives_the_better_half_more_epochs():
    grid = {"learning_rate": [1e-4, 0.02], "hidden_layer_dims": ["8", "4"]}
    resource = {"resource": "max_iter", "min_resources": 10, "max_resources": 20, "factor": 2}
    search = HalvingGridSearchCV(net(), grid, cv=3, **resource, random_state=0).fit(X, Y)
    assert search.n_resources_ == [10, 20]
    assert search.n_candidates_ == [4, 2]
    assert search.best_params_["learning_rate"] == 0.02
    assert search.best_estimator_.n_iter_ == 20


def test_learning_curve_rises_with_samples():
    sizes, _, scores = learning_curve(net(), X, Y, train_sizes=[6, 100], cv=3, shuffle=True, random_state=0)
    assert sizes.tolist() == [6, 100]
    few, many = scores.mean(axis=1)
    assert few < many > 0.9


def test_validation_curve_tells_dims_apart_on_an_exclusive_or():
    y = (NOISE[:, 0] * NOISE[:, 1] > 0).astype(int)
    model = net(max_iter=100, batch_size=16)
    _, scores = validation_curve(model, NOISE, y, param_name="hidden_layer_dims", param_range=["1", "32"], cv=3)
    narrow, wide = scores.mean(axis=1)
    assert narrow < 0.75 < 0.85 < wide


def test_cross_val_predict_predicts_text_labels_from_a_frame_row_by_row():
    frame = load_iris(as_frame=True)
    y = frame.target_names[frame.target]
    folds = [(np.arange(150) % 3 != k, np.arange(150) % 3 == k) for k in range(3)]
    predicted = cross_val_predict(net(), frame.data, y, cv=[tuple(map(np.flatnonzero, fold)) for fold in folds])
    for train, test in folds:
        by_hand = net().fit(frame.data[train], y[train])
        np.testing.assert_array_equal(predicted[test], by_hand.predict(frame.data[test]))


# Thresholds and calibration.


@pytest.fixture(scope="module")
def rare():
    """Two classes that overlap, of which one is rare: X and y to fit, X and y to test."""
    rows, y = make_blobs([1800, 200], 2, centers=[[0, 0], [1.5, 1.5]], cluster_std=1, random_state=0)
    return rows[::2], y[::2], rows[1::2], y[1::2]


def test_a_tuned_threshold_finds_more_of_a_rare_class(rare):
    rows, y, rows_test, y_test = rare
    tuned = TunedThresholdClassifierCV(net(max_iter=15), scoring="balanced_accuracy", cv=3).fit(rows, y)
    probability = tuned.estimator_.predict_proba(rows_test)[:, 1]
    assert 0 < tuned.best_threshold_ < 0.4
    np.testing.assert_array_equal(tuned.predict(rows_test), probability >= tuned.best_threshold_)
    found, usual = (balanced_accuracy_score(y_test, probability > each) for each in (tuned.best_threshold_, 0.5))
    assert found > usual + 0.02


def test_a_fixed_threshold_takes_probabilities_or_logits(rare):
    rows, y, rows_test, _ = rare
    model = net(max_iter=5).fit(rows, y)
    by_probability, by_logit = (
        FixedThresholdClassifier(FrozenEstimator(model), threshold=threshold, response_method=method).fit(rows, y)
        for threshold, method in ((0.2, "predict_proba"), (np.log(0.25), "decision_function"))
    )
    predicted = by_probability.predict(rows_test)
    assert 0 < predicted.mean() < 1
    np.testing.assert_array_equal(by_logit.predict(rows_test), predicted)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_calibrating_a_frozen_network_leaves_it_and_lowers_its_cost(rare):
    rows, y, rows_test, y_test = rare
    few = np.r_[np.flatnonzero(y == 0)[:40], np.flatnonzero(y == 1)[:40]]  # learned by heart, in fractions of its own
    model = net(hidden_layer_dims=(64,), max_iter=200).fit(rows[few], y[few])
    before = model.predict_proba(rows_test)
    calibrated = CalibratedClassifierCV(FrozenEstimator(model)).fit(rows, y)
    np.testing.assert_array_equal(model.predict_proba(rows_test), before)
    assert log_loss(y_test, calibrated.predict_proba(rows_test)) < 0.7 * log_loss(y_test, before)


# Inspection.


def test_permutation_importance_finds_the_column_that_matters():
    model = net().fit(NOISE, SIGNAL)
    importance = permutation_importance(model, NOISE, SIGNAL, n_repeats=3, random_state=0).importances_mean
    assert importance[1] > 0.3
    assert max(importance[0], importance[2]) < 0.05


@pytest.mark.parametrize("as_frame", [False, True])
def test_partial_dependence_is_the_mean_prediction_at_each_value(as_frame):
    rows = pd.DataFrame(NOISE, columns=list("abc")) if as_frame else NOISE
    model = net().fit(rows, SIGNAL)
    found = partial_dependence(model, rows, ["b" if as_frame else 1], grid_resolution=5, kind="average")
    for value, average in zip(found["grid_values"][0], found["average"][0]):
        moved = NOISE.copy()
        moved[:, 1] = value
        moved = pd.DataFrame(moved, columns=rows.columns) if as_frame else moved
        assert average == pytest.approx(model.predict_proba(moved)[:, 1].mean(), rel=1e-9)
    assert found["average"][0][0] < 0.2 < 0.8 < found["average"][0][-1]


# Estimators around it.


def test_self_training_learns_from_rows_without_labels():
    y = np.where(np.arange(150) % 10 == 0, Y, -1)
    model = SelfTrainingClassifier(net(max_iter=60), threshold=0.8).fit(X, y)
    assert (model.transduction_ != -1).mean() > 0.8
    assert model.labeled_iter_.max() > 0
    assert model.score(X, Y) > 0.85


def test_a_chain_shows_each_network_the_labels_before():
    labels = np.column_stack([SIGNAL, NOISE[:, 0] > 0]).astype(int)
    model = ClassifierChain(net(), order=[0, 1]).fit(NOISE, labels)
    assert [each.n_features_in_ for each in model.estimators_] == [3, 4]
    assert (model.predict(NOISE) == labels).mean() > 0.9


def test_multi_output_fits_a_network_for_each_target():
    targets = np.column_stack([Y, Y == 1])
    model = MultiOutputClassifier(net()).fit(X, targets)
    for j in range(2):
        np.testing.assert_array_equal(model.predict(X)[:, j], net().fit(X, targets[:, j]).predict(X))


@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(), OrdinalEncoder(), TargetEncoder()], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("output", ["default", "pandas"])
def test_a_mixed_table_is_learned_behind_a_column_transformer(encoder, output):
    table = pd.DataFrame({"colour": np.resize(["red", "green", "blue"], 200), "size": NOISE[:, 1]})
    y = np.where(table["size"] > table["colour"].map({"red": -1.0, "green": 0.0, "blue": 1.0}), "large", "small")
    if isinstance(encoder, OneHotEncoder):
        encoder = encoder.set_params(sparse_output=False)
    encode = make_column_transformer((encoder, ["colour"]), (StandardScaler(), ["size"]))
    model = make_pipeline(encode, net(hidden_layer_dims="16", max_iter=80)).set_output(transform=output)
    assert model.fit(table, y).score(table, y) > 0.9
    assert hasattr(model[-1], "feature_names_in_") == (output == "pandas")


# Configuration and tags.


def test_networks_have_no_output_to_set():
    assert not hasattr(net(), "set_output")


@pytest.mark.parametrize(
    "configuration",
    [
        {"assume_finite": True},
        {"skip_parameter_validation": True},
        {"transform_output": "pandas"},
        {"enable_metadata_routing": True},
        {"working_memory": 1},
    ],
    ids=str,
)
def test_configuration_changes_no_prediction(configuration):
    expected = net(max_iter=3).fit(X, Y).predict_proba(X)
    with config_context(**configuration):
        np.testing.assert_array_equal(net(max_iter=3).fit(X, Y).predict_proba(X), expected)


def test_parameters_are_checked_even_where_scikit_learn_skips_its_own_checks():
    with config_context(skip_parameter_validation=True), pytest.raises(ValueError, match="max_iter must be"):
        net(max_iter=0).fit(X, Y)


def test_routing_takes_weights_through_cross_validation():
    weight = (Y != 2) * 1.0
    with config_context(enable_metadata_routing=True):
        model = net(max_iter=3).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        params = {"sample_weight": weight}
        found = cross_validate(model, X, Y, cv=3, params=params, return_estimator=True, return_indices=True)
    for fitted, test, score in zip(found["estimator"], found["indices"]["test"], found["test_score"]):
        assert fitted.classes_.tolist() == [0, 1]
        assert score == pytest.approx((fitted.predict(X[test]) == Y[test])[weight[test] > 0].mean())


def test_tags_say_what_it_can_do():
    tags = get_tags(net())
    assert is_classifier(net())
    assert tags.estimator_type == "classifier"
    assert tags.target_tags.required
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label
    assert tags.input_tags.sparse
    assert tags.input_tags.allow_nan
    assert not any([tags.input_tags.categorical, tags.input_tags.string])
    assert not any([tags.classifier_tags.poor_score, tags.non_deterministic, tags.no_validation])


# Silence.


@pytest.mark.parametrize("verbose", [0, 2])
def test_only_verbose_prints_and_nothing_logs_to_others(verbose, capfd, caplog):
    with caplog.at_level(logging.DEBUG):
        model = net(max_iter=2, early_stopping=True, verbose=verbose).fit(X, Y)
        model.predict(X), model.summary(), repr(model)
    printed = capfd.readouterr()
    assert bool(printed.out) == (verbose > 0)
    assert not printed.err
    assert {record.name.split(".")[0] for record in caplog.records} <= {"sklearn_deepnn"}


def test_warnings_are_of_categories_that_python_or_scikit_learn_define():
    categories = set()
    for path in Path(sklearn_deepnn.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "warn_user":
                categories.add(node.args[1].id)
            assert not (isinstance(node, ast.ClassDef) and node.name.endswith("Warning"))
    assert categories == {"ConvergenceWarning", "RuntimeWarning", "UserWarning"}
