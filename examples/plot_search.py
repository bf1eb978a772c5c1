"""
A search that includes the defaults
===================================

Without parameters `DeepNNClassifier` trains an ensemble of small networks. With
``hidden_layer_dims`` it trains one network. This example searches hidden layers and
learning rate of one network by cross-validation, and puts the defaults into the same
grid: then the best setting is, in cross-validation, never worse than the defaults.
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
# A list of two grids is searched. The first has one setting: the defaults. The second
# has six: three sizes of one network, with two learning rates each. The score is the
# log loss, which tells settings apart that have the same accuracy. ``max_iter`` is
# large enough for all: training stops early, or when the cost no longer falls.

DEFAULTS = {"hidden_layer_dims": ["auto"], "learning_rate": ["auto"]}
ONE_NETWORK = {
    "hidden_layer_dims": [(64,), (64, 32), (128, 64)],
    "learning_rate": [0.01, 0.03],
    "early_stopping": [True],
}
search = GridSearchCV(
    DeepNNClassifier(max_iter=1000, random_state=0),
    [DEFAULTS, ONE_NETWORK],
    scoring="neg_log_loss",
    cv=3,
    n_jobs=2,
)
results = search.fit(X_train, y_train).cv_results_

# %%
# The best setting comes first. After ± is the standard deviation over three folds: a
# much smaller difference between two settings may be chance.

costs, deviations = -results["mean_test_score"], results["std_test_score"]
print("hidden layers   learning rate    log loss in CV")
for i in np.argsort(costs):
    dims, rate = (results["params"][i][name] for name in DEFAULTS)
    print(f"{dims!s:13}   {rate!s:>13}   {costs[i]:6.3f} ± {deviations[i]:5.3f}")

# %%
# On the test set
# ---------------
# The test set took no part in the search.

defaults = DeepNNClassifier(max_iter=1000, random_state=0)
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
