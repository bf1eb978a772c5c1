"""
What a hidden layer sees, and what decides
==========================================

Activations and gradients show how a network predicts. This network reads handwritten
digits. The example shows the activations of its hidden layers, and the pixels that a
prediction depends on. Then it tests the answer: it erases those pixels, and counts how
many predictions change.
"""

import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.plotting import NetworkDisplay

try:
    import matplotlib.pyplot as plt
except ImportError:
    raise SystemExit(
        "This example draws, which needs matplotlib: python -m pip install matplotlib"
    ) from None

# %%
# Real data, and a network
# ------------------------
# The data are 1797 digits of 8 x 8 pixels, from 0 (paper) to 1 (ink). They are neither
# scaled nor encoded, so that a step of the same size means the same for every pixel.

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.25, stratify=y, random_state=0
)

network = DeepNNClassifier(
    hidden_layer_dims=(64, 32),
    ensemble_size=1,
    scale_inputs=None,
    numeric_encoding=None,
    activation="relu",
    learning_rate=0.003,
    weight_decay=1.0,
    early_stopping=False,
    max_iter=60,
    random_state=0,
)
network.fit(X_train, y_train)
print(f"accuracy on the test set: {network.score(X_test, y_test):.3f}")

# %%
# How the layers represent digits
# -------------------------------
# `hidden_activations` returns a row for each sample, as a transformer does. The plots
# show the first two principal components of these rows, and of the pixels. The accuracy
# of a classifier of the five nearest training samples measures how well the two
# components separate the digits.


def in_two_dimensions(view):
    """Return two components of the test samples, and the accuracy of 5 neighbours."""
    model = make_pipeline(PCA(2, random_state=0), KNeighborsClassifier(5)).fit(
        view(X_train), y_train
    )
    return model[0].transform(view(X_test)), model.score(view(X_test), y_test)


views = {
    "pixels": lambda X: X,
    "hidden layer 1": lambda X: network.hidden_activations(X, layer=1),
    "hidden layer 2": lambda X: network.hidden_activations(X, layer=2),
}
fig, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
print("\nAccuracy of 5 nearest neighbours in two dimensions")
for ax, (name, view) in zip(axes, views.items()):
    places, accuracy = in_two_dimensions(view)
    print(f"  {name:14}   {accuracy:.3f}")
    for digit in range(10):
        ax.scatter(
            *places[y_test == digit].T, marker=f"${digit}$", s=35, linewidths=0.4
        )
    ax.set(title=f"{name}: {accuracy:.0%}", xlabel="component 1", xticks=[], yticks=[])
axes[0].set_ylabel("component 2")
fig.suptitle(
    "Test digits on two principal components, and accuracy of 5 nearest neighbours"
)

# %%
# Are the layers healthy?
# -----------------------
# `NetworkDisplay` draws the weights and the activations of every layer, and the
# fraction of dead units, which are 0 for every sample and contribute nothing. Weights
# near zero contribute little.

NetworkDisplay.from_estimator(network, X_test)

# %%
# Which pixels?
# -------------
# Two questions are easily confused:
#
# * `input_gradients`: how does a little more ink in this pixel change the prediction?
#   Here the prediction is the logit, because the probability of a digit of which the
#   network is sure hardly changes.
# * `integrated_gradients`: how much does this pixel contribute to the prediction,
#   compared with blank paper? These contributions add up to the whole difference.

predicted = network.predict(X_test)
gradients = network.input_gradients(X_test, of="logit")
blank = np.zeros(X.shape[1])
contributions = network.integrated_gradients(
    X_test, baseline=blank, n_steps=64, of="logit"
)

columns = np.searchsorted(network.classes_, predicted)
logits = network.decision_function(X_test)[np.arange(len(X_test)), columns]
error = np.abs(
    network.decision_function([blank])[0, columns] + contributions.sum(axis=1) - logits
).max()
print(
    f"\nContributions add up to the logit, of {logits.mean():.1f} on average, "
    f"with an error of {error:.3f} at most"
)

