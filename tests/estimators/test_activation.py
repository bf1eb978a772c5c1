"""Activations of your own in `DeepNNClassifier`: everything that works with a name works with an `Activation`."""

import copy

import numpy as np
import pytest
from estimator_cases import X, Y, fitted, learned, net, pickled, probabilities, targets
from one_network import one_network
from reference import assert_same
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import check_gradient
from sklearn_deepnn.callbacks import Callback, ModelCheckpoint, load_checkpoint
from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.activations import ACTIVATIONS, Activation


def arctan(Z):
    return np.arctan(Z), Z


def arctan_backward(dA, cache):
    return dA / (1 + cache * cache)


def wrong_backward(dA, cache):
    return dA / (1 + np.abs(cache))


ARCTAN = Activation(arctan, arctan_backward)
OWN = {  # of a network with two hidden layers
    "one for all layers": ARCTAN,
    "one for each layer": [ARCTAN, Activation(arctan, arctan_backward, "glorot_uniform", (-np.pi / 2, np.pi / 2))],
    "beside a name": ("tanh", ARCTAN),
}
ARCHITECTURES = [{}, {"batch_norm": True}, {"dropout_rate": 0.3}, {"ensemble_size": 3}, {"dtype": "float32"}]
with_own = pytest.mark.parametrize("activation", OWN.values(), ids=OWN)


def deep_net(activation, **parameters):
    """Return a classifier with two hidden layers."""
    return net(hidden_layer_dims=(6, 5), activation=activation, **{"learning_rate": 0.01, **parameters})


# Training and prediction.


@pytest.mark.parametrize("options", ARCHITECTURES, ids=str)
@with_own
def test_a_network_with_own_activations_learns(activation, options):
    model = deep_net(activation, max_iter=40, **options).fit(X, Y)
    assert model.score(X, Y) > 0.9
    assert model.parameters_["W1"].dtype == options.get("dtype", np.float64)
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X).argmax(axis=1))


def test_predictions_follow_the_own_forward():
    model = deep_net(("tanh", ARCTAN)).fit(X, Y)
    (W1, W2, W3), (b1, b2, b3) = model.coefs_, model.intercepts_
    ZL = np.arctan(np.tanh(X @ W1 + b1) @ W2 + b2) @ W3 + b3
    np.testing.assert_allclose(model.predict_proba(X), probabilities("multiclass", ZL), rtol=1e-9)


