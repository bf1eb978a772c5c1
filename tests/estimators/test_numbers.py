"""Targets that are numbers: how y is read, scaled and refused."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import DataConversionWarning

from sklearn_deepnn.estimators.numbers import NumberTargets, read_numbers
from sklearn_deepnn.network.losses import NUMBER_LOSSES

RNG = np.random.default_rng(0)
Y = RNG.gamma(2, size=50)
TWO = np.c_[Y, 1e6 * RNG.gamma(2, size=50) + 1e9]
WEIGHT = RNG.integers(0, 4, 50).astype(float)


def targets(y, loss="squared_error", weight=None, earlier=None):
    return NumberTargets.read(read_numbers(y, "y"), weight, NUMBER_LOSSES[loss], earlier)


@pytest.mark.parametrize(
    "y",
    [
        [1, 2, 3],
        [1.0, 2.0, 3.0],
        np.array([1, 2, 3], dtype=object),
        pd.Series([1, 2, 3], dtype="Int64"),
        np.array([1, 2, 3], np.uint8),
        pd.Series([1.0, 2.0, 3.0], index=[5, 6, 7]),
    ],
    ids=["integers", "floats", "objects", "nullable", "bytes", "series"],
)
def test_numbers_of_all_kinds_become_float64(y):
    numbers = read_numbers(y, "y").y
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, [1, 2, 3])


def test_bools_are_zeros_and_ones():
    np.testing.assert_array_equal(read_numbers([True, False], "y").y, [1, 0])


def test_one_column_becomes_a_vector_with_a_warning():
    with pytest.warns(DataConversionWarning):
        assert read_numbers(np.ones((3, 1)), "y").y.shape == (3,)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (["a", "b"], r"y must have numbers, got 'a' at position 0\."),
        ([1.0, "b"], r"y must have numbers, got '1.0' at position 0\."),
        (np.array([1.0, "b"], dtype=object), r"y must have numbers, got 'b' at position 1\."),
        (np.array(["2020-01-01"], dtype="M8[D]"), "y must have numbers"),
        ([1.0, np.nan], r"y must have no missing values .*got nan at position 1\."),
        ([1.0, -np.inf], r"y must have finite numbers, got -inf at position 1\."),
        ([1 + 2j, 3], "y must have numbers"),
        (3.0, r"y must have one number per sample, or one row of numbers, got the shape \(\)"),
        (np.ones((2, 2, 2)), r"y must have one number per sample, or one row of numbers, got the shape \(2, 2, 2\)"),
        ([[1.0, 2.0], [3.0]], "y must have one number per sample and target"),
        (csr_array(np.ones((3, 2))), "y must be dense"),
    ],
    ids=[
        "None",
        "text",
        "mixed",
        "object",
        "dates",
        "nan",
        "infinite",
        "complex",
        "scalar",
        "cube",
        "ragged",
        "sparse",
    ],
)
def test_what_is_no_number_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        read_numbers(y, "y")


@pytest.mark.parametrize("loss", NUMBER_LOSSES)
@pytest.mark.parametrize("y", [Y, TWO], ids=["one", "two"])
def test_decoding_inverts_encoding(y, loss):
    of_loss, encoded = targets(y, loss)
    assert encoded.shape == (1 if y.ndim == 1 else 2, 50)
    np.testing.assert_allclose(of_loss.decode(encoded), y, rtol=1e-12)
    restored = NumberTargets.of(
        {"network_": {"layer_dims": [1, of_loss.n_outputs], "loss": loss}, **of_loss.fitted_attributes()}
    )
    np.testing.assert_array_equal(restored.decode(encoded), of_loss.decode(encoded))


def test_squared_errors_have_standardised_targets():
    _, encoded = targets(TWO)
    np.testing.assert_allclose(encoded.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(encoded.std(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_targets_of_a_logarithm_are_not_shifted(loss):
    of_loss, encoded = targets(Y, loss)
    assert of_loss.center == 0
    np.testing.assert_allclose(encoded.mean(), 1, rtol=1e-12)


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "quantile"])
def test_outliers_do_not_change_the_scale_of_robust_losses(loss):
    with_outliers = np.r_[Y, 1e9, -1e9]
    plain, robust = targets(Y, loss)[0], targets(with_outliers, loss)[0]
    assert plain.scale == pytest.approx(robust.scale, rel=0.3)


@pytest.mark.parametrize("loss", NUMBER_LOSSES)
def test_weights_equal_repetition_and_samples_of_weight_zero_do_not_count(loss):
    y = np.where(WEIGHT == 0, 1e12, Y)
    weighted, repeated = targets(y, loss, WEIGHT)[0], targets(np.repeat(Y, WEIGHT.astype(int)), loss)[0]
    np.testing.assert_allclose(weighted.center, repeated.center, rtol=1e-12)
    np.testing.assert_allclose(weighted.scale, repeated.scale, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e9, 1e300])
def test_sizes_far_from_one_are_scaled_alike(size):
    np.testing.assert_allclose(targets(size * Y)[1], targets(Y)[1], rtol=1e-9)


@pytest.mark.parametrize("constant", [0.0, 1e-9, -7.3, 1e15])
def test_a_constant_target_is_predicted_exactly_and_scaled_by_later_data(constant):
    of_constant, encoded = targets(np.full(9, constant))
    assert not encoded.any()
    np.testing.assert_array_equal(of_constant.decode(np.array([[0.3, -2.0]])), [constant, constant])
    later, _ = targets(Y, earlier=of_constant)
    assert later.scale == pytest.approx(Y.std())


def test_targets_of_an_earlier_training_stay_scaled():
    first, _ = targets(TWO)
    later, encoded = targets(2 * TWO, earlier=first)
    np.testing.assert_array_equal(later.scale, first.scale)
    np.testing.assert_allclose(later.decode(encoded), 2 * TWO, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "value", "rule"), [("poisson", -1.0, "no negative numbers"), ("gamma", 0.0, "positive numbers")]
)
def test_targets_out_of_the_range_of_their_loss_are_refused(loss, value, rule):
    y = Y.copy()
    y[3] = value
    with pytest.raises(ValueError, match=rf"^y must have {rule} for loss='{loss}', got {value} at position 3\.$"):
        targets(y, loss)
    with pytest.raises(ValueError, match=rf"^y_val must have {rule} for loss='{loss}', got {value} at position 3\.$"):
        targets(Y, loss)[0].read_validation(read_numbers(y, "y_val"), None)


def test_another_width_than_before_is_refused():
    with pytest.raises(ValueError, match=r"^y must have 1 target per sample, as at the beginning of training, got the"):
        targets(TWO, earlier=targets(Y)[0])
    with pytest.raises(ValueError, match=r"^y_val must have 2 targets per sample, like y, got the shape \(50,\)\.$"):
        targets(TWO)[0].read_validation(read_numbers(Y, "y_val"), None)


def test_a_variance_that_overflows_is_refused():
    with pytest.raises(ValueError, match="y must have a finite variance"):
        targets(np.array([-1.7e308, 1.7e308, 0]))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile", "huber"])
def test_an_integer_weight_counts_like_repeated_samples(loss):
    rng = np.random.default_rng(0)
    for _ in range(50):
        y, weight = rng.integers(0, 30, 9).astype(float), rng.integers(1, 8, 9)
        weighted, _ = targets(y, loss, weight.astype(float))
        repeated, _ = targets(np.repeat(y, weight), loss)
        assert weighted.center == pytest.approx(repeated.center, abs=1e-12)
        assert weighted.scale == pytest.approx(repeated.scale)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_samples_of_weight_zero_may_have_any_target(loss):
    weighted, _ = targets([-1.0, 2.0, 4.0], loss, np.array([0.0, 1.0, 1.0]))
    assert weighted.scale == 3
    assert weighted.read_validation(read_numbers([-1.0, 3.0], "y_val"), np.array([0.0, 1.0]))[0, 1] == 1


def test_targets_that_are_constant_in_each_chunk_vary_between_chunks():
    first, _ = targets(np.array([3.0]))
    second, encoded = targets(np.array([5.0]), earlier=first)
    assert (second.center, second.scale) == (3, 2)
    assert encoded == 1


def test_a_first_chunk_of_zeros_does_not_scale_counts():
    zeros, _ = targets(np.zeros(5), loss="poisson")
    assert zeros.decode(np.array([[0.3]])) == 0
    later, _ = targets(np.array([400.0, 440.0]), loss="poisson", earlier=zeros)
    assert later.scale == 420


def test_decimals_are_numbers():
    np.testing.assert_array_equal(read_numbers([Decimal("1.5"), Decimal("2")], "y").y, [1.5, 2])
