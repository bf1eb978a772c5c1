"""What is seen inside a fitted classifier; the oracles are finite differences of its own public predictions."""

import re

import numpy as np
import pytest
import scipy.sparse as sp
from one_network import one_network
from reference import relative_error
from sklearn.exceptions import NotFittedError

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.inspection import gradients as inspection
from sklearn_deepnn.inspection.gradients import hidden_layer_number, input_gradient, predicted_output
from sklearn_deepnn.network import prediction as network_module
from sklearn_deepnn.network.activations import ACTIVATIONS
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.ensemble import joint_logits
from sklearn_deepnn.network.losses import CLASS_LOSSES
from sklearn_deepnn.network.model import initialize_parameters, model_forward

CLASS_GRADIENTS_OF = "probability", "logit"

KINDS = ["binary", "multiclass", "multilabel"]
FEATURES = np.array([[1.0, 10.0, 0.1, 3.0]])  # their sizes; what is scaled wrongly shows
ARCHITECTURES = {
    "one network": {},
    "logistic regression": {"hidden_layer_dims": ()},
    "batch norm": {"batch_norm": True},
    "dropout": {"dropout_rate": 0.3},
    "robust": {"scale_inputs": "robust"},
    "unscaled": {"scale_inputs": None},
    "ensemble": {"ensemble_size": 3},
    "ensemble, batch norm, robust": {"ensemble_size": 3, "batch_norm": True, "scale_inputs": "robust"},
    "ensemble without hidden layers": {"ensemble_size": 3, "hidden_layer_dims": ()},
}


def draw(n_samples=60, seed=0):
    """Return rows around three centers, and the numbers of the centers."""
    y = np.arange(n_samples) % 3
    noise = np.random.default_rng(seed).standard_normal((n_samples, 4))
    return FEATURES * (1 + 1.5 * np.eye(3, 4)[y] + noise), y


X, Y = draw()
ROWS = X[:12]


def fitted(kind="multiclass", **parameters):
    """Return a classifier whose probabilities are neither equal nor sure."""
    y = {"binary": (Y == 1) * 1, "multiclass": Y, "multilabel": np.eye(3, dtype=int)[Y] | (X[:, 3:] > 3)}[kind]
    defaults = {"hidden_layer_dims": (6, 5), "activation": "tanh", "batch_size": 16, "max_iter": 8, "random_state": 0}
    defaults |= {"learning_rate": 0.02, "dtype": "float64", "early_stopping": False}
    return one_network(**defaults | parameters).fit(X, y)


def prediction(model, X, label, of):
    """Return what the gradients are of, for a label given by its position."""
    if of == "probability":
        return model.predict_proba(X)[:, label]
    logits = model.decision_function(X)
    return logits[:, label] if logits.ndim == 2 else logits * (1 if label else -1)


def differences(model, rows, label, of):
    """Return the slopes of the prediction for each row by each feature."""
    slopes = np.empty(rows.shape)
    for feature in range(rows.shape[1]):
        step = np.zeros(rows.shape[1])
        step[feature] = 1e-5 * FEATURES[0, feature]
        rise = prediction(model, rows + step, label, of) - prediction(model, rows - step, label, of)
        slopes[:, feature] = rise / (2 * step[feature])
    return slopes


def assert_gradients(model):
    """Compare the gradients of all labels with finite differences, each feature in its own unit."""
    for of in CLASS_GRADIENTS_OF:
        for label in range(len(model.classes_)):
            found, wanted = model.input_gradients(ROWS, label, of=of), differences(model, ROWS, label, of)
            assert np.abs(wanted * FEATURES).max() > 1e-3
            assert relative_error(found * FEATURES, wanted * FEATURES) < 1e-7


