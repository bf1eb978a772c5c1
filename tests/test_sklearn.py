"""The contract with scikit-learn: its checks, and its meta-estimators and configuration around ours."""

import inspect
import os
import subprocess
import sys
from contextlib import nullcontext
from importlib.util import find_spec

import numpy as np
import pandas as pd
import polars as pl
import pytest
from one_network import one_network
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_deepnn import DeepNNClassifier, DeepNNRegressor
from sklearn_deepnn.network.losses import NUMBER_LOSSES
from sklearn_deepnn.training.optimizers import OPTIMIZERS

# scikit-learn skips this one in a process without SCIPY_ARRAY_API, which has to be set before scipy is imported;
# `test_check_estimator_fails_and_skips_nothing_with_the_defaults` starts such a process
IN_ITS_OWN_PROCESS = {"check_array_api_input"}

WEIGHT_EQUALS_REPETITION = {
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
}
DROPOUT_LEFT_OUT = (
    WEIGHT_EQUALS_REPETITION  # two copies of a row lose different units, one row of weight 2 loses one set
)
EARLY_STOPPING_LEFT_OUT = {
    *WEIGHT_EQUALS_REPETITION,  # copies of one row may fall on both sides of the split, one row of weight 2 cannot
    "check_class_weight_classifiers",  # its 5 held-out rows cost 2e-5 at first, less than tol: no epoch can be better
}

VARIANTS = {
    "defaults": (DeepNNClassifier(), set()),
    "piecewise_linear": (one_network(numeric_encoding="piecewise_linear"), set()),
    **{name: (one_network(optimizer=name), set()) for name in OPTIMIZERS},
    "batch_norm": (one_network(batch_norm=True), set()),
    "dropout": (one_network(dropout_rate=0.3), DROPOUT_LEFT_OUT),
    "batch_norm-dropout": (one_network(batch_norm=True, dropout_rate=0.3), DROPOUT_LEFT_OUT),
    "early_stopping": (one_network(early_stopping=True), EARLY_STOPPING_LEFT_OUT),
}
POSITIVE = "poisson", "gamma"  # losses of targets that have one sign
REGRESSOR = DeepNNRegressor(ensemble_size=1, early_stopping=False)
REGRESSORS = {
    "defaults": DeepNNRegressor(),
    "ensemble": DeepNNRegressor(ensemble_size=3),
    **{name: clone(REGRESSOR).set_params(optimizer=name) for name in OPTIMIZERS},
    **{loss: clone(REGRESSOR).set_params(loss=loss) for loss in NUMBER_LOSSES},
}


def check_names(estimator):
    return [check.func.__name__ for _, check in estimator_checks_generator(estimator)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # inputs of the checks are not scaled
@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{variant}-{check.func.__name__}-{number}")
        for variant, (deepnn, left_out) in VARIANTS.items()
        for number, (estimator, check) in enumerate(estimator_checks_generator(deepnn))
        if check.func.__name__ not in left_out | IN_ITS_OWN_PROCESS
    ],
)
def test_scikit_learn_check_passes(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{variant}-{check.func.__name__}-{number}")
        for variant, deepnn in REGRESSORS.items()
        for number, (estimator, check) in enumerate(estimator_checks_generator(deepnn))
        if check.func.__name__ not in IN_ITS_OWN_PROCESS
    ],
)
def test_scikit_learn_check_of_a_regressor_passes(estimator, check):
    check(estimator)


def test_every_check_of_mlp_regressor_is_run_for_the_regressor():
    # gaps are learned; targets of "poisson" and "gamma" are positive, and scikit-learn checks several with any sign
    theirs = set(check_names(MLPRegressor())) - {"check_estimators_nan_inf"}
    for name, estimator in REGRESSORS.items():
        assert set(check_names(estimator)) >= theirs - ({"check_regressor_multioutput"} if name in POSITIVE else set())


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_left_out_is_among_the_checks(variant):
    estimator, left_out = VARIANTS[variant]
    assert left_out <= set(check_names(estimator))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_check_of_mlp_classifier_is_run(variant):
    ours, theirs = check_names(VARIANTS[variant][0]), check_names(MLPClassifier())
    assert len(ours) >= len(theirs)
    assert set(ours) >= set(theirs) - {"check_estimators_nan_inf"}  # gaps are learned


