"""What callbacks are, and the one place that touches `sklearn.callback`, which is new and experimental in 1.9."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin as ProvidedMixin
    from sklearn.callback import with_callbacks as provided_with_callbacks
except ImportError:  # scikit-learn before 1.9, or with other names
    ProvidedMixin = provided_with_callbacks = None

if TYPE_CHECKING:
    from ..estimators.classifier import DeepNNClassifier
    from ..training.loop import TrainingState
    from ..typing import Maybe

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING or ProvidedMixin is None:  # the same for callbacks of this package alone, and with types

    class CallbackSupportMixin:
        """Give an estimator callbacks."""

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Set callbacks for the estimator.

            Parameters
            ----------
            *callbacks : Callback

            Returns
            -------
            self : estimator

            Raises
            ------
            TypeError
                If something is no instance of a subclass of `Callback`.
            """
            if not all(isinstance(callback, Callback) for callback in callbacks):
                raise TypeError("callbacks must be instances of Callback; those of sklearn.callback need version 1.9.")
            self.__dict__.pop("_skl_callbacks", None)
            if callbacks:
                self._skl_callbacks = list(callbacks)
            return self

        def __sklearn_clone__(self) -> Self:
            clone = super().__sklearn_clone__()  # type: ignore[misc]  # of BaseEstimator
            return clone.set_callbacks(*callbacks_of(self))

        def _init_callback_context(self, **_: object) -> Any:
            return None

    def with_callbacks(method: F) -> F:
        """Return the method as it is: there is nothing to tear down."""
        return method
else:
    CallbackSupportMixin, with_callbacks = ProvidedMixin, provided_with_callbacks


def callbacks_of(estimator: Any) -> list[Any]:
    """Return the callbacks that an estimator was given.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    list
    """
    return list(getattr(estimator, "_skl_callbacks", []))


@dataclass
class Run:
    """A call of `fit`, as a callback sees it.

    Attributes
    ----------
    state : TrainingState
        What the training has come to: `epoch`, `newest`, `history`, `parameters`, `monitored`, ...
    last_epoch : int
        The epoch after which it ends at the latest.
    validates : bool
        Whether epochs are validated.
    memory : dict
        Of this callback alone, empty when `fit` begins, but see `Callback.remembers_for_good`. It is part of
        checkpoints, so it is to hold numbers and strings. What is held here, and not by the callback itself, lets one
        callback watch several fits at once.
    settings : dict
        The parameters of the estimator.
    snapshot : callable
        From the end of the first epoch on, returns the estimator as `fit` would if it stopped now, fitted, with all
        that training goes on from. To be saved at once: what it holds is not copied.
    resumed : bool
        Whether a training goes on that was cut off.
    failed : bool
        Whether an error has ended it, and nothing is kept; Ctrl-C is none.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import Callback
    >>> class Report(Callback):
    ...     def on_epoch_end(self, run):
    ...         print(f"{run.state.epoch} of {run.last_epoch}", *run.state.newest)
    >>> model = DeepNNClassifier((8,), max_iter=2, random_state=0).set_callbacks(Report())
    >>> _ = model.fit(*load_iris(return_X_y=True))
    1 of 2 cost learning_rate
    2 of 2 cost learning_rate
    """

    state: TrainingState
    last_epoch: int
    validates: bool
    memory: dict[str, Any]
    settings: dict[str, Any]
    snapshot: Maybe[Callable[[], DeepNNClassifier]] = None
    failed: bool = False
    resumed: bool = field(init=False)

    def __post_init__(self) -> None:
        self.resumed = self.state.epoch > self.state.first_epoch

    @property
    def name(self) -> str:
        """What logs and checkpoints call this training: the time when it began, and a key of its data and parameters.

        Names sort by the time. They stay with `warm_start`, `partial_fit` and when a training is resumed.
        """
        if not self.state.name:
            key = self.state.key or secrets.token_hex(4)
            self.state.name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{key[:8]}"
        return self.state.name


