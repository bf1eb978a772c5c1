import datetime as dt
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler, TargetEncoder

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.estimators.inputs import check_sample_weight, read_inputs

N = 40
RNG = np.random.default_rng(0)
A, NUMBERS, FLAGS = RNG.normal(size=N), np.arange(N), np.arange(N) % 3 == 0
Y = (A > 0).astype(int)
COLOURS = np.resize(["red", "green", "blue"], N).tolist()
DAYS = [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in range(N)]
TEXT, DATES, MISSING = "OneHotEncoder or TargetEncoder in a ColumnTransformer", "dates or times", "SimpleImputer"
NUMERALS, SEQUENCES, MAPPINGS, INTERVALS = "numbers as text", "lists or arrays", "structs or dictionaries", "intervals"
COMPLEX, OBJECTS, INFINITE = "complex numbers", "objects that are not numbers", "infinite or too large numbers"
PROBLEMS = TEXT, DATES, MISSING, NUMERALS, SEQUENCES, MAPPINGS, INTERVALS, COMPLEX, OBJECTS, INFINITE


def net(**parameters):
    return DeepNNClassifier(**{"hidden_layer_dims": (4,), "max_iter": 3, "random_state": 0, **parameters})


def names_seen(X):
    """Return the names that scikit-learn finds in a frame; version 1.6 needs __dataframe__, which polars 2 removed."""
    return getattr(StandardScaler().fit(X), "feature_names_in_", None)


def pandas_with(column):
    return pd.DataFrame({"a": A, "b": column})


def sparse_frame(*columns, fill):
    return pd.DataFrame({name: pd.arrays.SparseArray(column, fill_value=fill) for name, column in zip("ab", columns)})


def polars_with(column, dtype=None):
    return pl.DataFrame({"a": A, "b": pl.Series(column, dtype=dtype)})


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
    with pytest.raises(ValueError, match=r"^X must have numbers .* missing values .* in column 'b',"):
        model.predict(sparse_frame(A, with_gap(A, np.nan), fill=fill))


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


# Other columns are refused.

