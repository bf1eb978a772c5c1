"""Checkpoints, resuming to the bit, processes that are killed, and Ctrl-C."""

import copy
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from reference import assert_same
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_deepnn import Adam, DeepNNClassifier, threads
from sklearn_deepnn.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Run,
    TimeBudget,
    load_checkpoint,
)
from sklearn_deepnn.callbacks.checkpoints import NAME, checkpoints_in, epoch_of, newest_checkpoint, write_atomically
from sklearn_deepnn.estimators import classifier
from sklearn_deepnn.training import loop as training
from sklearn_deepnn.training.loop import OF_A_CALL, TrainingState
from sklearn_deepnn.training.optimizers import OPTIMIZERS
from sklearn_deepnn.training.schedules import SCHEDULES, inverse_scaling

ROOT = Path(threads.__file__).parents[1]


def net(**parameters):
    """Return a small classifier that takes mini-batches and never stops by itself."""
    defaults = {"hidden_layer_dims": (6,), "max_iter": 6, "batch_size": 16, "n_iter_no_change": 1000, "random_state": 0}
    return DeepNNClassifier(**{**defaults, **parameters})


def blobs(n_samples=60, seed=0):
    y = np.arange(n_samples) % 3
    return np.random.default_rng(seed).normal(2 * np.eye(3, 4)[y], 1.0), y


X, Y = blobs()
X_VAL, Y_VAL = blobs(seed=1)
WEIGHT = np.linspace(0, 2, 60)
SEVERAL = np.stack([Y == 0, Y > 0, X[:, 0] > 1], axis=1) * 1


def fitted(model):
    """Return what fitting has set, less what only a checkpoint holds."""
    attributes = {name: value for name, value in vars(model).items() if name.endswith("_")}
    left_out = OF_A_CALL | {"memories", "lasting_memories", "name"}
    state = {name: value for name, value in attributes["training_state_"].items() if name not in left_out}
    return attributes | {"training_state_": state}


def assert_same_fit(a, b, X=X, *, finished=True):
    """Check that two fits are the same to the bit; of one that was not finished there is no report."""
    fits = fitted(a), fitted(b)
    for fit in fits:
        fit["report_"] = fit["report_"] if finished else []
    assert_same(*fits)
    assert_same(a.predict_proba(X), b.predict_proba(X))


def new_run(key="0123abcd"):
    """Return what a training that begins now is called."""
    return Run(SimpleNamespace(epoch=0, first_epoch=0, name="", key=key), 1, False, {}, {}).name


def epochs_in(folder):
    return [epoch_of(path) for path in checkpoints_in(Path(folder))]


# Resuming to the bit.

RESUMED = {
    **{optimizer: {"optimizer": optimizer} for optimizer in OPTIMIZERS},
    **{schedule: {"learning_rate_schedule": schedule} for schedule in SCHEDULES},
    "callable schedule": {"learning_rate_schedule": partial(inverse_scaling, learning_rate=0.01)},
    "dropout": {"dropout_rate": 0.3},
    "batch_norm": {"batch_norm": True},
    "averaging": {"weight_averaging": 2.0},
    "held out": {"early_stopping": True},
    "held out and averaged": {"early_stopping": True, "weight_averaging": 1.5, "dropout_rate": 0.3},
    "held out and scored": {"early_stopping": True, "scoring": "accuracy"},
    "ensemble": {"ensemble_size": 3},
    "ensemble with all": {
        "ensemble_size": 3,
        "batch_norm": True,
        "dropout_rate": 0.3,
        "weight_averaging": 1.5,
        "label_smoothing": 0.1,
        "max_grad_norm": 1.0,
        "scoring": "accuracy",
    },
    "lbfgs with all": {"optimizer": "lbfgs", "dropout_rate": 0.3, "batch_norm": True},
    "float32": {"dtype": "float32", "early_stopping": True},
    "robust": {"scale_inputs": "robust"},
    "unscaled": {"scale_inputs": None},
    "class weights": {"class_weight": "balanced"},
    "in order": {"shuffle": False},
    "whole set": {"batch_size": None},
    "linear": {"hidden_layer_dims": ()},
    "automatic": {"hidden_layer_dims": "auto", "ensemble_size": 2, "batch_size": "auto"},
}


def assert_resumes(folder, parameters, *callbacks, X=X, y=Y, epochs=(1, 4, 6), earlier=False, **data):
    """Check that fits that are resumed from checkpoints, from some epochs, end as one that was never cut off.

    With `earlier`, all are a second call with `warm_start=True`.
    """
    parameters = {"warm_start": True, **parameters}

    def start():
        model = net(**parameters)
        return (model.fit(X, y, **data) if earlier else model).set_callbacks(*callbacks)

    whole = start().fit(X, y, **data)
    cut = start()
    cut.set_callbacks(*callbacks, ModelCheckpoint(folder, keep=None)).fit(X, y, **data)
    assert_same_fit(cut, whole, X)
    paths = {epoch_of(path): path for path in checkpoints_in(folder)}
    n_before = parameters.get("max_iter", 6) if earlier else 0
    assert list(paths) == list(range(n_before + 1, whole.n_iter_ + 1))
    for epoch in epochs:
        resumed = net(**parameters).set_callbacks(*callbacks).fit(X, y, resume_from=paths[n_before + epoch], **data)
        assert_same_fit(resumed, whole, X)
    return whole


@pytest.mark.parametrize("kind", RESUMED)
def test_a_resumed_fit_ends_as_one_that_was_never_cut_off(kind, tmp_path):
    assert_resumes(tmp_path, RESUMED[kind])


@pytest.mark.parametrize("kind", RESUMED)
def test_a_second_call_that_was_cut_off_is_resumed_as_well(kind, tmp_path):
    assert assert_resumes(tmp_path, RESUMED[kind], earlier=True).n_iter_ == 12


