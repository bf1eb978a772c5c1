"""How the columns of a table become the inputs of a network: numbers, bins, gaps, categories.

Conventions: columns are examples. `X` (n_features, m) is a table: numbers with nan for gaps, and categories as codes;
the code -1 is a category that training has not seen. `T` (n_features, m) is X, numbers standardized, and gaps filled
with 0. `A0` (n_rows, m) is what the network takes. An `Encoding` has several parts, and each makes some rows of A0.
Rows are centered: 0 stands for the mean of the training set. The members of an ensemble may have examples of their own;
X, T and A0 then have the members on a first axis.

A number that is larger or smaller than all numbers of its column in the training set counts like the largest or the
smallest of these. Networks extrapolate along lines: an identifier that goes on rising would take over the prediction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import issparse

from ..typing import Array, BoolArray, Inputs
from .layers.piecewise import piecewise_linear_backward, piecewise_linear_forward, sum_by_feature

MOST_CLIPPED = 1e8  # times `clip`: larger numbers give the same row, but their square may overflow
SMALLEST_SINGLE = np.finfo(np.float32).tiny  # float32 rounds smaller numbers, also to 0


class Part(ABC):
    """Some rows of the encoding."""

    feature: Array  # (n_rows,): the column that each row encodes

    @abstractmethod
    def forward(self, T: Array, missing: BoolArray) -> Array:
        """Return the rows (n_rows, m) of T (n_features, m), whose values were `missing` in X."""

    def backward(self, dA: Array, T: Array) -> Array:
        """Return dT (n_features, m): 0 for categories and gaps, which have no derivative."""
        return np.zeros_like(T)


def standardized(A: Array, mean: Array, scale: Array) -> Array:
    """Return (A - mean) / scale. Overwrites A."""
    A -= mean.astype(A.dtype, copy=False)  # NumPy would convert chunks of A to the wider dtype and back
    A /= scale.astype(A.dtype, copy=False)
    return A


@dataclass(frozen=True, eq=False)
class Numbers(Part):
    """A row for each number: A = gain Z / sqrt(1 + (Z / clip)^2), a smooth clip of Z = (T - center) / scale."""

    feature: Array
    center: Array  # (n_rows, 1)
    scale: Array  # (n_rows, 1)
    clip: Array  # (n_rows, 1): the largest |Z| that is reached; infinite for rows that are not clipped
    gain: float = 1.0

    def forward(self, T: Array, missing: BoolArray) -> Array:
        """Return the rows of this part; see `Part`."""
        A = self._scaled(T)
        if self._clips:
            A /= np.sqrt(1 + np.square(A / self.clip.astype(T.dtype)))
        if self.gain != 1:
            A *= self.gain
        return A

    def backward(self, dA: Array, T: Array) -> Array:
        """Return dT (n_features, m); see `Part`."""
        dZ = dA * self.gain
        if self._clips:
            dZ *= (1 + np.square(self._scaled(T) / self.clip.astype(T.dtype))) ** -1.5
        return sum_by_feature(dZ / self.scale.astype(T.dtype), self.feature, T.shape[-2])

    @property
    def _clips(self) -> bool:
        return bool(np.isfinite(self.clip).any())

    def _scaled(self, T: Array) -> Array:
        Z = standardized(T.take(self.feature, axis=-2), self.center, self.scale)
        if self._clips:
            most = MOST_CLIPPED * self.clip.astype(T.dtype)
            np.clip(Z, -most, most, out=Z)
        return Z


@dataclass(frozen=True, eq=False)
class Bins(Part):
    """A row for each bin of a number: how far T is through the bin, standardized; see `piecewise_linear_forward`."""

    feature: Array
    low: Array  # (n_rows, 1)
    width: Array  # (n_rows, 1)
    mean: Array  # (n_rows, 1)
    scale: Array  # (n_rows, 1)

    def forward(self, T: Array, missing: BoolArray) -> Array:
        """Return the rows of this part; see `Part`."""
        A, _ = piecewise_linear_forward(T, self.feature, self.low, self.width)
        return standardized(A, self.mean, self.scale)

    def backward(self, dA: Array, T: Array) -> Array:
        """Return dT (n_features, m); see `Part`."""
        _, cache = piecewise_linear_forward(T, self.feature, self.low, self.width)
        dA = dA / self.scale.astype(T.dtype)
        return piecewise_linear_backward(dA, cache, self.feature, self.width.astype(T.dtype), T.shape[-2])


@dataclass(frozen=True, eq=False)
class Gaps(Part):
    """A row for each column that had gaps in training: 1 for a gap and otherwise 0, standardized."""

    feature: Array
    mean: Array  # (n_rows, 1)
    scale: Array  # (n_rows, 1)

    def forward(self, T: Array, missing: BoolArray) -> Array:
        """Return the rows of this part; see `Part`."""
        return standardized(missing.take(self.feature, axis=-2).astype(T.dtype), self.mean, self.scale)


@dataclass(frozen=True, eq=False)
class OneHot(Part):
    """A row for each category of a column: 1 for the category and otherwise 0, standardized."""

    feature: Array
    code: Array  # (n_rows, 1)
    mean: Array  # (n_rows, 1)
    scale: Array  # (n_rows, 1)

    def forward(self, T: Array, missing: BoolArray) -> Array:
        """Return the rows of this part; see `Part`."""
        codes = T.take(self.feature, axis=-2)
        A = standardized((codes == self.code).astype(T.dtype), self.mean, self.scale)
        A[codes < 0] = 0
        return A


@dataclass(frozen=True, eq=False)
class Codes(Part):
    """A row for each column with many categories: the category's column of E, for the embedding layer."""

    feature: Array
    start: Array  # (n_rows, 1): the column of E with the first category of each feature
    n_categories: int  # of all features; the column of E after these stands for unknown categories

    def forward(self, T: Array, missing: BoolArray) -> Array:
        """Return the rows of this part; see `Part`."""
        codes = T.take(self.feature, axis=-2)
        return np.where(codes < 0, self.n_categories, codes + self.start).astype(T.dtype, copy=False)


