"""Optimizers: rules that compute the next parameters from the gradient.

`parameters`, `grads` and each moment are flat vectors of the same length (`Parameters.trainable`, and the `vector` of
its gradients). An optimizer is a frozen dataclass of hyper-parameters. Its state is a dict, which `init` creates;
`update` writes to `parameters` and `state` in place. The caller passes the learning rate of each step. Weight decay and
clipping are in `regularizers`.

Each first-order optimizer computes a direction and leaves the step to `update_parameters`. Moving averages are stored
without their factor, v / (1 - rho) for v, which saves a multiplication of whole vectors in every step.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Self, TypeAlias, overload

import numpy as np

from ..checks import argument_names, check_flag, check_integer, check_real
from ..compilation import Loop
from ..typing import Array, Arrays, State

Objective: TypeAlias = Callable[[Array], tuple[float, Array]]  # parameters -> cost, gradient
OptimizerName: TypeAlias = Literal["sgd", "rmsprop", "adam", "nadam", "lbfgs"]

DECREASE, CURVATURE = 1e-4, 0.9  # fractions of the slope in the Wolfe conditions; see `line_search`


class Optimizer(ABC):
    """Base class of optimizers: hyper-parameters, which scikit-learn's searches can set; `init` and `update`.

    A subclass is a frozen dataclass, or names its hyper-parameters in its constructor and stores each under its name.
    Optimizers of one class are equal if all that they store is equal. They have no hash, which `set_params` would
    change: a dataclass takes both from here with ``eq=False``.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier, SGD
    >>> SGD(nesterov=True).set_params(momentum=0.9)
    SGD(momentum=0.9, nesterov=True)
    >>> DeepNNClassifier((64,)).set_params(optimizer="sgd", optimizer__momentum=0.9).optimizer
    SGD(momentum=0.9, nesterov=False)
    """

    # Whether each step needs the whole training set. `update` then takes an `objective` as well; see `LBFGS.update`.
    full_batch: ClassVar[bool] = False
    # Whether `update` computes each element of parameters and state from the same element of parameters, grads and
    # state, and from numbers. Long vectors are then updated in blocks, in any order and on several threads. The state
    # contains nothing but arrays of the shape of `parameters`, and numbers that change without a look at any array.
    # An optimizer that uses, say, the norm of the gradient is not elementwise. Its vectors hold all members of an
    # ensemble, so that the norm is about sqrt(ensemble_size) times that of one network.
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.check()

    def __eq__(self, other: object) -> bool:  # without a __hash__ beside it, which makes instances unhashable
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_params().items())})"

    def __sklearn_clone__(self) -> Self:
        return copy.deepcopy(self)  # scikit-learn would call the constructor, which refuses what `set_params` takes

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the hyper-parameters by name. `deep` is ignored: they have no parameters of their own."""
        return {name: getattr(self, name) for name in argument_names(type(self))}

    def set_params(self, **params: Any) -> Self:
        """Set hyper-parameters, and return the optimizer. Values are checked when training begins. Sets: self."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ValueError(f"Invalid parameter {name!r} for optimizer {self}. Valid parameters are: {[*known]}.")
        vars(self).update(params)  # the class is frozen: this method alone changes an optimizer
        return self

    def check(self) -> None:  # noqa: B027  # not abstract: an optimizer may have no rules
        """Raise an `InvalidParameterError` if a hyper-parameter breaks its rule."""

    @abstractmethod
    def init(self, parameters: Array) -> State:
        """Return the state before the first step: arrays, and Python numbers. The vector may be empty."""

    @property
    @abstractmethod
    def update(self) -> Callable[..., None]:
        """Take a step: ``update(parameters, grads, state, learning_rate)``. Sets: parameters, state."""


def block_of(state: State, block: slice) -> State:
    """Return the state of one block of the parameters, for the `update` of an elementwise optimizer."""
    return {name: value[block] if isinstance(value, np.ndarray) else value for name, value in state.items()}


def advance(state: State, block_state: State) -> None:
    """Copy the numbers of one updated block, which are those of all blocks, to the state of the vector. Sets: state."""
    state.update({name: value for name, value in block_state.items() if not isinstance(value, np.ndarray)})


def flush_subnormals(vector: Array) -> None:
    """Set subnormal numbers, those smaller than the smallest normal number, to 0. Sets: vector."""
    if vector.dtype.kind == "f":
        vector[np.abs(vector) < smallest_normal(vector.dtype)] = 0


@cache
def smallest_normal(dtype: np.dtype[Any]) -> float:
    """Return the smallest normal number of a floating-point type."""
    return float(np.finfo(dtype).tiny)


@overload
def update_parameters(parameters: Arrays, grads: Arrays, learning_rate: float) -> Arrays: ...
@overload
def update_parameters(
    parameters: Array, grads: Array, learning_rate: float, *, out: Array | None = None, loop: Loop | None = None
) -> Array: ...
def update_parameters(
    parameters: Any, grads: Any, learning_rate: float, *, out: Array | None = None, loop: Loop | None = None
) -> Any:
    """Take a step of gradient descent: parameters - learning_rate * grads.

    Parameters
    ----------
    parameters : dict of str to ndarray, or ndarray
        "W1", "b1", ...; or one array.
    grads : dict of str to ndarray, or ndarray
        "dW1", "db1", ...; or one array of the same shape. Parameters without a gradient do not change.
    learning_rate : float
    out : ndarray, optional
        Array to write to, if `parameters` is one array; `parameters` itself is allowed.
    loop : callable, optional
        A compiled loop, loop(out, grads, learning_rate), that computes an optimizer's direction from `grads` and takes
        the step in the same pass over memory. `out` must be `parameters`. Every step of a fit passes here, compiled or
        not.

    Returns
    -------
    dict of str to ndarray, or ndarray
        The new parameters; new arrays unless `out` is given.

    Examples
    --------
    >>> update_parameters({"W1": np.array([[1.0, 2.0]])}, {"dW1": np.array([[10.0, 0.0]])}, learning_rate=0.1)
    {'W1': array([[0., 2.]])}
    """
    if isinstance(parameters, dict):
        trained = {name: W for name, W in parameters.items() if "d" + name in grads}
        stepped = {name: update_parameters(W, grads["d" + name], learning_rate) for name, W in trained.items()}
        return {**parameters, **stepped}
    if loop is not None:
        loop(out, grads, learning_rate)
        return out
    return np.subtract(parameters, learning_rate * grads, out=out)


@dataclass(frozen=True, eq=False)
class SGD(Optimizer):
    """Gradient descent, with or without momentum: parameters -= learning_rate * direction.

    ::

        v = momentum * v + grads
        direction = v                       # nesterov: grads + momentum * v

    Without momentum, direction = grads.

    Parameters
    ----------
    momentum : float in [0, 1), default=0.0
    nesterov : bool, default=False
        Whether to use Nesterov's momentum.

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
    elementwise: ClassVar[bool] = True

    def check(self) -> None:
        """Raise an `InvalidParameterError` if a hyper-parameter breaks its rule."""
        check_real("momentum", self.momentum, 0, 1, closed="left")
        check_flag("nesterov", self.nesterov)

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"v"}, or {} without momentum."""
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


def root_plus(v: Array, epsilon: float) -> Array:
    """Return sqrt(v) + epsilon. The sum is computed in place, which saves a second new array."""
    root = np.sqrt(v)
    root += epsilon
    return root


@dataclass(frozen=True, eq=False)
class RMSprop(Optimizer):
    """Divide the gradient by its root mean square: parameters -= learning_rate * grads / (sqrt(v) + epsilon).

    ::

        v = rho * v + (1 - rho) * grads^2

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
    elementwise: ClassVar[bool] = True

    def check(self) -> None:
        """Raise an `InvalidParameterError` if a hyper-parameter breaks its rule."""
        check_real("rho", self.rho, 0, 1, closed="left")
        check_real("epsilon", self.epsilon, 0, closed="neither")

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"v"}."""
        return {"v": np.zeros_like(parameters)}

    def update(self, parameters: Array, grads: Array, state: State, learning_rate: float) -> None:
        """Take a step. Sets: parameters, state["v"]."""
        v, scale = state["v"], (1 - self.rho) ** 0.5
        v *= self.rho
        v += grads * grads
        # sqrt((1 - rho) v) + epsilon = scale (sqrt(v) + epsilon / scale)
        direction = grads / root_plus(v, self.epsilon / scale)
        update_parameters(parameters, direction, learning_rate / scale, out=parameters)


@dataclass(frozen=True, eq=False)
class Adam(Optimizer):
    """Divide the mean of the gradient by its root mean square; both are moving averages, corrected for their bias.

    At step t = 1, 2, ...::

        m = beta_1 * m + (1 - beta_1) * grads
        v = beta_2 * v + (1 - beta_2) * grads^2
        parameters -= learning_rate * (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)

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
    elementwise: ClassVar[bool] = True

    def check(self) -> None:
        """Raise an `InvalidParameterError` if a hyper-parameter breaks its rule."""
        check_real("beta_1", self.beta_1, 0, 1, closed="left")
        check_real("beta_2", self.beta_2, 0, 1, closed="left")
        check_real("epsilon", self.epsilon, 0, closed="neither")

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"t", "m", "v"}."""
        return {"t": 0, "m": np.zeros_like(parameters), "v": np.zeros_like(parameters)}

    def update(self, parameters: Array, grads: Array, state: State, learning_rate: float) -> None:
        """Take a step. Sets: parameters, state["t"], state["m"], state["v"]."""
        size = self.move_averages(grads, state)
        direction = np.divide(state["m"], size, out=size)
        update_parameters(parameters, direction, self.rate(state["t"], learning_rate), out=parameters)

    def move_averages(self, grads: Array, state: State) -> Array:
        """Move m and v by a step. Return sqrt(v / (1 - beta_2^t)) + epsilon, times `scale`. Sets: state."""
        state["t"] += 1
        m, v = state["m"], state["v"]
        m *= self.beta_1
        m += grads
        v *= self.beta_2
        v += grads * grads
        # The bias correction acts on numbers, not on vectors. With v = (1 - beta_2) state["v"]:
        # sqrt(v / (1 - beta_2^t)) + epsilon = (sqrt(state["v"]) + epsilon scale) / scale
        return root_plus(v, self.epsilon * self.scale(state["t"]))

    def scale(self, t: int) -> float:
        """Return sqrt(state["v"]) over sqrt(v / (1 - beta_2^t))."""
        return float(((1 - self.beta_2**t) / (1 - self.beta_2)) ** 0.5)

    def factors(self, t: int) -> tuple[float, float]:
        """Return the factors of state["m"] and of grads in the numerator of step t."""
        return 1.0, 0.0

    def rate(self, t: int, learning_rate: float) -> float:
        """Return what the numerator over `move_averages` is multiplied by in step t."""
        return self.scale(t) * (learning_rate * (1 - self.beta_1) / (1 - self.beta_1**t))


@dataclass(frozen=True, eq=False)
class NAdam(Adam):
    """Adam with Nesterov's momentum.

    With m and v as in `Adam`, at step t = 1, 2, ...::

        numerator = beta_1 * m / (1 - beta_1^(t+1)) + (1 - beta_1) * grads / (1 - beta_1^t)
        parameters -= learning_rate * numerator / (sqrt(v / (1 - beta_2^t)) + epsilon)

    Parameters
    ----------
    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
    epsilon : float, default=1e-8

    References
    ----------
    .. [1] Dozat (2016), "Incorporating Nesterov momentum into Adam", ICLR workshop. The paper's schedule of
       beta_1, which torch and Keras implement, is omitted.

    Examples
    --------
    >>> from sklearn_deepnn import DeepNNClassifier, NAdam
    >>> model = DeepNNClassifier((64,), optimizer=NAdam(beta_2=0.99))
    """

    def update(self, parameters: Array, grads: Array, state: State, learning_rate: float) -> None:
        """Take a step. Sets: parameters, state["t"], state["m"], state["v"]."""
        size = self.move_averages(grads, state)
        of_mean, of_grads = self.factors(state["t"])
        direction = (of_mean * state["m"] + of_grads * grads) / size
        update_parameters(parameters, direction, self.rate(state["t"], learning_rate), out=parameters)

    def factors(self, t: int) -> tuple[float, float]:
        """Return the factors of state["m"] and of grads in the numerator of step t, over 1 - beta_1."""
        return self.beta_1 / (1 - self.beta_1 ** (t + 1)), 1 / (1 - self.beta_1**t)

    def rate(self, t: int, learning_rate: float) -> float:
        """Return what the numerator over `move_averages` is multiplied by in step t."""
        return learning_rate * self.scale(t) * (1 - self.beta_1)


@dataclass(frozen=True, eq=False)
class LBFGS(Optimizer):
    """Limited-memory BFGS: parameters += length * direction, with direction = -H grads and length from a line search.

    H approximates the inverse Hessian; see `inverse_hessian_product`. Each step needs the whole training set; the
    learning rate is not used. (``scipy.optimize.minimize`` would not let training be resumed: it hides its state.)

    Parameters
    ----------
    memory : int, default=10
        Number of past steps that determine H.
    max_line_search : int, default=30
        Maximum number of evaluations of the cost in one step, at least 5.
    gradient_tolerance : float, default=1e-5
        Training has converged when no element of the gradient is larger in absolute value.

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

    def check(self) -> None:
        """Raise an `InvalidParameterError` if a hyper-parameter breaks its rule."""
        check_integer("memory", self.memory, 1)
        check_integer("max_line_search", self.max_line_search, 5)
        check_real("gradient_tolerance", self.gradient_tolerance, 0)

    def init(self, parameters: Array) -> State:
        """Return the state before the first step: {"steps", "changes", "converged"}."""
        return {"steps": [], "changes": [], "converged": False}

    def update(
        self, parameters: Array, grads: Array, state: State, learning_rate: float, *, objective: Objective
    ) -> None:
        """Take a step. Sets: parameters, state["steps"], state["changes"], state["converged"]."""
        W, dW = parameters.astype(np.float64), grads.astype(np.float64)
        state["converged"] = bool(np.abs(dW).max() <= self.gradient_tolerance)
        if state["converged"]:
            return
        direction = -inverse_hessian_product(dW, state["steps"], state["changes"])
        length = line_search(objective, W, direction, self.max_line_search)
        if length is None:
            # Without past steps, the direction is the negative gradient. If even that does not lower the cost, the
            # cost is at its minimum within floating-point precision. Otherwise the next step starts without past steps.
            state["converged"] = not state["steps"]
            state["steps"], state["changes"] = [], []
            return
        step = length * direction
        change = objective(W + step)[1] - dW
        step.flags.writeable = change.flags.writeable = False  # snapshots of the state share read-only arrays
        # The Wolfe conditions make the product positive. At the level of rounding errors it says nothing about the
        # curvature.
        if step @ change > np.finfo(np.float64).eps * np.linalg.norm(step) * np.linalg.norm(change):
            state["steps"] = [*state["steps"], step][-self.memory :]
            state["changes"] = [*state["changes"], change][-self.memory :]
        parameters[...] = W + step


