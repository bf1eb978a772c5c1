"""`DeepNNRegressor`: numbers.

Conventions: rows are samples, `X` (n_samples, n_features). The engine gets `X.T`, a view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import RegressorMixin

from ..checks import check_flag, check_integer, reject
from ..network.activations import ActivationName
from ..network.ensemble import joint_logits
from ..network.initializers import InitializerName
from ..network.losses import NUMBER_LOSSES
from ..training.optimizers import Optimizer, OptimizerName
from ..training.schedules import Schedule, ScheduleName
from ..typing import Array, Auto, FloatArray, Inputs, MatrixLike
from .base import BaseDeepNN
from .numbers import NumberTargets
from .settings import REGRESSOR_CHECKS
from .targets import Targets


class DeepNNRegressor(RegressorMixin, BaseDeepNN):
    """Deep neural network regressor: an L-layer fully connected network that predicts numbers.

    Neither X nor y needs preprocessing. Targets are scaled inside, and predictions are in the units of y. Several
    targets at once have one output each; each is scaled by itself, and their losses are averaged.

    The default is an ensemble of networks, which predicts the mean of their predictions. "auto" is resolved as in
    `DeepNNClassifier`, except:

    ==================== =======================================================================================
    parameter            "auto" stands for
    ==================== =======================================================================================
    `numeric_encoding`   the same, but inputs for bins always have the deviation 0.4
    `n_iter_no_change`   6; with 2000 samples or more 4, with more than 10 000 2
    ==================== =======================================================================================

    Parameters
    ----------
    hidden_layer_dims, activation, ensemble_size, scale_inputs, numeric_encoding, categorical_features, weight_init : \
