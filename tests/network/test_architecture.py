from dataclasses import replace

import numpy as np
import pytest

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.activations import ACTIVATIONS, Activation, relu, relu_backward
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.losses import default_loss

OWN = Activation(relu, relu_backward, flat_at=(0.0,))


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_the_default_loss_follows_from_the_number_of_outputs(n_outputs):
    assert Network((4, 5, n_outputs)).loss == default_loss(n_outputs)


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


@pytest.mark.parametrize("value", [OWN, [OWN, OWN], (OWN, "tanh"), ("tanh", ACTIVATIONS["relu"])])
def test_an_activation_is_one_value_for_all_layers_or_an_entry_for_one(value):
    network = Network((4, 5, 6, 1), activation=value)
    assert network.activation == ((value, value) if isinstance(value, Activation) else tuple(value))
    assert Network.restore(network.to_dict()) == Network(**network.to_dict()) == network
    assert any(entry is OWN or entry is ACTIVATIONS["relu"] for entry in network.to_dict()["activation"])


def test_an_activation_must_name_an_initializer_that_exists():
    with pytest.raises(InvalidParameterError, match=r"initializer of Activation\(relu.* must be one of .*, got 'he'"):
        Network((4, 5, 1), activation=replace(OWN, initializer="he"))


def test_a_pair_of_functions_is_no_activation_of_a_network():
    with pytest.raises(
        InvalidParameterError, match=r"activation must be one of .* or an Activation, got <function relu"
    ):
        Network((4, 5, 6, 1), activation=(relu, relu_backward))


def test_replacing_a_field_checks_it():
    assert replace(Network((4, 5, 1)), ensemble_size=3).ensemble_size == 3
    with pytest.raises(InvalidParameterError, match="ensemble_size must be"):
        replace(Network((4, 5, 1)), ensemble_size=0)


def test_equal_networks_have_equal_hashes_and_fields_stay():
    network = Network((4, 5, 1), activation=OWN, dropout_rate=np.array([0.5]))
    assert hash(network) == hash(Network([4, 5, 1], OWN, dropout_rate=0.5))
    with pytest.raises(AttributeError):
        network.loss = "categorical_cross_entropy"


def test_a_network_is_restored_from_lists_numbers_and_strings():
    network = Network((4, 5, 6, 1), activation=("tanh", "relu"), dropout_rate=0.5, batch_norm=True)
    fields = network.to_dict()
    assert {type(value) for value in fields.values()} <= {list, str, bool, int}
    assert Network.restore(fields) == network
    assert Network(**fields) == network
