"""The files of `ModelCheckpoint`: which are written, kept and loaded, and what if they are damaged."""

import copy
import os
import re
import time
from functools import partial

import joblib
import numpy as np
import pytest
from checkpoint_cases import N_FSYNCS, X_VAL, Y_VAL, X, Y, assert_same_fit, epochs_in, fail_at, net, new_run, trained
from reference import assert_same
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.callbacks import EarlyStopping, ModelCheckpoint, load_checkpoint
from sklearn_deepnn.callbacks.checkpoints import NAME, checkpoints_in, epoch_of, newest_checkpoint, write_atomically
from sklearn_deepnn.training.state import TrainingState

# Files that are written and kept.


def test_each_epoch_is_written_and_the_last_are_kept(tmp_path):
    for keep, kept in [(1, [6]), (2, [5, 6]), (3, [4, 5, 6]), (10, [1, 2, 3, 4, 5, 6]), (None, [1, 2, 3, 4, 5, 6])]:
        folder = tmp_path / "new" / str(keep)
        net().set_callbacks(ModelCheckpoint(str(folder), keep=keep)).fit(X, Y)
        assert epochs_in(folder) == kept
        assert sorted(folder.iterdir()) == checkpoints_in(folder)  # nothing else


def test_every_fifth_epoch_and_the_last_are_written(tmp_path):
    net(max_iter=12).set_callbacks(ModelCheckpoint(tmp_path, every=5, keep=None)).fit(X, Y)
    assert epochs_in(tmp_path) == [5, 10, 12]
    assert_same_fit(load_checkpoint(tmp_path), net(max_iter=12, warm_start=True).fit(X, Y), finished=False)


@pytest.mark.parametrize(
    ("parameters", "data", "callbacks"),
    [
        ({"scoring": "accuracy", "early_stopping": True}, {"X_val": X_VAL, "y_val": Y_VAL}, []),
        ({}, {"X_val": X_VAL, "y_val": Y_VAL}, [EarlyStopping(patience=100, restore_best=False)]),
        ({}, {}, []),
    ],
    ids=["validated", "last weights kept", "by cost"],
)
def test_only_the_best_epochs_are_written(parameters, data, callbacks, tmp_path):
    parameters = {"learning_rate": 0.1, "max_iter": 15, **parameters}
    checkpoint = ModelCheckpoint(tmp_path, save_best_only=True, keep=None)
    model = net(**parameters).set_callbacks(*callbacks, checkpoint).fit(X, Y, **data)
    losses = [-score for score in model.validation_scores_] if data else model.loss_curve_
    best = [1 + i for i, loss in enumerate(losses) if loss < min(losses[:i], default=np.inf)]
    assert 1 < len(best) < 15
    assert epochs_in(tmp_path) == best
    for path in checkpoints_in(tmp_path):
        resumed = net(**parameters).set_callbacks(*callbacks).fit(X, Y, resume_from=path, **data)
        assert_same_fit(resumed, net(**parameters).set_callbacks(*callbacks).fit(X, Y, **data))


