"""Training: the only loop. Mini-batches, steps, epochs, and the state that they change.

Conventions: columns are examples. `X` (n_0, n) may be dense or sparse; `Y` is (n_L, n) targets or (1, n) class numbers.
A training set is described, never copied: batches are gathered, scaled and converted as they are drawn. The members of
an ensemble train side by side, each on examples and in an order of its own; their arrays are stacked on a first axis.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import repeat
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import gen_batches, gen_even_slices

from ..callbacks import Callback, Run
from ..callbacks.base import title_of
from ..callbacks.progress import EpochPrinter
from ..checks import check_integer, check_real, warn_user
from ..network.losses import LOSSES, compute_cost, joint_logits
from ..network.model import (
    LayerCache,
    Network,
    initialize_parameters,
    keep_freed_memory,
    map_logits,
    model_backward,
    model_forward,
    running_statistics,
    take_columns,
)
from ..network.parameters import Parameters
from ..network.scaling import Moments, Scaling, fold_scaling, fold_scaling_backward, unfold_scaling
from ..threads import SINGLE_THREADED_BLAS, ThreadPool, allowed_threads
from ..typing import Array, Arrays, Columns, History, Inputs, MatrixLike, Maybe, State, Values
from .optimizers import SGD, Optimizer, flush_subnormals
from .regularizers import clip_by_global_norm, decay_weights, l2_gradient, l2_penalty
from .schedules import SCHEDULES, Schedule

Validate: TypeAlias = Callable[[Arrays], Values]  # parameters to values for the history

BLOW_UP = 10.0  # times the cost before: noise and momentum raise a healthy cost by less
FAR_WORSE = 10.0  # times the cost of guessing: networks that have hardly been trained yet cost less
N_PROBE = 200  # examples whose cost, before and after, tells whether training has diverged
RUNNING_MOMENTUM = 0.9  # of the running statistics of batch normalisation
READY_BYTES = 2**22  # of inputs that are scaled and converted before training, not as they are drawn
GATHERED_BYTES = 2**20  # of the inputs and targets of small batches, gathered at once
COST_NUMBERS = 2**14  # in outputs that wait for their cost to be worked out
BLOCK_BYTES = 2**18  # of the parameters, updated at once: fits the cache with all that it is updated by
SHARED_BLOCK_BYTES = 2**20  # the same for threads, which wait for each other between the operations on a block
# bytes of weights times examples that are worth a thread: 3 ms, where waking it costs 0.1 ms
WORK_OF_PART = 360_000_000
PART_COLUMNS = 64  # examples with which products are efficient
FLUSH_STEPS = 100  # between two looks for subnormal numbers, which Adam's mean takes about 800 to get to
AVERAGING_START = 5.0  # at step t the average reaches back t / 5 steps, until that is as far as it should
MOST_PARTS = 8  # each has a gradient of its own, as large as the weights


class Examples(NamedTuple):
    """A set to train or validate on.

    Attributes
    ----------
    X : ndarray or sparse array of shape (n_0, n)
    Y : ndarray or sparse array of shape (n_L, n), or (1, n)
        Targets, or class numbers.
    sample_weight : ndarray of shape (n,), or None
    columns : ndarray of int, of shape (m,) or (ensemble_size, m), or None
        The examples that belong to the set, or to that of each member of an ensemble; None means all.
    scaling : Scaling or None
        What the network wants the inputs to be scaled by.
    """

    X: Inputs
    Y: Inputs
    sample_weight: Array | None = None
    columns: Maybe[Array] = None
    scaling: Scaling | None = None

    @property
    def members(self) -> Columns:
        """What indexes the examples of the set: its columns, or a slice of all."""
        return slice(None) if self.columns is None else self.columns

    def at(self, positions: Columns) -> Columns:
        """Return the columns of X that hold the examples at some positions in the set, a slice or an array."""
        if self.columns is None or np.ndim(positions) < 2 or self.columns.ndim == 1:
            return positions if self.columns is None else self.columns[..., positions]
        starts = np.arange(len(self.columns))[:, np.newaxis] * self.columns.shape[1]
        return self.columns.take(starts + positions)

    def ready_for(self, dtype: DTypeLike) -> Self:
        """Return the set with X scaled and converted beforehand where that fits the cache, else as it is."""
        if issparse(self.X) or self.X.size * np.dtype(dtype).itemsize > READY_BYTES:
            return self
        X = self.X if self.scaling is None else self.scaling.apply(self.X, dtype)
        return self._replace(X=np.ascontiguousarray(X.T, dtype=dtype).T, scaling=None)

    def mean_weight(self) -> float:
        """Return the mean weight of the examples in the set, 1 if they have none."""
        if self.sample_weight is None:
            return 1.0
        weight = self.sample_weight[self.members]
        largest = weight.max()
        return float(largest * (weight / largest).mean())  # whose sum cannot overflow

    def spread_sample(self, n_most: int) -> Self:
        """Return at most n_most of the examples, spread evenly over the set, whatever it is sorted by."""
        positions = np.linspace(0, self.n - 1, min(n_most, self.n)).astype(np.intp)
        return self._replace(columns=self.at(positions))

    def scaled_by(self, weight_scale: float) -> Self:
        """Return the set with its weights divided by a number."""
        return self if self.sample_weight is None else self._replace(sample_weight=self.sample_weight / weight_scale)

    @property
    def n(self) -> int:
        """Number of examples in the set."""
        return self.X.shape[1] if self.columns is None else self.columns.shape[-1]


class Batch(NamedTuple):
    """Examples ready for the network.

    Attributes
    ----------
    A0 : ndarray or sparse array of shape (n_0, m)
    Y : ndarray of shape (n_L, m)
    sample_weight : ndarray of shape (m,), or None
    scaling : Scaling or None
        What is left for the first layer to do, of sparse inputs.
    """

    A0: Inputs
    Y: Array
    sample_weight: Array | None
    scaling: Scaling | None = None

    def part(self, piece: slice) -> Batch:
        """Return the examples at a slice."""
        weight = None if self.sample_weight is None else self.sample_weight[..., piece]
        return Batch(self.A0[..., piece], self.Y[..., piece], weight, self.scaling)


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Parameters
    ----------
    optimizer : instance of a class in `OPTIMIZERS`
    learning_rate : float
    schedule : str or callable
        Name in `SCHEDULES`, or a function of the step that returns the rate.
    batch_size : int or None
        None, or more than there are examples: the whole set.
    weight_decay, label_smoothing : float
    max_grad_norm : float or None
    shuffle : bool
        Whether each epoch draws a new order.
    averaging_epochs : float
        Epochs that the moving average of the parameters, which is what is kept, reaches back; 0 keeps them as they are.
    """

    optimizer: Optimizer
    learning_rate: float
    schedule: str | Schedule = "constant"
    batch_size: Maybe[int] = None
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    max_grad_norm: float | None = None
    shuffle: bool = True
    averaging_epochs: float = 0.0

    def schedule_over(self, n_steps: int) -> Schedule:
        """Return the schedule, a function of the step, for a horizon of n_steps."""
        schedule = "constant" if self.optimizer.full_batch else self.schedule  # which finds its step lengths by itself
        if callable(schedule):
            return partial(checked_rate, schedule)
        return partial(SCHEDULES[schedule], learning_rate=self.learning_rate, n_steps=n_steps)


