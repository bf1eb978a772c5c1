"""Names for the types in signatures: they say what is handed on, the docstrings tell the shapes.

For annotations in code of your own as well: ``from sklearn_deepnn.typing import Array``.
"""

from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[Any]  # floats where nothing else is said; NumPy's stubs could not keep track of which
FloatArray: TypeAlias = NDArray[np.floating[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]
Arrays: TypeAlias = dict[str, Array]  # "W1", "b1", ..., or their gradients: "dW1", "db1", ...
Inputs: TypeAlias = Any  # an Array or a sparse array, for stacked layers a list of these; SciPy has no types
Columns: TypeAlias = Any  # which examples: a slice, or an array of int
Values: TypeAlias = dict[str, float]  # of one epoch: "cost", "validation_cost", ...
History: TypeAlias = dict[str, list[float]]  # of all epochs
State: TypeAlias = dict[str, Any]  # what is remembered, or saved
Auto: TypeAlias = Literal["auto"]


class SparseArray(Protocol):
    """A sparse array or matrix of SciPy."""

    def tocsr(self) -> Any:
        """Return the same in rows that are compressed."""

    def toarray(self) -> Array:
        """Return the same as an ndarray."""


MatrixLike: TypeAlias = ArrayLike | SparseArray  # data frames have `__array__`, and so they are ArrayLike
