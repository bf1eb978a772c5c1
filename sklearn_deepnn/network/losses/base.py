"""`Loss`: what every loss tells of itself, so that no other module compares its name.

Conventions: `ZL` (n_L, m) are the logits, `AL = link(ZL)` the predictions, `Y` (n_L, m) the targets, one column per
example. The networks of an ensemble are stacked on a first axis.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from ...typing import Array, BoolArray, Inputs
from ..links import Link

# Confident predictions leave subnormal gradients, which processors handle many times slower: with 2 % of them,
# backpropagation took four times as long. Adding and subtracting the shift rounds to multiples of the root of the
# smallest normal number, 1e-19 in float32 and 1e-154 in float64.
ROUNDING_SHIFTS = {
    limits.dtype: 2 * float(limits.tiny) ** 0.5 / float(limits.eps)
    for limits in (np.finfo(np.float32), np.finfo(np.float64))
}


def weighted_mean(Y: Array, weight: Array) -> Array:
    """Return the mean of each output (n_L, 1)."""
    return (Y * weight).sum(axis=-1, keepdims=True) / weight.sum(axis=-1, keepdims=True)


def canonical_gradient(AL: Array, Y: Array) -> Array:
    """Return the gradient at the logits of the canonical link: AL - Y, with subnormal numbers rounded to 0."""
    dZL = AL - Y
    shift = ROUNDING_SHIFTS.get(dZL.dtype)
    if shift is not None:
        dZL += shift
        dZL -= shift
    return dZL


class TargetRule(NamedTuple):
    """Which numbers Y may have."""

    low: float
    high: float
    text: str
    is_open: bool = False  # whether `low` itself is excluded

    def is_broken_by(self, Y: Array) -> BoolArray:
        """Return which targets are out of the range."""
        return (self.low >= Y if self.is_open else self.low > Y) | (self.high < Y)


class Loss(ABC):
    """A loss with the link of its output layer.

    A subclass has its cost (`losses`) and the gradient of the cost at the logits (`gradient`). Costs are computed from
    the logits, which stay exact where AL saturates.
    """

    name: ClassVar[str]
    link: ClassVar[Link]
    label: ClassVar[str]  # in plots
    about_baseline: ClassVar[str]  # what the baseline loss is the cost of: "predicting ..."
    about_uninformed: ClassVar[str]  # predictions that know nothing of X: named in the message of a divergence

    has_unit_spread: ClassVar[bool] = True  # whether the targets Y have a spread of about 1
    is_calibrated: ClassVar[bool] = False  # whether validation data correct the predictions
    # A cost has exploded if it exceeds `blow_up` times the first cost and `blow_up` times the uninformed cost. Noise
    # raises the cost of a training that goes well by less.
    blow_up: ClassVar[float] = 10.0
    initial_gain: ClassVar[float] = 1.0  # what the initial weights of the output layer are multiplied by
    quantile: float = 0.5  # only the loss "quantile" depends on it

    @abstractmethod
    def losses(self, ZL: Array, Y: Array) -> Array:
        """Return the loss (m,) of each example."""

    # gradient(AL, Y) is the gradient of each example's loss at its logits. A loss whose gradient is not AL - Y has a
    # method of this name.
    gradient: Callable[[Array, Array], Array] = staticmethod(canonical_gradient)

    @abstractmethod
    def encode(self, Y: Inputs, n_outputs: int, dtype: DTypeLike, label_smoothing: float = 0.0) -> Array:
        """Return the targets (n_L, m) of examples as floats."""

    @abstractmethod
    def best_constant(self, Y: Array, weight: Array) -> Array:
        """Return the prediction (n_L, 1) that costs least on targets Y (n_L, m) with weights (1, m)."""

    def attainable(self, AL: Array, n: int) -> Array:
        """Return the best constant AL of n examples, changed so that it can predict other examples."""
        return AL

    @abstractmethod
    def uninformed_cost(self, n_outputs: int) -> float | None:
        """Return the cost of a prediction that knows nothing of the targets. None: that of the best constant."""

    @abstractmethod
    def target_rule(self, n_rows: int, n_outputs: int) -> TargetRule:
        """Return which numbers targets of `n_rows` rows may have."""

    def at_quantile(self, quantile: float) -> Self:
        """Return the loss for a quantile. Losses that do not depend on one return themselves."""
        return self
