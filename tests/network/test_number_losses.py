"""Losses for numbers: their values, gradients, baselines and links, against scikit-learn and finite differences."""

import math

import numpy as np
import pytest
from reference import central_differences, relative_error
from sklearn.metrics import (
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)

from sklearn_deepnn.network.ensemble import joint_logits, joint_logits_gradient, prediction_gradient
from sklearn_deepnn.network.losses import NUMBER_LOSSES, compute_cost, cost_gradient
from sklearn_deepnn.network.losses.numbers import weighted_quantile

N_OUTPUTS, M = 3, 9
DTYPES = [np.float32, np.float64]
LOSSES = {**NUMBER_LOSSES, "quantile 0.9": NUMBER_LOSSES["quantile"].at_quantile(0.9)}
WEIGHT = np.array([1, 2, 3, 1, 2, 1, 4, 1, 1])
POSITIVE = {"poisson", "gamma"}
SCIKIT_LEARN = {
    "squared_error": lambda y, p: mean_squared_error(y, p) / 2,
    "absolute_error": mean_absolute_error,
    "quantile": lambda y, p: mean_pinball_loss(y, p, alpha=0.5),
    "quantile 0.9": lambda y, p: mean_pinball_loss(y, p, alpha=0.9),
    "poisson": lambda y, p: mean_poisson_deviance(y, p) / 2,
    "gamma": lambda y, p: mean_gamma_deviance(y, p) / 2,
}


def draw(seed=0, dtype=np.float64):
    """Return logits and positive targets, which every loss accepts."""
    rng = np.random.default_rng(seed)
    ZL, Y = rng.normal(size=(N_OUTPUTS, M)), rng.gamma(2, size=(N_OUTPUTS, M))
    return ZL.astype(dtype), Y.astype(dtype)


