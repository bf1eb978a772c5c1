"""What the parameters do, and the messages about values that they do not allow."""

import copy
import pickle
import re
from functools import partial

import numpy as np
import pytest
from estimator_cases import ARCHITECTURES, X_VAL, Y_VAL, X, Y, assert_untouched, fitted, net, targets
from reference import assert_same
from sklearn.base import clone
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from training_cases import Signs

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.estimators.settings import CLASS_SCORER_SYNONYMS
from sklearn_deepnn.network.activations import ACTIVATION_SYNONYMS, ACTIVATIONS
from sklearn_deepnn.network.initializers import INITIALIZER_SYNONYMS, INITIALIZERS
from sklearn_deepnn.network.losses import CLASS_LOSSES
from sklearn_deepnn.training import steps
from sklearn_deepnn.training.optimizers import LBFGS, OPTIMIZER_SYNONYMS, OPTIMIZERS, SGD, Adam, NAdam
from sklearn_deepnn.training.schedules import SCHEDULE_SYNONYMS, SCHEDULES, cosine

# Parameters of subclasses.


class FewParameters(DeepNNClassifier):
    """A subclass that fixes most parameters."""

    def __init__(self, hidden_layer_dims=(5,), random_state=None):
        super().__init__(hidden_layer_dims, learning_rate=0.01, max_iter=3, random_state=random_state)


class PassesOn(DeepNNClassifier):
    """A subclass with a parameter of its own, which passes the others on."""

    def __init__(self, own=1, **others):
        super().__init__(**others)
        self.own = own


def test_a_subclass_may_have_few_parameters_or_pass_parameters_on():
    parameters = {"hidden_layer_dims": (5,), "learning_rate": 0.01, "max_iter": 3, "random_state": 0}
    wanted = fitted(DeepNNClassifier(**parameters).fit(X, Y))
    assert_same(fitted(clone(FewParameters(random_state=0)).fit(X, Y)), wanted)
    assert_same(fitted(PassesOn(**parameters).fit(X, Y)), wanted)


# What parameters do.


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_may_be_a_name_a_class_or_an_instance(name):
    by_name, *others = (net(optimizer=each).fit(X, Y) for each in (name, OPTIMIZERS[name], OPTIMIZERS[name]()))
    for other in others:
        assert_same(fitted(other), fitted(by_name))


def test_the_settings_of_an_optimizer_instance_are_used():
    models = [net(optimizer=each).fit(X, Y) for each in (Adam(), Adam(beta_1=0.5), SGD(), SGD(momentum=0.9))]
    assert len({model.loss_ for model in models}) == 4


@pytest.mark.parametrize("optimizer", ["sgd", SGD, SGD(), SGD(nesterov=False)], ids=str)
def test_a_setting_of_the_optimizer_is_set_by_its_name(optimizer):
    model = net(optimizer=optimizer)
    assert model.set_params(optimizer__momentum=0.9) is model
    assert model.optimizer == SGD(momentum=0.9)
    assert {name: model.get_params()[name] for name in ("optimizer__momentum", "optimizer__nesterov")} == {
        "optimizer__momentum": 0.9,
        "optimizer__nesterov": False,
    }
    assert "optimizer__momentum" not in model.get_params(deep=False)
    assert_same(fitted(model.fit(X, Y)), fitted(net(optimizer=SGD(momentum=0.9)).fit(X, Y)))


