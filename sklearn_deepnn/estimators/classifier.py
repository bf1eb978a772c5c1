"""`DeepNNClassifier`: where rows become columns, labels become targets, and parameters are checked.

Conventions: rows are samples here, `X` (n_samples, n_features). The engine gets `X.T`, a view.
"""

from __future__ import annotations

import copy
import math
import os
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Number
from typing import TYPE_CHECKING, Any, Literal, Self

import joblib
import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ..callbacks import Callback, EarlyStopping, ReduceLROnPlateau, load_checkpoint
from ..callbacks.base import CallbackSupportMixin, FitTasks, callbacks_of, with_callbacks
from ..callbacks.checkpoints import is_overtaken, newest_checkpoint
from ..callbacks.progress import EpochPrinter, print_not_resumed, progress_display
from ..callbacks.steering import Monitor
from ..checks import (
    InvalidParameterError,
    check_choice,
    check_flag,
    check_integer,
    check_real,
    naming,
    reject,
    warn_user,
)
from ..inspection.diagnosis import diagnose, diagnose_part, find_bad_inputs
from ..inspection.gradients import (
    GRADIENTS_OF,
    GradientOf,
    hidden_activation,
    hidden_layer_number,
    input_gradient,
    integrated_gradient,
)
from ..inspection.summary import NetworkSummary
from ..network.activations import ActivationName
from ..network.initializers import INITIALIZERS, InitializerName
from ..network.losses import LOSSES, joint_logits
from ..network.model import (
    Network,
    check_finite,
    fold_batch_norm,
    initialize_parameters,
    map_logits,
    map_pieces,
    take_columns,
)
from ..network.parameters import Parameters
from ..network.scaling import SCALINGS, Scaling, fold_scaling, input_moments, on_another_scale, unfold_scaling
from ..saving import SavingMixin, fitted_curves
from ..training.loop import Examples, Recipe, TrainingState, Validate, mean_cost, train
from ..training.optimizers import OPTIMIZERS, Optimizer, OptimizerName
from ..training.schedules import SCHEDULES, Schedule, ScheduleName
from ..typing import Array, Arrays, Auto, BoolArray, FloatArray, Inputs, MatrixLike, Maybe, Values
from .inputs import read_inputs as checked_inputs

# What "auto" stands for; docs/defaults.md tells why.
AUTO_ENSEMBLE_SIZE = 12
LARGE_SAMPLES = 30_000, 300_000  # with more than each of these, networks are twice as wide and half as many
AUTO: dict[str, tuple[Any, Any]] = {  # in the automatic network, and in one whose dims are given or that L-BFGS trains
    "hidden_layer_dims": ((48, 24), (100,)),
    "activation": ("silu", "relu"),
    "learning_rate": (0.01, 0.001),
    "weight_decay": (0.1, 0.0001),
    "n_iter_no_change": (6, 10),
    "label_smoothing": (0.02, 0.0),
}
ENSEMBLE_SAMPLES = 1_000_000  # most that the members of an ensemble train on, all together
LIFT_OF_RARE_CLASS = 0.1  # most that automatic label smoothing may add to a class, as a share of its share
FEW_SAMPLES = 40  # with less, nothing is held out, and each epoch is one step
MANY_SAMPLES = 10_000  # with more, float32 is precise enough, and batches grow
AUTO_BATCH_SIZE, LARGEST_AUTO_BATCH_SIZE = 64, 512
AVERAGING_EPOCHS = 3.0
FAR_FROM_ZERO = 1000.0  # deviations; features with such a mean need float64 for what they vary by
REDUCE_ON_PLATEAU = "reduce_on_plateau"  # the one schedule that must see the costs, and so is a callback
KEY_OF_PARTS = 8 * "0"  # of a training whose data come in parts
SEEN_ELEMENTS = 2**22  # and at most so many of their values, 32 MB, where all are to be held
N_SEEN = 1000  # samples that tell X from another
FREE_TO_CHANGE = {"verbose", "warm_start", "max_iter"}  # while a call of `fit` is carried on
COMPARING = EarlyStopping, ReduceLROnPlateau  # callbacks that compare the costs of epochs
DOCUMENTATION = "https://sklearn-deepnn.readthedocs.io/en/stable/"


