"""Checks of what users pass: every message names the parameter, the rule and the value."""

import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np

# packages between users and what they called
BETWEEN = {__name__.split(".")[0], "sklearn", "joblib", "numpy", "contextlib"}


class InvalidParameterError(ValueError, TypeError):
    """A parameter breaks its rule; both a ValueError and a TypeError, as scikit-learn's own."""


def reject(name: str, rule: str, value: object) -> NoReturn:
    """Raise `InvalidParameterError` in the one form that this package's messages have."""
    raise InvalidParameterError(f"{name} must be {rule}, got {value!r}.")


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn, and point at the line that called scikit-learn or this package, however deep inside this is.

    Parameters
    ----------
    message : str
    category : type
    """
    frame, level = sys._getframe(1), 2  # of the function that warns
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def naming(name: str, rule: str = "valid") -> Iterator[None]:
    """Let errors that scikit-learn or NumPy raise inside say which argument is meant, if they do not yet.

    Parameters
    ----------
    name : str
    rule : str, default="valid"
        What the argument must be.

    Raises
    ------
    ValueError
    """
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        if name in str(error):
            raise
        raise ValueError(f"{name} must be {rule}: {error}") from error


def check_real(
    name: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    closed: str = "both",
    otherwise: str = "",
) -> Any:
    """Return `value` if it is a finite number between `low` and `high`.

    Parameters
    ----------
    name : str
        What the error calls the value.
    value : object
    low, high : float, optional
        Ends of the interval; None leaves a side open.
    closed : {"left", "right", "both", "neither"}, default="both"
        The ends that belong to the interval.
    otherwise : str, default=""
        As in `check_choice`.

    Raises
    ------
    InvalidParameterError
        If `value` is not a finite real number (a bool is none) or lies outside.
    """
    inside = (  # typeshed has no > of Real
        isinstance(value, Real)
        and not isinstance(value, bool)
        and _is_finite(value)
        and (low is None or value > low or (value == low and closed in ("left", "both")))  # type: ignore[operator]
        and (high is None or value < high or (value == high and closed in ("right", "both")))
    )
    if not inside:
        left = "(-inf" if low is None else ("[" if closed in ("left", "both") else "(") + f"{low:g}"
        right = "inf)" if high is None else f"{high:g}" + ("]" if closed in ("right", "both") else ")")
        reject(name, f"a number in {left}, {right}{otherwise}", value)
    return value


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def check_integer(name: str, value: Any, low: int, *, otherwise: str = "") -> Any:
    """Return `value` if it is an integer (a bool is none) of at least `low`.

    Parameters
    ----------
    name : str
    value : object
    low : int
    otherwise : str, default=""
        As in `check_choice`.

    Raises
    ------
    InvalidParameterError
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        reject(name, f"an integer of at least {low}{otherwise}", value)
    return value


def check_flag(name: str, value: Any) -> Any:
    """Return `value` if it is True or False.

    Raises
    ------
    InvalidParameterError
    """
    if not isinstance(value, (bool, np.bool_)):
        reject(name, "True or False", value)
    return value


def check_choice(name: str, value: Any, choices: Iterable[str], *, otherwise: str = "") -> str:
    """Return `value` if it is one of the names in `choices`; the error lists them.

    Parameters
    ----------
    name : str
    value : object
    choices : iterable of str
        A registry, usually.
    otherwise : str, default=""
        What else the parameter accepts, said at the end of the rule: " or a callable".

    Raises
    ------
    InvalidParameterError
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        rule = f"one of {choices}" if len(choices) > 1 else repr(choices[0])
        reject(name, rule + otherwise, value)
    return value
