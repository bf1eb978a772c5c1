"""The embedding layer: a trained vector for each category."""

import numpy as np

from ...typing import Array


def embedding_forward(codes: Array, E: Array) -> tuple[Array, Array]:
    """Replace each category by its vector: A[i k + j] = E[i, codes[j]], for k features j and d numbers i of a vector.

    Parameters
    ----------
    codes : ndarray of shape (k, m)
        Categories of k features as columns of E, one column per example; numbers of any dtype.
    E : ndarray of shape (d, n_categories)
        The vectors of the categories of all features. Those of several networks are stacked on a first axis, as
        `codes` may be.

    Returns
    -------
    A : ndarray of shape (d k, m)
    cache : ndarray of shape (k, m)
        The codes as integers.

    References
    ----------
    .. [1] Guo, Berkhahn (2016), "Entity embeddings of categorical variables", arXiv:1604.06737.
    """
    codes = codes.astype(np.intp)
    *stack, k, m = codes.shape
    if E.ndim == 2:
        A = E.take(codes, axis=1)
    else:
        of_members = codes if stack else [codes] * len(E)
        A = np.stack([E_k.take(codes_k, axis=1) for E_k, codes_k in zip(E, of_members)])
    return A.reshape(*E.shape[:-2], E.shape[-2] * k, m), codes


def embedding_backward(dA: Array, cache: Array, n_categories: int, out: Array | None = None) -> Array:
    """Backpropagate through `embedding_forward`: dE[i, c] = sum of dA[i k + j] over the examples with codes[j] = c.

    Parameters
    ----------
    dA : ndarray of shape (d k, m)
    cache : ndarray of shape (k, m)
        The codes as integers.
    n_categories : int
    out : ndarray of shape (d, n_categories), optional
        Array to write dE into.

    Returns
    -------
    dE : ndarray of shape (d, n_categories)
        A sum over the examples: not divided by m.
    """
    *stack, n_rows, m = dA.shape
    d = n_rows // cache.shape[-2]
    dE = np.empty((*stack, d, n_categories), dA.dtype) if out is None else out
    by_number = dA.reshape(-1, d, cache.shape[-2] * m)
    codes = np.broadcast_to(cache.reshape(-1, cache.shape[-2] * m), (len(by_number), cache.shape[-2] * m))
    for dA_k, codes_k, dE_k in zip(by_number, codes, dE.reshape(-1, d, n_categories)):
        # bincount sums in one pass; numpy.add.at takes several times as long
        positions = codes_k + n_categories * np.arange(d)[:, np.newaxis]
        dE_k[...] = np.bincount(positions.ravel(), dA_k.ravel(), d * n_categories).reshape(d, n_categories)
    return dE
