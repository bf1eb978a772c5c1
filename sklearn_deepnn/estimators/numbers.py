"""Targets that are numbers: `NumberTargets` scale y for the network, and its predictions back.

Conventions: `y` has rows as users pass it: (n,), or (n, n_outputs) for several targets at once. `Y` (n_L, n) has
columns, scaled: (y - center) / scale, target by target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple, Self, cast

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import column_or_1d

from ..network.architecture import Network
from ..network.losses import NumberLoss
from ..network.losses.base import weighted_mean
from ..network.losses.numbers import weighted_quantile
from ..training.costs import map_outputs
from ..training.examples import Examples
from ..typing import Array, Arrays, Inputs
from .columns import as_array
from .inputs import check_none_missing, first_where
from .targets import Targets

FEWEST_BEYOND = 5  # samples of a fold beyond a quantile, for its predictions to be corrected
NORMAL_QUARTILES = 1.349  # interquartile range of the normal distribution, in standard deviations


class Numbers(NamedTuple):
    """What y holds."""

    y: Array  # (n,) or (n, n_outputs), float64

    @property
    def columns(self) -> Array:
        """The targets (n_L, n)."""
        return np.atleast_2d(self.y.T)


@dataclass(frozen=True, eq=False)
class NumberTargets(Targets):
    """The targets of a regressor: their loss and their scaling."""

    output: NumberLoss
    center: Array  # (n_L,)
    scale: Array  # (n_L,): 0 if the target is constant, and then `center` is predicted
    is_vector: bool  # whether y has one dimension
    offset: Array | float = 0.0  # (n_L,): what `calibrated` adds to predictions

    @staticmethod
    def read_y(y: Any, name: str) -> Numbers:
        """Return y as numbers; see `read_numbers`."""
        return read_numbers(y, name)

    @classmethod
    def read(
        cls, numbers: Numbers, sample_weight: Array | None, loss: NumberLoss, earlier: NumberTargets | None
    ) -> tuple[Self, Inputs]:
        """Return the targets, and Y. The scaling of an earlier training stays. Samples of weight zero do not count."""
        rows, is_vector = numbers.columns, numbers.y.ndim == 1
        check_range("y", numbers.y, sample_weight, loss)
        if earlier is not None:
            check_width("y", numbers, earlier, "as at the beginning of training")
        weight = np.ones((1, rows.shape[1])) if sample_weight is None else sample_weight[np.newaxis]
        known = weight[0] > 0
        Y, weight = rows[:, known], np.ldexp(weight[:, known], -np.frexp(weight.max())[1])  # sums cannot overflow
        with np.errstate(over="ignore", invalid="ignore"):
            center, scale = TARGET_SCALINGS[loss.target_scaling](Y, weight)
        if not (np.isfinite(center) & np.isfinite(scale)).all():
            raise ValueError(f"y must have a finite variance, got numbers up to {np.abs(Y).max():g}.")
        if earlier is not None:
            # An earlier part of the data may have only one value of a target, and this part only another: the
            # difference of the two values is then the scale.
            varies, difference = scale > 0, np.abs(center - earlier.center)
            center, scale = np.where(varies, center, earlier.center), np.where(varies, scale, difference)
            # The network has learned nothing but zeros of a target that was constant: the target gets a new scaling.
            learned = earlier.scale > 0
            center, scale = np.where(learned, earlier.center, center), np.where(learned, earlier.scale, scale)
        targets = cls(loss, center, scale, is_vector)
        return targets, targets.encode(rows)

    @classmethod
    def of(cls, fitted: Mapping[str, Any]) -> Self:
        """Return the targets that the attributes of a fitted regressor tell."""
        loss = cast(NumberLoss, Network.restore(fitted["network_"]).loss_function)
        center, scale, offset = (np.atleast_1d(fitted[f"target_{name}_"]) for name in ("center", "scale", "offset"))
        return cls(loss, center, scale, np.ndim(fitted["target_center_"]) == 0, offset)

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network: one for each target."""
        return len(self.center)

    @property
    def loss(self) -> str:
        """The loss of the network, a name in `LOSSES`."""
        return self.output.name

    @property
    def quantile(self) -> float:
        """The quantile that the loss "quantile" predicts."""
        return self.output.quantile

    @property
    def has_separate_outputs(self) -> bool:
        """Return True: each output is a target by itself."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the targets of one sample."""
        return () if self.is_vector else (self.n_outputs,)

    def identity(self) -> list[Any]:
        """Return center and scale: y in other units has the same Y."""
        return [self.center.tolist(), self.scale.tolist()]

    def encode(self, rows: Array) -> Array:
        """Return targets (n_L, n) as the network takes them."""
        scale = np.where(self.scale > 0, self.scale, 1.0)
        return (rows - self.center[:, np.newaxis]) / scale[:, np.newaxis]

    def decode(self, Y: Inputs) -> Array:
        """Return scaled targets or predictions Y in the units of y, with a row for each column of Y."""
        y = self.center + self.offset + self.scale * np.asarray(Y, np.float64).T
        return y[:, 0] if self.is_vector else y

    def read_validation(self, labels: Numbers, sample_weight: Array | None) -> Inputs:
        """Return y_val as columns."""
        check_width("y_val", labels, self, "like y")
        check_range("y_val", labels.y, sample_weight, self.output)
        return self.encode(labels.columns)

    def fitted_attributes(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator that tell its targets."""
        offset = np.zeros(self.n_outputs) + self.offset
        found = {"target_center_": self.center, "target_scale_": self.scale, "target_offset_": offset}
        return {name: float(numbers[0]) for name, numbers in found.items()} if self.is_vector else found

    def calibrated(self, validation: Examples, parameters: Arrays, network: Network) -> Self:
        """Return targets with an offset, so that a predicted quantile is a quantile of the validation data."""
        if not self.output.is_calibrated:
            return self
        # on small folds, the errors of an ensemble's members are a poor estimate of those of their mean
        if validation.n * min(self.quantile, 1 - self.quantile) < FEWEST_BEYOND:
            return self
        errors, weight = validation_errors(validation, parameters, network)
        return replace(self, offset=self.scale * weighted_quantile(errors, weight, self.quantile)[:, 0])


def validation_errors(validation: Examples, parameters: Arrays, network: Network) -> tuple[Array, Array]:
    """Return Y - AL (n_L, n) of validation data, of the folds of all members one after another, and weights (1, n)."""

    def error_and_weight(ZL: Array, Y: Array, weight: Array) -> tuple[Array, Array]:
        errors = Y - network.loss_function.link(ZL)
        return np.moveaxis(errors, -2, 0).reshape(network.layer_dims[-1], -1), weight.reshape(1, -1)

    errors, weights = zip(*map_outputs(error_and_weight, validation, parameters, network))
    return np.concatenate(errors, axis=1), np.concatenate(weights, axis=1)


def standard_scaling(Y: Array, weight: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation (n_L,) of each target, exactly 0 for a constant one."""
    # subtract the first example: constants become exactly 0; divide by the largest: squares neither over- nor underflow
    pivot = Y[:, :1]
    size = np.abs(Y - pivot).max(axis=1, keepdims=True)
    size[size == 0] = 1
    T = (Y - pivot) / size
    mean = weighted_mean(T, weight)
    deviation = np.sqrt(weighted_mean(np.square(T - mean), weight))
    return (pivot + size * mean)[:, 0], (size * deviation)[:, 0]


def robust_scaling(Y: Array, weight: Array) -> tuple[Array, Array]:
    """Return median and interquartile range (n_L,) of each target, over that of the standard normal distribution."""
    low, center, high = (weighted_quantile(Y, weight, q)[:, 0] for q in (0.25, 0.5, 0.75))
    scale = (high - low) / NORMAL_QUARTILES
    return center, np.where(scale > 0, scale, standard_scaling(Y, weight)[1])


def mean_scaling(Y: Array, weight: Array) -> tuple[Array, Array]:
    """Return a center of 0 and the mean (n_L,) of each target as its scale."""
    largest = np.maximum(Y.max(axis=1, keepdims=True), np.finfo(float).tiny)  # sums cannot overflow
    mean = (largest * weighted_mean(Y / largest, weight))[:, 0]
    return np.zeros(len(Y)), mean


# how targets are scaled, (Y, weight) to center and scale: each loss of numbers names its own as `target_scaling`
TARGET_SCALINGS: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "standard": standard_scaling,
    "robust": robust_scaling,
    "mean": mean_scaling,
}


