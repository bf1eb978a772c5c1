import math
from dataclasses import replace

import numpy as np
import pytest
from reference import assert_same, central_differences, relative_error

from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.encoding import PARTS, Bins, Codes, EncodedInputs, Encoding, Gaps, Numbers, OneHot
from sklearn_deepnn.network.losses import compute_cost
from sklearn_deepnn.network.model import (
    fold_batch_norm,
    initialize_parameters,
    logits_forward,
    model_backward,
    model_forward,
)
from sklearn_deepnn.network.prediction import take_columns

M, D = 23, 3
NUMBERS, CATEGORIES, CODES = [0, 1, 2], [3, 4, 5], [4, 5]  # columns of the table; the last two have trained vectors
N_CODES = {3: 3, 4: 6, 5: 4}
CENTER, SCALE = [2.0, -1.0, 5.0, 0.0, 0.0, 0.0], [0.5, 3.0, np.inf, 1.0, 1.0, 1.0]  # the third number is constant
EDGES, BIN_SCALE = [-1.5, -0.5, 0.0, 2.0], np.array([[0.5], [0.8], [0.4]])  # of the first number
LOW, HIGH = [-2.0, *[-np.inf] * 5], [2.5, *[np.inf] * 5]
CLIPS = {"no clip": np.inf, "clip": 2.0, "clip of some": np.array([[2.0], [np.inf], [1.0]])}


def column(*values):
    return np.array(values, dtype=float)[:, np.newaxis]


def encoding_of(clip=2.0, embedding_dim=D):
    """Return an encoding that has all kinds of parts."""
    parts = {
        "numbers": Numbers(
            np.array(NUMBERS), column(0.1, -0.2, 0.0), column(1.5, 0.5, np.inf), clip * np.ones((3, 1)), 1.25
        ),
        "bins": Bins(
            np.array([0, 0, 0]), column(*EDGES[:-1]), column(*np.diff(EDGES)), column(0.9, 0.5, 0.2), BIN_SCALE
        ),
        "gaps": Gaps(np.array([0, 1]), column(0.2, 0.1), column(0.4, 0.3)),
        "one_hot": OneHot(np.array([3] * 3), column(0, 1, 2), column(0.5, 0.3, 0.2), column(0.5, 0.46, 0.4)),
        "codes": Codes(np.array(CODES), column(0, 6), 10),
    }
    return Encoding(column(*CENTER), column(*SCALE), parts, embedding_dim, column(*LOW), column(*HIGH))


def draw_table(seed=0, m=M, gaps=True):
    """Return a table (n_features, m) with gaps and categories that training has not seen."""
    rng = np.random.default_rng(seed)
    numbers = column(*CENTER[:3]) + rng.normal(size=(3, m)) * column(1, 3, 0)
    codes = np.stack([rng.integers(-1, N_CODES[j], m) for j in CATEGORIES])
    X = np.concatenate([numbers, codes])
    if gaps:
        X[:2][rng.random((2, m)) < 0.3] = np.nan
    return X


def fields(part, *names):
    """Return the feature and the fields of each row of a part."""
    return zip(part.feature.tolist(), *(getattr(part, name)[:, 0].tolist() for name in names), strict=True)


def encoded(X, encoding):
    """Return A0 as the docstrings have it, one number at a time."""
    parts, columns = encoding.parts, []
    numbers, bins, gaps, one_hot, codes = (parts[name] for name in PARTS)
    for x in X.T:
        t = [0.0 if math.isnan(value) else (value - c) / s for value, c, s in zip(x, CENTER, SCALE)]
        t[0] = min(max(t[0], LOW[0]), HIGH[0])
        rows = []
        for j, c, s, clip in fields(numbers, "center", "scale", "clip"):
            z = (t[j] - c) / s
            rows.append(numbers.gain * z / math.sqrt(1 + (z / clip) ** 2))
        for j, low, width, mean, s in fields(bins, "low", "width", "mean", "scale"):
            rows.append((min(max((t[j] - low) / width, 0), 1) - mean) / s)
        for j, mean, s in fields(gaps, "mean", "scale"):
            rows.append((math.isnan(x[j]) - mean) / s)
        for j, code, mean, s in fields(one_hot, "code", "mean", "scale"):
            rows.append(0.0 if x[j] < 0 else ((x[j] == code) - mean) / s)
        for j, start in fields(codes, "start"):
            rows.append(codes.n_categories if x[j] < 0 else start + x[j])
        columns.append(rows)
    return np.array(columns, dtype=float).T


