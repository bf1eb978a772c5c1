"""Dead and saturated units, on cases worked by hand."""

import numpy as np
import pytest

from sklearn_deepnn.activations import ACTIVATIONS
from sklearn_deepnn.diagnosis import dead_units, saturated_units


def test_units_that_are_zero_for_all_examples_are_dead():
    A = np.array([[0.0, 0.0, 0.0], [0.0, 1e-30, 0.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(dead_units(A, "relu"), [True, False, False])


@pytest.mark.parametrize(("activation", "low", "high"), [("tanh", -1.0, 1.0), ("sigmoid", 0.0, 1.0)])
def test_units_near_a_bound_for_95_percent_of_examples_are_saturated(activation, low, high):
    near, far = 0.009 * (high - low), 0.011 * (high - low)
    A = np.full((5, 100), high - near)
    A[0, :5] = (low + high) / 2  # 95 of 100 are near
    A[1, :6] = (low + high) / 2
    A[2, ::2] = low + near  # near one bound or the other
    A[3] = high - far
    A[4] = low + far
    np.testing.assert_array_equal(saturated_units(A, activation), [True, False, True, False, False])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("units", [dead_units, saturated_units])
def test_members_of_an_ensemble_are_told_apart(units, activation):
    A = np.random.default_rng(0).choice([-1.0, 0.0, 0.5, 1.0], size=(3, 4, 2))
    if activation in ("relu", "sigmoid"):
        A = np.abs(A)
    found = units(A, activation)
    assert (found.shape, found.dtype) == ((3, 4), bool)
    np.testing.assert_array_equal(found, [units(member, activation) for member in A])


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name not in ("relu", "tanh", "sigmoid")])
def test_other_activations_have_neither(activation):
    A = np.zeros((2, 3))
    assert not dead_units(A, activation).any()
    assert not saturated_units(A, activation).any()


@pytest.mark.parametrize("units", [dead_units, saturated_units])
def test_unknown_activations_are_refused(units):
    with pytest.raises(ValueError, match="activation must be one of"):
        units(np.zeros((2, 3)), "step")
