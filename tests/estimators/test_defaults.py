"""`resolve`: one table that states every rule of "auto"."""

from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.estimators.defaults import AUTO, DataFacts, Plan, resolve
from sklearn_deepnn.estimators.settings import check_parameters
from sklearn_deepnn.network import Network
from sklearn_deepnn.training.optimizers import LBFGS, SGD

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
ONE = {"hidden_layer_dims": (6,)}  # one network, whose dims are given
PAIR = {**ONE, "ensemble_size": 2}  # an ensemble, whose dims are given


class Row(NamedTuple):
    """A row of the table: what `resolve` is given, and fields of the plan that it must return."""

    settings: dict[str, Any]
    facts: DataFacts
    expected: dict[str, Any]
    earlier: Network | None = None
    earlier_dtype: Any = None
    may_hold_out: bool = True


def facts(n_samples=1000, **others):
    """Return the facts of a set with 4 features and 3 classes of the same frequency."""
    loss = "categorical_cross_entropy"
    return DataFacts(
        **{
            "n_samples": n_samples,
            "n_features": 4,
            "n_inputs": 4,
            "n_outputs": 3,
            "loss": loss,
            "rarity": 1.0,
            **others,
        }
    )


def plan_of(row):
    """Return the plan of a row."""
    settings = check_parameters(DeepNNClassifier(**row.settings))
    return resolve(settings, row.facts, row.earlier, row.earlier_dtype, may_hold_out=row.may_hold_out)


def fields_of(plan):
    """Return the fields of a plan, of its network and of its recipe in one dict."""
    own = {f.name: getattr(plan, f.name) for f in fields(Plan)}
    network, recipe = vars(own.pop("network")), vars(own.pop("recipe"))
    return {**own, **network, "hidden_layer_dims": network["layer_dims"][1:-1], **recipe}


AUTOMATIC_VALUES = {
    "the automatic network has layers of 48 and 24 units": ({}, {"hidden_layer_dims": (48, 24)}),
    "L-BFGS trains one layer of 100 units": ({"optimizer": "lbfgs"}, {"hidden_layer_dims": (100,)}),
    "the automatic network is an ensemble of 12": ({}, {"ensemble_size": 12}),
    "one network is trained where dims are given": (ONE, {"ensemble_size": 1}),
    "one network is trained by L-BFGS": ({"optimizer": "lbfgs"}, {"ensemble_size": 1}),
    "one network is trained by an instance of L-BFGS": ({"optimizer": LBFGS()}, {"ensemble_size": 1}),
    "another optimizer trains the automatic network": (
        {"optimizer": "sgd"},
        {"ensemble_size": 12, "hidden_layer_dims": (48, 24)},
    ),
    "the automatic network has silu layers": ({}, {"activation": ("silu", "silu")}),
    "networks of given dims have relu layers": (ONE, {"activation": ("relu",)}),
    "L-BFGS trains relu layers": ({"optimizer": "lbfgs"}, {"activation": ("relu",)}),
    "the automatic network learns at a rate of 0.01": ({}, {"learning_rate": 0.01}),
    "networks of given dims learn at a rate of 0.001": (ONE, {"learning_rate": 0.001}),
    "the automatic network has a weight decay of 0.1": ({}, {"weight_decay": 0.1}),
    "networks of given dims have a weight decay of 0.0001": (ONE, {"weight_decay": 0.0001}),
    "L-BFGS has a weight decay of 0.0001": ({"optimizer": "lbfgs"}, {"weight_decay": 0.0001}),
    "the automatic network has a patience of 6 epochs": ({}, {"patience": 6}),
    "networks of given dims have a patience of 10 epochs": (ONE, {"patience": 10}),
    "L-BFGS has a patience of 10 epochs": ({"optimizer": "lbfgs"}, {"patience": 10}),
    "the automatic network smooths labels by 0.02": ({}, {"label_smoothing": 0.02}),
    "networks of given dims do not smooth labels": (ONE, {"label_smoothing": 0.0}),
    "L-BFGS does not smooth labels": ({"optimizer": "lbfgs"}, {"label_smoothing": 0.0}),
    "reduce_on_plateau is a callback, and its schedule constant": (
        {"learning_rate_schedule": "reduce_on_plateau"},
        {"schedule": "constant"},
    ),
    "features are centered and divided by their deviation": ({}, {"scale_inputs": "standard"}),
    "features of networks with given dims are, too": (ONE, {"scale_inputs": "standard"}),
    "the layers are those of X and y, with the given dims between": (
        {"hidden_layer_dims": "7-5"},
        {"layer_dims": (4, 7, 5, 3), "loss": "categorical_cross_entropy"},
    ),
}

