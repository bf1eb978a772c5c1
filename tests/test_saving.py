"""Saving and loading: the same network comes back, here and in other processes; names to trust; size; MLflow."""

import functools
import inspect
import io
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import skops.io
from one_network import one_network
from reference import assert_same
from saving_cases import CALLS, FRAME, INDICATORS, LIBRARIES, NAME, NAMES, X, Y, fitted, names_in, run_python, save
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import ModelCheckpoint
from sklearn_deepnn.training.optimizers import OPTIMIZERS

# What comes back.


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_loaded_is_what_was_saved_to_the_bit(name, library):
    model = fitted(name)
    assert_same(vars(LIBRARIES[library](model)), vars(fitted(name)))
    assert_same(vars(model), vars(fitted(name)))  # saving has changed nothing


@pytest.mark.parametrize("library", ["pickle 5", "joblib", "skops", "deepcopy"])
@pytest.mark.parametrize("name", CALLS)
def test_training_continues_with_a_loaded_network_as_with_the_saved_one(name, library):
    _, method, X, y = CALLS[name]
    model, again = fitted(name), LIBRARIES[library](fitted(name))
    for each in (model, again):
        getattr(each, method)(X, y)
    assert model.n_iter_ > 1
    assert_same(vars(again), vars(model))


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_estimator_that_is_not_fitted_comes_back_with_its_parameters(library):
    model = one_network((3, 4), activation=["relu", "tanh"], tol=0.5)
    assert vars(LIBRARIES[library](model)) == vars(model)


@pytest.mark.parametrize("library", ["pickle 5", "joblib", "deepcopy"])
def test_callbacks_are_saved_with_the_estimator(library):
    model = DeepNNClassifier().set_callbacks(ModelCheckpoint("folder", keep=7))
    assert vars(LIBRARIES[library](model))["_skl_callbacks"] == [ModelCheckpoint("folder", keep=7)]


def test_a_curve_that_does_not_change_is_as_long_as_it_was():
    model = fitted("strings")
    assert len(set(model.learning_rate_curve_)) == 1
    assert pickle.loads(pickle.dumps(model)).learning_rate_curve_ == model.n_iter_ * [model.learning_rate_curve_[0]]


def test_curves_with_epochs_that_were_not_validated_come_back():
    model = fitted("two classes").set_params(early_stopping=True).fit(X, Y == 1)
    model.set_params(early_stopping=False).fit(X, Y == 1)
    assert np.isnan(model.validation_loss_curve_[0])
    assert len(model.validation_loss_curve_) < len(model.loss_curve_)
    assert_same(vars(pickle.loads(pickle.dumps(model))), vars(model))


def test_a_pipeline_is_saved_with_the_network_in_it():
    model = make_pipeline(StandardScaler(), one_network((4,), max_iter=3, random_state=0)).fit(X, Y)
    for library in ("pickle 5", "joblib", "skops"):
        np.testing.assert_array_equal(LIBRARIES[library](model).predict_proba(X), model.predict_proba(X))


class Derived(DeepNNClassifier):
    """A network of the user's own, under a name of its own."""


def test_a_derived_class_is_saved_under_its_own_name():
    model = Derived((4,), max_iter=3, random_state=0).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is Derived
    assert_same(vars(again), vars(model))
    assert skops.io.get_untrusted_types(data=skops.io.dumps(model)) == [f"{__name__}.Derived"]


# Elsewhere.


def test_a_process_that_has_not_imported_the_package_loads_and_predicts_the_same(tmp_path):
    model = fitted("strings")
    for library in (pickle, joblib):
        with open(tmp_path / library.__name__, "wb") as file:
            library.dump(model, file)
    FRAME.to_pickle(tmp_path / "X")
    run_python(
        """
import pickle, sys, joblib, numpy as np, pandas as pd
assert "sklearn_deepnn" not in sys.modules
folder = sys.argv[1]
X = pd.read_pickle(folder + "/X")
for library in (pickle, joblib):
    with open(f"{folder}/{library.__name__}", "rb") as file:
        model = library.load(file)
    np.savez(f"{folder}/{library.__name__}.npz", proba=model.predict_proba(X), labels=model.predict(X))
""",
        tmp_path,
    )
    for name in ("pickle", "joblib"):
        there = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_array_equal(there["proba"], model.predict_proba(FRAME))
        np.testing.assert_array_equal(there["labels"], model.predict(FRAME))


def test_networks_go_to_spawned_processes_and_come_back_trained():
    parts, several = fitted("in parts"), fitted("several")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(parts.partial_fit, CALLS["in parts"][2:]), pool.apply(several.fit, (X, Y))
    assert_same(vars(there[0]), vars(parts.partial_fit(*CALLS["in parts"][2:])))
    assert_same(vars(there[1]), vars(several.fit(X, Y)))


def test_many_threads_load_at_the_same_time(tmp_path):
    model, all_there = fitted("several"), threading.Barrier(8)
    path = save(model, tmp_path / "model")

    def load(_):
        all_there.wait(timeout=30)
        return joblib.load(path)

    with ThreadPoolExecutor(8) as pool:
        for again in pool.map(load, range(8)):
            assert_same(vars(again), vars(model))


# Names: what a loader has to trust.


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", CALLS)
def test_a_pickle_names_nothing_but_the_estimator(name, protocol):
    assert names_in(pickle.dumps(fitted(name), protocol)) == {NAME}


@pytest.mark.parametrize("name", CALLS)
def test_skops_has_to_trust_nothing_but_the_estimator(name):
    assert skops.io.get_untrusted_types(data=skops.io.dumps(fitted(name))) == [NAME]


