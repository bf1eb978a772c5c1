"""The piecewise-linear encoding of numbers: a feature becomes one row for each of its bins.

Conventions: columns are examples. Row i of the encoding is of feature `feature[i]`, and of its bin from `low[i]` to
`low[i] + width[i]`.
"""

import numpy as np

from ...typing import Array


def piecewise_linear_forward(X: Array, feature: Array, low: Array, width: Array) -> tuple[Array, Array]:
    """Encode numbers by how far they are through each bin: A = clip((X[feature] - low) / width, 0, 1) [1]_.

    A linear layer behind the encoding is a piecewise linear function of each feature, with a bend at each bin's edge.

    Parameters
    ----------
    X : ndarray of shape (n_features, m)
        Without nan.
    feature : ndarray of shape (n_rows,)
        The feature of each bin.
    low, width : ndarrays of shape (n_rows, 1)
        The lower edge and the width of each bin.

    Returns
    -------
    A : ndarray of shape (n_rows, m)
    cache : ndarray of shape (n_rows, m)
        The encoding A, which the backward pass compares with 0 and 1: do not overwrite it before.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Babenko (2022), "On embeddings for numerical features in tabular deep learning",
       NeurIPS.
    """
    A = X.take(feature, axis=-2)
    A -= low.astype(X.dtype, copy=False)  # edges in float64 would take 3 times as long: NumPy converts chunks of A
    A /= width.astype(X.dtype, copy=False)
    np.clip(A, 0, 1, out=A)
    return A, A


def piecewise_linear_backward(dA: Array, cache: Array, feature: Array, width: Array, n_features: int) -> Array:
    """Backpropagate through `piecewise_linear_forward`: dX = sum of dA / width over the bins that X lies in.

    Parameters
    ----------
    dA : ndarray of shape (n_rows, m)
    cache : ndarray of shape (n_rows, m)
        The encoding A.
    feature, width
        As in `piecewise_linear_forward`.
    n_features : int

    Returns
    -------
    dX : ndarray of shape (n_features, m)
    """
    slopes = np.where((cache > 0) & (cache < 1), dA / width, 0)
    return sum_by_feature(slopes, feature, n_features)


def sum_by_feature(rows: Array, feature: Array, n_features: int) -> Array:
    """Return the sums (n_features, m) over the rows (n_rows, m) of each feature; 0 for features without rows."""
    sums = np.zeros((*rows.shape[:-2], n_features, rows.shape[-1]), rows.dtype)
    for j, row in zip(feature.tolist(), np.moveaxis(rows, -2, 0)):
        sums[..., j, :] += row
    return sums
