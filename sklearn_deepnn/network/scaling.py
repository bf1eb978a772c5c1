"""Scaled inputs: dense ones are scaled as they are drawn, sparse ones by the first layer, which keeps them sparse.

Conventions: columns are examples. `X` (n_0, m), `W` (n_1, n_0), `dZ` (n_1, m); `center` and `scale` (n_0, 1), float64.
The layers of several networks are stacked on a first axis of `W` and `dZ`. Their sparse `X` is one array for all
networks, or a list with one array for each.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..typing import Array, Arrays, Inputs


class Scaling(NamedTuple):
    """X_scaled = (X - center) / scale, feature by feature."""

    center: Array
    scale: Array  # infinite for a constant feature: the scaled feature is 0 and influences nothing

    def apply(self, X: Array, dtype: DTypeLike) -> Array:
        """Scale dense examples X (n_0, m) in float64, or in float32 if X is float32. Then convert them to dtype."""
        precision = np.float32 if X.dtype == np.float32 else np.float64
        scaled = np.subtract(X, self.center.astype(precision, copy=False), dtype=precision)
        scaled /= self.scale.astype(precision, copy=False)
        return scaled.astype(dtype, copy=False)

    def apply_sparse(self, X: Inputs, dtype: DTypeLike) -> Inputs:
        """Scale sparse examples X (n_0, m), where every center is 0, and convert them. Shares the positions with X."""
        X = X.tocsc()
        values = (X.data / self.scale[X.indices, 0]).astype(dtype, copy=False)
        return type(X)((values, X.indices, X.indptr), shape=X.shape)


@dataclass(frozen=True, eq=False)
class ScaledSparse:
    """Sparse inputs of a network that stand for (X - center) / scale."""

    X: Inputs  # (n_0, m), not scaled, in the dtype of the network
    scaling: Scaling

    @property
    def shape(self) -> tuple[int, int]:
        """(n_0, m)."""
        return (self.X[0] if isinstance(self.X, list) else self.X).shape


def sparse_product(W: Array, A_prev: Inputs) -> Array:
    """Multiply sparse inputs by weights: W A_prev."""
    if isinstance(A_prev, ScaledSparse):
        # X - center would have no zeros: W (X - center) / scale = (W / scale) X - (W / scale) center
        center, scale = A_prev.scaling
        W_scaled = W / scale.mT  # float64, as center and scale: the two terms may nearly cancel
        Z = sparse_product(W_scaled.astype(W.dtype, copy=False), A_prev.X)
        Z -= (W_scaled @ center).astype(Z.dtype, copy=False)
        return Z
    return _product_of_members(W, A_prev)


def sparse_product_transposed(dZ: Array, A_prev: Inputs, out: Array | None = None) -> Array:
    """Multiply a gradient by transposed sparse inputs: dW = dZ A_prev^T. Written to `out`, if it is given."""
    if isinstance(A_prev, ScaledSparse):
        center, scale = A_prev.scaling  # dW = (dZ X^T - sum(dZ) center^T) / scale
        dW = sparse_product_transposed(dZ, A_prev.X, out)
        dW -= (dZ.sum(axis=-1, keepdims=True) * center.mT).astype(dW.dtype, copy=False)
        dW /= scale.mT.astype(dW.dtype, copy=False)
        return dW
    return _product_of_members(dZ, [X_k.T for X_k in A_prev] if isinstance(A_prev, list) else A_prev.T, out)


def _product_of_members(A: Array, X: Inputs, out: Array | None = None) -> Array:
    """Return A X of a matrix, or of a stack of matrices with one sparse X for all or a list with one for each."""
    # SciPy's products are F-ordered, and mixed orders slow every later line down. Copied one member at a time, they
    # need little memory
    if A.ndim == 2:
        if out is None:
            return np.ascontiguousarray(A @ X)
        out[...] = A @ X
        return out
    of_members = X if isinstance(X, list) else [X] * len(A)
    if out is None:
        out = np.empty((*A.shape[:-1], of_members[0].shape[1]), np.result_type(A.dtype, of_members[0].dtype))
    for A_k, X_k, out_k in zip(A, of_members, out):
        _product_of_members(A_k, X_k, out_k)
    return out


@np.errstate(under="ignore")
def fold_scaling(parameters: Arrays, scaling: Scaling | None) -> Arrays:
    """Fold the scaling into the first layer: the network that predicts the same from unscaled inputs."""
    return parameters if scaling is None else _transform_inputs(parameters, scaling.center, 1 / scaling.scale)


@np.errstate(under="ignore")
def unfold_scaling(parameters: Arrays, scaling: Scaling | None) -> Arrays:
    """Invert `fold_scaling`, up to rounding. Weights of constant features become 0."""
    if scaling is None:
        return parameters
    scale = np.where(np.isfinite(scaling.scale), scaling.scale, 0.0)
    return _transform_inputs(parameters, -scaling.center / scaling.scale, scale)


def _transform_inputs(parameters: Arrays, center: Array, factor: Array) -> Arrays:
    """Return the parameters of the network that computes from X what `parameters` compute from factor (X - center)."""
    W1 = parameters["W1"] * factor.mT  # in float64
    # not W1 @ center: BLAS rounds otherwise on another number of threads
    changed, shift = {"W1": W1}, (W1 * center.mT).sum(axis=-1, keepdims=True)
    if "b1" in parameters:
        changed["b1"] = parameters["b1"] - shift
    else:  # with batch normalisation
        changed["running_mean1"] = parameters["running_mean1"] + shift
    dtype = parameters["W1"].dtype
    return {**parameters, **{name: array.astype(dtype) for name, array in changed.items()}}
