"""`train_deep_network`, the training of the course."""

import numpy as np
import pytest
import reference

from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.model import initialize_parameters, model_forward
from sklearn_deepnn.training.course import train_deep_network


@pytest.mark.parametrize(("output", "n_outputs"), [("sigmoid", 1), ("softmax", 3)])
@pytest.mark.parametrize("hidden_dims", [(), (5,), (5, 4, 3)])
def test_twenty_steps_on_the_whole_set_equal_the_reference(hidden_dims, output, n_outputs):
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(4, 8)), rng.integers(max(n_outputs, 2), size=8)
    Y = np.eye(n_outputs)[:, codes] if n_outputs > 1 else codes[np.newaxis]
    layer_dims = (4, *hidden_dims, n_outputs)
    parameters, costs = train_deep_network(X, Y, layer_dims, learning_rate=0.3, num_iterations=20, rng=7)
    before = initialize_parameters(layer_dims, rng=7)
    wanted, wanted_costs = reference.descend(X, Y, before, 0.3, 20, "relu", output)
    np.testing.assert_allclose(costs, wanted_costs, rtol=1e-10)
    assert costs[-1] < costs[0]
    for name, array in parameters.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("architecture", [{}, {"activation": "tanh"}, {"batch_norm": True}], ids=str)
def test_train_deep_network_learns_xor(architecture):
    X, Y = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]), np.array([[0, 1, 1, 0]])
    parameters, costs = train_deep_network(
        X, Y, [2, 8, 1], learning_rate=0.5, num_iterations=1000, rng=0, **architecture
    )
    AL, _ = model_forward(X, parameters, Network((2, 8, 1), **architecture))
    np.testing.assert_array_equal(AL > 0.5, Y)
    assert costs[-1] < 0.1 < costs[0]
    assert len(costs) == 1000


@pytest.mark.parametrize(
    ("num_iterations", "printed"),
    [(1, [0]), (2, [0, 1]), (100, [0, 99]), (101, [0, 100]), (250, [0, 100, 200, 249])],
)
def test_print_cost_prints_the_cost_of_every_hundredth_iteration_and_of_the_last(capsys, num_iterations, printed):
    X, Y = np.ones((2, 3)), np.array([[0, 1, 1]])
    _, costs = train_deep_network(X, Y, [2, 1], num_iterations=num_iterations, print_cost=True, rng=0)
    assert len(costs) == num_iterations
    assert capsys.readouterr().out.splitlines() == [f"Cost after iteration {i}: {costs[i]:.6f}" for i in printed]


def test_the_first_cost_is_printed_with_six_decimals(capsys):
    train_deep_network(np.zeros((2, 4)), np.array([[0, 1, 1, 0]]), [2, 1], num_iterations=1, print_cost=True)
    assert capsys.readouterr().out == "Cost after iteration 0: 0.693147\n"


@pytest.mark.parametrize("options", [{}, {"print_cost": False}], ids=["default", "False"])
def test_without_print_cost_nothing_is_printed(capsys, options):
    train_deep_network(np.ones((2, 3)), np.array([[0, 1, 1]]), [2, 1], num_iterations=101, rng=0, **options)
    assert capsys.readouterr().out == ""


def test_print_cost_does_not_change_the_training():
    X, Y = np.random.default_rng(0).normal(size=(2, 6)), np.array([[0, 1, 1, 0, 1, 0]])
    (_, printed), (_, silent) = (
        train_deep_network(X, Y, [2, 3, 1], num_iterations=30, print_cost=print_cost, rng=0)
        for print_cost in (True, False)
    )
    assert printed == silent


def test_train_deep_network_rejects_a_bad_rate():
    with pytest.raises(ValueError, match=r"learning_rate must be a number in \(0, inf\), got 0"):
        train_deep_network(np.ones((2, 3)), np.array([[0, 1, 1]]), [2, 1], learning_rate=0)


@pytest.mark.parametrize("num_iterations", [0, -1, 2.5])
def test_train_deep_network_rejects_a_bad_number_of_iterations(num_iterations):
    with pytest.raises(ValueError, match=r"num_iterations must be an integer of at least 1, got "):
        train_deep_network(np.ones((2, 3)), np.array([[0, 1, 1]]), [2, 1], num_iterations=num_iterations)


@pytest.mark.parametrize(
    ("X", "Y", "named"),
    [
        (np.ones((5, 3)), np.ones((1, 5)), r"X must have shape \(3, m\), one column per example, got \(5, 3\)"),
        (np.ones((3, 5)), np.ones(5), r"Y must have shape \(1, 5\), one column per example, got \(5,\)"),
        (np.ones((3, 5)), np.ones((5, 1)), r"Y must have shape \(1, 5\).*got \(5, 1\)"),
        (np.ones((3, 5)), np.full((1, 5), 2), "Y must have targets from 0 to 1, got values from 2 to 2"),
    ],
)
def test_train_deep_network_names_the_array_of_a_wrong_shape(X, Y, named):
    with pytest.raises(ValueError, match=named):
        train_deep_network(X, Y, [3, 2, 1], num_iterations=1)


def test_train_deep_network_names_class_numbers_out_of_range():
    with pytest.raises(ValueError, match="Y must have class numbers from 0 to 2, got values from 1 to 3"):
        train_deep_network(np.ones((3, 3)), np.array([[1, 2, 3]]), [3, 2, 3], num_iterations=1)
