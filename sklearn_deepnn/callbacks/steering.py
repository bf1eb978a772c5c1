"""Callbacks that stop a training or change its learning rate."""

import math
import time
from dataclasses import dataclass
from typing import Any

from ..checks import check_choice, check_flag, check_patience, check_real, reject
from ..training.run import Run, name_of
from ..training.state import MONITORS, Monitor
from .base import Callback


def patience_runs_out(memory: dict[str, Any], value: float, *, patience: float, min_delta: float) -> bool:
    """Say whether `patience` epochs have not lowered the monitored value by more than `min_delta`. Sets: memory."""
    # memory["lowest"] is the lowest value that was an improvement, memory["n_waited"] the number of epochs since then.
    # min_delta is an absolute difference: values may be negative, so a fraction of a value has no meaning.
    improved = value < memory.get("lowest", math.inf) - min_delta
    memory["lowest"] = value if improved else memory.get("lowest", math.inf)
    memory["n_waited"] = 0 if improved else memory.get("n_waited", 0) + 1
    return memory["n_waited"] >= patience


class Monitoring(Callback):
    """A callback that looks at a monitored value."""

    monitor: Monitor

    def on_train_begin(self, run: Run) -> None:
        """Check that the training records the value to monitor."""
        if self.monitor.startswith("validation") and not run.validates:
            rule = "'auto' or 'cost' in a fit without validation data (early_stopping=True, or X_val)"
            reject("monitor", rule, self.monitor)


@dataclass(frozen=True)
class EarlyStopping(Monitoring):
    """Stop after `patience` epochs in a row without improvement; keep the weights of the best epoch.

    On an estimator, this callback replaces `n_iter_no_change` and `tol`.

    Parameters
    ----------
    monitor : {"auto", "cost", "validation_cost", "validation_score"}, default="auto"
        The monitored value. "auto" is the value of `scoring` on the validation data, or else the training cost.
    patience : int or np.inf, default=10
        np.inf never stops.
    min_delta : float, default=1e-4
        The monitored value must improve by more than this, measured from its value at the last improvement: smaller
        gains add up.
    restore_best : bool, default=True
        Whether to keep the weights of the epoch with the best monitored value, or else those of the last epoch.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import EarlyStopping
    >>> model = DeepNNClassifier((16,), random_state=0).set_callbacks(EarlyStopping(patience=3, min_delta=0.01))
    >>> model.fit(*load_iris(return_X_y=True)).n_iter_ < 200
    True
    """

    monitor: Monitor = "auto"
    patience: float = 10
    min_delta: float = 1e-4
    restore_best: bool = True

    def __post_init__(self) -> None:
        check_choice("monitor", self.monitor, MONITORS)
        check_patience("patience", self.patience)
        check_real("min_delta", self.min_delta, 0)
        check_flag("restore_best", self.restore_best)

    def on_epoch_end(self, run: Run) -> bool:
        """Return True if patience has run out."""
        value = run.monitored(self.monitor)
        return patience_runs_out(run.memory, value, patience=self.patience, min_delta=self.min_delta)


@dataclass(frozen=True)
class ReduceLROnPlateau(Monitoring):
    """Multiply the learning rate by `factor` after `patience` epochs in a row without improvement.

    The factor multiplies the rate of any `learning_rate_schedule`. On an estimator, this callback replaces
    learning_rate_schedule="reduce_on_plateau".

    Parameters
    ----------
    monitor : {"auto", "cost", "validation_cost", "validation_score"}, default="auto"
        As in `EarlyStopping`.
    factor : float in (0, 1), default=0.2
    patience : int or np.inf, default=5
        Choose it smaller than the patience of `EarlyStopping`, which otherwise stops training first.
    min_delta : float, default=1e-4
        As in `EarlyStopping`.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import ReduceLROnPlateau
    >>> model = DeepNNClassifier((64,)).set_callbacks(ReduceLROnPlateau(factor=0.5, patience=3))
    """

    monitor: Monitor = "auto"
    factor: float = 0.2
    patience: float = 5
    min_delta: float = 1e-4

    def __post_init__(self) -> None:
        check_choice("monitor", self.monitor, MONITORS)
        check_real("factor", self.factor, 0, 1, closed="neither")
        check_patience("patience", self.patience)
        check_real("min_delta", self.min_delta, 0)

    def on_epoch_end(self, run: Run) -> None:
        """Lower the rate if patience has run out, and start to count anew. Sets: state.rate_factor."""
        value = run.monitored(self.monitor)
        if patience_runs_out(run.memory, value, patience=self.patience, min_delta=self.min_delta):
            run.state.rate_factor *= self.factor
            run.memory.clear()


@dataclass(frozen=True)
class TimeBudget(Callback):
    """Stop before the next epoch would exceed a time budget, if that epoch takes as long as the longest so far.

    At least one epoch is trained. A resumed fit has the remaining time.

    Parameters
    ----------
    seconds : float
        The most that a call of `fit` may take.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import TimeBudget
    >>> model = DeepNNClassifier(max_iter=10_000).set_callbacks(TimeBudget(seconds=60))
    """

    seconds: float

    def __post_init__(self) -> None:
        check_real("seconds", self.seconds, 0, closed="neither")

    def on_train_begin(self, run: Run) -> None:
        """Start the clock. A larger budget continues a training that a smaller one has stopped. Sets: stopped_by."""
        run.memory |= {"at": time.perf_counter(), "loading": 0.0}
        if run.stopped_by == name_of(self) and not self._has_run_out(run.memory):
            run.state.call.stopped_by = ""

    def on_epoch_end(self, run: Run) -> bool:
        """Return True if another epoch would exceed the budget."""
        memory, now = run.memory, time.perf_counter()
        duration = now - memory["at"]
        memory["spent"] = memory.get("spent", 0.0) + duration
        # no other epoch will have to load compiled loops
        loading = run.loading_seconds - memory["loading"]
        memory["longest"] = max(memory.get("longest", 0.0), duration - loading)
        memory |= {"at": now, "loading": run.loading_seconds}
        return self._has_run_out(memory)

    def _has_run_out(self, memory: dict[str, Any]) -> bool:
        return memory.get("spent", 0.0) + memory.get("longest", 0.0) > self.seconds
