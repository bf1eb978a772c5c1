import csv
import json
import math
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from recording import X_VAL, Y_VAL, Calling, Noting, X, Y, net
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn.callbacks import HistoryLogger, MLflowLogger, Run
from sklearn_deepnn.callbacks.logs import create_file
from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.training.state import FIELDS, TrainingState

SUFFIXES = [".csv", ".jsonl"]
VALIDATION = {"X_val": X_VAL, "y_val": Y_VAL}
CURVES = {
    "cost": "loss_curve_",
    "validation_cost": "validation_loss_curve_",
    "validation_score": "validation_scores_",
    "learning_rate": "learning_rate_curve_",
}


def entries(path):
    """Return the entries of a log, whose first line is a heading if it is a .csv."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]


def logged_run(epoch, name):
    """Return a run that has come to an epoch in 5 seconds."""
    state = TrainingState(None, None, memories={"log": {"seconds": 5.0}}, name=name)
    for _ in range(epoch):
        state.begin_epoch_entry(cost=0.5, learning_rate=0.1)
    return Run(state, last_epoch=9, callback="log")


# Files.


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_log_has_what_the_curves_have(tmp_path, suffix):
    path, before = tmp_path / "new" / f"history{suffix}", datetime.now(UTC)
    model = net(scoring="accuracy", early_stopping=True, learning_rate_schedule="cosine")
    model.set_callbacks(HistoryLogger(path)).fit(X, Y, **VALIDATION)
    log = entries(path)
    for name, curve in CURVES.items():
        assert [float(entry[name]) for entry in log] == [float(value) for value in getattr(model, curve)]
    assert [int(entry["epoch"]) for entry in log] == [1, 2, 3, 4]
    assert len({entry["run"] for entry in log}) == 1
    assert list(log[0]) == list(FIELDS)
    seconds = [float(entry["seconds"]) for entry in log]
    assert 0 <= seconds[0] < seconds[-1]
    assert seconds == sorted(seconds)
    times = [datetime.fromisoformat(entry["time"]) for entry in log]
    assert before - timedelta(milliseconds=1) <= times[0] <= times[-1] <= datetime.now(UTC)


@pytest.mark.parametrize(("suffix", "value"), [(".csv", ""), (".jsonl", None)])
def test_what_is_not_recorded_is_left_out(tmp_path, suffix, value):
    path = tmp_path / f"history{suffix}"
    net().set_callbacks(HistoryLogger(str(path))).fit(X, Y)
    assert [entry.get("validation_cost", None) for entry in entries(path)] == [value] * 4


def test_pandas_reads_a_csv_as_numbers(tmp_path):
    path = tmp_path / "history.csv"
    models = [net(random_state=seed).set_callbacks(HistoryLogger(path)).fit(X, Y) for seed in range(2)]
    frame = pd.read_csv(path)
    np.testing.assert_allclose(frame["cost"], models[0].loss_curve_ + models[1].loss_curve_, rtol=1e-12)
    assert frame["run"].nunique() == 2
    assert frame["validation_cost"].isna().all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_line_is_there_at_once(tmp_path, suffix):
    path, seen = tmp_path / f"history{suffix}", []
    follower = Calling(lambda run: seen.append([int(entry["epoch"]) for entry in entries(path)]))
    net(max_iter=3).set_callbacks(HistoryLogger(path), follower).fit(X, Y)
    assert seen == [[1], [1, 2], [1, 2, 3]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_line_that_a_process_left_unfinished_spoils_no_other(tmp_path, suffix):
    path = tmp_path / f"history{suffix}"
    logger = HistoryLogger(path)
    net(max_iter=2).set_callbacks(logger).fit(X, Y)
    whole = path.read_bytes()
    path.write_bytes(whole[:-15])
    net(max_iter=2).set_callbacks(logger).fit(X, Y)
    lines = path.read_text().splitlines()
    assert len(lines) == (1 if suffix == ".csv" else 0) + 4
    assert lines[:-2] == whole[:-15].decode().splitlines()
    ends = [dict(zip(FIELDS, line.split(","))) if suffix == ".csv" else json.loads(line) for line in lines[-2:]]
    assert [int(entry["epoch"]) for entry in ends] == [1, 2]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_resumed_training_writes_no_epoch_twice(tmp_path, suffix):
    path = tmp_path / f"history{suffix}"
    logger = HistoryLogger(path)
    for epoch, name in ((0, "a"), (0, "b"), (2, "a")):  # the third resumes the first after epoch 2
        run = logged_run(epoch, name=name)
        logger.on_train_begin(run)
        for cost in (1.0, 2.0, 3.0):
            run.state.begin_epoch_entry(cost=cost, learning_rate=0.1)
            logger.on_epoch_end(run)
    log = [(entry["run"], int(entry["epoch"]), float(entry["cost"])) for entry in entries(path)]
    assert log[:6] == [("a", 1, 1), ("a", 2, 2), ("a", 3, 3), ("b", 1, 1), ("b", 2, 2), ("b", 3, 3)]
    assert log[6:] == [("a", 4, 2), ("a", 5, 3)]
    assert all(float(entry["seconds"]) >= 5 for entry in entries(path)), "the time before is part of it"


def test_a_number_that_is_not_finite_leaves_valid_json(tmp_path):
    for suffix in SUFFIXES:
        path = tmp_path / f"history{suffix}"
        model = net(optimizer="sgd", learning_rate=1e300).set_callbacks(HistoryLogger(path))
        with pytest.raises(ValueError, match="diverged"):
            model.fit(X, Y)
        (entry,) = entries(path)
        assert entry["cost"] is None if suffix == ".jsonl" else not math.isfinite(float(entry["cost"]))
        assert float(entry["learning_rate"]) == 1e300


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_processes_of_a_search_share_a_file(tmp_path, suffix):
    path = tmp_path / f"history{suffix}"
    search = GridSearchCV(net(max_iter=20), {"hidden_layer_dims": [(), (4,), (5,)]}, cv=3, n_jobs=2, refit=False)
    search.estimator.set_callbacks(HistoryLogger(path))
    search.fit(X, Y)
    log = entries(path)
    assert len(log) == 9 * 20
    assert path.read_text().count(",".join(FIELDS)) == (suffix == ".csv")
    by_run = {}
    for entry in log:
        by_run.setdefault(entry["run"], []).append(int(entry["epoch"]))
    assert list(by_run.values()) == [list(range(1, 21))] * 9
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


def test_a_heading_is_written_by_the_first_of_two_that_begin_together(tmp_path):
    path = tmp_path / "history.csv"
    create_file(path, "heading\n")
    create_file(path, "another\n")
    assert path.read_text() == "heading\n"
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


def test_where_files_cannot_be_linked_the_heading_is_written_all_the_same(tmp_path, monkeypatch):
    def link(source, target):
        raise PermissionError("not on this file system")

    monkeypatch.setattr("os.link", link)
    path = tmp_path / "history.csv"
    net(max_iter=2).set_callbacks(HistoryLogger(path)).fit(X, Y)
    assert [entry["epoch"] for entry in entries(path)] == ["1", "2"]


def test_an_empty_file_gets_a_heading(tmp_path):
    path = tmp_path / "history.csv"
    path.touch()
    net(max_iter=2).set_callbacks(HistoryLogger(path)).fit(X, Y)
    assert [entry["epoch"] for entry in entries(path)] == ["1", "2"]


@pytest.mark.parametrize("where", ["a folder", "below a file"])
def test_a_file_that_cannot_be_written_is_an_error_before_training(tmp_path, where):
    notes, path = [], tmp_path / "history.csv"
    path.mkdir() if where == "a folder" else path.touch()
    path = path if where == "a folder" else path / "history.csv"
    model = net().set_callbacks(Noting(notes), HistoryLogger(path))
    with pytest.raises(OSError, match=r"history\.csv"):
        model.fit(X, Y)
    assert [hook for _, hook, _ in notes] == ["on_train_begin", "on_train_end"]


def test_a_file_that_can_no_longer_be_written_is_a_warning(tmp_path):
    path, folder = tmp_path / "history.csv", tmp_path / "elsewhere"

    def move(run):
        if run.state.epoch == 2:
            path.rename(folder)
            path.mkdir()
        if run.state.epoch == 4:
            path.rmdir()

    model = net(max_iter=6).set_callbacks(HistoryLogger(path), Calling(move))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, Y)
    ((category, message, filename),) = [(w.category, str(w.message), w.filename) for w in caught]
    assert (category, filename) == (RuntimeWarning, __file__)
    assert message.startswith("HistoryLogger failed after epoch 3, and training continues: IsADirectoryError")
    assert str(path) in message
    assert model.n_iter_ == 6
    assert [entry["epoch"] for entry in entries(folder.rename(tmp_path / "first.csv"))] == ["1", "2"]
    assert [entry["epoch"] for entry in entries(path)] == ["5", "6"]


def test_a_full_disk_is_one_warning_before_and_during_training(tmp_path, monkeypatch):
    def write(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", write)
    with pytest.warns(RuntimeWarning, match="HistoryLogger failed before the first epoch, .*No space left") as caught:
        model = net().set_callbacks(HistoryLogger(tmp_path / "history.csv")).fit(X, Y)
    assert len(caught) == 1
    assert model.n_iter_ == 4


def test_a_csv_that_could_not_be_begun_gets_its_heading_later(tmp_path, monkeypatch):
    def fail_once(*_):
        monkeypatch.undo()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sklearn_deepnn.callbacks.logs.create_file", fail_once)
    with pytest.warns(RuntimeWarning, match="HistoryLogger failed before the first epoch, .*No space left"):
        net().set_callbacks(HistoryLogger(tmp_path / "history.csv")).fit(X, Y)
    assert [entry["epoch"] for entry in entries(tmp_path / "history.csv")] == ["1", "2", "3", "4"]


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for path in ("~/a.csv", Path("~/b.jsonl")):
        net().set_callbacks(HistoryLogger(path)).fit(X, Y)
        assert len(entries(tmp_path / Path(path).name)) == 4


@pytest.mark.parametrize("path", ["history.txt", "history", 3, None, Path("folder.csv/history")], ids=str)
def test_a_path_of_another_kind_is_rejected(path):
    with pytest.raises(InvalidParameterError, match=r"path must be the path of a file ending in \.csv or \.jsonl, got"):
        HistoryLogger(path)


# MLflow.


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """Have MLflow log to a folder."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the one store that needs no other package
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    return pytest.importorskip("mlflow")


