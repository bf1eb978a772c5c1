"""
Can the probabilities be believed?
==================================

A model is calibrated if, of all samples that it gives a probability of 80 %, 80 % are
positive. This example draws reliability curves of `DeepNNClassifier`, of
`~sklearn.neural_network.MLPClassifier` and of gradient boosting, and compares their log
losses. All models have their default settings, unless their name says otherwise.
"""

import warnings

import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import DeepNNClassifier

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None

# %%
# Classes that overlap
# --------------------
# A reliability curve needs thousands of test samples, so the data are synthetic. The
# two classes overlap: some samples look like both, and a calibrated model says so.
# There are 1500 samples to train on.

X, y = make_classification(
    21_500,
    n_informative=8,
    n_redundant=4,
    n_clusters_per_class=3,
    class_sep=0.5,
    flip_y=0.0,
    random_state=0,
)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=1500, stratify=y, random_state=0
)

# %%
# The models
# ----------
# `MLPClassifier` gets scaled inputs, because it does not scale them. By default it
# trains until its training cost no longer falls, or for 200 epochs, as here; the
# example hides the warning about this. With ``early_stopping=True`` it holds out a
# tenth of the samples, as each member of the default `DeepNNClassifier` does.

warnings.filterwarnings("ignore", category=ConvergenceWarning)
MODELS = {
    "DeepNNClassifier": DeepNNClassifier(random_state=0),
    "gradient boosting": GradientBoostingClassifier(random_state=0),
    "MLPClassifier, early stopping": make_pipeline(
        StandardScaler(), MLPClassifier(early_stopping=True, random_state=0)
    ),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
}
probabilities = {
    name: model.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    for name, model in MODELS.items()
}

# %%
# Reliability curves
# ------------------
# The upper plot sorts the test samples by their predicted probability into ten groups
# of 2000. Each point is a group: its mean probability, and the fraction of its samples
# that are positive. Below the diagonal on the right, and above it on the left, a model
# is too sure. The lower plot shows how often each probability is predicted.

fig, (ax, below) = plt.subplots(
    2, figsize=(6.4, 7.6), height_ratios=(3, 1), sharex=True, layout="constrained"
)
for (name, probability), marker in zip(probabilities.items(), "os^v"):
    CalibrationDisplay.from_predictions(
        y_test,
        probability,
        n_bins=10,
        strategy="quantile",
        name=name,
        ax=ax,
        marker=marker,
    )
    below.hist(probability, np.linspace(0, 1, 41), histtype="step", linewidth=1.5)
ax.set(xlabel="", ylabel="fraction of positives", title="20 000 test samples")
ax.legend(loc="upper left", fontsize="small")
below.set(xlabel="predicted probability", ylabel="test samples")
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()

# %%
# In numbers
# ----------
# The calibration error is the mean distance of the points from the diagonal. The log
# loss also counts how well a model separates the classes. Accuracy ignores how sure an
# answer is: models of similar accuracy can differ much in log loss.


def calibration_error(probability):
    """Return the mean distance of ten equal groups from the diagonal."""
    groups = np.array_split(np.argsort(probability), 10)
    return np.mean([abs(probability[g].mean() - y_test[g].mean()) for g in groups])


print(f"{'':30}   log loss   calibration error   accuracy")
for name, probability in probabilities.items():
    print(
        f"{name:30}   {log_loss(y_test, probability):8.3f}   "
        f"{calibration_error(probability):17.3f}   "
        f"{np.mean((probability > 0.5) == y_test):8.3f}"
    )

# %%
# Conclusions
# -----------
# * The default `DeepNNClassifier` needs no calibration here. It is the mean of several
#   networks, each of which stops early: where they disagree, the mean is less sure.
# * `MLPClassifier` is too sure: it trains on long after it has learned what samples
#   have in common. With early stopping, and as boosting, it is not sure enough.
# * Other data give other curves. With ``flip_y=0.2``, which makes every tenth label
#   wrong, gradient boosting has the smaller calibration error and `DeepNNClassifier`
#   the smaller log loss. Draw the curves for your own data.
# * To calibrate any model, use `~sklearn.calibration.CalibratedClassifierCV`.
