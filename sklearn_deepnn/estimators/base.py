"""`BaseDeepNN`: `fit` and `partial_fit` of every estimator, step by step.

Conventions: rows are samples, `X` (n_samples, n_features). The engine gets `X.T`, a view. The fitted attributes
are set in one step at the end: a call that fails changes nothing, and other threads see the fit before or the new one.
"""

from __future__ import annotations

import copy
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length

from ..callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from ..callbacks.progress import EpochPrinter, progress_display
from ..callbacks.scikit_learn import CallbackSupportMixin, FitTasks, callbacks_of, check_callbacks, with_callbacks
from ..checks import allow_underflow, naming, reject, warn_user
from ..inspection.diagnosis import diagnose
from ..inspection.gradients import feature_importances
from ..network.losses import LOSSES
from ..network.model import fold_batch_norm
from ..network.scaling import fold_scaling
from ..saving import SavingMixin, fitted_curves
from ..training.examples import Examples
from ..training.loop import train
from ..training.state import Monitor, TrainingState
from ..typing import Array, Arrays, Inputs, MatrixLike
from .defaults import Plan
from .inputs import check_sample_weight, read_inputs
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
from .scaling import input_moments
from .settings import (
    OPTIONAL_ATTRIBUTES,
    REDUCE_ON_PLATEAU,
    Settings,
    check_parameters,
    own_optimizer,
    parameters_of,
    with_attributes,
)
from .starting import Start, Table, columns_of, plan_for, prepare
from .targets import ClassTargets, Labels, read_labels
from .validation import validator

# (labels, the targets of earlier calls or None) -> the targets that this call starts with, or None
ChooseTargets = Callable[[Labels, ClassTargets | None], ClassTargets | None]

# most samples that `feature_importances_` is computed on, after `fit` and after `partial_fit`: with one network for the
# digits, 1000 samples take 0.2 % of the time of a fit, but 21 % of that of a part with 1000 samples
N_SAMPLED, N_SAMPLED_OF_PART = 1000, 100
SAMPLED_ELEMENTS = 2**23  # and most of their values
FEATURE_ATTRIBUTES = "n_features_in_", "feature_names_in_"  # the fitted attributes that tell the features of X


