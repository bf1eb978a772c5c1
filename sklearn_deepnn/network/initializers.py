"""Start values of weights.

Conventions: a weight matrix has shape (n_l, n_{l-1}), fan-out by fan-in. Every entry of `INITIALIZERS` is a function of
the shape and a `numpy.random.Generator`. Biases start at zero.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from ..typing import Array


def variance_scaling(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    scale: float,
    mode: Literal["fan_in", "fan_avg"],
    distribution: Literal["normal", "uniform"],
) -> Array:
    """Draw weights of variance scale / fan, so that signals keep their size from layer to layer.

    Parameters
    ----------
    shape : tuple (n_l, n_{l-1})
        Fan-out and fan-in.
    rng : numpy.random.Generator
    scale : float
        2 for rectifiers (He), 1 otherwise.
    mode : {"fan_in", "fan_avg"}
        What the variance is divided by: n_{l-1}, or the mean of n_{l-1} and n_l.
    distribution : {"normal", "uniform"}

    Returns
    -------
    W : ndarray of shape (n_l, n_{l-1}), float64

    References
    ----------
    .. [1] He et al. (2015), "Delving deep into rectifiers", ICCV (he_*: scale 2, fan_in).
    .. [2] Glorot, Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks", AISTATS
       (glorot_*: scale 1, fan_avg).
    .. [3] LeCun et al. (1998), "Efficient BackProp" (lecun_*: scale 1, fan_in).
    """
    fan_out, fan_in = shape
    fan = {"fan_in": fan_in, "fan_avg": (fan_in + fan_out) / 2}[mode]
    deviation = np.sqrt(scale / fan)
    draw: dict[str, Callable[[], Array]] = {
        "normal": lambda: rng.standard_normal(shape) * deviation,
        "uniform": lambda: rng.uniform(-np.sqrt(3) * deviation, np.sqrt(3) * deviation, shape),
    }
    return draw[distribution]()


def orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Draw a matrix with orthonormal rows or columns, whichever are fewer, uniformly among all such.

    Parameters
    ----------
    shape : tuple (n_l, n_{l-1})
    rng : numpy.random.Generator

    Returns
    -------
    W : ndarray of shape (n_l, n_{l-1}), float64

    References
    ----------
    .. [1] Saxe, McClelland, Ganguli (2014), "Exact solutions to the nonlinear dynamics of learning in deep linear
       neural networks", ICLR.
    """
    Q, R = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    Q *= np.sign(np.diag(R))  # makes the factorization unique, and with it the draw uniform
    return Q if Q.shape == tuple(shape) else Q.T


def zeros(shape: tuple[int, ...], rng: np.random.Generator | None = None) -> Array:
    """Return zeros: for biases, and for the weights of a network without hidden layers.

    Parameters
    ----------
    shape : tuple of int
    rng : numpy.random.Generator, optional
        Not used: nothing is drawn.

    Returns
    -------
    ndarray of that shape, float64
    """
    return np.zeros(shape)


Initializer: TypeAlias = Callable[[tuple[int, int], np.random.Generator], Array]
InitializerName: TypeAlias = Literal[
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "zeros",
]

INITIALIZERS: dict[str, Initializer] = {
    "he_normal": partial(variance_scaling, scale=2.0, mode="fan_in", distribution="normal"),
    "he_uniform": partial(variance_scaling, scale=2.0, mode="fan_in", distribution="uniform"),
    "glorot_normal": partial(variance_scaling, scale=1.0, mode="fan_avg", distribution="normal"),
    "glorot_uniform": partial(variance_scaling, scale=1.0, mode="fan_avg", distribution="uniform"),
    "lecun_normal": partial(variance_scaling, scale=1.0, mode="fan_in", distribution="normal"),
    "lecun_uniform": partial(variance_scaling, scale=1.0, mode="fan_in", distribution="uniform"),
    "orthogonal": orthogonal,
    "zeros": zeros,
}