@pytest.mark.parametrize("names", [["optimizer", "optimizer__beta_1", "max_iter"], ["optimizer__beta_1", "optimizer"]])
@pytest.mark.parametrize("prefix", ["", "net__"])
def test_an_optimizer_is_set_before_its_settings_in_any_order(names, prefix):
    values = {"optimizer": "adam", "optimizer__beta_1": 0.8, "max_iter": 3}
    model = Pipeline([("net", net(optimizer="sgd"))]) if prefix else net(optimizer="sgd")
    model.set_params(**{prefix + name: values[name] for name in names})
    assert model.get_params()[f"{prefix}optimizer"] == Adam(beta_1=0.8)
    assert model.get_params()[f"{prefix}max_iter"] == (3 if "max_iter" in names else 5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optimizer__speed": 1}, "Invalid parameter 'speed' for optimizer Adam"),
        ({"max_iter": 7, "optimizer": "sgd", "optimizer__beta_1": 0.5}, "Invalid parameter 'beta_1' for optimizer SGD"),
        ({"optimizer": "adagrad", "optimizer__beta_1": 0.5}, "optimizer must be one of"),
    ],
    ids=str,
)
def test_an_unknown_setting_of_the_optimizer_changes_nothing(parameters, message):
    model = net()
    before = model.get_params()
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters)
    assert model.get_params() == before


def test_a_bad_setting_of_the_optimizer_is_refused_when_training_begins(earlier, no_training):
    no_training()
    model = earlier[0].set_params(optimizer="sgd", optimizer__momentum=1.5)
    for each in (model, clone(model)):
        with pytest.raises(ValueError, match=r"^momentum must be a number in \[0, 1\), got 1\.5\.$"):
            each.fit(X, Y)
    assert_untouched(earlier)


def test_estimators_that_share_an_optimizer_do_not_change_it_for_each_other():
    shared = SGD()
    one, other = net(optimizer=shared), net(optimizer=shared)
    clone(one).set_params(optimizer__momentum=0.5)
    one.set_params(optimizer__momentum=0.9)
    assert other.optimizer is shared
    assert (shared, one.optimizer) == (SGD(), SGD(momentum=0.9))


class Slow(Adam):
    """An optimizer of a user, which passes on its arguments."""

    def __init__(self, **settings):
        super().__init__(**settings)


def test_an_optimizer_of_the_user_has_settings_and_trains():
    model = net(optimizer=Signs()).set_params(optimizer__scale=0.5)
    assert model.get_params()["optimizer__scale"] == 0.5
    assert clone(model).fit(X, Y).loss_ != net(optimizer=Signs).fit(X, Y).loss_
    assert_same(fitted(net(optimizer=Slow(beta_1=0.5)).fit(X, Y)), fitted_as("Adam", Adam(beta_1=0.5), "Slow"))


