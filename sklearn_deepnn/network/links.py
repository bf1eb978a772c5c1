"""Links: how the logits of the output layer become predictions, and back.

Conventions: `ZL` (n_L, m) are the logits, `AL = link(ZL)` the predictions, one column per example. The networks of an
ensemble are stacked on a first axis. `D` (n_L, m) selects one output in each column: 1 for the output itself, -1 for
its negation (minus its logit, or 1 minus its probability), 0 for the other outputs. SciPy's `expit` is the sigmoid.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit

from ..typing import Array


def softmax(ZL: Array) -> Array:
    """Return probabilities that sum to 1 over each column: AL = exp(ZL) / sum(exp(ZL))."""
    AL = np.exp(ZL - ZL.max(axis=-2, keepdims=True))  # shift by the max: exp cannot overflow
    AL /= AL.sum(axis=-2, keepdims=True)
    return AL


def log_softmax(ZL: Array) -> Array:
    """Return log(softmax(ZL)), finite for every finite logit."""
    shifted = ZL - ZL.max(axis=-2, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-2, keepdims=True))


def log_sum(log_P: Array) -> Array:
    """Return log(sum of P over the members), from log_P (ensemble_size, n_L, m)."""
    largest = log_P.max(axis=0)
    return largest + np.log(np.exp(log_P - largest).sum(axis=0))


class Link(ABC):
    """What the output layer applies to its logits."""

    name: ClassVar[str]  # as scikit-learn's `out_activation_`

    @abstractmethod
    def __call__(self, ZL: Array) -> Array:
        """Return the predictions AL."""

    @abstractmethod
    def inverse(self, AL: Array) -> Array:
        """Return the logits of predictions, finite for all that the link can round to."""

    @abstractmethod
    def joint_logits(self, ZL: Array) -> Array:
        """Return the logits (n_L, m) of the members' mean prediction, from those of all members."""

    @abstractmethod
    def joint_logits_gradient(self, ZL: Array, D: Array) -> Array:
        """Return the gradient of the selected joint logits at the logits of all members."""

    @abstractmethod
    def prediction_gradient(self, ZL: Array, D: Array) -> Array:
        """Return the gradient of each network's selected predictions at its logits."""

    @abstractmethod
    def predicted(self, ZL: Array) -> Array:
        """Return D of the output that is predicted for each example, from joint logits."""


class ProbabilityLink(Link):
    """A link whose predictions are probabilities of classes."""

    @abstractmethod
    def log(self, ZL: Array) -> Array:
        """Return log(AL), finite for every finite logit."""

    @abstractmethod
    def log_probability(self, ZL: Array, D: Array) -> Array:
        """Return the log-probability (1, m) of what D selects."""

    @abstractmethod
    def log_probability_gradient(self, ZL: Array, D: Array) -> Array:
        """Return the gradient of `log_probability` at the logits."""

    def joint_logits_gradient(self, ZL: Array, D: Array) -> Array:
        """Average the gradients of the members' log-probabilities, weighted by the members' probabilities."""
        log_P = self.log_probability(ZL, D)
        P = np.exp(log_P - log_P.max(axis=0))
        return P / P.sum(axis=0) * self.log_probability_gradient(ZL, D)

    def prediction_gradient(self, ZL: Array, D: Array) -> Array:
        """Return the gradient of the selected probabilities: P times the gradient of log(P)."""
        return np.exp(self.log_probability(ZL, D)) * self.log_probability_gradient(ZL, D)


class Sigmoid(ProbabilityLink):
    """The probability of each output by itself: AL = 1 / (1 + exp(-ZL))."""

    name = "sigmoid"

    def __call__(self, ZL: Array) -> Array:
        return expit(ZL)

    def inverse(self, AL: Array) -> Array:
        """Return the logits of sigmoid probabilities, finite even where AL is 0 or 1."""
        AL = np.clip(AL, np.finfo(AL.dtype).tiny, 1 - np.finfo(AL.dtype).epsneg)
        return np.log(AL) - np.log1p(-AL)

    def log(self, ZL: Array) -> Array:
        """Return log(sigmoid(ZL))."""
        return log_expit(ZL)

    def log_probability(self, ZL: Array, D: Array) -> Array:
        """Return the log-probability of one output (1 in D), or of its negation (-1 in D): log(sigmoid(D ZL))."""
        return (np.abs(D) * log_expit(D * ZL)).sum(axis=-2, keepdims=True)

    def log_probability_gradient(self, ZL: Array, D: Array) -> Array:
        """Return the gradient of `log_probability` at the logits: D sigmoid(-D ZL)."""
        return D * expit(-D * ZL)

    def joint_logits(self, ZL: Array) -> Array:
        """Return log(P) - log(1 - P) of the mean probability P."""
        return log_sum(log_expit(ZL)) - log_sum(log_expit(-ZL))

    def joint_logits_gradient(self, ZL: Array, D: Array) -> Array:
        """Return the gradient of log(P) less that of log(1 - P)."""
        return super().joint_logits_gradient(ZL, D) - super().joint_logits_gradient(ZL, -D)

    def predicted(self, ZL: Array) -> Array:
        """Select each output that is more probable than not, and the negation of the others."""
        return np.where(ZL > 0, 1, -1).astype(ZL.dtype)


