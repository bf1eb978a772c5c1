import re

import numpy as np
import pytest
from scipy import sparse

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.layers import (
    linear_activation_backward,
    linear_activation_forward,
    linear_backward,
    linear_forward,
)
from sklearn_deepnn.network.layers.dense import constant_column

N_IN, N_OUT, M = 4, 3, 6
SPARSE = [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def layer(rng):
    """A_prev, W, b."""
    return rng.normal(size=(N_IN, M)), rng.normal(size=(N_OUT, N_IN)), rng.normal(size=(N_OUT, 1))


@pytest.fixture
def dZ(rng):
    return rng.normal(size=(N_OUT, M))


def slope(function, at, direction, step=1e-6):
    """Return the central difference of a function, a number, along a direction."""
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


def test_linear_forward_is_the_product_plus_the_bias(layer):
    A_prev, W, b = layer
    Z, cache = linear_forward(A_prev, W, b)
    np.testing.assert_allclose(Z, np.einsum("ik,kj->ij", W, A_prev) + b, rtol=1e-13)
    assert cache._fields == ("A_prev", "W", "b")
    assert all(kept is given for kept, given in zip(cache, layer))


def test_linear_forward_without_bias_is_the_product(layer):
    A_prev, W, _ = layer
    Z, _ = linear_forward(A_prev, W, None)
    np.testing.assert_allclose(Z, np.einsum("ik,kj->ij", W, A_prev), rtol=1e-13)


def test_linear_backward_is_the_transposed_products_averaged(layer, dZ):
    A_prev, W, _ = layer
    dA_prev, dW, db = linear_backward(dZ, linear_forward(*layer)[1])
    np.testing.assert_allclose(dA_prev, np.einsum("ik,ij->kj", W, dZ), rtol=1e-13)
    np.testing.assert_allclose(dW, np.einsum("ij,kj->ik", dZ, A_prev) / M, rtol=1e-13)
    np.testing.assert_allclose(db, np.einsum("ij->i", dZ)[:, np.newaxis] / M, rtol=1e-13)


@pytest.mark.parametrize("m", [1, 2 * M])
@pytest.mark.parametrize("container", [np.array, *SPARSE])
def test_the_sums_are_divided_by_the_number_given(layer, dZ, container, m):
    A_prev, W, b = layer
    cache = linear_forward(container(A_prev), W, b)[1]
    for found, mean in zip(linear_backward(dZ, cache, m=m)[1:], linear_backward(dZ, cache)[1:]):
        np.testing.assert_allclose(found, mean * M / m, rtol=1e-12)


def test_linear_backward_without_bias_has_no_db(layer, dZ):
    A_prev, W, _ = layer
    assert linear_backward(dZ, linear_forward(A_prev, W, None)[1])[2] is None


def test_linear_backward_skips_the_gradient_of_the_activations(layer, dZ):
    cache = linear_forward(*layer)[1]
    dA_prev, dW, db = linear_backward(dZ, cache, wrt=("parameters",))
    assert dA_prev is None
    np.testing.assert_array_equal(dW, linear_backward(dZ, cache)[1])
    np.testing.assert_array_equal(db, linear_backward(dZ, cache)[2])


def test_linear_backward_skips_the_gradients_of_the_parameters(layer, dZ):
    cache = linear_forward(*layer)[1]
    dA_prev, dW, db = linear_backward(dZ, cache, wrt=("activations",))
    assert dW is db is None
    np.testing.assert_array_equal(dA_prev, linear_backward(dZ, cache)[0])


@pytest.mark.parametrize("container", [np.array, *SPARSE])
def test_gradients_are_written_where_told(layer, dZ, container):
    A_prev, W, b = layer
    cache = linear_forward(container(A_prev), W, b)[1]
    room = np.full_like(W, np.nan), np.full_like(b, np.nan)
    _, dW, db = linear_backward(dZ, cache, out=room)
    assert dW is room[0]
    assert db is room[1]
    np.testing.assert_array_equal(dW, linear_backward(dZ, cache)[1])
    np.testing.assert_array_equal(db, linear_backward(dZ, cache)[2])


@pytest.mark.parametrize("container", SPARSE)
def test_sparse_input_equals_dense(layer, dZ, container):
    A_prev, W, b = layer
    A_prev = A_prev * (A_prev > 0)
    Z, cache = linear_forward(container(A_prev), W, b)
    dense_Z, dense_cache = linear_forward(A_prev, W, b)
    assert type(Z) is np.ndarray
    assert Z.flags.c_contiguous
    np.testing.assert_allclose(Z, dense_Z, rtol=1e-13)
    for found, wanted in zip(linear_backward(dZ, cache), linear_backward(dZ, dense_cache)):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_forward_is_the_activation_of_the_linear_part(layer, name):
    A, (linear_cache, _) = linear_activation_forward(*layer, name)
    np.testing.assert_array_equal(A, ACTIVATIONS[name].forward(linear_forward(*layer)[0])[0])
    assert linear_cache[0] is layer[0]


@pytest.mark.parametrize("place", [0, 1, 2], ids=["A_prev", "W", "b"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward_equals_central_differences(layer, dZ, rng, name, place):
    def cost(array):
        inputs = [array if i == place else given for i, given in enumerate(layer)]
        return np.sum(dZ * linear_activation_forward(*inputs, name)[0])

    grads = linear_activation_backward(dZ, linear_activation_forward(*layer, name)[1], name)
    direction = rng.normal(size=layer[place].shape)
    examples = 1 if place == 0 else M  # dW and db are averages
    assert np.sum(grads[place] * direction) * examples == pytest.approx(slope(cost, layer[place], direction), rel=1e-7)


def test_activation_backward_passes_its_options_on(layer, dZ):
    room = np.empty((N_OUT, N_IN)), np.empty((N_OUT, 1))
    cache = linear_activation_forward(*layer, "tanh")[1]
    dA_prev, dW, db = linear_activation_backward(dZ, cache, "tanh", out=room, wrt=("parameters",))
    assert dA_prev is None
    assert dW is room[0]
    assert db is room[1]


def test_a_pair_of_functions_is_an_activation(layer, dZ):
    pair = ACTIVATIONS["tanh"].forward, ACTIVATIONS["tanh"].backward
    A, cache = linear_activation_forward(*layer, pair)
    wanted, wanted_cache = linear_activation_forward(*layer, "tanh")
    np.testing.assert_array_equal(A, wanted)
    gradients = linear_activation_backward(dZ, cache, pair), linear_activation_backward(dZ, wanted_cache, "tanh")
    for found, wanted in zip(*gradients):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("activation", ["step", None, (np.tanh,), (np.tanh, "relu")])
def test_what_is_no_activation_is_named(layer, activation):
    with pytest.raises(InvalidParameterError, match=r"activation must be one of .* a pair of functions .*, got "):
        linear_activation_forward(*layer, activation)


def test_the_column_that_all_sums_share_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        constant_column(3, np.dtype(np.float64))[0] = 2


def test_arguments_stay_as_they_were(layer, dZ):
    before = [array.copy() for array in (*layer, dZ)]
    linear_activation_backward(dZ, linear_activation_forward(*layer, "tanh")[1], "tanh")
    for array, copied in zip((*layer, dZ), before):
        np.testing.assert_array_equal(array, copied)


@pytest.mark.parametrize("container", [np.array, *SPARSE])
def test_single_precision_stays(layer, dZ, container):
    A_prev, W, b = (array.astype(np.float32) for array in layer)
    Z, cache = linear_forward(container(A_prev), W, b)
    results = [Z, *linear_backward(dZ.astype(np.float32), cache)]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


@pytest.mark.parametrize("wrong", ["A_prev", "A_prev without columns", "b", "W"])
def test_shapes_that_do_not_fit_are_named(layer, wrong):
    A_prev, W, b = layer
    A_prev = {"A_prev": A_prev.T, "A_prev without columns": A_prev[:, 0]}.get(wrong, A_prev)
    b = b.T if wrong == "b" else b
    W = W[0] if wrong == "W" else W
    rule = "A_prev, W and b must have shapes (n_in, m), (n_out, n_in) and (n_out, 1)"
    message = f"{rule}, got {A_prev.shape}, {W.shape} and {b.shape}."
    for call in (linear_forward, lambda *layer: linear_activation_forward(*layer, "relu")):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(A_prev, W, b)
