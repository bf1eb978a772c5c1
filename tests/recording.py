"""A small problem, and callbacks that record their calls."""

from functools import partial

import estimator_cases
import numpy as np
from sklearn.datasets import load_iris

from sklearn_deepnn.callbacks import Callback

HOOKS = ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"]
X, Y = load_iris(return_X_y=True)
rng = np.random.default_rng(0)
Y = np.where(rng.random(len(Y)) < 0.2, rng.integers(3, size=len(Y)), Y)  # so that networks overfit
X_VAL, Y_VAL, X, Y = X[::3], Y[::3], X[np.arange(150) % 3 > 0], Y[np.arange(150) % 3 > 0]


net = partial(estimator_cases.net, max_iter=4, batch_size="auto")


class Noting(Callback):
    """Appends its name, the hook and the epoch to a list; may raise at a hook, or stop training."""

    def __init__(self, notes, name="", error_at=None, error=None, stops_at=None):
        self.notes, self.name, self.error_at, self.error, self.stops_at = notes, name, error_at, error, stops_at

    def _note(self, hook, run):
        self.notes.append((self.name, hook, run.state.epoch))
        if (hook, run.state.epoch) == self.error_at:
            raise self.error
        return run.state.epoch == self.stops_at

    def on_train_begin(self, run):
        self._note("on_train_begin", run)

    def on_epoch_begin(self, run):
        self._note("on_epoch_begin", run)

    def on_epoch_end(self, run):
        return self._note("on_epoch_end", run)

    def on_train_end(self, run):
        self._note("on_train_end", run)


class Calling(Callback):
    """Calls a function with the run after every epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, run):
        self.function(run)