class DeepNNClassifier(CallbackSupportMixin, SavingMixin, ClassifierMixin, BaseEstimator):
    """Deep neural network classifier: an L-layer fully connected network trained by backpropagation.

    It minimises the cross-entropy of its predictions: of a sigmoid for two classes or for several labels at once, of a
    softmax for more classes. Inputs need no scaling, it does that itself.

    Without parameters it trains what proved best on tables [1]_: an ensemble of small networks whose mean probability
    is predicted, each held back from overfitting by samples that the others learn from. Given `hidden_layer_dims`, it
    trains one network of those dims, with the settings that are customary for one. What "auto" means in either case:

    ==================== ======================================= ========================
    parameter            `hidden_layer_dims="auto"`              dims given, or L-BFGS
    ==================== ======================================= ========================
    `hidden_layer_dims`  (48, 24); twice as wide in sets of more (100,)
                         than 30 000, and again of 300 000
    `ensemble_size`      12; half as many with each doubling,    1
                         at most 1 000 000 / n_samples
    `activation`         "silu"                                  "relu"
    `learning_rate`      0.01                                    0.001
    `weight_decay`       0.1                                     0.0001
    `label_smoothing`    0.02; less where a class is rare        0.0
    `early_stopping`     with 40 samples or more                 with more than 10 000
    `n_iter_no_change`   6                                       10
    ==================== ======================================= ========================

    Parameters
    ----------
    hidden_layer_dims : "auto", int, sequence of int or str, default="auto"
        Units of each hidden layer. May be empty: logistic regression. "128-64" is (128, 64), for searches that take no
        tuples, such as Bayesian ones.
    activation : str or sequence of str, default="auto"
        Activation of the hidden layers, one for all or one for each: "relu", "leaky_relu", "elu", "selu", "gelu",
        "silu", "mish", "softplus", "tanh", "sigmoid" or "identity".
    ensemble_size : "auto" or int, default="auto"
        Networks to train side by side, from start values and in orders of their own. What is predicted is the mean of
        their probabilities. Where they validate by a share of the training set, each holds out another one.
    scale_inputs : {"standard", "robust"} or None, default="standard"
        "standard" makes each feature have mean 0 and variance 1, "robust" median 0 and interquartile range 1, over the
        training samples by their weights. What is held out does not count, unless another member of an ensemble trains
        on it. Features that do not vary are ignored. Sparse X stays sparse; for counts of words take None, since rare
        ones would weigh most. `partial_fit` goes on counting, and so it takes no "robust".
    weight_init : str or dict, default="auto"
        How weights start: "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal",
        "lecun_uniform", "orthogonal", "zeros"; "auto" takes what suits each layer's activation. A dict ("W1", "b1",
        ..., as in `parameters_`) gives the start values themselves, for inputs as they come. Biases start at zero.
    optimizer : str or optimizer, default="adam"
        "sgd", "rmsprop", "adam", "nadam" or "lbfgs" with their default settings, or an instance with its own, such as
        ``Adam(beta_1=0.95)``; a search goes over several instances. L-BFGS takes the whole set at once and finds its
        step lengths by itself: `batch_size`, `learning_rate`, its schedule and `max_grad_norm` do not concern it, and
        it trains one network where no `ensemble_size` is given.
    learning_rate : "auto" or float, default="auto"
        Size of the steps: the rate at which the schedule starts, or its highest.
    learning_rate_schedule : str or callable, default="constant"
        "constant", "cosine", "warm_up_cosine", "one_cycle", "step", "exponential", "inverse_scaling", or
        "reduce_on_plateau" (divides by 5 whenever `n_iter_no_change` / 2 epochs brought no improvement). The horizon
        of those that have one is `max_iter` epochs; `warm_start` moves it by another `max_iter`, and goes on with the
        rate that one run of that length would have had. A callable takes the number of updates made and returns the
        rate; `learning_rate` then has no say. Functions of the module `schedules` with `functools.partial` make
        callables that can be saved, which a lambda cannot.
    batch_size : int, "auto" or None, default="auto"
        Samples per update. "auto" grows from 64 with 10 000 samples to 512 with 80 000; with fewer than 40 and no
        validation it is the whole set. None, or more than there are, is the whole training set.
    max_iter : int, default=200
        Epochs: most passes over the training set. It is a budget, and to use it up is no cause for a warning; more may
        help if `n_iter_` has reached it and `loss_curve_` still falls.
    weight_decay : "auto" or float, default="auto"
        Strength of the pull of weights (not biases) towards zero, the same at every batch size. It is decoupled from
        the gradient (as in AdamW): each step multiplies weights by 1 - learning_rate * weight_decay. L-BFGS, which
        needs it in its cost, minimises cost + weight_decay / 2 * sum(W^2): the same thing for plain gradient descent.
    weight_averaging : "auto" or float, default="auto"
        Epochs that a moving average of the weights reaches back [2]_, less at the beginning; 0 takes none. The average
        is what is validated and kept; training goes on with the weights themselves. "auto": 3 where epochs are
        validated, otherwise 0. L-BFGS takes none.
    dropout_rate : float or sequence of float, default=0.0
        Share of units dropped while training, in all hidden layers or in each.
    batch_norm : bool, default=False
        Whether hidden layers normalise over the batch, between their linear part and their activation.
    label_smoothing : "auto" or float, default="auto"
        Share of each target that is spread evenly over the classes. "auto" in the automatic network: so little, where a
        class is rare, that it gets no more than a tenth of its share in addition; none for several labels at once.
    max_grad_norm : float or None, default=None
        Gradients with a larger norm, taken over all parameters, are scaled down to it.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes, which multiply sample weights. "balanced" makes classes weigh the same in sum.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out part of the training set, judge every epoch by it, keep the best epoch's weights and stop
        when it no longer improves. "auto": if there are more than 10 000 samples, if `X_val` is given, or with 40
        samples or more in the automatic network and in ensembles: each member holds out another share, so that each
        sample is learned by some. Without validation data the training cost is what must improve, and the last epoch's
        weights are kept; with False that is so even if `X_val` is given, which then is only watched.
    validation_fraction : float, default=0.1
        Share of the training set to hold out where no `X_val` is given.
    n_iter_no_change : "auto" or int, default="auto"
        Stop when so many epochs in a row brought no improvement. An `EarlyStopping` given to `set_callbacks` takes the
        place of this and of `tol`.
    tol : float, default=0.0001
        What is no improvement: a change of less than this in cost or score.
    scoring : str or callable, default="loss"
        What judges an epoch on validation data: the cross-entropy, or a scorer (name or callable). It is weighted where
        samples are, if it takes a `sample_weight`. Members of an ensemble are scored one by one on what each holds out.
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new order.
    warm_start : bool, default=False
        Whether `fit` goes on where training stopped, for another `max_iter` epochs: with the weights, the
        optimizer's moments, the random stream and the counts that it had. Patience starts anew.
    dtype : {"auto", "float32", "float64"} or dtype, default="auto"
        Precision of parameters and computation. "auto": float32 if X is float32 or has more than 10 000 rows, for an
        ensemble 1000; but float64 for float64 features that lie more than 1000 deviations from zero, of which float32
        would lose what they vary by. A large X is never converted as a whole. Where training goes on, it stays what it
        was.
    verbose : int, default=0
        1 shows a progress bar in terminals and notebooks, if tqdm is installed, and otherwise prints a line for some of
        the epochs; 2 prints one for each. Both say which epoch is kept.
    random_state : int, RandomState or None, default=None
        Draws start values, order of samples, held-out samples and dropout. The same draws give the same weights to the
        bit on the same number of threads; with dropout and batches large enough for several, another number of
        threads drops other units.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; 0, 1, ... for multilabel targets.
    class_weight_ : ndarray of shape (n_classes,)
        The weight of each class, if `class_weight` was given.
    multilabel_ : bool
        Whether the targets were an indicator matrix.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X had names, all of them strings.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of the network that predicts from inputs as they come: entry i lies between layers i and i + 1. Scaling
        and batch normalisation are folded in. Of an ensemble (ensemble_size, n_in, n_out).
    intercepts_ : list of ndarray of shape (n_out,)
        Of an ensemble (ensemble_size, 1, n_out).
    input_center_ : ndarray of shape (`n_features_in_`,)
        What is subtracted from each feature. Missing without scaling.
    input_scale_ : ndarray of shape (`n_features_in_`,)
        What it is then divided by: infinity if it did not vary. Missing without scaling.
    parameters_ : dict of str to ndarray
        "W1" (n_1, n_0), "b1" (n_1, 1), ..., as trained, but for inputs as they come. Of an ensemble, the members'
        arrays are stacked: "W1" (ensemble_size, n_1, n_0).
    network_ : dict
        What the network is: the fields of `sklearn_deepnn.network.Network`.
    n_layers_ : int
        Layers counted with the input's, as MLPClassifier does: hidden layers + 2.
    n_outputs_ : int
    out_activation_ : {"sigmoid", "softmax"}
    n_iter_ : int
        Epochs trained, over all calls.
    loss_ : float
        Cross-entropy of the last epoch on the training set, label smoothing and dropout included, penalties not.
    loss_curve_ : list of float
        The same for every epoch, each sample as it stood when its batch was drawn.
    validation_loss_curve_ : list of float
        With validation: cross-entropy on the validation data, by epoch.
    validation_scores_ : list of float
        With validation: `scoring` on the validation data, by epoch; the negative cross-entropy if that is "loss".
    best_iter_ : int
        The epoch, counted from 1, with the best score; without validation, with the lowest training cost.
    best_loss_ : float
        Cross-entropy of that epoch, on the validation data if there are.
    learning_rate_curve_ : list of float
        Learning rate of the last step of every epoch.
    report_ : list of str
        What went wrong in the last call, empty if nothing: a finding each, with the numbers that matter and what to
        try. Beside what is warned of: units dead or saturated in bulk, inputs of wild sizes, overfitting, nothing
        learned beyond the shares of the classes, epochs used up while the cost still falls. After `partial_fit`, what
        that part showed of divergence, units and inputs.
    training_state_ : dict
        What training goes on from: `TrainingState.to_dict`.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : scikit-learn's network.

    References
    ----------
    .. [1] docs/defaults.md of this package tells what was compared, and what each ingredient gives.
    .. [2] Polyak, Juditsky (1992), "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
       Optimization 30, 838-855.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> DeepNNClassifier(random_state=0).fit(X_train, y_train).score(X_test, y_test) > 0.95
    True

    One network of given dims:

    >>> model = DeepNNClassifier(hidden_layer_dims=(32, 16), random_state=0).fit(X_train, y_train)
    >>> [coef.shape for coef in model.coefs_]
    [(13, 32), (32, 16), (16, 3)]
    """

    if TYPE_CHECKING:  # what fitting sets, and what scikit-learn, which has no types, brings
        classes_: Array
        class_weight_: FloatArray
        multilabel_: bool
        n_features_in_: int
        feature_names_in_: Array
        parameters_: Arrays
        network_: dict[str, Any]
        n_layers_: int
        n_outputs_: int
        out_activation_: Literal["sigmoid", "softmax"]
        n_iter_: int
        loss_: float
        loss_curve_: list[float]
        validation_loss_curve_: list[float]
        validation_scores_: list[float]
        best_iter_: int
        best_loss_: float
        learning_rate_curve_: list[float]
        report_: list[str]
        training_state_: dict[str, Any]

        def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float: ...
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def set_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_partial_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_score_request(self, **requests: bool | str | None) -> Self: ...

    # where the "?" of scikit-learn's HTML leads
    _doc_link_module = "sklearn_deepnn"
    _doc_link_template = DOCUMENTATION + "api/sklearn_deepnn.{estimator_name}.html"

    def __init__(
        self,
        hidden_layer_dims: int | str | Sequence[int] = "auto",
        activation: Auto | ActivationName | Sequence[ActivationName] = "auto",
        *,
        ensemble_size: Auto | int = "auto",
        scale_inputs: Literal["standard", "robust"] | None = "standard",
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
        validation_fraction: float = 0.1,
        n_iter_no_change: Auto | int = "auto",
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

    _calls_back = True  # callbacks of this package, too

    @with_callbacks
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        resume_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or indicator matrix of shape (n_samples, n_labels)
            Labels; or zeros and ones for several labels at once, dense or sparse. One-hot labels are such a matrix, and
            are learned as labels that need not exclude each other.
        sample_weight : array-like of shape (n_samples,), default=None
            A sample of weight 2 counts as two samples, one of weight 0 as none.
        X_val, y_val : as X and y, default=None
            Data to judge epochs by, in place of part of X. In a Pipeline they are transformed like X only with
            ``Pipeline(..., transform_input=["X_val"])`` and metadata routing.
        sample_weight_val : array-like of shape (n_val,), default=None
        resume_from : path-like, default=None
            The folder of a `ModelCheckpoint`, of which the newest checkpoint of a fit with these data and parameters is
            taken; `max_iter`, `verbose` and `warm_start` may differ. That fit is carried on to its end as if it had
            never been cut off. If there is none, training starts from the beginning. Or the path of one checkpoint:
            then other data are an error, and other parameters warn.

        Returns
        -------
        self : DeepNNClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or a weight breaks its rule, or the training diverges. What was fitted before stays.
        KeyboardInterrupt
            After Ctrl-C. If an epoch was done the estimator is fitted, with the best epoch's weights where epochs are
            validated, otherwise with those of the last whole epoch.

        Warns
        -----
        ConvergenceWarning
            If the training diverges, yet leaves something to keep, or has clearly learned nothing; see `report_`.
        """
        validation_data: dict[str, Any] = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        data_hash, key = "", ""
        if resume_from is not None or callbacks_of(self):
            self._check_parameters()
            data_hash, key = self._hashes(X, y, sample_weight, **validation_data)
        checkpoint = None if resume_from is None else self._checkpoint(resume_from, key)
        if self.verbose and resume_from is not None and checkpoint is None:
            print_not_resumed(resume_from)
        draft = self._draft(checkpoint or (self if self.warm_start else None))
        recipe = draft._check_parameters()
        hold_out = partial(draft._hold_out, **validation_data)
        resumes = checkpoint is not None
        examples, validation, network, state = draft._prepare(X, y, sample_weight, hold_out=hold_out, resumes=resumes)
        if checkpoint is not None:
            if state.data_hash != data_hash:
                raise ValueError("resume_from must be of a fit on the same data, X, y, weights and X_val; got another.")
            warn_of_other_parameters(checkpoint.get_params(deep=False), self.get_params(deep=False))
        state.data_hash, state.key = data_hash, key
        from_older = resumes and is_overtaken(resume_from)  # type: ignore[arg-type]  # who resumes gives it
        if from_older or not state.name.endswith(key[:8]):
            state.name = ""  # it goes another way than the training that had it
        # by the validation data, which otherwise are only watched
        is_guided = validation is not None and bool(self.early_stopping)
        recipe = draft._settled(recipe, examples, validates=is_guided)
        validate = None if validation is None else draft._validator(network, validation, state.parameters)
        context, copied = self._init_callback_context(max_subtasks=self.max_iter), partial(draft._copied, state, self)
        tasks = FitTasks(self, context, X, y, sample_weight, validation_data, copied)
        first_epoch = 0 if resumes else state.epoch
        tasks.begin()
        try:
            train(
                state,
                examples,
                network,
                recipe,
                n_epochs=self.max_iter,
                validate=validate,
                callbacks=draft._callbacks(tasks, is_guided=is_guided),
                settings=self._settings(),
                snapshot=partial(draft._snapshot, state),
                resumable=self.warm_start,
                resume=resumes,
            )
            draft.report_ = diagnose(
                state, examples, validation, network, recipe, n_epochs=self.max_iter, of_inputs=draft.report_
            )
            self._adopt(draft, state, resumable=self.warm_start)
        except KeyboardInterrupt:
            if state.epoch > first_epoch:
                self._adopt(draft, state, resumable=self.warm_start)
            raise
        tasks.end()
        return self

    def partial_fit(
        self, X: MatrixLike, y: MatrixLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on this part of the data, going on from the calls before.

        The order of samples, the optimizer's moments, the schedule (whose horizon is `max_iter` calls) and all counts
        go on from call to call: `max_iter` calls with the same data equal one `fit` that neither validates nor stops
        early. Nothing is held out. Sample weights are relative to the mean weight of the first call. An `EarlyStopping`
        or `ReduceLROnPlateau` that was set has no say: costs of different parts do not compare.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or indicator matrix of shape (n_samples, n_labels)
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come. Needed at the first call, except for indicator matrices.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : DeepNNClassifier

        Raises
        ------
        ValueError
            As `fit`; and if y has a label that is not among the classes.
        """
        draft = self._draft(self)
        recipe = draft._check_parameters()
        if self.class_weight == "balanced":
            reject("class_weight", "None or a dict for partial_fit, to which classes come bit by bit", "balanced")
        if self.learning_rate_schedule == REDUCE_ON_PLATEAU:
            reject("learning_rate_schedule", "another for partial_fit, whose parts differ", REDUCE_ON_PLATEAU)
        if self.scale_inputs == "robust":
            reject("scale_inputs", "'standard' or None for partial_fit, where quantiles cannot be kept", "robust")
        choose_classes = partial(draft._given_classes, classes)
        examples, _, network, state = draft._prepare(X, y, sample_weight, choose_classes=choose_classes, in_parts=True)
        state.key, state.name = KEY_OF_PARTS, state.name if state.name.endswith(KEY_OF_PARTS) else ""
        recipe = draft._settled(recipe, examples, validates=False)
        train(
            state,
            examples,
            network,
            recipe,
            n_epochs=1,
            horizon=self.max_iter,
            callbacks=[each for each in draft._with_those_set() if not isinstance(each, COMPARING)],
            settings=self._settings(),
            snapshot=partial(draft._snapshot, state),
        )
        draft.report_ = diagnose_part(state, examples, network, recipe, of_inputs=draft.report_)
        return self._adopt(draft, state, resumable=True)

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
        self._check_fitted()
        if self.multilabel_:
            return self._outputs(X, lambda ZL: (ZL > 0).T, (self.n_outputs_,), np.intp)
        if self._has_one_logit():
            return self.classes_[self._outputs(X, lambda ZL: ZL[0] > 0, (), np.intp)]
        return self.classes_[self._outputs(X, lambda ZL: ZL.argmax(axis=0), (), np.intp)]

    def predict_proba(self, X: MatrixLike) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`. Rows sum to 1; for multilabel targets every column is a probability of its own.
            float32 for float32 input, else float64. With more than one class, nothing is quite 0 or 1: no finite logit
            makes a class certain, and rounding must not either (it would make the log loss of a mistake infinite).
        """
        self._check_fitted()
        link = LOSSES[self.network_["loss"]].link
        return self._outputs(X, lambda ZL: open_interval(self._by_class(ZL, link)), self.classes_.shape)

    def predict_log_proba(self, X: MatrixLike) -> FloatArray:
        """Return the logarithm of the probability of each class, finite where the probability has underflowed to 0.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        self._check_fitted()
        log_link = LOSSES[self.network_["loss"]].log_link
        return self._outputs(X, partial(self._by_class, link=log_link), self.classes_.shape)

    def decision_function(self, X: MatrixLike) -> FloatArray:
        """Return the logits, which the output's sigmoid or softmax turns into probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes)
            One column where one logit tells it all: for two classes (positive: the second) and for one.
        """
        self._check_fitted()
        shape = () if self.n_outputs_ == 1 else (self.n_outputs_,)
        return self._outputs(X, lambda ZL: ZL.T if shape else ZL[0], shape)

    def hidden_activations(self, X: MatrixLike, layer: int = -1) -> FloatArray:
        """Return what a hidden layer makes of each sample, as when it predicts: a representation that was learned.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        layer : int, default=-1
            1 is the first hidden layer, -1 the last.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
            Of an ensemble (ensemble_size, n_samples, n_units). float32 for float32 input, else float64.

        Raises
        ------
        ValueError
            If there is no such hidden layer.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = DeepNNClassifier(hidden_layer_dims=(8, 4), max_iter=5, random_state=0).fit(X, y)
        >>> model.hidden_activations(X).shape
        (150, 4)
        """
        self._check_fitted()
        network = Network.restore(self.network_)
        l = hidden_layer_number(layer, network.n_layers - 1)
        activate = partial(hidden_activation, parameters=self.parameters_, network=network, l=l)
        stack = () if network.ensemble_size == 1 else (network.ensemble_size,)
        width = sum(network.layer_dims[1 if issparse(X) else 0 : l + 1]) * network.ensemble_size
        return self._by_pieces(activate, X, (*stack, -1, network.layer_dims[l]), width)

    def input_gradients(self, X: MatrixLike, label: Any = None, *, of: GradientOf = "probability") -> FloatArray:
        """Return how much each feature of each sample moves a prediction: its gradient, by backpropagation.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        label : object, default=None
            One of `classes_`, whose prediction is meant; None means what is predicted for each sample. Multilabel
            targets need one.
        of : {"probability", "logit"}, default="probability"
            What `predict_proba` or what `decision_function` returns, whose sign is turned for the first of two classes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            By the unit that each feature comes in: multiplied by its standard deviation (`input_scale_`, where that is
            finite), features can be compared. float32 for float32 input, else float64.

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
        self._check_fitted()
        return self._gradients(input_gradient, X, label, of)

    def integrated_gradients(
        self,
        X: MatrixLike,
        label: Any = None,
        *,
        baseline: ArrayLike | None = None,
        n_steps: int = 32,
        of: GradientOf = "probability",
    ) -> FloatArray:
        """Return how much of a prediction each feature of each sample accounts for, compared with a baseline [1]_.

        (X - baseline) * mean gradient on the straight way from the baseline to X. Each row sums to the prediction for
        the sample less the prediction for the baseline: exactly up to the error of the quadrature, which more steps
        reduce, quickly for smooth activations, slowly for those of the ReLU family, whose gradient jumps.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        label : object, default=None
            As in `input_gradients`; None means what is predicted for the sample, all the way.
        baseline : array-like of shape (n_features,), default=None
            By default `input_center_`, the mean or median of the training samples; zeros where inputs are not scaled.
        n_steps : int, default=32
            Points on the way at which the gradient is taken, by Gauss-Legendre quadrature.
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
        >>> shares = model.integrated_gradients(X, label=2)
        >>> at_baseline = model.predict_proba([model.input_center_])[:, 2]
        >>> np.allclose(at_baseline + shares.sum(axis=1), model.predict_proba(X)[:, 2], atol=1e-6)
        True
        """
        self._check_fitted()
        check_integer("n_steps", n_steps, 1)
        integrate = partial(integrated_gradient, baseline=self._baseline(baseline)[:, np.newaxis], n_steps=n_steps)
        return self._gradients(integrate, X, label, of)

    def summary(self) -> NetworkSummary:
        """Return what the network is made of, layer by layer: a table to print, to show in a notebook or to compute on.

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
        >>> model = DeepNNClassifier((16, 8), learning_rate=0.01, max_iter=40, random_state=0)
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
        Trained by Adam for 40 epochs. Epoch 40 had the lowest
        training cost; the last weights are kept.
        """
        self._check_fitted()
        return NetworkSummary.of(self)

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
        """What is subtracted from each feature before it is divided by `input_scale_`; missing without scaling."""
        return self._scaling("center")

    @property
    def input_scale_(self) -> FloatArray:
        """What each feature is divided by; missing without scaling."""
        return self._scaling("scale")

    def _scaling(self, name: str) -> FloatArray:
        if not (hasattr(self, "training_state_") and self.training_state_["scaling"]):
            raise AttributeError(f"This {type(self).__name__} is not fitted, or does not scale its inputs.")
        return self.training_state_["scaling"][name][..., 0]

    def _folded(self) -> list[tuple[str, Array]]:
        if not hasattr(self, "parameters_"):
            raise AttributeError(f"This {type(self).__name__} is not fitted: it has no weights yet.")
        folded = fold_batch_norm(self.parameters_)
        return sorted(folded.items(), key=lambda item: int(item[0][1:]))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameters_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags

    # What `fit` and `partial_fit` are made of. They work on a draft, a copy of the estimator, and change the estimator
    # itself only when all has gone well.

    def _draft(self, fitted: DeepNNClassifier | None = None) -> Self:
        """Return a copy to work on, with the fitted attributes of an estimator whose training goes on, or without."""
        draft = object.__new__(type(self))
        draft.__dict__.update({name: v for name, v in vars(self).items() if not name.endswith("_")})
        draft.__dict__.update({name: v for name, v in vars(fitted or draft).items() if name.endswith("_")})
        return draft

    def _hashes(
        self,
        X: Inputs,
        y: Any,
        sample_weight: Any,
        *,
        X_val: Any,
        y_val: Any,
        sample_weight_val: Any,
    ) -> tuple[str, str]:
        """Return what tells the data, and the data with the parameters, from others; of X a sample is looked at."""
        draft = self._draft()
        sets = [draft._read(X, y, sample_weight, draft._classes_in)]
        if X_val is not None and y_val is not None:
            sets.append(draft._read_validation(X_val, y_val, sample_weight_val))
        samples = [take_columns(each.X, each.spread_sample(N_SEEN).columns, np.float64) for each in sets]
        others = [(each.n, each.Y, each.sample_weight) for each in sets]
        data_hash = joblib.hash([draft.classes_.tolist(), list(map(nonzeros, samples)), others])
        given = {name: v for name, v in self.get_params(deep=False).items() if name not in FREE_TO_CHANGE}
        parameters = [(name, hash_of_value(value)) for name, value in sorted(given.items())]
        steering = [repr(callback) for callback in callbacks_of(self) if isinstance(callback, COMPARING)]
        return data_hash, joblib.hash([data_hash, parameters, steering])

    def _checkpoint(self, path: str | os.PathLike[str], key: str) -> Maybe[Self]:
        """Return the estimator that a checkpoint holds, or None in a folder that has none of such a fit."""
        if not isinstance(path, (str, os.PathLike)):
            reject("resume_from", "None or the path of a checkpoint or of a folder of checkpoints", path)
        if newest_checkpoint(path, key) is None:
            return None
        with naming("resume_from"):
            checkpoint = load_checkpoint(path, key)
        # an estimator saved otherwise lacks what its call would go on from
        if not isinstance(checkpoint, type(self)) or "first_epoch" not in getattr(checkpoint, "training_state_", {}):
            reject("resume_from", f"the checkpoint of a {type(self).__name__}", path)
        return checkpoint

    def _check_parameters(self) -> Recipe:
        """Check all parameters that need no data; return the recipe that they make."""
        for name in ("shuffle", "warm_start", "batch_norm"):
            check_flag(name, getattr(self, name))
        check_integer("max_iter", self.max_iter, 1)
        for name in ("n_iter_no_change", "ensemble_size"):
            if not self._is_auto(name):
                check_integer(name, getattr(self, name), 1, otherwise=" or 'auto'")
        for name, closed in (("weight_averaging", "left"), ("weight_decay", "left"), ("learning_rate", "neither")):
            if not self._is_auto(name):
                check_real(name, getattr(self, name), 0, closed=closed, otherwise=" or 'auto'")
        if self.scale_inputs is not None:
            check_choice("scale_inputs", self.scale_inputs, SCALINGS, otherwise=" or None")
        check_real("tol", self.tol, 0)
        if not self._is_auto("label_smoothing"):
            check_real("label_smoothing", self.label_smoothing, 0, 1, closed="left", otherwise=" or 'auto'")
        check_real("validation_fraction", self.validation_fraction, 0, 1, closed="neither")
        check_integer("verbose", int(self.verbose) if isinstance(self.verbose, bool) else self.verbose, 0)
        if self.max_grad_norm is not None:
            check_real("max_grad_norm", self.max_grad_norm, 0, closed="neither")
        if not isinstance(self.early_stopping, (bool, np.bool_)):
            check_choice("early_stopping", self.early_stopping, ["auto"], otherwise=", True or False")
        if not isinstance(self.weight_init, dict):
            check_choice("weight_init", self.weight_init, ["auto", *INITIALIZERS], otherwise=" or a dict of arrays")
        if not (self.class_weight is None or isinstance(self.class_weight, dict)):
            check_choice("class_weight", self.class_weight, ["balanced"], otherwise=", a dict or None")
        if not callable(self.scoring):
            check_choice("scoring", self.scoring, ["loss", *get_scorer_names()], otherwise=" or a callable")
        self._layer_dims(1, 1)
        self._float_type()
        try:
            check_random_state(self.random_state)
        except (TypeError, ValueError):
            reject("random_state", "None, an integer from 0 to 2**32 - 1 or a RandomState", self.random_state)
        return self._recipe()

    def _recipe(self) -> Recipe:
        schedule, batch_size = self.learning_rate_schedule, self.batch_size
        if not callable(schedule):
            otherwise = " or a callable that takes the step"
            check_choice("learning_rate_schedule", schedule, [*SCHEDULES, REDUCE_ON_PLATEAU], otherwise=otherwise)
        if isinstance(batch_size, str):
            check_choice("batch_size", batch_size, ["auto"], otherwise=", None or an integer of at least 1")
        elif batch_size is not None:
            check_integer("batch_size", batch_size, 1)
            if self.batch_norm and batch_size == 1:
                reject(
                    "batch_size", "at least 2 with batch_norm=True, which compares the samples of a batch", batch_size
                )
        return Recipe(
            checked_optimizer(self.optimizer),
            learning_rate=float(self._chosen("learning_rate")),
            schedule="constant" if schedule == REDUCE_ON_PLATEAU else schedule,
            batch_size=batch_size,
            weight_decay=float(self._chosen("weight_decay")),
            label_smoothing=float(self._chosen("label_smoothing")),
            max_grad_norm=self.max_grad_norm,
            shuffle=bool(self.shuffle),
        )

    def _settled(self, recipe: Recipe, examples: Examples, *, validates: bool) -> Recipe:
        """Return the recipe with what "auto" stands for, given the examples to train on."""
        n, batch_size, averaging_epochs = examples.n, recipe.batch_size, self.weight_averaging
        label_smoothing = recipe.label_smoothing
        if self._is_auto("label_smoothing") and label_smoothing:
            label_smoothing = min(label_smoothing, 0.0 if self.multilabel_ else harmless_smoothing(examples))
        if batch_size == "auto":
            # a power of 2 that grows with the set: the same number of steps teaches as much
            wanted = AUTO_BATCH_SIZE * 2 ** int(math.log2(max(n / MANY_SAMPLES, 1)))
            batch_size = None if n < FEW_SAMPLES and not validates else min(wanted, LARGEST_AUTO_BATCH_SIZE)
        if averaging_epochs == "auto":
            averaging_epochs = AVERAGING_EPOCHS if validates else 0.0
        return replace(
            recipe,
            batch_size=batch_size,
            averaging_epochs=float(averaging_epochs),
            label_smoothing=float(label_smoothing),
        )

    def _callbacks(self, tasks: FitTasks, *, is_guided: bool) -> list[Callback]:
        """Return the callbacks of a call of `fit`; those that were set take the place of what parameters ask for."""
        patience, given = self._chosen("n_iter_no_change"), callbacks_of(self)
        automatic: list[Callback] = []
        if not any(isinstance(callback, EarlyStopping) for callback in given):
            monitor: Monitor = "auto" if is_guided else "cost"
            automatic.append(EarlyStopping(monitor, patience, self.tol, restore_best=is_guided))
        has_reducer = any(isinstance(callback, ReduceLROnPlateau) for callback in given)
        if self.learning_rate_schedule == REDUCE_ON_PLATEAU and not has_reducer:
            automatic.append(ReduceLROnPlateau(factor=0.2, patience=max(patience // 2, 1), min_delta=self.tol))
        return self._with_those_set(*automatic, tasks, display=progress_display if self.verbose == 1 else EpochPrinter)

    def _settings(self) -> dict[str, Any]:
        """Return the parameters for callbacks, if there are any: to gather them takes longer than a small step."""
        return self.get_params(deep=False) if callbacks_of(self) else {}

    def _with_those_set(self, *callbacks: Callback, display: Callable[[], Callback] = EpochPrinter) -> list[Callback]:
        """Return callbacks, those of this package that were set, and the display, if there is to be one."""
        ours = [callback for callback in callbacks_of(self) if isinstance(callback, Callback)]
        displays = [display()] if self.verbose else []
        # who saves what the others have done comes last
        return sorted([*callbacks, *ours, *displays], key=lambda callback: callback.needs_snapshot)

    def _layer_dims(self, n_features: int, n_outputs: int, n_samples: int = 1) -> tuple[int, ...]:
        dims = self._chosen("hidden_layer_dims")
        if self._is_automatic():
            going_on = hasattr(self, "network_")
            dims = self.network_["layer_dims"][1:-1] if going_on else [n << n_doublings(n_samples) for n in dims]
        if isinstance(dims, str) and re.fullmatch("[0-9]+(-[0-9]+)*", dims):
            dims = [int(n) for n in dims.split("-")]
        if not isinstance(dims, (list, tuple, range, np.ndarray)) or (isinstance(dims, np.ndarray) and dims.ndim == 0):
            dims = [dims]
        if not all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) >= 1 for n in dims):
            rule = "'auto', an integer of at least 1, a sequence of such or a string of such like '128-64'"
            reject("hidden_layer_dims", rule, self.hidden_layer_dims)
        return (n_features, *dims, n_outputs)

    def _is_auto(self, name: str) -> bool:
        value = getattr(self, name)
        return isinstance(value, str) and value == "auto"

    def _chosen(self, name: str) -> Any:
        """Return a parameter, or what "auto" stands for in it."""
        if not self._is_auto(name):
            return getattr(self, name)
        if name == "activation" and getattr(self, "network_", {}).get("activation"):  # which training goes on with
            return self.network_["activation"][0]
        return AUTO[name][0 if self._is_automatic() else 1]

    def _is_automatic(self) -> bool:
        """Say whether the network is to be the one that proved best: without dims of its own, learning by batches."""
        return self._is_auto("hidden_layer_dims") and not checked_optimizer(self.optimizer).full_batch

    def _ensemble_size(self, n: int) -> int:
        """Return how many networks to train on n samples."""
        if not self._is_auto("ensemble_size"):
            return int(self.ensemble_size)
        if hasattr(self, "network_"):  # which training goes on with
            return self.network_["ensemble_size"]
        if not self._is_automatic():
            return 1
        return max(min(AUTO_ENSEMBLE_SIZE >> n_doublings(n), ENSEMBLE_SAMPLES // n), 1)

    def _float_type(
        self, examples: Examples | None = None, network: Maybe[Network] = None, scaling: Scaling | None = None
    ) -> np.dtype[Any]:
        """Return the precision to compute in."""
        if self._is_auto("dtype"):
            if examples is None or is_single(examples.X.dtype):
                return np.dtype(np.float32)
            enough = MANY_SAMPLES // 10 if network.ensemble_size > 1 else MANY_SAMPLES + 1
            return np.dtype(np.float32 if examples.n >= enough and not needs_double(scaling) else np.float64)
        try:
            dtype = np.dtype(self.dtype)
        except TypeError:
            dtype = None
        if self.dtype is None or dtype not in (np.float32, np.float64):
            reject("dtype", "'auto', float32 or float64", self.dtype)
        return dtype

    def _prepare(
        self,
        X: Inputs,
        y: Any,
        sample_weight: Any,
        *,
        choose_classes: Callable[[Any], Array] | None = None,
        hold_out: Callable[..., tuple[Examples, Examples | None]] | None = None,
        in_parts: bool = False,
        resumes: bool = False,
    ) -> tuple[Examples, Examples | None, Network, TrainingState]:
        """Return the examples to train on, those to validate on (or None), the network, and the state to start from."""
        examples = everything = self._read(X, y, sample_weight, choose_classes or self._classes_in)
        validation = None
        if self.batch_norm and examples.n == 1:
            raise ValueError("batch_norm=True needs at least 2 samples to compare, got n_samples = 1.")
        network = self._network(examples.X.shape[0], examples.n)
        state = self._state(network)
        if resumes and examples.n != state.n_samples:
            rule = f"of a fit on as many samples as X has (with a weight above zero), {examples.n}"
            raise ValueError(f"resume_from must be {rule}, got one on {state.n_samples}.")
        state.n_samples = examples.n
        if hold_out is not None:
            examples, validation = hold_out(examples, network, state.split_seed)
        if state.weight_scale is None or not in_parts:
            state.weight_scale = examples.mean_weight()
        examples, everything = (each.scaled_by(state.weight_scale) for each in (examples, everything))
        # what one member of an ensemble holds out, the others train on
        seen = examples if network.ensemble_size == 1 else everything
        self._scale_inputs(state, seen, in_parts=in_parts)
        self.report_ = find_bad_inputs(seen, state.scaling, getattr(self, "feature_names_in_", None))
        if state.parameters is None:
            dtype = self._float_type(everything, network, state.scaling)
            if dtype == np.float32 and not is_single(everything.X.dtype) and needs_double(state.scaling):
                message = "X has a feature that varies by little, so far from zero that dtype='float32' may lose it."
                warn_user(f"{message} Use dtype='float64' or subtract its mean.", UserWarning)
            state.parameters = self._initial_parameters(network, state.rng, dtype, state.scaling)
        examples = examples._replace(scaling=state.scaling).ready_for(state.parameters.vector.dtype)
        if validation is not None:
            shares_inputs = validation.X is everything.X and self.scoring == "loss"  # a scorer wants them as they came
            ready = examples if shares_inputs else validation._replace(scaling=state.scaling)
            validation = validation._replace(X=ready.X, scaling=ready.scaling)
        self.network_ = network.to_dict()
        self.n_layers_ = network.n_layers + 1
        self.n_outputs_ = network.layer_dims[-1]
        self.out_activation_ = LOSSES[network.loss].out_activation
        return examples, validation, network, state

    def _read(self, X: Inputs, y: Any, sample_weight: Any, choose_classes: Callable[[Any], Array]) -> Examples:
        """Check the training set; return it as examples. Sets: multilabel_, classes_."""
        going_on = hasattr(self, "parameters_")
        X, y = checked_inputs(self, X, y, multi_output=True, reset=not going_on)
        y, multilabel = check_labels(y)
        if going_on and multilabel != self.multilabel_:
            raise ValueError(
                "y must be of the kind that training began with: an indicator matrix or one label per sample."
            )
        self.multilabel_ = multilabel
        self.__dict__.pop("class_weight_", None)  # of a call with other parameters
        weight = check_sample_weight("sample_weight", sample_weight, X.shape[0])
        self.classes_ = choose_classes(y if weight is None else y[np.flatnonzero(weight)])
        Y = self._targets(y, weight, "y")
        if self.class_weight is not None:
            if multilabel:
                reject("class_weight", "None for multilabel targets", self.class_weight)
            self.class_weight_ = weights_by_class(self.class_weight, self.classes_, Y[0], weight)
        return self._examples(X, Y, weight, "y")

    def _classes_in(self, y: Inputs) -> Array:
        """Return the classes that training began with, or those in y."""
        if hasattr(self, "classes_"):
            return self.classes_
        return np.arange(y.shape[1]) if self.multilabel_ else unique_labels(y)

    def _given_classes(self, classes: Any, y: Inputs) -> Array:
        """Return the classes that training began with, or those that the first call of `partial_fit` was given."""
        if classes is None:
            if not hasattr(self, "classes_") and not self.multilabel_:
                raise ValueError(
                    "classes must be given at the first call of partial_fit: all labels that will ever come."
                )
            return self._classes_in(y)
        with naming("classes"):
            classes = column_or_1d(check_array(classes, ensure_2d=False, dtype=None))
            if not self.multilabel_:  # where they name the columns of y
                classes = unique_labels(classes)
        if not np.array_equal(classes, getattr(self, "classes_", classes)):
            raise ValueError(f"classes must stay what they were, {self.classes_.tolist()}, got {classes.tolist()}.")
        return classes

    def _targets(self, y: Inputs, weight: Array | None, name: str) -> Inputs:
        """Return indicators (n_L, n), or class numbers (1, n); labels of samples without weight do not count."""
        if y.ndim == 2:
            if y.shape[1] != len(self.classes_):
                raise ValueError(f"{name} must have {len(self.classes_)} columns, one per label, got {y.shape[1]}.")
            return y.T
        known = slice(None) if weight is None else weight > 0
        Y = np.zeros((1, len(y)), np.intp)
        Y[0, known] = encode(y[known], self.classes_, name)
        return Y

    def _examples(self, X: Inputs, Y: Inputs, weight: Array | None, name: str) -> Examples:
        """Return rows and targets as examples, with weights times class weights, less those that weigh nothing."""
        if self.class_weight is not None:
            by_class = self.class_weight_[Y[0]]
            weight = by_class if weight is None else weight * by_class
            if not weight.any():
                rule = f"leave some samples of {name} a weight above zero"
                raise ValueError(f"class_weight must {rule}, got {self.class_weight!r}.")
        columns = None if weight is None or weight.all() else np.flatnonzero(weight)
        return Examples(X.T, Y, weight, columns)

    def _network(self, n_features: int, n_samples: int) -> Network:
        two_classes = len(self.classes_) == 2 and not self.multilabel_
        return Network(
            self._layer_dims(n_features, 1 if two_classes else len(self.classes_), n_samples),
            activation=self._chosen("activation"),
            loss="binary_cross_entropy" if two_classes or self.multilabel_ else "categorical_cross_entropy",
            dropout_rate=self.dropout_rate,
            batch_norm=self.batch_norm,
            ensemble_size=self._ensemble_size(n_samples),
        )

    def _state(self, network: Network) -> TrainingState:
        """Return the state that training goes on from; or a new one, which has no parameters yet."""
        if hasattr(self, "parameters_"):
            check_same_network(network, Network.restore(self.network_))
            return TrainingState.from_dict(self.training_state_, self.parameters_)
        seed = check_random_state(self.random_state).randint(2**32, size=4, dtype=np.uint32)
        rng = np.random.default_rng(seed)
        return TrainingState(None, rng, split_seed=int(rng.integers(2**32)))

    def _scale_inputs(self, state: TrainingState, examples: Examples, *, in_parts: bool) -> None:
        """Choose the scaling of a new state, or count in the examples of one more part. Sets: state."""
        is_new = state.parameters is None
        if not is_new:
            kept = None if state.scaling is None else "standard" if state.moments else "robust"
            check_unchanged("scale_inputs", kept, self.scale_inputs)
        if self.scale_inputs == "standard" and (is_new or (in_parts and state.moments)):
            moments = input_moments(examples)
            state.moments = moments if state.moments is None else state.moments.merged(moments)
            state.scaling = state.moments.scaling()
        elif self.scale_inputs is not None and is_new:
            state.scaling = SCALINGS[self.scale_inputs](examples)

    def _initial_parameters(
        self, network: Network, rng: np.random.Generator, dtype: DTypeLike, scaling: Scaling | None
    ) -> Parameters:
        name = "zeros" if isinstance(self.weight_init, dict) else self.weight_init
        parameters = initialize_parameters(
            network.layer_dims,
            activation=network.activation,
            weight_init=name,
            batch_norm=network.batch_norm,
            ensemble_size=network.ensemble_size,
            rng=rng,
            dtype=dtype,
        )
        if isinstance(self.weight_init, dict):
            wanted = {key: array.shape for key, array in parameters.items()}
            with naming("weight_init"):
                given = {key: np.shape(array) for key, array in self.weight_init.items()}
                if given != wanted:
                    raise InvalidParameterError(f"weight_init must have arrays of the shapes {wanted}, got {given}.")
                given = {key: np.asarray(array, dtype) for key, array in self.weight_init.items()}
                parameters.assign(unfold_scaling(given, scaling))
            if not np.isfinite(parameters.vector).all():
                reject("weight_init", "a dict of finite numbers", self.weight_init)
        return parameters

    def _hold_out(
        self,
        examples: Examples,
        network: Network,
        split_seed: int,
        *,
        X_val: Any,
        y_val: Any,
        sample_weight_val: Any,
    ) -> tuple[Examples, Examples | None]:
        """Return the examples to train on and those to validate on, or None for the latter.

        Each member of an ensemble holds out another share of the set.
        """
        if X_val is not None or y_val is not None or sample_weight_val is not None:
            if X_val is None or y_val is None:
                missing = "X_val" if X_val is None else "y_val"
                raise ValueError(f"X_val and y_val must be given together, got {missing}=None.")
            validation = self._read_validation(X_val, y_val, sample_weight_val)
            warn_of_another_scale(examples, validation)
            return examples, validation
        n = examples.n
        wanted = self.early_stopping
        if self._is_auto("early_stopping"):  # what a member of an ensemble holds out is not lost for training
            wanted = n >= FEW_SAMPLES if self._is_automatic() or network.ensemble_size > 1 else n > MANY_SAMPLES
        if not wanted:
            return examples, None
        n_val = math.ceil(self.validation_fraction * n)
        if n_val >= n:
            raise ValueError(f"early_stopping=True needs samples to hold out and to train on, got n_samples = {n}.")
        strata = np.zeros(n, np.intp) if self.multilabel_ else examples.Y[0, examples.members]
        folds = draw_folds(strata, n_val, network.ensemble_size, np.random.default_rng(split_seed))
        parts = [(np.flatnonzero(~fold), np.flatnonzero(fold)) for fold in folds]
        parts = parts[0] if network.ensemble_size == 1 else map(np.stack, zip(*parts))
        train_on, held_out = (examples._replace(columns=examples.at(part)) for part in parts)
        return train_on, held_out

    def _read_validation(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> Examples:
        with naming("X_val", "like X"):
            X_val = checked_inputs(self, X_val, name="X_val", reset=False)
        with naming("y_val", "like y"):
            y_val, multilabel = check_labels(check_array(y_val, accept_sparse="csr", ensure_2d=False, dtype=None))
            check_consistent_length(X_val, y_val)
        if multilabel != self.multilabel_:
            raise ValueError("y_val must be like y: an indicator matrix or one label per sample.")
        weight = check_sample_weight("sample_weight_val", sample_weight_val, X_val.shape[0])
        return self._examples(X_val, self._targets(y_val, weight, "y_val"), weight, "y_val")

    def _validator(self, network: Network, validation: Examples, start: Arrays) -> Validate:
        """Return the function of the parameters that judges an epoch; try it out on the start values."""
        score = None if self.scoring == "loss" else self._score_by(network, validation, start)

        def validate(parameters: Arrays) -> Values:
            values = {"validation_cost": mean_cost(validation, parameters, network)}
            if score is not None and math.isfinite(values["validation_cost"]):
                values["validation_score"] = score(parameters)
            return values

        return validate

    def _score_by(self, network: Network, validation: Examples, start: Arrays) -> Callable[[Arrays], float]:
        """Return the function of the parameters that applies `scoring`; try it out on the start values.

        Members of an ensemble that hold out shares of their own are scored one by one, and the mean is returned.
        """
        scorer, columns = check_scoring(self, scoring=self.scoring), validation.members
        one_by_one = np.ndim(columns) == 2
        model = self._draft(self)
        model.__dict__.pop("feature_names_in_", None)  # X is an array by now
        if one_by_one:
            model.network_ = {**network.to_dict(), "ensemble_size": 1}
        sets = []
        for held in columns if one_by_one else [columns]:
            Y, weight = validation.Y.T[held], validation.sample_weight
            weights = {} if weight is None else {"sample_weight": weight[held]}
            sets.append((validation.X.T[held], Y if self.multilabel_ else self.classes_[Y[:, 0]], weights))

        def score(parameters: Arrays) -> float:
            parameters, scores = fold_scaling(parameters, validation.scaling), []
            for k, (X, y, weights) in enumerate(sets):
                model.parameters_ = {name: W[k] for name, W in parameters.items()} if one_by_one else parameters
                scores.append(float(scorer(model, X, y, **weights)))
            return math.fsum(scores) / len(scores)

        suitable = f"a scorer that the validation data suit, got {self.scoring!r}"

        def checked_score(parameters: Arrays) -> float:
            with naming("scoring", suitable):
                return check_real("scoring", score(parameters))

        with naming("scoring", suitable):
            try:
                score(start)
            except TypeError:  # unless it is another one, it takes no weights
                for *_, weights in sets:
                    weights.clear()
                score(start)
        return checked_score

    def _adopt(self, draft: Self, state: TrainingState, *, resumable: bool) -> Self:
        """Take the draft's place, with the fitted attributes that the training gives."""
        draft.__dict__.update(draft._fitted(state, resumable=resumable))
        draft.__dict__.update({name: v for name, v in vars(self).items() if name.startswith("_")})  # scikit-learn's
        self.__dict__ = draft.__dict__
        return self

    def _fitted(self, state: TrainingState, *, resumable: bool, cut_off: bool = False) -> dict[str, Any]:
        """Return the fitted attributes that the training gives."""
        history = state.history
        cost = history["cost"]
        best_iter, best = (state.best_epoch, state.best_values) if state.best_epoch else state.best_recorded()
        return {
            "training_state_": state.to_dict(resumable=resumable, cut_off=cut_off),
            "parameters_": dict(fold_scaling(state.kept_parameters(), state.scaling)),
            "n_iter_": state.epoch,
            "loss_": cost[-1],
            "best_iter_": best_iter,
            "best_loss_": best.get("validation_cost", best["cost"]),
            **fitted_curves(history),
        }

    def _snapshot(self, state: TrainingState) -> Self:
        """Return the estimator as `fit` would if it stopped now, without callbacks. What it holds is not copied."""
        snapshot = self._draft(self)
        snapshot.__dict__.update(self._fitted(state, resumable=True, cut_off=True))
        snapshot.__dict__ = {name: v for name, v in vars(snapshot).items() if "callback" not in name}
        return snapshot

    def _copied(self, state: TrainingState, estimator: Self) -> dict[str, Any]:
        """Return the fitted attributes that an estimator has if training stops now, copied; None for those it lost."""
        stale = [name for name in vars(estimator) if name.endswith("_")]
        own = {name: v for name, v in vars(self).items() if name.endswith("_")}
        return copy.deepcopy(dict.fromkeys(stale) | own | self._fitted(state, resumable=False))

    # What predicting is made of.

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # raises; it reads all tags first, which a fitted estimator need not wait for

    def _has_one_logit(self) -> bool:
        """Say whether one logit stands for two classes."""
        return self.n_outputs_ == 1 and len(self.classes_) == 2

    @np.errstate(over="ignore", invalid="ignore")  # what comes of it is an error, below
    def _outputs(
        self, X: Inputs, of_logits: Callable[[Array], Array], shape: tuple[int, ...], dtype: DTypeLike | None = None
    ) -> Array:
        """Return what a function makes of the logits (n_L, m) of X: a number, or an array of a shape, per sample."""
        plain, loss = self._is_plain(X), self.network_["loss"]
        X = X if plain else self._validated(X)
        float_type = np.float32 if is_single(X.dtype) else np.float64
        rows = np.empty((X.shape[0], *shape), dtype or float_type)

        def write(piece: slice, ZL: Array) -> None:
            if plain and not np.isfinite(X[piece].sum()):  # of large finite numbers the sum may be infinite
                self._validated(X[piece])
            check_finite(ZL)
            rows[piece] = of_logits(joint_logits(ZL, loss).astype(float_type, copy=False))

        map_logits(write, X.T, self.parameters_, Network.restore(self.network_))
        return rows

    def _gradients(self, function: Callable[..., Array], X: Inputs, label: Any, of: GradientOf) -> FloatArray:
        """Return a row of gradients per sample, from a function of the engine."""
        check_choice("of", of, GRADIENTS_OF)
        D = self._output_of(label)
        network = Network.restore({**self.network_, "batch_norm": False})
        backpropagate = partial(function, parameters=fold_batch_norm(self.parameters_), network=network, D=D, of=of)
        width = sum(network.layer_dims) * network.ensemble_size  # the caches of all layers are held
        return self._by_pieces(backpropagate, X, (-1, self.n_features_in_), width)

    def _output_of(self, label: Any) -> Array | None:
        """Return which output a label means, (n_L, 1), as `inspection` tells it; None if any that is predicted."""
        if label is None and not self.multilabel_:
            return None
        labels = self.classes_.tolist()
        try:
            number = labels.index(label)
        except (TypeError, ValueError):  # not there, or of a kind that cannot be compared
            otherwise = " for multilabel targets" if self.multilabel_ else " or None"
            reject("label", f"one of {labels}{otherwise}", label)
        D = np.zeros((self.n_outputs_, 1), self.parameters_["W1"].dtype)
        if self._has_one_logit():
            D[0] = 2 * number - 1
        else:
            D[number] = 1
        return D

    def _baseline(self, baseline: Any) -> Array:
        if baseline is None:
            return getattr(self, "input_center_", np.zeros(self.n_features_in_))
        with naming("baseline"):
            baseline = check_array(baseline, ensure_2d=False, dtype=np.float64, input_name="baseline")
        if baseline.shape != (self.n_features_in_,):
            wanted = f"({self.n_features_in_},), one value per feature"
            raise ValueError(f"baseline must have shape {wanted}, got {baseline.shape}.")
        return baseline

    @np.errstate(over="ignore", invalid="ignore")  # what comes of it is an error, below
    def _by_pieces(
        self, function: Callable[[Inputs], Array], X: Inputs, shape: Sequence[int], width: int
    ) -> FloatArray:
        """Return what a function of the engine makes of X, in rows of a shape whose -1 stands for the samples."""
        X = self._validated(X)
        shape = [X.shape[0] if n == -1 else n for n in shape]
        rows: FloatArray = np.empty(shape, np.float32 if is_single(X.dtype) else np.float64)

        def write(piece: slice, A0: Inputs) -> None:
            found = function(A0)
            check_finite(found)
            rows[..., piece, :] = found.mT

        map_pieces(write, X.T, self.parameters_["W1"].dtype, width)
        return rows

    def _validated(self, X: Inputs) -> Inputs:
        return checked_inputs(self, X, reset=False)

    def _is_plain(self, X: Any) -> bool:
        """Say whether X has all that is wanted but perhaps finite numbers: to validate it takes longer than one row."""
        return (
            type(X) is np.ndarray
            and X.dtype in (np.float32, np.float64)
            and X.shape[1:] == (self.n_features_in_,)
            and len(X) > 0
            and not hasattr(self, "feature_names_in_")
        )

    def _by_class(self, ZL: Array, link: Callable[[Array], Array]) -> Array:
        """Return what a link of the loss makes of logits, with a row for each example and a column for each class."""
        return link(np.concatenate([-ZL, ZL]) if self._has_one_logit() else ZL).T


__test__: dict[str, Any] = {"DeepNNClassifier": DeepNNClassifier}  # doctest goes by __module__, which is the package's


def checked_optimizer(optimizer: Any) -> Optimizer:
    """Return an optimizer given by its name, its class or as it is.

    Raises
    ------
    InvalidParameterError
    """
    known = tuple(OPTIMIZERS.values())
    if isinstance(optimizer, known):
        return optimizer
    if not (isinstance(optimizer, type) and issubclass(optimizer, known)):
        check_choice("optimizer", optimizer, OPTIMIZERS, otherwise=" or an instance of one of their classes")
    return OPTIMIZERS.get(optimizer, optimizer)()


def warn_of_another_scale(examples: Examples, validation: Examples) -> None:
    """Warn if validation data lie where the training data do not, as they do if a pipeline has not transformed them.

    Parameters
    ----------
    examples, validation : Examples

    Warns
    -----
    UserWarning
    """
    n_most = min(N_SEEN, max(SEEN_ELEMENTS // examples.X.shape[0], FEW_SAMPLES))
    samples = (each.spread_sample(n_most) for each in (examples, validation))
    X, X_val = (take_columns(sample.X, sample.columns, None) for sample in samples)
    distance = on_another_scale(X, X_val)
    if distance is not None:
        seen = (
            f"a typical feature of it is {distance:.2g} standard deviations of X from the mean of X, where 1 is usual"
        )
        advice = 'Pipeline(..., transform_input=["X_val"]) with metadata routing transforms it as it does X'
        warn_user(f"X_val is on another scale than X: {seen}. {advice}.", UserWarning)


def harmless_smoothing(examples: Examples) -> float:
    """Return how much label smoothing raises the rarest class by `LIFT_OF_RARE_CLASS` of the share that it has.

    Parameters
    ----------
    examples : Examples
        Whose targets are class numbers.

    Returns
    -------
    float
    """
    weight = None if examples.sample_weight is None else examples.sample_weight[examples.members].ravel()
    totals = np.bincount(examples.Y[0, examples.members].ravel(), weight)
    totals = totals[totals > 0]
    return LIFT_OF_RARE_CLASS * len(totals) * totals.min() / totals.sum()


def needs_double(scaling: Scaling | None) -> bool:
    """Say whether inputs that come so scaled need float64: in float32 their shift would drown what they vary by."""
    if scaling is None:
        return False
    varies = np.isfinite(scaling.scale)
    center, scale = scaling.center[varies], scaling.scale[varies]
    return bool(((np.abs(center) > FAR_FROM_ZERO * scale) | (scale < 1e-30) | (scale > 1e30)).any())


def n_doublings(n_samples: int) -> int:
    """Return how often the automatic network is doubled in width for a number of samples."""
    return sum(n_samples > limit for limit in LARGE_SAMPLES)


def is_single(dtype: np.dtype[Any]) -> bool:
    """Say whether a dtype holds floats of at most 32 bits, in whatever byte order."""
    return dtype.kind == "f" and dtype.itemsize <= 4


def open_interval(probabilities: Array) -> Array:
    """Return probabilities with those that were rounded to 0 or 1 moved to the next number between.

    Parameters
    ----------
    probabilities : ndarray of shape (m, n_classes)

    Returns
    -------
    ndarray of shape (m, n_classes)
        The same, if there is only one class: that one is certain.
    """
    if probabilities.shape[1] == 1:
        return probabilities
    limits = np.finfo(probabilities.dtype)
    return probabilities.clip(limits.tiny, 1 - limits.epsneg)


def draw_shares(strata: Array, n_drawn: int, rng: np.random.Generator) -> BoolArray:
    """Draw samples at random such that each stratum is drawn from by its share, to within one sample.

    None loses its last sample: others then give more than their share. If they cannot, strata are not looked at. Unlike
    `train_test_split`, which takes five times as much memory, this does not fail on strata of one sample.

    Parameters
    ----------
    strata : ndarray of shape (n_samples,)
        Numbers from 0.
    n_drawn : int
    rng : numpy.random.Generator

    Returns
    -------
    drawn : ndarray of bool, of shape (n_samples,)
    """
    counts = np.bincount(strata)
    shares, remainders = np.divmod(counts.astype(np.int64) * n_drawn, len(strata))
    by_remainder = np.lexsort((rng.random(len(counts)), -remainders))  # ties at random
    while n_left := n_drawn - shares.sum():
        can_give = by_remainder[counts[by_remainder] > shares[by_remainder] + 1]
        if not len(can_give):
            return draw_shares(np.zeros_like(strata), n_drawn, rng)
        shares[can_give[:n_left]] += 1
    by_stratum = np.argsort(strata.astype(np.min_scalar_type(len(counts))), kind="stable")
    drawn = np.zeros(len(strata), bool)
    for members, share in zip(np.split(by_stratum, np.cumsum(counts)[:-1]), shares):
        drawn[rng.choice(members, share, replace=False)] = True
    return drawn


def draw_folds(strata: Array, n_drawn: int, n_folds: int, rng: np.random.Generator) -> Iterator[BoolArray]:
    """Draw folds as `draw_shares` does, each from the samples that no fold before has, as long as there are such.

    Parameters
    ----------
    strata : ndarray of shape (n_samples,)
        Numbers from 0.
    n_drawn : int
        Samples in each fold.
    n_folds : int
        Beyond the first, a fold may hold a stratum's only sample: other folds leave it out.
    rng : numpy.random.Generator

    Yields
    ------
    fold : ndarray of bool, of shape (n_samples,)
    """
    n, rest = len(strata), slice(None)
    drawn = np.zeros(n, bool)
    for _ in range(n_folds):
        fold = np.zeros(n, bool)
        fold[rest] = draw_shares(strata[rest], n_drawn, rng)
        yield fold
        drawn |= fold
        if n - drawn.sum() < n_drawn:
            drawn[:] = False
        rest = np.flatnonzero(~drawn)


def check_labels(y: Any) -> tuple[Any, bool]:
    """Return y as one label per sample or as an indicator matrix, and whether it is the latter.

    Raises
    ------
    ValueError
        If y is of a kind that is not classified.
    """
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass", "multilabel-indicator"):
        check_classification_targets(y)  # finds the kind anew, and says what is wrong with it
    if kind == "multiclass-multioutput":
        raise ValueError(
            "Unknown label type: y must have one label per sample or be an indicator matrix, got several columns."
        )
    return (y, True) if kind == "multilabel-indicator" else (column_or_1d(y, warn=True), False)


def unique_labels(y: Array) -> Array:
    """Return the sorted labels in y.

    Raises
    ------
    ValueError
        If they cannot be sorted.
    """
    try:
        return np.unique(y)
    except TypeError as error:
        raise ValueError("y must have labels of one kind, all strings or all numbers.") from error


def encode(y: Array, classes: Array, name: str) -> Array:
    """Return the position in `classes` of each label.

    Raises
    ------
    ValueError
        If a label is not there.
    """
    labels, numbers = np.unique(y, return_inverse=True)
    positions = {label: position for position, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in positions]
    if unknown:
        raise ValueError(f"{name} must have labels among {classes.tolist()}, got {unknown}.")
    return np.array([positions[label] for label in labels.tolist()], dtype=np.intp)[numbers]


def check_sample_weight(name: str, weight: Any, n_samples: int) -> Array | None:
    """Return the weights as float64, or None if there are none.

    Raises
    ------
    ValueError
        If they are not one number of at least 0 for each sample, or all zero.
    """
    if weight is None:
        return None
    single = isinstance(weight, (Number, str))  # which check_array could not name
    with naming(name):
        weight = check_array([weight] if single else weight, ensure_2d=False, dtype=np.float64, input_name=name)
    if weight.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), one weight per sample, got {weight.shape}.")
    if weight.min() < 0:
        raise ValueError(f"{name} must not be negative, got {weight.min():g}.")
    if not weight.any():
        raise ValueError(f"{name} must not be zero for all samples: at least one weight must be above zero.")
    return weight


def weights_by_class(
    class_weight: dict[Any, Any] | Literal["balanced"], classes: Array, codes: Array, sample_weight: Array | None
) -> Array:
    """Return the weight of each class; "balanced" counts samples by their weight.

    Raises
    ------
    ValueError
        If a dict has labels that y has not, or a weight that is no number of at least 0.
    """
    if class_weight == "balanced":
        totals = np.bincount(codes, sample_weight, minlength=len(classes))
        present = totals > 0
        return np.where(present, totals.sum() / (present.sum() * np.where(present, totals, 1)), 0)
    for label, weight in class_weight.items():
        check_real(f"class_weight[{label!r}]", weight, 0)
    unknown = [label for label in class_weight if label not in classes.tolist()]
    if unknown:
        raise ValueError(f"class_weight must have labels among {classes.tolist()}, got {unknown}.")
    return np.array([class_weight.get(label, 1.0) for label in classes.tolist()])


def warn_of_other_parameters(saved: dict[str, Any], given: dict[str, Any]) -> None:
    """Warn if a call of `fit` that was cut off is carried on with other parameters, as far as their values tell.

    Parameters
    ----------
    saved, given : dict

    Warns
    -----
    UserWarning
    """
    pairs = {
        name: (saved[name], value) for name, value in given.items() if name in saved and name not in FREE_TO_CHANGE
    }
    changes = [
        f"{name} from {before!r} to {now!r}"
        for name, (before, now) in pairs.items()
        if is_plain(before) and is_plain(now) and as_lists(before) != as_lists(now)
    ]
    if changes:
        message = "The fit of resume_from had other parameters, and so it does not end as it would have: changed are"
        warn_user(f"{message} {', '.join(changes)}.", UserWarning)


def is_plain(value: object) -> bool:
    """Say whether values of a parameter can be compared by ==, before and after they were saved."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    return value is None or isinstance(value, (str, Number, *OPTIMIZERS.values()))


def as_lists(value: Any) -> Any:
    """Return a value with lists in place of tuples, and Python's numbers for NumPy's, which mean the same."""
    value = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    return list(map(as_lists, value)) if isinstance(value, (list, tuple)) else value


def nonzeros(X: Inputs) -> tuple[Any, ...]:
    """Return what an array holds, dense or sparse, in one form: its shape, and where there is what number but zero."""
    X = csr_array(X)
    X.sum_duplicates()
    X.eliminate_zeros()
    return X.shape, X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)


def hash_of_value(value: object) -> str:
    """Return what tells the value of a parameter from others; of generators and of what cannot be saved, the kind."""
    try:
        return type(value).__name__ if isinstance(value, np.random.RandomState) else joblib.hash(as_lists(value))
    except (pickle.PicklingError, AttributeError, TypeError):  # a lambda
        return type(value).__name__


def check_same_network(network: Network, fitted: Network) -> None:
    """Raise if training cannot go on from one network with another.

    Raises
    ------
    ValueError
    """
    for name in ("layer_dims", "batch_norm", "loss", "ensemble_size"):
        check_unchanged(name, getattr(fitted, name), getattr(network, name))


def check_unchanged(name: str, before: object, now: object) -> None:
    """Raise if training cannot go on because something is not what it was.

    Raises
    ------
    ValueError
    """
    if before != now:
        raise ValueError(
            f"Training cannot go on: {name} must stay {before!r}, got {now!r}. Set warm_start=False, or leave out "
            "resume_from, to start anew."
        )