def checked_rate(schedule: Schedule, step: int) -> float:
    """Return the rate of a schedule as Python's float: one of NumPy's would make float32 steps float64.

    Raises
    ------
    InvalidParameterError
        If it is no number of at least 0.
    """
    return float(check_real("learning_rate_schedule(step)", schedule(step), 0))


# the fields of TrainingState that are saved in another form, follow from others, or are chosen anew by each call
NOT_PLAIN = {"parameters", "optimizer_state", "rng", "newest", "best_vector", "average", "moments", "scaling"}
NOT_PLAIN |= {"monitor", "keeps_best", "warned", "memories", "lasting_memories", "key"}
OF_A_CALL = {"n_samples", "data_hash", "first_epoch", "start_cost", "peak_cost"}


@dataclass
class TrainingState:
    """Everything that training changes: to go on from it is to have never stopped.

    Attributes
    ----------
    parameters : Parameters
    rng : numpy.random.Generator
        Of the order of examples, and of what drops out.
    optimizer_state : dict or None
        None until training starts.
    optimizer_name : str or None
        The class whose state that is.
    epoch, step : int
        Epochs and updates made.
    history : dict of str to list of float
        One entry per epoch: "cost", "learning_rate"; if validated "validation_cost", if scored "validation_score".
    split_seed : int
        Of the split into training and validation set, which has to stay when training goes on.
    weight_scale : float or None
        What sample weights are divided by.
    newest : dict of str to float
        The last epoch's entries of the history.
    rate_factor : float
        What callbacks have multiplied the learning rate by.
    best_epoch, best_values, best_vector
        With validation: the epoch with the lowest `monitored`, what this call's validation data say of it, and the
        vector of the parameters that were judged.
    average : Parameters or None
        The moving average of the parameters, if one is taken.
    scaling : Scaling or None
        Of the inputs.
    moments : Moments or None
        Those of all inputs so far, where they come in parts.
    n_samples : int or None
        How many the last call of `fit` began with, held-out ones included.
    first_epoch : int
        The epoch after which the last call of `train` began, be it cut off since.
    stopped_by : str
        What has ended it before its last epoch: the class of a callback, "convergence" or "divergence"; or empty.
    data_hash, key : str
        What tells its data, and its data and parameters, from others; empty if nobody asks.
    name : str
        What logs and checkpoints call the training; empty if nobody asks.
    start_cost, peak_cost : float
        The cost before that call, and the highest of an epoch since.
    monitor : str
        What tells the best epoch; see `judged_by`.
    keeps_best : bool
        Whether its parameters are kept.
    memories, lasting_memories : dict of str to dict
        What callbacks remember during a call, and from one call to the next.
    warned : list of str
        What the last call of `train` warned of.
    """

    parameters: Maybe[Parameters]
    rng: np.random.Generator
    optimizer_state: Maybe[State] = None
    epoch: int = 0
    step: int = 0
    history: History = field(default_factory=dict)
    split_seed: int = 0
    weight_scale: float | None = None
    optimizer_name: str | None = None
    rate_factor: float = 1.0
    best_epoch: int | None = None
    best_values: Maybe[Values] = None
    best_vector: Array | None = None
    newest: Values = field(default_factory=dict)
    average: Parameters | None = None
    scaling: Scaling | None = None
    moments: Moments | None = None
    n_samples: int | None = None
    first_epoch: int = 0
    stopped_by: str = ""
    data_hash: str = ""
    key: str = ""
    name: str = ""
    start_cost: float = math.nan
    peak_cost: float = math.nan
    monitor: str = "auto"
    keeps_best: bool = False
    memories: dict[str, dict[str, Any]] = field(default_factory=dict)
    lasting_memories: dict[str, dict[str, Any]] = field(default_factory=dict)
    warned: list[str] = field(default_factory=list)

    @property
    def current(self) -> Parameters:
        """The parameters to judge and to keep: their moving average, if one is taken, otherwise as they are."""
        return self.parameters if self.average is None else self.average

    @property
    def monitored(self) -> float:
        """What the newest epoch is judged by, the lower the better."""
        return self.judged_by(self.monitor)

    def judged_by(self, monitor: str) -> float:
        """Return the number that the newest epoch is judged by, the lower the better; see `judged`."""
        return judged(self.newest, monitor)

    @property
    def finite(self) -> bool:
        """Whether the newest cost and all parameters are finite numbers."""
        return bool(np.isfinite(self.newest["cost"]) and np.isfinite(self.parameters.vector).all())

    def adopt_optimizer(self, optimizer: Optimizer) -> None:
        """Start its state, unless there is one of its kind to go on from. Sets: optimizer_state, optimizer_name."""
        name, kept = type(optimizer).__name__, self.optimizer_state
        kind = optimizer.init(self.parameters.trainable[:0]).keys()  # without the arrays
        if kept is None or (name, kind) != (self.optimizer_name, kept.keys()):
            self.optimizer_state, self.optimizer_name = optimizer.init(self.parameters.trainable), name

    def begin(self, start_cost: float) -> None:
        """Begin a call of `train`. Sets: first_epoch, stopped_by, start_cost, peak_cost, memories."""
        self.first_epoch, self.stopped_by, self.memories = self.epoch, "", {}
        self.start_cost = self.peak_cost = start_cost

    def watched_by(self, callbacks: Iterable[Callback], **about: Any) -> list[tuple[Callback, Run]]:
        """Return callbacks, each with the `Run` to call it with. Sets: memories, lasting_memories."""
        watched, n_of_class = [], Counter[str]()
        for callback in callbacks:
            name = type(callback).__name__
            n_of_class[name] += 1
            memories = self.lasting_memories if callback.remembers_for_good else self.memories
            memory = memories.setdefault(f"{name} {n_of_class[name]}", {})
            watched.append((callback, Run(self, memory=memory, **about)))
        return watched

    def end_epoch(self, *, cost: float, learning_rate: float) -> None:
        """Count an epoch and record its values. Sets: epoch, history, newest, peak_cost."""
        self.epoch, self.newest, self.peak_cost = self.epoch + 1, {}, max(self.peak_cost, cost)
        self.record({"cost": cost, "learning_rate": learning_rate})

    def record(self, values: Values) -> None:
        """Append values of the current epoch to the history. Sets: history, newest."""
        self.newest |= values
        for name, value in values.items():
            curve = self.history.setdefault(name, [])
            curve += [math.nan] * (self.epoch - 1 - len(curve))  # of epochs that were not validated
            curve.append(value)

    def keep_if_best(self) -> None:
        """Keep a copy of the parameters if `monitored` is the lowest so far, and they are kept at all. Sets: best_*."""
        if not self.keeps_best or not np.isfinite(self.monitored):
            return
        if self.best_values is None or not judged(self.best_values, self.monitor) <= self.monitored:
            self.best_epoch, self.best_values = self.epoch, self.newest.copy()
            self.best_vector = self.current.vector.copy()

    def best_recorded(self) -> tuple[int, Values]:
        """Return which epoch of the history is best, by `monitored`, and its values; it need not have been kept."""
        judgements = judged({name: np.asarray(self.history[name]) for name in self.newest}, self.monitor)
        best = int(np.nanargmin(judgements))
        return best + 1, {name: self.history[name][best] for name in self.newest}

    def judge_best_by(self, validate: Validate | None) -> None:
        """Judge the best epoch so far by this call's validation data, or forget it if it is not kept. Sets: best_*."""
        if not self.keeps_best:
            self.best_epoch = self.best_values = self.best_vector = None
        elif self.best_vector is not None and validate is not None:
            self.best_values = self.best_values | validate(self.kept_parameters())
        elif self.best_vector is not None and "validation_cost" in self.best_values:  # which nothing compares with now
            self.best_epoch = self.best_values = self.best_vector = None

    def kept_parameters(self) -> Parameters:
        """Return the best epoch's parameters where epochs were validated, otherwise the `current`."""
        if self.best_vector is None:
            return self.current
        best = Parameters(self.parameters)
        best.vector[...] = self.best_vector
        return best

    def return_to_best(self) -> None:
        """Go on from the best epoch's parameters, with an optimizer and an average that know nothing yet. Sets: all."""
        self.parameters, self.optimizer_state, self.average = self.kept_parameters(), None, None

    def mark(self, *, whole: bool) -> dict[str, Any]:
        """Return what `return_to` needs, copied: the parameters that count, or if `whole` all that training changes."""
        # what an epoch does not replace but change is the vectors, the curves and the stream
        mark = vars(self) | {"history": tuple(self.history), "rng": self.rng.bit_generator.state}
        del mark["parameters"], mark["average"]
        if not whole:
            return mark | {"current": None if self.best_vector is not None else self.current.vector.copy()}
        vectors = [None if part is None else part.vector.copy() for part in (self.parameters, self.average)]
        changing = "optimizer_state", "memories", "lasting_memories"
        return mark | copy.deepcopy({name: getattr(self, name) for name in changing}) | {"vectors": vectors}

    def return_to(self, mark: dict[str, Any]) -> None:
        """Be as `mark` found it; of what it did not keep, nothing counts. Sets: all."""
        names, current = mark.pop("history"), mark.pop("current", None)
        parts = (self.parameters, self.average)
        for part, vector in zip(parts, mark.pop("vectors", [current, current])):
            if part is not None and vector is not None:
                part.vector[...] = vector
        self.rng.bit_generator.state = mark.pop("rng")
        for kind in ("memories", "lasting_memories"):
            for name, remembered in mark.pop(kind).items():
                memory = getattr(self, kind)[name]  # the one that the callback has
                if memory is not remembered:
                    memory.clear()
                    memory.update(remembered)
        vars(self).update(mark)
        self.history = {name: self.history[name][: self.epoch] for name in names}

    def to_dict(self, *, resumable: bool = True, cut_off: bool = False) -> dict[str, Any]:
        """Return all that `from_dict` needs beside the kept parameters: arrays, dicts, lists and numbers alone.

        Parameters
        ----------
        resumable : bool, default=True
            Whether to keep what is as large as the parameters: the optimizer's moments, the average, and what else the
            kept parameters do not tell to the bit.
        cut_off : bool, default=False
            Whether to keep also what only the call of `train` needs that this state is in the middle of.

        Returns
        -------
        dict
        """
        left_out = NOT_PLAIN if cut_off else NOT_PLAIN | OF_A_CALL
        saved = {name: value for name, value in vars(self).items() if name not in left_out}
        saved["rng"] = self.rng.bit_generator.state
        saved["optimizer_state"] = self.optimizer_state if resumable else None
        vectors = {"last": self.parameters.vector, "best": self.best_vector}
        if self.average is not None:
            vectors["average"] = self.average.vector
        saved["vectors"] = vectors if resumable else {}
        saved["name"] = self.name if resumable else ""
        for kind, kept in (("memories", cut_off), ("lasting_memories", resumable)):
            saved[kind] = {name: memory for name, memory in getattr(self, kind).items() if memory and kept}
        for name in ("scaling", "moments"):
            arrays = getattr(self, name)
            saved[name] = None if arrays is None else arrays._asdict()
        return saved

    @classmethod
    def from_dict(cls, saved: dict[str, Any], kept: Arrays) -> Self:
        """Return the state that `to_dict` saved, free to change without changing what was saved.

        Parameters
        ----------
        saved : dict
        kept : dict of str to ndarray
            The parameters that were kept, `kept_parameters`, folded with the scaling.

        Returns
        -------
        TrainingState
            Whose optimizer_state is None if it was not kept.
        """
        history = {name: list(curve) for name, curve in saved["history"].items()}  # deepcopy visits each number
        saved = copy.deepcopy({**saved, "history": None}) | {"history": history}
        rng, vectors = np.random.default_rng(), saved.pop("vectors")
        rng.bit_generator.state = saved.pop("rng")
        scaling = saved["scaling"] = saved["scaling"] and Scaling(**saved["scaling"])
        saved["moments"] = saved["moments"] and Moments(**saved["moments"])
        parameters = Parameters(unfold_scaling(kept, scaling))
        state = cls(parameters, rng, **saved)
        state.newest = {name: curve[-1] for name, curve in state.history.items() if len(curve) == state.epoch}
        if state.best_epoch is not None:
            state.best_vector = vectors.get("best", parameters.vector.copy())
        if "average" in vectors:
            state.average = Parameters(parameters)
            state.average.vector[...] = vectors["average"]
        parameters.vector[...] = vectors.get("last", parameters.vector)
        return state


