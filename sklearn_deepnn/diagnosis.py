"""What ails a trained network: units that are dead, and units that are saturated.

Conventions: columns are examples. `A` (n_l, m) are the activations of one layer; of an ensemble (K, n_l, m).
"""

import numpy as np

from .activations import ACTIVATIONS
from .checks import check_choice

BOUNDS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
NEAR_BOUND = 0.01  # of the range between the bounds
MOST_EXAMPLES = 0.95


def dead_units(A, activation):
    """Say which units are dead: ReLU units that are 0 for all examples, and so learn nothing.

    Parameters
    ----------
    A : ndarray of shape (..., n_l, m)
    activation : str
        Of all but "relu", no unit is dead.

    Returns
    -------
    ndarray of bool, of shape (..., n_l)

    Raises
    ------
    InvalidParameterError
        If there is no such activation.

    Examples
    --------
    >>> import numpy as np
    >>> dead_units(np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]]), "relu")
    array([ True, False])
    """
    check_choice("activation", activation, ACTIVATIONS)
    if activation != "relu":
        return np.zeros(A.shape[:-1], bool)
    return (A == 0).all(axis=-1)


def saturated_units(A, activation):
    """Say which units are saturated: within 1 % of the range from a bound for at least 95 % of the examples.

    Parameters
    ----------
    A : ndarray of shape (..., n_l, m)
    activation : str
        Of all but "tanh" and "sigmoid", no unit is saturated. Examples at either bound count together.

    Returns
    -------
    ndarray of bool, of shape (..., n_l)

    Raises
    ------
    InvalidParameterError
        If there is no such activation.

    Examples
    --------
    >>> import numpy as np
    >>> saturated_units(np.array([[0.999, -0.995, 1.0], [0.999, 0.3, 0.0]]), "tanh")
    array([ True, False])
    """
    check_choice("activation", activation, ACTIVATIONS)
    if activation not in BOUNDS:
        return np.zeros(A.shape[:-1], bool)
    low, high = BOUNDS[activation]
    margin = NEAR_BOUND * (high - low)
    return ((A - low < margin) | (high - A < margin)).mean(axis=-1) >= MOST_EXAMPLES
