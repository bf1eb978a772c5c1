"""Ensembles train as their members alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from training_cases import COLUMNS_OF_MEMBERS, SCALING, WEIGHT, fit, initial_state, recipe_of

from sklearn_deepnn.network.parameters import Parameters
from sklearn_deepnn.training.loop import train
from sklearn_deepnn.training.state import TrainingState


def fit_members(examples, network, recipe, n_epochs=5):
    """Return the states of single networks that start from the members of an ensemble, each with its examples."""
    together, states = initial_state(replace(network, ensemble_size=3)).parameters, []
    for k in range(3):
        parameters = Parameters({name: array[k] for name, array in together.items()})
        columns = examples.columns if np.ndim(examples.columns) < 2 else examples.columns[k]
        state = TrainingState(parameters, np.random.default_rng(0))
        train(state, examples._replace(columns=columns), network, recipe, n_epochs=n_epochs)
        states.append(state)
    return states


@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("columns", [None, COLUMNS_OF_MEMBERS[0], COLUMNS_OF_MEMBERS], ids=["all", "some", "of each"])
@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"loss": "binary_cross_entropy"}], ids=str)
@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_an_ensemble_trains_as_its_members_alone(examples, network, name, batch_size, options, columns, container):
    network = replace(network, **options)
    recipe = recipe_of(
        name, batch_size=batch_size, shuffle=False, weight_decay=0.1, label_smoothing=0.1, averaging_epochs=1.0
    )
    examples = examples._replace(
        X=container(examples.X), Y=np.eye(3)[:, examples.Y[0]], sample_weight=WEIGHT, columns=columns, scaling=SCALING
    )
    together = fit(examples, replace(network, ensemble_size=3), recipe)
    alone = fit_members(examples, network, recipe)
    for k, state in enumerate(alone):
        for name, array in state.current.items():
            np.testing.assert_allclose(together.current[name][k], array, rtol=1e-8, atol=1e-10)
    sizes = WEIGHT[COLUMNS_OF_MEMBERS].sum(axis=1) if columns is COLUMNS_OF_MEMBERS else None
    wanted = np.average([state.history["cost"] for state in alone], axis=0, weights=sizes)
    np.testing.assert_allclose(together.history["cost"], wanted, rtol=1e-8)
