"""Resuming from checkpoints: to the bit, and only with the same data and parameters."""

import copy
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from checkpoint_cases import (
    RESUMED,
    SEVERAL,
    WEIGHT,
    X_VAL,
    Y_VAL,
    X,
    Y,
    assert_same_fit,
    epochs_in,
    net,
    trained,
    write_second_checkpoint,
)
from reference import assert_same
from sklearn import config_context
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import Adam
from sklearn_deepnn.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TimeBudget,
    load_checkpoint,
)
from sklearn_deepnn.callbacks.checkpoints import checkpoints_in, epoch_of, newest_checkpoint
from sklearn_deepnn.training.optimizers import Optimizer
from sklearn_deepnn.training.schedules import inverse_scaling


@pytest.fixture
def checkpoint(tmp_path):
    """Return a checkpoint of the second of six epochs, whose folder has no other."""
    return write_second_checkpoint(tmp_path / "run")


# Resuming to the bit.


def assert_resumes(folder, parameters, *callbacks, X=X, y=Y, epochs=(1, 4, 6), earlier=False, **data):
    """Check that fits that are resumed from the checkpoints of some epochs equal an uninterrupted fit.

    With `earlier`, all are a second call with `warm_start=True`.
    """
    parameters = {"warm_start": True, **parameters}

    def start():
        model = net(**parameters)
        return (model.fit(X, y, **data) if earlier else model).set_callbacks(*callbacks)

    whole = start().fit(X, y, **data)
    saving = start()
    saving.set_callbacks(*callbacks, ModelCheckpoint(folder, keep=None)).fit(X, y, **data)
    assert_same_fit(saving, whole, X)
    paths = {epoch_of(path): path for path in checkpoints_in(folder)}
    n_before = parameters.get("max_iter", 6) if earlier else 0
    assert list(paths) == list(range(n_before + 1, whole.n_iter_ + 1))
    for epoch in epochs:
        resumed = net(**parameters).set_callbacks(*callbacks).fit(X, y, resume_from=paths[n_before + epoch], **data)
        assert_same_fit(resumed, whole, X)
    return whole


@pytest.mark.parametrize("kind", RESUMED)
def test_a_resumed_fit_equals_an_uninterrupted_one(kind, tmp_path):
    assert_resumes(tmp_path, RESUMED[kind])


@pytest.mark.parametrize("kind", RESUMED)
def test_an_interrupted_second_call_is_resumed_as_well(kind, tmp_path):
    assert assert_resumes(tmp_path, RESUMED[kind], earlier=True).n_iter_ == 12


