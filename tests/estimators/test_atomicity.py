"""A failed call changes nothing; a successful call sets all fitted attributes at once, and leaves other attributes."""

import copy
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from estimator_cases import PREDICTORS, X_VAL, Y_VAL, X, Y, blobs, fitted, net, pickled, with_entry
from recording import Noting
from reference import assert_same

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import Callback, ModelCheckpoint

# A failed call changes nothing.


class Failing:
    """A scorer that returns 0, but at one of its calls infinity. The first call comes before the first epoch."""

    def __init__(self, at_call):
        self.at_call, self.n_calls = at_call, 0

    def __call__(self, estimator, X, y):
        self.n_calls += 1
        return np.inf if self.n_calls == self.at_call else 0.0


def scorer_that_fails(estimator, X, y):
    raise LookupError("scored")


def rate_that_fails(step):
    """Return a learning rate, but none in the third epoch."""
    return 0.01 if step < 12 else np.nan


VALIDATION = {"X_val": X_VAL, "y_val": Y_VAL}
DIVERGING = {"optimizer": "sgd", "learning_rate": 1e300}
FAILURES = {  # parameters, arguments of the call, beginning of the message
    "a bad parameter": ({"learning_rate": -1}, {}, "learning_rate must be"),
    "a bad combination of parameters": ({"batch_norm": True, "batch_size": 1}, {}, "batch_size must be"),
    "an unknown activation": ({"activation": "rely"}, {}, "activation must be"),
    "dropout rates for another number of layers": ({"dropout_rate": (0.1, 0.2)}, {}, "dropout_rate must be"),
    "a class weight of an unknown class": ({"class_weight": {7: 1}}, {}, "class_weight must have"),
    "X with infinity": ({}, {"X": with_entry(X, np.inf)}, "X must have numbers"),
    "X with one dimension": ({}, {"X": X[:, 0]}, "Expected 2D array"),
    "continuous y": ({}, {"y": X[:, 0]}, "Unknown label type"),
    "short y": ({}, {"y": Y[:80]}, "Found input variables with inconsistent"),
    "negative weights": ({}, {"sample_weight": -np.ones(90)}, "sample_weight must not be negative"),
    "training that diverges": (DIVERGING, {}, "Training diverged"),
    "a learning rate that is no number": ({"learning_rate_schedule": rate_that_fails}, {}, "learning_rate_schedule"),
}
FAILURES_OF_FIT = {
    **FAILURES,
    "X_val without y_val": ({}, {"X_val": X_VAL}, "X_val and y_val must be given together"),
    "X_val with infinity": ({}, {"X_val": with_entry(X_VAL, np.inf), "y_val": Y_VAL}, "X_val must have"),
    "unknown labels in y_val": ({}, {"X_val": X_VAL, "y_val": Y_VAL + 1}, "y_val must have labels"),
    "negative weights of X_val": ({}, {**VALIDATION, "sample_weight_val": -np.ones(90)}, "sample_weight_val must not"),
    "a fraction that leaves nothing to train on": (
        {"early_stopping": True, "validation_fraction": 0.999},
        {},
        "early_stopping=True needs",
    ),
    "resume_from that is no path": ({}, {"resume_from": 3}, "resume_from must be"),
    "a scorer that fails before training": ({"scoring": scorer_that_fails}, VALIDATION, "scored"),
    "a scorer that fails after the first epoch": ({"scoring": Failing(2)}, VALIDATION, "scoring must be"),
    "a scorer that fails later": ({"scoring": Failing(4)}, VALIDATION, "scoring must be"),
    "training that diverges to the first epoch": (DIVERGING, VALIDATION, "Training diverged"),
}
FAILURES_OF_PARTIAL_FIT = {
    **FAILURES,
    "other classes": ({}, {"classes": [0, 1, 2, 3]}, "classes must stay"),
    "an unknown label": ({}, {"y": Y + 1}, "y must have labels"),
    "balanced class weights": ({"class_weight": "balanced"}, {}, "class_weight must be"),
    "robust scaling": ({"scale_inputs": "robust"}, {}, "scale_inputs must be"),
    "another network": ({"hidden_layer_dims": (7,)}, {}, "Training cannot continue"),
}


def assert_changes_nothing(model, call, error=Exception, match=""):
    """Check that a call fails, and that all attributes of the model are the objects that they were, unchanged."""
    attributes, values, prediction = dict(vars(model)), copy.deepcopy(fitted(model)), model.predict_proba(X)
    with pytest.raises(error, match=match):
        call()
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is attributes[name] for name in attributes)
    assert_same(fitted(model), values)
    assert_same(model.predict_proba(X), prediction)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("failure", FAILURES_OF_FIT)
def test_a_fit_that_fails_changes_nothing(failure, warm_start):
    parameters, arguments, message = FAILURES_OF_FIT[failure]
    model = net(early_stopping=True).fit(X, Y, **VALIDATION)
    model.set_params(warm_start=warm_start, **copy.deepcopy(parameters))
    arguments = {"X": X, "y": Y, **arguments}
    assert_changes_nothing(model, lambda: model.fit(**arguments), match=f"^{message}")


