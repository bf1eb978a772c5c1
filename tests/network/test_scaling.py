import numpy as np
import pytest
from reference import central_differences, relative_error
from scipy import sparse
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from sklearn_deepnn import DeepNNClassifier, check_gradient
from sklearn_deepnn.network import scaling
from sklearn_deepnn.network.model import Network, initialize_parameters, logits_forward
from sklearn_deepnn.network.scaling import (
    SCALINGS,
    Moments,
    Scaling,
    fold_scaling,
    fold_scaling_backward,
    input_moments,
    on_another_scale,
    robust_scaling,
    unfold_scaling,
)
from sklearn_deepnn.training.loop import Batch, Examples, evaluate

M = 41  # 4 k + 1: quartiles are examples
NETWORKS = {
    "plain": {},
    "batch_norm": {"batch_norm": True},
    "ensemble": {"ensemble_size": 3},
    "both": {"batch_norm": True, "ensemble_size": 3},
}
WEIGHTS = {"unweighted": None, "weighted": np.random.default_rng(3).uniform(0.1, 3, M)}
COLUMNS = {"all": None, "some": np.random.default_rng(4).permutation(M)[:29]}


def draw_inputs(seed=0, m=M):
    """Return features of different sizes, offsets and skewness, a third of whose values are zero."""
    rng = np.random.default_rng(seed)
    X = np.array([[1.0], [1e-3], [50.0], [7.0]]) * rng.gamma(2, size=(4, m)) - np.array([[1.0], [0.0], [300.0], [-7.0]])
    return X * (rng.random((4, m)) > 1 / 3)


def examples_of(X, weight=None, columns=None):
    return Examples(X, np.zeros((1, X.shape[1]), int), weight, columns)


@pytest.fixture
def small_pieces(monkeypatch):
    """Have moments taken of 3 examples of 4 features at a time."""
    monkeypatch.setattr(scaling, "CHUNK_ELEMENTS", 12)


# Moments.


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_moments_of_pieces_equal_numpy_s(small_pieces, weight, columns, order):
    X, members = draw_inputs(), slice(None) if columns is None else columns
    found = input_moments(examples_of(np.array(X, order=order), weight, columns))
    share = np.ones(M)[members] if weight is None else weight[members]
    mean = np.average(X[:, members], axis=1, weights=share)[:, np.newaxis]
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    variance = np.average((X[:, members] - mean) ** 2, axis=1, weights=share)[:, np.newaxis]
    np.testing.assert_allclose(found.variance, variance, rtol=1e-13)
    assert found.total_weight == pytest.approx(share.sum(), rel=1e-14)


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_sparse_inputs_are_scaled_as_dense_ones(weight, columns, container, name):
    X = draw_inputs()
    wanted = SCALINGS[name](examples_of(X, weight, columns))
    found = SCALINGS[name](examples_of(container(X), weight, columns))
    np.testing.assert_allclose(found.center, wanted.center, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(found.scale, wanted.scale, rtol=1e-13)
    assert found.center.shape == found.scale.shape == (4, 1)


@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
def test_a_weight_of_2_is_a_second_copy(small_pieces, container, name):
    X, copies = draw_inputs(), np.random.default_rng(1).integers(1, 4, M)
    weighted = SCALINGS[name](examples_of(container(X), copies * 1.0))
    repeated = SCALINGS[name](examples_of(container(np.repeat(X, copies, axis=1))))
    np.testing.assert_allclose(weighted.center, repeated.center, rtol=1e-13)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-13)


def test_moments_merged_with_the_same_stay_the_same_to_the_bit():
    moments = input_moments(examples_of(draw_inputs(), WEIGHTS["weighted"]))
    merged = moments
    for _ in range(20):
        merged = merged.merged(moments)
    np.testing.assert_array_equal(merged.mean, moments.mean)
    np.testing.assert_array_equal(merged.variance, moments.variance)
    assert merged.total_weight == pytest.approx(21 * moments.total_weight, rel=1e-14)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_moments_of_parts_merge_to_those_of_the_whole(weight):
    X, merged = draw_inputs(), None
    for part in np.split(np.arange(M), [3, 4, 30]):
        of_part = input_moments(examples_of(X, weight, part))
        merged = of_part if merged is None else merged.merged(of_part)
    for found, wanted in zip(merged, input_moments(examples_of(X, weight))):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e9, 1e-9, 1e9 + np.arange(M) % 2 * 2**-22], ids=str)
