"""Checks of the estimator's parameters: every message about a parameter comes before any work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import cluster, get_scorer_names
from sklearn.utils import check_random_state

from ..callbacks.scikit_learn import CALLBACK_ATTRIBUTES
from ..checks import (
    argument_names,
    check_choice,
    check_flag,
    check_integer,
    check_patience,
    check_real,
    closest_choice,
    reject,
)
from ..network.initializers import INITIALIZER_SYNONYMS, INITIALIZERS
from ..network.losses.numbers import NUMBER_LOSS_SYNONYMS, NUMBER_LOSSES
from ..training.optimizers import OPTIMIZER_SYNONYMS, OPTIMIZERS, Optimizer
from ..training.schedules import SCHEDULE_SYNONYMS, SCHEDULES
from .scaling import SCALINGS

Settings: TypeAlias = dict[str, Any]  # the parameters of an estimator, checked
Check: TypeAlias = Callable[[str, Any], Any]  # name and value to the value, or an error

REDUCE_ON_PLATEAU = "reduce_on_plateau"  # the one schedule that must see the costs, and so is a callback

SCHEDULE_NAMES = [*SCHEDULES, REDUCE_ON_PLATEAU]
SCHEDULE_NAMES_ELSEWHERE = {**SCHEDULE_SYNONYMS, "adaptive": REDUCE_ON_PLATEAU, "plateau": REDUCE_ON_PLATEAU}

OF_NUMBERS = re.compile("error|deviance|r2|explained_variance")  # in names of scorers for regressors
CLASS_SCORER_SYNONYMS = {"auc": "roc_auc", "acc": "accuracy", "log_loss": "neg_log_loss", "cross_entropy": "loss"}
NUMBER_SCORER_SYNONYMS = {
    "mse": "neg_mean_squared_error",
    "rmse": "neg_root_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "r2_score": "r2",
}

# fitted attributes that not every fit sets; a fit that does not set them removes those of an earlier fit
OPTIONAL_ATTRIBUTES = {
    "feature_names_in_",
    "categories_",
    "encoding_",
    "class_weight_",
    "feature_importances_",
    "validation_loss_curve_",
    "validation_scores_",
}


@cache
def parameter_names(estimator_class: Any) -> list[str]:
    """Return the names of an estimator's parameters, and of those that its base classes alone name."""
    # `get_params` inspects the signature each time: 100 us
    names = [name for cls in estimator_class.__mro__ if issubclass(cls, BaseEstimator) for name in argument_names(cls)]
    return list(dict.fromkeys(names))


def parameters_of(estimator: Any) -> Settings:
    """Return the parameters of an estimator, as they were given."""
    return {name: getattr(estimator, name) for name in parameter_names(estimator.__class__)}


def with_attributes(estimator: Any, attributes: Mapping[str, Any]) -> Any:
    """Return a copy of an estimator, with other fitted attributes and without callbacks."""
    other = object.__new__(type(estimator))
    gone = OPTIONAL_ATTRIBUTES | CALLBACK_ATTRIBUTES | {"n_features_in_"}
    # copied at once: other threads may set attributes meanwhile
    kept = {name: value for name, value in vars(estimator).copy().items() if name not in gone}
    other.__dict__ = {**kept, **attributes}
    return other


def check_parameters(estimator: Any) -> Settings:
    """Return the parameters, checked as far as that needs no data. The optimizer is an instance, dims are a tuple."""
    settings = parameters_of(estimator)
    for name, check in {**CHECKS, **estimator._checks}.items():
        settings[name] = check(name, settings[name])
    if settings["batch_norm"] and not is_auto(settings["batch_size"]) and settings["batch_size"] == 1:
        reject("batch_size", "at least 2 with batch_norm=True, which compares the samples of a batch", 1)
    return settings


def is_auto(value: Any) -> bool:
    """Say whether a parameter is to be chosen from the data."""
    return isinstance(value, str) and value == "auto"


def unless(accept: Callable[[Any], bool], check: Callable[..., Any], **rules: Any) -> Check:
    """Return a check with some rules; what `accept` accepts is not checked."""
    return lambda name, value: value if accept(value) else check(name, value, **rules)


