"""The measurements. Each function prints nothing and returns the rows of one table, numbers all."""

import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from peers import QuietMLPClassifier, Work, installed_fits, mlp_classifier, no_loops, sklearn_deepnn

WORKS = {
    "tiny": Work(569, 30, (10,), 2, 32, 50),
    "digits": Work(1797, 64, (100,), 10, 200, 20),
    "table": Work(100_000, 50, (128, 128), 2, 512, 3),
    "table64": Work(100_000, 50, (128, 128), 2, 512, 3, "float64"),
    "images": Work(20_000, 784, (512, 256), 10, 256, 2),
    "wide": Work(8_192, 1024, (2048, 2048), 10, 512, 2),
    "course": Work(209, 12_288, (20, 7, 5), 2, 209, 100, "float64"),
    "deep": Work(10_000, 40, (64,) * 6, 5, 200, 5),
    "many classes": Work(20_000, 128, (256,), 200, 256, 3),
    "small batches": Work(20_000, 20, (50, 50), 3, 32, 2),
    "large batches": Work(100_000, 100, (256, 256), 10, 2048, 2),
}

SHORT = 1.0  # seconds: after a pause, and after another model, the first call takes 10 to 40 ms longer than the second
PAUSE = 0.25  # seconds: the threads of OpenBLAS spin for half of that after a product, on cores that the next one needs


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def best_in_turns(functions, n_rounds):
    """Return the shortest time of each function; they take turns, so that a slow spell of the machine meets all."""
    times = {name: [] for name in functions}
    for _ in range(n_rounds):
        for name, function in functions.items():
            time.sleep(PAUSE)
            times[name].append(seconds(function))
            if times[name][-1] < SHORT:
                times[name].append(seconds(function))
    return {name: min(of_function) for name, of_function in times.items()}


def fit(work, n_rounds=4):
    """Return the seconds that each peer takes for a fit."""
    X, y = work.draw()
    return best_in_turns({name: partial(f, work, X, y) for name, f in installed_fits().items()}, n_rounds)