DATA = {
    "sample_weight": {"sample_weight": WEIGHT},
    "held out by weight": {"sample_weight": WEIGHT, "early_stopping": True},
    "sparse": {"X": sp.csr_array(X * (X > 1))},
    "multilabel": {"y": SEVERAL, "early_stopping": True},
    "binary": {"y": np.array(["no", "yes"])[(Y > 0) * 1]},
    "validation data": {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": WEIGHT},
    "scored": {"X_val": X_VAL, "y_val": Y_VAL, "scoring": "accuracy"},
    "float32": {"X": X.astype(np.float32)},
}


@pytest.mark.parametrize("kind", DATA)
def test_fits_on_all_kinds_of_data_are_resumed(kind, tmp_path):
    options = dict(DATA[kind])
    parameters = {name: options.pop(name) for name in ("early_stopping", "scoring") if name in options}
    assert_resumes(tmp_path, parameters, **options)


def test_a_schedule_that_waits_for_a_plateau_goes_on_waiting(tmp_path):
    parameters = {"learning_rate_schedule": "reduce_on_plateau", "n_iter_no_change": 6, "tol": 1.0, "max_iter": 10}
    whole = assert_resumes(tmp_path, {**parameters, "learning_rate": 0.02}, epochs=(1, 2, 3, 4, 5))
    assert len(set(whole.learning_rate_curve_)) > 1  # the rate was lowered after epochs that were resumed from


@pytest.mark.parametrize("data", [{}, {"X_val": X_VAL, "y_val": Y_VAL}], ids=["cost", "validated"])
def test_patience_and_plateaus_of_callbacks_go_on(data, tmp_path):
    callbacks = ReduceLROnPlateau(patience=2, min_delta=0.1, factor=0.5), EarlyStopping(patience=4, min_delta=0.1)
    parameters = {"max_iter": 40, "learning_rate": 0.02}
    whole = assert_resumes(tmp_path, parameters, *callbacks, epochs=(1, 9, 12, 13), **data)
    assert 13 <= whole.n_iter_ < 40
    assert len(set(whole.learning_rate_curve_)) > 1


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_had_stopped_trains_no_more(early_stopping, tmp_path):
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


def test_a_finished_fit_goes_on_where_max_iter_is_raised(tmp_path):
    net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    assert_same_fit(net(max_iter=9).fit(X, Y, resume_from=tmp_path), net(max_iter=9).fit(X, Y))


def test_a_verbose_fit_says_whether_it_goes_on_or_begins(tmp_path, capsys):
    network = net(max_iter=2, verbose=1).set_callbacks(ModelCheckpoint(tmp_path / "here"))
    nothing = f"no checkpoint of this fit in {str(tmp_path / 'here')!r}: it begins from the start\n"
    network.fit(X, Y, resume_from=tmp_path / "here")
    assert capsys.readouterr().out.startswith(nothing)
    network.set_params(max_iter=3).fit(X, Y, resume_from=tmp_path / "here")
    assert capsys.readouterr().out.startswith("resumed after epoch 2, at most 1 to go\n")
    network.set_params(learning_rate=0.5).fit(X, Y, resume_from=tmp_path / "here")
    assert capsys.readouterr().out.startswith(nothing)
    network.set_params(verbose=0).fit(X, Y, resume_from=tmp_path / "there")
    assert not capsys.readouterr().out


def test_a_fit_without_a_seed_is_resumed_to_the_bit(tmp_path):
    whole = net(random_state=None).set_callbacks(ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    third = checkpoints_in(tmp_path)[2]
    assert_same_fit(net(random_state=None).fit(X, Y, resume_from=str(third)), whole)


def test_a_time_budget_goes_on_with_what_is_left(tmp_path, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))  # each epoch takes a second
    budget = TimeBudget(4.5)
    whole = net().set_callbacks(budget, ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    assert whole.n_iter_ == 4
    resumed = net().set_callbacks(budget).fit(X, Y, resume_from=checkpoints_in(tmp_path)[1])
    assert resumed.n_iter_ == 4


def test_a_checkpoint_is_the_network_of_its_epoch(tmp_path):
    net(warm_start=True).set_callbacks(ModelCheckpoint(tmp_path, keep=None)).fit(X, Y)
    for epoch, path in enumerate(checkpoints_in(tmp_path), start=1):
        loaded = load_checkpoint(path)
        assert_same_fit(loaded, net(max_iter=epoch, warm_start=True).fit(X, Y), finished=False)
        assert not hasattr(loaded, "_skl_callbacks")


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


def run_python(program, *arguments, **options):
    """Start a process that runs a program, with one BLAS thread; its folder of this package comes first."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, **options)


IN_A_NEW_PROCESS = """
import sys
import joblib

for path in sys.argv[1:]:
    model, X, y, folder = joblib.load(path)
    joblib.dump(model.fit(X, y, resume_from=folder), path + ".resumed")
"""


def test_a_new_process_resumes_to_the_bit(tmp_path):
    kinds = ["adam", "lbfgs with all", "held out and averaged", "ensemble with all", "float32", "cosine"]
    wholes, tasks = {}, {}
    for kind in kinds:
        folder, tasks[kind] = tmp_path / kind, str(tmp_path / f"{kind}.task")
        net(**RESUMED[kind]).set_callbacks(ModelCheckpoint(folder, keep=None)).fit(X, Y)
        for path in checkpoints_in(folder)[3:]:
            path.unlink()
        wholes[kind] = net(**RESUMED[kind]).fit(X, Y)
        joblib.dump((net(**RESUMED[kind]), X, Y, folder), tasks[kind])
    with run_python(IN_A_NEW_PROCESS, *tasks.values()) as process:
        assert process.wait() == 0
    for kind in kinds:
        assert_same_fit(joblib.load(f"{tasks[kind]}.resumed"), wholes[kind])


# Processes that are killed.

KILLED = """
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from sklearn_deepnn import DeepNNClassifier
from sklearn_deepnn.training import optimizers
from sklearn_deepnn.callbacks import ModelCheckpoint, checkpoints, load_checkpoint
from sklearn_deepnn.callbacks.checkpoints import newest_checkpoint
from test_checkpoints import X, Y, assert_same_fit, epoch_of, net

folder, draw = Path(sys.argv[1]), random.Random(0)
N_LIVES, N_EPOCHS = 24, 150


def make():
    return net(max_iter=N_EPOCHS, ensemble_size=2, dropout_rate=0.2, weight_averaging=2.0, scoring="accuracy")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_within(owner, name, n_calls, after):
    '''Die at a call of a function, before it or after.'''
    function, calls = getattr(owner, name), iter(range(1, 1_000_000))

    def deadly(*arguments, **options):
        last = next(calls) == n_calls
        if last and not after:
            die()
        result = function(*arguments, **options)
        if last:
            die()
        return result

    setattr(owner, name, deadly)


def die_half_written(n_calls):
    '''Die when half of a file is written.'''
    dump, calls = checkpoints.pickle.dump, iter(range(1, 1_000_000))

    def deadly(model, file, **options):
        if next(calls) < n_calls:
            return dump(model, file, **options)
        whole = checkpoints.pickle.dumps(model, **options)
        file.write(whole[: draw.randrange(1, len(whole))])
        file.flush()
        die()

    checkpoints.pickle.dump = deadly


def slow_down():
    '''Make the files take long to write.'''
    fsync = os.fsync
    os.fsync = lambda number: (time.sleep(0.01), fsync(number))


WITHIN = [
    (optimizers.Adam, "update"), (os, "fsync"), (os, "replace"), (checkpoints, "write_atomically"), (Path, "unlink")
]  # fmt: skip


def live(plan):
    '''Train on from the newest checkpoint, in a process of its own; return its number.'''
    process = os.fork()
    if process:
        return process
    plan()
    make().set_callbacks(ModelCheckpoint(folder, keep=draw.choice([1, 2, 3]))).fit(X, Y, resume_from=folder)
    os._exit(0)


def wait_for(pattern):
    '''Wait until there is a file that was not there.'''
    before = set(folder.glob(pattern))
    return lambda: not set(folder.glob(pattern)) - before


whole, n_killed, epoch = make().fit(X, Y), 0, 0
folder.mkdir()
for number in range(N_LIVES):
    way, keep_waiting, delay = number % 4, None, draw.uniform(0, 0.02)
    if way == 0:
        (owner, name), n_calls, after = WITHIN[number // 4 % len(WITHIN)], draw.randrange(4, 16), draw.random() < 0.5
        process = live(lambda: die_within(owner, name, n_calls, after))
    elif way == 1:
        process = live(lambda: die_half_written(draw.randrange(1, 4)))
    else:
        keep_waiting = wait_for("*.joblib" if way == 2 else ".*.tmp")
        process = live(slow_down if way == 3 else int)
        while keep_waiting():
            pass
        time.sleep(delay if way == 2 else delay / 4)
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    n_killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    newest = newest_checkpoint(folder)
    if newest is not None:
        model = load_checkpoint(folder)
        assert model.n_iter_ == epoch_of(newest) >= epoch, (model.n_iter_, newest, epoch)
        epoch = model.n_iter_
assert n_killed == N_LIVES, n_killed
assert 0 < epoch < N_EPOCHS, epoch
process = live(int)
assert os.waitpid(process, 0)[1] == 0
resumed = load_checkpoint(folder)
assert resumed.n_iter_ == N_EPOCHS
assert not list(folder.glob(".*")) and not list(folder.glob("*.probe")), list(folder.iterdir())
assert_same_fit(make().fit(X, Y, resume_from=folder), whole)
print("the same after", epoch, "epochs of", n_killed, "lives")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGKILL and no fork")
def test_a_chain_of_killed_processes_ends_as_one_that_was_never_killed(tmp_path):
    program = f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n{KILLED}"
    with run_python(program, tmp_path / "saved") as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    assert re.fullmatch(r"the same after \d+ epochs of 24 lives\n", output)


# Files.


def test_each_epoch_is_written_and_the_last_are_kept(tmp_path):
    for keep, kept in [(1, [6]), (2, [5, 6]), (3, [4, 5, 6]), (10, [1, 2, 3, 4, 5, 6]), (None, [1, 2, 3, 4, 5, 6])]:
        folder = tmp_path / "new" / str(keep)
        net().set_callbacks(ModelCheckpoint(str(folder), keep=keep)).fit(X, Y)
        assert epochs_in(folder) == kept
        assert sorted(folder.iterdir()) == checkpoints_in(folder)  # nothing else


def test_every_so_many_epochs_are_written_and_the_last(tmp_path):
    net(max_iter=12).set_callbacks(ModelCheckpoint(tmp_path, every=5, keep=None)).fit(X, Y)
    assert epochs_in(tmp_path) == [5, 10, 12]
    assert_same_fit(load_checkpoint(tmp_path), net(max_iter=12, warm_start=True).fit(X, Y), finished=False)


@pytest.mark.parametrize(
    ("parameters", "data", "callbacks"),
    [
        ({"scoring": "accuracy"}, {"X_val": X_VAL, "y_val": Y_VAL}, []),
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


def test_several_trainings_share_a_folder_and_each_keeps_its_own(tmp_path):
    models = [net(random_state=seed).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y) for seed in range(5)]
    paths = checkpoints_in(tmp_path)
    assert [epoch_of(path) for path in paths] == [5, 6] * 5
    for seed, path in enumerate(paths[1::2]):
        np.testing.assert_array_equal(load_checkpoint(path).predict_proba(X), models[seed].predict_proba(X))
    assert newest_checkpoint(tmp_path) == paths[-1]
    np.testing.assert_array_equal(load_checkpoint(tmp_path).predict_proba(X), models[-1].predict_proba(X))


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


def test_calls_of_partial_fit_are_one_training_and_so_are_warm_starts_on_the_same_data(tmp_path):
    model = net(warm_start=True, max_iter=2).set_callbacks(ModelCheckpoint(tmp_path, keep=None))
    for _ in range(3):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    for _ in range(2):
        model.fit(X, Y)
    assert epochs_in(tmp_path) == [1, 2, 3, 4, 5, 6, 7]
    assert len({NAME.fullmatch(path.name)["run"] for path in checkpoints_in(tmp_path)}) == 2


def test_partial_fit_goes_on_from_a_checkpoint_to_the_bit(tmp_path):
    model = net(dropout_rate=0.3).set_callbacks(ModelCheckpoint(tmp_path, keep=None))
    for _ in range(5):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    loaded = load_checkpoint(checkpoints_in(tmp_path)[1])
    for _ in range(3):
        loaded.partial_fit(X, Y)
    assert_same_fit(loaded, model)


def test_going_back_to_an_older_checkpoint_leaves_the_newer_ones_and_becomes_the_newest(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path)
    net().set_callbacks(checkpoint, ModelCheckpoint(tmp_path / "all", keep=None)).fit(X, Y)
    back = checkpoints_in(tmp_path / "all")[1]
    other = net(max_iter=4).set_callbacks(checkpoint).fit(X, Y, resume_from=back)
    assert epochs_in(tmp_path) == [5, 6, 3, 4]
    assert_same(load_checkpoint(tmp_path).loss_curve_, other.loss_curve_)


def test_each_fit_of_a_search_has_checkpoints_of_its_own(tmp_path):
    model = net().set_callbacks(ModelCheckpoint(tmp_path, keep=1))
    search = GridSearchCV(model, {"learning_rate": [0.01, 0.1]}, cv=3, n_jobs=2).fit(X, Y)
    paths = checkpoints_in(tmp_path)
    assert epochs_in(tmp_path) == [6] * 7
    models = [load_checkpoint(path) for path in paths]
    assert sorted(model.learning_rate for model in models[:6]) == [0.01] * 3 + [0.1] * 3
    assert len({model.loss_ for model in models}) == 7
    np.testing.assert_array_equal(models[-1].predict_proba(X), search.predict_proba(X))


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


# Files that cannot be written.

N_FSYNCS = 2 if os.name == "posix" else 1  # of the file, and of its folder


def fail_at(monkeypatch, owner, name, failing, error=OSError):
    """Have calls of a function fail whose number a predicate picks; return the list of calls."""
    function, calls = getattr(owner, name), []

    def unreliable(*arguments, **options):
        calls.append(arguments)
        if failing(len(calls)):
            raise error("No space left on device")
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, unreliable)
    return calls


@pytest.mark.parametrize("place", ["replace", "fsync"])
def test_a_full_disk_costs_checkpoints_but_not_the_training(place, tmp_path, monkeypatch):
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
    before = copy.deepcopy(fitted(model))
    epochs = fail_at(monkeypatch, training, "run_epoch", lambda n: False)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"path must be that of a folder, got .*file"):
        model.set_callbacks(ModelCheckpoint(tmp_path / "file")).fit(X, Y)
    with pytest.raises(OSError, match="file"):
        model.set_callbacks(ModelCheckpoint(tmp_path / "file" / "below")).fit(X, Y)
    with monkeypatch.context() as patch:
        fail_at(patch, os, "fsync", lambda n: True)
        with pytest.raises(OSError, match="No space"):
            model.set_callbacks(ModelCheckpoint(tmp_path / "full")).fit(X, Y)
    assert not list((tmp_path / "full").iterdir())
    assert not epochs
    assert_same(fitted(model), before)
    model.set_callbacks(ModelCheckpoint(tmp_path / "room")).fit(X, Y)
    assert len(epochs) == 6


@pytest.mark.parametrize("name", ["learning_rate_schedule", "scoring"])
def test_a_parameter_that_cannot_be_saved_is_an_error_before_training(name, tmp_path, monkeypatch):
    epochs = fail_at(monkeypatch, training, "run_epoch", lambda n: False)
    function = {"learning_rate_schedule": lambda step: 0.1, "scoring": lambda model, X, y: 0.5}[name]
    model = net(**{name: function})
    with pytest.raises(ValueError, match=f"{name} must be a value that can be pickled, .*, got <function"):
        model.set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    assert not epochs
    model.set_callbacks().fit(X, Y)
    assert len(epochs) == 6


def test_what_a_killed_process_left_is_removed_when_it_is_resumed(tmp_path):
    net(max_iter=3).set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    run = NAME.fullmatch(newest_checkpoint(tmp_path).name)["run"]
    for name in (f".{run}-epoch-000004.joblib.123.tmp", f".{run}.probe.123.tmp"):
        (tmp_path / name).write_bytes(b"unfinished")
    others = tmp_path / f".{new_run()}-epoch-000004.joblib.124.tmp"  # it may be alive
    others.touch()
    net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y, resume_from=tmp_path)
    assert epochs_in(tmp_path) == [5, 6]
    assert list(tmp_path.glob(".*")) == [others]


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"

    def write(file):
        file.write(b"new")
        assert not path.exists() or path.read_bytes() == b"old"
        if fails:
            raise OSError

    path.write_bytes(b"old")
    for fails in (True, False):
        if fails:
            with pytest.raises(OSError):  # noqa: PT011
                write_atomically(path, write)
        else:
            write_atomically(path, write)
        assert path.read_bytes() == (b"old" if fails else b"new")
        assert list(tmp_path.iterdir()) == [path]


# Wrong uses.

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


@pytest.fixture
def checkpoint(tmp_path):
    """Return a checkpoint of the second of six epochs, whose folder has no other."""
    net().set_callbacks(ModelCheckpoint(tmp_path / "run", keep=None)).fit(X, Y)
    paths = checkpoints_in(tmp_path / "run")
    for path in paths[:1] + paths[2:]:
        path.unlink()
    return paths[1]


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
    before = copy.deepcopy(fitted(model))
    with pytest.raises(ValueError, match=f"(?s)resume_from must .*{message}.*|resume_from must .*file"):
        model.fit(X, Y, resume_from=tmp_path / "file")
    assert_same(fitted(model), before)


def test_a_classifier_saved_for_a_warm_start_is_no_checkpoint(tmp_path):
    joblib.dump(net(max_iter=2, warm_start=True).fit(X, Y), tmp_path / "file")
    with pytest.raises(ValueError, match=r"resume_from must be the checkpoint of a DeepNNClassifier, got .*file"):
        net().fit(X, Y, resume_from=tmp_path / "file")


WRONG = {
    "no path": ({}, {"resume_from": 3}, "resume_from must be None or the path of a checkpoint or of a folder.*got 3"),
    "samples": ({}, {"X": X[:50], "y": Y[:50]}, r"resume_from must be of a fit on as many samples.*50.*got one on 60"),
    "weights": ({}, {"sample_weight": WEIGHT > 0}, r"resume_from must be of a fit on as many samples.*59.*one on 60"),
    "features": ({}, {"X": X[:, :3]}, "X has 3 features, but DeepNNClassifier is expecting 4"),
    "classes": ({}, {"y": Y + 1}, r"y must have labels among \[0, 1, 2\], got \[3\]"),
    "kind of target": ({}, {"y": SEVERAL}, "y must be of the kind that training began with"),
    "dims": (
        {"hidden_layer_dims": (7,)},
        {},
        r"layer_dims must stay \(4, 6, 3\), got \(4, 7, 3\).*leave out resume_from",
    ),
    "ensemble": ({"ensemble_size": 2}, {}, "ensemble_size must stay 1, got 2"),
    "scaling": ({"scale_inputs": "robust"}, {}, "scale_inputs must stay 'standard', got 'robust'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_go_with_a_checkpoint_is_an_error_and_an_earlier_fit_stays(kind, checkpoint):
    parameters, data, message = WRONG[kind]
    model = net().fit(X_VAL, Y_VAL)
    before = copy.deepcopy(fitted(model))
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).fit(**{"X": X, "y": Y, "resume_from": checkpoint, **data})
    assert_same(fitted(model), before)


OTHER_FITS = {
    "samples": ({}, {"X": X[:50], "y": Y[:50]}),
    "features": ({}, {"X": X[:, :3]}),
    "values": ({}, {"X": X + 1}),
    "labels": ({}, {"y": (Y + 1) % 3}),
    "weights": ({}, {"sample_weight": WEIGHT}),
    "validation": ({}, {"X_val": X_VAL, "y_val": Y_VAL}),
    "dims": ({"hidden_layer_dims": (7,)}, {}),
    "rate": ({"learning_rate": 0.5}, {}),
    "optimizer": ({"optimizer": Adam(beta_1=0.5)}, {}),
    "schedule": ({"learning_rate_schedule": partial(inverse_scaling, learning_rate=0.1, n_steps=9)}, {}),
    "seed": ({"random_state": 5}, {}),
}


@pytest.mark.parametrize("kind", OTHER_FITS)
def test_in_a_folder_only_checkpoints_of_the_same_data_and_parameters_are_taken(kind, checkpoint):
    parameters, data = OTHER_FITS[kind]
    data = {"X": X, "y": Y, **data}
    resumed = net(**parameters).fit(**data, resume_from=checkpoint.parent)
    assert_same_fit(resumed, net(**parameters).fit(**data), X=data["X"])


def test_each_fit_of_a_search_that_was_cut_off_finds_its_own_checkpoints(tmp_path):
    def search(max_iter):
        model = net(max_iter=max_iter).set_callbacks(ModelCheckpoint(tmp_path))
        return GridSearchCV(model, {"learning_rate": [0.001, 0.01, 0.1]}, cv=3, refit=False)

    search(3).fit(X, Y)
    resumed = search(6).fit(X, Y, resume_from=tmp_path).cv_results_
    whole = GridSearchCV(net(), {"learning_rate": [0.001, 0.01, 0.1]}, cv=3, refit=False).fit(X, Y).cv_results_
    for k in range(3):
        np.testing.assert_array_equal(resumed[f"split{k}_test_score"], whole[f"split{k}_test_score"])


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
    none = {"X_val": None, "y_val": None, "sample_weight_val": None}
    keys = [
        net(**given)._hashes(others.get("X", X), Y, None, **none) for given, others in ((parameters, data), (plain, {}))
    ]
    assert keys[0] == keys[1]


def test_wide_sparse_inputs_stay_sparse_to_be_told_from_others(peak_bytes):
    wide = sp.random(60, 200_000, density=1e-4, format="csr", random_state=0)
    hashes = partial(net()._hashes, wide, Y, None, X_val=None, y_val=None, sample_weight_val=None)
    assert peak_bytes(hashes) < 60 * 200_000  # a byte for each value, where floats would take eight


def test_a_training_that_goes_another_way_gets_another_name(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, keep=None)
    net().set_callbacks(checkpoint).fit(X, Y)
    with pytest.warns(UserWarning, match="had other parameters"):
        net(learning_rate=0.5, max_iter=8).set_callbacks(checkpoint).fit(X, Y, resume_from=newest_checkpoint(tmp_path))
    model = net(warm_start=True, random_state=3).set_callbacks(checkpoint).fit(X, Y)
    model.fit(X + 1, Y)
    model.partial_fit(X + 2, Y)
    assert len({NAME.fullmatch(path.name)["run"] for path in checkpoints_in(tmp_path)}) == 5
    assert_same_fit(net().fit(X, Y, resume_from=tmp_path), net().fit(X, Y))


@pytest.mark.filterwarnings("ignore:The network is worse than guessing")
def test_other_patience_does_not_find_what_less_has_ended(tmp_path):
    def fit(patience):
        callbacks = EarlyStopping("cost", patience, min_delta=1.0, restore_best=False), ModelCheckpoint(tmp_path)
        return net(max_iter=9).set_callbacks(*callbacks).fit(X, Y, resume_from=tmp_path).n_iter_

    assert (fit(2), fit(5)) == (3, 6)


def test_a_checkpoint_of_other_data_is_an_error(checkpoint):
    with pytest.raises(ValueError, match="resume_from must be of a fit on the same data"):
        net().fit(X + 1, Y, resume_from=checkpoint)


def test_a_budget_of_time_that_had_run_out_goes_on_with_more(tmp_path):
    def fit(seconds):
        return (
            net(max_iter=9)
            .set_callbacks(TimeBudget(seconds), ModelCheckpoint(tmp_path))
            .fit(X, Y, resume_from=tmp_path)
        )

    first = fit(1e-9)
    assert (first.n_iter_, first.training_state_["stopped_by"]) == (1, "TimeBudget")
    assert fit(1e-9).n_iter_ == 1
    assert_same_fit(fit(60), net(max_iter=9).fit(X, Y))


@pytest.mark.parametrize(
    ("parameters", "seen"),
    [
        ({"learning_rate": 0.5, "tol": 0.0}, "learning_rate from 'auto' to 0.5, tol from 0.0001 to 0.0"),
        ({"optimizer": Adam(beta_1=0.5)}, r"optimizer from 'adam' to Adam\(beta_1=0.5"),
    ],
)
def test_to_go_on_with_other_parameters_warns(parameters, seen, checkpoint):
    with pytest.warns(UserWarning, match=f"The fit of resume_from had other parameters.*{seen}"):
        net(**parameters).fit(X, Y, resume_from=checkpoint)


@pytest.mark.parametrize("parameters", [{"verbose": 2}, {"warm_start": True}, {"max_iter": 20}])
def test_to_go_on_with_parameters_that_are_free_to_change_does_not_warn(parameters, checkpoint):
    assert net(**parameters).fit(X, Y, resume_from=checkpoint).n_iter_ >= 6


@pytest.mark.parametrize("name", ["{run}-epoch-000003.joblib", "renamed.joblib"])
def test_a_checkpoint_that_is_not_there_is_an_error(name, tmp_path):
    path, model = tmp_path / name.format(run=new_run()), net()
    for call in (partial(load_checkpoint, path), partial(model.fit, X, Y, resume_from=path)):
        with pytest.raises(FileNotFoundError, match=f"There is no checkpoint {re.escape(str(path))}"):
            call()
    assert not hasattr(model, "parameters_")


@pytest.mark.parametrize("name", ["", "not-there-yet"])
def test_a_folder_without_checkpoints_starts_from_the_beginning(name, tmp_path):
    (tmp_path / "notes.txt").touch()
    folder = tmp_path / name
    assert newest_checkpoint(folder) is None
    with pytest.raises(FileNotFoundError, match="There is no checkpoint in"):
        load_checkpoint(folder)
    assert_same_fit(net().fit(X, Y, resume_from=folder), net().fit(X, Y))


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "cut short": cut_short,
    "empty": lambda path: path.write_bytes(b""),
    "spoilt": lambda path: path.write_bytes(b"?" * 999),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_of_a_folder_whose_newest_is_damaged_the_one_before_is_taken_with_a_warning(kind, tmp_path):
    whole = net().set_callbacks(ModelCheckpoint(tmp_path)).fit(X, Y)
    newest = newest_checkpoint(tmp_path)
    DAMAGE[kind](newest)
    with pytest.warns(RuntimeWarning, match=rf"{newest.name} cannot be read: \w+: .*The one before is taken") as caught:
        assert load_checkpoint(tmp_path).n_iter_ == 5
    assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="The one before is taken") as caught:
        assert_same_fit(net().fit(X, Y, resume_from=tmp_path), whole)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore:.*The one before is taken:RuntimeWarning")
@pytest.mark.parametrize("kind", DAMAGE)
def test_where_no_checkpoint_can_be_read_nothing_is_begun_anew(kind, tmp_path):
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
    cut_short(newest_checkpoint(tmp_path))
    with pytest.warns(RuntimeWarning, match="The one before is taken"):
        net().set_callbacks(checkpoint).fit(X, Y, resume_from=tmp_path)
    assert_same(load_checkpoint(tmp_path).predict_proba(X), whole.predict_proba(X))


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
    with pytest.raises(ValueError, match="resume_from must be of a fit"):  # it does get there
        make_pipeline(StandardScaler(), net()).fit(X[:50], Y[:50], deepnnclassifier__resume_from=third)


# Ctrl-C.


class Interrupt(Callback):
    """Press Ctrl-C in a hook, after so many epochs."""

    def __init__(self, hook, epoch):
        self.hook, self.epoch, self.n_whole = hook, epoch, 0

    def on_train_begin(self, run):
        self.press("on_train_begin", run)

    def on_epoch_begin(self, run):
        self.press("on_epoch_begin", run)

    def on_epoch_end(self, run):
        self.press("on_epoch_end", run)
        self.n_whole += 1

    def press(self, hook, run):
        if (hook, run.state.epoch) == (self.hook, self.epoch):
            raise KeyboardInterrupt


def interrupted(model, *data, **options):
    """Return a model whose `fit` was left by Ctrl-C."""
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, **options)
    return model


