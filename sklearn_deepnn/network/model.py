"""The L-layer network: L-1 hidden layers and an output layer, forward and backward.

Conventions: columns are examples. `X` = A0 (n_0, m), `W{l}` (n_l, n_{l-1}), `b{l}` (n_l, 1), `AL` and `Y` (n_L, m).
A hidden layer is LINEAR -> [batch normalisation] -> activation -> [dropout], the output layer LINEAR -> link.
The members of an ensemble are stacked on a first axis of all arrays; `X` may lack it where all see the same examples.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import issparse
from sklearn.utils import gen_batches

from ..checks import check_choice, check_flag, check_integer, check_real, reject
from ..threads import SINGLE_THREADED_BLAS, ThreadPool, allowed_threads
from ..typing import Array, Arrays, Columns, Inputs, Maybe
from .activations import ACTIVATIONS
from .initializers import INITIALIZERS, zeros
from .layers import (
    EPSILON,
    batchnorm_backward,
    batchnorm_forward,
    dropout_backward,
    dropout_forward,
    linear_activation_backward,
    linear_activation_forward,
    linear_backward,
    linear_forward,
)
from .layers.batchnorm import BatchnormCache
from .layers.dense import LinearCache
from .losses import LOSSES, check_targets, default_loss
from .parameters import Parameters, is_weight

T = TypeVar("T")

CHUNK_ELEMENTS = 2**20  # of the widest layer, in one piece of a prediction: 4 MB in float32
CHUNK_COLUMNS = 4096  # and at most so many examples
MANY_PIECES = 8  # from which on threads pay: with 64 features and 100 units, 5 pieces take as long with as without


@dataclass(frozen=True)
class Network:
    """What a network is, all but its numbers.

    Parameters
    ----------
    layer_dims : tuple of int
        n_0, ..., n_L: inputs, hidden units, outputs.
    activation : str or tuple of str, default="relu"
        Of the hidden layers: one for all, or one each. Names in `ACTIVATIONS`.
    loss : str, optional
        Name in `LOSSES`, which brings the output's link; by default `default_loss(n_L)`.
    dropout_rate : float or tuple of float, default=0.0
        Share of hidden units dropped while training: one for all hidden layers, or one each.
    batch_norm : bool, default=False
        Whether the hidden layers normalise.
    ensemble_size : int, default=1
        Networks of this kind that learn and predict side by side. Those of an ensemble are stacked on a first axis of
        all arrays: "W1" is (ensemble_size, n_1, n_0). A single network has no such axis.

    Raises
    ------
    InvalidParameterError
        If an entry breaks its rule, or a tuple has not one entry per hidden layer.

    Examples
    --------
    >>> Network((64, 100, 10), activation="tanh")
    Network(layer_dims=(64, 100, 10), activation=('tanh',), loss='categorical_cross_entropy', dropout_rate=(0.0,), \
batch_norm=False, ensemble_size=1)
    """

    layer_dims: Sequence[int]
    activation: str | Sequence[str] = "relu"
    loss: Maybe[str] = None
    dropout_rate: Any = 0.0
    batch_norm: bool = False
    ensemble_size: int = 1

    def __post_init__(self) -> None:
        if np.ndim(self.layer_dims) != 1 or len(self.layer_dims) < 2:
            reject("layer_dims", "at least two numbers, inputs and outputs", self.layer_dims)
        layer_dims = tuple(int(check_integer("each of layer_dims", n, 1)) for n in self.layer_dims)
        n_hidden = len(layer_dims) - 2
        settle = object.__setattr__  # the way a frozen dataclass settles its own fields
        settle(self, "layer_dims", layer_dims)
        check_activation = partial(check_choice, choices=ACTIVATIONS)
        check_rate = partial(check_real, low=0, high=1, closed="left")
        settle(self, "activation", one_per_layer("activation", self.activation, n_hidden, check_activation))
        settle(self, "dropout_rate", one_per_layer("dropout_rate", self.dropout_rate, n_hidden, check_rate))
        settle(self, "loss", self.loss or default_loss(layer_dims[-1]))
        check_choice("loss", self.loss, LOSSES)
        check_flag("batch_norm", self.batch_norm)
        check_integer("ensemble_size", self.ensemble_size, 1)

    @property
    def n_layers(self) -> int:
        """L, the number of layers with weights."""
        return len(self.layer_dims) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as lists, numbers and strings."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def restore(cls, fields: dict[str, Any]) -> Self:
        """Return the network that `to_dict` was called on, without the time that checking it again would take."""
        network = object.__new__(cls)
        network.__dict__.update({k: tuple(value) if isinstance(value, list) else value for k, value in fields.items()})
        return network

    @classmethod
    def of(cls, weights: Sequence[Array]) -> Self:
        """Return the course's network for given weights: ReLU hidden layers, sigmoid or softmax by output size.

        Parameters
        ----------
        weights : sequence of ndarrays of shape (n_l, n_{l-1})
            W1, ..., WL.
        """
        ensemble_size = len(weights[0]) if weights[0].ndim == 3 else 1
        return cls((weights[0].shape[-1], *(W.shape[-2] for W in weights)), ensemble_size=ensemble_size)


def one_per_layer(name: str, value: Any, n_hidden: int, check: Callable[[str, Any], object]) -> tuple[Any, ...]:
    """Return a tuple with one entry per hidden layer, from one value for all or from a sequence.

    Parameters
    ----------
    name : str
        What errors call the value.
    value : object
    n_hidden : int
    check : callable
        Takes the name and one entry; raises if the entry breaks its rule.

    Raises
    ------
    InvalidParameterError
        If an entry breaks its rule, or a sequence has another length.
    """
    single = not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, str) or np.shape(value) == ()
    for entry in [value] if single else value:
        check(name, entry)
    if single:
        return (value,) * n_hidden
    if len(value) != n_hidden:
        reject(name, f"one value, or one for each of the {n_hidden} hidden layers", value)
    return tuple(value)


def initialize_parameters(
    layer_dims: Sequence[int],
    *,
    activation: str | Sequence[str] = "relu",
    weight_init: str = "auto",
    batch_norm: bool = False,
    ensemble_size: int = 1,
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
) -> Parameters:
    """Draw start values: weights by `weight_init`, biases zero.

    Parameters
    ----------
    layer_dims : sequence of int
        n_0, ..., n_L.
    activation : str or sequence of str, default="relu"
        Of the hidden layers; "auto" goes by them.
    weight_init : str, default="auto"
        Name in `INITIALIZERS`. "auto" takes what suits each layer's activation: He for the ReLU family, LeCun for
        selu, Glorot for tanh, sigmoid and the output layer.
    batch_norm : bool, default=False
        Hidden layers then have "gamma" (ones), "beta" (zeros) and running statistics, and no "b".
    ensemble_size : int, default=1
        Of more than one, all arrays have a first axis, with draws of its own for each member.
    rng : numpy.random.Generator, int or None
        An int seeds a generator; None draws a new one.
    dtype : dtype, optional
        float64 by default. The draws are the same for every dtype.

    Returns
    -------
    Parameters
        A dict: "W1" (n_1, n_0), "b1" (n_1, 1), ..., "WL", "bL".

    Raises
    ------
    InvalidParameterError

    Examples
    --------
    >>> parameters = initialize_parameters([5, 4, 3], rng=3)
    >>> {name: array.shape for name, array in parameters.items()}
    {'W1': (4, 5), 'b1': (4, 1), 'W2': (3, 4), 'b2': (3, 1)}
    """
    network = Network(layer_dims, activation=activation, batch_norm=batch_norm, ensemble_size=ensemble_size)
    if weight_init != "auto":
        check_choice("weight_init", weight_init, INITIALIZERS, otherwise=" or 'auto'")
    rng = np.random.default_rng(rng)
    arrays, stack = {}, () if ensemble_size == 1 else (ensemble_size,)
    for l, (n_prev, n) in enumerate(pairwise(network.layer_dims), start=1):
        hidden = l < network.n_layers
        suited = ACTIVATIONS[network.activation[l - 1] if hidden else "identity"].initializer
        initializer = INITIALIZERS[suited if weight_init == "auto" else weight_init]
        draws = [initializer((n, n_prev), rng) for _ in range(ensemble_size)]
        arrays[f"W{l}"] = np.stack(draws) if stack else draws[0]
        of_units = (*stack, n, 1)
        if hidden and batch_norm:
            arrays |= {f"gamma{l}": np.ones(of_units), f"beta{l}": zeros(of_units)}
            arrays |= {f"running_mean{l}": zeros(of_units), f"running_variance{l}": np.ones(of_units)}
        else:
            arrays[f"b{l}"] = zeros(of_units)
    return Parameters(arrays, dtype)


class Names(NamedTuple):
    """The names of one layer's arrays, and of their gradients."""

    W: str
    b: str
    gamma: str
    beta: str
    running_mean: str
    running_variance: str
    dW: str
    db: str
    dgamma: str
    dbeta: str


