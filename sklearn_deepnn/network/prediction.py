"""Prediction: the same forward pass as in training, in chunks of examples, over threads.

Conventions: columns are examples. `X` is an ndarray or a sparse array (n_0, n). `columns` are the numbers of the
examples asked for, (m,), or (ensemble_size, m) for each member of an ensemble; by default all. A chunk is a slice of
these examples.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike

from ..compilation import is_loaded
from ..threads import SINGLE_THREADED_BLAS, ThreadPool, allowed_threads
from ..typing import Array, Arrays, Columns, Inputs
from .architecture import Network
from .encoding import EncodedInputs
from .kernels import compiled_network
from .model import logits_forward
from .scaling import ScaledSparse

T = TypeVar("T")

# Predictions are made in chunks that fit into the processor's cache, which is faster and saves memory.
# Most numbers in a chunk's widest layer, 2 MB. With 1 MB, ensembles take 1.1 to 1.4 times as long; with 4 MB, some take
# 1.7 times as long. Numbers of float64 count twice, here and in CHUNK_COLUMNS.
CHUNK_ELEMENTS = 2**19
# Most examples in a chunk. Threads wait for Python's lock between operations: with 64 features and 100 units, chunks of
# 2048 take up to 1.3 times as long. Unequal shares of two threads take longer still: 6000 examples in chunks of 5120
# and 880 take up to 1.5 times as long as in two equal ones.
CHUNK_COLUMNS = 5120
REGISTER = 16  # numbers that BLAS multiplies at once: chunks of 223 examples take 1.05 times as long as chunks of 224
MANY_COLUMNS = 1024  # examples from which compiled loops pay


def map_logits(
    function: Callable[[slice, Array], T], X: Inputs, parameters: Arrays, network: Network, columns: Array | None = None
) -> list[T]:
    """Return what function(chunk, ZL) returns for the logits ZL of each chunk of X, in order."""
    widest = max(network.layer_dims if is_dense(X) else network.layer_dims[1:]) * network.ensemble_size
    dtypes = {array.dtype for array in parameters.values()}
    if X.shape[1] >= MANY_COLUMNS and is_loaded() and len(dtypes) == 1:
        network = compiled_network(network, dtypes.pop())

    def predict(chunk: slice, A0: Inputs) -> T:
        ZL, _ = logits_forward(A0, parameters, network, keeps_caches=False)
        return function(chunk, ZL)

    return map_chunks(predict, X, parameters["W1"].dtype, widest, columns)


def map_chunks(
    function: Callable[[slice, Inputs], T], X: Inputs, dtype: DTypeLike | None, width: int, columns: Array | None = None
) -> list[T]:
    """Return what function(chunk, A0) returns for each chunk of X, in order. Threads share the chunks of a dense X."""
    n = X.shape[1] if columns is None else columns.shape[-1]
    bytes_of_number = np.dtype(dtype or np.float64).itemsize
    size = max(min(CHUNK_COLUMNS, CHUNK_ELEMENTS // width) * 4 // bytes_of_number // REGISTER * REGISTER, 64)
    if n > size:  # equal chunks, if possible an even number: two threads end at about the same time
        n_chunks = 2 * math.ceil(n / (2 * size))
        size = math.ceil(n / n_chunks / REGISTER) * REGISTER

    def work(chunk: slice) -> T:
        return function(chunk, take_columns(X, chunk if columns is None else columns[..., chunk], dtype))

    chunks = [slice(start, min(start + size, n)) for start in range(0, max(n, 1), size)]
    if len(chunks) > 1:
        keep_freed_memory()
    if len(chunks) == 1 or not is_dense(X):  # sparse products hold Python's lock
        return [work(chunk) for chunk in chunks]
    with SINGLE_THREADED_BLAS.hold(), ThreadPool(min(allowed_threads(), len(chunks))) as pool:
        return pool.map(work, chunks)


def is_dense(X: Inputs) -> bool:
    """Say whether the network gets dense inputs."""
    return isinstance(X, (np.ndarray, EncodedInputs))


def take_columns(X: Inputs, columns: Columns, dtype: DTypeLike | None) -> Inputs:
    """Return the examples of X that a slice or an array of numbers selects, as dtype. X as a whole is not copied."""
    if isinstance(X, EncodedInputs):
        taken = take_columns(X.X, columns, None)
        taken = np.stack([of_member.toarray() for of_member in taken]) if isinstance(taken, list) else taken
        return X.encoding.apply(taken, dtype or np.float64)
    if isinstance(X, ScaledSparse):
        return ScaledSparse(take_columns(X.X, columns, dtype), X.scaling)
    dense, per_member = isinstance(X, np.ndarray), np.ndim(columns) == 2
    if per_member and not dense:
        return [take_columns(X, of_member, dtype) for of_member in columns]
    if isinstance(columns, slice) or not dense:
        taken = X[:, columns]
    elif X.flags.f_contiguous:
        taken = X.T.take(columns, axis=0).mT  # gathers rows in 2 us; X.take(columns, axis=1) copies all of X first
    else:
        taken = X.take(columns, axis=1) if X.flags.c_contiguous else X[:, columns]
        taken = np.moveaxis(taken, 0, -2) if per_member else taken
    return taken if dtype is None or taken.dtype == dtype else taken.astype(dtype)


def check_finite(array: Array) -> None:
    """Raise if what a network computes from finite inputs is not finite."""
    if not np.isfinite(array).all():
        raise ValueError(f"X has values too large for this network, which computes in {array.dtype}.")


def keep_freed_memory() -> None:
    """Make malloc keep freed memory for later arrays instead of returning it to the system."""
    np.empty(2**23, np.uint8)
