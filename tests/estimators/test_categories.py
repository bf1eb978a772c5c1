"""Categories and their codes, and what networks learn of them."""

import numpy as np
import pandas as pd
import pytest
from one_network import one_network

from sklearn_deepnn.estimators.categories import UNKNOWN, Categories, restore_categories, selected_columns

N = 120


def net(**parameters):
    """Return a small classifier that learns quickly."""
    return one_network((8,), **{"max_iter": 40, "learning_rate": 0.03, "random_state": 0, **parameters})


def learned(values, weight=None, gaps=()):
    """Return the frequent categories of a column, and its codes."""
    missing = np.isin(np.arange(len(values)), gaps)
    everything = Categories.learn(values, missing)
    return everything.frequent(everything.encode(values, missing), weight)


def encoded(categories, values):
    """Return the codes of values as a list; None is a gap."""
    return categories.encode(values, np.array([value is None for value in values])).tolist()


# The categories of a column.


def test_all_categories_are_learned_in_sorted_order():
    categories = Categories.learn(["red", "blue", None, "red", "green"], np.array([0, 0, 1, 0, 0], bool))
    assert categories == Categories(["blue", "green", "red"], missing=3)
    assert encoded(categories, ["red", None, "blue", "pink"]) == [2, 3, 0, UNKNOWN]
    assert categories.n_codes == 4


def test_numbers_come_before_text():
    values = ["b", 2, "a", 1.5, True]
    assert Categories.learn(values, np.zeros(5, bool)).values == [True, 1.5, 2, "a", "b"]


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ([1, 2], [1.0, np.float32(2)]),
        ([0, 1], [False, np.True_]),
        (["a", "b"], [np.str_("a"), np.str_("b")]),
        ([pd.Interval(0, 1), pd.Interval(1, 2)], ["(0, 1]", "(1, 2]"]),
        ([pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")], ["2024-01-01 00:00:00", "2024-01-02 00:00:00"]),
    ],
)
def test_equal_values_have_the_same_code_whatever_their_type(values, same):
    categories = Categories.learn(values, np.zeros(2, bool))
    assert encoded(categories, values) == encoded(categories, same) == [0, 1]
    assert all(type(value) in (str, int, float, bool) for value in categories.values)


def test_rare_categories_share_a_code_with_unknown_ones():
    categories, codes = learned(["a"] * 5 + ["b"] * 4 + ["c", "d"])
    assert categories == Categories(["a", "b"], other=2, missing=2)
    assert codes.tolist() == [0] * 5 + [1] * 4 + [2, 2]
    assert encoded(categories, ["b", "c", "new", None]) == [1, 2, 2, 2]
    assert categories.n_codes == 3


def test_without_rare_categories_unknown_ones_have_no_code():
    categories, codes = learned(["a"] * 5 + ["b"] * 4)
    assert categories == Categories(["a", "b"])
    assert codes.tolist() == [0] * 5 + [1] * 4
    assert encoded(categories, ["new", None, "a"]) == [UNKNOWN, UNKNOWN, 0]


@pytest.mark.parametrize(("values", "other"), [(["a"] * 5 + ["b"] * 4, UNKNOWN), (["a"] * 5 + ["b"] * 4 + ["c"], 2)])
def test_gaps_have_a_code_of_their_own_if_training_had_some(values, other):
    categories, codes = learned([*values, None], gaps=[len(values)])
    assert categories == Categories(["a", "b"], other, categories.n_codes - 1)
    assert codes[-1] == categories.missing
    assert encoded(categories, [None, "new"]) == [categories.missing, other]


@pytest.mark.parametrize(("n_samples", "fewest"), [(50, 2), (300, 3), (450, 5), (2000, 5)])
def test_a_category_needs_one_percent_of_the_samples_but_two_to_five_suffice(n_samples, fewest):
    for n_rare in (fewest - 1, fewest):
        categories, _ = learned(["often"] * (n_samples - n_rare) + ["seldom"] * n_rare)
        assert ("seldom" in categories.values) == (n_rare == fewest)