def test_features_that_vary_by_rounding_at_most_are_ignored(small_pieces, container, value):
    X = draw_inputs()
    X[1] = value
    center, scale = input_moments(examples_of(container(X), WEIGHTS["weighted"])).scaling()
    assert scale[1, 0] == np.inf
    np.testing.assert_allclose(center[1, 0], X[1].mean(), rtol=1e-14)
    assert np.isfinite(scale[[0, 2, 3]]).all()


@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
@pytest.mark.parametrize("offset", [1e6, -1e9])
def test_a_large_offset_does_not_drown_what_varies(small_pieces, container, offset):
    noise = np.random.default_rng(0).normal(size=(2, M))
    X = offset + noise
    varies = X - offset  # what rounding has left of the noise
    center, scale = input_moments(examples_of(container(X))).scaling()
    np.testing.assert_allclose(center[:, 0] - offset, varies.mean(axis=1), atol=1e-14 * abs(offset))
    np.testing.assert_allclose(scale[:, 0], varies.std(axis=1), rtol=1e-15 * abs(offset))


def test_a_variance_beyond_all_numbers_is_an_error():
    with pytest.raises(ValueError, match="X must have features of finite variance"):
        input_moments(examples_of(1e200 * draw_inputs())).scaling()


@pytest.mark.parametrize("columns", [None, np.arange(1, 20_000)], ids=["all", "some"])
def test_moments_of_sparse_inputs_take_little_memory(peak_bytes, columns):
    rows = sparse.csr_array(sparse.random(20_000, 50, density=0.3, format="csr", random_state=0))
    assert peak_bytes(input_moments, examples_of(rows.T, None, columns)) < rows.data.nbytes / 2


def test_the_scaling_of_moments_is_to_mean_0_and_variance_1():
    moments = Moments(np.array([[3.0], [0.0]]), np.array([[4.0], [0.25]]), 10.0)
    center, scale = moments.scaling()
    np.testing.assert_array_equal(center, [[3], [0]])
    np.testing.assert_array_equal(scale, [[2], [0.5]])


# Validation data on another scale.


def distance_of(X, X_val, container=np.asarray):
    return on_another_scale(container(X), container(X_val))


@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
def test_examples_of_one_kind_are_on_one_scale(container):
    X = np.random.default_rng(0).normal(size=(6, 200))
    for size in (1, 2, 5, 20, 200):
        for seed in range(1, 20):
            others = np.random.default_rng(seed).normal(size=(6, size))
            assert distance_of(X, others, container) is None


@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
def test_raw_data_are_on_another_scale_than_scaled_ones_and_the_reverse(container):
    X = np.random.default_rng(0).normal(7, 3, size=(5, 200))
    scaled = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
    of_each = np.sqrt((X**2).mean(axis=1))  # in deviations of the scaled ones, which are 1, from their mean, 0
    assert distance_of(scaled, X, container) == pytest.approx(np.median(of_each))
    assert distance_of(X, scaled, container) == pytest.approx(7 / 3, rel=0.2)
    assert distance_of(scaled, scaled / 100, container) == pytest.approx(0.01)
    assert distance_of(scaled, scaled * 1.5, container) is None


def test_features_that_come_out_too_large_do_not_make_up_for_those_too_small():
    X = np.random.default_rng(0).normal(size=(4, 200))
    assert distance_of(X, X * np.array([[100], [100], [0.01], [0.01]])) is not None
    data, X_val = load_breast_cancer(return_X_y=True)[0].T, load_breast_cancer(return_X_y=True)[0][400:].T
    for scaler in (StandardScaler(), MinMaxScaler(), RobustScaler()):
        scaled = scaler.fit_transform(data.T[:400]).T
        assert distance_of(scaled, X_val) is not None
        assert distance_of(scaled, scaler.transform(X_val.T).T) is None


@pytest.mark.parametrize(("n_moved", "is_found"), [(0, False), (1, False), (2, True), (3, True)])
def test_most_features_tell_the_scale_not_a_few(n_moved, is_found):
    X, moved = (np.random.default_rng(seed).normal(size=(3, 100)) for seed in (0, 1))
    moved[:n_moved] += 100 * X[:n_moved].std(axis=1, keepdims=True)
    assert (distance_of(X, moved) is not None) == is_found


def test_features_that_do_not_vary_tell_nothing():
    X = np.random.default_rng(0).normal(size=(4, 100))
    constant, others = np.ones((9, 100)), 1000 * np.ones((9, 100))
    assert distance_of(np.vstack([X, constant]), np.vstack([X, others])) is None
    assert distance_of(constant, others) is None


