"""Losses for classes: cross-entropies, with the sigmoid or the softmax as link.

Conventions: `ZL` (n_L, m) are the logits, `AL = link(ZL)` the probabilities, `Y` (n_L, m) the targets, one column per
example. The networks of an ensemble are stacked on a first axis. Each loss is the negative log-likelihood of its link:
its gradient at the logits is `AL - Y`, which stays exact where AL saturates.
"""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ...typing import Array, Inputs
from ..links import Link, Sigmoid, Softmax
from .base import Loss, TargetRule, weighted_mean


class CrossEntropy(Loss):
    """The negative log-likelihood of probabilities."""

    label = "cross-entropy"
    about_baseline = "predicting the class frequencies"
    about_uninformed = "uniform probabilities"

    def best_constant(self, Y: Array, weight: Array) -> Array:
        """Return the class frequencies (n_L, 1)."""
        return weighted_mean(Y, weight)

    def attainable(self, AL: Array, n: int) -> Array:
        """Return class frequencies. A class that n examples lack counts as half an example."""
        return AL.clip(0.5 / n, 1 - 0.5 / n)


class BinaryCrossEntropy(CrossEntropy):
    """The cross-entropy of a sigmoid, for two classes or for several labels at once."""

    name = "binary_cross_entropy"
    link: ClassVar[Link] = Sigmoid()

    def losses(self, ZL: Array, Y: Array) -> Array:
        """Return the negative log-likelihood of binary targets: sum over outputs of log(1 + exp(ZL)) - Y ZL."""
        # log(1 + exp(Z)) = max(Z, 0) + log1p(exp(-|Z|)); the large terms cancel before the small one is added
        losses = np.maximum(ZL, 0) - Y * ZL + np.log1p(np.exp(-np.abs(ZL)))
        return losses.sum(axis=-2)

    def encode(self, Y: Inputs, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
        """Return binary targets as floats, smoothed towards 1/2: Y (1 - s) + s / 2."""
        Y = (Y if isinstance(Y, np.ndarray) else Y.toarray()).astype(dtype)
        return Y * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else Y

    def uninformed_cost(self, n_outputs: int) -> float:
        """Return the cost of the probability 1/2 of each output."""
        return n_outputs * math.log(2)

    def target_rule(self, n_rows: int, n_outputs: int) -> TargetRule:
        """Return the range of probabilities."""
        return TargetRule(0, 1, "targets from 0 to 1")


class CategoricalCrossEntropy(CrossEntropy):
    """The cross-entropy of a softmax, for classes that exclude each other."""

    name = "categorical_cross_entropy"
    link: ClassVar[Link] = Softmax()

    def losses(self, ZL: Array, Y: Array) -> Array:
        """Return the negative log-likelihood of one class in many: log(sum(exp(ZL))) - sum(Y ZL)."""
        shifted = ZL - ZL.max(axis=-2, keepdims=True)
        # einsum makes no array of the products and takes a quarter of the time
        target_logits = np.einsum("...ij,...ij->...j", Y, shifted)
        return np.log(np.exp(shifted, out=shifted).sum(axis=-2)) - target_logits

    def encode(self, Y: Inputs, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
        """Return one-hot targets, smoothed towards uniform ones: Y (1 - s) + s / n_L (Szegedy et al. (2016), CVPR)."""
        if Y.shape[-2] == 1:  # class numbers 0..n_L-1
            Y = (np.arange(n_outputs)[:, np.newaxis] == Y).astype(dtype)
        smoothed = Y * (1 - label_smoothing) + label_smoothing / n_outputs if label_smoothing else Y
        return smoothed.astype(dtype, copy=False)

    def uninformed_cost(self, n_outputs: int) -> float:
        """Return the cost of equal probabilities of all classes."""
        return math.log(n_outputs)

    def target_rule(self, n_rows: int, n_outputs: int) -> TargetRule:
        """Return the range of class numbers, if Y has one row, or of probabilities."""
        if n_rows == 1:
            return TargetRule(0, n_outputs - 1, f"class numbers from 0 to {n_outputs - 1}")
        return TargetRule(0, 1, "targets from 0 to 1")


CLASS_LOSSES: dict[str, Loss] = {loss.name: loss for loss in (BinaryCrossEntropy(), CategoricalCrossEntropy())}
