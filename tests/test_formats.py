"""Files of each format load, predict, continue and resume as before; newer formats are refused."""

import copy
import importlib
import io
import operator
import pickle
import re
import runpy
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skops.io
from one_network import ONE_NETWORK, one_network
from reference import assert_same
from saving_cases import NAME, X, Y, fitted, run_python
from sklearn.base import clone
from skops.io.exceptions import UntrustedTypesFoundException

import sklearn_deepnn
from sklearn_deepnn import DeepNNClassifier, saving
from sklearn_deepnn.callbacks import ModelCheckpoint, load_checkpoint
from sklearn_deepnn.network.activations import relu
from sklearn_deepnn.network.initializers import orthogonal
from sklearn_deepnn.training.regularizers import clip_by_global_norm
from sklearn_deepnn.training.schedules import cosine

DATA = Path(__file__).parent / "data"
OTHER_RULES = {1, 2}  # formats of networks that other rules of "auto" have trained; those of `one_network`
FORMATS = range(1, saving.FORMAT + 1)


def stamped(name="strings", **stamp):
    """Return the pickle of a network whose stamp names another version or format."""
    model, state = fitted(name), saving.saved_state(vars(fitted(name)))
    state[saving.STAMP] |= stamp

    class Foreign:
        def __reduce__(self):
            return object.__new__, (type(model),), state

    return pickle.dumps(Foreign())


def test_a_newer_format_is_refused_with_the_advice_to_upgrade():
    known, own = saving.FORMAT, sklearn_deepnn.__version__
    message = f"The estimator was saved by sklearn_deepnn 9.8.7 in format {known + 1}; this version, {own}, reads "
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
    model = one_network((4,), max_iter=2, random_state=0).set_callbacks(ModelCheckpoint(tmp_path, keep=1))
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
    """Return networks in a format, with their data and predictions; see data/save_networks.py."""
    return pickle.loads((DATA / f"format_{number}.pickle").read_bytes())


def given_in(number, network):
    """Return the values that "auto" had in a format, for the parameters of a network that are "auto"."""
    is_ensemble = network.ensemble_size != "auto"  # ensembles held samples out
    chosen = {**ONE_NETWORK, "early_stopping": is_ensemble} if number in OTHER_RULES else {}
    return {name: value for name, value in chosen.items() if getattr(network, name) == "auto"}


@pytest.mark.parametrize("number", FORMATS)
def test_a_network_of_each_format_predicts_the_same(number):
    saved = file_of_format(number)
    assert len(saved["networks"]) == 5
    for name, network in saved["networks"].items():
        np.testing.assert_allclose(network.predict_proba(saved["X"]), saved["probabilities"][name], atol=1e-9)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("number", FORMATS)
