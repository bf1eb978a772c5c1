import numpy as np
import pytest
from reference import central_differences, relative_error

from sklearn_deepnn.training.optimizers import update_parameters
from sklearn_deepnn.training.regularizers import clip_by_global_norm, decay_weights, l2_gradient, l2_penalty

DECAY = 0.3


@pytest.fixture
def weights():
    return np.random.default_rng(0).normal(size=12)


def test_penalty_is_half_the_sum_of_squares_times_the_weight_decay():
    assert l2_penalty(np.array([3.0, -4.0]), 0.1) == pytest.approx(1.25)


def test_l2_gradient_is_the_gradient_of_the_penalty(weights):
    slopes = central_differences(lambda at: l2_penalty(at, DECAY), weights)
    assert relative_error(l2_gradient(weights, DECAY), slopes) < 1e-7


def test_weight_decay_equals_a_step_of_gradient_descent_on_the_penalty(weights):
    step = update_parameters(weights, l2_gradient(weights, DECAY), learning_rate=0.2)
    np.testing.assert_allclose(decay_weights(weights, DECAY, 0.2), step, rtol=1e-14)


def test_weights_decay_to_zero_but_not_beyond(weights):
    np.testing.assert_array_equal(decay_weights(weights, 3.0, 0.5), 0)


def test_clipping_does_not_change_short_gradients():
    gradient = np.array([0.3, -0.4])
    np.testing.assert_array_equal(clip_by_global_norm(gradient, 0.6), gradient)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_clipping_scales_long_gradients_to_the_norm_and_keeps_their_direction(size, dtype):
    gradient = np.random.default_rng(0).normal(0, size, 50).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        clipped = clip_by_global_norm(gradient, 0.1 * size)
    exact = gradient.astype(np.float64)
    assert clipped.dtype == dtype
    np.testing.assert_allclose(clipped, exact * (0.1 * size / np.linalg.norm(exact)), rtol=10 * np.finfo(dtype).eps)


def test_clipping_accepts_a_gradient_of_zeros():
    np.testing.assert_array_equal(clip_by_global_norm(np.zeros(3), 1.0), np.zeros(3))


@pytest.mark.parametrize(
    "shrink",
    [
        lambda vector, **out: decay_weights(vector, DECAY, 0.2, **out),
        lambda vector, **out: clip_by_global_norm(vector, 0.5, **out),
    ],
    ids=["decay_weights", "clip_by_global_norm"],
)
def test_out_receives_the_result_and_may_be_the_argument(shrink, weights):
    before = weights.copy()
    expected = shrink(weights)
    np.testing.assert_array_equal(weights, before)
    assert shrink(weights, out=weights) is weights
    np.testing.assert_array_equal(weights, expected)
