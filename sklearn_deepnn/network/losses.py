"""Losses, each with the link that its output layer applies.

Conventions: `ZL` (n_L, m) are the logits, `AL = link(ZL)` the probabilities, `Y` (n_L, m) the targets, one column per
example; the members of an ensemble are stacked on a first axis. Both losses are the negative log-likelihood of their
link, so that the gradient at the logits is `AL - Y`, which saturated probabilities cannot harm. Costs are worked out
from the logits for the same reason.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from scipy.special import log_expit

from ..typing import Array, Inputs
from .activations import sigmoid

# added and taken away again, they leave multiples of the root of the smallest normal number: 1e-19 and 1e-154
ROUNDING_SHIFTS = {
    limits.dtype: 2 * float(limits.tiny) ** 0.5 / float(limits.eps)
    for limits in (np.finfo(np.float32), np.finfo(np.float64))
}


def sigmoid_link(ZL: Array) -> Array:
    """Turn logits into one probability each: AL = 1 / (1 + exp(-ZL)).

    Parameters
    ----------
    ZL : ndarray of shape (n_L, m)

    Returns
    -------
    AL : ndarray of shape (n_L, m)
    """
    return sigmoid(ZL)[0]


def softmax(ZL: Array) -> Array:
    """Turn logits into probabilities that sum to 1 over each column: AL = exp(ZL) / sum(exp(ZL)).

    Parameters
    ----------
    ZL : ndarray of shape (n_L, m)

    Returns
    -------
    AL : ndarray of shape (n_L, m)
    """
    AL = np.exp(ZL - ZL.max(axis=-2, keepdims=True))  # shifted by the max: exp cannot overflow
    AL /= AL.sum(axis=-2, keepdims=True)
    return AL


def log_softmax(ZL: Array) -> Array:
    """Return log(softmax(ZL)), finite for every finite logit.

    Parameters
    ----------
    ZL : ndarray of shape (n_L, m)

    Returns
    -------
    ndarray of shape (n_L, m)
    """
    shifted = ZL - ZL.max(axis=-2, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-2, keepdims=True))


def inverse_sigmoid(AL: Array) -> Array:
    """Return the logits of `sigmoid_link`, finite where AL has saturated to 0 or 1."""
    AL = np.clip(AL, np.finfo(AL.dtype).tiny, 1 - np.finfo(AL.dtype).epsneg)
    return np.log(AL) - np.log1p(-AL)


def inverse_softmax(AL: Array) -> Array:
    """Return logits of `softmax`, the ones whose exp is AL, finite where AL has saturated to 0."""
    return np.log(np.maximum(AL, np.finfo(AL.dtype).tiny))


def binary_cross_entropy(ZL: Array, Y: Array) -> Array:
    """Return -log-likelihood of yes-or-no targets: sum over outputs of log(1 + exp(ZL)) - Y ZL.

    Parameters
    ----------
    ZL, Y : ndarrays of shape (n_L, m)
        Logits, and targets in [0, 1]: one row for two classes, one row per label for multilabel.

    Returns
    -------
    ndarray of shape (m,)
        The loss of each example.
    """
    # log(1 + exp(Z)) = max(Z, 0) + log1p(exp(-|Z|)); the large terms cancel before the small one is added
    losses = np.maximum(ZL, 0) - Y * ZL + np.log1p(np.exp(-np.abs(ZL)))
    return losses.sum(axis=-2)


def categorical_cross_entropy(ZL: Array, Y: Array) -> Array:
    """Return -log-likelihood of one class in many: log(sum(exp(ZL))) - sum(Y ZL).

    Parameters
    ----------
    ZL, Y : ndarrays of shape (n_L, m)
        Logits, and targets whose columns sum to 1.

    Returns
    -------
    ndarray of shape (m,)
        The loss of each example.
    """
    shifted = ZL - ZL.max(axis=-2, keepdims=True)
    # no array of the products in between: a quarter of the time
    of_targets = np.einsum("...ij,...ij->...j", Y, shifted)
    return np.log(np.exp(shifted, out=shifted).sum(axis=-2)) - of_targets


def joint_logits(ZL: Array, loss: str) -> Array:
    """Return the logits of the mean probability that the members of an ensemble give.

    Means are taken of probabilities: those of logits, which a sure member can sway, predict worse [1]_.

    Parameters
    ----------
    ZL : ndarray of shape (ensemble_size, n_L, m), or (n_L, m)
        A single network's are returned as they are.
    loss : str
        Name in `LOSSES`.

    Returns
    -------
    ndarray of shape (n_L, m)

    References
    ----------
    .. [1] Lakshminarayanan, Pritzel, Blundell (2017), "Simple and scalable predictive uncertainty estimation using deep
       ensembles", NeurIPS.
    """
    if ZL.ndim == 2:
        return ZL

    def log_sum(log_probabilities: Array) -> Array:
        highest = log_probabilities.max(axis=0)
        return highest + np.log(np.exp(log_probabilities - highest).sum(axis=0))

    if loss == "binary_cross_entropy":
        return log_sum(log_expit(ZL)) - log_sum(log_expit(-ZL))
    return log_sum(log_softmax(ZL)) - ZL.dtype.type(np.log(len(ZL)))


def joint_logits_gradient(ZL: Array, D: Array, loss: str) -> Array:
    """Return the gradient of one of the `joint_logits` at the logits of the members.

    That is the mean of what moves the members' log-probabilities, each weighed by its share of their mean probability.

    Parameters
    ----------
    ZL : ndarray of shape (ensemble_size, n_L, m), or (n_L, m)
    D : ndarray of shape (n_L, m)
        In each column 1 for the logit that is meant, or -1 for its negative; 0 for the others.
    loss : str
        Name in `LOSSES`.

    Returns
    -------
    ndarray of the shape of ZL
    """
    if ZL.ndim == 2:
        return D

    def weighed(D: Array) -> Array:
        log_probability = LOSSES[loss].log_probability(ZL, D)
        share = np.exp(log_probability - log_probability.max(axis=0))
        return share / share.sum(axis=0) * LOSSES[loss].log_probability_gradient(ZL, D)

    # log(P) - log(1 - P) where the outputs are probabilities of their own
    return weighed(D) - weighed(-D) if loss == "binary_cross_entropy" else weighed(D)


def probability_gradient(ZL: Array, D: Array, loss: str) -> Array:
    """Return the gradient of one probability at the logits; of an ensemble, that of the mean probability.

    Parameters
    ----------
    ZL : ndarray of shape (n_L, m), or (ensemble_size, n_L, m)
    D : ndarray of shape (n_L, m)
        In each column 1 for the output whose probability is meant, or -1 for one minus that; 0 for the others.
    loss : str
        Name in `LOSSES`.

    Returns
    -------
    ndarray of the shape of ZL
    """
    probability = np.exp(LOSSES[loss].log_probability(ZL, D))
    gradient = probability * LOSSES[loss].log_probability_gradient(ZL, D)
    return gradient / len(ZL) if ZL.ndim == 3 else gradient


def binary_log_probability(ZL: Array, D: Array) -> Array:
    """Return the log-probability of yes (1 in D) or no (-1 in D) in one output: log(sigmoid(D ZL)).

    Parameters
    ----------
    ZL, D : ndarrays of shape (n_L, m)
        D is 0 for all other outputs.

    Returns
    -------
    ndarray of shape (1, m)
    """
    return (np.abs(D) * log_expit(D * ZL)).sum(axis=-2, keepdims=True)


def binary_log_probability_gradient(ZL: Array, D: Array) -> Array:
    """Return the gradient of `binary_log_probability` at the logits: D sigmoid(-D ZL)."""
    return D * sigmoid_link(-D * ZL)


def categorical_log_probability(ZL: Array, D: Array) -> Array:
    """Return the log-probability of one class in many.

    Parameters
    ----------
    ZL, D : ndarrays of shape (n_L, m)
        D is 1 for that class, 0 for the others.

    Returns
    -------
    ndarray of shape (1, m)
    """
    return (D * log_softmax(ZL)).sum(axis=-2, keepdims=True)


def categorical_log_probability_gradient(ZL: Array, D: Array) -> Array:
    """Return the gradient of `categorical_log_probability` at the logits: D - softmax(ZL)."""
    others = softmax(ZL) * (1 - D)
    return D * others.sum(axis=-2, keepdims=True) - others  # 1 - AL would lose what little a sure class lacks


def canonical_gradient(AL: Array, Y: Array) -> Array:
    """Return the gradient of each example's loss at its logits: dZL = AL - Y, rounded to multiples of 1e-19 in float32.

    A network that is sure of its examples leaves gradients down to subnormal numbers, which processors are many times
    slower with: where 2 % were subnormal, backpropagation took four times as long. See `ROUNDING_SHIFTS`.

    Parameters
    ----------
    AL, Y : ndarrays of shape (n_L, m)

    Returns
    -------
    dZL : ndarray of shape (n_L, m)
        A new array.
    """
    dZL = AL - Y
    shift = ROUNDING_SHIFTS.get(dZL.dtype)
    if shift is not None:
        dZL += shift
        dZL -= shift
    return dZL


def encode_binary(Y: Inputs, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
    """Return yes-or-no targets as floats, moved towards 1/2: Y (1 - s) + s / 2.

    Parameters
    ----------
    Y : ndarray or sparse array of shape (n_outputs, m)
        Zeros and ones.
    n_outputs : int
    dtype : dtype
    label_smoothing : float in [0, 1), default=0.0

    Returns
    -------
    ndarray of shape (n_outputs, m)
    """
    Y = (Y if isinstance(Y, np.ndarray) else Y.toarray()).astype(dtype)
    return Y * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else Y


def encode_categorical(Y: Array, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
    """Return one-hot targets, moved towards the uniform distribution: Y (1 - s) + s / n_L.

    Parameters
    ----------
    Y : ndarray of shape (1, m) or (n_outputs, m)
        Class numbers 0..n_L-1, or targets that are one-hot already.
    n_outputs : int
    dtype : dtype
    label_smoothing : float in [0, 1), default=0.0

    Returns
    -------
    ndarray of shape (n_outputs, m)

    References
    ----------
    .. [1] Szegedy et al. (2016), "Rethinking the inception architecture for computer vision", CVPR.
    """
    if Y.shape[-2] == 1:
        Y = (np.arange(n_outputs)[:, np.newaxis] == Y).astype(dtype)
    return Y * (1 - label_smoothing) + label_smoothing / n_outputs if label_smoothing else Y.astype(dtype, copy=False)


class Loss(NamedTuple):
    """One entry of `LOSSES`: the loss of each example at its logits, and what belongs to it.

    Attributes
    ----------
    link, inverse_link, log_link : callables
        ZL -> AL, AL -> ZL, ZL -> log(AL).
    losses : callable
        (ZL, Y) -> the loss of each example, shape (m,).
    gradient : callable
        (AL, Y) -> dZL, the gradient of each example's loss at its logits.
    log_probability, log_probability_gradient : callables
        (ZL, D) -> the log-probability that D picks, shape (1, m), and its gradient at the logits.
    encode : callable
        (labels, n_outputs, dtype, label_smoothing) -> Y.
    out_activation : str
        The field's name of the link.
    """

    link: Callable[[Array], Array]
    inverse_link: Callable[[Array], Array]
    log_link: Callable[[Array], Array]
    losses: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]
    log_probability: Callable[[Array, Array], Array]
    log_probability_gradient: Callable[[Array, Array], Array]
    encode: Callable[[Inputs, int, DTypeLike, float], Array]
    out_activation: Literal["sigmoid", "softmax"]


LOSSES = {
    "binary_cross_entropy": Loss(
        sigmoid_link,
        inverse_sigmoid,
        log_expit,
        binary_cross_entropy,
        canonical_gradient,
        binary_log_probability,
        binary_log_probability_gradient,
        encode_binary,
        "sigmoid",
    ),
    "categorical_cross_entropy": Loss(
        softmax,
        inverse_softmax,
        log_softmax,
        categorical_cross_entropy,
        canonical_gradient,
        categorical_log_probability,
        categorical_log_probability_gradient,
        encode_categorical,
        "softmax",
    ),
}


def check_targets(AL: Array, Y: Array) -> None:
    """Raise if the targets do not go with the probabilities one by one.

    Parameters
    ----------
    AL, Y : ndarrays

    Raises
    ------
    ValueError
    """
    if np.shape(Y) not in (AL.shape, AL.shape[-2:]):  # the latter: one Y for all members of an ensemble
        raise ValueError(
            f"Y must have the shape of AL, {AL.shape}: a row per output, a column per example, got {np.shape(Y)}."
        )


def default_loss(n_outputs: int) -> str:
    """Return the name of the loss that a number of outputs suggests: binary for one, categorical for more."""
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
        The logits, which `model_forward` leaves in its last cache. With them the cost is exact where AL has saturated;
        without, they are taken back from AL as far as its precision goes.
    loss : str, optional
        Name in `LOSSES`; by default the binary cross-entropy for one output, the categorical one for more.
    sample_weight : ndarray of shape (m,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If Y has another shape than AL: NumPy would stretch it.

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
