"""What "auto" stands for, given the data: `resolve`, one pure function. docs/defaults.md gives the reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..network.architecture import Network
from ..network.encoding import EncodedInputs, Encoding
from ..training.examples import Examples
from ..training.recipe import Recipe
from .encoding import NumericEncoding
from .settings import REDUCE_ON_PLATEAU, Settings, is_auto

# For each parameter, the value in the automatic network, and in a network whose dims are given or that L-BFGS trains.
AUTO: dict[str, tuple[Any, Any]] = {
    "hidden_layer_dims": ((48, 24), (100,)),
    "ensemble_size": (12, 1),
    "activation": ("silu", "relu"),
    "learning_rate": (0.01, 0.001),
    "weight_decay": (0.1, 0.0001),
    "n_iter_no_change": (6, 10),
    "label_smoothing": (0.02, 0.0),
}
# the values of the automatic network where X is sparse and wide: the first layer has most of the weights
AUTO_WIDE_SPARSE = {"hidden_layer_dims": (32,), "ensemble_size": 4}
WIDE_FEATURES, SPARSE_DENSITY = 200, 0.1  # X is sparse and wide with more features, and no larger density
LARGE_SAMPLES = 30_000, 300_000  # above each, the network is twice as wide, and the ensemble half as large
ENSEMBLE_SAMPLES = 1_000_000  # most samples that the members of an ensemble train on, all together
LIFT_OF_RARE_CLASS = 0.1  # most that automatic label smoothing adds to a class, as a fraction of its frequency
FEW_SAMPLES = 40  # with fewer, nothing is held out, and each epoch is one step
MANY_SAMPLES = 10_000  # with more, one network holds samples out, float32 is precise enough, and batches grow
AUTO_BATCH_SIZE, LARGEST_AUTO_BATCH_SIZE = 64, 512
AVERAGING_EPOCHS = 3.0


@dataclass(frozen=True)
class DataFacts:
    """What `resolve` knows of the data."""

    n_samples: int  # without samples of weight zero; with those to hold out
    n_features: int
    n_inputs: int  # of the network: the rows of the encoding, or the features
    n_outputs: int  # of the network
    loss: str  # a name in `LOSSES`
    # the frequency of the rarest class times the number of classes. None for several labels at once.
    rarity: float | None = None
    embedding: tuple[int, ...] = ()  # of the encoding, as `Network` takes it
    density: float = 1.0  # the fraction of the numbers in X that are not 0; 1 if X is not sparse
    is_single: bool = False  # whether X has at most 32 bits for a number
    is_far_from_zero: bool = False  # whether a feature lies so far from zero that float32 cannot resolve it
    has_validation_set: bool = False  # whether the user gives validation data

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


def resolve(
    settings: Settings,
    facts: DataFacts,
    earlier: Network | None = None,
    earlier_dtype: np.dtype[Any] | None = None,
    *,
    may_hold_out: bool = True,
) -> Plan:
    """Return the plan of a training. Where training continues, "auto" stands for what it stood for before."""
    is_automatic = is_auto(settings["hidden_layer_dims"]) and not settings["optimizer"].full_batch
    chosen = {name: settings[name] if not is_auto(settings[name]) else AUTO[name][not is_automatic] for name in AUTO}
    n = facts.n_samples
    if is_automatic and facts.is_wide_sparse:
        chosen |= {name: value for name, value in AUTO_WIDE_SPARSE.items() if is_auto(settings[name])}
    if earlier is not None:
        before = {"hidden_layer_dims": earlier.layer_dims[1:-1], "ensemble_size": earlier.ensemble_size}
        chosen |= {name: value for name, value in before.items() if is_auto(settings[name])}
        if is_auto(settings["activation"]) and len(earlier.activation) == len(chosen["hidden_layer_dims"]):
            chosen["activation"] = earlier.activation
    elif is_automatic:
        n_doublings = sum(n > limit for limit in LARGE_SAMPLES)
        chosen["hidden_layer_dims"] = tuple(width * 2**n_doublings for width in chosen["hidden_layer_dims"])
        if is_auto(settings["ensemble_size"]):
            chosen["ensemble_size"] = max(min(chosen["ensemble_size"] // 2**n_doublings, ENSEMBLE_SAMPLES // n), 1)
    network = Network(
        (facts.n_inputs, *chosen["hidden_layer_dims"], facts.n_outputs),
        activation=chosen["activation"],
        loss=facts.loss,
        dropout_rate=settings["dropout_rate"],
        batch_norm=bool(settings["batch_norm"]),
        ensemble_size=int(chosen["ensemble_size"]),
        embedding=facts.embedding,
    )
    n_held_out = 0
    if may_hold_out and not facts.has_validation_set and holds_out(settings, n, network, is_automatic):
        n_held_out = math.ceil(settings["validation_fraction"] * n)
        if n_held_out >= n:
            given = f"n_samples = {n} and validation_fraction={settings['validation_fraction']!r}"
            wanted = f"early_stopping={settings['early_stopping']!r} needs samples to hold out and to train on"
            raise ValueError(f"{wanted}, got {given}.")
    validates = may_hold_out and (n_held_out > 0 or facts.has_validation_set)
    stops_by_validation = validates and bool(settings["early_stopping"])  # unless it is False
    return Plan(
        network,
        resolve_recipe(settings, chosen, facts, n - n_held_out, stops_by_validation),
        earlier_dtype or resolve_dtype(settings, facts, network),
        resolve_scale_inputs(settings, facts),
        n_held_out,
        stops_by_validation,
        chosen["n_iter_no_change"],
    )


def holds_out(settings: Settings, n_samples: int, network: Network, is_automatic: bool) -> bool:
    """Say whether samples are to be held out. What a member of an ensemble holds out, the other members train on."""
    if not is_auto(settings["early_stopping"]):
        return settings["early_stopping"]
    return n_samples >= FEW_SAMPLES if is_automatic or network.ensemble_size > 1 else n_samples > MANY_SAMPLES


def resolve_recipe(
    settings: Settings, chosen: dict[str, Any], facts: DataFacts, n_training: int, stops_by_validation: bool
) -> Recipe:
    """Return the recipe for `n_training` samples to train on; see `resolve`."""
    batch_size, averaging = settings["batch_size"], settings["weight_averaging"]
    schedule, label_smoothing = settings["learning_rate_schedule"], chosen["label_smoothing"]
    if is_auto(settings["label_smoothing"]):
        label_smoothing = min(label_smoothing, 0.0 if facts.rarity is None else LIFT_OF_RARE_CLASS * facts.rarity)
    if is_auto(batch_size):
        # a power of 2 that grows with the set, so that the number of steps in an epoch stays about the same
        growing = AUTO_BATCH_SIZE * 2 ** int(math.log2(max(n_training / MANY_SAMPLES, 1)))
        whole = n_training < FEW_SAMPLES and not stops_by_validation
        batch_size = None if whole else min(growing, LARGEST_AUTO_BATCH_SIZE)
    if is_auto(averaging):
        averaging = AVERAGING_EPOCHS if stops_by_validation else 0.0
    return Recipe(
        settings["optimizer"],
        learning_rate=float(chosen["learning_rate"]),
        schedule="constant" if schedule == REDUCE_ON_PLATEAU else schedule,
        batch_size=batch_size,
        weight_decay=float(chosen["weight_decay"]),
        label_smoothing=float(label_smoothing),
        max_grad_norm=settings["max_grad_norm"],
        shuffle=bool(settings["shuffle"]),
        averaging_epochs=float(averaging),
    )


def resolve_scale_inputs(settings: Settings, facts: DataFacts) -> str | None:
    """Return the name of the scaling, or None; see `resolve`."""
    if not is_auto(settings["scale_inputs"]):
        return settings["scale_inputs"]
    return "common" if facts.is_wide_sparse else "standard"


def resolve_numeric(settings: Settings, facts: DataFacts) -> NumericEncoding:
    """Return how numbers are encoded; see `resolve`."""
    n_bins = 16 if settings["numeric_encoding"] == "piecewise_linear" else 0
    return NumericEncoding(n_bins, resolve_scale_inputs(settings, facts))


def resolve_dtype(settings: Settings, facts: DataFacts, network: Network) -> np.dtype[Any]:
    """Return the precision to compute in; see `resolve`."""
    if not is_auto(settings["dtype"]):
        return settings["dtype"]
    enough = MANY_SAMPLES // 10 if network.ensemble_size > 1 else MANY_SAMPLES + 1
    is_enough = facts.n_samples >= enough or facts.is_wide_sparse
    is_single = facts.is_single or (is_enough and not facts.is_far_from_zero)
    return np.dtype(np.float32 if is_single else np.float64)