shown = [
    np.flatnonzero((y_test == digit) & (predicted == digit))[0] for digit in range(10)
]
rows = {
    "pixels": X_test,
    "gradients": gradients,
    "integrated\ngradients": contributions,
}
fig, axes = plt.subplots(3, 10, figsize=(10, 3.8), layout="constrained")
for row, (name, values) in zip(axes, rows.items()):
    largest = np.abs(values[shown]).max()
    style = (
        {"cmap": "Greys", "vmin": 0}
        if name == "pixels"
        else {"cmap": "RdBu_r", "vmin": -largest}
    )
    for ax, sample in zip(row, shown):
        image = ax.imshow(values[sample].reshape(8, 8), vmax=largest, **style)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name)
    fig.colorbar(
        image,
        ax=row,
        label="ink"
        if name == "pixels"
        else "logit / ink"
        if name == "gradients"
        else "logit",
    )
fig.suptitle(
    "What speaks for the digit that was recognised (red), and what against (blue)"
)

# %%
# Are the answers true?
# ---------------------
# Erase the pixels that are said to matter, the most important first, and count how many
# predictions stay the same. For comparison, erase pixels chosen at random, and those
# with most ink: erasing a blank pixel changes nothing.

orders = {
    "random": np.random.default_rng(0).random(X_test.shape),
    "most ink": X_test,
    "largest gradient": np.abs(gradients),
    "largest contribution": contributions,
}
numbers = [0, 1, 2, 4, 8, 16]
print("\nPredictions that stay when pixels are made blank")
print(f"  {'pixels':20}" + "".join(f"{n:6}" for n in numbers))
kept = {}
for name, importance in orders.items():
    by_importance = np.argsort(-importance, axis=1)
    kept[name] = []
    for n in numbers:
        erased = X_test.copy()
        np.put_along_axis(erased, by_importance[:, :n], 0, axis=1)
        kept[name].append(np.mean(network.predict(erased) == predicted))
    print(f"  {name:20}" + "".join(f"{fraction:6.0%}" for fraction in kept[name]))

fig, ax = plt.subplots(layout="constrained")
for (name, fraction), style in zip(kept.items(), (":", "-.", "--", "-")):
    ax.plot(numbers, fraction, style, marker="o", label=name)
ax.set(
    xlabel="pixels made blank, of 64",
    ylabel="predictions that stay",
    ylim=(-0.03, 1.03),
)
ax.set_title("Digits: what is taken away, and what that changes")
ax.legend()

# %%
# The whole test set at once
# --------------------------
# `permutation_importance` of scikit-learn asks any model: how much accuracy is lost if
# a pixel is shuffled among samples? It says nothing about a single digit, and a pixel
# can look unimportant if its neighbours hold the same information. The second plot
# shows the mean size of the contributions.

shuffled = permutation_importance(
    network, X_test, y_test, n_repeats=10, random_state=0
).importances_mean
mean_contribution = np.abs(contributions).mean(axis=0)
correlation = spearmanr(shuffled, mean_contribution).statistic
print(f"\nRank correlation of both over the pixels: {correlation:.2f}")

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
labels = {
    "permutation importance": "loss of accuracy",
    "integrated gradients": "mean contribution to the logit, absolute",
}
for ax, (title, label), values in zip(
    axes, labels.items(), (shuffled, mean_contribution)
):
    image = ax.imshow(values.reshape(8, 8), cmap="viridis")
    ax.set(title=title, xticks=[], yticks=[])
    fig.colorbar(image, ax=ax, label=label)
if plt.get_backend().lower() != "agg":  # which has no window to show
    plt.show()

# %%
# Conclusions
# -----------
# * The last hidden layer is a representation learned for the task: other methods can
#   use it.
# * A gradient shows how sensitive a prediction is, not what contributes to it. For
#   contributions use integrated gradients, with a baseline that means "nothing there".
# * Any explanation of a prediction can be tested: erase what it names, and compare.
