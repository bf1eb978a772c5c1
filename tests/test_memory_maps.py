"""Networks that are loaded as memory maps of their file."""

import copy
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from one_network import one_network
from reference import assert_same
from saving_cases import CALLS, LIBRARIES, NAME, X, Y, fitted, names_in, save

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.training.optimizers import OPTIMIZERS


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
    model = one_network((1000, 500), ensemble_size=1, dtype="float64", max_iter=1, random_state=0)
    return model.fit(X, np.arange(12) % 3), X


@pytest.mark.parametrize("name", CALLS)
def test_a_mapped_network_predicts_the_same_and_is_mapped_in_all_its_arrays(tmp_path, name):
    model, X = fitted(name), CALLS[name][2]
    again = mapped(model, tmp_path / "model")
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function", "hidden_activations"):
        found = getattr(again, method)(X)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, getattr(model, method)(X))
    preparation = [again.training_state_["preparation"]["scaling"], vars(again).get("encoding_")]
    arrays = [*again.parameters_.values(), *arrays_in(preparation)]
    assert len(arrays) > 4
    for array in arrays:
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert array.flags.aligned
        assert array.ctypes.data % 16 == 0


@pytest.mark.parametrize("parameters", [{}, {"ensemble_size": 3}, {"batch_norm": True}], ids=str)
def test_predicting_copies_nothing_of_a_mapped_network(tmp_path, peak_bytes, parameters):
    X = np.random.default_rng(0).normal(size=(12, 100))
    model = one_network((500, 400), max_iter=1, random_state=0, **parameters).fit(X, np.arange(12) % 3)
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
def test_a_mapped_network_continues_training_and_then_does_not_need_its_file(tmp_path, method, optimizer):
    parameters = {"hidden_layer_dims": (5,), "max_iter": 3, "optimizer": optimizer, "random_state": 0}
    model, path = DeepNNClassifier(warm_start=True, **parameters).fit(X, Y), tmp_path / "model"
    again = mapped(model, path)
    for each in (model, again):
        getattr(each, method)(X, Y)
    with open(path, "r+b") as file:  # what is still mapped becomes zeros
        file.write(bytes(path.stat().st_size))
    assert_same(vars(again), vars(model))
    assert names_in(pickle.dumps(again)) == {NAME}


@pytest.mark.parametrize("copied_by", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_copy_of_a_mapped_network_continues_training(tmp_path, method, copied_by):
    model = DeepNNClassifier((5,), max_iter=3, early_stopping=True, warm_start=True, random_state=0).fit(X, Y)
    again = copied_by(mapped(model, tmp_path / "model"))
    for each in (model, again):
        getattr(each, method)(X, Y)
    assert_same(vars(again), vars(model))


def test_a_mapped_network_can_be_saved_and_copied(tmp_path):
    model = fitted("in parts, many")
    again = mapped(model, tmp_path / "model")
    for library in ("pickle 5", "joblib", "skops"):
        np.testing.assert_array_equal(LIBRARIES[library](again).predict_proba(X), model.predict_proba(X))
