"""Named views into one flat vector: the course's dict outside, one array inside.

An optimizer step, a penalty, gradient clipping or a snapshot is one vector expression for any number of layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike

from ..typing import Array


def is_weight(name: str) -> bool:
    """Say whether a parameter is a weight matrix, which penalties act on: "W1", "W2", ..., and "E" of embeddings."""
    return name.startswith(("W", "E"))


def count_layers(names: Iterable[str]) -> int:
    """Return L, the number of layers with weights, from the names of parameters."""
    return sum(name.startswith("W") for name in names)


def is_statistic(name: str) -> bool:
    """Say whether a parameter is measured and not trained: the running statistics of batch normalisation."""
    return name.startswith("running_")


class Parameters(dict[str, Array]):
    """A dict of arrays that are views into `vector`.

    The order in the vector is: weights, other trainable arrays, running statistics. Assignment writes into the views.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Copied. Names as in the course: "W1", "b1", ...
    dtype : dtype, optional
        Of the vector. By default the common dtype of the arrays.
    prefix : str, default=""
        Put before each name in the dict: "d" for gradients.

    Attributes
    ----------
    vector : ndarray of shape (n,)
        All arrays.
    trainable : ndarray of shape (n_trainable,)
        The arrays that have gradients: a view of the beginning of `vector`.
    weights : ndarray of shape (n_weights,)
        The weight matrices: a view of the beginning of `trainable`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_deepnn.network.parameters import Parameters
    >>> parameters = Parameters({"W1": np.ones((2, 3)), "b1": np.zeros((2, 1))})
    >>> parameters.weights *= 5
    >>> parameters["W1"]
    array([[5., 5., 5.],
           [5., 5., 5.]])
    """

    vector: Array
    trainable: Array
    weights: Array
    prefix: str
    _layout: dict[str, tuple[int, int, tuple[int, ...]]]

    def __init__(self, arrays: Mapping[str, Array], dtype: DTypeLike | None = None, prefix: str = "") -> None:
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        by_kind = sorted(arrays, key=lambda name: (is_statistic(name), not is_weight(name)))  # stable within a kind
        stops = np.cumsum([0, *(arrays[name].size for name in by_kind)]).tolist()
        places = dict(zip(by_kind, pairwise(stops)))
        layout = {prefix + name: (*places[name], array.shape) for name, array in arrays.items()}
        n_weights = sum(array.size for name, array in arrays.items() if is_weight(name))
        n_statistics = sum(array.size for name, array in arrays.items() if is_statistic(name))
        vector = np.empty(stops[-1], np.result_type(*arrays.values()) if dtype is None else dtype)
        self._bind(vector, layout, prefix, n_weights, vector.size - n_statistics)
        for view, array in zip(self.values(), arrays.values()):
            view[...] = array

    def _bind(self, vector: Array, layout: dict[str, Any], prefix: str, n_weights: int, n_trainable: int) -> None:
        """Make all arrays views of a vector."""
        views = {name: vector[start:stop].reshape(shape) for name, (start, stop, shape) in layout.items()}
        super().__init__(views)
        self.vector, self._layout, self.prefix = vector, layout, prefix
        self.trainable, self.weights = vector[:n_trainable], vector[:n_weights]

    def with_vector(self, vector: Array) -> Self:
        """Return parameters of the same names and shapes whose arrays are views of a given contiguous vector."""
        if vector.shape != self.vector.shape or not vector.flags.c_contiguous:
            raise ValueError(f"vector must be contiguous and have shape {self.vector.shape}, got {vector.shape}.")
        twin = type(self).__new__(type(self))
        twin._bind(vector, self._layout, self.prefix, self.weights.size, self.trainable.size)
        return twin

    def copy(self) -> Self:
        """Return a copy whose arrays are views of a new vector."""
        return self.with_vector(self.vector.copy())

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Writes into an existing vector instead of replacing it: its views stay valid."""
        existing = vars(self).get(name)
        if not isinstance(existing, np.ndarray):
            super().__setattr__(name, value)
        elif existing is not value:
            existing[...] = value

    def __setitem__(self, name: str, array: Array) -> None:
        """Write an array into the view of its name. New names are an error."""
        if self[name] is not array:
            self[name][...] = array

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameters, ({name.removeprefix(self.prefix): W for name, W in self.items()}, None, self.prefix)

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Write arrays into the views of their names."""
        for name, array in arrays.items():
            self[name] = array

    def __ior__(self, arrays: Mapping[str, Array]) -> Self:  # type: ignore[override, misc]  # a dict also takes pairs
        self.assign(arrays)
        return self

    def _fixed(self, *_: object) -> NoReturn:
        """Raise: names can be neither added nor removed."""
        raise TypeError("Parameters keep the names that they were made with: their vector has no gaps.")

    if not TYPE_CHECKING:  # type checkers expect the signatures of a dict
        update = assign
        __delitem__ = pop = popitem = clear = setdefault = _fixed

    def gradients(self) -> Parameters:
        """Return zeros for the gradients: views "dW1", "db1", ... into a new vector with the order of `trainable`."""
        layout = {"d" + name: place for name, place in self._layout.items() if not is_statistic(name)}
        grads = Parameters.__new__(Parameters)
        grads._bind(np.zeros_like(self.trainable), layout, "d", self.weights.size, self.trainable.size)
        return grads
