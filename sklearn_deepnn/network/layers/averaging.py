"""Sums over the examples of a batch, as matrix products."""

from functools import lru_cache
from typing import Any

import numpy as np

from ...typing import Array


@lru_cache(maxsize=32)
def averaging_column(n: int, dtype: np.dtype[Any], m: int) -> Array:
    """Return the (n, 1) column of 1/m: `dZ @ averaging_column(n, dZ.dtype, m)` sums the n columns of dZ, over m.

    A product with it is two to three times as fast as `dZ.sum(axis=1, keepdims=True)`.

    Parameters
    ----------
    n : int
    dtype : dtype
    m : int
        n for the mean, 1 for the sum.

    Returns
    -------
    ndarray of shape (n, 1), read-only
    """
    column = np.full((n, 1), 1 / m, dtype)
    column.flags.writeable = False
    return column
