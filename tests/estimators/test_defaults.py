"""`resolve`: one table that states every rule of "auto", and the laws that all rules obey."""

from dataclasses import fields, is_dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pytest

from sklearn_deepnn import DeepNNClassifier, DeepNNRegressor
from sklearn_deepnn.estimators.defaults import (
    AVERAGING_EPOCHS,
    BATCH_DOUBLINGS,
    BIN_DEVIATIONS,
    ENSEMBLE_WORK,
    FASTEST,
    FEW_SAMPLES,
    FEWEST_BINS,
    LARGE_SAMPLES,
    LARGEST_ENSEMBLE,
    LIFT_OF_RARE_CLASS,
    MANY_SAMPLES,
    MOST_BIN_ROWS,
    MOST_BINNED,
    MOST_BINS,
    PENALTY,
    RATE_TIMES_WIDTH,
    RULES,
    SHORTEST_PATIENCE,
    SMALL_SAMPLES,
    SMALLEST_BATCH,
    SMOOTHED_SAMPLES,
    SMOOTHING,
    SPARSE_DENSITY,
    WEIGHT_DECAY,
    WIDE_FEATURES,
    DataFacts,
    Plan,
    resolve,
    resolve_numeric,
)
from sklearn_deepnn.estimators.settings import check_parameters
from sklearn_deepnn.network import Network
from sklearn_deepnn.training.optimizers import LBFGS, SGD

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
SMALL_DIMS, LARGE_DIMS, WIDE_SPARSE_DIMS = (48, 24), (128, 128, 64), (32,)
WORDS = {"n_features": WIDE_FEATURES + 1, "density": SPARSE_DENSITY}  # of sparse X that is just wide enough
ALONE = {"ensemble_size": 1}


class Row(NamedTuple):
    """A row of the table: what `resolve` is given, and fields of the plan that it must return."""

    settings: dict[str, Any]
    facts: DataFacts
    expected: dict[str, Any]
    earlier: Network | None = None
    earlier_dtype: Any = None


def facts(n_samples=1000, **others):
    """Return the facts of a set with 4 features and 3 classes of the same frequency."""
    small = {"n_features": 4, "n_inputs": 4, "n_outputs": 3, "loss": "categorical_cross_entropy", "rarity": 1.0}
    return DataFacts(**{"n_samples": n_samples, **small, **others})


NUMBERS = {"n_outputs": 1, "loss": "squared_error", "rarity": None}  # facts about targets that are numbers


def plan_of(row):
    """Return the plan of a row."""
    settings = check_parameters(DeepNNClassifier(**row.settings))
    return resolve(settings, row.facts, row.earlier, row.earlier_dtype)


def fields_of(plan):
    """Return the fields of a plan, of its network and of its recipe in one dict, named like the parameters."""
    own = {f.name: getattr(plan, f.name) for f in fields(Plan)}
    network, recipe = vars(own.pop("network")), vars(own.pop("recipe"))
    found = {**own, **network, "hidden_layer_dims": network["layer_dims"][1:-1], **recipe}
    found["optimizer"] = repr(found["optimizer"])
    return {PARAMETERS.get(name, name): value for name, value in found.items()}


PARAMETERS = {
    "averaging_epochs": "weight_averaging",
    "patience": "n_iter_no_change",
    "schedule": "learning_rate_schedule",
    "stops_by_validation": "early_stopping",
}

NETWORK = {
    f"up to {SMALL_SAMPLES} samples have layers of {SMALL_DIMS} units": Row(
        {}, facts(SMALL_SAMPLES), {"hidden_layer_dims": SMALL_DIMS}
    ),
    f"more samples have layers of {LARGE_DIMS} units": Row(
        {}, facts(SMALL_SAMPLES + 1), {"hidden_layer_dims": LARGE_DIMS}
    ),
    "any more samples have these layers": Row({}, facts(10**7), {"hidden_layer_dims": LARGE_DIMS}),
    "hidden layers are silu layers": Row({}, facts(), {"activation": ("silu", "silu")}),
    "hidden layers of given dims are silu layers": Row(
        {"hidden_layer_dims": "7-5-3"}, facts(), {"activation": ("silu", "silu", "silu")}
    ),
    "the layers are those of X and y, with the given dims between": Row(
        {"hidden_layer_dims": "7-5"}, facts(), {"layer_dims": (4, 7, 5, 3), "loss": "categorical_cross_entropy"}
    ),
    "features are centered and divided by their deviation": Row({}, facts(), {"scale_inputs": "standard"}),
    "L-BFGS trains the same layers": Row(
        {"optimizer": "lbfgs"},
        facts(),
        {"hidden_layer_dims": SMALL_DIMS, "activation": ("silu", "silu"), "scale_inputs": "standard"},
    ),
}


