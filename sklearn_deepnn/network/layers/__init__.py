"""Layers: a forward returns its output and a cache, and a backward takes that cache."""

from .batchnorm import EPSILON, batchnorm_backward, batchnorm_forward
from .dense import linear_activation_backward, linear_activation_forward, linear_backward, linear_forward
from .dropout import dropout_backward, dropout_forward

__all__ = [
    "EPSILON", "batchnorm_backward", "batchnorm_forward", "dropout_backward", "dropout_forward",
    "linear_activation_backward", "linear_activation_forward", "linear_backward", "linear_forward",
]  # fmt: skip