def line_search(objective: Objective, start: Array, direction: Array, max_evaluations: int) -> float | None:
    """Return a step length that satisfies both Wolfe conditions, or else at least the first; None if none was found."""
    # Lewis, Overton (2013), "Nonsmooth optimization via quasi-Newton methods", Mathematical Programming 141, 135-163,
    # algorithm 2.6: double the length until it is too long, then bisect
    cost, gradient = objective(start)
    slope, too_short, too_long, length = gradient @ direction, 0.0, np.inf, 1.0
    for _ in range(max_evaluations):
        new_cost, new_gradient = objective(start + length * direction)
        if not new_cost <= cost + DECREASE * length * slope:  # the first condition; a cost of NaN violates it, too
            too_long = length
        elif new_gradient @ direction < CURVATURE * slope:  # the second
            too_short = length
        else:
            return length
        length = 2 * too_short if too_long == np.inf else (too_short + too_long) / 2
    return too_short or None


def inverse_hessian_product(gradient: Array, steps: list[Array], changes: list[Array]) -> Array:
    """Return H gradient, where H is the L-BFGS approximation of the inverse Hessian, by the two-loop recursion."""
    if not steps:
        return gradient / max(1.0, np.linalg.norm(gradient))
    product, alphas = gradient.copy(), []
    for step, change in zip(reversed(steps), reversed(changes)):
        alpha = (step @ product) / (step @ change)
        product -= alpha * change
        alphas.append(alpha)
    product *= (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for step, change, alpha in zip(steps, changes, reversed(alphas)):
        beta = (change @ product) / (step @ change)
        product += (alpha - beta) * step
    return product


OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "nadam": NAdam, "lbfgs": LBFGS}
OPTIMIZER_SYNONYMS = {  # names elsewhere; weight decay is always that of AdamW
    "adamw": "adam",
    "adamax": "adam",
    "momentum": "sgd",
    "nesterov": "sgd",
    "gradient_descent": "sgd",
}