INTERRUPTED = {
    "plain": {},
    "sgd": {"optimizer": "sgd", "batch_size": None},
    "lbfgs": {"optimizer": "lbfgs", "batch_norm": True},
    "dropout and batch_norm": {"dropout_rate": 0.3, "batch_norm": True},
    "averaging": {"weight_averaging": 2.0},
    "held out": {"early_stopping": True, "scoring": "accuracy"},
    "ensemble": {"ensemble_size": 2, "early_stopping": True, "dtype": "float32"},
}
MOMENTS = {
    "in the hook before an epoch": ("on_epoch_begin", 3),
    "in the hook after an epoch": ("on_epoch_end", 4),
    "in the forward pass": (training, "model_forward"),
    "in the backward pass": (training, "model_backward"),
    "in validation": (classifier, "mean_cost"),
    "when an epoch is recorded": (TrainingState, "end_epoch"),
    "when the best is kept": (TrainingState, "keep_if_best"),
    "between epochs": (TrainingState, "mark"),
}


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", INTERRUPTED)
def test_ctrl_c_leaves_the_fit_of_the_last_whole_epoch(kind, moment, warm_start, monkeypatch):
    parameters = {"warm_start": warm_start, **INTERRUPTED[kind]}
    if moment == "in validation" and not parameters.get("early_stopping"):
        parameters |= {"early_stopping": True}
    where, what = MOMENTS[moment]
    with monkeypatch.context() as patch:
        if isinstance(where, str):
            model, wanted = net(**parameters).set_callbacks(Interrupt(where, what)), 3
        else:
            counted = net(**parameters)
            calls = fail_at(patch, where, what, lambda n: False)
            counted.fit(X, Y)
            n_calls = len(calls)
            model, wanted, watch = net(**parameters), None, Interrupt("never", 0)
            fail_at(patch, where, what, lambda n: n == n_calls * 2 // 3, KeyboardInterrupt)
            model.set_callbacks(watch)
        interrupted(model, X, Y)
    k = model.n_iter_
    assert 0 < k < 6
    assert k == wanted if wanted else k in (watch.n_whole, watch.n_whole - 1)
    assert_same_fit(model.set_callbacks(), net(**parameters, max_iter=k).fit(X, Y), finished=False)


@pytest.mark.parametrize("n_calls", [9, 10, 11, 12, 13, 14])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_ctrl_c_within_a_step_leaves_no_half_of_it(name, after, n_calls, monkeypatch):
    kind = OPTIMIZERS[name]
    update, calls = kind.update, []

    def update_and_stop(self, parameters, grads, state, learning_rate):
        calls.append(1)
        if len(calls) == n_calls and not after:
            parameters[::2] = 7.0  # half of it
            raise KeyboardInterrupt
        update(self, parameters, grads, state, learning_rate)
        if len(calls) == n_calls:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kind, "update", update_and_stop)
        model = interrupted(net(optimizer=name, warm_start=True, dropout_rate=0.3, weight_averaging=1.0), X, Y)
    assert model.n_iter_ == (n_calls - 1) // 4  # 60 samples, 16 in a batch
    parameters = model.get_params() | {"max_iter": model.n_iter_}
    assert_same_fit(model, DeepNNClassifier(**parameters).fit(X, Y), finished=False)


