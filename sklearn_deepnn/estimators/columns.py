"""The columns of X: what each of them holds, which values are missing, and what the network cannot learn.

Rows are samples here. Frames of pandas, polars and pyarrow are recognised by their attributes, without an import.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set, Sized
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Number, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..checks import InvalidParameterError
from ..typing import Array, BoolArray

NOT_A_NUMBER = "argument must be a string or a real number"  # what scikit-learn says, as do the other brackets below
PROBLEMS = {  # in this order: a column is listed under the first problem that it has
    "numerals": "numbers as text in {}: convert them, such as with astype(float)",
    "text": "text or categories in {}, which categorical_features='from_dtype' learns",
    "dates": "dates or times in {}, which must be converted to numbers first, such as days since a reference date",
    "mappings": f"structs or dictionaries ({NOT_A_NUMBER}) in {{}}, whose fields must become columns of numbers",
    "sequences": "lists or arrays in {}, whose elements must become columns of numbers, such as with numpy.stack",
    "intervals": "intervals in {}, which must be converted to numbers first, such as their midpoints",
    "complex": "complex numbers (Complex data not supported) in {}, which real and imaginary parts can replace",
    "objects": f"objects that are not numbers ({NOT_A_NUMBER}) in {{}}, which must be converted to numbers first",
    "missing": "missing values (Input {name} contains NaN) in {}, which dense X may have, but sparse X may not",
    "infinite": "infinite or too large numbers (Input {name} contains infinity) in {}, which must be replaced first",
}
IN_PREDICTION = {  # of columns that had numbers in fit
    "numerals": "numbers as text in {}, which had numbers in fit: convert them, such as with astype(float)",
    "text": "text or categories in {}, which had numbers in fit",
}
CATEGORICAL = {"numerals", "text"}  # what is no problem in a column of categories
MAX_LABELS = 5  # labels of columns listed per problem
DATE_TYPES = (date, time, timedelta, np.datetime64, np.timedelta64)
MISSING_TYPES = {"NoneType", "NAType", "NaTType", "MaskedConstant"}  # by name: pandas may not be installed
NUMERIC_DTYPE = re.compile(r"(sparse\[)?(u?int\d|float|halffloat|double|bool)", re.IGNORECASE)  # of any package
CATEGORICAL_DTYPE = re.compile(r"cat|enum|dictionary", re.IGNORECASE)
TEXT_DTYPE = re.compile(r"str|large_string|utf8", re.IGNORECASE)
STRUCT_DTYPE = re.compile(r"struct|map", re.IGNORECASE)


def without_numeric_dtype(X: Any) -> list[Any]:
    """Return the columns of a frame, or the whole array, whose dtype is not that of numbers, or that have a mask."""
    if isinstance(X, np.ndarray):
        return [] if X.dtype.kind in "biuf" and not np.ma.is_masked(X) else [X]
    if hasattr(X, "columns") and hasattr(X, "dtypes"):  # pandas, polars
        dtypes = X.dtypes
    else:
        dtypes = getattr(getattr(X, "schema", None), "types", ())  # pyarrow
    if all(NUMERIC_DTYPE.match(str(dtype)) for dtype in set(dtypes)):
        return []
    return [column for (_, column), dtype in zip(labelled_columns(X), dtypes) if not NUMERIC_DTYPE.match(str(dtype))]


def has_numeric_dtype(column: Any) -> bool:
    """Say whether the dtype of a column or an array is one of numbers, and no value is masked."""
    return bool(NUMERIC_DTYPE.match(dtype_name(column))) and not np.ma.is_masked(column)


def has_categorical_dtype(column: Any) -> bool:
    """Say whether the dtype of a column is one of categories."""
    return bool(CATEGORICAL_DTYPE.match(dtype_name(column)))


def has_numbers_only(column: Any) -> bool:
    """Say whether a column or an array has numbers only, also as objects. NaN is a number here."""
    values = as_array(column)
    name = dtype_name(column)
    if np.ma.is_masked(values) or has_categorical_dtype(column) or TEXT_DTYPE.match(name):
        return False
    # a decimal may be a signaling NaN, which cannot be converted
    return all(problem_of_type(kind) is None and kind is not Decimal for kind in types_of(np.asarray(values)))


def raise_problems(
    labels: Sequence[Any],
    problems: Sequence[str | None],
    name: str,
    wanted: str,
    descriptions: Mapping[str, str] = PROBLEMS,
    error: Exception | None = None,
) -> None:
    """Raise if columns have problems: one error tells what is wanted, the columns, and what to do about them."""
    described = []
    for problem, description in descriptions.items():
        listed = [repr(label) for label, found in zip(labels, problems) if found == problem]
        if listed:
            more = f" and {len(listed) - MAX_LABELS} more" if len(listed) > MAX_LABELS else ""
            columns = f"column{'s' * (len(listed) > 1)} {', '.join(listed[:MAX_LABELS])}{more}"
            described.append(description.format(columns, name=name))
    if described:
        message = f"{name} must have {wanted} in every column, got {'; '.join(described)}."
        raise InvalidParameterError(message) from error


def labelled_columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (label or number, values) for each column of a frame or array, or of a sparse matrix that may be wrong."""
    if issparse(X) and X.ndim == 2:
        X = X.tocsc()
        labels = np.arange(X.shape[1])
        if X.dtype.kind in "biuf":  # of many thousand columns of numbers, few have one that is not finite
            labels = np.unique(X.tocoo().col[~are_finite(X.data)])
            X = X[:, labels]
        yield from zip(labels.tolist(), np.split(X.data, X.indptr[1:-1]))
    elif hasattr(X, "columns") and hasattr(X, "items"):  # pandas
        yield from X.items()
    elif hasattr(X, "column_names"):  # pyarrow
        yield from zip(X.column_names, X.columns)
    elif hasattr(X, "get_columns"):  # polars
        yield from zip(X.columns, X.get_columns())
    elif isinstance(X, np.ndarray) and X.ndim == 2:
        yield from enumerate(as_array(X).T)