PARTS: dict[str, type[Any]] = {"numbers": Numbers, "bins": Bins, "gaps": Gaps, "one_hot": OneHot, "codes": Codes}


@dataclass(frozen=True, eq=False)
class Encoding:
    """How a table X (n_features, m) becomes the inputs A0 (n_rows, m) of a network.

    Parameters
    ----------
    center, scale : ndarrays of shape (n_features, 1)
        T = (X - center) / scale, in float64 unless X is float32 and the scale fits. 0 and 1 for categories.
    parts : dict of str to Part
        By the names in `PARTS`, in the order of their rows. "codes" come last.
    embedding_dim : int, default=0
        Length of the trained vectors that the embedding layer puts in place of codes.
    low, high : ndarrays of shape (n_features, 1), default=infinite
        The lowest and the highest T: numbers beyond are clipped.
    """

    center: Array
    scale: Array
    parts: dict[str, Any]
    embedding_dim: int = 0
    low: Array | float = -np.inf
    high: Array | float = np.inf

    @cached_property
    def embedding(self) -> tuple[int, ...]:
        """What `Network` takes: number of code rows, columns of E, length of a vector. Empty without codes."""
        codes = self.parts.get("codes")
        return () if codes is None else (len(codes.feature), codes.n_categories + 1, self.embedding_dim)

    @cached_property
    def feature(self) -> Array:
        """The column (n_0,) that each input of the first dense layer comes from, behind the embedding layer."""
        features = [np.tile(part.feature, self.embedding_dim if name == "codes" else 1) for name, part in self._items()]
        return np.concatenate(features)

    @property
    def n_inputs(self) -> int:
        """n_0: inputs of the first dense layer, behind the embedding layer."""
        return len(self.feature)

    @property
    def n_rows(self) -> int:
        """Rows of A0, in front of the embedding layer."""
        return sum(len(part.feature) for part in self.parts.values())

    def scaling(self) -> tuple[Array, Array]:
        """Return center and scale (n_features, 1) of the numbers, in units of X; nan for categories."""
        center, scale = np.full_like(self.center, np.nan), np.full_like(self.scale, np.nan)
        numbers = self.parts.get("numbers")
        if numbers is not None:
            j = numbers.feature
            varies = np.isfinite(self.scale[j])
            units = np.where(varies, self.scale[j], 1)
            center[j] = self.center[j] + np.where(varies, numbers.center * units, 0)
            scale[j] = np.where(varies, numbers.scale * units, np.inf)
        return center, scale

    def _items(self) -> list[tuple[str, Any]]:
        return [(name, self.parts[name]) for name in PARTS if name in self.parts]

    def apply(self, X: Inputs, dtype: DTypeLike) -> Array:
        """Return A0 (n_rows, m), in a dtype."""
        T, missing = self._standardized(X, dtype)
        np.clip(T, np.asarray(self.low, T.dtype), np.asarray(self.high, T.dtype), out=T)
        rows = [part.forward(T, missing) for _, part in self._items()]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=-2)

    def backward(self, dA0: Array, X: Inputs) -> Array:
        """Return dX (n_features, m) from the gradient (n_0, m) of the inputs behind the embedding layer; 0 for gaps."""
        T, missing = self._standardized(X, dA0.dtype)
        low, high = np.asarray(self.low, T.dtype), np.asarray(self.high, T.dtype)
        dT, stop = np.zeros_like(T), 0
        for name, part in self._items():
            if name != "codes":
                start, stop = stop, stop + len(part.feature)
                dT += part.backward(dA0[..., start:stop, :], T)
        dT[missing | (low > T) | (high < T)] = 0
        return dT / self.scale.astype(dT.dtype)

    def by_column(self, rows: Array) -> Array:
        """Return the sums (n_features, m) over the inputs (n_0, m) that come from each column."""
        return sum_by_feature(rows, self.feature, len(self.center))

    def _standardized(self, inputs: Inputs, dtype: DTypeLike) -> tuple[Array, BoolArray]:
        """Return T (n_features, m), contiguous by rows, and which values of dense or sparse X are missing."""
        X: Array = inputs.toarray() if issparse(inputs) else inputs
        is_single = X.dtype == np.float32 and self.scale.min() >= SMALLEST_SINGLE
        precision = np.float32 if is_single else np.float64
        T = np.subtract(X, self.center.astype(precision, copy=False), dtype=precision)
        T /= self.scale.astype(precision, copy=False)
        T = np.ascontiguousarray(T, dtype)
        missing = np.isnan(T)
        T[missing] = 0
        return T, missing

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as arrays, dicts and numbers."""
        parts = {name: dict(vars(part)) for name, part in self.parts.items()}
        fields = {name: getattr(self, name) for name in ("center", "scale", "embedding_dim", "low", "high")}
        return {**fields, "parts": parts}

    @classmethod
    def restore(cls, saved: Mapping[str, Any]) -> Self:
        """Return the encoding that `to_dict` was called on."""
        return cls(**{**saved, "parts": {name: PARTS[name](**part) for name, part in saved["parts"].items()}})


@dataclass(frozen=True, eq=False)
class EncodedInputs:
    """Inputs of a network that are encoded when they are drawn: they stand for A0 of all examples."""

    X: Inputs  # (n_features, n)
    encoding: Encoding

    @property
    def shape(self) -> tuple[int, int]:
        """(n_0, n)."""
        return self.encoding.n_inputs, self.X.shape[1]
