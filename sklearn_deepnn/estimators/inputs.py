"""Read X and sample weights: one error names all columns of X that are not numbers, and how to convert them.

Rows are samples here. Frames of pandas, polars and pyarrow are recognised by their attributes, without an import.
"""

import re
from collections.abc import Iterator
from datetime import date, time, timedelta
from numbers import Number
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, validate_data

from ..checks import naming
from ..typing import Array

PROBLEMS = {  # in this order: a column is listed under the first problem that it has
    "text": "text or categories in {}, which OneHotEncoder or TargetEncoder in a ColumnTransformer turns into numbers",
    "dates": "dates or times in {}, which must be converted to numbers first, such as days since a reference date",
    "missing": "missing values (Input {name} contains NaN) in {}, which SimpleImputer in a pipeline fills in",
}
MAX_LABELS = 5  # labels of columns listed per problem
DATE_TYPES = (date, time, timedelta, np.datetime64, np.timedelta64)
NUMERIC_DTYPE = re.compile(r"u?int\d|float|halffloat|double|decimal|bool|sparse", re.IGNORECASE)  # of any package
CATEGORICAL_DTYPE = re.compile(r"cat|enum|dictionary", re.IGNORECASE)


def read_inputs(estimator: Any, X: Any, *y: Any, name: str = "X", **rules: Any) -> Any:
    """Return X, and y if it is given, checked by scikit-learn's `validate_data`, to which `rules` are passed on."""
    # scikit-learn would convert text that is all digits, categories that are numbers, and dates of polars
    if not has_numeric_dtypes(X) and (message := describe_columns(X, name)):
        raise ValueError(message)
    try:
        checked = validate_data(estimator, X, *y, accept_sparse="csr", dtype="numeric", **rules)
    except (TypeError, ValueError) as error:
        if "feature names" not in str(error) and (message := describe_columns(X, name)):
            raise ValueError(message) from error
        raise
    if (checked[0] if y else checked).dtype.kind not in "biuf":  # lists of numpy.datetime64 reach this line
        raise ValueError(describe_columns(X, name) or f"{name} must have numbers in every column.")
    return checked


def has_numeric_dtypes(X: Any) -> bool:
    """Return whether all dtypes of an array or frame are numeric; True for inputs without dtypes, such as lists."""
    if isinstance(X, np.ndarray):
        dtypes = [X.dtype]
    elif hasattr(X, "columns") and hasattr(X, "dtypes"):  # pandas, polars
        dtypes = X.dtypes
    else:
        dtypes = getattr(getattr(X, "schema", None), "types", ())  # pyarrow
    return all(NUMERIC_DTYPE.match(str(dtype)) for dtype in set(dtypes))


def describe_columns(X: Any, name: str = "X") -> str | None:
    """Return the error message about the columns of X that are not numbers, or None if there are none."""
    columns = [(label, problem_of_column(column)) for label, column in labelled_columns(X)]
    descriptions = []
    for problem, description in PROBLEMS.items():
        labels = [repr(label) for label, found in columns if found == problem]
        if labels:
            more = f" and {len(labels) - MAX_LABELS} more" if len(labels) > MAX_LABELS else ""
            listed = f"column{'s' * (len(labels) > 1)} {', '.join(labels[:MAX_LABELS])}{more}"
            descriptions.append(description.format(listed, name=name))
    return f"{name} must have numbers in every column, got {'; '.join(descriptions)}." if descriptions else None


def labelled_columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (label or number, values) for each column of a frame, array, sparse matrix or list of rows."""
    if issparse(X):
        X = X.tocoo()
        yield from ((j, [np.nan]) for j in np.unique(X.col[X.data != X.data]).tolist())  # only columns with NaN matter
    elif hasattr(X, "columns") and hasattr(X, "items"):  # pandas
        yield from X.items()
    elif hasattr(X, "column_names"):  # pyarrow
        yield from zip(X.column_names, X.columns)
    elif hasattr(X, "get_columns"):  # polars
        yield from zip(X.columns, X.get_columns())
    else:
        try:
            X = X if isinstance(X, np.ndarray) else np.array(X, dtype=object)  # the default dtype makes all of it text
        except (TypeError, ValueError):  # rows of different lengths
            return
        yield from enumerate(X.T if X.ndim == 2 else [])


def problem_of_column(column: Any) -> str | None:
    """Return the first of `PROBLEMS` that a column has, or None if it has numbers or unknown objects only."""
    if CATEGORICAL_DTYPE.match(str(getattr(column, "dtype", getattr(column, "type", "")))):
        return "text"
    values = np.asarray(column)
    if values.dtype.kind in "biuf":
        return "missing" if np.isnan(values).any() else None
    types = set(map(type, values)) if values.dtype.kind == "O" else {values.dtype.type}
    if any(issubclass(kind, (str, bytes)) for kind in types):
        return "text"
    if any(issubclass(kind, DATE_TYPES) or hasattr(kind, "to_timestamp") for kind in types):  # as pandas.Period has
        return "dates"
    return "missing" if {"None", "nan", "NaN", "<NA>"} & set(map(str, values)) else None


def is_single(dtype: np.dtype[Any]) -> bool:
    """Say whether a dtype holds floats of at most 32 bits, in any byte order."""
    return dtype.kind == "f" and dtype.itemsize <= 4


def check_sample_weight(name: str, weight: Any, n_samples: int) -> Array | None:
    """Return sample weights as float64, or None if `weight` is None."""
    if weight is None:
        return None
    is_single = isinstance(weight, (Number, str))  # check_array does not name a single value in its error
    with naming(name):
        weight = check_array([weight] if is_single else weight, ensure_2d=False, dtype=np.float64, input_name=name)
    if weight.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), one weight per sample, got {weight.shape}.")
    if weight.min() < 0:
        raise ValueError(f"{name} must not be negative, got {weight.min():g}.")
    if not weight.any():
        raise ValueError(f"{name} must not be zero for all samples, got {len(weight)} zeros.")
    return weight
