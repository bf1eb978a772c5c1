"""Inputs that scale themselves: what is subtracted from each feature and what it is divided by, and where that is done.

Conventions: columns are examples. `center` and `scale` are (n_0, 1), float64. Dense examples are scaled as they are
drawn. Sparse ones stay as they are: shift and scale act on the first layer instead, `fold_scaling`, and so they do when
the network predicts.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis

from .network import names_of, take_columns

CHUNK_ELEMENTS = 2**16  # of X, looked at at once


class Scaling(NamedTuple):
    """X_scaled = (X - center) / scale, feature by feature.

    Attributes
    ----------
    center, scale : ndarrays of shape (n_0, 1)
    """

    center: np.ndarray
    scale: np.ndarray

    def apply(self, X, dtype):
        """Return dense examples X (n_0, m) scaled: shifted in the precision that X has, then converted to dtype."""
        precision = np.float32 if X.dtype == np.float32 else np.float64
        shifted = np.subtract(X, self.center.astype(precision, copy=False), dtype=precision)
        return np.divide(shifted, self.scale, dtype=dtype, casting="same_kind")


class Moments(NamedTuple):
    """Weighted mean and variance of each feature, (n_0, 1), and the weight of the examples that they are of.

    Attributes
    ----------
    mean, variance : ndarrays of shape (n_0, 1)
    total_weight : float
    """

    mean: np.ndarray
    variance: np.ndarray
    total_weight: float

    def merged(self, other):
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

    def scaling(self):
        """Return the scaling to mean 0 and variance 1; features that do not vary are only shifted."""
        deviation = np.sqrt(self.variance)
        varies = deviation > 1e-12 * np.abs(self.mean)  # what rounding leaves of a constant's is less
        return Scaling(self.mean, np.where(varies, deviation, 1.0))


def input_moments(examples):
    """Return the moments of a set of examples, looked at piece by piece.

    Parameters
    ----------
    examples : Examples

    Returns
    -------
    Moments
    """
    X, columns, weight = examples.X, examples.columns, examples.sample_weight
    if issparse(X):
        rows = X.T.tocsr() if columns is None else X.T.tocsr()[columns]
        weight = np.ones(rows.shape[0]) if weight is None else weight[examples.members]
        mean, variance = mean_variance_axis(rows.astype(np.float64), axis=0, weights=weight)
        variance = np.maximum(variance, 0)  # rounding leaves those of constants a little below
        return Moments(mean[:, np.newaxis], variance[:, np.newaxis], float(weight.sum()))
    moments = None
    for piece in gen_batches(examples.n, max(CHUNK_ELEMENTS // X.shape[0], 1)):
        at = examples.at(piece)
        A0 = take_columns(X, at, np.float64)
        share = np.ones((A0.shape[1], 1)) if weight is None else weight[at][:, np.newaxis]
        total_weight = float(share.sum())
        share = share / total_weight
        mean = A0 @ share
        centred = A0 - mean
        of_piece = Moments(mean, np.square(centred, out=centred) @ share, total_weight)
        moments = of_piece if moments is None else moments.merged(of_piece)
    return moments


def robust_scaling(examples):
    """Return the scaling by median and interquartile range, which outliers do not move.

    Features half of whose values are the same are divided by half their range, and only shifted if they do not vary.

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
        scale[feature] = (high - low) or np.ptp(values) / 2 or 1.0
    return Scaling(center, scale)


def fold_scaling(parameters, scaling):
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


def unfold_scaling(parameters, scaling):
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
    return _shift_first_layer(parameters, -scaling.center / scaling.scale, scaling.scale)


def _shift_first_layer(parameters, center, factor):
    """Return parameters whose first layer takes factor * (X - center) for X."""
    name, dtype = names_of(1), parameters["W1"].dtype
    W = parameters[name.W] * factor.mT  # in float64
    moved = W @ center
    shifted = {name.W: W}
    if name.b in parameters:
        shifted[name.b] = parameters[name.b] - moved
    else:
        shifted[name.running_mean] = parameters[name.running_mean] + moved
    return {**parameters, **{key: array.astype(dtype) for key, array in shifted.items()}}


def fold_scaling_backward(grads, scaling):
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


SCALINGS = {"standard": lambda examples: input_moments(examples).scaling(), "robust": robust_scaling}
