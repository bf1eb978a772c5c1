"""Batches that are split into chunks for a pool of threads, and the threads of BLAS meanwhile."""

import threading
import time
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from training_cases import (
    COLUMNS,
    COLUMNS_OF_MEMBERS,
    PENALISED,
    SMALL_LAST,
    WEIGHT,
    M,
    draw_examples,
    fit,
    initial_state,
    recipe_of,
    validate_by,
)

from sklearn_deepnn.callbacks import Callback
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.model import model_forward
from sklearn_deepnn.threads import allowed_threads
from sklearn_deepnn.training import steps
from sklearn_deepnn.training.examples import Batches, Examples, cut
from sklearn_deepnn.training.loop import train
from sklearn_deepnn.training.optimizers import OPTIMIZERS, SGD

# Chunks of a batch.


@pytest.mark.parametrize("n_chunks", [2, 4])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("options", [{}, PENALISED, {"shuffle": False}], ids=["plain", "penalised", "unshuffled"])
@pytest.mark.parametrize("batch_size", [None, SMALL_LAST])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chunks_of_a_batch_train_as_the_whole_batch(
    examples, network, split_into, name, batch_size, options, sample_weight, n_chunks
):
    examples, recipe = examples._replace(sample_weight=sample_weight), recipe_of(name, batch_size=batch_size, **options)
    whole = fit(examples, network, recipe)
    sizes = split_into(n_chunks)
    chunks = fit(examples, network, recipe)
    assert sizes == [n_chunks]
    np.testing.assert_allclose(chunks.parameters.vector, whole.parameters.vector, rtol=0, atol=1e-12)
    np.testing.assert_allclose(chunks.history["cost"], whole.history["cost"], rtol=1e-12)


