"""What is held out, and how epochs are validated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.metrics import check_scoring

from ..callbacks.measuring import undefined_raises
from ..checks import check_real, naming
from ..messages import warn_user
from ..network.architecture import Network
from ..network.encoding import EncodedInputs
from ..network.prediction import take_columns
from ..network.scaling import fold_scaling
from ..training.costs import mean_cost
from ..training.examples import Examples
from ..training.loop import Validate
from ..typing import Array, Arrays, BoolArray, Inputs, Values
from .scaling import on_another_scale
from .settings import with_attributes
from .targets import Targets

N_COMPARED = 1000  # samples that tell X_val from X
COMPARED_ELEMENTS = 2**22  # and at most so many of their values: 32 MB
FEW_COMPARED = 40
N_TRIED = 10  # classes that a scorer which is undefined on the initial predictions is tried on


def hold_out(
    examples: Examples, strata: Array, n_held_out: int, network: Network, seed: int
) -> tuple[Examples, Examples | None]:
    """Return the examples to train on, and those to validate on. Each member of an ensemble holds out another fold."""
    if not n_held_out:
        return examples, None
    folds = draw_folds(strata, n_held_out, network.ensemble_size, np.random.default_rng(seed))
    pairs = [(np.flatnonzero(~fold), np.flatnonzero(fold)) for fold in folds]
    training, validation = pairs[0] if network.ensemble_size == 1 else map(np.stack, zip(*pairs))
    return examples._replace(columns=examples.at(training)), examples._replace(columns=examples.at(validation))


def draw_fold(strata: Array, n_drawn: int, rng: np.random.Generator) -> BoolArray:
    """Draw samples at random, the same fraction of each stratum, to within one sample. Strata count from 0."""
    # no stratum loses its last sample: other strata then give more. If they cannot, strata are ignored. Unlike this,
    # train_test_split fails on strata of one sample, and takes five times as much memory.
    counts = np.bincount(strata)
    n_of_stratum, remainders = np.divmod(counts.astype(np.int64) * n_drawn, len(strata))
    by_remainder = np.lexsort((rng.random(len(counts)), -remainders))  # ties in random order
    while n_left := n_drawn - n_of_stratum.sum():
        can_give = by_remainder[counts[by_remainder] > n_of_stratum[by_remainder] + 1]
        if not len(can_give):
            return draw_fold(np.zeros_like(strata), n_drawn, rng)
        n_of_stratum[can_give[:n_left]] += 1
    by_stratum = np.argsort(strata.astype(np.min_scalar_type(len(counts))), kind="stable")
    drawn = np.zeros(len(strata), bool)
    for members, n in zip(np.split(by_stratum, np.cumsum(counts)[:-1]), n_of_stratum):
        drawn[rng.choice(members, n, replace=False)] = True
    return drawn


def draw_folds(strata: Array, n_drawn: int, n_folds: int, rng: np.random.Generator) -> Iterator[BoolArray]:
    """Draw folds as `draw_fold` does. Samples are in no second fold before all samples have been in one."""
    # a fold after the first may hold a stratum's only sample: other folds leave it out
    n, rest = len(strata), slice(None)
    drawn = np.zeros(n, bool)
    for _ in range(n_folds):
        fold = np.zeros(n, bool)
        fold[rest] = draw_fold(strata[rest], n_drawn, rng)
        yield fold
        drawn |= fold
        if n - drawn.sum() < n_drawn:
            drawn[:] = False
        rest = np.flatnonzero(~drawn)


def warn_of_another_scale(examples: Examples, validation: Examples, numbers: Array) -> None:
    """Warn if some columns of X_val lie where those of X do not, as if a pipeline had not transformed it."""
    n_most = min(N_COMPARED, max(COMPARED_ELEMENTS // examples.X.shape[0], FEW_COMPARED))
    samples = (each.spread_sample(n_most) for each in (examples, validation))
    X, X_val = (take_columns(sample.X, sample.members, None)[numbers] for sample in samples)
    distance = on_another_scale(X, X_val)
    if distance is not None:
        seen = f"a typical feature of X_val is {distance:.2g} standard deviations from the mean of X, where 1 is usual"
        advice = 'Pipeline(..., transform_input=["X_val"]) with metadata routing transforms X_val like X'
        warn_user(f"X_val is on another scale than X: {seen}. {advice}.", UserWarning)


class HeldOut(NamedTuple):
    """The validation data of one network, as a scorer takes them: rows are samples."""

    X: Inputs
    y: Inputs
    weights: dict[str, Array]  # {"sample_weight": ...}, or {}
    completed: Any  # rows of y that have all classes; None if `y` has them
    member: int | None = None  # of an ensemble whose members have validation data of their own

    def with_all_classes(self) -> HeldOut:
        """Return the same samples, repeated if they are few, with labels of all classes."""
        rows = np.resize(np.arange(self.X.shape[0]), np.shape(self.completed)[0])
        weights = {name: weight[rows] for name, weight in self.weights.items()}
        return self._replace(X=self.X[rows], y=self.completed, weights=weights)


Score: TypeAlias = Callable[[Arrays, HeldOut], float]  # of parameters for unscaled inputs


def validator(
    estimator: Any,
    validation: Examples | None,
    network: Network,
    targets: Targets,
    initial: Arrays,
    columns: Mapping[str, Any],
) -> Validate | None:
    """Return the function of the parameters that validates an epoch. A scorer is tried on the initial parameters."""
    # `columns` are the fitted attributes that tell the columns of X, in which categories are codes.
    # Data without some class, on which the scorer is therefore undefined, are left out of the mean over the members of
    # an ensemble. Where no data are left, the loss replaces the scorer, with a warning.
    if validation is None:
        return None

    def validation_cost(parameters: Arrays) -> Values:
        return {"validation_cost": mean_cost(validation, parameters, network)}

    if estimator.scoring == "loss":
        return validation_cost
    score = score_of(estimator, validation, network, targets, columns)
    initial = fold_scaling(initial, validation.scaling)
    rule = f"a scorer that the validation data suit, got {estimator.scoring!r}"
    with naming("scoring", rule, AttributeError):  # a scorer may need a method that the estimator does not have
        sets = with_weights_taken(score, initial, list(held_out_sets(validation, targets)))
        sets = [of_set for of_set in sets if is_suitable(of_set, score, initial, network, targets)]
    if not sets:
        warn_of_undefined(estimator.scoring)
        return validation_cost
    has_warned = False

    def validate(parameters: Arrays) -> Values:
        nonlocal has_warned
        values = validation_cost(parameters)
        if math.isfinite(values["validation_cost"]):
            values["validation_score"], reason = mean_score(score, fold_scaling(parameters, validation.scaling), sets)
            if reason and not has_warned:
                has_warned = True
                warn_of_undefined_epoch(estimator.scoring, reason)
        return values

    return validate


def warn_of_undefined(scoring: Any) -> None:
    """Warn that a scorer is undefined on all validation data."""
    problem = f"scoring={scoring!r} is undefined on the validation data, which lack a class"
    advice = "Try a larger validation_fraction, or an X_val with all classes"
    warn_user(f"{problem}. The loss compares epochs instead. {advice}.", UserWarning)


def warn_of_undefined_epoch(scoring: Any, reason: str) -> None:
    """Warn that a scorer is undefined on the predictions of an epoch."""
    outcome = "Such epochs have the validation score nan, and count as no improvement"
    warn_user(f"scoring={scoring!r} is undefined after an epoch: the scorer {reason}. {outcome}.", UserWarning)


def mean_score(score: Score, parameters: Arrays, sets: list[HeldOut]) -> tuple[float, str]:
    """Return the mean of the scores, and why it is nan if it is. Raises if it is infinite."""
    try:
        mean = math.fsum(score(parameters, of_set) for of_set in sets) / len(sets)
    except (ValueError, ArithmeticError) as error:  # other errors are faults of the scorer, and end the training
        return math.nan, f"raised {type(error).__name__}: {error}"
    return (mean, "returned nan") if math.isnan(mean) else (check_real("scoring", mean), "")


def with_weights_taken(score: Score, parameters: Arrays, sets: list[HeldOut]) -> list[HeldOut]:
    """Return validation data without their weights, if the scorer takes none."""
    try:
        if sets[0].weights:
            with undefined_raises():
                score(parameters, sets[0])
    except TypeError:
        return [of_set._replace(weights={}) for of_set in sets]
    except Exception:  # `is_suitable` looks for the reason
        pass
    return sets


def is_suitable(of_set: HeldOut, score: Score, initial: Arrays, network: Network, targets: Targets) -> bool:
    """Say whether a scorer is defined on validation data. Raises if it is not, even on labels of all classes."""
    complete = of_set if of_set.completed is None else of_set.with_all_classes()
    if not targets.has_one_class and not is_defined(score, complete, initial, network):
        check_real("scoring", score(initial, complete))
    return complete is of_set or is_defined(score, of_set, initial, network)


def is_defined(score: Score, of_set: HeldOut, initial: Arrays, network: Network) -> bool:
    """Say whether a score is defined for some predictions: those of the initial parameters alone may not suffice."""

    def is_finite(parameters: Arrays) -> bool:
        try:
            with undefined_raises():
                return math.isfinite(score(parameters, of_set))
        except Exception:
            return False

    return is_finite(initial) or any(map(is_finite, constant_networks(initial, network)))


def constant_networks(parameters: Arrays, network: Network) -> Iterator[Arrays]:
    """Yield the parameters of networks that predict the same for all samples: one class alone, or all others."""
    W, b, n_outputs = f"W{network.n_layers}", f"b{network.n_layers}", network.layer_dims[-1]
    for k in range(min(n_outputs, N_TRIED)):
        ZL = np.where(np.arange(n_outputs) == k, 1, -1)[:, np.newaxis].astype(parameters[b].dtype)
        for sign in (1, -1):
            yield {**parameters, W: 0 * parameters[W], b: 0 * parameters[b] + sign * ZL}


def held_out_sets(validation: Examples, targets: Targets) -> Iterator[HeldOut]:
    """Yield the validation data of each member of an ensemble, or those of all."""
    of_members, weight = np.ndim(validation.members) == 2, validation.sample_weight
    for k, columns in enumerate(validation.members if of_members else [validation.members]):
        Y = validation.Y[:, columns]
        weights = {} if weight is None else {"sample_weight": weight[columns]}
        member = k if of_members else None
        X = validation.X.X if isinstance(validation.X, EncodedInputs) else validation.X
        yield HeldOut(X.T[columns], targets.decode(Y), weights, targets.completed(Y), member)


def score_of(
    estimator: Any, validation: Examples, network: Network, targets: Targets, columns: Mapping[str, Any]
) -> Score:
    """Return the function that applies the estimator's scorer to parameters, and to validation data for them."""
    scorer, of_members = check_scoring(estimator, scoring=estimator.scoring), np.ndim(validation.members) == 2
    scored_network = replace(network, ensemble_size=1) if of_members else network
    attributes = {
        **columns,
        **targets.fitted_attributes(),
        "network_": scored_network.to_dict(),
        "n_outputs_": network.layer_dims[-1],
    }

    def score(parameters: Arrays, of_set: HeldOut) -> float:
        if of_set.member is not None:
            parameters = {name: W[of_set.member] for name, W in parameters.items()}
        scored = with_attributes(estimator, {**attributes, "parameters_": parameters})
        return float(scorer(scored, of_set.X, of_set.y, **of_set.weights))

    return score