class Softmax(ProbabilityLink):
    """The probabilities of classes that exclude each other: AL = exp(ZL) / sum(exp(ZL))."""

    name = "softmax"

    def __call__(self, ZL: Array) -> Array:
        return softmax(ZL)

    def inverse(self, AL: Array) -> Array:
        """Return log(AL), which are logits of `softmax`, finite even where AL is 0."""
        return np.log(np.maximum(AL, np.finfo(AL.dtype).tiny))

    def log(self, ZL: Array) -> Array:
        """Return log(softmax(ZL))."""
        return log_softmax(ZL)

    def log_probability(self, ZL: Array, D: Array) -> Array:
        """Return the log-probability of one class in many: log(softmax(ZL)) of that class."""
        return (D * log_softmax(ZL)).sum(axis=-2, keepdims=True)

    def log_probability_gradient(self, ZL: Array, D: Array) -> Array:
        """Return the gradient of `log_probability` at the logits: D - softmax(ZL)."""
        others = softmax(ZL) * (1 - D)
        return D * others.sum(axis=-2, keepdims=True) - others  # 1 - AL loses all digits where AL is near 1

    def joint_logits(self, ZL: Array) -> Array:
        """Return the logarithms of the mean probabilities."""
        return log_sum(log_softmax(ZL)) - ZL.dtype.type(np.log(len(ZL)))

    def predicted(self, ZL: Array) -> Array:
        """Select the most probable class."""
        return (np.arange(len(ZL))[:, np.newaxis] == ZL.argmax(axis=0)).astype(ZL.dtype)


class NumberLink(Link):
    """A link whose predictions are numbers: each output is a prediction of its own."""

    def predicted(self, ZL: Array) -> Array:
        """Select all outputs."""
        return np.ones_like(ZL)


class Identity(NumberLink):
    """Numbers of either sign: AL = ZL."""

    name = "identity"

    def __call__(self, ZL: Array) -> Array:
        return ZL

    def inverse(self, AL: Array) -> Array:
        """Return AL."""
        return AL

    def joint_logits(self, ZL: Array) -> Array:
        """Return the mean over the members."""
        return ZL.mean(axis=0)

    def joint_logits_gradient(self, ZL: Array, D: Array) -> Array:
        """Return D / ensemble_size for each member."""
        return np.broadcast_to(D / len(ZL), ZL.shape).astype(ZL.dtype)

    def prediction_gradient(self, ZL: Array, D: Array) -> Array:
        """Return D."""
        return np.broadcast_to(D, ZL.shape).astype(ZL.dtype)


class Exponential(NumberLink):
    """Positive numbers: AL = exp(ZL), for logits up to the square root of the largest number of their dtype."""

    name = "exp"

    def __call__(self, ZL: Array) -> Array:
        return np.exp(self.clipped(ZL))

    @staticmethod
    def clipped(ZL: Array) -> Array:
        """Return logits whose exponentials, and the products of two of these, are finite and not 0."""
        limit = 0.49 * float(np.log(np.finfo(ZL.dtype).max))
        return np.clip(ZL, -limit, limit)

    def inverse(self, AL: Array) -> Array:
        """Return log(AL), finite even where AL is 0."""
        return self.clipped(np.log(np.maximum(AL, np.finfo(AL.dtype).tiny)))

    def joint_logits(self, ZL: Array) -> Array:
        """Return the logarithm of the mean over the members."""
        return log_sum(self.clipped(ZL)) - ZL.dtype.type(np.log(len(ZL)))

    def joint_logits_gradient(self, ZL: Array, D: Array) -> Array:
        """Return D times the fraction that each member adds to the mean."""
        AL = np.exp(self.clipped(ZL) - self.clipped(ZL).max(axis=0))
        return D * (AL / AL.sum(axis=0))

    def prediction_gradient(self, ZL: Array, D: Array) -> Array:
        """Return D AL."""
        return D * self(ZL)
