"""
Resuming after a crash
======================

Machines are switched off, jobs run out of time, processes run out of memory. This
example trains a network in another process and kills that process during training. Then
it resumes from the last checkpoint, and compares the result with that of an
uninterrupted training: both are the same to the last bit.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import ModelCheckpoint, load_checkpoint

# %%
# The network
# -----------
# Much in this training depends on earlier epochs. Dropout and the order of the samples
# depend on the random stream, Adam's steps on its moments, the learning rate on the
# epoch, and the kept weights on the best epoch so far. A checkpoint must hold all of
# this. The training also needs an integer ``random_state``: without one, no two
# trainings are the same.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)
network = DeepNNClassifier(
    hidden_layer_dims=(256, 128),
    ensemble_size=1,
    dropout_rate=0.5,
    weight_decay=3.0,
    learning_rate=0.003,
    learning_rate_schedule="cosine",
    n_iter_no_change=45,
    max_iter=45,
    random_state=0,
)

# %%
# A training without interruption
# -------------------------------

undisturbed = clone(network).fit(X_train, y_train)


def report(title, model):
    """Print the epochs and the accuracy of a training."""
    accuracy = model.score(X_test, y_test)
    print(
        f"{title}: {model.n_iter_} epochs, the best was {model.best_iter_}, "
        f"accuracy on the test set {accuracy:.3f}"
    )


report("Undisturbed", undisturbed)

# %%
# A training that is killed
# -------------------------
# Another process loads the same network and data, and trains with a `ModelCheckpoint`,
# which writes a file after every epoch and keeps the newest two. With ``verbose=2`` it
# prints a line for every epoch. After the line of epoch 15 this process kills it: by
# SIGKILL on Linux and macOS, by TerminateProcess on Windows. The killed process cannot
# react to either, and it may be writing a file at that moment.

CHILD = """
import sys
import joblib
from sklearn_deepnn.callbacks import ModelCheckpoint

task, checkpoints = sys.argv[1:]
network, X, y = joblib.load(task)
network.set_params(verbose=2).set_callbacks(ModelCheckpoint(checkpoints))
network.fit(X, y)
"""

folder = tempfile.TemporaryDirectory()
task, checkpoints = Path(folder.name, "task.joblib"), Path(folder.name, "checkpoints")
joblib.dump((network, X_train, y_train), task)

with subprocess.Popen(
    [sys.executable, "-c", CHILD, task, checkpoints], stdout=subprocess.PIPE, text=True
) as child:
    for line in child.stdout:
        if line.split()[:2] == ["epoch", "15"]:
            child.kill()
            break
if child.returncode == 0:
    sys.exit("The other process was done before it could be killed.")
print(f"\nKilled: the other process ended with code {child.returncode}")

# %%
# What is left
# ------------
# Each file is first written under a hidden name that ends in .tmp, and renamed when it
# is complete. A file with such a name means that the process died while writing it; it
# is never used as a checkpoint. `load_checkpoint` returns the newest complete
# checkpoint: a fitted network of that epoch.

for path in sorted(checkpoints.iterdir()):
    print(f"  {path.name}  {path.stat().st_size / 1e6:.1f} MB")
left = load_checkpoint(checkpoints)
report("Left", left)

# %%
# Resuming
# --------
# The same ``fit``, with ``resume_from``, trains the missing epochs.

resumed = clone(network).fit(X_train, y_train, resume_from=checkpoints)
print(f"\nEpochs that were missing: {resumed.n_iter_ - left.n_iter_}")
report("Resumed", resumed)


def bits(model):
    """Return all weights, costs and predictions of a model, the arrays as bytes."""
    arrays = [*model.parameters_.values(), model.predict_proba(X_test)]
    return (
        [array.tobytes() for array in arrays],
        model.loss_curve_,
        model.validation_loss_curve_,
    )


assert (
    bits(left)[0] != bits(undisturbed)[0]
)  # otherwise the next line would prove nothing
assert bits(resumed) == bits(undisturbed)
n_weights = sum(array.size for array in resumed.parameters_.values())
print(
    f"The same {n_weights} weights and biases, costs and probabilities "
    "as undisturbed, to the last bit"
)

# %%
# A script that may die at any time
# ---------------------------------
# Write checkpoints and resume from them in the same call. In an empty folder training
# starts from the beginning. After a crash the same call resumes. After the end it has
# nothing left to do, and returns the finished network.

for _ in range(2):
    again = clone(network).set_callbacks(ModelCheckpoint(checkpoints))
    again.fit(X_train, y_train, resume_from=checkpoints)
    is_same = bits(again) == bits(undisturbed)
    print(f"Started again: {again.n_iter_} epochs, the same to the last bit: {is_same}")
folder.cleanup()

# %%
# Both trainings in one picture
# -----------------------------
# This plot needs matplotlib.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("No plot: matplotlib is not installed (python -m pip install matplotlib).")
else:
    fig, axes = plt.subplots(2, sharex=True, sharey=True, layout="constrained")
    n, epochs, ink = (
        left.n_iter_,
        range(1, resumed.n_iter_ + 1),
        plt.rcParams["text.color"],
    )
    for ax, kind, name in zip(
        axes, ("training", "validation"), ("loss_curve_", "validation_loss_curve_")
    ):
        ax.plot(
            epochs,
            getattr(undisturbed, name),
            "C0",
            linewidth=7,
            alpha=0.4,
            label="undisturbed",
        )
        ax.plot(epochs[:n], getattr(left, name), "C1", label="until it was killed")
        ax.plot(
            epochs[n:], getattr(resumed, name)[n:], "--", color=ink, label="resumed"
        )
        ax.axvline(n + 0.5, color=ink, linewidth=0.8, alpha=0.5)
        ax.set(ylabel=f"{kind}\ncross-entropy", yscale="log", yticks=[0.2, 0.5, 1, 2])
        ax.yaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    axes[0].legend()
    axes[1].set_xlabel("epoch")
    fig.suptitle("Digits: one training undisturbed, one killed and resumed")
    if plt.get_backend().lower() != "agg":  # which has no window to show
        plt.show()
