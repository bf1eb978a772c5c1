import dataclasses
import pickle

import numpy as np
import pytest
from scipy.optimize import LbfgsInvHessProduct, minimize, rosen, rosen_der
from sklearn.base import clone
from training_cases import Signs

from sklearn_deepnn.checks import InvalidParameterError
from sklearn_deepnn.network.model import initialize_parameters
from sklearn_deepnn.training.optimizers import (
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adam,
    NAdam,
    RMSprop,
    advance,
    block_of,
    flush_subnormals,
    inverse_hessian_product,
    line_search,
    update_parameters,
)

FIRST_ORDER = [name for name, optimizer in OPTIMIZERS.items() if not optimizer.full_batch]
ELEMENTWISE = [name for name, optimizer in OPTIMIZERS.items() if optimizer.elementwise]
VARIANTS = [
    SGD(), SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True), RMSprop(), RMSprop(rho=0.5, epsilon=0.1), Adam(),
    Adam(beta_1=0.5, beta_2=0.7, epsilon=0.1), NAdam(), NAdam(beta_1=0.5, beta_2=0.7, epsilon=0.1),
]  # fmt: skip
ROSENBROCK_START = np.array([-1.2, 1.0])
ENDS_OF_BLOCKS = {  # of a vector of 67 elements
    "one element each": range(1, 68),
    "halves": [33, 67],
    "blocks of uneven sizes": [1, 9, 41, 42, 67],
    "one block": [67],
}


def parabola(W):
    scales = np.array([1.0, 10.0, 3.0])
    return float(0.5 * scales @ (W - 1) ** 2), scales * (W - 1)


def rosenbrock(W):
    x, y = W
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2, np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def descend(optimizer, objective, start, learning_rate=0.01, n_steps=1000):
    """Return the parameters after n_steps steps, or on convergence, and the state."""
    W = np.array(start, float)
    state = optimizer.init(W)
    keywords = {"objective": objective} if optimizer.full_batch else {}
    for step in range(n_steps):
        optimizer.update(W, objective(W)[1], state, learning_rate / (1 + step / 200), **keywords)
        if state.get("converged"):
            break
    return W, state


def by_the_formula(optimizer, gradients, learning_rate):
    """Return one parameter after a step for each gradient, from 1.0, by the formulas of the papers."""
    w, v, m = 1.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        match optimizer:
            case NAdam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon):
                m = beta_1 * m + (1 - beta_1) * g
                v = beta_2 * v + (1 - beta_2) * g * g
                m_hat = beta_1 * m / (1 - beta_1 ** (t + 1)) + (1 - beta_1) * g / (1 - beta_1**t)
                w -= learning_rate * m_hat / ((v / (1 - beta_2**t)) ** 0.5 + epsilon)
            case Adam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon):
                m = beta_1 * m + (1 - beta_1) * g
                v = beta_2 * v + (1 - beta_2) * g * g
                w -= learning_rate * (m / (1 - beta_1**t)) / ((v / (1 - beta_2**t)) ** 0.5 + epsilon)
            case RMSprop(rho=rho, epsilon=epsilon):
                v = rho * v + (1 - rho) * g * g
                w -= learning_rate * g / (v**0.5 + epsilon)
            case SGD(momentum=momentum, nesterov=nesterov):
                v = momentum * v + g
                w -= learning_rate * (g + momentum * v if nesterov else v)
    return w


def run(optimizer, gradients, dtype=np.float64, learning_rate=0.1):
    """Return the parameters after a step for each row of gradients, starting from ones, and the state."""
    W = np.ones(gradients.shape[1], dtype)
    state = optimizer.init(W)
    for dW in gradients.astype(dtype):
        optimizer.update(W, dW, state, learning_rate)
    return W, state


def draw_gradients(n_steps=12, n=5):
    return np.random.default_rng(0).normal(0, 2, (n_steps, n))


