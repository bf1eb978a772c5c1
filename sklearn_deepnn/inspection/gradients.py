"""Activations of hidden layers, and gradients of predictions with respect to the inputs.

Conventions: columns are examples, `A0` (n_0, m). `D` (n_L, m), or (n_L, 1) for all examples alike, selects one output
per column: 1 for that output, or -1 for one minus it (the first of two classes); 0 for the others.
"""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.sparse import issparse

from ..checks import reject
from ..network.architecture import Network
from ..network.encoding import EncodedInputs, Encoding
from ..network.ensemble import joint_logits, joint_logits_gradient, prediction_gradient
from ..network.losses import Loss, find_loss
from ..network.model import embed, hidden_forward, logits_forward, model_backward
from ..network.prediction import check_finite, map_chunks
from ..threads import SINGLE_THREADED_BLAS
from ..training.examples import Examples
from ..typing import Array, Arrays, Inputs

GradientOf: TypeAlias = Literal["prediction", "logit"]
GRADIENTS_OF = {"prediction": prediction_gradient, "logit": joint_logits_gradient}


def hidden_layer_number(layer: int, n_hidden: int) -> int:
    """Return l of a hidden layer, from its number or from a negative number that counts from the last."""
    if not n_hidden:
        reject("layer", "a hidden layer, of which this network has none", layer)
    if not isinstance(layer, Integral) or isinstance(layer, bool) or not 1 <= abs(layer) <= n_hidden:
        reject("layer", f"an integer from 1 to {n_hidden}, or from -{n_hidden} to -1", layer)
    return int(layer) if layer > 0 else n_hidden + 1 + int(layer)


def hidden_activation(A0: Inputs, parameters: Arrays, network: Network, l: int) -> Array:
    """Return the activation of hidden layer l, as in prediction: without dropout."""
    return hidden_forward(embed(A0, parameters, network)[0], parameters, network, l)[0]


def predicted_output(ZL: Array, loss: str | Loss) -> Array:
    """Return D of the output that is predicted for each example."""
    return find_loss(loss).link.predicted(joint_logits(ZL, loss))


