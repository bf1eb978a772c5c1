"""Losses, each with the link of its output layer.

Conventions: `ZL` (n_L, m) are the logits, `AL = link(ZL)` the probabilities, `Y` (n_L, m) the targets, one column per
example. The networks of an ensemble are stacked on a first axis. Each loss is the negative log-likelihood of its link:
its gradient at the logits is `AL - Y`, which stays exact where AL saturates. Costs are computed from the logits for the
same reason. SciPy's `expit` is the sigmoid.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from scipy.special import expit, log_expit

from ..typing import Array, Inputs

# Confident predictions leave subnormal gradients, which processors handle many times slower: with 2 % of them,
# backpropagation took four times as long. Adding and subtracting the shift rounds to multiples of the root of the
# smallest normal number, 1e-19 in float32 and 1e-154 in float64.
ROUNDING_SHIFTS = {
    limits.dtype: 2 * float(limits.tiny) ** 0.5 / float(limits.eps)
    for limits in (np.finfo(np.float32), np.finfo(np.float64))
}


def softmax(ZL: Array) -> Array:
    """Return probabilities that sum to 1 over each column: AL = exp(ZL) / sum(exp(ZL))."""
    AL = np.exp(ZL - ZL.max(axis=-2, keepdims=True))  # shift by the max: exp cannot overflow
    AL /= AL.sum(axis=-2, keepdims=True)
    return AL


def log_softmax(ZL: Array) -> Array:
    """Return log(softmax(ZL)), finite for every finite logit."""
    shifted = ZL - ZL.max(axis=-2, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-2, keepdims=True))


def inverse_sigmoid(AL: Array) -> Array:
    """Return the logits of sigmoid probabilities, finite even where AL is 0 or 1."""
    AL = np.clip(AL, np.finfo(AL.dtype).tiny, 1 - np.finfo(AL.dtype).epsneg)
    return np.log(AL) - np.log1p(-AL)


def inverse_softmax(AL: Array) -> Array:
    """Return log(AL), which are logits of `softmax`, finite even where AL is 0."""
    return np.log(np.maximum(AL, np.finfo(AL.dtype).tiny))


def binary_cross_entropy(ZL: Array, Y: Array) -> Array:
    """Return the negative log-likelihood of binary targets: sum over outputs of log(1 + exp(ZL)) - Y ZL."""
    # log(1 + exp(Z)) = max(Z, 0) + log1p(exp(-|Z|)); the large terms cancel before the small one is added
    losses = np.maximum(ZL, 0) - Y * ZL + np.log1p(np.exp(-np.abs(ZL)))
    return losses.sum(axis=-2)


def categorical_cross_entropy(ZL: Array, Y: Array) -> Array:
    """Return the negative log-likelihood of one class in many: log(sum(exp(ZL))) - sum(Y ZL)."""
    shifted = ZL - ZL.max(axis=-2, keepdims=True)
    # einsum makes no array of the products and takes a quarter of the time
    target_logits = np.einsum("...ij,...ij->...j", Y, shifted)
    return np.log(np.exp(shifted, out=shifted).sum(axis=-2)) - target_logits


def binary_log_probability(ZL: Array, D: Array) -> Array:
    """Return the log-probability of one output (1 in D), or of its negation (-1 in D): log(sigmoid(D ZL))."""
    return (np.abs(D) * log_expit(D * ZL)).sum(axis=-2, keepdims=True)


def binary_log_probability_gradient(ZL: Array, D: Array) -> Array:
    """Return the gradient of `binary_log_probability` at the logits: D sigmoid(-D ZL)."""
    return D * expit(-D * ZL)


def categorical_log_probability(ZL: Array, D: Array) -> Array:
    """Return the log-probability of one class in many: log(softmax(ZL)) of that class."""
    return (D * log_softmax(ZL)).sum(axis=-2, keepdims=True)


def categorical_log_probability_gradient(ZL: Array, D: Array) -> Array:
    """Return the gradient of `categorical_log_probability` at the logits: D - softmax(ZL)."""
    others = softmax(ZL) * (1 - D)
    return D * others.sum(axis=-2, keepdims=True) - others  # 1 - AL loses all digits where AL is near 1


def canonical_gradient(AL: Array, Y: Array) -> Array:
    """Return the gradient of each example's loss at its logits: dZL = AL - Y, with subnormal numbers rounded to 0."""
    dZL = AL - Y
    shift = ROUNDING_SHIFTS.get(dZL.dtype)
    if shift is not None:
        dZL += shift
        dZL -= shift
    return dZL


