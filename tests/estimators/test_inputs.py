import datetime as dt
import re
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from one_network import one_network
from sklearn import config_context
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_deepnn.estimators.inputs import check_sample_weight, read_inputs

N = 40
RNG = np.random.default_rng(0)
A, NUMBERS, FLAGS = RNG.normal(size=N), np.arange(N), np.arange(N) % 3 == 0
Y = (A > 0).astype(int)
COLOURS = np.resize(["red", "green", "blue"], N).tolist()
GAPS, DIGITS = np.array([np.nan if i == 3 else a for i, a in enumerate(A)]), np.resize(["1", "2", "3"], N).tolist()
DAYS = [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in range(N)]
TEXT, DATES, MISSING = "text or categories", "dates or times", "missing values"
NUMERALS, SEQUENCES, MAPPINGS, INTERVALS = "numbers as text", "lists or arrays", "structs or dictionaries", "intervals"
COMPLEX, OBJECTS, INFINITE = "complex numbers", "objects that are not numbers", "infinite or too large numbers"
PROBLEMS = TEXT, DATES, MISSING, NUMERALS, SEQUENCES, MAPPINGS, INTERVALS, COMPLEX, OBJECTS, INFINITE


def net(**parameters):
    return one_network(**{"hidden_layer_dims": (4,), "max_iter": 3, "random_state": 0, **parameters})


def names_seen(X):
    """Return the names that scikit-learn finds in a frame; version 1.6 needs __dataframe__, which polars 2 removed."""
    return getattr(StandardScaler().fit(X), "feature_names_in_", None)


def pandas_with(column):
    return pd.DataFrame({"a": A, "b": column})


def sparse_frame(*columns, fill):
    return pd.DataFrame({name: pd.arrays.SparseArray(column, fill_value=fill) for name, column in zip("ab", columns)})


def polars_with(column, dtype=None):
    return pl.DataFrame({"a": A, "b": pl.Series(column, dtype=dtype)})


def arrow_with(column, convert=lambda column: column):
    pa = pytest.importorskip("pyarrow")
    return pa.table({"a": A, "b": convert(pa.array(column))})


def arrow_type(name):
    """Return a dtype of pandas that is backed by pyarrow, which need not be installed."""
    pa = pytest.importorskip("pyarrow")
    types = {
        "timestamp": pa.timestamp("us"),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
        "decimal": pa.decimal128(10, 2),
        "list": pa.list_(pa.float64()),
        "struct": pa.struct([("x", pa.int64())]),
    }
    return pd.ArrowDtype(types.get(name) or pa.type_for_alias(name))


def with_gap(values, gap=None):
    return [gap if i == 3 else value for i, value in enumerate(values)]


# Numeric columns are accepted.

NUMERIC = {
    "pandas bool": (lambda: pandas_with(FLAGS), FLAGS),
    "pandas float32": (lambda: pd.DataFrame({"a": A, "b": NUMBERS.astype(np.float32)}), NUMBERS),
    "pandas Int64": (lambda: pandas_with(pd.array(NUMBERS, dtype="Int64")), NUMBERS),
    "pandas Float64": (lambda: pandas_with(pd.array(A**2, dtype="Float64")), A**2),
    "pandas boolean": (lambda: pandas_with(pd.array(FLAGS, dtype="boolean")), FLAGS),
    "pandas int of pyarrow": (lambda: pandas_with(pd.Series(NUMBERS, dtype=arrow_type("int64"))), NUMBERS),
    "pandas double of pyarrow": (lambda: pandas_with(pd.Series(A**2, dtype=arrow_type("double"))), A**2),
    "pandas bool of pyarrow": (lambda: pandas_with(pd.Series(FLAGS, dtype=arrow_type("bool"))), FLAGS),
    "pandas objects": (lambda: pandas_with(NUMBERS.astype(object)), NUMBERS),
    "pandas objects and bools": (lambda: pandas_with(np.where(FLAGS, NUMBERS.astype(object), False)), FLAGS * NUMBERS),
    "pandas decimals": (lambda: pandas_with([Decimal(int(i)) for i in NUMBERS]), NUMBERS),
    "pandas fractions": (lambda: pandas_with([Fraction(int(i), 2) for i in NUMBERS]), NUMBERS / 2),
    "pandas decimal of pyarrow": (
        lambda: pandas_with(pd.Series([Decimal(int(i)) for i in NUMBERS], dtype=arrow_type("decimal"))),
        NUMBERS,
    ),
    "pandas sparse": (lambda: pandas_with(pd.arrays.SparseArray(FLAGS * 1.0)), FLAGS),
    "polars int": (lambda: polars_with(NUMBERS), NUMBERS),
    "polars bool": (lambda: polars_with(FLAGS), FLAGS),
    "polars decimal": (lambda: polars_with(NUMBERS.astype(str).tolist()).cast({"b": pl.Decimal(10, 2)}), NUMBERS),
}


@pytest.mark.parametrize("kind", NUMERIC)
@pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns found")
def test_frames_of_numbers_fit_and_predict_as_arrays_do(kind):
    make, column = NUMERIC[kind]
    X, array = make(), np.column_stack([A, column])
    model = net().fit(X, Y)
    # a frame's columns lie together, which changes the rounding of their means
    np.testing.assert_allclose(model.predict_proba(X), net().fit(array, Y).predict_proba(array), rtol=1e-5)
    np.testing.assert_array_equal(getattr(model, "feature_names_in_", None), names_seen(X))


@pytest.mark.parametrize("fill", [0.0, 1.0, np.nan])
def test_frames_of_sparse_columns_alone_may_have_any_fill_value(fill):
    X, array = sparse_frame(A, NUMBERS * 1.0, fill=fill), np.column_stack([A, NUMBERS])
    model = net().fit(X, Y)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_allclose(model.predict_proba(X), net().fit(array, Y).predict_proba(array), rtol=1e-5)


def test_float32_frames_stay_float32():
    X = pd.DataFrame({"a": A, "b": A**2}, dtype=np.float32)
    assert net().fit(X, Y).predict_proba(X).dtype == np.float32


def test_pyarrow_tables_fit_and_predict_as_arrays_do():
    pa = pytest.importorskip("pyarrow")
    X, array = pa.table({"a": A, "b": [Decimal(int(i)) for i in NUMBERS]}), np.column_stack([A, NUMBERS])
    np.testing.assert_allclose(
        net().fit(X, Y).predict_proba(X), net().fit(array, Y).predict_proba(array), rtol=1e-10
    )  # fmt: skip