@lru_cache(maxsize=1024)
def names_of(l: int) -> Names:
    """Return the `Names` of layer l: "W1", "b1", ... Putting them together anew is felt in small networks."""
    return Names(*(f"{kind}{l}" for kind in Names._fields))


class LayerCache(NamedTuple):
    """What a layer's forward leaves for its backward; None where the layer has no such part."""

    linear: LinearCache
    batchnorm: BatchnormCache | None
    activation: Any
    dropout: Array | None


def model_forward(
    X: Inputs,
    parameters: Arrays,
    network: Network | None = None,
    *,
    training: bool = False,
    rng: Maybe[np.random.Generator] = None,
    sample_weight: Array | None = None,
) -> tuple[Array, list[LayerCache]]:
    """Apply the network: [LINEAR -> activation] * (L-1) -> LINEAR -> link.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_0, m)
    parameters : dict of str to ndarray
    network : Network, optional
        By default the course's: ReLU, and sigmoid or softmax behind.
    training : bool, default=False
        Whether units drop out and batch normalisation goes by the batch; if not, by its running statistics.
    rng : numpy.random.Generator, optional
        Draws what drops out; needed where something does.
    sample_weight : ndarray of shape (m,), optional
        Weights for the statistics of batch normalisation.

    Returns
    -------
    AL : ndarray of shape (n_L, m)
    caches : list of L LayerCache
        The last one's `activation` is the logits ZL (n_L, m).
    """
    network = network or Network.of([parameters[f"W{l}"] for l in range(1, 1 + sum(map(is_weight, parameters)))])
    ZL, caches = logits_forward(X, parameters, network, training=training, rng=rng, sample_weight=sample_weight)
    return LOSSES[network.loss].link(ZL), caches


