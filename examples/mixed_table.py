"""A table of text, categories, numbers and missing values: encode it, impute it, and search a network for it.

scikit-learn ships no such table, so this example makes one from the diabetes data. Age, body mass index and sex become
text. A fifth of the blood pressures and a tenth of one serum measurement are removed at random. The target is whether
the disease has progressed more than in half of the patients. The encoders and the imputer learn from the training rows
alone, inside the pipeline, and layer dims are searched as strings. Logistic regression and gradient boosting, which
takes the raw table, are compared. With 442 patients and a noisy target, the network is no better than logistic
regression, and boosting with its defaults overfits: the example shows how to do it, not which model wins.

    python examples/mixed_table.py           # less than a minute on two cores
    python examples/mixed_table.py --quick   # a smaller search, a few seconds
"""

import argparse
import textwrap

import numpy as np
import pandas as pd
from scipy.stats import loguniform
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import RandomizedSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from sklearn_deepnn import DeepNNClassifier

FEW_VALUES, MANY_VALUES = ["sex", "weight"], ["age"]
NUMBERS = ["bp", "s1", "s2", "s3", "s4", "s5", "s6"]


def load_table():
    """Return the table, and whether the disease has progressed more than in half of the patients."""
    frame = load_diabetes(as_frame=True, scaled=False).frame
    rng = np.random.default_rng(0)
    table = frame[NUMBERS].copy()
    table["sex"] = frame["sex"].map({1.0: "sex 1", 2.0: "sex 2"})  # the data do not say which sex is which number
    table["weight"] = pd.cut(frame["bmi"], [0, 18.5, 25, 30, 100], labels=["under", "normal", "over", "obese"])
    table["age"] = [f"{five * 5} to {five * 5 + 4}" for five in frame["age"].astype(int) // 5]
    for column, fraction in (("bp", 0.2), ("s5", 0.1)):
        table.loc[rng.random(len(table)) < fraction, column] = np.nan
    return table, np.where(frame["target"] > frame["target"].median(), "much", "little")


def numbers_from_table():
    """Return the transformer that turns the table into numbers."""
    return ColumnTransformer(
        [
            ("few values", OneHotEncoder(handle_unknown="ignore", sparse_output=False), FEW_VALUES),
            ("many values", TargetEncoder(), MANY_VALUES),
            ("numbers", SimpleImputer(strategy="median", add_indicator=True), NUMBERS),
        ]
    )


def search_network(table, y, n_iter):
    """Return a fitted search for a network behind the encoders."""
    space = {
        "deepnnclassifier__hidden_layer_dims": ["16", "64", "32-16", "128-64"],
        "deepnnclassifier__learning_rate": loguniform(1e-3, 1e-1),
        "deepnnclassifier__weight_decay": loguniform(1e-3, 1),
    }
    model = make_pipeline(numbers_from_table(), DeepNNClassifier(ensemble_size=6, random_state=0))
    search = RandomizedSearchCV(model, space, n_iter=n_iter, scoring="neg_log_loss", cv=3, n_jobs=2, random_state=0)
    return search.fit(table, y)


def main():
    """Make the table, fit the models, and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smaller search")
    n_iter = 3 if parser.parse_args().quick else 20

    table, y = load_table()
    train, test, y_train, y_test = train_test_split(table, y, test_size=0.3, stratify=y, random_state=0)
    print(
        f"{len(table)} patients, {table.shape[1]} columns, {table.isna().sum().sum()} missing values; the first rows:\n"
    )
    print(table.head(3).T.to_string(header=False), "\n")

    try:
        DeepNNClassifier().fit(train, y_train)
    except ValueError as error:
        print(textwrap.fill(f"The table as it is: {error}", width=100), "\n")

    search = search_network(train, y_train, n_iter)
    print(f"Best of {n_iter} settings:")
    for name, value in search.best_params_.items():
        print(f"  {name.partition('__')[2]:18} {value if isinstance(value, str) else format(value, '.3g')}")

    categories = dict.fromkeys(FEW_VALUES + MANY_VALUES, "category")
    models = {
        "network, searched": (search, train, test),
        "network, defaults": (make_pipeline(numbers_from_table(), DeepNNClassifier(random_state=0)), train, test),
        "logistic regression": (
            make_pipeline(numbers_from_table(), StandardScaler(), LogisticRegression(solver="newton-cholesky")),
            train,
            test,
        ),
        "gradient boosting": (
            HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0),
            *(each.astype(categories) for each in (train, test)),
        ),
    }
    print(f"\n{'On ' + str(len(test)) + ' other patients':22}{'cross-entropy':>14}{'ROC AUC':>10}{'accuracy':>10}")
    for name, (model, rows, test_rows) in models.items():
        model = model if model is search else model.fit(rows, y_train)
        probability = model.predict_proba(test_rows)
        cost, area = log_loss(y_test, probability), roc_auc_score(y_test, probability[:, 1])
        print(f"{name:22}{cost:14.3f}{area:10.3f}{np.mean(model.predict(test_rows) == y_test):10.3f}", flush=True)


if __name__ == "__main__":
    main()
