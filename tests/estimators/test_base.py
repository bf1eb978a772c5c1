"""`fit` and `partial_fit`: sample weights, bad data, memory, and failed calls that change nothing."""

import copy
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from estimator_cases import PREDICTORS, TARGETS, X_VAL, Y_VAL, X, Y, assert_untouched, fitted, net, targets, with_entry
from reference import assert_same
from sklearn.exceptions import NotFittedError

from sklearn_deepnn.estimators import base
from sklearn_deepnn.network import prediction
from sklearn_deepnn.training import loop
from sklearn_deepnn.training.optimizers import OPTIMIZERS


def test_training_lowers_the_cost_and_learns():
    model = net(max_iter=40, learning_rate=0.01).fit(X, Y)
    assert model.loss_ < 0.2 * model.loss_curve_[0]
    assert model.score(X_VAL, Y_VAL) > 0.95


def test_fitting_does_not_write_into_its_inputs():
    weight = np.linspace(0, 2, 90)
    given = [X.copy(), Y.copy(), weight.copy()]
    net(early_stopping=True, class_weight="balanced").fit(*given)
    assert_same(given, [X, Y, weight])


# Memory.


@pytest.mark.parametrize("layout", ["float64", "float64, columns together", "int64", "float32 to float64"])
def test_x_is_never_copied_whole(layout):
    X = np.random.default_rng(0).integers(-3, 4, (100_000, 100), dtype=np.int64)
    X = X if layout == "int64" else X.astype("float32" if layout.startswith("float32") else "float64")
    X = np.asfortranarray(X) if "columns" in layout else X
    y = np.arange(len(X)) % 2
    dtype = "float64" if layout.startswith("float32") else "float32"
    model = net(hidden_layer_dims=(4,), max_iter=1, batch_size=2000, dtype=dtype, early_stopping=True)
    tracemalloc.start()
    model.fit(X, y)
    fit_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    model.predict_proba(X)
    predict_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fit_peak < 20e6  # a copy of X would be 40e6 bytes or more; labels and orders of rows are about 10e6
    assert predict_peak < 20e6


@pytest.mark.parametrize("mode", ["r", "c"])
def test_a_memory_map_is_trained_on_and_predicted_without_being_copied(tmp_path, monkeypatch, peak_bytes, mode):
    for module in (prediction, loop):
        monkeypatch.setattr(module, "keep_freed_memory", lambda: None)
    n_samples = 50_000
    on_disk = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=(n_samples, 100))
    on_disk[:] = np.random.default_rng(0).standard_normal(on_disk.shape, dtype=np.float32)
    on_disk.flush()
    mapped = np.memmap(tmp_path / "X", dtype=np.float32, mode=mode, shape=on_disk.shape)
    y = np.arange(n_samples) % 2
    model = net(hidden_layer_dims=(4,), max_iter=1, batch_size=1000, early_stopping=True)
    assert peak_bytes(model.fit, mapped, y) < 0.2 * mapped.nbytes
    for name in PREDICTORS:
        predict = getattr(model, name)
        assert peak_bytes(predict, mapped) < 0.3 * mapped.nbytes
        np.testing.assert_array_equal(predict(mapped), predict(np.array(mapped)))


# Sample weights.


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(
    "parameters",
    [
        *({"optimizer": name} for name in OPTIMIZERS),
        *({"batch_norm": True}, {"label_smoothing": 0.1}, {"scale_inputs": "robust"}, {"weight_averaging": 3.0}),
        {"ensemble_size": 3, "early_stopping": False},
    ],
    ids=str,
)
def test_a_weight_of_2_equals_a_second_copy_of_the_row(kind, parameters):
    y = targets(kind)
    weight = np.where(np.arange(90) % 4 == 0, 2, 1)
    weighted = net(batch_size=None, max_iter=20, **parameters).fit(X, y, weight)
    repeated = net(batch_size=None, max_iter=20, **parameters).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight, axis=0)
    )
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=0, atol=1e-7)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1e6])
def test_the_scale_of_weights_does_not_matter(factor):
    weight = np.linspace(0.5, 1.5, 90)
    one, other = (net().fit(X, Y, w).predict_proba(X) for w in (weight, factor * weight))
    np.testing.assert_allclose(one, other, atol=1e-10)


def test_weights_of_1_equal_none():
    np.testing.assert_allclose(
        net().fit(X, Y, np.ones(90)).predict_proba(X), net().fit(X, Y).predict_proba(X), atol=1e-12
    )


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(
    "parameters",
    [
        *({}, {"early_stopping": True}, {"batch_norm": True}, {"dropout_rate": 0.2}),
        *({"scale_inputs": "robust"}, {"ensemble_size": 3}, {"ensemble_size": 3, "early_stopping": True}),
    ],
    ids=str,
)
def test_rows_of_weight_0_are_ignored(kind, parameters):
    y, weight = targets(kind), (np.arange(90) % 5 > 0) * 1.0
    weighted, without = net(**parameters).fit(X, y, weight), net(**parameters).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(weighted.predict_proba(X), without.predict_proba(X), atol=1e-12)


