"""Fitted networks of all kinds, and the libraries that save them, for the tests of saving."""

import copy
import functools
import io
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import skops.io

from sklearn_deepnn import DeepNNClassifier

NAME = "sklearn_deepnn.estimators.classifier.DeepNNClassifier"
Y = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 4)) + Y[:, np.newaxis]
INDICATORS = np.stack([Y == 0, Y > 0, Y > 1], axis=1) * 1
NAMES = np.array(["setosa", "versicolor", "virginica"])
FRAME = pd.DataFrame(X, columns=list("abcd"))
CALLS = {  # parameters, method, X, y
    "defaults": ({"max_iter": 3}, "fit", X, Y),
    "strings": ({"hidden_layer_dims": 5}, "fit", FRAME, NAMES[Y]),
    "objects": ({"hidden_layer_dims": [5], "ensemble_size": 2}, "fit", X, NAMES[Y].astype(object)),
    "two classes": ({"hidden_layer_dims": (5,), "warm_start": True, "optimizer": "lbfgs"}, "fit", X, Y == 1),
    "labels": ({"hidden_layer_dims": (5,), "dtype": "float32", "warm_start": True}, "fit", X, INDICATORS),
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
    "in parts": ({"hidden_layer_dims": (5,)}, "partial_fit", X, INDICATORS),
    "in parts, many": ({"ensemble_size": 3, "optimizer": "nadam"}, "partial_fit", X, INDICATORS),
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


def names_in(pickled):
    """Return the names of all that a pickle makes, but for those of NumPy and of Python."""
    found = set()

    class Recording(pickle.Unpickler):
        def find_class(self, module, name):
            found.add(f"{module}.{name}")
            return super().find_class(module, name)

    Recording(io.BytesIO(pickled)).load()
    return {name for name in found if name.split(".")[0] not in ("numpy", "_codecs", "builtins", "copyreg")}


def run_python(program, *arguments):
    """Return what a program prints that runs in a process of its own, where warnings are errors."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
