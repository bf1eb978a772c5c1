"""What a fitted network computes from X: logits, hidden activations, gradients; and its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from ..checks import check_choice
from ..inspection.gradients import GRADIENTS_OF, GradientOf, hidden_activation, hidden_layer_number
from ..inspection.summary import NetworkSummary
from ..network.architecture import Network
from ..network.ensemble import joint_logits
from ..network.model import fold_batch_norm
from ..network.prediction import check_finite, map_chunks, map_logits
from ..typing import Array, Arrays, FloatArray, Inputs, MatrixLike
from .inputs import is_single, read_inputs, read_vector


class PredictionMixin:
    """Predict with the fitted attributes of an estimator."""

    feature_importances_: FloatArray
    network_: dict[str, Any]
    parameters_: Arrays
    n_features_in_: int
    training_state_: dict[str, Any]

    def __sklearn_is_fitted__(self) -> bool:
        return "parameters_" in vars(self)

    def _as_fitted(self) -> Self:
        """Return the estimator with its attributes of now: a refit by another thread does not disturb a prediction."""
        fitted = object.__new__(type(self))
        fitted.__dict__ = self.__dict__.copy()  # other threads may set or load attributes meanwhile
        if "parameters_" not in fitted.__dict__:
            check_is_fitted(self)  # raises; it reads all tags first, which a fitted estimator need not wait for
        return fitted

    def hidden_activations(self, X: MatrixLike, layer: int = -1) -> FloatArray:
        """Return the activations of a hidden layer for each sample, as in a prediction: a learned representation.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        layer : int, default=-1
            1 is the first hidden layer, -1 the last.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
            Of an ensemble (ensemble_size, n_samples, n_units). float32 for float32 input, otherwise float64.

        Raises
        ------
        ValueError
            If there is no such hidden layer.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_deepnn import DeepNNClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = DeepNNClassifier(hidden_layer_dims=(8, 4), max_iter=5, random_state=0).fit(X, y)
        >>> model.hidden_activations(X).shape
        (150, 4)
        """
        fitted = self._as_fitted()
        network = Network.restore(fitted.network_)
        l = hidden_layer_number(layer, network.n_layers - 1)
        activate = partial(hidden_activation, parameters=fitted.parameters_, network=network, l=l)
        stack = () if network.ensemble_size == 1 else (network.ensemble_size,)
        width = sum(network.layer_dims[1 if issparse(X) else 0 : l + 1]) * network.ensemble_size  # with the caches
        return fitted._by_chunks(activate, X, (*stack, -1, network.layer_dims[l]), width)

    def summary(self) -> NetworkSummary:
        """Return the layers of the network as a table: to print, to show in a notebook, or to compute with.

        Returns
        -------
        NetworkSummary
            Memory is in B, or in kB of 1000 B, MB, GB.

        Raises
        ------
        NotFittedError

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_deepnn import DeepNNClassifier
        >>> model = DeepNNClassifier((16, 8), learning_rate=0.01, max_iter=200, random_state=0)
        >>> model = model.fit(*load_iris(return_X_y=True))
        >>> print(model.summary())
        DeepNNClassifier: one network, float64
        --------------------------------------------------------------
        Layer                    Units  Activation  Parameters  Memory
        --------------------------------------------------------------
        input, standard scaling      4
        dense 1                     16  relu                80   640 B
        dense 2                      8  relu               136  1.1 kB
        output                       3  softmax             27   216 B
        --------------------------------------------------------------
        total                                              243  1.9 kB
        --------------------------------------------------------------
        Trained by Adam for 90 epochs, stopped by EarlyStopping. Epoch
        80 had the lowest training cost; the last weights are kept.
        """
        return NetworkSummary.of(self._as_fitted())

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of the network that predicts, (n_in, n_out) for each layer; batch normalisation is folded in."""
        return [folded.mT for name, folded in self._folded() if name.startswith("W")]

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of the network that predicts, (n_out,) for each layer; batch normalisation is folded in."""
        biases = [folded for name, folded in self._folded() if name.startswith("b")]
        return [b.ravel() if b.ndim == 2 else b.mT for b in biases]

    @property
    def input_center_(self) -> FloatArray:
        """What is subtracted from each feature before the division by `input_scale_`. Missing without scaling."""
        return self._scaling("center")

    @property
    def input_scale_(self) -> FloatArray:
        """What each feature is divided by: infinity if it does not vary. Missing without scaling."""
        return self._scaling("scale")

    def _scaling(self, name: str) -> FloatArray:
        scaling = self.training_state_["preparation"]["scaling"] if "training_state_" in vars(self) else None
        if scaling is None:
            raise AttributeError(f"This {type(self).__name__} is not fitted, or does not scale its inputs.")
        return scaling[name][..., 0]

    def _folded(self) -> list[tuple[str, Array]]:
        if "parameters_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted: it has no weights yet.")
        folded = fold_batch_norm(self.parameters_)
        return sorted(folded.items(), key=lambda item: int(item[0][1:]))

    @np.errstate(over="ignore", invalid="ignore", under="ignore")  # check_finite raises
    def _outputs(
        self, X: Inputs, of_logits: Callable[[Array], Array], shape: tuple[int, ...], dtype: DTypeLike | None = None
    ) -> Array:
        """Return a function of the logits (n_L, m) of X: for each sample a number, or an array of a shape."""
        plain, loss = self._is_plain(X), self.network_["loss"]
        X = X if plain else read_inputs(self, X, reset=False)
        float_type = np.float32 if is_single(X.dtype) else np.float64
        rows = np.empty((X.shape[0], *shape), dtype or float_type)

        def write(chunk: slice, ZL: Array) -> None:
            if plain and not np.isfinite(X[chunk].sum()):  # the sum of large finite numbers may be infinite
                read_inputs(self, X[chunk], reset=False)
            check_finite(ZL)
            rows[chunk] = of_logits(joint_logits(ZL, loss).astype(float_type, copy=False))

        map_logits(write, X.T, self.parameters_, Network.restore(self.network_))
        return rows

    def _gradients(self, function: Callable[..., Array], X: Inputs, D: Array | None, of: GradientOf) -> FloatArray:
        """Return a row of gradients for each sample, from a function of `inspection.gradients`."""
        check_choice("of", of, GRADIENTS_OF)
        network = Network.restore({**self.network_, "batch_norm": False})
        backpropagate = partial(function, parameters=fold_batch_norm(self.parameters_), network=network, D=D, of=of)
        width = sum(network.layer_dims) * network.ensemble_size  # the caches of all layers are held
        return self._by_chunks(backpropagate, X, (-1, self.n_features_in_), width)

    def _baseline(self, baseline: Any) -> Array:
        if baseline is None:
            return getattr(self, "input_center_", np.zeros(self.n_features_in_))
        return read_vector("baseline", baseline, self.n_features_in_, "one value per feature")

    @np.errstate(over="ignore", invalid="ignore", under="ignore")  # check_finite raises
    def _by_chunks(
        self, function: Callable[[Inputs], Array], X: Inputs, shape: Sequence[int], width: int
    ) -> FloatArray:
        """Return a function of X, applied to chunks of it, as rows of a shape in which -1 stands for the samples."""
        X = read_inputs(self, X, reset=False)
        shape = [X.shape[0] if n == -1 else n for n in shape]
        rows: FloatArray = np.empty(shape, np.float32 if is_single(X.dtype) else np.float64)

        def write(chunk: slice, A0: Inputs) -> None:
            found = function(A0)
            check_finite(found)
            rows[..., chunk, :] = found.mT

        map_chunks(write, X.T, self.parameters_["W1"].dtype, width)
        return rows

    def _is_plain(self, X: Any) -> bool:
        """Say whether only the numbers of X must be checked: validating X takes longer than predicting one row."""
        return (
            type(X) is np.ndarray
            and X.dtype in (np.float32, np.float64)
            and X.shape[1:] == (self.n_features_in_,)
            and len(X) > 0
            and not hasattr(self, "feature_names_in_")
        )
