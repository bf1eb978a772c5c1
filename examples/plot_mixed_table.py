"""
A table of text, categories and gaps
====================================

`DeepNNClassifier` learns from numbers. This example turns a mixed table into numbers
inside a pipeline: it encodes text and categories, and fills in missing values. Then it
compares the network with other models, and asks which columns matter.
"""

import textwrap

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from sklearn_deepnn import DeepNNClassifier

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None

# %%
# A mixed table
# -------------
# scikit-learn ships no such table, so this example makes one from the diabetes data:
# ten columns of 442 patients. Sex, weight and age become text. A fifth of the blood
# pressures and a tenth of one serum measurement are removed at random. The question is
# whether the disease progressed more than in half of the patients.

NUMBERS = ["bp", "s1", "s2", "s3", "s4", "s5", "s6"]
frame = load_diabetes(as_frame=True, scaled=False).frame
table = frame[NUMBERS].copy()
table["sex"] = frame["sex"].map({1.0: "sex 1", 2.0: "sex 2"})  # which is not documented
table["weight"] = pd.cut(
    frame["bmi"], [0, 18.5, 25, 30, 100], labels=["under", "normal", "over", "obese"]
)
table["age"] = [
    f"{age - age % 5} to {age - age % 5 + 4}" for age in frame["age"].astype(int)
]
rng = np.random.default_rng(0)
for column, fraction in {"bp": 0.2, "s5": 0.1}.items():
    table.loc[rng.random(len(table)) < fraction, column] = np.nan
y = np.where(frame["target"] > frame["target"].median(), "much", "little")
table.head()

# %%
# The table as it is
# ------------------
# The error names each column that is no number, and what to do about it.

try:
    DeepNNClassifier().fit(table, y)
except ValueError as error:
    print(textwrap.fill(str(error), width=80))

# %%
# Encode and fill in
# ------------------
# A column of few categories becomes a column of zeros and ones for each category. A
# column of many categories becomes one number: how often the disease progressed among
# the training rows of the category. Missing numbers become the median, and a further
# column says where they were missing. In a pipeline, encoders and medians learn from
# the training rows alone. The network scales its inputs, so no scaler is needed.


def numbers_from_table():
    """Return the transformer that turns the table into numbers."""
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["sex", "weight"]),
        (TargetEncoder(), ["age"]),
        (SimpleImputer(strategy="median", add_indicator=True), NUMBERS),
    )


model = make_pipeline(numbers_from_table(), DeepNNClassifier(random_state=0))

# %%
# Beside other models
# -------------------
# All models get the same columns, in the same five folds. On few patients and a noisy
# target, the network is no better than logistic regression: this example shows how to
# use it on such a table, not that it wins there. The last digits vary from run to run,
# because `TargetEncoder` draws folds at random.

models = {
    "network": model,
    "logistic regression": make_pipeline(
        numbers_from_table(), StandardScaler(), LogisticRegression()
    ),
    "gradient boosting": make_pipeline(
        numbers_from_table(), GradientBoostingClassifier(random_state=0)
    ),
}
print(f"{'':20}   log loss   ROC AUC   accuracy")
for name, other in models.items():
    scores = cross_validate(
        other, table, y, scoring=["neg_log_loss", "roc_auc", "accuracy"], cv=5
    )
    print(
        f"{name:20}   {-scores['test_neg_log_loss'].mean():8.3f}   "
        f"{scores['test_roc_auc'].mean():7.3f}   {scores['test_accuracy'].mean():8.3f}"
    )

# %%
# Which columns matter
# --------------------
# Permutation importance shuffles a column of the table, before it is encoded, and
# measures how much the log loss of unseen patients rises. The bars are the mean of
# twenty shuffles, the lines their standard deviation. A column whose line reaches zero
# may have no influence. Columns that tell the same share their importance: most of the
# serum measurements s1 to s6 are correlated.

train, test, y_train, y_test = train_test_split(
    table, y, test_size=0.4, stratify=y, random_state=0
)
model.fit(train, y_train)
importance = permutation_importance(
    model, test, y_test, scoring="neg_log_loss", n_repeats=20, random_state=0
)
order = np.argsort(importance.importances_mean)
fig, ax = plt.subplots(layout="constrained")
ax.barh(
    table.columns[order],
    importance.importances_mean[order],
    xerr=importance.importances_std[order],
    ecolor="gray",
)
ax.axvline(0, color=plt.rcParams["text.color"], linewidth=0.8)
ax.set(xlabel="rise of the log loss", title="Diabetes: importance of each column")
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()
