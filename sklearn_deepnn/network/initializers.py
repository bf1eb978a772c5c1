"""Initial weights.

Conventions: a weight matrix has shape (n_l, n_{l-1}), fan-out by fan-in. Every entry of `INITIALIZERS` is a function of
the shape and a `numpy.random.Generator`, which returns float64. Initial biases are zero.
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
    """Draw weights of variance scale / fan, which keeps the variance of signals from layer to layer."""
    fan_out, fan_in = shape
    fan = fan_in if mode == "fan_in" else (fan_in + fan_out) / 2
    deviation = np.sqrt(scale / fan)
    if distribution == "normal":
        weights = rng.standard_normal(shape)
        weights *= deviation
        return weights
    return rng.uniform(-np.sqrt(3) * deviation, np.sqrt(3) * deviation, shape)


def orthogonal(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Draw orthonormal rows, or columns if these are fewer, uniformly (Saxe, McClelland, Ganguli (2014), ICLR)."""
    Q, R = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    Q *= np.sign(np.diag(R))  # makes the factorization unique and the draw uniform
    return Q if Q.shape == tuple(shape) else Q.T


def zeros(shape: tuple[int, ...], rng: np.random.Generator | None = None) -> Array:
    """Return zeros: for biases, and for the weights of a network without hidden layers."""
    return np.zeros(shape)


Initializer: TypeAlias = Callable[[tuple[int, int], np.random.Generator], Array]
InitializerName: TypeAlias = Literal[
    "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform", "orthogonal", "zeros"
]

# he: He et al. (2015), "Delving deep into rectifiers", ICCV. glorot: Glorot, Bengio (2010), "Understanding the
# difficulty of training deep feedforward neural networks", AISTATS. lecun: LeCun et al. (1998), "Efficient BackProp".
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
INITIALIZER_SYNONYMS = {  # names elsewhere
    "he": "he_normal",
    "kaiming": "he_normal",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "glorot": "glorot_uniform",
    "xavier": "glorot_uniform",
    "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
    "lecun": "lecun_normal",
}
