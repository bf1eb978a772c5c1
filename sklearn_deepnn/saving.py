"""Saving and loading estimators: plain values, with the number of their format.

pickle, joblib, skops and copy save the result of `__getstate__` and load it by `__setstate__`. `SavingMixin` has both.
"""

import math
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from .typing import History, State

FORMAT = 3  # whenever the saved values change, raise it, and add a conversion from the format before to CONVERSIONS
STAMP = "_saved_by"
ATTRIBUTES_OF_A_RUNNING_FIT = {"_skl_callbacks_to_teardown", "_callback_fit_ctx"}  # of scikit-learn; never saved
MOVED_MODULES = {  # name of a module in format 1: its name now
    "activations": "network.activations",
    "classifier": "estimators.classifier",
    "diagnosis": "inspection.diagnosis",
    "frames": "estimators.inputs",
    "initializers": "network.initializers",
    "layers": "network.layers",
    "layers.batchnorm": "network.layers.batchnorm",
    "layers.dense": "network.layers.dense",
    "layers.dropout": "network.layers.dropout",
    "losses": "network.losses",
    "optimizers": "training.optimizers",
    "parameters": "network.parameters",
    "regularizers": "training.regularizers",
    "scaling": "network.scaling",
    "schedules": "training.schedules",
    "summary": "inspection.summary",
}


def fitted_curves(history: History) -> dict[str, list[float]]:
    """Return the fitted attributes that repeat the curves of a history, as in `TrainingState`."""
    curves = {"loss_curve_": history["cost"], "learning_rate_curve_": history["learning_rate"]}
    if "validation_cost" in history:
        scores = history.get("validation_score", [-cost for cost in history["validation_cost"]])
        curves |= {"validation_loss_curve_": history["validation_cost"], "validation_scores_": scores}
    return curves


def packed(history: History) -> dict[str, Any]:
    """Return a history with each curve as an array, or as one number if all epochs have the same value."""
    # a list takes a byte more per number in a pickle, and 100 times as many bytes with skops
    n_epochs = len(history.get("cost", ()))
    curves = {
        name: curve[0] if curve.count(curve[0]) == n_epochs else np.array(curve, dtype=np.float64)
        for name, curve in history.items()
    }
    return {"n_epochs": n_epochs, "curves": curves}


def unpacked(saved: dict[str, Any]) -> History:
    """Return the history that `packed` has packed."""
    curves = saved["curves"].items()
    return {name: [c] * saved["n_epochs"] if isinstance(c, float) else c.tolist() for name, c in curves}


def unmapped(value: Any) -> Any:
    """Return nested dicts and lists with memory maps replaced by arrays that share their memory."""
    if type(value) is dict:
        return {name: unmapped(inner) for name, inner in value.items()}
    if type(value) is list and any(isinstance(inner, (dict, np.ndarray)) for inner in value):
        return [unmapped(inner) for inner in value]
    return np.asarray(value) if isinstance(value, np.memmap) else value


def saved_state(state: State) -> State:
    """Return the attributes to save, each curve only once, with a stamp of the format. `state` is not changed."""
    state = unmapped(state)
    if "training_state_" in state:
        training_state = state["training_state_"]
        known = fitted_curves(training_state["history"])
        state = {name: value for name, value in state.items() if name not in known}
        state["training_state_"] = {**training_state, "history": packed(training_state["history"])}
    return {**state, STAMP: {"version": own_version(), "format": FORMAT}}


def loaded_state(saved: State) -> State:
    """Return the attributes of a saved estimator, converted from earlier formats. `saved` is not changed."""
    stamp = saved.get(STAMP, {"version": "before 0.1.0", "format": 0})
    if stamp["format"] not in (*CONVERSIONS, FORMAT):
        too_old = "Load it with the version that saved it, or fit it again."
        advice = "Upgrade sklearn_deepnn to load it." if stamp["format"] > FORMAT else too_old
        origin = f"saved by sklearn_deepnn {stamp['version']} in format {stamp['format']}"
        raise ValueError(f"The estimator was {origin}; this version, {own_version()}, reads format {FORMAT}. {advice}")
    # copy small memory maps, such as the classes: a later fit keeps them, and must not need the file
    state: State = {name: np.array(value) if isinstance(value, np.memmap) else value for name, value in saved.items()}
    state.pop(STAMP, None)
    for number in range(stamp["format"], FORMAT):
        state = CONVERSIONS[number](state)
    if "training_state_" in state:
        training_state = state["training_state_"]
        history = unpacked(training_state["history"])
        state |= {"training_state_": {**training_state, "history": history}, **fitted_curves(history)}
    return state


def own_version() -> str:
    """Return the version of this package."""
    return sys.modules[__name__.split(".")[0]].__version__


def from_format_1(state: State) -> State:
    """Convert a state from format 1 to format 2, which groups the fields of the training state."""
    old = state.get("training_state_")
    if old is None:
        return state
    best = None
    if old["best_epoch"] is not None:
        best = {"epoch": old["best_epoch"], "values": old["best_values"], "vector": old["vectors"].get("best")}
    training_state = {
        **{name: old[name] for name in ("rng", "optimizer_state", "step", "rate_factor", "name")},
        "parameters": old["vectors"].get("last"),
        "average": old["vectors"].get("average"),
        "best": best,
        "history": {"n_epochs": old["epoch"], "curves": old["history"]},
        "memories": {**old["memories"], **old["lasting_memories"]},
        "call": {
            "optimizer": old["optimizer_name"],
            "first_epoch": old.get("first_epoch", 0),
            "start_cost": old.get("start_cost", math.nan),
            "stopped_by": old["stopped_by"],
        },
        "preparation": {
            **{name: old[name] for name in ("split_seed", "weight_scale", "scaling", "moments")},
            "data_hash": old.get("data_hash", ""),
        },
    }
    return {**state, "training_state_": training_state}


def from_format_2(state: State) -> State:
    """Convert a state from format 2 to format 3, which names the scaling, and has parameters about encoding."""
    state = {**state, "numeric_encoding": None, "categorical_features": "from_dtype"}
    training_state = state.get("training_state_")
    if training_state is None:
        return state
    preparation, name = training_state["preparation"], None
    if preparation["scaling"] is not None:
        moments = preparation["moments"]
        name = "robust" if moments is None else "standard" if moments.get("filled") is None else "common"
    return {**state, "training_state_": {**training_state, "preparation": {**preparation, "scale_inputs": name}}}


# for each earlier format, the function that converts a state to the next format
CONVERSIONS: dict[int, Callable[[State], State]] = {1: from_format_1, 2: from_format_2}


def alias_moved_modules() -> None:
    """Make the old names of moved modules, such as `sklearn_deepnn.schedules`, name the same module objects.

    Files of format 1 name functions by these modules, for example a learning rate schedule in a `functools.partial`.
    """
    package = __name__.split(".")[0]
    for old, new in MOVED_MODULES.items():
        module = import_module(f"{package}.{new}")
        sys.modules[f"{package}.{old}"] = module
        if "." not in old:
            setattr(sys.modules[package], old, module)


class SavingMixin:
    """Save an estimator by `saved_state`, and load it by `loaded_state`."""

    def __getstate__(self) -> State:
        # copied at once: other threads may set attributes meanwhile
        state: State = super().__getstate__().copy()  # type: ignore[attr-defined]  # BaseEstimator returns a dict
        return saved_state({name: value for name, value in state.items() if name not in ATTRIBUTES_OF_A_RUNNING_FIT})

    def __setstate__(self, state: State) -> None:
        super().__setstate__(loaded_state(state))  # type: ignore[misc]  # BaseEstimator, which follows, has it
