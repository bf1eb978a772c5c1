"""Training that continues: `warm_start=True` and `partial_fit`."""

import copy

import numpy as np
import pytest
from estimator_cases import X_VAL, Y_VAL, X, Y, blobs, fitted, learned, net, pickled
from reference import assert_same
from sklearn.base import clone
from sklearn.metrics import log_loss

from sklearn_deepnn.training.optimizers import OPTIMIZERS, SGD
from sklearn_deepnn.training.schedules import SCHEDULES

# Calls that equal one long call.

CONTINUED = {
    **{name: {"optimizer": name} for name in OPTIMIZERS},
    "momentum": {"optimizer": SGD(momentum=0.9, nesterov=True)},
    "dropout": {"dropout_rate": 0.3},
    "batch_norm": {"batch_norm": True},
    "both": {"batch_norm": True, "dropout_rate": 0.3},
    "whole set": {"batch_size": None},
    "in order": {"shuffle": False},
    "float32": {"dtype": "float32"},
    "no hidden layer": {"hidden_layer_dims": ()},
    "clipping": {"max_grad_norm": 0.1},
    "class weights": {"class_weight": {0: 1, 1: 2, 2: 3}},
    "ensemble": {"ensemble_size": 3},
    "ensemble with all": {
        "ensemble_size": 3,
        "batch_norm": True,
        "dropout_rate": 0.3,
        "weight_averaging": 1.5,
    },
    "averaging": {"weight_averaging": 2.0},
    "single precision averaging": {"weight_averaging": 2.0, "dtype": "float32"},
}


@pytest.mark.parametrize("validation", [{}, {"X_val": X_VAL, "y_val": Y_VAL}], ids=["", "validation"])
@pytest.mark.parametrize("kind", CONTINUED)
def test_8_epochs_a_pickle_and_12_more_equal_20(kind, validation):
    parameters = {"warm_start": True, "early_stopping": bool(validation), **CONTINUED[kind]}
    model = pickled(net(max_iter=8, **parameters).fit(X, Y, **validation))
    model.set_params(max_iter=12).fit(X, Y, **validation)
    at_once = net(max_iter=20, **parameters).fit(X, Y, **validation)
    assert_same(learned(model), learned(at_once))
    assert model.n_iter_ == 20


HOLDING_OUT = [
    {"scoring": "loss"},
    {"scoring": "accuracy"},
    {"scale_inputs": None},
    {"scale_inputs": "robust"},
    {"ensemble_size": 3, "weight_averaging": 2.0},
    {"ensemble_size": 3, "weight_averaging": 2.0, "batch_norm": True, "dtype": "float32"},
]


@pytest.mark.parametrize("parameters", HOLDING_OUT, ids=str)
def test_8_epochs_and_12_more_hold_out_the_same_rows(parameters):
    parameters = {"warm_start": True, "early_stopping": True, **parameters}
    model = pickled(net(max_iter=8, **parameters).fit(X, Y)).set_params(max_iter=12).fit(X, Y)
    assert_same(learned(model), learned(net(max_iter=20, **parameters).fit(X, Y)))


@pytest.mark.parametrize("kind", CONTINUED)
def test_20_calls_of_partial_fit_equal_20_epochs(kind):
    model = net(max_iter=20, **CONTINUED[kind])
    for _ in range(20):
        model = pickled(model).partial_fit(X, Y, classes=[0, 1, 2])
    at_once = net(max_iter=20, warm_start=True, early_stopping=False, **CONTINUED[kind]).fit(X, Y)
    counted, once = (each.training_state_["preparation"]["moments"].pop("total_weight") for each in (model, at_once))
    assert counted == 20 * once
    assert_same(learned(model), learned(at_once))


def test_the_best_epoch_of_an_earlier_call_is_kept():
    wrong = {"X_val": X_VAL, "y_val": np.roll(Y_VAL, 1)}
    model = net(warm_start=True, max_iter=8, learning_rate=0.05, early_stopping=True).fit(X, Y, **wrong)
    best = model.best_iter_, model.best_loss_, model.predict_proba(X)
    model.fit(X, Y, **wrong)
    assert_same((model.best_iter_, model.best_loss_, model.predict_proba(X)), best)
    assert model.n_iter_ == 16


def test_without_warm_start_fit_starts_from_the_beginning():
    model = net().fit(X, Y)
    before = copy.deepcopy(fitted(model))
    assert_same(fitted(model.fit(X, Y)), before)


# What a warm start continues.


def test_a_warm_start_of_a_model_fitted_cold_starts_from_its_weights():
    model = net(max_iter=30, learning_rate=0.01).fit(X, Y)
    cost = model.loss_
    model.set_params(warm_start=True, max_iter=1).fit(X, Y)
    assert model.loss_ < cost
    assert model.n_iter_ == 31


def test_each_warm_start_resets_the_patience():
    model = net(max_iter=50, n_iter_no_change=3, tol=1e9, warm_start=True).fit(X, Y)
    assert model.n_iter_ == 4
    assert model.fit(X, Y).n_iter_ == 8


