"""The course's network, one number at a time: slow, and independent of the package it is compared with.

Columns are examples. The backward starts from dAL as the course does, goes through the whole Jacobian of the link, and
knows nothing of the shortcut dZL = AL - Y. Beside it, the finite differences that other tests measure gradients with.
"""

import math

import numpy as np

HIDDEN = {
    "relu": (lambda z: max(z, 0.0), lambda z: 1.0 if z > 0 else 0.0),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + math.exp(-z)), lambda z: math.exp(-z) / (1 + math.exp(-z)) ** 2),
}


def count_layers(parameters):
    """Return L."""
    return sum(name.startswith("W") for name in parameters)


def forward(X, parameters, hidden, output):
    """Return the linear parts [Z1, ..., ZL] and the activations [X, A1, ..., AL]."""
    n_layers, m = count_layers(parameters), X.shape[1]
    Zs, As = [], [X]
    for l in range(1, n_layers + 1):
        W, b = parameters[f"W{l}"], parameters[f"b{l}"]
        Z, A = np.zeros((len(W), m)), np.zeros((len(W), m))
        for j in range(m):
            for i in range(len(W)):
                Z[i, j] = b[i, 0]
                for k in range(W.shape[1]):
                    Z[i, j] += W[i, k] * As[-1][k, j]
            if l < n_layers or output == "sigmoid":
                for i in range(len(W)):
                    A[i, j] = HIDDEN[hidden if l < n_layers else "sigmoid"][0](Z[i, j])
            else:
                total = sum(math.exp(Z[i, j]) for i in range(len(W)))
                for i in range(len(W)):
                    A[i, j] = math.exp(Z[i, j]) / total
        Zs.append(Z)
        As.append(A)
    return Zs, As


def cost(AL, Y, output):
    """Return the mean cross-entropy."""
    total = 0.0
    for i in range(AL.shape[0]):
        for j in range(AL.shape[1]):
            a, y = AL[i, j], Y[i, j]
            if output == "sigmoid":
                total -= y * math.log(a) + (1 - y) * math.log(1 - a)
            elif y:
                total -= y * math.log(a)
    return total / AL.shape[1]


def gradients(X, Y, parameters, hidden, output):
    """Return "dW1", "db1", ..., averaged over the examples."""
    n_layers, m = count_layers(parameters), X.shape[1]
    Zs, As = forward(X, parameters, hidden, output)
    dZ, grads = output_gradient(As[-1], Y, output), {}
    for l in range(n_layers, 0, -1):
        W, A_prev = parameters[f"W{l}"], As[l - 1]
        dW, db, dA_prev = np.zeros(W.shape), np.zeros((len(W), 1)), np.zeros(A_prev.shape)
        for j in range(m):
            for i in range(len(W)):
                db[i, 0] += dZ[i, j] / m
                for k in range(W.shape[1]):
                    dW[i, k] += dZ[i, j] * A_prev[k, j] / m
                    dA_prev[k, j] += W[i, k] * dZ[i, j]
        grads |= {f"dW{l}": dW, f"db{l}": db}
        if l > 1:
            dZ = np.zeros(A_prev.shape)
            for k in range(len(dZ)):
                for j in range(m):
                    dZ[k, j] = dA_prev[k, j] * HIDDEN[hidden][1](Zs[l - 2][k, j])
    return grads


def output_gradient(AL, Y, output):
    """Return dZL by way of dAL and the Jacobian of the link."""
    dZ = np.zeros(AL.shape)
    for j in range(AL.shape[1]):
        a, y = AL[:, j], Y[:, j]
        for i in range(len(a)):
            if output == "sigmoid":
                dZ[i, j] = -(y[i] / a[i] - (1 - y[i]) / (1 - a[i])) * a[i] * (1 - a[i])
            else:
                for k in range(len(a)):
                    dZ[i, j] += -y[k] / a[k] * a[k] * ((i == k) - a[i])
    return dZ


def descend(X, Y, parameters, learning_rate, n_steps, hidden, output):
    """Return the parameters after plain gradient descent, and the cost before each step."""
    parameters, costs = {name: np.array(array, float) for name, array in parameters.items()}, []
    for _ in range(n_steps):
        costs.append(cost(forward(X, parameters, hidden, output)[1][-1], Y, output))
        grads = gradients(X, Y, parameters, hidden, output)
        for name, array in parameters.items():
            for index in np.ndindex(array.shape):
                array[index] -= learning_rate * grads["d" + name][index]
    return parameters, costs


def central_differences(function, at, step=1e-6):
    """Return the slopes of a function of an array, a number, by each entry of the array."""
    slopes = np.zeros(at.shape)
    for index in np.ndindex(at.shape):
        above, below = at.copy(), at.copy()
        above[index] += step
        below[index] -= step
        slopes[index] = (function(above) - function(below)) / (2 * step)
    return slopes


def relative_error(found, wanted):
    """Return the norm of the difference by the sum of the norms."""
    return np.linalg.norm(found - wanted) / (np.linalg.norm(found) + np.linalg.norm(wanted))


def assert_same(a, b):
    """Check that nested dicts, lists and arrays are equal to the bit."""
    assert type(a) is type(b) or {type(a), type(b)} == {np.ndarray, np.memmap}
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            assert_same(one, other)
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b, strict=True)
        if a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b))  # of zeros
    else:
        assert a == b or (a != a and b != b)