@pytest.mark.parametrize("n_chunks", [2, 4])
@pytest.mark.parametrize("batch_size", [None, SMALL_LAST])
@pytest.mark.parametrize("columns", [None, COLUMNS_OF_MEMBERS], ids=["all", "of each"])
def test_chunks_of_an_ensemble_s_batch_train_as_the_whole_batch(
    examples, network, split_into, columns, batch_size, n_chunks
):
    network, recipe = replace(network, ensemble_size=3), recipe_of("adam", batch_size=batch_size)
    examples = examples._replace(columns=columns, sample_weight=WEIGHT)
    whole = fit(examples, network, recipe)
    sizes = split_into(n_chunks)
    np.testing.assert_allclose(
        fit(examples, network, recipe).parameters.vector, whole.parameters.vector, rtol=1e-9, atol=1e-12
    )
    assert n_chunks in sizes


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chunks_are_drawn_from_the_columns_of_the_examples(examples, network, split_into, name):
    columns, recipe = COLUMNS, recipe_of(name, batch_size=5)
    spoilt = examples.X.copy()
    spoilt[:, np.setdiff1d(np.arange(M), columns)] = np.nan
    whole = fit(Examples(spoilt, examples.Y, WEIGHT, columns), network, recipe)
    split_into(4)
    chunks = fit(Examples(spoilt, examples.Y, WEIGHT, columns), network, recipe)
    np.testing.assert_allclose(chunks.parameters.vector, whole.parameters.vector, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", [None, SMALL_LAST])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_dropout_in_chunks_is_the_same_for_a_seed(examples, split_into, name, batch_size):
    network, recipe = Network((4, 5, 3), dropout_rate=0.3), recipe_of(name, batch_size=batch_size)
    sizes = split_into(4)
    first, second, other = (fit(examples, network, recipe, seed=seed) for seed in (0, 0, 1))
    assert sizes == [4, 4, 4]
    np.testing.assert_array_equal(first.parameters.vector, second.parameters.vector)
    assert first.history == second.history
    assert first.rng.bit_generator.state == second.rng.bit_generator.state
    assert not np.array_equal(first.parameters.vector, other.parameters.vector)


def test_different_units_drop_out_in_every_chunk_and_every_step(split_into, monkeypatch):
    masks = []

    def recorded(*arguments, **options):
        AL, caches = model_forward(*arguments, **options)
        masks.append(caches[0].dropout)
        return AL, caches

    split_into(4)
    monkeypatch.setattr(steps, "model_forward", recorded)
    network, recipe = Network((4, 8, 3), dropout_rate=0.5), recipe_of("sgd", batch_size=12)
    fit(draw_examples(m=24), network, recipe, n_epochs=2)
    assert [mask.shape for mask in masks] == [(8, 3)] * 16
    assert len({mask.tobytes() for mask in masks}) == 16


@pytest.mark.parametrize("kind", ["batch_norm", "sparse"])
def test_batch_normalised_and_sparse_batches_are_not_split(examples, network, split_into, kind):
    if kind == "sparse":
        examples = examples._replace(X=sparse.csc_array(examples.X))
    network, recipe = replace(network, batch_norm=kind == "batch_norm"), recipe_of("adam", batch_size=10)
    whole = fit(examples, network, recipe)
    sizes = split_into(4)
    np.testing.assert_array_equal(fit(examples, network, recipe).parameters.vector, whole.parameters.vector)
    assert sizes == [1]


def test_small_batches_are_split_into_fewer_chunks(examples, network, split_into, monkeypatch):
    sizes, n_bytes = split_into(4), initial_state(network).parameters.weights.nbytes
    cases = [(1, 1, 1, None), (3 * 10 * n_bytes // 2, 1, 1, 10), (1, 10, 5, 10), (1, 10, 6, None), (1, 12, 12, None)]
    for work, columns, columns_of_two, batch_size in cases:
        monkeypatch.setattr(steps, "WORK_OF_CHUNK", work)
        monkeypatch.setattr(steps, "CHUNK_COLUMNS", columns)
        monkeypatch.setattr(steps, "CHUNK_COLUMNS_OF_TWO", columns_of_two)
        fit(examples, network, recipe_of("sgd", batch_size=batch_size), n_epochs=1)
    assert sizes == [4, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("n_worthwhile", "n_chunks"), [(0, 1), (1, 1), (2, 2), (3, 2), (5, 4), (7, 4), (8, 8), (20, 8)]
)
def test_the_number_of_chunks_is_a_power_of_two(examples, network, monkeypatch, n_worthwhile, n_chunks):
    parameters = initial_state(network).parameters
    batches = Batches(examples, network, recipe_of("sgd", batch_size=None), np.float64)
    work = 3 * parameters.weights.nbytes * batches.size
    monkeypatch.setattr(steps, "WORK_OF_CHUNK", work // n_worthwhile if n_worthwhile else 2 * work)
    monkeypatch.setattr(steps, "CHUNK_COLUMNS", 1)
    monkeypatch.setattr(steps, "CHUNK_COLUMNS_OF_TWO", 1)
    assert steps.count_chunks(network, batches, parameters) == n_chunks


@pytest.mark.parametrize(("dtype", "n_0"), [(np.float32, 1000), (np.float64, 500)])
def test_batches_of_the_documented_work_are_cut(dtype, n_0):
    # 60 and 30 million multiplications: 3 products of 100 n_0 weights with 200 examples
    for n_features, n_chunks in ((n_0, 2), (n_0 - 1, 1)):
        network, examples = Network((n_features, 100)), Examples(np.zeros((n_features, 200)), np.zeros((1, 200)))
        batches = Batches(examples, network, recipe_of("sgd", batch_size=None), dtype)
        parameters = initial_state(network, dtype=dtype).parameters
        assert steps.count_chunks(network, batches, parameters) == n_chunks


# The number of threads.


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ({}, {}),
        ({"dropout_rate": 0.3}, {**PENALISED, "averaging_epochs": 1.0}),
        ({"batch_norm": True}, {}),
        ({"ensemble_size": 3, "activation": "silu"}, {"averaging_epochs": 1.0}),
    ],
    ids=["plain", "everything but", "batch_norm", "ensemble"],
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_number_of_threads_trains_the_same_bits(monkeypatch, name, architecture, options):
    if name == "lbfgs":
        options = {"label_smoothing": 0.1} if options else {}
    # 0.7 ms of products in a batch; as if that were worth four threads
    monkeypatch.setattr(steps, "WORK_OF_CHUNK", 1_000_000)
    monkeypatch.setattr(steps, "SHARED_BLOCK_BYTES", 2**14)
    monkeypatch.setattr(steps, "COMPILED_BLOCK_BYTES", 2**12)
    X = np.random.default_rng(0).normal(size=(1100, 30)).astype(np.float32).T
    examples = Examples(X, X[:5].argmax(axis=0)[np.newaxis], np.linspace(0.5, 1.5, 1100))
    network, recipe, states = Network((30, 64, 48, 5), **architecture), recipe_of(name, batch_size=1024, **options), []
    for n_threads in (1, 2, 16):
        monkeypatch.setattr(steps, "allowed_threads", lambda n_threads=n_threads: n_threads)
        states.append(fit(examples, network, recipe, n_epochs=3, dtype=np.float32))
    for state in states[1:]:
        np.testing.assert_array_equal(state.parameters.vector, states[0].parameters.vector)
        assert state.history == states[0].history
        assert state.rng.bit_generator.state == states[0].rng.bit_generator.state


@pytest.mark.parametrize("n_chunks", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
def test_chunks_cover_every_position_once(n, n_chunks):
    chunks = [range(50)[chunk] for chunk in cut(slice(5, 5 + n), n_chunks)]
    assert [position for chunk in chunks for position in chunk] == [*range(5, 5 + n)]
    assert len(chunks) == min(n, n_chunks)
    assert max(map(len, chunks)) - min(map(len, chunks)) <= 1


@pytest.mark.parametrize("validated", [False, True])
def test_threads_write_nothing_after_ctrl_c(examples, network, split_into, monkeypatch, validated):
    recipe, validate = recipe_of("sgd"), {"validate": validate_by(range(9))} if validated else {}
    split_into(2)
    wanted = fit(examples, network, recipe, n_epochs=3, **validate)
    update, wait, main = SGD.update, Future.exception, threading.main_thread()
    helping, updates, interrupted = threading.Event(), [], []

    def slow_update(self, *arguments):
        updates.append(arguments)
        if len(updates) > 3 * 2:
            if threading.current_thread() is main:
                assert helping.wait(10)
            else:
                helping.set()
                while not interrupted:
                    time.sleep(0.001)
                time.sleep(0.05)  # without waiting, the state would have been restored before
        update(self, *arguments)

    def wait_interrupted(future):
        if helping.is_set() and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return wait(future)

    monkeypatch.setattr(SGD, "update", slow_update)
    monkeypatch.setattr(Future, "exception", wait_interrupted)
    state = initial_state(network)
    validate = {"validate": validate_by(range(9))} if validated else {}
    with pytest.raises(KeyboardInterrupt):
        train(state, examples, network, recipe, n_epochs=9, **validate)
    np.testing.assert_array_equal(state.parameters.vector, wanted.parameters.vector)
    assert state.history == wanted.history


# BLAS while training.


class Observer(Callback):
    """A callback that notes what it sees at each hook, and may raise."""

    def __init__(self, look, error=None):
        self.look, self.error, self.seen = look, error, []

    def on_train_begin(self, state):
        self.seen.append(self.look())

    def on_epoch_end(self, state):
        self.seen.append(self.look())
        if self.error is not None:
            raise self.error

    on_train_end = on_train_begin


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_blas_has_one_thread_while_training_and_its_own_afterwards(
    examples, network, split_into, blas_threads, n_chunks
):
    split_into(n_chunks)
    numbers, allowed = Observer(blas_threads), Observer(allowed_threads)
    fit(examples, network, recipe_of("adam", batch_size=10), n_epochs=2, callbacks=[numbers, allowed])
    assert numbers.seen == [{1}, {1}, {1}, {3}]
    assert allowed.seen == [3] * 4
    assert blas_threads() == {3}


@pytest.mark.parametrize("n_chunks", [1, 4])
def test_blas_gets_its_threads_back_after_a_failed_training(examples, network, split_into, blas_threads, n_chunks):
    sizes, watcher = split_into(n_chunks), Observer(blas_threads, LookupError())
    with pytest.raises(LookupError):
        fit(examples, network, recipe_of("adam"), callbacks=[watcher])
    assert sizes == [n_chunks]
    assert watcher.seen == [{1}, {1}, {3}]
    assert blas_threads() == {3}


def test_blas_has_one_thread_for_large_batches_that_cannot_be_split(examples, network, split_into, blas_threads):
    split_into(4)
    watcher = Observer(blas_threads)
    fit(examples, replace(network, batch_norm=True), recipe_of("adam"), n_epochs=1, callbacks=[watcher])
    assert watcher.seen == [{1}, {1}, {3}]