def work(fraction, **others):
    """Return the facts of a set on which a network without hidden layers takes a fraction of `ENSEMBLE_WORK`."""
    return facts(round(fraction * ENSEMBLE_WORK / 10_000), n_inputs=100, n_outputs=100, **others)


LINEAR = {"hidden_layer_dims": ()}
ENSEMBLE = {
    f"few samples are learned by {LARGEST_ENSEMBLE} networks": Row({}, facts(), {"ensemble_size": LARGEST_ENSEMBLE}),
    "a network of given dims is in an ensemble, too": Row(
        {"hidden_layer_dims": (6,)}, facts(), {"ensemble_size": LARGEST_ENSEMBLE}
    ),
    f"weights times samples of {ENSEMBLE_WORK:g} are for one network": Row(LINEAR, work(1), {"ensemble_size": 1}),
    "an 8th of this work is for 2 networks": Row(LINEAR, work(1 / 8), {"ensemble_size": 2}),
    "a 27th of this work is for 3 networks": Row(LINEAR, work(1 / 27), {"ensemble_size": 3}),
    "any larger work is for one network": Row(LINEAR, work(1000), {"ensemble_size": 1}),
    "the weights of a feature that is 0 for half the samples count half": Row(
        LINEAR, work(2 / 27, density=0.5), {"ensemble_size": 3}
    ),
    "X without any number but 0 takes next to no work": Row(
        LINEAR, facts(density=0.0), {"ensemble_size": LARGEST_ENSEMBLE}
    ),
    "L-BFGS trains one network": Row({"optimizer": "lbfgs"}, facts(), {"ensemble_size": 1}),
    "an instance of L-BFGS trains one network": Row({"optimizer": LBFGS()}, facts(), {"ensemble_size": 1}),
    "L-BFGS trains an ensemble that is given": Row(
        {"optimizer": "lbfgs", "ensemble_size": 3}, facts(), {"ensemble_size": 3}
    ),
    "other optimizers train an ensemble": Row({"optimizer": "sgd"}, facts(), {"ensemble_size": LARGEST_ENSEMBLE}),
    "a part of the data trains one network": Row({}, facts(is_part=True), {"ensemble_size": 1}),
    "a part of the data trains an ensemble that is given": Row(
        {"ensemble_size": 3}, facts(is_part=True), {"ensemble_size": 3}
    ),
}

FAST, FASTER = FASTEST
WIDEST = int(RATE_TIMES_WIDTH / FAST)  # layer that learns at the highest rate, with few samples
RATES = {
    f"layers of up to {WIDEST} units learn at a rate of {FAST}": Row(
        {"hidden_layer_dims": (2, WIDEST)}, facts(), {"learning_rate": pytest.approx(FAST)}
    ),
    "a layer of 10 times as many units learns at a tenth of this rate": Row(
        {"hidden_layer_dims": (2, 10 * WIDEST, 2)}, facts(), {"learning_rate": pytest.approx(FAST / 10, rel=0.1)}
    ),
    "a network without hidden layers learns at the highest rate": Row(LINEAR, facts(), {"learning_rate": FAST}),
    "samples that have larger batches are learned at a higher rate": Row(
        LINEAR, facts(BATCH_DOUBLINGS[0]), {"learning_rate": FASTER}
    ),
    "wide layers learn as fast from many samples": Row(
        {"hidden_layer_dims": (10 * WIDEST,)}, facts(10**6), {"learning_rate": pytest.approx(FAST / 10, rel=0.1)}
    ),
    "the optimizer does not change the rate": Row({"optimizer": "sgd", **LINEAR}, facts(), {"learning_rate": FAST}),
    "reduce_on_plateau is a callback, and its schedule constant": Row(
        {"learning_rate_schedule": "reduce_on_plateau"}, facts(), {"learning_rate_schedule": "constant"}
    ),
    f"weights decay by {WEIGHT_DECAY}": Row({}, facts(), {"weight_decay": WEIGHT_DECAY}),
    f"L-BFGS has a penalty of {PENALTY}": Row({"optimizer": "lbfgs"}, facts(), {"weight_decay": PENALTY}),
}

