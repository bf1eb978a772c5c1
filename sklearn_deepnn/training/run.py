"""What callbacks have to do with `train`: the `Hooks` it calls, the `Run` they see, and `Watch`, which calls them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from ..checks import InvalidParameterError, reject
from ..messages import warn_user
from .state import FIELDS, Monitor, TrainingState, monitored_value


class Finding(NamedTuple):
    """A sentence of `report_`: what went wrong in a training."""

    text: str
    is_warning: bool = False  # whether it is worth a ConvergenceWarning


class Hooks:
    """What `train` calls, and what every callback is. These hooks do nothing."""

    shown_name = ""  # what messages call the callback; by default the name of its class
    only_watches = False  # whether it only displays, logs or measures: its errors are warnings
    measures: tuple[str, ...] = ()  # the values that it adds to the history of an epoch: it is then called first
    needs_snapshot = False  # whether the callback saves `Run.snapshot`, to continue from: it is then called last
    remembers_for_good = False  # whether its memory outlasts a call of `fit`, for `warm_start` and `partial_fit`

    def on_train_begin(self, run: Run) -> None:
        """Prepare, before the first epoch of a call of `fit`."""

    def on_epoch_begin(self, run: Run) -> None:
        """Look at the state before an epoch."""

    def on_epoch_end(self, run: Run) -> bool | None:
        """Look at the epoch that has just been recorded. Return True to stop; a resumed call does not continue then."""

    def on_train_end(self, run: Run) -> None:
        """Clean up, if `on_train_begin` succeeded. After an error or Ctrl-C the state is of the last complete epoch."""


def name_of(callback: Hooks) -> str:
    """Return what messages call a callback that stops a training, or fails."""
    return callback.shown_name or type(callback).__name__


def measured_by(callbacks: Iterable[Hooks]) -> tuple[str, ...]:
    """Return the values that callbacks add to the history. Raises if a value has the name of another."""
    measured: list[str] = []
    for callback in callbacks:
        for name in callback.measures:
            if name in (*FIELDS, *measured):
                rule = f"names that no other callback measures, other than {', '.join(FIELDS)}"
                reject(f"The measures of {name_of(callback)}", rule, callback.measures)
            measured.append(name)
    return tuple(measured)


@dataclass
class Run:
    """One call of `fit`, as a callback sees it.

    Attributes
    ----------
    state : TrainingState
        What the training has reached: `epoch`, `newest`, `history`, `parameters`, `best_epoch`, ...
    last_epoch : int
        The epoch after which the training ends at the latest.
    validates : bool
        Whether epochs are validated.
    monitor : {"auto", "cost", "validation_cost", "validation_score"}
        What compares epochs.
    keeps_best : bool
        Whether the parameters of the best epoch are kept.
    settings : dict
        The parameters of the estimator.
    snapshot : callable or None
        Returns a fitted estimator, as `fit` would leave it if training stopped now, from the end of the first epoch on;
        with all that training continues from, if a callback `needs_snapshot`. Save the estimator at once: it shares
        memory with the training. Takes another state optionally: `snapshot(replace(state, best=None))` has the weights
        of the last epoch, not the best.
    measured : tuple of str
        The values that callbacks add to the history.
    callback : str
        The name of the callback in `state.memories`.
    failed : bool
        Whether an error has ended the call. Ctrl-C is not an error.
    interrupted : bool
        Whether Ctrl-C has ended the call.
    is_part : bool
        Whether the call is `partial_fit`, which others follow.
    findings : list of Finding
        At the end: what went wrong, as `report_` will say it.
    resumed : bool
        Whether this call resumes a training from a checkpoint.
    loading_seconds : float
        Seconds that importing numba and compiling loops have taken in this call. 0 if numba is missing, if it is not
        worth its import yet, or if an earlier call has loaded all loops.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import Callback
    >>> class Report(Callback):
    ...     def on_epoch_end(self, run):
    ...         print(f"{run.state.epoch} of {run.last_epoch}", *run.state.newest)
    >>> model = DeepNNClassifier(max_iter=2, early_stopping=False, random_state=0).set_callbacks(Report())
    >>> _ = model.fit(*load_iris(return_X_y=True))
    1 of 2 cost learning_rate
    2 of 2 cost learning_rate
    """

    state: TrainingState
    last_epoch: int
    validates: bool = False
    monitor: Monitor = "auto"
    keeps_best: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    snapshot: Any = None
    measured: tuple[str, ...] = ()
    callback: str = ""
    failed: bool = False
    interrupted: bool = False
    is_part: bool = False
    findings: list[Finding] = field(default_factory=list)
    loading_seconds: float = 0.0
    resumed: bool = field(init=False)

    def __post_init__(self) -> None:
        self.resumed = self.state.epoch > self.state.call.first_epoch

    @property
    def memory(self) -> dict[str, Any]:
        """What the callback remembers: numbers and strings, saved in checkpoints."""
        return self.state.memories.setdefault(self.callback, {})

    @memory.setter
    def memory(self, memory: dict[str, Any]) -> None:
        self.state.memories[self.callback] = memory

    @property
    def name(self) -> str:
        """What logs and checkpoints call this training: the time of its start, and a key of its data and parameters."""
        return self.state.name

    @property
    def stopped_by(self) -> str:
        """What has stopped the training: a callback, "convergence" or "divergence"; empty while nothing has."""
        return self.state.call.stopped_by

    def monitored(self, monitor: Monitor | None = None) -> float:
        """Return the value that compares epochs, for the last epoch; lower is better. See `monitored_value`."""
        return monitored_value(self.state.newest, monitor or self.monitor)


# errors before the first epoch that are mistakes of whoever set a callback: a bad value, a package that is missing, a
# path that cannot be the path of a file
MISTAKES = InvalidParameterError, ImportError, IsADirectoryError, NotADirectoryError, FileExistsError


class Watch:
    """The callbacks of one call of `train`. A context manager, which ends those that have begun."""

    # What only displays or logs never ends a training: the first error of such a callback is a warning, and its further
    # errors in the same call are silent.

    def __init__(
        self,
        callbacks: Iterable[Hooks],
        state: TrainingState,
        *,
        resume: bool,  # whether the call resumes an earlier one: callbacks then keep all that they remember
        **about: Any,  # the other fields of `Run`
    ) -> None:
        self.runs: list[tuple[Hooks, Run]] = []
        self._n_begun = 0
        self._failed: set[str] = set()  # the callbacks whose errors have been warned of
        n_of_class: Counter[str] = Counter()
        callbacks = list(callbacks)
        about["measured"] = measured_by(callbacks)
        for callback in callbacks:
            name = type(callback).__name__
            n_of_class[name] += 1
            run = Run(state, callback=f"{name} {n_of_class[name]}", **about)
            if not (resume or callback.remembers_for_good):
                state.memories.pop(run.callback, None)
            self.runs.append((callback, run))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        with ExitStack() as stack:  # ends all, the last first, also if Ctrl-C cuts one short
            if kind is None:
                stack.callback(self._forget)
            for callback, run in self.runs[: self._n_begun]:
                run.failed, run.interrupted = kind is not None and not interrupted, interrupted
                stack.callback(self._end, callback, run)

    def _forget(self) -> None:
        """Drop what callbacks remember for this call alone. Sets: state.memories."""
        for callback, run in self.runs:
            if not callback.remembers_for_good:
                run.state.memories.pop(run.callback, None)

    def begin(self) -> None:
        """Call `on_train_begin` of all callbacks."""
        for callback, run in self.runs:
            self._call(callback.on_train_begin, "before the first epoch", callback, run, unless=MISTAKES)
            self._n_begun += 1

    def begin_epoch(self) -> None:
        """Call `on_epoch_begin` of all callbacks."""
        for callback, run in self.runs:
            self._call(callback.on_epoch_begin, "after epoch {}, before the next", callback, run)

    def end_epoch(self) -> None:
        """Call `on_epoch_end` of all callbacks. Sets: state.call.stopped_by, to the first that wants to stop."""
        for callback, run in self.runs:
            if self._call(callback.on_epoch_end, "after epoch {}", callback, run) and not run.stopped_by:
                run.state.call.stopped_by = name_of(callback)

    def tell_loading(self, seconds: float) -> None:
        """Tell all callbacks how long loading compiled loops took. Sets: run.loading_seconds."""
        for _, run in self.runs:
            run.loading_seconds = seconds

    def tell(self, findings: list[Finding]) -> None:
        """Tell all callbacks what went wrong. Sets: run.findings."""
        for _, run in self.runs:
            run.findings = findings

    def _end(self, callback: Hooks, run: Run) -> None:
        """Call `on_train_end`. An error there must neither lose a training nor hide the error that ended it."""
        try:
            callback.on_train_end(run)
        except Exception as error:
            self._warn_once("at the end of training", error, callback, run)

    def _call(
        self,
        hook: Callable[[Run], bool | None],
        when: str,
        callback: Hooks,
        run: Run,
        *,
        unless: tuple[type[Exception], ...] = (),
    ) -> bool | None:
        """Call a hook. Warn of its error instead of raising it, if the callback only displays or logs."""
        try:
            return hook(run)
        except Exception as error:
            if not callback.only_watches or isinstance(error, unless):
                raise
            self._warn_once(f"{when.format(run.state.epoch)}, and training continues", error, callback, run)
            return None

    def _warn_once(self, when: str, error: Exception, callback: Hooks, run: Run) -> None:
        """Warn of the first error of a callback."""
        if run.callback not in self._failed:
            self._failed.add(run.callback)
            warn_user(f"{name_of(callback)} failed {when}: {type(error).__name__}: {error}", RuntimeWarning)
