"""The network: what a layer computes, forward and backward, and how layers form a network. Columns are examples.

Every function of the course is here, and `fit` runs these functions. Read `layers.dense` first, then `model`.
"""

from .activations import (
    ACTIVATIONS,
    Activation,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)  # fmt: skip
from .architecture import Network
from .ensemble import joint_logits
from .initializers import INITIALIZERS
from .layers.batchnorm import batchnorm_backward, batchnorm_forward
from .layers.dense import linear_activation_backward, linear_activation_forward, linear_backward, linear_forward
from .layers.dropout import dropout_backward, dropout_forward
from .losses import LOSSES, compute_cost
from .model import fold_batch_norm, initialize_parameters, model_backward, model_forward
from .parameters import Parameters
from .scaling import ScaledSparse, Scaling, fold_scaling, unfold_scaling

__all__ = [
    "ACTIVATIONS", "INITIALIZERS", "LOSSES", "Activation", "Network", "Parameters", "ScaledSparse", "Scaling",
    "batchnorm_backward", "batchnorm_forward", "compute_cost", "dropout_backward", "dropout_forward", "fold_batch_norm",
    "fold_scaling", "initialize_parameters", "joint_logits", "linear_activation_backward", "linear_activation_forward",
    "linear_backward", "linear_forward", "model_backward", "model_forward", "relu", "relu_backward", "sigmoid",
    "sigmoid_backward", "tanh", "tanh_backward", "unfold_scaling",
]  # fmt: skip