def logits_forward(
    X: Inputs,
    parameters: Arrays,
    network: Network,
    *,
    training: bool = False,
    rng: Maybe[np.random.Generator] = None,
    sample_weight: Array | None = None,
) -> tuple[Array, list[LayerCache]]:
    """Apply the network without its link.

    Parameters
    ----------
    X, parameters, network, training, rng, sample_weight
        As in `model_forward`.

    Returns
    -------
    ZL : ndarray of shape (n_L, m)
    caches : list of L LayerCache
    """
    A, caches = X, []
    for l in range(1, network.n_layers):
        A, cache = layer_forward(A, parameters, l, network, training=training, rng=rng, sample_weight=sample_weight)
        caches.append(cache)
    last = names_of(network.n_layers)
    ZL, linear_cache = linear_forward(A, parameters[last.W], parameters[last.b])
    caches.append(LayerCache(linear_cache, None, ZL, None))
    return ZL, caches


def layer_forward(
    A_prev: Inputs,
    parameters: Arrays,
    l: int,
    network: Network,
    *,
    training: bool = False,
    rng: Maybe[np.random.Generator] = None,
    sample_weight: Array | None = None,
) -> tuple[Array, LayerCache]:
    """Apply hidden layer l: LINEAR -> [batch normalisation] -> activation -> [dropout].

    Parameters
    ----------
    A_prev : ndarray or sparse array of shape (n_{l-1}, m)
    parameters : dict of str to ndarray
    l : int
    network : Network
    training, rng, sample_weight
        As in `model_forward`.

    Returns
    -------
    A : ndarray of shape (n_l, m)
    cache : LayerCache
    """
    name, activation, batchnorm_cache, dropout_cache = names_of(l), network.activation[l - 1], None, None
    if network.batch_norm:
        Z, linear_cache = linear_forward(A_prev, parameters[name.W], None)
        statistics = None if training else (parameters[name.running_mean], parameters[name.running_variance])
        Z, batchnorm_cache = batchnorm_forward(
            Z, parameters[name.gamma], parameters[name.beta], statistics=statistics, sample_weight=sample_weight
        )
        A, activation_cache = ACTIVATIONS[activation].forward(Z)
    else:
        A, (linear_cache, activation_cache) = linear_activation_forward(
            A_prev, parameters[name.W], parameters[name.b], activation
        )
    if training and network.dropout_rate[l - 1]:
        A, dropout_cache = dropout_forward(A, network.dropout_rate[l - 1], rng)
    return A, LayerCache(linear_cache, batchnorm_cache, activation_cache, dropout_cache)


