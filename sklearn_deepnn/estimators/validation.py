"""What is held out, and how epochs are validated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from ..checks import check_real, naming, warn_user
from ..network.architecture import Network
from ..network.prediction import take_columns
from ..network.scaling import fold_scaling
from ..training.costs import mean_cost
from ..training.examples import Examples
from ..training.loop import Validate
from ..typing import Array, Arrays, BoolArray, Values
from .scaling import on_another_scale
from .settings import with_attributes
from .targets import ClassTargets

N_COMPARED = 1000  # samples that tell X_val from X
COMPARED_ELEMENTS = 2**22  # and at most so many of their values: 32 MB
FEW_COMPARED = 40


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


def warn_of_another_scale(examples: Examples, validation: Examples) -> None:
    """Warn if X_val lies where X does not, as if a pipeline had not transformed it."""
    n_most = min(N_COMPARED, max(COMPARED_ELEMENTS // examples.X.shape[0], FEW_COMPARED))
    samples = (each.spread_sample(n_most) for each in (examples, validation))
    X, X_val = (take_columns(sample.X, sample.columns, None) for sample in samples)
    distance = on_another_scale(X, X_val)
    if distance is not None:
        seen = f"a typical feature of X_val is {distance:.2g} standard deviations from the mean of X, where 1 is usual"
        advice = 'Pipeline(..., transform_input=["X_val"]) with metadata routing transforms X_val like X'
        warn_user(f"X_val is on another scale than X: {seen}. {advice}.", UserWarning)


def validator(
    estimator: Any, validation: Examples | None, network: Network, targets: ClassTargets, initial: Arrays
) -> Validate | None:
    """Return the function of the parameters that validates an epoch. A scorer is tried on the initial parameters."""
    if validation is None:
        return None
    if estimator.scoring == "loss":
        return lambda parameters: {"validation_cost": mean_cost(validation, parameters, network)}
    score = scorer_of_parameters(estimator, validation, network, targets)
    suitable = f"a scorer that the validation data suit, got {estimator.scoring!r}"
    with naming("scoring", suitable):
        try:
            score(initial)
        except TypeError:  # the scorer takes no sample_weight, or has another fault, which the second try raises
            score = scorer_of_parameters(estimator, validation._replace(sample_weight=None), network, targets)
            score(initial)

    def validate(parameters: Arrays) -> Values:
        values = {"validation_cost": mean_cost(validation, parameters, network)}
        if math.isfinite(values["validation_cost"]):
            with naming("scoring", suitable):
                values["validation_score"] = check_real("scoring", score(parameters))
        return values

    return validate


def scorer_of_parameters(
    estimator: Any, validation: Examples, network: Network, targets: ClassTargets
) -> Callable[[Arrays], float]:
    """Return the function of the parameters that applies a scorer to the validation data of each member."""
    scorer, of_members = check_scoring(estimator, scoring=estimator.scoring), np.ndim(validation.members) == 2
    scored_network = replace(network, ensemble_size=1) if of_members else network
    attributes = {
        "n_features_in_": network.layer_dims[0],
        **targets.fitted_attributes(),
        "network_": scored_network.to_dict(),
        "n_outputs_": network.layer_dims[-1],
    }
    sets: list[tuple[Any, Any, dict[str, Array]]] = []
    for columns in validation.members if of_members else [validation.members]:
        weight = validation.sample_weight
        weights = {} if weight is None else {"sample_weight": weight[columns]}
        sets.append((validation.X.T[columns], targets.decode(validation.Y[:, columns]), weights))

    def score(parameters: Arrays) -> float:
        parameters, scores = fold_scaling(parameters, validation.scaling), []
        for k, (X, y, weights) in enumerate(sets):
            of_set = {name: W[k] if of_members else W for name, W in parameters.items()}
            scored = with_attributes(estimator, {**attributes, "parameters_": of_set})
            scores.append(float(scorer(scored, X, y, **weights)))
        return math.fsum(scores) / len(scores)

    return score