def test_rare_words_that_few_validation_samples_lack_are_no_other_scale():
    words = np.zeros((50, 400))
    words[np.arange(50), np.arange(50)] = 1.0
    words[0] = np.arange(400) % 2
    assert distance_of(words, words[:, 200:205], sparse.csr_array) is None


# Quantiles.


def test_robust_scaling_is_by_median_and_interquartile_range():
    X = np.random.default_rng(0).normal(size=(3, M))
    center, scale = robust_scaling(examples_of(X))
    np.testing.assert_array_equal(center[:, 0], np.median(X, axis=1))
    np.testing.assert_allclose(scale[:, 0], np.subtract(*np.quantile(X, (0.75, 0.25), axis=1)), rtol=1e-14)


def test_outliers_do_not_move_robust_scaling():
    X = np.random.default_rng(0).normal(size=(3, M))
    spoilt = X.copy()
    spoilt[np.arange(3), X.argmax(axis=1)] = 1e12
    for found, wanted in zip(robust_scaling(examples_of(spoilt)), robust_scaling(examples_of(X))):
        np.testing.assert_array_equal(found, wanted)


def test_features_half_of_whose_values_are_the_same_are_divided_by_half_their_range():
    X = np.zeros((3, M))
    X[0, :3], X[1, :3], X[2] = (6.0, -4.0, 1.0), 3.0, 5.0
    center, scale = robust_scaling(examples_of(X))
    np.testing.assert_array_equal(center[:, 0], [0, 0, 5])
    np.testing.assert_array_equal(scale[:, 0], [5, 1.5, np.inf])


# What scaled inputs are.


@pytest.mark.parametrize("name", SCALINGS)
def test_inputs_are_shifted_and_divided(name):
    X = draw_inputs()
    center, scale = of_inputs = SCALINGS[name](examples_of(X))
    np.testing.assert_allclose(of_inputs.apply(X, np.float64), (X - center) / scale, rtol=1e-14)


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
    return network, parameters, X, input_moments(examples_of(X)).scaling()


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


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_gradients_of_folded_parameters_become_those_of_what_was_folded(options):
    network, parameters, X, of_inputs = draw_problem(options)
    Y = np.eye(3)[:, np.arange(M) % 3]
    batch = Batch(sparse.csr_array(X), Y, WEIGHTS["weighted"], of_inputs)
    _, grads, _ = evaluate(batch, parameters, network)

    def cost_by(name):
        def cost(array):
            outputs, _, _ = evaluate(batch, {**parameters, name: array}, network)
            return outputs.cost(network.loss) * network.ensemble_size

        return cost

    for name in ("W1", "gamma1" if network.batch_norm else "b1"):
        assert relative_error(grads["d" + name], central_differences(cost_by(name), parameters[name])) < 1e-7


def test_gradients_are_turned_by_the_formula():
    dW, db, center, scale = (
        np.ones((2, 3)),
        np.array([[1.0], [2.0]]),
        np.array([[1.0], [2.0], [0.0]]),
        np.full((3, 1), 4),
    )
    grads = {"dW1": dW, "db1": db, "dW2": np.ones((1, 2))}
    fold_scaling_backward(grads, Scaling(center, scale))
    np.testing.assert_array_equal(grads["dW1"], [[0, -0.25, 0.25], [-0.25, -0.75, 0.25]])
    np.testing.assert_array_equal(grads["db1"], [[1], [2]])
    np.testing.assert_array_equal(grads["dW2"], np.ones((1, 2)))


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_sparse_batches_leave_the_statistics_that_scaled_dense_ones_do(options):
    network, parameters, X, of_inputs = draw_problem({**options, "batch_norm": True})
    Y = np.eye(3)[:, np.arange(M) % 3]
    _, _, dense = evaluate(Batch(of_inputs.apply(X, np.float64), Y, None), parameters, network)
    _, _, found = evaluate(Batch(sparse.csr_array(X), Y, None, of_inputs), parameters, network)
    np.testing.assert_allclose(found[0].batchnorm.mean, dense[0].batchnorm.mean, atol=1e-12)
    np.testing.assert_allclose(found[0].batchnorm.variance, dense[0].batchnorm.variance, rtol=1e-10)


@pytest.mark.parametrize("scale_inputs", SCALINGS)
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_estimators_have_the_right_gradient_where_the_first_layer_scales(options, weight, scale_inputs):
    X, y = draw_inputs().T, np.arange(M) % 3
    estimator = DeepNNClassifier((5,), "tanh", scale_inputs=scale_inputs, random_state=0, **options)
    assert check_gradient(estimator, sparse.csr_array(X), y, sample_weight=weight, max_entries=8) < 1e-7
