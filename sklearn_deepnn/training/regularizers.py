"""What keeps weights and gradients small.

Conventions: `weights` is the part of the flat parameter vector that holds the weight matrices (`Parameters.weights`):
biases and the parameters of batch normalisation are never penalised. `weight_decay` means the same at every batch size.
"""

import math

import numpy as np

from ..typing import Array


def l2_penalty(weights: Array, weight_decay: float) -> float:
    """Return the penalty whose gradient is `l2_gradient`: weight_decay / 2 * sum(W^2).

    Parameters
    ----------
    weights : ndarray
    weight_decay : float

    Returns
    -------
    float
    """
    return 0.5 * weight_decay * float(np.vdot(weights, weights))


def l2_gradient(weights: Array, weight_decay: float) -> Array:
    """Return the gradient of `l2_penalty`: weight_decay * W.

    Parameters
    ----------
    weights : ndarray
    weight_decay : float

    Returns
    -------
    ndarray of the shape of `weights`
    """
    return weight_decay * weights


def decay_weights(weights: Array, weight_decay: float, learning_rate: float, *, out: Array | None = None) -> Array:
    """Shrink the weights, apart from the gradient step: W (1 - learning_rate weight_decay).

    A product above 1 makes them zero, not negative. For plain gradient descent this is the step that `l2_gradient`
    would make; for adaptive optimizers it is not, and generalises better [1]_.

    Parameters
    ----------
    weights : ndarray
    weight_decay, learning_rate : float
    out : ndarray, optional
        Where to write; `weights` itself is allowed.

    Returns
    -------
    ndarray of the shape of `weights`

    References
    ----------
    .. [1] Loshchilov, Hutter (2019), "Decoupled weight decay regularization", ICLR.
    """
    return np.multiply(weights, max(1 - learning_rate * weight_decay, 0.0), out=out)


def clip_by_global_norm(gradient: Array, max_grad_norm: float, *, out: Array | None = None) -> Array:
    """Scale the gradient down to a norm of at most max_grad_norm; its direction stays.

    Parameters
    ----------
    gradient : ndarray
        All gradients together: the norm is taken over the whole.
    max_grad_norm : float
    out : ndarray, optional
        Where to write; `gradient` itself is allowed.

    Returns
    -------
    ndarray of the shape of `gradient`

    References
    ----------
    .. [1] Pascanu, Mikolov, Bengio (2013), "On the difficulty of training recurrent neural networks", ICML.
    """
    norm = math.sqrt(np.vdot(gradient, gradient))
    if not 0 < norm < math.inf:  # squares in float32 leave its range beyond 1e19 and below 1e-19
        norm = float(np.linalg.norm(gradient.astype(np.longdouble)))
    if norm <= max_grad_norm and out is gradient:
        return out
    return np.multiply(gradient, min(1.0, max_grad_norm / norm) if norm else 1.0, out=out)
