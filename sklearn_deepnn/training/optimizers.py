"""Optimizers: rules that turn a gradient into a step.

Conventions: parameters, gradients and every moment are flat vectors of one length (`Parameters.trainable`, and the
`vector` of its gradients). An optimizer is a frozen dataclass of hyper-parameters; what it remembers is a dict that
`init` makes and `update` changes: `update` writes `parameters` and `state` in place. The learning rate comes from
outside, a number for each step; weight decay and clipping are `regularizers`.

Each first-order rule works out a direction and leaves the step to `update_parameters`. It goes element by element, so
that vectors may be updated in blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, overload

import numpy as np

from ..checks import check_flag, check_integer, check_real
from ..typing import Array, Arrays, State

Objective: TypeAlias = Callable[[Array], tuple[float, Array]]  # parameters to cost and gradient
OptimizerName: TypeAlias = Literal["sgd", "rmsprop", "adam", "nadam", "lbfgs"]


class Optimizer(Protocol):
    """What all optimizers have in common.

    Attributes
    ----------
    full_batch : bool
        Whether each step wants the whole training set.
    update : callable
        Takes parameters, grads, state and learning_rate, with `full_batch` an objective as well; see `SGD.update` and
        `LBFGS.update`.
    """

    full_batch: ClassVar[bool]

    @property
    def update(self) -> Callable[..., None]: ...

    def init(self, parameters: Array) -> State:
        """Return the state before the first step."""


@overload
def update_parameters(parameters: Arrays, grads: Arrays, learning_rate: float) -> Arrays: ...


@overload
def update_parameters(parameters: Array, grads: Array, learning_rate: float, *, out: Array | None = None) -> Array: ...


def update_parameters(parameters: Any, grads: Any, learning_rate: float, *, out: Array | None = None) -> Any:
    """Take a step of gradient descent: W - learning_rate * dW.

    Parameters
    ----------
    parameters : dict of str to ndarray, or ndarray
        "W1", "b1", ...; or one array.
    grads : dict of str to ndarray, or ndarray
        "dW1", "db1", ...; or one array of the shape of `parameters`. A parameter without a gradient, such as a running
        statistic, stays as it is.
    learning_rate : float
    out : ndarray, optional
        Where to write when `parameters` is one array; `parameters` itself is allowed.

    Returns
    -------
    dict of str to ndarray, or ndarray
        The new parameters.

    Examples
    --------
    >>> update_parameters({"W1": np.array([[1.0, 2.0]])}, {"dW1": np.array([[10.0, 0.0]])}, learning_rate=0.1)
    {'W1': array([[0., 2.]])}
    """
    if isinstance(parameters, dict):
        trained = {name: W for name, W in parameters.items() if "d" + name in grads}
        stepped = {name: update_parameters(W, grads["d" + name], learning_rate) for name, W in trained.items()}
        return {**parameters, **stepped}
    return np.subtract(parameters, learning_rate * grads, out=out)


@dataclass(frozen=True)
class SGD:
    """Gradient descent: W -= learning_rate * dW, with momentum W -= learning_rate * v, v = momentum * v + dW.

    Parameters
    ----------
    momentum : float in [0, 1), default=0.0
    nesterov : bool, default=False
        Look ahead: the step is dW + momentum * v.

    References
    ----------
    .. [1] Sutskever et al. (2013), "On the importance of initialization and momentum in deep learning", ICML.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier, SGD
    >>> model = DeepNNClassifier((64,), optimizer=SGD(momentum=0.9, nesterov=True))
    """

    momentum: float = 0.0
    nesterov: bool = False
    full_batch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_real("momentum", self.momentum, 0, 1, closed="left")
        check_flag("nesterov", self.nesterov)

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"v"}, empty without momentum."""
        return {"v": np.zeros_like(parameters)} if self.momentum else {}

    def update(self, parameters: Array, grads: Array, state: State, learning_rate: float) -> None:
        """Take a step. Sets: parameters, state["v"]."""
        direction = grads
        if self.momentum:
            v = state["v"]
            v *= self.momentum
            v += grads
            direction = grads + self.momentum * v if self.nesterov else v
        update_parameters(parameters, direction, learning_rate, out=parameters)


def flush_subnormals(vector: Array) -> None:
    """Set what is smaller than a normal float to 0. Sets: vector.

    Moments of units that have died, and weights that nothing but decay acts on, shrink with every step down to numbers
    that processors are many times slower with, and there they stay: where 7 % of the moments were subnormal, epochs
    took a fifth longer.

    Parameters
    ----------
    vector : ndarray
        Of floats; others stay as they are.
    """
    if vector.dtype.kind == "f":
        vector[np.abs(vector) < np.finfo(vector.dtype).tiny] = 0


def root_plus(v: Array, epsilon: float) -> Array:
    """Return sqrt(v) + epsilon, a new array made in one go."""
    root = np.sqrt(v)
    root += epsilon
    return root


