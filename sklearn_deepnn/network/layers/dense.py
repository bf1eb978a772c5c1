"""The dense layer: its linear part, alone and with an activation behind it.

Conventions: `A_prev` (n_{l-1}, m), `W` (n_l, n_{l-1}), `b` (n_l, 1), `Z`, `A`, `dA`, `dZ` (n_l, m), one column per
example. `dA` and `dZ` are per example; `dW` and `db` are averaged over the m examples. The layers of several networks
of one shape are stacked on a first axis of all these arrays; `A_prev` may lack it where all are given the same.
"""

from itertools import repeat
from typing import Any, TypeAlias

import numpy as np

from ...checks import check_choice
from ...typing import Array, Inputs, Maybe
from ..activations import ACTIVATIONS
from .averaging import averaging_column

LinearCache: TypeAlias = tuple[Inputs, Array, Array | None]  # A_prev, W, b


def product(A: Array, B: Array, out: Array | None = None) -> Array:
    """Return A B, of matrices or of stacks of them.

    Of two matrices by `np.dot`: `np.matmul` does the same, but its call takes twice as long, and that is what products
    of small networks cost.

    Parameters
    ----------
    A, B : ndarrays of shape (..., n, k) and (..., k, m)
    out : ndarray of shape (..., n, m), optional

    Returns
    -------
    ndarray of shape (..., n, m)
    """
    return np.dot(A, B, out=out) if A.ndim == B.ndim == 2 else np.matmul(A, B, out=out)


def sparse_product(A: Array, B: Any) -> Array:
    """Return A B, where B is sparse; of a stack A with one B for all, or a list with one for each."""
    if A.ndim == 2:
        return A @ B
    return np.stack([A_k @ B_k for A_k, B_k in zip(A, B if isinstance(B, list) else repeat(B))])


def linear_forward(A_prev: Inputs, W: Array, b: Array | None) -> tuple[Array, LinearCache]:
    """Apply the linear part of a layer: Z = W A_prev + b.

    Parameters
    ----------
    A_prev : ndarray or sparse array of shape (n_{l-1}, m)
        Sparse input is multiplied as it is; for stacked layers it may be a list of sparse arrays.
    W : ndarray of shape (n_l, n_{l-1})
    b : ndarray of shape (n_l, 1), or None
        None where batch normalisation follows, which would take it away again.

    Returns
    -------
    Z : ndarray of shape (n_l, m)
    cache : tuple
        A_prev, W, b.
    """
    # a sparse product comes in columns; mixing orders would slow every later line down
    Z = product(W, A_prev) if isinstance(A_prev, np.ndarray) else np.ascontiguousarray(sparse_product(W, A_prev))
    if b is not None:
        Z += b
    return Z, (A_prev, W, b)


def linear_backward(
    dZ: Array,
    cache: LinearCache,
    *,
    m: int | None = None,
    out: tuple[Array | None, Array | None] = (None, None),
    wrt_input: bool = True,
    wrt_parameters: bool = True,
) -> tuple[Maybe[Array], Maybe[Array], Maybe[Array]]:
    """Backpropagate through `linear_forward`: dA_prev = W^T dZ, dW = dZ A_prev^T / m, db = sum(dZ) / m.

    Parameters
    ----------
    dZ : ndarray of shape (n_l, m)
    cache : tuple
        From `linear_forward`.
    m : int, optional
        What the sums over the examples are divided by, by default their number. 1 leaves them sums: for a dZ that has
        been divided already, and for a part of a batch.
    out : pair of ndarrays or None, default=(None, None)
        Where to write dW and db: contiguous, of the dtype of `dZ`.
    wrt_input : bool, default=True
        Whether dA_prev is wanted; the first layer of a network can spare it.
    wrt_parameters : bool, default=True
        Whether dW and db are wanted.

    Returns
    -------
    dA_prev : ndarray of shape (n_{l-1}, m), or None
    dW : ndarray of shape (n_l, n_{l-1}), or None
    db : ndarray of shape (n_l, 1), or None if the layer has no b
    """
    (A_prev, W, b), n = cache, dZ.shape[-1]
    if not wrt_parameters:
        return product(W.mT, dZ) if wrt_input else None, None, None
    m = n if m is None else m
    if isinstance(A_prev, np.ndarray):
        dW = product(dZ, A_prev.mT, out=out[0])
        if m != 1:
            dW *= 1 / m
    else:
        transposed = [A_k.T for A_k in A_prev] if isinstance(A_prev, list) else A_prev.T
        dW = np.multiply(sparse_product(dZ, transposed), 1 / m, out=out[0])
    db = None if b is None else product(dZ, averaging_column(n, dZ.dtype, m), out=out[1])
    return product(W.mT, dZ) if wrt_input else None, dW, db


def linear_activation_forward(
    A_prev: Inputs, W: Array, b: Array | None, activation: str
) -> tuple[Array, tuple[LinearCache, Any]]:
    """Apply a layer: A = g(W A_prev + b).

    Parameters
    ----------
    A_prev : ndarray or sparse array of shape (n_{l-1}, m)
    W : ndarray of shape (n_l, n_{l-1})
    b : ndarray of shape (n_l, 1)
    activation : str
        Name in `ACTIVATIONS`.

    Returns
    -------
    A : ndarray of shape (n_l, m)
    cache : tuple
        The cache of `linear_forward`, and that of the activation.
    """
    if activation not in ACTIVATIONS:
        check_choice("activation", activation, ACTIVATIONS)
    Z, linear_cache = linear_forward(A_prev, W, b)
    A, activation_cache = ACTIVATIONS[activation].forward(Z)
    return A, (linear_cache, activation_cache)


def linear_activation_backward(
    dA: Array,
    cache: tuple[LinearCache, Any],
    activation: str,
    *,
    m: int | None = None,
    out: tuple[Array | None, Array | None] = (None, None),
    wrt_input: bool = True,
    wrt_parameters: bool = True,
) -> tuple[Maybe[Array], Maybe[Array], Maybe[Array]]:
    """Backpropagate through `linear_activation_forward`: dZ = dA g'(Z), then as `linear_backward`.

    Parameters
    ----------
    dA : ndarray of shape (n_l, m)
    cache : tuple
        From `linear_activation_forward`.
    activation : str
        Name in `ACTIVATIONS`.
    m, out, wrt_input, wrt_parameters
        As in `linear_backward`.

    Returns
    -------
    dA_prev, dW, db
        As from `linear_backward`.
    """
    linear_cache, activation_cache = cache
    dZ = ACTIVATIONS[activation].backward(dA, activation_cache)
    return linear_backward(dZ, linear_cache, m=m, out=out, wrt_input=wrt_input, wrt_parameters=wrt_parameters)
