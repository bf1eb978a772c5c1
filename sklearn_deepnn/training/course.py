"""`train_deep_network`: the course's training in one call, by the loop that `DeepNNClassifier.fit` runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from ..checks import check_flag, check_integer, check_real
from ..messages import print_line
from ..network.architecture import Network
from ..network.model import initialize_parameters
from ..network.parameters import Parameters
from ..typing import Array, Inputs, MatrixLike
from .examples import Examples
from .loop import train
from .optimizers import SGD
from .recipe import Recipe
from .run import Hooks, Run
from .state import TrainingState

PRINT_EVERY = 100  # iterations


class CostPrinter(Hooks):
    """Print the cost as the course does: of the first iteration, of every hundredth, and of the last."""

    shown_name = "The printing of costs"
    only_watches = True

    def on_epoch_end(self, run: Run) -> None:
        """Print the cost before the iteration's update. Iterations are counted from 0."""
        iteration = run.state.epoch - 1
        if iteration % PRINT_EVERY == 0 or run.state.epoch == run.last_epoch:
            print_line(f"Cost after iteration {iteration}: {run.state.newest['cost']:.6f}")


def train_deep_network(
    X: MatrixLike,
    Y: ArrayLike,
    layer_dims: Sequence[int],
    learning_rate: float = 0.0075,
    num_iterations: int = 3000,
    *,
    print_cost: bool = False,
    rng: np.random.Generator | int | None = None,
    **architecture: Any,
) -> tuple[Parameters, list[float]]:
    """Train the course's network by gradient descent on the whole set.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_0, m)
    Y : ndarray of shape (n_L, m) or (1, m)
        Targets, one row per output; or class numbers.
    layer_dims : sequence of int
        n_0, ..., n_L.
    learning_rate : float, default=0.0075
    num_iterations : int, default=3000
    print_cost : bool, default=False
        Print the cost of every hundredth iteration and of the last: "Cost after iteration 0: 0.693147".
    rng : numpy.random.Generator, int or None
        Draws the initial parameters.
    **architecture
        Of `Network`: activation, loss, dropout_rate, batch_norm.

    Returns
    -------
    parameters : dict of str to ndarray
        "W1", "b1", ..., "WL", "bL". `model_forward(X, parameters, Network(layer_dims, **architecture))` predicts.
    costs : list of float
        The cost of every iteration, before its update.

    Raises
    ------
    ValueError
        If X, Y or a number breaks its rule, or the training diverges.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    >>> Y = np.array([[0, 1, 1, 0]])
    >>> parameters, costs = train_deep_network(X, Y, [2, 8, 1], learning_rate=0.5, num_iterations=500, rng=0)
    >>> costs[-1] < 0.05
    True
    """
    check_integer("num_iterations", num_iterations, 1)
    check_real("learning_rate", learning_rate, 0, closed="neither")
    check_flag("print_cost", print_cost)
    network, rng = Network(layer_dims, **architecture), np.random.default_rng(rng)
    X, Y = check_columns(X, Y, network)
    parameters = initialize_parameters(
        layer_dims, activation=network.activation, batch_norm=network.batch_norm, rng=rng
    )
    state, recipe = TrainingState(parameters, rng), Recipe(SGD(), learning_rate)
    callbacks = [CostPrinter()] if print_cost else []
    train(state, Examples(X, Y), network, recipe, n_epochs=num_iterations, callbacks=callbacks, continues=False)
    return state.parameters, state.history["cost"]


def check_columns(X: Inputs, Y: Any, network: Network) -> tuple[Inputs, Array]:
    """Return X and Y as arrays whose columns are examples that a network can be trained on."""
    X, Y, (n_0, *_, n_L) = X if issparse(X) else np.asarray(X), np.asarray(Y), network.layer_dims
    array: Inputs
    for name, array in (("X", X.data if issparse(X) else X), ("Y", Y)):
        if array.dtype.kind not in "fiub" or array.size == 0 or not np.isfinite(array).all():
            raise ValueError(f"{name} must have finite numbers and at least one example, got {array!r}.")
    if X.ndim != 2 or X.shape[0] != n_0:
        raise ValueError(f"X must have shape ({n_0}, m), one column per example, got {X.shape}.")
    if Y.ndim != 2 or Y.shape[0] not in (1, n_L) or Y.shape[1] != X.shape[1]:
        raise ValueError(f"Y must have shape ({n_L}, {X.shape[1]}), one column per example, got {Y.shape}.")
    rule = network.loss_function.target_rule(Y.shape[0], n_L)
    if rule.is_broken_by(Y).any():
        raise ValueError(f"Y must have {rule.text}, got values from {Y.min():g} to {Y.max():g}.")
    return X, Y