@dataclass(frozen=True)
class RMSprop:
    """Divide by the running size of the gradient: W -= learning_rate * dW / (sqrt(v) + epsilon).

    v = rho * v + (1 - rho) * dW^2; what is kept is v / (1 - rho), one multiplication less.

    Parameters
    ----------
    rho : float in [0, 1), default=0.9
    epsilon : float, default=1e-8

    References
    ----------
    .. [1] Tieleman, Hinton (2012), "Lecture 6.5: rmsprop", COURSERA: Neural networks for machine learning.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier, RMSprop
    >>> model = DeepNNClassifier((64,), optimizer=RMSprop(rho=0.99))
    """

    rho: float = 0.9
    epsilon: float = 1e-8
    full_batch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_real("rho", self.rho, 0, 1, closed="left")
        check_real("epsilon", self.epsilon, 0, closed="neither")

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"v"}."""
        return {"v": np.zeros_like(parameters)}

    def update(self, parameters: Array, grads: Array, state: State, learning_rate: float) -> None:
        """Take a step. Sets: parameters, state["v"]."""
        v, shrink = state["v"], (1 - self.rho) ** 0.5
        v *= self.rho
        v += grads * grads
        direction = grads / root_plus(v, self.epsilon / shrink)
        update_parameters(parameters, direction, learning_rate / shrink, out=parameters)


@dataclass(frozen=True)
class Adam:
    """Divide the running mean of the gradient by its running size, both freed from their start at zero.

    m = beta_1 m + (1 - beta_1) dW;  v = beta_2 v + (1 - beta_2) dW^2;
    W -= learning_rate * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon).

    What is kept is m / (1 - beta_1) and v / (1 - beta_2), which spares two multiplications of whole vectors.

    Parameters
    ----------
    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
    epsilon : float, default=1e-8

    References
    ----------
    .. [1] Kingma, Ba (2015), "Adam: a method for stochastic optimization", ICLR.

    Examples
    --------
    >>> from sklearn_deepnn import Adam, DeepNNClassifier
    >>> model = DeepNNClassifier((64,), optimizer=Adam(beta_1=0.95))
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    full_batch: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_real("beta_1", self.beta_1, 0, 1, closed="left")
        check_real("beta_2", self.beta_2, 0, 1, closed="left")
        check_real("epsilon", self.epsilon, 0, closed="neither")

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"t", "m", "v"}."""
        return {"t": 0, "m": np.zeros_like(parameters), "v": np.zeros_like(parameters)}

    def update(self, parameters: Array, grads: Array, state: State, learning_rate: float) -> None:
        """Take a step. Sets: parameters, state["t"], state["m"], state["v"]."""
        self.count_in(grads, state)
        size, rate = self.running_size(state)
        direction = np.divide(state["m"], size, out=size)
        rate *= learning_rate * (1 - self.beta_1) / (1 - self.beta_1 ** state["t"])
        update_parameters(parameters, direction, rate, out=parameters)

    def count_in(self, grads: Array, state: State) -> None:
        """Count a gradient into both running means. Sets: state["t"], state["m"], state["v"]."""
        state["t"] += 1
        m, v = state["m"], state["v"]
        m *= self.beta_1
        m += grads
        v *= self.beta_2
        v += grads * grads

    def running_size(self, state: State) -> tuple[Array, float]:
        """Return the running size of the gradient, up to a factor: a new vector, and the factor, to multiply rates by.

        Parameters
        ----------
        state : dict

        Returns
        -------
        size : ndarray
        factor : float
        """
        # corrections act on numbers, not on vectors: sqrt(v / c) + epsilon = (sqrt(v) + epsilon sqrt(c)) / sqrt(c)
        factor = ((1 - self.beta_2 ** state["t"]) / (1 - self.beta_2)) ** 0.5
        return root_plus(state["v"], self.epsilon * factor), factor


@dataclass(frozen=True)
class NAdam(Adam):
    """Adam with Nesterov's look ahead: in place of m, beta_1 m / (1 - beta_1^(t+1)) + (1 - beta_1) dW / (1 - beta_1^t).

    Parameters
    ----------
    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
    epsilon : float, default=1e-8

    References
    ----------
    .. [1] Dozat (2016), "Incorporating Nesterov momentum into Adam", ICLR workshop. Its slow rise of beta_1, which
       torch and Keras have, is left out.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier, NAdam
    >>> model = DeepNNClassifier((64,), optimizer=NAdam(beta_2=0.99))
    """

    def update(self, parameters: Array, grads: Array, state: State, learning_rate: float) -> None:
        """Take a step. Sets: parameters, state["t"], state["m"], state["v"]."""
        self.count_in(grads, state)
        size, rate = self.running_size(state)
        ahead = self.beta_1 / (1 - self.beta_1 ** (state["t"] + 1))
        now = 1 / (1 - self.beta_1 ** state["t"])
        direction = (ahead * state["m"] + now * grads) / size
        update_parameters(parameters, direction, learning_rate * rate * (1 - self.beta_1), out=parameters)


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS: a line search along -H dW, where H approximates the inverse Hessian from the last steps.

    It wants the whole training set in each step and takes its step length from the search, not from the learning rate.
    It is written out here and not left to ``scipy.optimize.minimize``, which keeps its memory to itself: training could
    not be saved and go on as if it had never stopped.

    Parameters
    ----------
    memory : int, default=10
        Number of past steps that H is made from.
    max_line_search : int, default=30
        Most evaluations of the cost in one step, at least 5.
    gradient_tolerance : float, default=1e-5
        Training has converged when no entry of the gradient is larger.

    References
    ----------
    .. [1] Liu, Nocedal (1989), "On the limited memory BFGS method for large scale optimization", Mathematical
       Programming 45, 503-528.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier, LBFGS
    >>> model = DeepNNClassifier((64,), optimizer=LBFGS(memory=20))
    """

    memory: int = 10
    max_line_search: int = 30
    gradient_tolerance: float = 1e-5
    full_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("memory", self.memory, 1)
        check_integer("max_line_search", self.max_line_search, 5)
        check_real("gradient_tolerance", self.gradient_tolerance, 0)

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"steps", "changes", "converged"}."""
        return {"steps": [], "changes": [], "converged": False}

    def update(
        self, parameters: Array, grads: Array, state: State, learning_rate: float, *, objective: Objective
    ) -> None:
        """Take a step. Sets: parameters, state["steps"], state["changes"], state["converged"].

        Parameters
        ----------
        parameters, grads : ndarrays of shape (n,)
        state : dict
        learning_rate : float
            Not used.
        objective : callable
            Takes a vector to its cost and gradient. It is asked for single points more than once in a row, so it does
            well to remember the last one.
        """
        W, dW = parameters.astype(np.float64), grads.astype(np.float64)
        state["converged"] = bool(np.abs(dW).max() <= self.gradient_tolerance)
        if state["converged"]:
            return
        direction = -inverse_hessian_product(dW, state["steps"], state["changes"])
        length = line_search(objective, W, direction, self.max_line_search)
        if length is None:
            # along the bare gradient there was no way down either: this is as low as the precision goes
            state["converged"] = not state["steps"]
            state["steps"], state["changes"] = [], []
            return
        step = length * direction
        change = objective(W + step)[1] - dW
        # the Wolfe conditions make the product positive; near rounding it would say nothing about the curvature
        if step @ change > np.finfo(np.float64).eps * np.linalg.norm(step) * np.linalg.norm(change):
            state["steps"] = [*state["steps"], step][-self.memory :]
            state["changes"] = [*state["changes"], change][-self.memory :]
        parameters[...] = W + step


def line_search(
    objective: Objective,
    start: Array,
    direction: Array,
    max_evaluations: int,
    *,
    decrease: float = 1e-4,
    curvature: float = 0.9,
) -> float | None:
    """Find a step length that meets the Wolfe conditions, by doubling and bisection.

    Parameters
    ----------
    objective : callable
        Takes a vector to its cost and gradient.
    start, direction : ndarrays of shape (n,)
    max_evaluations : int
    decrease, curvature : float, default=1e-4, 0.9
        Least share of the slope at the start that the cost must fall by per length, and most of it that may be left.

    Returns
    -------
    float or None
        None if no length that lowers the cost was found.

    References
    ----------
    .. [1] Lewis, Overton (2013), "Nonsmooth optimization via quasi-Newton methods", Mathematical Programming 141,
       135-163, algorithm 2.6.
    """
    cost, gradient = objective(start)
    slope, too_short, too_long, length = gradient @ direction, 0.0, np.inf, 1.0
    for _ in range(max_evaluations):
        new_cost, new_gradient = objective(start + length * direction)
        if not new_cost <= cost + decrease * length * slope:  # a cost that is no number is none the lower
            too_long = length
        elif new_gradient @ direction < curvature * slope:
            too_short = length
        else:
            return length
        length = 2 * too_short if too_long == np.inf else (too_short + too_long) / 2
    return too_short or None


def inverse_hessian_product(gradient: Array, steps: list[Array], changes: list[Array]) -> Array:
    """Multiply by the L-BFGS approximation of the inverse Hessian: the two-loop recursion.

    Parameters
    ----------
    gradient : ndarray of shape (n,)
    steps, changes : lists of ndarrays of shape (n,), oldest first
        Past steps of the parameters, and the changes of the gradient that they made.

    Returns
    -------
    ndarray of shape (n,)
        Without past steps the gradient, scaled to length 1 if it is longer.

    References
    ----------
    .. [1] Nocedal, Wright (2006), "Numerical optimization", 2nd ed., algorithm 7.4.
    """
    if not steps:
        return gradient / max(1.0, np.linalg.norm(gradient))
    product, shares = gradient.copy(), []
    for step, change in zip(reversed(steps), reversed(changes)):
        share = (step @ product) / (step @ change)
        product -= share * change
        shares.append(share)
    product *= (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for step, change, share in zip(steps, changes, reversed(shares)):
        product += (share - (change @ product) / (step @ change)) * step
    return product


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "nadam": NAdam, "lbfgs": LBFGS}