SIZES = {
    n: {"hidden_layer_dims": dims, "ensemble_size": ensemble_size}
    for n, dims, ensemble_size in [
        (1, (48, 24), 12),
        (30_000, (48, 24), 12),
        (30_001, (96, 48), 6),
        (166_666, (96, 48), 6),
        (166_667, (96, 48), 5),  # all members together train on at most 1 000 000 samples
        (300_000, (96, 48), 3),
        (300_001, (192, 96), 3),
        (333_334, (192, 96), 2),
        (500_000, (192, 96), 2),
        (500_001, (192, 96), 1),
        (10**7, (192, 96), 1),
    ]
}

WORDS = {"n_features": 201, "density": 0.1}  # as sparse, and of as few features, as wide sparse X may be
WIDE_SPARSE = {
    "wide sparse X trains 4 networks of one layer with 32 units": (
        {},
        facts(**WORDS),
        {"hidden_layer_dims": (32,), "ensemble_size": 4, "activation": ("silu",), "learning_rate": 0.01},
    ),
    "wide sparse X has a common scale": ({}, facts(**WORDS), {"scale_inputs": "common"}),
    "wide sparse X has a common scale for networks of given dims": (ONE, facts(**WORDS), {"scale_inputs": "common"}),
    "wide sparse X changes no given dims": (
        PAIR,
        facts(**WORDS),
        {"hidden_layer_dims": (6,), "ensemble_size": 2, "activation": ("relu",), "learning_rate": 0.001},
    ),
    "a given ensemble stays for wide sparse X": (
        {"ensemble_size": 12},
        facts(**WORDS),
        {"ensemble_size": 12, "hidden_layer_dims": (32,)},
    ),
    "L-BFGS trains one layer of 100 units for wide sparse X": (
        {"optimizer": "lbfgs"},
        facts(**WORDS),
        {"hidden_layer_dims": (100,), "ensemble_size": 1, "scale_inputs": "common"},
    ),
    "a given scaling stays for wide sparse X": (
        {"scale_inputs": "standard"},
        facts(**WORDS),
        {"scale_inputs": "standard"},
    ),
    "no scaling stays for wide sparse X": ({"scale_inputs": None}, facts(**WORDS), {"scale_inputs": None}),
    "wide sparse X of many samples has layers twice as wide, and half the networks": (
        {},
        facts(30_001, **WORDS),
        {"hidden_layer_dims": (64,), "ensemble_size": 2},
    ),
    "200 sparse features are not many": (
        {},
        facts(n_features=200, density=0.01),
        {"hidden_layer_dims": (48, 24), "ensemble_size": 12, "scale_inputs": "standard"},
    ),
    "X of which more than a tenth is not 0 is not sparse": (
        {},
        facts(n_features=10_000, density=0.11),
        {"hidden_layer_dims": (48, 24), "ensemble_size": 12, "scale_inputs": "standard"},
    ),
    "dense X may have any number of features": (
        {},
        facts(n_features=10_000),
        {"hidden_layer_dims": (48, 24), "ensemble_size": 12, "scale_inputs": "standard"},
    ),
}

LABEL_SMOOTHING = {
    "a class of a fifth of the mean frequency is not rare": ({}, {"rarity": 0.2}, 0.02),
    "a rare class gains a tenth of its frequency at most": ({}, {"rarity": 0.1}, 0.01),
    "a very rare class gains a tenth of its frequency, too": ({}, {"rarity": 0.02}, 0.002),
    "several labels at once are not smoothed": ({}, {"rarity": None}, 0.0),
    "a given smoothing stays where a class is rare": ({"label_smoothing": 0.3}, {"rarity": 0.02}, 0.3),
    "a given smoothing stays for several labels at once": ({"label_smoothing": 0.3}, {"rarity": None}, 0.3),
}

