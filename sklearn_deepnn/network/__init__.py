"""The network: what a layer computes, forward and backward, and how layers become a network. Columns are examples.

Every function of the course is here, and `fit` runs these very functions. Read `layers.dense` first, then `model`.
"""

from .activations import ACTIVATIONS, Activation
from .initializers import INITIALIZERS
from .layers import (
    batchnorm_backward,
    batchnorm_forward,
    dropout_backward,
    dropout_forward,
    linear_activation_backward,
    linear_activation_forward,
    linear_backward,
    linear_forward,
)
from .losses import LOSSES, compute_cost
from .model import Network, initialize_parameters, model_backward, model_forward
from .parameters import Parameters

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "LOSSES",
    "Activation",
    "Network",
    "Parameters",
    "batchnorm_backward",
    "batchnorm_forward",
    "compute_cost",
    "dropout_backward",
    "dropout_forward",
    "initialize_parameters",
    "linear_activation_backward",
    "linear_activation_forward",
    "linear_backward",
    "linear_forward",
    "model_backward",
    "model_forward",
]