class Callback:
    """What `train` calls; all hooks do nothing here.

    Attributes
    ----------
    needs_snapshot : bool
        Whether it asks for `Run.snapshot`, and comes after those that do not.
    remembers_for_good : bool
        Whether its memory outlasts a call of `fit`, for `warm_start` and `partial_fit` to go on with.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import Callback
    >>> class GoodEnough(Callback):
    ...     def on_epoch_end(self, run):
    ...         return run.state.newest["cost"] < 0.5
    >>> model = DeepNNClassifier((8,), learning_rate=0.01, random_state=0).set_callbacks(GoodEnough())
    >>> model.fit(*load_iris(return_X_y=True)).loss_ < 0.5
    True
    """

    needs_snapshot = False
    remembers_for_good = False

    def on_train_begin(self, run: Run) -> None:
        """Prepare, before the first epoch of a call of `fit`.

        Parameters
        ----------
        run : Run
        """

    def on_epoch_begin(self, run: Run) -> None:
        """Look at the state before an epoch.

        Parameters
        ----------
        run : Run
        """

    def on_epoch_end(self, run: Run) -> bool | None:
        """Look at the epoch that has just been recorded.

        Parameters
        ----------
        run : Run

        Returns
        -------
        stop : bool or None
            True to stop here.
        """

    def on_train_end(self, run: Run) -> None:
        """Clean up. Also called if the training has failed or was interrupted, in the state of the last whole epoch.

        Parameters
        ----------
        run : Run
        """

    # What scikit-learn wants of a callback. `train` calls the hooks above itself, in every version of scikit-learn.

    def setup(self, estimator: Any, context: Any) -> None:
        """Refuse an estimator that never calls the hooks above.

        Raises
        ------
        TypeError
        """
        if not getattr(estimator, "_calls_back", False):
            raise TypeError(
                f"{type(self).__name__} watches a DeepNNClassifier, got a {type(estimator).__name__}. Set it on the "
                "network itself, before it is put into a pipeline or a search."
            )

    def teardown(self, estimator: Any, context: Any) -> None:
        """Have nothing to do."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Have nothing to do."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Have nothing to do."""


def title_of(callback: Callback) -> str:
    """Return what a callback is called where it stops a training or fails: its class, or that it is scikit-learn's."""
    return "a callback of scikit-learn" if isinstance(callback, FitTasks) else type(callback).__name__


class FitTasks(Callback):
    """Tell scikit-learn's callbacks of the epochs: a task for the whole of `fit`, and a task below for each epoch.

    Parameters
    ----------
    estimator : estimator
    context : CallbackContext or None
        Of the task `fit`; None without scikit-learn's callbacks.
    X, y : array-like
        As `fit` was given them.
    sample_weight : array-like or None
    validation : dict
        What `fit` was given beside: X_val, y_val, sample_weight_val. It is told at the beginning of tasks only: what is
        told at their end goes to scorers, which take nothing but weights.
    reconstruct : callable
        Returns the fitted attributes that an estimator has if training stops now, free to keep.
    """

    context: Any
    reconstruct: Callable[[], dict[str, Any]]
    at_begin: dict[str, Any]
    at_end: dict[str, Any]
    is_watched: bool
    epoch: Any

    def __init__(
        self,
        estimator: Any,
        context: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: dict[str, Any],
        reconstruct: Callable[[], dict[str, Any]],
    ) -> None:
        self.context, self.reconstruct = context, reconstruct
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        validation = {name: array for name, array in validation.items() if array is not None}
        self.at_begin = {"estimator": estimator, "X": X, "y": y, "metadata": (weights | validation) or None}
        self.at_end = {"estimator": estimator, "X": X, "y": y, "metadata": weights or None}
        # without callbacks that look, epochs are not worth a task each
        self.is_watched = not all(isinstance(callback, Callback) for callback in callbacks_of(estimator))

    def begin(self) -> None:
        """Begin the task of `fit`."""
        if self.context is not None:
            self.context.call_on_fit_task_begin(**self.at_begin)

    def end(self) -> None:
        """End the task of `fit`."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.at_end, reconstruction_attributes=self.reconstruct)

    def on_epoch_begin(self, run: Run) -> None:
        """Begin the task of an epoch."""
        if self.is_watched:
            self.epoch = self.context.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(
                **self.at_begin, reconstruction_attributes=self.reconstruct if run.state.epoch else None
            )

    def on_epoch_end(self, run: Run) -> bool:
        """End the task of an epoch; return whether a callback wants to stop."""
        if not self.is_watched:
            return False
        reconstruct = self.reconstruct if run.state.finite else None
        return self.epoch.call_on_fit_task_end(**self.at_end, reconstruction_attributes=reconstruct)
