"""Fixtures that forbid training, spy on it, and remember an earlier fit."""

import copy

import pytest
from estimator_cases import X, Y, fitted, net

from sklearn_deepnn.estimators import base


@pytest.fixture
def no_training(monkeypatch):
    """Return a function after whose call training is an error."""

    def train(*args, **kwargs):
        raise AssertionError("training began")

    def forbid():
        monkeypatch.setattr(base, "train", train)

    return forbid


@pytest.fixture
def earlier():
    """Return a fitted model, its fitted attributes and its predictions."""
    model = net().fit(X, Y)
    return model, copy.deepcopy(fitted(model)), model.predict_proba(X)


@pytest.fixture
def columns_trained_on(monkeypatch):
    """Return a list of the columns that `fit` passes to `train`, one entry for each call."""
    seen, train = [], base.train

    def spy(state, examples, *rest, **options):
        seen.append(examples.columns)
        return train(state, examples, *rest, **options)

    monkeypatch.setattr(base, "train", spy)
    return seen