def test_only_the_most_frequent_of_very_many_categories_have_a_code(monkeypatch):
    monkeypatch.setattr("sklearn_deepnn.estimators.categories.MOST_CATEGORIES", 3)
    categories, codes = learned(["a"] * 4 + ["b"] * 6 + ["c"] * 4 + ["d"] * 9 + ["e"] * 4)
    assert categories == Categories(["a", "b", "d"], other=3, missing=3)  # of equally frequent ones the first
    assert codes.tolist() == [0] * 4 + [1] * 6 + [3] * 4 + [2] * 9 + [3] * 4


def test_heavy_samples_count_as_several():
    values = ["a"] * 50 + ["b"]
    weight = np.r_[np.ones(50), 3]
    assert learned(values)[0].values == ["a"]
    assert learned(values, weight)[0] == learned(values + ["b"] * 2)[0] == Categories(["a", "b"])
    assert learned(values, 1e-6 * weight)[0] == Categories(["a", "b"])  # the size of all weights does not matter


def test_samples_without_weight_are_not_looked_at():
    values, weight = ["a"] * 150 + ["b"] * 3 + ["c"] * 300 + [None] * 50, np.r_[np.ones(153), np.zeros(350)]
    categories, codes = learned(values, weight, gaps=range(453, 503))
    assert categories == learned(values[:153])[0] == Categories(["a", "b"])
    assert codes[:153].tolist() == [0] * 150 + [1] * 3


def test_categories_are_restored_from_their_fields():
    categories, _ = learned(["a"] * 5 + ["b"])
    assert restore_categories([None, categories.to_dict()], 2) == [None, categories]
    assert restore_categories(None, 2) == [None, None]


# The parameter `categorical_features`.


@pytest.mark.parametrize(
    ("features", "selected"),
    [
        (None, [0, 0, 0]),
        ([], [0, 0, 0]),
        ("from_dtype", None),
        (["c", "a"], [1, 0, 1]),
        (("b",), [0, 1, 0]),
        ([0, -1], [1, 0, 1]),
        (np.array([1]), [0, 1, 0]),
        ([True, False, False], [1, 0, 0]),
        (pd.Series([False, True, False]), [0, 1, 0]),
        (pd.Index(["a"]), [1, 0, 0]),
    ],
    ids=repr,
)
def test_columns_are_selected_by_names_by_indices_or_by_a_mask(features, selected):
    found = selected_columns(features, ["a", "b", "c"])
    assert (found if found is None else found.tolist()) == selected


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["d"], r"names of columns of X, which are \['a', 'b', 'c'\], got 'd'\.$"),
        ([3], r"indices from 0 to 2, the columns of X, got 3\.$"),
        ([-4], r"indices from 0 to 2, the columns of X, got -4\.$"),
        ([True, False], r"a mask with one bool for each of the 3 columns of X, got \[True, False\]\.$"),
    ],
)
def test_errors_about_columns_name_the_parameter_and_the_column(features, message):
    with pytest.raises(ValueError, match=f"^categorical_features must have {message}"):
        selected_columns(features, ["a", "b", "c"])


def test_names_are_no_use_without_columns_that_have_some():
    with pytest.raises(ValueError, match=r"^categorical_features must have names of columns of X, which are \[0, 1\]"):
        net(categorical_features=["a"]).fit(np.eye(4)[:, :2], [0, 1, 0, 1])


# What networks learn of categories.

RNG = np.random.default_rng(0)
SIZE, COLOUR = RNG.normal(size=N), np.resize(["red", "green", "blue"], N)
CITY = np.array([f"city {i:02}" for i in range(40)])[np.arange(N) % 40]
Y = (COLOUR == "red") ^ (CITY > "city 19")


def frame(size=SIZE, colour=COLOUR, city=CITY):
    return pd.DataFrame({"size": size, "colour": colour, "city": city})


@pytest.fixture(scope="module")
def model():
    return net(max_iter=100).fit(frame(), Y)


def test_more_than_32_categories_become_trained_vectors(model):
    assert model.parameters_["E"].shape == (8, 41)
    assert set(model.encoding_["parts"]) == {"numbers", "one_hot", "codes"}
    assert model.network_["embedding"] == [1, 41, 8]
    few = net(max_iter=1).fit(frame(city=CITY.astype("U6")), Y)  # "city 0", ..., "city 3"
    assert "E" not in few.parameters_


