"""From two raw tables to a saved model: fit, search, test, save, load elsewhere.

The data are the breast cancer and the digits data of scikit-learn. The example fits a
`DeepNNClassifier` with its defaults. Then it searches hidden layers and a learning rate
by cross-validation in two processes, the defaults among them ("auto"). It tests both
models on unseen data. It saves the best of the search with joblib, and another process
loads it and predicts.

    python examples/quickstart.py            # both, less than a minute on two cores
    python examples/quickstart.py --quick    # breast cancer, small search, seconds
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

import sklearn_deepnn
from sklearn_deepnn import DeepNNClassifier

N_FOLDS = 3

# The second process runs this. It shares only the files with the first.
SECOND_PROCESS = """
import sys
import joblib
import numpy as np

model_file, samples_file, probabilities_file = sys.argv[1:]
model = joblib.load(model_file)
np.save(probabilities_file, model.predict_proba(np.load(samples_file)))
"""


def search_network(X, y, hidden_layer_dims, learning_rates):
    """Return a fitted GridSearchCV. Parameters that it does not search are defaults."""
    grid = {"hidden_layer_dims": hidden_layer_dims, "learning_rate": learning_rates}
    network = DeepNNClassifier(random_state=0)
    return GridSearchCV(network, grid, cv=N_FOLDS, n_jobs=2).fit(X, y)


def print_accuracy(label, model, X, y):
    """Print how many test samples a model classifies correctly."""
    n_right = np.count_nonzero(model.predict(X) == y)
    print(
        f"  {label:26}{n_right} of {len(y)} right, accuracy {n_right / len(y):.3f}",
        flush=True,
    )


def print_search(search):
    """Print a line for each setting, and mark the best."""
    print("    hidden layers   learning rate   accuracy in CV   fit time")
    tried = search.cv_results_
    for i, setting in enumerate(tried["params"]):
        dims, rate = setting["hidden_layer_dims"], setting["learning_rate"]
        dims = dims if dims == "auto" else ", ".join(map(str, dims))
        rate = rate if rate == "auto" else f"{rate:.3f}"
        mean, deviation = tried["mean_test_score"][i], tried["std_test_score"][i]
        seconds = tried["mean_fit_time"][i]
        mark = "   <- best" if i == search.best_index_ else ""
        print(
            f"    {dims:13}   {rate:>13}   {mean:6.3f} ± {deviation:5.3f}   "
            f"{seconds:6.2f} s{mark}"
        )


def predict_in_second_process(model, X, folder):
    """Return what a second process predicts for X by the saved model, and its size."""
    model_file, samples_file, probabilities_file = (
        folder / name for name in ("model.joblib", "X.npy", "proba.npy")
    )
    joblib.dump(model, model_file)
    np.save(samples_file, X)
    command = [
        sys.executable,
        "-c",
        SECOND_PROCESS,
        model_file,
        samples_file,
        probabilities_file,
    ]
    subprocess.run(command, check=True)
    return np.load(probabilities_file), model_file.stat().st_size


def run(title, load, hidden_layer_dims, learning_rates):
    """Run all steps for one data set."""
    X, y = load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y, random_state=0
    )
    n_settings = len(hidden_layer_dims) * len(learning_rates)
    print(f"\n{title}: {len(X)} samples, {X.shape[1]} features, {len(set(y))} classes")
    start = time.perf_counter()
    default = DeepNNClassifier(random_state=0).fit(X_train, y_train)
    print(f"\n  {'The defaults, fitted in':26}{time.perf_counter() - start:.1f} s")
    print_accuracy("On the test set", default, X_test, y_test)
    print(
        f"\n  Searching {n_settings} settings, {N_FOLDS} fits each, "
        "in two processes ...\n",
        flush=True,
    )
    start = time.perf_counter()
    search = search_network(X_train, y_train, hidden_layer_dims, learning_rates)
    print_search(search)
    print(f"\n  {'Search':26}{time.perf_counter() - start:.1f} s")
    print_accuracy("Best, on the test set", search, X_test, y_test)

    best = search.best_estimator_
    with tempfile.TemporaryDirectory() as folder:
        probabilities, n_bytes = predict_in_second_process(best, X_test, Path(folder))
    if not np.array_equal(probabilities, best.predict_proba(X_test)):
        sys.exit("The second process predicts other probabilities than this one.")
    print(f"  {'Saved with joblib':26}{n_bytes / 1000:.0f} kB")
    print(
        f"  {'Loaded by a 2nd process':26}"
        f"the same {probabilities.size} probabilities, to the last bit",
        flush=True,
    )


def main():
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="breast cancer and a small search only"
    )
    quick = parser.parse_args().quick

    print(
        f"sklearn_deepnn {sklearn_deepnn.__version__}, "
        f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}"
    )
    if quick:
        run("Breast cancer", load_breast_cancer, ["auto"], ["auto", 0.03])
        return
    for title, load in ("Breast cancer", load_breast_cancer), ("Digits", load_digits):
        run(title, load, ["auto", (64, 32)], ["auto", 0.03])


if __name__ == "__main__":
    main()
