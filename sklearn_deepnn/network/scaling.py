"""Inputs that scale themselves: what is subtracted from each feature and what it is divided by, and where that is done.

Conventions: columns are examples. `center` and `scale` are (n_0, 1), float64. Dense examples are scaled as they are
drawn. Sparse ones stay as they are: shift and scale act on the first layer instead, `fold_scaling`, and so they do when
the network predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis

from ..typing import Array, Arrays, Inputs, Maybe
from .model import names_of, take_columns

if TYPE_CHECKING:
    from ..training.loop import Examples

CHUNK_ELEMENTS = 2**16  # of X, looked at at once
MANY_VALUES = 10  # of a feature that tells on what scale it is
FAR_OFF, VERY_FAR_OFF, FEW_OTHERS = 2.0, 10.0, 20  # times the distance that is usual; with few examples the latter


class Scaling(NamedTuple):
    """X_scaled = (X - center) / scale, feature by feature.

    Attributes
    ----------
    center, scale : ndarrays of shape (n_0, 1)
        The scale of a feature that does not vary is infinite: it is 0 when scaled, and has no influence on anything.
    """

    center: Array
    scale: Array

    def apply(self, X: Array, dtype: DTypeLike) -> Array:
        """Return dense examples X (n_0, m) scaled in the precision that X has, then converted to dtype."""
        precision = np.float32 if X.dtype == np.float32 else np.float64
        scaled = np.subtract(X, self.center.astype(precision, copy=False), dtype=precision)
        scaled /= self.scale.astype(precision, copy=False)
        return scaled.astype(dtype, copy=False)


class Moments(NamedTuple):
    """Weighted mean and variance of each feature, (n_0, 1), and the weight of the examples that they are of.

    Attributes
    ----------
    mean, variance : ndarrays of shape (n_0, 1)
    total_weight : float
        Relative to that of other sets.
    """

    mean: Array
    variance: Array
    total_weight: float

    def merged(self, other: Moments) -> Moments:
        """Return the moments of the examples of both; of the same examples again, the same moments to the bit.

        Parameters
        ----------
        other : Moments

        Returns
        -------
        Moments

        References
        ----------
        .. [1] Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance", The American Statistician
           37, 242-247.
        """
        total_weight = self.total_weight + other.total_weight
        share, step = other.total_weight / total_weight, other.mean - self.mean
        variance = self.variance + share * (other.variance - self.variance) + share * (1 - share) * step**2
        return Moments(self.mean + share * step, variance, total_weight)

    def scaling(self) -> Scaling:
        """Return the scaling to mean 0 and variance 1.

        Returns
        -------
        Scaling

        Raises
        ------
        ValueError
            If a variance is too large for a number.
        """
        if not np.isfinite(self.variance).all():
            largest = np.abs(self.mean).max()
            raise ValueError(f"X must have features of finite variance to be scaled, got a mean of {largest:g} in one.")
        deviation = np.sqrt(self.variance)
        varies = deviation > 4e-15 * np.abs(self.mean)  # what rounding leaves of a sparse constant is less
        return Scaling(self.mean, np.where(varies, deviation, np.inf))


def on_another_scale(X: Inputs, others: Inputs) -> float | None:
    """Say how far examples are from where others lie, if that is too far, or too near, for data of one kind.

    Parameters
    ----------
    X, others : ndarrays or sparse arrays of shapes (n_0, m) and (n_0, n)
        Samples of them.

    Returns
    -------
    float or None
        The distance of the others from the mean of X, root mean square, in standard deviations of a typical feature;
        None if it is near 1, and they vary by as much.
    """
    X, others = (np.asarray(each.toarray() if issparse(each) else each, np.float64) for each in (X, others))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # rare words and categories are in none or too many of few examples: only what takes many values tells
        n_values = np.count_nonzero(np.diff(np.sort(X, axis=1), axis=1), axis=1)
        tells = (n_values >= MANY_VALUES) & (np.ptp(others, axis=1) > 0)
        X, others = X[tells], others[tells]
        center, deviation = X.mean(axis=1, keepdims=True), X.std(axis=1)
        distance = np.sqrt(np.square(others - center).mean(axis=1)) / deviation
        ratios = distance, others.std(axis=1) / deviation
        off = max((np.median(np.abs(np.log(ratio))) for ratio in ratios if len(ratio)), default=0.0)
    limit = FAR_OFF if others.shape[1] >= FEW_OTHERS else VERY_FAR_OFF
    return float(np.median(distance)) if off > np.log(limit) else None


def input_moments(examples: Examples) -> Moments:
    """Return the moments of a set of examples, looked at piece by piece.

    Parameters
    ----------
    examples : Examples
        With weights around 1.

    Returns
    -------
    Moments
    """
    X, weight = examples.X, examples.sample_weight
    moments: Maybe[Moments] = None
    # seen from one of its values, a constant is exactly zero, and what little a distant feature varies by is not lost
    pivot = 0.0 if issparse(X) else take_columns(X, examples.at(slice(0, 1)), np.float64)
    with np.errstate(over="ignore"):
        for piece in gen_batches(examples.n, max(CHUNK_ELEMENTS // X.shape[0], 1)):
            at = examples.at(piece)
            A0 = take_columns(X, at, np.float64)
            share = np.ones(A0.shape[1]) if weight is None else weight[at]
            of_piece = _sparse_moments(A0, share) if issparse(X) else _dense_moments(A0 - pivot, share)
            moments = of_piece if moments is None else moments.merged(of_piece)
    return moments._replace(mean=moments.mean + pivot)


def _dense_moments(A0: Array, weight: Array) -> Moments:
    """Return the moments of examples that may be overwritten."""
    total_weight = float(weight.sum())
    share = (weight / total_weight)[:, np.newaxis]
    mean = A0 @ share
    A0 -= mean
    return Moments(mean, np.square(A0, out=A0) @ share, total_weight)


def _sparse_moments(A0: Inputs, weight: Array) -> Moments:
    """Return the moments of sparse examples."""
    mean, variance = mean_variance_axis(A0.T.tocsr(), axis=0, weights=weight)
    variance = np.maximum(variance, 0)  # rounding leaves those of constants a little below
    return Moments(mean[:, np.newaxis], variance[:, np.newaxis], float(weight.sum()))


def robust_scaling(examples: Examples) -> Scaling:
    """Return the scaling by median and interquartile range, which outliers do not move.

    Features half of whose values are the same are divided by half their range.

    Parameters
    ----------
    examples : Examples

    Returns
    -------
    Scaling
    """
    X, weight = examples.X, examples.sample_weight
    X = X.tocsr() if issparse(X) else X
    weight = None if weight is None else weight[examples.members]
    center, scale = np.zeros((2, X.shape[0], 1))
    for feature in range(X.shape[0]):
        values = X[[feature]].toarray()[0] if issparse(X) else X[feature]
        values = np.asarray(values[examples.members], np.float64)
        # so defined that weight 2 is two examples
        low, center[feature], high = np.quantile(values, (0.25, 0.5, 0.75), weights=weight, method="inverted_cdf")
        scale[feature] = (high - low) or np.ptp(values) / 2 or np.inf
    return Scaling(center, scale)


def fold_scaling(parameters: Arrays, scaling: Scaling | None) -> Arrays:
    """Return the parameters of the network that makes of raw inputs what `parameters` make of scaled ones.

    W1' = W1 / scale and b1' = b1 - W1' center; with batch normalisation running_mean1' = running_mean1 + W1' center.

    Parameters
    ----------
    parameters : dict of str to ndarray
    scaling : Scaling or None
        None scales nothing: the same parameters are returned.

    Returns
    -------
    dict of str to ndarray
    """
    return parameters if scaling is None else _shift_first_layer(parameters, scaling.center, 1 / scaling.scale)


def unfold_scaling(parameters: Arrays, scaling: Scaling | None) -> Arrays:
    """Return the parameters that `fold_scaling` was given, up to rounding.

    Parameters
    ----------
    parameters : dict of str to ndarray
    scaling : Scaling or None

    Returns
    -------
    dict of str to ndarray
    """
    if scaling is None:
        return parameters
    # what does not vary has no weight in the one, and may have any in the other
    scale = np.where(np.isfinite(scaling.scale), scaling.scale, 0.0)
    return _shift_first_layer(parameters, -scaling.center / scaling.scale, scale)


def _shift_first_layer(parameters: Arrays, center: Array, factor: Array) -> Arrays:
    """Return parameters whose first layer takes factor * (X - center) for X."""
    name = names_of(1)
    dtype = parameters[name.W].dtype
    W = parameters[name.W] * factor.mT  # in float64
    moved = W @ center
    shifted = {name.W: W}
    if name.b in parameters:
        shifted[name.b] = parameters[name.b] - moved
    else:
        shifted[name.running_mean] = parameters[name.running_mean] + moved
    return {**parameters, **{key: array.astype(dtype) for key, array in shifted.items()}}


def fold_scaling_backward(grads: Arrays, scaling: Scaling) -> None:
    """Turn the gradients of the parameters that `fold_scaling` returns into those of what it was given.

    dW1 = (dW1' - db1' center^T) / scale, db1 = db1'. Batch normalisation has no b1: it takes every shift away again.

    Parameters
    ----------
    grads : dict of str to ndarray
        "dW1" is overwritten.
    scaling : Scaling
    """
    name = names_of(1)
    dW = grads[name.dW]
    if name.db in grads:
        dW -= (grads[name.db] @ scaling.center.mT).astype(dW.dtype)
    dW /= scaling.scale.mT.astype(dW.dtype)


SCALINGS: dict[str, Callable[[Examples], Scaling]] = {
    "standard": lambda examples: input_moments(examples).scaling(),
    "robust": robust_scaling,
}
