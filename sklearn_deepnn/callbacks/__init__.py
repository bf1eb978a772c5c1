"""What watches a training, steers it, stops it and saves it: for `DeepNNClassifier.set_callbacks`.

A callback of your own is a subclass of `Callback` with the hooks that it needs. scikit-learn's callbacks (from version
1.9 on) work as well: they see the data and a fitted estimator, where the callbacks here see the numbers of the
training. A bad argument of a callback raises `InvalidParameterError`, which is a ValueError and a TypeError.
"""

from ..training.run import Run
from .base import Callback
from .checkpoints import ModelCheckpoint, load_checkpoint
from .logs import HistoryLogger, MLflowLogger
from .measuring import EpochScoring, EpochTimer
from .steering import EarlyStopping, ReduceLROnPlateau, TimeBudget
from .tuning import OptunaPruning

__all__ = [
    "Callback",
    "EarlyStopping",
    "EpochScoring",
    "EpochTimer",
    "HistoryLogger",
    "MLflowLogger",
    "ModelCheckpoint",
    "OptunaPruning",
    "ReduceLROnPlateau",
    "Run",
    "TimeBudget",
    "load_checkpoint",
]
