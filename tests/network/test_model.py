import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import reference
from scipy import sparse

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network import model as network_module
from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.initializers import INITIALIZERS
from sklearn_deepnn.network.layers import EPSILON
from sklearn_deepnn.network.losses import LOSSES, compute_cost
from sklearn_deepnn.network.model import (
    Network,
    fold_batch_norm,
    initialize_parameters,
    logits_backward,
    logits_forward,
    map_logits,
    model_backward,
    model_forward,
    running_statistics,
    take_columns,
)

HIDDEN_DIMS = [(), (5,), (5, 4, 3)]
OUTPUTS = [("sigmoid", 1), ("sigmoid", 3), ("softmax", 3)]
LOSS_OF = {loss.out_activation: name for name, loss in LOSSES.items()}
M = 6


def draw_parameters(layer_dims, seed=0, **options):
    """Return parameters of which none is zero or one, statistics included."""
    parameters = initialize_parameters(layer_dims, rng=seed, **options)
    parameters.vector[:] += np.random.default_rng(seed).uniform(0.1, 0.5, parameters.vector.size)
    return parameters


def draw_examples(n_inputs=4, n_outputs=3, m=M, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_inputs, m)), np.eye(max(n_outputs, 2))[:n_outputs, rng.integers(n_outputs, size=m)]


# What a network is.


def test_the_default_network_is_the_course_s():
    parameters = initialize_parameters([4, 5, 1], rng=0)
    X, Y = draw_examples(n_outputs=1)
    AL, caches = model_forward(X, parameters)
    network = Network((4, 5, 1), activation="relu", loss="binary_cross_entropy", dropout_rate=0.0, batch_norm=False)
    assert Network.of([parameters["W1"], parameters["W2"]]) == network
    np.testing.assert_array_equal(AL, model_forward(X, parameters, network)[0])
    for name, dW in model_backward(AL, Y, caches).items():
        np.testing.assert_array_equal(dW, model_backward(AL, Y, caches, network)[name])


@pytest.mark.parametrize(("n_outputs", "output"), [(1, "sigmoid"), (2, "softmax"), (3, "softmax")])
def test_the_default_loss_goes_by_the_number_of_outputs(n_outputs, output):
    assert Network((4, 5, n_outputs)).loss == LOSS_OF[output]


def test_one_entry_stands_for_all_hidden_layers():
    network = Network([4, 5, 6, 1], activation="tanh", dropout_rate=0.5)
    assert network == Network((4, 5, 6, 1), activation=["tanh", "tanh"], dropout_rate=[0.5, 0.5])
    assert network.n_layers == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layer_dims", (4,)), ("layer_dims", (4, 0, 1)), ("layer_dims", (4, 2.5, 1)), ("layer_dims", (4, True, 1)),
        ("activation", "step"), ("activation", None), ("activation", ("relu",)), ("activation", ("relu", "step")),
        ("loss", "hinge"), ("dropout_rate", 1.0), ("dropout_rate", None), ("dropout_rate", "half"),
        ("dropout_rate", (0.1, 0.1, 0.1)), ("dropout_rate", (0.1, -0.1)), ("batch_norm", 1),
        ("ensemble_size", 0), ("ensemble_size", 1.5), ("ensemble_size", None), ("ensemble_size", True),
    ],
)  # fmt: skip
def test_bad_entries_are_rejected_by_name(name, value):
    with pytest.raises(InvalidParameterError, match=rf"{name} must be .*, got "):
        Network(**({"layer_dims": (4, 5, 6, 1)} | {name: value}))


def test_a_network_is_restored_from_lists_numbers_and_strings():
    network = Network((4, 5, 6, 1), activation=("tanh", "relu"), dropout_rate=0.5, batch_norm=True)
    fields = network.to_dict()
    assert {type(value) for value in fields.values()} <= {list, str, bool, int}
    assert Network.restore(fields) == network
    assert Network(**fields) == network


# Start values.


