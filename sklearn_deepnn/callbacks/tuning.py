"""A callback that tells a search how a training goes, and ends trainings that do not promise much."""

import math
from dataclasses import dataclass
from typing import Any

from ..checks import check_choice, reject
from .base import Callback, Run
from .steering import MONITORS, Monitor, check_monitor


@dataclass(frozen=True)
class OptunaPruning(Callback):
    """Report every epoch to an Optuna trial, and leave `fit` by `optuna.TrialPruned` when the trial's pruner says so.

    What is reported points where the study does. To a study that minimises go costs as they are, and the negative of
    scores; to one that maximises scores as they are, and the negative of costs. What is no number is reported as
    infinitely bad. The step is the epoch.

    For a single `fit` in a trial: Optuna takes but one number for each epoch of a trial. In `cross_val_score` and in
    searches of scikit-learn several fits would share it, and the error would count as a failed fit.

    Parameters
    ----------
    trial : optuna.trial.Trial
    monitor : {"auto", "cost", "validation_cost", "validation_score"}, default="auto"
        What is reported. "auto": what `scoring` says of the validation data, or without such data the training cost.

    Raises
    ------
    InvalidParameterError
    optuna.TrialPruned
        From `fit`, at the end of an epoch. The estimator stays as it was.

    Examples
    --------
    >>> import optuna  # doctest: +SKIP
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import OptunaPruning
    >>> def validation_cost(trial):
    ...     dims = trial.suggest_categorical("hidden_layer_dims", ["8", "32-16"])
    ...     model = DeepNNClassifier(dims, early_stopping=True, random_state=0)
    ...     return model.set_callbacks(OptunaPruning(trial)).fit(*load_iris(return_X_y=True)).best_loss_
    >>> study = optuna.create_study(pruner=optuna.pruners.MedianPruner())  # doctest: +SKIP
    >>> study.optimize(validation_cost, n_trials=20)  # doctest: +SKIP
    """

    trial: Any
    monitor: Monitor = "auto"

    def __post_init__(self) -> None:
        if not (hasattr(self.trial, "report") and hasattr(self.trial, "should_prune")):
            reject("trial", "a trial of Optuna", self.trial)
        check_choice("monitor", self.monitor, MONITORS)

    def on_train_begin(self, run: Run) -> None:
        """See whether there is what is to be monitored."""
        check_monitor(self.monitor, run)

    def on_epoch_end(self, run: Run) -> None:
        """Report the epoch; raise if the trial is to be pruned."""
        judged, epoch = run.state.judged_by(self.monitor), run.state.epoch
        if math.isnan(judged):  # of which pruners warn
            judged = math.inf
        self.trial.report(-judged if self._maximizes() else judged, epoch)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"Pruned after epoch {epoch}.")

    def _maximizes(self) -> bool:
        study = getattr(self.trial, "study", None)  # which a trial of fixed parameters, never pruned, has not
        return study is not None and study.direction.name == "MAXIMIZE"
