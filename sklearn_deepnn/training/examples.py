"""Which examples a training uses, and in which order: `Examples`, `Batch` and `Batches`.

Conventions: columns are examples. `X` (n_0, n) is dense or sparse; `Y` is (n_L, n) targets or (1, n) class numbers. A
training set is described, not copied: batches are gathered, scaled and converted when they are drawn. Each member of an
ensemble may have its own examples and its own order; the arrays of the members are then stacked on a first axis.
"""

from __future__ import annotations

import math
import threading
from functools import partial
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import issparse
from sklearn.utils import gen_batches

from ..network.architecture import Network
from ..network.encoding import EncodedInputs
from ..network.prediction import map_chunks, take_columns
from ..network.scaling import ScaledSparse, Scaling
from ..typing import Array, Columns, Inputs
from .recipe import Recipe

READY_BYTES = 2**22  # largest dense X that is scaled and converted once, before training, and not batch by batch
ENCODED_BYTES = 2**26  # the same for X that is encoded, which takes longer
GATHERED_BYTES = 2**20  # inputs and targets of small batches that are gathered together


class Examples(NamedTuple):
    """A set to train on or to validate on."""

    X: Inputs  # (n_0, n)
    Y: Inputs  # (n_L, n) or (1, n): targets, or class numbers
    sample_weight: Array | None = None  # (n,), or None
    # (m,) or (ensemble_size, m): the columns of X that belong to the set, or to the set of each member; None: all
    columns: Array | None = None
    scaling: Scaling | None = None  # how the network wants its inputs scaled

    @property
    def n(self) -> int:
        """Number of examples in the set."""
        return self.X.shape[1] if self.columns is None else self.columns.shape[-1]

    @property
    def members(self) -> Columns:
        """The columns of all examples of the set, as an array or a slice."""
        return self.at(slice(None))

    def at(self, positions: Columns) -> Columns:
        """Return the columns of X at some positions of the set, given as a slice or an array."""
        if self.columns is None:
            return positions
        if np.ndim(positions) < 2 or self.columns.ndim == 1:
            return self.columns[..., positions]
        starts = np.arange(len(self.columns))[:, np.newaxis] * self.columns.shape[1]
        return self.columns.take(starts + positions)

    def ready_for(self, dtype: DTypeLike) -> Self:
        """Return the set with X scaled or encoded, and converted, if X is small or is sparse and keeps its zeros."""
        if issparse(self.X):
            if self.scaling is None or self.scaling.center.any():
                return self
            return self._replace(X=self.scaling.apply_sparse(self.X, dtype), scaling=None)
        most_bytes = ENCODED_BYTES if isinstance(self.X, EncodedInputs) else READY_BYTES
        if math.prod(self.X.shape) * np.dtype(dtype).itemsize > most_bytes:
            return self
        if isinstance(self.X, np.ndarray) and self.scaling is None:
            return self._replace(X=np.ascontiguousarray(self.X.T, dtype=dtype).T)
        return self._replace(X=inputs_of_all(self, dtype), scaling=None)

    def mean_weight(self) -> float:
        """Return the mean weight of the examples in the set; 1 if the set has no weights."""
        if self.sample_weight is None:
            return 1.0
        weight = self.sample_weight[self.members]
        largest = weight.max()
        return float(largest * (weight / largest).mean())  # divide first: the sum cannot overflow

    def spread_sample(self, n_most: int) -> Self:
        """Return at most `n_most` of the examples, spread evenly over the set: the set may be sorted."""
        if n_most >= self.n:
            return self
        positions = np.linspace(0, self.n - 1, n_most).astype(np.intp)
        return self._replace(columns=self.at(positions))

    def scaled_by(self, weight_scale: float) -> Self:
        """Return the set with its weights divided by a number."""
        return self if self.sample_weight is None else self._replace(sample_weight=self.sample_weight / weight_scale)


def inputs_of_all(examples: Examples, dtype: DTypeLike) -> Array:
    """Return A0 of all columns of X, scaled or encoded."""
    X, scaling = examples.X, examples.scaling
    n_rows = X.encoding.n_rows if isinstance(X, EncodedInputs) else X.shape[0]
    A0_T = np.empty((X.shape[1], n_rows), dtype)  # each example is contiguous: gathering takes a fifteenth of the time

    def write(chunk: slice, A0: Array) -> None:
        A0_T[chunk] = (A0 if scaling is None else scaling.apply(A0, dtype)).T

    map_chunks(write, X, dtype if scaling is None else None, n_rows)
    return A0_T.T


