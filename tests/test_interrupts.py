"""Ctrl-C and errors during training: the last complete epoch is kept."""

import copy
import os
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from checkpoint_cases import (
    N_FSYNCS,
    X_VAL,
    Y_VAL,
    Interrupt,
    X,
    Y,
    assert_same_fit,
    epochs_in,
    fail_at,
    interrupted,
    net,
    trained,
    write_second_checkpoint,
)
from one_network import one_network
from reference import assert_same
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import sklearn_deepnn
from sklearn_deepnn import DeepNNClassifier, threads
from sklearn_deepnn.callbacks import Callback, ModelCheckpoint, load_checkpoint
from sklearn_deepnn.estimators import base, keeping, starting, validation
from sklearn_deepnn.training import loop, steps
from sklearn_deepnn.training.costs import CostMeter
from sklearn_deepnn.training.optimizers import OPTIMIZERS
from sklearn_deepnn.training.state import TrainingState

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
    "in the forward pass": (steps, "model_forward"),
    "in the backward pass": (steps, "model_backward"),
    "between the backward pass and the update": (CostMeter, "add"),
    "in the update": (None, "update"),  # of the optimizer
    "when an epoch is recorded": (TrainingState, "begin_epoch_entry"),
    "in validation": (validation, "mean_cost"),
    "when the validation is recorded": (TrainingState, "add_to_epoch"),
    "when the best is kept": (TrainingState, "keep_if_best"),
    "when the snapshot of an epoch is taken": (loop.Rollback, "keep"),
}
VALIDATING = {"in validation", "when the validation is recorded", "when the best is kept"}
BEFORE_TRAINING = {  # whether a warm start comes there too
    "reading the parameters": (base, "check_parameters", True),
    "reading X": (base, "read_inputs", True),
    "reading y": (DeepNNClassifier, "_read_targets", True),
    "resolving": (starting, "resolve", True),
    "splitting": (starting, "hold_out", True),
    "scaling": (starting, "learn_scaling", False),
    "initial parameters": (starting, "initialize_parameters", False),
    "looking at the inputs": (starting, "find_bad_inputs", True),
    "adopting the optimizer": (TrainingState, "adopt", True),
    "the cost at the start": (loop, "mean_cost", True),
    "the thread pool": (loop, "threads_for", True),
    "the first step": (steps.GradientStep, "__init__", True),
}
AFTER_TRAINING = {
    "looking for a failure": (loop, "find_failure"),
    "diagnosing": (keeping, "diagnose"),
    "keeping": (base.Keeper, "attributes"),
    "folding the scaling": (keeping, "fold_scaling"),
}


# The last complete epoch is kept.


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", INTERRUPTED)
def test_ctrl_c_keeps_the_fit_of_the_last_complete_epoch(kind, moment, warm_start, monkeypatch):
    parameters = {"warm_start": warm_start, **INTERRUPTED[kind]}
    if moment in VALIDATING:
        parameters["early_stopping"] = True
    where, what = MOMENTS[moment]
    where = where or OPTIMIZERS[parameters.get("optimizer", "adam")]
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
    assert k == wanted if wanted else k in (watch.n_complete, watch.n_complete - 1)
    assert_same_fit(model.set_callbacks(), net(**parameters, max_iter=k).fit(X, Y), finished=False)


@pytest.mark.parametrize("n_calls", [9, 10, 11, 12, 13, 14])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_ctrl_c_within_a_step_undoes_the_step(name, after, n_calls, monkeypatch):
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
    assert_same_fit(model, one_network(**parameters).fit(X, Y), finished=False)


def test_ctrl_c_at_any_line_of_fit_keeps_complete_epochs_alone():
    package = str(Path(sklearn_deepnn.__file__).parent)
    parameters = {"max_iter": 3, "batch_size": 30, "dropout_rate": 0.3, "early_stopping": True, "warm_start": True}
    wholes = [net(**{**parameters, "max_iter": k}).fit(X, Y) for k in (1, 2, 3)]

    def fit_until_line(number):
        """Fit, with Ctrl-C when so many lines have begun; return the model and the number of lines."""
        lines, model = iter(range(10**9)), net(**parameters)
        n_lines = 0

        def trace(frame, event, _):
            nonlocal n_lines
            file = frame.f_code.co_filename
            if not file.startswith(package) or file == threads.__file__:  # which sets and resets BLAS's threads
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


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("moment", AFTER_TRAINING)
def test_ctrl_c_after_the_last_epoch_keeps_all_epochs(moment, warm_start, monkeypatch):
    where, what = AFTER_TRAINING[moment]
    whole = net(warm_start=warm_start).fit(X, Y)
    fail_at(monkeypatch, where, what, lambda n: n == 1, KeyboardInterrupt)
    model = interrupted(net(warm_start=warm_start), X, Y)
    assert model.n_iter_ == 6
    assert_same_fit(model, whole, finished=False)


def test_the_best_epoch_is_kept_after_ctrl_c():
    parameters = {"learning_rate": 0.5, "max_iter": 12, "scoring": "accuracy", "early_stopping": True}
    data = {"X_val": X_VAL, "y_val": Y_VAL}
    model = interrupted(net(**parameters).set_callbacks(Interrupt("on_epoch_begin", 8)), X, Y, **data)
    assert model.best_iter_ < model.n_iter_ == 8
    assert model.best_iter_ == 1 + np.argmax(model.validation_scores_)
    assert model.score(X_VAL, Y_VAL) == max(model.validation_scores_)


