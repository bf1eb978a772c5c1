"""Batch normalisation: each unit is centred and scaled over the batch, then given a mean and a size of its own."""

from typing import NamedTuple

import numpy as np

from ...typing import Array
from .averaging import averaging_column

EPSILON = 1e-5


class BatchnormCache(NamedTuple):
    """What `batchnorm_forward` leaves: for `batchnorm_backward`, and for the running statistics.

    Attributes
    ----------
    Z_hat : ndarray of shape (n_l, m)
        The normalised input.
    gamma, sigma, mean, variance : ndarrays of shape (n_l, 1)
    share : ndarray of shape (m, 1), or None
        What each example weighs in the mean, 1/m unweighted; None where the statistics were given.
    """

    Z_hat: Array
    gamma: Array
    sigma: Array
    mean: Array
    variance: Array
    share: Array | None


def batchnorm_forward(
    Z: Array,
    gamma: Array,
    beta: Array,
    *,
    statistics: tuple[Array, Array] | None = None,
    sample_weight: Array | None = None,
) -> tuple[Array, BatchnormCache]:
    """Normalise each unit: gamma * (Z - mean) / sqrt(variance + epsilon) + beta.

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)
    gamma, beta : ndarrays of shape (n_l, 1)
    statistics : tuple of two ndarrays of shape (n_l, 1), optional
        Mean and variance, as counted while training: for predicting. By default those of the batch are taken.
    sample_weight : ndarray of shape (m,), optional
        Weights for the statistics of the batch, so that an example of weight 2 counts as two examples.

    Returns
    -------
    Z_tilde : ndarray of shape (n_l, m)
    cache : BatchnormCache

    References
    ----------
    .. [1] Ioffe, Szegedy (2015), "Batch normalization", ICML. Unlike there, the variance of the batch is taken as it is
       and not times m / (m - 1) when it goes into the running statistics: m is not defined for weighted examples.
    """
    share = None
    if statistics is None:
        share = averaging_column(Z.shape[-1], Z.dtype, Z.shape[-1])
        # weights may be too small for this precision
        if sample_weight is not None and sample_weight.any(axis=-1).all():
            share = (sample_weight / sample_weight.sum(axis=-1, keepdims=True))[..., np.newaxis]
        mean = Z @ share
        centred = Z - mean
        variance = (centred * centred) @ share
    else:
        mean, variance = statistics
        centred = Z - mean
    sigma = np.sqrt(variance + EPSILON)
    Z_hat = centred / sigma
    return gamma * Z_hat + beta, BatchnormCache(Z_hat, gamma, sigma, mean, variance, share)


def batchnorm_backward(
    dZ_tilde: Array,
    cache: BatchnormCache,
    *,
    m: int | None = None,
    out: tuple[Array | None, Array | None] = (None, None),
) -> tuple[Array, Array, Array]:
    """Backpropagate through `batchnorm_forward`, through the statistics of the batch as well.

    With share u_j of example j: dZ_j = gamma / sigma * (d_j - u_j sum_k d_k - u_j Z_hat_j sum_k d_k Z_hat_k).

    Parameters
    ----------
    dZ_tilde : ndarray of shape (n_l, m)
    cache : BatchnormCache
    m : int, optional
        As in `linear_backward`.
    out : pair of ndarrays or None, default=(None, None)
        Where to write dgamma and dbeta.

    Returns
    -------
    dZ : ndarray of shape (n_l, m)
    dgamma, dbeta : ndarrays of shape (n_l, 1)
        Averaged over the examples.
    """
    n = dZ_tilde.shape[-1]
    m = n if m is None else m
    average = averaging_column(n, dZ_tilde.dtype, m)
    dgamma = np.matmul(dZ_tilde * cache.Z_hat, average, out=out[0])
    dbeta = np.matmul(dZ_tilde, average, out=out[1])
    dZ = dZ_tilde
    if cache.share is not None:
        # the sums over k are m dbeta and m dgamma
        dZ = dZ_tilde - (m * dbeta + (m * dgamma) * cache.Z_hat) * cache.share.mT
    return dZ * (cache.gamma / cache.sigma), dgamma, dbeta
