"""
Watching a fit
==============

There are several ways to watch a training while it runs and after it has ended: lines
on the screen, curves, a log file that other programs can read, scikit-learn's own
callbacks, and a callback of your own. Here all of them watch the same kind of network,
on the same data. The code prints all numbers below.
"""

import csv
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import Callback, EarlyStopping, HistoryLogger, TimeBudget
from sklearn_deepnn.plotting import TrainingCurveDisplay

# %%
# Real data
# ---------
# The data are 1797 handwritten digits of 8 x 8 pixels. A quarter is kept for testing.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)

# %%
# On the screen
# -------------
# ``verbose=1`` prints ten to twenty lines, or in a terminal with tqdm a bar;
# ``verbose=2`` prints every epoch. Each network of the ensemble holds out a tenth of
# the training set, and the accuracy on it is the monitored value here. When accuracy no
# longer improves, ``learning_rate_schedule="reduce_on_plateau"`` lowers the learning
# rate.

model = DeepNNClassifier(
    hidden_layer_dims=(64, 32),
    learning_rate_schedule="reduce_on_plateau",
    scoring="accuracy",
    n_iter_no_change=12,
    max_iter=100,
    verbose=1,
    random_state=0,
)
model.fit(X_train, y_train)
print(f"accuracy on the test set: {model.score(X_test, y_test):.3f}")

# %%
# The trained network
# -------------------
# `summary` lists the layers, and says which epoch's weights are kept.

print()
print(model.summary())

# %%
# Curves
# ------
# The network keeps the values of each epoch: ``loss_curve_``,
# ``validation_loss_curve_``, ``validation_scores_`` and ``learning_rate_curve_``. A
# display draws all of them. The dotted learning rate falls where the score did not
# improve for some epochs. The best epoch has the best accuracy, because ``scoring``
# says so; the lowest validation cost may be in another epoch. This plot needs
# matplotlib.

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("\nNo plot: matplotlib is not installed (python -m pip install matplotlib).")
else:
    display = TrainingCurveDisplay.from_estimator(model, log_scale=True)
    display.ax_.set_title("Digits: what each epoch recorded")

# %%
# When to stop
# ------------
# Callbacks are set on the estimator, and called after every epoch. `EarlyStopping`
# replaces ``n_iter_no_change`` and ``tol``, and can monitor a value of its own.
# `TimeBudget` stops a training before the time is over. The first callback that asks to
# stop ends the training.

budget = 5.0
impatient = DeepNNClassifier((64, 32), max_iter=1000, random_state=0)
impatient.set_callbacks(
    EarlyStopping(monitor="validation_cost", patience=3, min_delta=0.005),
    TimeBudget(budget),
)
began = time.perf_counter()
impatient.fit(X_train, y_train)
took = time.perf_counter() - began
print(
    f"\nStopped after {impatient.n_iter_} of at most {impatient.max_iter} epochs: "
    f"{took:.1f} s of {budget:.0f} s"
)
print(f"accuracy on the test set: {impatient.score(X_test, y_test):.3f}")

# %%
# A log file
# ----------
# `HistoryLogger` appends a line after each epoch, so that ``tail -f``, a spreadsheet or
# another process can follow. Several trainings may share a file; the first column
# identifies each.

folder = tempfile.TemporaryDirectory()
log = Path(folder.name, "history.csv")
logged = DeepNNClassifier((64, 32), random_state=0)
logged.set_callbacks(HistoryLogger(log)).fit(X_train, y_train)

with log.open(newline="") as file:
    lines = list(csv.DictReader(file))
folder.cleanup()
print("\nepoch   seconds     cost   validation cost")
for line in lines[:-1:10] + lines[-1:]:
    cost, validation_cost = float(line["cost"]), float(line["validation_cost"])
    print(
        f"{line['epoch']:>5}   {float(line['seconds']):7.3f}   "
        f"{cost:6.4f}   {validation_cost:15.4f}"
    )

# the file has the same numbers as the network, to the last digit
assert [float(line["cost"]) for line in lines] == logged.loss_curve_

# %%
# A callback of your own
# ----------------------
# A callback takes five lines and a docstring. Every hook gets a `Run`, whose ``state``
# is the current state of the training. This callback records the norm of the first
# layer's weights. (An ``on_epoch_end`` that returns True stops the training.)


class WeightNorm(Callback):
    """The norm of the first layer's weights after every epoch."""

    def on_train_begin(self, run):
        self.norms = []

    def on_epoch_end(self, run):
        self.norms.append(np.linalg.norm(run.state.parameters["W1"]))


# %%
# scikit-learn's callbacks
# ------------------------
# From version 1.9 on scikit-learn has callbacks of its own, and they work too.
# `ScoringMonitor` scores the network after every epoch, on the data passed to ``fit``.
# With an older scikit-learn this example continues without it.

try:
    from sklearn.callback import ScoringMonitor
except ImportError:
    ScoringMonitor = None
    print("\nNo ScoringMonitor: it comes with scikit-learn 1.9.")

# %%
# Both callbacks watch two networks that differ in ``weight_decay``, which moves weights
# towards zero:

norms, accuracies = {}, {}
for weight_decay in (0.0, 1.0):
    own, monitor = WeightNorm(), ScoringMonitor and ScoringMonitor(scoring="accuracy")
    network = DeepNNClassifier((64, 32), weight_decay=weight_decay, random_state=0)
    network.set_callbacks(own, *([monitor] if monitor else [])).fit(X_train, y_train)
    norms[weight_decay] = own.norms
    print(f"\nweight_decay={weight_decay}")
    print(
        f"  norm of W1: {own.norms[0]:.2f} after the first epoch, "
        f"{own.norms[-1]:.2f} after the last"
    )
    if monitor:
        scores = [
            entry["accuracy"]
            for entry in monitor.get_logs().data
            if entry["task_name"] == "epoch"
        ]
        accuracies[weight_decay] = scores
        print(
            f"  accuracy on the training set: {scores[0]:.3f} after the first epoch, "
            f"{scores[-1]:.3f} after the last"
        )
    print(f"  accuracy on the test set: {network.score(X_test, y_test):.3f}")

# %%
# The two callbacks recorded these curves:

if plt:
    panels = {"norm of W1": norms} | (
        {"training accuracy": accuracies} if accuracies else {}
    )
    fig, axes = plt.subplots(
        len(panels), sharex=True, squeeze=False, layout="constrained"
    )
    for ax, (name, curves) in zip(axes[:, 0], panels.items()):
        for (weight_decay, values), style in zip(curves.items(), ("--", "-")):
            ax.plot(
                range(1, len(values) + 1),
                values,
                style,
                label=f"weight_decay={weight_decay}",
            )
        ax.set_ylabel(name)
    axes[0, 0].legend()
    axes[-1, 0].set_xlabel("epoch")
    fig.suptitle("Digits: the same network with and without weight decay")
    if plt.get_backend().lower() != "agg":  # which has no window to show
        plt.show()

# %%
# Which one to use
# ----------------
# * To see whether the network learns at all: ``verbose=1``.
# * To assess a finished training: `TrainingCurveDisplay` and ``model.summary()``.
# * To stop when the network no longer improves: `EarlyStopping`; when the time is over:
#   `TimeBudget`.
# * For trainings that nobody watches: `HistoryLogger`; to survive a crash:
#   `ModelCheckpoint`, which has an example of its own.
# * For scores that the training does not record: `ScoringMonitor`.
# * For everything else: a subclass of `Callback`, with the hooks that you need.
