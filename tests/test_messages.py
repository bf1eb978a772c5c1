import warnings

import numpy as np
import pytest
from one_network import one_network
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_deepnn.messages import warn_user


def warn():
    warn_user("look here", UserWarning)


def called_from(package, call):
    """Return a function that calls `call` and belongs to a module of a package."""
    return eval("lambda: call()", {"__name__": f"{package}.module", "call": call})


def warnings_of(call):
    """Return file, line and text of the warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [(warning.filename, warning.lineno, str(warning.message)) for warning in caught]


def test_a_warning_points_at_the_line_that_called():
    first_line = warn.__code__.co_firstlineno
    assert warnings_of(warn) == [(__file__, first_line + 1, "look here")]


@pytest.mark.parametrize("packages", [["sklearn_deepnn"], ["sklearn_deepnn", "joblib", "sklearn", "contextlib"]])
def test_a_warning_points_past_the_frames_of_internal_packages(packages):
    call = eval("lambda: warn_user('look here', UserWarning)", {"__name__": packages[0], "warn_user": warn_user})
    for package in packages[1:]:
        call = called_from(package, call)

    def user():
        call()

    assert warnings_of(called_from("sklearn", user)) == [(__file__, user.__code__.co_firstlineno + 1, "look here")]


@pytest.mark.parametrize("within", ["alone", "pipeline", "search"])
def test_a_warning_of_fit_points_at_the_line_that_called_fit(within):
    model = one_network((4,), weight_init="zeros", max_iter=15, random_state=0)
    if within != "alone":
        model = make_pipeline(FunctionTransformer(), model)
    if within == "search":
        model = GridSearchCV(model, {}, cv=2, n_jobs=1, refit=False)
    X, y = 100 * np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2

    def user():
        model.fit(X, y)

    found = warnings_of(user)
    assert len(found) == (2 if within == "search" else 1)
    for filename, line, text in found:
        assert (filename, line) == (__file__, user.__code__.co_firstlineno + 1)
        assert text.startswith("The network is no better than")
