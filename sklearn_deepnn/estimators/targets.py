"""Targets: what `y` means to the network, and back. `ClassTargets` are those of a classifier.

Conventions: `y` has rows as users pass it; `Y` has columns as the network takes it: class numbers (1, n), indicators
(n_L, n) for several labels at once, or numbers (n_L, n).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils.validation import column_or_1d

from ..checks import check_real, naming, reject
from ..messages import warn_user
from ..network.architecture import Network
from ..training.examples import Examples
from ..typing import Array, Arrays, Inputs
from .columns import as_array, types_of
from .inputs import check_none_missing, first_where

FEW_SAMPLES = 20  # with no more than these, nearly as many classes as samples are no cause for a warning

ClassWeight = dict[Any, Any] | Literal["balanced"] | None


class Labels(NamedTuple):
    """What y holds."""

    y: Any  # (n,): one label per sample; or (n, n_labels), dense or sparse: indicators
    multilabel: bool  # whether y is an indicator matrix: several labels at once


class Targets(ABC):
    """What `fit` knows of y, and what an estimator keeps of it."""

    @staticmethod
    @abstractmethod
    def read_y(y: Any, name: str) -> Any:
        """Return what y holds, checked, as an object with the attribute `y`."""

    @classmethod
    @abstractmethod
    def of(cls, fitted: Mapping[str, Any]) -> Self:
        """Return the targets that the attributes of a fitted estimator tell."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of outputs of the network."""

    @property
    @abstractmethod
    def loss(self) -> str:
        """The loss of the network, a name in `LOSSES`."""

    @property
    def quantile(self) -> float:
        """The quantile that the loss "quantile" predicts."""
        return 0.5

    @property
    def has_one_class(self) -> bool:
        """Whether there is nothing to tell apart."""
        return False

    @property
    @abstractmethod
    def has_separate_outputs(self) -> bool:
        """Whether each output is a prediction of its own. Otherwise one of them is the prediction."""

    @abstractmethod
    def decode(self, Y: Inputs) -> Inputs:
        """Return Y as y, with a row for each column of Y."""

    @abstractmethod
    def read_validation(self, labels: Any, sample_weight: Array | None) -> Inputs:
        """Return y_val, which `read_y` has read, as columns."""

    @abstractmethod
    def fitted_attributes(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator that tell its targets."""

    def calibrated(self, validation: Examples, parameters: Arrays, network: Network) -> Self:
        """Return the targets, whose predictions may be corrected by validation data."""
        return self

    def weigh(self, Y: Inputs, sample_weight: Array | None, name: str) -> Array | None:
        """Return the weights of samples, from their sample weights and their targets."""
        return sample_weight

    def strata(self, examples: Examples) -> Array:
        """Return the stratum of each example, from 0, for a split that keeps their frequencies."""
        return np.zeros(examples.n, np.intp)

    def rarity(self, examples: Examples) -> float | None:
        """Return the frequency of the rarest class times the number of classes; None without such classes."""
        return None

    def identity(self) -> list[Any]:
        """Return what tells these targets from those of another fit, beside Y and the parameters."""
        return []

    def completed(self, Y: Inputs) -> Any | None:
        """Return other rows of y that have all classes, to try a scorer on; None if Y has them."""
        return None

    def warn_of_doubtful(self, examples: Examples) -> None:
        """Warn of targets that the user may not have meant."""
        return


@dataclass(frozen=True)
class ClassTargets(Targets):
    """The classes of a classifier, and their weights."""

    classes: Array  # (n_classes,): the labels, sorted; 0, 1, ... for several labels at once.
    multilabel: bool  # whether y is an indicator matrix: several labels at once
    class_weight: Array | None = None  # (n_classes,), or None

    @staticmethod
    def read_y(y: Any, name: str) -> Labels:
        """Return y as labels; see `read_labels`."""
        return read_labels(y, name)

    @classmethod
    def read(
        cls, labels: Labels, sample_weight: Array | None, class_weight: ClassWeight, earlier: ClassTargets | None
    ) -> tuple[Self, Inputs]:
        """Return the targets, and Y. Labels of samples of weight zero do not count."""
        y, multilabel = labels
        if earlier is not None:
            check_same_kind("y", multilabel, earlier.multilabel, "as at the beginning of training")
            classes = earlier.classes
        elif multilabel:
            classes = np.arange(y.shape[1])
        else:
            classes = np.unique(y if sample_weight is None else y[np.flatnonzero(sample_weight)])
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
    def has_separate_outputs(self) -> bool:
        """Whether each output is a label by itself."""
        return self.multilabel

    @property
    def has_one_class(self) -> bool:
        """Whether all samples have the same label."""
        return len(self.classes) == 1 and not self.multilabel

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

    def identity(self) -> list[Any]:
        """Return the classes."""
        return list(self.classes.tolist())

    def completed(self, Y: Inputs) -> Any | None:
        """Return labels that take turns through all classes, at least as many as Y has; None if Y has all classes."""
        if not self.lacks_classes(Y):
            return None
        turns = np.arange(max(Y.shape[1], 2 * len(self.classes)))
        if self.multilabel:
            return np.repeat(turns[:, np.newaxis] % 2, len(self.classes), axis=1)
        return self.classes[turns % len(self.classes)]

    def lacks_classes(self, Y: Inputs) -> bool:
        """Say whether some class is in no column of Y, or a label in all columns or in none."""
        if self.multilabel:
            n_with_label = np.asarray(Y.sum(axis=1)).ravel()
            return bool(((n_with_label == 0) | (n_with_label == Y.shape[1])).any())
        return len(np.unique(Y)) < max(len(self.classes), 2)

    def read_validation(self, labels: Labels, sample_weight: Array | None) -> Inputs:
        """Return y_val as columns."""
        check_same_kind("y_val", labels.multilabel, self.multilabel, "like y")
        return self.encode(labels.y, sample_weight, "y_val")

    def weigh(self, Y: Inputs, sample_weight: Array | None, name: str) -> Array | None:
        """Return the sample weights times the weights of the classes."""
        if self.class_weight is None:
            return sample_weight
        by_class = self.class_weight[Y[0]]
        weight = by_class if sample_weight is None else product_of_weights(sample_weight, by_class, name)
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
        totals = totals_by_class(examples.Y[0, examples.members], weight)
        totals = totals[totals > 0]
        return float(len(totals) * totals.min() / totals.sum())

    def fitted_attributes(self) -> dict[str, Any]:
        """Return the fitted attributes of the estimator that tell its targets."""
        attributes: dict[str, Any] = {"classes_": self.classes, "multilabel_": self.multilabel}
        return attributes if self.class_weight is None else {**attributes, "class_weight_": self.class_weight}

    def warn_of_doubtful(self, examples: Examples) -> None:
        """Warn of one-hot labels, and of nearly as many classes as samples, as scikit-learn does."""
        Y, n = examples.Y[:, examples.members], examples.n
        if self.multilabel:
            if n > 1 and (np.asarray(Y.sum(axis=0)) == 1).all():  # (n,): labels of each example
                seen = "Each row of y has exactly one label, as if y were one-hot"
                outcome = "and is learned as several labels at once"
                warn_user(f"{seen}, {outcome}. For classes that exclude each other pass y.argmax(axis=1).", UserWarning)
            return
        counts = np.bincount(Y[0], minlength=len(self.classes))
        # a part of the data that has few of many classes is no regression target
        if n > FEW_SAMPLES and len(counts) > round(0.5 * n) and counts.all():
            seen = "The number of unique classes is greater than 50% of the number of samples"
            warn_user(f"{seen}. `y` could represent a regression problem, not a classification problem.", UserWarning)


def given_classes(classes: Any, labels: Labels, earlier: ClassTargets | None) -> ClassTargets | None:
    """Return the targets that `partial_fit` starts or continues with."""
    multilabel = labels.multilabel
    if classes is None:
        if earlier is None and not multilabel:
            reject("classes", "given to the first call of partial_fit, with all labels of all later calls", None)
        return earlier
    given = read_labels(classes, "classes")
    if given.multilabel or not len(given.y):
        raise ValueError(f"classes must have one dimension and at least one label, got the shape {given.y.shape}.")
    # an indicator matrix has a column for each class, in the order of the user
    known = given.y if multilabel else np.unique(given.y)
    if earlier is None:
        return ClassTargets(known, multilabel)
    if not np.array_equal(known, earlier.classes):
        raise ValueError(f"classes must stay {earlier.classes.tolist()}, got {known.tolist()}.")
    return earlier


def check_same_kind(name: str, multilabel: bool, wanted: bool, why: str) -> None:
    """Raise if y is an indicator matrix where labels are wanted, or the other way round."""
    if multilabel != wanted:
        kinds = {True: "an indicator matrix", False: "one label per sample"}
        raise ValueError(f"{name} must be {kinds[wanted]}, {why}, got {kinds[multilabel]}.")


def read_labels(y: Any, name: str) -> Labels:
    """Return y as labels, which keep their type. An error names y, the rule and the first value that breaks it."""
    if issparse(y) and y.ndim == 2 and y.shape[1] > 1:
        y = csr_array(y)
        check_none_missing(name, y)
        check_indicators(name, y)
        return Labels(y, True)
    y = as_labels(name, y.toarray() if issparse(y) else y)
    if y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1):
        check_discrete(name, y)
        return Labels(column_or_1d(y, warn=True), False)
    if y.ndim > 2 or not y.shape[1]:
        raise ValueError(f"{name} must have one label per sample or be an indicator matrix, got the shape {y.shape}.")
    check_indicators(name, y)
    return Labels(y, True)


def as_labels(name: str, y: Any) -> Array:
    """Return y as an array of text, numbers, bools or dates, none of which is missing."""
    if y is None:
        raise ValueError(f"A classifier requires {name} to be passed, but the target {name} is None.")
    try:
        array = as_array(y)
        is_list = isinstance(y, (list, tuple)) and array.ndim == 1
        if is_list and len(set(map(kind_of, set(map(type, y))))) > 1:  # NumPy has made one kind of several
            array = np.array(y, dtype=object)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of different lengths, tensors of another device
        raise ValueError(f"{name} must have one label per sample: {error}") from error
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array or a list of labels, got {y!r}.")
    check_none_missing(name, array)
    array = np.asarray(array)
    if array.dtype.kind == "T":
        return array.astype(object)  # scikit-learn's metrics do not take StringDType
    return of_one_kind(name, array) if array.dtype.kind == "O" else array


def kind_of(label_type: type) -> str:
    """Return the kind of the labels of a type: "text", "bools", "numbers", or "" if its values are no labels."""
    kinds: dict[str, Any] = {"text": str, "bools": (bool, np.bool_), "numbers": Real}  # in this order: a bool is a Real
    return next((kind for kind, types in kinds.items() if issubclass(label_type, types)), "")


def of_one_kind(name: str, objects: Array) -> Array:
    """Return objects as they are if they are text, otherwise as an array of bools or numbers."""
    if not objects.size:
        return objects
    first, kinds = objects.flat[0], {each: kind_of(each) for each in types_of(objects)}
    if objects.size > len(objects):  # a table of indicators may have columns of bools beside columns of numbers
        kinds = {each: kind.replace("bools", "numbers") for each, kind in kinds.items()}
    kind = kinds[type(first)]
    if not kind or len(set(kinds.values())) > 1:
        is_wrong = np.array([not kind or kinds[type(label)] != kind for label in objects.flat]).reshape(objects.shape)
        others = f" after {first!r}" if kind else ""
        rule, advice = "labels of one kind, all text, all integers or all bools", "astype(str) makes all of them text."
        raise ValueError(f"{name} must have {rule}, got {first_where(is_wrong, objects)}{others}. {advice}")
    if kind == "text":
        return objects
    numbers = np.array(objects.tolist())
    is_lost = numbers != objects
    if numbers.dtype.kind == "O":  # NumPy has no type for integers of more than 64 bits
        is_lost = np.array([np.asarray(label).dtype.kind == "O" for label in objects.flat]).reshape(objects.shape)
    if is_lost.any():
        raise ValueError(f"{name} must have numbers that NumPy can hold, got {first_where(is_lost, objects)}.")
    return numbers


def check_discrete(name: str, y: Array) -> None:
    """Raise if labels are neither text, integers, bools nor dates. Integers may be floats."""
    is_float = y.dtype.kind == "f"
    is_wrong = (y != np.trunc(y)) | np.isinf(y) if is_float else np.full(y.shape, y.dtype.kind not in "biuUOMm")
    if is_wrong.any():
        found = "continuous, as a regression target" if is_float else y.dtype
        rule = f"{name} must have text, integers or bools as labels"
        advice = " DeepNNRegressor learns numbers." if is_float else ""
        raise ValueError(f"Unknown label type: {found}. {rule}, got {first_where(is_wrong, y)}.{advice}")


def check_indicators(name: str, y: Inputs) -> None:
    """Raise if indicators are not zeros and ones."""
    values = y.data if issparse(y) else y
    is_wrong = (values != 0) & (values != 1) if y.dtype.kind in "biuf" else np.ones(values.shape, bool)
    if is_wrong.any():
        rule = f"{name} must have one label per sample or, for several labels at once, zeros and ones"
        raise ValueError(f"Unknown label type: several columns. {rule}, got {first_where(is_wrong, y)}.")


def class_numbers(y: Array, classes: Array, name: str) -> Array:
    """Return the position of each label in `classes`."""
    labels, numbers = np.unique(y, return_inverse=True)
    if classes.dtype.kind in "mM" and classes.dtype.kind == labels.dtype.kind:  # dates may have different units
        unit = np.promote_types(classes.dtype, labels.dtype)
        labels, classes = labels.astype(unit), classes.astype(unit)
    positions = {label: position for position, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in positions]
    if unknown:
        raise ValueError(f"{name} must have labels among {classes.tolist()}, got {unknown}.")
    return np.array([positions[label] for label in labels.tolist()], dtype=np.intp)[numbers]


def totals_by_class(numbers: Array, sample_weight: Array | None, n_classes: int = 0) -> Array:
    """Return the number of samples of each class, or the sum of their weights. Only ratios of these sums are used."""
    if sample_weight is not None:  # divided by a power of two, which loses nothing, so that sums cannot overflow
        sample_weight = np.ldexp(sample_weight, -np.frexp(sample_weight.max())[1])
    return np.bincount(numbers, sample_weight, minlength=n_classes)


def product_of_weights(sample_weight: Array, by_class: Array, name: str) -> Array:
    """Return the sample weights times the weights of their classes. Raise where that overflows or underflows."""
    with np.errstate(over="ignore", under="ignore"):
        weight = sample_weight * by_class
    is_lost = (weight == 0) & (sample_weight > 0) & (by_class > 0) | np.isinf(weight)
    if is_lost.any():
        names = {"y": "class_weight times sample_weight", "y_val": "class_weight times sample_weight_val"}
        raise ValueError(f"{names[name]} must be in the range of float64, got {first_where(is_lost, weight)}.")
    return weight


def weights_by_class(class_weight: Any, classes: Array, numbers: Array, sample_weight: Array | None) -> Array:
    """Return the weight of each class. "balanced" makes the classes weigh the same in sum."""
    if class_weight == "balanced":
        totals = totals_by_class(numbers, sample_weight, len(classes))
        present = totals > 0
        return np.where(present, totals.sum() / (present.sum() * np.where(present, totals, 1)), 0)
    for label, weight in class_weight.items():
        check_real(f"class_weight[{label!r}]", weight, 0)
    if classes.dtype.kind in "mM":  # dates of NumPy, Python and text, which hash differently
        with naming("class_weight", f"a dict whose keys are dates like {classes[0]}"):
            labels = np.array(list(class_weight), dtype=classes.dtype).tolist()
        class_weight = dict(zip(labels, class_weight.values()))
    unknown = [label for label in class_weight if label not in classes.tolist()]
    if unknown:
        raise ValueError(f"class_weight must have labels among {classes.tolist()}, got {unknown}.")
    return np.array([class_weight.get(label, 1.0) for label in classes.tolist()])