@pytest.mark.parametrize("weight", [None, WEIGHT / WEIGHT.mean()], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_the_cost_equals_central_differences(name, weight):
    loss, (ZL, Y) = LOSSES[name], draw()

    def cost(at):
        return compute_cost(loss.link(at), Y, ZL=at, loss=loss, sample_weight=weight)

    found = cost_gradient(loss.link(ZL), Y, m=M, loss=loss, sample_weight=weight)
    assert relative_error(found, central_differences(cost, ZL)) < 1e-7


@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_the_cost_of_one_target_is_that_of_scikit_learn(name):
    loss, (ZL, Y) = LOSSES[name], draw()
    AL = np.abs(loss.link(ZL)) if name in POSITIVE else loss.link(ZL)
    assert compute_cost(AL[:1], Y[:1], ZL=ZL[:1], loss=loss) == pytest.approx(
        SCIKIT_LEARN[name](Y[0], AL[0]), rel=1e-12
    )


def test_huber_is_squared_up_to_an_error_of_one_and_absolute_beyond():
    errors = np.array([[0.0, 0.5, -1.0, 3.0, -10.0]])
    np.testing.assert_allclose(NUMBER_LOSSES["huber"].losses(errors, 0 * errors), [0, 0.125, 0.5, 2.5, 9.5])
    np.testing.assert_allclose(NUMBER_LOSSES["huber"].gradient(errors, 0 * errors), [[0, 0.5, -1, 1, -1]])


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_of_several_targets_are_averaged(name):
    loss, (ZL, Y) = LOSSES[name], draw()
    alone = [loss.losses(ZL[[i]], Y[[i]]) for i in range(N_OUTPUTS)]
    np.testing.assert_allclose(loss.losses(ZL, Y), np.mean(alone, axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_prediction_costs_nothing(name):
    loss, (_, Y) = LOSSES[name], draw()
    np.testing.assert_allclose(loss.losses(loss.link.inverse(Y), Y), 0, atol=1e-14)


def test_counts_of_zero_cost_what_is_predicted():
    loss, ZL = NUMBER_LOSSES["poisson"], np.array([[-3.0, 0.0, 2.0]])
    np.testing.assert_allclose(loss.losses(ZL, np.zeros_like(ZL)), np.exp(ZL[0]), rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_give_finite_costs_and_gradients_without_warning(name, dtype):
    loss = LOSSES[name]
    ZL = np.array([[1e4, -1e4, 1e4, -1e4, 0]], dtype)
    Y = loss.encode(np.array([[1e3, 1e3, 1e-40, 1e-40, 1]]), 1, np.dtype(dtype))
    with np.errstate(all="raise", under="ignore"):
        AL = loss.link(ZL)
        found = [AL, loss.gradient(AL, Y), loss.losses(ZL, Y), loss.link.inverse(AL)]
    for array in found:
        assert np.isfinite(array).all()
        assert array.dtype == dtype


@pytest.mark.parametrize("logit", [400.0, -400.0])
@pytest.mark.parametrize("name", sorted(POSITIVE))
def test_beyond_the_largest_exponential_the_cost_continues_along_its_tangent(name, logit):
    loss, ZL, Y = NUMBER_LOSSES[name], np.array([[logit]]), np.ones((1, 1))
    found, numeric = loss.gradient(loss.link(ZL), Y), central_differences(lambda at: loss.losses(at, Y).sum(), ZL)
    np.testing.assert_allclose(found, numeric, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_no_constant_costs_less_than_the_best(name):
    loss, (_, Y) = LOSSES[name], draw()
    best = loss.best_constant(Y, WEIGHT[np.newaxis])

    def cost(constant):
        AL = np.broadcast_to(constant, Y.shape)
        return compute_cost(AL, Y, loss=loss, sample_weight=WEIGHT / WEIGHT.mean())

    assert all(cost(best) <= cost(best * (1 + step)) + 1e-9 for step in (-0.1, -1e-3, 1e-3, 0.1))


@pytest.mark.parametrize("name", LOSSES)
def test_weights_equal_repetition(name):
    loss, (ZL, Y) = LOSSES[name], draw()
    of_repeated = compute_cost(
        loss.link(np.repeat(ZL, WEIGHT, axis=1)), np.repeat(Y, WEIGHT, axis=1), loss=loss
    )  # fmt: skip
    found = compute_cost(loss.link(ZL), Y, loss=loss, sample_weight=WEIGHT / WEIGHT.mean())
    assert found == pytest.approx(of_repeated, rel=1e-12)
    repeated = loss.best_constant(np.repeat(Y, WEIGHT, axis=1), np.ones((1, WEIGHT.sum())))
    np.testing.assert_allclose(loss.best_constant(Y, WEIGHT[np.newaxis]), repeated, rtol=1e-12)


@pytest.mark.parametrize("quantile", [0.1, 0.25, 0.5, 0.9])
def test_weighted_quantiles_are_those_of_numpy(quantile):
    _, Y = draw()
    wanted = np.quantile(np.repeat(Y, WEIGHT, axis=1), quantile, axis=1, method="inverted_cdf")
    np.testing.assert_array_equal(weighted_quantile(Y, WEIGHT[np.newaxis], quantile)[:, 0], wanted)


@pytest.mark.parametrize("name", LOSSES)
def test_a_quantile_is_kept_by_the_loss_that_has_one(name):
    loss = LOSSES[name].at_quantile(0.3)
    assert loss.name == LOSSES[name].name
    assert loss.quantile == (0.3 if loss.name == "quantile" else 0.5)


# The mean prediction of an ensemble.


@pytest.mark.parametrize("name", LOSSES)
def test_an_ensemble_predicts_the_mean_of_its_members(name):
    ZL = np.stack([draw(seed)[0] for seed in range(4)])
    link = LOSSES[name].link
    np.testing.assert_allclose(link(joint_logits(ZL, LOSSES[name])), link(ZL).mean(axis=0), rtol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_the_joint_logit_and_of_the_prediction_equal_central_differences(name):
    loss, D = LOSSES[name], np.eye(N_OUTPUTS)[:, [0, 1, 2] * 3]
    for ZL in (draw()[0], np.stack([draw(seed)[0] for seed in range(3)])):
        joint = central_differences(lambda at: (D * joint_logits(at, loss)).sum(), ZL)
        assert relative_error(joint_logits_gradient(ZL, D, loss), joint) < 1e-7
        prediction = central_differences(lambda at: (D * loss.link(joint_logits(at, loss))).sum(), ZL)
        assert relative_error(prediction_gradient(ZL, D, loss), prediction) < 1e-7


@pytest.mark.parametrize("name", NUMBER_LOSSES)
def test_targets_out_of_range_break_the_rule_of_their_loss(name):
    rule = NUMBER_LOSSES[name].target_rule(1, 1)
    assert not rule.is_broken_by(np.array([1e-300, 1e300])).any()
    assert rule.is_broken_by(np.zeros(1))[0] == (name == "gamma")
    assert rule.is_broken_by(-np.ones(1))[0] == (name in POSITIVE)
    assert math.isinf(rule.high)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(POSITIVE))
def test_deviances_of_small_errors_keep_their_digits(name, dtype):
    Y = np.linspace(0.5, 2, 50)[np.newaxis]
    for error in (1e-4, -1e-3, 0.1, 0.49, 0.51, -2.0):
        losses = LOSSES[name].losses((np.log(Y) + error).astype(dtype), Y.astype(dtype))
        scale = Y[0] if name == "poisson" else 1
        wanted = scale * (np.expm1(error) - error if name == "poisson" else np.expm1(-error) + error)
        assert (losses >= 0).all()
        np.testing.assert_allclose(losses, wanted, rtol=5e-3 if dtype == np.float32 else 1e-7)