PACKAGE = str(Path(training.__file__).parent)


def test_ctrl_c_at_any_line_of_training_leaves_a_whole_epoch_or_none():
    parameters = {"max_iter": 3, "batch_size": 30, "dropout_rate": 0.3, "early_stopping": True, "warm_start": True}
    wholes = [net(**{**parameters, "max_iter": k}).fit(X, Y) for k in (1, 2, 3)]

    def fit_until_line(number):
        """Fit, with Ctrl-C at the start of so many lines; return the model, whether that came, and the lines."""
        lines, model = iter(range(10**9)), net(**parameters)
        n_lines = 0

        def trace(frame, event, _):
            nonlocal n_lines
            file = frame.f_code.co_filename
            if not file.startswith(PACKAGE) or file == threads.__file__:  # which BLAS's number of threads hangs on
                return None
            if event == "line":
                n_lines = next(lines)
                if n_lines == number:
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            model.fit(X, Y)
        except KeyboardInterrupt:
            return model, n_lines
        finally:
            sys.settrace(before)
        return model, n_lines

    n_lines, last = fit_until_line(None)[1], 0
    assert n_lines > 500
    counts = []
    for number in np.linspace(1, n_lines, 90).astype(int):
        model, _ = fit_until_line(number)
        k = getattr(model, "n_iter_", 0)
        assert k >= last
        last = k
        counts.append(k)
        if k:
            assert_same_fit(model, wholes[k - 1], finished=False)
        else:
            assert not vars(model).keys() & vars(wholes[0]).keys() - vars(net()).keys()
    assert set(counts) == {0, 1, 2, 3}


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
@pytest.mark.parametrize("warm_start", [False, True])
def test_ctrl_c_in_the_first_epoch_leaves_what_was_there(hook, warm_start):
    at = {"on_epoch_end": 1}.get(hook, 0)
    model = interrupted(net(warm_start=warm_start).set_callbacks(Interrupt(hook, at)), X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model = net(warm_start=warm_start, weight_averaging=2.0).fit(X, Y)
    before = copy.deepcopy(fitted(model))
    n_before = 6 if warm_start else 0
    # with other settings, which may not leave a trace
    model.set_params(optimizer="sgd", weight_averaging=0).set_callbacks(Interrupt(hook, n_before + at))
    interrupted(model, X_VAL, Y_VAL)
    assert_same(fitted(model), before)


def test_ctrl_c_before_the_first_step_leaves_what_was_there(monkeypatch):
    model = net(warm_start=True, weight_averaging=2.0).fit(X, Y)
    before = copy.deepcopy(fitted(model))
    fail_at(monkeypatch, training, "mean_cost", lambda n: True, KeyboardInterrupt)
    interrupted(model.set_params(optimizer="sgd", weight_averaging=0), X, Y)
    assert_same(fitted(model), before)


def test_ctrl_c_when_a_resumed_fit_begins_leaves_its_checkpoint(checkpoint):
    model = interrupted(
        net(warm_start=True).set_callbacks(Interrupt("on_epoch_begin", 2)), X, Y, resume_from=checkpoint
    )
    assert_same_fit(model.set_callbacks(), net(max_iter=2, warm_start=True).fit(X, Y), finished=False)


@pytest.mark.parametrize("saving", [False, True])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_an_error_at_the_end_of_training_neither_loses_it_nor_hides_ctrl_c(error, saving, tmp_path):
    class Fail(Callback):
        def on_train_begin(self, run):
            run.memory["began"] = True

        def on_epoch_end(self, run):
            if error is not None and run.state.epoch == 1:
                raise error

        def on_train_end(self, run):
            raise OSError(f"began: {run.memory['began']}")

    model = net().set_callbacks(Fail(), *[ModelCheckpoint(tmp_path)] * saving)
    ends = nullcontext() if error is None else pytest.raises(error)
    with pytest.warns(RuntimeWarning, match="Fail failed at the end of training: OSError: began: True"), ends:
        model.fit(X, Y)
    if error is None:
        assert_same_fit(model, net().fit(X, Y))


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, SystemExit])
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_an_error_leaves_an_earlier_fit(hook, error):
    class Fail(Callback):
        pass

    def fail(self, run):
        if run.state.epoch >= 2 or hook == "on_train_begin":
            raise error

    setattr(Fail, hook, fail)
    model = net().fit(X, Y)
    before = copy.deepcopy(fitted(model))
    with pytest.raises(error):
        model.set_callbacks(Fail()).fit(X_VAL, Y_VAL)
    assert_same(fitted(model), before)