def fitted_as(name, optimizer, other):
    """Return what a fit with an optimizer ends in, under the name of another optimizer."""
    attributes = fitted(net(optimizer=optimizer).fit(X, Y))
    assert attributes["training_state_"]["call"]["optimizer"] == name
    attributes["training_state_"]["call"]["optimizer"] = other
    return attributes


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_varies_the_settings_of_the_optimizer(n_jobs):
    model = Pipeline([("net", net(max_iter=2))])
    grid = [
        {"net__optimizer": ["sgd"], "net__optimizer__momentum": [0.0, 0.9]},
        {"net__optimizer": ["adam", NAdam()], "net__optimizer__beta_1": [0.5]},
    ]
    search = GridSearchCV(model, grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(X, Y)
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert search.best_estimator_.get_params().keys() >= search.best_params_.keys()


def test_lbfgs_ignores_the_batch_size():
    one, other = (net(optimizer=LBFGS(), batch_size=size).fit(X, Y).predict_proba(X) for size in (3, None))
    np.testing.assert_array_equal(one, other)


def test_a_callable_schedule_is_called_at_every_step():
    model = net(learning_rate_schedule=lambda step: 0.001 * (step + 1)).fit(X, Y)
    n_steps = 6  # 90 rows in batches of 16
    assert model.learning_rate_curve_ == pytest.approx([0.001 * n_steps * epoch for epoch in range(1, 6)])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_spans_all_epochs(name):
    model = net(learning_rate_schedule=name, max_iter=8, learning_rate=0.5).fit(X, Y)
    last_steps = np.arange(1, 9) * 6 - 1
    expected = [SCHEDULES[name](step, learning_rate=0.5, n_steps=48) for step in last_steps]
    assert model.learning_rate_curve_ == pytest.approx(expected)


def test_reduce_on_plateau_lowers_the_rate():
    model = net(learning_rate_schedule="reduce_on_plateau", max_iter=30, n_iter_no_change=10, tol=1e9).fit(X, Y)
    assert model.learning_rate_curve_[:6] == [0.001] * 6
    assert model.learning_rate_curve_[6:] == pytest.approx([0.0002] * len(model.learning_rate_curve_[6:]))
    assert model.n_iter_ == 11


@pytest.mark.parametrize("parameters", [{}, {"batch_norm": True}], ids=str)
def test_weight_init_sets_the_initial_parameters(parameters):
    start = {name: array + 0.5 for name, array in net(**parameters).fit(X, Y).parameters_.items()}
    given = copy.deepcopy(start)
    still = {"optimizer": "sgd", "learning_rate": 1e-300, "max_iter": 1, **parameters}
    trained = net(weight_init=start, **still).fit(X, Y).parameters_
    for name in start:
        if not name.startswith("running"):
            np.testing.assert_allclose(trained[name], start[name], rtol=1e-13)  # scaled inputs have other weights
    assert_same(start, given)


@pytest.mark.parametrize("n_samples", [1, 3, 90])
@pytest.mark.parametrize("parameters", ARCHITECTURES, ids=str)
def test_too_large_a_batch_is_the_whole_set(n_samples, parameters):
    if n_samples == 1 and parameters.get("batch_norm"):
        n_samples = 2  # one is an error of its own
    parameters = {"hidden_layer_dims": (30,), "learning_rate": 0.02, **parameters}
    large, whole = (net(batch_size=size, **parameters).fit(X[:n_samples], Y[:n_samples]) for size in (10**6, None))
    assert_same(fitted(large), fitted(whole))


@pytest.mark.parametrize("batch_size", [1, 7, 90, 89])
def test_batches_of_any_size_train_every_architecture(batch_size):
    for parameters in ARCHITECTURES:
        if batch_size == 1 and parameters.get("batch_norm"):
            continue  # an error of its own
        assert np.isfinite(net(batch_size=batch_size, max_iter=2, **parameters).fit(X, Y).loss_)


def test_a_numpy_batch_size_does_not_change_single_precision(monkeypatch):
    monkeypatch.setattr(steps, "WORK_OF_CHUNK", 1)
    monkeypatch.setattr(steps, "CHUNK_COLUMNS", 1)
    monkeypatch.setattr(steps, "allowed_threads", lambda: 2)
    for shuffle in (True, False):
        given, plain = (
            net(batch_size=batch_size, shuffle=shuffle, dtype="float32").fit(X, Y) for batch_size in (np.int64(20), 20)
        )
        np.testing.assert_array_equal(given.coefs_[0], plain.coefs_[0])


@pytest.mark.parametrize("loss", CLASS_LOSSES)
def test_label_smoothing_keeps_probabilities_from_the_extremes(loss):
    y = targets("binary" if loss == "binary_cross_entropy" else "multiclass")
    plain, smooth = (net(max_iter=100, learning_rate=0.05, label_smoothing=s).fit(X, y) for s in (0, 0.3))
    assert smooth.predict_proba(X).max() < plain.predict_proba(X).max()


def test_weight_decay_pulls_weights_towards_zero():
    norms = [
        np.linalg.norm(np.concatenate([W.ravel() for W in net(weight_decay=decay, max_iter=30).fit(X, Y).coefs_]))
        for decay in (0, 1, 10)
    ]
    assert norms == sorted(norms, reverse=True)


def test_activation_and_dropout_may_differ_from_layer_to_layer():
    several = net(hidden_layer_dims=(6, 5), activation=("tanh", "relu"), dropout_rate=[0.5, 0]).fit(X, Y)
    for activation, dropout_rate in (("tanh", (0.5, 0)), (["tanh", "relu"], 0.5), (["relu", "tanh"], (0.5, 0))):
        other = net(hidden_layer_dims=(6, 5), activation=activation, dropout_rate=dropout_rate).fit(X, Y)
        assert other.loss_ != several.loss_


@pytest.mark.parametrize(("verbose", "n_lines"), [(0, 0), (False, 0), (1, 12), (True, 12), (2, 20)])
def test_verbose_prints_lines(capsys, verbose, n_lines):
    net(max_iter=20, verbose=verbose, early_stopping=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len([line for line in lines if line.startswith("epoch") and "validation" in line]) == n_lines
    assert printed.err == ""
    assert all(re.match("stopped by max_iter .*; the weights of epoch", line) for line in lines[-1:])


# Random numbers.


def test_a_seed_gives_the_same_model():
    for parameters in ({}, {"dropout_rate": 0.5}, {"early_stopping": True}, {"optimizer": "lbfgs"}):
        assert pickle.dumps(net(**parameters).fit(X, Y)) == pickle.dumps(net(**parameters).fit(X, Y))
    assert net(random_state=1).fit(X, Y).loss_ != net(random_state=2).fit(X, Y).loss_


def test_a_random_state_instance_is_drawn_from():
    drawn = np.random.RandomState(0)
    first, second = net(random_state=drawn).fit(X, Y), net(random_state=drawn).fit(X, Y)
    assert_same(fitted(first), fitted(net(random_state=0).fit(X, Y)))
    assert first.loss_ != second.loss_


def test_the_global_random_state_is_used_where_none_is_given():
    check_random_state(None).seed(5)  # NumPy's global one
    first = net(random_state=None).fit(X, Y)
    check_random_state(None).seed(5)  # NumPy's global one
    assert net(random_state=None).fit(X, Y).loss_ == first.loss_


# Values that are not allowed.

BAD_PARAMETERS = {
    "hidden_layer_dims": [
        *[0, -1, 2.5, None, True, (4, 0), (4, 1.5), (True,), np.nan, (4, (3,)), {4}],
        *["", "0", "4-0", "128-x", "128-", "-128", "128--64", "128 64", "4.5", ("4", "3"), ("4-3",)],
    ],
    "activation": ["rely", "logistic", 3, None, ("relu", "relu"), ("rely",), True, ()],
    "ensemble_size": [0, -1, 2.5, "many", None, True, np.nan],
    "scale_inputs": ["minmax", True, False, 1, np.nan],
    "numeric_encoding": ["periodic", True, False, 1],
    "categorical_features": ["from_types", "a", 1, True, 0.5, [0.5], [0, "a"], [[0, 1]], {"a": 1}],
    "weight_averaging": [-1, "on", None, True, np.nan, np.inf],
    "weight_init": ["he", None, 1, True, {"W1": np.zeros((2, 2))}, {}],
    "optimizer": ["adagrad", None, 3, object, [], {}, True],
    "learning_rate": [0, -0.1, "0.1", None, True, np.nan, np.inf, [0.1], 10**400],
    "learning_rate_schedule": ["linear", None, 3, True],
    "batch_size": [0, -1, 2.5, "all", True, np.nan, [16]],
    "max_iter": [0, -1, 2.5, "10", None, True, np.nan],
    "weight_decay": [-1, "0", None, True, np.nan, np.inf],
    "dropout_rate": [-0.1, 1, 1.5, "0.5", None, True, np.nan, (0.1, 0.1), (2,)],
    "batch_norm": [1, 0, "yes", None],
    "label_smoothing": [-0.1, 1, "0", None, True, np.nan],
    "max_grad_norm": [0, -1, "1", True, np.nan, np.inf],
    "class_weight": ["heavy", 3, True, [1, 2, 3], {0: -1, 1: 1, 2: 1}, {0: "a", 1: 1, 2: 1}, {0: np.nan, 1: 1, 2: 1}],
    "early_stopping": ["yes", None, 1, 0.5],
    "validation_fraction": [0, 1, -0.1, 1.5, "0.1", None, True, np.nan],
    "n_iter_no_change": [0, -1, 2.5, "10", None, True, np.nan, -np.inf],
    "tol": [-1, "0", None, True, np.nan],
    "scoring": ["correctness", 3, True, None],
    "shuffle": [1, "yes", None],
    "warm_start": [1, "yes", None],
    "dtype": ["float16", "single precision", int, None, 3, "auto32"],
    "verbose": [-1, "yes", None, 0.5, np.nan],
    "random_state": ["seed", -1, 1.5, (1, 2)],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}={value!r}"[:60])
        for name in BAD_PARAMETERS
        for value in BAD_PARAMETERS[name]
    ],
)
def test_a_bad_parameter_is_named_with_its_value(earlier, no_training, name, value):
    no_training()
    model = earlier[0].set_params(**{name: value})
    entries = (
        list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, (tuple, set)) else []
    )
    for train_on in (model.fit, partial(net(**{name: value}).partial_fit, classes=[0, 1, 2])):
        with pytest.raises(ValueError, match=rf"(?s)^{name}.* must .*got ") as caught:
            train_on(X, Y)
        assert any(repr(culprit) in str(caught.value) for culprit in [value, *entries]) or name == "weight_init"
    assert_untouched(earlier)


