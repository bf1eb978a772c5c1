"""A numerical check of the gradients that backpropagation gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from .checks import check_integer, reject
from .estimators.classifier import DeepNNClassifier
from .network.model import Network, initialize_parameters
from .network.parameters import Parameters
from .training.loop import Batch, Examples, Recipe, draw_batch, evaluate
from .training.optimizers import SGD
from .training.regularizers import l2_gradient, l2_penalty
from .typing import Array, MatrixLike

STEPS = (1e-5, 1e-6, 1e-7)


def check_gradient(
    estimator_or_network: DeepNNClassifier | Network,
    X: MatrixLike,
    y: MatrixLike,
    *,
    sample_weight: ArrayLike | None = None,
    max_entries: int | None = 200,
    random_state: int = 0,
) -> float:
    """Compare `model_backward` with central differences of the cost: (J(w + h) - J(w - h)) / 2h.

    The configuration is checked as it is: activations, loss, class and sample weights, label smoothing, batch
    normalisation, weight decay (as the penalty whose gradient it is) and dropout, with the same units dropped in all
    evaluations. The arithmetic is float64 whatever the estimator computes in.

    Parameters
    ----------
    estimator_or_network : DeepNNClassifier or Network
        A fitted estimator is checked at its parameters, another one at its start values.
    X : array-like
        For an estimator (n_samples, n_features); for a `Network` columns are examples: (n_0, m).
    y : array-like
        Labels; for a `Network` targets (n_L, m) or class numbers (1, m).
    sample_weight : array-like of shape (m,), optional
    max_entries : int or None, default=200
        Most entries to check of each parameter array, drawn at random; None checks all. Each costs two forward passes.
    random_state : int, default=0
        Draws these entries, what drops out, and a `Network`'s start values.

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
    if not isinstance(estimator_or_network, (DeepNNClassifier, Network)):
        reject("estimator_or_network", "a DeepNNClassifier or a Network", estimator_or_network)
    network, parameters, batch, weight_decay = _problem(estimator_or_network, X, y, sample_weight, random_state)
    n_weights = parameters.weights.size
    grads = parameters.gradients()
    evaluate(batch, parameters, network, rng=np.random.default_rng(random_state), out=grads)
    grads.vector[:n_weights] += l2_gradient(parameters.weights, weight_decay)

    trial = Parameters(parameters)

    def cost() -> float:
        outputs, _, _ = evaluate(batch, trial, network, rng=np.random.default_rng(random_state))
        return outputs.cost(network.loss) * network.ensemble_size + l2_penalty(trial.weights, weight_decay)

    rng, errors = np.random.default_rng(random_state), []
    # an array whose gradient is zero (by symmetry, or because a normalisation cancels it) has only rounding to compare
    floor = max(1e-3 * np.linalg.norm(grads.vector), np.finfo(float).tiny)
    for name, dW in grads.items():
        entries = rng.permutation(dW.size)[:max_entries]
        analytic = dW.ravel()[entries]
        entry_view = trial[name.removeprefix("d")].reshape(-1)
        numeric = np.array([_slope(cost, entry_view, i, exact) for i, exact in zip(entries, analytic)])
        size = np.linalg.norm(numeric) + np.linalg.norm(analytic)
        errors.append(np.linalg.norm(numeric - analytic) / max(size, floor))
    return float(max(errors))


def _problem(
    estimator_or_network: DeepNNClassifier | Network,
    X: MatrixLike,
    y: Any,
    sample_weight: ArrayLike | None,
    random_state: int,
) -> tuple[Network, Parameters, Batch, float]:
    """Return the network, its parameters in float64, one batch of everything, and the weight decay."""
    if isinstance(estimator_or_network, Network):
        network: Network = estimator_or_network
        recipe = Recipe(SGD(), learning_rate=0.0)
        parameters = initialize_parameters(
            network.layer_dims,
            activation=network.activation,
            batch_norm=network.batch_norm,
            ensemble_size=network.ensemble_size,
            rng=random_state,
        )
        X, weight = X if issparse(X) else np.asarray(X), None if sample_weight is None else np.asarray(sample_weight)
        examples = Examples(X, np.atleast_2d(y), weight)
    else:
        draft = estimator_or_network._draft(estimator_or_network)
        recipe = draft._check_parameters()
        examples, _, network, state = draft._prepare(X, y, sample_weight)
        recipe = draft._settled(recipe, examples, validates=False)
        parameters = Parameters(state.kept_parameters(), np.float64)
    batch = draw_batch(examples, examples.members, network, np.float64, recipe.label_smoothing)
    return network, parameters, batch, recipe.weight_decay


def _slope(cost: Callable[[], float], view: Array, i: int, exact: float) -> float:
    """Return the numeric derivative of cost() by view[i] that comes closest to the exact one.

    A central difference that straddles the kink of a rectifier gives a slope between those of its two sides. A shorter
    step may stay on one side; where the kink is hit exactly, as by units whose input is all zero, only one-sided
    differences (of second order) can. A wrong derivative is missed by all of them.
    """

    def cost_at(offset: float) -> float:
        view[i] = start + offset
        value = cost()
        view[i] = start
        return value

    start, slopes = view[i], []
    for step in STEPS:
        slopes.append((cost_at(step) - cost_at(-step)) / (2 * step))
        if abs(slopes[-1] - exact) <= 1e-8 * max(1.0, abs(exact)):
            return slopes[-1]
    for step in (STEPS[0], -STEPS[0]):
        slopes.append((4 * cost_at(step) - cost_at(2 * step) - 3 * cost_at(0.0)) / (2 * step))
    return min(slopes, key=lambda slope: abs(slope - exact))
