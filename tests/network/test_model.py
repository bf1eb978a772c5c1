from dataclasses import replace

import numpy as np
import pytest
import reference
from scipy import sparse

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.activations import ACTIVATIONS, Activation
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.layers import EPSILON
from sklearn_deepnn.network.losses import CLASS_LOSSES, compute_cost
from sklearn_deepnn.network.model import (
    fold_batch_norm,
    initialize_parameters,
    logits_forward,
    model_backward,
    model_forward,
    running_statistics,
)

HIDDEN_DIMS = [(), (5,), (5, 4, 3)]
OUTPUTS = [("sigmoid", 1), ("sigmoid", 3), ("softmax", 3)]
LOSS_OF = {loss.link.name: name for name, loss in CLASS_LOSSES.items()}
M = 6


def draw_parameters(layer_dims, seed=0, **options):
    """Return parameters of which none is zero or one, statistics included."""
    parameters = initialize_parameters(layer_dims, rng=seed, **options)
    parameters.vector[:] += np.random.default_rng(seed).uniform(0.1, 0.5, parameters.vector.size)
    return parameters


def draw_examples(n_inputs=4, n_outputs=3, m=M, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_inputs, m)), np.eye(max(n_outputs, 2))[:n_outputs, rng.integers(n_outputs, size=m)]


def test_the_default_network_is_the_course_s():
    parameters = initialize_parameters([4, 5, 1], rng=0)
    X, Y = draw_examples(n_outputs=1)
    AL, caches = model_forward(X, parameters)
    network = Network((4, 5, 1), activation="relu", loss="binary_cross_entropy", dropout_rate=0.0, batch_norm=False)
    assert Network.of([parameters["W1"], parameters["W2"]]) == network
    np.testing.assert_array_equal(AL, model_forward(X, parameters, network)[0])
    for name, dW in model_backward(AL, Y, caches).items():
        np.testing.assert_array_equal(dW, model_backward(AL, Y, caches, network)[name])


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
    assert caches[0].linear.A_prev is X
    for l, cache in enumerate(caches, start=1):
        assert cache.linear.W is parameters[f"W{l}"]
        assert cache.linear.b is parameters[f"b{l}"]
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


# The gradients of the activations.


def arctan(Z):
    return np.arctan(Z), Z


def arctan_backward(dA, cache):
    return dA / (1 + cache * cache)


OWN = Activation(arctan, arctan_backward, "lecun_normal")
KINDS = {
    "plain": {"activation": "tanh"},
    "own activation": {"activation": OWN},
    "own activation and named": {"activation": ["softplus", OWN, "tanh"]},
    "batch norm": {"activation": "tanh", "batch_norm": True},
    "dropout": {"activation": "tanh", "dropout_rate": 0.4},
    "all": {"activation": [OWN, "tanh", "silu"], "batch_norm": True, "dropout_rate": 0.4},
}
SIZES = [1, 3]


def draw_network(options, ensemble_size, loss="categorical_cross_entropy"):
    """Return a network of three hidden layers and its parameters."""
    network = Network((4, 5, 4, 3, 3), loss=loss, ensemble_size=ensemble_size, **options)
    return network, draw_parameters(network.layer_dims, batch_norm=network.batch_norm, ensemble_size=ensemble_size)


def forward_from(l, A, parameters, network, **options):
    """Return AL and ZL of the layers behind layer l, given its activation; the same units drop as in the network."""
    tail = replace(
        network,
        layer_dims=network.layer_dims[l:],
        activation=network.activation[l:],
        dropout_rate=network.dropout_rate[l:],
    )
    renamed = {}
    for name, array in parameters.items():
        kind, number = name.rstrip("0123456789"), int(name[len(name.rstrip("0123456789")) :])
        if number > l:
            renamed[f"{kind}{number - l}"] = array
    rng = np.random.default_rng(0)
    for n, rate in zip(network.layer_dims[1 : l + 1], network.dropout_rate):
        if rate:  # draws of the layers before
            rng.random((*np.shape(parameters["W1"])[:-2], n, M), dtype=np.float32)
    AL, caches = model_forward(A, renamed, tail, rng=rng, **options)
    return AL, caches[-1].activation