def judged(values: Mapping[str, Any], monitor: str = "auto") -> Any:
    """Return the one number that an epoch is judged by, the lower the better.

    Parameters
    ----------
    values : dict of str to float
        An epoch's entries of the history.
    monitor : {"auto", "cost", "validation_cost", "validation_score"}
        The entry; of a score its negative. Where none is recorded the validation cost stands for it, and with "auto"
        the cost for that.

    Returns
    -------
    float
    """
    if monitor in ("auto", "validation_score") and "validation_score" in values:
        return -values["validation_score"]
    return values["cost"] if monitor == "cost" else values.get("validation_cost", values["cost"])


def draw_batch(
    examples: Examples, columns: Columns, network: Network, dtype: DTypeLike, label_smoothing: float = 0.0
) -> Batch:
    """Gather and convert some examples.

    Parameters
    ----------
    examples : Examples
    columns : slice, or ndarray of int of shape (m,) or (ensemble_size, m)
    network : Network
    dtype : dtype
    label_smoothing : float, default=0.0

    Returns
    -------
    Batch
    """
    Y = draw_targets(examples, columns, network, dtype, label_smoothing)
    weight, scaling = examples.sample_weight, examples.scaling
    weight = None if weight is None else weight[columns].astype(dtype, copy=False)
    if scaling is None or issparse(examples.X):
        return Batch(take_columns(examples.X, columns, dtype), Y, weight, scaling)
    return Batch(scaling.apply(take_columns(examples.X, columns, None), dtype), Y, weight)