@pytest.mark.parametrize("failure", FAILURES_OF_PARTIAL_FIT)
def test_a_partial_fit_that_fails_changes_nothing(failure):
    parameters, arguments, message = FAILURES_OF_PARTIAL_FIT[failure]
    model = net(early_stopping=True).fit(X, Y, **VALIDATION).set_params(**parameters)
    arguments = {"X": X, "y": Y, **arguments}
    assert_changes_nothing(model, lambda: model.partial_fit(**arguments), match=f"^{message}")


@pytest.mark.parametrize("weight_init", [{"W1": X}, {"W1": "text"}, "unknown"], ids=["shapes", "text", "name"])
def test_initial_parameters_that_are_refused_change_nothing(weight_init):
    model = net().fit(X, Y).set_params(weight_init=weight_init)
    assert_changes_nothing(model, lambda: model.fit(X, Y), match="^weight_init must")


def test_a_first_call_that_fails_sets_nothing():
    for parameters, arguments, _ in FAILURES_OF_FIT.values():
        model = net(**copy.deepcopy(parameters))
        before = dict(vars(model))
        with pytest.raises((ValueError, LookupError)):
            model.fit(**{"X": X, "y": Y, **arguments})
        assert vars(model) == before


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_checkpoint_that_cannot_be_resumed_changes_nothing(tmp_path, warm_start):
    broken = tmp_path / "broken.joblib"
    broken.write_bytes(b"no checkpoint")
    (tmp_path / "whole").mkdir()
    net().set_callbacks(ModelCheckpoint(tmp_path / "whole")).fit(X, Y)
    whole = next((tmp_path / "whole").iterdir())
    model = net(warm_start=warm_start).fit(X, Y)
    for path, named in ((broken, "resume_from"), (whole, "resume_from must be a checkpoint of a fit on the same X")):
        assert_changes_nothing(model, lambda path=path: model.fit(X + 1, Y, resume_from=path), match=named)


HOOKS_THAT_FAIL = [  # with the epochs that have ended
    ("on_train_begin", 0),
    ("on_epoch_begin", 0),
    ("on_epoch_begin", 3),
    ("on_epoch_end", 1),
    ("on_epoch_end", 3),
    ("on_epoch_end", 5),
]


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(("hook", "epoch"), HOOKS_THAT_FAIL)
def test_a_callback_that_fails_changes_nothing(hook, epoch, warm_start):
    model = net(warm_start=warm_start, early_stopping=True).fit(X, Y, **VALIDATION)
    epoch += model.n_iter_ if warm_start else 0
    model.set_callbacks(Noting([], error_at=(hook, epoch), error=LookupError("watched")))
    assert_changes_nothing(model, lambda: model.fit(X, Y, **VALIDATION), LookupError, "^watched")


@pytest.mark.parametrize(("hook", "epoch"), [("on_train_begin", 5), ("on_epoch_begin", 5), ("on_epoch_end", 6)])
def test_a_callback_that_fails_in_partial_fit_changes_nothing(hook, epoch):
    model = net().fit(X, Y).set_callbacks(Noting([], error_at=(hook, epoch), error=LookupError("watched")))
    assert_changes_nothing(model, lambda: model.partial_fit(X, Y), LookupError, "^watched")


def test_a_callback_that_fails_at_the_end_of_training_loses_nothing():
    failing = Noting([], error_at=("on_train_end", 5), error=LookupError("watched"))
    with pytest.warns(RuntimeWarning, match="Noting failed at the end of training: LookupError: watched"):
        model = net().set_callbacks(failing).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), net().fit(X, Y).predict_proba(X))


# A successful call leaves the attributes that are not its own.


class Remembering(DeepNNClassifier):
    """A classifier that sets attributes of its own before it fits."""

    def fit(self, X, y, **arguments):
        self.n_rows_, self.log = len(X), ["fit"]
        return super().fit(X, y, **arguments)

    def partial_fit(self, X, y, **arguments):
        self.n_rows_ = len(X)
        return super().partial_fit(X, y, **arguments)


class Marking(Callback):
    """Sets an attribute of an estimator after every epoch."""

    def __init__(self, estimator):
        self.estimator = estimator

    def on_epoch_end(self, run):
        self.estimator.marked_ = run.state.epoch


@pytest.mark.parametrize("warm_start", [False, True])
def test_attributes_that_a_subclass_sets_in_fit_are_kept(warm_start):
    model = Remembering(max_iter=2, hidden_layer_dims=(6,), random_state=0, warm_start=warm_start)
    for n_rows in (90, 60, 60):
        model.fit(X[:n_rows], Y[:n_rows])
        assert (model.n_rows_, model.log) == (n_rows, ["fit"])
    assert pickled(model).n_rows_ == 60
    model.partial_fit(X[:30], Y[:30])
    assert (model.n_rows_, model.log) == (30, ["fit"])