@pytest.mark.parametrize(("n_categories", "is_embedded"), [(32, False), (33, True)])
def test_up_to_32_categories_have_rows_of_their_own(n_categories, is_embedded):
    city = np.arange(6 * n_categories) % n_categories
    X = pd.DataFrame({"city": np.char.add("city ", city.astype(str))})
    fitted = net(max_iter=1).fit(X, city % 2)
    assert ("E" in fitted.parameters_) == is_embedded
    assert fitted.network_["layer_dims"][0] == (8 if is_embedded else 32)


def test_few_and_many_categories_are_learned(model):
    assert model.score(frame(), Y) == 1
    assert net(max_iter=100, ensemble_size=3).fit(frame(), Y).score(frame(), Y) == 1


@pytest.mark.parametrize("column", ["colour", "city"])
@pytest.mark.parametrize("gap", [None, np.nan])
def test_unknown_categories_and_gaps_are_the_same_if_training_had_neither_rare_ones_nor_gaps(model, column, gap):
    unknown, gaps = frame(**{column: ["new"] * N}), frame(**{column: pd.Series([gap] * N, dtype=object)})
    np.testing.assert_array_equal(model.predict_proba(unknown), model.predict_proba(gaps))


def test_an_unknown_category_of_few_is_the_mean_of_all(model):
    A0 = model._as_inputs(model._rows(frame(colour=["new"] * N)))
    assert not A0.encoding.apply(A0.X, np.float64)[1:4].any()


@pytest.mark.parametrize("column", ["colour", "city"])
def test_unknown_categories_count_as_rare_ones(column):
    values = np.where(np.arange(N) < 2, ["only once", "once"] * (N // 2), getattr(frame(), column))
    fitted = net().fit(frame(**{column: values}), Y)
    rare, unknown = (frame(**{column: [value] * N}) for value in ("once", "new"))
    np.testing.assert_array_equal(fitted.predict_proba(rare), fitted.predict_proba(unknown))
    known = frame(**{column: [values[-1]] * N})
    assert (fitted.predict_proba(known) != fitted.predict_proba(unknown)).all()


def test_a_vector_that_training_never_sees_stays_zero(model):
    assert model.parameters_["E"][:, :40].any(axis=0).all()
    assert not model.parameters_["E"][:, 40].any()


def test_a_column_of_different_texts_is_warned_of_and_not_learned():
    X = frame(city=[f"id {i}" for i in range(N)])
    with pytest.warns(UserWarning, match=r"^Column 'city' has 120 categories, all of them rare: the network learns no"):
        fitted = net().fit(X, Y)
    held_out = X.assign(city=[f"another id {i}" for i in range(N)])
    np.testing.assert_array_equal(fitted.predict_proba(held_out), fitted.predict_proba(X))
    assert fitted.feature_importances_[2] == 0
    np.testing.assert_allclose(
        net().fit(X.drop(columns="city"), Y).feature_importances_.sum(), fitted.feature_importances_.sum()
    )  # fmt: skip


def test_the_order_of_rows_does_not_matter_to_categories():
    order = np.random.default_rng(1).permutation(N)
    some, others = frame(), frame().iloc[order]
    assert net(max_iter=1).fit(some, Y).categories_ == net(max_iter=1).fit(others, Y[order]).categories_


def test_very_many_categories_keep_the_network_small(peak_bytes):
    rng = np.random.default_rng(0)
    shop = rng.integers(0, 5000, 20_000)
    X = pd.DataFrame({"shop": np.char.add("shop ", shop.astype(str)), "a": rng.normal(size=20_000)})
    y = (shop % 2) ^ (X["a"] > 1)
    fitted = net(max_iter=1, batch_size=256)
    assert peak_bytes(fitted.fit, X, y) < 60e6  # one row for each category would take 800 MB
    assert fitted.parameters_["E"].shape[1] <= 5002
    assert sum(array.nbytes for array in fitted.parameters_.values()) < 500e3
    assert peak_bytes(fitted.predict_proba, X) < 20e6


def test_what_many_categories_tell_is_learned():
    rng = np.random.default_rng(0)
    shop = rng.integers(0, 300, 6000)
    X = pd.DataFrame({"shop": np.char.add("shop ", shop.astype(str)), "a": rng.normal(size=6000)})
    y = (shop * 7919 % 13) % 2
    fitted = net(max_iter=20, batch_size=64).fit(X[:4000], y[:4000])
    assert fitted.score(X[4000:], y[4000:]) > 0.98
