"""The cost of an epoch, accumulated batch by batch, and the mean cost of a set."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from scipy import sparse
from training_cases import COLUMNS_OF_MEMBERS, WEIGHT, M, fit, initial_state

from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.losses import CLASS_LOSSES, compute_cost
from sklearn_deepnn.network.model import initialize_parameters, model_forward
from sklearn_deepnn.training import costs
from sklearn_deepnn.training.costs import CostMeter, Outputs, mean_cost
from sklearn_deepnn.training.examples import Examples
from sklearn_deepnn.training.optimizers import SGD
from sklearn_deepnn.training.recipe import Recipe

OUTPUT_OF = {name: loss.link.name for name, loss in CLASS_LOSSES.items()}


# The meter.


@pytest.mark.parametrize("cost_numbers", [1, 21, 10**9])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_the_meter_returns_the_mean_cost_of_all_examples(monkeypatch, loss, weighted, cost_numbers):
    monkeypatch.setattr(costs, "COST_NUMBERS", cost_numbers)
    rng, meter = np.random.default_rng(0), CostMeter(loss)
    ZL, Y, weight = rng.normal(size=(3, M)), np.eye(3)[:, rng.integers(3, size=M)], rng.uniform(0, 2, M)
    outputs = Outputs(CLASS_LOSSES[loss].link(ZL), ZL, Y, weight if weighted else None)
    for batch in (slice(0, 3), slice(3, 11), slice(11, 12), slice(12, M)):
        meter.add([Outputs(*(None if array is None else array[..., batch] for array in outputs))])
    wanted = compute_cost(outputs.AL, Y, ZL=ZL, loss=loss, sample_weight=weight / weight.mean() if weighted else None)
    assert meter.mean() == pytest.approx(wanted, rel=1e-12)
    assert meter.mean() == pytest.approx(wanted, rel=1e-12)


def test_the_meter_computes_a_cost_after_so_many_numbers_not_examples(monkeypatch):
    monkeypatch.setattr(costs, "COST_NUMBERS", 60)
    calls, meter = [], CostMeter("categorical_cross_entropy")
    monkeypatch.setattr(costs, "compute_cost", lambda AL, *_, **__: calls.append(AL.shape) or 0.0)
    for m in (4, 4, 25, 4):
        meter.add([Outputs(*np.full((3, 3, m), 1 / 3), None)])
    assert calls == [(3, 33)]
    meter.add([Outputs(*np.full((3, 3, 20), 1 / 3), None)])
    assert calls == [(3, 33), (3, 24)]


def test_joining_a_single_output_does_not_copy_it():
    outputs = Outputs(*np.full((3, 3, 4), 1 / 3), None)
    assert Outputs.joined([outputs]) is outputs


def test_the_cost_of_examples_of_weight_0_is_0():
    meter = CostMeter("categorical_cross_entropy")
    assert meter.mean() == 0
    meter.add([Outputs(*np.full((2, 3, 2), 1 / 3), np.eye(3)[:, :2], np.zeros(2))])
    assert meter.mean() == 0


def test_the_cost_of_an_epoch_weights_batches_by_their_size(network, examples):
    recipe = Recipe(SGD(), learning_rate=1e-300, batch_size=10)
    state = fit(examples, network, recipe, n_epochs=1)
    assert state.history["cost"] == pytest.approx([mean_cost(examples, state.parameters, network)], rel=1e-12)


# The mean cost.


@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_mean_cost_equals_the_reference(loss):
    network, rng = Network((4, 5, 3), activation="tanh", loss=loss, dropout_rate=0.5), np.random.default_rng(0)
    parameters, X, Y = (
        initialize_parameters((4, 5, 3), rng=0),
        rng.normal(size=(4, M)),
        np.eye(3)[:, rng.integers(3, size=M)],
    )
    columns, weight = np.array([1, 2, 3, 5, 8]), np.array([0, 1, 2, 1, 0, 3, 0, 0, 1] + [0] * (M - 9))
    repeated = np.repeat(columns, weight[columns])
    AL = reference.forward(X[:, repeated], parameters, "tanh", OUTPUT_OF[loss])[1][-1]
    wanted = reference.cost(AL, Y[:, repeated], OUTPUT_OF[loss])
    assert mean_cost(Examples(X, Y, weight, columns), parameters, network) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_the_cost_of_an_ensemble_is_the_cost_of_its_mean_probability(examples, network, loss, weight):
    network = replace(network, loss=loss, ensemble_size=3)
    parameters = initial_state(network).parameters
    Y = np.eye(3)[:, examples.Y[0]]
    AL = model_forward(examples.X, parameters, network)[0].mean(axis=0)
    relative = None if weight is None else weight / weight.mean()
    wanted = compute_cost(AL, Y, loss=loss, sample_weight=relative)
    found = mean_cost(examples._replace(Y=Y, sample_weight=weight), parameters, network)
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("container", [np.array, sparse.csc_array])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_the_cost_of_members_with_their_own_examples_is_their_mean_cost(examples, network, weight, container):
    ensemble = replace(network, ensemble_size=3)
    parameters, total, total_weight = initial_state(ensemble).parameters, 0.0, 0.0
    examples = examples._replace(X=container(examples.X), sample_weight=weight)
    for k, columns in enumerate(COLUMNS_OF_MEMBERS):
        alone = {name: array[k] for name, array in parameters.items()}
        size = len(columns) if weight is None else weight[columns].sum()
        total += mean_cost(examples._replace(columns=columns), alone, network) * size
        total_weight += size
    found = mean_cost(examples._replace(columns=COLUMNS_OF_MEMBERS), parameters, ensemble)
    assert found == pytest.approx(total / total_weight, rel=1e-12)