def test_columns_in_another_order_are_refused():
    model = net().fit(pandas_with(NUMBERS), Y)
    for swapped in (pandas_with(NUMBERS)[["b", "a"]], pandas_with(with_gap(NUMBERS * 1.0))[["b", "a"]]):
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(swapped)


# Text and categories are learned, whatever holds them.

TEXTS = {
    "pandas text": lambda: pandas_with(COLOURS),
    "pandas objects": lambda: pandas_with(pd.Series(COLOURS, dtype=object)),
    "pandas string": lambda: pandas_with(pd.array(COLOURS, dtype="string")),
    "pandas string of pyarrow": lambda: pandas_with(pd.Series(COLOURS, dtype=arrow_type("string"))),
    "pandas dictionary of pyarrow": lambda: pandas_with(
        pd.Series(COLOURS, dtype=arrow_type("string")).astype(arrow_type("dictionary"))
    ),
    "pandas categories": lambda: pandas_with(pd.Categorical(COLOURS)),
    "pandas categories in another order": lambda: pandas_with(
        pd.Categorical(COLOURS, ["pink", "red", "green", "blue"], ordered=True)
    ),
    "pandas sparse objects": lambda: pandas_with(pd.arrays.SparseArray(np.array(COLOURS, object), fill_value="red")),
    "polars text": lambda: polars_with(COLOURS),
    "polars categories": lambda: polars_with(COLOURS, pl.Categorical),
    "polars enumeration": lambda: polars_with(COLOURS, pl.Enum(["red", "green", "blue"])),
    "pyarrow text": lambda: arrow_with(COLOURS),
    "pyarrow dictionary": lambda: arrow_with(COLOURS, lambda column: column.dictionary_encode()),
    "array of objects": lambda: pandas_with(COLOURS).to_numpy(dtype=object),
    "lists": lambda: [[a, colour] for a, colour in zip(A.tolist(), COLOURS)],
}
CATEGORIES = {  # a frame, and the text that stands for its categories
    "pandas categories of numbers": (lambda: pandas_with(pd.Categorical(NUMBERS % 3)), NUMBERS % 3),
    "pandas categories of bools": (lambda: pandas_with(pd.Categorical(FLAGS)), FLAGS),
    "pandas categories of days": (
        lambda: pandas_with(pd.Categorical([DAYS[i % 3] for i in range(N)])),
        [DAYS[i % 3] for i in range(N)],
    ),
    "pandas bins": (lambda: pandas_with(pd.cut(A, [-9, 0, 9])), A > 0),
    "pandas bytes": (lambda: pandas_with([colour.encode() for colour in COLOURS]), COLOURS),
    "pandas numbers and text": (
        lambda: pandas_with([("no", 1, 2.5)[i % 3] for i in range(N)]),
        [("n", "1", "2")[i % 3] for i in range(N)],
    ),
    "pandas numbers as text": (lambda: pandas_with(DIGITS), DIGITS),
    "polars numbers as text": (lambda: polars_with(DIGITS), DIGITS),
    "pyarrow dictionary of numbers": (
        lambda: arrow_with(NUMBERS % 3, lambda column: column.dictionary_encode()),
        NUMBERS % 3,
    ),
    "pyarrow bytes": (lambda: arrow_with([colour.encode() for colour in COLOURS]), COLOURS),
}


def assert_learned_alike(X, equivalent):
    """Check that two tables give the same network and the same predictions, up to rounding."""
    expected = net().fit(equivalent, Y).predict_proba(equivalent)
    np.testing.assert_allclose(net().fit(X, Y).predict_proba(X), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_learned_alike_whatever_holds_it(kind):
    X, text = TEXTS[kind](), pandas_with(COLOURS)
    assert_learned_alike(X, text)
    assert net().fit(X, Y).categories_ == net().fit(text, Y).categories_


@pytest.mark.parametrize("kind", CATEGORIES)
def test_other_categories_are_learned_as_text_is(kind):
    make, column = CATEGORIES[kind]
    assert_learned_alike(make(), pandas_with([str(value) for value in column]))


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind not in ("array of objects", "lists")])
def test_a_network_fitted_on_one_kind_of_text_predicts_another(kind):
    X, text = TEXTS[kind](), pandas_with(COLOURS)
    if names_seen(X[["a"]] if isinstance(X, pd.DataFrame) else X.select(["a"])) is None:
        pytest.skip("this version of scikit-learn reads no names of such frames")
    model = net().fit(text, Y)
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(text), rtol=1e-10)


def test_what_only_the_text_tells_is_learned():
    X, y = pandas_with(COLOURS), np.array(COLOURS) == "green"
    model = net(max_iter=60, learning_rate=0.05).fit(X, y)
    assert model.score(X, y) == 1
    assert model.predict(X.assign(a=0.0)).tolist() == y.tolist()


@pytest.mark.parametrize("features", [["b"], [1], [-1], [False, True], np.array([1]), pd.Index(["b"])], ids=repr)
def test_numbers_are_categories_if_they_are_named(features):
    X, text = pandas_with(NUMBERS % 3), pandas_with((NUMBERS % 3).astype(str))
    model = net(categorical_features=features).fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(X), net().fit(text, Y).predict_proba(text), rtol=1e-5)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["c"], r"^categorical_features must have names of columns of X, which are \['a', 'b'\], got 'c'\.$"),
        ([2], r"^categorical_features must have indices from 0 to 1, the columns of X, got 2\.$"),
        ([True], r"^categorical_features must have a mask with one bool for each of the 2 columns of X, got \[True\]"),
    ],
)
def test_errors_about_columns_that_x_does_not_have_name_the_parameter(features, message):
    with pytest.raises(ValueError, match=message):
        net(categorical_features=features).fit(pandas_with(COLOURS), Y)


@pytest.mark.parametrize(("features", "named"), [(["a"], r"\['a'\]"), (["a", "b"], r"\['a', 'b'\]"), (None, r"\[\]")])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_that_continues_keeps_its_categories(method, features, named):
    X = pandas_with(NUMBERS % 3)
    model = net(categorical_features=["b"], warm_start=True).fit(X, Y)
    message = rf"^Training cannot continue: categorical_features must stay \['b'\], got {named}\."
    with pytest.raises(ValueError, match=message):
        getattr(model.set_params(categorical_features=features), method)(X, Y)
    for same in (["b"], [1], [False, True], "from_dtype"):
        getattr(model.set_params(categorical_features=same), method)(X, Y)


