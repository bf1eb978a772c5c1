"""Learning-rate schedules: functions from the step to the learning rate.

A schedule is any callable that takes the number of updates made so far (0 before the first update) and returns the
learning rate of the next update. The functions of this module take the step first and their settings after it: the
first or highest `learning_rate`, and `n_steps`, the number of steps of the whole schedule. Fix the settings with
`functools.partial` to get a schedule. Unlike a closure, a partial can be printed, compared and pickled:

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
    """Keep the learning rate constant: learning_rate."""
    return learning_rate


def cosine(step: int, learning_rate: float, n_steps: int, final_fraction: float = 0.01) -> float:
    """Decrease along half a cosine: learning_rate * (f + (1 - f) * (1 + cos(pi * step / n_steps)) / 2).

    Here f is final_fraction. From step n_steps on, the rate stays at learning_rate * f.

    Parameters
    ----------
    step, learning_rate, n_steps
        As for all schedules of this module.
    final_fraction : float, default=0.01
        Final rate, as a fraction of learning_rate. The default is not 0, because training that continues beyond
        n_steps (`partial_fit`) would then learn nothing, without any error.

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
    """Increase along half a cosine up to learning_rate, then decrease along another half cosine.

    From step n_steps on, the rate stays at learning_rate * final_fraction.

    Parameters
    ----------
    step, learning_rate, n_steps
        As for all schedules of this module.
    rise_fraction : float, default=0.3
        Fraction of the steps in which the rate increases.
    start_fraction, final_fraction : float, default=0.04, 1e-4
        First and last rate, as fractions of learning_rate.

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
    """Multiply the rate by a factor at regular intervals: learning_rate * factor ** (number of drops so far)."""
    # the drops divide the steps into n_drops + 1 intervals of equal length
    return learning_rate * factor ** min(step * (n_drops + 1) // n_steps, n_drops)


def exponential(step: int, learning_rate: float, n_steps: int, final_fraction: float = 0.01) -> float:
    """Decrease by the same factor at each step: learning_rate * final_fraction ** (step / n_steps)."""
    return learning_rate * final_fraction ** (step / n_steps)


def inverse_scaling(step: int, learning_rate: float, n_steps: int | None = None, power: float = 0.5) -> float:
    """Decrease with a power of the step: learning_rate / (step + 1) ** power."""
    return learning_rate / (step + 1) ** power


def warm_up(step: int, schedule: Schedule, warm_up_steps: float) -> float:
    """Scale the first steps of any schedule up linearly: schedule(step) * min((step + 1) / warm_up_steps, 1)."""
    return schedule(step) * min((step + 1) / warm_up_steps, 1.0)


def warm_up_cosine(step: int, learning_rate: float, n_steps: int, warm_up_fraction: float = 0.1) -> float:
    """Apply `warm_up` to `cosine`: the warm-up takes the first warm_up_fraction of the n_steps steps."""
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
SCHEDULE_SYNONYMS = {  # names elsewhere
    "invscaling": "inverse_scaling",
    "cosine_annealing": "cosine",
    "cosine_decay": "cosine",
    "step_lr": "step",
    "multi_step": "step",
}
