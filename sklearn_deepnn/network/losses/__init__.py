"""Losses, each with the link of its output layer; the cost, which averages a loss over examples, and its gradient.

To add a loss, write a subclass of `Loss` in `classes` or `numbers`, and add it to the registry at the end of the file.
"""

import numpy as np

from ...typing import Array
from .base import Loss
from .classes import CLASS_LOSSES
from .numbers import NUMBER_LOSSES, NumberLoss

__all__ = [
    "CLASS_LOSSES",
    "LOSSES",
    "NUMBER_LOSSES",
    "Loss",
    "NumberLoss",
    "compute_cost",
    "cost_gradient",
    "default_loss",
    "find_loss",
]

LOSSES: dict[str, Loss] = {**CLASS_LOSSES, **NUMBER_LOSSES}


def find_loss(loss: str | Loss) -> Loss:
    """Return a loss, from its name in `LOSSES` or from itself."""
    return LOSSES[loss] if isinstance(loss, str) else loss


def check_targets(AL: Array, Y: Array) -> None:
    """Raise if the targets do not have the shape of the predictions."""
    shape = np.shape(Y)
    if shape != AL.shape and shape != AL.shape[-2:]:  # one Y may serve all members of an ensemble
        raise ValueError(
            f"Y must have the shape of AL, {AL.shape}: a row per output, a column per example, got {shape}."
        )


def default_loss(n_outputs: int) -> str:
    """Return the name of the default loss: the binary cross-entropy for one output, the categorical one for more."""
    return "binary_cross_entropy" if n_outputs == 1 else "categorical_cross_entropy"


def compute_cost(
    AL: Array, Y: Array, *, ZL: Array | None = None, loss: str | Loss | None = None, sample_weight: Array | None = None
) -> float:
    """Average the loss over the examples: sum(sample_weight * losses) / m.

    Parameters
    ----------
    AL, Y : ndarrays of shape (n_L, m)
        Predictions and targets.
    ZL : ndarray of shape (n_L, m), optional
        The logits, from the last cache of `model_forward`. They make the cost exact where AL has saturated. By default
        they are computed from AL.
    loss : str or Loss, optional
        A loss, or its name in `LOSSES`; by default the binary cross-entropy for one output, the categorical one for
        more.
    sample_weight : ndarray of shape (m,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If Y has another shape than AL, which NumPy would broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_deepnn.network.losses import compute_cost
    >>> round(compute_cost(np.array([[0.8, 0.9, 0.4]]), np.array([[1, 1, 0]])), 7)
    0.2797766
    """
    check_targets(AL, Y)
    loss = find_loss(loss or default_loss(AL.shape[-2]))
    losses = loss.losses(loss.link.inverse(AL) if ZL is None else ZL, Y)
    total = losses.sum() if sample_weight is None else (losses * sample_weight).sum()
    return float(total) / losses.size


def cost_gradient(AL: Array, Y: Array, *, m: int, loss: str | Loss, sample_weight: Array | None = None) -> Array:
    """Return the gradient of `compute_cost` at the logits: dZL = sample_weight * dloss / m."""
    check_targets(AL, Y)
    dZL = (LOSSES[loss] if isinstance(loss, str) else loss).gradient(AL, Y)
    dZL *= 1 / m  # here, because dZL is the smallest array of the backward pass
    return dZL if sample_weight is None else dZL * sample_weight[..., np.newaxis, :]