def draw_targets(
    examples: Examples, columns: Columns, network: Network, dtype: DTypeLike, label_smoothing: float = 0.0
) -> Array:
    """Gather and encode the targets of some examples.

    Parameters
    ----------
    examples, columns, network, dtype, label_smoothing
        As in `draw_batch`.

    Returns
    -------
    ndarray of shape (n_L, m)
    """
    Y = take_columns(examples.Y, columns, None)
    if isinstance(Y, list):  # sparse ones of each member of an ensemble
        Y = np.stack([of_member.toarray() for of_member in Y])
    return LOSSES[network.loss].encode(Y, network.layer_dims[-1], dtype, label_smoothing)


class Batches:
    """The mini-batches of an epoch, in an order drawn anew for each.

    Small batches are gathered many at once, as far as they stay in the cache: each gathering costs a dozen calls.

    Parameters
    ----------
    examples : Examples
    network : Network
    recipe : Recipe
    dtype : dtype

    Attributes
    ----------
    size : int
        Examples in a batch; the last may have fewer.
    """

    examples: Examples
    shuffle: bool
    n_orders: int
    size: int
    pieces: list[slice]
    _order: Maybe[Array]
    _gathered: tuple[slice, Maybe[Batch]]

    def __init__(self, examples: Examples, network: Network, recipe: Recipe, dtype: DTypeLike) -> None:
        self.examples, self.n_orders, n = examples, network.ensemble_size, examples.n
        whole = recipe.batch_size is None or recipe.optimizer.full_batch
        # batch normalisation learns nothing from one example: a last one alone joins the batch before it
        smallest = min(2, n) if network.batch_norm else 0
        self.size = n if whole else min(int(recipe.batch_size), n)
        self.pieces = list(gen_batches(n, self.size, min_batch_size=smallest))
        self.shuffle = recipe.shuffle and len(self) > 1
        n_numbers = self.size * self.n_orders * (network.layer_dims[0] + network.layer_dims[-1])
        n_bytes = n_numbers * np.dtype(dtype).itemsize
        self._n_together = 1 if issparse(examples.X) else max(1, GATHERED_BYTES // n_bytes)
        self._gather = partial(
            draw_batch, examples, network=network, dtype=dtype, label_smoothing=recipe.label_smoothing
        )
        self._order, self._gathered, self._gathering = None, (slice(0, 0), None), threading.Lock()

    def __len__(self) -> int:
        return len(self.pieces)

    def epoch(self, rng: np.random.Generator) -> list[slice]:
        """Begin an epoch: return its batches, slices of an order that is drawn here, if it is drawn at all."""
        if self.shuffle:
            orders = [rng.permutation(self.examples.n) for _ in range(self.n_orders)]
            self._order, self._gathered = orders[0] if self.n_orders == 1 else np.stack(orders), (slice(0, 0), None)
        return self.pieces

    def draw(self, positions: slice) -> Batch:
        """Return the `Batch` at a slice of the epoch's order: a batch, or a part of one."""
        if self._n_together == 1 < len(self):
            return self._at(positions)
        with self._gathering:  # threads that want parts of a batch share what one of them gathers
            stretch, batch = self._gathered  # where the whole set is the batch, that is done only once
            if not stretch.start <= positions.start < stretch.stop:
                first = positions.start // self.size
                stretch = slice(self.pieces[first].start, self.pieces[first : first + self._n_together][-1].stop)
                batch = self._at(stretch)
                self._gathered = stretch, batch
        if positions == stretch:
            return batch
        return batch.part(slice(positions.start - stretch.start, positions.stop - stretch.start))

    def _at(self, positions: slice) -> Batch:
        return self._gather(self.examples.at(positions if self._order is None else self._order[..., positions]))


def cut(positions: slice, n_parts: int) -> list[slice]:
    """Return a slice in at most n_parts parts of one size."""
    start, n = positions.start, positions.stop - positions.start
    return [slice(start + part.start, start + part.stop) for part in gen_even_slices(n, n_parts)]


class Outputs(NamedTuple):
    """What the network puts out for some examples: AL, ZL (n_L, m), and what is wanted: Y, sample_weight."""

    AL: Array
    ZL: Array
    Y: Array
    sample_weight: Array | None

    def cost(self, loss: str) -> float:
        """Return their cost, by the name of the loss; see `compute_cost`."""
        return compute_cost(self.AL, self.Y, ZL=self.ZL, loss=loss, sample_weight=self.sample_weight)

    @classmethod
    def joined(cls, pieces: Iterable[Self]) -> Self:
        """Return the outputs of all examples in some pieces."""
        first, *others = pieces
        if not others:
            return first
        AL, ZL, Y, weights = zip(first, *others)
        weight = None if weights[0] is None else np.concatenate(weights, axis=-1)
        return cls(*(np.concatenate(each, axis=-1) for each in (AL, ZL, Y)), weight)  # type: ignore[call-arg]  # three


class CostMeter:
    """The mean cost of examples that come a few at a time; worked out for many at once, which takes fewer calls.

    Parameters
    ----------
    loss : str
        Name in `LOSSES`.
    """

    loss: str
    total: float
    total_weight: float
    _waiting: list[Outputs]

    def __init__(self, loss: str) -> None:
        self.loss, self.total, self.total_weight = loss, 0.0, 0.0  # of what has been worked out
        self._waiting, self._n_waiting = [], 0

    def add(self, outputs: Outputs) -> None:
        """Count in the examples of some `Outputs`."""
        self._waiting.append(outputs)
        self._n_waiting += outputs.AL.size
        if self._n_waiting >= COST_NUMBERS:
            self._count()

    def mean(self) -> float:
        """Return the weighted mean cost of all examples so far, 0 if they weigh nothing."""
        self._count()
        return self.total / (self.total_weight or 1.0)

    def _count(self) -> None:
        if not self._waiting:
            return
        outputs = Outputs.joined(self._waiting)
        n = outputs.Y.shape[-1]
        self.total += outputs.cost(self.loss) * n
        self.total_weight += n if outputs.sample_weight is None else n * float(outputs.sample_weight.mean())
        self._waiting, self._n_waiting = [], 0


def evaluate(
    batch: Batch,
    parameters: Arrays,
    network: Network,
    *,
    m: int | None = None,
    rng: np.random.Generator | None = None,
    out: Arrays | None = None,
) -> tuple[Outputs, Arrays, list[LayerCache]]:
    """Go forward and backward: what the network puts out for a batch, and the gradients of its cost.

    That of an ensemble is the sum of its members' costs, each of which is trained by itself.

    Parameters
    ----------
    batch : Batch
    parameters : dict of str to ndarray
    network : Network
    m : int, optional
        As in `model_backward`.
    rng : numpy.random.Generator, optional
    out : dict of str to ndarray, optional
        As in `model_backward`.

    Returns
    -------
    outputs : Outputs
    grads : dict of str to ndarray
    caches : list of LayerCache
    """
    A0, Y, weight, scaling = batch
    parameters = fold_scaling(parameters, scaling)
    AL, caches = model_forward(A0, parameters, network, training=True, rng=rng, sample_weight=weight)
    grads = model_backward(AL, Y, caches, network, sample_weight=weight, m=m, out=out)
    if scaling is not None:
        fold_scaling_backward(grads, scaling)
        if caches[0].batchnorm is not None:  # whose mean goes into the running one, of the unfolded layer
            mean = caches[0].batchnorm.mean - (parameters["W1"] @ scaling.center).astype(AL.dtype)
            caches[0] = caches[0]._replace(batchnorm=caches[0].batchnorm._replace(mean=mean))
    return Outputs(AL, caches[-1].activation, Y, weight), grads, caches


class Backpropagation:
    """The gradients of a batch; a large one is cut into parts that threads draw and work on side by side.

    Parameters
    ----------
    parameters : Parameters
        Like which the gradients are laid out.
    batches : Batches
    network : Network
    thread_pool : ThreadPool
        There are as many parts as it has threads.

    Attributes
    ----------
    vectors : list of ndarray
        The gradient of each part, as a vector; their sum is that of the batch.
    caches : list of LayerCache or None
        Those of the last batch, with batch normalisation.
    """

    batches: Batches
    network: Network
    thread_pool: ThreadPool
    vectors: list[Array]
    caches: Maybe[list[LayerCache]]

    def __init__(self, parameters: Parameters, batches: Batches, network: Network, thread_pool: ThreadPool) -> None:
        self.batches, self.network, self.thread_pool, self.caches = batches, network, thread_pool, None
        room = [parameters.gradients() for _ in range(thread_pool.n_threads)]
        self.vectors = [grads.vector for grads in room]
        self._views = [dict(grads) for grads in room]  # plain dicts are quicker to write to

    def __call__(self, positions: slice, parameters: Arrays, rng: np.random.Generator) -> list[Outputs]:
        """Draw a batch, go forward and backward. Sets: vectors, caches. Returns the `Outputs` of each part."""
        n_parts = len(self.vectors)
        if n_parts == 1:
            self.caches = None  # as large as all activations: not kept twice
            batch = self.batches.draw(positions)
            outputs, _, caches = evaluate(batch, parameters, self.network, rng=rng, out=self._views[0])
            self.caches = caches if self.network.batch_norm else None
            return [outputs]
        parts, rngs = cut(positions, n_parts), [None] * n_parts
        if any(self.network.dropout_rate):  # a generator is no thing to share
            rngs = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=n_parts)]
        m = positions.stop - positions.start
        for vector in self.vectors[len(parts) :]:  # of fewer examples than parts
            vector.fill(0)

        def of_part(part: slice, rng: np.random.Generator | None, out: Arrays) -> Outputs:
            return evaluate(self.batches.draw(part), parameters, self.network, m=m, rng=rng, out=out)[0]

        return self.thread_pool.map(of_part, parts, rngs, self._views)

    def gathered(self) -> Array:
        """Return the gradient of the batch, the sum of its parts'. Sets: vectors[0], which it is."""
        for vector in self.vectors[1:]:
            self.vectors[0] += vector
        return self.vectors[0]


