"""The callbacks of scikit-learn, from version 1.9 on, and those that somebody else wrote for it."""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from recording import X_VAL, Y_VAL, X, Y, net
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn.callbacks import EarlyStopping, TimeBudget

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from version 1.9 on")
OURS = "DeepNNClassifier"
WEIGHT = np.linspace(0.5, 1.5, len(Y))
VALIDATION = {"X_val": X_VAL, "y_val": Y_VAL}


class Watching:
    """Calls a function with hook, task and what it is given."""

    def __init__(self, look=lambda *_: None):
        self.look = look

    def setup(self, estimator, context):
        self.look("setup", context, {})

    def teardown(self, estimator, context):
        self.look("teardown", context, {})

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        given = {"X": X, "y": y, "metadata": metadata, "fitted_estimator": fitted_estimator}
        return self.look("begin", context, given)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        given = {"X": X, "y": y, "metadata": metadata, "fitted_estimator": fitted_estimator}
        return self.look("end", context, given)


class Recording:
    """Appends hook, estimator and path of tasks to a file, in whatever process; wants no data."""

    def __init__(self, path):
        self.path = path

    def _note(self, hook, context):
        path, task = [], context
        while task is not None:
            path.insert(0, [task.task_name, task.task_id])
            task = task.parent
        entry = {"hook": hook, "estimator": context.estimator_name, "run": str(context.root_uuid), "path": path}
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, (json.dumps(entry) + "\n").encode())
        os.close(file)

    def setup(self, estimator, context):
        self._note("setup", context)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self._note("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._note("end", context)

    def ours(self):
        """Return what happened in networks: (hook, name of the task) and the path of tasks as text."""
        with open(self.path, encoding="utf-8") as file:
            entries = [json.loads(line) for line in file]
        return [(e["hook"], e["path"][-1][0], e["run"] + str(e["path"])) for e in entries if e["estimator"] == OURS]


class RecordingAll(Recording):
    """The same, for an estimator and all that is in it."""

    max_propagation_depth = None


class Failing(Watching):
    """Raises at a hook of a task."""

    def __init__(self, at):
        self.at, self.seen = at, []
        super().__init__(self.fail)

    def fail(self, hook, context, given):
        self.seen.append(hook)
        if self.at == (hook, context.task_name, context.task_id):
            raise LookupError


def assert_whole(events, n_fits, n_epochs):
    """Check that in each of some fits there was one task with a task below for each epoch, each begun and ended."""
    tasks = Counter((hook, name) for hook, name, _ in events if hook in ("begin", "end"))
    assert tasks == {
        ("begin", "fit"): n_fits,
        ("end", "fit"): n_fits,
        ("begin", "epoch"): n_fits * n_epochs,
        ("end", "epoch"): n_fits * n_epochs,
    }
    begun, ended = (Counter(path for hook, _, path in events if hook == wanted) for wanted in ("begin", "end"))
    assert begun == ended
    assert set(begun.values()) == {1}, "tasks have paths of their own"


def leftovers(model):
    """Return the private attributes of an estimator."""
    return {name for name in vars(model) if name.startswith("_")}


# Tasks.


def test_a_fit_is_a_task_with_a_subtask_for_each_epoch(tmp_path):
    recording = Recording(tmp_path / "events")
    model = net(max_iter=3).set_callbacks(recording).fit(X, Y)
    events = [(hook, name) for hook, name, _ in recording.ours()]
    epochs = [("begin", "epoch"), ("end", "epoch")] * 3
    wanted = [("setup", "fit"), ("begin", "fit"), *epochs, ("end", "fit"), ("teardown", "fit")]
    assert events == wanted
    assert_whole(recording.ours(), 1, 3)
    assert leftovers(model) == {"_skl_callbacks"}


def test_a_fit_that_stops_early_has_a_task_for_each_trained_epoch(tmp_path):
    recording = Recording(tmp_path / "events")
    model = net(max_iter=50, n_iter_no_change=2, tol=10.0).set_callbacks(recording).fit(X, Y)
    assert model.n_iter_ == 3
    assert_whole(recording.ours(), 1, 3)


def test_a_task_has_the_largest_number_of_its_subtasks():
    seen = []
    watching = Watching(lambda hook, context, _: seen.append((hook, context.task_name, context.max_subtasks)))
    net(max_iter=2).set_callbacks(watching).fit(X, Y)
    assert {(name, most) for _, name, most in seen} == {("fit", 2), ("epoch", 0)}


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", ["on the network", "on the pipeline"])
def test_a_pipeline_in_a_search_has_the_tasks_of_its_networks(tmp_path, kind, n_jobs):
    network = net(max_iter=3)
    recording = (Recording if kind == "on the network" else RecordingAll)(tmp_path / "events")
    model = GridSearchCV(
        make_pipeline(StandardScaler(), network), {"deepnnclassifier__learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs
    )
    (network if kind == "on the network" else model).set_callbacks(recording)
    model.fit(X, Y)
    events = recording.ours()
    assert_whole(events, n_fits=5, n_epochs=3)
    hooks = Counter(hook for hook, _, _ in events)
    n_own = 5 if kind == "on the network" else 0  # otherwise set up and torn down by the search
    assert (hooks["setup"], hooks["teardown"]) == (n_own, n_own)
    assert leftovers(model.best_estimator_[-1]) == ({"_skl_callbacks"} if kind == "on the network" else set())
    assert leftovers(network) == ({"_skl_callbacks"} if kind == "on the network" else set())


def test_partial_fit_has_no_tasks(tmp_path):
    recording = Recording(tmp_path / "events")
    model = net().set_callbacks(recording).partial_fit(X, Y, classes=[0, 1, 2])
    assert not (tmp_path / "events").exists()
    assert leftovers(model) == {"_skl_callbacks"}


def test_callbacks_of_this_package_alone_create_no_task_for_each_epoch(monkeypatch):
    def subcontext(*_, **__):
        raise AssertionError("a task that no callback sees")

    monkeypatch.setattr(callback.CallbackContext, "subcontext", subcontext)
    net().set_callbacks(EarlyStopping()).fit(X, Y)
    with pytest.raises(AssertionError, match="no callback"):
        net().set_callbacks(Watching()).fit(X, Y)


def test_a_request_to_stop_is_honoured_after_that_epoch():
    def stop(hook, context, _):
        return (hook, context.task_name, context.task_id) == ("end", "epoch", 1)

    assert net().set_callbacks(Watching(stop)).fit(X, Y).n_iter_ == 2
    assert net().set_callbacks(Watching(stop), Watching()).fit(X, Y).n_iter_ == 2


# Callbacks of this package.


def test_callbacks_of_this_package_are_rejected_by_other_estimators():
    model = make_pipeline(StandardScaler(), net()).set_callbacks(TimeBudget(3))
    message = "TimeBudget watches a network, got a Pipeline. Set the callback on the network itself"
    with pytest.raises(TypeError, match=message):
        model.fit(X, Y)
    search = GridSearchCV(LogisticRegression(), {}).set_callbacks(TimeBudget(3))
    with pytest.raises(TypeError, match="got a GridSearchCV"):
        search.fit(X, Y)


# Errors.


@pytest.mark.parametrize(
    "at",
    [("setup", "fit", 0), ("begin", "fit", 0), ("begin", "epoch", 1), ("end", "epoch", 1), ("end", "fit", 0)],
    ids=lambda at: " ".join(at[:2]),
)
def test_a_callback_that_raises_is_torn_down(at):
    failing, after, model = Failing(at), [], net()
    model.set_callbacks(failing, Watching(lambda hook, *_: after.append(hook)))
    with pytest.raises(LookupError):
        model.fit(X, Y)
    assert failing.seen.count("setup") == failing.seen.count("teardown") == 1
    assert after.count("setup") == after.count("teardown") == (0 if at[0] == "setup" else 1)
    assert leftovers(model) == {"_skl_callbacks"}
    assert hasattr(model, "coefs_") == (at == ("end", "fit", 0))


def test_a_callback_that_raises_at_teardown_leaves_nothing_behind():
    model = net().set_callbacks(Failing(("teardown", "fit", 0)))
    with pytest.raises(LookupError):
        model.fit(X, Y)
    assert leftovers(model) == {"_skl_callbacks"}
    assert model.set_callbacks().fit(X, Y).n_iter_ == 4


@pytest.mark.parametrize(
    ("parameters", "y", "n_setups"),
    [({}, Y[:-1], 0), ({"max_iter": 0}, Y, 0), ({"optimizer": "sgd", "learning_rate": 1e300}, Y, 1)],
    ids=["bad y", "bad parameter", "divergence"],
)
def test_a_fit_that_fails_leaves_nothing_behind(parameters, y, n_setups):
    hooks = []
    model = net(**parameters).set_callbacks(Watching(lambda hook, *_: hooks.append(hook)))
    before = dict(vars(model))
    with pytest.raises(ValueError, match=r"samples|max_iter|diverged"):
        model.fit(X, y)
    assert hooks.count("setup") == hooks.count("teardown") == n_setups
    assert vars(model) == before


# What callbacks are given.


def test_tasks_get_the_data_and_weights_as_they_were_passed_to_fit():
    seen = []
    watching = Watching(lambda hook, context, given: seen.append((hook, given)) if given else None)
    net(max_iter=2).set_callbacks(watching).fit(X, Y, WEIGHT, **VALIDATION, sample_weight_val=Y_VAL + 1)
    assert len(seen) == 6
    for hook, given in seen:
        assert given["X"] is X
        assert given["y"] is Y
        metadata = {"sample_weight": WEIGHT}
        if hook == "begin":
            metadata |= {**VALIDATION, "sample_weight_val": Y_VAL + 1}
        assert given["metadata"].keys() == metadata.keys()
        for name, array in metadata.items():
            np.testing.assert_array_equal(given["metadata"][name], array)


def test_without_weights_there_are_no_metadata():
    seen = []
    net().set_callbacks(Watching(lambda hook, context, given: seen.append(given.get("metadata")))).fit(X, Y)
    assert seen == [None] * len(seen)


def estimators_of(model, X, y, **options):
    """Fit, and return the estimator of each epoch, and that of the end."""
    seen = []

    def look(hook, context, given):
        if hook == "end":
            seen.append(given["fitted_estimator"])

    model.set_callbacks(Watching(look)).fit(X, y, **options)
    return seen


PARAMETERS = [
    {},
    {"batch_norm": True, "dropout_rate": 0.2, "batch_size": 20},
    {"ensemble_size": 3, "early_stopping": True, "scoring": "accuracy"},
    {"weight_averaging": 2.0, "scale_inputs": "robust", "dtype": "float32"},
]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_the_estimator_of_an_epoch_is_what_a_fit_of_that_length_gives(parameters):
    *of_epochs, at_the_end = estimators_of(net(**parameters), X, Y)
    assert len(of_epochs) == 4
    for epoch, found in enumerate(of_epochs, start=1):  # copies: looked at when training is long over
        wanted = net(**{**parameters, "max_iter": epoch}).fit(X, Y)
        np.testing.assert_array_equal(found.predict_proba(X), wanted.predict_proba(X))
        assert (found.n_iter_, found.loss_curve_) == (epoch, wanted.loss_curve_)
    np.testing.assert_array_equal(at_the_end.predict_proba(X), of_epochs[-1].predict_proba(X))


def test_with_early_stopping_the_estimator_of_an_epoch_is_the_best_so_far():
    model = net(max_iter=20, learning_rate=0.1, weight_averaging=0, early_stopping=True)
    *of_epochs, _ = estimators_of(model, X, Y, **VALIDATION)
    costs = model.validation_loss_curve_
    assert int(np.argmin(costs)) < 15, "later epochs must not be better"
    for epoch, found in enumerate(of_epochs, start=1):
        assert log_loss(Y_VAL, found.predict_proba(X_VAL)) == pytest.approx(min(costs[:epoch]), rel=1e-9)
        assert found.best_iter_ == 1 + int(np.argmin(costs[:epoch]))


def test_an_epoch_begins_with_the_estimator_of_the_one_before():
    begun, ended = [], []

    def look(hook, context, given):
        if context.task_name == "epoch":
            (begun if hook == "begin" else ended).append(given["fitted_estimator"])

    net(max_iter=3).set_callbacks(Watching(look)).fit(X, Y)
    assert begun[0] is None
    for one, other in zip(begun[1:], ended):
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_a_callback_that_changes_its_estimator_changes_no_other():
    def spoil(hook, context, given):
        if given.get("fitted_estimator") is not None:
            for W in given["fitted_estimator"].parameters_.values():
                W[...] = np.nan
            given["fitted_estimator"].loss_curve_.clear()

    spoilt = net(early_stopping=True).set_callbacks(Watching(spoil)).fit(X, Y)
    plain = net(early_stopping=True).fit(X, Y)
    np.testing.assert_array_equal(spoilt.predict_proba(X), plain.predict_proba(X))
    assert spoilt.loss_curve_ == plain.loss_curve_


def test_names_of_features_are_kept():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = net(max_iter=2)
    for found in estimators_of(model, frame, Y):
        assert list(found.feature_names_in_) == list("abcd")
        np.testing.assert_array_equal(found.predict(frame).shape, Y.shape)  # no warning


def test_the_estimator_of_an_epoch_has_no_attributes_of_an_earlier_fit():
    frame, frame_val = (pd.DataFrame(rows, columns=list("abcd")) for rows in (X, X_VAL))
    model = net(class_weight="balanced").fit(frame, Y, X_val=frame_val, y_val=Y_VAL)
    model.set_params(class_weight=None)
    for found in estimators_of(model, X, Y):
        assert found.predict(X).shape == Y.shape  # no warning of names that are missing
        assert getattr(found, "validation_scores_", None) is None
        assert getattr(found, "class_weight_", None) is None
    assert not hasattr(model, "feature_names_in_")


# Callbacks of scikit-learn.


@pytest.mark.parametrize("validation", [{}, VALIDATION], ids=["", "validation"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
def test_a_scoring_monitor_scores_each_epoch(weight, validation):
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    net(max_iter=3, early_stopping=bool(validation)).set_callbacks(monitor).fit(X, Y, weight, **validation)
    rows = monitor.get_logs().data
    assert [row["task_name"] for row in rows] == ["fit", "epoch", "epoch", "epoch"]
    for epoch, row in zip([3, 1, 2, 3], rows):
        model = net(max_iter=epoch, early_stopping=bool(validation)).fit(X, Y, weight, **validation)
        assert row["accuracy"] == pytest.approx(accuracy_score(Y, model.predict(X), sample_weight=weight))
        assert -row["neg_log_loss"] == pytest.approx(log_loss(Y, model.predict_proba(X), sample_weight=weight))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_scoring_monitor_scores_the_networks_of_a_search(n_jobs):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    network = net(max_iter=2).set_callbacks(monitor)
    search = GridSearchCV(make_pipeline(StandardScaler(), network), {}, cv=2, n_jobs=n_jobs).fit(X, Y)
    (log,) = monitor.get_logs(select="all")
    assert Counter(row["task_name"] for row in log.data) == {"fit": 3, "epoch": 6}
    last = max((row for row in log.data if row["task_name"] == "epoch"), key=lambda row: row["task_id_path"])
    assert last["accuracy"] == search.score(X, Y)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_a_progress_bar_is_drawn(capsys, in_pipeline):
    pytest.importorskip("rich")
    model = make_pipeline(StandardScaler(), net()) if in_pipeline else net()
    model.set_callbacks(callback.ProgressBar()).fit(X, Y)
    lines = [line for line in capsys.readouterr().out.splitlines() if f"{OURS} - fit" in line]
    assert "100%" in lines[-1]


def test_a_progress_bar_is_drawn_for_a_search_in_two_processes(capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(net(max_iter=2), {"learning_rate": [0.01, 0.1]}, cv=2, n_jobs=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    done = [line for line in lines if f"{OURS} - fit" in line and "100%" in line]
    assert len(done) >= 5


def test_one_callback_serves_clones_in_several_threads():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    models = [net(random_state=seed).set_callbacks(monitor, EarlyStopping(patience=2)) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        fitted = list(pool.map(lambda model: clone(model).fit(X, Y), models))
    logs = monitor.get_logs(select="all")
    assert len(logs) == 4
    scores = Counter(log.data[0]["accuracy"] for log in logs)
    assert scores == Counter(model.score(X, Y) for model in fitted)
    assert all(len(log.data) == 1 + 4 for log in logs)


def test_the_package_works_without_scikit_learn_s_with_callbacks():
    script = """
import sklearn.callback
del sklearn.callback.with_callbacks
from sklearn.base import clone
from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import TimeBudget
network = clone(DeepNNClassifier((2,), learning_rate=0.001, max_iter=2).set_callbacks(TimeBudget(seconds=60)))
print(network.fit([[0.0], [1.0]], [0, 1]).n_iter_)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
