"""How inputs are scaled: what each feature is centered by and divided by, learned from the training set.

Conventions: columns are examples. `center` and `scale` are (n_0, 1), float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis

from ..network.prediction import take_columns
from ..network.scaling import Scaling
from ..training.examples import Examples
from ..typing import Array, Inputs

CHUNK_ELEMENTS = 2**16  # numbers of X in a chunk
SPARSE_CHUNK = 1000  # but no fewer sparse examples: however few they are, their moments take n_0 numbers
FAR_FROM_ZERO = 1000.0  # standard deviations; float32 cannot resolve features with such a mean
MANY_VALUES = 10  # different values that a feature needs to show its scale
MOST_FILLED = 0.9  # largest fraction of examples in which a sparse feature is not 0
FAR_FROM_COMMON = 10.0  # the scale of a sparse feature differs from its size by no larger factor
FAR_OFF, VERY_FAR_OFF, FEW_OTHERS = 2.0, 10.0, 20  # times the usual distance; with few examples the second number


class Moments(NamedTuple):
    """Weighted moments of each feature."""

    mean: Array  # (n_0, 1)
    variance: Array  # (n_0, 1)
    total_weight: float  # of the examples
    filled: Array | None = None  # (n_0, 1): fraction of examples in which the feature is not 0, for "common" scaling

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both sets together. The same set twice gives the same moments bit for bit."""
        # Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance", The American Statistician 37
        total_weight = self.total_weight + other.total_weight
        fraction, step = other.total_weight / total_weight, other.mean - self.mean
        variance = self.variance + fraction * (other.variance - self.variance) + fraction * (1 - fraction) * step**2
        filled = self.filled
        if filled is not None and other.filled is not None:
            filled = filled + fraction * (other.filled - filled)
        return Moments(self.mean + fraction * step, variance, total_weight, filled)

    def after(self, earlier: Moments | None) -> Moments:
        """Return the moments of earlier examples, if there are any, and these together."""
        return self if earlier is None else earlier.merged(self)

    def deviation(self) -> Array:
        """Return the standard deviation (n_0, 1) of each feature: exactly 0 if the feature is constant."""
        deviation = np.sqrt(self.variance)
        varies = deviation > 4e-15 * np.abs(self.mean)  # rounding gives constant sparse features a smaller deviation
        return np.where(varies, deviation, 0)

    def scaling(self) -> Scaling:
        """Return the scaling to mean 0 and variance 1."""
        if not np.isfinite(self.variance).all():
            largest = f"a feature of mean {np.abs(self.mean).max():g}"
            raise ValueError(f"X must have features of finite variance to be scaled, got {largest}.")
        deviation = self.deviation()
        return Scaling(self.mean, np.where(deviation, deviation, np.inf))


def learn_scaling(
    name: str | None, examples: Examples, moments: Moments | None = None
) -> tuple[Scaling | None, Moments | None]:
    """Return the scaling for examples, and the moments that later examples can be merged with, if it has such."""
    return (None, None) if name is None else SCALINGS[name](examples, moments)


def far_features(scaling: Scaling) -> Array:
    """Return the features that float32 cannot resolve: their mean is far from zero, or their scale is extreme."""
    center, scale = scaling.center[:, 0], scaling.scale[:, 0]
    is_far = (np.abs(center) > FAR_FROM_ZERO * scale) | (scale < 1e-30) | (scale > 1e30)
    return np.flatnonzero(is_far & np.isfinite(scale))


def on_another_scale(X: Inputs, others: Inputs) -> float | None:
    """Return how far other examples lie from X, if the distance is unusual for data of one kind."""
    X, others = (np.asarray(each.toarray() if issparse(each) else each, np.float64) for each in (X, others))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # rare words and categories may be absent from a sample: only features with many values are compared
        n_values = np.count_nonzero(np.diff(np.sort(X, axis=1), axis=1), axis=1)
        compared = (n_values >= MANY_VALUES) & (np.ptp(others, axis=1) > 0)
        compared &= ~(np.isnan(X).any(axis=1) | np.isnan(others).any(axis=1))
        X, others = X[compared], others[compared]
        center, deviation = X.mean(axis=1, keepdims=True), X.std(axis=1)
        distance = np.sqrt(np.square(others - center).mean(axis=1)) / deviation
        ratios = distance, others.std(axis=1) / deviation
        off = max((np.median(np.abs(np.log(ratio))) for ratio in ratios if len(ratio)), default=0.0)
    limit = FAR_OFF if others.shape[1] >= FEW_OTHERS else VERY_FAR_OFF
    return float(np.median(distance)) if off > np.log(limit) else None