class Block(NamedTuple):
    """What an update needs for a stretch of the parameters, views all: they are made once, not in every step.

    Attributes
    ----------
    parameters : ndarray
    weights : ndarray
        Those of the parameters that decay.
    gradients : list of ndarray
        One for each part of the batch; their sum is the gradient.
    optimizer_state : dict
    average : ndarray or None
        The moving average of the parameters.
    """

    parameters: Array
    weights: Array
    gradients: list[Array]
    optimizer_state: State
    average: Array | None


def blocks_of(
    parameters: Parameters,
    gradients: list[Array],
    optimizer_state: State,
    n_blocks: int,
    average: Parameters | None = None,
) -> list[Block]:
    """Return the `Block` s of a training: n_blocks of one size.

    Parameters
    ----------
    parameters : Parameters
    gradients : list of ndarray
        As long as `parameters.trainable`.
    optimizer_state : dict
        Its arrays are as long, too.
    n_blocks : int
    average : Parameters, optional
        Their moving average.

    Returns
    -------
    list of Block
        If it is one, then with `optimizer_state` itself.
    """
    average = None if average is None else average.trainable
    if n_blocks == 1:
        return [Block(parameters.trainable, parameters.weights, gradients, optimizer_state, average)]
    blocks = []
    for span in gen_even_slices(parameters.trainable.size, n_blocks):
        state = {
            name: value[span] if isinstance(value, np.ndarray) else value for name, value in optimizer_state.items()
        }
        weights = parameters.weights[span]  # empty where other parameters are
        gradients_there = [dW[span] for dW in gradients]
        average_there = None if average is None else average[span]
        blocks.append(Block(parameters.trainable[span], weights, gradients_there, state, average_there))
    return blocks


