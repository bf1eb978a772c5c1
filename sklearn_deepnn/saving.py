"""What a saved estimator holds: plain values, and the number of the format that they are in.

pickle, joblib, skops and copy all save what `__getstate__` returns and load by `__setstate__`: here is what these do.
"""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from .typing import Array, History, State

FORMAT = 1  # to be raised whenever what is saved changes, with an entry for the one before in CONVERSIONS
# by format, what makes the next one of its state: a function that takes and returns a dict
CONVERSIONS: dict[int, Callable[[State], State]] = {}
STAMP = "_saved_by"


def fitted_curves(history: History) -> dict[str, list[float]]:
    """Return the fitted attributes that a history tells.

    Parameters
    ----------
    history : dict of str to list of float
        As in `TrainingState`.

    Returns
    -------
    dict of str to list of float
    """
    curves = {"loss_curve_": history["cost"], "learning_rate_curve_": history["learning_rate"]}
    if "validation_cost" in history:
        scores = history.get("validation_score", [-cost for cost in history["validation_cost"]])
        curves |= {"validation_loss_curve_": history["validation_cost"], "validation_scores_": scores}
    return curves


def packed(curve: list[float], n_epochs: int) -> float | Array:
    """Return a curve as an array, or as a number if it is the same in all epochs."""
    # as a list it takes a byte more for each number in a pickle, and 100 times the bytes with skops
    return curve[0] if curve.count(curve[0]) == n_epochs else np.array(curve, dtype=np.float64)


def unpacked(saved: float | Array, n_epochs: int) -> list[float]:
    """Return the curve that `packed` was given."""
    return [saved] * n_epochs if isinstance(saved, float) else saved.tolist()


def unmapped(value: Any) -> Any:
    """Return nested dicts and lists with plain arrays, which share the memory, in place of memory maps."""
    if type(value) is dict:
        return {name: unmapped(inner) for name, inner in value.items()}
    if type(value) is list and any(isinstance(inner, (dict, np.ndarray)) for inner in value):
        return [unmapped(inner) for inner in value]
    return np.asarray(value) if isinstance(value, np.memmap) else value


def saved_state(state: State) -> State:
    """Return what is saved of an estimator: its attributes, with each curve once and packed, and a stamp.

    Parameters
    ----------
    state : dict
        The attributes. It stays as it is.

    Returns
    -------
    dict
    """
    state = unmapped(state)
    if "training_state_" in state:
        training_state = state["training_state_"]
        known = fitted_curves(training_state["history"])
        state = {name: value for name, value in state.items() if name not in known}
        history = {name: packed(curve, training_state["epoch"]) for name, curve in training_state["history"].items()}
        state["training_state_"] = {**training_state, "history": history}
    return {**state, STAMP: {"version": own_version(), "format": FORMAT}}


def loaded_state(saved: State) -> State:
    """Return the attributes of an estimator that was saved in this format or in one that can be converted.

    Parameters
    ----------
    saved : dict
        It stays as it is.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the format is newer than those known here, or older than those that can be converted.
    """
    stamp = saved.get(STAMP, {"version": "before 0.1.0", "format": 0})
    # arrays of the estimator's own, such as its classes, are small, and stay when training has replaced the weights
    state: State = {name: np.array(value) if isinstance(value, np.memmap) else value for name, value in saved.items()}
    state.pop(STAMP, None)
    for number in range(stamp["format"], FORMAT):
        if number not in CONVERSIONS:
            refuse(stamp, "Load it with the version that saved it, or fit it anew.")
        state = CONVERSIONS[number](state)
    if stamp["format"] > FORMAT:
        refuse(stamp, "Upgrade sklearn_deepnn to load it.")
    if "training_state_" in state:
        training_state = state["training_state_"]
        history = {name: unpacked(curve, training_state["epoch"]) for name, curve in training_state["history"].items()}
        state |= {"training_state_": {**training_state, "history": history}, **fitted_curves(history)}
    return state


def refuse(stamp: dict[str, Any], advice: str) -> NoReturn:
    """Raise for a state of a format that cannot be read.

    Parameters
    ----------
    stamp : dict
    advice : str

    Raises
    ------
    ValueError
    """
    origin = f"saved by sklearn_deepnn {stamp['version']} in format {stamp['format']}"
    raise ValueError(f"What is loaded was {origin}; this version, {own_version()}, reads format {FORMAT}. {advice}")


def own_version() -> str:
    """Return the version of this package."""
    return sys.modules[__name__.split(".")[0]].__version__


class SavingMixin:
    """Save an estimator by `saved_state`, load it by `loaded_state`."""

    def __getstate__(self) -> State:
        return saved_state(super().__getstate__())  # type: ignore[arg-type]  # a dict, of BaseEstimator

    def __setstate__(self, state: State) -> None:
        super().__setstate__(loaded_state(state))  # type: ignore[misc]  # of BaseEstimator