def test_attributes_that_a_callback_sets_are_kept():
    model = net(max_iter=3)
    model.set_callbacks(Marking(model))
    for n_epochs in (3, 2):
        assert model.set_params(max_iter=n_epochs).fit(X, Y).marked_ == n_epochs
    assert model.set_callbacks().fit(X, Y).marked_ == 2


def test_a_fit_removes_the_optional_attributes_of_an_earlier_fit():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = net(class_weight="balanced").fit(frame, Y, X_val=frame, y_val=Y)
    optional = {"feature_names_in_", "class_weight_", "validation_loss_curve_", "validation_scores_"}
    assert fitted(model).keys() - fitted(net().fit(X, Y)).keys() == optional
    model.set_params(class_weight=None).fit(X, Y)
    assert fitted(model).keys() == fitted(net().fit(X, Y)).keys()


# Other threads see one fit or the other.


class RefittingRows:
    """Rows that refit a model on other data at the moment when a method reads them."""

    def __init__(self, model, rows):
        self.model, self.rows = model, rows

    def __array__(self, *_, **__):
        self.model.fit(*blobs(40, n_classes=2, n_features=3))
        return self.rows


@pytest.mark.parametrize("method", [*PREDICTORS, "score", "hidden_activations", "input_gradients"])
def test_a_prediction_sees_the_earlier_fit_whole_if_a_refit_falls_into_it(method):
    model = net(max_iter=1).fit(X, Y)
    others = [Y] if method == "score" else []
    expected = getattr(model, method)(X, *others)
    np.testing.assert_array_equal(getattr(model, method)(RefittingRows(model, X), *others), expected)
    assert len(model.classes_) == 2


class Pickling(Callback):
    """Pickles an estimator while it is fitted. Its own pickle has nothing of that."""

    def __init__(self, estimator=None):
        self.estimator, self.pickles = estimator, []

    def __reduce__(self):
        return Pickling, ()

    def on_epoch_end(self, run):
        self.pickles += [pickle.dumps(each) for each in (self.estimator, copy.copy(self.estimator))]


def test_a_pickle_taken_during_a_refit_is_that_of_the_earlier_fit():
    model = net(max_iter=2).fit(X, Y)
    pickling = Pickling(model)
    before = pickle.dumps(model.set_callbacks(pickling))
    model.fit(X[:50], Y[:50])
    assert pickling.pickles == [before] * 4


class Name(str):
    """The name of an attribute that sets another attribute whenever a dict compares it."""

    def __new__(cls, name, model):
        named = super().__new__(cls, name)
        named.model = model
        return named

    def __hash__(self):
        setattr(self.model, f"set_meanwhile_{len(vars(self.model))}", 0)
        return super().__hash__()


def test_attributes_that_are_set_during_a_fit_do_not_disturb_it(tmp_path):
    model = net(scoring="accuracy", early_stopping=True).set_callbacks(ModelCheckpoint(tmp_path))
    vars(model)[Name("of_a_user_", model)] = 1
    model.fit(X, Y).partial_fit(X, Y)
    assert model.of_a_user_ == 1
    assert model.n_iter_ == 6


SECONDS = 1.5


def outcome(model, rows):
    """Return the probabilities of rows, or None if the model was fitted on another number of features."""
    try:
        return model.predict_proba(rows)
    except ValueError as error:
        if "features, but DeepNNClassifier is expecting" not in str(error):
            raise
        return None


def is_one_of(results, expected):
    """Say whether a list of results, of which some may be None, equals one of the expected lists exactly."""
    return any(
        all((a is None) == (b is None) and (a is None or np.array_equal(a, b)) for a, b in zip(results, each))
        for each in expected
    )


def test_threads_see_the_earlier_or_the_later_fit_while_another_thread_refits():
    sets = [blobs(60, n_classes=3, n_features=4), blobs(40, n_classes=2, n_features=3)]
    rows = [X for X, _ in sets]
    model = net(max_iter=1)
    alone = [net(max_iter=1).fit(*each) for each in sets]
    expected = [[outcome(each, X) for X in rows] for each in alone]
    assert [[result is None for result in results] for results in expected] == [[False, True], [True, False]]
    model.fit(*sets[0])
    done = threading.Event()

    def predicts_as_one_of_both():
        return all(is_one_of([outcome(model, X)], [[each[k]] for each in expected]) for k, X in enumerate(rows))

    def is_pickled_as_one_of_both():
        loaded = pickled(model)
        return is_one_of([outcome(loaded, X) for X in rows], expected)

    def look(is_right):
        while not done.is_set():
            assert is_right()

    with ThreadPoolExecutor(2) as threads:
        observers = [
            threads.submit(look, is_right) for is_right in (predicts_as_one_of_both, is_pickled_as_one_of_both)
        ]
        n_fits, end = 0, time.monotonic() + SECONDS
        try:
            while time.monotonic() < end and not any(observer.done() for observer in observers):
                n_fits += 1
                model.fit(*sets[n_fits % 2])
        finally:
            done.set()
        for observer in observers:
            observer.result()
    assert is_one_of([outcome(model, X) for X in rows], [expected[n_fits % 2]])