class GradientStep:
    """One update by a batch's gradient: clipping, decoupled weight decay, the optimizer's rule.

    All three go through the parameters block by block: what one writes is still in the cache when the next one reads
    it, and threads can share the blocks out.

    Parameters
    ----------
    state : TrainingState
        Whose parameters and optimizer_state each call changes.
    batches : Batches
    network : Network
    recipe : Recipe
    thread_pool : ThreadPool
    """

    state: TrainingState
    network: Network
    recipe: Recipe
    thread_pool: ThreadPool
    backpropagate: Backpropagation
    blocks: list[Block]
    averaging_rate: float
    statistics: slice

    def __init__(
        self, state: TrainingState, batches: Batches, network: Network, recipe: Recipe, thread_pool: ThreadPool
    ) -> None:
        self.state, self.network, self.recipe, self.thread_pool = state, network, recipe, thread_pool
        self.backpropagate = Backpropagation(state.parameters, batches, network, thread_pool)
        n_bytes = state.parameters.trainable.nbytes
        n_blocks = math.ceil(n_bytes / (BLOCK_BYTES if thread_pool.n_threads == 1 else SHARED_BLOCK_BYTES))
        n_blocks += -n_blocks % thread_pool.n_threads  # as many for each thread
        # to be clipped, the gradient must have been added up; otherwise that is done block by block
        gradients = self.backpropagate.vectors[: 1 if recipe.max_grad_norm is not None else None]
        self.blocks = blocks_of(state.parameters, gradients, state.optimizer_state, n_blocks, state.average)
        self.averaging_rate = 0.0
        if state.average is not None:  # of a mean whose weights fall to 1/e over so many steps
            self.averaging_rate = -math.expm1(-1 / (recipe.averaging_epochs * len(batches)))
            self.statistics = slice(state.parameters.trainable.size, None)

    def __call__(self, positions: slice, learning_rate: float) -> list[Outputs]:
        """Update by the batch at some positions; return the `Outputs` of its parts before that."""
        state, recipe, parameters = self.state, self.recipe, self.state.parameters
        outputs = self.backpropagate(positions, parameters, state.rng)
        if self.network.batch_norm:
            # a mean of all batches so far until there are ten: a start at 0 and 1 would show in the first epochs
            momentum = min(RUNNING_MOMENTUM, state.step / (state.step + 1))
            parameters.assign(running_statistics(parameters, self.backpropagate.caches, momentum))
        if recipe.max_grad_norm is not None:
            gradient = self.backpropagate.gathered()
            # of each member of an ensemble, in the mean over them
            clip_by_global_norm(gradient, recipe.max_grad_norm * math.sqrt(self.network.ensemble_size), out=gradient)
        averaging_rate = self.averaging_rate
        if state.average is not None:
            averaging_rate = max(averaging_rate, AVERAGING_START / (AVERAGING_START + state.step))
            if self.network.batch_norm:
                move_average(state.average.vector[self.statistics], parameters.vector[self.statistics], averaging_rate)
        if len(self.blocks) == 1:
            self._update(self.blocks[0], learning_rate, averaging_rate)
        else:
            self.thread_pool.map(self._update, self.blocks, repeat(learning_rate), repeat(averaging_rate))
            numbers = self.blocks[0].optimizer_state.items()
            state.optimizer_state.update((name, n) for name, n in numbers if not isinstance(n, np.ndarray))
        return outputs

    def _update(self, block: Block, learning_rate: float, averaging_rate: float) -> None:
        recipe, gradient = self.recipe, reduce(np.add, block.gradients)
        if recipe.weight_decay:
            decay_weights(block.weights, recipe.weight_decay, learning_rate, out=block.weights)
        recipe.optimizer.update(block.parameters, gradient, block.optimizer_state, learning_rate)
        if block.average is not None:
            move_average(block.average, block.parameters, averaging_rate)
        if self.state.step % FLUSH_STEPS == 0:
            for vector in (block.parameters, block.average, *block.optimizer_state.values()):
                if isinstance(vector, np.ndarray):
                    flush_subnormals(vector)


def move_average(average: Array, vector: Array, rate: float) -> None:
    """Move an average towards a vector by a share of the way: average + rate (vector - average). Sets: average."""
    step = vector - average
    step *= rate
    average += step


class SearchStep:
    """One update by an optimizer that searches along a line, for which it evaluates the whole set repeatedly.

    The penalty is part of what it minimises.

    Parameters
    ----------
    state, batches, network, recipe, thread_pool
        As for `GradientStep`.
    """

    state: TrainingState
    network: Network
    recipe: Recipe
    backpropagate: Backpropagation
    trial: Parameters
    vector: Maybe[Array]
    cost: Maybe[float]
    gradient: Maybe[Array]
    outputs: Maybe[list[Outputs]]

    def __init__(
        self, state: TrainingState, batches: Batches, network: Network, recipe: Recipe, thread_pool: ThreadPool
    ) -> None:
        self.state, self.network, self.recipe = state, network, recipe
        self.backpropagate = Backpropagation(state.parameters, batches, network, thread_pool)
        self.trial = Parameters(state.parameters)
        self.vector = None  # where `objective` has been last, and what it found there:
        self.cost = self.gradient = self.outputs = None

    def __call__(self, positions: slice, learning_rate: float) -> list[Outputs]:
        """Update by the batch of all examples; return the `Outputs` of its parts before that."""
        parameters, mask_seed = self.state.parameters, None
        if any(self.network.dropout_rate):
            mask_seed = self.state.rng.integers(2**32)  # the same units drop out wherever the search looks
            self.vector = None
        objective = partial(self.objective, positions, mask_seed)
        gradient = objective(parameters.trainable)[1]
        outputs = self.outputs
        self.recipe.optimizer.update(
            parameters.trainable, gradient, self.state.optimizer_state, learning_rate, objective=objective
        )
        if self.network.batch_norm:
            objective(parameters.trainable)
            parameters.assign(running_statistics(parameters, self.backpropagate.caches, momentum=0.0))
        return outputs

    def objective(
        self, positions: slice, mask_seed: int | np.integer[Any] | None, vector: Array
    ) -> tuple[float, Array]:
        """Return cost plus penalty, and their gradient, of parameters given as a vector; remembers the last one."""
        trial, weight_decay = self.trial, self.recipe.weight_decay
        vector = vector.astype(trial.vector.dtype)
        if self.vector is None or not np.array_equal(self.vector, vector):
            trial.trainable[...] = vector
            self.outputs = self.backpropagate(positions, trial, np.random.default_rng(mask_seed))
            self.cost = Outputs.joined(self.outputs).cost(self.network.loss) * self.network.ensemble_size
            self.vector, self.gradient = vector, self.backpropagate.gathered().copy()
            self.gradient[: trial.weights.size] += l2_gradient(trial.weights, weight_decay)
        return self.cost + l2_penalty(trial.weights, weight_decay), self.gradient


def run_epoch(
    state: TrainingState, batches: Batches, take_step: GradientStep | SearchStep, schedule: Schedule, counts_steps: bool
) -> tuple[float, float]:
    """Go through all examples once, in batches.

    Sets: state (all but epoch, history and best_*).

    Parameters
    ----------
    state : TrainingState
    batches : Batches
    take_step : GradientStep or SearchStep
    schedule : callable
        Step -> learning rate.
    counts_steps : bool
        Whether its step is the number of updates made, or what that would be if all epochs so far had had as many
        batches as this one: parts of different sizes then move along a horizon by one epoch each.

    Returns
    -------
    cost : float
        Weighted mean over the examples of the cost that each had when its batch was drawn.
    learning_rate : float
        Of the last step.
    """
    meter = CostMeter(take_step.network.loss)
    for index, positions in enumerate(batches.epoch(state.rng)):
        step = state.step if counts_steps else state.epoch * len(batches) + index
        learning_rate = schedule(step) * state.rate_factor
        for outputs in take_step(positions, learning_rate):
            meter.add(outputs)
        state.step += 1
    return meter.mean(), learning_rate