@pytest.mark.parametrize("optimizer", [kind() for kind in OPTIMIZERS.values()])
def test_an_optimizer_with_settings_is_one_more_name(optimizer):
    model = one_network((4,), optimizer=optimizer, max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    names = {NAME, f"sklearn_deepnn.training.optimizers.{type(optimizer).__name__}"}
    assert names_in(pickle.dumps(model)) == names
    assert set(skops.io.get_untrusted_types(data=skops.io.dumps(model))) == names
    assert_same(vars(skops.io.loads(skops.io.dumps(model), trusted=sorted(names))), vars(model))
    with pytest.raises(UntrustedTypesFoundException, match=type(optimizer).__name__):
        skops.io.loads(skops.io.dumps(model), trusted=[NAME])


@pytest.mark.parametrize("hidden_in", ["a parameter", "the fitted state"])
def test_skops_refuses_a_file_that_asks_for_anything_else(hidden_in):
    model = fitted("several")
    if hidden_in == "a parameter":
        model.set_params(scoring=os.getcwd)
    else:
        model.training_state_["memories"]["one"] = os.getcwd
    file = skops.io.dumps(model)
    other = f"{os.getcwd.__module__}.getcwd"
    assert set(skops.io.get_untrusted_types(data=file)) == {NAME, other}
    with pytest.raises(UntrustedTypesFoundException, match="getcwd"):
        skops.io.loads(file, trusted=[NAME])
    assert_same(vars(skops.io.loads(file, trusted=[NAME, other])), vars(model))


def test_skops_refuses_every_network_that_is_not_trusted():
    with pytest.raises(UntrustedTypesFoundException, match=NAME):
        skops.io.loads(skops.io.dumps(fitted("strings")))


# Size.


LARGE = {  # with 100 kB of weights or more
    "defaults": ({"max_iter": 30}, Y),
    "strings": ({"max_iter": 30}, NAMES[Y]),
    "labels": ({"max_iter": 30}, INDICATORS),
    "float32": ({"hidden_layer_dims": (300, 100), "dtype": "float32"}, Y),
    "early stopping": ({"hidden_layer_dims": (100, 100, 50), "early_stopping": True}, Y),
    "scored": ({"hidden_layer_dims": (100, 100, 50), "early_stopping": True, "scoring": "accuracy"}, Y),
    "batch norm": ({"hidden_layer_dims": (100, 100, 50), "batch_norm": True}, Y),
    "1000 epochs": ({"hidden_layer_dims": (120, 120), "max_iter": 1000}, Y),
    "1000 epochs, validated": ({"hidden_layer_dims": (150, 150), "max_iter": 1000, "early_stopping": True}, Y),
}


@functools.cache
def fitted_large(name):
    parameters, y = LARGE[name]
    parameters = {"max_iter": 5, "n_iter_no_change": 1000, "batch_size": None, "random_state": 0, **parameters}
    return DeepNNClassifier(**parameters).fit(X, y)


@pytest.mark.parametrize("library", [pickle, joblib], ids=["pickle", "joblib"])
@pytest.mark.parametrize("name", LARGE)
def test_a_saved_network_is_hardly_larger_than_its_weights(name, library):
    model, file = fitted_large(name), io.BytesIO()
    assert len(model.loss_curve_) == model.max_iter
    library.dump(model, file)
    n_bytes = sum(W.nbytes for W in model.parameters_.values())
    assert n_bytes > 100_000
    assert n_bytes < len(file.getvalue()) < 1.1 * n_bytes


def test_skops_saves_curves_as_arrays():
    model = fitted("several")
    before = len(skops.io.dumps(model))
    for name in ("cost", "validation_cost", "validation_score", "learning_rate"):
        model.training_state_["history"][name] = list(np.random.default_rng(0).random(1000))
    assert 4 * 8 * 1000 <= len(skops.io.dumps(model)) - before < 1.1 * 4 * 8 * 1000


# MLflow.


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    sklearn_flavor = pytest.importorskip("mlflow.sklearn")
    if "skops_trusted_types" not in inspect.signature(sklearn_flavor.log_model).parameters:
        pytest.skip("this version of MLflow does not save by skops")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr(mlflow, "sklearn", sklearn_flavor)
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    return mlflow


@pytest.mark.filterwarnings("ignore")  # of MLflow about itself
@pytest.mark.parametrize("saved_by", ["skops", "cloudpickle"])
@pytest.mark.parametrize("steps", [[], [StandardScaler()]], ids=["alone", "in a pipeline"])
def test_mlflow_logs_a_network_and_loads_and_serves_it_to_the_bit(mlflow, steps, saved_by):
    parameters, _, X, y = CALLS["strings"]
    model = make_pipeline(*steps, DeepNNClassifier(**parameters, max_iter=3, random_state=0)).fit(X, y)
    model = model if steps else model[0]
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            model,
            name="network",
            serialization_format=saved_by,
            skops_trusted_types=[NAME],
            pip_requirements=["sklearn-deepnn"],  # or MLflow takes seconds to find them out
            input_example=X[:2],
        )
    again = mlflow.sklearn.load_model(logged.model_uri)
    assert type(again) is type(model)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    served = mlflow.pyfunc.load_model(logged.model_uri)
    np.testing.assert_array_equal(served.predict(X), model.predict(X))
    assert [column.name for column in served.metadata.signature.inputs] == list(X.columns)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_refuses_by_skops_what_it_is_not_told_to_trust(mlflow):
    with mlflow.start_run(), pytest.raises(mlflow.MlflowException, match=NAME):
        mlflow.sklearn.log_model(
            fitted("strings"), name="network", serialization_format="skops", pip_requirements=["sklearn-deepnn"]
        )
