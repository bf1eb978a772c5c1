"""Searches on clusters of several processes, and data that come in parts: the same numbers as in one process."""

import io
import logging
import os
import signal
import sys
import tempfile
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from one_network import one_network
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

from sklearn_deepnn.callbacks import Callback, EarlyStopping, HistoryLogger, ModelCheckpoint, TimeBudget
from sklearn_deepnn.callbacks.progress import progress_display

X, Y = make_classification(600, 40, n_informative=8, random_state=0)
WEIGHT = np.random.default_rng(0).random(len(X)) + 0.5
LAYERS = [(4,), (6,), (8,), (4, 4), (6, 4), (8, 4), (4, 6), (8, 6)]
N_FITS = 3 * len(LAYERS)


def net(**parameters):
    return one_network(**{"max_iter": 6, "batch_size": 64, "random_state": 0} | parameters)


def search(*callbacks, layers=LAYERS, **parameters):
    network = net(**parameters)
    if callbacks:
        network.set_callbacks(*callbacks)
    return GridSearchCV(network, {"hidden_layer_dims": layers}, cv=3, scoring="neg_log_loss", refit=False, n_jobs=2)


def assert_same_scores(found, expected):
    """See that two searches have the same scores, to the bit."""
    scores = {name: values for name, values in expected.cv_results_.items() if "test_score" in name}
    assert len(scores) == 6
    for name, values in scores.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(found.cv_results_[name], values)


class KillsItsProcess(Callback):
    """Kill the process in the middle of a fit, once, when so many fits are done that all three folds are among them.

    Files in a folder tell of it in all processes.
    """

    def __init__(self, folder):
        self.folder = folder

    def on_epoch_end(self, run):
        if run.state.epoch == 2 and len(list(self.folder.glob("done-*"))) > N_FITS * 2 // 3:
            try:
                (self.folder / "killed").touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_end(self, run):
        (self.folder / f"done-{uuid4()}").touch()


@pytest.fixture(scope="module")
def alone():
    """The search in one process, and on one thread."""
    return search().set_params(n_jobs=None).fit(X, Y)


@pytest.fixture(scope="module")
def client():
    """A client of a dask cluster of two processes, in each of which two fits run at once."""
    distributed = pytest.importorskip("distributed")
    address = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with (
        tempfile.TemporaryDirectory() as folder,
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, local_directory=folder, **address) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
        processes = client.run(os.getpid).values()
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.fixture
def ray(monkeypatch):
    """Two ray workers, for joblib."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # they import this module
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "include_dashboard": False}
    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=2, object_store_memory=100 * 2**20, _temp_dir=folder, **quiet)
        register_ray()
        try:
            yield ray
        finally:
            ray.shutdown()


# Several fits in one process.


@pytest.mark.parametrize("batch_size", [64, 600], ids=["small", "in parts"])
def test_fits_in_threads_of_one_process_are_those_of_one_after_another(blas_threads, batch_size):
    dims = [(256, 256), (300, 256), (256, 300), "auto"]
    networks = [net(hidden_layer_dims=each, max_iter=3, batch_size=batch_size) for each in dims]
    expected = [clone(network).fit(X, Y) for network in networks]
    found = Parallel(n_jobs=4, backend="threading")(delayed(network.fit)(X, Y) for network in networks)
    for network, other in zip(found, expected):
        for name, values in other.parameters_.items():
            np.testing.assert_array_equal(network.parameters_[name], values)
    assert blas_threads() == {3}


# dask.


def test_a_search_on_dask_has_the_scores_of_one_process(client, alone):
    with parallel_config("dask"):
        assert_same_scores(search().fit(X, Y), alone)


def test_weights_and_validation_data_reach_the_fits_on_dask(client):
    given = {"sample_weight": WEIGHT, "X_val": X[::7], "y_val": Y[::7], "sample_weight_val": WEIGHT[::7]}
    expected = search(n_iter_no_change=1, early_stopping=True).set_params(n_jobs=None).fit(X, Y, **given)
    with parallel_config("dask"):
        assert_same_scores(search(n_iter_no_change=1, early_stopping=True).fit(X, Y, **given), expected)


def test_a_search_ends_with_the_same_scores_when_a_worker_is_killed(client, alone, tmp_path, monkeypatch):
    before = set(client.run(os.getpid).values())
    client.amm.stop()
    monkeypatch.setattr(client, "scatter", partial(client.scatter, broadcast=True))
    try:
        with parallel_config("dask"):
            assert_same_scores(search(KillsItsProcess(tmp_path)).fit(X, Y), alone)
    finally:
        client.amm.start()
    assert (tmp_path / "killed").exists()
    client.wait_for_workers(2, timeout=60)
    after = set(client.run(os.getpid).values())
    assert len(after) == 2
    assert len(after & before) == 1


def test_data_are_sent_to_dask_once_and_not_with_each_fit(client, monkeypatch):
    tcp, sent = pytest.importorskip("distributed.comm.tcp").TCP, []
    write = tcp.write

    async def counting_write(*arguments, **options):
        sent.append(await write(*arguments, **options))
        return sent[-1]

    def bytes_of_a_search(layers):
        sent.clear()
        with parallel_config("dask"):
            search(layers=layers, max_iter=1).fit(wide, Y, sample_weight=WEIGHT)
        return sum(sent)

    monkeypatch.setattr(tcp, "write", counting_write)
    wide = np.random.default_rng(0).normal(size=(len(X), 1000))
    few, many = bytes_of_a_search(LAYERS[:1]), bytes_of_a_search(LAYERS)
    assert few > wide.nbytes
    assert many - few < wide.nbytes


def test_callbacks_watch_fits_on_dask_as_they_do_in_one_process(client, alone, tmp_path):
    callbacks = (
        HistoryLogger(tmp_path / "history.csv"),
        ModelCheckpoint(tmp_path / "checkpoints", keep=1),
        TimeBudget(seconds=600),
        EarlyStopping(patience=1000),
    )
    with parallel_config("dask"):
        assert_same_scores(search(*callbacks).fit(X, Y), alone)
    heading, *lines = (tmp_path / "history.csv").read_text().splitlines()
    fields = [dict(zip(heading.split(","), line.split(","))) for line in lines]
    epochs = {}
    for field in fields:
        epochs.setdefault(field["run"], []).append(int(field["epoch"]))
    assert list(epochs.values()) == [[1, 2, 3, 4, 5, 6]] * N_FITS
    assert len(list(Path(tmp_path, "checkpoints").glob("*"))) == N_FITS


def display_in_a_terminal():
    """Return the name of the class of what shows progress, where this is called."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    with redirect_stdout(terminal):
        return type(progress_display()).__name__