def predict(n_rows, n_rounds=7):
    """Return the seconds of one predict_proba, by estimator, of a network trained on what "digits" is."""
    work = WORKS["digits"]
    data, n_calls = work.draw(), max(1, min(500, 50_000 // n_rows))
    rows = np.random.default_rng(1).standard_normal((n_rows, work.n_features), dtype=work.dtype)
    models = {"sklearn_deepnn": sklearn_deepnn(work, *data), "MLPClassifier": mlp_classifier(work, *data)}

    def predict_often(model):
        for _ in range(n_calls):
            model.predict_proba(rows)

    best = best_in_turns({name: partial(predict_often, model) for name, model in models.items()}, n_rounds)
    return {name: of_calls / n_calls for name, of_calls in best.items()}


def search(n_rounds=2):
    """Return the seconds of a grid search over dims and rates on the digits, by estimator."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    from sklearn_deepnn import DeepNNClassifier

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    dims, rates = [(50,), (100,), (100, 50)], [0.0005, 0.001, 0.005]
    common = {"max_iter": 30, "batch_size": 200, "n_iter_no_change": 10**6, "random_state": 0}
    ours = GridSearchCV(
        DeepNNClassifier(**common, early_stopping=False, ensemble_size=1),
        {"hidden_layer_dims": dims, "learning_rate": rates},
        cv=5,
        n_jobs=2,
    )
    theirs = GridSearchCV(
        QuietMLPClassifier(**common), {"hidden_layer_sizes": dims, "learning_rate_init": rates}, cv=5, n_jobs=2
    )
    return best_in_turns(
        {"sklearn_deepnn": partial(ours.fit, X, y), "MLPClassifier": partial(theirs.fit, X, y)}, n_rounds
    )


def default_fits(n_epochs=5, n_rounds=3):
    """Return the seconds of fits with default parameters, by data and by whether numba helps."""
    from sklearn.datasets import load_breast_cancer, load_digits

    from sklearn_deepnn import DeepNNClassifier

    def table(n_samples):  # whose classes are not linear in X
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n_samples, 20))
        mean = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) - 0.5
        return X, (mean + rng.standard_normal(n_samples) > 0).astype(int)

    data = {"breast cancer": load_breast_cancer(return_X_y=True), "digits": load_digits(return_X_y=True)}
    data |= {f"{n} x 20": table(n) for n in (2000, 8000, 20_000, 50_000)}

    def fit(X, y):
        with warnings.catch_warnings(action="ignore"):
            DeepNNClassifier(max_iter=n_epochs, random_state=0).fit(X, y)

    fits, found = {"NumPy alone": fit}, {}
    if find_spec("numba"):
        import_module("numba")  # short fits would not import it
        fits = {"NumPy alone": no_loops()(fit), "with numba": fit}
    for name, (X, y) in data.items():
        for function in fits.values():
            function(X, y)  # compiles
        found[name] = best_in_turns({how: partial(function, X, y) for how, function in fits.items()}, n_rounds)
    return found


@contextmanager
def busy_cores():
    """Keep a process spinning on each core during a with block; on Linux alone."""
    spin = "import os, sys\nos.sched_setaffinity(0, [int(sys.argv[1])])\nwhile True: pass"
    cores = sorted(os.sched_getaffinity(0))
    spinners = [subprocess.Popen([sys.executable, "-c", spin, str(core)]) for core in cores]
    time.sleep(1)
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def busy(work, n_rounds=3):
    """Return the seconds of a fit on an idle machine and on a busy one, by estimator: {name: (idle, busy)}."""
    X, y = work.draw()
    fits = {"sklearn_deepnn": partial(sklearn_deepnn, work, X, y), "MLPClassifier": partial(mlp_classifier, work, X, y)}
    idle = best_in_turns(fits, n_rounds)
    with busy_cores():
        loaded = best_in_turns(fits, n_rounds)
    return {name: (idle[name], loaded[name]) for name in fits}


def memory(n_samples=1_000_000, n_features=100):
    """Return the megabytes that are allocated above X at the peak, by estimator and call."""
    from sklearn.neural_network import MLPClassifier

    from sklearn_deepnn import DeepNNClassifier

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, n_features), dtype=np.float32)
    y, peaks = (X[:, 0] > 0).astype(int), {}
    for name, estimator in (("sklearn_deepnn", DeepNNClassifier), ("MLPClassifier", MLPClassifier)):
        for early_stopping in (False, True):
            model = estimator(max_iter=1, batch_size=2000, early_stopping=early_stopping)
            key = "fit, early stopping" if early_stopping else "fit"
            peaks[name, key] = peak_megabytes(model.fit, X, y)
        peaks[name, "predict_proba, output included"] = peak_megabytes(model.predict_proba, X)
    return peaks


def peak_megabytes(function, *arguments):
    tracemalloc.start()
    with warnings.catch_warnings(action="ignore"):
        function(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


OUT_OF_CORE = """
import json, re, sys, threading, time
import numpy as np
from sklearn_deepnn import DeepNNClassifier

def own_megabytes():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1e3

X = np.memmap(sys.argv[1], np.float64, "r", shape=(int(sys.argv[2]), 100))
y = np.arange(len(X)) % 2
largest, done = 0.0, threading.Event()

def watch():
    global largest
    while not done.wait(0.02):
        largest = max(largest, own_megabytes())

threading.Thread(target=watch).start()
try:
    model = DeepNNClassifier(max_iter=1, batch_size=2000, random_state=0).fit(X, y)
    n_rows = len(model.predict_proba(X))
finally:
    done.set()
print(json.dumps([largest, n_rows]))
"""


def out_of_core(gigabytes=4):
    """Return the largest resident memory, in MB, of a process that fits and predicts a memory-mapped X."""
    n_samples = int(gigabytes * 1e9 / 800)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "X")
        with path.open("wb") as file:
            rng = np.random.default_rng(0)
            for start in range(0, n_samples, 100_000):
                rng.standard_normal((min(100_000, n_samples - start), 100)).tofile(file)
        command = [sys.executable, "-c", OUT_OF_CORE, str(path), str(n_samples)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    largest, n_rows = json.loads(output)
    assert n_rows == n_samples
    return largest


def growth_with_rows(sizes=(20_000, 100_000, 1_000_000), n_rounds=5):
    """Return the microseconds of an epoch per row, by number of rows: what more epochs take more."""
    few = {n: Work(n, 100, (100,), 2, 200, 1) for n in sizes}
    many = {n: work._replace(n_epochs=1 + max(2, 400_000 // n)) for n, work in few.items()}
    data = {n: work.draw() for n, work in few.items()}
    fits = {work: partial(sklearn_deepnn, work, *data[n]) for works in (few, many) for n, work in works.items()}
    times = best_in_turns(fits, n_rounds)
    return {n: (times[many[n]] - times[few[n]]) / (many[n].n_epochs - 1) / n * 1e6 for n in sizes}


def growth_with_parameters(widths=(50, 200, 600, 2000, 3000)):
    """Return the nanoseconds of a step per parameter, by number of parameters: two hidden layers, batches of 512."""
    per_parameter = {}
    for width in widths:
        n_steps = max(10, int(2e9 / (512 * width**2)) // 4)
        works = [Work(512 * n_steps, 128, (width, width), 10, 512, k) for k in (1, 3)]
        X, y = works[0].draw()
        times = best_in_turns({k: partial(sklearn_deepnn, work, X, y) for k, work in enumerate(works)}, 3)
        dims = works[0].layer_dims
        n_parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(dims))
        per_parameter[n_parameters] = (times[1] - times[0]) / (2 * n_steps) / n_parameters * 1e9
    return per_parameter


def importing(n_rounds=7):
    """Return the milliseconds that importing sklearn_deepnn, compiled, takes after sklearn.neural_network."""
    program = (
        "import time, sklearn.neural_network\n"
        "start = time.perf_counter()\nimport sklearn_deepnn\nprint(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}  # the first compiles
        command = [sys.executable, "-c", program]
        runs = [subprocess.run(command, check=True, capture_output=True, env=environment) for _ in range(1 + n_rounds)]
    return min(float(run.stdout) for run in runs) * 1e3


def choices():
    """Return the seconds of fits that differ in what a user can change: {what: {choice: seconds}}."""
    from threadpoolctl import threadpool_limits

    large = WORKS["images"]
    table = WORKS["table"]._replace(n_epochs=2)

    def limited(work, n_threads):
        with threadpool_limits(n_threads, user_api="blas"):
            sklearn_deepnn(work, *data[work])

    doubles = table._replace(dtype="float64")
    batches = {m: table._replace(batch_size=m) for m in (32, 128, 200, 512, 2048, 8192)}
    data = {work: work.draw() for work in (large, table, doubles, *batches.values())}
    threads = {n: partial(limited, large, n) for n in (1, os.cpu_count())}
    dtypes = {work.dtype: partial(sklearn_deepnn, work, *data[work]) for work in (table, doubles)}
    sizes = {m: partial(sklearn_deepnn, work, *data[work]) for m, work in batches.items()}
    return {
        "threads, images": best_in_turns(threads, 3),
        "dtype, table": best_in_turns(dtypes, 3),
        "batch size, table": best_in_turns(sizes, 3),
    }
