"""What a trained network makes of its inputs: the activations of its hidden layers, and what moves its predictions.

Conventions: columns are examples, `A0` (n_0, m). Which output is meant is told by `D` (n_L, m), or (n_L, 1) for all
examples alike: in each column 1 for that output, or -1 for its contrary (the first of two classes); 0 for the others.
"""

from numbers import Integral
from typing import Literal, TypeAlias

import numpy as np
from scipy.sparse import issparse

from ..checks import reject
from ..network.losses import joint_logits, joint_logits_gradient, probability_gradient
from ..network.model import Network, check_finite, layer_forward, logits_backward, logits_forward
from ..typing import Array, Arrays, Inputs

GradientOf: TypeAlias = Literal["probability", "logit"]

GRADIENTS_OF = {"probability": probability_gradient, "logit": joint_logits_gradient}


def hidden_layer_number(layer: int, n_hidden: int) -> int:
    """Return l of a hidden layer given by its number, or counted from the last by a negative one.

    Parameters
    ----------
    layer : int
    n_hidden : int

    Raises
    ------
    InvalidParameterError
        If there is no such layer.
    """
    if not n_hidden:
        reject("layer", "a hidden layer, of which this network has none", layer)
    if not isinstance(layer, Integral) or isinstance(layer, bool) or not 1 <= abs(layer) <= n_hidden:
        reject("layer", f"an integer from 1 to {n_hidden}, or from -{n_hidden} to -1", layer)
    return int(layer) if layer > 0 else n_hidden + 1 + int(layer)


def hidden_activation(A0: Inputs, parameters: Arrays, network: Network, l: int) -> Array:
    """Go forward to hidden layer l, as for predicting: nothing drops out.

    Parameters
    ----------
    A0 : ndarray or sparse array of shape (n_0, m)
    parameters : dict of str to ndarray
    network : Network
    l : int

    Returns
    -------
    A : ndarray of shape (n_l, m)
        Of an ensemble (ensemble_size, n_l, m).
    """
    A = A0
    for hidden in range(1, l + 1):
        A, _ = layer_forward(A, parameters, hidden, network)
    return A


def predicted_output(ZL: Array, loss: str) -> Array:
    """Return which output is predicted for each example.

    Parameters
    ----------
    ZL : ndarray of shape (n_L, m), or (ensemble_size, n_L, m)
    loss : str
        Name in `LOSSES`.

    Returns
    -------
    D : ndarray of shape (n_L, m)
    """
    joint = joint_logits(ZL, loss)
    if loss == "binary_cross_entropy":
        return np.where(joint > 0, 1, -1).astype(ZL.dtype)
    return (np.arange(len(joint))[:, np.newaxis] == joint.argmax(axis=0)).astype(ZL.dtype)


def input_gradient(
    A0: Inputs, parameters: Arrays, network: Network, D: Array | None = None, *, of: GradientOf = "probability"
) -> Array:
    """Backpropagate from one output to the inputs: the gradient of what is predicted, not of a cost.

    Parameters
    ----------
    A0 : ndarray or sparse array of shape (n_0, m)
    parameters : dict of str to ndarray
    network : Network
    D : ndarray of shape (n_L, m) or (n_L, 1), optional
        By default what is predicted for each example.
    of : {"probability", "logit"}, default="probability"
        Of an ensemble both belong to the mean probability.

    Returns
    -------
    dA0 : ndarray of shape (n_0, m)

    Raises
    ------
    ValueError
        If the logits are not finite.
    """
    ZL, caches = logits_forward(A0, parameters, network)
    check_finite(ZL)
    D = predicted_output(ZL, network.loss) if D is None else np.broadcast_to(D, ZL.shape[-2:])
    dZL = GRADIENTS_OF[of](ZL, D, network.loss)
    dA0, _ = logits_backward(dZL, caches, network, wrt_input=True, wrt_parameters=False)
    return dA0 if dA0.ndim == 2 else dA0.sum(axis=0)


def integrated_gradient(
    A0: Inputs,
    parameters: Arrays,
    network: Network,
    D: Array | None = None,
    *,
    baseline: Array,
    n_steps: int,
    of: GradientOf = "probability",
) -> Array:
    """Share a prediction out among the inputs: (A0 - baseline) * mean gradient on the way from the baseline [1]_.

    The mean is taken by Gauss-Legendre quadrature, which for smooth networks is exact to rounding with a few steps;
    the paper takes sums of 20 to 300.

    Parameters
    ----------
    A0 : ndarray or sparse array of shape (n_0, m)
    parameters : dict of str to ndarray
    network : Network
    D : ndarray of shape (n_L, m) or (n_L, 1), optional
        By default what is predicted for A0, all the way.
    baseline : ndarray of shape (n_0, 1)
    n_steps : int
        Points at which the gradient is taken.
    of : {"probability", "logit"}, default="probability"

    Returns
    -------
    ndarray of shape (n_0, m)
        Each column sums to the prediction for A0 less that for the baseline.

    References
    ----------
    .. [1] Sundararajan, Taly, Yan (2017), "Axiomatic attribution for deep networks", ICML.
    """
    if D is None:
        D = predicted_output(logits_forward(A0, parameters, network)[0], network.loss)
    A0 = A0.toarray() if issparse(A0) else A0
    baseline = baseline.astype(A0.dtype, copy=False)
    way, mean = A0 - baseline, 0.0
    # on [-1, 1], where weights sum to 2; Python's numbers leave float32 as it is
    for node, weight in zip(*(array.tolist() for array in np.polynomial.legendre.leggauss(n_steps))):
        dA0 = input_gradient(baseline + 0.5 * (1 + node) * way, parameters, network, D, of=of)
        dA0 *= 0.5 * weight
        mean += dA0
    return way * mean
