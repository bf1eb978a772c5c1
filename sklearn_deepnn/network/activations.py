"""Activation functions, each with its backward.

Conventions: `Z`, `A`, `dA` and `dZ` are ndarrays of one shape, (n_l, m), one column per example. A forward takes `Z`
and returns `A, cache`. Its backward takes `dA, cache` and returns `dZ = dA * g'(Z)`. The cache is A where g' follows
from A. Inputs up to 3e38 give no NaN, no infinity and no warning, also in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.special import expit, ndtr

from ..checks import check_real, closest_choice, reject
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
        The cache is A: A > 0 exactly where Z > 0.
    """
    A = np.maximum(Z, 0)
    return A, A


def relu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `relu`: dZ = dA where A > 0, else 0."""
    # dA * (cache > 0) converts the mask in chunks and takes up to twice as long; np.where takes forty times as long
    dZ = (cache > 0).astype(dA.dtype)
    dZ *= dA
    return dZ


def leaky_relu(Z: Array) -> tuple[Array, Array]:
    """Rectify with a small negative slope: A = max(Z, 0.01 Z)."""
    A = np.maximum(Z, LEAKY_RELU_SLOPE * Z)
    return A, A


def leaky_relu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `leaky_relu`: dZ = dA where A > 0, else 0.01 dA."""
    # sign and maximum are vectorized; np.where takes six times as long
    return dA * np.maximum(np.sign(cache), LEAKY_RELU_SLOPE)


def elu(Z: Array) -> tuple[Array, Array]:
    """Apply the exponential linear unit: A = Z where Z > 0, else exp(Z) - 1 (Clevert et al. (2016), ICLR)."""
    A = np.maximum(Z, 0) + np.expm1(np.minimum(Z, 0))
    return A, A


def elu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `elu`: dZ = dA where A > 0, else dA (A + 1)."""
    return dA * (np.minimum(cache, 0) + 1)


def selu(Z: Array) -> tuple[Array, Array]:
    """Apply the scaled exponential linear unit: A = scale (Z where Z > 0, else alpha (exp(Z) - 1))."""
    A = SELU_SCALE * (np.maximum(Z, 0) + SELU_ALPHA * np.expm1(np.minimum(Z, 0)))
    return A, A


def selu_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `selu`: dZ = scale dA where A > 0, else dA (A + scale alpha)."""
    return dA * np.where(cache > 0, SELU_SCALE, cache + SELU_SCALE * SELU_ALPHA)


def gelu(Z: Array) -> tuple[Array, tuple[Array, Array]]:
    """Multiply by the normal distribution function: A = Z Phi(Z) (Hendrycks, Gimpel (2016), arXiv:1606.08415)."""
    Phi = ndtr(Z)  # exact, not the tanh approximation
    return Z * Phi, (Z, Phi)


def gelu_backward(dA: Array, cache: tuple[Array, Array]) -> Array:
    """Backpropagate through `gelu`: dZ = dA (Phi(Z) + Z phi(Z))."""
    Z, Phi = cache
    near = np.clip(Z, -40, 40)  # phi(40) is 0, and the square of a larger Z may overflow
    phi = INVERSE_SQRT_2PI * np.exp(-0.5 * near * near)
    return dA * (Phi + Z * phi)


def silu(Z: Array) -> tuple[Array, tuple[Array, Array]]:
    """Multiply by the sigmoid: A = Z sigmoid(Z), also named swish (Ramachandran et al. (2017), arXiv:1710.05941)."""
    half = 0.5 * Z
    T = np.tanh(half)  # faster than an exponential
    T += 1  # 1 + tanh(Z/2) is twice the sigmoid of Z
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
    """Multiply by the tanh of the softplus: A = Z tanh(log(1 + exp(Z))) (Misra (2020), "Mish", BMVC)."""
    T = np.tanh(softplus(Z)[0])
    return Z * T, (Z, T)


def mish_backward(dA: Array, cache: tuple[Array, Array]) -> Array:
    """Backpropagate through `mish`: dZ = dA (T + Z (1 - T^2) sigmoid(Z)), T = tanh(softplus(Z))."""
    Z, T = cache
    return dA * (T + Z * (1 - T * T) * expit(Z))


def softplus(Z: Array) -> tuple[Array, Array]:
    """Smooth the rectifier: A = log(1 + exp(Z))."""
    A = np.maximum(Z, 0) + np.log1p(np.exp(-np.abs(Z)))  # the argument of exp is never positive: no overflow
    return A, A