def test_parameters_have_the_course_s_names_and_shapes():
    parameters = initialize_parameters([4, 5, 3, 1], rng=0)
    shapes = {"W1": (5, 4), "b1": (5, 1), "W2": (3, 5), "b2": (3, 1), "W3": (1, 3), "b3": (1, 1)}
    assert {name: array.shape for name, array in parameters.items()} == shapes
    assert parameters.vector.dtype == np.float64
    assert not any(parameters[f"b{l}"].any() for l in (1, 2, 3))


def test_parameters_of_batch_normalisation_start_as_the_identity():
    parameters = initialize_parameters([4, 5, 1], batch_norm=True, rng=0)
    assert set(parameters) == {"W1", "gamma1", "beta1", "running_mean1", "running_variance1", "W2", "b2"}
    assert (parameters["gamma1"] == 1).all()
    assert (parameters["running_variance1"] == 1).all()
    assert not parameters["beta1"].any()
    assert not parameters["running_mean1"].any()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_can_be_asked_for(name):
    parameters, rng = initialize_parameters([4, 5, 3], weight_init=name, rng=0), np.random.default_rng(0)
    np.testing.assert_array_equal(parameters["W1"], INITIALIZERS[name]((5, 4), rng))
    np.testing.assert_array_equal(parameters["W2"], INITIALIZERS[name]((3, 5), rng))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_auto_takes_the_initializer_that_suits_the_activation(name):
    parameters, rng = initialize_parameters([4, 5, 3], activation=name, rng=0), np.random.default_rng(0)
    np.testing.assert_array_equal(parameters["W1"], INITIALIZERS[ACTIVATIONS[name].initializer]((5, 4), rng))
    np.testing.assert_array_equal(parameters["W2"], INITIALIZERS["glorot_uniform"]((3, 5), rng))


def test_the_draws_are_the_same_for_every_dtype():
    single = initialize_parameters([4, 5, 3], rng=0, dtype=np.float32)
    assert single["W1"].dtype == np.float32
    np.testing.assert_array_equal(single.vector, initialize_parameters([4, 5, 3], rng=0).vector.astype(np.float32))


def test_an_unknown_initializer_is_rejected():
    with pytest.raises(InvalidParameterError, match=r"weight_init must be one of .* or 'auto', got 'random'"):
        initialize_parameters([4, 1], weight_init="random")


# Forward and backward against the reference.