HELD_OUT = {
    "the automatic network holds nothing out of 39 samples": ({}, facts(39), 0),
    "the automatic network holds a tenth of 40 samples out": ({}, facts(40), 4),
    "ensembles of given dims hold nothing out of 39 samples": (PAIR, facts(39), 0),
    "ensembles of given dims hold a tenth of 40 samples out": (PAIR, facts(40), 4),
    "automatic dims hold samples out even of one network": ({"ensemble_size": 1}, facts(40), 4),
    "one network holds nothing out of 10 000 samples": (ONE, facts(10_000), 0),
    "one network holds a tenth of 10 001 samples out, rounded up": (ONE, facts(10_001), 1001),
    "L-BFGS holds nothing out of 10 000 samples": ({"optimizer": "lbfgs"}, facts(10_000), 0),
    "L-BFGS holds a tenth of 10 001 samples out": ({"optimizer": "lbfgs"}, facts(10_001), 1001),
    "early_stopping=True holds samples out of small sets": ({**ONE, "early_stopping": True}, facts(39), 4),
    "early_stopping=False holds nothing out of large sets": ({"early_stopping": False}, facts(20_000), 0),
    "another fraction is held out if asked for": ({"validation_fraction": 0.25}, facts(100), 25),
}

BATCHES = {
    "39 samples without validation are one batch": (ONE, facts(39), None),
    "40 samples are trained on in batches of 64": (ONE, facts(40), 64),
    "39 samples with validation are trained on in batches of 64": (ONE, facts(39, has_validation_set=True), 64),
    "39 samples are one batch if validation does not stop": (
        {**ONE, "early_stopping": False},
        facts(39, has_validation_set=True),
        None,
    ),
    "fewer than 20 000 samples are trained on in batches of 64": (ONE, facts(19_999, has_validation_set=True), 64),
    "20 000 samples are trained on in batches of 128": (ONE, facts(20_000, has_validation_set=True), 128),
    "held-out samples do not count for batches": (ONE, facts(22_222), 64),  # 19 999 are left
    "40 000 samples are trained on in batches of 256": (ONE, facts(40_000, has_validation_set=True), 256),
    "80 000 samples are trained on in batches of 512": (ONE, facts(80_000, has_validation_set=True), 512),
    "batches are never larger than 512": ({}, facts(10**7, has_validation_set=True), 512),
    "batch_size=None is the whole set": ({"batch_size": None}, facts(10**6), None),
    "a given batch size stays for small sets": ({"batch_size": 7}, facts(39), 7),
}

PRECISION = {
    "one network computes in float64 up to 10 000 samples": (ONE, facts(10_000), DOUBLE),
    "one network computes in float32 from 10 001 samples on": (ONE, facts(10_001), SINGLE),
    "an ensemble computes in float64 below 1000 samples": (PAIR, facts(999), DOUBLE),
    "an ensemble computes in float32 from 1000 samples on": (PAIR, facts(1000), SINGLE),
    "float32 inputs are computed in float32": (ONE, facts(1, is_single=True), SINGLE),
    "inputs far from zero are computed in float64": ({}, facts(20_000, is_far_from_zero=True), DOUBLE),
    "float32 inputs far from zero are computed in float32": (
        {},
        facts(1, is_single=True, is_far_from_zero=True),
        SINGLE,
    ),
    "few samples of wide sparse X are computed in float32": ({}, facts(40, **WORDS), SINGLE),
    "few samples of wide sparse X far from zero are computed in float64": (
        {},
        facts(40, is_far_from_zero=True, **WORDS),
        DOUBLE,
    ),
    "float64 that is given stays for many samples": ({"dtype": "float64"}, facts(10**6), DOUBLE),
    "float64 that is given stays for float32 inputs": ({"dtype": float}, facts(is_single=True), DOUBLE),
    "float32 that is given stays for few samples far from zero": (
        {"dtype": "float32"},
        facts(1, is_far_from_zero=True),
        SINGLE,
    ),
}

