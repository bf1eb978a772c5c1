"""
A large table: time, memory and precision
=========================================

On a table of 300 000 rows, one network is enough, float32 is precise enough, and early
stopping decides how many epochs to train. This example measures what a fit costs:
seconds, and memory beside the table.
"""

import time
import tracemalloc

import numpy as np
from scipy.stats import norm
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import TimeBudget
from sklearn_deepnn.plotting import TrainingCurveDisplay

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None

# %%
# The table
# ---------
# The table is synthetic, because scikit-learn ships none of this size. It has 20
# columns of noise. A smooth function of four directions in it, plus noise that no model
# can predict, decides the class. The function is known, so the best possible log loss
# is known too. Create X as float32 if you can: it takes half the memory of float64.

NOISE = 0.5
rng = np.random.default_rng(0)
X = rng.standard_normal((300_000, 20), dtype=np.float32)
Z = X @ rng.standard_normal((20, 4), dtype=np.float32) / np.sqrt(20, dtype=np.float32)
signal = np.sin(2 * Z[:, 0]) + Z[:, 1] * Z[:, 2] + np.abs(Z[:, 3]) - 0.8
y = signal + NOISE * rng.standard_normal(len(X)) > 0
X_train, X_test, y_train, y_test, _, signal_test = train_test_split(
    X, y, signal, test_size=50_000, random_state=0
)
best_possible = norm.cdf(signal_test / NOISE)  # the true probability
print(f"{len(X_train)} rows to train on, {X_train.nbytes / 1e6:.0f} MB")
print(f"{len(X_test)} rows to test on, {X_test.nbytes / 1e6:.0f} MB")

# %%
# One network
# -----------
# The default is an ensemble, which is several times the work. With many rows an
# ensemble gains little, so ask for one network. The numbers have no thresholds here, so
# ``numeric_encoding=None`` leaves their bins out, which also saves time. On so many
# rows, three things happen by themselves: batches have 256 rows, training computes in
# float32, and stops after three epochs without improvement.

NETWORK = DeepNNClassifier(
    hidden_layer_dims=(64, 32),
    ensemble_size=1,
    numeric_encoding=None,
    learning_rate=0.005,
    random_state=0,
)


def fit_and_report(network, X, y):
    """Fit a network; print its time, epochs, accuracy and log loss."""
    start = time.perf_counter()
    network.fit(X, y)
    seconds = time.perf_counter() - start
    cost = log_loss(y_test, network.predict_proba(X_test))
    print(
        f"{network.coefs_[0].dtype}   {seconds:6.1f} s   {network.n_iter_:6}   "
        f"{network.score(X_test, y_test):8.3f}   {cost:8.4f}"
    )
    return network


print("\n             time   epochs   accuracy   log loss")
single = fit_and_report(NETWORK, X_train, y_train)
accuracy = np.mean((best_possible > 0.5) == y_test)
cost = log_loss(y_test, best_possible)
print(f"best possible               {accuracy:8.3f}   {cost:8.4f}")

# %%
# When to stop
# ------------
# The validation cost is that of the held-out 25 000 rows. Training stops three epochs
# after the best, and keeps the best epoch's weights. On so many rows both curves are
# close together: the network does not overfit, and more epochs gain little.

display = TrainingCurveDisplay.from_estimator(single)
display.ax_.set_title("A table of 300 000 rows: cost of each epoch")
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()

# %%
# Precision
# ---------
# In float64 the same network takes longer, and is no better.

fit_and_report(clone(NETWORK).set_params(dtype="float64"), X_train, y_train)

# %%
# Memory
# ------
# `tracemalloc` counts every array that NumPy allocates. Training reads X batch by batch
# and never copies or converts the whole table. Every epoch needs the same memory, so a
# `TimeBudget` of one second is enough to measure it. With a larger budget, the same
# callback bounds the time of a real training.

watched = clone(NETWORK).set_callbacks(TimeBudget(seconds=1))
tracemalloc.start()
watched.fit(X_train, y_train)
_, peak = tracemalloc.get_traced_memory()
tracemalloc.stop()
print(f"\nA fit takes {peak / 1e6:.0f} MB beside the table")

# %%
# Conclusions
# -----------
# * Pass ``ensemble_size=1`` to train one network, and create X as float32.
# * Leave the number of epochs to early stopping, and bound the time by `TimeBudget`.
# * A table that does not fit into memory can be learned from a memory-mapped array, or
#   part by part with ``partial_fit``.