@contextmanager
def thread_pool_for(network: Network, batches: Batches, parameters: Parameters) -> Iterator[ThreadPool]:
    """Hold the threads that a training deserves: as many as there are parts to cut each batch into.

    BLAS is kept to one thread meanwhile. Large batches that cannot be cut are left to its own threads.

    Parameters
    ----------
    network : Network
    batches : Batches
    parameters : Parameters

    Yields
    ------
    ThreadPool
    """
    weights, m = parameters.weights, batches.size
    n_parts = 3 * m * weights.nbytes // WORK_OF_PART  # each weight takes part in three products
    # statistics over a batch need all of it, and sparse products hold Python's lock
    whole = network.batch_norm or issparse(batches.examples.X) or m < 2 * PART_COLUMNS
    n_threads = 1 if whole else max(1, min(n_parts, m // PART_COLUMNS, allowed_threads(), MOST_PARTS))
    bound = nullcontext() if whole and n_parts > 1 else SINGLE_THREADED_BLAS.hold()
    with bound, ThreadPool(n_threads) as thread_pool:
        yield thread_pool


@np.errstate(over="ignore", invalid="ignore")  # divergence is reported once, in words
def train(
    state: TrainingState,
    examples: Examples,
    network: Network,
    recipe: Recipe,
    *,
    n_epochs: int,
    horizon: int | None = None,
    validate: Validate | None = None,
    callbacks: Sequence[Callback] = (),
    settings: dict[str, Any] | None = None,
    snapshot: Callable[[], Any] | None = None,
    resumable: bool = False,
    resume: bool = False,
) -> TrainingState:
    """Train a network: repeat forward, cost, backward, update over the batches of every epoch.

    Stops early if a callback says so, if the optimizer has converged, or if a cost or parameter is no longer finite.
    Where it ends by an error or by Ctrl-C, the state goes back to the end of the last epoch.

    Parameters
    ----------
    state : TrainingState
        Where to start from. Changed, and returned.
    examples : Examples
    network : Network
    recipe : Recipe
    n_epochs : int
    horizon : int, optional
        Epochs, counted from the very first, that schedules reckon with; by default up to the last of this call. Given
        where more calls are to come.
    validate : callable, optional
        Takes the parameters, returns a dict of values for the history, "validation_cost" among them. With it the best
        epoch's parameters are kept in state.best_vector, unless a callback wants otherwise.
    callbacks : sequence of Callback
    settings, snapshot
        For the callbacks, see `Run`.
    resumable : bool, default=False
        Whether the state that an error or Ctrl-C leaves has to be whole, and not only the parameters that are kept.
    resume : bool, default=False
        Whether the state is of a call that was cut off, to be carried to its end: `n_epochs` includes those it made.

    Returns
    -------
    TrainingState

    Raises
    ------
    ValueError
        If the training diverges, and there is no best epoch to be kept.

    Warns
    -----
    ConvergenceWarning
        If it diverges and the best epoch is kept, if its cost rose and never came back, or if it ends far worse than
        guessing.
    """
    check_integer("n_epochs", n_epochs, 1)
    keep_freed_memory()
    state.adopt_optimizer(recipe.optimizer)
    if not recipe.averaging_epochs or recipe.optimizer.full_batch:
        state.average = None
    elif state.average is None:
        state.average = Parameters(state.parameters)
    batches = Batches(examples, network, recipe, state.parameters.vector.dtype)
    probe = examples.spread_sample(N_PROBE)
    if not resume:
        state.begin(start_cost=mean_cost(probe, state.parameters, network))
    state.monitor, state.keeps_best = "auto", validate is not None  # unless a callback wants otherwise
    last_epoch = state.first_epoch + n_epochs
    is_stream, horizon = horizon is not None, horizon or last_epoch
    schedule = recipe.schedule_over(horizon * len(batches))
    resumable = resumable or any(callback.needs_snapshot for callback in callbacks)
    about = {"last_epoch": last_epoch, "validates": validate is not None, "snapshot": snapshot}
    with ExitStack() as at_end, thread_pool_for(network, batches, state.parameters) as thread_pool:
        watched = state.watched_by(callbacks, settings=settings or {}, **about)
        mark = state.mark(whole=resumable)
        try:
            for callback, run in watched:
                callback.on_train_begin(run)
                at_end.callback(end_watch, callback, run)
            state.judge_best_by(validate)
            mark = state.mark(whole=resumable)
            kind = SearchStep if recipe.optimizer.full_batch else GradientStep
            take_step = kind(state, batches, network, recipe, thread_pool)
            while state.epoch < last_epoch and not state.stopped_by:
                for callback, run in watched:
                    callback.on_epoch_begin(run)
                cost, learning_rate = run_epoch(state, batches, take_step, schedule, callable(recipe.schedule))
                state.end_epoch(cost=cost, learning_rate=learning_rate)
                is_finite = state.finite
                if is_finite and validate is not None:
                    state.record(validate(state.current))
                if is_finite:
                    state.keep_if_best()
                has_converged = "convergence" if state.optimizer_state.get("converged") else ""
                state.stopped_by = has_converged if is_finite else "divergence"
                for callback, run in watched:
                    if callback.on_epoch_end(run) and not state.stopped_by:
                        state.stopped_by = title_of(callback)
                if is_finite:
                    mark = state.mark(whole=resumable)
            report_failure(state, probe, network, recipe, finished=not is_stream)
        except BaseException as error:
            for _, run in watched:
                run.failed = not isinstance(error, KeyboardInterrupt)
            thread_pool.shutdown()  # Ctrl-C leaves the others at work
            state.return_to(mark)
            raise
    return state


def end_watch(callback: Callback, run: Run) -> None:
    """Call a callback's `on_train_end`; what goes wrong there must not lose a training, nor hide its error."""
    try:
        callback.on_train_end(run)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        warn_user(f"{title_of(callback)} failed at the end of training: {what}", RuntimeWarning)


def report_failure(state: TrainingState, probe: Examples, network: Network, recipe: Recipe, *, finished: bool) -> None:
    """Raise or warn if training has diverged, or has ended far worse than guessing, with what to try; see `train`.

    Sets: state.warned. May set: what `TrainingState.return_to_best` sets.

    Parameters
    ----------
    state : TrainingState
    probe : Examples
        A sample of the training set.
    network : Network
    recipe : Recipe
    finished : bool
        Whether no more epochs are to come, and a cost that is still high deserves a word.
    """
    n_outputs, is_binary = network.layer_dims[-1], network.loss == "binary_cross_entropy"
    guessing = n_outputs * math.log(2) if is_binary else math.log(n_outputs)
    cost = mean_cost(probe, state.parameters, network) if state.finite else math.nan
    start, peak = state.start_cost, state.peak_cost
    level = max(start, guessing)
    # where units have died of it, what is left is a constant, which costs what the shares of the classes do
    blown_up = peak > BLOW_UP * level and cost > 0.95 * cost_of_shares(probe, network)
    diverged = not cost <= 1.25 * level or blown_up
    state.warned = []
    if not diverged and (cost <= FAR_WORSE * guessing or not finished):
        return
    course = f"the cost began at {start:.3g}, reached {max(peak, cost):.3g} and ended at {cost:.3g}"
    if not math.isfinite(cost):
        problem = f"Training diverged: in epoch {state.epoch} the cost or the parameters were no longer finite."
    else:
        verdict = "Training diverged" if diverged else "Training has ended far worse than guessing"
        problem = f"{verdict}: {course}; guessing costs {guessing:.3g}."
    remedies = []
    if state.scaling is None:
        remedies.append("inputs scaled to unit variance (scale_inputs='standard', or StandardScaler)")
    if callable(recipe.schedule):
        remedies.append("a learning_rate_schedule with lower rates")
    elif not recipe.optimizer.full_batch:
        remedies.append(f"a lower learning_rate (it was {recipe.learning_rate:g})")
    remedies.append("stronger weight_decay" if recipe.optimizer.full_batch else "max_grad_norm=1.0")
    advice = f"Try {' or '.join(', '.join(remedies).rsplit(', ', 1))}"
    if diverged and state.best_vector is not None:
        state.return_to_best()
        problem += f" The weights of epoch {state.best_epoch} are kept."
    elif not math.isfinite(cost):
        raise ValueError(f"{problem} {advice}.")
    state.warned = [f"{problem} {advice}."]
    warn_user(state.warned[0], ConvergenceWarning)


def cost_of_shares(examples: Examples, network: Network) -> float:
    """Return the cost of predicting for every example the same: the share that each output has of the weights.

    Parameters
    ----------
    examples : Examples
    network : Network

    Returns
    -------
    float
    """
    Y, weight = draw_targets(examples, examples.members, network, np.float64), examples.sample_weight
    weight = np.ones(Y.shape[-1]) if weight is None else weight[examples.members][..., np.newaxis, :]
    shares = (Y * weight).sum(axis=-1, keepdims=True) / weight.sum(axis=-1, keepdims=True)
    return compute_cost(np.broadcast_to(shares, Y.shape), Y, loss=network.loss)


def mean_cost(examples: Examples, parameters: Arrays, network: Network) -> float:
    """Return the weighted mean cost of predictions: without dropout, label smoothing or penalty.

    Of an ensemble it is the cost of its joint predictions; if each member has examples of its own, their mean cost.

    Parameters
    ----------
    examples : Examples
    parameters : dict of str to ndarray
    network : Network

    Returns
    -------
    float
    """
    loss = LOSSES[network.loss]

    def cost_and_weight(piece: slice, ZL: Array) -> tuple[float, float]:
        columns = examples.at(piece)
        Y = draw_targets(examples, columns, network, ZL.dtype)
        losses = loss.losses(ZL if np.ndim(columns) == 2 else joint_logits(ZL, network.loss), Y)
        weight = np.ones(losses.shape) if examples.sample_weight is None else examples.sample_weight[columns]
        return float(np.vdot(losses, weight)), float(weight.sum())

    parameters = fold_scaling(parameters, examples.scaling)
    of_pieces = map_logits(cost_and_weight, examples.X, parameters, network, examples.columns)
    total, total_weight = map(sum, zip(*of_pieces))
    return total / total_weight


def check_columns(X: Inputs, Y: Any, network: Network) -> tuple[Inputs, Array]:
    """Return X and Y as arrays whose columns are examples that a network can be trained on.

    Parameters
    ----------
    X, Y : array-like
        As for `train_deep_network`.
    network : Network

    Returns
    -------
    X, Y : ndarrays, or X a sparse array

    Raises
    ------
    ValueError
        If a shape is not right, or Y is no target of the network's loss.
    """
    X, Y, (n_0, *_, n_L) = X if issparse(X) else np.asarray(X), np.asarray(Y), network.layer_dims
    array: Inputs
    for name, array in (("X", X.data if issparse(X) else X), ("Y", Y)):
        if array.dtype.kind not in "fiub" or array.size == 0 or not np.isfinite(array).all():
            raise ValueError(f"{name} must have finite numbers and at least one example, got {array!r}.")
    if X.ndim != 2 or X.shape[0] != n_0:
        raise ValueError(f"X must have shape ({n_0}, m), one column per example, got {X.shape}.")
    if Y.ndim != 2 or Y.shape[0] not in (1, n_L) or Y.shape[1] != X.shape[1]:
        raise ValueError(f"Y must have shape ({n_L}, {X.shape[1]}), one column per example, got {Y.shape}.")
    numbers = network.loss == "categorical_cross_entropy" and Y.shape[0] == 1
    if Y.min() < 0 or Y.max() > (n_L - 1 if numbers else 1):
        rule = f"class numbers from 0 to {n_L - 1}" if numbers else "targets from 0 to 1"
        raise ValueError(f"Y must have {rule}, got values from {Y.min():g} to {Y.max():g}.")
    return X, Y


def train_deep_network(
    X: MatrixLike,
    Y: ArrayLike,
    layer_dims: Sequence[int],
    learning_rate: float = 0.0075,
    num_iterations: int = 3000,
    *,
    print_cost: bool = False,
    rng: np.random.Generator | int | None = None,
    **architecture: Any,
) -> tuple[Parameters, list[float]]:
    """Train the course's network by gradient descent on the whole set.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_0, m)
    Y : ndarray of shape (n_L, m), or (1, m)
        Targets, one row per output; or class numbers.
    layer_dims : sequence of int
        n_0, ..., n_L.
    learning_rate : float, default=0.0075
    num_iterations : int, default=3000
    print_cost : bool, default=False
        Print the cost of every hundredth iteration.
    rng : numpy.random.Generator, int or None
        Draws the start values.
    **architecture
        Of `Network`: activation, loss, dropout_rate, batch_norm.

    Returns
    -------
    parameters : dict of str to ndarray
    costs : list of float
        The cost of every iteration, before its update.

    Raises
    ------
    ValueError
        If X, Y or a number breaks its rule, or the training diverges.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    >>> Y = np.array([[0, 1, 1, 0]])
    >>> parameters, costs = train_deep_network(X, Y, [2, 8, 1], learning_rate=0.5, num_iterations=500, rng=0)
    >>> costs[-1] < 0.05
    True
    """
    check_integer("num_iterations", num_iterations, 1)
    check_real("learning_rate", learning_rate, 0, closed="neither")
    network, rng = Network(layer_dims, **architecture), np.random.default_rng(rng)
    X, Y = check_columns(X, Y, network)
    parameters = initialize_parameters(
        layer_dims, activation=network.activation, batch_norm=network.batch_norm, rng=rng
    )
    recipe = Recipe(SGD(), learning_rate)
    state = TrainingState(parameters, rng)
    callbacks = [EpochPrinter(every=100)] if print_cost else []
    train(state, Examples(X, Y), network, recipe, n_epochs=num_iterations, callbacks=callbacks)
    return state.parameters, state.history["cost"]