def test_the_best_epoch_is_kept_after_ctrl_c():
    parameters = {"learning_rate": 0.5, "max_iter": 12, "scoring": "accuracy"}
    data = {"X_val": X_VAL, "y_val": Y_VAL}
    model = interrupted(net(**parameters).set_callbacks(Interrupt("on_epoch_begin", 8)), X, Y, **data)
    assert model.best_iter_ < model.n_iter_ == 8
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_)
    assert model.score(X_VAL, Y_VAL) == max(model.validation_scores_)


@pytest.mark.parametrize("kind", INTERRUPTED)
def test_a_warm_start_goes_on_after_ctrl_c_to_the_bit(kind):
    parameters = {"warm_start": True, **INTERRUPTED[kind]}
    model = interrupted(net(**parameters).set_callbacks(Interrupt("on_epoch_end", 3)), X, Y)
    model.set_callbacks().set_params(max_iter=4).fit(X, Y)
    halves = net(**parameters, max_iter=2).fit(X, Y).set_params(max_iter=4).fit(X, Y)
    assert_same_fit(model, halves)
    assert model.n_iter_ == 6
    assert_same(model.parameters_, net(**parameters).fit(X, Y).parameters_)


def test_ctrl_c_in_a_second_call_leaves_the_epochs_of_both():
    model = net(warm_start=True, dropout_rate=0.3).fit(X, Y)
    interrupted(model.set_callbacks(Interrupt("on_epoch_begin", 10)), X, Y)
    wanted = net(warm_start=True, dropout_rate=0.3).fit(X, Y).set_params(max_iter=4).fit(X, Y)
    assert_same_fit(model.set_callbacks(), wanted, finished=False)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("every", [1, 2, 1000])
