"""The L-layer network: L-1 hidden layers and an output layer, forward and backward.

Conventions: columns are examples. `X` = A0 (n_0, m), `W{l}` (n_l, n_{l-1}), `b{l}` (n_l, 1), `AL` and `Y` (n_L, m).
A hidden layer is LINEAR -> [batch normalisation] -> activation -> [dropout], the output layer LINEAR -> link. An
embedding layer may come before the first: its `E` (d, n_categories) has a vector for each category.
The networks of an ensemble are stacked on a first axis of all arrays. They share an `X` that lacks this axis.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..checks import check_choice, reject
from ..typing import Array, Arrays, Inputs
from .activations import Activation, find_activation
from .architecture import Network
from .initializers import INITIALIZER_SYNONYMS, INITIALIZERS, zeros
from .layers.batchnorm import EPSILON, BatchnormCache, batchnorm_backward, batchnorm_forward
from .layers.dense import (
    LinearCache,
    linear_activation_backward,
    linear_activation_forward,
    linear_backward,
    linear_forward,
)
from .layers.dropout import dropout_backward, dropout_forward
from .layers.embedding import embedding_backward, embedding_forward
from .losses import cost_gradient, default_loss
from .parameters import Parameters, count_layers

EMBEDDING_SCALE = 0.01  # standard deviation of the initial numbers of embeddings


def initialize_parameters(
    layer_dims: Sequence[int],
    *,
    activation: str | Activation | Sequence[str | Activation] = "relu",
    weight_init: str = "auto",
    batch_norm: bool = False,
    ensemble_size: int = 1,
    embedding: Sequence[int] = (),
    rng: np.random.Generator | int | None = None,
    dtype: DTypeLike | None = None,
) -> Parameters:
    """Draw the initial parameters: weights by `weight_init`, biases zero, embeddings small.

    Parameters
    ----------
    layer_dims : sequence of int
        n_0, ..., n_L.
    activation : str or Activation, or sequence of them, default="relu"
        Of the hidden layers, as in `Network`.
    weight_init : str, default="auto"
        Name in `INITIALIZERS`. "auto" takes the initializer of each layer's activation: He for the ReLU family, LeCun
        for selu, Glorot for tanh, sigmoid and the output layer.
    batch_norm : bool, default=False
        Whether hidden layers have "gamma" (ones), "beta" (zeros) and running statistics instead of "b".
    ensemble_size : int, default=1
        Number of networks, each with its own draws, stacked on a first axis of all arrays if more than one.
    embedding : sequence of int, default=()
        As in `Network`. The last vector of "E", for categories which training never sees, starts at zero and stays so.
    rng : numpy.random.Generator, int or None
        An int seeds a generator. None makes a new one.
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
    network = Network(layer_dims, activation, batch_norm=batch_norm, ensemble_size=ensemble_size, embedding=embedding)
    if weight_init != "auto":
        check_choice("weight_init", weight_init, INITIALIZERS, otherwise=" or 'auto'", synonyms=INITIALIZER_SYNONYMS)
    rng = np.random.default_rng(rng)
    arrays, stack = {}, () if ensemble_size == 1 else (ensemble_size,)
    for l, (n_prev, n) in enumerate(pairwise(network.layer_dims), start=1):
        hidden, shape = l < network.n_layers, (*stack, n, 1)
        automatic = find_activation(network.activation[l - 1] if hidden else "identity").initializer
        initializer = INITIALIZERS[automatic if weight_init == "auto" else weight_init]
        draws = [initializer((n, n_prev), rng) for _ in range(ensemble_size)]
        arrays[f"W{l}"] = np.stack(draws) if stack else draws[0]
        if hidden and batch_norm:
            arrays |= {f"gamma{l}": np.ones(shape), f"beta{l}": zeros(shape)}
            arrays |= {f"running_mean{l}": zeros(shape), f"running_variance{l}": np.ones(shape)}
        else:
            arrays[f"b{l}"] = zeros(shape)
    if network.embedding:
        _, n_categories, d = network.embedding
        # small but not zero: a ReLU network whose inputs are all 0 has no gradient
        arrays["E"] = EMBEDDING_SCALE * (weight_init != "zeros") * rng.standard_normal((*stack, d, n_categories))
        arrays["E"][..., -1] = 0
    return Parameters(arrays, dtype)


