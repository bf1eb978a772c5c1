"""A network with its examples, and settings of how training splits its work."""

import pytest
from training_cases import draw_examples

from sklearn_deepnn.network.architecture import Network
from sklearn_deepnn.threads import ThreadPool
from sklearn_deepnn.training import steps
from sklearn_deepnn.training.costs import mean_cost


@pytest.fixture
def network():
    return Network((4, 5, 4, 3), activation="tanh")


@pytest.fixture
def examples():
    return draw_examples()


@pytest.fixture
def stochastic_case():
    """Return a network with dropout and batch normalisation, examples and a validation.

    Training this network changes every field of the state.
    """
    network, others = Network((4, 5, 4, 3), dropout_rate=0.3, batch_norm=True), draw_examples(seed=5)
    return network, draw_examples(), lambda parameters: {"validation_cost": mean_cost(others, parameters, network)}


@pytest.fixture
def split_into(monkeypatch):
    """Return a function that makes training cut batches into n chunks, and returns the sizes of thread pools."""

    def split_into(n_chunks):
        sizes = []

        class RecordedPool(ThreadPool):
            def __init__(self, n_threads):
                sizes.append(n_threads)
                super().__init__(n_threads)

        monkeypatch.setattr(steps, "ThreadPool", RecordedPool)
        monkeypatch.setattr(steps, "WORK_OF_CHUNK", 1)
        monkeypatch.setattr(steps, "CHUNK_COLUMNS", 1)
        monkeypatch.setattr(steps, "CHUNK_COLUMNS_OF_TWO", 1)
        monkeypatch.setattr(steps, "MOST_CHUNKS", n_chunks)
        monkeypatch.setattr(steps, "allowed_threads", lambda: n_chunks)
        return sizes

    return split_into


@pytest.fixture
def block_bytes(monkeypatch):
    """Return a function that sets the size of the blocks in which parameters are updated."""

    def block_bytes(n_bytes):
        monkeypatch.setattr(steps, "BLOCK_BYTES", n_bytes)
        monkeypatch.setattr(steps, "SHARED_BLOCK_BYTES", n_bytes)
        monkeypatch.setattr(steps, "COMPILED_BLOCK_BYTES", n_bytes)

    return block_bytes