@pytest.mark.parametrize("activation", reference.HIDDEN)
@pytest.mark.parametrize(("output", "n_outputs"), OUTPUTS)
@pytest.mark.parametrize("hidden_dims", HIDDEN_DIMS)
def test_forward_cost_and_backward_equal_the_reference(hidden_dims, output, n_outputs, activation):
    layer_dims = (4, *hidden_dims, n_outputs)
    network = Network(layer_dims, activation=activation, loss=LOSS_OF[output])
    parameters, (X, Y) = draw_parameters(layer_dims), draw_examples(n_outputs=n_outputs)
    AL, caches = model_forward(X, parameters, network)
    Zs, As = reference.forward(X, parameters, activation, output)
    np.testing.assert_allclose(AL, As[-1], rtol=1e-12)
    np.testing.assert_allclose(caches[-1].activation, Zs[-1], rtol=1e-12)
    assert compute_cost(AL, Y, loss=network.loss) == pytest.approx(reference.cost(As[-1], Y, output), rel=1e-12)
    grads, wanted = model_backward(AL, Y, caches, network), reference.gradients(X, Y, parameters, activation, output)
    assert set(grads) == set(wanted)
    for name, dW in grads.items():
        np.testing.assert_allclose(dW, wanted[name], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("hidden_dims", HIDDEN_DIMS)
def test_there_is_a_cache_for_each_layer(hidden_dims):
    X, _ = draw_examples()
    parameters = draw_parameters((4, *hidden_dims, 3))
    _, caches = model_forward(X, parameters)
    assert len(caches) == len(hidden_dims) + 1
    assert caches[0].linear[0] is X
    for l, cache in enumerate(caches, start=1):
        assert cache.linear[1] is parameters[f"W{l}"]
        assert cache.linear[2] is parameters[f"b{l}"]
        assert cache.batchnorm is None
        assert cache.dropout is None


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix])
def test_sparse_input_equals_dense(container):
    (X, Y), parameters = draw_examples(), draw_parameters((4, 5, 3))
    X[X < 0] = 0
    AL, caches = model_forward(X, parameters)
    sparse_AL, sparse_caches = model_forward(container(X), parameters)
    np.testing.assert_allclose(sparse_AL, AL, rtol=1e-12)
    grads = model_backward(AL, Y, caches)
    for name, dW in model_backward(sparse_AL, Y, sparse_caches).items():
        np.testing.assert_allclose(dW, grads[name], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradients_are_written_where_told(batch_norm):
    network = Network((4, 5, 5, 3), batch_norm=batch_norm)
    parameters, (X, Y) = draw_parameters(network.layer_dims, batch_norm=batch_norm), draw_examples()
    AL, caches = model_forward(X, parameters, network, training=True)
    wanted, room = model_backward(AL, Y, caches, network), parameters.gradients()
    room.vector[...] = np.nan
    assert model_backward(AL, Y, caches, network, out=room) is room
    assert set(room) == set(wanted)
    for name, dW in room.items():
        assert np.shares_memory(dW, room.vector)
        np.testing.assert_array_equal(dW, wanted[name])
    assert np.isfinite(room.vector).all()


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden_dims", HIDDEN_DIMS)
def test_the_gradient_of_the_inputs_equals_central_differences(hidden_dims, batch_norm, training, ensemble_size):
    network = Network((4, *hidden_dims, 3), activation="tanh", batch_norm=batch_norm, ensemble_size=ensemble_size)
    parameters = draw_parameters(network.layer_dims, batch_norm=batch_norm, ensemble_size=ensemble_size)
    X = draw_examples()[0]
    ZL, caches = logits_forward(X, parameters, network, training=training)
    dZL = np.random.default_rng(2).normal(size=ZL.shape)

    def total(X):
        return (logits_forward(X, parameters, network, training=training)[0] * dZL).sum()

    dA0, grads = logits_backward(dZL, caches, network, wrt_input=True, wrt_parameters=False)
    of_all = dA0 if ensemble_size == 1 else dA0.sum(axis=0)
    assert reference.relative_error(of_all, reference.central_differences(total, X)) < 1e-7
    assert all(grads[f"dW{l}"] is None for l in range(1, network.n_layers + 1))
    same, grads = logits_backward(dZL, caches, network, wrt_input=True)
    np.testing.assert_array_equal(same, dA0)
    for name, dW in logits_backward(dZL, caches, network)[1].items():
        np.testing.assert_array_equal(dW, grads[name])


@pytest.mark.parametrize("batch_norm", [False, True])
def test_weights_equal_repetition(batch_norm):
    network = Network((4, 5, 3), activation="tanh", batch_norm=batch_norm)
    parameters, (X, Y) = draw_parameters(network.layer_dims, batch_norm=batch_norm), draw_examples()
    copies = np.array([1, 3, 2, 1, 1, 4])
    weight = copies / copies.mean()
    AL, caches = model_forward(X, parameters, network, training=True, sample_weight=weight)
    grads = model_backward(AL, Y, caches, network, sample_weight=weight)
    X, Y = np.repeat(X, copies, axis=1), np.repeat(Y, copies, axis=1)
    AL, caches = model_forward(X, parameters, network, training=True)
    for name, dW in model_backward(AL, Y, caches, network).items():
        np.testing.assert_allclose(grads[name], dW, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_single_precision_stays(loss, activation, batch_norm):
    network = Network((4, 5, 5, 3), activation=activation, loss=loss, dropout_rate=0.3, batch_norm=batch_norm)
    parameters = draw_parameters(network.layer_dims, batch_norm=batch_norm, dtype=np.float32)
    X, Y = (array.astype(np.float32) for array in draw_examples())
    AL, caches = model_forward(X, parameters, network, training=True, rng=np.random.default_rng(0))
    assert AL.dtype == np.float32
    assert {dW.dtype for dW in model_backward(AL, Y, caches, network).values()} == {np.dtype(np.float32)}
    statistics = running_statistics(parameters, caches, 0.9)
    assert {array.dtype for array in statistics.values()} <= {np.dtype(np.float32)}


def test_arguments_stay_as_they_were():
    (X, Y), parameters = draw_examples(), draw_parameters((4, 5, 3))
    X_before, Y_before, before = X.copy(), Y.copy(), parameters.vector.copy()
    AL, caches = model_forward(X, parameters)
    AL_before = AL.copy()
    model_backward(AL, Y, caches, sample_weight=np.arange(M))
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(Y, Y_before)
    np.testing.assert_array_equal(AL, AL_before)
    np.testing.assert_array_equal(parameters.vector, before)


# Dropout and batch normalisation in the network.


def test_units_drop_out_while_training_alone():
    (X, _), parameters = draw_examples(), draw_parameters((4, 50, 50, 3))
    network = Network((4, 50, 50, 3), dropout_rate=(0.0, 0.5))
    _, caches = model_forward(X, parameters, network, training=True, rng=np.random.default_rng(0))
    assert [cache.dropout is None for cache in caches] == [True, False, True]
    assert 0.3 < np.mean(caches[1].dropout == 0) < 0.7
    np.testing.assert_array_equal(
        model_forward(X, parameters, network)[0], model_forward(X, parameters, Network((4, 50, 50, 3)))[0]
    )


def test_batch_normalisation_goes_by_the_batch_while_training_and_by_its_statistics_otherwise():
    (X, _), parameters = draw_examples(), draw_parameters((4, 5, 3), batch_norm=True)
    network = Network((4, 5, 3), batch_norm=True)
    Z = parameters["W1"] @ X
    _, caches = model_forward(X, parameters, network, training=True)
    np.testing.assert_allclose(caches[0].batchnorm.mean, Z.mean(axis=1, keepdims=True), rtol=1e-12)
    _, caches = model_forward(X, parameters, network)
    np.testing.assert_array_equal(caches[0].batchnorm.mean, parameters["running_mean1"])
    np.testing.assert_array_equal(caches[0].batchnorm.variance, parameters["running_variance1"])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_running_statistics_are_a_moving_mean(momentum):
    network = Network((4, 5, 2, 3), batch_norm=True)
    (X, _), parameters = draw_examples(), draw_parameters(network.layer_dims, batch_norm=True)
    _, caches = model_forward(X, parameters, network, training=True)
    wanted = {}
    for l in (1, 2):
        Z = parameters[f"W{l}"] @ caches[l - 1].linear[0]
        wanted[f"running_mean{l}"] = Z.mean(axis=1, keepdims=True)
        wanted[f"running_variance{l}"] = Z.var(axis=1, keepdims=True)
    found = running_statistics(parameters, caches, momentum)
    assert set(found) == set(wanted)
    for name, batch in wanted.items():
        np.testing.assert_allclose(found[name], momentum * parameters[name] + (1 - momentum) * batch, rtol=1e-12)


def test_without_batch_normalisation_there_are_no_running_statistics():
    parameters = draw_parameters((4, 5, 3))
    assert running_statistics(parameters, model_forward(draw_examples()[0], parameters)[1], 0.9) == {}


@pytest.mark.parametrize("hidden_dims", HIDDEN_DIMS)
def test_a_network_with_batch_normalisation_folded_in_predicts_the_same(hidden_dims):
    layer_dims = (4, *hidden_dims, 3)
    parameters, (X, _) = draw_parameters(layer_dims, batch_norm=True), draw_examples()
    before = parameters.vector.copy()
    folded = fold_batch_norm(parameters)
    assert set(folded) == {f"{kind}{l}" for kind in "Wb" for l in range(1, len(layer_dims))}
    wanted, _ = model_forward(X, parameters, Network(layer_dims, batch_norm=True))
    np.testing.assert_allclose(model_forward(X, folded)[0], wanted, rtol=1e-11)
    np.testing.assert_array_equal(parameters.vector, before)


def test_folding_is_by_the_formula():
    parameters = draw_parameters((4, 5, 3), batch_norm=True)
    scale = parameters["gamma1"] / np.sqrt(parameters["running_variance1"] + EPSILON)
    folded = fold_batch_norm(parameters)
    np.testing.assert_allclose(folded["W1"], scale * parameters["W1"], rtol=1e-14)
    np.testing.assert_allclose(folded["b1"], parameters["beta1"] - scale * parameters["running_mean1"], rtol=1e-14)


# Ensembles.


def members(parameters):
    """Return the parameters of each member of an ensemble, and say that they are its own."""
    alone = [{name: array[k] for name, array in parameters.items()} for k in range(3)]
    assert not np.allclose(alone[0]["W1"], alone[1]["W1"])
    return alone


def draw_ensemble(hidden_dims=(5, 4), **options):
    """Return an ensemble, one network of its kind, and parameters."""
    network = Network((4, *hidden_dims, 3), activation="tanh", ensemble_size=3, **options)
    parameters = draw_parameters(network.layer_dims, batch_norm=network.batch_norm, ensemble_size=3)
    return network, replace(network, ensemble_size=1), parameters


def test_parameters_of_an_ensemble_are_stacked():
    parameters = initialize_parameters([4, 5, 3], batch_norm=True, ensemble_size=2, rng=0)
    shapes = {name: array.shape for name, array in initialize_parameters([4, 5, 3], batch_norm=True).items()}
    assert {name: array.shape for name, array in parameters.items()} == {k: (2, *shape) for k, shape in shapes.items()}
    assert not np.allclose(parameters["W1"][0], parameters["W1"][1])


def test_an_ensemble_is_told_by_its_weights():
    _, _, parameters = draw_ensemble()
    assert Network.of([parameters[f"W{l}"] for l in (1, 2, 3)]) == Network((4, 5, 4, 3), ensemble_size=3)


@pytest.mark.parametrize("of_each", [False, True], ids=["shared", "of each"])
@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden_dims", HIDDEN_DIMS)
def test_a_stack_goes_forward_and_backward_as_each_member_alone(
    hidden_dims, loss, batch_norm, training, weighted, container, of_each
):
    network, single, parameters = draw_ensemble(hidden_dims, loss=loss, batch_norm=batch_norm)
    examples = [draw_examples(seed=seed if of_each else 0) for seed in range(3)]
    weights = np.random.default_rng(2).uniform(0.5, 2, (3, M) if of_each else M) if weighted else None
    Xs = [container(X) for X, _ in examples]
    X, Y = (Xs if container is not np.array else np.stack(Xs), np.stack([Y for _, Y in examples]))
    AL, caches = model_forward(X if of_each else Xs[0], parameters, network, training=training, sample_weight=weights)
    grads = model_backward(AL, Y, caches, network, sample_weight=weights)
    for k, alone in enumerate(members(parameters)):
        weight = weights[k] if weighted and of_each else weights
        AL_k, caches_k = model_forward(Xs[k], alone, single, training=training, sample_weight=weight)
        np.testing.assert_allclose(AL[k], AL_k, rtol=1e-12)
        wanted = model_backward(AL_k, Y[k], caches_k, single, sample_weight=weight)
        assert set(grads) == set(wanted)
        for name, dW in wanted.items():
            np.testing.assert_allclose(grads[name][k], dW, rtol=1e-10, atol=1e-14)
        for name, array in running_statistics(alone, caches_k, 0.9).items():
            np.testing.assert_allclose(running_statistics(parameters, caches, 0.9)[name][k], array, rtol=1e-12)


def test_one_set_of_targets_serves_all_members():
    network, _, parameters = draw_ensemble()
    X, Y = draw_examples()
    AL, caches = model_forward(X, parameters, network)
    stacked = model_backward(AL, np.stack([Y] * 3), caches, network)
    for name, dW in model_backward(AL, Y, caches, network).items():
        np.testing.assert_array_equal(dW, stacked[name])


def test_other_units_drop_out_in_each_member():
    network, _, parameters = draw_ensemble((50,), dropout_rate=0.5)
    _, caches = model_forward(draw_examples()[0], parameters, network, training=True, rng=np.random.default_rng(0))
    masks = caches[0].dropout == 0
    assert masks.shape == (3, 50, M)
    assert all(0.3 < mask.mean() < 0.7 for mask in masks)
    assert not np.array_equal(masks[0], masks[1])


def test_batch_normalisation_is_folded_into_each_member():
    network, _, parameters = draw_ensemble(batch_norm=True)
    folded = fold_batch_norm(parameters)
    for k, alone in enumerate(members(parameters)):
        for name, array in fold_batch_norm(alone).items():
            np.testing.assert_allclose(folded[name][k], array, rtol=1e-13)
    X, _ = draw_examples()
    wanted, plain = model_forward(X, parameters, network)[0], replace(network, batch_norm=False)
    np.testing.assert_allclose(model_forward(X, folded, plain)[0], wanted, rtol=1e-11)


@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csc_array])
def test_members_take_columns_of_their_own(container):
    X, _ = draw_examples(m=9)
    columns = np.array([[0, 3, 3], [8, 1, 0]])
    taken = take_columns(container(X), columns, np.float32)
    for array, of_member in zip(taken, columns):
        array = array if isinstance(array, np.ndarray) else array.toarray()
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, X[:, of_member].astype(np.float32))


