"""Read X and sample weights: numbers with nan for gaps, and categories as codes.

Rows are samples here. One error names all columns of X that cannot be learned, and what to do about them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from itertools import compress
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.utils.validation import check_array, validate_data

from ..checks import InvalidParameterError, naming
from ..messages import warn_user
from ..typing import Array, BoolArray, Inputs
from .categories import Categories, plain_values, restore_categories, selected_columns
from .columns import (
    CATEGORICAL,
    IN_PREDICTION,
    PROBLEMS,
    as_array,
    as_numbers,
    find_missing,
    has_categorical_dtype,
    has_numbers_only,
    has_numeric_dtype,
    is_numeral,
    labelled_columns,
    problem_of_column,
    raise_problems,
    without_numeric_dtype,
)

FEW_TEXTS = 32  # up to so many different numbers or dates in a column of text are probably meant as categories
OTHER_FRACTION = 0.1  # of the texts: if more of them are neither numbers nor dates, categories are meant
SAMPLED_TEXTS = 1000  # of a column with at least twice as many texts
MONTH, DAY = r"(0?[1-9]|1[0-2])", r"(0?[1-9]|[12]\d|3[01])"
# what dates begin with: year, month, day; or day and month, in either order, and year
DATE = re.compile(rf"(\d{{4}}[-/.]{MONTH}[-/.]{DAY}|{DAY}[-/.]{DAY}[-/.]\d{{4}})(?!\d)")
REMEDIES = {  # what to do about numbers, and about dates, as text
    "numbers": "Convert it if they are meant as numbers, such as with pandas.to_numeric(column, errors='coerce').",
    "dates": "Convert it if their order matters, such as to days since a reference date.",
}


def read_inputs(estimator: Any, X: Any, *, name: str = "X", reset: bool) -> Any:
    """Return X as an array of numbers, in which gaps are nan and categories are codes, or as a sparse array in rows."""
    # with `reset`, the attributes that tell the columns are set: n_features_in_, feature_names_in_, categories_.
    # Otherwise X must have the columns that they tell.
    check_is_table(X, name)
    X = rows_as_array(X)
    others = without_numeric_dtype(X)
    if reset:
        vars(estimator).pop("categories_", None)
        selects = estimator.categorical_features is not None and not isinstance(estimator.categorical_features, str)
    else:
        selects = "categories_" in vars(estimator)
    if issparse(X) and selects:
        raise InvalidParameterError(f"{name} must be dense if it has categories, got a sparse matrix.")
    shape: tuple[int, ...] = getattr(X, "shape", ())  # numpy.ndim would copy frames of polars and pyarrow
    is_table = len(shape) == 2 and shape[1] > 0
    if (selects or not all(map(has_numbers_only, others))) and is_table and not issparse(X):
        return read_columns(estimator, X, name, reset)
    dtype: Any = np.float64 if others and is_table else "numeric"  # which leaves decimals of pyarrow as they are
    if len(shape) == 1:  # scikit-learn then says that X must have two dimensions, before it looks for numbers
        dtype = None
    finite = True if is_sparse(X) else "allow-nan"
    # tensors are taken as arrays, even if scikit-learn dispatches to their package
    no_dispatch = nullcontext() if isinstance(X, np.ndarray) else config_context(array_api_dispatch=False)
    try:
        with no_dispatch:
            checked = validate_data(
                estimator, X, accept_sparse="csr", dtype=dtype, ensure_all_finite=finite, reset=reset
            )
    except (TypeError, ValueError, OverflowError) as error:
        # pandas makes a SciPy matrix of a frame whose columns are all sparse, if all are filled with 0
        if hasattr(X, "sparse") and any(dtype.fill_value != 0 for dtype in X.dtypes):
            return read_inputs(estimator, X.sparse.to_dense(), name=name, reset=reset)
        if "feature names" not in str(error):
            check_columns(X, name, error, allowed_in(estimator, X, reset))
        raise
    return checked if checked.dtype.kind in "biuf" else read_columns(estimator, X, name, reset)  # bools of pyarrow


def check_is_table(X: Any, name: str) -> None:
    """Raise if X holds a table in a form that has no rows: a dict, dicts, or a lazy frame of polars."""
    kind, advice = type(X).__name__, "pandas.DataFrame makes a frame of it."
    if isinstance(X, (list, tuple)) and len(X) and isinstance(X[0], Mapping):
        kind = f"{kind} of {type(X[0]).__name__}"
    elif hasattr(X, "collect_schema") and hasattr(X, "collect"):
        advice = "Its collect() makes a frame of it."
    elif not isinstance(X, Mapping) or issparse(X):  # a DOK matrix is a dict
        return
    raise InvalidParameterError(f"{name} must be a data frame, an array or a list of rows, got a {kind}. {advice}")


def check_columns(X: Any, name: str, error: Exception, wanted: str) -> None:
    """Raise if X has columns that cannot be learned."""
    labels, problems = [], []
    for label, column in labelled_columns(X):
        problem = problem_of_column(column)
        labels.append(label)
        problems.append(problem if is_sparse(X) or problem != "missing" else None)
    raise_problems(labels, problems, name, wanted, error=error)


def allowed_in(estimator: Any, X: Any, reset: bool) -> str:
    """Return what every column of X may have, in words."""
    learns_text = reset and isinstance(estimator.categorical_features, str) and not is_sparse(X)
    return "numbers or categories" if learns_text else "numbers"


def is_sparse(X: Any) -> bool:
    """Say whether X is a sparse matrix, or a frame of pandas whose columns are all sparse."""
    return issparse(X) or hasattr(X, "sparse")


def read_columns(estimator: Any, X: Any, name: str, reset: bool) -> Array:
    """Return X, whose columns are of different kinds, as one array; see `read_inputs`."""
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    labels, columns = zip(*labelled_columns(X))
    problems = [None if has_numeric_dtype(column) else problem_of_column(column) for column in columns]
    known: list[Categories | None] = [None] * len(columns)
    selected = None
    if reset:
        selected = selected_columns(estimator.categorical_features, labels)
        is_categorical = np.array([problem in CATEGORICAL for problem in problems]) if selected is None else selected
    else:
        known = restore_categories(vars(estimator).get("categories_"), len(columns))
        is_categorical = np.array([categories is not None for categories in known])
    problems = [
        problem_of_column(column) if c and p is None else p for p, column, c in zip(problems, columns, is_categorical)
    ]
    allowed = {"missing"}, {"missing", *CATEGORICAL}  # in columns of numbers, and of categories
    refused = [None if problem in allowed[c] else problem for problem, c in zip(problems, is_categorical.astype(int))]
    descriptions, wanted = PROBLEMS if reset else PROBLEMS | IN_PREDICTION, allowed_in(estimator, X, reset)
    raise_problems(labels, refused, name, wanted, descriptions)
    arrays = []
    for i, (label, column) in enumerate(zip(labels, columns)):
        if not is_categorical[i]:
            arrays.append(as_numbers(column))
            continue
        array, categories = as_array(column), known[i]
        missing, values = find_missing(array), plain_values(array.tolist())
        if categories is None:
            categories = known[i] = Categories.learn(values, missing)
            if selected is None and not has_categorical_dtype(column):
                warn_of_mistaken(name, label, categories, problems[i])
        else:
            check_kind(name, label, categories, compress(values, (~missing).tolist()))
        arrays.append(categories.encode(values, missing))
    if reset and is_categorical.any():
        estimator.categories_ = [None if each is None else each.to_dict() for each in known]
    return joined_columns(labels, arrays, name, wanted)


def joined_columns(labels: Sequence[Any], columns: Sequence[Array], name: str, wanted: str) -> Array:
    """Return columns that have been read as one array of finite numbers and nan."""
    dtype = np.result_type(*{column.dtype for column in columns})
    array = np.empty((len(columns[0]), len(columns)), dtype if dtype.kind == "f" else np.float64)
    for j, column in enumerate(columns):
        array[:, j] = column
    with naming(name):
        try:
            return check_array(array, ensure_all_finite="allow-nan", input_name=name)
        except ValueError as error:
            problems = ["infinite" if np.isinf(column).any() else None for column in columns]
            raise_problems(labels, problems, name, wanted, error=error)
            raise


def frequent_categories(estimator: Any, X: Array, weight: Array | None) -> None:
    """Give rare categories of the columns of X one code each. Sets: X, and `categories_` of the estimator."""
    if "categories_" not in vars(estimator):
        return
    names = getattr(estimator, "feature_names_in_", range(X.shape[1]))
    known = restore_categories(estimator.categories_, X.shape[1])
    for i, categories in enumerate(known):
        if categories is not None:
            frequent, X[:, i] = categories.frequent(X[:, i], weight)
            known[i] = frequent
            if categories.values and not frequent.values:
                warn_of_no_frequent(names[i], len(categories.values))
    estimator.categories_ = [None if each is None else each.to_dict() for each in known]


def check_kind(name: str, label: Any, categories: Categories, values: Iterable[Any]) -> None:
    """Raise if a column has text where fit had numbers as categories, or numbers where it had text."""
    kinds = [{issubclass(kind, str) for kind in set(map(type, each))} for each in (categories.values, values)]
    if all(len(kind) == 1 for kind in kinds) and kinds[0] != kinds[1]:
        had, got = ("text", "numbers") if True in kinds[0] else ("numbers", "text")
        raise InvalidParameterError(f"{name} must have {had} in column {label!r}, as in fit, got {got}.")


def warn_of_mistaken(name: str, label: Any, categories: Categories, problem: str | None) -> None:
    """Warn that numbers or dates as text become categories. A few other texts may stand among them."""
    n = len(categories.values)
    if n <= FEW_TEXTS:
        return
    sample = categories.values[:: max(n // SAMPLED_TEXTS, 1)]
    others = {
        "numbers": [value for value in sample if problem != "numerals" and not is_numeral(value)],
        "dates": [value for value in sample if not DATE.match(str(value).strip())],
    }
    for kind, remedy in REMEDIES.items():
        if len(others[kind]) <= OTHER_FRACTION * len(sample):
            has = f"{kind} beside {others[kind][0]!r}" if others[kind] else f"{kind} as text"
            text = f"Column {label!r} of {name} has {has}, and is learned as {n} categories"
            warn_user(f"{text}. {remedy}", UserWarning)
            return


def warn_of_no_frequent(label: Any, n_values: int) -> None:
    """Warn that a column has rare categories only."""
    problem = f"Column {label!r} has {n_values} categories, all of them rare: the network learns nothing from it"
    warn_user(f"{problem}. Drop it, or make features of it.", UserWarning)


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
