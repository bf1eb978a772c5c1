"""One update: `GradientStep` by the gradient of a batch, `LineSearchStep` by a search along a line.

`train` calls `backpropagate` and then `update` for every batch. Both steps read the parameters from the state each time
and hold no views of them: a callback may replace them between two epochs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import issparse

from ..network.architecture import Network
from ..network.kernels import compiled_network
from ..network.model import LayerCache, model_backward, model_forward, running_statistics
from ..network.parameters import Parameters
from ..threads import SINGLE_THREADED_BLAS, ThreadPool, allowed_threads
from ..typing import Array, State
from .costs import Outputs
from .examples import Batches, cut
from .optimizers import advance, block_of
from .recipe import Recipe
from .regularizers import clip_by_global_norm, l2_gradient, l2_penalty
from .state import TrainingState
from .updates import MakeRule, Vectors, compiled_rule, move_average, take_compiled_step, take_numpy_step

RUNNING_MOMENTUM = 0.9  # of the running statistics of batch normalisation
BLOCK_BYTES = 2**18  # parameters that are updated together: they fit the cache with gradient, moments and average
SHARED_BLOCK_BYTES = 2**20  # the same for several threads, which wait for each other between operations on a block
# Least bytes of gradients, those of all chunks, for a thread with a compiled loop: a loop takes 0.3 ms, and waking a
# thread 0.1 ms.
COMPILED_BLOCK_BYTES = 2**21
FLUSH_STEPS = 100  # steps between two searches for subnormal numbers; Adam's mean takes about 800 to become subnormal
AVERAGING_START = 5.0  # the time constant of the average is at most about t / 5 at step t
# Least work of a chunk: 3 * bytes of weights * examples, where 3 counts the products that each weight is in. It takes
# 0.5 to 1 ms, and waking a thread up to 0.1 ms. With half of it, two chunks of 256 examples (50-128-128-1) take 0.87
# times as long as one on an idle machine, but 1.46 times as long on a busy one.
WORK_OF_CHUNK = 120_000_000
# Examples of a chunk. On one thread, two chunks of 128 take 1.19 times as long as one of 256, and two of 256 take 1.13
# times as long as one of 512; chunks of 512 and more take 1.04 times as long.
CHUNK_COLUMNS = 256
CHUNK_COLUMNS_OF_TWO = 64  # the same if there are only two chunks
MOST_CHUNKS = 8  # each chunk has a gradient of its own, as large as the weights


def count_chunks(network: Network, batches: Batches, parameters: Parameters) -> int:
    """Return the number of chunks that a batch is cut into: it depends on the work, not on the number of threads."""
    # batch statistics need the whole batch, and sparse products hold Python's lock
    if network.batch_norm or issparse(batches.examples.X):
        return 1
    n_worthwhile = 3 * parameters.weights.nbytes * batches.size // WORK_OF_CHUNK
    n_efficient = max(batches.size // CHUNK_COLUMNS, min(batches.size // CHUNK_COLUMNS_OF_TWO, 2))
    n_chunks = max(1, min(n_worthwhile, n_efficient, MOST_CHUNKS))
    # a power of 2: two or four threads take as long for seven chunks as for eight
    return 1 << (n_chunks.bit_length() - 1)


@contextmanager
def threads_for(network: Network, batches: Batches, parameters: Parameters) -> Iterator[ThreadPool]:
    """Hold the thread pool of a training, with at most one thread for each chunk, and single-threaded BLAS."""
    # BLAS on two threads rounds otherwise than on one: the bits of a result would depend on the number of threads
    n_threads = min(count_chunks(network, batches, parameters), allowed_threads())
    with SINGLE_THREADED_BLAS.hold(), ThreadPool(n_threads) as pool:
        yield pool


@dataclass(eq=False)
class Step:
    """What both steps need: forward and backward over a batch, which may be cut into chunks."""

    state: TrainingState  # `update` changes its parameters and its optimizer_state
    batches: Batches
    network: Network
    recipe: Recipe
    pool: ThreadPool

    def __post_init__(self) -> None:
        n_chunks = count_chunks(self.network, self.batches, self.state.parameters)
        grads = [self.state.parameters.gradients() for _ in range(n_chunks)]
        self.gradients = [of_chunk.vector for of_chunk in grads]  # their sum is the gradient of the batch
        self._views = [dict(of_chunk) for of_chunk in grads]  # plain dicts are faster to write to
        self.caches: list[LayerCache] = []  # of the last batch, with batch normalisation

    def use_loops(self) -> None:
        """Use compiled loops from now on, where there are any: the bits stay the same."""
        self.network = compiled_network(self.network, self.state.parameters.vector.dtype)

    def backpropagate(
        self,
        positions: slice,
        parameters: Parameters | None = None,  # by default those of the state
        rng: np.random.Generator | None = None,  # draws which units drop out; by default that of the state
        *,
        m: int | None = None,  # examples in the batch, if `positions` is a chunk of it
        out: dict[str, Array] | None = None,  # where to write the gradients of a chunk
    ) -> list[Outputs]:
        """Draw a batch, go forward and backward, and return the outputs of each chunk. Sets: gradients, caches."""
        parameters = self.state.parameters if parameters is None else parameters
        rng = self.state.rng if rng is None else rng
        if out is None and len(self.gradients) > 1:
            return self._backpropagate_in_chunks(positions, parameters, rng)
        self.caches = []  # as large as all activations: free them before the next forward pass
        A0, Y, sample_weight = self.batches.draw(positions)
        AL, caches = model_forward(A0, parameters, self.network, training=True, rng=rng, sample_weight=sample_weight)
        out = self._views[0] if out is None else out
        model_backward(AL, Y, caches, self.network, sample_weight=sample_weight, m=m, out=out)
        if self.network.batch_norm:
            self.caches = caches
        return [Outputs(AL, caches[-1].activation, Y, sample_weight)]

    def _backpropagate_in_chunks(
        self, positions: slice, parameters: Parameters, rng: np.random.Generator
    ) -> list[Outputs]:
        n_chunks, m = len(self.gradients), positions.stop - positions.start
        chunks = cut(positions, n_chunks)
        for gradient in self.gradients[len(chunks) :]:  # of a last batch with fewer examples than chunks
            gradient.fill(0)
        rngs = [rng] * n_chunks  # without dropout, nothing is drawn; with dropout, chunks cannot share a generator
        if any(self.network.dropout_rate):
            rngs = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=n_chunks)]

        def of_chunk(chunk: slice, rng: np.random.Generator, out: dict[str, Array]) -> Outputs:
            return self.backpropagate(chunk, parameters, rng, m=m, out=out)[0]

        return self.pool.map(of_chunk, chunks, rngs, self._views)

    def whole_gradient(self) -> Array:
        """Return the gradient of the batch, the sum of its chunks'. Sets: gradients[0], which is returned."""
        for gradient in self.gradients[1:]:
            self.gradients[0] += gradient
        return self.gradients[0]

    def update_running_statistics(self, momentum: float) -> None:
        """Move the running statistics towards those of the last batch. Sets: state.parameters."""
        parameters = self.state.parameters
        parameters.assign(running_statistics(parameters, self.caches, momentum))


