import math
import pickle
from functools import partial

import pytest

from sklearn_deepnn.training.schedules import SCHEDULES, cosine, warm_up

RATE, N_STEPS = 0.5, 90
FRACTIONS = {  # step -> fraction of the rate
    "constant": {0: 1, 45: 1, 90: 1, 900: 1},
    "cosine": {0: 1, 45: 0.505, 90: 0.01, 900: 0.01},
    "warm_up_cosine": {0: 1 / 9, 9: 0.01 + 0.99 * (1 + math.cos(math.pi / 10)) / 2, 45: 0.505, 90: 0.01, 900: 0.01},
    "one_cycle": {0: 0.04, 27: 1, 90: 1e-4, 900: 1e-4},
    "step": {0: 1, 29: 1, 30: 0.1, 59: 0.1, 60: 0.01, 90: 0.01, 900: 0.01},
    "exponential": {0: 1, 45: 0.1, 90: 0.01, 180: 1e-4},
    "inverse_scaling": {0: 1, 3: 1 / 2, 99: 1 / 10, 9999: 1 / 100},
}
STEPS = [0, 1, 2, 8, 9, 26, 27, 28, 45, 89, 90, 91, 900]


def schedule(name, learning_rate=RATE, n_steps=N_STEPS):
    return partial(SCHEDULES[name], learning_rate=learning_rate, n_steps=n_steps)


@pytest.mark.parametrize("name", FRACTIONS)
def test_schedules_equal_values_calculated_by_hand(name):
    rates = {step: schedule(name)(step) / RATE for step in FRACTIONS[name]}
    assert rates == pytest.approx(FRACTIONS[name], rel=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_python_floats_which_leave_float32_parameters_float32(name):
    assert {type(schedule(name)(step)) for step in STEPS} == {float}


@pytest.mark.parametrize("n_steps", [1, 2, 3, N_STEPS])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_positive_and_at_most_the_learning_rate(name, n_steps):
    for step in range(10 * n_steps):
        assert 0 < schedule(name, n_steps=n_steps)(step) <= RATE * (1 + 1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_scale_with_the_learning_rate(name):
    for step in STEPS:
        assert schedule(name, learning_rate=2 * RATE)(step) == pytest.approx(2 * schedule(name)(step), rel=1e-14)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_can_be_pickled(name):
    again = pickle.loads(pickle.dumps(schedule(name)))
    assert [again(step) for step in STEPS] == [schedule(name)(step) for step in STEPS]


def test_warm_up_increases_linearly_and_then_equals_the_schedule():
    warm = partial(warm_up, schedule=schedule("constant"), warm_up_steps=4)
    assert [warm(step) / RATE for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_warm_up_scales_any_schedule():
    warm = partial(warm_up, schedule=partial(cosine, learning_rate=1.0, n_steps=10), warm_up_steps=2)
    assert warm(0) == pytest.approx(0.5)
    assert warm(7) == cosine(7, learning_rate=1.0, n_steps=10)