REFUSED = {
    "pandas text": (lambda: pandas_with(COLOURS), TEXT),
    "pandas string": (lambda: pandas_with(pd.array(COLOURS, dtype="string")), TEXT),
    "pandas string of pyarrow": (lambda: pandas_with(pd.Series(COLOURS, dtype=arrow_type("string"))), TEXT),
    "pandas dictionary of pyarrow": (
        lambda: pandas_with(pd.Series(COLOURS, dtype=arrow_type("string")).astype(arrow_type("dictionary"))),
        TEXT,
    ),
    "pandas categories of text": (lambda: pandas_with(pd.Categorical(COLOURS)), TEXT),
    "pandas categories with a gap": (lambda: pandas_with(pd.Categorical(with_gap(COLOURS))), TEXT),
    "pandas categories of numbers": (lambda: pandas_with(pd.Categorical(NUMBERS % 3)), TEXT),
    "pandas numbers and text": (lambda: pandas_with(with_gap(NUMBERS, "three")), TEXT),
    "pandas bytes": (lambda: pandas_with([b"red"] * N), TEXT),
    "polars text": (lambda: polars_with(COLOURS), TEXT),
    "polars text with a gap": (lambda: polars_with(with_gap(COLOURS)), TEXT),
    "polars categories": (lambda: polars_with(COLOURS, pl.Categorical), TEXT),
    "polars enumeration": (lambda: polars_with(COLOURS, pl.Enum(["red", "green", "blue"])), TEXT),
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
    "pandas numbers as text": (lambda: pandas_with(NUMBERS.astype(str).tolist()), NUMERALS),
    "pandas numbers as string": (lambda: pandas_with(pd.array(NUMBERS.astype(str), dtype="string")), NUMERALS),
    "pandas numbers as text with a gap": (lambda: pandas_with(with_gap(NUMBERS.astype(str).tolist())), NUMERALS),
    "pandas numbers and numbers as text": (lambda: pandas_with(with_gap(NUMBERS, "3.0")), NUMERALS),
    "polars numbers as text": (lambda: polars_with(NUMBERS.astype(str).tolist()), NUMERALS),
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
    "pandas sparse text": (lambda: sparse_frame(A.astype(object), np.array(COLOURS, object), fill="red"), TEXT),
    "polars objects": (lambda: polars_with([object()] * N, pl.Object), OBJECTS),
    "pandas infinity": (lambda: pandas_with(with_gap(A, np.inf)), INFINITE),
    "pandas integers too large": (lambda: pandas_with(np.array(with_gap(NUMBERS, 10**400), dtype=object)), INFINITE),
    "pandas NaN": (lambda: pandas_with(with_gap(A, np.nan)), MISSING),
    "pandas None": (lambda: pandas_with(pd.Series(with_gap(NUMBERS), dtype=object)), MISSING),
    "pandas NA in objects": (lambda: pandas_with(pd.Series(with_gap(NUMBERS, pd.NA), dtype=object)), MISSING),
    "pandas Int64 with NA": (lambda: pandas_with(pd.array(with_gap(NUMBERS, pd.NA), dtype="Int64")), MISSING),
    "pandas Float64 with NA": (lambda: pandas_with(pd.array(with_gap(A, pd.NA), dtype="Float64")), MISSING),
    "pandas boolean with NA": (lambda: pandas_with(pd.array(with_gap(FLAGS, pd.NA), dtype="boolean")), MISSING),
    "pandas int of pyarrow with NA": (
        lambda: pandas_with(pd.Series(with_gap(NUMBERS.tolist()), dtype=arrow_type("int64"))),
        MISSING,
    ),
    "polars null": (lambda: polars_with(with_gap(NUMBERS.tolist())), MISSING),
    "polars NaN": (lambda: polars_with(with_gap(A.tolist(), np.nan)), MISSING),
    "polars bool with null": (lambda: polars_with(with_gap(FLAGS.tolist())), MISSING),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("call", ["fit", "predict", "X_val"])
def test_one_error_names_the_column_and_the_remedy(kind, call):
    make, remedy = REFUSED[kind]
    X, name = make(), "X_val" if call == "X_val" else "X"
    good = type(X)(dict.fromkeys(X.columns, A))
    calls = {
        "fit": lambda: net().fit(X, Y),
        "predict": lambda: net(max_iter=1).fit(good, Y).predict(X),
        "X_val": lambda: net().fit(good, Y, X_val=X, y_val=Y),
    }
    with pytest.raises(ValueError, match=f"^{name} must have numbers in every column, got .*column 'b'[,:]") as raised:
        calls[call]()
    message = str(raised.value)
    assert remedy in message
    assert sum(other in message for other in PROBLEMS) == 1
    assert "'a'" not in message


@pytest.mark.parametrize(
    ("type_name", "column", "remedy"),
    [
        ("string", ["red", "green"], TEXT),
        ("string", ["01067", "10115"], NUMERALS),
        ("binary", [b"red", b"green"], TEXT),
        ("dictionary of text", ["red", "green"], TEXT),
        ("dictionary of numbers", [3, 4], TEXT),
        ("date32", [dt.date(2024, 1, 1), dt.date(2024, 1, 2)], DATES),
        ("timestamp[us]", [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)], DATES),
        ("duration[us]", [dt.timedelta(1), dt.timedelta(2)], DATES),
        ("list", [[1.0, 2.0], [3.0]], SEQUENCES),
        ("struct", [{"x": 1}, {"x": 2}], MAPPINGS),
        ("decimal", [Decimal(1), None], MISSING),
        ("int64", [1, None], MISSING),
        ("double", [1.0, float("nan")], MISSING),
    ],
)
def test_errors_about_pyarrow_tables_name_the_column_and_the_remedy(type_name, column, remedy):
    pa = pytest.importorskip("pyarrow")
    if type_name.startswith("dictionary"):
        column = pa.array(column).dictionary_encode()
    elif type_name not in ("list", "struct", "decimal"):
        column = pa.array(column, type=pa.type_for_alias(type_name))
    with pytest.raises(ValueError, match=r"^X must have numbers .*column 'b'[,:]") as raised:
        net().fit(pa.table({"a": A[:2], "b": column}), [0, 1])
    assert remedy in str(raised.value)