def input_gradient(
    A0: Inputs, parameters: Arrays, network: Network, D: Array | None = None, *, of: GradientOf = "prediction"
) -> Array:
    """Return the gradient of one prediction per example with respect to the inputs.

    Parameters
    ----------
    A0 : ndarray or sparse array of shape (n_0, m)
    parameters : dict of str to ndarray
    network : Network
    D : ndarray of shape (n_L, m) or (n_L, 1), optional
        By default that of the predicted output.
    of : {"prediction", "logit"}, default="prediction"
        Of an ensemble: the mean prediction, or its logit.

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
    return _backpropagated(ZL, caches, network, D, of)


def _backpropagated(ZL: Array, caches: list[Any], network: Network, D: Array | None, of: GradientOf) -> Array:
    """Return dA0 of one prediction per example, from the logits and caches of the forward pass."""
    return sum_over_members(_gradients_of_members(ZL, caches, network, D, of))


def sum_over_members(A: Array) -> Array:
    """Return (n_l, m), the sum over the members of an ensemble, from (ensemble_size, n_l, m) or (n_l, m)."""
    return A if A.ndim == 2 else A.sum(axis=0)


def _gradients_of_members(ZL: Array, caches: list[Any], network: Network, D: Array | None, of: GradientOf) -> Array:
    """Return dA0 (n_0, m), of an ensemble (ensemble_size, n_0, m) for the inputs of each member."""
    D = predicted_output(ZL, network.loss_function) if D is None else np.broadcast_to(D, ZL.shape[-2:])
    dZL = GRADIENTS_OF[of](ZL, D, network.loss_function)
    return model_backward(None, None, caches, network, dZL=dZL, wrt=("activations",))["dA0"]


@np.errstate(over="ignore", under="ignore", invalid="ignore")  # sums that are not finite give zeros
def feature_importances(
    examples: Examples, deviation: Array, parameters: Arrays, network: Network, outputs: Sequence[Array | None]
) -> Array:
    """Return how much each input changes the predictions: mean |dP / dA0| * deviation, scaled to sum 1.

    Parameters
    ----------
    examples : Examples
        The examples to average over, with their weights; unscaled.
    deviation : ndarray of shape (n_0,)
        Standard deviation of each input.
    parameters : dict of str to ndarray
    network : Network
    outputs : sequence of ndarray of shape (n_L, 1), or None
        The outputs to sum over, as D; None stands for the predicted output.

    Returns
    -------
    ndarray of shape (n_0,)
        All zero if no prediction changes with any input.
    """
    dtype, weight = parameters["W1"].dtype, np.ones(examples.X.shape[1])
    weight = (weight if examples.sample_weight is None else examples.sample_weight)[examples.members].astype(dtype)

    def add_up(chunk: slice, A0: Inputs) -> Array:
        ZL, caches = logits_forward(A0, parameters, network)
        return sum(np.abs(_backpropagated(ZL, caches, network, D, "prediction")) @ weight[chunk] for D in outputs)

    width = sum(network.layer_dims) * network.ensemble_size  # the caches of all layers are held
    with SINGLE_THREADED_BLAS.hold():
        sums = map_chunks(add_up, examples.X, dtype, width, examples.columns)
    return scaled_to_one(np.sum(sums, axis=0, dtype=np.float64) * deviation)


def scaled_to_one(importances: Array) -> Array:
    """Return importances that sum to 1, or zeros if their sum is 0 or not finite."""
    total = importances.sum()
    return importances / total if 0 < total < np.inf else np.zeros_like(importances)


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def column_importances(
    examples: Examples, encoding: Encoding, parameters: Arrays, network: Network, outputs: Sequence[Array | None]
) -> Array:
    """Return how much each column of a table changes the predictions, scaled to sum 1.

    A column is encoded by several inputs. Its effect on a prediction is the sum of A0 * dP / dA0 over these, to first
    order the difference to the prediction for the mean of the column. Its importance is the mean absolute effect over
    the examples.

    Parameters
    ----------
    examples : Examples
        The examples to average over, with their weights; not encoded.
    encoding : Encoding
    parameters, network, outputs
        As in `feature_importances`.

    Returns
    -------
    ndarray of shape (n_features,)
        All zero if no prediction changes with any column.
    """
    dtype, plain = parameters["W1"].dtype, replace(network, embedding=())
    weight = np.ones(examples.n) if examples.sample_weight is None else examples.sample_weight[examples.members]

    def add_up(chunk: slice, A0: Inputs) -> Array:
        A0, _ = embed(A0, parameters, network)
        ZL, caches = logits_forward(A0, parameters, plain)
        total = np.zeros(len(encoding.center))
        for D in outputs:
            effects = A0 * _gradients_of_members(ZL, caches, plain, D, "prediction")
            total += np.abs(encoding.by_column(sum_over_members(effects))) @ weight[chunk]
        return total

    width = sum(network.layer_dims) * network.ensemble_size
    with SINGLE_THREADED_BLAS.hold():
        sums = map_chunks(add_up, EncodedInputs(examples.X, encoding), dtype, width, examples.columns)
    return scaled_to_one(np.sum(sums, axis=0))


def integrated_gradient(
    A0: Inputs,
    parameters: Arrays,
    network: Network,
    D: Array | None = None,
    *,
    baseline: Array,
    n_steps: int,
    of: GradientOf = "prediction",
) -> Array:
    """Attribute a prediction to the inputs: (A0 - baseline) * mean gradient on the line from the baseline to A0 [1]_.

    The mean is computed by Gauss-Legendre quadrature, which is exact to rounding for smooth networks with a few steps.
    The paper computes sums of 20 to 300 steps.

    Parameters
    ----------
    A0 : ndarray or sparse array of shape (n_0, m)
        For an ensemble also (ensemble_size, n_0, m): inputs of each member.
    parameters, network, D, of
        As in `input_gradient`; D is by default that of the output predicted for A0.
    baseline : ndarray of shape (n_0, 1)
    n_steps : int
        Number of points at which the gradient is computed.

    Returns
    -------
    ndarray of shape (n_0, m)
        Each column sums to the prediction for A0 minus the prediction for the baseline.

    References
    ----------
    .. [1] Sundararajan, Taly, Yan (2017), "Axiomatic attribution for deep networks", ICML.
    """
    if D is None:
        D = predicted_output(logits_forward(A0, parameters, network)[0], network.loss_function)
    A0 = A0.toarray() if issparse(A0) else A0
    baseline = baseline.astype(A0.dtype, copy=False)
    difference, mean = A0 - baseline, 0.0
    # nodes in [-1, 1], weights that sum to 2; Python's floats keep float32 arrays float32
    for node, weight in zip(*(array.tolist() for array in np.polynomial.legendre.leggauss(n_steps))):
        ZL, caches = logits_forward(baseline + 0.5 * (1 + node) * difference, parameters, network)
        check_finite(ZL)
        mean += 0.5 * weight * _gradients_of_members(ZL, caches, network, D, of)
    return sum_over_members(difference * mean)