@pytest.mark.parametrize("weight", [None, np.linspace(0.2, 2, M)], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("l", [0, 1, 2, 3])
@pytest.mark.parametrize("ensemble_size", SIZES)
@pytest.mark.parametrize("loss", CLASS_LOSSES)
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_gradients_of_activations_equal_central_differences(options, loss, ensemble_size, l, weight):
    network, parameters = draw_network(options, ensemble_size, loss)
    (X, Y), training = draw_examples(), {"training": True, "sample_weight": weight}
    AL, caches = model_forward(X, parameters, network, rng=np.random.default_rng(0), **training)
    grads = model_backward(AL, Y, caches, network, sample_weight=weight, wrt=("activations",))
    assert set(grads) == {"dA0", "dA1", "dA2", "dA3"}

    def total_loss(A):
        AL, ZL = forward_from(l, A, parameters, network, **training)
        return compute_cost(AL, Y, ZL=ZL, loss=loss, sample_weight=weight) * M * ensemble_size

    A = np.array(np.broadcast_to(caches[l].linear.A_prev, grads[f"dA{l}"].shape))  # members may share A0
    assert reference.relative_error(grads[f"dA{l}"], reference.central_differences(total_loss, A, step=1e-5)) < 1e-7


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("ensemble_size", SIZES)
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_gradients_from_given_logits_gradients_equal_central_differences(options, ensemble_size, training):
    network, parameters = draw_network(options, ensemble_size)
    X = draw_examples()[0]

    def forward(X, parameters):
        return logits_forward(X, parameters, network, training=training, rng=np.random.default_rng(0))

    ZL, caches = forward(X, parameters)
    dZL = np.random.default_rng(2).normal(size=ZL.shape)
    grads = model_backward(None, None, caches, network, dZL=dZL, wrt=("activations", "parameters"))
    dX = reference.central_differences(lambda at: (forward(at, parameters)[0] * dZL).sum(), X)
    assert reference.relative_error(grads["dA0"] if ensemble_size == 1 else grads["dA0"].sum(axis=0), dX) < 1e-7
    for name in ("W1", "gamma1" if network.batch_norm else "b1", "W4"):
        wanted = reference.central_differences(
            lambda at, name=name: (forward(X, {**parameters, name: at})[0] * dZL).sum(), parameters[name]
        )
        assert reference.relative_error(grads["d" + name], wanted) < 1e-7


@pytest.mark.parametrize("ensemble_size", SIZES)
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_gradients_are_the_same_alone_and_together(options, ensemble_size):
    network, parameters = draw_network(options, ensemble_size)
    X, Y = draw_examples()
    AL, caches = model_forward(X, parameters, network, training=True, rng=np.random.default_rng(0))
    together = model_backward(AL, Y, caches, network, wrt={"parameters", "activations"}, out=parameters.gradients())
    alone = [model_backward(AL, Y, caches, network, wrt=[word]) for word in ("parameters", "activations")]
    assert together.keys() == alone[0].keys() | alone[1].keys()
    assert not alone[0].keys() & alone[1].keys()
    for name, array in (alone[0] | alone[1]).items():
        np.testing.assert_array_equal(together[name], array)


def test_gradients_of_activations_have_the_course_s_values():
    parameters, (X, Y) = draw_parameters((4, 5, 1)), draw_examples(n_outputs=1)
    AL, caches = model_forward(X, parameters)
    grads = model_backward(AL, Y, caches, wrt=("activations",))
    dA1 = parameters["W2"].T @ (AL - Y)
    np.testing.assert_allclose(grads["dA1"], dA1, rtol=1e-12)
    np.testing.assert_allclose(grads["dA0"], parameters["W1"].T @ (dA1 * (caches[1].linear.A_prev > 0)), rtol=1e-12)


@pytest.mark.parametrize("wrt", ["parameters", ("weights",), ("parameters", "dA0")])
def test_what_cannot_be_differentiated_by_is_named(wrt):
    (X, Y), parameters = draw_examples(), draw_parameters((4, 5, 3))
    AL, caches = model_forward(X, parameters)
    with pytest.raises(InvalidParameterError, match="wrt must be a collection of 'parameters' and 'activations', got "):
        model_backward(AL, Y, caches, wrt=wrt)


def test_without_predictions_the_gradient_of_the_logits_must_be_given():
    X, parameters = draw_examples()[0], draw_parameters((4, 5, 3))
    _, caches = model_forward(X, parameters)
    with pytest.raises(InvalidParameterError, match="dZL must be given where AL or Y is None"):
        model_backward(None, None, caches)


@pytest.mark.parametrize("m", [1, 2 * M])
def test_gradients_of_parameters_are_divided_by_the_number_given_and_those_of_activations_are_not(m):
    (X, Y), parameters, both = draw_examples(), draw_parameters((4, 5, 3)), ("parameters", "activations")
    AL, caches = model_forward(X, parameters)
    wanted = model_backward(AL, Y, caches, wrt=both)
    for name, array in model_backward(AL, Y, caches, wrt=both, m=m).items():
        np.testing.assert_allclose(array, wanted[name] * (1 if name.startswith("dA") else M / m), rtol=1e-12)


# Weights, dtypes, arguments.


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


@pytest.mark.parametrize("loss", CLASS_LOSSES)
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


def test_training_with_dropout_needs_a_generator():
    network, parameters = Network((4, 5, 3), dropout_rate=0.5), draw_parameters((4, 5, 3))
    with pytest.raises(InvalidParameterError, match=r"rng must be a numpy.random.Generator .*, got None"):
        model_forward(draw_examples()[0], parameters, network, training=True)


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
        Z = parameters[f"W{l}"] @ caches[l - 1].linear.A_prev
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
@pytest.mark.parametrize("loss", CLASS_LOSSES)
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


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
def test_the_caches_tell_model_backward_the_activations(activation):
    network, rng = Network((4, 8, 5, 3), activation), np.random.default_rng(0)
    parameters = initialize_parameters((4, 8, 5, 3), activation=activation, rng=rng)
    X, Y = rng.normal(size=(4, 20)), np.eye(3)[:, rng.integers(3, size=20)]
    AL, caches = model_forward(X, parameters, network)
    wanted = model_backward(AL, Y, caches, network)
    for name, gradient in model_backward(AL, Y, caches).items():
        np.testing.assert_array_equal(gradient, wanted[name])
