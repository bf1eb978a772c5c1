"""Categories of a column and their codes: which categories training learns, and what others mean at prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any, NamedTuple, Self

import numpy as np

from ..checks import InvalidParameterError
from ..typing import Array, BoolArray

UNKNOWN = -1  # the code of what training has not seen: the mean of all categories stands for it
RARE, RARE_FRACTION = (2.0, 5.0), 0.01  # categories with fewer samples share one code: 2 to 5, or 1 % of all
MOST_CATEGORIES = 10_000  # with a code of their own in a column: the most frequent ones
PLAIN_TYPES = frozenset({str, int, float, bool})


class Categories(NamedTuple):
    """The categories of one column. Category i of `values` has the code i."""

    values: list[Any]  # text, numbers and bools
    other: int = UNKNOWN  # the code of rare categories, which unknown ones share. UNKNOWN: training had none.
    missing: int = UNKNOWN  # the code of gaps; `other` if training had none

    @property
    def n_codes(self) -> int:
        """Number of codes that occur in training."""
        return max(len(self.values) - 1, self.other, self.missing) + 1

    def encode(self, values: Iterable[Any], missing: BoolArray) -> Array:
        """Return the codes of values, as float64. Where `missing` is true, the values do not count."""
        code_of = {value: code for code, value in enumerate(self.values)}
        codes = np.fromiter(map(code_of.get, plain_values(values), repeat(self.other)), np.float64, len(missing))
        codes[missing] = self.missing
        return codes

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return self._asdict()

    @classmethod
    def learn(cls, values: Iterable[Any], missing: BoolArray) -> Self:
        """Return all categories of a column, in sorted order."""
        found = set(plain_values(compress(values, (~missing).tolist())))
        ordered = sorted(found, key=lambda value: (isinstance(value, str), value))
        return cls(ordered, missing=len(ordered) if missing.any() else UNKNOWN)

    def frequent(self, codes: Array, weight: Array | None) -> tuple[Self, Array]:
        """Return the categories without rare ones, and the codes of the column among these."""
        # a sample of mean weight counts as one; categories that have no weight become unknown
        codes, n = codes.astype(np.intp), len(self.values)
        counts, n_samples = np.bincount(codes, weight, n + 1), len(codes)
        if weight is not None:
            n_samples = np.count_nonzero(weight)
            counts *= n_samples / counts.sum()
        counts, has_gaps = counts[:n], counts[n] > 0
        is_kept = counts >= np.clip(RARE_FRACTION * n_samples, *RARE)
        is_kept[np.argsort(-counts, kind="stable")[MOST_CATEGORIES:]] = False
        kept, has_rare = np.flatnonzero(is_kept), (counts[~is_kept] > 0).any()
        other = len(kept) if has_rare else UNKNOWN
        missing = len(kept) + has_rare if has_gaps else other
        new_codes = np.full(n + 1, other)
        new_codes[kept], new_codes[n] = np.arange(len(kept)), missing
        categories = type(self)([self.values[i] for i in kept.tolist()], int(other), int(missing))
        return categories, new_codes[codes]


def plain_values(values: Iterable[Any]) -> list[Any]:
    """Return categories as text, numbers and bools. None, which is a gap, may stay."""
    values = values if isinstance(values, list) else list(values)
    # most columns are plain: looking at the types takes 20 ns a value, a call for each 150 ns
    return values if set(map(type, values)) <= PLAIN_TYPES | {type(None)} else list(map(plain, values))


def plain(value: Any) -> Any:
    """Return a category as text, a number or a bool, which can be saved. Other objects, such as intervals, as text."""
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def restore_categories(saved: Sequence[Mapping[str, Any] | None] | None, n_features: int) -> list[Categories | None]:
    """Return the categories of each column, or None for numbers, from the fitted attribute `categories_`."""
    return [None] * n_features if saved is None else [None if each is None else Categories(**each) for each in saved]


def selected_columns(categorical_features: Any, labels: Sequence[Any]) -> BoolArray | None:
    """Return which columns the parameter `categorical_features` names; None if their dtypes tell."""
    if isinstance(categorical_features, str):  # "from_dtype"
        return None
    selected = np.zeros(len(labels), bool)
    if categorical_features is None:
        return selected
    given = np.asarray(categorical_features)
    if given.dtype == bool:
        if given.shape != selected.shape:
            raise_for(categorical_features, f"a mask with one bool for each of the {len(labels)} columns of X")
        return given
    positions = {label: i for i, label in enumerate(labels)}
    for column in given.tolist():
        if isinstance(column, str):
            if column not in positions:
                raise_for(column, f"names of columns of X, which are {list(labels)[:10]}")
            selected[positions[column]] = True
        else:
            if not -len(labels) <= column < len(labels):
                raise_for(column, f"indices from 0 to {len(labels) - 1}, the columns of X")
            selected[column] = True
    return selected


def raise_for(value: object, rule: str) -> None:
    """Raise an error about the parameter `categorical_features`."""
    raise InvalidParameterError(f"categorical_features must have {rule}, got {value!r}.")