def runs_of(mlflow):
    """Return all runs, the first first."""
    return mlflow.MlflowClient().search_runs(["0"], order_by=["attributes.start_time ASC"])


def logged(mlflow, run_id, name):
    """Return the steps and the values of a metric."""
    metrics = mlflow.MlflowClient().get_metric_history(run_id, name)
    return [metric.step for metric in metrics], [metric.value for metric in metrics]


def test_a_run_of_its_own_has_curves_and_parameters(mlflow):
    model = net(scoring="accuracy", early_stopping=True).set_callbacks(MLflowLogger()).fit(X, Y, **VALIDATION)
    (run,) = runs_of(mlflow)
    for name, curve in CURVES.items():
        assert logged(mlflow, run.info.run_id, name) == ([1, 2, 3, 4], getattr(model, curve))
    assert run.data.params == {name: str(value) for name, value in model.get_params().items()}
    assert run.info.status == "FINISHED"
    assert mlflow.active_run() is None


def test_the_active_run_is_logged_to_and_stays_active(mlflow):
    with mlflow.start_run() as run:
        mlflow.log_param("max_iter", "mine")
        model = net().set_callbacks(MLflowLogger()).fit(X, Y)
        assert mlflow.active_run().info.run_id == run.info.run_id
        assert mlflow.get_run(run.info.run_id).info.status == "RUNNING"
    (run,) = runs_of(mlflow)
    assert logged(mlflow, run.info.run_id, "cost") == ([1, 2, 3, 4], model.loss_curve_)
    assert run.data.params["max_iter"] == "mine"
    assert run.data.params["hidden_layer_dims"] == "(6,)"


