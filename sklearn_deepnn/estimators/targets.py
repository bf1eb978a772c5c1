"""Targets: what `y` means to the network, and back. `ClassTargets` are those of a classifier.

Conventions: `y` has rows as users pass it; `Y` has columns as the network takes it: class numbers (1, n), or indicators
(n_L, n) for several labels at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from ..checks import check_real, naming, reject
from ..training.examples import Examples
from ..typing import Array, Inputs

ClassWeight = dict[Any, Any] | Literal["balanced"] | None


@dataclass(frozen=True)
class ClassTargets:
    """The classes of a classifier, and their weights."""

    classes: Array  # (n_classes,): the labels, sorted; 0, 1, ... for several labels at once.
    multilabel: bool  # whether y is an indicator matrix: several labels at once
    class_weight: Array | None = None  # (n_classes,), or None

    @classmethod
    def read(
        cls, y: Any, sample_weight: Array | None, class_weight: ClassWeight, earlier: ClassTargets | None
    ) -> tuple[Self, Inputs]:
        """Return the targets, and Y. Labels of samples of weight zero do not count."""
        y, multilabel = check_labels(y)
        if earlier is not None:
            check_same_kind("y", multilabel, earlier.multilabel, "as at the beginning of training")
            classes = earlier.classes
        elif multilabel:
            classes = np.arange(y.shape[1])
        else:
            classes = unique_labels(y if sample_weight is None else y[np.flatnonzero(sample_weight)], "y")
        unweighted = cls(classes, multilabel)
        Y = unweighted.encode(y, sample_weight, "y")
        if class_weight is None:
            return unweighted, Y
        if multilabel:
            reject("class_weight", "None for multilabel targets", class_weight)
        return cls(classes, multilabel, weights_by_class(class_weight, classes, Y[0], sample_weight)), Y

    @classmethod
    def of(cls, fitted: Mapping[str, Any]) -> Self:
        """Return the targets that the attributes of a fitted classifier tell, without class weights."""
        return cls(fitted["classes_"], fitted["multilabel_"])

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the network: one for two classes, otherwise one for each class."""
        return 1 if self.has_one_logit else len(self.classes)

    @property
    def has_one_logit(self) -> bool:
        """Whether one logit stands for two classes."""
        return len(self.classes) == 2 and not self.multilabel

    @property
    def loss(self) -> str:
        """The loss of the network, a name in `LOSSES`."""
        is_binary = self.has_one_logit or self.multilabel
        return "binary_cross_entropy" if is_binary else "categorical_cross_entropy"

    def encode(self, y: Any, sample_weight: Array | None, name: str) -> Inputs:
        """Return y as columns: class numbers, or indicators. Samples of weight zero may have any label."""
        if self.multilabel:
            if y.shape[1] != len(self.classes):
                raise ValueError(f"{name} must have {len(self.classes)} columns, one per label, got {y.shape[1]}.")
            return y.T
        known = slice(None) if sample_weight is None else sample_weight > 0
        Y = np.zeros((1, len(y)), np.intp)
        Y[0, known] = class_numbers(y[known], self.classes, name)
        return Y

    def decode(self, Y: Inputs) -> Inputs:
        """Return Y as y: labels, or a matrix of indicators, with a row for each column of Y."""
        return Y.T if self.multilabel else self.classes[Y[0]]

    def read_validation(self, y: Any, sample_weight: Array | None) -> Inputs:
        """Return y_val as columns."""
        with naming("y_val", "like y"):
            y, multilabel = check_labels(check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None))
        check_same_kind("y_val", multilabel, self.multilabel, "like y")
        return self.encode(y, sample_weight, "y_val")

    def weigh(self, Y: Inputs, sample_weight: Array | None, name: str) -> Array | None:
        """Return the sample weights times the weights of the classes."""
        if self.class_weight is None:
            return sample_weight
        by_class = self.class_weight[Y[0]]
        weight = by_class if sample_weight is None else sample_weight * by_class
        if not weight.any():
            weights = dict(zip(self.classes.tolist(), self.class_weight.tolist()))
            raise ValueError(f"class_weight must leave some samples of {name} a weight above zero, got {weights}.")
        return weight

    def strata(self, examples: Examples) -> Array:
        """Return the stratum of each example, from 0, for a split that keeps the frequencies of the classes."""
        return np.zeros(examples.n, np.intp) if self.multilabel else examples.Y[0, examples.members]

    def rarity(self, examples: Examples) -> float | None:
        """Return the frequency of the rarest class times the number of classes; None for several labels at once."""
        if self.multilabel:
            return None
        weight = None if examples.sample_weight is None else examples.sample_weight[examples.members]
        totals = np.bincount(examples.Y[0, examples.members], weight)
        totals = totals[totals > 0]
        return float(len(totals) * totals.min() / totals.sum())

    def fitted_attributes(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator that tell its targets."""
        attributes: dict[str, Any] = {"classes_": self.classes, "multilabel_": self.multilabel}
        return attributes if self.class_weight is None else {**attributes, "class_weight_": self.class_weight}


def given_classes(classes: Any, y: Any, earlier: ClassTargets | None) -> ClassTargets | None:
    """Return the targets that `partial_fit` starts or continues with."""
    _, multilabel = check_labels(y)
    if classes is None:
        if earlier is None and not multilabel:
            reject("classes", "given to the first call of partial_fit, with all labels of all later calls", None)
        return earlier
    with naming("classes"):
        classes = column_or_1d(check_array(classes, ensure_2d=False, dtype=None))
        if not multilabel:  # an indicator matrix has a column for each class, in the order of the user
            classes = unique_labels(classes, "classes")
    if earlier is None:
        return ClassTargets(classes, multilabel)
    if not np.array_equal(classes, earlier.classes):
        raise ValueError(f"classes must stay {earlier.classes.tolist()}, got {classes.tolist()}.")
    return earlier


def check_same_kind(name: str, multilabel: bool, wanted: bool, why: str) -> None:
    """Raise if y is an indicator matrix where labels are wanted, or the other way round."""
    if multilabel != wanted:
        kinds = {True: "an indicator matrix", False: "one label per sample"}
        raise ValueError(f"{name} must be {kinds[wanted]}, {why}, got {kinds[multilabel]}.")


def check_labels(y: Any) -> tuple[Any, bool]:
    """Return y as one label per sample or as an indicator matrix, and whether it is the latter."""
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass", "multilabel-indicator"):
        check_classification_targets(y)  # raises scikit-learn's message
    if kind == "multiclass-multioutput":
        wanted = "one label per sample or be an indicator matrix"
        raise ValueError(f"Unknown label type: y must have {wanted}, got several columns.")
    return (y, True) if kind == "multilabel-indicator" else (column_or_1d(y, warn=True), False)


def unique_labels(y: Array, name: str) -> Array:
    """Return the sorted labels in y. Errors call y by `name`."""
    try:
        return np.unique(y)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in y})
        raise ValueError(f"{name} must have labels of one kind, all strings or all numbers, got {kinds}.") from error


def class_numbers(y: Array, classes: Array, name: str) -> Array:
    """Return the position of each label in `classes`."""
    labels, numbers = np.unique(y, return_inverse=True)
    positions = {label: position for position, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in positions]
    if unknown:
        raise ValueError(f"{name} must have labels among {classes.tolist()}, got {unknown}.")
    return np.array([positions[label] for label in labels.tolist()], dtype=np.intp)[numbers]


def weights_by_class(class_weight: Any, classes: Array, numbers: Array, sample_weight: Array | None) -> Array:
    """Return the weight of each class. "balanced" makes the classes weigh the same in sum."""
    if class_weight == "balanced":
        totals = np.bincount(numbers, sample_weight, minlength=len(classes))
        present = totals > 0
        return np.where(present, totals.sum() / (present.sum() * np.where(present, totals, 1)), 0)
    for label, weight in class_weight.items():
        check_real(f"class_weight[{label!r}]", weight, 0)
    unknown = [label for label in class_weight if label not in classes.tolist()]
    if unknown:
        raise ValueError(f"class_weight must have labels among {classes.tolist()}, got {unknown}.")
    return np.array([class_weight.get(label, 1.0) for label in classes.tolist()])
