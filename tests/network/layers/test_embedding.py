import numpy as np
import pytest
from reference import central_differences, relative_error

from sklearn_deepnn.network.layers.embedding import embedding_backward, embedding_forward

D, N_CATEGORIES, K, M, N_MEMBERS = 3, 5, 2, 7, 4
STACKS = {  # the first axes of codes, and of E
    "one network": ((), ()),
    "ensemble that shares its codes": ((), (N_MEMBERS,)),
    "ensemble with codes of its own": ((N_MEMBERS,), (N_MEMBERS,)),
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=STACKS.values(), ids=STACKS)
def inputs(request, rng):
    """Codes and E."""
    of_codes, of_E = request.param
    return rng.integers(0, N_CATEGORIES, (*of_codes, K, M)), rng.normal(size=(*of_E, D, N_CATEGORIES))


def looked_up(codes, E):
    """Return the vectors of codes (k, m), looked up one number at a time."""
    A = np.zeros((len(E) * len(codes), codes.shape[1]))
    for i in range(len(E)):
        for j in range(len(codes)):
            for example in range(codes.shape[1]):
                A[i * len(codes) + j, example] = E[i, codes[j, example]]
    return A


def members(codes, E):
    """Return codes and E of each network."""
    return [(codes, E)] if E.ndim == 2 else [(codes if codes.ndim == 2 else codes[k], E[k]) for k in range(len(E))]


def test_a_case_worked_out_by_hand():
    E = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    A, codes = embedding_forward(np.array([[2.0, 0.0, 2.0], [1.0, 1.0, 0.0]]), E)
    np.testing.assert_array_equal(A, [[3, 1, 3], [2, 2, 1], [30, 10, 30], [20, 20, 10]])
    np.testing.assert_array_equal(codes, [[2, 0, 2], [1, 1, 0]])
    dA = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [0.1, 0.2, 0.4], [0.8, 1.6, 3.2]])
    dE = embedding_backward(dA, codes, 3)
    np.testing.assert_allclose(dE, [[2 + 32, 8 + 16, 1 + 4], [0.2 + 3.2, 0.8 + 1.6, 0.1 + 0.4]], rtol=1e-15)


def test_each_code_becomes_its_column_of_e(inputs):
    codes, E = inputs
    A, _ = embedding_forward(codes, E)
    found = [A] if E.ndim == 2 else A
    for A_k, (codes_k, E_k) in zip(found, members(codes, E), strict=True):
        np.testing.assert_array_equal(A_k, looked_up(codes_k, E_k))


def test_backward_equals_central_differences(inputs, rng):
    codes, E = inputs
    A, cache = embedding_forward(codes, E)
    dA = rng.normal(size=A.shape)
    wanted = central_differences(lambda E: np.sum(dA * embedding_forward(codes, E)[0]), E)
    assert relative_error(embedding_backward(dA, cache, N_CATEGORIES), wanted) < 1e-7


def test_a_stack_goes_backward_as_its_networks_do_alone(inputs, rng):
    codes, E = inputs
    A, cache = embedding_forward(codes, E)
    dA = rng.normal(size=A.shape)
    dE = embedding_backward(dA, cache, N_CATEGORIES)
    assert dE.shape == E.shape
    for k, (codes_k, E_k) in enumerate(members(codes, E)):
        dA_k, dE_k = (dA, dE) if E.ndim == 2 else (dA[k], dE[k])
        alone = embedding_backward(dA_k, embedding_forward(codes_k, E_k)[1], N_CATEGORIES)
        np.testing.assert_array_equal(dE_k, alone)


def test_a_category_without_examples_has_no_gradient(inputs, rng):
    codes, E = inputs
    A, cache = embedding_forward(np.minimum(codes, 3), E)
    assert not embedding_backward(rng.normal(size=A.shape), cache, N_CATEGORIES)[..., 4].any()


def test_gradients_are_written_where_told(inputs, rng):
    codes, E = inputs
    A, cache = embedding_forward(codes, E)
    dA, room = rng.normal(size=A.shape), np.full_like(E, np.nan)
    assert embedding_backward(dA, cache, N_CATEGORIES, out=room) is room
    np.testing.assert_array_equal(room, embedding_backward(dA, cache, N_CATEGORIES))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_layout_of_the_gradient_does_not_matter(inputs, rng, order):
    codes, E = inputs
    A, cache = embedding_forward(codes, E)
    dA = rng.normal(size=A.shape)
    wider = np.concatenate([dA, dA], axis=-2, dtype=float)  # as of the rows behind numbers
    found = embedding_backward(np.asarray(wider, order=order)[..., -D * K :, :], cache, N_CATEGORIES)
    np.testing.assert_array_equal(found, embedding_backward(dA, cache, N_CATEGORIES))


def test_single_precision_stays_and_arguments_stay_as_they_were(inputs):
    codes, E = inputs[0].astype(np.float32), inputs[1].astype(np.float32)
    before = codes.copy(), E.copy()
    A, cache = embedding_forward(codes, E)
    assert A.dtype == embedding_backward(A, cache, N_CATEGORIES).dtype == np.float32
    np.testing.assert_array_equal(codes, before[0])
    np.testing.assert_array_equal(E, before[1])