@pytest.mark.parametrize("features", [["b"], [1]])
def test_sparse_inputs_have_no_categories(features):
    with pytest.raises(ValueError, match=r"^X must be dense if it has categories, got a sparse matrix\.$"):
        net(categorical_features=features).fit(sp.csr_array(np.eye(4)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"^X must be dense if it has categories, got a sparse matrix\.$"):
        net().fit(pandas_with(COLOURS), Y).predict(sp.csr_array(np.eye(2)))


@pytest.mark.parametrize("dtype", [object, "str", "string"])
def test_many_different_numbers_as_text_are_learned_with_a_warning(dtype):
    X = pd.DataFrame({"zip": pd.Series([f"{10000 + i % 33}" for i in range(99)], dtype=dtype), "a": np.arange(99.0)})
    y = np.arange(99) % 2
    warning = r"^Column 'zip' of X has numbers as text, and is learned as 33 categories\. Convert it if they are meant"
    with pytest.warns(UserWarning, match=warning):
        model = net().fit(X, y)
    assert len(model.categories_[0]["values"]) == 33
    net().fit(X[X["zip"] != "10032"], y[X["zip"] != "10032"])  # 32 are as likely to be categories
    net().fit(X.astype({"zip": "category"}), y)  # the dtype says what is meant, and so does the parameter
    net(categorical_features=["zip"]).fit(X, y)


TWO_DIGITS = [f"{day:02}" for day in range(1, 32)]
MISTAKEN = {
    "numbers beside other text": (
        [*map(str, range(40)), "?", "a", "b", "c"],
        r"numbers beside '\?', and is .* 44 categories",
    ),
    "numbers and text": ([*range(40), "?"], r"numbers beside '\?', and is learned as 41 categories"),
    "numbers too large for floats": ([*range(40), 10**400, "?"], r"numbers beside '\?', and is"),
    "numbers, some as text": ([*range(40), "41"], "numbers as text, and is learned as 41 categories"),
    "bytes": ([f"{i}".encode() for i in range(40)], "numbers as text, and is learned as 40 categories"),
    "dates": ([*(f"2021-03-{day}" for day in TWO_DIGITS), "2022-03-01", "2022-03-02"], "dates as text, and is"),
    "dates with times": (
        [f" {day}.{month}.2021 10:00" for day in TWO_DIGITS[:12] for month in "123"],
        "dates as text, and",
    ),
    "dates beside other text": ([*(f"3/{day}/2021" for day in TWO_DIGITS), "1/4/2021", "2/4/2021", "x"], "beside 'x'"),
}
MEANT = {
    "text": [f"city {i}" for i in range(40)],
    "numbers beside more text": [*map(str, range(40)), "?", "a", "b", "c", "d"],
    "few numbers": [*map(str, range(32))],
    "telephone numbers": [f"0211-12-345{i}" for i in range(40)],
    "parts": [f"1234-56-78{i}" for i in range(40)],
}


@pytest.mark.parametrize(("values", "message"), MISTAKEN.values(), ids=MISTAKEN)
def test_columns_of_text_that_are_probably_meant_otherwise_are_named(values, message):
    X = pd.DataFrame({"when": pd.Series(values * 2, dtype=object), "a": 1.0})
    y = np.arange(len(X)) % 2
    with pytest.warns(UserWarning, match=rf"^Column .when. of X has .*{message}"):
        net().fit(X, y)


@pytest.mark.parametrize("values", MEANT.values(), ids=MEANT)
def test_columns_of_text_that_are_meant_as_categories_are_learned_without_a_warning(values):
    net().fit(pd.DataFrame({"when": values * 2, "a": 1.0}), np.arange(2 * len(values)) % 2)


# Gaps are learned, whatever stands for them.

NUMBER_GAPS = {
    "pandas NaN": lambda: pandas_with(GAPS),
    "pandas None": lambda: pandas_with(pd.Series(with_gap(A), dtype=object)),
    "pandas NA in objects": lambda: pandas_with(pd.Series(with_gap(A, pd.NA), dtype=object)),
    "pandas Float64 with NA": lambda: pandas_with(pd.array(with_gap(A, pd.NA), dtype="Float64")),
    "pandas double of pyarrow with NA": lambda: pandas_with(
        pd.Series(with_gap(A.tolist()), dtype=arrow_type("double"))
    ),
    "polars null": lambda: polars_with(with_gap(A.tolist())),
    "polars NaN": lambda: polars_with(GAPS),
    "pyarrow null": lambda: arrow_with(with_gap(A.tolist())),
    "pyarrow NaN": lambda: arrow_with(GAPS),
    "array with NaN": lambda: np.column_stack([A, GAPS]),
    "array with None": lambda: np.column_stack([A, np.array(with_gap(A), dtype=object)]),
    "array with decimals and a NaN": lambda: np.column_stack(
        [A, np.array(with_gap([Decimal(a) for a in A], Decimal("sNaN")), dtype=object)]
    ),
    "masked array": lambda: np.ma.array(np.column_stack([A, A]), mask=np.isnan(np.column_stack([A, GAPS]))),
    "masked array of objects": lambda: np.ma.array(
        np.column_stack([A, A]).astype(object), mask=np.isnan(np.column_stack([A, GAPS]))
    ),
    "masked rows": lambda: [np.ma.array([a, a], mask=[False, i == 3]) for i, a in enumerate(A)],
    "lists": lambda: [[a, b] for a, b in zip(A.tolist(), with_gap(A.tolist()))],
}
COUNT_GAPS = {
    "pandas Int64 with NA": lambda: pandas_with(pd.array(with_gap(NUMBERS, pd.NA), dtype="Int64")),
    "pandas int of pyarrow with NA": lambda: pandas_with(
        pd.Series(with_gap(NUMBERS.tolist()), dtype=arrow_type("int64"))
    ),
    "pandas objects with None": lambda: pandas_with(pd.Series(with_gap(NUMBERS), dtype=object)),
    "pandas decimals with None": lambda: pandas_with(with_gap([Decimal(int(i)) for i in NUMBERS])),
    "polars null": lambda: polars_with(with_gap(NUMBERS.tolist())),
    "pyarrow null": lambda: arrow_with(with_gap(NUMBERS.tolist())),
    "pyarrow decimals with null": lambda: arrow_with(with_gap([Decimal(int(i)) for i in NUMBERS])),
}
FLAG_GAPS = {
    "pandas boolean with NA": lambda: pandas_with(pd.array(with_gap(FLAGS, pd.NA), dtype="boolean")),
    "pandas bool of pyarrow with NA": lambda: pandas_with(
        pd.Series(with_gap(FLAGS.tolist()), dtype=arrow_type("bool"))
    ),
    "pandas objects with None": lambda: pandas_with(pd.Series(with_gap(FLAGS.tolist()), dtype=object)),
    "pandas objects with NaN": lambda: pandas_with(pd.Series(with_gap(FLAGS.tolist(), np.nan), dtype=object)),
    "polars bool with null": lambda: polars_with(with_gap(FLAGS.tolist())),
    "pyarrow bool with null": lambda: arrow_with(with_gap(FLAGS.tolist())),
}
TEXT_GAPS = {
    "pandas None": lambda: pandas_with(pd.Series(with_gap(COLOURS), dtype=object)),
    "pandas NaN": lambda: pandas_with(pd.Series(with_gap(COLOURS, np.nan), dtype=object)),
    "pandas NA": lambda: pandas_with(pd.Series(with_gap(COLOURS, pd.NA), dtype=object)),
    "pandas string with NA": lambda: pandas_with(pd.array(with_gap(COLOURS, pd.NA), dtype="string")),
    "pandas string of pyarrow with NA": lambda: pandas_with(pd.Series(with_gap(COLOURS), dtype=arrow_type("string"))),
    "pandas categories with a gap": lambda: pandas_with(pd.Categorical(with_gap(COLOURS))),
    "polars null": lambda: polars_with(with_gap(COLOURS)),
    "polars categories with null": lambda: polars_with(with_gap(COLOURS), pl.Categorical),
    "pyarrow null": lambda: arrow_with(with_gap(COLOURS)),
    "pyarrow dictionary with null": lambda: arrow_with(with_gap(COLOURS), lambda column: column.dictionary_encode()),
    "array with None": lambda: pandas_with(with_gap(COLOURS)).to_numpy(dtype=object),
    "masked array": lambda: np.ma.array(pandas_with(COLOURS).to_numpy(object), mask=[[0, i == 3] for i in range(N)]),
}
GAP_KINDS = {  # the frames, and an equivalent one
    "numbers": (NUMBER_GAPS, pandas_with(GAPS)),
    "counts": (COUNT_GAPS, pandas_with(with_gap(NUMBERS * 1.0, np.nan))),
    "flags": (FLAG_GAPS, pandas_with(with_gap(FLAGS * 1.0, np.nan))),
    "text": (TEXT_GAPS, pandas_with(with_gap(COLOURS))),
}


@pytest.mark.parametrize(("of", "kind"), [(of, kind) for of, (frames, _) in GAP_KINDS.items() for kind in frames])
def test_gaps_are_learned_alike_whatever_stands_for_them(of, kind):
    frames, equivalent = GAP_KINDS[of]
    assert_learned_alike(frames[kind](), equivalent)


def test_what_only_a_gap_tells_is_learned():
    X = pandas_with(np.where(FLAGS, np.nan, A))
    model = net(max_iter=60, learning_rate=0.05).fit(X, FLAGS)
    assert model.score(X, FLAGS) == 1


@pytest.mark.parametrize("gap", [np.nan, None, pd.NA])
def test_a_gap_where_training_had_none_is_the_mean(gap):
    X = pandas_with(A**2)
    model = net().fit(X, Y)
    found = model.predict_proba(pandas_with(pd.Series(with_gap(A**2, gap), dtype=object)))
    wanted = model.predict_proba(pandas_with(with_gap(A**2, model.input_center_[1])))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    with config_context(assume_finite=True):
        np.testing.assert_allclose(model.predict_proba(pandas_with(with_gap(A**2, np.nan))), wanted, rtol=1e-12)


# Other columns are refused.

REFUSED_AS_NUMBERS = {
    "pandas text": (lambda: pandas_with(COLOURS), TEXT),
    "pandas categories": (lambda: pandas_with(pd.Categorical(COLOURS)), TEXT),
    "pandas categories of numbers": (lambda: pandas_with(pd.Categorical(NUMBERS % 3)), TEXT),
    "pandas dictionary of pyarrow": (TEXTS["pandas dictionary of pyarrow"], TEXT),
    "pandas numbers and text": (lambda: pandas_with(with_gap(NUMBERS % 3, "three")), TEXT),
    "pandas bytes": (lambda: pandas_with([colour.encode() for colour in COLOURS]), TEXT),
    "polars text with a gap": (lambda: polars_with(with_gap(COLOURS)), TEXT),
    "polars categories": (lambda: polars_with(COLOURS, pl.Categorical), TEXT),
    "polars enumeration": (TEXTS["polars enumeration"], TEXT),
    "pandas numbers as text": (lambda: pandas_with(NUMBERS.astype(str).tolist()), NUMERALS),
    "pandas numbers as string": (lambda: pandas_with(pd.array(NUMBERS.astype(str), dtype="string")), NUMERALS),
    "pandas numbers as text with a gap": (lambda: pandas_with(with_gap(NUMBERS.astype(str).tolist())), NUMERALS),
    "pandas numbers and numbers as text": (lambda: pandas_with(with_gap(NUMBERS, "3.0")), NUMERALS),
    "polars numbers as text": (lambda: polars_with(NUMBERS.astype(str).tolist()), NUMERALS),
}
REFUSED = {
    "pandas datetimes": (lambda: pandas_with(pd.Series(DAYS)), DATES),
    "pandas datetimes alone": (lambda: pd.DataFrame({"b": DAYS}), DATES),
    "pandas datetimes with a zone": (lambda: pandas_with(pd.Series(DAYS).dt.tz_localize("UTC")), DATES),
    "pandas datetimes with a gap": (lambda: pandas_with(pd.Series(with_gap(DAYS, pd.NaT))), DATES),
    "pandas datetimes of pyarrow": (lambda: pandas_with(pd.Series(DAYS, dtype=arrow_type("timestamp"))), DATES),
    "pandas timedeltas": (lambda: pandas_with(pd.Series(DAYS) - DAYS[0]), DATES),
    "pandas periods": (lambda: pandas_with(pd.period_range("2024-01-01", periods=N)), DATES),
    "pandas dates": (lambda: pandas_with([day.date() for day in DAYS]), DATES),
    "polars dates": (lambda: polars_with([day.date() for day in DAYS]), DATES),
    "polars datetimes": (lambda: polars_with(DAYS), DATES),
    "polars datetimes alone": (lambda: pl.DataFrame({"b": DAYS}), DATES),
    "polars durations": (lambda: polars_with([day - DAYS[0] for day in DAYS]), DATES),
    "polars times": (lambda: polars_with([day.time() for day in DAYS]), DATES),
    "pandas durations among objects": (
        lambda: pandas_with(pd.Series([day - DAYS[0] for day in DAYS], dtype=object)),
        DATES,
    ),
    "polars time zones": (lambda: polars_with(pl.Series(DAYS).dt.replace_time_zone("UTC")), DATES),
    "pandas lists": (lambda: pandas_with([[1.0, 2.0]] * N), SEQUENCES),
    "pandas arrays": (lambda: pandas_with([np.arange(3.0)] * N), SEQUENCES),
    "pandas tuples and a number": (lambda: pandas_with(with_gap([(1, 2)] * N, 1.0)), SEQUENCES),
    "pandas list of pyarrow": (lambda: pandas_with(pd.Series([[1.0]] * N, dtype=arrow_type("list"))), SEQUENCES),
    "polars lists": (lambda: polars_with([[1.0, 2.0]] * N), SEQUENCES),
    "polars arrays": (lambda: polars_with([[1.0, 2.0]] * N, pl.Array(pl.Float64, 2)), SEQUENCES),
    "pandas dictionaries": (lambda: pandas_with([{"x": 1}] * N), MAPPINGS),
    "pandas struct of pyarrow": (lambda: pandas_with(pd.Series([{"x": 1}] * N, dtype=arrow_type("struct"))), MAPPINGS),
    "polars structs": (lambda: polars_with([{"x": 1, "y": 2}] * N), MAPPINGS),
    "pandas intervals": (lambda: pandas_with(pd.arrays.IntervalArray.from_breaks(range(N + 1))), INTERVALS),
    "pandas complex numbers": (lambda: pandas_with(A + 1j), COMPLEX),
    "pandas other objects": (lambda: pandas_with([object()] * N), OBJECTS),
    "pandas sets": (lambda: pandas_with([{1, 2}] * N), OBJECTS),
    "pandas records of NumPy": (lambda: pandas_with(list(np.zeros(N, "i4, f8"))), OBJECTS),
    "pandas text and dates": (lambda: pandas_with(with_gap(COLOURS, DAYS[0])), DATES),
    "pandas text and lists": (lambda: pandas_with(with_gap(COLOURS, [1])), SEQUENCES),
    "polars objects": (lambda: polars_with([object()] * N, pl.Object), OBJECTS),
    "pandas infinity": (lambda: pandas_with(with_gap(A, np.inf)), INFINITE),
    "pandas integers too large": (lambda: pandas_with(np.array(with_gap(NUMBERS, 10**400), dtype=object)), INFINITE),
}


@pytest.mark.parametrize("kind", [*REFUSED_AS_NUMBERS, *REFUSED])
@pytest.mark.parametrize("call", ["fit", "predict", "X_val"])
def test_one_error_names_the_column_and_the_problem(kind, call):
    make, problem = (REFUSED_AS_NUMBERS | REFUSED)[kind]
    X, name = make(), "X_val" if call == "X_val" else "X"
    good = type(X)(dict.fromkeys(X.columns, A))
    fits = net(categorical_features=None if kind in REFUSED_AS_NUMBERS else "from_dtype", max_iter=1)
    calls = {
        "fit": lambda: fits.fit(X, Y),
        "predict": lambda: fits.fit(good, Y).predict(X),
        "X_val": lambda: fits.fit(good, Y, X_val=X, y_val=Y),
    }
    allowed = "numbers or categories" if call == "fit" and kind not in REFUSED_AS_NUMBERS else "numbers"
    with pytest.raises(
        ValueError, match=f"^{name} must have {allowed} in every column, got .*column 'b'[,:]"
    ) as raised:
        calls[call]()
    message = str(raised.value)
    assert sum(other in message for other in PROBLEMS) == 1
    assert problem in message
    assert "'a'" not in message
    if kind in REFUSED_AS_NUMBERS and call != "fit":
        assert "in column 'b', which had numbers in fit" in message
    elif problem == TEXT:
        assert "which categorical_features='from_dtype' learns" in message


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (np.array(["2024-01-01"] * N, "datetime64[D]"), DATES),
        (np.array(["2024-01-01"] * N, "datetime64[us]"), DATES),
        (np.full(N, np.timedelta64(1, "s")), DATES),
        ([dt.time(1)] * N, DATES),
        ([[1.0, 2.0]] * N, SEQUENCES),
        ([{"x": 1}] * N, MAPPINGS),
    ],
)
def test_errors_about_pyarrow_tables_name_the_column_and_the_problem(column, problem):
    with pytest.raises(ValueError, match=r"^X must have numbers .*column 'b'[,:]") as raised:
        net().fit(arrow_with(column), Y)
    assert problem in str(raised.value)


