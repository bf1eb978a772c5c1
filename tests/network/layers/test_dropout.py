import numpy as np
import pytest

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.layers import dropout_backward, dropout_forward

RATES = [0.1, 0.5, 0.9]


def drop(A, dropout_rate, seed=0):
    return dropout_forward(A, dropout_rate, np.random.default_rng(seed))


@pytest.mark.parametrize("dropout_rate", RATES)
def test_dropout_drops_the_share_asked_for(dropout_rate):
    A_dropped, _ = drop(np.ones((200, 500)), dropout_rate)
    error = np.sqrt(dropout_rate * (1 - dropout_rate) / A_dropped.size)
    assert abs(np.mean(A_dropped == 0) - dropout_rate) < 4 * error


@pytest.mark.parametrize("dropout_rate", RATES)
def test_dropout_keeps_the_expected_activation(dropout_rate):
    A = np.random.default_rng(1).normal(size=(3, 4))
    rng = np.random.default_rng(0)
    mean = np.mean([dropout_forward(A, dropout_rate, rng)[0] for _ in range(10_000)], axis=0)
    np.testing.assert_allclose(mean, A, rtol=5 * np.sqrt(dropout_rate / (1 - dropout_rate) / 10_000))


@pytest.mark.parametrize("dropout_rate", RATES)
def test_units_are_either_dropped_or_rescaled(dropout_rate):
    A = np.random.default_rng(1).normal(size=(5, 6))
    A_dropped, _ = drop(A, dropout_rate)
    kept = A_dropped != 0
    np.testing.assert_allclose(A_dropped[kept], A[kept] / (1 - dropout_rate), rtol=1e-14)


def test_dropout_at_rate_zero_changes_nothing():
    A = np.random.default_rng(1).normal(size=(5, 6))
    np.testing.assert_array_equal(drop(A, 0.0)[0], A)


def test_each_unit_of_each_example_is_dropped_on_its_own():
    dropped = drop(np.ones((100, 400)), 0.5)[0] == 0
    assert np.abs(dropped.mean(axis=0) - 0.5).max() < 0.25  # five standard errors
    assert np.abs(dropped.mean(axis=1) - 0.5).max() < 0.125
    assert np.abs(np.corrcoef(dropped[:5])[np.triu_indices(5, 1)]).max() < 0.2


def test_the_same_generator_drops_the_same_units():
    A = np.random.default_rng(1).normal(size=(5, 6))
    np.testing.assert_array_equal(drop(A, 0.5)[0], drop(A, 0.5)[0])
    assert not np.array_equal(drop(A, 0.5)[0], drop(A, 0.5, seed=1)[0])


def test_single_and_double_precision_drop_the_same_units():
    A = np.ones((20, 30))
    np.testing.assert_array_equal(drop(A, 0.5)[0], drop(A.astype(np.float32), 0.5)[0])


def test_backward_goes_through_the_units_that_were_kept():
    A, dA = np.random.default_rng(1).normal(size=(2, 5, 6))
    A_dropped, cache = drop(A, 0.5)
    np.testing.assert_allclose(dropout_backward(dA, cache), np.where(A_dropped == 0, 0, 2 * dA), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays_and_arguments_stay_as_they_were(dtype):
    A = np.random.default_rng(1).normal(size=(5, 6)).astype(dtype)
    before = A.copy()
    A_dropped, cache = drop(A, 0.3)
    assert A_dropped.dtype == cache.dtype == dropout_backward(A, cache).dtype == dtype
    np.testing.assert_array_equal(A, before)


@pytest.mark.parametrize("dropout_rate", [1.0, 1.5, -0.1, float("nan"), "half", None, True])
def test_a_bad_rate_is_rejected_by_name_rule_and_value(dropout_rate):
    with pytest.raises(InvalidParameterError, match=r"^dropout_rate must be a number in \[0, 1\), got "):
        drop(np.ones((2, 3)), dropout_rate)
