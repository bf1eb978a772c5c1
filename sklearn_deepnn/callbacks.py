"""What watches training, steers it, and says when to stop.

A callback has three hooks, all given the `TrainingState`: `on_train_begin`, before the first epoch of a call,
`on_epoch_end`, which returns True to stop, and `on_train_end`. `state.monitored` is what they go by: the lower, the
better.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

from .checks import check_integer, check_real


class Callback(Protocol):
    """What `train` calls."""

    def on_train_begin(self, state):
        """Prepare for a call of `train`."""

    def on_epoch_end(self, state):
        """Look at the epoch that has just been recorded; return True to stop."""

    def on_train_end(self, state):
        """Look at the result of a call of `train` that has not failed."""


@dataclass
class Patience:
    """Count the epochs in a row that bring no improvement of more than `min_delta`.

    Parameters
    ----------
    patience : int
        Epochs after which it has run out.
    min_delta : float
        How much lower a value must be to count, in its own units: values may be negative, so a share of them means
        nothing.
    """

    patience: int
    min_delta: float
    reference: float = field(default=math.inf, init=False)
    n_waited: int = field(default=0, init=False)

    def __post_init__(self):
        check_integer("patience", self.patience, 1)
        check_real("min_delta", self.min_delta, 0)

    def runs_out(self, value):
        """Count `value`; return True if there was no improvement for `patience` epochs. Sets: reference, n_waited."""
        improved = value < self.reference - self.min_delta
        self.reference = value if improved else self.reference
        self.n_waited = 0 if improved else self.n_waited + 1
        return self.n_waited >= self.patience


@dataclass
class EarlyStopping:
    """Stop when `patience` epochs in a row brought no improvement of more than `min_delta`.

    Parameters
    ----------
    patience : int, default=10
    min_delta : float, default=1e-4
    """

    patience: int = 10
    min_delta: float = 1e-4

    def __post_init__(self):
        self.on_train_begin(None)

    def on_train_begin(self, state):
        """Start to wait anew."""
        self._patience = Patience(self.patience, self.min_delta)

    def on_epoch_end(self, state):
        """Return True when patience has run out."""
        return self._patience.runs_out(state.monitored)

    def on_train_end(self, state):
        """Have nothing to do."""


@dataclass
class ReduceLROnPlateau:
    """Multiply the learning rate by `factor` when `patience` epochs in a row brought no improvement.

    Parameters
    ----------
    factor : float in (0, 1), default=0.2
    patience : int, default=5
    min_delta : float, default=1e-4
    """

    factor: float = 0.2
    patience: int = 5
    min_delta: float = 1e-4

    def __post_init__(self):
        check_real("factor", self.factor, 0, 1, closed="neither")
        self.on_train_begin(None)

    def on_train_begin(self, state):
        """Start to wait anew."""
        self._patience = Patience(self.patience, self.min_delta)

    def on_epoch_end(self, state):
        """Lower the rate when patience has run out, and wait again. Sets: state.rate_factor."""
        if self._patience.runs_out(state.monitored):
            state.rate_factor *= self.factor
            self.on_train_begin(state)

    def on_train_end(self, state):
        """Have nothing to do."""


@dataclass
class EpochPrinter:
    """Print a line for every so many epochs: epoch, costs, score, learning rate.

    Parameters
    ----------
    every : int, default=1
    """

    every: int = 1

    def on_train_begin(self, state):
        """Have nothing to prepare."""

    def on_epoch_end(self, state):
        """Print the newest entries of the history."""
        if state.epoch % self.every == 0:
            self._print(state)

    def on_train_end(self, state):
        """Print the last epoch, if it has not been, and which one is kept."""
        if state.epoch % self.every:
            self._print(state)
        if state.best_epoch is not None:
            print(f"the weights of epoch {state.best_epoch} are kept", flush=True)

    def _print(self, state):
        newest = "  ".join(f"{name.replace('_', ' ')} {value:<9.4g}" for name, value in state.newest.items())
        print(f"epoch {state.epoch:>4}  {newest}".rstrip(), flush=True)
