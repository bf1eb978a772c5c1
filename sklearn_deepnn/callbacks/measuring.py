"""Callbacks that add values to the history of each epoch."""

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sklearn.metrics import check_scoring, get_scorer_names

from ..checks import closest_choice, reject
from ..training.run import Run
from .base import Callback

SCORERS = "the name of a scorer, a callable, a list of names, or a dict of those by name"
NO_POSITIVE = "No positive class found in y_true"  # scikit-learn's warning where average_precision returns 0.0


@contextmanager
def undefined_raises() -> Iterator[None]:
    """Make undefined scores nan or an error in a with block, and never a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", NO_POSITIVE)
        yield


@dataclass(frozen=True)
class EpochTimer(Callback):
    """Record how long each epoch takes, its validation included: `history_["duration"]`, in seconds.

    With this callback, two equal fits differ in the durations that are saved with them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import EpochTimer
    >>> model = DeepNNClassifier((8,), max_iter=3).set_callbacks(EpochTimer()).fit(*load_iris(return_X_y=True))
    >>> len(model.history_["duration"])
    3
    """

    only_watches = True
    measures = ("duration",)

    def on_epoch_begin(self, run: Run) -> None:
        """Note the time."""
        run.memory["began"] = time.perf_counter()

    def on_epoch_end(self, run: Run) -> None:
        """Record the time since the epoch began."""
        run.state.add_to_epoch({"duration": time.perf_counter() - run.memory["began"]})


@dataclass(frozen=True, eq=False)
class EpochScoring(Callback):
    """Score the network after each epoch by one or several scorers: a curve of `history_` for each.

    The scores are only recorded. What stops the training, and which epoch is kept, the parameter `scoring` decides. A
    score is that of the epoch's own weights, not of the best epoch so far. An undefined score, or one whose scorer
    fails, is nan, with one warning for each fit.

    Parameters
    ----------
    scoring : str, callable, list of str, or dict
        A scorer, as for `cross_validate`; or several: names, or a dict of names and callables by the names of their
        curves, which no other value of the history may have.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples to score on, such as `X_val`, as the network takes them: a Pipeline does not transform them.
    y : array-like of shape (n_samples,) or (n_samples, n_labels)

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_deepnn import DeepNNClassifier
    >>> from sklearn_deepnn.callbacks import EpochScoring
    >>> X, X_val, y, y_val = train_test_split(*load_wine(return_X_y=True), random_state=0)
    >>> scoring = EpochScoring({"accuracy": "accuracy", "f1": "f1_macro"}, X_val, y_val)
    >>> model = DeepNNClassifier(max_iter=30, early_stopping=False, random_state=0)
    >>> model = model.set_callbacks(scoring).fit(X, y)
    >>> list(model.history_)
    ['cost', 'learning_rate', 'accuracy', 'f1']
    >>> model.history_["accuracy"][-1] == model.score(X_val, y_val)
    True
    """

    scoring: Any
    X: Any
    y: Any
    only_watches = True

    def __post_init__(self) -> None:
        if not self._scorers:
            reject("scoring", SCORERS, self.scoring)
        for name, scorer in self._scorers.items():
            if not isinstance(name, str) or not (callable(scorer) or scorer in get_scorer_names()):
                meant = closest_choice(scorer, get_scorer_names())
                reject("scoring", SCORERS, self.scoring, f"Did you mean {meant!r}?" if meant else "")

    @property
    def _scorers(self) -> dict[Any, Any]:
        """The scorers by the names of their curves."""
        if isinstance(self.scoring, Mapping):
            return dict(self.scoring)
        if callable(self.scoring):
            return {getattr(self.scoring, "__name__", "score"): self.scoring}
        names = self.scoring if isinstance(self.scoring, (list, tuple)) else [self.scoring]
        if not all(isinstance(name, str) for name in names):
            reject("scoring", SCORERS, self.scoring)
        return dict(zip(names, names))

    @property
    def measures(self) -> tuple[str, ...]:  # type: ignore[override]  # a constant in `Hooks`; here `scoring` says it
        """The names of the curves."""
        return tuple(self._scorers)

    def on_epoch_end(self, run: Run) -> None:
        """Record the scores of the epoch."""
        if run.state.is_finite:
            model = run.snapshot(replace(run.state, best=None))
            with undefined_raises():
                # of a scorer that raises, this returns the traceback
                scores = check_scoring(model, scoring=self._scorers, raise_exc=False)(model, self.X, self.y)
            values = {name: math.nan if isinstance(score, str) else float(score) for name, score in scores.items()}
            run.state.add_to_epoch(values)
            reasons = {name: str(scores[name]).splitlines()[-1] for name, value in values.items() if math.isnan(value)}
            if reasons:  # which is a warning, once for each fit
                raise ValueError(f"undefined scores are recorded as nan: {reasons}")
