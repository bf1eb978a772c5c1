"""Compiled loops beside the NumPy functions that they stand in for."""

from importlib.util import find_spec

import numpy as np
import pytest

from sklearn_deepnn.network import kernels
from sklearn_deepnn.network.activations import ACTIVATIONS, Activation
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.layers.dense import linear_activation_backward, linear_activation_forward

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
MODES = ["plain", pytest.param("compiled", marks=needs_numba)]
SHAPES = [(3, 5), (1, 1), (7, 33), (2, 3, 5), (4, 1, 16)]


@pytest.fixture(params=MODES)
def mode(request, monkeypatch):
    """Let loops run as plain Python, or compiled."""
    if request.param == "plain":
        monkeypatch.setattr(kernels, "compiled", lambda loop, dtype, n_axes: loop)
    return request.param


def numbers(shape, dtype, seed=0):
    """Return numbers of all sizes: zeros, subnormal, ordinary and large ones, of both signs."""
    rng, limits = np.random.default_rng(seed), np.finfo(dtype)
    ordinary = rng.normal(0, 3, shape)
    special = np.array([0.0, -0.0, limits.tiny / 8, -limits.tiny / 8, 1e30, -1e30, 50.0, -50.0, 200.0, -200.0])
    return np.where(rng.random(shape) < 0.3, rng.choice(special, shape), ordinary).astype(dtype)


def bias(Z):
    return numbers((*Z.shape[:-1], 1), Z.dtype, seed=1)


# Activations.


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", kernels.LOOPS)
def test_a_compiled_activation_computes_the_same_bits(name, dtype, shape, mode):
    slow, Z = ACTIVATIONS[name], numbers(shape, dtype)
    b, dA = bias(Z), numbers(shape, dtype, seed=2)
    fast = kernels.compiled_activation(name, np.dtype(dtype), Z.ndim)
    assert fast is not name
    with np.errstate(all="ignore"):
        A, cache = slow.forward(Z + b)
        A_fast, cache_fast = fast.forward(Z + b) if fast.biased_forward is None else fast.biased_forward(Z.copy(), b)
        dZ, dZ_fast = slow.backward(dA, cache), fast.backward(dA, cache_fast)
    for computed, wanted in ((A_fast, A), (dZ_fast, dZ)):
        assert computed.dtype == dtype
        np.testing.assert_array_equal(computed, wanted)


@pytest.mark.parametrize("name", kernels.LOOPS)
def test_a_compiled_activation_passes_nan_on(name, mode):
    fast, Z = kernels.compiled_activation(name, np.dtype(float), 2), np.array([[np.nan, 1.0]])
    A, _ = fast.forward(Z) if fast.biased_forward is None else fast.biased_forward(Z.copy(), np.zeros((1, 1)))
    assert np.isnan(A).tolist() == [[True, False]]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_layer_is_the_same_with_compiled_loops(name, mode):
    rng = np.random.default_rng(0)
    A_prev, W, b, dA = (rng.normal(size=shape) for shape in ((4, 9), (3, 4), (3, 1), (3, 9)))
    b.flags.writeable = False  # as in memory maps
    results = []
    for activation in (name, kernels.compiled_activation(name, np.dtype(float), 2)):
        A, cache = linear_activation_forward(A_prev, W, b, activation)
        results.append([A, *linear_activation_backward(dA, cache, activation)])
    for slow, fast in zip(*results):
        np.testing.assert_array_equal(fast, slow)


def test_the_backward_of_a_compiled_activation_takes_any_order(mode):
    dA, A = np.asfortranarray(numbers((5, 6), np.float64)), np.abs(numbers((5, 6), np.float64, seed=3))
    fast = kernels.compiled_activation("relu", np.dtype(float), 2)
    np.testing.assert_array_equal(fast.backward(dA, A), ACTIVATIONS["relu"].backward(dA, A))


def test_activations_of_your_own_stay_as_they_are():
    own = Activation(lambda Z: (Z, None), lambda dA, cache: dA)
    for activation in (own, (own.forward, own.backward), "identity"):
        assert kernels.compiled_activation(activation, np.dtype(float), 2) is activation


def test_arrays_that_cannot_be_compiled_for_stay_with_numpy():
    network = Network((3, 4, 2), activation="relu")
    assert kernels.compiled_network(network, np.dtype(np.longdouble)) == network