def network_and_parameters(encoding, seed=0, **options):
    """Return a network for an encoding, and parameters all of which are random."""
    network = Network((encoding.n_inputs, 5, 3), "tanh", embedding=encoding.embedding, **options)
    arrays = initialize_parameters(
        network.layer_dims,
        activation="tanh",
        batch_norm=network.batch_norm,
        ensemble_size=network.ensemble_size,
        embedding=network.embedding,
        rng=seed,
    )
    rng = np.random.default_rng(seed)
    return network, {name: array + rng.uniform(0.1, 0.5, array.shape) for name, array in arrays.items()}


# What an encoding makes of a table.


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_a_table_is_encoded_as_one_number_at_a_time(clip):
    encoding, X = encoding_of(clip), draw_table()
    A0 = encoding.apply(X, np.float64)
    assert A0.shape == (3 + 3 + 2 + 3 + 2, M)
    np.testing.assert_allclose(A0, encoded(X, encoding), rtol=1e-12, atol=1e-15)


def test_a_case_worked_out_by_hand():
    X = np.array([[2.5, np.nan], [2.0, 5.0], [5.0, 6.0], [1.0, -1.0], [2.0, -1.0], [0.0, 3.0]])
    wanted = [
        [1.25 * (1 - 0.1) / 1.5, 1.25 * (0 - 0.1) / 1.5],  # T is 1, and 0 for a gap
        [1.25 * (1 + 0.2) / 0.5, 1.25 * (2 + 0.2) / 0.5],
        [0, 0],  # a constant
        [(1 - 0.9) / 0.5, (1 - 0.9) / 0.5],
        [(1 - 0.5) / 0.8, (1 - 0.5) / 0.8],
        [(0.5 - 0.2) / 0.4, (0 - 0.2) / 0.4],
        [(0 - 0.2) / 0.4, (1 - 0.2) / 0.4],
        [(0 - 0.1) / 0.3, (0 - 0.1) / 0.3],
        [(0 - 0.5) / 0.5, 0],  # the second category; one that training has not seen
        [(1 - 0.3) / 0.46, 0],
        [(0 - 0.2) / 0.4, 0],
        [2, 10],
        [6, 9],
    ]
    np.testing.assert_allclose(encoding_of(clip=np.inf).apply(X, np.float64), wanted, rtol=1e-12, atol=1e-15)


def test_rows_are_in_the_order_of_the_kinds_of_parts():
    encoding = encoding_of()
    parts = dict(reversed(encoding.parts.items()))
    X = draw_table()
    np.testing.assert_array_equal(
        replace(encoding, parts=parts).apply(X, np.float64), encoding.apply(X, np.float64)
    )  # fmt: skip
    assert encoding.feature.tolist() == [0, 1, 2, 0, 0, 0, 0, 1, 3, 3, 3] + CODES * D


def test_the_size_of_the_embedding_and_of_the_inputs_follow_from_the_parts():
    encoding = encoding_of()
    assert encoding.embedding == (2, 11, D)
    assert encoding.n_inputs == 11 + 2 * D
    without = replace(encoding, parts={"numbers": encoding.parts["numbers"]})
    assert (without.embedding, without.n_inputs) == ((), 3)


@pytest.mark.parametrize("clip", [0.5, 2.0, 10.0])
def test_the_smooth_clip_bounds_large_numbers_and_keeps_small_ones(clip):
    part = Numbers(np.array([0]), column(0), column(1), column(clip))
    T = np.array([[-1e200, -1e6, -1e-3, 0.0, 1e-3, 1e6, 1e150]])
    A = part.forward(T, np.isnan(T))
    assert np.abs(A).max() <= clip
    np.testing.assert_allclose(A[0, 2:5], T[0, 2:5], rtol=1e-5)
    np.testing.assert_allclose(np.abs(A[0, [0, 1, 5, 6]]), clip, rtol=1e-6)
    assert not part.backward(np.ones_like(A), T)[0, [0, 6]].round(20).any()


def test_each_member_may_have_a_table_of_its_own():
    encoding, Xs = encoding_of(), [draw_table(seed) for seed in range(3)]
    wanted = np.stack([encoding.apply(X, np.float64) for X in Xs])
    np.testing.assert_array_equal(encoding.apply(np.stack(Xs), np.float64), wanted)
    inputs, columns = EncodedInputs(np.concatenate(Xs, axis=1), encoding), np.arange(3 * M).reshape(3, M)
    np.testing.assert_array_equal(take_columns(inputs, columns, np.float64), wanted)


