"""`BaseDeepNN`: `fit` and `partial_fit` of every estimator, step by step.

Conventions: rows are samples, `X` (n_samples, n_features). The engine gets `X.T`, a view. The fitted attributes
are set in one step at the end: a call that fails changes nothing, and other threads see the fit before or the new one.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length

from ..callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from ..callbacks.progress import EpochPrinter, progress_display
from ..callbacks.scikit_learn import CallbackSupportMixin, FitTasks, callbacks_of, check_callbacks, with_callbacks
from ..checks import naming, reject
from ..saving import SavingMixin
from ..threads import SINGLE_THREADED_BLAS
from ..training.costs import cost_unit
from ..training.examples import Examples
from ..training.loop import train
from ..training.state import Monitor
from ..typing import Array, Inputs, MatrixLike
from .defaults import Plan
from .inputs import check_sample_weight, frequent_categories, read_inputs
from .keeping import N_SAMPLED, Keeper
from .prediction import PredictionMixin
from .resuming import (
    COMPARING,
    KEY_OF_PARTS,
    Earlier,
    Fingerprint,
    earlier_training,
    fingerprint_of,
    last_fit,
    name_of_training,
    warn_of_other_parameters,
)
from .settings import (
    REDUCE_ON_PLATEAU,
    Check,
    Settings,
    check_parameters,
    own_optimizer,
    parameters_of,
    with_attributes,
)
from .starting import Start, Table, columns_of, plan_for, prepare, with_gaps_filled
from .targets import Targets
from .validation import validator

DOCUMENTATION = "https://sklearn-deepnn.readthedocs.io/en/stable/"

# (y as read, the targets of earlier calls or None) -> the targets that this call starts with, or None
ChooseTargets = Callable[[Any, Targets | None], Targets | None]

# the fitted attributes that tell the columns of X
COLUMN_ATTRIBUTES = "n_features_in_", "feature_names_in_", "categories_"


class BaseDeepNN(PredictionMixin, CallbackSupportMixin, SavingMixin, BaseEstimator, ABC):
    """Base class of the estimators: `fit` and `partial_fit`. A subclass says how targets are read."""

    if TYPE_CHECKING:  # methods of scikit-learn, which has no types

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_partial_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_score_request(self, **requests: bool | str | None) -> Self: ...

        # what fitting sets, beside the attributes that `PredictionMixin` declares
        feature_names_in_: Array
        categories_: list[dict[str, Any] | None]
        encoding_: dict[str, Any]
        n_layers_: int
        n_outputs_: int
        out_activation_: str
        n_iter_: int
        loss_: float
        loss_curve_: list[float]
        validation_loss_curve_: list[float]
        validation_scores_: list[float]
        best_iter_: int
        best_loss_: float
        learning_rate_curve_: list[float]
        report_: list[str]

    # where the "?" of scikit-learn's HTML leads
    _doc_link_module = "sklearn_deepnn"
    _doc_link_template = DOCUMENTATION + "api/sklearn_deepnn.{estimator_name}.html"

    _calls_back = True  # callbacks of this package, too

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters, sorted."""
        return list(inspected_names(cls))

    def set_params(self, **params: Any) -> Self:
        """Set parameters, and with ``optimizer__momentum=0.9`` those of the optimizer, which may be given by its name.

        Parameters
        ----------
        **params : dict
            Values by the names of parameters. They are checked when training begins.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If there is no parameter of that name.
        """
        of_optimizer = {name: value for name, value in params.items() if name.startswith("optimizer__")}
        if not of_optimizer:
            return super().set_params(**params)
        optimizer = own_optimizer("optimizer", params.get("optimizer", self.optimizer))
        optimizer.set_params(**{name.partition("__")[2]: value for name, value in of_optimizer.items()})
        others = {name: value for name, value in params.items() if name not in of_optimizer}
        return super().set_params(**{**others, "optimizer": optimizer})

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Set what watches and steers the training, in place of the callbacks set before.

        Parameters
        ----------
        *callbacks : instances of Callback, or of scikit-learn's callbacks

        Returns
        -------
        self : estimator

        Raises
        ------
        InvalidParameterError
            If an argument is not such an instance.
        """
        check_callbacks(callbacks)
        return super().set_callbacks(*callbacks)

    @property
    def history_(self) -> dict[str, list[float]]:
        """A list by epoch for each value that was recorded; nan stands for epochs without the value."""
        fitted = vars(self)  # a refit by another thread replaces this dict
        if "training_state_" not in fitted:
            raise AttributeError(f"This {type(self).__name__} is not fitted: it has no history yet.")
        curves = fitted["training_state_"]["history"].items()
        return {name: [*curve, *[math.nan] * (fitted["n_iter_"] - len(curve))] for name, curve in curves}

    _targets: ClassVar[type[Targets]]  # how y is read
    _checks: ClassVar[dict[str, Check]]  # of the parameters that not every estimator has

    @abstractmethod
    def _read_targets(
        self, labels: Any, sample_weight: Array | None, earlier: Targets | None
    ) -> tuple[Targets, Inputs]:
        """Return the targets and Y. The targets of an earlier training stay."""

    @with_callbacks
    @SINGLE_THREADED_BLAS.hold()  # after a product, BLAS's threads spin for 0.1 s, beside those of the training
    @np.errstate(under="ignore")  # exp(-1000) is 0, also after a program's np.seterr(all="raise")
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
            Numbers; columns of a data frame, or of an array of objects, may have text and categories. nan, None and
            masked values are gaps. A sparse matrix has neither.
        y : array-like of shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_labels)
            Of a regressor: numbers, one or several for each sample. Of a classifier: labels, which are text, integers
            (also as floats), bools or dates, which `predict` returns as they are; objects and extension types become
            the NumPy type of their values. Or zeros and ones for several labels at once, dense
            or sparse. One-hot labels are such a matrix: the network warns, and learns them as labels that do not
            exclude each other.
        sample_weight : array-like of shape (n_samples,), default=None
            A sample of weight 2 counts as two samples, a sample of weight 0 as none.
        X_val, y_val : as X and y, default=None
            Validation data, in place of a part of X. A Pipeline transforms X_val like X only with
            ``Pipeline(..., transform_input=["X_val"])`` and metadata routing.
        sample_weight_val : array-like of shape (n_val,), default=None
        resume_from : path-like, default=None
            The folder of a `ModelCheckpoint`. The newest checkpoint of a fit with these data and parameters, except
            `max_iter`, `verbose` and `warm_start`, is resumed as if training had never been cut off; without one,
            training begins. Or the path of one checkpoint: other data are an error, other parameters a warning.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If a parameter, X, y or a weight breaks its rule; or if the training diverges, and no epoch was better than
            predicting a constant, such as the class frequencies. An earlier fit stays.
        KeyboardInterrupt
            After Ctrl-C. If an epoch has ended, the estimator is fitted: with the best epoch's weights where epochs are
            validated, otherwise with those of the last whole epoch.

        Warns
        -----
        UserWarning
            If each row of an indicator matrix has exactly one label, or if there are more than half as many classes as
            samples.
        ConvergenceWarning
            If the training diverges after a good epoch, which is then kept; if it has learned nothing; or if `max_iter`
            ends it while the loss still falls. See `report_`.
        """
        settings = check_parameters(self)
        validation_data = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        data: dict[str, Any] = {"X": X, "y": y, "sample_weight": sample_weight, **validation_data}
        needs_fingerprint = resume_from is not None or callbacks_of(self)
        as_new = self._read_all(**data) if needs_fingerprint else None
        fingerprint = self._fingerprint(*as_new) if as_new else Fingerprint()
        earlier = earlier_training(self, resume_from, fingerprint)
        table, validation = as_new if as_new and earlier is None else self._read_all(**data, earlier=earlier)
        plan = plan_for(settings, table, validation, earlier)
        warn_of_other_parameters(earlier, self)
        table = with_gaps_filled(table, plan, earlier)
        start = prepare(settings, plan, table, validation, earlier, is_part=False)
        start.state.name = name_of_training(earlier, fingerprint.key)
        tol = settings["tol"] * cost_unit(table.examples, plan.network)
        callbacks, stopping = self._callbacks_for(plan, tol, settings)
        keep = Keeper(self, table, plan, start, stopping.monitor, fingerprint.data_hash, N_SAMPLED)
        tasks = FitTasks(self, self._init_callback_context(max_subtasks=self.max_iter), data, keep.copied_attributes)
        tasks.begin()
        columns, initial = keep.attributes_of_columns(), start.state.parameters
        validate = validator(self, start.validation, plan.network, table.targets, initial, columns)
        with keep.after_interrupt(earlier):
            findings = train(
                start.state,
                start.training,
                plan.network,
                plan.recipe,
                n_epochs=self.max_iter,
                validate=validate,
                monitor=stopping.monitor,
                keeps_best=stopping.restore_best,
                callbacks=in_order([*callbacks, tasks]),
                settings=parameters_of(self),
                snapshot=keep.snapshot,
                diagnose=partial(keep.diagnosis, n_epochs=self.max_iter),
                continues=self.warm_start or any(callback.needs_snapshot for callback in callbacks),
                resume=earlier is not None and earlier.resumes,
            )
            keep(findings, continues=self.warm_start)
        tasks.end()
        return self

    @SINGLE_THREADED_BLAS.hold()
    @np.errstate(under="ignore")
    def _partial_fit(self, X: Inputs, y: Any, sample_weight: Any, choose_targets: ChooseTargets) -> Self:
        """Train for one epoch on this part of the data; see `partial_fit` of the estimators."""
        settings = check_parameters(self)
        if settings["learning_rate_schedule"] == REDUCE_ON_PLATEAU:
            reject("learning_rate_schedule", "another for partial_fit, whose parts differ", REDUCE_ON_PLATEAU)
        if settings["scale_inputs"] == "robust":
            reject(
                "scale_inputs",
                "'auto', 'standard', 'common' or None for partial_fit, which cannot update quantiles",
                "robust",
            )
        earlier = last_fit(self)
        table = self._read(X, y, sample_weight, earlier, choose_targets)
        plan = plan_for(settings, table, None, earlier, is_part=True)
        table = with_gaps_filled(table, plan, earlier)
        start = prepare(settings, plan, table, None, earlier, is_part=True)
        callbacks = [callback for callback in self._own_callbacks(settings) if not isinstance(callback, COMPARING)]
        start.state.name = name_of_training(earlier, KEY_OF_PARTS if callbacks_of(self) else "")
        keep = Keeper(self, table, plan, start)
        findings = train(
            start.state,
            start.training,
            plan.network,
            plan.recipe,
            n_epochs=1,
            horizon=self.max_iter,
            callbacks=in_order(callbacks),
            settings=parameters_of(self),
            snapshot=keep.snapshot,
            diagnose=partial(keep.diagnosis, n_epochs=None),
            continues=any(callback.needs_snapshot for callback in callbacks),  # a call that fails leaves no state
        )
        keep(findings, continues=True)
        return self

    def _read(
        self,
        X: Inputs,
        y: Any,
        sample_weight: Any,
        earlier: Earlier | None = None,
        choose_targets: ChooseTargets = lambda labels, earlier: earlier,
    ) -> Table:
        """Check the training set and return it; X must have the features, and y the kind, of an earlier training."""
        reader = with_attributes(self, {} if earlier is None else earlier.fitted)
        X = read_inputs(reader, X, reset=earlier is None)
        labels = self._targets.read_y(y, "y")
        check_consistent_length(X, labels.y)
        weight = check_sample_weight("sample_weight", sample_weight, X.shape[0])
        if earlier is None:
            frequent_categories(reader, X, weight)
        known = choose_targets(labels, None if earlier is None else self._targets.of(earlier.fitted))
        targets, Y = self._read_targets(labels, weight, known)
        header = {name: value for name, value in vars(reader).items() if name in COLUMN_ATTRIBUTES}
        return Table(columns_of(X, Y, targets.weigh(Y, weight, "y")), targets, header)

    def _read_all(
        self, X: Any, y: Any, sample_weight: Any = None, *, earlier: Earlier | None = None, **validation_data: Any
    ) -> tuple[Table, Examples | None]:
        """Check the training set and the validation data, and return them."""
        table = self._read(X, y, sample_weight, earlier)
        return table, self._read_validation(table, **validation_data)

    def _read_validation(
        self, table: Table, X_val: Any = None, y_val: Any = None, sample_weight_val: Any = None
    ) -> Examples | None:
        """Check the validation data and return them as examples, or None if there are none."""
        if X_val is None and y_val is None and sample_weight_val is None:
            return None
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val must be given together, got {missing}=None.")
        with naming("X_val", "like X"):
            X = read_inputs(with_attributes(self, table.header), X_val, name="X_val", reset=False)
        weight = check_sample_weight("sample_weight_val", sample_weight_val, X.shape[0])
        labels = self._targets.read_y(y_val, "y_val")
        with naming("y_val", "like y"):
            check_consistent_length(X, labels.y)
        Y = table.targets.read_validation(labels, weight)
        return columns_of(X, Y, table.targets.weigh(Y, weight, "y_val"))

    def _fingerprint(self, table: Table, validation: Examples | None) -> Fingerprint:
        """Return the identity of a fit on these data."""
        sets = [table.examples] if validation is None else [table.examples, validation]
        classes, categories = table.targets.identity(), table.header.get("categories_")
        # without categories, the fingerprint is that of formats that had none
        return fingerprint_of(self, sets, classes if categories is None else [classes, categories])

    def _own_callbacks(self, settings: Settings) -> list[Callback]:
        """Return the callbacks of this package that were set, and the display that `verbose` asks for."""
        own = [callback for callback in callbacks_of(self) if isinstance(callback, Callback)]
        displays = [progress_display() if settings["verbose"] == 1 else EpochPrinter()] if settings["verbose"] else []
        return [*own, *displays]

    def _callbacks_for(self, plan: Plan, tol: float, settings: Settings) -> tuple[list[Callback], EarlyStopping]:
        """Return the callbacks for `fit`, and which of them stops early. Those that were set replace automatic ones."""
        callbacks = self._own_callbacks(settings)
        stopping = [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
        if not stopping:
            monitor: Monitor = "auto" if plan.stops_by_validation else "cost"
            stopping = [EarlyStopping(monitor, plan.patience, tol, restore_best=plan.stops_by_validation)]
            callbacks = [*stopping, *callbacks]
        has_reducer = any(isinstance(callback, ReduceLROnPlateau) for callback in callbacks)
        if settings["learning_rate_schedule"] == REDUCE_ON_PLATEAU and not has_reducer:
            halved = math.inf if plan.patience == math.inf else max(plan.patience // 2, 1)
            callbacks = [*callbacks, ReduceLROnPlateau(factor=0.2, patience=halved, min_delta=tol)]
        return callbacks, stopping[-1]


@cache
def inspected_names(estimator_class: Any) -> list[str]:
    """Return what scikit-learn, which inspects the constructor in each call of `get_params`, finds the first time."""
    names: list[str] = BaseEstimator._get_param_names.__func__(estimator_class)
    return names


def in_order(callbacks: list[Callback]) -> list[Callback]:
    """Return callbacks in the order of their calls: those that measure first, those that save all this last."""
    return sorted(callbacks, key=lambda callback: (callback.needs_snapshot, not callback.measures))


def starting_point(estimator: BaseDeepNN, X: Inputs, y: Any, sample_weight: Any) -> tuple[Plan, Start]:
    """Return how `fit` would train, and what it would start from, with nothing held out; see `check_gradient`."""
    settings, earlier = check_parameters(estimator), last_fit(estimator)
    table = estimator._read(X, y, sample_weight, earlier)
    plan = plan_for(settings, table, None, earlier, is_part=True)
    table = with_gaps_filled(table, plan, earlier)
    return plan, prepare(settings, plan, table, None, earlier, is_part=False)