def softplus_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `softplus`: dZ = dA sigmoid(Z) = dA (1 - exp(-A))."""
    return dA * -np.expm1(-cache)


def tanh(Z: Array) -> tuple[Array, Array]:
    """Apply the hyperbolic tangent: A = tanh(Z)."""
    A = np.tanh(Z)
    return A, A


def tanh_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `tanh`: dZ = dA (1 - A^2)."""
    return dA * (1 - cache * cache)


def sigmoid(Z: Array) -> tuple[Array, Array]:
    """Apply the logistic function: A = 1 / (1 + exp(-Z))."""
    A = expit(Z)
    return A, A


def sigmoid_backward(dA: Array, cache: Array) -> Array:
    """Backpropagate through `sigmoid`: dZ = dA A (1 - A)."""
    return dA * cache * (1 - cache)


def identity(Z: Array) -> tuple[Array, None]:
    """Return Z: A = Z."""
    return Z, None


def identity_backward(dA: Array, cache: None) -> Array:
    """Backpropagate through `identity`: dZ = dA."""
    return dA


ActivationName: TypeAlias = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "identity"
]
Forward: TypeAlias = Callable[[Array], tuple[Array, Any]]
Backward: TypeAlias = Callable[[Array, Any], Array]


@dataclass(frozen=True, repr=False)
class Activation:
    """An activation function and its backward, of your own or one of `ACTIVATIONS`.

    Parameters
    ----------
    forward : callable
        forward(Z) -> A, cache. A has the shape of Z.
    backward : callable
        backward(dA, cache) -> dZ = dA g'(Z), of the shape of dA.
    initializer : str, default="he_normal"
        Name in `INITIALIZERS`: how weight_init="auto" draws the weights of a layer with this activation.
    flat_at : tuple of float, default=()
        Values of A where g' vanishes: the lower bound, or both bounds. Units there are reported as dead or saturated.
    biased_forward : callable, optional
        biased_forward(Z, b) -> what forward(Z + b) returns, in fewer passes over memory. It may overwrite Z. By default
        b is added and forward called.

    Raises
    ------
    InvalidParameterError
        If an argument breaks its rule.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_deepnn.network import Activation, Network
    >>> def square(Z):
    ...     return Z * Z, Z
    >>> def square_backward(dA, cache):
    ...     return dA * 2 * cache
    >>> Network((4, 5, 1), activation=Activation(square, square_backward)).activation
    (Activation(square, square_backward),)
    """

    forward: Forward
    backward: Backward
    initializer: str = "he_normal"
    flat_at: tuple[float, ...] = ()
    biased_forward: Callable[[Array, Array], tuple[Array, Any]] | None = None

    def __post_init__(self) -> None:
        for name in ("forward", "backward"):
            if not callable(getattr(self, name)):
                reject(f"{name} of an Activation", "a function", getattr(self, name))
        ends = self.flat_at if isinstance(self.flat_at, (tuple, list)) else (self.flat_at,)
        if len(ends) > 2:
            reject("flat_at of an Activation", "at most two numbers", self.flat_at)
        ends = tuple(float(check_real("flat_at of an Activation", end)) for end in ends)
        object.__setattr__(self, "flat_at", ends)  # frozen: the only way to convert

    def __repr__(self) -> str:
        return f"Activation({_name_of(self.forward)}, {_name_of(self.backward)})"


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


ActivationLike: TypeAlias = str | Activation | tuple[Forward, Backward]

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


ACTIVATION_SYNONYMS = {  # names elsewhere: the activation that is the same, or nearest
    "logistic": "sigmoid",
    "hard_sigmoid": "sigmoid",
    "swish": "silu",
    "hard_swish": "silu",
    "linear": "identity",
    "none": "identity",
    "rectifier": "relu",
    "prelu": "leaky_relu",
    "hyperbolic_tangent": "tanh",
}


def find_activation(activation: ActivationLike) -> Activation:
    """Return the `Activation` that a name in `ACTIVATIONS`, an Activation or a pair of functions stands for."""
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    if isinstance(activation, (tuple, list)) and len(activation) == 2 and all(map(callable, activation)):
        return Activation(*activation)
    rule = f"one of {list(ACTIVATIONS)}, an Activation, or a pair of functions (forward, backward)"
    meant = closest_choice(activation, ACTIVATIONS, ACTIVATION_SYNONYMS)
    reject("activation", rule, activation, f"Did you mean {meant!r}?" if meant else "")


def activation_name(activation: ActivationLike) -> str:
    """Return the name of an activation: its name in `ACTIVATIONS`, or that of its forward function."""
    return activation if isinstance(activation, str) else _name_of(find_activation(activation).forward)