def auto_or(check: Callable[..., Any], **rules: Any) -> Check:
    """Return a check that also accepts "auto"."""
    return unless(is_auto, check, otherwise=" or 'auto'", **rules)


def own_optimizer(name: str, optimizer: Any) -> Optimizer:
    """Return a new optimizer, from a name, a class or an instance. Its settings are not checked."""
    if isinstance(optimizer, Optimizer):
        return clone(optimizer)
    if not (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        check_choice(name, optimizer, OPTIMIZERS, otherwise=" or an Optimizer", synonyms=OPTIMIZER_SYNONYMS)
    return OPTIMIZERS.get(optimizer, optimizer)()


def check_optimizer(name: str, optimizer: Any) -> Optimizer:
    """Return a new optimizer with checked settings, from a name, a class or an instance."""
    own = own_optimizer(name, optimizer)
    own.check()
    return own


def check_learning_rate(name: str, value: Any) -> Any:
    """Return "auto" or a positive number. The error about a schedule's name says where it belongs."""
    schedule = None if is_auto(value) else closest_choice(value, SCHEDULE_NAMES, SCHEDULE_NAMES_ELSEWHERE)
    if schedule is not None:
        reject(name, "a number in (0, inf) or 'auto'", value, f"Did you mean learning_rate_schedule={schedule!r}?")
    return auto_or(check_real, low=0, closed="neither")(name, value)


def check_schedule(name: str, schedule: Any) -> Any:
    """Return a schedule's name, or a callable that takes the step."""
    rule = "a callable that takes the step"
    if not callable(schedule):
        return check_choice(name, schedule, SCHEDULE_NAMES, otherwise=f" or {rule}", synonyms=SCHEDULE_NAMES_ELSEWHERE)
    try:
        inspect.signature(schedule).bind(0)
    except TypeError:
        reject(name, f"{rule}, and nothing else", schedule, "functools.partial sets the other arguments of a function.")
    except ValueError:  # some compiled functions do not tell their arguments
        pass
    return schedule


def suits_classes(scorer: str) -> bool:
    """Say whether a scorer of this name is for classifiers."""
    return not (OF_NUMBERS.search(scorer) or hasattr(cluster, scorer))


def suits_numbers(scorer: str) -> bool:
    """Say whether a scorer of this name is for regressors."""
    return bool(OF_NUMBERS.search(scorer))


def check_scorer(name: str, scoring: Any, suits: Callable[[str], bool], synonyms: Mapping[str, str]) -> Any:
    """Return "loss", the name of a scorer or a callable. The error lists the scorers that suit the estimator."""
    known = get_scorer_names()
    if callable(scoring) or (isinstance(scoring, str) and scoring in known):
        return scoring
    suitable = list(filter(suits, known))
    return check_choice(name, scoring, ["loss", *suitable], otherwise=" or a callable", synonyms=synonyms)


def check_hidden_layer_dims(name: str, dims: Any) -> Any:
    """Return hidden layer dims as a tuple of int, or "auto"; "128-64" is (128, 64)."""
    if is_auto(dims):
        return dims
    given = dims
    if isinstance(dims, str) and re.fullmatch("[0-9]+(-[0-9]+)*", dims):
        dims = [int(n) for n in dims.split("-")]
    if not isinstance(dims, (list, tuple, range, np.ndarray)) or (isinstance(dims, np.ndarray) and dims.ndim == 0):
        dims = [dims]
    if not all(isinstance(n, Integral) and not isinstance(n, bool) and int(n) >= 1 for n in dims):
        reject(name, "'auto', an integer of at least 1, a sequence of such or a string of such like '128-64'", given)
    return tuple(int(n) for n in dims)


def check_categorical_features(name: str, features: Any) -> Any:
    """Return "from_dtype", None, or a sequence of names, of indices or of bools."""
    if features is None:
        return features
    otherwise = ", None, or a sequence of names, of indices or of bools"
    if isinstance(features, str):
        return check_choice(name, features, ["from_dtype"], otherwise=otherwise)
    is_sequence = np.ndim(features) == 1
    kinds = {np.asarray(feature).dtype.kind.replace("u", "i") for feature in features} if is_sequence else set()
    if not is_sequence or len(kinds) > 1 or not kinds <= {"U", "i", "b"}:
        reject(name, f"'from_dtype'{otherwise}", features)
    return features


def check_dtype(name: str, value: Any) -> Any:
    """Return "auto", or float32 or float64 as a NumPy dtype."""
    if is_auto(value):
        return value
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = None
    if value is None or dtype not in (np.float32, np.float64):
        check_choice(name, value, ["auto", "float32", "float64"], synonyms={"float16": "float32"})
    return dtype


def check_batch_size(name: str, value: Any) -> Any:
    """Return "auto", None or an integer of at least 1."""
    if isinstance(value, str):
        return check_choice(name, value, ["auto"], otherwise=", None or an integer of at least 1")
    return value if value is None else check_integer(name, value, 1)


def check_seed(name: str, value: Any) -> Any:
    """Return a value that seeds the random numbers: None, an integer or a RandomState."""
    try:
        check_random_state(value)
    except (TypeError, ValueError):
        reject(name, "None, an integer from 0 to 2**32 - 1 or a RandomState", value)
    return value


# of the parameters that all estimators have
# activation and dropout_rate are checked where the number of hidden layers is known: by `Network`
CHECKS: dict[str, Check] = {
    "hidden_layer_dims": check_hidden_layer_dims,
    "ensemble_size": auto_or(check_integer, low=1),
    "scale_inputs": unless(lambda v: v is None, check_choice, choices=["auto", *SCALINGS], otherwise=" or None"),
    "numeric_encoding": unless(
        lambda v: v is None, check_choice, choices=["auto", "piecewise_linear"], otherwise=" or None"
    ),
    "categorical_features": check_categorical_features,
    "weight_init": unless(
        lambda v: isinstance(v, dict),
        check_choice,
        choices=["auto", *INITIALIZERS],
        otherwise=" or a dict of arrays",
        synonyms=INITIALIZER_SYNONYMS,
    ),
    "optimizer": check_optimizer,
    "learning_rate": check_learning_rate,
    "learning_rate_schedule": check_schedule,
    "batch_size": check_batch_size,
    "max_iter": partial(check_integer, low=1),
    "weight_decay": auto_or(check_real, low=0, closed="left"),
    "weight_averaging": auto_or(check_real, low=0, closed="left"),
    "batch_norm": check_flag,
    "max_grad_norm": unless(lambda v: v is None, check_real, low=0, closed="neither"),
    "early_stopping": unless(
        lambda v: isinstance(v, (bool, np.bool_)), check_choice, choices=["auto"], otherwise=", True or False"
    ),
    "validation_fraction": auto_or(check_real, low=0, high=1, closed="neither"),
    "n_iter_no_change": auto_or(check_patience),
    "tol": partial(check_real, low=0),
    "shuffle": check_flag,
    "warm_start": check_flag,
    "dtype": check_dtype,
    "verbose": unless(lambda v: isinstance(v, bool), check_integer, low=0),
    "random_state": check_seed,
}

CLASSIFIER_CHECKS: dict[str, Check] = {
    "label_smoothing": auto_or(check_real, low=0, high=1, closed="left"),
    "class_weight": unless(
        lambda v: v is None or isinstance(v, dict), check_choice, choices=["balanced"], otherwise=", a dict or None"
    ),
    "scoring": partial(check_scorer, suits=suits_classes, synonyms=CLASS_SCORER_SYNONYMS),
}

REGRESSOR_CHECKS: dict[str, Check] = {
    "loss": partial(check_choice, choices=NUMBER_LOSSES, synonyms=NUMBER_LOSS_SYNONYMS),
    "quantile": partial(check_real, low=0, high=1, closed="neither"),
    "scoring": partial(check_scorer, suits=suits_numbers, synonyms=NUMBER_SCORER_SYNONYMS),
}
