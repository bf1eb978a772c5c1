"""What callbacks are, and the one place that touches `sklearn.callback`, which is new and experimental in 1.9."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9: the same for callbacks of this package alone

    class CallbackSupportMixin:
        """Give an estimator callbacks."""

        def set_callbacks(self, *callbacks):
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

        def __sklearn_clone__(self):
            clone = super().__sklearn_clone__()
            return clone.set_callbacks(*callbacks_of(self))

        def _init_callback_context(self, **_):
            return None

    def with_callbacks(method):
        """Return the method as it is: there is nothing to tear down."""
        return method


def callbacks_of(estimator):
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
    """

    state: Any
    last_epoch: int
    validates: bool
    memory: dict
    settings: dict
    snapshot: Any = None
    failed: bool = False

    def __post_init__(self):
        self.resumed = self.state.epoch > self.state.first_epoch

    @property
    def name(self):
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
    """

    needs_snapshot = False
    remembers_for_good = False

    def on_train_begin(self, run):
        """Prepare, before the first epoch of a call of `fit`.

        Parameters
        ----------
        run : Run
        """

    def on_epoch_begin(self, run):
        """Look at the state before an epoch.

        Parameters
        ----------
        run : Run
        """

    def on_epoch_end(self, run):
        """Look at the epoch that has just been recorded.

        Parameters
        ----------
        run : Run

        Returns
        -------
        stop : bool or None
            True to stop here.
        """

    def on_train_end(self, run):
        """Clean up. Also called if the training has failed or was interrupted, in the state of the last whole epoch.

        Parameters
        ----------
        run : Run
        """

    # What scikit-learn wants of a callback. `train` calls the hooks above itself, in every version of scikit-learn.

    def setup(self, estimator, context):
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

    def teardown(self, estimator, context):
        """Have nothing to do."""

    def on_fit_task_begin(self, estimator, context):
        """Have nothing to do."""

    def on_fit_task_end(self, estimator, context):
        """Have nothing to do."""


def title_of(callback):
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

    def __init__(self, estimator, context, X, y, sample_weight, validation, reconstruct):
        self.context, self.reconstruct = context, reconstruct
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        validation = {name: array for name, array in validation.items() if array is not None}
        self.at_begin = {"estimator": estimator, "X": X, "y": y, "metadata": (weights | validation) or None}
        self.at_end = {"estimator": estimator, "X": X, "y": y, "metadata": weights or None}
        # without callbacks that look, epochs are not worth a task each
        self.is_watched = not all(isinstance(callback, Callback) for callback in callbacks_of(estimator))

    def begin(self):
        """Begin the task of `fit`."""
        if self.context is not None:
            self.context.call_on_fit_task_begin(**self.at_begin)

    def end(self):
        """End the task of `fit`."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.at_end, reconstruction_attributes=self.reconstruct)

    def on_epoch_begin(self, run):
        """Begin the task of an epoch."""
        if self.is_watched:
            self.epoch = self.context.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(
                **self.at_begin, reconstruction_attributes=self.reconstruct if run.state.epoch else None
            )

    def on_epoch_end(self, run):
        """End the task of an epoch; return whether a callback wants to stop."""
        if not self.is_watched:
            return False
        reconstruct = self.reconstruct if run.state.finite else None
        return self.epoch.call_on_fit_task_end(**self.at_end, reconstruction_attributes=reconstruct)
