"""Dropout: each unit of each example is silenced by chance while training."""

import numpy as np

from ...checks import check_real
from ...typing import Array


def dropout_forward(A: Array, dropout_rate: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Drop units with probability `dropout_rate`, rescale the rest: A * (U >= rate) / (1 - rate).

    The expectation of the result is A, so that nothing needs doing when predicting.

    Parameters
    ----------
    A : ndarray of shape (n_l, m)
        Activations, one column per example.
    dropout_rate : float in [0, 1)
    rng : numpy.random.Generator

    Returns
    -------
    A_dropped, cache : ndarrays of shape (n_l, m)
        The result, and the scaled mask that `dropout_backward` multiplies by.

    Raises
    ------
    InvalidParameterError
        If `dropout_rate` is outside [0, 1).

    References
    ----------
    .. [1] Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15,
       1929-1958.
    """
    check_real("dropout_rate", dropout_rate, 0, 1, closed="left")
    # float32 draws cost half as much, and their 24 bits are plenty to compare with a rate
    kept = rng.random(A.shape, dtype=np.float32) >= dropout_rate
    mask = np.multiply(kept, 1 / (1 - dropout_rate), dtype=A.dtype)
    return A * mask, mask


def dropout_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `dropout_forward`: dA * mask.

    Parameters
    ----------
    dA, cache : ndarrays of shape (n_l, m)
        The incoming gradient, and the scaled mask.

    Returns
    -------
    ndarray of shape (n_l, m)
    """
    return dA * cache