# Gradients by the inputs.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_input_gradients_equal_finite_differences(architecture, kind):
    assert_gradients(fitted(kind, **ARCHITECTURES[architecture]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_input_gradients_of_every_activation_equal_finite_differences(activation):
    assert_gradients(fitted(activation=activation, scale_inputs=None, weight_init="lecun_normal"))


def test_input_gradients_of_logistic_regression_have_a_closed_form():
    model = fitted("binary", hidden_layer_dims=())
    p, w = model.predict_proba(ROWS)[:, 1:], model.coefs_[0].T
    np.testing.assert_allclose(model.input_gradients(ROWS, 1), p * (1 - p) * w, rtol=1e-12)
    np.testing.assert_allclose(model.input_gradients(ROWS, 1, of="logit"), np.tile(w, (12, 1)), rtol=1e-12)


@pytest.mark.parametrize("of", CLASS_GRADIENTS_OF)
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_the_gradient_for_the_first_of_two_classes_is_minus_that_for_the_second(ensemble_size, of):
    model = fitted("binary", ensemble_size=ensemble_size)
    of_second = model.input_gradients(ROWS, 1, of=of)
    assert of_second.any(axis=1).all()
    np.testing.assert_allclose(model.input_gradients(ROWS, 0, of=of), -of_second, rtol=1e-12)


def test_gradients_of_probabilities_that_sum_to_one_sum_to_zero():
    model = fitted(ensemble_size=3)
    gradients = np.stack([model.input_gradients(ROWS, label) for label in range(3)])
    np.testing.assert_allclose(gradients.sum(axis=0) * FEATURES, 0, atol=1e-14)


@pytest.mark.parametrize("of", CLASS_GRADIENTS_OF)
@pytest.mark.parametrize("method", ["input_gradients", "integrated_gradients"])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_without_a_label_each_sample_s_is_the_predicted_one(ensemble_size, kind, method, of):
    model = fitted(kind, ensemble_size=ensemble_size)
    explain, predicted = getattr(model, method), model.predict(ROWS)
    assert len(set(predicted)) > 1
    wanted = [explain([row], label, of=of)[0] for row, label in zip(ROWS, predicted)]
    np.testing.assert_allclose(explain(ROWS, of=of), wanted, rtol=1e-10)


@pytest.mark.parametrize("names", [["a", "b", "c"], ["c", "a", "b"], [30, -10, 20]], ids=str)
def test_labels_are_taken_by_name(names):
    model = one_network(**fitted().get_params()).fit(X, np.array(names)[Y])
    for position, name in enumerate(sorted(names)):
        wanted = differences(model, ROWS, position, "probability")
        assert relative_error(model.input_gradients(ROWS, name), wanted) < 1e-7


def test_the_same_network_under_other_names_has_the_same_gradients():
    by_number = fitted()
    by_name = one_network(**by_number.get_params()).fit(X, np.array(["x", "y", "z"])[Y])
    for number, name in enumerate("xyz"):
        np.testing.assert_array_equal(by_name.input_gradients(ROWS, name), by_number.input_gradients(ROWS, number))


def test_one_class_is_certain_everywhere():
    model = one_network((5,), max_iter=2, random_state=0).fit(X, np.full(60, "only"))
    assert not model.input_gradients(ROWS).any()
    assert not model.integrated_gradients(ROWS, "only").any()


@pytest.mark.parametrize("of", CLASS_GRADIENTS_OF)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ensemble_size", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_saturated_probabilities_give_finite_gradients_without_warning(kind, ensemble_size, dtype, of):
    model = fitted(kind, ensemble_size=ensemble_size, scale_inputs=None, activation="relu", dtype=dtype)
    far = (1e5 * ROWS).astype(dtype)
    assert (model.predict_proba(far).max(axis=1) > 1 - 1e-6).any()
    for label in range(len(model.classes_)):
        with np.errstate(all="raise", under="ignore"):
            gradients = model.input_gradients(far, label, of=of)
        assert np.isfinite(gradients).all()
        assert of == "probability" or gradients.any()


def test_the_gradient_of_a_nearly_sure_class_keeps_its_precision():
    # softmax(30, 0) in float32 is (1, 1e-13), and p (1 - p) of it would be 0
    parameters = {"W1": np.array([[30], [0]], np.float32), "b1": np.zeros((2, 1), np.float32)}
    D = np.array([[1], [0]], np.float32)
    found = input_gradient(np.ones((1, 1), np.float32), parameters, Network((1, 2)), D)
    np.testing.assert_allclose(found, [[30 * np.exp(-30)]], rtol=1e-5)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_the_predicted_output_has_the_highest_logit_or_that_of_its_contrary(name):
    ZL = np.random.default_rng(0).normal(size=(3, 4, 20))
    joint = joint_logits(ZL, name)
    D = predicted_output(ZL, name)
    assert D.shape == (4, 20)
    if name == "binary_cross_entropy":
        np.testing.assert_array_equal(D * joint, np.abs(joint))
    else:
        np.testing.assert_array_equal((D * joint).sum(axis=0), joint.max(axis=0))
        np.testing.assert_array_equal(D.sum(axis=0), 1)


# Integrated gradients.


@pytest.mark.parametrize("of", CLASS_GRADIENTS_OF)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_integrated_gradients_are_complete(architecture, kind, of):
    model = fitted(kind, **ARCHITECTURES[architecture])
    baseline = getattr(model, "input_center_", np.zeros(4))
    for label in range(len(model.classes_)):
        attributions = model.integrated_gradients(ROWS, label, of=of, n_steps=64)
        wanted = prediction(model, ROWS, label, of) - prediction(model, baseline[np.newaxis], label, of)
        assert np.abs(wanted).max() > 0.03
        np.testing.assert_allclose(attributions.sum(axis=1), wanted, atol=1e-6)


def test_integrated_gradients_equal_a_fine_riemann_sum_from_a_given_baseline():
    model, baseline = fitted(), X.min(axis=0)
    middles = (np.arange(2000) + 0.5) / 2000
    way = ROWS - baseline
    mean = np.mean([model.input_gradients(baseline + t * way, 2) for t in middles], axis=0)
    np.testing.assert_allclose(model.integrated_gradients(ROWS, 2, baseline=list(baseline)), way * mean, atol=1e-6)


def test_more_steps_come_closer_to_completeness():
    model, errors = fitted(), []
    rise = model.predict_proba(ROWS)[:, 0] - model.predict_proba([model.input_center_])[:, 0]
    for n_steps in (1, 4, 16):
        errors.append(np.abs(model.integrated_gradients(ROWS, 0, n_steps=n_steps).sum(axis=1) - rise).max())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_what_does_not_differ_from_the_baseline_accounts_for_nothing():
    model = fitted()
    baseline = [ROWS[0, 0], 0, 0, ROWS[0, 3]]
    attributions = model.integrated_gradients(ROWS[:1], 0, baseline=baseline)
    np.testing.assert_array_equal(attributions == 0, [[True, False, False, True]])
    assert not model.integrated_gradients(ROWS[:1], 0, baseline=ROWS[0]).any()


# Hidden activations.


@pytest.mark.parametrize("architecture", ["one network", "batch norm", "dropout", "robust", "unscaled"])
def test_hidden_activations_are_those_of_the_folded_weights(architecture):
    model = fitted(**ARCHITECTURES[architecture])
    A = ROWS
    for l, (W, b) in enumerate(zip(model.coefs_[:-1], model.intercepts_[:-1]), start=1):
        A = np.tanh(A @ W + b)
        found = model.hidden_activations(ROWS, l)
        assert found.flags.c_contiguous
        np.testing.assert_allclose(found, A, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(model.hidden_activations(ROWS, l - 3), found)
    np.testing.assert_array_equal(model.hidden_activations(ROWS), found)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_hidden_activations_of_an_ensemble_are_those_of_its_members(batch_norm):
    model = fitted(ensemble_size=3, batch_norm=batch_norm)
    found = model.hidden_activations(ROWS, 1)
    wanted = np.tanh(ROWS @ model.coefs_[0] + model.intercepts_[0])
    assert wanted.shape == (3, 12, 6)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_the_last_hidden_layer_s_activations_and_weights_make_the_logits():
    model = fitted("binary")
    logits = model.hidden_activations(ROWS) @ model.coefs_[-1] + model.intercepts_[-1]
    np.testing.assert_allclose(model.decision_function(ROWS), logits[:, 0], rtol=1e-12)


@pytest.mark.parametrize("layer", [0, 3, -3, 1.0, True, "1", None, np.int64(7)], ids=repr)
def test_a_layer_that_is_not_there_is_an_error(layer):
    message = f"layer must be an integer from 1 to 2, or from -2 to -1, got {layer!r}."
    with pytest.raises(InvalidParameterError, match=re.escape(message)):
        fitted().hidden_activations(ROWS, layer)


def test_a_network_without_hidden_layers_has_no_hidden_activations():
    with pytest.raises(ValueError, match=r"layer must be a hidden layer, of which this network has none, got -1\."):
        fitted(hidden_layer_dims=()).hidden_activations(ROWS)


def test_layers_are_counted_from_either_end():
    assert [hidden_layer_number(np.int8(layer), 3) for layer in (1, 2, 3, -1, -2, -3)] == [1, 2, 3, 3, 2, 1]


# All of them.


def explanations(model, X):
    """Return all that can be seen of X."""
    return [
        model.hidden_activations(X, 1),
        model.input_gradients(X, 1),
        model.input_gradients(X, 0, of="logit"),
        model.integrated_gradients(X, 1, n_steps=3),
    ]


@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_array, sp.csr_matrix, sp.coo_array])
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_sparse_equals_dense(ensemble_size, container):
    rows = np.where(X > FEATURES, X, 0)
    model = fitted(ensemble_size=ensemble_size)
    for found, wanted in zip(explanations(model, container(rows)), explanations(model, rows)):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("ensemble_size", [1, 3])
def test_chunks_equal_the_whole(ensemble_size, n_threads, monkeypatch):
    rows, model = draw(700, seed=1)[0], fitted(ensemble_size=ensemble_size)
    wanted = explanations(model, rows)
    predicted = model.input_gradients(rows)
    monkeypatch.setattr(network_module, "CHUNK_ELEMENTS", 1)
    monkeypatch.setattr(network_module, "allowed_threads", lambda: n_threads)
    for found, whole in zip([*explanations(model, rows), model.input_gradients(rows)], [*wanted, predicted]):
        np.testing.assert_allclose(found, whole, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("X_dtype", [np.float32, np.float64, np.int64])
def test_float32_input_gives_float32_and_all_else_float64(X_dtype, dtype):
    model = fitted(dtype=dtype)
    wanted = model.predict_proba(ROWS.astype(X_dtype)).dtype
    assert wanted == (np.float32 if X_dtype == np.float32 else np.float64)
    assert {found.dtype for found in explanations(model, ROWS.astype(X_dtype))} == {wanted}


def test_gradients_in_float32_are_those_in_float64_to_its_precision():
    model = fitted(ensemble_size=3)
    exact = explanations(model, ROWS.astype(np.float32))
    model.parameters_ = {name: array.astype(np.float32) for name, array in model.parameters_.items()}
    for found, wanted in zip(explanations(model, ROWS.astype(np.float32)), exact):
        assert relative_error(found, wanted) < 1e-5


@pytest.mark.parametrize("name", ["hidden_activations", "input_gradients", "integrated_gradients"])
def test_nothing_is_seen_before_fitting(name):
    with pytest.raises(NotFittedError):
        getattr(DeepNNClassifier(), name)(X)


@pytest.mark.parametrize("name", ["hidden_activations", "input_gradients", "integrated_gradients"])
def test_unsuitable_rows_are_refused(name):
    explain = getattr(fitted(), name)
    for wrong in (X[:, :3], X[0], np.full_like(X, np.inf), X[:0]):
        with pytest.raises(ValueError, match=r"features|Expected 2D|infinity|minimum of 1"):
            explain(wrong)


@pytest.mark.parametrize("name", ["input_gradients", "integrated_gradients"])
def test_rows_too_large_for_the_network_are_refused(name):
    model = fitted(dtype="float32", activation="relu")
    with pytest.raises(ValueError, match=r"X has values too large for this network, which computes in float32\."):
        getattr(model, name)(np.full((2, 4), 1e300))


@pytest.mark.parametrize("name", ["input_gradients", "integrated_gradients"])
@pytest.mark.parametrize("label", [3, -1, "1", [0], np.array([0, 1]), 0.5], ids=repr)
def test_a_label_that_is_no_class_is_an_error(name, label):
    message = f"label must be one of [0, 1, 2] or None, got {label!r}."
    with pytest.raises(InvalidParameterError, match=re.escape(message)):
        getattr(fitted(), name)(ROWS, label)


@pytest.mark.parametrize("name", ["input_gradients", "integrated_gradients"])
@pytest.mark.parametrize("label", [None, 3])
def test_multilabel_targets_need_a_label(name, label):
    message = f"label must be one of [0, 1, 2] for multilabel targets, got {label!r}."
    with pytest.raises(InvalidParameterError, match=re.escape(message)):
        getattr(fitted("multilabel"), name)(ROWS, label)


@pytest.mark.parametrize("name", ["input_gradients", "integrated_gradients"])
def test_gradients_are_of_probabilities_or_logits_alone(name):
    with pytest.raises(InvalidParameterError, match=r"of must be one of \['probability', 'logit'\], got 'class'\."):
        getattr(fitted(), name)(ROWS, of="class")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"baseline": [0, 1]}, "baseline must have shape (4,), one value per feature, got (2,)."),
        ({"baseline": ROWS}, "baseline must have shape (4,), one value per feature, got (12, 4)."),
        ({"baseline": [0, 1, np.nan, 2]}, "Input baseline contains NaN"),
        ({"baseline": 0.0}, "baseline must have shape (4,), one value per feature, got 0.0."),
        ({"baseline": np.ma.array([0, 1, 2, 3], mask=[0, 0, 0, 1])}, "Input baseline contains NaN"),
        ({"n_steps": 0}, "n_steps must be an integer of at least 1, got 0."),
        ({"n_steps": 2.5}, "n_steps must be an integer of at least 1, got 2.5."),
    ],
    ids=str,
)
def test_parameters_of_integrated_gradients_are_checked(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fitted().integrated_gradients(ROWS, **parameters)


def test_looking_inside_changes_nothing():
    model = fitted(batch_norm=True)
    rows, before = ROWS.copy(), {name: array.copy() for name, array in model.parameters_.items()}
    attributes = set(vars(model))
    explanations(model, rows)
    np.testing.assert_array_equal(rows, ROWS)
    assert set(vars(model)) == attributes
    for name, array in before.items():
        np.testing.assert_array_equal(model.parameters_[name], array)


@pytest.mark.parametrize("n_hidden", [1, 3])
def test_sparse_rows_of_many_features_are_activated_many_at_a_time(n_hidden, monkeypatch):
    rows, chunks = sp.csr_array((np.ones(300), (np.arange(300), np.arange(300) ** 2 % 20_000)), (300, 20_000)), []
    model = one_network((4,) * n_hidden, max_iter=1, scale_inputs=None, random_state=0).fit(rows, np.arange(300) % 2)
    forward = inspection.hidden_forward
    monkeypatch.setattr(inspection, "hidden_forward", lambda A, *args: chunks.append(A.shape[1]) or forward(A, *args))
    model.hidden_activations(rows)
    assert chunks == [300]


@pytest.mark.parametrize("name", ["hidden_activations", "input_gradients", "integrated_gradients"])
def test_many_rows_take_the_memory_of_the_result_and_little_more(name, monkeypatch, peak_bytes):
    monkeypatch.setattr(network_module, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(network_module, "allowed_threads", lambda: 1)
    model = fitted(hidden_layer_dims=(32,), dtype="float32")
    parameters = {} if name == "hidden_activations" else {"label": 1}
    parameters |= {"n_steps": 2} if name == "integrated_gradients" else {}
    beyond = {}
    for n in (20_000, 80_000):
        rows = np.ones((n, 4), np.float32)
        size = 4 * n * (32 if name == "hidden_activations" else 4)
        beyond[n] = peak_bytes(lambda rows=rows: getattr(model, name)(rows, **parameters)) - size
    assert 0 < beyond[80_000] < 4e6
    assert abs(beyond[80_000] - beyond[20_000]) < 50_000


def test_the_engine_differentiates_the_network_that_the_course_builds():
    network = Network((4, 5, 3))
    parameters, D = initialize_parameters(network.layer_dims, rng=0), np.array([[0.0], [1], [0]])
    A0, step = np.random.default_rng(0).normal(size=(4, 7)), 1e-6 * np.eye(4)[:, :1]
    rise = model_forward(A0 + step, parameters)[0] - model_forward(A0 - step, parameters)[0]
    found = input_gradient(A0, parameters, network, D)
    np.testing.assert_allclose(found[0], rise[1] / 2e-6, rtol=1e-7)