object
        The network and its inputs, as in `DeepNNClassifier`. Without hidden layers it is a linear model.
    loss : str, default="squared_error"
        What training minimises, with the names of HistGradientBoostingRegressor. "squared_error" predicts the mean,
        "absolute_error" the median, "huber" the mean with less weight on outliers, "quantile" a quantile. "poisson",
        for y >= 0, and "gamma", for y > 0, minimise a deviance and predict the exponential of the output: the mean of
        counts, or of amounts whose relative error is constant. "huber" is quadratic for errors up to 1 / 1.349 of the
        interquartile range of y, and linear for larger ones.
    quantile : float, default=0.5
        The quantile in (0, 1) that the loss "quantile" predicts.
    optimizer, learning_rate, learning_rate_schedule, batch_size, max_iter, weight_decay, weight_averaging : object
        How the network is trained, as in `DeepNNClassifier`.
    dropout_rate, batch_norm, max_grad_norm, early_stopping, validation_fraction, n_iter_no_change, tol : object
        As in `DeepNNClassifier`. Samples are held out at random. Losses are those of scaled targets: `tol` does not
        depend on the units of y.
    scoring : str or callable, default="loss"
        The loss, or the scorer that compares epochs on validation data, such as "r2" or "neg_mean_absolute_error".
    shuffle, warm_start, dtype, verbose, random_state : object
        As in `DeepNNClassifier`. With `warm_start`, targets stay scaled as in the first call.

    Attributes
    ----------
    target_center_, target_scale_ : float, or ndarray of shape (n_outputs,)
        What is subtracted from y, and what it is then divided by: mean and standard deviation over the weighted
        samples; for "absolute_error", "huber" and "quantile" median and interquartile range / 1.349; for "poisson" and
        "gamma" 0 and the mean. Where the interquartile range is 0, the standard deviation replaces it. A constant
        target has the scale 0, and its value is predicted; with "poisson" and "gamma" this holds for 0 only.
    target_offset_ : float, or ndarray of shape (n_outputs,)
        What is added to predictions, in units of y: with "quantile" and validation that stops training, the quantile of
        the errors on the validation data; otherwise 0.
    out_activation_ : {"identity", "exp"}
    loss_, loss_curve_, validation_loss_curve_, best_loss_ : float, or list of float
        Losses of scaled targets. Squared errors and deviances are halved.
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        Mean absolute gradient of the predictions times the standard deviation of the feature, or for encoded inputs the
        mean absolute effect of each column, as in `DeepNNClassifier`. Summed over the scaled targets.
    history_, report_, parameters_, network_, coefs_, intercepts_, n_iter_ : object
        These and all others as in `DeepNNClassifier`. The networks predict scaled targets.

    See Also
    --------
    sklearn.neural_network.MLPRegressor : scikit-learn's network.
    sklearn.ensemble.HistGradientBoostingRegressor : scikit-learn's gradient boosting, with the same losses.

    Notes
    -----
    With "quantile" and early stopping, another fraction of new samples than `quantile` may lie below the predictions.
    `target_offset_` corrects this: it is learned from the validation data of all folds. It stays 0 where a fold has
    fewer than five samples beyond the quantile.

    With "absolute_error" and "quantile" an ensemble predicts the mean of its members' medians or quantiles, which is
    not exactly a median or quantile.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_deepnn import DeepNNRegressor
    >>> X_train, X_test, y_train, y_test = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    >>> DeepNNRegressor(random_state=0).fit(X_train, y_train).score(X_test, y_test) > 0.25
    True
    """

    if TYPE_CHECKING:  # what fitting sets, beside the attributes of the base classes
        target_center_: Any
        target_scale_: Any
        target_offset_: Any

    _targets = NumberTargets
    _checks = REGRESSOR_CHECKS

    def __init__(
        self,
        hidden_layer_dims: int | str | Sequence[int] = "auto",
        activation: Auto | ActivationName | Sequence[ActivationName] = "auto",
        *,
        loss: Literal["squared_error", "absolute_error", "huber", "poisson", "gamma", "quantile"] = "squared_error",
        quantile: float = 0.5,
        ensemble_size: Auto | int = "auto",
        scale_inputs: Auto | Literal["standard", "clipped", "robust", "pooled", "common"] | None = "auto",
        numeric_encoding: Auto | Literal["piecewise_linear"] | None = "auto",
        categorical_features: Literal["from_dtype"] | Sequence[int] | Sequence[str] | None = "from_dtype",
        weight_init: Auto | InitializerName | dict[str, Any] = "auto",
        optimizer: OptimizerName | Optimizer | type[Optimizer] = "adam",
        learning_rate: Auto | float = "auto",
        learning_rate_schedule: ScheduleName | Literal["reduce_on_plateau"] | Schedule = "constant",
        batch_size: Auto | int | None = "auto",
        max_iter: int = 200,
        weight_decay: Auto | float = "auto",
        weight_averaging: Auto | float = "auto",
        dropout_rate: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        max_grad_norm: float | None = None,
        early_stopping: Auto | bool = "auto",
        validation_fraction: Auto | float = "auto",
        n_iter_no_change: Auto | float = "auto",
        tol: float = 1e-4,
        scoring: str | Callable[..., float] = "loss",
        shuffle: bool = True,
        warm_start: bool = False,
        dtype: DTypeLike = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_layer_dims = hidden_layer_dims
        self.activation = activation
        self.loss = loss
        self.quantile = quantile
        self.ensemble_size = ensemble_size
        self.scale_inputs = scale_inputs
        self.numeric_encoding = numeric_encoding
        self.categorical_features = categorical_features
        self.weight_init = weight_init
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.weight_decay = weight_decay
        self.weight_averaging = weight_averaging
        self.dropout_rate = dropout_rate
        self.batch_norm = batch_norm
        self.max_grad_norm = max_grad_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.dtype = dtype
        self.verbose = verbose
        self.random_state = random_state

    def partial_fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on this chunk of the data, and continue the training of the earlier calls.

        All counts and states continue from call to call, as in `DeepNNClassifier.partial_fit`. The first chunk
        in which a target varies scales it in all later ones, so it should resemble them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : DeepNNRegressor

        Raises
        ------
        ValueError
            As in `fit`.
        """
        return self._partial_fit(X, y, sample_weight, lambda numbers, earlier: earlier)

    def _read_targets(
        self, labels: Any, sample_weight: Array | None, earlier: Targets | None
    ) -> tuple[NumberTargets, Inputs]:
        loss = NUMBER_LOSSES[self.loss].at_quantile(self.quantile)
        return NumberTargets.read(labels, sample_weight, loss, cast(NumberTargets | None, earlier))

    def predict(self, X: MatrixLike, return_std: bool = False) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Return the predicted number of each sample, in the units of y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return also the standard deviation of the networks' predictions. It tells how much networks that
            were trained on other folds, from other initial parameters, disagree: the uncertainty of the model. It does
            not contain the noise of y, so it gives no prediction interval.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The mean of the networks' predictions, in float64.
        y_std : ndarray of the shape of y_mean
            Only with ``return_std=True``.

        Raises
        ------
        ValueError
            If X breaks its rule, or if the standard deviation of a single network is asked for.
        """
        check_flag("return_std", return_std)
        fitted = self._as_fitted()
        targets = NumberTargets.of(vars(fitted))
        loss, link = targets.output, targets.output.link
        if not return_std:
            return fitted._outputs(X, lambda ZL: targets.decode(link(ZL)), targets.shape, np.float64)
        if fitted.network_["ensemble_size"] == 1:
            advice = "The standard deviation is that of several networks, such as with ensemble_size=12."
            reject("return_std", "False for a single network", return_std, advice)

        def mean_and_deviation(ZL: Array, float_type: DTypeLike) -> Array:
            mean = targets.decode(link(joint_logits(ZL, loss).astype(float_type, copy=False)))
            deviation = targets.scale * link(ZL.astype(np.float64)).std(axis=0).T
            return np.stack([mean, deviation.reshape(mean.shape)], axis=1)

        both = fitted._of_members(X, mean_and_deviation, (2, *targets.shape), np.float64)
        return both[:, 0].copy(), both[:, 1].copy()

    def input_gradients(self, X: MatrixLike, output: int = 0) -> FloatArray:
        """Return the gradient of a prediction with respect to each feature of each sample, by backpropagation.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        output : int, default=0
            The target whose prediction is differentiated.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In units of y per unit of the feature. float32 for float32 input, otherwise float64.

        Raises
        ------
        ValueError
            If `output` breaks its rule.
        """
        fitted = self._as_fitted()
        D, scale = fitted._selected(output)
        return scale * fitted._gradients(X, D, "prediction")

    def integrated_gradients(
        self, X: MatrixLike, output: int = 0, *, baseline: ArrayLike | None = None, n_steps: int = 32
    ) -> FloatArray:
        """Return the contribution of each feature to a prediction, compared with a baseline.

        Each row sums to the prediction for the sample less the prediction for the baseline, up to the error of the
        quadrature, as in `DeepNNClassifier.integrated_gradients`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        output : int, default=0
            The target whose prediction is explained.
        baseline : array-like of shape (n_features,), default=None
            By default `input_center_` and the mean of all categories; zeros if inputs are not scaled.
        n_steps : int, default=32
            Points on the line from the baseline to the sample.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In units of y.

        Raises
        ------
        ValueError
            If a parameter breaks its rule.
        """
        fitted = self._as_fitted()
        check_integer("n_steps", n_steps, 1)
        D, scale = fitted._selected(output)
        return scale * fitted._contributions(X, D, "prediction", baseline, n_steps)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        loss = NUMBER_LOSSES.get(self.loss) if isinstance(self.loss, str) else None  # `fit` rejects others
        tags.target_tags.positive_only = loss is not None and loss.target_rule(1, 1).low == 0
        # scikit-learn's check of several targets draws negative ones, whatever the tags say
        tags.target_tags.multi_output = not tags.target_tags.positive_only
        return tags

    def _selected(self, output: int) -> tuple[Array, float]:
        """Return one output as `inspection.gradients` takes it, (n_L, 1), and the scale of its target."""
        targets = NumberTargets.of(vars(self))
        if check_integer("output", output, 0) >= targets.n_outputs:
            reject("output", f"an integer from 0 to {targets.n_outputs - 1}", output)
        D = np.zeros((targets.n_outputs, 1), self.parameters_["W1"].dtype)
        D[output] = 1
        return D, float(targets.scale[output])
