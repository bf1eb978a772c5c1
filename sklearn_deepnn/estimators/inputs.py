"""Read X and sample weights: one error names all columns of X that cannot be learned, and what to do about them.

Rows are samples here. Frames of pandas, polars and pyarrow are recognised by their attributes, without an import.
"""

import re
from collections.abc import Iterator, Mapping, Set, Sized
from contextlib import nullcontext
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Number, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.utils.validation import check_array, validate_data

from ..checks import InvalidParameterError, naming
from ..typing import Array, BoolArray, Inputs

NOT_A_NUMBER = "argument must be a string or a real number"  # what scikit-learn says, as do the other brackets below
PROBLEMS = {  # in this order: a column is listed under the first problem that it has
    "numerals": "numbers as text in {}: convert them, such as with astype(float)",
    "text": "text or categories in {}, which OneHotEncoder or TargetEncoder in a ColumnTransformer turns into numbers",
    "dates": "dates or times in {}, which must be converted to numbers first, such as days since a reference date",
    "mappings": f"structs or dictionaries ({NOT_A_NUMBER}) in {{}}, whose fields must become columns of numbers",
    "sequences": "lists or arrays in {}, whose elements must become columns of numbers, such as with numpy.stack",
    "intervals": "intervals in {}, which must be converted to numbers first, such as their midpoints",
    "complex": "complex numbers (Complex data not supported) in {}, which real and imaginary parts can replace",
    "objects": f"objects that are not numbers ({NOT_A_NUMBER}) in {{}}, which must be converted to numbers first",
    "missing": "missing values (Input {name} contains NaN) in {}, which SimpleImputer in a pipeline fills in",
    "infinite": "infinite or too large numbers (Input {name} contains infinity) in {}, which must be replaced first",
}
MAX_LABELS = 5  # labels of columns listed per problem
DATE_TYPES = (date, time, timedelta, np.datetime64, np.timedelta64)
MISSING_TYPES = {"NoneType", "NAType", "NaTType", "MaskedConstant"}  # by name: pandas may not be installed
NUMERIC_DTYPE = re.compile(r"u?int\d|float|halffloat|double|bool|sparse", re.IGNORECASE)  # of any package
CATEGORICAL_DTYPE = re.compile(r"cat|enum|dictionary", re.IGNORECASE)
STRUCT_DTYPE = re.compile(r"struct|map", re.IGNORECASE)


def read_inputs(estimator: Any, X: Any, *, name: str = "X", reset: bool) -> Any:
    """Return X as an array of numbers or a sparse array in rows, checked by scikit-learn's `validate_data`."""
    X = rows_as_array(X)
    others = without_numeric_dtype(X)
    are_numbers = all(map(has_numbers_only, others))
    # scikit-learn would convert text that is all digits, categories that are numbers, and dates of polars
    if not are_numbers:
        check_columns(X, name)
    dtype = np.float64 if others and are_numbers else "numeric"  # which leaves decimals of pyarrow as they are
    # tensors are taken as arrays, even if scikit-learn dispatches to their package
    no_dispatch = nullcontext() if isinstance(X, np.ndarray) else config_context(array_api_dispatch=False)
    try:
        with no_dispatch:
            checked = validate_data(estimator, X, accept_sparse="csr", dtype=dtype, reset=reset)
    except (TypeError, ValueError, OverflowError) as error:
        # pandas makes a SciPy matrix of a frame whose columns are all sparse, if all are filled with 0
        if hasattr(X, "sparse") and any(dtype.fill_value != 0 for dtype in X.dtypes):
            return read_inputs(estimator, X.sparse.to_dense(), name=name, reset=reset)
        if "feature names" not in str(error):
            check_columns(X, name, error)
        raise
    if checked.dtype.kind not in "biuf":
        raise ValueError(f"{name} must have numbers in every column, got an array of dtype {checked.dtype}.")
    return checked


def rows_as_array(X: Any) -> Any:
    """Return a list of rows as an array, which keeps masks. Numbers beside text become objects, not text."""
    if not isinstance(X, (list, tuple)):
        return X
    try:
        if any(isinstance(row, np.ma.MaskedArray) for row in X):
            return np.ma.array(X)
        array = np.asarray(X)
        return np.array(X, dtype=object) if array.dtype.kind in "US" else array
    except (TypeError, ValueError):  # rows of different lengths
        return X


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


