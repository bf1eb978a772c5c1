"""Learn from a dask array that is never in memory as a whole: block by block, through
dask-ml's `Incremental`.

The array stands for an array that is read from files: each block is drawn at random
when it is needed. `Incremental` passes the blocks to `partial_fit` one after another,
in a new order at each pass. dask's threads would compute all later blocks at the same
time, and hold them. The synchronous scheduler computes each block when it is needed.

    python examples/dask_incremental.py               # 20 blocks, a few seconds
    python examples/dask_incremental.py --blocks 200  # ten times the data, same memory
"""

import argparse
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from dask_ml.wrappers import Incremental

from sklearn_deepnn import DeepNNClassifier

N_ROWS, N_COLUMNS = 50_000, 40  # in a block


def peak_memory():
    """Return the peak memory of this process in kB; None if it is not on Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next(
        (int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None
    )


def draw_array(n_blocks):
    """Return X in blocks of 8 MB, and whether two of its columns have the same sign."""
    X = da.random.default_rng(0).standard_normal(
        (n_blocks * N_ROWS, N_COLUMNS), chunks=(N_ROWS, N_COLUMNS), dtype="float32"
    )
    return X, da.where(X[:, 0] * X[:, 1] > 0, "same", "other")


def main():
    """Train pass by pass, and print the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--blocks", type=int, default=20, help="blocks of the array, at least 2"
    )
    parser.add_argument("--passes", type=int, default=3, help="over the array")
    arguments = parser.parse_args()
    if arguments.blocks < 2:
        parser.error(
            "--blocks: must be at least 2, one to learn from and one to validate"
        )

    X, y = draw_array(arguments.blocks)
    X_train, y_train, X_val, y_val = X[N_ROWS:], y[N_ROWS:], X[:N_ROWS], y[:N_ROWS]
    print(f"{len(X)} rows in {arguments.blocks} blocks, {X.nbytes / 1e6:.0f} MB")

    network = DeepNNClassifier(
        (32, 16), learning_rate=0.01, batch_size=512, random_state=0
    )
    model = Incremental(
        network,
        scoring="accuracy",
        shuffle_blocks=True,
        random_state=np.random.RandomState(0),
    )
    with dask.config.set(scheduler="synchronous"):
        for n in range(1, arguments.passes + 1):
            model.partial_fit(X_train, y_train, classes=["other", "same"])
            print(
                f"pass {n}: validation accuracy {model.score(X_val, y_val):.4f}",
                flush=True,
            )
    print(f"{model.estimator_.n_iter_} blocks learned")
    peak = peak_memory()
    if peak is not None:
        print(f"most memory: {peak * 1024 / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