def model_backward(
    AL: Array,
    Y: Array,
    caches: list[LayerCache],
    network: Network | None = None,
    *,
    sample_weight: Array | None = None,
    m: int | None = None,
    out: Arrays | None = None,
) -> Arrays:
    """Backpropagate through `model_forward`: the gradient of `compute_cost` with respect to every parameter.

    The course starts from dAL = -(Y / AL - (1 - Y) / (1 - AL)), which divides by zero where AL has saturated; this
    starts from what that becomes at the logits, dZL = AL - Y, rounded as `canonical_gradient` says.

    Parameters
    ----------
    AL, Y : ndarrays of shape (n_L, m)
    caches : list of LayerCache
        From `model_forward`.
    network : Network, optional
        The one that went forward; by default the course's.
    sample_weight : ndarray of shape (m,), optional
        Multiplies each example's gradient. For the members of an ensemble it may be (ensemble_size, m).
    m : int, optional
        What the sums over the examples are divided by, by default their number. For a part of a batch that is the
        number in the whole batch: the gradients of its parts then add up to its own.
    out : dict of str to ndarray, optional
        Where to write, from `Parameters.gradients`.

    Returns
    -------
    grads : dict of str to ndarray
        "dW1", "db1", ..., each of the shape of its parameter, averaged over the examples; `out` if that was given.

    Raises
    ------
    ValueError
        If Y has another shape than AL.
    """
    check_targets(AL, Y)
    network = network or Network.of([cache.linear[1] for cache in caches])
    # divided here, where there is least to divide; what comes of it are sums, m=1
    dZL = LOSSES[network.loss].gradient(AL, Y) * (1 / int(AL.shape[-1] if m is None else m))
    if sample_weight is not None:
        dZL = dZL * sample_weight[..., np.newaxis, :]
    return logits_backward(dZL, caches, network, out=out)[1]


def logits_backward(
    dZL: Array,
    caches: list[LayerCache],
    network: Network,
    *,
    out: Arrays | None = None,
    wrt_input: bool = False,
    wrt_parameters: bool = True,
) -> tuple[Maybe[Array], Arrays]:
    """Backpropagate through `logits_forward`.

    Parameters
    ----------
    dZL : ndarray of shape (n_L, m)
        The gradient at the logits.
    caches : list of LayerCache
    network : Network
    out : dict of str to ndarray, optional
        As in `model_backward`.
    wrt_input : bool, default=False
        Whether dA0 is wanted; training can spare it.
    wrt_parameters : bool, default=True
        Whether the gradients of weights and biases are wanted.

    Returns
    -------
    dA0 : ndarray of shape (n_0, m), or None
        Of an ensemble (ensemble_size, n_0, m).
    grads : dict of str to ndarray
        "dW1", "db1", ..., sums over the examples; None each if they are not wanted. Those of batch normalisation, which
        cost next to nothing, come in either case.
    """
    grads, l = {} if out is None else out, network.n_layers
    name = names_of(l)
    into, wrt_prev = (grads.get(name.dW), grads.get(name.db)), wrt_input or l > 1
    dA, grads[name.dW], grads[name.db] = linear_backward(
        dZL, caches[-1].linear, m=1, out=into, wrt_input=wrt_prev, wrt_parameters=wrt_parameters
    )
    for l in range(network.n_layers - 1, 0, -1):
        wrt_prev = wrt_input or l > 1
        dA, layer_grads = layer_backward(
            dA, caches[l - 1], l, network, out=grads, wrt_input=wrt_prev, wrt_parameters=wrt_parameters
        )
        grads.update(layer_grads)
    return dA, grads


