"""`TrainingState`: everything that training changes.

Training from a restored state gives the same bits as training that never stopped. A state is saved, restored and rolled
back field by field. A new field of arrays, dicts, lists, numbers and strings, with a default, needs no other code: a
file without the field restores the default. A field of another kind says in its metadata how it is restored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np

from ..network.parameters import Parameters
from ..typing import Array, History, State, Values
from .optimizers import Optimizer

Monitor: TypeAlias = Literal["auto", "cost", "validation_cost", "validation_score"]
RECORDED = "cost", "validation_cost", "validation_score", "learning_rate"  # what training records of an epoch
FIELDS = "run", "epoch", "time", "seconds", *RECORDED  # of an epoch in logs: callbacks measure values of other names
MONITORS: tuple[Monitor, ...] = get_args(Monitor)


def monitored_value(values: Mapping[str, Any], monitor: Monitor = "auto") -> Any:
    """Return the value that compares an epoch with others. Lower is better: a score counts negatively."""
    # "auto" takes the score. A validation cost replaces a score that is missing, and the cost a validation cost.
    if monitor in ("auto", "validation_score") and "validation_score" in values:
        return -values["validation_score"]
    return values["cost"] if monitor == "cost" else values.get("validation_cost", values["cost"])


def to_continue(restore: Callable[[TrainingState, Any], Any] | None = None) -> dict[str, Any]:
    """Return metadata of a field that only a continued training needs. Most such are as large as the parameters."""
    return {"to_continue": True} | ({} if restore is None else {"restore": restore})


@cache
def fields_of(dataclass_type: Any) -> list[tuple[str, bool]]:
    """Return the name of each field of a dataclass, and whether only a continued training needs the field."""
    return [(f.name, "to_continue" in f.metadata) for f in fields(dataclass_type)]


def plain(value: Any, *, continues: bool = True) -> Any:
    """Return a value as arrays, dicts, lists, numbers and strings that share no writeable memory with the value."""
    if value is None or isinstance(value, (int, float, str)):  # most fields: a snapshot of each epoch visits them all
        return value
    if isinstance(value, dict):
        if isinstance(value, Parameters):
            return value.vector.copy()
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        # a list that begins with a float is a curve of the history: visiting each number may take longer than an epoch
        return value.copy() if value and isinstance(value[0], float) else [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return value.copy() if value.flags.writeable else value
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if is_dataclass(value):
        return {
            name: plain(getattr(value, name), continues=continues) if continues or not to_continue else None
            for name, to_continue in fields_of(value.__class__)
        }
    return value


def copied(value: Any) -> Any:
    """Return nested dicts and lists with copies of their arrays, which may be memory maps of a file."""
    if isinstance(value, dict):
        return {name: copied(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [copied(entry) for entry in value]
    return np.array(value) if isinstance(value, np.ndarray) else value


@dataclass(frozen=True)
class Best:
    """The best epoch so far."""

    epoch: int  # counted from 1
    values: Values  # its entries of the history
    vector: Array = field(metadata=to_continue())  # the parameters after that epoch, as a vector


@dataclass
class Call:
    """The last call of `train`: what is needed to carry the call to its end."""

    optimizer: str = ""  # the class of the optimizer
    first_epoch: int = 0  # the epoch after which the call began
    start_cost: float = math.nan  # the cost of a sample of the training set when the call began
    # what ended the call before its last epoch: a callback, "convergence" or "divergence". Empty if nothing did.
    stopped_by: str = ""


def restored_generator(state: TrainingState, saved: Any) -> np.random.Generator:
    """Return the generator of a state, set to what was saved."""
    state.rng.bit_generator.state = saved
    return state.rng


def restored_parameters(state: TrainingState, vector: Array | None) -> Parameters | None:
    """Return a saved vector as parameters, with the names and shapes of the state's. None stays None."""
    # np.array, because copy() of a memory map is a memory map, too
    return None if vector is None else state.parameters.with_vector(np.array(vector))


def restored_best(state: TrainingState, saved: dict[str, Any] | None) -> Best | None:
    """Return the best epoch. Where its vector was not saved, the state's parameters are those of the best epoch."""
    if saved is None:
        return None
    vector = state.parameters.vector if saved["vector"] is None else saved["vector"]
    return Best(saved["epoch"], dict(saved["values"]), read_only(np.array(vector)))


def read_only(vector: Array) -> Array:
    """Return a view of a vector that cannot be written to."""
    view = vector.view()
    view.flags.writeable = False
    return view


