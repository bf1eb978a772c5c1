"""What is different for an ensemble: the networks are stacked, and their mean prediction is the prediction.

Conventions: `ZL` (ensemble_size, n_L, m) are the logits of the members, or (n_L, m) those of a single network. `D`
(n_L, m) selects one output in each column: 1 for the output itself, -1 for its negation (minus its logit, or 1 minus
its probability), 0 for the other outputs. `loss` is a `Loss`, or a name in `LOSSES`.
"""

from ..typing import Array
from .losses import Loss, find_loss


def joint_logits(ZL: Array, loss: str | Loss) -> Array:
    """Return the logits (n_L, m) of the members' mean prediction (Lakshminarayanan et al. (2017), NeurIPS)."""
    # the mean of probabilities predicts better than the mean of logits, which one confident member dominates
    return ZL if ZL.ndim == 2 else find_loss(loss).link.joint_logits(ZL)


def joint_logits_gradient(ZL: Array, D: Array, loss: str | Loss) -> Array:
    """Return the gradient of the selected joint logits with respect to the members' logits."""
    return D if ZL.ndim == 2 else find_loss(loss).link.joint_logits_gradient(ZL, D)


def prediction_gradient(ZL: Array, D: Array, loss: str | Loss) -> Array:
    """Return the gradient of the selected predictions, or of the members' mean, with respect to the logits."""
    gradient = find_loss(loss).link.prediction_gradient(ZL, D)
    return gradient / len(ZL) if ZL.ndim == 3 else gradient