def layer_backward(
    dA: Array,
    cache: LayerCache,
    l: int,
    network: Network,
    *,
    out: Arrays,
    wrt_input: bool = True,
    wrt_parameters: bool = True,
) -> tuple[Maybe[Array], Arrays]:
    """Backpropagate through `layer_forward`.

    Gradients are sums over the examples: `dA` has been divided by their number.

    Parameters
    ----------
    dA : ndarray of shape (n_l, m)
    cache : LayerCache
    l : int
    network : Network
    out : dict of str to ndarray
        Where to write the gradients that it has names for; the others are new arrays.
    wrt_input : bool, default=True
        Whether dA_prev is wanted.
    wrt_parameters : bool, default=True
        As in `logits_backward`.

    Returns
    -------
    dA_prev : ndarray of shape (n_{l-1}, m), or None
    grads : dict of str to ndarray
        "dW{l}" and "db{l}", or with batch normalisation "dW{l}", "dgamma{l}" and "dbeta{l}".
    """
    name, activation = names_of(l), network.activation[l - 1]
    into = out.get(name.dW), out.get(name.db)
    if cache.dropout is not None:
        dA = dropout_backward(dA, cache.dropout)
    if cache.batchnorm is None:
        caches = cache.linear, cache.activation
        dA_prev, dW, db = linear_activation_backward(
            dA, caches, activation, m=1, out=into, wrt_input=wrt_input, wrt_parameters=wrt_parameters
        )
        return dA_prev, {name.dW: dW, name.db: db}
    dZ = ACTIVATIONS[activation].backward(dA, cache.activation)
    into_norm = out.get(name.dgamma), out.get(name.dbeta)
    dZ, dgamma, dbeta = batchnorm_backward(dZ, cache.batchnorm, m=1, out=into_norm)
    dA_prev, dW, _ = linear_backward(
        dZ, cache.linear, m=1, out=into, wrt_input=wrt_input, wrt_parameters=wrt_parameters
    )
    return dA_prev, {name.dW: dW, name.dgamma: dgamma, name.dbeta: dbeta}


def running_statistics(parameters: Arrays, caches: list[LayerCache], momentum: float) -> Arrays:
    """Return the running statistics with a batch's counted in: momentum * old + (1 - momentum) * batch.

    Parameters
    ----------
    parameters : dict of str to ndarray
    caches : list of LayerCache
        Of a forward with training=True.
    momentum : float
        0 forgets the old ones.

    Returns
    -------
    dict of str to ndarray
        "running_mean1", "running_variance1", ...; empty without batch normalisation.
    """
    batch: Arrays = {}
    for l, cache in enumerate(caches, start=1):
        if cache.batchnorm is not None:
            name = names_of(l)
            batch |= {name.running_mean: cache.batchnorm.mean, name.running_variance: cache.batchnorm.variance}
    return {name: momentum * parameters[name] + (1 - momentum) * array for name, array in batch.items()}


def fold_batch_norm(parameters: Arrays) -> Arrays:
    """Fold batch normalisation into the linear parts: the network that predicts the same, with W and b alone.

    With s = gamma / sqrt(running_variance + epsilon): W' = s W, b' = beta - s running_mean.

    Parameters
    ----------
    parameters : dict of str to ndarray

    Returns
    -------
    dict of str to ndarray
        "W1", "b1", ...; what needs no folding is passed on as it is.
    """
    folded = {name: array for name, array in parameters.items() if re.fullmatch(r"[Wb]\d+", name)}
    for name in parameters:
        if name.startswith("gamma"):
            l = name.removeprefix("gamma")
            scale = parameters[name] / np.sqrt(parameters[f"running_variance{l}"] + EPSILON)
            folded[f"W{l}"] = scale * parameters[f"W{l}"]
            folded[f"b{l}"] = parameters[f"beta{l}"] - scale * parameters[f"running_mean{l}"]
    return folded


def keep_freed_memory() -> None:
    """Have malloc keep what is freed for the arrays to come, where it would hand it back and ask for it again.

    Memory fresh from the system costs a page fault for every 4 kB, in networks of middling size a third of the time of
    training. glibc raises its thresholds when a large piece is freed [1]_, so one is, unused; elsewhere that is idle.

    References
    ----------
    .. [1] mallopt(3), M_MMAP_THRESHOLD.
    """
    np.empty(2**23, np.uint8)