class Names(NamedTuple):
    """The names of one layer's arrays and of their gradients."""

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
    """Return the `Names` of layer l: "W1", "b1", ... Cached: formatting them is measurable in small networks."""
    return Names(*(f"{kind}{l}" for kind in Names._fields))


class LayerCache(NamedTuple):
    """What the forward of a layer keeps for its backward; None for what the layer does not have."""

    linear: LinearCache  # A_prev, W, b
    batchnorm: BatchnormCache | None
    activation: Any  # Z, or what the backward of the activation needs of Z; in the output layer the logits ZL
    dropout: Array | None  # (n_l, m): the scaled mask
    g: str | Activation = "identity"  # the activation that went forward
    embedding: Array | None = None  # (k, m): codes of categories, in the first layer of a network with embeddings


def model_forward(
    X: Inputs,
    parameters: Arrays,
    network: Network | None = None,
    *,
    training: bool = False,
    rng: np.random.Generator | None = None,
    sample_weight: Array | None = None,
) -> tuple[Array, list[LayerCache]]:
    """Apply the network: [LINEAR -> activation] * (L-1) -> LINEAR -> link.

    Parameters
    ----------
    X : ndarray, sparse array or ScaledSparse of shape (n_0, m)
    parameters : dict of str to ndarray
    network : Network, optional
        By default the course's: ReLU hidden layers, and sigmoid or softmax at the output.
    training : bool, default=False
        Whether to drop units, and to normalise by the statistics of the batch instead of the running statistics.
    rng : numpy.random.Generator, optional
        Draws the units to drop. Needed in training with dropout.
    sample_weight : ndarray of shape (m,), optional
        Weights for the statistics of batch normalisation.

    Returns
    -------
    AL : ndarray of shape (n_L, m)
    caches : list of L LayerCache
        The `activation` of the last one is the logits ZL (n_L, m).
    """
    network = network or Network.of([parameters[f"W{l}"] for l in range(1, 1 + count_layers(parameters))])
    ZL, caches = logits_forward(X, parameters, network, training=training, rng=rng, sample_weight=sample_weight)
    return network.loss_function.link(ZL), caches


def logits_forward(
    X: Inputs,
    parameters: Arrays,
    network: Network,
    *,
    training: bool = False,
    rng: np.random.Generator | None = None,
    sample_weight: Array | None = None,
    keeps_caches: bool = True,  # only a backward pass needs them
) -> tuple[Array, list[LayerCache]]:
    """Apply the network without its link, and return the logits ZL and the caches; see `model_forward`."""
    L = network.n_layers
    A0, codes = embed(X, parameters, network)
    A, caches = hidden_forward(
        A0,
        parameters,
        network,
        L - 1,
        training=training,
        rng=rng,
        sample_weight=sample_weight,
        keeps_caches=keeps_caches,
    )
    name = names_of(L)
    ZL, linear_cache = linear_forward(A, parameters[name.W], parameters[name.b])
    if keeps_caches:
        caches.append(LayerCache(linear_cache, None, ZL, None))
        if codes is not None:
            caches[0] = caches[0]._replace(embedding=codes)
    return ZL, caches


def embed(X: Inputs, parameters: Arrays, network: Network) -> tuple[Inputs, Array | None]:
    """Replace the codes in the last rows of X by their vectors. Return A0 (n_0, m) and the codes, or X and None."""
    if not network.embedding:
        return X, None
    k = network.embedding[0]
    vectors, codes = embedding_forward(X[..., -k:, :], parameters["E"])
    numbers = X[..., :-k, :]
    if vectors.ndim > numbers.ndim:
        numbers = np.broadcast_to(numbers, (len(vectors), *numbers.shape))
    return np.concatenate([numbers, vectors], axis=-2), codes


