import math

import pytest
from recording import X_VAL, Y_VAL, Noting, X, Y, net
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_deepnn.callbacks import OptunaPruning

VALIDATION = {"X_val": X_VAL, "y_val": Y_VAL}


@pytest.fixture(scope="module")
def optuna():
    package = pytest.importorskip("optuna")
    package.logging.set_verbosity(package.logging.ERROR)
    return package


def study_of(optuna, direction="minimize", stops_at=math.inf):
    """Return a study whose pruner ends each trial at an epoch."""

    class Pruner(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step >= stops_at

    return optuna.create_study(direction=direction, pruner=Pruner(), sampler=optuna.samplers.RandomSampler(seed=0))


def reported(study):
    return [list(trial.intermediate_values.values()) for trial in study.trials]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize(
    ("monitor", "scoring", "validated", "curve", "improves"),
    [
        ("auto", "loss", True, "validation_loss_curve_", "minimize"),
        ("auto", "accuracy", True, "validation_scores_", "maximize"),
        ("auto", "loss", False, "loss_curve_", "minimize"),
        ("cost", "accuracy", True, "loss_curve_", "minimize"),
        ("validation_cost", "accuracy", True, "validation_loss_curve_", "minimize"),
        ("validation_score", "accuracy", True, "validation_scores_", "maximize"),
    ],
)
def test_epochs_are_reported_in_the_direction_of_the_study(
    optuna, direction, monitor, scoring, validated, curve, improves
):
    study = study_of(optuna, direction)
    trial = study.ask()
    model = net(scoring=scoring).set_callbacks(OptunaPruning(trial, monitor))
    model.fit(X, Y, **(VALIDATION if validated else {}))
    sign = 1 if direction == improves else -1
    assert study.trials[0].intermediate_values == {
        epoch: sign * value for epoch, value in enumerate(getattr(model, curve), start=1)
    }


def test_a_pruned_trial_leaves_fit_at_the_end_of_its_epoch_and_the_estimator_as_it_was(optuna):
    study, notes = study_of(optuna, stops_at=2), []
    model = net().set_callbacks(OptunaPruning(study.ask()), Noting(notes))
    with pytest.raises(optuna.TrialPruned, match=r"^Pruned after epoch 2\.$"):
        model.fit(X, Y)
    assert list(study.trials[0].intermediate_values) == [1, 2]
    assert notes[-1][1] == "on_train_end"
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_trial_that_is_not_pruned_trains_the_same_weights(optuna):
    watched = net().set_callbacks(OptunaPruning(study_of(optuna).ask())).fit(X, Y)
    assert watched.loss_curve_ == net().fit(X, Y).loss_curve_


def test_a_median_pruner_ends_the_trials_that_learn_slowly(optuna):
    rates = [0.02, 0.03, 0.05, 1e-5, 2e-5]
    pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=3)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.GridSampler({"learning_rate": rates}, seed=0))
    for rate in rates:
        study.enqueue_trial({"learning_rate": rate})

    def cost(trial):
        model = net(learning_rate=trial.suggest_float("learning_rate", 1e-6, 1e-1), max_iter=8)
        model.set_params(early_stopping=True)
        return model.set_callbacks(OptunaPruning(trial)).fit(X, Y, **VALIDATION).best_loss_

    study.optimize(cost, n_trials=5)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3 + ["PRUNED"] * 2
    assert [len(values) for values in reported(study)] == [8, 8, 8, 3, 3]
    assert study.best_params["learning_rate"] >= 0.02


def test_a_trial_whose_cost_is_no_number_is_pruned(optuna):
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0))

    def cost(trial):
        optimizer, rate = ("sgd", 1e300) if trial.number else ("adam", 0.01)
        model = net(optimizer=optimizer, learning_rate=rate).set_callbacks(OptunaPruning(trial))
        return model.fit(X, Y).loss_

    study.optimize(cost, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert reported(study)[1] == [math.inf]


def test_a_trial_of_fixed_parameters_is_never_pruned(optuna):
    trial = optuna.trial.FixedTrial({"dims": "6"})
    model = net(hidden_layer_dims=trial.suggest_categorical("dims", ["6"])).set_callbacks(OptunaPruning(trial))
    assert model.fit(X, Y).n_iter_ == 4


def test_a_clone_reports_to_the_same_trial(optuna):
    study = study_of(optuna)
    clone(net().set_callbacks(OptunaPruning(study.ask()))).fit(X, Y)
    assert len(reported(study)[0]) == 4


def test_settings_that_cannot_be_meant_are_named(optuna):
    with pytest.raises(ValueError, match=r"^trial must be a trial of Optuna, got 'trial'"):
        OptunaPruning("trial")
    trial = study_of(optuna).ask()
    with pytest.raises(ValueError, match=r"^monitor must be one of "):
        OptunaPruning(trial, "loss")
    with pytest.raises(ValueError, match=r"^monitor must be 'auto' or 'cost' in a fit without validation data"):
        net().set_callbacks(OptunaPruning(trial, "validation_cost")).fit(X, Y)