def test_encoded_inputs_stand_for_all_examples():
    encoding, X = encoding_of(), draw_table()
    inputs = EncodedInputs(X, encoding)
    assert inputs.shape == (encoding.n_inputs, M)
    np.testing.assert_array_equal(
        take_columns(inputs, slice(3, 7), np.float64), encoding.apply(X[:, 3:7], np.float64)
    )  # fmt: skip


@pytest.mark.parametrize("X_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_have_the_dtype_that_is_wanted_and_the_table_stays_as_it_was(X_dtype, dtype):
    encoding, X = encoding_of(), draw_table().astype(X_dtype)
    before = X.copy()
    A0 = encoding.apply(X, dtype)
    assert A0.dtype == dtype
    assert encoding.backward(np.ones((encoding.n_inputs, M), dtype), X).dtype == dtype
    np.testing.assert_allclose(A0, encoded(before, encoding), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(X, before)


def test_numbers_far_from_zero_keep_their_precision_in_float32():
    encoding = Encoding(
        column(1e7), column(1.0), {"numbers": Numbers(np.array([0]), column(0), column(1), column(np.inf))}
    )
    X = 1e7 + np.linspace(-1, 1, M)[np.newaxis]
    np.testing.assert_allclose(encoding.apply(X, np.float32)[0], np.linspace(-1, 1, M), atol=1e-7)


def test_an_encoding_is_restored_from_plain_arrays_and_numbers():
    encoding, X = encoding_of(), draw_table()
    saved = encoding.to_dict()
    assert {type(value) for part in saved["parts"].values() for value in part.values()} <= {np.ndarray, float, int}
    restored = Encoding.restore(saved)
    assert_same(restored.to_dict(), saved)
    np.testing.assert_array_equal(restored.apply(X, np.float64), encoding.apply(X, np.float64))


# Gradients.


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS)
def test_backward_equals_central_differences(clip):
    encoding, X = encoding_of(clip), draw_table(gaps=False)
    dA0 = np.random.default_rng(1).normal(size=(encoding.n_inputs, M))
    before_codes = 11  # rows

    def total(numbers):
        A0 = encoding.apply(np.concatenate([numbers, X[3:]]), np.float64)
        return np.sum(dA0[:before_codes] * A0[:before_codes])

    wanted, dX = central_differences(total, X[:3]), encoding.backward(dA0, X)
    assert relative_error(dX[:2], wanted[:2]) < 1e-7
    assert not dX[2:].any()  # a constant, and categories


def test_a_number_beyond_its_bounds_counts_like_the_bound():
    encoding = encoding_of(clip=np.inf)
    X = np.tile(draw_table(m=1, gaps=False), 6)
    X[0] = CENTER[0] + SCALE[0] * np.array([LOW[0], LOW[0] - 1e-3, -1e9, HIGH[0], HIGH[0] + 1e-3, 1e9])
    X[1] = -1e9, 0, 1e9, -1e9, 0, 1e9  # without bounds
    A0, dX = encoding.apply(X, np.float64), encoding.backward(np.ones((encoding.n_inputs, 6)), X)
    np.testing.assert_array_equal(A0[[0, 3, 4, 5]], A0[[0, 3, 4, 5]][:, [0, 0, 0, 3, 3, 3]])
    assert (dX[0] != 0).tolist() == [True, False, False, True, False, False]
    assert np.ptp(A0[1]) > 1e8
    assert dX[1].all()


def test_an_encoding_without_bounds_is_restored_with_infinite_ones():
    saved = encoding_of().to_dict()
    del saved["low"], saved["high"]
    X = draw_table(gaps=False)
    X[0] = 1e3
    numbers, A0 = saved["parts"]["numbers"], Encoding.restore(saved).apply(X, np.float64)
    np.testing.assert_allclose(A0[0], numbers["gain"] * numbers["clip"][0, 0], rtol=1e-3)


def test_gaps_have_no_derivative():
    encoding, X = replace(encoding_of(), low=-np.inf, high=np.inf), draw_table()
    dX = encoding.backward(np.ones((encoding.n_inputs, M)), X)
    assert not dX[np.isnan(X)].any()
    assert dX[:2][~np.isnan(X[:2])].all()


def test_a_stack_goes_backward_as_its_members_do_alone():
    encoding, Xs = encoding_of(), [draw_table(seed) for seed in range(3)]
    dA0 = np.random.default_rng(1).normal(size=(3, encoding.n_inputs, M))
    found = encoding.backward(dA0, np.stack(Xs))
    for k, X in enumerate(Xs):
        np.testing.assert_array_equal(found[k], encoding.backward(dA0[k], X))


def test_rows_are_summed_by_the_column_that_they_come_from():
    encoding = encoding_of()
    rows = np.arange(1.0, 1 + encoding.n_inputs)[:, np.newaxis]
    found = encoding.by_column(rows)
    wanted = [1 + 4 + 5 + 6 + 7, 2 + 8, 3, 9 + 10 + 11, 12 + 14 + 16, 13 + 15 + 17]
    np.testing.assert_array_equal(found, column(*wanted))


# Networks with an embedding layer.


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("per_member", [False, True])
def test_an_ensemble_computes_what_its_networks_do_alone(batch_norm, per_member):
    encoding, Y = encoding_of(), np.eye(3)[:, np.arange(M) % 3]
    network, parameters = network_and_parameters(encoding, batch_norm=batch_norm, ensemble_size=3)
    A0 = np.stack([encoding.apply(draw_table(seed), np.float64) for seed in range(3)])
    A0 = A0 if per_member else A0[0]
    AL, caches = model_forward(A0, parameters, network, training=True)
    grads = model_backward(AL, Y, caches, network, wrt=("parameters", "activations"))
    single = replace(network, ensemble_size=1)
    for k in range(3):
        own = {name: array[k] for name, array in parameters.items()}
        AL_k, caches_k = model_forward(A0[k] if per_member else A0, own, single, training=True)
        np.testing.assert_allclose(AL[k], AL_k, rtol=1e-12)
        wanted = model_backward(AL_k, Y, caches_k, single, wrt=("parameters", "activations"))
        assert grads.keys() == wanted.keys()
        for name, array in wanted.items():
            np.testing.assert_allclose(grads[name][k], array, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"ensemble_size": 3}], ids=str)