class Batch(NamedTuple):
    """Examples that are ready for the network."""

    A0: Inputs  # (n_0, m)
    Y: Array  # (n_L, m)
    sample_weight: Array | None  # (m,), or None

    def chunk(self, positions: slice) -> Batch:
        """Return the examples at a slice of the batch."""
        weight = None if self.sample_weight is None else self.sample_weight[..., positions]
        return Batch(self.A0[..., positions], self.Y[..., positions], weight)


def draw_batch(
    examples: Examples, columns: Columns, network: Network, dtype: DTypeLike, label_smoothing: float = 0.0
) -> Batch:
    """Gather, scale and convert the examples in some columns."""
    Y = draw_targets(examples, columns, network, dtype, label_smoothing)
    weight, scaling = examples.sample_weight, examples.scaling
    weight = None if weight is None else weight[columns].astype(dtype, copy=False)
    if scaling is None:
        return Batch(take_columns(examples.X, columns, dtype), Y, weight)
    if issparse(examples.X):
        return Batch(ScaledSparse(take_columns(examples.X, columns, dtype), scaling), Y, weight)
    return Batch(scaling.apply(take_columns(examples.X, columns, None), dtype), Y, weight)


def draw_targets(
    examples: Examples, columns: Columns, network: Network, dtype: DTypeLike, label_smoothing: float = 0.0
) -> Array:
    """Gather and encode the targets of some examples."""
    Y = take_columns(examples.Y, columns, None)
    if isinstance(Y, list):  # sparse targets, one matrix for each member of an ensemble
        Y = np.stack([Y_member.toarray() for Y_member in Y])
    return network.loss_function.encode(Y, network.layer_dims[-1], dtype, label_smoothing)


class Batches:
    """The mini-batches of an epoch, in an order that each epoch draws anew."""

    def __init__(self, examples: Examples, network: Network, recipe: Recipe, dtype: DTypeLike) -> None:
        self.examples, self.n_orders, n = examples, network.ensemble_size, examples.n
        batch_size = None if recipe.optimizer.full_batch else recipe.batch_size
        self.size = n if batch_size is None else min(int(batch_size), n)  # the last batch may have fewer examples
        # batch normalisation learns nothing from one example: a last single example joins the batch before it
        self.slices = list(gen_batches(n, self.size, min_batch_size=min(2, n) if network.batch_norm else 0))
        self.shuffle = recipe.shuffle and len(self) > 1
        # small batches are gathered many at a time, as long as they fit the cache: each gathering costs a dozen calls
        n_numbers = self.size * self.n_orders * (network.layer_dims[0] + network.layer_dims[-1])
        n_bytes = n_numbers * np.dtype(dtype).itemsize
        self._n_together = 1 if issparse(examples.X) else max(1, GATHERED_BYTES // n_bytes)
        self._gather = partial(
            draw_batch, examples, network=network, dtype=dtype, label_smoothing=recipe.label_smoothing
        )
        self._lock = threading.Lock()
        self._order: Array | None = None
        self._gathered: tuple[slice, Batch | None] = (slice(0, 0), None)

    def __len__(self) -> int:
        return len(self.slices)

    def epoch(self, rng: np.random.Generator) -> list[slice]:
        """Draw the order of an epoch, if examples are shuffled. Return its batches, as slices of that order."""
        if self.shuffle:
            orders = [rng.permutation(self.examples.n) for _ in range(self.n_orders)]
            self._order, self._gathered = orders[0] if self.n_orders == 1 else np.stack(orders), (slice(0, 0), None)
        return self.slices

    def draw(self, positions: slice) -> Batch:
        """Return the examples at a slice of the epoch's order: a batch, or a chunk of one."""
        if self._n_together == 1 < len(self):
            return self._at(positions)
        with self._lock:  # threads that draw chunks of one batch share what one of them gathers
            span, batch = self._gathered  # a batch of the whole set is gathered only once
            if batch is None or not span.start <= positions.start < span.stop:
                first = positions.start // self.size
                span = slice(self.slices[first].start, self.slices[first : first + self._n_together][-1].stop)
                batch = self._at(span)
                self._gathered = span, batch
        if positions == span:
            return batch
        return batch.chunk(slice(positions.start - span.start, positions.stop - span.start))

    def _at(self, positions: slice) -> Batch:
        return self._gather(self.examples.at(positions if self._order is None else self._order[..., positions]))


def cut(positions: slice, n_chunks: int) -> list[slice]:
    """Return a slice as at most `n_chunks` chunks of equal size, up to one example."""
    # without scikit-learn's gen_even_slices, which checks its arguments in 80 us
    size, n_longer = divmod(positions.stop - positions.start, n_chunks)
    bounds = [positions.start + size * i + min(i, n_longer) for i in range(n_chunks + 1)]
    return [slice(first, stop) for first, stop in pairwise(bounds) if first < stop]
