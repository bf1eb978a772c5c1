"""What training starts from: the data as the network takes them, the plan, and the initial state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state

from ..checks import InvalidParameterError, naming, reject
from ..inspection.diagnosis import find_bad_inputs
from ..messages import warn_user
from ..network.encoding import Encoding
from ..network.model import initialize_parameters
from ..network.parameters import Parameters
from ..network.scaling import Scaling, unfold_scaling
from ..training.examples import Examples
from ..training.state import TrainingState
from ..typing import Array, Inputs
from .categories import Categories, restore_categories, selected_columns
from .defaults import MANY_SAMPLES, DataFacts, Plan, resolve, resolve_numeric, scale_inputs
from .encoding import has_outliers, have_common_units, learn_encoding, several_valued, widened, without_gaps
from .inputs import is_single
from .resuming import Earlier, Preparation, check_unchanged
from .scaling import far_features, learn_scaling
from .settings import Settings, is_auto
from .targets import Targets
from .validation import hold_out, warn_of_another_scale


class Table(NamedTuple):
    """What `fit` was given, read."""

    examples: Examples  # X and Y as columns, with sample weights times class weights, without samples of weight zero
    targets: Targets
    header: dict[str, Any]  # the fitted attributes that tell the columns of X

    @property
    def categories(self) -> list[Categories | None]:
        """The categories of each column; None for numbers."""
        return restore_categories(self.header.get("categories_"), self.examples.X.shape[0])


class Start(NamedTuple):
    """What training starts from."""

    training: Examples
    validation: Examples | None
    state: TrainingState
    preparation: Preparation
    findings: list[str]  # what is wrong with the inputs


def columns_of(X: Inputs, Y: Inputs, weight: Array | None) -> Examples:
    """Return rows X and targets as examples, without those of weight zero."""
    columns = None if weight is None or weight.all() else np.flatnonzero(weight)
    return Examples(X.T, Y, weight, columns)


def plan_for(
    settings: Settings, table: Table, validation: Examples | None, earlier: Earlier | None, *, is_part: bool = False
) -> Plan:
    """Return the plan for a table. Raises if the earlier training had another network, scaling or encoding."""
    facts = facts_of(settings, table, validation, is_part)
    if earlier is not None:
        plan = continued_plan(settings, facts, earlier)
        if plan.encoding is None or not np.isfinite(plan.encoding.low).any():
            return plan
        return replace(plan, encoding=widened(plan.encoding, table.examples))
    facts = with_facts_of_values(settings, facts, table)
    encoding = learn_encoding(resolve_numeric(settings, facts), table.examples, table.categories)
    if encoding is None:
        facts = replace(facts, is_far_from_zero=is_far_from_zero(settings, facts, table.examples))
    return replace(resolve(settings, encoded_facts(facts, encoding)), encoding=encoding)


def continued_plan(settings: Settings, facts: DataFacts, earlier: Earlier) -> Plan:
    """Return the plan of a training that continues an earlier one; see `plan_for`."""
    encoding, dtype = earlier.encoding, earlier.state.parameters.vector.dtype
    plan = resolve(settings, encoded_facts(facts, encoding), earlier.network, dtype)
    check_unchanged("hidden_layer_dims", earlier.network.layer_dims[1:-1], plan.network.layer_dims[1:-1])
    for field in ("batch_norm", "loss", "quantile", "ensemble_size"):
        check_unchanged(field, getattr(earlier.network, field), getattr(plan.network, field))
    name = earlier.preparation.scale_inputs
    if not is_auto(settings["scale_inputs"]):
        check_unchanged("scale_inputs", name, plan.scale_inputs)
    if encoding is not None and "bins" in encoding.parts and settings["numeric_encoding"] is None:
        check_unchanged("numeric_encoding", "piecewise_linear", None)
    check_same_categories(settings["categorical_features"], earlier.fitted)
    return replace(plan, scale_inputs=name, encoding=encoding)


def check_same_categories(categorical_features: Any, fitted: Mapping[str, Any]) -> None:
    """Raise if training cannot continue because the parameter names other columns than the earlier fit learned."""
    n_features = fitted["n_features_in_"]
    labels = list(fitted.get("feature_names_in_", range(n_features)))
    selected = selected_columns(categorical_features, labels)
    if selected is None:  # dtypes tell, and columns of another kind have been refused
        return
    learned = [each is not None for each in restore_categories(fitted.get("categories_"), n_features)]
    before, now = ([label for label, is_named in zip(labels, mask) if is_named] for mask in (learned, selected))
    check_unchanged("categorical_features", before, now)


def facts_of(settings: Settings, table: Table, validation: Examples | None, is_part: bool) -> DataFacts:
    """Return the facts about a table that hold for every training."""
    examples, targets = table.examples, table.targets
    if settings["batch_norm"] and examples.n == 1:
        raise ValueError("batch_norm=True needs at least 2 samples to compare, got n_samples = 1.")
    return DataFacts(
        n_samples=examples.n,
        n_features=examples.X.shape[0],
        n_inputs=examples.X.shape[0],
        n_outputs=targets.n_outputs,
        loss=targets.loss,
        quantile=targets.quantile,
        rarity=targets.rarity(examples),
        density=density(examples),
        is_single=is_single(examples.X.dtype),
        has_validation_set=validation is not None,
        is_part=is_part,
    )


def with_facts_of_values(settings: Settings, facts: DataFacts, table: Table) -> DataFacts:
    """Return the facts that choose scaling and encoding, too. A training that continues keeps both."""
    scaling, X = settings["scale_inputs"], several_valued(table.examples, table.categories)
    # the first part of the data does not tell whether later parts have outliers
    looks_for_outliers = scaling == "clipped" or (is_auto(scaling) and not facts.is_part)
    return replace(
        facts,
        n_binned=len(X),
        has_common_units=have_common_units(X),
        has_outliers=looks_for_outliers and has_outliers(table.examples, table.categories),
    )


def encoded_facts(facts: DataFacts, encoding: Encoding | None) -> DataFacts:
    """Return the facts about a table that is encoded."""
    return facts if encoding is None else replace(facts, n_inputs=encoding.n_inputs, embedding=encoding.embedding)


def density(examples: Examples) -> float:
    """Return the fraction of the numbers in X that are not 0; 1 if X is not sparse."""
    if not issparse(examples.X):
        return 1.0
    X = examples.X if examples.columns is None else examples.X[:, examples.columns]
    return X.count_nonzero() / (X.shape[0] * X.shape[1])


def is_far_from_zero(settings: Settings, facts: DataFacts, examples: Examples) -> bool:
    """Say whether float32 cannot resolve a feature. Sets too small for float32 are skipped: they train in float64."""
    name = scale_inputs(facts, settings) if is_auto(settings["scale_inputs"]) else settings["scale_inputs"]
    stays_double = facts.n_samples < MANY_SAMPLES // 10 and not facts.is_wide_sparse
    if name is None or stays_double or not is_auto(settings["dtype"]) or is_single(examples.X.dtype):
        return False
    scaling, _ = learn_scaling(name, examples.scaled_by(examples.mean_weight()))
    return scaling is not None and far_features(scaling).size > 0


def with_gaps_filled(table: Table, plan: Plan, earlier: Earlier | None) -> Table:
    """Return a table without gaps, if an earlier network that learned no gaps is to be trained on it."""
    if plan.encoding is not None or earlier is None:
        return table
    return table._replace(examples=without_gaps(table.examples, earlier.preparation.scaling))


def prepare(
    settings: Settings, plan: Plan, table: Table, validation: Examples | None, earlier: Earlier | None, is_part: bool
) -> Start:
    """Split, weigh and scale the examples, which may be one part of the data; return what training starts from."""
    network, everything = plan.network, table.examples
    if earlier is None:
        seed = check_random_state(settings["random_state"]).randint(2**32, size=4, dtype=np.uint32)
        rng = np.random.default_rng(seed)
        before = Preparation(int(rng.integers(2**32)), weight_scale=0.0)  # the scale is replaced below
    else:
        rng, before = earlier.state.rng, earlier.preparation
    strata = table.targets.strata(everything)
    training, held_out = hold_out(everything, strata, plan.n_held_out, network, before.split_seed)
    weight_scale = before.weight_scale if is_part and earlier is not None else training.mean_weight()
    training, everything = training.scaled_by(weight_scale), everything.scaled_by(weight_scale)
    # what one member of an ensemble holds out, the others train on
    scaled_on = training if network.ensemble_size == 1 else everything
    scaling, moments = before.scaling, before.moments
    if plan.encoding is None and (earlier is None or (is_part and moments is not None)):
        scaling, moments = learn_scaling(plan.scale_inputs, scaled_on, moments)
    findings = []
    if plan.encoding is None:
        findings = find_bad_inputs(scaled_on, scaling, table.header.get("feature_names_in_"))
    if earlier is None:
        table.targets.warn_of_doubtful(everything)
        warn_of_far_features(plan.dtype, everything.X.dtype, scaling)
        state = TrainingState(initial_parameters(settings["weight_init"], plan, rng, scaling), rng)
    else:
        state = earlier.state
    training = plan.encoded(training)._replace(scaling=scaling).ready_for(plan.dtype)
    if validation is not None:
        numbers = np.flatnonzero([each is None for each in table.categories])
        warn_of_another_scale(everything, validation, numbers)
        if plan.encoding is None:
            validation = without_gaps(validation, scaling)
        validation = plan.encoded(validation)._replace(scaling=scaling)
    elif held_out is not None:
        # held-out inputs are ready already with the training set, but a scorer wants them as they came
        ready = training if settings["scoring"] == "loss" else plan.encoded(held_out)._replace(scaling=scaling)
        validation = held_out._replace(X=ready.X, scaling=ready.scaling)
    preparation = Preparation(before.split_seed, weight_scale, scaling, moments, plan.scale_inputs)
    return Start(training, validation, state, preparation, findings)


def warn_of_far_features(dtype: np.dtype[Any], dtype_of_X: np.dtype[Any], scaling: Scaling | None) -> None:
    """Warn if the network computes in float32 although X, in float64, has features far from zero."""
    if scaling is None or dtype != np.float32 or is_single(dtype_of_X):
        return
    far = far_features(scaling)
    if far.size:
        problem = f"Feature {far[0]} has a mean of more than 1000 standard deviations, which float32 cannot resolve."
        warn_user(f"{problem} Use dtype='float64', or subtract its mean.", UserWarning)


def initial_parameters(weight_init: Any, plan: Plan, rng: np.random.Generator, scaling: Scaling | None) -> Parameters:
    """Return the initial parameters: drawn, or the user's, which are for unscaled inputs."""
    network, is_given = plan.network, isinstance(weight_init, dict)
    parameters = initialize_parameters(
        network.layer_dims,
        activation=network.activation,
        weight_init="zeros" if is_given else weight_init,
        batch_norm=network.batch_norm,
        ensemble_size=network.ensemble_size,
        embedding=network.embedding,
        rng=rng,
        dtype=plan.dtype,
    )
    if not is_given:
        last, gain = f"W{network.n_layers}", network.loss_function.initial_gain
        parameters.assign({last: gain * parameters[last]})
        return parameters
    wanted = {name: array.shape for name, array in parameters.items()}
    with naming("weight_init"):
        given = {name: np.shape(array) for name, array in weight_init.items()}
        if given != wanted:
            raise InvalidParameterError(f"weight_init must have arrays of the shapes {wanted}, got {given}.")
        arrays = {name: np.asarray(array, plan.dtype) for name, array in weight_init.items()}
        parameters.assign(unfold_scaling(arrays, scaling))
    if not np.isfinite(parameters.vector).all():
        reject("weight_init", "a dict of finite numbers", weight_init)
    return parameters
