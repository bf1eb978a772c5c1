"""Findings about a training that has ended: the sentences of an estimator's `report_`.

`gather_facts` reads the training once. Each function `find_...` then looks at these `TrainingFacts`, and returns a
finding, or None if there is nothing to report. A finding names the problem, the numbers that show it, and what to try.
To add a finding, write such a function and add it to `USELESS` or `FINDINGS`.

Conventions: columns are examples; the members of an ensemble are stacked on a first axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import issparse

from ..network.activations import ActivationLike, activation_name, find_activation
from ..network.architecture import Network
from ..network.model import logits_forward
from ..network.prediction import take_columns
from ..network.scaling import Scaling
from ..training.costs import baseline_loss, mean_cost
from ..training.examples import Examples, draw_batch
from ..training.recipe import Recipe
from ..training.run import Finding
from ..training.state import TrainingState
from ..typing import Array, BoolArray, Inputs

N_FEW, N_MANY = 200, 2000  # examples to look at; the many only if the few show a problem
N_OF_MEMBER = 50  # examples of each member of an ensemble, at least
MAX_ELEMENTS = 2**24  # activations of the widest layer: 64 MB in float32
FLAT_WITHIN = 1e-6  # of the bound that a smooth activation only approaches
SATURATED_WITHIN, SATURATED_FRACTION = 0.01, 0.95  # of the activation's range, of the examples
BULK = 0.75  # of the units of a layer; a network that learned well had 0.69 dead, where X has few distinct values
MIN_EXAMPLES = 20  # units may be 0 on fewer by chance
CLEAR, LEARNED, WORSE = 0.95, 0.99, 1.05  # times the baseline loss: clearly better, better at all, worse
FEW_EPOCHS, MANY_EPOCHS = 5, 50  # that show whether a network learns: where training stopped by itself, and otherwise
SQUEEZED = 1e-3  # standard deviations
WILD = 1000.0  # size of the largest feature over the smallest; size of the largest, or its inverse
OVERFIT, MEMORISED = 1.5, 0.5  # times the lowest validation cost, times the training cost of that epoch
UNCHANGED = 1e-4  # times the baseline loss, over all epochs
FALLING = 0.01  # times the cost, over a tenth of the epochs
NEGLIGIBLE = 0.02  # times the baseline loss: a cost that is too low to matter


def flat_units(A: Array, activation: ActivationLike) -> BoolArray:
    """Return which units of A (..., n_l, m) are dead or saturated: hardly any gradient reaches their weights."""
    flat_at = find_activation(activation).flat_at
    if not flat_at:
        return np.zeros(A.shape[:-1], bool)
    low, high = flat_at[0], flat_at[-1]
    if activation == "relu":  # reaches its flat end, next to its full slope
        return np.all(low == A, axis=-1)
    if low == high:  # dead: at the flat end on all examples
        return np.all(np.abs(A - low) <= FLAT_WITHIN, axis=-1)
    is_flat = np.minimum(A - low, high - A) <= SATURATED_WITHIN * (high - low)
    return is_flat.mean(axis=-1) >= SATURATED_FRACTION


# Inputs. They are looked at before training.


@np.errstate(over="ignore")
def find_bad_inputs(
    examples: Examples, scaling: Scaling | None, feature_names: Sequence[str] | None = None
) -> list[str]:
    """Return a finding, or none, about sizes of the inputs that, after scaling, make the network learn badly."""
    sample = examples.spread_sample(N_FEW)
    A0 = take_columns(sample.X, sample.members, None)
    names: Sequence[Any] = range(A0.shape[0]) if feature_names is None else feature_names
    finding = find_wild_sizes(A0, names) if scaling is None else find_squeezed(A0, examples, scaling, names)
    return [finding] if finding else []


def find_wild_sizes(A0: Inputs, names: Sequence[Any]) -> str | None:
    """Return a finding if unscaled features have very different sizes, or sizes far from 1."""
    low, high = (each.toarray().ravel() if issparse(A0) else each for each in (A0.min(axis=1), A0.max(axis=1)))
    size = np.maximum(-low.astype(np.float64), high)
    size[size == 0] = size.max()  # features that are always 0 do not matter
    i, j = size.argmin(), size.argmax()
    if size[j] > WILD * size[i]:
        sizes = f"up to {size[i]:.3g} in feature {names[i]!r} but up to {size[j]:.3g} in feature {names[j]!r}"
        problem = f"Features have very different sizes: {sizes}"
    elif size[j] and not 1 / WILD < size[j] < WILD:
        problem = f"Inputs are far from 1: up to {size[j]:.3g} in feature {names[j]!r}"
    else:
        return None
    return f"{problem}. scale_inputs=None does not scale them. Try scale_inputs='standard' or 'robust'."


def find_squeezed(A0: Inputs, examples: Examples, scaling: Scaling, names: Sequence[Any]) -> str | None:
    """Return a finding if outliers determine the scale of a feature, so that its other values become almost equal."""
    if issparse(A0):
        return None
    low, high = np.quantile(A0.astype(np.float64), (0.05, 0.95), axis=1, method="nearest")
    extent = (high - low) / scaling.scale[:, 0]
    squeezed = np.flatnonzero((extent > 0) & (extent < SQUEEZED))
    if not squeezed.size:
        return None
    i, n_more = squeezed[0], f" (and {squeezed.size - 1} more)" * (squeezed.size > 1)
    values = examples.X[i][examples.members]
    outlier = values[np.abs(values - low[i]).argmax()]
    return (
        f"Outliers, such as {outlier:.3g}, determine the scale of feature {names[i]!r}{n_more}: nine tenths of its "
        f"values are within {extent[i]:.1g} standard deviations. Try scale_inputs='robust', or correct the outliers."
    )


@dataclass(frozen=True)
class TrainingFacts:
    """What the findings about an ended training are based on."""

    network: Network
    recipe: Recipe
    is_scaled: bool  # whether the inputs are scaled
    bad_inputs: Sequence[str]  # what `find_bad_inputs` has found
    n_epochs: int  # that this call was allowed, 0 if more calls follow
    is_used_up: bool  # whether these epochs, and nothing else, ended the call
    costs: Array  # training cost of each epoch of this call
    validation_costs: Array  # validation cost of each epoch, or empty
    best_epoch: int | None  # the one whose weights are kept, if it is not the last
    n_seen: int  # training examples that the three facts below are based on
    flat: Sequence[float]  # fraction of the units of each hidden layer, see `flat_units`
    is_constant: bool  # whether all examples have the same logits
    is_blank: bool  # whether all examples have the same inputs
    is_validated: bool  # whether the two costs below are of the validation data, not of the training set
    cost: float  # of the parameters that are kept
    baseline: float  # cost of the best constant prediction, such as the class frequencies

    @property
    def has_learned(self) -> bool:
        """Whether an epoch was better than the baseline. With a single class there is nothing to learn."""
        lowest = np.fmin.reduce(self.validation_costs, initial=self.cost)
        return bool(lowest <= LEARNED * self.baseline or self.baseline == 0)


@np.errstate(over="ignore", invalid="ignore")
def gather_facts(
    state: TrainingState,
    examples: Examples,
    validation: Examples | None,
    network: Network,
    recipe: Recipe,
    n_epochs: int | None,
    **about: Any,
) -> TrainingFacts:
    """Return what the findings are based on. The arguments are those of `diagnose`."""
    first, parameters = state.call.first_epoch, state.kept_parameters()
    is_validated = validation is not None and "validation_score" not in state.newest
    cost, baseline = 0.0, math.inf  # not computed if more calls follow
    for n in (N_FEW, N_MANY):
        sample = sample_of(examples, n, network)
        scored = sample_of(validation, n, network) if validation is not None and is_validated else sample
        if n_epochs is not None:
            cost, baseline = mean_cost(scored, parameters, network), baseline_loss(scored, network, sample)
        A0 = draw_batch(sample, sample.members, network, parameters["W1"].dtype).A0
        ZL, caches = logits_forward(A0, parameters, network)
        hidden = zip((cache.linear.A_prev for cache in caches[1:]), network.activation)
        flat = [float(flat_units(A, activation).mean()) for A, activation in hidden]
        is_constant = np.ptp(ZL, axis=-1).max() <= FLAT_WITHIN * max(1, np.abs(ZL).max())
        if cost < CLEAR * baseline and max(flat, default=0) <= BULK and not is_constant:
            break
    return TrainingFacts(
        network=network,
        recipe=recipe,
        n_epochs=n_epochs or 0,
        is_used_up=state.epoch - first == n_epochs and not state.call.stopped_by,
        costs=np.array(state.history["cost"][first:]),
        validation_costs=np.array(state.history.get("validation_cost", [])[first:]),
        best_epoch=state.best_epoch,
        n_seen=sample.n,
        flat=flat,
        is_constant=bool(is_constant),
        is_blank=isinstance(A0, np.ndarray) and not np.ptp(A0, axis=-1).any(),
        is_validated=is_validated,
        cost=cost,
        baseline=baseline,
        **about,
    )


def sample_of(examples: Examples, n: int, network: Network) -> Examples:
    """Return about n examples spread over the set, for all members of an ensemble together."""
    n_members = 1 if examples.columns is None or examples.columns.ndim == 1 else len(examples.columns)
    n_affordable = MAX_ELEMENTS // (network.ensemble_size * max(network.layer_dims))
    return examples.spread_sample(max(min(n // n_members, n_affordable), N_OF_MEMBER))


def diagnose(
    state: TrainingState,
    examples: Examples,
    validation: Examples | None,
    network: Network,
    recipe: Recipe,
    *,
    n_epochs: int | None,
    is_scaled: bool,
    of_inputs: Sequence[str] = (),
    has_failed: bool = False,
) -> list[Finding]:
    """Return what went wrong in the last call of `train`.

    Parameters
    ----------
    state : TrainingState
    examples : Examples
    validation : Examples or None
    network : Network
    recipe : Recipe
    n_epochs : int or None
        Epochs that the call was allowed. None if more calls follow: only inputs, units and divergence are then checked.
    is_scaled : bool
        Whether the network scales its inputs.
    of_inputs : sequence of str
        What `find_bad_inputs` has found.
    has_failed : bool, default=False
        Whether `train` has warned already. Then nothing else is worth a warning.

    Returns
    -------
    list of Finding
        Empty if nothing went wrong. A useless fit is worth a warning, unless X and y may be the reason; and so is a fit
        whose epochs were used up while the cost was still falling.
    """
    about = {"is_scaled": is_scaled, "bad_inputs": of_inputs}
    facts = gather_facts(state, examples, validation, network, recipe, n_epochs, **about)
    about_inputs = [Finding(text) for text in of_inputs]
    if has_failed or n_epochs is None:
        return [*about_inputs, *findings(facts, [find_flat_units])]
    if not facts.has_learned and not facts.is_blank:
        for useless in findings(facts, USELESS):
            return [useless._replace(is_warning=True), *findings(facts, [find_flat_units])]
    too_few = [finding._replace(is_warning=True) for finding in findings(facts, [find_too_few_epochs])]
    return [*about_inputs, *findings(facts, FINDINGS), *too_few]


def findings(facts: TrainingFacts, finders: Iterable[Callable[[TrainingFacts], str | None]]) -> Iterator[Finding]:
    """Yield what the functions find, in their order."""
    return (Finding(text) for find in finders if (text := find(facts)))


# Findings that make a fit useless. They are looked for where the network is no better than the baseline.


def find_unusable_inputs(facts: TrainingFacts) -> str | None:
    """Return a finding if the inputs have bad sizes, which explain that nothing was learned."""
    return f"{verdict(facts)} {' '.join(facts.bad_inputs)}" if facts.bad_inputs else None


def find_constant_predictions(facts: TrainingFacts) -> str | None:
    """Return a finding if the network predicts the same for every example."""
    if not facts.is_constant:
        return None
    return f"{verdict(facts)} It predicts the same for every sample. Try {smaller_steps(facts)} or another weight_init."


def find_no_change(facts: TrainingFacts) -> str | None:
    """Return a finding if the cost stayed where it began."""
    first, last, n = facts.costs[0], facts.costs[-1], len(facts.costs)
    if n <= FEW_EPOCHS or abs(first - last) > UNCHANGED * facts.baseline:
        return None
    course = f"the cost was {first:.3g} in the first epoch and {last:.3g} in epoch {n}"
    return f"Training has changed nothing: {course}. {verdict(facts)} Try {other_rate(facts, 'a higher')}."


def find_cost_above_baseline(facts: TrainingFacts) -> str | None:
    """Return a finding if even the training cost ended above the baseline loss, and not for lack of epochs."""
    n, is_above = len(facts.costs), min(facts.cost, facts.costs[-1]) > WORSE * facts.baseline
    is_short = n <= (FEW_EPOCHS if n < facts.n_epochs else MANY_EPOCHS) or find_too_few_epochs(facts)
    if facts.is_validated or not is_above or is_short or facts.recipe.label_smoothing:  # which can raise the cost, too
        return None
    return f"{verdict(facts)} Try {other_rate(facts, 'another')}, weaker regularization or more epochs."


USELESS = [find_unusable_inputs, find_constant_predictions, find_no_change, find_cost_above_baseline]


def find_nothing_learned(facts: TrainingFacts) -> str | None:
    """Return a finding if the network is no better than the baseline, and X and y may be the reason."""
    if facts.has_learned or find_too_few_epochs(facts):
        return None
    if facts.is_blank:
        return f"{verdict(facts)} No feature of X varies, so that X cannot predict y."
    if facts.is_validated and facts.costs[-1] < LEARNED * facts.baseline:
        course = f"The training cost fell to {facts.costs[-1]:.3g}: the network fits the training set alone."
        reason = "Either X does not predict y, or the samples are too few, or an X_val was not transformed like X."
        return f"{verdict(facts)} {course} {reason}"
    advice = f"Try {other_rate(facts, 'another')}, weaker regularization or more epochs"
    return f"{verdict(facts)} Either X does not predict y, or training has not found how. {advice}."


def find_flat_units(facts: TrainingFacts) -> str | None:
    """Return a finding about the first hidden layer with more than 75 % of its units dead or saturated."""
    l = next((l for l, fraction in enumerate(facts.flat, start=1) if fraction > BULK), None)
    if l is None or facts.n_seen < MIN_EXAMPLES or facts.is_blank:
        return None
    activation, n = facts.network.activation[l - 1], facts.network.layer_dims[l] * facts.network.ensemble_size
    name, flat_at = activation_name(activation), find_activation(activation).flat_at
    how, other = f"dead: {name} gives {flat_at[0]:.3g} for all", "leaky_relu"
    if len(flat_at) > 1:
        how, other = f"saturated: {name} is within 1 % of its bounds for 95 %", "relu"
    units = f"{round(facts.flat[l - 1] * n)} of {n} units of hidden layer {l}"
    advice = f"Try {smaller_steps(facts)}, batch_norm=True or activation={other!r}"
    return f"{units} are {how} of {facts.n_seen} sampled training samples. {advice}."


def find_overfitting(facts: TrainingFacts) -> str | None:
    """Return a finding if the validation cost rose by a half while the training cost fell to a half."""
    costs, validation_costs = facts.costs, facts.validation_costs
    if len(validation_costs) != len(costs) or not np.isfinite(validation_costs).all():
        return None
    best = validation_costs.argmin()
    if validation_costs[-1] <= OVERFIT * validation_costs[best] or costs[-1] > MEMORISED * costs[best]:
        return None
    rise = f"the validation cost rose from {validation_costs[best]:.3g} to {validation_costs[-1]:.3g}"
    fall = f"the training cost fell from {costs[best]:.3g} to {costs[-1]:.3g}"
    kept = f"The weights of epoch {facts.best_epoch} are kept. Try" if facts.best_epoch else "Try early_stopping=True,"
    problem = f"Overfitting: over the last {len(costs) - 1 - best} epochs {rise} and {fall}"
    return f"{problem}. {kept} smaller hidden_layer_dims, stronger weight_decay or a dropout_rate."


def find_too_few_epochs(facts: TrainingFacts) -> str | None:
    """Return a finding if all epochs were used up while the cost still fell by more than 1 % in a tenth of them."""
    n_epochs, is_validated = facts.n_epochs, len(facts.validation_costs) == len(facts.costs)
    costs, of = (facts.validation_costs, "validation") if is_validated else (facts.costs, "training")
    if n_epochs < 2 or not facts.is_used_up:
        return None
    # noise is no fall: means of tenths are compared, of which the last is the lowest, and the last three have fallen
    width = max(n_epochs // 10, 1)
    tenths = costs[n_epochs % width :].reshape(-1, width).mean(axis=1)
    *_, before, last = tenths
    is_falling = (-np.diff(tenths[-4:]) > FALLING * tenths[-4:-1]).all()
    if not is_falling or last > tenths.min() or last < NEGLIGIBLE * facts.baseline:
        return None
    means = f"{last:.3g} on average over the last {width}, {before:.3g} over the {width} before"
    if width == 1:
        means = f"{last:.3g} in the last, {before:.3g} in the one before"
    course = f"while the {of} cost was still falling: {means}"
    advice = "" if facts.recipe.optimizer.full_batch else f", or {other_rate(facts, 'a higher')}"
    return f"max_iter={n_epochs} ended training {course}. Try a larger max_iter{advice}."


FINDINGS = [find_nothing_learned, find_flat_units, find_overfitting]


def verdict(facts: TrainingFacts) -> str:
    """Return the sentence that compares the network with the baseline."""
    where = "validation data" if facts.is_validated else "training set"
    costs = f"its loss on the {where} is {facts.cost:.3g}, the baseline loss {facts.baseline:.3g}"
    return f"The network is no better than {facts.network.loss_function.about_baseline}: {costs}."


def smaller_steps(facts: TrainingFacts) -> str:
    """Return what to try where steps or inputs were too large."""
    return ("" if facts.is_scaled else "scale_inputs='standard', ") + other_rate(facts, "a lower")


def other_rate(facts: TrainingFacts, which: Literal["a lower", "a higher", "another"]) -> str:
    """Return which learning rate to try."""
    if facts.recipe.optimizer.full_batch:
        return "another optimizer"
    if callable(facts.recipe.schedule):
        return f"a learning_rate_schedule with {which.removeprefix('a ')} rates"
    return f"{which} learning_rate (it was {facts.recipe.learning_rate:g})"
