import math

import numpy as np
import pytest
from reference import central_differences, relative_error
from scipy import sparse
from sklearn.metrics import log_loss

from sklearn_deepnn.network.links import softmax
from sklearn_deepnn.network.losses import CLASS_LOSSES, compute_cost, cost_gradient, default_loss

N_OUTPUTS, M = 3, 7
DTYPES = [np.float32, np.float64]


def draw(loss, n_outputs=N_OUTPUTS, seed=0, spread=2.0):
    """Return logits, targets and class numbers; the targets are one-hot, which every loss understands."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_outputs, size=M)
    return rng.normal(0, spread, (n_outputs, M)), np.eye(n_outputs)[:, codes], codes


def test_cost_has_the_course_s_value():
    AL, Y = np.array([[0.8, 0.9, 0.4]]), np.array([[1, 1, 0]])
    assert compute_cost(AL, Y) == pytest.approx(0.2797765635793422, rel=1e-12)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_gradient_equals_central_differences(name):
    loss, (ZL, Y, _) = CLASS_LOSSES[name], draw(name)
    found = loss.gradient(loss.link(ZL), Y)
    assert relative_error(found, central_differences(lambda at: loss.losses(at, Y).sum(), ZL)) < 1e-7


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_gradient_of_soft_targets_equals_central_differences(name):
    loss, (ZL, _, codes) = CLASS_LOSSES[name], draw(name)
    Y = loss.encode(np.eye(N_OUTPUTS)[:, codes], N_OUTPUTS, np.float64, 0.3)
    found = loss.gradient(loss.link(ZL), Y)
    assert relative_error(found, central_differences(lambda at: loss.losses(at, Y).sum(), ZL)) < 1e-7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_extreme_logits_give_finite_costs_and_gradients_without_warning(name, dtype):
    loss = CLASS_LOSSES[name]
    ZL = np.array([[1e4, -1e4, 1e4, 0], [-1e4, 1e4, 1e4, 0]], dtype)
    Y = np.array([[1, 1, 0, 1], [0, 0, 1, 0]], dtype)
    with np.errstate(all="raise", under="ignore"):
        AL = loss.link(ZL)
        dZ = loss.gradient(AL, Y)
        cost = compute_cost(AL, Y, ZL=ZL, loss=name)
        log_AL = loss.link.log(ZL)
    assert np.isfinite(log_AL).all()
    assert np.isfinite(dZ).all()
    assert dZ.dtype == dtype
    assert isinstance(cost, float)
    assert math.isfinite(cost)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_tiny_gradients_become_0_or_have_a_square_that_is_a_normal_number(name, dtype):
    loss, least = CLASS_LOSSES[name], float(np.finfo(dtype).tiny)
    tiny = np.geomspace(least / 1e4, 0.5, 1000, dtype=dtype)[np.newaxis]
    assert 0 < tiny[0, 0] < least
    for AL, Y in ((tiny, np.zeros_like(tiny)), (np.zeros_like(tiny), tiny)):
        found = loss.gradient(AL, Y)
        assert found.dtype == dtype
        assert (found[found != 0] ** 2 >= least).all()
        assert (found == 0).any()
        np.testing.assert_allclose(found, AL - Y, rtol=np.finfo(dtype).eps, atol=2 * least**0.5)


@pytest.mark.parametrize("dtype", [np.float16, np.int64])
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_gradients_of_other_types_are_as_exact_as_these(name, dtype):
    AL, Y = np.array([[1, 0, 1]], dtype), np.array([[0, 0, 1]], dtype)
    found = CLASS_LOSSES[name].gradient(AL, Y)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [[1, 0, 0]])
    if dtype == np.float16:
        np.testing.assert_array_equal(CLASS_LOSSES[name].gradient(AL * dtype(0.001), Y * 0), AL * dtype(0.001))


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_cost_is_exact_at_extreme_logits(dtype):
    ZL, Y = np.array([[1e4, 1e4, -1e4, -1e4, 0]], dtype), np.array([[0, 1, 0, 1, 1]], dtype)
    loss = CLASS_LOSSES["binary_cross_entropy"]
    np.testing.assert_allclose(loss.losses(ZL, Y), [1e4, 0, 0, 1e4, math.log(2)], rtol=1e-7)
    np.testing.assert_array_equal(loss.gradient(loss.link(ZL), Y), [[1, 0, 0, -1, -0.5]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_categorical_cost_is_exact_at_extreme_logits(dtype):
    ZL = np.array([[1e4, 1e4, 0], [-1e4, -1e4, 0], [0, 0, 0]], dtype)
    Y = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype)
    loss = CLASS_LOSSES["categorical_cross_entropy"]
    np.testing.assert_allclose(loss.losses(ZL, Y), [0, 2e4, math.log(3)], rtol=1e-7)
    np.testing.assert_allclose(
        loss.gradient(loss.link(ZL), Y), [[0, 1, 1 / 3], [0, -1, 1 / 3], [0, 0, -2 / 3]], rtol=1e-6
    )


def test_binary_cost_is_exact_for_confident_predictions():
    losses = CLASS_LOSSES["binary_cross_entropy"].losses(np.array([[40.0, -50.0]]), np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(losses, [math.exp(-40), math.exp(-50)], rtol=1e-12)


def test_binary_cost_equals_scikit_learn_s_log_loss():
    ZL, Y, _ = draw("binary_cross_entropy", n_outputs=1)
    Y = (ZL + np.random.default_rng(1).normal(size=ZL.shape) > 0) * 1.0
    AL = CLASS_LOSSES["binary_cross_entropy"].link(ZL)
    assert compute_cost(AL, Y, ZL=ZL) == pytest.approx(log_loss(Y[0], AL[0]), rel=1e-12)


def test_categorical_cost_equals_scikit_learn_s_log_loss():
    ZL, Y, codes = draw("categorical_cross_entropy")
    assert compute_cost(softmax(ZL), Y, ZL=ZL) == pytest.approx(log_loss(codes, softmax(ZL).T), rel=1e-12)


def test_multilabel_cost_is_the_sum_of_the_labels_costs():
    ZL, Y, _ = draw("binary_cross_entropy")
    AL = CLASS_LOSSES["binary_cross_entropy"].link(ZL)
    by_label = [compute_cost(AL[[i]], Y[[i]]) for i in range(N_OUTPUTS)]
    assert compute_cost(AL, Y, loss="binary_cross_entropy") == pytest.approx(sum(by_label), rel=1e-12)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_cost_is_the_same_with_and_without_logits(name):
    ZL, Y, _ = draw(name)
    AL = CLASS_LOSSES[name].link(ZL)
    assert compute_cost(AL, Y, loss=name) == pytest.approx(compute_cost(AL, Y, ZL=ZL, loss=name), rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_cost_without_logits_is_finite_where_probabilities_have_saturated(name, dtype):
    AL, Y = np.array([[1, 0], [0, 1]], dtype), np.array([[0, 0], [1, 1]], dtype)
    with np.errstate(all="raise", under="ignore"):
        assert 1 < compute_cost(AL, Y, loss=name) < 1e4


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_weights_equal_repetition(name):
    ZL, Y, _ = draw(name)
    weight = np.array([1, 2, 3, 1, 2, 1, 4])
    repeated = np.repeat(ZL, weight, axis=1), np.repeat(Y, weight, axis=1)
    wanted = compute_cost(CLASS_LOSSES[name].link(repeated[0]), repeated[1], loss=name)
    found = compute_cost(CLASS_LOSSES[name].link(ZL), Y, loss=name, sample_weight=weight / weight.mean())
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_links_invert_and_take_logarithms(name):
    loss, (ZL, _, _) = CLASS_LOSSES[name], draw(name)
    AL = loss.link(ZL)
    np.testing.assert_allclose(loss.link(loss.link.inverse(AL)), AL, rtol=1e-12)
    np.testing.assert_allclose(np.exp(loss.link.log(ZL)), AL, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_dtype_stays_and_arguments_stay_as_they_were(name, dtype):
    loss, (ZL, Y, _) = CLASS_LOSSES[name], draw(name)
    ZL, Y = ZL.astype(dtype), Y.astype(dtype)
    ZL_before, Y_before = ZL.copy(), Y.copy()
    AL = loss.link(ZL)
    results = [AL, loss.link.inverse(AL), loss.link.log(ZL), loss.losses(ZL, Y), loss.gradient(AL, Y)]
    results.append(loss.encode(Y, N_OUTPUTS, np.dtype(dtype), 0.1))
    assert {result.dtype for result in results} == {np.dtype(dtype)}
    np.testing.assert_array_equal(ZL, ZL_before)
    np.testing.assert_array_equal(Y, Y_before)


def test_softmax_sums_to_one_and_ignores_a_shift():
    ZL, _, _ = draw("categorical_cross_entropy", spread=30)
    np.testing.assert_allclose(softmax(ZL).sum(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(softmax(ZL + 1000), softmax(ZL), rtol=1e-11)


def test_one_class_costs_nothing():
    ZL, Y = np.array([[3.0, -2.0, 1e4]]), np.ones((1, 3))
    AL = softmax(ZL)
    np.testing.assert_array_equal(AL, 1)
    assert compute_cost(AL, Y, ZL=ZL, loss="categorical_cross_entropy") == 0
    assert compute_cost(AL, Y, loss="categorical_cross_entropy") == 0
    assert not CLASS_LOSSES["categorical_cross_entropy"].gradient(AL, Y).any()


@pytest.mark.parametrize("kind", [np.intp, np.uint8, np.float64])
def test_class_numbers_become_one_hot(kind):
    Y = CLASS_LOSSES["categorical_cross_entropy"].encode(np.array([[2, 0, 1, 2]], kind), 3, np.float32)
    np.testing.assert_array_equal(Y, [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]])
    assert Y.dtype == np.float32


@pytest.mark.parametrize("container", [np.array, sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
def test_indicators_become_floats(container):
    Y = CLASS_LOSSES["binary_cross_entropy"].encode(container([[0, 1], [1, 1]]), 2, np.float32)
    assert isinstance(Y, np.ndarray)
    assert Y.dtype == np.float32
    np.testing.assert_array_equal(Y, [[0, 1], [1, 1]])


def test_label_smoothing_spreads_its_fraction_evenly():
    categorical = CLASS_LOSSES["categorical_cross_entropy"].encode(np.array([[1, 0]]), 4, np.float64, 0.2)
    np.testing.assert_allclose(categorical.T, [[0.05, 0.85, 0.05, 0.05], [0.85, 0.05, 0.05, 0.05]], rtol=1e-14)
    binary = CLASS_LOSSES["binary_cross_entropy"].encode(np.array([[1, 0]]), 1, np.float64, 0.2)
    np.testing.assert_allclose(binary, [[0.9, 0.1]], rtol=1e-14)


def test_the_number_of_outputs_suggests_the_loss():
    assert default_loss(1) == "binary_cross_entropy"
    assert default_loss(2) == "categorical_cross_entropy"


@pytest.mark.parametrize("weight", [None, np.linspace(0.2, 2, M)], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_the_gradient_of_the_cost_equals_central_differences(name, weight):
    loss, (ZL, Y, _) = CLASS_LOSSES[name], draw(name)

    def cost(at):
        return compute_cost(loss.link(at), Y, ZL=at, loss=name, sample_weight=weight)

    found = cost_gradient(loss.link(ZL), Y, m=M, loss=name, sample_weight=weight)
    assert relative_error(found, central_differences(cost, ZL)) < 1e-7


def test_targets_of_another_shape_are_an_error():
    AL = np.full((1, 4), 0.5)
    with pytest.raises(ValueError, match=r"Y must have the shape of AL, \(1, 4\).*got \(4, 1\)"):
        compute_cost(AL, np.ones((4, 1)))
