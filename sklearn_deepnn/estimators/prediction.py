"""What a fitted network computes from X: logits, hidden activations, gradients; and its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from ..checks import naming
from ..inspection.gradients import (
    GradientOf,
    hidden_activation,
    hidden_layer_number,
    input_gradient,
    integrated_gradient,
)
from ..inspection.summary import NetworkSummary
from ..network.architecture import Network
from ..network.encoding import EncodedInputs, Encoding
from ..network.ensemble import joint_logits
from ..network.model import embed, fold_batch_norm
from ..network.prediction import check_finite, map_chunks, map_logits
from ..typing import Array, Arrays, FloatArray, Inputs, MatrixLike
from .categories import UNKNOWN
from .inputs import is_single, read_inputs, read_vector
from .resuming import restore_encoding


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
        >>> model = DeepNNClassifier((8, 4), ensemble_size=1, random_state=0).fit(X, y)
        >>> model.hidden_activations(X).shape
        (150, 4)
        """
        fitted = self._as_fitted()
        network = Network.restore(fitted.network_)
        l = hidden_layer_number(layer, network.n_layers - 1)
        parameters, encoding = fitted.parameters_, restore_encoding(vars(fitted))

        def activate(X: Inputs) -> Array:
            A0 = X if encoding is None else encoding.apply(X, parameters["W1"].dtype)
            return hidden_activation(A0, parameters, network, l)

        stack = () if network.ensemble_size == 1 else (network.ensemble_size,)
        width = sum(network.layer_dims[1 if issparse(X) else 0 : l + 1])  # with the caches
        return fitted._by_chunks(activate, fitted._rows(X), (*stack, -1, network.layer_dims[l]), width)

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
        DeepNNClassifier: an ensemble of 12 networks, float64
        ----------------------------------------------------------------
        Layer                     Units  Activation  Parameters   Memory
        ----------------------------------------------------------------
        input, 4 columns encoded     20
        dense 1                      16  silu               336   2.7 kB
        dense 2                       8  silu               136   1.1 kB
        output                        3  softmax             27    216 B
        ----------------------------------------------------------------
        one network                                         499   4.0 kB
        all 12 networks                                   5,988  47.9 kB
        ----------------------------------------------------------------
        Trained by Adam for 32 epochs, stopped by EarlyStopping. Epoch
        26 was best; its weights are kept.
        Columns of X: 4 of numbers (16 bins).
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
        """What is subtracted from each number before the division by `input_scale_`. Missing without scaling."""
        return self._scaling()[0]

    @property
    def input_scale_(self) -> FloatArray:
        """What each number is divided by: infinity if it does not vary. Missing without scaling."""
        return self._scaling()[1]

    def _scaling(self) -> tuple[FloatArray, FloatArray]:
        """Return center and scale (n_features_in_,) of the inputs, nan for categories."""
        encoding = restore_encoding(vars(self))
        if encoding is not None:
            center, scale = encoding.scaling()
            return center[:, 0], scale[:, 0]
        scaling = self.training_state_["preparation"]["scaling"] if "training_state_" in vars(self) else None
        if scaling is None:
            raise AttributeError(f"This {type(self).__name__} is not fitted, or does not scale its inputs.")
        return scaling["center"][:, 0], scaling["scale"][:, 0]

    def _folded(self) -> list[tuple[str, Array]]:
        if "parameters_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted: it has no weights yet.")
        folded = fold_batch_norm(self.parameters_)
        return sorted(((name, W) for name, W in folded.items() if name != "E"), key=lambda item: int(item[0][1:]))

    @np.errstate(over="ignore", invalid="ignore")  # sums of large numbers
    def _rows(self, X: Any) -> Any:
        """Return X as rows of numbers, with codes of categories, and with gaps filled where no encoding does that."""
        X = read_inputs(self, X, reset=False)
        if "encoding_" in vars(self) or issparse(X) or X.dtype.kind != "f" or not np.isnan(X.sum()):
            return X
        return np.where(np.isnan(X), self._center().astype(X.dtype), X)

    def _center(self) -> Array:
        """Return the values (n_features_in_,) that stand for gaps, and for no information: `input_center_` or zeros."""
        return getattr(self, "input_center_", np.zeros(self.n_features_in_))

    def _as_inputs(self, X: Inputs) -> Inputs:
        """Return rows that `_rows` has returned as columns that the network takes."""
        encoding = restore_encoding(vars(self))
        return X.T if encoding is None else EncodedInputs(X.T, encoding)

    def _outputs(
        self, X: Inputs, of_logits: Callable[[Array], Array], shape: tuple[int, ...], dtype: DTypeLike | None = None
    ) -> Array:
        """Return a function of the joint logits (n_L, m) of X: for each sample a number, or an array of a shape."""
        loss = Network.restore(self.network_).loss_function

        def of_members(ZL: Array, float_type: DTypeLike) -> Array:
            return of_logits(joint_logits(ZL, loss).astype(float_type, copy=False))

        return self._of_members(X, of_members, shape, dtype)

    @np.errstate(over="ignore", invalid="ignore", under="ignore")  # check_finite raises
    def _of_members(
        self,
        X: Inputs,
        of_members: Callable[[Array, DTypeLike], Array],
        shape: tuple[int, ...],
        dtype: DTypeLike | None = None,
    ) -> Array:
        """Return a function of the logits of all networks, and of the dtype of floats for X; see `_outputs`."""
        # the sum of large finite numbers may be infinite: `_rows` then finds nothing wrong
        X = X if self._is_plain(X) and np.isfinite(X.sum()) else self._rows(X)
        float_type = np.float32 if is_single(X.dtype) else np.float64
        rows = np.empty((X.shape[0], *shape), dtype or float_type)

        def write(chunk: slice, ZL: Array) -> None:
            check_finite(ZL)
            rows[chunk] = of_members(ZL, float_type)

        map_logits(write, self._as_inputs(X), self.parameters_, Network.restore(self.network_))
        return rows

    def _gradients(self, X: Inputs, D: Array | None, of: GradientOf) -> FloatArray:
        """Return the gradient of a prediction for each sample, see `input_gradient`."""
        network, parameters, encoding = self._folded_network()

        def gradient(X: Inputs) -> Array:
            A0 = X if encoding is None else encoding.apply(X, parameters["W1"].dtype)
            dA0 = input_gradient(A0, parameters, network, D, of=of)
            return dA0 if encoding is None else encoding.backward(dA0, X)

        return self._by_chunks(gradient, self._rows(X), (-1, self.n_features_in_), sum(network.layer_dims))

    def _contributions(self, X: Inputs, D: Array | None, of: GradientOf, baseline: Any, n_steps: int) -> FloatArray:
        """Return the contributions to a prediction for each sample, see `integrated_gradient`."""
        network, parameters, encoding = self._folded_network()
        dtype = parameters["W1"].dtype
        if encoding is None:
            given = self._center() if baseline is None else self._vector(baseline)
            start = given[:, np.newaxis]
        else:
            # by default the mean of each number, and of all categories
            typical = np.where(np.isnan(encoding.scaling()[0]), UNKNOWN, encoding.scaling()[0])
            row = typical if baseline is None else self._baseline_row(baseline).T
            start, _ = embed(encoding.apply(row, dtype), parameters, network)

        def contributions(X: Inputs) -> Array:
            integrate = partial(integrated_gradient, parameters=parameters, D=D, baseline=start, n_steps=n_steps, of=of)
            if encoding is None:
                return integrate(X, network=network)
            A0, _ = embed(encoding.apply(X, dtype), parameters, network)
            return encoding.by_column(integrate(A0, network=replace(network, embedding=())))

        return self._by_chunks(contributions, self._rows(X), (-1, self.n_features_in_), sum(network.layer_dims))

    def _folded_network(self) -> tuple[Network, Arrays, Encoding | None]:
        """Return the network that predicts, without batch normalisation, and the encoding of its inputs."""
        network = Network.restore({**self.network_, "batch_norm": False})
        return network, fold_batch_norm(self.parameters_), restore_encoding(vars(self))

    def _baseline_row(self, baseline: Any) -> Array:
        """Return a baseline, a vector or a table of one row, as a row of numbers and codes."""
        reader, baseline = self._as_fitted(), [list(baseline)] if np.ndim(baseline) == 1 else baseline
        if not hasattr(baseline, "columns"):  # scikit-learn would warn that names are missing
            vars(reader).pop("feature_names_in_", None)
        with naming("baseline", "one value per feature"):
            row = read_inputs(reader, baseline, name="baseline", reset=False)
        if len(row) > 1:
            raise ValueError(f"baseline must have one row, got {len(row)}.")
        return row

    def _vector(self, baseline: Any) -> Array:
        return read_vector("baseline", baseline, self.n_features_in_, "one value per feature")

    @np.errstate(over="ignore", invalid="ignore", under="ignore")  # check_finite raises
    def _by_chunks(
        self, function: Callable[[Inputs], Array], X: Inputs, shape: Sequence[int], width: int
    ) -> FloatArray:
        """Return a function of rows X, applied to chunks, as rows of a shape in which -1 stands for the samples.

        `width` is the number of activations of one network that are held for an example.
        """
        shape = [X.shape[0] if n == -1 else n for n in shape]
        rows: FloatArray = np.empty(shape, np.float32 if is_single(X.dtype) else np.float64)

        def write(chunk: slice, A0: Inputs) -> None:
            found = function(A0)
            check_finite(found)
            rows[..., chunk, :] = found.mT

        # an encoding takes X in the precision that X has
        dtype = None if "encoding_" in vars(self) else self.parameters_["W1"].dtype
        map_chunks(write, X.T, dtype, width * self.network_["ensemble_size"])
        return rows

    def _is_plain(self, X: Any) -> bool:
        """Say whether only the numbers of X must be checked: validating X takes longer than predicting one row."""
        return (
            type(X) is np.ndarray
            and X.dtype in (np.float32, np.float64)
            and X.shape[1:] == (self.n_features_in_,)
            and len(X) > 0
            and not hasattr(self, "feature_names_in_")
            and not hasattr(self, "categories_")
        )