LABEL_SMOOTHING = {
    f"labels are smoothed by {SMOOTHING}": Row(
        {}, facts(round(SMOOTHED_SAMPLES / SMOOTHING)), {"label_smoothing": pytest.approx(SMOOTHING)}
    ),
    "twice as many samples have half the smoothing": Row(
        {}, facts(round(2 * SMOOTHED_SAMPLES / SMOOTHING)), {"label_smoothing": pytest.approx(SMOOTHING / 2)}
    ),
    f"a rare class gains {LIFT_OF_RARE_CLASS} of its frequency": Row(
        {}, facts(100, rarity=0.01), {"label_smoothing": pytest.approx(LIFT_OF_RARE_CLASS / 100)}
    ),
    "labels of a rare class in a large set have the lesser smoothing": Row(
        {}, facts(10**7, rarity=0.01), {"label_smoothing": pytest.approx(SMOOTHED_SAMPLES / 10**7)}
    ),
    "several labels at once are not smoothed": Row({}, facts(rarity=None), {"label_smoothing": 0.0}),
    "L-BFGS smooths labels, too": Row({"optimizer": "lbfgs"}, facts(100), {"label_smoothing": SMOOTHING}),
}


def held_out(n):
    """Return the fields of a plan that holds n samples out."""
    is_any = n > 0
    return {"n_held_out": n, "early_stopping": is_any, "weight_averaging": AVERAGING_EPOCHS if is_any else 0.0}


