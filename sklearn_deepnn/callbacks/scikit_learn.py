"""The bridge to `sklearn.callback`, which is new and experimental in scikit-learn 1.9. No other module touches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin as ProvidedMixin
    from sklearn.callback import FitCallback
    from sklearn.callback import with_callbacks as provided_with_callbacks
except ImportError:  # scikit-learn before 1.9, or with other names
    ProvidedMixin = provided_with_callbacks = FitCallback = None

from ..checks import reject
from ..saving import ATTRIBUTES_OF_A_RUNNING_FIT
from ..training.run import Run
from .base import Callback

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING or ProvidedMixin is None:  # the same for callbacks of this package alone, with types

    class CallbackSupportMixin:
        """Give an estimator callbacks."""

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Set the callbacks of the estimator, instances of subclasses of `Callback`, and return the estimator."""
            self.__dict__.pop("_skl_callbacks", None)
            if callbacks:
                self._skl_callbacks = list(callbacks)
            return self

        def __sklearn_clone__(self) -> Self:
            clone = super().__sklearn_clone__()  # type: ignore[misc]  # BaseEstimator, which follows this mixin, has it
            return clone.set_callbacks(*callbacks_of(self))

        def _init_callback_context(self, **_: object) -> Any:
            return None

    def with_callbacks(method: F) -> F:
        """Return the method as it is: there is nothing to tear down."""
        return method
else:
    CallbackSupportMixin, with_callbacks = ProvidedMixin, provided_with_callbacks


KINDS = (Callback,) if FitCallback is None else (Callback, FitCallback)
EACH_INSTANCE = "instances of Callback, or of scikit-learn's callbacks (from version 1.9 on), one argument each"


def check_callbacks(callbacks: tuple[Any, ...]) -> None:
    """Raise an `InvalidParameterError` if something is not an instance of a callback."""
    for callback in callbacks:
        if isinstance(callback, type) or not isinstance(callback, KINDS):  # a class passes for its protocol, too
            reject("callbacks", EACH_INSTANCE, callback)


# the attributes in which scikit-learn keeps the callbacks of an estimator, and those of a fit that runs
CALLBACK_ATTRIBUTES = {"_skl_callbacks", *ATTRIBUTES_OF_A_RUNNING_FIT}


def callbacks_of(estimator: Any) -> list[Any]:
    """Return the callbacks that were set on an estimator."""
    return list(getattr(estimator, "_skl_callbacks", []))


class FitTasks(Callback):
    """Tell scikit-learn's callbacks of the epochs: `fit` is one task, and each epoch is a task below it."""

    shown_name = "a callback of scikit-learn"

    def __init__(
        self,
        estimator: Any,
        context: Any,  # of the task `fit`; None without scikit-learn's callbacks
        data: dict[str, Any],  # X, y, sample_weight, X_val, y_val and sample_weight_val as passed to `fit`
        reconstruct: Callable[[], dict[str, Any]],  # returns the fitted attributes, if training stops now, copied
    ) -> None:
        self.context, self.reconstruct, self.epoch = context, reconstruct, context
        metadata = {name: value for name, value in data.items() if name not in ("X", "y") and value is not None}
        # only the beginning of a task gets the validation data: scorers, which take nothing but weights, see its end
        weights = {name: value for name, value in metadata.items() if name == "sample_weight"}
        about = {"estimator": estimator, "X": data["X"], "y": data["y"]}
        self.at_begin, self.at_end = {**about, "metadata": metadata or None}, {**about, "metadata": weights or None}
        # without callbacks of scikit-learn, epochs need no tasks
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
        """End the task of an epoch. Return whether a callback wants to stop."""
        if not self.is_watched:
            return False
        reconstruct = self.reconstruct if run.state.is_finite else None
        return self.epoch.call_on_fit_task_end(**self.at_end, reconstruction_attributes=reconstruct)
