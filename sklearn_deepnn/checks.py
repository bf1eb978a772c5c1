"""Checks of single values that users pass. Every message names the parameter, the rule and the value."""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

VARIADIC = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD  # *args and **kwargs

SIMILAR = 0.7  # least similarity of a misspelt name to the name that is suggested, by `difflib`


class InvalidParameterError(ValueError, TypeError):
    """A parameter violates its rule. Like the error of scikit-learn, it is a ValueError and a TypeError."""


def reject(name: str, rule: str, value: object, hint: str = "") -> NoReturn:
    """Raise an `InvalidParameterError`: {name} must be {rule}, got {value}. A hint may follow."""
    raise InvalidParameterError(f"{name} must be {rule}, got {value!r}. {hint}".rstrip())


def check_path(name: str, path: Any, rule: str = "the path of a file or folder") -> Path:
    """Return a path, with a leading ~ replaced by the user's home folder."""
    if not isinstance(path, (str, os.PathLike)):
        reject(name, rule, path)
    return Path(os.path.expanduser(path))


def argument_names(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments of a function or class, without *args and **kwargs."""
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind not in VARIADIC]


@contextmanager
def naming(name: str, rule: str = "valid", *others: type[Exception]) -> Iterator[None]:
    """Add the name of an argument to the errors that scikit-learn or NumPy raise in a with block, `others` too."""
    kinds: tuple[type[Exception], ...] = (TypeError, ValueError, OverflowError, *others)
    try:
        yield
    except kinds as error:
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
    """Return `value` if it is a finite real number between `low` and `high`."""
    is_inside = (
        isinstance(value, Real)
        and not isinstance(value, bool)
        and _is_finite(value)
        and (low is None or not value <= low or (value == low and closed in ("left", "both")))
        and (high is None or value < high or (value == high and closed in ("right", "both")))
    )
    if not is_inside:
        left = "(-inf" if low is None else ("[" if closed in ("left", "both") else "(") + f"{low:g}"
        right = "inf)" if high is None else f"{high:g}" + ("]" if closed in ("right", "both") else ")")
        reject(name, f"a number in {left}, {right}{otherwise}", value)
    return value


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def check_integer(name: str, value: Any, low: int, *, otherwise: str = "") -> Any:
    """Return `value` if it is an integer of at least `low`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        reject(name, f"an integer of at least {low}{otherwise}", value)
    return value


def check_patience(name: str, value: Any, *, otherwise: str = "") -> Any:
    """Return `value` if it is a number of epochs to wait, an integer of at least 1, or infinity: wait for ever."""
    if isinstance(value, Real) and value == math.inf:
        return value
    return check_integer(name, value, 1, otherwise=f"{',' if otherwise else ' or'} np.inf{otherwise}")


def check_flag(name: str, value: Any) -> Any:
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        reject(name, "True or False", value)
    return value


def check_choice(
    name: str, value: Any, choices: Iterable[str], *, otherwise: str = "", synonyms: Mapping[str, str] | tuple[()] = ()
) -> str:
    """Return `value` if it is one of `choices`. For other names, the error suggests the closest of them."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        rule = f"one of {choices}" if len(choices) > 1 else repr(choices[0])
        meant = closest_choice(value, choices, synonyms)
        reject(name, rule + otherwise, value, f"Did you mean {meant!r}?" if meant else "")
    return value


def closest_choice(value: Any, choices: Iterable[str], synonyms: Mapping[str, str] | tuple[()] = ()) -> str | None:
    """Return the choice that a name stands for or resembles, or None. Case, spaces and punctuation do not count."""
    if not isinstance(value, str):
        return None
    known = {bare(name): choice for name, choice in (dict(synonyms) | {choice: choice for choice in choices}).items()}
    close = get_close_matches(bare(value), known, n=1, cutoff=SIMILAR)
    return known[close[0]] if close else None


def bare(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return "".join(character for character in name.casefold() if character.isalnum())
