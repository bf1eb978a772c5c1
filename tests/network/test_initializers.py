from dataclasses import replace

import numpy as np
import pytest

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.initializers import INITIALIZERS
from sklearn_deepnn.network.model import initialize_parameters

N_OUT, N_IN = 300, 200
VARIANCES = {"he": 2 / N_IN, "glorot": 2 / (N_IN + N_OUT), "lecun": 1 / N_IN}
SCALED = {name: VARIANCES[name.split("_")[0]] for name in INITIALIZERS if name.split("_")[0] in VARIANCES}


def draw(name, shape=(N_OUT, N_IN), seed=0):
    return INITIALIZERS[name](shape, np.random.default_rng(seed))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4), (4, 1), (1, 1)])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_have_the_shape_asked_for(name, shape):
    W = draw(name, shape)
    assert W.shape == shape
    assert W.dtype == np.float64
    assert np.isfinite(W).all()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_same_generator_gives_the_same_weights(name):
    np.testing.assert_array_equal(draw(name), draw(name))


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "zeros"])
def test_another_generator_gives_other_weights(name):
    assert not np.array_equal(draw(name), draw(name, seed=1))


@pytest.mark.parametrize("name", SCALED)
def test_weights_have_the_variance_of_the_paper(name):
    W = draw(name)
    assert abs(W.mean()) < 4 * np.sqrt(SCALED[name] / W.size)
    assert W.var() == pytest.approx(SCALED[name], rel=0.03)  # five standard errors of 60 000 normal draws


@pytest.mark.parametrize("name", [name for name in SCALED if name.endswith("uniform")])
def test_uniform_weights_fill_their_interval(name):
    bound = np.sqrt(3 * SCALED[name])
    W = draw(name)
    assert 0.999 * bound < W.max() <= bound
    assert -bound <= W.min() < -0.999 * bound


@pytest.mark.parametrize("name", [name for name in SCALED if name.endswith("normal")])
def test_normal_weights_have_the_kurtosis_of_a_normal_distribution(name):
    W = draw(name)
    assert np.mean(W**4) / W.var() ** 2 == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (7, 7), (1, 5)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    W = draw("orthogonal", shape)
    products = W @ W.T if shape[0] <= shape[1] else W.T @ W
    np.testing.assert_allclose(products, np.eye(min(shape)), atol=1e-14)


def test_orthogonal_draws_have_no_preferred_sign():
    diagonals = [np.diag(draw("orthogonal", (3, 3), seed)) for seed in range(400)]
    assert np.abs(np.mean(diagonals, axis=0)).max() < 0.12  # four standard errors: each entry has variance 1/3


def test_zeros_draw_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert not INITIALIZERS["zeros"]((2, 3), rng).any()
    assert rng.bit_generator.state == before


# Initial parameters.


def test_parameters_have_the_course_s_names_and_shapes():
    parameters = initialize_parameters([4, 5, 3, 1], rng=0)
    shapes = {"W1": (5, 4), "b1": (5, 1), "W2": (3, 5), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    assert {name: array.shape for name, array in parameters.items()} == shapes
    assert parameters.vector.dtype == np.float64
    assert not any(parameters[f"b{l}"].any() for l in (1, 2, 3))


def test_parameters_of_batch_normalisation_start_as_the_identity():
    parameters = initialize_parameters([4, 5, 1], batch_norm=True, rng=0)
    assert set(parameters) == {"W1", "gamma1", "beta1", "running_mean1", "running_variance1", "W2", "b2"}
    assert (parameters["gamma1"] == 1).all()
    assert (parameters["running_variance1"] == 1).all()
    assert not parameters["beta1"].any()
    assert not parameters["running_mean1"].any()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_can_be_asked_for(name):
    parameters, rng = initialize_parameters([4, 5, 3], weight_init=name, rng=0), np.random.default_rng(0)
    np.testing.assert_array_equal(parameters["W1"], INITIALIZERS[name]((5, 4), rng))
    np.testing.assert_array_equal(parameters["W2"], INITIALIZERS[name]((3, 5), rng))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_auto_takes_the_initializer_that_suits_the_activation(name):
    parameters, rng = initialize_parameters([4, 5, 3], activation=name, rng=0), np.random.default_rng(0)
    np.testing.assert_array_equal(parameters["W1"], INITIALIZERS[ACTIVATIONS[name].initializer]((5, 4), rng))
    np.testing.assert_array_equal(parameters["W2"], INITIALIZERS["glorot_uniform"]((3, 5), rng))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_auto_takes_the_initializer_that_an_activation_of_your_own_names(name):
    activation = replace(ACTIVATIONS["relu"], initializer=name)
    parameters = initialize_parameters([4, 5, 6, 3], activation=["tanh", activation], rng=0)
    rng = np.random.default_rng(0)
    for wanted, W, shape in zip(
        ("glorot_uniform", name, "glorot_uniform"), ("W1", "W2", "W3"), ((5, 4), (6, 5), (3, 6))
    ):
        np.testing.assert_array_equal(parameters[W], INITIALIZERS[wanted](shape, rng))


def test_the_draws_are_the_same_for_every_dtype():
    single = initialize_parameters([4, 5, 3], rng=0, dtype=np.float32)
    assert single["W1"].dtype == np.float32
    np.testing.assert_array_equal(single.vector, initialize_parameters([4, 5, 3], rng=0).vector.astype(np.float32))


def test_an_unknown_initializer_is_rejected():
    with pytest.raises(InvalidParameterError, match=r"weight_init must be one of .* or 'auto', got 'random'"):
        initialize_parameters([4, 1], weight_init="random")
