import copy
import math
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from reference import central_differences, relative_error

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.activations import ACTIVATIONS, Activation, activation_name, find_activation
from sklearn_deepnn.network.architecture import Network
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


# Functions of your own.


def square(Z):
    return Z * Z, Z


def square_backward(dA, cache):
    return dA * 2 * cache


SQUARE = Activation(square, square_backward, "lecun_normal", flat_at=[0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_found_by_its_name_and_by_itself(name):
    activation = ACTIVATIONS[name]
    assert find_activation(name) is find_activation(activation) is activation
    assert activation_name(name) == activation_name(activation) == name


@pytest.mark.parametrize("pair", [(square, square_backward), [square, square_backward]])
def test_an_activation_is_made_of_a_pair_of_functions(pair):
    assert find_activation(pair) == Activation(square, square_backward, "he_normal", ())
    assert activation_name(pair) == activation_name(SQUARE) == "square"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
@pytest.mark.parametrize("activation", [SQUARE, *ACTIVATIONS.values()], ids=activation_name)
def test_copies_of_an_activation_are_equal_to_it(activation, copied):
    assert copied(activation) == activation
    assert hash(copied(activation)) == hash(activation)
    assert replace(activation, flat_at=(7.0,)) != activation


def test_an_activation_is_short_to_read_and_cannot_be_changed():
    assert repr(SQUARE) == "Activation(square, square_backward)"
    assert repr(replace(SQUARE, forward=partial(square))) == "Activation(partial, square_backward)"
    assert SQUARE.flat_at == (0.0,)
    with pytest.raises(AttributeError):
        SQUARE.initializer = "zeros"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, square_backward), "forward of an Activation must be a function, got None"),
        ((square, "relu"), "backward of an Activation must be a function, got 'relu'"),
        ((square, square_backward, "zeros", "low"), "flat_at of an Activation must be a number .*, got 'low'"),
        ((square, square_backward, "zeros", (0, 1, 2)), "flat_at .* must be at most two numbers, got "),
    ],
)
def test_what_makes_no_activation_is_named(arguments, message):
    with pytest.raises(InvalidParameterError, match=message):
        Activation(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((square, square_backward, None), r"initializer of Activation\(square, .* must be one of .*, got None"),
        ((np.tanh, square_backward), r"forward of Activation\(tanh, .* returns A, .* and a cache, got array"),
        ((lambda Z: (Z.sum(), Z), square_backward), r"forward of .* must be .*, of the shape of Z, and a cache, got "),
        (
            (lambda Z: (Z.tolist(), Z), square_backward),
            r"forward of .* must be .*, of the shape of Z, and a cache, got ",
        ),
        (
            (lambda: 0, square_backward),
            r"forward of .* must be a function of Z that .*: .* takes 0 positional arguments",
        ),
        (
            (square, lambda dA: dA),
            r"backward of .* must be a function of dA and the cache .*: .* takes 1 positional arg",
        ),
        ((square, lambda dA, cache: None), r"backward of .* must be .* returns dZ, of the shape of dA, got None"),
        ((square, lambda dA, cache: dA[:1]), r"backward of .* must be .* returns dZ, of the shape of dA, got array"),
    ],
)
def test_a_network_names_what_does_not_fit_in_an_activation(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network((4, 5, 1), activation=Activation(*arguments))


@pytest.mark.parametrize("value", ["step", 3, None, (square,), (square, 3), (square, square, square)])
def test_what_stands_for_no_activation_is_named(value):
    with pytest.raises(InvalidParameterError, match=r"activation must be one of \['relu', .*, got "):
        find_activation(value)