WITH_X_VAL = {"n_held_out": 0, "early_stopping": True, "weight_averaging": AVERAGING_EPOCHS}
VALIDATION = {
    f"a tenth of {FEW_SAMPLES} samples is held out, and weights are averaged over {AVERAGING_EPOCHS} epochs": Row(
        {}, facts(FEW_SAMPLES), held_out(ceil(FEW_SAMPLES / 10))
    ),
    "fewer samples are not held out, and nothing is averaged": Row({}, facts(FEW_SAMPLES - 1), held_out(0)),
    "one network of given dims holds samples out, too": Row(
        {"hidden_layer_dims": (6,), **ALONE}, facts(FEW_SAMPLES), held_out(ceil(FEW_SAMPLES / 10))
    ),
    "a tenth of 101 samples is 11": Row({}, facts(101), held_out(11)),
    f"L-BFGS holds nothing out of {MANY_SAMPLES} samples": Row(
        {"optimizer": "lbfgs"}, facts(MANY_SAMPLES), held_out(0)
    ),
    "L-BFGS holds a tenth of more samples out": Row(
        {"optimizer": "lbfgs"}, facts(MANY_SAMPLES + 1), held_out(ceil((MANY_SAMPLES + 1) / 10))
    ),
    "early_stopping=True holds samples out of small sets": Row({"early_stopping": True}, facts(11), held_out(2)),
    "early_stopping=False holds nothing out of large sets": Row({"early_stopping": False}, facts(10**7), held_out(0)),
    f"a tenth of {MANY_SAMPLES} samples is held out": Row(
        {}, facts(MANY_SAMPLES), {"validation_fraction": 0.1, **held_out(MANY_SAMPLES // 10)}
    ),
    "twice as many are held out of four times as many samples": Row(
        {}, facts(4 * MANY_SAMPLES), {"validation_fraction": 0.05, **held_out(MANY_SAMPLES // 5)}
    ),
    "another fraction is held out if asked for": Row({"validation_fraction": 0.25}, facts(100), held_out(25)),
    "X_val is validated, and nothing is held out": Row({}, facts(has_validation_set=True), WITH_X_VAL),
    "X_val is validated where samples are few": Row({}, facts(3, has_validation_set=True), WITH_X_VAL),
    "X_val stops L-BFGS": Row({"optimizer": "lbfgs"}, facts(3, has_validation_set=True), WITH_X_VAL),
    "X_val replaces held-out samples even with early_stopping=True": Row(
        {"early_stopping": True}, facts(has_validation_set=True), WITH_X_VAL
    ),
    "X_val does not stop training with early_stopping=False": Row(
        {"early_stopping": False}, facts(has_validation_set=True), held_out(0)
    ),
    "a part of the data holds nothing out": Row({}, facts(is_part=True), held_out(0)),
    "a part of the data holds nothing out even with early_stopping=True": Row(
        {"early_stopping": True}, facts(is_part=True), held_out(0)
    ),
    "a given averaging stays without validation": Row(
        {"weight_averaging": 2}, facts(is_part=True), {"weight_averaging": 2}
    ),
    "a given averaging of 0 stays with validation": Row(
        {"weight_averaging": 0}, facts(has_validation_set=True), {"weight_averaging": 0}
    ),
    f"fewer than {BATCH_DOUBLINGS[0]} samples have a patience of 6 epochs": Row(
        {}, facts(BATCH_DOUBLINGS[0] - 1), {"n_iter_no_change": 6}
    ),
    "more samples have a patience of 4 epochs": Row({}, facts(BATCH_DOUBLINGS[0]), {"n_iter_no_change": 4}),
    f"{LARGE_SAMPLES} samples have a patience of 4 epochs": Row({}, facts(LARGE_SAMPLES), {"n_iter_no_change": 4}),
    "any more samples have a patience of 3 epochs": Row({}, facts(LARGE_SAMPLES + 1), {"n_iter_no_change": 3}),
    f"{MANY_SAMPLES} numbers have a patience of 4 epochs": Row(
        {}, facts(MANY_SAMPLES, **NUMBERS), {"n_iter_no_change": 4, "label_smoothing": 0}
    ),
    f"any more numbers have a patience of {SHORTEST_PATIENCE} epochs": Row(
        {}, facts(MANY_SAMPLES + 1, **NUMBERS), {"n_iter_no_change": SHORTEST_PATIENCE}
    ),
}

SMALLEST, (FIRST, SECOND) = SMALLEST_BATCH, BATCH_DOUBLINGS
TOO_FEW = FEW_SAMPLES - 1
BATCHES = {
    f"{TOO_FEW} samples without validation are one batch": Row({}, facts(TOO_FEW), {"batch_size": None}),
    f"{FEW_SAMPLES} samples have batches of {SMALLEST}": Row({}, facts(FEW_SAMPLES), {"batch_size": SMALLEST}),
    f"{TOO_FEW} samples with validation have batches of {SMALLEST}": Row(
        {}, facts(TOO_FEW, has_validation_set=True), {"batch_size": SMALLEST}
    ),
    "few samples are one batch if validation does not stop": Row(
        {"early_stopping": False}, facts(TOO_FEW, has_validation_set=True), {"batch_size": None}
    ),
    "a small part of the data is one batch": Row({}, facts(TOO_FEW, is_part=True), {"batch_size": None}),
    f"fewer than {FIRST} samples have batches of {SMALLEST}": Row({}, facts(FIRST - 1), {"batch_size": SMALLEST}),
    f"{FIRST} samples have batches of twice the size": Row({}, facts(FIRST), {"batch_size": 2 * SMALLEST}),
    f"fewer than {SECOND} samples have the same batches": Row({}, facts(SECOND - 1), {"batch_size": 2 * SMALLEST}),
    f"{SECOND} samples have batches of 4 times the size": Row({}, facts(SECOND), {"batch_size": 4 * SMALLEST}),
    "batches are never larger": Row({}, facts(10**10), {"batch_size": 4 * SMALLEST}),
    "batch_size=None is the whole set": Row({"batch_size": None}, facts(10**6), {"batch_size": None}),
    "a given batch size stays for small sets": Row({"batch_size": 7}, facts(39), {"batch_size": 7}),
}

PRECISION = {
    f"one network computes in float64 up to {MANY_SAMPLES} samples": Row(ALONE, facts(MANY_SAMPLES), {"dtype": DOUBLE}),
    "one network computes in float32 with more samples": Row(ALONE, facts(MANY_SAMPLES + 1), {"dtype": SINGLE}),
    f"an ensemble computes in float32 from {MANY_SAMPLES // 10} samples on": Row(
        {"ensemble_size": 2}, facts(MANY_SAMPLES // 10), {"dtype": SINGLE}
    ),
    "an ensemble computes in float64 with fewer samples": Row(
        {"ensemble_size": 2}, facts(MANY_SAMPLES // 10 - 1), {"dtype": DOUBLE}
    ),
    "float32 inputs are computed in float32": Row({}, facts(1, is_single=True), {"dtype": SINGLE}),
    "inputs far from zero are computed in float64": Row({}, facts(10**6, is_far_from_zero=True), {"dtype": DOUBLE}),
    "float32 inputs far from zero are computed in float32": Row(
        {}, facts(1, is_single=True, is_far_from_zero=True), {"dtype": SINGLE}
    ),
    "few samples of wide sparse X are computed in float32": Row(ALONE, facts(40, **WORDS), {"dtype": SINGLE}),
    "few samples of wide sparse X far from zero are computed in float64": Row(
        {}, facts(40, is_far_from_zero=True, **WORDS), {"dtype": DOUBLE}
    ),
    "float64 that is given stays for many samples": Row({"dtype": "float64"}, facts(10**6), {"dtype": DOUBLE}),
    "float64 that is given stays for float32 inputs": Row({"dtype": float}, facts(is_single=True), {"dtype": DOUBLE}),
    "float32 that is given stays for few samples far from zero": Row(
        {"dtype": "float32"}, facts(1, is_far_from_zero=True), {"dtype": SINGLE}
    ),
}

DENSE = {"hidden_layer_dims": SMALL_DIMS, "scale_inputs": "standard"}
WIDE_SPARSE = {
    f"wide sparse X has layers of {WIDE_SPARSE_DIMS} units, and a common scale": Row(
        {}, facts(**WORDS), {"hidden_layer_dims": WIDE_SPARSE_DIMS, "scale_inputs": "common"}
    ),
    "many samples of wide sparse X have the same": Row(
        {}, facts(10**6, **WORDS), {"hidden_layer_dims": WIDE_SPARSE_DIMS, "scale_inputs": "common"}
    ),
    "L-BFGS trains the same for wide sparse X": Row(
        {"optimizer": "lbfgs"}, facts(**WORDS), {"hidden_layer_dims": WIDE_SPARSE_DIMS, "scale_inputs": "common"}
    ),
    f"{WIDE_FEATURES} sparse features are not many": Row({}, facts(n_features=WIDE_FEATURES, density=0.0), DENSE),
    f"X of which more than {SPARSE_DENSITY} is not 0 is not sparse": Row(
        {}, facts(n_features=10**4, density=SPARSE_DENSITY + 0.01), DENSE
    ),
    "dense X may have any number of features": Row({}, facts(n_features=10**4), DENSE),
    "no scaling stays for wide sparse X": Row({"scale_inputs": None}, facts(**WORDS), {"scale_inputs": None}),
}

PIXELS = {"has_common_units": True}
POOLED_DIMS = (128, 64)
COMMON_UNITS = {
    f"features in common units have a pooled scale, and layers of {POOLED_DIMS} units": Row(
        {}, facts(**PIXELS), {"hidden_layer_dims": POOLED_DIMS, "scale_inputs": "pooled"}
    ),
    "many samples in common units have the dims of others": Row(
        {}, facts(SMALL_SAMPLES + 1, **PIXELS), {"hidden_layer_dims": LARGE_DIMS, "scale_inputs": "pooled"}
    ),
    "wide sparse X in common units is wide sparse X": Row(
        {}, facts(**PIXELS, **WORDS), {"hidden_layer_dims": WIDE_SPARSE_DIMS, "scale_inputs": "common"}
    ),
    "a given scaling stays for features in common units": Row(
        {"scale_inputs": "standard"}, facts(**PIXELS), {"scale_inputs": "standard"}
    ),
}

# No automatic value: each is another than "auto" stands for.
GIVEN = {
    "hidden_layer_dims": (5, 4),
    "activation": ("tanh", "elu"),
    "ensemble_size": 7,
    "scale_inputs": "robust",
    "learning_rate": 0.3,
    "batch_size": 11,
    "weight_decay": 0.7,
    "weight_averaging": 1.5,
    "label_smoothing": 0.4,
    "n_iter_no_change": 9,
    "dropout_rate": (0.1, 0.2),
    "batch_norm": True,
    "max_grad_norm": 2.5,
    "shuffle": False,
    "learning_rate_schedule": "cosine",
    "early_stopping": False,
    "validation_fraction": 0.25,
    "dtype": "float64",
    "optimizer": SGD(momentum=0.5),
}
STAYS = {**GIVEN, "optimizer": repr(GIVEN["optimizer"])}
GIVEN_VALUES = {
    "what is given is never replaced": Row(GIVEN, facts(), STAYS),
    "what is given is never replaced in large sets": Row(GIVEN, facts(10**7), STAYS),
    "what is given is never replaced in small sets": Row(GIVEN, facts(20), STAYS),
    "what is given is never replaced in wide sparse sets": Row(GIVEN, facts(20, **WORDS), STAYS),
    "what is given is never replaced for features in common units": Row(GIVEN, facts(**PIXELS), STAYS),
    "what is given is never replaced with X_val": Row(GIVEN, facts(has_validation_set=True), STAYS),
    "what is given is never replaced in a part of the data": Row(GIVEN, facts(is_part=True), STAYS),
    "what is given is never replaced with rare classes": Row(GIVEN, facts(rarity=0.01), STAYS),
    "what is given is never replaced for several labels at once": Row(GIVEN, facts(rarity=None), STAYS),
}

ENSEMBLE_BEFORE = Network((4, 48, 24, 3), activation="silu", ensemble_size=12)
ALONE_BEFORE = Network((4, 100, 3), activation="relu")
MIXED_BEFORE = Network((4, 6, 5, 3), activation=("tanh", "elu"), ensemble_size=2)
NETWORK_OF_ENSEMBLE = {"hidden_layer_dims": (48, 24), "activation": ("silu", "silu"), "ensemble_size": 12}
WARM_STARTS = {
    "a larger set leaves the network as it is": Row({}, facts(10**7), NETWORK_OF_ENSEMBLE, ENSEMBLE_BEFORE, DOUBLE),
    "a larger set changes batches and what is held out": Row(
        {}, facts(10**7), {"batch_size": 4 * SMALLEST, "n_held_out": 31_623}, ENSEMBLE_BEFORE, DOUBLE
    ),
    "a smaller set changes batches and what is held out": Row(
        {}, facts(FEW_SAMPLES - 1), {"batch_size": None, **held_out(0)}, ENSEMBLE_BEFORE, DOUBLE
    ),
    "rarer classes change the smoothing": Row(
        {},
        facts(100, rarity=0.01),
        {"label_smoothing": pytest.approx(LIFT_OF_RARE_CLASS / 100)},
        ENSEMBLE_BEFORE,
        DOUBLE,
    ),
    "the learning rate is that of the earlier dims": Row(
        {},
        facts(),
        {"learning_rate": pytest.approx(FAST / 10, rel=0.1)},
        Network((4, 10 * WIDEST, 3)),
        DOUBLE,
    ),
    "an ensemble stays with L-BFGS": Row(
        {"optimizer": "lbfgs"}, facts(), {**NETWORK_OF_ENSEMBLE, "weight_decay": PENALTY}, ENSEMBLE_BEFORE, DOUBLE
    ),
    "an ensemble stays with a part of the data": Row(
        {}, facts(is_part=True), NETWORK_OF_ENSEMBLE, ENSEMBLE_BEFORE, DOUBLE
    ),
    "a single network stays alone": Row(
        {},
        facts(),
        {"hidden_layer_dims": (100,), "activation": ("relu",), "ensemble_size": 1, "weight_decay": WEIGHT_DECAY},
        ALONE_BEFORE,
        DOUBLE,
    ),
    "the activations of all layers stay": Row(
        {}, facts(), {"hidden_layer_dims": (6, 5), "activation": ("tanh", "elu")}, MIXED_BEFORE, DOUBLE
    ),
    "the activations stay if the same dims are given": Row(
        {"hidden_layer_dims": (6, 5)},
        facts(),
        {"activation": ("tanh", "elu"), "ensemble_size": 2},
        MIXED_BEFORE,
        DOUBLE,
    ),
    "a network without hidden layers stays": Row(
        {}, facts(), {"hidden_layer_dims": (), "activation": ()}, Network((4, 3)), DOUBLE
    ),
    "another activation that is given is taken": Row(
        {"activation": "relu"}, facts(), {"activation": ("relu", "relu")}, MIXED_BEFORE, DOUBLE
    ),
    "other dims that are given are taken, and refused later": Row(
        {"hidden_layer_dims": (9,)},
        facts(),
        {"hidden_layer_dims": (9,), "activation": ("silu",)},
        MIXED_BEFORE,
        DOUBLE,
    ),
    "another ensemble size that is given is taken, and refused later": Row(
        {"ensemble_size": 5}, facts(), {"ensemble_size": 5}, MIXED_BEFORE, DOUBLE
    ),
    "float64 stays for many samples": Row({}, facts(10**6), {"dtype": DOUBLE}, ENSEMBLE_BEFORE, DOUBLE),
    "float32 stays for few samples": Row({}, facts(50), {"dtype": SINGLE}, ENSEMBLE_BEFORE, SINGLE),
    "the precision stays even if another is given": Row(
        {"dtype": "float32"}, facts(), {"dtype": DOUBLE}, ENSEMBLE_BEFORE, DOUBLE
    ),
}

ROWS = {
    **NETWORK,
    **ENSEMBLE,
    **RATES,
    **LABEL_SMOOTHING,
    **VALIDATION,
    **BATCHES,
    **PRECISION,
    **WIDE_SPARSE,
    **COMMON_UNITS,
    **GIVEN_VALUES,
    **{f"after an earlier training: {rule}": row for rule, row in WARM_STARTS.items()},
}


@pytest.mark.parametrize("rule", ROWS)
def test_auto_follows_the_rule(rule):
    plan = fields_of(plan_of(ROWS[rule]))
    expected = ROWS[rule].expected
    assert {name: plan[name] for name in expected} == expected


# What the table covers.


@pytest.mark.parametrize("name", RULES)
def test_the_table_states_the_rule_of_every_parameter(name):
    assert any(name in row.expected and name not in row.settings for row in ROWS.values())


def test_every_parameter_with_auto_has_a_rule_or_is_resolved_elsewhere():
    parameters = DeepNNClassifier().get_params()
    automatic = {name for name, value in parameters.items() if isinstance(value, str) and value == "auto"}
    elsewhere = {"weight_init", "numeric_encoding"}  # for each layer, and by `resolve_numeric`
    assert automatic == set(RULES) | elsewhere
    assert set(RULES) <= set(GIVEN)


# Laws.


def strings_in(value):
    """Yield all strings in the fields of dataclasses, in dicts, in sequences and in other objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from strings_in(entry)
    elif isinstance(value, (list, tuple, set)):
        for entry in value:
            yield from strings_in(entry)
    elif is_dataclass(value) or hasattr(value, "__dict__"):
        yield from strings_in(vars(value))


@pytest.mark.parametrize("rule", ROWS)
def test_a_plan_has_no_auto_left(rule):
    found = list(strings_in(plan_of(ROWS[rule])))
    assert found  # the names of activations, at least of the loss
    assert "auto" not in found


@pytest.mark.parametrize("rule", ROWS)
def test_giving_what_auto_would_choose_changes_nothing(rule):
    row = ROWS[rule]
    plan = fields_of(plan_of(row))
    chosen = {name: plan[name] for name in RULES}
    for given in [chosen, *({name: value} for name, value in chosen.items())]:
        assert fields_of(plan_of(row._replace(settings={**row.settings, **given}))) == plan, given


@pytest.mark.parametrize("rule", ROWS)
def test_a_rule_uses_only_values_that_are_chosen_before(rule):
    row = ROWS[rule]
    settings = check_parameters(DeepNNClassifier(**row.settings))
    chosen = {name: value for name, value in settings.items() if name not in RULES}
    for name, choose in RULES.items():  # KeyError where a rule asks for another value
        chosen[name] = choose(row.facts, chosen)


SAMPLES = [1, 10, 40, 500, 2000, 8000, 10**4, 10**5, 10**6, 10**7]
DIMS = [(2,), (8,), (32,), (32, 16), (256,), (256, 128), (256, 256), (2048, 512)]  # each wider than the last


def ensemble_sizes(dims, samples, **others):
    """Return the automatic ensemble sizes of all dims and numbers of samples."""
    rows = [Row({"hidden_layer_dims": each}, facts(n, **others), {}) for each in dims for n in samples]
    return [plan_of(row).network.ensemble_size for row in rows]


OTHER_FACTS = [{}, WORDS, PIXELS, {"n_inputs": 500, "n_outputs": 20}]


@pytest.mark.parametrize("others", OTHER_FACTS, ids=str)
@pytest.mark.parametrize("dims", ["auto", *DIMS], ids=str)
def test_ensembles_are_never_larger_with_more_samples(dims, others):
    sizes = ensemble_sizes([dims], SAMPLES, **others)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("others", OTHER_FACTS, ids=str)
@pytest.mark.parametrize("n_samples", SAMPLES)
def test_ensembles_are_never_larger_with_wider_layers(n_samples, others):
    sizes = ensemble_sizes(DIMS, [n_samples], **others)
    assert sizes == sorted(sizes, reverse=True)


def test_ensembles_are_smaller_with_many_samples_or_wide_layers():
    assert ensemble_sizes(["auto", (2,), (2048, 512)], [SAMPLES[0]]) == [LARGEST_ENSEMBLE] * 3
    assert ensemble_sizes(["auto", (2048, 512)], [SAMPLES[-1]]) == [1, 1]
    assert ensemble_sizes([(2,)], [10**5]) > ensemble_sizes([(2048, 512)], [10**5])


@pytest.mark.parametrize("n_samples", [1, 45])
def test_a_set_of_which_all_would_be_held_out_is_an_error(n_samples):
    row = Row({"early_stopping": True, "validation_fraction": 0.99}, facts(n_samples), {})
    message = f"^early_stopping=True needs .*, got n_samples = {n_samples} and validation_fraction=0.99"
    with pytest.raises(ValueError, match=message):
        plan_of(row)


# The encoding of numbers.


def numeric(n_samples=1000, n_binned=4, others=None, **settings):
    """Return how numbers of a set are encoded, `n_binned` of which have more than two values."""
    settings = check_parameters(DeepNNClassifier(**settings))
    return resolve_numeric(settings, facts(n_samples, n_binned=n_binned, **others or {}))


@pytest.mark.parametrize(
    ("settings", "n_binned", "others", "has_bins"),
    [
        ({}, 1, {}, True),
        ({}, MOST_BINNED, {}, True),
        ({}, MOST_BINNED + 1, {}, False),
        ({}, 0, {}, False),
        ({}, 4, PIXELS, False),
        ({"numeric_encoding": None}, 4, {}, False),
        ({"numeric_encoding": "piecewise_linear"}, MOST_BINNED + 1, {}, True),
        ({"numeric_encoding": "piecewise_linear"}, 4, PIXELS, True),
        ({"hidden_layer_dims": (6,), "ensemble_size": 1}, 4, {}, True),
        ({"optimizer": "lbfgs"}, 4, {}, True),
    ],
    ids=str,
)
def test_numbers_of_different_units_have_bins_if_few_have_more_than_two_values(settings, n_binned, others, has_bins):
    assert (numeric(n_binned=n_binned, others=others, **settings).n_bins > 0) == has_bins


def test_more_samples_have_more_bins_within_limits():
    n_bins = [numeric(n_samples, n_binned=1).n_bins for n_samples in SAMPLES]
    assert n_bins == sorted(n_bins)
    assert (n_bins[0], n_bins[-1]) == (FEWEST_BINS, MOST_BINS)


@pytest.mark.parametrize("n_samples", [SMALL_SAMPLES, 10**7])
def test_many_features_share_the_rows_for_bins(n_samples):
    n_binned = [2**k for k in range(15)]
    n_bins = [numeric(n_samples, n, numeric_encoding="piecewise_linear").n_bins for n in n_binned]
    assert n_bins == sorted(n_bins, reverse=True)
    assert n_bins[-1] == FEWEST_BINS
    assert all(bins in (FEWEST_BINS, n_bins[0]) or bins == MOST_BIN_ROWS // n for bins, n in zip(n_bins, n_binned))


@pytest.mark.parametrize(
    ("settings", "others", "expected"),
    [
        ({}, {}, "standard"),
        ({}, {"has_outliers": True}, "clipped"),
        ({}, WORDS, "common"),
        ({}, {**PIXELS, "has_outliers": True}, "pooled"),
        ({"scale_inputs": "standard"}, {"has_outliers": True}, "standard"),
        ({"scale_inputs": "robust"}, {"has_outliers": True}, "robust"),
        ({"scale_inputs": None}, {"has_outliers": True}, None),
    ],
    ids=str,
)
def test_automatic_scaling_clips_outliers(settings, others, expected):
    assert numeric(others=others, **settings).scale_inputs == expected


def test_small_sets_stress_numbers_and_larger_sets_bins():
    small, large = numeric(SMALL_SAMPLES), numeric(SMALL_SAMPLES + 1)
    assert (small.stresses_numbers, large.stresses_numbers) == (True, False)
    assert (small.bin_deviation, large.bin_deviation) == BIN_DEVIATIONS


def test_parameters_that_a_regressor_lacks_are_neither_checked_nor_resolved():
    settings = check_parameters(DeepNNRegressor(loss="quantile", quantile=0.9))
    plan = resolve(settings, facts(**{**NUMBERS, "loss": "quantile", "quantile": 0.9}))
    assert {"label_smoothing", "class_weight"}.isdisjoint(settings)
    assert plan.recipe.label_smoothing == 0
    assert (plan.network.loss, plan.network.quantile) == ("quantile", 0.9)
