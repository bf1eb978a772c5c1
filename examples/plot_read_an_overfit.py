"""
Reading an overfit, and what helps
==================================

A network with many weights and few samples can memorise the samples instead of what
they have in common. The training cost does not show this; the validation cost does.
This example makes a network overfit, reads the overfit from the curves, and compares
the remedies: weight decay, dropout, early stopping, an ensemble, and the defaults of
`DeepNNClassifier`.
"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import EarlyStopping
from sklearn_deepnn.plotting import TrainingCurveDisplay

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None

# %%
# Real data
# ---------
# The data are 442 people with diabetes: age, sex, body mass index, blood pressure and
# six blood values. The question is whether the disease progressed, in the year that
# followed, more than in half of the people. These measurements cannot predict the
# answer with certainty. In such data overfitting costs most, because a network can
# memorise what it cannot predict. The baseline loss is that of always predicting the
# class frequencies.

X, progression = load_diabetes(return_X_y=True)
y = (progression > np.median(progression)).astype(int)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
baseline = log_loss(y_test, np.full(len(y_test), y_train.mean()))
print(
    f"{len(X_train)} samples to train on, {len(X_test)} to test on; "
    f"the baseline loss is {baseline:.3f}"
)

# %%
# A network that overfits
# -----------------------
# One network has two wide hidden layers, no weight decay, no label smoothing, no bins
# for its numbers and no early stopping. A third of the training samples is held out
# only for the curve: the callback neither stops the training nor keeps the best epoch's
# weights.

MAX_ITER = 60
WIDE = {
    "hidden_layer_dims": (128, 128),
    "ensemble_size": 1,
    "numeric_encoding": None,
    "learning_rate": 0.002,
    "batch_size": 32,
    "weight_decay": 0.0,
    "weight_averaging": 0.0,
    "label_smoothing": 0.0,
    "validation_fraction": 1 / 3,
    "max_iter": MAX_ITER,
}
only_watch = EarlyStopping(patience=MAX_ITER, restore_best=False)

overfit = (
    DeepNNClassifier(**WIDE, random_state=0)
    .set_callbacks(only_watch)
    .fit(X_train, y_train)
)
print(overfit.summary())
print(f"\nvalidation cost: {min(overfit.validation_loss_curve_):.3f} at best, ", end="")
print(f"{overfit.validation_loss_curve_[-1]:.3f} after the last epoch")

display = TrainingCurveDisplay.from_estimator(overfit)
display.ax_.axhline(baseline, color="gray", linewidth=0.8)
display.ax_.text(
    MAX_ITER, baseline, "baseline", va="bottom", ha="right", fontsize="small"
)
display.ax_.set_title("Diabetes: a network that overfits")

# %%
# How to read it:
#
# * The training cost falls until the end: it says nothing about new samples.
# * The validation cost falls to a minimum, which the point marks, and then rises.
#   Before the minimum the network learns what samples have in common, after it what
#   they do not.
# * Where the validation cost is above the line, the network is worse than always
#   predicting the same probability: it is sure of what it cannot know.
#
# Accuracy shows less of this, because it ignores how sure a wrong answer was.

# %%
# What helps
# ----------
# Each remedy changes one property of the same network; "defaults" is `DeepNNClassifier`
# without parameters. Strengths are round numbers, which a search might improve. All
# models get the same rows. All but the defaults hold out a third of them, which only
# early stopping uses. In an ensemble each member holds out different rows, so that some
# member learns every row.

STOPPING = {"n_iter_no_change": 6}
REMEDIES = {
    "none": {},
    "weight decay": {"weight_decay": 3.0},
    "dropout": {"dropout_rate": 0.5},
    "early stopping": STOPPING,
    "early stopping, 8 networks": {"ensemble_size": 8, **STOPPING},
}


def fit_with(remedy, X, y, seed):
    """Return a network fitted with one of the remedies, or with the defaults."""
    if remedy == "defaults":
        return DeepNNClassifier(random_state=seed).fit(X, y)
    network = DeepNNClassifier(**WIDE | REMEDIES[remedy], random_state=seed)
    if REMEDIES[remedy].keys() & STOPPING.keys():
        return network.fit(X, y)
    return network.set_callbacks(only_watch).fit(X, y)


names = [*REMEDIES, "defaults"]
fig, axes = plt.subplots(
    2, 3, figsize=(10, 6), sharex=True, sharey=True, layout="constrained"
)
for ax, name in zip(axes.flat, names):
    TrainingCurveDisplay.from_estimator(fit_with(name, X_train, y_train, seed=0), ax=ax)
    ax.set(title=name, xlim=(0, MAX_ITER + 1), ylim=(0, 1.2))
    ax.axhline(baseline, color="gray", linewidth=0.8)
    ax.label_outer()

# %%
# With dropout the training cost is that of a network without half of its units, so it
# can be above the validation cost.
#
# On test sets
# ------------
# With so few samples, one split proves little. So each remedy is tested on six splits,
# by the cross-entropy and the accuracy on the unseen half.

results = {name: [] for name in names}
for seed in range(6):
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=seed
    )
    for name in names:
        model = fit_with(name, X_train, y_train, seed)
        results[name].append(
            (log_loss(y_test, model.predict_proba(X_test)), model.score(X_test, y_test))
        )
results = {name: np.transpose(pairs) for name, pairs in results.items()}

print("\nOn six test sets, mean and standard deviation")
print(f"{'':26}   cross-entropy   accuracy")
for name, (costs, accuracies) in results.items():
    print(
        f"{name:26}   {costs.mean():.3f} ± {costs.std():.3f}   "
        f"{accuracies.mean():.3f} ± {accuracies.std():.3f}"
    )

fig, axes = plt.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
for row, pairs in enumerate(results.values()):
    for ax, values in zip(axes, pairs):
        ax.plot(values, np.full(len(values), row), "o", color="C0", alpha=0.5)
        ax.plot(
            values.mean(),
            row,
            "|",
            color=plt.rcParams["text.color"],
            markersize=20,
            markeredgewidth=2,
        )
axes[0].axvline(baseline, color="gray", linewidth=0.8)
axes[0].set(
    xlabel="test cross-entropy (less is better; line: baseline)",
    yticks=range(len(names)),
    yticklabels=names,
)
axes[1].set_xlabel("test accuracy (more is better)")
axes[0].set_ylim(len(names) - 0.4, -0.6)
fig.suptitle("Diabetes: six splits each, and their mean")
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()

best = min(names, key=lambda name: results[name][0].mean())
print(f"Lowest mean cross-entropy: {best}")
n_worse = np.count_nonzero(results["none"][0] > baseline)
print(f"Networks without a remedy that are worse than the baseline: {n_worse} of 6")
assert results[best][0].mean() < baseline < results["none"][0].mean()

# %%
# Conclusions
# -----------
# * Leave early stopping on, as it is by default, or give validation samples of your
#   own: ``X_val`` and ``y_val``.
# * A gap between the curves is harmless; a rising validation cost is not.
# * If probabilities matter, look at cross-entropy, not only at accuracy.
# * Remedies add up: the defaults combine an ensemble with early stopping, weight decay
#   and averaged weights.
