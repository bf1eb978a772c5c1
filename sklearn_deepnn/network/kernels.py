"""Compiled loops for activations, each of which computes what the NumPy function in its docstring computes.

Conventions: arrays have any number of axes. `b` has a number for each row of `Z`; the rows of stacked networks follow
each other. Exponentials stay in NumPy, whose vectorized functions take 0.3 to 1.3 ns a number.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..compilation import Loop, compiled, takes
from ..typing import Array
from .activations import ACTIVATIONS, LEAKY_RELU_SLOPE, Activation, ActivationLike, Backward
from .architecture import Network

# Activations. 128 x 512 numbers of float32: bias and ReLU take 5 us for NumPy's 30, the backward of ReLU 6 for 17.


@takes("wr")
def add_bias_relu(Z: Array, b: Array) -> None:
    """Compute ``relu(Z + b)``. Sets: Z."""
    z, biases, m = Z.ravel(), b.ravel(), Z.shape[-1]
    zero = z.dtype.type(0)  # a plain 0 would make float32 loops compute in float64
    for i in range(biases.size):
        row, bias = z[i * m : (i + 1) * m], biases[i]
        for j in range(m):
            shifted = row[j] + bias
            row[j] = zero if shifted <= zero else shifted  # nan stays nan


@takes("rrw")
def relu_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``relu_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * (one if a[j] > zero else zero)


@takes("wr")
def add_bias_leaky_relu(Z: Array, b: Array) -> None:
    """Compute ``leaky_relu(Z + b)``. Sets: Z."""
    z, biases, m = Z.ravel(), b.ravel(), Z.shape[-1]
    zero, slope = z.dtype.type(0), z.dtype.type(LEAKY_RELU_SLOPE)
    for i in range(biases.size):
        row, bias = z[i * m : (i + 1) * m], biases[i]
        for j in range(m):
            shifted = row[j] + bias
            row[j] = slope * shifted if shifted <= zero else shifted


@takes("rrw")
def leaky_relu_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``leaky_relu_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    zero, one, slope = a.dtype.type(0), a.dtype.type(1), a.dtype.type(LEAKY_RELU_SLOPE)
    for j in range(out.size):
        out[j] = d[j] * (one if a[j] > zero else slope)


@takes("rrw")
def elu_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``elu_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * (one if a[j] > zero else a[j] + one)


@takes("wr")
def halve_with_bias(Z: Array, b: Array) -> None:
    """Compute ``0.5 * (Z + b)``, the first line of `silu`. Sets: Z."""
    z, biases, m = Z.ravel(), b.ravel(), Z.shape[-1]
    half = z.dtype.type(0.5)
    for i in range(biases.size):
        row, bias = z[i * m : (i + 1) * m], biases[i]
        for j in range(m):
            row[j] = half * (row[j] + bias)


@takes("rww")
def silu_product(half: Array, T: Array, A: Array) -> None:
    """Compute ``T += 1; half * T``, the last lines of `silu`. Sets: T, A."""
    h, t, a = half.ravel(), T.ravel(), A.ravel()
    one = h.dtype.type(1)
    for j in range(a.size):
        t[j] += one
        a[j] = h[j] * t[j]


@takes("rrrw")
def silu_slope(dA: Array, half: Array, T: Array, dZ: Array) -> None:
    """Compute ``silu_backward(dA, (half, T))``. Sets: dZ."""
    d, h, t, out = dA.ravel(), half.ravel(), T.ravel(), dZ.ravel()
    one, two, one_half = h.dtype.type(1), h.dtype.type(2), h.dtype.type(0.5)
    for j in range(out.size):
        out[j] = ((two - t[j]) * h[j] + one) * t[j] * one_half * d[j]


@takes("rrw")
def tanh_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``tanh_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    one = a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * (one - a[j] * a[j])


@takes("rrw")
def sigmoid_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``sigmoid_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    one = a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * a[j] * (one - a[j])


# Compiled activations: `biased_forward` and `backward` by the loops above.


def backward_by(slope: Loop) -> Backward:
    """Return the backward of an activation by a loop, whose arguments are dA, the cache, and dZ."""

    def backward(dA: Array, cache: Any) -> Array:
        dA = np.ascontiguousarray(dA)
        dZ = np.empty_like(dA)
        slope(dA, cache, dZ)
        return dZ

    return backward


def with_slope(activation: Activation, slope: Loop) -> Activation:
    """Return an activation whose backward is a compiled loop."""
    return replace(activation, backward=backward_by(slope))


def with_loops(activation: Activation, slope: Loop, add_bias: Loop) -> Activation:
    """Return an activation whose cache is A, with compiled loops."""

    def biased_forward(Z: Array, b: Array) -> tuple[Array, Array]:
        add_bias(Z, np.ascontiguousarray(b))
        return Z, Z

    return replace(activation, backward=backward_by(slope), biased_forward=biased_forward)


def tanh_with_loops(activation: Activation, slope: Loop) -> Activation:
    """Return tanh with a compiled loop. Its forward stays in NumPy, but needs no second array."""

    def add_bias_tanh(Z: Array, b: Array) -> None:
        Z += b
        np.tanh(Z, out=Z)

    return with_loops(activation, slope, add_bias_tanh)


def silu_with_loops(activation: Activation, halve: Loop, multiply: Loop, slope: Loop) -> Activation:
    """Return silu with compiled loops."""

    def biased_forward(Z: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
        halve(Z, np.ascontiguousarray(b))
        T, A = np.tanh(Z), np.empty_like(Z)
        multiply(Z, T, A)
        return A, (Z, T)

    def slope_of_pair(dA: Array, cache: tuple[Array, Array], dZ: Array) -> None:
        slope(dA, *cache, dZ)

    return replace(activation, backward=backward_by(slope_of_pair), biased_forward=biased_forward)


# The loops of each activation, and the function that builds the compiled activation: build(activation, *loops).
LOOPS: dict[str, tuple[tuple[Loop, ...], Callable[..., Activation]]] = {
    "relu": ((relu_slope, add_bias_relu), with_loops),
    "leaky_relu": ((leaky_relu_slope, add_bias_leaky_relu), with_loops),
    "elu": ((elu_slope,), with_slope),
    "silu": ((halve_with_bias, silu_product, silu_slope), silu_with_loops),
    "tanh": ((tanh_slope,), tanh_with_loops),
    "sigmoid": ((sigmoid_slope,), with_slope),
}


def compiled_activation(activation: ActivationLike, dtype: np.dtype[Any], n_axes: int) -> ActivationLike:
    """Return an activation with compiled loops for Z of a dtype and a number of axes; unchanged if it has none."""
    if not isinstance(activation, str) or activation not in LOOPS:
        return activation
    loops, build = LOOPS[activation]
    fast = [compiled(loop, dtype, n_axes) for loop in loops]
    return activation if None in fast else build(ACTIVATIONS[activation], *fast)


def compiled_network(network: Network, dtype: np.dtype[Any]) -> Network:
    """Return a network whose activations have compiled loops, where there are any: the same bits."""
    n_axes = 2 if network.ensemble_size == 1 else 3
    activation = [compiled_activation(of_layer, dtype, n_axes) for of_layer in network.activation]
    return Network.restore({**vars(network), "activation": activation})