# Predicting a piece at a time.


def write(array, piece, ZL):
    array[:, piece] = ZL


@pytest.mark.parametrize("columns", [None, np.arange(300)[::-3]], ids=["all", "some"])
@pytest.mark.parametrize("container", [np.array, sparse.csc_array])
@pytest.mark.parametrize("chunk_elements", [1, 5 * 100, 2**20])
def test_chunks_equal_the_whole(chunk_elements, container, columns, monkeypatch):
    monkeypatch.setattr(network_module, "CHUNK_ELEMENTS", chunk_elements)
    (X, _), parameters, network = draw_examples(m=300), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    wanted = model_forward(X if columns is None else X[:, columns], parameters)[1][-1].activation
    found = np.full_like(wanted, np.nan)
    map_logits(partial(write, found), container(X), parameters, network, columns)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("of_each", [False, True], ids=["shared", "of each"])
@pytest.mark.parametrize("container", [np.array, sparse.csc_array])
def test_chunks_of_an_ensemble_equal_those_of_its_members(container, of_each, monkeypatch):
    monkeypatch.setattr(network_module, "CHUNK_ELEMENTS", 1)
    (network, single, parameters), (X, _) = draw_ensemble(), draw_examples(m=300)
    columns = np.stack([np.random.default_rng(seed).permutation(300)[:200] for seed in range(3)]) if of_each else None
    found = np.full((3, 3, 200 if of_each else 300), np.nan)

    def keep(piece, ZL):
        found[..., piece] = ZL

    assert len(map_logits(keep, container(X), parameters, network, columns)) > 3
    for k, alone in enumerate(members(parameters)):
        X_k = X[:, columns[k]] if of_each else X
        np.testing.assert_allclose(found[k], model_forward(X_k, alone, single)[1][-1].activation, rtol=1e-12)


