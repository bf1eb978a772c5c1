import math

import numpy as np
import pytest
from reference import central_differences, relative_error

from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.initializers import INITIALIZERS

EXTREMES = np.array([[0.0, 1e-30, -1e-30, 1e4, -1e4, 3e38, -3e38]])
AT_MINUS_ONE_ZERO_TWO = {
    "relu": (0, 0, 2),
    "leaky_relu": (-0.01, 0, 2),
    "elu": (math.exp(-1) - 1, 0, 2),
    "selu": (1.0507009873554805 * 1.6732632423543772 * (math.exp(-1) - 1), 0, 2 * 1.0507009873554805),
    "gelu": (-math.erfc(1 / math.sqrt(2)) / 2, 0, 2 - math.erfc(2 / math.sqrt(2))),
    "silu": (-1 / (1 + math.e), 0, 2 / (1 + math.exp(-2))),
    "mish": (-math.tanh(math.log(1 + math.exp(-1))), 0, 2 * math.tanh(math.log(1 + math.exp(2)))),
    "softplus": (math.log(1 + math.exp(-1)), math.log(2), math.log(1 + math.exp(2))),
    "tanh": (-math.tanh(1), 0, math.tanh(2)),
    "sigmoid": (1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-2))),
    "identity": (-1, 0, 2),
}


def draw(*shape, seed=0):
    """Return numbers on both sides of zero, none so near to it that a difference would straddle a kink."""
    Z = np.random.default_rng(seed).normal(0, 2, shape)
    return Z + np.copysign(0.01, Z)


@pytest.mark.parametrize("name", AT_MINUS_ONE_ZERO_TWO)
def test_activations_have_the_values_worked_out_by_hand(name):
    A, _ = ACTIVATIONS[name].forward(np.array([[-1.0, 0.0, 2.0]]))
    np.testing.assert_allclose(A, [AT_MINUS_ONE_ZERO_TWO[name]], rtol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_equals_central_differences(name):
    activation, Z, dA = ACTIVATIONS[name], draw(5, 8), draw(5, 8, seed=1)
    dZ = activation.backward(dA, activation.forward(Z)[1])
    assert relative_error(dZ, central_differences(lambda at: np.sum(dA * activation.forward(at)[0]), Z)) < 1e-7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_extreme_inputs_give_finite_results_without_warning(name, dtype):
    activation = ACTIVATIONS[name]
    Z = EXTREMES.astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        A, cache = activation.forward(Z)
        dZ = activation.backward(np.ones_like(Z), cache)
    assert np.isfinite(A).all()
    assert np.isfinite(dZ).all()
    assert np.abs(dZ).max() < 2  # no activation here is steeper


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_single_precision_agrees_with_double(name):
    activation, Z = ACTIVATIONS[name], draw(4, 50)
    single, single_cache = activation.forward(Z.astype(np.float32))
    double, double_cache = activation.forward(Z)
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=1e-6)
    ones = np.ones_like(Z)
    np.testing.assert_allclose(
        activation.backward(ones.astype(np.float32), single_cache),
        activation.backward(ones, double_cache),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_shape_and_dtype_stay(name, dtype):
    activation, Z = ACTIVATIONS[name], draw(3, 4).astype(dtype)
    A, cache = activation.forward(Z)
    dZ = activation.backward(np.ones_like(Z), cache)
    assert (A.dtype, A.shape) == (dtype, Z.shape)
    assert (dZ.dtype, dZ.shape) == (dtype, Z.shape)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_arguments_stay_as_they_were(name):
    activation, Z, dA = ACTIVATIONS[name], draw(3, 4), draw(3, 4, seed=1)
    Z_before, dA_before = Z.copy(), dA.copy()
    A, cache = activation.forward(Z)
    A_before = A.copy()
    activation.backward(dA, cache)
    np.testing.assert_array_equal(Z, Z_before)
    np.testing.assert_array_equal(dA, dA_before)
    np.testing.assert_array_equal(A, A_before)


def test_selu_keeps_mean_zero_and_variance_one():
    A, _ = ACTIVATIONS["selu"].forward(np.random.default_rng(0).standard_normal((1, 200_000)))
    assert abs(A.mean()) < 0.01
    assert abs(A.var() - 1) < 0.02


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_names_an_initializer(name):
    assert ACTIVATIONS[name].initializer in INITIALIZERS
