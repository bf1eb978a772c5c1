import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import sparse

from sklearn_deepnn.network import prediction
from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.network.model import initialize_parameters, model_forward
from sklearn_deepnn.network.prediction import map_chunks, map_logits, take_columns
from sklearn_deepnn.network.scaling import ScaledSparse, Scaling
from sklearn_deepnn.threads import ThreadPool


def draw_examples(n_inputs=4, m=6):
    return np.random.default_rng(1).normal(size=(n_inputs, m))


def draw_parameters(layer_dims, **options):
    """Return parameters none of which is zero."""
    parameters = initialize_parameters(layer_dims, rng=0, **options)
    parameters.vector += np.random.default_rng(0).uniform(0.1, 0.5, parameters.vector.size)
    return parameters


def write(array, chunk, ZL):
    array[:, chunk] = ZL


@pytest.mark.parametrize("columns", [None, np.arange(300)[::-3]], ids=["all", "some"])
@pytest.mark.parametrize("container", [np.array, sparse.csc_array])
@pytest.mark.parametrize("chunk_elements", [1, 5 * 100, 2**20])
def test_chunks_equal_the_whole(chunk_elements, container, columns, monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK_ELEMENTS", chunk_elements)
    X, parameters, network = draw_examples(m=300), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    wanted = model_forward(X if columns is None else X[:, columns], parameters)[1][-1].activation
    found = np.full_like(wanted, np.nan)
    map_logits(partial(write, found), container(X), parameters, network, columns)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("of_each", [False, True], ids=["shared", "of each"])
@pytest.mark.parametrize("container", [np.array, sparse.csc_array])
def test_chunks_of_an_ensemble_equal_those_of_its_members(container, of_each, monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK_ELEMENTS", 1)
    single = Network((4, 5, 4, 3), activation="tanh")
    network, X = replace(single, ensemble_size=3), draw_examples(m=300)
    parameters = draw_parameters(network.layer_dims, ensemble_size=3)
    columns = np.stack([np.random.default_rng(seed).permutation(300)[:200] for seed in range(3)]) if of_each else None
    found = np.full((3, 3, 200 if of_each else 300), np.nan)

    def keep(chunk, ZL):
        found[..., chunk] = ZL

    assert len(map_logits(keep, container(X), parameters, network, columns)) > 3
    for k in range(3):
        X_k, alone = X[:, columns[k]] if of_each else X, {name: array[k] for name, array in parameters.items()}
        np.testing.assert_allclose(found[k], model_forward(X_k, alone, single)[1][-1].activation, rtol=1e-12)


def test_small_chunks_are_many(monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK_ELEMENTS", 1)
    chunks = map_logits(lambda chunk, _: chunk, np.ones((4, 1000)), draw_parameters((4, 5, 3)), Network((4, 5, 3)))
    assert len(chunks) > 10
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]


@pytest.fixture
def unpadded(monkeypatch):
    """Leave out what is taken and freed at once, so that the peak is that of the work."""
    monkeypatch.setattr(prediction, "keep_freed_memory", lambda: None)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_predicting_more_takes_no_more_memory(monkeypatch, unpadded, peak_bytes, n_threads):
    monkeypatch.setattr(prediction, "allowed_threads", lambda: n_threads)
    network = Network((16, 64, 3))
    parameters = draw_parameters(network.layer_dims, dtype=np.float32)
    peaks = {}
    for n in (50_000, 200_000):
        X, ZL = np.ones((n, 16), dtype=np.float32).T, np.empty((3, n), dtype=np.float32)
        peaks[n] = peak_bytes(map_logits, partial(write, ZL), X, parameters, network)
    chunk = (16 + 2 * 64 + 3) * prediction.CHUNK_COLUMNS * 4  # its input, Z and A of the hidden layer, the logits
    assert max(peaks.values()) < 1.1 * n_threads * chunk
    if n_threads == 1:  # otherwise it is for the scheduler to say how many chunks there are at a time
        assert peaks[200_000] - peaks[50_000] < 20_000


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_predictions_of_deep_networks_hold_one_layer_at_a_time(unpadded, peak_bytes, activation):
    peaks = []
    for n_hidden in (2, 8):
        network = Network((16, *(64,) * n_hidden, 3), activation=activation)
        X, parameters = np.ones((4000, 16), np.float32).T, draw_parameters(network.layer_dims, dtype=np.float32)
        peaks.append(peak_bytes(map_logits, lambda chunk, ZL: None, X, parameters, network))
    assert peaks[1] - peaks[0] < 0.1 * 64 * 4000 * 4


def test_threads_predict_what_one_predicts_bit_by_bit(monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK_ELEMENTS", 1)
    X, parameters, network = draw_examples(m=1000), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    found = []
    for n_threads in (1, 4):
        monkeypatch.setattr(prediction, "allowed_threads", lambda n_threads=n_threads: n_threads)
        found.append(np.full((3, 1000), np.nan))
        map_logits(partial(write, found[-1]), X, parameters, network)
    np.testing.assert_array_equal(*found)


def test_blas_has_one_thread_while_chunks_are_predicted_and_its_own_afterwards(blas_threads):
    X, parameters, network = draw_examples(m=40_000), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    assert set(map(tuple, map_logits(lambda *_: blas_threads(), X, parameters, network))) == {(1,)}
    assert blas_threads() == {3}
    with pytest.raises(ZeroDivisionError):
        map_logits(lambda chunk, _: 1 // (chunk.start == 0), X, parameters, network)
    assert blas_threads() == {3}


@pytest.mark.parametrize("n_chunks", [1, 2])
def test_threads_share_two_chunks_and_more(monkeypatch, n_chunks):
    pools = []

    class RecordedPool(ThreadPool):
        def __init__(self, n_threads):
            pools.append(n_threads)
            super().__init__(n_threads)

    monkeypatch.setattr(prediction, "CHUNK_ELEMENTS", 1)  # chunks of 64
    monkeypatch.setattr(prediction, "ThreadPool", RecordedPool)
    monkeypatch.setattr(prediction, "allowed_threads", lambda: 2)
    assert len(map_chunks(lambda chunk, _: chunk, np.ones((4, 64 * n_chunks)), None, 1)) == n_chunks
    assert pools == [2] * (n_chunks - 1)


def test_chunks_of_double_precision_have_half_as_many_examples():
    X, sizes = np.ones((4, 4 * prediction.CHUNK_COLUMNS), np.float32), []
    for dtype in (np.float32, np.float64):
        chunks = map_chunks(lambda chunk, A0: A0.nbytes, X, dtype, 4)
        sizes.append(max(chunks))
    assert sizes[0] == sizes[1] == 4 * prediction.CHUNK_COLUMNS * 4


@pytest.mark.parametrize("n", [0, 1, 64, 65, 5120, 5121, 6000, 12_000, 20_481])
@pytest.mark.parametrize(("width", "most"), [(4, 5120), (2340, 224), (2345, 208)])
def test_chunks_have_one_size_and_few_of_them_are_an_even_number(n, width, most):
    chunks = map_chunks(lambda chunk, _: chunk, np.ones((4, n), np.float32), np.float32, width)
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    assert chunks[-1].stop == n
    sizes = [chunk.stop - chunk.start for chunk in chunks]
    assert max(sizes) <= most
    assert all(size % 16 == 0 for size in sizes[:-1])
    assert all(size == sizes[0] for size in sizes[:-1])
    if 1 < len(sizes) <= 6:  # otherwise the threads have many chunks to balance
        assert len(sizes) % 2 == 0
        assert sizes[0] - sizes[-1] <= 16 * len(sizes)


def test_chunks_are_converted_to_the_dtype_of_the_parameters():
    parameters = draw_parameters((4, 5, 3), dtype=np.float32)
    (ZL,) = map_logits(lambda _, ZL: ZL, np.ones((4, 2), dtype=np.int64), parameters, Network((4, 5, 3)))
    assert ZL.dtype == np.float32


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "strided_transposed": lambda X: np.repeat(X.T, 2, axis=0)[::2].T,
    "backwards": lambda X: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "csr": sparse.csr_array,
    "csc": sparse.csc_array,
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
}


@pytest.mark.parametrize("dtype", [None, np.float32, np.float64])
@pytest.mark.parametrize("columns", [np.array([5, 0, 5, 3]), np.array([], np.intp), slice(1, 4), slice(None)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_columns_are_taken_from_any_layout(layout, columns, dtype):
    X = np.arange(24).reshape(4, 6)
    taken = take_columns(LAYOUTS[layout](X), columns, dtype)
    assert sparse.issparse(taken) == layout.startswith("cs")
    assert taken.dtype == (dtype or X.dtype)
    np.testing.assert_array_equal(taken.toarray() if sparse.issparse(taken) else taken, X[:, columns])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_taking_columns_copies_next_to_nothing(layout):
    X = np.zeros((50, 20_000))
    X[::10] = 1
    X = LAYOUTS[layout](X)
    columns = np.random.default_rng(0).permutation(20_000)[:100]
    tracemalloc.start()
    try:
        take_columns(X, columns, np.float32)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400_000  # all of a dense X are 8 000 000


@pytest.mark.parametrize("container", [np.array, np.asfortranarray, sparse.csc_array])
def test_members_take_columns_of_their_own(container):
    X = draw_examples(m=9)
    columns = np.array([[0, 3, 3], [8, 1, 0]])
    taken = take_columns(container(X), columns, np.float32)
    for array, of_member in zip(taken, columns):
        array = array if isinstance(array, np.ndarray) else array.toarray()
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, X[:, of_member].astype(np.float32))


def test_scaled_sparse_inputs_are_predicted_in_chunks(monkeypatch):
    monkeypatch.setattr(prediction, "CHUNK_ELEMENTS", 1)
    X, parameters, network = draw_examples(m=300), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    scaling, found = Scaling(np.ones((4, 1)), np.full((4, 1), 2.0)), np.full((3, 300), np.nan)
    map_logits(partial(write, found), ScaledSparse(sparse.csc_array(X), scaling), parameters, network)
    np.testing.assert_allclose(found, model_forward((X - 1) / 2, parameters)[1][-1].activation, rtol=1e-12)


@pytest.mark.parametrize("columns", [slice(1, 4), np.array([5, 0, 3]), np.array([[0, 3], [8, 1]])], ids=str)
def test_columns_of_scaled_sparse_inputs_keep_their_scaling(columns):
    X, scaling = draw_examples(m=9), Scaling(np.ones((4, 1)), np.full((4, 1), 2.0))
    taken = take_columns(ScaledSparse(sparse.csc_array(X), scaling), columns, np.float32)
    assert taken.scaling is scaling
    arrays = taken.X if isinstance(taken.X, list) else [taken.X]
    for array, of_member in zip(arrays, columns if np.ndim(columns) == 2 else [columns]):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array.toarray(), X[:, of_member].astype(np.float32))


def test_large_predictions_use_loops_only_where_a_fit_has_loaded_them(fresh_compiler, monkeypatch):
    X, parameters, network = draw_examples(m=3000), draw_parameters((4, 5, 3)), Network((4, 5, 3))
    compiled = []
    monkeypatch.setattr(prediction, "compiled_network", lambda network, dtype: compiled.append(dtype) or network)
    map_logits(lambda *_: None, X, parameters, network)
    assert compiled == []
    monkeypatch.setattr(prediction, "is_loaded", lambda: True)
    map_logits(lambda *_: None, X, parameters, network)
    assert compiled == [np.float64]