# All optimizers.


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_finds_the_minimum_of_a_parabola(name):
    W, _ = descend(OPTIMIZERS[name](), parabola, [-1.0, 2.0, 0.0], learning_rate=0.05)
    np.testing.assert_allclose(W, 1, atol=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_frozen_and_can_be_compared_and_printed(name):
    optimizer = OPTIMIZERS[name]()
    assert optimizer == OPTIMIZERS[name]()
    with pytest.raises(TypeError, match="unhashable"):  # set_params would change the hash
        hash(optimizer)
    assert eval(repr(optimizer)) == optimizer
    for field in dataclasses.fields(optimizer):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(optimizer, field.name, 0.5)


class OtherSigns(Signs):
    """Another one with the same hyper-parameters."""


def test_an_optimizer_with_a_constructor_can_be_compared_and_printed_too():
    assert Signs(0.5) == Signs(0.5) == clone(Signs(0.5))
    assert Signs(0.5) not in (Signs(), OtherSigns(0.5), 0.5)
    assert repr(Signs(0.5)) == "Signs(scale=0.5)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Signs())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_hyper_parameter_is_checked(name):
    for field in dataclasses.fields(OPTIMIZERS[name]):
        with pytest.raises(InvalidParameterError, match=rf"^{field.name} must be .*, got 'much'\.$"):
            OPTIMIZERS[name](**{field.name: "much"})


@pytest.mark.parametrize(
    ("optimizer", "name", "value"),
    [
        (SGD, "momentum", 1.0), (SGD, "momentum", -0.1), (SGD, "nesterov", 1), (RMSprop, "rho", 1.0),
        (RMSprop, "epsilon", 0.0), (Adam, "beta_1", 1.0), (Adam, "beta_2", -1e-9), (Adam, "beta_2", float("nan")),
        (Adam, "epsilon", -1.0), (NAdam, "beta_1", 2), (LBFGS, "memory", 0), (LBFGS, "memory", 2.0),
        (LBFGS, "max_line_search", 0), (LBFGS, "gradient_tolerance", -1.0),
    ],
)  # fmt: skip
def test_messages_about_hyper_parameters_name_parameter_rule_and_value(optimizer, name, value):
    with pytest.raises(InvalidParameterError, match=rf"^{name} must be .*, got {value}\.$"):
        optimizer(**{name: value})


# As a parameter of scikit-learn: `get_params`, `set_params`, `clone`.


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hyper_parameters_can_be_read_and_set_as_those_of_an_estimator(name):
    optimizer, fields = OPTIMIZERS[name](), dataclasses.fields(OPTIMIZERS[name])
    assert optimizer.get_params() == {field.name: field.default for field in fields}
    for field in fields:
        assert optimizer.set_params(**{field.name: "much"}) is optimizer
        assert optimizer.get_params()[field.name] == "much"
        with pytest.raises(InvalidParameterError, match=rf"^{field.name} must be .*, got 'much'\.$"):
            optimizer.check()
        assert clone(optimizer) == optimizer
        optimizer.set_params(**{field.name: field.default})
    assert optimizer == OPTIMIZERS[name]()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_unknown_hyper_parameter_is_refused_and_none_is_set(name):
    optimizer, first = OPTIMIZERS[name](), dataclasses.fields(OPTIMIZERS[name])[0].name
    with pytest.raises(ValueError, match=rf"^Invalid parameter 'speed' for optimizer .* parameters are: \['{first}'"):
        optimizer.set_params(**{first: 0.5}, speed=1)
    assert optimizer == OPTIMIZERS[name]()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_clone_is_equal_and_does_not_change_with_the_original(name):
    first = dataclasses.fields(OPTIMIZERS[name])[0].name
    optimizer = OPTIMIZERS[name]()
    cloned = clone(optimizer)
    assert (cloned, repr(cloned)) == (optimizer, repr(optimizer))
    optimizer.set_params(**{first: 0.25})
    assert cloned == OPTIMIZERS[name]()


# State and steps.


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_contains_arrays_dicts_lists_and_numbers_and_can_be_pickled(name):
    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return type(value) in (np.ndarray, int, float, bool)

    _, state = descend(OPTIMIZERS[name](), rosenbrock, ROSENBROCK_START, learning_rate=1e-4, n_steps=5)
    assert plain(state)
    assert pickle.dumps(pickle.loads(pickle.dumps(state))) == pickle.dumps(state)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resuming_from_a_pickled_state_equals_uninterrupted_training(name):
    optimizer = OPTIMIZERS[name]()
    uninterrupted, _ = descend(optimizer, rosenbrock, ROSENBROCK_START, n_steps=8, learning_rate=1e-3)
    W = ROSENBROCK_START.copy()
    state = optimizer.init(W)
    for step in range(8):
        state = pickle.loads(pickle.dumps(state))
        keywords = {"objective": rosenbrock} if optimizer.full_batch else {}
        optimizer.update(W, rosenbrock(W)[1], state, 1e-3 / (1 + step / 200), **keywords)
    np.testing.assert_array_equal(W, uninterrupted)


# Plain gradient descent.


def test_update_parameters_returns_new_arrays():
    parameters, grads = {"W1": np.array([[1.0, 2.0]])}, {"dW1": np.array([[10.0, 0.0]]), "dA0": None}
    updated = update_parameters(parameters, grads, learning_rate=0.1)
    np.testing.assert_array_equal(updated["W1"], [[0, 2]])
    np.testing.assert_array_equal(parameters["W1"], [[1, 2]])
    assert list(updated) == ["W1"]


def test_update_parameters_writes_to_out():
    W = np.array([1.0, 2.0])
    assert update_parameters(W, np.array([10.0, 0.0]), 0.1, out=W) is W
    np.testing.assert_array_equal(W, [0, 2])


def test_sgd_is_update_parameters():
    gradients = draw_gradients()
    W = np.ones(gradients.shape[1])
    for dW in gradients:
        W = update_parameters(W, dW, 0.1)
    np.testing.assert_array_equal(run(SGD(), gradients)[0], W)


# First-order optimizers.


@pytest.mark.parametrize("optimizer", VARIANTS, ids=repr)
def test_steps_equal_the_formula_of_the_paper(optimizer):
    gradients = draw_gradients()
    expected = [by_the_formula(optimizer, column, learning_rate=0.1) for column in gradients.T]
    np.testing.assert_allclose(run(optimizer, gradients)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in FIRST_ORDER if name != "sgd"])
