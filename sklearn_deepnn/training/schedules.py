"""Learning-rate schedules: functions of the step.

Conventions: a schedule is any callable that takes the number of updates made so far (0 before the first) and returns
the learning rate of the next one. The functions here take the step first and their settings after it; fix the settings
with `functools.partial` and what is left is a schedule that prints, compares and pickles, which a closure would not:

>>> from functools import partial
>>> schedule = partial(warm_up, schedule=partial(cosine, learning_rate=0.1, n_steps=100), warm_up_steps=10)
>>> [round(schedule(step), 4) for step in (0, 9, 10, 50, 100)]
[0.01, 0.098, 0.0976, 0.0505, 0.001]
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

Schedule: TypeAlias = Callable[[int], float]
ScheduleName: TypeAlias = Literal[
    "constant", "cosine", "warm_up_cosine", "one_cycle", "step", "exponential", "inverse_scaling"
]


def constant(step: int, learning_rate: float, n_steps: int | None = None) -> float:
    """Keep the rate: learning_rate at every step.

    Parameters
    ----------
    step : int
        Updates made so far.
    learning_rate : float
    n_steps : int, optional
        Not used; all schedules can be called alike.

    Returns
    -------
    float
    """
    return learning_rate


def cosine(step: int, learning_rate: float, n_steps: int, final_fraction: float = 0.01) -> float:
    """Fall along half a cosine: from learning_rate to final_fraction of it at step n_steps, and stay there.

    Parameters
    ----------
    step : int
        Updates made so far.
    learning_rate : float
        The rate of the first step.
    n_steps : int
        Length of the fall.
    final_fraction : float, default=0.01
        Not 0: training that goes on past the horizon (`partial_fit`) would learn nothing, and nobody would notice.

    Returns
    -------
    float

    References
    ----------
    .. [1] Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", ICLR.
    """
    progress = min(step / n_steps, 1.0)
    return learning_rate * (final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * progress)) / 2)


def one_cycle(
    step: int,
    learning_rate: float,
    n_steps: int,
    rise_fraction: float = 0.3,
    start_fraction: float = 0.04,
    final_fraction: float = 1e-4,
) -> float:
    """Rise along half a cosine to learning_rate in the first part of n_steps, then fall along another to next to none.

    Parameters
    ----------
    step : int
        Updates made so far.
    learning_rate : float
        The highest rate.
    n_steps : int
        Length of the cycle.
    rise_fraction : float, default=0.3
        Share of the steps that rise.
    start_fraction, final_fraction : float, default=0.04, 1e-4
        First and last rate, as shares of learning_rate.

    Returns
    -------
    float

    References
    ----------
    .. [1] Smith, Topin (2018), "Super-convergence: very fast training of neural networks using large learning rates",
       arXiv:1708.07120.
    """
    top = rise_fraction * n_steps
    if step < top:
        low, progress = start_fraction, step / top
    else:
        low, progress = final_fraction, 1 - min((step - top) / (n_steps - top), 1.0)
    return learning_rate * (low + (1 - low) * (1 - math.cos(math.pi * progress)) / 2)


def step_decay(step: int, learning_rate: float, n_steps: int, factor: float = 0.1, n_drops: int = 2) -> float:
    """Drop by a factor at equal distances: learning_rate * factor ** (drops made so far).

    Parameters
    ----------
    step : int
        Updates made so far.
    learning_rate : float
    n_steps : int
        The horizon, which n_drops drops part into n_drops + 1 pieces of equal length.
    factor : float, default=0.1
    n_drops : int, default=2

    Returns
    -------
    float
    """
    return learning_rate * factor ** min(step * (n_drops + 1) // n_steps, n_drops)


def exponential(step: int, learning_rate: float, n_steps: int, final_fraction: float = 0.01) -> float:
    """Fall by the same factor at each step: learning_rate * final_fraction ** (step / n_steps).

    Parameters
    ----------
    step : int
        Updates made so far.
    learning_rate : float
    n_steps : int
        Steps after which final_fraction of the rate is left.
    final_fraction : float, default=0.01

    Returns
    -------
    float
    """
    return learning_rate * final_fraction ** (step / n_steps)


def inverse_scaling(step: int, learning_rate: float, n_steps: int | None = None, power: float = 0.5) -> float:
    """Fall with a power of the step: learning_rate / (step + 1) ** power.

    Parameters
    ----------
    step : int
        Updates made so far.
    learning_rate : float
    n_steps : int, optional
        Not used: the schedule needs no horizon.
    power : float, default=0.5

    Returns
    -------
    float
    """
    return learning_rate / (step + 1) ** power


def warm_up(step: int, schedule: Schedule, warm_up_steps: float) -> float:
    """Rise linearly over the first warm_up_steps, by (step + 1) / warm_up_steps, of any schedule.

    Parameters
    ----------
    step : int
        Updates made so far.
    schedule : callable
        The schedule that is joined, a function of the same step.
    warm_up_steps : int

    Returns
    -------
    float

    References
    ----------
    .. [1] Goyal et al. (2017), "Accurate, large minibatch SGD", arXiv:1706.02677.
    """
    return schedule(step) * min((step + 1) / warm_up_steps, 1.0)


def warm_up_cosine(step: int, learning_rate: float, n_steps: int, warm_up_fraction: float = 0.1) -> float:
    """Join `warm_up` to `cosine`: rise over the first tenth of n_steps, fall over all.

    Parameters
    ----------
    step : int
        Updates made so far.
    learning_rate : float
    n_steps : int
    warm_up_fraction : float, default=0.1

    Returns
    -------
    float
    """
    schedule = partial(cosine, learning_rate=learning_rate, n_steps=n_steps)
    return warm_up(step, schedule, max(warm_up_fraction * n_steps, 1.0))


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "cosine": cosine,
    "warm_up_cosine": warm_up_cosine,
    "one_cycle": one_cycle,
    "step": step_decay,
    "exponential": exponential,
    "inverse_scaling": inverse_scaling,
}