@pytest.mark.parametrize("variant", VARIANTS)
def test_gaps_are_learned_and_infinity_is_refused(variant):
    X, y = load_iris(return_X_y=True)
    with_gaps, with_infinity = X.copy(), X.copy()
    with_gaps[::7, 1], with_infinity[5, 1] = np.nan, np.inf
    model = clone(VARIANTS[variant][0]).set_params(max_iter=2, random_state=0)
    for fit in (model.fit, model.partial_fit):
        assert fit(with_gaps, y).predict_proba(with_gaps).shape == (150, 3)
        with pytest.raises(ValueError, match="infinity"):
            fit(with_infinity, y)
        with pytest.raises(ValueError, match="infinity"):
            model.predict(with_infinity)


def run_python(code, *arguments, **variables):
    """Run code in a process of its own, where every warning but of convergence is an error; return what it prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **variables}
    quiet = ["-W", "ignore:Training", "-W", "ignore:max_iter="]  # data far from unit variance, or few epochs
    command = [sys.executable, "-W", "error", *quiet, "-c", inspect.cleandoc(code), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "peer"), [("DeepNNClassifier", MLPClassifier()), ("DeepNNRegressor", MLPRegressor())])
def test_check_estimator_fails_and_skips_nothing_with_the_defaults(name, peer):
    statuses = run_python(
        """
        import sys
        import sklearn_deepnn
        from sklearn.utils.estimator_checks import check_estimator
        estimator = getattr(sklearn_deepnn, sys.argv[1])()
        print(*[result["status"] for result in check_estimator(estimator, on_skip=None)])
        """,
        name,
        SCIPY_ARRAY_API="1",
    ).split()
    assert set(statuses) == {"passed"}
    assert len(statuses) >= len(check_names(peer))


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, y


@pytest.fixture(scope="module")
def named_iris():
    frame = load_iris(as_frame=True)
    return frame.data, frame.target_names[frame.target]


def deepnn(**parameters):
    return DeepNNClassifier(
        **{"hidden_layer_dims": (8,), "max_iter": 30, "learning_rate": 0.02, "random_state": 0, **parameters}
    )


def scaled(**parameters):
    return make_pipeline(StandardScaler(), deepnn(batch_size=32, **parameters))


# Meta-estimators.


def test_a_pipeline_fits_predicts_and_scores(iris):
    X, y = iris
    model = scaled().fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.predict_proba(X).shape == (150, 3)
    assert model[-1].n_features_in_ == 4


def test_a_pipeline_passes_sample_weight_by_the_name_of_the_step(iris):
    X, y = iris
    weight = np.where(y == 2, 0.0, 1.0)
    model = scaled().fit(X, y, deepnnclassifier__sample_weight=weight)
    np.testing.assert_array_equal(model.classes_, [0, 1])


def test_a_pipeline_hands_sparse_columns_on(named_iris):
    X, y = named_iris
    X = X.assign(colour=np.resize(["red", "green", "blue"], len(X)))
    encode = make_column_transformer(
        (OneHotEncoder(), ["colour"]), (StandardScaler(), ["petal length (cm)"]), sparse_threshold=1.0
    )
    assert make_pipeline(encode, deepnn()).fit(X, y).score(X, y) > 0.8


@pytest.mark.filterwarnings("ignore:Training has changed nothing:sklearn.exceptions.ConvergenceWarning")  # with 1e-05
def test_grid_search_over_layer_dims_and_learning_rate_in_two_processes(iris):
    grid = {
        "deepnnclassifier__hidden_layer_dims": [(), (8,), (8, 4)],
        "deepnnclassifier__learning_rate": [1e-5, 0.02],
    }
    search = GridSearchCV(scaled(), grid, cv=3, n_jobs=2).fit(*iris)
    assert search.best_params_["deepnnclassifier__learning_rate"] == 0.02
    assert search.best_score_ > 0.9
    assert set(search.cv_results_["param_deepnnclassifier__hidden_layer_dims"]) == {(), (8,), (8, 4)}
    assert search.best_estimator_[-1].n_layers_ == 2 + len(search.best_params_["deepnnclassifier__hidden_layer_dims"])


def test_a_search_in_two_processes_finds_what_one_process_finds(iris):
    grid = {"deepnnclassifier__hidden_layer_dims": [(4,), (8, 4)]}
    scores = [GridSearchCV(scaled(), grid, cv=3, n_jobs=n).fit(*iris).cv_results_["mean_test_score"] for n in (1, 2)]
    np.testing.assert_array_equal(*scores)


def test_randomized_search_draws_parameters(iris):
    choices = {
        "hidden_layer_dims": [(4,), (8,)],
        "activation": ["relu", "tanh"],
        "learning_rate": np.geomspace(1e-3, 1e-1),
    }
    search = RandomizedSearchCV(deepnn(), choices, n_iter=4, cv=3, random_state=0).fit(*iris)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.8


def test_cross_val_predict_gives_probabilities_of_every_row(iris):
    proba = cross_val_predict(scaled(), *iris, cv=3, method="predict_proba")
    assert proba.shape == (150, 3)
    assert (proba.argmax(axis=1) == iris[1]).mean() > 0.9


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc_ovr"])
def test_cross_val_score_takes_any_scorer(iris, scoring):
    assert np.isfinite(cross_val_score(scaled(), *iris, cv=3, scoring=scoring)).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_wraps_it(iris, method):
    model = CalibratedClassifierCV(scaled(), cv=3, method=method).fit(*iris)
    assert model.score(*iris) > 0.9


def test_soft_voting_averages_it_with_others(iris):
    X, y = iris
    members = [("deepnn", scaled()), ("bayes", GaussianNB())]
    model = VotingClassifier(members, voting="soft").fit(X, y)
    mean = np.mean([member.predict_proba(X) for member in model.estimators_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), mean)
    assert model.score(X, y) > 0.9


def test_bagging_passes_weights(iris):
    X, y = iris
    model = BaggingClassifier(deepnn(), n_estimators=3, random_state=0).fit(X, y, sample_weight=(y != 2) * 1.0)
    assert model.predict_proba(X)[:, 2].max() == 0
    assert model.score(X[y != 2], y[y != 2]) > 0.9


def test_stacking_takes_it_at_both_levels(iris):
    model = StackingClassifier([("a", scaled()), ("b", scaled(activation="tanh"))], final_estimator=deepnn(), cv=3)
    assert model.fit(*iris).score(*iris) > 0.9


def test_one_versus_rest_fits_one_for_each_class(iris):
    model = OneVsRestClassifier(scaled()).fit(*iris)
    assert len(model.estimators_) == 3
    assert model.score(*iris) > 0.9


# Metadata routing.


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_routing_takes_weights_and_transformed_validation_data_through_a_pipeline(iris):
    X, y = iris
    train, val, weight = np.arange(150) % 3 > 0, np.arange(150) % 3 == 0, np.linspace(1, 2, 100)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    requests = {"sample_weight": True, "X_val": True, "y_val": True}
    model = Pipeline([("scaler", scaler), ("deepnn", deepnn().set_fit_request(**requests))], transform_input=["X_val"])
    model.fit(X[train], y[train], sample_weight=weight, X_val=X[val], y_val=y[val])

    scaler = StandardScaler().fit(X[train])
    by_hand = deepnn().fit(
        scaler.transform(X[train]), y[train], weight, X_val=scaler.transform(X[val]), y_val=y[val]
    )  # fmt: skip
    np.testing.assert_array_equal(model.predict_proba(X), by_hand.predict_proba(scaler.transform(X)))
    assert model[-1].validation_loss_curve_ == by_hand.validation_loss_curve_


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("transformed", [False, True])
def test_validation_data_that_a_pipeline_does_not_transform_are_warned_of(iris, transformed):
    X, y = iris
    steps = [("scaler", MinMaxScaler()), ("deepnn", deepnn().set_fit_request(X_val=True, y_val=True))]
    model = Pipeline(steps, transform_input=["X_val"] if transformed else None)
    expected = nullcontext() if transformed else pytest.warns(UserWarning, match="X_val is on another scale than X")
    with expected:
        model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])


@pytest.mark.usefixtures("routing")
def test_routing_takes_weights_through_a_search(iris):
    X, y = iris
    model = deepnn().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    search = GridSearchCV(model, {"hidden_layer_dims": [(), (4,)]}, cv=3).fit(X, y, sample_weight=(y != 2) * 1.0)
    np.testing.assert_array_equal(search.classes_, [0, 1])


@pytest.mark.usefixtures("routing")
def test_partial_fit_can_request_weights():
    request = deepnn().set_partial_fit_request(sample_weight=True, classes=True).get_metadata_routing()
    assert request.partial_fit.requests == {"sample_weight": True, "classes": True}


# Frames and feature names.


def test_names_come_through_transformers_that_put_out_pandas(named_iris):
    X, y = named_iris
    model = scaled().set_output(transform="pandas").fit(X, y)
    np.testing.assert_array_equal(model[-1].feature_names_in_, X.columns)
    np.testing.assert_array_equal(model.predict_proba(X), scaled().fit(X.to_numpy(), y).predict_proba(X.to_numpy()))


def as_pandas(X, names):
    return pd.DataFrame(X, columns=names)


def as_polars(X, names):
    return pl.DataFrame(X, schema=list(names))


def names_seen(X):
    """Return the names that scikit-learn itself finds in a frame: 1.6 none in polars 2, where __dataframe__ is gone."""
    return getattr(StandardScaler().fit(X), "feature_names_in_", None)


NAMED_FRAMES = [frame for frame in (as_pandas, as_polars) if names_seen(frame(np.eye(2), ["a", "b"])) is not None]


@pytest.mark.parametrize("output", [frame.__name__.removeprefix("as_") for frame in NAMED_FRAMES])
def test_names_come_through_where_the_configuration_asks_for_frames(named_iris, output):
    X, y = named_iris
    with config_context(transform_output=output):
        model = scaled().fit(X, y)
        np.testing.assert_array_equal(model[-1].feature_names_in_, X.columns)
        assert isinstance(model.predict_proba(X), np.ndarray)


@pytest.mark.parametrize("as_frame", [as_pandas, as_polars])
def test_frames_predict_as_arrays_do_and_leave_their_names(iris, as_frame):
    X, y = iris
    names = ["a", "b", "c", "d"]
    model = deepnn().fit(as_frame(X, names), y)
    np.testing.assert_array_equal(getattr(model, "feature_names_in_", None), names_seen(as_frame(X, names)))
    # a frame's columns lie together, which changes the rounding of their means
    probabilities = deepnn().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(as_frame(X, names)), probabilities, rtol=1e-10)


@pytest.mark.parametrize("as_frame", NAMED_FRAMES)
@pytest.mark.parametrize("names", [["b", "a", "c", "d"], ["a", "b", "c", "e"]])
def test_frames_with_other_names_are_rejected(iris, as_frame, names):
    X, y = iris
    model = deepnn(max_iter=2).fit(as_frame(X, ["a", "b", "c", "d"]), y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(as_frame(X, names))
    with pytest.raises(ValueError, match=r"X_val must be like X.*\n?.*feature names should match"):
        model.fit(as_frame(X, ["a", "b", "c", "d"]), y, X_val=as_frame(X, names), y_val=y)


def test_an_array_in_place_of_a_frame_is_warned_about(iris):
    X, y = iris
    model = deepnn(max_iter=2).fit(as_pandas(X, ["a", "b", "c", "d"]), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(X)
    with pytest.warns(UserWarning, match="X has feature names"):
        deepnn(max_iter=2).fit(X, y).predict(as_pandas(X, ["a", "b", "c", "d"]))


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_validating_a_frame_warns_of_nothing(named_iris, scoring):
    model = deepnn(scoring=scoring, early_stopping=True, max_iter=3).fit(*named_iris)
    assert len(model.validation_scores_) == 3


def test_a_refit_without_names_forgets_them(iris):
    X, y = iris
    model = deepnn(max_iter=2).fit(as_pandas(X, ["a", "b", "c", "d"]), y)
    assert not hasattr(model.fit(X, y), "feature_names_in_")


# Data in a memory map.


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_in_a_read_only_memory_map_are_fitted_and_predicted(tmp_path, iris, dtype, early_stopping):
    X, y = iris
    written = np.memmap(tmp_path / "X", dtype=dtype, mode="w+", shape=X.shape)
    written[...] = X
    written.flush()
    mapped = np.memmap(tmp_path / "X", dtype=dtype, mode="r", shape=X.shape)
    weight = np.linspace(0, 1, 150)
    weight.flags.writeable = y.flags.writeable = False
    model = deepnn(early_stopping=early_stopping).fit(mapped, y, weight)
    expected = deepnn(early_stopping=early_stopping).fit(X.astype(dtype), y, weight)
    np.testing.assert_array_equal(model.predict_proba(mapped), expected.predict_proba(X.astype(dtype)))


# Parameters as scikit-learn sees them.


def test_a_clone_has_the_parameters_and_nothing_fitted(iris):
    model = deepnn(hidden_layer_dims=[4, 3], optimizer=OPTIMIZERS["adam"](beta_1=0.8)).fit(*iris)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not [name for name in vars(copy) if name.endswith("_")]


def test_array_api_dispatch_leaves_arrays_of_numpy_as_they_are():
    if find_spec("sklearn.externals.array_api_compat") is None:  # before scikit-learn 1.7
        pytest.importorskip("array_api_compat")
    assert run_python(
        """
        from sklearn import config_context
        from sklearn.datasets import load_iris
        from sklearn.model_selection import cross_val_score
        from sklearn_deepnn import DeepNNClassifier

        model = DeepNNClassifier((8,), max_iter=5, random_state=0)
        expected = cross_val_score(model, *load_iris(return_X_y=True), scoring="neg_log_loss")
        with config_context(array_api_dispatch=True):
            found = cross_val_score(model, *load_iris(return_X_y=True), scoring="neg_log_loss")
        print((found == expected).all())
        """,
        SCIPY_ARRAY_API="1",
    ).split() == ["True"]


def test_every_parameter_is_keyword_able_and_comes_back_untouched():
    given = {name: object() for name in inspect.signature(DeepNNClassifier).parameters}
    assert DeepNNClassifier(**given).get_params() == given


def test_setting_a_parameter_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="Invalid parameter 'lr'"):
        DeepNNClassifier().set_params(lr=0.1)


def test_partial_fit_in_a_loop_learns_from_parts(iris):
    X, y = iris
    X = StandardScaler().fit_transform(X)
    model = deepnn()
    for _ in range(20):
        for part in range(3):
            model.partial_fit(X[part::3], y[part::3], classes=[0, 1, 2])
    assert model.n_iter_ == 60
    assert model.score(X, y) > 0.9
