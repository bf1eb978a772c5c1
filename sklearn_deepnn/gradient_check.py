"""`check_gradient`: a numerical check of the gradients that backpropagation gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from .checks import check_integer, reject
from .estimators.base import BaseDeepNN, starting_point
from .network.architecture import Network
from .network.losses import compute_cost
from .network.model import initialize_parameters, model_backward, model_forward
from .network.parameters import Parameters
from .training.examples import Batch, Examples, draw_batch
from .training.regularizers import l2_gradient, l2_penalty
from .typing import Array, MatrixLike

STEPS = (1e-5, 1e-6, 1e-7)


def check_gradient(
    estimator_or_network: BaseDeepNN | Network,
    X: MatrixLike,
    y: MatrixLike,
    *,
    sample_weight: ArrayLike | None = None,
    max_entries: int | None = 200,
    random_state: int = 0,
) -> float:
    """Compare `model_backward` with central differences of the cost: (J(w + h) - J(w - h)) / 2h.

    The whole configuration is checked: activations (your own too), loss, class and sample weights, label smoothing,
    batch normalisation, weight decay (as a penalty) and dropout, with the same units dropped in all evaluations. The
    check computes in float64, for every dtype of the estimator.

    Parameters
    ----------
    estimator_or_network : DeepNNClassifier, DeepNNRegressor or Network
        A fitted estimator is checked at its parameters, another one at its initial parameters.
    X : array-like
        For an estimator (n_samples, n_features); for a `Network` columns are examples: (n_0, m).
    y : array-like
        Labels or numbers; for a `Network` targets (n_L, m) or class numbers (1, m).
    sample_weight : array-like of shape (m,), optional
    max_entries : int or None, default=200
        Most entries to check of each parameter array, drawn at random; None checks all. Each costs two forward passes.
    random_state : int, default=0
        Draws these entries, the units that drop out, and the initial parameters of a `Network`.

    Returns
    -------
    float
        The largest relative error of any parameter array: norm of the difference between the analytic and the numeric
        gradient, divided by the sum of their norms, or by 1e-3 of the norm of all gradients if that is more. Correct
        gradients give less than 1e-7, wrong ones more than 1e-3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_deepnn import DeepNNClassifier, check_gradient
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.standard_normal((20, 4)), rng.integers(3, size=20)
    >>> check_gradient(DeepNNClassifier((5, 5), "tanh", random_state=0), X, y) < 1e-7
    True
    """
    if max_entries is not None:
        check_integer("max_entries", max_entries, 1)
    if not isinstance(estimator_or_network, (BaseDeepNN, Network)):
        reject("estimator_or_network", "a DeepNNClassifier, a DeepNNRegressor or a Network", estimator_or_network)
    with np.errstate(under="ignore"):
        network, parameters, batch, weight_decay = problem_of(estimator_or_network, X, y, sample_weight, random_state)
        grads, weight = parameters.gradients(), batch.sample_weight

        def forward() -> tuple[Array, list[Any]]:
            rng = np.random.default_rng(random_state)  # the same units drop out each time
            return model_forward(batch.A0, parameters, network, training=True, rng=rng, sample_weight=weight)

        def cost() -> float:
            AL, caches = forward()
            cost = compute_cost(AL, batch.Y, ZL=caches[-1].activation, loss=network.loss_function, sample_weight=weight)
            return cost * network.ensemble_size + l2_penalty(parameters.weights, weight_decay)

        AL, caches = forward()
        model_backward(AL, batch.Y, caches, network, sample_weight=weight, out=grads)
        grads.vector[: parameters.weights.size] += l2_gradient(parameters.weights, weight_decay)
        rng, errors = np.random.default_rng(random_state), []
        # where the exact gradient is 0 (by symmetry, or under a normalisation), only rounding would be compared
        floor = max(1e-3 * np.linalg.norm(grads.vector), np.finfo(float).tiny)
        for name, dW in grads.items():
            entries, W = rng.permutation(dW.size)[:max_entries], parameters[name.removeprefix("d")].reshape(-1)
            analytic = dW.ravel()[entries]
            numeric = np.array([slope(cost, W, i, exact) for i, exact in zip(entries, analytic)])
            size = np.linalg.norm(numeric) + np.linalg.norm(analytic)
            errors.append(np.linalg.norm(numeric - analytic) / max(size, floor))
    return float(max(errors))


def problem_of(
    estimator_or_network: BaseDeepNN | Network, X: MatrixLike, y: Any, sample_weight: ArrayLike | None, seed: int
) -> tuple[Network, Parameters, Batch, float]:
    """Return the network, a copy of its parameters in float64, all examples as one batch, and the weight decay."""
    if isinstance(estimator_or_network, Network):
        network = estimator_or_network
        options = {name: getattr(network, name) for name in ("activation", "batch_norm", "ensemble_size")}
        parameters = initialize_parameters(network.layer_dims, rng=seed, **options)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        examples = Examples(X if issparse(X) else np.asarray(X), np.atleast_2d(y), weight)
        return network, parameters, draw_batch(examples, examples.members, network, np.float64), 0.0
    plan, start = starting_point(estimator_or_network, X, y, sample_weight)
    examples, network, recipe = start.training, plan.network, plan.recipe
    batch = draw_batch(examples, examples.members, network, np.float64, recipe.label_smoothing)
    return network, Parameters(start.state.kept_parameters(), np.float64), batch, recipe.weight_decay


def slope(cost: Callable[[], float], W: Array, i: int, exact: float) -> float:
    """Return the numeric derivative of cost() with respect to W[i] that is nearest to the exact one."""

    def cost_at(offset: float) -> float:
        W[i] = start + offset
        value = cost()
        W[i] = start
        return value

    start, slopes = W[i], []
    for h in STEPS:
        slopes.append((cost_at(h) - cost_at(-h)) / (2 * h))
        if abs(slopes[-1] - exact) <= 1e-8 * max(1.0, abs(exact)):
            return slopes[-1]
    for h in (STEPS[0], -STEPS[0]):  # from either side: relu has no derivative at 0
        slopes.append((4 * cost_at(h) - cost_at(2 * h) - 3 * cost_at(0.0)) / (2 * h))
    return min(slopes, key=lambda slope: abs(slope - exact))