def test_a_class_of_total_weight_0_is_ignored():
    weight = (Y != 1) * 1.0
    weighted, without = net().fit(X, Y, weight), net().fit(X[Y != 1], Y[Y != 1])
    np.testing.assert_array_equal(weighted.classes_, [0, 2])
    np.testing.assert_allclose(weighted.predict_proba(X), without.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_tiny_weight_are_normalised(dtype):
    weight = np.full(90, 1e-60)
    weight[::20] = 1
    model = net(batch_norm=True, dtype=dtype, batch_size=4).fit(X, Y, weight)
    assert np.isfinite(model.loss_)


# Bad data.

BAD_DATA = {
    "X with infinity": ({"X": with_entry(X, np.inf)}, "Input X contains infinity"),
    "X with inf": ({"X": with_entry(X, np.inf)}, "Input X contains infinity"),
    "sparse X with NaN": ({"X": sp.csr_array(with_entry(X, np.nan))}, "Input X contains NaN"),
    "empty X": ({"X": X[:0], "y": Y[:0]}, r"0 sample\(s\) .*minimum of 1 is required"),
    "X without columns": ({"X": X[:, :0]}, r"0 feature\(s\) .*minimum of 1 is required"),
    "one-dimensional X": ({"X": X[:, 0]}, "Expected 2D array, got 1D array"),
    "complex X": ({"X": X + 1j}, "Complex data not supported"),
    "X of dates": ({"X": np.full((90, 4), "2024-01-01", "datetime64[D]")}, "dates or times in columns 0, 1, 2, 3"),
    "no y": ({"y": None}, "requires y to be passed"),
    "short y": ({"y": Y[:80]}, r"inconsistent numbers of samples: \[90, 80\]"),
    "continuous y": ({"y": X[:, 0]}, "Unknown label type: continuous"),
    "y with NaN": ({"y": with_entry(Y, np.nan)}, "Input y contains NaN"),
    "several columns of classes": ({"y": np.stack([Y, Y], axis=1)}, "y must have one label per sample"),
    "labels of two kinds": ({"y": np.array([1, "a", 2] * 30, dtype=object)}, "(?i)y must|label"),
    "negative weights": ({"sample_weight": with_entry(np.ones(90), -2)}, "sample_weight must not be negative, got -2"),
    "weights with NaN": ({"sample_weight": with_entry(np.ones(90), np.nan)}, "sample_weight contains NaN"),
    "weights with inf": ({"sample_weight": with_entry(np.ones(90), np.inf)}, "sample_weight contains infinity"),
    "weights all zero": ({"sample_weight": np.zeros(90)}, "sample_weight must not be zero for all"),
    "short weights": ({"sample_weight": np.ones(80)}, r"sample_weight must have shape \(90,\).*got \(80,\)"),
    "weights in columns": ({"sample_weight": np.ones((90, 2))}, r"sample_weight must have shape .*got \(90, 2\)"),
    "one weight for all": ({"sample_weight": 2.0}, "sample_weight"),
    "weights of text": ({"sample_weight": ["heavy"] * 90}, "sample_weight"),
}


@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_data_are_named(earlier, no_training, case, method):
    changes, named = BAD_DATA[case]
    no_training()
    with pytest.raises(ValueError, match=f"(?s){named}"):
        getattr(earlier[0], method)(**{"X": X, "y": Y, **changes})
    assert_untouched(earlier)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_batch_norm_rejects_a_single_sample(method):
    model = net(batch_norm=True).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"batch_norm=True needs at least 2 samples .* n_samples = 1"):
        getattr(model, method)(X[:1], Y[:1])


# A failed call changes nothing.


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_blas_has_one_thread_from_the_beginning_of_a_fit_to_its_end(method, monkeypatch, blas_threads):
    seen = []
    for name in ("plan_for", "train"):
        function = getattr(base, name)
        monkeypatch.setattr(base, name, lambda *a, f=function, **k: seen.append(blas_threads()) or f(*a, **k))
    arguments = {"classes": np.unique(Y)} if method == "partial_fit" else {}
    getattr(net(), method)(X, Y, **arguments)
    assert seen == [{1}, {1}]
    assert blas_threads() == {3}


@pytest.mark.parametrize(
    "changes", [{"learning_rate": -1}, {"random_state": "seed"}, {"learning_rate": 1e300}], ids=str
)
def test_a_first_fit_that_fails_leaves_nothing_fitted(changes):
    model = net(**{"optimizer": "sgd", **changes})
    with pytest.raises(ValueError, match=r"learning_rate|seed"):
        model.fit(X, Y)
    assert not fitted(model)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(("error", "n_calls"), [(RuntimeError, 2), (RuntimeError, 3), (KeyboardInterrupt, 2)])
def test_a_fit_without_a_complete_epoch_keeps_the_earlier_fit(warm_start, error, n_calls):
    calls = []

    def scoring(estimator, X, y):
        calls.append(estimator)
        if len(calls) == n_calls:  # the first is made before the first epoch
            raise error("in an epoch")
        return 0.0

    model = net(warm_start=warm_start).fit(X, Y)
    before = model, copy.deepcopy(fitted(model)), model.predict_proba(X)
    with pytest.raises(error, match="in an epoch"):
        model.set_params(scoring=scoring, early_stopping=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert_untouched(before)