class BaseDeepNN(PredictionMixin, CallbackSupportMixin, SavingMixin, BaseEstimator, ABC):
    """Base class of the estimators: `fit` and `partial_fit`. A subclass says how targets are read."""

    if TYPE_CHECKING:  # methods of scikit-learn, which has no types

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_partial_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_score_request(self, **requests: bool | str | None) -> Self: ...

    _calls_back = True  # callbacks of this package, too

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
        if "training_state_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted: it has no history yet.")
        curves = self.training_state_["history"].items()
        return {name: [*curve, *[math.nan] * (self.n_iter_ - len(curve))] for name, curve in curves}

    @abstractmethod
    def _read_targets(
        self, labels: Labels, sample_weight: Array | None, earlier: ClassTargets | None
    ) -> tuple[ClassTargets, Inputs]:
        """Return the targets and Y. The targets of an earlier training stay."""

    @with_callbacks
    @allow_underflow
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
            Labels: text, integers (also as floats), bools or dates, which `predict` returns as they are; objects and
            extension types become the NumPy type of their values. Or zeros and ones for several labels at once, dense
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
            its start or than predicting the class frequencies. An earlier fit stays.
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
        start = prepare(settings, plan, table, validation, earlier, is_part=False)
        start.state.name = name_of_training(earlier, fingerprint.key)
        callbacks, stopping = self._callbacks_for(plan, settings)
        keep = Keeper(self, table, plan, start, stopping.monitor, fingerprint.data_hash, N_SAMPLED)
        tasks = FitTasks(self, self._init_callback_context(max_subtasks=self.max_iter), data, keep.copied_attributes)
        tasks.begin()
        with keep.after_interrupt(earlier):
            report = train(
                start.state,
                start.training,
                plan.network,
                plan.recipe,
                n_epochs=self.max_iter,
                validate=validator(self, start.validation, plan.network, table.targets, start.state.parameters),
                monitor=stopping.monitor,
                keeps_best=stopping.restore_best,
                callbacks=in_order([*callbacks, tasks]),
                settings=parameters_of(self),
                snapshot=keep.snapshot,
                diagnose=partial(keep.diagnosis, n_epochs=self.max_iter),
                continues=self.warm_start or any(callback.needs_snapshot for callback in callbacks),
                resume=earlier is not None and earlier.resumes,
            )
            keep(report, continues=self.warm_start)
        tasks.end()
        return self

    @allow_underflow
    def _partial_fit(self, X: Inputs, y: Any, sample_weight: Any, choose_targets: ChooseTargets) -> Self:
        """Train for one epoch on this part of the data; see `DeepNNClassifier.partial_fit`."""
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
        plan = plan_for(settings, table, None, earlier, may_hold_out=False)
        start = prepare(settings, plan, table, None, earlier, is_part=True)
        callbacks = [callback for callback in self._own_callbacks(settings) if not isinstance(callback, COMPARING)]
        start.state.name = name_of_training(earlier, KEY_OF_PARTS if callbacks_of(self) else "")
        keep = Keeper(self, table, plan, start)
        report = train(
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
        keep(report, continues=True)
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
        labels = read_labels(y, "y")
        check_consistent_length(X, labels.y)
        weight = check_sample_weight("sample_weight", sample_weight, X.shape[0])
        known = choose_targets(labels, None if earlier is None else ClassTargets.of(earlier.fitted))
        targets, Y = self._read_targets(labels, weight, known)
        header = {name: value for name, value in vars(reader).items() if name in FEATURE_ATTRIBUTES}
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
        labels = read_labels(y_val, "y_val")
        with naming("y_val", "like y"):
            check_consistent_length(X, labels.y)
        Y = table.targets.read_validation(labels, weight)
        return columns_of(X, Y, table.targets.weigh(Y, weight, "y_val"))

    def _fingerprint(self, table: Table, validation: Examples | None) -> Fingerprint:
        """Return the identity of a fit on these data."""
        sets = [table.examples] if validation is None else [table.examples, validation]
        return fingerprint_of(self, sets, table.targets.classes.tolist())

    def _own_callbacks(self, settings: Settings) -> list[Callback]:
        """Return the callbacks of this package that were set, and the display that `verbose` asks for."""
        own = [callback for callback in callbacks_of(self) if isinstance(callback, Callback)]
        displays = [progress_display() if settings["verbose"] == 1 else EpochPrinter()] if settings["verbose"] else []
        return [*own, *displays]

    def _callbacks_for(self, plan: Plan, settings: Settings) -> tuple[list[Callback], EarlyStopping]:
        """Return the callbacks for `fit`, and which of them stops early. Those that were set replace automatic ones."""
        callbacks, tol = self._own_callbacks(settings), settings["tol"]
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


@dataclass(frozen=True)
class Keeper:
    """The fitted attributes that a call of `fit` or `partial_fit` leaves on its estimator."""

    estimator: BaseDeepNN
    table: Table
    plan: Plan
    start: Start
    monitor: Monitor = "auto"  # what compares epochs
    data_hash: str = ""  # for checkpoints
    n_sampled: int = N_SAMPLED_OF_PART  # most samples that `feature_importances_` is computed on

    def __call__(self, report: list[str], *, continues: bool) -> None:
        """Set the fitted attributes of the estimator, in one step."""
        fitted = self.attributes(report, continues=continues)
        # the present attributes are read last, and copied at once: other threads may set parameters meanwhile
        kept = {name: v for name, v in vars(self.estimator).copy().items() if name not in OPTIONAL_ATTRIBUTES}
        self.estimator.__dict__ = kept | fitted

    @contextmanager
    def after_interrupt(self, earlier: Earlier | None) -> Iterator[None]:
        """Keep the last whole epoch after Ctrl-C, if there is one."""
        # a checkpoint that is resumed has epochs to keep, even if this call adds none
        first_epoch = 0 if earlier is not None and earlier.resumes else self.start.state.epoch
        try:
            yield
        except KeyboardInterrupt:
            if self.start.state.epoch > first_epoch:
                self(self.start.findings, continues=self.estimator.warm_start)
            raise

    def attributes(self, report: list[str], *, continues: bool, data_hash: str = "") -> dict[str, Any]:
        """Return the fitted attributes, if training stops now; with what only a later call needs, or without."""
        state, network, preparation = self.start.state, self.plan.network, self.start.preparation
        best_iter, best = (state.best.epoch, state.best.values) if state.best else state.best_recorded(self.monitor)
        saved, parameters = (
            state.to_dict(continues=continues),
            fold_scaling(state.kept_parameters(), preparation.scaling),
        )
        return {
            **self.table.header,
            **self.table.targets.fitted_attributes(),
            "network_": network.to_dict(),
            "n_layers_": network.n_layers + 1,
            "n_outputs_": network.layer_dims[-1],
            "out_activation_": LOSSES[network.loss].out_activation,
            "parameters_": dict(parameters),
            "feature_importances_": self.feature_importances(parameters),
            "n_iter_": state.epoch,
            "loss_": saved["history"]["cost"][-1],
            "best_iter_": best_iter,
            "best_loss_": best.get("validation_cost", best["cost"]),
            **fitted_curves(saved["history"]),
            "report_": report,
            "training_state_": {**saved, "preparation": {**preparation.to_dict(), "data_hash": data_hash}},
        }

    def feature_importances(self, parameters: Arrays) -> Array:
        """Return the importances (n_0,) of the features to the network with some parameters, for unscaled inputs."""
        examples, network = self.table.examples, replace(self.plan.network, batch_norm=False)
        labels = np.eye(network.layer_dims[-1], dtype=self.plan.dtype)[..., np.newaxis]
        outputs = [*labels] if self.table.targets.multilabel else [None]
        n_most = min(self.n_sampled, SAMPLED_ELEMENTS // network.layer_dims[0]) // len(outputs)
        sample = examples.spread_sample(max(n_most, 1))
        moments = self.start.preparation.moments or input_moments(sample)
        return feature_importances(sample, moments.deviation()[:, 0], fold_batch_norm(parameters), network, outputs)

    def diagnosis(self, warnings: list[str], *, n_epochs: int | None) -> tuple[list[str], list[str]]:
        """Warn of what went wrong. Return `report_`, with the warnings of `train`, and what of it was no warning."""
        start, plan = self.start, self.plan
        findings = diagnose(
            start.state,
            start.training,
            start.validation,
            plan.network,
            plan.recipe,
            n_epochs=n_epochs,
            is_scaled=start.preparation.scaling is not None,
            of_inputs=start.findings,
            has_failed=bool(warnings),
        )
        for finding in findings:
            if finding.is_warning:
                warn_user(finding.text, ConvergenceWarning)
        texts = [finding.text for finding in findings]
        return [*warnings, *texts], [finding.text for finding in findings if not finding.is_warning]

    def snapshot(self, state: TrainingState | None = None) -> BaseDeepNN:
        """Return the estimator as `fit` would leave it if training stopped now, or in a state, without callbacks."""
        keeper = self if state is None else replace(self, start=self.start._replace(state=state))
        attributes = keeper.attributes(self.start.findings, continues=True, data_hash=self.data_hash)
        return with_attributes(self.estimator, attributes)

    def copied_attributes(self) -> dict[str, Any]:
        """Return copies of the fitted attributes, if training stops now. None marks those that this fit removes."""
        fitted = self.attributes(self.start.findings, continues=False)
        lost = dict.fromkeys(name for name in OPTIONAL_ATTRIBUTES if name in vars(self.estimator))
        return copy.deepcopy(lost | fitted)


def in_order(callbacks: list[Callback]) -> list[Callback]:
    """Return callbacks in the order of their calls: those that measure first, those that save all this last."""
    return sorted(callbacks, key=lambda callback: (callback.needs_snapshot, not callback.measures))


def starting_point(estimator: BaseDeepNN, X: Inputs, y: Any, sample_weight: Any) -> tuple[Plan, Start]:
    """Return how `fit` would train, and what it would start from, with nothing held out; see `check_gradient`."""
    settings, earlier = check_parameters(estimator), last_fit(estimator)
    table = estimator._read(X, y, sample_weight, earlier)
    plan = plan_for(settings, table, None, earlier, may_hold_out=False)
    return plan, prepare(settings, plan, table, None, earlier, is_part=False)