def hidden_forward(
    A0: Inputs,
    parameters: Arrays,
    network: Network,
    n_layers: int,
    *,
    training: bool = False,
    rng: np.random.Generator | None = None,
    sample_weight: Array | None = None,
    keeps_caches: bool = True,  # only a backward pass needs them
) -> tuple[Inputs, list[LayerCache]]:
    """Apply the first hidden layers, and return the activation of the last of them and the caches."""
    A, caches = A0, []
    for l in range(1, n_layers + 1):
        name, activation, batchnorm_cache, mask = names_of(l), network.activation[l - 1], None, None
        W = parameters[name.W]
        if network.batch_norm:
            Z, linear_cache = linear_forward(A, W, None)
            statistics = None if training else (parameters[name.running_mean], parameters[name.running_variance])
            gamma, beta = parameters[name.gamma], parameters[name.beta]
            Z, batchnorm_cache = batchnorm_forward(Z, gamma, beta, statistics=statistics, sample_weight=sample_weight)
            A, activation_cache = find_activation(activation).forward(Z)
            A = A.astype(Z.dtype, copy=False)
        else:
            A, (linear_cache, activation_cache) = linear_activation_forward(A, W, parameters[name.b], activation)
        if training and network.dropout_rate[l - 1]:
            if rng is None:
                reject("rng", "a numpy.random.Generator to train with dropout", rng)
            A, mask = dropout_forward(A, network.dropout_rate[l - 1], rng)
        if keeps_caches:
            caches.append(LayerCache(linear_cache, batchnorm_cache, activation_cache, mask, activation))
        del linear_cache, batchnorm_cache, activation_cache, mask  # the next layer takes their memory
    return A, caches


