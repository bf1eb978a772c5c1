"""
The building blocks of a deep neural network
============================================

This example trains an L-layer network step by step with the building blocks alone:
initialize, forward, cost, backward, update. Then it shows that `DeepNNClassifier` with
the same settings arrives at the same weights, because it runs the same functions.

Inside the network columns are examples: ``X`` has shape (n_0, m), for n_0 features and
m examples. scikit-learn puts examples in rows; the estimator transposes.
"""

import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import SGD, DeepNNClassifier, check_gradient, train_deep_network
from sklearn_deepnn.network.layers import (
    linear_activation_backward,
    linear_activation_forward,
)
from sklearn_deepnn.network.losses import compute_cost
from sklearn_deepnn.network.model import (
    initialize_parameters,
    model_backward,
    model_forward,
)
from sklearn_deepnn.training.optimizers import update_parameters

# %%
# Real data
# ---------
# The data are 569 tumours with 30 measurements each, malignant (0) or benign (1).
# Features are standardised, and samples become columns.

X_rows, y = load_breast_cancer(return_X_y=True)
X_rows = StandardScaler().fit_transform(X_rows)
X, Y = X_rows.T, y[np.newaxis, :]
print(f"X has shape {X.shape}, Y has shape {Y.shape}")

# %%
# Parameters
# ----------
# The network has two hidden layers of 16 and 8 units, and one output. The initial
# weights are random numbers with a variance that suits ReLU; the initial biases are
# zero. The parameters are a dict: "W1", "b1", "W2", ...

layer_dims = [30, 16, 8, 1]
start = initialize_parameters(layer_dims, rng=0)
print(
    "\nParameters",
    *(f"  {name} has shape {array.shape}" for name, array in start.items()),
    sep="\n",
)

# %%
# One layer
# ---------
# Forward: Z = W A_prev + b, then A = relu(Z). The cache keeps what the backward pass
# needs. Backward takes the derivative of the cost with respect to A, and returns those
# with respect to A_prev, W and b. Here a dA of ones stands for the layers that follow.

A1, cache = linear_activation_forward(X, start["W1"], start["b1"], "relu")
dA0, dW1, db1 = linear_activation_backward(np.ones_like(A1), cache, "relu")
print(
    f"\nOne layer: A1 has shape {A1.shape}; "
    f"dA0 {dA0.shape}, dW1 {dW1.shape}, db1 {db1.shape}"
)

# %%
# Training
# --------
# The whole network is a sequence of such layers, with a sigmoid after the last.
# Gradient descent repeats four lines.

learning_rate, num_iterations = 0.1, 1000
parameters, costs = start, []
print("\nGradient descent with the building blocks")
for iteration in range(num_iterations):
    AL, caches = model_forward(X, parameters)
    costs.append(compute_cost(AL, Y))
    grads = model_backward(AL, Y, caches)
    parameters = update_parameters(parameters, grads, learning_rate)
    if iteration % 100 == 0 or iteration == num_iterations - 1:
        print(f"  iteration {iteration:4}   cost {costs[-1]:.6f}")

AL, _ = model_forward(X, parameters)
print(f"  accuracy on the examples it has learnt from: {np.mean((AL > 0.5) == Y):.3f}")

# %%
# The same in one call
# --------------------
# `train_deep_network` is the course's function of this name.

again, costs_again = train_deep_network(
    X, Y, layer_dims, learning_rate, num_iterations, rng=0
)


def largest_difference(those):
    """Return the largest difference of any weight or bias from those trained above."""
    return max(np.abs(parameters[name] - those[name]).max() for name in parameters)


print(
    f"\ntrain_deep_network: weights differ by at most {largest_difference(again):.1e}"
)
assert largest_difference(again) < 1e-10

# %%
# The same from the estimator
# ---------------------------
# With plain gradient descent on the whole set and the same initial parameters, one
# network of `DeepNNClassifier` is the loop above. Scaling, encoding, weight decay,
# label smoothing and early stopping are switched off.

model = DeepNNClassifier(
    hidden_layer_dims=(16, 8),
    ensemble_size=1,
    activation="relu",
    scale_inputs=None,
    numeric_encoding=None,
    weight_init=dict(start),
    optimizer=SGD(),
    learning_rate=learning_rate,
    batch_size=None,
    max_iter=num_iterations,
    weight_decay=0.0,
    label_smoothing=0.0,
    early_stopping=False,
    n_iter_no_change=num_iterations,
)
with warnings.catch_warnings():  # it warns that its cost still falls, as above
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(X_rows, y)
difference = largest_difference(model.parameters_)
print(f"DeepNNClassifier:   weights differ by at most {difference:.1e}")
assert difference < 1e-10
assert np.allclose(model.loss_curve_, costs, rtol=0, atol=1e-10)

# %%
# Are the gradients right?
# ------------------------
# `check_gradient` compares the gradients of backpropagation with finite differences of
# the cost. Correct gradients give less than 1e-7.

error = check_gradient(model, X_rows, y)
print(f"check_gradient:     largest relative error {error:.1e}")
assert error < 1e-7

# %%
# The cost during training
# ------------------------
# This plot needs matplotlib.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("No plot: matplotlib is not installed (python -m pip install matplotlib).")
else:
    fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.semilogy(costs, label="building blocks")
    ax.semilogy(model.loss_curve_, "--", label="DeepNNClassifier")
    ax.set(
        title="Breast cancer: one network, trained twice",
        xlabel="iteration",
        ylabel="cross-entropy",
    )
    ax.legend()
    if plt.get_backend().lower() != "agg":  # which has no window to show
        plt.show()
