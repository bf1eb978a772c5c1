"""Batch normalisation: standardize each unit over the batch, then give it a learned scale and offset."""

from typing import NamedTuple

import numpy as np

from ...typing import Array
from .dense import constant_column

EPSILON = 1e-5


class BatchnormCache(NamedTuple):
    """What `batchnorm_forward` keeps for `batchnorm_backward` and for the running statistics."""

    Z_hat: Array  # (n_l, m): the standardized input
    gamma: Array  # (n_l, 1)
    sigma: Array  # (n_l, 1)
    mean: Array  # (n_l, 1)
    variance: Array  # (n_l, 1)
    # (m, 1), or None: each example's fraction of the total weight, 1/m if unweighted. None if the
    # statistics were given.
    fractions: Array | None


def batchnorm_forward(
    Z: Array,
    gamma: Array,
    beta: Array,
    *,
    statistics: tuple[Array, Array] | None = None,
    sample_weight: Array | None = None,
) -> tuple[Array, BatchnormCache]:
    """Normalise each unit: gamma (Z - mean) / sqrt(variance + epsilon) + beta.

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)
    gamma, beta : ndarrays of shape (n_l, 1)
    statistics : tuple of two ndarrays of shape (n_l, 1), optional
        Running mean and variance, for prediction. By default those of the batch are computed.
    sample_weight : ndarray of shape (m,), optional
        Weights for the statistics of the batch: an example of weight 2 counts as two examples.

    Returns
    -------
    Z_tilde : ndarray of shape (n_l, m)
    cache : BatchnormCache

    References
    ----------
    .. [1] Ioffe, Szegedy (2015), "Batch normalization", ICML. The paper multiplies the variance by m / (m - 1) for the
       running statistics. This function does not: m is undefined for weighted examples.
    """
    fractions = None
    if statistics is None:
        fractions = constant_column(Z.shape[-1], Z.dtype, 1 / Z.shape[-1])
        # weights may underflow to 0 in float32
        if sample_weight is not None and sample_weight.any(axis=-1).all():
            fractions = (sample_weight / sample_weight.sum(axis=-1, keepdims=True))[..., np.newaxis]
        mean = Z @ fractions
        centered = Z - mean
        variance = (centered * centered) @ fractions
    else:
        mean, variance = statistics
        centered = Z - mean
    sigma = np.sqrt(variance + EPSILON)
    Z_hat = centered / sigma
    return gamma * Z_hat + beta, BatchnormCache(Z_hat, gamma, sigma, mean, variance, fractions)


def batchnorm_backward(
    dZ_tilde: Array, cache: BatchnormCache, *, out: tuple[Array | None, Array | None] = (None, None)
) -> tuple[Array, Array, Array]:
    """Backpropagate through `batchnorm_forward`, and through the statistics of the batch.

    dZ_j = gamma / sigma (d_j - u_j (sum_k d_k + Z_hat_j sum_k d_k Z_hat_k)), where d_j is dZ_tilde of example j and u_j
    its fraction of the total weight. The sums are dbeta and dgamma.

    Parameters
    ----------
    dZ_tilde : ndarray of shape (n_l, m)
    cache : BatchnormCache
    out : pair of ndarrays or None, default=(None, None)
        Arrays to write dgamma and dbeta into.

    Returns
    -------
    dZ : ndarray of shape (n_l, m)
    dgamma, dbeta : ndarrays of shape (n_l, 1)
        Sums over the examples.
    """
    ones = constant_column(dZ_tilde.shape[-1], dZ_tilde.dtype)
    dgamma = np.matmul(dZ_tilde * cache.Z_hat, ones, out=out[0])
    dbeta = np.matmul(dZ_tilde, ones, out=out[1])
    dZ = dZ_tilde
    if cache.fractions is not None:
        dZ = dZ_tilde - (dbeta + dgamma * cache.Z_hat) * cache.fractions.mT
    return dZ * (cache.gamma / cache.sigma), dgamma, dbeta