@pytest.mark.parametrize("column", [COLOURS, [b"red"] * N])
def test_text_in_pyarrow_tables_is_refused_among_numbers(column):
    with pytest.raises(ValueError, match=r"text or categories in column 'b', which categorical_features='from_dtype'"):
        net(categorical_features=None).fit(arrow_with(column), Y)


def test_columns_with_the_same_name_are_all_checked():
    X = pd.DataFrame(np.column_stack([A, with_gap(A, np.inf)]), columns=["a", "a"])
    with pytest.raises(ValueError, match=r"infinite .* in column 'a',"):
        net().fit(X, Y)


@pytest.mark.parametrize("call", ["partial_fit", "predict_proba", "decision_function", "hidden_activations"])
def test_every_method_names_the_column(call):
    fitted, arguments = net(max_iter=1).fit(pandas_with(A), Y), [Y] if call == "partial_fit" else []
    with pytest.raises(ValueError, match=r"^X must have numbers .*column 'b', which had numbers in fit\.$"):
        getattr(fitted, call)(pandas_with(COLOURS), *arguments)


@pytest.mark.parametrize("call", ["partial_fit", "predict_proba", "decision_function", "hidden_activations"])
def test_numbers_in_a_column_that_had_text_are_refused_by_its_name(call):
    fitted, arguments = net(max_iter=1).fit(pandas_with(COLOURS), Y), [Y] if call == "partial_fit" else []
    with pytest.raises(ValueError, match=r"^X must have text in column 'b', as in fit, got numbers\.$"):
        getattr(fitted, call)(pandas_with(NUMBERS), *arguments)