def read_numbers(y: Any, name: str) -> Numbers:
    """Return y as float64. An error names y, the rule and the first value that breaks it."""
    if y is None:
        raise ValueError(f"A regressor requires {name} to be passed, but the target {name} is None.")
    if issparse(y):
        raise ValueError(f"{name} must be dense, got a sparse matrix.")
    try:
        array = as_array(y)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of different lengths, tensors of another device
        raise ValueError(f"{name} must have one number per sample and target: {error}") from error
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        rule = "one number per sample, or one row of numbers"
        raise ValueError(f"{name} must have {rule}, got the shape {array.shape}.")
    check_none_missing(name, array)
    numbers = as_floats(name, np.asarray(array))
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must have finite numbers, got {first_where(np.isinf(numbers), numbers)}.")
    return Numbers(column_or_1d(numbers, warn=True) if numbers.shape[1:] == (1,) else numbers)


def as_floats(name: str, array: Array) -> Array:
    """Return numbers and bools as float64. Raise if there is text, a date or another object."""
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    is_wrong = np.ones(array.shape, bool)
    if array.dtype.kind == "O":
        kinds = (int, float, Decimal, np.number, np.bool_)
        is_wrong = np.array([not isinstance(value, kinds) for value in array.flat]).reshape(array.shape)
    if is_wrong.any():
        raise ValueError(f"{name} must have numbers, got {first_where(is_wrong, array)}.")
    return array.astype(np.float64)


def check_range(name: str, y: Array, sample_weight: Array | None, loss: NumberLoss) -> None:
    """Raise if numbers of samples with a weight above zero are out of the range of their loss."""
    rule = loss.target_rule(1, 1)
    is_wrong = rule.is_broken_by(y)
    if sample_weight is not None:
        is_wrong[sample_weight == 0] = False
    if is_wrong.any():
        raise ValueError(f"{name} must have {rule.text} for loss={loss.name!r}, got {first_where(is_wrong, y)}.")


def check_width(name: str, numbers: Numbers, targets: NumberTargets, why: str) -> None:
    """Raise if y has another number of targets than before."""
    n = len(numbers.columns)
    if n != targets.n_outputs or (numbers.y.ndim == 1) != targets.is_vector:
        wanted, got = targets.n_outputs, f"the shape {numbers.y.shape}"
        raise ValueError(f"{name} must have {wanted} target{'s' * (wanted != 1)} per sample, {why}, got {got}.")