def test_every_parameter_has_bad_values():
    assert set(BAD_PARAMETERS) == set(net().get_params())


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("activation", ["relu", "tanh"]),
        ("weight_init", ["auto", "he_normal"]),
        ("optimizer", list(OPTIMIZERS)),
        ("learning_rate_schedule", [*SCHEDULES, "reduce_on_plateau"]),
        ("scoring", ["loss", "accuracy"]),
        ("dtype", ["auto", "float32", "float64"]),
        ("early_stopping", ["auto"]),
        ("class_weight", ["balanced"]),
        ("batch_size", ["auto"]),
    ],
)
def test_the_message_on_an_unknown_name_lists_the_known_ones(name, known):
    with pytest.raises(ValueError, match=f"{name} must be") as caught:
        net(**{name: "unheard-of"}).fit(X, Y)
    assert all(each in str(caught.value) for each in [*known, "unheard-of"])


MEANT = {  # name and value of a parameter: what the message suggests
    ("activation", "ReLU"): "'relu'",
    ("activation", "Leaky ReLU"): "'leaky_relu'",
    ("activation", "sigmod"): "'sigmoid'",
    ("activation", "logistic"): "'sigmoid'",
    ("activation", "swish"): "'silu'",
    ("activation", "hard_sigmoid"): "'sigmoid'",
    ("optimizer", "Adam"): "'adam'",
    ("optimizer", "AdamW"): "'adam'",
    ("optimizer", "L-BFGS"): "'lbfgs'",
    ("weight_init", "xavier"): "'glorot_uniform'",
    ("weight_init", "HeNormal"): "'he_normal'",
    ("scale_inputs", "StandardScaler"): "'standard'",
    ("class_weight", "Balanced"): "'balanced'",
    ("dtype", "Float32"): "'float32'",
    ("dtype", "float16"): "'float32'",
    ("early_stopping", "Auto"): "'auto'",
    ("scoring", "auc"): "'roc_auc'",
    ("scoring", "acuracy"): "'accuracy'",
    ("learning_rate_schedule", "adaptive"): "'reduce_on_plateau'",
    ("learning_rate_schedule", "invscaling"): "'inverse_scaling'",
    ("learning_rate", "adaptive"): "learning_rate_schedule='reduce_on_plateau'",
    ("learning_rate", "invscaling"): "learning_rate_schedule='inverse_scaling'",
    ("learning_rate", "constant"): "learning_rate_schedule='constant'",
}


