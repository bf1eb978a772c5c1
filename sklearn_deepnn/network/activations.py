"""Activation functions, each with its backward.

Conventions: `Z`, `A`, `dA` and `dZ` have one shape, (n_l, m), one column per example. A forward returns `A, cache`; the
backward takes `dA, cache` to `dZ = dA * g'(Z)`. What the cache holds is the pair's own affair: the activation itself
where g' can be told from it, which spares keeping `Z`. Inputs up to 3e38 give no NaN, no infinity and no warning, in
float32 as well.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.special import expit, ndtr

from ..typing import Array

LEAKY_RELU_SLOPE = 0.01
INVERSE_SQRT_2PI = 0.3989422804014327

# The fixed point of mean 0, variance 1 (Klambauer et al. (2017), "Self-normalizing neural networks", NeurIPS).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def relu(Z: Array) -> tuple[Array, Array]:
    """Rectify: A = max(Z, 0).

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A, cache : ndarrays of shape (n_l, m)
        The activation, and the activation again: A > 0 just where Z > 0.
    """
    A = np.maximum(Z, 0)
    return A, A


def relu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `relu`: dZ = dA where A > 0, else 0."""
    # dA * (cache > 0), which converts the mask in pieces, takes up to twice as long, np.where forty times
    dZ = (cache > 0).astype(dA.dtype)
    dZ *= dA
    return dZ


def leaky_relu(Z: Array) -> tuple[Array, Array]:
    """Rectify with a small negative slope: A = max(Z, 0.01 Z).

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A, cache : ndarrays of shape (n_l, m)
    """
    A = np.maximum(Z, LEAKY_RELU_SLOPE * Z)
    return A, A


def leaky_relu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `leaky_relu`: dZ = dA where A > 0, else 0.01 dA."""
    # sign and maximum run in wide registers; np.where takes six times as long
    return dA * np.maximum(np.sign(cache), LEAKY_RELU_SLOPE)


def elu(Z: Array) -> tuple[Array, Array]:
    """Apply the exponential linear unit: A = Z where Z > 0, else exp(Z) - 1.

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A, cache : ndarrays of shape (n_l, m)

    References
    ----------
    .. [1] Clevert, Unterthiner, Hochreiter (2016), "Fast and accurate deep network learning by exponential linear
       units", ICLR.
    """
    A = np.maximum(Z, 0) + np.expm1(np.minimum(Z, 0))
    return A, A


def elu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `elu`: dZ = dA where A > 0, else dA (A + 1)."""
    return dA * (np.minimum(cache, 0) + 1)


def selu(Z: Array) -> tuple[Array, Array]:
    """Apply the scaled exponential linear unit: A = scale (Z where Z > 0, else alpha (exp(Z) - 1)).

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A, cache : ndarrays of shape (n_l, m)

    References
    ----------
    .. [1] Klambauer et al. (2017), "Self-normalizing neural networks", NeurIPS.
    """
    A = SELU_SCALE * (np.maximum(Z, 0) + SELU_ALPHA * np.expm1(np.minimum(Z, 0)))
    return A, A


