from itertools import pairwise

import numpy as np
import pytest
from reference import central_differences, relative_error

from sklearn_deepnn.network.layers.piecewise import (
    piecewise_linear_backward,
    piecewise_linear_forward,
    sum_by_feature,
)

EDGES = [[-1.0, 0.0, 0.5, 2.0], [], [3.0, 7.0]]  # of three features, the second without bins
M = 9


def bins(edges=EDGES):
    """Return feature, low and width of all bins."""
    rows = [(j, low, high - low) for j, each in enumerate(edges) for low, high in pairwise(each)]
    feature, low, width = zip(*rows)
    return np.array(feature), np.array(low)[:, np.newaxis], np.array(width)[:, np.newaxis]


def draw(*stack, seed=0):
    """Return numbers inside all bins and outside of them, none at an edge."""
    X = np.random.default_rng(seed).uniform(-1.5, 2.5, (*stack, len(EDGES), M))
    X[..., 2, :] = 3 * X[..., 2, :] + 4
    return X


def encoded(X, edges):
    """Return the encoding of numbers (n_features, m), one number at a time."""
    rows = []
    for j, each in enumerate(edges):
        for low, high in pairwise(each):
            rows.append([0.0 if x <= low else 1.0 if x >= high else (x - low) / (high - low) for x in X[j]])
    return np.array(rows)


def test_a_case_worked_out_by_hand():
    X = np.array([[-2.0, -0.5, 0.0, 0.25, 1.25, 9.0], [0.0] * 6, [3.0, 4.0, 5.0, 7.0, 8.0, -1.0]])
    A, _ = piecewise_linear_forward(X, *bins())
    wanted = [
        [0, 0.5, 1, 1, 1, 1],
        [0, 0, 0, 0.5, 1, 1],
        [0, 0, 0, 0, 0.5, 1],
        [0, 0.25, 0.5, 1, 1, 0],
    ]
    np.testing.assert_array_equal(A, wanted)


@pytest.mark.parametrize("stack", [(), (4,)])
def test_numbers_are_encoded_as_one_at_a_time(stack):
    X = draw(*stack)
    A, _ = piecewise_linear_forward(X, *bins())
    wanted = encoded(X, EDGES) if not stack else np.stack([encoded(X_k, EDGES) for X_k in X])
    np.testing.assert_allclose(A, wanted, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("stack", [(), (4,)])
def test_backward_equals_central_differences(stack):
    X, (feature, low, width) = draw(*stack), bins()
    A, cache = piecewise_linear_forward(X, feature, low, width)
    dA = np.random.default_rng(1).normal(size=A.shape)
    wanted = central_differences(lambda X: np.sum(dA * piecewise_linear_forward(X, feature, low, width)[0]), X)
    found = piecewise_linear_backward(dA, cache, feature, width, len(EDGES))
    assert np.count_nonzero(wanted) > M
    assert relative_error(found, wanted) < 1e-7


def test_outside_of_all_bins_nothing_changes():
    X, (feature, low, width) = np.array([[-5.0, 5.0], [0.0, 0.0], [-5.0, 50.0]]), bins()
    A, cache = piecewise_linear_forward(X, feature, low, width)
    np.testing.assert_array_equal(A, [[0, 1]] * 4)
    assert not piecewise_linear_backward(np.ones_like(A), cache, feature, width, len(EDGES)).any()


def test_a_sum_of_rows_is_the_line_that_the_bins_divide():
    feature, low, width = bins([[0.0, 1.0, 3.0, 4.5]])
    X = np.linspace(0, 4.5, M)[np.newaxis]
    A, _ = piecewise_linear_forward(X, feature, low, width)
    np.testing.assert_allclose(width.T @ A, X, rtol=1e-14)


def test_rows_are_summed_by_feature():
    rows = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    np.testing.assert_array_equal(sum_by_feature(rows, np.array([2, 0, 2]), 4), [[10, 20], [0, 0], [101, 202], [0, 0]])
    stacked = sum_by_feature(np.stack([rows, 2 * rows]), np.array([2, 0, 2]), 3)
    np.testing.assert_array_equal(stacked[1], [[20, 40], [0, 0], [202, 404]])


def test_single_precision_stays_and_arguments_stay_as_they_were():
    X = draw().astype(np.float32)
    feature, *others = bins()
    low, width = (array.astype(np.float32) for array in others)
    before = X.copy()
    A, cache = piecewise_linear_forward(X, feature, low, width)
    dA = A.copy()
    assert A.dtype == piecewise_linear_backward(dA, cache, feature, width, len(EDGES)).dtype == np.float32
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(dA, A)
