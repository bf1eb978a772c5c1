"""What is different for an ensemble: the networks are stacked, and their mean probability is the prediction.

Conventions: `ZL` (ensemble_size, n_L, m) are the logits of the members, or (n_L, m) those of a single network. `D`
(n_L, m) selects one output in each column: 1 for the output itself, -1 for its negation (minus its logit, or 1 minus
its probability), 0 for the other outputs. `loss` is a name in `LOSSES`.
"""

import numpy as np
from scipy.special import log_expit

from ..typing import Array
from .losses import LOSSES, log_softmax


def joint_logits(ZL: Array, loss: str) -> Array:
    """Return the logits (n_L, m) of the members' mean probability (Lakshminarayanan et al. (2017), NeurIPS)."""
    if ZL.ndim == 2:
        return ZL
    # the mean of probabilities predicts better than the mean of logits, which one confident member dominates
    if loss == "binary_cross_entropy":
        return _log_sum(log_expit(ZL)) - _log_sum(log_expit(-ZL))
    return _log_sum(log_softmax(ZL)) - ZL.dtype.type(np.log(len(ZL)))


def _log_sum(log_P: Array) -> Array:
    """Return log(sum of P over the members), from log_P (ensemble_size, n_L, m)."""
    largest = log_P.max(axis=0)
    return largest + np.log(np.exp(log_P - largest).sum(axis=0))


def joint_logits_gradient(ZL: Array, D: Array, loss: str) -> Array:
    """Return the gradient of the selected joint logits with respect to the members' logits."""
    if ZL.ndim == 2:
        return D

    def weighted_gradient(D: Array) -> Array:
        """Average the gradients of the members' log-probabilities, weighted by the members' probabilities."""
        log_P = LOSSES[loss].log_probability(ZL, D)
        P = np.exp(log_P - log_P.max(axis=0))
        return P / P.sum(axis=0) * LOSSES[loss].log_probability_gradient(ZL, D)

    # the joint logit of a binary output is log(P) - log(1 - P)
    return weighted_gradient(D) - weighted_gradient(-D) if loss == "binary_cross_entropy" else weighted_gradient(D)


def probability_gradient(ZL: Array, D: Array, loss: str) -> Array:
    """Return the gradient of the selected probabilities, or of the members' mean, with respect to the logits."""
    P = np.exp(LOSSES[loss].log_probability(ZL, D))
    gradient = P * LOSSES[loss].log_probability_gradient(ZL, D)
    return gradient / len(ZL) if ZL.ndim == 3 else gradient
