"""Compiled loops for activations and optimizers: one pass over memory, where NumPy makes one for each operation.

Each loop computes what the NumPy function in its docstring computes. numba, an optional package, compiles the loops.
Without numba the NumPy functions run. A loop here is plain Python, which can be read and tested without numba.

Conventions: the arrays of one call have one dtype and are C-contiguous, with any number of axes. `b` has a number for
each row of `Z`; the rows of stacked networks follow each other. Exponentials stay in NumPy, whose vectorized functions
take 0.3 to 1.3 ns a number.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from ..messages import warn_user
from ..typing import Array
from .activations import ACTIVATIONS, LEAKY_RELU_SLOPE, Activation, ActivationLike, Backward
from .architecture import Network

Loop: TypeAlias = Callable[..., None]


# Activations. 128 x 512 numbers of float32: bias and ReLU take 5 us for NumPy's 30, the backward of ReLU 6 for 17.


def add_bias_relu(Z: Array, b: Array) -> None:
    """Compute ``relu(Z + b)``. Sets: Z."""
    z, biases, m = Z.ravel(), b.ravel(), Z.shape[-1]
    zero = z.dtype.type(0)  # a plain 0 would make float32 loops compute in float64
    for i in range(biases.size):
        row, bias = z[i * m : (i + 1) * m], biases[i]
        for j in range(m):
            shifted = row[j] + bias
            row[j] = zero if shifted <= zero else shifted  # nan stays nan


def relu_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``relu_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * (one if a[j] > zero else zero)


def add_bias_leaky_relu(Z: Array, b: Array) -> None:
    """Compute ``leaky_relu(Z + b)``. Sets: Z."""
    z, biases, m = Z.ravel(), b.ravel(), Z.shape[-1]
    zero, slope = z.dtype.type(0), z.dtype.type(LEAKY_RELU_SLOPE)
    for i in range(biases.size):
        row, bias = z[i * m : (i + 1) * m], biases[i]
        for j in range(m):
            shifted = row[j] + bias
            row[j] = slope * shifted if shifted <= zero else shifted


def leaky_relu_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``leaky_relu_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    zero, one, slope = a.dtype.type(0), a.dtype.type(1), a.dtype.type(LEAKY_RELU_SLOPE)
    for j in range(out.size):
        out[j] = d[j] * (one if a[j] > zero else slope)


def elu_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``elu_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * (one if a[j] > zero else a[j] + one)


def halve_with_bias(Z: Array, b: Array) -> None:
    """Compute ``0.5 * (Z + b)``, the first line of `silu`. Sets: Z."""
    z, biases, m = Z.ravel(), b.ravel(), Z.shape[-1]
    half = z.dtype.type(0.5)
    for i in range(biases.size):
        row, bias = z[i * m : (i + 1) * m], biases[i]
        for j in range(m):
            row[j] = half * (row[j] + bias)


def silu_product(half: Array, T: Array, A: Array) -> None:
    """Compute ``T += 1; half * T``, the last lines of `silu`. Sets: T, A."""
    h, t, a = half.ravel(), T.ravel(), A.ravel()
    one = h.dtype.type(1)
    for j in range(a.size):
        t[j] += one
        a[j] = h[j] * t[j]


def silu_slope(dA: Array, half: Array, T: Array, dZ: Array) -> None:
    """Compute ``silu_backward(dA, (half, T))``. Sets: dZ."""
    d, h, t, out = dA.ravel(), half.ravel(), T.ravel(), dZ.ravel()
    one, two, one_half = h.dtype.type(1), h.dtype.type(2), h.dtype.type(0.5)
    for j in range(out.size):
        out[j] = ((two - t[j]) * h[j] + one) * t[j] * one_half * d[j]


def tanh_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``tanh_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    one = a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * (one - a[j] * a[j])


def sigmoid_slope(dA: Array, A: Array, dZ: Array) -> None:
    """Compute ``sigmoid_backward(dA, A)``. Sets: dZ."""
    d, a, out = dA.ravel(), A.ravel(), dZ.ravel()
    one = a.dtype.type(1)
    for j in range(out.size):
        out[j] = d[j] * a[j] * (one - a[j])


# Updates. Vectors have one axis. Each loop takes one step of an optimizer. It also
# - multiplies the first `n_decayed` parameters by `decay`, as `decay_weights` does;
# - sets numbers smaller than `tiny` to 0, as `flush_subnormals` does;
# - moves the average, as `move_average` does. The average is an empty vector if there is none.
# The order of operations is that of NumPy: the bits are the same. 535 000 numbers of float32: Adam takes 335 us for
# NumPy's 2 216. All loops have the same first and last lines: numba compiles each function as a whole.


def sgd_step(
    parameters: Array, grads: Array, learning_rate: float,
    average: Array, averaging_rate: float, n_decayed: int, decay: float, tiny: float,
) -> None:  # fmt: skip
    """Take a step of `SGD` without momentum. Sets: parameters, average."""
    number = parameters.dtype.type
    rate, moves, shrinks, least = number(learning_rate), number(averaging_rate), number(decay), number(tiny)
    zero, one, averages = number(0), number(1), average.size > 0
    for i in range(parameters.size):
        p = parameters[i] * (shrinks if i < n_decayed else one) - rate * grads[i]
        parameters[i] = zero if abs(p) < least else p
        if averages:
            a = average[i] + (p - average[i]) * moves
            average[i] = zero if abs(a) < least else a


def momentum_step(
    parameters: Array, grads: Array, learning_rate: float,
    average: Array, averaging_rate: float, n_decayed: int, decay: float, tiny: float,
    v: Array, momentum: float, of_v: float, of_grads: float,
) -> None:  # fmt: skip
    """Take a step of `SGD` with momentum, along of_v v + of_grads grads. Sets: parameters, average, v."""
    number = parameters.dtype.type
    rate, moves, shrinks, least = number(learning_rate), number(averaging_rate), number(decay), number(tiny)
    keeps, v_factor, g_factor = number(momentum), number(of_v), number(of_grads)
    zero, one, averages = number(0), number(1), average.size > 0
    for i in range(parameters.size):
        v_i = keeps * v[i] + grads[i]
        p = parameters[i] * (shrinks if i < n_decayed else one)
        p -= rate * (v_factor * v_i + g_factor * grads[i])
        v[i] = zero if abs(v_i) < least else v_i
        parameters[i] = zero if abs(p) < least else p
        if averages:
            a = average[i] + (p - average[i]) * moves
            average[i] = zero if abs(a) < least else a


def rmsprop_step(
    parameters: Array, grads: Array, learning_rate: float,
    average: Array, averaging_rate: float, n_decayed: int, decay: float, tiny: float,
    v: Array, rho: float, epsilon: float,
) -> None:  # fmt: skip
    """Take a step of `RMSprop`, along grads / (sqrt(v) + epsilon). Sets: parameters, average, v."""
    number = parameters.dtype.type
    rate, moves, shrinks, least = number(learning_rate), number(averaging_rate), number(decay), number(tiny)
    keeps, smallest = number(rho), number(epsilon)
    zero, one, averages = number(0), number(1), average.size > 0
    for i in range(parameters.size):
        v_i = keeps * v[i] + grads[i] * grads[i]
        p = parameters[i] * (shrinks if i < n_decayed else one)
        p -= rate * (grads[i] / (np.sqrt(v_i) + smallest))
        v[i] = zero if v_i < least else v_i
        parameters[i] = zero if abs(p) < least else p
        if averages:
            a = average[i] + (p - average[i]) * moves
            average[i] = zero if abs(a) < least else a


def adam_step(
    parameters: Array, grads: Array, learning_rate: float,
    average: Array, averaging_rate: float, n_decayed: int, decay: float, tiny: float,
    m: Array, v: Array, beta_1: float, beta_2: float, epsilon: float, of_m: float, of_grads: float,
) -> None:  # fmt: skip
    """Take a step of `Adam` or `NAdam` along (of_m m + of_grads grads) / root. Sets: parameters, average, m, v."""
    number = parameters.dtype.type
    rate, moves, shrinks, least = number(learning_rate), number(averaging_rate), number(decay), number(tiny)
    keeps_m, keeps_v, smallest = number(beta_1), number(beta_2), number(epsilon)
    m_factor, g_factor = number(of_m), number(of_grads)
    zero, one, averages = number(0), number(1), average.size > 0
    for i in range(parameters.size):
        m_i = keeps_m * m[i] + grads[i]
        v_i = keeps_v * v[i] + grads[i] * grads[i]
        p = parameters[i] * (shrinks if i < n_decayed else one)
        p -= rate * ((m_factor * m_i + g_factor * grads[i]) / (np.sqrt(v_i) + smallest))
        m[i] = zero if abs(m_i) < least else m_i
        v[i] = zero if v_i < least else v_i
        parameters[i] = zero if abs(p) < least else p
        if averages:
            a = average[i] + (p - average[i]) * moves
            average[i] = zero if abs(a) < least else a


# The arguments of each loop: w are arrays that it writes to, r arrays that it reads, i integers, f other numbers.
ARGUMENTS: dict[Loop, str] = {
    add_bias_relu: "wr",
    relu_slope: "rrw",
    add_bias_leaky_relu: "wr",
    leaky_relu_slope: "rrw",
    elu_slope: "rrw",
    halve_with_bias: "wr",
    silu_product: "rww",
    silu_slope: "rrrw",
    tanh_slope: "rrw",
    sigmoid_slope: "rrw",
    sgd_step: "wrfwfiff",
    momentum_step: "wrfwfiff" + "wfff",
    rmsprop_step: "wrfwfiff" + "wff",
    adam_step: "wrfwfiff" + "wwfffff",
}


# Compilation.

IMPORT_AFTER = 3.0  # seconds of training: importing numba takes 0.5 s, which loops save in 2.5 s of a default fit


class Wait:
    """How long the trainings of this process have waited for compiled loops."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def is_over(self) -> bool:
        """Return whether trainings have taken `IMPORT_AFTER` seconds, or numba is imported already."""
        return "numba" in sys.modules or self.seconds >= IMPORT_AFTER


