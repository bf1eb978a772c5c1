from dataclasses import replace

import numpy as np
import pytest
from one_network import one_network
from scipy import sparse

from sklearn_deepnn import check_gradient, gradient_check
from sklearn_deepnn.network import model as network
from sklearn_deepnn.network.activations import ACTIVATIONS, Activation
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.losses import LOSSES, NUMBER_LOSSES

M = 12
TOLERANCE, WRONG = 1e-7, 1e-3
WEIGHT = np.linspace(0.5, 2.0, M)
X = np.random.default_rng(0).normal(size=(M, 4))
TARGETS = {
    "binary": np.arange(M) % 2,
    "multiclass": np.arange(M) % 3,
    "multilabel": np.random.default_rng(1).integers(2, size=(M, 3)),
}
NETWORKS = {
    "plain": {},
    "dropout": {"dropout_rate": 0.4},
    "batch_norm": {"batch_norm": True},
    "both": {"dropout_rate": 0.4, "batch_norm": True},
}
CONFIGURATIONS = {
    **NETWORKS,
    "label_smoothing": {"label_smoothing": 0.2},
    "weight_decay": {"weight_decay": 0.3},
    "all": {"dropout_rate": 0.4, "batch_norm": True, "label_smoothing": 0.2, "weight_decay": 0.3},
}


def check_network(layer_dims=(4, 5, 4, 3), **options):
    """Check a network at one-hot targets, or for numbers at positive ones."""
    rng = np.random.default_rng(1)
    is_of_numbers = options.get("loss") in NUMBER_LOSSES
    Y = 0.1 + rng.gamma(2, size=(3, M)) if is_of_numbers else np.eye(3)[:, rng.integers(3, size=M)]
    weight = options.pop("sample_weight", None)
    return check_gradient(Network(layer_dims, **options), X.T, Y, sample_weight=weight, max_entries=8)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_have_the_right_gradient(activation, loss, options, weight):
    assert check_network(activation=activation, loss=loss, sample_weight=weight, **options) < TOLERANCE


def arctan(Z):
    return np.arctan(Z), Z


