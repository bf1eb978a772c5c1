"""The dense layer: its linear part, alone and with an activation behind it.

Conventions: `A_prev` (n_{l-1}, m), `W` (n_l, n_{l-1}), `b` (n_l, 1); `Z`, `A`, `dA` and `dZ` (n_l, m), one column per
example. The layers of several networks are stacked on a first axis of all arrays. `A_prev` may lack this axis: all
networks then share it.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...typing import Array, Inputs
from ..activations import ActivationLike, find_activation
from ..scaling import sparse_product, sparse_product_transposed


class LinearCache(NamedTuple):
    """What `linear_forward` keeps for `linear_backward`."""

    A_prev: Inputs  # (n_{l-1}, m)
    W: Array  # (n_l, n_{l-1})
    b: Array | None  # (n_l, 1), or None


def product(A: Array, B: Array, out: Array | None = None) -> Array:
    """Multiply two matrices, or two stacks of matrices: A B."""
    # the call is most of a small product's time: 0.35 us for A.dot, 0.5 for np.dot, 0.8 for np.matmul
    return A.dot(B, out) if A.ndim == B.ndim == 2 else np.matmul(A, B, out=out)


@lru_cache(maxsize=32)
def constant_column(m: int, dtype: np.dtype[Any], value: float = 1.0) -> Array:
    """Return the read-only (m, 1) column of one value: `dZ @ column` sums over the m examples."""
    column = np.full((m, 1), value, dtype)
    column.flags.writeable = False
    return column


def linear_forward(A_prev: Inputs, W: Array, b: Array | None) -> tuple[Array, LinearCache]:
    """Apply the linear part of a layer: Z = W A_prev + b.

    Parameters
    ----------
    A_prev : ndarray, sparse array or ScaledSparse of shape (n_{l-1}, m)
        For stacked layers also a list of sparse arrays, one for each network.
    W : ndarray of shape (n_l, n_{l-1})
    b : ndarray of shape (n_l, 1), or None
        None before batch normalisation, which would subtract it again, and where the activation adds it.

    Returns
    -------
    Z : ndarray of shape (n_l, m)
    cache : LinearCache
        A_prev, W, b.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    try:
        Z = product(W, A_prev) if isinstance(A_prev, np.ndarray) else sparse_product(W, A_prev)
        if b is not None:
            Z += b
    except ValueError as error:
        rule = "A_prev, W and b must have shapes (n_in, m), (n_out, n_in) and (n_out, 1)"
        given = f"{np.shape(A_prev)}, {W.shape} and {None if b is None else b.shape}"
        raise ValueError(f"{rule}, got {given}.") from error
    return Z, LinearCache(A_prev, W, b)


def linear_backward(
    dZ: Array,
    cache: LinearCache,
    *,
    m: int | None = None,
    out: tuple[Array | None, Array | None] = (None, None),
    wrt: Collection[str] = ("parameters", "activations"),
) -> tuple[Any, Any, Any]:
    """Backpropagate through `linear_forward`: dA_prev = W^T dZ, dW = dZ A_prev^T / m, db = sum(dZ) / m.

    Parameters
    ----------
    dZ : ndarray of shape (n_l, m)
    cache : LinearCache
        A_prev, W, b.
    m : int, optional
        Divisor of the sums over the examples, by default their number. A network passes 1: its dZL has been divided.
    out : pair of ndarrays or None, default=(None, None)
        Arrays to write dW and db into: C-contiguous, of the dtype of `dZ`.
    wrt : collection of {"parameters", "activations"}, default=both
        What to differentiate with respect to. "parameters" asks for dW and db, "activations" for dA_prev.

    Returns
    -------
    dA_prev : ndarray of shape (n_{l-1}, m), or None if not asked for
        Per example: not divided by m.
    dW : ndarray of shape (n_l, n_{l-1}), or None if not asked for
    db : ndarray of shape (n_l, 1), or None if not asked for or if the layer has no b
    """
    A_prev, W, b = cache
    dW = db = None
    if "parameters" in wrt:
        if isinstance(A_prev, np.ndarray):
            dW = product(dZ, A_prev.mT, out=out[0])
        else:
            dW = sparse_product_transposed(dZ, A_prev, out[0])
        if b is not None:
            db = product(dZ, constant_column(dZ.shape[-1], dZ.dtype), out=out[1])
        if m != 1:
            m = dZ.shape[-1] if m is None else m
            dW /= m
            if db is not None:
                db /= m
    dA_prev = product(W.mT, dZ) if "activations" in wrt else None
    return dA_prev, dW, db


def linear_activation_forward(
    A_prev: Inputs, W: Array, b: Array | None, activation: ActivationLike
) -> tuple[Array, tuple[LinearCache, Any]]:
    """Apply a layer: A = g(W A_prev + b).

    Parameters
    ----------
    A_prev : ndarray, sparse array or ScaledSparse of shape (n_{l-1}, m)
    W : ndarray of shape (n_l, n_{l-1})
    b : ndarray of shape (n_l, 1)
    activation : str, Activation or pair of functions
        A name in `ACTIVATIONS`, or the functions forward(Z) -> A, cache and backward(dA, cache) -> dZ.

    Returns
    -------
    A : ndarray of shape (n_l, m)
    cache : tuple
        The cache of `linear_forward` (A_prev, W, b), and that of the activation (Z, or what its backward needs of Z).
    """
    activation = find_activation(activation)
    if activation.biased_forward is None or b is None:
        Z, linear_cache = linear_forward(A_prev, W, b)
        A, activation_cache = activation.forward(Z)
    else:
        Z, _ = linear_forward(A_prev, W, None)
        A, activation_cache = activation.biased_forward(Z, b)
        linear_cache = LinearCache(A_prev, W, b)
    if A.dtype != Z.dtype:  # functions of your own may return float64
        A = A.astype(Z.dtype)
    return A, (linear_cache, activation_cache)


def linear_activation_backward(
    dA: Array, cache: tuple[LinearCache, Any], activation: ActivationLike, **options: Any
) -> tuple[Any, Any, Any]:
    """Backpropagate through `linear_activation_forward`: dZ = dA g'(Z), then `linear_backward`.

    Parameters
    ----------
    dA : ndarray of shape (n_l, m)
    cache : tuple
        From `linear_activation_forward`.
    activation : str, Activation or pair of functions
        The one that went forward.
    **options
        `m`, `out` and `wrt` of `linear_backward`.

    Returns
    -------
    dA_prev, dW, db
        As from `linear_backward`.
    """
    linear_cache, activation_cache = cache
    dZ = find_activation(activation).backward(dA, activation_cache)
    if dZ.dtype != dA.dtype:
        dZ = dZ.astype(dA.dtype)
    return linear_backward(dZ, linear_cache, **options)
