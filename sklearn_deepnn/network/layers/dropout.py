"""Dropout: set random units of each example to 0 during training."""

import numpy as np

from ...checks import check_real
from ...typing import Array


def dropout_forward(A: Array, dropout_rate: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Drop units with probability `dropout_rate` and rescale the rest: A * (U >= rate) / (1 - rate).

    The expectation of the result is A. Prediction therefore needs no correction.

    Parameters
    ----------
    A : ndarray of shape (n_l, m)
        Activations, one column per example.
    dropout_rate : float in [0, 1)
    rng : numpy.random.Generator

    Returns
    -------
    A_dropped : ndarray of shape (n_l, m)
    cache : ndarray of shape (n_l, m)
        The scaled mask, which `dropout_backward` multiplies by.

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
    # float32 draws take half the time of float64 draws, and 24 bits suffice for a comparison with a rate
    kept = rng.random(A.shape, dtype=np.float32) >= dropout_rate
    mask = np.multiply(kept, 1 / (1 - dropout_rate), dtype=A.dtype)
    return A * mask, mask


def dropout_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `dropout_forward`: dA * mask.

    Parameters
    ----------
    dA : ndarray of shape (n_l, m)
    cache : ndarray of shape (n_l, m)
        The scaled mask.

    Returns
    -------
    ndarray of shape (n_l, m)
    """
    return dA * cache