def test_text_in_a_column_that_had_numbers_as_categories_is_refused_by_its_name():
    model = net(categorical_features=["b"]).fit(pandas_with(NUMBERS % 3), Y)
    with pytest.raises(ValueError, match=r"^X must have numbers in column 'b', as in fit, got text\.$"):
        model.predict(pandas_with((NUMBERS % 3).astype(str)))
    with pytest.raises(ValueError, match=r"^X_val must have numbers in column 'b', as in fit, got text\.$"):
        net(categorical_features=["b"]).fit(pandas_with(NUMBERS % 3), Y, X_val=pandas_with(COLOURS), y_val=Y)


class Word(str):
    """Text of a class of its own, as members of an Enum may be."""


@pytest.mark.parametrize("kinds", [(str, Word), (Word, str)], ids=["str in fit", "str in predict"])
def test_text_of_any_class_is_text(kinds):
    words, y = ["a", "b", "c"] * 20, [0, 1, 1] * 20
    as_objects = [np.array([[kind(word)] for word in words], dtype=object) for kind in kinds]
    model = net(max_iter=3).fit(as_objects[0], y)
    np.testing.assert_array_equal(model.predict_proba(as_objects[1]), model.predict_proba(as_objects[0]))


@pytest.mark.parametrize("features", ["from_dtype", ["b"]])
@pytest.mark.parametrize("call", ["fit", "predict"])
def test_dates_are_refused_in_a_column_of_categories(features, call):
    model = net(categorical_features=features)
    if call == "predict":
        model.fit(pandas_with(COLOURS), Y)
    arguments = [Y] if call == "fit" else []
    with pytest.raises(ValueError, match=r"^X must have numbers .*, got dates or times in column 'b',"):
        getattr(model, call)(pandas_with(DAYS), *arguments)