def test_the_last_whole_epoch_is_saved_after_ctrl_c(every, warm_start, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, every=every, keep=None)
    whole = net(dropout_rate=0.3).fit(X, Y)
    model = net(dropout_rate=0.3, warm_start=warm_start).set_callbacks(Interrupt("on_epoch_end", 4), checkpoint)
    interrupted(model, X, Y)
    assert epochs_in(tmp_path) == {1: [1, 2, 3], 2: [2, 3], 1000: [3]}[every]
    assert model.n_iter_ == 3
    assert_same(load_checkpoint(tmp_path).predict_proba(X), model.predict_proba(X))
    assert_same_fit(net(dropout_rate=0.3).fit(X, Y, resume_from=tmp_path), whole)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_ctrl_c_while_a_checkpoint_is_written_leaves_the_last_whole_epoch_on_disk(place, every, tmp_path, monkeypatch):
    # the trial when training begins is the first
    n_files = 1 + (6 if every == 1 else 2)
    n_call = n_files if place == "replace" else (n_files - 1) * N_FSYNCS + 1
    with monkeypatch.context() as patch:
        fail_at(patch, os, place, lambda n: n == n_call, KeyboardInterrupt)
        model = net().set_callbacks(ModelCheckpoint(tmp_path, every=every, keep=None))
        interrupted(model, X, Y)
    assert model.n_iter_ == 5
    assert epochs_in(tmp_path) == ([1, 2, 3, 4, 5] if every == 1 else [3, 5])
    assert len(list(tmp_path.iterdir())) == len(epochs_in(tmp_path))
    assert_same_fit(net().fit(X, Y, resume_from=tmp_path), net().fit(X, Y))