class GradientStep(Step):
    """Update by the gradient of a batch: clipping, decoupled weight decay, the optimizer's rule, averaging."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.make_rule: MakeRule | None = None
        self.blocks = self._blocks()
        recipe = self.recipe
        # 1 - exp(-1 / n): the rate of an exponential moving average with a time constant of n steps
        n_steps = recipe.averaging_epochs * len(self.batches)
        self.averaging_rate = -math.expm1(-1 / n_steps) if recipe.averages else 0.0

    def use_loops(self) -> None:
        """Use compiled loops from now on, where there are any: the bits stay the same."""
        super().use_loops()
        self.make_rule = compiled_rule(self.recipe.optimizer, self.state.parameters.trainable)
        self.blocks = self._blocks()

    def _blocks(self) -> list[slice]:
        """Return the blocks of parameters that are updated one after the other, or by different threads."""
        # an elementwise optimizer updates block by block: a block stays in the cache from one operation to the next,
        # and threads share the blocks
        trainable, n_threads, n_blocks = self.state.parameters.trainable, self.pool.n_threads, 1
        if self.make_rule is not None:  # the passes over memory: one for the loop, one to add each further gradient
            n_blocks = max(1, min(trainable.nbytes * len(self.gradients) // COMPILED_BLOCK_BYTES, n_threads))
        elif self.recipe.optimizer.elementwise:
            n_blocks = math.ceil(trainable.nbytes / (SHARED_BLOCK_BYTES if n_threads > 1 else BLOCK_BYTES))
            n_blocks += -n_blocks % n_threads  # as many for each thread
        return cut(slice(0, trainable.size), n_blocks)

    def update(self, learning_rate: float) -> None:
        """Update the state by the gradients of the last batch."""
        state, recipe, gradients, averaging_rate = self.state, self.recipe, self.gradients, self.averaging_rate
        if self.network.batch_norm:
            # the mean of all batches until there are ten: initial values of 0 and 1 would show in the first epochs
            self.update_running_statistics(min(RUNNING_MOMENTUM, state.step / (state.step + 1)))
        if recipe.max_grad_norm is not None:
            gradients = [self.whole_gradient()]
            # the root mean square norm over the members of an ensemble is clipped
            max_norm = recipe.max_grad_norm * math.sqrt(self.network.ensemble_size)
            clip_by_global_norm(gradients[0], max_norm, out=gradients[0])
        if state.average is not None:
            averaging_rate = max(averaging_rate, AVERAGING_START / (AVERAGING_START + state.step))
            if self.network.batch_norm:
                statistics = slice(state.average.trainable.size, None)
                move_average(state.average.vector[statistics], state.parameters.vector[statistics], averaging_rate)
        if len(self.blocks) == 1:
            self._update_block(gradients, learning_rate, averaging_rate)
        else:
            update_block = partial(self._update_block, gradients, learning_rate, averaging_rate)
            of_blocks = self.pool.map(update_block, self.blocks)
            advance(state.optimizer_state or {}, of_blocks[0])  # numbers are the same in all blocks

    def _update_block(
        self, gradients: list[Array], learning_rate: float, averaging_rate: float, block: slice | None = None
    ) -> State:
        """Update a block, or all parameters; return the optimizer's state of the block. Sets: state."""
        state, parameters = self.state, self.state.parameters
        trainable, weights, optimizer_state = parameters.trainable, parameters.weights, state.optimizer_state or {}
        average = None if state.average is None else state.average.trainable
        if block is not None:
            trainable, weights, optimizer_state = trainable[block], weights[block], block_of(optimizer_state, block)
            gradients = [gradient[block] for gradient in gradients]
            average = None if average is None else average[block]
        gradient, *others = gradients
        for other in others:
            gradient += other  # in place: the next batch overwrites the gradients
        vectors = Vectors(trainable, weights, gradient, average)
        flushes = state.step % FLUSH_STEPS == 0
        recipe = self.recipe
        if self.make_rule is None:
            take_numpy_step(recipe, vectors, optimizer_state, learning_rate, averaging_rate, flushes=flushes)
        else:
            rule = self.make_rule(recipe.optimizer, optimizer_state, learning_rate)
            take_compiled_step(rule, recipe, vectors, learning_rate, averaging_rate, flushes=flushes)
        return optimizer_state


