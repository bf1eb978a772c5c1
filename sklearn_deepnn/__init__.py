"""Deep neural networks that feel like scikit-learn.

`DeepNNClassifier` is the estimator. The network's building blocks, which it runs, are public in the modules: `layers`,
`network`, `losses`, `optimizers`, `training`.
"""

from .estimators.classifier import DeepNNClassifier
from .gradient_check import check_gradient
from .training.loop import train_deep_network
from .training.optimizers import LBFGS, SGD, Adam, NAdam, RMSprop

__version__ = "0.1.0"

__all__ = ["LBFGS", "SGD", "Adam", "DeepNNClassifier", "NAdam", "RMSprop", "check_gradient", "train_deep_network"]

for _exported in (LBFGS, SGD, Adam, DeepNNClassifier, NAdam, RMSprop):
    _exported.__module__ = __name__  # the name that files hold, and that safe loaders trust, wherever the code moves
del _exported