def test_a_network_of_each_format_continues_training_the_same(number, method):
    saved = file_of_format(number)
    for name, network in saved["networks"].items():
        n_iter, later = network.n_iter_, saved[method][name]
        network.set_params(**given_in(number, network))
        assert np.abs(later - saved["probabilities"][name]).max() > 1e-4
        getattr(network, method)(saved["X"], saved["targets"][name])
        assert network.n_iter_ > n_iter
        np.testing.assert_allclose(network.predict_proba(saved["X"]), later, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Each row of y has exactly one label")  # of the file
@pytest.mark.parametrize("number", FORMATS)
def test_a_network_of_each_format_has_the_same_attributes_as_one_fitted_now(number):
    saved = file_of_format(number)
    now = runpy.run_path(str(DATA / "save_networks.py"))["fitted"](
        saved["X"], saved["targets"], **ONE_NETWORK if number in OTHER_RULES else {}
    )
    for name, network in saved["networks"].items():
        for each in (network, now[name]):
            each.training_state_["memories"] = {}  # which differ in format 1
        lacking = {"/feature_importances_"} if number == 1 else set()  # which need the training samples
        assert keys(vars(network)) | lacking == keys(vars(now[name]))
        assert hasattr(network, "feature_importances_") == (number > 1)


@pytest.mark.parametrize("number", FORMATS)
def test_a_network_of_each_format_can_be_summarised_saved_and_copied(number):
    for network in file_of_format(number)["networks"].values():
        assert str(network.summary()).startswith("DeepNNClassifier: ")
        assert_same(vars(pickle.loads(pickle.dumps(network))), vars(network))
        assert_same(vars(copy.deepcopy(network)), vars(network))


@pytest.mark.filterwarnings("ignore:The checkpoint in resume_from is of a fit with other parameters")
@pytest.mark.parametrize("number", FORMATS)
def test_a_checkpoint_of_each_format_is_resumed(number):
    path, saved = DATA / f"format_{number}.joblib", file_of_format(number)
    X, y = saved["X"], saved["targets"]["cut off"]
    model = clone(load_checkpoint(path))
    model.set_params(**given_in(number, model))
    resumed = clone(model).fit(X, y, resume_from=path)
    assert load_checkpoint(path).n_iter_ == 2
    assert resumed.n_iter_ == 4
    np.testing.assert_allclose(resumed.predict_proba(X), model.fit(X, y).predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("number", FORMATS)
def test_a_checkpoint_of_each_format_is_refused_with_other_data(number):
    path, saved = DATA / f"format_{number}.joblib", file_of_format(number)
    model = clone(load_checkpoint(path))
    with pytest.raises(ValueError, match="resume_from must be a checkpoint of a fit on the same X, y"):
        model.fit(saved["X"] + 1, saved["targets"]["cut off"], resume_from=path)


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


# Names of before: of modules that have moved, and of classes that were named after the package.


@pytest.mark.parametrize("name", saving.MOVED_MODULES)
def test_a_module_can_be_imported_by_its_name_of_format_1(name):
    old = importlib.import_module(f"sklearn_deepnn.{name}")
    assert old is importlib.import_module(f"sklearn_deepnn.{saving.MOVED_MODULES[name]}")
    assert operator.attrgetter(name)(sklearn_deepnn) is old


def pickled_of_format_1(text):
    """Return a pickle, of protocol 0, with the names that its modules had in format 1."""
    for old, new in saving.MOVED_MODULES.items():
        text = text.replace(f"sklearn_deepnn.{new}\n".encode(), f"sklearn_deepnn.{old}\n".encode())
    return text


@pytest.mark.parametrize("function", [cosine, orthogonal, relu, clip_by_global_norm], ids=lambda f: f.__name__)
def test_a_function_that_a_file_of_format_1_names_is_found(function):
    now = pickle.dumps(partial(function, 0.1), protocol=0)
    then = pickled_of_format_1(now)
    assert then != now
    assert pickle.loads(then).func is function


def test_a_network_of_format_1_with_a_function_as_its_schedule_is_loaded():
    saved = unopened((DATA / "format_1.pickle").read_bytes())
    raw = saved["networks"]["one"]
    raw.learning_rate_schedule = partial(cosine, learning_rate=0.01, n_steps=100)

    class Foreign:
        def __reduce__(self):
            return object.__new__, (DeepNNClassifier,), vars(raw)

    network = pickle.loads(pickled_of_format_1(pickle.dumps(Foreign(), protocol=0)))
    assert network.learning_rate_schedule.func is cosine
    network.fit(saved["X"], saved["targets"]["one"])
    assert network.learning_rate_curve_[-1] == pytest.approx(cosine(15, 0.01, 100))


def test_a_process_that_has_not_imported_the_package_finds_a_moved_module():
    now = pickle.dumps(partial(cosine, n_steps=100), protocol=0)
    program = f"import pickle, sys; print(pickle.loads({pickled_of_format_1(now)!r}).func.__module__)"
    assert run_python(program) == "sklearn_deepnn.training.schedules"


def test_skops_loads_a_file_with_the_name_of_format_1_where_that_name_is_trusted():
    model, old_name = fitted("several"), "sklearn_deepnn.DeepNNClassifier"
    file = with_old_names(skops.io.dumps(model))
    assert skops.io.get_untrusted_types(data=file) == [old_name]
    assert_same(vars(skops.io.loads(file, trusted=[old_name])), vars(model))
    with pytest.raises(UntrustedTypesFoundException, match=old_name):
        skops.io.loads(file, trusted=[NAME])


def with_old_names(file):
    """Return a file of skops whose schema calls the classifier by its name of format 1."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "schema.json":
                content = content.replace(b'"sklearn_deepnn.estimators.classifier"', b'"sklearn_deepnn"')
            after.writestr(name, content)
    return changed.getvalue()
