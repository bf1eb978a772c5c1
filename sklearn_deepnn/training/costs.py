"""What a network costs on a set of examples.

Conventions: columns are examples; the members of an ensemble are stacked on a first axis.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Self, TypeVar

import numpy as np

from ..network.architecture import Network
from ..network.ensemble import joint_logits
from ..network.losses import Loss, compute_cost
from ..network.prediction import map_logits
from ..network.scaling import fold_scaling
from ..typing import Array, Arrays
from .examples import Examples, draw_targets

T = TypeVar("T")

UNIT_COST = 0.5  # the squared error, halved, of predicting the mean of targets with a variance of 1
N_BASELINE = 10_000  # most examples that tell what constants cost
COST_NUMBERS = 2**14  # outputs that wait until the cost of all of them is computed at once


class Outputs(NamedTuple):
    """What the network returns for some examples, AL and ZL (n_L, m), with their targets Y and sample_weight."""

    AL: Array
    ZL: Array
    Y: Array
    sample_weight: Array | None

    def cost(self, loss: str | Loss) -> float:
        """Return the cost of the examples; see `compute_cost`."""
        return compute_cost(self.AL, self.Y, ZL=self.ZL, loss=loss, sample_weight=self.sample_weight)

    @classmethod
    def joined(cls, chunks: Iterable[Self]) -> Self:
        """Return the outputs of all examples in some chunks."""
        first, *others = chunks
        if not others:
            return first
        AL, ZL, Y, weights = zip(first, *others)
        weight = None if weights[0] is None else np.concatenate(weights, axis=-1)
        AL, ZL, Y = (np.concatenate(arrays, axis=-1) for arrays in (AL, ZL, Y))
        return cls(AL, ZL, Y, weight)


class CostMeter:
    """The mean cost of an epoch. Outputs of several batches are joined before their cost is computed: fewer calls."""

    def __init__(self, loss: str | Loss) -> None:
        self.loss, self.total, self.total_weight = loss, 0.0, 0.0
        self._waiting: list[Outputs] = []
        self._n_waiting = 0

    def add(self, chunks: Iterable[Outputs]) -> None:
        """Add the outputs of a batch, which may come in chunks."""
        for outputs in chunks:
            self._waiting.append(outputs)
            self._n_waiting += outputs.AL.size
            if self._n_waiting >= COST_NUMBERS:
                self._accumulate()

    def mean(self) -> float:
        """Return the weighted mean cost of all examples so far; 0 if their weights are all 0."""
        self._accumulate()
        return self.total / (self.total_weight or 1.0)

    def _accumulate(self) -> None:
        if not self._waiting:
            return
        outputs = Outputs.joined(self._waiting)
        n = outputs.Y.shape[-1]
        self.total += outputs.cost(self.loss) * n
        self.total_weight += n if outputs.sample_weight is None else n * float(outputs.sample_weight.mean())
        self._waiting, self._n_waiting = [], 0


def mean_cost(examples: Examples, parameters: Arrays, network: Network) -> float:
    """Return the weighted mean cost of predictions: without dropout, label smoothing or penalty."""
    # The cost of an ensemble is that of its joint predictions. If each member has examples of its own, it is the mean
    # of the members' costs.
    loss = network.loss_function

    def cost_and_weight(ZL: Array, Y: Array, weight: Array) -> tuple[float, float]:
        return float(np.vdot(loss.losses(ZL, Y), weight)), float(weight.sum())

    total, total_weight = map(sum, zip(*map_outputs(cost_and_weight, examples, parameters, network)))
    return total / total_weight


def map_outputs(
    function: Callable[[Array, Array, Array], T], examples: Examples, parameters: Arrays, network: Network
) -> list[T]:
    """Return function(ZL, Y, weight) for each chunk of examples, in order. Weights are 1 if there are none."""

    def of_chunk(chunk: slice, ZL: Array) -> T:
        columns = examples.at(chunk)
        Y = draw_targets(examples, columns, network, ZL.dtype)
        # the logits of an ensemble are joint ones, except where each member has examples of its own
        ZL = ZL if np.ndim(columns) == 2 else joint_logits(ZL, network.loss_function)
        weight = np.ones(ZL[..., 0, :].shape) if examples.sample_weight is None else examples.sample_weight[columns]
        return function(ZL, Y, weight)

    parameters = fold_scaling(parameters, examples.scaling)
    return map_logits(of_chunk, examples.X, parameters, network, examples.columns)


def baseline_loss(examples: Examples, network: Network, training: Examples | None = None) -> float:
    """Return the cost on the examples of the best constant prediction: that of a training set, or of the examples."""
    loss = network.loss_function
    Y, weight = targets_and_weights(examples, network)
    constant = loss.best_constant(Y, weight)
    if training is not None:
        constant = loss.best_constant(*targets_and_weights(training, network))
        constant = loss.attainable(constant, training.n)
    AL = np.broadcast_to(constant, Y.shape)
    return compute_cost(AL, Y, loss=loss, sample_weight=weight[..., 0, :] / weight.mean())


def uninformed_cost(examples: Examples, network: Network) -> float:
    """Return the cost of a prediction that knows nothing: of uniform probabilities, or of the best constant."""
    known = network.loss_function.uninformed_cost(network.layer_dims[-1])
    # The baseline of a small part of the data, or of targets that hardly vary, may be almost 0. Every network would
    # exceed it, hence the lower bound.
    return max(baseline_loss(examples.spread_sample(N_BASELINE), network), UNIT_COST) if known is None else known


def cost_unit(examples: Examples, network: Network) -> float:
    """Return the unit of tolerances of the cost: 1, or less where scaled targets vary by little."""
    if network.loss_function.has_unit_spread:
        return 1.0
    return min(baseline_loss(examples.spread_sample(N_BASELINE), network) / UNIT_COST, 1.0)


def targets_and_weights(examples: Examples, network: Network) -> tuple[Array, Array]:
    """Return Y (n_L, m) and sample weights (1, m), stacked for members with examples of their own."""
    Y, weight = draw_targets(examples, examples.members, network, np.float64), examples.sample_weight
    weight = np.ones_like(Y[..., :1, :]) if weight is None else weight[examples.members][..., np.newaxis, :]
    return Y, weight