def test_small_chunks_are_many(monkeypatch):
    monkeypatch.setattr(network_module, "CHUNK_ELEMENTS", 1)
    pieces = map_logits(lambda piece, _: piece, np.ones((4, 1000)), draw_parameters((4, 5, 3)), Network((4, 5, 3)))
    assert len(pieces) > 10
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]


@pytest.fixture
def unpadded(monkeypatch):
    """Leave out what is taken and freed at once, so that the peak is that of the work."""
    monkeypatch.setattr(network_module, "keep_freed_memory", lambda: None)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_predicting_more_takes_no_more_memory(monkeypatch, unpadded, peak_bytes, n_threads):
    monkeypatch.setattr(network_module, "allowed_threads", lambda: n_threads)
    network = Network((16, 64, 3))
    parameters = draw_parameters(network.layer_dims, dtype=np.float32)
    peaks = {}
    for n in (50_000, 200_000):
        X, ZL = np.ones((n, 16), dtype=np.float32).T, np.empty((3, n), dtype=np.float32)
        peaks[n] = peak_bytes(map_logits, partial(write, ZL), X, parameters, network)
    chunk = (16 + 2 * 64 + 3) * 4096 * 4  # its input, Z and A of the hidden layer, the logits
    assert max(peaks.values()) < 1.1 * n_threads * chunk
    if n_threads == 1:  # otherwise it is for the scheduler to say how many chunks there are at a time
        assert abs(peaks[200_000] - peaks[50_000]) < 20_000


