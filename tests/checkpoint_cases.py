"""A small problem, comparisons of fits to the bit, and interruptions, for the tests of checkpoints and Ctrl-C."""

import copy
import os
import secrets
import subprocess
import sys
from functools import partial
from pathlib import Path

import estimator_cases
import numpy as np
import pytest
from estimator_cases import fitted
from reference import assert_same

import sklearn_deepnn
from sklearn_deepnn.callbacks import Callback, ModelCheckpoint
from sklearn_deepnn.callbacks.checkpoints import checkpoints_in, epoch_of
from sklearn_deepnn.estimators.resuming import name_of_training
from sklearn_deepnn.training.optimizers import OPTIMIZERS
from sklearn_deepnn.training.schedules import SCHEDULES, inverse_scaling

ROOT, TESTS = Path(sklearn_deepnn.__file__).parents[1], Path(__file__).parent
N_FSYNCS = 2 if os.name == "posix" else 1  # for each file that is written: of the file, and of its folder

net = partial(estimator_cases.net, max_iter=6)


def blobs(n_samples=60, seed=0):
    """Return overlapping clouds, class by class in turn."""
    y = np.arange(n_samples) % 3
    return np.random.default_rng(seed).normal(2 * np.eye(3, 4)[y], 1.0), y


X, Y = blobs()
X_VAL, Y_VAL = blobs(seed=1)
WEIGHT = np.linspace(0, 2, 60)
SEVERAL = np.stack([Y == 0, Y > 0, X[:, 0] > 1], axis=1) * 1

RESUMED = {
    **{optimizer: {"optimizer": optimizer} for optimizer in OPTIMIZERS},
    **{schedule: {"learning_rate_schedule": schedule} for schedule in SCHEDULES},
    "callable schedule": {"learning_rate_schedule": partial(inverse_scaling, learning_rate=0.01)},
    "dropout": {"dropout_rate": 0.3},
    "batch_norm": {"batch_norm": True},
    "averaging": {"weight_averaging": 2.0},
    "held out": {"early_stopping": True},
    "held out and averaged": {"early_stopping": True, "weight_averaging": 1.5, "dropout_rate": 0.3},
    "held out and scored": {"early_stopping": True, "scoring": "accuracy"},
    "ensemble": {"ensemble_size": 3},
    "ensemble with all": {
        "ensemble_size": 3,
        "batch_norm": True,
        "dropout_rate": 0.3,
        "weight_averaging": 1.5,
        "label_smoothing": 0.1,
        "max_grad_norm": 1.0,
        "scoring": "accuracy",
    },
    "lbfgs with all": {"optimizer": "lbfgs", "dropout_rate": 0.3, "batch_norm": True},
    "float32": {"dtype": "float32", "early_stopping": True},
    "robust": {"scale_inputs": "robust"},
    "unscaled": {"scale_inputs": None},
    "class weights": {"class_weight": "balanced"},
    "in order": {"shuffle": False},
    "whole set": {"batch_size": None},
    "linear": {"hidden_layer_dims": ()},
    "automatic": {"hidden_layer_dims": "auto", "ensemble_size": 2, "batch_size": "auto"},
}


def trained(model):
    """Return the fitted attributes, without what belongs to one call, to its callbacks or to checkpoints."""
    attributes = copy.deepcopy(fitted(model))
    state = attributes["training_state_"]
    for name in ("memories", "name"):
        del state[name]
    for name in ("first_epoch", "start_cost"):
        del state["call"][name]
    del state["preparation"]["data_hash"]
    return attributes


def assert_same_fit(a, b, X=X, *, finished=True):
    """Check that two fits are the same to the bit. Fits that were not finished have no report."""
    fits = trained(a), trained(b)
    for fit in fits:
        fit["report_"] = fit["report_"] if finished else []
    assert_same(*fits)
    assert_same(a.predict_proba(X), b.predict_proba(X))


def new_run(key="0123abcd"):
    """Return the name of a training that begins now."""
    return name_of_training(None, key or secrets.token_hex(4))


def epochs_in(folder):
    """Return the epochs of the checkpoints in a folder."""
    return [epoch_of(path) for path in checkpoints_in(Path(folder))]


def write_second_checkpoint(folder, **parameters):
    """Write the checkpoint of the second of six epochs to a folder that has no other, and return its path."""
    net(**parameters).set_callbacks(ModelCheckpoint(folder, keep=None)).fit(X, Y)
    paths = checkpoints_in(folder)
    for path in paths[:1] + paths[2:]:
        path.unlink()
    return paths[1]


def fail_at(monkeypatch, owner, name, failing, error=OSError):
    """Make the calls of a function fail whose number a predicate picks; return the list of calls."""
    function, calls = getattr(owner, name), []

    def unreliable(*arguments, **options):
        calls.append(arguments)
        if failing(len(calls)):
            raise error("No space left on device")
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, unreliable)
    return calls


class Interrupt(Callback):
    """Press Ctrl-C in a hook, after so many epochs."""

    def __init__(self, hook, epoch):
        self.hook, self.epoch, self.n_complete = hook, epoch, 0

    def on_train_begin(self, run):
        self.press("on_train_begin", run)

    def on_epoch_begin(self, run):
        self.press("on_epoch_begin", run)

    def on_epoch_end(self, run):
        self.press("on_epoch_end", run)
        self.n_complete += 1

    def press(self, hook, run):
        if (hook, run.state.epoch) == (self.hook, self.epoch):
            raise KeyboardInterrupt


def interrupted(model, *data, **options):
    """Return a model whose `fit` was interrupted by Ctrl-C."""
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, **options)
    return model


def run_python(program, *arguments, **options):
    """Start a process that runs a program with this package, the modules of the tests, and one BLAS thread."""
    path = os.pathsep.join([str(ROOT), str(TESTS)])
    environment = os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, **options)