def test_a_checkpoint_is_the_network_of_its_epoch(tmp_path):
    net(warm_start=True).set_callbacks(ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    for epoch, path in enumerate(checkpoints_in(tmp_path), start=1):
        loaded = load_checkpoint(path)
        assert_same_fit(loaded, net(max_iter=epoch, warm_start=True).fit(X, Y), finished=False)
        assert vars(loaded).keys() == vars(net().fit(X, Y)).keys()  # none of the fit that runs, and no callbacks


class Shifted(DeepNNClassifier):
    """A subclass that remembers something for its predictions in a private attribute."""

    def fit(self, X, y, **others):
        self._shift = 1.0
        return super().fit(X + self._shift, y, **others)

    def predict(self, X):
        return super().predict(X + self._shift)


def test_scored_and_saved_copies_keep_private_attributes(tmp_path):
    model = Shifted((5,), max_iter=3, scoring="accuracy", early_stopping=True, random_state=0)
    model.set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    np.testing.assert_array_equal(load_checkpoint(tmp_path).predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("parameters", "n_vectors"),
    [
        ({"optimizer": "sgd"}, 2),  # folded with the scaling to predict, and as it is to train on
        ({}, 4),  # two moments
        ({"early_stopping": True, "weight_averaging": 0}, 5),  # the best
        ({"early_stopping": True, "weight_averaging": 2.0}, 6),  # the average
    ],
    ids=str,
)
def test_a_checkpoint_holds_no_more_than_it_needs(parameters, n_vectors, tmp_path):
    model = net(hidden_layer_dims=(200, 200), dtype="float32", max_iter=2, **parameters)
    model.set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    of_weights = sum(W.nbytes for W in model.parameters_.values())
    size = newest_checkpoint(tmp_path).stat().st_size
    assert n_vectors * of_weights <= size <= n_vectors * of_weights + 10_000


def test_epochs_that_diverged_are_not_written(tmp_path):
    schedule = partial(np.interp, xp=[11, 12], fp=[0.01, 1e200])  # from the fourth epoch on
    model = net(optimizer="sgd", learning_rate_schedule=schedule).set_callbacks(ModelCheckpoint(tmp_path, keep=None))
    with pytest.raises(ValueError, match="Training diverged: in epoch 4"):
        model.fit(X, Y)
    assert epochs_in(tmp_path) == [1, 2, 3]
    model.set_params(early_stopping=True).set_callbacks(ModelCheckpoint(tmp_path / "validated", keep=None))
    with pytest.warns(ConvergenceWarning, match="weights of epoch 3 are kept"):
        model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert epochs_in(tmp_path / "validated") == [1, 2, 3]
    assert np.isfinite(load_checkpoint(tmp_path).predict_log_proba(X)).all()


# Names.


def test_several_trainings_share_a_folder_and_each_keeps_its_own(tmp_path):
    models = [net(random_state=seed).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y) for seed in range(5)]
    paths = checkpoints_in(tmp_path)
    assert [epoch_of(path) for path in paths] == [5, 6] * 5
    for seed, path in enumerate(paths[1::2]):
        np.testing.assert_array_equal(load_checkpoint(path).predict_proba(X), models[seed].predict_proba(X))
    assert newest_checkpoint(tmp_path) == paths[-1]
    np.testing.assert_array_equal(load_checkpoint(tmp_path).predict_proba(X), models[-1].predict_proba(X))


def test_each_fit_of_a_search_has_checkpoints_of_its_own(tmp_path):
    model = net().set_callbacks(ModelCheckpoint(tmp_path, keep=1))
    search = GridSearchCV(model, {"learning_rate": [0.01, 0.1]}, cv=3, n_jobs=2).fit(X, Y)
    paths = checkpoints_in(tmp_path)
    assert epochs_in(tmp_path) == [6] * 7
    models = [load_checkpoint(path) for path in paths]
    assert sorted(model.learning_rate for model in models[:6]) == [0.01] * 3 + [0.1] * 3
    assert len({model.loss_ for model in models}) == 7
    np.testing.assert_array_equal(models[-1].predict_proba(X), search.predict_proba(X))


def test_names_of_trainings_sort_by_the_time_and_differ():
    names = []
    for key in ("fedcba98", "01234567", ""):
        names.append(new_run(key))
        time.sleep(0.001)
    assert names == sorted(names)
    assert names[1].endswith("-01234567")
    assert len({new_run("") for _ in range(100)}) == 100


def test_the_newest_is_that_of_the_last_epoch_by_its_number(tmp_path):
    run = new_run()
    for epoch in ("000009", "1000000", "999999", "000010"):
        (tmp_path / f"{run}-epoch-{epoch}.joblib").touch()
    for name in ("notes.txt", f"{run}.joblib", f".{run}-epoch-2000000.joblib.1.tmp", f"x{run}-epoch-2000000.joblib"):
        (tmp_path / name).touch()
    assert epochs_in(tmp_path) == [9, 10, 999_999, 1_000_000]
    assert epoch_of(newest_checkpoint(tmp_path)) == 1_000_000


def test_calls_of_partial_fit_have_one_name_and_so_have_warm_starts(tmp_path):
    model = net(warm_start=True, max_iter=2).set_callbacks(ModelCheckpoint(tmp_path, keep=None))
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    for _ in range(2):
        model.fit(X, Y)
    assert epochs_in(tmp_path) == [1, 2, 3, 4, 5, 6, 7]
    assert len({NAME.fullmatch(path.name)["run"] for path in checkpoints_in(tmp_path)}) == 2


def test_a_training_with_other_data_or_parameters_gets_a_new_name(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, keep=None)
    net().set_callbacks(checkpoint).fit(X, Y)
    with pytest.warns(UserWarning, match="of a fit with other parameters"):
        net(learning_rate=0.5, max_iter=8).set_callbacks(checkpoint).fit(X, Y, resume_from=newest_checkpoint(tmp_path))
    model = net(warm_start=True, random_state=3).set_callbacks(checkpoint).fit(X, Y)
    model.fit(X + 1, Y)
    model.partial_fit(X + 2, Y)
    assert len({NAME.fullmatch(path.name)["run"] for path in checkpoints_in(tmp_path)}) == 5
    assert_same_fit(net().fit(X, Y, resume_from=tmp_path), net().fit(X, Y))


