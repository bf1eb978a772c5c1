import numpy as np
import pytest
from reference import central_differences, relative_error
from scipy import sparse

from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.losses import compute_cost
from sklearn_deepnn.network.model import (
    initialize_parameters,
    logits_forward,
    model_backward,
    model_forward,
    running_statistics,
)
from sklearn_deepnn.network.scaling import ScaledSparse, Scaling, fold_scaling, unfold_scaling

M = 41
NETWORKS = {
    "plain": {},
    "batch_norm": {"batch_norm": True},
    "ensemble": {"ensemble_size": 3},
    "both": {"batch_norm": True, "ensemble_size": 3},
}
WEIGHTS = {"unweighted": None, "weighted": np.random.default_rng(3).uniform(0.1, 3, M)}


def draw_inputs(seed=0, m=M):
    """Return features of different sizes, offsets and skewness, a third of whose values are zero."""
    rng = np.random.default_rng(seed)
    X = np.array([[1.0], [1e-3], [50.0], [7.0]]) * rng.gamma(2, size=(4, m)) - np.array([[1.0], [0.0], [300.0], [-7.0]])
    return X * (rng.random((4, m)) > 1 / 3)


# What scaled inputs are.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("X_dtype", [np.int64, np.uint8, np.float32, np.float64])
def test_inputs_are_scaled_to_the_precision_asked_for_and_stay_as_they_were(X_dtype, dtype):
    X = np.random.default_rng(0).integers(0, 200, (2, M)).astype(X_dtype)
    before = X.copy()
    center, scale = of_inputs = Scaling(np.array([[100.5], [3.0]]), np.array([[7.0], [0.1]]))
    scaled = of_inputs.apply(X, dtype)
    assert scaled.dtype == dtype
    np.testing.assert_allclose(scaled, (before.astype(float) - center) / scale, rtol=1e-6)
    np.testing.assert_array_equal(X, before)


def test_double_inputs_are_shifted_before_they_are_converted_to_single():
    noise = np.random.default_rng(0).normal(size=(1, M))
    scaled = Scaling(np.array([[1e9]]), np.array([[1.0]])).apply(1e9 + noise, np.float32)
    np.testing.assert_allclose(scaled, noise, atol=1e-6)


# The scaling of the first layer in place of the inputs.