def test_ctrl_c_in_a_second_call_keeps_the_epochs_of_both_calls():
    model = net(warm_start=True, dropout_rate=0.3).fit(X, Y)
    interrupted(model.set_callbacks(Interrupt("on_epoch_begin", 10)), X, Y)
    wanted = net(warm_start=True, dropout_rate=0.3).fit(X, Y).set_params(max_iter=4).fit(X, Y)
    assert_same_fit(model.set_callbacks(), wanted, finished=False)


@pytest.mark.parametrize("kind", INTERRUPTED)
def test_a_warm_start_continues_after_ctrl_c_to_the_bit(kind):
    parameters = {"warm_start": True, **INTERRUPTED[kind]}
    model = interrupted(net(**parameters).set_callbacks(Interrupt("on_epoch_end", 3)), X, Y)
    model.set_callbacks().set_params(max_iter=4).fit(X, Y)
    halves = net(**parameters, max_iter=2).fit(X, Y).set_params(max_iter=4).fit(X, Y)
    assert_same_fit(model, halves)
    assert model.n_iter_ == 6
    assert_same(model.parameters_, net(**parameters).fit(X, Y).parameters_)


# Without a complete epoch nothing changes.


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
@pytest.mark.parametrize("warm_start", [False, True])
def test_ctrl_c_in_the_first_epoch_changes_nothing(hook, warm_start):
    at = {"on_epoch_end": 1}.get(hook, 0)
    model = interrupted(net(warm_start=warm_start).set_callbacks(Interrupt(hook, at)), X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model = net(warm_start=warm_start, weight_averaging=2.0).fit(X, Y)
    before = copy.deepcopy(trained(model))
    n_before = 6 if warm_start else 0
    # other settings must leave no trace either
    model.set_params(optimizer="sgd", weight_averaging=0).set_callbacks(Interrupt(hook, n_before + at))
    interrupted(model, X_VAL, Y_VAL)
    assert_same(trained(model), before)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("moment", BEFORE_TRAINING)
def test_ctrl_c_before_the_first_step_changes_nothing(moment, warm_start, monkeypatch):
    where, what, in_a_warm_start_too = BEFORE_TRAINING[moment]
    model = net(warm_start=warm_start and in_a_warm_start_too, weight_averaging=2.0)
    unfitted = dict(vars(model))
    with monkeypatch.context() as patch:
        fail_at(patch, where, what, lambda n: True, KeyboardInterrupt)
        interrupted(model, X, Y)
    assert vars(model) == unfitted
    model.fit(X, Y)
    before = copy.deepcopy(trained(model))
    fail_at(monkeypatch, where, what, lambda n: True, KeyboardInterrupt)
    interrupted(model.set_params(optimizer="sgd", weight_averaging=0), X, Y)
    assert_same(trained(model), before)


def test_ctrl_c_when_a_resumed_fit_begins_keeps_its_checkpoint(tmp_path):
    checkpoint = write_second_checkpoint(tmp_path)
    model = interrupted(
        net(warm_start=True).set_callbacks(Interrupt("on_epoch_begin", 2)), X, Y, resume_from=checkpoint
    )
    assert_same_fit(model.set_callbacks(), net(max_iter=2, warm_start=True).fit(X, Y), finished=False)


# Errors.


@pytest.mark.parametrize("saving", [False, True])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_an_error_of_on_train_end_neither_loses_the_fit_nor_hides_ctrl_c(error, saving, tmp_path):
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
def test_an_error_keeps_an_earlier_fit(hook, error):
    class Fail(Callback):
        pass

    def fail(self, run):
        if run.state.epoch >= 2 or hook == "on_train_begin":
            raise error

    setattr(Fail, hook, fail)
    model = net().fit(X, Y)
    before = copy.deepcopy(trained(model))
    with pytest.raises(error):
        model.set_callbacks(Fail()).fit(X_VAL, Y_VAL)
    assert_same(trained(model), before)


# Checkpoints.


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("every", [1, 2, 1000])
def test_the_last_complete_epoch_is_saved_after_ctrl_c(every, warm_start, tmp_path):
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
def test_ctrl_c_while_a_checkpoint_is_written_keeps_the_last_complete_epoch(place, every, tmp_path, monkeypatch):
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


def test_a_failed_training_saves_its_last_complete_epoch(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fail_at(patch, steps, "model_backward", lambda n: n == 4 * 4 + 2, MemoryError)
        with pytest.raises(MemoryError):
            net().set_callbacks(ModelCheckpoint(tmp_path, every=10)).fit(X, Y)
    assert epochs_in(tmp_path) == [4]
    assert_same_fit(net().fit(X, Y, resume_from=tmp_path), net().fit(X, Y))


# Searches and threads.


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_ctrl_c_ends_a_search(n_jobs):
    model = net().set_callbacks(Interrupt("on_epoch_begin", 3))
    search = GridSearchCV(model, {"learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs, error_score=0.0)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    assert not hasattr(search, "best_estimator_")


def test_ctrl_c_ends_the_threads_and_frees_those_of_blas(blas_threads, monkeypatch):
    class CountThreads(Callback):
        def on_epoch_begin(self, run):
            counts.append(threading.active_count())

    monkeypatch.setattr(steps, "WORK_OF_CHUNK", 1)
    monkeypatch.setattr(steps, "CHUNK_COLUMNS", 1)
    monkeypatch.setattr(steps, "MOST_CHUNKS", 4)
    n_before, counts = threading.active_count(), []
    fail_at(monkeypatch, steps, "model_backward", lambda n: n == 40, KeyboardInterrupt)
    model = interrupted(net(batch_size=None, max_iter=100).set_callbacks(CountThreads()), X, Y)
    assert model.n_iter_ == 9  # four chunks a step
    assert max(counts) == n_before + 2
    assert threading.active_count() == n_before
    assert blas_threads() == {3}