def test_a_warm_start_may_change_the_optimizer():
    model = net(warm_start=True, optimizer="adam").fit(X, Y)
    for optimizer in [*OPTIMIZERS, SGD(momentum=0.9)]:
        model.set_params(optimizer=optimizer).fit(X, Y)
    assert model.n_iter_ == 5 * (2 + len(OPTIMIZERS))


@pytest.mark.parametrize("validation", [{}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_a_class_that_a_warm_start_lacks_stays_and_its_probability_falls(ensemble_size, validation):
    model = net(warm_start=True, learning_rate=0.05, ensemble_size=ensemble_size, max_iter=20, **validation).fit(X, Y)
    before, known = model.predict_proba(X), Y < 2
    model.set_params(class_weight="balanced").fit(X[known], Y[known])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X)[:, 2].mean() < before[:, 2].mean()
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    with pytest.raises(ValueError, match=r"y must have labels among \[0, 1, 2\], got \[3\]"):
        model.fit(X, Y + 1)


def test_a_warm_start_keeps_its_first_activation():
    model = net(activation="tanh", warm_start=True).fit(X, Y)
    assert model.set_params(activation="auto").fit(X, Y).network_["activation"] == ["tanh"]


def test_an_optimizer_without_averaging_drops_the_moving_average():
    model = net(early_stopping=True, warm_start=True, weight_averaging=3.0).fit(X, Y)
    before = model.validation_loss_curve_[-1]
    assert model.set_params(optimizer="lbfgs").fit(X, Y).validation_loss_curve_[-1] < before


def test_lbfgs_continues_with_other_labels_after_it_has_converged():
    model = net(hidden_layer_dims=(), optimizer="lbfgs", weight_decay=0.1, warm_start=True, tol=0, max_iter=100)
    model.fit(X, Y)
    assert model.n_iter_ < 100
    flipped = clone(model).fit(X, 2 - Y)
    model.fit(X, 2 - Y)
    np.testing.assert_allclose(model.predict_proba(X), flipped.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"hidden_layer_dims": (7,)}, r"hidden_layer_dims must stay \(6,\), got \(7,\)"),
        ({"hidden_layer_dims": (6, 6)}, "layer_dims must stay"),
        ({"batch_norm": True}, "batch_norm must stay False, got True"),
        ({"ensemble_size": 2}, "ensemble_size must stay 1, got 2"),
    ],
    ids=str,
)
def test_a_warm_start_with_another_network_is_an_error(parameters, named):
    model = net(warm_start=True).fit(X, Y)
    before = copy.deepcopy(fitted(model))
    for train_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=named):
            model.set_params(**parameters) and train_on(X, Y)
    assert_same(fitted(model), before)


@pytest.mark.parametrize(
    ("X", "y", "named"),
    [
        (X[:, :3], Y, "X has 3 features, but DeepNNClassifier is expecting 4 features"),
        (X, Y + 1, r"y must have labels among \[0, 1, 2\], got \[3\]"),
        (
            X,
            np.eye(3, dtype=int)[Y],
            "y must be one label per sample, as at the beginning of training, got an indicator",
        ),
    ],
)
def test_a_warm_start_with_other_data_is_an_error(X, y, named):
    model = net(warm_start=True).fit(*blobs())
    before = copy.deepcopy(fitted(model))
    with pytest.raises(ValueError, match=named):
        model.fit(X, y)
    assert_same(fitted(model), before)


# What partial_fit continues.


@pytest.mark.parametrize("schedule", [*SCHEDULES, lambda step: 0.1 / (1 + step)])
def test_partial_fit_continues_the_schedule(schedule):
    model = net(max_iter=6, learning_rate_schedule=schedule)
    for _ in range(6):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    at_once = net(max_iter=6, learning_rate_schedule=schedule).fit(X, Y)
    assert model.learning_rate_curve_ == at_once.learning_rate_curve_
    np.testing.assert_array_equal(model.predict_proba(X), at_once.predict_proba(X))


def test_calls_of_different_sizes_continue_the_schedule():
    model = net(learning_rate_schedule="cosine", max_iter=20, batch_size=10)
    for size in [90, 10] * 10:
        model.partial_fit(X[:size], Y[:size], classes=[0, 1, 2])
    assert np.all(np.diff(model.learning_rate_curve_) < 0)


@pytest.mark.parametrize(
    "parameters", [{}, {"early_stopping": True}, {"warm_start": True}, {"optimizer": "lbfgs"}], ids=str
)
def test_partial_fit_continues_after_fit(parameters):
    model = net(max_iter=10, learning_rate=0.01, **parameters).fit(X, Y)
    cost = log_loss(Y, model.predict_proba(X))
    for _ in range(10):
        model.partial_fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.learning_rate_curve_) == 20
    assert log_loss(Y, model.predict_proba(X)) < cost
