"""Stratified draws of the rows that are held out, and of an ensemble's folds."""

import numpy as np
import pytest

from sklearn_deepnn.estimators.validation import draw_fold, draw_folds

# Rows that are held out.


@pytest.mark.parametrize("n_drawn", [0, 1, 7, 50, 99, 100])
@pytest.mark.parametrize("counts", [(100,), (60, 30, 10), (94, 2, 2, 2), (33, 0, 67), (1,) * 100], ids=str)
def test_each_stratum_is_drawn_from_by_its_fraction(counts, n_drawn):
    rng = np.random.default_rng(0)
    strata = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    before = strata.copy()
    drawn = draw_fold(strata, n_drawn, np.random.default_rng(1))
    assert drawn.dtype == bool
    assert drawn.shape == strata.shape
    assert drawn.sum() == n_drawn
    from_each = np.bincount(strata[drawn], minlength=len(counts))
    assert np.abs(from_each - np.array(counts) * n_drawn / 100).max() < 1
    assert (from_each <= counts).all()
    np.testing.assert_array_equal(strata, before)


def test_a_seed_draws_the_same_rows():
    strata = np.arange(100) % 3
    first, second, other = (draw_fold(strata, 30, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_ties_between_strata_are_broken_at_random():
    strata = np.arange(500) % 100  # of 5 samples each, half of one is to be drawn
    drawn_from = {n for seed in range(20) for n in strata[draw_fold(strata, 50, np.random.default_rng(seed))].tolist()}
    assert len(drawn_from) == 100


def test_no_stratum_loses_its_last_sample():
    strata = np.r_[np.zeros(180, int), np.arange(1, 21)]
    for seed in range(20):
        kept = strata[~draw_fold(strata, 20, np.random.default_rng(seed))]
        assert set(kept.tolist()) == set(range(21))


def test_samples_are_drawn_from_strata_of_one_sample_if_there_are_no_others():
    assert draw_fold(np.arange(10), 3, np.random.default_rng(0)).sum() == 3


def test_every_sample_is_equally_likely_to_be_drawn():
    rng, n_draws = np.random.default_rng(0), 2000
    strata = rng.permutation(np.repeat([0, 1, 2], [20, 12, 8]))
    n_times = sum(draw_fold(strata, 10, rng).astype(int) for _ in range(n_draws))
    deviation = (n_draws * 0.25 * 0.75) ** 0.5
    assert np.abs(n_times - n_draws / 4).max() < 4 * deviation  # of 40 samples, in 1 of 400 seeds
    assert 0.6 * deviation < n_times.std() < 1.4 * deviation  # and not by turns either


@pytest.mark.parametrize("n_classes", [1, 5, 1000])
def test_drawing_takes_a_few_bytes_for_each_sample(peak_bytes, n_classes):
    n_samples = 1_000_000
    strata = np.random.default_rng(0).integers(n_classes, size=n_samples)
    # 8 for the order by stratum, 8 more to choose from the largest stratum, 3 for flags and small copies
    assert peak_bytes(draw_fold, strata, n_samples // 10, np.random.default_rng(0)) < 20 * n_samples


# Folds.


@pytest.mark.parametrize(("n_drawn", "n_disjoint"), [(10, 10), (30, 3), (33, 3), (60, 1), (1, 12)])
@pytest.mark.parametrize("counts", [(100,), (60, 30, 10), (94, 2, 2, 2), (33, 0, 67)], ids=str)
def test_folds_are_disjoint_as_long_as_there_are_rows_left(counts, n_drawn, n_disjoint):
    strata = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    before = strata.copy()
    folds = np.stack(list(draw_folds(strata, n_drawn, 12, np.random.default_rng(1))))
    assert folds.dtype == bool
    np.testing.assert_array_equal(folds.sum(axis=1), n_drawn)
    for first in range(0, 12, n_disjoint):  # then they begin anew
        assert folds[first : first + n_disjoint].sum(axis=0).max() == 1
    np.testing.assert_array_equal(strata, before)


@pytest.mark.parametrize("counts", [(60, 30, 10), (50, 50), (20, 30, 50)], ids=str)
def test_folds_are_stratified(counts):
    strata = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    for fold in draw_folds(strata, 10, 12, np.random.default_rng(1)):
        np.testing.assert_array_equal(np.bincount(strata[fold]), np.array(counts) // 10)


def test_a_seed_draws_the_same_folds():
    strata = np.arange(100) % 3
    first, second, other = (
        np.stack(list(draw_folds(strata, 30, 5, np.random.default_rng(seed)))) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
