"""Write two files in the present format, for tests/test_formats.py.

format_<number>.pickle has networks, their predictions, and their predictions after more training.
format_<number>.joblib is a checkpoint of the second of four epochs.

Run it when the format has a new number, with the oldest supported versions. The files of old formats stay:
python tests/data/save_networks.py
"""

import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np

from sklearn_deepnn import Adam, DeepNNClassifier
from sklearn_deepnn.callbacks import ModelCheckpoint, load_checkpoint
from sklearn_deepnn.callbacks.checkpoints import checkpoints_in
from sklearn_deepnn.saving import FORMAT


def examples():
    """Return X (40, 4), and targets of several kinds by the name of the network that learns them."""
    rng, numbers = np.random.default_rng(0), np.arange(40) % 3
    X = rng.normal(size=(40, 4)) + numbers[:, np.newaxis]
    names = np.array(["setosa", "versicolor", "virginica"])[numbers]
    labels = np.stack([numbers == 0, numbers > 0, numbers > 1], axis=1) * 1
    targets = {"ensemble": names, "one": numbers, "two classes": numbers == 1, "cut off": numbers, "in parts": labels}
    return X, targets


def network(*dims, **parameters):
    """Return a network that can continue training."""
    return DeepNNClassifier(
        dims,
        **{"warm_start": True, "max_iter": 4, "batch_size": 20, "random_state": 0, "ensemble_size": 1, **parameters},
    )


def write_checkpoints(folder, X, y, **parameters):
    """Write a checkpoint of each of four epochs."""
    network(5, **parameters).set_callbacks(ModelCheckpoint(folder, keep=None)).fit(X, y)


def fitted(X, targets, **parameters):
    """Return networks by name, with some parameters where a network does not have its own."""
    several = {"batch_norm": True, "dropout_rate": 0.1, "early_stopping": True, "optimizer": Adam(beta_1=0.8)}
    networks = {
        "ensemble": network(4, **parameters | {"ensemble_size": 2, "early_stopping": True}),
        "one": network(6, 5, **parameters | several),
        "two classes": network(5, **parameters | {"optimizer": "lbfgs"}),
    }
    networks = {name: each.fit(X, targets[name]) for name, each in networks.items()}
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoints(folder, X, targets["cut off"], **parameters)
        networks["cut off"] = load_checkpoint(folder)
    return networks | {"in parts": network(5, **parameters).partial_fit(X, targets["in parts"])}


def main():
    """Write the files."""
    X, targets = examples()
    networks = fitted(X, targets)
    saved = {"X": X, "targets": targets, "networks": pickle.loads(pickle.dumps(networks))}
    saved["probabilities"] = {name: network.predict_proba(X) for name, network in networks.items()}
    for method in ("fit", "partial_fit"):
        copies = pickle.loads(pickle.dumps(networks))
        later = {name: getattr(network, method)(X, targets[name]) for name, network in copies.items()}
        saved[method] = {name: network.predict_proba(X) for name, network in later.items()}
    path = Path(__file__).parent / f"format_{FORMAT}.pickle"
    path.write_bytes(pickle.dumps(saved, protocol=4))
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoints(folder, X, targets["cut off"])
        shutil.copy(checkpoints_in(Path(folder))[1], path.with_suffix(".joblib"))


if __name__ == "__main__":
    main()
