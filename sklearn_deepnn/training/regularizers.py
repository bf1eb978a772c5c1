"""Regularizers: weight decay and gradient clipping.

`weights` is the block of the flat parameter vector that holds the weight matrices (`Parameters.weights`). Biases and
the parameters of batch normalisation are not penalised. `weight_decay` has the same meaning at every batch size.
With `out`, which may be the first argument itself, the result is written there.
"""

import math

import numpy as np

from ..typing import Array


def l2_penalty(weights: Array, weight_decay: float) -> float:
    """Return the L2 penalty: weight_decay / 2 * sum(weights^2)."""
    return 0.5 * weight_decay * float(np.vdot(weights, weights))


def l2_gradient(weights: Array, weight_decay: float) -> Array:
    """Return the gradient of `l2_penalty`: weight_decay * weights."""
    return weight_decay * weights


def decay_weights(weights: Array, weight_decay: float, learning_rate: float, *, out: Array | None = None) -> Array:
    """Decay the weights separately from the gradient step: weights * max(1 - learning_rate * weight_decay, 0)."""
    # For plain gradient descent this equals a step along `l2_gradient`. For adaptive optimizers it differs from that
    # step and generalises better: Loshchilov, Hutter (2019), "Decoupled weight decay regularization", ICLR.
    return np.multiply(weights, decay_factor(weight_decay, learning_rate), out=out)


def decay_factor(weight_decay: float, learning_rate: float) -> float:
    """Return what `decay_weights` multiplies by: max(1 - learning_rate * weight_decay, 0)."""
    return max(1 - learning_rate * weight_decay, 0.0)


def clip_by_global_norm(gradient: Array, max_grad_norm: float, *, out: Array | None = None) -> Array:
    """Limit the norm of the gradient and keep its direction: gradient * min(1, max_grad_norm / norm(gradient))."""
    # The norm is that of the gradients of all parameters, in one vector. Pascanu, Mikolov, Bengio (2013), "On the
    # difficulty of training recurrent neural networks", ICML.
    norm = math.sqrt(np.vdot(gradient, gradient))
    if not 0 < norm < math.inf:  # in float32, squares overflow beyond 1e19 and underflow below 1e-19
        norm = float(np.linalg.norm(gradient.astype(np.longdouble)))
    if norm <= max_grad_norm and out is gradient:
        return out
    return np.multiply(gradient, min(1.0, max_grad_norm / norm) if norm else 1.0, out=out)
