"""
A search of hidden layers and learning rate
===========================================

A parameter that is given changes nothing else: a network with other hidden layers is
still an ensemble, with all other values of the defaults. So a search of hidden layers
and learning rate starts from the quality of the defaults. This example searches both by
cross-validation, and compares the best with the defaults on a test set.
"""

import time

import numpy as np
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split

from sklearn_deepnn import DeepNNClassifier

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None

# %%
# Two spirals
# -----------
# The classes are two spirals of two turns with little noise. Such data suit a search: a
# network must bend its boundary sharply, and can be sure of nearly every label. On most
# tables labels are less certain, and an ensemble is hard to improve on.

rng = np.random.default_rng(0)
y = rng.integers(0, 2, 2000)
radius = np.sqrt(rng.random(len(y)))
angle = 4 * np.pi * radius + np.pi * y
X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
X += 0.04 * rng.standard_normal(X.shape)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)

# %%
# The search
# ----------
# Six candidates are compared: three sizes of the network, with two learning rates each.
# The first is what the defaults choose for this table. The score is the log loss, which
# tells candidates apart that have the same accuracy.

GRID = {
    "hidden_layer_dims": [(48, 24), (64, 32), (128, 64)],
    "learning_rate": [0.01, 0.03],
}
search = GridSearchCV(
    DeepNNClassifier(random_state=0),
    GRID,
    scoring="neg_log_loss",
    cv=3,
    n_jobs=2,
)
results = search.fit(X_train, y_train).cv_results_

# %%
# The best candidate comes first. After ± is the standard deviation over three folds: a
# much smaller difference between two candidates may be chance.

costs, deviations = -results["mean_test_score"], results["std_test_score"]
print("hidden layers   learning rate    log loss in CV")
for i in np.argsort(costs):
    dims, rate = (results["params"][i][name] for name in GRID)
    print(f"{dims!s:13}   {rate!s:>13}   {costs[i]:6.3f} ± {deviations[i]:5.3f}")

# %%
# On the test set
# ---------------
# The test set took no part in the search.

defaults = DeepNNClassifier(random_state=0)
best = search.best_estimator_
print("           time   parameters   accuracy   log loss")
for name, model in {"defaults": defaults, "best": best}.items():
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    n_parameters = sum(array.size for array in model.parameters_.values())
    cost = log_loss(y_test, model.predict_proba(X_test))
    print(
        f"{name:8}   {seconds:3.1f} s   {n_parameters:10}   "
        f"{model.score(X_test, y_test):8.3f}   {cost:8.3f}"
    )

# %%
# The plots show where the two models predict which class, paler where they are less
# sure, and the test samples.

fig, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
titles = {"the defaults": defaults, "the best of the search": best}
for ax, (title, model) in zip(axes, titles.items()):
    DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        response_method="predict_proba",
        plot_method="pcolormesh",
        cmap="RdBu",
        vmin=0,
        vmax=1,
        alpha=0.6,
        eps=0.1,
        grid_resolution=200,
        ax=ax,
    )
    ax.scatter(
        *X_test.T, c=y_test, cmap="RdBu", s=8, edgecolors="black", linewidths=0.2
    )
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()