def input_moments(examples: Examples) -> Moments:
    """Return the moments of a set of examples, computed chunk by chunk."""
    X, weight = examples.X, examples.sample_weight
    least = SPARSE_CHUNK if issparse(X) else 1
    # subtract the first example: constant features become exactly 0, and features far from 0 keep their precision
    pivot = 0.0 if issparse(X) else take_columns(X, examples.at(slice(0, 1)), np.float64)

    def of_chunk(chunk: slice) -> Moments:
        columns = examples.at(chunk)
        A0 = take_columns(X, columns, np.float64)
        chunk_weight = np.ones(A0.shape[1]) if weight is None else weight[columns]
        return _sparse_moments(A0, chunk_weight) if issparse(X) else _dense_moments(A0 - pivot, chunk_weight)

    with np.errstate(over="ignore"):
        chunks = gen_batches(examples.n, max(CHUNK_ELEMENTS // X.shape[0], least))
        moments = reduce(Moments.merged, map(of_chunk, chunks))
    return moments._replace(mean=moments.mean + pivot)


def _dense_moments(A0: Array, weight: Array) -> Moments:
    """Return the moments of dense examples. Overwrites A0."""
    total_weight = float(weight.sum())
    fractions = (weight / total_weight)[:, np.newaxis]
    mean = A0 @ fractions
    A0 -= mean
    return Moments(mean, np.square(A0, out=A0) @ fractions, total_weight)


def _sparse_moments(A0: Inputs, weight: Array) -> Moments:
    """Return the moments of sparse examples."""
    mean, variance = mean_variance_axis(A0.T.tocsr(), axis=0, weights=weight)
    variance = np.maximum(variance, 0)  # rounding makes the variance of constants negative
    return Moments(mean[:, np.newaxis], variance[:, np.newaxis], float(weight.sum()))


def standard_scaling(examples: Examples, earlier: Moments | None) -> tuple[Scaling, Moments]:
    """Return the scaling by mean and standard deviation, of examples and of earlier ones, and the moments of all."""
    moments = input_moments(examples).after(earlier)
    return moments.scaling(), moments


def common_scaling(examples: Examples, earlier: Moments | None) -> tuple[Scaling, Moments]:
    """Return the scaling of sparse features by their typical size, of others as `standard_scaling`, and the moments."""
    # Division by the deviation would make rare words the largest inputs. A sparse feature is 0 in a tenth of the
    # examples or more, and keeps its zeros. Its size is the root mean square of its other values.
    filled = input_moments(examples._replace(X=examples.X != 0)).mean
    moments = input_moments(examples)._replace(filled=filled).after(earlier)
    filled = np.asarray(moments.filled)
    standard, is_sparse = moments.scaling(), filled <= MOST_FILLED
    size = np.sqrt((moments.variance + moments.mean**2) / np.where(filled, filled, np.inf))
    occurs = size > 0  # squares of values below 1e-162 underflow: such a feature counts as 0
    common = np.median(size[is_sparse & occurs]) if (is_sparse & occurs).any() else 1.0
    scale = np.where(occurs, np.clip(common, size / FAR_FROM_COMMON, size * FAR_FROM_COMMON), np.inf)
    return Scaling(np.where(is_sparse, 0.0, standard.center), np.where(is_sparse, scale, standard.scale)), moments


def pooled_scaling(examples: Examples, earlier: Moments | None) -> tuple[Scaling, Moments]:
    """Return the scaling by each mean and by the pooled standard deviation, and the moments of all examples."""
    moments = input_moments(examples).after(earlier)
    standard = moments.scaling()  # raises if a variance is not finite
    varies = np.isfinite(standard.scale)
    pooled = np.sqrt(moments.variance[varies].mean()) if varies.any() else 1.0
    return Scaling(standard.center, np.where(varies, pooled, np.inf)), moments


def robust_scaling(examples: Examples, earlier: Moments | None) -> tuple[Scaling, None]:
    """Return the scaling by median and interquartile range, which outliers do not change. It has no moments."""
    X, weight = examples.X, examples.sample_weight
    X = X.tocsr() if issparse(X) else X
    weight = None if weight is None else weight[examples.members]
    center, scale = np.zeros((2, X.shape[0], 1))
    for feature in range(X.shape[0]):
        values = X[[feature]].toarray()[0] if issparse(X) else X[feature]
        values = np.asarray(values[examples.members], np.float64)
        # "inverted_cdf" treats an example of weight 2 like two examples
        low, center[feature], high = np.quantile(values, (0.25, 0.5, 0.75), weights=weight, method="inverted_cdf")
        scale[feature] = (high - low) or np.ptp(values) / 2 or np.inf
    return Scaling(center, scale), None


SCALINGS: dict[str, Callable[[Examples, Moments | None], tuple[Scaling, Moments | None]]] = {
    "standard": standard_scaling,
    "clipped": standard_scaling,  # without outliers; `estimators.encoding` clips them
    "pooled": pooled_scaling,
    "robust": robust_scaling,
    "common": common_scaling,
}