def test_a_training_resumed_from_an_older_checkpoint_gets_a_new_name(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)
    net().set_callbacks(checkpoint, ModelCheckpoint(tmp_path / "all", keep=None)).fit(X, Y)
    back = checkpoints_in(tmp_path / "all")[1]
    other = net(max_iter=4).set_callbacks(checkpoint).fit(X, Y, resume_from=back)
    assert epochs_in(tmp_path) == [5, 6, 3, 4]
    assert_same(load_checkpoint(tmp_path).loss_curve_, other.loss_curve_)


# Files that cannot be written.


@pytest.mark.parametrize("place", ["replace", "fsync"])
def test_a_full_disk_does_not_stop_the_training(place, tmp_path, monkeypatch):
    whole = net().fit(X, Y)
    per_file = {"replace": 1, "fsync": N_FSYNCS}[place]
    calls = fail_at(monkeypatch, os, place, lambda n: n > 4 * per_file)  # after those of the trial and three epochs
    with pytest.warns(RuntimeWarning, match=r"epoch \d could not be written.*No space left") as caught:
        model = net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    assert len(calls) > 4 * per_file
    assert [str(warning.message).split(" could")[0][-7:] for warning in caught] == [f"epoch {k}" for k in (4, 5, 6, 6)]
    assert all(warning.filename == __file__ for warning in caught)
    assert_same_fit(model, whole)
    assert epochs_in(tmp_path) == [2, 3]
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.undo()
    assert_same_fit(net().fit(X, Y, resume_from=tmp_path), whole)


def test_a_disk_that_fails_once_is_tried_again(tmp_path, monkeypatch):
    fail_at(monkeypatch, os, "replace", lambda n: n == 4)
    with pytest.warns(RuntimeWarning, match="epoch 3 could not be written") as caught:
        net().set_callbacks(ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    assert len(caught) == 1
    assert epochs_in(tmp_path) == [1, 2, 4, 5, 6]


def test_a_folder_that_cannot_be_written_to_is_an_error_before_training(tmp_path, monkeypatch):
    model = net().fit(X, Y)
    before = copy.deepcopy(trained(model))
    epochs = fail_at(monkeypatch, TrainingState, "begin_epoch_entry", lambda n: False)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"path must be the path of a folder, not of a file, got .*file"):
        model.set_callbacks(ModelCheckpoint(tmp_path / "file")).fit(X, Y)
    with pytest.raises(OSError, match="file"):
        model.set_callbacks(ModelCheckpoint(tmp_path / "file" / "below")).fit(X, Y)
    with monkeypatch.context() as patch:
        fail_at(patch, os, "fsync", lambda n: True)
        with pytest.raises(OSError, match="No space"):
            model.set_callbacks(ModelCheckpoint(tmp_path / "full")).fit(X, Y)
    assert not list((tmp_path / "full").iterdir())
    assert not epochs
    assert_same(trained(model), before)
    model.set_callbacks(ModelCheckpoint(tmp_path / "room")).fit(X, Y)
    assert len(epochs) == 6


@pytest.mark.parametrize("name", ["learning_rate_schedule", "scoring"])
def test_a_parameter_that_cannot_be_saved_is_an_error_before_training(name, tmp_path, monkeypatch):
    epochs = fail_at(monkeypatch, TrainingState, "begin_epoch_entry", lambda n: False)
    function = {"learning_rate_schedule": lambda step: 0.1, "scoring": lambda model, X, y: 0.5}[name]
    model = net(**{name: function})
    with pytest.raises(ValueError, match=f"{name} must be a value that pickle can save, .*, got <function"):
        model.set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    assert not epochs
    model.set_callbacks().fit(X, Y)
    assert len(epochs) == 6


def test_unfinished_files_of_a_killed_process_are_removed_when_it_is_resumed(tmp_path):
    net(max_iter=3).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    run = NAME.fullmatch(newest_checkpoint(tmp_path).name)["run"]
    for name in (f".{run}-epoch-000004.joblib.123.tmp", f".{run}.probe.123.tmp"):
        (tmp_path / name).write_bytes(b"unfinished")
    others = tmp_path / f".{new_run()}-epoch-000004.joblib.124.tmp"  # it may be alive
    others.touch()
    net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y, resume_from=tmp_path)
    assert epochs_in(tmp_path) == [5, 6]
    assert list(tmp_path.glob(".*")) == [others]


