"""What "auto" stands for, given the data: `resolve`, one pure function. docs/defaults.md gives the reasons.

`RULES` has a function for each parameter but `numeric_encoding`, which `resolve_numeric` chooses before. A rule takes
the facts about the data and the values chosen so far, and returns the value. No rule asks whether another parameter was
given: a value that was given and the same value that was chosen have the same consequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from ..network.architecture import Network
from ..network.encoding import EncodedInputs, Encoding
from ..network.losses import LOSSES, NumberLoss
from ..training.examples import Examples
from ..training.recipe import Recipe
from .encoding import NumericEncoding
from .settings import REDUCE_ON_PLATEAU, Settings, is_auto

SMALL_SAMPLES = 5_000  # with more, the layers are wider
LARGE_SAMPLES = 30_000  # with more, patience is shortest
FEW_SAMPLES = 40  # with fewer, nothing is held out, and each epoch is one step
MANY_SAMPLES = 10_000  # with more, L-BFGS holds samples out, one network computes in float32, patience for numbers is 2
ENSEMBLE_WORK, LARGEST_ENSEMBLE = 4e10, 12  # weights times samples of a network that is trained alone
FASTEST = 0.01, 0.015  # highest learning rates, with the smallest batches and with larger ones
RATE_TIMES_WIDTH = 0.9  # the learning rate times the units of the widest layer, in wide networks
MANY_INPUTS = 1_000  # that are not 0; with more, the learning rate is lower in proportion
WEIGHT_DECAY, PENALTY = 0.1, 0.0001  # the second where weight decay is a penalty, as for L-BFGS
SMOOTHING, SMOOTHED_SAMPLES = 0.01, 100.0  # label smoothing: the highest, and the product with the samples
LIFT_OF_RARE_CLASS = 0.1  # most that label smoothing adds to a class, as a fraction of its frequency
SMALLEST_BATCH = 64
BATCH_DOUBLINGS = 2_000, 20_000  # batches double at each of these numbers of samples; the first shortens patience
HELD_OUT = 0.1  # the highest fraction of the samples
AVERAGING_EPOCHS = 3.0
SHORTEST_PATIENCE = 2  # in epochs, for numbers in large sets
FEWEST_BINS, MOST_BINS = 4, 96  # of a feature
FIRST_PART = 1_000  # fewest samples of the first part of the data that later parts may be encoded by
MOST_BINNED = 64  # numbers with more than two values; with more such numbers, none has bins
MOST_BIN_ROWS = 256  # of all features together
BIN_DEVIATIONS = 0.4, 2.0  # of the rows for bins, in small sets and for numbers, and in larger sets of classes
WIDE_FEATURES, SPARSE_DENSITY = 200, 0.1  # X is sparse and wide with more features, and no larger density


@dataclass(frozen=True)
class DataFacts:
    """What `resolve` knows of the data."""

    n_samples: int  # without samples of weight zero; with those to hold out
    n_features: int
    n_inputs: int  # of the network: the rows of the encoding, or the features
    n_outputs: int  # of the network
    loss: str  # a name in `LOSSES`
    quantile: float = 0.5  # that the loss "quantile" predicts
    # the frequency of the rarest class times the number of classes. None for several labels at once.
    rarity: float | None = None
    n_binned: int = 0  # numbers with more than two values, which bins can encode; 0 if X is sparse
    embedding: tuple[int, ...] = ()  # of the encoding, as `Network` takes it
    density: float = 1.0  # the fraction of the numbers in X that are not 0; 1 if X is not sparse
    has_common_units: bool = False  # whether all features seem to have the same units, such as pixels
    has_outliers: bool = False  # whether outliers determine the deviation of a feature, where it matters
    is_single: bool = False  # whether X has at most 32 bits for a number
    is_far_from_zero: bool = False  # whether a feature lies so far from zero that float32 cannot resolve it
    has_validation_set: bool = False  # whether the user gives validation data
    is_part: bool = False  # whether more data follow, as in `partial_fit`: nothing can be held out

    @property
    def predicts_numbers(self) -> bool:
        """Whether the targets are numbers."""
        return isinstance(LOSSES[self.loss], NumberLoss)

    @property
    def is_wide_sparse(self) -> bool:
        """Whether X is sparse and has many features, such as counts of words or one-hot categories."""
        return self.n_features > WIDE_FEATURES and self.density <= SPARSE_DENSITY


@dataclass(frozen=True)
class Plan:
    """How a call of `fit` or `partial_fit` trains, with no "auto" left."""

    network: Network
    recipe: Recipe
    dtype: np.dtype[Any]  # of parameters and computation
    scale_inputs: str | None  # a name in `SCALINGS`, or None
    validation_fraction: float  # of the samples, to hold out where epochs are validated and there is no `X_val`
    n_held_out: int  # samples that each network holds out to validate; 0 for none
    # whether validation tells when to stop, and which epoch is best. Otherwise the training cost tells.
    stops_by_validation: bool
    patience: float  # epochs without improvement after which training stops; infinity: never
    encoding: Encoding | None = None  # of the inputs. None if they are numbers that are scaled and nothing else.

    def encoded(self, examples: Examples) -> Examples:
        """Return examples of a table as the network takes them."""
        if self.encoding is None:
            return examples
        return examples._replace(X=EncodedInputs(examples.X, self.encoding))


Rule: TypeAlias = Callable[[DataFacts, Settings], Any]  # the facts and the values chosen so far to a value


def scale_inputs(facts: DataFacts, chosen: Settings) -> str:
    """Return the name of the scaling."""
    if facts.is_wide_sparse:
        return "common"
    if facts.has_common_units:
        return "pooled"
    return "clipped" if facts.has_outliers else "standard"


def hidden_layer_dims(facts: DataFacts, chosen: Settings) -> tuple[int, ...]:
    """Return the units of the hidden layers."""
    if facts.is_wide_sparse:  # the first layer has most of the weights
        return (32,)
    if facts.n_samples > SMALL_SAMPLES:
        return (128, 128, 64)
    return (128, 64) if facts.has_common_units else (48, 24)


def activation(facts: DataFacts, chosen: Settings) -> str:
    """Return the activation of all hidden layers."""
    return "silu"


def ensemble_size(facts: DataFacts, chosen: Settings) -> int:
    """Return the number of networks: fewer, the more work an epoch of one network takes."""
    if chosen["optimizer"].full_batch or facts.is_part:
        return 1
    dims = facts.n_inputs, *chosen["hidden_layer_dims"], facts.n_outputs
    n_weights = sum(n_prev * n for n_prev, n in pairwise(dims)) - (1 - facts.density) * dims[0] * dims[1]
    size = round((ENSEMBLE_WORK / (max(n_weights, 1) * facts.n_samples)) ** (1 / 3))
    return max(1, min(size, LARGEST_ENSEMBLE))


def learning_rate(facts: DataFacts, chosen: Settings) -> float:
    """Return the learning rate: higher in sets that have larger batches, lower for wide layers and many inputs."""
    fastest = FASTEST[facts.n_samples >= BATCH_DOUBLINGS[0]]
    by_width = RATE_TIMES_WIDTH / max(chosen["hidden_layer_dims"], default=1)
    return min(fastest, by_width) / max(facts.n_inputs * facts.density / MANY_INPUTS, 1)


def weight_decay(facts: DataFacts, chosen: Settings) -> float:
    """Return the strength of the decay, which is a penalty in the cost of full-batch optimizers."""
    return PENALTY if chosen["optimizer"].full_batch else WEIGHT_DECAY


def label_smoothing(facts: DataFacts, chosen: Settings) -> float:
    """Return the fraction of a target that is spread: less in large sets, and less if a class is rare."""
    if facts.rarity is None:
        return 0.0
    return min(SMOOTHING, SMOOTHED_SAMPLES / facts.n_samples, LIFT_OF_RARE_CLASS * facts.rarity)


def early_stopping(facts: DataFacts, chosen: Settings) -> bool:
    """Say whether epochs are validated, on samples that are held out if no validation data are given."""
    enough = MANY_SAMPLES + 1 if chosen["optimizer"].full_batch else FEW_SAMPLES
    return not facts.is_part and (facts.has_validation_set or facts.n_samples >= enough)


def validation_fraction(facts: DataFacts, chosen: Settings) -> float:
    """Return the fraction of the samples to hold out: a tenth, and less in large sets."""
    return HELD_OUT * min(math.sqrt(MANY_SAMPLES / facts.n_samples), 1)


def n_iter_no_change(facts: DataFacts, chosen: Settings) -> int:
    """Return the patience, in epochs. For numbers in large sets, longer patience takes time and gains little."""
    if facts.n_samples > MANY_SAMPLES and facts.predicts_numbers:
        return SHORTEST_PATIENCE
    return 6 - 2 * (facts.n_samples >= BATCH_DOUBLINGS[0]) - (facts.n_samples > LARGE_SAMPLES)


def batch_size(facts: DataFacts, chosen: Settings) -> int | None:
    """Return the samples per update."""
    if facts.n_samples < FEW_SAMPLES and not chosen["early_stopping"]:
        return None
    return SMALLEST_BATCH * 2 ** sum(facts.n_samples >= limit for limit in BATCH_DOUBLINGS)


def weight_averaging(facts: DataFacts, chosen: Settings) -> float:
    """Return the time constant of the average of weights, in epochs."""
    return AVERAGING_EPOCHS if chosen["early_stopping"] and not facts.is_part else 0.0


def dtype(facts: DataFacts, chosen: Settings) -> np.dtype[Any]:
    """Return the precision to compute in."""
    enough = MANY_SAMPLES // 10 if chosen["ensemble_size"] > 1 else MANY_SAMPLES + 1
    is_enough = facts.n_samples >= enough or facts.is_wide_sparse
    is_single = facts.is_single or (is_enough and not facts.is_far_from_zero)
    return np.dtype(np.float32 if is_single else np.float64)


# in this order: a rule may use the values that are chosen before
RULES: dict[str, Rule] = {
    "scale_inputs": scale_inputs,
    "hidden_layer_dims": hidden_layer_dims,
    "activation": activation,
    "ensemble_size": ensemble_size,
    "learning_rate": learning_rate,
    "weight_decay": weight_decay,
    "label_smoothing": label_smoothing,
    "early_stopping": early_stopping,
    "validation_fraction": validation_fraction,
    "n_iter_no_change": n_iter_no_change,
    "batch_size": batch_size,
    "weight_averaging": weight_averaging,
    "dtype": dtype,
}


def resolve_numeric(settings: Settings, facts: DataFacts) -> NumericEncoding:
    """Return how numbers are encoded. `resolve` comes later: it needs the number of inputs of the network."""
    name, scaling, n = settings["numeric_encoding"], settings["scale_inputs"], facts.n_samples
    suits = 0 < facts.n_binned <= MOST_BINNED and not facts.has_common_units and (n >= FIRST_PART or not facts.is_part)
    n_bins = 0
    if name == "piecewise_linear" or (is_auto(name) and suits):
        by_samples = max(min(n / 100, 16), n / 300)
        by_features = MOST_BIN_ROWS / max(facts.n_binned, 1)
        n_bins = int(max(min(by_samples, by_features, MOST_BINS), FEWEST_BINS))
    return NumericEncoding(
        n_bins,
        BIN_DEVIATIONS[n > SMALL_SAMPLES and not facts.predicts_numbers],
        scale_inputs(facts, settings) if is_auto(scaling) else scaling,
        has_outliers=facts.has_outliers,
        is_part=facts.is_part,
        stresses_numbers=n <= SMALL_SAMPLES,
    )


def resolve(
    settings: Settings, facts: DataFacts, earlier: Network | None = None, earlier_dtype: np.dtype[Any] | None = None
) -> Plan:
    """Return the plan of a training. Where training continues, the network and the precision stay as they are."""
    chosen = dict(settings)
    if earlier is not None:
        before = {"hidden_layer_dims": earlier.layer_dims[1:-1], "ensemble_size": earlier.ensemble_size}
        chosen |= {name: value for name, value in before.items() if is_auto(chosen[name])}
        if is_auto(chosen["activation"]) and len(earlier.activation) == len(chosen["hidden_layer_dims"]):
            chosen["activation"] = earlier.activation
    for name, rule in RULES.items():
        if is_auto(chosen.get(name)):  # not every estimator has every parameter
            chosen[name] = rule(facts, chosen)
    network = Network(
        (facts.n_inputs, *chosen["hidden_layer_dims"], facts.n_outputs),
        activation=chosen["activation"],
        loss=facts.loss,
        dropout_rate=chosen["dropout_rate"],
        batch_norm=bool(chosen["batch_norm"]),
        ensemble_size=int(chosen["ensemble_size"]),
        embedding=facts.embedding,
        quantile=facts.quantile,
    )
    validates = bool(chosen["early_stopping"]) and not facts.is_part
    holds_out = validates and not facts.has_validation_set
    return Plan(
        network,
        resolve_recipe(chosen),
        earlier_dtype or chosen["dtype"],
        chosen["scale_inputs"],
        chosen["validation_fraction"],
        n_to_hold_out(settings, facts, chosen["validation_fraction"]) if holds_out else 0,
        validates,
        chosen["n_iter_no_change"],
    )


def n_to_hold_out(settings: Settings, facts: DataFacts, fraction: float) -> int:
    """Return how many samples are held out. Raises if none would be left to train on."""
    n = facts.n_samples
    n_held_out = math.ceil(fraction * n)
    if n_held_out >= n:
        wanted = f"early_stopping={settings['early_stopping']!r} needs samples to hold out and to train on"
        raise ValueError(f"{wanted}, got n_samples = {n} and validation_fraction={fraction!r}.")
    return n_held_out


def resolve_recipe(chosen: Settings) -> Recipe:
    """Return the recipe, from parameters without "auto"."""
    schedule = chosen["learning_rate_schedule"]
    return Recipe(
        chosen["optimizer"],
        learning_rate=float(chosen["learning_rate"]),
        schedule="constant" if schedule == REDUCE_ON_PLATEAU else schedule,
        batch_size=chosen["batch_size"],
        weight_decay=float(chosen["weight_decay"]),
        label_smoothing=float(chosen.get("label_smoothing", 0.0)),
        max_grad_norm=chosen["max_grad_norm"],
        shuffle=bool(chosen["shuffle"]),
        averaging_epochs=float(chosen["weight_averaging"]),
    )
