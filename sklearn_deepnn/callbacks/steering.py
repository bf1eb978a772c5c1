"""Callbacks that steer a training or stop it."""

import math
import time
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ..checks import check_choice, check_flag, check_integer, check_real, reject
from .base import Callback, Run, title_of

Monitor: TypeAlias = Literal["auto", "cost", "validation_cost", "validation_score"]
MONITORS = get_args(Monitor)


def runs_out(memory: dict[str, Any], value: float, *, patience: int, min_delta: float) -> bool:
    """Count an epoch's value; say whether `patience` epochs in a row brought no improvement of more than `min_delta`.

    Parameters
    ----------
    memory : dict
        Changed: "lowest", the lowest value that was an improvement, and "n_waited", the epochs since.
    value : float
        The lower, the better.
    patience : int
    min_delta : float
        In the units of the value: values may be negative, so a share of them means nothing.

    Returns
    -------
    bool
    """
    improved = value < memory.get("lowest", math.inf) - min_delta
    memory["lowest"] = value if improved else memory.get("lowest", math.inf)
    memory["n_waited"] = 0 if improved else memory.get("n_waited", 0) + 1
    return memory["n_waited"] >= patience


def check_monitor(monitor: str, run: Run) -> None:
    """Raise if a training does not record what is to be monitored.

    Raises
    ------
    InvalidParameterError
    """
    if monitor.startswith("validation") and not run.validates:
        reject("monitor", "'auto' or 'cost' in a fit without validation data (early_stopping=True, or X_val)", monitor)


@dataclass(frozen=True)
class EarlyStopping(Callback):
    """Stop when `patience` epochs in a row brought no improvement; keep the best epoch's weights.

    Set on an estimator, it takes the place of `n_iter_no_change` and `tol`.

    Parameters
    ----------
    monitor : {"auto", "cost", "validation_cost", "validation_score"}, default="auto"
        What is to improve. "auto": what `scoring` says of the validation data, or without such data the training cost.
    patience : int, default=10
    min_delta : float, default=1e-4
        How large an improvement must be to count.
    restore_best : bool, default=True
        Whether to keep the weights of the best epoch, by the same measure; otherwise those of the last.

    Raises
    ------
    InvalidParameterError

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
    patience: int = 10
    min_delta: float = 1e-4
    restore_best: bool = True

    def __post_init__(self) -> None:
        check_choice("monitor", self.monitor, MONITORS)
        check_integer("patience", self.patience, 1)
        check_real("min_delta", self.min_delta, 0)
        check_flag("restore_best", self.restore_best)

    def on_train_begin(self, run: Run) -> None:
        """Say what tells the best epoch, and whether it is kept. Sets: state.monitor, state.keeps_best."""
        check_monitor(self.monitor, run)
        run.state.monitor, run.state.keeps_best = self.monitor, self.restore_best

    def on_epoch_end(self, run: Run) -> bool:
        """Return True when patience has run out."""
        value = run.state.judged_by(self.monitor)
        return runs_out(run.memory, value, patience=self.patience, min_delta=self.min_delta)


@dataclass(frozen=True)
class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when `patience` epochs in a row brought no improvement.

    It works on top of any `learning_rate_schedule`, and takes the place of "reduce_on_plateau".

    Parameters
    ----------
    monitor : {"auto", "cost", "validation_cost", "validation_score"}, default="auto"
        As in `EarlyStopping`.
    factor : float in (0, 1), default=0.2
    patience : int, default=5
        Less than that of an `EarlyStopping` beside it, which would stop before.
    min_delta : float, default=1e-4

    Raises
    ------
    InvalidParameterError

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import ReduceLROnPlateau
    >>> model = DeepNNClassifier((64,)).set_callbacks(ReduceLROnPlateau(factor=0.5, patience=3))
    """

    monitor: Monitor = "auto"
    factor: float = 0.2
    patience: int = 5
    min_delta: float = 1e-4

    def __post_init__(self) -> None:
        check_choice("monitor", self.monitor, MONITORS)
        check_real("factor", self.factor, 0, 1, closed="neither")
        check_integer("patience", self.patience, 1)
        check_real("min_delta", self.min_delta, 0)

    def on_train_begin(self, run: Run) -> None:
        """See whether there is what is to be monitored."""
        check_monitor(self.monitor, run)

    def on_epoch_end(self, run: Run) -> None:
        """Lower the rate when patience has run out, and wait again. Sets: state.rate_factor."""
        value = run.state.judged_by(self.monitor)
        if runs_out(run.memory, value, patience=self.patience, min_delta=self.min_delta):
            run.state.rate_factor *= self.factor
            run.memory.clear()


@dataclass(frozen=True)
class TimeBudget(Callback):
    """Stop before the epoch that would end after so many seconds, going by the longest epoch so far.

    At least one epoch is trained. A fit that is resumed goes on with what is left of its time.

    Parameters
    ----------
    seconds : float

    Raises
    ------
    InvalidParameterError

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
        """Look at the clock; go on if an earlier budget had run out and this has not. May set: state.stopped_by."""
        run.memory["at"] = time.perf_counter()
        if run.state.stopped_by == title_of(self) and not self._has_run_out(run.memory):
            run.state.stopped_by = ""

    def on_epoch_end(self, run: Run) -> bool:
        """Return True if another epoch would take too long."""
        memory, now = run.memory, time.perf_counter()
        took = now - memory["at"]
        memory["spent"], memory["longest"] = memory.get("spent", 0.0) + took, max(memory.get("longest", 0.0), took)
        memory["at"] = now
        return self._has_run_out(memory)

    def _has_run_out(self, memory: dict[str, Any]) -> bool:
        return memory.get("spent", 0.0) + memory.get("longest", 0.0) > self.seconds
