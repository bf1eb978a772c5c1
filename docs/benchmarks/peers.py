"""What is compared: one network, trained by this package and by what its users would take instead.

Every function trains a network of ReLU layers with Adam at a constant rate of 0.001, without penalties, for a number of
epochs in batches of one size, and returns what it has trained. `products` trains nothing: it takes the matrix products
of the same steps and no more, which is as fast as NumPy's BLAS could go if all the rest were free; `numpy_by_hand` is
what the calls of a plain step take without anything around them.
"""

import warnings
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from scipy.special import expit
from sklearn.neural_network import MLPClassifier


class Work(NamedTuple):
    """A data set of random numbers and the network to train on it."""

    n_samples: int
    n_features: int
    hidden_layer_dims: tuple
    n_classes: int
    batch_size: int
    n_epochs: int
    dtype: str = "float32"

    def draw(self):
        """Return X and y, whose classes are linear in X."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.n_samples, self.n_features), dtype=self.dtype)
        return X, (X @ rng.standard_normal((self.n_features, self.n_classes), dtype=self.dtype)).argmax(axis=1)

    @property
    def layer_dims(self):
        return self.n_features, *self.hidden_layer_dims, self.n_classes

    @property
    def n_steps(self):
        return self.n_epochs * -(-self.n_samples // self.batch_size)


def sklearn_deepnn(work, X, y):
    from sklearn_deepnn import DeepNNClassifier

    if find_spec("numba"):
        import_module("numba")  # short fits would not import it
    return DeepNNClassifier(
        work.hidden_layer_dims,
        activation="relu",
        learning_rate=0.001,
        learning_rate_schedule="constant",
        batch_size=work.batch_size,
        max_iter=work.n_epochs,
        n_iter_no_change=10**6,
        weight_decay=0.0,
        label_smoothing=0.0,
        max_grad_norm=None,
        weight_averaging=0.0,
        ensemble_size=1,
        numeric_encoding=None,
        scale_inputs=None,
        early_stopping=False,
        random_state=0,
    ).fit(X, y)


@contextmanager
def no_loops():
    """Train without compiled loops during a with block."""

    def no_loop(loop, dtype, n_axes):
        return None

    with (
        patch("sklearn_deepnn.network.kernels.compiled", no_loop),
        patch("sklearn_deepnn.training.updates.compiled", no_loop),
    ):
        yield


@no_loops()
def sklearn_deepnn_without_numba(work, X, y):
    return sklearn_deepnn(work, X, y)


class QuietMLPClassifier(MLPClassifier):
    """MLPClassifier without the warning that it has used up its epochs, which is what it was asked to do."""

    def fit(self, X, y):
        with warnings.catch_warnings(action="ignore"):
            return super().fit(X, y)


def mlp_classifier(work, X, y):
    return QuietMLPClassifier(
        work.hidden_layer_dims,
        alpha=0.0,
        batch_size=work.batch_size,
        max_iter=work.n_epochs,
        n_iter_no_change=10**6,
        random_state=0,
    ).fit(X, y)


def torch_module(work):
    from torch import nn

    layers = []
    for n_in, n_out in pairwise(work.layer_dims):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def torch_loop(work, X, y):
    import torch

    X, y = torch.from_numpy(X), torch.from_numpy(y)
    module = torch_module(work).to(X.dtype)
    optimizer, cross_entropy = torch.optim.Adam(module.parameters(), fused=True), torch.nn.CrossEntropyLoss()
    for _ in range(work.n_epochs):
        for batch in torch.randperm(len(X)).split(work.batch_size):
            optimizer.zero_grad()
            cross_entropy(module(X[batch]), y[batch]).backward()
            optimizer.step()
    return module


def skorch(work, X, y):
    import torch
    from skorch import NeuralNetClassifier

    return NeuralNetClassifier(
        torch_module(work),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.001,
        batch_size=work.batch_size,
        max_epochs=work.n_epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).fit(X.astype(np.float32), y)


def jax_loop(work, X, y):
    import jax
    from jax import numpy as jnp

    def cost(layers, X, y):
        for W, b in layers[:-1]:
            X = jax.nn.relu(X @ W + b)
        W, b = layers[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(X @ W + b), y[:, None], axis=1).mean()

    def step(state, batch):
        layers, m, v, t = state
        grads, t = jax.grad(cost)(layers, X[batch], y[batch]), t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return (jax.tree.map(lambda W, m, v: W - rate * m / (jnp.sqrt(v) + 1e-8), layers, m, v), m, v, t), None

    @jax.jit
    def epoch(state, key):
        n_batches = max(work.n_samples // work.batch_size, 1)  # the last, incomplete batch is left out
        order = jax.random.permutation(key, work.n_samples)
        order = order[: n_batches * work.batch_size].reshape(n_batches, -1)
        return jax.lax.scan(step, state, order)[0]

    X, y = jnp.asarray(X), jnp.asarray(y)
    keys = jax.random.split(jax.random.key(0), len(work.layer_dims))
    layers = [
        (jax.random.normal(key, (n_in, n_out), X.dtype) * np.sqrt(2 / n_in).astype(X.dtype), jnp.zeros(n_out, X.dtype))
        for key, n_in, n_out in zip(keys, work.layer_dims, work.layer_dims[1:])
    ]
    zeros = jax.tree.map(jnp.zeros_like, layers)
    state = layers, zeros, zeros, jnp.zeros((), X.dtype)
    for key in jax.random.split(jax.random.key(1), work.n_epochs):
        state = epoch(state, key)
    return jax.block_until_ready(state)


def products(work, X, y):
    dims, m = work.layer_dims, min(work.batch_size, work.n_samples)
    W = [np.full((n_out, n_in), 0.1, X.dtype) for n_in, n_out in pairwise(dims)]
    dW = [np.empty_like(array) for array in W]
    A = [np.full((m, dims[0]), 0.1, X.dtype).T, *(np.full((n, m), 0.1, X.dtype) for n in dims[1:])]
    dZ = [np.full_like(array, 0.1) for array in A]
    for _ in range(work.n_steps):
        for l in range(len(W)):
            np.matmul(W[l], A[l], out=A[l + 1])
        for l in reversed(range(len(W))):
            np.matmul(dZ[l + 1], A[l].T, out=dW[l])
            if l:
                np.matmul(W[l].T, dZ[l + 1], out=dZ[l])


def numpy_by_hand(work, X, y):
    """Train in one flat loop of NumPy calls, into buffers made beforehand: no functions, no checks, no cost."""
    n_outputs, m, dtype = 1 if work.n_classes == 2 else work.n_classes, min(work.batch_size, work.n_samples), X.dtype
    dims, rng = (*work.layer_dims[:-1], n_outputs), np.random.default_rng(0)
    L = len(dims) - 1
    sizes = [n_in * n_out for n_in, n_out in pairwise(dims)] + list(dims[1:])
    vector, gradient, mean, square, spare = (np.zeros(sum(sizes), dtype) for _ in range(5))

    def views(of):
        parts = np.split(of, np.cumsum(sizes)[:-1])
        return [part.reshape(n, -1) for part, n in zip(parts, dims[1:])], [part.reshape(-1, 1) for part in parts[L:]]

    (W, b), (dW, db) = views(vector), views(gradient)
    for weights in W:
        weights[...] = rng.standard_normal(weights.shape) * np.sqrt(2 / weights.shape[1])
    targets = (y == 1)[np.newaxis] if n_outputs == 1 else np.arange(n_outputs)[:, np.newaxis] == y
    targets = np.ascontiguousarray(targets.T, dtype)
    rooms = {}
    for size in {m, work.n_samples % m} - {0}:
        A = [np.empty((size, dims[0]), dtype).T, *(np.empty((n, size), dtype) for n in dims[1:])]
        dA = [np.empty_like(array) for array in A]
        masks = [np.empty(array.shape, bool) for array in A]
        rooms[size] = A, dA, masks, np.ones((size, 1), dtype), np.empty((size, n_outputs), dtype)
    blocks = [slice(at, at + 2**16) for at in range(0, vector.size, 2**16)]
    t = 0
    for _ in range(work.n_epochs):
        order = rng.permutation(work.n_samples)
        for at in range(0, work.n_samples, m):
            columns, t = order[at : at + m], t + 1
            A, dA, masks, ones, Y = rooms[len(columns)]
            X.take(columns, axis=0, out=A[0].T, mode="clip")
            targets.take(columns, axis=0, out=Y, mode="clip")
            for l in range(L):
                np.dot(W[l], A[l], out=A[l + 1])
                np.add(A[l + 1], b[l], out=A[l + 1])
                if l < L - 1:
                    np.maximum(A[l + 1], 0, out=A[l + 1])
            AL, dZ = A[L], dA[L]
            if n_outputs == 1:
                expit(AL, out=AL)
            else:
                np.subtract(AL, AL.max(axis=0), out=AL)
                np.exp(AL, out=AL)
                np.divide(AL, AL.sum(axis=0), out=AL)
            np.subtract(AL, Y.T, out=dZ)
            np.multiply(dZ, 1 / len(columns), out=dZ)
            for l in reversed(range(L)):
                np.dot(dA[l + 1], A[l].T, out=dW[l])
                np.dot(dA[l + 1], ones, out=db[l])
                if l:
                    np.dot(W[l].T, dA[l + 1], out=dA[l])
                    np.greater(A[l], 0, out=masks[l])
                    A[l][...] = masks[l]  # a product with the mask itself, of another type, takes longer
                    np.multiply(dA[l], A[l], out=dA[l])
            factor = ((1 - 0.999**t) / 0.001) ** 0.5
            rate = 0.001 * 0.1 / (1 - 0.9**t) * factor
            for block in blocks:
                p, g, m_, v, s = (array[block] for array in (vector, gradient, mean, square, spare))
                np.multiply(m_, 0.9, out=m_)
                np.add(m_, g, out=m_)
                np.multiply(v, 0.999, out=v)
                np.multiply(g, g, out=s)
                np.add(v, s, out=v)
                np.sqrt(v, out=s)
                np.add(s, 1e-8 * factor, out=s)
                np.divide(m_, s, out=s)
                np.multiply(s, rate, out=s)
                np.subtract(p, s, out=p)
    return W, b


FITS = {
    "sklearn_deepnn": sklearn_deepnn,
    "sklearn_deepnn without numba": sklearn_deepnn_without_numba,
    "products alone": products,
    "NumPy by hand": numpy_by_hand,
    "MLPClassifier": mlp_classifier,
    "torch": torch_loop,
    "skorch": skorch,
    "JAX": jax_loop,
}
NEEDS = {"sklearn_deepnn without numba": "numba", "torch": "torch", "skorch": "skorch", "JAX": "jax"}


def installed_fits():
    """Return the functions of `FITS` whose packages are installed."""
    return {name: fit for name, fit in FITS.items() if find_spec(NEEDS.get(name, "numpy"))}