def test_a_failed_training_saves_its_last_whole_epoch(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_at(patch, training, "model_backward", lambda n: n == 4 * 4 + 2, MemoryError)
        with pytest.raises(MemoryError):
            net().set_callbacks(ModelCheckpoint(tmp_path, every=10)).fit(X, Y)
    assert epochs_in(tmp_path) == [4]
    assert_same_fit(net().fit(X, Y, resume_from=tmp_path), net().fit(X, Y))


def test_a_training_that_diverges_saves_nothing_of_that(tmp_path):
    schedule = partial(np.interp, xp=[11, 12], fp=[0.01, 1e200])  # from the fourth epoch on
    model = net(optimizer="sgd", learning_rate_schedule=schedule).set_callbacks(ModelCheckpoint(tmp_path, keep=None))
    with pytest.raises(ValueError, match="Training diverged: in epoch 4"):
        model.fit(X, Y)
    assert epochs_in(tmp_path) == [1, 2, 3]
    with pytest.warns(ConvergenceWarning, match="weights of epoch 3 are kept"):
        model.set_callbacks(ModelCheckpoint(tmp_path / "validated", keep=None)).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert epochs_in(tmp_path / "validated") == [1, 2, 3]
    assert np.isfinite(load_checkpoint(tmp_path).predict_log_proba(X)).all()


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_ctrl_c_leaves_a_search(n_jobs):
    model = net().set_callbacks(Interrupt("on_epoch_begin", 3))
    search = GridSearchCV(model, {"learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs, error_score=0.0)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    assert not hasattr(search, "best_estimator_")


def test_ctrl_c_leaves_no_thread_and_no_bound_of_blas(blas_threads, monkeypatch):
    class CountThreads(Callback):
        def on_epoch_begin(self, run):
            counts.append(threading.active_count())

    monkeypatch.setattr(training, "WORK_OF_PART", 1)
    monkeypatch.setattr(training, "PART_COLUMNS", 1)
    n_before, counts = threading.active_count(), []
    fail_at(monkeypatch, training, "model_backward", lambda n: n == 40, KeyboardInterrupt)
    model = interrupted(net(batch_size=None, max_iter=100).set_callbacks(CountThreads()), X, Y)
    assert model.n_iter_ == 13  # three parts a step
    assert max(counts) == n_before + 2
    assert threading.active_count() == n_before
    assert blas_threads() == {3}


SIGNALLED = """
import signal
import sys
import time
from pathlib import Path

from sklearn_deepnn.callbacks import Callback, ModelCheckpoint, load_checkpoint
from test_checkpoints import X, Y, assert_same_fit, net


class Tell(Callback):
    def on_epoch_begin(self, run):
        if run.state.epoch == 2:
            print("ready", flush=True)

    def on_epoch_end(self, run):
        return time.monotonic() > deadline  # Python may ignore a signal, such as one within __del__


signal.signal(signal.SIGINT, signal.default_int_handler)
for number in range(int(sys.argv[1])):
    folder = Path(sys.argv[2], str(number))
    parameters = {"warm_start": number % 2 == 0, "batch_size": 8 * (number + 1), "dropout_rate": 0.1}
    model = net(max_iter=10**6, **parameters).set_callbacks(Tell())
    if number % 3:
        model.set_callbacks(Tell(), ModelCheckpoint(folder, every=3))
    deadline = time.monotonic() + 20
    try:
        model.fit(X, Y)
    except KeyboardInterrupt:
        pass
    whole = net(max_iter=model.n_iter_, **parameters).fit(X, Y)
    assert_same_fit(model.set_callbacks(), whole, finished=False)
    if number % 3:
        assert load_checkpoint(folder).n_iter_ - model.n_iter_ in (0, 1)
    print(model.n_iter_, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows sends no SIGINT to a process alone")
def test_a_real_ctrl_c_leaves_the_fit_of_the_last_whole_epoch(tmp_path):
    program = f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n{SIGNALLED}"
    delays = np.random.default_rng(0).uniform(0, 0.03, size=12)
    with run_python(program, len(delays), tmp_path) as process:
        for delay in delays:
            assert process.stdout.readline() == "ready\n"
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            assert int(process.stdout.readline()) >= 2
        assert process.wait() == 0