def problem_of_column(column: Any) -> str | None:
    """Return the first of `PROBLEMS` that a column has, or None."""
    if has_categorical_dtype(column):
        return "text"
    if STRUCT_DTYPE.match(dtype_name(column)):
        return "mappings"
    values = as_array(column)
    if values.ndim > 1:  # arrays of polars
        return "sequences"
    missing = find_missing(values)
    present = np.asarray(values[~missing])
    found = {problem for kind in types_of(present) if (problem := problem_of_type(kind))}
    if found == {"text"} and are_numerals(present):
        return "numerals"
    if found:  # text beside dates or lists is no text
        return min(found - {"text"} or found, key=list(PROBLEMS).index)
    if not len(present) and TEXT_DTYPE.match(dtype_name(column)):
        return "text"
    try:
        is_finite = are_finite(present).all()
    except OverflowError:  # an integer too large for a float
        is_finite = False
    if not is_finite:
        return "infinite"
    return "missing" if missing.any() else None


def problem_of_type(kind: type) -> str | None:
    """Return which of `PROBLEMS` a column of values of a type has, or None for numbers."""
    if issubclass(kind, DATE_TYPES) or hasattr(kind, "to_timestamp"):  # as pandas.Period has
        return "dates"
    if issubclass(kind, (Real, Decimal, np.bool_)):  # to which numpy.timedelta64 belongs
        return None
    if issubclass(kind, (str, bytes)):
        return "text"
    if issubclass(kind, Mapping):
        return "mappings"
    if hasattr(kind, "closed_left"):  # as pandas.Interval has
        return "intervals"
    if issubclass(kind, Number):
        return "complex"
    return "sequences" if issubclass(kind, Sized) and not issubclass(kind, (Set, np.void)) else "objects"


def is_numeral(value: Any) -> bool:
    """Say whether a value is a number, or text that can be converted to one."""
    try:
        float(value)
    except ValueError:
        return False
    except OverflowError:  # an integer too large for a float is a number, too
        pass
    return True


def are_numerals(values: Array) -> bool:
    """Say whether all text among values can be converted to numbers."""
    try:
        values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def are_finite(numbers: Array) -> BoolArray:
    """Return which numbers, maybe objects, are finite as float64. Integers too large for it raise OverflowError."""
    with np.errstate(over="ignore"):
        return np.isfinite(numbers.astype(np.float64))


def dtype_name(column: Any) -> str:
    """Return the name of the dtype of an array or a column, as its package has it."""
    return str(getattr(column, "dtype", getattr(column, "type", "")))


def as_array(values: Any) -> Array:
    """Return values as an array, which keeps a mask."""
    if isinstance(values, np.ma.MaskedArray):
        return values
    if str(getattr(values, "type", "")).startswith("dictionary"):  # of pyarrow, whose array has a value for a gap
        values = values.cast(values.type.value_type)
    return np.asarray(values)


def types_of(values: Array) -> set[type]:
    """Return the types of the values in an array."""
    return set(map(type, values.ravel("K"))) if values.dtype.kind == "O" else {values.dtype.type}


def as_numbers(column: Any) -> Array:
    """Return a column of numbers, which may be objects, as floats. Missing values become nan."""
    values = as_array(column)
    if values.dtype.kind in "biuf" and not np.ma.is_masked(values):
        return np.asarray(values)
    numbers, missing = np.full(values.shape, np.nan), find_missing(values)
    numbers[~missing] = values[~missing].astype(np.float64)
    return numbers


def find_missing(values: Array) -> BoolArray:
    """Return which values of an array are missing: masked, None, NaN, NaT or pandas.NA."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.getmaskarray(values) | find_missing(values.data)
    if values.dtype.kind in "fcmM":
        return np.isnan(values)
    values = values.astype(object) if values.dtype.kind == "T" else values
    if values.dtype.kind != "O" or types_of(values) <= {str, int, bool}:
        return np.zeros(values.shape, bool)
    return np.array([is_missing(value) for value in values.ravel()], bool).reshape(values.shape)


def is_missing(value: object) -> bool:
    """Say whether an object stands for a missing value."""
    if type(value).__name__ in MISSING_TYPES:
        return True
    if isinstance(value, Decimal):  # a signaling NaN cannot be compared
        return value.is_nan()
    is_comparable = isinstance(value, (Number, np.datetime64, np.timedelta64))
    return is_comparable and value != value  # NaN and NaT do not equal themselves