WAIT = Wait()


class Compiler:
    """numba, and how many loops it has compiled in this process."""

    def __init__(self, numba: Any) -> None:
        self.numba, self.n_compiled = numba, 0

    def compile(self, loop: Loop, dtype: np.dtype[Any], n_axes: int) -> Loop:
        """Compile a loop, or load it from the cache on disk: beside this file, or in the user's cache folder."""
        types, number = self.numba.types, self.numba.from_dtype(dtype)
        kinds = {
            "w": types.Array(number, n_axes, "C"),
            "r": types.Array(number, n_axes, "C", readonly=True),
            "i": types.int64,
            "f": types.float64,
        }
        signature = types.void(*(kinds[kind] for kind in ARGUMENTS[loop]))
        # with nogil, threads run loops in parallel; with NumPy's rules for division, loops are vectorized
        fast = self.numba.njit(signature, nogil=True, cache=True, error_model="numpy")(loop)
        self.n_compiled += sum(fast.stats.cache_misses.values())
        return fast


def import_numba() -> Any:
    """Return the module numba."""
    import numba

    return numba


@cache
def find_compiler() -> Compiler | None:
    """Import numba; return None if it is missing, switched off by NUMBA_DISABLE_JIT, or broken."""
    try:
        if find_spec("numba") is None or os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
            return None
        # Ctrl-C interrupts the main thread alone; an import that is cut short would leave half of numba behind
        with ThreadPoolExecutor(1) as thread:
            numba = thread.submit(import_numba).result()
        return None if numba.config.DISABLE_JIT else Compiler(numba)
    except Exception as error:
        warn_of(f"{type(error).__name__}: {error}")
        return None


@cache
def compiled(loop: Loop, dtype: np.dtype[Any], n_axes: int) -> Loop | None:
    """Return a loop compiled for arrays of a dtype and a number of axes, or None without numba."""
    compiler = find_compiler()
    if compiler is None or dtype not in (np.float32, np.float64):
        return None
    try:
        return compiler.compile(loop, dtype, n_axes)
    except Exception as error:  # no cache folder can be written to, or this numba does not fit this NumPy
        warn_of(f"{type(error).__name__}: {error}".splitlines()[0])
        return None


def is_loaded() -> bool:
    """Say whether a fit in this process has imported numba. Predictions do not: the import takes half a second."""
    return find_compiler.cache_info().currsize > 0 and find_compiler() is not None


def count_compiled() -> int:
    """Return how many loops have been compiled in this process, and not loaded from the cache on disk."""
    compiler = find_compiler()
    return 0 if compiler is None else compiler.n_compiled


@cache
def warn_of(problem: str) -> None:
    """Warn once that numba does not work."""
    text = f"numba is installed but does not work here ({problem}). Training uses NumPy alone, which takes longer."
    warn_user(text, RuntimeWarning)


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