@pytest.mark.parametrize("dtype", [float, "Float64", object])
def test_infinity_is_refused_beside_categories(dtype):
    X = pd.DataFrame({"size": COLOURS, "age": pd.array(with_gap(A, np.inf), dtype=dtype), "fine": GAPS})
    with pytest.raises(
        ValueError, match=r"^X must .*, got infinite or too large numbers .* in column 'age',"
    ) as raised:
        net().fit(X, Y)
    assert "'size'" not in str(raised.value)
    assert "'fine'" not in str(raised.value)


@pytest.mark.parametrize("dtype", [float, "Float64", object])
@pytest.mark.parametrize("call", ["fit", "predict"])
def test_infinity_is_no_category(dtype, call):
    X, column = pandas_with(NUMBERS % 3), [np.inf if i == 3 else i % 3 for i in range(N)]
    model = net(categorical_features=["b"]).fit(X, Y)
    with pytest.raises(ValueError, match=r"^X must .*, got infinite or too large numbers .* in column 'b',"):
        getattr(model, call)(pandas_with(pd.array(column, dtype=dtype)), *[Y] * (call == "fit"))


@pytest.mark.parametrize("X", [np.empty((N, 0)), pd.DataFrame(index=range(N))], ids=["array", "frame"])
def test_categories_are_not_looked_for_among_no_columns(X):
    with pytest.raises(ValueError, match=r"0 feature\(s\)|at least one array or dtype"):
        net(categorical_features=[0]).fit(X, Y)


def test_a_column_of_gaps_alone_is_learned_as_no_category():
    X = pandas_with(pd.Categorical([None] * N))
    model = net().fit(X, Y)
    assert model.categories_[1]["values"] == []
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(pandas_with(COLOURS)))


@pytest.mark.parametrize("call", ["fit", "predict"])
def test_gaps_are_refused_in_a_frame_that_becomes_a_sparse_matrix(call):
    X = sparse_frame(A, GAPS, fill=0.0)
    model = net().fit(sparse_frame(A, A, fill=0.0), Y)
    with pytest.raises(ValueError, match=r"missing values .* in column 'b', which dense X may have, but sparse X may"):
        getattr(model, call)(X, *[Y] * (call == "fit"))


@pytest.mark.parametrize("fill", [1.0, np.nan])
def test_gaps_are_learned_in_a_frame_of_sparse_columns_that_becomes_dense(fill):
    assert_learned_alike(sparse_frame(A, GAPS, fill=fill), pandas_with(GAPS))


@pytest.mark.parametrize("dtype", [object, "str", "string"])
def test_text_is_refused_among_numbers_even_if_it_is_all_digits(dtype):
    table, numbers = pd.DataFrame({"zip": pd.Series(["01067", "10115"] * 20, dtype=dtype), "a": A}), net()
    numbers.set_params(categorical_features=None)
    with pytest.raises(ValueError, match="numbers as text in column 'zip': convert them"):
        numbers.fit(table, Y)
    with pytest.raises(ValueError, match="numbers as text in column 0: convert them"):
        numbers.fit(table.to_numpy(dtype=object), Y)
    numbers.fit(table.assign(zip=NUMBERS), Y)
    with pytest.raises(ValueError, match="numbers as text in column 'zip', which had numbers in fit: convert them"):
        numbers.predict(table)


def test_one_error_lists_all_problems_of_a_table():
    X = pd.DataFrame({"size": COLOURS, "list": [[1]] * N, "day": DAYS, "fine": GAPS, "colour": COLOURS})
    with pytest.raises(ValueError, match="X must") as raised:
        net(categorical_features=None).fit(X, Y)
    assert str(raised.value) == (
        "X must have numbers in every column, got text or categories in columns 'size', 'colour', which "
        "categorical_features='from_dtype' learns; dates or times in column 'day', which must be converted to numbers "
        "first, such as days since a reference date; lists or arrays in column 'list', whose elements must become "
        "columns of numbers, such as with numpy.stack."
    )


