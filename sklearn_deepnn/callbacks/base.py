"""`Callback`: the base class of what watches a training."""

from __future__ import annotations

from typing import Any

from ..training.run import Hooks


class Callback(Hooks):
    """Base class of callbacks. A subclass overrides the hooks that it needs.

    The hooks get a `Run`: `on_train_begin`, `on_epoch_begin`, `on_epoch_end`, which stops the training if it returns
    True, and `on_train_end`, which is called after an error or Ctrl-C, too.

    Attributes
    ----------
    only_watches : bool, default=False
        Whether the callback only displays, logs or measures. Such a callback never ends a training: its first error in
        a call of `fit` is a RuntimeWarning, and training continues.
    measures : tuple of str, default=()
        The names of the values that the callback adds to the history, by `run.state.add_to_epoch`. No other value may
        have such a name. Such callbacks are called before all others, so that lines and logs have the values.
    needs_snapshot : bool, default=False
        Whether the callback saves `Run.snapshot` for training to continue from. Such callbacks are called after all
        others. Any callback may predict by a snapshot.
    remembers_for_good : bool, default=False
        Whether its memory outlasts a call of `fit`, for `warm_start` and `partial_fit` to continue with.

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

    # What scikit-learn expects of a callback. `train` calls the hooks, with every version of scikit-learn.

    def setup(self, estimator: Any, context: Any) -> None:
        """Refuse an estimator that never calls the hooks."""
        if not getattr(estimator, "_calls_back", False):
            raise TypeError(
                f"{type(self).__name__} watches a network, got a {type(estimator).__name__}. Set the callback on the "
                "network itself, before the network is put into a pipeline or a search."
            )

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    on_fit_task_begin = on_fit_task_end = teardown
