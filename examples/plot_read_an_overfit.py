"""
Reading an overfit, and what helps
==================================

A network with many weights and few samples can learn the samples themselves instead of what they have in common. The
training cost does not show it; the validation cost does. This makes a network overfit, reads it from its curves, and
compares what helps: weight decay, dropout, early stopping, an ensemble, and the defaults of `DeepNNClassifier`.
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
    raise SystemExit("This example draws, which needs matplotlib: python -m pip install matplotlib") from None

# %%
# Real data
# ---------
# 442 people with diabetes: age, sex, body mass index, blood pressure and six blood values. The question is whether in
# the year that followed their disease progressed more than in half of them. These measurements do not tell it for
# sure, and that is where overfitting costs most: what cannot be predicted can still be learnt by heart.

X, progression = load_diabetes(return_X_y=True)
y = (progression > np.median(progression)).astype(int)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
guessing = log_loss(y_test, np.full(len(y_test), y_train.mean()))
print(f"{len(X_train)} samples to train on, {len(X_test)} to test on; always guessing alike costs {guessing:.3f}")

# %%
# A network that overfits
# -----------------------
# Two wide hidden layers, no weight decay, no stopping. A third of the training samples is held out, but only to watch:
# the callback neither stops the training nor keeps the best epoch's weights.

MAX_ITER = 60
WIDE = {
    "hidden_layer_dims": (128, 128),
    "learning_rate": 0.002,
    "batch_size": 32,
    "weight_decay": 0.0,
    "weight_averaging": 0.0,
    "validation_fraction": 1 / 3,
    "early_stopping": True,
    "max_iter": MAX_ITER,
}
only_watch = EarlyStopping(patience=MAX_ITER, restore_best=False)

overfit = DeepNNClassifier(**WIDE, random_state=0).set_callbacks(only_watch).fit(X_train, y_train)
print(overfit.summary())
print(f"\nvalidation cost: {min(overfit.validation_loss_curve_):.3f} at best, ", end="")
print(f"{overfit.validation_loss_curve_[-1]:.3f} after the last epoch")

display = TrainingCurveDisplay.from_estimator(overfit)
display.ax_.axhline(guessing, color="gray", linewidth=0.8)
display.ax_.text(MAX_ITER, guessing, "guessing", va="bottom", ha="right", fontsize="small")
display.ax_.set_title("Diabetes: a network that overfits")

# %%
# How to read it:
#
# * The training cost falls all the way: it says nothing about new samples.
# * The validation cost falls, turns, and rises. Up to the turn the network learns what samples have in common, from
#   then on what they do not. The point marks the turn.
# * Where the validation cost passes the line, the network is worse than always giving the same probability: it has
#   become sure of what it cannot know.
#
# Accuracy tells less of this, since it does not ask how sure a wrong answer was.

# %%
# What helps
# ----------
# Each remedy changes the same network in one respect; the defaults are what `DeepNNClassifier` does without
# parameters. Strengths are round numbers, which a search might improve. All get the same rows. All but the defaults
# hold out a third of them, of which only those that stop early make use; in an ensemble each member holds out another
# share, so that every row is learned by some.

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
fig, axes = plt.subplots(2, 3, figsize=(10, 6), sharex=True, sharey=True, layout="constrained")
for ax, name in zip(axes.flat, names):
    TrainingCurveDisplay.from_estimator(fit_with(name, X_train, y_train, seed=0), ax=ax)
    ax.set(title=name, xlim=(0, MAX_ITER + 1), ylim=(0, 1.2))
    ax.axhline(guessing, color="gray", linewidth=0.8)
    ax.label_outer()

# %%
# With dropout the training cost is that of a network with half of its units missing, and so it can lie above the
# validation cost.
#
# On test sets
# ------------
# One split proves little with so few samples. So each remedy is judged on six, by the cross-entropy and by the accuracy
# on the half that it has not seen.

results = {name: [] for name in names}
for seed in range(6):
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)
    for name in names:
        model = fit_with(name, X_train, y_train, seed)
        results[name].append((log_loss(y_test, model.predict_proba(X_test)), model.score(X_test, y_test)))
results = {name: np.transpose(pairs) for name, pairs in results.items()}

print(f"\nOn six test sets, mean and standard deviation\n{'':26}   cross-entropy   accuracy")
for name, (costs, accuracies) in results.items():
    print(f"{name:26}   {costs.mean():.3f} ± {costs.std():.3f}   {accuracies.mean():.3f} ± {accuracies.std():.3f}")

fig, axes = plt.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
for row, pairs in enumerate(results.values()):
    for ax, values in zip(axes, pairs):
        ax.plot(values, np.full(len(values), row), "o", color="C0", alpha=0.5)
        ax.plot(values.mean(), row, "|", color=plt.rcParams["text.color"], markersize=20, markeredgewidth=2)
axes[0].axvline(guessing, color="gray", linewidth=0.8)
axes[0].set(xlabel="test cross-entropy (less is better; line: guessing)", yticks=range(len(names)), yticklabels=names)
axes[1].set_xlabel("test accuracy (more is better)")
axes[0].set_ylim(len(names) - 0.4, -0.6)
fig.suptitle("Diabetes: six splits each, and their mean")
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()

best = min(names, key=lambda name: results[name][0].mean())
print(f"Lowest mean cross-entropy: {best}")
print(f"Networks without a remedy that are worse than guessing: {np.mean(results['none'][0] > guessing):.0%}")
assert results[best][0].mean() < guessing < results["none"][0].mean()

# %%
# What to take away
# -----------------
# * Give a network samples to be watched by: ``early_stopping=True``, or ``X_val`` and ``y_val``.
# * A gap between the curves is no harm in itself; a validation cost that rises is.
# * Look at cross-entropy, not only at accuracy, where probabilities matter.
# * Remedies add up: the defaults combine an ensemble with early stopping, weight decay and averaged weights.