def test_columns_with_the_same_name_are_all_checked():
    X = pd.DataFrame(np.column_stack([A, with_gap(A, np.nan)]), columns=["a", "a"])
    with pytest.raises(ValueError, match=r"missing values .* in column 'a',"):
        net().fit(X, Y)


@pytest.mark.parametrize("call", ["partial_fit", "predict_proba", "decision_function", "hidden_activations"])
def test_every_method_names_the_column(call):
    fitted, arguments = net(max_iter=1).fit(pandas_with(A), Y), [Y] if call == "partial_fit" else []
    with pytest.raises(ValueError, match=r"^X must have numbers .*column 'b', which OneHotEncoder"):
        getattr(fitted, call)(pandas_with(COLOURS), *arguments)


@pytest.mark.parametrize("dtype", [object, "str", "string"])
def test_text_is_refused_even_if_it_is_all_digits(dtype):
    table = pd.DataFrame({"zip": pd.Series(["01067", "10115"] * 20, dtype=dtype), "a": A})
    with pytest.raises(ValueError, match="numbers as text in column 'zip': convert them"):
        net().fit(table, Y)
    with pytest.raises(ValueError, match="numbers as text in column 0: convert them"):
        net().fit(table.to_numpy(dtype=object), Y)
    network = net().fit(table.assign(zip=NUMBERS), Y)
    with pytest.raises(ValueError, match="numbers as text in column 'zip': convert them"):
        network.predict(table)


def test_one_error_lists_all_problems_of_a_table():
    X = pd.DataFrame({"size": COLOURS, "age": with_gap(A, np.nan), "day": DAYS, "fine": A, "colour": COLOURS})
    with pytest.raises(ValueError, match="X must") as raised:
        net().fit(X, Y)
    assert str(raised.value) == (
        "X must have numbers in every column, got text or categories in columns 'size', 'colour', which OneHotEncoder "
        "or TargetEncoder in a ColumnTransformer turns into numbers; dates or times in column 'day', which must be "
        "converted to numbers first, such as days since a reference date; missing values (Input X contains NaN) in "
        "column 'age', which SimpleImputer in a pipeline fills in."
    )


