"""Warnings and printed lines. None of them ends a training if it cannot be written."""

import atexit
import os
import sys
import warnings
from contextlib import suppress

# warnings point past the frames of these packages, at the user's code
INTERNAL_PACKAGES = {__name__.split(".")[0], "sklearn", "joblib", "numpy", "contextlib"}


def warn_user(message: str, category: type[Warning]) -> None:
    """Issue a warning that points at the user's line that called this package or scikit-learn."""
    frame, level = sys._getframe(1), 2  # the caller of this function
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in INTERNAL_PACKAGES:
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(message, category, stacklevel=level)
    except Warning:  # a filter turns warnings into errors
        raise
    except Exception:  # stderr is closed, or another stream that cannot be written
        return


def print_line(text: str) -> None:
    """Print a line at once."""
    try:
        print(text, flush=True)
    except OSError:
        atexit.unregister(drop_unwritten)
        atexit.register(drop_unwritten)
        raise


def drop_unwritten() -> None:
    """Drop what stdout and stderr hold if it cannot be written. Otherwise, Python complains when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            with suppress(Exception):  # a stream may have no file
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
