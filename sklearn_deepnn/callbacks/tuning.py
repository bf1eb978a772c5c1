"""`OptunaPruning`: report epochs to a search, which ends trainings with bad values early."""

import math
from dataclasses import dataclass
from typing import Any

from ..checks import check_choice, reject
from ..training.run import Run
from ..training.state import MONITORS, Monitor
from .steering import Monitoring


@dataclass(frozen=True)
class OptunaPruning(Monitoring):
    """Report every epoch to an Optuna trial, and raise `optuna.TrialPruned` if the pruner decides to end the trial.

    The sign of a reported value follows the direction of the study. A study that minimises gets costs and negative
    scores. A study that maximises gets scores and negative costs. In place of nan, the worst value is reported:
    infinity or minus infinity. The step of a report is the epoch.

    Call `fit` once per trial: Optuna takes one value for each epoch of a trial. In `cross_val_score` and in searches of
    scikit-learn, several fits would report to the same trial, and scikit-learn would treat `TrialPruned` as a failure.

    Parameters
    ----------
    trial : optuna.trial.Trial
    monitor : {"auto", "cost", "validation_cost", "validation_score"}, default="auto"
        The value to report. "auto" is the value of `scoring` on the validation data, or else the training cost.

    Raises
    ------
    optuna.TrialPruned
        From `fit`, at the end of an epoch. The estimator is left unchanged.

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

    def on_epoch_end(self, run: Run) -> None:
        """Report the epoch; raise if the pruner decides to end the trial."""
        value, epoch = run.monitored(self.monitor), run.state.epoch
        value = math.inf if math.isnan(value) else value  # pruners warn of nan
        self.trial.report(-value if self._maximizes() else value, epoch)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"Pruned after epoch {epoch}.")

    def _maximizes(self) -> bool:
        study = getattr(self.trial, "study", None)  # FixedTrial has no study, and is never pruned
        return study is not None and study.direction.name == "MAXIMIZE"