def arctan_backward(dA, cache):
    return dA / (1 + cache * cache)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_networks_with_an_activation_of_your_own_have_the_right_gradient(options, ensemble_size, weight):
    own = Activation(arctan, arctan_backward, "glorot_uniform")
    for activation in (own, (own, "tanh")):
        options = {"activation": activation, "ensemble_size": ensemble_size, "sample_weight": weight, **options}
        assert check_network(**options) < TOLERANCE


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("options", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_estimators_have_the_right_gradient(activation, y, options, weight):
    estimator = one_network((5, 4), activation, random_state=0, **options)
    assert check_gradient(estimator, X, y, sample_weight=weight, max_entries=8) < TOLERANCE


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("loss", LOSSES)
def test_ensembles_have_the_right_gradient(loss, options, weight):
    options = {"activation": "tanh", "loss": loss, "sample_weight": weight, **options}
    assert check_network(ensemble_size=3, **options) < TOLERANCE


@pytest.mark.parametrize("container", [np.array, sparse.csr_array])
@pytest.mark.parametrize("options", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_estimators_of_ensembles_have_the_right_gradient(y, options, container):
    estimator = one_network((5, 4), "tanh", ensemble_size=3, random_state=0, **options)
    assert check_gradient(estimator, container(X), y, sample_weight=WEIGHT, max_entries=8) < TOLERANCE


def test_class_weights_are_checked_too():
    estimator = one_network((5,), "tanh", class_weight={0: 1.0, 1: 5.0, 2: 0.5}, random_state=0)
    assert check_gradient(estimator, X, TARGETS["multiclass"]) < TOLERANCE


def test_a_fitted_estimator_is_checked_where_it_is_and_stays_there():
    estimator = one_network((5,), "tanh", max_iter=3, random_state=0).fit(X, TARGETS["multiclass"])
    before = {name: array.copy() for name, array in estimator.parameters_.items()}
    assert check_gradient(estimator, X, TARGETS["multiclass"]) < TOLERANCE
    for name, array in before.items():
        np.testing.assert_array_equal(estimator.parameters_[name], array)


def test_an_estimator_that_was_not_fitted_stays_so():
    estimator = one_network((5,), random_state=0)
    check_gradient(estimator, X, TARGETS["binary"])
    assert not hasattr(estimator, "parameters_")
    assert not hasattr(estimator, "classes_")


def test_single_precision_estimators_are_checked_in_double():
    estimator = one_network((5,), "tanh", dtype="float32", random_state=0)
    assert check_gradient(estimator, X, TARGETS["binary"]) < TOLERANCE


def test_a_unit_that_sits_on_the_kink_of_its_rectifier_is_no_wrong_gradient():
    # all that reaches the units of an example of zeros is their bias, which starts at zero
    X = np.array([[0.0, 1.0, -2.0, 0.5], [0.0, 1.0, 1.0, -0.5]])
    assert check_gradient(Network((2, 3, 1)), X, np.array([[1, 1, 0, 1]])) < TOLERANCE


def test_a_gradient_that_is_zero_but_for_rounding_is_no_wrong_gradient():
    # the second batch normalisation takes away again whatever the first layer's beta adds
    linear = Network((4, 5, 4, 3), activation="identity", batch_norm=True)
    assert check_gradient(linear, X.T, TARGETS["multiclass"]) < TOLERANCE


def test_networks_without_hidden_layers_are_checked():
    assert check_gradient(Network((4, 3)), X.T, TARGETS["multiclass"]) < TOLERANCE


# It can fail.


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_wrong_activation_gradient_is_found(activation, monkeypatch):
    right = ACTIVATIONS[activation]
    assert check_network((4, 5, 3), activation=activation) < TOLERANCE
    wrong = replace(right, backward=lambda dA, cache: 1.01 * right.backward(dA, cache))
    assert check_network((4, 5, 3), activation=wrong) > WRONG
    monkeypatch.setitem(ACTIVATIONS, activation, wrong)
    assert check_network((4, 5, 3), activation=activation) > WRONG


@pytest.mark.parametrize("loss", LOSSES)
def test_a_wrong_loss_gradient_is_found(loss, monkeypatch):
    right = LOSSES[loss]
    assert check_network((4, 5, 3), loss=loss) < TOLERANCE
    wrong = type("Wrong", (type(right),), {"gradient": lambda self, AL, Y: 1.01 * right.gradient(AL, Y)})
    monkeypatch.setitem(LOSSES, loss, wrong())
    assert check_network((4, 5, 3), loss=loss) > WRONG


def test_forgetting_that_the_batch_makes_the_statistics_is_found(monkeypatch):
    right = network.batchnorm_backward
    assert check_network(activation="tanh", batch_norm=True) < TOLERANCE
    monkeypatch.setattr(
        network, "batchnorm_backward", lambda dZ, cache, **out: right(dZ, cache._replace(fractions=None), **out)
    )
    assert check_network(activation="tanh", batch_norm=True) > WRONG


def test_forgetting_the_mask_of_dropout_is_found(monkeypatch):
    assert check_network(activation="tanh", dropout_rate=0.4) < TOLERANCE
    monkeypatch.setattr(network, "dropout_backward", lambda dA, cache: dA)
    assert check_network(activation="tanh", dropout_rate=0.4) > WRONG


def test_a_wrong_entry_of_one_array_is_found(monkeypatch):
    def wrong(*args, **options):
        grads = network.model_backward(*args, **options)
        grads["db1"][0] *= 1.1
        return grads

    monkeypatch.setattr(gradient_check, "model_backward", wrong)
    assert check_network(activation="tanh") > WRONG


def test_an_estimator_is_checked_at_the_weights_that_were_kept(monkeypatch):
    y = TARGETS["multiclass"]
    settings = {"learning_rate": 0.1, "max_iter": 60, "warm_start": True, "scale_inputs": None, "random_state": 0}
    settings["early_stopping"] = True
    estimator = one_network((8,), "tanh", **settings)
    estimator.fit(X, y, X_val=X[::-1] + 0.5, y_val=y)
    assert estimator.best_iter_ < estimator.n_iter_
    seen = []

    def spy(X, parameters, *rest, **options):
        seen.append(parameters["W1"].copy())
        return network.model_forward(X, parameters, *rest, **options)

    monkeypatch.setattr(gradient_check, "model_forward", spy)
    check_gradient(estimator, X, y, max_entries=1)
    np.testing.assert_array_equal(seen[0], estimator.parameters_["W1"])


def test_sparse_input_of_a_network_is_checked():
    assert check_gradient(Network((4, 5, 3)), sparse.csr_array(X.T), np.arange(M)[np.newaxis] % 3) < TOLERANCE


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("relu", X, X), "estimator_or_network must be"),
        ((Network((4, 1)), X.T, np.ones((1, M)), 0), "max_entries must be"),
    ],
)
def test_what_cannot_be_checked_is_named(arguments, named):
    subject, rows, targets, *max_entries = arguments
    with pytest.raises(ValueError, match=named):
        check_gradient(subject, rows, targets, max_entries=max_entries[0] if max_entries else 5)