def has_numbers_only(column: Any) -> bool:
    """Say whether a column or an array has numbers only, also as objects. NaN is a number here."""
    values = as_array(column)
    if np.ma.is_masked(values) or CATEGORICAL_DTYPE.match(dtype_name(column)):
        return False
    return all(problem_of_type(kind) is None for kind in types_of(np.asarray(values)))


def check_columns(X: Any, name: str, error: Exception | None = None) -> None:
    """Raise if X has columns that cannot be learned: one error names them all, and what to do about them."""
    columns = [(label, problem_of_column(column)) for label, column in labelled_columns(X)]
    descriptions = []
    for problem, description in PROBLEMS.items():
        labels = [repr(label) for label, found in columns if found == problem]
        if labels:
            more = f" and {len(labels) - MAX_LABELS} more" if len(labels) > MAX_LABELS else ""
            listed = f"column{'s' * (len(labels) > 1)} {', '.join(labels[:MAX_LABELS])}{more}"
            descriptions.append(description.format(listed, name=name))
    if descriptions:
        message = f"{name} must have numbers in every column, got {'; '.join(descriptions)}."
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
    if CATEGORICAL_DTYPE.match(dtype_name(column)):
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
    if found:
        return min(found, key=list(PROBLEMS).index)
    if missing.any():
        return "missing"
    try:
        return None if are_finite(present).all() else "infinite"
    except OverflowError:  # an integer too large for a float
        return "infinite"


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


def are_numerals(values: Array) -> bool:
    """Say whether all text among values can be converted to numbers."""
    try:
        values.astype(np.float64)
    except (TypeError, ValueError):
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
    return values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)


def types_of(values: Array) -> set[type]:
    """Return the types of the values in an array."""
    return set(map(type, values.ravel("K"))) if values.dtype.kind == "O" else {values.dtype.type}


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


def check_none_missing(name: str, values: Inputs) -> None:
    """Raise if a value is missing."""
    missing = find_missing(values.data if issparse(values) else values)
    if missing.any():
        what = f"missing values (Input {name} contains NaN)"
        raise ValueError(f"{name} must have no {what}, got {first_where(missing, values)}.")


def first_where(wrong: BoolArray, values: Inputs) -> str:
    """Return the first value where `wrong` is true, and its position, for messages."""
    # of sparse values, `wrong` tells which of the stored ones are wrong
    if issparse(values):
        position = min(zip(*(coordinates[wrong].tolist() for coordinates in values.tocoo().coords)))
    else:
        position = tuple(np.argwhere(wrong)[0].tolist())
    value = values[position]
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":  # dates of NumPy are shown best by NumPy
        value = value.item()
    return f"{value!r} at position {position if len(position) > 1 else position[0]}"


def is_single(dtype: np.dtype[Any]) -> bool:
    """Say whether a dtype holds floats of at most 32 bits, in any byte order."""
    return dtype.kind == "f" and dtype.itemsize <= 4


def check_sample_weight(name: str, weight: Any, n_samples: int) -> Array | None:
    """Return sample weights as float64, or None if `weight` is None."""
    if weight is None:
        return None
    if isinstance(weight, (str, Mapping)):
        wanted = f"have shape ({n_samples},), one weight per sample"
        raise ValueError(
            f"{name} must {wanted}, got {weight!r}. Weights of classes: class_weight='balanced' or a dict."
        )
    weight = read_vector(name, weight, n_samples, "one weight per sample")
    if weight.min() < 0:
        raise ValueError(f"{name} must not be negative, got {weight.min():g}.")
    if not weight.any():
        raise ValueError(f"{name} must not be zero for all samples, got {len(weight)} zeros.")
    return weight


def read_vector(name: str, values: Any, length: int, meaning: str) -> Array:
    """Return a vector, such as the weights of the samples, as float64."""
    with naming(name):
        array = as_array(values)
    if array.shape != (length,):
        got = array.shape if array.ndim else repr(values)
        raise ValueError(f"{name} must have shape ({length},), {meaning}, got {got}.")
    check_none_missing(name, array)
    with naming(name):
        return check_array(array, ensure_2d=False, dtype=np.float64, input_name=name)