def test_threads_predict_what_one_predicts_bit_by_bit(monkeypatch):
    monkeypatch.setattr(network_module, "CHUNK_ELEMENTS", 1)
    (X, _), parameters, network = draw_examples(m=1000), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    found = []
    for n_threads in (1, 4):
        monkeypatch.setattr(network_module, "allowed_threads", lambda n_threads=n_threads: n_threads)
        found.append(np.full((3, 1000), np.nan))
        map_logits(partial(write, found[-1]), X, parameters, network)
    np.testing.assert_array_equal(*found)


def test_blas_has_one_thread_while_chunks_are_predicted_and_its_own_afterwards(blas_threads):
    (X, _), parameters, network = draw_examples(m=40_000), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    assert map_logits(lambda *_: blas_threads(), X, parameters, network) == [{1}] * 10
    assert blas_threads() == {3}
    with pytest.raises(ZeroDivisionError):
        map_logits(lambda piece, _: 1 // (piece.start - 4096), X, parameters, network)
    assert blas_threads() == {3}


def test_chunks_are_converted_to_the_dtype_of_the_parameters():
    parameters = draw_parameters((4, 5, 3), dtype=np.float32)
    (ZL,) = map_logits(lambda _, ZL: ZL, np.ones((4, 2), dtype=np.int64), parameters, Network((4, 5, 3)))
    assert ZL.dtype == np.float32


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "strided_transposed": lambda X: np.repeat(X.T, 2, axis=0)[::2].T,
    "backwards": lambda X: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "csr": sparse.csr_array,
    "csc": sparse.csc_array,
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
}


@pytest.mark.parametrize("dtype", [None, np.float32, np.float64])
@pytest.mark.parametrize("columns", [np.array([5, 0, 5, 3]), np.array([], np.intp), slice(1, 4), slice(None)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_columns_are_taken_from_any_layout(layout, columns, dtype):
    X = np.arange(24).reshape(4, 6)
    taken = take_columns(LAYOUTS[layout](X), columns, dtype)
    assert sparse.issparse(taken) == layout.startswith("cs")
    assert taken.dtype == (dtype or X.dtype)
    np.testing.assert_array_equal(taken.toarray() if sparse.issparse(taken) else taken, X[:, columns])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_taking_columns_copies_next_to_nothing(layout):
    X = np.zeros((50, 20_000))
    X[::10] = 1
    X = LAYOUTS[layout](X)
    columns = np.random.default_rng(0).permutation(20_000)[:100]
    tracemalloc.start()
    try:
        take_columns(X, columns, np.float32)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400_000  # all of a dense X are 8 000 000