def model_backward(
    AL: Array | None,
    Y: Array | None,
    caches: list[LayerCache],
    network: Network | None = None,
    *,
    sample_weight: Array | None = None,
    m: int | None = None,
    out: Arrays | None = None,
    wrt: Collection[str] = ("parameters",),
    dZL: Array | None = None,
) -> Arrays:
    """Backpropagate through `model_forward`: the gradient of `compute_cost` with respect to every parameter.

    The course starts from dAL = -(Y / AL - (1 - Y) / (1 - AL)), which divides by zero where AL has saturated. This
    function starts from the gradient at the logits, dZL = AL - Y, which is the same without the division.

    Parameters
    ----------
    AL, Y : ndarrays of shape (n_L, m)
        Unused, and may be None, if `dZL` is given.
    caches : list of L LayerCache
        From `model_forward`.
    network : Network, optional
        The one that went forward, which brings the loss. By default `default_loss(n_L)`.
    sample_weight : ndarray of shape (m,), optional
        Multiplies each example's gradient. For the members of an ensemble it may be (ensemble_size, m).
    m : int, optional
        Divisor of the sums over the examples, by default their number. For a chunk of a batch pass the size of the
        batch: the gradients of the chunks then add up to the gradient of the batch.
    out : dict of str to ndarray, optional
        Arrays to write the gradients of the parameters into, from `Parameters.gradients`.
    wrt : collection of {"parameters", "activations"}, default=("parameters",)
        What to differentiate with respect to.
    dZL : ndarray of shape (n_L, m), optional
        Gradient at the logits to start from instead of that of the loss. It is not divided by m.

    Returns
    -------
    grads : dict of str to ndarray
        With "parameters": "dW1", "db1", ..., each of the shape of its parameter, averaged over the examples. With
        "activations": "dA0", ..., "dA{L-1}", each of the shape (n_l, m) of the activation that the next layer receives;
        with an embedding layer, "dA0" is the gradient behind it.
        These are derivatives of each example's weighted loss, not divided by m. Without them it is `out`, if given.

    Raises
    ------
    ValueError
        If Y has another shape than AL, or `wrt` is no collection of the two words.
    """
    if not set(wrt) <= {"parameters", "activations"}:
        reject("wrt", "a collection of 'parameters' and 'activations'", wrt)
    with_activations = (*wrt, "activations")
    L, divisor = len(caches), 1
    if dZL is None:
        if AL is None or Y is None:
            reject("dZL", "given where AL or Y is None", dZL)
        divisor = int(AL.shape[-1] if m is None else m)
        loss = default_loss(AL.shape[-2]) if network is None else network.loss_function
        dZL = cost_gradient(AL, Y, m=divisor, loss=loss, sample_weight=sample_weight)
    grads, of_activations = {} if out is None else out, {}
    dA = dZL  # replaced by the gradient of A{L-1}, ..., A0
    for l in range(L, 0, -1):
        cache, name = caches[l - 1], names_of(l)
        needs_dA = l > 1 or (cache.embedding is not None and "parameters" in wrt)
        into, wrt_l = (grads.get(name.dW), grads.get(name.db)), with_activations if needs_dA else wrt
        if cache.dropout is not None:
            dA = dropout_backward(dA, cache.dropout)
        # dZL has been divided by m, hence m=1: the layers sum
        if l == L:
            dA, dW, db = linear_backward(dZL, cache.linear, m=1, out=into, wrt=wrt_l)
        elif cache.batchnorm is None:
            layer_cache = cache.linear, cache.activation
            dA, dW, db = linear_activation_backward(dA, layer_cache, cache.g, m=1, out=into, wrt=wrt_l)
        else:
            dZ_tilde = find_activation(cache.g).backward(dA, cache.activation)
            dZ_tilde = dZ_tilde.astype(dA.dtype, copy=False)
            into_norm = grads.get(name.dgamma), grads.get(name.dbeta)
            dZ, dgamma, dbeta = batchnorm_backward(dZ_tilde, cache.batchnorm, out=into_norm)
            dA, dW, db = linear_backward(dZ, cache.linear, m=1, out=into, wrt=wrt_l)
        if "parameters" in wrt:
            grads[name.dW] = dW
            if cache.batchnorm is None:
                grads[name.db] = db
            else:
                grads[name.dgamma], grads[name.dbeta] = dgamma, dbeta
            if cache.embedding is not None and network is not None:
                n_categories, d = network.embedding[1:]
                d_vectors = dA[..., -d * cache.embedding.shape[-2] :, :]
                grads["dE"] = embedding_backward(d_vectors, cache.embedding, n_categories, grads.get("dE"))
        if "activations" in wrt:
            of_activations[f"dA{l - 1}"] = dA * divisor  # undo the division of dZL
    return {**grads, **of_activations} if of_activations else grads


def running_statistics(parameters: Arrays, caches: list[LayerCache], momentum: float) -> Arrays:
    """Return the running statistics, moved towards those of a batch: momentum * old + (1 - momentum) * batch."""
    batch: Arrays = {}
    for l, cache in enumerate(caches, start=1):
        if cache.batchnorm is not None:
            name = names_of(l)
            batch |= {name.running_mean: cache.batchnorm.mean, name.running_variance: cache.batchnorm.variance}
    return {name: momentum * parameters[name] + (1 - momentum) * array for name, array in batch.items()}


@np.errstate(under="ignore")
def fold_batch_norm(parameters: Arrays) -> Arrays:
    """Fold batch normalisation into the linear parts: the network that predicts the same with W and b alone."""
    folded: Arrays = {"E": parameters["E"]} if "E" in parameters else {}
    for l in range(1, 1 + count_layers(parameters)):
        name = names_of(l)
        W = parameters[name.W]
        if name.gamma in parameters:
            scale = parameters[name.gamma] / np.sqrt(parameters[name.running_variance] + EPSILON)
            shift = parameters[name.beta] - scale * parameters[name.running_mean]
            folded |= {name.W: scale * W, name.b: shift}
        else:
            folded |= {name.W: W, name.b: parameters[name.b]}
    return folded