def test_at_most_five_columns_are_listed():
    X = pd.DataFrame({f"c{j}": DAYS for j in range(12)})
    with pytest.raises(ValueError, match=r"columns 'c0', 'c1', 'c2', 'c3', 'c4' and 7 more, which must be converted"):
        net().fit(X, Y)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[1.0, "a"], [2.0, "b"]], dtype=object), "text or categories in column 1,"),
        ([[1.0, "a"], [2.0, "b"]], "text or categories in column 1,"),
        (np.array([["1", "a"], ["2", "b"]]), "numbers as text in column 0: .* text or categories in column 1,"),
        (np.array([[b"1", b"a"], [b"2", b"b"]]), "numbers as text in column 0: .* text or categories in column 1,"),
        (np.array([["c", "a"], ["d", "b"]], dtype=np.dtypes.StringDType()), "text or categories in columns 0, 1,"),
        ([["1", 1.0], ["2", 2.0]], "numbers as text in column 0: convert them"),
        (np.array([[1.0, 2.0], [np.nan, np.inf]]), "infinite .* in column 1,"),
        (sp.csr_array([[1.0, 0.0], [0.0, np.nan]]), "missing values .* in column 1,"),
        (sp.csc_matrix([[1.0, 0.0], [0.0, np.nan]]), "missing values .* in column 1,"),
        (np.full((2, 2), np.datetime64("2024-01-01")), "dates or times in columns 0, 1,"),
        ([[np.datetime64("2024-01-01")] * 2] * 2, "dates or times in columns 0, 1,"),
        (np.array([[1.0, Decimal("-Infinity")], [2.0, 3.0]], dtype=object), "infinite .* in column 1,"),
        (np.array([[1.0, Decimal("1e400")], [2.0, 3.0]], dtype=object), "infinite .* in column 1,"),
        (np.full((2, 2), np.timedelta64(1, "D")), "dates or times in columns 0, 1,"),
        (np.array([[1.0, np.timedelta64(1, "s")], [2.0, None]], dtype=object), "dates or times in column 1,"),
        (np.array([[1.0, {}], [2.0, {}]], dtype=object), "structs or dictionaries .* in column 1,"),
        (np.array([[1.0, [1, 2]], [2.0, [3, 4]]], dtype=object), "lists or arrays in column 1,"),
        (np.array([[1.0, 2j], [2.0, 3.0]]), r"complex numbers \(Complex data not supported\) in columns 0, 1,"),
        (np.array([[1.0, 2j], [2.0, 3.0]], dtype=object), "complex numbers .* in column 1,"),
        (sp.csr_array([[1.0, np.inf], [0.0, np.inf]]), "infinite .* in column 1,"),
        (sp.coo_array([[1.0, np.nan], [np.inf, 0.0]]), "missing .* in column 1, .* infinite .* in column 0,"),
        (sp.csr_array([[1.0, 0.0], [0.0, 2j]]), "complex numbers .* in columns 0, 1,"),
        (np.array([[1.0, pd.Interval(0, 1)], [2.0, pd.Interval(1, 2)]], dtype=object), "intervals in column 1,"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), r"infinite .* \(Input X contains infinity\) in column 1,"),
        (np.array([[1, dt.date(2024, 1, 1)], [2, dt.date(2024, 1, 2)]], dtype=object), "dates or times in column 1,"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_errors_about_arrays_and_lists_name_the_number_of_the_column(X, message):
    with pytest.raises(ValueError, match=f"^X must have numbers in every column, got {message}"):
        net(categorical_features=None).fit(X, [0, 1])
    in_prediction = re.sub("^(numbers as text in column 0)", r"\1, which had numbers in fit", message)
    with pytest.raises(ValueError, match=f"^X must have numbers in every column, got {in_prediction}"):
        net(max_iter=1).fit(np.eye(2), [0, 1]).predict(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, 2.0], [3.0]], "inhomogeneous"),
        (np.array(["red", "green"]), "Expected 2D array"),
        ("red", "Expected 2D array"),
        (None, "Expected 2D array"),
    ],
    ids=["ragged", "one column", "word", "None"],
)
def test_errors_about_shapes_are_those_of_scikit_learn(X, message):
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        net().fit(X, [0, 1])
    assert "X must have numbers" not in str(raised.value)


def test_an_error_about_y_does_not_mention_x():
    with pytest.raises(ValueError, match=r"^y must have no missing values \(Input y contains NaN\), got nan at"):
        net().fit(pandas_with(NUMBERS), with_gap(A, np.nan))