def test_workers_of_dask_show_no_bars(client):
    pytest.importorskip("tqdm")
    assert display_in_a_terminal() == "ProgressLine"
    assert client.submit(display_in_a_terminal, pure=False).result() == "EpochPrinter"


def test_verbose_fits_on_dask_have_the_same_scores(client, alone):
    with parallel_config("dask"):
        assert_same_scores(search(verbose=1).fit(X, Y), alone)


# ray.


@pytest.mark.skipif(os.name == "nt", reason="the process is killed by a signal")
def test_a_search_on_ray_has_the_scores_of_one_process_even_if_a_worker_is_killed(ray, alone, tmp_path):
    with parallel_config("ray", ray_remote_args={"max_restarts": -1, "max_task_retries": -1}):
        assert_same_scores(search(KillsItsProcess(tmp_path)).fit(X, Y), alone)
    assert (tmp_path / "killed").exists()


# Data in parts.


def test_incremental_learns_block_by_block_as_partial_fit_does():
    array = pytest.importorskip("dask.array")
    Incremental = pytest.importorskip("dask_ml.wrappers").Incremental
    parts = np.split(np.arange(len(X)), 6)
    blocks = array.from_array(X, chunks=(100, X.shape[1])), array.from_array(Y, chunks=100)
    expected = net(hidden_layer_dims=(8,))
    for part in parts:
        expected.partial_fit(X[part], Y[part], classes=[0, 1])
    model = Incremental(net(hidden_layer_dims=(8,)), shuffle_blocks=False).fit(*blocks, classes=[0, 1])
    assert model.estimator_.n_iter_ == 6
    np.testing.assert_array_equal(model.estimator_.parameters_["W1"], expected.parameters_["W1"])
    np.testing.assert_allclose(model.predict_proba(blocks[0]).compute(), expected.predict_proba(X), rtol=1e-12)


def test_parts_of_a_parquet_file_are_learned_as_arrays_are(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    names = [f"x{i}" for i in range(X.shape[1])]
    labels = np.where(Y > 0, "yes", "no")
    table = pa.table({**dict(zip(names, X.T)), "label": labels})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=100)
    streamed, expected = net(hidden_layer_dims=(8,)), net(hidden_layer_dims=(8,))
    with pq.ParquetFile(tmp_path / "rows.parquet") as file:
        assert file.num_row_groups == 6
        for number in range(file.num_row_groups):
            group = file.read_row_group(number)
            streamed.partial_fit(group.drop_columns("label"), group["label"].to_numpy(), classes=["no", "yes"])
    for part in np.split(np.arange(len(X)), 6):
        expected.partial_fit(X[part], labels[part], classes=["no", "yes"])
    assert streamed.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(streamed.parameters_["W1"], expected.parameters_["W1"])