def map_logits(
    function: Callable[[slice, Array], T], X: Inputs, parameters: Arrays, network: Network, columns: Array | None = None
) -> list[T]:
    """Predict a piece of X at a time and hand its logits on: faster than in one go, with next to no memory.

    Where there are many pieces, threads work on them side by side.

    Parameters
    ----------
    function : callable
        Takes a piece, a slice of the wanted examples, and its logits ZL (n_L, m), of an ensemble those of each member.
    X : ndarray or sparse array of shape (n_0, n)
        Pieces of it are converted to the dtype of the parameters.
    parameters : dict of str to ndarray
    network : Network
    columns : ndarray of int, optional
        The examples wanted, by default all; of shape (ensemble_size, m) other ones for each member of an ensemble.

    Returns
    -------
    list
        What the function returned for each piece, in their order.
    """
    widest = max(network.layer_dims[1:] if issparse(X) else network.layer_dims) * network.ensemble_size

    def predict(piece: slice, A0: Inputs) -> T:
        return function(piece, logits_forward(A0, parameters, network)[0])

    return map_pieces(predict, X, parameters["W1"].dtype, widest, columns)


def map_pieces(
    function: Callable[[slice, Inputs], T], X: Inputs, dtype: DTypeLike, width: int, columns: Array | None = None
) -> list[T]:
    """Hand on a piece of X at a time, so small that work on it takes little memory and stays in the cache.

    Where there are many pieces, threads work on them side by side.

    Parameters
    ----------
    function : callable
        Takes a piece, a slice of the wanted examples, and these: A0 (n_0, m).
    X : ndarray or sparse array of shape (n_0, n)
    dtype : dtype
        Of A0.
    width : int
        Elements that the work on one example takes.
    columns : ndarray of int, optional
        As in `map_logits`.

    Returns
    -------
    list
        What the function returned for each piece, in their order.
    """
    n = X.shape[1] if columns is None else columns.shape[-1]
    size = max(min(CHUNK_COLUMNS, CHUNK_ELEMENTS // width), 64)

    def work(piece: slice) -> T:
        return function(piece, take_columns(X, piece if columns is None else columns[..., piece], dtype))

    if n <= size:  # gen_batches checks its arguments for longer than one row takes
        return [work(slice(0, n))]
    keep_freed_memory()
    pieces = list(gen_batches(n, size))
    if len(pieces) < MANY_PIECES or issparse(X):  # sparse products hold Python's lock
        return [work(piece) for piece in pieces]
    with SINGLE_THREADED_BLAS.hold(), ThreadPool(min(allowed_threads(), len(pieces))) as thread_pool:
        return thread_pool.map(work, pieces)


def check_finite(array: Array) -> None:
    """Raise if what a network computes from finite inputs is not finite.

    Parameters
    ----------
    array : ndarray

    Raises
    ------
    ValueError
    """
    if not np.isfinite(array).all():
        raise ValueError(f"X has values too large for this network, which computes in {array.dtype}.")


def take_columns(X: Inputs, columns: Columns, dtype: DTypeLike | None) -> Inputs:
    """Return some examples of X, as dtype; X itself is neither copied nor converted.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_0, n)
    columns : slice, or ndarray of int of shape (m,) or (ensemble_size, m)
    dtype : dtype or None
        None leaves it as it is.

    Returns
    -------
    ndarray or sparse array of shape (n_0, m)
        With other columns for each member of an ensemble: an ndarray of shape (ensemble_size, n_0, m), or a list of
        sparse arrays.
    """
    is_dense, for_members = isinstance(X, np.ndarray), np.ndim(columns) == 2
    if for_members and not is_dense:
        return [take_columns(X, of_member, dtype) for of_member in columns]
    if isinstance(columns, slice) or not is_dense:
        taken = X[:, columns]
    elif X.flags.f_contiguous:
        taken = X.T.take(columns, axis=0).mT  # gathers rows in 2 us; X.take(columns, axis=1) copies all of X first
    else:
        taken = X.take(columns, axis=1) if X.flags.c_contiguous else X[:, columns]
        taken = np.moveaxis(taken, 0, -2) if for_members else taken
    return taken if dtype is None or taken.dtype == dtype else taken.astype(dtype)
