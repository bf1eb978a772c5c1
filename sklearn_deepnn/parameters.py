"""Named views into one flat vector: the course's dict outside, one array inside.

An optimizer step, a penalty, a clip or a snapshot is then one vector expression, however many layers there are.
"""

import numpy as np


def is_weight(name):
    """Say whether a parameter is a weight matrix, which penalties act on: "W1", "W2", ..."""
    return name.startswith("W")


def is_statistic(name):
    """Say whether a parameter is counted, not trained: the running statistics of batch normalisation."""
    return name.startswith("running_")


class Parameters(dict):
    """A dict of arrays that are views into `vector`, ordered there as weights, other trainable arrays, statistics.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Copied. Names as in the course: "W1", "b1", ...
    dtype : dtype, optional
        That of the vector; by default the one that all arrays can be cast to.

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
    >>> parameters = Parameters({"W1": np.ones((2, 3)), "b1": np.zeros((2, 1))})
    >>> parameters.weights *= 5
    >>> parameters["W1"]
    array([[5., 5., 5.],
           [5., 5., 5.]])
    """

    def __init__(self, arrays, dtype=None):
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        dtype = np.result_type(*arrays.values()) if dtype is None else dtype
        by_kind = sorted(arrays, key=lambda name: (is_statistic(name), not is_weight(name)))  # stable within a kind
        sizes = [arrays[name].size for name in by_kind]
        ends = np.cumsum(sizes)
        self.vector = np.empty(int(ends[-1]), dtype)
        views = {
            name: self.vector[end - size : end].reshape(arrays[name].shape)
            for name, size, end in zip(by_kind, sizes, ends)
        }
        super().__init__({name: views[name] for name in arrays})
        self.assign(arrays)
        n_weights = sum(array.size for name, array in arrays.items() if is_weight(name))
        n_statistics = sum(array.size for name, array in arrays.items() if is_statistic(name))
        self.trainable = self.vector[: self.vector.size - n_statistics]
        self.weights = self.vector[:n_weights]

    def assign(self, arrays):
        """Write arrays into the views of their names.

        Parameters
        ----------
        arrays : dict of str to ndarray
        """
        for name, array in arrays.items():
            self[name][...] = array

    def gradients(self):
        """Return room for the gradients: views "dW1", "db1", ... into a new vector laid out as `trainable`.

        Returns
        -------
        Parameters
            Whose `vector` goes element by element with `trainable`. Zeros.
        """
        grads = {name: np.zeros_like(array) for name, array in self.items() if not is_statistic(name)}
        grads = Parameters(grads)
        return grads._renamed("d")

    def _renamed(self, prefix):
        for name in list(self):
            self[prefix + name] = self.pop(name)
        return self
