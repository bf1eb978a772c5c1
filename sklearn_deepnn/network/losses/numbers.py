"""Losses for numbers, with the identity or the logarithm as link.

Conventions: `ZL` (n_L, m) are the logits, `AL = link(ZL)` the predictions, `Y` (n_L, m) the targets, one column per
example. The networks of an ensemble are stacked on a first axis. The loss of an example is the mean over its outputs.
Names and meanings are those of scikit-learn: squared errors and deviances are halved, so that gradients have no 2.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike
from scipy.special import xlogy

from ...typing import Array, Inputs
from ..links import Exponential, Identity, Link
from .base import Loss, TargetRule, canonical_gradient, weighted_mean

NEAR = 0.5  # errors of logits up to this size: expm1 keeps the digits that a difference of large terms loses
HUBER_STEPS = 50  # of gradient descent, from the median to the best constant


def weighted_quantile(Y: Array, weight: Array, quantile: float) -> Array:
    """Return a quantile of each output (n_L, 1): an example of weight 2 counts like two examples."""
    order = np.argsort(Y, axis=-1)
    cumulated = np.take_along_axis(np.broadcast_to(weight, Y.shape), order, axis=-1).cumsum(axis=-1, dtype=float)
    wanted = quantile * cumulated[..., -1:]
    reaches = cumulated >= wanted * (1 - Y.shape[-1] * np.finfo(float).eps)  # sums of weights are rounded
    return np.take_along_axis(Y, np.take_along_axis(order, reaches.argmax(axis=-1)[..., np.newaxis], axis=-1), axis=-1)


class NumberLoss(Loss):
    """A loss of numbers. A subclass has the loss of each output and its gradient."""

    link: ClassVar[Link] = Identity()
    about_baseline = "predicting a constant"
    about_uninformed = "constant predictions"
    blow_up = 100.0  # squared errors grow ten times as fast as errors
    target_scaling: ClassVar[str] = "standard"  # how targets are scaled: a name in `TARGET_SCALINGS` of the estimators

    @abstractmethod
    def of_outputs(self, ZL: Array, Y: Array) -> Array:
        """Return the loss (n_L, m) of each output."""

    def gradient_of_outputs(self, AL: Array, Y: Array) -> Array:
        """Return the gradient (n_L, m) of `of_outputs` at the logits."""
        return canonical_gradient(AL, Y)

    def losses(self, ZL: Array, Y: Array) -> Array:
        """Return the mean loss (m,) of the outputs of each example."""
        return self.of_outputs(ZL, Y).mean(axis=-2)

    def gradient(self, AL: Array, Y: Array) -> Array:
        """Return the gradient of each example's loss at its logits."""
        return self.gradient_of_outputs(AL, Y) / AL.dtype.type(AL.shape[-2])

    def encode(self, Y: Inputs, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
        """Return Y as floats. Numbers are not smoothed."""
        return np.asarray(Y).astype(dtype, copy=False)

    def uninformed_cost(self, n_outputs: int) -> None:
        """Return None: it depends on the targets."""

    def target_rule(self, n_rows: int, n_outputs: int) -> TargetRule:
        """Allow all finite numbers."""
        return TargetRule(-math.inf, math.inf, "finite numbers")


class SquaredError(NumberLoss):
    """Half the squared error, (AL - Y)^2 / 2: the network predicts the mean."""

    name = "squared_error"
    label = "squared error"
    about_baseline = "predicting the mean"

    def of_outputs(self, ZL: Array, Y: Array) -> Array:
        """Return (ZL - Y)^2 / 2."""
        return np.square(ZL - Y) / 2

    def best_constant(self, Y: Array, weight: Array) -> Array:
        """Return the mean."""
        return weighted_mean(Y, weight)


class Huber(NumberLoss):
    """Half the squared error for errors up to 1, and the absolute error less 1/2 for larger ones [1]_.

    References
    ----------
    .. [1] Huber (1964), "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 73-101.
    """

    name = "huber"
    label = "huber loss"
    target_scaling = "robust"

    def of_outputs(self, ZL: Array, Y: Array) -> Array:
        """Return the loss of each output."""
        error = np.abs(ZL - Y)
        within = np.minimum(error, 1)
        return within * (error - within / 2)

    def gradient_of_outputs(self, AL: Array, Y: Array) -> Array:
        """Return AL - Y, clipped to [-1, 1]."""
        return np.clip(canonical_gradient(AL, Y), -1, 1)

    def best_constant(self, Y: Array, weight: Array) -> Array:
        """Return the constant at which the mean gradient is 0, from the median by steps along the gradient."""
        constant = weighted_quantile(Y, weight, 0.5)
        for _ in range(HUBER_STEPS):
            constant = constant - weighted_mean(self.gradient_of_outputs(constant, Y), weight)
        return constant


@dataclass(frozen=True)
class Quantile(NumberLoss):
    """The pinball loss [1]_: the network predicts a quantile.

    Too high a prediction costs (1 - quantile) times its error, one that is too low quantile times its error.

    Parameters
    ----------
    quantile : float, default=0.5
        In (0, 1).

    References
    ----------
    .. [1] Koenker, Bassett (1978), "Regression quantiles", Econometrica 46, 33-50.
    """

    name = "quantile"
    label = "quantile loss"
    about_baseline = "predicting a constant quantile"
    is_calibrated = True
    target_scaling = "robust"
    quantile: float = 0.5

    def at_quantile(self, quantile: float) -> Self:
        """Return the loss for another quantile."""
        return replace(self, quantile=quantile)

    def of_outputs(self, ZL: Array, Y: Array) -> Array:
        """Return the loss of each output."""
        error = Y - ZL
        return np.maximum(self.quantile * error, (self.quantile - 1) * error)

    def gradient_of_outputs(self, AL: Array, Y: Array) -> Array:
        """Return 1 - quantile where AL > Y, -quantile where AL < Y, and 0 in between."""
        sign = np.sign(AL - Y)
        return (sign + sign * sign * (1 - 2 * self.quantile)) / 2

    def best_constant(self, Y: Array, weight: Array) -> Array:
        """Return the quantile."""
        return weighted_quantile(Y, weight, self.quantile)


class AbsoluteError(NumberLoss):
    """The absolute error, abs(AL - Y): the network predicts the median."""

    name = "absolute_error"
    label = "absolute error"
    about_baseline = "predicting the median"
    target_scaling = "robust"

    def of_outputs(self, ZL: Array, Y: Array) -> Array:
        """Return abs(ZL - Y)."""
        return np.abs(ZL - Y)

    def gradient_of_outputs(self, AL: Array, Y: Array) -> Array:
        """Return the sign of AL - Y."""
        return np.sign(AL - Y)

    def best_constant(self, Y: Array, weight: Array) -> Array:
        """Return the median."""
        return weighted_quantile(Y, weight, 0.5)


class Deviance(NumberLoss):
    """Half the deviance of a distribution whose mean is exp(ZL)."""

    link: ClassVar[Exponential] = Exponential()
    about_baseline = "predicting the mean"
    target_scaling = "mean"
    has_unit_spread = False
    initial_gain = 0.1  # the exponentials of random logits would be far too small and far too large

    def best_constant(self, Y: Array, weight: Array) -> Array:
        """Return the mean."""
        return weighted_mean(Y, weight)


class Poisson(Deviance):
    """Half the deviance of the Poisson distribution, Y log(Y / AL) - Y + AL, for counts and other Y >= 0."""

    name = "poisson"
    label = "poisson deviance"

    def of_outputs(self, ZL: Array, Y: Array) -> Array:
        """Return the loss of each output; where the link clips logits, it continues along its tangent."""
        clipped = self.link.clipped(ZL)
        AL = np.exp(clipped)
        d = clipped - np.log(np.maximum(Y, np.finfo(Y.dtype).tiny))
        near = np.clip(d, -NEAR, NEAR)
        losses = np.where(near == d, Y * (np.expm1(near) - near), AL - Y * (1 + clipped) + xlogy(Y, Y))
        return losses + (ZL - clipped) * (AL - Y)

    def target_rule(self, n_rows: int, n_outputs: int) -> TargetRule:
        """Allow no negative numbers."""
        return TargetRule(0, math.inf, "no negative numbers")


class Gamma(Deviance):
    """Half the deviance of the gamma distribution, log(AL / Y) + Y / AL - 1, for Y > 0."""

    name = "gamma"
    label = "gamma deviance"

    def of_outputs(self, ZL: Array, Y: Array) -> Array:
        """Return the loss of each output; where the link clips logits, it continues along its tangent."""
        clipped = self.link.clipped(ZL)
        AL = np.exp(clipped)
        d = clipped - np.log(Y)
        near = np.clip(d, -NEAR, NEAR)
        losses = np.where(near == d, np.expm1(-near) + near, Y / AL + d - 1)
        return losses + (ZL - clipped) * (1 - Y / AL)

    def encode(self, Y: Inputs, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
        """Return Y as floats. Small numbers are not rounded to 0, which has no logarithm."""
        Y = super().encode(Y, n_outputs, dtype)
        return np.maximum(Y, np.finfo(Y.dtype).tiny)

    def gradient_of_outputs(self, AL: Array, Y: Array) -> Array:
        """Return 1 - Y / AL."""
        return 1 - Y / AL

    def target_rule(self, n_rows: int, n_outputs: int) -> TargetRule:
        """Allow positive numbers only."""
        return TargetRule(0, math.inf, "positive numbers", is_open=True)


NUMBER_LOSSES: dict[str, NumberLoss] = {
    loss.name: loss for loss in (SquaredError(), AbsoluteError(), Huber(), Poisson(), Gamma(), Quantile())
}

NUMBER_LOSS_SYNONYMS = {  # names elsewhere
    "mse": "squared_error",
    "l2": "squared_error",
    "mean_squared_error": "squared_error",
    "mae": "absolute_error",
    "l1": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "pinball": "quantile",
}
