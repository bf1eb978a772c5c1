"""Fits per second of one search, by engine and number of workers; what docs/clusters.md says.

A grid search over 24 networks with 5 folds on the digits, without the refit: 120 fits. Workers are started, and have
imported all that they need, before the clock is. Prints a table; the engines take turns, and the best round counts.

    python docs/benchmarks/clusters.py             # fits of less than 0.1 s
    python docs/benchmarks/clusters.py --epochs 100
"""

import argparse
import os
import tempfile
import time
from contextlib import contextmanager

os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}  # this machine alone

import numpy as np
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from sklearn_deepnn import DeepNNClassifier

GRID = {"hidden_layer_dims": [(32,), (64,), (64, 32)], "learning_rate": np.geomspace(1e-4, 1e-2, 8)}
N_FITS = 3 * 8 * 5


@contextmanager
def one_process(n_workers):
    """Fit one after another."""
    with parallel_config("sequential"):
        yield


@contextmanager
def loky(n_workers):
    """Let joblib's own processes fit, as `n_jobs` does."""
    with parallel_config("loky", n_jobs=n_workers):
        yield


@contextmanager
def dask(n_workers):
    """Let the processes of a dask cluster fit."""
    from distributed import Client, LocalCluster

    address = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, **address) as cluster,
        Client(cluster),
        parallel_config("dask"),
    ):
        yield


@contextmanager
def ray(n_workers):
    """Let ray's actors fit."""
    import ray
    from ray.util.joblib import register_ray

    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=n_workers, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        register_ray()
        with parallel_config("ray", n_jobs=n_workers):
            yield
        ray.shutdown()


# with one worker joblib does not ask an engine, but fits in the process of the search
ENGINES = {"one process": (one_process, [1]), "loky": (loky, [2]), "dask": (dask, [2]), "ray": (ray, [2])}


def fits_per_second(engine, n_workers, n_epochs):
    """Return how many fits an engine does in a second, once it runs."""
    X, y = load_digits(return_X_y=True)
    network = DeepNNClassifier(early_stopping=False, n_iter_no_change=1000, random_state=0)
    search = GridSearchCV(network, GRID, cv=5, refit=False, n_jobs=n_workers)
    with engine(n_workers):
        search.set_params(estimator__max_iter=1).fit(X, y)  # workers start and import
        start = time.perf_counter()
        search.set_params(estimator__max_iter=n_epochs).fit(X, y)
        return N_FITS / (time.perf_counter() - start)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20, help="of each fit")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    arguments = parser.parse_args()
    rates = {}
    for _ in range(arguments.rounds):
        for name in arguments.engines:
            engine, numbers = ENGINES[name]
            for n_workers in numbers:
                rates.setdefault((name, n_workers), []).append(fits_per_second(engine, n_workers, arguments.epochs))
                print(f"{name}, {n_workers}: {rates[name, n_workers][-1]:.1f} fits per second", flush=True)
    print("\n| engine | workers | fits per second |\n|---|---|---|")
    for (name, n_workers), of_rounds in rates.items():
        print(f"| {name} | {n_workers} | {max(of_rounds):.1f} |")


if __name__ == "__main__":
    main()