@dataclass
class TrainingState:
    """Everything that training changes.

    Attributes
    ----------
    parameters : Parameters
    rng : numpy.random.Generator
        Draws the order of the examples, and which units drop out.
    best : Best or None
        The epoch with the lowest monitored value, where the best epoch is kept.
    optimizer_state : dict or None
        What the optimizer's `init` returned and its `update` changes. None before training.
    average : Parameters or None
        The exponential moving average of the parameters, if there is one.
    step : int
        Number of updates.
    history : dict of str to list of float
        A number per epoch: "cost", "learning_rate"; with validation "validation_cost"; with a scorer
        "validation_score".
    rate_factor : float
        What callbacks have multiplied the learning rate by.
    memories : dict of str to dict
        What each callback remembers.
    call : Call
        The last call of `train`.
    name : str
        What logs and checkpoints call this training. Empty if there are none.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import Callback
    >>> class Shapes(Callback):
    ...     def on_train_end(self, run):
    ...         print({name: array.shape for name, array in run.state.parameters.items()})
    >>> network = DeepNNClassifier((8,), ensemble_size=1, numeric_encoding=None, random_state=0)
    >>> network = network.set_callbacks(Shapes()).fit(*load_iris(return_X_y=True))
    {'W1': (8, 4), 'b1': (8, 1), 'W2': (3, 8), 'b2': (3, 1)}
    """

    parameters: Parameters = field(metadata=to_continue(restored_parameters))
    rng: np.random.Generator = field(metadata={"restore": restored_generator})
    best: Best | None = field(default=None, metadata={"restore": restored_best})
    optimizer_state: State | None = field(default=None, metadata=to_continue(lambda state, saved: copied(saved)))
    average: Parameters | None = field(default=None, metadata=to_continue(restored_parameters))
    step: int = 0
    history: History = field(default_factory=dict)
    rate_factor: float = 1.0
    memories: dict[str, dict[str, Any]] = field(default_factory=dict, metadata=to_continue())
    call: Call = field(default_factory=Call, metadata={"restore": lambda state, saved: Call(**saved)})
    name: str = field(default="", metadata=to_continue())

    @property
    def epoch(self) -> int:
        """Number of epochs trained."""
        return len(self.history.get("cost", ()))

    @property
    def newest(self) -> Values:
        """The last epoch's entries of the history."""
        return {name: curve[-1] for name, curve in self.history.items() if len(curve) == self.epoch}

    @property
    def current(self) -> Parameters:
        """The parameters to validate and to keep: their moving average, if there is one."""
        return self.parameters if self.average is None else self.average

    @property
    def best_epoch(self) -> int | None:
        """The best epoch, counted from 1, if the best epoch is kept."""
        return None if self.best is None else self.best.epoch

    @property
    def is_finite(self) -> bool:
        """Whether the last cost and all parameters are finite numbers."""
        return bool(np.isfinite(self.history["cost"][-1]) and np.isfinite(self.parameters.vector).all())

    def kept_parameters(self) -> Parameters:
        """Return the parameters of the best epoch, if the best epoch is kept; otherwise `current`."""
        return self.current if self.best is None else self.parameters.with_vector(self.best.vector.copy())

    def begin_epoch_entry(self, cost: float, learning_rate: float) -> None:
        """Append a new epoch to the history. Sets: history."""
        for name, value in (("cost", cost), ("learning_rate", learning_rate)):
            self.history.setdefault(name, []).append(value)

    def add_to_epoch(self, values: Values) -> None:
        """Set more values of the last epoch in the history; nan fills epochs without them. Sets: history."""
        for name, value in values.items():
            curve = self.history.setdefault(name, [])
            curve += [math.nan] * (self.epoch - 1 - len(curve))
            curve[self.epoch - 1 :] = [value]

    def keep_if_best(self, monitor: Monitor) -> None:
        """Keep a copy of the current parameters if the last epoch has the lowest monitored value. Sets: best."""
        values = self.newest
        value = monitored_value(values, monitor)
        if np.isfinite(value) and (self.best is None or not monitored_value(self.best.values, monitor) <= value):
            self.best = Best(self.epoch, values, read_only(self.current.vector.copy()))

    def best_recorded(self, monitor: Monitor) -> tuple[int, Values]:
        """Return the best epoch of the history, counted from 1, and its values; its parameters may not be kept."""
        names = self.newest.keys()
        curves = {name: np.asarray(self.history[name]) for name in names}
        values = monitored_value(curves, monitor)
        if np.isnan(values).all():  # a score that is undefined in all epochs
            values = monitored_value(curves, "validation_cost")
        best = int(np.nanargmin(values))
        return best + 1, {name: self.history[name][best] for name in names}

    def adopt(self, optimizer: Optimizer, *, averages: bool) -> None:
        """Keep the optimizer's state and the average if they fit, otherwise start new ones."""
        name, kept = type(optimizer).__name__, self.optimizer_state
        kind = optimizer.init(self.parameters.trainable[:0]).keys()
        if kept is None or (name, kind) != (self.call.optimizer, kept.keys()):
            self.optimizer_state = optimizer.init(self.parameters.trainable)
        self.call = replace(self.call, optimizer=name)
        if not averages:
            self.average = None
        elif self.average is None:
            self.average = self.parameters.copy()

    def to_dict(self, *, continues: bool = True) -> dict[str, Any]:
        """Return all fields as arrays, dicts, lists, numbers and strings, independent of the state."""
        # if not `continues`, a later training begins at the kept parameters, with a new optimizer state
        return plain(self, continues=continues)

    def restore(self, saved: Mapping[str, Any]) -> Self:
        """Set all fields to what `to_dict` returned, and return the state. Fields that `saved` omits stay."""
        continues = saved["parameters"] is not None  # other fields may be None in a state
        for f in fields(self):
            if f.name in saved and (continues or "to_continue" not in f.metadata):
                restore = f.metadata.get("restore", lambda state, entry: plain(entry))
                setattr(self, f.name, restore(self, saved[f.name]))
        return self