def draw_problem(options, hidden_dims=(5,)):
    """Return a network, parameters of which none is zero or one, raw inputs and their scaling."""
    network = Network((4, *hidden_dims, 3), activation="tanh", **options)
    parameters = initialize_parameters(network.layer_dims, rng=0, activation="tanh", **options)
    parameters.vector[:] += np.random.default_rng(0).uniform(0.1, 0.5, parameters.vector.size)
    X = draw_inputs()
    return network, parameters, X, Scaling(X.mean(axis=1, keepdims=True), X.std(axis=1, keepdims=True))


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("hidden_dims", [(), (5,)], ids=str)
def test_folded_parameters_make_of_raw_inputs_what_they_made_of_scaled_ones(hidden_dims, training, container, options):
    network, parameters, X, of_inputs = draw_problem(options, hidden_dims)
    before = parameters.vector.copy()
    wanted, _ = logits_forward(of_inputs.apply(X, np.float64), parameters, network, training=training)
    folded = fold_scaling(parameters, of_inputs)
    found, _ = logits_forward(container(X), folded, network, training=training)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(parameters.vector, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_unfolding_gives_back_what_was_folded(options, dtype):
    _, parameters, _, of_inputs = draw_problem(options)
    parameters = {name: array.astype(dtype) for name, array in parameters.items()}
    folded = fold_scaling(parameters, of_inputs)
    assert not np.allclose(folded["W1"], parameters["W1"])
    unfolded = unfold_scaling(folded, of_inputs)
    assert unfolded.keys() == folded.keys() == parameters.keys()
    for name, array in parameters.items():
        assert folded[name].dtype == unfolded[name].dtype == dtype
        np.testing.assert_allclose(unfolded[name], array, rtol=1e3 * np.finfo(dtype).eps)


def test_without_scaling_parameters_stay():
    _, parameters, _, _ = draw_problem({})
    assert fold_scaling(parameters, None) is parameters
    assert unfold_scaling(parameters, None) is parameters


def test_a_constant_feature_has_no_weight_in_folded_parameters():
    parameters = {"W1": np.ones((2, 2)), "b1": np.zeros((2, 1))}
    scaling = Scaling(np.array([[3.0], [1.0]]), np.array([[np.inf], [2.0]]))
    folded = fold_scaling(parameters, scaling)
    np.testing.assert_array_equal(folded["W1"], [[0, 0.5], [0, 0.5]])
    np.testing.assert_array_equal(folded["b1"], [[-0.5], [-0.5]])
    np.testing.assert_array_equal(unfold_scaling(folded, scaling)["W1"], [[0, 1], [0, 1]])


# Sparse inputs that the first layer scales.


SPARSE = [sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix]
INPUTS = {f"{name}, shared inputs": (options, False) for name, options in NETWORKS.items()}
INPUTS |= {
    f"{name}, inputs per member": (options, True) for name, options in NETWORKS.items() if "ensemble_size" in options
}


def draw_sparse(options, container=sparse.csr_array, per_member=False, hidden_dims=(5,)):
    """Return a network, parameters, and inputs twice: sparse and to be scaled, and dense and scaled."""
    network, parameters, X, scaling = draw_problem(options, hidden_dims)
    scaling.scale[2] = np.inf
    Xs = [draw_inputs(seed) for seed in range(network.ensemble_size)] if per_member else [X]
    X, X_dense = [container(X) for X in Xs], np.stack([scaling.apply(X, np.float64) for X in Xs])
    if not per_member:
        X, X_dense = X[0], X_dense[0]
    return network, parameters, ScaledSparse(X, scaling), X_dense


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("container", SPARSE)
@pytest.mark.parametrize(("options", "per_member"), INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("hidden_dims", [(), (5,)], ids=str)
def test_scaled_sparse_inputs_equal_dense_ones_that_are_scaled(hidden_dims, options, container, per_member, weight):
    network, parameters, X, X_dense = draw_sparse(options, container, per_member, hidden_dims)
    Y, both = np.eye(3)[:, np.arange(M) % 3], ("parameters", "activations")
    results = []
    for A0 in (X, X_dense):
        AL, caches = model_forward(A0, parameters, network, training=True, sample_weight=weight)
        grads = model_backward(AL, Y, caches, network, sample_weight=weight, wrt=both)
        results.append({"AL": AL, **grads, **running_statistics(parameters, caches, 0.9)})
    found, wanted = results
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert isinstance(found[name], np.ndarray)
        np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_gradients_of_scaled_sparse_inputs_equal_central_differences(options):
    network, parameters, X, _ = draw_sparse(options)
    Y, weight = np.eye(3)[:, np.arange(M) % 3], WEIGHTS["weighted"]

    def forward(parameters):
        return model_forward(X, parameters, network, training=True, sample_weight=weight)

    AL, caches = forward(parameters)
    grads = model_backward(AL, Y, caches, network, sample_weight=weight)

    def cost_by(name):
        def cost(array):
            AL, caches = forward({**parameters, name: array})
            ZL = caches[-1].activation
            return compute_cost(AL, Y, ZL=ZL, sample_weight=weight) * network.ensemble_size

        return cost

    for name in ("W1", "gamma1" if network.batch_norm else "b1"):
        assert relative_error(grads["d" + name], central_differences(cost_by(name), parameters[name])) < 1e-7


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_scaled_sparse_inputs_of_single_precision_stay_single_and_unchanged(options):
    network, parameters, X, _ = draw_sparse(options)
    parameters = {name: array.astype(np.float32) for name, array in parameters.items()}
    X = ScaledSparse(X.X.astype(np.float32), X.scaling)
    before = X.X.toarray()
    AL, caches = model_forward(X, parameters, network, training=True)
    grads = model_backward(AL, np.eye(3, dtype=np.float32)[:, np.arange(M) % 3], caches, network)
    assert caches[0].linear.A_prev is X
    assert {array.dtype for array in (AL, *grads.values())} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(X.X.toarray(), before)
    assert np.isinf(X.scaling.scale[2])
    assert not grads["dW1"][..., 2].any()


def test_gradients_of_scaled_sparse_inputs_are_written_where_told():
    network, parameters, X, _ = draw_sparse({})
    AL, caches = model_forward(X, parameters, network)
    Y, out = np.eye(3)[:, np.arange(M) % 3], parameters.gradients()
    model_backward(AL, Y, caches, network, out=out)
    assert np.shares_memory(out["dW1"], out.vector)
    np.testing.assert_array_equal(out["dW1"], model_backward(AL, Y, caches, network)["dW1"])