X_VAL = facts(20_000, has_validation_set=True)
VALIDATION = {
    "held-out samples stop training, and weights are averaged over 3 epochs": Row(
        {}, facts(), {"stops_by_validation": True, "averaging_epochs": 3.0, "n_held_out": 100}
    ),
    "without validation the training cost stops, and nothing is averaged": Row(
        ONE, facts(), {"stops_by_validation": False, "averaging_epochs": 0.0, "n_held_out": 0}
    ),
    "X_val stops training, and nothing is held out": Row(
        {}, X_VAL, {"stops_by_validation": True, "averaging_epochs": 3.0, "n_held_out": 0}
    ),
    "X_val stops the training of one network on few samples": Row(
        ONE, facts(10, has_validation_set=True), {"stops_by_validation": True, "averaging_epochs": 3.0}
    ),
    "X_val replaces held-out samples even with early_stopping=True": Row(
        {"early_stopping": True}, X_VAL, {"stops_by_validation": True, "n_held_out": 0}
    ),
    "X_val does not stop training with early_stopping=False": Row(
        {"early_stopping": False}, X_VAL, {"stops_by_validation": False, "averaging_epochs": 0.0, "n_held_out": 0}
    ),
    "a given averaging stays without validation": Row({**ONE, "weight_averaging": 2}, facts(), {"averaging_epochs": 2}),
    "a given averaging of 0 stays with validation": Row({"weight_averaging": 0}, X_VAL, {"averaging_epochs": 0}),
    "a part of the data holds nothing out": Row(
        {}, facts(), {"stops_by_validation": False, "averaging_epochs": 0.0, "n_held_out": 0}, may_hold_out=False
    ),
    "a part of the data holds nothing out even with early_stopping=True": Row(
        {"early_stopping": True}, facts(20_000), {"stops_by_validation": False, "n_held_out": 0}, may_hold_out=False
    ),
    "a small part of the data is one batch": Row({}, facts(39), {"batch_size": None}, may_hold_out=False),
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
    "dtype": "float64",
    "optimizer": SGD(momentum=0.5),
}
RENAMED = {
    "weight_averaging": "averaging_epochs",
    "n_iter_no_change": "patience",
    "learning_rate_schedule": "schedule",
    "early_stopping": "stops_by_validation",
}
GIVEN_FIELDS = {RENAMED.get(name, name): value for name, value in GIVEN.items()}

SMALL_TRAINING = Network((4, 48, 24, 3), activation="silu", ensemble_size=12)  # of the automatic network
LBFGS_TRAINING = Network((4, 100, 3), activation="relu")
MIXED_TRAINING = Network((4, 6, 5, 3), activation=("tanh", "elu"), ensemble_size=2)
NETWORK_OF_SMALL = {"hidden_layer_dims": (48, 24), "activation": ("silu", "silu"), "ensemble_size": 12}
NETWORK_OF_LBFGS = {"hidden_layer_dims": (100,), "activation": ("relu",), "ensemble_size": 1}
WARM_STARTS = {
    "a larger set leaves the network as it is": Row({}, facts(400_000), NETWORK_OF_SMALL, SMALL_TRAINING, DOUBLE),
    "a larger set changes batches and what is held out": Row(
        {}, facts(400_000), {"batch_size": 512, "n_held_out": 40_000}, SMALL_TRAINING, DOUBLE
    ),
    "a smaller set changes batches and what is held out": Row(
        {}, facts(39), {"batch_size": None, "n_held_out": 0, "averaging_epochs": 0.0}, SMALL_TRAINING, DOUBLE
    ),
    "rarer classes change the smoothing": Row(
        {}, facts(rarity=0.1), {"label_smoothing": pytest.approx(0.01)}, SMALL_TRAINING, DOUBLE
    ),
    "another optimizer keeps the network of L-BFGS": Row({}, facts(), NETWORK_OF_LBFGS, LBFGS_TRAINING, DOUBLE),
    "another optimizer than L-BFGS trains as in the automatic network": Row(
        {},
        facts(),
        {
            "learning_rate": 0.01,
            "weight_decay": 0.1,
            "label_smoothing": 0.02,
            "patience": 6,
            "n_held_out": 100,
        },
        LBFGS_TRAINING,
        DOUBLE,
    ),
    "L-BFGS keeps the automatic network": Row(
        {"optimizer": "lbfgs"}, facts(), NETWORK_OF_SMALL, SMALL_TRAINING, DOUBLE
    ),
    "L-BFGS trains the automatic network as it trains others": Row(
        {"optimizer": "lbfgs"},
        facts(),
        {"weight_decay": 0.0001, "label_smoothing": 0.0, "patience": 10, "n_held_out": 100},
        SMALL_TRAINING,
        DOUBLE,
    ),
    "the activations of all layers are kept, and the ensemble": Row(
        {"hidden_layer_dims": (6, 5)},
        facts(),
        {"activation": ("tanh", "elu"), "ensemble_size": 2},
        MIXED_TRAINING,
        DOUBLE,
    ),
    "automatic dims and activations are those of the earlier training": Row(
        {}, facts(), {"hidden_layer_dims": (6, 5), "activation": ("tanh", "elu")}, MIXED_TRAINING, DOUBLE
    ),
    "a network without hidden layers is kept": Row(
        {}, facts(), {"hidden_layer_dims": (), "activation": ()}, Network((4, 3)), DOUBLE
    ),
    "another activation that is given is taken": Row(
        {"activation": "relu"}, facts(), {"activation": ("relu", "relu")}, MIXED_TRAINING, DOUBLE
    ),
    "other dims that are given are taken, and refused later": Row(
        {"hidden_layer_dims": (9,)},
        facts(),
        {"hidden_layer_dims": (9,), "activation": ("relu",)},
        MIXED_TRAINING,
        DOUBLE,
    ),
    "another ensemble size that is given is taken, and refused later": Row(
        {"ensemble_size": 5}, facts(), {"ensemble_size": 5}, MIXED_TRAINING, DOUBLE
    ),
    "float64 stays for many samples": Row({}, facts(400_000), {"dtype": DOUBLE}, SMALL_TRAINING, DOUBLE),
    "float32 stays for few samples": Row({}, facts(50), {"dtype": SINGLE}, SMALL_TRAINING, SINGLE),
    "the precision stays even if another is given": Row(
        {"dtype": "float32"}, facts(), {"dtype": DOUBLE}, SMALL_TRAINING, DOUBLE
    ),
}

