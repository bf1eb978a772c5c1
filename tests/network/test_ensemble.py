import numpy as np
import pytest
from reference import central_differences, relative_error

from sklearn_deepnn.network.ensemble import joint_logits, joint_logits_gradient, prediction_gradient
from sklearn_deepnn.network.links import softmax
from sklearn_deepnn.network.losses import CLASS_LOSSES, compute_cost

N_OUTPUTS, M = 3, 7
DTYPES = [np.float32, np.float64]


def draw(seed=0, spread=2.0):
    """Return logits."""
    return np.random.default_rng(seed).normal(0, spread, (N_OUTPUTS, M))


def draw_targets(seed=0):
    """Return one-hot targets, which every loss accepts."""
    return np.eye(N_OUTPUTS)[:, np.random.default_rng(seed).integers(N_OUTPUTS, size=M)]


def draw_stack():
    """Return the logits of an ensemble of three networks."""
    return np.stack([draw(seed) for seed in range(3)])


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_joint_logits_are_those_of_the_mean_probability(name):
    ZL, loss = draw_stack(), CLASS_LOSSES[name]
    AL = loss.link(ZL).mean(axis=0)
    joint = joint_logits(ZL, name)
    np.testing.assert_allclose(loss.link(joint), AL, rtol=1e-13)
    np.testing.assert_allclose(loss.link.log(joint), np.log(AL), rtol=1e-12)


def test_joint_logits_of_the_softmax_are_logarithms_of_the_mean_probability():
    ZL = draw_stack()
    wanted = np.log(softmax(ZL).mean(axis=0))
    np.testing.assert_allclose(joint_logits(ZL, "categorical_cross_entropy"), wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_joint_logits_of_sure_members_are_finite(name, dtype):
    agreeing = np.array([[[1e4, 1e4, -1e4], [-1e4, 1e4, 1e4]]] * 3, dtype)
    divided = agreeing * np.array([1, 1, -1], dtype)[:, np.newaxis, np.newaxis]
    with np.errstate(all="raise", under="ignore"):
        joint, of_divided = joint_logits(agreeing, name), joint_logits(divided, name)
    assert joint.dtype == of_divided.dtype == dtype
    np.testing.assert_allclose(np.diff(joint, axis=0), [[-2e4, 0, 2e4]], rtol=1e-6)
    wanted = [[2 / 3, 2 / 3, 1 / 3], [1 / 3, 2 / 3, 2 / 3]]
    if name == "categorical_cross_entropy":
        wanted = [[2 / 3, 1 / 2, 1 / 3], [1 / 3, 1 / 2, 2 / 3]]
    np.testing.assert_allclose(CLASS_LOSSES[name].link(of_divided), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_the_logits_of_a_single_network_are_joint_already(name):
    ZL = draw()
    assert joint_logits(ZL, name) is ZL


# The gradients of one logit or probability at the logits of all.


def draw_outputs(name):
    """Return which output each column means: 1 for that, or -1 for its contrary where it has one."""
    D = draw_targets()
    return D * np.array([1, -1] * M)[:M] if name == "binary_cross_entropy" else D


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_gradients_of_one_logit_equal_central_differences(name, ensemble_size):
    ZL, D = draw_stack() if ensemble_size > 1 else draw(), draw_outputs(name)
    wanted = central_differences(lambda at: (D * joint_logits(at, name)).sum(), ZL)
    assert relative_error(joint_logits_gradient(ZL, D, name), wanted) < 1e-7


@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_gradients_of_one_probability_equal_central_differences(name, ensemble_size):
    ZL, D = draw_stack() if ensemble_size > 1 else draw(), draw_outputs(name)
    wanted = central_differences(lambda at: (D * CLASS_LOSSES[name].link(joint_logits(at, name))).sum(), ZL)
    assert relative_error(prediction_gradient(ZL, D, name), wanted) < 1e-7


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_the_log_probability_of_one_output_is_the_logarithm_of_its_probability(name):
    ZL, D, loss = draw_stack(), draw_outputs(name), CLASS_LOSSES[name]
    AL = loss.link(ZL)
    wanted = np.log((np.abs(D) * np.where(D > 0, AL, 1 - AL)).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(loss.link.log_probability(ZL, D), wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_sure_members_give_finite_gradients_whether_they_agree_or_not(name, dtype):
    agreeing = np.array([[[1e4, 1e4, -1e4], [-1e4, 1e4, 1e4]]] * 3, dtype)
    divided = agreeing * np.array([1, 1, -1], dtype)[:, np.newaxis, np.newaxis]
    for output in range(2):
        D = np.eye(2, dtype=dtype)[:, [output] * 3]
        for ZL in (agreeing, divided, divided[0]):
            with np.errstate(all="raise", under="ignore"):
                dZL, of_probability = joint_logits_gradient(ZL, D, name), prediction_gradient(ZL, D, name)
            assert dZL.dtype == of_probability.dtype == dtype
            assert np.isfinite(dZL).all()
            assert np.isfinite(of_probability).all()


def test_what_a_sure_probability_lacks_moves_it():
    ZL, D = np.array([[40.0], [0]]), np.array([[1.0], [0]])
    wanted = [[np.exp(-40)], [-np.exp(-40)]]
    np.testing.assert_allclose(prediction_gradient(ZL, D, "categorical_cross_entropy"), wanted, rtol=1e-12)
    np.testing.assert_allclose(prediction_gradient(ZL[:1], D[:1], "binary_cross_entropy"), wanted[:1], rtol=1e-12)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_everything_of_a_stack_equals_that_of_each_member(name):
    loss, ZL, Y = CLASS_LOSSES[name], draw_stack(), draw_targets()
    for function in (loss.link, loss.link.log, lambda at: loss.losses(at, np.broadcast_to(Y, at.shape))):
        np.testing.assert_allclose(function(ZL), [function(member) for member in ZL], rtol=1e-13)
    by_member = [compute_cost(loss.link(member), Y, ZL=member, loss=name) for member in ZL]
    cost = compute_cost(loss.link(ZL), np.broadcast_to(Y, ZL.shape), ZL=ZL, loss=name)
    assert cost == pytest.approx(np.mean(by_member), rel=1e-13)
    assert compute_cost(loss.link(ZL), Y, ZL=ZL, loss=name) == pytest.approx(cost, rel=1e-13)