def selu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `selu`: dZ = scale dA where A > 0, else dA (A + scale alpha)."""
    return dA * np.where(cache > 0, SELU_SCALE, cache + SELU_SCALE * SELU_ALPHA)


def gelu(Z: Array) -> tuple[Array, tuple[Array, Array]]:
    """Weigh by the normal distribution function: A = Z Phi(Z), exactly, not by its tanh approximation.

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A : ndarray of shape (n_l, m)
    cache : tuple of ndarrays of shape (n_l, m)
        Z and Phi(Z).

    References
    ----------
    .. [1] Hendrycks, Gimpel (2016), "Gaussian error linear units", arXiv:1606.08415.
    """
    Phi = ndtr(Z)
    return Z * Phi, (Z, Phi)


def gelu_backward(dA: Array, cache: tuple[Array, Array]) -> Array:
    """Backpropagate through `gelu`: dZ = dA (Phi(Z) + Z phi(Z))."""
    Z, Phi = cache
    near = np.clip(Z, -40, 40)  # phi(40) is 0 already, and the square of a larger Z would overflow
    phi = INVERSE_SQRT_2PI * np.exp(-0.5 * near * near)
    return dA * (Phi + Z * phi)


def silu(Z: Array) -> tuple[Array, tuple[Array, Array]]:
    """Weigh by the sigmoid (swish): A = Z sigmoid(Z), worked out as Z/2 (1 + tanh(Z/2)): NumPy's tanh is quick.

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A : ndarray of shape (n_l, m)
    cache : tuple of ndarrays of shape (n_l, m)
        Z/2 and 1 + tanh(Z/2), which is twice the sigmoid.

    References
    ----------
    .. [1] Ramachandran, Zoph, Le (2017), "Searching for activation functions", arXiv:1710.05941.
    """
    half = 0.5 * Z
    T = np.tanh(half)
    T += 1
    return half * T, (half, T)


def silu_backward(dA: Array, cache: tuple[Array, Array]) -> Array:
    """Backpropagate through `silu`: dZ = dA S (1 + Z (1 - S)), S = sigmoid(Z)."""
    half, T = cache
    slope: Array = 2 - T
    slope *= half
    slope += 1
    slope *= T
    slope *= 0.5
    slope *= dA
    return slope


def mish(Z: Array) -> tuple[Array, tuple[Array, Array]]:
    """Weigh by the tanh of the softplus: A = Z tanh(log(1 + exp(Z))).

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A : ndarray of shape (n_l, m)
    cache : tuple of ndarrays of shape (n_l, m)
        Z and tanh(softplus(Z)).

    References
    ----------
    .. [1] Misra (2020), "Mish: a self regularized non-monotonic activation function", BMVC.
    """
    T = np.tanh(softplus(Z)[0])
    return Z * T, (Z, T)


def mish_backward(dA: Array, cache: tuple[Array, Array]) -> Array:
    """Backpropagate through `mish`: dZ = dA (T + Z (1 - T^2) sigmoid(Z)), T = tanh(softplus(Z))."""
    Z, T = cache
    return dA * (T + Z * (1 - T * T) * expit(Z))


def softplus(Z: Array) -> tuple[Array, Array]:
    """Smooth the rectifier: A = log(1 + exp(Z)).

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A, cache : ndarrays of shape (n_l, m)
    """
    A = np.maximum(Z, 0) + np.log1p(np.exp(-np.abs(Z)))  # exp of what is never positive cannot overflow
    return A, A


def softplus_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `softplus`: dZ = dA sigmoid(Z) = dA (1 - exp(-A))."""
    return dA * -np.expm1(-cache)


def tanh(Z: Array) -> tuple[Array, Array]:
    """Apply the hyperbolic tangent: A = tanh(Z).

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A, cache : ndarrays of shape (n_l, m)
    """
    A = np.tanh(Z)
    return A, A


def tanh_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `tanh`: dZ = dA (1 - A^2)."""
    return dA * (1 - cache * cache)


def sigmoid(Z: Array) -> tuple[Array, Array]:
    """Apply the logistic function: A = 1 / (1 + exp(-Z)).

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A, cache : ndarrays of shape (n_l, m)
    """
    A = expit(Z)
    return A, A


def sigmoid_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `sigmoid`: dZ = dA A (1 - A)."""
    return dA * cache * (1 - cache)


def identity(Z: Array) -> tuple[Array, None]:
    """Pass on: A = Z.

    Parameters
    ----------
    Z : ndarray of shape (n_l, m)

    Returns
    -------
    A : ndarray of shape (n_l, m)
    cache : None
    """
    return Z, None


def identity_backward(dA: Array, cache: None) -> Array:
    """Backpropagate through `identity`: dZ = dA."""
    return dA


ActivationName: TypeAlias = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "identity"
]


class Activation(NamedTuple):
    """One entry of `ACTIVATIONS`.

    Attributes
    ----------
    forward, backward : callable
    initializer : str
        Name in `INITIALIZERS` of the one that suits it.
    flat_at : tuple of float
        The values of A where its slope vanishes: that of its lower end, or both bounds, or none.
    """

    forward: Callable[[Array], tuple[Array, Any]]
    backward: Callable[[Array, Any], Array]
    initializer: str
    flat_at: tuple[float, ...] = ()


ACTIVATIONS = {
    "relu": Activation(relu, relu_backward, "he_normal", (0.0,)),
    "leaky_relu": Activation(leaky_relu, leaky_relu_backward, "he_normal"),
    "elu": Activation(elu, elu_backward, "he_normal", (-1.0,)),
    "selu": Activation(selu, selu_backward, "lecun_normal", (-SELU_SCALE * SELU_ALPHA,)),
    "gelu": Activation(gelu, gelu_backward, "he_normal", (0.0,)),
    "silu": Activation(silu, silu_backward, "he_normal", (0.0,)),
    "mish": Activation(mish, mish_backward, "he_normal", (0.0,)),
    "softplus": Activation(softplus, softplus_backward, "he_normal", (0.0,)),
    "tanh": Activation(tanh, tanh_backward, "glorot_uniform", (-1.0, 1.0)),
    "sigmoid": Activation(sigmoid, sigmoid_backward, "glorot_uniform", (0.0, 1.0)),
    "identity": Activation(identity, identity_backward, "glorot_uniform"),
}
