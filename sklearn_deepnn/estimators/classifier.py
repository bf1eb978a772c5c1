"""`DeepNNClassifier`: labels and probabilities.

Conventions: rows are samples, `X` (n_samples, n_features). The engine gets `X.T`, a view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from ..checks import check_choice, check_integer, reject
from ..inspection.gradients import GradientOf
from ..network.activations import ActivationName
from ..network.initializers import InitializerName
from ..network.links import ProbabilityLink
from ..network.losses import LOSSES
from ..training.optimizers import Optimizer, OptimizerName
from ..training.schedules import Schedule, ScheduleName
from ..typing import Array, Auto, FloatArray, Inputs, MatrixLike
from .base import BaseDeepNN
from .inputs import check_sample_weight
from .settings import CLASSIFIER_CHECKS
from .targets import ClassTargets, Targets, check_same_kind, given_classes, read_labels

ClassGradientOf: TypeAlias = Literal["probability", "logit"]


class DeepNNClassifier(ClassifierMixin, BaseDeepNN):
    """Deep neural network classifier: an L-layer fully connected network trained by backpropagation.

    It minimises the cross-entropy of a sigmoid for two classes or for several labels at once, and of a softmax for more
    classes. Tables need no preprocessing: numbers are scaled and encoded, and text, categories and gaps are learned.

    The default is an ensemble of networks, which predicts the mean probability. Each network holds out samples that the
    others learn from. "auto" is resolved from the data and from the size of the network, never from whether another
    parameter is given [1]_:

    ====================== =====================================================================================
    parameter              "auto" stands for
    ====================== =====================================================================================
    `hidden_layer_dims`    (48, 24), common units (128, 64); more than 5000 samples (128, 128, 64); wide sparse (32,)
    `activation`           "silu"
    `ensemble_size`        12, or fewer where an epoch of one network takes more work; `partial_fit`, L-BFGS: 1
    `scale_inputs`         "standard"; with outliers "clipped", for common units "pooled", for wide sparse X "common"
    `numeric_encoding`     "piecewise_linear"; None for common units, sparse X, more than 64 numbers, or first chunks of
                           fewer than 1000 samples in `partial_fit`
    `weight_init`          what suits each layer's activation
    `learning_rate`        0.01, with 2000 samples or more 0.015; or 0.9 / units of the widest layer, if less;
                           with more than 1000 inputs that are not 0, times 1000 / their number
    `batch_size`           64; with 2000 samples or more 128, with 20 000 or more 256
    `weight_decay`         0.1; for L-BFGS 0.0001
    `weight_averaging`     3 with early stopping, otherwise 0
    `label_smoothing`      0.01; less with more than 10 000 samples, or if a class is rare
    `early_stopping`       True with 40 samples or more; for L-BFGS with more than 10 000
    `validation_fraction`  0.1; less with more than 10 000 samples
    `n_iter_no_change`     6; with 2000 samples or more 4, with more than 30 000 3
    `dtype`                float32 with 1000 samples or more, for one network with more than 10 000
    ====================== =====================================================================================

    X is wide and sparse if it is a sparse matrix with more than 200 features and at least nine tenths zeros, such as
    counts of words. Features have common units if nearly all have the same lowest and highest value, as pixels do.

    Parameters
    ----------
    hidden_layer_dims : "auto", int, sequence of int or str, default="auto"
        Units of each hidden layer. Empty: logistic regression. "128-64" is (128, 64), for searches that take no tuples.
    activation : "auto", str or Activation, or a sequence with one for each hidden layer, default="auto"
        A name in `sklearn_deepnn.network.ACTIVATIONS`, such as "relu" or "gelu", or an `Activation` of your own.
    ensemble_size : "auto" or int, default="auto"
        Networks that are trained side by side, each with initial parameters and an order of samples of its own. Each
        holds out another fold of the training set to validate. "auto" is (4e10 / (weights * samples)) ** (1/3),
        rounded, at most 12 and at least 1: half as many networks where one takes 8 times the work.
    scale_inputs : {"auto", "standard", "clipped", "robust", "pooled", "common"} or None, default="auto"
        "standard" scales each feature to mean 0 and variance 1, "robust" to median 0 and interquartile range 1, over
        the weighted samples that any network trains on. "pooled" subtracts each mean, and divides all features by
        their pooled standard deviation: features in common units, such as pixels, keep their relative sizes. "common"
        divides features that are 0 in a tenth of the samples or more by one number, the typical size of their other
        values, and scales the rest as "standard" does: rare words and categories do not weigh more than frequent ones.
        If the size of such a feature is not typical, its scale is within a factor of 10 of its size. "clipped" is
        "standard", except for features whose standard deviation is more than 30 interquartile ranges: outliers
        determine such a deviation, so these features are scaled by their quantiles and smoothly clipped. Where inputs
        are encoded, "common" is "standard". Constant features are ignored. Sparse X stays sparse. `partial_fit` updates
        the scaling, unless inputs are encoded, and takes no "robust". None leaves X as it is.
    numeric_encoding : {"auto", "piecewise_linear"} or None, default="auto"
        "piecewise_linear" gives each number with more than two values, beside the number itself, an input for each of
        its bins: how far the number is through the bin [3]_. The edges are quantiles of the training samples. With n
        samples there are n / 100 bins, at least 4 and at most 16, in larger sets n / 300, at most 96; and no more than
        256 inputs for all numbers together, unless 4 bins are more. A number beyond those of training counts like
        the nearest of these. None takes numbers as they are.
    categorical_features : "from_dtype", sequence of str, int or bool, or None, default="from_dtype"
        "from_dtype" takes columns of a data frame or an array of objects that hold text or are of a categorical dtype.
        A sequence names all columns of categories, by names, by indices or by a mask: text in another column is an
        error. To add a column of numbers to those of text, give the column a categorical dtype. None takes none. Up to
        32 categories have an input each; more have trained vectors of 8 numbers. Categories with fewer samples than 1 %
        of all, at most 5 and at least 2, count as one, and so do those after the 10 000 most frequent. Unknown
        categories count as one of these, or, if there are none, as the mean of all. Gaps count as a category. Bools are
        the numbers 0 and 1.
    weight_init : str or dict, default="auto"
        How weights are drawn, a name in `sklearn_deepnn.network.INITIALIZERS`; "auto" takes the initializer of each
        layer's activation. Biases start at zero. Or a dict as `parameters_`: initial parameters for unscaled inputs, or
        for encoded ones.
    optimizer : str or optimizer, default="adam"
        "sgd", "rmsprop", "adam", "nadam" or "lbfgs" with their default settings, or an instance such as
        ``Adam(beta_1=0.95)``. Searches set the settings by names such as ``optimizer__beta_1``. L-BFGS takes the whole
        training set in each update and finds its step length by a line search: it ignores `batch_size`,
        `learning_rate`, its schedule, `max_grad_norm` and `weight_averaging`.
    learning_rate : "auto" or float, default="auto"
        The rate at which the schedule starts, or its highest rate.
    learning_rate_schedule : str or callable, default="constant"
        "constant", "cosine", "warm_up_cosine", "one_cycle", "step", "exponential", "inverse_scaling", or
        "reduce_on_plateau" (divides by 5 after `n_iter_no_change` / 2 epochs without improvement). A schedule is spread
        over `max_iter` epochs. With `warm_start` each call adds `max_iter` epochs, and the rate continues as in one
        call of that length. A callable takes the number of updates and returns the rate; `learning_rate` is ignored.
        Functions of `sklearn_deepnn.training.schedules` with `functools.partial` can be saved; a lambda cannot.
    batch_size : int, "auto" or None, default="auto"
        Samples per update. "auto" grows from 64 to 256, and is the whole set with fewer than 40 samples and no
        validation. None, or more than there are, is the whole training set.
    max_iter : int, default=200
        The largest number of epochs (passes over the training set). A ConvergenceWarning says if all are used up while
        the cost, on validation data if there are any, still falls by more than 1 % over the last tenth of the epochs.
    weight_decay : "auto" or float, default="auto"
        Strength of the decay of weights (not biases), the same at every batch size. It is decoupled from the gradient,
        as in AdamW: each update multiplies weights by 1 - learning_rate * weight_decay. L-BFGS minimises cost +
        weight_decay / 2 * sum(W^2), which is the same for plain gradient descent.
    weight_averaging : "auto" or float, default="auto"
        Time constant, in epochs, of an exponential moving average of the weights [2]_; it is shorter at the beginning.
        0 takes no average. The average is validated and kept. "auto": 3 if epochs are validated, otherwise 0.
    dropout_rate : float or sequence of float, default=0.0
        Fraction of units dropped in training: one for all hidden layers, or one for each.
    batch_norm : bool, default=False
        Whether hidden layers normalise over the batch, between their linear part and their activation.
    label_smoothing : "auto" or float, default="auto"
        Fraction of each target that is spread evenly over the classes. "auto": 0.01, with more than 10 000 samples 100
        divided by their number, and less if a class is rare: smoothing adds at most a tenth of a class's frequency. 0
        for several labels at once.
    max_grad_norm : float or None, default=None
        Gradients with a larger norm, over all parameters, are scaled down to this norm.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes, which multiply sample weights. "balanced" makes classes weigh the same in sum.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out part of the training set, validate every epoch, keep the best epoch's weights and stop when
        nothing improves. "auto": with 40 samples or more, or with `X_val`; L-BFGS with more than 10 000, or with
        `X_val`. Without validation, the training cost must improve, and the last epoch's weights are kept. With False,
        an `X_val` is only recorded.
    validation_fraction : "auto" or float, default="auto"
        Fraction of the training set to hold out if there is no `X_val`. "auto" is 0.1; with n > 10 000 samples
        10 / sqrt(n), which is 0.01 of a million.
    n_iter_no_change : "auto", int or np.inf, default="auto"
        Epochs in a row without improvement until training stops; np.inf never stops. An `EarlyStopping` in
        `set_callbacks` replaces this and `tol`.
    tol : float, default=0.0001
        The cost or score must improve by more than this, measured from its value at the last improvement. Here several
        small gains together count as an improvement. In MLPClassifier they do not.
    scoring : str or callable, default="loss"
        What compares epochs on validation data: the cost ("loss"), or a scorer (name or callable). Samples are weighted
        if the scorer takes a `sample_weight`. Each member of an ensemble is scored on its own fold. Folds that lack a
        class, on which some scorers are undefined, are left out of the mean; if none is left, the loss compares epochs.
        An epoch on whose predictions the scorer fails or returns nan counts as no improvement, with one warning.
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new order.
    warm_start : bool, default=False
        Whether `fit` continues the last training, with its weights, optimizer state, random stream and counts, for
        another `max_iter` epochs. Patience starts anew. After a fit without it, the optimizer's state starts anew, too.
        y need not contain every earlier label. Missing labels stay in `classes_`, but their probabilities fall.
        (MLPClassifier refuses such y.) New labels are an error.
    dtype : {"auto", "float32", "float64"} or dtype, default="auto"
        Precision of parameters and computation. "auto": float32 if X is float32, is wide and sparse, or has more
        than 10 000 rows (an ensemble: 1000), unless a feature has a mean of more than 1000 standard deviations, which
        float32 cannot resolve. Dense X is never converted as a whole. A training that is continued keeps its precision.
    verbose : int, default=0
        1 shows a progress bar if tqdm is installed, otherwise prints lines for some of the epochs, at least every 10 s
        unless an epoch takes longer; 2 prints a line for each epoch. At the end, both print the findings of `report_`
        that were no warnings; the last line says what stopped training, and, if epochs are compared, which epoch's
        weights are kept.
    random_state : int, RandomState or None, default=None
        Draws initial parameters, order of samples, held-out samples and dropout. The same seed gives the same weights
        bit for bit, on any number of threads.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; 0, 1, ... for several labels at once.
    class_weight_ : ndarray of shape (n_classes,)
        The weight of each class, if `class_weight` was given.
    multilabel_ : bool
        Whether y was an indicator matrix.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X had names, all of them strings.
    feature_importances_ : ndarray of shape (`n_features_in_`,)
        How much a change of each feature by a standard deviation changes the predicted probability: its mean absolute
        gradient on at most 1000 training samples (of several labels, the mean over the labels), scaled to sum 1. Of
        encoded inputs, the mean absolute effect of each column, to first order. After `partial_fit` on at most 100
        samples of the last chunk. It tells what the network reacts to, for `RFE` and `SelectFromModel`, at no cost. It
        has no sign, sees no jumps, and splits the importance of correlated features. What the accuracy depends on is
        measured by `sklearn.inspection.permutation_importance` on held-out samples. Zeros if no feature matters.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of the network that predicts from unscaled inputs: entry i lies between layers i and i + 1. Scaling and
        batch normalisation are folded in. If inputs are encoded, the weights of the first layer are for these inputs.
        Of an ensemble (ensemble_size, n_in, n_out).
    intercepts_ : list of ndarray of shape (n_out,)
        Of an ensemble (ensemble_size, 1, n_out).
    input_center_ : ndarray of shape (`n_features_in_`,)
        What is subtracted from each feature; nan for categories. Missing without scaling.
    input_scale_ : ndarray of shape (`n_features_in_`,)
        What it is then divided by: infinity if the feature is constant. Missing without scaling.
    encoding_ : dict
        How columns of X become inputs of the network: the fields of `sklearn_deepnn.network.encoding.Encoding`. Missing
        if inputs are scaled at most.
    categories_ : list of dict or None
        For each column None, or its categories: their `values`, whose codes are 0, 1, ..., and the codes of `other`
        (rare and unknown) categories and of `missing` values, -1 if training had none. Missing if all columns are
        numbers.
    parameters_ : dict of str to ndarray
        "W1" (n_1, n_0), "b1" (n_1, 1), ..., as trained, but for unscaled inputs, or for encoded ones. "E" (8,
        n_categories) has the vectors of categories, if there are such. The arrays of an ensemble are stacked: "W1"
        (ensemble_size, n_1, n_0).
    network_ : dict
        The architecture: the fields of `sklearn_deepnn.network.Network`.
    n_layers_ : int
        Layers including the input, as in MLPClassifier: hidden layers + 2.
    n_outputs_ : int
    out_activation_ : {"sigmoid", "softmax"}
    n_iter_ : int
        Epochs trained, over all calls.
    loss_ : float
        Cross-entropy of the last epoch on the training set, with label smoothing and dropout, without penalty.
    loss_curve_ : list of float
        The same for every epoch. Each sample counts with its cost before the update by its batch.
    validation_loss_curve_ : list of float
        With validation: cross-entropy on the validation data, by epoch.
    validation_scores_ : list of float
        With validation: `scoring` on the validation data, by epoch; the negative cross-entropy if it is "loss".
    best_iter_ : int
        The epoch, counted from 1, with the best score; without validation, with the lowest training cost.
    best_loss_ : float
        Cross-entropy of that epoch, on the validation data if there are any.
    learning_rate_curve_ : list of float
        Learning rate of the last update of every epoch.
    report_ : list of str
        What went wrong in the last call, with numbers and advice; empty if nothing did. It tells of divergence, dead or
        saturated units, inputs of very different sizes, overfitting, nothing learned beyond the class frequencies, and
        epochs used up while the cost falls. After `partial_fit` only divergence, units and inputs are checked.
    history_ : dict of str to list of float
        A list by epoch for each value that was recorded: "cost", "learning_rate", with validation "validation_cost",
        with a scorer "validation_score"; and what callbacks add, such as `EpochTimer` and `EpochScoring`.
    training_state_ : dict
        What training continues from.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : scikit-learn's network.

    References
    ----------
    .. [1] docs/defaults.md of this package has the comparison, and the effect of each ingredient.
    .. [2] Polyak, Juditsky (1992), "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
       Optimization 30, 838-855.
    .. [3] Gorishniy, Rubachev, Babenko (2022), "On embeddings for numerical features in tabular deep learning",
       NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> DeepNNClassifier(random_state=0).fit(X_train, y_train).score(X_test, y_test) > 0.95
    True

    One network with given dims, for scaled numbers:

    >>> model = DeepNNClassifier((32, 16), ensemble_size=1, numeric_encoding=None, random_state=0)
    >>> model = model.fit(X_train, y_train)
    >>> [coef.shape for coef in model.coefs_]
    [(13, 32), (32, 16), (16, 3)]
    """

    if TYPE_CHECKING:  # what fitting sets, beside the attributes of the base classes
        classes_: Array
        class_weight_: FloatArray
        multilabel_: bool

    _targets = ClassTargets
    _checks = CLASSIFIER_CHECKS

    def __init__(
        self,
        hidden_layer_dims: int | str | Sequence[int] = "auto",
        activation: Auto | ActivationName | Sequence[ActivationName] = "auto",
        *,
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
        label_smoothing: Auto | float = "auto",
        max_grad_norm: float | None = None,
        class_weight: dict[Any, Any] | Literal["balanced"] | None = None,
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
        self.label_smoothing = label_smoothing
        self.max_grad_norm = max_grad_norm
        self.class_weight = class_weight
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

    def partial_fit(
        self, X: MatrixLike, y: MatrixLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on this chunk of the data, and continue the training of the earlier calls.

        The random stream, the optimizer's moments, the schedule (whose horizon is `max_iter` calls) and all counts
        continue from call to call: `max_iter` calls with the same data equal one `fit` that neither validates nor stops
        early, unless inputs are encoded: numbers are then smoothly clipped, since later ones may be larger. Encodings
        are learned from the first chunk. Nothing is held out. Sample weights are relative to the mean weight of the
        first call. `EarlyStopping` and `ReduceLROnPlateau` are ignored: costs of different chunks cannot be compared.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or indicator matrix of shape (n_samples, n_labels)
        classes : array-like of shape (n_classes,), default=None
            All labels of all later calls, in an array or a list. Needed at the first call, except for indicator
            matrices. What is listed twice counts once.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : DeepNNClassifier

        Raises
        ------
        ValueError
            As in `fit`; and if y has a label that is not among the classes.
        """
        if self.class_weight == "balanced":
            reject("class_weight", "None or a dict for partial_fit, which does not see all classes at once", "balanced")
        return self._partial_fit(X, y, sample_weight, partial(given_classes, classes))

    def _read_targets(
        self, labels: Any, sample_weight: Array | None, earlier: Targets | None
    ) -> tuple[ClassTargets, Inputs]:
        return ClassTargets.read(labels, sample_weight, self.class_weight, cast(ClassTargets | None, earlier))

    def predict(self, X: MatrixLike) -> Array:
        """Return the most probable label of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_labels)
            Labels; zeros and ones for multilabel targets.
        """
        fitted = self._as_fitted()
        if fitted.multilabel_:
            return fitted._outputs(X, lambda ZL: (ZL > 0).T, (fitted.n_outputs_,), np.intp)
        choose = (lambda ZL: ZL[0] > 0) if fitted._has_one_logit() else (lambda ZL: ZL.argmax(axis=0))
        return fitted.classes_[fitted._outputs(X, choose, (), np.intp)]

    def predict_proba(self, X: MatrixLike) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`. Rows sum to 1, except with several labels at once. float32 for float32 input,
            otherwise float64. With two classes or more, none is rounded to 0 or 1: the log loss stays finite.
        """
        fitted = self._as_fitted()
        link = LOSSES[fitted.network_["loss"]].link
        return fitted._outputs(X, lambda ZL: open_interval(fitted._by_class(ZL, link)), fitted.classes_.shape)

    def predict_log_proba(self, X: MatrixLike) -> FloatArray:
        """Return the logarithm of the probability of each class, finite where the probability underflows to 0.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        fitted = self._as_fitted()
        link = cast(ProbabilityLink, LOSSES[fitted.network_["loss"]].link)
        return fitted._outputs(X, partial(fitted._by_class, link=link.log), fitted.classes_.shape)

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy: the fraction of samples whose label is predicted, or whose labels all are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or indicator matrix of shape (n_samples, n_labels)
            The true labels, of any type that `fit` takes.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If X, y or a weight breaks its rule.
        """
        fitted = self._as_fitted()
        labels = read_labels(y, "y")
        check_same_kind("y", labels.multilabel, fitted.multilabel_, "as in fit")
        weight = check_sample_weight("sample_weight", sample_weight, labels.y.shape[0])
        return float(accuracy_score(labels.y, fitted.predict(X), sample_weight=weight))

    def decision_function(self, X: MatrixLike) -> FloatArray:
        """Return the logits: the output before its sigmoid or softmax.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes)
            For two classes one logit, positive for the second class; for one class also one logit.
        """
        fitted = self._as_fitted()
        shape = () if fitted.n_outputs_ == 1 else (fitted.n_outputs_,)
        return fitted._outputs(X, lambda ZL: ZL.T if shape else ZL[0], shape)

    def input_gradients(self, X: MatrixLike, label: Any = None, *, of: ClassGradientOf = "probability") -> FloatArray:
        """Return the gradient of a prediction with respect to each feature of each sample, by backpropagation.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        label : object, default=None
            One of `classes_`. None takes the predicted class of each sample; several labels at once need a label.
        of : {"probability", "logit"}, default="probability"
            The gradient of `predict_proba`, or of `decision_function`, with its sign changed for the first of two.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Per unit of each feature: to compare features, multiply by `input_scale_`, where it is finite. float32 for
            float32 input, otherwise float64.

        Raises
        ------
        ValueError
            If `label` or `of` breaks its rule.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = DeepNNClassifier(hidden_layer_dims=(8,), random_state=0).fit(X, y)
        >>> gradients = model.input_gradients(X, label=2)
        >>> gradients.shape
        (150, 4)
        """
        fitted = self._as_fitted()
        return fitted._gradients(X, fitted._output_of(label), gradient_of(of))

    def integrated_gradients(
        self,
        X: MatrixLike,
        label: Any = None,
        *,
        baseline: ArrayLike | None = None,
        n_steps: int = 32,
        of: ClassGradientOf = "probability",
    ) -> FloatArray:
        """Return the contribution of each feature to a prediction, compared with a baseline [1]_.

        (X - baseline) * mean gradient on the straight line from the baseline to X. Each row sums to the prediction for
        the sample less the prediction for the baseline, up to the error of the quadrature. More steps reduce the error:
        quickly for smooth activations, slowly for the ReLU family, whose gradient jumps.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        label : object, default=None
            As in `input_gradients`. None takes the predicted class of the sample on the whole line.
        baseline : array-like of shape (n_features,), default=None
            By default `input_center_`, the mean or median of the training samples, and the mean of all categories;
            zeros if inputs are not scaled. For tables with categories also a data frame of one row.
        n_steps : int, default=32
            Points on the line at which the gradient is computed, by Gauss-Legendre quadrature.
        of : {"probability", "logit"}, default="probability"
            As in `input_gradients`.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If a parameter breaks its rule.

        References
        ----------
        .. [1] Sundararajan, Taly, Yan (2017), "Axiomatic attribution for deep networks", ICML.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = DeepNNClassifier(hidden_layer_dims=(8,), activation="tanh", random_state=0).fit(X, y)
        >>> contributions = model.integrated_gradients(X, label=2)
        >>> at_baseline = model.predict_proba([model.input_center_])[:, 2]
        >>> np.allclose(at_baseline + contributions.sum(axis=1), model.predict_proba(X)[:, 2], atol=1e-6)
        True
        """
        fitted = self._as_fitted()
        check_integer("n_steps", n_steps, 1)
        return fitted._contributions(X, fitted._output_of(label), gradient_of(of), baseline, n_steps)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_label = True
        return tags

    def _has_one_logit(self) -> bool:
        """Say whether one logit stands for two classes."""
        return ClassTargets.of(vars(self)).has_one_logit

    def _by_class(self, ZL: Array, link: Callable[[Array], Array]) -> Array:
        """Return a link of the loss, applied to logits, with a row for each example and a column for each class."""
        return link(np.concatenate([-ZL, ZL]) if self._has_one_logit() else ZL).T

    def _output_of(self, label: Any) -> Array | None:
        """Return the output of a label as `inspection.gradients` takes it, (n_L, 1); None for the predicted one."""
        if label is None and not self.multilabel_:
            return None
        labels = self.classes_.tolist()
        try:
            number = labels.index(label)
        except (TypeError, ValueError):  # unknown, or of a type that cannot be compared
            otherwise = " for multilabel targets" if self.multilabel_ else " or None"
            reject("label", f"one of {labels}{otherwise}", label)
        D = np.zeros((self.n_outputs_, 1), self.parameters_["W1"].dtype)
        output, sign = (0, 2 * number - 1) if self._has_one_logit() else (number, 1)
        D[output] = sign
        return D


def gradient_of(of: str) -> GradientOf:
    """Return what `inspection.gradients` differentiates: the prediction is a probability."""
    return "logit" if check_choice("of", of, ["probability", "logit"]) == "logit" else "prediction"


def open_interval(probabilities: Array) -> Array:
    """Return probabilities (m, n_classes). Those that were rounded to 0 or 1 become the next number inside (0, 1)."""
    if probabilities.shape[1] == 1:  # the only class is certain
        return probabilities
    limits = np.finfo(probabilities.dtype)
    return probabilities.clip(limits.tiny, 1 - limits.epsneg)
