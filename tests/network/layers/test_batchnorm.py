import numpy as np
import pytest

from sklearn_deepnn.network.layers import EPSILON, batchnorm_backward, batchnorm_forward

N, M = 3, 7


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def inputs(rng):
    """Z, gamma, beta."""
    return rng.normal(2, 3, (N, M)), rng.uniform(0.5, 2, (N, 1)), rng.normal(size=(N, 1))


@pytest.fixture
def weight(rng):
    weight = rng.uniform(0.1, 3, M)
    return weight / weight.mean()


@pytest.fixture
def statistics(rng):
    return rng.normal(size=(N, 1)), rng.uniform(0.5, 2, (N, 1))


def slope(function, at, direction, step=1e-6):
    """Return the central difference of a function, a number, along a direction."""
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


def test_each_unit_has_the_mean_and_deviation_that_it_was_given(inputs):
    Z, gamma, beta = inputs
    Z_tilde, _ = batchnorm_forward(*inputs)
    variance = Z.var(axis=1, keepdims=True)
    np.testing.assert_allclose(Z_tilde.mean(axis=1, keepdims=True), beta, rtol=1e-12)
    np.testing.assert_allclose(
        Z_tilde.std(axis=1, keepdims=True), gamma * np.sqrt(variance / (variance + EPSILON)), rtol=1e-12
    )


def test_the_cache_has_the_statistics_of_the_batch(inputs):
    _, cache = batchnorm_forward(*inputs)
    np.testing.assert_allclose(cache.mean, inputs[0].mean(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(cache.variance, inputs[0].var(axis=1, keepdims=True), rtol=1e-12)


def test_given_statistics_are_used(inputs, statistics):
    (Z, gamma, beta), (mean, variance) = inputs, statistics
    Z_tilde, _ = batchnorm_forward(*inputs, statistics=statistics)
    np.testing.assert_allclose(Z_tilde, gamma * (Z - mean) / np.sqrt(variance + 1e-5) + beta, rtol=1e-12)


def test_units_that_are_constant_become_beta(inputs):
    _, gamma, beta = inputs
    Z_tilde, cache = batchnorm_forward(np.full((N, M), 3.0), gamma, beta)
    np.testing.assert_allclose(Z_tilde, np.broadcast_to(beta, (N, M)), atol=1e-12)
    assert np.isfinite(batchnorm_backward(np.ones((N, M)), cache)[0]).all()


def test_given_statistics_win_over_weights(inputs, statistics, weight):
    weighted, _ = batchnorm_forward(*inputs, statistics=statistics, sample_weight=weight)
    np.testing.assert_array_equal(weighted, batchnorm_forward(*inputs, statistics=statistics)[0])


@pytest.mark.parametrize("kind", ["batch", "weighted", "given"])
@pytest.mark.parametrize("place", [0, 1, 2], ids=["Z", "gamma", "beta"])
def test_backward_equals_central_differences(inputs, statistics, weight, rng, place, kind):
    options = {"batch": {}, "weighted": {"sample_weight": weight}, "given": {"statistics": statistics}}[kind]
    dZ_tilde = rng.normal(size=(N, M))

    def cost(array):
        arrays = [array if i == place else given for i, given in enumerate(inputs)]
        return np.sum(dZ_tilde * batchnorm_forward(*arrays, **options)[0])

    grads = batchnorm_backward(dZ_tilde, batchnorm_forward(*inputs, **options)[1])
    direction = rng.normal(size=inputs[place].shape)
    assert np.sum(grads[place] * direction) == pytest.approx(slope(cost, inputs[place], direction), rel=1e-7)


def test_weights_equal_repetition(inputs, rng):
    Z, gamma, beta = inputs
    copies = rng.integers(1, 4, M)
    weight = copies / copies.mean()
    dZ_tilde = rng.normal(size=(N, M))
    Z_tilde, cache = batchnorm_forward(Z, gamma, beta, sample_weight=weight)
    repeated_Z_tilde, repeated_cache = batchnorm_forward(np.repeat(Z, copies, axis=1), gamma, beta)
    np.testing.assert_allclose(np.repeat(Z_tilde, copies, axis=1), repeated_Z_tilde, rtol=1e-11)
    np.testing.assert_allclose(cache.mean, repeated_cache.mean, rtol=1e-12)
    np.testing.assert_allclose(cache.variance, repeated_cache.variance, rtol=1e-12)
    dZ, dgamma, dbeta = batchnorm_backward(dZ_tilde * weight, cache)
    wanted_dZ, wanted_dgamma, wanted_dbeta = batchnorm_backward(np.repeat(dZ_tilde, copies, axis=1), repeated_cache)
    np.testing.assert_allclose(np.repeat(dZ / weight, copies, axis=1), wanted_dZ, rtol=1e-10)
    np.testing.assert_allclose(dgamma * copies.mean(), wanted_dgamma, rtol=1e-11)
    np.testing.assert_allclose(dbeta * copies.mean(), wanted_dbeta, rtol=1e-11)


def test_the_size_of_the_weights_does_not_matter_to_the_statistics(inputs, weight):
    found, _ = batchnorm_forward(*inputs, sample_weight=5 * weight)
    np.testing.assert_allclose(found, batchnorm_forward(*inputs, sample_weight=weight)[0], rtol=1e-12)


def test_a_gradient_along_what_normalising_removes_vanishes(inputs):
    Z_tilde, cache = batchnorm_forward(*inputs)
    dZ, _, _ = batchnorm_backward(np.ones((N, M)), cache)
    np.testing.assert_allclose(dZ, 0, atol=1e-14)
    dZ, _, _ = batchnorm_backward(Z_tilde, cache)
    np.testing.assert_allclose(dZ, 0, atol=1e-5)  # up to epsilon


def test_gradients_are_written_where_told(inputs, rng):
    dZ_tilde, cache = rng.normal(size=(N, M)), batchnorm_forward(*inputs)[1]
    room = np.empty((N, 1)), np.empty((N, 1))
    _, dgamma, dbeta = batchnorm_backward(dZ_tilde, cache, out=room)
    assert dgamma is room[0]
    assert dbeta is room[1]
    for written, wanted in zip(room, batchnorm_backward(dZ_tilde, cache)[1:]):
        np.testing.assert_array_equal(written, wanted)


@pytest.mark.parametrize("weighted", [False, True])
def test_single_precision_stays_and_arguments_stay_as_they_were(inputs, weight, weighted):
    inputs = [array.astype(np.float32) for array in inputs]
    weight = weight.astype(np.float32) if weighted else None
    before = [array.copy() for array in inputs]
    Z_tilde, cache = batchnorm_forward(*inputs, sample_weight=weight)
    results = [Z_tilde, cache.mean, cache.variance, *batchnorm_backward(inputs[0], cache)]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    for array, copied in zip(inputs, before):
        np.testing.assert_array_equal(array, copied)
