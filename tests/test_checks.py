import numpy as np
import pytest

from sklearn_deepnn.checks import (
    InvalidParameterError,
    check_choice,
    check_flag,
    check_integer,
    check_real,
    naming,
    reject,
)


def test_messages_name_parameter_rule_and_value():
    with pytest.raises(InvalidParameterError, match=r"^dropout_rate must be in \[0, 1\), got 1\.5\.$"):
        reject("dropout_rate", "in [0, 1)", 1.5)


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_an_invalid_parameter_is_a_value_error_and_a_type_error(kind):
    with pytest.raises(kind):
        reject("momentum", "a number", "high")


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.5), np.int64(1)])
def test_check_real_returns_numbers_inside_the_interval(value):
    assert check_real("rate", value, 0, 1) is value


@pytest.mark.parametrize("value", [True, np.nan, np.inf, -np.inf, "0.5", None, 1j, [0.5], -1e-300, 1 + 1e-15])
def test_check_real_rejects_other_values(value):
    with pytest.raises(InvalidParameterError, match=r"^rate must be a number in \[0, 1\], got "):
        check_real("rate", value, 0, 1)


@pytest.mark.parametrize(
    ("closed", "with_low", "with_high", "interval"),
    [
        ("both", True, True, r"\[0, 1\]"),
        ("left", True, False, r"\[0, 1\)"),
        ("right", False, True, r"\(0, 1\]"),
        ("neither", False, False, r"\(0, 1\)"),
    ],
)
def test_check_real_accepts_an_end_of_the_interval_only_if_it_is_closed(closed, with_low, with_high, interval):
    for end, belongs in ((0, with_low), (1, with_high)):
        if belongs:
            assert check_real("rate", end, 0, 1, closed=closed) == end
        else:
            with pytest.raises(InvalidParameterError, match=interval):
                check_real("rate", end, 0, 1, closed=closed)


def test_check_real_has_no_limit_on_a_side_without_an_end():
    assert check_real("shift", -1e300) == -1e300
    with pytest.raises(InvalidParameterError, match=r"\(-inf, inf\), got nan"):
        check_real("shift", np.nan)


@pytest.mark.parametrize("value", [1, 7, np.int32(2)])
def test_check_integer_returns_integers_of_at_least_low(value):
    assert check_integer("n", value, 1) is value


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, np.float64(2)])
def test_check_integer_rejects_other_values(value):
    with pytest.raises(InvalidParameterError, match=r"^n must be an integer of at least 1, got "):
        check_integer("n", value, 1)


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_check_flag_returns_true_and_false(value):
    assert check_flag("shuffle", value) is value


@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_check_flag_rejects_other_values(value):
    with pytest.raises(InvalidParameterError, match=r"^shuffle must be True or False, got "):
        check_flag("shuffle", value)


def test_check_choice_returns_a_name_of_the_choices():
    assert check_choice("loss", "b", {"a": 1, "b": 2}) == "b"


@pytest.mark.parametrize("value", ["c", None, 1, ["a"]])
def test_the_error_of_check_choice_lists_the_names(value):
    with pytest.raises(InvalidParameterError, match=r"^loss must be one of \['a', 'b'\] or a callable, got "):
        check_choice("loss", value, {"a": 1, "b": 2}, otherwise=" or a callable")


@pytest.mark.parametrize("value", ["RMS-Prop", "rms prop", "rmsprob", "root_mean_square"])
def test_the_error_of_check_choice_suggests_a_close_name_or_that_of_a_synonym(value):
    with pytest.raises(InvalidParameterError, match=rf"^rule must be .*, got '{value}'\. Did you mean 'rmsprop'\?$"):
        check_choice("rule", value, ["sgd", "rmsprop"], synonyms={"RootMeanSquare": "rmsprop"})


# Errors of other packages.


@pytest.mark.parametrize("error", [TypeError, ValueError, OverflowError])
def test_naming_adds_the_name_of_the_argument_to_an_error(error):
    message = r"^baseline must be one value per feature: wrong\.$"
    with pytest.raises(ValueError, match=message) as raised, naming("baseline", "one value per feature"):
        raise error("wrong.")
    assert isinstance(raised.value.__cause__, error)


@pytest.mark.parametrize("error", [TypeError("baseline is wrong."), KeyError("wrong.")], ids=repr)
def test_naming_does_not_change_errors_that_contain_the_name_or_are_of_another_type(error):
    with pytest.raises(type(error)) as raised, naming("baseline"):
        raise error
    assert raised.value is error