def test_an_active_run_is_not_ended_by_a_training_that_began_with_its_own(mlflow):
    model = net().set_callbacks(MLflowLogger()).partial_fit(X, Y, classes=[0, 1, 2])
    with mlflow.start_run() as run:
        model.partial_fit(X, Y)
        assert mlflow.get_run(run.info.run_id).info.status == "RUNNING"
        assert logged(mlflow, run.info.run_id, "cost")[0] == [2]


def test_a_warm_start_goes_on_in_the_same_run(mlflow):
    model = net(max_iter=2, warm_start=True).set_callbacks(MLflowLogger()).fit(X, Y).fit(X, Y)
    (run,) = runs_of(mlflow)
    assert logged(mlflow, run.info.run_id, "cost") == ([1, 2, 3, 4], model.loss_curve_)


@pytest.mark.parametrize("error", [LookupError(), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_a_training_that_fails_is_a_failed_run(mlflow, error):
    model = net().set_callbacks(MLflowLogger(), Noting([], error_at=("on_epoch_end", 4), error=error))
    with pytest.raises(type(error)):
        model.fit(X, Y)
    assert [run.info.status for run in runs_of(mlflow)] == ["FAILED"]


def test_a_training_that_a_callback_stops_is_a_finished_run(mlflow):
    net().set_callbacks(MLflowLogger(), Noting([], stops_at=2)).fit(X, Y)
    assert [run.info.status for run in runs_of(mlflow)] == ["FINISHED"]


def test_each_fit_of_a_search_is_a_run(mlflow):
    search = GridSearchCV(net(max_iter=2), {"learning_rate": [0.01, 0.1]}, cv=2, refit=False)
    search.estimator.set_callbacks(MLflowLogger())
    search.fit(X, Y)
    runs = runs_of(mlflow)
    assert sorted(run.data.params["learning_rate"] for run in runs) == ["0.01", "0.01", "0.1", "0.1"]
    assert all(logged(mlflow, run.info.run_id, "cost")[0] == [1, 2] for run in runs)


def test_a_server_that_fails_meanwhile_is_a_warning(mlflow, monkeypatch):
    def fail(*_, **__):
        raise mlflow.MlflowException("no connection")

    def break_server(run):
        monkeypatch.setattr(mlflow, "log_metrics", fail)
        monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", fail)

    model = net(max_iter=2).set_callbacks(MLflowLogger(), Calling(break_server))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, Y)
    (message,) = [str(warning.message) for warning in caught]
    assert message == "MLflowLogger failed after epoch 2, and training continues: MlflowException: no connection"
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("method", ["log_batch", "get_run", "create_run"])
@pytest.mark.parametrize("error", [LookupError, OSError])
def test_a_server_that_fails_at_the_beginning_is_a_warning(mlflow, monkeypatch, method, error):
    def fail(*_, **__):
        raise error("no connection")

    monkeypatch.setattr(mlflow.MlflowClient, method, fail)
    with pytest.warns(RuntimeWarning, match="MLflowLogger failed .*: no connection") as caught:
        model = net().set_callbacks(MLflowLogger()).fit(X, Y)
    assert len(caught) == 1
    assert model.n_iter_ == 4


def children_of(mlflow, parent):
    """Return the runs below a run that have a curve."""
    runs = [run for run in runs_of(mlflow) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return [run for run in runs if "cost" in run.data.metrics]


def search_on(network, n_jobs):
    GridSearchCV(network, {"learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs, error_score="raise").fit(X, Y)


def cross_validate_on(network, n_jobs):
    cross_val_score(make_pipeline(StandardScaler(), network), X, Y, cv=5, n_jobs=n_jobs, error_score="raise")


@pytest.mark.parametrize("fit_many", [search_on, cross_validate_on])
@pytest.mark.parametrize("autologs", [False, True])
def test_in_an_active_run_each_of_many_fits_is_a_run_below_it(mlflow, fit_many, autologs):
    if autologs:
        mlflow.sklearn.autolog(silent=True, log_models=False, log_datasets=False)
    try:
        with mlflow.start_run() as parent:
            fit_many(net(max_iter=2).set_callbacks(MLflowLogger()), n_jobs=None)
            assert mlflow.active_run().info.run_id == parent.info.run_id
    finally:
        mlflow.sklearn.autolog(disable=True)
    children = children_of(mlflow, parent)
    assert len(children) == 5
    assert {run.info.status for run in children} == {"FINISHED"}
    assert all(logged(mlflow, run.info.run_id, "cost")[0] == [1, 2] for run in children)
    assert "cost" not in mlflow.get_run(parent.info.run_id).data.metrics
    assert {run.data.params["max_iter"] for run in children} == {"2"}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_fit_of_a_search_has_a_run_of_its_own_on_any_number_of_threads(mlflow, n_jobs):
    with mlflow.start_run(), parallel_config("threading"):
        search_on(net(max_iter=2).set_callbacks(MLflowLogger()), n_jobs)
    curves = [logged(mlflow, run.info.run_id, "cost")[0] for run in runs_of(mlflow)]
    assert sorted(curves) == [[]] + 5 * [[1, 2]]


def test_autologging_of_a_pipeline_does_not_disturb_a_fit(mlflow):
    mlflow.sklearn.autolog(silent=True, log_models=False, log_datasets=False)
    try:
        make_pipeline(StandardScaler(), net(max_iter=2).set_callbacks(MLflowLogger())).fit(X, Y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    (parent,) = [run for run in runs_of(mlflow) if "mlflow.parentRunId" not in run.data.tags]
    (child,) = children_of(mlflow, parent)
    assert (parent.data.params["verbose"], child.data.params["verbose"]) == ("False", "0")


def test_of_two_fits_in_an_active_run_the_second_is_a_run_below_it(mlflow):
    with mlflow.start_run() as parent:
        for random_state in range(2):
            network = net(random_state=random_state).set_callbacks(MLflowLogger())
            make_pipeline(StandardScaler(), network).fit(X, Y)
    (child,) = children_of(mlflow, parent)
    assert child.data.params["random_state"] == "1"
    assert logged(mlflow, parent.info.run_id, "cost")[0] == [1, 2, 3, 4]


def test_a_metric_of_the_user_does_not_take_the_active_run(mlflow):
    with mlflow.start_run() as run:
        mlflow.log_metric("cost", 7.0, step=0)
        model = net(max_iter=2).set_callbacks(MLflowLogger()).fit(X, Y)
    (run,) = runs_of(mlflow)
    assert logged(mlflow, run.info.run_id, "cost") == ([0, 1, 2], [7.0, *model.loss_curve_])
    assert run.data.tags["sklearn_deepnn.training"]


def test_a_training_takes_the_active_run_before_its_first_epoch(mlflow):
    with mlflow.start_run():
        inner = Calling(lambda run: None)
        inner.on_train_begin = lambda run: net(max_iter=2).set_callbacks(MLflowLogger()).fit(X, Y)
        net(max_iter=3).set_callbacks(MLflowLogger(), inner).fit(X, Y)
    assert sorted(logged(mlflow, run.info.run_id, "cost")[0] for run in runs_of(mlflow)) == [[1, 2], [1, 2, 3]]


def test_parts_stay_in_the_active_run(mlflow):
    with mlflow.start_run() as run:
        model = net().set_callbacks(MLflowLogger())
        for _ in range(3):
            model.partial_fit(X, Y, classes=[0, 1, 2])
    assert logged(mlflow, run.info.run_id, "cost")[0] == [1, 2, 3]
    assert len(runs_of(mlflow)) == 1


def test_without_mlflow_an_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match="MLflowLogger needs MLflow: pip install mlflow-skinny, or mlflow"):
        net().set_callbacks(MLflowLogger()).fit(X, Y)


def test_a_call_without_callbacks_does_not_change_the_name_of_a_training(tmp_path):
    log, model = HistoryLogger(tmp_path / "log.csv"), net()
    for callbacks in ([log], [], [log]):
        model.set_callbacks(*callbacks).partial_fit(X, Y, classes=[0, 1, 2])
    names = [entry["run"] for entry in entries(tmp_path / "log.csv")]
    assert len(names) == 2
    assert names[0] == names[1]
