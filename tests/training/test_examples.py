"""Examples and batches: the order of the examples, gathering, scaling, columns and weights."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from training_cases import COLUMNS, COLUMNS_OF_MEMBERS, WEIGHT, M, draw_examples, fit, recipe_of, unscale

from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.encoding import Codes, EncodedInputs, Encoding, Numbers
from sklearn_deepnn.network.scaling import Scaling
from sklearn_deepnn.training import examples as module
from sklearn_deepnn.training.costs import mean_cost
from sklearn_deepnn.training.examples import Batches, Examples, draw_batch
from sklearn_deepnn.training.optimizers import OPTIMIZERS

# Kinds of examples.


def test_class_numbers_and_one_hot_targets_train_alike(examples, network):
    one_hot = examples._replace(Y=np.eye(3)[:, examples.Y[0]])
    found, wanted = (fit(given, network, recipe_of("adam")) for given in (one_hot, examples))
    np.testing.assert_array_equal(found.parameters.vector, wanted.parameters.vector)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sparse_input_trains_as_dense_input_does(examples, network, name, container):
    examples = examples._replace(X=examples.X * (examples.X > 0))
    recipe = recipe_of(name, batch_size=10)
    found = fit(examples._replace(X=container(examples.X)), network, recipe)
    np.testing.assert_allclose(found.parameters.vector, fit(examples, network, recipe).parameters.vector, atol=1e-9)


def test_training_does_not_change_its_inputs(network, examples):
    X_before = examples.X.copy()
    fit(examples, network, recipe_of("adam", batch_size=5))
    np.testing.assert_array_equal(examples.X, X_before)


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_examples_that_are_not_in_columns_are_never_used(examples, network, name, batch_size):
    weight = np.random.default_rng(1).integers(0, 3, M) * 1.0
    columns, recipe = np.flatnonzero(weight), recipe_of(name, batch_size=batch_size)
    spoilt = examples.X.copy()
    spoilt[:, weight == 0] = np.nan
    found = fit(Examples(spoilt, examples.Y, weight, columns), network, recipe)
    kept = Examples(examples.X[:, columns], examples.Y[:, columns], weight[columns])
    np.testing.assert_allclose(found.parameters.vector, fit(kept, network, recipe).parameters.vector, rtol=1e-9)


def test_weights_of_one_change_nothing(examples, network):
    weighted = fit(examples._replace(sample_weight=np.ones(M)), network, recipe_of("adam", batch_size=5))
    np.testing.assert_allclose(
        weighted.parameters.vector,
        fit(examples, network, recipe_of("adam", batch_size=5)).parameters.vector,
        rtol=1e-12,
    )


@pytest.mark.parametrize("columns", [None, COLUMNS, COLUMNS_OF_MEMBERS], ids=["all", "some", "of members"])
def test_a_sample_is_spread_from_the_first_example_to_the_last(examples, columns):
    examples = examples._replace(columns=columns)
    members = np.arange(M)[examples.members]
    few = examples.spread_sample(4)
    assert few.n == 4
    np.testing.assert_array_equal(few.members[..., [0, -1]], members[..., [0, -1]])
    assert examples.spread_sample(examples.n) is examples  # no copy of a small set


def test_the_mean_weight_is_taken_over_the_columns(examples):
    assert examples.mean_weight() == 1
    assert examples.scaled_by(3.0) is examples
    weighted = examples._replace(sample_weight=np.arange(M), columns=np.array([2, 4]))
    assert weighted.mean_weight() == 3
    assert weighted.scaled_by(3.0).mean_weight() == 1
    assert weighted.n == 2


# The batches of an epoch.


def number_examples(columns=None):
    """Return examples whose input and weight are their own number."""
    return Examples(np.arange(M)[np.newaxis], np.zeros((1, M), int), np.arange(M), columns)


@pytest.mark.parametrize("columns", [None, COLUMNS])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 10, M, 1000, None])
def test_batches_visit_every_example_once_per_epoch(network, batch_size, shuffle, columns):
    numbered = number_examples(columns)
    recipe = recipe_of("sgd", batch_size=batch_size, shuffle=shuffle)
    batches, rng = Batches(numbered, network, recipe, np.float64), np.random.default_rng(0)
    wanted = np.arange(M) if columns is None else columns
    for _ in range(3):
        epoch = [batches.draw(positions) for positions in batches.epoch(rng)]
        assert len(epoch) == len(batches) == -(-len(wanted) // min(batch_size or M, len(wanted)))
        visited = np.concatenate([batch.A0[0] for batch in epoch])
        np.testing.assert_array_equal(np.sort(visited), np.sort(wanted))
        np.testing.assert_array_equal(np.concatenate([batch.sample_weight for batch in epoch]), visited)
        if not shuffle:
            np.testing.assert_array_equal(visited, wanted)


def test_shuffling_draws_a_new_order_for_each_epoch(network):
    numbered = number_examples()
    batches, rng = Batches(numbered, network, recipe_of("sgd", batch_size=5), np.float64), np.random.default_rng(0)
    orders = [[x for positions in batches.epoch(rng) for x in batches.draw(positions).A0[0]] for _ in range(3)]
    assert orders[0] != orders[1] != orders[2] != sorted(orders[2])


def test_each_member_of_an_ensemble_visits_its_examples_in_its_own_order(network):
    numbered = number_examples(COLUMNS_OF_MEMBERS)
    recipe = recipe_of("sgd", batch_size=5)
    batches = Batches(numbered, replace(network, ensemble_size=3), recipe, np.float64)
    epoch = [batches.draw(positions) for positions in batches.epoch(np.random.default_rng(0))]
    visited = np.concatenate([batch.A0[:, 0] for batch in epoch], axis=1)
    np.testing.assert_array_equal(np.concatenate([batch.sample_weight for batch in epoch], axis=1), visited)
    np.testing.assert_array_equal(np.sort(visited), np.sort(COLUMNS_OF_MEMBERS))
    orders = [[of_member.tolist().index(n) for n in seen] for of_member, seen in zip(COLUMNS_OF_MEMBERS, visited)]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_targets_stay_with_their_examples(network):
    X = np.arange(M)[np.newaxis] * 1.0
    batches = Batches(Examples(X, X.astype(int) % 3), network, recipe_of("sgd", batch_size=5), np.float64)
    for positions in batches.epoch(np.random.default_rng(0)):
        batch = batches.draw(positions)
        np.testing.assert_array_equal(batch.Y.argmax(axis=0), batch.A0[0] % 3)


def test_batch_normalisation_never_gets_a_last_batch_of_one_example(network):
    recipe, examples = recipe_of("sgd", batch_size=11), draw_examples(m=23)
    assert [p.stop - p.start for p in Batches(examples, network, recipe, np.float64).slices] == [11, 11, 1]
    network = replace(network, batch_norm=True)
    assert [p.stop - p.start for p in Batches(examples, network, recipe, np.float64).slices] == [11, 12]


@pytest.mark.parametrize("batch_size", [1, 1000])
def test_one_example_can_be_trained_on_with_batch_normalisation(network, batch_size):
    network = replace(network, batch_norm=True)
    state = fit(draw_examples(m=1), network, recipe_of("adam", batch_size=batch_size))
    assert state.is_finite


def test_full_batch_optimizers_ignore_the_batch_size(network, examples):
    assert len(Batches(examples, network, recipe_of("lbfgs", batch_size=2), np.float64)) == 1


# Scaled inputs.


@pytest.mark.parametrize("ready_bytes", [0, 2**20])
@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"ensemble_size": 3}], ids=str)
@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_raw_examples_with_a_scaling_train_as_scaled_examples(
    examples, network, monkeypatch, name, options, container, ready_bytes
):
    monkeypatch.setattr(module, "READY_BYTES", ready_bytes)
    network, recipe = replace(network, **options), recipe_of(name, batch_size=10)
    raw = unscale(examples)
    raw = raw._replace(X=container(raw.X)).ready_for(np.float64)
    assert (raw.scaling is None) == (isinstance(raw.X, np.ndarray) and ready_bytes > 0)
    found, wanted = fit(raw, network, recipe), fit(examples, network, recipe)
    np.testing.assert_allclose(found.parameters.vector, wanted.parameters.vector, atol=1e-8)
    costs = (mean_cost(given, wanted.parameters, network) for given in (raw, examples))
    assert next(costs) == pytest.approx(next(costs), rel=1e-10)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
def test_sparse_examples_that_keep_their_zeros_are_scaled_once(examples, container):
    X = examples.X * (examples.X > 0)
    scale = 1.0 + np.arange(len(X))[:, np.newaxis]
    raw = examples._replace(X=container(X), scaling=Scaling(np.zeros_like(scale), scale))
    ready = raw.ready_for(np.float32)
    assert ready.scaling is None
    assert ready.X.dtype == np.float32
    np.testing.assert_allclose(ready.X.toarray(), X / scale, rtol=1e-6)
    np.testing.assert_array_equal(raw.X.toarray(), X)


def test_scaling_does_not_change_the_raw_inputs(examples, network, monkeypatch):
    for ready_bytes in (0, 2**20):
        monkeypatch.setattr(module, "READY_BYTES", ready_bytes)
        raw = unscale(examples)
        before = raw.X.copy()
        fit(raw.ready_for(np.float64), network, recipe_of("adam", batch_size=5))
        np.testing.assert_array_equal(raw.X, before)


@pytest.mark.parametrize("inputs", ["scaled", "encoded"])
def test_inputs_that_are_ready_have_each_example_in_one_piece(inputs):
    X = np.random.default_rng(0).normal(size=(3, 20_000))
    examples, unit = Examples(X, np.zeros((1, X.shape[1]))), (np.zeros((3, 1)), np.full((3, 1), 2.0))
    if inputs == "encoded":
        parts = {
            "numbers": Numbers(np.arange(3), *unit, np.full((3, 1), np.inf)),
            "codes": Codes(np.array([0]), np.array([[0]]), 2),
        }
        raw = examples._replace(X=EncodedInputs(X, Encoding(*unit, parts, embedding_dim=4)))
    else:
        raw = examples._replace(scaling=Scaling(*unit))
    ready = raw.ready_for(np.float32)
    assert ready.X.flags.f_contiguous
    wanted = draw_batch(raw, slice(None), Network((3, 1)), np.float32).A0
    np.testing.assert_array_equal(ready.X, wanted)


# Several batches gathered at once.


@pytest.mark.parametrize("gathered_bytes", [300, 2**20], ids=["some", "all"])
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"batch_size": None}], ids=str)
@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("n_chunks", [1, 2])
def test_batches_gathered_at_once_train_as_batches_gathered_one_by_one(
    examples, network, monkeypatch, split_into, gathered_bytes, options, ensemble_size, batch_norm, n_chunks
):
    network = replace(network, ensemble_size=ensemble_size, batch_norm=batch_norm)
    examples = unscale(examples)._replace(
        sample_weight=WEIGHT, columns=None if ensemble_size == 1 else COLUMNS_OF_MEMBERS
    )
    recipe = recipe_of("adam", **{"batch_size": 2, "label_smoothing": 0.1} | options)
    split_into(n_chunks)
    monkeypatch.setattr(module, "GATHERED_BYTES", 0)
    wanted = fit(examples, network, recipe)
    monkeypatch.setattr(module, "GATHERED_BYTES", gathered_bytes)
    np.testing.assert_array_equal(fit(examples, network, recipe).parameters.vector, wanted.parameters.vector)


@pytest.mark.parametrize("n_chunks", [1, 2])
@pytest.mark.parametrize(("batch_size", "n_wanted"), [(1, 3), (2, 3), (4, 3), (M, 1), (None, 1)])
def test_several_batches_are_gathered_at_once(
    examples, network, monkeypatch, split_into, batch_size, n_wanted, n_chunks
):
    drawn = []
    split_into(n_chunks)

    def recorded(examples, columns, **options):
        drawn.append(columns)
        return draw_batch(examples, columns, **options)

    monkeypatch.setattr(module, "draw_batch", recorded)
    monkeypatch.setattr(module, "GATHERED_BYTES", 8 * (4 + 3) * 8)  # eight examples of four inputs and three outputs
    fit(examples, network, recipe_of("sgd", batch_size=batch_size), n_epochs=1)
    assert len(drawn) == n_wanted
    assert max(map(np.size, drawn)) <= 8 or n_wanted == 1


def test_gathering_takes_little_memory_with_many_classes(peak_bytes):
    network, m = Network((2, 500)), 20_000
    examples = Examples(np.zeros((m, 2), np.float32).T, np.arange(m)[np.newaxis] % 500)
    recipe = recipe_of("sgd", batch_size=32)
    batches = Batches(examples, network, recipe, np.dtype(np.float32))
    (first, *_) = batches.epoch(np.random.default_rng(0))
    assert peak_bytes(batches.draw, first) < 3 * module.GATHERED_BYTES < m * 500