@pytest.mark.parametrize(("name", "value"), MEANT)
def test_the_message_on_a_name_suggests_what_is_meant(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got '{value}'\. Did you mean {MEANT[name, value]}\?$"):
        net(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(("name", "value"), [("activation", "xyz"), ("optimizer", 3), ("learning_rate", "0.1")])
def test_the_message_on_a_value_that_resembles_no_name_suggests_nothing(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got {value!r}\.$"):
        net(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(
    ("synonyms", "choices"),
    [
        (ACTIVATION_SYNONYMS, ACTIVATIONS),
        (INITIALIZER_SYNONYMS, INITIALIZERS),
        (OPTIMIZER_SYNONYMS, OPTIMIZERS),
        (SCHEDULE_SYNONYMS, SCHEDULES),
        (CLASS_SCORER_SYNONYMS, ["loss", *get_scorer_names()]),
    ],
    ids=["activations", "initializers", "optimizers", "schedules", "scorers"],
)
def test_synonyms_stand_for_names_and_are_none(synonyms, choices):
    assert set(synonyms.values()) <= set(choices)
    assert not set(synonyms) & set(choices)


def test_the_message_on_an_unknown_scorer_lists_those_for_classifiers():
    with pytest.raises(ValueError, match=r"^scoring must be one of") as caught:
        net(scoring="unheard-of").fit(X, Y)
    listed = str(caught.value)
    assert all(f"'{name}'" in listed for name in ("loss", "accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"))
    assert not any(f"'{name}'" in listed for name in ("r2", "max_error", "neg_mean_squared_error", "rand_score"))
    assert net(scoring="neg_max_error" if "neg_max_error" in get_scorer_names() else "r2").fit(X, Y).n_iter_ == 5


@pytest.mark.parametrize(
    "schedule", [lambda: 0.1, lambda step, rate: rate, cosine], ids=["none", "two", "of the package"]
)
def test_a_schedule_with_other_arguments_than_the_step_is_refused(earlier, no_training, schedule):
    no_training()
    with pytest.raises(
        ValueError, match=r"^learning_rate_schedule must be a callable that takes the step, and nothing"
    ):
        earlier[0].set_params(learning_rate_schedule=schedule).fit(X, Y)
    assert_untouched(earlier)


def test_a_pair_of_functions_as_activation_is_told_of_the_class():
    with pytest.raises(ValueError, match=r"^activation must be .* Activation\(forward, backward\) makes one of "):
        net(activation=(np.tanh, np.cos)).fit(X, Y)


@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "weight_averaging", "n_iter_no_change", "ensemble_size"]
)
def test_errors_say_that_auto_is_allowed(name):
    with pytest.raises(ValueError, match=f"{name} must be .* or 'auto', got 'automatic'"):
        net(**{name: "automatic"}).fit(X, Y)


@pytest.mark.parametrize("value", [np.nan, np.inf, "text", -1])
def test_a_weight_init_with_bad_numbers_or_shapes_is_named(earlier, no_training, value):
    start = net(max_iter=1).fit(X, Y).parameters_
    start["W1"] = np.full((6, 4), value) if value != -1 else np.zeros((4, 6))
    no_training()
    with pytest.raises(ValueError, match=r"^weight_init must"):
        earlier[0].set_params(weight_init=start).fit(X, Y)
    assert_untouched(earlier)


@pytest.mark.parametrize("rate", [-1, np.nan, "fast", None])
def test_a_callable_schedule_that_gives_no_rate_is_named(earlier, rate):
    with pytest.raises(ValueError, match=r"learning_rate_schedule.*must be a number .*got"):
        earlier[0].set_params(learning_rate_schedule=lambda step: rate).fit(X, Y)
    assert_untouched(earlier)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"class_weight": "balanced"}, r"^class_weight must .*partial_fit.*got 'balanced'"),
        ({"learning_rate_schedule": "reduce_on_plateau"}, "learning_rate_schedule must be another for partial_fit"),
        ({"scale_inputs": "robust"}, "scale_inputs must be 'auto', 'standard', 'common' or None for partial_fit"),
    ],
    ids=str,
)
def test_partial_fit_rejects_values_that_need_all_data_at_once(parameters, message):
    with pytest.raises(ValueError, match=message):
        net(**parameters).partial_fit(X, Y, classes=[0, 1, 2])
