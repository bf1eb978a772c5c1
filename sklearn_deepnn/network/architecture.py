"""The architecture of a network: its layers, their activations, the loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np

from ..checks import check_choice, check_flag, check_integer, check_real, naming, reject
from ..typing import Array
from .activations import ACTIVATION_SYNONYMS, ACTIVATIONS, Activation
from .initializers import INITIALIZERS
from .losses import LOSSES, Loss, default_loss

OPTIONAL: dict[str, Any] = {"embedding": (), "quantile": 0.5}  # fields that are not saved with these values


@dataclass(frozen=True, init=False)
class Network:
    """The architecture of a network; its parameters are a separate dict.

    Parameters
    ----------
    layer_dims : sequence of int
        n_0, ..., n_L: inputs, hidden units, outputs.
    activation : str or Activation, or sequence of them, default="relu"
        One for all hidden layers, or one for each. Names are in `ACTIVATIONS`.
    loss : str, optional
        Name in `LOSSES`. The loss brings the link of the output layer. By default `default_loss(n_L)`.
    dropout_rate : float or sequence of float, default=0.0
        Fraction of units dropped during training: one for all hidden layers, or one for each.
    batch_norm : bool, default=False
        Whether hidden layers normalise over the batch.
    ensemble_size : int, default=1
        Number of networks that are stacked on a first axis of all arrays: "W1" is then (ensemble_size, n_1, n_0). A
        single network has no such axis.
    quantile : float, default=0.5
        The quantile in (0, 1) that the loss "quantile" predicts.
    embedding : tuple of int, default=()
        Of an embedding layer before the first dense layer: number of features k, number of categories of all features
        together, and number d of trained numbers for a category. The last k rows of the inputs are then codes of
        categories, which the layer replaces by k d of the n_0 inputs. Empty: no such layer.

    Raises
    ------
    InvalidParameterError
        If an argument breaks its rule, or a sequence has another length than there are hidden layers.

    Examples
    --------
    >>> Network((64, 100, 10), activation="tanh")
    Network(layer_dims=(64, 100, 10), activation=('tanh',), loss='categorical_cross_entropy', dropout_rate=(0.0,), \
batch_norm=False, ensemble_size=1, embedding=())
    """

    layer_dims: tuple[int, ...]
    activation: tuple[str | Activation, ...]
    loss: str
    dropout_rate: tuple[float, ...]
    batch_norm: bool
    ensemble_size: int
    # networks that were saved before there were such fields have none
    embedding: tuple[int, ...] = ()
    quantile: float = field(default=0.5, repr=False)

    def __init__(
        self,
        layer_dims: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "relu",
        loss: str | None = None,
        dropout_rate: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        ensemble_size: int = 1,
        embedding: Sequence[int] = (),
        quantile: float = 0.5,
    ) -> None:
        if np.ndim(layer_dims) != 1 or len(layer_dims) < 2:
            reject("layer_dims", "at least two numbers, inputs and outputs", layer_dims)
        check_embedding(embedding, layer_dims[0])
        n_hidden, check_rate = len(layer_dims) - 2, partial(check_real, low=0, high=1, closed="left")
        vars(self).update(  # a frozen dataclass has no other way to set its fields
            layer_dims=tuple(int(check_integer("each of layer_dims", n, 1)) for n in layer_dims),
            activation=one_per_layer("activation", activation, n_hidden, check_activation),
            loss=check_choice("loss", default_loss(layer_dims[-1]) if loss is None else loss, LOSSES),
            dropout_rate=one_per_layer("dropout_rate", dropout_rate, n_hidden, check_rate),
            batch_norm=bool(check_flag("batch_norm", batch_norm)),
            ensemble_size=int(check_integer("ensemble_size", ensemble_size, 1)),
            embedding=tuple(int(n) for n in embedding),
            quantile=float(check_real("quantile", quantile, 0, 1, closed="neither")),
        )

    @property
    def n_layers(self) -> int:
        """L, the number of layers with weights."""
        return len(self.layer_dims) - 1

    @property
    def loss_function(self) -> Loss:
        """The loss, with its link."""
        loss = LOSSES[self.loss]
        return loss if loss.quantile == self.quantile else loss.at_quantile(self.quantile)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as lists, numbers and strings; an `Activation` of your own stays an object."""
        fields = {name: value for name, value in vars(self).items() if value != OPTIONAL.get(name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def restore(cls, fields: dict[str, Any]) -> Self:
        """Return the network that `to_dict` was called on, without the time that the checks take."""
        network = object.__new__(cls)
        for name, value in fields.items():
            vars(network)[name] = tuple(value) if isinstance(value, list) else value
        return network

    @classmethod
    def of(cls, weights: Sequence[Array]) -> Self:
        """Return the course's network with given weights: ReLU hidden layers, sigmoid or softmax by output size."""
        ensemble_size = len(weights[0]) if weights[0].ndim == 3 else 1
        return cls((weights[0].shape[-1], *(W.shape[-2] for W in weights)), ensemble_size=ensemble_size)


def check_embedding(embedding: Sequence[int], n_inputs: int) -> None:
    """Raise if a value is neither empty nor the three numbers of an embedding layer."""
    if len(embedding) not in (0, 3):
        reject("embedding", "empty or three integers: features, categories and length of a vector", embedding)
    for n in embedding:
        check_integer("each of embedding", n, 1)
    if len(embedding) and embedding[0] * embedding[2] > n_inputs:
        reject("embedding", f"of at most {n_inputs} numbers, the first of layer_dims", embedding)


def check_activation(name: str, activation: object) -> None:
    """Raise if a value is neither a name in `ACTIVATIONS` nor an `Activation` whose functions fit together."""
    if not isinstance(activation, Activation):
        if callable(activation):
            advice = "Activation(forward, backward) makes one of two functions."
            reject(name, f"one of {list(ACTIVATIONS)} or an Activation", activation, advice)
        check_choice(name, activation, ACTIVATIONS, otherwise=" or an Activation", synonyms=ACTIVATION_SYNONYMS)
        return
    check_choice(f"initializer of {activation!r}", activation.initializer, INITIALIZERS)
    Z = np.linspace(-1, 1, 6).reshape(3, 2)
    forward, backward = f"forward of {activation!r}", f"backward of {activation!r}"
    rule = "a function of Z that returns A, of the shape of Z, and a cache"
    with naming(forward, rule):
        pair = activation.forward(Z)
    if not isinstance(pair, tuple) or len(pair) != 2 or getattr(pair[0], "shape", None) != Z.shape:
        reject(forward, rule, pair)
    rule = "a function of dA and the cache that returns dZ, of the shape of dA"
    with naming(backward, rule):
        dZ = activation.backward(np.ones_like(Z), pair[1])
    if getattr(dZ, "shape", None) != Z.shape:
        reject(backward, rule, dZ)


def one_per_layer(name: str, value: Any, n_hidden: int, check: Callable[[str, Any], object]) -> tuple[Any, ...]:
    """Return a tuple with one entry per hidden layer, from one value for all layers or from a sequence."""
    single = not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, str) or np.shape(value) == ()
    for entry in [value] if single else value:
        check(name, entry)
    if single:
        return (value,) * n_hidden
    if len(value) != n_hidden:
        reject(name, f"one value, or one for each of the {n_hidden} hidden layers", value)
    return tuple(value)
