"""How the network learns: optimizers, schedules, batches, and `train`, the only loop.

Read `loop` first. `course` has the course's `train_deep_network`, which runs the same loop.
"""

from .course import train_deep_network
from .loop import train
from .optimizers import LBFGS, OPTIMIZERS, SGD, Adam, NAdam, Optimizer, RMSprop, update_parameters
from .schedules import SCHEDULES

__all__ = [
    "LBFGS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "train",
    "train_deep_network",
    "update_parameters",
]
