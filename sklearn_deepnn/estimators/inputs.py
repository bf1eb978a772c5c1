"""Checks of X, and what to say of columns that are no numbers: text, categories, dates, missing values.

Conventions: rows are samples here, as they come from users. Nothing of pandas or polars is imported.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time, timedelta
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

TEXT, DATES, MISSING = range(3)  # the first of these that a column has is what is said of it
ADVICE = (
    "text or categories in {}, which OneHotEncoder or TargetEncoder in a ColumnTransformer turns into numbers",
    "dates or times in {}, which have to be made numbers first, such as days since a day",
    "missing values (Input {name} contains NaN) in {}, which SimpleImputer in a pipeline fills in",
)
MOST_NAMES = 5  # that a message lists


def checked_inputs(estimator: Any, X: Any, *y: Any, name: str = "X", **rules: Any) -> Any:
    """Return X, and y if it is given, as `sklearn.utils.validation.validate_data` does, with errors that name columns.

    Columns of a dtype for categories, dates or times are refused even where scikit-learn would take their codes, or the
    microseconds that they count, for numbers; and so is text, even where it is all digits.

    Parameters
    ----------
    estimator : estimator
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
    *y : array-like
        None or one.
    name : str, default="X"
        What errors call X.
    **rules
        For `validate_data`.

    Raises
    ------
    ValueError
    """
    if is_converted_though_no_numbers(X):
        raise ValueError(what_is_no_number(X, name))
    try:
        checked = validate_data(estimator, X, *y, accept_sparse="csr", dtype="numeric", **rules)
    except (TypeError, ValueError) as error:
        message = None if "feature names" in str(error) else what_is_no_number(X, name)
        if message is None:
            raise
        raise ValueError(message) from error
    if (checked[0] if y else checked).dtype.kind not in "biuf":  # dates alone, or what an old version left as objects
        raise ValueError(what_is_no_number(X, name) or f"{name} must have numbers in every column.")
    return checked


def is_converted_though_no_numbers(X: Any) -> bool:
    """Say whether an array or frame has text that may be all digits, categories, or dates or times of polars."""
    dtypes = [X.dtype] if isinstance(X, np.ndarray) else getattr(X, "dtypes", ()) if hasattr(X, "columns") else ()
    if any(hasattr(dtype, "categories") or getattr(dtype, "is_temporal", bool)() for dtype in dtypes):
        return True
    has_objects = any(getattr(dtype, "kind", "") == "O" for dtype in dtypes)
    return has_objects and any(kind == TEXT for _, kind in kinds_of_columns(X))


def what_is_no_number(X: Any, name: str = "X") -> str | None:
    """Return what to say of the columns that are no numbers, or None if all are, or if X has no columns.

    Parameters
    ----------
    X : object
    name : str, default="X"

    Returns
    -------
    str or None
    """
    found: tuple[list[Any], ...] = ([], [], [])
    for label, kind in kinds_of_columns(X):
        found[kind].append(label)
    parts = [
        advice.format(f"column{'s' * (len(labels) > 1)} {listed(labels)}", name=name)
        for advice, labels in zip(ADVICE, found)
        if labels
    ]
    return f"{name} must have numbers in every column, got {'; '.join(parts)}." if parts else None


def listed(labels: Sequence[object]) -> str:
    """Return the first of some labels in words."""
    more = len(labels) - MOST_NAMES
    return ", ".join(map(repr, labels[:MOST_NAMES])) + (f" and {more} more" if more > 0 else "")


def kinds_of_columns(X: Any) -> Iterator[tuple[Any, int]]:
    """Yield label or number, and `TEXT`, `DATES` or `MISSING`, for each column that is no numbers.

    Parameters
    ----------
    X : object
    """
    if issparse(X):
        X = X.tocoo()
        yield from ((j, MISSING) for j in np.unique(X.col[np.isnan(X.data)]).tolist() if X.data.dtype.kind == "f")
        return
    for label, column in labelled_columns(X):
        kind = kind_of_column(column)
        if kind is not None:
            yield label, kind


def labelled_columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """Yield label or number, and values, for each column of a frame (pandas, polars, pyarrow), array or list of rows.

    Parameters
    ----------
    X : object
    """
    if hasattr(X, "iloc") and hasattr(X, "columns"):  # labels may occur twice
        yield from ((label, X.iloc[:, j]) for j, label in enumerate(X.columns))
    elif hasattr(X, "column_names"):
        yield from zip(X.column_names, X.columns)
    elif hasattr(X, "get_columns"):
        yield from zip(X.columns, X.get_columns())
    else:
        try:
            X = X if isinstance(X, np.ndarray) else np.array(X, dtype=object)  # not all text because some is
        except (TypeError, ValueError):  # rows of different lengths
            return
        yield from enumerate(X.T if X.ndim == 2 else [])


def kind_of_column(column: Any) -> int | None:
    """Return `TEXT`, `DATES`, `MISSING`, or None for a column of numbers, or of what nothing can be said about."""
    if hasattr(getattr(column, "dtype", None), "categories"):
        return TEXT
    values = np.asarray(column)
    if values.dtype.kind in "US":
        return TEXT
    if values.dtype.kind in "mM":
        return DATES
    if values.dtype.kind == "f":
        return MISSING if np.isnan(values).any() else None
    kinds: Iterable[Any] = set(map(kind_of_value, values)) - {None} if values.dtype.kind == "O" else ()
    return min(kinds, default=None)


def kind_of_value(value: Any) -> int | None:
    """Return `TEXT`, `DATES`, `MISSING`, or None for anything else."""
    if isinstance(value, (str, bytes)):
        return TEXT
    if isinstance(value, (date, time, timedelta, np.datetime64, np.timedelta64)) or hasattr(value, "to_timestamp"):
        return DATES
    try:
        return MISSING if value is None or value != value else None
    except TypeError:  # pandas.NA is neither equal to anything nor different
        return MISSING
    except ValueError:  # an array
        return None
