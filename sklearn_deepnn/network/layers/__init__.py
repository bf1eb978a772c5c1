"""Layers: a forward returns its output and a cache, and a backward takes that cache."""

from .batchnorm import EPSILON, batchnorm_backward, batchnorm_forward
from .dense import linear_activation_backward, linear_activation_forward, linear_backward, linear_forward
from .dropout import dropout_backward, dropout_forward
from .embedding import embedding_backward, embedding_forward
from .piecewise import piecewise_linear_backward, piecewise_linear_forward

__all__ = [
    "EPSILON", "batchnorm_backward", "batchnorm_forward", "dropout_backward", "dropout_forward", "embedding_backward",
    "embedding_forward", "linear_activation_backward", "linear_activation_forward", "linear_backward", "linear_forward",
    "piecewise_linear_backward", "piecewise_linear_forward",
]  # fmt: skip
