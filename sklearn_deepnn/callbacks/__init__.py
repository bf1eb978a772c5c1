"""What watches training, steers it, stops it, and saves it: for `DeepNNClassifier.set_callbacks`.

A callback of your own is a subclass of `Callback` with the hooks that it wants. scikit-learn's callbacks (from version
1.9 on) work as well; they see data and an estimator ready to predict, those here the numbers of the training.
"""

from .base import Callback, Run
from .checkpoints import ModelCheckpoint, load_checkpoint
from .logs import HistoryLogger, MLflowLogger
from .steering import EarlyStopping, ReduceLROnPlateau, TimeBudget
from .tuning import OptunaPruning

__all__ = [
    "Callback",
    "EarlyStopping",
    "HistoryLogger",
    "MLflowLogger",
    "ModelCheckpoint",
    "OptunaPruning",
    "ReduceLROnPlateau",
    "Run",
    "TimeBudget",
    "load_checkpoint",
]
