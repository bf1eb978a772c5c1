"""How to train: the settings of a training, with no "auto" left."""

from dataclasses import dataclass
from functools import partial

from ..checks import check_real
from .optimizers import Optimizer
from .schedules import SCHEDULES, Schedule


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Parameters
    ----------
    optimizer : instance of a class in `OPTIMIZERS`
    learning_rate : float
    schedule : str or callable, default="constant"
        A name in `SCHEDULES`, or a function of the step that returns the rate.
    batch_size : int or None, default=None
        Examples per update. None, or more than there are, takes the whole set.
    weight_decay, label_smoothing : float, default=0.0
    max_grad_norm : float or None, default=None
    shuffle : bool, default=True
        Whether each epoch draws a new order of the examples.
    averaging_epochs : float, default=0.0
        Time constant, in epochs, of the exponential moving average of the parameters. The average is validated and
        kept. 0 keeps the parameters themselves.
    """

    optimizer: Optimizer
    learning_rate: float
    schedule: str | Schedule = "constant"
    batch_size: int | None = None
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    max_grad_norm: float | None = None
    shuffle: bool = True
    averaging_epochs: float = 0.0

    @property
    def averages(self) -> bool:
        """Whether a moving average of the parameters is taken. Full-batch optimizers take none."""
        return self.averaging_epochs > 0 and not self.optimizer.full_batch

    def schedule_over(self, n_steps: int) -> Schedule:
        """Return the learning rate as a function of the step, for a horizon of `n_steps`."""
        schedule = "constant" if self.optimizer.full_batch else self.schedule  # a line search finds its step length
        if callable(schedule):  # a NumPy float would make float32 steps float64
            return lambda step: float(check_real("learning_rate_schedule(step)", schedule(step), 0))
        return partial(SCHEDULES[schedule], learning_rate=self.learning_rate, n_steps=n_steps)