class LineSearchStep:
    """Update by an optimizer that searches along a line and evaluates the whole set repeatedly, such as L-BFGS."""

    def __init__(
        self, state: TrainingState, batches: Batches, network: Network, recipe: Recipe, pool: ThreadPool
    ) -> None:
        self.state, self.network, self.recipe = state, network, recipe
        self.at_trial = Step(state, batches, network, recipe, pool)
        self.trial = state.parameters.copy()
        self.positions, self.mask_seed = slice(0, batches.size), 0
        # where `objective` was evaluated last, and what it found there
        self._vector: Array | None = None
        self._cost, self._gradient, self._outputs = math.nan, self.at_trial.gradients[0], list[Outputs]()

    def use_loops(self) -> None:
        """Use compiled loops from now on, where there are any: the bits stay the same."""
        self.at_trial.use_loops()

    def backpropagate(self, positions: slice) -> list[Outputs]:
        """Evaluate the objective at the parameters of the state. Return the outputs there. Sets: positions."""
        self.positions = positions
        if any(self.network.dropout_rate):
            self.mask_seed = int(self.state.rng.integers(2**32))  # the same units drop out along the whole search
            self._vector = None
        self.objective(self.state.parameters.trainable)
        return self._outputs

    def update(self, learning_rate: float) -> None:
        """Search along a line, and move there. Sets: state.parameters, state.optimizer_state."""
        parameters = self.state.parameters
        _, gradient = self.objective(parameters.trainable)
        self.recipe.optimizer.update(
            parameters.trainable, gradient, self.state.optimizer_state, learning_rate, objective=self.objective
        )
        if self.network.batch_norm:
            self.objective(parameters.trainable)
            self.at_trial.update_running_statistics(momentum=0.0)

    def objective(self, vector: Array) -> tuple[float, Array]:
        """Return cost plus penalty, and their gradient, at parameters given as a vector. The last result is kept."""
        trial, weight_decay = self.trial, self.recipe.weight_decay  # here a penalty: part of the cost
        vector = vector.astype(trial.vector.dtype)
        if self._vector is None or not np.array_equal(self._vector, vector):
            trial.trainable[...] = vector
            self._outputs = self.at_trial.backpropagate(self.positions, trial, np.random.default_rng(self.mask_seed))
            self._cost = Outputs.joined(self._outputs).cost(self.network.loss_function) * self.network.ensemble_size
            self._vector, self._gradient = vector, self.at_trial.whole_gradient().copy()
            self._gradient[: trial.weights.size] += l2_gradient(trial.weights, weight_decay)
        return self._cost + l2_penalty(trial.weights, weight_decay), self._gradient