RULES = {
    **{rule: Row(settings, facts(), expected) for rule, (settings, expected) in AUTOMATIC_VALUES.items()},
    **{f"the automatic network suits {n} samples": Row({}, facts(n), expected) for n, expected in SIZES.items()},
    "given dims are not doubled": Row({**PAIR}, facts(10**6), {"hidden_layer_dims": (6,), "ensemble_size": 2}),
    "the layer of L-BFGS is not doubled": Row({"optimizer": "lbfgs"}, facts(10**6), {"hidden_layer_dims": (100,)}),
    "a given ensemble is not halved, although the dims are doubled": Row(
        {"ensemble_size": 12}, facts(10**6), {"hidden_layer_dims": (192, 96), "ensemble_size": 12}
    ),
    **{
        rule: Row(settings, facts(**rarity), {"label_smoothing": pytest.approx(smoothing)})
        for rule, (settings, rarity, smoothing) in LABEL_SMOOTHING.items()
    },
    **{
        rule: Row(settings, given, {"n_held_out": n, "stops_by_validation": n > 0})
        for rule, (settings, given, n) in HELD_OUT.items()
    },
    **{rule: Row(settings, given, {"batch_size": size}) for rule, (settings, given, size) in BATCHES.items()},
    **{rule: Row(settings, given, {"dtype": dtype}) for rule, (settings, given, dtype) in PRECISION.items()},
    **{rule: Row(*row) for rule, row in WIDE_SPARSE.items()},
    **VALIDATION,
    "what is given is never replaced": Row(GIVEN, facts(500_000), GIVEN_FIELDS),
    "what is given is never replaced in small sets": Row(GIVEN, facts(20), GIVEN_FIELDS),
    "what is given is never replaced in wide sparse sets": Row(GIVEN, facts(20, **WORDS), GIVEN_FIELDS),
    "what is given is never replaced with X_val": Row(GIVEN, X_VAL, GIVEN_FIELDS),
}
ROWS = {**RULES, **{f"after an earlier training: {rule}": row for rule, row in WARM_STARTS.items()}}


@pytest.mark.parametrize("rule", ROWS)
def test_auto_follows_the_rule(rule):
    plan = fields_of(plan_of(ROWS[rule]))
    expected = ROWS[rule].expected
    assert {name: plan[name] for name in expected} == expected


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


@pytest.mark.parametrize("settings", [{}, ONE], ids=str)
def test_the_table_states_every_automatic_value_of_both_kinds_of_network(settings):
    stated = {name for row in RULES.values() if row.settings == settings for name in row.expected}
    assert {RENAMED.get(name, name) for name in AUTO} - set(settings) <= stated


def test_every_parameter_with_auto_is_among_those_that_are_given():
    automatic = {
        name for name, value in DeepNNClassifier().get_params().items() if isinstance(value, str) and value == "auto"
    }
    assert automatic - set(GIVEN) == {"weight_init"}  # which initialize_parameters resolves for each layer


@pytest.mark.parametrize("n_samples", [1, 45])
def test_a_set_of_which_all_would_be_held_out_is_an_error(n_samples):
    row = Row({"early_stopping": True, "validation_fraction": 0.99}, facts(n_samples), {})
    message = f"^early_stopping=True needs .*, got n_samples = {n_samples} and validation_fraction=0.99"
    with pytest.raises(ValueError, match=message):
        plan_of(row)
