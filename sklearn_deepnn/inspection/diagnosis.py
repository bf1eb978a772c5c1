"""What a training that went wrong looks like, and what to try: the sentences of a classifier's `report_`.

Conventions: columns are examples; the members of an ensemble are stacked on a first axis. A finding is a sentence with
the numbers that matter and a sentence of advice. They go by a small sample of the examples, and where that raises a
suspicion, by a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning

from ..checks import check_choice, warn_user
from ..network.activations import ACTIVATIONS
from ..network.model import Network, logits_forward, take_columns
from ..network.scaling import Scaling, fold_scaling
from ..training.loop import N_PROBE, Examples, Recipe, TrainingState, cost_of_shares, draw_batch, mean_cost
from ..typing import Array, Arrays, BoolArray, Inputs, Maybe

N_SURE = 5000  # examples that settle what N_PROBE have raised suspicion of; of an ensemble, for all members together
N_LEAST = 50  # for each member
SURE_ELEMENTS = 2**24  # of the widest layer: 64 MB in float32
FLAT_WITHIN = 1e-6  # of the end that a smooth activation only approaches
SATURATED_WITHIN, SATURATED_SHARE = 0.01, 0.95  # of the range, of the examples
FEW = 20  # examples on which units may be silent by chance
BULK = 0.75  # of a layer's units; where X takes few values, 0.69 were dead in a network that learned well
CLEAR, LEARNED, WORSE = 0.95, 0.99, 1.05  # times the cost of guessing: certainly less, hardly less, more
STUCK = 0.01  # of the way to where guessing is, or of a hundredth of its cost
FEW_EPOCHS, MANY_EPOCHS = 5, 50  # after which a network has been trained: if it stopped by itself, if it did not
SQUEEZED = 1e-3  # standard deviations that nine tenths of a feature's values lie within
WILD_RATIO = 1000.0  # of the largest to the smallest range of a feature
WILD_VALUE = 1000.0  # or its inverse
OVERFIT, MEMORISED = 1.5, 0.5  # times the lowest validation cost; times the training cost that went with it
EXCESS, BY_HEART = 100, 0.5  # parameters for each sample; times the cost of guessing
STILL_FALLS = 0.01  # of the cost of guessing, over a tenth of the epochs

BOUNDS = {name: activation.flat_at for name, activation in ACTIVATIONS.items() if len(activation.flat_at) == 2}


def dead_units(A: Array, activation: str) -> BoolArray:
    """Say which units sit at the flat lower end of their activation on every example: relu's are 0 on all.

    Such a unit tells its examples apart no more, and no gradient reaches its weights.

    Parameters
    ----------
    A : ndarray of shape (..., n_l, m)
    activation : str
        Name in `ACTIVATIONS`. Those that have no lower end, or two bounds, have no dead units.

    Returns
    -------
    ndarray of bool, of shape (..., n_l)

    Examples
    --------
    >>> dead_units(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.2]]), "relu")
    array([ True, False])
    """
    check_choice("activation", activation, ACTIVATIONS)
    ends = ACTIVATIONS[activation].flat_at
    if len(ends) != 1:
        return np.zeros(A.shape[:-1], bool)
    within = 0 if activation == "relu" else FLAT_WITHIN  # which reaches its end, with the full slope next to it
    return np.all(np.abs(A - ends[0]) <= within, axis=-1)


def saturated_units(A: Array, activation: str) -> BoolArray:
    """Say which units are within 1 % of their activation's range from its bounds, on 95 % of the examples or more.

    Parameters
    ----------
    A : ndarray of shape (..., n_l, m)
    activation : str
        Name in `ACTIVATIONS`. Those that are not bounded on both sides have no saturated units.

    Returns
    -------
    ndarray of bool, of shape (..., n_l)

    Examples
    --------
    >>> saturated_units(np.array([[-1.0, 0.999, 1.0], [-0.5, 0.999, 1.0]]), "tanh")
    array([ True, False])
    """
    check_choice("activation", activation, ACTIVATIONS)
    ends = ACTIVATIONS[activation].flat_at
    if len(ends) != 2:
        return np.zeros(A.shape[:-1], bool)
    low, high = ends
    margin = SATURATED_WITHIN * (high - low)
    return (np.abs(A - (low + high) / 2) >= (high - low) / 2 - margin).mean(axis=-1) >= SATURATED_SHARE


def find_bad_inputs(
    examples: Examples, scaling: Scaling | None, feature_names: Sequence[str] | None = None
) -> list[str]:
    """Return a finding if the inputs, as the network gets them, are of sizes that it learns badly from.

    Parameters
    ----------
    examples : Examples
        With X as it came.
    scaling : Scaling or None
        What will be applied to it.
    feature_names : sequence of str, optional

    Returns
    -------
    list of str
    """
    sample = examples.spread_sample(N_PROBE)
    A0 = take_columns(sample.X, sample.columns, None)
    if scaling is None:
        return find_wild_sizes(A0, feature_names)
    return [] if issparse(A0) else find_squeezed(A0, examples, scaling, feature_names)


def find_wild_sizes(A0: Inputs, feature_names: Sequence[str] | None) -> list[str]:
    """Return a finding if unscaled inputs are large, or of very different sizes; see `find_bad_inputs`."""
    ends = A0.min(axis=1), A0.max(axis=1)
    low, high = (np.asarray(end.toarray() if issparse(end) else end, np.float64).ravel() for end in ends)
    size = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(over="ignore"):
        extent = high - low
    extent[extent <= 4e-15 * size] = 0  # rounding
    varying = np.flatnonzero(extent)
    if not varying.size:
        return []
    narrow, wide = varying[extent[varying].argmin()], varying[extent[varying].argmax()]
    far = size.argmax()
    if extent[wide] > WILD_RATIO * extent[narrow]:
        parts = (f"{extent[i]:.3g} in {name_of(i, feature_names)}" for i in (narrow, wide))
        problem = f"With scale_inputs=None the ranges of the features differ wildly: {' but '.join(parts)}."
    elif not 1 / WILD_VALUE < size[far] < WILD_VALUE:
        where = name_of(far, feature_names)
        problem = f"With scale_inputs=None the network gets values far from 1: up to {size[far]:.3g}, in {where}."
    else:
        return []
    return [f"{problem} Try scale_inputs='standard' or 'robust', or a StandardScaler before it."]


def find_squeezed(A0: Inputs, examples: Examples, scaling: Scaling, feature_names: Sequence[str] | None) -> list[str]:
    """Return a finding if few values have stretched a feature's scale so far that it leaves nothing of the others."""
    A0 = np.sort(A0.astype(np.float64), axis=1)
    m = A0.shape[1]
    cut = math.ceil(0.05 * m)
    if m <= 2 * cut:
        return []
    with np.errstate(over="ignore"):
        extent = (A0[:, m - 1 - cut] - A0[:, cut]) / scaling.scale[:, 0]
    squeezed = np.flatnonzero((extent > 0) & (extent < SQUEEZED))
    if not squeezed.size:
        return []
    first = squeezed[0]
    values = examples.X[first][examples.members].ravel()
    at = np.abs(values - A0[first, m // 2]).argmax()
    n_more = f" (and {squeezed.size - 1} more)" if squeezed.size > 1 else ""
    sample = at if examples.columns is None else examples.columns[at]
    return [
        f"Scaling has squeezed {name_of(first, feature_names)}{n_more} to nothing: beside the value {values[at]:.3g} "
        f"of sample {sample}, nine tenths of the others lie within {extent[first]:.1g} standard deviations. "
        "Try scale_inputs='robust', or mend such values."
    ]


def name_of(feature: Any, feature_names: Sequence[str] | None) -> str:
    """Return what to call a feature."""
    return f"feature {feature}" if feature_names is None else f"feature {feature_names[feature]!r}"


class Glance(NamedTuple):
    """What a sample of the examples shows of a network.

    Attributes
    ----------
    m : int
        Examples in the sample.
    dead, saturated : list of float
        Shares of each hidden layer's units.
    is_constant, is_blank : bool
        Whether the logits, and whether the inputs, are the same for all.
    """

    m: int
    dead: list[float]
    saturated: list[float]
    is_constant: bool
    is_blank: bool

    @property
    def is_suspicious(self) -> bool:
        """Whether there is anything to report."""
        return self.is_constant or max(self.dead + self.saturated, default=0) > BULK


def glance(examples: Examples, parameters: Arrays, network: Network) -> Glance:
    """Go forward with a small sample of the examples, and with a larger one if that looks suspicious.

    Parameters
    ----------
    examples : Examples
    parameters : dict of str to ndarray
    network : Network

    Returns
    -------
    Glance
    """
    for sample in samples(examples, network):
        A0, _, _, scaling = draw_batch(sample, sample.members, network, parameters["W1"].dtype)
        ZL, caches = logits_forward(A0, fold_scaling(parameters, scaling), network)
        layers = [(cache.linear[0], name) for cache, name in zip(caches[1:], network.activation)]
        dead = [float(dead_units(A, name).mean()) for A, name in layers]
        saturated = [float(saturated_units(A, name).mean()) for A, name in layers]
        if not parameters["W1"].any():  # where units have no weights, that is what to say, and not that they are dead
            dead = [0.0] * len(dead)
        is_constant = np.ptp(ZL, axis=-1).max() <= FLAT_WITHIN * max(1, np.abs(ZL).max())
        is_blank = isinstance(A0, np.ndarray) and not np.ptp(A0, axis=-1).any()
        seen = Glance(sample.n, dead, saturated, bool(is_constant), bool(is_blank))
        if not seen.is_suspicious:
            break
    return seen


def samples(examples: Examples, network: Network) -> tuple[Examples, ...]:
    """Return a small sample of the examples, and a larger one for suspicions that it raises.

    Parameters
    ----------
    examples : Examples
    network : Network

    Returns
    -------
    tuple of Examples
        One, if that is all of the examples.
    """
    n_members = 1 if np.ndim(examples.columns) < 2 else len(examples.columns)
    n_few = max(N_PROBE // n_members, N_LEAST)
    n_sure = min(N_SURE // n_members, SURE_ELEMENTS // (network.ensemble_size * max(network.layer_dims)))
    few = examples.spread_sample(n_few)
    return (few,) if few.n == examples.n else (few, examples.spread_sample(max(n_sure, N_PROBE)))


class Standing(NamedTuple):
    """What a network costs on some examples, and what it costs to guess the shares of their classes."""

    cost: float
    guessing: float

    @classmethod
    def of(cls, examples: Examples, parameters: Arrays, network: Network) -> Self:
        """Return that of a small sample of the examples, or of a larger one if there is little between the two."""
        for sample in samples(examples, network):
            standing = cls(mean_cost(sample, parameters, network), cost_of_shares(sample, network))
            if standing.cost < CLEAR * standing.guessing:
                break
        return standing


class Ending(NamedTuple):
    """How a training has ended: what the findings go by.

    Attributes
    ----------
    seen : Glance
    standing : Standing
        On the validation data where epochs were judged by the cost of these, otherwise on the training set.
    is_held_out : bool
        Whether it is on the validation data.
    costs, validation_costs : ndarray of shape (n_epochs,)
        Of this call's epochs; the latter may be empty.
    first_epoch, n_epochs : int
        Epochs of earlier calls, and those that this one was allowed.
    best_epoch : int or None
        The one that is kept, if not the last.
    n : int
        Examples to train on.
    """

    seen: Glance
    standing: Standing
    is_held_out: bool
    costs: Array
    validation_costs: Array
    first_epoch: int
    n_epochs: int
    best_epoch: int | None
    n: int


def diagnose(
    state: TrainingState,
    examples: Examples,
    validation: Maybe[Examples],
    network: Network,
    recipe: Recipe,
    *,
    n_epochs: int,
    of_inputs: Sequence[str] = (),
) -> list[str]:
    """Look for what went wrong in a training that has ended.

    Parameters
    ----------
    state : TrainingState
    examples : Examples
    validation : Examples or None
    network : Network
    recipe : Recipe
    n_epochs : int
        That this training was allowed.
    of_inputs : sequence of str
        What `find_bad_inputs` has found.

    Returns
    -------
    list of str
        A finding each.

    Warns
    -----
    ConvergenceWarning
        If the fit is useless, and it is not the data that may be to blame; unless `train` has warned already.
    """
    parameters, of_inputs = state.kept_parameters(), list(of_inputs)
    costs, validation_costs = (
        np.array(state.history.get(name, [])[state.first_epoch :]) for name in ("cost", "validation_cost")
    )
    is_held_out = validation is not None and "validation_score" not in state.newest
    with np.errstate(over="ignore", invalid="ignore"):
        seen = glance(examples, parameters, network)
        standing = Standing.of(validation if is_held_out else examples, parameters, network)
    ending = Ending(
        seen, standing, is_held_out, costs, validation_costs, state.first_epoch, n_epochs, state.best_epoch, examples.n
    )
    of_units = find_bad_units(seen, network, remedies_for_large_steps(state, recipe))
    of_overfitting = find_overfitting(ending, network) or find_excess(ending, network)
    if state.warned:
        return state.warned + of_inputs + of_units
    problem = find_useless(ending, state, recipe, network, of_inputs)
    if problem:
        warn_user(problem, ConvergenceWarning)
        return [problem] if of_inputs else [problem, *of_units]
    of_budget = [] if of_overfitting else find_short_budget(ending)
    # and has lost it again, if the last epoch is what is kept
    has_learned = bool(of_overfitting) and min(ending.validation_costs, default=0) < LEARNED * standing.guessing
    if standing.cost > LEARNED * standing.guessing and not of_budget and not has_learned:
        on_training = Standing.of(examples, parameters, network) if is_held_out else standing
        is_given = is_held_out and validation.X is not examples.X
        return [nothing_learned(ending, on_training, recipe, network, is_given), *of_inputs, *of_units]
    return of_inputs + of_units + of_overfitting + of_budget


def diagnose_part(
    state: TrainingState, examples: Examples, network: Network, recipe: Recipe, *, of_inputs: Sequence[str] = ()
) -> list[str]:
    """Look for what went wrong in one part of a stream, which has not ended.

    Parameters
    ----------
    state, examples, network, recipe, of_inputs
        As in `diagnose`.

    Returns
    -------
    list of str
    """
    with np.errstate(over="ignore", invalid="ignore"):
        seen = glance(examples, state.kept_parameters(), network)
    return [*state.warned, *of_inputs, *find_bad_units(seen, network, remedies_for_large_steps(state, recipe))]


def find_useless(
    ending: Ending, state: TrainingState, recipe: Recipe, network: Network, of_inputs: Sequence[str]
) -> str:
    """Return what is wrong if the fit is useless and not for the data's sake, otherwise an empty string.

    Parameters
    ----------
    ending : Ending
    state : TrainingState
    recipe : Recipe
    network : Network
    of_inputs : list of str

    Returns
    -------
    str
    """
    costs, (cost, guessing) = ending.costs, ending.standing
    if not guessing:
        return ""  # there is one class
    if not state.kept_parameters().weights.any():
        return "All weights are 0, and so are all gradients but those of biases. Try another weight_init."
    fall = abs(costs[0] - costs[-1])
    excess = max(costs[-1] - guessing, STUCK * guessing)
    is_same_for_all = ending.seen.is_constant or ending.seen.is_blank  # which a learning rate does not mend
    if not ending.first_epoch and len(costs) > FEW_EPOCHS and fall < STUCK * excess and not is_same_for_all:
        course = f"the cost was {costs[0]:.3g} in the first epoch and {costs[-1]:.3g} in the last, number {len(costs)}"
        remedies = remedies_by_rate(recipe, "higher") or ["another weight_init"]
        return f"Training has changed nothing: {course}; guessing costs {guessing:.3g}. Try {any_of(remedies)}."
    if cost <= LEARNED * guessing or ending.seen.is_blank:
        return ""
    if of_inputs:
        return f"{verdict(ending)} {' '.join(of_inputs)}"
    if ending.seen.is_constant:
        remedies = ["another weight_init", *remedies_for_large_steps(state, recipe), *too_strong(recipe, network)]
        return f"{verdict(ending)} It predicts the same for every sample. Try {any_of(remedies)}."
    # where samples are held out, noise alone may end a training that has not come down to guessing yet
    worse = not ending.is_held_out and min(cost, costs[-1]) > WORSE * guessing
    had_time = len(costs) > (FEW_EPOCHS if len(costs) < ending.n_epochs else MANY_EPOCHS)
    if worse and had_time and not (find_short_budget(ending) or too_strong(recipe, network)):
        course = f"The training cost went from {costs[0]:.3g} to {costs[-1]:.3g} in {len(costs)} epochs."
        return f"{verdict(ending)} {course} Try {any_of([*remedies_by_rate(recipe, 'other'), 'more epochs'])}."
    return ""


def verdict(ending: Ending) -> str:
    """Return the sentence that compares with guessing."""
    cost, guessing = ending.standing
    how = "worse than" if cost > WORSE * guessing else "no better than"
    where = "validation data" if ending.is_held_out else "training set"
    costs = f"it costs {cost:.3g} on the {where}, guessing {guessing:.3g}"
    return f"The network is {how} guessing the shares of the classes: {costs}."


def nothing_learned(ending: Ending, on_training: Standing, recipe: Recipe, network: Network, is_given: bool) -> str:
    """Return the finding that nothing was learned, where it may as well be the data.

    Parameters
    ----------
    ending : Ending
    on_training : Standing
    recipe : Recipe
    network : Network
    is_given : bool
        Whether the validation data are the user's own.

    Returns
    -------
    str
    """
    if ending.seen.is_blank:
        return f"{verdict(ending)} No feature of X varies, so there is nothing to tell the samples apart by."
    if ending.is_held_out and on_training.cost < LEARNED * on_training.guessing:
        other = "the samples are too few or have outliers. Try more samples, or stronger weight_decay"
        if is_given:
            other = "X_val is not what X is. See whether both have been transformed alike"
        there = f"On the training set it costs {on_training.cost:.3g}"
        return f"{verdict(ending)} {there}: either X tells nothing of y, or {other}."
    remedies = [*remedies_by_rate(recipe, "other"), *too_strong(recipe, network), "more epochs"]
    return f"{verdict(ending)} Either X tells nothing of y, or training has not found it: try {any_of(remedies)}."


def find_bad_units(seen: Glance, network: Network, remedies: list[str]) -> list[str]:
    """Return a finding for each hidden layer most of whose units, more than 75 %, are dead or saturated.

    Parameters
    ----------
    seen : Glance
    network : Network
    remedies : list of str

    Returns
    -------
    list of str
    """
    findings, others = [], remedies + ([] if network.batch_norm else ["batch_norm=True"])
    for l, (dead, saturated) in enumerate(zip(seen.dead, seen.saturated), start=1):
        share, name, n = max(dead, saturated), network.activation[l - 1], network.layer_dims[l] * network.ensemble_size
        if share <= BULK or seen.m < FEW or seen.is_blank:
            continue
        how = f"saturated: {name} is within 1 % of its bounds for 95 %"
        if dead:
            how = f"dead: {name} gives {ACTIVATIONS[name].flat_at[0]:.3g} for all"
        advice = any_of([*others, f"activation={'leaky_relu' if dead else 'relu'!r}"])
        findings.append(
            f"{round(share * n)} of {n} units of hidden layer {l} are {how} of {seen.m} training samples. Try {advice}."
        )
    return findings


def number_of_parameters(network: Network) -> int:
    """Return how many weights and biases one network has."""
    return sum(n * (n_prev + 1) for n_prev, n in pairwise(network.layer_dims))


def find_overfitting(ending: Ending, network: Network) -> list[str]:
    """Return a finding if the validation cost rose a lot while the training cost went on to fall.

    Parameters
    ----------
    ending : Ending
    network : Network

    Returns
    -------
    list of str
    """
    costs, validation_costs = ending.costs, ending.validation_costs
    if len(validation_costs) != len(costs) or not np.isfinite(validation_costs).all():
        return []
    lowest = validation_costs.argmin()
    if validation_costs[-1] <= OVERFIT * validation_costs[lowest] or costs[-1] > MEMORISED * costs[lowest]:
        return []
    n_parameters = number_of_parameters(network)
    rise = f"the validation cost rose from {validation_costs[lowest]:.3g} to {validation_costs[-1]:.3g}"
    fall = f"the training cost fell from {costs[lowest]:.3g} to {costs[-1]:.3g}"
    epochs = f"over the last {len(costs) - 1 - lowest} epochs {rise} and {fall}"
    kept = f"The weights of epoch {ending.best_epoch} are kept" if ending.best_epoch else "The last weights are kept"
    problem = f"The network, of {n_parameters} parameters, overfits {ending.n} samples: {epochs}. {kept}."
    early = "" if ending.best_epoch else "to keep the best epoch's (early_stopping=True), "
    return [f"{problem} Try {early}smaller hidden_layer_dims, stronger weight_decay or a dropout_rate."]


def find_excess(ending: Ending, network: Network) -> list[str]:
    """Return a finding if a network far too large for its samples learned them by heart, with none held out to tell.

    Parameters
    ----------
    ending : Ending
    network : Network

    Returns
    -------
    list of str
    """
    n_parameters = number_of_parameters(network)
    cost, guessing = ending.standing
    if len(ending.validation_costs) or n_parameters < EXCESS * ending.n or cost > BY_HEART * guessing:
        return []
    problem = f"The network has {n_parameters} parameters for {ending.n} samples and has learned these by heart"
    costs = f"at a cost of {cost:.3g}, where guessing costs {guessing:.3g}, with none held out to tell what it is worth"
    return [f"{problem}, {costs}. Try early_stopping=True, or smaller hidden_layer_dims."]


def find_short_budget(ending: Ending) -> list[str]:
    """Return a finding if all epochs are used up while the cost still falls markedly.

    Parameters
    ----------
    ending : Ending

    Returns
    -------
    list of str
    """
    n_epochs, width = ending.n_epochs, max(ending.n_epochs // 10, 1)
    is_validated = len(ending.validation_costs) == len(ending.costs)
    costs = ending.validation_costs if is_validated else ending.costs
    if len(costs) < n_epochs or n_epochs < 2:
        return []
    before, last = costs[-2 * width : -width].mean(), costs[-width:].mean()
    # a training cost falls on where nothing more is to be gained
    markedly = (1 if is_validated else 2) * STILL_FALLS * ending.standing.guessing
    if not before - last > markedly or last > costs[:-width].min():
        return []
    what = "validation" if is_validated else "training"
    over = "in the last epoch" if width == 1 else f"over the last {width} epochs"
    problem = (
        f"max_iter={n_epochs} ended training while the {what} cost still fell, from {before:.3g} to {last:.3g} {over}."
    )
    return [f"{problem} Try more epochs, or a higher learning_rate."]


def remedies_for_large_steps(state: TrainingState, recipe: Recipe) -> list[str]:
    """Return what to try where steps or inputs were too large."""
    return ([] if state.scaling is not None else ["scale_inputs='standard'"]) + remedies_by_rate(recipe, "lower")


def remedies_by_rate(recipe: Recipe, direction: Literal["lower", "higher", "other"]) -> list[str]:
    """Return what to try for the learning rate, "lower", "higher" or "other", if it is there to be chosen."""
    if recipe.optimizer.full_batch:
        return []
    if callable(recipe.schedule):
        return [f"a learning_rate_schedule with {direction} rates"]
    article = "another" if direction == "other" else f"a {direction}"
    return [f"{article} learning_rate (it was {recipe.learning_rate:g})"]


def too_strong(recipe: Recipe, network: Network) -> list[str]:
    """Return what to lower of what keeps a network from learning."""
    dropout_rate = max(network.dropout_rate, default=0)
    held_by = {
        "weight_decay": (recipe.weight_decay, 1),
        "label_smoothing": (recipe.label_smoothing, 0.2),
        "dropout_rate": (dropout_rate, 0.5),
    }
    return [f"a lower {name} (it was {value:g})" for name, (value, much) in held_by.items() if value >= much]


def any_of(remedies: Iterable[str]) -> str:
    """Return "a, b or c"."""
    return " or ".join(", ".join(remedies).rsplit(", ", 1))
