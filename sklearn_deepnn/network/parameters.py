"""Named views into one flat vector: the course's dict outside, one array inside.

An optimizer step, a penalty, a clip or a snapshot is then one vector expression, however many layers there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import DTypeLike

from ..typing import Array


def is_weight(name: str) -> bool:
    """Say whether a parameter is a weight matrix, which penalties act on: "W1", "W2", ..."""
    return name.startswith("W")


def is_statistic(name: str) -> bool:
    """Say whether a parameter is counted, not trained: the running statistics of batch normalisation."""
    return name.startswith("running_")


class Parameters(dict[str, Array]):
    """A dict of arrays that are views into `vector`, ordered there as weights, other trainable arrays, statistics.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Copied. Names as in the course: "W1", "b1", ...
    dtype : dtype, optional
        That of the vector; by default the one that all arrays can be cast to.
    prefix : str, default=""
        What stands before each name in the dict, but is not said in `arrays`: "d" for gradients.

    Attributes
    ----------
    vector : ndarray of shape (n,)
        Everything.
    trainable : ndarray of shape (n_trainable,)
        The part that gradients exist for: a view.
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

    def __init__(self, arrays: Mapping[str, Array], dtype: DTypeLike | None = None, prefix: str = "") -> None:
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        dtype = np.result_type(*arrays.values()) if dtype is None else dtype
        by_kind = sorted(arrays, key=lambda name: (is_statistic(name), not is_weight(name)))  # stable within a kind
        sizes = [arrays[name].size for name in by_kind]
        self.vector, self.prefix, views = np.empty(sum(sizes), dtype), prefix, {}
        for name, end in zip(by_kind, np.cumsum(sizes)):
            views[name] = self.vector[end - arrays[name].size : end].reshape(arrays[name].shape)
            views[name][...] = arrays[name]
        super().__init__({prefix + name: views[name] for name in arrays})
        n_weights = sum(array.size for name, array in arrays.items() if is_weight(name))
        n_statistics = sum(array.size for name, array in arrays.items() if is_statistic(name))
        self.trainable = self.vector[: self.vector.size - n_statistics]
        self.weights = self.vector[:n_weights]

    def __setitem__(self, name: str, array: Array) -> None:
        """Write an array into the view of its name; there are no new names."""
        if self[name] is not array:
            self[name][...] = array

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameters, ({name.removeprefix(self.prefix): W for name, W in self.items()}, None, self.prefix)

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Write arrays into the views of their names.

        Parameters
        ----------
        arrays : dict of str to ndarray
        """
        for name, array in arrays.items():
            self[name] = array

    def __ior__(self, arrays: Mapping[str, Array]) -> Self:  # type: ignore[override, misc]  # a dict takes pairs, too
        self.assign(arrays)
        return self

    def _fixed(self, *_: object) -> NoReturn:
        """Refuse to lose a name."""
        raise TypeError("Parameters keep the names that they were made with: their vector has no gaps.")

    if not TYPE_CHECKING:  # which would miss the signatures of a dict
        update = assign
        __delitem__ = pop = popitem = clear = setdefault = _fixed

    def gradients(self) -> Parameters:
        """Return room for the gradients: views "dW1", "db1", ... into a new vector laid out as `trainable`.

        Returns
        -------
        Parameters
            Whose `vector` goes element by element with `trainable`. Zeros.
        """
        grads = {name: np.zeros_like(array) for name, array in self.items() if not is_statistic(name)}
        return Parameters(grads, prefix="d")