DATA = {
    "sample_weight": {"sample_weight": WEIGHT},
    "held out by weight": {"sample_weight": WEIGHT, "early_stopping": True},
    "sparse": {"X": sp.csr_array(X * (X > 1))},
    "multilabel": {"y": SEVERAL, "early_stopping": True},
    "binary": {"y": np.array(["no", "yes"])[(Y > 0) * 1]},
    "validation data": {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": WEIGHT, "early_stopping": True},
    "scored": {"X_val": X_VAL, "y_val": Y_VAL, "scoring": "accuracy", "early_stopping": True},
    "float32": {"X": X.astype(np.float32)},
}


@pytest.mark.parametrize("kind", DATA)
def test_fits_on_all_kinds_of_data_are_resumed(kind, tmp_path):
    options = dict(DATA[kind])
    parameters = {name: options.pop(name) for name in ("early_stopping", "scoring") if name in options}
    assert_resumes(tmp_path, parameters, **options)


def test_a_fit_without_a_seed_is_resumed_to_the_bit(tmp_path):
    whole = net(random_state=None).set_callbacks(ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    third = checkpoints_in(tmp_path)[2]
    assert_same_fit(net(random_state=None).fit(X, Y, resume_from=str(third)), whole)


def test_a_second_call_on_other_rows_is_resumed(tmp_path):
    whole = net(warm_start=True).fit(X, Y).set_callbacks(ModelCheckpoint(tmp_path, keep=None)).fit(X[:45], Y[:45])
    resumed = net(warm_start=True).fit(X[:45], Y[:45], resume_from=checkpoints_in(tmp_path)[2])
    assert_same_fit(resumed, whole)


def test_a_resumed_fit_can_be_resumed_again(tmp_path):
    whole = net(dropout_rate=0.3, max_iter=8).fit(X, Y)

    class Died(Exception):
        pass

    class DieAt(Callback):
        def __init__(self, epoch):
            self.epoch = epoch

        def on_epoch_begin(self, run):
            if run.state.epoch == self.epoch:
                raise Died

    for epoch in range(1, 8):
        with pytest.raises(Died):
            net(dropout_rate=0.3, max_iter=8).set_callbacks(DieAt(epoch), ModelCheckpoint(tmp_path)).fit(
                X, Y, resume_from=tmp_path
            )
        assert epochs_in(tmp_path)[-1] == epoch
    assert_same_fit(net(dropout_rate=0.3, max_iter=8).fit(X, Y, resume_from=tmp_path), whole)


def test_partial_fit_continues_from_a_checkpoint_to_the_bit(tmp_path):
    model = net(dropout_rate=0.3).set_callbacks(ModelCheckpoint(tmp_path, keep=None))
    for _ in range(5):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    loaded = load_checkpoint(checkpoints_in(tmp_path)[1])
    for _ in range(3):
        loaded.partial_fit(X, Y)
    assert_same_fit(loaded, model)


# What stops training.


def test_reduce_on_plateau_keeps_its_count_of_epochs(tmp_path):
    parameters = {"learning_rate_schedule": "reduce_on_plateau", "n_iter_no_change": 6, "tol": 1.0, "max_iter": 10}
    whole = assert_resumes(tmp_path, {**parameters, "learning_rate": 0.02}, epochs=(1, 2, 3, 4, 5))
    assert len(set(whole.learning_rate_curve_)) > 1  # the rate was lowered after epochs that were resumed from


@pytest.mark.parametrize("data", [{}, {"X_val": X_VAL, "y_val": Y_VAL}], ids=["cost", "validated"])
def test_callbacks_keep_their_count_of_epochs(data, tmp_path):
    callbacks = ReduceLROnPlateau(patience=2, min_delta=0.1, factor=0.5), EarlyStopping(patience=4, min_delta=0.1)
    parameters = {"max_iter": 40, "learning_rate": 0.02}
    whole = assert_resumes(tmp_path, parameters, *callbacks, epochs=(1, 9, 12, 13), **data)
    assert 13 <= whole.n_iter_ < 40
    assert len(set(whole.learning_rate_curve_)) > 1


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_had_stopped_early_trains_no_more(early_stopping, tmp_path):
    parameters = {"early_stopping": early_stopping, "n_iter_no_change": 3, "tol": 0.5, "max_iter": 50}
    whole = net(**parameters).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    assert whole.n_iter_ < 50
    assert epochs_in(tmp_path)[-1] == whole.n_iter_
    resumed = net(**parameters).fit(X, Y, resume_from=tmp_path)
    assert_same_fit(resumed, whole)


def test_an_optimizer_that_has_converged_trains_no_more(tmp_path):
    model = net(hidden_layer_dims=(), optimizer="lbfgs", weight_decay=1.0, max_iter=500, tol=0.0)
    whole = model.set_callbacks(ModelCheckpoint(tmp_path, every=1000)).fit(X, Y)
    assert whole.n_iter_ < 500
    assert_same_fit(net(**model.get_params()).fit(X, Y, resume_from=tmp_path), whole)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_checkpoint_of_a_fit_with_less_patience_is_not_used(tmp_path):
    def fit(patience):
        callbacks = EarlyStopping("cost", patience, min_delta=1.0, restore_best=False), ModelCheckpoint(tmp_path)
        return net(max_iter=9).set_callbacks(*callbacks).fit(X, Y, resume_from=tmp_path).n_iter_

    assert (fit(2), fit(5)) == (3, 6)


def test_a_finished_fit_continues_after_max_iter_is_raised(tmp_path):
    net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    assert_same_fit(net(max_iter=9).fit(X, Y, resume_from=tmp_path), net(max_iter=9).fit(X, Y))


def test_a_time_budget_continues_with_the_time_that_is_left(tmp_path, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))  # each epoch takes a second
    budget = TimeBudget(4.5)
    whole = net().set_callbacks(budget, ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    assert whole.n_iter_ == 4
    resumed = net().set_callbacks(budget).fit(X, Y, resume_from=checkpoints_in(tmp_path)[1])
    assert resumed.n_iter_ == 4


def test_a_time_budget_that_ran_out_can_be_raised(tmp_path):
    def fit(seconds):
        return (
            net(max_iter=9)
            .set_callbacks(TimeBudget(seconds), ModelCheckpoint(tmp_path))
            .fit(X, Y, resume_from=tmp_path)
        )

    first = fit(1e-9)
    assert (first.n_iter_, first.training_state_["call"]["stopped_by"]) == (1, "TimeBudget")
    assert fit(1e-9).n_iter_ == 1
    assert_same_fit(fit(60), net(max_iter=9).fit(X, Y))


# Other data or parameters.

OTHER_DATA = (
    r"resume_from must be a checkpoint of a fit on the same X, y, weights and X_val, got .*joblib'\), "
    "a checkpoint of a fit on other data"
)
WRONG = {
    "no path": ({}, {"resume_from": 3}, "resume_from must be None or the path of a checkpoint or of a folder.*got 3"),
    "values": ({}, {"X": X + 1}, OTHER_DATA),
    "samples": ({}, {"X": X[:50], "y": Y[:50]}, OTHER_DATA),
    "weights": ({}, {"sample_weight": WEIGHT > 0}, OTHER_DATA),
    "features": ({}, {"X": X[:, :3]}, OTHER_DATA),
    "classes": ({}, {"y": Y + 1}, OTHER_DATA),
    "kind of target": ({}, {"y": SEVERAL}, OTHER_DATA),
    "validation data": ({}, {"X_val": X_VAL, "y_val": Y_VAL}, OTHER_DATA),
    "dims": (
        {"hidden_layer_dims": (7,)},
        {},
        r"hidden_layer_dims must stay \(6,\), got \(7,\)\. .* without resume_from",
    ),
    "ensemble": ({"ensemble_size": 2}, {}, "ensemble_size must stay 1, got 2"),
    "scaling": ({"scale_inputs": "robust"}, {}, "scale_inputs must stay 'standard', got 'robust'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_data_or_parameters_that_do_not_fit_a_checkpoint_are_an_error_without_a_warning(kind, checkpoint):
    parameters, data, message = WRONG[kind]
    model = net().fit(X_VAL, Y_VAL)
    before = copy.deepcopy(trained(model))
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).fit(**{"X": X, "y": Y, "resume_from": checkpoint, **data})
    assert_same(trained(model), before)


OTHER_FITS = {
    "samples": ({}, {"X": X[:50], "y": Y[:50]}),
    "features": ({}, {"X": X[:, :3]}),
    "values": ({}, {"X": X + 1}),
    "labels": ({}, {"y": (Y + 1) % 3}),
    "weights": ({}, {"sample_weight": WEIGHT}),
    "validation": ({"early_stopping": True}, {"X_val": X_VAL, "y_val": Y_VAL}),
    "dims": ({"hidden_layer_dims": (7,)}, {}),
    "rate": ({"learning_rate": 0.5}, {}),
    "optimizer": ({"optimizer": Adam(beta_1=0.5)}, {}),
    "schedule": ({"learning_rate_schedule": partial(inverse_scaling, learning_rate=0.1, n_steps=9)}, {}),
    "seed": ({"random_state": 5}, {}),
}


@pytest.mark.parametrize("kind", OTHER_FITS)
def test_a_folder_s_checkpoints_of_other_data_or_parameters_are_ignored(kind, checkpoint):
    parameters, data = OTHER_FITS[kind]
    data = {"X": X, "y": Y, **data}
    resumed = net(**parameters).fit(**data, resume_from=checkpoint.parent)
    assert_same_fit(resumed, net(**parameters).fit(**data), X=data["X"])


@pytest.mark.parametrize("name", ["", "not-there-yet"])
def test_a_folder_without_checkpoints_starts_from_the_beginning(name, tmp_path):
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "notes.txt").touch()
    folder = tmp_path / "alone" / name
    assert newest_checkpoint(folder) is None
    with pytest.raises(FileNotFoundError, match="There is no checkpoint in"):
        load_checkpoint(folder)
    assert_same_fit(net().fit(X, Y, resume_from=folder), net().fit(X, Y))


def fingerprint(network, X):
    """Return the hashes that tell a fit of a network from other fits."""
    return network._fingerprint(*network._read_all(X, Y))


SAME = {
    "order": ({}, {"X": np.asfortranarray(X)}),
    "sparse": ({}, {"X": sp.csr_array(X)}),
    "numpy's numbers": ({"batch_size": np.int64(16), "dropout_rate": np.array([0.1])}, {}),
    "lists": ({"hidden_layer_dims": [6]}, {}),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_data_and_parameters_in_another_form_have_the_same_key(kind):
    parameters, data = SAME[kind]
    plain = {name: value.tolist() if name == "dropout_rate" else int(value) for name, value in parameters.items()
             if name != "hidden_layer_dims"}  # fmt: skip
    assert fingerprint(net(**parameters), **{"X": X, **data}) == fingerprint(net(**plain), X)


def test_the_hash_of_wide_sparse_inputs_needs_little_memory(peak_bytes):
    wide = sp.random(60, 200_000, density=1e-4, format="csr", random_state=0)
    assert peak_bytes(fingerprint, net(), wide) < 60 * 200_000  # a byte for each value, where floats would take eight


@pytest.mark.parametrize(
    ("parameters", "seen"),
    [
        ({"learning_rate": 0.5, "tol": 0.0}, "learning_rate from 0.001 to 0.5, tol from 0.0001 to 0.0"),
        ({"optimizer": Adam(beta_1=0.5)}, r"optimizer from 'adam' to Adam\(beta_1=0.5"),
    ],
)
def test_resuming_with_other_parameters_warns(parameters, seen, checkpoint):
    with pytest.warns(UserWarning, match=f"The checkpoint in resume_from is of a fit with other parameters.*{seen}"):
        net(**parameters).fit(X, Y, resume_from=checkpoint)


class Scaled(Optimizer):
    """An optimizer of a user, with a constructor of its own."""

    def __init__(self, scale):
        self.scale = scale

    def init(self, parameters):
        return {}

    def update(self, parameters, grads, state, learning_rate):
        parameters -= learning_rate * np.mean(self.scale) * grads


@pytest.mark.parametrize("scale", [0.5, np.array([0.5, 1.5])], ids=["number", "array"])
def test_resuming_with_an_equal_optimizer_of_the_user_does_not_warn(scale, tmp_path):
    checkpoint = write_second_checkpoint(tmp_path / "run", optimizer=Scaled(scale))
    assert net(optimizer=Scaled(scale)).fit(X, Y, resume_from=checkpoint).n_iter_ == 6
    if np.ndim(scale) == 0:
        with pytest.warns(UserWarning, match=r"Changed: optimizer from Scaled\(scale=0.5\) to Scaled\(scale=2.0\)"):
            net(optimizer=Scaled(2.0)).fit(X, Y, resume_from=checkpoint)


@pytest.mark.parametrize("parameters", [{"verbose": 2}, {"warm_start": True}, {"max_iter": 20}])
def test_resuming_with_parameters_that_may_change_does_not_warn(parameters, checkpoint):
    assert net(**parameters).fit(X, Y, resume_from=checkpoint).n_iter_ >= 6


def test_a_verbose_fit_says_whether_it_is_resumed(tmp_path, capsys):
    network = net(max_iter=2, verbose=1).set_callbacks(ModelCheckpoint(tmp_path / "here"))
    nothing = f"no checkpoint of this fit in {str(tmp_path / 'here')!r}: training starts from the beginning\n"
    network.fit(X, Y, resume_from=tmp_path / "here")
    assert capsys.readouterr().out.startswith(nothing)
    network.set_params(max_iter=3).fit(X, Y, resume_from=tmp_path / "here")
    assert capsys.readouterr().out.startswith("resumed after epoch 2 of at most 3\n")
    network.set_params(learning_rate=0.5).fit(X, Y, resume_from=tmp_path / "here")
    assert capsys.readouterr().out.startswith(nothing)
    network.set_params(verbose=0).fit(X, Y, resume_from=tmp_path / "here")
    assert not capsys.readouterr().out


# Paths.


@pytest.mark.parametrize("kind", ["parent is missing", "beside", "beside, and empty", "in the parent", "below"])
def test_a_path_that_seems_mistyped_is_a_warning(kind, tmp_path, capsys):
    (tmp_path / "parent" / "below").mkdir(parents=True)
    if kind == "beside, and empty":
        (tmp_path / "parent" / "run").mkdir()
    if kind != "parent is missing":
        folder = "parent" if kind == "in the parent" else "parent/below"
        net(max_iter=2).set_callbacks(ModelCheckpoint(tmp_path / folder)).fit(X, Y)
    path = tmp_path / {"parent is missing": "other/run", "below": "parent"}.get(kind, "parent/run")
    problem = "does not exist, nor does" if kind == "parent is missing" else "has no checkpoint, but there is"
    for network in (net(), net(verbose=2, learning_rate=0.5)):
        with pytest.warns(UserWarning, match=f"^resume_from=.* {problem} ") as caught:
            assert network.fit(X, Y, resume_from=path).n_iter_ == network.max_iter
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert "no checkpoint of this fit" not in capsys.readouterr().out


def test_the_first_start_of_a_script_that_resumes_is_silent(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "data.csv").touch()
    for folder in ("empty", "missing"):
        net().fit(X, Y, resume_from=tmp_path / folder)
    for folder in ("empty", "missing"):  # checkpoints of other fits lie beside the second
        net().set_callbacks(ModelCheckpoint(tmp_path / folder)).fit(X, Y, resume_from=tmp_path / folder)
    net(learning_rate=0.5).fit(X, Y, resume_from=tmp_path / "empty")  # fits may share a folder


def test_the_first_start_is_silent_however_the_folder_is_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net().set_callbacks(ModelCheckpoint("runs/beside")).fit(X, Y)
    spellings = "runs/a", tmp_path / "runs/b", "runs/beside/../c"
    for written, resumed in zip(spellings, (tmp_path / "runs/a", "runs/b", "runs/c")):
        net().set_callbacks(ModelCheckpoint(written)).fit(X, Y, resume_from=resumed)


@pytest.mark.parametrize("kind", [str, Path])
def test_the_home_folder_is_found_in_every_path(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = kind("~/here")
    whole = net(max_iter=6).set_callbacks(ModelCheckpoint(folder)).fit(X, Y)
    (newest,) = checkpoints_in(tmp_path / "here")[-1:]
    assert not (tmp_path / "~").exists()
    assert load_checkpoint(folder).n_iter_ == 6
    for path in (folder, kind(f"~/here/{newest.name}")):
        assert_same_fit(net(max_iter=6).fit(X, Y, resume_from=path), whole)
        assert load_checkpoint(path).n_iter_ == 6


# Inside scikit-learn.


def test_a_pipeline_passes_the_checkpoint_on(checkpoint):
    whole = make_pipeline(StandardScaler(), net()).fit(X, Y).predict_proba(X)
    folder = checkpoint.parent / "pipe"
    saving = make_pipeline(StandardScaler(), net().set_callbacks(ModelCheckpoint(folder, keep=None)))
    saving.fit(X, Y)
    third = checkpoints_in(folder)[2]
    silent = make_pipeline(StandardScaler(), net())
    np.testing.assert_array_equal(silent.fit(X, Y, deepnnclassifier__resume_from=third).predict_proba(X), whole)
    with config_context(enable_metadata_routing=True):
        asked = make_pipeline(StandardScaler(), net().set_fit_request(resume_from=True))
        np.testing.assert_array_equal(asked.fit(X, Y, resume_from=third).predict_proba(X), whole)
        with pytest.raises(ValueError, match="resume_from"):
            silent.fit(X, Y, resume_from=third)
    with pytest.raises(ValueError, match="resume_from must be a checkpoint of a fit"):  # it does get there
        make_pipeline(StandardScaler(), net()).fit(X[:50], Y[:50], deepnnclassifier__resume_from=third)


def test_each_fit_of_an_interrupted_search_finds_its_own_checkpoints(tmp_path):
    def search(max_iter):
        model = net(max_iter=max_iter).set_callbacks(ModelCheckpoint(tmp_path))
        return GridSearchCV(model, {"learning_rate": [0.001, 0.01, 0.1]}, cv=3, refit=False)

    search(3).fit(X, Y)
    resumed = search(6).fit(X, Y, resume_from=tmp_path).cv_results_
    whole = GridSearchCV(net(), {"learning_rate": [0.001, 0.01, 0.1]}, cv=3, refit=False).fit(X, Y).cv_results_
    for k in range(3):
        np.testing.assert_array_equal(resumed[f"split{k}_test_score"], whole[f"split{k}_test_score"])