@pytest.mark.parametrize("options", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_made_from_the_functions_of_a_name_trains_as_the_name(name, options):
    known = ACTIVATIONS[name]
    own = Activation(known.forward, known.backward, known.initializer, known.flat_at)
    found, wanted = deep_net(own, **options).fit(X, Y), deep_net(name, **options).fit(X, Y)
    assert_same(found.parameters_, wanted.parameters_)
    assert found.report_ == wanted.report_


@pytest.mark.filterwarnings("ignore:The network is no better")
def test_the_initializer_of_an_own_activation_draws_its_layer():
    def first_weights(activation):
        return deep_net(activation, learning_rate=1e-300, max_iter=1, scale_inputs=None).fit(X, Y).coefs_[0]

    own = Activation(arctan, arctan_backward, ACTIVATIONS["tanh"].initializer)
    np.testing.assert_array_equal(first_weights(own), first_weights("tanh"))
    np.testing.assert_array_equal(first_weights(ARCTAN), first_weights("relu"))


def test_hidden_activations_come_from_the_own_forward():
    model = deep_net(ARCTAN, scale_inputs=None).fit(X, Y)
    wanted = np.arctan(X @ model.coefs_[0] + model.intercepts_[0])
    np.testing.assert_allclose(model.hidden_activations(X, layer=1), wanted, rtol=1e-12)


def test_the_summary_names_the_own_forward():
    assert "arctan" in str(deep_net(ARCTAN).fit(X, Y).summary())


# Gradients.


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("options", ARCHITECTURES, ids=str)
@with_own
def test_own_activations_have_the_right_gradient(activation, options, kind):
    model, y = deep_net(activation, **options), targets(kind)
    assert check_gradient(model, X, y, max_entries=5) < 1e-7
    assert check_gradient(model.fit(X, y), X, y, max_entries=5) < 1e-7


@pytest.mark.parametrize("others", [(), ("tanh",)], ids=["alone", "beside a name"])
def test_a_wrong_backward_is_found(others):
    wrong = Activation(arctan, wrong_backward)
    activation = [wrong, *others] if others else wrong
    assert check_gradient(deep_net(activation), X, Y, max_entries=20) > 1e-3


# The tools of scikit-learn.


@with_own
def test_a_clone_has_equal_activations_and_is_not_fitted(activation):
    model = deep_net(activation).fit(X, Y)
    other = clone(model)
    assert other.get_params()["activation"] == activation
    assert repr(other) == repr(model)
    with pytest.raises(NotFittedError):
        other.predict(X)
    assert_same(other.fit(X, Y).parameters_, model.parameters_)


@pytest.mark.parametrize("own", [ARCTAN, [ARCTAN, "tanh"]], ids=["alone", "in a list"])
def test_a_grid_search_compares_own_activations_with_names(own):
    pipeline = make_pipeline(StandardScaler(), deep_net("relu", max_iter=30))
    search = GridSearchCV(pipeline, {"deepnnclassifier__activation": ["relu", own]}, cv=2, error_score="raise")
    search.fit(X, Y)
    assert search.cv_results_["params"][1]["deepnnclassifier__activation"] == own
    for scores in (search.cv_results_[f"split{k}_test_score"] for k in range(2)):
        assert scores.min() > 0.5
    assert search.score(X, Y) > 0.9


# Saving, and training that continues.


@with_own
def test_a_pickled_estimator_predicts_the_same(activation):
    model = deep_net(activation).fit(X, Y)
    other = pickled(model)
    assert_same(other.predict_proba(X), model.predict_proba(X))
    assert other.get_params()["activation"] == activation
    np.testing.assert_array_equal(copy.deepcopy(model).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@with_own
def test_a_warm_start_continues_with_own_activations(activation, optimizer):
    parts, at_once = (deep_net(activation, optimizer=optimizer, warm_start=True, max_iter=n) for n in (3, 8))
    parts = pickled(parts.fit(X, Y)).set_params(max_iter=5).fit(X, Y)
    assert_same(learned_numbers(parts), learned_numbers(at_once.fit(X, Y)))


@with_own
def test_partial_fit_trains_own_activations(activation):
    model = deep_net(activation)
    for _ in range(40):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert model.score(X, Y) > 0.9


class StopAt(Callback):
    """Press Ctrl-C after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, run):
        if run.state.epoch == self.epoch:
            raise KeyboardInterrupt


@with_own
def test_a_checkpoint_resumes_with_own_activations(activation, tmp_path):
    whole = deep_net(activation, max_iter=6).fit(X, Y)
    with pytest.raises(KeyboardInterrupt):
        deep_net(activation, max_iter=6).set_callbacks(ModelCheckpoint(tmp_path), StopAt(4)).fit(X, Y)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.n_iter_ == 3
    assert checkpoint.get_params()["activation"] == activation
    resumed = deep_net(activation, max_iter=6).fit(X, Y, resume_from=tmp_path)
    assert_same(learned_numbers(resumed), learned_numbers(whole))


def learned_numbers(model):
    """Return what fitting has learned, without what names the training and the data."""
    return {name: value for name, value in learned(model).items() if name not in ("training_state_", "network_")}


# Errors.


@pytest.mark.parametrize(
    ("activation", "named"),
    [
        (3, "got 3"),
        (None, "got None"),
        (np.tanh, "got <ufunc 'tanh'>"),
        ("swish", "got 'swish'"),
        (["relu", 3], "got 3"),
        ((arctan, arctan_backward), "got <function arctan"),
        ([ARCTAN], r"one for each of the 2 hidden layers, got \[Activation\(arctan, arctan_backward\)\]"),
        (Activation, "got <class"),
    ],
)
def test_a_wrong_activation_is_named_before_any_work(activation, named):
    model = deep_net("relu").fit(X, Y)
    before = copy.deepcopy(fitted(model))
    with pytest.raises(InvalidParameterError, match=rf"^activation must be .*{named}"):
        model.set_params(activation=activation).fit(X, Y)
    assert_same(fitted(model), before)


def test_an_initializer_that_does_not_exist_is_named():
    own = Activation(arctan, arctan_backward, "best")
    with pytest.raises(InvalidParameterError, match=r"initializer of Activation\(arctan, arctan_backward\) must be"):
        one_network((5,), own).fit(X, Y)


@pytest.mark.parametrize(
    ("forward", "backward", "named"),
    [
        (np.arctan, arctan_backward, "a function of Z that returns A, of the shape of Z, and a cache, got array"),
        (arctan, lambda dA, cache: dA[0], "a function of dA and the cache that returns dZ, of the shape of dA, got "),
    ],
    ids=["no cache", "dZ of another shape"],
)
def test_functions_that_do_not_fit_are_named(forward, backward, named):
    with pytest.raises(InvalidParameterError, match=rf"^(forward|backward) of Activation\(.*\) must be {named}"):
        one_network((5,), Activation(forward, backward)).fit(X, Y)


def test_functions_that_return_double_precision_train_in_single_precision():
    def leaky(Z):
        return np.maximum(Z, np.float64(0.1) * Z), Z

    def leaky_backward(dA, cache):
        return dA * np.where(cache > 0, 1.0, 0.1)

    model = one_network((5,), Activation(leaky, leaky_backward), dtype="float32", max_iter=3, random_state=0)
    assert model.fit(X, Y).parameters_["W1"].dtype == np.float32