@pytest.mark.parametrize("wrt", [("parameters",), ("parameters", "activations")], ids=str)
def test_gradients_of_the_embedding_equal_central_differences(options, wrt):
    encoding, Y = encoding_of(), np.eye(3)[:, np.arange(M) % 3]
    network, parameters = network_and_parameters(encoding, **options)
    A0, weight = encoding.apply(draw_table(), np.float64), np.linspace(0.5, 2, M)

    def forward(parameters):
        return model_forward(A0, parameters, network, training=True, sample_weight=weight)

    def cost(E):
        AL, caches = forward({**parameters, "E": E})
        total = compute_cost(AL, Y, ZL=caches[-1].activation, sample_weight=weight)
        return total * network.ensemble_size

    AL, caches = forward(parameters)
    grads = model_backward(AL, Y, caches, network, sample_weight=weight, wrt=wrt)
    assert relative_error(grads["dE"], central_differences(cost, parameters["E"])) < 1e-7


def test_vectors_start_small_and_that_of_unknown_categories_at_zero():
    dims, embedding = (6, 5, 3), (2, 11, D)
    E = initialize_parameters(dims, embedding=embedding, rng=0)["E"]
    assert E.shape == (D, 11)
    assert E[:, :10].all()
    assert np.abs(E).max() < 0.1
    assert not E[:, 10].any()
    assert not initialize_parameters(dims, embedding=embedding, weight_init="zeros", rng=0)["E"].any()
    stacked = initialize_parameters(dims, embedding=embedding, ensemble_size=2, rng=0)["E"]
    assert stacked.shape == (2, D, 11)
    assert not (stacked[0, :, :10] == stacked[1, :, :10]).any()


def test_vectors_follow_the_other_inputs():
    encoding, X = encoding_of(), draw_table()
    network, parameters = network_and_parameters(encoding)
    A0 = encoding.apply(X, np.float64)
    codes = A0[-2:].astype(int)
    vectors = [parameters["E"][i, codes[j]] for i in range(D) for j in range(2)]
    plain = {name: array for name, array in parameters.items() if name != "E"}
    found, _ = logits_forward(A0, parameters, network)
    wanted, _ = logits_forward(np.concatenate([A0[:-2], vectors]), plain, replace(network, embedding=()))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_folded_batch_normalisation_keeps_the_vectors():
    encoding, X = encoding_of(), draw_table()
    network, parameters = network_and_parameters(encoding, batch_norm=True)
    A0 = encoding.apply(X, np.float64)
    folded, _ = logits_forward(A0, fold_batch_norm(parameters), replace(network, batch_norm=False))
    np.testing.assert_allclose(folded, logits_forward(A0, parameters, network)[0], rtol=1e-10)
