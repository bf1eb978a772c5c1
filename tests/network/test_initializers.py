import numpy as np
import pytest

from sklearn_deepnn.network.initializers import INITIALIZERS

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