def test_the_first_step_of_adaptive_optimizers_does_not_depend_on_the_size_of_the_gradient(name):
    small, _ = run(OPTIMIZERS[name](), np.full((1, 1), 1e-3))
    large, _ = run(OPTIMIZERS[name](), np.full((1, 1), 1e3))
    np.testing.assert_allclose(1 - small, 1 - large, rtol=1e-4)


@pytest.mark.parametrize("optimizer", VARIANTS, ids=repr)
def test_float32_parameters_and_state_remain_float32(optimizer):
    gradients = draw_gradients()
    W, state = run(optimizer, gradients, np.float32)
    assert W.dtype == np.float32
    assert {value.dtype for value in state.values() if isinstance(value, np.ndarray)} <= {np.dtype(np.float32)}
    np.testing.assert_allclose(W, run(optimizer, gradients)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_update_does_not_change_the_gradient(name):
    gradients = draw_gradients()
    before = gradients.copy()
    run(OPTIMIZERS[name](), gradients)
    np.testing.assert_array_equal(gradients, before)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_gradient_of_zeros_does_not_change_the_parameters(name):
    W, _ = run(OPTIMIZERS[name](), np.zeros((3, 4)))
    np.testing.assert_array_equal(W, 1)


def test_adam_finds_the_minimum_of_rosenbrock_s_function():
    W, _ = descend(Adam(), rosenbrock, ROSENBROCK_START, learning_rate=0.1, n_steps=10_000)
    np.testing.assert_allclose(W, 1, atol=1e-2)


# Elementwise updates.


def assert_blocks_equal_whole(optimizer, ends, dtype):
    """Check that updates of every block equal updates of the whole vector, bit for bit, over several steps."""
    gradients = draw_gradients(n_steps=6, n=67).astype(dtype)
    blocks = [slice(start, end) for start, end in zip([0, *ends], ends)]
    whole, expected = run(optimizer, gradients, dtype)
    W = np.ones(67, dtype)
    state = optimizer.init(W)
    for dW in gradients:
        for block in reversed(blocks):  # the order does not matter
            block_state = block_of(state, block)
            optimizer.update(W[block], dW[block], block_state, 0.1)
        advance(state, block_state)
    np.testing.assert_array_equal(W, whole)
    assert state.keys() == expected.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(value, expected[name])
        assert type(value) is type(expected[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ends", ENDS_OF_BLOCKS.values(), ids=ENDS_OF_BLOCKS)
@pytest.mark.parametrize("optimizer", [*(OPTIMIZERS[name]() for name in ELEMENTWISE), *VARIANTS], ids=repr)
def test_elementwise_updates_of_blocks_equal_updates_of_the_whole_vector(optimizer, ends, dtype):
    assert_blocks_equal_whole(optimizer, ends, dtype)


@dataclasses.dataclass(frozen=True)
class NormalizedSGD(SGD):
    """An optimizer that uses the norm of the whole gradient but claims to be elementwise."""

    def update(self, parameters, grads, state, learning_rate):
        super().update(parameters, grads / np.linalg.norm(grads), state, learning_rate)


@dataclasses.dataclass(frozen=True)
class ShrinkingSGD(SGD):
    """An optimizer whose state has a number that depends on the gradient but that claims to be elementwise."""

    def init(self, parameters):
        return {"largest": 1.0}

    def update(self, parameters, grads, state, learning_rate):
        state["largest"] = max(state["largest"], float(np.abs(grads).max()))
        super().update(parameters, grads, state, learning_rate / state["largest"])


@pytest.mark.parametrize("optimizer", [NormalizedSGD(), ShrinkingSGD()], ids=repr)
def test_the_comparison_of_blocks_detects_an_optimizer_that_is_not_elementwise(optimizer):
    assert optimizer.elementwise
    assert_blocks_equal_whole(optimizer, ENDS_OF_BLOCKS["one block"], np.float64)
    for ends in ("one element each", "halves", "blocks of uneven sizes"):
        with pytest.raises(AssertionError):
            assert_blocks_equal_whole(optimizer, ENDS_OF_BLOCKS[ends], np.float64)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_states_whether_it_is_elementwise(name):
    optimizer = OPTIMIZERS[name]
    assert type(optimizer.elementwise) is type(optimizer.full_batch) is bool
    assert not (optimizer.elementwise and optimizer.full_batch)  # a line search needs the whole vector


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_state_of_an_elementwise_optimizer_contains_vectors_and_numbers_only(name):
    W = np.ones(5, np.float32)
    for value in OPTIMIZERS[name]().init(W).values():
        assert type(value) in (int, float) or (value.shape, value.dtype) == (W.shape, W.dtype)


def test_the_state_of_a_block_has_views_of_arrays_and_copies_of_numbers():
    state = {"t": 3, "m": np.zeros(5)}
    block_state = block_of(state, slice(1, 3))
    block_state["m"] += 1
    block_state["t"] += 1
    np.testing.assert_array_equal(state["m"], [0, 1, 1, 0, 0])
    assert state["t"] == 3
    advance(state, block_state)
    assert state["t"] == 4
    assert state["m"].shape == (5,)


# L-BFGS.


def logistic_regression(n=80, seed=0):
    """Return a cost whose features have very different scales, and initial parameters."""
    rng = np.random.default_rng(seed)
    X, signs = rng.normal(0, [1, 5, 0.2, 1, 3], (n, 5)), rng.choice([-1, 1], n)

    def objective(w):
        margins = signs * (X @ w)
        slopes = -signs / (1 + np.exp(margins))
        return float(np.logaddexp(0, -margins).mean() + 0.005 * w @ w), X.T @ slopes / n + 0.01 * w

    return objective, rng.normal(size=5)


def test_lbfgs_finds_the_minimum_of_rosenbrock_s_function():
    W, state = descend(LBFGS(gradient_tolerance=1e-8), rosenbrock, ROSENBROCK_START, n_steps=60)
    assert state["converged"]
    np.testing.assert_allclose(W, 1, atol=1e-7)


def test_lbfgs_finds_the_minimum_that_scipy_finds():
    objective, start = logistic_regression()
    W, state = descend(LBFGS(gradient_tolerance=1e-9), objective, start, n_steps=100)
    expected = minimize(objective, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-15})
    assert state["converged"]
    np.testing.assert_allclose(W, expected.x, atol=1e-6)
    assert objective(W)[0] == pytest.approx(expected.fun, abs=1e-12)


def test_lbfgs_never_increases_the_cost():
    objective, start = logistic_regression(seed=3)
    costs = [objective(descend(LBFGS(), objective, start, n_steps=n)[0])[0] for n in range(12)]
    assert (np.diff(costs) <= 0).all()


def test_lbfgs_ignores_the_learning_rate():
    objective, start = logistic_regression()
    slow, _ = descend(LBFGS(), objective, start, learning_rate=1e-9, n_steps=5)
    fast, _ = descend(LBFGS(), objective, start, learning_rate=1e9, n_steps=5)
    np.testing.assert_array_equal(slow, fast)


def test_lbfgs_keeps_as_many_steps_as_its_memory_says():
    _, state = descend(LBFGS(memory=3), rosenbrock, ROSENBROCK_START, n_steps=10)
    assert len(state["steps"]) == len(state["changes"]) == 3


def test_lbfgs_converges_where_the_gradient_is_within_the_tolerance():
    W, state = descend(LBFGS(gradient_tolerance=1e-3), parabola, np.full(3, 1 + 1e-5))
    assert state["converged"]
    np.testing.assert_array_equal(W, 1 + 1e-5)


def test_lbfgs_converges_if_no_step_lowers_the_cost():
    def uphill(W):
        return float(W @ W), -2 * W  # a gradient of the wrong sign

    W, state = descend(LBFGS(), uphill, np.ones(2), n_steps=5)
    assert state["converged"]
    np.testing.assert_array_equal(W, 1)


def test_lbfgs_minimises_in_float32_and_keeps_the_dtype():
    objective, start = logistic_regression()
    W = start.astype(np.float32)
    state = LBFGS().init(W)
    for _ in range(30):
        LBFGS().update(W, objective(W)[1].astype(np.float32), state, 1.0, objective=objective)
    assert W.dtype == np.float32
    np.testing.assert_allclose(W, descend(LBFGS(), objective, start)[0], atol=1e-3)


def test_the_inverse_hessian_product_equals_scipy_s():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    hessian = root @ root.T + np.eye(6)
    steps = list(rng.normal(size=(4, 6)))
    changes = [hessian @ step for step in steps]
    gradient = rng.normal(size=6)
    # scipy starts from the identity and this function from gamma times the identity; scaling by sqrt(gamma) makes
    # the two equal
    gamma = (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    scaled = LbfgsInvHessProduct(np.array(steps) / np.sqrt(gamma), np.array(changes) * np.sqrt(gamma))
    np.testing.assert_allclose(
        inverse_hessian_product(gradient, steps, changes), gamma * (scaled @ gradient), rtol=1e-10
    )


def test_the_inverse_hessian_product_maps_the_last_change_to_its_step():
    rng = np.random.default_rng(0)
    steps = list(rng.normal(size=(3, 4)))
    changes = [step * [1, 2, 3, 4] for step in steps]
    np.testing.assert_allclose(inverse_hessian_product(changes[-1], steps, changes), steps[-1], rtol=1e-12)


def test_without_past_steps_the_product_is_the_gradient_with_a_norm_of_at_most_one():
    np.testing.assert_allclose(inverse_hessian_product(np.array([3.0, 4.0]), [], []), [0.6, 0.8])
    np.testing.assert_array_equal(inverse_hessian_product(np.array([0.3, 0.4]), [], []), [0.3, 0.4])


def test_a_parameter_without_a_gradient_does_not_change():
    parameters = initialize_parameters([3, 2, 1], batch_norm=True, rng=0)
    grads = parameters.gradients()
    grads.vector[...] = 1
    stepped = update_parameters(parameters, grads, 0.1)
    assert stepped.keys() == parameters.keys()
    assert (stepped["running_mean1"] == parameters["running_mean1"]).all()
    np.testing.assert_allclose(stepped["gamma1"], 0.9)


def test_the_line_search_stops_after_the_maximum_number_of_evaluations():
    calls = []

    def never_lower(vector):
        calls.append(vector)
        return float(vector @ vector), np.full_like(vector, -1.0)

    assert line_search(never_lower, np.zeros(3), np.ones(3), 7) is None
    assert len(calls) == 1 + 7


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_lbfgs_minimises_at_any_scale_of_the_cost(scale):
    optimizer, W = LBFGS(gradient_tolerance=1e-7 * scale), np.tile([-1.2, 1.0], 5)
    state = optimizer.init(W)

    def objective(vector):
        return scale * rosen(vector), scale * rosen_der(vector)

    for _ in range(300):
        optimizer.update(W, objective(W)[1], state, None, objective=objective)
    assert rosen(W) < 1e-8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_subnormal_numbers_are_flushed(dtype):
    tiny = np.finfo(dtype).tiny
    vector = np.array([tiny, tiny / 2, -tiny, -tiny / 2, np.nextafter(tiny, 0, dtype=dtype), 0, 1, -1], dtype)
    flush_subnormals(vector)
    np.testing.assert_array_equal(vector, [tiny, 0, -tiny, 0, 0, 0, 1, -1])


def test_integers_are_not_flushed():
    counts = np.arange(3)
    flush_subnormals(counts)
    np.testing.assert_array_equal(counts, [0, 1, 2])
