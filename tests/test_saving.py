"""Saving and loading: what comes back, by which names, of which version, how large, and from memory maps."""

import copy
import functools
import inspect
import io
import json
import multiprocessing
import os
import pickle
import re
import runpy
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from reference import assert_same
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException

import sklearn_deepnn
from sklearn_deepnn import DeepNNClassifier, saving
from sklearn_deepnn.callbacks import ModelCheckpoint, load_checkpoint
from sklearn_deepnn.training.optimizers import OPTIMIZERS

DATA = Path(__file__).parent / "data"
NAME = "sklearn_deepnn.DeepNNClassifier"
Y = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 4)) + Y[:, np.newaxis]
NAMES = np.array(["setosa", "versicolor", "virginica"])
FRAME = pd.DataFrame(X, columns=list("abcd"))
CALLS = {  # parameters, method, X, y
    "defaults": ({"max_iter": 3}, "fit", X, Y),
    "strings": ({"hidden_layer_dims": 5}, "fit", FRAME, NAMES[Y]),
    "objects": ({"hidden_layer_dims": [5], "ensemble_size": 2}, "fit", X, NAMES[Y].astype(object)),
    "two classes": ({"hidden_layer_dims": (5,), "warm_start": True, "optimizer": "lbfgs"}, "fit", X, Y == 1),
    "labels": ({"hidden_layer_dims": (5,), "dtype": "float32", "warm_start": True}, "fit", X, np.eye(3, dtype=int)[Y]),
    "several": (
        {
            "hidden_layer_dims": (6, 5),
            "activation": ("relu", "tanh"),
            "dropout_rate": (0.1, 0.2),
            "batch_norm": True,
            "class_weight": {0: 1.0, 1: 2.0, 2: 1.0},
            "early_stopping": True,
            "learning_rate_schedule": "reduce_on_plateau",
            "scale_inputs": "robust",
            "scoring": "accuracy",
            "warm_start": True,
            "weight_averaging": 2,
        },
        "fit",
        X,
        Y,
    ),
    "in parts": ({"hidden_layer_dims": (5,)}, "partial_fit", X, np.eye(3, dtype=int)[Y]),
    "in parts, many": ({"ensemble_size": 3, "optimizer": "nadam"}, "partial_fit", X, np.eye(3, dtype=int)[Y]),
}
LIBRARIES = {
    **{
        f"pickle {protocol}": lambda model, protocol=protocol: pickle.loads(pickle.dumps(model, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
    "pickle out of band": lambda model: out_of_band(model),
    "joblib": lambda model: through_file(joblib, model),
    "joblib, compressed": lambda model: through_file(joblib, model, compress=3),
    "skops": lambda model: skops.io.loads(skops.io.dumps(model), trusted=[NAME]),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@functools.cache
def fitted_once(name):
    parameters, method, X, y = CALLS[name]
    model = DeepNNClassifier(**{"max_iter": 4, "batch_size": 20, "random_state": 0, **parameters})
    return getattr(model, method)(X, y)


def fitted(name):
    """Return a network fitted as `CALLS` says, which the test may change."""
    model = object.__new__(DeepNNClassifier)
    model.__dict__.update(copy.deepcopy(vars(fitted_once(name))))  # without what is tested here
    return model


def through_file(library, model, **options):
    file = io.BytesIO()
    library.dump(model, file, **options)
    return library.load(io.BytesIO(file.getvalue()))


def out_of_band(model):
    buffers = []
    pickled = pickle.dumps(model, 5, buffer_callback=buffers.append)
    return pickle.loads(pickled, buffers=buffers)


def save(model, path):
    joblib.dump(model, path)
    return path


def run_python(program, *arguments):
    """Return what a program prints that runs in a process of its own, where warnings are errors."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# What comes back.


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_loaded_is_what_was_saved_to_the_bit(name, library):
    model = fitted(name)
    assert_same(vars(LIBRARIES[library](model)), vars(fitted(name)))
    assert_same(vars(model), vars(fitted(name)))  # saving has changed nothing


@pytest.mark.parametrize("library", ["pickle 5", "joblib", "skops", "deepcopy"])
@pytest.mark.parametrize("name", CALLS)
def test_training_goes_on_from_what_was_loaded_as_from_what_was_saved(name, library):
    _, method, X, y = CALLS[name]
    model, again = fitted(name), LIBRARIES[library](fitted(name))
    for each in (model, again):
        getattr(each, method)(X, y)
    assert model.n_iter_ > 1
    assert_same(vars(again), vars(model))


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_estimator_that_is_not_fitted_comes_back_with_its_parameters(library):
    model = DeepNNClassifier((3, 4), activation=["relu", "tanh"], tol=0.5)
    assert vars(LIBRARIES[library](model)) == vars(model)


@pytest.mark.parametrize("library", ["pickle 5", "joblib", "deepcopy"])
def test_callbacks_are_saved_with_the_estimator(library):
    model = DeepNNClassifier().set_callbacks(ModelCheckpoint("folder", keep=7))
    assert vars(LIBRARIES[library](model))["_skl_callbacks"] == [ModelCheckpoint("folder", keep=7)]


def test_a_curve_that_does_not_change_is_as_long_as_it_was():
    model = fitted("strings")
    assert len(set(model.learning_rate_curve_)) == 1
    assert pickle.loads(pickle.dumps(model)).learning_rate_curve_ == [0.001] * model.n_iter_


def test_curves_with_epochs_that_were_not_validated_come_back():
    model = fitted("two classes").set_params(early_stopping=True).fit(X, Y == 1)
    model.set_params(early_stopping=False).fit(X, Y == 1)
    assert np.isnan(model.validation_loss_curve_[0])
    assert len(model.validation_loss_curve_) < len(model.loss_curve_)
    assert_same(vars(pickle.loads(pickle.dumps(model))), vars(model))


def test_a_pipeline_is_saved_with_the_network_in_it():
    model = make_pipeline(StandardScaler(), DeepNNClassifier((4,), max_iter=3, random_state=0)).fit(X, Y)
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


def names_in(pickled):
    """Return the names of all that a pickle makes, but for those of NumPy and of Python."""
    found = set()

    class Recording(pickle.Unpickler):
        def find_class(self, module, name):
            found.add(f"{module}.{name}")
            return super().find_class(module, name)

    Recording(io.BytesIO(pickled)).load()
    return {name for name in found if name.split(".")[0] not in ("numpy", "_codecs", "builtins", "copyreg")}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", CALLS)
def test_a_pickle_names_nothing_but_the_estimator(name, protocol):
    assert names_in(pickle.dumps(fitted(name), protocol)) == {NAME}


@pytest.mark.parametrize("name", CALLS)
def test_skops_has_to_trust_nothing_but_the_estimator(name):
    assert skops.io.get_untrusted_types(data=skops.io.dumps(fitted(name))) == [NAME]


@pytest.mark.parametrize("optimizer", [kind() for kind in OPTIMIZERS.values()])
def test_an_optimizer_with_settings_is_one_more_name(optimizer):
    model = DeepNNClassifier((4,), optimizer=optimizer, max_iter=3, warm_start=True, random_state=0).fit(X, Y)
    names = {NAME, f"sklearn_deepnn.{type(optimizer).__name__}"}
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


@pytest.mark.parametrize("name", sorted(set(sklearn_deepnn.__all__) - {"check_gradient", "train_deep_network"}))
def test_exported_classes_are_known_by_the_names_that_users_import(name):
    kind = getattr(sklearn_deepnn, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"sklearn_deepnn.{name}"


# Versions.


def stamped(name="strings", **stamp):
    """Return the pickle of a network that says of itself something else about its format."""
    model, state = fitted(name), saving.saved_state(vars(fitted(name)))
    state[saving.STAMP] |= stamp

    class Foreign:
        def __reduce__(self):
            return object.__new__, (type(model),), state

    return pickle.dumps(Foreign())


def test_a_newer_format_is_refused_with_the_advice_to_upgrade():
    known, own = saving.FORMAT, sklearn_deepnn.__version__
    message = f"What is loaded was saved by sklearn_deepnn 9.8.7 in format {known + 1}; this version, {own}, reads "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}format {known}. Upgrade sklearn_deepnn to load it.$"):
        pickle.loads(stamped(version="9.8.7", format=known + 1))


def test_an_older_format_that_cannot_be_converted_is_refused_with_its_version():
    with pytest.raises(ValueError, match=r"saved by sklearn_deepnn 0\.0\.3 in format 0; .* the version that saved it"):
        pickle.loads(stamped(version="0.0.3", format=0))


def test_a_state_of_before_formats_had_numbers_is_refused():
    with pytest.raises(ValueError, match=r"saved by sklearn_deepnn before 0\.1\.0 in format 0; "):
        DeepNNClassifier().__setstate__(vars(fitted("strings")))


def test_older_formats_are_converted_one_after_the_other(monkeypatch):
    old = pickle.dumps(fitted("strings"))
    monkeypatch.setattr(saving, "FORMAT", saving.FORMAT + 2)
    for number in (1, 2):
        monkeypatch.setitem(
            saving.CONVERSIONS,
            saving.FORMAT - number,
            lambda state, number=number: {**state, "passed_": [*state.get("passed_", []), saving.FORMAT - number]},
        )
    assert pickle.loads(old).passed_ == [saving.FORMAT - 2, saving.FORMAT - 1]
    assert not hasattr(pickle.loads(pickle.dumps(fitted("strings"))), "passed_")


def test_a_checkpoint_of_a_newer_format_is_refused_by_name(tmp_path, monkeypatch):
    model = DeepNNClassifier((4,), max_iter=2, random_state=0).set_callbacks(ModelCheckpoint(tmp_path, keep=1))
    with monkeypatch.context() as newer:
        newer.setattr(saving, "FORMAT", saving.FORMAT + 1)
        model.fit(X, Y)
    for load in (load_checkpoint, lambda path: model.fit(X, Y, resume_from=path)):
        with pytest.raises(ValueError, match="Upgrade sklearn_deepnn"):
            load(tmp_path)


def test_the_stamp_is_no_attribute_of_the_estimator():
    model = fitted("strings")
    for each in (model, pickle.loads(pickle.dumps(model)), copy.deepcopy(model), clone(model)):
        assert saving.STAMP not in vars(each)
    assert model.__getstate__()[saving.STAMP] == {"version": sklearn_deepnn.__version__, "format": saving.FORMAT}


def file_of_format(number):
    return pickle.loads((DATA / f"format_{number}.pickle").read_bytes())


FORMATS = range(1, saving.FORMAT + 1)


@pytest.mark.parametrize("number", FORMATS)
def test_a_file_of_each_format_predicts_what_it_did(number):
    saved = file_of_format(number)
    assert len(saved["networks"]) == 5
    for name, network in saved["networks"].items():
        np.testing.assert_allclose(network.predict_proba(saved["X"]), saved["probabilities"][name], atol=1e-9)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("number", FORMATS)
def test_a_file_of_each_format_trains_on_as_it_did(number, method):
    saved = file_of_format(number)
    for name, network in saved["networks"].items():
        n_iter, later = network.n_iter_, saved[method][name]
        assert np.abs(later - saved["probabilities"][name]).max() > 1e-4
        getattr(network, method)(saved["X"], saved["targets"][name])
        assert network.n_iter_ > n_iter
        np.testing.assert_allclose(network.predict_proba(saved["X"]), later, atol=1e-6)


class Raw:
    """What an unpickler makes in place of a network, to look at its state."""


def unopened(pickled):
    """Return what was pickled, with `Raw` in place of networks."""

    class Unopened(pickle.Unpickler):
        def find_class(self, module, name):
            return Raw if name == "DeepNNClassifier" else super().find_class(module, name)

    return Unopened(io.BytesIO(pickled)).load()


def keys(value, path=""):
    """Return the paths to all that nested dicts hold."""
    if not isinstance(value, dict):
        return {path}
    return {path}.union(*(keys(inner, f"{path}/{key}") for key, inner in value.items()))


def test_a_format_with_other_keys_has_another_number():
    # until a version with this format is released, tests/data/save_networks.py may write the file anew
    script = runpy.run_path(str(DATA / "save_networks.py"))
    now = unopened(pickle.dumps(script["fitted"](*script["examples"]())))
    then = unopened((DATA / f"format_{saving.FORMAT}.pickle").read_bytes())["networks"]
    for name, network in now.items():
        assert keys(vars(network)) == keys(vars(then[name])), "write it anew or, after a release, count it up"


# Size.


LARGE = {  # with 100 kB of weights or more
    "defaults": ({"max_iter": 30}, Y),
    "strings": ({"max_iter": 30}, NAMES[Y]),
    "labels": ({"max_iter": 30}, np.eye(3, dtype=int)[Y]),
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


# Memory maps.


def arrays_in(value):
    """Return all arrays in nested dicts and lists."""
    if isinstance(value, np.ndarray):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [array for each in inner for array in arrays_in(each)]


def mapped(model, path):
    return joblib.load(save(model, path), mmap_mode="r")


@pytest.fixture(scope="module")
def large():
    """A network of 5 MB, with a row for each of its inputs."""
    X = np.random.default_rng(0).normal(size=(12, 100))
    model = DeepNNClassifier((1000, 500), ensemble_size=1, dtype="float64", max_iter=1, random_state=0)
    return model.fit(X, np.arange(12) % 3), X


@pytest.mark.parametrize("name", CALLS)
def test_a_mapped_network_predicts_the_same_and_is_mapped_in_all_its_arrays(tmp_path, name):
    model, X = fitted(name), CALLS[name][2]
    again = mapped(model, tmp_path / "model")
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function", "hidden_activations"):
        found = getattr(again, method)(X)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, getattr(model, method)(X))
    arrays = [*again.parameters_.values(), *arrays_in(again.training_state_["scaling"])]
    assert len(arrays) > 4
    for array in arrays:
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert array.flags.aligned
        assert array.ctypes.data % 16 == 0


@pytest.mark.parametrize("parameters", [{}, {"ensemble_size": 3}, {"batch_norm": True}], ids=str)
def test_predicting_copies_nothing_of_a_mapped_network(tmp_path, peak_bytes, parameters):
    X = np.random.default_rng(0).normal(size=(12, 100))
    model = DeepNNClassifier((500, 400), max_iter=1, random_state=0, **parameters).fit(X, np.arange(12) % 3)
    again = mapped(model, tmp_path / "model")
    W = again.parameters_["W2"]
    assert peak_bytes(np.array, W) > W.nbytes > 1_500_000  # it would be seen
    for method in (again.predict, again.predict_proba, again.predict_log_proba):
        assert peak_bytes(method, X) < W.nbytes / 4


def test_threads_predict_the_same_from_one_mapped_network(tmp_path, large):
    model, X = large
    again, expected = mapped(model, tmp_path / "model"), model.predict_proba(X)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(again.predict_proba, [X] * 8):
            np.testing.assert_array_equal(found, expected)


MAPPING = """
import json, re, sys, joblib
path = sys.argv[1]
model, X = joblib.load(path + ".joblib", mmap_mode="r"), joblib.load(path + "-X.joblib")
model.predict_proba(X)
print("ready", flush=True)
sys.stdin.readline()
sizes = dict.fromkeys(["Rss", "Pss", "Anonymous"], 0)
inside = False
for line in open("/proc/self/smaps"):
    if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
        inside = line.rstrip().endswith(path + ".joblib")
    elif inside and line.split(":")[0] in sizes:
        sizes[line.split(":")[0]] += 1024 * int(line.split()[1])
print(json.dumps(sizes), flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what processes share")
def test_two_processes_share_one_copy_of_a_mapped_network(tmp_path, large):
    model, X = large
    save(model, tmp_path / "network.joblib")
    save(X, tmp_path / "network-X.joblib")
    n_bytes = sum(W.nbytes for W in model.parameters_.values())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", MAPPING, str(tmp_path / "network")]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n", "ready\n"]
    sizes = []
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
        sizes.append(json.loads(process.stdout.readline()))
    for process in processes:
        process.communicate("\n", timeout=30)
    for size in sizes:
        assert size["Rss"] > 0.95 * n_bytes
        assert size["Anonymous"] == 0  # the system has copied no page
    assert sum(size["Pss"] for size in sizes) < 1.05 * n_bytes + 100_000


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_mapped_network_can_train_on_and_needs_its_file_no_more(tmp_path, method, optimizer):
    parameters = {"hidden_layer_dims": (5,), "max_iter": 3, "optimizer": optimizer, "random_state": 0}
    model, path = DeepNNClassifier(warm_start=True, **parameters).fit(X, Y), tmp_path / "model"
    again = mapped(model, path)
    for each in (model, again):
        getattr(each, method)(X, Y)
    with open(path, "r+b") as file:  # what is still mapped becomes zeros
        file.write(bytes(path.stat().st_size))
    assert_same(vars(again), vars(model))
    assert names_in(pickle.dumps(again)) == {NAME}


def test_a_mapped_network_can_be_saved_and_copied(tmp_path):
    model = fitted("in parts, many")
    again = mapped(model, tmp_path / "model")
    for library in ("pickle 5", "joblib", "skops"):
        np.testing.assert_array_equal(LIBRARIES[library](again).predict_proba(X), model.predict_proba(X))


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
