"""Learn from a Parquet data set that is never in memory as a whole, by `partial_fit`.

The example writes a synthetic data set of several row groups. The label says whether
two of the twenty columns lie on the same side of their means; a twentieth of the labels
are wrong. One row group is kept for validation. Each pass takes the others in a new
order, two at a time, which mixes rows that are far apart; `partial_fit` shuffles within
the two. The pass with the lowest cross-entropy is kept.

    python examples/parquet_stream.py               # 40 row groups, half a minute
    python examples/parquet_stream.py --groups 400  # ten times the data, same memory
"""

import argparse
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import log_loss

from sklearn_deepnn import DeepNNClassifier

N_COLUMNS = 20
AT_ONCE = 2  # row groups in memory


def peak_memory():
    """Return the peak memory of this process in kB; None if it is not on Linux."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next(
        (int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None
    )


def draw_rows(n_rows, rng):
    """Return a table of columns of very different scales, with the labels."""
    Z = rng.standard_normal((n_rows, N_COLUMNS), dtype=np.float32)
    is_high = (Z[:, 0] * Z[:, 1] > 0) ^ (rng.random(n_rows) < 0.05)
    columns = {f"x{i}": 10.0 ** (i % 5) * (Z[:, i] + i) for i in range(N_COLUMNS)}
    return pa.table(columns | {"label": np.where(is_high, "high", "low")})


def write_rows(path, n_groups, n_rows):
    """Write a file of row groups, one after another."""
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, draw_rows(1, rng).schema) as writer:
        for _ in range(n_groups):
            writer.write_table(draw_rows(n_rows, rng))


def labels_in(file):
    """Return all labels of a file, read from one row group at a time."""
    groups = (
        file.read_row_group(number, columns=["label"])
        for number in range(file.num_row_groups)
    )
    return sorted(
        set().union(*(group["label"].unique().to_pylist() for group in groups))
    )


def read_rows(file, numbers):
    """Return the columns and the labels of some row groups."""
    table = file.read_row_groups(numbers)
    return table.drop_columns("label"), table["label"].to_numpy()


def learn(file, model_path, n_passes):
    """Train on all row groups but the last, save the best pass, return its number."""
    numbers = np.arange(file.num_row_groups - 1)
    n_calls = n_passes * -(-len(numbers) // AT_ONCE)
    network = DeepNNClassifier(
        (32, 16),
        learning_rate=0.01,
        learning_rate_schedule="cosine",
        max_iter=n_calls,  # the schedule's horizon: a call of partial_fit is an epoch
        batch_size=512,
        random_state=0,
    )
    classes, costs = labels_in(file), []
    rng = np.random.default_rng(0)
    X_val, y_val = read_rows(file, [file.num_row_groups - 1])
    for n in range(1, n_passes + 1):
        order = rng.permutation(numbers)
        for start in range(0, len(order), AT_ONCE):
            network.partial_fit(
                *read_rows(file, order[start : start + AT_ONCE].tolist()),
                classes=classes,
            )
        costs.append(log_loss(y_val, network.predict_proba(X_val)))
        print(
            f"pass {n}: validation cost {costs[-1]:.4f}, "
            f"accuracy {network.score(X_val, y_val):.4f}",
            flush=True,
        )
        if costs[-1] == min(costs):
            joblib.dump(network, model_path)
    return int(np.argmin(costs)) + 1


def main():
    """Write the data set, learn from it, and print the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--groups", type=int, default=40, help="row groups to write, at least 2"
    )
    parser.add_argument("--rows", type=int, default=50_000, help="rows of each")
    parser.add_argument("--passes", type=int, default=3, help="over the data set")
    arguments = parser.parse_args()
    if arguments.groups < 2:
        parser.error(
            "--groups: must be at least 2, one to learn from and one to validate"
        )

    with tempfile.TemporaryDirectory() as folder:
        path, model_path = Path(folder, "rows.parquet"), Path(folder, "best.joblib")
        write_rows(path, arguments.groups, arguments.rows)
        with pq.ParquetFile(path) as file:
            n_bytes = 4 * N_COLUMNS * file.metadata.num_rows
            print(
                f"{file.metadata.num_rows} rows in {file.num_row_groups} row groups, "
                f"{n_bytes / 1e6:.0f} MB of numbers"
            )
            best = learn(file, model_path, arguments.passes)
        network = joblib.load(model_path)
        print(f"kept: pass {best}, a network that knows {', '.join(network.classes_)}")
    peak = peak_memory()
    if peak is not None:
        print(f"most memory: {peak * 1024 / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