def test_a_file_is_written_completely_or_not_at_all(tmp_path):
    path = tmp_path / "file"

    def write(file):
        file.write(b"new")
        assert not path.exists() or path.read_bytes() == b"old"
        if fails:
            raise OSError("the disk is full")

    path.write_bytes(b"old")
    for fails in (True, False):
        if fails:
            with pytest.raises(OSError, match="the disk is full"):
                write_atomically(path, write)
        else:
            write_atomically(path, write)
        assert path.read_bytes() == (b"old" if fails else b"new")
        assert list(tmp_path.iterdir()) == [path]


# Files that cannot be read.


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "spoilt": lambda path: path.write_bytes(b"?" * 999),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_newest_checkpoint_is_skipped_with_a_warning(kind, tmp_path):
    whole = net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    newest = newest_checkpoint(tmp_path)
    DAMAGE[kind](newest)
    with pytest.warns(
        RuntimeWarning, match=rf"{newest.name} cannot be read: \w+: .*The checkpoint before it"
    ) as caught:
        assert load_checkpoint(tmp_path).n_iter_ == 5
    assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="The checkpoint before it is loaded") as caught:
        assert_same_fit(net().fit(X, Y, resume_from=tmp_path), whole)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore:.*The checkpoint before it is loaded:RuntimeWarning")
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_folder_with_damaged_checkpoints_alone_is_an_error(kind, tmp_path):
    net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    for path in checkpoints_in(tmp_path):
        DAMAGE[kind](path)
    for path in (newest_checkpoint(tmp_path), tmp_path):
        with pytest.raises(ValueError, match=r"The checkpoint .* cannot be read: \w+: "):
            load_checkpoint(path)
        with pytest.raises(ValueError, match=r"resume_from must be valid: The checkpoint .* cannot be read"):
            net().fit(X, Y, resume_from=path)


def test_a_training_that_is_resumed_after_damage_writes_new_files(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)
    whole = net().set_callbacks(checkpoint).fit(X, Y)
    truncate(newest_checkpoint(tmp_path))
    with pytest.warns(RuntimeWarning, match="The checkpoint before it is loaded"):
        net().set_callbacks(checkpoint).fit(X, Y, resume_from=tmp_path)
    assert_same(load_checkpoint(tmp_path).predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize("name", ["{run}-epoch-000003.joblib", "renamed.joblib"])
def test_a_missing_checkpoint_is_an_error(name, tmp_path):
    path, model = tmp_path / name.format(run=new_run()), net()
    for call in (partial(load_checkpoint, path), partial(model.fit, X, Y, resume_from=path)):
        with pytest.raises(FileNotFoundError, match=f"There is no checkpoint {re.escape(str(path))}"):
            call()
    assert not hasattr(model, "parameters_")


def saved(value):
    return lambda path: joblib.dump(value, path)


FILES = {
    "scaler": (saved(StandardScaler()), "the checkpoint of a DeepNNClassifier"),
    "unfitted": (saved(net()), "the checkpoint of a DeepNNClassifier"),
    "fitted": (saved(net(max_iter=2).fit(X, Y)), "the checkpoint of a DeepNNClassifier"),  # without optimizer's state
    "text": (lambda path: path.write_text("notes"), "cannot be read"),
    "empty": (lambda path: path.touch(), "cannot be read"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_checkpoint_is_an_error(kind, tmp_path):
    write, message = FILES[kind]
    write(tmp_path / "file")
    model = net().fit(X, Y)
    before = copy.deepcopy(trained(model))
    with pytest.raises(ValueError, match=f"(?s)resume_from must .*{message}.*|resume_from must .*file"):
        model.fit(X, Y, resume_from=tmp_path / "file")
    assert_same(trained(model), before)


def test_a_classifier_saved_for_a_warm_start_is_no_checkpoint(tmp_path):
    joblib.dump(net(max_iter=2, warm_start=True).fit(X, Y), tmp_path / "file")
    with pytest.raises(ValueError, match=r"resume_from must be the checkpoint of a DeepNNClassifier, got .*file"):
        net().fit(X, Y, resume_from=tmp_path / "file")


# Parameters.

PARAMETERS = [
    ({"path": 3}, "path must be the path of a folder, got 3"),
    ({"path": None}, "path must be the path of a folder, got None"),
    ({"every": 0}, "every must be an integer of at least 1, got 0"),
    ({"keep": 0}, "keep must be an integer of at least 1 or None, got 0"),
    ({"keep": 1.5}, "keep must be an integer of at least 1 or None, got 1.5"),
    ({"save_best_only": 1}, "save_best_only must be True or False, got 1"),
]


@pytest.mark.parametrize(("parameters", "message"), PARAMETERS, ids=str)
def test_a_bad_parameter_names_its_rule(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ModelCheckpoint(**{"path": "folder", **parameters})