def test_at_most_five_columns_are_listed():
    X = pd.DataFrame({f"c{j}": COLOURS for j in range(12)})
    with pytest.raises(ValueError, match=r"columns 'c0', 'c1', 'c2', 'c3', 'c4' and 7 more, which OneHotEncoder"):
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
        (np.array([[1.0, None], [2.0, 3.0]], dtype=object), "missing values .* in column 1,"),
        (np.array([[1.0, pd.NA], [2.0, 3.0]], dtype=object), "missing values .* in column 1,"),
        ([[1.0, None], [2.0, 3.0]], "missing values .* in column 1,"),
        (np.array([[1.0, 2.0], [np.nan, np.inf]]), "missing values .* in column 0,"),
        (sp.csr_array([[1.0, 0.0], [0.0, np.nan]]), "missing values .* in column 1,"),
        (sp.csc_matrix([[1.0, 0.0], [0.0, np.nan]]), "missing values .* in column 1,"),
        (np.full((2, 2), np.datetime64("2024-01-01")), "dates or times in columns 0, 1,"),
        ([[np.datetime64("2024-01-01")] * 2] * 2, "dates or times in columns 0, 1,"),
        (np.array([[1.0, np.float32("nan")], [2.0, 3.0]], dtype=object), "missing values .* in column 1,"),
        (np.array([[1.0, Decimal("NaN")], [2.0, 3.0]], dtype=object), "missing values .* in column 1,"),
        (np.array([[1.0, Decimal("sNaN")], [2.0, 3.0]], dtype=object), "missing values .* in column 1,"),
        (np.array([[1.0, Decimal("-Infinity")], [2.0, 3.0]], dtype=object), "infinite .* in column 1,"),
        (np.array([[1.0, Decimal("1e400")], [2.0, 3.0]], dtype=object), "infinite .* in column 1,"),
        (np.full((2, 2), np.timedelta64(1, "D")), "dates or times in columns 0, 1,"),
        (np.array([[1.0, np.timedelta64(1, "s")], [2.0, None]], dtype=object), "dates or times in column 1,"),
        (np.ma.array(np.eye(2), mask=[[0, 0], [0, 1]]), "missing values .* in column 1,"),
        (np.ma.array(np.eye(2, dtype=int), mask=[[0, 0], [0, 1]]), "missing values .* in column 1,"),
        (np.ma.array(np.eye(2, dtype=object), mask=[[0, 0], [0, 1]]), "missing values .* in column 1,"),
        ([np.ma.array([1.0, 2.0]), np.ma.array([1.0, 2.0], mask=[0, 1])], "missing values .* in column 1,"),
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
        net().fit(X, [0, 1])
    with pytest.raises(ValueError, match=f"^X must have numbers in every column, got {message}"):
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
        model.fit(pandas_with(COLOURS), Y)
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


@pytest.mark.parametrize("encoder", [OneHotEncoder(), TargetEncoder()])
@pytest.mark.parametrize("kind", [kind for kind, (_, remedy) in REFUSED.items() if remedy == TEXT])
def test_the_encoders_that_errors_name_convert_the_columns(kind, encoder):
    X = REFUSED[kind][0]()
    if kind in ("pandas numbers and text", "pandas bytes"):
        pytest.skip("scikit-learn's encoders do not accept such a column")
    if names_seen(pl.DataFrame({"a": A})) is None and isinstance(X, pl.DataFrame):
        pytest.skip("this version of scikit-learn selects no columns of polars frames by name")
    model = make_pipeline(
        make_column_transformer((encoder, ["b"]), remainder="passthrough"), net(max_iter=60, learning_rate=0.05)
    )
    assert model.fit(X, Y).score(X, Y) > 0.8


@pytest.mark.parametrize("kind", [kind for kind, (_, remedy) in REFUSED.items() if remedy == MISSING])
def test_the_imputer_that_errors_name_fills_in_missing_values(kind):
    X = REFUSED[kind][0]()
    if kind in ("pandas None", "pandas NA in objects"):  # pandas finds the numeric dtype
        X = X.convert_dtypes()
    if isinstance(X, pl.DataFrame):
        X = X.with_columns(pl.col("b").cast(pl.Float64))
    if kind == "pandas boolean with NA":
        X = X.astype({"b": "Float64"})
    assert make_pipeline(SimpleImputer(), net(max_iter=60, learning_rate=0.05)).fit(X, Y).score(X, Y) > 0.8


def test_days_since_a_reference_date_are_accepted():
    X = pandas_with(pd.Series(DAYS))
    days = FunctionTransformer(lambda frame: (frame - DAYS[0]) / pd.Timedelta(days=1))
    model = make_pipeline(
        make_column_transformer((days, ["b"]), remainder="passthrough"), net(max_iter=60, learning_rate=0.05)
    )
    assert model.fit(X, Y).score(X, Y) > 0.8


def test_missing_values_are_refused_even_under_assume_finite():
    X = np.column_stack([A, with_gap(A, np.nan)])
    model = net().fit(np.column_stack([A, A]), Y)
    with config_context(assume_finite=True), pytest.raises(ValueError, match="X"):
        model.predict(X)


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
    monkeypatch.setattr("sklearn_deepnn.estimators.inputs.is_missing", never)
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