def encode_binary(Y: Inputs, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
    """Return binary targets as floats, smoothed towards 1/2: Y (1 - s) + s / 2."""
    Y = (Y if isinstance(Y, np.ndarray) else Y.toarray()).astype(dtype)
    return Y * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else Y


def encode_categorical(Y: Array, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
    """Return one-hot targets, smoothed towards uniform ones: Y (1 - s) + s / n_L (Szegedy et al. (2016), CVPR)."""
    if Y.shape[-2] == 1:  # class numbers 0..n_L-1
        Y = (np.arange(n_outputs)[:, np.newaxis] == Y).astype(dtype)
    return Y * (1 - label_smoothing) + label_smoothing / n_outputs if label_smoothing else Y.astype(dtype, copy=False)


class Loss(NamedTuple):
    """One entry of `LOSSES`: a loss and its link."""

    out_activation: Literal["sigmoid", "softmax"]  # name of the link, as scikit-learn's `out_activation_`
    link: Callable[[Array], Array]  # ZL -> AL
    inverse_link: Callable[[Array], Array]  # AL -> ZL
    log_link: Callable[[Array], Array]  # ZL -> log(AL)
    losses: Callable[[Array, Array], Array]  # (ZL, Y) -> the loss of each example, (m,)
    log_probability: Callable[[Array, Array], Array]  # (ZL, D) -> that of the output that D selects, (1, m)
    log_probability_gradient: Callable[[Array, Array], Array]  # (ZL, D) -> its gradient at the logits
    encode: Callable[[Inputs, int, DTypeLike, float], Array]  # (labels, n_outputs, dtype, label_smoothing) -> Y
    gradient: Callable[[Array, Array], Array] = canonical_gradient  # (AL, Y) -> dZL


LOSSES = {
    "binary_cross_entropy": Loss(
        out_activation="sigmoid", link=expit, inverse_link=inverse_sigmoid, log_link=log_expit,
        losses=binary_cross_entropy, encode=encode_binary,
        log_probability=binary_log_probability, log_probability_gradient=binary_log_probability_gradient,
    ),
    "categorical_cross_entropy": Loss(
        out_activation="softmax", link=softmax, inverse_link=inverse_softmax, log_link=log_softmax,
        losses=categorical_cross_entropy, encode=encode_categorical,
        log_probability=categorical_log_probability, log_probability_gradient=categorical_log_probability_gradient,
    ),
}  # fmt: skip


def check_targets(AL: Array, Y: Array) -> None:
    """Raise if the targets do not have the shape of the probabilities."""
    shape = np.shape(Y)
    if shape != AL.shape and shape != AL.shape[-2:]:  # one Y may serve all members of an ensemble
        raise ValueError(
            f"Y must have the shape of AL, {AL.shape}: a row per output, a column per example, got {shape}."
        )


def default_loss(n_outputs: int) -> str:
    """Return the name of the default loss: the binary cross-entropy for one output, the categorical one for more."""
    return "binary_cross_entropy" if n_outputs == 1 else "categorical_cross_entropy"


def compute_cost(
    AL: Array, Y: Array, *, ZL: Array | None = None, loss: str | None = None, sample_weight: Array | None = None
) -> float:
    """Average the cross-entropy over the examples: sum(sample_weight * losses) / m.

    Parameters
    ----------
    AL, Y : ndarrays of shape (n_L, m)
        Probabilities and targets.
    ZL : ndarray of shape (n_L, m), optional
        The logits, from the last cache of `model_forward`. They make the cost exact where AL has saturated. By default
        they are computed from AL.
    loss : str, optional
        Name in `LOSSES`; by default the binary cross-entropy for one output, the categorical one for more.
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
    loss = LOSSES[loss or default_loss(AL.shape[-2])]
    losses = loss.losses(loss.inverse_link(AL) if ZL is None else ZL, Y)
    total = losses.sum() if sample_weight is None else (losses * sample_weight).sum()
    return float(total) / losses.size


def cost_gradient(AL: Array, Y: Array, *, m: int, loss: str, sample_weight: Array | None = None) -> Array:
    """Return the gradient of `compute_cost` at the logits: dZL = sample_weight (AL - Y) / m."""
    check_targets(AL, Y)
    dZL = LOSSES[loss].gradient(AL, Y)
    dZL *= 1 / m  # here, because dZL is the smallest array of the backward pass
    return dZL if sample_weight is None else dZL * sample_weight[..., np.newaxis, :]
