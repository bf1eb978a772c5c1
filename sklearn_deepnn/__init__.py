"""Deep neural networks that feel like scikit-learn.

`DeepNNClassifier` and `DeepNNRegressor` are the estimators. `network` holds the building blocks of the network, which
`fit` runs, and `training` how the network learns.
"""

from .estimators.classifier import DeepNNClassifier
from .estimators.regressor import DeepNNRegressor
from .gradient_check import check_gradient
from .network.activations import Activation
from .saving import alias_moved_modules
from .training.course import train_deep_network
from .training.optimizers import LBFGS, SGD, Adam, NAdam, RMSprop

__version__ = "0.1.0"

__all__ = [
    "LBFGS",
    "SGD",
    "Activation",
    "Adam",
    "DeepNNClassifier",
    "DeepNNRegressor",
    "NAdam",
    "RMSprop",
    "check_gradient",
    "train_deep_network",
]

alias_moved_modules()