def test_a_refused_frame_does_not_change_a_fitted_model():
    X = pandas_with(NUMBERS)
    model = net().fit(X, Y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="column 'b'"):
        model.fit(pandas_with(DAYS), Y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_predictions_of_numeric_arrays_skip_the_validation_of_frames(monkeypatch):
    X = np.column_stack([A, NUMBERS])
    model = net().fit(X, Y)
    expected = model.predict(X)

    def never(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr("sklearn_deepnn.estimators.inputs.validate_data", never)
    np.testing.assert_array_equal(model.predict(X), expected)
    with pytest.raises(AssertionError):
        model.predict(X.tolist())


# The remedies that errors name work.


@pytest.mark.parametrize("kind", [kind for kind, (_, problem) in REFUSED_AS_NUMBERS.items() if problem == TEXT])
def test_the_parameter_that_errors_name_learns_the_columns(kind):
    X = REFUSED_AS_NUMBERS[kind][0]()
    assert net(categorical_features="from_dtype", max_iter=60, learning_rate=0.05).fit(X, Y).score(X, Y) > 0.8


@pytest.mark.parametrize("kind", [kind for kind, (_, problem) in REFUSED_AS_NUMBERS.items() if problem == NUMERALS])
def test_the_conversion_that_errors_name_gives_numbers(kind):
    X = REFUSED_AS_NUMBERS[kind][0]()
    X = X.with_columns(pl.col("b").cast(pl.Float64)) if isinstance(X, pl.DataFrame) else X.astype({"b": "Float64"})
    assert net(max_iter=60, learning_rate=0.05, categorical_features=None).fit(X, Y).score(X, Y) > 0.8


def test_days_since_a_reference_date_are_accepted():
    X = pandas_with(pd.Series(DAYS))
    days = FunctionTransformer(lambda frame: (frame - DAYS[0]) / pd.Timedelta(days=1))
    model = make_pipeline(
        make_column_transformer((days, ["b"]), remainder="passthrough"), net(max_iter=60, learning_rate=0.05)
    )
    assert model.fit(X, Y).score(X, Y) > 0.8


# The functions that read inputs.


def test_inputs_are_returned_as_numeric_arrays():
    X = read_inputs(net(), pd.DataFrame({"a": [1, 2], "b": [True, False]}), reset=True)
    np.testing.assert_array_equal(X, [[1, 1], [2, 0]])
    assert sp.issparse(read_inputs(net(), sp.coo_array([[1.0, 0.0]]), reset=True))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_masked_array_without_masked_values_is_taken_as_it_is(dtype):
    X = np.column_stack([A, NUMBERS]).astype(dtype)
    read = read_inputs(net(), np.ma.array(X), reset=True)
    assert type(read) is np.ndarray
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, X)


def test_objects_of_numbers_become_float64():
    objects = np.array([[1, True], [Decimal("0.5"), np.float32(2)]], dtype=object)
    for X in (objects, objects.tolist(), pd.DataFrame(objects), pd.DataFrame(objects, dtype=object)):
        read = read_inputs(net(), X, reset=True)
        assert read.dtype == np.float64
        np.testing.assert_array_equal(read, [[1, 1], [0.5, 2]])


def test_an_error_about_wide_sparse_inputs_looks_at_wrong_columns_only(monkeypatch):
    looked_at = []

    def problem_of_column(column):
        looked_at.append(column.tolist())
        return "missing"

    monkeypatch.setattr("sklearn_deepnn.estimators.inputs.problem_of_column", problem_of_column)
    wide = sp.random(60, 200_000, density=1e-4, format="lil", random_state=0)
    wide[:, 150_000] = 0
    wide[[3, 7], 150_000] = 2, np.nan
    with pytest.raises(ValueError, match=r"missing values .* in column 150000,"):
        read_inputs(net(), wide.tocsr(), reset=True)
    np.testing.assert_array_equal(looked_at, [[2, np.nan]])


def test_arrays_and_lists_do_not_wait_for_a_context_of_scikit_learn(monkeypatch):
    def never(**options):
        raise AssertionError

    monkeypatch.setattr("sklearn_deepnn.estimators.inputs.config_context", never)
    for X in (np.eye(2), np.eye(2, dtype=int), np.eye(2).tolist()):
        np.testing.assert_array_equal(read_inputs(net(), X, reset=True), np.eye(2))


def test_objects_of_numbers_are_checked_in_one_pass_over_their_types(monkeypatch):
    def never(*args):
        raise AssertionError

    monkeypatch.setattr("sklearn_deepnn.estimators.inputs.problem_of_column", never)
    monkeypatch.setattr("sklearn_deepnn.estimators.columns.is_missing", never)
    for make in (np.asarray, pd.DataFrame):
        read_inputs(net(), make(np.ones((3, 2), dtype=object)), reset=True)


class Tensor:
    """An array of another package, with the two methods of the standard that scikit-learn calls."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape, self.ndim, self.device = self.values.shape, self.values.ndim, "cpu"
        self.dtype = f"tensor.{self.values.dtype}"  # without a kind

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)

    def __array_namespace__(self, api_version=None):
        raise AssertionError("scikit-learn looks for the namespace of a tensor")


@pytest.mark.parametrize("dispatches", [False, True])
def test_tensors_are_taken_as_arrays_whether_scikit_learn_dispatches_or_not(monkeypatch, dispatches):
    if dispatches and find_spec("sklearn.externals.array_api_compat") is None:  # before scikit-learn 1.7
        pytest.importorskip("array_api_compat")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without which scikit-learn does not dispatch
    X, weight = np.column_stack([A, A**2]), np.linspace(0, 2, N)
    expected = net().fit(X, Y, weight, X_val=X, y_val=Y)
    with config_context(array_api_dispatch=dispatches):
        model = net().fit(Tensor(X), Tensor(Y), Tensor(weight), X_val=Tensor(X), y_val=Tensor(Y))
        np.testing.assert_array_equal(model.predict_proba(Tensor(X)), expected.predict_proba(X))
        np.testing.assert_array_equal(model.predict_proba(X.tolist()), expected.predict_proba(X))
        assert model.score(Tensor(X), Tensor(Y), Tensor(weight)) == expected.score(X, Y, weight)


def test_sample_weights_are_returned_as_float64():
    weight = check_sample_weight("sample_weight", [1, 0, 2], 3)
    assert weight.dtype == np.float64
    np.testing.assert_array_equal(weight, [1, 0, 2])
    assert check_sample_weight("sample_weight", None, 3) is None


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 2], r"^sample_weight must have shape \(3,\), one weight per sample, got \(2,\)\.$"),
        (1.0, r"^sample_weight must have shape \(3,\), one weight per sample, got 1\.0\.$"),
        ({1, 2}, r"^sample_weight must have shape \(3,\), one weight per sample, got \{1, 2\}\.$"),
        (np.ones((3, 1)), r"got \(3, 1\)\.$"),
        ([1, 2, -0.5], r"^sample_weight must not be negative, got -0\.5\.$"),
        ([0, 0, 0], "^sample_weight must not be zero for all samples"),
        ([1, 2, np.nan], r"sample_weight contains NaN\), got nan at position 2\.$"),
        (np.ma.array([1, -999, 2], mask=[0, 1, 0]), r"sample_weight contains NaN\), got masked at position 1\.$"),
        (pd.Series([1, 2, None], dtype="Int64"), "sample_weight contains NaN"),
        ([1, 2, np.inf], "sample_weight contains infinity"),
        (["light", "heavy", "heavy"], "^sample_weight must be valid: "),
        (
            "balanced",
            r"^sample_weight must have shape .*, got 'balanced'\. Weights of classes: class_weight='balanced'",
        ),
        ({0: 1.0}, r"^sample_weight must have shape .*, got \{0: 1\.0\}\. Weights of classes"),
    ],
)
def test_errors_about_sample_weights_name_them(weight, message):
    with pytest.raises(ValueError, match=message):
        check_sample_weight("sample_weight", weight, 3)


NO_TABLES = {
    "dict": (lambda: {"a": A, "b": A}, "got a dict. pandas.DataFrame makes a frame of it."),
    "list of dicts": (lambda: [{"a": a} for a in A], "got a list of dict. pandas.DataFrame makes a frame of it."),
    "lazy frame": (lambda: polars_with(NUMBERS).lazy(), "got a LazyFrame. Its collect() makes a frame of it."),
}


@pytest.mark.parametrize(("make", "message"), NO_TABLES.values(), ids=NO_TABLES)
def test_a_table_without_rows_is_refused_by_its_kind(make, message):
    wanted = f"X must be a data frame, an array or a list of rows, {message}"
    for call in (lambda X: net().fit(X, Y), net().fit(pandas_with(NUMBERS), Y).predict):
        with pytest.raises(ValueError, match=re.escape(wanted)):
            call(make())


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_one_row_of_a_frame_is_refused_for_its_dimension():
    X = pandas_with(COLOURS)
    with pytest.raises(ValueError, match=r"^Expected a? ?2"):
        net().fit(X, Y).predict(X.iloc[0])
